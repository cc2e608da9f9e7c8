"""What all records come to: how many wait and since when, how many run or are paused, what ended lately, and how.

Each question is one query, and each is answered by an index that holds only what it asks about, so that none takes the
longer the more backtests have ended.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

from pymongo import DESCENDING
from pymongo.asynchronous.collection import AsyncCollection

from shared.lifecycle import SET_ASIDE, TERMINAL, Document, Status
from shared.mongo import Mongo, translate_mongo_errors
from shared.records import BacktestRecord

_HELD: Document = {"leaseExpiresAt": {"$gt": 0}}
_RUN_FIELDS = ("userId", "status", "params", "progress", "priority", "workerId", "startedAt", "epoch")
_FAILURE_FIELDS = ("userId", "params", "completedAt", "error")


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many backtests of one priority are pending, and when the oldest of them was submitted."""

    priority: int
    pending: int
    oldest_at_ms: int


class Overview:
    """Every method raises `StoreUnavailable` when MongoDB does not answer."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._backtests: AsyncCollection[Document] = mongo.collection("backtests")

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


def _of(user_id: str | None) -> Document:
    return {} if user_id is None else {"userId": user_id}
