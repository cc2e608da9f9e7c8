"""What is stored of an ended backtest, for its owner: its record, its result, its tables and the bars that it read."""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np

from shared.bars import Bars
from shared.database import Database
from shared.errors import BackfleetError, Conflict, FieldError, StoreUnavailable
from shared.frames import Columns
from shared.instants import read_instant_ms
from shared.lifecycle import TERMINAL, Status
from shared.records import BacktestRecord
from shared.results import ResultDocument

log = logging.getLogger(__name__)


class StoredTables(NamedTuple):
    """`equity` has a point for each bar, `trades` a row for each closed trade, `bars` are those that the run processed:
    None where they cannot be had any more."""

    equity: Columns
    trades: Columns
    bars: Bars | None


class StoredResults:
    """Every method raises `StoreUnavailable` when MongoDB does not answer."""

    def __init__(self, database: Database) -> None:
        self._store = database.store
        self._results = database.results
        self._candles = database.candles

    async def read(self, user_id: str, backtest_id: str) -> tuple[BacktestRecord, ResultDocument]:
        """Raises `NotFound` also for somebody else's, `Conflict` for one that has no result (yet)."""
        record = await self._store.get(backtest_id, user_id)
        if not record["resultId"]:
            raise no_result(record)
        return record, await self._results.read(record["resultId"], user_id)

    async def tables(self, record: BacktestRecord, document: ResultDocument) -> StoredTables:
        """All of them, whole. Raises `NotFound` where the result's own are gone."""
        equity, trades = await self.equity(document), await self.trades(document)
        bars = await self._bars_of(record, document)
        if bars is not None and not np.array_equal(bars.time_ms, equity["time_ms"]):
            log.warning("%s: its bars are not those of its result: it is told without", record["_id"])
            bars = None
        return StoredTables(equity, trades, bars)

    async def equity(self, document: ResultDocument) -> Columns:
        return await self._results.read_all_equity(document)

    async def trades(self, document: ResultDocument) -> Columns:
        return await self._results.read_all_trades(document)

    async def _bars_of(self, record: BacktestRecord, document: ResultDocument) -> Bars | None:
        """Without those of the warm-up."""
        params = record["params"]
        start_ms, end_ms = (read_instant_ms(name, params[name]) for name in ("startDate", "endDate"))
        try:
            found = await self._candles.reopen(
                record["manifestId"],
                params["interval"],
                start_ms,
                end_ms,
                warmup_bars=document.get("warmupBars") or 0,
            )
            if found.dataset_hash != document["datasetHash"]:
                return None
            return (await self._candles.read(found)).after(found.warmup_bars).first(document["totalBars"])
        except StoreUnavailable:
            raise
        except BackfleetError as error:
            log.warning("%s: it is told without its bars: %s", record["_id"], error.message)
            return None


def no_result(record: BacktestRecord) -> Conflict:
    """Why there is none, or none yet."""
    status = Status(record["status"])
    remedy = "it will have none" if status in TERMINAL else "wait for backtest:complete, then ask again"
    reason = record.get("error", {}).get("message")
    because = f" ({reason})" if reason else ""
    return Conflict(
        f"backtest {record['_id']} is {status.value}{because} and has no result; {remedy}",
        [FieldError("status", f"is {status.value}; {remedy}", "no_result")],
    )
