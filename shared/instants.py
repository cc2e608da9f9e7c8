"""Instants and intervals: aware UTC in Python, int64 milliseconds in a store, ISO-8601 with `Z` on the wire."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    PlainSerializer,
    WithJsonSchema,
)

from shared.errors import InvalidRequest

# A month has no length of its own: 30 days are what it is compared with others by. `shared.candles.grid` counts months.
INTERVAL_MS: dict[str, int] = {
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "10m": 600_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "2h": 7_200_000,
    "4h": 14_400_000,
    "6h": 21_600_000,
    "8h": 28_800_000,
    "12h": 43_200_000,
    "1d": 86_400_000,
    "3d": 259_200_000,
    "1w": 604_800_000,
    "1M": 2_592_000_000,
}


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE_LETTERS = len("2024-01-31")


def read_instant(value: object) -> datetime:
    """A date (its midnight in UTC) or an instant with a zone. A number is refused: its unit is a guess."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("has no time zone; add Z for UTC")
        return value.astimezone(UTC)
    if not isinstance(value, str):
        raise ValueError('must be text: a date such as "2024-01-31" or an instant such as "2024-01-31T12:00:00Z"')
    try:
        if len(value) == _DATE_LETTERS and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
            day = date.fromisoformat(value)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        instant = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError('is not a date such as "2024-01-31" or an instant such as "2024-01-31T12:00:00Z"') from None
    if instant.tzinfo is None:
        raise ValueError("has no time zone; add Z for UTC")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("is outside the years 1 to 9999") from None


def write_instant(value: datetime) -> str:
    if (value.hour, value.minute, value.second, value.microsecond) == (0, 0, 0, 0):
        return value.date().isoformat()
    return iso(value)


def iso(value: datetime) -> str:
    """ISO-8601 UTC with `Z`, milliseconds only where there are any."""
    text = value.astimezone(UTC).isoformat(timespec="milliseconds" if value.microsecond else "seconds")
    return text.replace("+00:00", "Z")


def iso_from_ms(ms: int) -> str:
    return iso(datetime.fromtimestamp(ms / 1000, UTC))


def to_ms(value: datetime) -> int:
    """Milliseconds since 1970-01-01T00:00Z, exactly."""
    delta = value - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


def read_instant_ms(field: str, text: str) -> int:
    """A date or an instant as text, in ms since 1970. Raises `InvalidRequest` for `field`."""
    try:
        return to_ms(read_instant(text))
    except ValueError as error:
        raise InvalidRequest.of(field, f"{text!r} {error}") from None


# How an instant is written: as a date, which is its midnight in UTC, or with time and zone.
WRITTEN_SCHEMA: dict[str, Any] = {
    "anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}],
    "examples": ["2024-01-31", "2024-01-31T12:00:00Z"],
}
Instant = Annotated[
    datetime,
    BeforeValidator(read_instant, json_schema_input_type=str),
    PlainSerializer(write_instant, return_type=str),
    WithJsonSchema(WRITTEN_SCHEMA, mode="validation"),
]
Interval = Literal["1m", "3m", "5m", "10m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"]
