"""A file on its way to a client."""

from __future__ import annotations

import asyncio
import logging

from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from api.exporting.exports import Export
from shared.errors import BackfleetError

log = logging.getLogger(__name__)

# Who takes nothing for so long is gone, or holds a place that others wait for.
STALLED_S = 60.0


class Download(StreamingResponse):
    """Closes what it sends, whatever becomes of it. Of what breaks on the way the end is never sent: the server closes
    the connection, and nobody takes half a file for a whole one."""

    def __init__(self, export: Export) -> None:
        headers = {
            "Content-Disposition": f'attachment; filename="{export.name}"',
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
        super().__init__(export.pieces, media_type=export.media_type, headers=headers)
        self._export = export

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(STALLED_S):
                await send(message)

        try:
            await super().__call__(scope, receive, send_in_time)
        except TimeoutError:
            log.warning("%s was not taken for %g s: it is broken off", self._export.name, STALLED_S)
        except BackfleetError as error:
            log.warning("%s is broken off: %s", self._export.name, error.message)
        finally:
            await self._export.close()
