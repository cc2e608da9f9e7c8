"""What one step of a run, and a whole run, came to."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.strategies import View
from shared.strategies.signals import Signals
from shared.strategies.strategy import Mute
from shared.strategies.view import OpenTrade
from worker.engine import layout
from worker.engine.trades import Trades

if TYPE_CHECKING:
    from worker.engine.metrics import Metrics

_FLOAT = struct.Struct("d")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to. `equity` has one point per processed bar, at the times `time_ms`."""

    metrics: Metrics
    trades: Trades
    open_trades: list[OpenTrade]  # those left open on request, else none
    time_ms: NDArray[np.int64]
    equity: NDArray[np.float64]
    result_hash: str
    engine_version: str
    warmup_bars: int  # before the first processed one, which strategies saw and nothing traded in
    mute: tuple[Mute, ...]  # strategies that could say nothing, for want of bars


@dataclass(frozen=True, slots=True)
class Ask:
    """The run waits for a decision at the close of bar `bar`: one view for each strategy that is due there.

    The bar itself is processed after the answer. `time_ms` is when it opened.
    """

    bar: int
    time_ms: int
    views: tuple[View, ...]


class Account:
    """The figures that the kernel carries from bar to bar, read out of the bytes of its state when asked for."""

    __slots__ = ("_state",)

    def __init__(self, state: bytes) -> None:
        self._state = state

    def _read(self, slot: int) -> float:
        return float(_FLOAT.unpack_from(self._state, slot * _FLOAT.size)[0])

    @property
    def equity(self) -> float:
        return self._read(layout.EQUITY)

    @property
    def peak_equity(self) -> float:
        """The highest equity at any close so far, the initial capital included."""
        return self._read(layout.PEAK_EQUITY)

    @property
    def cash(self) -> float:
        return self._read(layout.CASH)

    @property
    def realised_pnl(self) -> float:
        """Sum of the closed trades' pnl after fees, since the start of the run."""
        return self._read(layout.REALISED)

    @property
    def total_fees(self) -> float:
        return self._read(layout.FEES)

    @property
    def total_trades(self) -> int:
        """Trades closed since the start of the run."""
        return int(self._read(layout.CLOSED_TRADES))

    @property
    def winning_trades(self) -> int:
        return int(self._read(layout.TRADES_WON))

    @property
    def losing_trades(self) -> int:
        return int(self._read(layout.TRADES_LOST))

    @property
    def total_open_trades(self) -> int:
        return int(self._read(layout.OPEN_TRADES))


class Past(Protocol):
    """What a delta looks up in the simulation it came from."""

    bar: int

    def trades(self, first: int, until: int) -> Trades: ...
    def open_trades(self) -> list[OpenTrade]: ...
    def equity(self, first_bar: int, until_bar: int) -> NDArray[np.float64]: ...
    def opinions(self, first_bar: int, until_bar: int) -> tuple[NDArray[np.int64], Signals]: ...


class Delta(Account):
    """What happened in one `advance`: bars `first_bar` to `bar` (exclusive), and the question it ended with, if any.

    Figures are those at the end of the step. Everything is looked up when asked for, so that a step costs next to
    nothing; `open_trades` can be asked for until the next step.
    """

    __slots__ = ("_first_trade", "_past", "ask", "bar", "first_bar")

    def __init__(self, past: Past, first_bar: int, bar: int, first_trade: int, state: bytes, ask: Ask | None) -> None:
        self._past = past
        self._first_trade = first_trade
        self._state = state
        self.first_bar = first_bar
        self.bar = bar
        self.ask = ask

    def after(self, earlier: Delta) -> Delta:
        """Both as one: from the first bar of `earlier` to the end of this."""
        return Delta(self._past, earlier.first_bar, self.bar, earlier._first_trade, self._state, self.ask)

    @property
    def bars(self) -> int:
        return self.bar - self.first_bar

    @property
    def closed_trades(self) -> int:
        """Trades closed in this step."""
        return self.total_trades - self._first_trade

    @property
    def trades(self) -> Trades:
        """The trades closed in this step."""
        return self._past.trades(self._first_trade, self.total_trades)

    @property
    def open_trades(self) -> list[OpenTrade]:
        if self._past.bar != self.bar:
            raise RuntimeError("the simulation has gone on: read open_trades before the next step")
        return self._past.open_trades()

    @property
    def equity_points(self) -> NDArray[np.float64]:
        """Equity at each bar of this step, a view."""
        return self._past.equity(self.first_bar, self.bar)

    @property
    def signals(self) -> tuple[NDArray[np.int64], Signals]:
        """Bars of this step at which the strategies had an opinion, and the opinions."""
        return self._past.opinions(self.first_bar, self.bar)
