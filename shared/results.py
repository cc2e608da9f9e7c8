"""Results: summaries and frames (equity, trades), written before the record says that it is completed.

A frame is a table of equally long columns: a JSON header, then the columns' little-endian bytes, compressed with zstd.
Small frames stand inside the result's document, which saves three round trips; large ones stand in GridFS.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

import numpy as np
import zstandard
from bson import Binary
from gridfs.asynchronous import AsyncGridFSBucket
from gridfs.errors import FileExists, NoFile
from numpy.typing import NDArray
from pydantic.alias_generators import to_camel
from pymongo import ASCENDING
from pymongo.errors import BulkWriteError, DuplicateKeyError

from shared.errors import FieldError, NotFound
from shared.instants import iso_from_ms
from shared.mongo import Mongo, translate_mongo_errors
from shared.reasons import Reason
from shared.records import ResultDocument

Columns = dict[str, NDArray[Any]]
INLINE_MAX_BYTES = 256 * 1024
EQUITY_POINTS_MAX = 2_000
_HEADER_BYTES = 4
_DUPLICATE_KEY = 11000
FRAME_MAX_BYTES = 4 * 1024**3
_SUMMARY = ("totalReturn", "sharpeRatio", "maxDrawdown", "winRate", "profitFactor", "totalTrades", "finalEquity")


def encode_frame(columns: Mapping[str, NDArray[Any]]) -> bytes:
    """Columns of shape (rows,) to bytes. Raises `ValueError` when their lengths differ."""
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise ValueError(f"columns of one frame must be equally long, these have {sorted(lengths)} rows")
    little = {name: np.ascontiguousarray(column, column.dtype.newbyteorder("<")) for name, column in columns.items()}
    header = json.dumps(
        {
            "rows": lengths.pop() if lengths else 0,
            "columns": [[name, column.dtype.str] for name, column in little.items()],
        }
    ).encode()
    raw = b"".join(
        [len(header).to_bytes(_HEADER_BYTES, "little"), header, *(column.tobytes() for column in little.values())]
    )
    return zstandard.ZstdCompressor(level=1).compress(raw)


def decode_frame(data: bytes) -> Columns:
    """The columns of `encode_frame`, each of shape (rows,), read-only."""
    raw = zstandard.ZstdDecompressor().decompress(data, max_output_size=FRAME_MAX_BYTES)
    header_end = _HEADER_BYTES + int.from_bytes(raw[:_HEADER_BYTES], "little")
    header = json.loads(raw[_HEADER_BYTES:header_end])
    columns: Columns = {}
    offset = header_end
    for name, dtype_name in header["columns"]:
        dtype = np.dtype(dtype_name)
        columns[name] = np.frombuffer(raw, dtype, count=header["rows"], offset=offset)
        offset += dtype.itemsize * header["rows"]
    return columns


def plot_rows(values: NDArray[np.float64], points_max: int) -> NDArray[np.int64]:
    """At most `points_max` rows to plot: the first, the last, and each stretch's lowest and highest.

    Below 4 points only the first and the last fit. Raises `ValueError` below 2.
    """
    if points_max < 2:
        raise ValueError(f"points_max is {points_max}, it must be at least 2")
    rows = len(values)
    if rows <= points_max:
        chosen = np.arange(rows)
    elif points_max < 4:
        chosen = np.array([0, rows - 1])
    else:
        edges = np.linspace(0, rows, (points_max - 2) // 2 + 1).astype(np.int64)
        extremes = [
            low + extreme
            for low, high in pairwise(edges)
            for extreme in (int(np.argmin(values[low:high])), int(np.argmax(values[low:high])))
        ]
        chosen = np.unique(np.array([0, *extremes, rows - 1]))
    return chosen


def _rows_of(columns: Columns, rows: NDArray[np.int64]) -> Columns:
    return {name: column[rows] for name, column in columns.items()}


def trade_as_wire(row: dict[str, Any], strategies: Sequence[str]) -> dict[str, Any]:
    """One row of the `trades` frame: camelCase, instants in ISO, codes by name, undefined numbers as null."""
    wire: dict[str, Any] = {}
    for name, value in row.items():
        shown = value
        if name.endswith("_ms"):
            name, shown = name.removesuffix("_ms"), iso_from_ms(value)
        elif name.endswith("_reason"):
            shown = Reason(value).wire
        elif name == "direction":
            shown = "long" if value > 0 else "short"
        elif name == "strategy":
            shown = strategies[value] if 0 <= value < len(strategies) else None
        elif isinstance(value, float) and not math.isfinite(value):
            shown = None
        wire[to_camel(name)] = shown
    return wire


def summary_of(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a result that its end is announced with."""
    return {name: metrics[name] for name in _SUMMARY}


