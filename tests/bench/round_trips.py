"""How many round trips to each server one backtest waits for, from POST to a client's ear.

They are not counted but felt: every request to a server is held up for `DELAY_S`, and what a backtest then takes
longer, divided by the delay, is how many it waits for one after the other. What is asked beside the way costs nothing
here, as it costs nothing to whoever waits.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from pydantic import SecretStr

from deploy.stack import Stack
from shared.settings import load_settings
from tests.bench.client import Client, load_bars
from tests.bench.rows import Row, measured

DELAY_S = 0.05
WARMING = 30
PAIRS = 40
AIMS = {"mongodb": 5, "redis": 3}
_CHUNK_BYTES = 1 << 16


class SlowWire:
    """Passes everything on to a server, what is asked of it later by `delay_s`."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self.delay_s = 0.0

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[int, None]:
        """The port of our own machine that leads to the server."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()

    async def _serve(self, asking: asyncio.StreamReader, answering: asyncio.StreamWriter) -> None:
        answers, asked = await asyncio.open_connection(*self._target)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass_on(asking, asked, delayed=True))
                both.create_task(self._pass_on(answers, answering, delayed=False))
        except* OSError:
            pass  # One side has gone, and the other goes with it.
        finally:
            answering.close()
            asked.close()

    async def _pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, delayed: bool) -> None:
        loop = asyncio.get_running_loop()
        while data := await source.read(_CHUNK_BYTES):
            if delayed and self.delay_s:
                loop.call_later(self.delay_s, target.write, data)
            else:
                target.write(data)
                await target.drain()
        raise ConnectionResetError


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None, url
    assert parts.port is not None, url
    return parts.hostname, parts.port


async def _felt_on(wire: SlowWire, client: Client) -> float:
    """Taken in turns, so that a machine that is slow for a while is slow for both."""
    longer_s: list[float] = []
    for _ in range(PAIRS):
        [undisturbed_s] = await client.round_trips_s(1)
        wire.delay_s = DELAY_S
        [held_up_s] = await client.round_trips_s(1)
        wire.delay_s = 0.0
        longer_s.append(held_up_s - undisturbed_s)
    return median(longer_s) / DELAY_S


async def _felt(servers: Stack, directory: Path) -> dict[str, float]:
    places = {"mongodb": _place(servers.mongodb_uri), "redis": _place(servers.redis_url)}
    wires = {name: SlowWire(*place) for name, place in places.items()}
    urls = {"mongodb": servers.mongodb_uri, "redis": servers.redis_url}
    async with AsyncExitStack() as stack:
        for name, wire in wires.items():
            port = await stack.enter_async_context(wire.listening())
            urls[name] = urls[name].replace(f":{places[name][1]}", f":{port}")
        settings = load_settings(
            mongodb_uri=SecretStr(urls["mongodb"]),
            redis_url=SecretStr(urls["redis"]),
            cache_dir=directory / "cache",
            log_level="WARNING",
        )
        service = Stack(settings, api_replicas=1, workers=1, directory=directory / "service")
        await asyncio.to_thread(service.start)
        stack.push_async_callback(asyncio.to_thread, service.stop)
        await load_bars(service)
        client = await stack.enter_async_context(Client(service.api_urls[0], service.token("bench")))
        await client.round_trips_s(WARMING)
        return {name: await _felt_on(wire, client) for name, wire in wires.items()}


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="backfleet-bench-") as name:
        directory = Path(name)
        settings = load_settings(cache_dir=directory / "cache")
        with Stack(settings, api_replicas=0, workers=0, directory=directory / "servers") as servers:
            felt = asyncio.run(_felt(servers, directory))
            on = servers.server_names
    return [
        measured(
            f"service.round_trips.{name}",
            ours=round(trips),
            unit="round trips",
            aim=AIMS[name],
            better="lower",
            on=f"{on}, one worker that is idle",
        )
        for name, trips in felt.items()
    ]
