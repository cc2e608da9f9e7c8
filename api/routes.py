"""The HTTP edge: reads a request, calls one command, writes the answer."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.json_schema import models_json_schema
from starlette.requests import ClientDisconnect

from api.auth import Authenticator
from api.commands import PAGE_MAX, POINTS_MAX, TRADES_PAGE_MAX, Commands, import_as_wire
from api.market_data.uploads import ImportForm, Uploads
from api.problems import MEDIA_TYPE, RETRY_AFTER_S, Problem, problem_response, respond
from api.relay import Relay
from shared.bus import Bus
from shared.contracts import CANDLES_MAX, CandlesRequest, ValidateRequest
from shared.errors import BackfleetError, TooLarge
from shared.instants import Interval
from shared.mongo import Mongo
from shared.request import SYMBOL_PATTERN, BacktestRequest
from shared.results import Result
from shared.wire import decode, validate

READY_TIMEOUT_S = 3.0
ROOT = "/api/algo"
_SCHEMAS = "#/components/schemas/{model}"


class Answer(BaseModel):
    """Base of what is described in /docs. Answers are built by hand; tests hold them against these models."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class Accepted(Answer):
    backtest_id: str
    status: str = Field(description="`pending`")


class Backtest(Answer):
    backtest_id: str
    status: str = Field(description="`pending`, `running`, `paused`, `completed`, `failed` or `stopped`")
    progress: float = Field(description="0 to 100")
    priority: int
    params: dict[str, Any]
    epoch: int = Field(description="How many times a worker has claimed it.")
    failures: int = Field(description="How many of its runs crashed.")
    created_at: str
    updated_at: str
    started_at: str | None
    completed_at: str | None
    result_id: str | None
    dataset_hash: str | None
    error: dict[str, Any] | None = Field(description="`code`, `message` and `errors` of a backtest that failed.")


class BacktestPage(Answer):
    items: list[Backtest]
    next_cursor: str | None = Field(description="`cursor` of the next page; null at the end.")


class EquityPoint(Answer):
    time: str
    equity: float


class Equity(Answer):
    points: list[EquityPoint]


class TradePage(Answer):
    items: list[dict[str, Any]]
    total: int
    limit: int
    offset: int


class Word(Answer):
    name: str
    description: str


class FunctionDescription(Word):
    signature: str
    returns: Literal["number", "condition"]


class Language(Answer):
    """What a condition written as text can name."""

    series: list[Word]
    functions: list[FunctionDescription]


class StrategyDescription(Answer):
    id: str
    name: str
    description: str
    aliases: list[str]
    form: str = Field(description="`signals` for all bars at once, or `decide`: asked bar by bar.")
    every: int | None = Field(description="At every how many bars it decides by default; null for `signals`.")
    parameters_schema: dict[str, Any]
    default_parameters: dict[str, Any]
    language: Language | None = Field(default=None, description="Only where parameters are conditions written as text.")


class Validation(Answer):
    valid: bool
    errors: list[dict[str, str]]


class Datasets(Answer):
    items: list[dict[str, Any]]


class Imported(Answer):
    items: list[dict[str, Any]] = Field(description="One report for each series in the files.")


class CandleColumns(Answer):
    """One entry per bar in each column. Bars longer than the interval begin at multiples of `bucketMs` since 1970; the
    first and the last hold what of them lies in the range.
    """

    symbol: str
    interval: str
    start: str = Field(description="First bar's time.")
    end: str = Field(description="Where the last bar ends.")
    bars: int = Field(description="How many bars of the interval there are from start to end.")
    dataset_hash: str
    resampled_from: str | None = Field(description="Interval of the stored bars, where they are finer.")
    resampled: bool = Field(description="Whether the bars sent are longer than the interval.")
    bucket_ms: int = Field(description="How long they are: a multiple of the interval.")
    time: list[str]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[float]


async def caller(request: Request) -> str:
    """The user whose token the request carries. Raises `Unauthenticated`."""
    authenticator: Authenticator = request.app.state.authenticator
    return (await authenticator.identify_header(request.headers.get("authorization"))).user_id


def commands_of(request: Request) -> Commands:
    return request.app.state.commands


Caller = Annotated[str, Depends(caller)]
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "content": {MEDIA_TYPE: {}}, "description": "What to mend, field by field."},
    "5XX": {"model": Problem, "content": {MEDIA_TYPE: {}}, "description": "Not your fault; try again."},
}
router = APIRouter(prefix=ROOT, responses=_PROBLEMS)
operations = APIRouter()


