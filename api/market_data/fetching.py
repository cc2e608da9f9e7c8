"""Bars from an exchange into the store: what to ask next, what of an answer to take, how often to try, what to keep.

Nothing here knows how to speak to an exchange (`exchanges.py` does), and time passes only through `LocalClock`, so that
every way in which an exchange can misbehave is a test without a network and without waiting.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import numpy as np

from shared.bars import Bars
from shared.candles import Candles, Gap, ImportReport, OnConflict, first_fault, join_bars
from shared.candles.grid import Grid
from shared.errors import ExchangeUnavailable, ImportRefused, InvalidRequest
from shared.instants import INTERVAL_MS, iso_from_ms

Candle = tuple[int, float, float, float, float, float]
Answer = TypeVar("Answer")

STORED_EVERY_BARS = 50_000  # An interrupted fetch loses less than this; each time makes one version of the series.
ATTEMPTS_MAX = 8
PAUSE_FIRST_S, PAUSE_MAX_S = 1.0, 60.0  # Doubled from attempt to attempt.
WAIT_ASKED_MAX_S = 600.0  # An exchange that asks for a longer pause has banned this address.
_LATE_BARS = 2
_CLOCK_SLOW_MS = 30_000
FAR_MS = 253_402_300_799_000  # the last second of the year 9999
_GAPS_KEPT = 1_000
_GAPS_SHOWN = 10


class Trouble(Exception):
    """An exchange did not answer well this time and may the next. `wait_s` is how long it asks to be left alone."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait_s = wait_s


class Exchange(Protocol):
    """One symbol of one exchange. Both calls raise `Trouble`, or `Refusal` where asking again would change nothing."""

    name: str
    symbol: str
    page_bars: int

    async def page(self, interval: str, since_ms: int) -> Sequence[Sequence[Any]]:
        """At most about `page_bars` candles (time in ms, open, high, low, close, volume) from `since_ms` on."""
        ...

    async def own_time_ms(self) -> int | None:
        """The exchange's clock, or None where it does not show it."""
        ...


@dataclass(frozen=True, slots=True)
class LocalClock:
    """This machine's clock, and how to wait. The store and the exchange have clocks of their own."""

    now_s: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def now_ms(self) -> int:
        return int(self.now_s() * 1000)


class Watcher(Protocol):
    """Hears how a fetch goes on."""

    def begins(self, since_ms: int, end_ms: int) -> None:
        """A span is about to be fetched."""
        ...

    def reached(self, until_ms: int, bars: int) -> None:
        """All there is until `until_ms` was fetched; `bars` came in the last page."""
        ...

    def waits(self, reason: str, pause_s: float) -> None:
        """The exchange is asked again after `pause_s`."""
        ...


async def with_patience(
    ask: Callable[[], Awaitable[Answer]], what: str, clock: LocalClock, watcher: Watcher | None = None
) -> Answer:
    """What `ask` returns, asked up to `ATTEMPTS_MAX` times with growing pauses, or those the exchange asks for.

    Raises `ExchangeUnavailable` in the end, and whatever else `ask` raises at once.
    """
    started_s = clock.now_s()
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            return await ask()
        except Trouble as trouble:
            pause_s = max(min(PAUSE_FIRST_S * 2 ** (attempt - 1), PAUSE_MAX_S), trouble.wait_s or 0)
            if pause_s > WAIT_ASKED_MAX_S:
                raise ExchangeUnavailable(
                    f"{what}: {trouble.reason}; it asks to be left alone for {pause_s:,.0f} s. Run the same command "
                    "again then: it goes on from what is stored"
                ) from trouble
            if attempt == ATTEMPTS_MAX:
                tried = f"asked {attempt} times in {clock.now_s() - started_s:,.0f} s"
                raise ExchangeUnavailable(
                    f"{what}: {trouble.reason}; {tried}. Run the same command again later: it goes on from what is "
                    "stored"
                ) from trouble
            if watcher:
                watcher.waits(trouble.reason, pause_s)
            await clock.sleep(pause_s)
    raise AssertionError("the last attempt returns or raises")


def later(interval: str, time_ms: int, bars: int) -> int:
    """So many bars later: of months, at the beginning of one."""
    if interval != "1M":
        return time_ms + bars * INTERVAL_MS[interval]
    months = Grid.of(interval)
    return months.start(months.slot(time_ms) + bars)


def last_finished(interval: str, now_ms: int) -> int:
    """When the last bar may have begun that has ended by now."""
    return now_ms - INTERVAL_MS[interval] if interval != "1M" else Grid.of(interval).before(now_ms) - 1


