"""What a strategy is, and one with its parameters, ready to run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from shared.bars import Bars
from shared.errors import ConfigurationError, FieldError, InvalidRequest, summary
from shared.misread import Misread
from shared.strategies.parameters import Parameters
from shared.strategies.question import Question
from shared.strategies.signals import Signals, silent
from shared.strategies.view import Decide, View
from shared.wording import worded

_EVERY = "every"  # the parameter that says how often a strategy is asked


INDICATOR_NAME_MAX_CHARS = 60

Form = Literal["signals", "decide"]
Columns = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Strategy:
    """One entry of the catalogue, in one of two forms.

    `signals(bars, params)` gives int8[n] for all bars at once and is causal. `decide(view)` is asked at the close of
    every bar, or of every n-th where the parameter model has a whole number called `every`; it says +1, -1, 0 or None,
    or a `Decision`. In its place, `inquire(view)` gives what somebody outside of the engine is to be asked.
    Raises `ConfigurationError` where not exactly one of the three is given, `every` could be below 1, or one that
    decides has a `warmup` and no `indicators`.

    `indicators(bars, params)` is what it looks at: columns of n values, NaN where there is none, by the names they have
    on a chart, short and with periods. Causal and pure as `signals` is. One that decides finds them in its views.

    `warmup(params)` is how many bars before the first one that a signal is wanted of `signals` must be given, so that
    it says of that one what it would say with any history; without it, it is given none. `indicators` are given as
    many, `decide` sees none of them.

    `speaks_from(params)` is the number of the first bar of all it is given, from 0 on, that it can have an opinion on.

    `language` lists the words of one whose parameters are text, as users are shown them.
    """

    id: str
    name: str
    description: str
    parameters: type[Parameters]
    signals: Callable[[Bars, Any], Signals] | None = None
    aliases: tuple[str, ...] = ()
    decide: Decide | None = None
    inquire: Callable[[View], Question] | None = None
    language: dict[str, list[Any]] | None = field(default=None, hash=False, repr=False)
    warmup: Callable[[Any], int] | None = None
    speaks_from: Callable[[Any], int] | None = None
    indicators: Callable[[Bars, Any], Columns] | None = None

    def __post_init__(self) -> None:
        forms = {"signals": self.signals, "decide": self.decide, "inquire": self.inquire}
        given = [name for name, form in forms.items() if form is not None]
        if len(given) != 1:
            raise ConfigurationError(
                f"strategy {self.id} must have exactly one of signals, decide and inquire, and has "
                f"{' and '.join(given) or 'none'}; give signals(bars, params) for all bars at once, or decide(view) "
                "for one bar at a time"
            )
        if self.decides and self.warmup is not None and self.indicators is None:
            raise ConfigurationError(
                f"strategy {self.id} has warmup, but {given[0]} sees no bars before the run; leave warmup out, or give "
                "the indicators that begin with them"
            )
        if self.decides and _EVERY in self.parameters.model_fields:
            every = self.parameters_schema["properties"][_EVERY]
            if every.get("type") != "integer" or every.get("minimum", 0) < 1:
                raise ConfigurationError(
                    f"strategy {self.id} must bound its parameter {_EVERY}: it says at every how many bars decide is "
                    "asked; declare it as a whole number of at least 1, every: int = Field(1, ge=1, ...)"
                )

    @property
    def decides(self) -> bool:
        """Whether it is asked at one bar after the other."""
        return self.signals is None

    @property
    def form(self) -> Form:
        return "decide" if self.decides else "signals"

    @property
    def every(self) -> int | None:
        """At every how many bars a strategy that decides is asked by default; None for one that gives signals."""
        return int(self.default_parameters.get(_EVERY, 1)) if self.decides else None

    @property
    def names(self) -> tuple[str, ...]:
        """What a request may call it."""
        return (self.id, *self.aliases)

    @property
    def parameters_schema(self) -> dict[str, Any]:
        """JSON Schema of the parameters: types, bounds, defaults, one sentence each."""
        return self.parameters.model_json_schema()

    @property
    def default_parameters(self) -> dict[str, Any]:
        """By the names users write. Where one has no default that will do, this is what it is where nothing is said."""
        return self.parameters.model_construct().model_dump(by_alias=True)

    def use(self, params: Mapping[str, Any], path: str, *, name: str = "") -> StrategyUse:
        """This strategy with checked parameters. Raises `InvalidRequest` with every wrong field below `path`."""
        try:
            return StrategyUse(name or self.id, self, self.parameters.model_validate(dict(params)))
        except ValidationError as error:
            found = [self._field_error(item, path) for item in error.errors(include_url=False)]
            raise refusal_of(found) from None

    def _field_error(self, item: Any, path: str) -> FieldError:
        message = worded(item)
        fields = self.parameters.model_fields
        known = ", ".join(field.alias or name for name, field in fields.items()) or "none"
        if not item["loc"]:  # a check across fields: its message begins with the field to change
            field = message.partition(" ")[0]
            return FieldError(f"{path}.{field}" if field in known.split(", ") else path, message)
        field = ".".join(str(part) for part in item["loc"])
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, Misread):  # It names what it found, and the whole text would bury that.
            return FieldError(f"{path}.{field}", message, item["type"], place=cause.place)
        if item["type"] == "extra_forbidden":
            message = f"{self.id} has no such parameter; it has: {known}"
        else:
            message += f" (got {shown(item['input'])})"
        return FieldError(f"{path}.{field}", message, item["type"])


@dataclass(frozen=True, slots=True)
class StrategyUse:
    """A strategy with its parameters, under the `name` the request gave it."""

    name: str
    strategy: Strategy
    params: Parameters

    @property
    def decides(self) -> bool:
        """Whether it is asked on the way. All it has to say in advance is that it has no opinion."""
        return self.strategy.decides

    @property
    def every(self) -> int:
        """A strategy that decides is asked at the close of bars `every` - 1, 2 x `every` - 1, ..."""
        return int(getattr(self.params, _EVERY, 1))

    @property
    def warmup_bars(self) -> int:
        """How many bars before the first that it speaks of it looks at."""
        return self.strategy.warmup(self.params) if self.strategy.warmup else 0

    @property
    def speaks_from(self) -> int:
        """The number of the first bar of all it is given that it can have an opinion on."""
        return self.strategy.speaks_from(self.params) if self.strategy.speaks_from else 0

    def signals(self, bars: Bars) -> Signals:
        """int8[n]: +1 be long, -1 be short (or flat where shorts are not allowed), 0 be flat, 2 no opinion."""
        if self.strategy.signals is None:
            return silent(bars.total)
        return self.strategy.signals(bars, self.params)

    def indicators(self, bars: Bars) -> Columns:
        """What it looks at, float64[n] by name, as it gives them: a plug-in may raise anything and return anything."""
        return self.strategy.indicators(bars, self.params) if self.strategy.indicators else {}


class Mute(NamedTuple):
    """A strategy that cannot say anything in all of a run: it needs more bars than it was given."""

    strategy: str
    needed_bars: int
    given_bars: int


def mute_among(uses: Sequence[StrategyUse], run_bars: int, warmup_bars: int) -> tuple[Mute, ...]:
    """Those that are mute in a run of `run_bars` which had up to `warmup_bars` before it to look at."""
    given = [(use, run_bars + min(use.warmup_bars, warmup_bars)) for use in uses]
    return tuple(Mute(use.name, use.speaks_from + 1, bars) for use, bars in given if use.speaks_from >= bars)


def refusal_of(found: list[FieldError]) -> InvalidRequest:
    """One refusal of all that was found, its message of the first few."""
    return InvalidRequest(summary(found), found)


def shown(value: object) -> str:
    """The value as the caller wrote it, cut to a length that helps."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else text[:77] + "..."
