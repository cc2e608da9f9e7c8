"""The dashboard over HTTP: its page at `/`, for who is not signed in, too, and the files that the page names.

Every URL in them is relative, so that they also work below a path of a proxy.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request, Response

from api.pages import INDEX, Pages, StaticFile

_METHODS = ["GET", "HEAD"]


def page_routes(pages: Pages) -> APIRouter:
    """A route for each file beside the page, and one for all assets."""
    router = APIRouter(include_in_schema=False)

    async def page(request: Request) -> Response:
        return await pages.index().answer(request.headers)

    async def asset(request: Request, name: str) -> Response:
        return await pages.asset(name).answer(request.headers)

    for path in ("/", f"/{INDEX}"):
        router.add_api_route(path, page, methods=_METHODS)
    for name, file in pages.files.items():
        if name != INDEX:
            router.add_api_route(f"/{name}", _serving(file), methods=_METHODS)
    router.add_api_route("/assets/{name}", asset, methods=_METHODS)
    return router


def _serving(file: StaticFile) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        return await file.answer(request.headers)

    return serve
