"""Conditions that users write as text: when to be long, when to be short, when to be flat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from shared.bars import Bars
from shared.strategies.averages import WILDER_PERIODS
from shared.strategies.parameters import Parameters
from shared.strategies.rule.functions import FUNCTIONS, RECURSIVE, SERIES
from shared.strategies.rule.language import TEXT_MAX_CHARS, Node, chart_name, describe, parse
from shared.strategies.rule.operators import OPERATORS, Flags, Floats, Truth
from shared.strategies.signals import BE_FLAT, BE_LONG, BE_SHORT, NO_OPINION, Signals, silent
from shared.strategies.strategy import INDICATOR_NAME_MAX_CHARS, Columns, Strategy

_CONDITIONS = ("long", "short", "exit")


class RuleParameters(Parameters):
    """The defaults are an example, for a rule of which nothing is given; of any other, what is left out never holds."""

    long: str = Field(
        "crosses_above(sma(close, 10), sma(close, 30))",
        max_length=TEXT_MAX_CHARS,
        description="Condition to be long. Empty, or left out where another is given: never.",
    )
    short: str = Field(
        "crosses_below(sma(close, 10), sma(close, 30))",
        max_length=TEXT_MAX_CHARS,
        description="Condition to be short. Empty, or left out where another is given: never.",
    )
    exit: str = Field(
        "",
        max_length=TEXT_MAX_CHARS,
        description="Condition to be flat, stronger than the others. Empty or left out: never.",
    )

    @model_validator(mode="before")
    @classmethod
    def _left_out_never_holds(cls, given: Any) -> Any:
        return {**dict.fromkeys(_CONDITIONS, ""), **given} if given else given

    @field_validator(*_CONDITIONS)
    @classmethod
    def _can_be_read(cls, text: str) -> str:
        if text.strip():
            parse(text)
        return text

    @model_validator(mode="after")
    def _something_is_wanted(self) -> Self:
        if not self.long.strip() and not self.short.strip():
            raise ValueError("long is empty and so is short; give at least one of them a condition")
        return self


def rule_signals(bars: Bars, params: RuleParameters) -> Signals:
    """+1, -1 and 0 at the first bar of each stretch over which `long`, `short` or `exit` is known to hold.

    `exit` is stronger than the others: while it holds, the opinion is 0. Where `long` and `short` both hold there is no
    opinion. An opinion is told when it begins and not again while it goes on; after any other bar it is told anew.
    What ends a condition is not its exit: the last word stands until another is told.

    A condition holds where it is known to be true. What is unknown (an indicator that is not yet defined, a division by
    zero) makes each comparison with it unknown, and so what depends on that: unknown `and` false is false, unknown `or`
    true is true, `not` unknown is unknown (Kleene, "Introduction to Metamathematics" (1952), section 64).
    """
    trees = _trees(params)
    found = iter(_Evaluation(bars).all([tree for tree in trees if tree is not None]))
    opinion = silent(bars.total)
    long, short, flat = (_holds(next(found)) if tree else np.zeros(bars.total, np.bool_) for tree in trees)
    opinion[long] = BE_LONG
    opinion[short] = BE_SHORT
    opinion[long & short] = NO_OPINION
    opinion[flat] = BE_FLAT
    opinion[1:][opinion[1:] == opinion[:-1]] = NO_OPINION
    return opinion


def rule_indicators(bars: Bars, params: RuleParameters) -> Columns:
    """Each number that the conditions name a function of, in the order in which they are read."""
    nodes = {chart_name(node): node for tree in _trees(params) if tree for node in _numbers(tree)}
    named = {name: node for name, node in nodes.items() if len(name) <= INDICATOR_NAME_MAX_CHARS}
    values = _Evaluation(bars).all(list(named.values()))
    return {name: column for name, column in zip(named, values, strict=True) if not isinstance(column, Truth)}


def _trees(params: RuleParameters) -> list[Node | None]:
    return [parse(text) if text.strip() else None for text in (params.long, params.short, params.exit)]


def _holds(found: Floats | Truth) -> Flags:
    assert isinstance(found, Truth), "the parser has seen to it"
    return found.yes


def _numbers(node: Node) -> Iterator[Node]:
    if node.name in FUNCTIONS and node.kind == "number":
        yield node
    for part in node.parts:
        yield from _numbers(part)


class _Evaluation:
    """Values of trees over the same bars. What occurs several times is computed once and kept until its last use."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._uses: Counter[Node] = Counter()
        self._kept: dict[Node, Floats | Truth] = {}

    def all(self, trees: Sequence[Node]) -> list[Floats | Truth]:
        for tree in trees:
            self._count(tree)
        with np.errstate(all="ignore"):  # what numpy would warn about is unknown, and the conditions say so
            return [self._value(tree) for tree in trees]

    def _count(self, node: Node) -> None:
        self._uses[node] += 1
        if self._uses[node] == 1:
            for part in node.parts:
                self._count(part)

    def _value(self, node: Node) -> Floats | Truth:
        value = self._kept.pop(node) if node in self._kept else self._compute(node)
        self._uses[node] -= 1
        if self._uses[node]:
            self._kept[node] = value
        return value

    def _compute(self, node: Node) -> Floats | Truth:
        if node.name == "number":
            return np.full(self._bars.total, node.settings[0])
        if node.name in SERIES:
            return SERIES[node.name].of(self._bars)
        parts = [self._value(part) for part in node.parts]
        if node.name not in FUNCTIONS:
            return OPERATORS[node.name](*parts)
        function = FUNCTIONS[node.name]
        kinds = zip(function.settings, node.settings, strict=True)
        return function.of(self._bars, *parts, *(int(value) if one.whole else value for one, value in kinds))


