"""Time-series momentum: long after a rise, short after a fall."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from shared.bars import Bars
from shared.strategies.averages import EQUAL_WITHIN
from shared.strategies.parameters import Parameters
from shared.strategies.signals import BE_LONG, BE_SHORT, Signals, silent, told_once
from shared.strategies.strategy import Columns, Strategy


class MomentumParameters(Parameters):
    period: int = Field(
        20, ge=1, le=10_000, description="Bars back to the close that the present one is compared with."
    )
    threshold: float = Field(0.0, ge=0, le=1_000, description="Percent of change that counts: 0 takes any.")


def momentum_signals(bars: Bars, params: MomentumParameters) -> Signals:
    """+1 where close / close[`period` bars ago] - 1 exceeds `threshold` percent, -1 where it falls below minus that.

    Between the two the last word stands, and a change within 10^-12 of the prices of a threshold has only reached it.
    The first signal can come at bar `period`. Source: Moskowitz, Ooi & Pedersen,
    "Time series momentum", Journal of Financial Economics 104 (2012).
    """
    signals = silent(bars.total)
    if bars.total <= params.period:
        return signals
    close, earlier = bars.close[params.period :], bars.close[: -params.period]
    change, reach = close - earlier, earlier * (params.threshold / 100.0 + EQUAL_WITHIN)
    later = signals[params.period :]
    later[change > reach] = BE_LONG
    later[change < -reach] = BE_SHORT
    return told_once(signals)


def momentum_indicators(bars: Bars, params: MomentumParameters) -> Columns:
    """The change in percent, which is compared with the threshold."""
    change = np.full(bars.total, np.nan)
    if bars.total > params.period:
        change[params.period :] = 100.0 * (bars.close[params.period :] / bars.close[: -params.period] - 1.0)
    return {f"momentum {params.period}": change}


def _warmup(params: MomentumParameters) -> int:
    return params.period


STRATEGY = Strategy(
    id="momentum",
    name="Time-series momentum",
    description="Long when the price has risen over the period, short when it has fallen (Moskowitz et al. 2012).",
    parameters=MomentumParameters,
    signals=momentum_signals,
    warmup=_warmup,
    speaks_from=_warmup,
    indicators=momentum_indicators,
)
