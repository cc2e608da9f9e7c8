"""What an engine process is made of."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest


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


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process starts with a count of its own")
def test_what_a_parent_held_is_not_counted_as_its_engines() -> None:
    """A worker that once grew large would else replace every engine process after every run."""
    held = np.ones(300 * 1024 * 1024 // 8)  # Touched, so that this process has held 300 MiB.
    program = "from worker.engine_loop import _peak_mib; print(_peak_mib())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=True)
    assert 20 < int(done.stdout) < 300 < held.nbytes // 1024**2 + 1
