"""How the server speaks WebSocket: compressed where that is worth it."""

from __future__ import annotations

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from api.ws import PATH


class SocketProtocol(WebSocketsSansIOProtocol):
    """Negotiates permessage-deflate with clients of `/ws` alone.

    There a client takes it or leaves it. Every browser offers it over Socket.IO, too, unasked: it would cost each of
    them a compressor's memory here, and the event loop the time.
    """

    def handle_connect(self, event: Request) -> None:
        if event.path.partition("?")[0].rstrip("/") != PATH:
            self.conn.available_extensions = []
        super().handle_connect(event)
