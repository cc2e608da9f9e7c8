"""Translates pymongo's errors at the edge where pymongo is called."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager

from pymongo.errors import (
    ConnectionFailure,
    CursorNotFound,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WaitQueueTimeoutError,
    WTimeoutError,
)

from shared.errors import StoreUnavailable

_NO_ANSWER = (ConnectionFailure, ExecutionTimeout, WTimeoutError, WaitQueueTimeoutError, CursorNotFound)
_OPTIONS = re.compile(r" \(configured timeouts:[^)]*\)")
_SHOWN_LETTERS = 300  # a bulk error repeats the documents it was given


@contextmanager
def translate_mongo_errors() -> Generator[None, None, None]:
    """Turns what a MongoDB server did not answer, or refused to do, into `StoreUnavailable`.

    `DuplicateKeyError` passes: it is an answer, and who inserts knows what it means. So does what pymongo raises before
    it asks a server (a document too large, a closed client): that is a fault of ours, and trying again would hide it.
    """
    try:
        yield
    except DuplicateKeyError:
        raise
    except _NO_ANSWER as error:
        raise StoreUnavailable(f"MongoDB did not answer: {_shown(error)}") from error
    except OperationFailure as error:
        raise StoreUnavailable(f"MongoDB refused (code {error.code}): {_shown(error)}") from error
    except PyMongoError as error:
        if error.timeout:
            raise StoreUnavailable(f"MongoDB did not answer in time: {_shown(error)}") from error
        raise


def _shown(error: PyMongoError) -> str:
    """What happened and where, without the driver's dump of its topology and options."""
    return _OPTIONS.sub("", str(error).partition(", Timeout:")[0])[:_SHOWN_LETTERS]
