"""The embedded stack: servers, gateways and workers as ordinary processes. `python -m deploy.stack` keeps one up.

Data, logs and the token secret live in one directory and survive a restart. A server that is named in the settings
(`BACKFLEET_MONGODB_URI`, `BACKFLEET_REDIS_URL`) is used instead of one of ours.
"""

from __future__ import annotations

import asyncio
import fcntl
import http.client
import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import SecretStr

from api.accounts import add_user
from api.auth import mint_token
from api.passwords import Passwords
from deploy.demo_bars import demo_series, import_series
from deploy.processes import (
    HOST,
    Child,
    Interrupted,
    Interruption,
    ProcessFailed,
    announce,
    exit_code_of,
    port_is_free,
    proceed,
    start_on_port,
    stop_all,
)
from deploy.servers import FakeRedisServer, MongoServer, Server, ValkeyServer, redis_server
from shared.database import Database
from shared.errors import ConfigurationError, Conflict
from shared.settings import Settings, environment_for_child, load_settings
from shared.users import Role

Result = TypeVar("Result")

GATEWAY_DEADLINE_S = 60.0
IMPORT_DEADLINE_S = 60.0
TOKEN_TTL_S = 30 * 86_400
FIRST_USER = "dev"
_DRAIN_TIMEOUT_S = 5.0
_HTTP_TIMEOUT_S = 1.0
_WATCH_S = 0.1
_ROOT = Path(__file__).resolve().parent.parent


def _hush(_line: str) -> None:
    pass


class Stack:
    """Valkey, MongoDB's wire protocol, `api_replicas` gateways and `workers` workers; a context manager.

    After `start`: `api_urls`, `mongodb_uri`, `redis_url`, `settings` (what the children were given, so a `Store` or
    `Bus` opens on the same servers) and `processes` by name (`api-1`, `worker-1`, …, `valkey`, `mongo`). Raises
    `ConfigurationError` for a directory or port in use, `ProcessFailed` for a child that dies. A failed or interrupted
    start leaves nothing running. `check` is called in every wait and may raise; `hurry` turns stopping into killing.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        api_replicas: int = 1,
        workers: int = 2,
        directory: Path | None = None,
        check: Callable[[], None] = proceed,
        hurry: Callable[[], bool] = lambda: False,
        say: Callable[[str], None] = _hush,
    ) -> None:
        self.settings = settings
        self.directory = (directory or settings.stack_dir).absolute()
        self.api_urls: list[str] = []
        self.redis_server: ValkeyServer | FakeRedisServer | None = None
        self.mongo_server: MongoServer | None = None
        self._api_replicas = api_replicas
        self._workers = workers
        self._check = check
        self._hurry = hurry
        self._say = say
        self._lock: int | None = None
        self._children: dict[str, Child] = {}

    @property
    def processes(self) -> dict[str, Child]:
        """What we started, by name; a server or worker that was started again is the new one."""
        servers = [server for server in (self.redis_server, self.mongo_server) if server is not None and server.started]
        return {server.name: server.child for server in servers} | self._children

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
    def mints_tokens(self) -> bool:
        return not self.settings.production and not self.settings.jwt_jwks_url

    def token(self, user_id: str = "demo", ttl_s: int = TOKEN_TTL_S) -> str:
        """A token for this stack's gateways. Raises `ConfigurationError` unless `mints_tokens`."""
        return mint_token(self.settings, user_id, ttl_s)

    def start(self) -> Self:
        self._lock = _lock_directory(self.directory)
        try:
            self._start_servers()
            self.settings = self._settings_of_children()
            for _ in range(self._workers):
                self.start_worker()
            for _ in range(self._api_replicas):
                self._start_gateway()
            self.check_alive()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Gateways and workers first, so that they can still write; then the servers. Bounded; nothing is left."""
        servers = [child for name, child in self.processes.items() if name not in self._children]
        try:
            stop_all(list(self._children.values()), self.settings.drain_timeout_s + 5.0, self._hurry)
        finally:
            stop_all(servers, 5.0, self._hurry)
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

    def start_worker(self) -> Child:
        """One more worker, named `worker-<n>`. It is not waited for: the record is the queue."""
        number = sum(name.startswith("worker-") for name in self._children) + 1
        name = f"worker-{number}"
        self._children[name] = self._start_module(name, "worker", self.settings)
        return self._children[name]

    def _start_servers(self) -> None:
        given = self.settings.model_fields_set
        update: dict[str, Any] = {}
        if "redis_url" not in given:
            self.redis_server = redis_server(
                self.directory / "valkey",
                named=self.settings.redis_server,
                log=self._log("valkey"),
                check=self._check,
                say=self._say,
            )
            self._start_server(self.redis_server)
            update["redis_url"] = SecretStr(self.redis_server.url)
        if "mongodb_uri" not in given:
            self.mongo_server = MongoServer(self.directory / "mongo", log=self._log("mongo"), check=self._check)
            self._start_server(self.mongo_server)
            update["mongodb_uri"] = SecretStr(self.mongo_server.uri)
        self.settings = self.settings.model_copy(update=update)

    def _start_server(self, server: Server) -> None:
        server.start()
        self._say(f"{server.name} answers on port {server.port}")

    def _settings_of_children(self) -> Settings:
        settings = self.settings
        given = settings.model_fields_set
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
        wanted = self.settings.port if number == 1 and "port" in self.settings.model_fields_set else 0

        def start(port: int) -> Child:
            return self._start_module(name, "api", self.settings.model_copy(update={"port": port}))

        self._children[name], port = start_on_port(
            start,
            self._gateway_answers,
            port=wanted or None,
            remedy="free it, or set BACKFLEET_PORT to another (0 takes a free one)",
            deadline_s=GATEWAY_DEADLINE_S,
            check=self._check,
        )
        self.api_urls.append(f"http://{HOST}:{port}")
        self._say(f"{name} answers on port {port}")

    def _gateway_answers(self, port: int, _child: Child) -> bool:
        if _status_of(port, "/readyz") != 200:
            return False
        # Another gateway may have taken the port meanwhile; only ours knows our secret.
        return not self.mints_tokens or _status_of(port, "/api/algo/strategies", self.token()) == 200

    def _start_module(self, name: str, module: str, settings: Settings) -> Child:
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


def _lock_directory(directory: Path) -> int:
    """Takes the directory for this process; the kernel gives it back when we are gone, however that happens."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise ConfigurationError(
            f"another stack (pid {holder}) uses {directory}: stop it, or set BACKFLEET_STACK_DIR to another directory"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _secret_of(directory: Path) -> SecretStr:
    """The directory's token secret: made once, readable by its owner only, so that tokens outlive a restart."""
    path = directory / "jwt-secret"
    if not path.exists():
        unfinished = path.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48))
        unfinished.replace(path)
    return SecretStr(path.read_text().strip())


