"""A wall clock and timers that move when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class FakeTimer:
    due_s: float
    call: Callable[[], None]
    on_cancel: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True
        self.on_cancel()


@dataclass
class FakeTimers:
    """`pending` are those that will still go off."""

    time_s: float
    timers: list[FakeTimer] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def now_s(self) -> float:
        return self.time_s

    def call_later(self, delay_s: float, call: Callable[[], None]) -> FakeTimer:
        self.timers.append(FakeTimer(self.time_s + delay_s, call, self.changed.set))
        return self.timers[-1]

    @property
    def pending(self) -> list[FakeTimer]:
        return [timer for timer in self.timers if not timer.cancelled]

    async def has_pending(self, count: int) -> None:
        """Until so many are left."""
        async with asyncio.timeout(10):
            while len(self.pending) != count:
                self.changed.clear()
                await self.changed.wait()

    def advance(self, seconds: float, *, wall_s: float = 0.0) -> None:
        """Lets time pass, by which timers go off in order; by `wall_s` the wall clock is set besides."""
        self.time_s += wall_s
        for timer in self.pending:
            timer.due_s += wall_s
        until_s = self.time_s + seconds
        while due := [timer for timer in self.pending if timer.due_s <= until_s]:
            timer = min(due, key=lambda one: one.due_s)
            self.timers.remove(timer)
            self.time_s = max(self.time_s, timer.due_s)
            timer.call()
        self.time_s = until_s
