"""How much of the queue one user may fill. What is paused counts too: it may go back into the queue at any time.

A gateway counts what a user has pending or paused when it hears of the user first, and anew now and then; in between it
adds what it has let in itself. So the figure is approximate: what has run since the last count is not known. All who
come while one count is under way wait for that one.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial

from pymongo import ASCENDING
from pymongo.asynchronous.collection import AsyncCollection

from shared.errors import TooMany
from shared.lifecycle import SET_ASIDE, Document
from shared.mongo import translate_mongo_errors

_RECOUNT_S = 1.0
_COUNT_TRUSTED_S = 30.0
_USERS_MAX = 1_000


@dataclass(slots=True)
class _Count:
    """How many are pending or paused, as far as is known, and when that was counted on the monotonic clock."""

    waiting: int
    counted_s: float


class Shares:
    """The shares of all users. What is remembered is bounded; what is forgotten is counted again."""

    def __init__(self, backtests: AsyncCollection[Document], pending_max: int) -> None:
        self._backtests = backtests
        self._pending_max = pending_max
        self._counts: OrderedDict[str, _Count] = OrderedDict()
        self._counting: dict[str, asyncio.Task[_Count]] = {}

    async def create_index(self) -> None:
        # Only of what is pending, so that a count does not read all that a user has ever asked for. It costs each
        # backtest some hundredths of a millisecond of the server's time.
        pending = {"queueRank": {"$gt": 0}}
        keys = [("userId", ASCENDING), ("queueRank", ASCENDING)]
        await self._backtests.create_index(keys, name="shares", partialFilterExpression=pending)

    async def take(self, user_id: str) -> None:
        """Takes a place for one more backtest that waits. Raises `TooMany` where all are taken, `StoreUnavailable`."""
        count = self._counts.get(user_id)
        if count is None or self._is_stale(count):
            count = await self._recount(user_id)
        if count.waiting >= self._pending_max:
            raise TooMany(
                f"{count.waiting} backtests are pending or paused, the most allowed is {self._pending_max}; wait until "
                "some have run, or stop some"
            )
        count.waiting += 1

    def _is_stale(self, count: _Count) -> bool:
        """A refusal must be about what is still true; a user far below the limit need not be counted often."""
        trusted_s = _RECOUNT_S if count.waiting >= self._pending_max else _COUNT_TRUSTED_S
        return time.monotonic() - count.counted_s > trusted_s

    async def _recount(self, user_id: str) -> _Count:
        counting = self._counting.get(user_id)
        if counting is None:
            # A task of its own: that one of those who wait gives up must not end what the others wait for.
            counting = self._counting[user_id] = asyncio.create_task(self._count(user_id))
            counting.add_done_callback(partial(self._counted, user_id))
        await asyncio.wait([counting])
        return counting.result()

    def _counted(self, user_id: str, counting: asyncio.Task[_Count]) -> None:
        del self._counting[user_id]
        if not counting.cancelled():
            counting.exception()  # Looked at here, because there may be nobody left who waits.

    async def _count(self, user_id: str) -> _Count:
        with translate_mongo_errors():
            # What is set aside is little, of all users: the index of the queue finds it.
            asked = ({"userId": user_id, "queueRank": {"$gt": 0}}, {"userId": user_id} | SET_ASIDE)
            waiting = sum(await asyncio.gather(*map(self._count_of, asked)))
        count = self._counts[user_id] = _Count(waiting, time.monotonic())
        self._counts.move_to_end(user_id)
        if len(self._counts) > _USERS_MAX:
            self._counts.popitem(last=False)
        return count

    async def _count_of(self, match: Document) -> int:
        # Some servers answer this in milliseconds where `count_documents` takes them seconds.
        counting = [{"$match": match}, {"$count": "waiting"}]
        found = await (await self._backtests.aggregate(counting)).to_list()
        return int(found[0]["waiting"]) if found else 0
