"""The loop of an engine process: a command in, a reply out, until the pipe is closed."""

from __future__ import annotations

import logging
import pickle
import resource
import sys
import time
from contextlib import suppress
from typing import IO

from shared.bars import Bars
from shared.candles import open_bars
from shared.errors import BackfleetError, EngineFault
from shared.request import BacktestParams
from shared.strategies import resolve
from shared.strategies.causality import refuse_peeking
from shared.wire import validate
from worker.engine import EngineConfig, Simulation, play
from worker.pipe import HEADER_BYTES, Command, Finished, Load, Moved, Raised, Reply, frame

log = logging.getLogger(__name__)

# A step in which strategies decide ends with the first decision after this long: far below every stall limit that
# makes sense, and long beside a step without decisions. One decision may take as long as the stall limit allows.
_DECIDING_S = 0.25


class Run:
    """One backtest on its way through the engine. An engine process has one at a time, `backfleet run` its only one."""

    def __init__(self, params: BacktestParams, bars: Bars) -> None:
        """Raises `InvalidRequest` for what the params say of strategies, and `StrategyPeeks` where that is asked."""
        uses = resolve(params.strategies, params.strategy_params)
        self._bars = bars
        self._simulation = Simulation.start(self._bars, EngineConfig.from_params(params), uses, params.seed)
        if params.check_causality:
            refuse_peeking(uses, self._bars, params.seed)

    def advance(self, until_bar: int) -> Moved | Finished:
        """Goes on to just before bar `until_bar`; at the last bar, ends and measures the run.

        Less far where strategies take long to decide, so that the run is seen to live.
        """
        enough_at_s = time.monotonic() + _DECIDING_S
        delta = play(self._simulation, until_bar, enough=lambda: time.monotonic() >= enough_at_s)
        time_ms = int(self._bars.time_ms[delta.bar - 1])
        moved = Moved(delta.bar, self._simulation.total_bars, time_ms, delta.equity, delta.total_trades)
        if moved.bar < moved.total_bars:
            return moved
        outcome = self._simulation.finish()
        return Finished(moved, outcome, _peak_mib())


def serve(commands: IO[bytes], replies: IO[bytes]) -> None:
    run: Run | None = None
    while (command := _read(commands)) is not None:
        try:
            if isinstance(command, Load):
                run = None  # Frees the last run's arrays before the next run's are made.
                run = Run(validate(BacktestParams, command.params), open_bars(command.bar_files))
                reply: Reply = run.advance(command.until_bar)
            elif run is None:
                reply = Raised("engine_protocol", "no backtest is loaded", ())
            else:
                reply = run.advance(command.until_bar)
        except BackfleetError as error:
            reply = Raised(error.code, error.message, error.errors)
        except Exception as error:  # What strategies raise is named as theirs; this is ours. It ends no process either.
            log.exception("a fault of the engine")
            reply = Raised(EngineFault.code, EngineFault.of(error).message, ())
        replies.write(frame(reply))
        replies.flush()


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
