"""Everything that is kept in MongoDB, opened together: what every process builds first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from shared.candles import Candles
from shared.claims import Claims
from shared.families import Families
from shared.mongo import Mongo
from shared.positions import Positions
from shared.results import Results
from shared.run_logs import RunLogs
from shared.settings import Settings
from shared.store import Store
from shared.users import Users


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

    @classmethod
    async def open(cls, settings: Settings) -> Self:
        """Connects, proves that the server is fit and creates the indexes. Raises what `Mongo.open` raises."""
        mongo = await Mongo.open(settings)
        try:
            results = Results(mongo)
            run_logs = RunLogs(mongo)
            positions = Positions(mongo)
            store = Store(mongo, results, positions, run_logs, settings)
            await store.create_indexes()
            await store.turns.read()
            await results.create_indexes()
            await positions.create_indexes()
            await run_logs.create_indexes()
            users, families = Users(mongo), Families(mongo)
            await users.create_indexes()
            await families.create_indexes()
        except BaseException:
            await mongo.close()
            raise
        candles = Candles(mongo, settings)
        return cls(mongo, store, Claims(mongo, settings), results, run_logs, positions, candles, users, families)

    async def close(self) -> None:
        await self.store.close()
        await self.mongo.close()
