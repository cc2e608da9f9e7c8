"""Which backtests are watched here: marked in Redis while somebody subscribes, and asked where they stand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from shared.batches import in_batches
from shared.bus import Bus
from shared.contracts import Channel
from shared.controls import Control
from shared.errors import BusUnavailable
from shared.observability import RareWarning
from shared.records import new_id

log = logging.getLogger(__name__)

# How long whoever joins a run waits for what it says of itself.
ANSWER_WAIT_S = 0.5
_ASK_TIMEOUT_S = 0.5
# A third of what a mark lasts.
RENEW_S = 20.0
_MARK_TIMEOUT_S = 5.0
_MARKED_AT_ONCE = 500
_NEW_MAX = 1_000


class Watching:
    """Nothing waits for Redis for longer than it takes a run to answer; a mark that is late costs what is streamed."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._by = new_id("gw")
        self._new: dict[str, str] = {}
        self._come = asyncio.Event()
        self._warn = RareWarning(log)

    async def begin(self, backtest_id: str, user_id: str) -> float:
        """Until when, on the event loop's clock, the run may answer with where it stands. Now, where none heard."""
        loop = asyncio.get_running_loop()
        asked_s = loop.time()
        control = Control(backtest_id=backtest_id, user_id=user_id, action="watch")
        said = control.model_dump_json(by_alias=True, include={"backtest_id", "user_id", "action"})
        try:
            async with asyncio.timeout(_ASK_TIMEOUT_S):
                await self._bus.mark_watched([backtest_id], self._by)
                [heard] = await self._bus.say([(Channel.CONTROL, said)])
        except (BusUnavailable, TimeoutError) as error:
            self._warn(f"a run was not asked where it stands: {error or type(error).__name__}")
            heard = 0
        return asked_s + (ANSWER_WAIT_S if heard else 0.0)

    def begin_soon(self, backtest_id: str, user_id: str) -> None:
        """The same for what is heard of for the first time, waiting for nothing. Of very many the next turn is soon
        enough."""
        if len(self._new) < _NEW_MAX:
            self._new[backtest_id] = user_id
            self._come.set()

    async def keep(self, watched_here: Callable[[], Iterable[str]]) -> None:
        """Renews what is watched here until cancelled."""
        loop = asyncio.get_running_loop()
        due_s = loop.time() + RENEW_S
        while True:
            try:
                async with asyncio.timeout_at(due_s):
                    await self._come.wait()
            except TimeoutError:
                due_s = loop.time() + RENEW_S
                await self._renew(watched_here())
                continue
            self._come.clear()
            new, self._new = self._new, {}
            for backtest_id, user_id in new.items():
                await self.begin(backtest_id, user_id)

    async def _renew(self, backtest_ids: Iterable[str]) -> None:
        try:
            for some in in_batches(list(backtest_ids), _MARKED_AT_ONCE):
                async with asyncio.timeout(_MARK_TIMEOUT_S):
                    await self._bus.mark_watched(some, self._by)
        except (BusUnavailable, TimeoutError) as error:
            self._warn(f"what is watched here could not be marked: {error or type(error).__name__}")
