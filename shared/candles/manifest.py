"""Manifests: which chunks make up one version of a series, and which of them a backtest needs."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars
from shared.candles import resample
from shared.candles.calendars import Calendar, load_calendar
from shared.candles.chunks import canonical_bytes, chunk_id, cut_into_periods, pack_integers, unpack_integers
from shared.candles.grid import UTC_DAYS, Grid, Session
from shared.candles.series import Gap, TimeIndex
from shared.errors import UnknownMarketData
from shared.instants import INTERVAL_MS, iso_from_ms

GAPS_LISTED_MAX = 1_000
LARGEST_GAPS = 5


@dataclass(frozen=True, slots=True)
class ChunkRef:
    """One chunk of a manifest: its first bar's time, its last bar's end (exclusive), its number of bars."""

    id: str
    start_ms: int
    end_ms: int
    bars: int


class Lack(NamedTuple):
    """What is missed in a part of a series: how many bars, in how many gaps, and the one that misses most."""

    bars: int
    gaps: int
    longest: Gap


class Gaps(NamedTuple):
    """What is missed in a whole series: how many bars, in how many gaps, and those of them that are told, by time."""

    bars: int
    total: int
    told: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """Exactly the bars one backtest reads: `stored_bars` of `chunks`, after `skip_bars` of the first.

    They are `warmup_bars` bars that its indicators begin with and then the backtest's own `total_bars`, or, where
    `resampled_from` names their interval, the finer bars that those are made of. `start_ms` is the time of its first
    own bar, `end_ms` the end of its last one; both may lie inside what was asked for. `series_start_ms` and
    `series_end_ms` are the same of all that is stored of the series. `dataset_hash` names all bars that are read: equal
    hashes mean equal bars, and with an equal `warmup_bars` the same of them are the backtest's own.
    `lack` says what of the range asked for is missed between the first and the last bar of the series, in bars of the
    stored interval; None where nothing is.
    """

    manifest_id: str
    symbol: str
    interval: str
    version: int
    start_ms: int
    end_ms: int
    chunks: tuple[ChunkRef, ...]
    skip_bars: int
    stored_bars: int
    total_bars: int
    dataset_hash: str
    series_start_ms: int
    series_end_ms: int
    resampled_from: str | None = None
    session: Session = UTC_DAYS
    lack: Lack | None = None
    warmup_bars: int = 0

    def end_of(self, time_ms: int) -> int:
        """Where the bar of this time ends."""
        return Grid.of(self.interval, self.session).through(self.start_ms).end_of(time_ms)

    def buckets_of(self, bucket_ms: int) -> Grid | None:
        """What the stored bars are to be made into for bars of `bucket_ms`, a multiple of the interval; 0 is itself."""
        if not bucket_ms and not self.resampled_from:
            return None
        times = bucket_ms // INTERVAL_MS[self.interval] if bucket_ms else 1
        return Grid.of(self.interval, self.session, times)


@dataclass(frozen=True, eq=False)
class Manifest:
    """One immutable version of a series. `previous` is the manifest it grew from, or "".

    `calendar` names the one its gaps were judged by, where one was named; `lacking_by_calendar` is what that found.
    """

    id: str
    symbol: str
    interval: str
    version: int
    previous: str
    source: str
    chunks: tuple[ChunkRef, ...]
    index: TimeIndex
    gaps: tuple[Gap, ...]
    largest_gaps: tuple[Gap, ...]
    gap_count: int
    missing_bars: int
    dataset_hash: str
    bars_until: tuple[int, ...]  # how many bars the chunks before number k hold
    calendar: str = ""
    lacking_by_calendar: NDArray[np.int64] | None = None

    @property
    def session(self) -> Session:
        return self.index.grid.session

    @cached_property
    def lacking(self) -> NDArray[np.int64]:
        """How many bars are missed in each hole of the index."""
        return self.index.lacking() if self.lacking_by_calendar is None else self.lacking_by_calendar

    def gaps_of_all(self, most: int) -> Gaps:
        """Judged as those that a run warns of. Of more than `most`, those that miss most bars are told."""
        index, lacking = self.index, self.lacking
        holes = np.flatnonzero(lacking)
        told = np.sort(holes[np.argsort(-lacking[holes], kind="stable")[:most]])
        begin = index.first_slot + index.hole_slot[told]
        columns = index.grid.starts(begin), index.grid.starts(begin + index.hole_bars[told]), lacking[told]
        gaps = tuple(Gap(*gap) for gap in zip(*(column.tolist() for column in columns), strict=True))
        return Gaps(int(lacking.sum()), len(holes), gaps)

    def slice(self, start_ms: int, end_ms: int, interval: str | None = None, warmup_bars: int = 0) -> Slice:
        """The bars that begin from `start_ms` (inclusive) to `end_ms` (exclusive). `UnknownMarketData` where are none.

        And up to `warmup_bars` bars before them, as many as there are.
        A coarser `interval` than the series' own is made of its bars: the same bars in the same range as a series of
        that interval would have, each of them whole. The last one is left out until the series reaches its end.
        """
        if interval is not None and interval != self.interval:
            return self._resampled_slice(start_ms, end_ms, interval, warmup_bars)
        first, last = self.index.bars_before(start_ms), self.index.bars_before(end_ms)
        if first >= last:
            raise self._unknown_range(start_ms, end_ms, self.interval)
        begin = max(0, first - warmup_bars)
        low = bisect_right(self.bars_until, begin) - 1
        high = bisect_left(self.bars_until, last)
        chunks = self.chunks[low:high]
        skip, stored = begin - self.bars_until[low], last - begin
        return Slice(
            self.id,
            self.symbol,
            self.interval,
            self.version,
            self.index.time_of(first),
            self.index.grid.end_of(self.index.time_of(last - 1)),
            chunks,
            skip,
            stored,
            last - first,
            hash_dataset(self.symbol, self.interval, [chunk.id for chunk in chunks], skip, stored, self.session),
            self.index.first_ms,
            self.index.end_ms,
            session=self.session,
            lack=self._lack_in(start_ms, end_ms),
            warmup_bars=first - begin,
        )

    def _lack_in(self, start_ms: int, end_ms: int) -> Lack | None:
        """A hole that reaches beyond the range counts with no more bars than it leaves out within."""
        index = self.index
        if not index.hole_slot.size:
            return None
        first, last = (index.grid.slot(one - 1) + 1 - index.first_slot for one in (start_ms, end_ms))
        begin, end = index.hole_slot, index.hole_slot + index.hole_bars
        holes = slice(int(np.searchsorted(end, first, side="right")), int(np.searchsorted(begin, last)))
        begin, end = np.maximum(begin[holes], first), np.minimum(end[holes], last)
        lacking = np.minimum(self.lacking[holes], end - begin)
        if not lacking.any():
            return None
        most = int(np.argmax(lacking))
        start, stop = (index.grid.start(index.first_slot + int(slots[most])) for slots in (begin, end))
        return Lack(int(lacking.sum()), int(np.count_nonzero(lacking)), Gap(start, stop, int(lacking[most])))

    def _resampled_slice(self, start_ms: int, end_ms: int, interval: str, warmup_bars: int) -> Slice:
        if self.interval not in resample.finer_intervals(interval):
            raise unknown_market_data(
                "interval",
                f"{interval} bars cannot be made of the {self.interval} bars of {self.symbol}; ask for {self.interval} "
                "or a multiple of it",
            )
        buckets = Grid.of(interval, self.session)
        begin_ms = buckets.at_or_after(start_ms)
        stop_ms = min(buckets.at_or_after(end_ms), buckets.before(self.index.end_ms))
        first, last = self.index.bars_before(begin_ms), self.index.bars_before(stop_ms)
        if first >= last:
            raise self._unknown_range(start_ms, end_ms, interval)
        begin = resample.first_of_buckets(self.index, first, buckets, warmup_bars)
        finer = self.slice(begin_ms, stop_ms, warmup_bars=first - begin)
        return replace(
            finer,
            interval=interval,
            start_ms=buckets.before(finer.start_ms),
            end_ms=buckets.at_or_after(finer.end_ms),
            total_bars=self.count_buckets(finer, buckets),
            dataset_hash=hash_resampled(interval, finer.dataset_hash),
            resampled_from=self.interval,
            warmup_bars=resample.count_buckets(self.index, begin, first, buckets),
        )

    def count_buckets(self, part: Slice, buckets: Grid) -> int:
        """How many of the buckets the bars of this part of the series come to, those before it aside. Reads no bar."""
        first, last = self.index.bars_before(part.start_ms), self.index.bars_before(part.end_ms)
        return resample.count_buckets(self.index, first, last, buckets)

    def plot_bucket_ms(self, part: Slice, points_max: int) -> int:
        """How long bars must be for this part of the series to be at most `points_max` of them: a multiple of its
        interval (of a month: of 30 days), which it is itself where that will do. `points_max` must be at least 2. Reads
        no bar.
        """
        times = -(-part.total_bars // points_max)
        # Holes leave room for shorter bars than time alone would; a length beyond the whole span ends this.
        while (points := self.count_buckets(part, Grid.of(part.interval, part.session, times))) > points_max:
            times = max(times + 1, times * points // points_max)
        return times * INTERVAL_MS[part.interval]

    def _unknown_range(self, start_ms: int, end_ms: int, interval: str) -> UnknownMarketData:
        first, end = iso_from_ms(self.index.first_ms), iso_from_ms(self.index.end_ms)
        there = f"{self.symbol} {self.interval} has bars from {first} to {end}"
        if start_ms >= self.index.end_ms:
            return unknown_market_data("startDate", f"{iso_from_ms(start_ms)} is after the last bar; {there}")
        if end_ms <= self.index.first_ms:
            return unknown_market_data("endDate", f"{iso_from_ms(end_ms)} is not after the first bar; {there}")
        span = f"{iso_from_ms(start_ms)} to {iso_from_ms(end_ms)}"
        if interval != self.interval:
            return unknown_market_data("startDate", f"no whole {interval} bar begins from {span}; {there}")
        return unknown_market_data("startDate", f"there is no bar from {span}, a gap; {there}")


def unknown_market_data(field: str, message: str) -> UnknownMarketData:
    """`field` is the one of the request that names what is not there."""
    return UnknownMarketData.of(field, message, UnknownMarketData.code)


def hash_dataset(
    symbol: str, interval: str, chunk_ids: list[str], skip_bars: int, total_bars: int, session: Session = UTC_DAYS
) -> str:
    """`sha256:` of the JSON array [symbol, interval, chunk ids, bars skipped in the first chunk, bars].

    And zone and anchor of the session, where days do not begin at midnight UTC.
    """
    of_session = [] if session.is_plain else [session.zone, session.anchor_ms]
    named = json.dumps([symbol, interval, chunk_ids, skip_bars, total_bars, *of_session], separators=(",", ":"))
    return f"sha256:{hashlib.sha256(named.encode()).hexdigest()}"


def hash_resampled(interval: str, finer_hash: str) -> str:
    """`sha256:` of the JSON array ["resampled", version of the rule, interval, dataset hash of the finer bars]."""
    named = json.dumps(["resampled", resample.RULE, interval, finer_hash], separators=(",", ":"))
    return f"sha256:{hashlib.sha256(named.encode()).hexdigest()}"


def make_manifest(
    symbol: str,
    interval: str,
    source: str,
    chunks: tuple[ChunkRef, ...],
    index: TimeIndex,
    previous: Manifest | None,
    calendar: Calendar | None = None,
) -> Manifest:
    """The next version of a series, named by its content. The earliest and the largest of its gaps are listed."""
    starts, ends, missing = index.gaps(calendar)

    def gaps_at(places: slice | NDArray[np.int64]) -> tuple[Gap, ...]:
        return tuple(Gap(*map(int, gap)) for gap in zip(starts[places], ends[places], missing[places], strict=True))

    version = previous.version + 1 if previous else 1
    previous_id = previous.id if previous else ""
    dataset_hash = hash_dataset(symbol, interval, [chunk.id for chunk in chunks], 0, index.bars, index.grid.session)
    by = [calendar.name] if calendar else []
    named = json.dumps([dataset_hash, version, previous_id, source, *by], separators=(",", ":"))
    return Manifest(
        hashlib.sha256(named.encode()).hexdigest(),
        symbol,
        interval,
        version,
        previous_id,
        source,
        chunks,
        index,
        gaps_at(slice(0, GAPS_LISTED_MAX)),
        gaps_at(np.argsort(-missing, kind="stable")[:LARGEST_GAPS]),
        len(starts),
        int(missing.sum()),
        dataset_hash,
        _bars_until(chunks),
        calendar.name if calendar else "",
        index.lacking(calendar) if calendar else None,
    )


def first_manifest(
    symbol: str,
    interval: str,
    source: str,
    bars: Bars,
    session: Session = UTC_DAYS,
    calendar: str | None = None,
) -> Manifest:
    """The manifest of a series that has these bars and no others, as an import into an empty store would make it.

    Bars must be checked and not empty. A chunk is named by its bars alone, so whatever way a store came by the same
    bars, slices have the same `dataset_hash`.
    """
    index = TimeIndex.of_times(bars.time_ms, Grid.of(interval, session))
    chunks = tuple(
        ChunkRef(
            chunk_id(canonical_bytes(part)),
            int(part.time_ms[0]),
            index.grid.end_of(int(part.time_ms[-1])),
            part.total,
        )
        for part in cut_into_periods(bars, interval)
    )
    judge = load_calendar(calendar, index.first_ms, index.end_ms) if calendar else None
    return make_manifest(symbol, interval, source, chunks, index, None, judge)


def write_manifest(manifest: Manifest, imported_at: int) -> dict[str, Any]:
    """The manifest as a document of `bar_datasets`. Instants are int64 of epoch milliseconds."""
    index = manifest.index
    holes = {"slot": index.hole_slot, "bars": index.hole_bars}
    if manifest.lacking_by_calendar is not None:
        holes["lacking"] = manifest.lacking_by_calendar
    return {
        "_id": manifest.id,
        "symbol": manifest.symbol,
        "interval": manifest.interval,
        "version": manifest.version,
        "previous": manifest.previous,
        "source": manifest.source,
        "importedAt": imported_at,
        "startMs": index.first_ms,
        "endMs": index.end_ms,
        **_grid_fields(index.grid),
        "bars": index.bars,
        "datasetHash": manifest.dataset_hash,
        "chunks": [
            {"id": chunk.id, "startMs": chunk.start_ms, "endMs": chunk.end_ms, "bars": chunk.bars}
            for chunk in manifest.chunks
        ],
        "gaps": [list(gap) for gap in manifest.gaps],
        "largestGaps": [list(gap) for gap in manifest.largest_gaps],
        "gapCount": manifest.gap_count,
        "missingBars": manifest.missing_bars,
        "holeCount": len(index.hole_slot),
        "holes": {name: pack_integers(column) for name, column in holes.items()},
        **({"calendar": manifest.calendar} if manifest.calendar else {}),
    }


def _grid_fields(grid: Grid) -> dict[str, Any]:
    """Bars on a plain grid are `stepMs` apart, as all were before there were sessions: who knows of none reads them.

    Whoever does not know of sessions must not take others for such, and finds no `stepMs`.
    """
    if grid.session.is_plain and not grid.months:
        return {"stepMs": grid.step_ms}
    return {"session": {"zone": grid.session.zone, "anchorMs": grid.session.anchor_ms}}


def read_session(document: dict[str, Any]) -> Session:
    """The session that a document of `bar_datasets` names."""
    named = document.get("session")
    return Session(named["zone"], int(named["anchorMs"])) if named else UTC_DAYS


def read_manifest(document: dict[str, Any]) -> Manifest:
    count = int(document["holeCount"])
    holes = document["holes"]
    index = TimeIndex.of_holes(
        Grid.of(document["interval"], read_session(document)),
        int(document["startMs"]),
        int(document["bars"]),
        unpack_integers(holes["slot"], count),
        unpack_integers(holes["bars"], count),
    )
    chunks = tuple(
        ChunkRef(str(chunk["id"]), int(chunk["startMs"]), int(chunk["endMs"]), int(chunk["bars"]))
        for chunk in document["chunks"]
    )
    return Manifest(
        document["_id"],
        document["symbol"],
        document["interval"],
        int(document["version"]),
        document["previous"],
        document["source"],
        chunks,
        index,
        tuple(Gap(*map(int, gap)) for gap in document["gaps"]),
        tuple(Gap(*map(int, gap)) for gap in document["largestGaps"]),
        int(document["gapCount"]),
        int(document["missingBars"]),
        document["datasetHash"],
        _bars_until(chunks),
        document.get("calendar", ""),
        unpack_integers(holes["lacking"], count) if "lacking" in holes else None,
    )


def _bars_until(chunks: tuple[ChunkRef, ...]) -> tuple[int, ...]:
    return tuple(accumulate((chunk.bars for chunk in chunks), initial=0))