def _warmup(params: RuleParameters) -> int:
    """One more than the conditions look back: an opinion is told where it was not held at the bar before."""
    texts = (params.long, params.short, params.exit)
    return 1 + max(_looks_back(parse(text)) for text in texts if text.strip())


def _looks_back(node: Node) -> int:
    below = max(map(_looks_back, node.parts), default=0)
    if node.name not in FUNCTIONS:
        return below
    function = FUNCTIONS[node.name]
    bars = sum(int(value) for one, value in zip(function.settings, node.settings, strict=True) if one.whole)
    return below + 1 + bars * (1 + WILDER_PERIODS if node.name in RECURSIVE else 1)


def _speaks_from(params: RuleParameters) -> int:
    """No earlier than this can `long` or `short` be known to hold; `exit` alone ends nothing."""
    return min(_known_from(parse(text)).yes for text in (params.long, params.short) if text.strip())


class _Known(NamedTuple):
    """From which bar on it can be known that a condition holds, and that it does not. Of a number both are the same."""

    yes: int
    no: int


def _known_from(node: Node) -> _Known:
    parts = [_known_from(part) for part in node.parts]
    yes, no = [one.yes for one in parts], [one.no for one in parts]
    if node.name == "not":
        return _Known(no[0], yes[0])
    if node.name == "and":
        return _Known(max(yes), min(no))
    if node.name == "or":
        return _Known(min(yes), max(no))
    below = max(yes, default=0)
    if node.name not in FUNCTIONS:
        return _Known(below, below)
    function = FUNCTIONS[node.name]
    back = function.least_back(node.settings)
    # What rose or fell at each of some bars did not where it failed at one of them.
    return _Known(below + back, below + (1 if function.returns == "condition" else back))


STRATEGY = Strategy(
    id="rule",
    name="Rule",
    description="Long, short and flat by conditions written as text, of prices, indicators, comparisons, and, or "
    "and not.",
    parameters=RuleParameters,
    signals=rule_signals,
    language=describe(_CONDITIONS),
    warmup=_warmup,
    speaks_from=_speaks_from,
    indicators=rule_indicators,
)
