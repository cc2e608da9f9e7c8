"""The whole service, from a client's request to what every client hears, on real servers and real processes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from deploy.stack import Stack
from shared.contracts import TERMINAL_CHANNELS
from shared.database import Database
from shared.settings import environment_for_child, load_settings
from tests.e2e.client import DEADLINE_S, ROOT, Message, Told, User, as_sockets_hear, load_bars, overhear
from tests.fleet import request

REPOSITORY = Path(__file__).parents[2]
REPLICAS, WORKERS = 2, 4
USERS, EACH = 5, 40
SUBSCRIBED_EVERY = 10
BARS = 300

CONTRACT_PARAMS: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "interval": "1h",
    "startDate": "2024-01-01",
    "endDate": "2024-12-01",
    "strategies": ["sma", "rsi"],
    "strategyParams": {"sma": {"fast": 10, "slow": 30}},
}
BARS_OF_CONTRACT = 335 * 24


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("service")
    settings = load_settings(
        stack_dir=directory / "stack", cache_dir=directory / "cache", port=0, worker_slots=1, progress_interval_s=0.05
    )
    with Stack(settings, api_replicas=REPLICAS, workers=WORKERS) as stack:
        _wait_for_warm_engines(stack)
        yield stack


def _wait_for_warm_engines(stack: Stack) -> None:
    """So that all four share the work: one that is still compiling would come too late for it."""
    deadline = time.monotonic() + DEADLINE_S
    for number in range(1, WORKERS + 1):
        worker = stack.processes[f"worker-{number}"]
        while "is ready with" not in worker.log_head():
            stack.check_alive()
            assert time.monotonic() < deadline, worker.obituary()
            time.sleep(0.05)


async def test_200_backtests_at_once_complete_once_and_every_client_hears_everything_once(stack: Stack) -> None:
    await load_bars(stack, BARS)
    async with AsyncExitStack() as opened:
        wire = await opened.enter_async_context(overhear(stack.redis_url))
        clients = {
            f"user{number}": [
                await opened.enter_async_context(User(url, stack.token(f"user{number}"))) for url in stack.api_urls
            ]
            for number in range(USERS)
        }
        submitted = await _submit_everything(clients)
        backtest_ids = [one for some in submitted.values() for one in some]
        assert len(set(backtest_ids)) == USERS * EACH
        async with asyncio.timeout(DEADLINE_S):
            for user, mates in clients.items():
                for client in mates:
                    for backtest_id in submitted[user]:
                        await client.told.end_of(backtest_id)
        await _flush(clients)
        for user, mates in clients.items():
            for client in mates:
                subscribed = submitted[user][::SUBSCRIBED_EVERY] if client is mates[0] else []
                _assert_heard_exactly_what_was_said(wire, client.told, user, submitted[user], subscribed)
    await _assert_each_completed_once(stack, backtest_ids)


FOR_OWNERS = ("backtest:started", "backtest:progress", *TERMINAL_CHANNELS)


async def _submit_everything(clients: dict[str, list[User]]) -> dict[str, list[str]]:
    """All at once, half of them at either replica. One client of each user subscribes to some besides."""

    async def submit(user: str, number: int) -> tuple[str, str]:
        client = clients[user][number % REPLICAS]
        backtest_id = await client.submit(request(seed=number).as_wire())
        if number % SUBSCRIBED_EVERY == 0:
            ack = await client.call("backtest:subscribe", {"backtestId": backtest_id})
            assert ack["ok"], ack
        return user, backtest_id

    submitted: dict[str, list[str]] = {user: [] for user in clients}
    for user, backtest_id in await asyncio.gather(
        *(submit(user, number) for number in range(EACH) for user in clients)
    ):
        submitted[user].append(backtest_id)
    return submitted


async def _flush(clients: dict[str, list[User]]) -> None:
    """One more backtest of each user: whoever heard its end has heard all that was said before it."""
    for mates in clients.values():
        last = await mates[0].submit(request(endDate="2024-01-03").as_wire())
        for client in mates:
            await client.told.end_of(last)
            client.told.messages = [one for one in client.told.messages if one[1]["backtestId"] != last]


def _assert_heard_exactly_what_was_said(
    wire: Told, told: Told, user: str, backtest_ids: list[str], subscribed: list[str]
) -> None:
    """News for owners, each once and in order; details only where it was subscribed, from a snapshot on."""
    assert {one["userId"] for _, one in told.messages} == {user}
    assert {one["backtestId"] for _, one in told.messages} == set(backtest_ids)
    for backtest_id in backtest_ids:
        said, heard = as_sockets_hear(_no_snapshots(wire.of(backtest_id))), told.of(backtest_id)
        news = [(name, one["epoch"], one["seq"]) for name, one in heard if not one.get("snapshot")]
        owners = [one for one in news if one[0] in FOR_OWNERS]
        assert owners == [one for one in said if one[0] in FOR_OWNERS], backtest_id
        assert owners[0][0] == "backtest:started"
        assert [name for name, *_ in owners if name in TERMINAL_CHANNELS] == [owners[-1][0]] == ["backtest:complete"]
        details = [one for one in news if one[0] not in FOR_OWNERS]
        places = [(one["epoch"], one["seq"]) for _, one in heard if one.get("snapshot")]
        assert bool(places) == (backtest_id in subscribed), backtest_id
        since = places[-1] if places else (2, 0)
        wanted = [one for one in said if one[0] not in FOR_OWNERS and one[1:] > since]
        assert [one for one in details if one[1:] > since] == wanted, backtest_id
        assert len(set(details)) == len(details), f"{backtest_id}: told twice"


def _no_snapshots(messages: list[Message]) -> list[Message]:
    return [(name, one) for name, one in messages if not one.get("data", {}).get("snapshot")]


async def _assert_each_completed_once(stack: Stack, backtest_ids: list[str]) -> None:
    database = await Database.open(stack.settings)
    try:
        wanted = {"$in": backtest_ids}
        records = await database.mongo.collection("backtests").find({"_id": wanted}).to_list()
        results = await database.mongo.collection("results").find({"backtestId": wanted}).to_list()
    finally:
        await database.close()
    assert len(records) == len(backtest_ids)
    assert {(one["status"], one["epoch"], one["failures"]) for one in records} == {("completed", 1, 0)}
    assert Counter(one["backtestId"] for one in results) == Counter(backtest_ids), "one result for each backtest"
    assert {one["_id"]: one["resultId"] for one in records} == {one["backtestId"]: one["_id"] for one in results}
    assert len({one["workerId"] for one in records}) == WORKERS, "not every worker took part"


async def test_the_contracts_request_is_served_over_http_and_from_outside_alike(
    stack: Stack, market_data_dir: Path
) -> None:
    await asyncio.to_thread(_import_with_the_command, stack, sorted((market_data_dir / "binance").glob("*.zip")))
    async with overhear(stack.redis_url) as wire, User(stack.api_urls[0], stack.token("user123")) as user:
        ours = await user.submit(CONTRACT_PARAMS)
        over_http = await _completed(wire, user, ours)
        foreign = "bt_abc123"
        await _publish(stack, {"backtestId": foreign, "userId": "user123", "params": CONTRACT_PARAMS})
        from_outside = await _completed(wire, user, foreign)
        assert from_outside["resultHash"] == over_http["resultHash"]
        assert from_outside["datasetHash"] == over_http["datasetHash"]
        listed = await user.read(ROOT)
        assert {one["backtestId"] for one in listed["items"]} == {ours, foreign}
        for backtest_id in (ours, foreign):
            record = await user.read(f"{ROOT}/{backtest_id}")
            assert (record["status"], record["epoch"], record["failures"]) == ("completed", 1, 0)
            said = as_sockets_hear(wire.of(backtest_id))
            assert [(name, one["epoch"], one["seq"]) for name, one in user.told.of(backtest_id)] == said
            assert sum(name == "backtest:complete" for name, *_ in said) == 1


def _import_with_the_command(stack: Stack, files: list[Path]) -> None:
    assert files
    done = subprocess.run(
        [sys.executable, "-m", "deploy.cli", "data", "import", *map(str, files)],
        env=environment_for_child(stack.settings),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("BTCUSDT 1h: 8,784 bars added"), done.stdout + done.stderr


async def _publish(stack: Stack, task: dict[str, Any]) -> None:
    async with Redis.from_url(stack.redis_url) as outsider:
        await outsider.publish("backtest:task", json.dumps(task))


async def _completed(wire: Told, user: User, backtest_id: str) -> dict[str, Any]:
    """Reads the results at the moment the channel says `complete`, and again when the socket does (S4)."""
    name, on_channel = await wire.end_of(backtest_id)
    assert (name, on_channel["status"], on_channel["userId"]) == ("backtest:complete", "success", "user123"), on_channel
    read = await _results(user, backtest_id)
    assert await user.told.end_of(backtest_id) == (name, on_channel)
    assert await _results(user, backtest_id) == read
    result, points, trades = read
    assert result["resultId"] == on_channel["resultId"]
    assert result["resultHash"] == on_channel["resultHash"]
    assert result["totalBars"] == BARS_OF_CONTRACT
    assert {"totalReturn", "sharpeRatio", "maxDrawdown"} <= on_channel["summary"].keys()
    assert on_channel["summary"] == result["summary"]
    assert trades["total"] == len(trades["items"]) == result["metrics"]["totalTrades"] > 10
    assert {one["strategy"] for one in trades["items"]} == {"sma", "rsi"}
    assert points[-1]["equity"] == result["metrics"]["finalEquity"]
    assert points[0]["time"] < trades["items"][0]["entryTime"] < trades["items"][-1]["exitTime"] <= points[-1]["time"]
    return on_channel


async def _results(user: User, backtest_id: str) -> tuple[Any, Any, Any]:
    path = f"{ROOT}/{backtest_id}"
    result, equity, trades = await asyncio.gather(
        user.read(f"{path}/result"), user.read(f"{path}/equity"), user.read(f"{path}/trades?limit=5000")
    )
    return result, equity["points"], trades
