"""Clients that are not ours draw a run whose connection breaks in the middle, and end with what is stored.

Each reconnects by its own means. The address that it knows leads to another gateway then, as behind a load balancer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import socketio
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from api.auth import mint_token
from deploy.node import NodeMissing, node_with_packages
from shared.contracts import Channel
from shared.instants import read_instant_ms
from shared.settings import Settings
from tests.drawing import Drawing, as_told
from tests.fleet import Fleet, fleet_on, request
from tests.gateway import BACKTESTS, gateway_on, http_client
from tests.javascript import FOLDER
from tests.proxy import Proxy

BARS = 2_000  # as many as are never thinned
PART = 700
DEADLINE_S = 60.0


class Reports:
    """What a client says of itself: `joined`, the `bar` of each state, and at the end all that it has drawn."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self._changed = asyncio.Event()

    def add(self, said: dict[str, Any]) -> None:
        self.said.append(said)
        self._changed.set()

    async def first(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first that satisfies `wanted`, past or to come."""
        while True:
            for one in self.said:
                if wanted(one):
                    return one
            self._changed.clear()
            await self._changed.wait()


@dataclass(frozen=True, slots=True)
class Errand:
    """What a client is to follow, and as whom."""

    url: str
    token: str
    backtest_id: str
    reports: Reports


Follow = Callable[[Errand], Awaitable[None]]


class _InPython:
    """The drawing of the tests, fed by an edge."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports
        self._drawing = Drawing()
        self._drawing.begun = True  # Nothing was said before it came.
        self.after: dict[str, int] | None = None
        self.connections = 0
        self.ended = False

    def at(self, said: dict[str, Any]) -> None:
        if "seq" in said:
            self.after = {"epoch": said["epoch"], "seq": said["seq"]}

    def draw(self, kind: str, said: dict[str, Any]) -> None:
        """`said` as an edge says it: with whose it is, and where it stands."""
        if said.get("partial"):
            return
        around = ("backtestId", "backtest_id", "userId", "epoch", "seq", "timestamp")
        data = {name: value for name, value in said.items() if name not in around}
        self._drawing.hear({"type": kind, "data": data})
        if kind == "state":
            self._reports.add({"bar": said["currentCandleIndex"]})

    def end(self, name: str) -> None:
        self.ended = True
        curve = sorted(map(list, self._drawing.curve.items()))
        self._reports.add(
            {"end": name, "curve": curve, "trades": self._drawing.trades, "connections": self.connections}
        )


async def python_socketio(errand: Errand) -> None:
    drawn = _InPython(errand.reports)
    sio = socketio.AsyncClient(handle_sigint=False, reconnection_delay=1, reconnection_delay_max=1)
    ended = asyncio.Event()

    @sio.on("connect")  # pyright: ignore[reportUntypedFunctionDecorator, reportOptionalCall]
    async def _join() -> None:
        drawn.connections += 1
        ask = {"backtestId": errand.backtest_id} | ({"after": drawn.after} if drawn.after else {})
        errand.reports.add({"joined": await sio.call("backtest:subscribe", ask)})

    @sio.on("*")  # pyright: ignore[reportUntypedFunctionDecorator, reportOptionalCall]
    async def _hear(event: str, said: dict[str, Any]) -> None:
        drawn.at(said)
        if event in ("backtest:state", "backtest:trade"):
            drawn.draw(event.removeprefix("backtest:"), said)
        if event in ("backtest:complete", "backtest:error"):
            drawn.end(event)
            ended.set()

    await sio.connect(errand.url, auth={"token": errand.token}, transports=["websocket"])
    try:
        await ended.wait()
    finally:
        await sio.disconnect()


async def websockets(errand: Errand) -> None:
    drawn = _InPython(errand.reports)
    topic = f"backtest:{errand.backtest_id}"
    headers = {"Authorization": f"Bearer {errand.token}"}
    async for ws in connect(f"{errand.url.replace('http', 'ws')}/ws", additional_headers=headers, proxy=None):
        drawn.connections += 1
        with contextlib.suppress(ConnectionClosed):
            after = {"after": drawn.after} if drawn.after else {}
            await ws.send(json.dumps({"action": "subscribe", "topic": topic} | after))
            async for data in ws:
                _draw_frame(drawn, errand.reports, json.loads(data))
                if drawn.ended:
                    return


def _draw_frame(drawn: _InPython, reports: Reports, frame: dict[str, Any]) -> None:
    drawn.at(frame.get("state", frame))
    match frame["type"]:
        case "subscription_confirmed":
            reports.add({"joined": frame})
        case "backtest_state_update":
            drawn.draw("state", frame["state"])
        case "backtest_trade":
            drawn.draw("trade", frame["data"])
        case "backtest_complete" | "backtest_error":
            drawn.end(frame["type"])
        case _:
            pass


async def socket_io_client(errand: Errand) -> None:
    try:
        node = node_with_packages(FOLDER)
    except NodeMissing as missing:
        pytest.skip(f"node is missing: {missing}")
    command = [str(node), str(FOLDER / "draw.mjs"), errand.url, errand.token, errand.backtest_id]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, limit=2**24)
    try:
        assert process.stdout is not None
        async for line in process.stdout:
            errand.reports.add(json.loads(line))
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def browser(page: socket.socket, tmp_path: Path) -> Follow:
    """A page that speaks with the browser's own WebSocket, in Chromium without a window."""

    async def follow(errand: Errand) -> None:
        program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        if program is None:
            pytest.skip("chromium is missing")
        host, port = page.getsockname()
        asked = {"url": f"{errand.url.replace('http', 'ws')}/ws", "token": errand.token, "backtest": errand.backtest_id}
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        command = [program, *options, f"--user-data-dir={tmp_path / 'browser'}"]
        async with _serve_page(page, errand.reports):
            url = f"http://{host}:{port}/page/page.html?{urlencode(asked)}"
            process = await asyncio.create_subprocess_exec(
                *command, url, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True
            )
            try:
                await errand.reports.first(lambda one: "end" in one)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()

    return follow


