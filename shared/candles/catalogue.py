"""Market data in MongoDB: importing, listing, resolving and fetching bars.

The content of `bar_chunks` and `bar_datasets` (the manifests) never changes; a document's `_id` is the hash of it.
`bar_heads` says which manifest is current, per series, and is moved by compare-and-set after everything it leads to is
written. So a reader sees one version or the next, never a part, and an import that dies leaves nothing to be seen.
Beside its content a document carries `wantedAt`, by which `shared/candles/garbage.py` knows what nobody can need.
"""

from __future__ import annotations

import asyncio
import difflib
import random
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from shared.bars import Bars
from shared.batches import Batches
from shared.candles.cache import BarFiles, BarFilesGone, ChunkCache, join_of, open_bars
from shared.candles.chunks import (
    DamagedChunk,
    cut_into_periods,
    pack_chunk,
    periods_of,
    unpack_chunk,
    view_bars,
)
from shared.candles.garbage import PUBLISH_WITHIN_S, GarbageReport, PinnedAmong, collect_garbage
from shared.candles.manifest import (
    ChunkRef,
    Manifest,
    Slice,
    make_manifest,
    read_manifest,
    unknown_market_data,
    write_manifest,
)
from shared.candles.resample import finer_intervals
from shared.candles.series import Gap, OnConflict, TimeIndex, first_fault, reconcile_bars
from shared.errors import Conflict, ImportRefused, Unavailable, UnknownMarketData
from shared.instants import INTERVAL_MS, iso_from_ms
from shared.mongo import Document, Mongo, translate_mongo_errors
from shared.request import SYMBOL_PATTERN
from shared.settings import Settings

OnChunk = Callable[[int, int], None]  # is told how many chunks are written, and of how many

