"""Processes of ours that begin where their imports end: forks of one that has loaded what `python -m` of ours loads.

What they are told, do and leave behind is what a new interpreter would. Only the second that it takes to load is spent
once in a test process, not at each start. How a new interpreter starts is tested in tests/e2e.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, NoReturn

ROOT = Path(__file__).parents[1]
# What is loaded before the first fork for each of these. Not numba, which has to be told before where kernels are kept;
# and nothing that is itself run, which is run anew in each.
LOADED = {
    "worker": ("uvloop", "shared.bus", "shared.database", "worker.supervisor"),
    "api": ("uvicorn", "api.app"),
    "deploy.cli": (
        *("api.accounts", "api.auth", "api.cli", "api.market_data.importing", "deploy.asking", "deploy.demo_bars"),
        *("deploy.synthetic_bars", "rich.console", "rich.progress", "rich.table", "worker.cli", "worker.stream_cli"),
    ),
    "-c": ("tests.integration.test_candles",),
}
_PART_BYTES = 1 << 16
_STANDARD = 3  # stdin, stdout, stderr


class Forked:
    """One such process, as `subprocess.Popen` would show it."""

    def __init__(self, pid: int, exit_status: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._exit_status = exit_status  # readable once it has ended

    def poll(self) -> int | None:
        return self._look(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Raises `subprocess.TimeoutExpired`."""
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"fork {self.pid}", timeout or 0.0)
        return code

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._exit_status], [], [], timeout)[0]:
            said = os.read(self._exit_status, 64)
            assert said, "the process that others are forked from has died"
            os.close(self._exit_status)
            self.returncode = os.waitstatus_to_exitcode(int(said))
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class _Origin:
    """The process that is forked, started when it is first needed. It ends with this one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asking: socket.socket | None = None

    def fork(self, request: dict[str, Any], files: Sequence[int]) -> Forked:
        with self._lock:
            asking = self._asking = self._asking or self._start()
            ours, theirs = os.pipe()
            try:
                data = json.dumps(request).encode() + b"\n"
                sent = socket.send_fds(asking, [data], [*files, theirs])
                asking.sendall(data[sent:])
                pid = int(_line(asking))
            finally:
                os.close(theirs)
        return Forked(pid, ours)

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            # One thread: what a process has of others is lost in its forks.
            process = subprocess.Popen(
                [sys.executable, "-c", "from tests.forks import serve; serve()", str(theirs.fileno())],
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

        def end() -> None:
            ours.close()
            process.wait(10)

        atexit.register(end)
        return ours


def _line(file: socket.socket, begun: bytes = b"") -> bytes:
    """What comes up to the end of a line; nothing where nothing comes."""
    while not begun.endswith(b"\n") and (more := file.recv(_PART_BYTES)):
        begun += more
    return begun


_origin = _Origin()


def start(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    stdin: int = subprocess.DEVNULL,
    stdout: int | IO[Any],
    stderr: int | IO[Any],
    session: bool = False,
) -> Forked:
    """`python <command>` in the root of the repository, where the command is `-m MODULE …` or `-c PROGRAM …`."""
    with contextlib.ExitStack() as opened:
        files = [
            opened.enter_context(open(os.devnull)).fileno() if one == subprocess.DEVNULL else _number(one)
            for one in (stdin, stdout, stderr)
        ]
        return _origin.fork({"command": [*command], "env": dict(env), "session": session}, files)


class Talking(Forked):
    """One that is spoken with through pipes, as text."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        heard, self.stdin = _pipe()
        self.stdout, said = _pipe()
        self.stderr, warned = _pipe()
        with heard, said, warned:
            forked = start(command, env=env, stdin=heard.fileno(), stdout=said, stderr=warned)
        super().__init__(forked.pid, forked._exit_status)

    def communicate(self, typed: str = "", timeout: float = 60.0) -> tuple[str, str]:
        """All that is still said until it ends. Raises `subprocess.TimeoutExpired`."""
        with ThreadPoolExecutor(2) as readers:
            said = [readers.submit(one.read) for one in (self.stdout, self.stderr)]
            try:
                with contextlib.suppress(BrokenPipeError), self.stdin:
                    self.stdin.write(typed)
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
            out, error = (one.result() for one in said)
        self.close()
        return out, error

    def close(self) -> None:
        """Ends it, if it has not ended."""
        self.kill()
        self.wait(10)
        for file in (self.stdin, self.stdout, self.stderr):
            with contextlib.suppress(BrokenPipeError):
                file.close()


