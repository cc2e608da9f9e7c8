"""The loop of an engine process: strategies that decide, and the check for seeing the future, through its pipe."""

from __future__ import annotations

import dataclasses
import io
import itertools
import logging
import pickle
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.bars import Bars
from shared.candles import BarFiles
from shared.candles.chunks import canonical_bytes
from shared.reasons import Reason
from shared.request import BacktestParams
from shared.strategies import Strategy, View
from shared.strategies.parameters import Parameters
from shared.strategies.signals import silent
from shared.wire import validate
from tests.engine.deciders import BROKEN, CAREFUL, STEP_SIGNALS, STEPS, Often, in_the_catalogue, steps
from tests.engine.markets import random_walk
from tests.engine.test_causality import by_the_last_close
from worker import engine_loop, log_lines
from worker.engine.delta import Outcome
from worker.engine.faults import PositionUnfit
from worker.engine.position import Decisions, Position
from worker.engine_loop import Run, serve
from worker.log_lines import LINES_A_SECOND_MAX, MESSAGE_MAX_CHARS
from worker.pipe import (
    HEADER_BYTES,
    Advance,
    Command,
    Finish,
    Finished,
    Load,
    LookBack,
    LookedBack,
    Moved,
    News,
    Raised,
    Reply,
    Rewind,
    Wanted,
    frame,
)

TOTAL = 300
NEWS = Wanted(news=True)
SEER = Strategy("seer", "Seer", "Sees the last close.", Parameters, by_the_last_close)


def babble(_: View) -> Any:
    return "buy"


def torn(_bars: Bars, _params: Parameters) -> Any:
    raise ZeroDivisionError("of nothing")


TORN = Strategy("torn", "Torn", "Raises.", Parameters, torn)
SHORT = Strategy("short", "Short", "Says too little.", Parameters, lambda bars, _: silent(bars.total - 1))
VAGUE = Strategy("vague", "Vague", "Says NaN.", Parameters, lambda bars, _: bars.close * np.nan)  # pyright: ignore


def talk(view: View) -> int | None:
    if view.bar == 0:
        log.info("begin %s", view.strategy)
    elif view.bar == 1:
        log.warning("%d of %d", 1, 2)
    elif view.bar == 2:
        try:
            [][1]
        except IndexError:
            log.exception("caught")
    elif view.bar == 3:
        log.error("x" * 3_000)
    elif view.bar == 4:
        log.debug("too small a thing")
    elif view.bar == 250:
        log.info("the last word")
        raise LookupError("no such level")
    return None


def flood(view: View) -> int | None:
    for line in range(20 * LINES_A_SECOND_MAX if view.bar in (5, 6) else 0):
        log.info("line %d", line)
    return None


def chatty(bars: Bars, _: Parameters) -> Any:
    log.info("computing")
    return silent(bars.total)


asked = list[int]()  # at which bars the witness was asked


def witness(view: View) -> int | None:
    asked.append(view.bar)
    return steps(view)


log = logging.getLogger("plugin.talker")
FLOOD = Strategy("flood", "Flood", "Logs more than anybody reads.", Parameters, decide=flood)
CHATTY = Strategy("chatty", "Chatty", "Logs as it computes.", Parameters, chatty)
TALKER = Strategy("talker", "Talker", "Logs.", Parameters, decide=talk)
WITNESS = Strategy("witness", "Witness", "Remembers.", Often, decide=witness)
BABBLE = Strategy("babble", "Babble", "Answers with words.", Parameters, decide=babble)


