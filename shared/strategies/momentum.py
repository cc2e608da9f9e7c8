"""Time-series momentum: long after a rise, short after a fall."""

from __future__ import annotations

from pydantic import Field

from shared.bars import Bars
from shared.strategies.parameters import Parameters
from shared.strategies.signals import BE_LONG, BE_SHORT, Signals, silent, told_once
from shared.strategies.strategy import Strategy


class MomentumParameters(Parameters):
    period: int = Field(
        20, ge=1, le=10_000, description="Bars back to the close that the present one is compared with."
    )
    threshold: float = Field(0.0, ge=0, le=1_000, description="Percent of change that counts: 0 takes any.")


def momentum_signals(bars: Bars, params: MomentumParameters) -> Signals:
    """+1 where close / close[`period` bars ago] - 1 exceeds `threshold` percent, -1 where it falls below minus that.

    Between the two the last word stands. The first signal can come at bar `period`. Source: Moskowitz, Ooi & Pedersen,
    "Time series momentum", Journal of Financial Economics 104 (2012).
    """
    signals = silent(bars.total)
    if bars.total <= params.period:
        return signals
    change = (bars.close[params.period :] / bars.close[: -params.period] - 1.0) * 100.0
    later = signals[params.period :]
    later[change > params.threshold] = BE_LONG
    later[change < -params.threshold] = BE_SHORT
    return told_once(signals)


STRATEGY = Strategy(
    id="momentum",
    name="Time-series momentum",
    description="Long when the price has risen over the period, short when it has fallen (Moskowitz et al. 2012).",
    parameters=MomentumParameters,
    signals=momentum_signals,
)
