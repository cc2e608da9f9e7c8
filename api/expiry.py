"""When what a socket was let in with has come to its end."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Protocol

# Timers count seconds on a clock of their own, which stands still while a machine sleeps and knows nothing of a wall
# clock that is set: so the wall clock is read at least this often.
LOOK_AGAIN_S = 60.0


class Timer(Protocol):
    def cancel(self) -> None: ...


class Expiry:
    """Calls `on_expired` once, when the wall clock has reached an instant; never after `cancel`.

    One timer of the event loop at a time, and none for what does not end.
    """

    def __init__(
        self,
        at_s: float,
        on_expired: Callable[[], None],
        *,
        now_s: Callable[[], float] = time.time,
        call_later: Callable[[float, Callable[[], None]], Timer] | None = None,
    ) -> None:
        """`at_s` and `now_s` are seconds since 1970-01-01T00:00Z; infinite: it does not end."""
        self._at_s = at_s
        self._on_expired = on_expired
        self._now_s = now_s
        self._call_later = call_later or asyncio.get_running_loop().call_later
        self._timer: Timer | None = None
        if at_s < math.inf:
            self._wait()

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        self._timer = self._call_later(min(max(self._at_s - self._now_s(), 0.0), LOOK_AGAIN_S), self._look)

    def _look(self) -> None:
        self._timer = None
        if self._now_s() >= self._at_s:
            self._on_expired()
        else:
            self._wait()
