"""Market data files into the store. pandas is loaded by who reads files here, not by who only stores."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING

from shared.candles import Candles, ImportReport, OnConflict
from shared.reading import AS_RECOGNISED, Reading

if TYPE_CHECKING:
    from shared.candles.files.parsing import ParsedSeries

OnSeriesChunk = Callable[[str, int, int], None]  # is told of which series how many chunks are written, and of how many


async def import_files(
    candles: Candles,
    paths: Sequence[str | PathLike[str]],
    reading: Reading = AS_RECOGNISED,
    on_conflict: OnConflict = "refuse",
    on_chunk: OnSeriesChunk | None = None,
) -> list[ImportReport]:
    """Reads the files and adds each series to the store as one version. One report per series, with its notes.

    `on_conflict` says what becomes of stored bars with other values. No series is touched before every file has been
    read and checked, also against what is stored. Raises what `read_files` and `Candles.import_bars` raise.
    """
    from shared.candles.files.parsing import read_files

    series = await asyncio.to_thread(read_files, paths, reading)
    return await store_series(candles, series, on_conflict, on_chunk)


async def store_series(
    candles: Candles,
    series: Sequence[ParsedSeries],
    on_conflict: OnConflict = "refuse",
    on_chunk: OnSeriesChunk | None = None,
) -> list[ImportReport]:
    """Adds checked series to the store, each as one version: none, where one of them is refused by what is stored."""
    if len(series) > 1 and on_conflict == "refuse":
        for one in series:
            await candles.refuse_conflicts(one.symbol, one.interval, one.bars, one.session)
    reports: list[ImportReport] = []
    for one in series:
        told = partial(on_chunk, f"{one.symbol} {one.interval}") if on_chunk else None
        report = await candles.import_bars(
            one.symbol, one.interval, one.bars, one.source, on_conflict, told, one.session, one.calendar
        )
        reports.append(replace(report, notes=one.notes))
    return reports
