"""Moving average convergence/divergence: long when the MACD line crosses above its signal line, short below."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from shared.bars import Bars
from shared.strategies.averages import EXPONENTIAL_PERIODS, tell_crossings
from shared.strategies.parameters import Parameters
from shared.strategies.signals import Signals, silent
from shared.strategies.strategy import Columns, Strategy


class MacdParameters(Parameters):
    fast: int = Field(12, ge=2, le=10_000, description="Bars in the fast exponential average.")
    slow: int = Field(26, ge=3, le=10_000, description="Bars in the slow exponential average; must be above fast.")
    signal: int = Field(9, ge=1, le=10_000, description="Bars over which the MACD line is smoothed.")

    @model_validator(mode="after")
    def _fast_is_faster(self) -> Self:
        if self.fast >= self.slow:
            raise ValueError(f"fast must be below slow (fast is {self.fast}, slow is {self.slow})")
        return self


def macd_signals(bars: Bars, params: MacdParameters) -> Signals:
    """+1 where EMA(fast) - EMA(slow) crosses above its own EMA(signal), -1 where it crosses below.

    Both averages of price begin at bar `slow - 1` with the simple average of their last closes, the signal line with
    the simple average of the first `signal` values (TA-Lib `MACD`); the first signal can come at bar
    `slow + signal - 1`. Source: Appel, "The Moving Average Convergence Divergence Trading Method" (1979).
    """
    signals = silent(bars.total)
    first = params.slow + params.signal - 2
    if bars.total <= first + 1:
        return signals
    from talib import MACD

    _, _, histogram = MACD(bars.close, params.fast, params.slow, params.signal)
    tell_crossings(signals, histogram[first:], bars.close[first:])
    return signals


def macd_indicators(bars: Bars, params: MacdParameters) -> Columns:
    """All three from the first bar on at which the signal line is defined."""
    from talib import MACD

    line, signal, histogram = MACD(bars.close, params.fast, params.slow, params.signal)
    periods = f"{params.fast} {params.slow}"
    return {
        f"macd {periods}": line,
        f"macd signal {periods} {params.signal}": signal,
        f"macd histogram {periods} {params.signal}": histogram,
    }


def _warmup(params: MacdParameters) -> int:
    return params.slow + params.signal + EXPONENTIAL_PERIODS * (params.slow + params.signal + 2)


def _speaks_from(params: MacdParameters) -> int:
    return params.slow + params.signal - 1


STRATEGY = Strategy(
    id="macd",
    name="MACD",
    description="Long when the MACD line crosses above its signal line, short when it crosses below (Appel 1979).",
    parameters=MacdParameters,
    signals=macd_signals,
    warmup=_warmup,
    speaks_from=_speaks_from,
    indicators=macd_indicators,
)
