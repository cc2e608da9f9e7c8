"""When a server counts as away, and when as back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import AutoReconnect, ExecutionTimeout, OperationFailure

from shared import outage
from shared.errors import StoreUnavailable
from shared.mongo import Mongo, translate_mongo_errors
from shared.outage import Outage


class Server:
    """Answers a ping as it is set to: True, False, or never."""

    def __init__(self) -> None:
        self.answer: bool | None = True
        self.pings = 0

    async def ping(self) -> bool:
        self.pings += 1
        if self.answer is None:
            await asyncio.Event().wait()
        return bool(self.answer)

    async def has_pings(self, more: int) -> None:
        wanted = self.pings + more
        async with asyncio.timeout(10):
            while self.pings < wanted:  # noqa: ASYNC110 - the pings are what is waited for
                await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOOK_AGAIN_S", "_PAUSE_S", "_PING_LEAST_S"):
        monkeypatch.setattr(outage, name, 0.005)


@asynccontextmanager
async def watched(found: Outage) -> AsyncIterator[Outage]:
    watching = asyncio.create_task(found.watch())
    try:
        await asyncio.sleep(0)
        yield found
    finally:
        watching.cancel()
        await asyncio.wait([watching])


@pytest.mark.parametrize("silence", [False, None], ids=["nobody there", "no answer"])
async def test_a_server_is_away_after_several_pings_without_an_answer_and_back_with_the_first(
    silence: bool | None,
) -> None:
    server = Server()
    async with watched(Outage("x", server.ping, 0.05)) as found:
        await server.has_pings(2)
        assert not found.away
        server.answer = silence
        await server.has_pings(outage.UNANSWERED_MAX - 1)
        assert not found.away
        await server.has_pings(4)
        assert found.away
        server.answer = True
        await server.has_pings(2)
        assert not found.away


async def test_one_answer_in_between_is_enough() -> None:
    server = Server()

    async def ping() -> bool:
        await server.ping()
        return server.pings % outage.UNANSWERED_MAX == 0

    async with watched(Outage("x", ping, 0.05)) as found:
        for _ in range(20):
            await server.has_pings(1)
            assert not found.away


@pytest.mark.parametrize("lost", [True, False], ids=["the driver has lost it", "the driver sees it"])
async def test_who_meets_a_broken_network_is_believed_where_the_driver_has_lost_the_server_until_a_ping_is_answered(
    monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    monkeypatch.setattr(outage, "LOOK_AGAIN_S", 3_600.0)
    server = Server()
    async with watched(Outage("x", server.ping, 0.05, lambda: lost)) as found:
        await asyncio.sleep(0)
        server.answer = False
        found.suspect()
        assert found.away is lost
        if lost:
            await server.has_pings(3)
            assert found.away
            server.answer = True
            await server.has_pings(1)
            await asyncio.sleep(0)
            assert not found.away


async def test_watching_ends_when_it_is_cancelled_also_by_a_driver_that_hides_it() -> None:
    pinging = asyncio.Event()

    async def ping() -> bool:
        pinging.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return False
        return True

    watching = asyncio.create_task(Outage("x", ping, 3_600.0).watch())
    await pinging.wait()
    watching.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait([watching])
    assert watching.cancelled()


async def test_nothing_is_away_for_whoever_does_not_watch() -> None:
    found = Outage("x", Server().ping, 0.05, lambda: True)
    found.suspect()
    assert not found.away


async def test_only_who_is_in_a_hurry_is_refused_without_asking() -> None:
    mongo = Mongo(AsyncMongoClient("mongodb://127.0.0.1:1", connect=False), "test")
    mongo.outage.away = True
    asked: list[str] = []
    with translate_mongo_errors():
        asked.append("a worker")
    with mongo.refusing_at_once():
        with pytest.raises(StoreUnavailable), translate_mongo_errors():
            asked.append("a client")

        async def later() -> None:
            with pytest.raises(StoreUnavailable), translate_mongo_errors():
                asked.append("what it began")

        await asyncio.create_task(later())
        mongo.outage.away = False
        with translate_mongo_errors():
            asked.append("a client of a server that is there")
    assert asked == ["a worker", "a client of a server that is there"]
    await mongo.close()


async def test_only_a_broken_network_is_suspect() -> None:
    mongo = Mongo(AsyncMongoClient("mongodb://127.0.0.1:1", connect=False), "test")
    server = Server()
    server.answer = None
    errors = {
        ExecutionTimeout("slow", 50): False,
        OperationFailure("not allowed", 13): False,
        AutoReconnect("the connection is closed"): True,
    }
    for error, away in errors.items():
        mongo.outage = Outage("x", server.ping, 3_600.0, lambda: True)
        async with watched(mongo.outage):
            with mongo.refusing_at_once(), pytest.raises(StoreUnavailable), translate_mongo_errors():
                raise error
            assert mongo.outage.away is away
    await mongo.close()
