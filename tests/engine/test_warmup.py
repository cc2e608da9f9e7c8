"""Bars before a run: indicators begin with them, and nothing else knows of them."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from shared.bars import Bars
from shared.strategies import BE_FLAT, NO_OPINION, StrategyUse, catalogue, find
from shared.strategies.rule.functions import FUNCTIONS, RECURSIVE
from shared.strategies.strategy import Mute
from shared.strategies.warmup import true_range_bars
from tests.engine.markets import random_walk
from tests.engine.runs import CONFIGS, SHORT
from tests.engine.test_windows import QUICK, RECURSIVE_FUNCTIONS
from worker.engine.config import EngineConfig
from worker.engine.delta import Outcome
from worker.engine.faults import PositionUnfit
from worker.engine.simulation import Simulation

SMALL: dict[str, dict[str, Any]] = {
    **QUICK,
    "ema_crossover": {"fast": 3, "slow": 7},
    "rsi": {"period": 4, "oversold": 40.0, "overbought": 60.0},
    "macd": {"fast": 3, "slow": 6, "signal": 3},
    "supertrend": {"period": 4, "multiplier": 1.0},
    "buy_and_hold": {},
}


def run_after(bars: Bars, warmup_bars: int, config: EngineConfig, *uses: StrategyUse) -> Outcome:
    simulation = Simulation.start(bars, config, uses, warmup_bars=warmup_bars)
    simulation.advance(simulation.total_bars)
    return simulation.finish()


@pytest.mark.parametrize("name", [one.id for one in catalogue() if one.form == "signals"])
def test_a_strategy_that_begins_warm_says_what_it_says_with_any_history(name: str) -> None:
    bars, begins = random_walk(1_500, 7), 1_200
    use = find(name).use(SMALL[name], name)
    simulations = [
        Simulation.start(bars.after(first), EngineConfig(), [use], warmup_bars=begins - first)
        for first in (begins - use.warmup_bars, begins - use.warmup_bars - 1, 0)
    ]
    heard = [simulation.opinions(0, 300) for simulation in simulations]
    assert simulations[0].total_bars == 300
    for at, said in heard[1:]:
        assert (at.tolist(), said.tolist()) == (heard[0][0].tolist(), heard[0][1].tolist())
    whole = use.signals(bars)[begins:]
    if name == "buy_and_hold":
        assert heard[0][0].tolist() == [0], "it begins where the run does"
    elif name not in ("momentum", "donchian", "supertrend"):  # which do not repeat what they said before
        assert heard[0][0].tolist() == np.flatnonzero(whole != NO_OPINION).tolist()


def test_rules_look_back_as_far_as_what_they_are_made_of() -> None:
    for condition, least in (("sma(close, 10) > sma(close, 30)", 31), ("close > shift(highest(high, 20), 5)", 26)):
        bars_looked_at = find("rule").use({"long": condition}, "rule").warmup_bars
        assert least <= bars_looked_at <= least + 3
    assert find("rule").use({"long": "ema(close, 10) > 1"}, "rule").warmup_bars > 70
    assert RECURSIVE == RECURSIVE_FUNCTIONS < set(FUNCTIONS)


def test_nothing_but_indicators_knows_of_the_bars_before() -> None:
    bars, use = random_walk(400, 3), find("sma").use({"fast": 5, "slow": 40}, "sma")
    warm, cold = run_after(bars, 100, SHORT, use), run_after(bars.after(100), 0, SHORT, use)
    assert warm.warmup_bars == 100
    assert warm.equity.shape == warm.time_ms.shape == (300,)
    assert warm.time_ms[0] == bars.time_ms[100]
    assert warm.trades.entry_bar.min() < 40 <= cold.trades.entry_bar.min()
    assert warm.trades.entry_time_ms.tolist() == bars.time_ms[100 + warm.trades.entry_bar].tolist()
    assert warm.metrics["buyAndHoldReturn"] == cold.metrics["buyAndHoldReturn"]
    late = warm.trades.entry_bar >= int(cold.trades.entry_bar[0])
    assert warm.trades.entry_price[late].tolist() == cold.trades.entry_price.tolist()


def test_the_hash_says_whether_a_run_began_warm() -> None:
    bars, use = random_walk(200, 3), find("buy_and_hold").use({}, "buy_and_hold")
    hashes = {run_after(bars.after(50 - before), before, SHORT, use).result_hash for before in (0, 1, 50)}
    assert len(hashes) == 3


@pytest.mark.parametrize("name", ["everything", "true ranges", "trailing and fixed", "at the close"])
def test_a_run_that_began_warm_is_cut_and_carried_on_like_any_other(name: str) -> None:
    bars, config = random_walk(500, 5), CONFIGS[name]
    uses = [find("sma").use({"fast": 3, "slow": 20}, "sma"), find("rsi").use({"period": 5}, "rsi")]
    before = max(true_range_bars(config.atr_period), *(use.warmup_bars for use in uses))
    assert 70 < before < 300
    whole = run_after(bars, before, config, *uses)
    simulation = Simulation.start(bars, config, uses, warmup_bars=before)
    for cut in (0, 1, 90, 140):
        simulation.advance(cut)
        simulation = Simulation.resume(simulation.position(), bars, config, uses, warmup_bars=before)
    with pytest.raises(PositionUnfit, match=re.escape("ran over bars other than these")):
        Simulation.resume(simulation.position(), bars, config, uses)
    with pytest.raises(PositionUnfit, match="in another state"):
        Simulation.resume(simulation.position(), bars.after(1), config, uses, warmup_bars=before - 1)
    simulation.advance(500)
    assert simulation.finish().result_hash == whole.result_hash


def test_levels_in_true_ranges_are_warm_from_the_first_bar() -> None:
    config = dataclasses.replace(SHORT, stop_loss_atr=2.0, atr_period=9)
    use = find("buy_and_hold").use({}, "buy_and_hold")
    bars = random_walk(300, 1)
    assert run_after(bars.after(140), 0, config, use).metrics["unfilledOrders"] == 1
    warm = run_after(bars, 140, config, use)
    assert warm.metrics["unfilledOrders"] == 0
    assert warm.trades.entry_bar.tolist() == [1]
    assert true_range_bars(config.atr_period) == 9 * 15 < 140


# Of these the first signal comes as early as it can in one of many markets.
EAGER: dict[str, dict[str, Any]] = {
    **SMALL,
    "supertrend": {"period": 4, "multiplier": 0.1},
    "rule": {"long": "crosses_above(close, sma(close, 9))", "short": "close < shift(lowest(low, 5), 5)"},
}


@pytest.mark.parametrize("name", [one.id for one in catalogue() if one.form == "signals"])
def test_no_strategy_speaks_before_it_says_it_can_and_each_may_then(name: str) -> None:
    use = find(name).use(EAGER[name], name)
    heard = [np.flatnonzero(use.signals(random_walk(40, seed)) != NO_OPINION) for seed in range(150)]
    assert min(int(bars[0]) for bars in heard if bars.size) == use.speaks_from


@pytest.mark.parametrize(
    ("rule", "speaks_from"),
    [
        ({"long": "close > sma(close, 200)"}, 199),
        ({"long": "close > ema(sma(close, 100), 50)"}, 148),
        ({"long": "close > sma(close, 200) or close > 5"}, 0),
        ({"long": "close > sma(close, 200) and close > 5"}, 199),
        ({"long": "not (close > sma(close, 200) and close > 1e9)"}, 0),
        ({"long": "not (close > sma(close, 200) or close > 1e9)"}, 199),
        ({"long": "close > shift(close, 150)", "short": "falling(close, 3)"}, 3),
        ({"long": "not rising(close, 90)"}, 1),
        ({"long": "macd(close, 12, 26) > macd_signal(close, 12, 26, 9)"}, 33),
        ({"long": "stochastic_d(100, 3) > 50", "exit": "close > 1e9"}, 101),
    ],
)
def test_a_rule_is_mute_until_what_it_needs_is_known(rule: dict[str, str], speaks_from: int) -> None:
    use = find("rule").use(rule, "rule")
    said = [use.signals(random_walk(300, seed)) for seed in range(40)]
    heard = [np.flatnonzero((one != NO_OPINION) & (one != BE_FLAT)) for one in said]
    assert min(int(bars[0]) for bars in heard if bars.size) == use.speaks_from == speaks_from


@pytest.mark.parametrize(
    ("total", "warmup_bars", "given"),
    [(150, 0, 150), (200, 0, 200), (201, 0, 0), (200, 90, 200), (201, 90, 0), (350, 300, 0)],
)
def test_a_strategy_is_mute_where_run_and_warmup_together_are_too_short(
    total: int, warmup_bars: int, given: int
) -> None:
    uses = [find("buy_and_hold").use({}, "hold"), find("sma").use({"fast": 10, "slow": 200}, "sma")]
    mute = run_after(random_walk(total, 3), warmup_bars, EngineConfig(), *uses).mute
    assert mute == ((Mute("sma_crossover", 201, given),) if given else ())
