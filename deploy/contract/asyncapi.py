"""The AsyncAPI 3 document: channels, events and frames, as a gateway sends and receives them."""

from __future__ import annotations

from inspect import getdoc
from typing import Any, cast

from deploy.contract import messages
from deploy.contract.messages import Model
from deploy.contract.schemas import schema_of
from shared.contracts import Event
from shared.live import LIVE_MODELS
from shared.news import is_for_owner

Part = dict[str, Any]

VERSION = "3.0.0"
_ABOUT = (
    "What crosses Redis, Socket.IO and the plain WebSocket, as a **gateway** sends and receives it; to workers and "
    "clients the other way round. Names are camelCase, on `/ws` snake_case; times ISO-8601 UTC; `progress` is 0–100; "
    "what is infinite or undefined is null. Optional fields that are not set are left out, and whoever reads ignores "
    "fields that it does not know: newer programs send more of them. What a client asks is refused where it has any."
)
_SERVERS: Part = {
    "redis": {
        "host": "localhost:6379",
        "protocol": "redis",
        "title": "Redis channels",
        "description": "PUBLISH and SUBSCRIBE. A lost message costs time and no backtest: records are in MongoDB.",
        "security": [{"$ref": "#/components/securitySchemes/redis"}],
    },
    "socketio": {
        "host": "localhost:8000",
        "pathname": "/socket.io/",
        "protocol": "socket.io",
        "protocolVersion": "5",
        "title": "Socket.IO",
        "description": "Namespace `/`, Engine.IO 4, by WebSocket or polling.",
        "security": [{"$ref": "#/components/securitySchemes/connectAuth"}],
    },
    "ws": {
        "host": "localhost:8000",
        "pathname": "/ws",
        "protocol": "ws",
        "protocolVersion": "13",
        "title": "Plain WebSocket",
        "description": "Text frames are JSON, binary ones msgpack.",
        "security": [{"$ref": "#/components/securitySchemes/bearer"}, {"$ref": "#/components/securitySchemes/frame"}],
    },
}
_SECURITY: Part = {
    "redis": {"type": "userPassword", "description": "Of BACKFLEET_REDIS_URL, where the server asks for them."},
    "connectAuth": {
        "type": "apiKey",
        "in": "password",
        "description": 'A JWT, or a key `bfk_…`, in `auth` of the connection: `{"token": "<token>"}`.',
    },
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A JWT, or a key `bfk_…`, in the Authorization header of the handshake.",
    },
    "frame": {
        "type": "apiKey",
        "in": "password",
        "description": 'The same in the first frame: `{"action": "authenticate", "token": "<token>"}`.',
    },
}
# Which way messages go on a Redis channel, as a gateway sees it. Other programs publish tasks and commands, too.
_ON_REDIS: dict[str, tuple[tuple[str, ...], str]] = {
    "backtest:task": (("send", "receive"), "A backtest is to be run. Gateways also store those of other programs."),
    "backtest:progress": (("receive",), "How far a run is."),
    "backtest:complete": (("receive",), "A run has ended, and its result can be read."),
    "backtest:error": (("send", "receive"), "A backtest has ended without a result, or a task was refused."),
    "backtest:control": (("send", "receive"), "A command for a run, or that somebody watches it."),
    "backtest:event": (("send", "receive"), "Everything richer that a run says; `type` names the Socket.IO event."),
}


def asyncapi() -> Part:
    """The document. Its payloads refer to the schemas beside it."""
    channels = _redis_channels() | _told_channels() | _asked_channels() | _ws_channels()
    operations = _redis_operations() | _socket_operations() | _ws_operations()
    return {
        "asyncapi": VERSION,
        "id": "urn:backfleet:asyncapi",
        "defaultContentType": "application/json",
        "info": {"title": "backfleet", "version": "1.0.0", "description": _ABOUT, "license": {"name": "Apache-2.0"}},
        "servers": _SERVERS,
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": {name: _message(name, model) for name, model in messages.models().items()},
            "securitySchemes": _SECURITY,
        },
    }


def _message(name: str, model: Model) -> Part:
    schema = schema_of(model)
    return {
        "name": name,
        "title": name,
        "summary": (getdoc(model) or "").split("\n\n")[0].replace("\n", " "),
        "payload": {"$ref": f"./schemas/{name}.json"},
        "examples": [{"payload": example} for example in schema["examples"]],
    }