@asynccontextmanager
async def _serve_page(listener: socket.socket, reports: Reports) -> AsyncIterator[None]:
    """Serves the page, and takes what it says."""

    async def hear(said: web.Request) -> web.Response:
        reports.add(json.loads(await said.read()))
        return web.Response()

    app = web.Application(client_max_size=2**24)
    app.router.add_static("/page", FOLDER)
    app.router.add_post("/said", hear)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        yield
    finally:
        await runner.cleanup()


@pytest.fixture
def page() -> Iterator[socket.socket]:
    """Where a page can be served: its origin must be known before the gateways are."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
async def fleet(
    any_mongodb_uri: str,
    any_redis_url: str,
    mongodb_database: str,
    make_settings: Callable[..., Settings],
    page: socket.socket,
    tmp_path: Path,
) -> AsyncIterator[Fleet]:
    """One pair of backends: what is tested are clients."""
    origin = f"http://127.0.0.1:{page.getsockname()[1]}"
    settings = make_settings(cors_origins=(origin,), stall_limit_s=60.0, lease_ttl_s=60.0)
    async with fleet_on(settings, tmp_path, BARS) as opened:
        yield opened


@pytest.fixture(params=["socket.io-client", "python-socketio", "websockets", "browser"])
def follow(
    request: pytest.FixtureRequest, page: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Follow:
    monkeypatch.setattr("websockets.client.BACKOFF_INITIAL_DELAY", 0.2)
    clients = {"socket.io-client": socket_io_client, "python-socketio": python_socketio, "websockets": websockets}
    return clients.get(request.param) or browser(page, tmp_path)


async def test_what_a_client_draws_through_a_break_is_what_is_stored(fleet: Fleet, follow: Follow) -> None:
    reports, token = Reports(), mint_token(fleet.settings, "ann", 600)
    async with (
        gateway_on(fleet.settings) as first,
        gateway_on(fleet.settings) as second,
        http_client(first, headers={"Authorization": f"Bearer {token}"}) as http,
    ):
        body = request(startPaused=True, emitInterval=50, emitEveryMs=20).as_wire()
        backtest_id = (await http.post(BACKTESTS, json=body)).json()["backtestId"]
        proxy = Proxy(first)

        async def go_on(to_bar: int | None) -> None:
            ask = ("resume", None) if to_bar is None else ("step", {"bars": PART})
            assert (await http.post(f"{BACKTESTS}/{backtest_id}/{ask[0]}", json=ask[1])).status_code in (200, 202)
            await fleet.heard(
                lambda one: (
                    one["backtestId"] == backtest_id
                    and (
                        one["channel"] == Channel.COMPLETE
                        if to_bar is None
                        else one.get("type") == "paused" and one["data"]["bar"] == to_bar
                    )
                ),
                DEADLINE_S,
            )

        async def steer() -> None:
            await reports.first(lambda one: "joined" in one)
            fleet.start_worker(chunk_bars=100)
            await go_on(PART)
            await reports.first(lambda one: one.get("bar") == PART)
            proxy.away = True
            proxy.cut()
            await go_on(2 * PART)  # nobody hears that
            proxy.leads_to(second)
            proxy.away = False
            await reports.first(lambda one: one.get("bar") == 2 * PART)
            await go_on(None)

        async with proxy.running() as url, asyncio.timeout(DEADLINE_S):
            steering = asyncio.create_task(steer())
            await follow(Errand(url, token, backtest_id, reports))
            await steering
        drawn = reports.said[-1]
        points = (await http.get(f"{BACKTESTS}/{backtest_id}/equity?maxPoints=20000")).json()["points"]
        trades = (await http.get(f"{BACKTESTS}/{backtest_id}/trades?limit=5000")).json()["items"]
    assert drawn["end"].endswith("complete")
    assert drawn["connections"] >= 2
    assert drawn["trades"] == as_told(trades)
    assert len(trades) > 50
    stored = [[read_instant_ms("time", one["time"]), one["equity"]] for one in points]
    assert len(stored) == BARS
    assert drawn["curve"] == stored
