"""Steering a backtest over HTTP: a path for each thing that can be asked of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from api.problems import MEDIA_TYPE, Problem
from api.routes.answers import Controlled
from api.routes.backtests import BacktestPath
from api.routes.requests import Caller, described_body, new_router, read_body
from api.services import services_of
from shared.controls import (
    Action,
    ControlRequest,
    PlainCommand,
    SeekCommand,
    SpeedCommand,
    StepCommand,
    StopCommand,
)
from shared.wire import parse_json, validate

router = new_router()


@dataclass(frozen=True, slots=True)
class _Way:
    """One thing that can be asked: its body, and what /docs says of it."""

    action: Action
    body: type[PlainCommand]
    summary: str
    description: str
    needs_body: bool = False


_WAYS = (
    _Way(
        "pause",
        PlainCommand,
        "Pause a backtest",
        "It stands still where it is; after a while it lets go of its worker. One that waits leaves the queue.",
    ),
    _Way(
        "resume",
        PlainCommand,
        "Let a backtest go on",
        "From where it was paused, with the result it would have had without. One that nobody runs any more goes back "
        "to its place in the queue.",
    ),
    _Way(
        "stop",
        StopCommand,
        "End a backtest where it is",
        "With the result of the bars until there; it has none where it had not begun.",
    ),
    _Way("speed", SpeedCommand, "Set the pace", "In bars a second; `max` is as fast as it goes.", needs_body=True),
    _Way("step", StepCommand, "Go on by a few bars", "At full speed, then it is paused again."),
    _Way(
        "seek",
        SeekCommand,
        "Go to another bar",
        "Forward or back, to just before a bar or the first one from an instant on; then it goes on as before.",
        needs_body=True,
    ),
)
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": Controlled, "description": "It was done, now or when it came first under this id."},
    202: {"model": Controlled, "description": "It is stored and will be done; `done` is false."},
    409: {
        "model": Problem,
        "content": {MEDIA_TYPE: {}},
        "description": "It makes no sense as things stand, or the backtest has ended: why is said.",
    },
}


def _handler(way: _Way) -> Callable[[Request, str, Caller], Awaitable[Response]]:
    async def control(request: Request, backtest_id: BacktestPath, asker: Caller) -> Response:
        text = await read_body(request)
        given = parse_json(text) if text or way.needs_body else {}
        body = validate(way.body, given).model_dump(mode="json", by_alias=True, exclude_unset=True)
        asked = validate(ControlRequest, body | {"action": way.action})
        controlled = await services_of(request).commands.control(asker, backtest_id, asked)
        return JSONResponse(controlled.as_wire(), 202 if controlled.awaited else 200)

    return control


for _way in _WAYS:
    _body = described_body(_way.body)
    _body["requestBody"]["required"] = _way.needs_body
    router.add_api_route(
        f"/backtest/{{backtest_id}}/{_way.action}",
        _handler(_way),
        methods=["POST"],
        name=f"{_way.action}_backtest",
        response_model=None,
        summary=_way.summary,
        description=_way.description,
        responses=_ANSWERS,
        openapi_extra=_body,
    )
