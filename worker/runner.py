"""Drives one backtest through one slot: resolve the bars, step the engine, tell the news, hand the end over."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shared import news
from shared.bus import Bus
from shared.candles import BarFilesGone, Candles, DamagedChunk, Slice
from shared.claims import Claims, Published, completed, failed, lease_of
from shared.contracts import Channel, Complete, Event, Failure, News, Progress, Summary
from shared.errors import BackfleetError, BusUnavailable, EngineFailed, Refusal, StoreUnavailable, Unavailable
from shared.instants import iso_from_ms
from shared.news import news_document
from shared.records import BacktestRecord, NewsDocument
from shared.request import BacktestParams
from shared.results import ResultDocument, Results, new_result
from shared.settings import Settings
from shared.wire import validate
from worker.committer import Commit, Committer
from worker.lease import LeaseKeeper
from worker.pipe import Finished, Load, Moved
from worker.slot import Hold, RunRefused, Slot

if TYPE_CHECKING:
    from worker.engine import Outcome

log = logging.getLogger(__name__)

_STORE_RETRY_S = 0.25
_FETCHES_MAX = 5
# A run that is over sooner says all it has to say at once, with its end: four messages cost little more than one.
_QUIET_S = 0.05


class Runner:
    """Runs backtests that have been claimed. One instance serves all slots of a worker."""

    def __init__(
        self,
        claims: Claims,
        results: Results,
        bus: Bus,
        candles: Candles,
        settings: Settings,
        *,
        on_published: Callable[[Published], None],
        on_unfinished: Callable[[BacktestRecord], None],
    ) -> None:
        self._claims = claims
        self._results = results
        self._bus = bus
        self._candles = candles
        self._settings = settings
        self._on_unfinished = on_unfinished
        self._committer = Committer(claims, results, bus, settings, on_published=on_published)

    async def run(self, record: BacktestRecord, hold: Hold, *, claim_sent_s: float, crowded: bool) -> None:
        """Runs to a terminal state, or gives the backtest back. Cancelled (a drain): gives it back, uncounted.

        Lets go of the slot when its engine has done its part; the end is stored while the slot is used again. In a
        crowd, what it has to write and to say waits a moment to go with that of others.
        """
        run = _Run(record, crowded=crowded)
        work = asyncio.create_task(self._drive(run, hold))
        keeper = LeaseKeeper(
            self._claims,
            self._settings,
            lease_of(record),
            sent_s=claim_sent_s,
            progress=lambda: run.progress,
            on_lost=work.cancel,
        )
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

    async def _drive(self, run: _Run, hold: Hold) -> None:
        slot = hold.slot
        try:
            commit = await self._compute(run, slot)
        except (Refusal, DamagedChunk) as error:
            commit = Commit(failed(run.record, run.failure(error, self._claims.now_ms())))
        except EngineFailed as error:
            log.warning("%s: %s", run.record["_id"], error.message)
            await slot.kill()
            commit = await self._after_engine_failure(run, error)
        except StoreUnavailable:
            raise
        except Unavailable as error:
            # A disk cache that cannot be written, say. It counts: else this worker would take the same one for ever.
            commit = await self._after_engine_failure(run, EngineFailed(error.message))
        if commit is None:
            return
        if run.telling is not None:
            await asyncio.wait([run.telling])  # What comes later must not overtake it: it would not be said any more.
        if run.crowded:
            commit.patient, commit.unsaid = True, run.unsaid
        else:
            self._tell(run)
        await self._committer.commit(commit, on_accepted=hold.let_go)

    async def _compute(self, run: _Run, slot: Slot) -> Commit:
        """The engine's part: from the bars to a result that is ready to be stored."""
        bars = await self._resolve(run.record)
        await slot.start()
        run.say(Channel.EVENT, run.started(bars))
        run.say(Channel.PROGRESS, run.progress_at(bars.start_ms, 0, bars))
        position = await self._begin(run, bars, slot)
        while isinstance(position, Moved):
            if run.wants_to_speak(self._settings.progress_interval_s):
                run.say(Channel.PROGRESS, run.progress_news(position, bars))
            self._tell(run)
            position = await slot.advance(min(position.bar + self._settings.chunk_bars, position.total_bars))
        run.say(Channel.PROGRESS, run.progress_news(position.last, bars))
        document = await self._prepare(run, bars, position.outcome)
        await slot.recycle_if_worn(position.peak_mib)
        said = run.complete(document)
        ending = completed(run.record, said, dataset_hash=bars.dataset_hash)
        return Commit(ending, document)

    async def _begin(self, run: _Run, bars: Slice, slot: Slot) -> Moved | Finished:
        """The first step, which is the only one of most runs. What lasts longer is announced meanwhile."""
        loading = asyncio.create_task(self._load(run, bars, slot))
        try:
            if run.crowded:
                await asyncio.wait([loading], timeout=_QUIET_S)
            if not loading.done():
                self._tell(run)
            return await loading
        finally:
            loading.cancel()

    async def _resolve(self, record: BacktestRecord) -> Slice:
        """The bars the record is pinned to; a record that a foreign publisher left open is pinned now."""
        params = validate(BacktestParams, record["params"])
        if record["manifestId"]:
            return await self._candles.reopen(record["manifestId"], params.interval, params.start_ms, params.end_ms)
        bars = await self._candles.resolve(params.symbol, params.interval, params.start_ms, params.end_ms)
        await self._claims.pin(lease_of(record), bars)
        return bars

    async def _load(self, run: _Run, bars: Slice, slot: Slot) -> Moved | Finished:
        """Another process may evict a file of the disk cache between fetching and mapping it: then fetch it again."""
        for _ in range(_FETCHES_MAX):
            files = await self._candles.fetch(bars)
            try:
                return await slot.load(
                    Load(run.record["params"], files, min(self._settings.chunk_bars, bars.total_bars))
                )
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

    def _tell(self, run: _Run) -> None:
        """News on the way: worth a try, never worth a run. The engine goes on meanwhile, whatever Redis does."""
        if run.unsaid and (run.telling is None or run.telling.done()):
            unsaid, run.unsaid = run.unsaid, []
            run.telling = asyncio.create_task(self._publish(run.record["_id"], unsaid))

    async def _publish(self, backtest_id: str, unsaid: list[NewsDocument]) -> None:
        try:
            await self._bus.publish_documents([(backtest_id, one) for one in unsaid])
        except BusUnavailable as error:
            log.warning("%s: news not published: %s", backtest_id, error.message)

    async def _after_engine_failure(self, run: _Run, error: EngineFailed) -> Commit | None:
        """The end of a backtest that is poison; others are given back."""
        record = run.record
        if error.fault and record["failures"] + 1 >= self._settings.failures_max:
            line = run.next_line()
            return Commit(failed(record, news.poisoned(record, line, last=error.message, now_ms=self._claims.now_ms())))
        await self._give_back(record, failed=error.fault)
        return None

    async def _give_back(self, record: BacktestRecord, *, failed: bool) -> None:
        try:
            await self._claims.requeue(record, failed=failed)
        except StoreUnavailable:
            self._on_unfinished(record)


