"""What is said on the channels, as it goes to clients: one piece for all who hear it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from shared.bus import Position
from shared.contracts import NEWS_MODELS, TERMINAL_CHANNELS, Channel, Complete, Dated, Event, Failure, News
from shared.errors import InvalidRequest
from shared.news import is_for_owner
from shared.wire import Text, Whole, Wire, decode, validate

MESSAGE_MAX_CHARS = 4_000_000
PROGRESS = Channel.PROGRESS.value
STATE = "backtest:state"
LOG = "backtest:log"


@dataclass(frozen=True, slots=True)
class Piece:
    """One message as clients get it. `position` is (epoch, seq), or None where the publisher numbered nothing;
    `said_at` is when it was said, as it was written, or None where it was not.

    `snapshot` is a state that replaces all that its reader has; it is for who asked for it. `bar` is where a state
    stands. `command_id` names the command that this answers. `frames` is what edges made of it, by the name of their
    encoding, so that each piece is translated once and not once for each client.
    """

    event: str
    text: str
    backtest_id: str
    user_id: str
    position: Position | None = None
    for_owner: bool = True
    ends: bool = False
    said_at: str | None = None
    snapshot: bool = False
    bar: int | None = None
    command_id: str = ""
    frames: dict[str, list[Any]] = field(default_factory=dict, compare=False, repr=False)


class _SaidLine(Wire):
    """A line of a log, of which a publisher may leave out what it likes."""

    timestamp: Text | None = None
    level: Text | None = None
    message: Text | None = None
    module: Text | None = None
    function: Text | None = None
    line: Whole | None = None
    logger_name: Text | None = None
    number: Whole | None = None


class _SaidLog(_SaidLine):
    """`log`: its lines, or one flat among its fields."""

    entries: list[_SaidLine] | None = None
    dropped: Whole | None = None


def read_news(channel: Channel, payload: str) -> Piece:
    """One message of a channel. Raises `InvalidRequest` naming what is wrong with it."""
    if len(payload) > MESSAGE_MAX_CHARS:
        raise InvalidRequest.of("$", f"is longer than {MESSAGE_MAX_CHARS} characters", "too_long")
    news = decode(NEWS_MODELS[channel], payload, finite=True)
    position = None if news.epoch is None or news.seq is None else (news.epoch, news.seq)
    event, text = channel.value, payload
    if isinstance(news, Event):
        event = f"backtest:{news.type}"
        if event == LOG:
            validate(_SaidLog, news.data)
        identity: dict[str, Any] = {"backtestId": news.backtest_id, "userId": news.user_id}
        if position is not None:
            identity |= {"epoch": news.epoch, "seq": news.seq}
        text = json.dumps(news.data | identity, separators=(",", ":"))
    state: dict[str, Any] = news.data if isinstance(news, Event) and event == STATE else {}
    bar = state.get("currentCandleIndex")
    return Piece(
        event,
        text,
        news.backtest_id,
        news.user_id,
        position,
        is_for_owner(news),
        channel in TERMINAL_CHANNELS,
        news.timestamp if isinstance(news, Dated | Failure) else None,
        state.get("snapshot") is True,
        bar if isinstance(bar, int) else None,
        _command_of(news),
    )


def _command_of(news: News) -> str:
    if isinstance(news, Complete):
        return news.command_id or ""
    found = news.data.get("commandId") if isinstance(news, Event) else None
    return found if isinstance(found, str) else ""


def owners_before(snapshot: Piece | None, pieces: Iterable[Piece]) -> list[Piece]:
    """What was said for the owner before how things stood there: of a start or a pause no snapshot tells."""
    if snapshot is None or (until := snapshot.position) is None:
        return []
    return [one for one in pieces if one.for_owner and one.position is not None and one.position < until]
