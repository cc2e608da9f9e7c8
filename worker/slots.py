"""The slots of a worker: which are free, and that none is offered whose engine process cannot start."""

from __future__ import annotations

import asyncio
import logging
import time

from shared.errors import EngineFailed
from shared.settings import Settings
from worker.slot import START_LIMIT_S, Hold, Slot

log = logging.getLogger(__name__)

# A machine that is out of memory or processes is not helped by asking it often.
_START_WAITS_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Slots:
    """Offers slots with a warm engine process only: who claims a backtest first and fails to start one then would take
    one backtest after the other and run none.
    """

    def __init__(self, settings: Settings) -> None:
        self._slots = [Slot(settings) for _ in range(settings.worker_slots)]
        self._free: asyncio.Queue[Slot] = asyncio.Queue()
        self._cold: asyncio.Queue[Slot] = asyncio.Queue()
        self._usable = 0  # warm, or in use
        self._usable_s = time.monotonic()
        for slot in self._slots:
            self._cold.put_nowait(slot)

    async def keep_warm(self) -> None:
        """Starts the engine process of every slot that has none, until cancelled. What it raises is a fault of ours."""
        async with asyncio.TaskGroup() as starting:
            while True:
                slot = await self._cold.get()
                starting.create_task(self._start(slot))

    async def take(self) -> Hold:
        """Waits for a slot that is free and warm."""
        while not (slot := await self._free.get()).warm:
            self._cool(slot)  # Its process died while nothing ran in it.
        return Hold(slot, self._give_back)

    @property
    def none_free(self) -> bool:
        return self._free.empty()

    @property
    def healthy(self) -> bool:
        """Whether a slot can be used, or could be until lately."""
        return self._usable > 0 or time.monotonic() - self._usable_s < START_LIMIT_S

    async def close(self) -> None:
        await asyncio.gather(*(slot.kill() for slot in self._slots))

    async def _start(self, slot: Slot) -> None:
        failures = 0
        while True:
            try:
                await slot.start()
                break
            except EngineFailed as error:
                wait_s = _START_WAITS_S[min(failures, len(_START_WAITS_S) - 1)]
                failures += 1
                log.error("%s; again in %g s", error.message, wait_s)
                await asyncio.sleep(wait_s)
        self._usable += 1
        if self._usable == len(self._slots):
            log.info("the worker is ready with %d slots", self._usable)
        self._free.put_nowait(slot)

    def _give_back(self, slot: Slot) -> None:
        if slot.warm:
            self._free.put_nowait(slot)
        else:
            self._cool(slot)

    def _cool(self, slot: Slot) -> None:
        self._usable -= 1
        self._usable_s = time.monotonic()
        self._cold.put_nowait(slot)
