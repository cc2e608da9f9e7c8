"""Drives one backtest through one slot: resolve the bars, have them played, hand the end over."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from shared.bus import Bus
from shared.candles import DamagedChunk, Slice
from shared.claims import Published, completed, failed, given_up, lease_of, stopped
from shared.database import Database
from shared.errors import EngineFailed, InvalidRequest, Refusal, StoreUnavailable, Unavailable
from shared.positions import Checkpoint, Stand
from shared.records import BacktestRecord
from shared.request import BacktestParams
from shared.results import ResultDocument, new_result
from shared.settings import Settings
from shared.wire import validate
from worker.asking import Asking
from worker.committer import Commit, Committer
from worker.control import Mailboxes
from worker.hold import Hold
from worker.lease import LeaseKeeper
from worker.play import Play, Run
from worker.telling import Telling

if TYPE_CHECKING:
    from worker.engine.delta import Outcome

log = logging.getLogger(__name__)

_STORE_RETRY_S = 0.25


class Runner:
    """Runs backtests that have been claimed. One instance serves all slots of a worker."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        settings: Settings,
        mailboxes: Mailboxes,
        asking: Asking,
        *,
        on_published: Callable[[Published], None],
        on_unfinished: Callable[[BacktestRecord], None],
    ) -> None:
        self._claims = database.claims
        self._results = database.results
        self._positions = database.positions
        self._candles = database.candles
        self._bus = bus
        self._run_logs = database.run_logs
        self._settings = settings
        self._mailboxes = mailboxes
        self._asking = asking
        self._on_unfinished = on_unfinished
        self._committer = Committer(self._claims, self._results, bus, settings, on_published=on_published)

    async def run(self, record: BacktestRecord, hold: Hold, *, claim_sent_s: float, crowded: bool) -> None:
        """Runs to a terminal state, or gives the backtest back. Cancelled (a drain): gives it back, uncounted.

        Lets go of the slot when its engine has done its part; the end is stored while the slot is used again. In a
        crowd, what it has to write waits a moment to go with that of others.
        """
        with self._mailboxes.open(record) as mailbox:
            telling = Telling(
                record, self._bus, self._run_logs, self._claims.now_ms, self._settings.progress_interval_s
            )
            run = Run(record, hold, mailbox, telling, crowded=crowded)
            keeper = LeaseKeeper(
                self._claims,
                self._settings,
                lease_of(record),
                mailbox,
                sent_s=claim_sent_s,
                stand=run.stand,
                on_lost=lambda: work.cancel(),
            )
            work = asyncio.create_task(self._drive(run, keeper))
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

    async def _drive(self, run: Run, keeper: LeaseKeeper) -> None:
        try:
            commit = await self._compute(run, keeper)
        except (Refusal, DamagedChunk) as error:
            commit = Commit(failed(run.record, run.telling.failure(error, self._claims.now_ms())))
        except EngineFailed as error:
            log.warning("%s: %s", run.record["_id"], error.message)
            await run.hold.kill()
            commit = await self._after_engine_failure(run, error)
        except StoreUnavailable:
            raise
        except Unavailable as error:
            # A disk cache that cannot be written, say. It counts: else this worker would take the same one for ever.
            commit = await self._after_engine_failure(run, EngineFailed(error.message))
        if commit is None:
            run.telling.send()
        await run.telling.settle()
        if commit is None:
            return
        commit.unsaid, commit.patient = run.telling.take(), run.crowded
        keeper.ending()
        ended = await self._committer.commit(commit, on_accepted=run.hold.let_go)
        if ended and run.play is not None and run.play.has_parts:
            await self._remove_parts(run.record)

    async def _compute(self, run: Run, keeper: LeaseKeeper) -> Commit | None:
        """The engine's part: from the bars to a result that is ready to be stored. None: it goes on another time."""
        run.telling.look_who_watches()
        checkpoint = _checkpoint_of(run.record)
        await run.hold.start()
        reading = self._positions.read(run.record["_id"], checkpoint.parts)
        bars, decisions = await asyncio.gather(self._resolve(run), reading)
        asks = self._asking.of(run.record)
        play = Play(
            run,
            keeper,
            bars,
            checkpoint,
            candles=self._candles,
            positions=self._positions,
            settings=self._settings,
            asks=asks,
        )
        run.play = play
        finished = await play.to_end(decisions)
        await asks.flush()
        if finished is None:
            if run.mailbox.leaving and not keeper.over:
                await self._leave(run, keeper, play)
            return None
        document = await self._prepare(run, bars, finished.outcome)
        await run.hold.recycle_if_worn(finished.peak_mib)
        if play.given_up is not None:
            failure = run.telling.failure(play.given_up, self._claims.now_ms())
            ending = given_up(run.record, failure, document["_id"], dataset_hash=bars.dataset_hash)
            return Commit(ending, document)
        said = run.telling.complete(document, play.stopped_by)
        if play.stopped_by is None:
            ending = completed(run.record, said, dataset_hash=bars.dataset_hash)
        else:
            ending = stopped(run.record, said, dataset_hash=bars.dataset_hash, progress=run.telling.percent)
        return Commit(ending, document)

    async def _leave(self, run: Run, keeper: LeaseKeeper, play: Play) -> None:
        """Gives a run back that stands where it can be taken up: nothing of it has to be done again."""
        await play.find_position()
        keeper.ending()
        await self._give_back(run.record, failed=False, stand=run.stand())

    async def _resolve(self, run: Run) -> Slice:
        """The bars the record is pinned to; a record that a foreign publisher left open is pinned now.

        How many before the first one are of use only the engine process can say, which knows everybody's strategies.
        """
        record = run.record
        params = validate(BacktestParams, record["params"])
        warmup_bars = 0 if params.warmup_bars == 0 else await run.hold.look_back(record["params"])
        wanted = (params.interval, params.start_ms, params.end_ms)
        if record["manifestId"]:
            return await self._candles.reopen(record["manifestId"], *wanted, warmup_bars=warmup_bars)
        bars = await self._candles.resolve(params.symbol, *wanted, warmup_bars=warmup_bars)
        await self._claims.pin(lease_of(record), bars)
        return bars

    async def _prepare(self, run: Run, bars: Slice, outcome: Outcome) -> ResultDocument:
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

    async def _after_engine_failure(self, run: Run, error: EngineFailed) -> Commit | None:
        """The end of a backtest that is poison; others are given back."""
        record = run.record
        if error.fault and record["failures"] + 1 >= self._settings.failures_max:
            return Commit(failed(record, run.telling.poisoned(error.message, self._claims.now_ms())))
        await self._give_back(record, failed=error.fault)
        return None

    async def _give_back(self, record: BacktestRecord, *, failed: bool, stand: Stand | None = None) -> None:
        try:
            await self._claims.requeue(record, failed=failed, stand=stand)
        except StoreUnavailable:
            self._on_unfinished(record)

    async def _remove_parts(self, record: BacktestRecord) -> None:
        """If the store is away, whoever looks for garbage finds them."""
        with contextlib.suppress(StoreUnavailable):
            await self._positions.delete_of(record["_id"])


def _checkpoint_of(record: BacktestRecord) -> Checkpoint:
    try:
        return Checkpoint.of(record)
    except InvalidRequest as error:
        log.warning("%s: its checkpoint cannot be used, it runs from its first bar: %s", record["_id"], error.message)
        return Checkpoint()
