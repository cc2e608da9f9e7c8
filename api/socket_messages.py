"""What crosses a Socket.IO connection beside the messages of the channels, for documents and tests: it is built by hand
where it is sent, and tests hold it against these models.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from api.problems import ProblemField
from api.routes.answers import Controlled, StatusName
from shared.contracts import USER_PATTERN, BacktestId, UserId
from shared.live import Instant, OpenTrade, Signal
from shared.wire import Wire


class ConnectAuth(Wire):
    """`auth` of the connection."""

    token: str = Field(description="A token of a login or an issuer, or a key `bfk_…`.")
    since: str | int | None = Field(
        default=None,
        description="When the client was here last, as an instant or ms since 1970: asks for `auth:ok`, which lists "
        "what ended meanwhile. Null: it comes for the first time.",
    )


class Ended(Wire):
    """One backtest that has ended."""

    backtest_id: str
    status: StatusName
    result_id: str | None
    completed_at: Instant


class SignedIn(Wire):
    """`auth:ok`: the answer to `since`."""

    now: Instant = Field(description="The time here: the next `since`.")
    ended: list[Ended] | None = Field(description="Oldest first; null where it cannot be read now.")
    more: bool = Field(description="Whether there are, or may be, others.")


class Expired(Wire):
    """`auth:expired`: the token is good no longer, and the connection is closed."""

    code: Literal["token_expired", "token_revoked"]
    message: str


class Acknowledged(Wire):
    """It is done."""

    ok: Literal[True]


class Subscribed(Acknowledged):
    """What is said from now on will be heard."""

    recovered: bool = Field(description="Whether all that was missed is told; else some of it is not kept any more.")


class ReplayPlace(Wire):
    """Where a replay begins."""

    bar: int = Field(ge=0)
    total_bars: int = Field(ge=0)


class ReplayBegun(Acknowledged):
    """The socket alone is shown what is stored of the backtest."""

    replay: ReplayPlace


class Submitted(Acknowledged):
    """The backtest is stored and will run."""

    backtest_id: str


class ControlledAck(Controlled):
    """What a command led to."""

    ok: Literal[True] = Field(description="It was taken.")


class RefusedAck(Wire):
    """It was not done."""

    ok: Literal[False]
    errors: list[ProblemField] = Field(min_length=1)


class UnreadablePacket(Wire):
    """`backtest:error` without a backtest: a packet of this socket could not be read."""

    status: Literal["error"]
    error: str
    code: Literal["malformed_message"]
    errors: list[ProblemField]
    timestamp: Instant


class Named(Wire):
    """Whose news it is, and which: (epoch, seq) order what is said of one backtest."""

    backtest_id: Annotated[str, Field(pattern=USER_PATTERN)]
    user_id: UserId
    epoch: int | None = Field(default=None, ge=0)
    seq: int | None = Field(default=None, ge=0)


class PartialMetrics(Wire):
    """Figures of the newest state that is kept."""

    total_trades: int | None = None
    winning_trades: int | None = None
    losing_trades: int | None = None
    win_rate: float | None = None
    total_pnl: float | None = None


class PartialKnowledge(Wire):
    """What the record and the newest kept messages know of a run that does not say where it stands. It replaces
    nothing."""

    epoch: int = Field(ge=0, description="With `seq`, where to go on from: what follows was said after it.")
    seq: int = Field(ge=0)
    snapshot: Literal[True]
    partial: Literal[True]
    status: StatusName
    progress_percent: float = Field(ge=0, le=100)
    current_time: str | None = Field(default=None, description="A date or an instant.")
    current_candle_index: int | None = None
    total_candles: int | None = None
    current_capital: float | None = None
    peak_capital: float | None = None
    drawdown: float | None = None
    speed: float | Literal["max"] | None = None
    open_trades: list[OpenTrade] | None = None
    recent_signals: list[Signal] | None = None
    recent_trades: list[dict[str, Any]] | None = None
    metrics: PartialMetrics | None = None
    result_id: str | None = None


class PartialState(PartialKnowledge):
    """`backtest:state` as a subscriber hears it first where no run says where it stands."""

    backtest_id: BacktestId
    user_id: UserId
