"""An example of a strategy in plain Python: trade the way out of a quiet stretch of bars."""

from __future__ import annotations

from pydantic import Field

from shared.bars import Bars
from shared.strategies import BE_LONG, BE_SHORT, Strategy
from shared.strategies.parameters import Parameters
from shared.strategies.signals import Signals, silent


class InsideBarsParameters(Parameters):
    quiet: int = Field(1, ge=1, le=20, description="Bars in a row that must lie inside the one before them.")


def inside_bars_signals(bars: Bars, params: InsideBarsParameters) -> Signals:
    """+1 where the close leaves the last wide bar upward after `quiet` bars inside it, -1 where it leaves downward."""
    signals = silent(bars.total)
    high, low, close = bars.high.tolist(), bars.low.tolist(), bars.close.tolist()
    wide = inside = 0
    for bar in range(1, bars.total):
        if high[bar] <= high[wide] and low[bar] >= low[wide]:
            inside += 1
            continue
        if inside >= params.quiet and close[bar] > high[wide]:
            signals[bar] = BE_LONG
        elif inside >= params.quiet and close[bar] < low[wide]:
            signals[bar] = BE_SHORT
        wide, inside = bar, 0
    return signals


STRATEGY = Strategy(
    id="inside_bars",
    name="Inside bars",
    description="Long when the close leaves a bar upwards after others lay inside it, short downwards.",
    parameters=InsideBarsParameters,
    signals=inside_bars_signals,
)
