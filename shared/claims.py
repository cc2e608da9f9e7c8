"""What workers do to a backtest's record: one method per atomic transition, each fenced by the claim it was made under.

Every transition is a single conditional update that MongoDB documents as atomic: it names the claim and the statuses it
may come from (`shared/lifecycle.py`), so whoever lost a race or a lease matches nothing and changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from pymongo import ASCENDING, ReturnDocument, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection

from shared import news
from shared.candles import Slice
from shared.contracts import Channel, Complete, Failure
from shared.lifecycle import QUEUED, Document, Lease, Status, claimed, ended, held, paused, queued
from shared.mongo import Mongo, translate_mongo_errors
from shared.positions import Stand, stays_paused
from shared.records import BacktestRecord, NewsDocument, queue_rank, turn_of
from shared.settings import Settings

CLAIM_SORT = [("queueRank", ASCENDING)]
REAP_BATCH = 50
OUTBOX_BATCH = 200
# A record that is to be given back is read first; so often it may change meanwhile, which somebody's commands do.
_GIVE_BACK_TRIES = 10


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ends: the terminal status, the news of it, and what else its record learns."""

    lease: Lease
    status: Status
    news: NewsDocument
    changes: Document


@dataclass(frozen=True, slots=True)
class Published:
    """News that is out, by its place among the news of its backtest."""

    backtest_id: str
    epoch: int
    seq: int

    @classmethod
    def of(cls, backtest_id: str, one: NewsDocument) -> Published:
        return cls(backtest_id, one["epoch"], one["seq"])


