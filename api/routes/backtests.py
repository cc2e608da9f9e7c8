"""Backtests over HTTP: submit, look at, delete; and what came of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query, Request, Response
from fastapi.responses import JSONResponse

from api.commands import LOGS_PAGE_MAX, PAGE_MAX, POINTS_MAX, TRADES_PAGE_MAX
from api.routes.answers import Accepted, Backtest, BacktestPage, Equity, LogPage, StatusName, TradePage
from api.routes.data_answers import RunCandles
from api.routes.plotting import First, Last, MaxPoints, unless_known
from api.routes.requests import ROOT, Caller, described_body, new_router, read_body, written
from api.services import services_of
from api.trades import Choice, Direction, ReasonName, Side, TradeOutcome, TradeSort
from shared.contracts import CURSOR_PATTERN, CandlesRequest
from shared.request import SYMBOL_PATTERN, BacktestRequest
from shared.results import Result
from shared.wire import decode, validate

router = new_router()
BacktestPath = Annotated[str, Path(description="Which backtest.", examples=["bt_01m7xy1ymv1kn41cwsxzn6z2tf"])]
_IDEMPOTENCY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same user and key give the same backtest, however often the request is sent. The answer says "
    "how it stands now.",
    "schema": {"type": "string", "pattern": r"^[ -~]{1,200}$", "examples": ["order-4711"]},
}


@router.post(
    "/backtest",
    status_code=202,
    response_model=None,
    summary="Submit a backtest",
    description="Stored before it is answered: from here on it cannot vanish. Watch it over Socket.IO, or ask for it.",
    responses={
        202: {"model": Accepted, "description": "It was taken in, now or by an earlier request with this key."},
        200: {"model": Accepted, "description": "An earlier request with this key was for it, and it has ended."},
    },
    openapi_extra=described_body(BacktestRequest) | {"parameters": [_IDEMPOTENCY_HEADER]},
)
async def submit(request: Request, asker: Caller) -> Response:
    body = decode(BacktestRequest, await read_body(request))
    key = request.headers.get("idempotency-key")
    submitted = await services_of(request).commands.submit(asker, body, key)
    location = {"Location": f"{ROOT}/backtest/{submitted.backtest_id}"}
    return JSONResponse(submitted.as_wire(), 200 if submitted.ended else 202, location)


@router.get(
    "/backtest",
    response_model=None,
    summary="List backtests",
    description="One's own, newest first.",
    responses={200: {"model": BacktestPage}},
)
async def list_backtests(
    request: Request,
    asker: Caller,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="Most of one page.")] = 50,
    cursor: Annotated[str | None, Query(pattern=CURSOR_PATTERN, description="`nextCursor` of the page before.")] = None,
    status: Annotated[StatusName | None, Query(description="Only those that stand so.", examples=["running"])] = None,
    symbol: Annotated[
        str | None, Query(pattern=SYMBOL_PATTERN, description="Only those of this symbol.", examples=["AAPL"])
    ] = None,
) -> Response:
    page = await services_of(request).commands.list_backtests(
        asker, status=status, symbol=symbol, limit=limit, cursor=cursor
    )
    return JSONResponse({"items": page.items, "nextCursor": page.next_cursor})


@router.get(
    "/backtest/{backtest_id}",
    response_model=None,
    summary="One backtest",
    description="How it stands. Somebody else's is not found.",
    responses={200: {"model": Backtest}},
)
async def get_backtest(request: Request, backtest_id: BacktestPath, asker: Caller) -> Response:
    return JSONResponse(await services_of(request).commands.get(asker, backtest_id))


@router.delete(
    "/backtest/{backtest_id}",
    status_code=204,
    response_model=None,
    summary="Delete a backtest",
    description="Ended or not, with its result and all that is kept of it.",
)
async def delete_backtest(request: Request, backtest_id: BacktestPath, asker: Caller) -> Response:
    await services_of(request).commands.delete(asker, backtest_id)
    return Response(status_code=204)


@router.get(
    "/backtest/{backtest_id}/result",
    response_model=None,
    summary="Its result",
    description="409 while there is none, or where there will be none: why is said.",
    responses={200: {"model": Result}},
)
async def get_result(request: Request, backtest_id: BacktestPath, asker: Caller) -> Response:
    return JSONResponse(await services_of(request).commands.result(asker, backtest_id))


@router.get(
    "/backtest/{backtest_id}/equity",
    response_model=None,
    summary="Its equity curve",
    description="Thinned to what a plot needs: first, last, and each stretch's lowest and highest.",
    responses={200: {"model": Equity}},
)
async def get_equity(
    request: Request,
    backtest_id: BacktestPath,
    asker: Caller,
    max_points: Annotated[int, Query(alias="maxPoints", ge=2, le=POINTS_MAX, description="Most of them.")] = 2_000,
) -> Response:
    return written(await services_of(request).commands.equity(asker, backtest_id, max_points))


@router.get(
    "/backtest/{backtest_id}/trades",
    response_model=None,
    summary="Its trades",
    description="In the order they were closed, or as `sort` says; equal ones as they were closed. `index` is the "
    "number of each in that order, from 0; `total` counts those that were chosen.",
    responses={200: {"model": TradePage}},
)
async def get_trades(
    request: Request,
    backtest_id: BacktestPath,
    asker: Caller,
    limit: Annotated[int, Query(ge=1, le=TRADES_PAGE_MAX, description="Most of one page.")] = 500,
    offset: Annotated[int, Query(ge=0, le=2**53, description="How many to leave out before the first.")] = 0,
    sort: Annotated[TradeSort, Query(description="By which field of a trade.", examples=["pnl"])] = "index",
    order: Annotated[Direction, Query(description="The smallest first, or the largest.")] = "asc",
    side: Annotated[Side | None, Query(description="Only those.")] = None,
    outcome: Annotated[TradeOutcome | None, Query(description="Only those with a pnl above zero, or below.")] = None,
    exit_reason: Annotated[
        ReasonName | None, Query(alias="exitReason", description="Only those that closed so.")
    ] = None,
) -> Response:
    choice = Choice(sort, order, side, outcome, exit_reason)
    page = await services_of(request).commands.trades(asker, backtest_id, limit=limit, offset=offset, choice=choice)
    return written(page)


@router.get(
    "/backtest/{backtest_id}/logs",
    response_model=None,
    summary="What its runs logged",
    description="While it runs and afterwards: at most 200 lines a second and 10,000 a run. A run that another worker "
    "took up goes on where it was taken up; lines that were logged again by then are not told twice.",
    responses={200: {"model": LogPage}},
)
async def get_logs(
    request: Request,
    backtest_id: BacktestPath,
    asker: Caller,
    after: Annotated[int, Query(ge=0, le=2**53, description="`after` of the page before: only later lines.")] = 0,
    limit: Annotated[int, Query(ge=1, le=LOGS_PAGE_MAX, description="Most of one page.")] = 500,
) -> Response:
    return JSONResponse(await services_of(request).commands.logs(asker, backtest_id, after=after, limit=limit))


@router.get(
    "/backtest/{backtest_id}/candles",
    response_model=None,
    summary="Its bars, to plot",
    description="Those that it reads or has read, whatever was imported since, with the indicators of its strategies "
    "as they are shown while it runs. Made into longer ones where there are more than `maxPoints`. `ETag` names them. "
    "409 `data_changed` where they cannot be had any more.",
    responses={200: {"model": RunCandles}, 304: {"description": "What `If-None-Match` names has not changed."}},
)
async def get_candles(
    request: Request,
    backtest_id: BacktestPath,
    asker: Caller,
    start: First = None,
    end: Last = None,
    max_points: MaxPoints = 1_000,
    indicators: Annotated[bool, Query(description="Whether to compute them.")] = True,
) -> Response:
    asked = validate(CandlesRequest, {"from": start, "to": end, "maxPoints": max_points})
    charts = services_of(request).charts
    found = await charts.find_of_run(asker, backtest_id, asked, indicators=indicators)
    return await unless_known(request, found.tag, lambda: charts.read_of_run(found))
