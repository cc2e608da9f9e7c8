"""The worker: looks for work when a bell rings or a sweep is due, claims it, runs it, and lets go gracefully.

All I/O of a worker happens here and in what this calls; all computing happens in the slots' engine processes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time

from shared.bus import Bus
from shared.database import Database
from shared.errors import StoreUnavailable
from shared.records import BacktestRecord, new_id
from shared.settings import Settings
from shared.steering import Steering
from worker.asking import Asking
from worker.bell import Bell, Look
from worker.control import Mailboxes
from worker.foreign import ForeignCommands
from worker.hold import Hold
from worker.presence import Presence
from worker.runner import Runner
from worker.slots import Slots
from worker.sweeper import Sweeper

log = logging.getLogger(__name__)

# A step of an engine takes less than this, unless one decision of a strategy takes longer.
_LEAVE_S = 2.0


class Supervisor:
    """One worker process. `run` returns after a drain; `drain` asks for one."""

    def __init__(self, database: Database, bus: Bus, settings: Settings) -> None:
        self._claims = database.claims
        self._settings = settings
        self.worker_id = f"{socket.gethostname()}-{os.getpid()}-{new_id('w')[-8:]}"
        self._look = Look()
        self._slots = Slots(settings, on_wanted=self._look.again.set)
        self._draining = asyncio.Event()
        self._runs: set[asyncio.Task[None]] = set()
        self._uncertain_claim: str | None = None
        self._presence = Presence(
            bus, settings, self.worker_id, now_ms=self._claims.now_ms, busy=lambda: len(self._runs) - self._slots.parked
        )
        self._mailboxes = mailboxes = Mailboxes()
        foreign = ForeignCommands(Steering(database, bus), bus, self.worker_id, now_ms=self._claims.now_ms)
        self._bell = Bell(database.store, bus, settings, self._look, mailboxes, foreign)
        self._sweeper = Sweeper(database, bus, settings, on_swept=self._swept)
        self._asking = Asking(database, settings)
        self._runner = Runner(
            database,
            bus,
            settings,
            mailboxes,
            self._asking,
            on_published=self._sweeper.published,
            on_unfinished=self._sweeper.unfinished,
        )

    def drain(self) -> None:
        """Take no more; finish what runs, or give it back when `drain_timeout_s` is over."""
        self._draining.set()
        self._presence.drain()
        self._look.again.set()

    async def run(self) -> None:
        """Works until drained. Raises what a background task died of: a worker that is half alive helps nobody."""
        works = (
            self._slots.keep_warm(),
            self._bell.hear(),
            self._sweeper.sweep(),
            self._sweeper.flush(),
            self._presence.keep(),
            self._claim(),
        )
        background = [asyncio.create_task(work) for work in works]
        drained = asyncio.create_task(self._draining.wait())
        log.info("worker %s begins", self.worker_id)
        try:
            await asyncio.wait([drained, *background], return_when=asyncio.FIRST_COMPLETED)
            for task in background:
                if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                    raise error
            log.info("draining: %d runs have %g s to end", len(self._runs), self._settings.drain_timeout_s)
            await self._end_runs()
        finally:
            drained.cancel()
            started = [*background, *self._runs]
            for task in started:
                task.cancel()
            await asyncio.gather(*started, return_exceptions=True)
            await self._asking.close(self._settings.store_timeout_s)
            await self._presence.leave()
            await self._bell.close()
            await self._slots.close()
        await self._sweeper.mark_published()

    async def _end_runs(self) -> None:
        self._mailboxes.drain()
        if self._runs:
            await asyncio.wait(self._runs, timeout=self._settings.drain_timeout_s)
        self._mailboxes.leave_all()  # Each gives its backtest back where it stands, uncounted.
        if self._runs:
            await asyncio.wait(self._runs, timeout=_LEAVE_S)
        for run in self._runs:
            run.cancel()  # It gives its backtest back where its position was stored last.
        if self._runs:
            await asyncio.wait(self._runs, timeout=self._settings.store_timeout_s)

    def _swept(self) -> None:
        """Looks for work, and touches the health file: the sweep goes round, the store answers, and a slot can run."""
        if self._settings.health_file is not None and self._slots.healthy:
            self._settings.health_file.touch()
        self._look.again.set()

    # Claiming

    async def _claim(self) -> None:
        look = self._look
        while not self._draining.is_set():
            hold = await self._slots.take()
            look.seeking = True
            try:
                claimed = await self._next(hold)
            finally:
                look.seeking = False
            if claimed is None:
                hold.let_go()
                continue
            if look.again.is_set() and look.won is not None and self._slots.none_free:
                # The bell rang while the claim was under way, and no slot is left to answer it.
                self._bell.pass_on(look.won)
            record, sent_s, crowded = claimed
            log.info("%s: claimed, epoch %d", record["_id"], record["epoch"])
            run = asyncio.create_task(self._run(record, hold, sent_s, crowded))
            self._runs.add(run)
            run.add_done_callback(self._runs.discard)

    async def _run(self, record: BacktestRecord, hold: Hold, sent_s: float, crowded: bool) -> None:
        try:
            await self._runner.run(record, hold, claim_sent_s=sent_s, crowded=crowded)
        except Exception:
            # Ours to mend, not the backtest's fault: the lease runs out and another try is made and counted.
            log.exception("%s: the run ended in an error of the worker", record["_id"])
            await hold.kill()
        finally:
            hold.let_go()

    async def _next(self, hold: Hold) -> tuple[BacktestRecord, float, bool] | None:
        """Waits for a backtest to run: it, when its claim was sent on the monotonic clock, and whether it was there
        without waiting, so that others may be too. None when draining, or when a run comes back to the slot."""
        look = self._look
        crowded = True
        while not self._draining.is_set() and not hold.wanted:
            look.again.clear()
            look.won = None
            try:
                claimed = await self._try_claim()
            except StoreUnavailable as error:
                log.warning("cannot claim: %s", error.message)
                claimed = None
            if claimed is not None:
                return *claimed, crowded
            crowded = False
            look.idle = True
            try:
                await look.again.wait()
            finally:
                look.idle = False
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
