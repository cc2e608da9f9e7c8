"""The market data that all share: what there is, what is missing in it, and what is no longer wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.candles import ImportReport, StoredSeries
from shared.candles.grid import Session
from shared.candles.resample import finer_intervals
from shared.database import Database
from shared.errors import Conflict, FieldError, NotFound, UnknownMarketData
from shared.instants import iso_from_ms
from shared.store import Reader

GAPS_MAX = 10_000
_READERS_NAMED = 5


class Library:
    def __init__(self, database: Database) -> None:
        self._candles = database.candles
        self._store = database.store

    async def list_series(self) -> list[dict[str, Any]]:
        """Of every series its current version. It belongs to nobody, so everybody sees all of it."""
        return [_series_as_wire(one) for one in await self._candles.list_series()]

    async def gaps(self, symbol: str, interval: str, most: int) -> dict[str, Any]:
        """What is missing in a series, at most `most` of its gaps. Raises `NotFound`."""
        try:
            manifest, gaps = await self._candles.gaps(symbol, interval, most)
        except UnknownMarketData as unknown:
            raise NotFound(unknown.message, unknown.errors) from None
        index = manifest.index
        return {
            "symbol": symbol,
            "interval": interval,
            "resampledFrom": manifest.interval if manifest.interval != interval else None,
            "bars": index.bars,
            "start": iso_from_ms(index.first_ms),
            "end": iso_from_ms(index.end_ms),
            "expectedBars": index.bars + gaps.bars,
            "gaps": [
                {"from": iso_from_ms(one.start_ms), "to": iso_from_ms(one.end_ms), "bars": one.bars}
                for one in gaps.told
            ],
            "total": gaps.total,
        }

    async def remove(self, symbol: str, interval: str) -> None:
        """Removes a series, whoever brought it. One that is being submitted just now still has what it found.

        Raises `NotFound`, and `Conflict` while backtests that have not ended read it.
        """
        readers: list[str] = []
        async for reader in self._store.readers_of(symbol):
            if await self._reads(reader, interval):
                readers.append(reader.backtest_id)
                if len(readers) > _READERS_NAMED:
                    break
        if readers:
            raise _in_use(symbol, interval, readers)
        try:
            await self._candles.remove(symbol, interval)
        except UnknownMarketData as unknown:
            raise NotFound(unknown.message, unknown.errors) from None

    async def _reads(self, reader: Reader, interval: str) -> bool:
        """Of one whose version nobody has settled yet: whether it may."""
        if reader.manifest_id:
            return await self._candles.interval_of(reader.manifest_id) == interval
        return interval in (reader.interval, *finer_intervals(reader.interval))


def _in_use(symbol: str, interval: str, readers: Sequence[str]) -> Conflict:
    named = ", ".join(readers[:_READERS_NAMED]) + (" and others" if len(readers) > _READERS_NAMED else "")
    message = f"{symbol} {interval} is read by backtests that have not ended: {named}; wait for their end, or stop them"
    return Conflict(message, [FieldError("symbol", message, "in_use")])


def import_as_wire(report: ImportReport) -> dict[str, Any]:
    return {
        "symbol": report.symbol,
        "interval": report.interval,
        "version": report.version,
        "source": report.source,
        "added": report.added,
        "known": report.known,
        "kept": report.kept,
        "replaced": report.replaced,
        "bars": report.bars,
        "start": iso_from_ms(report.start_ms),
        "end": iso_from_ms(report.end_ms),
        "session": _session_as_wire(report.session),
        "calendar": report.calendar or None,
        "gaps": {"count": report.gap_count, "missingBars": report.missing_bars},
        "datasetHash": report.dataset_hash,
        "notes": list(report.notes),
    }


def _session_as_wire(session: Session) -> dict[str, str]:
    return {"zone": session.zone, "anchor": session.anchor}


def _series_as_wire(series: StoredSeries) -> dict[str, Any]:
    return {
        "symbol": series.symbol,
        "interval": series.interval,
        "version": series.version,
        "source": series.source,
        "bars": series.bars,
        "start": iso_from_ms(series.start_ms),
        "end": iso_from_ms(series.end_ms),
        "session": _session_as_wire(series.session),
        "calendar": series.calendar or None,
        "gaps": {
            "count": series.gap_count,
            "missingBars": series.missing_bars,
            "largest": [
                {"start": iso_from_ms(gap.start_ms), "end": iso_from_ms(gap.end_ms), "missingBars": gap.bars}
                for gap in series.largest_gaps
            ],
        },
        "datasetHash": series.dataset_hash,
        "importedAt": iso_from_ms(series.imported_at),
    }
