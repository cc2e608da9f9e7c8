"""Buy at the start and hold: what every other strategy is measured against."""

from __future__ import annotations

from shared.bars import Bars
from shared.strategies.parameters import Parameters
from shared.strategies.signals import BE_LONG, Signals, silent
from shared.strategies.strategy import Strategy


class BuyAndHoldParameters(Parameters):
    """No parameters."""


def buy_and_hold_signals(bars: Bars, params: BuyAndHoldParameters) -> Signals:
    """+1 at the first bar, no opinion afterwards."""
    signals = silent(bars.total)
    signals[:1] = BE_LONG
    return signals


STRATEGY = Strategy(
    id="buy_and_hold",
    name="Buy and hold",
    description="Long from the first bar to the last: the measure of every other strategy.",
    parameters=BuyAndHoldParameters,
    signals=buy_and_hold_signals,
)
