"""The Socket.IO edge: who connects, what they ask, and how the relay's messages are framed for them."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import socketio
from engineio.exceptions import EngineIOError
from socketio.exceptions import ConnectionRefusedError as Refused

from api.auth import Authenticator
from api.commands import Commands
from api.listeners import Client
from api.problems import socket_errors
from api.relay import Relay
from shared.contracts import SubscribeRequest, UnsubscribeRequest
from shared.errors import BackfleetError, FieldError, InvalidRequest, NotFound, TooMany, Unauthenticated
from shared.instants import iso
from shared.observability import RareWarning
from shared.request import BacktestRequest
from shared.settings import Settings
from shared.wire import validate

log = logging.getLogger(__name__)

PATH = "socket.io"
NAMESPACE = "/"
# Requests of one socket that may be under way at once: each is a task, and a client can send them at any rate.
AT_ONCE_MAX = 64
# Answers that may wait for a client that asks without reading.
UNREAD_MAX = 10_000
_BINARY = re.compile(r"[56](\d*)-")
_ATTACHMENTS_MAX = 10
# What the library raises for packets that are not in the form of the protocol.
_MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError)

Ack = dict[str, Any]
Handler = Callable[[Client, object], Awaitable[Ack]]


class StrictJson:
    """JSON as the library is to read and write it: no NaN, no Infinity, one error for all that cannot be read."""

    dumps = staticmethod(json.dumps)

    @staticmethod
    def loads(text: str | bytes) -> object:
        try:
            return json.loads(text, parse_constant=_refuse_constant)
        except RecursionError:
            raise ValueError("nested too deeply") from None


def _refuse_constant(token: str) -> None:
    raise ValueError(f"{token} is not JSON")


class Server(socketio.AsyncServer):
    """The library's server, with packets checked before it acts on them.

    Without this an event without a name, or one called `disconnect`, reaches code that takes them for its own.
    """

    async def _handle_connect(self, eio_sid: str, namespace: str | None, data: object) -> None:
        if self.manager.sid_from_eio_sid(eio_sid, namespace or NAMESPACE) is not None:
            raise ValueError("this socket is connected already")
        await super()._handle_connect(eio_sid, namespace, data)

    async def _handle_event(self, eio_sid: str, namespace: str | None, id: int | None, data: object) -> None:
        if not isinstance(data, list) or not data or not isinstance(data[0], str):
            raise ValueError("an event is a list that begins with its name")
        if data[0] in ("*", *self.reserved_events):
            raise ValueError(f"{data[0]} is not an event to send")
        await super()._handle_event(eio_sid, namespace, id, data)

    def forget_unfinished(self, eio_sid: str) -> None:
        """A packet whose attachments never came, or were not its own, must not swallow those after it."""
        self._binary_packet.pop(eio_sid, None)


class Sockets:
    """Owns the Socket.IO server. Serves once `open` has named what stands behind it."""

    def __init__(self, settings: Settings, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._commands: Commands | None = None
        self._relay: Relay | None = None
        self._clients: dict[str, Client] = {}
        self._busy: Counter[str] = Counter()
        self._warn = RareWarning(log)
        self.server = Server(
            async_mode="asgi",
            json=StrictJson,
            max_http_buffer_size=settings.request_max_bytes,
            cors_allowed_origins=list(settings.cors_origins) or None,
            # The signature says `bool`; a logger that is handed over gets no handlers of the library's own.
            logger=logging.getLogger("socketio.server"),  # pyright: ignore[reportArgumentType]
            engineio_logger=logging.getLogger("engineio.server"),
        )
        self._handle_message: Callable[[str, object], Awaitable[None]] = self.server.eio.handlers["message"]
        self.server.eio.on("message", self._on_message)
        self.server.on("connect", self._on_connect)
        self.server.on("disconnect", self._on_disconnect)
        self.server.on("*", self._on_event)

    def open(self, commands: Commands, relay: Relay) -> None:
        self._commands = commands
        self._relay = relay
        self._handlers: dict[str, Handler] = {
            "backtest:subscribe": self._subscribe,
            "backtest:unsubscribe": self._unsubscribe,
            "backtest:start": self._start,
            "backtest:control": self._control,
        }

    async def close(self) -> None:
        for client in list(self._clients.values()):
            client.close()
        self._clients.clear()
        await self.server.shutdown()

    # Connections

    async def _on_connect(self, sid: str, _environ: object, auth: object = None) -> None:
        token = auth.get("token") if isinstance(auth, dict) else None
        if self._relay is None:
            raise Refused("unavailable: the gateway is starting")
        try:
            if not isinstance(token, str):
                raise Unauthenticated('no token; connect with auth {"token": "<token>"}')
            identity = await self._authenticator.identify(token)
        except BackfleetError as error:
            raise Refused(f"{error.code}: {socket_errors(error)[0]['message']}") from None
        eio_sid: str | None = self.server.manager.eio_sid_from_sid(sid, NAMESPACE)
        if eio_sid is None or eio_sid not in self.server.eio.sockets:
            raise Refused("gone")
        # No await from here on: the library confirms the connection next, and nothing may be sent before that.
        client = Client(
            identity.user_id,
            send=partial(self._send, eio_sid),
            backlog=partial(self._backlog, eio_sid),
            drop=partial(self._drop, eio_sid),
        )
        self._clients[sid] = client
        self._relay.add(client)

    async def _on_disconnect(self, sid: str, _reason: object = None) -> None:
        client = self._clients.pop(sid, None)
        self._busy.pop(sid, None)
        if client is not None and self._relay is not None:
            self._relay.remove(client)

    async def _send(self, eio_sid: str, event: str, text: str) -> None:
        """`text` is JSON already and goes out as it is: an EVENT packet is `2` and a list of name and payload."""
        try:
            await self.server.eio.send(eio_sid, f'2["{event}",{text}]')
        except EngineIOError:
            log.debug("a socket closed while it was told %s", event)

    def _backlog(self, eio_sid: str) -> int:
        socket = self.server.eio.sockets.get(eio_sid)
        return 0 if socket is None else socket.queue.qsize()

    async def _drop(self, eio_sid: str) -> None:
        socket = self.server.eio.sockets.get(eio_sid)
        if socket is not None:
            # Not `disconnect`, which waits until the client has read everything: it does not read.
            await socket.close(wait=False, abort=True, reason=self.server.reason.SERVER_DISCONNECT)

    # Requests

    async def _on_message(self, eio_sid: str, data: object) -> None:
        """Every packet of every client comes through here before the library sees it."""
        if self._backlog(eio_sid) > UNREAD_MAX:
            self._warn("a socket asks without reading the answers: closed")
            await self._drop(eio_sid)
            return
        try:
            if isinstance(data, str):
                self.server.forget_unfinished(eio_sid)
                binary = _BINARY.match(data)
                if binary is not None and int(binary[1] or 0) > _ATTACHMENTS_MAX:
                    raise ValueError(f"more than {_ATTACHMENTS_MAX} attachments")
            await self._handle_message(eio_sid, data)
        except _MALFORMED as error:
            self.server.forget_unfinished(eio_sid)
            self._warn(f"ignored a malformed packet of a socket: {type(error).__name__}: {error}")
            if self.server.manager.sid_from_eio_sid(eio_sid, NAMESPACE) in self._clients:
                await self._send(eio_sid, "backtest:error", _malformed_packet(error))

    async def _on_event(self, event: str, sid: str, *arguments: object) -> Ack:
        """Every event of every client: always answers, never raises."""
        try:
            client, handler = self._clients.get(sid), self._handlers.get(event)
            if client is None:
                raise Unauthenticated("this socket is not signed in")
            if handler is None:
                names = ", ".join(self._handlers)
                raise NotFound("", [FieldError("$", f"no event {event[:80]!r}; there are {names}", "unknown_event")])
            if self._busy[sid] >= AT_ONCE_MAX:
                raise TooMany(f"{AT_ONCE_MAX} requests of this socket are under way; wait for their answers")
            self._busy[sid] += 1
            try:
                return await handler(client, arguments[0] if arguments else None)
            finally:
                self._busy[sid] -= 1
                if sid not in self._clients:
                    self._busy.pop(sid, None)
        except BackfleetError as error:
            return {"ok": False, "errors": socket_errors(error)}
        except Exception:
            log.exception("could not answer %s", event[:80])
            return {"ok": False, "errors": socket_errors(BackfleetError("surprise"))}

    async def _subscribe(self, client: Client, payload: object) -> Ack:
        request = validate(SubscribeRequest, payload)
        recovered = await self._serving()[1].subscribe(client, request.backtest_id, request.after)
        return {"ok": True, "recovered": recovered}

    async def _unsubscribe(self, client: Client, payload: object) -> Ack:
        request = validate(UnsubscribeRequest, payload)
        await self._serving()[1].unsubscribe(client, request.backtest_id)
        return {"ok": True}

    async def _start(self, client: Client, payload: object) -> Ack:
        commands, relay = self._serving()
        backtest_id = await commands.submit(client.user_id, validate(BacktestRequest, payload))
        relay.watch(backtest_id, client.user_id)
        return {"ok": True, "backtestId": backtest_id}

    async def _control(self, _client: Client, _payload: object) -> Ack:
        raise InvalidRequest.of("action", "backtests cannot be controlled yet; delete one to end it", "not_supported")

    def _serving(self) -> tuple[Commands, Relay]:
        assert self._commands is not None
        assert self._relay is not None
        return self._commands, self._relay


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
