"""The loop of an engine process: strategies that decide, and the check for seeing the future, through its pipe."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.bars import Bars
from shared.candles import BarFiles
from shared.candles.chunks import canonical_bytes
from shared.strategies import Strategy, View
from shared.strategies.parameters import Parameters
from shared.strategies.signals import silent
from tests.engine.deciders import BROKEN, STEP_SIGNALS, STEPS, in_the_catalogue
from tests.engine.markets import random_walk
from tests.engine.test_causality import by_the_last_close
from worker import engine_loop
from worker.engine_loop import serve
from worker.pipe import HEADER_BYTES, Advance, Command, Finished, Load, Moved, Raised, Reply, frame

TOTAL = 300
SEER = Strategy("seer", "Seer", "Sees the last close.", Parameters, by_the_last_close)


def babble(_: View) -> Any:
    return "buy"


def torn(_bars: Bars, _params: Parameters) -> Any:
    raise ZeroDivisionError("of nothing")


TORN = Strategy("torn", "Torn", "Raises.", Parameters, torn)
SHORT = Strategy("short", "Short", "Says too little.", Parameters, lambda bars, _: silent(bars.total - 1))
VAGUE = Strategy("vague", "Vague", "Says NaN.", Parameters, lambda bars, _: bars.close * np.nan)  # pyright: ignore
BABBLE = Strategy("babble", "Babble", "Answers with words.", Parameters, decide=babble)


@pytest.fixture(scope="module", autouse=True)
def _known() -> Iterator[None]:
    with in_the_catalogue(STEPS, STEP_SIGNALS, BROKEN, SEER, BABBLE, TORN, SHORT, VAGUE):
        yield


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


def hash_of(reply: Reply) -> str:
    assert isinstance(reply, Finished), reply
    return reply.outcome.result_hash


def test_a_strategy_that_decides_runs_like_any_other(files: BarFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_loop, "_DECIDING_S", 60.0)  # a busy machine must not cut the steps this counts on
    whole, part, rest, known = replies_to(
        load(files, "sma", "steps"),
        load(files, "sma", "steps", until=70),
        Advance(TOTAL),
        load(files, "sma", "step_signals"),
    )
    assert isinstance(part, Moved)
    assert part.bar == 70
    assert hash_of(whole) == hash_of(rest) == hash_of(known)


def test_a_step_ends_where_deciding_takes_long(files: BarFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every decision takes longer than no time at all, so each step answers one."""
    monkeypatch.setattr(engine_loop, "_DECIDING_S", 0.0)
    command = load(files, "steps", strategyParams={"steps": {"every": 100}})
    *moved, last = replies_to(command, *[Advance(TOTAL)] * 2)
    assert [one.bar for one in moved if isinstance(one, Moved)] == [100, 200]
    monkeypatch.undo()
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
