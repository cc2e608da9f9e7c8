"""Adding bars to a series: what they change is written first, then the head moves.

`bar_heads` is moved by compare-and-set after everything it leads to is written. So a reader sees one version or the
next, never a part, and an import that dies leaves nothing to be seen. Beside its content a document carries `wantedAt`,
by which `shared/candles/garbage.py` knows what nobody can need.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from shared.bars import Bars
from shared.candles.calendars import load_calendar
from shared.candles.chunks import cut_into_periods, pack_chunk, periods_of, unpack_chunk, view_bars
from shared.candles.garbage import PUBLISH_WITHIN_S
from shared.candles.grid import UTC_DAYS, Grid, Session
from shared.candles.manifest import ChunkRef, Manifest, make_manifest, unknown_market_data, write_manifest
from shared.candles.series import OnConflict, TimeIndex, first_fault, reconcile_bars
from shared.candles.versions import CHUNKS, HEADS, MANIFESTS, Versions, series_id
from shared.errors import Conflict, ImportRefused, Unavailable
from shared.instants import INTERVAL_MS, iso_from_ms
from shared.mongo import Document, Mongo, translate_mongo_errors
from shared.request import SYMBOL_LETTERS, SYMBOL_PATTERN

OnChunk = Callable[[int, int], None]  # is told how many chunks are written, and of how many

_PUBLISH_ATTEMPTS = 20
_PUBLISH_PAUSE_S = 0.05  # times the attempt, times a random number: importers of one series drift apart
_PUT_ATTEMPTS = 5  # each but the first needs a collection of garbage between two round trips


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
    session: Session = UTC_DAYS
    calendar: str = ""

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


class Publisher:
    """Makes new versions of series. Every method raises `StoreUnavailable` when MongoDB does not answer."""

    def __init__(self, mongo: Mongo, versions: Versions) -> None:
        self._mongo = mongo
        self._versions = versions
        self._chunks = mongo.collection(CHUNKS)
        self._manifests = mongo.collection(MANIFESTS)
        self._heads = mongo.collection(HEADS)

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
        """See `Candles.import_bars`."""
        await asyncio.to_thread(_refuse_faulty, symbol, interval, bars, session)
        for attempt in range(_PUBLISH_ATTEMPTS):
            await self._mongo.sync_clock()
            began_s = time.monotonic()
            head = await self._versions.head(symbol, interval)
            base = await self._versions.manifest(head["manifestId"]) if head else None
            manifest, differing = await self._store_version(
                symbol, interval, bars, source, base, on_conflict, on_chunk or _tell_nobody, session, calendar
            )
            if manifest is base or await self._publish(manifest, base, began_s):
                added = manifest.index.bars - (base.index.bars if base else 0)
                report = _report(manifest, source, added, bars.total - added - differing)
                return replace(report, **{"replaced" if on_conflict == "replace" else "kept": differing})
            await asyncio.sleep(_PUBLISH_PAUSE_S * attempt * random.random())
        raise Conflict(
            f"{symbol} {interval} was imported by others {_PUBLISH_ATTEMPTS} times meanwhile; import it again"
        )

    async def refuse_conflicts(self, symbol: str, interval: str, bars: Bars, session: Session = UTC_DAYS) -> None:
        """See `Candles.refuse_conflicts`."""
        await asyncio.to_thread(_refuse_faulty, symbol, interval, bars, session)
        head = await self._versions.head(symbol, interval)
        if head:
            base = await self._versions.manifest(head["manifestId"])
            await self._merge(symbol, interval, bars, base, "refuse")
            await asyncio.to_thread(_index_union, base, bars, interval, session)

    async def remove(self, symbol: str, interval: str) -> None:
        """See `Candles.remove`."""
        await self._mongo.sync_clock()
        head = await self._versions.head(symbol, interval)
        if head is None:
            finer = await self._versions.finer_head(symbol, interval)
            if finer is None:
                raise await self._versions.unknown_series(symbol, interval)
            made = f"{interval} bars of {symbol} are made of those of {finer['interval']}; remove these"
            raise unknown_market_data("interval", made)
        with translate_mongo_errors():
            await self._want_on(head["manifestId"])
            removed = await self._heads.delete_one({"_id": head["_id"], "manifestId": head["manifestId"]})
        if not removed.deleted_count:
            raise Conflict(f"{symbol} {interval} was imported or removed by others meanwhile; look at it again")

    async def _want_on(self, manifest_id: str) -> None:
        """Whoever read the head a moment ago may still be about to pin this version: from now on it ages."""
        await self._manifests.update_one({"_id": manifest_id}, {"$set": {"wantedAt": self._mongo.now_ms()}})

    async def _store_version(
        self,
        symbol: str,
        interval: str,
        bars: Bars,
        source: str,
        base: Manifest | None,
        on_conflict: OnConflict,
        on_chunk: OnChunk,
        session: Session,
        calendar: str | None,
    ) -> tuple[Manifest, int]:
        """Writes the chunks and the manifest of `base` plus `bars`; also says how many bars differed.

        Returns `base` itself when that changes nothing.
        """
        merged, differing = await self._merge(symbol, interval, bars, base, on_conflict)
        index = await asyncio.to_thread(_index_union, base, bars, interval, session)
        named = calendar or (base.calendar if base else "")
        judge = await asyncio.to_thread(load_calendar, named, index.first_ms, index.end_ms) if named else None
        if base and not merged and index.grid == base.index.grid and base.calendar == (judge.name if judge else ""):
            return base, differing
        chunks = {_period_of(chunk, interval): chunk for chunk in (base.chunks if base else ())}
        on_chunk(0, len(merged))
        for written, (period, whole) in enumerate(merged.items(), 1):
            chunks[period] = await self._store_chunk(whole, index.grid)
            on_chunk(written, len(merged))
        ordered = tuple(chunk for _, chunk in sorted(chunks.items()))
        manifest = await asyncio.to_thread(make_manifest, symbol, interval, source, ordered, index, base, judge)
        now_ms = self._mongo.now_ms()
        await self._put(self._manifests, write_manifest(manifest, now_ms) | {"wantedAt": now_ms})
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
            async for document in self._versions.read_chunks(stored):
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

    async def _store_chunk(self, bars: Bars, grid: Grid) -> ChunkRef:
        document = await asyncio.to_thread(pack_chunk, bars)
        await self._put(self._chunks, document | {"wantedAt": self._mongo.now_ms()})
        return ChunkRef(document["_id"], document["startMs"], grid.end_of(document["lastMs"]), document["bars"])

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
        key = series_id(manifest.symbol, manifest.interval)
        current = {"manifestId": manifest.id, "version": manifest.version}
        with translate_mongo_errors():
            if base:
                await self._want_on(base.id)
            if time.monotonic() - began_s > PUBLISH_WITHIN_S:
                raise Unavailable(f"{key} took more than {PUBLISH_WITHIN_S:g} s to be written; import it in parts")
            if base:
                update = await self._heads.update_one({"_id": key, "manifestId": base.id}, {"$set": current})
                return update.matched_count == 1
            named = {"_id": key, "symbol": manifest.symbol, "interval": manifest.interval}
            return await _insert_once(self._heads, named | current)


async def _insert_once(collection: AsyncCollection[Document], document: Document) -> bool:
    """False when a document of that `_id` is there already."""
    try:
        await collection.insert_one(document)
    except DuplicateKeyError:
        return False
    return True


def _tell_nobody(_written: int, _of: int) -> None:
    pass


def _period_of(chunk: ChunkRef, interval: str) -> int:
    return int(periods_of(np.array([chunk.start_ms], np.int64), interval)[0])


def _index_union(base: Manifest | None, bars: Bars, interval: str, session: Session) -> TimeIndex:
    """The index of the bars of both, in the session that a person asked for, else in that of `base`, else in `session`.

    Raises `ImportRefused` where not all of them stand in it.
    """
    if not base:
        return TimeIndex.of_times(bars.time_ms, Grid.of(interval, session))
    times, at = np.union1d(base.index.times(), bars.time_ms), ""
    for one in [session] if session.asked else [base.session, session]:
        grid = Grid.of(interval, one).through(int(times[0]))
        uneven = np.flatnonzero(grid.starts(grid.slots(times)) != times)
        if not uneven.size:
            return TimeIndex.of_times(times, grid)
        at = iso_from_ms(int(times[uneven[0]]))
    known, named = base.session, f"{base.symbol} {interval}"
    if session == known:
        raise ImportRefused(
            f"{named}: {at} is not a whole number of {interval} from the bars already there; import it under another "
            "symbol."
        )
    raise ImportRefused(
        f"{named}: days of the bars already there begin at {known.anchor} in {known.zone}, those of the new ones at "
        f"{session.anchor} in {session.zone}, and {at} is not on one grid with all of them; name one that fits all "
        "with ⟦session_zone⟧ and ⟦anchor⟧, or import it under another symbol."
    )


def _refuse_faulty(symbol: str, interval: str, bars: Bars, session: Session) -> None:
    if not re.fullmatch(SYMBOL_PATTERN, symbol):
        raise ImportRefused(f"symbol {symbol!r}: use {SYMBOL_LETTERS}, and name it yourself")
    if interval not in INTERVAL_MS:
        raise ImportRefused(f"interval {interval!r} is not one of {', '.join(INTERVAL_MS)}")
    if not bars.total:
        raise ImportRefused(f"{symbol} {interval}: there are no bars to import")
    fault = first_fault(bars, interval, time.time_ns() // 1_000_000, session)
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
        session=manifest.session,
        calendar=manifest.calendar,
    )
