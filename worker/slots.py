"""The slots of a worker: which are free, and that none is offered whose engine process cannot start."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable

from shared.errors import EngineFailed
from shared.settings import Settings
from worker.hold import Hold
from worker.slot import START_LIMIT_S, Slot

log = logging.getLogger(__name__)

# A machine that is out of memory or processes is not helped by asking it often.
_START_WAITS_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Slots:
    """Offers slots with a warm engine process only: who claims a backtest first and fails to start one then would take
    one backtest after the other and run none.

    A slot whose run waits in its engine process is free meanwhile. Whoever comes back to it is served before anybody
    who takes a slot for something new.
    """

    def __init__(self, settings: Settings, on_wanted: Callable[[], None] = lambda: None) -> None:
        """`on_wanted` is called when a run comes back to a slot that somebody has; see `Hold.wanted`."""
        self._settings = settings
        self._on_wanted = on_wanted
        self._slots = [Slot(settings) for _ in range(settings.worker_slots)]
        self._free: deque[Slot] = deque()
        self._takers: deque[asyncio.Future[Slot]] = deque()
        self._returners: dict[Slot, deque[asyncio.Future[Slot]]] = {slot: deque() for slot in self._slots}
        self._cold: asyncio.Queue[Slot] = asyncio.Queue()
        self._numbers = 0
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
        while True:
            slot = self._free.popleft() if self._free else await self._wait_in(self._takers)
            if slot.warm:
                return Hold(slot, self, self._settings.run_limit_s)
            self._cool(slot)  # Its process died while nothing ran in it.

    async def take_back(self, slot: Slot) -> None:
        """Waits for that slot, warm or not. Raises `EngineFailed` where its process has ended."""
        if slot in self._free:
            self._free.remove(slot)
        elif slot.warm:
            await self._wait_in(self._returners[slot], self._on_wanted)
        else:
            raise EngineFailed("the engine process ended while the run waited in it", fault=False)

    def free(self, slot: Slot) -> None:
        """Whoever had it does not need it now."""
        if not slot.warm:
            self._cool(slot)
        elif not self._hand_over(slot, self._returners[slot]) and not self._hand_over(slot, self._takers):
            self._free.append(slot)

    def wanted(self, slot: Slot) -> bool:
        """Whether a run waits to come back to it."""
        return any(not turn.done() for turn in self._returners[slot])

    def number(self) -> int:
        """Of a run, among all that engine processes of this worker know."""
        self._numbers += 1
        return self._numbers

    @property
    def may_park(self) -> bool:
        """Whether one more run may wait in an engine process that others use meanwhile."""
        return self.parked < self._settings.waiting_runs_max

    @property
    def parked(self) -> int:
        """Runs that do so now."""
        return sum(slot.parked for slot in self._slots)

    @property
    def none_free(self) -> bool:
        return not self._free

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
        self.free(slot)

    async def _wait_in(self, line: deque[asyncio.Future[Slot]], on_wait: Callable[[], None] = lambda: None) -> Slot:
        turn: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        line.append(turn)
        on_wait()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.free(turn.result())
            raise

    def _hand_over(self, slot: Slot, line: deque[asyncio.Future[Slot]]) -> bool:
        while line:
            turn = line.popleft()
            if not turn.done():
                turn.set_result(slot)
                return True
        return False

    def _cool(self, slot: Slot) -> None:
        self._usable -= 1
        self._usable_s = time.monotonic()
        for turn in self._returners[slot]:
            if not turn.done():
                turn.set_exception(EngineFailed("the engine process ended while the run waited in it", fault=False))
        self._returners[slot].clear()
        self._cold.put_nowait(slot)
