"""What all records come to: how many wait and since when, how many run or are paused, what ended lately, how, and after
how long.

Each question is one query, and each is answered by an index that holds only what it asks about, so that none takes the
longer the more backtests have ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from pymongo import DESCENDING
from pymongo.asynchronous.collection import AsyncCollection

from shared.lifecycle import SET_ASIDE, TERMINAL, Document, Status
from shared.mongo import Mongo, translate_mongo_errors
from shared.records import BacktestRecord

MINUTE_MS = 60_000
_HELD: Document = {"leaseExpiresAt": {"$gt": 0}}
_RUN_FIELDS = ("userId", "status", "params", "progress", "priority", "workerId", "startedAt", "epoch")
_RAN_FIELDS = ("params", "startedAt", "completedAt", "epoch", "controlSeq", "resultId")
_FAILURE_FIELDS = ("userId", "params", "completedAt", "error")


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many backtests of one priority are pending, and when the oldest of them was submitted."""

    priority: int
    pending: int
    oldest_at_ms: int


class SmoothRun(NamedTuple):
    """A backtest that ran without a break: what of its `params` says how long that takes, and how long it took, from
    its claim to its end."""

    params: Mapping[str, Any]
    bars: int
    seconds: float


class Overview:
    """Every method raises `StoreUnavailable` when MongoDB does not answer."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._backtests: AsyncCollection[Document] = mongo.collection("backtests")
        self._results: AsyncCollection[Document] = mongo.collection("results")

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01T00:00Z on MongoDB's clock."""
        return self._mongo.now_ms()

    async def queue(self) -> list[Waiting]:
        """By priority, highest first; none where nothing waits."""
        by_priority: Document = {"_id": "$priority", "pending": {"$sum": 1}, "oldest": {"$min": "$createdAt"}}
        found = await self._aggregate({"queueRank": {"$gt": 0}}, {"$group": by_priority})
        levels = [Waiting(int(one["_id"]), int(one["pending"]), int(one["oldest"])) for one in found]
        return sorted(levels, key=lambda level: -level.priority)

    async def running(self) -> int:
        return await self._count(_HELD | {"status": Status.RUNNING.value})

    async def paused(self) -> int:
        """How many are paused, whether a worker still holds them or not."""
        held = self._count(_HELD | {"status": Status.PAUSED.value})
        return sum(await asyncio.gather(held, self._count(SET_ASIDE)))

    async def ended(self, since_ms: int, until_ms: int) -> dict[Status, int]:
        """How many ended after the one instant and up to the other, by the status they ended in; all are named."""
        between = {"completedAt": {"$gt": max(since_ms, 0), "$lte": until_ms}}
        found = await self._aggregate(between, {"$group": {"_id": "$status", "ended": {"$sum": 1}}})
        counts = {one["_id"]: int(one["ended"]) for one in found}
        return {status: counts.get(status.value, 0) for status in sorted(TERMINAL)}

    async def ended_by_minute(self, since_ms: int, until_ms: int) -> dict[int, dict[Status, int]]:
        """How many ended after the one instant and up to the other, by the first millisecond of the minute and by
        status. Minutes in which none did are left out.
        """
        between = {"completedAt": {"$gt": max(since_ms, 0), "$lte": until_ms}}
        minute = {"$subtract": ["$completedAt", {"$mod": ["$completedAt", MINUTE_MS]}]}
        counts = {one.value: {"$sum": {"$cond": [{"$eq": ["$status", one.value]}, 1, 0]}} for one in TERMINAL}
        found = await self._aggregate(between, {"$group": {"_id": minute, **counts}})
        return {int(one["_id"]): {status: int(one[status.value]) for status in sorted(TERMINAL)} for one in found}

    async def smooth_runs(self, since_ms: int, most: int) -> list[SmoothRun]:
        """Of the last `most` that completed since then those that nobody and nothing held up, newest first."""
        query = {"completedAt": {"$gt": max(since_ms, 0)}, "status": Status.COMPLETED.value}
        smooth = [one for one in await self._find(query, _RAN_FIELDS, "completedAt", most) if _was_smooth(one)]
        with translate_mongo_errors():
            theirs = {"_id": {"$in": [one["resultId"] for one in smooth]}}
            bars = {one["_id"]: int(one["totalBars"]) async for one in self._results.find(theirs, {"totalBars": 1})}
        return [
            SmoothRun(one["params"], bars[one["resultId"]], (one["completedAt"] - one["startedAt"]) / 1000)
            for one in smooth
            if bars.get(one["resultId"])
        ]

    async def runs(self, user_id: str | None, most: int) -> list[BacktestRecord]:
        """What workers hold now, of one user or of all, last begun first. Only what is told of it is filled in."""
        return await self._find(_HELD | _of(user_id), _RUN_FIELDS, "startedAt", most)

    async def failures(self, user_id: str | None, since_ms: int, most: int) -> list[BacktestRecord]:
        """What failed since then, of one user or of all, newest first. Only what is told of it is filled in."""
        failed = {"status": Status.FAILED.value, "completedAt": {"$gt": max(since_ms, 0)}}
        return await self._find(failed | _of(user_id), _FAILURE_FIELDS, "completedAt", most)

    async def _count(self, match: Document) -> int:
        found = await self._aggregate(match, {"$count": "count"})
        return int(found[0]["count"]) if found else 0

    async def _aggregate(self, match: Document, stage: Document) -> list[Document]:
        with translate_mongo_errors():
            return await (await self._backtests.aggregate([{"$match": match}, stage])).to_list()

    async def _find(self, query: Document, fields: tuple[str, ...], newest_by: str, most: int) -> list[BacktestRecord]:
        with translate_mongo_errors():
            found = self._backtests.find(query, fields).sort(newest_by, DESCENDING).limit(most)
            return cast("list[BacktestRecord]", await found.to_list())


def _was_smooth(record: BacktestRecord) -> bool:
    """Whether it was run in one go and as fast as it went, so that how long it took says how long such a run takes."""
    return record["epoch"] == 1 and not record["controlSeq"] and record["params"].get("speed", "max") == "max"


def _of(user_id: str | None) -> Document:
    return {} if user_id is None else {"userId": user_id}
