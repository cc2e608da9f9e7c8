"""What the routes share that send bars to plot: their query, and answers that are sent once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import WithJsonSchema

from shared.contracts import CANDLES_MAX
from shared.instants import WRITTEN_SCHEMA

When = Annotated[str, WithJsonSchema(WRITTEN_SCHEMA)]
First = Annotated[When | None, Query(alias="from", description="First date or instant, inclusive.")]
Last = Annotated[When | None, Query(alias="to", description="Last date or instant, exclusive.")]
MaxPoints = Annotated[int, Query(alias="maxPoints", ge=2, le=CANDLES_MAX, description="Most bars.")]


async def unless_known(request: Request, tag: str, read: Callable[[], Awaitable[dict[str, Any]]]) -> Response:
    """What `read` gives, or 304 and nothing read where `If-None-Match` has the tag."""
    headers = {"ETag": f'"{tag}"', "Cache-Control": "private, no-cache"}
    known = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
    if known & {headers["ETag"], "*"}:
        return Response(status_code=304, headers=headers)
    return JSONResponse(await read(), headers=headers)
