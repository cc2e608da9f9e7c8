"""What a model answers: the form that is asked for, and how what really comes is read."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

from shared.errors import Refusal
from shared.printable import printable

Action = Literal["LONG", "SHORT", "CLOSE", "HOLD"]

ANSWER_MAX_CHARS = 100_000
REASONING_MAX_CHARS = 2_000
PRICE_MAX = 1e15  # as of market data
_FRACTION_MAX = 125.0  # the largest leverage there is
_SHOWN_MAX_CHARS = 40
_ACTIONS: tuple[Action, ...] = get_args(Action)

# Every field is required and none else allowed, which is what strict structured output demands; bounds are told in
# words, because not every provider takes them. The reasoning comes first: what is written first is thought first.
DECISION_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "reasoning": {"type": "string", "description": "Why, in at most three sentences."},
        "action": {"type": "string", "enum": list(_ACTIONS), "description": "What to do at this close."},
        "sizeFraction": {
            "type": ["number", "null"],
            "description": "Share of equity of the trade that is opened, above 0; null for the usual size.",
        },
        "stopLossPrice": {
            "type": ["number", "null"],
            "description": "Price at which the trade that is opened is given up: below the close for LONG, above it "
            "for SHORT; null for the usual stop.",
        },
        "takeProfitPrice": {
            "type": ["number", "null"],
            "description": "Price at which its profit is taken: above the close for LONG, below it for SHORT; null "
            "for the usual target.",
        },
        "confidence": {"type": "number", "description": "From 0, a guess, to 1, sure."},
    },
    "required": ["reasoning", "action", "sizeFraction", "stopLossPrice", "takeProfitPrice", "confidence"],
    "additionalProperties": False,
}
_FIELDS = tuple(DECISION_SCHEMA["properties"])


class AnswerUnusable(Refusal):
    """What the model said is no decision, or one that contradicts itself. The reason is short and plain text."""

    code = "answer_unusable"


class Said(NamedTuple):
    """What the model wants. The three numbers are None where it says none, and always for CLOSE and HOLD."""

    action: Action
    size_fraction: float | None
    stop_loss_price: float | None
    take_profit_price: float | None
    confidence: float
    reasoning: str


# A brace that begins an object. Others are prose.
_OBJECT = re.compile(r'\{(?=\s*(?:"|\}))')
_PLAIN_NUMBER = re.compile(r"-?\d{1,20}(?:\.\d{1,20})?(?:[eE][+-]?\d{1,3})?", re.ASCII)


def read_answer(text: str) -> Said:
    """Reads one decision, also out of a code fence or out of words around it. Nothing in it is run.

    Numbers may be written as text where they are plain ones. Refused are NaN, what is infinite or out of range, names
    that are given twice or unknown, and more than one object. Raises `AnswerUnusable`.
    """
    if len(text) > ANSWER_MAX_CHARS:
        raise AnswerUnusable(f"the answer has {len(text)} characters, more than {ANSWER_MAX_CHARS}")
    fields = _only_object(_after_thoughts(text))
    unknown = [name for name in fields if name not in _FIELDS]
    if unknown:
        raise AnswerUnusable(f"there is no field {_shown(unknown[0])}; there are: {', '.join(_FIELDS)}")
    action = _action(fields.get("action"))
    opens = action in ("LONG", "SHORT")
    numbers = [_number(fields, name) for name in ("sizeFraction", "stopLossPrice", "takeProfitPrice")]
    if opens:
        _require_range("sizeFraction", numbers[0], _FRACTION_MAX)
        _require_range("stopLossPrice", numbers[1], PRICE_MAX)
        _require_range("takeProfitPrice", numbers[2], PRICE_MAX)
    size, stop, target = numbers if opens else (None, None, None)
    return Said(action, size, stop, target, _confidence(fields), _reasoning(fields.get("reasoning", "")))


def _after_thoughts(text: str) -> str:
    """What a model thinks aloud before it answers is none of the answer, however much it looks like one. Some servers
    leave out where it begins to think."""
    thoughts, end, answer = text.partition("</think>")
    if thoughts.lstrip().startswith("<think>"):
        if not end:
            raise AnswerUnusable("the answer ends while the model still thinks; give it more tokens by maxTokens")
        return answer
    return answer if _OBJECT.search(answer) else text


def _only_object(text: str) -> dict[str, Any]:
    decoder = json.JSONDecoder(
        object_pairs_hook=_without_repetition, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_finite
    )
    found: list[dict[str, Any]] = []
    at = 0
    while (start := _OBJECT.search(text, at)) and len(found) < 2:
        try:
            value, at = decoder.raw_decode(text, start.start())
        except AnswerUnusable:
            raise
        except RecursionError:
            raise AnswerUnusable("the answer is nested too deeply") from None
        except ValueError as error:
            told = error.msg if isinstance(error, json.JSONDecodeError) else "a number is too long"
            raise AnswerUnusable(f"the answer is not valid JSON: {told}") from None
        found.append(value)
    if not found:
        raise AnswerUnusable("the answer is empty" if not text.strip() else f"the answer is no JSON: {_shown(text)}")
    if len(found) > 1:
        raise AnswerUnusable("the answer holds more than one JSON object")
    return found[0]


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise AnswerUnusable(f"{_shown(twice)} is said twice")
    return read


def _refuse_constant(token: str) -> float:
    raise AnswerUnusable(f"{token} is no number")


def _finite(token: str) -> float:
    number = float(token)
    if math.isinf(number):
        raise AnswerUnusable(f"{_shown(token)} is too large a number")
    return number


def _action(value: object) -> Action:
    word = value.strip().upper() if isinstance(value, str) else ""
    for action in _ACTIONS:
        if word == action:
            return action
    given = "is missing" if value is None else f"is {_shown(value)}"
    raise AnswerUnusable(f"action {given}; it must be one of {', '.join(_ACTIONS)}")


def _number(fields: Mapping[str, Any], name: str) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, str) and _PLAIN_NUMBER.fullmatch(value.strip()):
        return _finite(value.strip())
    if not isinstance(value, float):  # every number was read as one; true and false are none
        raise AnswerUnusable(f"{name} is {_shown(value)}, which is no number")
    return value


def _require_range(name: str, value: float | None, most: float) -> None:
    if value is not None and not 0.0 < value <= most:
        raise AnswerUnusable(f"{name} is {value!r}; it must be above 0 and at most {most:g}")


def _confidence(fields: Mapping[str, Any]) -> float:
    value = _number(fields, "confidence")
    if value is None:
        raise AnswerUnusable("confidence is missing; it must be a number from 0 to 1")
    if not 0.0 <= value <= 1.0:
        raise AnswerUnusable(f"confidence is {value!r}; it must be from 0 to 1")
    return value


def _reasoning(value: object) -> str:
    if not isinstance(value, str):
        raise AnswerUnusable(f"reasoning is {_shown(value)}, which is no text")
    text = printable(value).strip()
    return text if len(text) <= REASONING_MAX_CHARS else text[: REASONING_MAX_CHARS - 1] + "…"


def _shown(value: object) -> str:
    """Short, in ASCII, on one line: it stands in logs and on pages."""
    try:
        text = ascii(value) if isinstance(value, str) else json.dumps(value)
    except RecursionError:
        text = "nested too deeply"
    return text if len(text) <= _SHOWN_MAX_CHARS else text[: _SHOWN_MAX_CHARS - 3] + "..."
