"""The face of market data: importing, listing, resolving and fetching bars, with a disk cache in front.

What is stored and found is in `versions.py`, how a version is made in `publishing.py`, what may go in `garbage.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from shared.bars import Bars
from shared.candles.cache import BarFiles, BarFilesGone, ChunkCache, join_of, open_bars
from shared.candles.chunks import unpack_chunk
from shared.candles.garbage import GarbageReport, PinnedAmong, collect_garbage
from shared.candles.grid import UTC_DAYS, Session
from shared.candles.manifest import ChunkRef, Gaps, Manifest, Slice
from shared.candles.publishing import ImportReport, OnChunk, Publisher
from shared.candles.series import OnConflict
from shared.candles.versions import CHUNKS, HEADS, MANIFESTS, StoredSeries, Versions
from shared.errors import Unavailable
from shared.mongo import Mongo, translate_mongo_errors
from shared.settings import Settings

_FETCHES_MAX = 5
_READS_AT_ONCE = 4  # whoever plots long series at once waits, and does not take all threads


class Candles:
    """Market data of one database, with this machine's disk cache in front of it."""

    def __init__(self, mongo: Mongo, settings: Settings) -> None:
        self._mongo = mongo
        self._versions = Versions(mongo)
        self._publisher = Publisher(mongo, self._versions)
        self._cache = ChunkCache(settings.cache_dir / "bars", settings.cache_max_bytes)
        self._filling = asyncio.Lock()
        self._reading = asyncio.Semaphore(_READS_AT_ONCE)

    async def import_bars(
        self,
        symbol: str,
        interval: str,
        bars: Bars,
        source: str,
        on_conflict: OnConflict = "refuse",
        on_chunk: OnChunk | None = None,
        session: Session = UTC_DAYS,
        calendar: str | None = None,
    ) -> ImportReport:
        """Adds bars to a series as one new version, or as none where all of them are there already.

        The days of a new series begin as `session` says; those of one that is there as they did, unless a person asked
        for another; its gaps are judged by the calendar named, else by the one that was named before. Where stored bars
        have other values, `on_conflict` refuses the import, keeps them or replaces them.
        Raises `ImportRefused` for bars that cannot be true, `BarConflict` (one of its kind) for a stored bar with other
        values, `Conflict` when others kept publishing in between, `StoreUnavailable`. Nothing is visible then.
        """
        return await self._publisher.import_bars(
            symbol, interval, bars, source, on_conflict, on_chunk, session, calendar
        )

    async def refuse_conflicts(self, symbol: str, interval: str, bars: Bars, session: Session = UTC_DAYS) -> None:
        """Raises what `import_bars` would raise for these bars as things are now, and writes nothing."""
        await self._publisher.refuse_conflicts(symbol, interval, bars, session)

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
                self._mongo.collection(HEADS),
                self._mongo.collection(MANIFESTS),
                self._mongo.collection(CHUNKS),
                pinned_among,
                self._mongo.now_ms(),
                older_than_ms,
                dry_run,
            )

    async def list_series(self) -> list[StoredSeries]:
        """The current version of every series, by symbol and length of the interval."""
        return await self._versions.list_series()

    async def gaps(self, symbol: str, interval: str, most: int) -> tuple[Manifest, Gaps]:
        """The current version of a series, of the one that its bars would be made of where there is none, and what is
        missed in it (`Manifest.gaps_of_all`). Raises what `resolve` raises."""
        manifest = await self._current(symbol, interval)
        return manifest, await asyncio.to_thread(manifest.gaps_of_all, most)

    async def interval_of(self, manifest_id: str) -> str:
        """Of which bars a version is."""
        return (await self._versions.manifest(manifest_id)).interval

    async def remove(self, symbol: str, interval: str) -> None:
        """Nobody finds the series from now on. What is pinned to a version of it reads that, as long as it needs to.

        Its bars go with the next collection of garbage. Raises `UnknownMarketData` where there is none, `Conflict` when
        it was imported meanwhile, `StoreUnavailable`.
        """
        await self._publisher.remove(symbol, interval)

    async def symbol_meant(self, symbol: str) -> str:
        """The stored symbol of the same letters and digits where that is exactly one; else the symbol as it is."""
        return await self._versions.symbol_meant(symbol)

    async def resolve(self, symbol: str, interval: str, start_ms: int, end_ms: int, *, warmup_bars: int = 0) -> Slice:
        """The bars from `start_ms` (inclusive) to `end_ms` (exclusive) of the current version: as many as there are.
        And up to `warmup_bars` before them.

        Where there is no series of the interval, its bars are made of the coarsest finer series there is. One look at
        the head by its `_id`, and a second where it is not there; manifests are immutable and kept in memory. Raises
        `UnknownMarketData` for `symbol`, `interval`, `startDate` or `endDate`, saying what there is, and
        `StoreUnavailable`.
        """
        return (await self._current(symbol, interval)).slice(start_ms, end_ms, interval, warmup_bars)

    async def _current(self, symbol: str, interval: str) -> Manifest:
        head = await self._versions.head(symbol, interval) or await self._versions.finer_head(symbol, interval)
        if head is None:
            raise await self._versions.unknown_series(symbol, interval)
        return await self._versions.manifest(head["manifestId"])

    async def reopen(
        self, manifest_id: str, interval: str, start_ms: int, end_ms: int, *, warmup_bars: int = 0
    ) -> Slice:
        """The same as `resolve`, of the version that an earlier `Slice` named: later imports change nothing in it."""
        return (await self._versions.manifest(manifest_id)).slice(start_ms, end_ms, interval, warmup_bars)

    async def plot_bucket_ms(self, wanted: Slice, points_max: int) -> int:
        """See `Manifest.plot_bucket_ms`."""
        return (await self._versions.manifest(wanted.manifest_id)).plot_bucket_ms(wanted, points_max)

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

        What `open_bars` makes of the files are bars of the slice's interval, first those before it, or of `bucket_ms`
        (`plot_bucket_ms`) where that is not 0.
        Raises `StoreUnavailable`, `DamagedChunk` where a stored chunk is lost or not what its name says, and
        `Unavailable` where the cache directory cannot be written.
        """
        buckets = wanted.buckets_of(bucket_ms)
        files = wanted.chunks
        if len(files) > 1 and not buckets:  # what is made into longer bars is read chunk by chunk
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
            buckets,
        )

    async def _fill(self, chunks: Sequence[ChunkRef], files: Sequence[ChunkRef]) -> None:
        """Puts `files` into the cache: the chunks themselves, or the one that joins them."""
        if not self._cache.missing(files):
            return
        joined = files[0] if files is not chunks else None
        if joined and await asyncio.to_thread(self._cache.check_join, joined, chunks):
            return
        missing = await asyncio.to_thread(self._cache.check, self._cache.missing(chunks))
        async for document in self._versions.read_chunks(missing):
            canonical = await asyncio.to_thread(unpack_chunk, document)
            await asyncio.to_thread(self._cache.write, document["_id"], canonical)
        if joined:
            await asyncio.to_thread(self._cache.join, joined, chunks)
        if joined or missing:
            await asyncio.to_thread(self._cache.evict, files)
