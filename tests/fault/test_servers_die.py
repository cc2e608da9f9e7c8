"""Redis or MongoDB goes away in the middle of a run and comes back: nothing is lost, nothing is said twice."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from deploy.servers import MongoServer, ValkeyServer, find_redis_binary
from shared.contracts import TERMINAL_CHANNELS, Channel
from shared.errors import BusUnavailable
from shared.settings import Settings
from tests.fault.test_workers_die import BARS, STEP, assert_order_holds, freeze_in_the_middle
from tests.fleet import Fleet, fleet_on, request
from tests.gateway import BACKTESTS, http_client, problem_of, site_on

LEASE_TTL_S = 2.0


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[ValkeyServer]:
    binary = find_redis_binary()
    if binary is None:
        pytest.skip("no valkey-server or redis-server to restart")
    with ValkeyServer(tmp_path / "redis", binary=binary) as server:
        yield server


@pytest.fixture
def mongo_server(tmp_path: Path) -> Iterator[MongoServer]:
    with MongoServer(tmp_path / "mongo") as server:
        yield server


@pytest.fixture
async def fleet(
    redis_server: ValkeyServer, mongo_server: MongoServer, make_settings: Callable[..., Settings], tmp_path: Path
) -> AsyncIterator[Fleet]:
    settings = make_settings(
        mongodb_uri=mongo_server.uri,
        mongodb_database="outage",
        redis_url=redis_server.url,
        lease_ttl_s=LEASE_TTL_S,
        lease_renew_s=0.3,
        store_timeout_s=0.5,
        bus_timeout_s=0.5,
    )
    async with fleet_on(settings, tmp_path, BARS) as opened:
        yield opened


async def stored_status(fleet: Fleet, backtest_id: str) -> tuple[str, int]:
    record = await fleet.store.get(backtest_id, "ann")
    return record["status"], record["failures"]


async def has_status(fleet: Fleet, backtest_id: str, status: str) -> bool:
    return (await stored_status(fleet, backtest_id))[0] == status


async def has_ended(fleet: Fleet, backtest_id: str) -> bool:
    try:
        news = (await fleet.bus.replay(backtest_id, None)).news
    except BusUnavailable:
        return False  # Its connection is of before the restart; the next one is not.
    return any(heard.channel in TERMINAL_CHANNELS for heard in news)


async def until(condition: Callable[[], Awaitable[bool]], deadline_s: float = 30.0) -> None:
    async with asyncio.timeout(deadline_s):
        while not await condition():  # noqa: ASYNC110 - what is awaited happens in other processes
            await asyncio.sleep(0.05)


async def test_redis_dies_in_the_middle_of_a_run(fleet: Fleet, redis_server: ValkeyServer) -> None:
    worker = fleet.start_worker(**STEP)
    record = await fleet.submit(request())
    await freeze_in_the_middle(fleet, worker, record["_id"])
    await asyncio.to_thread(redis_server.kill)
    worker.thaw_engine()
    await until(lambda: has_status(fleet, record["_id"], "completed"))
    await asyncio.to_thread(redis_server.start)
    # Whoever was not connected when the end was published finds it in the event log, as the relay does.
    await until(lambda: has_ended(fleet, record["_id"]))
    log = [json.loads(heard.payload) for heard in (await fleet.bus.replay(record["_id"], None)).news]
    positions = [(one["epoch"], one["seq"]) for one in log]
    assert positions == sorted(set(positions))
    assert [one["epoch"] for one in log if one.get("status") == "success"] == [1]
    # The next one is served too; it may be over before this test's own subscription is back.
    after = await fleet.submit(request(endDate="2024-01-20"))
    await until(lambda: has_ended(fleet, after["_id"]))
    assert await stored_status(fleet, after["_id"]) == ("completed", 0)


@pytest.mark.parametrize("away_s", [0.2, 2 * LEASE_TTL_S], ids=["shorter than a lease", "longer than a lease"])
async def test_mongodb_dies_in_the_middle_of_a_run(fleet: Fleet, mongo_server: MongoServer, away_s: float) -> None:
    worker = fleet.start_worker(**STEP)
    record = await fleet.submit(request())
    await freeze_in_the_middle(fleet, worker, record["_id"])
    await asyncio.to_thread(mongo_server.kill)
    worker.thaw_engine()
    await asyncio.sleep(away_s)  # the length of the outage is what is tested
    await asyncio.to_thread(mongo_server.start)
    end = await fleet.end_of(record["_id"])
    assert end["channel"] == Channel.COMPLETE
    # An outage is nobody's fault: it does not count against the backtest.
    assert await stored_status(fleet, record["_id"]) == ("completed", 0)
    assert_order_holds(fleet.said_of(record["_id"]))
    assert worker.process.poll() is None


async def test_while_mongodb_is_away_clients_are_refused_at_once_and_soon_served_when_it_is_back(
    redis_server: ValkeyServer, mongo_server: MongoServer, make_settings: Callable[..., Settings]
) -> None:
    timeout_s = 2.0
    settings = make_settings(
        mongodb_uri=mongo_server.uri, mongodb_database="away", redis_url=redis_server.url, store_timeout_s=timeout_s
    )
    async with site_on(settings) as site:
        client = await site.client()

        async def timed() -> tuple[int, float]:
            began_s = time.monotonic()
            answer = await client.get(BACKTESTS)
            return answer.status_code, time.monotonic() - began_s

        assert (await timed())[0] == 200
        await asyncio.to_thread(mongo_server.kill)
        for _ in range(5):
            status, took_s = await timed()
            assert status == 503
            if took_s > timeout_s / 2:  # In vain; one before may have met a broken connection.
                break
        for _ in range(20):
            status, took_s = await timed()
            assert (status, took_s < timeout_s / 2) == (503, True)
        refused = await client.get(BACKTESTS)
        assert problem_of(refused, 503)["code"] == "store_unavailable"
        assert int(refused.headers["retry-after"]) > 0
        async with http_client(site.url) as anybody:
            assert (await anybody.get("/healthz")).status_code == 200
            assert (await anybody.get("/readyz")).status_code == 503
        await asyncio.to_thread(mongo_server.start)

        async def is_served() -> bool:
            return (await timed())[0] == 200

        await until(is_served, deadline_s=10)
