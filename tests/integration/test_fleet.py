"""What people and Prometheus see of the fleet, on real servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.routes.fleet_answers import FleetView
from deploy.servers import MongoServer, ValkeyServer, find_redis_binary
from shared.claims import failed, lease_of
from shared.contracts import Channel
from shared.errors import InvalidRequest
from shared.instants import read_instant_ms
from shared.news import Numbering, Reached, failure, progress, started
from shared.overview import MINUTE_MS, Overview
from shared.presence import WorkerPresence, presence_ttl_s, read_presence, write_presence
from shared.records import BacktestRecord
from shared.settings import Settings
from shared.users import Role
from tests.conftest import Backends
from tests.fleet import Fleet, fleet_on
from tests.gateway import BACKTESTS, BODY, Site, fields_of, problem_of, site_on

MakeSettings = Callable[..., Settings]
FLEET = "/api/algo/fleet"
SCRAPER = "a-token-of-prometheus"
SLACK_S = 3.0


@pytest.fixture
async def site(any_mongodb_uri: str, any_redis_url: str, make_settings: MakeSettings) -> AsyncIterator[Site]:
    async with site_on(make_settings(metrics_token=SCRAPER)) as one:
        yield one


def present(worker_id: str, **changes: Any) -> WorkerPresence:
    known: dict[str, Any] = {"host": "box", "version": "1", "slots": 4, "busy": 1, "draining": False}
    now = "2026-01-31T12:00:00Z"
    return WorkerPresence(worker_id=worker_id, since=now, last_seen=now, **(known | changes))


async def submit(client: httpx.AsyncClient, **changes: Any) -> str:
    answer = await client.post(BACKTESTS, json=BODY | changes)
    assert answer.status_code == 202, answer.text
    return answer.json()["backtestId"]


async def view(client: httpx.AsyncClient) -> FleetView:
    answer = await client.get(FLEET)
    assert answer.status_code == 200, answer.text
    return FleetView.model_validate(answer.json())


async def eventually(holds: Callable[[], Awaitable[bool]], deadline_s: float = 20.0) -> float:
    """How long it took."""
    began_s = time.monotonic()
    while not await holds():
        assert time.monotonic() < began_s + deadline_s
        await asyncio.sleep(0.02)
    return time.monotonic() - began_s


# Workers


@pytest.fixture
async def fleet(any_mongodb_uri: str, any_redis_url: str, make_settings: MakeSettings, tmp_path: Path) -> Any:
    async with fleet_on(make_settings(), tmp_path, 50) as opened:
        yield opened


async def test_a_worker_is_seen_while_it_is_there_and_no_longer(fleet: Fleet) -> None:
    async def are_there(count: int) -> bool:
        return len(await read_presence(fleet.bus)) == count

    drained, killed = fleet.start_worker(worker_slots=3), fleet.start_worker()
    await eventually(lambda: are_there(2))
    first, second = await read_presence(fleet.bus)
    assert {first.slots, second.slots} == {1, 3}
    assert (first.busy, first.draining, first.worker_id.startswith(first.host)) == (0, False, True)
    # Whatever Redis loses, each says it again.
    for name in (first.worker_id, second.worker_id):
        await fleet.bus.leave(name)
    await eventually(lambda: are_there(2))
    drained.terminate()
    await drained.ended(20)
    [left] = await read_presence(fleet.bus)
    assert left.slots == 1, "who goes by himself is gone at once"
    killed.kill()
    assert await eventually(lambda: are_there(0)) < presence_ttl_s(fleet.settings) + SLACK_S


async def test_presence_is_kept_and_forgotten_on_every_backend(backends: Backends, make_settings: MakeSettings) -> None:
    async with site_on(make_settings()) as site:
        await write_presence(site.bus, present("b"), 30)
        await write_presence(site.bus, present("a"), 0.05)

        async def only_b() -> bool:
            return [one.worker_id for one in await read_presence(site.bus)] == ["b"]

        await eventually(only_b)
        await site.bus.keep_present("c", "no presence of ours", 30_000)
        assert await only_b()
        await site.bus.leave("b")
        assert await read_presence(site.bus) == []


# What people see


async def run(site: Site, reached_bars: int) -> BacktestRecord:
    """A claimed backtest that has said how far it is."""
    record = await site.claim()
    numbering = Numbering(record, site.store.now_ms)
    begin = started(numbering.next(), record["params"], total_bars=1_000, resampled_from=None)
    await site.bus.publish(Channel.EVENT, begin)
    said = progress(numbering.next(), Reached(1_704_067_200_000, reached_bars, 1_000), 5.0)
    await site.bus.publish(Channel.PROGRESS, said)
    return record


async def fail(site: Site, record: BacktestRecord) -> None:
    line = Numbering(record).next()
    ending = failed(record, failure(line, InvalidRequest.of("startDate", "is too early"), site.store.now_ms()))
    assert await site.claims.end([ending]) == [True]


async def test_everybody_sees_the_fleet_and_of_runs_and_failures_his_own(site: Site) -> None:
    ann, bob = await site.client("ann"), await site.client("bob")
    await site.database.users.add("root", "", (Role.USER, Role.ADMIN))
    await write_presence(site.bus, present("w2", draining=True), 30)
    await write_presence(site.bus, present("w1"), 30)
    of_ann = await submit(ann, priority=5)
    first = await run(site, 250)
    of_bob = await submit(bob, priority=5)
    await fail(site, await run(site, 1))
    await submit(bob)
    await submit(ann, priority=-3)
    seen = await view(ann)
    assert seen.workers is not None
    assert [(one.id, one.slots, one.busy, one.draining) for one in seen.workers] == [
        ("w1", 4, 1, False),
        ("w2", 4, 1, True),
    ]
    assert [(level.priority, level.pending) for level in seen.queue] == [(0, 1), (-3, 1)]
    assert all(0 <= level.oldest_seconds < 15 for level in seen.queue)
    assert (seen.running, seen.ended.failed, seen.ended.completed) == (1, 1, 0)
    [running] = seen.runs
    assert (running.backtest_id, running.progress, running.bars_per_second) == (of_ann, 25.0, 150.0)
    assert (running.symbol, running.worker_id) == (BODY["symbol"], first["workerId"])
    assert seen.failures == []
    seen_by_bob = await view(bob)
    assert (seen_by_bob.running, seen_by_bob.runs) == (1, [])
    assert [(one.backtest_id, one.code) for one in seen_by_bob.failures] == [(of_bob, "invalid_request")]
    assert seen_by_bob.failures[0].message == "startDate: is too early"
    seen_by_root = await view(await site.client("root"))
    assert {one.user_id for one in (*seen_by_root.runs, *seen_by_root.failures)} == {"ann", "bob"}


async def test_the_fleet_is_for_who_is_signed_in(site: Site) -> None:
    problem_of(await (await site.client_with(None)).get(FLEET), 401)


async def test_one_overview_counts_alike_on_every_backend(backends: Backends, make_settings: MakeSettings) -> None:
    async with site_on(make_settings()) as site:
        overview = Overview(site.database.mongo)
        assert (await overview.queue(), await overview.running()) == ([], 0)
        client = await site.client()
        for priority in (2, 2, 0):
            await submit(client, priority=priority)
        record = await site.claim()
        await fail(site, record)
        ended_at_ms = (await site.store.get(record["_id"], "ann"))["completedAt"]
        kept = await site.claim()
        [level] = await overview.queue()
        later_ms = overview.now_ms() + 1_000  # The two were read off MongoDB's clock apart, which costs some of them.
        assert (level.priority, level.pending, level.oldest_at_ms <= later_ms) == (0, 1, True)
        assert await overview.running() == 1
        assert [one["_id"] for one in await overview.runs("ann", 5)] == [kept["_id"]]
        assert await overview.runs("bob", 5) == []
        assert await overview.ended(ended_at_ms - 1, ended_at_ms) == {"completed": 0, "failed": 1, "stopped": 0}
        assert sum((await overview.ended(ended_at_ms, ended_at_ms + 1)).values()) == 0
        assert [one["_id"] for one in await overview.failures(None, 0, 5)] == [record["_id"]]
        await site.claims.requeue(kept, failed=False)
        assert lease_of(kept).claim_id


async def end_at(site: Site, client: httpx.AsyncClient, ended_at_ms: int, *, fails: bool = False) -> BacktestRecord:
    """Has a backtest end, and its record say that it took two seconds and ended then."""
    await submit(client)
    record = await site.claim()
    await (fail(site, record) if fails else site.finish(record, publish=False))
    times = {"startedAt": ended_at_ms - 2_000, "completedAt": ended_at_ms}
    await site.database.mongo.collection("backtests").update_one({"_id": record["_id"]}, {"$set": times})
    return record


async def test_what_ended_is_counted_by_the_minute_on_every_backend(
    backends: Backends, make_settings: MakeSettings
) -> None:
    async with site_on(make_settings()) as site:
        ann, bob = await site.client("ann"), await site.client("bob")
        overview = Overview(site.database.mongo)
        minute_ms = overview.now_ms() // MINUTE_MS * MINUTE_MS - 30 * MINUTE_MS
        for at_ms in (minute_ms, minute_ms + 59_999, minute_ms + 60_000, minute_ms - 70 * MINUTE_MS):
            await end_at(site, ann, at_ms)
        await end_at(site, ann, minute_ms + 1, fails=True)
        assert await overview.ended_by_minute(minute_ms - 1, minute_ms + 60_000) == {
            minute_ms: {"completed": 2, "failed": 1, "stopped": 0},
            minute_ms + 60_000: {"completed": 1, "failed": 0, "stopped": 0},
        }
        seen = (await view(bob)).throughput
        since_ms = [read_instant_ms("since", one.since) for one in seen]
        assert since_ms == list(range(since_ms[0], since_ms[0] + 60 * MINUTE_MS, MINUTE_MS))
        assert 0 <= overview.now_ms() - since_ms[-1] < MINUTE_MS + SLACK_S * 1000
        counts = {at_ms: (one.completed, one.failed, one.stopped) for at_ms, one in zip(since_ms, seen, strict=True)}
        busy = {minute_ms: (2, 1, 0), minute_ms + 60_000: (1, 0, 0)}
        assert {at_ms: count for at_ms, count in counts.items() if any(count)} == busy


async def test_how_long_runs_took_is_told_of_those_that_nobody_held_up(
    backends: Backends, make_settings: MakeSettings
) -> None:
    async with site_on(make_settings()) as site:
        ann = await site.client()
        overview = Overview(site.database.mongo)
        now_ms = overview.now_ms()
        steered, taken_up, slow, smooth, old = [await end_at(site, ann, now_ms - 1_000 * i) for i in range(1, 6)]
        await end_at(site, ann, now_ms, fails=True)
        changes: list[tuple[BacktestRecord, dict[str, Any]]] = [
            (steered, {"controlSeq": 1}),
            (taken_up, {"epoch": 2}),
            (slow, {"params.speed": 5.0}),
            (old, {"completedAt": now_ms - 10_000}),
        ]
        for record, change in changes:
            changed = await site.database.mongo.collection("backtests").update_one(
                {"_id": record["_id"]}, {"$set": change}
            )
            assert changed.modified_count == 1
        [found] = await overview.smooth_runs(now_ms - 6_000, 50)
        assert (found.bars, found.seconds) == (5_000, 2.0)
        assert found.params["strategies"] == smooth["params"]["strategies"]
        assert await overview.smooth_runs(now_ms - 6_000, 3) == [], "the newest three do not count"


# Metrics


def read_metrics(answer: httpx.Response) -> dict[str, float]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def test_prometheus_reads_how_the_fleet_is_doing(site: Site) -> None:
    ann, prometheus = await site.client("ann"), await site.client_with(SCRAPER)
    await write_presence(site.bus, present("w1"), 30)
    backtest_id = await submit(ann)
    record = await run(site, 250)
    ear = await site.ear("ann")
    assert (await ear.call("backtest:subscribe", {"backtestId": backtest_id}))["ok"]
    await site.finish(record, seq=3)
    await ear.hears_event("backtest:complete")
    await submit(ann, priority=1)
    for path in ("nosuch", "a%2Fb", "bt_1"):
        await ann.get(f"{BACKTESTS}/{path}")
    await ann.request("BREW", "/healthz")
    read = read_metrics(await prometheus.get("/metrics"))
    assert {part: read[f'backfleet_up{{part="{part}"}}'] for part in ("mongodb", "redis", "relay")} == {
        "mongodb": 1.0,
        "redis": 1.0,
        "relay": 1.0,
    }
    assert (read['backfleet_pending{priority="1"}'], read['backfleet_pending{priority="0"}']) == (1, 0)
    assert 0 <= read['backfleet_oldest_pending_seconds{priority="1"}'] < 15
    assert (read['backfleet_slots{state="busy"}'], read['backfleet_slots{state="free"}']) == (1, 3)
    assert (read['backfleet_workers{state="working"}'], read["backfleet_running"]) == (1, 0)
    assert (read['backfleet_sockets{state="signed_in"}'], read["backfleet_subscriptions"]) == (1, 1)
    assert (read["backfleet_queue_wait_seconds_count"], read["backfleet_backtest_seconds_count"]) == (1, 1)
    assert read["backfleet_relay_lag_seconds_count"] == 2, "of what was dated"
    submits = 'route="/api/algo/backtest",status="2xx"'
    assert read[f'backfleet_http_request_seconds_count{{method="POST",{submits}}}'] == 2
    looks = 'method="GET",route="/api/algo/backtest/{backtest_id}",status="4xx"'
    assert read[f"backfleet_http_request_seconds_count{{{looks}}}"] == 2
    assert not [name for name in read if "nosuch" in name or "BREW" in name]


async def test_ends_are_counted_from_the_records(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.metrics._SETTLED_MS", -60_000)
    await submit(await site.client("ann"))
    await fail(site, await site.claim())  # of which nothing is published
    read = read_metrics(await (await site.client_with(SCRAPER)).get("/metrics"))
    assert {status: read[f'backfleet_ended_total{{status="{status}"}}'] for status in ("completed", "failed")} == {
        "completed": 0,
        "failed": 1,
    }


async def test_metrics_are_for_prometheus_and_admins(site: Site) -> None:
    await site.database.users.add("root", "", (Role.ADMIN,))
    problem_of(await (await site.client_with(None)).get("/metrics"), 401)
    problem_of(await (await site.client_with("another-token-of-16")).get("/metrics"), 401)
    problem_of(await (await site.client("ann")).get("/metrics"), 403)
    read_metrics(await (await site.client("root")).get("/metrics"))


async def test_without_a_token_everybody_reads_metrics_in_development_only(
    any_mongodb_uri: str, any_redis_url: str, make_settings: MakeSettings
) -> None:
    async with site_on(make_settings()) as site:
        read_metrics(await (await site.client_with(None)).get("/metrics"))
    async with site_on(make_settings(mode="production")) as site:
        problem_of(await (await site.client_with(None)).get("/metrics"), 401)


async def test_metrics_and_the_fleet_are_told_while_servers_are_away(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    binary = find_redis_binary()
    if binary is None:
        pytest.skip("no valkey-server or redis-server to stop")
    with MongoServer(tmp_path / "mongo") as mongo, ValkeyServer(tmp_path / "redis", binary=binary) as redis:
        settings = make_settings(
            mongodb_uri=mongo.uri, mongodb_database="away", redis_url=redis.url, metrics_token=SCRAPER
        )
        async with site_on(settings) as site:
            prometheus, ann = await site.client_with(SCRAPER), await site.client("ann")
            await view(ann)
            await asyncio.to_thread(redis.kill)

            async def has_gone() -> bool:
                return (await view(ann)).workers is None

            await eventually(has_gone)
            await asyncio.to_thread(mongo.kill)

            async def is_told() -> bool:
                began_s = time.monotonic()
                read = read_metrics(await prometheus.get("/metrics"))
                assert time.monotonic() - began_s < 4 + SLACK_S
                told = {part: read[f'backfleet_up{{part="{part}"}}'] for part in ("mongodb", "redis")}
                if told != {"mongodb": 0.0, "redis": 0.0}:
                    return False
                assert "backfleet_running" not in read
                assert not any(name.startswith(("backfleet_pending", "backfleet_slots")) for name in read)
                return True

            await eventually(is_told)
            await asyncio.to_thread(mongo.start)
            await asyncio.to_thread(redis.start)


# One's own list by symbol


async def test_a_list_can_be_of_one_symbol(backends: Backends, make_settings: MakeSettings) -> None:
    async with site_on(make_settings()) as site:
        await site.database.candles.import_bars("OTHER/PERP", "1h", await _bars(site), "synthetic")
        ann, bob = await site.client("ann"), await site.client("bob")
        ids = [await submit(ann, symbol=symbol) for symbol in ("WALK", "OTHER/PERP", "WALK", "WALK")]
        await submit(bob)
        await site.claim()

        async def listed(**query: Any) -> tuple[list[str], str | None]:
            answer = await ann.get(BACKTESTS, params=query)
            assert answer.status_code == 200, answer.text
            return [one["backtestId"] for one in answer.json()["items"]], answer.json()["nextCursor"]

        walks = [ids[3], ids[2], ids[0]]
        assert await listed(symbol="WALK") == (walks, None)
        assert await listed(symbol="OTHER/PERP") == ([ids[1]], None)
        assert await listed(symbol="NOSUCH") == ([], None)
        assert await listed(symbol="WALK", status="pending") == (walks[:2], None)
        first, cursor = await listed(symbol="WALK", limit=2)
        assert (first, await listed(symbol="WALK", limit=2, cursor=cursor)) == (walks[:2], (walks[2:], None))
        for bad in ("../x", "", "x" * 41, "a b", "\u00e9"):
            assert "symbol" in fields_of(problem_of(await ann.get(BACKTESTS, params={"symbol": bad}), 422))


async def _bars(site: Site) -> Any:
    found = await site.database.candles.resolve("WALK", "1h", 0, 2**53)
    return await site.database.candles.read(found)
