"""Drives one backtest through one slot: resolve the bars, step the engine as its playback says, hand the end over."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from shared.bus import Bus
from shared.candles import BarFilesGone, DamagedChunk, Slice
from shared.claims import Published, completed, failed, lease_of, stopped
from shared.database import Database
from shared.errors import EngineFailed, Refusal, StoreUnavailable, Unavailable
from shared.records import BacktestRecord
from shared.request import BacktestParams
from shared.results import ResultDocument, new_result
from shared.settings import Settings
from shared.wire import validate
from worker.committer import Commit, Committer
from worker.control import Mailbox, Mailboxes, command_of
from worker.lease import LeaseKeeper
from worker.pipe import Finished, Load, Moved
from worker.playback import Advance, End, Keep, Phase, Playback, Rewind, Wait
from worker.slot import Hold, RunRefused, Slot
from worker.telling import Telling

if TYPE_CHECKING:
    from worker.engine.delta import Outcome

log = logging.getLogger(__name__)

_STORE_RETRY_S = 0.25
_FETCHES_MAX = 5
# A run that is over sooner says all it has to say at once, with its end: four messages cost little more than one, and
# its end would have to wait for those that are still on their way.
_QUIET_S = 0.05


class _Run:
    """One run and what belongs to it."""

    def __init__(
        self, record: BacktestRecord, hold: Hold, mailbox: Mailbox, telling: Telling, *, crowded: bool
    ) -> None:
        self.record = record
        self.hold = hold
        self.mailbox = mailbox
        self.telling = telling
        self.crowded = crowded
        self.on_ending: Callable[[], None] = lambda: None

    @property
    def slot(self) -> Slot:
        return self.hold.slot


class Runner:
    """Runs backtests that have been claimed. One instance serves all slots of a worker."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        settings: Settings,
        mailboxes: Mailboxes,
        *,
        on_published: Callable[[Published], None],
        on_unfinished: Callable[[BacktestRecord], None],
    ) -> None:
        self._claims = database.claims
        self._results = database.results
        self._candles = database.candles
        self._bus = bus
        self._settings = settings
        self._mailboxes = mailboxes
        self._on_unfinished = on_unfinished
        self._committer = Committer(self._claims, self._results, bus, settings, on_published=on_published)

    async def run(self, record: BacktestRecord, hold: Hold, *, claim_sent_s: float, crowded: bool) -> None:
        """Runs to a terminal state, or gives the backtest back. Cancelled (a drain): gives it back, uncounted.

        Lets go of the slot when its engine has done its part; the end is stored while the slot is used again. In a
        crowd, what it has to write waits a moment to go with that of others.
        """
        with self._mailboxes.open(record) as mailbox:
            telling = Telling(record, self._bus, self._claims.now_ms)
            run = _Run(record, hold, mailbox, telling, crowded=crowded)
            work = asyncio.create_task(self._drive(run))
            keeper = LeaseKeeper(
                self._claims,
                self._settings,
                lease_of(record),
                mailbox,
                sent_s=claim_sent_s,
                progress=lambda: run.telling.percent,
                on_lost=work.cancel,
            )
            run.on_ending = keeper.ending
            try:
                async with keeper:
                    await work
            except asyncio.CancelledError:
                await hold.kill()  # It may be in the middle of a step, its answer would be read by the next run.
                if not keeper.lost:
                    work.cancel()
                    await asyncio.wait([work])
                    await self._give_back(record, failed=False)
                    raise
                # If nobody has taken it over, it can still be given back once the store answers again.
                self._on_unfinished(record)
            except StoreUnavailable as error:
                log.warning("%s: given up for now: %s", record["_id"], error.message)
                await hold.kill()
                self._on_unfinished(record)

    async def _drive(self, run: _Run) -> None:
        try:
            commit = await self._compute(run)
        except (Refusal, DamagedChunk) as error:
            commit = Commit(failed(run.record, run.telling.failure(error, self._claims.now_ms())))
        except EngineFailed as error:
            log.warning("%s: %s", run.record["_id"], error.message)
            await run.slot.kill()
            commit = await self._after_engine_failure(run, error)
        except StoreUnavailable:
            raise
        except Unavailable as error:
            # A disk cache that cannot be written, say. It counts: else this worker would take the same one for ever.
            commit = await self._after_engine_failure(run, EngineFailed(error.message))
        if commit is None:
            return
        await run.telling.settle()
        commit.unsaid, commit.patient = run.telling.take(), run.crowded
        run.on_ending()
        await self._committer.commit(commit, on_accepted=run.hold.let_go)

    async def _compute(self, run: _Run) -> Commit:
        """The engine's part: from the bars to a result that is ready to be stored."""
        await run.slot.start()
        bars = await self._resolve(run)
        run.telling.started(bars)
        playback = Playback(bars.total_bars, self._settings.chunk_bars, now_s=time.monotonic())
        finished = await self._play(run, bars, playback)
        run.telling.progress(finished.last)
        document = await self._prepare(run, bars, finished.outcome)
        await run.slot.recycle_if_worn(finished.peak_mib)
        ending = stopped if playback.phase is Phase.STOPPED else completed
        return Commit(ending(run.record, run.telling.complete(document), dataset_hash=bars.dataset_hash), document)

    async def _play(self, run: _Run, bars: Slice, playback: Playback) -> Finished:
        """Does what the playback says until the run is over."""
        loaded = False
        while True:
            for control in run.mailbox.take():
                log.info("%s: %s (command %d)", run.record["_id"], control.action, control.seq)
                playback.hear(command_of(control), time.monotonic())
            deed = playback.next(time.monotonic())
            reached: Moved | Finished | None = None
            match deed:
                case Advance(until_bar):
                    reached = await (run.slot.advance(until_bar) if loaded else self._begin(run, bars, until_bar))
                    loaded = True
                case Rewind(bar):
                    reached = await run.slot.rewind(bar)
                case Wait(until_s):
                    run.telling.send()
                    await _wait_for(run.mailbox, until_s)
                case Keep():
                    playback.kept(time.monotonic())
                case End(_, close_open_trades):
                    if not loaded:
                        await self._begin(run, bars, 1)  # Stopped before its first bar: a result has one at least.
                    return await run.slot.finish(close_open_trades)
            if isinstance(reached, Finished):
                playback.moved(reached.last.bar, time.monotonic())
                return reached
            if reached is not None:
                playback.moved(reached.bar, time.monotonic())
                self._tell_progress(run, reached)

    def _tell_progress(self, run: _Run, reached: Moved) -> None:
        if run.telling.quiet_s >= self._settings.progress_interval_s:
            run.telling.progress(reached)
        run.telling.send()

    async def _begin(self, run: _Run, bars: Slice, until_bar: int) -> Moved | Finished:
        """The first step, which is the only one of most runs. What lasts longer is announced meanwhile."""
        loading = asyncio.create_task(self._load(run, bars, until_bar))
        try:
            await asyncio.wait([loading], timeout=_QUIET_S)
            if not loading.done():
                run.telling.send()
            return await loading
        finally:
            loading.cancel()

    async def _resolve(self, run: _Run) -> Slice:
        """The bars the record is pinned to; a record that a foreign publisher left open is pinned now.

        How many before the first one are of use only the engine process can say, which knows everybody's strategies.
        """
        record = run.record
        params = validate(BacktestParams, record["params"])
        warmup_bars = 0 if params.warmup_bars == 0 else await run.slot.look_back(record["params"])
        wanted = (params.interval, params.start_ms, params.end_ms)
        if record["manifestId"]:
            return await self._candles.reopen(record["manifestId"], *wanted, warmup_bars=warmup_bars)
        bars = await self._candles.resolve(params.symbol, *wanted, warmup_bars=warmup_bars)
        await self._claims.pin(lease_of(record), bars)
        return bars

    async def _load(self, run: _Run, bars: Slice, until_bar: int) -> Moved | Finished:
        """Another process may evict a file of the disk cache between fetching and mapping it: then fetch it again."""
        for _ in range(_FETCHES_MAX):
            files = await self._candles.fetch(bars)
            try:
                load = Load(run.record["params"], files, until_bar, bars.warmup_bars)
                return await run.slot.load(load, on_busy=run.telling.busy)
            except RunRefused as refused:
                if refused.code != BarFilesGone.code:
                    raise
                log.info("%s: %s", run.record["_id"], refused.message)
        raise EngineFailed(f"bars vanished from the disk cache {_FETCHES_MAX} times; it is too small", fault=False)

    async def _prepare(self, run: _Run, bars: Slice, outcome: Outcome) -> ResultDocument:
        """The result as it will be stored; what is large of it is stored now, while the run still holds its slot."""
        document = new_result(run.record, bars, outcome, self._claims.now_ms())
        equity = {"time_ms": outcome.time_ms, "equity": outcome.equity}
        while True:  # Bounded by the lease: its keeper cancels the run.
            try:
                await self._results.prepare(document, equity, outcome.trades._asdict())
                return document
            except StoreUnavailable as error:
                log.warning("%s: store is away, trying again: %s", document["backtestId"], error.message)
                await asyncio.sleep(_STORE_RETRY_S)

    async def _after_engine_failure(self, run: _Run, error: EngineFailed) -> Commit | None:
        """The end of a backtest that is poison; others are given back."""
        record = run.record
        if error.fault and record["failures"] + 1 >= self._settings.failures_max:
            return Commit(failed(record, run.telling.poisoned(error.message, self._claims.now_ms())))
        await self._give_back(record, failed=error.fault)
        return None

    async def _give_back(self, record: BacktestRecord, *, failed: bool) -> None:
        try:
            await self._claims.requeue(record, failed=failed)
        except StoreUnavailable:
            self._on_unfinished(record)


async def _wait_for(mailbox: Mailbox, until_s: float | None) -> None:
    """For a command, at most until then on the monotonic clock."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(None if until_s is None else max(0.0, until_s - time.monotonic())):
            await mailbox.filled.wait()
