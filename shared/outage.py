"""Whether a server is known to be away: then whoever asks for it can be refused at once, not each after a timeout."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from shared.errors import StoreUnavailable

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 1.0
# So many pings in a row, each of a fifth of the timeout, and so together about as long as an operation is waited for:
# one that is slow is answered late, and nobody is refused for it.
UNANSWERED_MAX = 4
_PING_LEAST_S = 0.25
_PING_AWAY_MOST_S = 1.0
_PAUSE_S = 0.25


class StoreAway(StoreUnavailable):
    """It is known not to answer, which was logged, and it was not asked: nothing was begun."""


class Outage:
    """`away` is True from when a server is known not to answer until a ping is answered again.

    Only while `watch` runs: without it nothing is ever known to be away.
    """

    def __init__(
        self,
        name: str,
        ping: Callable[[], Awaitable[bool]],
        timeout_s: float,
        lost: Callable[[], bool] = lambda: False,
    ) -> None:
        """`ping` says whether the server answered, however it did; it is cancelled when it takes too long.

        `timeout_s` is how long one operation is waited for. `lost` says whether the driver knows of no server.
        """
        self._name = name
        self._ping = ping
        self._ping_s = max(timeout_s / (UNANSWERED_MAX + 1), _PING_LEAST_S)
        self._lost = lost
        self._suspected = asyncio.Event()
        self._watched = False
        self.away = False

    def suspect(self) -> None:
        """An operation failed in the network. A server that the driver has lost, too, is away until a ping is answered,
        and one follows at once; one that the driver sees was only slow to answer.
        """
        if self._watched and self._lost():
            self._note(away=True)
            self._suspected.set()

    async def watch(self) -> None:
        """Pings the server, a little more often than once a second while it is away. Runs until cancelled."""
        unanswered = 0
        task = asyncio.current_task()
        self._watched = True
        try:
            while True:
                self._suspected.clear()
                unanswered = 0 if await self._answers() else unanswered + 1
                if task is not None and task.cancelling():
                    raise asyncio.CancelledError  # which a driver may have taken for a timeout of its own
                self._note(away=unanswered > 0 and (self.away or unanswered >= UNANSWERED_MAX))
                if unanswered:
                    await asyncio.sleep(_PAUSE_S)
                else:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_AGAIN_S):
                            await self._suspected.wait()
        finally:
            self._watched = self.away = False

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(min(self._ping_s, _PING_AWAY_MOST_S) if self.away else self._ping_s):
                return await self._ping()
        except TimeoutError:
            return False

    def _note(self, *, away: bool) -> None:
        if away and not self.away:
            log.warning("%s does not answer: whoever asks for it is refused at once until it does", self._name)
        elif self.away and not away:
            log.warning("%s answers again", self._name)
        self.away = away
