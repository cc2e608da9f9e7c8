"""What language models decide in backtests over HTTP: what it would cost, and what they decided."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response
from fastapi.responses import JSONResponse

from api.decisions import DECISIONS_PAGE_MAX
from api.routes.backtests import BacktestPath
from api.routes.llm_answers import DecisionPage, Estimate
from api.routes.requests import Caller, Reader, described_body, new_router, read_body
from api.services import services_of
from shared.request import BacktestRequest
from shared.wire import decode

router = new_router()


@router.post(
    "/backtest/estimate",
    response_model=None,
    summary="What a backtest would run on, take, ask language models, and cost",
    description="Starts and stores nothing. A request that could not run is refused as a submission would be.",
    responses={200: {"model": Estimate}},
    openapi_extra=described_body(BacktestRequest),
)
async def estimate(request: Request, asker: Reader) -> Response:
    body = decode(BacktestRequest, await read_body(request))
    return JSONResponse(await services_of(request).commands.estimate(asker, body))


@router.get(
    "/backtest/{backtest_id}/decisions",
    response_model=None,
    summary="What language models decided in it",
    description="While it runs and afterwards, by bar. Decisions go with their backtest when it is deleted; a replay "
    "that needs them fails then.",
    responses={200: {"model": DecisionPage}},
)
async def get_decisions(
    request: Request,
    backtest_id: BacktestPath,
    asker: Caller,
    after: Annotated[int, Query(ge=-1, le=2**53, description="`after` of the page before: only later bars.")] = -1,
    limit: Annotated[int, Query(ge=1, le=DECISIONS_PAGE_MAX, description="Most of one page.")] = 100,
    context: Annotated[bool, Query(description="Whether to add what was asked and answered, as it was sent.")] = False,
) -> Response:
    page = await services_of(request).decisions.page(asker, backtest_id, after=after, limit=limit, context=context)
    return JSONResponse(page)
