"""Lean's files of shares: prices times 10,000, and days of minutes whose times count from midnight."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from shared.candles.files.layout import Layout, Refuse
from shared.candles.files.spellings import VALUE_ROLES

SCALE = 10_000
DAY_MS = 86_400_000
_OF_A_DAY = re.compile(r"(?P<day>\d{8})_(?P<symbol>[a-z0-9.^]+)_(?P<step>tick|second|minute)_(?P<kind>[a-z]+)")


def lean_layout(file: str, cells: Sequence[str], refuse: Refuse) -> Layout | None:
    """The layout of one day of a share, told by the file's name: `20131007_spy_minute_trade.csv`; None for others."""
    found = _OF_A_DAY.fullmatch(PurePosixPath(file).stem)
    if found is None or re.fullmatch(r"\d{1,8}", cells[0]) is None:
        return None
    if found["step"] == "tick" or found["kind"] != "trade" or len(cells) != 1 + len(VALUE_ROLES):
        refuse("it is a file of Lean's with ticks or quotes; give the one of trades, by the minute or second")
    roles = ("time", *VALUE_ROLES)
    day = f"{found['day'][:4]}-{found['day'][4:6]}-{found['day'][6:]}"
    return Layout(
        f"Lean's {found['step']}s of {day}, times since midnight",
        {role: at for at, role in enumerate(roles)},
        {role: role for role in roles},
        shares=True,
        day=day,
        symbol=found["symbol"].upper(),
    )


def times_of_day(day: str, since_midnight_ms: Any) -> Any:
    """Dates with times of day of a column of milliseconds; what is none of a day stays as it is."""
    ms = np.asarray(since_midnight_ms, np.float64)
    if not ((ms >= 0) & (ms < DAY_MS) & (ms == np.floor(ms))).all():
        return since_midnight_ms
    instants = np.datetime64(day, "ms") + ms.astype("timedelta64[ms]")
    return type(since_midnight_ms)(np.char.replace(np.datetime_as_string(instants, unit="ms"), "T", " "), dtype=object)


def is_since_midnight(column: Any) -> bool:
    """Whether numbers that would be unix times of 1970 to 1972 count from midnight: no interval has such steps then."""
    times = np.asarray(column, np.int64)
    steps = np.diff(times)
    in_a_day = times.size > 1 and (times >= 0).all() and (times < DAY_MS).all()
    return bool(in_a_day and (steps >= 1_000).all() and (steps % 1_000 == 0).all())
