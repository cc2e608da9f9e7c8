"""Results: what a backtest came to, how that is made of a run's outcome, how it is stored and how it is told.

A result's fields are spelled here and nowhere else: the document around `Findings` (`shared/findings.py`), which depend
on nobody's store, and the answer to whoever asks. A result is written before the record says that the backtest is
completed; its tables (equity, trades) are frames (`shared/frames.py`).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self, cast

import numpy as np
from bson import Binary
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pymongo import ASCENDING
from pymongo.errors import BulkWriteError

from shared.candles import Slice
from shared.errors import FieldError, NotFound
from shared.findings import Findings, Outcome, YearBasis, findings, iso_column, plot_rows, trade_columns
from shared.frames import INLINE_MAX_BYTES, Columns, Frames
from shared.instants import iso_from_ms
from shared.mongo import Mongo, translate_mongo_errors
from shared.records import BacktestRecord, new_id
from shared.result_garbage import Claim, Fate, Removed, UploadNotes, Walk, fates_of
from shared.result_warnings import ResultWarning, gathered, of_run

EQUITY_POINTS_MAX = 2_000
_DUPLICATE_KEY = 11000
_FRAMES = ("trades", "equity")
# Rows written at a time, and the pause after them: else the loop waits five milliseconds for Python's lock whenever it
# has read or sent something.
_JSON_ROWS = 250
_PAUSE_S = 0.00005


class ResultDocument(Findings):
    """One document of `results`. `equity` is a frame of at most 2,000 points, enough to plot the curve.

    `frames` holds the whole tables, large ones in GridFS; `equity` is among them only where a plot keeps not all of it.
    """

    _id: str
    backtestId: str
    userId: str
    claimId: str
    createdAt: int
    equity: bytes
    frames: dict[str, Any]


# Without a docstring, which /docs would show in the place of each field's own words.
class Result(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    result_id: str = Field(description="Names the result.", examples=["res_01m7z2pktzwc1k11f1acmmt1cy"])
    backtest_id: str = Field(description="Whose result it is.", examples=["bt_01m7xy1ymv1kn41cwsxzn6z2tf"])
    created_at: str = Field(description="When it was made.", json_schema_extra={"format": "date-time"})
    summary: dict[str, Any] = Field(description="The metrics that people look at first.")
    metrics: dict[str, Any] = Field(description="All of them, as docs/metrics.md defines them; null where undefined.")
    config: dict[str, Any] = Field(description="What was asked for.")
    dataset_hash: str = Field(description="Names the exact bars that were read, those of the warm-up included.")
    resampled_from: str | None = Field(description="Interval of the finer bars its bars were made of; null where none.")
    result_hash: str = Field(description="Equal for equal results, on whatever machine and after whatever break.")
    engine_version: str = Field(description="Results of different versions may differ.", examples=["3"])
    year_basis: YearBasis | None = Field(
        description="Whether the bars or the request say how many periods make a year (periodsPerYear); null in "
        "older results."
    )
    seed: int = Field(description="Seed of whatever was random in the run.")
    total_bars: int = Field(ge=0, description="How many bars were run.")
    warmup_bars: int | None = Field(
        ge=0,
        description="How many bars before the first one indicators began with, which traded nothing; null in older "
        "results.",
    )
    effective_start: str | None = Field(description="When the first bar that was run opens; null in older results.")
    effective_end: str | None = Field(description="Where the last bar that was run ends; null in older results.")
    warnings: list[ResultWarning] = Field(
        description="What went otherwise than may be thought, although nothing was refused: a range longer than the "
        "data, say, or fields of a published task that are unknown. No part of `resultHash`."
    )

    @classmethod
    def of(cls, document: ResultDocument) -> Self:
        same = {name: document.get(name) for name in map(to_camel, cls.model_fields)}
        made = {
            "resultId": document["_id"],
            "createdAt": iso_from_ms(document["createdAt"]),
            "warnings": document.get("warnings", []),
        }
        return cls.model_validate(same | made)

    def as_wire(self) -> dict[str, Any]:
        """JSON-ready, camelCase."""
        return self.model_dump(by_alias=True) | {"warnings": [one.as_wire() for one in self.warnings]}


def new_result(record: BacktestRecord, bars: Slice, outcome: Outcome, now_ms: int) -> ResultDocument:
    """The result of a record's run under the claim it has, still without its frames (`Results.prepare`)."""
    within = "params." if record.get("published") else ""
    params = record["params"]
    warnings = gathered(record.get("warnings", []), of_run(params, bars, outcome, within))
    return {
        "_id": new_id("res"),
        "backtestId": record["_id"],
        "userId": record["userId"],
        "claimId": record["claimId"],
        "createdAt": now_ms,
        **findings(record["params"], bars, outcome, warnings),
        "equity": b"",
        "frames": {},
    }


