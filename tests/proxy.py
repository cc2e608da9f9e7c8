"""A TCP proxy that stands between a client and what it talks to, and breaks in the ways that networks do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class Proxy:
    """Carries bytes to `url`. Can cut every line, swallow what is sent on it, be away, or lead elsewhere.

    `below` is a path that it takes from the front of the first request of each line, and refuses those without.
    """

    def __init__(self, url: str, below: str = "") -> None:
        self._below = below
        self._lines: set[asyncio.StreamWriter] = set()
        self._silent: set[asyncio.StreamWriter] = set()
        self.opened = 0
        self.away = False
        self.leads_to(url)

    def leads_to(self, url: str) -> None:
        """Where new lines go from now on."""
        there = urlsplit(url)
        assert there.hostname is not None
        assert there.port is not None
        self._there = there.hostname, there.port
        self._scheme = there.scheme

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield f"{self._scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self.cut()

    def cut(self) -> None:
        for one in self._lines:
            one.transport.abort()

    def go_silent(self) -> None:
        """The lines that are open stay so, and carry nothing any more. New ones do."""
        self._silent |= self._lines

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.away:
            writer.transport.abort()
            return
        self.opened += 1
        begin = (await reader.readuntil(b" ") + await reader.readexactly(len(self._below))) if self._below else b""
        if not begin.endswith(self._below.encode()):
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection(*self._there)
        except OSError:  # Nobody is there.
            writer.transport.abort()
            return
        self._lines |= {writer, back}
        back.write(begin.removesuffix(self._below.encode()))
        await asyncio.gather(self._carry(reader, back), self._carry(there, writer))
        self._lines -= {writer, back}
        self._silent -= {writer, back}

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                if writer not in self._silent:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        writer.transport.abort()
