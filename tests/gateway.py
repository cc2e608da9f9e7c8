"""The gateway under a real uvicorn on a free port, with clients for it, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import socketio

from api.__main__ import bind, build_server
from api.auth import mint_token
from deploy.contract.messages import FROM_CLIENTS
from shared.bus import Bus
from shared.candles.files.parsing import ParsedSeries, read_files
from shared.claims import completed
from shared.contracts import Channel, Complete, Summary
from shared.database import Database
from shared.reading import Reading
from shared.records import BacktestRecord, new_id
from shared.results import ResultDocument
from shared.settings import Settings
from tests.contract import check_acknowledged, check_told
from tests.fleet import HOUR_MS, START_MS, SYMBOL, OnDatabase, random_walk

BARS = 500
BODY: dict[str, Any] = {
    "symbol": SYMBOL,
    "interval": "1h",
    "startDate": "2024-01-01",
    "endDate": "2024-02-01",
    "strategies": ["sma"],
    "strategyParams": {"sma": {"fast": 5, "slow": 20}},
}
BACKTESTS = "/api/algo/backtest"


# There is no TLS in tests, and to load certificates takes a client longer than most of what is asked with it.
_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def http_client(url: str = "", **options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, verify=_NO_CERTIFICATES, **options)


class Ear:
    """A Socket.IO client and everything it was told."""

    def __init__(self) -> None:
        self.sio = socketio.AsyncClient(reconnection=False)
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.on_message: Callable[..., None] = lambda *_: None
        self._changed = asyncio.Event()
        self.sio.on("*", self._hear)
        self.sio.on("disconnect", self._changed.set)

    def _hear(self, event: str, *arguments: Any) -> None:
        self.on_message(event, *arguments)
        self.told.append((event, *arguments))
        self._changed.set()

    async def call(self, event: str, *data: Any) -> Any:
        said = await self.sio.call(event, data[0] if data else None, timeout=15)
        if event in FROM_CLIENTS:
            check_acknowledged(event, said)
        return said

    async def hears(self, wanted: Callable[[str, dict[str, Any]], bool], deadline_s: float = 15.0) -> dict[str, Any]:
        """The first message that satisfies `wanted`, past or to come."""
        seen = 0
        async with asyncio.timeout(deadline_s):
            while True:
                for event, said in self.told[seen:]:
                    seen += 1
                    if wanted(event, said):
                        if event.startswith("auth:"):
                            check_told(event, said)
                        return said
                self._changed.clear()
                await self._changed.wait()

    async def hears_event(self, name: str, deadline_s: float = 15.0) -> dict[str, Any]:
        return await self.hears(lambda event, _: event == name, deadline_s)

    def events_of(self, backtest_id: str) -> list[str]:
        return [event for event, said in self.told if said.get("backtestId") == backtest_id]


@dataclass
class Site(OnDatabase):
    """A gateway that answers at `url`, and what stands behind it."""

    url: str
    settings: Settings
    database: Database
    bus: Bus
    _stack: AsyncExitStack

    def token(self, user: str = "ann") -> str:
        return mint_token(self.settings, user, 3600)

    async def client(self, user: str = "ann") -> httpx.AsyncClient:
        return await self.client_with(self.token(user))

    async def client_with(self, token: str | None) -> httpx.AsyncClient:
        """A client that sends this token, or none."""
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        client = http_client(self.url, headers=headers, timeout=15)
        return await self._stack.enter_async_context(client)

    async def ear(self, user: str = "ann") -> Ear:
        ear = Ear()
        await ear.sio.connect(self.url, auth={"token": self.token(user)}, transports=["websocket"])
        self._stack.push_async_callback(ear.sio.disconnect)
        return ear

    async def claim(self) -> BacktestRecord:
        record = await self.claims.claim("worker", new_id("claim"))
        assert record is not None
        return record

    async def finish(self, record: BacktestRecord, *, seq: int = 1, publish: bool = True) -> Complete:
        """Stores a result and the end of a claimed backtest, as a worker would."""
        document, equity, trades = result_of(record)
        await self.results.prepare(document, equity, trades)
        await self.results.write([document])
        news = Complete(
            backtest_id=record["_id"],
            user_id=record["userId"],
            epoch=record["epoch"],
            seq=seq,
            result_id=document["_id"],
            summary=Summary(total_return=1.5),
        )
        ending = completed(record, news, dataset_hash="sha256:0")
        assert await self.claims.end([ending]) == [True]
        if publish:
            assert await self.bus.publish(Channel.COMPLETE, news)
        return news


def result_of(record: BacktestRecord, points: int = 5_000) -> tuple[ResultDocument, dict[str, Any], dict[str, Any]]:
    """A result with one point of equity an hour and two trades."""
    time_ms = START_MS + HOUR_MS * np.arange(points)
    equity = {"time_ms": time_ms, "equity": 10_000.0 + np.arange(points)}
    trades = {
        "entry_time_ms": time_ms[[1, 5]],
        "exit_time_ms": time_ms[[3, 9]],
        "direction": np.array([1, -1]),
        "quantity": np.array([2.0, 3.0]),
        "entry_price": np.array([100.0, 110.0]),
        "pnl": np.array([10.0, np.nan]),
        "entry_reason": np.array([1, 1]),
        "exit_reason": np.array([2, 8]),
        "strategy": np.array([0, -1]),
    }
    document: ResultDocument = {
        "_id": new_id("res"),
        "backtestId": record["_id"],
        "userId": record["userId"],
        "claimId": record["claimId"],
        "createdAt": 1_704_067_200_000,
        "summary": {"totalReturn": 1.5},
        "metrics": {"totalReturn": 1.5, "profitFactor": None},
        "config": record["params"],
        "datasetHash": "sha256:0",
        "resultHash": "sha256:1",
        "engineVersion": "1",
        "seed": 0,
        "totalBars": points,
        "equity": b"",
        "frames": {},
    }
    return document, equity, trades


@asynccontextmanager
async def site_on(settings: Settings) -> AsyncIterator[Site]:
    """A gateway over these settings with `BARS` bars of `SYMBOL`; all that it started is gone afterwards."""
    async with AsyncExitStack() as stack:
        database = await Database.open(settings)
        stack.push_async_callback(database.close)
        bus = await Bus.open(settings)
        stack.push_async_callback(bus.close)
        await database.candles.import_bars(SYMBOL, "1h", random_walk(BARS), "synthetic")
        url = await stack.enter_async_context(gateway_on(settings))
        yield await stack.enter_async_context(_site(url, settings, database, bus))


@asynccontextmanager
async def _site(url: str, settings: Settings, database: Database, bus: Bus) -> AsyncIterator[Site]:
    async with AsyncExitStack() as clients:
        yield Site(url, settings, database, bus, clients)


@asynccontextmanager
async def gateway_on(settings: Settings) -> AsyncIterator[str]:
    """A running gateway's URL, once it hears the channels."""
    server = build_server(settings)
    # Tests run several in one process, where only one could own the signals; and none of them is stopped by one.
    setattr(server, "capture_signals", contextlib.nullcontext)  # noqa: B010
    with bind(settings) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await _until_ready(url, serving)
            yield url
        finally:
            server.should_exit = True
            async with asyncio.timeout(15):
                await serving


async def _until_ready(url: str, serving: asyncio.Task[None]) -> None:
    async with asyncio.timeout(20), http_client(url) as client:
        while True:
            assert not serving.done(), "the gateway could not start"
            with contextlib.suppress(httpx.TransportError):
                if (await client.get("/readyz")).status_code == 200:
                    return
            await asyncio.sleep(0.02)


async def read_here(paths: Sequence[Path], reading: Reading) -> list[ParsedSeries]:
    """In the place of `read_in_child`: many uploads, of which each would start a process that loads pandas."""
    return await asyncio.to_thread(read_files, paths, reading)


def problem_of(response: httpx.Response, status: int) -> dict[str, Any]:
    """The problem document of a refusal, checked for its form."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = json.loads(response.text)
    assert set(problem) == {"type", "title", "status", "detail", "code", "errors"}
    assert problem["status"] == status
    assert problem["type"].endswith(problem["code"])
    for error in problem["errors"]:
        assert set(error) - {"choices"} == {"field", "message", "code"}
    return problem


def fields_of(problem: dict[str, Any]) -> set[str]:
    return {error["field"] for error in problem["errors"]}