def _bars_between(interval: str, start_ms: int, end_ms: int) -> int:
    if interval != "1M":
        return (end_ms - start_ms) // INTERVAL_MS[interval]
    months = Grid.of(interval)
    return months.slot(end_ms) - months.slot(start_ms)


@dataclass(slots=True)
class Walk:
    """One way through time, page by page: it says where to ask next and takes from an answer what is new. No I/O.

    `next_ms` grows by at least one bar in two pages, so a walk ends whatever the exchange answers. Nothing, answered
    twice, is a gap of the exchange: the walk goes on behind the time that a page covers. Only finished bars before
    `until_ms` are taken. A candle that comes twice counts once; with other values it is refused.
    """

    of: str  # names the series in errors
    interval: str
    next_ms: int
    until_ms: int
    page_bars: int
    gaps: list[Gap] = field(default_factory=list[Gap])  # the first of them
    gap_count: int = 0
    _expected_ms: int = -1  # where the next bar starts unless there is a gap
    _last_page: list[Candle] = field(default_factory=list[Candle])
    _doubted: bool = False  # whether the last answer was nothing

    def __post_init__(self) -> None:
        self._expected_ms = self.next_ms

    def ended(self, now_ms: int) -> bool:
        """Whether no finished bar can be missing any more."""
        return self.next_ms >= self.until_ms or self._later(self.next_ms, 1) > now_ms

    def _later(self, time_ms: int, bars: int) -> int:
        return later(self.interval, time_ms, bars)

    def take(self, answer: Sequence[Sequence[Any]], now_ms: int) -> Bars:
        """The new bars of an answer, maybe none. Raises `ImportRefused` for an answer that cannot be true."""
        last_ms = min(self.until_ms - 1, last_finished(self.interval, now_ms))
        candles = [self._read_candle(one) for one in answer]
        page = [one for one in candles if one[0] <= last_ms]
        fresh = self._without_repeats(page)
        if fresh:
            self.next_ms = self._later(fresh[-1][0], 1)
            self._doubted = False
        elif len(candles) > len(page):
            self.next_ms = last_ms + 1  # What comes next is unfinished or not wanted: this was all.
        elif page and page == self._last_page:
            raise ImportRefused(
                f"{self.of}: asked for candles from {iso_from_ms(self.next_ms)} on, the exchange repeats those until "
                f"{iso_from_ms(page[-1][0])} and never goes on. What came before is stored; try again, or go on with a "
                "later --since"
            )
        elif self._doubted:
            self.next_ms = self._later(self.next_ms, self.page_bars)
        else:
            self._doubted = True
        self._last_page = page or self._last_page
        bars = _as_bars(fresh)
        self._check(bars, now_ms)
        for time_ms in bars.time_ms.tolist():
            self._note_gap(time_ms)
            self._expected_ms = self._later(time_ms, 1)
        return bars

    def end(self, now_ms: int) -> None:
        """Notes what is missing at the end. With its last candles an exchange may be a little late."""
        self._note_gap(min(self.until_ms, self._later(now_ms, -_LATE_BARS)))

    def _note_gap(self, until_ms: int) -> None:
        missing = _bars_between(self.interval, self._expected_ms, until_ms)
        if missing > 0:
            self.gap_count += 1
            if len(self.gaps) < _GAPS_KEPT:
                self.gaps.append(Gap(self._expected_ms, self._later(self._expected_ms, missing), missing))

    def _read_candle(self, candle: Sequence[Any]) -> Candle:
        """Volume may be missing, as in files. Raises `ImportRefused` where anything else is no number."""
        values = [*candle[:5], (candle[5] if len(candle) > 5 else None) or 0.0]
        if len(values) != 6 or type(values[0]) is not int or not all(isinstance(one, int | float) for one in values):
            raise ImportRefused(
                f"{self.of}: the exchange answered {str(candle)[:120]} where a time, four prices and a volume belong, "
                f"asked for candles from {iso_from_ms(self.next_ms)} on; leave them out with --until and --since, or "
                "fetch from another exchange"
            )
        time_ms, *numbers = values
        opened, high, low, close, volume = map(float, numbers)
        return time_ms, opened, high, low, close, volume

    def _without_repeats(self, page: list[Candle]) -> list[Candle]:
        """The candles from `next_ms` on, each time once."""
        known = {one[0]: one for one in self._last_page}
        fresh: list[Candle] = []
        for before, one in zip([None, *page], page, strict=False):
            if before and one[0] < before[0]:
                raise ImportRefused(
                    f"{self.of}: the exchange answered {iso_from_ms(one[0])} after {iso_from_ms(before[0])}; candles "
                    "out of order cannot be trusted. Try again, or fetch from another exchange"
                )
            if known.setdefault(one[0], one) != one:
                raise ImportRefused(
                    f"{self.of}: the exchange answered the candle of {iso_from_ms(one[0])} twice with different "
                    f"values, {known[one[0]][1:]} and {one[1:]}. Run the same command again; if it stays so, fetch "
                    "from another exchange"
                )
            if one[0] >= self.next_ms and not (fresh and fresh[-1][0] == one[0]):
                fresh.append(one)
        return fresh

    def _check(self, bars: Bars, now_ms: int) -> None:
        fault = first_fault(bars, self.interval, now_ms) if bars.total else None
        if fault:
            raise ImportRefused(
                f"{self.of}: of the candle of {iso_from_ms(int(bars.time_ms[fault.bar]))}, {fault.column} "
                f"{fault.value} {fault.reason}; leave it out with --until and --since, or fetch from another exchange"
            )


