"""Steering: what somebody asks of a run goes into its record; the channel only rings.

A command is one conditional update, judged on the record as it was read: whoever changed it meanwhile makes it match
nothing, and it is judged anew. It names status, epoch, whether a lease is held, and how far the commands are, so that
of two gateways that ask at once one comes after the other, and a renewal beside cannot be undone.

| status | pause | resume | speed | step, seek | stop |
|---|---|---|---|---|---|
| pending | HOLD | refused, unless it waits to be paused | KEEP | KEEP | END, with a checkpoint KEEP |
| running | TELL, refused where a pause waits | TELL, refused where it plays | TELL | TELL | TELL |
| paused, held | refused, unless it is to go on | TELL | TELL | TELL | TELL |
| paused, by nobody | refused, unless it is to go on | QUEUE | KEEP | QUEUE | END, with a checkpoint QUEUE |
| ended | refused | refused | refused | refused | refused |

While a stop waits, everything else is refused. Only a checkpoint with a position is one: without, no bar was run.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Generator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection

from shared import news
from shared.bus import Bus
from shared.claims import Published
from shared.contracts import Channel, Task
from shared.controls import Action, Control, ControlRequest
from shared.database import Database
from shared.errors import BusUnavailable, Busy, Conflict, FieldError, InvalidRequest, StoreUnavailable, TooMany
from shared.instants import iso_from_ms, read_instant_ms, to_ms
from shared.lifecycle import TERMINAL, Document, Status, ended, paused, queued
from shared.mongo import translate_mongo_errors
from shared.records import BacktestRecord, new_id, queue_rank, turn_of
from shared.request import BacktestParams
from shared.wire import validate

log = logging.getLogger(__name__)

WAITING_MAX = 100
REMEMBERED_MAX = 50
_TRIES_MAX = 20
_TRY_AGAIN_S = 0.005


class Effect(StrEnum):
    """What a command does at once, beside going into the record."""

    HOLD = "out of the queue"
    QUEUE = "into the queue, at its old place"
    END = "ended: there is nothing to make a result of"
    KEEP = "whoever runs it next hears it"
    TELL = "whoever runs it hears it now"


class _Going(StrEnum):
    """Whether a backtest goes on, once all that was asked of it is done."""

    PLAYING = "playing"
    PAUSED = "paused"
    UNSURE = "unsure"  # After steps, or where too little is remembered: both may make sense.
    STOPPING = "stopping"


_DECIDES = {"pause": _Going.PAUSED, "resume": _Going.PLAYING, "step": _Going.UNSURE, "stop": _Going.STOPPING}
_MOVES_ON = ("resume", "step", "seek")


@dataclass(frozen=True, slots=True)
class Steered:
    """A command that was taken in, now or when it came first, and the record as it is since.

    `rung`: somebody who acts on it may have heard of it.
    """

    record: BacktestRecord
    seq: int
    action: Action
    command_id: str
    rung: bool

    @property
    def done(self) -> bool:
        return is_done(self.record, self.seq, self.action)


class Steering:
    """Takes commands in. Whoever asks is named: nobody steers what is somebody else's."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._store = database.store
        self._claims = database.claims
        self._backtests: AsyncCollection[Document] = database.mongo.collection("backtests")
        self._bus = bus

    async def request(
        self, backtest_id: str, user_id: str, asked: ControlRequest, command_id: str | None = None
    ) -> Steered:
        """Puts a command into the record of the user's backtest and sees to it that it is heard.

        A command whose id was taken in before is not done again. `command_id` is for one that brings no id.
        Raises `NotFound`, `Conflict` where it makes no sense as things stand, `InvalidRequest`, `TooMany` where too
        many wait, `Busy`, `StoreUnavailable`.
        """
        command_id = asked.command_id or command_id or new_id("cmd")
        for tried in range(_TRIES_MAX):
            record = await self._store.get(backtest_id, user_id)
            if (known := _known(record, command_id)) is not None:
                return await self._again(record, asked.action, command_id, known)
            effect = effect_of(record, asked.action)
            control = _control(record, asked, command_id)
            now_ms = self._store.now_ms()
            with translate_mongo_errors():
                found = await self._backtests.find_one_and_update(
                    _as_judged(record), _update(record, control, effect, now_ms), return_document=ReturnDocument.AFTER
                )
            if found is not None:
                after = cast("BacktestRecord", found)
                rung = await self._say(after, control, effect)
                return Steered(after, control.seq or 0, asked.action, command_id, rung)
            await asyncio.sleep(random.uniform(0, _TRY_AGAIN_S * (tried + 1)))
        raise Busy(f"backtest {backtest_id} is asked too much at once; try again")

    async def _again(self, record: BacktestRecord, action: Action, command_id: str, known: tuple[int, str]) -> Steered:
        """A command that is there already: rung for once more, because whoever sends it again may have lost the first
        to a Redis that was away."""
        seq, was = known
        if was != action:
            raise InvalidRequest.of(
                "commandId", f"was used for another command, {was}; choose a new id", "command_id_reused"
            )
        rung = False
        if not is_done(record, seq, action):
            rung = is_held(record)
            waiting = next((one for one in _waiting(record) if one["seq"] == seq), None)
            if rung and waiting is not None:
                rung = await self._publish(record, [(Channel.CONTROL, validate(Control, waiting).as_json())])
        return Steered(record, seq, action, command_id, rung)

    async def _say(self, record: BacktestRecord, control: Control, effect: Effect) -> bool:
        """Whether somebody who acts on it may have heard of it now."""
        match effect:
            case Effect.TELL:
                return await self._publish(record, [(Channel.CONTROL, control.as_json())])
            case Effect.QUEUE:
                return await self._publish(record, [(Channel.TASK, _bell(record))])
            case Effect.HOLD:
                data = {"progressPercent": record["progress"], "speed": speed_of(record)}
                data |= {"bar": bar_of(record) or 0, "commandId": control.command_id}
                said = news.held_back(record, data, self._store.now_ms())
                return await self._publish(record, [(Channel.EVENT, said.as_json())])
            case Effect.END:
                return await self._publish_end(record)
            case Effect.KEEP:
                return True

    async def _publish(self, record: BacktestRecord, messages: list[tuple[Channel, str]]) -> bool:
        try:
            await self._bus.say(messages)
        except BusUnavailable as error:
            # The record is the truth: a heartbeat or a sweep finds it without.
            log.warning("%s: a command is stored, but nobody was told: %s", record["_id"], error.message)
            return False
        return True

    async def _publish_end(self, record: BacktestRecord) -> bool:
        [end] = record["outbox"]
        try:
            await self._bus.publish_document(record["_id"], end)
        except BusUnavailable as error:
            # It stays in the outbox, out of which a worker publishes it.
            log.warning("%s is stopped, but nobody was told yet: %s", record["_id"], error.message)
            return False
        with contextlib.suppress(StoreUnavailable):  # Published twice is published once.
            await self._claims.mark_published([Published.of(record["_id"], end)])
        return True


