"""The demo's market data: real daily bars of three shares."""

from __future__ import annotations

import importlib.util
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from api.market_data.importing import store_series
from shared.bars import Bars
from shared.candles import ImportReport, first_fault
from shared.candles.files.columns import adjust_prices
from shared.candles.files.parsing import ParsedSeries
from shared.database import Database
from shared.errors import ImportRefused
from shared.settings import Settings

SYMBOLS = ("AAPL", "IBM", "MSFT")


def demo_series() -> list[ParsedSeries]:
    """Real daily bars of AAPL, IBM and MSFT, 2000-03-01 to 2013-03-01, from the package `bokeh-sampledata`.

    Its prices are as traded, so that splits would look like crashes; they are multiplied by Adj Close / Close, as the
    notes say, and rounded to the six decimals Adj Close has. Raises `ImportRefused` where the package is missing or
    a bar cannot be true. The package is looked up, not imported.
    """
    package = importlib.util.find_spec("bokeh_sampledata")
    if package is None or not package.submodule_search_locations:
        raise ImportRefused("the demo bars need the package bokeh-sampledata; install backfleet[embedded]")
    path = Path(package.submodule_search_locations[0]) / "_data" / "stocks.csv.gz"
    try:
        frame: Any = pd.read_csv(path)
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise ImportRefused(f"{path}: {error}; install bokeh-sampledata 2026.1 again") from error
    return [_series_of(symbol, frame[frame["Ticker"] == symbol]) for symbol in SYMBOLS]


async def import_series(settings: Settings, series: Sequence[ParsedSeries]) -> list[ImportReport]:
    """Adds each series to the market data of these settings. Raises what `store_series` raises."""
    database = await Database.open(settings)
    try:
        return await store_series(database.candles, series)
    finally:
        await database.close()


def _series_of(symbol: str, rows: Any) -> ParsedSeries:
    times = pd.to_datetime(rows["Date"]).to_numpy().astype("datetime64[ms]").astype(np.int64)
    columns = (rows[name].to_numpy().astype(np.float64) for name in ("Open", "High", "Low", "Close", "Volume"))
    bars = adjust_prices(Bars(np.ascontiguousarray(times), *columns), rows["Adj Close"].to_numpy())
    fault = first_fault(bars, "1d", time.time_ns() // 1_000_000)
    if fault:
        raise ImportRefused(f"bokeh-sampledata, {symbol}, bar {fault.bar}: {fault.column} {fault.value} {fault.reason}")
    notes = ("public-domain demo data", "prices adjusted for splits and dividends by Adj Close / Close")
    return ParsedSeries(symbol, "1d", bars, "bokeh-sampledata stocks.csv.gz", notes)
