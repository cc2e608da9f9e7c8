"""What answers about market data look like beside `answers.py`, for /docs."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from api.routes.answers import Answer, CandleColumns, Instant
from shared.instants import Interval


class RunCandles(CandleColumns):
    """A backtest's bars. `start`, `end`, `bars` and `datasetHash` are of those in the range that was asked for."""

    backtest_id: str = Field(description="Which backtest.", examples=["bt_01m7xy1ymv1kn41cwsxzn6z2tf"])
    indicators: dict[str, list[float | None]] = Field(
        description="By name, as `backtest:candle` has them: one value for each bar, that of its end; null where there "
        "is none.",
        examples=[{"sma 10": [None, 101.5]}],
    )
    warnings: list[dict[str, Any]] = Field(description="`code` and `message` of indicators that are not there.")


class SeriesGap(Answer):
    """Bars that are missing one after the other, but for what is closed between them."""

    begin: Instant = Field(alias="from", description="When the first of them would open.")
    end: Instant = Field(alias="to", description="Where the last of them would end.")
    bars: int = Field(ge=1, description="How many are missing.")


class SeriesGaps(Answer):
    """What is missing in a series, in bars of the stored interval."""

    symbol: str = Field(description="As asked for.", examples=["AAPL"])
    interval: Interval = Field(description="As asked for.")
    resampled_from: str | None = Field(description="Interval of the stored bars, where they are finer.")
    bars: int = Field(ge=1, description="How many are stored.")
    start: Instant = Field(description="First bar's time.")
    end: Instant = Field(description="Where the last bar ends.")
    expected_bars: int = Field(ge=1, description="How many there would be if none was missing.")
    gaps: list[SeriesGap] = Field(description="In order of time; where there are more than `limit`, the largest.")
    total: int = Field(ge=0, description="How many gaps there are.")


class Exchanges(Answer):
    """Whose candles can be fetched."""

    available: bool = Field(description="Whether this gateway can fetch at all.")
    exchanges: list[str] = Field(description="Their names.", examples=[["binance", "kraken"]])
    remedy: str | None = Field(description="What to install where it cannot; else null.")


class FetchLine(Answer):
    """One line of a fetch: how far it is, that it waits, or its end."""

    fetched: int | None = Field(default=None, description="How many bars have come, with `until`.")
    until: Instant | None = Field(default=None, description="Until when there are no more to come.")
    waits: str | None = Field(default=None, description="Why the exchange is asked again later, with `seconds`.")
    seconds: float | None = Field(default=None, description="How much later.")
    imported: dict[str, Any] | None = Field(default=None, description="At the end: a report as of an import.")
    problem: dict[str, Any] | None = Field(default=None, description="At the end: why nothing was imported.")
