"""How many periods make a year, on the calendars that markets have."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import numpy as np
import pytest

from shared.periods import DAY_MS, YEAR_DAYS, day_ends, periods_per_year
from tests.engine.test_metrics import metrics_of

HOUR_MS = 3_600_000
WEEK = YEAR_DAYS / 7


def day(year: int, month: int, day_of_month: int) -> int:
    return (date(year, month, day_of_month) - date(1970, 1, 1)).days


ALL_DAYS = np.arange(day(2000, 1, 3), day(2023, 1, 2))  # whole weeks from a Monday on
WEEKDAYS = (ALL_DAYS + 3) % 7


def open_on(*weekdays: int) -> np.ndarray:
    return ALL_DAYS[np.isin(WEEKDAYS, weekdays)]


MONDAY_TO_FRIDAY = open_on(0, 1, 2, 3, 4)


def without(days: np.ndarray, first: int, last: int) -> np.ndarray:
    return days[(days < first) | (days > last)]


HOLIDAYS = np.random.default_rng(1).choice(len(MONDAY_TO_FRIDAY) - 2, 9 * 23, replace=False) + 1
CALENDARS: dict[str, tuple[np.ndarray, float, float]] = {
    # days, periods a year, relative tolerance
    "Monday to Friday": (MONDAY_TO_FRIDAY, 5 * WEEK, 1e-12),
    "with nine holidays a year": (np.delete(MONDAY_TO_FRIDAY, HOLIDAYS), 5 * WEEK - 9, 1e-4),
    "with one odd Saturday": (np.union1d(MONDAY_TO_FRIDAY, open_on(5)[300:301]), 5 * WEEK, 2e-4),
    "with two odd Saturdays a year": (np.union1d(MONDAY_TO_FRIDAY, open_on(5)[::26]), 5 * WEEK + 2, 1e-3),
    "Sunday to Thursday": (open_on(6, 0, 1, 2, 3), 5 * WEEK, 1e-12),
    "Monday to Saturday": (open_on(0, 1, 2, 3, 4, 5), 6 * WEEK, 1e-12),
    "Monday, Wednesday, Friday": (open_on(0, 2, 4), 3 * WEEK, 1e-12),
    "every day": (ALL_DAYS, YEAR_DAYS, 1e-12),
    "every second day": (ALL_DAYS[::2], YEAR_DAYS / 2, 1e-3),
    "weeks": (open_on(4), WEEK, 1e-12),
    "months": (np.array([day(y, m, 1) for y in range(2000, 2010) for m in range(1, 13)]), 12.0, 1e-4),
    "weekdays without two months": (
        without(MONDAY_TO_FRIDAY[:261], day(2000, 3, 1), day(2000, 4, 30)),
        5 * WEEK,
        1e-12,
    ),
    "every day without a year": (without(ALL_DAYS, day(2010, 1, 1), day(2010, 12, 31)), YEAR_DAYS, 1e-12),
    "one week": (MONDAY_TO_FRIDAY[:5], 5 * WEEK, 1e-12),
    "one week of every day": (ALL_DAYS[:7], YEAR_DAYS, 1e-12),
    "from Wednesday to Wednesday": (MONDAY_TO_FRIDAY[2:8], 5 * WEEK, 1e-12),
    "two days": (MONDAY_TO_FRIDAY[:2], 5 * WEEK, 1e-12),
    "one day": (MONDAY_TO_FRIDAY[:1], 5 * WEEK, 1e-12),
    "one Saturday": (open_on(5)[:1], YEAR_DAYS, 1e-12),
}


@pytest.mark.parametrize(("days", "expected", "tolerance"), CALENDARS.values(), ids=CALENDARS)
def test_a_year_has_the_periods_that_were_seen(days: np.ndarray, expected: float, tolerance: float) -> None:
    assert periods_per_year(days) == pytest.approx(expected, rel=tolerance)
    assert day_ends(days * DAY_MS).per_year == periods_per_year(days)


def hours_of(days: np.ndarray, hours: Any) -> np.ndarray:
    """These hours of each day; from 24 on they are the next day's."""
    return np.concatenate([one * 24 + np.array(hours) for one in days]) * HOUR_MS


def test_what_is_traded_after_midnight_belongs_to_the_day_before() -> None:
    """Hours with extended sessions end at 01:00 UTC in winter: on Saturdays, too."""
    winter, summer = MONDAY_TO_FRIDAY[:110], MONDAY_TO_FRIDAY[110:260]
    time_ms = np.concatenate([hours_of(winter, range(9, 25)), hours_of(summer, range(8, 24))])
    found = day_ends(time_ms)
    assert found.per_year == pytest.approx(5 * WEEK)
    assert len(found.bars) + 1 == 260
    assert time_ms[found.bars[4]] == MONDAY_TO_FRIDAY[4] * DAY_MS + 24 * HOUR_MS  # the first Friday's last bar


def test_missing_minutes_are_no_missing_days() -> None:
    minutes = np.arange(ALL_DAYS[0] * 1440, (ALL_DAYS[0] + 90) * 1440)
    kept = minutes[np.random.default_rng(2).random(len(minutes)) > 0.4] * 60_000
    assert day_ends(kept).per_year == pytest.approx(YEAR_DAYS)


def test_a_request_may_say_how_many_there_are() -> None:
    assert day_ends(MONDAY_TO_FRIDAY * DAY_MS, 252).per_year == 252


@pytest.mark.parametrize(
    "days",
    [
        open_on(6, 0, 1, 2, 3),
        open_on(0, 1, 2, 3, 4, 5),
        without(ALL_DAYS, day(2001, 1, 1), day(2001, 12, 31)),
    ],
    ids=["Sunday to Thursday", "Monday to Saturday", "every day without a year"],
)
def test_growth_is_measured_by_the_calendar(days: np.ndarray) -> None:
    """A price that doubles in about two years grows by some 41.5 % in each, whenever its market is open."""
    two_years = days[(days >= day(2000, 6, 1)) & (days < day(2002, 6, 1))]
    equity = (100.0 * np.exp2(np.arange(1, len(two_years) + 1) / len(two_years))).tolist()
    years = (two_years[-1] - two_years[0]) / YEAR_DAYS
    found = metrics_of(equity, two_years * DAY_MS)["cagr"]
    assert found == pytest.approx(100 * (math.exp2(1 / years) - 1), rel=1e-12)
    assert found == pytest.approx(41.5, abs=0.3)


def test_one_odd_saturday_changes_no_figure_by_a_percent() -> None:
    week = MONDAY_TO_FRIDAY[:1300]
    odd = np.union1d(week, open_on(5)[100:101])
    walk = 100.0 * np.exp(np.cumsum(np.random.default_rng(3).normal(0.0005, 0.01, len(odd))))
    place = int(np.searchsorted(odd, open_on(5)[100]))
    with_it = metrics_of(walk.tolist(), odd * DAY_MS)
    without_it = metrics_of(np.delete(walk, place).tolist(), week * DAY_MS)
    for name in ("sharpeRatio", "volatility", "cagr", "sortinoRatio"):
        assert with_it[name] == pytest.approx(without_it[name], rel=0.01), name