def effect_of(record: BacktestRecord, action: Action) -> Effect:
    """What a command does to a record that stands so. Raises `Conflict` where it makes no sense."""
    status, going = Status(record["status"]), _going(record)
    if status in TERMINAL:
        raise _senseless(record, f"is {status}: it has ended and hears nothing any more", "ended")
    if going is _Going.STOPPING:
        raise _senseless(record, "is being stopped", "stopping")
    if action == "pause" and going is _Going.PAUSED and status is not Status.PENDING:
        raise _senseless(record, f"is {'' if status is Status.PAUSED else 'being '}paused already", "paused")
    if action == "resume" and going is _Going.PLAYING and status is not Status.PAUSED:
        raise _senseless(record, f"is {status} and not paused, there is nothing to resume", "not_paused")
    if is_held(record) or status is Status.RUNNING:
        return Effect.TELL
    if action == "stop" and bar_of(record) is None:
        return Effect.END
    if status is Status.PENDING:
        return Effect.HOLD if action == "pause" else Effect.KEEP
    return Effect.KEEP if action in ("pause", "speed") else Effect.QUEUE


def is_idle(record: BacktestRecord) -> bool:
    """Whether it was born paused and nobody has let it go on yet."""
    born_paused = record["status"] == Status.PAUSED and not record["epoch"] and record["params"].get("startPaused")
    return bool(born_paused) and not any(action in _MOVES_ON for _, action, _ in _remembered(record))


def is_held(record: BacktestRecord) -> bool:
    """Whether a worker holds its lease, which may have expired."""
    return record["leaseExpiresAt"] > 0


def is_done(record: BacktestRecord, seq: int, action: Action) -> bool:
    """Whether a command that was taken in has had its effect, as far as the record knows."""
    status = Status(record["status"])
    if action == "stop":
        return status is Status.STOPPED
    if seq <= record.get("controlDone", 0):
        return True
    if status in TERMINAL:
        return action != "pause"
    return not is_held(record) and (action == "speed" or (action == "pause" and status is Status.PAUSED))


def speed_of(record: BacktestRecord) -> float | str:
    """Bars a second, or "max", once all that was asked is done, as far as the record knows."""
    asked = [one.get("speed") for one in _waiting(record) if one.get("action") == "speed"]
    kept = _kept(record, "playback").get("speed")
    return next((one for one in (*reversed(asked), kept, record["params"].get("speed")) if one is not None), "max")


def bar_of(record: BacktestRecord) -> int | None:
    """Before which bar it was interrupted; None where the record does not know."""
    return _kept(record, "position").get("bar")


