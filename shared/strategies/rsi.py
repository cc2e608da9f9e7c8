"""The relative strength index: buy the recovery from oversold, sell the retreat from overbought."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import Field, model_validator

from shared.bars import Bars
from shared.strategies.averages import WILDER_PERIODS, relative_strength
from shared.strategies.parameters import Parameters
from shared.strategies.signals import BE_LONG, BE_SHORT, Signals, silent
from shared.strategies.strategy import Columns, Strategy


class RsiParameters(Parameters):
    period: int = Field(14, ge=2, le=10_000, description="Bars over which gains and losses are smoothed.")
    oversold: float = Field(30.0, ge=0, le=100, description="Long when the index crosses back above this.")
    overbought: float = Field(70.0, ge=0, le=100, description="Short when the index crosses back below this.")

    @model_validator(mode="after")
    def _oversold_is_lower(self) -> Self:
        if self.oversold >= self.overbought:
            raise ValueError(
                f"oversold must be below overbought (oversold is {self.oversold:g}, overbought is {self.overbought:g})"
            )
        return self


def rsi_signals(bars: Bars, params: RsiParameters) -> Signals:
    """+1 where RSI crosses back above `oversold`, -1 where it crosses back below `overbought`.

    The crossing back, not the first touch, is the signal: a falling market stays oversold for long, and its turn is
    what the method waits for. RSI is 100 x average gain / (average gain + average loss) with Wilder's smoothing (TA-Lib
    `RSI`); the first signal can come at bar `period + 1`. Source: Wilder, "New Concepts in Technical Trading Systems"
    (1978).

    At a bar whose close did not move, the index does not move either, and such a bar gives no signal.
    """
    signals = silent(bars.total)
    if bars.total <= params.period + 1:
        return signals
    index = relative_strength(bars.close, params.period)[params.period :]
    before, now = index[:-1], index[1:]
    later = signals[params.period + 1 :]
    later[(before <= params.oversold) & (now > params.oversold)] = BE_LONG
    later[(before >= params.overbought) & (now < params.overbought)] = BE_SHORT
    return signals


def rsi_indicators(bars: Bars, params: RsiParameters) -> Columns:
    defined = bars.total > params.period
    index = relative_strength(bars.close, params.period) if defined else np.full(bars.total, np.nan)
    return {f"rsi {params.period}": index}


def _warmup(params: RsiParameters) -> int:
    return 1 + params.period + WILDER_PERIODS * params.period


def _speaks_from(params: RsiParameters) -> int:
    return params.period + 1


STRATEGY = Strategy(
    id="rsi",
    name="Relative strength index",
    description="Long when RSI crosses back above oversold, short when it crosses back below overbought (Wilder 1978).",
    parameters=RsiParameters,
    signals=rsi_signals,
    warmup=_warmup,
    speaks_from=_speaks_from,
    indicators=rsi_indicators,
)
