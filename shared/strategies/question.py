"""What a strategy asks that cannot decide by itself, and what judging the answer needs."""

from __future__ import annotations

from typing import NamedTuple


class Facts(NamedTuple):
    """The market and the account at the close of the bar that is asked about. Money in units of the quote currency."""

    bar: int
    time_ms: int  # when the bar opened
    close: float
    cash: float
    equity: float
    day_start_equity: float  # at the last close of the UTC day before; what the run began with on its first day
    direction: int  # of open trades: +1, -1, or 0 where there are none
    exposure_fraction: float  # what open trades are worth, in equities
    leverage: float
    allow_short: bool


class Question(NamedTuple):
    """`strategy` is as the request calls it; `system` and `user` are what is to be asked."""

    strategy: str
    system: str
    user: str
    facts: Facts
