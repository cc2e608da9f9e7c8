"""A run that is cut, carried elsewhere and continued is the run that was never cut, and so is one that went back."""

from __future__ import annotations

import dataclasses
import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.bars import Bars
from shared.strategies import Strategy, StrategyUse, View, resolve
from shared.strategies.decision import Decision
from tests.engine.deciders import CAREFUL, STEPS, Often, carried_over, in_the_catalogue
from tests.engine.markets import random_walk, scripted, times
from tests.engine.runs import CONFIGS, EVERYTHING, PROFILES, SHORT, STOPS, quick_uses, run
from worker.engine.deciding import play
from worker.engine.delta import Outcome
from worker.engine.faults import PositionUnfit
from worker.engine.position import Decisions, Mark, Position
from worker.engine.simulation import Simulation


@pytest.fixture(scope="module", autouse=True)
def _known() -> Iterator[None]:
    with in_the_catalogue(STEPS, CAREFUL):
        yield


def deciding_uses() -> list[StrategyUse]:
    """Two that are asked, one of which depends on account and chance, beside two that give signals."""
    return [CAREFUL.use({"every": 7}, "careful"), STEPS.use({"every": 4}, "steps"), *quick_uses()]


def played(bars: Bars) -> Outcome:
    simulation = Simulation.start(bars, EVERYTHING, deciding_uses(), seed=5)
    play(simulation, bars.total)
    return simulation.finish()


def stood_at(bar: int, total: int = 100) -> tuple[Bars, Position]:
    """A position of a run that decides, with the question of bar `bar` open where there is one."""
    bars = random_walk(total, 1)
    simulation = Simulation.start(bars, STOPS, deciding_uses(), seed=5)
    play(simulation, bar)
    simulation.advance(min(bar + 1, total))
    return bars, simulation.position()


def taken_up(position: Position, bars: Bars) -> Simulation:
    return Simulation.resume(position, bars, STOPS, deciding_uses(), seed=5)


@settings(max_examples=80)
@given(
    cuts=st.lists(st.integers(0, 300), max_size=6),
    name=st.sampled_from(sorted(CONFIGS | PROFILES)),
    seed=st.integers(0, 5),
    combine=st.sampled_from(["any", "all", "majority", "weighted"]),
)
def test_any_split_with_positions_between_gives_the_same_hash(
    cuts: list[int], name: str, seed: int, combine: str
) -> None:
    bars = random_walk(300, seed)
    config = dataclasses.replace((CONFIGS | PROFILES)[name], combine=combine, weights=(2.0, 3.0))
    whole = run(bars, config, *quick_uses())
    simulation = Simulation.start(bars, config, quick_uses())
    for cut in cuts:  # in any order: going back is no step
        simulation.advance(cut)
        simulation = carried_over(simulation, bars)
    simulation.advance(bars.total)
    parts = simulation.finish()
    assert parts.result_hash == whole.result_hash
    assert parts.equity.tobytes() == whole.equity.tobytes()
    assert [c.tobytes() for c in parts.trades] == [c.tobytes() for c in whole.trades]


@settings(max_examples=80)
@given(
    moves=st.lists(st.tuples(st.integers(0, 300), st.booleans(), st.integers(0, 9)), max_size=8),
    name=st.sampled_from(sorted(CONFIGS | PROFILES)),
    seed=st.integers(0, 5),
    combine=st.sampled_from(["any", "all", "majority", "weighted"]),
)
def test_going_back_to_any_marks_on_the_way_gives_the_same_hash(
    moves: list[tuple[int, bool, int]], name: str, seed: int, combine: Any
) -> None:
    bars = random_walk(300, seed)
    config = dataclasses.replace((CONFIGS | PROFILES)[name], combine=combine, weights=(2.0, 3.0))
    whole = run(bars, config, *quick_uses())
    simulation = Simulation.start(bars, config, quick_uses())
    marks = [simulation.mark()]
    for until, back, which in moves:
        if back:
            mark = marks[which % len(marks)]
            simulation.rewind(mark)
            assert simulation.bar == mark.bar
        else:
            delta = simulation.advance(until)
            upto = min(delta.bar, bars.total - 1)  # at the last bar what is open is closed in the end
            assert simulation.equity(0, upto).tobytes() == whole.equity[:upto].tobytes()
            marks.append(simulation.mark())
    simulation.advance(bars.total)
    parts = simulation.finish()
    assert parts.result_hash == whole.result_hash
    assert parts.equity.tobytes() == whole.equity.tobytes()
    assert [c.tobytes() for c in parts.trades] == [c.tobytes() for c in whole.trades]


