import json
from typing import Any

import pytest

from api.problems import problem, respond, socket_errors
from shared import errors
from shared.errors import BackfleetError, FieldError

STATUS = {
    errors.MalformedMessage: 400,
    errors.InvalidRequest: 422,
    errors.UnknownMarketData: 422,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.TooMany: 429,
    errors.Unauthenticated: 401,
    errors.Unavailable: 503,
    errors.StoreUnavailable: 503,
    errors.BusUnavailable: 503,
    errors.StoreUnfit: 500,
    errors.EngineFailed: 500,
    errors.BackfleetError: 500,
}


def document_of(error: BackfleetError) -> dict[str, Any]:
    response = respond(error)
    assert response.headers["content-type"] == "application/problem+json"
    document = json.loads(bytes(response.body))
    assert document["status"] == response.status_code
    return document


@pytest.mark.parametrize("kind", STATUS)
def test_each_error_has_its_status(kind: type[BackfleetError]) -> None:
    assert document_of(kind("why"))["status"] == STATUS[kind]


def test_a_refusal_names_type_title_detail_code_and_fields() -> None:
    document = document_of(errors.InvalidRequest.of("params.fast", "must be positive", "greater_than"))
    assert document == {
        "type": "urn:backfleet:problem:invalid_request",
        "title": "Unprocessable Content",
        "status": 422,
        "detail": "params.fast: must be positive",
        "code": "invalid_request",
        "errors": [{"field": "params.fast", "message": "must be positive", "code": "greater_than"}],
    }


@pytest.mark.parametrize(
    ("status", "title"),
    [(404, "Not Found"), (413, "Content Too Large"), (414, "URI Too Long"), (416, "Range Not Satisfiable")],
)
def test_a_title_is_the_same_on_each_version_of_python(status: int, title: str) -> None:
    assert problem(status, "code", "detail")["title"] == title


@pytest.mark.parametrize("kind", [errors.StoreUnavailable, errors.StoreUnfit, errors.BackfleetError])
def test_what_is_not_the_callers_fault_is_not_told_in_detail(kind: type[BackfleetError]) -> None:
    error = kind("mongodb://root:hunter2@db refused")
    assert "hunter2" not in json.dumps(document_of(error))
    assert "hunter2" not in json.dumps(socket_errors(error))


@pytest.mark.parametrize(
    ("kind", "header"),
    [
        (errors.Unauthenticated, "www-authenticate"),
        (errors.TooMany, "retry-after"),
        (errors.BusUnavailable, "retry-after"),
    ],
)
def test_what_to_do_next_stands_in_a_header(kind: type[BackfleetError], header: str) -> None:
    assert header in respond(kind("why")).headers


def test_a_thousand_wrong_fields_do_not_become_a_huge_answer() -> None:
    many = errors.InvalidRequest("all wrong", [FieldError(f"f{n}", "wrong") for n in range(1_000)])
    assert len(document_of(many)["errors"]) == len(socket_errors(many)) == 100


def test_a_socket_always_gets_at_least_one_error() -> None:
    assert socket_errors(errors.Conflict("it exists")) == [{"field": "$", "message": "it exists", "code": "conflict"}]
