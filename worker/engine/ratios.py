"""Growth, and its ratios to risk and to the market, of periodic returns."""

from __future__ import annotations

import math

import numpy as np

from shared.moments import NOISE_SHARE, deviation_of, mean_of
from shared.periods import PeriodicReturns


def change_percent(before: float, after: float) -> float:
    """(after / before - 1) x 100, percent. `totalReturn` of equity; `buyAndHoldReturn` from first to last close."""
    return (after / before - 1.0) * 100.0


def cagr(initial: float, final: float, years: float) -> float | None:
    """Compound annual growth, percent: ((final / initial) ^ (1 / years) - 1) x 100, with years of calendar time.

    None when nothing is left, and within one bar. Source: CFA Institute, GIPS (2020), annualised return.
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
    return deviation_of(periods.values) * math.sqrt(periods.per_year) * 100.0


def sharpe_ratio(periods: PeriodicReturns) -> float | None:
    """Mean return / sample standard deviation x sqrt(periods per year), a number; the riskless rate is zero.

    None when returns do not vary. Source: Sharpe (1994); empyrical `sharpe_ratio`.
    """
    if periods.values is None or periods.values.shape[0] < 2:
        return None
    mean = mean_of(periods.values)
    deviation = deviation_of(periods.values)
    return mean / deviation * math.sqrt(periods.per_year) if deviation > NOISE_SHARE * abs(mean) else None


def sortino_ratio(periods: PeriodicReturns) -> float | None:
    """Mean return / sqrt(mean of min(return, 0)^2) x sqrt(periods per year), a number; the required return is zero.

    None when no return is below zero. Source: Sortino & Price (1994); empyrical `sortino_ratio`.
    """
    if periods.values is None or periods.values.shape[0] < 2:
        return None
    below = np.minimum(periods.values, 0.0)
    downside = math.sqrt(mean_of(below * below))
    return mean_of(periods.values) / downside * math.sqrt(periods.per_year) if downside > 0.0 else None


def beta(periods: PeriodicReturns, market: PeriodicReturns) -> float | None:
    """Covariance of returns with those of the symbol's close / variance of the latter, a number.

    None when the close does not vary. Source: Sharpe (1964); empyrical `beta`.
    """
    if periods.values is None or market.values is None or periods.values.shape[0] < 2:
        return None
    deviation = deviation_of(market.values)
    if deviation <= NOISE_SHARE * max(abs(mean_of(market.values)), 1.0):
        return None
    moved = market.values - mean_of(market.values)
    return float((moved * (periods.values - mean_of(periods.values))).sum()) / float((moved * moved).sum())


def alpha(periods: PeriodicReturns, market: PeriodicReturns, slope: float | None) -> float | None:
    """(mean return - beta x mean return of the symbol's close) x periods per year, percent; the riskless rate is zero.

    Source: Jensen (1968); quantstats `greeks`.
    """
    if slope is None or periods.values is None or market.values is None:
        return None
    return (mean_of(periods.values) - slope * mean_of(market.values)) * periods.per_year * 100.0


def calmar_ratio(growth: float | None, drawdown: float) -> float | None:
    """cagr / |maxDrawdown|, a number. None without a drawdown. Source: Young (1991)."""
    return growth / -drawdown if growth is not None and drawdown < 0.0 else None
