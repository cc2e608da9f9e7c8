"""Two simple moving averages: long when the fast one crosses above the slow one, short when it crosses below."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from shared.bars import Bars
from shared.strategies.averages import tell_crossings
from shared.strategies.parameters import Parameters
from shared.strategies.signals import Signals, silent
from shared.strategies.strategy import Columns, Strategy


class SmaCrossoverParameters(Parameters):
    fast: int = Field(10, ge=1, le=10_000, description="Bars in the fast average.")
    slow: int = Field(30, ge=2, le=10_000, description="Bars in the slow average; must be above fast.")

    @model_validator(mode="after")
    def _fast_is_faster(self) -> Self:
        if self.fast >= self.slow:
            raise ValueError(f"fast must be below slow (fast is {self.fast}, slow is {self.slow})")
        return self


def sma_crossover_signals(bars: Bars, params: SmaCrossoverParameters) -> Signals:
    """+1 at a bar where SMA(fast) > SMA(slow) after being at or below it one bar earlier, -1 the other way round.

    Both averages must be defined at both bars: the first signal can come at bar `slow`. Source: Murphy, "Technical
    Analysis of the Financial Markets" (1999), chapter 9, the double crossover method.
    """
    signals = silent(bars.total)
    if bars.total <= params.slow:
        return signals
    fast, slow = (line[params.slow - 1 :] for line in _averages(bars, params))
    tell_crossings(signals, fast - slow, slow)
    return signals


def sma_crossover_indicators(bars: Bars, params: SmaCrossoverParameters) -> Columns:
    fast, slow = _averages(bars, params)
    return {f"sma {params.fast}": fast, f"sma {params.slow}": slow}


def _averages(bars: Bars, params: SmaCrossoverParameters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from shared.strategies.rolling import mean_nb

    return mean_nb(bars.close, params.fast), mean_nb(bars.close, params.slow)


def _warmup(params: SmaCrossoverParameters) -> int:
    return params.slow


STRATEGY = Strategy(
    id="sma_crossover",
    name="SMA crossover",
    description="Long when the fast simple moving average crosses above the slow one, short when it crosses below "
    "(Murphy 1999, double crossover).",
    parameters=SmaCrossoverParameters,
    signals=sma_crossover_signals,
    aliases=("sma",),
    warmup=_warmup,
    speaks_from=_warmup,
    indicators=sma_crossover_indicators,
)