def _file_name(result_id: str, frame: str) -> str:
    """What a large frame is called in GridFS. `shared/result_garbage.py` reads the result's id out of it."""
    return f"{result_id}.{frame}"


def _as_they_are(columns: Columns, _total: int) -> Columns:
    return columns


def _rows_of(columns: Columns, rows: NDArray[np.int64]) -> Columns:
    return {name: column[rows] for name, column in columns.items()}


def json_rows(columns: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    """Columns as JSON objects, one for each row, with commas between them: the text that `json` writes of the rows.

    A column at a time, because that takes a third of the time. More than `_JSON_ROWS` rows are for a thread.
    """
    line = "{" + ",".join(f"{json.dumps(name)}:%s" for name in columns) + "}"
    total = len(next(iter(columns.values()), ()))
    for begin in range(0, total, _JSON_ROWS):
        if begin:
            time.sleep(_PAUSE_S)
        texts: list[list[str]] = []
        for column in columns.values():
            # A zero byte is in no JSON text, so it parts the values of a column whatever they are.
            part = json.dumps(column[begin : begin + _JSON_ROWS], ensure_ascii=False, allow_nan=False, separators=_ZERO)
            texts.append(part[1:-1].split(_ZERO[0]))
        yield ("," if begin else "") + ",".join([line % row for row in zip(*texts, strict=True)])


_ZERO = ("\0", ":")


def write_trades(
    trades: Columns, index: NDArray[np.int64], strategies: Sequence[str], *, total: int, limit: int, offset: int
) -> str:
    """A page of trades as JSON, each with its number in the order they were closed. Many rows are for a thread."""
    items = "".join(json_rows({"index": index.tolist(), **trade_columns(trades, strategies)}))
    return f'{{"items":[{items}],"total":{total},"limit":{limit},"offset":{offset}}}'


class Results:
    """The `results` collection and its frames. Every method raises `StoreUnavailable` when MongoDB does not answer."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._results = mongo.collection("results")
        self._frames = Frames(mongo)
        self._notes = UploadNotes(mongo)
        self._walk = Walk(mongo, "results", "backtestId")

    async def create_indexes(self) -> None:
        with translate_mongo_errors():
            # The claim is in it so that whoever looks for garbage reads no results, which are large.
            await self._results.create_index([("backtestId", ASCENDING), ("claimId", ASCENDING)], name="claim")

    async def prepare(self, document: ResultDocument, equity: Columns, trades: Columns) -> None:
        """Puts the frames into the document, or into GridFS where they are large. Doing so again is harmless.

        `equity` has the columns `time_ms` and `equity` of shape (bars,), `trades` one row per closed trade.
        """
        frames = {"trades": trades}
        plotted = equity
        if len(equity["equity"]) > EQUITY_POINTS_MAX:
            frames["equity"] = equity
            plotted = _rows_of(equity, plot_rows(equity["equity"], EQUITY_POINTS_MAX))
        document["equity"] = Binary(await self._frames.pack(plotted))
        packed = {name: await self._frames.pack(columns) for name, columns in frames.items()}
        large = {name for name, frame in packed.items() if len(frame) > INLINE_MAX_BYTES}
        if large:
            with translate_mongo_errors():
                first = await self._notes.add(document["_id"], Claim(document["backtestId"], document["claimId"]))
            if not first:
                await self._delete_frames(document["_id"])  # An earlier try left something, nobody knows how much.
        for name, frame in packed.items():
            if name in large:
                document["frames"][name] = await self._frames.put(_file_name(document["_id"], name), frame)
            else:
                document["frames"][name] = {"data": Binary(frame)}

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

    async def read(self, result_id: str, user_id: str) -> ResultDocument:
        """Raises `NotFound` also for somebody else's."""
        with translate_mongo_errors():
            found = await self._results.find_one({"_id": result_id, "userId": user_id})
        if found is None:
            raise NotFound(f"no result {result_id}", [FieldError("resultId", f"no result {result_id}", "not_found")])
        return cast("ResultDocument", found)

    async def read_equity(self, result: ResultDocument, points_max: int) -> str:
        """The equity curve, thinned to at most `points_max` points, as JSON: `{"points":[{"time":…,"equity":…},…]}`."""

        def write(equity: Columns, _total: int) -> str:
            shown = _rows_of(equity, plot_rows(equity["equity"], points_max))
            points = {"time": iso_column(shown["time_ms"]), "equity": shown["equity"].tolist()}
            return f'{{"points":[{"".join(json_rows(points))}]}}'

        whole = points_max > EQUITY_POINTS_MAX and "equity" in result["frames"]
        place = result["frames"]["equity"] if whole else {"data": result["equity"]}
        return await self._frames.read(place, range(result["totalBars"]), write)

    async def read_trades(self, result: ResultDocument, *, limit: int, offset: int) -> str:
        """One page of the trades in the order they were closed, as JSON: `items`, `total`, `limit` and `offset`."""
        strategies: list[str] = result["config"]["strategies"]

        def write(trades: Columns, total: int) -> str:
            index = np.arange(offset, offset + len(trades["pnl"]))
            return write_trades(trades, index, strategies, total=total, limit=limit, offset=offset)

        return await self._frames.read(result["frames"]["trades"], range(offset, offset + limit), write)

    async def read_all_trades(self, result: ResultDocument) -> Columns:
        """As they are stored. Raises `NotFound` where they are gone."""
        return await self._frames.read(result["frames"]["trades"], range(sys.maxsize), _as_they_are)

    async def read_all_equity(self, result: ResultDocument) -> Columns:
        """All points, as they are stored. Raises `NotFound` where they are gone."""
        whole = result["frames"].get("equity", {"data": result["equity"]})
        return await self._frames.read(whole, range(sys.maxsize), _as_they_are)

    async def delete_of(self, backtest_id: str) -> None:
        """Removes every result of a backtest."""
        with translate_mongo_errors():
            await self._remove({"backtestId": backtest_id})

    async def discard(self, result_id: str) -> None:
        """Removes a result that no record came to refer to."""
        with translate_mongo_errors():
            await self._remove({"_id": result_id})

    async def collect_garbage(self, most: int = 1_000) -> Removed:
        """Removes what dead workers left: results and frames under a claim that can end nothing any more.

        Each call looks at about `most` results and as many chunks of frames, from where the last one stopped, whichever
        worker made it; without garbage it is a handful of round trips. Why it is safe: `shared/result_garbage.py`.
        """
        with translate_mongo_errors():
            async with self._mongo.settled_reads() as settled:
                found, after = await self._walk.look(settled, most, also=("claimId",))
                fates = await fates_of(settled, [Claim(one["backtestId"], one["claimId"]) for one in found])
                uploads = await self._notes.over(settled, most)
                await self._notes.find_older(settled, most)
            results = 0
            for claim in sorted(claim for claim, fate in fates.items() if fate is Fate.OVER):
                results += await self._remove({"backtestId": claim.backtest_id, "claimId": claim.claim_id})
            for result_id in uploads:
                await self._delete_frames(result_id)
            await self._notes.removed(uploads)
            await self._walk.go_on_from(after)
        return Removed(results, len(uploads))

    async def _delete_frames(self, result_id: str) -> None:
        for name in _FRAMES:
            await self._frames.delete(_file_name(result_id, name))

    async def _remove(self, query: dict[str, Any]) -> int:
        """Removes the results that match with their frames, these first: what is cut short can be found again."""
        removed = 0
        for found in await self._results.find(query, {"frames": 1}).to_list():
            for place in found["frames"].values():
                if "gridfs" in place:
                    await self._frames.delete(place["gridfs"])
            removed += (await self._results.delete_one({"_id": found["_id"]})).deleted_count
        return removed
