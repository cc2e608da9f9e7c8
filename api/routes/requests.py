"""What every route reads of a request: whose it is, and its body."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from api.auth import Identity
from api.permissions import require_data
from api.problems import MEDIA_TYPE, Problem
from api.services import services_of
from shared.errors import ERRORS_MAX, FieldError, InvalidRequest, TooLarge, summary
from shared.users import Scope
from shared.wire import UNKNOWN_FIELD, remedy_for

ROOT = "/api/algo"
AUTH_ROOT = "/api/auth"
USERS_ROOT = "/api/users"
SESSIONS_ROOT = "/api/backtest"
AGENTS_ROOT = "/api/agents"
LLM_ROOT = "/api/llm"
RUNS_ROOT = "/api/v1/backtest"
SCHEMAS = "#/components/schemas/{model}"
_NAME_SHOWN = 64
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "content": {MEDIA_TYPE: {}}, "description": "What to mend, field by field."},
    "5XX": {"model": Problem, "content": {MEDIA_TYPE: {}}, "description": "Not your fault; try again."},
}


async def known_query(request: Request) -> None:
    """Raises `InvalidRequest` for query parameters that the route does not know: they are misspelled ones."""
    route: APIRoute = request.scope["route"]
    known = [one.alias for one in route.dependant.query_params]
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        found = [
            FieldError(name[:_NAME_SHOWN], f"unknown query parameter; {remedy_for(name, known)}", UNKNOWN_FIELD)
            for name in unknown[:ERRORS_MAX]
        ]
        raise InvalidRequest(summary(found), found)


def new_router(root: str = ROOT) -> APIRouter:
    """Routes below `root` that refuse with problem documents."""
    return APIRouter(prefix=root, responses=PROBLEMS, dependencies=[Depends(known_query)])


async def any_caller(request: Request) -> Identity:
    """Whose token or key the request carries. Raises `Unauthenticated`, `Unavailable`."""
    return await services_of(request).gate.identify_header(request.headers.get("authorization"))


AnyCaller = Annotated[Identity, Depends(any_caller)]


async def caller(request: Request, asker: AnyCaller) -> Identity:
    """The same, with what the method needs: a new route is closed to keys that only read. Raises `Forbidden`."""
    asker.require(Scope.READ if request.method in ("GET", "HEAD") else Scope.WRITE)
    return asker


async def reader(asker: AnyCaller) -> Identity:
    """For what changes nothing, whatever its method. Raises `Forbidden`."""
    asker.require(Scope.READ)
    return asker


async def data_keeper(request: Request, asker: AnyCaller) -> Identity:
    """Who may import and remove shared market data. Raises `Forbidden`."""
    require_data(asker, services_of(request).settings)
    return asker


Caller = Annotated[Identity, Depends(caller)]
Reader = Annotated[Identity, Depends(reader)]
DataKeeper = Annotated[Identity, Depends(data_keeper)]


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


def written(text: str) -> Response:
    """The answer whose JSON is written already."""
    return Response(text, media_type="application/json")
