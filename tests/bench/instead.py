"""The service beside what a team would build instead (`tests/bench/tutorial/`), on the same Redis and MongoDB servers.

Both have one gateway and two workers, store each result and its status durably before they say so, and run the same
crossover over the same 1,000 bars. They take turns, so that a machine that is slow for a while is slow for both.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from pymongo import AsyncMongoClient

from api.auth import mint_token
from deploy.processes import free_port
from deploy.stack import Stack
from shared.settings import load_settings
from tests.bench.client import BARS, SYMBOL, Client, load_bars
from tests.bench.programs import running
from tests.bench.rows import Row, measured, p50_p99_ms
from tests.fleet import random_walk

WORKERS = 2
ROUNDS = 4
SEQUENTIAL = 75
BURST = 400
WARMING = 50
CONCURRENCY = 32
DEADLINE_S = 300.0
ONE_DEADLINE_S = 60.0


async def _load_columns(mongodb_uri: str) -> None:
    bars = random_walk(BARS)
    columns = {name.capitalize(): getattr(bars, name).tolist() for name in ("open", "high", "low", "close", "volume")}
    document = {"symbol": SYMBOL, "interval": "1h", "columns": columns | {"Time": bars.time_ms.tolist()}}
    async with AsyncMongoClient[dict[str, Any]](mongodb_uri) as mongo:
        await mongo["tutorial"]["bars"].insert_one(document)


@contextmanager
def tutorial(stack: Stack) -> Iterator[str]:
    """The URL of its gateway; two workers stand behind it. All of them are gone afterwards."""
    secret = stack.settings.jwt_secret
    assert secret is not None
    variables = {
        "BENCH_REDIS_URL": stack.redis_url.removesuffix("/0") + "/1",
        "BENCH_MONGODB_URI": stack.mongodb_uri,
        "BENCH_SECRET": secret.get_secret_value(),
    }
    port = free_port()
    serve = ["uvicorn", "tests.bench.tutorial.gateway:app", "--port", str(port), "--log-level", "warning"]
    work = ["celery", "-q", "-A", "tests.bench.tutorial.worker", "worker", "-c", "1", "-l", "ERROR"]
    quiet = ["--without-gossip", "--without-mingle"]
    workers = ([*work, "-n", f"tutorial{number}@%h", *quiet] for number in range(WORKERS))
    with running([serve, *workers], variables):
        yield f"http://127.0.0.1:{port}"


async def _answers(url: str) -> None:
    async with asyncio.timeout(60), httpx.AsyncClient(base_url=url) as client:
        while True:
            try:
                (await client.get("/ready")).raise_for_status()
                return
            except httpx.HTTPError:
                await asyncio.sleep(0.1)


async def _check_parity(ours: Client, theirs: Client) -> None:
    """The same trades, or there is nothing to compare."""
    backtest_id = await ours.submit()
    await ours.end_of(backtest_id)
    our_trades = (await ours.read(f"/api/algo/backtest/{backtest_id}/result"))["summary"]["totalTrades"]
    backtest_id = await theirs.submit()
    await theirs.end_of(backtest_id)
    their_trades = (await theirs.read(f"/backtest/{backtest_id}"))["result"]["metrics"]["totalTrades"]
    if our_trades != their_trades or not our_trades:
        raise RuntimeError(f"ours made {our_trades} trades, the peer {their_trades}")


async def _measure(stack: Stack, peer_url: str) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    await load_bars(stack)
    await _load_columns(stack.mongodb_uri)
    await _answers(peer_url)
    async with asyncio.timeout(DEADLINE_S), AsyncExitStack() as clients:
        both: dict[str, Client] = {}
        for name, url, path in (("ours", stack.api_urls[0], "/api/algo/backtest"), ("peer", peer_url, "/backtest")):
            client = Client(url, mint_token(stack.settings, name, 3_600), path)
            both[name] = await clients.enter_async_context(client)
        async with asyncio.timeout(ONE_DEADLINE_S):
            await _check_parity(both["ours"], both["peer"])
        for client in both.values():
            await client.rate(WARMING, CONCURRENCY)
        took_s: dict[str, list[float]] = {name: [] for name in both}
        per_s: dict[str, list[float]] = {name: [] for name in both}
        for _ in range(ROUNDS):
            for name, client in both.items():
                took_s[name] += await client.round_trips_s(SEQUENTIAL)
        for _ in range(ROUNDS):
            for name, client in both.items():
                per_s[name].append(await client.rate(BURST, CONCURRENCY))
    return took_s, per_s


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="backfleet-bench-") as name:
        directory = Path(name)
        settings = load_settings(cache_dir=directory / "cache", log_level="WARNING", pending_max=100_000)
        with Stack(settings, api_replicas=1, workers=WORKERS, directory=directory) as stack, tutorial(stack) as url:
            took_s, per_s = asyncio.run(_measure(stack, url))
            on = stack.server_names
    ours_ms, peer_ms = p50_p99_ms(took_s["ours"]), p50_p99_ms(took_s["peer"])
    rows = [
        measured(
            f"service.latency_{part}.vs.fastapi_celery_backtesting",
            ours=ours,
            peer=peer,
            unit="ms",
            aim=0.7,
            better="lower",
            on=on,
        )
        for part, ours, peer in zip(("p50", "p99"), ours_ms, peer_ms, strict=True)
    ]
    rate = measured(
        "service.throughput.vs.fastapi_celery_backtesting",
        ours=median(per_s["ours"]),
        peer=median(per_s["peer"]),
        unit="jobs/s",
        aim=1.5,
        better="higher",
        on=on,
    )
    return [*rows, rate]
