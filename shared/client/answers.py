"""What a gateway says, read: events of a run, and refusals as the errors they are. Knows no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from shared.choices import Choice
from shared.errors import (
    BackfleetError,
    Conflict,
    FieldError,
    Forbidden,
    InvalidRequest,
    NotFound,
    Refusal,
    TooLarge,
    TooMany,
    Unauthenticated,
)

_ENDS = ("backtest:complete", "backtest:error")
_REFUSALS: dict[int, type[BackfleetError]] = {
    400: InvalidRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    422: InvalidRequest,
    429: TooMany,
}


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One message of a backtest. `name` is its name on the wire (`backtest:progress`), `data` its payload."""

    name: str
    data: dict[str, Any]

    @property
    def ends(self) -> bool:
        return self.name in _ENDS


def read_errors(said: Mapping[str, Any]) -> list[FieldError]:
    """The `errors` of a refusal, by HTTP or over the socket."""
    errors = cast("list[dict[str, Any]]", said.get("errors") or [])
    return [
        FieldError(one["field"], one["message"], one.get("code", "invalid"), _choices_in(one.get("choices") or []))
        for one in errors
    ]


def _choices_in(choices: Sequence[Mapping[str, str]]) -> tuple[Choice, ...]:
    return tuple(Choice(one["value"], one["label"]) for one in choices)


def refusal_of(status: int, problem: Mapping[str, Any]) -> BackfleetError:
    """The error that a problem document stands for."""
    message = problem.get("detail") or problem.get("title") or f"status {status}"
    return _REFUSALS.get(status, Refusal)(message, read_errors(problem))
