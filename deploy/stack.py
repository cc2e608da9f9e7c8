"""The embedded stack: servers, gateways and workers as ordinary processes.

Data, logs, ports and the token secret live in one directory and survive a restart. A server that is named in the
settings (`BACKFLEET_MONGODB_URI`, `BACKFLEET_REDIS_URL`) is used instead of one of ours.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import secrets
import sys
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import SecretStr

from api.auth import mint_token
from deploy.demo_bars import demo_series, import_series
from deploy.processes import (
    HOST,
    Child,
    ProcessFailed,
    port_is_free,
    proceed,
    start_on_port,
    stop_all,
)
from deploy.restarts import Restarts
from deploy.servers import FakeRedisServer, MongoServer, Server, ValkeyServer, redis_server
from shared.errors import ConfigurationError
from shared.settings import Settings, environment_for_child, load_settings
from shared.stack_file import (
    StackFile,
    lock_directory,
    read_stack_file,
    secret_path,
    settings_to_tell,
    write_private,
    write_stack_file,
)

Result = TypeVar("Result")

GATEWAY_DEADLINE_S = 60.0
TOKEN_TTL_S = 30 * 86_400
_DRAIN_TIMEOUT_S = 5.0
_HTTP_TIMEOUT_S = 1.0
_WATCH_S = 0.1
_ROOT = Path(__file__).resolve().parent.parent


def private_settings(directory: Path, **more: Any) -> Settings:
    """The settings of whoever asks, but for a stack of its own: own servers, free ports, own tokens, its data in
    `directory`; and `more`."""
    given = load_settings()
    ours: dict[str, Any] = {
        "mode": "development",
        "port": 0,
        "jwt_secret": None,
        "jwt_jwks_url": None,
        "stack_dir": directory,
        **more,
    }
    named = (given.model_fields_set | ours.keys()) - {"mongodb_uri", "redis_url"}
    return Settings.model_construct(named, **{name: getattr(given, name) for name in Settings.model_fields} | ours)


def _hush(_line: str) -> None:
    pass


class Stack:
    """Valkey, MongoDB's wire protocol, `api_replicas` gateways and `workers` workers; a context manager.

    After `start`: `api_urls`, `mongodb_uri`, `redis_url`, `settings` (what the children were given, so a `Store` or
    `Bus` opens on the same servers) and `processes` by name (`api-1`, `worker-1`, …, `valkey`, `mongo`). Raises
    `ConfigurationError` for a directory or port in use, `ProcessFailed` for a child that dies. A failed or interrupted
    start leaves nothing running. `check` is called in every wait and may raise; `hurry` turns stopping into killing.

    What listens takes the port it had here the last time, where that is free; the first gateway else `usual_port`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        api_replicas: int = 1,
        workers: int = 2,
        directory: Path | None = None,
        usual_port: int | None = None,
        check: Callable[[], None] = proceed,
        hurry: Callable[[], bool] = lambda: False,
        say: Callable[[str], None] = _hush,
    ) -> None:
        self.settings = settings
        self.directory = (directory or settings.stack_dir).absolute()
        self.api_urls: list[str] = []
        self.redis_server: ValkeyServer | FakeRedisServer | None = None
        self.mongo_server: MongoServer | None = None
        self._given = frozenset(settings.model_fields_set)
        self._usual_port = usual_port
        self._api_replicas = api_replicas
        self._workers = workers
        self._check = check
        self._hurry = hurry
        self._say = say
        self._lock: int | None = None
        self._children: dict[str, Child] = {}
        self._ports: dict[str, int] = {}
        self._ports_before: dict[str, int] = {}
        self._restarts = Restarts(say)

    @property
    def processes(self) -> dict[str, Child]:
        """What we started, by name; a server or worker that was started again is the new one."""
        return {server.name: server.child for server in self._servers} | self._children

    @property
    def _servers(self) -> list[Server]:
        return [server for server in (self.redis_server, self.mongo_server) if server is not None and server.started]

    @property
    def server_names(self) -> str:
        """What ran as servers here, for whoever writes down what was measured."""
        names = [name for name in self.processes if name not in self._children]
        return " + ".join({"mongo": "nx-27017", "valkey": "Valkey"}.get(name, name) for name in names)

    @property
    def mongodb_uri(self) -> str:
        return self.settings.mongodb_uri.get_secret_value()

    @property
    def redis_url(self) -> str:
        return self.settings.redis_url.get_secret_value()

    @property
    def own_urls(self) -> dict[str, str]:
        """By setting, where the servers answer that are ours. The URL of another may carry a password."""
        mongo = {} if self.mongo_server is None else {"mongodb_uri": self.mongo_server.uri}
        return mongo | ({} if self.redis_server is None else {"redis_url": self.redis_server.url})

    @property
    def mints_tokens(self) -> bool:
        return not self.settings.production and not self.settings.jwt_jwks_url

    def token(self, user_id: str = "demo", ttl_s: int = TOKEN_TTL_S) -> str:
        """A token for this stack's gateways. Raises `ConfigurationError` unless `mints_tokens`."""
        return mint_token(self.settings, user_id, ttl_s)

    def start(self) -> Self:
        self._lock = lock_directory(self.directory)
        try:
            self._recall_ports()
            self._tell_where()
            self._start_servers()
            self.settings = self._settings_of_children()
            for _ in range(self._workers):
                self.start_worker()
            for _ in range(self._api_replicas):
                self._start_gateway()
            self._tell_where()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Gateways and workers first, so that they can still write; then the servers. Bounded; nothing is left."""
        try:
            stop_all(list(self._children.values()), self.settings.drain_timeout_s + 5.0, self._hurry)
        finally:
            stop_all([server.child for server in self._servers], 5.0, self._hurry)
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def check_alive(self) -> None:
        """Raises `ProcessFailed` with the tail of the log of the first child that is no longer running."""
        for child in self.processes.values():
            if not child.running:
                raise ProcessFailed(child.obituary())

    def tend(self) -> None:
        """Starts workers and gateways that died again, each after its pause; never waits. Call it often.

        Raises `ProcessFailed` naming a server of ours that is lost: nothing can go on without it.
        """
        for server in self._servers:
            if not server.child.running:
                raise ProcessFailed(f"{server.name} is lost, and without it everything ends: {server.child.obituary()}")
        self._restarts.tend(self._children, self._start_child)

    def start_worker(self) -> Child:
        """One more worker, named `worker-<n>`. It is not waited for: the record is the queue."""
        number = sum(name.startswith("worker-") for name in self._children) + 1
        name = f"worker-{number}"
        self._children[name] = self._start_child(name)
        return self._children[name]

    def _start_servers(self) -> None:
        update: dict[str, Any] = {}
        if "redis_url" not in self._given:
            self.redis_server = redis_server(
                self.directory / "valkey",
                named=self.settings.redis_server,
                log=self._log("valkey"),
                check=self._check,
                say=self._say,
            )
            self._start_server(self.redis_server)
            update["redis_url"] = SecretStr(self.redis_server.url)
        if "mongodb_uri" not in self._given:
            self.mongo_server = MongoServer(self.directory / "mongo", log=self._log("mongo"), check=self._check)
            self._start_server(self.mongo_server)
            update["mongodb_uri"] = SecretStr(self.mongo_server.uri)
        self.settings = self.settings.model_copy(update=update)

    def _start_server(self, server: Server) -> None:
        server.start(port=self._port_before(server.name))
        self._ports[server.name] = server.port
        self._say(f"{server.name} answers on port {server.port}")

    def _settings_of_children(self) -> Settings:
        settings, given = self.settings, self._given
        update: dict[str, Any] = {}
        if settings.jwt_secret is None and not settings.jwt_jwks_url:
            update["jwt_secret"] = _secret_of(self.directory)
        if "drain_timeout_s" not in given:
            update["drain_timeout_s"] = _DRAIN_TIMEOUT_S  # a person waits for it; what is not done goes on next time
        if "worker_slots" not in given:
            update["worker_slots"] = max(1, settings.worker_slots // max(1, self._workers))
        if "host" not in given:
            update["host"] = HOST
        return settings.model_copy(update=update)

    def _start_gateway(self) -> None:
        number = len(self.api_urls) + 1
        name = f"api-{number}"
        named = self.settings.port if number == 1 and "port" in self._given else 0
        usual = self._usual_port if number == 1 else None

        def start(port: int) -> Child:
            self._ports[name] = port
            return self._start_child(name)

        self._children[name], port = start_on_port(
            start,
            self._gateway_answers,
            port=named or self._port_before(name, usual),
            remedy="free it, or set BACKFLEET_PORT to another (0 takes a free one)",
            deadline_s=GATEWAY_DEADLINE_S,
            check=self._check,
        )
        self.api_urls.append(f"http://{HOST}:{port}")
        self._say(f"{name} answers on port {port}")

    def _port_before(self, name: str, usual: int | None = None) -> int | None:
        """The port it had the last time, else the usual one; None, which is said, where somebody has that."""
        port = self._ports_before.get(name, usual)
        if port is None or port_is_free(port):
            return port
        before = f", which {name} had the last time," if name in self._ports_before else ""
        remedy = " (BACKFLEET_PORT names another)" if name == "api-1" else ""
        self._say(f"port {port}{before} is taken; a free one is used{remedy}")
        return None

    def _recall_ports(self) -> None:
        try:
            before = read_stack_file(self.directory)
        except ConfigurationError as error:
            self._say(f"{error.message}; other ports may be used")
            return
        self._ports_before = before.ports if before is not None else {}

    def _tell_where(self) -> None:
        """For whoever looks for this stack, and for the next one here. Without gateways until it is up."""
        ours = "jwt_secret" not in self._given and self.settings.jwt_secret is not None
        told = StackFile(
            pid=os.getpid(),
            urls=self.api_urls,
            ports=self._ports_before | self._ports,
            settings=settings_to_tell(self.settings, self.own_urls),
            jwt_secret_file=str(secret_path(self.directory)) if ours else None,
        )
        write_stack_file(self.directory, told)

    def _gateway_answers(self, port: int, _child: Child) -> bool:
        if _status_of(port, "/readyz") != 200:
            return False
        # Another gateway may have taken the port meanwhile; only ours knows our secret.
        return not self.mints_tokens or _status_of(port, "/api/algo/strategies", self.token()) == 200

    def _start_child(self, name: str) -> Child:
        """The worker, or the gateway on its port, of that name; the one before it, if any, is gone."""
        settings, module = self.settings, "worker"
        if name in self._ports:
            settings, module = settings.model_copy(update={"port": self._ports[name]}), "api"
        env = environment_for_child(settings)
        env["PYTHONPATH"] = os.pathsep.join(part for part in (str(_ROOT), env.get("PYTHONPATH")) if part)
        return Child(name, [sys.executable, "-m", module], log=self._log(name), env=env)

    def _log(self, name: str) -> Path:
        return self.directory / "logs" / f"{name}.log"


def _status_of(port: int, path: str, token: str | None = None) -> int:
    """The HTTP status of a GET on our own machine, 0 where nothing answers."""
    with closing(http.client.HTTPConnection(HOST, port, timeout=_HTTP_TIMEOUT_S)) as connection:
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0


def _secret_of(directory: Path) -> SecretStr:
    """The directory's token secret: made once, readable by its owner only, so that tokens outlive a restart."""
    path = secret_path(directory)
    if not path.exists():
        write_private(path, secrets.token_urlsafe(48))
    return SecretStr(path.read_text().strip())


async def import_demo_bars(settings: Settings) -> list[str]:
    """Puts the daily bars of AAPL, IBM and MSFT into the stack's market data, unless they are there. Says what."""
    reports = await import_series(settings, demo_series())
    return [f"{one.symbol} {one.interval}: {one.added + one.known:,} bars" for one in reports]


def run_interruptible(work: Coroutine[Any, Any, Result], check: Callable[[], None], deadline_s: float) -> Result:
    """Runs `work` to its end, until `check` raises, or until the deadline (`ProcessFailed`)."""

    async def watch() -> Result:
        task = asyncio.ensure_future(work)
        try:
            async with asyncio.timeout(deadline_s):
                while not task.done():
                    check()
                    await asyncio.wait({task}, timeout=_WATCH_S)
        except TimeoutError:
            raise ProcessFailed(f"not done within {deadline_s:g} s") from None
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=5.0)
        return task.result()

    return asyncio.run(watch())
