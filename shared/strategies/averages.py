"""What strategies of two averages share: the simple one, and when one line crosses another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.strategies.signals import BE_LONG, BE_SHORT, Signals

# Running sums and recursions leave two averages of the same constant price apart in the last digits.
EQUAL_WITHIN = 1e-12


def tell_crossings(signals: Signals, gap: NDArray[np.float64], scale: NDArray[np.float64]) -> None:
    """Writes +1 where `gap` rises above zero and -1 where it falls below, into the last `len(gap) - 1` of `signals`.

    A gap within 10^-12 of `scale` (the size of the prices it came from) is none. Both arrays are float64[m].
    """
    margin = scale * EQUAL_WITHIN
    above = gap > margin
    below = gap < np.negative(margin, out=margin)
    later = signals[signals.shape[0] - gap.shape[0] + 1 :]
    later[np.flatnonzero(above[1:] > above[:-1])] = BE_LONG
    later[np.flatnonzero(below[1:] > below[:-1])] = BE_SHORT


def moving_average(prices: NDArray[np.float64], period: int) -> NDArray[np.float64]:
    """float64[n], NaN for the first `period - 1` bars. TA-Lib starts at two bars; one bar's average is the price."""
    if period == 1:
        return prices
    from talib import SMA

    return SMA(prices, period)
