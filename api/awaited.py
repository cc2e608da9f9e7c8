"""The word of whoever runs a backtest: the news that answers a command, for the gateway that waits for it.

It comes the way all news comes, so nothing is said twice: an event that carries the command's id, or the end.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from api.pieces import Piece
from shared.lifecycle import Status
from shared.steering import Steered, bar_of, speed_of

WAIT_S = 2.0
# The events that say that a command has come to what it can come to, and in which status; a state names it itself. A
# stop is answered by the end.
_ANSWERS = {
    "backtest:paused": Status.PAUSED.value,
    "backtest:resumed": Status.RUNNING.value,
    "backtest:state": None,
}


class Word:
    """Waits for one answer."""

    def __init__(self, user_id: str, command_id: str) -> None:
        self._user_id = user_id
        self._command_id = command_id
        self._said: asyncio.Future[Piece] = asyncio.get_running_loop().create_future()

    def hear(self, piece: Piece) -> None:
        answers = piece.event in _ANSWERS and piece.command_id == self._command_id
        if piece.user_id == self._user_id and (piece.ends or answers) and not self._said.done():
            self._said.set_result(piece)

    async def wait(self) -> dict[str, Any] | None:
        """What was said; None for an end, which the record tells better, and where nothing came in `WAIT_S`."""
        await asyncio.wait([self._said], timeout=WAIT_S)
        if not self._said.done() or (piece := self._said.result()).ends:
            return None
        said: dict[str, Any] = json.loads(piece.text)
        return {"status": _ANSWERS[piece.event]} | said


class Awaited:
    """All answers that are waited for here, by backtest."""

    def __init__(self) -> None:
        self._words: dict[str, set[Word]] = {}

    def heard(self, piece: Piece) -> None:
        for word in self._words.get(piece.backtest_id, ()):
            word.hear(piece)

    @contextmanager
    def word_of(self, backtest_id: str, user_id: str, command_id: str) -> Generator[Word]:
        """Listens for the answer to a command as long as the block lasts: enter it before the command is given."""
        word = Word(user_id, command_id)
        words = self._words.setdefault(backtest_id, set())
        words.add(word)
        try:
            yield word
        finally:
            words.discard(word)
            if not words and self._words.get(backtest_id) is words:
                del self._words[backtest_id]


@dataclass(frozen=True, slots=True)
class Controlled:
    """A command and the state it led to: as its run said, or as far as the record knows."""

    steered: Steered
    said: dict[str, Any] | None = None

    @property
    def done(self) -> bool:
        return self.said is not None or self.steered.done

    @property
    def awaited(self) -> bool:
        """Whether it has yet to have its effect."""
        return not self.done and not self.steered.record["completedAt"]

    def as_wire(self) -> dict[str, Any]:
        record, said = self.steered.record, self.said or {}
        places = {
            "bar": _first(said.get("bar"), said.get("currentCandleIndex"), bar_of(record)),
            "totalBars": _first(said.get("totalBars"), said.get("totalCandles")),
        }
        return {
            "backtestId": record["_id"],
            "commandId": self.steered.command_id,
            "action": self.steered.action,
            "status": _first(said.get("status"), record["status"]),
            **{name: value for name, value in places.items() if value is not None},
            "progress": _first(said.get("progressPercent"), record["progress"]),
            "speed": _first(said.get("speed"), speed_of(record)),
            "done": self.done,
        }


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
