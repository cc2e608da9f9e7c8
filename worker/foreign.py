"""Commands that somebody else than a gateway published: checked, put into the record, or refused in so many words.

Every worker hears them. Of those the same one deals with all commands for one backtest, as long as they come, so that
they keep their order; whose turn it is, is a key in Redis that outlives its worker by `_OURS_MS` at most. A command
for a backtest that nobody knows waits a moment, beside the others: its task may have been published just before it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from shared import news
from shared.adoption import readable_ids
from shared.bus import Bus
from shared.contracts import ID_PATTERN, Channel
from shared.controls import Control, ControlRequest
from shared.errors import BackfleetError, BusUnavailable, InvalidRequest, NotFound, Refusal, Unavailable
from shared.observability import RareWarning
from shared.steering import Steering
from shared.wire import matches, validate

log = logging.getLogger(__name__)

WAITING_MAX = 1_000
_OURS_MS = 2_000
# Longer in all than it takes until a published task is stored, also where every worker is busy.
_RETRIES_S = (0.1, 0.3, 1.0)
# Backtests that nobody knows whose commands wait, and commands of one that do.
_EARLY_MAX = 100
# Of what is on a message for a run: the rest is whose it is.
_IDENTITY = {"backtest_id", "user_id", "seq"}


@dataclass(frozen=True, slots=True)
class _Heard:
    """One message: a command, or why it is none."""

    backtest_id: str
    user_id: str
    command: Control | BackfleetError

    @property
    def owned(self) -> tuple[str, str]:
        """The backtest as its sender knows it: who names somebody else's holds up nobody but himself."""
        return self.backtest_id, self.user_id

    @property
    def command_id(self) -> str | None:
        return self.command.command_id or None if isinstance(self.command, Control) else None


class ForeignCommands:
    """`hear` as they come, while `running`. What waits is bounded; what finds no room is refused."""

    def __init__(self, steering: Steering, bus: Bus, worker_id: str, *, now_ms: Callable[[], int]) -> None:
        self._steering = steering
        self._bus = bus
        self._worker_id = worker_id
        self._now_ms = now_ms
        self._waiting: asyncio.Queue[_Heard] = asyncio.Queue(WAITING_MAX)
        self._early: dict[tuple[str, str], deque[_Heard]] = {}
        self._early_work: set[asyncio.Task[None]] = set()
        self._warn = RareWarning(log)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Deals with what is heard until the block is left. What still waits then is some other worker's to hear."""
        working = asyncio.create_task(self._work())
        try:
            yield
        finally:
            started = [working, *self._early_work]
            for task in started:
                task.cancel()
            await asyncio.wait(started)

    def hear(self, control: Control) -> None:
        """Takes a command that is in no record. Returns at once."""
        self._add(_Heard(control.backtest_id, control.user_id, control))

    def hear_malformed(self, payload: str, error: InvalidRequest) -> None:
        """Takes a message that is no command. Whoever sent it is told where the ids can be read."""
        backtest_id, user_id = readable_ids(payload)
        if matches(ID_PATTERN, backtest_id):
            self._add(_Heard(backtest_id, user_id, error))
        else:
            self._warn(f"ignored a malformed message on {Channel.CONTROL.value}: {error.message}")

    def _add(self, one: _Heard) -> None:
        try:
            self._waiting.put_nowait(one)
        except asyncio.QueueFull:
            self._warn(f"a command for {one.backtest_id} was lost: {WAITING_MAX} others wait")

    async def _work(self) -> None:
        while True:
            one = await self._waiting.get()
            try:
                if await self._is_ours(one.backtest_id):
                    await self._begin(one)
            except Exception:
                log.exception("a command for %s could not be looked at", one.backtest_id)

    async def _begin(self, one: _Heard) -> None:
        early = self._early.get(one.owned)
        if early is None:
            await self._deal_with(one)
        elif len(early) < _EARLY_MAX:
            early.append(one)
        else:
            self._warn(f"a command for {one.backtest_id} was lost: {_EARLY_MAX} others wait")

    def _put_off(self, one: _Heard) -> None:
        self._early[one.owned] = deque([one])
        task = asyncio.create_task(self._work_early(one.owned))
        self._early_work.add(task)
        task.add_done_callback(self._early_work.discard)

    async def _work_early(self, owned: tuple[str, str]) -> None:
        early = self._early[owned]
        try:
            while early:
                await self._deal_with(early.popleft(), waits=True)
        except Exception:
            log.exception("%d commands for %s could not be looked at", len(early) + 1, owned[0])
        finally:
            del self._early[owned]

    async def _is_ours(self, backtest_id: str) -> bool:
        """Doing it twice is better than not at all."""
        try:
            return await self._bus.keeps_bell(f"control:{backtest_id}", self._worker_id, _OURS_MS)
        except BusUnavailable:
            return True

    async def _deal_with(self, one: _Heard, *, waits: bool = False) -> None:
        """`waits`: until its backtest is there, if need be."""
        try:
            if isinstance(one.command, BackfleetError):
                raise one.command
            await self._take_in(one.command, (Unavailable, NotFound) if waits else (Unavailable,))
        except (Refusal, Unavailable) as error:
            if isinstance(error, NotFound) and not waits and len(self._early) < _EARLY_MAX:
                self._put_off(one)
                return
            self._warn(f"refused a command for {one.backtest_id}: {error.message}")
            said = news.command_refused(one.backtest_id, one.user_id, error, self._now_ms(), one.command_id)
            try:
                await self._bus.say([(Channel.EVENT, said.as_json())])
            except BusUnavailable as away:
                self._warn(f"whose command was refused was not told: {away.message}")

    async def _take_in(self, control: Control, passing: tuple[type[BackfleetError], ...]) -> None:
        """Raises what `Steering.request` raises; what is `passing` only if it lasts."""
        fields = control.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude=_IDENTITY)
        if not control.command_id:
            fields.pop("commandId", None)
        asked = validate(ControlRequest, fields)
        for wait_s in (*_RETRIES_S, None):
            try:
                await self._steering.request(control.backtest_id, control.user_id, asked)
                return
            except passing:
                if wait_s is None:
                    raise
                await asyncio.sleep(wait_s)
