"""Strategies over HTTP: which there are, and whether one's parameters are right."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from api.routes.answers import StrategyDescription, Validation
from api.routes.requests import Caller, Reader, described_body, new_router, read_body
from api.services import services_of
from shared.contracts import ValidateRequest
from shared.wire import decode

router = new_router()


@router.get(
    "/strategies",
    response_model=None,
    summary="Strategies",
    description="All that can be run here, with the JSON Schema of their parameters.",
    responses={200: {"model": list[StrategyDescription]}},
)
async def list_strategies(request: Request, _asker: Caller) -> Response:
    return JSONResponse(services_of(request).commands.strategies())


@router.post(
    "/strategies/validate",
    response_model=None,
    summary="Check a strategy's parameters",
    description="Whatever is wrong with them is an answer, no refusal.",
    responses={200: {"model": Validation}},
    openapi_extra=described_body(ValidateRequest),
)
async def validate_strategy(request: Request, _asker: Reader) -> Response:
    body = decode(ValidateRequest, await read_body(request))
    errors = services_of(request).commands.validate_strategy(body)
    return JSONResponse({"valid": not errors, "errors": errors})
