"""Days and the returns between their ends: what annualised figures are made of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.moments import Floats

DAY_MS = 86_400_000
YEAR_DAYS = 365.25
_NOON_MS = DAY_MS // 2
_SATURDAY = 5
_PART_SHARE = 0.5  # A weekday with fewer bars than this share of the usual is the rest of its neighbour.
_KEPT_SHARE = 0.25  # A weekday that is open less often than this is no part of the week.
_SPARSE_DAYS = 2.5  # Points further apart than this are not daily data: weeks, months.
_HOLE_DAYS = 14  # No market rests for longer.
_HOLE_SPACINGS = 4

Days = NDArray[np.int64]


class DayEnds(NamedTuple):
    """The last bar of every day but the last day, how many days make a year, and the years from first to last bar."""

    bars: NDArray[np.int64]
    per_year: float
    years: float


class PeriodicReturns(NamedTuple):
    """Simple returns per period, None once equity was zero or below, and how many periods make a year."""

    values: Floats | None
    per_year: float


def day_ends(time_ms: NDArray[np.int64], per_year: float | None = None) -> DayEnds:
    """Where days (UTC) end among ascending times, at least one. `per_year` is what a request says, or what is seen.

    A weekday that usually has less than half of the bars that other weekdays have is no day of its own: the Sunday
    evening on which currencies open belongs to Monday, what of a Friday's session lies behind midnight to Friday.
    Years are calendar time, from the first bar's time to the last one's, over 365.25 days.
    """
    first, last = int(time_ms[0]) // DAY_MS, int(time_ms[-1]) // DAY_MS
    days = np.arange(first, last + 1)
    until = np.searchsorted(time_ms, (days + 1) * DAY_MS)  # of the sorted times, far fewer than to divide them all
    counts = np.diff(until, prepend=0)
    open_days, until, counts = days[counts > 0], until[counts > 0], counts[counts > 0]
    owners = _owners(open_days, counts, time_ms[until - counts])
    turns = np.flatnonzero(owners[1:] != owners[:-1])
    spoken = owners[np.append(turns, owners.shape[0] - 1)]
    years = float(time_ms[-1] - time_ms[0]) / DAY_MS / YEAR_DAYS
    return DayEnds(until[turns] - 1, per_year or periods_per_year(spoken), years)


def _owners(days: Days, counts: Days, opened_ms: Days) -> Days:
    """To which day the bars of each day belong."""
    if counts.min() >= _PART_SHARE * counts.max():
        return days  # No weekday can have so few; and medians take longer than all other figures of a short run.
    weekdays = _weekdays(days)
    usual = np.array([np.median(counts[weekdays == one]) if (weekdays == one).any() else np.nan for one in range(7)])
    part = (usual < _PART_SHARE * np.nanmedian(usual))[weekdays]
    to = np.where(opened_ms % DAY_MS < _NOON_MS, -1, 1)
    owners: Days = np.where(part, days + to, days)
    return np.maximum.accumulate(owners)


def periods_per_year(days: Days) -> float:
    """How many of such periods make a year: as many as were seen in the time that was observed, over 365.25 days.

    `days` are ascending days since 1970, one for each period. Data that is daily or denser is judged by its weeks: the
    weekdays on which it is open (a single odd Saturday adds no day to the week), times the share of them that has
    bars, which leaves holidays out. Of a series of less than a week Monday to Friday are taken for open. Periods that
    are further apart (weeks, months) count by their distances. A hole of more than 14 days, and of more than four times
    the usual distance, is not observed time.
    """
    gaps = np.diff(days)
    spacing = float(np.median(gaps)) if gaps.shape[0] else 1.0
    holes = np.flatnonzero(gaps > max(_HOLE_DAYS, _HOLE_SPACINGS * spacing))
    if spacing > _SPARSE_DAYS:
        return YEAR_DAYS * (gaps.shape[0] - holes.shape[0]) / float(gaps.sum() - gaps[holes].sum())
    could = _days_of_week(_all_days(int(days[0]), int(days[-1]) + 1))
    for hole in holes:
        could -= _days_of_week(_all_days(int(days[hole]) + 1, int(days[hole + 1])))
    were = _days_of_week(days)
    week = (were > 0) & (were >= _KEPT_SHARE * could)
    share = days.shape[0] / float(could[week].sum())
    unseen = could == 0
    unseen[_SATURDAY:] &= bool(week[_SATURDAY:].any())
    return YEAR_DAYS / 7 * float((week | unseen).sum()) * share


def _all_days(first: int, until: int) -> Days:
    return np.arange(first, until, dtype=np.int64)


def _weekdays(days: Days) -> Days:
    return (days + 3) % 7  # 0 is Monday: the epoch was a Thursday


def _days_of_week(days: Days) -> Days:
    """How many of these days are Mondays, Tuesdays, …"""
    return np.bincount(_weekdays(days), minlength=7)


def periodic_returns(ends: DayEnds, equity: Floats, initial_capital: float) -> PeriodicReturns:
    """Returns between day ends; the first is measured from the initial capital, the last ends at the last bar."""
    points = np.concatenate(([initial_capital], equity[ends.bars], equity[-1:]))
    values = points[1:] / points[:-1] - 1.0 if float(points.min()) > 0.0 else None
    return PeriodicReturns(values, ends.per_year)
