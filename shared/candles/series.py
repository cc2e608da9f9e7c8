"""What a series of bars must be, where its holes are, and how two parts of one series become one. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars
from shared.errors import ImportRefused
from shared.instants import INTERVAL_MS, iso_from_ms

HOUR_MS, DAY_MS, WEEK_MS = 3_600_000, 86_400_000, 604_800_000
EARLIEST_MS = -9_000_000_000_000  # 1684; nothing older was ever quoted by the bar
PRICE_MIN, PRICE_MAX = 1e-15, 1e15  # what is traded lies between; beyond, quantities and values would overflow
PRICE_COLUMNS = ("open", "high", "low", "close")
OnConflict = Literal["refuse", "keep", "replace"]
# The rule of `TimeIndex.gaps`.
_CELL_MS = 900_000
_RARELY, _MOSTLY, _REGULAR = 0.1, 0.9, 0.8
_SATURDAY_AND_SUNDAY = (2, 3)  # days since 1970-01-01, a Thursday, modulo 7


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


def first_fault(bars: Bars, interval: str, now_ms: int, from_end: bool = False) -> Fault | None:
    """The fault of the earliest bar, or None. Vectorised: one pass over each column.

    `from_end`: the fault of the latest bar, which a file of newest first has on its first line.
    """
    found = [
        _fault(bad, column, values, reason, remedy, from_end)
        for bad, column, values, reason, remedy in _checks(bars, interval, now_ms)
    ]
    faults = [fault for fault in found if fault is not None]
    choose = max if from_end else min
    return choose(faults, key=lambda fault: fault.bar) if faults else None


# Which bars are wrong, the column and its values, what is wrong and what to do.
_Check = tuple[NDArray[np.bool_], str, NDArray[np.generic], str, str]


def _checks(bars: Bars, interval: str, now_ms: int) -> Iterator[_Check]:
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
    for bad, reason, remedy in _time_checks(bars.time_ms, interval, now_ms):
        yield bad, "time", bars.time_ms, reason, remedy


def _time_checks(
    time_ms: NDArray[np.int64], interval: str, now_ms: int
) -> Iterator[tuple[NDArray[np.bool_], str, str]]:
    step_ms = INTERVAL_MS[interval]
    finished = f"bars must be finished by now, {iso_from_ms(now_ms)}; remove it"
    yield time_ms + step_ms > now_ms, f"is the start of a {interval} bar still to end", finished
    yield time_ms < EARLIEST_MS, "is before the year 1684", "check the unit of the times"
    yield (
        time_ms % min(step_ms, DAY_MS) != 0,
        f"is not the start of a {interval} bar in UTC",
        "name the right interval, or give the times in UTC (a daily bar by its date)",
    )
    steps = np.diff(time_ms)
    later = np.concatenate([[False], steps <= 0])
    yield later, "is not later than the bar before", "sort the bars and remove repeated ones"
    uneven = np.concatenate([[False], steps % step_ms != 0])
    yield uneven, f"is not a whole number of {interval} after the bar before", "name the right interval"


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
            "Nothing was imported; remove the bars that differ, import under another symbol, or say with ⟦on_conflict⟧ "
            "whether to keep or to replace what is stored."
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
    """The time column without its bytes: a regular grid with holes.

    Bars stand on slots `first_ms + slot * step_ms`. Hole k leaves out `hole_bars[k]` slots from `hole_slot[k]` on.
    So how many bars lie before an instant is known exactly without reading a single bar.
    """

    first_ms: int
    step_ms: int
    bars: int
    hole_slot: NDArray[np.int64]
    hole_bars: NDArray[np.int64]
    missing_before: NDArray[np.int64]

    @classmethod
    def of_holes(
        cls, first_ms: int, step_ms: int, bars: int, hole_slot: NDArray[np.int64], hole_bars: NDArray[np.int64]
    ) -> TimeIndex:
        missing_before = np.concatenate([np.zeros(1, np.int64), np.cumsum(hole_bars)])
        return cls(first_ms, step_ms, bars, hole_slot, hole_bars, missing_before)

    @classmethod
    def of_times(cls, time_ms: NDArray[np.int64], step_ms: int) -> TimeIndex:
        """Takes strictly increasing times whose steps are multiples of `step_ms`."""
        slots = (time_ms - time_ms[0]) // step_ms
        skipped = np.diff(slots) - 1
        at = np.flatnonzero(skipped)
        return cls.of_holes(int(time_ms[0]), step_ms, len(time_ms), slots[at] + 1, skipped[at])

    @property
    def missing_bars(self) -> int:
        return int(self.missing_before[-1])

    @property
    def end_ms(self) -> int:
        """Where the last bar ends."""
        return self.first_ms + (self.bars + self.missing_bars) * self.step_ms

    def times(self) -> NDArray[np.int64]:
        """The whole time column, int64[bars]."""
        jumps = np.ones(self.bars, np.int64)
        jumps[0] = 0
        jumps[self.hole_slot - self.missing_before[:-1]] += self.hole_bars
        return self.first_ms + self.step_ms * np.cumsum(jumps)

    def bars_before(self, instant_ms: int) -> int:
        """How many bars start before the instant."""
        slot = min(max(-((self.first_ms - instant_ms) // self.step_ms), 0), self.bars + self.missing_bars)
        holes = int(np.searchsorted(self.hole_slot, slot))
        ahead = 0
        if holes:
            ahead = max(0, int(self.hole_slot[holes - 1] + self.hole_bars[holes - 1]) - slot)
        return slot - (int(self.missing_before[holes]) - ahead)

    def time_of(self, bar: int) -> int:
        """When bar number `bar` starts."""
        holes = int(np.searchsorted(self.hole_slot - self.missing_before[:-1], bar, side="right"))
        return self.first_ms + (bar + int(self.missing_before[holes])) * self.step_ms

    def gaps(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Gaps worth telling: starts, ends, missing bars (each int64). Bars of closed times are not missing.

        What is closed is read off the series itself:

        - Bars of a day: Saturdays and Sundays, if the series has not one of either.
        - Bars of less than a day, of two weeks or more: the week is cut into cells of 15 minutes, or of one bar where
          bars are longer. A week counts where it has a bar at all, from the first bar's cell on. A cell is closed if
          it has bars in less than 90 % of the weeks, and if it and the cell an hour earlier, it and the cell an hour
          later, or it alone, have bars in less than 10 % of the weeks. So an hour that opens or closes with summer
          time is closed: in hardly any week is there trade in it and in the hour beyond it. And the rule holds only
          where the cells left open have bars in 80 % of the weeks on average: what is traded now and then keeps no
          hours, and all its holes are gaps.
        - Longer bars: nothing.

        Holidays are gaps. A gap that lies in open and closed times counts the bars of the open ones.
        """
        start_ms = self.first_ms + self.hole_slot * self.step_ms
        end_ms = start_ms + self.hole_bars * self.step_ms
        missing = self.hole_bars
        if not missing.size:
            return start_ms, end_ms, missing
        if self.step_ms == DAY_MS and not np.isin(self.times() // DAY_MS % 7, _SATURDAY_AND_SUNDAY).any():
            days = [edge.astype("datetime64[ms]").astype("datetime64[D]") for edge in (start_ms, end_ms)]
            missing = np.asarray(np.busday_count(days[0], days[1]), np.int64)
        elif self.step_ms < DAY_MS and self.end_ms - self.first_ms >= 2 * WEEK_MS:
            cell_ms = max(self.step_ms, _CELL_MS)
            is_open = self._open_cells(cell_ms)
            missing = _count_open(end_ms, cell_ms, self.step_ms, is_open)
            missing -= _count_open(start_ms, cell_ms, self.step_ms, is_open)
        told = missing > 0
        return start_ms[told], end_ms[told], missing[told]

    def _open_cells(self, cell_ms: int) -> NDArray[np.bool_]:
        """Which cells of the week, counted from the epoch's midnight on, are open by the rule of `gaps`."""
        per_week = WEEK_MS // cell_ms
        # Without holes a stretch of bars fills every cell it touches: these are looked at, not a million bars.
        part_start = np.concatenate([[self.first_ms], self.first_ms + (self.hole_slot + self.hole_bars) * self.step_ms])
        part_last = np.concatenate([self.first_ms + (self.hole_slot - 1) * self.step_ms, [self.end_ms - self.step_ms]])
        first_cell = self.first_ms // cell_ms
        cells = int(part_last[-1]) // cell_ms - first_cell + 1
        weeks = -(-cells // per_week)
        edges = np.zeros(weeks * per_week + 1, np.int64)
        np.add.at(edges, part_start // cell_ms - first_cell, 1)
        np.add.at(edges, part_last // cell_ms - first_cell + 1, -1)
        traded = (np.cumsum(edges[:-1]) > 0).reshape(weeks, per_week)
        any_trade = traded.any(axis=1, keepdims=True)
        counted: NDArray[np.bool_] = any_trade & (np.arange(weeks * per_week) < cells).reshape(weeks, per_week)
        total = np.maximum(counted.sum(axis=0), 1)
        share = (traded & counted).sum(axis=0) / total
        hour = max(1, HOUR_MS // cell_ms)
        flat = traded.reshape(-1)
        shut = share < _RARELY
        for shift in (-hour, hour):
            both = (flat & np.roll(flat, shift)).reshape(weeks, per_week)
            shut |= (both & counted).sum(axis=0) / total < _RARELY
        is_open = ~(shut & (share < _MOSTLY))
        if not is_open.any() or share[is_open].mean() < _REGULAR:
            return np.ones(per_week, np.bool_)
        return np.roll(is_open, first_cell % per_week)


def _count_open(
    until_ms: NDArray[np.int64], cell_ms: int, step_ms: int, is_open: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """How many bars start in open cells from the epoch to each instant (before the epoch: the same, negative)."""
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(is_open)]) * (cell_ms // step_ms)
    weeks, into_ms = np.divmod(until_ms, WEEK_MS)
    cell, rest_ms = np.divmod(into_ms, cell_ms)
    return weeks * before[-1] + before[cell] + np.where(is_open[cell], rest_ms // step_ms, 0)
