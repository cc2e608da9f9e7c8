"""Agents over HTTP: make, look at, change, delete."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query, Request, Response
from fastapi.responses import JSONResponse

from api.llm_requests import AgentRequest
from api.routes.llm_answers import Agent, Agents
from api.routes.requests import AGENTS_ROOT, Caller, described_body, new_router, read_body
from api.services import services_of
from shared.wire import decode

router = new_router(AGENTS_ROOT)
AgentPath = Annotated[str, Path(description="Which agent.", examples=["ag_01m7xy1ymv1kn41cwsxzn6z2tf"])]


@router.post(
    "",
    status_code=201,
    response_model=None,
    summary="Make an agent",
    description="A trader that is a language model. A backtest runs it by its `agentId`.",
    responses={201: {"model": Agent}},
    openapi_extra=described_body(AgentRequest),
)
async def add_agent(request: Request, asker: Caller) -> Response:
    agent = await services_of(request).agents.add(asker, decode(AgentRequest, await read_body(request)))
    return JSONResponse(agent, 201, {"Location": f"{AGENTS_ROOT}/{agent['agentId']}"})


@router.get(
    "",
    response_model=None,
    summary="One's agents",
    description="Each in its last version.",
    responses={200: {"model": Agents}},
)
async def list_agents(request: Request, asker: Caller) -> Response:
    return JSONResponse({"items": await services_of(request).agents.list_agents(asker)})


@router.get(
    "/{agent_id}",
    response_model=None,
    summary="One agent",
    description="In its last version, or in the one that is named. Somebody else's is not found.",
    responses={200: {"model": Agent}},
)
async def get_agent(
    request: Request,
    agent_id: AgentPath,
    asker: Caller,
    version: Annotated[int | None, Query(ge=1, le=1_000_000, description="Which of its versions.")] = None,
) -> Response:
    return JSONResponse(await services_of(request).agents.get(asker, agent_id, version))


@router.put(
    "/{agent_id}",
    response_model=None,
    summary="Change an agent",
    description="Makes its next version, of all that is sent. Earlier ones stay as they are, and so do backtests.",
    responses={200: {"model": Agent}},
    openapi_extra=described_body(AgentRequest),
)
async def change_agent(request: Request, agent_id: AgentPath, asker: Caller) -> Response:
    body = decode(AgentRequest, await read_body(request))
    return JSONResponse(await services_of(request).agents.change(asker, agent_id, body))


@router.delete(
    "/{agent_id}",
    status_code=204,
    response_model=None,
    summary="Delete an agent",
    description="With all its versions. Backtests that it made stay as they are.",
)
async def delete_agent(request: Request, agent_id: AgentPath, asker: Caller) -> Response:
    await services_of(request).agents.delete(asker, agent_id)
    return Response(status_code=204)
