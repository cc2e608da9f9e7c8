"""Where runs that go on stand, so that another worker can take them up: `checkpoint` in the record, and `decisions`.

A checkpoint says how to get there (`position`, which only the engine reads), what the run is about (`playback`) and
which parts hold what strategies decided. It is written in one update that is fenced by the run's claim.

Decisions only grow, so they are stored in parts of at most `PART_MAX_BYTES`, each once and never changed, under the
claim they were made under. A checkpoint names for each claim how many of its parts belong to it, in order: a part that
was stored while its checkpoint was not is nobody's. Whoever takes a run up goes on with parts of its own.

A part is garbage when its record is gone or has ended, or when its claim is over and the record's checkpoint does not
name it. Once so, it stays so: a claim that is over never comes back (`shared/result_garbage.py`), and a checkpoint
names only what one before it named, and what was stored under the claim that wrote it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from bson import Binary, Int64
from pydantic import Field
from pymongo import ASCENDING
from pymongo.errors import DuplicateKeyError

from shared.errors import InvalidRequest
from shared.mongo import Document, Mongo, translate_mongo_errors
from shared.owed import Owed
from shared.playback import Intent
from shared.records import BacktestRecord
from shared.result_garbage import Walk
from shared.wire import Wire, validate

PARTS = "decisions"
PART_MAX_BYTES = 8 * 1024 * 1024  # A document holds 16 MB, and something must be left for the rest.
# A run that was taken up more often than this stores all decisions anew, lest its record grow for ever.
_CLAIMS_MAX = 32


class Standing(Intent):
    """What a run is about, and to whom it owes an answer."""

    owed: list[Owed] = Field(default_factory=list[Owed])


class Parts(Wire):
    """So many parts, from the first on, were stored under a claim."""

    claim_id: str
    count: int = Field(ge=1)


class Checkpoint(Wire):
    """`checkpoint` of a record. Without a `position` the run begins at its first bar."""

    playback: Standing | None = None
    position: dict[str, Any] | None = None
    parts: list[Parts] = Field(default_factory=list[Parts])

    @classmethod
    def of(cls, record: BacktestRecord) -> Checkpoint:
        """Raises `InvalidRequest` for one that is damaged, or of a version that writes others."""
        return validate(cls, _plain(record.get("checkpoint", {})))


@dataclass(frozen=True, slots=True)
class Stand:
    """What a run writes of itself while it goes on: its progress, the last command it has heard (0: none that the
    record does not know of), and its checkpoint (None: as it was). This is written whole, whatever stood there."""

    progress: float
    control_done: int = 0
    checkpoint: Checkpoint | None = None

    def as_update(self, now_ms: int) -> Document:
        changes: Document = {"progress": self.progress, "updatedAt": now_ms}
        if self.checkpoint is not None:
            changes["checkpoint"] = self.checkpoint.as_wire()
        update: Document = {"$set": changes}
        if self.control_done:
            changes["controlDone"] = self.control_done
            update["$pull"] = {"controls": {"seq": {"$lte": self.control_done}}}
        return update


def _plain(value: Any) -> Any:
    """Without the driver's own kind of whole numbers."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in cast("dict[str, Any]", value).items()}
    return int(value) if isinstance(value, Int64) else value


def stays_paused(record: BacktestRecord) -> bool:
    """Whether a paused run waits for somebody to ask for more: nothing that it heard or is yet to hear moves it on."""
    try:
        playback = Checkpoint.of(record).playback
    except InvalidRequest:
        playback = None
    if playback is not None and playback.phase != "paused":
        return False
    done = record.get("controlDone", 0)
    return not any(_moves_on(one, done) for one in record.get("controls", []))


def _moves_on(control: Any, done: int) -> bool:
    """Whatever stands there: what cannot be read, no run obeys."""
    match control:
        case {"action": "resume" | "step" | "seek" | "stop", "seq": int(seq)}:
            return seq > done
        case _:
            return False


