"""Figures over trailing windows that depend on nothing outside them. Compiled; imported when first used."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from shared.strategies.signals import BE_FLAT, BE_LONG, BE_SHORT, NO_OPINION

Floats = NDArray[np.float64]


# Bars that are worked on together, so that what a pass writes is still at hand for the next.
_TOGETHER_BARS = 4096


@njit(nogil=True, cache=True)
def mean_nb(values: Floats, period: int) -> Floats:
    """Mean of the last `period` values, float64[n]; NaN for the first `period - 1`, and where one of them is NaN.

    Windows of 1, 2, 4, … bars are each made of the two halves before, and those of `period` bars of the ones that its
    binary digits say: a few passes, whatever the period. No running sum, so a figure depends on nothing but its window,
    to the last bit, and a window of equal values has exactly that mean.
    """
    total = values.shape[0]
    mean = np.full(total, np.nan)
    together = max(_TOGETHER_BARS, period)
    for first in range(period - 1, total, together):
        _fill_means_nb(values[first - period + 1 : first + together], mean[first : first + together], period)
    return mean


@njit(nogil=True, cache=True)
def _fill_means_nb(values: Floats, mean: Floats, period: int) -> None:
    """Writes the means of all windows of `values` into `mean`, one for each."""
    block = values.copy()  # of each window of `size` values its mean
    size = 1
    covered = 0
    while True:
        if period & size:
            older = block[period - covered - size :]
            share = covered / (covered + size)
            for i in range(mean.shape[0]):
                mean[i] = older[i] if covered == 0 else older[i] + (mean[i] - older[i]) * share
            covered += size
        if covered == period:
            return
        newer = block[size:]
        for i in range(newer.shape[0]):
            block[i] += (newer[i] - block[i]) * 0.5
        block = block[: newer.shape[0]]
        size *= 2


@njit(nogil=True, cache=True)
def hold_where_still_nb(index: Floats, prices: Floats, period: int) -> None:
    """Writes into `index`, defined from bar `period` on: as it was where the price did not move, NaN until it does."""
    moved = False
    for bar in range(1, period + 1):
        moved |= prices[bar] != prices[bar - 1]
    if not moved:
        index[period] = np.nan
    for bar in range(period + 1, prices.shape[0]):
        if prices[bar] == prices[bar - 1]:
            index[bar] = index[bar - 1]


@njit(nogil=True, cache=True)
def mean_and_deviation_nb(values: Floats, period: int) -> tuple[Floats, Floats]:
    """Mean and population standard deviation of the last `period` values, float64[n] each; made as `mean_nb` is.

    Two windows are joined by their means and their sums of squares about them: of two means that lie apart, the square
    of their distance is added. Nothing is squared that is not a difference, and equal values have no deviation at all.
    Source: Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
    """
    total = values.shape[0]
    mean, deviation = np.full(total, np.nan), np.full(total, np.nan)
    together = max(_TOGETHER_BARS, period)
    for first in range(period - 1, total, together):
        part = values[first - period + 1 : first + together]
        _fill_deviations_nb(part, mean[first : first + together], deviation[first : first + together], period)
    return mean, deviation


@njit(nogil=True, cache=True)
def _fill_deviations_nb(values: Floats, mean: Floats, deviation: Floats, period: int) -> None:
    """Writes mean and deviation of all windows of `values`, one for each; on the way `deviation` holds squares."""
    block, squares = values.copy(), np.zeros(values.shape[0])
    size = 1
    covered = 0
    while True:
        if period & size:
            older, older_squares = block[period - covered - size :], squares[period - covered - size :]
            share = covered / (covered + size)
            for i in range(mean.shape[0]):
                apart = 0.0 if covered == 0 else mean[i] - older[i]
                newer_squares = 0.0 if covered == 0 else deviation[i]
                mean[i] = older[i] + apart * share
                deviation[i] = older_squares[i] + newer_squares + apart * apart * (size * share)
            covered += size
        if covered == period:
            break
        later, later_squares = block[size:], squares[size:]
        for i in range(later.shape[0]):
            apart = later[i] - block[i]
            block[i] += apart * 0.5
            squares[i] += later_squares[i] + apart * apart * (size * 0.5)
        block, squares = block[: later.shape[0]], squares[: later.shape[0]]
        size *= 2
    for i in range(mean.shape[0]):
        deviation[i] = np.sqrt(deviation[i] / period)


@njit(nogil=True, cache=True)
def weighted_mean_nb(values: Floats, period: int) -> Floats:
    """Mean of the last `period` values by weights that fall evenly with age, float64[n]; made as `mean_nb` is."""
    total = values.shape[0]
    mean = np.full(total, np.nan)
    together = max(_TOGETHER_BARS, period)
    for first in range(period - 1, total, together):
        _fill_weighted_nb(values[first - period + 1 : first + together], mean[first : first + together], period)
    return mean


@njit(nogil=True, cache=True)
def _fill_weighted_nb(values: Floats, mean: Floats, period: int) -> None:
    """Writes the weighted means of all windows of `values` into `mean`, one for each.

    Weights of n values are 1 to n and come to n (n + 1) / 2. Where `size` older values come before `covered` newer
    ones, each of the newer weighs `size` more than among themselves: so their plain mean is needed, too.
    """
    block, block_plain, plain = values.copy(), values.copy(), np.empty(mean.shape[0])
    size = 1
    covered = 0
    while True:
        if period & size:
            older, older_plain = block[period - covered - size :], block_plain[period - covered - size :]
            joined = (covered + size) * (covered + size + 1.0) / 2.0
            by_weight, by_size = covered * (covered + 1.0) / 2.0 / joined, float(covered) * size / joined
            share = covered / (covered + size)
            for i in range(mean.shape[0]):
                newer = older[i] if covered == 0 else mean[i]
                newer_plain = older_plain[i] if covered == 0 else plain[i]
                mean[i] = older[i] + (newer - older[i]) * by_weight + (newer_plain - older[i]) * by_size
                plain[i] = older_plain[i] + (newer_plain - older_plain[i]) * share
            covered += size
        if covered == period:
            return
        later, later_plain = block[size:], block_plain[size:]
        by_weight, by_size = (size + 1.0) / (2.0 * (2.0 * size + 1.0)), size / (2.0 * size + 1.0)
        for i in range(later.shape[0]):
            block[i] += (later[i] - block[i]) * by_weight + (later_plain[i] - block[i]) * by_size
            block_plain[i] += (later_plain[i] - block_plain[i]) * 0.5
        block, block_plain = block[: later.shape[0]], block_plain[: later.shape[0]]
        size *= 2


@njit(nogil=True, cache=True)
def mean_distance_nb(values: Floats, mean: Floats, period: int) -> Floats:
    """Mean of |value - mean| over the last `period` values, where `mean` is theirs, float64[n]. Looks at every one."""
    total = values.shape[0]
    found = np.full(total, np.nan)
    for bar in range(period - 1, total):
        distance = 0.0
        for k in range(bar - period + 1, bar + 1):
            distance += abs(values[k] - mean[bar])
        found[bar] = distance / period
    return found


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
def ratchet_breaks_nb(close: Floats, upper: Floats, lower: Floats, first: int) -> tuple[NDArray[np.int8], Floats]:
    """int8[n]: +1 where the close breaks the ratcheted upper band, -1 where it breaks the lower; said when it changes.

    The upper band only falls and the lower only rises, until the previous close was beyond it. `upper` and `lower` are
    the bands before ratcheting, float64[n], defined from bar `first` on. The other column is float64[n]: of the two
    ratcheted bands the one that the next break is of, NaN until there was one.
    """
    signals = np.full(close.shape[0], NO_OPINION, np.int8)
    ahead = np.full(close.shape[0], np.nan)
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
        if side != BE_FLAT:
            ahead[bar] = below if side == BE_LONG else above
    return signals, ahead
