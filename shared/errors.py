"""Every error backfleet raises on purpose, in one tree.

A `Refusal` is the caller's to mend: it names the field, the value and the remedy, and edges answer it with 4xx.
`Unavailable` and its kin are ours: edges answer 503 and the caller may try again. Driver errors never leave the
module that talks to the driver; they are translated into this tree there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from shared.choices import CHOOSE, Choice, answers_in, as_fields, as_options, marked
from shared.misread import Place

# Nobody reads more, and an answer must fit on every wire and into a record.
ERRORS_MAX = 100


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field. `field` is a dotted path as the caller wrote it (`strategyParams.sma.fast`).

    `choices` are what may stand there instead, where that is a question with few answers, or some of them. `place` is
    for who edits the text that the field holds.
    """

    field: str
    message: str
    code: str = "invalid"
    choices: tuple[Choice, ...] = ()
    place: Place | None = None

    def as_wire(self) -> dict[str, Any]:
        wire: dict[str, Any] = {"field": self.field, "message": self.message, "code": self.code}
        return wire | ({"choices": [one._asdict() for one in self.choices]} if self.choices else {})

    def reworded(self, words: Callable[[str], str]) -> FieldError:
        return replace(self, field=words(self.field), message=words(self.message))


def summary(errors: Sequence[FieldError]) -> str:
    """What is wrong, with the paths, in one line; of many errors the first five."""
    return "; ".join(f"{one.field}: {one.message}" for one in errors[:5])


class BackfleetError(Exception):
    """Root of the tree. `code` is a stable machine-readable name; the message is for people.

    Of `errors` the first `ERRORS_MAX` are kept.
    """

    code = "internal"

    def __init__(self, message: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.errors: tuple[FieldError, ...] = tuple(errors[:ERRORS_MAX])

    def reword(self, words: Callable[[str], str]) -> None:
        """Says the same in other words."""
        self.message = words(self.message)
        self.errors = tuple(one.reworded(words) for one in self.errors)


class Refusal(BackfleetError):
    """What was asked cannot be done as asked; nothing was changed."""

    code = "refused"


class InvalidRequest(Refusal):
    """A field is missing, malformed or out of range. Always carries `errors`."""

    code = "invalid_request"

    @classmethod
    def of(cls, field: str, message: str, code: str = "invalid") -> Self:
        return cls(f"{field}: {message}", [FieldError(field, message, code)])


class MalformedMessage(InvalidRequest):
    """A message whose text cannot be read at all (not JSON, not an object)."""

    code = "malformed_message"


class UnknownMarketData(InvalidRequest):
    """No bars for the symbol, interval or range that was named."""

    code = "unknown_market_data"


class NotFound(Refusal):
    """No such thing, or not the caller's: the two are told apart by nobody."""

    code = "not_found"


class Conflict(Refusal):
    """It exists already, or its state does not allow this."""

    code = "conflict"


class TooLarge(Refusal):
    code = "too_large"


class TooMany(Refusal):
    """A bounded queue or a caller's share is full; later it will do, in `retry_after_s` where that is known."""

    code = "too_many"
    retry_after_s: float | None = None

    @classmethod
    def after(cls, message: str, retry_after_s: float) -> Self:
        error = cls(message)
        error.retry_after_s = retry_after_s
        return error


class Unauthenticated(Refusal):
    code = "unauthenticated"


class Forbidden(Refusal):
    """Who asks is known, and may not do this."""

    code = "forbidden"


class ConfigurationError(Refusal):
    """A setting is missing, unsafe or contradictory: the process refuses to start."""

    code = "configuration"


class ImportRefused(Refusal):
    """A market data file that cannot be read without guessing. Names file, line, value and remedy.

    Its text names what a person can decide by marks (`shared/choices.py`). It is for who types commands, unless an edge
    asks for another wording. Without `errors` it has one for each thing that the text asks, with the answers there are.
    """

    code = "import_refused"

    def __init__(self, text: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(text, errors or _asked_by(text))
        self.marked = text
        self._marked_errors: tuple[FieldError, ...] = self.errors
        self._put(as_options)

    def for_form(self) -> Self:
        """The same for who sends a form."""
        same = type(self)(self.marked, self._marked_errors)
        same._put(as_fields)
        return same

    def reword(self, words: Callable[[str], str]) -> None:
        super().reword(words)
        self.marked = words(self.marked)
        self._marked_errors = tuple(one.reworded(words) for one in self._marked_errors)

    def _put(self, words: Callable[[str], str]) -> None:
        self.message = words(self.marked)
        self.errors = tuple(one.reworded(words) for one in self._marked_errors)


def _asked_by(text: str) -> list[FieldError]:
    return [FieldError(marked(name), text, CHOOSE, choices) for name, choices in answers_in(text).items()]


class StrategyFailed(Refusal):
    """A strategy raised, or gave an answer that is none. Asked again it would do the same."""

    code = "strategy_error"

    @classmethod
    def of(cls, index: int, name: str, message: str) -> Self:
        """Of the strategy at `index` of the request, which calls it `name`."""
        text = f"strategy {name} {message}"
        return cls(text, [FieldError(f"strategies.{index}", text, cls.code)])


class StrategyPeeks(StrategyFailed):
    """A strategy that sees the future: what it says of a bar depends on later bars."""

    code = "strategy_peeks"


class Unavailable(BackfleetError):
    """A server we need did not answer in time. The outcome of what was asked is unknown unless said otherwise."""

    code = "unavailable"


class Busy(Unavailable):
    """As much of it as is allowed is under way: nothing was begun, later it will do."""

    code = "busy"


class StoreUnavailable(Unavailable):
    code = "store_unavailable"


class BusUnavailable(Unavailable):
    code = "bus_unavailable"


class ExchangeUnavailable(Unavailable):
    """An exchange did not answer, or would not yet, as often as it was asked. What had been fetched is stored."""

    code = "exchange_unavailable"


class StoreUnfit(BackfleetError):
    """The MongoDB server's conditional update is not atomic, so it could hand one backtest to two workers."""

    code = "store_unfit"


class EngineFailed(BackfleetError):
    """The engine process died, hung or raised. `fault` says whether it counts against the poison budget."""

    code = "engine_failed"

    def __init__(self, message: str, *, fault: bool = True) -> None:
        super().__init__(message)
        self.fault = fault
