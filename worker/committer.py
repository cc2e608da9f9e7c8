"""Stores the ends of runs and publishes them: several at once, when several are waiting.

Order, never to be changed: results → conditional updates with the news in the outbox → publish. A run's slot is free
for the next one meanwhile; its lease is renewed until its end is stored.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from shared.batches import Batches
from shared.bus import Bus
from shared.claims import Claims, Ending, Published
from shared.errors import BusUnavailable, StoreUnavailable
from shared.records import NewsDocument
from shared.results import ResultDocument, Results
from shared.settings import Settings

log = logging.getLogger(__name__)

_UNDER_WAY_MAX = 16
_RETRY_S = 0.25
_LINGER_S = 0.004


@dataclass(slots=True)
class Commit:
    """The end of one run: its result, if it has one, and the news that was not said yet, to precede the last.

    A patient one waits a moment for others to be stored with.
    """

    ending: Ending
    result: ResultDocument | None = None
    unsaid: Sequence[NewsDocument] = ()
    patient: bool = False
    abandoned: bool = field(default=False, init=False)

    @property
    def backtest_id(self) -> str:
        return self.ending.lease.backtest_id


class Committer:
    """One per worker. `on_published` hears of each end that was published."""

    def __init__(
        self,
        claims: Claims,
        results: Results,
        bus: Bus,
        settings: Settings,
        *,
        on_published: Callable[[Published], None],
    ) -> None:
        self._claims = claims
        self._results = results
        self._bus = bus
        self._patience_s = settings.lease_ttl_s
        self._on_published = on_published
        self._room = asyncio.Semaphore(_UNDER_WAY_MAX)
        self._batches: Batches[Commit, bool] = Batches(self._commit, most=_UNDER_WAY_MAX, linger_s=_LINGER_S)

    async def commit(self, commit: Commit, *, on_accepted: Callable[[], None]) -> bool:
        """Returns when the end is stored and published, or waits in the outbox; False when the claim was lost before.

        `on_accepted` is called when there is room for it: at most `_UNDER_WAY_MAX` are under way. Repeats while the
        store is away, at most for one lease's time; then raises `StoreUnavailable`. Cancelled, it stops repeating.
        """
        async with self._room:
            on_accepted()
            try:
                return await self._batches.ask(commit, patient=commit.patient)
            except asyncio.CancelledError:
                commit.abandoned = True
                raise

    async def _commit(self, commits: list[Commit]) -> list[bool | Exception]:
        try:
            return [*await self._store_and_tell(commits)]
        except Exception as error:
            if len(commits) == 1 and not isinstance(error, StoreUnavailable):
                raise
            log.warning("%d ends not stored, trying again one by one: %s", len(commits), error)
        # Each on its own, so that one that is refused does not take the others with it.
        return await asyncio.gather(*(self._insist(one) for one in commits))

    async def _insist(self, commit: Commit) -> bool | Exception:
        """Every step can be repeated: what an earlier try did is found and taken for done."""
        ends_s = time.monotonic() + self._patience_s
        while True:
            try:
                [ours] = await self._store_and_tell([commit])
                return ours
            except StoreUnavailable as error:
                if commit.abandoned or time.monotonic() > ends_s:
                    return error
                log.warning("%s: its end is not stored, trying again: %s", commit.backtest_id, error.message)
            except Exception as error:  # noqa: BLE001 - raised in the run that it belongs to
                return error
            await asyncio.sleep(_RETRY_S)

    async def _store_and_tell(self, commits: Sequence[Commit]) -> list[bool]:
        if results := [one.result for one in commits if one.result is not None]:
            await self._results.write(results)
        held = await self._claims.end([one.ending for one in commits])
        await self._tell([one for one, ours in zip(commits, held, strict=True) if ours])
        for commit, ours in zip(commits, held, strict=True):
            if not ours and commit.result is not None:
                log.info("%s: the claim was lost, its result is discarded", commit.backtest_id)
                await self._results.discard(commit.result["_id"])
        return held

    async def _tell(self, stored: Sequence[Commit]) -> None:
        if not stored:
            return
        news = [(one.backtest_id, each) for one in stored for each in (*one.unsaid, one.ending.news)]
        try:
            await self._bus.publish_documents(news)
        except BusUnavailable as error:
            log.warning("%d ends wait in the outbox: %s", len(stored), error.message)
            return
        for one in stored:
            self._on_published(Published.of(one.backtest_id, one.ending.news))
