"""What a run earned and at what risk. Each figure has one formula, its unit, and None where it is undefined.

Annualised figures use equity at day ends (UTC), with the initial capital before the first day. Percent is percent:
12.5 means 12.5 %. Sums are NumPy's pairwise sums, whose order does not depend on the processor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from worker.engine.trades import Trades

Metrics = dict[str, float | int | None]
Floats = NDArray[np.float64]

DAY_MS = 86_400_000
_SATURDAY, _SUNDAY = 5, 6
_FIRST_SPELLS = 4096  # drawdowns to make room for at first
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
    open_trades: int = 0


def measure(run: Run) -> Metrics:
    """All metrics by their wire names."""
    ends = day_ends(run.time_ms)
    periods = periodic_returns(ends, run.equity, run.initial_capital)
    market = periodic_returns(ends, run.close, float(run.close[0]))
    falls = drawdowns(run.equity, run.initial_capital)
    drawdown = max_drawdown(falls)
    slope = beta(periods, market)
    growth = cagr(run.initial_capital, float(run.equity[-1]), periods.years)
    pnl, percent = run.trades.pnl, run.trades.pnl_percent
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
        "maxDrawdownDuration": max_drawdown_duration(falls, run.time_ms),
        "averageDrawdown": average_drawdown(falls),
        "alpha": alpha(periods, market, slope),
        "beta": slope,
        "turnover": turnover(run.trades, run.equity, periods.years),
        "winRate": win_rate(won, total),
        "profitFactor": profit_factor(won, lost),
        "totalTrades": total,
        "winningTrades": won.shape[0],
        "losingTrades": lost.shape[0],
        "expectancy": expectancy(pnl),
        "averageTrade": _mean(percent) if total else None,
        "bestTrade": float(percent.max()) if total else None,
        "worstTrade": float(percent.min()) if total else None,
        "averageHolding": average_holding(run.trades),
        "maxConsecutiveLosses": max_consecutive_losses(pnl),
        "sqn": sqn(pnl),
        "kelly": kelly(won, lost, total),
        "totalFees": run.total_fees,
        "buyAndHoldReturn": change_percent(float(run.close[0]), float(run.close[-1])),
        "exposure": 100.0 * run.bars_exposed / run.equity.shape[0],
        "ambiguousBars": run.bars_ambiguous,
        "unfilledOrders": run.orders_unfilled,
        "openTrades": run.open_trades,
        "finalEquity": float(run.equity[-1]),
    }
    return {name: value if value is None or math.isfinite(value) else None for name, value in found.items()}


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


class Drawdowns(NamedTuple):
    """Spells below the highest point so far: where each begins (its peak's bar), where it ends, how deep it went."""

    first_bar: NDArray[np.int64]
    last_bar: NDArray[np.int64]  # the bar back at the peak, or the last one
    depth: Floats  # below zero, a share of the peak


def drawdowns(equity: Floats, initial_capital: float) -> Drawdowns:
    """Every spell of `equity` below its highest point so far, the initial capital included."""
    rows = np.empty((_FIRST_SPELLS, 3))
    while (found := find_drawdowns_nb(equity, initial_capital, rows)) > rows.shape[0]:
        rows = np.empty((found, 3))
    first, last, depth = np.ascontiguousarray(rows[:found].T)
    return Drawdowns(first.astype(np.int64), last.astype(np.int64), depth)


@njit(nogil=True, cache=True)
def find_drawdowns_nb(equity: Floats, peak: float, rows: Floats) -> int:
    """One pass that writes (first bar, last bar, depth) of each spell into `rows`, as many as fit; returns how many."""
    total = 0
    lowest = peak  # below the peak inside a spell, else the peak
    first = 0
    bars = equity.shape[0]
    for bar in range(bars + 1):
        value = equity[bar] if bar < bars else np.inf  # the end closes the last spell
        if value < peak:
            if lowest == peak:
                first = max(bar - 1, 0)
            lowest = min(lowest, value)
            continue
        if lowest < peak:
            if total < rows.shape[0]:
                rows[total, 0] = first
                rows[total, 1] = min(bar, bars - 1)
                rows[total, 2] = lowest / peak - 1.0
            total += 1
        lowest = peak = value
    return total


def max_drawdown(falls: Drawdowns) -> float:
    """Deepest fall of equity below its highest point so far, percent, zero or below; judged at every bar.

    min over bars of equity / max(initial capital, equity so far) - 1. Source: Magdon-Ismail & Atiya (2004).
    """
    return float(falls.depth.min()) * 100.0 if falls.depth.shape[0] else 0.0


def max_drawdown_duration(falls: Drawdowns, time_ms: NDArray[np.int64]) -> float:
    """Longest time from a highest point of equity until it is reached again, or until the last bar, days.

    Zero where equity never fell. A first bar below the initial capital counts from its own time. Source: Bacon,
    "Practical Portfolio Performance Measurement and Attribution" (2008), drawdown duration.
    """
    if not falls.depth.shape[0]:
        return 0.0
    return float((time_ms[falls.last_bar] - time_ms[falls.first_bar]).max()) / DAY_MS


def average_drawdown(falls: Drawdowns) -> float:
    """Mean over all spells below the highest point so far of the deepest fall in each, percent, zero or below.

    Source: Bacon (2008), average drawdown, over all drawdowns.
    """
    return _mean(falls.depth) * 100.0 if falls.depth.shape[0] else 0.0


def beta(periods: PeriodicReturns, market: PeriodicReturns) -> float | None:
    """Covariance of returns with those of the symbol's close / variance of the latter, a number.

    None when the close does not vary. Source: Sharpe (1964); empyrical `beta`.
    """
    if periods.values is None or market.values is None or periods.values.shape[0] < 2:
        return None
    deviation = _deviation(market.values)
    if deviation <= _NOISE_SHARE * max(abs(_mean(market.values)), 1.0):
        return None
    moved = market.values - _mean(market.values)
    return float((moved * (periods.values - _mean(periods.values))).sum()) / float((moved * moved).sum())


def alpha(periods: PeriodicReturns, market: PeriodicReturns, slope: float | None) -> float | None:
    """(mean return - beta x mean return of the symbol's close) x periods per year, percent; the riskless rate is zero.

    Source: Jensen (1968); quantstats `greeks`.
    """
    if slope is None or periods.values is None or market.values is None:
        return None
    return (_mean(periods.values) - slope * _mean(market.values)) * periods.per_year * 100.0


def turnover(trades: Trades, equity: Floats, years: float) -> float | None:
    """Value of all entries and exits / 2 / mean equity / years, times a year.

    None where mean equity is not above zero. Source: Bacon (2008), turnover, by half the sum of both sides.
    """
    mean = _mean(equity)
    if mean <= 0.0 or years <= 0.0:
        return None
    return float((trades.quantity * (trades.entry_price + trades.exit_price)).sum()) / 2.0 / mean / years


def win_rate(won: Floats, total: int) -> float | None:
    """Trades with a pnl above zero / all closed trades, percent. None without a trade."""
    return 100.0 * won.shape[0] / total if total else None


def expectancy(pnl: Floats) -> float | None:
    """Mean pnl of closed trades after fees, money. None without a trade. Source: Tharp (1998)."""
    return _mean(pnl) if pnl.shape[0] else None


def average_holding(trades: Trades) -> float | None:
    """Mean time from entry bar to exit bar, both by the time they open, days. None without a trade."""
    if not trades.total:
        return None
    return float((trades.exit_time_ms - trades.entry_time_ms).sum()) / trades.total / DAY_MS


def max_consecutive_losses(pnl: Floats) -> int:
    """Most trades in a row, in the order they closed, that each lost money."""
    lost = np.concatenate(([False], pnl < 0.0, [False])).astype(np.int8)
    edges = np.diff(lost)
    lengths = np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)
    return int(lengths.max()) if lengths.shape[0] else 0


def sqn(pnl: Floats) -> float | None:
    """System quality number: sqrt(trades) x mean pnl / sample standard deviation of pnl, a number.

    None with fewer than two trades or when they do not vary. Source: Tharp, "Trade Your Way to Financial Freedom"
    (1998), on money instead of multiples of risk, as in backtesting.py.
    """
    if pnl.shape[0] < 2:
        return None
    mean, deviation = _mean(pnl), _deviation(pnl)
    return math.sqrt(pnl.shape[0]) * mean / deviation if deviation > _NOISE_SHARE * abs(mean) else None


def kelly(won: Floats, lost: Floats, total: int) -> float | None:
    """Share of trades won - share lost / (mean profit / |mean loss|), percent of equity. None without both.

    Source: Kelly (1956) for two outcomes; Thorp (2006).
    """
    if not won.shape[0] or not lost.shape[0]:
        return None
    payoff = _mean(won) / -_mean(lost)
    return (won.shape[0] - lost.shape[0] / payoff) / total * 100.0


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
}
