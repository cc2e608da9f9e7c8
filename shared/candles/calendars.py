"""Calendars of exchanges, by which a series whose market is named is judged: what is missing is then known to the day.

The calendars are those of the package `exchange_calendars`, an optional one. It brings pandas, which a gateway does not
have in its own process: a calendar is read in one that ends with it. What is judged by one is kept with a series, so
that whoever runs backtests on it needs neither.
"""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

import numpy as np

from shared.candles.grid import DAY_MS, Grid, Instants
from shared.choices import marked, offered
from shared.errors import FieldError, ImportRefused, Unavailable

CALENDAR_PATTERN = r"^[A-Za-z0-9_/.-]{1,20}$"
_READ_WITHIN_S = 60.0
_NEAR_NAMES, _NEAR_CUTOFF = 5, 0.5
_NEVER_MS = int(np.datetime64("NaT", "ms").astype(np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class OpenSlots:
    """Places of a grid at which a market trades, as stretches of them in order. `until[k]` are before stretch k."""

    first: Instants
    last: Instants
    until: Instants

    @classmethod
    def of_stretches(cls, first: Instants, last: Instants) -> OpenSlots:
        """What two stretches share, a bar in which a break begins and ends, is of the first of them."""
        first = np.maximum(first, np.concatenate([first[:1], last[:-1] + 1]))
        held = first <= last
        first, last = first[held], last[held]
        return cls(first, last, np.concatenate([np.zeros(1, np.int64), np.cumsum(last - first + 1)]))

    def before(self, slots: Instants) -> Instants:
        """How many lie before each of these places."""
        at = np.searchsorted(self.first, slots)
        beyond = np.where(at > 0, self.last[np.maximum(at, 1) - 1] + 1 - slots, 0)
        return self.until[at] - np.maximum(beyond, 0)

    def numbered(self, numbers: Instants) -> Instants:
        """The places that have these numbers, from 0 on."""
        at = np.searchsorted(self.until, numbers, side="right") - 1
        return self.first[at] + numbers - self.until[at]


@dataclass(frozen=True, slots=True, eq=False)
class Calendar:
    """When a market is open: on `days`, counted from 1970 on, and from each of `opens_ms` to that of `closes_ms`.

    A day with a break has two stretches of trade, and one that ends early a short one.
    """

    name: str
    days: Instants
    opens_ms: Instants
    closes_ms: Instants

    def open_slots(self, grid: Grid) -> OpenSlots:
        """The places of bars that a series of this market has: of a day those of its days, of less those of its hours.

        Bars that are open for a part of their length are among them.
        """
        if grid.step_ms < DAY_MS:
            return OpenSlots.of_stretches(grid.slots(self.opens_ms), grid.slots(self.closes_ms - 1))
        slots = self.days if grid.by_clock else grid.slots(self.days * DAY_MS + grid.session.shift_ms)
        return OpenSlots.of_stretches(slots, slots)


def load_calendar(name: str, first_ms: int, end_ms: int) -> Calendar:
    """The calendar of that name, or alias, for at least this time.

    Blocks for a second or two, the first time. Raises `ImportRefused` for a name that is none, a time that the calendar
    does not reach, and where the package is not installed; `Unavailable` where the process that reads it failed.
    """
    # Days may be a zone's: the last one's date may be that of tomorrow in UTC, the first one's is not before today's.
    return _load(name, first_ms // DAY_MS, end_ms // DAY_MS + 1)


@lru_cache(maxsize=8)
def _load(name: str, first_day: int, last_day: int) -> Calendar:
    program = f"import {__name__} as calendars; calendars.main()"
    command = [sys.executable, "-c", program, name, str(first_day), str(last_day)]
    try:
        child = subprocess.run(command, capture_output=True, check=True, timeout=_READ_WITHIN_S)
    except subprocess.SubprocessError as error:
        said = bytes(getattr(error, "stderr", None) or b"").decode(errors="replace").strip().splitlines()
        raise Unavailable(f"the calendar {name} could not be read: {said[-1] if said else error}") from error
    outcome = pickle.loads(child.stdout)
    if isinstance(outcome, ImportRefused):
        raise outcome
    return outcome


def read_calendar(name: str, first_day: int, last_day: int) -> Calendar:
    """The calendar from one day to another, counted from 1970 on, in this process. Raises `ImportRefused`."""
    # Under pandas 3 the package uses what a later pandas will not have, and pandas says so each time; that is nothing
    # that whoever imports bars could do anything about, and where warnings are errors it would end the import.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            package: Any = importlib.import_module("exchange_calendars")
        except ImportError:
            raise _refused(name, "needs the package exchange_calendars; install backfleet[calendars]") from None
        names: list[str] = package.get_calendar_names(include_aliases=True)
        if name not in names:
            near = get_close_matches(name.upper(), names, n=_NEAR_NAMES, cutoff=_NEAR_CUTOFF)
            hint = f"; near are {', '.join(near)}" if near else ""
            raise _refused(name, f"is no calendar, such as XNYS or XLON{hint}", near)
        first, last = (str(np.datetime64(day, "D")) for day in (first_day, last_day))
        try:
            found: Any = package.get_calendar(name, start=first, end=last)
        except (ValueError, package.errors.CalendarError) as error:
            said = str(error).rstrip(".")
            raise _refused(name, f"cannot judge bars from {first} to {last}: {said}; leave it out") from error
        columns = [_milliseconds(found.schedule[one]) for one in ("open", "break_start", "break_end", "close")]
        days = _milliseconds(found.schedule.index) // DAY_MS
    opens, breaks, resumes, closes = columns
    rests = breaks > _NEVER_MS
    opens_ms = np.sort(np.concatenate([opens, resumes[rests]]))
    return Calendar(found.name, days, opens_ms, np.sort(np.concatenate([closes, breaks[rests]])))


def _milliseconds(times: Any) -> Instants:
    """pandas' times, with a zone or without, in ms since 1970; `_NEVER_MS` where there is none."""
    found = times.dt if hasattr(times, "dt") else times
    plain = found.tz_convert(None) if found.tz is not None else times
    return np.asarray(plain.to_numpy().astype("datetime64[ms]").astype(np.int64))


def _refused(name: str, wrong: str, near: Sequence[str] = ()) -> ImportRefused:
    message, field = f"{name!r} {wrong}", marked("calendar")
    return ImportRefused(f"{field} {message}", [FieldError(field, message, choices=offered("calendar", near))])


def main() -> None:
    """Of the process that reads a calendar: its arguments say which, and it writes the outcome to stdout."""
    name, first_day, last_day = sys.argv[1:]
    try:
        outcome: object = read_calendar(name, int(first_day), int(last_day))
    except ImportRefused as refusal:
        outcome = refusal
    pickle.dump(outcome, sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)
