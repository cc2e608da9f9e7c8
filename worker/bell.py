"""What a worker hears: bells that say that there is work, tasks that nobody stored yet, and commands for its runs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine

from shared.adoption import RECORDED, Adoption
from shared.bus import Bus, Resubscribed
from shared.contracts import Channel, Task
from shared.controls import Control
from shared.errors import BusUnavailable, InvalidRequest
from shared.observability import RareWarning
from shared.settings import Settings
from shared.store import Store
from shared.wire import decode
from worker.control import Mailboxes
from worker.foreign import ForeignCommands

log = logging.getLogger(__name__)

# A busy worker leaves a foreign task to an idle one for this long before it stores the record itself.
_BUSY_ANSWER_S = 0.25
_HEARD_AT_ONCE = 100
_COUNT_AGAIN_S = 1.0


class Look:
    """Whether this worker looks for work, and whether it should look again."""

    def __init__(self) -> None:
        self.again = asyncio.Event()
        self.seeking = False  # A slot is free and a claim is being tried or awaited.
        self.idle = False  # No claim is being tried: a bell is awaited.
        self.won: Task | None = None  # The bell this worker won last and has not answered yet.


class Bell:
    """`hear` until cancelled, `close` afterwards."""

    def __init__(
        self, store: Store, bus: Bus, settings: Settings, look: Look, mailboxes: Mailboxes, foreign: ForeignCommands
    ) -> None:
        self._bus = bus
        self._look = look
        self._mailboxes = mailboxes
        self._foreign = foreign
        self._adoption = Adoption(
            store,
            bus,
            settings,
            stored=self._answer_stored,
            patience_s=lambda: 0.0 if look.seeking else _BUSY_ANSWER_S,
        )
        self._answers: set[asyncio.Task[None]] = set()
        self._alone = False
        self._counted_s = float("-inf")
        self._warn = RareWarning(log)

    async def hear(self) -> None:
        listening = self._bus.listen(Channel.TASK, Channel.CONTROL)
        async with self._adoption.running(), self._foreign.running(), listening as heard:
            count = 0
            async for item in heard:
                if isinstance(item, Resubscribed):
                    self._alone = False
                    self._look.again.set()
                    self._mailboxes.ring_all()
                elif item.channel is Channel.CONTROL:
                    self._hear_control(item.payload)
                elif item.payload.endswith(RECORDED):
                    await self._hear_bell(item.payload)
                else:
                    self._adoption.hear(item.payload)
                count += 1
                if count % _HEARD_AT_ONCE == 0:
                    await asyncio.sleep(0)  # A burst that is buffered already must not keep the runs waiting.

    async def close(self) -> None:
        for answer in self._answers:
            answer.cancel()
        await asyncio.gather(*self._answers, return_exceptions=True)

    def pass_on(self, task: Task) -> None:
        """Somebody else has to answer this bell: the last free slot has gone meanwhile."""
        self._beside(self._pass_on(task))

    def _beside(self, work: Coroutine[None, None, None]) -> None:
        answer = asyncio.create_task(work)
        self._answers.add(answer)
        answer.add_done_callback(self._answers.discard)

    def _hear_control(self, payload: str) -> None:
        """What a gateway says is in the record already; what anybody else says is put there."""
        try:
            control = decode(Control, payload)
        except InvalidRequest as error:
            self._foreign.hear_malformed(payload, error)
            return
        if control.action == "watch":
            self._mailboxes.watch(control.backtest_id)
        elif control.seq is None:
            self._foreign.hear(control)
        else:
            self._mailboxes.ring(control.backtest_id)

    async def _hear_bell(self, payload: str) -> None:
        look = self._look
        if not look.seeking:
            return  # Our gateways' bells are for idle workers; a busy one looks when it has finished.
        if not look.idle:
            look.again.set()  # If the claim that is under way finds nothing, look again.
            return
        try:
            task = decode(Task, payload)
        except InvalidRequest as error:
            self._warn(f"ignored a malformed bell: {error.message}")
            return
        if not look.again.is_set() and await self._wins(task.backtest_id):
            self._answer(task)

    async def _answer_stored(self, tasks: list[Task]) -> None:
        self._answer(tasks[0])
        if len(tasks) > 1:
            await self._adoption.ring(tasks[1:])

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

    async def _wins(self, name: str) -> bool:
        """Whether this worker is the one that looks. Looking once too often is cheaper than not looking."""
        now_s = time.monotonic()
        if now_s - self._counted_s > _COUNT_AGAIN_S:
            self._counted_s = now_s
            self._beside(self._count_workers())
        if self._alone:
            return True
        try:
            return await self._bus.win_bell(name)
        except BusUnavailable:
            return True

    async def _count_workers(self) -> None:
        """Whoever listens alone has nobody to race. What has changed since costs another worker a look in vain."""
        try:
            self._alone = await self._bus.count_listeners(Channel.CONTROL) == 1
        except BusUnavailable:
            self._alone = False
