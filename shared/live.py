"""What a run says of itself while it is watched: the `data` of `backtest:event`, by its `type`.

A client that draws from these alone does so: a state with `snapshot` replaces all it has. An equity point replaces one
of the same time. When `currentCandleIndex` falls, the run was taken back: points and closed trades from that bar on are
void. A trade that is closed is appended. Numbers are as they are stored; null stands for what is infinite or undefined.

Much is told as columns: one list for each field, one entry in each for every row. The messages are built by hand, for
speed; tests hold them against these models.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from shared.request import BarsPerSecond
from shared.wire import Wire

Instant = Annotated[str, Field(json_schema_extra={"format": "date-time", "examples": ["2026-01-31T12:00:00Z"]})]
Direction = Literal["long", "short"]
Point = tuple[int, float | None]


class OpenTrade(Wire):
    """A trade that is open. A level that there is not is null."""

    entry_bar: int = Field(ge=0, description="Counted from 0.")
    entry_time: Instant = Field(description="When that bar opened.")
    direction: Direction
    quantity: float = Field(description="Always above zero.")
    entry_price: float
    entry_fee: float | None = Field(description="This and what follows the reason is null in a replay.")
    entry_reason: str
    stop_price: float | None
    target_price: float | None
    trailing_stop_price: float | None
    unrealised_pnl: float | None = Field(description="At the last close, after the entry's fee.")


class Entry(Wire):
    """How a trade was opened."""

    entry_bar: int = Field(ge=0)
    entry_time: Instant
    direction: Direction
    quantity: float
    entry_price: float
    entry_reason: str


class OpenedTrade(Entry):
    """A trade that was opened, with its levels: null in a replay, and of one that is closed again already."""

    stop_price: float | None = None
    target_price: float | None = None
    trailing_stop_price: float | None = None


class ClosedTrade(Entry):
    """A trade that is closed, with the fields of `GET /api/algo/backtest/{id}/trades` but its `index`."""

    exit_bar: int = Field(ge=0)
    exit_time: Instant
    exit_price: float
    fees: float = Field(description="Of both sides.")
    pnl: float = Field(description="After fees.")
    pnl_percent: float | None = Field(description="Of the entry's value.")
    exit_reason: str
    strategy: str | None = Field(description="Which first asked for it; null where none alone did.")


class Signal(Wire):
    """What the strategies came to together at a bar."""

    bar: int = Field(ge=0)
    time: Instant
    signal: Literal[-1, 0, 1] = Field(description="1 long, -1 short (or flat without shorts), 0 flat.")


class StateMetrics(Wire):
    """Figures of the closed trades, and the equity curve's new points."""

    total_trades: int = Field(ge=0)
    winning_trades: int = Field(ge=0)
    losing_trades: int = Field(ge=0)
    win_rate: float = Field(ge=0, le=100, description="Percent; 0 without trades.")
    total_pnl: float = Field(description="After fees.")
    equity_curve: list[Point] = Field(
        description="Since the state before: [when the bar opened in ms since 1970, equity at its close]."
    )
    thinned: bool | None = Field(
        default=None,
        description="True where there were more: first, last, and each stretch's extremes are left. Never for a run of "
        "at most 2,000 bars.",
    )


class State(Wire):
    """`state`: where a run stands."""

    status: Literal["running", "paused", "completed", "stopped"]
    current_time: Instant = Field(description="When the last processed bar opened.")
    current_candle_index: int = Field(ge=0, description="Bars processed; the next one is it.")
    total_candles: int = Field(ge=0)
    progress_percent: float = Field(ge=0, le=100)
    current_capital: float | None = Field(description="Equity at the last close.")
    peak_capital: float | None
    drawdown: float | None = Field(description="Percent of the peak, 0 or below.", examples=[-1.2146])
    speed: BarsPerSecond
    first_bar: int = Field(ge=0, description="Of the first point, where none is left out.")
    open_trades: list[OpenTrade] = Field(description="All there are, oldest first.")
    recent_signals: list[Signal] = Field(description="The last 20 at most, oldest first.")
    recent_trades: list[ClosedTrade] = Field(description="The last 20 at most that closed, oldest first.")
    metrics: StateMetrics
    snapshot: bool | None = Field(default=None, description="True: replace all there is by this.")
    trades: dict[str, list[Any]] | None = Field(
        default=None, description="Of a snapshot: closed trades as columns, the latest 5,000."
    )
    trades_skipped: int | None = Field(default=None, description="Closed before these.")
    command_id: str | None = Field(default=None, description="Of the command that this answers.")


