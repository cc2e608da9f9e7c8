"""What a model's server sends back, read without trusting it: the text, what it cost, or what went wrong. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, NoReturn, cast

from shared.errors import BackfleetError, Refusal
from shared.printable import printable

RETRY_AFTER_MAX_S = 60.0
_TOLD_MAX_CHARS = 200
_TOKENS_MAX = 2**53
_OF_FORMS = ("format", "json", "schema", "grammar", "structured")

Headers = Mapping[str, str]


class Spent(NamedTuple):
    """`cost_usd` is None where a server did not say what one of the answers cost."""

    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float | None = 0.0

    def and_also(self, other: Spent) -> Spent:
        cost = None if self.cost_usd is None or other.cost_usd is None else self.cost_usd + other.cost_usd
        return Spent(self.tokens_in + other.tokens_in, self.tokens_out + other.tokens_out, cost)


NOTHING_SPENT = Spent()
UNKNOWN_SPENT = Spent(cost_usd=None)


class ModelFailed(BackfleetError):
    """No answer, however often it was asked. The run may go on without this one. `spent` is what it cost all the same.

    The reason is short, plain text, and holds no key.
    """

    code = "model_failed"
    spent = NOTHING_SPENT


class ModelRefused(Refusal):
    """Asked again it would be refused again: a wrong key, no money, no such model. `spent` is what was spent before."""

    code = "model_refused"
    spent = NOTHING_SPENT


class Transient(Exception):
    """Asked again it may do. `wait_s` is how long the server asks to wait, if it does."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait_s = wait_s


class FormatUnknown(Exception):
    """The server, or the model behind it, may not know the form of answer that was asked for; or `surely` does not."""

    def __init__(self, otherwise: BackfleetError, *, surely: bool) -> None:
        super().__init__(otherwise.message)
        self.otherwise = otherwise  # what it means where there is no other form to ask for
        self.surely = surely


class Reply(NamedTuple):
    text: str
    cut_off: bool  # at the most tokens that were allowed


def spent_of(body: object) -> Spent | None:
    """What an answer says it cost. None where it says nothing, as one that never reached a model."""
    usage = _mapping(_mapping(body).get("usage"))
    if not usage:
        return None
    cost: object = usage.get("cost")
    known = isinstance(cost, int | float) and not isinstance(cost, bool) and 0 <= cost < math.inf
    cost_usd = float(cast("float", cost)) if known else None
    return Spent(_tokens(usage.get("prompt_tokens")), _tokens(usage.get("completion_tokens")), cost_usd)


