"""What came of a backtest, looked at closely, over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response

from api.analysis import POINTS_MIN
from api.commands import POINTS_MAX
from api.routes.backtests import BacktestPath
from api.routes.requests import Caller, new_router, written
from api.routes.result_answers import Analysis
from api.services import services_of

router = new_router()


@router.get(
    "/backtest/{backtest_id}/analysis",
    response_model=None,
    summary="Its result in curves and groups",
    description="Computed of what is stored: drawdown, returns by month and year, how trades are spread. What cannot "
    "be known is null, never 0. 409 while there is no result.",
    responses={200: {"model": Analysis}},
)
async def get_analysis(
    request: Request,
    backtest_id: BacktestPath,
    asker: Caller,
    max_points: Annotated[
        int, Query(alias="maxPoints", ge=POINTS_MIN, le=POINTS_MAX, description="Most of each curve.")
    ] = 2_000,
) -> Response:
    return written(await services_of(request).analyses.page(asker, backtest_id, max_points))
