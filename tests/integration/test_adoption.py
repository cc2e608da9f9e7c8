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

from api.auth import mint_token
from shared import adoption
from shared.adoption import Adoption
from shared.claims import Published, completed
from shared.contracts import Channel, Complete, Summary
from shared.errors import StoreUnavailable
from shared.records import new_id
from shared.request import BacktestParams
from shared.results import Result
from shared.settings import Settings
from shared.store import Store
from tests.fleet import Fleet, fleet_on, request
from tests.gateway import Ear, gateway_on

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


async def test_what_a_published_task_has_too_much_is_warned_of_with_its_result(fleet: Fleet) -> None:
    params = request(startDate="2023-12-01").as_wire() | {"stopLos": {"percent": 2}}
    async with listening(fleet):
        await publish(
            fleet, [json.dumps({"backtestId": "bt_1", "userId": "ann", "params": params, "source": "elsewhere"})]
        )
        await stored(fleet, 1)
        unknown = (await fleet.store.get("bt_1", "ann")).get("warnings", [])
        fleet.start_worker()
        end = await fleet.end_of("bt_1")
    assert [(one["code"], one["field"]) for one in end["warnings"]] == [
        ("unknown_field", "params.stopLos"),
        ("unknown_field", "source"),
        ("data_begin_later", "params.startDate"),
        ("data_end_earlier", "params.endDate"),
    ]
    assert unknown == end["warnings"][:2]
    assert unknown[0]["message"] == "was ignored: unknown field; did you mean stopLoss?"
    assert (await fleet.store.get("bt_1", "ann")).get("warnings") == end["warnings"]
    result = Result.of(await fleet.results.read(end["resultId"], "ann")).as_wire()
    assert result["warnings"] == end["warnings"]
    span = ("2024-01-01T00:00:00Z", "2024-01-05T04:00:00Z")
    assert (result["effectiveStart"], result["effectiveEnd"]) == span == (end["effectiveStart"], end["effectiveEnd"])


async def test_a_task_whose_winner_died_before_it_was_stored_is_stored_by_whoever_else_heard_it(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adoption, "SECOND_LOOK_S", 1.5)
    payload = task("bt_orphan")
    async with listening(fleet):
        bell = adoption.PublishedTask(payload, 0.0, 0, 0.0).bell
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

    async def away_for_now(self: Store, *tasks: Any) -> Any:
        if away:
            raise StoreUnavailable("away")
        return await adopt(self, *tasks)

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
    async def away(self: Store, *tasks: Any) -> Any:
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


# The same id again


async def age(fleet: Fleet, backtest_id: str) -> None:
    """As if it had been published long ago: nothing in Redis remembers it, and the record is old."""
    async with Redis.from_url(fleet.settings.redis_url.get_secret_value()) as outsider:
        for key in await outsider.keys("backtest:bell:*"):
            await outsider.delete(key)
    old = {"createdAt": fleet.store.now_ms() - 2 * adoption.SAME_PUBLICATION_MS}
    await fleet.database.mongo.collection("backtests").update_one({"_id": backtest_id}, {"$set": old})


async def ended(fleet: Fleet, backtest_id: str) -> dict[str, Any]:
    """Runs it as a worker would, as far as its record and its news are concerned; the end."""
    record = await fleet.claims.claim("worker", new_id("claim"))
    assert record is not None
    assert record["_id"] == backtest_id
    said = Complete(backtest_id=backtest_id, user_id="ann", epoch=1, seq=3, result_id="res_1", summary=Summary())
    assert await fleet.claims.end([completed(record, said, dataset_hash="d")]) == [True]
    assert await fleet.bus.publish(Channel.COMPLETE, said)
    await fleet.claims.mark_published([Published(backtest_id, 1, 3)])
    return await fleet.end_of(backtest_id)


async def after_all_heard(fleet: Fleet) -> None:
    await publish(fleet, [task(LAST)])
    await until_recorded(fleet, LAST)


