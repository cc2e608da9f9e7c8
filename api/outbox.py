"""What waits for one client: bounded, and of what is out of date when it is replaced, only the newest.

A client that reads slowly hears less often how a backtest stands, never something else: of each backtest one progress
and one state wait, and the equity points of a state that is replaced go on with the one that replaces it. Trades,
signals, candles and ends keep their order; lines of a log are left out where there are many, and counted.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from api.pieces import LOG, PROGRESS, STATE, Piece
from shared.instants import iso
from shared.results import plot_rows

WAITING_MAX = 512
WAITING_MAX_CHARS = 256 * 1_024
# Logs are left out from here on, so that what cannot be read up elsewhere has the rest.
LOGS_UP_TO = WAITING_MAX // 2
LOGS_UP_TO_CHARS = WAITING_MAX_CHARS // 2
SAY_SO_BELOW = 32
# All that waits, with what was asked for. A subscription adds what the event log keeps, once there is room.
QUEUE_MAX = 20_000
POINTS_MAX = 2_000


class _Waiting(NamedTuple):
    """`chars` counts against the limits; what a client asked for (`owed`) does not."""

    piece: Piece
    chars: int
    owed: bool


class Outbox:
    """Pieces in the order in which they are to be sent."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, _Waiting] = OrderedDict()
        self._slots: dict[tuple[str, str], int] = {}
        self._left_out: dict[tuple[str, str], int] = {}
        self._last = self._count = self._chars = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def overflows(self) -> bool:
        """Whether more waits than for a client that reads."""
        return self._count > WAITING_MAX or self._chars > WAITING_MAX_CHARS or len(self._waiting) > QUEUE_MAX

    def owe(self, pieces: Iterable[Piece]) -> None:
        """What the client asked for: it waits as it is, however much it is."""
        for piece in pieces:
            self._append(piece, owed=True)

    def put(self, piece: Piece, *, slow: bool) -> None:
        """What is said now. Who is not `slow` gets all of it: what waits then has only come in one go."""
        if slow and piece.event == LOG and (self._count >= LOGS_UP_TO or self._chars >= LOGS_UP_TO_CHARS):
            whose = piece.backtest_id, piece.user_id
            self._left_out[whose] = self._left_out.get(whose, 0) + _lines_in(piece)
        elif piece.snapshot:
            self._drop_states(piece.backtest_id)
            self._append(piece, owed=True)
        elif piece.event in (PROGRESS, STATE) and not piece.command_id:
            self._append_newest(piece, slow)
        else:
            if piece.event == STATE:
                self._slots.pop((piece.backtest_id, STATE), None)  # What comes after it must not be merged over it.
            self._append(piece)

    def take(self) -> Piece:
        """The next to send. Raises `KeyError` where nothing waits."""
        ticket = next(iter(self._waiting))
        piece = self._remove(ticket)
        if self._left_out and self._count <= SAY_SO_BELOW:
            for (backtest_id, user_id), lines in self._left_out.items():
                self._append(_left_out(backtest_id, user_id, lines))
            self._left_out.clear()
        return piece

    def clear(self) -> None:
        self._waiting.clear()
        self._slots.clear()
        self._left_out.clear()
        self._count = self._chars = 0

    def _append(self, piece: Piece, *, owed: bool = False) -> None:
        chars = 0 if owed else len(piece.text)
        self._last += 1
        self._waiting[self._last] = _Waiting(piece, chars, owed)
        self._count += not owed
        self._chars += chars

    def _remove(self, ticket: int) -> Piece:
        one = self._waiting.pop(ticket)
        self._count -= not one.owed
        self._chars -= one.chars
        slot = one.piece.backtest_id, one.piece.event
        if self._slots.get(slot) == ticket:
            del self._slots[slot]
        return one.piece

    def _append_newest(self, piece: Piece, slow: bool) -> None:
        """For who is slow, in place of the one that it is newer than."""
        slot = piece.backtest_id, piece.event
        ticket = self._slots.get(slot)
        if slow and ticket is not None:
            newest = piece if piece.event == PROGRESS else merged(self._waiting[ticket].piece, piece)
            if newest is not None:
                self._remove(ticket)
                piece = newest
        self._append(piece)
        self._slots[slot] = self._last

    def _drop_states(self, backtest_id: str) -> None:
        states = [
            ticket
            for ticket, one in self._waiting.items()
            if one.piece.backtest_id == backtest_id and one.piece.event == STATE
        ]
        for ticket in states:
            self._remove(ticket)


def merged(older: Piece, newer: Piece) -> Piece | None:
    """One state that says what both said. None where there is no such: the backtest went back between them, or began
    anew, or they are not as runs of ours say them."""
    before, after = json.loads(older.text), json.loads(newer.text)
    if before.get("epoch") != after.get("epoch"):
        return None
    at, to = before.get("currentCandleIndex"), after.get("currentCandleIndex")
    if not (isinstance(at, int) and isinstance(to, int) and at <= to):
        return None
    had, has = _metrics(before), _metrics(after)
    try:
        points, whole = _joined(had.get("equityCurve", []), has.get("equityCurve", []))
    except (TypeError, ValueError, IndexError):
        return None
    if had.get("equityCurve"):
        after["metrics"] = (
            has | {"equityCurve": points} | ({} if whole and not had.get("thinned") else {"thinned": True})
        )
        if "firstBar" in before:
            after["firstBar"] = before["firstBar"]
    return replace(newer, text=json.dumps(after, separators=(",", ":")), frames={})


def _joined(older: list[Any], newer: list[Any]) -> tuple[list[Any], bool]:
    """At most `POINTS_MAX` of `[timeMs, equity]`, each as it was said last: first, last, lowest and highest of
    stretches; and whether these are all."""
    earlier = len(older)
    while earlier and newer and older[earlier - 1][0] >= newer[0][0]:
        earlier -= 1
    points = [*older[:earlier], *newer]
    if len(points) <= POINTS_MAX:
        return points, True
    equity = np.array([np.nan if point[1] is None else point[1] for point in points], dtype=np.float64)
    return [points[row] for row in plot_rows(equity, POINTS_MAX).tolist()], False


def _metrics(state: dict[str, Any]) -> dict[str, Any]:
    found = state.get("metrics")
    return found if isinstance(found, dict) else {}


def _lines_in(piece: Piece) -> int:
    """How many lines of a log this is: those it has, and those that were left out before it."""
    said = json.loads(piece.text)
    entries, dropped = said.get("entries"), said.get("dropped")
    lines = len(entries) if isinstance(entries, list) else 1
    return lines + dropped if isinstance(dropped, int) else lines


def _left_out(backtest_id: str, user_id: str, lines: int) -> Piece:
    line = {
        "timestamp": iso(datetime.now(UTC)),
        "level": "WARNING",
        "message": f"{lines} lines are left out here: this socket reads too slowly; GET …/{backtest_id}/logs has them",
        "module": "api",
        "function": "",
        "line": 0,
        "loggerName": f"backtest.{backtest_id}",
    }
    said = {"backtestId": backtest_id, "userId": user_id, "entries": [line], "dropped": lines}
    return Piece(LOG, json.dumps(said, separators=(",", ":")), backtest_id, user_id, for_owner=False)
