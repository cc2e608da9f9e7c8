"""Each profile against the real package: the same trades (bar, price, quantity) and the same final equity."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
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
from tests.engine.markets import bars_of, scripted
from tests.peers.programs import PROGRAMS, Theirs
from worker.engine.config import EngineConfig
from worker.engine.delta import Outcome
from worker.engine.elsewhere import BACKTESTING_PY, ELSEWHERE, VECTORBT
from worker.engine.simulation import Simulation

# Other programs compile their kernels when they are first called, beside whatever else the machine does.
pytestmark = pytest.mark.timeout(600)

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
        "closed at the end": {"closeAtEnd": True, **COSTS, "spreadBps": 6.0, "allowShort": True},
        "at the close, closed at the end": {"closeAtEnd": True, "fillAt": "close", **COSTS, **STOPS},
    },
    "vectorbt": {
        "plain": {},
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


def comparisons() -> Iterator[tuple[str, str, str, str]]:
    """Of each setting: the first strategy on every market, and each other one on a market of its own."""
    first, *others = STRATEGIES
    for profile, settings in SETTINGS.items():
        for number, setting in enumerate(settings):
            for at, market in enumerate(MARKETS):
                yield profile, setting, market, first
                yield profile, setting, market, others[(number + at) % len(others)]


@pytest.mark.parametrize(("profile", "setting", "market", "strategy"), [*comparisons()])
def test_trades_and_final_equity_are_those_of_the_program(
    profile: str, setting: str, market: str, strategy: str, request: pytest.FixtureRequest
) -> None:
    bars = MARKETS[market](request)
    distance = round(float(bars.low.min()) * 0.03, 2)
    params = params_for(profile, SETTINGS[profile][setting], strategy, distance)
    outcome, theirs = run_both(bars, params)
    assert outcome.trades.total > 1
    compare(outcome, theirs)


def around_100(**odd: tuple[float, float, float, float]) -> Bars:
    """Seven bars from 100 to 100 between 99 and 101, but for those given as `bar_3=(open, high, low, close)`."""
    return bars_of([odd.get(f"bar_{bar}", (100.0, 101.0, 99.0, 100.0)) for bar in range(7)])


def both_told(bars: Bars, said: dict[int, int], profile: str, **setting: Any) -> tuple[Outcome, Theirs]:
    params = params_for(profile, setting, "buy_and_hold", 0.0)
    use = scripted(said)
    simulation = Simulation.start(bars, EngineConfig.from_params(params), [use])
    simulation.advance(bars.total)
    return simulation.finish(), PROGRAMS[profile](bars, params, use.signals(bars))


BRACKET = {"stopLoss": {"percent": 8.0}, "takeProfit": {"percent": 2.0}}
UNITS_OF_WORTH = 1_000_000.0 / 8.0  # so many that a stop eight away loses all there is


@pytest.mark.parametrize(
    ("setting", "trades"),
    [
        ({**BRACKET, "positionSizePercent": 0.95}, 0),
        ({**BRACKET, "positionSizePercent": 0.9425}, 1),  # below 1 / (1.08 + 0.98 - 1)
        ({**BRACKET, "positionSizePercent": 0.9425, **COSTS}, 0),
        ({**BRACKET, "positionSizePercent": 0.9, **COSTS}, 1),
        ({"takeProfit": {"percent": 2.0}}, 1),
        ({"stopLoss": {"percent": 8.0}}, 1),
        ({"stopLoss": {"percent": 8.0}, "sizing": {"mode": "fixed_quantity", "value": UNITS_OF_WORTH - 1.0}}, 1),
        ({"stopLoss": {"percent": 8.0}, "sizing": {"mode": "fixed_quantity", "value": UNITS_OF_WORTH + 1.0}}, 0),
    ],
)
def test_backtrader_wants_cash_for_the_whole_bracket_of_a_short(setting: dict[str, Any], trades: int) -> None:
    bars = around_100(bar_3=(100, 100.5, 97, 100), bar_4=(100, 100.5, 99, 100))
    outcome, theirs = both_told(bars, {1: -1}, "backtrader", allowShort=True, **setting)
    compare(outcome, theirs)
    assert outcome.trades.total + len(outcome.open_trades) == trades
    assert outcome.metrics["unfilledOrders"] == 1 - trades


def test_backtrader_slips_a_target_that_the_bar_opens_at() -> None:
    bars = around_100(bar_3=(102, 102, 101, 102))
    setting = {"positionSizePercent": 0.5, "takeProfit": {"percent": 2.0}, "slippageBps": 5.0}
    outcome, theirs = both_told(bars, {0: 1}, "backtrader", **setting)
    compare(outcome, theirs)
    assert outcome.trades.exit_price.tolist() == [pytest.approx(101.949)]


@pytest.mark.parametrize("fill_at", ["open", "close"])
@pytest.mark.parametrize("entry", [1, 4, 5])
def test_backtesting_py_closes_what_is_open_before_the_last_close(fill_at: str, entry: int) -> None:
    bars = around_100(bar_5=(100, 104, 99, 103), bar_6=(105, 108, 104, 107))
    setting = {"closeAtEnd": True, "fillAt": fill_at, "allowShort": True, "spreadBps": 10.0, **COSTS}
    for side in (1, -1):
        outcome, theirs = both_told(bars, {entry: side}, "backtesting.py", **setting)
        assert outcome.trades.exit_price.tolist() == [105.0 if fill_at == "open" else 103.0]
        assert outcome.metrics["openTrades"] == 0
        compare(outcome, theirs)


@pytest.mark.parametrize(
    ("side", "setting"),
    [
        (1, {"takeProfit": {"distance": 0.05}, "spreadBps": 10.0}),
        (-1, {"takeProfit": {"distance": 150.0}}),
        (1, {"stopLoss": {"distance": 150.0}}),
    ],
)
def test_an_order_that_ends_backtesting_py_in_an_error_finds_no_fill(side: int, setting: dict[str, Any]) -> None:
    params = params_for("backtesting.py", {"allowShort": True, **setting}, "buy_and_hold", 150.0)
    bars, use = around_100(), scripted({1: side})
    with pytest.raises((ValueError, AssertionError)):
        PROGRAMS["backtesting.py"](bars, params, use.signals(bars))
    simulation = Simulation.start(bars, EngineConfig.from_params(params), [use])
    simulation.advance(bars.total)
    outcome = simulation.finish()
    assert (outcome.metrics["openTrades"], outcome.metrics["unfilledOrders"]) == (0, 1)


@pytest.mark.parametrize("profile", SETTINGS)
def test_what_is_bought_once_and_held_is_worth_the_same(profile: str) -> None:
    outcome, theirs = run_both(daily("MSFT"), params_for(profile, {"positionSizePercent": 0.9}, "buy_and_hold", 0.0))
    assert outcome.metrics["openTrades"] == 1
    compare(outcome, theirs)


@pytest.mark.parametrize("program", [BACKTESTING_PY, VECTORBT])
@pytest.mark.filterwarnings("ignore:DatetimeIndex.dayofweek is deprecated", "ignore::UserWarning:vectorbt")
def test_the_page_of_metrics_tells_the_figures_of_the_programs(program: str) -> None:
    """What they define otherwise: the values that `docs/metrics.md` shows of both are those of a run today."""
    outcome, theirs = run_both(daily("IBM"), params_for(program, {**COSTS, "allowShort": True}, "sma_crossover", 0.0))
    compare(outcome, theirs)

    def value_of(called: str) -> float:
        if program == BACKTESTING_PY:
            found = theirs.figures[called]
        elif called.startswith("stats"):
            [title] = re.findall("'(.+)'", called)
            # Of all it can tell the one that is asked for: it compiles each, for seconds.
            [one] = [name for name, about in theirs.figures.metrics.items() if about["title"] == title]
            found = theirs.figures.stats(metrics=[one])[title]
        else:
            found = getattr(theirs.figures, called.removesuffix("()"))()
        return found.total_seconds() / 86_400 if isinstance(found, pd.Timedelta) else found

    told = {name: one for name, all_ in ELSEWHERE.items() for one in all_ if one.program == program}
    assert {name: one.theirs for name, one in told.items()} == {
        name: f"{value_of(one.called):.4g}" for name, one in told.items()
    }
    assert {name: one.ours for name, one in told.items()} == {name: f"{outcome.metrics[name]:.4g}" for name in told}


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
