"""Mean reversion by z-score: buy what has fallen far below its average, sell what has risen far above it."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from shared.bars import Bars
from shared.strategies.averages import EQUAL_WITHIN
from shared.strategies.parameters import Parameters
from shared.strategies.signals import BE_FLAT, BE_LONG, BE_SHORT, Signals, silent
from shared.strategies.strategy import Columns, Strategy


class MeanReversionParameters(Parameters):
    period: int = Field(20, ge=2, le=10_000, description="Bars in the average and in the deviation.")
    entry: float = Field(
        2.0, ge=0.1, le=10, description="Long when the z-score falls to minus this, short at plus this."
    )
    exit: float = Field(0.5, ge=0, le=10, description="Flat when the z-score is back within this; must be below entry.")

    @model_validator(mode="after")
    def _exit_is_nearer(self) -> Self:
        if self.exit >= self.entry:
            raise ValueError(f"exit must be below entry (exit is {self.exit:g}, entry is {self.entry:g})")
        return self


def mean_reversion_signals(bars: Bars, params: MeanReversionParameters) -> Signals:
    """+1 where the z-score falls to -`entry`, -1 where it rises to +`entry`, 0 where it comes back within `exit`.

    z = (close - average) / population standard deviation over `period` closes, zero where they are all equal. A close
    within 10^-12 of its price of a threshold has reached it. Each is said at the bar of the crossing: the first signal
    can come at bar `period`. Source: Chan, "Algorithmic Trading"
    (2013), chapter 2, Bollinger-band mean reversion.
    """
    signals = silent(bars.total)
    if bars.total <= params.period:
        return signals
    from shared.strategies.rolling import mean_and_deviation_nb

    mean, deviation = mean_and_deviation_nb(bars.close, params.period)
    away = (bars.close - mean)[params.period - 1 :]
    spread = deviation[params.period - 1 :]
    margin = EQUAL_WITHIN * bars.close[params.period - 1 :]
    moves = spread > margin
    near, far = params.exit * spread + margin, params.entry * spread - margin
    later = signals[params.period :]
    later[_began(away >= -near) | _began(away <= near)] = BE_FLAT
    later[_began(moves & (away <= -far))] = BE_LONG
    later[_began(moves & (away >= far))] = BE_SHORT
    return signals


def mean_reversion_indicators(bars: Bars, params: MeanReversionParameters) -> Columns:
    from shared.strategies.rolling import mean_and_deviation_nb

    mean, deviation = mean_and_deviation_nb(bars.close, params.period)
    away = bars.close - mean
    still = deviation <= EQUAL_WITHIN * bars.close
    away[still], deviation[still] = 0.0, 1.0
    return {f"zscore {params.period}": away / deviation}


def _began(holds: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether it holds at this bar and did not at the one before, from the second bar on."""
    return holds[1:] & ~holds[:-1]


def _warmup(params: MeanReversionParameters) -> int:
    return params.period


STRATEGY = Strategy(
    id="mean_reversion",
    name="Mean reversion by z-score",
    description="Long when the price is far below its average, short when it is far above, flat when it is back "
    "(Chan 2013).",
    parameters=MeanReversionParameters,
    signals=mean_reversion_signals,
    aliases=("zscore",),
    warmup=_warmup,
    speaks_from=_warmup,
    indicators=mean_reversion_indicators,
)