async def until_recorded(fleet: Fleet, backtest_id: str) -> None:
    backtests = fleet.database.mongo.collection("backtests")
    async with asyncio.timeout(20):
        while await backtests.find_one({"_id": backtest_id}) is None:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("user", "changes"),
    [("ann", {"strategies": ["rsi"], "strategyParams": {}}), ("bob", {})],
    ids=["another request", "another user"],
)
async def test_an_id_that_stands_for_something_else_is_refused_to_whoever_published_it(
    fleet: Fleet, user: str, changes: dict[str, Any]
) -> None:
    other = request(endDate="2024-01-03", **changes)
    async with listening(fleet), listening(fleet):
        await publish(fleet, [task("bt_1")])
        await until_recorded(fleet, "bt_1")
        before = await fleet.store.get("bt_1", "ann")
        await publish(fleet, [task("bt_1", user=user, params=other)])
        error = await fleet.heard(lambda one: one["channel"] == Channel.ERROR)
        await after_all_heard(fleet)
    assert (error["backtestId"], error["userId"], error["code"]) == ("bt_1", user, "conflict")
    assert [one["field"] for one in error["errors"]] == ["backtestId"]
    assert not {"epoch", "seq"} & error.keys(), "it would fence what the run of that id still has to say"
    assert "another user" not in json.dumps(error)
    assert errors_of(fleet) == {("bt_1", "conflict"): 1}
    assert await fleet.store.get("bt_1", "ann") == before


async def test_the_same_task_again_is_answered_with_its_end_as_it_was_said(fleet: Fleet) -> None:
    async with listening(fleet), listening(fleet):
        await publish(fleet, [task("bt_1")])
        await until_recorded(fleet, "bt_1")
        end = await ended(fleet, "bt_1")
        await age(fleet, "bt_1")
        logged = (await fleet.bus.replay("bt_1", None)).news
        await publish(fleet, [task("bt_1")])
        await fleet.heard(lambda _: len(fleet.said_of("bt_1")) == 2)
        await after_all_heard(fleet)
    assert fleet.said_of("bt_1") == [end, end]
    assert (await fleet.bus.replay("bt_1", None)).news == logged


async def test_the_same_task_again_is_answered_with_its_progress_before_its_end(fleet: Fleet) -> None:
    async with listening(fleet), listening(fleet):
        await publish(fleet, [task("bt_1")])
        await until_recorded(fleet, "bt_1")
        await age(fleet, "bt_1")
        await publish(fleet, [task("bt_1")])
        said = await fleet.heard(lambda one: one["backtestId"] == "bt_1")
        await after_all_heard(fleet)
    assert fleet.said_of("bt_1") == [said]
    assert (said["channel"], said["progress"], said["message"]) == (Channel.PROGRESS, 0.0, "The backtest is pending")
    assert (said["currentDate"], "epoch" in said) == ("2024-01-01", False)


async def test_a_client_that_has_heard_the_end_hears_nothing_of_a_task_that_is_published_again(fleet: Fleet) -> None:
    async with gateway_on(fleet.settings) as url:
        while await listeners(fleet) < 1:  # noqa: ASYNC110 - Redis tells nobody who subscribes
            await asyncio.sleep(0.01)
        ear = Ear()
        await ear.sio.connect(url, auth={"token": mint_token(fleet.settings, "ann", 60)}, transports=["websocket"])
        await publish(fleet, [task("bt_1")])
        await until_recorded(fleet, "bt_1")
        await ended(fleet, "bt_1")
        await ear.hears_event("backtest:complete")
        await age(fleet, "bt_1")
        await publish(
            fleet, [task("bt_1"), task("bt_1", params=request(endDate="2024-01-09")), task("bt_2", user="bob")]
        )
        await fleet.heard(lambda _: len(fleet.said_of("bt_1")) == 3)
        await publish(fleet, [task(LAST, params=request(endDate="2024-01-09"), priority=10)])
        await ear.hears(lambda _, said: said.get("backtestId") == LAST)
        assert ear.events_of("bt_1") == ["backtest:complete"]
        await ear.sio.disconnect()
