"""Figures of closed trades: how often they won, how much, how long they took."""

from __future__ import annotations

import math

import numpy as np

from shared.moments import NOISE_SHARE, Floats, deviation_of, mean_of
from shared.periods import DAY_MS
from worker.engine.trades import Trades


def turnover(trades: Trades, equity: Floats, years: float) -> float | None:
    """Value of all entries and exits / 2 / mean equity / years, times a year.

    None where mean equity is not above zero. Source: Bacon (2008), turnover, by half the sum of both sides.
    """
    mean = mean_of(equity)
    if mean <= 0.0 or years <= 0.0:
        return None
    return float((trades.quantity * (trades.entry_price + trades.exit_price)).sum()) / 2.0 / mean / years


def win_rate(won: Floats, total: int) -> float | None:
    """Trades with a pnl above zero / all closed trades, percent. None without a trade."""
    return 100.0 * won.shape[0] / total if total else None


def expectancy(pnl: Floats) -> float | None:
    """Mean pnl of closed trades after fees, money. None without a trade. Source: Tharp (1998)."""
    return mean_of(pnl) if pnl.shape[0] else None


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
    mean, deviation = mean_of(pnl), deviation_of(pnl)
    return math.sqrt(pnl.shape[0]) * mean / deviation if deviation > NOISE_SHARE * abs(mean) else None


def kelly(won: Floats, lost: Floats, total: int) -> float | None:
    """Share of trades won - share lost / (mean profit / |mean loss|), percent of equity. None without both.

    Source: Kelly (1956) for two outcomes; Thorp (2006).
    """
    if not won.shape[0] or not lost.shape[0]:
        return None
    payoff = mean_of(won) / -mean_of(lost)
    return (won.shape[0] - lost.shape[0] / payoff) / total * 100.0


def profit_factor(won: Floats, lost: Floats) -> float | None:
    """Sum of profits / |sum of losses| over closed trades, a number. None without a loss. A pnl of zero is neither."""
    losses = float(lost.sum())
    return float(won.sum()) / -losses if losses < 0.0 else None
