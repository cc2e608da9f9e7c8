"""The loop of an engine process: a command in, a reply out, until the pipe is closed."""

from __future__ import annotations

import logging
import pickle
import resource
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import IO, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars
from shared.candles import open_bars, take_bars
from shared.errors import BackfleetError
from shared.findings import plot_rows
from shared.request import BacktestParams
from shared.strategies import StrategyUse, resolve
from shared.strategies.causality import refuse_peeking
from shared.strategies.decision import Decision
from shared.strategies.strategy import Columns
from shared.strategies.warmup import warmup_bars
from shared.wire import validate
from worker.engine.config import EngineConfig
from worker.engine.deciding import hear, inquires, play, questions
from worker.engine.delta import Account
from worker.engine.faults import EngineFault
from worker.engine.position import Mark, Position
from worker.engine.simulation import Simulation
from worker.log_lines import LogLines
from worker.pipe import (
    HEADER_BYTES,
    NOTHING,
    Advance,
    Answer,
    Busy,
    Command,
    Drop,
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
    Select,
    Signalled,
    Wanted,
    Whole,
    frame,
)

log = logging.getLogger(__name__)

OnStep = Callable[[str], None]
T = TypeVar("T")

# A step in which strategies decide ends with the first decision after this long: far below every stall limit that
# makes sense, and long beside a step without decisions. One decision may take as long as the stall limit allows.
_DECIDING_S = 0.25
# Most of one answer's news. The last equity points may be more: they are all that who watches a short run gets to draw.
_POINTS_MAX = 250
_LAST_POINTS_MAX = 1_000
# A run of no more bars than that tells every point: whoever draws it has what is stored, as its result has it all, too.
_EXACT_BARS_MAX = 2_000
_TRADES_MAX = 5_000
_SIGNALS_MAX = 200
_CANDLES_MAX = 200
_WHOLE_POINTS_MAX = 2_000
_WHOLE_SIGNALS_MAX = 20
# From one to the next it takes a run of a million bars a fraction of a millisecond.
_MARKS_MAX = 64
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
        self.lines = lines or LogLines()
        self._marks: list[Mark] = []
        self._marked_until = self._bars_between_marks = self._bars.total // _MARKS_MAX
        self._told = _Told()
        self._shown: Columns | None = None
        self._decided_in_positions = position.decided_until if position is not None else 0

    def advance(self, until_bar: int, wanted: Wanted = NOTHING, *, with_position: bool = False) -> Moved | Finished:
        """Goes on to just before bar `until_bar`; at the last bar, ends and measures the run.

        Less far where strategies take long to decide, so that the run is seen to live.
        """
        if not self._inquires:
            enough_at_s = time.monotonic() + min(wanted.within_s, _DECIDING_S)
            play(self._simulation, until_bar, enough=lambda: time.monotonic() >= enough_at_s)
            self._mark()
        account = self._simulation.account
        if self._simulation.bar < self._simulation.total_bars:
            moved = self._moved(account, wanted, with_position)
            return moved._replace(questions=questions(self._simulation)) if self._inquires else moved
        outcome = self._simulation.finish()
        return Finished(self._moved(account, wanted, False, ended=True), outcome, _peak_mib())

    def answer(self, decisions: Mapping[str, Decision], until_bar: int, wanted: Wanted = NOTHING) -> Moved | Finished:
        """Takes what its questions came to, and goes on as `advance` does.

        Of a question that was answered before, or that nobody asks any more, nothing is taken.
        """
        if self._inquires:
            hear(self._simulation, decisions)
        return self.advance(until_bar, wanted)

    @property
    def _inquires(self) -> bool:
        ask = self._simulation.ask
        return ask is not None and inquires(self._simulation, ask)

    def rewind(self, bar: int, wanted: Wanted = NOTHING, *, with_position: bool = False) -> Moved:
        """Goes back to just before bar `bar`, from the nearest mark before it, else from the start."""
        bar = max(min(bar, self._simulation.bar), 0)
        if bar < self._simulation.bar:
            self._simulation.rewind(max((one for one in self._marks if one.bar <= bar), key=_bar_of, default=None))
            self._simulation.advance(bar)
        account = self._simulation.account
        self._told.go_back(bar, account.total_trades)
        return self._moved(account, wanted, with_position)

    def finish(self, close_open_trades: bool, wanted: Wanted = NOTHING) -> Finished:
        """Ends and measures the run where it is, as if there were no further bars."""
        account = self._simulation.account
        outcome = self._simulation.finish(close_open_trades)
        return Finished(self._moved(account, wanted, False, ended=True), outcome, _peak_mib())

    def _mark(self) -> None:
        """A mark now, if the last one is far enough behind: so there are never more than `_MARKS_MAX` of them."""
        if self._simulation.bar > self._marked_until:
            self._marks.append(self._simulation.mark())
            self._marked_until = self._simulation.bar + self._bars_between_marks

    def _moved(self, account: Account, wanted: Wanted, with_position: bool, *, ended: bool = False) -> Moved:
        bar, total = self._simulation.bar, self._simulation.total_bars
        time_ms = int(self._bars.time_ms[max(bar - 1, 0)])
        news = self._news(wanted, ended) if wanted.news else None
        position = None
        if with_position:
            position = self._simulation.position(self._decided_in_positions)
            self._decided_in_positions = position.decided_until
        lines = self.lines.take()
        return Moved(bar, total, time_ms, account.equity, account.total_trades, news, position, *lines)

    def _news(self, wanted: Wanted, ended: bool) -> News:
        run, told, account = self._simulation, self._told, self._simulation.account
        first_trade = max(told.trades, account.total_trades - _TRADES_MAX)
        open_trades = run.open_trades()
        signals, signals_skipped = self._signals(told.bar, _SIGNALS_MAX)
        first_point = min(told.bar, run.bar - 1) if ended else told.bar
        time_ms, equity, thinned = self._points(first_point, _LAST_POINTS_MAX if ended else _POINTS_MAX)
        candles = slice(max(told.bar, run.bar - _CANDLES_MAX), run.bar)
        news = News(
            first_bar=told.bar,
            first_trade=first_trade,
            trades=run.trades(first_trade, account.total_trades),
            trades_skipped=first_trade - told.trades,
            open_trades=open_trades,
            open_since_ms=self._bars.time_ms[[one.entry_bar for one in open_trades]].tolist() if open_trades else [],
            signals=signals,
            signals_skipped=signals_skipped,
            time_ms=time_ms,
            equity=equity,
            thinned=thinned,
            close=float(self._bars.close[max(run.bar - 1, 0)]),
            peak_equity=account.peak_equity,
            cash=account.cash,
            realised_pnl=account.realised_pnl,
            trades_won=account.winning_trades,
            trades_lost=account.losing_trades,
            decisions=run.decisions(told.decided_until),
            candles=take_bars(self._bars, candles) if wanted.candles else None,
            indicators=self._indicators(candles) if wanted.candles else {},
            whole=self._whole() if wanted.whole else None,
        )
        self._told = _Told(run.bar, account.total_trades, run.decided_until)
        return news

    def _indicators(self, at: slice) -> Columns:
        """Of these bars. Computed when they are first wanted; what is not shown is logged then."""
        if self._shown is None:
            self._shown, problems = self._simulation.indicators.shown()
            for problem in problems:
                log.warning("%s", problem)
        return {name: column[at] for name, column in self._shown.items()}

    def _whole(self) -> Whole:
        run, total = self._simulation, self._simulation.account.total_trades
        time_ms, equity, thinned = self._points(0, _WHOLE_POINTS_MAX)
        skipped = max(0, total - _TRADES_MAX)
        return Whole(
            time_ms=time_ms,
            equity=equity,
            thinned=thinned,
            trades=run.trades(skipped, total),
            trades_skipped=skipped,
            signals=self._signals(0, _WHOLE_SIGNALS_MAX)[0],
        )

    def _points(self, first_bar: int, most: int) -> tuple[NDArray[np.int64], NDArray[np.float64], bool]:
        """The equity of the bars from there on, thinned to so many points: their times, they, and whether."""
        bar = self._simulation.bar
        time_ms, equity = self._bars.time_ms[first_bar:bar], self._simulation.equity(first_bar, bar)
        if len(equity) <= most or self._simulation.total_bars <= _EXACT_BARS_MAX:
            return time_ms, equity, False
        rows = plot_rows(equity, most)
        return time_ms[rows], equity[rows], True

    def _signals(self, first_bar: int, most: int) -> tuple[Signalled, int]:
        """The latest signals of the bars from there on, and how many there were before these."""
        bars, signals = self._simulation.opinions(first_bar, self._simulation.bar)
        latest = bars[-most:]
        return Signalled(latest, self._bars.time_ms[latest], signals[-most:]), len(bars) - len(latest)


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
    """The same strategy, which says when it computes: once for the run, and for each cut of a check."""
    signals, indicators = use.strategy.signals, use.strategy.indicators
    if signals is not None:
        use = replace(use, strategy=replace(use.strategy, signals=_announcing(signals, "signals", use.name, on_step)))
    if indicators is not None:
        announcing = _announcing(indicators, "indicators", use.name, on_step)
        use = replace(use, strategy=replace(use.strategy, indicators=announcing))
    return use


