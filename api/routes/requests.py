"""What every route reads of a request: whose it is, and its body."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from api.auth import Identity
from api.problems import MEDIA_TYPE, Problem
from api.services import services_of
from shared.errors import TooLarge

ROOT = "/api/algo"
SCHEMAS = "#/components/schemas/{model}"
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "content": {MEDIA_TYPE: {}}, "description": "What to mend, field by field."},
    "5XX": {"model": Problem, "content": {MEDIA_TYPE: {}}, "description": "Not your fault; try again."},
}


def new_router() -> APIRouter:
    """Routes below `ROOT` that ask for a token and refuse with problem documents."""
    return APIRouter(prefix=ROOT, responses=_PROBLEMS)


async def caller(request: Request) -> Identity:
    """Whose token the request carries. Raises `Unauthenticated`, `Unavailable`."""
    return await services_of(request).authenticator.identify_header(request.headers.get("authorization"))


Caller = Annotated[Identity, Depends(caller)]


def described_body(model: type[BaseModel]) -> dict[str, Any]:
    """What /docs says of a body that the handler reads by itself, with a bound and with better field paths."""
    schema = {"$ref": SCHEMAS.format(model=model.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


async def read_body(request: Request) -> bytes:
    """Raises `TooLarge` as soon as the body is known to exceed the bound, without reading the rest."""
    limit = services_of(request).settings.request_max_bytes
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
