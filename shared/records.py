"""The MongoDB documents.

Every `...At` field of a document is an int64 of milliseconds since 1970-01-01T00:00Z, the form market data has too.
One number orders the queue: `queueRank` is positive exactly while a backtest is pending; the smallest is claimed first.
It is made of priority and turn. It is -1 while a backtest is paused and nobody runs it, else 0.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

from shared.lifecycle import Status
from shared.result_warnings import WarningDocument

PRIORITY_MAX = 9
_RANK_STEP = 10**13  # Turns stay below this; so do milliseconds until the year 2286, by which records of 0.1.0 wait.


def queue_rank(priority: int, turn: int) -> int:
    """Where a pending backtest stands: higher priority first, then the earlier turn (`shared/turns.py`), which is
    positive."""
    return (PRIORITY_MAX - priority) * _RANK_STEP + turn


def turn_of(record: BacktestRecord) -> int:
    """The turn of a record among those of its priority. It keeps it when it has to wait again."""
    return record.get("turn", record["createdAt"])


class NewsDocument(TypedDict):
    """News that must be published once the record says what it says: channel and JSON text."""

    channel: str
    epoch: int
    seq: int
    payload: str


class BacktestRecord(TypedDict):
    """One document of `backtests`. `controls` were asked for, by seq; `controlDone` is the last one done; `controlIds`
    tell the last commands, `["seq:action:id", …]`. `checkpoint` is where a run that was interrupted stood
    (`shared/positions.py`), empty where it begins at its first bar. Records of 0.1.0 have neither of the two.

    `published` says that it came as a task on the channel, `warnings` what its asker should know; once it has a result,
    they are the result's. Records of 0.1.0 have neither of these nor a `turn`.

    `expiresAt` is when it is removed unless somebody has let it go on by then, 0 where it is kept; `labels` are words
    of its asker that are told as they came (`timeframe`: "H1"). Records of 0.1.0 have neither.
    """

    _id: str
    userId: str
    status: str
    params: dict[str, Any]
    priority: int
    queueRank: int
    turn: NotRequired[int]
    createdAt: int
    updatedAt: int
    startedAt: int
    completedAt: int
    progress: float
    epoch: int
    claimId: str
    workerId: str
    leaseExpiresAt: int
    failures: int
    controls: list[dict[str, Any]]
    controlSeq: int
    controlDone: int
    controlIds: NotRequired[list[str]]
    checkpoint: NotRequired[dict[str, Any]]
    resultId: str
    manifestId: str
    datasetHash: str
    outbox: list[NewsDocument]
    outboxAt: int
    requestKey: str
    published: NotRequired[bool]
    warnings: NotRequired[list[WarningDocument]]
    expiresAt: NotRequired[int]
    labels: NotRequired[dict[str, str]]
    error: NotRequired[dict[str, Any]]


class RequestKeyDocument(TypedDict):
    """One document of `request_keys`: which backtest an idempotency key stands for. `_id` is a hash of user and key."""

    _id: str
    backtestId: str
    bodyHash: str
    createdAt: int


_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str) -> str:
    """A time-ordered id: 10 characters of milliseconds, 16 of randomness (80 bits), in Crockford's base 32."""
    value = (time.time_ns() // 1_000_000 << 80) | int.from_bytes(os.urandom(10), "big")
    letters: list[str] = []
    for _ in range(26):
        letters.append(_ALPHABET[value & 31])
        value >>= 5
    return f"{prefix}_{''.join(reversed(letters))}"


def new_record(
    *,
    backtest_id: str,
    user_id: str,
    params: dict[str, Any],
    priority: int,
    now_ms: int,
    request_key: str = "",
    manifest_id: str = "",
    dataset_hash: str = "",
    published: bool = False,
    warnings: Sequence[WarningDocument] = (),
    expires_at: int = 0,
    labels: Mapping[str, str] | None = None,
) -> BacktestRecord:
    """A pending record with every field present, so that no query has to tell a missing field from an empty one.

    Its turn is given to it when it is stored. Whoever asked for `startPaused` gets one that is paused instead.
    `manifest_id` pins the version of the market data: whenever and wherever the backtest runs, it reads these bars.
    """
    return {
        "_id": backtest_id,
        "userId": user_id,
        "status": (Status.PAUSED if params.get("startPaused") else Status.PENDING).value,
        "params": params,
        "priority": priority,
        "queueRank": -1 if params.get("startPaused") else queue_rank(priority, 1),
        "turn": 1,
        "createdAt": now_ms,
        "updatedAt": now_ms,
        "startedAt": 0,
        "completedAt": 0,
        "progress": 0.0,
        "epoch": 0,
        "claimId": "",
        "workerId": "",
        "leaseExpiresAt": 0,
        "failures": 0,
        "controls": [],
        "controlSeq": 0,
        "controlDone": 0,
        "controlIds": [],
        "checkpoint": {},
        "resultId": "",
        "manifestId": manifest_id,
        "datasetHash": dataset_hash,
        "outbox": [],
        "outboxAt": 0,
        "requestKey": request_key,
        "published": published,
        "warnings": list(warnings),
        "expiresAt": expires_at,
        "labels": dict(labels or {}),
    }
