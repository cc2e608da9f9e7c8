"""What a run earned and at what risk. Each figure has one formula, its unit, and None where it is undefined.

Annualised figures use equity at day ends (UTC), with the initial capital before the first day. Percent is percent:
12.5 means 12.5 %. Sums are NumPy's pairwise sums, whose order does not depend on the processor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.moments import Floats, mean_of
from shared.periods import day_ends, periodic_returns
from worker.engine.drawdowns import average_drawdown, drawdowns, max_drawdown, max_drawdown_duration
from worker.engine.ratios import (
    alpha,
    beta,
    cagr,
    calmar_ratio,
    change_percent,
    sharpe_ratio,
    sortino_ratio,
    volatility,
)
from worker.engine.trade_figures import (
    average_holding,
    expectancy,
    kelly,
    max_consecutive_losses,
    profit_factor,
    sqn,
    turnover,
    win_rate,
)
from worker.engine.trades import Trades

Metrics = dict[str, float | int | None]


class Course(NamedTuple):
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
    open_trades: int = 0
    periods_per_year: float | None = None


def measure(course: Course) -> Metrics:
    """All metrics by their wire names."""
    ends = day_ends(course.time_ms, course.periods_per_year)
    periods = periodic_returns(ends, course.equity, course.initial_capital)
    market = periodic_returns(ends, course.close, float(course.close[0]))
    falls = drawdowns(course.equity, course.initial_capital)
    drawdown = max_drawdown(falls)
    slope = beta(periods, market)
    growth = cagr(course.initial_capital, float(course.equity[-1]), ends.years)
    pnl, percent = course.trades.pnl, course.trades.pnl_percent
    won, lost = pnl[pnl > 0.0], pnl[pnl < 0.0]
    total = pnl.shape[0]
    found: Metrics = {
        "totalReturn": change_percent(course.initial_capital, float(course.equity[-1])),
        "cagr": growth,
        "volatility": volatility(periods),
        "sharpeRatio": sharpe_ratio(periods),
        "sortinoRatio": sortino_ratio(periods),
        "calmarRatio": calmar_ratio(growth, drawdown),
        "maxDrawdown": drawdown,
        "maxDrawdownDuration": max_drawdown_duration(falls, course.time_ms),
        "averageDrawdown": average_drawdown(falls),
        "alpha": alpha(periods, market, slope),
        "beta": slope,
        "turnover": turnover(course.trades, course.equity, ends.years),
        "winRate": win_rate(won, total),
        "profitFactor": profit_factor(won, lost),
        "totalTrades": total,
        "winningTrades": won.shape[0],
        "losingTrades": lost.shape[0],
        "expectancy": expectancy(pnl),
        "averageTrade": mean_of(percent) if total else None,
        "bestTrade": float(percent.max()) if total else None,
        "worstTrade": float(percent.min()) if total else None,
        "averageHolding": average_holding(course.trades),
        "maxConsecutiveLosses": max_consecutive_losses(pnl),
        "sqn": sqn(pnl),
        "kelly": kelly(won, lost, total),
        "totalFees": course.total_fees,
        "buyAndHoldReturn": change_percent(float(course.close[0]), float(course.close[-1])),
        "exposure": 100.0 * course.bars_exposed / course.equity.shape[0],
        "ambiguousBars": course.bars_ambiguous,
        "unfilledOrders": course.orders_unfilled,
        "openTrades": course.open_trades,
        "finalEquity": float(course.equity[-1]),
        "periodsPerYear": ends.per_year,
    }
    return {name: value if value is None or math.isfinite(value) else None for name, value in found.items()}


# What each figure is, for the page of documentation: the function that computes it, or a sentence.
DEFINITIONS: dict[str, Callable[..., Any] | str] = {
    "totalReturn": "Equity at the last bar / initial capital - 1, percent.",
    "cagr": cagr,
    "volatility": volatility,
    "sharpeRatio": sharpe_ratio,
    "sortinoRatio": sortino_ratio,
    "calmarRatio": calmar_ratio,
    "maxDrawdown": max_drawdown,
    "maxDrawdownDuration": max_drawdown_duration,
    "averageDrawdown": average_drawdown,
    "alpha": alpha,
    "beta": beta,
    "turnover": turnover,
    "winRate": win_rate,
    "profitFactor": profit_factor,
    "totalTrades": "Closed trades, a count.",
    "winningTrades": "Closed trades with a pnl above zero, a count.",
    "losingTrades": "Closed trades with a pnl below zero, a count.",
    "expectancy": expectancy,
    "averageTrade": "Mean of pnl after fees / entry value over closed trades, percent. None without a trade.",
    "bestTrade": "Largest pnl after fees / entry value, percent. None without a trade.",
    "worstTrade": "Smallest pnl after fees / entry value, percent. None without a trade.",
    "averageHolding": average_holding,
    "maxConsecutiveLosses": max_consecutive_losses,
    "sqn": sqn,
    "kelly": kelly,
    "totalFees": "Sum of the fees of all fills, money.",
    "buyAndHoldReturn": "Last close / first close - 1, percent.",
    "exposure": "Bars during which a trade was open / all bars, percent.",
    "ambiguousBars": "Bars in which one trade reached both its target and its stop or liquidation, a count.",
    "unfilledOrders": "Orders that found no money, no whole lot or no true range to measure a level with, a count.",
    "openTrades": "Trades left open at the last bar, marked at its close, a count.",
    "finalEquity": "Equity at the last bar, money.",
    "periodsPerYear": "Periods that make a year in annualised figures: what the request says, or as many as were seen, "
    "a number.",
}