def _as_bars(candles: Sequence[Candle]) -> Bars:
    table = np.array([one[1:] for one in candles], np.float64).reshape(-1, 5)
    times = np.array([one[0] for one in candles], np.int64)
    return Bars(times, *(np.ascontiguousarray(table[:, column]) for column in range(5)))


@dataclass(frozen=True, slots=True)
class FetchOrder:
    """What to fetch and how to call it. Times are ms since 1970, `until_ms` exclusive."""

    symbol: str  # as it is stored
    interval: str
    since_ms: int | None = None  # None goes on from the last stored bar
    until_ms: int | None = None
    on_conflict: OnConflict = "refuse"


def plan_spans(order: FetchOrder, stored: tuple[int, int] | None) -> list[tuple[int, int]]:
    """From when (inclusive) to when (exclusive) to ask, in this order; `stored` is the same of the bars there are.

    What is stored is not asked for again: of it only the last bar, which shows that the exchange still means the same
    series. `keep` and `replace` ask for everything, since they say what is to become of it. Raises `InvalidRequest`.
    """
    until_ms = FAR_MS if order.until_ms is None else order.until_ms
    if order.since_ms is not None and order.since_ms >= until_ms:
        raise InvalidRequest.of("--until", f"{iso_from_ms(until_ms)} is not after --since; give a later one")
    if stored is None:
        if order.since_ms is None:
            raise InvalidRequest.of(
                "--since",
                f"there are no {order.interval} bars of {order.symbol} to go on from; give --since 2024-01-01",
            )
        return [(order.since_ms, until_ms)]
    first_ms, last_ms = stored[0], later(order.interval, stored[1], -1)
    if order.since_ms is None:
        spans = [(last_ms, until_ms)]
    elif order.on_conflict != "refuse" or order.since_ms > last_ms:
        spans = [(order.since_ms, until_ms)]
    else:
        spans = [(order.since_ms, min(first_ms, until_ms)), (last_ms, until_ms)]
    return [(start_ms, end_ms) for start_ms, end_ms in spans if start_ms < end_ms]


