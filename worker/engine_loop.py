"""The loop of an engine process: a command in, a reply out, until the pipe is closed."""

from __future__ import annotations

import logging
import pickle
import resource
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from typing import IO, Any

from shared.bars import Bars
from shared.candles import open_bars
from shared.errors import BackfleetError
from shared.request import BacktestParams
from shared.strategies import StrategyUse, resolve
from shared.strategies.causality import refuse_peeking
from shared.strategies.signals import Signals
from shared.strategies.warmup import warmup_bars
from shared.wire import validate
from worker.engine.config import EngineConfig
from worker.engine.deciding import play
from worker.engine.delta import Delta
from worker.engine.faults import EngineFault
from worker.engine.position import Mark, Position
from worker.engine.simulation import Simulation
from worker.log_lines import LogLines
from worker.pipe import (
    HEADER_BYTES,
    Advance,
    Busy,
    Command,
    Finish,
    Finished,
    Load,
    LookBack,
    LookedBack,
    Moved,
    News,
    Raised,
    Reply,
    Rewind,
    frame,
)

log = logging.getLogger(__name__)

OnStep = Callable[[str], None]

# A step in which strategies decide ends with the first decision after this long: far below every stall limit that
# makes sense, and long beside a step without decisions. One decision may take as long as the stall limit allows.
_DECIDING_S = 0.25
# From one to the next it takes a run of a million bars a fraction of a millisecond.
_MARKS_MAX = 64
_DEAF = nullcontext()
# A command that takes longer gives a sign now and then, whenever it comes to its next step.
_SIGN_S = 0.25


class Run:
    """One backtest on its way through the engine. An engine process has one at a time, `backfleet run` its only one."""

    def __init__(
        self,
        params: BacktestParams,
        bars: Bars,
        warmup_bars: int = 0,
        position: Position | None = None,
        lines: LogLines | None = None,
        on_step: OnStep | None = None,
    ) -> None:
        """Before the first bar, or at `position`. The first `warmup_bars` of `bars` lie before the run.

        `on_step` hears of each step of what takes long before the first bar.
        Raises `InvalidRequest` for what the params say of strategies, `StrategyFailed` for signals that fail,
        `StrategyPeeks` where that is asked, and `PositionUnfit`.
        """
        uses = resolve(params.strategies, params.strategy_params)
        if on_step is not None:
            uses = [_announced(use, on_step) for use in uses]
        config = EngineConfig.from_params(params)
        self._bars = bars.after(warmup_bars)
        if position is None:
            self._simulation = Simulation.start(bars, config, uses, params.seed, warmup_bars)
        else:
            self._simulation = Simulation.resume(position, bars, config, uses, params.seed, warmup_bars)
        if params.check_causality:
            refuse_peeking(uses, self._bars, params.seed)
        self._lines = lines or LogLines()
        self._marks: list[Mark] = []
        self._marked_until = self._bars_between_marks = self._bars.total // _MARKS_MAX
        self._told = _Told()
        self._decided_in_positions = position.decided_until if position is not None else 0

    def advance(self, until_bar: int, *, with_news: bool = False, with_position: bool = False) -> Moved | Finished:
        """Goes on to just before bar `until_bar`; at the last bar, ends and measures the run.

        Less far where strategies take long to decide, so that the run is seen to live.
        """
        enough_at_s = time.monotonic() + _DECIDING_S
        delta = play(self._simulation, until_bar, enough=lambda: time.monotonic() >= enough_at_s)
        self._mark()
        if delta.bar < self._simulation.total_bars:
            return self._moved(delta, with_news, with_position)
        moved = self._moved(delta, False, False)
        outcome = self._simulation.finish()
        if with_news:
            moved = moved._replace(news=self._news())
        return Finished(moved, outcome, _peak_mib())

    def rewind(self, bar: int, *, with_news: bool = False, with_position: bool = False) -> Moved:
        """Goes back to just before bar `bar`, from the nearest mark before it, else from the start."""
        bar = max(min(bar, self._simulation.bar), 0)
        if bar < self._simulation.bar:
            self._simulation.rewind(max((one for one in self._marks if one.bar <= bar), key=_bar_of, default=None))
        delta = self._simulation.advance(bar)
        self._told.go_back(bar, delta.total_trades)
        return self._moved(delta, with_news, with_position)

    def finish(self, close_open_trades: bool, *, with_news: bool = False) -> Finished:
        """Ends and measures the run where it is, as if there were no further bars."""
        bar, account = self._simulation.bar, self._simulation.account
        time_ms = int(self._bars.time_ms[max(bar - 1, 0)])
        outcome = self._simulation.finish(close_open_trades)
        news = self._news() if with_news else None
        last = Moved(bar, self._simulation.total_bars, time_ms, account.equity, account.total_trades, news)
        return Finished(last, outcome, _peak_mib())

    def _mark(self) -> None:
        """A mark now, if the last one is far enough behind: so there are never more than `_MARKS_MAX` of them."""
        if self._simulation.bar > self._marked_until:
            self._marks.append(self._simulation.mark())
            self._marked_until = self._simulation.bar + self._bars_between_marks

    def _moved(self, delta: Delta, with_news: bool, with_position: bool) -> Moved:
        time_ms = int(self._bars.time_ms[max(delta.bar - 1, 0)])
        news = self._news() if with_news else None
        position = None
        if with_position:
            position = self._simulation.position(self._decided_in_positions)
            self._decided_in_positions = position.decided_until
        total = self._simulation.total_bars
        return Moved(delta.bar, total, time_ms, delta.equity, delta.total_trades, news, position)

    def _news(self) -> News:
        run, told, account = self._simulation, self._told, self._simulation.account
        signal_bars, signals = run.opinions(told.bar, run.bar)
        logs, logs_dropped = self._lines.take()
        news = News(
            first_bar=told.bar,
            first_trade=told.trades,
            trades=run.trades(told.trades, account.total_trades),
            open_trades=run.open_trades(),
            signal_bars=signal_bars,
            signals=signals,
            time_ms=self._bars.time_ms[told.bar : run.bar],
            equity=run.equity(told.bar, run.bar),
            peak_equity=account.peak_equity,
            cash=account.cash,
            realised_pnl=account.realised_pnl,
            trades_won=account.winning_trades,
            trades_lost=account.losing_trades,
            decisions=run.decisions(told.decided_until),
            logs=logs,
            logs_dropped=logs_dropped,
        )
        self._told = _Told(run.bar, account.total_trades, run.decided_until)
        return news


