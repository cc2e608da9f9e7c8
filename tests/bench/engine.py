"""The engine beside other engines, beside one pass of NumPy, and as a process: time and memory.

On a million made-up minutes and on the real minutes of a year, where that file is there. Every peer runs on the same
bars with the same trades, which is checked before a row is made of it; slow ones run on the first of them only and are
compared bar by bar.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from shared.bars import Bars
from shared.candles import BarFiles
from shared.candles.files.parsing import read_files
from shared.reading import Reading
from shared.strategies import StrategyUse, resolve
from tests.bench import processes
from tests.bench.peers import (
    BACKTESTING_PY,
    BACKTRADER,
    NAUTILUS,
    NAUTILUS_PYTHON,
    VECTORBT,
    VECTORBT_WITH_FIGURES,
    WITH_STOPS,
    Peer,
    Signals,
    Theirs,
    best_of,
    run_vectorbt_with_figures,
)
from tests.bench.rows import Row, measured
from tests.conftest import MARKET_DATA_DIR
from tests.engine.markets import random_walk, scripted
from worker.engine.config import EngineConfig
from worker.engine.delta import Outcome
from worker.engine.hashing import hash_result
from worker.engine.metrics import Course
from worker.engine.metrics import measure as measure_course
from worker.engine.simulation import Simulation
from worker.engine.warming import warm
from worker.engine_loop import serve
from worker.pipe import NOTHING, Advance, Load, Wanted, frame

BARS = 1_000_000
MINUTE_MS = 60_000
CHUNK_BARS = 1_000
REPEATS = 9
REAL_FILE = MARKET_DATA_DIR / "bitfinex" / "BTCUSD-1m-2015.csv.gz"
STRATEGY: dict[str, dict[str, Any]] = {"sma_crossover": {"fast": 10, "slow": 30}}


def synthetic_bars() -> Bars:
    return random_walk(BARS, 1, volatility=0.0005, step_ms=MINUTE_MS)


def real_bars() -> Bars:
    return read_files([REAL_FILE], Reading(allow_gaps=True))[0].bars


def crossover() -> list[StrategyUse]:
    return resolve(list(STRATEGY), STRATEGY)


def started_and_advanced(bars: Bars, config: EngineConfig, uses: list[StrategyUse]) -> Simulation:
    simulation = Simulation.start(bars, config, uses)
    simulation.advance(bars.total)
    return simulation


def finished(bars: Bars, config: EngineConfig, uses: list[StrategyUse]) -> Outcome:
    return started_and_advanced(bars, config, uses).finish()


def finished_in_steps(bars: Bars, config: EngineConfig, uses: list[StrategyUse]) -> Outcome:
    simulation = Simulation.start(bars, config, uses)
    for until_bar in range(CHUNK_BARS, bars.total + CHUNK_BARS, CHUNK_BARS):
        simulation.advance(until_bar)
    return simulation.finish()


def check_parity(peer: Peer, bars: Bars, signals: Signals, theirs: Theirs) -> None:
    """Raises `RuntimeError` unless our run on the same bars has their number of trades and their final equity."""
    simulation = started_and_advanced(bars, peer.config, [scripted(signals)])
    ours = simulation.finish(close_open_trades=False)
    equity = float(ours.equity[-1])
    if ours.trades.total != theirs.trades or abs(equity / theirs.final_equity - 1.0) > peer.tolerance:
        raise RuntimeError(
            f"{peer.name} does not trade as we do, so their times mean nothing: {theirs.trades} trades and "
            f"{theirs.final_equity!r} at the end, ours {ours.trades.total} and {equity!r}"
        )


def beside(peer: Peer, what: str, aim: float, bars: Bars, signals: Signals, on: str) -> Row:
    """Millions of bars a second. Ours runs on all bars: with figures where the peer's run has them."""
    few = bars.first(min(peer.bars_max, bars.total))
    theirs = peer.run(few, signals[: few.total], peer.config)
    check_parity(peer, few, signals[: few.total], theirs)
    work = finished if peer.run is run_vectorbt_with_figures else started_and_advanced
    took_s, _ = best_of(REPEATS, lambda: work(bars, peer.config, [scripted(signals)]))
    if few.total < bars.total:
        on = f"{on}, the peer on {few.total:,}"
    return measured(
        f"engine.{what}.vs.{peer.name}",
        ours=bars.total / took_s / 1e6,
        peer=few.total / theirs.took_s / 1e6,
        unit="M bars/s",
        aim=aim,
        better="higher",
        on=on,
    )


def beside_peers(bars: Bars, on: str, prefix: str) -> Iterator[Row]:
    signals = crossover()[0].signals(bars)
    yield beside(VECTORBT, f"{prefix}run", 5, bars, signals, on)
    yield beside(VECTORBT_WITH_FIGURES, f"{prefix}run_and_figures", 10, bars, signals, on)
    yield beside(BACKTESTING_PY, f"{prefix}run", 400, bars, signals, on)
    yield beside(BACKTRADER, f"{prefix}run", 3_000, bars, signals, on)
    if NAUTILUS_PYTHON.exists():
        yield beside(NAUTILUS, f"{prefix}run", 3_000, bars, signals, on)
    else:
        print("nautilus_trader is left out: `make .venv-nautilus/.ready` makes its environment")


def advance_s(bars: Bars, signals: Signals, step: int) -> float:
    """Seconds of `advance` alone, in steps of so many bars."""
    simulation = Simulation.start(bars, WITH_STOPS, [scripted(signals)])
    began = time.perf_counter()
    for until_bar in range(step, bars.total + step, step):
        simulation.advance(until_bar)
    return time.perf_counter() - began


