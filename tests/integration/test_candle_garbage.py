"""What `data gc` removes and what it must leave: heads, pinned versions, and whatever somebody wanted a moment ago."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from pymongo.asynchronous.collection import AsyncCollection

from shared.bars import Bars
from shared.candles import Candles, DamagedChunk, take_bars
from shared.candles.garbage import SAFE_AGE_MS
from shared.candles.publishing import Publisher
from shared.claims import completed, failed
from shared.contracts import Complete, Failure, Summary
from shared.database import Database
from shared.errors import Unavailable
from shared.request import BacktestParams
from shared.settings import Settings
from tests.fleet import request
from tests.gateway import result_of
from tests.integration.test_candles import ALWAYS, MINUTE_MS, assert_same, grid, read, read_all, walk

BARS = walk(grid(60 * 288, 5 * MINUTE_MS))  # January and February
OTHER = walk(grid(60 * 288, 5 * MINUTE_MS), seed=2)
PARAMS: BacktestParams = request(symbol="X", interval="5m")


@pytest.fixture
async def kept(
    mongodb_uri: str, mongodb_database: str, make_settings: Callable[..., Settings]
) -> AsyncIterator[Database]:
    opened = await Database.open(make_settings(mongodb_uri=mongodb_uri, mongodb_database=mongodb_database))
    yield opened
    await opened.close()


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings()


@pytest.fixture
def candles(kept: Database, settings: Settings) -> Candles:
    return Candles(kept.mongo, settings)


async def grow_old(kept: Database) -> None:
    """As if everything there is had been wanted two hours ago for the last time."""
    for name in ("bar_chunks", "bar_datasets"):
        await kept.mongo.collection(name).update_many({}, {"$inc": {"wantedAt": -2 * SAFE_AGE_MS}})


async def import_whole(candles: Candles, bars: Bars) -> None:
    await candles.import_bars("X", "5m", bars, "test", "replace")


async def count(kept: Database) -> tuple[int, int]:
    return (
        await kept.mongo.collection("bar_datasets").count_documents({}),
        await kept.mongo.collection("bar_chunks").count_documents({}),
    )


async def test_old_versions_that_nothing_leads_to_go_with_their_chunks(kept: Database, candles: Candles) -> None:
    await import_whole(candles, take_bars(BARS, slice(0, 9_000)))
    await import_whole(candles, BARS)  # February grew, January stayed as it was
    assert await count(kept) == (2, 3)
    await grow_old(kept)
    foreseen = await candles.collect_garbage(kept.store.pinned_among, 0, dry_run=True)
    assert await count(kept) == (2, 3)
    report = await candles.collect_garbage(kept.store.pinned_among, 0)
    assert (report.versions, report.chunks, report.kept_versions, report.kept_chunks) == (1, 1, 1, 2)
    assert report.chunk_bytes > 500
    assert (foreseen.versions, foreseen.chunks, foreseen.chunk_bytes) == (1, 1, report.chunk_bytes)
    assert (foreseen.kept_versions, foreseen.kept_chunks) == (1, 2)
    assert await count(kept) == (1, 2)
    assert_same(await read_all(candles, "X", "5m"), BARS)
    again = await candles.collect_garbage(kept.store.pinned_among, 0)
    assert (again.versions, again.chunks, again.chunk_bytes) == (0, 0, 0)


async def test_what_was_wanted_within_the_age_that_was_named_stays(kept: Database, candles: Candles) -> None:
    await import_whole(candles, BARS)
    await import_whole(candles, OTHER)
    assert (await candles.collect_garbage(kept.store.pinned_among, 0)).versions == 0  # younger than the least age
    await grow_old(kept)
    assert (await candles.collect_garbage(kept.store.pinned_among, 3 * SAFE_AGE_MS)).versions == 0
    assert (await candles.collect_garbage(kept.store.pinned_among, SAFE_AGE_MS)).versions == 1


@pytest.mark.parametrize(("ends", "stays"), [("pending", True), ("running", True), ("result", True), ("failed", False)])
async def test_a_version_stays_while_a_backtest_may_read_it(
    kept: Database, candles: Candles, settings: Settings, ends: str, stays: bool
) -> None:
    await import_whole(candles, BARS)
    older = await candles.resolve("X", "5m", *ALWAYS)
    record, _ = await kept.store.insert(user_id="ann", params=PARAMS, priority=0, idempotency_key=None, bars=older)
    await import_whole(candles, OTHER)
    await grow_old(kept)
    await _bring_to(kept, ends)
    await candles.collect_garbage(kept.store.pinned_among, 0)
    fresh = Candles(kept.mongo, settings)  # remembers no manifest
    if stays:
        assert_same(await read(fresh, await fresh.reopen(older.manifest_id, older.interval, *ALWAYS)), BARS)
        await kept.store.delete(record["_id"], "ann")
        await candles.collect_garbage(kept.store.pinned_among, 0)
    with pytest.raises(DamagedChunk):
        await Candles(kept.mongo, settings).reopen(older.manifest_id, older.interval, *ALWAYS)


async def _bring_to(kept: Database, ends: str) -> None:
    if ends == "pending":
        return
    record = await kept.claims.claim("worker", "claim_1")
    assert record is not None
    if ends == "running":
        return
    named: dict[str, Any] = {"backtest_id": record["_id"], "user_id": "ann", "epoch": record["epoch"], "seq": 1}
    if ends == "failed":
        news = Failure(**named, error="it failed", timestamp="2024-01-01T00:00:00Z")
        assert await kept.claims.end([failed(record, news)]) == [True]
        return
    document, equity, trades = result_of(record, points=10)
    await kept.results.prepare(document, equity, trades)
    await kept.results.write([document])
    done = Complete(**named, result_id=document["_id"], summary=Summary(total_return=1.0))
    assert await kept.claims.end([completed(record, done, dataset_hash="sha256:0")]) == [True]


async def test_a_backtest_submitted_while_its_version_is_replaced_and_collected_keeps_it(
    kept: Database, candles: Candles, settings: Settings
) -> None:
    await import_whole(candles, BARS)
    await grow_old(kept)
    bars = await candles.resolve("X", "5m", *ALWAYS)  # a submit has read the head,
    await import_whole(candles, OTHER)  # and before it stores its record the head moves on
    assert (await candles.collect_garbage(kept.store.pinned_among, 0)).versions == 0
    await kept.store.insert(user_id="ann", params=PARAMS, priority=0, idempotency_key=None, bars=bars)
    await grow_old(kept)
    assert (await candles.collect_garbage(kept.store.pinned_among, 0)).versions == 0
    fresh = Candles(kept.mongo, settings)
    assert_same(await read(fresh, await fresh.reopen(bars.manifest_id, bars.interval, *ALWAYS)), BARS)


async def leave_unpublished(candles: Candles, bars: Bars) -> None:
    """Chunks and manifest of an import that died before it moved the head."""

    async def die(*_: Any) -> bool:
        raise Unavailable("it died")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Publisher, "_publish", die)
        with pytest.raises(Unavailable, match="it died"):
            await import_whole(candles, bars)


async def test_what_a_killed_import_left_goes_and_can_be_imported_again(kept: Database, candles: Candles) -> None:
    await leave_unpublished(candles, BARS)
    await grow_old(kept)
    report = await candles.collect_garbage(kept.store.pinned_among, 0)
    assert (report.versions, report.chunks, report.kept_chunks) == (1, 2, 0)
    await import_whole(candles, BARS)
    assert_same(await read_all(candles, "X", "5m"), BARS)


async def test_an_import_that_finds_its_chunks_written_is_not_robbed_of_them(
    kept: Database, candles: Candles, monkeypatch: pytest.MonkeyPatch
) -> None:
    await leave_unpublished(candles, BARS)
    await grow_old(kept)
    collected = 0

    def collecting(method: str) -> Callable[..., Awaitable[Any]]:
        original = getattr(AsyncCollection, method)

        async def collect_first(self: Any, *args: Any, **options: Any) -> Any:
            nonlocal collected
            if self.name.startswith("bar_"):
                report = await candles.collect_garbage(kept.store.pinned_among, 0)
                collected += report.chunks + report.versions
            return await original(self, *args, **options)

        return collect_first

    # Between any two writes of the import, also between finding a chunk and marking it as wanted.
    for method in ("insert_one", "update_one"):
        monkeypatch.setattr(AsyncCollection, method, collecting(method))
    await import_whole(candles, BARS)
    monkeypatch.undo()
    assert collected == 3
    assert_same(await read_all(candles, "X", "5m"), BARS)
    assert await count(kept) == (1, 2)


async def test_a_chunk_that_goes_between_being_found_and_being_wanted_is_written_anew(
    kept: Database, candles: Candles, monkeypatch: pytest.MonkeyPatch
) -> None:
    await leave_unpublished(candles, BARS)
    await grow_old(kept)
    original = AsyncCollection.update_one
    collected = 0

    async def collect_first(self: Any, *args: Any, **options: Any) -> Any:
        nonlocal collected
        collected += (await candles.collect_garbage(kept.store.pinned_among, 0)).chunks
        return await original(self, *args, **options)

    monkeypatch.setattr(AsyncCollection, "update_one", collect_first)
    await import_whole(candles, BARS)
    assert collected == 2
    assert_same(await read_all(candles, "X", "5m"), BARS)


async def test_a_version_that_is_published_while_garbage_is_collected_stays_whole(
    kept: Database, candles: Candles
) -> None:
    await leave_unpublished(candles, BARS)
    await grow_old(kept)

    async def import_meanwhile(manifest_ids: list[str]) -> set[str]:
        assert len(manifest_ids) == 1
        await import_whole(candles, BARS)
        return await kept.store.pinned_among(manifest_ids)

    report = await candles.collect_garbage(import_meanwhile, 0)
    assert (report.versions, report.chunks) == (0, 0)
    assert_same(await read_all(candles, "X", "5m"), BARS)


async def test_an_import_that_took_too_long_to_be_safe_gives_up(
    candles: Candles, monkeypatch: pytest.MonkeyPatch
) -> None:
    await import_whole(candles, BARS)
    monkeypatch.setattr("shared.candles.publishing.PUBLISH_WITHIN_S", -1.0)
    with pytest.raises(Unavailable, match="in parts"):
        await import_whole(candles, OTHER)
    monkeypatch.undo()
    assert_same(await read_all(candles, "X", "5m"), BARS)
