"""The embedded stack as a person meets it: it comes up, keeps its data, says what is wrong, leaves nothing behind."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis

from deploy.processes import HOST, Interrupted, Interruption, ProcessFailed, port_is_free
from deploy.servers import MongoServer, ValkeyServer
from deploy.stack import Stack
from shared.errors import ConfigurationError
from shared.request import EXAMPLE_REQUEST
from shared.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
FIRST_LINES = ["valkey answers", "mongo answers", "api-1 answers"]
needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where a test's stack lives."""
    return tmp_path / "stack"


@pytest.fixture
def settings(directory: Path, tmp_path: Path) -> Settings:
    return load_settings(stack_dir=directory, cache_dir=tmp_path / "cache", port=0, worker_slots=1)


def _processes_of(directory: Path) -> list[str]:
    """Every process that was started for this directory: all inherit its name in their environment or arguments."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes() + b"\0" + (process / "environ").read_bytes()
        except OSError:
            continue  # ended meanwhile, or somebody else's
        if process.name != str(os.getpid()) and str(directory).encode() in words:
            found.append(words[:200].replace(b"\0", b" ").decode(errors="replace"))
    return found


def _assert_nothing_is_left(directory: Path, deadline_s: float = 10.0) -> None:
    deadline = time.monotonic() + deadline_s
    while left := _processes_of(directory):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


class Command:
    """`python -m deploy …` in a process of its own, its lines read as they come."""

    def __init__(self, name: str, directory: Path, **variables: str) -> None:
        env = os.environ | {"BACKFLEET_STACK_DIR": str(directory), "BACKFLEET_CACHE_DIR": str(directory / "cache")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "deploy", name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=env | {"TMPDIR": str(directory.parent), "BACKFLEET_WORKER_SLOTS": "1"} | variables,
        )
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def read_until(self, text: str, deadline_s: float = 60.0) -> str:
        """The first line to come that contains `text`."""
        deadline = time.monotonic() + deadline_s
        while True:
            try:
                line = self._queue.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {text!r} within {deadline_s:g} s:\n{self.output}") from None
            if line is None:
                raise AssertionError(f"ended before {text!r}:\n{self.output}")
            self.lines.append(line)
            if text in line:
                return line

    def wait(self, deadline_s: float = 30.0) -> int:
        code = self.process.wait(deadline_s)
        self._reader.join(deadline_s)
        while (line := self._queue.get(timeout=1)) is not None:
            self.lines.append(line)
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def _command(name: str, directory: Path, **variables: str) -> Iterator[Command]:
    directory.parent.mkdir(exist_ok=True)
    command = Command(name, directory, **variables)
    try:
        yield command
    finally:
        command.close()


def _ask(url: str, token: str, body: object = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, data=data, headers=headers), timeout=10) as answer:
        return answer.status, json.load(answer)


def _poll(probe: Callable[[], Any], what: str, deadline_s: float = 60.0) -> Any:
    deadline = time.monotonic() + deadline_s
    while not (found := probe()):
        assert time.monotonic() < deadline, f"waited {deadline_s:g} s for {what}"
        time.sleep(0.05)
    return found


def test_data_and_secret_survive_a_restart_of_the_stack(settings: Settings, directory: Path) -> None:
    with Stack(settings, api_replicas=0, workers=0) as stack:
        secret = stack.settings.jwt_secret
        with pymongo.MongoClient[dict[str, Any]](stack.mongodb_uri, directConnection=True) as client:
            client.backfleet.things.insert_one({"_id": "kept"})
        with redis.Redis.from_url(stack.redis_url) as client:
            client.set("kept", "yes")
    with Stack(settings, api_replicas=0, workers=0) as stack:
        assert stack.settings.jwt_secret == secret
        with pymongo.MongoClient[dict[str, Any]](stack.mongodb_uri, directConnection=True) as client:
            assert client.backfleet.things.find_one({}) == {"_id": "kept"}
        with redis.Redis.from_url(stack.redis_url) as client:
            assert client.get("kept") == b"yes"
    assert stat.S_IMODE((directory / "jwt-secret").stat().st_mode) == 0o600


def test_a_second_stack_on_one_directory_is_refused_and_harms_nothing(settings: Settings, directory: Path) -> None:
    with Stack(settings, api_replicas=0, workers=0) as stack:
        with pytest.raises(ConfigurationError, match=rf"another stack \(pid {os.getpid()}\) uses {directory}"):
            Stack(settings, api_replicas=0, workers=0).start()
        stack.check_alive()
    with Stack(settings, api_replicas=0, workers=0) as stack:
        stack.check_alive()


def test_servers_that_the_settings_name_are_used_instead_of_ours(settings: Settings, tmp_path: Path) -> None:
    with ValkeyServer(tmp_path / "v") as valkey, MongoServer(tmp_path / "m") as mongo:
        named = load_settings(stack_dir=settings.stack_dir, mongodb_uri=mongo.uri, redis_url=valkey.url)
        with Stack(named, api_replicas=0, workers=0) as stack:
            assert stack.processes == {}
            assert (stack.mongodb_uri, stack.redis_url) == (mongo.uri, valkey.url)
        assert mongo.child.running
        assert valkey.child.running


def test_a_dead_child_is_reported_with_its_log_and_the_others_are_stopped(settings: Settings) -> None:
    with Stack(settings, api_replicas=0, workers=0) as stack:
        stack.check_alive()
        stack.processes["mongo"].kill()
        with pytest.raises(ProcessFailed, match=r"(?s)mongo \(pid \d+\) was killed by SIGKILL.*Listening on"):
            stack.check_alive()
    assert not stack.processes["valkey"].running


def test_a_worker_that_can_never_start_is_tried_after_pauses_that_grow(directory: Path) -> None:
    nowhere = load_settings(
        stack_dir=directory, mongodb_uri="mongodb://127.0.0.1:1", redis_url="redis://127.0.0.1:1", store_timeout_s=0.2
    )
    said: list[str] = []
    with Stack(nowhere, api_replicas=0, workers=1, say=said.append) as stack:
        _poll(lambda: stack.tend() or len(said) == 2, "the second end of the worker")
    why = r"exited with code 1 \(backfleet worker: MongoDB did not answer.*; see .*/worker-1\.log\)"
    for line, pause in zip(said, ("1 s", "2 s"), strict=True):
        assert re.fullmatch(rf"worker-1 \(pid \d+\) {why}; it is started again in {pause}", line), line


def test_an_interrupted_start_stops_what_it_had_started(settings: Settings) -> None:
    with Interruption() as interruption:
        stack = Stack(settings, check=interruption.check, say=lambda _line: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Interrupted) as caught:
            stack.start()
    assert caught.value.exit_code == 128 + signal.SIGTERM
    assert list(stack.processes) == ["valkey", "mongo"] or list(stack.processes) == ["valkey"]
    assert not any(child.running for child in stack.processes.values())


def test_signal_handlers_are_put_back_and_a_second_signal_means_hurry() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Interruption() as interruption:
        interruption.check()
        os.kill(os.getpid(), signal.SIGTERM)
        assert not interruption.hurry()
        os.kill(os.getpid(), signal.SIGINT)
        assert interruption.hurry()
        with pytest.raises(Interrupted, match="SIGTERM"):
            interruption.check()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_taken_port_that_was_named_ends_the_start_with_a_remedy(settings: Settings, tmp_path: Path) -> None:
    with ValkeyServer(tmp_path / "v") as holder:
        named = settings.model_copy(update={"port": holder.port})
        stack = Stack(named, workers=0)
        with pytest.raises(ConfigurationError, match=rf"port {holder.port} on {HOST} is taken.*BACKFLEET_PORT"):
            stack.start()
        assert not any(child.running for child in stack.processes.values())


def test_a_port_of_the_last_time_that_is_taken_is_replaced_and_said(settings: Settings, tmp_path: Path) -> None:
    with Stack(settings, api_replicas=0, workers=0) as stack:
        first = stack.own_urls
    with Stack(settings, api_replicas=0, workers=0) as stack:
        assert stack.own_urls == first
    said: list[str] = []
    port = int(first["redis_url"].partition("//")[2].split(":")[1].partition("/")[0])
    with ValkeyServer(tmp_path / "v", port=port), Stack(settings, api_replicas=0, workers=0, say=said.append) as stack:
        assert stack.own_urls["mongodb_uri"] == first["mongodb_uri"]
        assert stack.own_urls["redis_url"] != first["redis_url"]
    assert f"port {port}, which valkey had the last time, is taken; a free one is used" in said


@pytest.mark.slow
@needs_proc
def test_up_serves_its_own_example_again_after_it_was_interrupted_while_it_started_the_dead_again(
    directory: Path,
) -> None:
    with _command("up", directory, BACKFLEET_PORT="0") as up:
        url = up.read_until("backfleet is up").split()[3]
        page, _, of_link = up.read_until("/#/sign-in?token=").strip().partition("#/sign-in?token=")
        assert (page, _ask(f"{url}/api/users/me", of_link)[1]["roles"]) == (f"{url}/", ["user", "admin"])
        token = up.read_until("TOKEN=").strip().removeprefix("TOKEN=")
        up.read_until("Ctrl-C stops everything")
        login = re.search(r"-d '(\{\"name\": \"dev\".*\})'", up.output)
        assert login is not None
        _, tokens = _ask(f"{url}/api/auth/login", token, json.loads(login.group(1)))
        assert _ask(f"{url}/api/users", tokens["accessToken"])[1]["items"][0]["roles"] == ["user", "admin"]
        printed = re.search(r"-d '(\{.*\})'", up.output)
        assert printed is not None
        request = json.loads(printed.group(1))
        assert request == EXAMPLE_REQUEST
        status, accepted = _ask(f"{url}/api/algo/backtest", token, request)
        assert status == 202
        path = f"/api/algo/backtest/{accepted['backtestId']}"
        _poll(lambda: _ask(url + path, token)[1]["status"] == "completed", "the example to complete")
        before = _ask(f"{url}{path}/result", token)[1]
        ports = json.loads((directory / "stack.json").read_text())["ports"]
        for module in ("worker", "api"):
            os.kill(_running(directory, module)[0], signal.SIGKILL)
        up.read_until("started again")
        up.process.send_signal(signal.SIGINT)
        assert up.wait() == 0, up.output
    _assert_nothing_is_left(directory)
    with _command("up", directory, BACKFLEET_PORT="0") as up:
        assert up.read_until("backfleet is up").split()[3] == url
        assert json.loads((directory / "stack.json").read_text())["ports"] == ports
        assert set(ports) == {"valkey", "mongo", "api-1"}
        assert _ask(f"{url}{path}/result", token)[1] == before
        _assert_what_it_prints_works_in_another_terminal(up, url, directory)
        assert '"dev"' not in up.output, "the password is shown once"
        assert _ask(f"{url}/api/auth/login", token, json.loads(login.group(1)))[0] == 200
        up.process.send_signal(signal.SIGTERM)
        assert up.wait() == 0, up.output
    out, error = _said(f"{_backfleet(directory)} token --user ann", code=2)
    assert out == ""
    assert error.startswith(f"backfleet: the stack of {directory} (pid {up.process.pid}) has ended; start it again")
    _assert_nothing_is_left(directory)


def _assert_what_it_prints_works_in_another_terminal(up: Command, url: str, directory: Path) -> None:
    up.read_until("data list")
    list_line = up.lines[-1].strip()
    worker_line = up.read_until("-m worker").strip()
    up.read_until("Ctrl-C stops everything")
    assert worker_line.startswith("BACKFLEET_MONGODB_URI=mongodb://127.0.0.1:")
    assert worker_line.endswith("/python -m worker")
    with _another_terminal(worker_line) as worker:
        for line in worker.stdout or ():
            if "is ready with" in line:
                break
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
    assert list_line.startswith(f"BACKFLEET_STACK_DIR={directory} ")
    assert _said(f"{_backfleet(directory)} data list")[0].splitlines()[1].startswith("AAPL")
    token = _said(f"{_backfleet(directory)} token --user ann")[0].strip()
    assert _ask(f"{url}/api/users/me", token)[1]["name"] == "ann"


def _backfleet(directory: Path) -> str:
    return f"BACKFLEET_STACK_DIR={directory} {sys.executable} -m deploy.cli"


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("line", FIRST_LINES)
def test_up_interrupted_while_it_starts_leaves_nothing(line: str, directory: Path) -> None:
    with _command("up", directory, BACKFLEET_PORT="0") as up:
        up.read_until(line)
        up.process.send_signal(signal.SIGINT)
        assert up.wait() == 130, up.output
        assert "Traceback" not in up.output
        assert "interrupted by SIGINT" in up.output
    _assert_nothing_is_left(directory)


@pytest.mark.slow
@needs_proc
def test_up_starts_what_died_again_and_ends_only_without_a_server(directory: Path) -> None:
    with _command("up", directory, BACKFLEET_PORT="0") as up:
        url = up.read_until("backfleet is up").split()[3]
        up.read_until("Ctrl-C stops everything")
        [gateway], workers = _running(directory, "api"), _running(directory, "worker")
        os.kill(workers[0], signal.SIGKILL)
        again = r"(worker-\d) \(pid (\d+)\) was killed by SIGKILL; it is started again in 1 s"
        told = re.fullmatch(again, up.read_until("started again"))
        assert told is not None
        assert int(told[2]) == workers[0]
        os.kill(gateway, signal.SIGTERM)
        assert re.fullmatch(
            rf"api-1 \(pid {gateway}\) exited with code 0; it is started again in 1 s", up.read_until("started again")
        )
        _poll(lambda: len(set(_running(directory, "worker")) - {workers[0]}) == 2, "another worker")
        _poll(lambda: _answers(f"{url}/readyz"), "the gateway to answer where it did before")
        log = (directory / "logs" / f"{told[1]}.log").read_text
        _poll(lambda: "is ready with" in log(), "the new worker to be ready")
        [mongo] = _running(directory, "nx_27017")
        os.kill(mongo, signal.SIGKILL)
        assert up.wait() == 1, up.output
        assert f"mongo is lost, and without it everything ends: mongo (pid {mongo}) was killed by" in up.output
    _assert_nothing_is_left(directory)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def _running(directory: Path, module: str) -> list[int]:
    """The processes of the stack there that run a Python module."""
    return sorted(int(one.name) for one in Path("/proc").glob("[0-9]*") if _runs(one, directory, module.encode()))


def _runs(process: Path, directory: Path, module: bytes) -> bool:
    try:
        arguments = (process / "cmdline").read_bytes().split(b"\0")[1:]
        ours = str(directory).encode() in (process / "environ").read_bytes() + b"\0".join(arguments)
    except OSError:
        return False  # ended meanwhile, or somebody else's
    return ours and (
        arguments[:2] == [b"-m", module] or arguments[1:2] == [b"from %s.%s import main; main()" % (module, module)]
    )


@contextmanager
def _another_terminal(line: str) -> Iterator[subprocess.Popen[str]]:
    """A shell of its own in this folder, to which nothing was said before but where compiled kernels are."""
    env = {name: os.environ[name] for name in ("PATH", "HOME", "NUMBA_CACHE_DIR")}
    with subprocess.Popen(
        ["sh", "-c", f"exec env {line}"], cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as shell:
        try:
            yield shell
        finally:
            shell.kill()


def _said(line: str, code: int = 0) -> tuple[str, str]:
    env = {name: os.environ[name] for name in ("PATH", "HOME")}
    done = subprocess.run(["sh", "-c", line], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


@pytest.mark.slow
@needs_proc
def test_up_takes_another_port_when_its_usual_one_is_taken_and_leaves_nothing_when_it_is_killed(
    directory: Path,
) -> None:
    usual = port_is_free(8000)  # Else somebody else has it.
    with _command("up", directory) as first:
        url = first.read_until("backfleet is up").split()[3]
        assert (url == "http://127.0.0.1:8000") == usual
        assert ("port 8000 is taken; a free one is used" in first.output) != usual
        first.read_until("Ctrl-C stops everything")
        other = directory.with_name("other")
        with _command("up", other) as second:
            second.read_until("port 8000 is taken; a free one is used")
            assert "port 8000" not in second.read_until("api-1 answers on port")
            second.process.send_signal(signal.SIGINT)
            assert second.wait() == 130
        assert len(_processes_of(directory)) >= 6
        first.process.kill()
        assert first.wait() == -signal.SIGKILL
    # An engine process that was still compiling notices only when it is done that its worker is gone.
    _assert_nothing_is_left(directory, deadline_s=30.0)
    _assert_nothing_is_left(other)


@pytest.mark.slow
@needs_proc
def test_the_demo_shows_progress_metrics_and_equity_and_removes_everything(directory: Path) -> None:
    with _command("demo", directory) as demo:
        assert demo.wait(100) == 0, demo.output
        percents = [float(found) for found in re.findall(r"progress +([0-9.]+) %", demo.output)]
        assert percents == sorted(percents)
        assert len(percents) >= 3
        assert percents[-1] == 100
        for expected in ("AAPL 1d", "total return", "Sharpe ratio", "equity", "everything is stopped"):
            assert expected in demo.output
    _assert_nothing_is_left(directory)
    assert list(directory.parent.glob("backfleet-demo-*")) == []


@pytest.mark.slow
@needs_proc
def test_the_demo_interrupted_midway_removes_everything(directory: Path) -> None:
    with _command("demo", directory) as demo:
        demo.read_until("market data")
        demo.process.send_signal(signal.SIGINT)
        assert demo.wait() == 130, demo.output
    _assert_nothing_is_left(directory)
    assert list(directory.parent.glob("backfleet-demo-*")) == []
