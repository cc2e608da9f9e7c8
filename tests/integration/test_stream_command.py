"""`backfleet stream`, driven as a parent program would: over its pipes and by signals."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from shared.settings import Settings, environment_for_child
from tests.fleet import ROOT, random_walk, write_bars

BARS = 2_000
SMA = ("--strategy", "sma", "--param", "fast=5", "--param", "slow=20")
DEADLINE_S = 60
COMMAND = [sys.executable, "-m", "deploy.cli"]


class Child:
    """A stream and its pipes. Every wait has a deadline."""

    def __init__(self, environment: dict[str, str], *arguments: str | Path, reads: bool = True) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "stream", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=ROOT,
        )
        self.stdin, self.stdout, self.stderr = self._pipes()
        self._lines: queue.Queue[bytes] = queue.Queue()
        if reads:
            threading.Thread(target=self._read, daemon=True).start()

    def say(self, line: str) -> None:
        self.stdin.write(f"{line}\n".encode())
        self.stdin.flush()

    def state(self, wanted: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The next that is wanted."""
        while True:
            line = self._lines.get(timeout=DEADLINE_S)
            assert line, "it ended before"
            if wanted(state := json.loads(line)):
                return state

    def answer(self, line: str) -> dict[str, Any]:
        self.say(line)
        return self.state(lambda state: "command" in state or "refused" in state)

    def end(self) -> tuple[int, str]:
        return self.process.wait(timeout=DEADLINE_S), self.stderr.read().decode()

    def _pipes(self) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        return self.process.stdin, self.process.stdout, self.process.stderr

    def _read(self) -> None:
        for line in self.stdout:
            self._lines.put(line)
        self._lines.put(b"")


@pytest.fixture
def begin(make_settings: Callable[..., Settings], tmp_path: Path) -> Iterator[Callable[..., Child]]:
    bars = write_bars(tmp_path / "WALK-1h.csv", random_walk(BARS))
    environment = environment_for_child(make_settings())
    children: list[Child] = []

    def begin(*arguments: str, reads: bool = True) -> Child:
        child = Child(environment, "--data", bars, *arguments, reads=reads)
        children.append(child)
        return child

    yield begin
    for child in children:
        child.process.kill()
        child.process.wait()
        for pipe in (child.stdin, child.stdout, child.stderr):
            pipe.close()


def test_a_parent_steers_a_run_to_the_result_that_it_has_unsteered(
    begin: Callable[..., Child], make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    child = begin("--session-id", "s1", *SMA, "--initial-capital", "5000", "--emit-interval", "1", "--start-paused")
    first = child.state()
    assert (first["sessionId"], first["status"], first["currentCandleIndex"]) == ("s1", "paused", 0)
    assert (first["totalCandles"], first["currentCapital"]) == (BARS, 5_000)
    assert child.answer("step 10")["currentCandleIndex"] == 10
    assert child.answer("seek 2024-02-01")["currentTime"] == "2024-01-31T23:00:00Z"
    back = child.answer('{"action": "seek", "bar": 5, "commandId": "back"}')
    assert (back["currentCandleIndex"], back["commandId"], back["status"]) == (5, "back", "paused")
    assert child.answer("fly")["refused"]["errors"][0]["field"] == "action"
    assert child.answer("x" * 200_000)["refused"]["error"].endswith("send less")
    assert child.answer("speed 300")["speed"] == 300
    assert child.answer("resume")["status"] == "running"
    paused = child.answer("pause")
    assert (paused["status"], paused["currentCandleIndex"] < BARS) == ("paused", True)
    child.answer("speed max")
    child.say("resume")
    last = child.state(lambda state: "result" in state)
    assert (last["status"], last["currentCandleIndex"]) == ("completed", BARS)
    status, logged = child.end()
    assert status == 0, logged
    unsteered = subprocess.run(
        [*COMMAND, "run", "--json", "--data", tmp_path / "WALK-1h.csv", *SMA, "--set", "initialCapital=5000"],
        env=environment_for_child(make_settings()),
        cwd=ROOT,
        capture_output=True,
        timeout=DEADLINE_S,
        check=True,
    )
    expected = json.loads(unsteered.stdout)
    assert last["result"] == expected | {"config": last["result"]["config"]}


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_with_a_last_state(begin: Callable[..., Child], number: int, status: int) -> None:
    child = begin(*SMA, "--speed", "200")
    child.state(lambda state: state["currentCandleIndex"] > 0)
    child.process.send_signal(number)
    last = child.state(lambda state: "result" in state)
    assert last["status"] == "stopped"
    assert 0 < last["currentCandleIndex"] == last["result"]["totalBars"] < BARS
    assert child.end() == (status, "")


def test_the_end_of_stdin_is_a_stop(begin: Callable[..., Child]) -> None:
    child = begin(*SMA, "--start-paused")
    assert child.answer("step 3")["currentCandleIndex"] == 3
    child.stdin.close()
    last = child.state(lambda state: "result" in state)
    assert (last["status"], last["currentCandleIndex"]) == ("stopped", 3)
    assert child.end() == (0, "")


def test_a_parent_that_reads_nothing_keeps_nobody_from_ending_it(begin: Callable[..., Child]) -> None:
    child = begin(*SMA, "--speed", "100", reads=False)
    child.stdout.readline()  # It has begun, and hears signals.
    for _ in range(300):
        child.say("resume")
    child.process.send_signal(signal.SIGTERM)
    status, _ = child.end()
    assert status == 0


def test_a_parent_that_closes_its_end_ends_it_quietly(begin: Callable[..., Child]) -> None:
    child = begin(*SMA, "--speed", "100", "--emit-every-ms", "20", "--emit-interval", "1", reads=False)
    child.stdout.readline()
    child.stdout.close()
    assert child.end() == (0, "")


def test_what_is_refused_is_the_last_line(begin: Callable[..., Child]) -> None:
    child = begin(*SMA, "--session-id", "s1", "--speed", "fast")
    last = child.state()
    assert (last["sessionId"], last["status"]) == ("s1", "failed")
    assert [one["field"] for one in last["error"]["errors"]] == ["speed"]
    status, logged = child.end()
    assert (status, logged.splitlines()[0][:17]) == (2, "backfleet: speed:")


def test_what_strategies_print_does_not_come_between_the_states() -> None:
    program = (
        "from worker.parent import Parent\n"
        "parent = Parent.meet(reads=False)\n"
        "print('noise', flush=True)\n"
        "parent.outlet.write([{'a': float('inf')}])\n"
        "parent.wait_until_read()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, timeout=DEADLINE_S)
    assert (done.stdout, done.stderr) == (b'{"a":null}\n', b"noise\n")