_PUBLISH_ATTEMPTS = 20
_PUBLISH_PAUSE_S = 0.05  # times the attempt, times a random number: importers of one series drift apart
_PUT_ATTEMPTS = 5  # each but the first needs a collection of garbage between two round trips
_MANIFESTS_KEPT = 512
_HOLE_BYTES_KEPT = 64_000_000
_HEADS_MAX = 10_000
_NAMES_SHOWN = 10
_FETCHES_MAX = 5
_READS_AT_ONCE = 4  # whoever plots long series at once waits, and does not take all threads


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did: `added` bars are new, `known` were there already with equal values.

    Of those that were there with other values, `kept` stayed as they were and `replaced` did not.
    """

    symbol: str
    interval: str
    version: int
    source: str
    added: int
    known: int
    bars: int
    start_ms: int
    end_ms: int
    gap_count: int
    missing_bars: int
    dataset_hash: str
    kept: int = 0
    replaced: int = 0
    notes: tuple[str, ...] = ()

    def summary(self) -> str:
        """One line for people."""
        differing = f", {self.kept:,} kept that differed" if self.kept else ""
        differing += f", {self.replaced:,} replaced" if self.replaced else ""
        return (
            f"{self.symbol} {self.interval}: {self.added:,} bars added, {self.known:,} known{differing}; "
            f"now {self.bars:,} bars "
            f"from {iso_from_ms(self.start_ms)} to {iso_from_ms(self.end_ms)}, {self.gap_count:,} gaps "
            f"({self.missing_bars:,} bars missing), version {self.version}"
        )


@dataclass(frozen=True, slots=True)
class Dataset:
    """The current version of one series. `end_ms` is where its last bar ends; `largest_gaps` has the largest first."""

    symbol: str
    interval: str
    version: int
    source: str
    bars: int
    start_ms: int
    end_ms: int
    gap_count: int
    missing_bars: int
    dataset_hash: str
    imported_at: int
    largest_gaps: tuple[Gap, ...]


class Candles:
    """Market data of one database, with this machine's disk cache in front of it."""

    def __init__(self, mongo: Mongo, settings: Settings) -> None:
        self._mongo = mongo
        self._chunks = mongo.collection("bar_chunks")
        self._datasets = mongo.collection("bar_datasets")
        self._heads = mongo.collection("bar_heads")
        self._looks: Batches[str, Document | None] = Batches(self._look_at_heads, most=_HEADS_MAX)
        self._cache = ChunkCache(settings.cache_dir / "bars", settings.cache_max_bytes)
        self._filling = asyncio.Lock()
        self._reading = asyncio.Semaphore(_READS_AT_ONCE)
        self._manifests: OrderedDict[str, Manifest] = OrderedDict()
        self._hole_bytes = 0

    async def import_bars(
        self,
        symbol: str,
        interval: str,
        bars: Bars,
        source: str,
        on_conflict: OnConflict = "refuse",
        on_chunk: OnChunk | None = None,
    ) -> ImportReport:
        """Adds bars to a series as one new version, or as none where all of them are there already.

        Where stored bars have other values, `on_conflict` refuses the import, keeps them or replaces them.
        Raises `ImportRefused` for bars that cannot be true, `BarConflict` (one of its kind) for a stored bar with other
        values, `Conflict` when others kept publishing in between, `StoreUnavailable`. Nothing is visible then.
        """
        await asyncio.to_thread(_refuse_faulty, symbol, interval, bars)
        for attempt in range(_PUBLISH_ATTEMPTS):
            await self._mongo.sync_clock()
            began_s = time.monotonic()
            head = await self._head(symbol, interval)
            base = await self._manifest(head["manifestId"]) if head else None
            manifest, differing = await self._store_version(
                symbol, interval, bars, source, base, on_conflict, on_chunk or _tell_nobody
            )
            if manifest is base or await self._publish(manifest, base, began_s):
                added = manifest.index.bars - (base.index.bars if base else 0)
                report = _report(manifest, source, added, bars.total - added - differing)
                return replace(report, **{"replaced" if on_conflict == "replace" else "kept": differing})
            await asyncio.sleep(_PUBLISH_PAUSE_S * attempt * random.random())
        raise Conflict(
            f"{symbol} {interval} was imported by others {_PUBLISH_ATTEMPTS} times meanwhile; import it again"
        )

    async def refuse_conflicts(self, symbol: str, interval: str, bars: Bars) -> None:
        """Raises what `import_bars` would raise for these bars as things are now, and writes nothing."""
        await asyncio.to_thread(_refuse_faulty, symbol, interval, bars)
        head = await self._head(symbol, interval)
        if head:
            base = await self._manifest(head["manifestId"])
            await self._merge(symbol, interval, bars, base, "refuse")
            await asyncio.to_thread(_index_union, base, bars, INTERVAL_MS[interval])

    async def collect_garbage(
        self, pinned_among: PinnedAmong, older_than_ms: int, dry_run: bool = False
    ) -> GarbageReport:
        """Removes versions that no head and no record leads to, and the chunks that were only theirs.

        `pinned_among` says which of some manifests records refer to (`Store.pinned_among`). What was wanted within
        `older_than_ms` stays, and never less than `SAFE_AGE_MS`. Raises `StoreUnavailable`.
        """
        await self._mongo.sync_clock()
        with translate_mongo_errors():
            return await collect_garbage(
                self._heads, self._datasets, self._chunks, pinned_among, self._mongo.now_ms(), older_than_ms, dry_run
            )

    async def list_datasets(self) -> list[Dataset]:
        """The current version of every series, by symbol and length of the interval."""
        with translate_mongo_errors():
            heads = await self._heads.find({}, {"manifestId": 1}).limit(_HEADS_MAX).to_list()
            wanted = {"_id": {"$in": [head["manifestId"] for head in heads]}}
            documents = await self._datasets.find(wanted, {"chunks": 0, "holes": 0, "gaps": 0}).to_list()
        found = [
            Dataset(
                one["symbol"],
                one["interval"],
                int(one["version"]),
                one["source"],
                int(one["bars"]),
                int(one["startMs"]),
                int(one["endMs"]),
                int(one["gapCount"]),
                int(one["missingBars"]),
                one["datasetHash"],
                int(one["importedAt"]),
                tuple(Gap(*map(int, gap)) for gap in one["largestGaps"]),
            )
            for one in documents
        ]
        return sorted(found, key=lambda one: (one.symbol, INTERVAL_MS[one.interval]))

    async def resolve(self, symbol: str, interval: str, start_ms: int, end_ms: int) -> Slice:
        """The bars from `start_ms` (inclusive) to `end_ms` (exclusive) of the current version: as many as there are.

        Where there is no series of the interval, its bars are made of the coarsest finer series there is. One look at
        the head by its `_id`, and a second where it is not there; manifests are immutable and kept in memory. Raises
        `UnknownMarketData` for `symbol`, `interval`, `startDate` or `endDate`, saying what there is, and
        `StoreUnavailable`.
        """
        head = await self._head(symbol, interval) or await self._finer_head(symbol, interval)
        if head is None:
            raise await self._unknown_series(symbol, interval)
        return await self.reopen(head["manifestId"], interval, start_ms, end_ms)

    async def reopen(self, manifest_id: str, interval: str, start_ms: int, end_ms: int) -> Slice:
        """The same as `resolve`, of the version that an earlier `Slice` named: later imports change nothing in it."""
        return (await self._manifest(manifest_id)).slice(start_ms, end_ms, interval)

    async def plot_bucket_ms(self, wanted: Slice, points_max: int) -> int:
        """See `Manifest.plot_bucket_ms`."""
        return (await self._manifest(wanted.manifest_id)).plot_bucket_ms(wanted, points_max)

    async def read(self, wanted: Slice, bucket_ms: int = 0) -> Bars:
        """The bars of the slice, made into longer ones of `bucket_ms` where that is not 0. Raises what `fetch` does."""
        async with self._reading:
            for _ in range(_FETCHES_MAX - 1):
                files = await self.fetch(wanted, bucket_ms)
                try:
                    return await asyncio.to_thread(open_bars, files)
                except BarFilesGone:
                    continue  # Another process has evicted a file meanwhile.
            return await asyncio.to_thread(open_bars, await self.fetch(wanted, bucket_ms))

    async def fetch(self, wanted: Slice, bucket_ms: int = 0) -> BarFiles:
        """Makes sure that every chunk of the slice lies in the disk cache; missing ones are read in one query.

        What `open_bars` makes of the files are bars of the slice's interval, or of `bucket_ms` where that is not 0.
        Raises `StoreUnavailable`, `DamagedChunk` where a stored chunk is lost or not what its name says, and
        `Unavailable` where the cache directory cannot be written.
        """
        bucket_ms = bucket_ms or (INTERVAL_MS[wanted.interval] if wanted.resampled_from else 0)
        files = wanted.chunks
        if len(files) > 1 and not bucket_ms:  # what is made into longer bars is read chunk by chunk
            files = (join_of(files),)
        try:
            if self._cache.missing(files):
                # One at a time: who waited finds the files in place, and few chunks are in memory at once.
                async with self._filling:
                    await self._fill(wanted.chunks, files)
        except OSError as error:
            raise Unavailable(f"the market data cache: {error}; see BACKFLEET_CACHE_DIR") from error
        except BarFilesGone:
            files = wanted.chunks  # Another process evicted one before it was joined. Whoever opens them will see.
        return BarFiles(
            tuple(self._cache.path(chunk) for chunk in files),
            tuple(chunk.bars for chunk in files),
            wanted.skip_bars,
            wanted.stored_bars,
            bucket_ms,
        )

    async def _fill(self, chunks: Sequence[ChunkRef], files: Sequence[ChunkRef]) -> None:
        """Puts `files` into the cache: the chunks themselves, or the one that joins them."""
        if not self._cache.missing(files):
            return
        joined = files[0] if files is not chunks else None
        if joined and await asyncio.to_thread(self._cache.check_join, joined, chunks):
            return
        missing = await asyncio.to_thread(self._cache.check, self._cache.missing(chunks))
        async for document in self._read_chunks(missing):
            canonical = await asyncio.to_thread(unpack_chunk, document)
            await asyncio.to_thread(self._cache.write, document["_id"], canonical)
        if joined:
            await asyncio.to_thread(self._cache.join, joined, chunks)
        if joined or missing:
            await asyncio.to_thread(self._cache.evict, files)

    async def _read_chunks(self, chunks: Sequence[ChunkRef]) -> AsyncIterator[Document]:
        lost = {chunk.id for chunk in chunks}
        with translate_mongo_errors():
            async for document in self._chunks.find({"_id": {"$in": sorted(lost)}}):
                lost.discard(document["_id"])
                yield document
        if lost:
            raise DamagedChunk(f"bar_chunks/{min(lost)} is gone; restore it from a backup")

    async def _head(self, symbol: str, interval: str) -> Document | None:
        return await self._looks.ask(_series_id(symbol, interval))

    async def _finer_head(self, symbol: str, interval: str) -> Document | None:
        """The head of the coarsest series that bars of this interval can be made of."""
        heads = await asyncio.gather(*(self._head(symbol, finer) for finer in finer_intervals(interval)))
        return next(filter(None, heads), None)

    async def _look_at_heads(self, series: list[str]) -> list[Document | None]:
        asked = sorted(set(series))
        with translate_mongo_errors():
            if len(asked) == 1:
                found = await self._heads.find_one({"_id": asked[0]})
                return [found] * len(series)
            heads = {head["_id"]: head async for head in self._heads.find({"_id": {"$in": asked}})}
        return [heads.get(one) for one in series]

    async def _manifest(self, manifest_id: str) -> Manifest:
        known = self._manifests.get(manifest_id)
        if known is not None:
            self._manifests.move_to_end(manifest_id)
            return known
        with translate_mongo_errors():
            document = await self._datasets.find_one({"_id": manifest_id})
        if document is None:
            raise DamagedChunk(f"bar_datasets/{manifest_id} is gone; restore it from a backup")
        manifest = read_manifest(document)
        if self._manifests.setdefault(manifest_id, manifest) is manifest:
            self._hole_bytes += manifest.index.hole_slot.nbytes * 3
        while len(self._manifests) > 1 and (
            len(self._manifests) > _MANIFESTS_KEPT or self._hole_bytes > _HOLE_BYTES_KEPT
        ):
            _, dropped = self._manifests.popitem(last=False)
            self._hole_bytes -= dropped.index.hole_slot.nbytes * 3
        return manifest

    async def _store_version(
        self,
        symbol: str,
        interval: str,
        bars: Bars,
        source: str,
        base: Manifest | None,
        on_conflict: OnConflict,
        on_chunk: OnChunk,
    ) -> tuple[Manifest, int]:
        """Writes the chunks and the manifest of `base` plus `bars`; also says how many bars differed.

        Returns `base` itself when that changes nothing.
        """
        merged, differing = await self._merge(symbol, interval, bars, base, on_conflict)
        if base and not merged:
            return base, differing
        chunks = {_period_of(chunk, interval): chunk for chunk in (base.chunks if base else ())}
        on_chunk(0, len(merged))
        for written, (period, whole) in enumerate(merged.items(), 1):
            chunks[period] = await self._store_chunk(whole, INTERVAL_MS[interval])
            on_chunk(written, len(merged))
        index = await asyncio.to_thread(_index_union, base, bars, INTERVAL_MS[interval])
        ordered = tuple(chunk for _, chunk in sorted(chunks.items()))
        manifest = await asyncio.to_thread(make_manifest, symbol, interval, source, ordered, index, base)
        now_ms = self._mongo.now_ms()
        await self._put(self._datasets, write_manifest(manifest, now_ms) | {"wantedAt": now_ms})
        return manifest, differing

    async def _merge(
        self, symbol: str, interval: str, bars: Bars, base: Manifest | None, on_conflict: OnConflict
    ) -> tuple[dict[int, Bars], int]:
        """The chunks, by period, that differ from those of `base` once `bars` are in, and how many bars differed."""
        touched = {int(periods_of(part.time_ms[:1], interval)[0]): part for part in cut_into_periods(bars, interval)}
        chunks = {_period_of(chunk, interval): chunk for chunk in (base.chunks if base else ())}
        stored = [chunks[period] for period in touched if period in chunks]
        old: dict[str, Bars] = {}
        if stored:
            async for document in self._read_chunks(stored):
                count = int(document["bars"])
                old[document["_id"]] = view_bars(await asyncio.to_thread(unpack_chunk, document), count, 0, count)
        of = f"{symbol} {interval}"
        merged: dict[int, Bars] = {}
        differing = 0
        for period, part in sorted(touched.items()):
            known = old[chunks[period].id] if period in chunks else None
            if known is None:
                merged[period] = part
                continue
            whole, differed = await asyncio.to_thread(reconcile_bars, known, part, of, on_conflict)
            differing += differed
            if whole is not known:
                merged[period] = whole
        return merged, differing

    async def _store_chunk(self, bars: Bars, step_ms: int) -> ChunkRef:
        document = await asyncio.to_thread(pack_chunk, bars)
        await self._put(self._chunks, document | {"wantedAt": self._mongo.now_ms()})
        return ChunkRef(document["_id"], document["startMs"], document["lastMs"] + step_ms, document["bars"])

    async def _put(self, collection: AsyncCollection[Document], document: Document) -> None:
        """Inserts a document, or marks as wanted now what a killed import or an old version left of it."""
        wanted = {"$set": {"wantedAt": document["wantedAt"]}}
        with translate_mongo_errors():
            for _ in range(_PUT_ATTEMPTS):
                if await _insert_once(collection, document):
                    return
                if (await collection.update_one({"_id": document["_id"]}, wanted)).matched_count:
                    return
        raise Unavailable(f"{collection.name}/{document['_id']} was removed while it was written; import again")

    async def _publish(self, manifest: Manifest, base: Manifest | None, began_s: float) -> bool:
        """Moves the head from `base` to `manifest`; False when somebody else moved it first.

        Raises `Unavailable` where what was written since `began_s` may be too old to be safe from `collect_garbage`.
        """
        key = _series_id(manifest.symbol, manifest.interval)
        current = {"manifestId": manifest.id, "version": manifest.version}
        with translate_mongo_errors():
            if base:
                # Whoever read this head a moment ago may still be about to pin it: from now on it ages.
                wanted = {"$set": {"wantedAt": self._mongo.now_ms()}}
                await self._datasets.update_one({"_id": base.id}, wanted)
            if time.monotonic() - began_s > PUBLISH_WITHIN_S:
                raise Unavailable(f"{key} took more than {PUBLISH_WITHIN_S:g} s to be written; import it in parts")
            if base:
                update = await self._heads.update_one({"_id": key, "manifestId": base.id}, {"$set": current})
                return update.matched_count == 1
            named = {"_id": key, "symbol": manifest.symbol, "interval": manifest.interval}
            return await _insert_once(self._heads, named | current)

    async def _unknown_series(self, symbol: str, interval: str) -> UnknownMarketData:
        with translate_mongo_errors():
            heads = await self._heads.find({}, {"symbol": 1, "interval": 1}).limit(_HEADS_MAX).to_list()
        intervals = sorted(
            (head["interval"] for head in heads if head["symbol"] == symbol), key=lambda one: INTERVAL_MS[one]
        )
        if intervals:
            return unknown_market_data(
                "interval",
                f"there are no {interval} bars of {symbol}, nor any to make them of; there are {', '.join(intervals)}",
            )
        if not heads:
            return unknown_market_data(
                "symbol", f"there is no market data of {symbol} or of anything else yet; import some first"
            )
        symbols = sorted({head["symbol"] for head in heads})
        likely = difflib.get_close_matches(symbol.upper(), symbols, n=3, cutoff=0.6)
        shown = likely or symbols[:_NAMES_SHOWN]
        more = len(symbols) - len(shown)
        return unknown_market_data(
            "symbol",
            f"there is no market data of {symbol}; there is {', '.join(shown)}{f' and {more} more' if more else ''}",
        )