class Decided:
    """The decisions of one run on their way into parts. `named` are those that the checkpoint it was taken up at names.

    Every part is tried until it is stored, as it was at the first try: whether that came through is never known.
    """

    def __init__(self, positions: Positions, backtest_id: str, claim_id: str, named: Sequence[Parts] = ()) -> None:
        self._positions = positions
        self._backtest_id = backtest_id
        self._claim_id = claim_id
        self._named = list(named)
        self._stored = 0
        self._waiting: list[bytes] = []

    @property
    def any(self) -> bool:
        """Whether there is anything to remove when the run has ended."""
        return bool(self._named or self._stored or self._waiting)

    @property
    def scattered(self) -> bool:
        """Whether they lie under so many claims that `begin_anew` with all of them is due."""
        return len(self._named) >= _CLAIMS_MAX

    def begin_anew(self, data: bytes = b"") -> None:
        """Nothing of what was stored before this run counts any more; `data` does."""
        self._named = []
        self.add(data)

    def add(self, data: bytes) -> None:
        for begin in range(0, len(data), PART_MAX_BYTES):
            self._waiting.append(data[begin : begin + PART_MAX_BYTES])

    async def store(self) -> list[Parts]:
        """Stores what waits: `parts` of a checkpoint with all of it. Raises `StoreUnavailable`; try again then."""
        while self._waiting:
            await self._positions.add_part(self._backtest_id, self._claim_id, self._stored, self._waiting[0])
            self._waiting.pop(0)
            self._stored += 1
        own = [Parts(claim_id=self._claim_id, count=self._stored)] if self._stored else []
        return [*self._named, *own]


class Positions:
    """The collection `decisions`. Every method raises `StoreUnavailable` when MongoDB does not answer."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._parts = mongo.collection(PARTS)
        self._walk = Walk(mongo, PARTS, "backtestId")

    async def create_indexes(self) -> None:
        with translate_mongo_errors():
            # All that tells garbage is in it, so that whoever looks for some reads no parts, which are large.
            place = [("backtestId", ASCENDING), ("claimId", ASCENDING), ("n", ASCENDING)]
            await self._parts.create_index(place, name="place")

    async def add_part(self, backtest_id: str, claim_id: str, number: int, data: bytes) -> None:
        """Stores one part. Doing so again is harmless."""
        place = {"backtestId": backtest_id, "claimId": claim_id, "n": number}
        # An earlier try may have come through although its answer was lost.
        with translate_mongo_errors(), contextlib.suppress(DuplicateKeyError):
            await self._parts.insert_one({"_id": _part_id(place), **place, "data": Binary(data)})

    async def read(self, backtest_id: str, parts: Sequence[Parts]) -> bytes | None:
        """All decisions that these parts hold, in order. None where one of them is missing."""
        if not parts:
            return b""
        with translate_mongo_errors():
            found = await self._parts.find({"backtestId": backtest_id}).to_list()
        held = {(one["claimId"], one["n"]): bytes(one["data"]) for one in found}
        data = [held.get((one.claim_id, number)) for one in parts for number in range(one.count)]
        whole = [one for one in data if one is not None]
        return b"".join(whole) if len(whole) == len(data) else None

    async def delete_of(self, backtest_id: str) -> None:
        with translate_mongo_errors():
            await self._parts.delete_many({"backtestId": backtest_id})

    async def collect_garbage(self, most: int = 1_000) -> int:
        """Removes parts that no run can be taken up with: how many. Looks at about `most`, from where the last call
        stopped, whichever worker made it."""
        with translate_mongo_errors():
            async with self._mongo.settled_reads() as settled:
                parts, after = await self._walk.look(settled, most, also=("claimId", "n"))
                ids = sorted({one["backtestId"] for one in parts})
                fields = {"claimId": 1, "completedAt": 1, "checkpoint": 1}
                records = await settled.find("backtests", {"_id": {"$in": ids}}, fields) if ids else []
            by_id = {one["_id"]: one for one in records}
            stray = [_part_id(one) for one in parts if _is_stray(one, by_id.get(one["backtestId"]))]
            if stray:
                await self._parts.delete_many({"_id": {"$in": stray}})
            await self._walk.go_on_from(after)
        return len(stray)


def _part_id(place: Document) -> str:
    return f"{place['backtestId']}.{place['claimId']}.{place['n']}"


def _is_stray(part: Document, record: Document | None) -> bool:
    if record is None or record["completedAt"]:
        return True
    if part["claimId"] == record["claimId"]:
        return False
    try:
        named = Checkpoint.of(cast("BacktestRecord", record)).parts
    except InvalidRequest:
        return True  # Whoever takes it up begins at its first bar.
    return not any(one.claim_id == part["claimId"] and part["n"] < one.count for one in named)
