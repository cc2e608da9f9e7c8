"""A backtest's life: its statuses, what may follow what, and the filters and updates that hold a record to it.

Filters name the statuses that a target may follow, updates set all that a status implies: the table is spelled here and
nowhere else. Both are plain MongoDB documents, carried out together in one conditional update.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Document = dict[str, Any]


class Status(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"


# What may follow what. Nothing follows a terminal status. `running → pending` is a requeue.
TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.RUNNING, Status.PAUSED, Status.FAILED, Status.STOPPED}),
    Status.RUNNING: frozenset({Status.PENDING, Status.PAUSED, Status.COMPLETED, Status.FAILED, Status.STOPPED}),
    Status.PAUSED: frozenset({Status.PENDING, Status.RUNNING, Status.COMPLETED, Status.STOPPED, Status.FAILED}),
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset(),
    Status.STOPPED: frozenset(),
}
TERMINAL = frozenset(status for status, following in TRANSITIONS.items() if not following)
# In which a worker may hold a lease, so that only whoever has the claim may write. A paused run keeps its worker for a
# while; then `leaseExpiresAt` is 0, and nobody's claim fits any more.
_LEASED = frozenset({Status.RUNNING, Status.PAUSED})
# Served by one range of the index `queue`, in order: no backtest that has ended is ever looked at.
QUEUED: Document = {"queueRank": {"$gt": 0}, "status": Status.PENDING.value}
# Paused, and run by nobody: served by the other end of the same index.
SET_ASIDE: Document = {"queueRank": {"$lt": 0}}


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write one run: only whoever holds this `claim_id` changes the record."""

    backtest_id: str
    claim_id: str
    epoch: int


def held(lease: Lease, target: Status | None = None) -> Document:
    """Filter: the lease is still the record's, and `target` may follow where one is named."""
    allowed = sorted(one.value for one in _LEASED if target is None or target in TRANSITIONS[one])
    status = allowed[0] if len(allowed) == 1 else {"$in": allowed}
    return {"_id": lease.backtest_id, "status": status, "claimId": lease.claim_id, "epoch": lease.epoch}


def claimed(now_ms: int, claim_id: str, worker_id: str, lease_ms: int) -> Document:
    """Fields of a record that a worker takes: `→ running`."""
    return _entered(Status.RUNNING, now_ms) | {
        "claimId": claim_id,
        "workerId": worker_id,
        "leaseExpiresAt": now_ms + lease_ms,
        "startedAt": now_ms,
    }


def queued(now_ms: int, rank: int) -> Document:
    """Fields of a record that waits for a worker, at this place of the queue: `→ pending`."""
    return _entered(Status.PENDING, now_ms) | {"queueRank": rank, "claimId": "", "workerId": ""}


def paused(now_ms: int) -> Document:
    """Fields of a record that nobody runs until somebody asks for it: `→ paused`, without a lease."""
    return _entered(Status.PAUSED, now_ms) | {"queueRank": -1, "claimId": "", "workerId": ""}


def ended(status: Status, now_ms: int) -> Document:
    """Fields of a record that has come to its end: `→ status`, a terminal one."""
    assert status in TERMINAL, f"{status} is no end"
    return _entered(status, now_ms) | {"completedAt": now_ms}


def _entered(status: Status, now_ms: int) -> Document:
    """What every status begins with: out of the queue, without a lease."""
    return {"status": status.value, "queueRank": 0, "leaseExpiresAt": 0, "updatedAt": now_ms}
