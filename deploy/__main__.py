"""`python -m deploy up` and `python -m deploy demo`: the modules of that name, minding signals while they load too."""

from __future__ import annotations

import sys

from deploy.processes import Interruption, announce, exit_code_of


def _run(interruption: Interruption) -> int:
    match sys.argv[1:]:
        case ["up"]:
            from deploy.up import stay_up as command
        case ["demo"]:
            from deploy.demo import demonstrate as command
        case _:
            announce("usage: python -m deploy up|demo")
            return 2
    interruption.check()
    return command(interruption)


if __name__ == "__main__":
    sys.exit(exit_code_of(_run))
