"""Child processes of ours: started on a port nobody else has, watched until they answer, stopped for certain.

Nothing of ours outlives us: every child has a session of its own, and on Linux the kernel kills it when the thread that
started it dies (so start children from a thread that lives as long as they should).
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Self

from shared.errors import BackfleetError, ConfigurationError

HOST = "127.0.0.1"
START_DEADLINE_S = 30.0
STOP_DEADLINE_S = 5.0
PORT_ATTEMPTS = 8
# Below every usual ephemeral range: no outgoing connection takes such a port between our choice and the child's bind,
# and no client that keeps reconnecting to a dead server on it connects to itself.
_FREE_PORTS = range(20_000, 32_000)
_POLL_S = 0.02
_TAIL_LINES = 15
_HEAD_BYTES = 65_536

# Runs before the program proper and becomes it, because a `preexec_fn` is unsafe where the parent has threads. It asks
# the kernel for SIGKILL when the parent dies and gives back the signals that Python ignores. SIGKILL loses nothing that
# was acknowledged: SQLite's and Valkey's logs are in the operating system's hands by then.
_GUARD = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0)
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent died first")
os.execv(sys.argv[2], sys.argv[2:])
"""


class ProcessFailed(BackfleetError):
    """A process of ours died or never answered. The message ends with the tail of its log."""

    code = "process_failed"


class PortTaken(ProcessFailed):
    """The child could not listen: somebody else has its port."""

    code = "port_taken"