class Results:
    """The `results` collection and its frames."""

    def __init__(self, mongo: Mongo) -> None:
        self._results = mongo.collection("results")
        self._frames = AsyncGridFSBucket(mongo.durable, bucket_name="frames")

    async def create_indexes(self) -> None:
        await self._results.create_index([("backtestId", ASCENDING)], name="backtest")

    async def prepare(self, document: ResultDocument, equity: Columns, trades: Columns) -> None:
        """Puts the frames into the document, or into GridFS where they are large. Doing so again is harmless.

        `equity` has the columns `time_ms` and `equity` of shape (bars,), `trades` one row per closed trade.
        """
        frames = {"trades": trades}
        plotted = equity
        if len(equity["equity"]) > EQUITY_POINTS_MAX:
            frames["equity"] = equity
            plotted = _rows_of(equity, plot_rows(equity["equity"], EQUITY_POINTS_MAX))
        document["equity"] = Binary(encode_frame(plotted))
        with translate_mongo_errors():
            for name, columns in frames.items():
                document["frames"][name] = await self._store_frame(f"{document['_id']}.{name}", encode_frame(columns))

    async def write(self, documents: Sequence[ResultDocument]) -> None:
        """Stores prepared results in one round trip. Nothing refers to a result until its record does.

        Callers bound their number: a prepared result takes up to three hundred kilobytes.
        """
        with translate_mongo_errors():
            try:
                await self._results.insert_many(cast("list[dict[str, Any]]", documents), ordered=False)
            except BulkWriteError as error:
                refused: list[dict[str, Any]] = error.details["writeErrors"]
                unsure = error.details["writeConcernErrors"] or any(one["code"] != _DUPLICATE_KEY for one in refused)
                if unsure:
                    raise
                # An earlier try of this same write was carried out although its reply was lost.

    async def _store_frame(self, name: str, data: bytes) -> dict[str, Any]:
        if len(data) <= INLINE_MAX_BYTES:
            return {"data": Binary(data)}
        try:
            await self._frames.upload_from_stream_with_id(name, name, data)
        except (DuplicateKeyError, FileExists):
            # An earlier try got so far that it left something, nobody knows how much.
            await self._delete_frame(name)
            await self._frames.upload_from_stream_with_id(name, name, data)
        return {"gridfs": name}

    async def read(self, result_id: str, user_id: str) -> ResultDocument:
        """Raises `NotFound` also for somebody else's."""
        with translate_mongo_errors():
            found = await self._results.find_one({"_id": result_id, "userId": user_id})
        if found is None:
            raise NotFound(f"no result {result_id}", [FieldError("resultId", f"no result {result_id}", "not_found")])
        return cast("ResultDocument", found)

    async def read_equity(self, result: ResultDocument, points_max: int) -> Columns:
        """The equity curve, columns `time_ms` and `equity`, thinned to at most `points_max` points."""
        whole = points_max > EQUITY_POINTS_MAX and "equity" in result["frames"]
        equity = await self.read_frame(result, "equity") if whole else decode_frame(bytes(result["equity"]))
        return _rows_of(equity, plot_rows(equity["equity"], points_max))

    async def read_frame(self, result: ResultDocument, name: str) -> Columns:
        """One frame's columns. Raises `NotFound` when the result has no such frame."""
        place = result["frames"].get(name)
        if place is None:
            raise NotFound(f"result {result['_id']} has no frame {name}")
        if "data" in place:
            return decode_frame(bytes(place["data"]))
        with translate_mongo_errors():
            try:
                stream = await self._frames.open_download_stream(place["gridfs"])
                return decode_frame(await stream.read())
            except NoFile:
                raise NotFound(f"frame {name} of result {result['_id']} is gone") from None

    async def delete_of(self, backtest_id: str) -> None:
        """Removes every result of a backtest."""
        with translate_mongo_errors():
            for found in await self._results.find({"backtestId": backtest_id}, {"frames": 1}).to_list():
                await self._delete(found)

    async def discard(self, result_id: str) -> None:
        """Removes a result that no record came to refer to."""
        with translate_mongo_errors():
            found = await self._results.find_one({"_id": result_id}, {"frames": 1})
            if found is not None:
                await self._delete(found)

    async def _delete(self, found: Mapping[str, Any]) -> None:
        for place in found["frames"].values():
            if "gridfs" in place:
                await self._delete_frame(place["gridfs"])
        await self._results.delete_one({"_id": found["_id"]})

    async def _delete_frame(self, name: str) -> None:
        with contextlib.suppress(NoFile):  # Its chunks are deleted all the same, the rest was by an earlier try.
            await self._frames.delete(name)
