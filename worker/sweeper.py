"""What a worker does now and then, whether anything rings or not: takes back what was left, says what was not said.

Nothing depends on a message arriving; whatever Redis or a dead worker lost is found here, within one sweep.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import deque
from collections.abc import Callable
from itertools import islice

from shared import news
from shared.bus import Bus
from shared.claims import Published
from shared.contracts import Channel
from shared.database import Database
from shared.errors import BusUnavailable, StoreUnavailable
from shared.records import BacktestRecord
from shared.settings import Settings

log = logging.getLogger(__name__)

_PUBLISHED_FLUSH_S = 0.2
_PUBLISHED_BATCH = 200
_OUTBOX_PATIENCE_MS = 2_000
_CLOCK_SYNC_S = 60.0
# What dead workers left of results waits for nobody: so seldom that many workers cost nothing either.
_COLLECT_S = 300.0
_FORGOTTEN = "The session was removed, because nobody started it in time"


class Sweeper:
    """`sweep` and `flush` until cancelled. `on_swept` is called after each sweep in which the store answered."""

    def __init__(self, database: Database, bus: Bus, settings: Settings, *, on_swept: Callable[[], None]) -> None:
        self._mongo = database.mongo
        self._store = database.store
        self._claims = database.claims
        self._results = database.results
        self._run_logs = database.run_logs
        self._llm = database.llm
        self._positions = database.positions
        self._bus = bus
        self._settings = settings
        self._on_swept = on_swept
        self._published: deque[Published] = deque()
        self._unfinished: deque[BacktestRecord] = deque(maxlen=4 * settings.worker_slots + 100)
        self._contact_since_s: float | None = None

    def published(self, one: Published) -> None:
        """This news is out: its record can be told so, together with others."""
        self._published.append(one)

    def unfinished(self, record: BacktestRecord) -> None:
        """A run of this worker that could not be given back, because the store was away."""
        self._unfinished.append(record)

    async def sweep(self) -> None:
        synced_s = time.monotonic()
        collects_s = synced_s + _COLLECT_S * random.random()
        while True:
            # Spread over the interval, so that a fleet started at once does not sweep at once.
            await asyncio.sleep(self._settings.sweep_interval_s * random.uniform(0.8, 1.0))
            try:
                await self._give_back_unfinished()
                await self._reap()
                await self._remove_forgotten()
                await self._publish_outboxes()
                if time.monotonic() - synced_s > _CLOCK_SYNC_S:
                    await self._mongo.sync_clock()
                    synced_s = time.monotonic()
                if time.monotonic() > collects_s:
                    await self._collect_garbage()
                    collects_s = time.monotonic() + _COLLECT_S * random.uniform(0.8, 1.2)
            except StoreUnavailable as error:
                self._contact_since_s = None  # Leases look expired after an outage: wait before judging any.
                log.warning("sweep: %s", error.message)
                continue
            except BusUnavailable as error:
                log.warning("sweep: %s", error.message)
            self._on_swept()

    async def flush(self) -> None:
        """Marks what is published, several at once."""
        while True:
            await asyncio.sleep(_PUBLISHED_FLUSH_S)
            with contextlib.suppress(StoreUnavailable):
                await self.mark_published()

    async def mark_published(self) -> None:
        while self._published:
            batch = list(islice(self._published, _PUBLISHED_BATCH))
            await self._claims.mark_published(batch)
            for _ in batch:
                self._published.popleft()

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

    async def _remove_forgotten(self) -> None:
        for backtest_id in await self._store.forgotten():
            record = await self._store.remove_forgotten(backtest_id)
            if record is None:
                continue
            log.info("%s: removed, because nobody started it in time", backtest_id)
            try:
                await self._bus.forget(backtest_id)
                await self._bus.publish(Channel.ERROR, news.deleted(record, self._store.now_ms(), _FORGOTTEN))
            except BusUnavailable as error:
                log.warning("%s is removed but nobody was told: %s", backtest_id, error.message)

    async def _collect_garbage(self) -> None:
        removed = await self._results.collect_garbage()
        if any(removed):
            log.info("removed what dead workers left: %d results, frames of %d more", *removed)
        if gone := await self._run_logs.collect_garbage():
            log.info("removed the logs of %d backtests that were deleted", gone)
        if gone := await self._llm.decisions.collect_garbage() + await self._llm.spending.collect_garbage():
            log.info("removed what models decided in %d backtests that were deleted, and its cost", gone)
        if parts := await self._positions.collect_garbage():
            log.info("removed what ended or dead runs left of their positions: %d parts", parts)

    async def _publish_outboxes(self) -> None:
        for record in await self._claims.unpublished(_OUTBOX_PATIENCE_MS):
            for one in record["outbox"]:
                await self._bus.publish_document(record["_id"], one)
                self.published(Published.of(record["_id"], one))
