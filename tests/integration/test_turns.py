"""Fair shares, on every record backend: in which order backtests of several users are claimed."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from shared.contracts import Task
from shared.database import Database
from shared.records import BacktestRecord, new_id
from shared.settings import Settings
from tests.fleet import request

PARAMS = request(endDate="2024-01-03")
Open = Callable[[], Any]


@pytest.fixture
async def gateway(make_settings: Callable[..., Settings], mongodb_uri: str) -> AsyncIterator[Open]:
    """Opens the same database as one process more."""
    async with AsyncExitStack() as stack:

        async def opened() -> Database:
            database = await Database.open(make_settings())
            stack.push_async_callback(database.close)
            return database

        yield opened


async def insert(kept: Database, user: str, count: int = 1, priority: int = 0) -> list[str]:
    """Their ids, in the order they came in: of one millisecond they do not sort that way."""
    records = [
        await kept.store.insert(user_id=user, params=PARAMS, priority=priority, idempotency_key=None)
        for _ in range(count)
    ]
    return [record["_id"] for record, _ in records]


async def publish(kept: Database, user: str, count: int) -> None:
    tasks = [Task(backtest_id=new_id("bt"), user_id=user, params=PARAMS) for _ in range(count)]
    assert await kept.store.adopt(tasks) == [None] * count


async def claim(kept: Database) -> BacktestRecord:
    record = await kept.claims.claim("w1", new_id("claim"))
    assert record is not None
    return record


async def claimed(kept: Database, count: int) -> list[str]:
    """Whose the next ones are."""
    return [(await claim(kept))["userId"] for _ in range(count)]


def take_turns(users: list[str]) -> bool:
    """Whether at no moment anybody is more than two ahead of anybody."""
    counts = Counter(dict.fromkeys(users, 0))
    for user in users:
        counts[user] += 1
        if max(counts.values()) - min(counts.values()) > 2:
            return False
    return True


@pytest.mark.parametrize("ran", [0, 1, 25])
async def test_a_single_backtest_starts_within_two_of_those_of_a_user_who_has_many(gateway: Open, ran: int) -> None:
    kept, other = await gateway(), await gateway()
    await publish(kept, "ann", 300)
    await claimed(kept, ran)
    await insert(other, "bob")
    assert "bob" in await claimed(kept, 3)
    await insert(kept, "cid")
    assert "cid" in await claimed(kept, 3)


async def test_who_comes_later_with_as_much_takes_turns_and_does_not_catch_up(gateway: Open) -> None:
    kept = await gateway()
    await publish(kept, "ann", 60)
    await claimed(kept, 20)
    await kept.store.turns.read()
    await insert(kept, "bob", 20)
    await insert(kept, "cid", 20)
    users = await claimed(kept, 45)
    assert take_turns(users), users
    assert Counter(users) == {"ann": 15, "bob": 15, "cid": 15}


async def test_what_somebody_has_had_is_forgotten_when_the_queue_is_empty(gateway: Open) -> None:
    kept = await gateway()
    await publish(kept, "ann", 50)
    await claimed(kept, 50)
    await kept.store.turns.read()
    await insert(kept, "bob", 10)
    await insert(kept, "ann", 10)
    users = await claimed(kept, 20)
    assert take_turns(users), users


async def test_who_has_more_running_waits_for_who_has_none(gateway: Open) -> None:
    kept = await gateway()
    await insert(kept, "ann", 3)
    assert await claimed(kept, 3) == ["ann"] * 3
    await kept.store.turns.read()
    await insert(kept, "ann")
    await insert(kept, "bob")
    assert await claimed(kept, 2) == ["bob", "ann"]


async def test_a_user_of_two_gateways_has_at_most_two_turns_in_a_row(gateway: Open) -> None:
    first, second = await gateway(), await gateway()
    await publish(first, "ann", 30)
    await publish(second, "ann", 30)
    await insert(second, "bob", 5)
    users = await claimed(first, 15)
    assert Counter(users)["bob"] == 5, users


async def test_a_process_that_has_just_started_gives_no_earlier_turns_than_the_others(gateway: Open) -> None:
    kept = await gateway()
    await publish(kept, "ann", 60)
    await claimed(kept, 40)
    await kept.store.turns.read()
    await publish(await gateway(), "bob", 30)
    users = await claimed(kept, 20)
    assert take_turns(users), users


async def test_a_backtest_that_waits_again_keeps_its_turn(gateway: Open) -> None:
    kept = await gateway()
    await insert(kept, "ann", 3)
    await insert(kept, "bob", 3)
    taken = [await claim(kept) for _ in range(4)]
    for record in taken:
        assert await kept.claims.requeue(record, failed=False)
    assert {(await claim(kept))["_id"] for _ in range(4)} == {one["_id"] for one in taken}


async def test_priority_goes_before_turns_and_costs_none_of_another_priority(gateway: Open) -> None:
    kept = await gateway()
    await insert(kept, "ann", 5, priority=3)
    await insert(kept, "ann", 5)
    await insert(kept, "bob", 5)
    assert await claimed(kept, 5) == ["ann"] * 5
    users = await claimed(kept, 10)
    assert take_turns(users), users


async def test_of_one_user_the_older_runs_first(gateway: Open) -> None:
    kept = await gateway()
    ids = await insert(kept, "ann", 12)
    assert [(await claim(kept))["_id"] for _ in range(12)] == ids


async def test_what_waits_since_before_there_were_turns_goes_first(gateway: Open) -> None:
    kept = await gateway()
    await insert(kept, "old")
    backtests = kept.mongo.collection("backtests")
    [record] = await backtests.find({}).to_list()
    before = {"$set": {"queueRank": 9 * 10**13 + record["createdAt"]}, "$unset": {"turn": 1}}
    await backtests.update_one({}, before)
    await insert(kept, "new")
    first = await claim(kept)
    assert first["userId"] == "old"
    assert await kept.claims.requeue(first, failed=False)
    assert await claimed(kept, 2) == ["old", "new"]
