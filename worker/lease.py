"""Holding a lease: renew it in time, or stop the run before somebody else may take it.

A failed renewal is *unknown*, not lost: it is tried again until the watchdog, which counts on the monotonic clock from
when the last successful request was *sent*, says that the lease may be over on MongoDB's clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from shared.claims import Claims
from shared.errors import StoreUnavailable
from shared.lifecycle import Lease, Status
from shared.positions import Stand
from shared.records import BacktestRecord
from shared.settings import Settings
from worker.control import Mailbox

log = logging.getLogger(__name__)

# The run must have stopped before the lease ends: this share of it is kept for stopping.
_SAFETY_SHARE = 0.15
_RETRY_S = 0.5
# However often the mailbox is rung, MongoDB is not asked more often than this.
_RING_PAUSE_S = 0.02


class LeaseKeeper:
    """Renews while the block runs; calls `on_lost` at most once, when the lease is lost or may be.

    `sent_s` is the monotonic time at which the claim was sent. `stand` tells at each renewal where the run stands, and
    each renewal brings the run's mail; where the mailbox is rung, the next one is made at once. Whatever else a run
    writes while it goes on is written here, too, one after the other: what was heard last must not be overwritten.
    """

    def __init__(
        self,
        claims: Claims,
        settings: Settings,
        lease: Lease,
        mailbox: Mailbox,
        *,
        sent_s: float,
        stand: Callable[[], Stand],
        on_lost: Callable[[], object],
    ) -> None:
        self._claims = claims
        self._settings = settings
        self._lease = lease
        self._mailbox = mailbox
        self._sent_s = sent_s
        self._stand = stand
        self._writing = asyncio.Lock()
        self._on_lost = on_lost
        self._task: asyncio.Task[None] | None = None
        self._ending = False
        self.lost = False

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._keep())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    @property
    def over(self) -> bool:
        """Whether the lease is given up, or is about to be."""
        return self._ending

    def ending(self) -> None:
        """The end of the run is being stored from here on. It gives the lease up by itself, and it is fenced by its
        claim: a lease that is gone is no reason any more to stop the run.
        """
        self._ending = True

    async def keep(self, status: Status) -> None:
        """Stores where the run stands. Raises `StoreUnavailable`."""
        async with self._writing:
            record = await self._claims.keep(self._lease, self._stand(), status)
            if record is not None:
                self._mailbox.deliver(record)
            else:
                self._lose("belongs to somebody else now")

    async def let_go(self) -> bool:
        """Gives a paused run up, so that nobody holds it. False: something was asked of it meanwhile, which comes with
        the mail. Raises `StoreUnavailable`; nobody knows then."""
        async with self._writing:
            if self._mailbox.filled.is_set():
                return False
            if await self._claims.pause(self._lease, self._stand(), self._mailbox.looked_seq):
                self._ending = True
                return True
        self._mailbox.rung.set()
        return False

    @property
    def _ends_s(self) -> float:
        return self._sent_s + self._settings.lease_ttl_s * (1 - _SAFETY_SHARE)

    async def _keep(self) -> None:
        try:
            await self._renew_in_time()
        except Exception:
            # Without its keeper a lease ends unnoticed, and two workers run the same backtest.
            log.exception("lease of %s: its keeper failed", self._lease.backtest_id)
            self._lose("is not kept any more")

    async def _renew_in_time(self) -> None:
        wait_s = self._settings.lease_renew_s
        while True:
            await self._wait(max(0.0, min(wait_s, self._ends_s - time.monotonic())))
            sent_s = time.monotonic()
            if sent_s >= self._ends_s:
                return self._lose("could not be renewed in time")
            try:
                async with asyncio.timeout(self._ends_s - sent_s):
                    record = await self._renew()
            except (StoreUnavailable, TimeoutError) as error:
                log.warning("lease of %s: renewal unknown (%s)", self._lease.backtest_id, error)
                wait_s = min(_RETRY_S, self._settings.lease_renew_s)
                continue
            if record is None:
                return self._lose("belongs to somebody else now")
            self._sent_s = sent_s
            wait_s = self._settings.lease_renew_s

    async def _renew(self) -> BacktestRecord | None:
        async with self._writing:
            record = await self._claims.renew(self._lease, self._stand())
            if record is not None:
                self._mailbox.deliver(record)
            return record

    async def _wait(self, wait_s: float) -> None:
        """So long, or until the mailbox is rung."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._mailbox.rung.wait()
                await asyncio.sleep(_RING_PAUSE_S)
        self._mailbox.rung.clear()

    def _lose(self, why: str) -> None:
        if self._ending:
            return
        log.warning("lease of %s %s: the run stops", self._lease.backtest_id, why)
        self.lost = True
        self._on_lost()
