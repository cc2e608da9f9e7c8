"""Backtests over HTTP: submit, look at, delete; and what came of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response
from fastapi.responses import JSONResponse

from api.commands import PAGE_MAX, POINTS_MAX, TRADES_PAGE_MAX
from api.routes.answers import Accepted, Backtest, BacktestPage, Equity, TradePage
from api.routes.requests import ROOT, Caller, described_body, new_router, read_body
from api.services import services_of
from shared.request import BacktestRequest
from shared.results import Result
from shared.wire import decode

router = new_router()
_IDEMPOTENCY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same user and key give the same backtest, however often the request is sent.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
}


def _written(text: str) -> Response:
    """The answer whose JSON is written already."""
    return Response(text, media_type="application/json")


@router.post(
    "/backtest",
    status_code=202,
    response_model=None,
    summary="Submit a backtest",
    responses={202: {"model": Accepted}},
    openapi_extra=described_body(BacktestRequest) | {"parameters": [_IDEMPOTENCY_HEADER]},
)
async def submit(request: Request, asker: Caller) -> Response:
    body = decode(BacktestRequest, await read_body(request))
    key = request.headers.get("idempotency-key")
    backtest_id = await services_of(request).commands.submit(asker, body, key)
    location = {"Location": f"{ROOT}/backtest/{backtest_id}"}
    return JSONResponse({"backtestId": backtest_id, "status": "pending"}, 202, location)


@router.get("/backtest", response_model=None, summary="List backtests", responses={200: {"model": BacktestPage}})
async def list_backtests(
    request: Request,
    asker: Caller,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    status: Annotated[str | None, Query(max_length=80)] = None,
    symbol: Annotated[str | None, Query(max_length=80)] = None,
) -> Response:
    page = await services_of(request).commands.list_backtests(
        asker, status=status, symbol=symbol, limit=limit, cursor=cursor
    )
    return JSONResponse({"items": page.items, "nextCursor": page.next_cursor})


@router.get("/backtest/{backtest_id}", response_model=None, summary="One", responses={200: {"model": Backtest}})
async def get_backtest(request: Request, backtest_id: str, asker: Caller) -> Response:
    return JSONResponse(await services_of(request).commands.get(asker, backtest_id))


@router.delete("/backtest/{backtest_id}", status_code=204, response_model=None, summary="Delete, ended or not")
async def delete_backtest(request: Request, backtest_id: str, asker: Caller) -> Response:
    await services_of(request).commands.delete(asker, backtest_id)
    return Response(status_code=204)


@router.get(
    "/backtest/{backtest_id}/result",
    response_model=None,
    summary="Result; 409 while there is none",
    responses={200: {"model": Result}},
)
async def get_result(request: Request, backtest_id: str, asker: Caller) -> Response:
    return JSONResponse(await services_of(request).commands.result(asker, backtest_id))


@router.get(
    "/backtest/{backtest_id}/equity",
    response_model=None,
    summary="Equity curve, thinned to what a plot needs",
    responses={200: {"model": Equity}},
)
async def get_equity(
    request: Request,
    backtest_id: str,
    asker: Caller,
    max_points: Annotated[int, Query(alias="maxPoints", ge=2, le=POINTS_MAX)] = 2_000,
) -> Response:
    return _written(await services_of(request).commands.equity(asker, backtest_id, max_points))


@router.get(
    "/backtest/{backtest_id}/trades",
    response_model=None,
    summary="Trades in the order they were closed",
    responses={200: {"model": TradePage}},
)
async def get_trades(
    request: Request,
    backtest_id: str,
    asker: Caller,
    limit: Annotated[int, Query(ge=1, le=TRADES_PAGE_MAX)] = 500,
    offset: Annotated[int, Query(ge=0, le=2**53)] = 0,
) -> Response:
    return _written(await services_of(request).commands.trades(asker, backtest_id, limit=limit, offset=offset))
