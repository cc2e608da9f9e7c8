"""For whoever operates the gateway: does it live, can it serve, how is it doing."""

from __future__ import annotations

import asyncio
import hmac

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from api.auth import bearer_of
from api.problems import RETRY_AFTER_S, problem_response
from api.routes.answers import Health
from api.routes.requests import PROBLEMS
from api.services import Services, services_of
from shared.errors import BackfleetError

READY_TIMEOUT_S = 3.0
router = APIRouter(responses={code: PROBLEMS[code] for code in ("5XX",)})
_METRICS = {
    200: {
        "description": "Counters, gauges and histograms.",
        "content": {"text/plain": {"schema": {"type": "string"}, "example": 'backfleet_up{part="mongodb"} 1.0\n'}},
    },
    "4XX": PROBLEMS["4XX"],
}


@router.get(
    "/healthz",
    response_model=None,
    summary="Whether the process lives",
    description="Asks nobody: for whoever restarts processes that hang.",
    responses={200: {"model": Health, "description": "It does."}},
)
async def healthz() -> Response:
    return JSONResponse({"status": "ok"})


@router.get(
    "/readyz",
    response_model=None,
    summary="Whether requests can be served",
    description="503 names the parts that do not answer: `store`, `bus`, `relay`. For load balancers.",
    responses={200: {"model": Health, "description": "They can."}},
)
async def readyz(request: Request) -> Response:
    failing = await failing_parts(services_of(request))
    if failing:
        detail = f"not ready: {', '.join(failing)}"
        return problem_response(503, "unavailable", detail, headers={"Retry-After": str(RETRY_AFTER_S)})
    return JSONResponse({"status": "ready"})


@router.get(
    "/metrics",
    response_model=None,
    summary="Metrics for Prometheus",
    description="For who sends the token of `BACKFLEET_METRICS_TOKEN`, or is an admin; where no such token is set, in "
    "development for everybody. Answers while MongoDB or Redis is away, with what is known.",
    responses=_METRICS,
)
async def metrics(request: Request) -> Response:
    services = services_of(request)
    await _require_scraper(services, request.headers.get("authorization"))
    text = await services.metrics.text(relaying=services.relay.listening)
    return Response(text, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4, "Cache-Control": "no-store"})


async def _require_scraper(services: Services, authorization: str | None) -> None:
    """Raises `Unauthenticated`, `Forbidden`. The token of the settings asks no server, so it opens whatever is away."""
    settings = services.settings
    if settings.metrics_token is None:
        if not settings.production:
            return
    else:
        wanted, sent = settings.metrics_token.get_secret_value().encode(), bearer_of(authorization).encode()
        if hmac.compare_digest(sent, wanted):
            return
    (await services.gate.identify_header(authorization)).require_admin()


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
