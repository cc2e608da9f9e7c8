"""What worker processes do when a bell, a message or another worker is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from api.auth import Identity
from api.awaited import Awaited
from api.commands import Commands
from shared.bars import Bars
from shared.candles.grid import Grid
from shared.candles.resample import resample_bars
from shared.claims import completed
from shared.contracts import TERMINAL_CHANNELS, Channel, Complete, Summary, Task
from shared.errors import NotFound
from shared.news import DELETED
from shared.records import BacktestRecord, new_id
from shared.settings import Settings
from shared.steering import Steering
from tests.conftest import Backends, on_each_record_backend, on_one_pair
from tests.fleet import HOUR_MS, SYMBOL, Fleet, WorkerProcess, fleet_on, random_walk, request

# One bar a step makes a run of these bars last long enough to be caught in the middle.
BARS = 12_000
LEASE_TTL_S = 1.5
SWEEP_S = 0.3
# What a loaded machine may add to a span that is judged.
SLACK_S = 3.0


@pytest.fixture
async def fleet(backends: Backends, make_settings: Callable[..., Settings], tmp_path: Path) -> AsyncIterator[Fleet]:
    settings = make_settings(lease_ttl_s=LEASE_TTL_S, lease_renew_s=0.3, sweep_interval_s=SWEEP_S)
    async with fleet_on(settings, tmp_path, BARS) as opened:
        yield opened


async def start_warm(fleet: Fleet, **overrides: Any) -> WorkerProcess:
    """A worker that has run a backtest and has nothing to do."""
    worker = fleet.start_worker(**overrides)
    first = await fleet.submit(request(endDate="2024-01-03"), user="warm")
    await fleet.end_of(first["_id"])
    return worker


async def insert(fleet: Fleet, **changes: Any) -> BacktestRecord:
    """A pending record of which nobody is told."""
    record, _ = await fleet.store.insert(user_id="ann", params=request(**changes), priority=0, idempotency_key=None)
    return record


async def eventually(holds: Callable[[], Awaitable[bool]], what: str, deadline_s: float = 20.0) -> None:
    deadline = time.monotonic() + deadline_s
    while not await holds():
        assert time.monotonic() < deadline, f"waited {deadline_s:g} s until {what}"
        await asyncio.sleep(0.02)


async def results_of(fleet: Fleet, backtest_id: str) -> int:
    return await fleet.database.mongo.collection("results").count_documents({"backtestId": backtest_id})


def ends_of(fleet: Fleet, backtest_id: str) -> list[dict[str, Any]]:
    return [one for one in fleet.said_of(backtest_id) if one["channel"] in TERMINAL_CHANNELS]


async def after_all_said(fleet: Fleet) -> None:
    """Until one more backtest has run: what was published before its end has been heard."""
    last = await fleet.submit(request(endDate="2024-01-03"), user="last")
    await fleet.end_of(last["_id"])


@on_one_pair
async def test_a_backtest_whose_bell_was_lost_is_found_within_a_sweep(fleet: Fleet) -> None:
    await start_warm(fleet)
    record = await insert(fleet)
    end = await fleet.end_of(record["_id"])
    stored = await fleet.store.get(record["_id"], "ann")
    assert (end["channel"], stored["status"], stored["epoch"]) == (Channel.COMPLETE, "completed", 1)
    assert stored["startedAt"] - stored["createdAt"] < 1000 * (SWEEP_S + SLACK_S)


@on_each_record_backend
async def test_news_that_a_dead_worker_left_unpublished_is_published_exactly_once(fleet: Fleet) -> None:
    await insert(fleet)
    record = await fleet.claims.claim("dead worker", new_id("claim"))
    assert record is not None
    news = Complete(
        backtest_id=record["_id"], user_id="ann", epoch=1, seq=5, result_id="res_dead", summary=Summary(total_return=4)
    )
    ending = completed(record, news, dataset_hash="d")
    assert await fleet.claims.end([ending]) == [True]
    for _ in range(3):
        fleet.start_worker()
    end = await fleet.end_of(record["_id"])
    assert {name: end[name] for name in ("channel", "epoch", "seq", "resultId")} == {
        "channel": Channel.COMPLETE,
        "epoch": 1,
        "seq": 5,
        "resultId": "res_dead",
    }

    async def is_marked() -> bool:
        return (await fleet.store.get(record["_id"], "ann"))["outboxAt"] == 0

    await eventually(is_marked, "the outbox was marked as published")
    await after_all_said(fleet)
    assert len(fleet.said_of(record["_id"])) == 1
    stored = await fleet.store.get(record["_id"], "ann")
    assert (stored["status"], stored["epoch"]) == ("completed", 1)


async def test_a_foreign_task_is_adopted_and_run_once_by_three_workers(fleet: Fleet) -> None:
    for _ in range(3):
        fleet.start_worker()

    async def all_hear() -> bool:
        return await fleet.bus.ring(Task(backtest_id="bt_0", user_id="ann", params=request(), recorded=True)) == 3

    await eventually(all_hear, "three workers heard a bell")
    tasks = [Task(backtest_id=f"bt_foreign{n}", user_id="ann", params=request()) for n in range(5)]
    for task in tasks:
        await fleet.bus.ring(task)
        await fleet.bus.ring(task)  # Somebody else's gateway may repeat itself.
    hashes = {(await fleet.end_of(task.backtest_id))["resultHash"] for task in tasks}
    assert len(hashes) == 1
    await after_all_said(fleet)
    for task in tasks:
        assert [one["channel"] for one in ends_of(fleet, task.backtest_id)] == [Channel.COMPLETE]
        stored = await fleet.store.get(task.backtest_id, "ann")
        assert (stored["status"], stored["epoch"], stored["failures"]) == ("completed", 1, 0)
        assert await results_of(fleet, task.backtest_id) == 1


@on_one_pair
async def test_a_claim_whose_holder_vanished_is_restarted_within_its_lease_and_a_sweep(fleet: Fleet) -> None:
    worker = await start_warm(fleet)
    # So that the worker cannot be faster than the client that is to vanish.
    worker.process.send_signal(signal.SIGSTOP)
    await insert(fleet)
    claimed = await fleet.claims.claim("vanished", new_id("claim"))
    worker.process.send_signal(signal.SIGCONT)
    assert claimed is not None
    end = await fleet.end_of(claimed["_id"])
    stored = await fleet.store.get(claimed["_id"], "ann")
    assert (end["channel"], end["epoch"]) == (Channel.COMPLETE, 2)
    assert (stored["status"], stored["epoch"], stored["failures"]) == ("completed", 2, 1)
    late_ms = stored["startedAt"] - claimed["leaseExpiresAt"]
    assert 0 <= late_ms < 1000 * (SWEEP_S + SLACK_S)
    # Should it come back, it can change nothing.
    assert not await fleet.claims.requeue(claimed, failed=False)
    assert (await fleet.store.get(claimed["_id"], "ann"))["resultId"] == end["resultId"]


async def deleted_in_the_middle(fleet: Fleet, worker: WorkerProcess) -> tuple[str, int]:
    """A backtest that its owner deleted while it ran, and its engine process, which stands still."""
    record = await fleet.submit(request())
    backtest_id = record["_id"]
    await fleet.heard(lambda one: one["backtestId"] == backtest_id and 0 < one.get("progress", 0) < 100)
    [engine] = worker.engine_pids()
    os.kill(engine, signal.SIGSTOP)
    assert (await fleet.store.get(backtest_id, "ann"))["status"] == "running", "the run ended before it was deleted"
    commands = Commands(
        fleet.database,
        fleet.bus,
        fleet.settings,
        steering=Steering(fleet.database, fleet.bus),
        awaited=Awaited(),
        on_submitted=lambda _: None,
    )
    await commands.delete(Identity("ann"), backtest_id)
    return backtest_id, engine


async def assert_nothing_is_left(fleet: Fleet, backtest_id: str) -> None:
    """Neither record nor result, and the last that was said of it is that it was deleted."""
    with pytest.raises(NotFound):
        await fleet.store.get(backtest_id, "ann")
    assert await results_of(fleet, backtest_id) == 0
    [end] = ends_of(fleet, backtest_id)
    assert (end["channel"], end["code"]) == (Channel.ERROR, DELETED)
    assert fleet.said_of(backtest_id)[-1] == end


@on_one_pair
async def test_a_backtest_that_is_deleted_while_it_runs_stops_and_leaves_nothing(fleet: Fleet) -> None:
    worker = fleet.start_worker(chunk_bars=1)
    backtest_id, engine = await deleted_in_the_middle(fleet, worker)

    async def has_stopped() -> bool:
        return engine not in worker.engine_pids()

    # By the renewal that finds the claim gone, not by the stall limit, which is far longer.
    await eventually(has_stopped, "the engine process of the deleted backtest was ended", deadline_s=5.0)
    await after_all_said(fleet)
    assert worker.process.poll() is None
    await assert_nothing_is_left(fleet, backtest_id)


@on_one_pair
async def test_a_run_that_ends_before_it_knows_that_it_was_deleted_discards_its_result(fleet: Fleet) -> None:
    worker = fleet.start_worker(chunk_bars=1, lease_ttl_s=90.0, lease_renew_s=30.0)
    backtest_id, engine = await deleted_in_the_middle(fleet, worker)
    os.kill(engine, signal.SIGCONT)
    await after_all_said(fleet)  # by the only slot there is, so the run before it has ended
    assert worker.engine_pids() == [engine]
    await assert_nothing_is_left(fleet, backtest_id)


def following_bars(count: int) -> Bars:
    """Bars that begin where those of the fleet end."""
    walk = random_walk(count, seed=5)
    return walk._replace(time_ms=walk.time_ms + BARS * HOUR_MS)


@on_one_pair
async def test_data_imported_between_submit_and_run_changes_nothing_of_a_pinned_backtest(fleet: Fleet) -> None:
    params = request()
    pinned = await fleet.candles.resolve(SYMBOL, "1h", params.start_ms, params.end_ms)
    record, _ = await fleet.store.insert(user_id="ann", params=params, priority=0, idempotency_key=None, bars=pinned)
    report = await fleet.candles.import_bars(SYMBOL, "1h", following_bars(500), "more of the same")
    assert (report.added, report.version) == (500, 2)
    fleet.start_worker()
    end = await fleet.end_of(record["_id"])
    later = await fleet.end_of((await fleet.submit(params))["_id"])
    assert (end["totalBars"], end["datasetHash"]) == (BARS, pinned.dataset_hash)
    assert later["totalBars"] == BARS + 500
    assert later["datasetHash"] != end["datasetHash"]
    assert later["resultHash"] != end["resultHash"]


@on_one_pair
async def test_bars_imported_later_are_not_read_by_a_backtest_pinned_to_finer_ones(fleet: Fleet) -> None:
    params = request(interval="4h")
    pinned = await fleet.candles.resolve(SYMBOL, "4h", params.start_ms, params.end_ms)
    record, _ = await fleet.store.insert(user_id="ann", params=params, priority=0, idempotency_key=None, bars=pinned)
    native = resample_bars(random_walk(BARS, seed=8), Grid.every(4 * HOUR_MS))
    await fleet.candles.import_bars(SYMBOL, "4h", native, "of an exchange")
    fleet.start_worker(chunk_bars=10)
    end = await fleet.end_of(record["_id"])
    started = await fleet.heard(lambda one: one.get("type") == "started")
    assert (started["data"]["resampledFrom"], started["data"]["totalBars"]) == ("1h", BARS // 4)
    stored = await fleet.results.read(end["resultId"], "ann")
    assert (end["totalBars"], end["datasetHash"]) == (BARS // 4, pinned.dataset_hash)
    assert stored.get("resampledFrom") == "1h"
    later = await fleet.end_of((await fleet.submit(params))["_id"])
    assert (await fleet.results.read(later["resultId"], "ann")).get("resampledFrom") is None
    assert later["datasetHash"] != end["datasetHash"]
