"""Curves beside the equity of a run, and its returns by the calendar."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.moments import NOISE_SHARE, Floats
from shared.periods import YEAR_DAYS, DayEnds, periodic_returns

Rows = NDArray[np.int64]

RETURNS_MIN = 20  # A deviation of fewer says little.
WINDOW_MAX = 366
_ENDS_AT_ONCE = 1_000


def underwater(equity: Floats, initial_capital: float) -> Floats:
    """Equity / its highest point so far - 1, at each bar, a fraction, zero or below; the initial capital is the first
    point. The lowest is `maxDrawdown`. Source: Magdon-Ismail & Atiya (2004).
    """
    highest = np.maximum.accumulate(equity)
    return equity / np.maximum(highest, initial_capital, out=highest) - 1.0


def held(close: Floats, initial_capital: float) -> Floats:
    """The initial capital x close / first close: what it had come to if all of it had been in the symbol since the
    first bar's close, without costs, money. Its last point is that of `buyAndHoldReturn`. None where the bars cannot be
    had.
    """
    return initial_capital * (close / close[0])


def exposed(trades: Mapping[str, NDArray[Any]], close: Floats, equity: Floats, rows: Rows) -> Floats:
    """Value of all trades open at a bar's close, longs and shorts alike, at that close / equity, a fraction.

    Above 1 with leverage; None where equity is not above zero. None for all of them where the bars cannot be had, or
    where trades were left open at the last bar, of which nothing is stored.
    """
    entered, left = np.sort(trades["entry_bar"]), np.sort(trades["exit_bar"])
    of_entered = _sums(trades["quantity"][np.argsort(trades["entry_bar"], kind="stable")])
    of_left = _sums(trades["quantity"][np.argsort(trades["exit_bar"], kind="stable")])
    opened, closed = entered.searchsorted(rows, side="right"), left.searchsorted(rows, side="right")
    quantity = np.where(opened > closed, of_entered[opened] - of_left[closed], 0.0)  # else rounding would stay
    shown = equity[rows]
    return np.divide(
        np.maximum(quantity, 0.0) * close[rows], shown, out=np.full(rows.shape, math.nan), where=shown > 0.0
    )


def _sums(values: Floats) -> Floats:
    return np.concatenate(([0.0], np.cumsum(values)))


class CalendarReturns(NamedTuple):
    """Of each year, or month, that has a bar. `month` is from 1; of a year it is 0."""

    year: Rows
    month: Rows
    value: Floats


def calendar_returns(time_ms: Rows, equity: Floats, initial_capital: float, *, of_months: bool) -> CalendarReturns:
    """Equity at the last bar that opens in a month, or year, / the same of the one before - 1, a fraction.

    The first is measured from the initial capital, so that all of them compound to `totalReturn`. None after an end at
    which equity was not above zero. Months without a bar are left out.
    """
    months = time_ms.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    spans = months if of_months else months // 12
    ends = np.append(np.flatnonzero(spans[1:] != spans[:-1]), spans.shape[0] - 1)
    points = np.concatenate(([initial_capital], equity[ends]))
    before = points[:-1]
    value = np.divide(points[1:], before, out=np.full(ends.shape, math.nan), where=before > 0.0) - 1.0
    return CalendarReturns(1970 + months[ends] // 12, months[ends] % 12 + 1 if of_months else 0 * ends, value)


class RollingSharpe(NamedTuple):
    """`bars` are those at which each window ends. A window has `window_returns`, which are about `window_days` days."""

    bars: Rows
    value: Floats
    window_returns: int
    window_days: int


def rolling_sharpe(
    ends: DayEnds, equity: Floats, initial_capital: float, points_max: int, window: int = 0
) -> RollingSharpe | None:
    """`sharpeRatio` of the last returns between day ends, at each day end: of half a year of them, of half of all that
    there are where those are fewer than a year's, of 20 at least and 366 at most.

    None where there are fewer than 20 returns, or equity came to zero; of a window, when its returns do not vary. Of
    more day ends than are asked for, evenly spaced ones. Source: Sharpe (1994).
    """
    periods = periodic_returns(ends, equity, initial_capital)
    if periods.values is None or periods.values.shape[0] < RETURNS_MIN:
        return None
    total = periods.values.shape[0]
    usual = min(round(periods.per_year / 2), total // 2, WINDOW_MAX)
    window = window or min(max(usual, RETURNS_MIN), total)
    windows = np.lib.stride_tricks.sliding_window_view(periods.values, window)
    chosen = np.unique(np.linspace(0, len(windows) - 1, min(points_max, len(windows))).round().astype(np.int64))
    parts = [_sharpe_of(windows[chosen[at : at + _ENDS_AT_ONCE]]) for at in range(0, len(chosen), _ENDS_AT_ONCE)]
    bars = np.append(ends.bars, equity.shape[0] - 1)[chosen + window - 1]
    days = round(window * YEAR_DAYS / periods.per_year)
    return RollingSharpe(bars, np.concatenate(parts) * math.sqrt(periods.per_year), window, days)


def _sharpe_of(windows: NDArray[np.float64]) -> Floats:
    """Mean / sample standard deviation of each row."""
    mean = windows.sum(axis=1) / windows.shape[1]
    spread = windows - mean[:, np.newaxis]
    deviation = np.sqrt((spread * spread).sum(axis=1) / (windows.shape[1] - 1))
    varies = deviation > NOISE_SHARE * np.abs(mean)
    return np.where(varies, mean / np.where(varies, deviation, 1.0), math.nan)
