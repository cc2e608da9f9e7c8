"""`backfleet mcp`: the tools of MCP over standard input and output, for an agent that starts us.

Standard output belongs to the protocol; logs, and whatever else is printed, go to standard error.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from argparse import Namespace
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Any, cast

from mcp.server.stdio import stdio_server

from api.market_data.importing import import_files
from deploy.asking import PATIENCE_S, find_gateway
from deploy.processes import Interrupted, Interruption, announce, exit_code_of
from deploy.stack import Stack, import_demo_bars, private_settings, run_interruptible
from shared.client.fleet import Backfleet, Token
from shared.database import Database
from shared.errors import BackfleetError, ImportRefused
from shared.mcp.server import AgentServer
from shared.observability import configure_logging
from shared.reading import Reading
from shared.settings import Settings, load_settings

LINE_MAX_BYTES = 16 * 1024 * 1024
IMPORT_DEADLINE_S = 600.0
_READ_BYTES = 65_536
_WATCH_S = 0.1
_STDIN = 0
# A line that is too long is answered as what it is not: JSON.
_TOO_LONG = b"a line that is too long"

Check = Callable[[], None]


def run_mcp(asked: Namespace) -> int:
    """Until the end of standard input, or a signal."""
    settings = load_settings()
    configure_logging(settings)
    if asked.embedded:
        return exit_code_of(lambda interruption: _run_embedded(asked, interruption))
    url, token = find_gateway(asked)
    return exit_code_of(lambda interruption: _serve(url, token, interruption.check))


def _serve(url: str, token: Token, check: Check) -> int:
    async def serve() -> None:
        async with Backfleet(url, token, patience_s=PATIENCE_S) as fleet:
            await _serve_stdio(fleet, check)

    asyncio.run(serve())
    return 0


async def _serve_stdio(fleet: Backfleet, check: Check) -> None:
    """Serves one client. Raises what `check` raises, once what was begun is ended."""
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


def _run_embedded(asked: Namespace, interruption: Interruption) -> int:
    """On servers, a gateway and a worker of our own, for as long as we run."""
    with ExitStack() as opened:
        directory = asked.directory or Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="backfleet-mcp-")))
        stack = Stack(
            private_settings(directory),
            directory=directory,
            workers=1,
            check=interruption.check,
            hurry=interruption.hurry,
            say=announce,
        )
        opened.enter_context(stack)

        def check() -> None:
            interruption.check()
            stack.tend()

        for line in run_interruptible(_import(stack.settings, asked.data), check, IMPORT_DEADLINE_S):
            announce(f"market data: {line}")
        return _serve(stack.api_urls[0], stack.token("agent"), check)


async def _import(settings: Settings, files: list[Path] | None) -> list[str]:
    """The files that were named, else the bars to try things on, where their package is installed."""
    if not files:
        try:
            return await import_demo_bars(settings)
        except ImportRefused as refused:
            return [f"none: {refused.message}"]
    database = await Database.open(settings)
    try:
        reports = await import_files(database.candles, files, Reading(), "replace")
    finally:
        await database.close()
    return [report.summary() for report in reports]
