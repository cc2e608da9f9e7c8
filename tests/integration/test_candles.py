"""Market data in every record backend: imports that race, die or disagree, reads that are exact, a cache that heals."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import pickle
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import bson
import numpy as np
import pytest
from numpy.typing import NDArray
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import AutoReconnect

from api.market_data.importing import import_files
from shared.bars import Bars
from shared.candles import (
    BarConflict,
    BarFilesGone,
    Candles,
    ChunkRef,
    DamagedChunk,
    Gap,
    Slice,
    join_bars,
    open_bars,
    take_bars,
)
from shared.candles.cache import ChunkCache
from shared.candles.grid import UTC_DAYS, Grid, Session
from shared.candles.manifest import first_manifest
from shared.candles.resample import resample_bars
from shared.errors import ImportRefused, StoreUnavailable, UnknownMarketData
from shared.instants import INTERVAL_MS
from shared.mongo import Mongo
from shared.settings import Settings, load_settings
from tests import forks
from tests.mutations import mutated_files
from tests.peers import load

Document = dict[str, Any]
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
START_MS = 1_704_067_200_000  # 2024-01-01T00:00Z
ALWAYS = (0, 4_000_000_000_000)

# Runs in a process of its own: imports its part of a series once a line arrives, so that two of them start together.
IMPORTER = """
import asyncio, json, sys
from pathlib import Path
from pymongo import AsyncMongoClient
from api.market_data.importing import import_files
from shared.candles import Candles
from shared.mongo import Mongo
from shared.settings import load_settings

async def main(uri, database, cache_dir, *files):
    async with AsyncMongoClient(uri, serverSelectionTimeoutMS=10_000) as client:
        candles = Candles(Mongo(client, database), load_settings(cache_dir=Path(cache_dir)))
        await candles.list_series()
        print("ready", flush=True)
        sys.stdin.readline()
        for file in files:
            [report] = await import_files(candles, [file])
            print(json.dumps([report.added, report.known]), flush=True)

asyncio.run(main(*sys.argv[1:]))
"""

# Reads a whole series through the cache, again where a file was evicted between being fetched and being opened.
READER = """
import asyncio, hashlib, sys
from pathlib import Path
from pymongo import AsyncMongoClient
from shared.candles import BarFilesGone, Candles, open_bars
from shared.mongo import Mongo
from shared.settings import load_settings