def test_a_position_of_a_position_is_the_same() -> None:
    bars = random_walk(200, 1)
    simulation = Simulation.start(bars, EVERYTHING, quick_uses(), seed=7)
    simulation.advance(120)
    position = simulation.position()
    assert carried_over(simulation, bars).position().as_document() == position.as_document()
    assert (position.bar, position.time_ms, position.total_bars) == (120, int(bars.time_ms[119]), 200)
    assert position.decisions.total == 0


def test_a_position_is_small_where_nothing_was_decided_however_far_the_run_is() -> None:
    bars = random_walk(20_000, 1)
    simulation = Simulation.start(bars, EVERYTHING, quick_uses())
    simulation.advance(19_000)
    assert simulation.position().bar == 19_000
    assert len(pickle.dumps(simulation.position())) < 1_500
    mark = simulation.mark()
    assert mark.state.nbytes + mark.open_trades.nbytes < 1_000


def test_a_run_taken_up_in_another_process_gives_the_same_hash(tmp_path: Path) -> None:
    bars = random_walk(400, 3)
    whole = run(bars, EVERYTHING, *quick_uses())
    simulation = Simulation.start(bars, EVERYTHING, quick_uses())
    simulation.advance(173)
    (tmp_path / "position").write_text(json.dumps(simulation.position().as_document()))
    np.savez(tmp_path / "bars.npz", *bars)
    program = (
        "import json, sys, numpy as np, pathlib\n"
        "from shared.bars import Bars\n"
        "from tests.engine.runs import EVERYTHING, quick_uses\n"
        "from worker.engine.position import Decisions, Position\nfrom worker.engine.simulation import Simulation\n"
        "home = pathlib.Path(sys.argv[1])\n"
        "with np.load(home / 'bars.npz') as file: bars = Bars(*(file[name] for name in file.files))\n"
        "position = Position.of(json.loads((home / 'position').read_text()), Decisions.of(b''))\n"
        "simulation = Simulation.resume(position, bars, EVERYTHING, quick_uses())\n"
        "simulation.advance(bars.total)\n"
        "sys.stdout.write(simulation.finish().result_hash)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == whole.result_hash


@pytest.mark.parametrize("cut", [0, 3, 6, 27, 28, 55, 150, 299])
def test_no_decision_is_asked_for_twice_wherever_the_run_is_taken_up(cut: int) -> None:
    asked = list[int]()

    def decide(view: View) -> int | Decision | None:
        asked.append(view.bar)
        return CAREFUL.decide(view) if CAREFUL.decide else None

    bars = random_walk(300, 2)
    use = Strategy("counted", "Counted", "Counts.", Often, decide=decide).use({"every": 4}, "counted")
    simulation = Simulation.start(bars, EVERYTHING, [use, *quick_uses()], seed=5)
    play(simulation, cut)
    simulation.advance(cut + 1)  # a question may be open now
    simulation = carried_over(simulation, bars)
    play(simulation, 300)
    assert asked == list(range(3, 300, 4))


def test_a_run_that_went_back_does_not_ask_again_and_ends_the_same() -> None:
    bars = random_walk(300, 2)
    asked = list[int]()

    def decide(view: View) -> int | Decision | None:
        asked.append(view.bar)
        return CAREFUL.decide(view) if CAREFUL.decide else None

    use = Strategy("counted", "Counted", "Counts.", Often, decide=decide).use({"every": 4}, "counted")
    whole = Simulation.start(bars, EVERYTHING, [use, *quick_uses()], seed=5)
    play(whole, 300)
    expected = whole.finish().result_hash
    asked.clear()
    simulation = Simulation.start(bars, EVERYTHING, [use, *quick_uses()], seed=5)
    marks = list[Mark]()
    for until in (0, 50, 51, 120, 200):
        play(simulation, until)
        simulation.advance(until + 1)
        marks.append(simulation.mark())
    assert [mark.waiting for mark in marks] == [False, False, True, False, False]
    for back in (4, 1, 2, 0, 3):
        simulation.rewind(marks[back])
        assert simulation.bar == marks[back].bar
        play(simulation, marks[back].bar + 5)
        again = carried_over(simulation, bars)  # bars that were decided on and are to be run again
        assert again.position().as_document() == simulation.position().as_document()
        play(again, 150)
    assert asked == list(range(3, 205, 4))
    play(simulation, 300)
    assert asked == list(range(3, 300, 4))
    assert simulation.finish().result_hash == expected


def test_going_back_to_an_open_question_opens_it_again() -> None:
    bars = random_walk(60, 2)
    simulation = Simulation.start(bars, EVERYTHING, deciding_uses(), seed=5)
    play(simulation, 39)
    ask = simulation.advance(60).ask
    assert ask is not None
    early, mark = ask.bar - 1, simulation.mark()
    again = carried_over(simulation, bars)
    simulation.rewind(mark)
    assert simulation.ask is not None
    assert [(view.strategy, view.equity) for view in simulation.ask.views] == [
        (view.strategy, view.equity) for view in ask.views
    ]
    with pytest.raises(RuntimeError, match="another simulation"):
        again.rewind(mark)
    assert early < simulation.bar
    play(simulation, 60)
    play(again, 60)
    hashes = {simulation.finish().result_hash, again.finish().result_hash, played(bars).result_hash}
    assert len(hashes) == 1
    for call in (simulation.position, lambda: simulation.rewind(mark)):
        with pytest.raises(RuntimeError, match="finished"):
            call()


def test_decisions_are_told_since_any_bar_and_joined_again() -> None:
    bars = random_walk(300, 2)
    simulation = Simulation.start(bars, EVERYTHING, deciding_uses(), seed=5)
    parts, told = list[Decisions](), 0
    for until in (40, 41, 150, 150, 299):
        play(simulation, until)
        position = simulation.position(told)
        told = position.decided_until
        parts.append(position.decisions)
    whole = simulation.position()
    joined = Decisions.join(parts)
    assert joined.to_bytes() == whole.decisions.to_bytes() == b"".join(part.to_bytes() for part in parts)
    assert (np.diff(joined.bar) >= 0).all()
    assert set(joined.strategy.tolist()) == {0, 1}
    assert joined.since(150).to_bytes() == simulation.position(150).decisions.to_bytes()
    assert joined.total > parts[-1].total > 10
    position = dataclasses.replace(simulation.position(told), decisions=joined)
    again = Simulation.resume(position, bars, EVERYTHING, deciding_uses(), seed=5)
    play(again, 300)
    assert again.finish().result_hash == played(bars).result_hash
    assert Decisions.join([]).total == 0


def test_a_position_that_lacks_its_early_decisions_is_refused() -> None:
    bars, position = stood_at(60)
    assert position.decisions.since(30).total < position.decisions.total
    with pytest.raises(PositionUnfit, match="another state"):
        taken_up(dataclasses.replace(position, decisions=position.decisions.since(30)), bars)


def damaged_by(**changes: Any) -> Callable[[dict[str, Any], bytes], tuple[dict[str, Any], bytes]]:
    return lambda document, decisions: ({**document, **changes}, decisions)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (damaged_by(digest="sha256:" + "0" * 64), "another state"),
        (damaged_by(bar=59), "another state"),
        (damaged_by(bar=-1), "damaged: bar -1"),
        (damaged_by(bar=101), "damaged: bar 101"),
        (damaged_by(bar=True), "damaged: its bar is True"),
        (damaged_by(decidedUntil=64), "nobody is asked at bar 64"),
        (damaged_by(decidedUntil=10**9), "nobody is asked at bar"),
        (damaged_by(decidedUntil=3), "damaged: bar 61, decided until 3"),
        (damaged_by(waiting=True), "damaged: bar 61"),
        (damaged_by(timeMs=5), "another state"),
        (damaged_by(digest=None), "its digest is None"),
        (lambda document, decisions: ({}, decisions), "its bar is None"),
        (lambda document, decisions: (document, decisions[:-1]), "bytes of decisions are damaged"),
        (lambda document, decisions: (document, decisions[:-11]), "another state"),
        (lambda document, decisions: (document, decisions[:-1] + bytes([decisions[-1] ^ 1])), "another state|cannot"),
        (lambda document, decisions: (document, decisions[:-1] + b"\7"), "cannot have been made"),
        (lambda document, decisions: (document, decisions[:8] + b"\7" + decisions[9:]), "strategy 7 cannot"),
        (lambda document, decisions: (document, decisions[:8] + b"\2" + decisions[9:]), "strategy 2 cannot"),
        (lambda document, decisions: (document, decisions[:7] + b"\x80" + decisions[8:]), "cannot have been made"),
    ],
)
def test_a_position_that_is_not_whole_is_refused(
    spoil: Callable[[dict[str, Any], bytes], tuple[dict[str, Any], bytes]], message: str
) -> None:
    bars, position = stood_at(60)
    document, decisions = spoil(dict(position.as_document()), position.decisions.to_bytes())
    with pytest.raises(PositionUnfit, match=message) as refusal:
        taken_up(Position.of(document, Decisions.of(decisions)), bars)
    assert not refusal.value.fault


