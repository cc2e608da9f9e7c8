"""Tasks that somebody published without a record, heard by gateways: each is stored once or answered once."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from shared import adoption
from shared.adoption import Adoption
from shared.contracts import Channel
from shared.errors import StoreUnavailable
from shared.request import BacktestParams
from shared.settings import Settings
from shared.store import Store
from tests.fleet import Fleet, fleet_on, request
from tests.gateway import gateway_on

BURST = 3_000
BURST_LIMIT_S = 20.0
PARAMS = request(endDate="2024-01-03")
LAST = "bt_last"


@pytest.fixture
async def fleet(make_settings: Callable[..., Settings], tmp_path: Path) -> AsyncIterator[Fleet]:
    async with fleet_on(make_settings(), tmp_path, 100) as opened:
        yield opened


def task(backtest_id: str, user: str = "ann", params: BacktestParams = PARAMS, **more: Any) -> str:
    return json.dumps({"backtestId": backtest_id, "userId": user, "params": params.as_wire(), **more})


async def publish(fleet: Fleet, payloads: Sequence[str]) -> None:
    async with Redis.from_url(fleet.settings.redis_url.get_secret_value()) as outsider:
        for at in range(0, len(payloads), 500):
            pipe = outsider.pipeline(transaction=False)
            for payload in payloads[at : at + 500]:
                pipe.publish(Channel.TASK.value, payload)
            await pipe.execute()


async def stored(fleet: Fleet, count: int, deadline_s: float = BURST_LIMIT_S) -> None:
    """Until there are so many records."""
    backtests = fleet.database.mongo.collection("backtests")
    deadline_s += time.monotonic()
    while (found := await backtests.estimated_document_count()) < count:
        assert time.monotonic() < deadline_s, f"only {found} of {count} are stored"
        await asyncio.sleep(0.2)
    assert found == count


def errors_of(fleet: Fleet) -> Counter[tuple[str, str]]:
    return Counter((one["backtestId"], one["code"]) for one in fleet.news if one["channel"] == Channel.ERROR)


async def listeners(fleet: Fleet) -> int:
    async with Redis.from_url(fleet.settings.redis_url.get_secret_value()) as outsider:
        [(_, count)] = await outsider.pubsub_numsub(Channel.TASK.value)
    return count


@asynccontextmanager
async def listening(fleet: Fleet) -> AsyncIterator[Adoption]:
    """One that hears the channel as a gateway does."""
    one = Adoption(fleet.store, fleet.bus, fleet.settings)
    before = await listeners(fleet)
    hearing = asyncio.create_task(one.listen())
    try:
        while await listeners(fleet) == before:
            assert not hearing.done()
            await asyncio.sleep(0.01)
        yield one
    finally:
        hearing.cancel()
        await asyncio.wait([hearing])


async def until(holds: Callable[[], bool], what: str, deadline_s: float = 20.0) -> None:
    deadline_s += time.monotonic()
    while not holds():
        assert time.monotonic() < deadline_s, f"waited in vain until {what}"
        await asyncio.sleep(0.01)


async def test_a_burst_while_no_worker_lives_is_stored_once_by_two_gateways_and_run_later(fleet: Fleet) -> None:
    async with gateway_on(fleet.settings), gateway_on(fleet.settings):
        while await listeners(fleet) < 2:  # noqa: ASYNC110 - Redis tells nobody who subscribes
            await asyncio.sleep(0.01)
        await publish(fleet, [task(f"bt_{number}", user=f"user{number % 7}") for number in range(BURST)])
        await stored(fleet, BURST)
        pending = {"status": "pending", "queueRank": {"$gt": 0}, "epoch": 0}
        assert await fleet.database.mongo.collection("backtests").count_documents(pending) == BURST
        fleet.start_worker()
        ends: set[str] = set()
        while len(ends) < 50:
            end = await fleet.heard(lambda one: one["channel"] == Channel.COMPLETE and one["backtestId"] not in ends)
            ends.add(end["backtestId"])
    assert errors_of(fleet) == Counter()


async def test_a_task_heard_by_gateways_alone_rings_for_the_workers_once_it_is_stored(fleet: Fleet) -> None:
    async with listening(fleet), fleet.bus.listen(Channel.TASK) as heard, asyncio.timeout(10):
        await anext(heard)
        await publish(fleet, [task("bt_1")])
        bells = [json.loads((await anext(heard)).payload) for _ in range(2)]  # type: ignore[union-attr]
        record = await fleet.store.get("bt_1", "ann")
    assert [one.get("recorded", False) for one in bells] == [False, True]
    assert (record["status"], record["params"]) == ("pending", PARAMS.as_wire())


async def test_a_task_whose_winner_died_before_it_was_stored_is_stored_by_whoever_else_heard_it(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adoption, "SECOND_LOOK_S", 1.5)
    payload = task("bt_orphan")
    async with listening(fleet):
        bell = adoption.Published(payload, 0.0, 0, 0.0).bell
        assert await fleet.bus.win_bells([bell], 1_000) == [True]  # By one that dies now.
        await publish(fleet, [payload])
        await stored(fleet, 1)
    assert (await fleet.store.get("bt_orphan", "ann"))["status"] == "pending"


async def test_what_does_not_fit_is_refused_aloud_and_only_once(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adoption, "TASKS_MAX", 10)
    async with listening(fleet), listening(fleet):
        await publish(fleet, [task(f"bt_{number}") for number in range(30)])
        await fleet.heard(lambda _: len(errors_of(fleet)) == 20)
        await stored(fleet, 10)
        await publish(fleet, [task(LAST)])
        await stored(fleet, 11)
    assert errors_of(fleet) == {(f"bt_{number}", "too_many"): 1 for number in range(10, 30)}


async def test_what_waits_is_bounded_in_bytes(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adoption, "BYTES_MAX", 20_000)
    async with listening(fleet):
        await publish(fleet, [task(f"bt_{number}", note="x" * 9_000) for number in range(5)])
        await fleet.heard(lambda _: len(errors_of(fleet)) == 3)
        await stored(fleet, 2)


async def test_while_the_store_is_away_tasks_are_kept_and_the_channel_is_read(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopt, away = Store.adopt, True

    async def away_for_now(self: Store, tasks: Any) -> Any:
        if away:
            raise StoreUnavailable("away")
        return await adopt(self, tasks)

    monkeypatch.setattr(Store, "adopt", away_for_now)
    async with listening(fleet) as one:
        await publish(fleet, [task(f"bt_{number}") for number in range(1_000)])
        await until(lambda: one.kept == 1_000, "all were heard")
        await stored(fleet, 0)
        away = False
        await stored(fleet, 1_000)
    assert (one.kept, errors_of(fleet)) == (0, Counter())


async def test_when_the_store_stays_away_every_task_is_answered_once(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(self: Store, tasks: Any) -> Any:
        raise StoreUnavailable("away")

    monkeypatch.setattr(Store, "adopt", away)
    monkeypatch.setattr(adoption, "PATIENCE_S", 1.0)
    async with listening(fleet) as one, listening(fleet) as other:
        await publish(fleet, [task(f"bt_{number}") for number in range(900)])
        await fleet.heard(lambda _: len(errors_of(fleet)) == 900)
        await until(lambda: not (one.kept or other.kept), "nothing was kept")
    assert errors_of(fleet) == {(f"bt_{number}", "store_unavailable"): 1 for number in range(900)}


async def test_one_that_is_stopped_stores_first_what_it_has_heard(fleet: Fleet) -> None:
    async with listening(fleet) as one:
        payloads = [task(f"bt_{number}") for number in range(1_500)]
        for payload in payloads:
            one.hear(payload)
    await stored(fleet, len(payloads), deadline_s=0.0)
