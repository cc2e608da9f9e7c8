"""Two exponential moving averages: long when the fast one crosses above the slow one, short when it crosses below."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from shared.bars import Bars
from shared.strategies.averages import EXPONENTIAL_PERIODS, tell_crossings
from shared.strategies.parameters import Parameters
from shared.strategies.signals import Signals, silent
from shared.strategies.strategy import Columns, Strategy


class EmaCrossoverParameters(Parameters):
    fast: int = Field(12, ge=2, le=10_000, description="Bars in the fast average.")
    slow: int = Field(26, ge=3, le=10_000, description="Bars in the slow average; must be above fast.")

    @model_validator(mode="after")
    def _fast_is_faster(self) -> Self:
        if self.fast >= self.slow:
            raise ValueError(f"fast must be below slow (fast is {self.fast}, slow is {self.slow})")
        return self


def ema_crossover_signals(bars: Bars, params: EmaCrossoverParameters) -> Signals:
    """+1 at a bar where EMA(fast) > EMA(slow) after being at or below it one bar earlier, -1 the other way round.

    EMA(p) moves 2 / (p + 1) of the way to each close and begins with the simple average of its first p closes (TA-Lib
    `EMA`). Both must be defined at both bars: the first signal can come at bar `slow`. Source: Appel, "Technical
    Analysis: Power Tools for Active Investors" (2005); Murphy, "Technical Analysis of the Financial Markets" (1999),
    chapter 9.
    """
    signals = silent(bars.total)
    if bars.total <= params.slow:
        return signals
    fast, slow = (line[params.slow - 1 :] for line in _averages(bars, params))
    tell_crossings(signals, fast - slow, slow)
    return signals


def ema_crossover_indicators(bars: Bars, params: EmaCrossoverParameters) -> Columns:
    fast, slow = _averages(bars, params)
    return {f"ema {params.fast}": fast, f"ema {params.slow}": slow}


def _averages(bars: Bars, params: EmaCrossoverParameters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from talib import EMA

    return EMA(bars.close, params.fast), EMA(bars.close, params.slow)


def _warmup(params: EmaCrossoverParameters) -> int:
    return params.slow + EXPONENTIAL_PERIODS * (params.slow + 1)


def _speaks_from(params: EmaCrossoverParameters) -> int:
    return params.slow


STRATEGY = Strategy(
    id="ema_crossover",
    name="EMA crossover",
    description="Long when the fast exponential moving average crosses above the slow one, short when it crosses "
    "below (Appel 2005).",
    parameters=EmaCrossoverParameters,
    signals=ema_crossover_signals,
    aliases=("ema",),
    warmup=_warmup,
    speaks_from=_speaks_from,
    indicators=ema_crossover_indicators,
)
