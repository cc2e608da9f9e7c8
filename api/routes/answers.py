"""What the answers look like, for /docs. They are built by hand; tests hold them against these models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.controls import Action
from shared.instants import Interval
from shared.live import LogEntry

Instant = Annotated[str, Field(json_schema_extra={"format": "date-time", "examples": ["2026-01-31T12:00:00Z"]})]
StatusName = Literal["pending", "running", "paused", "completed", "failed", "stopped"]
_HASH = "sha256:0b9765c6c71072b467c2ee5fd486519ed47399cbef73aef5700d5575beb1246e"


class Answer(BaseModel):
    """Base of what is described in /docs."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class Health(Answer):
    """Of the process that answers."""

    status: Literal["ok", "ready"] = Field(description="`ok`: it lives. `ready`: it can serve.")


class Accepted(Answer):
    """A backtest that is stored and will run, or that an earlier request with the same key was for."""

    backtest_id: str = Field(description="Names it from now on.", examples=["bt_01m7xy1ymv1kn41cwsxzn6z2tf"])
    status: StatusName = Field(
        description="`pending` of a new one, `paused` with `startPaused`; where the key was used before, as it is now."
    )
    progress: float | None = Field(
        default=None, ge=0, le=100, description="Percent of its bars, where the key was used before.", examples=[42.5]
    )
    result_id: str | None = Field(default=None, description="Only where there is a result.")
    error: dict[str, Any] | None = Field(default=None, description="Only of one that failed, as in `Backtest`.")


class Backtest(Answer):
    """A backtest as its owner sees it."""

    backtest_id: str = Field(description="Names it.", examples=["bt_01m7xy1ymv1kn41cwsxzn6z2tf"])
    status: StatusName = Field(description="Where it stands; the last three are ends.")
    progress: float = Field(ge=0, le=100, description="Percent of its bars.", examples=[42.5])
    priority: int = Field(description="Higher runs earlier.")
    params: dict[str, Any] = Field(description="What was asked for, without the priority.")
    epoch: int = Field(ge=0, description="How many times a worker has claimed it.")
    failures: int = Field(ge=0, description="How many of its runs crashed.")
    created_at: Instant = Field(description="When it was submitted.")
    updated_at: Instant = Field(description="When its record last changed.")
    started_at: Instant | None = Field(description="When its latest run began; null before the first.")
    completed_at: Instant | None = Field(description="When it ended, however it did; null before.")
    result_id: str | None = Field(description="Names its result; null while it has none.")
    dataset_hash: str | None = Field(description="Names the exact bars it reads; null until they are settled.")
    error: dict[str, Any] | None = Field(description="`code`, `message` and `errors` of one that ended without result.")
    warnings: list[dict[str, Any]] = Field(
        description="`code`, `message` and maybe `field` of what its asker should know; those of its result once it "
        "has one."
    )


class Controlled(Answer):
    """What a command led to."""

    backtest_id: str = Field(description="Which backtest.", examples=["bt_01m7xy1ymv1kn41cwsxzn6z2tf"])
    command_id: str = Field(description="As sent, or made: sent again with it, the command counts once.")
    action: Action = Field(description="What was asked.")
    status: StatusName | Literal["replaying", "ended"] = Field(
        description="How the backtest stands now, or the replay of an ended one on that socket.", examples=["paused"]
    )
    bar: int | None = Field(default=None, ge=0, description="Before which bar it stands, where that is known.")
    total_bars: int | None = Field(default=None, ge=0, description="Of how many, where that is known.")
    progress: float = Field(ge=0, le=100, description="Percent of its bars.", examples=[42.5])
    speed: float | Literal["max"] = Field(description="Bars a second, or as fast as it goes.", examples=["max"])
    done: bool = Field(description="Whether the command has had its effect; else its backtest hears it later.")


class BacktestPage(Answer):
    """A part of one's backtests, newest first."""

    items: list[Backtest] = Field(description="At most `limit` of them.")
    next_cursor: str | None = Field(description="`cursor` of the next page; null at the end.")


class EquityPoint(Answer):
    """What the account came to at the close of a bar."""

    time: Instant = Field(description="When the bar opened.")
    equity: float | None = Field(description="Cash and open trades at the bar's close.")


class Equity(Answer):
    """The equity curve, thinned."""

    points: list[EquityPoint] = Field(description="First, last, and each stretch's lowest and highest.")


class TradePage(Answer):
    """A part of a backtest's trades, in the order they were closed."""

    items: list[dict[str, Any]] = Field(description="One object a trade: times, prices, quantity, gain and reasons.")
    total: int = Field(ge=0, description="How many trades there are.")
    limit: int = Field(description="As asked for.")
    offset: int = Field(description="As asked for.")


