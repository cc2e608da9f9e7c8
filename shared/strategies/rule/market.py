"""Functions and series of the rule language that read the bars themselves, float64[n]."""

from __future__ import annotations

from shared.bars import Bars
from shared.strategies.rule.operators import Floats, finite, over, times, unknown
from shared.strategies.rule.windows import highest, lowest, sma


def atr(bars: Bars, period: int) -> Floats:
    from talib import ATR

    return ATR(bars.high, bars.low, bars.close, period) if bars.total > period else unknown(bars.total)


def adx(bars: Bars, period: int) -> Floats:
    from talib import ADX

    return ADX(bars.high, bars.low, bars.close, period) if bars.total >= 2 * period else unknown(bars.total)


def cci(bars: Bars, period: int) -> Floats:
    from shared.strategies.rolling import mean_distance_nb, mean_nb

    typical = hlc3(bars)
    mean = mean_nb(typical, period)
    return finite((typical - mean) / (0.015 * mean_distance_nb(typical, mean, period)))


def stochastic_k(bars: Bars, period: int) -> Floats:
    low = lowest(bars, bars.low, period)
    return finite(100.0 * (bars.close - low) / (highest(bars, bars.high, period) - low))


def stochastic_d(bars: Bars, period: int, smooth: int) -> Floats:
    return sma(bars, stochastic_k(bars, period), smooth)


def vwap(bars: Bars, period: int) -> Floats:
    traded = sma(bars, times(hlc3(bars), bars.volume), period)
    return over(traded, sma(bars, bars.volume, period))


def hl2(bars: Bars) -> Floats:
    return (bars.high + bars.low) / 2.0


def hlc3(bars: Bars) -> Floats:
    return (bars.high + bars.low + bars.close) / 3.0


def ohlc4(bars: Bars) -> Floats:
    return (bars.open + bars.high + bars.low + bars.close) / 4.0
