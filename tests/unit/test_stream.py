"""`worker.stream`: whatever is asked of a run, it comes to the same result, and its states draw it."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.candles.files.parsing import ParsedSeries
from shared.reading import Reading
from tests.drawing import Drawing
from tests.fleet import random_walk, write_bars
from worker.local_run import LocalResult, arrange, read_series, run_locally
from worker.parent import Parent
from worker.stream import Stream

BARS = 700
REQUEST: dict[str, Any] = {
    "strategies": ["sma"],
    "strategyParams": {"sma": {"fast": 3, "slow": 9}},
    "stopLoss": {"percent": 3},
    "emitInterval": 7,
    "emitEveryMs": 20,
}
OWN = {"sessionId", "command", "commandId", "refused", "result"}


class Script:
    """A parent that sends a command at each turn, and reads states whenever `reads` says so."""

    def __init__(self, lines: list[bytes], reads: list[bool]) -> None:
        self.told: list[dict[str, Any]] = []
        self.lines = [*lines, b"resume", b"speed max"]
        self.reads = reads
        self.turns = 0
        self.ended = self.broken = False
        self.number: int | None = None

    @property
    def idle(self) -> bool:
        self.turns += 1
        return self.reads[self.turns % len(self.reads)]

    def take(self, most: int) -> list[bytes]:
        return [self.lines.pop(0)] if self.lines and most else []

    def settle(self) -> None:
        return

    def wait(self, until_s: float | None) -> None:
        """Time is what turns are."""

    def write(self, lines: list[dict[str, Any]]) -> None:
        self.told += lines

    def play(self, series: ParsedSeries, body: dict[str, Any], chunk_bars: int) -> LocalResult | None:
        parent = cast(Parent, SimpleNamespace(inbox=self, outlet=self, signals=self))
        stream = Stream.begin(arrange(series, body), {"sessionId": "s"}, parent, chunk_bars)
        if (result := stream.play()) is not None:
            stream.end(result, series.notes)
        return result


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bars(tmp_path_factory.mktemp("bars") / "WALK-1h.csv", random_walk(BARS))


@cache
def read(file: Path) -> ParsedSeries:
    return read_series([file], Reading())


@pytest.fixture
def series(file: Path) -> ParsedSeries:
    return read(file)


def drawn(told: list[dict[str, Any]]) -> Drawing:
    """By a client of the states alone: each is held against the model of `backtest:state`."""
    drawing = Drawing()
    drawing.begun = True
    for line in told:
        state = {name: value for name, value in line.items() if name not in OWN}
        drawing.trades = [{"exitBar": -1}] * state["metrics"]["totalTrades"]  # no state has all of them
        if line is told[-1]:
            assert state["status"] in ("completed", "stopped")
        else:
            assert state["status"] in ("running", "paused")
        drawing.hear({"backtestId": "bt_1", "userId": "ann", "type": "state", "data": state})
    return drawing


COMMAND = st.one_of(
    st.sampled_from([b"pause", b"resume", b"step", b"speed max", b"speed 100000", b"fly"]),
    st.integers(1, 200).map(lambda bars: f"step {bars}".encode()),
    st.integers(0, BARS - 50).map(lambda bar: f"seek {bar}".encode()),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(COMMAND, max_size=12), st.lists(st.booleans(), max_size=5), st.sampled_from([13, 100, 10_000]))
def test_whatever_was_asked_of_a_run_it_comes_to_the_same(
    file: Path, lines: list[bytes], reads: list[bool], chunk_bars: int
) -> None:
    series = read(file)  # it would be shown whole where an example fails
    script = Script(lines, [*reads, True])
    result = script.play(series, REQUEST | {"startPaused": True}, chunk_bars)
    whole = run_locally(series, REQUEST, 10_000)
    assert result is not None
    assert result.outcome.result_hash == whole.outcome.result_hash
    last = script.told[-1]
    assert last["result"]["resultHash"] == whole.outcome.result_hash
    assert last["status"] == "completed"
    times, equity = whole.outcome.time_ms.tolist(), whole.outcome.equity.tolist()
    drawing = drawn(script.told)
    assert drawing.thinned or drawing.curve == dict(zip(times, equity, strict=True))
    assert drawing.curve.items() <= dict(zip(times, equity, strict=True)).items()
    assert sum("refused" in line for line in script.told) == lines.count(b"fly")
    trades = result.outcome.trades
    assert [one["exitBar"] for one in last["recentTrades"]] == trades.exit_bar[-20:].tolist()


def test_each_command_is_answered_where_it_came_to(series: ParsedSeries) -> None:
    lines = [
        b"step 10",
        b'{"action": "seek", "bar": 300, "commandId": "there"}',
        b"seek 2024-01-03",
        b'{"action": "seek", "bar": 300, "commandId": "there"}',
        b'{"action": "step", "bras": 2, "commandId": "wrong"}',
        b"stop",
        b"pause",
    ]
    script = Script(lines, [True])
    script.lines = lines
    calls = iter(range(1_000))
    script.take = lambda most: [lines.pop(0)] if lines and next(calls) % 5 == 4 else []  # type: ignore[method-assign]
    result = script.play(series, REQUEST | {"startPaused": True}, 10_000)
    answered = [
        (one.get("command"), one.get("commandId"), one["currentCandleIndex"], one["status"]) for one in script.told
    ]
    assert answered == [
        (None, None, 0, "paused"),
        ("step", None, 10, "paused"),
        ("seek", "there", 300, "paused"),
        ("seek", None, 48, "paused"),
        ("seek", "there", 48, "paused"),  # it counted once
        (None, None, 48, "paused"),
        ("stop", None, 48, "stopped"),
    ]
    assert (script.told[5]["refused"]["commandId"], script.told[5]["refused"]["code"]) == ("wrong", "invalid_request")
    assert result is not None
    assert script.told[-1]["result"]["totalBars"] == 48


def test_states_come_as_often_as_they_are_asked_for_and_time_allows(series: ParsedSeries) -> None:
    script = Script([], [True])
    script.lines = []
    script.play(series, REQUEST | {"emitInterval": 50, "speed": 5_000}, 1_000)
    bars = [one["currentCandleIndex"] for one in script.told]
    assert len(bars) > 3
    assert bars[0] == 0
    assert bars[-1] == BARS
    assert all(after - before >= 50 for before, after in pairwise(bars[:-1]))


def test_while_nobody_reads_nothing_but_the_end_is_said(series: ParsedSeries) -> None:
    script = Script([b"fly"] * 200, [False])
    result = script.play(series, REQUEST, 1)
    assert result is not None
    assert script.lines, "what cannot be answered is not read"
    assert len(script.told) <= 101
    assert script.told[-1]["status"] == "completed"


def test_a_run_that_nobody_listens_to_ends(series: ParsedSeries) -> None:
    script = Script([], [True])
    script.broken = True
    assert script.play(series, REQUEST, 1_000) is None
    assert script.told == []
