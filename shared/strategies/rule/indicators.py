"""What the operators and functions of the rule language compute.

Every number is float64[n], one value per bar, NaN where it is not known: before an indicator is defined, where zero
divides, beyond the range of float64. A condition is a `Truth`. What is said about a bar depends on that bar and earlier
ones only. An indicator begins anew after a bar at which what it reads is unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars
from shared.strategies.averages import EQUAL_WITHIN, moving_average, tell_crossings
from shared.strategies.signals import BE_LONG, BE_SHORT, silent

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Truth(NamedTuple):
    """What is known of a condition at each bar, bool[n] each: that it holds or that it does not. Neither is unknown."""

    yes: Flags
    no: Flags


def _known(values: Floats) -> Floats:
    """The same with what is infinite unknown. Writes into `values`."""
    values[~np.isfinite(values)] = np.nan
    return values


def _unknown(total: int) -> Floats:
    return np.full(total, np.nan)


def _margin(a: Floats, b: Floats) -> Floats:
    """Within this two numbers are equal: indicators of the same constant price differ in the last digits."""
    return EQUAL_WITHIN * np.maximum(np.abs(a), np.abs(b))


# Operators


def _plus(a: Floats, b: Floats) -> Floats:
    """What cancels to within the margin is zero, so that a difference of equal averages has no sign."""
    total = a + b
    total[np.abs(total) <= _margin(a, b)] = 0.0
    return _known(total)


def _minus(a: Floats, b: Floats) -> Floats:
    return _plus(a, -b)


def _times(a: Floats, b: Floats) -> Floats:
    return _known(a * b)


def _over(a: Floats, b: Floats) -> Floats:
    return _known(a / b)


def _negative(a: Floats) -> Floats:
    return -a


def _truth(yes: Flags, *numbers: Floats) -> Truth:
    """A comparison is known where its numbers are; comparing with NaN has already said that it does not hold."""
    no = ~yes
    for one in numbers:
        no &= ~np.isnan(one)
    return Truth(yes, no)


def _above(a: Floats, b: Floats) -> Truth:
    return _truth(a - b > _margin(a, b), a, b)


def _below(a: Floats, b: Floats) -> Truth:
    return _above(b, a)


def _equal(a: Floats, b: Floats) -> Truth:
    return _truth(np.abs(a - b) <= _margin(a, b), a, b)


def _at_least(a: Floats, b: Floats) -> Truth:
    return _not(_above(b, a))


def _at_most(a: Floats, b: Floats) -> Truth:
    return _not(_above(a, b))


def _unequal(a: Floats, b: Floats) -> Truth:
    return _not(_equal(a, b))


def _both(a: Truth, b: Truth) -> Truth:
    return Truth(a.yes & b.yes, a.no | b.no)


def _either(a: Truth, b: Truth) -> Truth:
    return Truth(a.yes | b.yes, a.no & b.no)


def _not(a: Truth) -> Truth:
    return Truth(a.no, a.yes)


OPERATORS: dict[str, Callable[..., Floats | Truth]] = {
    "+": _plus,
    "-": _minus,
    "*": _times,
    "/": _over,
    "negative": _negative,
    ">": _above,
    "<": _below,
    ">=": _at_least,
    "<=": _at_most,
    "==": _equal,
    "!=": _unequal,
    "and": _both,
    "or": _either,
    "not": _not,
}


# Functions of any number


def _in_runs(x: Floats, needed: int, compute: Callable[[Floats], Floats]) -> Floats:
    """`compute` over each run of known values by itself, float64[n]; a run of fewer than `needed` gives nothing.

    TA-Lib carries one NaN in its sums to the end of the series. `compute` gives an array of its own.
    """
    known = ~np.isnan(x)
    if known.all():
        return _known(compute(x)) if x.shape[0] >= needed else _unknown(x.shape[0])
    edges = np.flatnonzero(np.diff(known, prepend=False, append=False))
    starts, ends = edges[::2], edges[1::2]
    enough = ends - starts >= needed
    found = _unknown(x.shape[0])
    for start, end in zip(starts[enough].tolist(), ends[enough].tolist(), strict=True):
        found[start:end] = compute(x[start:end])
    return _known(found)


def _over_window(compute: Callable[[Floats, int], Floats], x: Floats, period: int) -> Floats:
    """TA-Lib starts at two bars; over one bar each of these is the number itself."""
    return x if period == 1 else _in_runs(x, period, lambda run: compute(run, period))


def sma(_bars: Bars, x: Floats, period: int) -> Floats:
    return _over_window(moving_average, x, period)


def ema(_bars: Bars, x: Floats, period: int) -> Floats:
    from talib import EMA

    return _over_window(EMA, x, period)


def wma(_bars: Bars, x: Floats, period: int) -> Floats:
    from talib import WMA

    return _over_window(WMA, x, period)


def highest(_bars: Bars, x: Floats, period: int) -> Floats:
    from talib import MAX

    return _over_window(MAX, x, period)


def lowest(_bars: Bars, x: Floats, period: int) -> Floats:
    from talib import MIN

    return _over_window(MIN, x, period)


def rsi(_bars: Bars, x: Floats, period: int) -> Floats:
    from talib import RSI

    def index_of(run: Floats) -> Floats:
        # A bar that does not move leaves the index where it is; TA-Lib drops it to zero once both averages have faded.
        index = RSI(run, period)
        moved = np.flatnonzero(run[1:] != run[:-1]) + 1
        moved_at = np.zeros(run.shape[0], np.int64)
        moved_at[moved] = moved
        moved_at = np.maximum.accumulate(moved_at)[period:]
        index[period:] = np.where(moved_at > 0, index[np.maximum(moved_at, period)], np.nan)
        return index

    return _in_runs(x, period + 1, index_of)


def macd(_bars: Bars, x: Floats, fast: int, slow: int) -> Floats:
    return _macd_part(0, x, fast, slow, 1)


def macd_signal(_bars: Bars, x: Floats, fast: int, slow: int, signal: int) -> Floats:
    return _macd_part(1, x, fast, slow, signal)


def macd_histogram(_bars: Bars, x: Floats, fast: int, slow: int, signal: int) -> Floats:
    return _macd_part(2, x, fast, slow, signal)


def _macd_part(part: int, x: Floats, fast: int, slow: int, signal: int) -> Floats:
    from talib import MACD

    def line_of(run: Floats) -> Floats:
        line = MACD(run, fast, slow, signal)[part]
        line[np.abs(line) <= EQUAL_WITHIN * np.abs(run)] = 0.0
        return line

    return _in_runs(x, slow + signal - 1, line_of)


def stdev(_bars: Bars, x: Floats, period: int) -> Floats:
    from shared.strategies.rolling import mean_and_deviation_nb

    return _in_runs(x, period, lambda run: mean_and_deviation_nb(run, period)[1])


def zscore(bars: Bars, x: Floats, period: int) -> Floats:
    return _known((x - bollinger_middle(bars, x, period)) / stdev(bars, x, period))


def bollinger_upper(bars: Bars, x: Floats, period: int, deviations: float) -> Floats:
    return _known(bollinger_middle(bars, x, period) + deviations * stdev(bars, x, period))


def bollinger_middle(_bars: Bars, x: Floats, period: int) -> Floats:
    from shared.strategies.rolling import mean_and_deviation_nb

    return _in_runs(x, period, lambda run: mean_and_deviation_nb(run, period)[0])


def bollinger_lower(bars: Bars, x: Floats, period: int, deviations: float) -> Floats:
    return bollinger_upper(bars, x, period, -deviations)


def shift(_bars: Bars, x: Floats, back: int) -> Floats:
    earlier = _unknown(x.shape[0])
    earlier[back:] = x[: max(x.shape[0] - back, 0)]
    return earlier


def change(bars: Bars, x: Floats, back: int) -> Floats:
    return _minus(x, shift(bars, x, back))


def percent_change(bars: Bars, x: Floats, back: int) -> Floats:
    return _known((x / shift(bars, x, back) - 1.0) * 100.0)


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
    return _truth((told == direction) & ~np.isnan(gap_before), gap, gap_before)


def rising(bars: Bars, x: Floats, steps: int) -> Truth:
    up = _above(x, shift(bars, x, 1))
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


# Functions of the bars


def atr(bars: Bars, period: int) -> Floats:
    from talib import ATR

    return ATR(bars.high, bars.low, bars.close, period) if bars.total > period else _unknown(bars.total)


def adx(bars: Bars, period: int) -> Floats:
    from talib import ADX

    return ADX(bars.high, bars.low, bars.close, period) if bars.total >= 2 * period else _unknown(bars.total)


def cci(bars: Bars, period: int) -> Floats:
    from talib import CCI

    if bars.total < period:
        return _unknown(bars.total)
    index = CCI(bars.high, bars.low, bars.close, period)
    typical = hlc3(bars)
    # Nothing over nothing, which TA-Lib calls zero.
    index[highest(bars, typical, period) == lowest(bars, typical, period)] = np.nan
    return index


def stochastic_k(bars: Bars, period: int) -> Floats:
    low = lowest(bars, bars.low, period)
    return _known(100.0 * (bars.close - low) / (highest(bars, bars.high, period) - low))


def stochastic_d(bars: Bars, period: int, smooth: int) -> Floats:
    return sma(bars, stochastic_k(bars, period), smooth)


def vwap(bars: Bars, period: int) -> Floats:
    traded = bollinger_middle(bars, _times(hlc3(bars), bars.volume), period)
    return _over(traded, bollinger_middle(bars, bars.volume, period))


def hl2(bars: Bars) -> Floats:
    return (bars.high + bars.low) / 2.0


def hlc3(bars: Bars) -> Floats:
    return (bars.high + bars.low + bars.close) / 3.0


def ohlc4(bars: Bars) -> Floats:
    return (bars.open + bars.high + bars.low + bars.close) / 4.0