async def _insert_once(collection: AsyncCollection[Document], document: Document) -> bool:
    """False when a document of that `_id` is there already."""
    try:
        await collection.insert_one(document)
    except DuplicateKeyError:
        return False
    return True


def _tell_nobody(_written: int, _of: int) -> None:
    pass


def _series_id(symbol: str, interval: str) -> str:
    return f"{symbol}|{interval}"


def _period_of(chunk: ChunkRef, interval: str) -> int:
    return int(periods_of(np.array([chunk.start_ms], np.int64), interval)[0])


def _index_union(base: Manifest | None, bars: Bars, step_ms: int) -> TimeIndex:
    times = bars.time_ms
    if base:
        times = np.union1d(base.index.times(), times)
        uneven = np.flatnonzero((times - times[0]) % step_ms)
        if uneven.size:
            raise ImportRefused(
                f"{base.symbol} {base.interval}: {iso_from_ms(int(times[uneven[0]]))} is not a whole number of "
                f"{base.interval} from the bars already there; import it under another symbol."
            )
    return TimeIndex.of_times(times, step_ms)


def _refuse_faulty(symbol: str, interval: str, bars: Bars) -> None:
    if not re.fullmatch(SYMBOL_PATTERN, symbol):
        raise ImportRefused(f"symbol {symbol!r}: use letters, digits and . _ / : -, at most 40, and name it yourself")
    if interval not in INTERVAL_MS:
        raise ImportRefused(f"interval {interval!r} is not one of {', '.join(INTERVAL_MS)}")
    if not bars.total:
        raise ImportRefused(f"{symbol} {interval}: there are no bars to import")
    fault = first_fault(bars, interval, time.time_ns() // 1_000_000)
    if fault:
        raise ImportRefused(
            f"{symbol} {interval}: bar {fault.bar}: {fault.column} {fault.value} {fault.reason}; {fault.remedy}"
        )


def _report(manifest: Manifest, source: str, added: int, known: int) -> ImportReport:
    return ImportReport(
        manifest.symbol,
        manifest.interval,
        manifest.version,
        source,
        added,
        known,
        manifest.index.bars,
        manifest.index.first_ms,
        manifest.index.end_ms,
        manifest.gap_count,
        manifest.missing_bars,
        manifest.dataset_hash,
    )
