"""Commands for a run as a line of text: words, or the JSON that is sent to a gateway."""

from __future__ import annotations

from typing import Any, cast, get_args

from shared.contracts import ID_PATTERN
from shared.controls import Action, ControlRequest
from shared.errors import InvalidRequest, MalformedMessage
from shared.wire import decode, matches, parse_json, validate

_ACTIONS: tuple[str, ...] = get_args(Action)
_HOW = "write pause, resume, stop, step 10, speed 50, speed max, seek 500 or seek 2024-06-01"
_SHOWN_MAX = 80


def read_command(line: bytes) -> ControlRequest:
    """`step 10`, `speed max`, `seek 2024-06-01`, or `{"action": "step", "bars": 10, "commandId": "a"}`.

    Raises `InvalidRequest`.
    """
    try:
        text = line.decode().strip()
    except UnicodeDecodeError:
        raise InvalidRequest.of("$", f"the line is not UTF-8; {_HOW}") from None
    if text.startswith("{"):
        return decode(ControlRequest, text)
    action, *words = text.split()
    action = action.lower()
    if action not in _ACTIONS:
        raise InvalidRequest.of("action", f"there is no command {text[:_SHOWN_MAX]!a}; {_HOW}")
    fields: dict[str, Any] = {"action": action}
    if words:
        value = _value(words[0])
        field = _field_of(action, value)
        if field is None or len(words) > 1:
            stray = words[0] if field is None else words[1]
            raise InvalidRequest.of("$", f"{action} is followed by {stray[:_SHOWN_MAX]!a}, leave that out; {_HOW}")
        fields[field] = value
    return validate(ControlRequest, fields)


def command_id_of(line: bytes) -> str | None:
    """By what whoever sent a line that is refused knows it, where that can be read."""
    try:
        asked = parse_json(line)
    except MalformedMessage:
        return None
    named = cast("dict[str, object]", asked).get("commandId") if isinstance(asked, dict) else None
    return named if isinstance(named, str) and matches(ID_PATTERN, named) else None


def _field_of(action: str, value: object) -> str | None:
    """What the word after the action means."""
    match action:
        case "step":
            return "bars"
        case "speed":
            return "speed"
        case "seek":
            return "time" if isinstance(value, str) else "bar"
        case _:
            return None


def _value(word: str) -> object:
    """A number where it is one."""
    try:
        value = parse_json(word)
    except MalformedMessage:
        return word
    return value if isinstance(value, int | float) and not isinstance(value, bool) else word
