"""The arguments of each tool, as its callers write them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, JsonValue, model_validator

from shared.contracts import CURSOR_PATTERN, ID_PATTERN
from shared.controls import Action
from shared.instants import Interval
from shared.wire import Asked, Whole

WAIT_MAX_S = 600.0
COMPARED_MAX = 20
_EXAMPLE_ID = "bt_01m7xy1ymv1kn41cwsxzn6z2tf"

BacktestId = Annotated[str, Field(pattern=ID_PATTERN, description="Which backtest.", examples=[_EXAMPLE_ID])]
Symbol = Annotated[str, Field(min_length=1, max_length=40, description="Of which market.", examples=["AAPL"])]
When = Annotated[str, Field(min_length=1, max_length=40)]
Parameters = Annotated[
    dict[str, JsonValue], Field(description="By name, as `list_strategies` describes them; others are as by default.")
]
MetricNames = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=64)]],
    Field(max_length=64, description="Which, as `totalReturn` or `total_return`. Empty: all.", examples=[["sharpe"]]),
]
StatusName = Literal["pending", "running", "paused", "completed", "failed", "stopped"]


class Arguments(Asked):
    """Base of them: names with underscores, as the other programs write them, and no others."""

    model_config = ConfigDict(alias_generator=None)


class NoArguments(Arguments):
    """Of a tool that needs none."""


class RunBacktest(Arguments):
    strategy_id: str = Field(
        min_length=1, max_length=64, description="As `list_strategies` names it.", examples=["sma_crossover"]
    )
    asset_symbol: Symbol
    start_date: When = Field(description="First date or instant, inclusive.", examples=["2010-01-01"])
    end_date: When = Field(description="Last date or instant, exclusive.", examples=["2013-01-01"])
    initial_capital: float = Field(default=10_000.0, gt=0, le=1e15, description="Money to begin with.")
    parameters: Parameters = Field(default_factory=dict)
    interval: Interval | None = Field(
        default=None,
        description="Length of the bars; left out, the finest that is stored and suits the dates.",
    )
    priority: Literal["low", "medium", "high"] | Whole = Field(
        default="medium", description="low, medium or high, or -9 to 9; higher runs earlier."
    )
    idempotency_key: str | None = Field(
        default=None, min_length=1, max_length=200, description="Asked again with the same key it is the same backtest."
    )
    wait_seconds: float = Field(
        default=0.0, ge=0, le=WAIT_MAX_S, description="How long to wait for its end before answering, telling progress."
    )


class OneBacktest(Arguments):
    backtest_id: BacktestId


class GetBacktestResults(OneBacktest):
    max_trades: Whole = Field(default=200, ge=0, le=1_000, description="Most trades; `get_trades` has all.")
    max_points: Whole = Field(default=200, ge=2, le=2_000, description="Most points of the equity curve.")


class StrategyConfig(Arguments):
    strategy_id: str = Field(min_length=1, max_length=64, description="As `list_strategies` names it.")
    parameters: Parameters = Field(default_factory=dict)


class ValidateStrategy(Arguments):
    strategy_config: StrategyConfig


class GetMetrics(OneBacktest):
    metrics: MetricNames = Field(default_factory=list)


class ListBacktests(Arguments):
    status: StatusName | None = Field(default=None, description="Only those that stand so.")
    asset_symbol: Symbol | None = Field(default=None, description="Only those of this symbol.")
    limit: Whole = Field(default=20, ge=1, le=200, description="Most of one page.")
    cursor: str | None = Field(default=None, pattern=CURSOR_PATTERN, description="`next_cursor` of the page before.")


class WaitForBacktest(OneBacktest):
    # Shorter than the minute after which clients give up that are told no progress.
    timeout_seconds: float = Field(default=50.0, gt=0, le=WAIT_MAX_S, description="Then it is told how it stands.")


class ControlBacktest(OneBacktest):
    action: Action = Field(description="What to ask of it.")
    speed: float | Literal["max"] | None = Field(
        default=None, description="For speed: bars a second, from 0.1, or max."
    )
    bars: Whole | None = Field(default=None, ge=1, le=2**31, description="For step: how many, then it is paused again.")
    bar: Whole | None = Field(default=None, ge=0, le=2**31, description="For seek: to just before it, counted from 0.")
    time: When | None = Field(default=None, description="For seek: to just before the first bar from then on.")
    close_open_trades: bool | None = Field(default=None, description="For stop: whether open trades are closed.")


class GetTrades(OneBacktest):
    limit: Whole = Field(default=50, ge=1, le=1_000, description="Most of one page.")
    offset: Whole = Field(default=0, ge=0, le=2**53, description="How many to leave out before the first.")


class GetEquity(OneBacktest):
    max_points: Whole = Field(default=200, ge=2, le=5_000, description="Most points: first, last, lows and highs.")
    image: bool = Field(default=True, description="Also as a picture: the curve, and the drawdown below it.")


class ListMarketData(Arguments):
    asset_symbol: Symbol | None = Field(default=None, description="Only of this symbol.")


class ImportMarketData(Arguments):
    csv: str = Field(min_length=1, description="The bars: a header or five or six columns, as text.")
    symbol: Symbol | None = Field(default=None, description="What to call it, where no column says so.")
    interval: Interval | None = Field(default=None, description="Where it is not the most common step.")
    options: dict[str, str | int | bool] = Field(
        default_factory=dict,
        max_length=32,
        description="What an import asks where a file can be read in two ways: a refusal names each with its choices, "
        "as timeZone, dateOrder, columns, decimal, price, onConflict.",
        examples=[{"timeZone": "Europe/Berlin", "onConflict": "replace"}],
    )


class ExplainTrade(OneBacktest):
    trade: Whole = Field(ge=0, le=2**53, description="Which, counted from 0 in the order they were closed.")
    bars_around: Whole = Field(default=10, ge=1, le=200, description="How many bars before and after entry and exit.")


class CompareBacktests(Arguments):
    backtest_ids: list[BacktestId] = Field(min_length=2, max_length=COMPARED_MAX, description="Which backtests.")
    metrics: MetricNames = Field(default_factory=list)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.backtest_ids)) != len(self.backtest_ids):
            raise ValueError("backtest_ids must not repeat")
        return self
