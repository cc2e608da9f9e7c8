"""Donchian channels, the turtles' rule: buy a new high, sell a new low, leave at a nearer channel."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from shared.bars import Bars
from shared.strategies.parameters import Parameters
from shared.strategies.signals import Signals, silent
from shared.strategies.strategy import Columns, Strategy


class DonchianParameters(Parameters):
    entry: int = Field(20, ge=2, le=10_000, description="Earlier bars whose high (low) a close must exceed to enter.")
    exit: int = Field(
        10, ge=1, le=10_000, description="Earlier bars whose low (high) ends a long (short); at most entry."
    )

    @model_validator(mode="after")
    def _exit_is_nearer(self) -> Self:
        if self.exit > self.entry:
            raise ValueError(f"exit must be at most entry (exit is {self.exit}, entry is {self.entry})")
        return self


def donchian_signals(bars: Bars, params: DonchianParameters) -> Signals:
    """+1 where the close is above the highest high of the `entry` bars before it, -1 where it is below the lowest low.

    0 where the close of a long falls below the lowest low of the `exit` bars before it, or that of a short rises above
    their highest high. Long and short are what was said last, whether or not shorts are allowed. The first signal can
    come at bar `entry`. Source: Faith, "Way of the Turtle" (2007), system 1 without its filter, judged at closes.
    """
    if bars.total <= params.entry:
        return silent(bars.total)
    from shared.strategies.rolling import channel_breaks_nb

    return channel_breaks_nb(bars.close, *_channel(bars, params.entry), *_channel(bars, params.exit), params.entry)


def donchian_indicators(bars: Bars, params: DonchianParameters) -> Columns:
    columns: dict[str, NDArray[np.float64]] = {}
    for period in (params.entry, params.exit):
        columns[f"donchian high {period}"], columns[f"donchian low {period}"] = _channel(bars, period)
    return columns


def _channel(bars: Bars, period: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The highest high and the lowest low of the `period` bars before each."""
    return _highest_before(bars.high, period), -_highest_before(-bars.low, period)


def _highest_before(prices: NDArray[np.float64], period: int) -> NDArray[np.float64]:
    """The highest of the `period` prices before each bar, float64[n], NaN where there are fewer."""
    highest = np.full(prices.shape[0], np.nan)
    if period == 1:
        highest[1:] = prices[:-1]
        return highest
    from talib import MAX

    highest[1:] = MAX(prices, period)[:-1]
    return highest


def _warmup(params: DonchianParameters) -> int:
    return params.entry


STRATEGY = Strategy(
    id="donchian",
    name="Donchian channels",
    description="Long above the highest high of earlier bars, short below the lowest low, flat at the nearer "
    "channel (Faith 2007, the turtles' system 1).",
    parameters=DonchianParameters,
    signals=donchian_signals,
    aliases=("turtle",),
    warmup=_warmup,
    speaks_from=_warmup,
    indicators=donchian_indicators,
)
