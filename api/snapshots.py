"""What a subscriber is told first where no run says where it stands: what the record and the newest events know."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from api.listeners import NOWHERE
from api.pieces import PROGRESS, STATE, Piece
from shared.bus import Position
from shared.lifecycle import Status
from shared.records import BacktestRecord

_FROM_PROGRESS = {"currentTime": "currentDate", "currentCandleIndex": "processedBars", "totalCandles": "totalBars"}


def is_under_way(record: BacktestRecord) -> bool:
    """Whether a worker holds it: then it can be asked where it stands."""
    status = Status(record["status"])
    return status is Status.RUNNING or (status is Status.PAUSED and record["leaseExpiresAt"] > 0)


def snapshot_of(record: BacktestRecord, replayed: Sequence[Piece], missed: Sequence[Piece], known: Position) -> Piece:
    """`backtest:state` of a subscription, marked by `snapshot` and `partial`: it replaces nothing that the client has.

    `missed` is what it is told next, `known` the newest that it was told before.
    """
    state: dict[str, Any] = {}
    for piece in reversed(replayed):
        if piece.event == STATE:
            state = json.loads(piece.text)
            _without_past(state)
            break
    latest = next((json.loads(one.text) for one in reversed(replayed) if one.event == PROGRESS), {})
    position = _position_before(missed, known)
    done = record["status"] == Status.COMPLETED
    state |= {
        "backtestId": record["_id"],
        "userId": record["userId"],
        "snapshot": True,
        "partial": True,
        "status": record["status"],
        "progressPercent": 100.0 if done else max(latest.get("progress", 0.0), record["progress"]),
        "epoch": max(position[0], 0) if position != NOWHERE else record["epoch"],
        "seq": max(position[1], 0),
    }
    for name, source in _FROM_PROGRESS.items():
        if latest.get(source) is not None:
            state.setdefault(name, latest[source])
    if record["resultId"]:
        state["resultId"] = record["resultId"]
    return Piece(STATE, json.dumps(state, separators=(",", ":")), record["_id"], record["userId"], for_owner=False)


def _without_past(state: dict[str, Any]) -> None:
    """A state carries the points that are new since the state before it, which its reader may have or not; and it may
    have answered somebody's command."""
    for name in ("commandId", "trades", "tradesSkipped", "firstBar"):
        state.pop(name, None)
    if isinstance(state.get("metrics"), dict):
        for name in ("equityCurve", "thinned", "firstBar"):
            state["metrics"].pop(name, None)


def _position_before(missed: Sequence[Piece], known: Position) -> Position:
    """Where the client stands before it is told what it missed: a cursor that loses nothing if it breaks off now."""
    first = next((piece.position for piece in missed if piece.position is not None), None)
    if first is None:
        return known
    return (first[0], first[1] - 1) if first[1] > 0 else (max(first[0] - 1, 0), 0)
