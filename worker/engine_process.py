"""The engine process: a pipe and a loop. It computes; everything that waits or speaks to a server is its parent's."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def _die_with_parent(parent_pid: int) -> None:
    """A parent that was killed closes the pipe, which ends the loop; inside a long step only the kernel can tell us."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        sys.exit(1)  # It died before the kernel knew that we want to follow.


def main() -> None:
    # First of all, before a second of imports in which the parent could die unnoticed.
    _die_with_parent(int(sys.argv[1]))
    # The supervisor decides when a run ends; a terminal's Ctrl-C reaches the whole group and must not end it here.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    commands = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # A print in a strategy goes to the log, not into the pipe.

    from worker.imports import import_numba, import_talib, nothing_collected

    with nothing_collected():
        import_talib()
        import_numba()
        from worker.engine.warming import warm
        from worker.engine_loop import serve
        from worker.pipe import Ready, frame

        warm()
    replies.write(frame(Ready()))
    replies.flush()
    try:
        serve(commands, replies)
    except BrokenPipeError:
        os._exit(1)  # The parent is gone: nobody is left to answer, and flushing at exit would only fail again.


if __name__ == "__main__":
    main()
