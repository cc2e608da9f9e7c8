"""Market data: a million minutes from the MongoDB server into arrays, beside one document per bar and beside files.

The server is that of the embedded stack; it, and who reads from it, share the machine's cores. Every read ends with all
six columns in memory as arrays. "Cold" is with an empty disk cache, and the client connected.
"""

from __future__ import annotations

import asyncio
import importlib.util
import io
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

import bson
import numpy as np
import pandas
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from deploy.servers import MongoServer
from deploy.synthetic_bars import SYMBOL, synthetic_series
from shared.bars import Bars
from shared.candles import Candles, Slice, open_bars, take_bars
from shared.candles.grid import Grid
from shared.candles.resample import resample_bars
from shared.mongo import Mongo
from shared.settings import load_settings
from tests.bench.rows import Row, measured

BARS = 1_000_000
DOCUMENT_BARS = 100_000  # one document each: inserting a million of them takes the server minutes
COLD_RUNS, RUNS = 5, 15
_INSERTED_AT_ONCE = 10_000
_ALWAYS = (0, 4_000_000_000_000)

READER = """
import pickle, sys, time
from shared.candles import open_bars

files = pickle.load(sys.stdin.buffer)
for _ in range(int(sys.argv[1])):
    began = time.perf_counter()
    bars = open_bars(files)
    sums = [column.sum() for column in bars]  # what is mapped is there once it is read
    print(time.perf_counter() - began)
    assert bars.total == files.total_bars
    del bars
"""

pd: Any = pandas  # Its annotations say too little of what it returns to be checked by.
Database = AsyncDatabase[dict[str, Any]]


def seconds(work: Callable[[], object], runs: int = RUNS) -> float:
    """The median of several runs, after one that is not counted."""
    work()
    took: list[float] = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return median(took)


async def seconds_async(work: Callable[[], Awaitable[object]], runs: int) -> float:
    took: list[float] = []
    for _ in range(runs):
        began = time.perf_counter()
        await work()
        took.append(time.perf_counter() - began)
    return median(took)


async def read_cold_s(database: Database, directory: Path) -> float:
    caches = iter(range(COLD_RUNS + 1))

    async def read() -> None:
        candles = Candles(
            Mongo(database.client, database.name), load_settings(cache_dir=directory / f"cold-{next(caches)}")
        )
        bars = open_bars(await candles.fetch(await candles.resolve(SYMBOL, "1m", *_ALWAYS)))
        assert bars.total == BARS
        assert all(column.sum() > 0 for column in bars)

    await read()
    return await seconds_async(read, COLD_RUNS)


async def read_cached_s(candles: Candles, wanted: Slice) -> float:
    """As a worker and its engine process share it: one finds the files, the other, another process, reads them."""
    files = await candles.fetch(wanted)
    found_s = await seconds_async(lambda: candles.fetch(wanted), RUNS)
    reader = [sys.executable, "-c", READER, str(RUNS)]
    done = await asyncio.to_thread(subprocess.run, reader, input=pickle.dumps(files), capture_output=True, check=True)
    return found_s + median(float(line) for line in done.stdout.split())


async def read_documents_s(database: Database, bars: Bars) -> float:
    """The same columns out of one document per bar, found by symbol and in order of time, for each of `bars`."""
    names = ("time", "open", "high", "low", "close", "volume")
    collection = database["bars_one_by_one"]
    await collection.create_index([("symbol", 1), ("time", 1)])
    rows = list(zip(*(column.tolist() for column in bars), strict=True))
    for at in range(0, len(rows), _INSERTED_AT_ONCE):
        documents = [dict(zip(names, row, strict=True), symbol=SYMBOL) for row in rows[at : at + _INSERTED_AT_ONCE]]
        await collection.insert_many(documents, ordered=False)

    async def read() -> None:
        found = collection.find({"symbol": SYMBOL}, dict.fromkeys(names, 1) | {"_id": 0}).sort("time", 1)
        read = await found.batch_size(_INSERTED_AT_ONCE).to_list()
        columns = [np.array([one[name] for one in read]) for name in names]
        assert [len(column) for column in columns] == [bars.total] * len(names)

    await read()
    return await seconds_async(read, 3)