class Claims:
    """Every method raises `StoreUnavailable` when MongoDB does not answer."""

    def __init__(self, mongo: Mongo, settings: Settings) -> None:
        self._mongo = mongo
        self._lease_ms = int(settings.lease_ttl_s * 1000)
        self._failures_max = settings.failures_max
        self._backtests: AsyncCollection[Document] = mongo.collection("backtests")
        self._heartbeats: AsyncCollection[Document] = mongo.quick_collection("backtests")

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01T00:00Z on MongoDB's clock."""
        return self._mongo.now_ms()

    async def claim(self, worker_id: str, claim_id: str) -> BacktestRecord | None:
        """`pending → running`: takes the best pending backtest by priority and turn, or None when there is none.

        On `StoreUnavailable` the outcome is unknown: look with `find_claim` before claiming anew.
        """
        taken = claimed(self._mongo.now_ms(), claim_id, worker_id, self._lease_ms)
        with translate_mongo_errors():
            found = await self._backtests.find_one_and_update(
                QUEUED,
                {"$set": taken, "$inc": {"epoch": 1}},
                sort=CLAIM_SORT,
                return_document=ReturnDocument.AFTER,
            )
        return cast("BacktestRecord | None", found)

    async def find_claim(self, claim_id: str) -> BacktestRecord | None:
        """The running backtest that a claim took, if its update was carried out although its reply was lost."""
        with translate_mongo_errors():
            found = await self._backtests.find_one({"leaseExpiresAt": {"$gt": 0}, "claimId": claim_id})
        return cast("BacktestRecord | None", found)

    async def renew(self, lease: Lease, stand: Stand) -> BacktestRecord | None:
        """Prolongs a lease: the record as it is now, with what was asked of the run meanwhile. None: it is lost."""
        now_ms = self._mongo.now_ms()
        update = stand.as_update(now_ms)
        update["$set"]["leaseExpiresAt"] = now_ms + self._lease_ms
        return await self._write(self._heartbeats, held(lease), update)

    async def keep(self, lease: Lease, stand: Stand, status: Status) -> BacktestRecord | None:
        """Stores where a run stands, and whether it is `running` or `paused`: the record as it is now. None: the lease
        is lost."""
        update = stand.as_update(self._mongo.now_ms())
        update["$set"]["status"] = status.value
        return await self._write(self._backtests, held(lease), update)

    async def pause(self, lease: Lease, stand: Stand, heard_seq: int) -> bool:
        """`→ paused` without a lease, unless something was asked of the run after the command `heard_seq`."""
        update = stand.as_update(self._mongo.now_ms())
        update["$set"] |= paused(self._mongo.now_ms())
        unchanged = held(lease) | _controlled(heard_seq)
        return await self._write(self._backtests, unchanged, update) is not None

    async def _write(
        self, backtests: AsyncCollection[Document], ours: Document, update: Document
    ) -> BacktestRecord | None:
        with translate_mongo_errors():
            found = await backtests.find_one_and_update(ours, update, return_document=ReturnDocument.AFTER)
        return cast("BacktestRecord | None", found)

    async def pin(self, lease: Lease, bars: Slice) -> bool:
        """Fixes the market data of a run whose publisher did not: a later run of it reads the same bars."""
        pinned = {"manifestId": bars.manifest_id, "datasetHash": bars.dataset_hash}
        with translate_mongo_errors():
            outcome = await self._backtests.update_one(held(lease), {"$set": pinned})
        return outcome.matched_count == 1

    async def requeue(self, record: BacktestRecord, *, failed: bool, stand: Stand | None = None) -> bool:
        """Gives a run back: `→ pending`, keeping its place in the queue, or `→ paused` where it waits for somebody.

        `failed` counts against the poison budget (S7). `stand` is where the run stands now.
        """
        lease = lease_of(record)
        if stand is not None:
            await self._write(self._backtests, held(lease), stand.as_update(self._mongo.now_ms()))
        for _ in range(_GIVE_BACK_TRIES):
            with translate_mongo_errors():
                found = await self._backtests.find_one(held(lease))
                if found is None:
                    return False
                standing = cast("BacktestRecord", found)
                if await self._give_back(standing, held(lease), failed) is not None:
                    return True
        return False

    async def end(self, endings: Sequence[Ending]) -> list[bool]:
        """`running → completed | failed` with the news in the outbox, each by its own conditional update.

        One round trip for all. False: that claim is not ours any more, discard quietly.
        """
        updates = [
            UpdateOne(held(one.lease, one.status), {"$set": {**self._ending(one.status, one.news), **one.changes}})
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

    async def reap(self) -> list[tuple[str, Status]]:
        """Takes expired leases back: `running → pending`, or `→ failed` when the poison budget is spent.

        A paused run stays paused, unless what was asked of it lets it go on.

        Bounded to `REAP_BATCH` records a call. Each update names the very lease it judged, so a renewal that came in
        between wins. The failure takes an epoch of its own: a stalled worker can say nothing after it.
        """
        taken: list[tuple[str, Status]] = []
        expired = {"leaseExpiresAt": {"$gt": 0, "$lt": self._mongo.now_ms()}}
        with translate_mongo_errors():
            for document in await self._backtests.find(expired).limit(REAP_BATCH).to_list():
                record = cast("BacktestRecord", document)
                judged = held(lease_of(record)) | {"leaseExpiresAt": record["leaseExpiresAt"]}
                target = await self._take_back(record, judged)
                if target is not None:
                    taken.append((record["_id"], target))
        return taken

    async def _take_back(self, record: BacktestRecord, judged: Document) -> Status | None:
        """The end of what one lease too many was lost of, else given back. A paused run did nothing that could fail."""
        ran = record["status"] == Status.RUNNING.value
        if not ran or record["failures"] + 1 < self._failures_max:
            return await self._give_back(record, judged, failed=ran)
        outcome = await self._backtests.update_one(judged, self._poisoned_update(record))
        return Status.FAILED if outcome.matched_count == 1 else None

    async def _give_back(self, record: BacktestRecord, ours: Document, failed: bool) -> Status | None:
        """What became of a record that was just read: `pending`, or `paused`. None: it has changed since."""
        now_ms = self._mongo.now_ms()
        if record["status"] == Status.PAUSED.value and stays_paused(record):
            target, changes = Status.PAUSED, paused(now_ms)
        else:
            target, changes = Status.PENDING, queued(now_ms, queue_rank(record["priority"], turn_of(record)))
        update = {"$set": changes, "$inc": {"failures": 1 if failed else 0}}
        same = ours | {"status": record["status"]} | _controlled(record.get("controlSeq", 0))
        outcome = await self._backtests.update_one(same, update)
        return target if outcome.matched_count == 1 else None

    async def unpublished(self, older_than_ms: int) -> list[BacktestRecord]:
        """Records whose news may not have been published, because whoever should have done it died."""
        with translate_mongo_errors():
            due = {"outboxAt": {"$gt": 0, "$lt": self._mongo.now_ms() - older_than_ms}}
            found = await self._backtests.find(due).limit(OUTBOX_BATCH).to_list()
        return cast("list[BacktestRecord]", found)

    async def mark_published(self, published: Iterable[Published]) -> None:
        """This news is out. The outbox keeps its text, for clients that missed it.

        A record whose outbox holds something else by now is left alone: that is still to be published.
        """
        by_place: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
        for one in published:
            by_place[one.epoch, one.seq].append(one.backtest_id)
        with translate_mongo_errors():
            for (epoch, seq), ids in by_place.items():
                out = {"_id": {"$in": ids}, "outboxAt": {"$gt": 0}, "outbox.epoch": epoch, "outbox.seq": seq}
                await self._heartbeats.update_many(out, {"$set": {"outboxAt": 0}})

    def _ending(self, status: Status, one: NewsDocument) -> Document:
        now_ms = self._mongo.now_ms()
        return ended(status, now_ms) | {"outbox": [one], "outboxAt": now_ms, "checkpoint": {}}

    def _poisoned_update(self, record: BacktestRecord) -> Document:
        last = f"worker {record['workerId']} went silent"
        said = news.poisoned(record, news.fence(record), last=last, now_ms=self._mongo.now_ms())
        ending = self._ending(Status.FAILED, news.news_document(Channel.ERROR, said))
        return {"$set": {**ending, "error": _error_document(said), "claimId": ""}, "$inc": {"epoch": 1, "failures": 1}}


def _controlled(seq: int) -> Document:
    """Filter: nothing was asked of a run after this command. Records of 0.1.0 have no number."""
    return {"controlSeq": seq if seq else {"$in": [0, None]}}


def lease_of(record: BacktestRecord) -> Lease:
    return Lease(record["_id"], record["claimId"], record["epoch"])


def completed(record: BacktestRecord, said: Complete, *, dataset_hash: str) -> Ending:
    changes = _with_result(said, dataset_hash) | {"progress": 100.0}
    return Ending(lease_of(record), Status.COMPLETED, news.news_document(Channel.COMPLETE, said), changes)


def stopped(record: BacktestRecord, said: Complete, *, dataset_hash: str, progress: float) -> Ending:
    """Of a run that was stopped where it was, at `progress` percent: with what it came to until there."""
    changes = _with_result(said, dataset_hash) | {"progress": progress}
    return Ending(lease_of(record), Status.STOPPED, news.news_document(Channel.COMPLETE, said), changes)


def _with_result(said: Complete, dataset_hash: str) -> Document:
    """What a record learns of its result: to read on, and what to know before that."""
    warnings = [one.as_wire() for one in said.warnings or []]
    return {"resultId": said.result_id, "datasetHash": dataset_hash} | ({"warnings": warnings} if warnings else {})


def failed(record: BacktestRecord, said: Failure) -> Ending:
    changes: Document = {"error": _error_document(said)}
    if said.code == news.POISONED:
        changes["failures"] = record["failures"] + 1  # The last crash, of which the message speaks.
    return Ending(lease_of(record), Status.FAILED, news.news_document(Channel.ERROR, said), changes)


def given_up(record: BacktestRecord, said: Failure, result_id: str, *, dataset_hash: str) -> Ending:
    """Of a run that could not go on, by nobody's command: with what it came to until there."""
    changes: Document = {"error": _error_document(said), "resultId": result_id, "datasetHash": dataset_hash}
    return Ending(lease_of(record), Status.FAILED, news.news_document(Channel.ERROR, said), changes)


def _error_document(said: Failure) -> Document:
    return {"code": said.code or "failed", "message": said.error, "errors": said.errors or []}
