"""`python -m worker`: composition root of a worker process.

`--check` tells whether the worker here is healthy; `--warm` compiles the kernels into the cache and ends. What only
some of them need is imported there: checks that loaded what a worker does would keep a machine of many workers busy.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time

from shared.errors import BackfleetError, ConfigurationError
from shared.observability import configure_logging
from shared.settings import Settings, load_settings

_HEALTH_SLACK_S = 15.0


async def serve(settings: Settings) -> None:
    """Works until SIGTERM or SIGINT, which drain; a second one ends at once."""
    from shared.bus import Bus
    from shared.database import Database
    from worker.supervisor import Supervisor

    database = await Database.open(settings)
    try:
        bus = await Bus.open(settings)
        try:
            supervisor = Supervisor(database, bus, settings)
            work = asyncio.create_task(supervisor.run())
            signals = 0

            def stop() -> None:
                nonlocal signals
                signals += 1
                if signals == 1:
                    supervisor.drain()
                else:
                    work.cancel()

            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, stop)
            await work
        finally:
            await bus.close()
    finally:
        await database.close()


async def warm(settings: Settings) -> None:
    """Compiles what an engine process compiles at its first start, so that later ones find it in the cache."""
    from worker.slot import Slot

    slot = Slot(settings)
    try:
        await slot.start()
    finally:
        await slot.kill()


def is_healthy(settings: Settings) -> bool:
    """Whether the worker that writes `health_file` has swept lately."""
    if settings.health_file is None:
        raise ConfigurationError("BACKFLEET_HEALTH_FILE is not set, so there is nothing to check")
    try:
        age_s = time.time() - settings.health_file.stat().st_mtime
    except FileNotFoundError:
        return False
    return age_s < 3 * settings.sweep_interval_s + _HEALTH_SLACK_S


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--check", action="store_true", help="exit 0 if the worker on this machine is healthy")
    only.add_argument("--warm", action="store_true", help="compile the kernels into BACKFLEET_CACHE_DIR and exit")
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        configure_logging(settings)
        if arguments.check:
            return 0 if is_healthy(settings) else 1
        import uvloop

        uvloop.run(warm(settings) if arguments.warm else serve(settings))
    except BackfleetError as error:
        sys.stderr.write(f"backfleet worker: {error.message}\n")
        return 1
    except asyncio.CancelledError:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
