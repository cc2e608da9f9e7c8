"""Every message there is, by the place where it goes over the wire. A test holds that none is missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, create_model

from api.session_messages import SESSION_FRAMES
from api.socket_messages import (
    Acknowledged,
    ConnectAuth,
    ControlledAck,
    Expired,
    Named,
    PartialState,
    RefusedAck,
    ReplayBegun,
    SignedIn,
    Submitted,
    Subscribed,
    UnreadablePacket,
)
from api.ws_messages import FRAMES
from api.ws_requests import Authenticate, ControlFrame, Subscribe, Unsubscribe
from shared.contracts import Channel, Complete, Event, Failure, Progress, SubscribeRequest, Task, UnsubscribeRequest
from shared.controls import Control, SocketControlRequest
from shared.live import LIVE_MODELS
from shared.request import BacktestRequest

Model = type[BaseModel]


def _event(kind: str, data: Model) -> Model:
    """`backtest:event` of one type, on Redis."""
    fields: dict[str, Any] = {"type": (Literal[kind], ...), "data": (data, ...)}
    return create_model(f"{kind.title()}Event", __base__=Event, __doc__=data.__doc__, **fields)


def _told(kind: str, data: Model) -> Model:
    """The same to Socket.IO clients: its data, and whose it is beside them."""
    return create_model(f"{kind.title()}Told", __base__=(data, Named), __doc__=data.__doc__)


REDIS: dict[str, tuple[Model, ...]] = {
    Channel.TASK: (Task,),
    Channel.PROGRESS: (Progress,),
    Channel.COMPLETE: (Complete,),
    Channel.ERROR: (Failure,),
    Channel.CONTROL: (Control,),
    Channel.EVENT: tuple(_event(kind, data) for kind, data in LIVE_MODELS.items()),
}
TO_CLIENTS: dict[str, tuple[Model, ...]] = {
    Channel.PROGRESS: (Progress,),
    Channel.COMPLETE: (Complete,),
    Channel.ERROR: (Failure, UnreadablePacket),
    **{f"backtest:{kind}": (_told(kind, data),) for kind, data in LIVE_MODELS.items()},
    "auth:ok": (SignedIn,),
    "auth:expired": (Expired,),
}
TO_CLIENTS["backtest:state"] += (PartialState,)
# What a client asks, and the acknowledgements: where it is done, and where it is not.
FROM_CLIENTS: dict[str, tuple[Model, tuple[Model, ...]]] = {
    "backtest:subscribe": (SubscribeRequest, (Subscribed, ReplayBegun, RefusedAck)),
    "backtest:unsubscribe": (UnsubscribeRequest, (Acknowledged, RefusedAck)),
    "backtest:start": (BacktestRequest, (Submitted, RefusedAck)),
    "backtest:control": (SocketControlRequest, (ControlledAck, RefusedAck)),
}
CONNECT = ConnectAuth
# What a client of `/ws` asks, and the types of the frames that answer it.
WS_REQUESTS: dict[str, tuple[Model, tuple[str, ...]]] = {
    "authenticate": (Authenticate, ("authenticated", "error")),
    "subscribe": (Subscribe, ("subscription_confirmed", "error")),
    "unsubscribe": (Unsubscribe, ("unsubscription_confirmed", "error")),
    "control": (ControlFrame, ("control_confirmed", "error")),
}
WS_ANSWERS = frozenset(kind for _, kinds in WS_REQUESTS.values() for kind in kinds)
WS_FRAMES: dict[str, Model] = FRAMES
# What the topic of a session says, in frames of its own; the type `error` is of both kinds.
WS_SESSION_FRAMES: dict[str, Model] = SESSION_FRAMES


def models() -> dict[str, Model]:
    """Every model of a message by its name."""
    found: dict[str, Model] = {}
    for model in _all():
        assert found.setdefault(model.__name__, model) is model, f"two models are called {model.__name__}"
    return found


def _all() -> Iterator[Model]:
    for messages in (*REDIS.values(), *TO_CLIENTS.values()):
        yield from messages
    for request, answers in FROM_CLIENTS.values():
        yield from (request, *answers)
    yield CONNECT
    yield from (request for request, _ in WS_REQUESTS.values())
    yield from (*WS_FRAMES.values(), *WS_SESSION_FRAMES.values())