def _kept(record: BacktestRecord, part: str) -> dict[str, Any]:
    """A part of its checkpoint; empty where it has none."""
    return record.get("checkpoint", {}).get(part, {})


def _going(record: BacktestRecord) -> _Going:
    for control in reversed(_waiting(record)):
        if control.get("action") in _DECIDES:
            return _DECIDES[control["action"]]
    if record["status"] == Status.PAUSED:
        return _Going.PAUSED
    # A pause that was heard may be undone by a crash, and a step may have arrived: only a resume is sure.
    remembered = list(_remembered(record))
    decided = [action for _, action, _ in remembered if action in _DECIDES]
    if decided:
        return _Going.PLAYING if decided[-1] == "resume" else _Going.UNSURE
    sure = len(remembered) < REMEMBERED_MAX and not record["params"].get("startPaused")
    return _Going.PLAYING if sure else _Going.UNSURE


def _waiting(record: BacktestRecord) -> list[dict[str, Any]]:
    """What was asked and has not been reported as done, in order."""
    done = record.get("controlDone", 0)
    return [one for one in record.get("controls", []) if _seq(one) > done]


def _seq(control: object) -> int:
    """0 for what is no command: whoever stored it is of another version."""
    seq = cast("dict[str, object]", control).get("seq") if isinstance(control, dict) else None
    return seq if isinstance(seq, int) else 0


def _remembered(record: BacktestRecord) -> Generator[tuple[int, str, str]]:
    for text in record.get("controlIds", []):
        seq, action, command_id = text.split(":", 2)
        yield int(seq), action, command_id


def _known(record: BacktestRecord, command_id: str) -> tuple[int, str] | None:
    """Number and action of a command that was taken in under this id."""
    return next(((seq, action) for seq, action, one in _remembered(record) if one == command_id), None)


def _control(record: BacktestRecord, asked: ControlRequest, command_id: str) -> Control:
    if asked.time is not None:
        first, last = (read_instant_ms(name, record["params"][name]) for name in ("startDate", "endDate"))
        if not first <= to_ms(asked.time) <= last:
            between = f"{iso_from_ms(first)} and {iso_from_ms(last)}"
            raise InvalidRequest.of("time", f"must lie between {between}, which the backtest is about")
    waiting = len(_waiting(record))
    if waiting >= WAITING_MAX and asked.action != "stop":
        raise TooMany(f"{waiting} commands wait to be heard by this backtest, no more are taken; wait, or stop it")
    fields = asked.model_dump(include={"action", "speed", "bars", "bar", "time", "close_open_trades"})
    return Control(
        backtest_id=record["_id"],
        user_id=record["userId"],
        seq=record.get("controlSeq", 0) + 1,
        command_id=command_id,
        **fields,
    )


def _as_judged(record: BacktestRecord) -> Document:
    """Filter: nothing has changed of what the judgement was about."""
    counted = {name: record.get(name, {"$exists": False}) for name in ("controlSeq", "controlDone")}
    leased = {"$gt": 0} if is_held(record) else 0
    judged = {name: record[name] for name in ("_id", "userId", "status", "epoch")}
    return {**judged, "leaseExpiresAt": leased, **counted}


def _update(record: BacktestRecord, control: Control, effect: Effect, now_ms: int) -> Document:
    remembered = [*record.get("controlIds", []), f"{control.seq}:{control.action}:{control.command_id}"]
    changes: Document = {
        "updatedAt": now_ms,
        # Whole lists: there are servers that store documents given to `$push` as text.
        "controls": [*_waiting(record), control.as_wire()],
        "controlSeq": control.seq,
        "controlIds": remembered[-REMEMBERED_MAX:],
    }
    update: Document = {"$set": changes}
    if effect is Effect.HOLD:
        changes |= paused(now_ms)
    elif effect is Effect.QUEUE:
        changes["expiresAt"] = 0
        changes |= queued(now_ms, queue_rank(record["priority"], turn_of(record)))
    elif effect is Effect.END:
        said = news.stopped(record, now_ms)
        changes |= ended(Status.STOPPED, now_ms) | {"claimId": "", "workerId": "", "controls": [], "checkpoint": {}}
        changes["expiresAt"] = 0
        changes |= {"outbox": [news.news_document(Channel.ERROR, said)], "outboxAt": now_ms}
        changes["error"] = {"code": said.code, "message": said.error, "errors": []}
        update["$inc"] = {"epoch": 1}  # The end takes an epoch of its own: nothing can be said after it.
    return update


def _bell(record: BacktestRecord) -> str:
    params = validate(BacktestParams, record["params"])
    return Task(
        backtest_id=record["_id"],
        user_id=record["userId"],
        params=params,
        priority=record["priority"],
        recorded=True,
    ).as_json()


def _senseless(record: BacktestRecord, why: str, code: str) -> Conflict:
    return Conflict(f"backtest {record['_id']} {why}", [FieldError("action", f"the backtest {why}", code)])