@pytest.fixture(scope="module", autouse=True)
def _known() -> Iterator[None]:
    with in_the_catalogue(
        STEPS, STEP_SIGNALS, BROKEN, CAREFUL, TALKER, FLOOD, CHATTY, WITNESS, SEER, BABBLE, TORN, SHORT, VAGUE
    ):
        yield


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine must not cut the steps that tests count on, nor have them answered by a sign of life first."""
    monkeypatch.setattr(engine_loop, "_DECIDING_S", 60.0)
    monkeypatch.setattr(engine_loop, "_SIGN_S", 60.0)


@pytest.fixture
def files(tmp_path: Path) -> BarFiles:
    path = tmp_path / "chunk"
    path.write_bytes(canonical_bytes(random_walk(TOTAL, 6)))
    return BarFiles((str(path),), (TOTAL,), 0, TOTAL)


def load(files: BarFiles, *strategies: str, until: int = TOTAL, **params: Any) -> Load:
    body = {"symbol": "WALK", "interval": "1h", "startDate": "2024-01-01", "endDate": "2025-01-01"}
    return Load({**body, "strategies": list(strategies), "allowShort": True, **params}, files, until)


def replies_to(*commands: Command) -> list[Reply]:
    said = io.BytesIO()
    serve(io.BytesIO(b"".join(map(frame, commands))), said)
    data, replies = said.getvalue(), list[Reply]()
    while data:
        end = HEADER_BYTES + int.from_bytes(data[:HEADER_BYTES], "little")
        replies.append(pickle.loads(data[HEADER_BYTES:end]))
        data = data[end:]
    return replies


def outcome_of(reply: Reply) -> Outcome:
    assert isinstance(reply, Finished), reply
    return reply.outcome


def hash_of(reply: Reply) -> str:
    return outcome_of(reply).result_hash


def test_a_strategy_that_decides_runs_like_any_other(files: BarFiles) -> None:
    whole, part, rest, known = replies_to(
        load(files, "sma", "steps"),
        load(files, "sma", "steps", until=70),
        Advance(TOTAL),
        load(files, "sma", "step_signals"),
    )
    assert isinstance(part, Moved)
    assert part.bar == 70
    assert hash_of(whole) == hash_of(rest) == hash_of(known)


def test_what_a_run_looks_back_at_is_told_before_its_bars_are_fetched(files: BarFiles) -> None:
    params = load(files, "sma", "steps", strategyParams={"sma": {"fast": 3, "slow": 40}}).params
    told, less, refused, fine = replies_to(
        LookBack(params),
        LookBack({**params, "warmupBars": 7}),
        LookBack({**params, "strategies": ["sma", "astrology"]}),
        load(files, "sma"),
    )
    assert (told, less) == (LookedBack(40), LookedBack(7))
    assert isinstance(refused, Raised)
    assert [error.field for error in refused.errors] == ["strategies.1"]
    hash_of(fine)


@pytest.mark.parametrize("strategies", [("rsi", "sma"), ("sma", "careful")])
def test_a_run_that_begins_warm_numbers_and_tells_its_own_bars_alone_wherever_it_is_cut(
    files: BarFiles, strategies: tuple[str, ...]
) -> None:
    sizes = {"sma": {"fast": 2, "slow": 30}, "rsi": {"period": 3}}
    settings = {**MANY, "strategyParams": {name: sizes[name] for name in strategies if name in sizes}}
    begin = dataclasses.replace(load(files, *strategies, until=0, **settings), warmup_bars=60, with_position=True)
    own = TOTAL - 60
    [whole] = replies_to(dataclasses.replace(begin, until_bar=own))
    outcome = outcome_of(whole)
    assert (outcome.warmup_bars, len(outcome.equity)) == (60, own)
    assert outcome.time_ms[0] == random_walk(TOTAL, 6).time_ms[60]
    first, second, back, last = replies_to(begin, Advance(130, NEWS, True), Rewind(20, NEWS), Advance(own, NEWS))
    assert isinstance(first, Moved)
    assert isinstance(second, Moved)
    assert isinstance(back, Moved)
    assert isinstance(last, Finished)
    assert (first.total_bars, first.time_ms, second.time_ms) == (own, outcome.time_ms[0], outcome.time_ms[129])
    assert (back.bar, back.time_ms) == (20, outcome.time_ms[19])
    assert news_of(second).time_ms.tolist() == outcome.time_ms[:130].tolist()
    told = news_of(last).time_ms.tolist()  # thinned
    assert set(told) <= set(outcome.time_ms[20:].tolist())
    assert (told[0], told[-1]) == (outcome.time_ms[20], outcome.time_ms[-1])
    assert hash_of(last) == outcome.result_hash
    for cut in (0, 1, 29, 130, own - 1):
        at = position_of(replies_to(dataclasses.replace(begin, until_bar=cut))[0])
        taken_up, elsewhere = replies_to(
            dataclasses.replace(begin, until_bar=own, position=at),
            dataclasses.replace(begin, until_bar=own, position=at, warmup_bars=59),
        )
        assert hash_of(taken_up) == outcome.result_hash
        assert isinstance(elsewhere, Raised)
        assert elsewhere.code == PositionUnfit.code


def test_a_step_ends_where_deciding_takes_long(files: BarFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every decision takes longer than no time at all, so each step answers one."""
    monkeypatch.setattr(engine_loop, "_DECIDING_S", 0.0)
    command = load(files, "steps", strategyParams={"steps": {"every": 100}})
    *moved, last = replies_to(command, *[Advance(TOTAL)] * 2)
    assert [one.bar for one in moved if isinstance(one, Moved)] == [100, 200]
    monkeypatch.setattr(engine_loop, "_DECIDING_S", 60.0)
    assert hash_of(last) == hash_of(replies_to(command)[0])


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ("broken", "strategy broken raised LookupError at bar 7 (2024-01-01T07:00:00Z): no such level"),
        (
            "babble",
            "strategy babble must answer 1 (long), -1 (short), 0 (flat) or None (no opinion), not 'buy', at bar 0",
        ),
    ],
)
def test_a_decision_that_fails_ends_the_backtest_and_not_the_process(
    files: BarFiles, strategy: str, words: str
) -> None:
    failed, fine = replies_to(load(files, "sma", strategy), load(files, "sma"))
    assert isinstance(failed, Raised)
    assert (failed.code, failed.message.startswith(words)) == ("strategy_error", True), failed.message
    assert [error.field for error in failed.errors] == ["strategies.1"]
    hash_of(fine)


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ("torn", "strategy torn raised ZeroDivisionError: of nothing"),
        ("short", "strategy short must return 300 signals of -1, 0, 1 or 2 and returned shape (299,)"),
        (
            "vague",
            "strategy vague must return 300 signals of -1, 0, 1 or 2 as whole numbers (int8) and returned float64",
        ),
    ],
)
def test_signals_that_fail_end_the_backtest_by_the_strategys_name_and_not_the_process(
    files: BarFiles, strategy: str, words: str
) -> None:
    failed, fine = replies_to(load(files, "sma", strategy), load(files, "sma"))
    assert isinstance(failed, Raised)
    assert (failed.code, failed.message) == ("strategy_error", words)
    assert [(error.field, error.code) for error in failed.errors] == [("strategies.1", "strategy_error")]
    hash_of(fine)


