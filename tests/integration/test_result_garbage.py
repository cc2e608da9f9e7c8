"""What dead workers leave of results goes, on every backend; what somebody may still come to refer to stays."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest
from bson import Binary
from gridfs.asynchronous import AsyncGridFSBucket
from pymongo.errors import ConfigurationError, OperationFailure

from shared.claims import completed, failed
from shared.contracts import Complete, Failure, Summary
from shared.database import Database
from shared.errors import StoreUnavailable
from shared.frames import BLOCK_ROWS, Columns, Frames
from shared.records import BacktestRecord, new_id
from shared.result_garbage import LINGER_MS, NOTES, Removed
from shared.results import ResultDocument, Results
from shared.settings import Settings
from tests.fleet import request
from tests.gateway import result_of
from tests.unit.test_results import encode_as_before

ROWS = 60_000  # of numbers that do not pack: beyond what stands in a document, and several chunks of GridFS
POINTS = 2_500
NOTHING = Removed(0, 0)


@pytest.fixture
async def kept(make_settings: Callable[..., Settings], mongodb_uri: str) -> AsyncIterator[Database]:
    opened = await Database.open(make_settings())
    yield opened
    await opened.close()


def many_trades(rows: int = ROWS) -> Columns:
    random = np.random.default_rng(3)
    return {"entry_time_ms": 60_000 * np.arange(rows), "pnl": random.normal(size=rows)}


async def claim(kept: Database) -> BacktestRecord:
    await kept.store.insert(user_id="ann", params=request(), priority=0, idempotency_key=None)
    return await claim_again(kept)


async def claim_again(kept: Database) -> BacktestRecord:
    record = await kept.claims.claim("worker", new_id("claim"))
    assert record is not None
    return record


async def store_frames(kept: Database, record: BacktestRecord) -> ResultDocument:
    """As far as a worker comes before the result's document is written."""
    document, equity, _ = result_of(record, points=POINTS)
    await kept.results.prepare(document, equity, many_trades())
    assert document["frames"]["trades"]["gridfs"] == f"{document['_id']}.trades"
    return document


async def store_result(kept: Database, record: BacktestRecord) -> ResultDocument:
    """As far as a worker comes before the end is written."""
    document = await store_frames(kept, record)
    await kept.results.write([document])
    return document


async def end(kept: Database, record: BacktestRecord, document: ResultDocument | None) -> None:
    named: dict[str, Any] = {"backtest_id": record["_id"], "user_id": "ann", "epoch": record["epoch"], "seq": 1}
    if document is None:
        ending = failed(record, Failure(**named, error="it failed", timestamp="2024-01-01T00:00:00Z"))
    else:
        done = Complete(**named, result_id=document["_id"], summary=Summary(total_return=1.0))
        ending = completed(record, done, dataset_hash="sha256:0")
    assert await kept.claims.end([ending]) == [True]


async def left(kept: Database) -> tuple[int, int]:
    """Results, and files of which there is anything."""
    files = [one["_id"] for one in await kept.mongo.collection("frames.files").find({}).to_list()]
    files += await kept.mongo.collection("frames.chunks").distinct("files_id")
    return await kept.mongo.collection("results").count_documents({}), len({str(one) for one in files})


async def readable(kept: Database, document: ResultDocument) -> bool:
    stored = await kept.results.read(document["_id"], "ann")
    page = json.loads(await kept.results.read_trades(stored, limit=10, offset=ROWS - 5))
    return [page["total"], *(one["pnl"] for one in page["items"])] == [ROWS, *many_trades()["pnl"][-5:].tolist()]


async def grow_old(kept: Database, by_ms: int) -> None:
    await kept.mongo.collection(NOTES).update_many({"overAt": {"$gt": 0}}, {"$inc": {"overAt": -by_ms}})


async def notes(kept: Database) -> int:
    return await kept.mongo.collection(NOTES).count_documents({})


async def test_frames_of_a_worker_that_died_before_the_result_go_once_their_claim_is_over(kept: Database) -> None:
    record = await claim(kept)
    await store_frames(kept, record)
    assert await kept.results.collect_garbage() == NOTHING  # the claim is held: its result may still come
    assert await left(kept) == (0, 1)
    await kept.claims.requeue(record, failed=True)
    assert await kept.results.collect_garbage() == Removed(0, 1)
    assert await left(kept) == (0, 0)


