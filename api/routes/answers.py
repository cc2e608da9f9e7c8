"""What the answers look like, for /docs. They are built by hand; tests hold them against these models."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Answer(BaseModel):
    """Base of what is described in /docs."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class Accepted(Answer):
    backtest_id: str
    status: str = Field(description="`pending` of a new one; where the key was used before, the status it has now.")
    progress: float | None = Field(default=None, description="0 to 100, where the key was used before.")
    result_id: str | None = Field(default=None, description="Only where there is a result.")
    error: dict[str, Any] | None = Field(default=None, description="Only of one that failed, as in `Backtest`.")


class Backtest(Answer):
    backtest_id: str
    status: str = Field(description="`pending`, `running`, `paused`, `completed`, `failed` or `stopped`")
    progress: float = Field(description="0 to 100")
    priority: int
    params: dict[str, Any]
    epoch: int = Field(description="How many times a worker has claimed it.")
    failures: int = Field(description="How many of its runs crashed.")
    created_at: str
    updated_at: str
    started_at: str | None
    completed_at: str | None
    result_id: str | None
    dataset_hash: str | None
    error: dict[str, Any] | None = Field(description="`code`, `message` and `errors` of a backtest that failed.")
    warnings: list[dict[str, Any]] = Field(
        description="`code`, `message` and maybe `field` of what its asker should know; those of its result once it "
        "has one."
    )


class BacktestPage(Answer):
    items: list[Backtest]
    next_cursor: str | None = Field(description="`cursor` of the next page; null at the end.")


class EquityPoint(Answer):
    time: str
    equity: float


class Equity(Answer):
    points: list[EquityPoint]


class TradePage(Answer):
    items: list[dict[str, Any]]
    total: int
    limit: int
    offset: int


class Word(Answer):
    name: str
    description: str


class FunctionDescription(Word):
    signature: str
    returns: Literal["number", "condition"]


class Language(Answer):
    """What a condition written as text can name."""

    series: list[Word]
    functions: list[FunctionDescription]


class StrategyDescription(Answer):
    id: str
    name: str
    description: str
    aliases: list[str]
    form: str = Field(description="`signals` for all bars at once, or `decide`: asked bar by bar.")
    every: int | None = Field(description="At every how many bars it decides by default; null for `signals`.")
    parameters_schema: dict[str, Any]
    default_parameters: dict[str, Any]
    language: Language | None = Field(default=None, description="Only where parameters are conditions written as text.")


class Validation(Answer):
    valid: bool
    errors: list[dict[str, str]]


class Datasets(Answer):
    items: list[dict[str, Any]]


class Imported(Answer):
    items: list[dict[str, Any]] = Field(description="One report for each series in the files.")


class CandleColumns(Answer):
    """One entry per bar in each column. Bars longer than the interval begin at multiples of `bucketMs` since 1970; the
    first and the last hold what of them lies in the range.
    """

    symbol: str
    interval: str
    start: str = Field(description="First bar's time.")
    end: str = Field(description="Where the last bar ends.")
    bars: int = Field(description="How many bars of the interval there are from start to end.")
    dataset_hash: str
    resampled_from: str | None = Field(description="Interval of the stored bars, where they are finer.")
    resampled: bool = Field(description="Whether the bars sent are longer than the interval.")
    bucket_ms: int = Field(description="How long they are: a multiple of the interval.")
    time: list[str]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[float]
