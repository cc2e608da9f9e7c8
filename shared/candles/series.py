"""What a series of bars must be, where its holes are, and how two parts of one series become one. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars
from shared.candles.calendars import Calendar, OpenSlots
from shared.candles.grid import DAY_MS, UTC_DAYS, WEEK_MS, Grid, Session
from shared.candles.hours import LOST_WEEKS_MIN, Hours, Judgement, hours_of
from shared.errors import ImportRefused
from shared.instants import iso_from_ms

EARLIEST_MS = -9_000_000_000_000  # 1684; nothing older was ever quoted by the bar
PRICE_MIN, PRICE_MAX = 1e-15, 1e15  # what is traded lies between; beyond, quantities and values would overflow
PRICE_COLUMNS = ("open", "high", "low", "close")
OnConflict = Literal["refuse", "keep", "replace"]
_WRONG_GRID = (
    "name the right interval, or when days of trade begin with ⟦session_zone America/New_York⟧ and ⟦anchor 17:00⟧, or "
    "give the times in UTC (a daily bar by its date)"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """A bar that cannot be true: its number, the column, the value as read, what is wrong, what to do."""

    bar: int
    column: str
    value: str
    reason: str
    remedy: str


class Gap(NamedTuple):
    """Where bars are missing: from `start_ms` (inclusive) to `end_ms` (exclusive), `bars` of them."""

    start_ms: int
    end_ms: int
    bars: int


def take_bars(bars: Bars, at: slice | NDArray[np.int64] | NDArray[np.bool_]) -> Bars:
    """The bars at these places: views for a slice, copies else."""
    return Bars(bars.time_ms[at], bars.open[at], bars.high[at], bars.low[at], bars.close[at], bars.volume[at])


class BarConflict(ImportRefused):
    """The same bar twice with different values."""


def first_fault(
    bars: Bars, interval: str, now_ms: int, session: Session = UTC_DAYS, from_end: bool = False
) -> Fault | None:
    """The fault of the earliest bar, or None. Vectorised: one pass over each column.

    `from_end`: the fault of the latest bar, which a file of newest first has on its first line.
    """
    found = [
        _fault(bad, column, values, reason, remedy, from_end)
        for bad, column, values, reason, remedy in _checks(bars, interval, session, now_ms)
    ]
    faults = [fault for fault in found if fault is not None]
    choose = max if from_end else min
    return choose(faults, key=lambda fault: fault.bar) if faults else None


# Which bars are wrong, the column and its values, what is wrong and what to do.
_Check = tuple[NDArray[np.bool_], str, NDArray[np.generic], str, str]


def _checks(bars: Bars, interval: str, session: Session, now_ms: int) -> Iterator[_Check]:
    for name in PRICE_COLUMNS:
        prices: NDArray[np.float64] = getattr(bars, name)
        bad = ~(np.isfinite(prices) & (prices > 0))
        yield bad, name, prices, "is not a price above zero", "correct or remove the bar"
        bad = (prices > 0) & ~((prices >= PRICE_MIN) & (prices <= PRICE_MAX))
        reason = f"is not between {PRICE_MIN:g} and {PRICE_MAX:g}"
        yield bad, name, prices, reason, "correct it, or give prices and volumes in another unit"
    bad = ~(np.isfinite(bars.volume) & (bars.volume >= 0))
    yield bad, "volume", bars.volume, "is not a volume of zero or more", "correct or remove the bar"
    order = "correct it, or check the columns' order"
    bad = bars.high < np.maximum(bars.open, bars.close)
    yield bad, "high", bars.high, "is below the open or close of its bar", order
    bad = bars.low > np.minimum(bars.open, bars.close)
    yield bad, "low", bars.low, "is above the open or close of its bar", order
    for bad, reason, remedy in _time_checks(bars.time_ms, interval, session, now_ms):
        yield bad, "time", bars.time_ms, reason, remedy


def _time_checks(
    time_ms: NDArray[np.int64], interval: str, session: Session, now_ms: int
) -> Iterator[tuple[NDArray[np.bool_], str, str]]:
    if not time_ms.size:
        return
    grid = Grid.of(interval, session)
    days = Grid.of(interval if grid.months or grid.step_ms < DAY_MS else "1d", session)
    slots = days.slots(time_ms)
    off_grid = days.starts(slots) != time_ms
    # The first bar on the grid says on which days bars begin that are several days long.
    grid = grid.through(int(time_ms[int(np.argmin(off_grid))]))
    if grid.step_ms > DAY_MS:
        slots = grid.slots(time_ms)
    finished = f"bars must be finished by now, {iso_from_ms(now_ms)}; remove it"
    yield grid.starts(slots + 1) > now_ms, f"is the start of a {interval} bar still to end", finished
    yield time_ms < EARLIEST_MS, "is before the year 1684", "check the unit of the times"
    yield off_grid, f"is not the start of a {interval} bar in {_said(session)}", _WRONG_GRID
    later = np.concatenate([[False], np.diff(time_ms) <= 0])
    yield later, "is not later than the bar before", "sort the bars and remove repeated ones"
    uneven = ~off_grid & (grid.starts(slots) != time_ms)
    yield uneven, f"is not a whole number of {interval} after the bar before", "name the right interval"


def _said(session: Session) -> str:
    return "UTC" if session.is_plain else f"a session from {session.anchor} on in {session.zone}"


def _fault(
    bad: NDArray[np.bool_], column: str, values: NDArray[np.generic], reason: str, remedy: str, from_end: bool
) -> Fault | None:
    if not bad.any():
        return None
    index = bad.size - 1 - int(np.argmax(bad[::-1])) if from_end else int(np.argmax(bad))
    value = values[index]
    shown = iso_from_ms(int(value)) if column == "time" and abs(int(value)) < 2e14 else f"{value.item()!r}"
    return Fault(index, column, shown, reason, remedy)


def merge_bars(old: Bars, new: Bars, of: str) -> Bars:
    """Both in order of time. Equal bars count once. Raises `BarConflict` showing the first bar that differs.

    Both must be strictly increasing. Returns `old` itself when `new` adds nothing. `of` names the series in the error.
    """
    return reconcile_bars(old, new, of, "refuse")[0]


def reconcile_bars(old: Bars, new: Bars, of: str, on_conflict: OnConflict) -> tuple[Bars, int]:
    """`merge_bars`, and how many bars were in both with other values.

    `on_conflict` says whose values stand then: those of `old` ("keep") or of `new` ("replace"); "refuse" raises
    `BarConflict`.
    """
    if not old.total:
        return new, 0
    place = np.searchsorted(old.time_ms, new.time_ms)
    known = old.time_ms[np.minimum(place, old.total - 1)] == new.time_ms
    differs = np.zeros(new.total, np.bool_)
    for ours, theirs in zip(old[1:], new[1:], strict=True):
        differs[known] |= ours[place[known]] != theirs[known]
    if on_conflict == "refuse" and differs.any():
        at = int(np.argmax(differs))
        raise BarConflict(
            f"{of}: the bar of {iso_from_ms(int(new.time_ms[at]))} is already there with other values: "
            f"stored {_show_bar(old, int(place[at]))}, given {_show_bar(new, at)}. "
            "Nothing was imported; remove the bars that differ, import under another symbol, or say with "
            "⟦?on_conflict keep|replace⟧ whether to keep or to replace what is stored."
        )
    differing = int(np.count_nonzero(differs))
    if on_conflict == "replace" and differing:
        old = take_bars(old, np.arange(old.total))  # a copy: stored bars may be views of a file
        for ours, theirs in zip(old[1:], new[1:], strict=True):
            ours[place[differs]] = theirs[differs]
    if known.all():
        return old, differing
    joined = join_bars([old, take_bars(new, ~known)])
    return take_bars(joined, np.argsort(joined.time_ms, kind="stable")), differing


def join_bars(parts: Sequence[Bars]) -> Bars:
    """The parts one after the other, as they come."""
    return Bars(
        np.concatenate([part.time_ms for part in parts]),
        *(np.concatenate([part[column] for part in parts]) for column in range(1, 6)),  # pyright: ignore[reportArgumentType]
    )


def _show_bar(bars: Bars, at: int) -> str:
    names = Bars._fields[1:]
    return ", ".join(f"{name} {column[at].item()!r}" for name, column in zip(names, bars[1:], strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class TimeIndex:
    """The time column without its bytes: a grid with holes.

    Bars stand on the slots of `grid` from number `first_slot` on. Hole k leaves out `hole_bars[k]` of them, from
    `hole_slot[k]` on, counted from the first. So how many bars lie before an instant is known exactly without reading
    a single bar.
    """

    grid: Grid
    first_slot: int
    bars: int
    hole_slot: NDArray[np.int64]
    hole_bars: NDArray[np.int64]
    missing_before: NDArray[np.int64]

    @classmethod
    def of_holes(
        cls, grid: Grid, first_ms: int, bars: int, hole_slot: NDArray[np.int64], hole_bars: NDArray[np.int64]
    ) -> TimeIndex:
        """`first_ms` is the time of the first bar."""
        missing_before = np.concatenate([np.zeros(1, np.int64), np.cumsum(hole_bars)])
        grid = grid.through(first_ms)
        return cls(grid, grid.slot(first_ms), bars, hole_slot, hole_bars, missing_before)

    @classmethod
    def of_times(cls, time_ms: NDArray[np.int64], grid: Grid) -> TimeIndex:
        """Takes strictly increasing times, each the start of a slot."""
        grid = grid.through(int(time_ms[0]))
        slots = grid.slots(time_ms)
        slots -= slots[0]
        skipped = np.diff(slots) - 1
        at = np.flatnonzero(skipped)
        return cls.of_holes(grid, int(time_ms[0]), len(time_ms), slots[at] + 1, skipped[at])

    @property
    def missing_bars(self) -> int:
        return int(self.missing_before[-1])

    @property
    def first_ms(self) -> int:
        return self.grid.start(self.first_slot)

    @property
    def end_ms(self) -> int:
        """Where the last bar ends."""
        return self.grid.start(self.first_slot + self.bars + self.missing_bars)

    def times(self) -> NDArray[np.int64]:
        """The whole time column, int64[bars]."""
        jumps = np.ones(self.bars, np.int64)
        jumps[0] = self.first_slot
        jumps[self.hole_slot - self.missing_before[:-1]] += self.hole_bars
        return self.grid.starts(np.cumsum(jumps))

    def bars_before(self, instant_ms: int) -> int:
        """How many bars start before the instant."""
        slot = self.grid.slot(instant_ms - 1) + 1 - self.first_slot
        slot = min(max(slot, 0), self.bars + self.missing_bars)
        holes = int(np.searchsorted(self.hole_slot, slot))
        ahead = 0
        if holes:
            ahead = max(0, int(self.hole_slot[holes - 1] + self.hole_bars[holes - 1]) - slot)
        return slot - (int(self.missing_before[holes]) - ahead)

    def time_of(self, bar: int) -> int:
        """When bar number `bar` starts."""
        holes = int(np.searchsorted(self.hole_slot - self.missing_before[:-1], bar, side="right"))
        return self.grid.start(self.first_slot + bar + int(self.missing_before[holes]))

    def stretches(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The slots of the first and of the last bar of every stretch without holes, as the grid numbers them."""
        first = np.concatenate([np.zeros(1, np.int64), self.hole_slot + self.hole_bars])
        last = np.concatenate([self.hole_slot, np.array([self.bars + self.missing_bars], np.int64)]) - 1
        return self.first_slot + first, self.first_slot + last

    def gaps(self, calendar: Calendar | None = None) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Gaps worth telling: starts, ends, missing bars (each int64). Bars of closed times are not missing.

        What is closed is read off the series itself, as `hours_of` says. Holidays are gaps. A gap that lies in open and
        closed times counts the bars of the open ones. Where a calendar is named, it says what is closed, holidays too,
        and gaps begin and end with bars that it knows of.
        """
        if calendar:
            return self._gaps_by(calendar)
        missing = self._missing(self._hours())
        told = missing > 0
        begin = self.first_slot + self.hole_slot[told]
        return self.grid.starts(begin), self.grid.starts(begin + self.hole_bars[told]), missing[told]

    def lacking(self, calendar: Calendar | None = None) -> NDArray[np.int64]:
        """How many bars are missed in each hole: not those of closed times, nor of what may be holidays."""
        if calendar:
            return self._missing_by(calendar.open_slots(self.grid))
        hours = self._hours()
        missing = self._missing(hours)
        missing[hours.may_be_holidays(self.bars, self.hole_bars, missing, self.grid.step_ms)] = 0
        return missing

    def judge(self, calendar: Calendar | None = None) -> Judgement:
        """Which of the missing bars may be holidays' and which not. By a calendar none may be."""
        if calendar:
            starts, ends, missing = self._gaps_by(calendar)
            return Judgement(0, int(missing.sum()), bool((ends - starts > LOST_WEEKS_MIN * WEEK_MS).any()))
        hours = self._hours()
        return hours.judge(self.bars, self.hole_bars, self._missing(hours), self.grid.step_ms)

    def _gaps_by(self, calendar: Calendar) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        slots = calendar.open_slots(self.grid)
        missing = self._missing_by(slots)
        told = missing > 0
        first = slots.before(self.first_slot + self.hole_slot[told])
        begin, last = slots.numbered(first), slots.numbered(first + missing[told] - 1)
        return self.grid.starts(begin), self.grid.starts(last + 1), missing[told]

    def _missing_by(self, slots: OpenSlots) -> NDArray[np.int64]:
        begin = self.first_slot + self.hole_slot
        return slots.before(begin + self.hole_bars) - slots.before(begin)

    def _hours(self) -> Hours:
        # Slots are told as times that no clock changes: they need only be as far apart as bars are.
        first, last = self.stretches()
        return hours_of(first * self.grid.step_ms, last * self.grid.step_ms, self.grid.step_ms)

    def _missing(self, hours: Hours) -> NDArray[np.int64]:
        """How many bars of open hours each hole leaves out."""
        if hours.is_open.all():
            return self.hole_bars.copy()
        step_ms = self.grid.step_ms
        begin_ms = (self.first_slot + self.hole_slot) * step_ms
        until_ms = begin_ms + self.hole_bars * step_ms
        return hours.count_open(until_ms, step_ms) - hours.count_open(begin_ms, step_ms)
