"""Market data over HTTP: which there is, bring your own, bars to plot."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Path, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from api.market_data.fetches import Begun, FetchRequest, list_exchanges
from api.market_data.library import GAPS_MAX, import_as_wire
from api.market_data.uploads import ImportForm
from api.problems import respond
from api.routes.answers import CandleColumns, Datasets, Imported
from api.routes.data_answers import Exchanges, FetchLine, SeriesGaps
from api.routes.plotting import First, Last, MaxPoints, unless_known
from api.routes.requests import Caller, DataKeeper, described_body, new_router, read_body
from api.services import services_of
from shared.contracts import CandlesRequest
from shared.errors import TooLarge
from shared.instants import Interval
from shared.request import SYMBOL_PATTERN
from shared.wire import decode, validate

router = new_router()
NDJSON = "application/x-ndjson"
SymbolPath = Annotated[str, Path(pattern=SYMBOL_PATTERN, description="Of which market.", examples=["AAPL"])]
IntervalPath = Annotated[Interval, Path(description="Length of the bars.", examples=["1d"])]


@router.get(
    "/data",
    response_model=None,
    summary="Market data there is",
    description="Every series. It belongs to nobody, so everybody sees all of it.",
    responses={200: {"model": Datasets}},
)
async def list_data(request: Request, _asker: Caller) -> Response:
    return JSONResponse({"items": await services_of(request).library.list_series()})


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


class FetchResponse(StreamingResponse):
    """The lines of a fetch. Whoever goes away cancels it, also while one is being sent: the generator of lines, which
    then stands still, would not hear of it."""

    def __init__(self, begun: Begun) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(begun.lines, media_type=NDJSON, headers=headers)
        self._begun = begun

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._begun.cancel()


@router.get(
    "/data/exchanges",
    response_model=None,
    summary="Exchanges to fetch from",
    description="Whose candles `POST …/data/fetch` can ask for, or what is missing for that.",
    responses={200: {"model": Exchanges}},
)
async def get_exchanges(_request: Request, _asker: Caller) -> Response:
    return JSONResponse(await asyncio.to_thread(list_exchanges))


@router.post(
    "/data/fetch",
    response_model=None,
    summary="Fetch bars from an exchange",
    description="Finished candles, stored as one import once all are there. Lines of JSON tell how far it is; the last "
    "one has what was `imported`, or the `problem`. Whoever breaks off stores nothing. One at a time for each user.",
    responses={200: {"content": {NDJSON: {"schema": FetchLine.model_json_schema()}}, "description": "It has begun."}},
    openapi_extra=described_body(FetchRequest),
)
async def fetch_data(request: Request, asker: DataKeeper) -> Response:
    asked = decode(FetchRequest, await read_body(request))
    return FetchResponse(await services_of(request).fetches.begin(asker.user_id, asked))


@router.get(
    "/data/{symbol:path}/{interval}/candles",
    response_model=None,
    summary="Bars to plot",
    description="Made into longer ones where there are more than `maxPoints`. `ETag` names the exact bars.",
    responses={200: {"model": CandleColumns}, 304: {"description": "What `If-None-Match` names has not changed."}},
)
async def get_candles(
    request: Request,
    symbol: SymbolPath,
    interval: IntervalPath,
    _asker: Caller,
    start: First = None,
    end: Last = None,
    max_points: MaxPoints = 1_000,
) -> Response:
    asked = validate(CandlesRequest, {"from": start, "to": end, "maxPoints": max_points})
    charts = services_of(request).charts
    found = await charts.find(symbol, interval, asked)
    return await unless_known(request, found.tag, lambda: charts.read(found))


@router.get(
    "/data/{symbol:path}/{interval}/gaps",
    response_model=None,
    summary="What is missing in a series",
    description="Judged as a backtest's warning of missing bars is: what the series' own hours or its calendar say is "
    "closed is not missing, nor what may be holidays.",
    responses={200: {"model": SeriesGaps}},
)
async def get_gaps(
    request: Request,
    symbol: SymbolPath,
    interval: IntervalPath,
    _asker: Caller,
    limit: Annotated[int, Query(ge=1, le=GAPS_MAX, description="Most gaps; of more, the largest.")] = 1_000,
) -> Response:
    return JSONResponse(await services_of(request).library.gaps(symbol, interval, limit))


class _LastOfSeries(Convertor[str]):
    """An interval, or what is to be refused as one; not a word that asks for something of a series."""

    regex = "(?!(?:candles|gaps)$)[^/]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("last_of_series", _LastOfSeries())


@router.delete(
    "/data/{symbol:path}/{interval:last_of_series}",
    status_code=204,
    response_model=None,
    summary="Remove a series",
    description="Nobody finds it any more. Results keep the bars that they were made of. 409 while backtests that have "
    "not ended read it: it names some.",
)
async def remove_data(request: Request, symbol: SymbolPath, interval: IntervalPath, _asker: DataKeeper) -> Response:
    await services_of(request).library.remove(symbol, interval)
    return Response(status_code=204)
