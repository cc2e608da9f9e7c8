"""What workers that died left of results, and why it can be removed while others run, store and delete.

A result, and the large frames it will tell of, are written before the record refers to them. The result names the
claim C of backtest B that it was written under; before the first large frame is stored, a note in `frame_uploads` does.
C is over when B's record is gone, names another claim, or has ended without a result.

- Once over, C stays over. A claim's id is drawn anew for every claim, a record that is stored anew begins with none,
  and nothing follows a terminal status. The only update that makes a record refer to a result names the claim the
  result was written under, so it can match nothing any more, and nobody can ever read what C wrote.
- That C is over is not read too early. C was in the record, durably (majority), before anything was written under it.
  `Mongo.settled_reads` reads what no failover takes back, and nothing older than it read before: whoever sees a result
  or a note of C and then looks for the record sees it as it was when C had it, or later.
- A claim that is held is left alone, however long.
- A run whose claim is over may still be storing, until it hears of it. Storing a frame again deletes and writes it
  anew, but still under C's note. So a note stays for `LINGER_MS` on MongoDB's clock after its frames were removed, far
  longer than any lease, and they are removed once more with it.
- A note goes before that only when its record refers to the result: from then on the result tells of its frames.
- A result is removed after its frames. A removal that is cut short is found the next time.

Frames without result and note were stored by an older version, which tells no claim. They get a note when they are seen
so, and are removed after `LINGER_MS` if there is no result then: no run takes that long from its frames to its result.

The walks go through indexes, a bounded part at a time; where they have come to is stored, for all workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import NamedTuple

from pymongo import ASCENDING

from shared.mongo import Document, Mongo, SettledReads

LINGER_MS = 86_400_000
NOTES = "frame_uploads"


class Claim(NamedTuple):
    """Under which something was written."""

    backtest_id: str
    claim_id: str


class Removed(NamedTuple):
    """How many results were removed, and of how many others the frames."""

    results: int
    uploads: int


class Fate(Enum):
    HELD = "held"  # its run goes on
    KEPT = "kept"  # its run has ended with a result
    OVER = "over"  # it can end nothing any more


class Walk:
    """Goes round and round through one collection, by the values of one field."""

    def __init__(self, mongo: Mongo, collection: str, field: str) -> None:
        self._places = mongo.quick_collection("garbage_walks")
        self._collection = collection
        self._field = field

    async def look(self, settled: SettledReads, most: int, also: Iterable[str] = ()) -> tuple[list[Document], str]:
        """The next documents, at most `most`: `field` and `also` of them; and the place to go on from."""
        place = await self._places.find_one({"_id": self._collection})
        found = await settled.find(
            self._collection,
            {self._field: {"$gt": place["after"] if place else ""}},
            {"_id": 0, self._field: 1, **dict.fromkeys(also, 1)},
            sort=[(self._field, ASCENDING)],
            most=most,
        )
        if len(found) < most:
            return found, ""
        last = found[-1][self._field]
        # There may be more of the last value beyond the bound: they are seen together the next time.
        whole = [one for one in found if one[self._field] != last] or found
        return whole, whole[-1][self._field]

    async def go_on_from(self, after: str) -> None:
        await self._places.update_one({"_id": self._collection}, {"$set": {"after": after}}, upsert=True)


async def fates_of(settled: SettledReads, claims: Iterable[Claim]) -> dict[Claim, Fate]:
    """What has become of claims, each of which was seen in a document that `settled` read before."""
    asked = set(claims)
    if not asked:
        return {}
    records = await settled.find(
        "backtests",
        {"_id": {"$in": sorted({claim.backtest_id for claim in asked})}},
        {"claimId": 1, "completedAt": 1, "resultId": 1},
    )
    known = {record["_id"]: record for record in records}
    return {claim: _fate(claim, known.get(claim.backtest_id)) for claim in asked}


def _fate(claim: Claim, record: Mapping[str, object] | None) -> Fate:
    if record is None or record["claimId"] != claim.claim_id:
        return Fate.OVER
    if not record["completedAt"]:
        return Fate.HELD
    return Fate.KEPT if record["resultId"] else Fate.OVER


class UploadNotes:
    """The collection `frame_uploads`: results whose frames are stored while nothing tells of them.

    `overAt` is when they were first known to be garbage, or 0. Notes of an older version's frames have no claim.
    """

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._notes = mongo.collection(NOTES)
        self._walk = Walk(mongo, NOTES, "_id")
        self._chunk_walk = Walk(mongo, "frames.chunks", "files_id")

    async def add(self, result_id: str, claim: Claim) -> bool:
        """To be called before the first frame is stored. False: an earlier try did, and may have stored something."""
        note = {"backtestId": claim.backtest_id, "claimId": claim.claim_id, "overAt": 0}
        outcome = await self._notes.update_one({"_id": result_id}, {"$setOnInsert": note}, upsert=True)
        return outcome.matched_count == 0

    async def over(self, settled: SettledReads, most: int) -> list[str]:
        """Results whose frames are garbage. Each is to be handed to `removed` once they are gone."""
        notes, after = await self._walk.look(settled, most, also=("backtestId", "claimId", "overAt"))
        fresh = {one["_id"]: Claim(one["backtestId"], one["claimId"]) for one in notes if not one["overAt"]}
        fates = await fates_of(settled, fresh.values())
        over = [result_id for result_id, claim in fresh.items() if fates[claim] is Fate.OVER]
        done = [result_id for result_id, claim in fresh.items() if fates[claim] is Fate.KEPT]
        old = self._mongo.now_ms() - LINGER_MS
        lingered = [one for one in notes if 0 < one["overAt"] < old]
        told = await self._told(settled, [one["_id"] for one in lingered if not one["claimId"]])
        over += [one["_id"] for one in lingered if one["_id"] not in told]
        await self._drop([*done, *told])
        await self._walk.go_on_from(after)
        return over

    async def removed(self, result_ids: Iterable[str]) -> None:
        """Their frames are gone. A note that has been over for long goes too, others begin to wait."""
        now_ms = self._mongo.now_ms()
        for result_id in result_ids:
            waits = await self._notes.update_one({"_id": result_id, "overAt": 0}, {"$set": {"overAt": now_ms}})
            if not waits.matched_count:
                await self._notes.delete_one({"_id": result_id, "overAt": {"$lt": now_ms - LINGER_MS}})

    async def find_older(self, settled: SettledReads, most: int) -> None:
        """Adds notes of frames that neither a result nor a note tells of, looking at `most` chunks."""
        chunks, after = await self._chunk_walk.look(settled, most)
        result_ids = {one["files_id"].rpartition(".")[0] for one in chunks}
        silent = result_ids - await self._told(settled, result_ids)
        if silent:
            noted = await settled.find(NOTES, {"_id": {"$in": sorted(silent)}}, {"_id": 1})
            silent -= {one["_id"] for one in noted}
        for result_id in sorted(silent):
            note = {"backtestId": "", "claimId": "", "overAt": self._mongo.now_ms()}
            await self._notes.update_one({"_id": result_id}, {"$setOnInsert": note}, upsert=True)
        await self._chunk_walk.go_on_from(after)

    async def _told(self, settled: SettledReads, result_ids: Iterable[str]) -> set[str]:
        """Those of which there is a result."""
        wanted = sorted(result_ids)
        if not wanted:
            return set()
        return {one["_id"] for one in await settled.find("results", {"_id": {"$in": wanted}}, {"_id": 1})}

    async def _drop(self, result_ids: list[str]) -> None:
        if result_ids:
            await self._notes.delete_many({"_id": {"$in": result_ids}})
