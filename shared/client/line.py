"""The socket of a client: connected while somebody listens, and again when it broke."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import aiohttp
import socketio  # pyright: ignore[reportMissingTypeStubs] - it has its types inline, and not all
from socketio.exceptions import ConnectionError as NotConnected  # pyright: ignore[reportMissingTypeStubs]
from socketio.exceptions import SocketIOError  # pyright: ignore[reportMissingTypeStubs]

from shared.client.answers import RunEvent, read_errors
from shared.errors import (
    BackfleetError,
    Conflict,
    Forbidden,
    NotFound,
    Refusal,
    Unauthenticated,
    Unavailable,
)

log = logging.getLogger(__name__)

_FOR_OWNERS = ("backtest:started", "backtest:progress", "backtest:paused", "backtest:resumed")
_CONNECT_TIMEOUT_S = 10.0
_ACK_TIMEOUT_S = 10.0
# Of the event loop, until a generator that nobody holds any more is closed.
_TURNS_TO_LEAVE = 5
_REFUSALS: dict[str, type[BackfleetError]] = {one.code: one for one in (Unauthenticated, Forbidden)}
_WAITS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
# Events that wait to be taken by one `events`. Whoever falls further behind is told the rest when he has caught up.
WAITING_MAX = 10_000

Answer = TypeVar("Answer")


class Feed:
    """What was heard of one backtest and not taken yet."""

    def __init__(self, backtest_id: str, connect_anew: Callable[[], Awaitable[None]]) -> None:
        self.backtest_id = backtest_id
        self.after: tuple[int, int] | None = None  # all until there was put in
        self._ahead: set[tuple[int, int]] = set()  # and these
        self._caught_up = False  # the socket there is now has said from where on it tells
        self.listens = self.joined = False  # to the socket there is now; and its subscription was confirmed
        self.early: RunEvent | None = None  # its end, heard before that
        self.asked_anew = False
        self.lost: Exception | None = None
        self._connect_anew = connect_anew
        self._behind = False
        self._waiting: deque[RunEvent] = deque()
        self._filled = asyncio.Event()

    def leave(self) -> None:
        """What the socket still says is not for it."""
        self.listens = self.joined = self._caught_up = False
        self.early = None

    def begin(self) -> None:
        """The socket is another one. Before it asked for the first time, nothing is missed."""
        self.leave()
        self.listens = self.after is not None

    def join(self, *, recovered: bool) -> bool:
        """Its subscription is confirmed. False where the socket has to be left, and says no more that counts."""
        self.joined = True
        if self.early is None or recovered or self.asked_anew:
            return True
        self.asked_anew = True
        self.leave()
        return False

    def hear(self, event: RunEvent) -> None:
        """What an owner is told before its subscription is answered is not told again, and comes before what it missed,
        which must be asked for again if the line breaks now. An end that comes too early may keep back what was missed,
        on this socket: then another one is asked.
        """
        if event.ends and not self.joined:
            self.early = event
        elif self.listens:
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
        snapshot = event.data.get("snapshot") is True
        self._caught_up = self._caught_up or snapshot
        if isinstance(epoch, int) and isinstance(seq, int) and self._had((epoch, seq)) and not snapshot:
            return
        self._waiting.append(event)
        self._filled.set()

    def _had(self, position: tuple[int, int]) -> bool:
        """Whether it was put in before; from now on it was."""
        had = position in self._ahead
        if self._caught_up:
            self.after = position
            self._ahead = {one for one in self._ahead if one > position}
        else:
            self._ahead.add(position)
        return had

    def fail(self, error: Exception) -> None:
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
        self._path = f"{urlsplit(url).path}/socket.io"  # The library takes only the host from a URL.
        self._token = token
        self._http = http
        self._patience_s = patience_s
        self._feeds: dict[str, Feed] = {}
        self._hearing: dict[str | None, set[asyncio.Queue[RunEvent | None]]] = {}
        self._keeping: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()
        self._refusal: str | None = None
        self._failed: Exception | None = None
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
        for _ in range(_TURNS_TO_LEAVE):  # The loop is closing one that was left in the middle.
            if backtest_id in self._feeds:
                await asyncio.sleep(0)
        if backtest_id in self._feeds:
            raise Conflict(f"{backtest_id} is being followed by another events() of this client; use that one")
        feed = self._feeds[backtest_id] = Feed(backtest_id, self._sio.disconnect)
        try:
            was_open = self._connected.is_set()
            await self._open()
            if was_open:  # Else whoever opened it has asked for all feeds there are.
                await self._subscribe(feed)
            yield feed
        finally:
            del self._feeds[backtest_id]
            if self._connected.is_set():
                with contextlib.suppress(SocketIOError):
                    await self._sio.emit("backtest:unsubscribe", {"backtestId": backtest_id})

    @contextlib.asynccontextmanager
    async def hearing(self, backtest_id: str | None) -> AsyncGenerator[Callable[[], Awaitable[RunEvent | None]], None]:
        """What the owner of a backtest (None: of any) hears without a subscription; None each time the line broke, or
        so much waited that it was let go of."""
        heard: asyncio.Queue[RunEvent | None] = asyncio.Queue(WAITING_MAX)
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
        except Exception as error:  # noqa: BLE001 - whatever it is, who waits is told, also what `token` raised
            self._failed = error
            for feed in self._feeds.values():
                feed.fail(error)
        finally:
            self._connected.clear()
            self._tell_all_waiting()

    async def _connect(self) -> None:
        problem = f"{self._url} cannot be reached by WebSocket, which every proxy in between has to pass on"
        async with patience(self._patience_s, problem):
            for attempt in range(1_000_000):
                self._refusal = None
                self._broke.clear()
                for feed in self._feeds.values():
                    feed.begin()
                try:
                    token = await self._token()
                    await self._sio.connect(
                        self._url,
                        auth={"token": token},
                        transports=["websocket"],
                        socketio_path=self._path,
                        wait_timeout=_CONNECT_TIMEOUT_S,
                    )
                    return
                except (NotConnected, aiohttp.ClientError, OSError, ValueError) as error:
                    refusal = self._refusal or ""
                    if (kind := _REFUSALS.get(refusal.partition(":")[0])) is not None:
                        raise kind(refusal) from None
                    log.info("no connection to %s: %s; again", self._url, self._refusal or error)
                await pause(attempt)

    async def _resubscribe(self) -> None:
        for feed in list(self._feeds.values()):
            if self._feeds.get(feed.backtest_id) is not feed:
                continue
            try:
                await self._subscribe(feed)
            except BackfleetError as error:
                feed.fail(error)
        self._tell_all_waiting()

    def _tell_all_waiting(self) -> None:
        for waiting in self._hearing.values():
            for one in waiting:
                _put(one, None)

    async def _subscribe(self, feed: Feed) -> None:
        """Asks for all after what the feed has. A line that breaks meanwhile is no matter: it is asked again then."""
        asked: dict[str, Any] = {"backtestId": feed.backtest_id}
        if feed.after is not None:
            asked["after"] = {"epoch": feed.after[0], "seq": feed.after[1]}
        feed.listens = True
        answered: asyncio.Future[tuple[dict[str, Any], bool]] = asyncio.get_running_loop().create_future()

        def hear(ack: dict[str, Any]) -> None:
            """As it comes: what is said after it must find the feed joined."""
            stays = not ack.get("ok") or feed.join(recovered=bool(ack.get("recovered")))
            if not answered.done():
                answered.set_result((ack, stays))

        try:
            await self._sio.emit("backtest:subscribe", asked, callback=hear)
            ack, stays = await self._unless_broken(answered)
        except (SocketIOError, TimeoutError) as error:
            log.info("%s: not subscribed (%s: %s)", feed.backtest_id, type(error).__name__, error)
            await self._sio.disconnect()
            return
        if not ack.get("ok"):
            raise _refused_ack(ack)
        if not stays:
            await self._sio.disconnect()

    async def _unless_broken(self, answered: asyncio.Future[Answer]) -> Answer:
        """An answer on the socket there is now. Raises `TimeoutError`, also where the line has broken."""
        broken = asyncio.create_task(self._broke.wait())
        try:
            await asyncio.wait([answered, broken], timeout=_ACK_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            broken.cancel()
        if not answered.done():
            raise TimeoutError
        return answered.result()

    def _hear(self, name: str, data: Any = None) -> None:
        backtest_id = cast("dict[str, Any]", data).get("backtestId") if isinstance(data, dict) else None
        if not isinstance(backtest_id, str):
            return
        event = RunEvent(name, cast("dict[str, Any]", data))
        if (feed := self._feeds.get(backtest_id)) is not None:
            feed.hear(event)
        if event.ends or event.name in _FOR_OWNERS:
            for waiting in (*self._hearing.get(backtest_id, ()), *self._hearing.get(None, ())):
                _put(waiting, event)

    def _refused(self, said: Any = None) -> None:
        self._refusal = str(cast("dict[str, Any]", said).get("message") if isinstance(said, dict) else said)

    def _note_break(self, *_reason: object) -> None:
        self._broke.set()


def _put(heard: asyncio.Queue[RunEvent | None], event: RunEvent | None) -> None:
    """What finds no room goes, with all that waits: whoever is that far behind has to ask anew."""
    if heard.full():
        while not heard.empty():
            heard.get_nowait()
        event = None
    heard.put_nowait(event)


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
