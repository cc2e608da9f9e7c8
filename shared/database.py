"""Everything that is kept in MongoDB, opened together: what every process builds first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

from shared.agents import Agents
from shared.candles import Candles
from shared.claims import Claims
from shared.decisions import LlmDecisions
from shared.families import Families
from shared.llm_keys import LlmKeys
from shared.mongo import Mongo
from shared.positions import Positions
from shared.results import Results
from shared.run_logs import RunLogs
from shared.settings import Settings
from shared.spending import Spending
from shared.store import Store
from shared.users import Users


class LanguageModels(NamedTuple):
    """What is kept for strategies that ask language models."""

    decisions: LlmDecisions
    spending: Spending
    keys: LlmKeys
    agents: Agents

    @classmethod
    def over(cls, mongo: Mongo, settings: Settings) -> Self:
        return cls(LlmDecisions(mongo), Spending(mongo, settings), LlmKeys(mongo, settings), Agents(mongo))


@dataclass(frozen=True, slots=True)
class Database:
    mongo: Mongo
    store: Store
    claims: Claims
    results: Results
    run_logs: RunLogs
    positions: Positions
    candles: Candles
    users: Users
    families: Families
    llm: LanguageModels

    @classmethod
    async def open(cls, settings: Settings) -> Self:
        """Connects, proves that the server is fit and creates the indexes. Raises what `Mongo.open` raises."""
        mongo = await Mongo.open(settings)
        try:
            results, run_logs, positions = Results(mongo), RunLogs(mongo), Positions(mongo)
            llm = LanguageModels.over(mongo, settings)
            store = Store(mongo, [results, run_logs, positions, llm.decisions, llm.spending], settings)
            await store.create_indexes()
            await store.turns.read()
            users, families = Users(mongo), Families(mongo)
            for one in (results, positions, run_logs, *llm, users, families):
                await one.create_indexes()
        except BaseException:
            await mongo.close()
            raise
        candles = Candles(mongo, settings)
        return cls(mongo, store, Claims(mongo, settings), results, run_logs, positions, candles, users, families, llm)

    async def close(self) -> None:
        await self.store.close()
        await self.mongo.close()
