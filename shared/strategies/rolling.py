"""Figures over trailing windows that TA-Lib has not, or has with much rounding. Compiled; imported when first used."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from shared.strategies.signals import BE_FLAT, BE_LONG, BE_SHORT, NO_OPINION

Floats = NDArray[np.float64]

# Bars after which a window is summed afresh; between, one bar enters and one leaves.
_FRESH_EVERY_BARS = 64


@njit(nogil=True, cache=True)
def mean_and_deviation_nb(prices: Floats, period: int) -> tuple[Floats, Floats]:
    """Mean and population standard deviation of the last `period` prices, float64[n]; NaN for the first `period - 1`.

    Sums are taken of differences from a price inside the window: TA-Lib's STDDEV sums squares of whole prices, whose
    rounding over a million bars is as large as the deviation of a quiet market. A window of equal prices has exactly
    that mean and exactly no deviation. Each figure depends on nothing but the bars up to its own.
    """
    total = prices.shape[0]
    mean = np.full(total, np.nan)
    deviation = np.full(total, np.nan)
    fresh_every = max(_FRESH_EVERY_BARS, period)
    anchor = first = second = 0.0
    equal = 0
    for bar in range(total):
        equal = equal + 1 if bar > 0 and prices[bar] == prices[bar - 1] else 1
        if bar < period - 1:
            continue
        if (bar - period + 1) % fresh_every == 0:
            anchor = prices[bar]
            first = second = 0.0
            for k in range(bar - period + 1, bar + 1):
                step = prices[k] - anchor
                first += step
                second += step * step
        else:
            entered = prices[bar] - anchor
            left = prices[bar - period] - anchor
            first += entered - left
            second += entered * entered - left * left
        if equal >= period:
            mean[bar] = prices[bar]
            deviation[bar] = 0.0
        else:
            mean[bar] = anchor + first / period
            deviation[bar] = np.sqrt(max(second - first * first / period, 0.0) / period)
    return mean, deviation


@njit(nogil=True, cache=True)
def channel_breaks_nb(
    close: Floats, enter_above: Floats, enter_below: Floats, leave_above: Floats, leave_below: Floats, first: int
) -> NDArray[np.int8]:
    """int8[n]: +1 above `enter_above`, -1 below `enter_below`; a long is left below `leave_below`, a short above
    `leave_above`. Said once, when it changes; the first bar looked at is `first`. Levels are float64[n].
    """
    signals = np.full(close.shape[0], NO_OPINION, np.int8)
    side = BE_FLAT
    for bar in range(first, close.shape[0]):
        wanted = side
        if close[bar] > enter_above[bar]:
            wanted = BE_LONG
        elif close[bar] < enter_below[bar]:
            wanted = BE_SHORT
        elif (side == BE_LONG and close[bar] < leave_below[bar]) or (
            side == BE_SHORT and close[bar] > leave_above[bar]
        ):
            wanted = BE_FLAT
        if wanted != side:
            signals[bar] = wanted
            side = wanted
    return signals


@njit(nogil=True, cache=True)
def ratchet_breaks_nb(close: Floats, upper: Floats, lower: Floats, first: int) -> NDArray[np.int8]:
    """int8[n]: +1 where the close breaks the ratcheted upper band, -1 where it breaks the lower; said when it changes.

    The upper band only falls and the lower only rises, until the previous close was beyond it. `upper` and `lower` are
    the bands before ratcheting, float64[n], defined from bar `first` on.
    """
    signals = np.full(close.shape[0], NO_OPINION, np.int8)
    above, below = np.inf, -np.inf
    side = BE_FLAT
    for bar in range(first, close.shape[0]):
        if bar == first or upper[bar] < above or close[bar - 1] > above:
            above = upper[bar]
        if bar == first or lower[bar] > below or close[bar - 1] < below:
            below = lower[bar]
        if side != BE_LONG and close[bar] > above:
            side = BE_LONG
            signals[bar] = side
        elif side != BE_SHORT and close[bar] < below:
            side = BE_SHORT
            signals[bar] = side
    return signals
