"""Redis breaks in four ways while runs are watched over both edges of two gateways, and steered.

However it breaks: a command that is given meanwhile is done, every subscriber hears the end, and control is quick again
soon after. What is meant is 10 s, which is measured and printed; a loaded machine has longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection, connect

from api.auth import mint_token
from deploy.servers import ValkeyServer, find_redis_binary
from shared.settings import Settings
from tests.fleet import Fleet, fleet_on, request
from tests.gateway import BACKTESTS, Ear, gateway_on, http_client
from tests.proxy import Proxy

log = logging.getLogger(__name__)

BARS = 1_000
STEP = 100
DEADLINE_S = 30.0
ENDS = ("backtest:complete", "backtest_complete")


class Listener:
    """A subscriber, over whichever edge, and all that it hears."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, dict[str, Any]]] = []
        self._changed = asyncio.Event()

    def hear(self, name: str, backtest_id: str, said: dict[str, Any]) -> None:
        self.told.append((name, backtest_id, said))
        self._changed.set()

    async def first(self, wanted: Callable[[str, str, dict[str, Any]], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not any(wanted(*one) for one in self.told):
                self._changed.clear()
                await self._changed.wait()

    async def end_of(self, backtest_id: str) -> None:
        await self.first(lambda name, whose, _: name in ENDS and whose == backtest_id)

    async def bar_of(self, backtest_id: str, bar: int) -> None:
        await self.first(lambda _, whose, said: whose == backtest_id and said.get("currentCandleIndex") == bar)

    def ends(self) -> list[str]:
        return [whose for name, whose, _ in self.told if name in ENDS]


async def _over_socketio(url: str, token: str, backtest_ids: list[str], stack: AsyncExitStack) -> Listener:
    listener, ear = Listener(), Ear()
    ear.on_message = lambda event, said: listener.hear(event, said["backtestId"], said)
    await ear.sio.connect(url, auth={"token": token}, transports=["websocket"])
    stack.push_async_callback(ear.sio.disconnect)
    for backtest_id in backtest_ids:
        assert (await ear.call("backtest:subscribe", {"backtestId": backtest_id}))["ok"]
    return listener


async def _over_ws(url: str, token: str, backtest_ids: list[str], stack: AsyncExitStack) -> Listener:
    listener = Listener()
    headers = {"Authorization": f"Bearer {token}"}
    ws = await stack.enter_async_context(
        connect(f"{url.replace('http', 'ws')}/ws", additional_headers=headers, proxy=None)
    )
    hearing = asyncio.create_task(_hear_frames(ws, listener))
    stack.callback(hearing.cancel)
    for backtest_id in backtest_ids:
        await ws.send(json.dumps({"action": "subscribe", "topic": f"backtest:{backtest_id}"}))
    await listener.first(lambda *_: sum(name == "subscription_confirmed" for name, _, _ in listener.told) == 2)
    return listener


async def _hear_frames(ws: ClientConnection, listener: Listener) -> None:
    async for data in ws:
        frame = json.loads(data)
        said = frame.get("state") or frame.get("data") or {}
        listener.hear(frame["type"], frame.get("sessionId") or said.get("backtest_id", ""), said)


@dataclass
class Scene:
    """Two runs that stand at bar `STEP`, paused, each with a subscriber over each edge of each gateway."""

    fleet: Fleet
    http: httpx.AsyncClient
    redis: ValkeyServer
    proxy: Proxy
    listeners: list[Listener]
    ending: str
    going_on: str

    async def ask(self, backtest_id: str, action: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = await self.http.post(f"{BACKTESTS}/{backtest_id}/{action}", json=body)
        assert answer.status_code in (200, 202), answer.text
        return answer.json()

    async def all_hear(self, what: Callable[[Listener], Awaitable[None]]) -> None:
        await asyncio.gather(*(what(one) for one in self.listeners))

    async def has_ended(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while (await self.fleet.store.get(self.ending, "ann"))["status"] != "completed":  # noqa: ASYNC110 - elsewhere
                await asyncio.sleep(0.05)


@pytest.fixture
async def scene(
    any_mongodb_uri: str, mongodb_database: str, make_settings: Callable[..., Settings], tmp_path: Path
) -> AsyncIterator[Scene]:
    binary = find_redis_binary()
    if binary is None:
        pytest.skip("no valkey-server or redis-server to restart")
    async with AsyncExitStack() as stack:
        server = stack.enter_context(ValkeyServer(tmp_path / "redis", binary=binary))
        named: dict[str, Any] = {"worker_slots": 2, "lease_ttl_s": 20.0, "lease_renew_s": 0.5, "bus_timeout_s": 2.0}
        fleet = await stack.enter_async_context(fleet_on(make_settings(redis_url=server.url, **named), tmp_path, BARS))
        # The gateways speak to Redis through what can go silent; the worker does not.
        proxy = Proxy(server.url)
        near = make_settings(redis_url=await stack.enter_async_context(proxy.running()), **named)
        urls = [await stack.enter_async_context(gateway_on(near)) for _ in range(2)]
        token = mint_token(near, "ann", 600)
        http = await stack.enter_async_context(
            http_client(urls[0], headers={"Authorization": f"Bearer {token}"}, timeout=DEADLINE_S)
        )
        body = request(startPaused=True).as_wire()
        ids = [(await http.post(BACKTESTS, json=body)).json()["backtestId"] for _ in range(2)]
        clients = await stack.enter_async_context(AsyncExitStack())
        listeners = [await join(url, token, ids, clients) for url in urls for join in (_over_socketio, _over_ws)]
        scene = Scene(fleet, http, server, proxy, listeners, *ids)
        fleet.start_worker()
        for one in ids:
            await scene.ask(one, "step", {"bars": STEP})
            await scene.all_hear(lambda listener, one=one: listener.bar_of(one, STEP))
        yield scene


@asynccontextmanager
async def restarted(scene: Scene) -> AsyncIterator[None]:
    await asyncio.to_thread(scene.redis.kill)
    yield
    await asyncio.to_thread(scene.redis.start)


@asynccontextmanager
async def unsubscribed(scene: Scene) -> AsyncIterator[None]:
    async with Redis.from_url(scene.redis.url) as client:
        await client.client_kill_filter(_type="pubsub")
        yield
        await client.client_kill_filter(_type="pubsub")


@asynccontextmanager
async def flooded(scene: Scene) -> AsyncIterator[None]:
    """More is said in one go than Redis keeps for who listens: it drops them, before and after the end is said."""
    flood = json.dumps({"backtestId": "bt_x", "userId": "x", "type": "thinking", "data": {"text": "x" * 4_000}})

    async def pour(client: Redis) -> int:
        """How many were dropped."""
        listening = {one["id"] for one in await client.client_list(_type="pubsub")}
        pipe = client.pipeline(transaction=False)
        for _ in range(2_000):
            pipe.publish("backtest:event", flood)
        await pipe.execute()
        return len(listening - {one["id"] for one in await client.client_list(_type="pubsub")})

    async with Redis.from_url(scene.redis.url) as client:
        await client.config_set("client-output-buffer-limit", "pubsub 262144 262144 1")
        assert await pour(client) >= 3, "both gateways and this test"
        yield
        await pour(client)


@asynccontextmanager
async def half_open(scene: Scene) -> AsyncIterator[None]:
    scene.proxy.go_silent()
    yield


async def subscriptions(scene: Scene) -> int:
    async with Redis.from_url(scene.redis.url) as client:
        return sum(int(one["sub"]) > 0 for one in await client.client_list())


@pytest.mark.parametrize("fault", [restarted, unsubscribed, flooded, half_open])
async def test_however_redis_breaks_ends_are_told_and_control_comes_back(
    scene: Scene, fault: Callable[[Scene], contextlib.AbstractAsyncContextManager[None]]
) -> None:
    before = await subscriptions(scene)
    async with fault(scene):
        await scene.ask(scene.ending, "resume")
        await scene.has_ended()
    mended_s = time.monotonic()

    async def steered() -> float:
        answer, bar = await scene.ask(scene.going_on, "step", {"bars": STEP}), 2 * STEP
        while not answer["done"]:  # It will be; quick is what is waited for.
            answer, bar = await scene.ask(scene.going_on, "seek", {"bar": bar + 1}), bar + 1
        await scene.all_hear(lambda listener: listener.bar_of(scene.going_on, bar))
        return time.monotonic() - mended_s

    async def told() -> float:
        await scene.all_hear(lambda listener: listener.end_of(scene.ending))
        return time.monotonic() - mended_s

    async with asyncio.timeout(DEADLINE_S):
        told_s, steered_s = await asyncio.gather(told(), steered())
    log.warning("%s: ends told after %.2f s, control quick after %.2f s", fault.__name__, told_s, steered_s)
    await scene.ask(scene.going_on, "resume")
    await scene.all_hear(lambda listener: listener.end_of(scene.going_on))
    for listener in scene.listeners:
        assert sorted(listener.ends()) == sorted([scene.ending, scene.going_on]), "each once"
    assert await subscriptions(scene) == before, "none was left behind"
