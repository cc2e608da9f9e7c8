"""Whose turn it is: users who wait at the same priority take turns, however much one of them asks for at once.

This is start-time fair queueing (Goyal, Vin, Cheng 1996) with every backtest for one unit. Each gets its turn when it
is stored: the one after its user's last, but none earlier than the turn that is being served now. So one user's 40 get
40 turns in a row, another's first one gets the turn of now, and workers only ever take the smallest number. What a user
has running counts, because its turns were taken: the next one comes after them. Nothing of it lasts: when a queue is
empty, the turn of now is the last that was given out, and who had much before is like everybody else.

All of it is kept in memory by whoever stores backtests, because an approximate answer is right here: nothing is lost or
run twice by a turn that is a little early. A process knows only the turns that it gave out itself, so somebody whose
requests are spread over two gateways has two turns where others have one; behind a load balancer that is everybody.
Which turn is served now is read beside the inserts, at most every `_READ_AGAIN_S`; no insert waits for it. What all
processes agree on is one document with a field for each priority, which only rises.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import cast

from pymongo import ASCENDING, ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from shared.errors import StoreUnavailable
from shared.lifecycle import Document, Status
from shared.mongo import Mongo, translate_mongo_errors
from shared.records import BacktestRecord, queue_rank, turn_of

_READ_AGAIN_S = 0.25
_USERS_MAX = 20_000
_NOW = "now"
# Records of 0.1.0 wait by milliseconds since 1970, which stay below this until 2033: they are older and go first.
_FIRST = 2 * 10**12


class Turns:
    """`give` before records are stored, `given` afterwards, `close` at the end."""

    def __init__(self, mongo: Mongo) -> None:
        self._backtests: AsyncCollection[Document] = mongo.quick_collection("backtests")
        self._agreed: AsyncCollection[Document] = mongo.quick_collection("turns")
        self._now: defaultdict[int, int] = defaultdict(lambda: _FIRST)  # By priority: the turn that is served.
        self._stored: dict[int, int] = {}  # By priority: the last turn that a stored record has.
        self._next: dict[tuple[int, str], int] = {}
        self._read_s = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    def give(self, records: Iterable[BacktestRecord]) -> None:
        """Gives each record its turn, and its place in the queue unless it is born paused: then it keeps the turn."""
        for record in records:
            key = record["priority"], record["userId"]
            turn = max(self._now[record["priority"]], self._next.get(key, _FIRST))
            self._next[key] = turn + 1
            record["turn"] = turn
            if record["status"] == Status.PENDING:
                record["queueRank"] = queue_rank(record["priority"], turn)

    def given(self, records: Iterable[BacktestRecord]) -> None:
        """These are stored: now and then the time to see, beside what goes on, how far the queues are."""
        for record in records:
            priority = record["priority"]
            self._stored[priority] = max(turn_of(record), self._stored.get(priority, 0))
        if self._reading is None and time.monotonic() - self._read_s > _READ_AGAIN_S:
            self._reading = asyncio.create_task(self._read_beside())

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])

    async def read(self) -> None:
        """Learns which turn is served now at each priority that was asked for here, and agrees on it with the others.

        Raises `StoreUnavailable`.
        """
        stored = dict(self._stored)  # What is stored later may not be seen yet by what is read now.
        with translate_mongo_errors():
            await self._agree(stored)
        self._next = {key: turn for key, turn in self._next.items() if turn > self._now[key[0]]}
        if len(self._next) > _USERS_MAX:
            self._next.clear()
        self._read_s = time.monotonic()

    async def _agree(self, stored: dict[int, int]) -> None:
        heads = await asyncio.gather(*(self._head(priority) for priority in stored))
        for (priority, last), head in zip(stored.items(), heads, strict=True):
            # An empty queue has served all that was given out: nobody is behind for what has been.
            self._now[priority] = max(self._now[priority], last if head is None else head)
        if stored:
            rise = {"$max": {_field(priority): self._now[priority] for priority in stored}}
            agreed = await self._agreed.find_one_and_update(
                {"_id": _NOW}, rise, upsert=True, return_document=ReturnDocument.AFTER
            )
        else:
            agreed = await self._agreed.find_one({"_id": _NOW})
        for name, turn in (agreed or {}).items():
            if name != "_id":
                self._now[int(name[1:])] = turn

    async def _read_beside(self) -> None:
        try:
            # Two that make the document at once, or a client that is closed: the next time will do.
            with contextlib.suppress(StoreUnavailable, PyMongoError):
                await self.read()
        finally:
            self._reading = None

    async def _head(self, priority: int) -> int | None:
        """The turn of the next record of this priority that a worker would take."""
        rank = {"$gte": queue_rank(priority, 0), "$lt": queue_rank(priority - 1, 0)}
        wanted = {"turn": 1, "createdAt": 1}
        found = await self._backtests.find_one({"queueRank": rank}, wanted, sort=[("queueRank", ASCENDING)])
        return None if found is None else turn_of(cast("BacktestRecord", found))


def _field(priority: int) -> str:
    return f"p{priority}"
