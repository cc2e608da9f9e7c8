"""What came of a backtest, looked at closely, over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response

from api.analysis import POINTS_MIN
from api.commands import POINTS_MAX
from api.exporting.exports import Asked, ExportFormat
from api.exporting.tables import TableName
from api.routes.backtests import BacktestPath
from api.routes.downloads import Download
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


@router.get(
    "/backtest/{backtest_id}/export",
    response_model=None,
    summary="Take it along",
    description="A file, sent as it is made. `csv` and `parquet`: one table. `json`: all there is. `html`: a page that "
    "needs nobody to be read, with the first 20,000 trades. Texts of CSV that a spreadsheet would take for a formula "
    "have an apostrophe before them. 409 while there is no result; 501 where the gateway lacks what a format needs.",
    responses={
        200: {
            "description": "The file.",
            "content": {
                "application/json": {"schema": {"type": "object"}},
                "text/csv": {"schema": {"type": "string"}},
                "text/html": {"schema": {"type": "string"}},
                "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
)
async def export(
    request: Request,
    backtest_id: BacktestPath,
    asker: Caller,
    form: Annotated[ExportFormat, Query(alias="format", description="What kind of file.")] = "json",
    table: Annotated[
        TableName | None, Query(description="Which table, of csv and parquet: `trades` where it is left out.")
    ] = None,
    context: Annotated[
        bool, Query(description="Whether to add to decisions what was asked and answered, as it was sent.")
    ] = False,
) -> Response:
    return Download(await services_of(request).exports.open(asker, backtest_id, Asked(form, table, context)))
