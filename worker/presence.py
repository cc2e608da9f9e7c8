"""Says every few seconds that this worker is there, and takes it back when it goes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable

from shared import package_version
from shared.bus import Bus
from shared.errors import BusUnavailable
from shared.instants import iso_from_ms
from shared.observability import RareWarning
from shared.presence import WorkerPresence, presence_interval_s, presence_ttl_s, read_presence, write_presence
from shared.settings import Settings

log = logging.getLogger(__name__)

_FAREWELL_S = 1.0


class Presence:
    """`keep` until cancelled, then `leave`. `busy` tells how many backtests run now, `now_ms` what time it is."""

    def __init__(
        self, bus: Bus, settings: Settings, worker_id: str, *, now_ms: Callable[[], int], busy: Callable[[], int]
    ) -> None:
        self._bus = bus
        self._settings = settings
        self._worker_id = worker_id
        self._now_ms = now_ms
        self._busy = busy
        self._since_ms = now_ms()
        self._draining = False
        self._changed = asyncio.Event()
        self._warn = RareWarning(log)

    def drain(self) -> None:
        """From now on, and at once, says that it takes no more."""
        self._draining = True
        self._changed.set()

    async def keep(self) -> None:
        interval_s = presence_interval_s(self._settings)
        with contextlib.suppress(BusUnavailable):
            await read_presence(self._bus)  # so that who has died since is forgotten, also where nobody else reads
        while True:
            self._changed.clear()
            try:
                await write_presence(self._bus, self._now(), presence_ttl_s(self._settings))
            except BusUnavailable as error:
                self._warn(f"cannot say that this worker is there: {error.message}")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(interval_s):
                    await self._changed.wait()

    async def leave(self) -> None:
        """Where Redis does not answer, what was said last expires by itself."""
        with contextlib.suppress(BusUnavailable, TimeoutError):
            async with asyncio.timeout(_FAREWELL_S):
                await self._bus.leave(self._worker_id)

    def _now(self) -> WorkerPresence:
        return WorkerPresence(
            worker_id=self._worker_id,
            host=socket.gethostname(),
            version=package_version(),
            slots=self._settings.worker_slots,
            busy=min(self._busy(), self._settings.worker_slots),
            draining=self._draining,
            since=iso_from_ms(self._since_ms),
            last_seen=iso_from_ms(self._now_ms()),
        )