def announce(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def proceed() -> None:
    """The check that never interrupts. A caller's own check raises to abandon a wait."""


class Interrupted(Exception):
    """Somebody asked us to stop while we waited."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(signum).name}")
        self.exit_code = 128 + signum


class Interruption:
    """SIGINT, SIGTERM and SIGHUP are remembered, not raised: no exception can fall between a start and its record.

    Whoever waits calls `check`. A second signal means `hurry`: kill, do not ask.
    """

    _SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self._first: int | None = None
        self._count = 0
        self._before: dict[signal.Signals, Any] = {}

    def _note(self, signum: int, _frame: FrameType | None) -> None:
        self._first = self._first or signum
        self._count += 1

    def __enter__(self) -> Self:
        self._before = {one: signal.signal(one, self._note) for one in self._SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)

    def check(self) -> None:
        """Raises `Interrupted` once a signal came."""
        if self._first is not None:
            raise Interrupted(self._first)

    def hurry(self) -> bool:
        return self._count > 1


def exit_code_of(run: Callable[[Interruption], int]) -> int:
    """Runs a command of ours with signals remembered and errors in one line. 1 for an error, 128 + n for signal n."""
    with Interruption() as interruption:
        try:
            return run(interruption)
        except Interrupted as interrupted:
            announce(str(interrupted))
            return interrupted.exit_code
        except BackfleetError as error:
            announce(f"backfleet: {error.message}")
            return 1


def port_is_free(port: int, host: str = HOST) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A port nobody listens on now. Somebody may still be faster than its user, so that one must be ready to retry."""
    for _ in range(200):
        port = random.choice(_FREE_PORTS)
        if port_is_free(port):
            return port
    raise ConfigurationError(f"no free TCP port between {_FREE_PORTS.start} and {_FREE_PORTS.stop} on {HOST}")


class Child:
    """One running process in a session of its own: stdin closed, stdout and stderr in `log`."""

    def __init__(self, name: str, command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.log = log
        self._swept = False
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists():
            log.replace(log.with_name(log.name + ".1"))
        program = shutil.which(command[0])
        if program is None:
            raise ConfigurationError(f"cannot start {name}: {command[0]} is not an executable file")
        guarded = [program, *command[1:]]
        if sys.platform == "linux":
            guarded = [sys.executable, "-I", "-S", "-c", _GUARD, str(os.getpid()), *guarded]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                guarded, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env, start_new_session=True
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self.exit_code is None

    @property
    def exit_code(self) -> int | None:
        code = self._process.poll()
        if code is not None:
            # In the same breath as its end is collected: later its number, and its session's, may be somebody else's.
            self.kill_session()
        return code

    def send(self, signum: int) -> None:
        """Signals the process, not its own children. Nothing happens if it is gone."""
        if self.running:
            self._process.send_signal(signum)

    def kill(self) -> None:
        """SIGKILL to the process and to everything it started in its session; returns when it is gone."""
        self.kill_session()
        deadline = time.monotonic() + STOP_DEADLINE_S
        while self.running:
            if time.monotonic() >= deadline:
                raise ProcessFailed(f"{self.name} (pid {self.pid}) survives SIGKILL: the system does not let go of it")
            time.sleep(_POLL_S / 10)

    def kill_session(self) -> None:
        """SIGKILL without waiting. Nothing happens once the process was seen to have ended."""
        if self._swept:
            return
        self._swept = self._process.returncode is not None
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return  # all gone (macOS says EPERM for a group of zombies)

    def stop(self, timeout_s: float = STOP_DEADLINE_S) -> None:
        stop_all([self], timeout_s)

    def log_head(self) -> str:
        with self.log.open("rb") as log:
            return log.read(_HEAD_BYTES).decode(errors="replace")

    def log_tail(self) -> str:
        """The last lines, indented; nothing where somebody has removed the log."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - _HEAD_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(f"  | {line[:400]}" for line in lines[-_TAIL_LINES:])

    def obituary(self) -> str:
        """How the process ended, for people, with the tail of its log."""
        return f"{self.name} (pid {self.pid}) {self._how()}; the end of {self.log}:\n{self.log_tail() or '  | (empty)'}"

    def end(self) -> str:
        """How the process ended, in one line: where it gave up by itself, with the last it said."""
        code, said = self.exit_code, self.log_tail().rpartition("\n")[2].strip(" |")
        return self._how() + (f" ({said}; see {self.log})" if said and code is not None and code > 0 else "")

    def _how(self) -> str:
        code = self.exit_code
        if code is None:
            return "is running but does not answer"
        if code >= 0:
            return f"exited with code {code}"
        return f"was killed by {next((one.name for one in signal.Signals if one == -code), f'signal {-code}')}"


def stop_all(children: Sequence[Child], timeout_s: float, hurry: Callable[[], bool] = lambda: False) -> None:
    """SIGTERM to all at once, SIGKILL after `timeout_s` or when `hurry()`. Whatever they started is gone too."""
    try:
        for child in children:
            child.send(signal.SIGTERM)
        deadline = time.monotonic() + timeout_s
        while any(child.running for child in children) and time.monotonic() < deadline and not hurry():
            time.sleep(_POLL_S)
    finally:
        for child in children:
            child.kill_session()
    for child in children:
        child.kill()


def wait_until(
    answers: Callable[[], bool], child: Child, *, deadline_s: float, check: Callable[[], None] = proceed
) -> None:
    """Waits for `answers()`. Raises `PortTaken` or `ProcessFailed` if the child dies or stays silent."""
    deadline = time.monotonic() + deadline_s
    while True:
        check()
        if not child.running:
            kind = PortTaken if _IN_USE.search(child.log_tail()) else ProcessFailed
            raise kind(child.obituary())
        if answers():
            return
        if time.monotonic() >= deadline:
            raise ProcessFailed(f"no answer within {deadline_s:g} s: {child.obituary()}")
        time.sleep(_POLL_S)


_IN_USE = re.compile(
    r"address (is )?already in use|:\d+ is taken|\[errno (48|98)\]|only one usage of each socket", re.IGNORECASE
)


def start_on_port(
    start: Callable[[int], Child],
    answers: Callable[[int, Child], bool],
    *,
    port: int | None,
    remedy: str,
    deadline_s: float = START_DEADLINE_S,
    check: Callable[[], None] = proceed,
) -> tuple[Child, int]:
    """Starts a child that listens on `port`, or on a free one, and waits until it answers.

    A free port that somebody took meanwhile is replaced by another, a bounded number of times. Raises
    `ConfigurationError` with `remedy` when the named port is taken, `ProcessFailed` when the child fails otherwise.
    """
    taken = f"port {port} on {HOST} is taken by another program; {remedy}"
    if port is not None and not port_is_free(port):
        raise ConfigurationError(taken)
    failure: PortTaken | None = None
    for _ in range(PORT_ATTEMPTS if port is None else 1):
        chosen = port or free_port()
        child = start(chosen)
        try:
            wait_until(partial(answers, chosen, child), child, deadline_s=deadline_s, check=check)
        except PortTaken as lost:
            child.kill()
            failure = lost
        except BaseException:
            child.kill()
            raise
        else:
            return child, chosen
    if port is not None:
        raise ConfigurationError(taken) from failure
    raise ProcessFailed(f"{PORT_ATTEMPTS} free ports were taken one after the other; the last: {failure}") from failure
