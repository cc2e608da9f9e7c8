"""One's keys for providers of language models over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Request, Response
from fastapi.responses import JSONResponse

from api.llm_requests import ProviderKeyRequest
from api.routes.llm_answers import ProviderKey, ProviderKeys
from api.routes.requests import LLM_ROOT, AnyCaller, described_body, new_router, read_body
from api.services import services_of
from shared.llm_keys import PROVIDER_PATTERN
from shared.wire import decode

router = new_router(LLM_ROOT)
ProviderPath = Annotated[
    str, Path(pattern=PROVIDER_PATTERN, description="Whose models the key is for.", examples=["openrouter"])
]


@router.put(
    "/keys/{provider}",
    response_model=None,
    summary="Store a key for a provider",
    description="In place of the one that was there. It is kept sealed; nobody can read it again.",
    responses={200: {"model": ProviderKey}},
    openapi_extra=described_body(ProviderKeyRequest),
)
async def put_key(request: Request, provider: ProviderPath, asker: AnyCaller) -> Response:
    body = decode(ProviderKeyRequest, await read_body(request))
    return JSONResponse(await services_of(request).llm_keys.put(asker, provider, body))


@router.get(
    "/keys",
    response_model=None,
    summary="One's keys for providers",
    description="Without the keys themselves.",
    responses={200: {"model": ProviderKeys}},
)
async def list_keys(request: Request, asker: AnyCaller) -> Response:
    return JSONResponse({"items": await services_of(request).llm_keys.list_keys(asker)})


@router.get(
    "/keys/{provider}",
    response_model=None,
    summary="One key for a provider",
    description="Without the key itself.",
    responses={200: {"model": ProviderKey}},
)
async def get_key(request: Request, provider: ProviderPath, asker: AnyCaller) -> Response:
    return JSONResponse(await services_of(request).llm_keys.get(asker, provider))


@router.delete(
    "/keys/{provider}",
    status_code=204,
    response_model=None,
    summary="Delete a key for a provider",
    description="Backtests that go on can use it until their next ask.",
)
async def delete_key(request: Request, provider: ProviderPath, asker: AnyCaller) -> Response:
    await services_of(request).llm_keys.delete(asker, provider)
    return Response(status_code=204)
