"""A thousand WebSocket clients in one process, as cheap as can be: they count and time, and read next to nothing.

The same for every server, so that what differs is the server's.
"""

from __future__ import annotations

import asyncio
import base64
import os
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

_TIMED = b'"t":'
_AT_ONCE = 32
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
_MASK = 0x80


class Ear(asyncio.Protocol):
    """One client. What it hears before `joined` is talk of joining; what it hears then goes to `hear`."""

    def __init__(self, hear: Callable[[Ear, bytes], None]) -> None:
        self._hear = hear
        self._mark = b""
        self._found: asyncio.Future[None] | None = None
        self.joined = False
        self._rest = b""
        self._shaken = False
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None

    async def open(self, url: str, path: str, headers: dict[str, str]) -> None:
        place = urlsplit(url)
        assert place.hostname is not None, url
        assert place.port is not None, url
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_connection(lambda: self, place.hostname, place.port)
        asked = {
            "Host": f"{place.hostname}:{place.port}",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            "Sec-WebSocket-Version": "13",
            **headers,
        }
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in asked.items()), "", ""]
        self._transport.write("\r\n".join(lines).encode())
        await self._opened

    async def until(self, mark: bytes) -> None:
        """Until something is heard that has this in it."""
        self._mark, self._found = mark, asyncio.get_running_loop().create_future()
        await self._found

    def say(self, text: str) -> None:
        self._send(text.encode(), _TEXT)

    def _send(self, data: bytes, kind: int) -> None:
        """A client's frames are masked; a mask of zeros leaves them as they are."""
        assert self._transport is not None, "it is open"
        length = bytes([_MASK | len(data)]) if len(data) < 126 else bytes([_MASK | 126]) + len(data).to_bytes(2, "big")
        self._transport.write(bytes([0x80 | kind]) + length + bytes(4) + data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        for waiting in (self._opened, self._found):
            if waiting is not None and not waiting.done():
                waiting.set_exception(ConnectionError("the server hung up"))

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        at = 0
        if not self._shaken:
            head, found, _ = data.partition(b"\r\n\r\n")
            if not found:
                self._rest = data
                return
            if b" 101 " not in head.partition(b"\r\n")[0]:
                self._opened.set_exception(ConnectionError(f"not let in: {data[:200]!r}"))
                return
            at, self._shaken = len(head) + 4, True
            self._opened.set_result(None)
        end = len(data)
        while end - at >= 2:
            length, begin = data[at + 1], at + 2
            if length == 126:
                length, begin = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif length == 127:
                length, begin = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            if begin + length > end:
                break
            kind = data[at] & 15
            at = begin + length
            if kind in (_TEXT, _BINARY):
                self._take(data[begin:at])
            elif kind == _PING:
                self._send(data[begin:at], _PONG)
        self._rest = data[at:]

    def _take(self, message: bytes) -> None:
        if message == b"2":  # Engine.IO asks whether we are here
            self.say("3")
        elif self.joined:
            self._hear(self, message)
        elif self._found is not None and not self._found.done() and self._mark in message:
            self._found.set_result(None)


Join = Callable[[Ear], Awaitable[None]]


def over_socketio(url: str, token: str, backtest_id: str) -> Join:
    async def join(ear: Ear) -> None:
        await ear.open(url, "/socket.io/?EIO=4&transport=websocket", {})
        ear.say(f'40{{"token":"{token}"}}')
        await ear.until(b'40{"sid"')
        ear.say(f'420["backtest:subscribe",{{"backtestId":"{backtest_id}"}}]')
        await ear.until(b"430[")

    return join


def over_ws(url: str, token: str, backtest_id: str, encoding: str) -> Join:
    async def join(ear: Ear) -> None:
        await ear.open(url, "/ws", {"Authorization": f"Bearer {token}"})
        ear.say(f'{{"action":"authenticate","encoding":"{encoding}"}}')
        await ear.until(b"authenticated")
        ear.say(f'{{"action":"subscribe","topic":"backtest:{backtest_id}"}}')
        await ear.until(b"backtest_state_update")

    return join


class Crowd:
    """Many ears that have joined. An async context manager."""

    def __init__(self, join: Join, count: int) -> None:
        self._join = join
        self._count = count
        self.ears: list[Ear] = []
        self._due = 0
        self._all_heard: asyncio.Future[None] | None = None
        self.heard = self.heard_bytes = 0
        self.late_s: list[float] = []
        self.kept: dict[Ear, list[bytes]] | None = None

    async def __aenter__(self) -> Crowd:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def come() -> None:
            async with gate:
                ear = Ear(self._hear)
                self.ears.append(ear)
                await self._join(ear)
                ear.joined = True

        try:
            async with asyncio.TaskGroup() as coming:
                for _ in range(self._count):
                    coming.create_task(come())
        except BaseException:
            self._leave()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    def _leave(self) -> None:
        for ear in self.ears:
            ear.close()

    async def hears(self, messages: int, publish: Awaitable[object], within_s: float) -> None:
        """Publishes, and waits until each ear has heard so many messages more. Raises `TimeoutError`."""
        self._due = self.heard + messages * self._count
        self._all_heard = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(within_s):
            await publish
            await self._all_heard

    def _hear(self, ear: Ear, message: bytes) -> None:
        now_ns = time.monotonic_ns()
        self.heard += 1
        self.heard_bytes += len(message)
        at = message.find(_TIMED)
        if at >= 0:
            self.late_s.append((now_ns - int(message[at + 4 : message.index(b",", at)])) / 1e9)
        if self.kept is not None:
            self.kept.setdefault(ear, []).append(message)
        if self.heard >= self._due and self._all_heard is not None and not self._all_heard.done():
            self._all_heard.set_result(None)
