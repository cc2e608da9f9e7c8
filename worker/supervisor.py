"""The worker: hears the bell or sweeps, claims, runs, and lets go gracefully.

All I/O of a worker happens here and in what this calls; all computing happens in the slots' engine processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import random
import socket
import time
from collections import deque
from collections.abc import Coroutine
from typing import Any, cast

from shared.bus import Bus, Resubscribed
from shared.claims import Published
from shared.contracts import Channel, Failure, Task
from shared.database import Database
from shared.errors import BusUnavailable, Conflict, EngineFailed, InvalidRequest, StoreUnavailable
from shared.instants import iso_from_ms
from shared.records import BacktestRecord, new_id
from shared.settings import Settings
from shared.wire import decode, parse_json
from worker.runner import Runner
from worker.slot import Hold, Slot

log = logging.getLogger(__name__)

# A busy worker leaves a foreign task to an idle one for this long before it stores the record itself.
_BUSY_ANSWER_S = 0.25
_ADOPTIONS_MAX = 1_000
_ADOPTION_WAITS_S = (0.1, 0.5, 2.0, 5.0, 10.0)
_PUBLISHED_FLUSH_S = 0.2
_PUBLISHED_BATCH = 200
_OUTBOX_PATIENCE_MS = 2_000
_CLOCK_SYNC_S = 60.0
_SLOT_RETRY_S = 1.0
_UNKNOWN_ID = "(unreadable)"


class Supervisor:
    """One worker process. `run` returns after a drain; `drain` asks for one."""

    def __init__(self, database: Database, bus: Bus, settings: Settings) -> None:
        self._mongo = database.mongo
        self._store = database.store
        self._claims = database.claims
        self._bus = bus
        self._settings = settings
        self.worker_id = f"{socket.gethostname()}-{os.getpid()}-{new_id('w')[-8:]}"
        self._slots: list[Slot] = [Slot(settings) for _ in range(settings.worker_slots)]
        self._free: asyncio.Queue[Slot] = asyncio.Queue()
        self._runs: set[asyncio.Task[None]] = set()
        self._adoptions: set[asyncio.Task[None]] = set()
        self._look = asyncio.Event()
        self._seeking = False  # A slot is free and a claim is being tried or awaited.
        self._idle = False  # No claim is being tried: a bell is awaited.
        self._won: Task | None = None  # The bell this worker won last and has not answered yet.
        self._draining = asyncio.Event()
        self._published: deque[Published] = deque()
        self._unfinished: deque[BacktestRecord] = deque(maxlen=4 * settings.worker_slots + 100)
        self._uncertain_claim: str | None = None
        self._contact_since_s: float | None = None
        self._runner = Runner(
            database.claims,
            database.results,
            bus,
            database.candles,
            settings,
            on_published=self._published.append,
            on_unfinished=self._unfinished.append,
        )

    def drain(self) -> None:
        """Take no more; finish what runs, or give it back when `drain_timeout_s` is over."""
        self._draining.set()
        self._look.set()

    async def run(self) -> None:
        """Works until drained. Raises what a background task died of: a worker that is half alive helps nobody."""
        background = [
            asyncio.create_task(work)
            for work in (self._start_slots(), self._hear_bells(), self._sweep(), self._flush_published(), self._claim())
        ]
        drained = asyncio.create_task(self._draining.wait())
        try:
            await asyncio.wait([drained, *background[1:]], return_when=asyncio.FIRST_COMPLETED)
            for task in background:
                if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                    raise error
            log.info("draining: %d runs have %g s to end", len(self._runs), self._settings.drain_timeout_s)
            await self._end_runs()
        finally:
            drained.cancel()
            started = [*background, *self._adoptions, *self._runs]
            for task in started:
                task.cancel()
            await asyncio.gather(*started, return_exceptions=True)
            await asyncio.gather(*(slot.kill() for slot in self._slots))
        await self._mark_published()

    async def _end_runs(self) -> None:
        if self._runs:
            await asyncio.wait(self._runs, timeout=self._settings.drain_timeout_s)
        for run in self._runs:
            run.cancel()  # The runner gives its backtest back, uncounted.
        if self._runs:
            await asyncio.wait(self._runs, timeout=self._settings.store_timeout_s)

    async def _start_slots(self) -> None:
        async def start(slot: Slot) -> None:
            while True:
                try:
                    await slot.start()
                    break
                except EngineFailed as error:
                    log.error("%s", error.message)
                    await asyncio.sleep(_SLOT_RETRY_S)
            self._free.put_nowait(slot)

        await asyncio.gather(*(start(slot) for slot in self._slots))
        log.info("worker %s is ready with %d slots", self.worker_id, len(self._slots))

    # Claiming

    async def _claim(self) -> None:
        while not self._draining.is_set():
            slot = await self._free.get()
            self._seeking = True
            try:
                claimed = await self._next()
            finally:
                self._seeking = False
            if claimed is None:
                return
            if self._look.is_set() and self._won is not None and self._free.empty():
                # The bell rang while the claim was under way, and no slot is left to answer it.
                self._spawn(self._pass_bell(self._won))
            record, sent_s, crowded = claimed
            log.info("%s: claimed, epoch %d", record["_id"], record["epoch"])
            run = asyncio.create_task(self._run(record, slot, sent_s, crowded))
            self._runs.add(run)
            run.add_done_callback(self._runs.discard)

    async def _run(self, record: BacktestRecord, slot: Slot, sent_s: float, crowded: bool) -> None:
        hold = Hold(slot, self._free.put_nowait)
        try:
            await self._runner.run(record, hold, claim_sent_s=sent_s, crowded=crowded)
        except Exception:
            # Ours to mend, not the backtest's fault: the lease runs out and another try is made and counted.
            log.exception("%s: the run ended in an error of the worker", record["_id"])
            await hold.kill()
        finally:
            hold.let_go()

    async def _next(self) -> tuple[BacktestRecord, float, bool] | None:
        """Waits for a backtest to run: it, when its claim was sent on the monotonic clock, and whether it was there
        without waiting, so that others may be too. None when draining."""
        crowded = True
        while not self._draining.is_set():
            self._look.clear()
            self._won = None
            try:
                claimed = await self._try_claim()
            except StoreUnavailable as error:
                log.warning("cannot claim: %s", error.message)
                claimed = None
            if claimed is not None:
                return *claimed, crowded
            crowded = False
            self._idle = True
            try:
                await self._look.wait()
            finally:
                self._idle = False
        return None

    async def _try_claim(self) -> tuple[BacktestRecord, float] | None:
        if self._uncertain_claim is not None:
            # A claim whose reply was lost may have been carried out. Its lease began when it was sent, so it is given
            # back rather than run: the watchdog could not tell how much of it is left.
            found = await self._claims.find_claim(self._uncertain_claim)
            if found is not None:
                await self._claims.requeue(found, failed=False)
            self._uncertain_claim = None
        claim_id = new_id("claim")
        sent_s = time.monotonic()
        try:
            record = await self._claims.claim(self.worker_id, claim_id)
        except (StoreUnavailable, asyncio.CancelledError):
            self._uncertain_claim = claim_id
            raise
        return None if record is None else (record, sent_s)

    # The bell

    async def _hear_bells(self) -> None:
        async with self._bus.listen(Channel.TASK) as heard:
            async for item in heard:
                if isinstance(item, Resubscribed):
                    self._look.set()
                    continue
                if not self._seeking and '"recorded":true' in item.payload:
                    continue  # Our gateways' bells are for idle workers; a busy one looks when it has finished.
                if not self._idle and '"recorded":true' in item.payload:
                    self._look.set()  # If the claim that is under way finds nothing, look again.
                    continue
                try:
                    task = self._read_task(item.payload)
                except InvalidRequest as error:
                    self._spawn(self._refuse(item.payload, error))
                    continue
                if not task.recorded:
                    self._spawn(self._adopt(task))
                elif self._seeking and not self._look.is_set() and await self._wins_bell(task.backtest_id):
                    self._answer(task)

    def _read_task(self, payload: str) -> Task:
        """Raises `InvalidRequest`, also for a task that is longer than a gateway would take it."""
        limit = self._settings.request_max_bytes
        if len(payload) > limit:
            raise InvalidRequest.of("$", f"has {len(payload)} characters, the most allowed is {limit}", "too_long")
        return decode(Task, payload)

    def _answer(self, task: Task) -> None:
        """Looks for work because of a bell, or passes it on when the last free slot has gone meanwhile."""
        if self._seeking:
            self._won = task
            self._look.set()
        else:
            self._spawn(self._pass_bell(task))

    async def _pass_bell(self, task: Task) -> None:
        try:
            await self._bus.ring_again(task.model_copy(update={"recorded": True}))
        except BusUnavailable as error:
            log.warning("%s: its bell was not passed on, a sweep will find it: %s", task.backtest_id, error.message)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if len(self._adoptions) >= _ADOPTIONS_MAX:
            work.close()
            log.error("%d foreign tasks are being stored already; one more was dropped", _ADOPTIONS_MAX)
            return
        task = asyncio.create_task(work)
        self._adoptions.add(task)
        task.add_done_callback(self._adoptions.discard)

    async def _wins_bell(self, name: str) -> bool:
        try:
            return await self._bus.win_bell(name)
        except BusUnavailable:
            return True  # Looking once too often is cheaper than not looking.

    async def _adopt(self, task: Task) -> None:
        """Stores the record of a task that was published without one. Exactly one worker does so."""
        if not self._seeking:
            await asyncio.sleep(_BUSY_ANSWER_S)
        if not await self._wins_bell(task.backtest_id):
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
            await self._say_refused(task.backtest_id, task.user_id, "The task could not be stored", None)
            return
        self._answer(task)

    async def _refuse(self, payload: str, error: InvalidRequest) -> None:
        """Answers a malformed task with one `backtest:error`, as far as it says whose it is."""
        log.warning("malformed task: %s", error.message)
        if not await self._wins_bell(hashlib.sha256(payload.encode()).hexdigest()):
            return
        backtest_id, user_id = _readable_ids(payload)
        await self._say_refused(backtest_id, user_id, error.message, [one.as_wire() for one in error.errors])

    async def _say_refused(
        self, backtest_id: str, user_id: str, message: str, errors: list[dict[str, str]] | None
    ) -> None:
        news = Failure.model_construct(
            backtest_id=backtest_id,
            user_id=user_id,
            status="error",
            error=message,
            timestamp=iso_from_ms(self._store.now_ms()),
            code=InvalidRequest.code,
            errors=errors,
        )
        try:
            await self._bus.say(Channel.ERROR, news.as_json())
        except BusUnavailable as error:
            log.error("a refusal could not be published: %s", error.message)

    # Sweeping

    async def _sweep(self) -> None:
        synced_s = time.monotonic()
        while True:
            # Spread over the interval, so that a fleet started at once does not sweep at once.
            await asyncio.sleep(self._settings.sweep_interval_s * random.uniform(0.8, 1.0))
            try:
                await self._give_back_unfinished()
                await self._reap()
                await self._publish_outboxes()
                if time.monotonic() - synced_s > _CLOCK_SYNC_S:
                    await self._mongo.sync_clock()
                    synced_s = time.monotonic()
            except StoreUnavailable as error:
                self._contact_since_s = None  # Leases look expired after an outage: wait before judging any.
                log.warning("sweep: %s", error.message)
                continue
            except BusUnavailable as error:
                log.warning("sweep: %s", error.message)
            self._beat()
            self._look.set()

    async def _give_back_unfinished(self) -> None:
        while self._unfinished:
            record = self._unfinished[0]
            if await self._claims.requeue(record, failed=False):
                log.info("%s: given back after the store was away", record["_id"])
            self._unfinished.popleft()

    async def _reap(self) -> None:
        now_s = time.monotonic()
        if self._contact_since_s is None:
            await self._mongo.ping()
            self._contact_since_s = now_s
        if now_s - self._contact_since_s < self._settings.lease_ttl_s:
            return
        for backtest_id, status in await self._claims.reap():
            log.warning("%s: its lease ran out; now %s", backtest_id, status.value)
            self._look.set()

    async def _publish_outboxes(self) -> None:
        for record in await self._claims.unpublished(_OUTBOX_PATIENCE_MS):
            for one in record["outbox"]:
                await self._bus.publish_document(record["_id"], one)
                self._published.append(Published.of(record["_id"], one))

    async def _flush_published(self) -> None:
        while True:
            await asyncio.sleep(_PUBLISHED_FLUSH_S)
            with contextlib.suppress(StoreUnavailable):
                await self._mark_published()

    async def _mark_published(self) -> None:
        while self._published:
            batch = [self._published[index] for index in range(min(_PUBLISHED_BATCH, len(self._published)))]
            await self._claims.mark_published(batch)
            for _ in batch:
                self._published.popleft()

    def _beat(self) -> None:
        """Touches the health file: the sweep goes round and the store answers."""
        if self._settings.health_file is not None:
            self._settings.health_file.touch()


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
