"""Children that died are started again: one line each, pauses that grow and begin anew, no spinning, no waiting."""

from __future__ import annotations

import signal
import sys
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest

from deploy.processes import Child
from deploy.restarts import LIVED_S, LONGEST_PAUSE_S, Restarts


class FakeChild:
    def __init__(self, pid: int, *, running: bool = True) -> None:
        self.pid = pid
        self.running = running

    def end(self) -> str:
        return "exited with code 1"


class House:
    """A clock and two children, of which the worker dies as soon as it is started while `broken`."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.said: list[str] = []
        self.started: list[tuple[float, str]] = []
        self.broken = False
        self.refusal: OSError | None = None
        self.children = {"worker-1": FakeChild(1), "api-1": FakeChild(2)}
        self.restarts = Restarts(self.said.append, lambda: self.now_s)

    def start(self, name: str) -> Child:
        if self.refusal is not None:
            raise self.refusal
        self.started.append((self.now_s, name))
        return cast("Child", FakeChild(10 * len(self.started), running=not self.broken))

    def tend(self) -> None:
        self.restarts.tend(cast("dict[str, Child]", self.children), self.start)

    def pass_time(self, seconds: float, step_s: float = 0.25) -> None:
        until_s = self.now_s + seconds
        while self.now_s < until_s:
            self.now_s += step_s
            self.tend()


def test_a_dead_child_is_started_again_after_a_second_and_the_others_are_left_alone() -> None:
    house = House()
    house.tend()
    assert house.said == []
    house.children["worker-1"].running = False
    house.tend()
    assert house.said == ["worker-1 (pid 1) exited with code 1; it is started again in 1 s"]
    assert house.started == []
    house.pass_time(5)
    assert house.started == [(101.0, "worker-1")]
    assert len(house.said) == 1
    assert {name: child.pid for name, child in house.children.items()} == {"worker-1": 10, "api-1": 2}


def test_one_that_never_stays_alive_is_tried_ever_more_seldom() -> None:
    house = House()
    house.broken = True
    house.children["worker-1"].running = False
    house.pass_time(200)
    times = [at for at, _ in house.started]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    # A death is seen at the next look, a quarter of a second later.
    assert pauses[:6] == [2.25, 4.25, 8.25, 16.25, LONGEST_PAUSE_S + 0.25, LONGEST_PAUSE_S + 0.25]
    assert max(pauses) == LONGEST_PAUSE_S + 0.25
    assert house.said[3].endswith("started again in 8 s")


@pytest.mark.parametrize(("lived_s", "pause"), [(LIVED_S - 1, "4 s"), (LIVED_S, "1 s")])
def test_pauses_begin_anew_after_a_while_of_living(lived_s: float, pause: str) -> None:
    house = House()
    house.broken = True
    house.children["worker-1"].running = False
    house.pass_time(2)
    house.broken = False
    house.pass_time(3)
    assert [child.running for child in house.children.values()] == [True, True]
    born_s = house.started[-1][0]
    house.now_s = born_s + lived_s
    house.children["worker-1"].running = False
    house.tend()
    assert house.said[-1].endswith(f"started again in {pause}")


def test_a_start_that_the_system_refuses_is_said_and_tried_again() -> None:
    house = House()
    house.refusal = OSError(11, "Resource temporarily unavailable")
    house.children["api-1"].running = False
    house.pass_time(1.5)
    assert house.said[-1] == (
        "api-1 cannot be started: [Errno 11] Resource temporarily unavailable; it is started again in 2 s"
    )
    house.refusal = None
    house.pass_time(3)
    assert [name for _, name in house.started] == ["api-1"]


@pytest.mark.parametrize(
    ("program", "signum", "how"),
    [
        ("import time; print('up', flush=True); time.sleep(99)", signal.SIGKILL, "was killed by SIGKILL"),
        ("import sys; sys.exit('no such\\nsetting: X')", None, "exited with code 1 (setting: X; see LOG)"),
        ("import sys; sys.exit(3)", None, "exited with code 3"),
        ("print('done')", None, "exited with code 0"),
    ],
)
def test_how_a_child_ended_is_one_line(program: str, signum: int | None, how: str, tmp_path: Path) -> None:
    child = Child("worker-1", [sys.executable, "-c", program], log=tmp_path / "worker-1.log")
    try:
        if signum is not None:
            child.send(signum)
        child._process.wait(10)
        assert child.end() == how.replace("LOG", str(child.log))
        child.log.unlink()
        assert child.end() == how.partition(" (")[0]
    finally:
        child.kill()
