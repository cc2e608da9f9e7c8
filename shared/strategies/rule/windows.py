"""Functions of the rule language over trailing windows of any number, float64[n] to float64[n].

An indicator begins anew after a bar at which what it reads is unknown.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from shared.bars import Bars
from shared.strategies.averages import EQUAL_WITHIN, relative_strength
from shared.strategies.rule.operators import Floats, finite, unknown


def _in_stretches(x: Floats, needed: int, compute: Callable[[Floats], Floats]) -> Floats:
    """`compute` over each stretch of known values by itself, float64[n]; one of fewer than `needed` gives nothing.

    TA-Lib carries one NaN in its sums to the end of the series. `compute` gives an array of its own.
    """
    known = ~np.isnan(x)
    if known.all():
        return finite(compute(x)) if x.shape[0] >= needed else unknown(x.shape[0])
    edges = np.flatnonzero(np.diff(known, prepend=False, append=False))
    starts, ends = edges[::2], edges[1::2]
    enough = ends - starts >= needed
    found = unknown(x.shape[0])
    for start, end in zip(starts[enough].tolist(), ends[enough].tolist(), strict=True):
        found[start:end] = compute(x[start:end])
    return finite(found)


def _over_window(compute: Callable[[Floats, int], Floats], x: Floats, period: int) -> Floats:
    """TA-Lib starts at two bars; over one bar each of these is the number itself."""
    return x if period == 1 else _in_stretches(x, period, lambda stretch: compute(stretch, period))


def sma(_bars: Bars, x: Floats, period: int) -> Floats:
    from shared.strategies.rolling import mean_nb

    return _in_stretches(x, period, lambda stretch: mean_nb(stretch, period))


def ema(_bars: Bars, x: Floats, period: int) -> Floats:
    from talib import EMA

    return _over_window(EMA, x, period)


def wma(_bars: Bars, x: Floats, period: int) -> Floats:
    from shared.strategies.rolling import weighted_mean_nb

    return _in_stretches(x, period, lambda stretch: weighted_mean_nb(stretch, period))


def highest(_bars: Bars, x: Floats, period: int) -> Floats:
    from talib import MAX

    return _over_window(MAX, x, period)


def lowest(_bars: Bars, x: Floats, period: int) -> Floats:
    from talib import MIN

    return _over_window(MIN, x, period)


def rsi(_bars: Bars, x: Floats, period: int) -> Floats:
    return _in_stretches(x, period + 1, lambda stretch: relative_strength(stretch, period))


def macd(_bars: Bars, x: Floats, fast: int, slow: int) -> Floats:
    return _macd_part(0, x, fast, slow, 1)


def macd_signal(_bars: Bars, x: Floats, fast: int, slow: int, signal: int) -> Floats:
    return _macd_part(1, x, fast, slow, signal)


def macd_histogram(_bars: Bars, x: Floats, fast: int, slow: int, signal: int) -> Floats:
    return _macd_part(2, x, fast, slow, signal)


def _macd_part(part: int, x: Floats, fast: int, slow: int, signal: int) -> Floats:
    from talib import MACD

    def line_of(stretch: Floats) -> Floats:
        line = MACD(stretch, fast, slow, signal)[part]
        line[np.abs(line) <= EQUAL_WITHIN * np.abs(stretch)] = 0.0
        return line

    return _in_stretches(x, slow + signal - 1, line_of)


def stdev(_bars: Bars, x: Floats, period: int) -> Floats:
    from shared.strategies.rolling import mean_and_deviation_nb

    return _in_stretches(x, period, lambda stretch: mean_and_deviation_nb(stretch, period)[1])


def zscore(bars: Bars, x: Floats, period: int) -> Floats:
    return finite((x - sma(bars, x, period)) / stdev(bars, x, period))


def bollinger_upper(bars: Bars, x: Floats, period: int, deviations: float) -> Floats:
    return finite(sma(bars, x, period) + deviations * stdev(bars, x, period))


def bollinger_lower(bars: Bars, x: Floats, period: int, deviations: float) -> Floats:
    return bollinger_upper(bars, x, period, -deviations)
