"""The record's transitions, on every backend: each is one conditional update, and whoever lost matches nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import OperationFailure

from shared import news
from shared.claims import CLAIM_SORT, Published, completed, failed, lease_of
from shared.contracts import Channel, Complete, Failure, Summary, Task
from shared.database import Database
from shared.errors import ConfigurationError, InvalidRequest, NotFound, StoreUnavailable, StoreUnfit, TooMany
from shared.lifecycle import QUEUED, TERMINAL, TRANSITIONS, Status, claimed, ended, held, queued
from shared.mongo import Clock
from shared.news import terminal_news
from shared.positions import Stand
from shared.records import BacktestRecord, new_id, queue_rank
from shared.request import BacktestParams
from shared.settings import Settings, load_settings
from shared.store import Ended
from shared.wire import validate

PARAMS = validate(
    BacktestParams,
    {
        "symbol": "BTCUSDT",
        "interval": "1h",
        "startDate": "2024-01-01",
        "endDate": "2024-02-01",
        "strategies": ["sma"],
    },
)


@pytest.fixture
async def kept(make_settings: Callable[..., Settings], mongodb_uri: str) -> AsyncIterator[Database]:
    opened = await Database.open(make_settings(pending_max=1_000))
    yield opened
    await opened.close()


async def insert(kept: Database, *, user: str = "ann", priority: int = 0, key: str | None = None) -> BacktestRecord:
    record, _ = await kept.store.insert(user_id=user, params=PARAMS, priority=priority, idempotency_key=key)
    return record


async def claim(kept: Database, worker: str = "w1") -> BacktestRecord:
    record = await kept.claims.claim(worker, new_id("claim"))
    assert record is not None
    return record


def completion(record: BacktestRecord) -> Complete:
    return Complete(
        backtest_id=record["_id"],
        user_id=record["userId"],
        epoch=record["epoch"],
        seq=3,
        result_id="res_1",
        summary=Summary(total_return=1.0),
    )


def failure(record: BacktestRecord) -> Failure:
    return Failure(
        backtest_id=record["_id"],
        user_id=record["userId"],
        epoch=record["epoch"],
        seq=3,
        error="broken",
        timestamp="2024-01-01T00:00:00Z",
    )


def no_control(renewed: BacktestRecord | None) -> bool:
    """The lease is still held, and nothing was asked of the run."""
    return renewed is not None and renewed["controls"] == []


async def complete(kept: Database, record: BacktestRecord) -> bool:
    ending = completed(record, completion(record), dataset_hash="sha256:0")
    return await kept.claims.end([ending]) == [True]


async def expire(kept: Database, record: BacktestRecord) -> None:
    """Lets a lease end without waiting for it."""
    past = kept.store.now_ms() - 1
    await kept.mongo.collection("backtests").update_one({"_id": record["_id"]}, {"$set": {"leaseExpiresAt": past}})


async def test_the_best_pending_backtest_is_claimed_first(kept: Database) -> None:
    oldest, urgent, newest = (
        await insert(kept),
        await insert(kept, priority=5),
        await insert(kept, priority=0),
    )
    claimed = [await claim(kept) for _ in range(3)]
    assert [one["_id"] for one in claimed] == [urgent["_id"], oldest["_id"], newest["_id"]]
    assert await kept.claims.claim("w1", new_id("claim")) is None


def test_the_queue_rank_orders_by_priority_and_then_by_age() -> None:
    ranks = [queue_rank(9, 5), queue_rank(1, 4), queue_rank(1, 6), queue_rank(0, 1), queue_rank(-9, 1)]
    assert ranks == sorted(ranks)
    assert ranks[0] > 0


async def test_a_claim_raises_the_epoch_and_names_its_holder(kept: Database) -> None:
    record = await insert(kept)
    first = await claim(kept)
    assert (first["epoch"], first["status"], first["workerId"], first["queueRank"]) == (1, "running", "w1", 0)
    assert await kept.claims.requeue(first, failed=False)
    second = await claim(kept, "w2")
    assert (second["_id"], second["epoch"], second["failures"]) == (record["_id"], 2, 0)
    assert second["claimId"] != first["claimId"]


async def test_many_claimants_never_get_the_same_backtest(kept: Database) -> None:
    wanted = {(await insert(kept))["_id"] for _ in range(60)}

    async def take(worker: str) -> list[str]:
        taken: list[str] = []
        while (record := await kept.claims.claim(worker, new_id("claim"))) is not None:
            taken.append(record["_id"])
        return taken

    taken = [one for several in await asyncio.gather(*(take(f"w{n}") for n in range(8))) for one in several]
    assert len(taken) == len(set(taken)) == 60
    assert set(taken) == wanted


async def test_a_worker_that_woke_up_cannot_finish_a_reclaimed_backtest(kept: Database) -> None:
    await insert(kept)
    stalled = await claim(kept, "stalled")
    await expire(kept, stalled)
    assert await kept.claims.reap() == [(stalled["_id"], Status.PENDING)]
    current = await claim(kept, "current")
    assert current["failures"] == 1

    assert not await complete(kept, stalled)
    assert await kept.claims.end([failed(stalled, failure(stalled))]) == [False]
    assert not await kept.claims.requeue(stalled, failed=True)
    assert await kept.claims.renew(lease_of(stalled), Stand(50.0)) is None
    assert no_control(await kept.claims.renew(lease_of(current), Stand(50.0)))
    assert await complete(kept, current)
    record = await kept.store.get(current["_id"], "ann")
    assert (record["status"], record["epoch"], record["resultId"]) == ("completed", 2, "res_1")


async def test_of_several_ends_stored_at_once_only_those_with_a_lost_claim_are_discarded(kept: Database) -> None:
    records = []
    for number in range(4):
        await insert(kept)
        records.append(await claim(kept, f"w{number}"))
    await kept.claims.requeue(records[1], failed=False)
    taken_over = await claim(kept, "another")
    assert taken_over["_id"] == records[1]["_id"]
    endings = [completed(one, completion(one), dataset_hash="d") for one in records[:3]]
    endings.append(failed(records[3], failure(records[3])))
    assert await kept.claims.end(endings) == [True, False, True, True]
    # The same again, as after a lost reply: what is stored is known to be ours.
    assert await kept.claims.end(endings) == [True, False, True, True]
    status = [(await kept.store.get(one["_id"], "ann"))["status"] for one in records]
    assert status == ["completed", "running", "completed", "failed"]


async def test_a_terminal_state_absorbs(kept: Database) -> None:
    await insert(kept)
    record = await claim(kept)
    assert await complete(kept, record)
    before = await kept.store.get(record["_id"], "ann")
    assert await kept.claims.end([failed(record, failure(record))]) == [False]
    assert not await kept.claims.requeue(record, failed=True)
    assert await kept.claims.renew(lease_of(record), Stand(1.0)) is None
    assert await kept.claims.claim("w2", new_id("claim")) is None
    assert await kept.store.get(record["_id"], "ann") == before
    assert all(not TRANSITIONS[status] for status in TERMINAL)


async def test_completing_again_after_a_lost_reply_is_recognised(kept: Database) -> None:
    await insert(kept)
    record = await claim(kept)
    assert await complete(kept, record)
    assert await complete(kept, record)


async def test_the_end_stands_in_the_outbox_until_it_is_published(kept: Database) -> None:
    await insert(kept)
    record = await claim(kept)
    await complete(kept, record)
    await asyncio.sleep(0.01)
    [waiting] = await kept.claims.unpublished(older_than_ms=0)
    end = terminal_news(waiting)
    assert end is not None
    assert (end["channel"], end["epoch"], end["seq"]) == (Channel.COMPLETE.value, 1, 3)
    assert json.loads(end["payload"])["resultId"] == "res_1"

    await kept.claims.mark_published([Published.of(record["_id"], end)])
    assert await kept.claims.unpublished(older_than_ms=0) == []
    [ended] = await kept.store.terminal_among([record["_id"], "bt_none"])
    assert terminal_news(ended) == end


async def test_what_ended_since_an_instant_is_found_for_the_users_that_are_named(
    kept: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_ms = kept.store.now_ms()
    ended: list[Ended] = []
    for second, user in enumerate(("ann", "bob", "eve", "ann", "ann")):
        await insert(kept, user=user)
        record = await claim(kept)
        monkeypatch.setattr(Clock, "now_ms", lambda _, ms=at_ms + 1_000 * second: ms)
        assert await kept.claims.end([failed(record, failure(record))]) == [True]
        ended.append(Ended(record["_id"], user, at_ms + 1_000 * second, "failed", ""))
    await insert(kept)  # has not ended
    assert await kept.store.ended_since(["ann", "bob"], 0) == [one for one in ended if one.user_id != "eve"]
    assert await kept.store.ended_since(["ann"], at_ms + 3_000) == ended[3:]
    assert await kept.store.ended_since(["ann"], at_ms + 4_001) == []
    assert await kept.store.ended_since([], 0) == []
    monkeypatch.setattr("shared.store.ENDED_PAGE", 2)
    assert await kept.store.ended_since(["ann", "eve"], at_ms) == [ended[0], ended[2]]


async def test_a_lease_that_was_renewed_is_not_reaped(kept: Database) -> None:
    await insert(kept)
    record = await claim(kept)
    await expire(kept, record)
    assert no_control(await kept.claims.renew(lease_of(record), Stand(10.0)))
    assert await kept.claims.reap() == []
    assert (await kept.store.get(record["_id"], "ann"))["progress"] == 10.0


async def test_a_run_that_went_silent_too_often_fails_with_an_epoch_of_its_own(kept: Database) -> None:
    await insert(kept)
    for attempt in (1, 2):
        record = await claim(kept)
        await expire(kept, record)
        assert await kept.claims.reap() == [(record["_id"], Status.PENDING)], attempt
    record = await claim(kept)
    await expire(kept, record)
    assert await kept.claims.reap() == [(record["_id"], Status.FAILED)]
    ended = await kept.store.get(record["_id"], "ann")
    assert (ended["status"], ended["epoch"], ended["failures"]) == ("failed", 4, 3)
    assert ended.get("error", {})["code"] == "poisoned"
    end = terminal_news(ended)
    assert end is not None
    assert (end["epoch"], end["seq"]) > (record["epoch"], 10**6)


async def test_a_run_that_crashed_too_often_counts_its_last_crash_too(kept: Database) -> None:
    await insert(kept)
    for _ in range(2):
        assert await kept.claims.requeue(await claim(kept), failed=True)
    record = await claim(kept)
    said = news.poisoned(record, news.Numbering(record).next(), last="signal 9", now_ms=0)
    assert await kept.claims.end([failed(record, said)]) == [True]
    assert "crashed 3 times" in said.error
    assert (await kept.store.get(record["_id"], "ann"))["failures"] == 3


async def test_what_is_wrong_with_a_published_task_is_named_where_the_task_has_it(kept: Database) -> None:
    refusal = InvalidRequest.of("symbol", "there is none")
    await kept.store.adopt([Task(backtest_id="bt_foreign", user_id="ann", params=PARAMS)])
    said = news.failure(news.Numbering(await claim(kept)).next(), refusal, 0)
    assert (said.error, said.errors and said.errors[0]["field"]) == ("params.symbol: there is none", "params.symbol")
    await insert(kept)
    said = news.failure(news.Numbering(await claim(kept)).next(), refusal, 0)
    assert (said.error, said.errors and said.errors[0]["field"]) == ("symbol: there is none", "symbol")


async def test_giving_back_in_a_drain_never_counts(kept: Database) -> None:
    record = await insert(kept)
    for _ in range(5):
        assert await kept.claims.requeue(await claim(kept), failed=False)
    assert (await kept.store.get(record["_id"], "ann"))["failures"] == 0


async def test_a_claim_whose_reply_was_lost_is_found_by_its_id(kept: Database) -> None:
    await insert(kept)
    claim_id = new_id("claim")
    record = await kept.claims.claim("w1", claim_id)
    assert await kept.claims.find_claim(claim_id) == record
    assert await kept.claims.find_claim(new_id("claim")) is None


async def test_one_idempotency_key_gives_one_backtest_even_at_once(kept: Database) -> None:
    tries = await asyncio.gather(
        *(kept.store.insert(user_id="ann", params=PARAMS, priority=0, idempotency_key="k") for _ in range(8))
    )
    assert len({record["_id"] for record, _ in tries}) == 1
    assert sum(created for _, created in tries) == 1
    other, created = await kept.store.insert(user_id="bob", params=PARAMS, priority=0, idempotency_key="k")
    assert created
    assert other["_id"] != tries[0][0]["_id"]


async def test_a_key_used_for_another_request_is_refused(kept: Database) -> None:
    await insert(kept, key="k")
    with pytest.raises(InvalidRequest) as refused:
        await insert(kept, priority=3, key="k")
    assert refused.value.errors[0].field == "Idempotency-Key"


async def test_a_key_whose_gateway_died_before_the_record_was_stored_stores_it_now(kept: Database) -> None:
    first = await insert(kept, key="k")
    await kept.mongo.collection("backtests").delete_one({"_id": first["_id"]})
    again, created = await kept.store.insert(user_id="ann", params=PARAMS, priority=0, idempotency_key="k")
    assert created
    assert again["_id"] == first["_id"]


async def test_a_foreign_task_is_stored_once_and_never_over_somebody_elses(kept: Database) -> None:
    task = Task(backtest_id="bt_foreign", user_id="ann", params=PARAMS)
    found = [one for several in await asyncio.gather(*(kept.store.adopt([task]) for _ in range(4))) for one in several]
    assert sum(one is None for one in found) == 1
    assert {one["userId"] for one in found if one is not None} == {"ann"}
    [standing] = await kept.store.adopt([task.model_copy(update={"user_id": "bob"})])
    assert standing is not None
    assert standing["userId"] == "ann"
    assert (await claim(kept))["params"] == PARAMS.as_wire()


async def test_of_many_foreign_tasks_those_whose_id_is_taken_hold_up_no_other(kept: Database) -> None:
    taken = (await insert(kept))["_id"]
    ids = ["bt_1", taken, "bt_2", "bt_2", "bt_3"]
    found = await kept.store.adopt([Task(backtest_id=one, user_id="ann", params=PARAMS) for one in ids])
    assert [one and one["_id"] for one in found] == [None, taken, None, "bt_2", None]
    assert await kept.store.adopt([]) == []


async def test_nobody_reads_or_deletes_what_is_not_theirs(kept: Database) -> None:
    record = await insert(kept)
    for attempt in (kept.store.get(record["_id"], "bob"), kept.store.delete(record["_id"], "bob")):
        with pytest.raises(NotFound):
            await attempt
    assert (await kept.store.list_page("bob", status=None, limit=10, before=None))[0] == []
    assert (await kept.store.delete(record["_id"], "ann"))["_id"] == record["_id"]
    with pytest.raises(NotFound):
        await kept.store.get(record["_id"], "ann")


async def test_pages_are_newest_first_and_lose_nothing(kept: Database) -> None:
    records = [await insert(kept) for _ in range(7)]
    wanted = [key for _, key in sorted(((one["createdAt"], one["_id"]) for one in records), reverse=True)]
    seen: list[str] = []
    cursor = None
    for _ in range(4):
        page, cursor = await kept.store.list_page("ann", status="pending", limit=2, before=cursor)
        seen += [one["_id"] for one in page]
    assert seen == wanted
    assert cursor is None
    with pytest.raises(InvalidRequest, match="cursor"):
        await kept.store.list_page("ann", status=None, limit=2, before="nonsense")


async def test_a_user_cannot_fill_the_queue(make_settings: Callable[..., Settings], mongodb_uri: str) -> None:
    kept = await Database.open(make_settings(pending_max=2))
    try:
        await insert(kept)
        await insert(kept)
        with pytest.raises(TooMany, match="the most allowed is 2"):
            await insert(kept)
        await insert(kept, user="bob")
    finally:
        await kept.close()


async def test_marking_news_that_is_out_leaves_later_news_of_the_same_outbox_to_be_published(kept: Database) -> None:
    """A pause was said and published; before that was marked, the run ended and its end waits in the outbox."""
    await insert(kept)
    record = await claim(kept)
    paused = {"channel": Channel.EVENT.value, "epoch": 1, "seq": 2, "payload": "{}"}
    said = {"outbox": [paused], "outboxAt": kept.store.now_ms()}
    await kept.mongo.collection("backtests").update_one({"_id": record["_id"]}, {"$set": said})
    await complete(kept, record)
    await asyncio.sleep(0.01)

    await kept.claims.mark_published([Published(record["_id"], 1, 2)])
    [waiting] = await kept.claims.unpublished(older_than_ms=0)
    assert [(one["epoch"], one["seq"]) for one in waiting["outbox"]] == [(1, 3)]
    await kept.claims.mark_published([Published(record["_id"], 1, 3), Published("bt_other", 1, 9)])
    assert await kept.claims.unpublished(older_than_ms=0) == []


async def test_a_renewal_brings_the_commands_and_takes_those_that_are_done_out_of_the_record(kept: Database) -> None:
    await insert(kept)
    record = await claim(kept)
    controls = [{"seq": seq, "action": "pause"} for seq in (1, 2, 3)]
    asked = {"controls": controls, "controlSeq": 3}
    await kept.mongo.collection("backtests").update_one({"_id": record["_id"]}, {"$set": asked})
    renewed = await kept.claims.renew(lease_of(record), Stand(1.0))
    assert renewed is not None
    assert (renewed["controls"], renewed["controlDone"]) == (controls, 0)
    renewed = await kept.claims.renew(lease_of(record), Stand(2.0, control_done=2))
    assert renewed is not None
    assert ([one["seq"] for one in renewed["controls"]], renewed["controlDone"]) == ([3], 2)
    assert (renewed["progress"], renewed["controlSeq"]) == (2.0, 3)


LEASED = (Status.RUNNING, Status.PAUSED)  # A paused run keeps its worker for a while.


@pytest.mark.parametrize("target", [Status.PENDING, Status.RUNNING, *sorted(TERMINAL)])
async def test_a_run_changes_a_status_exactly_where_the_table_lets_it(kept: Database, target: Status) -> None:
    """Every status of a record against every other, by the filter and the update that the lifecycle makes."""
    backtests = kept.mongo.collection("backtests")
    now_ms = kept.store.now_ms()
    enter = {
        Status.PENDING: queued(now_ms, queue_rank(0, now_ms)),
        Status.RUNNING: claimed(now_ms, "claim", "w1", 1_000),
        **{status: ended(status, now_ms) for status in TERMINAL},
    }
    for source in Status:
        await insert(kept)
        record = await claim(kept)
        await backtests.update_one({"_id": record["_id"]}, {"$set": {"status": source.value}})
        outcome = await backtests.update_one(held(lease_of(record), target), {"$set": enter[target]})
        leased = source in LEASED
        assert (outcome.matched_count == 1) == (leased and target in TRANSITIONS[source]), (source, target)
        if outcome.matched_count:
            [found] = await backtests.find({"_id": record["_id"]}).to_list()
            assert (found["queueRank"] > 0) == (target is Status.PENDING)
            assert (found["leaseExpiresAt"] > 0) == (target is Status.RUNNING)
            assert (found["completedAt"] > 0) == (target in TERMINAL)


@pytest.mark.parametrize("source", [status for status in Status if status not in LEASED])
async def test_only_a_record_whose_lease_is_held_is_written_by_its_run(kept: Database, source: Status) -> None:
    await insert(kept)
    record = await claim(kept)
    await kept.mongo.collection("backtests").update_one({"_id": record["_id"]}, {"$set": {"status": source.value}})
    assert await kept.claims.renew(lease_of(record), Stand(50.0)) is None
    assert not await kept.claims.requeue(record, failed=True)
    assert await kept.claims.end([failed(record, failure(record))]) == [source is Status.FAILED]


async def test_the_claim_query_walks_an_index(kept: Database) -> None:
    for _ in range(3):
        await insert(kept)
    command = {"find": "backtests", "filter": QUEUED, "sort": dict(CLAIM_SORT)}
    try:
        explained = await kept.mongo.durable.command("explain", command)
    except OperationFailure as error:
        pytest.skip(f"this server knows no explain: {error}")
    plan = json.dumps(explained["queryPlanner"]["winningPlan"], default=str)
    assert "queue" in plan.lower()
    assert "IXSCAN" in plan or "USING INDEX" in plan
    assert "COLLSCAN" not in plan
    assert "SCAN backtests" not in plan


async def test_what_a_user_has_pending_is_counted_by_an_index_of_its_own(kept: Database) -> None:
    """Else some servers read all that the user has ever asked for. No server here shows its plan of a count."""
    indexes = await (await kept.mongo.collection("backtests").list_indexes()).to_list()
    assert [("userId", 1), ("queueRank", 1)] in [list(one["key"].items()) for one in indexes]


async def test_mongodbs_clock_is_followed(kept: Database) -> None:
    hello = await kept.mongo.durable.client.admin.command("hello")
    server_ms = hello["localTime"].replace(tzinfo=None).timestamp() * 1000
    assert abs(kept.store.now_ms() - server_ms) < 5_000


async def test_a_server_whose_updates_are_not_atomic_is_refused_by_name(
    make_settings: Callable[..., Settings], any_mongodb_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    atomic: Callable[..., Awaitable[Any]] = AsyncCollection.find_one_and_update

    async def read_then_write(self: AsyncCollection[Any], query: Any, update: Any, **options: Any) -> Any:
        found = await self.find_one(query)
        if found is None:
            return None
        await asyncio.sleep(0)
        return await atomic(self, {"_id": found["_id"]}, update, **options)

    monkeypatch.setattr(AsyncCollection, "find_one_and_update", read_then_write)
    with pytest.raises(StoreUnfit, match=r"reports version .* not atomic, \d+ of 8 clients won one race"):
        await Database.open(make_settings())


async def test_a_server_that_is_not_there_is_unavailable_and_its_password_stays_unsaid() -> None:
    settings = load_settings(mongodb_uri="mongodb://ann:geheim@127.0.0.1:1/?authSource=admin", store_timeout_s=0.3)
    with pytest.raises(StoreUnavailable) as refused:
        await Database.open(settings)
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize("uri", ["mongodb://ann:ge heim@@h", "mongodb://h:port", ""])
async def test_a_uri_that_cannot_be_used_is_a_configuration_error_without_the_uri(uri: str) -> None:
    with pytest.raises(ConfigurationError, match="BACKFLEET_MONGODB_URI") as refused:
        await Database.open(load_settings(mongodb_uri=uri))
    assert "heim" not in str(refused.value)


def test_a_setting_that_is_wrong_is_named_without_its_value() -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_settings(lease_ttl_s="geheim")
    assert "BACKFLEET_LEASE_TTL_S" in str(refused.value)
    assert "geheim" not in str(refused.value)
