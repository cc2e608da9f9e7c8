"""What gateways ask of a backtest's record: store it, find it, list it, delete it.

Every change is a single conditional update that MongoDB documents as atomic. What a run does to its record is in
`shared/claims.py`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, cast

from pymongo import ASCENDING, DESCENDING
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure

from shared.batches import Batches
from shared.candles import Slice
from shared.contracts import CURSOR_PATTERN, Task
from shared.errors import Conflict, FieldError, InvalidRequest, NotFound, StoreUnavailable
from shared.lifecycle import Document, Status
from shared.mongo import Mongo, translate_mongo_errors
from shared.records import BacktestRecord, RequestKeyDocument, new_id, new_record
from shared.request import BacktestParams
from shared.result_warnings import WarningDocument
from shared.settings import Settings
from shared.shares import Shares
from shared.turns import Turns
from shared.wire import matches

ENDED_PAGE = 1_000
FORGOTTEN_BATCH = 100
# A request may be a megabyte, and one message to MongoDB at most 48: the driver cuts what is longer.
_INSERTS_MOST = 32
_DUPLICATE_KEY = 11_000
_INDEX_NOT_FOUND = 27
_REPLACED_INDEXES = ("queue", "ends")  # of 0.1.0, by `waiting` and `ended`
_WRITTEN_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Ended:
    """A backtest that has ended, and when, in ms since 1970. `result_id` is empty where it has none."""

    backtest_id: str
    user_id: str
    at_ms: int
    status: str
    result_id: str


class Reader(NamedTuple):
    """A backtest that has not ended, and what it reads: a version of the data, where that is settled, as such bars."""

    backtest_id: str
    manifest_id: str
    interval: str


class KeptBeside(Protocol):
    """What is kept of a backtest outside its record."""

    async def delete_of(self, backtest_id: str) -> None: ...


class Store:
    """The records. Every method raises `StoreUnavailable` when MongoDB does not answer."""

    def __init__(self, mongo: Mongo, kept_beside: Sequence[KeptBeside], settings: Settings) -> None:
        """`kept_beside` goes with a backtest that is deleted, in this order."""
        self._mongo = mongo
        self._kept_beside = tuple(kept_beside)
        self._backtests: AsyncCollection[Document] = mongo.collection("backtests")
        self._request_keys: AsyncCollection[Document] = mongo.collection("request_keys")
        self._shares = Shares(self._backtests, settings.pending_max)
        self.turns = Turns(mongo)
        self._inserts: Batches[BacktestRecord, None] = Batches(self._insert_all, most=_INSERTS_MOST)

    async def create_indexes(self) -> None:
        with translate_mongo_errors():
            # Claims take the first of it; the rest of each entry tells depth and age of the queue without its records.
            waiting = [("queueRank", ASCENDING), ("priority", ASCENDING), ("createdAt", ASCENDING)]
            await self._backtests.create_index(waiting, name="waiting")
            await self._backtests.create_index([("leaseExpiresAt", ASCENDING)], name="leases")
            await self._backtests.create_index([("outboxAt", ASCENDING)], name="outbox")
            await self._backtests.create_index([("userId", ASCENDING), ("createdAt", DESCENDING)], name="owner")
            await self._shares.create_index()
            await self._backtests.create_index([("completedAt", ASCENDING), ("status", ASCENDING)], name="ended")
            symbol = [("userId", ASCENDING), ("params.symbol", ASCENDING), ("createdAt", DESCENDING)]
            await self._backtests.create_index(symbol, name="symbol")
            only_failed = {"status": Status.FAILED.value}
            failures = [("completedAt", DESCENDING), ("userId", ASCENDING)]
            await self._backtests.create_index(failures, name="failures", partialFilterExpression=only_failed)
            # Only of those that are to be removed unless somebody starts them: all others cost it nothing.
            forgotten = {"expiresAt": {"$gt": 0}}
            await self._backtests.create_index(
                [("expiresAt", ASCENDING)], name="forgotten", partialFilterExpression=forgotten
            )
            for replaced in _REPLACED_INDEXES:
                await self._drop_index(replaced)

    async def _drop_index(self, name: str) -> None:
        try:
            await self._backtests.drop_index(name)
        except OperationFailure as error:
            if error.code != _INDEX_NOT_FOUND:
                raise

    async def close(self) -> None:
        await self.turns.close()

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01T00:00Z on MongoDB's clock."""
        return self._mongo.now_ms()

    async def insert(
        self,
        *,
        user_id: str,
        params: BacktestParams,
        priority: int,
        idempotency_key: str | None,
        asked: BacktestParams | None = None,
        bars: Slice | None = None,
        keep_s: float = 0.0,
        labels: Mapping[str, str] | None = None,
    ) -> tuple[BacktestRecord, bool]:
        """Stores a pending backtest: `(record, created)`. The same user and key give the same backtest (S6).

        `asked` is what a key stands for where `params` say more than was asked, such as what an agent does today.
        `bars` pins the market data it will read; without, the first worker pins the version of that moment. `keep_s` is
        how long one that is born paused is kept while nobody starts it; 0: for ever. `labels` are told as they are.
        Raises `InvalidRequest` when the key was used for another request and `TooMany` when the user's share is full.
        """
        now_ms = self._mongo.now_ms()
        fields: Document = {
            "user_id": user_id,
            "params": params.as_wire(),
            "priority": priority,
            "now_ms": now_ms,
            "expires_at": now_ms + int(keep_s * 1000) if keep_s else 0,
            "labels": labels,
        }
        if idempotency_key is None:
            await self._shares.take(user_id)
            record = _pinned(bars, backtest_id=new_id("bt"), **fields)
            await self._inserts.ask(record)
            return record, True
        return await self._insert_once(fields, idempotency_key, bars, (asked or params).as_wire())

    async def _insert_all(self, records: list[BacktestRecord]) -> list[Exception | None]:
        refused = await self._insert_many(records)
        return [
            StoreUnavailable(f"MongoDB refused (code {one['code']}): {one['errmsg']}") if one else None
            for one in map(refused.get, range(len(records)))
        ]

    async def _insert_many(self, records: Sequence[BacktestRecord]) -> dict[int, Document]:
        """Stores these in one round trip, each with its turn: by their place, what the server refused, and why."""
        refused: dict[int, Document] = {}
        self.turns.give(records)
        with translate_mongo_errors():
            try:
                await self._backtests.insert_many(cast("list[Document]", records), ordered=False)
            except BulkWriteError as error:
                if error.details["writeConcernErrors"]:
                    raise
                refused = {one["index"]: one for one in error.details["writeErrors"]}
        self.turns.given(record for at, record in enumerate(records) if at not in refused)
        return refused

    async def key_is_used(self, user_id: str, idempotency_key: str) -> bool:
        """Whether a backtest was submitted with this key, or was to be."""
        with translate_mongo_errors():
            return await self._request_keys.find_one({"_id": _key_id(user_id, idempotency_key)}) is not None

    async def _insert_once(
        self, fields: Document, idempotency_key: str, bars: Slice | None, asked: Document
    ) -> tuple[BacktestRecord, bool]:
        user_id = fields["user_id"]
        body = json.dumps([asked, fields["priority"]], sort_keys=True, separators=(",", ":"))
        body_hash = hashlib.sha256(body.encode()).hexdigest()
        key_id = _key_id(user_id, idempotency_key)
        key: RequestKeyDocument = {
            "_id": key_id,
            "backtestId": new_id("bt"),
            "bodyHash": body_hash,
            "createdAt": fields["now_ms"],
        }
        with translate_mongo_errors():
            found = await self._request_keys.find_one({"_id": key_id})
            if found is None:
                await self._shares.take(user_id)
                try:
                    await self._request_keys.insert_one(cast("Document", key))
                except DuplicateKeyError:
                    found = await self._request_keys.find_one({"_id": key_id})
            if found is not None:
                key = cast("RequestKeyDocument", found)
            if key["bodyHash"] != body_hash:
                raise InvalidRequest.of(
                    "Idempotency-Key", "was used for another request; choose a new key", "idempotency_key_reused"
                )
            # The key may outlive a gateway that died before the record was stored: then the record is stored now.
            record = _pinned(bars, backtest_id=key["backtestId"], request_key=key_id, **fields)
            self.turns.give([record])
            try:
                await self._backtests.insert_one(cast("Document", record))
            except DuplicateKeyError:
                return await self.get(key["backtestId"], user_id), False
        self.turns.given([record])
        return record, True

    async def adopt(
        self, tasks: Sequence[Task], warnings: Sequence[Sequence[WarningDocument]] = ()
    ) -> list[BacktestRecord | None]:
        """Stores the records of tasks that somebody published: of each None, or the record that had its id before.

        `warnings` are what each one's publisher should know. One insert for all, of which one that is refused does not
        hold up another.
        """
        records: list[BacktestRecord] = []
        for number, (task, warned) in enumerate(zip(tasks, warnings or [()] * len(tasks), strict=True), 1):
            records.append(
                new_record(
                    backtest_id=task.backtest_id,
                    user_id=task.user_id,
                    params=task.params.as_wire(),
                    priority=task.priority,
                    now_ms=self._mongo.now_ms(),
                    published=True,
                    warnings=warned,
                )
            )
            if number % _WRITTEN_AT_ONCE == 0:
                await asyncio.sleep(0)
        taken: set[int] = await self._insert_new(records) if records else set()
        if not taken:
            return [None] * len(tasks)
        ids = list({records[at]["_id"] for at in taken})
        with translate_mongo_errors():
            found = await self._backtests.find({"_id": {"$in": ids}}).to_list()
        standing = {one["_id"]: cast("BacktestRecord", one) for one in found}
        if len(standing) < len(ids):
            raise StoreUnavailable("a record was deleted while its id was published again; try again")
        return [standing[task.backtest_id] if at in taken else None for at, task in enumerate(tasks)]

    async def _insert_new(self, records: list[BacktestRecord]) -> set[int]:
        """Which of the records, by their place, were not stored because their id is taken."""
        refused = await self._insert_many(records)
        for one in refused.values():
            if one["code"] != _DUPLICATE_KEY:
                raise StoreUnavailable(f"MongoDB refused (code {one['code']}): {one['errmsg']}")
        return set(refused)

    async def get(self, backtest_id: str, user_id: str) -> BacktestRecord:
        """Raises `NotFound` also when the backtest is somebody else's, so that nobody learns that it exists."""
        with translate_mongo_errors():
            found = await self._backtests.find_one({"_id": backtest_id, "userId": user_id})
        if found is None:
            raise NotFound(
                f"no backtest {backtest_id}", [FieldError("backtestId", f"no backtest {backtest_id}", "not_found")]
            )
        return cast("BacktestRecord", found)

    async def list_page(
        self, user_id: str, *, status: str | None, limit: int, before: str | None, symbol: str | None = None
    ) -> tuple[list[BacktestRecord], str | None]:
        """One page, newest first, and the cursor of the next page. Raises `InvalidRequest` for a cursor not of ours."""
        query: Document = {"userId": user_id}
        if status is not None:
            query["status"] = status
        if symbol is not None:
            query["params.symbol"] = symbol
        if before is not None:
            instant, _, backtest_id = before.partition(".")
            if not matches(CURSOR_PATTERN, before):
                raise InvalidRequest.of("cursor", f"is not one that a list answered (got {before[:80]!r})")
            created_at = int(instant)
            query["$or"] = [
                {"createdAt": {"$lt": created_at}},
                {"createdAt": created_at, "_id": {"$lt": backtest_id}},
            ]
        with translate_mongo_errors():
            newest_first = [("createdAt", DESCENDING), ("_id", DESCENDING)]
            found = await self._backtests.find(query).sort(newest_first).limit(limit + 1).to_list()
        page = cast("list[BacktestRecord]", found[:limit])
        more = len(found) > limit
        return page, f"{page[-1]['createdAt']}.{page[-1]['_id']}" if more else None

    async def delete(self, backtest_id: str, user_id: str) -> BacktestRecord:
        """Removes the record with all that is kept beside it, and its key. A run that is under way finds its claim
        gone, and discards what it has.
        """
        with translate_mongo_errors():
            found = await self._backtests.find_one_and_delete({"_id": backtest_id, "userId": user_id})
            if found is None:
                await self.get(backtest_id, user_id)  # raises NotFound
                raise Conflict(f"backtest {backtest_id} changed while it was deleted; try again")
            if found["requestKey"]:
                await self._request_keys.delete_one({"_id": found["requestKey"]})
        for one in self._kept_beside:
            await one.delete_of(backtest_id)
        return cast("BacktestRecord", found)

    async def forgotten(self) -> list[str]:
        """Some of the backtests that are to be removed, because they were born paused and nobody has started them."""
        with translate_mongo_errors():
            found = self._backtests.find(self._expired(), {"_id": 1}).limit(FORGOTTEN_BATCH)
            return [one["_id"] async for one in found]

    async def remove_forgotten(self, backtest_id: str) -> BacktestRecord | None:
        """Removes one of these: its record as it was. None: somebody has started it meanwhile, or it is gone."""
        with translate_mongo_errors():
            found = await self._backtests.find_one_and_delete({"_id": backtest_id} | self._expired())
            # It has run no bar, so a key is all that there can be beside the record.
            if found is not None and found["requestKey"]:
                await self._request_keys.delete_one({"_id": found["requestKey"]})
        return cast("BacktestRecord | None", found)

    def _expired(self) -> Document:
        """Filter: born paused, never started, and its time is over."""
        return {
            "expiresAt": {"$gt": 0, "$lte": self._mongo.now_ms()},
            "status": Status.PAUSED.value,
            "epoch": 0,
        }

    async def terminal_among(self, backtest_ids: Sequence[str]) -> list[BacktestRecord]:
        """Those of the named backtests that have ended. Callers bound the number of ids."""
        with translate_mongo_errors():
            found = await self._backtests.find(
                {"_id": {"$in": list(backtest_ids)}, "completedAt": {"$gt": 0}}
            ).to_list()
        return cast("list[BacktestRecord]", found)

    async def ended_since(self, user_ids: Sequence[str], since_ms: int) -> list[Ended]:
        """Which backtests of these users ended at this time or later, oldest first.

        At most `ENDED_PAGE`, of which the last says from when on to ask again. Callers bound the number of users.
        """
        asked = {"completedAt": {"$gte": max(since_ms, 1)}, "userId": {"$in": list(user_ids)}}
        with translate_mongo_errors():
            fields = {"userId": 1, "completedAt": 1, "status": 1, "resultId": 1}
            found = self._backtests.find(asked, fields).sort("completedAt", ASCENDING)
            return [
                Ended(one["_id"], one["userId"], one["completedAt"], one["status"], one["resultId"])
                async for one in found.limit(ENDED_PAGE)
            ]

    async def readers_of(self, symbol: str) -> AsyncIterator[Reader]:
        """Which backtests, of all users, on data of this symbol have not ended."""
        fields = {"manifestId": 1, "params": 1}
        with translate_mongo_errors():
            async for one in self._backtests.find({"completedAt": 0, "params.symbol": symbol}, fields):
                yield Reader(one["_id"], one["manifestId"], one["params"]["interval"])

    async def pinned_among(self, manifest_ids: Sequence[str]) -> set[str]:
        """Which of these versions of market data are still referred to: by what has not ended, or has a result."""
        needed = [{"completedAt": 0}, {"resultId": {"$ne": ""}}]
        with translate_mongo_errors():
            found = self._backtests.find({"manifestId": {"$in": list(manifest_ids)}, "$or": needed}, {"manifestId": 1})
            return {one["manifestId"] async for one in found}


def _key_id(user_id: str, idempotency_key: str) -> str:
    return hashlib.sha256(f"{user_id}\x00{idempotency_key}".encode()).hexdigest()


def _pinned(bars: Slice | None, **fields: Any) -> BacktestRecord:
    """A pending record that will read these bars, or those that its first worker finds."""
    if bars is None:
        return new_record(**fields)
    return new_record(**fields, manifest_id=bars.manifest_id, dataset_hash=bars.dataset_hash)
