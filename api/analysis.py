"""What a page draws of a result, computed of what is stored of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

from api.auth import Identity
from api.in_turn import InTurn
from api.stored_result import StoredResults, StoredTables
from shared.analysis.whole import Tables, analyse
from shared.database import Database
from shared.results import ResultDocument

POINTS_MIN = 3
# Whole tables are in memory meanwhile: of a million bars a hundred megabytes.
AT_ONCE = 2
_PAUSE_S = 0.00005  # after each piece of JSON, which holds Python's lock while it is written


class Analyses:
    """Nothing of them is stored: the same result gives the same."""

    def __init__(self, database: Database) -> None:
        self._stored = StoredResults(database)
        self._turns = InTurn()
        self._room = asyncio.Semaphore(AT_ONCE)

    async def page(self, asker: Identity, backtest_id: str, max_points: int) -> str:
        """JSON of it. Raises `NotFound`, `Conflict` for a backtest that has no result (yet), `StoreUnavailable`."""
        async with self._turns.turn_of(asker.user_id), self._room:
            record, document = await self._stored.read(asker.user_id, backtest_id)
            return await analysis_of(document, await self._stored.tables(record, document), max_points)


async def analysis_of(document: ResultDocument, stored: StoredTables, max_points: int) -> str:
    """JSON of it, computed in a thread."""
    tables = Tables(*stored, document["config"], document["metrics"])

    def work() -> str:
        head = {"backtestId": document["backtestId"], "resultHash": document["resultHash"], "points": max_points}
        return _written(head | analyse(tables, max_points))

    return await asyncio.to_thread(work)


def _written(fields: Mapping[str, Any]) -> str:
    """A list at a time, so that others come to Python's lock between them."""
    parts: list[str] = []
    for name, value in fields.items():
        is_object = isinstance(value, dict)
        text = _written(value) if is_object else json.dumps(value, allow_nan=False, separators=(",", ":"))
        parts.append(f"{json.dumps(name)}:{text}")
        time.sleep(_PAUSE_S)
    return f"{{{','.join(parts)}}}"
