"""What an engine process is made of."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shared.request import BacktestParams
from shared.wire import validate
from tests.engine.markets import random_walk
from worker.engine_loop import Run
from worker.pipe import Wanted


def test_an_engine_process_loads_neither_servers_nor_frames() -> None:
    """Each would cost every new process a fifth of a second or more, and memory for as long as it lives."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "worker.engine_process", str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=100,
        check=True,
    )
    # Packages of which something inside was imported: an import that was refused is listed, too.
    loaded = set(re.findall(r"\| +(\w+)\.[\w.]+$", done.stderr, re.MULTILINE))
    assert loaded >= {"numba", "pydantic", "talib"}
    assert not loaded & {"asyncio", "fastapi", "pandas", "pydantic_settings", "pymongo", "redis", "socketio"}
    assert "scipy._lib" not in done.stderr  # Its modules that numba asks for are listed, though refused.


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process starts with a count of its own")
def test_what_a_parent_held_is_not_counted_as_its_engines() -> None:
    """A worker that once grew large would else replace every engine process after every run."""
    held = np.ones(300 * 1024 * 1024 // 8)  # Touched, so that this process has held 300 MiB.
    program = "from worker.engine_loop import _peak_mib; print(_peak_mib())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=True)
    assert 20 < int(done.stdout) < 300 < held.nbytes // 1024**2 + 1


def test_a_worker_reads_what_its_engines_answer_without_loading_the_compiler(tmp_path: Path) -> None:
    """It would stand still for a second, in which no lease is renewed."""
    body = {"symbol": "WALK", "interval": "1h", "startDate": "2024-01-01", "endDate": "2025-01-01"}
    run = Run(validate(BacktestParams, {**body, "strategies": ["sma"]}), random_walk(500, 3))
    everything = Wanted(news=True, whole=True, candles=True)
    moved, finished = run.advance(200, everything, with_position=True), run.advance(500, everything)
    (tmp_path / "replies").write_bytes(pickle.dumps([moved, finished]))
    program = (
        "import pickle, sys, pathlib, worker.supervisor\n"
        "moved, finished = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())\n"
        "assert finished.outcome.trades.total and moved.position and moved.news.trades\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "replies"], capture_output=True, text=True, timeout=60, check=True
    )
    assert not {"numba", "talib", "pandas"} & set(done.stdout.split())
