"""Commands into records, on every record server: each is one conditional update, and whoever lost a race tries anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from shared.bus import Bus, Heard
from shared.claims import lease_of
from shared.contracts import Channel, Task
from shared.controls import ControlRequest
from shared.database import Database
from shared.errors import BusUnavailable, Busy, InvalidRequest, NotFound, TooMany
from shared.overview import Overview
from shared.records import BacktestRecord, new_id
from shared.settings import Settings
from shared.steering import WAITING_MAX, Steered, Steering
from shared.wire import decode, validate
from tests.fleet import request


@dataclass
class Wheel:
    """A database, a bus, and two gateways' ways to steer."""

    database: Database
    bus: Bus
    one: Steering
    other: Steering

    async def submit(self, **params: Any) -> BacktestRecord:
        record, _ = await self.database.store.insert(
            user_id="ann", params=request(**params), priority=0, idempotency_key=None
        )
        return record

    async def claim(self) -> BacktestRecord | None:
        return await self.database.claims.claim("w1", new_id("claim"))

    async def running(self) -> BacktestRecord:
        await self.submit()
        record = await self.claim()
        assert record is not None
        return record

    async def ask(self, record: BacktestRecord, action: str, *, user: str = "ann", **more: Any) -> Steered:
        return await self.one.request(record["_id"], user, asked(action, **more))

    async def now(self, record: BacktestRecord) -> BacktestRecord:
        return await self.database.store.get(record["_id"], "ann")

    async def set(self, record: BacktestRecord, **fields: Any) -> None:
        await self.database.mongo.collection("backtests").update_one({"_id": record["_id"]}, {"$set": fields})


def asked(action: str, **more: Any) -> ControlRequest:
    return validate(ControlRequest, {"action": action, **more})


@pytest.fixture
async def kept(mongodb_uri: str, any_redis_url: str, make_settings: Callable[..., Settings]) -> AsyncIterator[Wheel]:
    settings = make_settings()
    database, bus = await Database.open(settings), await Bus.open(settings)
    yield Wheel(database, bus, Steering(database, bus), Steering(database, bus))
    await bus.close()
    await database.close()


def seqs(record: BacktestRecord) -> list[int]:
    return [one["seq"] for one in record["controls"]]


async def test_two_gateways_that_ask_at_once_come_one_after_the_other(kept: Wheel) -> None:
    record = await kept.running()
    ways = (kept.one, kept.other) * 5
    steered = await asyncio.gather(
        *(way.request(record["_id"], "ann", asked("step", bars=n)) for n, way in enumerate(ways, 1))
    )
    assert sorted(one.seq for one in steered) == list(range(1, 11))
    now = await kept.now(record)
    assert (seqs(now), now["controlSeq"], len(set(now.get("controlIds", [])))) == (list(range(1, 11)), 10, 10)
    by_seq = {one.seq: one.command_id for one in steered}
    assert [one["commandId"] for one in now["controls"]] == [by_seq[seq] for seq in range(1, 11)]


async def test_a_command_that_is_sent_again_counts_once(kept: Wheel) -> None:
    record = await kept.running()
    again = asked("step", commandId="c:1")
    steered = await asyncio.gather(*(way.request(record["_id"], "ann", again) for way in (kept.one, kept.other) * 3))
    assert {(one.seq, one.command_id) for one in steered} == {(1, "c:1")}
    assert seqs(await kept.now(record)) == [1]
    with pytest.raises(InvalidRequest, match="commandId: was used for another command, step"):
        await kept.ask(record, "pause", commandId="c:1")
    # Also once it is done, and after the end, where another command makes no sense any more.
    await kept.set(record, status="stopped", leaseExpiresAt=0, controls=[], controlDone=1, completedAt=5)
    repeated = await kept.one.request(record["_id"], "ann", again)
    assert (repeated.seq, repeated.done, repeated.record["status"]) == (1, True, "stopped")


async def test_a_renewal_beside_a_request_is_not_undone(kept: Wheel, monkeypatch: pytest.MonkeyPatch) -> None:
    record = await kept.running()
    await kept.ask(record, "step")
    await kept.ask(record, "step")
    get = kept.database.store.get
    reads = 0

    async def get_slowly(backtest_id: str, user_id: str) -> BacktestRecord:
        nonlocal reads
        reads += 1
        found = await get(backtest_id, user_id)
        if reads == 1:
            assert await kept.database.claims.renew(lease_of(record), 1.0, control_done=1) is not None
        return found

    monkeypatch.setattr(kept.database.store, "get", get_slowly)
    assert (await kept.ask(record, "speed", speed=5)).seq == 3
    assert reads == 2
    renewed = await kept.database.claims.renew(lease_of(record), 2.0)
    assert renewed is not None
    assert (seqs(renewed), renewed["controlDone"]) == ([2, 3], 1)
    assert renewed["controls"][1]["speed"] == 5


async def test_a_claim_beside_a_request_makes_it_another_one(kept: Wheel, monkeypatch: pytest.MonkeyPatch) -> None:
    record = await kept.submit()
    get = kept.database.store.get

    async def get_then_claim(backtest_id: str, user_id: str) -> BacktestRecord:
        found = await get(backtest_id, user_id)
        if found["status"] == "pending":
            assert await kept.claim() is not None
        return found

    monkeypatch.setattr(kept.database.store, "get", get_then_claim)
    steered = await kept.ask(record, "stop")
    assert (steered.record["status"], steered.done, seqs(steered.record)) == ("running", False, [1])


