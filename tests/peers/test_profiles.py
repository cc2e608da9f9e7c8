"""Each profile against the real package: the same trades (bar, price, quantity) and the same final equity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.demo_bars import demo_series
from shared.bars import Bars
from shared.candles import take_bars
from shared.candles.files.parsing import read_files
from shared.reading import Reading
from shared.reasons import Reason
from shared.request import BacktestParams
from shared.strategies import resolve
from shared.wire import validate
from tests.peers.programs import PROGRAMS, Theirs
from worker.engine.config import EngineConfig
from worker.engine.delta import Outcome
from worker.engine.simulation import Simulation

COMMON = {
    "symbol": "X",
    "interval": "1h",
    "startDate": "2000-01-01",
    "endDate": "2030-01-01",
    "initialCapital": 1_000_000.0,
}
STRATEGIES: dict[str, dict[str, Any]] = {
    "sma_crossover": {"fast": 10, "slow": 30},
    "bollinger": {},  # says flat, too
    "donchian": {},
    "rsi": {},
}
STOPS = {"stopLoss": {"percent": 1.5}, "takeProfit": {"percent": 2.5}}
COSTS = {"commission": {"rate": 0.001}}
SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "backtesting.py": {
        "plain": {},
        "costs": {**COSTS, "spreadBps": 6.0},
        "fixed fee, half of equity": {"commission": {"rate": 0.0004, "fixed": 2.5}, "positionSizePercent": 0.5},
        "stops": STOPS,
        "tight stops, costs, shorts": {
            "stopLoss": {"percent": 0.4},
            "takeProfit": {"percent": 0.5},
            **COSTS,
            "spreadBps": 4.0,
            "allowShort": True,
        },
        "stop by distance, shorts": {"stopLoss": {"distance": 2.5}, "allowShort": True},
        "leverage, shorts, stop": {
            "leverage": 3.0,
            "positionSizePercent": 2.0,
            "allowShort": True,
            "stopLoss": {"percent": 3.0},
        },
        "units": {"sizing": {"mode": "fixed_quantity", "value": 7}, **COSTS, "allowShort": True, **STOPS},
        "at the close": {"fillAt": "close", **COSTS, "allowShort": True},
        "at the close, stops": {"fillAt": "close", **STOPS},
    },
    "vectorbt": {
        "plain": {"fillAt": "close"},
        "costs": {"fillAt": "close", "commission": {"rate": 0.001, "fixed": 1.0}, "slippageBps": 5.0},
        "share of cash": {"fillAt": "close", "positionSizePercent": 0.3, **COSTS},
        "stops": {"fillAt": "close", **STOPS},
        "tight stops, costs, shorts": {
            "fillAt": "close",
            "stopLoss": {"percent": 0.4},
            "takeProfit": {"percent": 0.5},
            **COSTS,
            "slippageBps": 5.0,
            "allowShort": True,
        },
        "shorts": {"fillAt": "close", "allowShort": True, **COSTS},
        "at the open": {"fillAt": "open", **COSTS, "allowShort": True},
        "at the open, stops": {"fillAt": "open", **STOPS, **COSTS, "slippageBps": 3.0, "allowShort": True},
        "at the open, tight stops": {"fillAt": "open", "stopLoss": {"percent": 0.3}, "takeProfit": {"percent": 0.4}},
        "trailing": {"fillAt": "close", "trailingStop": {"percent": 2.0}, "allowShort": True, **COSTS},
        "trailing at the open": {"fillAt": "open", "trailingStop": {"percent": 1.0}, "takeProfit": {"percent": 3.0}},
        "units": {"fillAt": "close", "sizing": {"mode": "fixed_quantity", "value": 3.3}, "allowShort": True, **COSTS},
        "money": {
            "fillAt": "close",
            "sizing": {"mode": "fixed_notional", "value": 250_000},
            "allowShort": True,
            **STOPS,
        },
    },
    "backtrader": {
        "plain": {"positionSizePercent": 0.9},
        "costs": {"positionSizePercent": 0.9, **COSTS, "slippageBps": 5.0},
        "all but nothing of equity": {"positionSizePercent": 0.999},
        "stops": {"positionSizePercent": 0.9, **STOPS},
        "tight stops, costs, shorts": {
            "positionSizePercent": 0.95,
            "stopLoss": {"percent": 0.4},
            "takeProfit": {"percent": 0.5},
            **COSTS,
            "slippageBps": 5.0,
            "allowShort": True,
        },
        "stop by distance": {"positionSizePercent": 0.5, "stopLoss": {"distance": 2.5}, "allowShort": True},
        "units, shorts": {"sizing": {"mode": "fixed_quantity", "value": 6}, "allowShort": True, **COSTS, **STOPS},
    },
}


@cache
def daily(symbol: str) -> Bars:
    return next(one.bars for one in demo_series() if one.symbol == symbol)


@cache
def hours(path: Path) -> Bars:
    return read_files([path])[0].bars


@cache
def minutes(path: Path) -> Bars:
    """A few days with many gaps."""
    return take_bars(read_files([path], Reading(allow_gaps=True))[0].bars, slice(200_000, 203_000))


# What people compare on, each with 3 % of its lowest price as a distance.
MARKETS: dict[str, Callable[[pytest.FixtureRequest], Bars]] = {
    "IBM days": lambda _: daily("IBM"),
    "BTCUSDT hours": lambda wants: hours(folder_of(wants) / "binance" / "BTCUSDT-1h-2024-03.zip"),
    "BTCUSD minutes": lambda wants: minutes(folder_of(wants) / "bitfinex" / "BTCUSD-1m-2015.csv.gz"),
}


def folder_of(wants: pytest.FixtureRequest) -> Path:
    return wants.getfixturevalue("market_data_dir")


def params_for(profile: str, setting: Mapping[str, Any], strategy: str, distance: float) -> BacktestParams:
    request = {**COMMON, "profile": profile, "strategies": [strategy], **setting}
    request["strategyParams"] = {strategy: STRATEGIES.get(strategy, {})}
    if "distance" in request.get("stopLoss", {}):
        request["stopLoss"] = {"distance": distance}
    return validate(BacktestParams, request)


def run_both(bars: Bars, params: BacktestParams) -> tuple[Outcome, Theirs]:
    uses = resolve(params.strategies, params.strategy_params)
    simulation = Simulation.start(bars, EngineConfig.from_params(params), uses)
    simulation.advance(bars.total)
    return simulation.finish(), PROGRAMS[params.profile](bars, params, uses[0].signals(bars))


def compare(outcome: Outcome, theirs: Theirs) -> None:
    ours = outcome.trades
    bars = np.stack([ours.entry_bar, ours.exit_bar, ours.direction], axis=1).tolist()
    assert bars == [[one.entry_bar, one.exit_bar, one.direction] for one in theirs.trades]
    for name in ("quantity", "entry_price", "exit_price"):
        assert getattr(ours, name) == pytest.approx([getattr(one, name) for one in theirs.trades], rel=1e-9), name
    assert outcome.metrics["finalEquity"] == pytest.approx(theirs.final_equity, rel=1e-9)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize(("profile", "setting"), [(name, one) for name in SETTINGS for one in SETTINGS[name]])
def test_trades_and_final_equity_are_those_of_the_program(
    profile: str, setting: str, market: str, strategy: str, request: pytest.FixtureRequest
) -> None:
    bars = MARKETS[market](request)
    distance = round(float(bars.low.min()) * 0.03, 2)
    params = params_for(profile, SETTINGS[profile][setting], strategy, distance)
    outcome, theirs = run_both(bars, params)
    assert outcome.trades.total > 1
    compare(outcome, theirs)


@pytest.mark.parametrize("profile", SETTINGS)
def test_what_is_bought_once_and_held_is_worth_the_same(profile: str) -> None:
    outcome, theirs = run_both(daily("MSFT"), params_for(profile, {"positionSizePercent": 0.9}, "buy_and_hold", 0.0))
    assert outcome.metrics["openTrades"] == 1
    compare(outcome, theirs)


def test_the_settings_reach_every_reason_and_leave_orders_unfilled(market_data_dir: Path) -> None:
    """Guards the comparison: a rule that no run reaches would be compared with nothing."""
    bars = hours(market_data_dir / "binance" / "BTCUSDT-1h-2024-03.zip")
    for profile, settings in SETTINGS.items():
        seen: set[int] = set()
        gaps = unfilled = 0
        for setting in settings.values():
            params = params_for(profile, setting, "sma_crossover", 1_000.0)
            uses = resolve(params.strategies, params.strategy_params)
            for market in (bars, daily("IBM")):
                simulation = Simulation.start(market, EngineConfig.from_params(params), uses)
                simulation.advance(market.total)
                outcome = simulation.finish()
                seen |= set(outcome.trades.exit_reason.tolist())
                stopped = outcome.trades.exit_reason == Reason.STOP_LOSS
                at = outcome.trades.exit_bar[stopped]
                gaps += int((outcome.trades.exit_price[stopped] == market.open[at]).sum())
                unfilled += int(outcome.metrics["unfilledOrders"] or 0)
        assert seen >= {Reason.SIGNAL, Reason.REVERSAL, Reason.STOP_LOSS, Reason.TAKE_PROFIT}, profile
        assert gaps > 0, profile
        assert unfilled > 0 or profile != "backtrader"