class _Run:
    """What is said of one run: its numbering, its pace, its messages."""

    def __init__(self, record: BacktestRecord, *, crowded: bool) -> None:
        self.record = record
        self.crowded = crowded
        self.progress = 0.0
        self.unsaid: list[NewsDocument] = []
        self.telling: asyncio.Task[None] | None = None
        self._seq = 0
        self._spoke_s = self._began_s = time.monotonic()

    def next_line(self) -> news.Line:
        self._seq += 1
        return news.Line(self.record["_id"], self.record["userId"], self.record["epoch"], self._seq)

    def next_seq(self) -> int:
        self._seq += 1
        return self._seq

    def _common(self) -> dict[str, Any]:
        return {
            "backtest_id": self.record["_id"],
            "user_id": self.record["userId"],
            "epoch": self.record["epoch"],
            "seq": self.next_seq(),
        }

    def say(self, channel: Channel, said: News) -> None:
        self.unsaid.append(news_document(channel, said))

    def wants_to_speak(self, interval_s: float) -> bool:
        return time.monotonic() - self._spoke_s >= interval_s

    def started(self, bars: Slice) -> Event:
        params = self.record["params"]
        data = {name: params[name] for name in ("symbol", "interval", "startDate", "endDate", "strategies")}
        data |= {"totalBars": bars.total_bars, "resampledFrom": bars.resampled_from}
        return Event(**self._common(), type="started", data=data)

    def progress_news(self, position: Moved, bars: Slice) -> Progress:
        pnl = position.equity - float(self.record["params"]["initialCapital"])
        return self.progress_at(position.time_ms, position.bar, bars, position.trades_closed, pnl)

    def progress_at(self, time_ms: int, bar: int, bars: Slice, trades: int = 0, pnl: float = 0.0) -> Progress:
        self._spoke_s = time.monotonic()
        share = bar / bars.total_bars
        self.progress = round(100 * share, 2)
        day = iso_from_ms(time_ms)[:10]
        left_s = (self._spoke_s - self._began_s) * (1 - share) / share if share > 0 else None
        return Progress(
            **self._common(),
            progress=self.progress,
            message=f"Processing {day}",
            current_date=day,
            processed_bars=bar,
            total_bars=bars.total_bars,
            trades_executed=trades,
            current_pnl=round(pnl, 8),
            eta_seconds=None if left_s is None else round(left_s, 1),
        )

    def complete(self, result: ResultDocument) -> Complete:
        return Complete(
            **self._common(),
            result_id=result["_id"],
            summary=Summary.model_validate(result["summary"]),
            dataset_hash=result["datasetHash"],
            result_hash=result["resultHash"],
            total_bars=result["totalBars"],
        )

    def failure(self, error: BackfleetError, now_ms: int) -> Failure:
        return Failure(
            **self._common(),
            error=error.message,
            code=error.code,
            errors=[one.as_wire() for one in error.errors] or None,
            timestamp=iso_from_ms(now_ms),
        )
