"""What dies, and what is lost: nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from shared.contracts import Channel
from shared.settings import Settings
from tests.conftest import Backends, on_each_record_backend, on_one_pair
from tests.fleet import Fleet, WorkerProcess, fleet_on, request

# One bar a step makes a run of these bars last long enough to be interrupted in the middle.
BARS = 6_000
STEP = {"chunk_bars": 1}


@pytest.fixture
async def fleet(backends: Backends, make_settings: Callable[..., Settings], tmp_path: Path) -> AsyncIterator[Fleet]:
    settings = make_settings(lease_ttl_s=2.0, lease_renew_s=0.4)
    async with fleet_on(settings, tmp_path, BARS) as opened:
        yield opened


async def uninterrupted_hash(fleet: Fleet) -> str:
    """The result hash of the same backtest when nobody disturbs it."""
    record = await fleet.submit(request(), user="calm")
    return str((await fleet.end_of(record["_id"]))["resultHash"])


async def freeze_in_the_middle(fleet: Fleet, worker: WorkerProcess, backtest_id: str, epoch: int = 1) -> int:
    """Stops the worker's engine process in the middle of a run, so that the run cannot end before it is disturbed."""
    await fleet.heard(
        lambda one: (one["backtestId"], one["epoch"]) == (backtest_id, epoch) and 0 < one.get("progress", 0) < 100
    )
    [engine] = worker.engine_pids()
    os.kill(engine, signal.SIGSTOP)
    record = await fleet.store.get(backtest_id, "ann")
    assert (record["status"], record["epoch"]) == ("running", epoch), "the run ended before it could be disturbed"
    return engine


def assert_order_holds(said: list[dict[str, Any]]) -> None:
    """S5: never an older epoch after a newer, nothing after the end, each message once."""
    at = [(one["epoch"], one["seq"]) for one in said]
    assert at == sorted(set(at))
    assert sum(one["channel"] in (Channel.COMPLETE, Channel.ERROR) for one in said) == 1
    assert said[-1]["channel"] in (Channel.COMPLETE, Channel.ERROR)


@on_each_record_backend
async def test_kill_9_of_a_worker_loses_nothing(fleet: Fleet) -> None:
    victim = fleet.start_worker(**STEP)
    record = await fleet.submit(request())
    engine = await freeze_in_the_middle(fleet, victim, record["_id"])
    victim.kill()
    fleet.start_worker()
    end = await fleet.end_of(record["_id"])
    assert (end["channel"], end["epoch"]) == (Channel.COMPLETE, 2)
    assert end["resultHash"] == await uninterrupted_hash(fleet)
    stored = await fleet.store.get(record["_id"], "ann")
    assert (stored["status"], stored["failures"]) == ("completed", 1)
    result = await fleet.results.read(stored["resultId"], "ann")
    assert result["resultHash"] == end["resultHash"]
    assert_order_holds(fleet.said_of(record["_id"]))
    assert not Path(f"/proc/{engine}").exists(), "an engine process outlived its worker"


@on_one_pair
async def test_kill_9_of_an_engine_process_loses_nothing(fleet: Fleet) -> None:
    worker = fleet.start_worker(**STEP)
    record = await fleet.submit(request())
    engine = await freeze_in_the_middle(fleet, worker, record["_id"])
    os.kill(engine, signal.SIGKILL)
    end = await fleet.end_of(record["_id"])
    assert (end["channel"], end["epoch"]) == (Channel.COMPLETE, 2)
    assert end["resultHash"] == await uninterrupted_hash(fleet)
    assert worker.process.poll() is None
    assert_order_holds(fleet.said_of(record["_id"]))


@on_one_pair
async def test_sigterm_gives_the_run_back_uncounted_and_exits_cleanly(fleet: Fleet) -> None:
    worker = fleet.start_worker(**STEP, drain_timeout_s=0.1)
    record = await fleet.submit(request())
    await freeze_in_the_middle(fleet, worker, record["_id"])
    worker.terminate()
    assert await worker.ended(15) == 0
    given_back = await fleet.store.get(record["_id"], "ann")
    assert (given_back["status"], given_back["failures"]) == ("pending", 0)
    fleet.start_worker()
    assert (await fleet.end_of(record["_id"]))["channel"] == Channel.COMPLETE
    assert_order_holds(fleet.said_of(record["_id"]))


@on_one_pair
async def test_sigterm_lets_a_run_finish_when_there_is_time(fleet: Fleet) -> None:
    worker = fleet.start_worker(**STEP, drain_timeout_s=30.0)
    record = await fleet.submit(request())
    engine = await freeze_in_the_middle(fleet, worker, record["_id"])
    worker.terminate()
    os.kill(engine, signal.SIGCONT)
    assert await worker.ended(40) == 0
    stored = await fleet.store.get(record["_id"], "ann")
    assert (stored["status"], stored["epoch"], stored["outboxAt"]) == ("completed", 1, 0)


@on_one_pair
async def test_a_run_that_kills_its_engine_every_time_fails_with_a_clear_error(fleet: Fleet) -> None:
    worker = fleet.start_worker(**STEP, failures_max=2)
    record = await fleet.submit(request())
    for epoch in (1, 2):
        engine = await freeze_in_the_middle(fleet, worker, record["_id"], epoch)
        os.kill(engine, signal.SIGKILL)
    end = await fleet.end_of(record["_id"])
    assert (end["channel"], end["code"]) == (Channel.ERROR, "poisoned")
    assert "crashed 2 times" in end["error"]
    assert "signal 9" in end["error"]
    assert_order_holds(fleet.said_of(record["_id"]))
    healthy = await fleet.submit(request(endDate="2024-01-20"))
    assert (await fleet.end_of(healthy["_id"]))["channel"] == Channel.COMPLETE


@on_one_pair
async def test_a_hung_engine_is_killed_within_its_stall_limit(fleet: Fleet) -> None:
    worker = fleet.start_worker(**STEP, stall_limit_s=1.0)
    record = await fleet.submit(request())
    await freeze_in_the_middle(fleet, worker, record["_id"])
    end = await fleet.end_of(record["_id"])
    assert (end["channel"], end["epoch"]) == (Channel.COMPLETE, 2)


@on_each_record_backend
async def test_a_worker_that_was_stopped_and_woke_up_changes_nothing(fleet: Fleet) -> None:
    sleeper = fleet.start_worker(**STEP)
    record = await fleet.submit(request())
    engine = await freeze_in_the_middle(fleet, sleeper, record["_id"])
    os.kill(sleeper.process.pid, signal.SIGSTOP)
    fleet.start_worker()
    end = await fleet.end_of(record["_id"])
    for pid in (engine, sleeper.process.pid):
        os.kill(pid, signal.SIGCONT)
    after = await fleet.submit(request(endDate="2024-01-20"))
    await fleet.end_of(after["_id"])
    stored = await fleet.store.get(record["_id"], "ann")
    assert (stored["status"], stored["epoch"], end["epoch"]) == ("completed", 2, 2)
    assert_order_holds(fleet.said_of(record["_id"]))
