"""One user of a service that runs backtests: HTTP to submit, Socket.IO to hear of the end. The same for each."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import socketio

from deploy.stack import Stack
from shared.database import Database
from tests.fleet import random_walk

SYMBOL = "BENCH"
BARS = 1_000
REQUEST: dict[str, Any] = {
    "symbol": SYMBOL,
    "interval": "1h",
    "startDate": "2024-01-01",
    "endDate": "2025-01-01",
    "strategies": ["sma"],
    "strategyParams": {"sma": {"fast": 10, "slow": 30}},
    "commission": {"rate": 0.001},
}


async def load_bars(stack: Stack) -> None:
    """The bars that `REQUEST` runs over."""
    database = await Database.open(stack.settings)
    try:
        await database.candles.import_bars(SYMBOL, "1h", random_walk(BARS), "synthetic")
    finally:
        await database.close()


class Client:
    """Raises `RuntimeError` where a backtest failed."""

    def __init__(self, url: str, token: str, path: str = "/api/algo/backtest") -> None:
        self._url = url
        self._path = path
        self._token = token
        self._socket = socketio.AsyncClient()
        self._ended: dict[str, float] = {}
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._failed: list[Any] = []

    async def __aenter__(self) -> Client:
        # A server closes what is silent for five seconds, in the very moment perhaps at which it is used again.
        connector = aiohttp.TCPConnector(keepalive_timeout=2)
        headers = {"Authorization": f"Bearer {self._token}"}
        self._http = aiohttp.ClientSession(headers=headers, connector=connector)
        self._socket.on("backtest:complete", self._heard)
        self._socket.on("backtest:error", self._heard_failure)
        await self._socket.connect(self._url, auth={"token": self._token}, transports=["websocket"])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._socket.disconnect()
        await self._http.close()

    async def _heard(self, news: dict[str, Any]) -> None:
        self._ended[news["backtestId"]] = time.perf_counter()
        if (waiting := self._waiting.pop(news["backtestId"], None)) is not None:
            waiting.set_result(None)

    async def _heard_failure(self, news: dict[str, Any]) -> None:
        self._failed.append(news)
        await self._heard(news)

    async def submit(self) -> str:
        async with self._http.post(f"{self._url}{self._path}", json=REQUEST) as answer:
            answer.raise_for_status()
            return (await answer.json())["backtestId"]

    async def end_of(self, backtest_id: str) -> float:
        """When it ended, by `time.perf_counter`."""
        if backtest_id not in self._ended:
            waiting = self._waiting[backtest_id] = asyncio.get_running_loop().create_future()
            await waiting
        return self._ended.pop(backtest_id)

    async def read(self, path: str) -> Any:
        async with self._http.get(f"{self._url}{path}") as answer:
            answer.raise_for_status()
            return await answer.json()

    async def round_trips_s(self, count: int) -> list[float]:
        """From each POST to the news of its end, one backtest after the other."""
        took: list[float] = []
        for _ in range(count):
            began = time.perf_counter()
            backtest_id = await self.submit()
            took.append(await self.end_of(backtest_id) - began)
        self._check()
        return took

    async def rate(self, count: int, concurrency: int) -> float:
        """Backtests a second, from the first POST to the last end."""
        gate = asyncio.Semaphore(concurrency)

        async def one() -> None:
            async with gate:
                backtest_id = await self.submit()
            await self.end_of(backtest_id)

        began = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(count)))
        self._check()
        return count / (time.perf_counter() - began)

    def _check(self) -> None:
        if self._failed:
            raise RuntimeError(f"{len(self._failed)} backtests failed, the first with {self._failed[0]}")
