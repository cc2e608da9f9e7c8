"""What waits for one client: bounded, and of what is out of date when it is replaced, only the newest.

A client that reads slowly hears less often how a backtest stands, never something else: of each backtest one progress
and one state wait, and the equity points of a state that is replaced go on with the one that replaces it. Trades,
signals, candles and ends keep their order; lines of a log are left out where there are many, and counted.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Sequence
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
# Of the states that one replaces, so many wait before they are merged.
OLDER_MAX = 64
OLDER_MAX_CHARS = 96 * 1_024


class _Waiting(NamedTuple):
    """`chars` counts against the limits; what a client asked for (`owed`) does not. `older` are the states that this
    one replaces: they are read when it is sent, not once for each that comes."""

    piece: Piece
    chars: int
    owed: bool
    older: tuple[Piece, ...] = ()


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
        one = self._remove(ticket)
        if self._left_out and self._count <= SAY_SO_BELOW:
            for (backtest_id, user_id), lines in self._left_out.items():
                self._append(_left_out(backtest_id, user_id, lines))
            self._left_out.clear()
        return merged([*one.older, one.piece])

    def clear(self) -> None:
        self._waiting.clear()
        self._slots.clear()
        self._left_out.clear()
        self._count = self._chars = 0

    def _append(self, piece: Piece, *, owed: bool = False, older: tuple[Piece, ...] = ()) -> None:
        chars = 0 if owed else len(piece.text) + sum(len(one.text) for one in older)
        self._last += 1
        self._waiting[self._last] = _Waiting(piece, chars, owed, older)
        self._count += not owed
        self._chars += chars

    def _remove(self, ticket: int) -> _Waiting:
        one = self._waiting.pop(ticket)
        self._count -= not one.owed
        self._chars -= one.chars
        slot = one.piece.backtest_id, one.piece.event
        if self._slots.get(slot) == ticket:
            del self._slots[slot]
        return one

    def _append_newest(self, piece: Piece, slow: bool) -> None:
        """For who is slow, in place of the one that it is newer than."""
        slot = piece.backtest_id, piece.event
        ticket = self._slots.get(slot)
        older: tuple[Piece, ...] = ()
        if slow and ticket is not None and piece.event == PROGRESS:
            self._remove(ticket)
        elif slow and ticket is not None and _goes_on(self._waiting[ticket].piece, piece):
            one = self._remove(ticket)
            older = (*one.older, one.piece)
            if len(older) > OLDER_MAX or one.chars > OLDER_MAX_CHARS:
                older = (merged(older),)
        self._append(piece, older=older)
        self._slots[slot] = self._last

    def _drop_states(self, backtest_id: str) -> None:
        states = [
            ticket
            for ticket, one in self._waiting.items()
            if one.piece.backtest_id == backtest_id and one.piece.event == STATE
        ]
        for ticket in states:
            self._remove(ticket)


def _goes_on(older: Piece, newer: Piece) -> bool:
    """Whether one state can say what both said: not where the backtest went back between them, or began anew."""
    if older.position is None or newer.position is None or older.bar is None or newer.bar is None:
        return False
    return older.position[0] == newer.position[0] and older.bar <= newer.bar


def merged(pieces: Sequence[Piece]) -> Piece:
    """The last of these states, with the points of all. Of those that no run says so only the last is left."""
    if len(pieces) == 1:
        return pieces[0]
    states = [json.loads(piece.text) for piece in pieces]
    newest = states[-1]
    try:
        curves = [(state["firstBar"], state["metrics"]["equityCurve"]) for state in states]
        points, whole = _joined([curve for _, curve in curves])
        first_bar = next((bar for bar, curve in curves if curve), newest["firstBar"])
        cut = not whole or any(state["metrics"].get("thinned") for state in states)
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, OverflowError):
        return pieces[-1]
    newest["metrics"] |= {"equityCurve": points} | ({"thinned": True} if cut else {})
    newest["firstBar"] = first_bar
    return replace(pieces[-1], text=json.dumps(newest, separators=(",", ":")), frames={})


def _joined(curves: Sequence[list[Any]]) -> tuple[list[Any], bool]:
    """At most `POINTS_MAX` of `[timeMs, equity]`, each as it was said last: first, last, lowest and highest of
    stretches; and whether these are all."""
    points: list[Any] = []
    for curve in curves:
        while points and curve and points[-1][0] >= curve[0][0]:
            points.pop()
        points += curve
    if len(points) <= POINTS_MAX:
        return points, True
    equity = np.array([np.nan if point[1] is None else point[1] for point in points], dtype=np.float64)
    return [points[row] for row in plot_rows(equity, POINTS_MAX).tolist()], False


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
