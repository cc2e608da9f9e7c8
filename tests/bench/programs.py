"""The programs of a peer, for as long as it is measured."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

_END_LIMIT_S = 15


@contextmanager
def running(modules: Sequence[Sequence[str]], variables: Mapping[str, str]) -> Iterator[list[int]]:
    """The ids of Python modules with their arguments, each a process. All of them are gone afterwards."""
    environment = os.environ | dict(variables)
    started = [subprocess.Popen([sys.executable, "-m", *module], env=environment) for module in modules]
    try:
        yield [process.pid for process in started]
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(_END_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(_END_LIMIT_S)
