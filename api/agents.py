"""Keeping agents, and running backtests as one: every such verb once, whichever edge it comes in by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from api.auth import Identity
from api.llm_requests import PARAMETER_OF, AgentRequest, camel_case, in_camel_case
from shared import agents
from shared.errors import FieldError, InvalidRequest, NotFound, summary
from shared.instants import iso_from_ms
from shared.request import AI_TRADER, BacktestRequest
from shared.strategies import resolve
from shared.wire import validate

_FIELD_OF = {theirs: ours for ours, theirs in PARAMETER_OF.items()}
_AT = f"strategyParams.{AI_TRADER}."
_BYTES_MAX = 50_000  # of one version, of which a document holds many


class AsAgent(NamedTuple):
    """A request with all that its agent does, and what is told of the agent with its start."""

    request: BacktestRequest
    labels: dict[str, str]


class Agents:
    """What a user can ask of agents. Nothing of anybody else's can be reached."""

    def __init__(self, kept: agents.Agents) -> None:
        self._agents = kept

    async def add(self, asker: Identity, asked: AgentRequest) -> dict[str, Any]:
        """Raises `InvalidRequest`, `Conflict`."""
        return agent_as_wire(await self._agents.add(asker.user_id, asked.name, _checked(asked)))

    async def change(self, asker: Identity, agent_id: str, asked: AgentRequest) -> dict[str, Any]:
        """The next version; those before stay as they were. Raises `NotFound`, `InvalidRequest`, `Conflict`."""
        await self._agents.get(asker.user_id, agent_id)
        return agent_as_wire(await self._agents.change(asker.user_id, agent_id, asked.name, _checked(asked)))

    async def get(self, asker: Identity, agent_id: str, version: int | None) -> dict[str, Any]:
        """Raises `NotFound`."""
        agent = await self._agents.get(asker.user_id, agent_id)
        shown = agent["current"]
        if version is not None:
            shown = await self._agents.get_version(asker.user_id, agent_id, version)
        return agent_as_wire(agent | {"current": shown})

    async def list_agents(self, asker: Identity) -> list[dict[str, Any]]:
        return [agent_as_wire(one) for one in await self._agents.list_of(asker.user_id)]

    async def delete(self, asker: Identity, agent_id: str) -> None:
        """Raises `NotFound`."""
        await self._agents.delete(asker.user_id, agent_id)

    async def run_as(self, asker: Identity, request: BacktestRequest) -> AsAgent:
        """The request as the agent that it names would have made it, if it names one. What it says of the strategy
        itself goes before what the agent does. Raises `InvalidRequest` for an agent or a version that there is not."""
        if request.agent_id is None:
            return AsAgent(request, {})
        try:
            version = await self._agents.get_version(asker.user_id, request.agent_id, request.agent_version)
        except NotFound as unknown:
            found = [FieldError(one.field, one.message, "unknown_agent") for one in unknown.errors]
            raise InvalidRequest(unknown.message, found) from None
        params = version["strategyParams"] | in_camel_case(request.strategy_params.get(AI_TRADER, {}))
        resolved = {"agentVersion": version["version"], "strategyParams": {AI_TRADER: params}}
        labels = {
            "agentId": request.agent_id,
            "agentName": version["name"],
            "agentVersion": str(version["version"]),
        }
        return AsAgent(validate(BacktestRequest, request.as_wire() | resolved), labels)


def _checked(asked: AgentRequest) -> dict[str, Any]:
    """The parameters of the strategy that it amounts to. Raises `InvalidRequest` with the paths of the agent."""
    own = {name: _FIELD_OF.get(camel_case(name)) for name in asked.parameters or {}}
    found = [
        FieldError(f"parameters.{name}", f"has a field of its own: use {field}") for name, field in own.items() if field
    ]
    if found:
        raise InvalidRequest(summary(found), found)
    params = asked.strategy_params()
    if len(json.dumps(params, ensure_ascii=False).encode()) > _BYTES_MAX:
        raise InvalidRequest.of("prompt", f"makes an agent of more than {_BYTES_MAX:,} bytes; shorten it")
    try:
        resolve([AI_TRADER], {AI_TRADER: params})
    except InvalidRequest as refusal:
        spelled = {camel_case(name): name for name in asked.parameters or {}}
        found = [FieldError(_path(one.field, spelled), one.message, one.code) for one in refusal.errors]
        raise InvalidRequest(summary(found), found) from None
    return params


def _path(path: str, spelled: Mapping[str, str]) -> str:
    """A path of a backtest's body as whoever wrote an agent has it, who may have `spelled` parameters otherwise."""
    if not path.startswith(_AT):
        return "$"
    name, dot, rest = path.removeprefix(_AT).partition(".")
    return f"{_FIELD_OF.get(name) or f'parameters.{spelled.get(name, name)}'}{dot}{rest}"


def agent_as_wire(agent: Mapping[str, Any]) -> dict[str, Any]:
    """An agent with one of its versions, `current`."""
    shown = agent["current"]
    params: dict[str, Any] = shown["strategyParams"]
    return {
        "agentId": agent["_id"],
        "name": shown["name"],
        "version": shown["version"],
        "lastVersion": agent["version"],
        **{field: params.get(name) for name, field in _FIELD_OF.items()},
        "parameters": {name: value for name, value in params.items() if name not in _FIELD_OF},
        "createdAt": iso_from_ms(agent["createdAt"]),
        "updatedAt": iso_from_ms(shown["createdAt"]),
    }
