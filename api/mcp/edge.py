"""The edge of MCP, `/mcp`: who asks, from where and how much. What serves it is loaded when somebody first asks."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
from collections.abc import Mapping
from importlib import import_module

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.auth import Identity
from api.mcp.own_fleet import USER, OwnFleet
from api.origins import Origins
from api.problems import problem_response, respond
from api.services import Services
from shared.errors import BackfleetError, Forbidden, TooLarge, Unauthenticated, Unavailable
from shared.records import new_id
from shared.users import Scope as Right

log = logging.getLogger(__name__)

PATH = "/mcp"
_NEEDS = ("mcp", "PIL")


class McpRoute:
    """What the HTTP application has at `/mcp`: passes on to the edge there is while it runs."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope["app"].state.mcp(scope, receive, send)


class McpEdge:
    """The ASGI application of `/mcp`. `app` is the HTTP application whose commands the tools call."""

    def __init__(self, services: Services, app: ASGIApp) -> None:
        self._services = services
        self._app = app
        self._origins = Origins(services.settings)
        self._open: dict[str, tuple[Identity, asyncio.Task[None]]] = {}
        self._installed: bool | None = None
        self._serving: asyncio.Task[None] | None = None
        self._served: asyncio.Future[ASGIApp] | None = None
        self._closing = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            identity = await self._admit(scope)
            if not self._is_installed():
                remedy = "this gateway does not speak MCP: install backfleet[mcp] where it runs, and start it again"
                await problem_response(404, "not_installed", remedy)(scope, receive, send)
                return
            serve = await self._ready()
        except BackfleetError as error:
            await respond(error)(scope, receive, send)
            return
        await self._serve(identity, serve, scope, receive, send)

    async def _serve(self, identity: Identity, serve: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """In a task of its own, which is ended when its user may not be here any more."""
        sid, started, finished = new_id("mcp"), False, False

        async def note(message: Message) -> None:
            nonlocal started, finished
            started = True
            finished = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        task = asyncio.ensure_future(serve({**scope, USER: identity.user_id}, receive, note))
        self._open[sid] = identity, task
        try:
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()
            elif not started:
                await respond(Unauthenticated("the token or key is not good any more"))(scope, receive, send)
            if started and not finished:  # a stream that was ended, by us or because the gateway stops
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            del self._open[sid]
            task.cancel()

    async def _admit(self, scope: Scope) -> Identity:
        """Raises what a route raises: `Unauthenticated`, `Forbidden`, `TooLarge`, `Unavailable`."""
        headers, limit = Headers(scope=scope), self._services.settings.request_max_bytes
        if "origin" in headers and not self._origins.admits(scope):
            raise Forbidden("pages of this origin may not call; add it to BACKFLEET_CORS_ORIGINS")
        identity = await self._services.gate.identify_header(headers.get("authorization"))
        identity.require(Right.READ)
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared) > limit:
            raise TooLarge(f"the body has {int(declared)} bytes, the most allowed is {limit}")
        return identity

    def _is_installed(self) -> bool:
        if self._installed is None:
            self._installed = all(importlib.util.find_spec(name) is not None for name in _NEEDS)
        return self._installed

    async def _ready(self) -> ASGIApp:
        """Loads what serves, the first time, in a thread: it takes a second, and others are served meanwhile."""
        if self._served is None or (self._served.done() and self._served.exception() is not None):
            self._served = asyncio.get_running_loop().create_future()
            self._serving = asyncio.create_task(self._serve_until_closed(self._served))
        return await asyncio.shield(self._served)

    async def _serve_until_closed(self, served: asyncio.Future[ASGIApp]) -> None:
        try:
            module = await asyncio.to_thread(import_module, "api.mcp.serving")
            async with module.serving(self._services.settings, self._fleet_of) as app:
                served.set_result(app)
                await self._closing.wait()
        except Exception as error:
            log.exception("MCP cannot be served")
            if not served.done():
                served.set_exception(Unavailable(f"MCP cannot be served: {type(error).__name__}"))

    def _fleet_of(self, scope: Scope) -> OwnFleet:
        return OwnFleet(self._app, self._services.relay, scope)

    async def close(self) -> None:
        self._closing.set()
        if self._serving is not None:
            await asyncio.wait([self._serving])

    # For those who look whether everybody may still be here.

    def signed_in(self) -> Mapping[str, Identity]:
        return {sid: identity for sid, (identity, _) in self._open.items()}

    def stands(self, sid: str, identity: Identity) -> None:
        if sid in self._open:
            self._open[sid] = identity, self._open[sid][1]

    def revoke(self, sid: str) -> None:
        if sid in self._open:
            self._open[sid][1].cancel()
