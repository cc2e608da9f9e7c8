"""The frames that `/ws` sends, for documents and tests: `ws_frames.py` and `ws.py` build them, tests hold them against
these models. Names are snake_case, but a state is as over Socket.IO.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from api.problems import ProblemField
from api.routes.answers import Controlled
from api.socket_messages import PartialKnowledge
from shared.live import LIVE_MODELS, Instant, State


def _as_in_python(name: str) -> str:
    return name


class Plain(BaseModel):
    """Base of what has its names in snake_case."""

    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=_as_in_python)


class PlainReplayPlace(Plain):
    """Where a replay begins."""

    bar: int = Field(ge=0)
    total_bars: int = Field(ge=0)


class SubscriptionConfirmed(Plain):
    """What is said of the topic from now on will be heard."""

    type: Literal["subscription_confirmed"]
    topic: str
    recovered: bool | None = Field(
        default=None,
        description="Of one backtest: whether all that was missed is told; else some is not kept any more.",
    )
    replay: PlainReplayPlace | None = Field(default=None, description="Where one was asked for.")


class UnsubscriptionConfirmed(Plain):
    """The topic is not heard any more."""

    type: Literal["unsubscription_confirmed"]
    topic: str


class WhoIsSignedIn(Plain):
    """Whom the token names."""

    user_id: str
    encoding: Literal["json", "msgpack"]
    expires_at: Instant | None = Field(description="Null of a key that does not expire.")


class Authenticated(Plain):
    """The answer to `authenticate`."""

    type: Literal["authenticated"]
    data: WhoIsSignedIn


class ErrorFrame(Plain):
    """Something was not done: what is wrong, and with which request."""

    type: Literal["error"]
    errors: list[ProblemField] = Field(min_length=1)
    action: str | None = Field(default=None, description="Of the request.")
    topic: str | None = Field(default=None, description="Of the request.")


class SaidFrame(Plain):
    """What every frame about a run carries where the run numbered it: as `after` it says what was heard last."""

    epoch: int | None = Field(default=None, ge=0)
    seq: int | None = Field(default=None, ge=0)


class SaidOf(Plain):
    """What the data of every such frame carries."""

    backtest_id: str
    timestamp: Instant


class StartData(SaidOf):
    """What has begun."""

    variant: str = Field(description="The strategies, joined by +.")
    symbol: str | None
    timeframe: str | None = Field(description="The interval as it was asked for.")
    start_date: str | None
    end_date: str | None


class ProgressData(SaidOf):
    """How far a run is."""

    progress: float = Field(ge=0, le=100)
    status: str = Field(examples=["Processing bar 5000/10000"])
    bars_processed: int | None
    total_bars: int | None
    current_date: str
    trades_count: int | None
    current_pnl: float | None


class CompleteData(SaidOf):
    """What a run came to."""

    final_balance: float | None
    total_trades: int | None
    win_rate: float | None = Field(description="Percent.")
    sharpe_ratio: float | None
    drawdown: float | None = Field(description="Percent, positive.", examples=[15.2])
    return_pct: float | None
    duration_seconds: float | None
    results: dict[str, Any] = Field(description="The summary, and the ids and hashes of `backtest:complete`.")


class ErrorData(SaidOf):
    """Why there is no result."""

    error: str
    error_details: str | None = Field(description="Code and wrong fields, one a line.")


class LogData(SaidOf):
    """One line of a log."""

    level: str
    message: str
    module: str
    function: str
    line: int
    logger_name: str = Field(examples=["backtest.bt_01m7xy1ymv1kn41cwsxzn6z2tf"])


class NumberedState(State):
    """A state with its number."""

    epoch: int | None = Field(default=None, ge=0)
    seq: int | None = Field(default=None, ge=0)


class StateFrame(Plain):
    """Where a run stands; first of all after a subscription."""

    type: Literal["backtest_state_update"]
    sessionId: str = Field(description="The backtest's id.")
    state: NumberedState | PartialKnowledge


def _frame(kind: str, data: type[BaseModel], about: str | None = None) -> type[BaseModel]:
    fields: dict[str, Any] = {"type": (Literal[kind], ...), "data": (data, ...)}
    doc = (about or data.__doc__ or "").strip()
    return create_model(f"{kind.title().replace('_', '')}Frame", __base__=SaidFrame, __doc__=doc, **fields)


def _snaked(model: type[BaseModel], base: type[BaseModel]) -> type[BaseModel]:
    """The same fields under their names in snake_case; what is inside them keeps its names."""
    fields: dict[str, Any] = {name: (field.annotation, field) for name, field in model.model_fields.items()}
    return create_model(f"{model.__name__}Data", __base__=base, __doc__=model.__doc__, **fields)


_OTHERS = sorted(LIVE_MODELS.keys() - {"started", "state", "log"})

# By their type, all that the gateway may send.
FRAMES: dict[str, type[BaseModel]] = {
    "authenticated": Authenticated,
    "subscription_confirmed": SubscriptionConfirmed,
    "unsubscription_confirmed": UnsubscriptionConfirmed,
    "control_confirmed": create_model(
        "ControlConfirmed",
        __base__=Plain,
        __doc__="What a command led to.",
        type=(Literal["control_confirmed"], ...),
        data=(_snaked(Controlled, Plain), ...),
    ),
    "error": ErrorFrame,
    "backtest_state_update": StateFrame,
    "backtest_start": _frame("backtest_start", StartData),
    "backtest_progress": _frame("backtest_progress", ProgressData),
    "backtest_complete": _frame("backtest_complete", CompleteData),
    "backtest_error": _frame("backtest_error", ErrorData),
    "log_entry": _frame("log_entry", LogData),
    **{f"backtest_{kind}": _frame(f"backtest_{kind}", _snaked(LIVE_MODELS[kind], SaidOf)) for kind in _OTHERS},
}
