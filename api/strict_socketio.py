"""The library's Socket.IO server, held to its protocol."""

from __future__ import annotations

import json

import socketio

NAMESPACE = "/"


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


class StrictSocketIO(socketio.AsyncServer):
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
