"""The client of the service: `from backfleet.client import Backfleet`. Needs the extra `client`."""

from shared.client.answers import RunEvent
from shared.client.blocking import BlockingBackfleet, BlockingRun
from shared.client.fleet import Backfleet, BacktestFailed, Run
from shared.errors import (
    BackfleetError,
    Conflict,
    FieldError,
    Forbidden,
    InvalidRequest,
    NotFound,
    Refusal,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
)

__all__ = [
    "Backfleet",
    "BackfleetError",
    "BacktestFailed",
    "BlockingBackfleet",
    "BlockingRun",
    "Conflict",
    "FieldError",
    "Forbidden",
    "InvalidRequest",
    "NotFound",
    "Refusal",
    "Run",
    "RunEvent",
    "TooLarge",
    "TooMany",
    "Unauthenticated",
    "Unavailable",
]