def _body(model: type[BaseModel]) -> dict[str, Any]:
    """What /docs says of a body that the handler reads by itself, with a bound and with better field paths."""
    schema = {"$ref": _SCHEMAS.format(model=model.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _written(text: str) -> Response:
    """The answer whose JSON is written already."""
    return Response(text, media_type="application/json")


_IDEMPOTENCY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same user and key give the same backtest, however often the request is sent.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
}


async def read_body(request: Request) -> bytes:
    """Raises `TooLarge` as soon as the body is known to exceed the bound, without reading the rest."""
    limit: int = request.app.state.settings.request_max_bytes
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise TooLarge(f"the body has {int(declared)} bytes, the most allowed is {limit}")
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise TooLarge(f"the body has more than {limit} bytes, the most allowed")
        parts.append(part)
    return b"".join(parts)


@router.post(
    "/backtest",
    status_code=202,
    response_model=None,
    summary="Submit a backtest",
    responses={202: {"model": Accepted}},
    openapi_extra=_body(BacktestRequest) | {"parameters": [_IDEMPOTENCY_HEADER]},
)
async def submit(request: Request, user_id: Caller) -> Response:
    body = decode(BacktestRequest, await read_body(request))
    key = request.headers.get("idempotency-key")
    backtest_id = await commands_of(request).submit(user_id, body, key)
    relay: Relay = request.app.state.relay
    relay.watch(backtest_id, user_id)
    location = {"Location": f"{ROOT}/backtest/{backtest_id}"}
    return JSONResponse({"backtestId": backtest_id, "status": "pending"}, 202, location)


@router.get("/backtest", response_model=None, summary="List backtests", responses={200: {"model": BacktestPage}})
async def list_backtests(
    request: Request,
    user_id: Caller,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    status: Annotated[str | None, Query(max_length=80)] = None,
) -> Response:
    page = await commands_of(request).list_backtests(user_id, status=status, limit=limit, cursor=cursor)
    return JSONResponse({"items": page.items, "nextCursor": page.next_cursor})


@router.get("/backtest/{backtest_id}", response_model=None, summary="One", responses={200: {"model": Backtest}})
async def get_backtest(request: Request, backtest_id: str, user_id: Caller) -> Response:
    return JSONResponse(await commands_of(request).get(user_id, backtest_id))


@router.delete("/backtest/{backtest_id}", status_code=204, response_model=None, summary="Delete, ended or not")
async def delete_backtest(request: Request, backtest_id: str, user_id: Caller) -> Response:
    await commands_of(request).delete(user_id, backtest_id)
    return Response(status_code=204)


@router.get(
    "/backtest/{backtest_id}/result",
    response_model=None,
    summary="Result; 409 while there is none",
    responses={200: {"model": Result}},
)
async def get_result(request: Request, backtest_id: str, user_id: Caller) -> Response:
    return JSONResponse(await commands_of(request).result(user_id, backtest_id))


@router.get(
    "/backtest/{backtest_id}/equity",
    response_model=None,
    summary="Equity curve, thinned to what a plot needs",
    responses={200: {"model": Equity}},
)
async def get_equity(
    request: Request,
    backtest_id: str,
    user_id: Caller,
    max_points: Annotated[int, Query(alias="maxPoints", ge=2, le=POINTS_MAX)] = 2_000,
) -> Response:
    return _written(await commands_of(request).equity(user_id, backtest_id, max_points))


@router.get(
    "/backtest/{backtest_id}/trades",
    response_model=None,
    summary="Trades in the order they were closed",
    responses={200: {"model": TradePage}},
)
async def get_trades(
    request: Request,
    backtest_id: str,
    user_id: Caller,
    limit: Annotated[int, Query(ge=1, le=TRADES_PAGE_MAX)] = 500,
    offset: Annotated[int, Query(ge=0, le=2**53)] = 0,
) -> Response:
    return _written(await commands_of(request).trades(user_id, backtest_id, limit=limit, offset=offset))


@router.get(
    "/strategies",
    response_model=None,
    summary="Strategies and their parameters",
    responses={200: {"model": list[StrategyDescription]}},
)
async def list_strategies(request: Request, _user_id: Caller) -> Response:
    return JSONResponse(commands_of(request).strategies())


@router.post(
    "/strategies/validate",
    response_model=None,
    summary="Check a strategy's parameters",
    responses={200: {"model": Validation}},
    openapi_extra=_body(ValidateRequest),
)
async def validate_strategy(request: Request, _user_id: Caller) -> Response:
    body = decode(ValidateRequest, await read_body(request))
    errors = commands_of(request).validate_strategy(body)
    return JSONResponse({"valid": not errors, "errors": errors})


@router.get("/data", response_model=None, summary="Market data there is", responses={200: {"model": Datasets}})
async def list_data(request: Request, _user_id: Caller) -> Response:
    return JSONResponse({"items": await commands_of(request).datasets()})


_UPLOAD_SCHEMA = ImportForm.model_json_schema()
_UPLOAD_SCHEMA["properties"]["file"] = {"type": "array", "items": {"type": "string", "format": "binary"}}
_UPLOAD_SCHEMA["required"] = ["file"]


@router.post(
    "/data/import",
    status_code=201,
    response_model=None,
    summary="Import files of bars",
    responses={201: {"model": Imported}},
    openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _UPLOAD_SCHEMA}}}},
)
async def import_data(request: Request, _user_id: Caller) -> Response:
    uploads: Uploads = request.app.state.uploads
    try:
        reports = await uploads.import_form(dict(request.headers), request.stream())
    except TooLarge as error:
        answer = respond(error)
        answer.headers["Connection"] = "close"  # else the server would read, and drop, all that is still to come
        return answer
    except ClientDisconnect:
        return Response(status_code=400)  # which nobody reads
    return JSONResponse({"items": [import_as_wire(report) for report in reports]}, 201)