async def main(uri, database, cache_dir, most, times):
    async with AsyncMongoClient(uri, serverSelectionTimeoutMS=10_000) as client:
        candles = Candles(Mongo(client, database), load_settings(cache_dir=Path(cache_dir), cache_max_bytes=int(most)))
        wanted = await candles.resolve("X", "5m", 0, 4_000_000_000_000)
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(int(times) or 1):
            for attempt in range(1_000):
                try:
                    bars = open_bars(await candles.fetch(wanted))
                    break
                except BarFilesGone:
                    pass
            print(hashlib.sha256(b"".join(column.tobytes() for column in bars)).hexdigest(), flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


def walk(time_ms: NDArray[np.int64], seed: int = 1) -> Bars:
    dice = np.random.default_rng(seed)
    n = len(time_ms)
    close = np.round(100 + np.cumsum(dice.normal(0, 0.1, n)), 2)
    open_ = np.round(close + dice.normal(0, 0.05, n), 2)
    high, low = np.maximum(open_, close) + 0.25, np.minimum(open_, close) - 0.25
    return Bars(time_ms, open_, high, low, close, np.round(dice.random(n) * 50, 5))


def grid(n: int, step_ms: int, start_ms: int = START_MS) -> NDArray[np.int64]:
    return start_ms + step_ms * np.arange(n, dtype=np.int64)


def assert_same(ours: Bars, theirs: Bars) -> None:
    for name, one, other in zip(Bars._fields, ours, theirs, strict=True):
        assert one.tobytes() == other.tobytes(), name


async def read(candles: Candles, wanted: Slice) -> Bars:
    """As the worker and its engine process do it, pickle included."""
    return open_bars(pickle.loads(pickle.dumps(await candles.fetch(wanted))))


async def read_all(candles: Candles, symbol: str, interval: str) -> Bars:
    return await read(candles, await candles.resolve(symbol, interval, *ALWAYS))


@pytest.fixture
async def database(mongodb_uri: str, mongodb_database: str) -> AsyncIterator[AsyncDatabase[Document]]:
    async with AsyncMongoClient[Document](mongodb_uri, serverSelectionTimeoutMS=10_000) as client:
        yield client[mongodb_database]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(cache_dir=tmp_path / "cache", cache_max_bytes=1_000_000)


@pytest.fixture
def candles(database: AsyncDatabase[Document], settings: Settings) -> Candles:
    return Candles(Mongo(database.client, database.name), settings)


def cached_files(settings: Settings) -> list[Path]:
    return sorted((settings.cache_dir / "bars").iterdir())


async def test_a_year_of_real_hours_is_served_as_the_files_have_it(candles: Candles, market_data_dir: Path) -> None:
    [report] = await import_files(candles, sorted((market_data_dir / "binance").glob("*.zip")))
    assert (report.symbol, report.interval, report.bars, report.gap_count) == ("BTCUSDT", "1h", 8784, 0)
    wanted = await candles.resolve("BTCUSDT", "1h", START_MS, 1_733_011_200_000)  # to 2024-12-01
    assert wanted.total_bars == 335 * 24
    bars = await read(candles, wanted)
    assert (bars.total, bars.open[0], int(bars.time_ms[0])) == (335 * 24, 42283.58, START_MS)
    [dataset] = await candles.list_series()
    assert (dataset.bars, dataset.start_ms, dataset.end_ms) == (8784, START_MS, START_MS + 8784 * HOUR_MS)


async def test_a_range_has_its_start_but_not_its_end(candles: Candles) -> None:
    dice = np.random.default_rng(3)
    times = grid(60 * 1440, 5 * MINUTE_MS)  # 300 days: ten chunks
    whole = walk(np.delete(times, dice.integers(0, len(times), 2_000)))
    await candles.import_bars("X", "5m", whole, "test")
    for _ in range(25):
        start, end = sorted(int(at) for at in dice.integers(times[0] - DAY_MS, times[-1] + DAY_MS, 2))
        if dice.random() < 0.5:
            start -= start % (5 * MINUTE_MS)
            end -= end % (5 * MINUTE_MS)
        wanted = await candles.resolve("X", "5m", start, end)
        expected = take_bars(whole, (whole.time_ms >= start) & (whole.time_ms < end))
        assert wanted.total_bars == expected.total
        assert wanted.start_ms == expected.time_ms[0]
        assert wanted.end_ms == expected.time_ms[-1] + 5 * MINUTE_MS
        assert_same(await read(candles, wanted), expected)


async def test_importing_equal_bars_again_changes_nothing(candles: Candles, database: AsyncDatabase[Document]) -> None:
    bars = walk(grid(500, HOUR_MS))
    first = await candles.import_bars("X", "1h", bars, "test")
    before = [await database[name].count_documents({}) for name in ("bar_chunks", "bar_datasets", "bar_heads")]
    again = await candles.import_bars("X", "1h", take_bars(bars, slice(100, 400)), "test")
    assert (again.added, again.known, again.version) == (0, 300, first.version)
    assert again.dataset_hash == first.dataset_hash
    after = [await database[name].count_documents({}) for name in ("bar_chunks", "bar_datasets", "bar_heads")]
    assert after == before


async def test_a_newer_version_leaves_the_older_one_readable(candles: Candles) -> None:
    bars = walk(grid(24 * 500, HOUR_MS))
    await candles.import_bars("X", "1h", take_bars(bars, slice(0, 5_000)), "test")
    older = await candles.resolve("X", "1h", *ALWAYS)
    report = await candles.import_bars("X", "1h", take_bars(bars, slice(4_000, 12_000)), "test")
    assert (report.version, report.added, report.known, report.bars) == (2, 7_000, 1_000, 12_000)
    assert_same(await read_all(candles, "X", "1h"), bars)
    assert_same(await read(candles, older), take_bars(bars, slice(0, 5_000)))


async def test_equal_bars_have_equal_hashes_however_they_came(candles: Candles) -> None:
    bars = walk(grid(24 * 700, HOUR_MS))
    for part in (slice(9_000, 16_800), slice(0, 5_000), slice(4_000, 9_500)):
        last = await candles.import_bars("X", "1h", take_bars(bars, part), "test")
    one = await candles.resolve("X", "1h", START_MS + DAY_MS, START_MS + 40 * DAY_MS)
    same = await candles.resolve("X", "1h", START_MS + DAY_MS - 1, START_MS + 40 * DAY_MS - HOUR_MS + 1)
    other = await candles.resolve("X", "1h", START_MS + DAY_MS, START_MS + 41 * DAY_MS)
    assert one.dataset_hash == same.dataset_hash != other.dataset_hash
    assert (await candles.resolve("X", "1h", *ALWAYS)).dataset_hash == last.dataset_hash


async def test_bars_with_other_values_are_refused_and_nothing_changes(candles: Candles) -> None:
    bars = walk(grid(500, HOUR_MS))
    await candles.import_bars("X", "1h", take_bars(bars, slice(0, 300)), "test")
    other = take_bars(bars, np.arange(500))
    other.volume[77] += 1
    with pytest.raises(BarConflict, match=r"2024-01-04T05:00:00Z .* volume") as caught:
        await candles.import_bars("X", "1h", other, "test")
    assert repr(other.volume[77].item()) in caught.value.message
    assert_same(await read_all(candles, "X", "1h"), take_bars(bars, slice(0, 300)))


async def test_stored_bars_that_differ_are_kept_where_that_is_said(candles: Candles) -> None:
    bars = walk(grid(500, HOUR_MS))
    first = await candles.import_bars("X", "1h", take_bars(bars, slice(0, 300)), "test")
    other = take_bars(bars, np.arange(200, 500))
    other.volume[[0, 7, 99]] += 1  # stored ones, and from 100 on new ones
    report = await candles.import_bars("X", "1h", other, "test", "keep")
    assert (report.added, report.known, report.kept, report.replaced, report.version) == (200, 97, 3, 0, 2)
    assert_same(await read_all(candles, "X", "1h"), bars)
    again = await candles.import_bars("X", "1h", other, "test", "keep")
    assert (again.version, again.kept, again.dataset_hash) == (2, 3, report.dataset_hash)
    assert again.dataset_hash != first.dataset_hash


async def test_stored_bars_that_differ_are_replaced_in_a_new_version(candles: Candles) -> None:
    bars = walk(grid(90 * 288, 5 * MINUTE_MS))
    await candles.import_bars("X", "5m", bars, "test")
    older = await candles.resolve("X", "5m", *ALWAYS)
    await candles.fetch(older)
    other = take_bars(bars, np.arange(8_000, 10_000))  # in January and February
    other.close[[5, 1_500]] = other.low[[5, 1_500]]
    report = await candles.import_bars("X", "5m", other, "test", "replace")
    assert (report.added, report.known, report.kept, report.replaced, report.version) == (0, 1_998, 0, 2, 2)
    expected = take_bars(bars, np.arange(bars.total))
    expected.close[8_000:10_000] = other.close
    assert_same(await read_all(candles, "X", "5m"), expected)
    assert_same(await read(candles, older), bars)
    reopened = await candles.reopen(older.manifest_id, older.interval, *ALWAYS)
    assert reopened == older
    back = await candles.import_bars("X", "5m", take_bars(bars, slice(8_000, 10_000)), "test", "replace")
    assert (back.replaced, back.version, back.dataset_hash) == (2, 3, older.dataset_hash)


async def test_a_year_of_real_minutes_takes_less_than_twenty_bytes_a_bar(
    candles: Candles, database: AsyncDatabase[Document], market_data_dir: Path
) -> None:
    bars = _real_minutes(market_data_dir / "bitfinex" / "BTCUSD-1m-2015.csv.gz")
    report = await candles.import_bars("BTCUSD", "1m", bars, "test")
    assert report.bars == bars.total > 366_000
    sizes = [len(bson.encode(chunk)) async for chunk in database["bar_chunks"].find()]
    assert len(sizes) == 12
    assert sum(sizes) < 12 * bars.total  # 10.7 measured
    assert_same(await read_all(candles, "BTCUSD", "1m"), bars)


@cache
def _real_minutes(path: Path) -> Bars:
    rows = np.loadtxt(path, delimiter=",")
    rows = rows[np.unique(rows[:, 0], return_index=True)[1]]
    return Bars(rows[:, 0].astype(np.int64), *(np.ascontiguousarray(rows[:, at]) for at in (1, 3, 4, 2, 5)))


async def test_bars_that_cannot_be_true_are_refused_by_the_store_too(candles: Candles) -> None:
    bars = walk(grid(50, HOUR_MS))
    bars.high[4] = 1.0
    with pytest.raises(ImportRefused, match=r"bar 4: high 1\.0"):
        await candles.import_bars("X", "1h", bars, "test")
    with pytest.raises(ImportRefused, match="no bars"):
        await candles.import_bars("X", "1h", take_bars(bars, slice(0, 0)), "test")
    with pytest.raises(ImportRefused, match="interval '7h'"):
        await candles.import_bars("X", "7h", bars, "test")
    assert await candles.list_series() == []


async def test_a_damaged_file_that_is_refused_changes_nothing(candles: Candles, tmp_path: Path) -> None:
    refused = 0
    for mutant in mutated_files(5, tmp_path):
        before = await candles.list_series()
        try:
            await import_files(candles, [mutant.path], mutant.kind.reading)
        except ImportRefused:
            refused += 1
            assert await candles.list_series() == before, mutant.done
    assert refused > 50


@pytest.mark.parametrize("damage", [("110.0", "many"), ("110.0", "110.5")], ids=["unreadable", "other than stored"])
async def test_a_good_file_is_refused_with_a_bad_one_beside_it(
    candles: Candles, tmp_path: Path, damage: tuple[str, str]
) -> None:
    bars = Bars(grid(48, HOUR_MS), *(np.full(48, value) for value in (100.0, 110.0, 90.0, 105.0, 5.0)))
    lines = [",".join(repr(column[bar].item()) for column in bars) for bar in range(48)]
    stored, other = tmp_path / "STORED-1h.csv", tmp_path / "OTHER-1h.csv"
    for file in (stored, other):
        file.write_text("\n".join(["time,open,high,low,close,volume", *lines, ""]))
    await import_files(candles, [stored])
    before = await candles.list_series()
    stored.write_text(stored.read_text().replace(*damage, 1))
    with pytest.raises(ImportRefused):
        await import_files(candles, [other, stored])
    assert await candles.list_series() == before
    assert_same(await read_all(candles, "STORED", "1h"), bars)


async def test_an_import_that_dies_at_any_write_leaves_nothing_to_be_seen(
    candles: Candles, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars = walk(grid(120 * 288, 5 * MINUTE_MS))  # four months
    base = take_bars(bars, slice(0, 10_000))
    await candles.import_bars("X", "5m", base, "test")
    writes = _dying_writes(monkeypatch)
    survived = 0
    for dies_at in range(1, 20):
        writes.left = dies_at
        try:
            await candles.import_bars("X", "5m", bars, "test")
        except StoreUnavailable:
            survived += 1
            assert_same(await read_all(candles, "X", "5m"), base)
        else:
            break
    # Chunks 2 (grown), 3, 4 and the manifest are found and renewed later; then the manifest before it, and the head.
    assert survived == 2 * 4 + 1 + 1
    assert_same(await read_all(candles, "X", "5m"), bars)


class _Writes:
    left = 1_000_000


def _dying_writes(monkeypatch: pytest.MonkeyPatch) -> _Writes:
    """Every write counts down; the one that reaches zero, and all after it, break off like a lost connection."""
    writes = _Writes()
    for method in ("insert_one", "update_one"):
        original: Callable[..., Awaitable[Any]] = getattr(AsyncCollection, method)

        async def dying(self: Any, *args: Any, original: Any = original, **options: Any) -> Any:
            writes.left -= 1
            if writes.left <= 0:
                raise AutoReconnect("the connection is gone")
            return await original(self, *args, **options)

        monkeypatch.setattr(AsyncCollection, method, dying)
    return writes


async def test_imports_of_one_series_at_once_lose_no_bars(candles: Candles) -> None:
    bars = walk(grid(800, HOUR_MS))
    parts = [take_bars(bars, slice(at, at + 200)) for at in range(0, 700, 100)]
    reports = await asyncio.gather(*[candles.import_bars("X", "1h", part, "test") for part in parts])
    assert_same(await read_all(candles, "X", "1h"), bars)
    assert sum(report.added for report in reports) == 800
    assert sorted(report.version for report in reports if report.added) == list(
        range(1, 1 + sum(1 for report in reports if report.added))
    )


async def test_two_processes_importing_overlapping_halves_lose_no_bars(
    candles: Candles, database: AsyncDatabase[Document], mongodb_uri: str, mongodb_database: str, tmp_path: Path
) -> None:
    bars = walk(grid(3_000, 15 * MINUTE_MS))
    # Each half in six files, so that the two meet many times; the middle third belongs to both.
    halves = [_save_parts(bars, range(0, 2_000, 400), tmp_path), _save_parts(bars, range(1_000, 3_000, 400), tmp_path)]
    arguments = ["-c", IMPORTER, mongodb_uri, mongodb_database, str(tmp_path / "cache")]
    importers = [forks.Talking([*arguments, *map(str, half)], os.environ) for half in halves]
    try:
        for importer in importers:
            assert await asyncio.to_thread(importer.stdout.readline) == "ready\n"
        watching = asyncio.create_task(_versions_seen(database))
        try:
            answers = await asyncio.gather(*[asyncio.to_thread(one.communicate, "\n") for one in importers])
        finally:
            watching.cancel()
            seen = await watching
    finally:
        for importer in importers:
            importer.close()
    added = [json.loads(line) for out, _ in answers for line in out.splitlines()]
    assert sum(new for new, _ in added) == 3_000
    assert_same(await read_all(candles, "X", "15m"), bars)
    assert len(seen) > 1
    assert seen <= _valid_hashes(bars)


async def _versions_seen(database: AsyncDatabase[Document]) -> set[str]:
    """The `datasetHash` of every version that was the head, each with all its chunks there, until it is cancelled."""
    seen: set[str] = set()
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            head = await database["bar_heads"].find_one({"_id": "X|15m"})
            if head is not None:
                manifest = await database["bar_datasets"].find_one({"_id": head["manifestId"]})
                assert manifest is not None
                chunks = {chunk["id"] for chunk in manifest["chunks"]}
                assert await database["bar_chunks"].count_documents({"_id": {"$in": sorted(chunks)}}) == len(chunks)
                seen.add(manifest["datasetHash"])
    return seen


def _valid_hashes(bars: Bars) -> set[str]:
    """Of every version that there can be while each half arrives file by file."""
    hashes: set[str] = set()
    for first in range(6):
        for second in range(6):
            there = np.zeros(bars.total, np.bool_)
            there[: 400 * first] = True
            there[1_000 : 1_000 + 400 * second] = True
            if there.any():
                hashes.add(first_manifest("X", "15m", "", take_bars(bars, there)).dataset_hash)
    return hashes


def _save_parts(bars: Bars, starts: range, directory: Path) -> list[Path]:
    paths: list[Path] = []
    for at in starts:
        part = take_bars(bars, slice(at, at + 400))
        lines = [",".join(repr(column[bar].item()) for column in part) for bar in range(part.total)]
        paths.append(directory / f"X-15m-{starts.start}-{at}.csv")
        paths[-1].write_text("\n".join(["time,open,high,low,close,volume", *lines]))
    return paths


async def test_coarser_bars_are_made_of_the_coarsest_there_are(candles: Candles) -> None:
    times = grid(60 * 1440, 5 * MINUTE_MS)  # 300 days: ten chunks, most weeks' ends lie in another than their start
    whole = walk(np.delete(times, np.random.default_rng(3).integers(0, len(times), 9_000)))
    await candles.import_bars("X", "5m", whole, "test")
    for interval in ("30m", "4h", "1d", "1w"):
        wanted = await candles.resolve("X", interval, *ALWAYS)
        expected = resample_bars(whole, Grid.of(interval))
        finished = int(np.searchsorted(expected.time_ms, wanted.end_ms))
        assert (wanted.interval, wanted.resampled_from, wanted.total_bars) == (interval, "5m", finished)
        assert (
            wanted.end_ms
            == (times[-1] + 5 * MINUTE_MS - START_MS) // INTERVAL_MS[interval] * INTERVAL_MS[interval] + START_MS
        )
        assert_same(await read(candles, wanted), take_bars(expected, slice(0, finished)))
    one = await candles.resolve("X", "4h", START_MS + DAY_MS, START_MS + 2 * DAY_MS)
    assert ((await read(candles, one)).time_ms - START_MS).tolist() == [DAY_MS + 4 * HOUR_MS * k for k in range(6)]
    await candles.import_bars("X", "1h", walk(grid(300 * 24, HOUR_MS), seed=2), "test")
    assert (await candles.resolve("X", "4h", *ALWAYS)).resampled_from == "1h"
    assert (await candles.resolve("X", "30m", *ALWAYS)).resampled_from == "5m"
    with pytest.raises(UnknownMarketData, match=r"no 3m bars of X, nor any to make them of; there are 5m, 1h"):
        await candles.resolve("X", "3m", *ALWAYS)


async def test_bars_that_are_there_are_not_made_and_a_pinned_version_stays_what_it_was(candles: Candles) -> None:
    hours = walk(grid(400, HOUR_MS))
    await candles.import_bars("X", "1h", hours, "test")
    made = await candles.resolve("X", "4h", *ALWAYS)
    native = walk(grid(100, 4 * HOUR_MS), seed=9)
    await candles.import_bars("X", "4h", native, "test")
    later = await candles.resolve("X", "4h", *ALWAYS)
    assert (later.resampled_from, later.dataset_hash != made.dataset_hash) == (None, True)
    assert_same(await read(candles, later), native)
    await candles.import_bars("X", "1h", walk(grid(40, HOUR_MS, START_MS + 400 * HOUR_MS)), "test")
    assert await candles.reopen(made.manifest_id, "4h", *ALWAYS) == made
    assert_same(await read(candles, made), resample_bars(hours, Grid.every(4 * HOUR_MS)))


async def test_what_is_not_there_is_refused_with_what_is(candles: Candles) -> None:
    async def refused(symbol: str, interval: str, start_ms: int, end_ms: int) -> tuple[str, str]:
        with pytest.raises(UnknownMarketData) as caught:
            await candles.resolve(symbol, interval, start_ms, end_ms)
        [error] = caught.value.errors
        return error.field, error.message

    field, message = await refused("BTCUSDT", "1h", *ALWAYS)
    assert (field, "any" in message) == ("symbol", True)
    bars = walk(np.delete(grid(100, HOUR_MS), slice(40, 60)))
    await candles.import_bars("BTCUSDT", "1h", bars, "test")
    await candles.import_bars("AAPL", "1d", walk(grid(10, DAY_MS)), "test")
    field, message = await refused("BTCUSD", "1h", *ALWAYS)
    assert (field, "BTCUSDT" in message) == ("symbol", True)
    field, message = await refused("BTCUSDT", "30m", *ALWAYS)
    assert (field, "there are 1h" in message) == ("interval", True)
    field, message = await refused("BTCUSDT", "1h", 0, START_MS)
    assert (field, "2024-01-01T00:00:00Z to 2024-01-05T04:00:00Z" in message) == ("endDate", True)
    field, message = await refused("BTCUSDT", "1h", START_MS + 100 * HOUR_MS, START_MS + 200 * HOUR_MS)
    assert (field, "2024-01-01T00:00:00Z to 2024-01-05T04:00:00Z" in message) == ("startDate", True)
    field, message = await refused("BTCUSDT", "1h", START_MS + 40 * HOUR_MS, START_MS + 60 * HOUR_MS)
    assert (field, "gap" in message) == ("startDate", True)


async def test_resolving_costs_one_look_by_id(candles: Candles, monkeypatch: pytest.MonkeyPatch) -> None:
    await candles.import_bars("X", "1h", walk(grid(100, HOUR_MS)), "test")
    expected = await candles.resolve("X", "1h", *ALWAYS)
    asked: list[tuple[str, Any]] = []
    original = AsyncCollection.find_one

    async def counting(self: Any, query: Any = None, *args: Any, **options: Any) -> Any:
        asked.append((self.name, query))
        return await original(self, query, *args, **options)

    monkeypatch.setattr(AsyncCollection, "find_one", counting)
    assert await candles.resolve("X", "1h", *ALWAYS) == expected
    assert asked == [("bar_heads", {"_id": "X|1h"})]


async def test_one_chunk_is_mapped_and_not_copied(candles: Candles, settings: Settings) -> None:
    bars = walk(grid(1_000, HOUR_MS))
    await candles.import_bars("X", "1h", bars, "test")
    served = await read(candles, await candles.resolve("X", "1h", START_MS + 10 * HOUR_MS, START_MS + 20 * HOUR_MS))
    assert not any(column.flags.owndata for column in served)
    served.close[0] = -1.0  # stays private to whoever mapped it
    assert_same(await read_all(candles, "X", "1h"), bars)
    assert [path.stat().st_size for path in cached_files(settings)] == [48_000]


@pytest.mark.parametrize("size", [0, 100, 48_008])
async def test_a_cache_file_of_the_wrong_size_is_fetched_again(candles: Candles, settings: Settings, size: int) -> None:
    bars = walk(grid(1_000, HOUR_MS))
    await candles.import_bars("X", "1h", bars, "test")
    wanted = await candles.resolve("X", "1h", *ALWAYS)
    files = await candles.fetch(wanted)
    os.truncate(files.paths[0], size)
    with pytest.raises(BarFilesGone):
        open_bars(files)
    assert_same(await read(candles, wanted), bars)
    os.unlink(files.paths[0])
    with pytest.raises(BarFilesGone):
        open_bars(files)
    assert_same(await read(candles, wanted), bars)


@pytest.mark.parametrize("total", [5_000, 26_000])  # within one chunk, and over several
async def test_a_flipped_bit_in_a_cache_file_is_noticed_by_the_next_process(
    candles: Candles, database: AsyncDatabase[Document], settings: Settings, total: int
) -> None:
    bars = walk(grid(total, 5 * MINUTE_MS))
    await candles.import_bars("X", "5m", bars, "test")
    wanted = await candles.resolve("X", "5m", *ALWAYS)
    files = await candles.fetch(wanted)
    assert (len(wanted.chunks) > 1) == (total > 10_000)
    path = Path(files.paths[0])
    flipped = bytearray(path.read_bytes())
    flipped[12_345] ^= 4
    path.write_bytes(flipped)
    with pytest.raises(AssertionError):
        assert_same(open_bars(files), bars)
    assert_same(await read_all(Candles(Mongo(database.client, database.name), settings), "X", "5m"), bars)


async def test_several_chunks_are_joined_once_in_a_file_that_every_process_maps(
    candles: Candles, database: AsyncDatabase[Document], settings: Settings
) -> None:
    bars = walk(grid(90 * 288, 5 * MINUTE_MS))
    await candles.import_bars("X", "5m", bars, "test")
    wanted = await candles.resolve("X", "5m", *ALWAYS)
    assert len(wanted.chunks) > 1
    files = await candles.fetch(wanted)
    assert len(files.paths) == 1
    joined = os.stat(files.paths[0])
    opened = open_bars(files)
    assert not opened.close.flags.owndata  # mapped, not copied
    assert_same(opened, bars)
    for chunk in wanted.chunks:
        (settings.cache_dir / "bars" / chunk.id).unlink(missing_ok=True)  # what is joined does without
    assert await Candles(Mongo(database.client, database.name), settings).fetch(wanted) == files
    assert os.stat(files.paths[0]).st_ino == joined.st_ino
    inside = await candles.resolve("X", "5m", int(bars.time_ms[100]), int(bars.time_ms[-100]))
    assert_same(await read(candles, inside), take_bars(bars, slice(100, -100)))


async def test_a_file_of_the_cache_is_checked_once_in_a_process(
    candles: Candles, database: AsyncDatabase[Document], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await candles.import_bars("X", "1h", walk(grid(1_000, HOUR_MS)), "test")
    await read_all(candles, "X", "1h")
    checked: list[int] = []
    original = ChunkCache.check

    def counting(self: ChunkCache, chunks: Iterable[ChunkRef]) -> list[ChunkRef]:
        asked = list(chunks)
        checked.append(len(asked))
        return original(self, asked)

    monkeypatch.setattr(ChunkCache, "check", counting)
    await read_all(candles, "X", "1h")
    assert checked == []
    other = Candles(Mongo(database.client, database.name), settings)
    await read_all(other, "X", "1h")
    await read_all(other, "X", "1h")
    assert checked == [1]


async def test_a_reader_killed_while_it_fills_the_cache_leaves_nothing_wrong(
    candles: Candles, mongodb_uri: str, mongodb_database: str, settings: Settings
) -> None:
    bars = walk(grid(12 * 30 * 288, 5 * MINUTE_MS))
    await candles.import_bars("X", "5m", bars, "test")
    arguments = [mongodb_uri, mongodb_database, str(settings.cache_dir), "100000000", "0"]
    for kills_at in (1, 4, 7):
        reader = await _start_reader(*arguments)
        reader.stdin.write("\n")
        await asyncio.to_thread(_wait_for_files, settings.cache_dir / "bars", kills_at)
        reader.close()
    half = settings.cache_dir / "bars" / "killed.part"
    half.write_bytes(b"half")
    os.utime(half, (0, 0))
    assert_same(await read_all(candles, "X", "5m"), bars)
    assert not half.exists()


async def test_many_processes_share_a_cache_that_is_too_small_for_them(
    candles: Candles, mongodb_uri: str, mongodb_database: str, settings: Settings
) -> None:
    bars = walk(grid(12 * 30 * 288, 5 * MINUTE_MS))  # 5 MB in twelve files
    await candles.import_bars("X", "5m", bars, "test")
    expected = hashlib.sha256(b"".join(column.tobytes() for column in bars)).hexdigest()
    arguments = [mongodb_uri, mongodb_database, str(settings.cache_dir), "1000000", "6"]
    readers = [await _start_reader(*arguments) for _ in range(4)]
    try:
        answers = await asyncio.gather(*[asyncio.to_thread(one.communicate, "\n") for one in readers])
    finally:
        for reader in readers:
            reader.close()
    assert [answer.split() for answer, _ in answers] == [[expected] * 6] * 4
    assert not list((settings.cache_dir / "bars").glob("*.part"))
    month = await candles.resolve("X", "5m", START_MS, START_MS + DAY_MS)
    (settings.cache_dir / "bars" / month.chunks[0].id).unlink(missing_ok=True)
    await candles.fetch(month)  # the next that is fetched brings it back within its bounds
    assert sum(path.stat().st_size for path in cached_files(settings)) <= 1_000_000


def _wait_for_files(directory: Path, count: int) -> None:
    deadline_s = time.monotonic() + 30
    while not directory.is_dir() or len(list(directory.iterdir())) < count:
        assert time.monotonic() < deadline_s
        time.sleep(0.001)


async def _start_reader(*arguments: str) -> forks.Talking:
    """A process that reads the whole of X as often as the last argument says, once it is sent a line."""
    reader = forks.Talking(["-c", READER, *arguments], os.environ)
    assert await asyncio.to_thread(reader.stdout.readline) == "ready\n"
    return reader


async def test_the_cache_drops_what_was_unused_longest(candles: Candles, settings: Settings) -> None:
    whole = {name: walk(grid(8_000, HOUR_MS), seed) for seed, name in enumerate(("A", "B", "C"))}  # 384 kB each
    for name, bars in whole.items():
        await candles.import_bars(name, "1h", bars, "test")
    held = await read_all(candles, "A", "1h")
    await read_all(candles, "B", "1h")
    for name, age_s in (("A", 100), ("B", 200)):
        for path in (await candles.fetch(await candles.resolve(name, "1h", *ALWAYS))).paths:
            used_at = os.stat(path).st_mtime - age_s
            os.utime(path, (used_at, used_at))
    await read_all(candles, "C", "1h")
    left = {path.name for path in cached_files(settings)}
    wanted = {name: (await candles.resolve(name, "1h", *ALWAYS)).chunks for name in whole}
    assert left == {chunk.id for name in ("A", "C") for chunk in wanted[name]}
    await read_all(candles, "B", "1h")  # pushes A out
    assert not {chunk.id for chunk in wanted["A"]} & {path.name for path in cached_files(settings)}
    assert sum(path.stat().st_size for path in cached_files(settings)) <= settings.cache_max_bytes
    assert_same(held, whole["A"])  # mapped before its file went


async def test_a_slice_larger_than_the_cache_is_still_served(candles: Candles) -> None:
    bars = walk(grid(24 * 365 * 3, HOUR_MS, START_MS - 4 * 365 * DAY_MS))  # 1.26 MB of files, 1 MB of cache
    await candles.import_bars("X", "1h", bars, "test")
    assert_same(await read_all(candles, "X", "1h"), bars)


async def test_a_chunk_that_was_tampered_with_is_never_served(
    candles: Candles, database: AsyncDatabase[Document]
) -> None:
    await candles.import_bars("X", "1h", walk(grid(100, HOUR_MS)), "test")
    await candles.import_bars("Y", "1h", walk(grid(100, HOUR_MS), seed=2), "test")
    x, y = [(await candles.resolve(name, "1h", *ALWAYS)) for name in ("X", "Y")]
    stolen = await database["bar_chunks"].find_one({"_id": y.chunks[0].id})
    assert stolen is not None
    await database["bar_chunks"].update_one({"_id": x.chunks[0].id}, {"$set": {"columns": stolen["columns"]}})
    with pytest.raises(DamagedChunk, match=x.chunks[0].id):
        await candles.fetch(x)
    await database["bar_chunks"].delete_one({"_id": x.chunks[0].id})
    with pytest.raises(DamagedChunk, match="is gone"):
        await candles.fetch(x)


async def test_many_readers_and_an_importer_see_whole_versions_only(candles: Candles) -> None:
    bars = walk(grid(1_000, HOUR_MS))
    await candles.import_bars("X", "1h", take_bars(bars, slice(0, 100)), "test")
    done = asyncio.Event()

    async def keep_reading() -> int:
        reads = 0
        while not done.is_set() and reads < 10_000:
            seen = await read_all(candles, "X", "1h")
            assert seen.total % 100 == 0
            assert_same(seen, take_bars(bars, slice(0, seen.total)))
            reads += 1
        return reads

    readers = [asyncio.create_task(keep_reading()) for _ in range(4)]
    try:
        for end in range(200, 1_001, 100):
            await candles.import_bars("X", "1h", take_bars(bars, slice(end - 150, end)), "test")
    finally:
        done.set()
        reads = await asyncio.gather(*readers)
    assert min(reads) > 0
    assert_same(await read_all(candles, "X", "1h"), bars)


async def test_documents_stay_small(candles: Candles, database: AsyncDatabase[Document]) -> None:
    january, march = grid(44_640, MINUTE_MS), grid(44_640, MINUTE_MS, START_MS + 60 * DAY_MS)
    times = join_bars([walk(january), walk(march)]).time_ms[::1]
    dice = np.random.default_rng(5)
    bars = walk(times[dice.random(len(times)) < 0.7])  # as full of holes as a thinly traded coin
    report = await candles.import_bars("X", "1m", bars, "test")
    chunks = await database["bar_chunks"].find().to_list()
    assert sum(len(bson.encode(chunk)) for chunk in chunks) < 20 * bars.total
    [manifest] = await database["bar_datasets"].find().to_list()
    assert report.gap_count > 10_000
    assert len(manifest["gaps"]) == 1_000
    assert len(bson.encode(manifest)) < 200_000


async def test_days_of_a_session_are_stored_taken_up_and_served(candles: Candles) -> None:
    """Days of currencies from Sunday to Friday at 17:00 in New York, over both changes of the clock."""
    new_york = Session("America/New_York", 17 * HOUR_MS)
    days = Grid.of("1d", new_york)
    times = days.starts(days.slot(START_MS) + np.flatnonzero(np.arange(400) % 7 < 5))
    bars = walk(times)
    assert {at % DAY_MS for at in times.tolist()} == {21 * HOUR_MS, 22 * HOUR_MS}
    first = await candles.import_bars("EURUSD", "1d", take_bars(bars, slice(0, 200)), "a", session=new_york)
    # What comes later need not say the session, and may not tell it: it is kept.
    later = await candles.import_bars("EURUSD", "1d", take_bars(bars, slice(150, None)), "b", session=new_york)
    assert (first.session, later.session, later.added) == (new_york, new_york, bars.total - 200)
    whole = await candles.resolve("EURUSD", "1d", *ALWAYS)
    assert_same(await read(candles, whole), bars)
    assert whole.dataset_hash == first_manifest("EURUSD", "1d", "", bars, new_york).slice(*ALWAYS).dataset_hash
    weeks = await candles.resolve("EURUSD", "1w", *ALWAYS)
    made = resample_bars(bars, Grid.of("1w", new_york))
    assert_same(await read(candles, weeks), take_bars(made, slice(0, made.total - 1)))  # the last one is not over
    months = await candles.resolve("EURUSD", "1M", *ALWAYS)
    made = resample_bars(bars, Grid.of("1M", new_york))
    assert_same(await read(candles, months), take_bars(made, slice(0, months.total_bars)))
    assert months.total_bars == made.total - 1
    plotted = await candles.plot_bucket_ms(whole, 60)
    assert (await candles.read(whole, plotted)).total <= 60
    [listed] = await candles.list_series()
    assert listed.session == new_york
    midnight = walk(START_MS + DAY_MS * np.arange(3))
    with pytest.raises(
        ImportRefused, match=r"begin at 17:00 in America/New_York, those of the new ones at 00:00 in UTC"
    ):
        await candles.import_bars("EURUSD", "1d", midnight, "c")


async def test_a_calendar_judges_what_is_imported_later_until_another_is_named(candles: Candles) -> None:
    load("exchange_calendars")
    days = np.arange("2024-12-02", "2025-02-01", dtype="datetime64[D]")
    closed = ["2024-12-25", "2025-01-01", "2025-01-09", "2025-01-20"]
    times = days[np.is_busday(days, holidays=closed)].astype("datetime64[ms]").astype(np.int64)
    bars = walk(np.delete(times, 30))  # 2025-01-16
    first = await candles.import_bars("X", "1d", take_bars(bars, slice(0, 20)), "a", calendar="NYSE")
    assert (first.calendar, first.gap_count) == ("XNYS", 0)
    later = await candles.import_bars("X", "1d", bars, "b")
    assert (later.calendar, later.gap_count, later.missing_bars, later.version) == ("XNYS", 1, 1, 2)
    [listed] = await candles.list_series()
    missed_ms = int(times[30])
    assert (listed.calendar, listed.largest_gaps) == ("XNYS", (Gap(missed_ms, missed_ms + DAY_MS, 1),))
    lack = (await candles.resolve("X", "1d", *ALWAYS)).lack
    assert lack is not None
    assert (lack.bars, lack.gaps) == (1, 1)
    again = await candles.import_bars("X", "1d", bars, "b", calendar="XNYS")
    assert (again.version, again.added) == (2, 0)
    other = await candles.import_bars("X", "1d", bars, "b", calendar="XLON")
    assert (other.version, other.added, other.calendar, other.dataset_hash) == (3, 0, "XLON", later.dataset_hash)
    assert other.missing_bars == 3  # London was open on two of the days that New York was closed


async def test_a_session_that_is_asked_for_makes_a_new_version_of_the_same_bars(candles: Candles) -> None:
    bars = walk(grid(24 * 60, HOUR_MS))
    plain = await candles.import_bars("X", "1h", bars, "a")
    again = await candles.import_bars("X", "1h", bars, "a", session=Session("America/New_York", 17 * HOUR_MS))
    assert (again.version, again.session) == (1, UTC_DAYS)  # recognised or not: what is there stays as it is
    asked = Session("America/New_York", 17 * HOUR_MS, asked=True)
    changed = await candles.import_bars("X", "1h", bars, "a", session=asked)
    assert (changed.version, changed.added, changed.session) == (2, 0, asked)
    assert changed.dataset_hash != plain.dataset_hash
    days = await candles.resolve("X", "1d", *ALWAYS)
    assert_same(
        await read(candles, days), take_bars(resample_bars(bars, Grid.of("1d", asked)), slice(0, days.total_bars))
    )
