"""What an engine process is made of."""

from __future__ import annotations

import os
import re
import subprocess
import sys


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
