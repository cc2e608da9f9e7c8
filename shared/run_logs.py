"""What strategies and the engine logged in a run: stored as it comes, read while it runs and afterwards.

Lines are numbered from 1 over all runs of a backtest, and each names the bar that its run had come to. A run that is
taken up at bar B goes on after the lines until B: what an earlier run logged later will be logged again, with the same
numbers, and does not count. So every run but the first writes a head, which says its B, before its own lines; who reads
leaves out what a later head voids, also where it was written by a worker that had lost its claim by then.

Lines are kept in batches of at most `BATCH_MAX`, each written once. What is left of a backtest that was deleted
meanwhile is garbage, for its record is gone and never comes back.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from pymongo import ASCENDING
from pymongo.errors import DuplicateKeyError

from shared.leftovers import Leftovers
from shared.lifecycle import Lease
from shared.mongo import Document, Mongo, translate_mongo_errors

LOGS = "run_logs"
BATCH_MAX = 500
_NEVER = 2**62


class LoggedLine(NamedTuple):
    """One line, as it is told (`shared.live.LogEntry`), and the bar its run had come to."""

    bar: int
    entry: dict[str, Any]

    @property
    def number(self) -> int:
        return self.entry["number"]


@dataclass(frozen=True, slots=True)
class LogPage:
    """Lines in order, and whether there are more."""

    entries: list[dict[str, Any]]
    more: bool


class RunLogs:
    """The collection `run_logs`. Every method raises `StoreUnavailable` when MongoDB does not answer."""

    def __init__(self, mongo: Mongo) -> None:
        self._logs = mongo.quick_collection(LOGS)
        self._leftovers = Leftovers(mongo, LOGS)

    async def create_indexes(self) -> None:
        with translate_mongo_errors():
            place = [("backtestId", ASCENDING), ("first", ASCENDING), ("epoch", ASCENDING), ("last", ASCENDING)]
            await self._logs.create_index(place, name="place")

    async def begin(self, lease: Lease, bar: int) -> int:
        """A run takes a backtest up at this bar: how many lines before it count. Doing so again is harmless."""
        head = {"_id": f"{lease.claim_id}:0", "since": bar, **_place(lease, 0, 0)}
        with translate_mongo_errors():
            with contextlib.suppress(DuplicateKeyError):
                await self._logs.insert_one(head)
            earlier = {"backtestId": lease.backtest_id, "epoch": {"$lt": lease.epoch}}
            await self._logs.delete_many({**earlier, "firstBar": {"$gt": bar}})
        page = await self.read(lease.backtest_id, 0, _NEVER)
        return page.entries[-1]["number"] if page.entries else 0

    async def add(self, lease: Lease, lines: Sequence[LoggedLine]) -> None:
        """Stores lines of one run, at most `BATCH_MAX`. Doing so again is harmless."""
        batch = {
            "_id": f"{lease.claim_id}:{lines[0].number}",
            **_place(lease, lines[0].number, lines[-1].number),
            "firstBar": lines[0].bar,
            "bars": [one.bar for one in lines],
            # As text: BSON would repeat the names of the fields in every line, and take longer.
            "entries": json.dumps([one.entry for one in lines], separators=(",", ":")),
        }
        with translate_mongo_errors(), contextlib.suppress(DuplicateKeyError):
            await self._logs.insert_one(batch)

    async def read(self, backtest_id: str, after: int, most: int) -> LogPage:
        """The lines whose numbers follow `after`, at most `most`."""
        found: list[dict[str, Any]] = []
        with translate_mongo_errors():
            heads = await self._logs.find({"backtestId": backtest_id, "last": 0}).to_list()
            query = {"backtestId": backtest_id, "last": {"$gt": after}}
            async for batch in self._logs.find(query).sort([("first", ASCENDING), ("epoch", ASCENDING)]):
                until = min((head["since"] for head in heads if head["epoch"] > batch["epoch"]), default=_NEVER)
                if batch["firstBar"] > until:
                    continue
                entries = cast("list[dict[str, Any]]", json.loads(batch["entries"]))
                for bar, entry in zip(batch["bars"], entries, strict=True):
                    if bar <= until and entry["number"] > after:
                        if len(found) == most:
                            return LogPage(found, more=True)
                        found.append(entry)
                        after = entry["number"]
        return LogPage(found, more=False)

    async def delete_of(self, backtest_id: str) -> None:
        with translate_mongo_errors():
            await self._logs.delete_many({"backtestId": backtest_id})

    async def collect_garbage(self, most: int = 1_000) -> int:
        """Removes lines of backtests that are gone: of how many."""
        return await self._leftovers.collect(most)


def _place(lease: Lease, first: int, last: int) -> Document:
    return {"backtestId": lease.backtest_id, "epoch": lease.epoch, "first": first, "last": last}