def stored_bytes(documents: list[dict[str, Any]]) -> int:
    return sum(len(bson.encode(one)) for one in documents)


async def measure_store(directory: Path, bars: Bars) -> dict[str, float]:
    with MongoServer(directory / "mongo") as server:
        async with AsyncMongoClient[dict[str, Any]](server.uri) as client:
            database = client["bench"]
            candles = Candles(Mongo(database.client, database.name), load_settings(cache_dir=directory / "cache"))
            began = time.perf_counter()
            await candles.import_bars(SYMBOL, "1m", bars, "synthetic")
            imported_s = time.perf_counter() - began
            wanted = await candles.resolve(SYMBOL, "1m", *_ALWAYS)
            kept = [*await database["bar_chunks"].find().to_list(), *await database["bar_datasets"].find().to_list()]
            return {
                "import": imported_s,
                "cold": await read_cold_s(database, directory),
                "cached": await read_cached_s(candles, wanted),
                "bytes": stored_bytes(kept) / bars.total,
                "documents": await read_documents_s(database, take_bars(bars, slice(0, DOCUMENT_BARS))),
            }


def read_csv_s(bars: Bars, directory: Path) -> float:
    path = directory / "bars.csv"
    pd.DataFrame(bars._asdict()).to_csv(path, index=False)
    return seconds(lambda: [pd.read_csv(path)[name].to_numpy() for name in bars._fields], 3)


def read_parquet_s(bars: Bars) -> float | None:
    """None where pyarrow is not installed. The file is in memory, which is the best that a disk cache could do."""
    if importlib.util.find_spec("pyarrow") is None:
        print("candles: pyarrow is not installed, so nothing is measured beside Parquet; pip install pyarrow")
        return None
    file = io.BytesIO()
    pd.DataFrame(bars._asdict()).to_parquet(file, engine="pyarrow", compression="zstd", index=False)

    def read() -> None:
        file.seek(0)
        frame = pd.read_parquet(file, engine="pyarrow")
        assert all(len(frame[name].to_numpy()) == bars.total for name in bars._fields)

    return seconds(read)


def measure() -> list[Row]:
    bars = synthetic_series(BARS).bars
    with tempfile.TemporaryDirectory(prefix="backfleet-bench-") as name:
        took = asyncio.run(measure_store(Path(name), bars))
        csv_s = read_csv_s(bars, Path(name))
    parquet_s = read_parquet_s(bars)
    million = f"{BARS:,} synthetic minutes"
    server = f"nx-27017, {million}"

    def rate(took_s: float, count: int = BARS) -> float:
        return count / took_s / 1e6

    rows = [
        measured(
            "candles.cold.vs.one_document_per_bar",
            ours=rate(took["cold"]),
            peer=rate(took["documents"], DOCUMENT_BARS),
            unit="M bars/s",
            aim=20,
            better="higher",
            on=f"{server}, the peer on {DOCUMENT_BARS:,}",
        ),
        measured(
            "candles.cold.vs.pandas.read_csv",
            ours=rate(took["cold"]),
            peer=rate(csv_s),
            unit="M bars/s",
            better="higher",
            on=f"{server}, the peer from a file",
        ),
        measured("candles.cached", ours=1e3 * took["cached"], unit="ms", aim=10, better="lower", on=million),
        measured("candles.import", ours=rate(took["import"]), unit="M bars/s", better="higher", on=server),
        measured("candles.stored_size", ours=took["bytes"], unit="bytes/bar", aim=20, better="lower", on=million),
        measured(
            "candles.resample_to_1h",
            ours=1e3 * seconds(lambda: resample_bars(bars, Grid.of("1h"))),
            unit="ms",
            aim=50,
            better="lower",
            on=million,
        ),
    ]
    if parquet_s is not None:
        rows.append(
            measured(
                "candles.cached.vs.parquet",
                ours=1e3 * took["cached"],
                peer=1e3 * parquet_s,
                unit="ms",
                better="lower",
                on=f"{million}, the peer's file in memory",
            )
        )
    return rows
