"""Spells below the highest point of equity so far, and the figures of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from shared.moments import Floats, mean_of
from shared.periods import DAY_MS

_FIRST_SPELLS = 4096  # drawdowns to make room for at first


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
    return mean_of(falls.depth) * 100.0 if falls.depth.shape[0] else 0.0
