"""Backtests as older clients ask for them: sessions that wait to be started, and runs that begin at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, NamedTuple

from fastapi import Path, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.convertors import StringConvertor, register_url_convertor

from api.commands import PAGE_MAX
from api.problems import MEDIA_TYPE, Problem
from api.routes.requests import RUNS_ROOT, SESSIONS_ROOT, Caller, described_body, new_router, read_body
from api.routes.session_answers import Acted, Run, Session, SessionCreated, SessionPage
from api.services import services_of
from api.session_requests import RUN_WORDS, CreateSession, RunRequest, run_request, session_request
from api.sessions import session_as_wire, state_of, word_for
from shared.contracts import CURSOR_PATTERN
from shared.controls import Action, ControlRequest, PlainCommand, StopCommand
from shared.instants import iso_from_ms
from shared.renaming import in_words
from shared.wire import decode, parse_json, validate


class _SessionConvertor(StringConvertor):
    """Any part of a path but the one at which sessions are created, which knows other methods."""

    regex = "(?!create$)[^/]+"


register_url_convertor("session", _SessionConvertor())
router = new_router(SESSIONS_ROOT)
runs_router = new_router(RUNS_ROOT)
SessionPath = Annotated[str, Path(description="Which session.", examples=["bt_01m7xy1ymv1kn41cwsxzn6z2tf"])]
_WORDS = {"backtestId": "sessionId"}


def _note(asked: str, used: str) -> dict[str, str]:
    """Where bars of another symbol are read than was written."""
    return {} if asked == used else {"note": f"there is no market data of {asked}; {used} is what was meant"}


@router.post(
    "/create",
    status_code=201,
    response_model=None,
    summary="Create a session",
    description="A backtest that waits until it is started. One that nobody starts is removed at `expiresAt`.",
    responses={201: {"model": SessionCreated}},
    openapi_extra=described_body(CreateSession),
)
async def create_session(request: Request, asker: Caller) -> Response:
    services = services_of(request)
    body = decode(CreateSession, await read_body(request))
    asked: str = body.model_dump(include={"symbol"})["symbol"]
    symbol = await services.commands.symbol_meant(asked)
    submitted = await services.commands.submit(
        asker,
        session_request(body, symbol),
        request.headers.get("idempotency-key"),
        keep_s=services.settings.session_idle_s,
    )
    record = submitted.record
    expires_at = record.get("expiresAt", 0)
    answer = {
        "sessionId": record["_id"],
        "status": word_for(record),
        "symbol": symbol,
        "strategies": record["params"]["strategies"],
        "expiresAt": iso_from_ms(expires_at) if expires_at else None,
        **_note(asked, symbol),
    }
    return JSONResponse(answer, 201, {"Location": f"{SESSIONS_ROOT}/{record['_id']}"})


@router.get(
    "",
    response_model=None,
    summary="List sessions",
    description="All of one's backtests, newest first.",
    responses={200: {"model": SessionPage}},
)
async def list_sessions(
    request: Request,
    asker: Caller,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="Most of one page.")] = 50,
    cursor: Annotated[str | None, Query(pattern=CURSOR_PATTERN, description="`nextCursor` of the page before.")] = None,
) -> Response:
    records, next_cursor = await services_of(request).commands.records(asker, limit=limit, cursor=cursor)
    return JSONResponse({"sessions": [session_as_wire(one) for one in records], "nextCursor": next_cursor})


@router.get(
    "/{session_id:session}",
    response_model=None,
    summary="Where a session stands",
    description="As of the newest that is known. One that runs is asked; `partial` is true where it does not answer in "
    "half a second. In `state` is what `backtest:state` says, of one that has ended what its result says.",
    responses={200: {"model": Session}},
)
async def get_session(request: Request, session_id: SessionPath, asker: Caller) -> Response:
    services = services_of(request)
    with in_words(_WORDS):
        state = await state_of(services.commands, services.relay, asker, session_id)
    return JSONResponse({"sessionId": session_id, "state": state})


@router.delete(
    "/{session_id:session}",
    status_code=204,
    response_model=None,
    summary="Delete a session",
    description="Ended or not, with its result and all that is kept of it.",
)
async def delete_session(request: Request, session_id: SessionPath, asker: Caller) -> Response:
    with in_words(_WORDS):
        await services_of(request).commands.delete(asker, session_id)
    return Response(status_code=204)


class _Way(NamedTuple):
    """One thing that can be done to a session."""

    name: str
    action: Action
    body: type[PlainCommand]
    summary: str
    description: str


_WAYS = (
    _Way("start", "resume", PlainCommand, "Start a session", "From its first bar on, or from where it was paused."),
    _Way("pause", "pause", PlainCommand, "Pause a session", "It stands still where it is."),
    _Way("resume", "resume", PlainCommand, "Let a session go on", "From where it was paused."),
    _Way("stop", "stop", StopCommand, "End a session", "With the result of the bars until there, if it had begun."),
)
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": Acted, "description": "It was done."},
    202: {"model": Acted, "description": "It is stored and will be done."},
    409: {
        "model": Problem,
        "content": {MEDIA_TYPE: {}},
        "description": "It makes no sense as things stand, or the session has ended: why is said.",
    },
}


def _handler(way: _Way) -> Callable[[Request, str, Caller], Awaitable[Response]]:
    async def act(request: Request, session_id: SessionPath, asker: Caller) -> Response:
        text = await read_body(request)
        body = validate(way.body, parse_json(text) if text else {})
        asked = validate(ControlRequest, body.model_dump(by_alias=True, exclude_unset=True) | {"action": way.action})
        with in_words(_WORDS):
            controlled = await services_of(request).commands.control(asker, session_id, asked)
        status = word_for(controlled.steered.record, controlled.as_wire()["status"])
        return JSONResponse({"sessionId": session_id, "status": status}, 202 if controlled.awaited else 200)

    return act


for _way in _WAYS:
    _body = described_body(_way.body)
    _body["requestBody"]["required"] = False
    router.add_api_route(
        f"/{{session_id}}/{_way.name}",
        _handler(_way),
        methods=["POST"],
        name=f"{_way.name}_session",
        response_model=None,
        summary=_way.summary,
        description=_way.description,
        responses=_ANSWERS,
        openapi_extra=_body,
    )


@runs_router.post(
    "/run",
    status_code=202,
    response_model=None,
    summary="Run a backtest",
    description="It begins as soon as a worker is free. What becomes of it is told over `/ws`.",
    responses={202: {"model": Run}},
    openapi_extra=described_body(RunRequest),
)
async def run(request: Request, asker: Caller) -> Response:
    commands = services_of(request).commands
    body = decode(RunRequest, await read_body(request))
    symbol = await commands.symbol_meant(body.symbol)
    with in_words(RUN_WORDS):
        submitted = await commands.submit(
            asker,
            run_request(body, symbol),
            request.headers.get("idempotency-key"),
            labels={"variant": body.variant, "timeframe": body.timeframe},
        )
    record = submitted.record
    answer = {"backtest_id": record["_id"], "status": record["status"], "symbol": symbol, **_note(body.symbol, symbol)}
    return JSONResponse(answer, 202)