def _pipe() -> tuple[IO[str], IO[str]]:
    reads, writes = os.pipe()
    return os.fdopen(reads), os.fdopen(writes, "w", buffering=1)


def _number(file: int | IO[Any]) -> int:
    return file if isinstance(file, int) else file.fileno()


def run(
    command: Sequence[str], *, env: Mapping[str, str], typed: str = "", timeout: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """`subprocess.run` of such a process, with what it says and what is typed as text."""
    with contextlib.ExitStack() as opened:
        stdin, stdout, stderr = (opened.enter_context(TemporaryFile("w+", encoding="utf-8")) for _ in range(3))
        stdin.write(typed)
        stdin.seek(0)  # flushes, too
        process = start(command, env=env, stdin=stdin.fileno(), stdout=stdout, stderr=stderr)
        try:
            process.wait(timeout)
        finally:
            process.kill()
        said = [_all_of(file) for file in (stdout, stderr)]
        return subprocess.CompletedProcess([*command], process.wait(10), *said)


def _all_of(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def serve() -> None:
    """The origin: forks when it is asked to, and tells of each fork how it ended."""
    asked = socket.socket(fileno=int(sys.argv[1]))
    woken, waking = socket.socketpair()
    for end in (woken, waking):
        end.setblocking(False)
    signal.set_wakeup_fd(waking.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    told: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([asked, woken], [], [])
        if woken in ready:
            woken.recv(4_096)
            _reap(told)
        if asked not in ready:
            continue
        data, files, _, _ = socket.recv_fds(asked, _PART_BYTES, _STANDARD + 1)
        if not data:
            return
        request = json.loads(_line(asked, data))
        _load(request["command"])
        pid = os.fork()
        if pid == 0:
            if request["session"]:
                os.setsid()
            asked.sendall(f"{os.getpid()}\n".encode())  # from here on it can be killed
            for end in (asked, woken, waking):
                end.close()
            for file in told.values():
                os.close(file)
            _end(_become(request, files))
        told[pid] = files.pop()
        for file in files:
            os.close(file)


def _load(command: Sequence[str]) -> None:
    kind, what, *_ = command
    for name in LOADED[what if kind == "-m" else kind]:
        __import__(name)
    for name in [name for name in sys.modules if name == "deploy.cli" or name.endswith(".__main__")]:
        del sys.modules[name]  # It is run anew.
    gc.freeze()  # What is looked at in a fork is copied into it.


def _reap(told: dict[int, int]) -> None:
    while told:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        file = told.pop(pid)
        with contextlib.suppress(BrokenPipeError):  # Nobody waits for it any more.
            os.write(file, str(status).encode())
        os.close(file)


def _become(request: dict[str, Any], files: list[int]) -> int:
    """Runs the command where it is asked for, as its interpreter would: its exit status."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, file in enumerate(files[:_STANDARD]):
        os.dup2(file, number)
    for file in files:
        os.close(file)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - up to its end
    sys.stdout = open(1, "w", buffering=1 if os.isatty(1) else -1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(request["env"])
    paths = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]
    sys.path[:0] = [one for one in paths if one not in sys.path]
    kind, what, *arguments = request["command"]
    sys.argv = [what if kind == "-m" else kind, *arguments]
    try:
        if kind == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:  # noqa: BLE001 - an interpreter shows all that nobody caught
        traceback.print_exc()
        return 128 + signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _end(status: int) -> NoReturn:
    """What an interpreter does at its end, but for taking apart, one by one, what it shares with the origin."""
    for module, name in ((threading, "_shutdown"), (atexit, "_run_exitfuncs")):
        getattr(module, name)()
    for file in (sys.stdout, sys.stderr):
        file.flush()
    os._exit(status)