def read_body(text: str) -> object:
    """Raises `Transient` for what is no JSON, as the page of a proxy."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Transient(f"answered with what is no JSON: {_told(text[:_TOLD_MAX_CHARS])}") from None


def error_in(text: str) -> object:
    """The error of a body that HTTP calls one: what is in it, or all of it."""
    try:
        body: object = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return _mapping(body).get("error", body)


def read_reply(body: object) -> Reply:
    """The answer in a body of HTTP 200. Raises `Transient`, `FormatUnknown`, `ModelFailed` or `ModelRefused`."""
    if _mapping(body).get("error"):
        raise_for(None, _mapping(body).get("error"), {})
    choices = _mapping(body).get("choices")
    choice = _mapping(cast("list[object]", choices)[0] if isinstance(choices, list) and choices else None)
    if not choice:
        raise Transient("answered without a choice")
    if choice.get("error"):
        raise_for(None, choice.get("error"), {})
    message, finish = _mapping(choice.get("message")), choice.get("finish_reason")
    text = _content(message.get("content"))
    if message.get("refusal") and not text:
        raise ModelFailed(f"the model declines to answer: {_told(message.get('refusal'))}")
    if finish == "content_filter":
        raise ModelFailed("the answer was withheld by a content filter")
    if finish == "error":
        raise Transient("broke off with an error")
    if not text.strip() and finish != "length":
        raise Transient("answered with nothing")
    return Reply(text, finish == "length")


def raise_for(status: int | None, error: object, headers: Headers) -> NoReturn:
    """What an error means, by its HTTP status, else by the code it holds. Raises one of the four, always."""
    fields = _mapping(error)
    code: object = fields.get("code")
    if status is None:
        said = str(code)
        status = int(said) if len(said) == 3 and said.isdecimal() and said >= "300" else 502
    told = _told(fields.get("message") or error)
    words, name = told.lower(), f"{code} {fields.get('type')}".lower()
    if status == 404 and "requested parameters" in words:
        hint = "this model takes none of the ways to ask, or not temperature or seed: leave these out, or take another"
        raise FormatUnknown(ModelRefused(f"{hint} (404: {told})"), surely=True)
    if "insufficient_quota" in name or "model_not_found" in name or "not a valid model" in words:
        raise ModelRefused(_refusal(402 if "quota" in name else 404, told))
    if status in (400, 422) and (parameter := _parameter_of(fields)):
        raise ModelRefused(
            f"the model does not take {parameter} as it was sent ({status}: {told}); {_REMEDY[parameter]}"
        )
    if status == 403 and _mapping(fields.get("metadata")).get("reasons"):
        raise ModelFailed(f"the question was withheld by moderation (403: {told})")
    if status in (401, 402, 403, 404) or 300 <= status < 400:
        raise ModelRefused(_refusal(status, told))
    if status in (408, 409, 425, 429) or status >= 500:
        raise Transient(f"{status}: {told}", retry_after_s(headers))
    failed = ModelFailed(f"the question is refused ({status}: {told})")
    if status == 413 or "context_length" in name or "context length" in words or "maximum context" in words:
        raise failed
    raise FormatUnknown(failed, surely=any(word in words for word in _OF_FORMS))


# What a request may have said, and what to do where a model takes no such thing.
_REMEDY: Mapping[str, str] = {
    "temperature": "leave temperature out",
    "seed": "leave seed out",
    "maxTokens": "lower maxTokens, or name openai as the provider of a server that wants max_completion_tokens",
}
_PARAMETERS = {"max_tokens": "maxTokens", "max_completion_tokens": "maxTokens"}


def _parameter_of(fields: Mapping[str, Any]) -> str | None:
    """Which parameter of the user's an error is about, where it says so."""
    named = str(fields.get("param"))
    parameter = _PARAMETERS.get(named, named)
    return parameter if parameter in _REMEDY else None


def _refusal(status: int, told: str) -> str:
    if status == 401:
        return "the key is not accepted (401); store a valid one for this provider"  # what is told may repeat the key
    if status < 400:
        return f"the URL leads elsewhere ({status}), where no key is sent; give the URL that it leads to as baseUrl"
    meaning = {402: "there is no money left with the provider", 404: "there is no such model, or not at this URL"}
    return f"{meaning.get(status, 'the key may not do this')} ({status}: {told})"


def retry_after_s(headers: Headers) -> float | None:
    """How long to wait, of seconds or of a date, which the server's own clock is compared with; at most a minute."""
    text = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    if not text:
        return None
    try:
        wait_s = float(text) if text[0].isdigit() else (_date(text) - _now(headers)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait_s, 0.0), RETRY_AFTER_MAX_S) if math.isfinite(wait_s) else None


def _now(headers: Headers) -> datetime:
    said = next((value for name, value in headers.items() if name.lower() == "date"), "")
    try:
        return _date(said)
    except (ValueError, TypeError):
        return datetime.now(UTC)


def _date(text: str) -> datetime:
    read = parsedate_to_datetime(text)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _content(content: object) -> str:
    """Text, also where it comes in parts."""
    if isinstance(content, str):
        return content
    parts = cast("list[object]", content) if isinstance(content, list) else []
    return "".join(text for part in parts if isinstance(text := _mapping(part).get("text"), str))


def _tokens(value: object) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _TOKENS_MAX
    return cast("int", value) if whole else 0


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _told(value: object) -> str:
    """What a server says, for people: one line of ASCII, short."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    text = " ".join(printable(text).split())
    text = text.encode("ascii", "backslashreplace").decode()
    return text if len(text) <= _TOLD_MAX_CHARS else text[: _TOLD_MAX_CHARS - 3] + "..."
