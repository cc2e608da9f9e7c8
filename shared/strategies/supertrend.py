"""Supertrend: a band of average true ranges that follows the price and turns when a close breaks it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.bars import Bars
from shared.strategies.averages import WILDER_PERIODS
from shared.strategies.parameters import Parameters
from shared.strategies.signals import Signals
from shared.strategies.strategy import Columns, Strategy


class SupertrendParameters(Parameters):
    period: int = Field(10, ge=2, le=10_000, description="Bars over which the true range is averaged.")
    multiplier: float = Field(3.0, ge=0.1, le=100, description="Average true ranges between the price and each band.")


def supertrend_signals(bars: Bars, params: SupertrendParameters) -> Signals:
    """+1 where the close breaks above the upper band, -1 where it breaks below the lower; each until the other.

    Bands lie `multiplier` average true ranges (Wilder's, TA-Lib `ATR`) from the middle of high and low; the upper one
    only falls and the lower one only rises until a close was beyond it. The first signal can come at bar `period`.
    Source: Seban, "Das SuperTrend-Konzept" (2008); the rules of TradingView's `ta.supertrend`, which however begins in
    a downtrend where this says nothing before the first break.
    """
    return _follow(bars, params)[0]


def supertrend_indicators(bars: Bars, params: SupertrendParameters) -> Columns:
    """The band that the next close could break: the lower one after a break upwards, the upper one after the other."""
    return {f"supertrend {params.period} {params.multiplier:g}": _follow(bars, params)[1]}


def _follow(bars: Bars, params: SupertrendParameters) -> tuple[Signals, NDArray[np.float64]]:
    from talib import ATR

    from shared.strategies.rolling import ratchet_breaks_nb

    middle = (bars.high + bars.low) / 2.0
    reach = params.multiplier * ATR(bars.high, bars.low, bars.close, params.period)
    return ratchet_breaks_nb(bars.close, middle + reach, middle - reach, params.period)


def _warmup(params: SupertrendParameters) -> int:
    return params.period + WILDER_PERIODS * params.period


def _speaks_from(params: SupertrendParameters) -> int:
    return params.period


STRATEGY = Strategy(
    id="supertrend",
    name="Supertrend",
    description="Long when the close breaks above a ratcheting band of average true ranges, short when it breaks "
    "below (Seban 2008).",
    parameters=SupertrendParameters,
    signals=supertrend_signals,
    warmup=_warmup,
    speaks_from=_speaks_from,
    indicators=supertrend_indicators,
)
