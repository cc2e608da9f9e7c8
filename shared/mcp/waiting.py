"""Waiting for the end of a backtest, which is told: nobody asks again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from shared.client.answers import RunEvent
from shared.mcp.fleet import ENDED, Fleet, Hear, path_of

SIGN_OF_LIFE_S = 15.0
_HARDLY = 1e-6  # percent: the protocol wants progress that rises

Report = Callable[[float, str], Awaitable[None]]
"""Takes percent and a line: how far a backtest is."""


async def wait_for_end(fleet: Fleet, backtest_id: str, timeout_s: float, report: Report) -> dict[str, Any]:
    """How a backtest stands when it has ended, or when the time is over. Raises `NotFound`, `Unavailable`."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _end_of(fleet, backtest_id, report)
    except TimeoutError:
        return await fleet.ask("GET", path_of(backtest_id))


async def _end_of(fleet: Fleet, backtest_id: str, report: Report) -> dict[str, Any]:
    told = _Rising(report)
    async with fleet.hearing(backtest_id) as hear:
        while True:
            state: dict[str, Any] = await fleet.ask("GET", path_of(backtest_id))
            if state["status"] in ENDED:
                await told.reach(state["progress"], f"it is {state['status']}")
                return state
            # Until something may have been missed (None): then it may have ended unheard.
            while (event := await told.meanwhile(hear)) is not None:
                if event.ends:
                    break
                await told.tell(event)


class _Rising:
    """Reports progress that rises, as the protocol wants it: a run that is taken up again begins lower."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._last = -1.0

    async def tell(self, event: RunEvent) -> None:
        progress = event.data.get("progress")
        if event.name == "backtest:progress" and isinstance(progress, int | float):
            await self.reach(progress, str(event.data.get("message", "")))

    async def meanwhile(self, hear: Hear) -> RunEvent | None:
        """What is heard next. While nothing is, it is told now and then that somebody still waits: clients take a call
        that says nothing for dead."""
        hearing = asyncio.ensure_future(hear())
        try:
            while not (await asyncio.wait([hearing], timeout=SIGN_OF_LIFE_S))[0]:
                await self.reach(max(self._last, 0.0) + _HARDLY, "waiting")
            return hearing.result()
        finally:
            hearing.cancel()

    async def reach(self, progress: float, words: str) -> None:
        if progress > self._last:
            self._last = float(progress)
            await self._report(self._last, words)
