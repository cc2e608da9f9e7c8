"""Functions of the rule language from one bar to the next, and of two numbers at the same bar."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars
from shared.strategies.averages import tell_crossings
from shared.strategies.rule.operators import Flags, Floats, Truth, above, finite, minus, truth_of, unknown
from shared.strategies.signals import BE_LONG, BE_SHORT, silent


def shift(_bars: Bars, x: Floats, back: int) -> Floats:
    earlier = unknown(x.shape[0])
    earlier[back:] = x[: max(x.shape[0] - back, 0)]
    return earlier


def change(bars: Bars, x: Floats, back: int) -> Floats:
    return minus(x, shift(bars, x, back))


def percent_change(bars: Bars, x: Floats, back: int) -> Floats:
    return finite((x / shift(bars, x, back) - 1.0) * 100.0)


def crosses_above(bars: Bars, a: Floats, b: Floats) -> Truth:
    return _crossing(bars, a, b, BE_LONG)


def crosses_below(bars: Bars, a: Floats, b: Floats) -> Truth:
    return _crossing(bars, a, b, BE_SHORT)


def _crossing(bars: Bars, a: Floats, b: Floats, direction: int) -> Truth:
    told = silent(bars.total)
    gap = a - b
    if bars.total:
        tell_crossings(told, gap, np.maximum(np.abs(a), np.abs(b)))
    gap_before = shift(bars, gap, 1)
    return truth_of((told == direction) & ~np.isnan(gap_before), gap, gap_before)


def rising(bars: Bars, x: Floats, steps: int) -> Truth:
    up = above(x, shift(bars, x, 1))
    return Truth(_last(up.yes, steps) == steps, _last(up.no, steps) > 0)


def falling(bars: Bars, x: Floats, steps: int) -> Truth:
    return rising(bars, -x, steps)


def _last(flags: Flags, bars: int) -> NDArray[np.int64]:
    """How many of the last `bars` flags are set, int64[n]."""
    since_start = np.cumsum(flags, dtype=np.int64)
    count = since_start.copy()
    count[bars:] -= since_start[: max(flags.shape[0] - bars, 0)]
    return count


def absolute(_bars: Bars, x: Floats) -> Floats:
    return np.abs(x)


def lower(_bars: Bars, a: Floats, b: Floats) -> Floats:
    return np.minimum(a, b)


def higher(_bars: Bars, a: Floats, b: Floats) -> Floats:
    return np.maximum(a, b)
