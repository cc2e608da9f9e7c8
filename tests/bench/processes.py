"""The engine as the worker has it, in a process of its own: how long the first backtest takes, and how much memory."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

from shared.bars import Bars
from shared.candles import BarFiles
from shared.candles.chunks import canonical_bytes
from tests.bench.rows import Row, measured
from tests.engine.markets import random_walk
from worker.pipe import HEADER_BYTES, Finished, Load, Ready, frame
from worker.slot import engine_digest

MEGABYTE = 1e6
COLD_STARTS = 5
COLD_BARS = 1_000
MILLIONS = (1, 3)
PARAMS: dict[str, Any] = {
    "symbol": "BENCH",
    "interval": "1m",
    "startDate": "2024-01-01",
    "endDate": "2034-01-01",
    "strategies": ["sma_crossover"],
    "strategyParams": {"sma_crossover": {"fast": 10, "slow": 30}},
    "commission": {"rate": 0.0001},
    "stopLoss": {"percent": 1.0},
    "takeProfit": {"percent": 1.5},
}


class EngineProcess:
    """What `worker.slot` starts, spoken to over the same pipe."""

    def __init__(self, kernels: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "worker.engine_process", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(os.environ) | {"NUMBA_CACHE_DIR": str(kernels / engine_digest())},
        )

    def run(self, files: BarFiles) -> Finished:
        """The first backtest. The command waits in the pipe until the process is warm."""
        commands = self._process.stdin
        assert commands is not None
        commands.write(frame(Load(PARAMS, files, files.total_bars)))
        commands.flush()
        ready, finished = self._receive(), self._receive()
        if not isinstance(ready, Ready) or not isinstance(finished, Finished):
            raise RuntimeError(f"the engine process answered {ready!r}, {finished!r}")
        return finished

    def peak_bytes(self) -> int:
        """Most memory the process ever had. Its own `ru_maxrss` would begin with that of its parent, this process."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        peak = re.search(r"^VmHWM:\s+(\d+) kB", status, re.M)
        assert peak is not None, status
        return int(peak[1]) * 1024

    def resident_bytes(self, of_file: str) -> int:
        """How much of a mapped file is in the process's memory."""
        areas = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", Path(f"/proc/{self._process.pid}/smaps").read_text(), flags=re.M)
        sizes = [re.search(r"^Rss:\s+(\d+) kB", area, re.M) for area in areas if of_file in area.partition("\n")[0]]
        return sum(int(size[1]) for size in sizes if size) * 1024

    def end(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(30)

    def _receive(self) -> object:
        replies = self._process.stdout
        assert replies is not None
        return pickle.loads(replies.read(int.from_bytes(replies.read(HEADER_BYTES), "little")))


def bar_files(bars: Bars, path: Path) -> BarFiles:
    path.write_bytes(canonical_bytes(bars))
    return BarFiles((str(path),), (bars.total,), 0, bars.total)


def first_backtest_s(kernels: Path, files: BarFiles) -> float:
    """From nothing to the result of the first backtest, as whoever waits for it sees it.

    The peers bring scipy, which numba then imports: where they are not installed, as in the image, it is less.
    """
    began = time.perf_counter()
    process = EngineProcess(kernels)
    process.run(files)
    took_s = time.perf_counter() - began
    process.end()
    return took_s


def cold_start_row(kernels: Path, directory: Path) -> Row:
    files = bar_files(random_walk(COLD_BARS, 1), directory / "few")
    first_backtest_s(kernels, files)  # compiles into the cache, as `python -m worker --warm` does
    took_s = median(first_backtest_s(kernels, files) for _ in range(COLD_STARTS))
    return measured(
        "engine.process.first_backtest",
        ours=took_s,
        unit="s",
        aim=1.5,
        better="lower",
        on=f"{COLD_BARS:,} bars, median of {COLD_STARTS} new processes",
    )


def memory_row(kernels: Path, directory: Path) -> Row:
    """Peak memory a million bars add, beyond their mapped columns: of the second million bars and the third."""
    beyond: list[float] = []
    for millions in MILLIONS:
        path = directory / f"{millions}-million"
        files = bar_files(random_walk(millions * 1_000_000, 1, volatility=0.0005), path)
        process = EngineProcess(kernels)
        process.run(files)
        beyond.append((process.peak_bytes() - process.resident_bytes(path.name)) / MEGABYTE)
        process.end()
    return measured(
        "engine.process.memory_per_1M_bars",
        ours=(beyond[1] - beyond[0]) / (MILLIONS[1] - MILLIONS[0]),
        unit="MB",
        aim=100,
        better="lower",
        on=" and ".join(f"{millions}M" for millions in MILLIONS) + " mapped bars",
    )


def show_imports() -> None:
    """Prints where the imports of an engine process take their time, by package, without what they import in turn."""
    command = [sys.executable, "-X", "importtime", "-m", "worker.engine_process", str(os.getpid())]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True
    )
    took_us: defaultdict[str, int] = defaultdict(int)
    for self_us, name in re.findall(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)$", done.stderr, re.M):
        took_us[name.partition(".")[0]] += int(self_us)
    print(f"imports of an engine process: {sum(took_us.values()) / 1000:.0f} ms")
    for name, spent_us in sorted(took_us.items(), key=lambda item: -item[1])[:12]:
        print(f"  {name:20} {spent_us / 1000:6.0f} ms")


def measure() -> list[Row]:
    show_imports()
    with tempfile.TemporaryDirectory(prefix="backfleet-bench-") as name:
        directory = Path(name)
        rows = [cold_start_row(directory / "kernels", directory)]
        if sys.platform == "linux":
            rows.append(memory_row(directory / "kernels", directory))
        else:
            print("memory is left out: it is read from /proc")
        return rows