def _channel(server: str, address: str, models: tuple[Model, ...], about: str = "") -> Part:
    said = {one.__name__: {"$ref": f"#/components/messages/{one.__name__}"} for one in models}
    channel: Part = {"address": address, "servers": [{"$ref": f"#/servers/{server}"}], "messages": said}
    return channel | ({"description": about} if about else {})


def _operation(action: str, channel: str, models: tuple[Model, ...], about: str) -> Part:
    said = _in_channel(channel, models)
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": about, "messages": said}


def _answered(operation: Part, channel: str, answers: tuple[Model, ...]) -> Part:
    reply = {"channel": {"$ref": f"#/channels/{channel}"}, "messages": _in_channel(channel, answers)}
    return operation | {"reply": reply}


def _in_channel(channel: str, models: tuple[Model, ...]) -> list[Part]:
    return [{"$ref": f"#/channels/{channel}/messages/{one.__name__}"} for one in models]


def _id(server: str, name: str) -> str:
    return f"{server}.{name.replace(':', '.')}"


# Redis


def _redis_channels() -> Part:
    return {
        _id("redis", name): _channel("redis", name, models, _ON_REDIS[name][1])
        for name, models in messages.REDIS.items()
    }


def _redis_operations() -> Part:
    return {
        f"{_id('redis', name)}.{action}": _operation(action, _id("redis", name), models, _ON_REDIS[name][1])
        for name, models in messages.REDIS.items()
        for action in _ON_REDIS[name][0]
    }


# Socket.IO: an event is a channel, and its acknowledgement the reply


def _told_channels() -> Part:
    return {
        _id("socketio", event): _channel("socketio", event, models) for event, models in messages.TO_CLIENTS.items()
    }


def _asked_channels() -> Part:
    asked = {
        _id("socketio", event): _channel("socketio", event, (request, *answers), "With an acknowledgement.")
        for event, (request, answers) in messages.FROM_CLIENTS.items()
    }
    connect = _channel("socketio", "connect", (messages.CONNECT,), "Not an event, but `auth` of the connection.")
    return asked | {"socketio.connect": connect}


def _socket_operations() -> Part:
    made: Part = {
        "socketio.connect.receive": _operation(
            "receive", "socketio.connect", (messages.CONNECT,), "A client connects; it joins its user's room."
        )
    }
    for event, models in messages.TO_CLIENTS.items():
        channel = _id("socketio", event)
        made[f"{channel}.send"] = _operation("send", channel, models, _who_hears(event))
    for event, (request, answers) in messages.FROM_CLIENTS.items():
        channel = _id("socketio", event)
        asked = _operation("receive", channel, (request,), "A client asks")
        made[f"{channel}.receive"] = _answered(asked, channel, answers)
    return made


def _who_hears(event: str) -> str:
    if event.startswith("auth:"):
        return "To one socket"
    kind = event.removeprefix("backtest:")
    if kind in LIVE_MODELS and not is_for_owner(Event(backtest_id="bt", user_id="ann", type=cast("Any", kind))):
        return "To subscribers of the backtest"
    return "To every socket of its user, and subscribers; each hears it once"


# /ws: one connection, one channel


def _ws_channels() -> Part:
    requests = tuple(request for request, _ in messages.WS_REQUESTS.values())
    about = (
        "Topics: `backtest`, all of one's own; `logs`, their lines; `backtest:{id}`, one of them; `session:{id}`, the "
        "same one as the session of an AI trader."
    )
    frames = (*messages.WS_FRAMES.values(), *messages.WS_SESSION_FRAMES.values())
    return {"ws": _channel("ws", "/", (*requests, *frames), about)}


def _ws_operations() -> Part:
    made: Part = {}
    for action, (request, kinds) in messages.WS_REQUESTS.items():
        asked = _operation("receive", "ws", (request,), f"A client sends `{action}`")
        made[f"ws.{action}.receive"] = _answered(asked, "ws", tuple(messages.WS_FRAMES[kind] for kind in kinds))
    for kind, frame in messages.WS_FRAMES.items():
        if kind not in messages.WS_ANSWERS:
            made[f"ws.{kind}.send"] = _operation("send", "ws", (frame,), f"A frame of type `{kind}`")
    for kind, frame in messages.WS_SESSION_FRAMES.items():
        made[f"ws.session.{kind}.send"] = _operation("send", "ws", (frame,), f"Of a session, a frame of type `{kind}`")
    return made
