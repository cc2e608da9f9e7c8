"""Days and the returns between their ends: what annualised figures are made of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.engine.moments import Floats

DAY_MS = 86_400_000
_SATURDAY, _SUNDAY = 5, 6
_SPARSE_DAYS = 2.5  # points further apart than this on average are not daily data: weekly bars


class DayEnds(NamedTuple):
    """The last bar of every day but the last day, and how many days make a year."""

    bars: NDArray[np.int64]
    per_year: float


def day_ends(time_ms: NDArray[np.int64]) -> DayEnds:
    """Where days (UTC) end among ascending times, at least one.

    A year has 365 periods where the data has bars on a Saturday (UTC), else 252. Markets that rest on Saturday but open
    on Sunday evening (currencies) have that evening counted to Monday. Bars that are more than 2.5 days apart on
    average (weekly ones) have as many periods as fit into 365.25 days.
    """
    first, last = int(time_ms[0]) // DAY_MS, int(time_ms[-1]) // DAY_MS
    days = np.arange(first, last + 1)
    until = np.searchsorted(time_ms, (days + 1) * DAY_MS)  # of the sorted times, far fewer than to divide them all
    bars = np.diff(until, prepend=0)
    weekdays = (days + 3) % 7  # the epoch was a Thursday
    on_weekends = bool(bars[weekdays == _SATURDAY].any())
    if not on_weekends:
        sundays = np.flatnonzero(weekdays[:-1] == _SUNDAY)
        bars[sundays + 1] += bars[sundays]
        bars[sundays] = 0
        if weekdays[-1] == _SUNDAY:
            last += 1
    ends = until[bars > 0][:-1] - 1
    per_year = 365.0 if on_weekends else 252.0
    if ends.shape[0] > 0:
        spoken = days[bars > 0]
        spacing_days = float(last - spoken[0]) / ends.shape[0]
        per_year = 365.25 / spacing_days if spacing_days > _SPARSE_DAYS else per_year
    return DayEnds(ends, per_year)


class PeriodicReturns(NamedTuple):
    """Simple returns per period, None once equity was zero or below, and how many periods make a year."""

    values: Floats | None
    per_year: float
    years: float


def periodic_returns(ends: DayEnds, equity: Floats, initial_capital: float) -> PeriodicReturns:
    """Returns between day ends; the first is measured from the initial capital, the last ends at the last bar."""
    points = np.concatenate(([initial_capital], equity[ends.bars], equity[-1:]))
    values = points[1:] / points[:-1] - 1.0 if float(points.min()) > 0.0 else None
    return PeriodicReturns(values, ends.per_year, (points.shape[0] - 1) / ends.per_year)