@router.get(
    "/data/{symbol:path}/{interval}/candles",
    response_model=None,
    summary="Bars to plot, made into longer ones where there are many",
    responses={200: {"model": CandleColumns}, 304: {"description": "What `If-None-Match` names has not changed."}},
)
async def get_candles(
    request: Request,
    symbol: Annotated[str, Path(pattern=SYMBOL_PATTERN)],
    interval: Interval,
    _user_id: Caller,
    start: Annotated[str | None, Query(alias="from", description="First date or instant, inclusive.")] = None,
    end: Annotated[str | None, Query(alias="to", description="Exclusive.")] = None,
    max_points: Annotated[int, Query(alias="maxPoints", ge=2, le=CANDLES_MAX)] = 1_000,
) -> Response:
    query = {"from": start, "to": end, "maxPoints": max_points}
    commands = commands_of(request)
    found = await commands.find_candles(symbol, interval, validate(CandlesRequest, query))
    headers = {"ETag": f'"{found.tag}"', "Cache-Control": "private, no-cache"}
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if known & {headers["ETag"], "*"}:
        return Response(status_code=304, headers=headers)
    return JSONResponse(await commands.read_candles(found), headers=headers)


@operations.get("/healthz", response_model=None, summary="Whether the process lives")
async def healthz() -> Response:
    return JSONResponse({"status": "ok"})


@operations.get("/readyz", response_model=None, summary="Whether requests can be served")
async def readyz(request: Request) -> Response:
    failing = await failing_parts(request.app.state.mongo, request.app.state.bus, request.app.state.relay)
    if failing:
        detail = f"not ready: {', '.join(failing)}"
        return problem_response(503, "unavailable", detail, headers={"Retry-After": str(RETRY_AFTER_S)})
    return JSONResponse({"status": "ready"})


async def failing_parts(mongo: Mongo, bus: Bus, relay: Relay) -> list[str]:
    """Which of what the gateway needs does not answer; known within `READY_TIMEOUT_S`."""
    failing = [] if relay.listening else ["relay"]
    parts = {"store": mongo.ping(), "bus": bus.ping()}

    async def check(name: str) -> None:
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                await parts[name]
        except (BackfleetError, TimeoutError):
            failing.append(name)

    await asyncio.gather(*(check(name) for name in parts))
    return sorted(failing)


def describe(app: FastAPI, version: str) -> None:
    """Completes /docs with the bodies that handlers read by themselves, and with how to sign in."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title="backfleet", version=version, routes=app.routes)
            _, bodies = models_json_schema(
                [(BacktestRequest, "validation"), (ValidateRequest, "validation")], by_alias=True, ref_template=_SCHEMAS
            )
            components = schema.setdefault("components", {})
            components.setdefault("schemas", {}).update(bodies["$defs"])
            components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
            for path, operations_of_path in schema["paths"].items():
                if path.startswith(ROOT):
                    for operation in operations_of_path.values():
                        operation["security"] = [{"token": []}]
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = document