class Fetch:
    """One series from an exchange into the store. `report` and `notes` say what was stored, also of one that failed.

    With `bars_max` it is one import of no more bars than that: nothing of one that fails is stored.
    """

    def __init__(
        self,
        candles: Candles,
        exchange: Exchange,
        order: FetchOrder,
        clock: LocalClock | None = None,
        watcher: Watcher | None = None,
        *,
        bars_max: int | None = None,
    ) -> None:
        self.report: ImportReport | None = None
        self.notes: list[str] = []
        self._candles = candles
        self._exchange = exchange
        self._order = order
        self._clock = clock or LocalClock()
        self._watcher = watcher
        self._bars_max = bars_max
        self._spans: list[tuple[int, int]] | None = None
        self._skew_ms = 0
        self._pending: list[Bars] = []
        self._of = f"{exchange.name} {exchange.symbol} {order.interval}"

    async def plan(self) -> list[tuple[int, int]]:
        """Which spans will be asked for, without asking. Raises `InvalidRequest`."""
        if self._spans is None:
            self._spans = plan_spans(self._order, await self._stored())
            self._refuse_many(self._spans)
        return self._spans

    async def fetch(self) -> None:
        """Fetches what the order names and is not there yet, and stores it every `STORED_EVERY_BARS` bars.

        However it ends, by an error or cancelled, what was fetched until then is stored. Raises `InvalidRequest`,
        `ImportRefused`, `ExchangeUnavailable`, and what `Candles.import_bars` raises.
        """
        spans = await self.plan()
        await self._read_clock()
        try:
            for start_ms, end_ms in spans:
                await self._walk(start_ms, end_ms)
        except BaseException:
            if self._bars_max is None:
                await self._store()
            raise
        await self._store()

    def _refuse_many(self, spans: list[tuple[int, int]]) -> None:
        now_ms = self._clock.now_ms()
        interval, most = self._order.interval, self._bars_max
        bars = sum(max(0, _bars_between(interval, start_ms, min(end_ms, now_ms))) for start_ms, end_ms in spans)
        if most is not None and bars > most:
            until = iso_from_ms(later(interval, spans[0][0], most))
            raise InvalidRequest.of(
                "--until",
                f"the span has {bars:,} bars of {interval}, and {most:,} are the most at once; end at {until}",
            )

    async def _stored(self) -> tuple[int, int] | None:
        """From when to when there are bars; None where there are none."""
        asked = self._order.symbol, self._order.interval
        found = [one for one in await self._candles.list_series() if (one.symbol, one.interval) == asked]
        if not found:
            return None
        stored = found[0]
        if stored.source.startswith("ccxt ") and stored.source != self._source:
            raise InvalidRequest.of(
                "--as",
                f"{stored.symbol} {stored.interval} holds bars of {stored.source!r}, and series of two markets do not "
                "mix; store this one under another name with --as",
            )
        return stored.start_ms, stored.end_ms

    @property
    def _source(self) -> str:
        return f"ccxt {self._exchange.name} {self._exchange.symbol}"

    async def _read_clock(self) -> None:
        theirs_ms = await with_patience(self._exchange.own_time_ms, f"{self._of}: time", self._clock, self._watcher)
        if theirs_ms is None:
            name = self._exchange.name
            self.notes.append(f"finished candles were told by this machine's clock: {name} does not show its own")
            return
        ahead_ms = theirs_ms - self._clock.now_ms()
        self.notes.append(f"finished candles were told by the clock of {self._exchange.name}")
        if ahead_ms > _CLOCK_SLOW_MS:
            self.notes.append(f"this machine's clock is {ahead_ms / 1000:,.0f} s behind it; the last bars wait for it")
        # The store takes no bar that this machine's clock says is still to end.
        self._skew_ms = min(ahead_ms, 0)

    def _now_ms(self) -> int:
        return self._clock.now_ms() + self._skew_ms

    async def _walk(self, start_ms: int, end_ms: int) -> None:
        interval = self._order.interval
        walk = Walk(self._of, interval, start_ms, end_ms, self._exchange.page_bars)
        if self._watcher:
            self._watcher.begins(start_ms, min(end_ms, self._now_ms()))
        while not walk.ended(self._now_ms()):
            since_ms = walk.next_ms

            async def ask(since_ms: int = since_ms) -> Sequence[Sequence[Any]]:
                return await self._exchange.page(interval, since_ms)

            what = f"{self._of}: candles from {iso_from_ms(since_ms)} on"
            bars = walk.take(await with_patience(ask, what, self._clock, self._watcher), self._now_ms())
            if self._watcher:
                self._watcher.reached(min(walk.next_ms, end_ms, self._now_ms()), bars.total)
            if bars.total:
                self._pending.append(bars)
            if self._bars_max is None and sum(part.total for part in self._pending) >= STORED_EVERY_BARS:
                await self._store()
        walk.end(self._now_ms())
        self._note_gaps(walk)

    def _note_gaps(self, walk: Walk) -> None:
        for gap in walk.gaps[:_GAPS_SHOWN]:
            span = f"{iso_from_ms(gap.start_ms)} to {iso_from_ms(gap.end_ms)}"
            self.notes.append(f"the exchange has no bars from {span}: {gap.bars:,} missing")
        if walk.gap_count > _GAPS_SHOWN:
            self.notes.append(f"and {walk.gap_count - _GAPS_SHOWN:,} gaps more")

    async def _store(self) -> None:
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        order = self._order
        try:
            report = await self._candles.import_bars(
                order.symbol, order.interval, join_bars(pending), self._source, order.on_conflict
            )
        except asyncio.CancelledError:
            self._pending = pending  # Whether it was stored is unknown; to store equal bars again changes nothing.
            raise
        before = self.report
        self.report = report
        if before:
            self.report = replace(
                report,
                added=before.added + report.added,
                known=before.known + report.known,
                kept=before.kept + report.kept,
                replaced=before.replaced + report.replaced,
            )
