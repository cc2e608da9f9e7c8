"""Market data over HTTP: which there is, bring your own, bars to plot."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import WithJsonSchema
from starlette.requests import ClientDisconnect

from api.commands import import_as_wire
from api.market_data.uploads import ImportForm
from api.problems import respond
from api.routes.answers import CandleColumns, Datasets, Imported
from api.routes.requests import Caller, DataKeeper, new_router
from api.services import services_of
from shared.contracts import CANDLES_MAX, CandlesRequest
from shared.errors import TooLarge
from shared.instants import WRITTEN_SCHEMA, Interval
from shared.request import SYMBOL_PATTERN
from shared.wire import validate

router = new_router()
When = Annotated[str, WithJsonSchema(WRITTEN_SCHEMA)]


@router.get(
    "/data",
    response_model=None,
    summary="Market data there is",
    description="Every series. It belongs to nobody, so everybody sees all of it.",
    responses={200: {"model": Datasets}},
)
async def list_data(request: Request, _asker: Caller) -> Response:
    return JSONResponse({"items": await services_of(request).commands.list_datasets()})


_UPLOAD_SCHEMA = ImportForm.model_json_schema()
for _one in _UPLOAD_SCHEMA["properties"].values():
    if "anyOf" in _one:  # A form has no null: a field is there or it is not.
        _one |= _one.pop("anyOf")[0]
        del _one["default"]
_UPLOAD_SCHEMA["properties"]["file"] = {
    "type": "array",
    "minItems": 1,
    "items": {"type": "string", "format": "binary"},
    "description": "Files of bars, each a part with a file name.",
}
_UPLOAD_SCHEMA["required"] = ["file"]


@router.post(
    "/data/import",
    status_code=201,
    response_model=None,
    summary="Import files of bars",
    description="What a file is, is recognised; where it can be read in two ways, the refusal names the field that "
    "decides. Where one of several files is refused, none is imported.",
    responses={201: {"model": Imported}},
    openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _UPLOAD_SCHEMA}}}},
)
async def import_data(request: Request, _asker: DataKeeper) -> Response:
    try:
        reports = await services_of(request).uploads.import_form(dict(request.headers), request.stream())
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
    summary="Bars to plot",
    description="Made into longer ones where there are more than `maxPoints`. `ETag` names the exact bars.",
    responses={200: {"model": CandleColumns}, 304: {"description": "What `If-None-Match` names has not changed."}},
)
async def get_candles(
    request: Request,
    symbol: Annotated[str, Path(pattern=SYMBOL_PATTERN, description="Of which market.", examples=["AAPL"])],
    interval: Annotated[Interval, Path(description="Length of the bars.", examples=["1d"])],
    _asker: Caller,
    start: Annotated[When | None, Query(alias="from", description="First date or instant, inclusive.")] = None,
    end: Annotated[When | None, Query(alias="to", description="Last date or instant, exclusive.")] = None,
    max_points: Annotated[int, Query(alias="maxPoints", ge=2, le=CANDLES_MAX, description="Most bars.")] = 1_000,
) -> Response:
    query = {"from": start, "to": end, "maxPoints": max_points}
    commands = services_of(request).commands
    found = await commands.find_candles(symbol, interval, validate(CandlesRequest, query))
    headers = {"ETag": f'"{found.tag}"', "Cache-Control": "private, no-cache"}
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if known & {headers["ETag"], "*"}:
        return Response(status_code=304, headers=headers)
    return JSONResponse(await commands.read_candles(found), headers=headers)
