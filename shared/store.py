"""One method per atomic transition of a backtest's record.

Every transition is a single conditional update that MongoDB documents as atomic: it names the status and the `claimId`
it expects, so whoever lost a race or a lease matches nothing and changes nothing. Instants are judged on MongoDB's
clock (`Store.now_ms`), never on this machine's.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

from pymongo import ASCENDING, DESCENDING, AsyncMongoClient, ReturnDocument, UpdateOne, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError

from shared.batches import Batches
from shared.candles import Slice
from shared.contracts import Channel, Failure, News, Task
from shared.errors import ConfigurationError, Conflict, FieldError, InvalidRequest, NotFound, StoreUnavailable, TooMany
from shared.fitness import Clock, prove_updates_are_atomic
from shared.instants import iso_from_ms
from shared.mongo_errors import translate_mongo_errors
from shared.records import (
    BacktestRecord,
    NewsDocument,
    RequestKeyDocument,
    Status,
    new_id,
    new_record,
    news_document,
    queue_rank,
)
from shared.request import BacktestParams
from shared.results import Results
from shared.settings import Settings

Document = dict[str, Any]
MAJORITY = WriteConcern(w="majority", wtimeout=10_000)
# Served by one range of the index `queue`, in order: no backtest that has ended is ever looked at.
CLAIM_QUERY: Document = {"queueRank": {"$gt": 0}, "status": Status.PENDING.value}
CLAIM_SORT = [("queueRank", ASCENDING)]
REAP_BATCH = 50
OUTBOX_BATCH = 200
# A count reads every pending record of the user on some servers: it is made when the estimate reaches the limit, and
# now and then, never once a request.
_RECOUNT_S = 1.0
_COUNT_TRUSTED_S = 30.0
_COUNTED_USERS_MAX = 1_000
# A request may be a megabyte, and one message to MongoDB at most 48: the driver cuts what is longer.
_INSERTS_MOST = 32


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write one run: only whoever holds this `claim_id` changes the record."""

    backtest_id: str
    claim_id: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ends: the terminal status, the news of it, and what else its record learns."""

    lease: Lease
    status: Status
    news: NewsDocument
    changes: Document


class Store:
    """The records. Build with `Store.open`; every method raises `StoreUnavailable` when MongoDB does not answer."""

    def __init__(self, client: AsyncMongoClient[Document], settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self._clock = Clock()
        self._pending_counts: dict[str, tuple[float, int]] = {}
        self.database: AsyncDatabase[Document] = client[settings.mongodb_database]
        durable = self.database.with_options(write_concern=MAJORITY)
        self._backtests: AsyncCollection[Document] = durable["backtests"]
        self._heartbeats: AsyncCollection[Document] = self.database.with_options(write_concern=WriteConcern(w=1))[
            "backtests"
        ]
        self._request_keys: AsyncCollection[Document] = durable["request_keys"]
        self._inserts: Batches[BacktestRecord, None] = Batches(self._insert_all, most=_INSERTS_MOST)
        self.results = Results(self.database)

    @classmethod
    async def open(cls, settings: Settings) -> Self:
        """Connects, reads the server's clock, creates the indexes and proves that updates are atomic.

        Raises `StoreUnavailable` when no server answers and `StoreUnfit` when its updates are not atomic.
        """
        timeout_ms = int(settings.store_timeout_s * 1000)
        try:
            client: AsyncMongoClient[Document] = AsyncMongoClient(
                settings.mongodb_uri.get_secret_value(),
                appname="backfleet",
                tz_aware=True,
                serverSelectionTimeoutMS=timeout_ms,
                connectTimeoutMS=timeout_ms,
                socketTimeoutMS=timeout_ms,
            )
        except (PyMongoError, ValueError) as error:
            # The driver's words may repeat a part of the URI, which may be a part of the password.
            raise ConfigurationError(
                f"BACKFLEET_MONGODB_URI cannot be used ({type(error).__name__}): it must read "
                "mongodb://user:password@host:port/, with user and password percent-encoded"
            ) from None
        store = cls(client, settings)
        try:
            await store.sync_clock()
            await store._create_indexes()
            await prove_updates_are_atomic(store.database)
        except BaseException:
            await client.close()
            raise
        return store

    async def close(self) -> None:
        await self._client.close()

    async def ping(self) -> None:
        with translate_mongo_errors():
            await self._client.admin.command("ping")

    async def sync_clock(self) -> None:
        """Reads the server's clock anew. Once a minute is enough: machines drift by microseconds in that time."""
        with translate_mongo_errors():
            sent_s = time.monotonic()
            hello = await self._client.admin.command("hello")
            self._clock.set(hello["localTime"], sent_s, time.monotonic())

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01T00:00Z on MongoDB's clock."""
        return self._clock.now_ms()

    async def _create_indexes(self) -> None:
        with translate_mongo_errors():
            await self._backtests.create_index([("queueRank", ASCENDING)], name="queue")
            await self._backtests.create_index([("leaseExpiresAt", ASCENDING)], name="leases")
            await self._backtests.create_index([("outboxAt", ASCENDING)], name="outbox")
            await self._backtests.create_index([("userId", ASCENDING), ("createdAt", DESCENDING)], name="owner")
            await self.results.create_indexes()

    # What clients ask for

    async def insert(
        self,
        *,
        user_id: str,
        params: BacktestParams,
        priority: int,
        idempotency_key: str | None,
        bars: Slice | None = None,
    ) -> tuple[BacktestRecord, bool]:
        """Stores a pending backtest: `(record, created)`. The same user and key give the same backtest (S6).

        `bars` pins the market data it will read; without, the first worker pins the version of that moment.
        Raises `InvalidRequest` when the key was used for another request and `TooMany` when the user's share is full.
        """
        wire = params.as_wire()
        if idempotency_key is None:
            await self._refuse_beyond_share(user_id)
            record = new_record(
                backtest_id=new_id("bt"),
                user_id=user_id,
                params=wire,
                priority=priority,
                now_ms=self.now_ms(),
                manifest_id=bars.manifest_id if bars else "",
                dataset_hash=bars.dataset_hash if bars else "",
            )
            await self._inserts.ask(record)
            return record, True
        return await self._insert_once(user_id, wire, priority, idempotency_key, bars)

    async def _insert_all(self, records: list[BacktestRecord]) -> list[Exception | None]:
        outcomes: list[Exception | None] = [None] * len(records)
        with translate_mongo_errors():
            try:
                await self._backtests.insert_many(cast("list[Document]", records), ordered=False)
            except BulkWriteError as error:
                if error.details["writeConcernErrors"]:
                    raise
                for one in error.details["writeErrors"]:
                    outcomes[one["index"]] = StoreUnavailable(f"MongoDB refused (code {one['code']}): {one['errmsg']}")
        return outcomes

    async def _insert_once(
        self, user_id: str, wire: Document, priority: int, idempotency_key: str, bars: Slice | None
    ) -> tuple[BacktestRecord, bool]:
        body = json.dumps([wire, priority], sort_keys=True, separators=(",", ":"))
        body_hash = hashlib.sha256(body.encode()).hexdigest()
        key_id = hashlib.sha256(f"{user_id}\x00{idempotency_key}".encode()).hexdigest()
        now_ms = self.now_ms()
        key: RequestKeyDocument = {
            "_id": key_id,
            "backtestId": new_id("bt"),
            "bodyHash": body_hash,
            "createdAt": now_ms,
        }
        with translate_mongo_errors():
            found = await self._request_keys.find_one({"_id": key_id})
            if found is None:
                await self._refuse_beyond_share(user_id)
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
            record = new_record(
                backtest_id=key["backtestId"],
                user_id=user_id,
                params=wire,
                priority=priority,
                now_ms=now_ms,
                request_key=key_id,
                manifest_id=bars.manifest_id if bars else "",
                dataset_hash=bars.dataset_hash if bars else "",
            )
            try:
                await self._backtests.insert_one(cast("Document", record))
            except DuplicateKeyError:
                return await self.get(key["backtestId"], user_id), False
        return record, True

    async def _refuse_beyond_share(self, user_id: str) -> None:
        """Bounds a user's pending backtests. Approximate: what has run since the last count is not known."""
        limit = self._settings.pending_max
        counted_s, count = self._pending_counts.get(user_id, (-_COUNT_TRUSTED_S, 0))
        if time.monotonic() - counted_s > (_RECOUNT_S if count >= limit else _COUNT_TRUSTED_S):
            with translate_mongo_errors():
                count = await self._backtests.count_documents({"queueRank": {"$gt": 0}, "userId": user_id})
            counted_s = time.monotonic()
            if len(self._pending_counts) >= _COUNTED_USERS_MAX:
                self._pending_counts.clear()
        if count >= limit:
            raise TooMany(f"{count} backtests are pending, the most allowed is {limit}; wait until some have run")
        self._pending_counts[user_id] = (counted_s, count + 1)

    async def adopt(self, task: Task) -> bool:
        """Stores the record of a task that somebody else published; False when it exists already.

        Raises `Conflict` when the id belongs to another user.
        """
        record = new_record(
            backtest_id=task.backtest_id,
            user_id=task.user_id,
            params=task.params.as_wire(),
            priority=task.priority,
            now_ms=self.now_ms(),
        )
        with translate_mongo_errors():
            try:
                await self._backtests.insert_one(cast("Document", record))
            except DuplicateKeyError:
                found = await self._backtests.find_one({"_id": task.backtest_id}, {"userId": 1})
                if found is not None and found["userId"] != task.user_id:
                    raise Conflict(
                        f"backtestId {task.backtest_id} belongs to another user; choose another id"
                    ) from None
                return False
        return True

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
        self, user_id: str, *, status: str | None, limit: int, before: str | None
    ) -> tuple[list[BacktestRecord], str | None]:
        """One page, newest first, and the cursor of the next page. Raises `InvalidRequest` for a cursor not of ours."""
        query: Document = {"userId": user_id}
        if status is not None:
            query["status"] = status
        if before is not None:
            instant, _, backtest_id = before.partition(".")
            if not (instant.isascii() and instant.isdigit() and len(instant) <= 15 and backtest_id):
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
        """Removes record, result and key. A run that is under way finds its claim gone and discards what it has."""
        with translate_mongo_errors():
            found = await self._backtests.find_one_and_delete({"_id": backtest_id, "userId": user_id})
            if found is None:
                await self.get(backtest_id, user_id)  # raises NotFound
                raise Conflict(f"backtest {backtest_id} changed while it was deleted; try again")
            if found["requestKey"]:
                await self._request_keys.delete_one({"_id": found["requestKey"]})
        await self.results.delete_of(backtest_id)
        return cast("BacktestRecord", found)

    async def terminal_among(self, backtest_ids: Sequence[str]) -> list[BacktestRecord]:
        """Those of the named backtests that have ended. Callers bound the number of ids."""
        with translate_mongo_errors():
            found = await self._backtests.find(
                {"_id": {"$in": list(backtest_ids)}, "completedAt": {"$gt": 0}}
            ).to_list()
        return cast("list[BacktestRecord]", found)

    async def pinned_among(self, manifest_ids: Sequence[str]) -> set[str]:
        """Which of these versions of market data are still referred to: by what has not ended, or has a result."""
        needed = [{"completedAt": 0}, {"resultId": {"$ne": ""}}]
        with translate_mongo_errors():
            found = self._backtests.find({"manifestId": {"$in": list(manifest_ids)}, "$or": needed}, {"manifestId": 1})
            return {one["manifestId"] async for one in found}

    # What workers do

    async def claim(self, worker_id: str, claim_id: str) -> BacktestRecord | None:
        """`pending → running`: takes the best pending backtest by priority and age, or None when there is none.

        On `StoreUnavailable` the outcome is unknown: look with `find_claim` before claiming anew.
        """
        now_ms = self.now_ms()
        with translate_mongo_errors():
            found = await self._backtests.find_one_and_update(
                CLAIM_QUERY,
                {
                    "$set": {
                        "status": Status.RUNNING.value,
                        "queueRank": 0,
                        "claimId": claim_id,
                        "workerId": worker_id,
                        "leaseExpiresAt": now_ms + int(self._settings.lease_ttl_s * 1000),
                        "startedAt": now_ms,
                        "updatedAt": now_ms,
                    },
                    "$inc": {"epoch": 1},
                },
                sort=CLAIM_SORT,
                return_document=ReturnDocument.AFTER,
            )
        return cast("BacktestRecord | None", found)

    async def find_claim(self, claim_id: str) -> BacktestRecord | None:
        """The running backtest that a claim took, if its update was carried out although its reply was lost."""
        with translate_mongo_errors():
            found = await self._backtests.find_one({"leaseExpiresAt": {"$gt": 0}, "claimId": claim_id})
        return cast("BacktestRecord | None", found)

    async def renew(self, lease: Lease, progress: float) -> str | None:
        """Prolongs a lease: the control that was requested meanwhile ("" for none), or None when the lease is lost."""
        now_ms = self.now_ms()
        with translate_mongo_errors():
            found = await self._heartbeats.find_one_and_update(
                self._held(lease),
                {
                    "$set": {
                        "leaseExpiresAt": now_ms + int(self._settings.lease_ttl_s * 1000),
                        "updatedAt": now_ms,
                        "progress": progress,
                    }
                },
                return_document=ReturnDocument.AFTER,
            )
        return None if found is None else str(found["controlRequested"])

    async def pin(self, lease: Lease, bars: Slice) -> bool:
        """Fixes the market data of a run whose publisher did not: a later run of it reads the same bars."""
        pinned = {"manifestId": bars.manifest_id, "datasetHash": bars.dataset_hash}
        with translate_mongo_errors():
            outcome = await self._backtests.update_one(self._held(lease), {"$set": pinned})
        return outcome.matched_count == 1

    async def requeue(self, record: BacktestRecord, *, failed: bool) -> bool:
        """`running → pending`, keeping its place in the queue. `failed` counts against the poison budget (S7)."""
        with translate_mongo_errors():
            outcome = await self._backtests.update_one(
                self._held(lease_of(record)), self._requeue_update(record, failed)
            )
        return outcome.matched_count == 1

    async def end(self, endings: Sequence[Ending]) -> list[bool]:
        """`running → completed | failed` with the news in the outbox, each by its own conditional update.

        One round trip for all. False: that claim is not ours any more, discard quietly.
        """
        updates = [
            UpdateOne(self._held(one.lease), {"$set": {**self._ending(one.status, one.news), **one.changes}})
            for one in endings
        ]
        with translate_mongo_errors():
            outcome = await self._backtests.bulk_write(updates, ordered=False)
            if outcome.matched_count == len(endings):
                return [True] * len(endings)
            # Some matched nothing: the claim was lost, or an earlier try of ours was carried out although its reply was
            # lost. Re-read, never guess.
            ids = [one.lease.backtest_id for one in endings]
            found = await self._backtests.find({"_id": {"$in": ids}}, {"status": 1, "claimId": 1}).to_list()
        standing = {one["_id"]: (one["claimId"], one["status"]) for one in found}
        return [standing.get(one.lease.backtest_id) == (one.lease.claim_id, one.status.value) for one in endings]

    def _ending(self, status: Status, news: NewsDocument) -> Document:
        now_ms = self.now_ms()
        return {
            "status": status.value,
            "queueRank": 0,
            "leaseExpiresAt": 0,
            "completedAt": now_ms,
            "updatedAt": now_ms,
            "outbox": [news],
            "outboxAt": now_ms,
        }

    async def reap(self) -> list[tuple[str, Status]]:
        """Takes expired leases back: `running → pending`, or `→ failed` when the poison budget is spent.

        Bounded to `REAP_BATCH` records a call. Each update names the very lease it judged, so a renewal that came in
        between wins. The failure takes an epoch of its own: a stalled worker can say nothing after it.
        """
        taken: list[tuple[str, Status]] = []
        with translate_mongo_errors():
            expired = await (
                self._backtests.find({"leaseExpiresAt": {"$gt": 0, "$lt": self.now_ms()}}).limit(REAP_BATCH).to_list()
            )
            for document in expired:
                record = cast("BacktestRecord", document)
                judged = self._held(lease_of(record)) | {"leaseExpiresAt": record["leaseExpiresAt"]}
                spent = record["failures"] + 1 >= self._settings.failures_max
                update = self._poisoned_update(record) if spent else self._requeue_update(record, failed=True)
                outcome = await self._backtests.update_one(judged, update)
                if outcome.matched_count == 1:
                    taken.append((record["_id"], Status.FAILED if spent else Status.PENDING))
        return taken

    def _poisoned_update(self, record: BacktestRecord) -> Document:
        last = f"worker {record['workerId']} went silent"
        news = self.poison_news(record, epoch=record["epoch"] + 1, seq=1, last=last)
        ending = self._ending(Status.FAILED, news_document(Channel.ERROR, news))
        return {"$set": {**ending, "error": _error_document(news), "claimId": ""}, "$inc": {"epoch": 1, "failures": 1}}

    def poison_news(self, record: BacktestRecord, *, epoch: int, seq: int, last: str) -> Failure:
        """The end of a backtest whose runs crashed as often as the poison budget allows."""
        return Failure(
            backtest_id=record["_id"],
            user_id=record["userId"],
            epoch=epoch,
            seq=seq,
            code="poisoned",
            error=f"The run crashed {record['failures'] + 1} times and will not be tried again; the last time: {last}",
            timestamp=iso_from_ms(self.now_ms()),
        )

    def _requeue_update(self, record: BacktestRecord, failed: bool) -> Document:
        return {
            "$set": {
                "status": Status.PENDING.value,
                "queueRank": queue_rank(record["priority"], record["createdAt"]),
                "claimId": "",
                "workerId": "",
                "leaseExpiresAt": 0,
                "updatedAt": self.now_ms(),
            },
            "$inc": {"failures": 1 if failed else 0},
        }

    async def unpublished(self, older_than_ms: int) -> list[BacktestRecord]:
        """Records whose news may not have been published, because whoever should have done it died."""
        with translate_mongo_errors():
            due = {"outboxAt": {"$gt": 0, "$lt": self.now_ms() - older_than_ms}}
            found = await self._backtests.find(due).limit(OUTBOX_BATCH).to_list()
        return cast("list[BacktestRecord]", found)

    async def mark_published(self, backtest_ids: Sequence[str]) -> None:
        """The news of these ended backtests is out. The outbox keeps its text, for clients that missed it."""
        with translate_mongo_errors():
            await self._heartbeats.update_many(
                {"_id": {"$in": list(backtest_ids)}, "outboxAt": {"$gt": 0}}, {"$set": {"outboxAt": 0}}
            )

    @staticmethod
    def _held(lease: Lease) -> Document:
        return {
            "_id": lease.backtest_id,
            "status": Status.RUNNING.value,
            "claimId": lease.claim_id,
            "epoch": lease.epoch,
        }


def lease_of(record: BacktestRecord) -> Lease:
    return Lease(record["_id"], record["claimId"], record["epoch"])


def completed(record: BacktestRecord, news: News, *, result_id: str, dataset_hash: str) -> Ending:
    changes = {"resultId": result_id, "datasetHash": dataset_hash, "progress": 100.0}
    return Ending(lease_of(record), Status.COMPLETED, news_document(Channel.COMPLETE, news), changes)


def failed(record: BacktestRecord, news: Failure) -> Ending:
    changes = {"error": _error_document(news)}
    return Ending(lease_of(record), Status.FAILED, news_document(Channel.ERROR, news), changes)


def _error_document(news: Failure) -> Document:
    return {"code": news.code or "failed", "message": news.error, "errors": news.errors or []}
