"""What several strategies share: when one line crosses another, and the index of relative strength."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.strategies.signals import BE_LONG, BE_SHORT, Signals

# Two averages of the same constant price may lie apart in the last digits, and a level may be reached to within them.
EQUAL_WITHIN = 1e-12

# Periods after which what an average with memory began with weighs less than a millionth: (1 - 2 / (p + 1)) ^ 7p for an
# exponential one, (1 - 1 / p) ^ 14p for Wilder's.
EXPONENTIAL_PERIODS = 7
WILDER_PERIODS = 14


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


def relative_strength(prices: NDArray[np.float64], period: int) -> NDArray[np.float64]:
    """Wilder's index, float64[n], NaN for the first `period` bars and until a price moves; for more than `period` bars.

    A bar that does not move leaves the index where it is, be that the 100 of a market that only rose or the 0 of one
    that only fell; TA-Lib drops it to zero once both averages have faded to nothing.
    """
    from talib import RSI

    from shared.strategies.rolling import hold_where_still_nb

    index = RSI(prices, period)
    hold_where_still_nb(index, prices, period)
    return index
