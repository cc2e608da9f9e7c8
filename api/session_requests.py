"""What older clients ask for: backtests under other names, which become requests like all others."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, create_model

from shared.instants import INTERVAL_MS, Instant, Interval
from shared.request import BacktestRequest, Symbol
from shared.wire import Asked, validate

USUAL_STRATEGY = "sma_crossover"
# What it asks for that goes into a backtest as it is, within the bounds that it has there.
_AS_IT_IS = (
    *("symbol", "start_date", "end_date", "position_size_percent", "max_open_trades", "use_stop_orders"),
    *("use_take_profits", "stop_loss", "take_profit", "strategy_params", "emit_interval", "speed"),
)
_FIELDS: dict[str, Any] = {
    name: (BacktestRequest.model_fields[name].annotation, BacktestRequest.model_fields[name]) for name in _AS_IT_IS
}
CreateSession = create_model(
    "CreateSession",
    __base__=Asked,
    __module__=__name__,
    __doc__="A backtest that waits until it is started.",
    **_FIELDS,
    initial_capital=(float, Field(gt=0, le=1e15, description="Money to begin with.", examples=[10_000])),
    interval=(Interval, Field("1h", description="Length of the bars.")),
    strategies=(
        list[Annotated[str, Field(min_length=1, max_length=64)]],
        Field([USUAL_STRATEGY], min_length=1, max_length=16, description="Ids or other names, none twice."),
    ),
)
CREATE_EXAMPLE: dict[str, Any] = {
    "symbol": "AAPL",
    "interval": "1d",
    "startDate": "2000-03-01",
    "endDate": "2013-03-01",
    "initialCapital": 10_000,
    "positionSizePercent": 0.02,
    "strategies": ["sma_crossover"],
    "speed": 50,
}


def session_request(asked: Asked, symbol: str) -> BacktestRequest:
    """The backtest that a `CreateSession` asks for, of this symbol. Raises `InvalidRequest`."""
    given = asked.model_dump(by_alias=True, exclude_unset=True)
    usual = {"interval": "1h", "strategies": [USUAL_STRATEGY]}
    return validate(BacktestRequest, usual | given | {"symbol": symbol, "startPaused": True})


_TERMINAL_TIMEFRAMES = {
    "M1": "1m",
    "M5": "5m",
    "M15": "15m",
    "M30": "30m",
    "H1": "1h",
    "H4": "4h",
    "D1": "1d",
    "W1": "1w",
    "MN1": "1M",
}
_TIMEFRAMES = _TERMINAL_TIMEFRAMES | {name: name for name in INTERVAL_MS}
Timeframe = Literal["M1", "M5", "M15", "M30", "H1", "H4", "D1", "W1", "MN1", Interval]
# What an error calls a field, and what whoever sent a `RunRequest` calls it.
RUN_WORDS = {
    "interval": "timeframe",
    "startDate": "start_date",
    "endDate": "end_date",
    "initialCapital": "initial_cash",
    "commission.rate": "commission",
    "strategies.0": "strategy_name",
}


class RunRequest(Asked):
    """A backtest of one strategy, which begins at once."""

    model_config = ConfigDict(alias_generator=None)

    symbol: Symbol
    timeframe: Timeframe = Field(description="Length of the bars: H1 or 1h is an hour, M1 or 1m a minute, MN1 a month.")
    start_date: Instant = Field(description="First bar's time or later, inclusive.")
    end_date: Instant = Field(description="Exclusive.")
    strategy_name: str = Field(min_length=1, max_length=64, description="Id or other name of a strategy.")
    variant: Literal["vanilla"] = Field(default="vanilla", description="Kind of the run; there is no other.")
    initial_cash: float = Field(default=10_000.0, gt=0, le=1e15, description="Money to begin with.")
    commission: float = Field(default=0.0, ge=0, le=0.2, description="Share of the traded value: 0.001 is 0.1 %.")


RUN_EXAMPLE: dict[str, Any] = {
    "symbol": "AAPL",
    "timeframe": "D1",
    "start_date": "2000-03-01",
    "end_date": "2013-03-01",
    "variant": "vanilla",
    "initial_cash": 10_000,
    "commission": 0.001,
    "strategy_name": "sma_crossover",
}


def run_request(asked: RunRequest, symbol: str) -> BacktestRequest:
    """The backtest that it asks for, of this symbol. Raises `InvalidRequest`."""
    body = {
        "symbol": symbol,
        "interval": _TIMEFRAMES[asked.timeframe],
        "startDate": asked.start_date,
        "endDate": asked.end_date,
        "strategies": [asked.strategy_name],
        "initialCapital": asked.initial_cash,
        "commission": {"rate": asked.commission},
    }
    return validate(BacktestRequest, body)
