"""The Socket.IO edge: who connects, what they ask, and how the relay's messages are framed for them."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import socketio
from engineio.async_socket import AsyncSocket
from engineio.exceptions import EngineIOError
from engineio.packet import MESSAGE, Packet
from socketio.exceptions import ConnectionRefusedError as Refused
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.auth import Identity
from api.compression import Compression
from api.expiry import Expiry
from api.listeners import TRANSPORT_MAX, Client
from api.missed import read_since
from api.newcomers import address_of
from api.origins import Origins
from api.pieces import Piece
from api.problems import respond, socket_errors
from api.services import Services
from api.strict_socketio import NAMESPACE, StrictJson, StrictSocketIO
from shared.contracts import SubscribeRequest, UnsubscribeRequest
from shared.controls import SocketControlRequest
from shared.errors import BackfleetError, FieldError, NotFound, TooMany, Unauthenticated
from shared.instants import iso
from shared.observability import RareWarning
from shared.request import BacktestRequest
from shared.users import Scope as Right
from shared.wire import validate

log = logging.getLogger(__name__)

PATH = "socket.io"
# Requests of one socket that may be under way at once: each is a task, and a client can send them at any rate.
AT_ONCE_MAX = 64
# Events that change nothing; a key that only reads may send no other. A command may be for the socket's own replay.
_READING = frozenset({"backtest:subscribe", "backtest:unsubscribe", "backtest:control"})
# Answers that may wait for a client that asks without reading.
UNREAD_MAX = 10_000
_BINARY = re.compile(r"[56](\d*)-")
_ATTACHMENTS_MAX = 10
_EXPIRED = '{"code":"token_expired","message":"the token has expired; get a new one and connect again"}'
_REVOKED = '{"code":"token_revoked","message":"the token or key is not good any more; get a new one and connect again"}'
# What the library raises for packets that are not in the form of the protocol.
_MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError)

Ack = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SignedIn:
    """One connected socket: who it is, until when, and the relay's end of it."""

    eio_sid: str
    identity: Identity
    client: Client
    expiry: Expiry


Handler = Callable[[SignedIn, object], Awaitable[Ack]]


