"""Drives one backtest through one slot: resolve the bars, step the engine, tell the news, store the end.

Order at the end, never to be changed: result and frames → conditional update with the news in the outbox → publish.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from shared.bus import Bus
from shared.candles import BarFilesGone, Candles, DamagedChunk, Slice
from shared.contracts import (
    BacktestParams,
    Channel,
    Complete,
    Event,
    Failure,
    News,
    Progress,
    Summary,
    iso_from_ms,
    validate,
)
from shared.errors import BusUnavailable, EngineFailed, FieldError, Refusal, StoreUnavailable, Unavailable
from shared.records import BacktestRecord, ResultDocument, new_id
from shared.settings import Settings
from shared.store import Store, lease_of
from worker.lease import LeaseKeeper
from worker.pipe import Load, Moved
from worker.slot import RunRefused, Slot

if TYPE_CHECKING:
    from worker.engine import Outcome

log = logging.getLogger(__name__)

_STORE_RETRY_S = 0.25
_FETCHES_MAX = 5
Answer = TypeVar("Answer")


class Runner:
    """Runs backtests that have been claimed. One instance serves all slots of a worker."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        candles: Candles,
        settings: Settings,
        *,
        on_published: Callable[[str], None],
        on_unfinished: Callable[[BacktestRecord], None],
    ) -> None:
        self._store = store
        self._bus = bus
        self._candles = candles
        self._settings = settings
        self._on_published = on_published
        self._on_unfinished = on_unfinished

    async def run(self, record: BacktestRecord, slot: Slot, *, claim_sent_s: float) -> None:
        """Runs to a terminal state, or gives the backtest back. Cancelled (a drain): gives it back, uncounted."""
        run = _Run(record)
        work = asyncio.create_task(self._drive(run, slot))
        keeper = LeaseKeeper(
            self._store,
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
            await slot.kill()  # It may be in the middle of a step, its answer would be read by the next run.
            if not keeper.lost:
                work.cancel()
                await asyncio.wait([work])
                await self._give_back(record, failed=False)
                raise
            # If nobody has taken it over, it can still be given back once the store answers again.
            self._on_unfinished(record)
        except StoreUnavailable as error:
            log.warning("%s: given up for now: %s", record["_id"], error.message)
            await slot.kill()
            self._on_unfinished(record)

    async def _drive(self, run: _Run, slot: Slot) -> None:
        try:
            bars = await self._resolve(run.record)
            await slot.start()
            begun = [(Channel.EVENT, run.started(bars)), (Channel.PROGRESS, run.progress_at(bars.start_ms, 0, bars))]
            # The news goes out while the engine works on the first step.
            _, position = await asyncio.gather(self._tell(begun), self._load(run, bars, slot))
            while position.bar < position.total_bars:
                if run.wants_to_speak(self._settings.progress_interval_s):
                    await self._tell([(Channel.PROGRESS, run.progress_news(position, bars))])
                position = await slot.advance(min(position.bar + self._settings.chunk_bars, position.total_bars))
            finished = await slot.finish()
        except Refusal as refusal:
            await self._fail(run, run.failure(refusal.code, refusal.message, refusal.errors, self._store.now_ms()))
            return
        except EngineFailed as error:
            log.warning("%s: %s", run.record["_id"], error.message)
            await slot.kill()
            await self._after_engine_failure(run, error)
            return
        except StoreUnavailable:
            raise
        except Unavailable as error:
            # A disk cache that cannot be written, say. It counts: else this worker would take the same one for ever.
            await self._after_engine_failure(run, EngineFailed(error.message))
            return
        except DamagedChunk as error:
            await self._fail(run, run.failure(error.code, error.message, error.errors, self._store.now_ms()))
            return
        last = self._tell([(Channel.PROGRESS, run.progress_news(position, bars))])
        await asyncio.gather(last, self._complete(run, bars, finished.outcome))
        await slot.recycle_if_worn(finished.peak_mib)

    async def _resolve(self, record: BacktestRecord) -> Slice:
        """The bars the record is pinned to; a record that a foreign publisher left open is pinned now."""
        params = validate(BacktestParams, record["params"])
        if record["manifestId"]:
            return await self._candles.reopen(record["manifestId"], params.start_ms, params.end_ms)
        bars = await self._candles.resolve(params.symbol, params.interval, params.start_ms, params.end_ms)
        await self._store.pin(lease_of(record), bars)
        return bars

    async def _load(self, run: _Run, bars: Slice, slot: Slot) -> Moved:
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

    async def _complete(self, run: _Run, bars: Slice, outcome: Outcome) -> None:
        record = run.record
        document = _result_document(record, bars, outcome, self._store.now_ms())
        equity = {"time_ms": outcome.time_ms, "equity": outcome.equity}
        await self._until_stored(lambda: self._store.results.write(document, equity, outcome.trades._asdict()))
        news = run.complete(document)
        ours = await self._until_stored(
            lambda: self._store.complete(record, news, result_id=document["_id"], dataset_hash=bars.dataset_hash)
        )
        if ours:
            await self._publish_end(record, Channel.COMPLETE, news)
        else:
            log.info("%s: the claim was lost, its result is discarded", record["_id"])
            await self._store.results.discard(document["_id"])

    async def _fail(self, run: _Run, news: Failure) -> None:
        if await self._until_stored(lambda: self._store.fail(run.record, news)):
            await self._publish_end(run.record, Channel.ERROR, news)

    async def _until_stored(self, write: Callable[[], Awaitable[Answer]]) -> Answer:
        """Repeats an idempotent write while the store is away. Bounded by the lease: its keeper cancels the run."""
        while True:
            try:
                return await write()
            except StoreUnavailable as error:
                log.warning("store is away, trying again: %s", error.message)
                await asyncio.sleep(_STORE_RETRY_S)

    async def _publish_end(self, record: BacktestRecord, channel: Channel, news: News) -> None:
        try:
            await self._bus.publish(channel, news)
        except BusUnavailable as error:
            log.warning("%s: its end waits in the outbox: %s", record["_id"], error.message)
            return
        self._on_published(record["_id"])

    async def _tell(self, news: Sequence[tuple[Channel, News]]) -> None:
        """News on the way: worth a try, never worth a run."""
        try:
            await self._bus.publish_all(news)
        except BusUnavailable as error:
            log.warning("%s: news not published: %s", news[0][1].backtest_id, error.message)

    async def _after_engine_failure(self, run: _Run, error: EngineFailed) -> None:
        record = run.record
        if error.fault and record["failures"] + 1 >= self._settings.failures_max:
            news = self._store.poison_news(record, epoch=record["epoch"], seq=run.next_seq(), last=error.message)
            await self._fail(run, news)
        else:
            await self._give_back(record, failed=error.fault)

    async def _give_back(self, record: BacktestRecord, *, failed: bool) -> None:
        try:
            await self._store.requeue(record, failed=failed)
        except StoreUnavailable:
            self._on_unfinished(record)


class _Run:
    """What is said of one run: its numbering, its pace, its messages."""

    def __init__(self, record: BacktestRecord) -> None:
        self.record = record
        self.progress = 0.0
        self._seq = 0
        self._spoke_s = self._began_s = time.monotonic()

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

    def wants_to_speak(self, interval_s: float) -> bool:
        return time.monotonic() - self._spoke_s >= interval_s

    def started(self, bars: Slice) -> Event:
        params = self.record["params"]
        data = {name: params[name] for name in ("symbol", "interval", "startDate", "endDate", "strategies")}
        return Event(**self._common(), type="started", data={**data, "totalBars": bars.total_bars})

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

    def failure(self, code: str, message: str, errors: tuple[FieldError, ...], now_ms: int) -> Failure:
        return Failure(
            **self._common(),
            error=message,
            code=code,
            errors=[error.as_wire() for error in errors] or None,
            timestamp=iso_from_ms(now_ms),
        )


def _result_document(record: BacktestRecord, bars: Slice, outcome: Outcome, now_ms: int) -> ResultDocument:
    names = ("totalReturn", "sharpeRatio", "maxDrawdown", "winRate", "profitFactor", "totalTrades", "finalEquity")
    return {
        "_id": new_id("res"),
        "backtestId": record["_id"],
        "userId": record["userId"],
        "claimId": record["claimId"],
        "createdAt": now_ms,
        "summary": {name: outcome.metrics[name] for name in names},
        "metrics": outcome.metrics,
        "config": record["params"],
        "datasetHash": bars.dataset_hash,
        "resultHash": outcome.result_hash,
        "engineVersion": outcome.engine_version,
        "seed": int(record["params"].get("seed", 0)),
        "totalBars": len(outcome.time_ms),
        "equity": b"",
        "frames": {},
    }
