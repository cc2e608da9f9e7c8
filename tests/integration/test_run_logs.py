"""What runs logged, on every record backend: which lines count, and which are gone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from shared.database import Database
from shared.lifecycle import Lease
from shared.run_logs import LoggedLine, RunLogs
from shared.settings import Settings
from tests.fleet import request


@pytest.fixture
async def database(
    mongodb_uri: str, mongodb_database: str, make_settings: Callable[..., Settings]
) -> AsyncIterator[Database]:
    opened = await Database.open(make_settings())
    yield opened
    await opened.close()


def lines(first: int, *bars: int, run: str = "a") -> list[LoggedLine]:
    """One line for each of these bars, numbered from `first` on."""
    return [LoggedLine(bar, {"number": number, "message": f"{run}{bar}"}) for number, bar in enumerate(bars, first)]


async def said(logs: RunLogs, after: int = 0, most: int = 100) -> list[str]:
    return [one["message"] for one in (await logs.read("bt_1", after, most)).entries]


async def test_a_run_that_is_taken_up_goes_on_after_the_lines_until_there(database: Database) -> None:
    logs = database.run_logs
    first, second, third = (Lease("bt_1", f"claim_{epoch}", epoch) for epoch in (1, 2, 3))
    assert await said(logs) == []
    await logs.add(first, lines(1, 10, 20))
    await logs.add(first, lines(3, 30, 40))
    await logs.add(first, lines(3, 30, 40))  # again, because the answer was lost
    await logs.add(first, lines(5, 50))
    assert await said(logs) == ["a10", "a20", "a30", "a40", "a50"]
    assert await logs.begin(second, 30) == await logs.begin(second, 30) == 3
    assert await said(logs) == ["a10", "a20", "a30"]
    await logs.add(first, lines(6, 60))  # of a worker that does not know yet that its claim is over
    await logs.add(second, lines(4, 40, 70, run="b"))
    assert await said(logs) == ["a10", "a20", "a30", "b40", "b70"]
    assert await said(logs, after=2, most=2) == ["a30", "b40"]
    assert (await logs.read("bt_1", 2, 2)).more
    assert not (await logs.read("bt_1", 2, 3)).more
    assert await logs.begin(third, 0) == 0, "from its first bar on: a log of its own"
    assert await said(logs) == []
    await logs.add(second, lines(6, 80, run="b"))
    await logs.add(third, lines(1, 10, run="c"))
    assert await said(logs) == ["c10"]


async def test_a_log_goes_with_its_backtest_and_what_is_written_later_is_garbage(database: Database) -> None:
    logs = database.run_logs
    params = request()
    kept, _ = await database.store.insert(user_id="ann", params=params, priority=0, idempotency_key=None)
    gone, _ = await database.store.insert(user_id="ann", params=params, priority=0, idempotency_key=None)
    for record in (kept, gone):
        await logs.add(Lease(record["_id"], f"claim_{record['_id']}", 1), lines(1, 5))
    await database.store.delete(gone["_id"], "ann")
    assert (await logs.read(gone["_id"], 0, 9)).entries == []
    await logs.add(Lease(gone["_id"], "claim_late", 1), lines(2, 6))
    assert await logs.collect_garbage() == 1
    assert (await logs.read(gone["_id"], 0, 9)).entries == []
    assert len((await logs.read(kept["_id"], 0, 9)).entries) == 1
    assert await logs.collect_garbage() == 0
