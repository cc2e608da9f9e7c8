"""What is wrong with a value, in the words of who wrote it: pydantic speaks of Python to whoever wrote JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import ErrorDetails

_OBJECT = "must be an object"
_LIST = "must be a list"
_TEXT = "must be text"
_WHOLE = "must be a whole number"
_NUMBER = "must be a number"
_EITHER = "must be true or false"
# By the type of the error; braces name what its context knows.
_WORDS: Mapping[str, str] = {
    "missing": "is missing",
    "extra_forbidden": "there is no such field",
    **dict.fromkeys(("dict_type", "mapping_type", "model_type", "model_attributes_type", "dataclass_type"), _OBJECT),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "iterable_type"), _LIST),
    "string_type": _TEXT,
    "string_unicode": "must be text whose every character is whole",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), _WHOLE),
    "int_parsing_size": "must be a whole number of no more digits",
    **dict.fromkeys(("float_type", "float_parsing"), _NUMBER),
    "finite_number": "must be a finite number",
    **dict.fromkeys(("bool_type", "bool_parsing"), _EITHER),
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} items",
    "too_long": "must have at most {max_length} items",
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "none_required": "must be null",
    "invalid_key": "has a name that is no text",
}


def worded(error: ErrorDetails | Mapping[str, Any]) -> str:
    """What pydantic found, in plain words. A check of our own says what it says."""
    context: Mapping[str, Any] = error.get("ctx") or {}
    words = _WORDS.get(error["type"])
    if words is None:
        return error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    for name, value in context.items():
        words = words.replace(f"{{{name}}}", f"{value}")
    return words.replace(" 1 items", " 1 item").replace(" 1 characters", " 1 character")
