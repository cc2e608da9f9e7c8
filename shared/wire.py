"""What crosses a wire: the base of its models, and how its text is read.

Names on the wire are camelCase, names in Python snake_case. Unknown extra fields are ignored; a required field that is
missing or malformed is refused with its path.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Annotated, Any, TypeVar, cast, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    JsonValue,
    ValidationError,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from shared.errors import ERRORS_MAX, FieldError, InvalidRequest, MalformedMessage, summary
from shared.wording import worded


def _no_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain NUL characters")
    return value


_DEPTH_MAX = 8
_KEY_CHARACTERS_MAX = 64


def storable(value: JsonValue, depth: int = 0) -> JsonValue:
    """JSON allows numbers and text that no store and no other language can hold; those are refused here."""
    if depth > _DEPTH_MAX:
        raise ValueError(f"is nested deeper than {_DEPTH_MAX} levels")
    if isinstance(value, str):
        if "\x00" in value or (not value.isascii() and value != value.encode(errors="replace").decode()):
            raise ValueError("must not contain NUL or unpaired surrogate characters")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("holds a whole number of more than 64 bits")
    elif isinstance(value, list):
        for item in value:
            storable(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            if len(key) > _KEY_CHARACTERS_MAX or not key.isprintable() or key.startswith("$") or "." in key:
                raise ValueError(f"has a name that is not allowed: {key[:_KEY_CHARACTERS_MAX]!a}")
            storable(item, depth + 1)
    return value


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def matches(pattern: str, text: str) -> bool:
    """Whether text out of JSON is of a pattern and can be written: JSON can spell half a character."""
    return _compiled(pattern).search(text) is not None and not any("\ud800" <= one <= "\udfff" for one in text)


Text = Annotated[str, AfterValidator(_no_nul)]


def whole(value: object) -> object:
    """JSON knows no whole numbers of their own: many programs write 20.0 where they mean 20."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(whole)]


class Wire(BaseModel):
    """Base of everything that crosses a wire."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, allow_inf_nan=False, strict=True
    )

    def as_wire(self) -> dict[str, Any]:
        """JSON-ready, camelCase, without the optional fields that are not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def as_json(self) -> str:
        return self.model_dump_json(by_alias=True, exclude_none=True)


Model = TypeVar("Model", bound=BaseModel)


def _refuse_constant(token: str) -> None:
    raise ValueError(f"{token} is not JSON")


def parse_json(text: str | bytes) -> object:
    """Strict JSON: no NaN, no Infinity. Raises `MalformedMessage` with the position of the fault."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise MalformedMessage("nested too deeply", [FieldError("$", "nested too deeply", "malformed")]) from None
    except (ValueError, UnicodeDecodeError) as error:
        raise MalformedMessage(f"not valid JSON: {error}", [FieldError("$", str(error), "malformed")]) from None


def decode(model: type[Model], text: str | bytes) -> Model:
    """Reads one message. Raises `MalformedMessage` or `InvalidRequest` with each field's path."""
    return validate(model, parse_json(text))


def validate(model: type[Model], value: object) -> Model:
    """Checks a value that is already parsed. Raises `InvalidRequest` with each field's path as the caller wrote it.

    The values of a model that sets pydantic's `hide_input_in_errors` are not repeated: they may be secret.
    """
    if not isinstance(value, Mapping):
        kind = _kind_of(value)
        raise MalformedMessage(
            f"must be a JSON object, not {kind}", [FieldError("$", f"must be an object, not {kind}")]
        )
    try:
        return model.model_validate(cast("Mapping[str, Any]", value))
    except ValidationError as error:
        hidden = model.model_config.get("hide_input_in_errors", False)
        found = [
            FieldError(_path(model, item), _plain(worded(item), None if hidden else item.get("input")), item["type"])
            for item in islice(error.errors(include_url=False), ERRORS_MAX)
        ]
        raise InvalidRequest(summary(found), found) from None
    except UnicodeEncodeError as error:
        # JSON can spell half a character. As a value pydantic refuses it by its path, as a name it raises this.
        shown = ascii(error.object[error.start : error.end])
        raise InvalidRequest.of("$", f"has a name that is no text: it holds {shown}, half a character") from None


def _kind_of(value: object) -> str:
    """In the words of JSON."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str | bytes):
        return "text"
    return "a number" if isinstance(value, int | float) else "a list"


@cache
def _named_by_check(model: type[BaseModel]) -> re.Pattern[str]:
    """A check across fields begins its message with the field to change, a name of the model or of one inside it."""
    return re.compile(rf"^(?:Value error, )?((?:{'|'.join(sorted(_names_in(model)))})(?:\.[a-z]+)?)\b")


def _names_in(kind: Any) -> set[str]:
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return {name for part in get_args(kind) for name in _names_in(part)}
    fields = kind.model_fields
    own = {field.alias or name for name, field in fields.items()}
    return own.union(*(_names_in(field.annotation) for field in fields.values()))


def _path(model: type[BaseModel], error: ErrorDetails) -> str:
    parts = [_plain_part(part) for part in error["loc"]]
    if error["type"] == "finite_number" and parts[-1:] == ["float"]:
        parts.pop()  # Inside a JSON value pydantic ends the path with the name of the type it tried.
    named = _named_by_check(model).match(error["msg"]) if error["type"] == "value_error" else None
    if named:
        parts.append(named.group(1))
    return ".".join(parts) or "$"


def _plain_part(part: int | str) -> str:
    """A name out of the caller's JSON, short enough to show and without the half characters that JSON can spell."""
    return str(part)[:_KEY_CHARACTERS_MAX].encode("utf-8", "backslashreplace").decode()


def _plain(message: str, value: object) -> str:
    """The message with the offending value where it is short enough to help."""
    if isinstance(value, str | int | float | bool) and not isinstance(value, datetime):
        shown = json.dumps(value)[:80]
        return f"{message} (got {shown})"
    return message
