"""What market data is stored: heads, manifests and chunks in MongoDB, found and read.

The content of `bar_chunks` and `bar_datasets` (the manifests) never changes; a document's `_id` is the hash of it.
`bar_heads` says which manifest is current, per series. Manifests are kept in memory once read.
"""

from __future__ import annotations

import asyncio
import difflib
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from shared.batches import Batches
from shared.candles.chunks import DamagedChunk
from shared.candles.grid import Session
from shared.candles.manifest import ChunkRef, Manifest, read_manifest, read_session, unknown_market_data
from shared.candles.resample import finer_intervals
from shared.candles.series import Gap
from shared.errors import UnknownMarketData
from shared.instants import INTERVAL_MS
from shared.mongo import Document, Mongo, translate_mongo_errors

CHUNKS = "bar_chunks"
MANIFESTS = "bar_datasets"
HEADS = "bar_heads"
_MANIFESTS_KEPT = 512
_HOLE_BYTES_KEPT = 64_000_000
_HEADS_MAX = 10_000
_NAMES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class StoredSeries:
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
    session: Session
    calendar: str


def series_id(symbol: str, interval: str) -> str:
    """The `_id` of a series' head."""
    return f"{symbol}|{interval}"


class Versions:
    """The versions of all series of one database. Every method raises `StoreUnavailable` when it does not answer."""

    def __init__(self, mongo: Mongo) -> None:
        self._chunks = mongo.collection(CHUNKS)
        self._manifests = mongo.collection(MANIFESTS)
        self._heads = mongo.collection(HEADS)
        self._looks: Batches[str, Document | None] = Batches(self._look_at_heads, most=_HEADS_MAX)
        self._known: OrderedDict[str, Manifest] = OrderedDict()
        self._hole_bytes = 0

    async def list_series(self) -> list[StoredSeries]:
        """The current version of every series, by symbol and length of the interval."""
        with translate_mongo_errors():
            heads = await self._heads.find({}, {"manifestId": 1}).limit(_HEADS_MAX).to_list()
            wanted = {"_id": {"$in": [head["manifestId"] for head in heads]}}
            documents = await self._manifests.find(wanted, {"chunks": 0, "holes": 0, "gaps": 0}).to_list()
        found = [
            StoredSeries(
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
                read_session(one),
                one.get("calendar", ""),
            )
            for one in documents
        ]
        return sorted(found, key=lambda one: (one.symbol, INTERVAL_MS[one.interval]))

    async def read_chunks(self, chunks: Sequence[ChunkRef]) -> AsyncIterator[Document]:
        lost = {chunk.id for chunk in chunks}
        with translate_mongo_errors():
            async for document in self._chunks.find({"_id": {"$in": sorted(lost)}}):
                lost.discard(document["_id"])
                yield document
        if lost:
            raise DamagedChunk(f"bar_chunks/{min(lost)} is gone; restore it from a backup")

    async def head(self, symbol: str, interval: str) -> Document | None:
        return await self._looks.ask(series_id(symbol, interval))

    async def finer_head(self, symbol: str, interval: str) -> Document | None:
        """The head of the coarsest series that bars of this interval can be made of."""
        heads = await asyncio.gather(*(self.head(symbol, finer) for finer in finer_intervals(interval)))
        return next(filter(None, heads), None)

    async def _look_at_heads(self, series: list[str]) -> list[Document | None]:
        asked = sorted(set(series))
        with translate_mongo_errors():
            if len(asked) == 1:
                found = await self._heads.find_one({"_id": asked[0]})
                return [found] * len(series)
            heads = {head["_id"]: head async for head in self._heads.find({"_id": {"$in": asked}})}
        return [heads.get(one) for one in series]

    async def manifest(self, manifest_id: str) -> Manifest:
        known = self._known.get(manifest_id)
        if known is not None:
            self._known.move_to_end(manifest_id)
            return known
        with translate_mongo_errors():
            document = await self._manifests.find_one({"_id": manifest_id})
        if document is None:
            raise DamagedChunk(f"bar_datasets/{manifest_id} is gone; restore it from a backup")
        manifest = read_manifest(document)
        if self._known.setdefault(manifest_id, manifest) is manifest:
            self._hole_bytes += manifest.index.hole_slot.nbytes * 4
        while len(self._known) > 1 and (len(self._known) > _MANIFESTS_KEPT or self._hole_bytes > _HOLE_BYTES_KEPT):
            _, dropped = self._known.popitem(last=False)
            self._hole_bytes -= dropped.index.hole_slot.nbytes * 4
        return manifest

    async def symbol_meant(self, symbol: str) -> str:
        """The stored symbol of the same letters and digits where that is exactly one; else the symbol as it is."""
        with translate_mongo_errors():
            heads = await self._heads.find({}, {"symbol": 1}).limit(_HEADS_MAX).to_list()
        plain = _plain(symbol)
        alike = {head["symbol"] for head in heads if plain and _plain(head["symbol"]) == plain}
        return alike.pop() if len(alike) == 1 and symbol not in alike else symbol

    async def unknown_series(self, symbol: str, interval: str) -> UnknownMarketData:
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


def _plain(symbol: str) -> str:
    """Its letters and digits alone, whichever way programs write what is between them."""
    return "".join(filter(str.isalnum, symbol)).casefold()
