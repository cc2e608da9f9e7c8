"""Configurations that reach every rule of the bar loop, and the shortest way through a run."""

from __future__ import annotations

import dataclasses

from shared.bars import Bars
from shared.strategies import StrategyUse, resolve
from worker.engine.config import EngineConfig
from worker.engine.delta import Outcome
from worker.engine.simulation import Simulation

COSTS = EngineConfig(commission_rate=0.001, slippage_bps=5.0)
STOPS = dataclasses.replace(COSTS, stop_loss_percent=1.5, take_profit_percent=2.5)
EVERYTHING = dataclasses.replace(STOPS, position_size_percent=0.3, max_open_trades=4, allow_short=True)
TIGHT = dataclasses.replace(EVERYTHING, stop_loss_percent=0.05, take_profit_percent=0.05, slippage_bps=20.0)
SHORT = dataclasses.replace(COSTS, allow_short=True)
CONFIGS = {
    "plain": EngineConfig(),
    "costs": COSTS,
    "stops": STOPS,
    "stop only, short": dataclasses.replace(COSTS, stop_loss_percent=2.0, allow_short=True),
    "short, no stops": dataclasses.replace(COSTS, allow_short=True),
    "target only": dataclasses.replace(COSTS, take_profit_percent=1.0),
    "several, long": dataclasses.replace(STOPS, position_size_percent=0.4, max_open_trades=3),
    "everything": EVERYTHING,
    "tight": TIGHT,
    "small": dataclasses.replace(EVERYTHING, position_size_percent=0.02, max_open_trades=50),
    "distances": dataclasses.replace(SHORT, stop_loss_distance=1.5, take_profit_distance=3.0),
    "true ranges": dataclasses.replace(SHORT, stop_loss_atr=1.5, take_profit_atr=2.5, atr_period=9),
    "trailing": dataclasses.replace(SHORT, trailing_stop_percent=2.0),
    "trailing and fixed": dataclasses.replace(EVERYTHING, trailing_stop_atr=2.0, stop_loss_percent=2.2, atr_period=5),
    "trailing on a grid": dataclasses.replace(SHORT, trailing_stop_distance=2.25, tick_size=0.5, lot_size=0.1),
    "fees and spread": dataclasses.replace(
        SHORT, commission_fixed=1.5, commission_minimum=7.0, spread_bps=8.0, max_open_trades=3
    ),
    "at the close": dataclasses.replace(EVERYTHING, fill_at="close"),
    "at the close, trailing": dataclasses.replace(
        SHORT, fill_at="close", trailing_stop_atr=1.5, take_profit_percent=3.0
    ),
    "target first": dataclasses.replace(TIGHT, intrabar="target_first"),
    "along a path": dataclasses.replace(TIGHT, intrabar="ohlc_path"),
    "so many units": dataclasses.replace(
        STOPS, sizing_mode="fixed_quantity", sizing_value=33.37, max_open_trades=5, lot_size=0.25, allow_short=True
    ),
    "so much money": dataclasses.replace(
        SHORT, sizing_mode="fixed_notional", sizing_value=2_500.0, max_open_trades=6, tick_size=0.01
    ),
    "so much risk": dataclasses.replace(
        EVERYTHING,
        sizing_mode="risk_fraction",
        sizing_value=0.004,
        stop_loss_percent=0.0,
        stop_loss_atr=2.0,
        leverage=3.0,
    ),
    "leverage": dataclasses.replace(SHORT, position_size_percent=5.0, leverage=5.0, maintenance_margin=0.15),
    "leverage, several": dataclasses.replace(
        EVERYTHING,
        position_size_percent=6.0,
        leverage=20.0,
        maintenance_margin=0.03,
        take_profit_percent=2.0,
        commission_minimum=2.0,
    ),
}


# By the rules of other programs, which the slow reference does not know; tests/peers compares them with the programs.
PROFILES = {
    "backtesting.py": dataclasses.replace(
        SHORT,
        profile="backtesting.py",
        slippage_bps=0.0,
        spread_bps=4.0,
        stop_loss_percent=1.0,
        take_profit_percent=1.5,
    ),
    "vectorbt": dataclasses.replace(SHORT, profile="vectorbt", stop_loss_percent=1.0, take_profit_percent=1.5),
    "vectorbt, trailing": dataclasses.replace(SHORT, profile="vectorbt", fill_at="close", trailing_stop_percent=1.0),
    "backtrader": dataclasses.replace(
        SHORT, profile="backtrader", position_size_percent=0.9, stop_loss_percent=1.0, take_profit_percent=1.5
    ),
}


def run(bars: Bars, config: EngineConfig, *uses: StrategyUse) -> Outcome:
    simulation = Simulation.start(bars, config, uses)
    simulation.advance(bars.total)
    return simulation.finish()


def quick_uses() -> list[StrategyUse]:
    """Catalogue strategies that trade every few bars."""
    chosen = {"sma": {"fast": 2, "slow": 5}, "rsi": {"period": 3, "oversold": 40.0, "overbought": 60.0}}
    return resolve(list(chosen), chosen)