def test_a_fault_of_the_engine_is_called_its_own(
    files: BarFiles, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def play(*_: object, **__: object) -> None:
        raise IndexError("row 7 of 6")

    monkeypatch.setattr(engine_loop, "play", play)
    [failed] = replies_to(load(files, "sma"))
    assert isinstance(failed, Raised)
    assert (failed.code, failed.errors) == ("engine_error", ())
    assert failed.message.startswith("the engine failed, which is a fault of backfleet and not of the request")
    assert failed.message.endswith(": IndexError: row 7 of 6")
    assert "IndexError" in caplog.text, "the log says where"
    monkeypatch.undo()
    hash_of(replies_to(load(files, "sma"))[0])


def test_a_strategy_that_peeks_is_refused_where_it_was_asked_to_be_checked(files: BarFiles) -> None:
    unchecked, checked = replies_to(load(files, "sma", "seer"), load(files, "sma", "seer", checkCausality=True))
    hash_of(unchecked)
    assert isinstance(checked, Raised)
    assert (checked.code, [error.field for error in checked.errors]) == ("strategy_peeks", ["strategies.1"])
    assert "strategy seer sees the future: of bar " in checked.message


def test_a_check_that_is_passed_changes_nothing(files: BarFiles) -> None:
    unchecked, checked = replies_to(
        load(files, "rsi", "steps", seed=3), load(files, "rsi", "steps", seed=3, checkCausality=True)
    )
    assert hash_of(checked) == hash_of(unchecked)


def news_of(reply: Reply) -> News:
    moved = reply.last if isinstance(reply, Finished) else reply
    assert isinstance(moved, Moved), reply
    assert moved.news is not None
    return moved.news


def position_of(reply: Reply) -> Position:
    assert isinstance(reply, Moved), reply
    assert reply.position is not None
    return reply.position


def joined(news: list[News], name: str) -> bytes:
    return np.concatenate([getattr(one, name) for one in news]).tobytes()


MANY: dict[str, Any] = {"maxOpenTrades": 4, "positionSizePercent": 0.3, "stopLoss": {"percent": 1.5}, "seed": 5}


def test_nothing_is_told_that_was_not_asked_for(files: BarFiles) -> None:
    first, second, last = replies_to(load(files, "rsi", "steps", until=90), Advance(100), Advance(TOTAL))
    assert isinstance(first, Moved)
    assert isinstance(second, Moved)
    assert isinstance(last, Finished)
    assert (
        {one.news for one in (first, second, last.last)}
        == {one.position for one in (first, second, last.last)}
        == {None}
    )
    assert len(frame(second)) < 150


@pytest.mark.parametrize("cuts", [[], [1], [7, 8, 8, 150], list(range(10, TOTAL, 10))])
@pytest.mark.parametrize("strategies", [("rsi", "sma"), ("careful", "steps")])
def test_news_joined_are_the_whole_run(files: BarFiles, cuts: list[int], strategies: tuple[str, ...]) -> None:
    settings = (
        {**MANY, "strategyParams": {"sma": {"fast": 2, "slow": 5}, "rsi": {"period": 3}}}
        if "sma" in strategies
        else MANY
    )
    [whole] = replies_to(load(files, *strategies, **settings))
    begin = dataclasses.replace(load(files, *strategies, until=[*cuts, TOTAL][0], **settings), wanted=NEWS)
    replies = replies_to(begin, *(Advance(until, wanted=NEWS) for until in [*cuts, TOTAL][1:]))
    assert hash_of(whole) == hash_of(replies[-1])
    assert isinstance(whole, Finished)
    news, outcome = [news_of(reply) for reply in replies], whole.outcome
    assert outcome.trades.total > 10
    assert [one.first_bar for one in news] == [0, *(np.cumsum([len(one.equity) for one in news])[:-1].tolist())]
    assert [one.first_trade for one in news] == [0, *(np.cumsum([one.trades.total for one in news])[:-1].tolist())]
    for name, column in outcome.trades._asdict().items():
        assert np.concatenate([getattr(one.trades, name) for one in news]).tobytes() == column.tobytes()
    assert joined(news, "equity") == outcome.equity.tobytes()
    assert joined(news, "time_ms") == outcome.time_ms.tobytes()
    said, bars = np.concatenate([one.signals.signal for one in news]), np.concatenate([one.signals.bar for one in news])
    assert len(said) == len(bars) > 10
    assert (np.diff(bars) > 0).all()
    decisions = Decisions.join([one.decisions for one in news])
    assert (decisions.total > 0) == ("careful" in strategies)
    last = news[-1]
    assert last.open_trades == []
    assert (last.cash, last.realised_pnl) == (outcome.equity[-1], pytest.approx(float(outcome.trades.pnl.sum())))
    assert last.trades_won == outcome.metrics["winningTrades"]
    assert last.trades_lost == outcome.metrics["losingTrades"]
    assert last.peak_equity >= max(10_000.0, float(outcome.equity[:-1].max()))
    for one, reply in zip(news[:-1], replies, strict=False):
        assert isinstance(reply, Moved)
        assert one.equity.size == 0 or one.equity[-1] == reply.equity
        assert one.trades_won + one.trades_lost <= reply.trades_closed == one.first_trade + one.trades.total


def test_who_begins_to_watch_late_hears_of_everything_once(files: BarFiles) -> None:
    first, second, third, last = replies_to(
        load(files, "careful", until=100, **MANY),
        Advance(150, wanted=NEWS),
        Advance(200),
        Advance(TOTAL, wanted=NEWS),
    )
    assert isinstance(first, Moved)
    assert isinstance(third, Moved)
    assert first.news is third.news is None
    assert (news_of(second).first_bar, len(news_of(second).equity)) == (0, 150)
    assert (news_of(last).first_bar, len(news_of(last).equity)) == (150, 150)


@pytest.mark.parametrize("strategies", [("rsi", "sma"), ("careful", "steps")])
def test_a_run_is_taken_up_by_another_process_where_this_one_stood(
    files: BarFiles, strategies: tuple[str, ...]
) -> None:
    [whole] = replies_to(load(files, *strategies, **MANY))
    begin = dataclasses.replace(load(files, *strategies, until=60, **MANY), with_position=True)
    steps_on = [Advance(61, with_position=True), Advance(140), Advance(200, with_position=True)]
    first, second, _, fourth = map(pickle.loads, map(pickle.dumps, replies_to(begin, *steps_on)))
    parts = [position_of(reply) for reply in (first, second, fourth)]
    assert [part.bar for part in parts] == [60, 61, 200]
    position = dataclasses.replace(parts[-1], decisions=Decisions.join([part.decisions for part in parts]))
    up = dataclasses.replace(load(files, *strategies, until=200, **MANY), position=position, with_position=True)
    there, end = replies_to(up, Advance(TOTAL, with_position=True))
    assert isinstance(there, Moved)
    assert isinstance(fourth, Moved)
    assert there._replace(position=None) == fourth._replace(position=None)
    assert position_of(there).as_document() == position.as_document()
    assert position_of(there).decisions.total == 0, "those that were taken up are known"
    assert hash_of(end) == hash_of(whole)
    assert isinstance(end, Finished)
    assert end.last.position is None


def test_a_position_that_does_not_fit_is_said_so_and_the_run_begun_anew(files: BarFiles) -> None:
    begin = dataclasses.replace(load(files, "steps", until=60, **MANY), with_position=True)
    position = position_of(replies_to(begin)[0])
    for unfit in (
        dataclasses.replace(position, engine_version="2"),
        dataclasses.replace(position, fold_version="0"),
        dataclasses.replace(position, digest="sha256:0"),
        dataclasses.replace(position, total_bars=5),
    ):
        refused, nothing, fine = replies_to(
            dataclasses.replace(load(files, "steps", until=60, **MANY), position=unfit),
            Advance(70),
            load(files, "steps"),
        )
        assert isinstance(refused, Raised)
        assert refused.code == PositionUnfit.code == "position_unfit"
        assert isinstance(nothing, Raised)
        assert (nothing.code, nothing.message) == ("engine_protocol", "no backtest is loaded")
        hash_of(fine)


@pytest.mark.parametrize("strategies", [("rsi", "sma"), ("careful", "steps")])
def test_a_run_that_goes_back_ends_the_same(files: BarFiles, strategies: tuple[str, ...]) -> None:
    [whole] = replies_to(load(files, *strategies, **MANY))
    bars = [200, 40, 41, 39, 0, 250, 100, 299, 1, 299, 7]
    commands: list[Command] = [load(files, *strategies, until=200, **MANY)]
    for here, there in itertools.pairwise(bars):
        commands.append(Rewind(there) if there < here else Advance(there))
    *moved, last = replies_to(*commands, Rewind(10_000), Rewind(-3), Advance(TOTAL))
    assert [one.bar for one in moved if isinstance(one, Moved)] == [*bars, 7, 0]
    apart = replies_to(*[load(files, *strategies, until=until, **MANY) for until in bars if until])
    at = {one.bar: one for one in apart if isinstance(one, Moved)}
    for one in moved:
        assert isinstance(one, Moved)
        assert one.bar == 0 or one == at[one.bar]
    assert hash_of(last) == hash_of(whole)


def test_going_back_asks_for_no_decision_again_and_tells_the_rest_again(files: BarFiles) -> None:
    asked.clear()
    first, back, again, end = replies_to(
        dataclasses.replace(load(files, "witness", until=200, **MANY), wanted=NEWS),
        Rewind(120, wanted=NEWS, with_position=True),
        Advance(200, wanted=NEWS),
        Advance(TOTAL, wanted=NEWS),
    )
    assert asked == list(range(TOTAL))
    before, here, after = news_of(first), news_of(back), news_of(again)
    assert (here.first_bar, here.equity.size, here.trades.total, here.decisions.total) == (120, 0, 0, 0)
    assert isinstance(back, Moved)
    assert (back.bar, here.first_trade) == (120, back.trades_closed)
    assert position_of(back).decided_until == 200
    assert position_of(back).decisions.to_bytes() == before.decisions.to_bytes()
    assert (after.first_bar, after.first_trade, after.decisions.total) == (120, here.first_trade, 0)
    assert after.equity.tobytes() == before.equity[120:].tobytes()
    for late, early in zip(after.trades, before.trades, strict=True):
        assert late.tobytes() == early[here.first_trade :].tobytes()
    assert (after.cash, after.peak_equity) == (before.cash, before.peak_equity)
    assert (news_of(end).first_bar, news_of(end).decisions.total > 0) == (200, True)


@pytest.mark.parametrize("strategies", [("rsi", "sma"), ("careful", "steps")])
@pytest.mark.parametrize("closing", [True, False])
def test_a_run_that_is_ended_early_came_to_what_stood_there(
    files: BarFiles, strategies: tuple[str, ...], closing: bool
) -> None:
    [whole] = replies_to(load(files, *strategies))
    here, ended, over = replies_to(load(files, *strategies, until=150), Finish(closing, wanted=NEWS), Advance(TOTAL))
    assert isinstance(here, Moved)
    assert isinstance(ended, Finished)
    assert (ended.last.bar, ended.last.equity, ended.last.trades_closed) == (150, here.equity, here.trades_closed)
    outcome = ended.outcome
    assert outcome.equity[:-1].tobytes() == outcome_of(whole).equity[:149].tobytes()
    assert bool(outcome.open_trades) != closing
    assert outcome.trades.total == here.trades_closed + closing
    assert not closing or Reason(int(outcome.trades.exit_reason[-1])) is Reason.STOPPED_BY_USER
    assert news_of(ended).trades.total == outcome.trades.total
    assert isinstance(over, Raised)
    assert over.code == "engine_protocol"


def test_what_is_finished_or_was_never_begun_cannot_go_back(files: BarFiles) -> None:
    nothing, _, over = replies_to(Rewind(5), load(files, "sma"), Rewind(5))
    for reply in (nothing, over):
        assert isinstance(reply, Raised)
        assert reply.code == "engine_protocol"


def test_marks_are_few_however_many_steps_a_run_takes() -> None:
    body = {
        "symbol": "WALK",
        "interval": "1h",
        "startDate": "2024-01-01",
        "endDate": "2025-01-01",
        "strategies": ["sma"],
    }
    run = Run(validate(BacktestParams, body), random_walk(5_000, 1))
    for until in range(1, 5_000):
        run.advance(until)
    marks = [mark.bar for mark in run._marks]
    assert 50 < len(marks) <= 64
    assert max(np.diff([0, *marks, 5_000])) < 200


def test_what_a_strategy_logs_is_told_with_where_and_when(files: BarFiles, caplog: pytest.LogCaptureFixture) -> None:
    root = logging.getLogger()
    before = root.level, logging.getLogRecordFactory()
    root.setLevel(logging.WARNING)
    first, some, failed = replies_to(load(files, "talker", until=1), Advance(5), Advance(TOTAL))
    assert (root.level, logging.getLogRecordFactory()) == (logging.WARNING, before[1])
    root.setLevel(before[0])
    assert isinstance(first, Moved)
    assert isinstance(some, Moved)
    assert [(line.level, line.message) for line in first.logs] == [("INFO", "begin talker")]
    logs = some.logs
    assert [(line.level, line.message.split("\n")[0][:20]) for line in logs] == [
        ("WARNING", "1 of 2"),
        ("ERROR", "caught"),
        ("ERROR", "x" * 20),
    ]
    assert logs[1].message.endswith("IndexError: list index out of range")
    assert (len(logs[2].message), logs[2].message[-4:]) == (MESSAGE_MAX_CHARS, "x...")
    assert {(line.module, line.function, line.logger) for line in logs} == {
        ("test_engine_loop", "talk", "plugin.talker")
    }
    assert [line.line for line in logs] == sorted({line.line for line in logs})
    assert abs(logs[0].time_ms - time.time_ns() // 1_000_000) < 60_000
    assert some.logs_dropped == 0
    assert isinstance(failed, Raised)
    assert [(line.level, line.message) for line in failed.logs] == [("INFO", "the last word")]
    assert "caught" in caplog.text, "it is logged as ever"


def test_of_what_is_logged_a_second_and_a_run_have_a_bound(files: BarFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_lines, "LINES_A_RUN_MAX", 2 * LINES_A_SECOND_MAX)
    begin = load(files, "flood", until=6)
    for first, last in itertools.pairwise(replies_to(begin, Advance(TOTAL), begin, Advance(TOTAL))):
        if isinstance(first, Moved) and isinstance(last, Finished):
            both = [*first.logs, *last.last.logs]
            assert max(Counter(line.time_ms // 1_000 for line in both).values()) <= LINES_A_SECOND_MAX
            assert LINES_A_SECOND_MAX <= len(both) <= 2 * LINES_A_SECOND_MAX
            assert len(both) + first.logs_dropped + last.last.logs_dropped == 40 * LINES_A_SECOND_MAX
            assert first.logs[0].message == "line 0"


def test_what_a_run_says_as_it_is_taken_up_is_not_told_twice(files: BarFiles) -> None:
    begin = dataclasses.replace(load(files, "chatty", until=60), with_position=True)
    position = position_of(there := replies_to(begin)[0])
    assert isinstance(there, Moved)
    assert [line.message for line in there.logs] == ["computing"]
    up = dataclasses.replace(load(files, "chatty", until=70), position=position)
    [again] = replies_to(up)
    assert isinstance(again, Moved)
    assert again.logs == ()


def test_a_run_that_can_be_drawn_whole_tells_every_point(files: BarFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_loop, "_POINTS_MAX", 20)
    monkeypatch.setattr(engine_loop, "_LAST_POINTS_MAX", 20)
    told: list[list[int]] = []
    for most in (TOTAL, TOTAL - 1):
        monkeypatch.setattr(engine_loop, "_EXACT_BARS_MAX", most)
        begin = dataclasses.replace(load(files, "sma", until=TOTAL - 100), wanted=Wanted(news=True))
        replies = replies_to(begin, Advance(TOTAL, Wanted(news=True)))
        assert [news_of(reply).thinned for reply in replies] == [most < TOTAL] * 2
        told.append([len(news_of(reply).equity) for reply in replies])
    assert told[0] == [TOTAL - 100, 100]
    assert max(told[1]) <= 20


def test_news_are_thinned_to_points_that_are_stored_and_a_whole_begins_at_the_first_bar(
    files: BarFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_POINTS_MAX", "_LAST_POINTS_MAX", "_TRADES_MAX", "_SIGNALS_MAX", "_CANDLES_MAX"):
        monkeypatch.setattr(engine_loop, name, 20)
    monkeypatch.setattr(engine_loop, "_EXACT_BARS_MAX", TOTAL - 1)
    body = {**MANY, "strategyParams": {"sma": {"fast": 2, "slow": 5}}}
    whole = Wanted(news=True, whole=True, candles=True)
    begin = dataclasses.replace(load(files, "sma", until=200, **body), wanted=whole)
    first, last = replies_to(begin, Advance(TOTAL, whole))
    outcome = outcome_of(last)
    equity = dict(zip(outcome.time_ms.tolist(), outcome.equity.tolist(), strict=True))
    for reply, bar, skipped in ((first, 200, 0), (last, TOTAL, news_of(first).first_trade + 20)):
        news = news_of(reply)
        assert news.thinned
        assert len(news.equity) == len(news.time_ms) <= 20
        shown = dict(zip(news.time_ms.tolist(), news.equity.tolist(), strict=True))
        assert shown.items() <= equity.items() or bar < TOTAL
        assert max(shown) == int(outcome.time_ms[bar - 1])
        assert news.candles is not None
        assert news.candles.time_ms.tolist() == outcome.time_ms[bar - 20 : bar].tolist()
        assert news.trades.total == 20
        assert news.trades_skipped == news.first_trade - skipped > 0
        assert len(news.signals.bar) == 20
        assert news.signals_skipped > 0
        assert news.whole is not None
        assert (len(news.whole.time_ms), news.whole.thinned) == (bar, False)
        assert news.whole.trades_skipped == news.first_trade
    assert news_of(first).whole.equity.tobytes() == outcome.equity[:200].tobytes()  # pyright: ignore[reportOptionalMemberAccess]


def test_what_is_logged_stands_on_stderr_as_ever(tmp_path: Path) -> None:
    """Warnings, by the handler of last resort; and whoever sets up `logging` finds it untouched."""
    program = """
import logging
from worker.log_lines import LogLines
lines, log = LogLines(), logging.getLogger("own")
with lines.listening():
    log.info("heard")
    log.warning("heard and seen")
    log.debug("neither")
    log.info("%d", "no number")
assert [line.message for line in lines.take()[0]] == ["heard", "heard and seen", "%d"]
log.warning("seen")
logging.basicConfig(level=logging.ERROR, format="set up: %(message)s")
with lines.listening():
    log.warning("too small a thing by choice")
    log.error("chosen")
assert [line.message for line in lines.take()[0]] == ["chosen"]
assert lines.take() == ((), 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr.splitlines() == ["heard and seen", "seen", "set up: chosen"]
