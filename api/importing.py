"""Market data files into the store. pandas is loaded by who reads files here, not by who only stores."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING

from shared.candles import Candles, ImportReport, OnConflict
from shared.reading import AS_RECOGNISED, Reading

if TYPE_CHECKING:
    from shared.candles.bar_files import ParsedSeries


async def import_files(
    candles: Candles,
    paths: Sequence[str | PathLike[str]],
    reading: Reading = AS_RECOGNISED,
    on_conflict: OnConflict = "refuse",
) -> list[ImportReport]:
    """Reads the files and adds each series to the store as one version. One report per series, with its notes.

    `on_conflict` says what becomes of stored bars with other values. No series is touched before every file has been
    read and checked, also against what is stored. Raises what `read_files` and `Candles.import_bars` raise.
    """
    from shared.candles.bar_files import read_files

    series = await asyncio.to_thread(read_files, paths, reading)
    return await store_series(candles, series, on_conflict)


async def store_series(
    candles: Candles, series: Sequence[ParsedSeries], on_conflict: OnConflict = "refuse"
) -> list[ImportReport]:
    """Adds checked series to the store, each as one version: none, where one of them is refused by what is stored."""
    if len(series) > 1 and on_conflict == "refuse":
        for one in series:
            await candles.refuse_conflicts(one.symbol, one.interval, one.bars)
    return [
        replace(await candles.import_bars(one.symbol, one.interval, one.bars, one.source, on_conflict), notes=one.notes)
        for one in series
    ]