class Sockets:
    """Everybody who is connected here, and the ASGI application that serves them."""

    def __init__(self, services: Services) -> None:
        settings = services.settings
        self._gate = services.gate
        self._commands = services.commands
        self._relay = services.relay
        self._replays = services.replays
        self._missed = services.missed
        self._origins = Origins(settings)
        self._newcomers = services.newcomers
        self._signed_in: dict[str, SignedIn] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._busy: Counter[str] = Counter()
        self._too_late = f"unauthenticated: connect with auth within {settings.sign_in_timeout_s:g} s"
        self._warn = RareWarning(log)
        self._sio = StrictSocketIO(
            async_mode="asgi",
            json=StrictJson,
            max_http_buffer_size=settings.request_max_bytes,
            cors_allowed_origins=self._origins.admits_socket,
            http_compression=False,  # It would compress megabytes in the event loop; `Compression` uses threads.
            # The signature says `bool`; a logger that is handed over gets no handlers of the library's own.
            logger=logging.getLogger("socketio.server"),  # pyright: ignore[reportArgumentType]
            engineio_logger=logging.getLogger("engineio.server"),
        )
        handlers: dict[str, Callable[[str, object], Awaitable[None]]] = self._sio.eio.handlers
        self._handle_open, self._handle_message = handlers["connect"], handlers["message"]
        self._handle_closed = handlers["disconnect"]
        self._sio.eio.on("connect", self._on_open)
        self._sio.eio.on("message", self._on_message)
        self._sio.eio.on("disconnect", self._on_closed)
        self._sio.on("connect", self._on_connect)
        self._sio.on("disconnect", self._on_disconnect)
        self._sio.on("*", self._on_event)
        self._engine: ASGIApp = Compression(socketio.ASGIApp(self._sio, socketio_path=PATH))
        self._handlers: dict[str, Handler] = {
            "backtest:subscribe": self._subscribe,
            "backtest:unsubscribe": self._unsubscribe,
            "backtest:start": self._start,
            "backtest:control": self._control,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses whoever wants to open one socket too many with 429, in words; all else is the library's."""
        if b"sid=" not in scope["query_string"]:
            try:
                self._newcomers.check(address_of(scope))
            except TooMany as error:
                self._warn(f"refused to open another socket: {error.message}")
                refusal = respond(error)
                if self._origins.admits(scope):
                    refusal.headers["Access-Control-Allow-Origin"] = Headers(scope=scope)["origin"]
                await refusal(scope, receive, send)
                return
        await self._engine(scope, receive, send)

    def counts(self) -> tuple[int, int, int]:
        """How many sockets are open, how many of them are signed in, and to how many backtests they subscribe."""
        subscriptions = sum(len(one.client.subscriptions) for one in self._signed_in.values())
        return len(self._sio.eio.sockets), len(self._signed_in), subscriptions

    async def close(self) -> None:
        for one in self._signed_in.values():
            one.expiry.cancel()
            one.client.close()
        self._signed_in.clear()
        if self._under_way:
            await asyncio.wait(self._under_way)
        await self._sio.shutdown()

    # Connections

    async def _on_open(self, eio_sid: str, environ: dict[str, Any]) -> object:
        try:
            self._newcomers.come(eio_sid, address_of(environ["asgi.scope"]), partial(self._turn_away, eio_sid))
        except TooMany as error:  # Only where several came at the same moment.
            return error.message
        return await self._handle_open(eio_sid, environ)

    async def _on_closed(self, eio_sid: str, reason: str) -> None:
        try:
            await self._handle_closed(eio_sid, reason)
        finally:
            self._newcomers.go(eio_sid)
            socket = self._sio.eio.sockets.get(eio_sid)
            if socket is not None and reason != self._sio.reason.SERVER_DISCONNECT:
                # Whoever waits for something to send waits on, also a poll that is left open, for 45 s: the library
                # tells it of an end only where there is a farewell to send, as there is where we close.
                socket.queue.put_nowait(None)

    def _turn_away(self, eio_sid: str) -> None:
        self._begin(self._refuse_silent(eio_sid))

    async def _refuse_silent(self, eio_sid: str) -> None:
        """Says why, as to somebody whose token is not taken, and closes."""
        socket = self._sio.eio.sockets.get(eio_sid)
        if socket is None:
            return
        try:
            await self._sio.eio.send(eio_sid, f"4{json.dumps({'message': self._too_late})}")
        except EngineIOError:
            log.debug("a socket closed while it was turned away")
        await self._close_socket(socket)

    async def _on_connect(self, sid: str, _environ: object, auth: object = None) -> None:
        said: dict[str, Any] = auth if isinstance(auth, dict) else {}
        token = said.get("token")
        try:
            if not isinstance(token, str):
                raise Unauthenticated('no token; connect with auth {"token": "<token>"}')
            identity = await self._gate.identify(token)
            identity.require(Right.READ)
            since = read_since(said)
        except BackfleetError as error:
            raise Refused(_why_refused(error)) from None
        eio_sid: str | None = self._sio.manager.eio_sid_from_sid(sid, NAMESPACE)
        if eio_sid is None or eio_sid not in self._sio.eio.sockets or self._sio.eio.sockets[eio_sid].closed:
            raise Refused("gone")
        # No await from here on: the library confirms the connection next, and nothing may be sent before that.
        client = Client(
            identity.user_id,
            send=partial(self._send_piece, eio_sid),
            send_now=partial(self._send_piece_now, eio_sid),
            backlog=partial(self._backlog, eio_sid),
            drop=partial(self._drop, eio_sid),
        )
        expiry = Expiry(identity.expires_at_s, partial(self._begin_to_end, sid, _EXPIRED))
        self._signed_in[sid] = SignedIn(eio_sid, identity, client, expiry)
        self._newcomers.sign_in(eio_sid)
        self._relay.add(client)
        if since is not None:
            self._begin(self._missed.greet(client, since))

    # For those who look whether everybody may still be here.

    def signed_in(self) -> Mapping[str, Identity]:
        return {sid: one.identity for sid, one in self._signed_in.items()}

    def stands(self, sid: str, identity: Identity) -> None:
        if sid in self._signed_in:
            self._signed_in[sid] = replace(self._signed_in[sid], identity=identity)

    def revoke(self, sid: str) -> None:
        self._begin_to_end(sid, _REVOKED)

    async def _on_disconnect(self, sid: str, _reason: object = None) -> None:
        one = self._signed_in.pop(sid, None)
        self._busy.pop(sid, None)
        if one is not None:
            self._newcomers.sign_out(one.eio_sid)
            one.expiry.cancel()
            self._replays.forget(one.client)
            self._relay.remove(one.client)

    def _begin_to_end(self, sid: str, why: str) -> None:
        self._begin(self._end(sid, why))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _end(self, sid: str, why: str) -> None:
        """Tells a socket that its token is good no longer, and closes it. What it has not read yet it reads first."""
        one = self._signed_in.get(sid)
        socket = None if one is None else self._sio.eio.sockets.get(one.eio_sid)
        if one is None or socket is None:
            return
        await self._send(one.eio_sid, "auth:expired", why)
        await self._sio.disconnect(sid)
        await self._close_socket(socket)

    async def _close_socket(self, socket: AsyncSocket, *, abort: bool = False) -> None:
        await socket.close(wait=False, abort=abort, reason=self._sio.reason.SERVER_DISCONNECT)
        # Whoever sends ends with this: a client that does not answer the farewell could stay for as long as it likes.
        await socket.queue.put(None)

    async def _send(self, eio_sid: str, event: str, text: str) -> None:
        await self._send_packet(eio_sid, event, _packet(event, text))

    async def _send_piece(self, eio_sid: str, piece: Piece) -> None:
        await self._send_packet(eio_sid, piece.event, _packet_of(piece))

    async def _send_packet(self, eio_sid: str, event: str, packet: Packet) -> None:
        try:
            await self._sio.eio.send_packet(eio_sid, packet)
        except EngineIOError:
            log.debug("a socket closed while it was told %s", event)

    def _send_piece_now(self, eio_sid: str, piece: Piece) -> bool:
        """Where little waits already, and nothing is amiss with the socket: else the library has to look."""
        socket = self._sio.eio.sockets.get(eio_sid)
        if socket is None or socket.closing or socket.closed or socket.queue.qsize() >= TRANSPORT_MAX:
            return False
        if socket.last_ping and time.time() - socket.last_ping > self._sio.eio.ping_timeout:
            return False
        socket.queue.put_nowait(_packet_of(piece))
        return True

    def _backlog(self, eio_sid: str) -> int:
        socket = self._sio.eio.sockets.get(eio_sid)
        return 0 if socket is None else socket.queue.qsize()

    async def _drop(self, eio_sid: str) -> None:
        socket = self._sio.eio.sockets.get(eio_sid)
        if socket is not None:
            # Not `disconnect`, which waits until the client has read everything: it does not read.
            await self._close_socket(socket, abort=True)

    # Requests

    async def _on_message(self, eio_sid: str, data: object) -> None:
        """Every packet of every client comes through here before the library sees it."""
        if self._backlog(eio_sid) > UNREAD_MAX:
            self._warn("a socket asks without reading the answers: closed")
            await self._drop(eio_sid)
            return
        try:
            if isinstance(data, str):
                self._sio.forget_unfinished(eio_sid)
                binary = _BINARY.match(data)
                if binary is not None and int(binary[1] or 0) > _ATTACHMENTS_MAX:
                    raise ValueError(f"more than {_ATTACHMENTS_MAX} attachments")
            await self._handle_message(eio_sid, data)
        except _MALFORMED as error:
            self._sio.forget_unfinished(eio_sid)
            self._warn(f"ignored a malformed packet of a socket: {type(error).__name__}: {error}")
            if self._sio.manager.sid_from_eio_sid(eio_sid, NAMESPACE) in self._signed_in:
                await self._send(eio_sid, "backtest:error", _malformed_packet(error))

    async def _on_event(self, event: str, sid: str, *arguments: object) -> Ack:
        """Every event of every client: always answers, never raises."""
        try:
            asker, handler = self._signed_in.get(sid), self._handlers.get(event)
            if asker is None:
                raise Unauthenticated("this socket is not signed in")
            if handler is None:
                names = ", ".join(self._handlers)
                raise NotFound("", [FieldError("$", f"no event {event[:80]!r}; there are {names}", "unknown_event")])
            asker.identity.require(Right.READ if event in _READING else Right.WRITE)
            if self._busy[sid] >= AT_ONCE_MAX:
                raise TooMany(f"{AT_ONCE_MAX} requests of this socket are under way; wait for their answers")
            self._busy[sid] += 1
            try:
                return await handler(asker, arguments[0] if arguments else None)
            finally:
                self._busy[sid] -= 1
                if sid not in self._signed_in:
                    self._busy.pop(sid, None)
        except BackfleetError as error:
            return {"ok": False, "errors": socket_errors(error)}
        except Exception:
            log.exception("could not answer %s", event[:80])
            return {"ok": False, "errors": socket_errors(BackfleetError("surprise"))}

    async def _subscribe(self, asker: SignedIn, payload: object) -> Ack:
        request = validate(SubscribeRequest, payload)
        if request.replay is not None:
            begun = await self._replays.begin(asker.client, request.backtest_id, request.replay)
            return {"ok": True, "replay": begun}
        recovered = await self._relay.subscribe(asker.client, request.backtest_id, request.after)
        return {"ok": True, "recovered": recovered}

    async def _unsubscribe(self, asker: SignedIn, payload: object) -> Ack:
        request = validate(UnsubscribeRequest, payload)
        await self._relay.unsubscribe(asker.client, request.backtest_id)
        await self._replays.leave(asker.client, request.backtest_id)
        return {"ok": True}

    async def _start(self, asker: SignedIn, payload: object) -> Ack:
        submitted = await self._commands.submit(asker.identity, validate(BacktestRequest, payload))
        return {"ok": True, "backtestId": submitted.backtest_id}

    async def _control(self, asker: SignedIn, payload: object) -> Ack:
        request = validate(SocketControlRequest, payload)
        replayed = await self._replays.control(asker.client, request.backtest_id, request)
        if replayed is not None:
            return {"ok": True, **replayed}
        asker.identity.require(Right.WRITE)
        controlled = await self._commands.control(asker.identity, request.backtest_id, request)
        return {"ok": True, **controlled.as_wire()}


def _packet(event: str, text: str) -> Packet:
    """`text` is JSON already and goes out as it is: an EVENT packet is `2` and a list of name and payload."""
    return Packet(MESSAGE, f'2["{event}",{text}]')


def _packet_of(piece: Piece) -> Packet:
    """Made once, and written as text once, whoever it is sent to."""
    found = piece.frames.get("socket.io")
    if found is None:
        found = piece.frames["socket.io"] = [_packet(piece.event, piece.text)]
    packet: Packet = found[0]
    return packet


def _why_refused(error: BackfleetError) -> str:
    first = socket_errors(error)[0]
    where = "" if first["field"] == "$" else f"{first['field']} "
    return f"{error.code}: {where}{first['message']}"


def _malformed_packet(error: Exception) -> str:
    message = f"the packet cannot be read: {error}"[:300]
    return json.dumps(
        {
            "status": "error",
            "error": message,
            "code": "malformed_message",
            "errors": [FieldError("$", message, "malformed").as_wire()],
            "timestamp": iso(datetime.now(UTC)),
        }
    )
