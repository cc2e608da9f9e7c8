"""The socket of a client: connected while somebody listens, and again when it broke."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, cast

import aiohttp
import socketio  # pyright: ignore[reportMissingTypeStubs] - it has its types inline, and not all
from socketio.exceptions import ConnectionError as NotConnected  # pyright: ignore[reportMissingTypeStubs]
from socketio.exceptions import SocketIOError  # pyright: ignore[reportMissingTypeStubs]

from shared.client.answers import RunEvent, read_errors
from shared.errors import BackfleetError, Conflict, NotFound, Refusal, Unauthenticated, Unavailable

log = logging.getLogger(__name__)

_FOR_OWNERS = ("backtest:started", "backtest:progress", "backtest:paused", "backtest:resumed")
_CONNECT_TIMEOUT_S = 10.0
_ACK_TIMEOUT_S = 10.0
_WAITS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
# Events that wait to be taken by one `events`. Whoever falls further behind is told the rest when he has caught up.
WAITING_MAX = 10_000


class Feed:
    """What was heard of one backtest and not taken yet."""

    def __init__(self, backtest_id: str, connect_anew: Callable[[], Awaitable[None]]) -> None:
        self.backtest_id = backtest_id
        self.after: tuple[int, int] | None = None  # what was put in last
        self.asked = self.joined = False  # on the socket there is now: its subscription was sent, was confirmed
        self.early: RunEvent | None = None  # its end, heard before that
        self.asked_anew = False
        self.lost: BackfleetError | None = None
        self._connect_anew = connect_anew
        self._behind = False
        self._waiting: deque[RunEvent] = deque()
        self._filled = asyncio.Event()

    def leave(self) -> None:
        """The socket is another one."""
        self.asked = self.joined = False
        self.early = None

    def hear(self, event: RunEvent) -> None:
        """What an owner is told before it subscribes comes before what it missed: that is asked for as it was then. An
        end that comes too early may keep back what was missed, on this socket: then another one is asked.
        """
        if event.ends and not self.joined:
            self.early = event
        elif self.asked:
            self.put(event)
            if self.early is not None and event.data.get("snapshot"):
                self.put(self.early)  # Nothing that was missed comes after it.

    def put(self, event: RunEvent) -> None:
        if self._behind:
            return
        if len(self._waiting) >= WAITING_MAX:
            self._behind = True
            return
        epoch, seq = event.data.get("epoch"), event.data.get("seq")
        if isinstance(epoch, int) and isinstance(seq, int):
            self.after = (epoch, seq)
        self._waiting.append(event)
        self._filled.set()

    def fail(self, error: BackfleetError) -> None:
        self.lost = error
        self._filled.set()

    async def take(self) -> RunEvent:
        while not self._waiting:
            if self.lost is not None:
                raise self.lost
            if self._behind:
                # What was passed over the gateway counts as told on this socket; on another one it tells it again.
                self._behind = False
                await self._connect_anew()
                continue
            self._filled.clear()
            await self._filled.wait()
        return self._waiting.popleft()


class Line:
    """The socket of one client: connected while somebody listens, and again when it broke."""

    def __init__(
        self, url: str, token: Callable[[], Awaitable[str]], http: aiohttp.ClientSession, patience_s: float
    ) -> None:
        self._url = url
        self._token = token
        self._http = http
        self._patience_s = patience_s
        self._feeds: dict[str, Feed] = {}
        self._hearing: dict[str | None, set[asyncio.Queue[RunEvent | None]]] = {}
        self._keeping: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()
        self._refusal: str | None = None
        self._failed: BackfleetError | None = None
        self._broke = asyncio.Event()
        # The library's own way to connect again gives up where the server closed the line, and hides why it is refused.
        self._sio: Any = socketio.AsyncClient(reconnection=False, handle_sigint=False, http_session=http)
        self._sio.on("*", self._hear)
        self._sio.on("disconnect", self._note_break)
        self._sio.on("connect_error", self._refused)

    async def close(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        await self._sio.disconnect()

    @contextlib.asynccontextmanager
    async def subscribed(self, backtest_id: str) -> AsyncGenerator[Feed, None]:
        """All that is said of one backtest, while the block lasts. Raises `Conflict` where another block does so."""
        if backtest_id in self._feeds:
            raise Conflict(f"{backtest_id} is being followed by another events() of this client; use that one")
        feed = self._feeds[backtest_id] = Feed(backtest_id, self._sio.disconnect)
        try:
            await self._open()
            await self._subscribe(feed)
            yield feed
        finally:
            del self._feeds[backtest_id]
            if self._connected.is_set():
                with contextlib.suppress(SocketIOError):
                    await self._sio.emit("backtest:unsubscribe", {"backtestId": backtest_id})

    @contextlib.asynccontextmanager
    async def hearing(self, backtest_id: str | None) -> AsyncGenerator[Callable[[], Awaitable[RunEvent | None]], None]:
        """What the owner of a backtest (None: of any) hears without a subscription; None each time the line broke."""
        heard: asyncio.Queue[RunEvent | None] = asyncio.Queue()
        waiting = self._hearing.setdefault(backtest_id, set())
        waiting.add(heard)

        async def hear() -> RunEvent | None:
            event = await heard.get()
            if event is None and self._failed is not None:
                raise self._failed
            return event

        try:
            await self._open()
            yield hear
        finally:
            waiting.discard(heard)
            if not waiting:
                self._hearing.pop(backtest_id, None)

    async def _open(self) -> None:
        """Returns when the socket is connected. Raises `Unauthenticated`, `Unavailable`."""
        if self._keeping is None or self._keeping.done():
            self._failed = None
            self._keeping = asyncio.create_task(self._keep())
        connected = asyncio.create_task(self._connected.wait())
        try:
            await asyncio.wait([connected, self._keeping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            connected.cancel()
        if self._failed is not None:
            raise self._failed

    async def _keep(self) -> None:
        try:
            while True:
                await self._connect()
                self._connected.set()
                await self._resubscribe()
                await self._broke.wait()
                self._connected.clear()
        except BackfleetError as error:
            self._failed = error
            for feed in self._feeds.values():
                feed.fail(error)
        finally:
            self._connected.clear()
            self._tell_all_waiting()

    async def _connect(self) -> None:
        async with patience(self._patience_s, f"{self._url} cannot be reached"):
            for attempt in range(1_000_000):
                self._refusal = None
                self._broke.clear()
                for feed in self._feeds.values():
                    feed.leave()
                try:
                    token = await self._token()
                    await self._sio.connect(
                        self._url, auth={"token": token}, transports=["websocket"], wait_timeout=_CONNECT_TIMEOUT_S
                    )
                    return
                except (NotConnected, aiohttp.ClientError, OSError, ValueError) as error:
                    if self._refusal is not None and self._refusal.startswith("unauthenticated"):
                        raise Unauthenticated(self._refusal) from None
                    log.info("no connection to %s: %s; again", self._url, self._refusal or error)
                await pause(attempt)

    async def _resubscribe(self) -> None:
        for feed in list(self._feeds.values()):
            try:
                await self._subscribe(feed)
            except BackfleetError as error:
                feed.fail(error)
        self._tell_all_waiting()

    def _tell_all_waiting(self) -> None:
        for waiting in self._hearing.values():
            for one in waiting:
                one.put_nowait(None)

    async def _subscribe(self, feed: Feed) -> None:
        """Asks for all after what the feed has. A line that breaks meanwhile is no matter: it is asked again then."""
        asked: dict[str, Any] = {"backtestId": feed.backtest_id}
        if feed.after is not None:
            asked["after"] = {"epoch": feed.after[0], "seq": feed.after[1]}
        feed.asked = True
        try:
            ack: dict[str, Any] = await self._sio.call("backtest:subscribe", asked, timeout=_ACK_TIMEOUT_S)
        except (SocketIOError, TimeoutError) as error:
            log.info("%s: not subscribed (%s: %s)", feed.backtest_id, type(error).__name__, error)
            await self._sio.disconnect()
            return
        if not ack.get("ok"):
            raise _refused_ack(ack)
        feed.joined = True
        if feed.early is not None and not ack.get("recovered") and not feed.asked_anew:
            feed.asked_anew = True
            await self._sio.disconnect()

    def _hear(self, name: str, data: Any = None) -> None:
        backtest_id = cast("dict[str, Any]", data).get("backtestId") if isinstance(data, dict) else None
        if not isinstance(backtest_id, str):
            return
        event = RunEvent(name, cast("dict[str, Any]", data))
        if (feed := self._feeds.get(backtest_id)) is not None:
            feed.hear(event)
        if event.ends or event.name in _FOR_OWNERS:
            for waiting in (*self._hearing.get(backtest_id, ()), *self._hearing.get(None, ())):
                waiting.put_nowait(event)

    def _refused(self, said: Any = None) -> None:
        self._refusal = str(cast("dict[str, Any]", said).get("message") if isinstance(said, dict) else said)

    def _note_break(self, *_reason: object) -> None:
        self._broke.set()


@contextlib.asynccontextmanager
async def patience(patience_s: float, problem: str) -> AsyncGenerator[None, None]:
    timeout = asyncio.timeout(patience_s)
    try:
        async with timeout:
            yield
    except TimeoutError:
        if timeout.expired():
            raise Unavailable(f"{problem}, for {patience_s:g} s now") from None
        raise


async def pause(attempt: int) -> None:
    """Longer each time, and not the same for all clients of a gateway that comes back."""
    await asyncio.sleep(_WAITS_S[min(attempt, len(_WAITS_S) - 1)] * random.uniform(0.5, 1.0))


def _refused_ack(ack: Mapping[str, Any]) -> BackfleetError:
    errors = read_errors(ack)
    kind = NotFound if any(one.code == "not_found" for one in errors) else Refusal
    return kind("; ".join(one.message for one in errors) or "refused", errors)
