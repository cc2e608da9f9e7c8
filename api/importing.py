"""Market data files into the store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike

from shared.candles import Candles, ImportReport
from shared.candles.bar_files import read_files
from shared.reading import AS_RECOGNISED, Reading


async def import_files(
    candles: Candles, paths: Sequence[str | PathLike[str]], reading: Reading = AS_RECOGNISED
) -> list[ImportReport]:
    """Reads the files and adds each series to the store as one version. One report per series, with its notes.

    No series is touched before every file has been read and checked. Raises what `read_files` and
    `Candles.import_bars` raise.
    """
    series = await asyncio.to_thread(read_files, paths, reading)
    return [
        replace(await candles.import_bars(one.symbol, one.interval, one.bars, one.source), notes=one.notes)
        for one in series
    ]
