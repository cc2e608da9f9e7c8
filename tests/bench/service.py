"""The service beside Celery: how long one backtest takes from POST to a client's ear, and how many a second.

Both use the same Redis server, two workers, one client process. Ours computes 1,000 bars and stores every one durably
in MongoDB's protocol before it says so; Celery's task does nothing.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from typing import Any

import aiohttp
import socketio

from deploy.stack import Stack
from shared.database import Database
from shared.settings import load_settings
from tests.bench.rows import Row, measured
from tests.fleet import random_walk

BARS = 1_000
SEQUENTIAL = 300
BURST = 1_500
CONCURRENCY = 32
DEADLINE_S = 180.0


async def load_bars(stack: Stack) -> None:
    database = await Database.open(stack.settings)
    try:
        await database.candles.import_bars("BENCH", "1h", random_walk(BARS), "synthetic")
    finally:
        await database.close()


class Client:
    """One user: HTTP to submit, Socket.IO to listen."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token
        self._socket = socketio.AsyncClient()
        self._ended: dict[str, float] = {}
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self.failed: list[Any] = []

    async def __aenter__(self) -> Client:
        self._http = aiohttp.ClientSession(headers={"Authorization": f"Bearer {self._token}"})
        self._socket.on("backtest:complete", self._heard)
        self._socket.on("backtest:error", self._failed)
        await self._socket.connect(self._url, auth={"token": self._token}, transports=["websocket"])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._socket.disconnect()
        await self._http.close()

    async def _heard(self, news: dict[str, Any]) -> None:
        self._ended[news["backtestId"]] = time.perf_counter()
        if (waiting := self._waiting.pop(news["backtestId"], None)) is not None:
            waiting.set_result(None)

    async def _failed(self, news: dict[str, Any]) -> None:
        self.failed.append(news)
        await self._heard(news)

    async def submit(self) -> str:
        body = {
            "symbol": "BENCH",
            "interval": "1h",
            "startDate": "2024-01-01",
            "endDate": "2025-01-01",
            "strategies": ["sma"],
            "strategyParams": {"sma": {"fast": 10, "slow": 30}},
            "commission": {"rate": 0.001},
        }
        async with self._http.post(f"{self._url}/api/algo/backtest", json=body) as answer:
            answer.raise_for_status()
            return (await answer.json())["backtestId"]

    async def end_of(self, backtest_id: str) -> float:
        if backtest_id not in self._ended:
            waiting = self._waiting[backtest_id] = asyncio.get_running_loop().create_future()
            await waiting
        return self._ended[backtest_id]


async def our_round_trips_s(client: Client, count: int) -> list[float]:
    took: list[float] = []
    for _ in range(count):
        began = time.perf_counter()
        backtest_id = await client.submit()
        took.append(await client.end_of(backtest_id) - began)
    return took


async def our_rate(client: Client, count: int) -> float:
    gate = asyncio.Semaphore(CONCURRENCY)

    async def one() -> None:
        async with gate:
            backtest_id = await client.submit()
        await client.end_of(backtest_id)

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(count)))
    return count / (time.perf_counter() - began)


async def measure_ours(stack: Stack) -> tuple[list[float], float]:
    await load_bars(stack)
    async with asyncio.timeout(DEADLINE_S), Client(stack.api_urls[0], stack.token("bench")) as client:
        await our_round_trips_s(client, 50)  # warms every process
        took = await our_round_trips_s(client, SEQUENTIAL)
        rate = await our_rate(client, BURST)
        if client.failed:
            raise RuntimeError(f"{len(client.failed)} backtests failed, the first with {client.failed[0]}")
    return took, rate


@contextmanager
def celery_workers(redis_url: str, count: int) -> Iterator[None]:
    environment = dict(os.environ) | {"BENCH_REDIS_URL": redis_url}
    command = [sys.executable, "-m", "celery", "-A", "tests.bench.celery_noop", "worker", "-c", "1", "-l", "ERROR"]
    workers = [
        subprocess.Popen([*command, "-n", f"peer{number}@%h", "--without-gossip", "--without-mingle"], env=environment)
        for number in range(count)
    ]
    try:
        yield
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            try:
                worker.wait(15)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait(15)


def measure_celery(redis_url: str) -> tuple[list[float], float]:
    os.environ["BENCH_REDIS_URL"] = redis_url
    from tests.bench import celery_noop

    noop: Any = celery_noop.noop  # Celery's decorator is not typed: it turns a function into a task.
    with celery_workers(redis_url, 2):
        for _ in range(50):
            noop.delay().get(timeout=60)
        took: list[float] = []
        for _ in range(SEQUENTIAL):
            began = time.perf_counter()
            noop.delay().get(timeout=60)
            took.append(time.perf_counter() - began)
        began = time.perf_counter()
        for result in [noop.delay() for _ in range(BURST)]:
            result.get(timeout=DEADLINE_S)
        rate = BURST / (time.perf_counter() - began)
    return took, rate


def p50_p99_ms(took_s: list[float]) -> tuple[float, float]:
    cuts = quantiles(took_s, n=100)
    return cuts[49] * 1000, cuts[98] * 1000


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="backfleet-bench-") as directory:
        settings = load_settings(cache_dir=Path(directory) / "cache", log_level="WARNING", pending_max=100_000)
        with Stack(settings, api_replicas=1, workers=2, directory=Path(directory)) as stack:
            ours, our_per_s = asyncio.run(measure_ours(stack))
            peers, peer_per_s = measure_celery(stack.redis_url.removesuffix("/0") + "/1")
            names = [name for name in stack.processes if not name.startswith(("api", "worker"))]
    servers = " + ".join({"mongo": "nx-27017", "valkey": "Valkey"}.get(name, name) for name in names)
    our_p50, our_p99 = p50_p99_ms(ours)
    peer_p50, peer_p99 = p50_p99_ms(peers)
    return [
        measured(
            "service.latency_p50.vs.celery",
            ours=our_p50,
            peer=peer_p50,
            unit="ms",
            aim=3,
            better="lower",
            on=servers,
        ),
        measured(
            "service.latency_p99.vs.celery",
            ours=our_p99,
            peer=peer_p99,
            unit="ms",
            aim=3,
            better="lower",
            on=servers,
        ),
        measured(
            "service.throughput.vs.celery",
            ours=our_per_s,
            peer=peer_per_s,
            unit="jobs/s",
            aim=0.5,
            better="higher",
            on=servers,
        ),
    ]
