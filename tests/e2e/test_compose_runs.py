"""docker-compose.yml on a Docker engine, from nothing to a fleet that is used, broken, scaled, rolled and stopped.

It takes many minutes, so only who asks for it waits: `make test-compose`. compose-stand-in.yml says what differs.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from deploy.processes import free_port
from deploy.synthetic_bars import synthetic_series
from tests.e2e.client import ROOT, User
from worker.local_run import run_locally

ASKED = os.environ.get("BACKFLEET_TEST_COMPOSE") == "1"
REPOSITORY = Path(__file__).parents[2]
BASE = "python:3.13-slim"
IMAGE, TESTS_IMAGE = "backfleet:under-test", "backfleet:tests"
ADDED_MAX_BYTES = 350_000_000
USER, PASSWORD = "ann", "a harbour 7 lanterns deep"
SECRETS = ("BACKFLEET_JWT_SECRET", "REDIS_PASSWORD", "MONGO_PASSWORD", "MONGO_ROOT_PASSWORD")
SERVICES = ("api", "worker", "redis", "mongo")
VARIANTS = 10
# The first child of init, which an engine would restart as it does any process that dies.
KILL = "kill -9 $(cat /proc/1/task/1/children)"

pytestmark = [
    pytest.mark.skipif(not ASKED, reason="a Docker engine runs the whole fleet, for minutes: `make test-compose`"),
    pytest.mark.timeout(1_500),
]


class Fleet:
    """One Compose project of this test's own, on a port of its own."""

    def __init__(self, directory: Path) -> None:
        self.secrets = {name: secrets.token_hex(32) for name in SECRETS}
        self.url = f"http://127.0.0.1:{free_port()}"
        self._env_file = directory / "env"
        self._env_file.write_text("".join(f"{name}={value}\n" for name, value in self.secrets.items()))
        self._environment = {name: value for name, value in os.environ.items() if name not in SECRETS} | {
            "COMPOSE_PROJECT_NAME": f"backfleet-{secrets.token_hex(4)}",
            "API_PORT": self.url.rsplit(":", 1)[1],
            "IMAGE": IMAGE,
            "TESTS_IMAGE": TESTS_IMAGE,
        }

    def compose(self, *words: str, limit_s: float = 300, given: str | None = None) -> str:
        """What a command of Compose printed. One that fails or takes longer fails the test with its last lines."""
        files = (REPOSITORY / "docker-compose.yml", Path(__file__).with_name("compose-stand-in.yml"))
        options = [word for file in files for word in ("--file", str(file))]
        return said(
            *("docker", "compose", "--progress", "quiet", "--env-file", str(self._env_file), *options, *words),
            limit_s=limit_s,
            given=given,
            environment=self._environment,
        )

    def inside(self, service: str, *words: str, index: int = 1, given: str | None = None) -> str:
        return self.compose("exec", "-T", "--index", str(index), service, *words, given=given)

    def up(self, workers: int) -> None:
        self.compose("up", "--detach", "--wait", "--wait-timeout", "240", "--scale", f"worker={workers}")

    def scale(self, workers: int) -> None:
        self.compose("up", "--detach", "--no-deps", "--no-recreate", "--scale", f"worker={workers}", "worker")

    def containers(self, service: str) -> list[dict[str, Any]]:
        ids = self.compose("ps", "--quiet", service).split()
        return json.loads(said("docker", "inspect", *ids)) if ids else []

    def logs(self) -> str:
        return self.compose("logs", "--no-color")


