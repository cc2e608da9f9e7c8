"""Configurations that reach every rule of the bar loop, and the shortest way through a run."""

from __future__ import annotations

import dataclasses

from shared.bars import Bars
from shared.strategies import StrategyUse, resolve
from worker.engine import EngineConfig, Outcome, Simulation

COSTS = EngineConfig(commission_rate=0.001, slippage_bps=5.0)
STOPS = dataclasses.replace(COSTS, stop_loss_percent=1.5, take_profit_percent=2.5)
EVERYTHING = dataclasses.replace(STOPS, position_size_percent=0.3, max_open_trades=4, allow_short=True)
CONFIGS = {
    "plain": EngineConfig(),
    "costs": COSTS,
    "stops": STOPS,
    "stop only, short": dataclasses.replace(COSTS, stop_loss_percent=2.0, allow_short=True),
    "short, no stops": dataclasses.replace(COSTS, allow_short=True),
    "target only": dataclasses.replace(COSTS, take_profit_percent=1.0),
    "several, long": dataclasses.replace(STOPS, position_size_percent=0.4, max_open_trades=3),
    "everything": EVERYTHING,
    "tight": dataclasses.replace(EVERYTHING, stop_loss_percent=0.05, take_profit_percent=0.05, slippage_bps=20.0),
    "small": dataclasses.replace(EVERYTHING, position_size_percent=0.02, max_open_trades=50),
}


def run(bars: Bars, config: EngineConfig, *uses: StrategyUse) -> Outcome:
    simulation = Simulation.start(bars, config, uses)
    simulation.advance(bars.total)
    return simulation.finish()


def quick_uses() -> list[StrategyUse]:
    """Catalogue strategies (a snapshot names them) that trade every few bars."""
    chosen = {"sma": {"fast": 2, "slow": 5}, "rsi": {"period": 3, "oversold": 40.0, "overbought": 60.0}}
    return resolve(list(chosen), chosen)
