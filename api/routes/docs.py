"""/docs: Swagger UI, served from here alone, so that it also works where there is no internet.

Nothing on the page comes from another host, and its policy lets nothing: it is where people paste their tokens.
"""

from __future__ import annotations

from importlib.metadata import version
from importlib.resources import files

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

router = APIRouter(include_in_schema=False)

# React sets the styles of elements one by one from a script, which no policy counts as inline.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>backfleet</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/begin.js"></script>
</body>
</html>
"""
_BEGIN = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
});
"""
_ASSETS = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}
_SAFE = {"X-Content-Type-Options": "nosniff"}


@router.get("/docs")
async def page() -> Response:
    return Response(_PAGE, media_type="text/html", headers=_SAFE | {"Content-Security-Policy": _POLICY})


@router.get("/docs/begin.js")
async def begin() -> Response:
    return Response(_BEGIN, media_type="text/javascript", headers=_SAFE)


def _asset(name: str) -> bytes:
    return (files("fastapi_offline") / "static" / name).read_bytes()


def _serve(name: str, media_type: str) -> None:
    async def asset(request: Request) -> Response:
        tag = f'"{version("fastapi-offline")}-{name}"'
        headers = _SAFE | {"ETag": tag, "Cache-Control": "no-cache"}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(await run_in_threadpool(_asset, name), media_type=media_type, headers=headers)

    router.add_api_route(f"/docs/{name}", asset, methods=["GET"])


for _name, _media_type in _ASSETS.items():
    _serve(_name, _media_type)
