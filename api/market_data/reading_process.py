"""`python -m api.market_data.reading_process`: reads uploaded files in a process of its own.

pandas is large, and holds Python's lock for long: a gateway that serves sockets has neither in its own process. Takes
pickled arguments of `read_files` on stdin and answers on stdout with its pickled result, or with its refusal.
"""

from __future__ import annotations

import asyncio
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import ImportRefused, Unavailable
from shared.reading import Reading

if TYPE_CHECKING:
    from shared.candles.files.parsing import ParsedSeries


async def read_in_child(paths: Sequence[Path], reading: Reading) -> list[ParsedSeries]:
    """`read_files(paths, reading)`, elsewhere. Raises what that raises, and `Unavailable` where the process died."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "api.market_data.reading_process"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        answer, _ = await child.communicate(pickle.dumps((paths, reading)))
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        raise Unavailable(f"the process that reads uploads ended with status {child.returncode}")
    outcome = await asyncio.to_thread(pickle.loads, answer)
    if isinstance(outcome, ImportRefused):
        raise outcome
    return outcome


def main() -> None:
    from shared.candles.files.parsing import read_files

    paths, reading = pickle.load(sys.stdin.buffer)
    try:
        outcome: list[ParsedSeries] | ImportRefused = read_files(paths, reading)
    except ImportRefused as refusal:
        outcome = refusal
    pickle.dump(outcome, sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)


if __name__ == "__main__":
    main()
