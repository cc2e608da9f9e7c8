"""The service beside Celery: how long one backtest takes from POST to a client's ear, and how many a second.

Both use the same Redis server, two workers, one client process. Ours computes 1,000 bars and stores every one durably
in MongoDB's protocol before it says so; Celery's task does nothing.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from deploy.stack import Stack
from shared.settings import load_settings
from tests.bench.client import Client, load_bars
from tests.bench.programs import running
from tests.bench.rows import Row, measured, p50_p99_ms

SEQUENTIAL = 300
BURST = 1_500
CONCURRENCY = 32
DEADLINE_S = 180.0


async def measure_ours(stack: Stack) -> tuple[list[float], float]:
    await load_bars(stack)
    async with asyncio.timeout(DEADLINE_S), Client(stack.api_urls[0], stack.token("bench")) as client:
        await client.round_trips_s(50)  # warms every process
        took = await client.round_trips_s(SEQUENTIAL)
        rate = await client.rate(BURST, CONCURRENCY)
    return took, rate


def measure_celery(redis_url: str) -> tuple[list[float], float]:
    os.environ["BENCH_REDIS_URL"] = redis_url
    from tests.bench import celery_noop

    noop: Any = celery_noop.noop  # Celery's decorator is not typed: it turns a function into a task.
    work = ["celery", "-A", "tests.bench.celery_noop", "worker", "-c", "1", "-l", "ERROR"]
    quiet = ["--without-gossip", "--without-mingle"]
    workers = [[*work, "-n", f"peer{number}@%h", *quiet] for number in range(2)]
    with running(workers, {"BENCH_REDIS_URL": redis_url}):
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


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="backfleet-bench-") as directory:
        settings = load_settings(cache_dir=Path(directory) / "cache", log_level="WARNING", pending_max=100_000)
        with Stack(settings, api_replicas=1, workers=2, directory=Path(directory)) as stack:
            ours, our_per_s = asyncio.run(measure_ours(stack))
            peers, peer_per_s = measure_celery(stack.redis_url.removesuffix("/0") + "/1")
            servers = stack.server_names
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
