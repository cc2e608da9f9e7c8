"""What is said of a run: its numbering and its pace. News on the way is worth a try and never worth a run."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from shared import news
from shared.bus import WATCHED_TTL_S, Bus
from shared.candles import Slice
from shared.claims import lease_of
from shared.contracts import Channel, Complete, Failure, News
from shared.errors import BackfleetError, BusUnavailable
from shared.instants import iso_from_ms
from shared.live_data import CANDLES_BELOW_BARS_PER_S, Stand
from shared.playback import STATUS_OF, Phase, Playback, Word
from shared.records import BacktestRecord, NewsDocument
from shared.results import ResultDocument
from shared.run_logs import RunLogs
from worker.pipe import NOTHING, Moved, Wanted
from worker.run_log import RunLog
from worker.showing import Showing
from worker.slot import RunRefused

if TYPE_CHECKING:
    from shared.strategies.question import Question
    from worker.asks import Made

log = logging.getLogger(__name__)

# More than that is waiting to be sent only while Redis is away: what is watched is shown anew then, from a snapshot.
_UNSAID_MAX = 2_000
_SHOW_AGAIN_S = 0.5


class Telling:
    """Of one run. What is said waits until `send`, or until the end takes it along.

    Before each step it is asked what the step's answer should carry (`wants`), after it it hears of it (`moved`). While
    nobody watches that is nothing, unless a command is to be answered by a state.
    """

    def __init__(
        self, record: BacktestRecord, bus: Bus, logs: RunLogs, now_ms: Callable[[], int], progress_interval_s: float
    ) -> None:
        params = record["params"]
        self._record = record
        self._bus = bus
        self._numbering = news.Numbering(record, now_ms)
        self._unsaid: list[NewsDocument] = []
        self._sending: asyncio.Task[None] | None = None
        self._progress_interval_s = progress_interval_s
        self._began_s = self._spoke_s = time.monotonic()
        self._reached: news.Reached | None = None
        self._first_bar = 0  # at which this run began, or was taken up
        self.percent = record["progress"]
        self._log = RunLog(lease_of(record), logs)
        self._showing = Showing(params["strategies"])
        self._emit_bars = int(params.get("emitInterval", 10))
        self._emit_s = int(params.get("emitEveryMs", 100)) / 1_000
        self._watched = False
        self._looking: asyncio.Task[None] | None = None
        self._looked_s = float("-inf")
        self._snapshot_due = False
        self._lost_s = float("-inf")
        self._gap = True  # Nobody has heard all that was so far: a snapshot makes up for it.
        self._owed: list[str] = []  # commands that a state answers
        self._state_due = False
        self._asked: dict[str, int] = {}  # at which bar, by strategy, that was said last
        self._state_bar = 0
        self._state_s = self._heard_s = float("-inf")

    # Who watches

    def look_who_watches(self) -> None:
        """Asks whether somebody does, beside the run. Asked again as often as a gateway's word holds."""
        now_s = time.monotonic()
        if now_s - self._looked_s >= WATCHED_TTL_S and (self._looking is None or self._looking.done()):
            self._looked_s = now_s
            self._looking = asyncio.create_task(self._look_who_watches())

    async def _look_who_watches(self) -> None:
        asked_s = self._looked_s
        try:
            watched = await self._bus.is_watched(self._record["_id"])
        except BusUnavailable as error:
            log.warning("%s: whether it is watched is not known: %s", self._record["_id"], error.message)
            return
        if watched and not self._watched:
            self.watch()
        elif self._looked_s == asked_s:  # Else somebody has begun to meanwhile.
            self._watched = watched
            self._snapshot_due &= watched

    def watch(self) -> None:
        """Somebody has begun to: they are shown all there is, as soon as can be."""
        self._gap |= not self._watched
        self._watched = self._snapshot_due = True
        self._looked_s = time.monotonic()

    @property
    def looks(self) -> bool:
        """Whether there is something to say that only the engine knows. A step that goes nowhere tells it, too."""
        return self._shows_all or self._state_due or self.owes

    @property
    def _shows_all(self) -> bool:
        """Whether a snapshot is due, and Redis is not known to be away: asking the engine for one is not free."""
        return self._snapshot_due and time.monotonic() - self._lost_s >= _SHOW_AGAIN_S

    def by_then_s(self, until_s: float | None) -> float | None:
        """Until when a run may wait that has nothing to do until then: a snapshot that was lost is tried again."""
        if not self._snapshot_due:
            return until_s
        again_s = self._lost_s + _SHOW_AGAIN_S
        return again_s if until_s is None else min(until_s, again_s)

    @property
    def owes(self) -> bool:
        """Whether a command waits for the state that answers it."""
        return bool(self._owed)

    def wants(self, until_bar: int, playback: Playback) -> Wanted:
        """What the answer to the step to that bar should carry."""
        self.look_who_watches()
        if not self._watched and not self.looks:
            return NOTHING
        slow = playback.phase is Phase.STEPPING or (playback.phase is Phase.PLAYING and playback.bars_per_s is not None)
        back = until_bar < playback.bar
        # At full speed steps are too many for each to be told of.
        late = time.monotonic() - self._heard_s >= self._emit_s
        ends = until_bar == playback.total_bars
        few = playback.phase is Phase.STEPPING or (playback.bars_per_s or math.inf) < CANDLES_BELOW_BARS_PER_S
        return Wanted(
            news=self.looks or slow or back or late or ends,
            whole=self._shows_all or back or (ends and self._snapshot_due),
            candles=self._watched and slow and few,
            within_s=self._emit_s,
        )

    # What happens

    async def started(self, bars: Slice, taken_up: Moved | None = None) -> None:
        """The run has begun, and stands before its first bar or where it was taken up."""
        reached = news.Reached(bars.start_ms, 0, bars.total_bars) if taken_up is None else self._reached_at(taken_up)
        self._first_bar = reached.bar
        started = news.started(
            self._numbering.next(),
            self._record["params"],
            total_bars=bars.total_bars,
            resampled_from=bars.resampled_from,
            resumed_from=None if taken_up is None else taken_up.bar,
            labels=self._record.get("labels"),
        )
        self._say(Channel.EVENT, started)
        self._say_progress(reached)
        await self._log.begin(reached.bar)

    def moved(self, moved: Moved, playback: Playback) -> None:
        """A step was taken. Says what is due of it, and sends it."""
        self.percent = self._reached_at(moved).percent
        self._log.hear(moved.logs, moved.logs_dropped, moved.bar)
        if moved.news is not None:
            self._show(moved, playback)
        if playback.over:
            self._log.last_word(moved.bar)
        self._tell_log(at_once=playback.over or playback.phase is Phase.PAUSED)
        self._log.store()
        if playback.over or time.monotonic() - self._spoke_s >= self._progress_interval_s:
            self._say_progress(self._reached_at(moved))
        # What nobody watches goes along with the end. Who watches has much to hear, also while the result is stored.
        if self._watched or not playback.over:
            self.send()

    def heeded(self, word: Word, command_id: str, at: Moved | None, playback: Playback) -> None:
        """A command was carried out, and this is what it came to. `at` is where the run stands, None before its first
        bar. A state is said when the engine has told it."""
        if at is not None:
            self._reached = self._reached_at(at)
        assert self._reached is not None, "it has started"
        if word == "state":
            self._owed.append(command_id)
            return
        self._state_due |= self._watched
        reached, speed = self._reached, playback.bars_per_s or "max"
        self._say(Channel.EVENT, news.heeded(self._numbering.next(), word, reached, speed=speed, command_id=command_id))

    def asks(self, questions: Sequence[Question]) -> None:
        """Somebody is being asked, and may take a while: said once of each question."""
        for one in questions:
            if self._watched and self._asked.get(one.strategy) != one.facts.bar:
                self._asked[one.strategy] = one.facts.bar
                time = iso_from_ms(one.facts.time_ms)
                self._say_event("thinking", {"bar": one.facts.bar, "time": time, "strategy": one.strategy})
        self.send()

    def decided(self, made: Iterable[Made]) -> None:
        """What the questions came to. It is sent with what comes of it."""
        for one in made if self._watched else ():
            self._say_event("decision", dict(one.told))

    def busy(self, doing: str) -> None:
        """What is being done while the run stands where it stood."""
        if self._reached is not None:
            self._say_progress(self._reached, doing)
            self.send()

    # Its end

    def complete(self, result: ResultDocument, stopped_by: str | None = None) -> Complete:
        """The end of the run, which whoever stores it publishes. `stopped_by` is the command that ended it early."""
        return news.complete(self._numbering.next(), result, self._record["startedAt"], stopped_by)

    def failure(self, error: BackfleetError, now_ms: int) -> Failure:
        if isinstance(error, RunRefused):
            self._log.hear(error.logs, error.logs_dropped, self._reached.bar if self._reached else 0)
        self._log.last_word(self._reached.bar if self._reached else 0)
        self._tell_log(at_once=True)
        return news.failure(self._numbering.next(), error, now_ms)

    def poisoned(self, last: str, now_ms: int) -> Failure:
        return news.poisoned(self._record, self._numbering.next(), last=last, now_ms=now_ms)

    # On the way

    def send(self) -> None:
        """Sends what is unsaid, after earlier news that is still on its way. The run goes on, whatever Redis does."""
        if self._unsaid and (self._sending is None or self._sending.done()):
            self._sending = asyncio.create_task(self._send_all())

    async def settle(self) -> None:
        """Until nothing is on its way: what comes later must not overtake it, it would not be said any more."""
        if self._sending is not None:
            await asyncio.wait([self._sending])
        await self._log.settle()

    def take(self) -> list[NewsDocument]:
        """What was not sent yet, in order. Whoever takes it sends it."""
        taken, self._unsaid = self._unsaid, []
        return taken

    def _show(self, moved: Moved, playback: Playback) -> None:
        """What is new of a watched run, or the state that answers a command."""
        assert moved.news is not None
        now_s = time.monotonic()
        self._heard_s = now_s
        events = list(self._showing.hear(moved, moved.news))
        anew = self._gap and self._snapshot_due  # What is said before that is of no use to anybody.
        if self._watched and not anew:
            for kind, data in events:
                self._say_event(kind, data)
        stand = Stand(STATUS_OF[playback.phase], playback.bars_per_s or "max")
        back, on = moved.bar < self._state_bar, moved.bar - self._state_bar
        due = on >= self._emit_bars and now_s - self._state_s >= self._emit_s
        owed, self._owed = self._owed, []
        if self._watched and not anew and not owed and (due or back or playback.over or self._state_due):
            owed = [""]
        for command_id in owed:
            self._say_event("state", self._showing.state(moved, moved.news, stand, command_id))
        if self._watched and self._snapshot_due and (whole := moved.news.whole) is not None:
            self._say_event("state", self._showing.snapshot(moved, moved.news, whole, stand))
            if anew:
                self._showing.forget(moved.bar)
            self._snapshot_due = self._gap = False
            owed = [""]
        self._state_due = False
        if owed:
            self._state_bar, self._state_s = moved.bar, now_s

    def _tell_log(self, *, at_once: bool) -> None:
        if not self._watched:
            self._log.forget_untold()
            return
        for entries, dropped in self._log.untold(now_s=None if at_once else time.monotonic()):
            self._say_event("log", {"entries": entries} | ({"dropped": dropped} if dropped else {}))

    def _reached_at(self, moved: Moved) -> news.Reached:
        pnl = moved.equity - float(self._record["params"]["initialCapital"])
        return news.Reached(moved.time_ms, moved.bar, moved.total_bars, moved.trades_closed, pnl)

    def _say_progress(self, reached: news.Reached, doing: str | None = None) -> None:
        self._spoke_s = time.monotonic()
        self._reached = reached
        self.percent = reached.percent
        bars_left = reached.total_bars - reached.bar
        bars_done = reached.bar - self._first_bar
        left_s = (self._spoke_s - self._began_s) * bars_left / bars_done if bars_done > 0 else None
        self._say(Channel.PROGRESS, news.progress(self._numbering.next(), reached, left_s, doing))

    def _say_event(self, kind: news.Live, data: dict[str, Any]) -> None:
        if len(self._unsaid) >= _UNSAID_MAX:
            self._lose()
        else:
            self._say(Channel.EVENT, news.live(self._numbering.next(), kind, data))

    def _say(self, channel: Channel, one: News) -> None:
        self._unsaid.append(news.news_document(channel, one))

    def _lose(self) -> None:
        """Something was not said: who watches is shown all there is when Redis is there again."""
        self._lost_s = time.monotonic()
        self._gap = True
        self._snapshot_due = self._watched

    async def _send_all(self) -> None:
        while unsaid := self.take():
            try:
                await self._bus.publish_documents([(self._record["_id"], one) for one in unsaid])
            except BusUnavailable as error:
                self._lose()
                log.warning("%s: news not published: %s", self._record["_id"], error.message)
