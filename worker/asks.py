"""What a run asks of somebody outside of the engine, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from shared.errors import FieldError, Refusal
from shared.strategies.decision import Decision
from shared.strategies.question import Question


class GivenUp(Refusal):
    """A run cannot have an answer that it needs, or may not pay for it: it ends where it is, and keeps what it has."""

    def __init__(self, code: str, message: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(message, errors)
        self.code = code


@dataclass(frozen=True, slots=True)
class Made:
    """A decision that was made: what the engine is told, and what those are told who watch."""

    decision: Decision
    told: Mapping[str, Any]


class Asks(Protocol):
    """Of one run. A question that was asked once is the same question for ever."""

    @property
    def under_way(self) -> bool:
        """Whether somebody is being asked."""
        ...

    def knows(self, questions: Sequence[Question]) -> bool:
        """Whether all of them are asked already, be they answered or not."""
        ...

    def ask(self, questions: Sequence[Question]) -> asyncio.Future[dict[str, Made]]:
        """What they came to, by strategy. Whoever stops waiting for it does not stop it.

        Raises `GivenUp` and `StoreUnavailable`.
        """
        ...

    async def flush(self) -> None:
        """Stores what is not stored yet of what was decided, before the run ends. Raises `StoreUnavailable`."""
        ...
