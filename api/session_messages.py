"""The frames of the topic `session:{id}` on `/ws`, for documents and tests: `trading_sessions.py` builds them.

Null stands for what whoever runs the backtest does not say; a run of one's own workers says all of it, but for levels
that there are not.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, create_model

from api.ws_messages import Plain, SaidFrame
from shared.live import Instant


class SessionData(Plain):
    """What the data of every such frame carries."""

    session_id: str = Field(description="The backtest's id.")


class SessionAgent(Plain):
    """Who trades."""

    id: str | None = Field(description="Null where no agent is named.")
    name: str | None
    model: str | None = Field(description="As its provider calls it; null where no model trades.", examples=["m"])


class InitializedData(SessionData):
    """What the session is about: at once from what is stored, and again with `total_candles` when that is known."""

    asset: str
    timeframe: str
    start_date: str
    end_date: str
    starting_capital: float
    total_candles: int | None
    agent: SessionAgent
    safety_mode: bool | None = Field(description="Null where no model trades.")


class CandleOfSession(SessionData):
    """A bar that was processed. Only at less than 200 bars a second, and in steps."""

    index: int | None = Field(ge=0, description="Counted from 0.")
    time: Instant | None
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: float | None
    indicators: dict[str, float | None] = Field(description="What the strategies look at, by name.")


class AiThinkingData(SessionData):
    """A model is being asked, and the run waits for it."""

    index: int | None = Field(ge=0, description="At the close of this bar, counted from 0.")
    time: Instant | None


class AiDecisionData(AiThinkingData):
    """What a model decided."""

    action: Literal["LONG", "SHORT", "CLOSE", "HOLD"] | None
    reasoning: str | None = Field(description="In the model's own words, or why there is none.")
    confidence: float | None = Field(ge=0, le=1)
    size: float | None = Field(description="Of equity; null leaves it to the request, as for the levels.")
    stop_loss: float | None
    take_profit: float | None
    abstained: bool | None = Field(description="True: the model gave no answer that could be used.")
    safety: list[str] | None = Field(description="One sentence for each time that safety stepped in.")


class Position(Plain):
    """A position, as it was told last."""

    trade_id: str = Field(examples=["2904-long"])
    type: Literal["LONG", "SHORT"] | None
    size: float | None = Field(description="Quantity, above zero.")
    entry_price: float | None
    stop_loss: float | None = Field(description="Null where there is none, and of one that was closed at once.")
    take_profit: float | None
    time: Instant | None = Field(description="When the bar of its entry opened.")


class PositionOpenedData(Position, SessionData):
    """A position was opened. May come again after a break, with the same `trade_id`."""


class PositionClosedData(Position, SessionData):
    """A position was closed; each is told as opened before."""

    time: Instant | None = Field(description="When the bar of its exit opened.")
    exit_price: float | None
    pnl: float | None = Field(description="After fees.")
    pnl_pct: float | None = Field(description="Of the entry's value.")
    reason: Literal["stop_loss", "take_profit", "ai_decision", "manual", "end_of_data"]


class SessionStats(Plain):
    """What it has come to."""

    equity: float | None = Field(description="At the last close.")
    pnl: float | None = Field(description="Since the beginning.")
    pnl_pct: float | None = Field(description="Of the starting capital.")
    total_trades: int | None = Field(description="That closed.")
    win_rate: float | None = Field(description="Percent.")
    max_drawdown: float | None = Field(description="Percent, positive.", examples=[15.2])
    open_position: Position | None = Field(description="The one that was opened last.")


class StatsUpdateData(SessionStats, SessionData):
    """How it stands."""


class SessionPausedData(SessionData):
    """The session stands still."""

    index: int | None = Field(ge=0, description="Bars processed.")


class SessionResumedData(SessionPausedData):
    """The session goes on."""


class SessionCompletedData(SessionData):
    """The last word of a session that has a result."""

    result_id: str | None
    stats: SessionStats


class SessionErrorData(SessionData):
    """The last word of a session that failed or was deleted."""

    message: str | None


class SessionFrame(SaidFrame):
    """Of what made several frames, the last one is numbered."""

    replay: Literal[True] | None = Field(default=None, description="Of a replay, which has numbers of its own.")
    replay_seq: int | None = Field(default=None, ge=1)


def _frame(kind: str, data: type[BaseModel], name: str = "") -> type[BaseModel]:
    fields: dict[str, Any] = {"type": (Literal[kind], ...), "data": (data, ...)}
    name = name or kind.title().replace("_", "")
    return create_model(f"{name}Frame", __base__=SessionFrame, __doc__=data.__doc__, **fields)


# By their type, all that a session says.
SESSION_FRAMES: dict[str, type[BaseModel]] = {
    "session_initialized": _frame("session_initialized", InitializedData),
    "candle": _frame("candle", CandleOfSession),
    "ai_thinking": _frame("ai_thinking", AiThinkingData),
    "ai_decision": _frame("ai_decision", AiDecisionData),
    "position_opened": _frame("position_opened", PositionOpenedData),
    "position_closed": _frame("position_closed", PositionClosedData),
    "stats_update": _frame("stats_update", StatsUpdateData),
    "session_paused": _frame("session_paused", SessionPausedData),
    "session_resumed": _frame("session_resumed", SessionResumedData),
    "session_completed": _frame("session_completed", SessionCompletedData),
    "error": _frame("error", SessionErrorData, "SessionError"),
}