def _announcing(compute: Callable[[Bars, Any], T], what: str, of: str, on_step: OnStep) -> Callable[[Bars, Any], T]:
    def announced(bars: Bars, params: Any) -> T:
        on_step(f"Computing {what} of {of}")
        return compute(bars, params)

    return announced


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
    runs: dict[int, Run] = {}
    selected = 0
    signs = _Signs(replies)
    while (command := _read(commands)) is not None:
        if isinstance(command, Select):
            selected = command.run
            continue
        if isinstance(command, Drop):
            runs.pop(command.run, None)
            continue
        signs.last_s = time.monotonic()
        if isinstance(command, Load):
            runs.pop(selected, None)  # Frees the last run's arrays before the next run's are made.
        run = runs.get(selected)
        lines = LogLines() if run is None else run.lines
        try:
            if isinstance(command, LookBack):
                reply = _look_back(command)
            else:
                with lines.listening():
                    if isinstance(command, Load):
                        run = runs[selected] = _begin(command, lines, signs)
                    reply = _step(run, command)
        except BackfleetError as error:
            reply = Raised(error.code, error.message, error.errors, *lines.take())
        except Exception as error:  # What strategies raise is named as theirs; this is ours. It ends no process either.
            log.exception("a fault of the engine")
            reply = Raised(EngineFault.code, EngineFault.of(error).message, (), *lines.take())
        if not isinstance(reply, Moved):
            runs.pop(selected, None)
        run = None
        replies.write(frame(reply))
        replies.flush()


def _look_back(command: LookBack) -> LookedBack:
    params = validate(BacktestParams, command.params)
    return LookedBack(warmup_bars(params, resolve(params.strategies, params.strategy_params)))


def _begin(command: Load, lines: LogLines, signs: _Signs) -> Run:
    params, bars = validate(BacktestParams, command.params), open_bars(command.bar_files)
    run = Run(params, bars, command.warmup_bars, command.position, lines, signs.give)
    if command.position is not None:
        lines.begin_run()  # What is said as signals are computed was said when they were first.
    return run


def _step(run: Run | None, command: Load | Advance | Answer | Rewind | Finish) -> Reply:
    if run is None:
        return Raised("engine_protocol", "no backtest is loaded", ())
    if isinstance(command, Answer):
        return run.answer(command.decisions, command.until_bar, command.wanted)
    if isinstance(command, Rewind):
        return run.rewind(command.bar, command.wanted, with_position=command.with_position)
    if isinstance(command, Finish):
        return run.finish(command.close_open_trades, command.wanted)
    return run.advance(command.until_bar, command.wanted, with_position=command.with_position)


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
