"""Bollinger bands: buy the return from below the lower band, sell that from above the upper, leave at the middle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.bars import Bars
from shared.strategies.averages import EQUAL_WITHIN
from shared.strategies.parameters import Parameters
from shared.strategies.signals import BE_FLAT, BE_LONG, BE_SHORT, Signals, silent
from shared.strategies.strategy import Columns, Strategy


class BollingerParameters(Parameters):
    period: int = Field(20, ge=2, le=10_000, description="Bars in the middle band and in the deviation.")
    deviations: float = Field(2.0, ge=0.1, le=10, description="Standard deviations between the middle and each band.")


def bollinger_signals(bars: Bars, params: BollingerParameters) -> Signals:
    """+1 where the close returns above the lower band, -1 where it returns below the upper, 0 at a cross of the middle.

    The middle is the simple average of `period` closes, the bands lie `deviations` population standard deviations away.
    A close that crosses the middle in the same bar is flat: what the return was to earn is earned. A close within
    10^-12 of its price of a line is on it. The first signal can come at bar `period`. Source: Bollinger, "Bollinger on
    Bollinger Bands" (2001), reversals at the bands.
    """
    signals = silent(bars.total)
    if bars.total <= params.period:
        return signals
    from shared.strategies.rolling import mean_and_deviation_nb

    mean, deviation = mean_and_deviation_nb(bars.close, params.period)
    away = (bars.close - mean)[params.period - 1 :]
    width = params.deviations * deviation[params.period - 1 :]
    margin = EQUAL_WITHIN * bars.close[params.period - 1 :]
    later = signals[params.period :]
    later[_ended(away + width < -margin)] = BE_LONG
    later[_ended(away - width > margin)] = BE_SHORT
    later[_ended(away < -margin) | _ended(away > margin)] = BE_FLAT
    return signals


def bollinger_indicators(bars: Bars, params: BollingerParameters) -> Columns:
    from shared.strategies.rolling import mean_and_deviation_nb

    mean, deviation = mean_and_deviation_nb(bars.close, params.period)
    width = params.deviations * deviation
    return {
        f"bollinger upper {params.period} {params.deviations:g}": mean + width,
        f"bollinger middle {params.period}": mean,
        f"bollinger lower {params.period} {params.deviations:g}": mean - width,
    }


def _ended(held: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether it held at the bar before and does not at this one, from the second bar on."""
    return held[:-1] & ~held[1:]


def _warmup(params: BollingerParameters) -> int:
    return params.period


STRATEGY = Strategy(
    id="bollinger",
    name="Bollinger bands",
    description="Long when the close returns above the lower band, short when it returns below the upper, flat at "
    "the middle (Bollinger 2001).",
    parameters=BollingerParameters,
    signals=bollinger_signals,
    warmup=_warmup,
    speaks_from=_warmup,
    indicators=bollinger_indicators,
)