class LogPage(Answer):
    """A part of what a backtest's runs logged, in order."""

    items: list[LogEntry] = Field(description="At most `limit` of them.")
    after: int = Field(ge=0, description="Number of the last of them: ask for what comes after it.")
    more: bool = Field(description="Whether there are more already.")


class Word(Answer):
    """A name that may stand in a condition."""

    name: str = Field(description="As it is written.", examples=["close"])
    description: str = Field(description="What it stands for.")


class Argument(Answer):
    """One argument of a function."""

    name: str = Field(description="What it is called in the signature.", examples=["period"])
    takes: str = Field(
        description="What may be written for it: any number, computed ones too, or a number that is written out.",
        examples=["a whole number from 1 to 10,000"],
    )
    default: float | None = Field(description="What it is where it is left out; null: it must be there.")


class FunctionDescription(Word):
    """A function that may stand in a condition."""

    signature: str = Field(description="How it is called.", examples=["sma(series, n)"])
    returns: Literal["number", "condition"] = Field(description="What it gives at each bar.")
    arguments: list[Argument] = Field(description="What it takes, in this order.")


class Language(Answer):
    """What a condition written as text can name."""

    parameters: list[str] = Field(description="Which parameters are such texts.", examples=[["long", "exit"]])
    keywords: list[Word] = Field(description="What joins conditions.")
    operators: list[Word] = Field(description="What compares and computes.")
    series: list[Word] = Field(description="Columns of the bars.")
    functions: list[FunctionDescription] = Field(description="What can be computed of them.")


class StrategyDescription(Answer):
    """A strategy that can be run."""

    id: str = Field(description="What `strategies` names it by.", examples=["sma_crossover"])
    name: str = Field(description="For people.", examples=["SMA crossover"])
    description: str = Field(description="What it does.")
    aliases: list[str] = Field(description="Other names that are taken for its id.")
    form: Literal["signals", "decide"] = Field(description="`signals` for all bars at once, or asked bar by bar.")
    every: int | None = Field(description="At every how many bars it decides by default; null for `signals`.")
    parameters_schema: dict[str, Any] = Field(description="JSON Schema of its parameters.")
    default_parameters: dict[str, Any] = Field(description="What they are where nothing is said.")
    language: Language | None = Field(default=None, description="Only where parameters are conditions written as text.")


class WrongField(Answer):
    """One thing that is wrong."""

    field: str = Field(description="Dotted path as the caller wrote it.", examples=["params.fast"])
    message: str = Field(description="What is wrong with it, and what to write.")
    code: str = Field(description="Stable machine-readable name.")


class WrongParameter(WrongField):
    """One thing that is wrong with a parameter, and where in its text, if it is a condition written as text."""

    start: int | None = Field(default=None, ge=0, description="First character that is wrong, counted from 0.")
    end: int | None = Field(
        default=None, ge=0, description="The one after the last that is wrong; as `start` where something is missing."
    )
    near: list[str] | None = Field(default=None, description="Names that may be meant, the nearest first.")


class Validation(Answer):
    """Whether a strategy and its parameters are right."""

    valid: bool = Field(description="Whether a backtest with them would be accepted.")
    errors: list[WrongParameter] = Field(description="What is wrong; empty where nothing is.")


class Datasets(Answer):
    """The market data there is."""

    items: list[dict[str, Any]] = Field(
        description="One object a series: symbol, interval, version, source, bars, start and end, session, gaps, hash."
    )


class Imported(Answer):
    """What an import came to."""

    items: list[dict[str, Any]] = Field(description="One report for each series in the files.")


class CandleColumns(Answer):
    """One entry per bar in each column. Bars longer than the interval begin at multiples of `bucketMs` since 1970, by
    the clock of the series' session; the first and the last hold what of them lies in the range.
    """

    symbol: str = Field(description="As asked for.", examples=["AAPL"])
    interval: Interval = Field(description="As asked for.")
    start: Instant = Field(description="First bar's time.")
    end: Instant = Field(description="Where the last bar ends.")
    bars: int = Field(ge=0, description="How many bars of the interval there are from start to end.")
    dataset_hash: str = Field(description="Names the exact bars.", examples=[_HASH])
    resampled_from: str | None = Field(description="Interval of the stored bars, where they are finer.")
    resampled: bool = Field(description="Whether the bars sent are longer than the interval.")
    bucket_ms: int = Field(description="How long they are: a multiple of the interval; of a month, of 30 days.")
    time: list[Instant] = Field(description="When each bar opened.")
    open: list[float] = Field(description="First price of each.")
    high: list[float] = Field(description="Highest price of each.")
    low: list[float] = Field(description="Lowest price of each.")
    close: list[float] = Field(description="Last price of each.")
    volume: list[float] = Field(description="What was traded in each.")