@dataclass(slots=True)
class _Told:
    """How far the news have come."""

    bar: int = 0
    trades: int = 0
    decided_until: int = 0

    def go_back(self, bar: int, trades: int) -> None:
        """What comes after that is news again. A decision is not: it is still the same."""
        self.bar, self.trades = min(self.bar, bar), min(self.trades, trades)


def _announced(use: StrategyUse, on_step: OnStep) -> StrategyUse:
    """The same strategy, which says when its signals are computed: once for the run, and for each cut of a check."""
    signals = use.strategy.signals
    if signals is None:
        return use

    def announced(bars: Bars, params: Any) -> Signals:
        on_step(f"Computing signals of {use.name}")
        return signals(bars, params)

    return replace(use, strategy=replace(use.strategy, signals=announced))


class _Signs:
    """Signs of life on the pipe, as seldom as they are needed."""

    def __init__(self, replies: IO[bytes]) -> None:
        self._replies = replies
        self.last_s = time.monotonic()

    def give(self, doing: str) -> None:
        now_s = time.monotonic()
        if now_s - self.last_s >= _SIGN_S:
            self.last_s = now_s
            self._replies.write(frame(Busy(doing)))
            self._replies.flush()


def _bar_of(mark: Mark) -> int:
    return mark.bar


def serve(commands: IO[bytes], replies: IO[bytes]) -> None:
    run: Run | None = None
    lines = LogLines()
    signs = _Signs(replies)
    while (command := _read(commands)) is not None:
        signs.last_s = time.monotonic()
        try:
            if isinstance(command, LookBack):
                reply = _look_back(command)
            else:
                with lines.listening() if command.with_news else _DEAF:
                    if isinstance(command, Load):
                        run = None  # Frees the last run's arrays before the next run's are made.
                        lines.take()
                        run = _begin(command, lines, signs)
                    reply = _step(run, command)
        except BackfleetError as error:
            reply = Raised(error.code, error.message, error.errors, lines.take()[0])
        except Exception as error:  # What strategies raise is named as theirs; this is ours. It ends no process either.
            log.exception("a fault of the engine")
            reply = Raised(EngineFault.code, EngineFault.of(error).message, (), lines.take()[0])
        if not isinstance(reply, Moved):
            run = None
        replies.write(frame(reply))
        replies.flush()


def _look_back(command: LookBack) -> LookedBack:
    params = validate(BacktestParams, command.params)
    return LookedBack(warmup_bars(params, resolve(params.strategies, params.strategy_params)))


def _begin(command: Load, lines: LogLines, signs: _Signs) -> Run:
    params, bars = validate(BacktestParams, command.params), open_bars(command.bar_files)
    return Run(params, bars, command.warmup_bars, command.position, lines, signs.give)


def _step(run: Run | None, command: Load | Advance | Rewind | Finish) -> Reply:
    if run is None:
        return Raised("engine_protocol", "no backtest is loaded", ())
    if isinstance(command, Rewind):
        return run.rewind(command.bar, with_news=command.with_news, with_position=command.with_position)
    if isinstance(command, Finish):
        return run.finish(command.close_open_trades, with_news=command.with_news)
    return run.advance(command.until_bar, with_news=command.with_news, with_position=command.with_position)


def _peak_mib() -> int:
    """The most memory this process has held, in MiB. Linux's `ru_maxrss` would count what its parent held before it."""
    with suppress(OSError, StopIteration), open("/proc/self/status", encoding="ascii") as status:
        return int(next(line for line in status if line.startswith("VmHWM:")).split()[1]) // 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024 if sys.platform != "darwin" else 1024 * 1024)


def _read(commands: IO[bytes]) -> Command | None:
    header = commands.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        return None
    return pickle.loads(commands.read(int.from_bytes(header, "little")))
