"""Tasks that somebody published without a record: each becomes one, or is answered by one `backtest:error`.

Gateways and workers both hear them. `hear` only queues, so that whoever reads the channel never waits for a server:
Redis cuts off a subscriber that reads slowly. What is queued is bounded in tasks and in bytes, and what does not fit is
refused aloud. Of all who heard a task one wins its bell and stores it, many at once. The others keep it for a moment,
because the winner may die before it has stored anything: the channel does not repeat itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from shared import news
from shared.bus import Bus, Heard
from shared.contracts import USER_PATTERN, Channel, Failure, Task
from shared.errors import BackfleetError, BusUnavailable, FieldError, InvalidRequest, StoreUnavailable, TooMany
from shared.observability import RareWarning
from shared.records import BacktestRecord
from shared.result_warnings import WarningDocument, of_unknown_fields
from shared.settings import Settings
from shared.store import Store
from shared.wire import decode_noting, matches

log = logging.getLogger(__name__)

# All that waits, is being stored or is kept: as Python holds it, so a burst of 20,000 tasks takes about 10 MB.
TASKS_MAX = 50_000
BYTES_MAX = 64 * 1024 * 1024
REFUSALS_MAX = 50_000
# What one round trip carries.
BATCH_TASKS = 400
BATCH_BYTES = 4 * 1024 * 1024
# While the store is away, how long a task is kept before its publisher is told that it could not be stored.
PATIENCE_S = 30.0
# An idle worker stores and begins at once; everybody else leaves it this long to do so.
LEFT_TO_IDLE_WORKERS_S = 0.4
# Longer than one try to store them takes, and held anew before another.
_WON_MS = 6_000
# The same text again within this is the same publication, heard twice or sent twice. Longer than the others wait with
# their second look, which must find that it is done.
SAME_PUBLICATION_MS = 10_000
_GAVE_UP_MS = 60_000
# Later than the winner's bell lasts: whoever wins it then knows that the winner came to nothing.
SECOND_LOOK_S = _WON_MS / 1000 + 0.5
_CROWDED_S = 1.0
_RETRIES_S = (0.1, 0.5, 1.0, 2.0)
_BELLS_MAX = 32
_CLOSING_S = 5.0
_BEGIN_AGAIN_S = 0.5
_AT_ONCE = 20
_NO_ROOM = "Too many published tasks wait to be stored; publish this one again later"
_NOT_STORED = "The task could not be stored, because the database did not answer; publish it again"
_OUR_FAULT = "The task could not be stored, which is a fault of backfleet; please report it"
_UNKNOWN_ID = "(unreadable)"
# How the text of our own bells ends: these have a record, and there is nothing to adopt.
RECORDED = '"recorded":true}'


@dataclass(eq=False, slots=True)
class PublishedTask:
    """One task as it was heard. `due_s` is when it may be looked at, on the monotonic clock."""

    payload: str
    heard_s: float
    heard_ms: int
    due_s: float
    warnings: list[WarningDocument] = field(default_factory=list[WarningDocument])

    @property
    def bell(self) -> str:
        return hashlib.sha256(self.payload.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def size(self) -> int:
        """Bytes it takes in memory."""
        return sys.getsizeof(self.payload)


@dataclass(eq=False, slots=True)
class Crowded:
    """A task for which there was no room: what is left of it, to refuse it by."""

    bell: str
    backtest_id: str
    user_id: str
    due_s: float


One = TypeVar("One", PublishedTask, Crowded)


class _Line:
    """Those who wait, in the order in which they came."""

    def __init__(self) -> None:
        self.waiting: deque[Any] = deque()
        self.filled = asyncio.Event()

    def add(self, one: PublishedTask | Crowded) -> None:
        self.waiting.append(one)
        self.filled.set()


class Adoption:
    """`hear` while `running`. `stored` is given the tasks that have a record since: workers should know.

    `patience_s` says how long this process leaves a task that it hears now to others.
    """

    def __init__(
        self,
        store: Store,
        bus: Bus,
        settings: Settings,
        *,
        stored: Callable[[list[Task]], Awaitable[None]] | None = None,
        patience_s: Callable[[], float] = lambda: LEFT_TO_IDLE_WORKERS_S,
    ) -> None:
        self._store = store
        self._bus = bus
        self._longest = settings.request_max_bytes
        self._stored = stored or self.ring
        self._patience_s = patience_s
        self._fresh = _Line()
        self._lost = _Line()
        self._crowded = _Line()
        self._count = self._bytes = 0
        self._under_way: set[PublishedTask] = set()
        self._closing = asyncio.Event()
        self._warn = RareWarning(log)

    @property
    def kept(self) -> int:
        """How many tasks wait, are being stored, or are kept in case that their winner dies."""
        return self._count

    async def listen(self) -> None:
        """Hears and adopts until cancelled. Whatever goes wrong is logged and begun again."""
        async with self.running():
            while True:
                try:
                    await self._listen()
                except Exception:
                    log.exception("nobody hears published tasks for %g s", _BEGIN_AGAIN_S)
                await asyncio.sleep(_BEGIN_AGAIN_S)

    async def _listen(self) -> None:
        async with self._bus.listen(Channel.TASK) as heard:
            count = 0
            async for item in heard:
                if isinstance(item, Heard):
                    self.hear(item.payload)
                count += 1
                if count % _AT_ONCE == 0:
                    await asyncio.sleep(0)  # A burst that is buffered already must not keep everybody else waiting.

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """Adopts what is heard until the block is left, and then for at most a few seconds what is still there."""
        loops = [
            asyncio.create_task(self._serve(self._fresh, self._adopt_fresh)),
            asyncio.create_task(self._serve(self._lost, self._adopt_lost)),
            asyncio.create_task(self._serve(self._crowded, self._refuse_crowded)),
        ]
        try:
            yield
        finally:
            await self._empty(loops)

    def hear(self, payload: str) -> None:
        """Takes a message of `backtest:task`. Returns at once."""
        if payload.endswith(RECORDED):
            return
        now_s = time.monotonic()
        one = PublishedTask(payload, now_s, self._store.now_ms(), now_s + self._patience_s())
        if self._makes_room_for(one.size):
            self._count += 1
            self._bytes += one.size
            self._fresh.add(one)
        elif len(self._crowded.waiting) < REFUSALS_MAX:
            # Another gateway may have room for it, so it is asked first.
            self._crowded.add(Crowded(one.bell, *readable_ids(payload), now_s + _CROWDED_S))
        else:
            self._warn(f"a task was lost: {REFUSALS_MAX} others wait for being told that there is no room")

    async def ring(self, tasks: Sequence[Task]) -> None:
        """Wakes as many workers as may be idle. Who is busy looks again when it has finished."""
        bells = [task.model_copy(update={"recorded": True}).as_json() for task in tasks[:_BELLS_MAX]]
        try:
            await self._bus.say([(Channel.TASK, one) for one in bells])
        except BusUnavailable as error:
            log.warning("%d tasks are stored, but no bell rang: %s", len(tasks), error.message)

    # Room

    def _makes_room_for(self, size: int) -> bool:
        """What others are storing is kept only as long as there is room."""
        while self._count >= TASKS_MAX or self._bytes + size > BYTES_MAX:
            if not self._lost.waiting:
                return False
            self._let_go([self._lost.waiting.popleft()])
        return True

    def _let_go(self, done: Iterable[PublishedTask]) -> None:
        for one in done:
            self._count -= 1
            self._bytes -= one.size
            self._under_way.discard(one)

    # Loops

    async def _serve(self, line: _Line, work: Callable[[list[Any]], Coroutine[Any, Any, None]]) -> None:
        while batch := await self._take(line):
            try:
                await work(batch)
            except Exception:
                log.exception("%d published tasks could not be looked at", len(batch))

    async def _take(self, line: _Line) -> list[Any]:
        """The next batch of those that are due; at the end everything is, and nothing means that nothing is left."""
        waiting = line.waiting
        while not self._closing.is_set():
            if not waiting:
                line.filled.clear()
                await line.filled.wait()
                continue
            wait_s = waiting[0].due_s - time.monotonic()
            if wait_s <= 0:
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._closing.wait()
        batch: list[Any] = []
        size = 0
        now_s = time.monotonic()
        while waiting and len(batch) < BATCH_TASKS and size < BATCH_BYTES:
            if waiting[0].due_s > now_s and not self._closing.is_set():
                break
            one = waiting.popleft()
            batch.append(one)
            if isinstance(one, PublishedTask):
                self._under_way.add(one)
                size += one.size
        return batch

    async def _empty(self, loops: Sequence[asyncio.Task[None]]) -> None:
        """What waits is stored while there is time for it; of the rest everybody is told."""
        self._closing.set()
        for line in (self._fresh, self._lost, self._crowded):
            line.filled.set()
        _, unfinished = await asyncio.wait(loops, timeout=_CLOSING_S)
        left = [*self._under_way, *self._fresh.waiting] if unfinished else []
        for loop in unfinished:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        if left:
            log.error("%d published tasks could not be stored before the end", len(left))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSING_S):
                    await self._give_up(left, _NOT_STORED, StoreUnavailable.code)

    # Adopting

    async def _adopt_fresh(self, batch: list[PublishedTask]) -> None:
        won = set(await self._win(batch, _WON_MS))
        again_s = time.monotonic() + SECOND_LOOK_S
        for one in batch:
            if one not in won:
                one.due_s = again_s
                self._under_way.discard(one)
                self._lost.add(one)
        await self._adopt([one for one in batch if one in won])

    async def _adopt_lost(self, batch: list[PublishedTask]) -> None:
        """Whoever won these should have stored them by now: a bell that can be won again belongs to one that died."""
        won = set[PublishedTask]() if self._closing.is_set() else set(await self._win(batch, _WON_MS))
        self._let_go(one for one in batch if one not in won)
        if won:
            log.warning("%d published tasks were left by whoever had won them", len(won))
            await self._adopt([one for one in batch if one in won])

    async def _win(self, batch: Sequence[One], ttl_ms: int, mark: str = "") -> list[One]:
        """Those that are this process's to deal with. Redis away: all. Doing it twice is better than not at all."""
        try:
            won = await self._bus.win_bells([one.bell + mark for one in batch], ttl_ms)
        except BusUnavailable:
            return list(batch)
        return [one for one, is_ours in zip(batch, won, strict=True) if is_ours]

    async def _adopt(self, batch: list[PublishedTask]) -> None:
        """Stores these, or answers them. Whatever happens, nothing of them is kept afterwards."""
        try:
            tasks: list[tuple[PublishedTask, Task]] = []
            refusals: list[Failure] = []
            unfit: list[PublishedTask] = []
            for number, one in enumerate(batch, 1):
                try:
                    tasks.append((one, self._read(one)))
                except InvalidRequest as error:
                    refusals.append(self._refusal(one.payload, error))
                except Exception:
                    log.exception("a published task could not be read")
                    unfit.append(one)
                if number % _AT_ONCE == 0:
                    await asyncio.sleep(0)
            await self._answer(refusals)
            await self._give_up(unfit, _OUR_FAULT, BackfleetError.code)
            await self._store_all(tasks)
            # What is done with is not begun again by those who look a second time.
            await self._keep_bells([one.bell for one in batch], SAME_PUBLICATION_MS)
        finally:
            self._let_go(batch)

    def _read(self, one: PublishedTask) -> Task:
        """Raises `InvalidRequest`, also for a task that is longer than a gateway would take it."""
        if len(one.payload) > self._longest:
            message = f"has {len(one.payload)} characters, the most allowed is {self._longest}"
            raise InvalidRequest.of("$", message, "too_long")
        task, unknown = decode_noting(Task, one.payload)
        one.warnings = of_unknown_fields(unknown)
        return task

    async def _store_all(self, tasks: list[tuple[PublishedTask, Task]]) -> None:
        tries = 0
        while tasks:
            try:
                await self._store_once(tasks)
                return
            except StoreUnavailable as error:
                self._warn(f"{len(tasks)} published tasks cannot be stored yet: {error.message}")
            except Exception:
                # A fault of ours in one of them must not be the end of the others.
                log.exception("%d published tasks could not be stored", len(tasks))
                if len(tasks) == 1:
                    await self._give_up([tasks[0][0]], _OUR_FAULT, BackfleetError.code)
                    return
                for one in tasks:
                    await self._store_all([one])
                return
            await self._give_up_old(tasks)
            tasks = [one for one in tasks if not _is_old(one[0])]
            await self._keep_bells([one.bell for one, _ in tasks], _WON_MS)
            await asyncio.sleep(_RETRIES_S[min(tries, len(_RETRIES_S) - 1)])
            tries += 1

    async def _store_once(self, tasks: list[tuple[PublishedTask, Task]]) -> None:
        unrecorded = [(one, task) for one, task in tasks if not task.recorded]
        found = await self._store.adopt([task for _, task in unrecorded], [one.warnings for one, _ in unrecorded])
        stored = [task for _, task in tasks if task.recorded]
        answers: list[tuple[Channel, str]] = []
        for (one, task), record in zip(unrecorded, found, strict=True):
            if record is None:
                stored.append(task)
            elif answer := self._answer_to_repeat(one, task, record):
                answers.append(answer)
        if stored:
            await self._stored(stored)
        await self._say(answers)

    def _answer_to_repeat(self, one: PublishedTask, task: Task, record: BacktestRecord) -> tuple[Channel, str] | None:
        """To a task whose id has a record: nothing where the record is this publication's own."""
        wanted = (task.user_id, task.priority, task.params.as_wire())
        if (record["userId"], record["priority"], record["params"]) != wanted:
            self._warn(f"task refused: backtestId {task.backtest_id} is taken by another request")
            return Channel.ERROR, news.taken(task.backtest_id, task.user_id, self._store.now_ms()).as_json()
        if record["createdAt"] > one.heard_ms - SAME_PUBLICATION_MS:
            return None
        return news.standing(record)

    async def _give_up_old(self, tasks: list[tuple[PublishedTask, Task]]) -> None:
        """Of those that are too old everybody is told, also where they have not been tried yet."""
        waiting = cast("deque[PublishedTask]", self._fresh.waiting)
        old = [one for one, _ in tasks if _is_old(one)]
        unseen: list[PublishedTask] = []
        while waiting and _is_old(waiting[0]):
            unseen.append(waiting.popleft())
        await self._give_up([*old, *unseen], _NOT_STORED, StoreUnavailable.code)
        self._let_go(unseen)

    # Answers

    async def _give_up(self, tasks: Sequence[PublishedTask], said: str, code: str) -> None:
        """Whoever kept them gives them up at about the same time; one of all says so."""
        for some in (tasks[at : at + BATCH_TASKS] for at in range(0, len(tasks), BATCH_TASKS)):
            ours = await self._win(some, _GAVE_UP_MS, ":gave-up")
            await self._answer([self._said_of(*readable_ids(one.payload), said, code) for one in ours])

    async def _refuse_crowded(self, batch: list[Crowded]) -> None:
        ours = await self._win(batch, SAME_PUBLICATION_MS)
        self._warn(f"{len(ours)} published tasks were refused for want of room")
        await self._answer([self._said_of(one.backtest_id, one.user_id, _NO_ROOM, TooMany.code) for one in ours])

    def _refusal(self, payload: str, error: InvalidRequest) -> Failure:
        self._warn(f"malformed task: {error.message}")
        return self._said_of(*readable_ids(payload), error.message, InvalidRequest.code, error.errors)

    def _said_of(
        self, backtest_id: str, user_id: str, message: str, code: str, errors: Sequence[FieldError] = ()
    ) -> Failure:
        return news.refused(backtest_id, user_id, message, errors, self._store.now_ms(), code)

    async def _answer(self, refusals: Sequence[Failure]) -> None:
        await self._say([(Channel.ERROR, one.as_json()) for one in refusals])

    async def _say(self, said: Sequence[tuple[Channel, str]]) -> None:
        for wait_s in (*_RETRIES_S, *_RETRIES_S):
            if not said:
                return
            try:
                await self._bus.say(said)
                return
            except BusUnavailable as error:
                self._warn(f"{len(said)} answers to published tasks cannot be said yet: {error.message}")
                await asyncio.sleep(wait_s)
        log.error("%d answers to published tasks were not said: Redis was away too long", len(said))

    async def _keep_bells(self, bells: Sequence[str], ttl_ms: int) -> None:
        with contextlib.suppress(BusUnavailable):
            await self._bus.keep_bells(bells, ttl_ms)


def _is_old(one: PublishedTask) -> bool:
    return time.monotonic() - one.heard_s > PATIENCE_S


def readable_ids(payload: str) -> tuple[str, str]:
    """Backtest and user of a task that is refused, where they can be read."""
    with contextlib.suppress(ValueError, RecursionError):
        value: object = json.loads(payload)
        if isinstance(value, dict):
            fields = cast("dict[str, object]", value)
            return _readable(fields.get("backtestId")), _readable(fields.get("userId"))
    return _UNKNOWN_ID, _UNKNOWN_ID


def _readable(value: object) -> str:
    """As text that can be sent to somebody: JSON can spell half a character, which nobody can."""
    return value if isinstance(value, str) and matches(USER_PATTERN, value) else _UNKNOWN_ID
