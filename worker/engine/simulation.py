"""A backtest as a resumable fold over bars: start, advance, snapshot, restore, finish."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars
from shared.errors import EngineFailed
from shared.reasons import Reason
from shared.strategies import StrategyUse, View, find
from shared.strategies.signals import NO_OPINION, Signals
from shared.strategies.view import OpenTrade, bars_until
from worker.engine import layout
from worker.engine.config import EngineConfig
from worker.engine.hashing import hash_result
from worker.engine.kernel import advance_nb, close_all_nb, place
from worker.engine.metrics import Metrics, Run, measure
from worker.engine.snapshot import SnapshotUnfit, pack, unpack
from worker.engine.trades import Trades, read_open_trades, read_trades
from worker.engine.voices import Voices

ENGINE_VERSION = "3"

_FLOAT = struct.Struct("d")
_FIRST_CAPACITY = 256  # rows of closed trades to begin with; doubled when a run needs more


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


@dataclass(frozen=True, slots=True)
class Ask:
    """The run waits for a decision at the close of bar `bar`: one view for each strategy that is due there.

    The bar itself is processed after the answer. `time_ms` is when it opened.
    """

    bar: int
    time_ms: int
    views: tuple[View, ...]


class Delta:
    """What happened in one `advance`: bars `first_bar` to `bar` (exclusive), and the question it ended with, if any.

    Figures are those at the end of the step. Everything is looked up when asked for, so that a step costs next to
    nothing; `open_trades` can be asked for until the next step.
    """

    __slots__ = ("_first_trade", "_simulation", "_state", "ask", "bar", "first_bar")

    def __init__(
        self,
        simulation: Simulation,
        first_bar: int,
        bar: int,
        first_trade: int,
        state: bytes,
        ask: Ask | None,
    ) -> None:
        self._simulation = simulation
        self._first_trade = first_trade
        self._state = state
        self.first_bar = first_bar
        self.bar = bar
        self.ask = ask

    def after(self, earlier: Delta) -> Delta:
        """Both as one: from the first bar of `earlier` to the end of this."""
        return Delta(self._simulation, earlier.first_bar, self.bar, earlier._first_trade, self._state, self.ask)

    def _read(self, slot: int) -> float:
        return float(_FLOAT.unpack_from(self._state, slot * _FLOAT.size)[0])

    @property
    def bars(self) -> int:
        return self.bar - self.first_bar

    @property
    def equity(self) -> float:
        return self._read(layout.EQUITY)

    @property
    def peak_equity(self) -> float:
        """The highest equity at any close so far, the initial capital included."""
        return max(self._simulation.initial_capital, float(self._simulation.equity(0, self.bar).max(initial=0.0)))

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

    @property
    def closed_trades(self) -> int:
        """Trades closed in this step."""
        return self.total_trades - self._first_trade

    @property
    def trades(self) -> Trades:
        """The trades closed in this step."""
        return self._simulation.trades(self._first_trade, self.total_trades)

    @property
    def open_trades(self) -> list[OpenTrade]:
        if self._simulation.bar != self.bar:
            raise RuntimeError("the simulation has gone on: read open_trades before the next step")
        return self._simulation.open_trades()

    @property
    def equity_points(self) -> NDArray[np.float64]:
        """Equity at each bar of this step, a view."""
        return self._simulation.equity(self.first_bar, self.bar)

    @property
    def signals(self) -> tuple[NDArray[np.int64], Signals]:
        """Bars of this step at which the strategies had an opinion, and the opinions."""
        return self._simulation.opinions(self.first_bar, self.bar)


class Simulation:
    """One backtest. Pure: no I/O, no clock; the same bars, config, strategies and seed give the same bytes.

    Where a strategy decides, `advance` stops at the close of each bar it is due at, with an `Ask`. What is answered is
    its signal at that bar, as if it had been known in advance, and the fold goes on through that bar.
    """

    __slots__ = (
        "_address",
        "_ask",
        "_bars",
        "_closed",
        "_closed_trades",
        "_config",
        "_equity",
        "_finished",
        "_open_trades",
        "_places",
        "_seed",
        "_state",
        "_strategies",
        "_terms",
        "_true_range",
        "_voices",
        "bar",
        "total_bars",
    )

    def __init__(self, bars: Bars, config: EngineConfig, strategies: Sequence[StrategyUse], seed: int) -> None:
        bars = _contiguous(bars)
        self._bars = bars
        self._config = config
        self._strategies = tuple(strategies)
        self._seed = seed
        self._voices = Voices(self._strategies, bars, config.combine, config.weights)
        self._ask: Ask | None = None
        self._terms = config.terms()
        self._true_range = _average_true_range(bars, config)
        self._equity = np.empty(bars.total)
        self._state = _initial_state(config)
        self._open_trades = np.zeros((config.max_open_trades, layout.OPEN_TRADE_SLOTS))
        self._closed_trades = np.empty(
            (max(_FIRST_CAPACITY, 2 * config.max_open_trades + 2), layout.CLOSED_TRADE_SLOTS)
        )
        self._place()
        self._closed = 0
        self._finished = False
        self.bar = 0
        self.total_bars = bars.total

    @classmethod
    def start(cls, bars: Bars, config: EngineConfig, strategies: Sequence[StrategyUse], seed: int = 0) -> Simulation:
        """A run before its first bar. Computes the strategies' signals; `bars` is kept, not copied."""
        return cls(bars, config, strategies, seed)

    def advance(self, until_bar: int) -> Delta:
        """Runs on to `until_bar` (exclusive; at most to the end). A bar already passed changes nothing.

        Stops earlier, before a bar that needs a decision, and its delta carries the `ask`: `answer` it to go on.
        """
        if self._finished:
            raise RuntimeError("a finished simulation cannot advance")
        if self._ask is not None:
            raise RuntimeError(f"the simulation waits for a decision at bar {self._ask.bar}: answer its ask first")
        until = until_bar if until_bar < self.total_bars else self.total_bars
        asked = self._voices.next_ask
        first_bar, first_trade = self.bar, self._closed
        self.bar, self._closed = self._run(until if until < asked else asked)
        if asked < until:
            self._ask = self._make_ask(asked)
        return Delta(self, first_bar, self.bar, first_trade, self._state.tobytes(), self._ask)

    @property
    def strategies(self) -> tuple[StrategyUse, ...]:
        return self._strategies

    @property
    def ask(self) -> Ask | None:
        """The question that is not answered yet, also of a run that was restored in the middle of it."""
        return self._ask

    def answer(self, decisions: Mapping[str, object]) -> None:
        """What the strategies of the `ask` decided, by name: +1, -1, 0, or None for no opinion.

        Raises `StrategyFailed` for an answer that is none of these; the ask still stands then.
        """
        if self._ask is None:
            raise RuntimeError("there is no ask to answer")
        self._voices.hear(decisions)
        self._ask = None

    def snapshot(self) -> bytes:
        """All that is needed to go on elsewhere, except the bars."""
        if self._finished:
            raise RuntimeError("a finished simulation has nothing to go on with")
        header: dict[str, Any] = {
            "engine": ENGINE_VERSION,
            "config": self._config.as_dict(),
            "strategies": [[use.name, use.strategy.id, use.params.model_dump()] for use in self._strategies],
            "seed": self._seed,
            "bars": _identity(self._bars),
        }
        arrays = {
            "state": self._state,
            "open_trades": self._open_trades[: int(self._state[layout.OPEN_TRADES])],
            "closed_trades": self._closed_trades[: self._closed],
            "equity": self._equity[: self.bar],
        }
        if self._voices.decisive:
            header["asks"] = {"next": self._voices.next_ask, "waiting": self._ask is not None}
            arrays["decisions"] = self._voices.decisions()
        return pack(header, arrays)

    @classmethod
    def restore(cls, blob: bytes, bars: Bars) -> Simulation:
        """The run of a snapshot, over the same bars. Raises `SnapshotUnfit` when it cannot go on from this one."""
        header, arrays = unpack(blob)
        if header["engine"] != ENGINE_VERSION:
            raise SnapshotUnfit(f"the snapshot is of engine {header['engine']}, this is engine {ENGINE_VERSION}")
        if header["bars"] != _identity(bars):
            raise SnapshotUnfit(f"the snapshot ran over bars {header['bars']}, these are {_identity(bars)}")
        uses = [find(strategy_id).use(params, name, name=name) for name, strategy_id, params in header["strategies"]]
        simulation = cls(bars, EngineConfig(**header["config"]), uses, header["seed"])
        simulation._load(arrays)
        if "asks" in header:
            simulation._voices.recall(arrays["decisions"], header["asks"]["next"])
            simulation._place()
            if header["asks"]["waiting"]:
                simulation._ask = simulation._make_ask(simulation.bar)
        return simulation

    def finish(self, close_open_trades: bool | None = None, reason: Reason | None = None) -> Outcome:
        """Ends the run at the last processed bar, closing open trades at its close, and measures it.

        Whether they close is the configuration's to say where it is not said here. `reason` is why those trades close:
        END_OF_DATA at the last bar and STOPPED_BY_USER before, unless named.
        """
        if self._finished:
            raise RuntimeError("the simulation is finished already")
        self._finished = True
        if close_open_trades is None:
            close_open_trades = self._config.close_at_end
        if close_open_trades and self.bar and self._state[layout.OPEN_TRADES]:
            default = Reason.END_OF_DATA if self.bar == self.total_bars else Reason.STOPPED_BY_USER
            self._close_all(reason if reason is not None else default)
        trades = self.trades(0, self._closed)
        time_ms, equity = self._bars.time_ms[: self.bar], self._equity[: self.bar]
        metrics = self._measure(trades) if self.bar else {}
        return Outcome(
            metrics=metrics,
            trades=trades,
            open_trades=self.open_trades(),
            time_ms=time_ms,
            equity=equity,
            result_hash=hash_result(trades, time_ms, equity, metrics),
            engine_version=ENGINE_VERSION,
        )

    def trades(self, first: int, until: int) -> Trades:
        """Closed trades `first` to `until` (exclusive), in the order they closed."""
        voices = self._voices.each
        return read_trades(self._closed_trades[first:until], self._bars.time_ms, voices, self._decided_before)

    @property
    def _decided_before(self) -> int:
        """Bars between the close that decided an order and the fill."""
        return 0 if self._config.fill_at == "close" else 1

    @property
    def initial_capital(self) -> float:
        return self._config.initial_capital

    def open_trades(self) -> list[OpenTrade]:
        return read_open_trades(self._open_trades[: int(self._state[layout.OPEN_TRADES])])

    def equity(self, first_bar: int, until_bar: int) -> NDArray[np.float64]:
        return self._equity[first_bar:until_bar]

    def opinions(self, first_bar: int, until_bar: int) -> tuple[NDArray[np.int64], Signals]:
        part = self._voices.combined[first_bar:until_bar]
        at = np.flatnonzero(part != NO_OPINION)
        return at + first_bar, part[at]

    def _run(self, until: int) -> tuple[int, int]:
        """The next bar and the trades closed after the bars before `until`."""
        bar, closed = self.bar, self._closed
        while bar < until:
            bar, closed = advance_nb(self._address, bar, until)
            if bar < until:
                self._make_room(closed)
        return bar, closed

    def _make_ask(self, bar: int) -> Ask:
        """What the strategies due at `bar`, the next one, are shown: the account as it will stand at its close.

        To know that, the bar is run without an opinion and taken back. So the order it may bring can still fill inside
        it, where orders fill at the close, and nothing but the fold itself says what a bar does.
        """
        state, rows = self._state.copy(), int(self._state[layout.OPEN_TRADES])
        open_trades = self._open_trades[:rows].copy()
        signals = self._voices.combined
        said, signals[bar] = signals[bar], NO_OPINION
        self._run(bar + 1)
        cash, equity = float(self._state[layout.CASH]), float(self._state[layout.EQUITY])
        shown, bars = tuple(self.open_trades()), bars_until(self._bars, bar + 1)
        self._state[:], self._open_trades[:rows], signals[bar] = state, open_trades, said
        views = [
            View(use.name, bar, bars, use.params, cash, equity, shown, self._seed)
            for use in map(self._strategies.__getitem__, self._voices.due)
        ]
        return Ask(bar, int(self._bars.time_ms[bar]), tuple(views))

    def _load(self, arrays: dict[str, NDArray[np.float64]]) -> None:
        self._state[:] = arrays["state"]
        self._open_trades[: arrays["open_trades"].shape[0]] = arrays["open_trades"]
        self._closed = arrays["closed_trades"].shape[0]
        while self._closed_trades.shape[0] < self._closed:
            self._make_room(0)
        self._closed_trades[: self._closed] = arrays["closed_trades"]
        self.bar = arrays["equity"].shape[0]
        self._equity[: self.bar] = arrays["equity"]

    def _make_room(self, used: int) -> None:
        """Twice the rows for closed trades, of which the first `used` are kept."""
        smaller = self._closed_trades
        self._closed_trades = np.empty((2 * smaller.shape[0], smaller.shape[1]))
        self._closed_trades[:used] = smaller[:used]
        self._place()

    def _place(self) -> None:
        """Where the arrays stand now; to be told anew whenever one of them is another array."""
        self._places = place(
            self._bars,
            self._voices.combined,
            self._true_range,
            self._equity,
            self._state,
            self._terms,
            self._open_trades,
            self._closed_trades,
        )
        self._address = int(self._places.ctypes.data)

    def _close_all(self, reason: Reason) -> None:
        if self._closed + self._config.max_open_trades > self._closed_trades.shape[0]:
            self._make_room(self._closed)
        last = self.bar - 1
        close_all_nb(
            self._state,
            self._terms,
            self._open_trades,
            self._closed_trades,
            last,
            float(self._bars.close[last]),
            int(reason),
        )
        self._closed = int(self._state[layout.CLOSED_TRADES])
        self._equity[last] = self._state[layout.EQUITY] = self._state[layout.CASH]

    def _measure(self, trades: Trades) -> Metrics:
        return measure(
            Run(
                time_ms=self._bars.time_ms[: self.bar],
                close=self._bars.close[: self.bar],
                equity=self._equity[: self.bar],
                initial_capital=self._config.initial_capital,
                trades=trades,
                total_fees=float(self._state[layout.FEES]),
                bars_exposed=int(self._state[layout.BARS_EXPOSED]),
                bars_ambiguous=int(self._state[layout.BARS_AMBIGUOUS]),
                orders_unfilled=int(self._state[layout.ORDERS_UNFILLED]),
                open_trades=int(self._state[layout.OPEN_TRADES]),
            )
        )


