"""What a worker hears: bells that say that there is work, tasks that nobody stored yet, and commands for its runs."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Coroutine
from typing import Any, cast

from shared import news
from shared.bus import Bus, Resubscribed
from shared.contracts import Channel, Control, Failure, Task
from shared.errors import BusUnavailable, Conflict, InvalidRequest, StoreUnavailable
from shared.observability import RareWarning
from shared.settings import Settings
from shared.store import Store
from shared.wire import decode, parse_json
from worker.control import Mailboxes

log = logging.getLogger(__name__)

# A busy worker leaves a foreign task to an idle one for this long before it stores the record itself.
_BUSY_ANSWER_S = 0.25
_ADOPTIONS_MAX = 1_000
_ADOPTION_WAITS_S = (0.1, 0.5, 2.0, 5.0, 10.0)
_UNKNOWN_ID = "(unreadable)"


class Look:
    """Whether this worker looks for work, and whether it should look again."""

    def __init__(self) -> None:
        self.again = asyncio.Event()
        self.seeking = False  # A slot is free and a claim is being tried or awaited.
        self.idle = False  # No claim is being tried: a bell is awaited.
        self.won: Task | None = None  # The bell this worker won last and has not answered yet.


class Bell:
    """`hear` until cancelled, `close` afterwards."""

    def __init__(self, store: Store, bus: Bus, settings: Settings, look: Look, mailboxes: Mailboxes) -> None:
        self._store = store
        self._bus = bus
        self._settings = settings
        self._look = look
        self._mailboxes = mailboxes
        self._answers: set[asyncio.Task[None]] = set()
        self._warn = RareWarning(log)

    async def hear(self) -> None:
        async with self._bus.listen(Channel.TASK, Channel.CONTROL) as heard:
            async for item in heard:
                if isinstance(item, Resubscribed):
                    self._look.again.set()
                    self._mailboxes.ring_all()
                elif item.channel is Channel.CONTROL:
                    self._hear_control(item.payload)
                else:
                    await self._hear_task(item.payload)

    async def close(self) -> None:
        for answer in self._answers:
            answer.cancel()
        await asyncio.gather(*self._answers, return_exceptions=True)

    def pass_on(self, task: Task) -> None:
        """Somebody else has to answer this bell: the last free slot has gone meanwhile."""
        self._spawn(self._pass_on(task))

    def _hear_control(self, payload: str) -> None:
        try:
            self._mailboxes.ring(decode(Control, payload).backtest_id)
        except InvalidRequest as error:
            self._warn(f"ignored a malformed message on {Channel.CONTROL.value}: {error.message}")

    async def _hear_task(self, payload: str) -> None:
        look = self._look
        recorded = '"recorded":true' in payload
        if recorded and not look.seeking:
            return  # Our gateways' bells are for idle workers; a busy one looks when it has finished.
        if recorded and not look.idle:
            look.again.set()  # If the claim that is under way finds nothing, look again.
            return
        try:
            task = self._read_task(payload)
        except InvalidRequest as error:
            self._spawn(self._refuse(payload, error))
            return
        if not task.recorded:
            self._spawn(self._adopt(task))
        elif look.seeking and not look.again.is_set() and await self._wins(task.backtest_id):
            self._answer(task)

    def _read_task(self, payload: str) -> Task:
        """Raises `InvalidRequest`, also for a task that is longer than a gateway would take it."""
        limit = self._settings.request_max_bytes
        if len(payload) > limit:
            raise InvalidRequest.of("$", f"has {len(payload)} characters, the most allowed is {limit}", "too_long")
        return decode(Task, payload)

    def _answer(self, task: Task) -> None:
        """Looks for work because of a bell, or passes it on when the last free slot has gone meanwhile."""
        if self._look.seeking:
            self._look.won = task
            self._look.again.set()
        else:
            self.pass_on(task)

    async def _pass_on(self, task: Task) -> None:
        try:
            await self._bus.ring_again(task.model_copy(update={"recorded": True}))
        except BusUnavailable as error:
            log.warning("%s: its bell was not passed on, a sweep will find it: %s", task.backtest_id, error.message)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if len(self._answers) >= _ADOPTIONS_MAX:
            work.close()
            log.error("%d foreign tasks are being stored already; one more was dropped", _ADOPTIONS_MAX)
            return
        answer = asyncio.create_task(work)
        self._answers.add(answer)
        answer.add_done_callback(self._answers.discard)

    async def _wins(self, name: str) -> bool:
        try:
            return await self._bus.win_bell(name)
        except BusUnavailable:
            return True  # Looking once too often is cheaper than not looking.

    async def _adopt(self, task: Task) -> None:
        """Stores the record of a task that was published without one. Exactly one worker does so."""
        if not self._look.seeking:
            await asyncio.sleep(_BUSY_ANSWER_S)
        if not await self._wins(task.backtest_id):
            return
        for wait_s in _ADOPTION_WAITS_S:
            try:
                await self._store.adopt(task)
                break
            except Conflict as error:
                log.warning("task refused: %s", error.message)
                return
            except StoreUnavailable as error:
                log.warning("%s: cannot be stored yet: %s", task.backtest_id, error.message)
                await asyncio.sleep(wait_s)
        else:
            said = "The task could not be stored"
            await self._say(news.refused(task.backtest_id, task.user_id, said, (), self._store.now_ms()))
            return
        self._answer(task)

    async def _refuse(self, payload: str, error: InvalidRequest) -> None:
        """Answers a malformed task with one `backtest:error`, as far as it says whose it is."""
        log.warning("malformed task: %s", error.message)
        if not await self._wins(hashlib.sha256(payload.encode()).hexdigest()):
            return
        backtest_id, user_id = _readable_ids(payload)
        await self._say(news.refused(backtest_id, user_id, error.message, error.errors, self._store.now_ms()))

    async def _say(self, refusal: Failure) -> None:
        try:
            await self._bus.say(Channel.ERROR, refusal.as_json())
        except BusUnavailable as error:
            log.error("a refusal could not be published: %s", error.message)


def _readable_ids(payload: str) -> tuple[str, str]:
    """Backtest and user of a malformed task, where they can be read."""
    with contextlib.suppress(InvalidRequest):
        value = parse_json(payload)
        if isinstance(value, dict):
            fields = cast("dict[str, object]", value)
            return _readable(fields.get("backtestId")), _readable(fields.get("userId"))
    return _UNKNOWN_ID, _UNKNOWN_ID


def _readable(value: object) -> str:
    if isinstance(value, str) and 0 < len(value) <= 256:
        with contextlib.suppress(UnicodeEncodeError):  # JSON can spell half a character, which nobody can be sent.
            value.encode()
            return value
    return _UNKNOWN_ID
