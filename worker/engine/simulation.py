"""A backtest as a resumable fold over bars: start, advance, position, resume, finish."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars
from shared.reasons import Reason
from shared.strategies import StrategyUse, View
from shared.strategies.indicators import Indicators
from shared.strategies.signals import NO_OPINION, Signals
from shared.strategies.strategy import mute_among
from shared.strategies.view import OpenTrade, bars_until
from worker.engine import layout
from worker.engine.columns import average_true_range, contiguous
from worker.engine.config import EngineConfig
from worker.engine.delta import Account, Ask, Delta, Outcome
from worker.engine.faults import PositionUnfit
from worker.engine.hashing import hash_result
from worker.engine.hindsight import Hindsight
from worker.engine.kernel import advance_nb, place
from worker.engine.metrics import Course, Metrics, measure
from worker.engine.orders import close_all_nb
from worker.engine.position import Decisions, Mark, Position, fingerprint
from worker.engine.trades import Trades, read_open_trades, read_trades
from worker.engine.version import ENGINE_VERSION, FOLD_VERSION
from worker.engine.voices import Voices

_FIRST_CAPACITY = 256  # rows of closed trades to begin with; doubled when a run needs more


class Simulation:
    """One backtest. Pure: no I/O, no time of day; the same bars, config, strategies and seed give the same bytes.

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
        "_fingerprint",
        "_finished",
        "_open_trades",
        "_places",
        "_seed",
        "_state",
        "_strategies",
        "_terms",
        "_true_range",
        "_voices",
        "_warmup_bars",
        "bar",
        "indicators",
        "total_bars",
    )

    def __init__(
        self, bars: Bars, config: EngineConfig, strategies: Sequence[StrategyUse], seed: int, warmup_bars: int
    ) -> None:
        whole = contiguous(bars)
        bars = whole.after(warmup_bars)
        self._bars = bars
        self._warmup_bars = warmup_bars
        self._config = config
        self._strategies = tuple(strategies)
        self._seed = seed
        self._voices = Voices(self._strategies, whole, config, warmup_bars)
        self.indicators = Indicators(self._strategies, whole, warmup_bars)
        self._ask: Ask | None = None
        self._terms = config.terms()
        self._true_range = average_true_range(whole, config, warmup_bars)
        self._equity = np.empty(bars.total)
        self._state = _initial_state(config)
        self._open_trades = np.zeros((config.max_open_trades, layout.OPEN_TRADE_SLOTS))
        self._closed_trades = np.empty(
            (max(_FIRST_CAPACITY, 2 * config.max_open_trades + 2), layout.CLOSED_TRADE_SLOTS)
        )
        self._place()
        self._closed = 0
        self._finished = False
        self._fingerprint: bytes | None = None  # made when it is first needed
        self.bar = 0
        self.total_bars = bars.total

    @classmethod
    def start(
        cls,
        bars: Bars,
        config: EngineConfig,
        strategies: Sequence[StrategyUse],
        seed: int = 0,
        warmup_bars: int = 0,
    ) -> Simulation:
        """A run before its first bar. Computes the strategies' signals; `bars` is kept, not copied.

        The first `warmup_bars` of `bars` lie before the run: indicators begin with them, nothing trades in them, and no
        figure, time or number of a bar counts them. `shared.strategies.warmup` says how many are of use.

        Raises `StrategyFailed` for `signals` that raise or return none, and for `indicators` of a strategy that
        decides, naming the strategy.
        """
        return cls(bars, config, strategies, seed, warmup_bars)

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
        """The question that is not answered yet, also of a run that was taken up in the middle of it."""
        return self._ask

    def answer(self, decisions: Mapping[str, object]) -> None:
        """What the strategies of the `ask` decided, by name: +1, -1, 0, None for no opinion, or a `Decision`.

        Raises `StrategyFailed` for an answer that is none of these; the ask still stands then.
        """
        if self._ask is None:
            raise RuntimeError("there is no ask to answer")
        self._voices.hear(decisions)
        self._ask = None

    def position(self, since_bar: int = 0) -> Position:
        """Where the run stands, to be taken up elsewhere. Copies nothing that can be computed again.

        With the decisions from bar `since_bar` on: who has kept the earlier ones joins them before it is resumed.
        """
        if self._finished:
            raise RuntimeError("a finished simulation has nothing to go on with")
        return Position(
            bar=self.bar,
            time_ms=self._time_ms(),
            total_bars=self.total_bars,
            decided_until=self._voices.next_ask,
            waiting=self._ask is not None,
            fold_version=FOLD_VERSION,
            engine_version=ENGINE_VERSION,
            digest=self._digest(),
            decisions=self._voices.decisions(since_bar),
        )

    @classmethod
    def resume(
        cls,
        position: Position,
        bars: Bars,
        config: EngineConfig,
        strategies: Sequence[StrategyUse],
        seed: int = 0,
        warmup_bars: int = 0,
    ) -> Simulation:
        """The run at that position: runs there again, feeding the decisions, so that none is asked for twice.

        Raises `PositionUnfit` where the position is damaged, of another version, or of another run or other bars.
        """
        versions = f"engine {ENGINE_VERSION}, fold {FOLD_VERSION}"
        if (theirs := f"engine {position.engine_version}, fold {position.fold_version}") != versions:
            raise PositionUnfit(f"the position is of {theirs}, this is {versions}")
        total = bars.total - warmup_bars
        if position.total_bars != total:
            raise PositionUnfit(f"the position's run ran over bars other than these {total}: {position.total_bars}")
        simulation = cls(bars, config, strategies, seed, warmup_bars)
        simulation._go_to(position)
        if simulation._time_ms() != position.time_ms or simulation._digest() != position.digest:
            raise PositionUnfit(
                f"run again, bar {position.bar} is reached in another state than the position's: it is damaged, or the "
                "run ran over bars, with a configuration or with strategies other than these"
            )
        return simulation

    def mark(self) -> Mark:
        """Where the run stands, to go back to with `rewind`."""
        open_trades = self._open_trades[: int(self._state[layout.OPEN_TRADES])].copy()
        return Mark(self.bar, self._closed, self._ask is not None, self._state.copy(), open_trades, self)

    def rewind(self, mark: Mark | None = None) -> None:
        """Goes to a mark of this simulation, or to the start: back, or forward again to where it has been.

        What was decided since stays decided: those bars are run again without asking.
        """
        if self._finished:
            raise RuntimeError("a finished simulation cannot go back")
        if mark is None:
            mark = Mark(0, 0, False, _initial_state(self._config), self._open_trades[:0], self)
        if mark.of is not self:
            raise RuntimeError("the mark is of another simulation")
        self._state[:] = mark.state
        self._open_trades[: mark.open_trades.shape[0]] = mark.open_trades
        self.bar, self._closed = mark.bar, mark.closed_trades
        unanswered = mark.waiting and self._voices.next_ask == mark.bar
        self._ask = self._make_ask(mark.bar) if unanswered else None

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
        if close_open_trades and self._opened_at_the_end():
            self._run_last_bar_again()
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
            result_hash=hash_result(trades, time_ms, equity, metrics, self._warmup_bars),
            engine_version=ENGINE_VERSION,
            warmup_bars=self._warmup_bars,
            mute=mute_among(self._strategies, self.total_bars, self._warmup_bars),
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
    def account(self) -> Account:
        """The figures as they stand now."""
        return Account(self._state.tobytes())

    @property
    def decided_until(self) -> int:
        """The next bar at which a strategy is asked, the number of bars where none is."""
        return self._voices.next_ask

    def decisions(self, since_bar: int = 0) -> Decisions:
        """Every decision at bar `since_bar` and later that was an opinion."""
        return self._voices.decisions(since_bar)

    def open_trades(self) -> list[OpenTrade]:
        return read_open_trades(self._open_trades[: int(self._state[layout.OPEN_TRADES])])

    def equity(self, first_bar: int, until_bar: int) -> NDArray[np.float64]:
        return self._equity[first_bar:until_bar]

    def closed_rows(self, first: int, until: int) -> NDArray[np.float64]:
        """Closed trades `first` to `until` (exclusive), as the kernel wrote them."""
        return self._closed_trades[first:until]

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

    def _opened_at_the_end(self) -> bool:
        """Whether a trade opened at the very close at which the run ends: one that closes there, too, never was."""
        newest = int(self._state[layout.OPEN_TRADES]) - 1
        at_close = self._terms[layout.FILL_AT_CLOSE] != 0.0
        return bool(newest >= 0 and at_close and self._open_trades[newest, layout.ENTRY_BAR] == self.bar - 1)

    def _run_last_bar_again(self) -> None:
        """With its order closing what it closes and opening nothing. No state of before is kept: all bars are run."""
        last = self.bar - 1
        self._state[:] = _initial_state(self._config)
        self._terms[layout.OPENS_BEFORE_BAR] = last
        self.bar = self._closed = 0
        self.bar, self._closed = self._run(last + 1)

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
        closed = int(self._state[layout.CLOSED_TRADES])
        self._state[:], self._open_trades[:rows], signals[bar] = state, open_trades, said
        config, views = self._config, list[View]()
        terms = (config.initial_capital, config.leverage, config.allow_short)
        for i in self._voices.due:
            use, past = self._strategies[i], Hindsight(self, self._voices, i, bar, closed)
            indicators = self.indicators.until(i, bar + 1)
            account = (cash, equity, shown, self._seed, past)
            views.append(View(use.name, bar, bars, use.params, *account, indicators, *terms))
        return Ask(bar, int(self._bars.time_ms[bar]), tuple(views))

    def _go_to(self, position: Position) -> None:
        """Runs a simulation that has just begun to that position."""
        if not 0 <= position.bar <= min(position.decided_until, self.total_bars) or (
            position.waiting and not position.bar == position.decided_until < self.total_bars
        ):
            raise PositionUnfit(f"the position is damaged: bar {position.bar}, decided until {position.decided_until}")
        self._voices.recall(position.decisions, position.decided_until)
        self._place()
        self.bar, self._closed = self._run(position.bar)
        if position.waiting:
            self._ask = self._make_ask(self.bar)

    def _digest(self) -> str:
        """Of all that the run's future depends on, apart from the bars to come."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self._bars, self._config, self._strategies, self._seed, self._warmup_bars)
        digest = hashlib.sha256(self._fingerprint)
        digest.update(struct.pack("<qq?", self.bar, self._voices.next_ask, self._ask is not None))
        digest.update(self._state.astype("<f8").tobytes())
        digest.update(self._open_trades[: int(self._state[layout.OPEN_TRADES])].astype("<f8").tobytes())
        digest.update(self._voices.decided_digest())
        return f"sha256:{digest.hexdigest()}"

    def _time_ms(self) -> int:
        return int(self._bars.time_ms[max(self.bar - 1, 0)]) if self.total_bars else 0

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
            self._voices.numbers,
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
        bar, price = self._last_fill()
        arrays = (self._state, self._terms, self._open_trades, self._closed_trades)
        close_all_nb(*arrays, bar, price, int(reason))
        self._closed = int(self._state[layout.CLOSED_TRADES])
        self._equity[self.bar - 1] = self._state[layout.EQUITY] = self._state[layout.CASH]

    def _last_fill(self) -> tuple[int, float]:
        """The bar and the price at which trades close that are open at the end: the last close, with one exception.

        backtesting.py closes by orders for the bar after the last, which it fills in the last bar instead.
        """
        last = self.bar - 1
        if self._config.profile != "backtesting.py" or self.bar < self.total_bars:
            return last, float(self._bars.close[last])
        if self._config.fill_at == "open":
            return last, float(self._bars.open[last])
        return last - 1, float(self._bars.close[last - 1])

    def _measure(self, trades: Trades) -> Metrics:
        return measure(
            Course(
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
                periods_per_year=self._config.periods_per_year or None,
            )
        )


def _initial_state(config: EngineConfig) -> NDArray[np.float64]:
    state = np.zeros(layout.STATE_SLOTS)
    state[layout.CASH] = state[layout.EQUITY] = state[layout.PEAK_EQUITY] = config.initial_capital
    state[layout.PENDING] = NO_OPINION
    state[layout.TRIGGER_BELOW] = -np.inf
    state[layout.TRIGGER_ABOVE] = np.inf
    return state
