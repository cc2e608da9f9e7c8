"""One run between its bars and its outcome: does what its playback says, hears its mail and keeps its position."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from shared.candles import BarFiles, BarFilesGone, Candles, Slice, open_bars
from shared.controls import command_of
from shared.errors import EngineFailed, StoreUnavailable
from shared.instants import to_ms
from shared.lifecycle import Status
from shared.owed import Answers, Owed
from shared.playback import Advance, Deed, End, Intent, Keep, LetGo, Phase, Playback, Rewind, Seek, Wait
from shared.positions import Checkpoint, Decided, Positions, Stand, Standing
from shared.records import BacktestRecord
from shared.settings import Settings
from worker.asks import Asks, GivenUp
from worker.control import Mailbox
from worker.hold import Hold
from worker.lease import LeaseKeeper
from worker.pipe import NOTHING, Finished, Load, Moved, Wanted
from worker.slot import RunRefused
from worker.telling import Telling

if TYPE_CHECKING:
    from shared.strategies.question import Question
    from worker.engine.position import Position

log = logging.getLogger(__name__)

T = TypeVar("T")

_FETCHES_MAX = 5
# A run that is over sooner says all it has to say at once, with its end: four messages cost little more than one, and
# its end would have to wait for those that are still on their way.
_QUIET_S = 0.05
# What is asked of a paused run as it is let go of comes with the renewal that is made at once.
_MAIL_WAIT_S = 1.0
# What is stored is found so soon that it is not worth it to let go of the slot.
_AT_ONCE_S = 0.002
_POSITION_UNFIT = "position_unfit"


class Run:
    """One run and what belongs to it."""

    def __init__(
        self, record: BacktestRecord, hold: Hold, mailbox: Mailbox, telling: Telling, *, crowded: bool
    ) -> None:
        self.record = record
        self.hold = hold
        self.mailbox = mailbox
        self.telling = telling
        self.crowded = crowded
        self.play: Play | None = None  # None: it has no bars yet

    def stand(self) -> Stand:
        """Where it stands, as far as no engine has to be asked."""
        if self.play is None:
            return Stand(self.telling.percent)
        # What was heard is done for the record only together with what came of it.
        return Stand(self.telling.percent, self.mailbox.news_of_done, self.play.checkpoint())


class Play:
    """Of a run that has its bars. `to_end` plays them; `checkpoint` is where somebody else can go on."""

    def __init__(
        self,
        run: Run,
        keeper: LeaseKeeper,
        bars: Slice,
        checkpoint: Checkpoint,
        *,
        candles: Candles,
        positions: Positions,
        settings: Settings,
        asks: Asks,
    ) -> None:
        self._run = run
        self._asks = asks
        self._keeper = keeper
        self._bars = bars
        self._checkpoint = checkpoint
        self._candles = candles
        self._settings = settings
        self._decided = Decided(positions, run.record["_id"], run.record["claimId"], checkpoint.parts)
        standing = checkpoint.playback or _first_standing(run.record)
        self._playback = self._playback_at(0, standing)
        self._answers = Answers(standing.owed)
        self._reached: Moved | None = None  # None: the engine has nothing loaded
        self._questions: tuple[Question, ...] = ()  # which must be answered before it goes on
        self.given_up: GivenUp | None = None  # why it was ended where it was, by nobody's command
        self._moved = False  # since its position was found

    def checkpoint(self) -> Checkpoint:
        """What it is about, as it is now, and its position, as it was found last."""
        standing = Standing(**self._playback.intent.model_dump(), owed=self._answers.unsaid)
        return self._checkpoint.model_copy(update={"playback": standing})

    @property
    def stopped_by(self) -> str | None:
        """The command that ended it where it was. None: it came to its last bar."""
        if self._playback.phase is not Phase.STOPPED:
            return None
        return stop.command_id if (stop := self._answers.stop) else ""

    @property
    def has_parts(self) -> bool:
        """Whether decisions are stored that nobody needs once it has ended."""
        return self._decided.any

    async def to_end(self, decisions: bytes | None) -> Finished | None:
        """Does what the playback says until the run is over. None: it is to go on elsewhere, or later.

        `decisions` are those of its checkpoint, None where they are not all there.
        """
        await self._take_up(decisions)
        telling = self._run.telling
        while not self._run.mailbox.leaving:
            await self._hear()
            deed = self._playback.next(time.monotonic())
            self._answers.settle(self._playback.phase)
            if not isinstance(deed, Keep):
                self._answer()
                if self._looks_first(deed):
                    deed = Advance(self._playback.bar) if self._reached is None else Rewind(self._playback.bar)
            reached: Moved | Finished | None = None
            match deed:
                case Advance(until_bar) if self._questions:
                    reached = await self._hear_answers(until_bar)
                case Advance(until_bar):
                    reached = await self._advance(until_bar)
                case Rewind(bar):
                    reached = await self._run.hold.rewind(bar, telling.wants(bar, self._playback))
                case Wait(until_s):
                    telling.send()
                    await _wait_for(self._run.mailbox, telling.by_then_s(until_s))
                case Keep():
                    await self._keep()
                case LetGo() if self._asks.under_way:
                    await _wait_for(self._run.mailbox, time.monotonic() + _MAIL_WAIT_S)
                case LetGo():
                    await self.find_position()
                    if await self._keeper.let_go():
                        log.info("%s: let go, paused at bar %d", self._run.record["_id"], self._playback.bar)
                        return None
                    await _wait_for(self._run.mailbox, time.monotonic() + _MAIL_WAIT_S)
                case End(_, close_open_trades):
                    finished = await self._finish(close_open_trades)
                    telling.moved(finished.last, self._playback)
                    return finished
            if isinstance(reached, Finished):
                self._playback.moved(reached.last.bar, time.monotonic())
                self._answers.settle(self._playback.phase)
                self._answer()
                telling.moved(reached.last, self._playback)
                return reached
            if reached is not None:
                self._move(reached)
        return None

    async def find_position(self) -> None:
        """Its position as it is now becomes that of its checkpoint, once its decisions are stored.

        Raises `StoreUnavailable`.
        """
        if not self._moved:
            return
        moved = await self._run.hold.rewind(self._playback.bar, with_position=True)
        position = moved.position if isinstance(moved, Moved) else None
        if position is None:
            raise EngineFailed("engine process told no position although it was asked for one")
        self._decided.add(position.decisions.to_bytes())
        parts = await self._decided.store()
        self._checkpoint = self._checkpoint.model_copy(update={"position": position.as_document(), "parts": parts})
        self._moved = False

    # Beginning

    def _playback_at(self, bar: int, intent: Intent) -> Playback:
        return Playback(
            self._bars.total_bars,
            self._settings.chunk_bars,
            now_s=time.monotonic(),
            bar=bar,
            intent=intent,
            keep_every_s=self._settings.position_interval_s,
            hold_s=self._settings.pause_hold_s,
        )

    async def _take_up(self, decisions: bytes | None) -> None:
        """At its position, if it has one and it can be used; else before the first bar, to go as far as it was."""
        document = self._checkpoint.position
        if document is not None:
            from worker.engine.position import Decisions, Position  # Only who has one needs it.

            try:
                if decisions is None:
                    raise RunRefused(_POSITION_UNFIT, "a part of its decisions is missing", ())
                position = Position.of(document, Decisions.of(decisions))
                self._reached = await self._load_at(position)
            except (RunRefused, EngineFailed) as error:
                if error.code != _POSITION_UNFIT:
                    raise
                self._begin_anew(document, error.message)
            else:
                if self._decided.scattered:
                    self._decided.begin_anew(decisions)
                self._playback = self._playback_at(position.bar, self._playback.intent)
        await self._run.telling.started(self._bars, self._reached)

    async def _load_at(self, position: Position) -> Moved:
        reached = await self._load(position.bar, position)
        if not isinstance(reached, Moved):
            raise EngineFailed("engine process ended a run that was to be taken up")
        return reached

    def _begin_anew(self, document: dict[str, Any], why: str) -> None:
        log.warning("%s: its position cannot be used, it runs from its first bar: %s", self._run.record["_id"], why)
        self._decided.begin_anew()
        self._checkpoint = Checkpoint()
        bar = document.get("bar")
        if isinstance(bar, int) and self._playback.phase in (Phase.PLAYING, Phase.PAUSED):
            self._playback.hear(Seek(bar), time.monotonic())

    async def _advance(self, until_bar: int) -> Moved | Finished:
        """The first step, which is the only one of most runs, loads it. What lasts longer is announced meanwhile."""
        wanted = self._run.telling.wants(until_bar, self._playback)
        if self._reached is not None:
            return await self._run.hold.advance(until_bar, wanted)
        loading = asyncio.create_task(self._load(until_bar, wanted=wanted))
        try:
            await asyncio.wait([loading], timeout=_QUIET_S)
            if not loading.done():
                self._run.telling.send()
            return await loading
        finally:
            loading.cancel()

    async def _load(
        self, until_bar: int, position: Position | None = None, wanted: Wanted = NOTHING
    ) -> Moved | Finished:
        run = self._run

        async def load(files: BarFiles) -> Moved | Finished:
            command = Load(run.record["params"], files, until_bar, self._bars.warmup_bars, position, wanted)
            return await run.hold.load(command, on_busy=run.telling.busy)

        return await self._with_files(load)

    async def _with_files(self, use: Callable[[BarFiles], Awaitable[T]]) -> T:
        """Another process may evict a file of the disk cache between fetching and mapping it: then fetch it again."""
        for _ in range(_FETCHES_MAX):
            files = await self._candles.fetch(self._bars)
            try:
                return await use(files)
            except (RunRefused, BarFilesGone) as gone:
                if gone.code != BarFilesGone.code:
                    raise
                log.info("%s: %s", self._run.record["_id"], gone.message)
        raise EngineFailed(f"bars vanished from the disk cache {_FETCHES_MAX} times; it is too small", fault=False)

    # Going on

    def _move(self, reached: Moved) -> None:
        self._reached, self._moved, self._questions = reached, True, reached.questions
        self._playback.moved(reached.bar, time.monotonic())
        self._run.telling.moved(reached, self._playback)

    async def _hear_answers(self, until_bar: int) -> Moved | Finished | None:
        """Goes on with what its questions came to. None: something else has come first.

        A run that cannot have an answer is ended where it is, with what it has come to.
        """
        telling, mailbox, questions = self._run.telling, self._run.mailbox, self._questions
        if mailbox.draining and not self._asks.knows(questions):
            mailbox.leave()  # A new question could be answered when nobody is here any more.
            return None
        answers = self._asks.ask(questions)
        await asyncio.wait([answers], timeout=_AT_ONCE_S)
        if not answers.done():
            telling.asks(questions)
            self._run.hold.park()
            await _wait_for(mailbox, telling.by_then_s(None), answers)
            if not answers.done():
                return None
        try:
            made = answers.result()
        except GivenUp as error:
            self.given_up = error
            return await self._finish(close_open_trades=True)
        telling.decided(made.values())
        decisions = {name: one.decision for name, one in made.items()}
        return await self._run.hold.answer(decisions, until_bar, telling.wants(until_bar, self._playback))

    async def _keep(self) -> None:
        status = Status.PAUSED if self._playback.phase is Phase.PAUSED else Status.RUNNING
        try:
            await self.find_position()
            await self._keeper.keep(status)
        except StoreUnavailable as error:
            log.warning("%s: its position is not stored, trying again: %s", self._run.record["_id"], error.message)
            self._playback.not_kept(time.monotonic())
        else:
            self._playback.kept(time.monotonic())

    async def _finish(self, close_open_trades: bool) -> Finished:
        if self._reached is None or self._playback.bar == 0:  # A result has one bar at least.
            reached = await self._advance(1)
            if isinstance(reached, Finished):
                return reached
        return await self._run.hold.finish(
            close_open_trades, self._run.telling.wants(self._bars.total_bars, self._playback)
        )

    # Commands, and what is answered

    def _looks_first(self, deed: Deed) -> bool:
        """Whether the engine is asked where the run stands before the deed. Whoever asked for something learns of it
        from there, and not from wherever the next step ends."""
        telling = self._run.telling
        if isinstance(deed, End):
            return False
        waits = self._reached is None or bool(self._questions) or isinstance(deed, Wait | LetGo)
        return telling.owes or (telling.looks and waits)

    async def _hear(self) -> None:
        mailbox = self._run.mailbox
        if mailbox.take_watched():
            self._run.telling.watch()
        for control in mailbox.take():
            log.info("%s: %s (command %s)", self._run.record["_id"], control.action, control.seq)
            bar = await self._bar_at(to_ms(control.time)) if control.time is not None else None
            if self._playback.hear(command_of(control, bar), time.monotonic()):
                self._answers.owe(Owed(command_id=control.command_id, action=control.action))
            mailbox.heard(control)
            self._answers.settle(self._playback.phase)

    async def _bar_at(self, time_ms: int) -> int:
        """The first bar that opens then or later; the number of bars where there is none."""

        async def look(files: BarFiles) -> int:
            bars = await asyncio.to_thread(open_bars, files)
            return int(bars.after(self._bars.warmup_bars).time_ms.searchsorted(time_ms))

        return await self._with_files(look)

    def _answer(self) -> None:
        answers = self._answers.take()
        for word, owed in answers:
            self._run.telling.heeded(word, owed.command_id, self._reached, self._playback)
        if answers:
            self._run.telling.send()


def _first_standing(record: BacktestRecord) -> Standing:
    """How a run begins that nothing was asked of."""
    params = record["params"]
    return Standing(phase="paused" if params.get("startPaused") else "playing", speed=params.get("speed", "max"))


async def _wait_for(mailbox: Mailbox, until_s: float | None, answers: asyncio.Future[Any] | None = None) -> None:
    """For a command, or for answers, at most until then on the monotonic clock."""
    mail = asyncio.ensure_future(mailbox.filled.wait())
    timeout_s = None if until_s is None else max(0.0, until_s - time.monotonic())
    try:
        await asyncio.wait(
            [mail] if answers is None else [mail, answers], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        mail.cancel()
