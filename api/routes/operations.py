"""For whoever operates the gateway: does it live, can it serve."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from api.problems import RETRY_AFTER_S, problem_response
from api.services import Services, services_of
from shared.errors import BackfleetError

READY_TIMEOUT_S = 3.0
router = APIRouter()


@router.get("/healthz", response_model=None, summary="Whether the process lives")
async def healthz() -> Response:
    return JSONResponse({"status": "ok"})


@router.get("/readyz", response_model=None, summary="Whether requests can be served")
async def readyz(request: Request) -> Response:
    failing = await failing_parts(services_of(request))
    if failing:
        detail = f"not ready: {', '.join(failing)}"
        return problem_response(503, "unavailable", detail, headers={"Retry-After": str(RETRY_AFTER_S)})
    return JSONResponse({"status": "ready"})


async def failing_parts(services: Services) -> list[str]:
    """Which of what the gateway needs does not answer; known within `READY_TIMEOUT_S`."""
    failing = [] if services.relay.listening else ["relay"]
    parts = {"store": services.mongo.ping(), "bus": services.bus.ping()}

    async def check(name: str) -> None:
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                await parts[name]
        except (BackfleetError, TimeoutError):
            failing.append(name)

    await asyncio.gather(*(check(name) for name in parts))
    return sorted(failing)
