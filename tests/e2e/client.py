"""The service as it is seen from outside: a user with HTTP and Socket.IO, and a plain Redis client beside them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import socketio
from redis.asyncio import Redis

from deploy.stack import Stack
from shared.contracts import NEWS_CHANNELS, TERMINAL_CHANNELS
from shared.database import Database
from tests.fleet import SYMBOL, random_walk

DEADLINE_S = 40.0
ROOT = "/api/algo/backtest"
_HTTP_TIMEOUT = aiohttp.ClientTimeout(total=30)

Message = tuple[str, dict[str, Any]]


class Told:
    """What was said to one listener, in order, with its names as the listener got them."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._changed = asyncio.Event()

    def add(self, name: str, message: dict[str, Any]) -> None:
        self.messages.append((name, message))
        self._changed.set()

    async def first(
        self, wanted: Callable[[str, dict[str, Any]], bool], deadline_s: float = DEADLINE_S
    ) -> dict[str, Any]:
        """The first message that satisfies `wanted`, past or to come."""
        seen = 0
        async with asyncio.timeout(deadline_s):
            while True:
                for name, message in self.messages[seen:]:
                    seen += 1
                    if wanted(name, message):
                        return message
                self._changed.clear()
                await self._changed.wait()

    async def end_of(self, backtest_id: str, deadline_s: float = DEADLINE_S) -> Message:
        """How a backtest ended: `backtest:complete` or `backtest:error`, and what it said."""
        ends: list[Message] = []

        def is_end(name: str, message: dict[str, Any]) -> bool:
            if name in TERMINAL_CHANNELS and message.get("backtestId") == backtest_id:
                ends.append((name, message))
            return bool(ends)

        await self.first(is_end, deadline_s)
        return ends[0]

    def of(self, backtest_id: str) -> list[Message]:
        return [(name, message) for name, message in self.messages if message.get("backtestId") == backtest_id]


class User:
    """One user at one gateway. `told` is everything its socket heard."""

    def __init__(self, url: str, token: str) -> None:
        self.told = Told()
        self.socket = socketio.AsyncClient(handle_sigint=False, reconnection=False)
        self._url = url
        self._token = token

    async def __aenter__(self) -> User:
        # A server closes what is silent for five seconds, in the very moment perhaps at which it is used again.
        connector = aiohttp.TCPConnector(keepalive_timeout=2)
        headers = {"Authorization": f"Bearer {self._token}"}
        self.http = aiohttp.ClientSession(self._url, headers=headers, timeout=_HTTP_TIMEOUT, connector=connector)
        self.socket.on("*", self.told.add)
        try:
            await self.socket.connect(self._url, auth={"token": self._token}, transports=["websocket"])
        except BaseException:
            await self.http.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.disconnect()
        await self.http.close()

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """Status and JSON document of one request; None for an empty answer."""
        async with self.http.request(method, path, **options) as answer:
            raw = await answer.read()
            return answer.status, json.loads(raw) if raw else None

    async def read(self, path: str) -> Any:
        status, document = await self.ask("GET", path)
        assert status == 200, (path, document)
        return document

    async def call(self, event: str, payload: Any) -> dict[str, Any]:
        """Sends an event over the socket: the answer to it."""
        ack = await self.socket.call(event, payload, timeout=30)
        assert isinstance(ack, dict), ack
        return ack

    async def submit(self, body: dict[str, Any]) -> str:
        status, document = await self.ask("POST", ROOT, json=body)
        assert status == 202, document
        return document["backtestId"]


@asynccontextmanager
async def overhear(redis_url: str) -> AsyncIterator[Told]:
    """Everything said on the channels, as an operator's PSUBSCRIBE hears it. What is no JSON object reads as {}."""
    told = Told()
    subscribed = asyncio.Event()
    async with Redis.from_url(redis_url) as client, client.pubsub() as subscription:
        await subscription.psubscribe("backtest:*")

        async def hear() -> None:
            async for item in subscription.listen():
                subscribed.set()
                if item["type"] == "pmessage":
                    told.add(item["channel"].decode(), _read_object(item["data"]))

        hearing = asyncio.create_task(hear())
        try:
            async with asyncio.timeout(DEADLINE_S):
                await subscribed.wait()
            yield told
        finally:
            hearing.cancel()
            await asyncio.wait([hearing])


def _read_object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def as_sockets_hear(messages: list[Message]) -> list[tuple[str, int, int]]:
    """News from the channels under the names and numbers that sockets get: (event, epoch, seq)."""
    return [
        (f"backtest:{one['type']}" if name == "backtest:event" else name, one["epoch"], one["seq"])
        for name, one in messages
        if name in NEWS_CHANNELS
    ]


async def load_bars(stack: Stack, count: int) -> None:
    """`count` synthetic hourly bars of `SYMBOL` into the stack's market data."""
    database = await Database.open(stack.settings)
    try:
        await database.candles.import_bars(SYMBOL, "1h", random_walk(count), "synthetic")
    finally:
        await database.close()