def warm() -> None:
    """Runs the kernel and every strategy that gives signals once: the first backtest then waits for nothing."""
    from shared.strategies import catalogue

    total = 64
    steps = np.arange(total, dtype=np.float64)
    price = 100.0 + 10.0 * np.sin(steps / 3.0)
    time_ms = np.arange(total, dtype=np.int64) * 3_600_000
    bars = Bars(time_ms, price, price + 1.0, price - 1.0, price, steps)
    uses = [strategy.use({}, strategy.id) for strategy in catalogue() if strategy.form == "signals"]
    config = EngineConfig(stop_loss_percent=1.0, take_profit_percent=1.0, commission_rate=0.001, allow_short=True)
    simulation = Simulation.start(bars, config, uses)
    simulation.advance(total // 2)
    Simulation.restore(simulation.snapshot(), bars).finish()
    simulation.advance(total)
    simulation.finish()


def _initial_state(config: EngineConfig) -> NDArray[np.float64]:
    state = np.zeros(layout.STATE_SLOTS)
    state[layout.CASH] = state[layout.EQUITY] = config.initial_capital
    state[layout.PENDING] = NO_OPINION
    state[layout.TRIGGER_BELOW] = -np.inf
    state[layout.TRIGGER_ABOVE] = np.inf
    return state


def _average_true_range(bars: Bars, config: EngineConfig) -> NDArray[np.float64]:
    """Wilder's average true range, NaN until it is defined. Where no level needs it, any column will do."""
    if not config.needs_true_range:
        return bars.close
    if bars.total <= config.atr_period:
        return np.full(bars.total, np.nan)
    from talib import ATR

    return np.ascontiguousarray(ATR(bars.high, bars.low, bars.close, config.atr_period))


def _contiguous(bars: Bars) -> Bars:
    """The columns as the kernel reads them, copied only where they are not. It trusts addresses, so lengths matter."""
    if {column.shape for column in bars} != {(bars.total,)}:
        raise EngineFailed(f"the columns of bars differ in length: {[column.shape for column in bars]}")
    prices = (np.ascontiguousarray(column, np.float64) for column in bars[1:])
    return Bars(np.ascontiguousarray(bars.time_ms, np.int64), *prices)


def _identity(bars: Bars) -> list[int]:
    """How many bars and which times: enough to notice the wrong bars, `datasetHash` is what names them exactly."""
    return [bars.total, int(bars.time_ms[0]), int(bars.time_ms[-1])] if bars.total else [0, 0, 0]
