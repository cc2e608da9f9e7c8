"""The plain WebSocket edge, `/ws`: for clients without Socket.IO. The same relay, limits and verbs in other frames."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from pydantic.alias_generators import to_camel
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from api.auth import Identity
from api.expiry import Expiry
from api.listeners import Client, Topic
from api.newcomers import address_of
from api.origins import Origins
from api.pieces import Piece
from api.problems import respond, socket_errors
from api.services import Services
from api.trading_sessions import TradingSessions
from api.ws_frames import FRAME, Encoding, Frame, encode, encoded, snaked
from api.ws_requests import ALL, LOGS, Authenticate, ControlFrame, Subscribe, Unsubscribe, action_of, read_frame
from shared.controls import ControlRequest
from shared.errors import (
    BackfleetError,
    FieldError,
    Forbidden,
    InvalidRequest,
    NotFound,
    Refusal,
    TooMany,
    Unauthenticated,
)
from shared.instants import iso
from shared.live_data import Data
from shared.records import new_id
from shared.users import Scope as Right
from shared.wire import validate

log = logging.getLogger(__name__)

PATH = "/ws"
# Requests of one socket that may be under way at once; of more the next is read when one is answered.
AT_ONCE_MAX = 64
FAREWELL_S = 5.0
# Why we close. What the protocol itself forbids is closed by the server with codes of its own (1002, 1007, 1009).
GOING_AWAY = 1001
TOKEN_ENDED = 4401
NOT_SIGNED_IN = 4408
TOO_SLOW = 4429

_TOPICS = {ALL: (Topic.NEWS, Topic.DETAILS), LOGS: (Topic.LOGS,)}


class PlainSockets:
    """Everybody who is connected here, and the ASGI application that serves them."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._origins = Origins(services.settings)
        self._open: dict[str, _Socket] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one socket to its end. Who may not open one is answered over HTTP, in words."""
        await receive()  # that somebody wants to connect
        sid = new_id("ws")
        socket = _Socket(sid, self._services, receive, send)
        newcomers = self._services.newcomers
        try:
            newcomers.come(sid, address_of(scope), socket.turn_away)
            try:
                headers = Headers(scope=scope)
                if "origin" in headers and not self._origins.admits(scope):
                    raise Forbidden("pages of this origin may not connect; add it to BACKFLEET_CORS_ORIGINS")
                if "authorization" in headers:
                    identity = await self._services.gate.identify_header(headers["authorization"])
                    identity.require(Right.READ)
                    socket.sign_in(identity)
                self._open[sid] = socket
                await send({"type": "websocket.accept"})
                await socket.serve()
            finally:
                socket.forget()
                self._open.pop(sid, None)
                newcomers.go(sid)
        except BackfleetError as error:
            await respond(error)(scope, receive, send)

    def counts(self) -> tuple[int, int, int]:
        """How many sockets are open, how many of them are signed in, and to how many backtests they subscribe."""
        sockets = self._open.values()
        signed_in = sum(one.client is not None for one in sockets)
        return len(self._open), signed_in, sum(len(client.subscriptions) for one in sockets for client in one.clients)

    async def close(self) -> None:
        for socket in self._open.values():
            socket.end(GOING_AWAY, "the gateway stops; connect again")

    # For those who look whether everybody may still be here.

    def signed_in(self) -> Mapping[str, Identity]:
        return {sid: one.identity for sid, one in self._open.items() if one.identity is not None}

    def stands(self, sid: str, identity: Identity) -> None:
        if sid in self._open:
            self._open[sid].identity = identity

    def revoke(self, sid: str) -> None:
        if sid in self._open:
            said = "the token or key is not good any more; get a new one and connect again"
            self._open[sid].end(TOKEN_ENDED, said, "token_revoked")


class _Socket:
    """One connection."""

    def __init__(self, sid: str, services: Services, receive: Receive, send: Send) -> None:
        self._sid = sid
        self._services = services
        self._receive, self._send = receive, send
        self._encoding: Encoding = "json"
        self._expiry: Expiry | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(AT_ONCE_MAX)
        self._ended: asyncio.Future[tuple[int, str, str]] = asyncio.get_running_loop().create_future()
        self.identity: Identity | None = None
        self.client: Client | None = None
        # Hears what is told as sessions: its own topics, so that either kind is told from where its subscriber is.
        self._sessions_client: Client | None = None
        self._sessions = TradingSessions()
        self._handlers: dict[str, Callable[[Identity, Client, Frame], Awaitable[None]]] = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "control": self._control,
        }

    @property
    def clients(self) -> list[Client]:
        """As which it hears the relay."""
        return [one for one in (self.client, self._sessions_client) if one is not None]

    # Its life

    def sign_in(self, identity: Identity) -> None:
        self.identity = identity
        self.client = Client(identity.user_id, send=self._send_piece, drop=self._drop, topics=())
        expired = "the token has expired; get a new one and connect again"
        self._expiry = Expiry(identity.expires_at_s, partial(self.end, TOKEN_ENDED, expired, "token_expired"))
        self._services.newcomers.sign_in(self._sid)
        self._services.relay.add(self.client)

    def forget(self) -> None:
        """Nothing is left of it."""
        if self._expiry is not None:
            self._expiry.cancel()
        for client in self.clients:
            self._services.replays.forget(client)
            self._services.relay.remove(client)

    def turn_away(self) -> None:
        within_s = self._services.settings.sign_in_timeout_s
        self.end(NOT_SIGNED_IN, f"sign in within {within_s:g} s", "unauthenticated")

    def end(self, code: int, why: str, error: str = "") -> None:
        """Closes it, after a frame that names the error where there is one."""
        if not self._ended.done():
            self._ended.set_result((code, why, error))

    async def _drop(self) -> None:
        self.end(TOO_SLOW, "reads too slowly; connect again and subscribe with after")

    async def serve(self) -> None:
        """Until the client leaves or is sent away."""
        reading = asyncio.create_task(self._read())
        try:
            await asyncio.wait([reading, self._ended], return_when=asyncio.FIRST_COMPLETED)
            if self._ended.done():
                await self._farewell(*self._ended.result())
            elif (error := reading.exception()) is not None:
                raise error
        finally:
            for task in (reading, *self._under_way):
                task.cancel()
            await asyncio.wait([reading, *self._under_way])

    async def _farewell(self, code: int, why: str, error: str) -> None:
        """To who does not read any more it cannot be said: then the connection just ends."""
        for client in self.clients:
            client.close()  # so that nothing else is being sent meanwhile
        try:
            async with asyncio.timeout(FAREWELL_S):
                if error:
                    await self._send_frame(_error([FieldError("$", why, error).as_wire()]))
                await self._send({"type": "websocket.close", "code": code, "reason": why})
        except (TimeoutError, OSError):
            log.debug("a socket closed while it was told why")

    async def _read(self) -> None:
        while (message := await self._receive())["type"] == "websocket.receive":
            try:
                frame = read_frame(message)
            except BackfleetError as error:
                await self._say(_error(socket_errors(error)))
                continue
            if self.client is None or frame.get("action") == "authenticate":
                await self._answer(frame, self._authenticate(frame))
                continue
            await self._room.acquire()
            self._begin(self._answer(frame, self._handle(self.client, frame)))
            try:
                for client in self.clients:
                    await client.wait_for_room()
            except TooMany:
                await self._drop()
                return

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._room.release()

    # What it is sent

    async def _send_piece(self, piece: Piece) -> None:
        for frame in encoded(piece, self._encoding):
            await self._send_encoded(frame)

    async def _send_session_piece(self, piece: Piece) -> None:
        for frame in self._sessions.frames_of(piece):
            await self._send_frame(frame)

    async def _send_frame(self, frame: Frame) -> None:
        await self._send_encoded(encode(frame, self._encoding))

    async def _send_encoded(self, frame: str | bytes) -> None:
        kind = "text" if isinstance(frame, str) else "bytes"
        try:
            await self._send({"type": "websocket.send", kind: frame})
        except OSError:
            log.debug("a socket closed while it was told something")

    async def _say(self, frame: Frame) -> None:
        """What is for this client alone, after all that is on its way to it."""
        if self.client is None:
            await self._send_frame(frame)
        else:
            self.client.tell(FRAME, json.dumps(frame))

    # What it asks

    async def _answer(self, frame: Frame, work: Awaitable[None]) -> None:
        """Always answers, never raises."""
        try:
            await work
        except BackfleetError as error:
            await self._say(_error(socket_errors(error), frame))
        except Exception:
            log.exception("could not answer %.80r", frame.get("action"))
            await self._say(_error(socket_errors(BackfleetError("surprise")), frame))

    async def _authenticate(self, frame: Frame) -> None:
        if frame.get("action") != "authenticate":
            raise Unauthenticated(
                'this socket is not signed in; send {"action":"authenticate","token":"<token>"} first'
            )
        request = validate(Authenticate, frame)
        if self.identity is not None and request.token is not None:
            raise InvalidRequest.of("token", "this socket is signed in; open another one for another token", "conflict")
        if self.identity is None:
            if request.token is None:
                raise InvalidRequest.of("token", "is missing; there was none in an Authorization header", "missing")
            identity = await self._services.gate.identify(request.token)
            identity.require(Right.READ)
            self.sign_in(identity)
        self._encoding = request.encoding or self._encoding
        identity = self.identity
        assert identity is not None
        expires = None if identity.expires_at is None else iso(identity.expires_at)
        data = {"user_id": identity.user_id, "encoding": self._encoding, "expires_at": expires}
        await self._say({"type": "authenticated", "data": data})

    async def _handle(self, client: Client, frame: Frame) -> None:
        action = action_of(frame, ("authenticate", *self._handlers))
        if self.identity is None:
            raise NotFound("the socket is gone")
        await self._handlers[action](self.identity, client, frame)

    async def _subscribe(self, identity: Identity, client: Client, frame: Frame) -> None:
        request = validate(Subscribe, frame)
        identity.require(Right.READ)
        if request.backtest_id is None:
            client.tell(FRAME, json.dumps({"type": "subscription_confirmed", "topic": request.topic}))
            self._services.relay.widen(client, _TOPICS[request.topic])
            return
        async with client.in_turn.turn_of(request.topic):
            await self._join(identity, client, request, request.backtest_id)

    async def _join(self, identity: Identity, client: Client, request: Subscribe, backtest_id: str) -> None:
        confirmed = {"type": "subscription_confirmed", "topic": request.topic}
        record = await self._services.commands.record(identity, backtest_id) if request.as_session else None
        client = self._as_sessions(client) if record else client

        def confirm(more: Data) -> None:
            client.tell(FRAME, json.dumps(confirmed | more))
            client.owe([self._sessions.begin(record)] if record else [])

        if request.replay is not None:
            await self._services.replays.begin(
                client, backtest_id, request.replay, lambda begun: confirm({"replay": snaked(begun)})
            )
            return
        await self._services.relay.subscribe(
            client, backtest_id, request.after, lambda recovered: confirm({"recovered": recovered})
        )

    def _as_sessions(self, client: Client) -> Client:
        """The socket as it hears sessions."""
        if self._sessions_client is None:
            if client.closed:
                raise NotFound("the socket is gone")
            send = self._send_session_piece
            self._sessions_client = Client(client.user_id, send=send, drop=self._drop, topics=())
            self._services.relay.add(self._sessions_client)
        return self._sessions_client

    async def _unsubscribe(self, _identity: Identity, client: Client, frame: Frame) -> None:
        request = validate(Unsubscribe, frame)
        confirmed = json.dumps({"type": "unsubscription_confirmed", "topic": request.topic})
        if request.backtest_id is None:
            client.topics -= set(_TOPICS[request.topic])
            client.tell(FRAME, confirmed)
            return
        async with client.in_turn.turn_of(request.topic):
            listener = self._as_sessions(client) if request.as_session else client
            await self._services.relay.unsubscribe(listener, request.backtest_id)
            await self._services.replays.leave(listener, request.backtest_id)
            if request.as_session:
                self._sessions.leave(request.backtest_id)
            listener.tell(FRAME, confirmed)

    async def _control(self, identity: Identity, client: Client, frame: Frame) -> None:
        request = validate(ControlFrame, frame)
        try:
            answer = await self._control_replay(request)
            if answer is None:
                identity.require(Right.WRITE)
                controlled = await self._services.commands.control(identity, request.backtest_id, request.command)
                answer = controlled.as_wire()
        except Refusal as error:
            error.errors = tuple(_in_frame(one) for one in error.errors)
            raise
        client.tell(FRAME, json.dumps({"type": "control_confirmed", "data": snaked(answer)}))

    async def _control_replay(self, request: ControlFrame) -> Data | None:
        """None where the socket plays none of this backtest."""
        for client in self.clients:
            answer = await self._services.replays.control(client, request.backtest_id, request.command)
            if answer is not None:
                return answer
        return None


_COMMAND_FIELDS = {to_camel(name) for name in ControlRequest.model_fields}


def _in_frame(error: FieldError) -> FieldError:
    """A path as the sender of the frame wrote it."""
    within = "command." if error.field in _COMMAND_FIELDS else ""
    return FieldError(within + error.field, error.message, error.code)


def _error(errors: list[dict[str, str]], asked: Frame | None = None) -> Frame:
    """What is wrong, and with which request."""
    named = {name: asked[name] for name in ("action", "topic") if asked and isinstance(asked.get(name), str)}
    return {"type": "error", "errors": errors} | {name: value[:200] for name, value in named.items()}