async def test_an_upload_that_was_cut_short_goes_with_what_is_there_of_it(
    kept: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await claim(kept)
    chunks = kept.mongo.collection("frames.chunks")

    async def die(_: Any, name: str, __: bytes) -> Any:
        await chunks.insert_one({"files_id": name, "n": 0, "data": Binary(b"half of it")})
        raise StoreUnavailable("it died")

    with monkeypatch.context() as patch:
        patch.setattr(Frames, "put", die)
        with pytest.raises(StoreUnavailable, match="it died"):
            await store_frames(kept, record)
    await kept.claims.requeue(record, failed=True)
    assert await kept.results.collect_garbage() == Removed(0, 1)
    assert await left(kept) == (0, 0)


async def test_a_result_whose_end_was_never_written_goes_once_another_claim_is_current(kept: Database) -> None:
    record = await claim(kept)
    await store_result(kept, record)
    assert await kept.results.collect_garbage() == NOTHING
    await kept.claims.requeue(record, failed=True)
    again = await claim_again(kept)
    current = await store_result(kept, again)
    assert await kept.results.collect_garbage() == Removed(1, 1)
    assert await left(kept) == (1, 1)
    await end(kept, again, current)
    assert await kept.results.collect_garbage() == NOTHING
    assert await readable(kept, current)


async def test_a_result_that_its_record_refers_to_stays_whatever_comes_after(kept: Database) -> None:
    record = await claim(kept)
    document = await store_result(kept, record)
    assert await notes(kept) == 1
    await end(kept, record, document)
    for _ in range(3):
        assert await kept.results.collect_garbage() == NOTHING
    assert (await notes(kept), await left(kept)) == (0, (1, 1))
    assert await readable(kept, document)


async def test_a_result_goes_when_its_own_claim_ended_without_it(kept: Database) -> None:
    record = await claim(kept)
    await store_result(kept, record)
    await end(kept, record, None)
    assert await kept.results.collect_garbage() == Removed(1, 1)
    assert await left(kept) == (0, 0)


async def test_what_a_deleted_record_left_goes_with_it(kept: Database) -> None:
    ended = await claim(kept)
    await end(kept, ended, await store_result(kept, ended))
    await kept.results.collect_garbage()
    running = await claim(kept)
    await store_frames(kept, running)
    for record in (ended, running):  # and the gateway dies before it has removed more than that
        await kept.mongo.collection("backtests").delete_one({"_id": record["_id"]})
    assert await kept.results.collect_garbage() == Removed(1, 1)
    assert await left(kept) == (0, 0)


async def test_a_record_that_is_stored_anew_under_an_old_id_keeps_nothing_of_the_old_claim(kept: Database) -> None:
    record = await claim(kept)
    await store_result(kept, record)
    backtests = kept.mongo.collection("backtests")
    await backtests.delete_one({"_id": record["_id"]})
    await backtests.insert_one(dict(record) | {"claimId": "", "status": "pending", "epoch": 0, "leaseExpiresAt": 0})
    assert await kept.results.collect_garbage() == Removed(1, 1)


async def test_what_a_run_stores_after_its_claim_was_over_goes_in_the_end(kept: Database) -> None:
    record = await claim(kept)
    document = await store_frames(kept, record)
    await kept.claims.requeue(record, failed=True)
    assert await kept.results.collect_garbage() == Removed(0, 1)
    _, equity, _ = result_of(record, points=POINTS)
    for _ in range(2):
        await kept.results.prepare(document, equity, many_trades())  # it tries again, not knowing, and dies
    assert await kept.results.collect_garbage() == NOTHING
    await grow_old(kept, LINGER_MS + 60_000)
    assert await kept.results.collect_garbage() == Removed(0, 1)
    assert (await notes(kept), await left(kept)) == (0, (0, 0))
    await kept.results.prepare(document, equity, many_trades())
    await kept.results.write([document])  # even then
    assert await kept.results.collect_garbage() == Removed(1, 1)


async def leave_by_older_version(kept: Database) -> ResultDocument:
    """Frames without a note."""
    document = await store_frames(kept, await claim(kept))
    await kept.mongo.collection(NOTES).delete_many({})
    if not await kept.mongo.collection("frames.chunks").find({"files_id": {"$gt": ""}}).to_list():
        pytest.skip("this server lists no chunks but those of a file that is named")
    return document


async def test_frames_of_an_older_version_go_when_they_were_without_a_result_for_long(kept: Database) -> None:
    await leave_by_older_version(kept)
    assert await kept.results.collect_garbage() == NOTHING  # seen for the first time
    await grow_old(kept, LINGER_MS - 60_000)
    assert await kept.results.collect_garbage() == NOTHING
    await grow_old(kept, 120_000)
    assert await kept.results.collect_garbage() == Removed(0, 1)
    assert (await notes(kept), await left(kept)) == (0, (0, 0))


async def test_frames_of_an_older_version_stay_when_their_result_comes_after_all(kept: Database) -> None:
    document = await leave_by_older_version(kept)
    assert await kept.results.collect_garbage() == NOTHING
    await kept.results.write([document])
    await grow_old(kept, 2 * LINGER_MS)
    assert await kept.results.collect_garbage() == NOTHING
    assert await notes(kept) == 0
    assert await readable(kept, document)


async def test_chunks_of_an_older_version_without_their_file_go_too(kept: Database) -> None:
    await leave_by_older_version(kept)
    await kept.mongo.collection("frames.files").delete_many({})
    await kept.mongo.collection("frames.chunks").delete_many({"n": 0})  # as a removal leaves it that was cut short
    assert await kept.results.collect_garbage() == NOTHING
    await grow_old(kept, 2 * LINGER_MS)
    assert await kept.results.collect_garbage() == Removed(0, 1)
    assert await left(kept) == (0, 0)


async def test_each_call_looks_at_a_part_and_any_worker_goes_on_from_there(kept: Database) -> None:
    doomed = 0
    for number in range(7):
        record = await claim(kept)
        await kept.results.write([result_of(record, points=10)[0]])
        if number % 2:
            await kept.results.write([result_of(record, points=10)[0]])
            await kept.mongo.collection("backtests").delete_one({"_id": record["_id"]})
            doomed += 2
    removed = [(await Results(kept.mongo).collect_garbage(most=3)).results for _ in range(8)]
    assert sum(removed) == doomed
    assert max(removed) <= 3
    assert len([one for one in removed if one]) > 1
    assert await left(kept) == (4, 0)


@pytest.mark.parametrize("case", ["held", "over"])
async def test_reads_in_a_session_as_several_servers_need_them_judge_alike(
    kept: Database, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.mongo._is_one_of_several", lambda _: True)
    record = await claim(kept)
    await store_result(kept, record)
    if case == "over":
        await kept.claims.requeue(record, failed=False)
    try:
        removed = await kept.results.collect_garbage()
    except ConfigurationError as error:
        pytest.skip(f"this server knows no sessions: {error}")
    assert removed == (Removed(1, 1) if case == "over" else NOTHING)


async def test_the_walk_through_the_results_reads_an_index_alone(kept: Database) -> None:
    await store_result(kept, await claim(kept))
    query = {"find": "results", "filter": {"backtestId": {"$gt": ""}}, "sort": {"backtestId": 1}, "limit": 5}
    query["projection"] = {"_id": 0, "backtestId": 1, "claimId": 1}
    try:
        explained = await kept.mongo.durable.command("explain", query)
    except OperationFailure as error:
        pytest.skip(f"this server knows no explain: {error}")
    plan = json.dumps(explained["queryPlanner"]["winningPlan"], default=str)
    assert "claim" in plan
    assert "COLLSCAN" not in plan
    assert "SCAN results" not in plan


@pytest.mark.parametrize(
    ("offset", "limit"),
    [(0, 1), (BLOCK_ROWS - 1, 2), (5_000, 5_000), (ROWS - 3, 10), (ROWS, 10), (2**53, 10), (0, ROWS)],
)
async def test_a_page_of_a_large_table_is_read_without_the_rest(kept: Database, offset: int, limit: int) -> None:
    document = await store_result(kept, await claim(kept))
    stored = await kept.results.read(document["_id"], "ann")
    page = json.loads(await kept.results.read_trades(stored, limit=limit, offset=offset))
    assert (page["total"], page["limit"], page["offset"]) == (ROWS, limit, offset)
    assert [one["pnl"] for one in page["items"]] == many_trades()["pnl"][offset : offset + limit].tolist()


async def test_a_large_table_of_an_older_version_is_still_read(kept: Database) -> None:
    document = await store_frames(kept, await claim(kept))
    name = f"{document['_id']}.trades of before"
    bucket = AsyncGridFSBucket(kept.mongo.durable, bucket_name="frames")
    await bucket.upload_from_stream_with_id(name, name, encode_as_before(many_trades()))
    document["frames"]["trades"] = {"gridfs": name}
    await kept.results.write([document])
    assert await readable(kept, document)
    page = json.loads(await kept.results.read_trades(document, limit=5, offset=ROWS + 1))
    assert (page["items"], page["total"]) == ([], ROWS)