class TradeTold(Wire):
    """`trade`: what was opened, or closed, since the one before. `trade` is the last of them."""

    what: Literal["opened", "closed"]
    trade: ClosedTrade | OpenedTrade
    trades: dict[str, list[Any]] | None = Field(default=None, description="All of them as columns, where many.")
    skipped: int | None = Field(default=None, description="How many before these are not told.")


class SignalTold(Signal):
    """`signal`: what was signalled since the one before; the last of them, and all where many."""

    signals: list[Signal] | None = None
    skipped: int | None = Field(default=None, description="How many before these are not told.")


class Candle(Wire):
    """`candle`: a bar that was processed. Only at less than 200 bars a second, and in steps."""

    bar: int = Field(ge=0)
    time: Instant
    open: float
    high: float
    low: float
    close: float
    volume: float
    indicators: dict[str, float | None] = Field(
        default_factory=dict,
        description="What the strategies look at, at most 16 values by name; null where there is none. Empty in a "
        "replay.",
    )


class LogLine(Wire):
    """A line about what was logged: which of it a socket was not sent, because it reads too slowly."""

    timestamp: Instant = Field(description="When it was logged.")
    level: str = Field(description="As Python's `logging` names it.", examples=["INFO"])
    message: str = Field(description="At most 2,000 characters.")
    module: str = Field(description="The Python module that logged it.")
    function: str = Field(description="The function in it; empty where there is none.")
    line: int = Field(description="The line in its file.")
    logger_name: str = Field(description="Which logger.", examples=["backtest.bt_01m7xy1ymv1kn41cwsxzn6z2tf"])


class LogEntry(LogLine):
    """A line that a strategy or the engine logged."""

    number: int = Field(ge=1, description="Counts the lines of a backtest.")


class LogTold(Wire):
    """`log`: lines since the one before."""

    entries: list[LogEntry | LogLine]
    dropped: int | None = Field(
        default=None, description="How many more were logged than the 200 a second and 10,000 a run that are kept."
    )


class Standing(Wire):
    """`paused` and `resumed`."""

    bar: int = Field(ge=0, description="Bars processed.")
    total_bars: int = Field(ge=0)
    current_time: Instant
    progress_percent: float = Field(ge=0, le=100)
    speed: BarsPerSecond
    command_id: str | None = None


class Started(Wire):
    """`started`: a worker has the bars and begins, or takes the run up where another one left it."""

    symbol: str
    interval: str
    start_date: str
    end_date: str
    strategies: list[str]
    total_bars: int = Field(ge=0)
    resampled_from: str | None = Field(description="Interval of the stored bars, where they are finer.")
    resumed_from: int | None = Field(default=None, ge=0, description="The bar at which it was taken up.")


class Refused(Wire):
    """`refused`: a command on the channel cannot be done."""

    code: str = Field(description="Stable machine-readable name.")
    error: str
    errors: list[dict[str, str]] = Field(description="`field`, `message` and `code` of each.")
    command_id: str | None = None


class Thinking(Wire):
    """`thinking`: a model is being asked, and the run waits for it."""

    bar: int = Field(ge=0)
    time: Instant
    strategy: str = Field(description="As the request calls it.")


class DecisionTold(Thinking):
    """`decision`: what a model decided at the close of a bar."""

    action: Literal["LONG", "SHORT", "CLOSE", "HOLD"] = Field(description="What it came to; HOLD makes no order.")
    reasoning: str = Field(description="In the model's own words, or why there is none.")
    confidence: float = Field(ge=0, le=1)
    size_fraction: float | None = Field(description="Of equity; null leaves it to the request, as for the levels.")
    stop_loss_price: float | None
    take_profit_price: float | None
    abstained: bool = Field(description="True: the model gave no answer that could be used.")
    reason: str | None = Field(description="Why it abstained.")
    safety: list[str] = Field(description="One sentence for each time that safety stepped in.")
    model: str
    stored: bool = Field(description="Whether it was taken from what is stored, which costs nothing.")
    cost_usd: float | None
    tokens_in: int | None
    tokens_out: int | None
    latency_ms: float | None


LIVE_MODELS: dict[str, type[Wire]] = {
    "started": Started,
    "state": State,
    "trade": TradeTold,
    "signal": SignalTold,
    "candle": Candle,
    "log": LogTold,
    "paused": Standing,
    "resumed": Standing,
    "refused": Refused,
    "thinking": Thinking,
    "decision": DecisionTold,
}
