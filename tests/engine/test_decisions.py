"""A decision that says size, stop and target: what it means, what is refused, and that it survives any interruption."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.bars import Bars
from shared.errors import StrategyFailed
from shared.reasons import Reason
from shared.request import BacktestParams
from shared.strategies import NO_OPINION, Decision, Strategy, StrategyUse, View
from shared.strategies.decision import PastDecision
from shared.strategies.view import ClosedTrade
from shared.wire import validate
from tests.engine.deciders import Often, carried_over
from tests.engine.markets import bars_of, flat, random_walk, scripted
from tests.engine.reference import assert_agrees, run_slowly
from tests.engine.runs import CONFIGS, EVERYTHING, PROFILES, SHORT, run
from tests.readme import shown
from worker.engine.config import EngineConfig
from worker.engine.deciding import play
from worker.engine.delta import Outcome
from worker.engine.faults import PositionUnfit
from worker.engine.position import Decisions, Mark
from worker.engine.simulation import Simulation

LONG_ONLY = EngineConfig()
AT_CLOSE = dataclasses.replace(SHORT, fill_at="close", commission_rate=0.0, slippage_bps=0.0)


def deciding(decide: Callable[[View], Any], name: str = "asked", every: int = 1) -> StrategyUse:
    return Strategy(name, name, "Is asked.", Often, decide=decide).use({"every": every}, name)


def told(said: Mapping[int, Any], name: str = "asked") -> StrategyUse:
    return deciding(lambda view: said.get(view.bar), name)


def outcome_of(bars: Bars, config: EngineConfig, *uses: StrategyUse) -> Outcome:
    simulation = Simulation.start(bars, config, uses)
    play(simulation, bars.total)
    return simulation.finish()


def rows(bars: Bars, config: EngineConfig, *uses: StrategyUse) -> list[tuple[Any, ...]]:
    found = outcome_of(bars, config, *uses).trades.as_rows()
    names = ("entry_bar", "exit_bar", "quantity", "entry_price", "exit_price", "exit_reason")
    return [tuple(row[name] for name in names) for row in found]


def drawn(bars: Bars, seed: int, leverage: float, share: float = 0.28) -> dict[int, Decision]:
    """Opinions at random, most of which say more: levels so near that the next open often lies beyond."""
    random = np.random.default_rng(seed)
    found = dict[int, Decision]()
    for bar in np.flatnonzero(random.random(bars.total) < share).tolist():
        signal = int(random.choice([1, -1, 0], p=[0.45, 0.45, 0.1]))
        size, stop, target = random.random(3) < 0.6
        away = 10.0 ** random.uniform(-3.5, -1.2, 2)
        close = float(bars.close[bar])
        found[bar] = Decision(
            signal,
            float(random.uniform(0.02, leverage)) if signal and size else None,
            close * float(1.0 - signal * away[0]) if signal and stop else None,
            close * float(1.0 + signal * away[1]) if signal and target else None,
        )
    return found


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", range(3))
def test_every_trade_is_that_of_a_slow_reimplementation(name: str, seed: int) -> None:
    config = CONFIGS[name]
    bars = random_walk(400, seed, volatility=0.01 if seed else 0.3)
    said = drawn(bars, seed, config.leverage)
    signals = [said[bar].signal if bar in said else NO_OPINION for bar in range(bars.total)]
    slow = run_slowly(bars, config, [NO_OPINION if one is None else one for one in signals], said)
    assert_agrees(outcome_of(bars, config, told(said)), slow)


def test_the_drawn_decisions_reach_what_is_particular_to_them() -> None:
    """Guards the comparison above: of what no walk reaches it would say nothing."""
    at_once = dict.fromkeys([Reason.STOP_LOSS, Reason.TAKE_PROFIT], 0)
    unfilled = 0
    for name in ("plain", "so much risk"):
        for seed in range(3):
            bars = random_walk(400, seed, volatility=0.01 if seed else 0.3)
            outcome = outcome_of(bars, CONFIGS[name], told(drawn(bars, seed, CONFIGS[name].leverage)))
            trades = outcome.trades
            for reason in at_once:
                gone = (trades.exit_bar == trades.entry_bar) & (trades.exit_reason == reason)
                market = bars.open[trades.exit_bar]
                at_once[reason] += int((gone & (abs(trades.exit_price / market - 1.0) < 1e-3)).sum())
            unfilled += int(outcome.metrics["unfilledOrders"] or 0)
    assert min(*at_once.values(), unfilled) > 3


# The same trades as a request that says the same.

STEPS = {bar: (1, -1, 0)[bar // 7 % 3] for bar in range(0, 300, 7)}


@pytest.mark.parametrize("tick_size", [0.0, 0.25])
def test_levels_in_percent_of_the_fill_are_the_same_said_as_prices(tick_size: float) -> None:
    bars = random_walk(300, 4)
    plain = dataclasses.replace(AT_CLOSE, tick_size=tick_size, max_open_trades=2, position_size_percent=0.4)
    if tick_size:  # so that a fill is what the close was
        prices = ("open", "high", "low", "close")
        bars = bars._replace(**{name: np.round(getattr(bars, name) / tick_size) * tick_size for name in prices})
    both = dataclasses.replace(plain, stop_loss_percent=2.0, take_profit_percent=3.0)

    def decide(view: View) -> Decision | None:
        close, signal = float(view.bars.close[-1]), STEPS.get(view.bar)
        if not signal:
            return None if signal is None else Decision(signal)
        return Decision(signal, None, close - signal * 0.02 * close, close + signal * 0.03 * close)

    known = run(bars, both, scripted(STEPS))
    assert known.trades.total > 20
    assert {Reason.STOP_LOSS, Reason.TAKE_PROFIT} <= set(known.trades.exit_reason.tolist())
    assert outcome_of(bars, plain, deciding(decide)).result_hash == known.result_hash
    assert outcome_of(bars, both, deciding(decide)).result_hash == known.result_hash


@pytest.mark.parametrize("other", [{}, {"sizing_mode": "fixed_quantity", "sizing_value": 3.0}])
@pytest.mark.parametrize("name", ["plain", "everything", "leverage, several", "trailing on a grid"])
def test_a_size_is_a_share_of_equity_like_that_of_a_request(name: str, other: dict[str, Any]) -> None:
    bars = random_walk(300, 4)
    half = dataclasses.replace(CONFIGS[name], position_size_percent=0.5, sizing_mode="equity_fraction")
    plain = dataclasses.replace(CONFIGS[name], position_size_percent=0.125, **other)
    said = {bar: Decision(signal, 0.5) if signal else 0 for bar, signal in STEPS.items()}
    assert outcome_of(bars, plain, told(said)).result_hash == run(bars, half, scripted(STEPS)).result_hash


def test_a_decision_that_says_no_more_is_its_signal() -> None:
    bars = random_walk(300, 4)
    said = {bar: Decision(signal) for bar, signal in STEPS.items()} | {1: Decision(None)}
    assert outcome_of(bars, EVERYTHING, told(said)).result_hash == run(bars, EVERYTHING, scripted(STEPS)).result_hash


# What the numbers mean.

STEADY = (100.0, 101.0, 99.0, 100.0)


def test_a_bar_that_opens_beyond_a_decided_level_opens_the_trade_and_closes_it_at_that_open() -> None:
    bars = bars_of([STEADY, (90.0, 91.0, 89.0, 90.0), STEADY, STEADY, (111.0, 112.0, 110.0, 111.0), STEADY])
    stopped = told({0: Decision(1, None, 95.0), 3: Decision(1, None, None, 105.0)})
    assert [row[:2] + row[3:] for row in rows(bars, LONG_ONLY, stopped)] == [
        (1, 1, 90.0, 90.0, "stop_loss"),
        (4, 4, 111.0, 111.0, "take_profit"),
    ]
    short = told({0: Decision(-1, None, None, 95.0), 3: Decision(-1, None, 105.0)})
    assert [row[:2] + row[3:] for row in rows(bars, dataclasses.replace(AT_CLOSE, fill_at="open"), short)] == [
        (1, 1, 90.0, 90.0, "take_profit"),
        (4, 4, 111.0, 111.0, "stop_loss"),
    ]


def test_a_target_that_the_costs_of_the_fill_pass_is_reached_as_soon_as_the_market_is_looked_at_again() -> None:
    config = dataclasses.replace(AT_CLOSE, slippage_bps=200.0)
    bars = bars_of([STEADY, (100.5, 101.5, 100.5, 101.0), STEADY])
    said = told({0: Decision(1, None, None, 101.0)})
    assert [row[:2] + row[3:] for row in rows(bars, config, said)] == [(0, 1, 102.0, 101.0, "take_profit")]


def test_risk_is_measured_by_the_decided_stop_and_by_none_that_the_open_has_passed() -> None:
    config = EngineConfig(sizing_mode="risk_fraction", sizing_value=0.01, stop_loss_percent=50.0, close_at_end=False)
    bars = bars_of([STEADY, STEADY, (90.0, 91.0, 89.0, 90.0)])
    [trade, *_] = rows(bars, config, told({0: Decision(1, None, 98.0)}))
    assert trade == (1, 2, 0.01 * 10_000 / 2, 100.0, 90.0, "stop_loss")
    passed = outcome_of(bars, config, told({1: Decision(1, None, 98.0)}))
    assert (passed.trades.total, passed.metrics["unfilledOrders"], passed.open_trades) == (0, 1, [])
    sized = outcome_of(bars, config, told({1: Decision(1, 0.5, 98.0)}))  # which asks for no risk
    assert sized.trades.as_rows()[0]["quantity"] == pytest.approx(0.5 * 10_000 / 90)


def test_numbers_are_those_of_the_trade_which_that_very_decision_opens() -> None:
    bars, config = flat(9), dataclasses.replace(SHORT, slippage_bps=0.0, commission_rate=0.0, stop_loss_percent=10.0)
    simulation = Simulation.start(
        bars,
        config,
        [told({0: 1, 1: Decision(1, 0.1, 99.0), 2: Decision(-1, 0.25, 101.0, 98.0), 4: Decision(0), 5: -1})],
    )
    seen = list[list[tuple[Any, ...]]]()
    for bar in range(8):
        play(simulation, bar + 1)
        seen.append([(one.quantity, one.stop_price, one.target_price) for one in simulation.open_trades()])
    plain = [(100.0, 90.0, None)]
    assert seen[1] == seen[2] == plain  # there is no room for another
    assert seen[3] == seen[4] == [(25.0, 101.0, 98.0)]  # by reversal
    assert seen[6] == seen[7] == [(100.0, pytest.approx(110.0), None)]


def test_where_shorts_are_not_allowed_what_is_said_of_one_is_checked_and_counts_for_nothing() -> None:
    said = {0: 1, 3: Decision(-1, 0.5, 101.0, 99.0)}
    assert rows(flat(9), LONG_ONLY, told(said)) == [(1, 4, 100.0, 100.0, 100.0, "signal")]
    with pytest.raises(StrategyFailed, match=r"stop_price above the close, 100\.0, to go short \(got 99\.0\)"):
        outcome_of(flat(9), LONG_ONLY, told({3: Decision(-1, None, 99.0)}))


def test_a_level_is_rounded_to_a_tick_away_from_the_price_and_the_trailing_stop_stays() -> None:
    config = dataclasses.replace(AT_CLOSE, tick_size=0.5, trailing_stop_distance=2.0, close_at_end=False)
    for signal, stop, target in ((1, 97.5, 103.5), (-1, 102.5, 96.5)):
        said = Decision(signal, None, 100.0 - signal * 2.1, 100.0 + signal * 3.1)
        [left] = outcome_of(flat(4), config, told({1: said})).open_trades
        assert (left.stop_price, left.target_price, left.trailing_stop_price) == (stop, target, 100.0 - signal * 2.0)


def test_a_decided_level_needs_no_true_range_in_place_of_one_that_does() -> None:
    config = dataclasses.replace(AT_CLOSE, stop_loss_atr=2.0, atr_period=14, close_at_end=False)
    assert outcome_of(flat(4), config, told({1: 1})).metrics["unfilledOrders"] == 1
    [left] = outcome_of(flat(4), config, told({1: Decision(1, None, 95.0)})).open_trades
    assert left.stop_price == 95.0


@pytest.mark.parametrize("field", ["useStopOrders", "useTakeProfits"])
def test_levels_that_a_request_leaves_out_are_left_out_whoever_says_them(field: str) -> None:
    plain = {"symbol": "X", "interval": "1h", "startDate": "2024-01-01", "endDate": "2024-02-01", "strategies": ["sma"]}
    config = EngineConfig.from_params(validate(BacktestParams, {**plain, field: False, "closeAtEnd": False}))
    [left] = outcome_of(flat(4), config, told({1: Decision(1, None, 95.0, 105.0)})).open_trades
    stands = (None, 105.0) if field == "useStopOrders" else (95.0, None)
    assert (left.stop_price, left.target_price) == stands


# Several strategies.


def opened(config: EngineConfig, *said: Mapping[int, Any]) -> list[tuple[Any, ...]]:
    config = dataclasses.replace(config, close_at_end=False)
    left = outcome_of(flat(6), config, *(told(one, f"s{i}") for i, one in enumerate(said))).open_trades
    return [(one.direction, one.quantity, one.stop_price, one.target_price) for one in left]


def test_of_several_that_agree_the_first_that_says_a_number_has_it() -> None:
    first, second = {2: Decision(1, None, 90.0)}, {2: Decision(1, 0.5, 95.0, 110.0)}
    assert opened(LONG_ONLY, first, second) == [(1, 50.0, 90.0, 110.0)]
    assert opened(LONG_ONLY, second, first) == [(1, 50.0, 95.0, 110.0)]
    assert opened(LONG_ONLY, {2: 1}, second) == [(1, 50.0, 95.0, 110.0)]


def test_numbers_of_who_is_not_followed_count_for_nothing() -> None:
    short = dataclasses.replace(AT_CLOSE, combine="weighted", weights=(1.0, 3.0))
    against = {2: Decision(1, 0.1, 90.0, 130.0)}
    assert opened(short, against, {2: Decision(-1, 0.5)}) == [(-1, 50.0, None, None)]
    standing = dataclasses.replace(AT_CLOSE, combine="all")
    early, late = {1: Decision(1, 0.1)}, {3: Decision(1, 0.5)}
    assert opened(standing, early, late) == [(1, 50.0, None, None)]  # the first said it of an order that was none
    assert opened(standing, early, {3: 1}) == [(1, 100.0, None, None)]


# What is refused.

HUGE = 10**400


def odd(*said: Any) -> Decision:
    """As a plug-in that nobody has type-checked writes it."""
    return Decision(*said)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (Decision(1, 0.0), r"size_fraction above 0 and finite: 0\.5 is half of equity \(got 0\.0\)"),
        (Decision(1, -0.5), r"size_fraction above 0 .*\(got -0\.5\)"),
        (Decision(1, math.nan), r"size_fraction above 0 .*\(got nan\)"),
        (Decision(1, HUGE), r"size_fraction above 0 and finite.*\(got 1000+\.\.\.\)"),
        (Decision(1, 3.5), r"size_fraction at most leverage, 3: 0\.5 is half of equity \(got 3\.5\)"),
        (odd(1, "0.5"), r"size_fraction as a number, or leave it out \(got '0\.5'\)"),
        (Decision(1, True), r"size_fraction as a number, or leave it out \(got True\)"),
        (Decision(1, None, -95.0), r"stop_price above 0 and finite: it is a price, not a distance \(got -95\.0\)"),
        (Decision(-1, None, math.inf), r"stop_price above 0 and finite: .*\(got inf\)"),
        (Decision(1, None, 100.0), r"stop_price below the close, 100\.0, to go long \(got 100\.0\)"),
        (Decision(-1, None, 99.0), r"stop_price above the close, 100\.0, to go short \(got 99\.0\)"),
        (Decision(1, None, None, 99.0), r"target_price above the close, 100\.0, to go long \(got 99\.0\)"),
        (Decision(-1, None, None, 100.0), r"target_price below the close, 100\.0, to go short \(got 100\.0\)"),
        (odd(1, None, None, [105]), r"target_price as a number, or leave it out \(got \[105\]\)"),
        (Decision(0, 0.5), r"size_fraction 0\.5 and signal 0, which opens no trade; leave size_fraction out, or"),
        (Decision(None, None, 95.0), r"stop_price 95\.0 and signal None, which opens no trade; leave stop_price out"),
        (Decision(NO_OPINION, None, None, 95.0), r"target_price 95\.0 and signal 2, which opens no trade"),
        (Decision(3), r"signal 1 \(long\).*, not 3"),
        (Decision(True), r"signal 1 \(long\).*, not True"),
        (odd(Decision(1)), r"signal 1 \(long\).*, not Decision\(signal=1"),
    ],
)
def test_numbers_that_make_no_sense_are_refused_by_strategy_bar_field_value_and_remedy(said: Any, words: str) -> None:
    config = dataclasses.replace(SHORT, leverage=3.0)
    simulation = Simulation.start(flat(9), config, [scripted({}), deciding(lambda _: said, every=4)])
    wanted = rf"strategy asked (must answer|answered) .*{words}.*, at bar 3 \(2024-01-01T03:00:00Z\)$"
    with pytest.raises(StrategyFailed, match=wanted) as no:
        play(simulation, 9)
    assert [(error.field, error.code) for error in no.value.errors] == [("strategies.1", "strategy_error")]
    assert simulation.ask is not None  # and nothing of it was taken
    simulation.answer({"asked": None})
    simulation.advance(9)
    assert simulation.decisions().total == 0


@pytest.mark.parametrize("value", [np.float64(0.5), np.float32(0.5), Fraction(1, 2)])
def test_a_number_may_be_of_any_kind(value: Any) -> None:
    simulation = Simulation.start(flat(4), LONG_ONLY, [told({1: odd(np.int8(1), value)})])
    play(simulation, 3)
    assert simulation.open_trades()[0].quantity == 50.0


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_of_another_program_has_no_rule_for_them(name: str) -> None:
    for field, value in (("size_fraction", 0.5), ("stop_price", 50.0), ("target_price", 150.0)):
        profile = PROFILES[name].profile
        words = rf"answered with {field} {value}, for which profile {profile} has no rule; leave {field} out .*at bar 2"
        with pytest.raises(StrategyFailed, match=words):
            outcome_of(flat(9), PROFILES[name], told({2: Decision(1, **{field: value})}))
    assert outcome_of(flat(9), PROFILES[name], told({2: Decision(1)})).metrics["openTrades"] is not None


# Positions.


def more_uses(total: int = 200) -> list[StrategyUse]:
    """Two that say more, one of them by what its view knows of the past, beside one that gives signals."""

    def wary(view: View) -> Decision | None:
        draw, close = view.random, float(view.bars.close[-1])
        lately = sum(trade.pnl for trade in view.trades(3))
        before = [one.decision.stop_price or close for one in view.decisions(2)]
        fallen = view.equity < view.equity_curve[-20:].max(initial=0.0)
        signal = draw.choice([1, -1, 0, None, None])
        if not signal:
            return Decision(signal)
        stop = 0.98 if fallen else 0.99 - 0.001 * len([one for one in before if one < close])
        size = draw.choice([None, 0.2, 0.7 if lately > 0 else 0.1])
        return Decision(
            signal, size, close * (stop if signal > 0 else 2.0 - stop), draw.choice([None, close * (1 + signal * 0.03)])
        )

    def steady(view: View) -> Decision | int | None:
        close = float(view.bars.close[-1])
        return {0: Decision(1, 0.5, 0.97 * close), 3: -1, 5: Decision(-1, None, 1.02 * close), 6: 0}.get(view.bar % 7)

    said = [(1, 0, -1)[bar % 3] if bar % 11 == 0 else NO_OPINION for bar in range(total)]
    return [deciding(wary, "wary", 2), scripted(said), deciding(steady, "steady", 3)]


@settings(max_examples=60)
@given(
    moves=st.lists(
        st.tuples(st.integers(0, 200), st.sampled_from(["on", "carried", "back"]), st.integers(0, 9)), max_size=7
    ),
    name=st.sampled_from(sorted(CONFIGS)),
    combine=st.sampled_from(["any", "all", "majority", "weighted"]),
)
def test_interrupted_carried_on_or_gone_back_anywhere_it_ends_the_same(
    moves: list[tuple[int, str, int]], name: str, combine: Any
) -> None:
    bars = random_walk(200, 2)
    config = dataclasses.replace(CONFIGS[name], combine=combine, weights=(2.0, 1.0, 1.5))
    whole = Simulation.start(bars, config, more_uses(), seed=3)
    play(whole, bars.total)
    decided = whole.decisions().to_bytes()
    expected = whole.finish().result_hash
    simulation, marks = Simulation.start(bars, config, more_uses(), seed=3), list[Mark]()
    for until, how, which in moves:
        if how == "back" and marks:
            simulation.rewind(marks[which % len(marks)])
            continue
        play(simulation, until)
        simulation.advance(until + 1)  # a question may be open now
        if how == "carried":
            simulation, marks = carried_over(simulation, bars), []
        marks.append(simulation.mark())
    play(simulation, bars.total)
    assert simulation.decisions().to_bytes() == decided
    assert simulation.finish().result_hash == expected


def decided_run() -> tuple[Bars, Simulation]:
    bars = random_walk(200, 2)
    simulation = Simulation.start(bars, EVERYTHING, more_uses(), seed=3)
    play(simulation, 150)
    return bars, simulation


def test_plain_decisions_keep_their_eleven_bytes_and_each_number_is_as_many_more() -> None:
    _, simulation = decided_run()
    decisions = simulation.decisions()
    numbers = int((decisions.numbers != 0.0).sum())
    assert numbers > 50
    assert len(decisions.to_bytes()) == 11 * (decisions.total + numbers)
    plain = Simulation.start(flat(9), SHORT, [told({2: 1, 4: Decision(-1)})])
    play(plain, 9)
    assert len(plain.decisions().to_bytes()) == 22
    assert plain.decisions().numbers.shape == (0, 3)


@settings(max_examples=40)
@given(cuts=st.lists(st.integers(0, 150), max_size=5).map(sorted), pieces=st.integers(1, 5_000))
def test_parts_join_wherever_they_were_told_and_however_their_bytes_were_cut(cuts: list[int], pieces: int) -> None:
    _, simulation = decided_run()
    whole = simulation.decisions()
    parts = list[Decisions]()
    for first, until in zip([0, *cuts], [*cuts, 150], strict=True):
        part = whole.since(first)
        few = int(np.searchsorted(part.bar, until))
        parts.append(Decisions(part.bar[:few], part.strategy[:few], part.signal[:few], part.numbers[:few]))
    assert Decisions.join(parts).to_bytes() == whole.to_bytes() == b"".join(part.to_bytes() for part in parts)
    data = whole.to_bytes()
    again = Decisions.of(b"".join(data[i : i + pieces] for i in range(0, len(data), pieces)))
    assert [column.tolist() for column in again] == [column.tolist() for column in whole]


def test_a_part_without_numbers_joins_one_with_them() -> None:
    simulation = Simulation.start(flat(9), SHORT, [told({2: 1, 4: Decision(-1, 0.5)})])
    play(simulation, 4)
    parts = [simulation.decisions()]
    play(simulation, 9)
    parts.append(simulation.decisions(4))
    assert [part.numbers.shape[0] for part in parts] == [0, 1]
    assert Decisions.join(parts).to_bytes() == simulation.decisions().to_bytes()


def row(bar: int | float, signal: int, strategy: int = 0) -> bytes:
    value = np.array([bar]).tobytes()
    return value + np.array([strategy], np.int16).tobytes() + np.array([signal], np.int8).tobytes()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (row(0.5, 3), "do not stand where they belong"),
        (row(1, 1) + row(0.5, 3) + row(0.5, 3), "do not stand"),
        (row(1, 1) + row(95.0, 4) + row(0.5, 3), "do not stand"),
        (row(1, 1) + row(0.5, 3, 1), "do not stand"),
        (row(1, 1) + row(0.0, 3), "do not stand"),
        (row(1, 1) + row(0.5, 6), "cannot have been made"),
        (row(1, 1) + row(math.nan, 4), "cannot have been made"),
        (row(1, 1) + row(math.inf, 4), "cannot have been made"),
        (row(1, 1) + row(-1.0, 5), "cannot have been made"),
        (row(1, 0) + row(0.5, 3), "cannot have been made"),
        (row(1, 1) + row(0.25, 3), "another state"),
        (row(1, 1), "another state"),
    ],
)
def test_a_position_whose_numbers_are_damaged_is_refused(data: bytes, words: str) -> None:
    bars = flat(9)
    use = told({1: Decision(1, 0.5)})
    simulation = Simulation.start(bars, SHORT, [use])
    play(simulation, 5)
    position = simulation.position()
    assert position.decisions.to_bytes() == row(1, 1) + row(0.5, 3)
    with pytest.raises(PositionUnfit, match=words):
        Simulation.resume(dataclasses.replace(position, decisions=Decisions.of(data)), bars, SHORT, [use])
    json.dumps(position.as_document())


# What a view knows of the past.


@pytest.mark.parametrize("name", ["everything", "at the close", "trailing and fixed", "tight"])
def test_a_view_knows_equity_closed_trades_and_its_own_decisions_so_far(name: str) -> None:
    bars, config = random_walk(150, 3), CONFIGS[name]
    first, *others = more_uses(150)
    seen = list[tuple[int, Any, Any, Any]]()
    kept = list[View]()

    def decide(view: View) -> Any:
        seen.append((view.bar, view.equity_curve.tolist(), view.trades(4), view.decisions(3)))
        kept.append(view)
        assert first.strategy.decide is not None
        return first.strategy.decide(view)

    simulation = Simulation.start(bars, config, [deciding(decide, "wary", 2), *others], seed=3)
    play(simulation, bars.total)
    decisions = simulation.decisions()
    own = [
        PastDecision(int(bar), Decision(int(signal), *(float(number) or None for number in numbers)))
        for bar, of, signal, numbers in zip(*decisions, strict=True)
        if of == 0
    ]
    early = [
        (bar, view.equity_curve.tolist(), view.trades(4), view.decisions(3))
        for (bar, *_), view in zip(seen, kept, strict=True)
    ]
    assert early == seen  # also looked up when the run is through
    outcome = simulation.finish()
    closed = [ClosedTrade(**{name: row[name] for name in ClosedTrade._fields}) for row in outcome.trades.as_rows()]
    assert len(closed) > 20
    for bar, equity, trades, decided in seen:
        assert equity == outcome.equity[:bar].tolist()
        # What closes on an order of this very close is not known yet.
        by_order = {"signal", "reversal"} if config.fill_at == "close" else set[str]()
        known = [
            one for one in closed if one.exit_bar < bar or (one.exit_bar == bar and one.exit_reason not in by_order)
        ]
        assert list(trades) == known[-4:]
        assert list(decided) == [one for one in own if one.bar < bar][-3:]


def test_the_past_of_a_view_cannot_be_written_and_ends_where_it_is_asked() -> None:
    views = list[View]()
    simulation = Simulation.start(flat(200), LONG_ONLY, [deciding(lambda view: views.append(view) or 1)])
    play(simulation, 200)
    assert [views[0].equity_curve.tolist(), views[0].trades(5), views[0].decisions(5)] == [[], (), ()]
    assert [one.bar for one in views[150].decisions(100)] == list(range(50, 150))  # more than it looks at first
    assert [len(views[150].decisions(n)) for n in (0, 1, 1_000)] == [0, 1, 150]
    curve = views[150].equity_curve
    with pytest.raises(ValueError, match="read-only"):
        curve[0] = 1.0
    with pytest.raises(ValueError, match="WRITEABLE"):
        curve.flags.writeable = True
    for ask in (views[9].trades, views[9].decisions):
        with pytest.raises(ValueError, match=r"n must be at least 0.*\(got -1\)"):
            ask(-1)


def test_what_the_readme_shows_runs() -> None:
    [code] = [block for block in shown("python") if "Decision(" in block]
    space = dict[str, Any]()
    exec(code, space)
    outcome = outcome_of(random_walk(400, 1), LONG_ONLY, deciding(space["decide"]))
    assert {Reason.STOP_LOSS, Reason.TAKE_PROFIT} <= set(outcome.trades.exit_reason.tolist())
