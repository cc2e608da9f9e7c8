"""What is said of a run: its numbering and its pace. News on the way is worth a try and never worth a run."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from shared import news
from shared.bus import Bus
from shared.candles import Slice
from shared.contracts import Channel, Complete, Failure, News
from shared.errors import BackfleetError, BusUnavailable
from shared.records import BacktestRecord, NewsDocument
from shared.results import ResultDocument
from worker.pipe import Moved

log = logging.getLogger(__name__)


class Telling:
    """Of one run. What is said waits until `send`, or until the end takes it along."""

    def __init__(self, record: BacktestRecord, bus: Bus, now_ms: Callable[[], int]) -> None:
        self._record = record
        self._bus = bus
        self._numbering = news.Numbering(record, now_ms)
        self._unsaid: list[NewsDocument] = []
        self._sending: asyncio.Task[None] | None = None
        self._began_s = self._spoke_s = time.monotonic()
        self._reached: news.Reached | None = None
        self.percent = 0.0

    @property
    def quiet_s(self) -> float:
        """How long ago the progress was told."""
        return time.monotonic() - self._spoke_s

    def started(self, bars: Slice) -> None:
        """The run has begun and stands before its first bar."""
        line = self._numbering.next()
        params = self._record["params"]
        started = news.started(line, params, total_bars=bars.total_bars, resampled_from=bars.resampled_from)
        self._say(Channel.EVENT, started)
        self._say_progress(news.Reached(bars.start_ms, 0, bars.total_bars))

    def progress(self, moved: Moved) -> None:
        pnl = moved.equity - float(self._record["params"]["initialCapital"])
        self._say_progress(news.Reached(moved.time_ms, moved.bar, moved.total_bars, moved.trades_closed, pnl))

    def busy(self, doing: str) -> None:
        """What is being done while the run stands where it stood."""
        if self._reached is not None:
            self._say_progress(self._reached, doing)
            self.send()

    def complete(self, result: ResultDocument) -> Complete:
        """The end of the run, which whoever stores it publishes."""
        return news.complete(self._numbering.next(), result, self._record["startedAt"])

    def failure(self, error: BackfleetError, now_ms: int) -> Failure:
        return news.failure(self._numbering.next(), error, now_ms)

    def poisoned(self, last: str, now_ms: int) -> Failure:
        return news.poisoned(self._record, self._numbering.next(), last=last, now_ms=now_ms)

    def send(self) -> None:
        """Sends what is unsaid, after earlier news that is still on its way. The run goes on, whatever Redis does."""
        if self._unsaid and (self._sending is None or self._sending.done()):
            self._sending = asyncio.create_task(self._send_all())

    async def settle(self) -> None:
        """Until nothing is on its way: what comes later must not overtake it, it would not be said any more."""
        if self._sending is not None:
            await asyncio.wait([self._sending])

    def take(self) -> list[NewsDocument]:
        """What was not sent yet, in order. Whoever takes it sends it."""
        taken, self._unsaid = self._unsaid, []
        return taken

    def _say_progress(self, reached: news.Reached, doing: str | None = None) -> None:
        self._spoke_s = time.monotonic()
        self._reached = reached
        self.percent = reached.percent
        bars_left = reached.total_bars - reached.bar
        left_s = (self._spoke_s - self._began_s) * bars_left / reached.bar if reached.bar else None
        self._say(Channel.PROGRESS, news.progress(self._numbering.next(), reached, left_s, doing))

    def _say(self, channel: Channel, one: News) -> None:
        self._unsaid.append(news.news_document(channel, one))

    async def _send_all(self) -> None:
        while unsaid := self.take():
            try:
                await self._bus.publish_documents([(self._record["_id"], one) for one in unsaid])
            except BusUnavailable as error:
                log.warning("%s: news not published: %s", self._record["_id"], error.message)