def said(
    *command: str, limit_s: float = 60, given: str | None = None, environment: dict[str, str] | None = None
) -> str:
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=limit_s, check=False, env=environment
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Both images, built as `docker compose build` builds them."""
    assert shutil.which("docker"), "there is no docker command"
    said("docker", "info")
    if subprocess.run(["docker", "image", "inspect", BASE], capture_output=True, check=False).returncode:
        said("docker", "pull", BASE, limit_s=600)
    Fleet(tmp_path_factory.mktemp("build")).compose("build", "api", "mongo", limit_s=1_200)


@pytest.fixture(scope="module")
def fleet(images: None, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """What the README leads to: secrets, four workers, a user, market data."""
    fleet = Fleet(tmp_path_factory.mktemp("fleet"))
    failed_before = request.session.testsfailed
    try:
        fleet.up(4)
        fleet.inside("api", "backfleet", "user", "add", USER, "--admin", given=f"{PASSWORD}\n")
        loaded = fleet.inside("api", "backfleet", "data", "demo")
        assert "MSFT 1d: 3,270 bars added" in loaded
        assert "DEMO-1M 1m: 500,000 bars added" in loaded
        yield fleet
        if request.session.testsfailed > failed_before:
            sys.stdout.write(fleet.logs()[-20_000:])
    finally:
        fleet.compose("down", "--volumes", "--timeout", "5")


@asynccontextmanager
async def logged_in(fleet: Fleet) -> AsyncIterator[User]:
    login = {"name": USER, "password": PASSWORD}
    async with aiohttp.ClientSession() as session, session.post(f"{fleet.url}/api/auth/login", json=login) as answer:
        assert answer.status == 200, await answer.text()
        token = (await answer.json())["accessToken"]
    async with User(fleet.url, token) as user:
        yield user


def body(variant: int) -> dict[str, Any]:
    """Two months of minutes."""
    return {
        "symbol": "DEMO-1M",
        "interval": "1m",
        "startDate": "2020-01-01",
        "endDate": "2020-03-01",
        "strategies": ["sma_crossover"],
        "strategyParams": {"sma_crossover": {"fast": 5 + variant, "slow": 60}},
        "commission": {"rate": 0.0001},
    }


@pytest.fixture(scope="module")
def hashes() -> list[tuple[str, str]]:
    """`datasetHash` and `resultHash` of each variant, computed here, without servers, and by this Python."""
    series = synthetic_series()
    found = [run_locally(series, body(variant), 100_000).as_wire() for variant in range(VARIANTS)]
    assert len({one["resultHash"] for one in found}) == VARIANTS
    return [(one["datasetHash"], one["resultHash"]) for one in found]


async def records_of(user: User, ids: list[str], done: int, limit_s: float) -> list[dict[str, Any]]:
    """The records once that many of them have ended, in the order of `ids`."""
    deadline = time.monotonic() + limit_s
    while True:
        records = {one["backtestId"]: one for one in await listed(user)}
        ended = Counter(records[one]["status"] for one in ids)
        if ended["completed"] + ended["failed"] + ended["stopped"] >= done:
            return [records[one] for one in ids]
        assert time.monotonic() < deadline, ended
        await asyncio.sleep(0.5)


async def listed(user: User) -> list[dict[str, Any]]:
    """All records, asked for again while the gateway is away."""
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    deadline = time.monotonic() + 120
    while cursor is not None:
        try:
            page = await user.read(f"{ROOT}?limit=100{cursor}")
        except aiohttp.ClientError:
            assert time.monotonic() < deadline, "the gateway did not come back"
            await asyncio.sleep(0.2)
            continue
        found += page["items"]
        cursor = page["nextCursor"] and f"&cursor={page['nextCursor']}"
    return found


async def assert_each_completed_once(
    fleet: Fleet, user: User, records: list[dict[str, Any]], hashes: list[tuple[str, str]], killed: str = ""
) -> None:
    """Failures count for those runs alone that the killed worker had: one it computed, and others it was storing."""
    assert Counter(one["status"] for one in records) == {"completed": len(records)}
    its_log = "".join(line for line in fleet.logs().splitlines() if killed and f"{killed} " in line)
    for record in records:
        assert record["failures"] <= (1 if f"{record['backtestId']}: claimed, epoch 1" in its_log else 0), record
    for place, record in enumerate(records):
        assert record["epoch"] >= 1 + record["failures"], record
        result = await user.read(f"{ROOT}/{record['backtestId']}/result")
        assert (result["datasetHash"], result["resultHash"]) == hashes[place % VARIANTS], record
        assert result["resultId"] == record["resultId"]


def test_the_image_adds_little_to_its_base(images: None) -> None:
    whole, base = (int(said("docker", "image", "inspect", "--format", "{{.Size}}", one)) for one in (IMAGE, BASE))
    sys.stdout.write(f"{IMAGE} has {whole / 1e6:.1f} MB, {(whole - base) / 1e6:.1f} MB more than {BASE}\n")
    assert whole - base < ADDED_MAX_BYTES


def test_the_unit_and_engine_tests_pass_on_the_python_of_the_image(images: None) -> None:
    """On a copy of this tree, with the packages of development; pip, which a test installs with, is not among them."""
    steps = (
        "python -m ensurepip >/dev/null",
        "mkdir /tmp/tree && tar -c -C /tree --exclude=./.git --exclude='./.venv*' . | tar -x -C /tmp/tree",
        "cd /tmp/tree && PYTHONPATH=/tmp/tree python -m pytest -q -n 2 -p no:cacheprovider tests/unit tests/engine",
    )
    mounted = ("--volume", f"{REPOSITORY}:/tree:ro")
    command = (
        "docker",
        "run",
        "--rm",
        "--init",
        "--user",
        "0:0",
        *mounted,
        TESTS_IMAGE,
        "sh",
        "-ec",
        " && ".join(steps),
    )
    done = subprocess.run(command, capture_output=True, text=True, timeout=1_400, check=False)
    sys.stdout.write(done.stdout[-300:])
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]


async def test_the_gateway_serves_the_dashboard(fleet: Fleet) -> None:
    async with aiohttp.ClientSession(fleet.url) as session, session.get("/") as answer:
        assert (answer.status, answer.content_type) == (200, "text/html"), await answer.text()
        [script] = re.findall(r'src="\./(assets/[^"]+\.js)"', await answer.text())
        async with session.get(f"/{script}") as asset:
            assert (asset.status, asset.content_type) == (200, "text/javascript")
    assert fleet.inside("api", "ls", "api/dashboard").split() == ["static"]


@pytest.mark.parametrize("service", SERVICES)
def test_processes_are_not_root_and_change_no_file(fleet: Fleet, service: str) -> None:
    for index in range(1, len(fleet.containers(service)) + 1):
        assert int(fleet.inside(service, "id", "-u", index=index)) > 0
        tried = fleet.inside(service, "sh", "-c", "touch /probe /opt/probe /usr/probe 2>&1 || true", index=index)
        assert tried.count("Read-only file system") == 3, tried
        assert re.search(r"^CapEff:\s+0+$", fleet.inside(service, "cat", "/proc/1/status", index=index), re.MULTILINE)


def test_only_the_gateways_port_can_be_reached(fleet: Fleet) -> None:
    """Neither by a published port nor, on the engine's own machine, by a container's address."""
    for service in SERVICES:
        for container in fleet.containers(service):
            networks = {
                name.rsplit("_")[-1]: network for name, network in container["NetworkSettings"]["Networks"].items()
            }
            published = [port for port, bound in container["NetworkSettings"]["Ports"].items() if bound]
            assert published == (["8000/tcp"] if service == "api" else []), service
            assert set(networks) == ({"back", "front"} if service == "api" else {"back"})
            assert not redis_answers(networks["back"]["IPAddress"]), service
    assert redis_answers_inside(fleet)


def redis_answers(address: str) -> bool:
    """Whatever else may take the connection, such as a router on the way, does not speak so."""
    try:
        with socket.create_connection((address, 6379), 3) as connection:
            connection.settimeout(3)
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith((b"-NOAUTH", b"+PONG"))
    except OSError:
        return False


def redis_answers_inside(fleet: Fleet) -> bool:
    program = 'import socket; s = socket.create_connection(("redis", 6379)); s.sendall(b"PING\\r\\n"); print(s.recv(9))'
    return "NOAUTH" in fleet.inside("worker", "python", "-c", program)


async def test_a_hundred_complete_once_though_a_worker_and_redis_die(
    fleet: Fleet, hashes: list[tuple[str, str]]
) -> None:
    async with logged_in(fleet) as user:
        ids = [await user.submit(body(place % VARIANTS)) for place in range(100)]
        await records_of(user, ids, 5, 60)
        await asyncio.to_thread(fleet.inside, "worker", "sh", "-c", KILL, index=2)
        await records_of(user, ids, 20, 60)
        await asyncio.to_thread(fleet.inside, "redis", "sh", "-c", KILL)
        records = await records_of(user, ids, 100, 240)
        await assert_each_completed_once(fleet, user, records, hashes, killed="worker-2")
        async with asyncio.timeout(30):
            for one in ids:
                assert (await user.told.end_of(one))[0] == "backtest:complete"
        assert set(
            Counter(one["backtestId"] for name, one in user.told.messages if name == "backtest:complete").values()
        ) == {1}
    assert [one["RestartCount"] for one in fleet.containers("redis")] == [1]
    assert sum(one["RestartCount"] for one in fleet.containers("worker")) == 1
    assert_no_secret_is_in_the_logs(fleet)  # also of what has died


async def test_two_hundred_complete_once_though_the_fleet_grows_shrinks_and_rolls(
    fleet: Fleet, hashes: list[tuple[str, str]]
) -> None:
    async with logged_in(fleet) as user:
        ids = [await user.submit(body(place % VARIANTS)) for place in range(200)]
        await records_of(user, ids, 10, 60)
        await asyncio.to_thread(fleet.scale, 8)
        assert len(fleet.containers("worker")) == 8
        await asyncio.to_thread(fleet.compose, "up", "--detach", "--no-deps", "--force-recreate", "api")
        await records_of(user, ids, 40, 240)
        await asyncio.to_thread(fleet.scale, 2)
        assert len(fleet.containers("worker")) == 2
        await asyncio.to_thread(
            fleet.compose, "up", "--detach", "--no-deps", "--force-recreate", "--scale", "worker=2", "worker"
        )
        records = await records_of(user, ids, 200, 400)
        await assert_each_completed_once(fleet, user, records, hashes)


async def test_a_fleet_that_was_taken_down_comes_back_with_what_it_had(
    fleet: Fleet, hashes: list[tuple[str, str]]
) -> None:
    async with logged_in(fleet) as user:
        kept = await user.submit(body(0))
        await records_of(user, [kept], 1, 60)
    fleet.compose("down")
    fleet.up(2)
    async with logged_in(fleet) as user:
        assert (await user.read(f"{ROOT}/{kept}/result"))["resultHash"] == hashes[0][1]
        again = await user.submit(body(1))
        await assert_each_completed_once(fleet, user, await records_of(user, [again], 1, 60), hashes[1:])


async def test_logs_show_no_secret(fleet: Fleet) -> None:
    async with aiohttp.ClientSession() as session:
        wrong = {"name": USER, "password": PASSWORD + "!"}
        async with session.post(f"{fleet.url}/api/auth/login", json=wrong) as answer:
            assert answer.status == 401
    async with logged_in(fleet) as user:
        await records_of(user, [await user.submit(body(0))], 1, 60)
    assert_no_secret_is_in_the_logs(fleet)


def assert_no_secret_is_in_the_logs(fleet: Fleet) -> None:
    logs = fleet.logs()
    assert f"user {USER} logged in" in logs
    assert "Ready to accept connections" in logs
    for name, secret in [*fleet.secrets.items(), ("the password of a user", PASSWORD)]:
        assert secret not in logs, name


def test_containers_that_start_together_on_fresh_volumes_do_not_race(images: None, tmp_path: Path) -> None:
    """Five times; twenty were tried when the cache was made so."""
    probe = "touch /var/cache/backfleet/probe && ls /tmp/kernels/*/*"
    for attempt in range(5):
        directory = tmp_path / str(attempt)
        directory.mkdir()
        fleet = Fleet(directory)
        try:
            fleet.compose("up", "--detach", "--scale", "worker=4")
            for index in range(1, 5):
                fleet.inside("worker", "sh", "-c", probe, index=index)
        finally:
            fleet.compose("down", "--volumes", "--timeout", "1")
