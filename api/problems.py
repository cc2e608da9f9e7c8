"""RFC 9457 problem documents: the one form in which the gateway refuses, over HTTP and over sockets."""

from __future__ import annotations

import http
import logging
import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from api.lacking import NotInstalled
from shared.errors import (
    BackfleetError,
    Busy,
    Conflict,
    ExchangeUnavailable,
    FieldError,
    Forbidden,
    ImportRefused,
    InvalidRequest,
    MalformedMessage,
    NotFound,
    Refusal,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
    summary,
)
from shared.outage import StoreAway
from shared.wording import worded

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2
_ERRORS_MAX = 100
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_SILENT = "A server behind the gateway does not answer; try again"
_SURPRISE = "Something went wrong on our side; it was logged"
# As RFC 9110 calls them: Python has other names before 3.13.
_TITLES = {413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable", 422: "Unprocessable Content"}

# The first class that fits decides, so subclasses stand before their parents.
_STATUS: tuple[tuple[type[BackfleetError], int], ...] = (
    (MalformedMessage, 400),
    (InvalidRequest, 422),
    (ImportRefused, 422),
    (NotFound, 404),
    (Conflict, 409),
    (TooLarge, 413),
    (TooMany, 429),
    (Unauthenticated, 401),
    (Forbidden, 403),
    (Refusal, 400),
    (NotInstalled, 501),
    (Unavailable, 503),
)


class ProblemChoice(BaseModel):
    """One answer to a question."""

    value: str = Field(description="What to send in the field.", examples=["dmy"])
    label: str = Field(description="What it means, for people.", examples=["Day first: 31/12/2024"])


class ProblemField(BaseModel):
    """One thing that is wrong, or is asked."""

    field: str = Field(description="Dotted path as the caller wrote it.", examples=["strategyParams.sma.fast"])
    message: str = Field(description="What is wrong with it, and what to write.")
    code: str = Field(description="Stable machine-readable name; `choose` of a question.")
    choices: list[ProblemChoice] | None = Field(
        default=None, description="Answers that will do, all or the likely ones; only where there are such."
    )


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    type: str = Field(description="`urn:backfleet:problem:` and the code.")
    title: str = Field(description="What the status means.", examples=["Unprocessable Entity"])
    status: int = Field(description="As in the status line.", examples=[422])
    detail: str = Field(description="What is wrong and what to do, for people.")
    code: str = Field(description="Stable machine-readable name.", examples=["invalid_request"])
    errors: list[ProblemField] = Field(description="Field by field; empty where it is no field's fault.")


def status_of(error: BackfleetError) -> int:
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def problem(status: int, code: str, detail: str, errors: tuple[FieldError, ...] = ()) -> dict[str, Any]:
    """The document's fields. At most `_ERRORS_MAX` field errors are listed."""
    return {
        "type": f"urn:backfleet:problem:{code}",
        "title": _TITLES.get(status) or http.HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "errors": [one.as_wire() for one in errors[:_ERRORS_MAX]],
    }


def problem_response(
    status: int, code: str, detail: str, errors: tuple[FieldError, ...] = (), headers: Mapping[str, str] | None = None
) -> JSONResponse:
    content = problem(status, code, detail, errors)
    return JSONResponse(content, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def respond(error: BackfleetError) -> JSONResponse:
    """The answer to an error of ours."""
    content = problem_of(error)
    status = content["status"]
    headers: dict[str, str] = {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="backfleet", error="invalid_token"'
    elif status in (429, 503):
        known_s = error.retry_after_s if isinstance(error, TooMany) else None
        headers["Retry-After"] = str(RETRY_AFTER_S if known_s is None else max(1, math.ceil(known_s)))
    return JSONResponse(content, status, headers=headers, media_type=MEDIA_TYPE)


def problem_of(error: BackfleetError) -> dict[str, Any]:
    """The document of an error of ours. Details of what is not the caller's to mend stay in the log."""
    if isinstance(error, ImportRefused):
        error = error.for_form()
    status, detail = status_of(error), error.message
    if status == 500:
        log.error("answered 500: %s: %s", type(error).__name__, error.message)
        return problem(500, "internal", _SURPRISE)
    if status == 503 and not isinstance(error, Busy | ExchangeUnavailable):
        if not isinstance(error, StoreAway):
            log.warning("answered 503: %s", error.message)
        detail = _SILENT
    return problem(status, error.code, detail, error.errors)


def socket_errors(error: BackfleetError) -> list[dict[str, str]]:
    """The `errors` of a socket's acknowledgement; never empty."""
    if isinstance(error, Refusal):
        if error.errors:
            return [one.as_wire() for one in error.errors[:_ERRORS_MAX]]
        return [FieldError("$", error.message, error.code).as_wire()]
    if not isinstance(error, StoreAway):
        log.warning("answered a socket with %s: %s", error.code, error.message)
    message = _SILENT if isinstance(error, Unavailable) else _SURPRISE
    return [FieldError("$", message, error.code).as_wire()]


async def _on_backfleet_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, BackfleetError)
    return respond(error)


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    detail = {404: "No such path", 405: "This path does not know this method"}.get(error.status_code, error.detail)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(methods_of(request))
        detail = f"{detail}; it knows {headers['Allow']}"
    return problem_response(error.status_code, code, detail, headers=headers)


def methods_of(request: Request) -> list[str]:
    """All that the path of a request knows. Starlette names those of the first route that fits, and there may be one
    route for each method, all in the first router that fits: what a later one takes for an id is a word here."""
    scope = request.scope
    first = next(router for router in request.app.routes if router.matches(scope)[0] is not Match.NONE)
    return [method for method in _METHODS if first.matches({**scope, "method": method})[0] is Match.FULL]


async def _on_validation_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = tuple(
        FieldError(".".join(str(part) for part in item["loc"][1:]) or "$", worded(item), item["type"])
        for item in error.errors()
    )
    return problem_response(422, "invalid_request", summary(found), found)


async def _on_surprise(_request: Request, _error: Exception) -> JSONResponse:
    return problem_response(500, "internal", _SURPRISE)


def install_problems(app: FastAPI) -> None:
    """Makes every error answer of the application a problem document."""
    app.add_exception_handler(BackfleetError, _on_backfleet_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(Exception, _on_surprise)
