"""What a client of the plain WebSocket may send. Names are camelCase or snake_case, as it likes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

import msgpack
from pydantic import Field, model_validator

from shared.contracts import ID_PATTERN, BacktestId, Cursor, Replay
from shared.controls import ControlRequest
from shared.errors import FieldError, InvalidRequest, MalformedMessage
from shared.wire import Asked, matches, parse_json

ALL, LOGS, ONE, SESSION = "backtest", "logs", "backtest:", "session:"


class Authenticate(Asked):
    """Who asks, where no `Authorization` header said so, and in what frames the answers come."""

    action: Literal["authenticate"]
    token: str | None = None
    encoding: Literal["json", "msgpack"] | None = None


class Unsubscribe(Asked):
    action: Literal["unsubscribe"]
    topic: str = Field(max_length=200)

    @property
    def backtest_id(self) -> str | None:
        """Of the one backtest that the topic is about."""
        return self.topic.partition(":")[2] if self.topic.startswith((ONE, SESSION)) else None

    @property
    def as_session(self) -> bool:
        """Whether it is told as the session of an AI trader."""
        return self.topic.startswith(SESSION)

    @model_validator(mode="after")
    def _topic_is_one(self) -> Unsubscribe:
        one = self.backtest_id
        if self.topic not in (ALL, LOGS) and (one is None or not matches(ID_PATTERN, one)):
            raise ValueError("topic must be backtest or logs, or backtest: or session: and a backtest's id")
        return self


class Subscribe(Unsubscribe):
    """`after` is what was heard last of one backtest, `replay` how it is played back, as on the other edge."""

    action: Literal["subscribe"]  # pyright: ignore[reportIncompatibleVariableOverride]
    after: Cursor | None = None
    replay: Replay | None = None

    @model_validator(mode="after")
    def _fields_go_with_the_topic(self) -> Subscribe:
        given = [name for name in ("after", "replay") if getattr(self, name) is not None]
        if given and self.backtest_id is None:
            raise ValueError(f"{given[0]} goes with the topic of one backtest; leave it out")
        if len(given) > 1:
            raise ValueError("replay begins at its from, not after what was heard; leave after out")
        return self


class ControlFrame(Asked):
    action: Literal["control"]
    backtest_id: BacktestId
    command: ControlRequest


def read_frame(message: Mapping[str, Any]) -> dict[str, Any]:
    """What a message of the server says: text is JSON, bytes are msgpack. Raises `MalformedMessage`."""
    text, data = message.get("text"), message.get("bytes")
    if text is not None:
        read = parse_json(text, finite=True)
    else:
        try:
            read = msgpack.unpackb(data or b"")
        except (ValueError, TypeError, RecursionError, UnicodeDecodeError, msgpack.exceptions.UnpackException) as error:
            why = f"not valid msgpack: {type(error).__name__}: {error}"[:300]
            raise MalformedMessage(why, [FieldError("$", why, "malformed")]) from None
    if not isinstance(read, dict):
        raise MalformedMessage("must be an object", [FieldError("$", "must be an object with an action", "malformed")])
    return cast("dict[str, Any]", read)


def action_of(frame: Mapping[str, Any], actions: tuple[str, ...]) -> str:
    """Raises `InvalidRequest` for none of these."""
    action = frame.get("action")
    if not isinstance(action, str) or action not in actions:
        raise InvalidRequest.of("action", f"must be one of {', '.join(actions)}", "unknown_action")
    return action