def test_a_position_of_other_bars_is_refused() -> None:
    bars, position = stood_at(60)
    moved = bars._replace(open=bars.open * 1.001, close=bars.close * 1.001)
    later = bars._replace(time_ms=bars.time_ms + 1)
    for other in (bars.first(99), moved, later):
        with pytest.raises(PositionUnfit, match="ran over bars"):
            taken_up(position, other)
    taken_up(position, bars)


def test_a_position_of_another_configuration_strategy_or_seed_is_refused_before_its_first_bar_already() -> None:
    bars = random_walk(50, 1)
    position = Simulation.start(bars, STOPS, quick_uses(), seed=1).position()
    others: list[tuple[Any, Any, int]] = [
        (SHORT, quick_uses(), 1),
        (STOPS, quick_uses()[:1], 1),
        (STOPS, resolve(["sma", "rsi"], {}), 1),
        (STOPS, quick_uses(), 2),
    ]
    for config, uses, seed in others:
        with pytest.raises(PositionUnfit, match="other than these"):
            Simulation.resume(position, bars, config, uses, seed)
    Simulation.resume(position, bars, STOPS, quick_uses(), 1)


@pytest.mark.parametrize("version", ["ENGINE_VERSION", "FOLD_VERSION"])
def test_a_position_of_another_engine_is_refused(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    bars = random_walk(100, 1)
    simulation = Simulation.start(bars, STOPS, quick_uses())
    monkeypatch.setattr(f"worker.engine.simulation.{version}", "0-other")
    position = simulation.position()
    monkeypatch.undo()
    with pytest.raises(PositionUnfit, match="0-other"):
        Simulation.resume(position, bars, STOPS, quick_uses())


@pytest.mark.parametrize("total", [0, 1, 2])
def test_hardly_any_bars_have_positions_and_marks_like_any_others(total: int) -> None:
    bars = random_walk(total, 1)
    simulation = Simulation.start(bars, STOPS, [scripted({}), *quick_uses()])
    mark = simulation.mark()
    simulation.advance(total)
    simulation = carried_over(simulation, bars)
    with pytest.raises(RuntimeError, match="another simulation"):
        simulation.rewind(mark)
    simulation.rewind(simulation.mark())
    assert simulation.finish().equity.shape == (total,)


def test_the_hash_is_what_it_was_when_this_engine_version_was_named() -> None:
    """When this fails although nothing is wrong, results have changed: raise ENGINE_VERSION and renew the hash."""
    cents, price, prices = 1, 10_000, [10_000]
    for _ in range(499):
        cents = cents * 1_103_515_245 + 12_345 & 0x7FFFFFFF
        price = max(price + (cents >> 16) % 201 - 100, 1_000)
        prices.append(price)
    close = np.array(prices) / 100
    opened = np.concatenate([close[:1], close[:-1]])
    high, low = np.maximum(opened, close) + 0.25, np.minimum(opened, close) - 0.25
    bars = Bars(times(500), opened, high, low, close, np.ones(500))
    uses = resolve(["sma"], {"sma": {"fast": 3, "slow": 8}})
    assert run(bars, EVERYTHING, *uses).result_hash == (
        "sha256:8d012ecbd340c6f6d0086dd81af44d04ac331f680db7b0aa57a14ac44cf209db"
    )
