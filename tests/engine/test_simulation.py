"""The bar loop: against a slow reimplementation, against hand-made bars, and against its own promises."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.bars import Bars
from shared.errors import EngineFailed, StrategyFailed
from shared.reasons import Reason
from shared.request import BacktestParams, Intrabar
from shared.strategies import NO_OPINION, Strategy, resolve
from shared.strategies.parameters import Parameters
from shared.wire import validate
from tests.engine.markets import bars_of, flat, random_walk, raw, scripted
from tests.engine.reference import assert_agrees, run_slowly
from tests.engine.runs import CONFIGS, COSTS, EVERYTHING, STOPS, quick_uses, run
from worker.engine.config import EngineConfig
from worker.engine.kernel import advance_nb
from worker.engine.simulation import Simulation
from worker.engine.warming import warm


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", range(4))
def test_every_trade_is_that_of_a_slow_reimplementation(name: str, seed: int) -> None:
    config = CONFIGS[name]
    bars = random_walk(500, seed, volatility=0.01 if seed < 3 else 0.4)
    said = np.random.default_rng(seed).choice([1, -1, 0, NO_OPINION], 500, p=[0.12, 0.12, 0.04, 0.72]).tolist()
    simulation = Simulation.start(bars, config, [scripted(said)])
    simulation.advance(500)
    outcome = simulation.finish()
    slow = run_slowly(bars, config, said)
    assert_agrees(outcome, slow)


def test_the_walks_reach_every_reason_there_is_a_rule_for() -> None:
    """Guards the comparison above: a rule that no walk reaches would be compared with nothing."""
    seen: set[int] = set()
    doubtful = unfilled = 0
    for config in CONFIGS.values():
        for seed in range(4):
            bars = random_walk(500, seed, volatility=0.01 if seed < 3 else 0.4)
            said = np.random.default_rng(seed).choice([1, -1, 0, NO_OPINION], 500, p=[0.12, 0.12, 0.04, 0.72])
            outcome = run(bars, config, scripted(said))
            seen |= set(outcome.trades.exit_reason.tolist())
            doubtful += int(outcome.metrics["ambiguousBars"] or 0)
            unfilled += int(outcome.metrics["unfilledOrders"] or 0)
    assert seen >= {Reason.SIGNAL, Reason.STOP_LOSS, Reason.TAKE_PROFIT, Reason.REVERSAL, Reason.END_OF_DATA}
    assert seen >= {Reason.LIQUIDATION, Reason.TRAILING_STOP}
    assert doubtful > 0
    assert unfilled > 0


@pytest.mark.parametrize("name", CONFIGS)
def test_cash_and_positions_make_up_equity_at_every_bar(name: str) -> None:
    bars = random_walk(300, 5)
    simulation = Simulation.start(bars, CONFIGS[name], quick_uses())
    realised_before = 0.0
    for bar in range(300):
        delta = simulation.advance(bar + 1)
        close = float(bars.close[bar])
        held = sum(one.direction * one.quantity * close for one in delta.open_trades)
        assert delta.cash + held == pytest.approx(delta.equity, rel=1e-12)
        unrealised = sum(one.direction * one.quantity * (close - one.entry_price) for one in delta.open_trades)
        paid = sum(one.entry_fee for one in delta.open_trades)
        assert delta.equity == pytest.approx(10_000.0 + delta.realised_pnl + unrealised - paid, rel=1e-9)
        assert delta.realised_pnl - realised_before == pytest.approx(float(delta.trades.pnl.sum()), abs=1e-6)
        realised_before = delta.realised_pnl
        assert delta.peak_equity == max(10_000.0, simulation.equity(0, bar + 1).max())


@pytest.mark.parametrize("name", CONFIGS)
def test_a_fill_never_takes_exposure_above_equity(name: str) -> None:
    bars = random_walk(300, 6)
    nowhere = {"stop_loss_percent": 0.0, "take_profit_percent": 0.0, "take_profit_atr": 0.0, "trailing_stop_atr": 0.0}
    config = dataclasses.replace(CONFIGS[name], **nowhere)
    market = bars.close if config.fill_at == "close" else bars.open
    simulation = Simulation.start(bars, config, quick_uses())
    fills = 0
    for bar in range(300):
        delta = simulation.advance(bar + 1)
        if not any(one.entry_bar == bar for one in delta.open_trades):
            continue
        fills += 1
        opened = float(market[bar])
        exposure = sum(one.quantity * opened for one in delta.open_trades)
        equity = delta.cash + sum(one.direction * one.quantity * opened for one in delta.open_trades)
        assert exposure <= equity * config.leverage * (1 + 1e-12)
        if not config.allow_short and config.leverage == 1:
            assert delta.cash >= -1e-9
    assert fills > 5


@pytest.mark.parametrize("name", CONFIGS)
def test_no_trade_fills_outside_its_bar(name: str) -> None:
    bars, config = random_walk(2_000, 8), CONFIGS[name]
    trades = run(bars, config, *quick_uses()).trades
    assert trades.total > 50
    assert (trades.fees >= 0).all()
    assert (trades.quantity > 0).all()
    slip = (config.slippage_bps + config.spread_bps / 2) / 10_000
    side, tick = trades.direction, config.tick_size
    asked = (bars.close if config.fill_at == "close" else bars.open)[trades.entry_bar] * (1 + side * slip)
    if tick:
        assert (side * (trades.entry_price - asked) >= -1e-9).all()
        assert (abs(trades.entry_price - asked) < tick).all()
        at_open = trades.exit_price == bars.open[trades.exit_bar]  # a limit order gets the market's price as it is
        steps = trades.exit_price / tick
        assert (at_open | (abs(steps - np.round(steps)) < 1e-6)).all()
    else:
        assert trades.entry_price == pytest.approx(asked, rel=1e-12)
    unslipped = np.where(
        trades.exit_reason == Reason.TAKE_PROFIT, trades.exit_price, trades.exit_price / (1 - side * slip)
    )
    assert (unslipped <= bars.high[trades.exit_bar] * (1 + 1e-12) + tick).all()
    assert (unslipped >= bars.low[trades.exit_bar] * (1 - 1e-12) - tick).all()
    if config.lot_size:
        lots = trades.quantity / config.lot_size
        assert (abs(lots - np.round(lots)) < 1e-6).all()
    assert (trades.exit_bar >= trades.entry_bar).all()


def test_a_flat_market_costs_exactly_its_fees() -> None:
    said = [(1, -1)[bar % 2] for bar in range(100)]
    config = EngineConfig(commission_rate=0.002, allow_short=True, position_size_percent=0.5)
    outcome = run(flat(100), config, scripted(said))
    assert outcome.trades.total == 99
    assert outcome.metrics["finalEquity"] == pytest.approx(10_000.0 - float(outcome.trades.fees.sum()), rel=1e-12)
    assert outcome.metrics["totalFees"] == pytest.approx(float(outcome.trades.fees.sum()), rel=1e-12)
    assert outcome.trades.pnl == pytest.approx(-outcome.trades.fees, rel=1e-9)


def test_an_order_fills_at_the_next_open_with_slippage_against_it() -> None:
    bars = bars_of([(10, 11, 9, 10), (20, 21, 19, 20), (40, 41, 39, 40)])
    trade = run(bars, EngineConfig(slippage_bps=100.0), scripted({0: 1, 1: 0})).trades.as_rows()[0]
    assert (trade["entry_bar"], trade["exit_bar"]) == (1, 2)
    assert trade["entry_price"] == pytest.approx(20.2)
    assert trade["exit_price"] == pytest.approx(39.6)
    assert trade["entry_time_ms"] == bars.time_ms[1]
    assert trade["exit_time_ms"] == bars.time_ms[2]
    assert trade["exit_reason"] == "signal"


def test_both_levels_in_one_bar_fill_the_stop_and_are_counted() -> None:
    bars = bars_of([(100, 100, 100, 100), (100, 112, 88, 100), (100, 100, 100, 100)])
    outcome = run(bars, EngineConfig(stop_loss_percent=10, take_profit_percent=10), scripted({0: 1}))
    trade = outcome.trades.as_rows()[0]
    assert (trade["exit_reason"], trade["entry_bar"], trade["exit_bar"]) == ("stop_loss", 1, 1)
    assert trade["exit_price"] == pytest.approx(90.0)
    assert outcome.metrics["ambiguousBars"] == 1


@pytest.mark.parametrize(
    ("side", "opened", "reason"),
    [(1, 70.0, "stop_loss"), (1, 130.0, "take_profit"), (-1, 130.0, "stop_loss"), (-1, 70.0, "take_profit")],
)
def test_a_bar_that_opens_beyond_a_level_fills_at_its_open(side: int, opened: float, reason: str) -> None:
    wide = (opened, 140.0, 60.0, 100.0)  # reaches both levels, yet the open comes first: nothing is ambiguous
    bars = bars_of([(100, 100, 100, 100), (100, 101, 99, 100), wide])
    config = EngineConfig(stop_loss_percent=10, take_profit_percent=10, allow_short=True)
    outcome = run(bars, config, scripted({0: side}))
    trade = outcome.trades.as_rows()[0]
    assert (trade["exit_reason"], trade["exit_bar"]) == (reason, 2)
    assert trade["exit_price"] == opened
    assert outcome.metrics["ambiguousBars"] == 0


def test_several_trades_stand_at_once_and_an_order_without_money_is_counted() -> None:
    bars = flat(12)
    config = EngineConfig(position_size_percent=0.4, max_open_trades=4)
    simulation = Simulation.start(bars, config, [scripted(dict.fromkeys(range(6), 1))])
    delta = simulation.advance(12)
    # 40 % + 40 % + what is left; the orders after that find nothing.
    assert [round(one.quantity, 9) for one in delta.open_trades] == [40.0, 40.0, 20.0]
    assert simulation.finish().metrics["unfilledOrders"] == 3


def test_a_short_that_ate_all_equity_is_liquidated_and_nothing_opens_afterwards() -> None:
    bars = bars_of([(100, 100, 100, 100)] * 2 + [(250, 250, 250, 250)] * 4)
    outcome = run(bars, EngineConfig(allow_short=True), scripted({0: -1, 3: 1}))
    assert [row["exit_reason"] for row in outcome.trades.as_rows()] == ["liquidation"]
    assert outcome.equity[-1] == pytest.approx(-5_000.0)
    assert outcome.metrics["unfilledOrders"] == 1
    assert outcome.metrics["cagr"] is None
    assert outcome.metrics["sharpeRatio"] is None


def test_equity_that_falls_to_the_maintenance_margin_is_liquidated_at_the_worst_price() -> None:
    """Five times 10,000 at 100 is 500 units on 40,000 borrowed; at 88.89 equity is a tenth of exposure."""
    bars = bars_of([(100, 100, 100, 100)] * 2 + [(100, 101, 85, 100)] + [(100, 100, 100, 100)] * 2)
    config = EngineConfig(position_size_percent=5.0, leverage=5.0, maintenance_margin=0.1)
    outcome = run(bars, config, scripted({0: 1}))
    [row] = outcome.trades.as_rows()
    assert (row["exit_reason"], row["exit_bar"], row["quantity"]) == ("liquidation", 2, 500.0)
    assert row["exit_price"] == pytest.approx(40_000 / (500 * 0.9))
    assert outcome.equity.tolist() == pytest.approx([10_000, 10_000] + [500 * 40_000 / 450 - 40_000] * 3)


def test_a_stop_before_the_liquidation_price_comes_first() -> None:
    bars = bars_of([(100, 100, 100, 100)] * 2 + [(100, 101, 80, 100)])
    config = EngineConfig(position_size_percent=5.0, leverage=5.0, maintenance_margin=0.1)
    for percent, reason in ((8.0, "stop_loss"), (12.0, "liquidation")):
        outcome = run(bars, dataclasses.replace(config, stop_loss_percent=percent), scripted({0: 1}))
        assert [row["exit_reason"] for row in outcome.trades.as_rows()] == [reason]


def test_a_trailing_stop_follows_the_best_price_and_never_turns_back() -> None:
    rows = [(100, 100, 100, 100)] * 2 + [(100, 120, 100, 115), (112, 116, 111, 112), (112, 112, 105, 106)]
    config = EngineConfig(trailing_stop_percent=10.0)
    simulation = Simulation.start(bars_of(rows), config, [scripted({0: 1})])
    levels = [simulation.advance(bar + 1).open_trades for bar in range(1, 4)]
    assert [one.trailing_stop_price for [one] in levels] == pytest.approx([90.0, 108.0, 108.0])
    simulation.advance(5)
    [row] = simulation.finish().trades.as_rows()
    assert (row["exit_reason"], row["exit_bar"], row["exit_price"]) == ("trailing_stop", 4, pytest.approx(108.0))


def test_a_bar_that_makes_a_high_cannot_reach_the_stop_that_high_moves() -> None:
    """Within a bar nobody knows whether the low came after the high: the stop moves for the next one."""
    bars = bars_of([(100, 100, 100, 100)] * 2 + [(100, 130, 95, 130), (130, 131, 129, 130)])
    outcome = run(bars, EngineConfig(trailing_stop_percent=10.0), scripted({0: 1}))
    assert [row["exit_reason"] for row in outcome.trades.as_rows()] == ["end_of_data"]


@pytest.mark.parametrize(
    ("intrabar", "side", "bar", "reason"),
    [
        ("stop_first", 1, (100, 112, 88, 100), "stop_loss"),
        ("target_first", 1, (100, 112, 88, 100), "take_profit"),
        ("ohlc_path", 1, (100, 111, 88, 100), "take_profit"),  # the high is nearer: up first
        ("ohlc_path", 1, (100, 112, 89, 100), "stop_loss"),
        ("ohlc_path", -1, (100, 111, 88, 100), "stop_loss"),
        ("ohlc_path", -1, (100, 112, 89, 100), "take_profit"),
        ("ohlc_path", 1, (100, 112, 88, 100), "stop_loss"),  # neither is nearer: down first
    ],
)
def test_what_came_first_inside_a_bar_is_what_was_asked_for(
    intrabar: Intrabar, side: int, bar: tuple[float, float, float, float], reason: str
) -> None:
    bars = bars_of([(100, 100, 100, 100), bar, (100, 100, 100, 100)])
    config = EngineConfig(stop_loss_percent=10, take_profit_percent=10, allow_short=True, intrabar=intrabar)
    outcome = run(bars, config, scripted({0: side}))
    assert [row["exit_reason"] for row in outcome.trades.as_rows()] == [reason]
    assert outcome.metrics["ambiguousBars"] == 1


@pytest.mark.parametrize("side", [1, -1])
def test_trades_that_close_in_one_bar_close_as_the_price_meets_their_levels(side: int) -> None:
    """Entered at 100, 104 and 102 as the trade feels it, with levels 10 away: three losses in a row, or three wins."""

    def around(*moves: float) -> tuple[float, float, float, float]:
        opened, best, worst, closed = (100 + side * move for move in moves)
        return (opened, max(best, worst), min(best, worst), closed)

    entries = [around(0, 0, 0, 0), around(0, 4, 0, 4), around(4, 4, 2, 2), around(2, 2, 2, 2)]
    config = EngineConfig(
        stop_loss_distance=10, take_profit_distance=10, allow_short=True, max_open_trades=3, position_size_percent=0.2
    )
    said = scripted(dict.fromkeys(range(3), side))
    for last, order in (
        (around(2, 3, -20, -20), [2, 3, 1]),  # the stops of 104, 102, 100
        (around(2, 30, 1, 30), [1, 3, 2]),  # the targets of 100, 102, 104
        (around(-7, -7, -20, -20), [2, 3, 1]),  # the first is passed by the gap
        (around(-9, -9, -20, -20), [2, 3, 1]),  # two are, in the order they were opened
        (around(-20, -20, -20, -20), [1, 2, 3]),  # all are
    ):
        trades = run(bars_of([*entries, last]), config, said).trades
        assert trades.entry_bar.tolist() == order
        assert trades.exit_bar.tolist() == [4] * 3


def test_an_order_may_fill_at_the_close_that_decided_it() -> None:
    bars = bars_of([(10, 11, 9, 10), (20, 25, 5, 20), (40, 41, 39, 40)])
    config = EngineConfig(fill_at="close", stop_loss_percent=10.0)
    trade = run(bars, config, scripted({1: 1, 2: 0})).trades.as_rows()[0]
    assert (trade["entry_bar"], trade["exit_bar"], trade["strategy"]) == (1, 2, 0)  # the low of 5 was before it
    assert (trade["entry_price"], trade["exit_price"]) == (20.0, 40.0)


CLOSING = EngineConfig(fill_at="close", commission_rate=0.001, allow_short=True)


def test_no_trade_opens_at_the_close_at_which_it_would_be_closed() -> None:
    outcome = run(flat(6), CLOSING, scripted({5: 1}))
    assert (outcome.trades.total, outcome.equity.tolist()) == (0, [10_000.0] * 6)
    assert (outcome.metrics["losingTrades"], outcome.metrics["totalFees"], outcome.metrics["unfilledOrders"]) == (
        0,
        0,
        0,
    )
    reversed_ = run(bars_of([(100, 100, 100, 100)] * 5 + [(100, 100, 90, 91)]), CLOSING, scripted({0: 1, 5: -1}))
    [row] = reversed_.trades.as_rows()
    assert (row["entry_bar"], row["exit_bar"], row["exit_price"], row["exit_reason"]) == (0, 5, 91.0, "reversal")
    assert reversed_.metrics["finalEquity"] == pytest.approx(10_000.0 / 1.001 * 0.91 * 0.999, rel=1e-12)
    assert reversed_.metrics["exposure"] == pytest.approx(500 / 6)


def test_a_run_that_leaves_trades_open_opens_them_at_the_last_close_too() -> None:
    for config, closing in ((CLOSING, False), (dataclasses.replace(CLOSING, close_at_end=False), None)):
        simulation = Simulation.start(flat(6), config, [scripted({5: 1})])
        simulation.advance(6)
        outcome = simulation.finish(closing)
        assert [one.entry_bar for one in outcome.open_trades] == [5]
        assert outcome.metrics["finalEquity"] == pytest.approx(10_000.0 / 1.001)


@pytest.mark.parametrize("several", [1, 3])
def test_a_run_stopped_at_the_close_that_opened_a_trade_is_the_run_before_it(several: int) -> None:
    said = {1: 1, 3: 1, 5: 1}
    config = dataclasses.replace(CLOSING, position_size_percent=0.3, max_open_trades=several)
    simulation = Simulation.start(random_walk(9, 1), config, [scripted(said)])
    simulation.advance(6)
    stopped = simulation.finish(close_open_trades=True)
    assert stopped.trades.entry_bar.tolist() == [1, 3][:several]
    assert {row["exit_reason"] for row in stopped.trades.as_rows()} == {"stopped_by_user"}
    del said[5]
    shorter = Simulation.start(random_walk(9, 1), config, [scripted(said)])
    shorter.advance(6)
    assert shorter.finish(close_open_trades=True).result_hash == stopped.result_hash


def test_a_share_of_equity_is_what_a_stop_loses() -> None:
    bars = bars_of([(100, 100, 100, 100)] * 2 + [(100, 100, 80, 80)])
    config = EngineConfig(sizing_mode="risk_fraction", sizing_value=0.01, stop_loss_distance=5.0)
    [row] = run(bars, config, scripted({0: 1})).trades.as_rows()
    assert (row["quantity"], row["pnl"]) == (pytest.approx(20.0), pytest.approx(-100.0))


def test_a_level_in_true_ranges_waits_until_there_is_one() -> None:
    outcome = run(random_walk(30, 1), EngineConfig(stop_loss_atr=50.0, atr_period=9), scripted({3: 1, 8: 1, 9: 1}))
    assert outcome.trades.entry_bar.tolist() == [10]
    assert outcome.metrics["unfilledOrders"] == 2


def test_a_fee_has_its_rate_its_fixed_part_and_its_minimum() -> None:
    said = scripted({0: 1, 2: 0})
    config = EngineConfig(
        commission_rate=0.001, commission_fixed=2.0, sizing_mode="fixed_notional", sizing_value=5_000.0
    )
    assert run(flat(5), config, said).metrics["totalFees"] == pytest.approx(2 * (5.0 + 2.0))
    config = dataclasses.replace(config, commission_minimum=10.0)
    assert run(flat(5), config, said).metrics["totalFees"] == pytest.approx(2 * 10.0)


def test_a_reversal_closes_and_opens_at_the_same_open() -> None:
    bars = random_walk(10, 1)
    rows = run(bars, EngineConfig(allow_short=True), scripted({0: 1, 4: -1})).trades.as_rows()
    assert [(row["direction"], row["entry_bar"], row["exit_bar"]) for row in rows] == [(1, 1, 5), (-1, 5, 9)]
    assert [(row["entry_reason"], row["exit_reason"]) for row in rows] == [
        ("signal", "reversal"),
        ("reversal", "end_of_data"),
    ]


def test_a_run_that_is_stopped_early_closes_at_the_last_bar_it_saw() -> None:
    bars = random_walk(50, 2)
    simulation = Simulation.start(bars, COSTS, resolve(["buy_and_hold"], {}))
    simulation.advance(20)
    outcome = simulation.finish()
    assert [row["exit_reason"] for row in outcome.trades.as_rows()] == ["stopped_by_user"]
    assert outcome.trades.exit_bar.tolist() == [19]
    assert outcome.equity.shape == outcome.time_ms.shape == (20,)
    assert outcome.equity[-1] == pytest.approx(10_000.0 + float(outcome.trades.pnl.sum()))


def test_open_trades_can_be_left_open() -> None:
    simulation = Simulation.start(random_walk(50, 2), COSTS, resolve(["buy_and_hold"], {}))
    delta = simulation.advance(50)
    outcome = simulation.finish(close_open_trades=False)
    assert outcome.trades.total == 0
    assert [one.entry_bar for one in outcome.open_trades] == [1]
    assert outcome.metrics["finalEquity"] == delta.equity


def test_steps_add_up_to_the_whole() -> None:
    bars = random_walk(1_000, 4)
    simulation = Simulation.start(bars, EVERYTHING, quick_uses())
    deltas = [simulation.advance(until) for until in (0, 1, 17, 400, 400, 5_000)]
    entries = [bar for delta in deltas for bar in delta.trades.entry_bar.tolist()]
    points = np.concatenate([delta.equity_points for delta in deltas])
    spoken = [bar for delta in deltas for bar in delta.signals[0].tolist()]
    assert [delta.bars for delta in deltas] == [0, 1, 16, 383, 0, 600]
    assert len(entries) == deltas[-1].total_trades == sum(delta.closed_trades for delta in deltas)
    assert deltas[-1].winning_trades + deltas[-1].losing_trades == len(entries)
    assert spoken == simulation.opinions(0, 1_000)[0].tolist()
    outcome = simulation.finish(close_open_trades=False)
    assert outcome.trades.entry_bar.tolist() == entries
    assert outcome.equity.tobytes() == points.tobytes()


def test_a_trade_names_the_strategy_that_asked_for_it() -> None:
    first, second = scripted({0: 1, 2: 0}), scripted({4: 1, 6: 0})
    outcome = run(random_walk(12, 3), EngineConfig(), first, second)
    assert outcome.trades.strategy.tolist() == [0, 1]


def test_a_trade_that_only_standing_opinions_agreed_on_names_nobody() -> None:
    voices = [scripted({0: 1}), scripted({1: 1}), scripted({1: -1, 3: 0})]
    outcome = run(random_walk(12, 3), EngineConfig(combine="majority"), *voices)
    assert outcome.trades.entry_bar.tolist() == [2]
    assert outcome.trades.strategy.tolist() == [1]
    voices = [scripted({0: 1}), scripted({0: 1}), scripted({3: 0})]
    config = EngineConfig(combine="majority", max_open_trades=2, position_size_percent=0.1)
    assert run(random_walk(12, 3), config, *voices).trades.strategy.tolist() == [0, -1]


def test_more_trades_than_were_made_room_for_are_all_kept() -> None:
    said = [(1, 0)[bar % 2] for bar in range(4_000)]
    outcome = run(random_walk(4_000, 1), EngineConfig(), scripted(said))
    assert outcome.trades.entry_bar.tolist() == list(range(1, 4_000, 2))


def test_more_open_trades_than_rows_are_all_closed_at_once() -> None:
    config = EngineConfig(max_open_trades=1_000, position_size_percent=0.0005)
    said = {**dict.fromkeys(range(1_100), 1), 1_200: 0}
    outcome = run(random_walk(1_300, 1), config, scripted(said))
    assert outcome.trades.total == 1_000
    assert set(outcome.trades.exit_bar.tolist()) == {1_201}
    assert outcome.trades.entry_bar.tolist() == list(range(1, 1_001))  # first in, first out


def test_read_only_memory_maps_run_the_same_compiled_kernel(tmp_path: Path) -> None:
    bars = random_walk(300, 9)
    whole = run(bars, EVERYTHING, *quick_uses())
    compiled = len(advance_nb.overloads)
    for name, column in bars._asdict().items():
        np.save(tmp_path / f"{name}.npy", column)
    mapped = Bars(*(np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in Bars._fields))
    assert run(mapped, EVERYTHING, *quick_uses()).result_hash == whole.result_hash
    assert len(advance_nb.overloads) == compiled == 1


@pytest.mark.parametrize("total", [0, 1, 2, 3])
def test_hardly_any_bars_are_no_accident(total: int) -> None:
    outcome = run(random_walk(total, 1), STOPS, *resolve(["sma", "rsi", "buy_and_hold"], {}))
    assert outcome.trades.total == (1 if total > 1 else 0)
    assert outcome.equity.shape == (total,)
    json.dumps(outcome.metrics, allow_nan=False)


@pytest.mark.parametrize("name", CONFIGS)
def test_no_figure_is_ever_nan_or_infinite(name: str) -> None:
    tiny = bars_of([(1e-9, 1e-9, 1e-9, 1e-9)] * 5)
    steep = bars_of([(10.0**i, 10.0 ** (i + 1), 10.0**i, 10.0 ** (i + 1)) for i in range(20)])
    for bars in (flat(1), flat(40), tiny, steep):
        outcome = run(bars, CONFIGS[name], scripted([(1, -1, 2)[bar % 3] for bar in range(bars.total)]))
        text = json.dumps([outcome.metrics, outcome.trades.as_rows()], allow_nan=False)
        assert "NaN" not in text
        assert np.isfinite(outcome.equity).all()


def test_the_hash_is_that_of_the_documented_bytes() -> None:
    outcome = run(random_walk(300, 11), EVERYTHING, *quick_uses())
    trades, equity = outcome.trades, outcome.equity
    data = b"backfleet-result-2\n" + struct.pack("<qqq", trades.total, len(equity), 0)
    for column in trades:
        data += struct.pack(f"<{len(column)}{'q' if column.dtype.kind == 'i' else 'd'}", *column.tolist())
    data += struct.pack("<qq", int(outcome.time_ms[0]), int(outcome.time_ms[-1]))
    data += struct.pack(f"<{len(equity)}d", *equity.tolist())
    rounded = {k: float(f"{v:.12g}") if isinstance(v, float) else v for k, v in outcome.metrics.items()}
    data += json.dumps(rounded, sort_keys=True, separators=(",", ":")).encode()
    assert outcome.result_hash == f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_another_price_gives_another_hash() -> None:
    bars = random_walk(100, 1)
    close = bars.close.copy()
    close[50] = np.nextafter(close[50], np.inf)
    use = resolve(["buy_and_hold"], {})
    assert run(bars, COSTS, *use).result_hash != run(bars._replace(close=close), COSTS, *use).result_hash


def test_a_finished_simulation_goes_nowhere() -> None:
    simulation = Simulation.start(flat(5), EngineConfig(), resolve(["buy_and_hold"], {}))
    simulation.finish()
    for again in (simulation.finish, simulation.position, lambda: simulation.advance(5)):
        with pytest.raises(RuntimeError, match="finished"):
            again()


def test_the_request_reaches_the_engine_number_by_number() -> None:
    params = validate(
        BacktestParams,
        {
            "symbol": "BTCUSDT",
            "interval": "1h",
            "startDate": "2024-01-01",
            "endDate": "2024-02-01",
            "strategies": ["sma"],
            "combine": "majority",
            "initialCapital": 5000.0,
            "positionSizePercent": 0.25,
            "maxOpenTrades": 3,
            "allowShort": True,
            "stopLoss": {"percent": 2.0},
            "takeProfit": {"percent": 4.0},
            "commission": {"rate": 0.001},
            "slippageBps": 3.0,
        },
    )
    assert EngineConfig.from_params(params) == EngineConfig(5000.0, 0.25, 3, True, 2.0, 4.0, 0.001, 3.0, "majority")


def test_every_other_field_of_a_request_reaches_the_engine_too() -> None:
    body = {
        "symbol": "BTCUSDT",
        "interval": "1h",
        "startDate": "2024-01-01",
        "endDate": "2024-02-01",
        "strategies": ["sma"],
        "combine": "weighted",
        "weights": {"sma": 2},
        "stopLoss": {"distance": 150},
        "takeProfit": {"atr": 2.0},
        "trailingStop": {"percent": 3},
        "atrPeriod": 21,
        "commission": {"rate": 0.001, "fixed": 1.0, "minimum": 2.0},
        "spreadBps": 4,
        "fillAt": "close",
        "intrabar": "ohlc_path",
        "sizing": {"mode": "risk_fraction", "value": 0.01},
        "lotSize": 0.1,
        "tickSize": 0.01,
        "leverage": 5,
        "maintenanceMargin": 0.05,
    }
    params = validate(BacktestParams, body)
    assert EngineConfig.from_params(validate(BacktestParams, params.as_wire())) == EngineConfig(
        commission_rate=0.001,
        stop_loss_distance=150.0,
        take_profit_atr=2.0,
        trailing_stop_percent=3.0,
        atr_period=21,
        commission_fixed=1.0,
        commission_minimum=2.0,
        spread_bps=4.0,
        fill_at="close",
        intrabar="ohlc_path",
        sizing_mode="risk_fraction",
        sizing_value=0.01,
        lot_size=0.1,
        tick_size=0.01,
        leverage=5.0,
        maintenance_margin=0.05,
        combine="weighted",
        weights=(2.0,),
    )


def test_levels_are_switched_off_by_one_field() -> None:
    plain = {"symbol": "X", "interval": "1h", "startDate": "2024-01-01", "endDate": "2024-02-01", "strategies": ["sma"]}
    levels = {"stopLoss": {"percent": 2.0}, "trailingStop": {"atr": 2.0}, "takeProfit": {"distance": 5.0}}
    off = {"useStopOrders": False, "useTakeProfits": False}
    assert EngineConfig.from_params(validate(BacktestParams, {**plain, **levels, **off})) == EngineConfig(
        use_stop_orders=False, use_take_profits=False
    )
    only_target = EngineConfig.from_params(validate(BacktestParams, {**plain, **levels, "useStopOrders": False}))
    assert only_target == EngineConfig(take_profit_distance=5.0, use_stop_orders=False)
    only_stops = EngineConfig.from_params(validate(BacktestParams, {**plain, **levels, "useTakeProfits": False}))
    assert only_stops == EngineConfig(stop_loss_percent=2.0, trailing_stop_atr=2.0, use_take_profits=False)


def test_other_profiles_leave_open_trades_open_unless_asked() -> None:
    plain = {"symbol": "X", "interval": "1h", "startDate": "2024-01-01", "endDate": "2024-02-01", "strategies": ["sma"]}
    bars = random_walk(60, 1)
    for change, left_open in (({}, 0), ({"profile": "vectorbt"}, 1), ({"profile": "vectorbt", "closeAtEnd": True}, 0)):
        config = EngineConfig.from_params(validate(BacktestParams, {**plain, **change}))
        outcome = run(bars, config, scripted({10: 1}))
        assert (outcome.metrics["openTrades"], len(outcome.open_trades)) == (left_open, left_open)
        assert outcome.trades.total == 1 - left_open


def test_warming_up_compiles_the_one_kernel() -> None:
    warm()
    assert len(advance_nb.overloads) == 1


@pytest.mark.parametrize("said", [[1, 1], [1, 2, 2, 2, 2, 2], [3, 2, 2, 2, 2], [-2, 2, 2, 2, 2], [[1, 2, 2, 2, 2]]])
def test_signals_that_are_none_are_refused_by_the_strategys_name(said: list[int]) -> None:
    with pytest.raises(StrategyFailed, match="scripted must return 5 signals"):
        Simulation.start(flat(5), EngineConfig(), [raw(np.array(said))])


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ([1.0, float("nan"), 2.0, 2.0, 2.0], "signals .* as whole numbers .* returned float64"),
        ([0.5, 2.0, 2.0, 2.0, 2.0], "returned float64"),
        ([True, False, True, True, True], "returned bool"),
        (["1", "2", "2", "2", "2"], "returned <U1"),
        ([None, 2, 2, 2, 2], "returned object"),
        ([2, 2, 2, 300, 2], r"returned 300 at bar 3 \(2024-01-01T03:00:00Z\)"),
        ([[1], [1, 2]], "raised ValueError: "),
    ],
)
def test_what_a_plug_in_returns_instead_of_signals_is_its_own_failure(said: Any, words: str) -> None:
    with pytest.raises(StrategyFailed, match=f"^strategy scripted .*{words}") as failure:
        Simulation.start(flat(5), EngineConfig(), [*quick_uses(), raw(said)])
    assert [(error.field, error.code) for error in failure.value.errors] == [("strategies.2", "strategy_error")]


def test_signals_that_raise_are_refused_by_the_strategys_name() -> None:
    def signals(_bars: Bars, _params: Parameters) -> Any:
        raise LookupError("no such column")

    use = Strategy("torn", "Torn", "Raises.", Parameters, signals).use({}, "torn", name="mine")
    with pytest.raises(StrategyFailed, match=r"^strategy mine raised LookupError: no such column$") as failure:
        Simulation.start(flat(5), EngineConfig(), [*quick_uses(), use])
    assert [(error.field, error.code) for error in failure.value.errors] == [("strategies.2", "strategy_error")]


def test_columns_of_different_length_are_refused() -> None:
    bars = flat(5)
    with pytest.raises(EngineFailed, match="differ in length"):
        Simulation.start(bars._replace(low=bars.low[:4]), EngineConfig(), resolve(["buy_and_hold"], {}))


def test_arrays_of_any_layout_run_alike() -> None:
    bars = random_walk(300, 9)
    said = np.random.default_rng(1).choice([1, -1, NO_OPINION], 300)
    whole = run(bars, EVERYTHING, scripted(said.astype(np.int8)))
    strided = bars._replace(**{name: np.repeat(column, 2)[::2] for name, column in bars._asdict().items()})
    assert not strided.close.flags.c_contiguous
    assert run(strided, EVERYTHING, raw(said)).result_hash == whole.result_hash
    assert run(strided, EVERYTHING, raw(np.repeat(said, 2)[::2])).result_hash == whole.result_hash
