"""What a strategy that decides is shown when it is asked: the bars so far, the account, and nothing of what follows."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars
from shared.strategies.decision import Decision, PastDecision


class OpenTrade(NamedTuple):
    """One trade that is still open. Levels are None where there is no such level."""

    entry_bar: int
    direction: int  # +1 long, -1 short
    quantity: float  # always above zero
    entry_price: float
    entry_fee: float
    entry_reason: str
    stop_price: float | None
    target_price: float | None
    trailing_stop_price: float | None


class ClosedTrade(NamedTuple):
    """One trade that has been closed."""

    entry_bar: int
    exit_bar: int
    direction: int  # +1 long, -1 short
    quantity: float  # always above zero
    entry_price: float
    exit_price: float
    fees: float  # both sides
    pnl: float  # after fees
    entry_reason: str
    exit_reason: str


class Past(Protocol):
    """What a view looks up when it is asked for it, so that a question costs nothing by it."""

    def equity_curve(self) -> NDArray[np.float64]: ...
    def trades(self, n: int) -> tuple[ClosedTrade, ...]: ...
    def decisions(self, n: int) -> tuple[PastDecision, ...]: ...


@dataclass(frozen=True)
class View:
    """The market and the account at the close of bar `bar`, before anything is decided there.

    What has reached its stop or target in this bar is closed already; cash and equity are in units of the quote
    currency. `bars` are the bars 0 to `bar`, in columns that cannot be written. That keeps honest code honest: a
    plug-in runs with the rights of the process and could find the engine's own arrays if it set out to.

    A decision must depend on the view alone. What `decide` remembers elsewhere is lost when the run goes on in another
    process; for chance there is `random`.
    """

    strategy: str  # as the request calls it
    bar: int  # counted from 0
    bars: Bars
    params: Any  # the strategy's parameter model
    cash: float
    equity: float
    open_trades: tuple[OpenTrade, ...]  # oldest first
    seed: int  # the run's
    past: Past = field(repr=False, compare=False)  # what `equity_curve`, `trades` and `decisions` are taken from
    # the strategy's own, of the bars 0 to `bar`, sealed as they are
    indicators: Mapping[str, NDArray[np.float64]] = field(default_factory=dict[str, NDArray[np.float64]])
    # the request's
    initial_capital: float = 10_000.0
    leverage: float = 1.0
    allow_short: bool = False

    @property
    def time_ms(self) -> int:
        """When the bar opened, in milliseconds since 1970-01-01T00:00Z. The view is of its close."""
        return int(self.bars.time_ms[-1])

    @property
    def equity_curve(self) -> NDArray[np.float64]:
        """Equity at the closes of bars 0 to `bar` - 1; it cannot be written. That of this close is `equity`."""
        return self.past.equity_curve()

    def trades(self, n: int) -> tuple[ClosedTrade, ...]:
        """The last `n` trades that have been closed, of the whole run, as many as there are; the latest last."""
        return self.past.trades(_at_least_none(n))

    def decisions(self, n: int) -> tuple[PastDecision, ...]:
        """The last `n` decisions of this strategy that were an opinion, as many as there are; the latest last."""
        return self.past.decisions(_at_least_none(n))

    @cached_property
    def random(self) -> random.Random:
        """Chance that depends on seed, strategy and bar alone, so that a run that is taken up again draws the same."""
        text = f"{self.seed}/{self.bar}/{self.strategy}"
        return random.Random(int.from_bytes(hashlib.sha256(text.encode()).digest(), "big"))


Decide = Callable[[View], int | Decision | None]


def bars_until(bars: Bars, total: int) -> Bars:
    """The first `total` bars as views that nobody can make writable again."""
    return Bars(*(sealed(column, total) for column in bars))


def sealed(column: NDArray[Any], total: int) -> NDArray[Any]:
    """The first `total` values as a view that nobody can make writable again."""
    return np.frombuffer(column.data[:total].toreadonly(), column.dtype)


def _at_least_none(n: int) -> int:
    if n < 0:
        raise ValueError(f"n must be at least 0: how many of the last ones are wanted (got {n})")
    return n
