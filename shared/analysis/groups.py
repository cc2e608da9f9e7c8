"""Trades by what they have in common, and runs of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.findings import known
from shared.moments import Floats
from shared.periods import DAY_MS
from shared.reasons import Reason

Columns = Mapping[str, NDArray[Any]]

_HOUR_MS = 3_600_000
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_THURSDAY = 3  # on which 1970 began


def by_exit(trades: Columns) -> list[dict[str, Any]]:
    """By why they closed: how many trades, and the sum of their pnl after fees, money. In the order of the reasons."""
    counts, pnl = _sums(trades["exit_reason"], trades["pnl"], max(Reason) + 1)
    return [{"reason": reason.wire, "count": counts[reason], "pnl": pnl[reason]} for reason in Reason if counts[reason]]


def by_side(trades: Columns) -> list[dict[str, Any]]:
    """Long and short: how many trades, how many of them with a pnl above zero, and the sum of their pnl, money."""
    short = (trades["direction"] < 0).astype(np.int64)
    counts, pnl = _sums(short, trades["pnl"], 2)
    wins = np.bincount(short[trades["pnl"] > 0.0], minlength=2).tolist()
    sides = enumerate(("long", "short"))
    return [{"side": side, "trades": counts[at], "wins": wins[at], "pnl": pnl[at]} for at, side in sides]


def by_weekday(trades: Columns) -> list[dict[str, Any]]:
    """By the weekday (UTC) on which the bar opens in which they were entered: how many, and the sum of their pnl."""
    counts, pnl = _sums((trades["entry_time_ms"] // DAY_MS + _THURSDAY) % 7, trades["pnl"], 7)
    return [{"key": key, "trades": counts[at], "pnl": pnl[at]} for at, key in enumerate(_WEEKDAYS)]


def by_hour(trades: Columns) -> list[dict[str, Any]]:
    """By the hour (UTC, 0 to 23) in which the bar opens in which they were entered: how many, and the sum of their
    pnl."""
    counts, pnl = _sums(trades["entry_time_ms"] // _HOUR_MS % 24, trades["pnl"], 24)
    return [{"key": key, "trades": counts[key], "pnl": pnl[key]} for key in range(24)]


def _sums(keys: NDArray[np.int64], pnl: Floats, most: int) -> tuple[list[int], list[float | None]]:
    return np.bincount(keys, minlength=most).tolist(), known(np.bincount(keys, pnl, most))


def streaks(pnl: Floats) -> dict[str, int]:
    """Most trades in a row, in the order they closed, that each gained, and that each lost money. A pnl of zero ends
    both. `longestLosing` is `maxConsecutiveLosses`.
    """
    return {"longestWinning": _longest(pnl > 0.0), "longestLosing": _longest(pnl < 0.0)}


def _longest(these: NDArray[np.bool_]) -> int:
    edges = np.diff(np.concatenate(([False], these, [False])).astype(np.int8))
    lengths = np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)
    return int(lengths.max(initial=0))