async def test_whoever_loses_every_race_is_told_to_try_again(kept: Wheel, monkeypatch: pytest.MonkeyPatch) -> None:
    record = await kept.running()
    get = kept.database.store.get

    async def get_old(backtest_id: str, user_id: str) -> BacktestRecord:
        return {**await get(backtest_id, user_id), "controlSeq": 99}

    monkeypatch.setattr(kept.database.store, "get", get_old)
    with pytest.raises(Busy):
        await kept.ask(record, "pause")


async def test_a_pending_one_that_is_paused_waits_outside_the_queue_until_it_goes_on(kept: Wheel) -> None:
    record, later = await kept.submit(), await kept.submit()
    steered = await kept.ask(record, "pause")
    assert (steered.done, steered.record["status"]) == (True, "paused")
    overview = Overview(kept.database.mongo)
    assert [level.pending for level in await overview.queue()] == [1]
    assert (await overview.paused(), await overview.running()) == (1, 0)
    assert (await kept.ask(record, "speed", speed=2)).done
    assert (await kept.now(record))["queueRank"] < 0, "out of the queue, and found without a scan"
    async with kept.bus.listen(Channel.TASK) as items, asyncio.timeout(10):
        await anext(items)
        queued = await kept.ask(record, "resume")
        rung = await anext(items)
    assert (queued.done, queued.record["status"], queued.record["queueRank"]) == (False, "pending", record["queueRank"])
    assert isinstance(rung, Heard)
    assert decode(Task, rung.payload).recorded
    claims = [await kept.claim(), await kept.claim()]
    assert [one and one["_id"] for one in claims] == [record["_id"], later["_id"]]
    assert claims[0] is not None
    assert [(one["action"], one.get("speed")) for one in claims[0]["controls"]] == [
        *(("pause", None), ("speed", 2.0), ("resume", None)),
    ]


async def test_one_that_is_born_paused_is_in_no_queue_but_in_its_users_share(
    kept: Wheel, make_settings: Callable[..., Settings]
) -> None:
    record = await kept.submit(startPaused=True)
    task = Task(backtest_id="bt_foreign", user_id="ann", params=request(startPaused=True))
    assert await kept.database.store.adopt([task]) == [None]
    assert await kept.claim() is None
    page, _ = await kept.database.store.list_page("ann", status="paused", limit=9, before=None)
    assert {one["_id"] for one in page} == {record["_id"], "bt_foreign"}
    full = await Database.open(make_settings(pending_max=2))
    try:
        with pytest.raises(TooMany, match="2 backtests are pending or paused"):
            await full.store.insert(user_id="ann", params=request(), priority=0, idempotency_key=None)
    finally:
        await full.close()
    await kept.ask(record, "step", bars=3)
    claimed = await kept.claim()
    assert claimed is not None
    assert (claimed["_id"], claimed["controls"][0]["bars"]) == (record["_id"], 3)


@pytest.mark.parametrize("paused", [False, True])
async def test_one_that_waits_and_came_to_nothing_is_stopped_at_once(kept: Wheel, paused: bool) -> None:
    record = await kept.submit(startPaused=paused)
    steered = await kept.ask(record, "stop")
    now = await kept.now(record)
    assert (steered.done, now["status"], now["queueRank"], now["epoch"]) == (True, "stopped", 0, 1)
    assert (now["outboxAt"], now.get("error", {}).get("code"), now["controls"]) == (0, "stopped", [])
    replay = await kept.bus.replay(record["_id"], None)
    assert [one.channel for one in replay.news] == [Channel.ERROR]
    assert await kept.claim() is None


async def test_one_that_waits_with_a_checkpoint_is_run_once_more_to_be_stopped(kept: Wheel) -> None:
    record = await kept.submit(startPaused=True)
    await kept.set(record, checkpoint={"position": {"bar": 5}})
    assert not (await kept.ask(record, "stop")).done
    claimed = await kept.claim()
    assert claimed is not None
    assert [one["action"] for one in claimed["controls"]] == ["stop"]


async def test_nobody_steers_what_is_somebody_elses(kept: Wheel) -> None:
    record = await kept.running()
    for user in ("eve", "", "ann "):
        with pytest.raises(NotFound):
            await kept.ask(record, "stop", user=user)
    assert seqs(await kept.now(record)) == []


async def test_commands_that_wait_are_bounded_but_a_stop_is_always_taken(kept: Wheel) -> None:
    record = await kept.running()
    await kept.set(
        record,
        controls=[{"seq": seq, "action": "speed", "speed": 1.0} for seq in range(1, WAITING_MAX + 1)],
        controlSeq=WAITING_MAX,
    )
    with pytest.raises(TooMany):
        await kept.ask(record, "speed", speed=2)
    assert (await kept.ask(record, "stop")).seq == WAITING_MAX + 1
    assert len((await kept.now(record)).get("controlIds", [])) == 1


async def test_what_cannot_be_rung_for_is_stored_all_the_same(kept: Wheel, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise BusUnavailable("away")

    monkeypatch.setattr(kept.bus, "say", away)
    monkeypatch.setattr(kept.bus, "publish_document", away)
    record, waits = await kept.running(), await kept.submit()
    steered = await kept.ask(record, "pause")
    assert (steered.rung, seqs(steered.record)) == (False, [1])
    assert (await kept.ask(waits, "stop")).done
    assert (await kept.now(waits))["outboxAt"] > 0, "a worker's sweep publishes it"


async def test_a_seek_lies_within_what_the_backtest_is_about(kept: Wheel) -> None:
    record = await kept.running()
    with pytest.raises(InvalidRequest, match="time: must lie between"):
        await kept.ask(record, "seek", time="1999-01-01")
    assert (await kept.ask(record, "seek", time=record["params"]["startDate"])).seq == 1
