"""One user at this very gateway, asked without a network: what `shared.client` is from outside."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote, urlencode

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Scope

from api.listeners import Client
from api.pieces import Piece
from api.relay import Relay
from shared.client.answers import RunEvent, refusal_of
from shared.errors import Unavailable
from shared.mcp.fleet import Hear

log = logging.getLogger(__name__)

HEARD_MAX = 1_000
USER = "backfleet.user"  # where the scope of a request that was let in has its user


class OwnFleet:
    """Asks the HTTP application with the `Authorization` of whoever asks, so that what he may not do there he may not
    do here either."""

    def __init__(self, app: ASGIApp, relay: Relay, scope: Scope) -> None:
        """`scope` is that of the request on whose behalf it asks."""
        self._app = app
        self._relay = relay
        self._scope = scope
        self._user_id: str = scope[USER]
        self._authorization = Headers(scope=scope)["authorization"]

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The JSON of an answer. Raises what its refusals stand for, `Unavailable` for those of 5xx."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        params = {name: str(value) for name, value in (query or {}).items() if value is not None}
        sent = {
            "authorization": self._authorization,
            "content-type": "application/json",
            "content-length": str(len(raw)),
        }
        sent |= {name.lower(): value for name, value in (headers or {}).items()}
        status, text = await self._serve(method, path, urlencode(params), sent, raw)
        if status >= 500:
            raise Unavailable(f"answered {status}: {text[:200]!r}")
        said = json.loads(text) if text else {}
        if status >= 400:
            raise refusal_of(status, said)
        return said

    async def _serve(
        self, method: str, path: str, query: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, bytes]:
        scope: Scope = {
            **{name: self._scope[name] for name in ("type", "asgi", "http_version", "scheme", "client", "server")},
            "method": method,
            "path": unquote(path),
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
        }
        status, parts = 500, list[bytes]()
        coming = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            return coming.pop() if coming else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))

        try:
            await self._app(scope, receive, send)
        except Exception:
            log.exception("%s %s failed", method, path)
            return 500, b""
        return status, b"".join(parts)

    @asynccontextmanager
    async def hearing(self, backtest_id: str | None) -> AsyncGenerator[Hear, None]:
        """What the owner of a backtest, of None: of any, is told while the block lasts."""
        heard: asyncio.Queue[RunEvent | None] = asyncio.Queue(HEARD_MAX)
        cut = False

        async def send(piece: Piece) -> None:
            if backtest_id in (None, piece.backtest_id):
                await heard.put(RunEvent(piece.event, json.loads(piece.text)))

        async def drop() -> None:
            nonlocal cut
            cut = True
            if heard.empty():
                heard.put_nowait(None)

        async def hear() -> RunEvent | None:
            if cut and heard.empty():
                raise Unavailable("what is said was not taken in time")
            return await heard.get()

        client = Client(self._user_id, send=send, drop=drop)
        self._relay.add(client)
        if backtest_id is not None:
            self._relay.watch(backtest_id, self._user_id)
        try:
            yield hear
        finally:
            self._relay.remove(client)
