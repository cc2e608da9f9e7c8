"""What crosses a wire: the base of its models, and how its text is read.

Names on the wire are camelCase, names in Python snake_case. A required field that is missing or malformed is refused
with its path. Fields that are unknown are refused in what a person asks for (`Asked`), where they are misspelled ones;
in messages between programs they are ignored, because the other one may be newer.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from difflib import get_close_matches
from functools import cache
from itertools import islice
from typing import Annotated, Any, TypeVar, cast, get_args

from pydantic import (
    AfterValidator,
    AliasChoices,
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
UNKNOWN_FIELD = "unknown_field"
_UNKNOWN_NAMED_MAX = 20


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


class Asked(Wire):
    """Base of what a person asks for: also in the models inside it, an unknown field is refused."""

    model_config = ConfigDict(extra="forbid")


Model = TypeVar("Model", bound=BaseModel)


# What may be too large for a float: then it is read with care, which costs each number a call.
_LONG_NUMBER = re.compile(r"\d[eE]\+?\d{3}|\d{309}")


def _refuse_constant(token: str) -> None:
    raise ValueError(f"{token} is not JSON")


def _finite(token: str) -> float:
    number = float(token)
    if math.isinf(number):
        raise ValueError(f"{token[:40]} is too large a number")
    return number


def parse_json(text: str | bytes, *, finite: bool = False) -> object:
    """Strict JSON: no NaN, no Infinity; where what is read is written anew, `finite`, also none that is spelled as a
    number. Else the field that holds one refuses it by name. Raises `MalformedMessage` with what is wrong."""
    try:
        if isinstance(text, bytes):
            text = text.decode(json.detect_encoding(text), "surrogatepass")
        careful = _finite if finite and _LONG_NUMBER.search(text) else None
        return json.loads(text, parse_constant=_refuse_constant, parse_float=careful)
    except RecursionError:
        raise MalformedMessage("nested too deeply", [FieldError("$", "nested too deeply", "malformed")]) from None
    except (ValueError, UnicodeDecodeError) as error:
        raise MalformedMessage(f"not valid JSON: {error}", [FieldError("$", str(error), "malformed")]) from None


def decode(model: type[Model], text: str | bytes, *, finite: bool = False) -> Model:
    """Reads one message. Raises `MalformedMessage` or `InvalidRequest` with each field's path."""
    return validate(model, parse_json(text, finite=finite))


def decode_noting(model: type[Model], text: str | bytes) -> tuple[Model, list[FieldError]]:
    """Reads one message of another program, and what of it is unknown and was ignored; of much the first few."""
    value = parse_json(text)
    read = validate(model, value)
    unknown = list(islice(_unknown_fields(model, value), _UNKNOWN_NAMED_MAX + 1))
    if len(unknown) > _UNKNOWN_NAMED_MAX:
        unknown[-1] = FieldError("$", f"more than {_UNKNOWN_NAMED_MAX} fields are unknown", UNKNOWN_FIELD)
    return read, unknown


def validate(model: type[Model], value: object) -> Model:
    """Checks a value that is already parsed. Raises `InvalidRequest` with each field's path as the caller wrote it.

    A model that sets pydantic's `extra="forbid"` does so for those inside it too. The values of one that sets
    `hide_input_in_errors` are not repeated: they may be secret.
    """
    if not isinstance(value, Mapping):
        kind = _kind_of(value)
        raise MalformedMessage(
            f"must be a JSON object, not {kind}", [FieldError("$", f"must be an object, not {kind}")]
        )
    forbids = model.model_config.get("extra") == "forbid"
    # Found here and not by pydantic, which makes an error of each of a hundred thousand before the first can be read.
    given = cast("Mapping[str, Any]", value)
    unknown = list(islice(_unknown_fields(model, given), ERRORS_MAX)) if forbids else []
    try:
        read = model.model_validate(given, extra="ignore" if forbids else None)
    except ValidationError as error:
        hidden = model.model_config.get("hide_input_in_errors", False)
        wrong = (
            FieldError(_path(model, item), _plain(worded(item), None if hidden else item.get("input")), item["type"])
            for item in error.errors(include_url=False)
        )
        found = [*unknown, *islice(wrong, ERRORS_MAX - len(unknown))]
        raise InvalidRequest(summary(found), found) from None
    except UnicodeEncodeError as error:
        # JSON can spell half a character. As a value pydantic refuses it by its path, as a name it raises this.
        shown = ascii(error.object[error.start : error.end])
        raise InvalidRequest.of("$", f"has a name that is no text: it holds {shown}, half a character") from None
    if unknown:
        raise InvalidRequest(summary(unknown), unknown)
    return read


def remedy_for(name: str, known: Iterable[str]) -> str:
    """What is wrong with a name that is none of those known, for whoever may have mistyped it."""
    plain = {one.replace("_", "").casefold(): one for one in known}
    near = get_close_matches(name[:_KEY_CHARACTERS_MAX].replace("_", "").casefold(), plain, n=1)
    return f"did you mean {plain[near[0]]}?" if near else "leave it out"


def _unknown_fields(model: type[BaseModel], value: object, within: str = "") -> Iterator[FieldError]:
    """Fields of a parsed value that a model of this kind, or one inside it, does not have."""
    if not isinstance(value, Mapping):
        return
    given = cast("Mapping[str, object]", value)
    known = _fields_of(model)
    others: dict[str, str] = {}  # by its name on the wire, the other one that a field is written with
    for name, part in given.items():
        path = f"{within}{_plain_part(name)}"
        alias, inner = known.get(name, ("", None))
        if not alias:
            remedy = remedy_for(name, (alias for alias, _ in known.values()))
            yield FieldError(path, f"unknown field; {remedy}", UNKNOWN_FIELD)
        elif name != alias and (alias in given or others.setdefault(alias, name) != name):
            yield FieldError(path, f"is {alias}, which is there too; leave one of them out", UNKNOWN_FIELD)
        elif inner is not None:
            yield from _unknown_fields(inner, part, f"{path}.")


@cache
def _fields_of(model: type[BaseModel]) -> dict[str, tuple[str, type[BaseModel] | None]]:
    """By each name that a field may be written with: its name on the wire, and the model of what is in it."""
    found: dict[str, tuple[str, type[BaseModel] | None]] = {}
    for name, field in model.model_fields.items():
        alias = field.alias or name
        parts = (field.annotation, *get_args(field.annotation))
        inner = next((part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)), None)
        found[alias] = alias, inner
        if isinstance(field.validation_alias, AliasChoices):
            found.update((str(other), (alias, inner)) for other in field.validation_alias.choices)
        if model.model_config.get("populate_by_name"):
            found[name] = alias, inner
    return found


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
