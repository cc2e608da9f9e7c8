"""What a run earned and at what risk. Each figure has one formula, its unit, and None where it is undefined.

Annualised figures use equity at day ends (UTC), with the initial capital before the first day. Percent is percent:
12.5 means 12.5 %. Sums are NumPy's pairwise sums, whose order does not depend on the processor.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.engine.trades import Trades

Metrics = dict[str, float | int | None]
Floats = NDArray[np.float64]

DAY_MS = 86_400_000
_SATURDAY, _SUNDAY = 5, 6
_SPARSE_DAYS = 2.5  # points further apart than this on average are not daily data: weekly bars
_NOISE_SHARE = 1e-12  # a spread this small beside its mean is rounding, and a ratio over it means nothing


class Run(NamedTuple):
    """What the figures are computed from. Equity, time and close have one entry per processed bar, at least one."""

    time_ms: NDArray[np.int64]
    close: Floats
    equity: Floats
    initial_capital: float
    trades: Trades
    total_fees: float
    bars_exposed: int
    bars_ambiguous: int
    orders_unfilled: int


def measure(run: Run) -> Metrics:
    """All metrics by their wire names."""
    periods = periodic_returns(run.time_ms, run.equity, run.initial_capital)
    drawdown = max_drawdown(run.equity, run.initial_capital)
    growth = cagr(run.initial_capital, float(run.equity[-1]), periods.years)
    pnl = run.trades.pnl
    won, lost = pnl[pnl > 0.0], pnl[pnl < 0.0]
    total = pnl.shape[0]
    found: Metrics = {
        "totalReturn": change_percent(run.initial_capital, float(run.equity[-1])),
        "cagr": growth,
        "volatility": volatility(periods),
        "sharpeRatio": sharpe_ratio(periods),
        "sortinoRatio": sortino_ratio(periods),
        "calmarRatio": calmar_ratio(growth, drawdown),
        "maxDrawdown": drawdown,
        "winRate": 100.0 * won.shape[0] / total if total else None,
        "profitFactor": profit_factor(won, lost),
        "totalTrades": total,
        "winningTrades": won.shape[0],
        "losingTrades": lost.shape[0],
        "expectancy": float(pnl.sum()) / total if total else None,
        "totalFees": run.total_fees,
        "buyAndHoldReturn": change_percent(float(run.close[0]), float(run.close[-1])),
        "exposure": 100.0 * run.bars_exposed / run.equity.shape[0],
        "ambiguousBars": run.bars_ambiguous,
        "unfilledOrders": run.orders_unfilled,
        "finalEquity": float(run.equity[-1]),
    }
    return {name: value if value is None or math.isfinite(value) else None for name, value in found.items()}


class PeriodicReturns(NamedTuple):
    """Simple returns per period, None once equity was zero or below, and how many periods make a year."""

    values: Floats | None
    per_year: float
    years: float


def periodic_returns(time_ms: NDArray[np.int64], equity: Floats, initial_capital: float) -> PeriodicReturns:
    """Returns between day ends; the first is measured from the initial capital.

    A year has 365 periods where the data has bars on a Saturday (UTC), else 252. Markets that rest on Saturday but open
    on Sunday evening (currencies) have that evening counted to Monday. Bars that are more than 2.5 days apart on
    average (weekly ones) have as many periods as fit into 365.25 days.
    """
    days = time_ms // DAY_MS
    weekdays = (days + 3) % 7  # the epoch was a Thursday
    on_weekends = bool((weekdays == _SATURDAY).any())
    if not on_weekends:
        days = days + (weekdays == _SUNDAY)
    ends = np.flatnonzero(days[1:] != days[:-1])
    points = np.empty(ends.shape[0] + 2)
    points[0] = initial_capital
    points[1:-1] = equity[ends]
    points[-1] = equity[-1]
    per_year = 365.0 if on_weekends else 252.0
    if ends.shape[0] > 0:
        spacing_days = float(days[-1] - days[0]) / ends.shape[0]
        per_year = 365.25 / spacing_days if spacing_days > _SPARSE_DAYS else per_year
    values = points[1:] / points[:-1] - 1.0 if float(points.min()) > 0.0 else None
    return PeriodicReturns(values, per_year, (points.shape[0] - 1) / per_year)


def change_percent(before: float, after: float) -> float:
    """(after / before - 1) x 100, percent. `totalReturn` of equity; `buyAndHoldReturn` from first to last close."""
    return (after / before - 1.0) * 100.0


def cagr(initial: float, final: float, years: float) -> float | None:
    """Compound annual growth, percent: ((final / initial) ^ (1 / years) - 1) x 100, years = periods / periods per year.

    None when nothing is left. Source: empyrical `cagr`.
    """
    if final <= 0.0 or years <= 0.0:
        return None
    try:
        return ((final / initial) ** (1.0 / years) - 1.0) * 100.0
    except OverflowError:
        return None


def volatility(periods: PeriodicReturns) -> float | None:
    """Sample standard deviation of returns x sqrt(periods per year), percent. Source: empyrical `annual_volatility`."""
    if periods.values is None or periods.values.shape[0] < 2:
        return None
    return _deviation(periods.values) * math.sqrt(periods.per_year) * 100.0


def sharpe_ratio(periods: PeriodicReturns) -> float | None:
    """Mean return / sample standard deviation x sqrt(periods per year), a number; the riskless rate is zero.

    None when returns do not vary. Source: Sharpe (1994); empyrical `sharpe_ratio`.
    """
    if periods.values is None or periods.values.shape[0] < 2:
        return None
    mean = _mean(periods.values)
    deviation = _deviation(periods.values)
    return mean / deviation * math.sqrt(periods.per_year) if deviation > _NOISE_SHARE * abs(mean) else None


def sortino_ratio(periods: PeriodicReturns) -> float | None:
    """Mean return / sqrt(mean of min(return, 0)^2) x sqrt(periods per year), a number; the required return is zero.

    None when no return is below zero. Source: Sortino & Price (1994); empyrical `sortino_ratio`.
    """
    if periods.values is None or periods.values.shape[0] < 2:
        return None
    below = np.minimum(periods.values, 0.0)
    downside = math.sqrt(_mean(below * below))
    return _mean(periods.values) / downside * math.sqrt(periods.per_year) if downside > 0.0 else None


def max_drawdown(equity: Floats, initial_capital: float) -> float:
    """Deepest fall of equity below its highest point so far, percent, zero or below; judged at every bar.

    min over bars of equity / max(initial capital, equity so far) - 1. Source: Magdon-Ismail & Atiya (2004).
    """
    peaks = np.maximum.accumulate(equity)
    np.maximum(peaks, initial_capital, out=peaks)
    return min(float((equity / peaks).min()) - 1.0, 0.0) * 100.0


def calmar_ratio(growth: float | None, drawdown: float) -> float | None:
    """cagr / |maxDrawdown|, a number. None without a drawdown. Source: Young (1991)."""
    return growth / -drawdown if growth is not None and drawdown < 0.0 else None


def profit_factor(won: Floats, lost: Floats) -> float | None:
    """Sum of profits / |sum of losses| over closed trades, a number. None without a loss. A pnl of zero is neither."""
    losses = float(lost.sum())
    return float(won.sum()) / -losses if losses < 0.0 else None


def _mean(values: Floats) -> float:
    return float(values.sum()) / values.shape[0]


def _deviation(values: Floats) -> float:
    """Sample standard deviation (n - 1)."""
    spread = values - _mean(values)
    return math.sqrt(float((spread * spread).sum()) / (values.shape[0] - 1))
