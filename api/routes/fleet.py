"""The fleet over HTTP, for people: who works, what waits, what runs, what failed and why."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from api.routes.fleet_answers import FleetView
from api.routes.requests import Caller, new_router
from api.services import services_of

router = new_router()


@router.get(
    "/fleet",
    response_model=None,
    summary="The fleet now",
    description="Workers, the queue and how many run and have ended are everybody's to see; of runs and failures one "
    "sees one's own, an admin everybody's. What all share is at most a few seconds old.",
    responses={200: {"model": FleetView, "description": "The fleet as it is."}},
)
async def get_fleet(request: Request, asker: Caller) -> Response:
    return JSONResponse(await services_of(request).fleet.view(asker), headers={"Cache-Control": "no-store"})
