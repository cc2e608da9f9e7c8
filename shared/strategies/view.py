"""What a strategy that decides is shown when it is asked: the bars so far, the account, and nothing of what follows."""

from __future__ import annotations

import hashlib
import operator
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars
from shared.strategies.signals import BE_FLAT, BE_LONG, BE_SHORT, NO_OPINION


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
    # the strategy's own, of the bars 0 to `bar`, sealed as they are
    indicators: Mapping[str, NDArray[np.float64]] = field(default_factory=dict[str, NDArray[np.float64]])

    @property
    def time_ms(self) -> int:
        """When the bar opened, in milliseconds since 1970-01-01T00:00Z. The view is of its close."""
        return int(self.bars.time_ms[-1])

    @cached_property
    def random(self) -> random.Random:
        """Chance that depends on seed, strategy and bar alone, so that a run that is taken up again draws the same."""
        text = f"{self.seed}/{self.bar}/{self.strategy}"
        return random.Random(int.from_bytes(hashlib.sha256(text.encode()).digest(), "big"))


_DECISIONS = (BE_SHORT, BE_FLAT, BE_LONG, NO_OPINION)

Decide = Callable[[View], int | None]


def bars_until(bars: Bars, total: int) -> Bars:
    """The first `total` bars as views that nobody can make writable again."""
    return Bars(*(sealed(column, total) for column in bars))


def sealed(column: NDArray[Any], total: int) -> NDArray[Any]:
    """The first `total`, at least one, of a contiguous column."""
    return np.frombuffer(column.data[:total].toreadonly(), column.dtype)


def read_decision(said: Any) -> int:
    """The signal that an answer means; None is no opinion. Raises `ValueError` for an answer that is none."""
    if said is None:
        return NO_OPINION
    try:
        decision = None if isinstance(said, bool) else operator.index(said)  # an int of Python's or NumPy's
    except TypeError:
        decision = None
    if decision not in _DECISIONS:
        shown = repr(said)
        raise ValueError(
            "must answer 1 (long), -1 (short), 0 (flat) or None (no opinion), "
            f"not {shown if len(shown) <= 80 else shown[:77] + '...'}"
        )
    return decision
