"""Agents: what a user calls a trader that is a language model, with all the versions that it had.

An agent is one document, and a change of it one conditional update: who changes it names the version that he has seen.
A version never changes; a backtest names the one that it ran with, and has all of it in its own parameters, so that it
needs the agent no more.
"""

from __future__ import annotations

from typing import Any, TypedDict, cast

from pymongo import ASCENDING, ReturnDocument

from shared.errors import Conflict, FieldError, NotFound
from shared.mongo import Document, Mongo, translate_mongo_errors
from shared.records import new_id

AGENTS = "agents"
AGENTS_MAX = 200  # of one user
VERSIONS_MAX = 200  # of one agent, which has to fit into a document of 16 MB
_TRIES = 5


class VersionDocument(TypedDict):
    """One version. `strategyParams` are those of the strategy `ai_trader`."""

    version: int
    name: str
    strategyParams: dict[str, Any]
    createdAt: int


class AgentDocument(TypedDict):
    """One document of `agents`: `current` is the last of `versions`."""

    _id: str
    userId: str
    version: int
    current: VersionDocument
    versions: list[VersionDocument]
    createdAt: int


class Agents:
    """The collection `agents`. Every method raises `StoreUnavailable` when MongoDB does not answer."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._agents = mongo.collection(AGENTS)

    async def create_indexes(self) -> None:
        with translate_mongo_errors():
            await self._agents.create_index([("userId", ASCENDING)], name="owner")

    async def add(self, user_id: str, name: str, strategy_params: dict[str, Any]) -> AgentDocument:
        """A new agent with its version 1. Raises `Conflict` beyond `AGENTS_MAX` of one user."""
        first = self._version(1, name, strategy_params)
        document: AgentDocument = {
            "_id": new_id("ag"),
            "userId": user_id,
            "version": 1,
            "current": first,
            "versions": [first],
            "createdAt": first["createdAt"],
        }
        with translate_mongo_errors():
            if await self._agents.count_documents({"userId": user_id}) >= AGENTS_MAX:
                raise Conflict(f"a user may have {AGENTS_MAX} agents; delete one that is not used any more")
            await self._agents.insert_one(cast("Document", document))
        return document

    async def change(self, user_id: str, agent_id: str, name: str, strategy_params: dict[str, Any]) -> AgentDocument:
        """The next version. Raises `NotFound`, and `Conflict` beyond `VERSIONS_MAX`."""
        for _ in range(_TRIES):
            found = await self.get(user_id, agent_id)
            if len(found["versions"]) >= VERSIONS_MAX:
                raise Conflict(f"agent {agent_id} has {VERSIONS_MAX} versions, the most there may be; make a new one")
            following = self._version(found["version"] + 1, name, strategy_params)
            changes: Document = {
                "version": following["version"],
                "current": following,
                "versions": [*found["versions"], following],
            }
            with translate_mongo_errors():
                done = await self._agents.find_one_and_update(
                    {"_id": agent_id, "userId": user_id, "version": found["version"]},
                    {"$set": changes},
                    return_document=ReturnDocument.AFTER,
                )
            if done is not None:
                return cast("AgentDocument", done)
        raise Conflict(f"agent {agent_id} was changed by others all the while; try again")

    async def get(self, user_id: str, agent_id: str) -> AgentDocument:
        """Raises `NotFound`, also for somebody else's."""
        with translate_mongo_errors():
            found = await self._agents.find_one({"_id": agent_id, "userId": user_id})
        if found is None:
            message = f"no agent {agent_id[:80]!a}; GET /api/agents lists those you have"
            raise NotFound(message, [FieldError("agentId", message, "not_found")])
        return cast("AgentDocument", found)

    async def get_version(self, user_id: str, agent_id: str, version: int | None) -> VersionDocument:
        """The current one where None is named. Raises `NotFound`."""
        found = await self.get(user_id, agent_id)
        if version is None:
            return found["current"]
        for one in found["versions"]:
            if one["version"] == version:
                return one
        message = f"agent {agent_id} has no version {version}; its last is {found['version']}"
        raise NotFound(message, [FieldError("agentVersion", message, "not_found")])

    async def list_of(self, user_id: str) -> list[AgentDocument]:
        """Oldest first; of `versions` nothing."""
        with translate_mongo_errors():
            found = self._agents.find({"userId": user_id}, {"versions": 0})
            return cast("list[AgentDocument]", await found.sort([("_id", ASCENDING)]).limit(2 * AGENTS_MAX).to_list())

    async def delete(self, user_id: str, agent_id: str) -> None:
        """Backtests that it made stay as they are. Raises `NotFound`."""
        with translate_mongo_errors():
            gone = await self._agents.delete_one({"_id": agent_id, "userId": user_id})
        if gone.deleted_count == 0:
            await self.get(user_id, agent_id)  # raises NotFound

    def _version(self, version: int, name: str, strategy_params: dict[str, Any]) -> VersionDocument:
        return {
            "version": version,
            "name": name,
            "strategyParams": strategy_params,
            "createdAt": self._mongo.now_ms(),
        }
