"""Which hours of the week a series is traded in, told from its bars alone, and which of its gaps may be holidays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.candles.grid import DAY_MS, HOUR_MS, WEEK_MS, Instants

_CELL_MS = 900_000
_RARELY, _MOSTLY, _REGULAR = 0.1, 0.9, 0.8
_USUALLY = 0.5
_DAYS_TO_TELL = 3
_WEEKEND = np.array([False, False, True, True, False, False, False])  # of the epoch's week, which began on a Thursday
# China closes for up to seven days of trade in a row, and for 8 % of its weekdays a year: nobody more.
_HOLIDAY_WEEKS_MAX, _HOLIDAY_SHARE_MAX, _HOLIDAYS_ALWAYS = 1.5, 0.08, 2
LOST_WEEKS_MIN = 2
_MARKET_OPEN_MAX = 0.8  # of the week: who closes for less does not rest on weekends


class Judgement(NamedTuple):
    """Of the bars that a series lacks: how many may have been holidays, how many not, and whether weeks are lost.

    Weeks are lost where a series that keeps hours has a gap of more than two.
    """

    holidays: int
    lacking: int
    lost_weeks: bool


@dataclass(frozen=True, slots=True, eq=False)
class Hours:
    """Which cells of `cell_ms` of the week are open, counted from the epoch's midnight on: a Thursday's."""

    cell_ms: int
    is_open: NDArray[np.bool_]

    def count_open(self, until_ms: Instants, step_ms: int) -> Instants:
        """How many bars start in open cells from the epoch to each instant (before the epoch: the same, negative)."""
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(self.is_open)]) * (self.cell_ms // step_ms)
        weeks, into_ms = np.divmod(until_ms, WEEK_MS)
        cell, rest_ms = np.divmod(into_ms, self.cell_ms)
        return weeks * before[-1] + before[cell] + np.where(self.is_open[cell], rest_ms // step_ms, 0)

    def judge(self, bars: int, hole_bars: Instants, missing: Instants, step_ms: int) -> Judgement:
        """What to think of gaps that leave out `hole_bars` of time and `missing` bars of open hours."""
        total = int(missing.sum())
        holidays = int(missing[self.may_be_holidays(bars, hole_bars, missing, step_ms)].sum())
        lost_weeks = self._closes(step_ms) and bool((missing > LOST_WEEKS_MIN * self._a_week(step_ms)).any())
        return Judgement(holidays, total - holidays, lost_weeks)

    def may_be_holidays(self, bars: int, hole_bars: Instants, missing: Instants, step_ms: int) -> NDArray[np.bool_]:
        """Which of these gaps may be holidays.

        A gap may be a holiday where the market closes at all, for more than an hour of maintenance, if it is not longer
        than a week and a half. In bars of less than a day, it must reach into closed hours: what ends in the middle of
        a day of trade is an outage. Where there are more of these than any market has holidays, none is one.
        """
        if not self._closes(step_ms):
            return np.zeros(len(missing), np.bool_)
        a_week = self._a_week(step_ms)
        open_days = int(self.is_open.reshape(7, -1).any(axis=1).sum())
        short = missing <= _HOLIDAY_WEEKS_MAX * a_week
        if step_ms < DAY_MS:
            short &= missing < hole_bars
        most = _HOLIDAY_SHARE_MAX * (bars + int(missing.sum())) + _HOLIDAYS_ALWAYS * a_week / open_days
        return short if int(missing[short].sum()) <= most else np.zeros_like(short)

    def _closes(self, step_ms: int) -> bool:
        """Whether the market closes at all, and for more than an hour of maintenance."""
        most_open = 1.0 if step_ms >= DAY_MS else _MARKET_OPEN_MAX
        return not self.is_open.all() and bool(self.is_open.mean() <= most_open)

    def _a_week(self, step_ms: int) -> int:
        """How many bars a whole week has."""
        return int(self.is_open.sum()) * (self.cell_ms // step_ms)


def hours_of(first_ms: Instants, last_ms: Instants, step_ms: int) -> Hours:
    """The hours of a series whose stretches without holes begin and end with the bars of these times.

    - Bars of a day: a day of the week is closed if it has bars in less than half of the weeks, and if the others have
      bars in 80 % of the weeks on average. Where that is not so, or in less than two weeks: Saturdays and Sundays are,
      if the series has not one of either.
    - Bars of less than a day, of two weeks or more: the week is cut into cells of 15 minutes, or of one bar where bars
      are longer. A week counts where it has a bar at all, from the first bar's cell on. A cell is closed if it has bars
      in less than 90 % of the weeks, and if it and the cell an hour earlier, it and the cell an hour later, or it
      alone, have bars in less than 10 % of the weeks. So an hour that opens or closes with summer time is closed: in
      hardly any week is there trade in it and in the hour beyond it. And the rule holds only where the cells left open
      have bars in 80 % of the weeks on average: what is traded now and then keeps no hours, and all its holes are gaps.
    - Bars of less than a day, of at least three days of trade: the same of the cells of a day, closed if they have bars
      on less than half of the days; on Saturdays and Sundays, where they have none.
    - All others: never closed.
    """
    if step_ms > DAY_MS or len(first_ms) < 2:
        return _always(step_ms)
    long = last_ms[-1] + step_ms - first_ms[0] >= 2 * WEEK_MS
    if step_ms == DAY_MS:
        return _days_of(first_ms, last_ms, bool(long))
    cell_ms = max(step_ms, _CELL_MS)
    return _weeks_hours(first_ms, last_ms, cell_ms) if long else _days_hours(first_ms, last_ms, cell_ms)


def _always(cell_ms: int) -> Hours:
    return Hours(cell_ms, np.ones(max(1, WEEK_MS // cell_ms), np.bool_))


def _fold(
    first_ms: Instants, last_ms: Instants, cell_ms: int, per: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], int]:
    """Whether each cell has bars, in rows of `per` cells from the first one on; which count; the number of the first.

    Without holes a stretch of bars fills every cell it touches: these are looked at, not a million bars.
    """
    first_cell = int(first_ms[0]) // cell_ms
    cells = int(last_ms[-1]) // cell_ms - first_cell + 1
    rows = -(-cells // per)
    edges = np.zeros(rows * per + 1, np.int64)
    np.add.at(edges, first_ms // cell_ms - first_cell, 1)
    np.add.at(edges, last_ms // cell_ms - first_cell + 1, -1)
    traded = (np.cumsum(edges[:-1]) > 0).reshape(rows, per)
    there = (np.arange(rows * per) < cells).reshape(rows, per)
    return traded, traded.any(axis=1, keepdims=True) & there, first_cell


def _days_of(first_ms: Instants, last_ms: Instants, long: bool) -> Hours:
    traded, counted, first_day = _fold(first_ms, last_ms, DAY_MS, 7)
    share = (traded & counted).sum(axis=0) / np.maximum(counted.sum(axis=0), 1)
    usual = share >= _USUALLY
    if not (long and usual.any() and share[usual].mean() >= _REGULAR):
        on_weekends = np.roll(traded.any(axis=0), first_day % 7)[_WEEKEND].any()
        return Hours(DAY_MS, np.ones(7, np.bool_) if on_weekends else ~_WEEKEND)
    return Hours(DAY_MS, np.roll(usual, first_day % 7))


def _weeks_hours(first_ms: Instants, last_ms: Instants, cell_ms: int) -> Hours:
    per_week = WEEK_MS // cell_ms
    traded, counted, first_cell = _fold(first_ms, last_ms, cell_ms, per_week)
    weeks = len(traded)
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
        return _always(cell_ms)
    return Hours(cell_ms, np.roll(is_open, first_cell % per_week))


def _days_hours(first_ms: Instants, last_ms: Instants, cell_ms: int) -> Hours:
    per_day = DAY_MS // cell_ms
    # From midnight on, so that rows are dates.
    traded, _, first_cell = _fold(first_ms, last_ms, cell_ms, per_day)
    lead = first_cell % per_day
    flat = np.concatenate([np.zeros(lead, np.bool_), traded.reshape(-1), np.zeros(-lead % per_day, np.bool_)])
    days = flat.reshape(-1, per_day)
    with_trade = days.any(axis=1)
    share = days[with_trade].mean(axis=0)
    usual = share >= _USUALLY
    if with_trade.sum() < _DAYS_TO_TELL or not usual.any() or share[usual].mean() < _REGULAR:
        return _always(cell_ms)
    is_open = np.tile(usual, (7, 1))
    weekday = (first_cell // per_day + np.arange(len(days))) % 7
    for day in np.flatnonzero(_WEEKEND):
        is_open[day] = days[weekday == day].any(axis=0)
    return Hours(cell_ms, is_open.reshape(-1))
