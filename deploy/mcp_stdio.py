"""`backfleet mcp`: the tools of MCP over standard input and output, for an agent that starts us.

Standard output belongs to the protocol; logs, and whatever else is printed, go to standard error.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Any, cast

from mcp.server.stdio import stdio_server

from deploy.processes import Interrupted, exit_code_of
from shared.client.fleet import Backfleet, Token
from shared.errors import BackfleetError
from shared.mcp.server import AgentServer
from shared.observability import configure_logging
from shared.settings import load_settings

# As the other commands wait for a gateway that is being started again.
PATIENCE_S = 15.0
LINE_MAX_BYTES = 16 * 1024 * 1024
_READ_BYTES = 65_536
_WATCH_S = 0.1
_STDIN = 0
# A line that is too long is answered as what it is not: JSON.
_TOO_LONG = b"a line that is too long"

Check = Callable[[], None]


def run_mcp(url: str, token: Token) -> int:
    """On a gateway, until the end of standard input, or a signal."""
    configure_logging(load_settings())
    return exit_code_of(lambda interruption: serve(url, token, interruption.check))


def serve(url: str, token: Token, check: Check) -> int:
    """Serves one client. Raises what `check` raises, once all is closed."""

    async def serving() -> None:
        async with Backfleet(url, token, patience_s=PATIENCE_S) as fleet:
            await _serve_stdio(fleet, check)

    asyncio.run(serving())
    return 0


async def _serve_stdio(fleet: Backfleet, check: Check) -> None:
    agents = AgentServer(lambda _: fleet)
    lines = StdinLines()
    watching = asyncio.create_task(_watch(check, lines))
    try:
        async with aclosing(lines.read()) as stdin, stdio_server(stdin=cast("Any", stdin)) as (reading, writing):
            options = agents.lowlevel.create_initialization_options()
            await agents.lowlevel.run(reading, writing, options)
    except* BrokenPipeError:
        pass  # Whoever started us reads no more.
    finally:
        await agents.close()
        watching.cancel()
        await asyncio.wait([watching])
    if not watching.cancelled() and (error := watching.exception()) is not None:
        raise error


async def _watch(check: Check, lines: StdinLines) -> None:
    try:
        while True:
            check()
            await asyncio.sleep(_WATCH_S)
    except (Interrupted, BackfleetError):
        lines.end()
        raise


class StdinLines:
    """Lines of standard input. A thread reads them, because a read that blocks cannot be ended, and must not hold up
    who ends; of what it has read at most a few lines wait.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[str | None] = asyncio.Queue(16)
        self._ended = asyncio.Event()

    def end(self) -> None:
        """As if there were no more."""
        self._ended.set()

    async def read(self) -> AsyncGenerator[str, None]:
        threading.Thread(target=self._read, name="stdin", daemon=True).start()
        ended = asyncio.create_task(self._ended.wait())
        try:
            while not self._ended.is_set():
                line = asyncio.create_task(self._lines.get())
                await asyncio.wait([line, ended], return_when=asyncio.FIRST_COMPLETED)
                if not line.done():
                    line.cancel()
                    return
                if (text := line.result()) is None:
                    return
                yield text
        finally:
            ended.cancel()

    def _read(self) -> None:
        try:
            for line in _split(lambda: os.read(_STDIN, _READ_BYTES)):
                self._put(line.decode("utf-8", "replace"))
            self._put(None)
        except RuntimeError:
            pass  # The loop is closed: nobody listens any more.

    def _put(self, line: str | None) -> None:
        asyncio.run_coroutine_threadsafe(self._lines.put(line), self._loop).result()


def _split(read: Callable[[], bytes]) -> Iterator[bytes]:
    """Lines out of what is read piece by piece; the rest of one that is too long is passed over."""
    parts, size = list[bytes](), 0
    while piece := read():
        *whole, rest = piece.split(b"\n")
        for end in whole:
            size += len(end)
            yield b"".join([*parts, end]) if size <= LINE_MAX_BYTES else _TOO_LONG
            parts, size = [], 0
        size += len(rest)
        if size <= LINE_MAX_BYTES:
            parts.append(rest)
        else:
            parts.clear()
    if parts and any(parts):
        yield b"".join(parts)
