"""What serves MCP once somebody asks for it: the SDK's transports around our server. Loads the SDK."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.streamable_http import check_accept_headers
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.mcp.own_fleet import USER
from shared.mcp.fleet import Fleet
from shared.mcp.server import AgentServer
from shared.settings import Settings

# Our own edge judges `Origin`; a name that leads here says nothing while every request must carry a token.
_JUDGED_BEFORE = TransportSecuritySettings(enable_dns_rebinding_protection=False)


async def _send_full(send: Send, message: Message) -> None:
    """The SDK answers 503 where no more sessions may be open. Nothing of ours is away: who asks may come again."""
    if message["type"] == "http.response.start" and message["status"] == 503:
        message = {**message, "status": 429, "headers": [*message["headers"], (b"retry-after", b"10")]}
    await send(message)


@asynccontextmanager
async def serving(settings: Settings, fleet_of: Callable[[Scope], Fleet]) -> AsyncGenerator[ASGIApp, None]:
    """An ASGI application that takes requests whose scope names the user under `USER`; sessions end with the block.

    Who reads streams has a session, in which it is told of its backtests. Who takes nothing but JSON is answered
    without one, as by any other gateway.
    """
    # What it says of each session is worth no line; what it warns of is worth one.
    logging.getLogger("mcp").setLevel(max(logging.WARNING, logging.getLogger().level))
    agents = AgentServer(lambda context: fleet_of(cast("Request", context.request).scope))
    streams = StreamableHTTPSessionManager(
        agents.lowlevel,
        security_settings=_JUDGED_BEFORE,
        session_idle_timeout=settings.mcp_session_idle_s,
        max_request_body_size=settings.request_max_bytes,
        max_sessions=settings.mcp_sessions_max,
    )
    plain = StreamableHTTPSessionManager(
        agents.lowlevel,
        json_response=True,
        stateless=True,
        security_settings=_JUDGED_BEFORE,
        max_request_body_size=settings.request_max_bytes,
    )

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        # The session that a user opens is of use to nobody else.
        user_id: str = scope[USER]
        token = AccessToken(token="", client_id=user_id, scopes=[], subject=user_id)
        request = Request(scope)
        takes_json, takes_streams = check_accept_headers(request)
        manager = plain if request.method == "POST" and takes_json and not takes_streams else streams
        await manager.handle_request({**scope, "user": AuthenticatedUser(token)}, receive, partial(_send_full, send))

    try:
        async with streams.run(), plain.run():
            yield serve
    finally:
        await agents.close()