async def import_demo_bars(settings: Settings) -> list[str]:
    """Puts the daily bars of AAPL, IBM and MSFT into the stack's market data, unless they are there. Says what."""
    reports = await import_series(settings, demo_series())
    return [f"{one.symbol} {one.interval}: {one.added + one.known:,} bars" for one in reports]


async def add_first_user(settings: Settings) -> str | None:
    """The user `dev`, an admin: its password the first time, None where it exists already."""
    password = secrets.token_urlsafe(15)
    database = await Database.open(settings)
    try:
        await add_user(database.users, Passwords(settings), FIRST_USER, password, [Role.USER, Role.ADMIN])
    except Conflict:
        return None
    finally:
        await database.close()
    return password


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


EXAMPLE_REQUEST: dict[str, Any] = {
    "symbol": "AAPL",
    "interval": "1d",
    "startDate": "2000-03-01",
    "endDate": "2013-03-01",
    "strategies": ["sma_crossover"],
    "strategyParams": {"sma_crossover": {"fast": 20, "slow": 100}},
    "commission": {"rate": 0.001},
}


def _welcome(stack: Stack, password: str | None) -> str:
    url = stack.api_urls[0]
    if stack.mints_tokens:
        how = f'A token for the user "demo", good for {TOKEN_TTL_S // 86_400} days:\n  TOKEN={stack.token()}'
    elif stack.settings.jwt_jwks_url:
        how = "A token:\n  TOKEN=<a token of your identity provider>"
    else:
        how = f"A token, after `backfleet user add`:\n  TOKEN=<the accessToken of POST {url}/api/auth/login>"
    first_user = ""
    if password is not None:
        first_user = f"""
The user {FIRST_USER!r}, an admin, logs in with this password, which is not shown again:
  curl -s -X POST {url}/api/auth/login -d '{json.dumps({"name": FIRST_USER, "password": password})}'
"""
    return f"""
backfleet is up: {url}  (documentation: {url}/docs, logs: {stack.directory / "logs"})

{how}

A backtest:
  curl -s -X POST {url}/api/algo/backtest \\
    -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\
    -d '{json.dumps(EXAMPLE_REQUEST)}'

Its result, with the id that came back:
  curl -s -H "Authorization: Bearer $TOKEN" {url}/api/algo/backtest/ID/result
{first_user}
Ctrl-C stops everything; the data stays in {stack.directory}.
"""


def stay_up(interruption: Interruption) -> int:
    """`make up`: a stack until somebody interrupts it. Exit code 0 then."""
    settings = load_settings()
    if "port" not in settings.model_fields_set:
        if port_is_free(settings.port):
            settings = settings.model_copy(update={"port": settings.port})
        else:
            announce(f"port {settings.port} is taken; a free one is used (BACKFLEET_PORT names another)")
    stack = Stack(settings, check=interruption.check, hurry=interruption.hurry, say=announce)
    password: str | None = None
    with stack:
        if stack.mongo_server is not None:
            for line in run_interruptible(import_demo_bars(stack.settings), interruption.check, IMPORT_DEADLINE_S):
                announce(f"market data: {line}")
            if not stack.settings.jwt_jwks_url:
                password = run_interruptible(add_first_user(stack.settings), interruption.check, IMPORT_DEADLINE_S)
        print(_welcome(stack, password), flush=True)
        try:
            while True:
                interruption.check()
                stack.check_alive()
                time.sleep(_WATCH_S)
        except Interrupted:
            announce("stopping; once more kills")
    return 0


if __name__ == "__main__":
    sys.exit(exit_code_of(stay_up))
