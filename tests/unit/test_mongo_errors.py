"""What pymongo raises becomes `StoreUnavailable` where a server is at fault, and passes where we are."""

from __future__ import annotations

import pytest
from pymongo import errors

from shared.errors import StoreUnavailable
from shared.mongo import translate_mongo_errors


@pytest.mark.parametrize(
    "error",
    [
        errors.AutoReconnect("the connection is gone"),
        errors.NetworkTimeout("timed out"),
        errors.ServerSelectionTimeoutError("no primary"),
        errors.WaitQueueTimeoutError("pool is full"),
        errors.ExecutionTimeout("too slow", 50),
        errors.WTimeoutError("no majority", 64),
        errors.NotPrimaryError("stepped down"),
        errors.CursorNotFound("cursor 7 is gone", 43),
        errors.OperationFailure("Authentication failed.", 18),
        errors.WriteConcernError("no majority", 100),
    ],
)
def test_a_server_that_did_not_do_it_is_unavailable(error: errors.PyMongoError) -> None:
    with pytest.raises(StoreUnavailable) as caught, translate_mongo_errors():
        raise error
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error", [errors.DuplicateKeyError("E11000", 11000), errors.DocumentTooLarge("17 MB"), errors.InvalidOperation("x")]
)
def test_an_answer_or_a_fault_of_ours_passes(error: errors.PyMongoError) -> None:
    with pytest.raises(type(error)), translate_mongo_errors():
        raise error


def test_a_long_refusal_is_cut_short() -> None:
    with pytest.raises(StoreUnavailable) as caught, translate_mongo_errors():
        raise errors.OperationFailure("x" * 100_000, 1)
    assert len(caught.value.message) < 500
