"""Work in a thread of its own: where it never ends, neither those who wait nor the end of the process wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

Outcome = TypeVar("Outcome")


def begin_apart(work: Callable[[], Outcome]) -> asyncio.Future[Outcome]:
    """What `work` returns or raises, once it does. To cancel the future does not end it."""
    done: Future[Outcome] = Future()
    done.set_running_or_notify_cancel()

    def run() -> None:
        try:
            done.set_result(work())
        except Exception as error:  # noqa: BLE001 - raised to those who wait
            done.set_exception(error)

    Thread(target=run, daemon=True).start()
    return asyncio.wrap_future(done)
