"""A run's hold on a slot: its commands, and its way out and back while it waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from shared.errors import EngineFailed
from shared.strategies.decision import Decision
from worker.pipe import (
    NOTHING,
    Advance,
    Answer,
    Command,
    Finish,
    Finished,
    Load,
    LookBack,
    LookedBack,
    Moved,
    Rewind,
    Wanted,
)
from worker.slot import Slot


class Lender(Protocol):
    """Who lends slots to runs."""

    @property
    def may_park(self) -> bool: ...
    def wanted(self, slot: Slot) -> bool: ...
    def number(self) -> int: ...
    def free(self, slot: Slot) -> None: ...
    async def take_back(self, slot: Slot) -> None: ...


class Hold:
    """A run's hold on a slot until it lets go: from then on the slot is another run's, and nothing here reaches it.

    A run that waits for somebody's answer may `park`: what is loaded of it stays in the engine process, and the slot is
    others' until the run needs it again. Every command raises `EngineFailed`, not counted against the backtest, where
    that process has ended meanwhile.
    """

    def __init__(self, slot: Slot, slots: Lender, run_limit_s: float) -> None:
        self._slot: Slot | None = slot
        self._slots = slots
        self._run_limit_s = run_limit_s
        self._run = slots.number()
        self._process = slot.starts
        self._loaded = self._parked = False
        self._spent_s = 0.0
        self._on_busy: Callable[[str], None] | None = None  # hears what a long command is at

    @property
    def parked(self) -> bool:
        return self._parked

    @property
    def wanted(self) -> bool:
        """Whether a run waits to come back to this slot, so that who does nothing with it should let it go."""
        return self._slot is not None and self._slots.wanted(self._slot)

    @property
    def warm(self) -> bool:
        """Whether its engine process is there to be used."""
        return self._slot is not None and self._slot.warm

    async def start(self) -> None:
        """As `Slot.start`."""
        slot = self._held()
        await slot.start()
        self._process = slot.starts

    async def look_back(self, params: dict[str, Any]) -> int:
        """How many bars before the first a run with these params looks back at."""
        reply = await self._ask(LookBack(params))
        if not isinstance(reply, LookedBack):
            raise EngineFailed(f"engine process answered {type(reply).__name__}, not a number of bars")
        return reply.bars

    async def load(self, command: Load, *, on_busy: Callable[[str], None]) -> Moved | Finished:
        """Begins a run. `on_busy` hears, now and then, what its long commands are at."""
        self._spent_s, self._on_busy = 0.0, on_busy
        return await self._step(command)

    async def advance(
        self, until_bar: int, wanted: Wanted = NOTHING, *, with_position: bool = False
    ) -> Moved | Finished:
        return await self._step(Advance(until_bar, wanted, with_position))

    async def answer(
        self, decisions: Mapping[str, Decision], until_bar: int, wanted: Wanted = NOTHING
    ) -> Moved | Finished:
        return await self._step(Answer(decisions, until_bar, wanted))

    async def rewind(self, bar: int, wanted: Wanted = NOTHING, *, with_position: bool = False) -> Moved | Finished:
        return await self._step(Rewind(bar, wanted, with_position))

    async def finish(self, close_open_trades: bool, wanted: Wanted = NOTHING) -> Finished:
        """Ends the run where it is."""
        reply = await self._step(Finish(close_open_trades, wanted))
        if not isinstance(reply, Finished):
            raise EngineFailed("engine process went on with a run that was to be ended")
        return reply

    async def recycle_if_worn(self, peak_mib: int) -> None:
        await self._held().recycle_if_worn(peak_mib)

    def park(self) -> None:
        """Lets others have the slot until the next command. Where too many do so already, it keeps it."""
        if self._loaded and not self._parked and self._slots.may_park:
            slot = self._held()
            self._parked = True
            slot.parked += 1
            self._slots.free(slot)

    async def kill(self) -> None:
        """Ends the engine process at once. One that is others' meanwhile only forgets the run."""
        if self._slot is None:
            return
        if self._parked:
            self.let_go()
        else:
            self._loaded = False
            await self._slot.kill()

    def let_go(self) -> None:
        slot, self._slot = self._slot, None
        if slot is None:
            return
        if self._loaded and self._process == slot.starts:
            slot.drop(self._run)
        if self._parked:
            slot.parked -= 1
        else:
            self._slots.free(slot)

    def _held(self) -> Slot:
        assert self._slot is not None, "the slot was let go"
        return self._slot

    async def _take_back(self) -> Slot:
        slot = self._held()
        if self._parked:
            await self._slots.take_back(slot)
            self._parked = False
            slot.parked -= 1
        if self._loaded and (self._process != slot.starts or not slot.warm):
            self._loaded = False
            raise EngineFailed("the engine process ended while the run waited in it", fault=False)
        return slot

    async def _step(self, command: Command) -> Moved | Finished:
        reply = await self._ask(command)
        self._loaded = isinstance(reply, Moved)
        if not isinstance(reply, Moved | Finished):
            raise EngineFailed(f"engine process answered {type(reply).__name__}, not a position")
        return reply

    async def _ask(self, command: Command) -> object:
        slot = await self._take_back()
        self._process = slot.starts
        began_s = time.monotonic()
        try:
            return await slot.ask(self._run, command, self._run_limit_s - self._spent_s, self._on_busy)
        except BaseException:
            self._loaded = False  # An engine process that raised an error has dropped the run, too.
            raise
        finally:
            self._spent_s += time.monotonic() - began_s
