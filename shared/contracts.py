"""Every message on Redis and Socket.IO, and what is asked of the gateway beside a backtest.

Times are ISO-8601 UTC with `Z`; `progress` is 0–100; `totalReturn`, `maxDrawdown` and `winRate` are percent; a value
that is infinite or undefined is `null`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    JsonValue,
    PlainValidator,
    model_validator,
)

from shared.instants import Instant, read_instant, to_ms, write_instant
from shared.request import BacktestParams, BarsPerSecond
from shared.result_warnings import ResultWarning
from shared.wire import Asked, Text, Wire, whole


class Channel(StrEnum):
    """Redis channels. The first four are fixed: other programs already speak them."""

    TASK = "backtest:task"
    PROGRESS = "backtest:progress"
    COMPLETE = "backtest:complete"
    ERROR = "backtest:error"
    CONTROL = "backtest:control"
    EVENT = "backtest:event"


NEWS_CHANNELS = (Channel.PROGRESS, Channel.COMPLETE, Channel.ERROR, Channel.EVENT)
TERMINAL_CHANNELS = (Channel.COMPLETE, Channel.ERROR)
# The largest whole number that every reader of JSON has exactly.
NUMBER_MAX = 2**53 - 1
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$"
# Of a page of backtests: when the last of it was submitted, in ms since 1970, and its id.
CURSOR_PATTERN = r"^[0-9]{1,15}\.[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$"
USER_PATTERN = r"^[^\x00-\x1f\x7f]{1,256}$"
BacktestId = Annotated[str, Field(pattern=ID_PATTERN)]
UserId = Annotated[str, Field(pattern=USER_PATTERN)]


class Task(Wire):
    """`backtest:task`. `recorded` says that the record exists already; a foreign publisher leaves it out."""

    backtest_id: BacktestId
    user_id: UserId
    params: BacktestParams
    priority: int = Field(default=0, ge=-9, le=9)
    recorded: bool = False
    traceparent: str | None = None

    @model_validator(mode="after")
    def _names_no_agent(self) -> Self:
        """A gateway has put in what the agent does, and which version it is."""
        if self.params.agent_id is not None and self.params.agent_version is None:
            remedy = "submit it to a gateway, or write the strategyParams of ai_trader"
            raise ValueError(f"params names an agent, and what that does only a gateway knows; {remedy}")
        return self


class News(Wire):
    """What every message of a run carries. `epoch` and `seq` order the messages of one backtest."""

    backtest_id: BacktestId
    user_id: UserId
    epoch: int | None = Field(default=None, ge=0, le=NUMBER_MAX)
    seq: int | None = Field(default=None, ge=0, le=NUMBER_MAX)
    traceparent: str | None = None


class Dated(News):
    """News that also says when it was said."""

    timestamp: str | None = None


class Progress(Dated):
    """`backtest:progress`."""

    progress: float = Field(ge=0, le=100)
    message: Text
    current_date: str
    processed_bars: int | None = None
    total_bars: int | None = None
    trades_executed: int | None = None
    current_pnl: float | None = None
    eta_seconds: float | None = None


class Summary(Wire):
    """The figures people look at first. Percent where percent is usual; `null` where undefined."""

    model_config = ConfigDict(extra="allow")

    total_return: float | None = None
    sharpe_ratio: float | None = None
    max_drawdown: float | None = None


class Complete(Dated):
    """`backtest:complete`: the result can be read by whoever sees this. Without `warnings` there are none.

    `stopped` says that somebody ended it where it was, by the command `command_id`. `duration_seconds` is how long the
    run took that ended it.
    """

    status: Literal["success"] = "success"
    stopped: bool | None = None
    command_id: str | None = None
    result_id: str
    summary: Summary
    dataset_hash: str | None = None
    result_hash: str | None = None
    total_bars: int | None = None
    effective_start: str | None = None
    effective_end: str | None = None
    duration_seconds: float | None = None
    warnings: list[ResultWarning] | None = None


class Failure(News):
    """`backtest:error`. It may answer a task that was refused, perhaps for its id: here it stands as it came."""

    backtest_id: Annotated[str, Field(pattern=USER_PATTERN)]
    status: Literal["error"] = "error"
    error: Text
    timestamp: str
    code: str | None = None
    errors: list[dict[str, str]] | None = None


class Event(Dated):
    """`backtest:event`: everything richer than the four fixed channels. `type` names the Socket.IO event."""

    type: Literal[
        "started", "state", "candle", "signal", "trade", "log", "thinking", "decision", "paused", "resumed", "refused"
    ]
    data: dict[str, Any] = Field(default_factory=dict)


NEWS_MODELS: dict[Channel, type[News]] = {
    Channel.PROGRESS: Progress,
    Channel.COMPLETE: Complete,
    Channel.ERROR: Failure,
    Channel.EVENT: Event,
}


class Cursor(Wire):
    """How far a client has heard one backtest."""

    epoch: int = Field(ge=0)
    seq: int = Field(ge=0)


def _place(value: object) -> int | datetime:
    if isinstance(value, str):
        return read_instant(value)
    bar = whole(value)
    if not isinstance(bar, int) or isinstance(bar, bool) or not 0 <= bar <= 2**31:
        raise ValueError("must be a bar, counted from 0, or an instant")
    return bar


class Replay(Asked):
    """How an ended backtest is played back: from which bar, or the first one that opens at an instant, and how fast."""

    begin: Annotated[int | datetime, PlainValidator(_place)] = Field(default=0, alias="from")
    speed: BarsPerSecond = "max"


class SubscribeRequest(Asked):
    """`backtest:subscribe`. Without `after`, all that is kept is told. With `replay` the socket is shown an ended one
    from what is stored of it."""

    backtest_id: BacktestId
    after: Cursor | None = None
    replay: Replay | None = None

    @model_validator(mode="after")
    def _replay_goes_without_after(self) -> Self:
        if self.replay is not None and self.after is not None:
            raise ValueError("replay begins at its from, not after what was heard; leave after out")
        return self


class UnsubscribeRequest(Asked):
    """`backtest:unsubscribe`."""

    backtest_id: BacktestId


class ValidateRequest(Asked):
    """The body of `POST /api/algo/strategies/validate`."""

    strategy: str = Field(min_length=1, max_length=64, description="Its id or another name.", examples=["sma"])
    params: dict[str, JsonValue] = Field(
        default_factory=dict, description="By name; what is left out is as by default.", examples=[{"fast": 10}]
    )


CANDLES_MAX = 5_000


class CandlesRequest(Asked):
    """The query of `GET /api/algo/data/{symbol}/{interval}/candles`. Without `from` and `to`: all bars."""

    start: Instant | None = Field(default=None, alias="from")
    end: Instant | None = Field(default=None, alias="to")
    max_points: int = Field(default=1_000, ge=2, le=CANDLES_MAX)

    @model_validator(mode="after")
    def _range_is_not_empty(self) -> Self:
        if self.start and self.end and self.start >= self.end:
            raise ValueError(f"from {write_instant(self.start)} must be before to {write_instant(self.end)}")
        return self

    @property
    def start_ms(self) -> int:
        return to_ms(self.start or datetime.min.replace(tzinfo=UTC))

    @property
    def end_ms(self) -> int:
        return to_ms(self.end or datetime.max.replace(tzinfo=UTC))
