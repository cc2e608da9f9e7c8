"""A strategy that decides on the way trades as if its signals had been known in advance."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.bars import Bars
from shared.errors import ConfigurationError, StrategyFailed
from shared.strategies import NO_OPINION, Strategy, StrategyUse, View, combine, find, resolve
from shared.strategies.parameters import Parameters
from shared.strategies.signals import Signals, combine_on, silent, standing_after
from tests.engine.deciders import (
    BROKEN,
    CAREFUL,
    STEP_SIGNALS,
    STEPS,
    Often,
    carried_over,
    in_the_catalogue,
    step_signals,
    steps,
)
from tests.engine.markets import flat, random_walk, scripted
from tests.engine.runs import CONFIGS, EVERYTHING, SHORT, STOPS, quick_uses, run
from worker.engine.config import EngineConfig
from worker.engine.deciding import play
from worker.engine.delta import Outcome
from worker.engine.simulation import Simulation
from worker.engine.warming import warm


@pytest.fixture(scope="module", autouse=True)
def _known() -> Iterator[None]:
    with in_the_catalogue(STEPS, STEP_SIGNALS, CAREFUL, BROKEN):
        yield


def use_of(name: str, **params: Any) -> StrategyUse:
    return find(name).use(params, name)


def deciding(decide: Any, **params: Any) -> StrategyUse:
    return Strategy("asked", "Asked", "Is asked.", Often, decide=decide).use(params, "asked")


def assert_same(one: Outcome, other: Outcome) -> None:
    assert [column.tobytes() for column in one.trades] == [column.tobytes() for column in other.trades]
    assert one.equity.tobytes() == other.equity.tobytes()
    assert one.result_hash == other.result_hash


@settings(max_examples=50)
@given(
    cuts=st.lists(st.integers(0, 250), max_size=4),
    name=st.sampled_from(sorted(CONFIGS)),
    seed=st.integers(0, 3),
    how=st.sampled_from(["any", "all", "majority", "weighted"]),
    every=st.integers(1, 30),
    others=st.integers(0, 2),
    carried=st.sets(st.integers(0, 12), max_size=3),
)
def test_decisions_trade_like_the_same_signals_however_the_run_is_cut(
    cuts: list[int], name: str, seed: int, how: str, every: int, others: int, carried: set[int]
) -> None:
    bars = random_walk(250, seed)
    config = dataclasses.replace(CONFIGS[name], combine=how, weights=(2.0, 3.0, 1.5)[: others + 1])
    known = [*quick_uses()[:others], use_of("step_signals", every=every)]
    whole = run(bars, config, *known)
    simulation = Simulation.start(bars, config, [*quick_uses()[:others], use_of("steps", every=every)])
    asks = 0
    for cut in (*sorted(cuts), bars.total):
        while (delta := simulation.advance(cut)).ask is not None:
            assert delta.bar == delta.ask.bar < cut
            if asks in carried:
                simulation = carried_over(simulation, bars)  # with the question open
            simulation.answer({"steps": steps(delta.ask.views[0])})
            if asks + 1 in carried:
                simulation = carried_over(simulation, bars)  # with the answer given and its bar to come
            asks += 1
        simulation = carried_over(simulation, bars)
    assert asks == 250 // every
    assert_same(simulation.finish(), whole)


@settings(max_examples=60)
@given(
    cuts=st.lists(st.integers(0, 200), max_size=4),
    name=st.sampled_from(sorted(CONFIGS)),
    every=st.integers(1, 9),
    how=st.sampled_from(["any", "majority"]),
)
def test_what_depends_on_account_and_chance_is_the_same_however_it_is_cut(
    cuts: list[int], name: str, every: int, how: str
) -> None:
    bars = random_walk(200, 4)
    config = dataclasses.replace(CONFIGS[name], combine=how)
    uses = [use_of("careful", every=every), use_of("steps", every=4), *quick_uses()]
    whole = Simulation.start(bars, config, uses, seed=5)
    play(whole, bars.total)
    part = Simulation.start(bars, config, uses, seed=5)
    for cut in sorted(cuts):
        play(part, cut)
        part = carried_over(part, bars)
    play(part, bars.total)
    assert_same(part.finish(), whole.finish())


@pytest.mark.parametrize("name", ["everything", "at the close", "trailing and fixed", "leverage", "small"])
def test_the_account_in_a_view_is_that_of_its_bars_close(name: str) -> None:
    """Held against a run that knows the same decisions and in which nobody says anything from that bar on."""
    bars, config = random_walk(120, 2), CONFIGS[name]
    other = silent(120)
    other[::7], other[3::7] = 1, -1
    said = combine([other, use_of("step_signals").signals(bars)], "any")
    simulation = Simulation.start(bars, config, [scripted(other), use_of("steps")])
    held = 0
    while (ask := simulation.advance(bars.total).ask) is not None:
        silenced = said.copy()
        silenced[ask.bar :] = NO_OPINION
        beside = Simulation.start(bars, config, [scripted(silenced)])
        delta = beside.advance(ask.bar + 1)
        [view] = ask.views
        assert (view.bar, view.time_ms, ask.time_ms) == (ask.bar, bars.time_ms[ask.bar], bars.time_ms[ask.bar])
        assert (view.cash, view.equity) == (delta.cash, delta.equity)
        assert list(view.open_trades) == delta.open_trades
        held += bool(view.open_trades)
        simulation.answer({"steps": steps(view)})
    assert held > 20


def test_a_question_shows_nothing_that_comes_after_it() -> None:
    bars = random_walk(40, 1)
    simulation = Simulation.start(bars, EngineConfig(), [use_of("steps", every=10)])
    ask = simulation.advance(40).ask
    assert ask is not None
    [view] = ask.views
    for name, column in view.bars._asdict().items():
        assert column.tobytes() == getattr(bars, name)[:10].tobytes()
        with pytest.raises(IndexError):
            column[10]
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 1
        with pytest.raises(ValueError, match="WRITEABLE"):
            column.flags.writeable = True
    with pytest.raises(dataclasses.FrozenInstanceError):
        view.cash = 1e9  # pyright: ignore[reportAttributeAccessIssue]


def test_chance_depends_on_seed_strategy_and_bar_alone() -> None:
    drawn: dict[tuple[int, str, int], float] = {}

    def draw(view: View) -> None:
        drawn[view.seed, view.strategy, view.bar] = view.random.random()
        assert view.random.random() != drawn[view.seed, view.strategy, view.bar]

    def run_with(seed: int, name: str) -> None:
        use = dataclasses.replace(deciding(draw), name=name)
        play(Simulation.start(random_walk(20, seed), EngineConfig(), [use], seed), 20)

    for seed, name in ((1, "a"), (1, "b"), (2, "a"), (2**62, "a")):
        run_with(seed, name)
    before = dict(drawn)
    run_with(1, "b")
    assert drawn == before
    assert len(set(drawn.values())) == len(drawn) == 80


def test_everyone_is_asked_at_every_so_many_bars_and_together_where_they_meet() -> None:
    uses = [
        dataclasses.replace(use_of("steps", every=4), name="four"),
        *quick_uses(),
        dataclasses.replace(use_of("steps", every=6), name="six"),
    ]
    simulation = Simulation.start(random_walk(30, 1), SHORT, uses)
    asked = dict[int, list[str]]()
    while (ask := simulation.advance(30).ask) is not None:
        asked[ask.bar] = [view.strategy for view in ask.views]
        simulation.answer(dict.fromkeys(asked[ask.bar]))
    assert asked == {
        **{bar: ["four"] for bar in (3, 7, 15, 19, 27)},
        **{bar: ["six"] for bar in (5, 17, 29)},
        **{bar: ["four", "six"] for bar in (11, 23)},
    }
    assert simulation.finish().trades.total > 0


def test_a_run_that_waits_for_an_answer_does_not_go_on_but_can_be_carried_over_or_ended() -> None:
    bars = random_walk(50, 3)
    simulation = Simulation.start(bars, EVERYTHING, [*quick_uses(), use_of("careful", every=20)], seed=3)
    play(simulation, 25)
    ask = simulation.advance(50).ask
    assert ask is not None
    assert ask.bar == simulation.bar == 39
    position = simulation.position()
    again = carried_over(simulation, bars)
    assert again.position().as_document() == position.as_document()
    assert again.position().decisions.to_bytes() == position.decisions.to_bytes()
    for one in (simulation, again):
        with pytest.raises(RuntimeError, match="waits for a decision at bar 39"):
            one.advance(50)
        with pytest.raises(RuntimeError, match="at bar 39 careful must answer, not nobody"):
            one.answer({})
        with pytest.raises(RuntimeError, match="at bar 39 careful must answer, not other"):
            one.answer({"other": 1})
    assert play(carried_over(simulation, bars), 5, enough=lambda: True).bar == 39  # it is beyond 5 already
    assert again.ask is not None
    [shown], [restored] = ask.views, again.ask.views
    assert restored.random.random() == shown.random.random()
    for field in ("strategy", "bar", "params", "cash", "equity", "open_trades", "seed"):
        assert getattr(restored, field) == getattr(shown, field)
    assert restored.bars.close.tobytes() == shown.bars.close.tobytes()
    assert play(again, 50).bar == 50
    with pytest.raises(RuntimeError, match="no ask"):
        again.answer({"careful": 1})
    assert simulation.finish().equity.shape == (39,)


@pytest.mark.parametrize("said", [True, 1.0, "long", 3, -2, [1], float("nan"), np.float64(1), np.bool_(True)])
def test_an_answer_that_is_none_is_refused_by_the_strategys_name(said: object) -> None:
    simulation = Simulation.start(flat(9), SHORT, [*quick_uses(), deciding(lambda _: said, every=4)])
    with pytest.raises(StrategyFailed, match=r"strategy asked must answer 1 \(long\).* at bar 3 \(2024-01-01T03") as no:
        play(simulation, 9)
    assert [(error.field, error.code) for error in no.value.errors] == [("strategies.2", "strategy_error")]
    assert simulation.ask is not None
    simulation.answer({"asked": None})
    assert simulation.advance(7).bar == 7


@pytest.mark.parametrize("said", [1, np.int8(1), np.int64(1)])
def test_an_answer_may_be_any_kind_of_whole_number(said: object) -> None:
    simulation = Simulation.start(flat(9), SHORT, [deciding(lambda _: said, every=4)])
    play(simulation, 9)
    assert simulation.opinions(0, 9)[0].tolist() == [3, 7]


@pytest.mark.parametrize("said", [None, NO_OPINION])
def test_no_opinion_may_be_none(said: object) -> None:
    simulation = Simulation.start(flat(9), SHORT, [deciding(lambda _: said)])
    assert play(simulation, 9).signals[0].tolist() == []


def test_a_strategy_that_raises_is_named_with_its_bar() -> None:
    simulation = Simulation.start(random_walk(20, 1), SHORT, [*quick_uses(), use_of("broken")])
    with pytest.raises(StrategyFailed, match=r"strategy broken raised LookupError at bar 7 \(2024-01-01T07:00:00Z\)"):
        play(simulation, 20)


def test_a_step_may_end_early_but_never_before_a_bar_is_run() -> None:
    bars = random_walk(40, 1)
    uses = [use_of("steps", every=5)]
    whole = Simulation.start(bars, STOPS, uses)
    delta = play(whole, 40)
    assert (delta.first_bar, delta.bar, delta.ask) == (0, 40, None)
    assert delta.closed_trades == delta.total_trades == delta.trades.total > 0
    simulation = Simulation.start(bars, STOPS, uses)
    reached = list[int]()
    while simulation.bar < 38:
        step = play(simulation, 38, enough=lambda: True)
        assert step.first_bar == (reached[-1] if reached else 0)
        reached.append(step.bar)
    assert reached == [5, 10, 15, 20, 25, 30, 35, 38]
    play(simulation, 40, enough=lambda: True)
    assert_same(simulation.finish(), whole.finish())


def test_more_trades_than_were_made_room_for_are_kept_while_bars_are_run_and_taken_back() -> None:
    bars = random_walk(1_500, 1)
    for config in (SHORT, dataclasses.replace(SHORT, fill_at="close")):
        simulation = Simulation.start(bars, config, [deciding(lambda view: view.bar % 2)])
        play(simulation, 1_500)
        known = run(bars, config, scripted([bar % 2 for bar in range(1_500)]))
        assert known.trades.total > 700
        assert_same(simulation.finish(), known)


@pytest.mark.parametrize("total", [0, 1, 2, 3])
def test_hardly_any_bars_are_no_accident(total: int) -> None:
    bars = random_walk(total, 1)
    simulation = Simulation.start(bars, STOPS, [use_of("steps", every=2), *quick_uses()])
    play(simulation, total)
    assert_same(carried_over(simulation, bars).finish(), run(bars, STOPS, scripted({}), *quick_uses()))


def test_a_strategy_has_exactly_one_form() -> None:
    for forms, words in (({}, "has none"), ({"signals": step_signals, "decide": steps}, "has signals and decide")):
        with pytest.raises(ConfigurationError, match=f"strategy odd must have exactly one .*{words}"):
            Strategy("odd", "Odd", "Odd.", Parameters, **forms)
    assert [(one.form, one.every) for one in (STEPS, BROKEN, STEP_SIGNALS)] == [
        ("decide", 1),
        ("decide", 1),
        ("signals", None),
    ]
    assert use_of("steps", every=7).every == 7


@pytest.mark.parametrize("every", [0, 1.5])
def test_how_often_a_strategy_is_asked_must_be_a_bounded_whole_number(every: float) -> None:
    model = type("Seldom", (Parameters,), {"__annotations__": {"every": type(every)}, "every": every})
    with pytest.raises(ConfigurationError, match="strategy odd must bound its parameter every"):
        Strategy("odd", "Odd", "Odd.", model, decide=steps)
    Strategy("odd", "Odd", "Odd.", model, signals=step_signals)  # there it is a parameter like any other


def test_warming_up_asks_nobody() -> None:
    warm()  # `broken` would raise


@settings(max_examples=100)
@given(
    voices=st.integers(2, 4).flatmap(
        lambda count: st.lists(
            st.lists(st.sampled_from([1, -1, 0, 2, 2, 2, 2]), min_size=12, max_size=12), min_size=count, max_size=count
        )
    ),
    cuts=st.lists(st.integers(0, 12), max_size=5).map(sorted),
    how=st.sampled_from(["any", "all", "majority", "weighted"]),
)
def test_voices_combined_part_by_part_are_those_combined_at_once(
    voices: list[list[int]], cuts: list[int], how: Any
) -> None:
    stack = [np.array(voice, np.int8) for voice in voices]
    weights = [1.0, 2.0, 3.5, 0.5][: len(stack)]
    parts = list[Signals]()
    standing = silent(len(stack))
    for first, until in zip([0, *cuts], [*cuts, 12], strict=True):
        part, standing = combine_on([voice[first:until] for voice in stack], standing, how, weights)
        parts.append(part)
        assert standing.tolist() == standing_after([voice[:until] for voice in stack]).tolist()
    assert np.concatenate(parts).tolist() == combine(stack, how, weights).tolist()


def test_a_run_of_several_that_decide_names_who_asked_for_a_trade() -> None:
    bars: Bars = random_walk(60, 2)
    uses = [*resolve(["buy_and_hold"], {}), deciding(lambda view: {20: 0, 30: 1, 40: 0}.get(view.bar))]
    simulation = Simulation.start(bars, EngineConfig(), uses)
    play(simulation, 60)
    trades = simulation.finish().trades
    assert (trades.entry_bar.tolist(), trades.strategy.tolist()) == ([1, 31], [0, 1])
