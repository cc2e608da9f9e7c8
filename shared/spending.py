"""Money for language models: reserved before each ask, settled after it, so that no limit is passed meanwhile.

Two documents count: one of the user's day (UTC, on MongoDB's clock), one of the backtest. `committedNano` is what was
spent and what is reserved, in billionths of a dollar, so that sums are exact; a reservation adds to it only where the
sum stays within the limit, in one update whose condition MongoDB checks in the same step. `open` has the reservations
that are not settled: settling takes its entry away with the money, so that doing it again changes nothing.

Whoever dies between reserving and settling leaves the reservation counted: the model may have answered, and whoever
runs it may be paid. It weighs on the user until the day is over, on the backtest until its end. The same ask made again
reserves money anew, but is still one ask of `maxDecisions`.

An answer that costs more than was reserved is counted as what it cost: a limit is passed by at most that difference.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import NamedTuple

from bson import Int64
from pymongo import ASCENDING
from pymongo.errors import DuplicateKeyError

from shared.errors import InvalidRequest
from shared.instants import iso_from_ms
from shared.leftovers import Leftovers
from shared.mongo import Document, Mongo, translate_mongo_errors
from shared.records import new_id
from shared.settings import Settings

LLM_SPENDING = "llm_spending"
_NANO = 1_000_000_000
_USD_MAX = 1e6  # more than any limit: what a provider says beyond it is nonsense that must not overflow a sum
_TRIES = 2  # the first may find that there is nothing to add to


class SpendingLimit(InvalidRequest):
    """Asking a language model would cost more than may be spent, or be once too often."""

    code = "spending_limit"


class RunLimits(NamedTuple):
    """Of one backtest. `path` is where its request has them, for whoever has to change one; None: no limit."""

    max_cost_usd: float | None = None
    max_decisions: int | None = None
    path: str = "strategyParams.ai_trader"


NO_LIMITS = RunLimits()


class Spent(NamedTuple):
    """Of a day or of a backtest, in US dollars; `asks` are those under way too."""

    spent_usd: float
    reserved_usd: float
    asks: int


@dataclass(frozen=True, slots=True)
class Reservation:
    """Money put aside for one ask."""

    reservation_id: str
    day_id: str
    backtest_id: str
    place: str
    usd: float


class Spending:
    """The collection `llm_spending`. Every method raises `StoreUnavailable` when MongoDB does not answer."""

    def __init__(self, mongo: Mongo, settings: Settings) -> None:
        self._mongo = mongo
        self._spending = mongo.collection(LLM_SPENDING)
        self._leftovers = Leftovers(mongo, LLM_SPENDING)
        self._day_usd = settings.llm_user_day_usd

    async def create_indexes(self) -> None:
        with translate_mongo_errors():
            await self._spending.create_index([("backtestId", ASCENDING)], name="backtest")

    async def reserve(
        self, user_id: str, backtest_id: str, usd: float, place: str, limits: RunLimits = NO_LIMITS
    ) -> Reservation:
        """Puts money aside for the ask at `place`, a name within the backtest without a dot ("0-499").

        Raises `SpendingLimit` where it would pass a limit of the run or of the day; then nothing is put aside.
        """
        reserved = Reservation(new_id("rsv"), self._day_id(user_id), backtest_id, place, min(usd, _USD_MAX))
        nano = _nano(reserved.usd)
        day: Document = {"_id": reserved.day_id, "userId": user_id, "backtestId": ""}
        if not await self._put_aside(day, reserved.reservation_id, nano, _nano(self._day_usd)):
            raise _over_day(self._day_usd, usd)
        run: Document = {"_id": _run_id(backtest_id), "userId": user_id, "backtestId": backtest_id}
        most_nano = _nano(_USD_MAX if limits.max_cost_usd is None else limits.max_cost_usd)
        if not await self._put_aside(run, place, nano, most_nano, limits.max_decisions):
            await self._close(reserved.day_id, reserved.reservation_id, -nano, asks=-1)
            raise await self._over_run(backtest_id, limits, usd)
        return reserved

    async def settle(self, reservation: Reservation, usd: float) -> None:
        """The ask is over, and cost so much. Doing so again changes nothing."""
        cost_nano, reserved_nano = _nano(usd), _nano(reservation.usd)
        for document_id, name in _places(reservation):
            await self._close(document_id, name, cost_nano - reserved_nano, spent_nano=cost_nano)

    async def release(self, reservation: Reservation) -> None:
        """Nobody was asked: as if nothing had been reserved. Doing so again changes nothing."""
        for document_id, name in _places(reservation):
            await self._close(document_id, name, -_nano(reservation.usd), asks=-1)

    async def of_today(self, user_id: str) -> Spent:
        return await self._read(self._day_id(user_id))

    async def left_today_usd(self, user_id: str) -> float:
        """What the user's backtests may still spend until the day is over."""
        today = await self.of_today(user_id)
        return max(0.0, self._day_usd - today.spent_usd - today.reserved_usd)

    async def of_backtest(self, backtest_id: str) -> Spent:
        return await self._read(_run_id(backtest_id))

    async def delete_of(self, backtest_id: str) -> None:
        """What a backtest cost stays in the days of its user."""
        with translate_mongo_errors():
            await self._spending.delete_one({"_id": _run_id(backtest_id)})

    async def collect_garbage(self, most: int = 1_000) -> int:
        """Removes the sums of backtests that are gone: of how many."""
        return await self._leftovers.collect(most)

    def _day_id(self, user_id: str) -> str:
        return f"day:{iso_from_ms(self._mongo.now_ms())[:10]}:{user_id}"

    async def _put_aside(
        self, document: Document, name: str, nano: int, most_nano: int, most_asks: int | None = None
    ) -> bool:
        """Whether the limits allowed it. `document` is what is stored where there is none yet."""
        place = f"open.{name}"
        room = {"_id": document["_id"], "committedNano": {"$lte": Int64(most_nano - nano)}}
        first = {**room, place: {"$exists": False}} | ({} if most_asks is None else {"asks": {"$lt": most_asks}})
        again = {**room, place: {"$exists": True}}
        put: Document = {"$set": {place: Int64(nano), "updatedAt": self._mongo.now_ms()}}
        added: Document = {"committedNano": Int64(nano)}
        with translate_mongo_errors():
            for _ in range(_TRIES):
                for asked, asks in ((first, 1), (again, 0)):
                    done = await self._spending.update_one(asked, {**put, "$inc": {**added, "asks": asks}})
                    if done.matched_count:
                        return True
                await self._begin(document)
        return False

    async def _begin(self, document: Document) -> None:
        """There is one of this id afterwards."""
        fresh: Document = {"committedNano": Int64(0), "spentNano": Int64(0), "asks": 0, "open": {}}
        fields = {name: value for name, value in document.items() if name != "_id"} | fresh
        with contextlib.suppress(DuplicateKeyError):
            await self._spending.update_one({"_id": document["_id"]}, {"$setOnInsert": fields}, upsert=True)

    async def _close(self, document_id: str, name: str, nano: int, *, spent_nano: int = 0, asks: int = 0) -> None:
        """Takes an open reservation out, where it is still there, and corrects the sums by these amounts."""
        place = f"open.{name}"
        sums = {"committedNano": Int64(nano), "spentNano": Int64(spent_nano), "asks": asks}
        update: Document = {"$inc": sums, "$unset": {place: ""}, "$set": {"updatedAt": self._mongo.now_ms()}}
        with translate_mongo_errors():
            await self._spending.update_one({"_id": document_id, place: {"$exists": True}}, update)

    async def _read(self, document_id: str) -> Spent:
        with translate_mongo_errors():
            found = await self._spending.find_one({"_id": document_id})
        if found is None:
            return Spent(0.0, 0.0, 0)
        spent, committed = int(found["spentNano"]), int(found["committedNano"])
        return Spent(spent / _NANO, (committed - spent) / _NANO, int(found["asks"]))

    async def _over_run(self, backtest_id: str, limits: RunLimits, usd: float) -> SpendingLimit:
        so_far = await self.of_backtest(backtest_id)
        if limits.max_decisions is not None and so_far.asks >= limits.max_decisions:
            return SpendingLimit.of(
                f"{limits.path}.maxDecisions",
                f"{limits.max_decisions} asks were made, the most allowed; raise it, or raise every to ask less often",
                SpendingLimit.code,
            )
        most, counted = limits.max_cost_usd or 0.0, so_far.spent_usd + so_far.reserved_usd
        left = f"${counted:.6g} of ${most:.6g} are spent or reserved"
        return SpendingLimit.of(
            f"{limits.path}.maxCostUsd",
            f"the next ask may cost ${usd:.6g}, and {left}; raise it, raise every, or choose a cheaper model",
            SpendingLimit.code,
        )


def _over_day(day_usd: float, usd: float) -> SpendingLimit:
    return SpendingLimit.of(
        "llmUserDayUsd",
        f"the next ask may cost ${usd:.6g}, which is more than is left of a user's ${day_usd:.6g} a day "
        "(BACKFLEET_LLM_USER_DAY_USD); wait for midnight UTC, or ask whoever operates the gateway for more",
        SpendingLimit.code,
    )


def _run_id(backtest_id: str) -> str:
    return f"backtest:{backtest_id}"


def _places(reservation: Reservation) -> tuple[tuple[str, str], tuple[str, str]]:
    """In which documents a reservation is open, and under which name."""
    return (
        (_run_id(reservation.backtest_id), reservation.place),
        (reservation.day_id, reservation.reservation_id),
    )


def _nano(usd: float) -> int:
    return round(min(usd, _USD_MAX) * _NANO) if math.isfinite(usd) else round(_USD_MAX * _NANO)