def numpy_pass_s(bars: Bars, signals: Signals, out: np.ndarray) -> float:
    """Seconds for (open + high + low + close) x signal: five columns read, one written that is there already.

    NumPy cannot fuse the four operations; done block by block, what one leaves is still in the cache for the next,
    which is the nearest it comes to reading every column once.
    """
    block = 8_192
    began = time.perf_counter()
    for first in range(0, bars.total, block):
        part = slice(first, first + block)
        sums = out[part]
        np.add(bars.open[part], bars.high[part], out=sums)
        np.add(sums, bars.low[part], out=sums)
        np.add(sums, bars.close[part], out=sums)
        np.multiply(sums, signals[part], out=sums)
    return time.perf_counter() - began


def kernel_rows(bars: Bars, signals: Signals, on: str) -> Iterator[Row]:
    out = np.zeros(bars.total)
    whole, chunks, passes = [], [], []
    for _ in range(2 * REPEATS):  # in turn, so that a busy moment of the machine meets all three
        whole.append(advance_s(bars, signals, bars.total))
        chunks.append(advance_s(bars, signals, CHUNK_BARS))
        passes.append(numpy_pass_s(bars, signals, out))
    kernel_ms, chunked_ms, pass_ms = (1_000 * min(took) for took in (whole, chunks, passes))
    yield measured("engine.kernel.vs.numpy_pass", ours=kernel_ms, peer=pass_ms, unit="ms", aim=4, better="lower", on=on)
    yield measured(
        "engine.chunks_of_1000.vs.one", ours=chunked_ms, peer=kernel_ms, unit="ms", aim=1.1, better="lower", on=on
    )


def job_rows(bars: Bars, signals: Signals, on: str) -> Iterator[Row]:
    """The whole job, from bars to hash, and its parts one by one."""
    config = WITH_STOPS
    took_s, outcome = best_of(REPEATS, lambda: finished(bars, config, crossover()))
    rate = bars.total / took_s / 1e6
    step_s, _ = best_of(REPEATS, lambda: finished_in_steps(bars, config, crossover()))
    yield measured(
        "engine.job.chunks_of_1000.vs.one",
        ours=1_000 * step_s,
        peer=1_000 * took_s,
        unit="ms",
        aim=1.1,
        better="lower",
        on=on,
    )
    yield measured("engine.job.rate", ours=rate, unit="M bars/s", aim=25, better="higher", on=on)
    simulation = started_and_advanced(bars, config, [scripted(signals)])
    trades, metrics = outcome.trades, outcome.metrics
    course = Course(
        time_ms=bars.time_ms,
        close=bars.close,
        equity=outcome.equity,
        initial_capital=config.initial_capital,
        trades=trades,
        total_fees=0.0,
        bars_exposed=0,
        bars_ambiguous=0,
        orders_unfilled=0,
    )
    parts = {
        "signals": lambda: crossover()[0].signals(bars),
        "kernel": lambda: started_and_advanced(bars, config, [scripted(signals)]),
        "trades": lambda: simulation.trades(0, trades.total),
        "metrics": lambda: measure_course(course),
        "hash": lambda: hash_result(trades, outcome.time_ms, outcome.equity, metrics, 0),
    }
    for name, part in parts.items():
        part_s, _ = best_of(REPEATS, part)
        yield measured(f"engine.job.part.{name}", ours=1_000 * part_s, unit="ms", better="lower", on=on)


class Replies(io.BytesIO):
    """Where an engine process answers; knows when it first did, which is when its backtest was loaded."""

    loaded_at_s = 0.0

    def write(self, data: Any) -> int:
        self.loaded_at_s = self.loaded_at_s or time.perf_counter()
        return len(data)


def step_ms(files: BarFiles, wanted: Wanted, *, with_position: bool = False) -> float:
    """Milliseconds of one step of `CHUNK_BARS` in an engine process, from a command's frame to that of its reply."""
    ends = range(CHUNK_BARS, files.total_bars, CHUNK_BARS)
    commands = [Load(processes.PARAMS, files, 1), *(Advance(until, wanted, with_position) for until in ends)]
    replies = Replies()
    serve(io.BytesIO(b"".join(map(frame, commands))), replies)
    return 1_000 * (time.perf_counter() - replies.loaded_at_s) / len(ends)


def pipe_rows(bars: Bars, on: str) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="backfleet-bench-") as name:
        files = processes.bar_files(bars, Path(name) / "bars")
        silent, telling = [], []
        for _ in range(REPEATS):
            silent.append(step_ms(files, NOTHING))
            telling.append(step_ms(files, Wanted(news=True), with_position=True))
    yield measured(
        "engine.pipe.step.with_news.vs.without",
        ours=min(telling),
        peer=min(silent),
        unit="ms",
        better="lower",
        on=f"{on}, {CHUNK_BARS:,} a step",
    )


def measure() -> list[Row]:
    warm()
    bars = synthetic_bars()
    on = f"{bars.total:,} synthetic bars"
    signals = crossover()[0].signals(bars)
    rows = [*kernel_rows(bars, signals, on), *job_rows(bars, signals, on), *pipe_rows(bars, on)]
    rows += beside_peers(bars, on, "")
    if REAL_FILE.exists():
        real = real_bars()
        rows += beside_peers(real, f"{real.total:,} real minutes", "real.")
    else:
        print(f"the real minutes are left out: there is no {REAL_FILE}; name its folder in BACKFLEET_TEST_DATA")
    return [*rows, *processes.measure()]
