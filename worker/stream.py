"""One backtest in this process that tells its parent how it stands, and does what that asks: `backfleet stream`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Self

from shared.controls import ControlRequest, command_of
from shared.errors import BackfleetError, Conflict, InvalidRequest, Refusal
from shared.instants import to_ms
from shared.owed import Answers, Owed
from shared.playback import Advance, End, Intent, Keep, LetGo, Phase, Playback, Rewind, Stop, Wait
from worker.engine_loop import Run
from worker.local_run import Arranged, LocalResult, engine_faults
from worker.parent import LINE_MAX_BYTES, LINES_MAX, Parent
from worker.pipe import Finished, Moved, Wanted
from worker.showing import Showing, Stand
from worker.typed_commands import command_id_of, read_command

Data = dict[str, Any]

# A step in which strategies decide ends with the first decision after this long: commands wait no longer.
_STEP_S = 0.02
# Ids of commands that were heard: one that is sent again counts once.
_IDS_KEPT = 100


class Stream:
    """Plays the run on its own thread; `last` is the state that was told last, without its points."""

    def __init__(self, arranged: Arranged, run: Run, head: Data, parent: Parent, chunk_bars: int) -> None:
        params = arranged.params
        self.last: Data = head
        self._arranged = arranged
        self._run = run
        self._head = head
        self._parent = parent
        self._bars = arranged.bars.after(arranged.part.warmup_bars)
        intent = Intent(phase="paused" if params.start_paused else "playing", speed=params.speed)
        self._playback = Playback(self._bars.total, chunk_bars, now_s=time.monotonic(), intent=intent)
        self._showing = Showing(params.strategies)
        self._answers = Answers()
        self._refused: list[Data] = []
        self._ids: deque[str] = deque(maxlen=_IDS_KEPT)
        self._taken_back = False
        self._finished: Moved | None = None
        self._state_bar, self._state_s = -1, float("-inf")

    @classmethod
    def begin(cls, arranged: Arranged, head: Data, parent: Parent, chunk_bars: int) -> Self:
        """Before the first bar, with all signals computed. `head` stands in every line.

        Raises `StrategyFailed`, and `EngineFault` for what is our own fault.
        """
        with engine_faults():
            return cls(arranged, arranged.begin(), head, parent, chunk_bars)

    def play(self) -> LocalResult | None:
        """Until the run is over. None: nobody reads what it says. Raises as `begin` does."""
        with engine_faults():
            finished = self._play()
        if finished is None:
            return None
        self._finished = finished.last
        return self._arranged.result(finished.outcome)

    def end(self, result: LocalResult, notes: Sequence[str]) -> None:
        """Tells what the run came to, after the answers that are still owed."""
        assert self._finished is not None, "it was played to its end"
        stopped = self._playback.phase is Phase.STOPPED
        self._answers.settle(self._playback.phase)
        self._hear_news(self._finished)
        lines = self._answers_at(self._finished)
        last = self._state(self._finished, "stopped" if stopped else "completed", self._answers.stop)
        self._parent.outlet.write([*lines, {**last, "result": {**result.as_wire(), "notes": list(notes)}}])

    def _play(self) -> Finished | None:
        while not self._parent.outlet.broken:
            self._hear()
            deed = self._playback.next(time.monotonic())
            self._answers.settle(self._playback.phase)
            if not isinstance(deed, End | Keep) and self._parent.outlet.idle and self._has_to_say():
                self._say(self._run.rewind(self._playback.bar, self._wanted(news=True)))
                continue
            match deed:
                case Advance(until_bar):
                    reached = self._advance(until_bar)
                    if isinstance(reached, Finished):
                        return reached
                case Rewind(bar):
                    self._taken_back = True
                    self._playback.moved(self._run.rewind(bar).bar, time.monotonic())
                case Wait(until_s):
                    self._parent.inbox.wait(until_s)
                case Keep():  # There is no store: who takes up this run begins it anew.
                    self._playback.kept(time.monotonic())
                case End(_, close_open_trades):
                    return self._finish(close_open_trades)
                case LetGo():
                    raise AssertionError("it is held for ever")
        return None

    # Commands

    def _hear(self) -> None:
        self._parent.inbox.settle()
        if self._parent.signals.number is not None or self._parent.inbox.ended:
            self._playback.hear(Stop(), time.monotonic())
            return
        # What waits to be answered is bounded, too: a parent that reads nothing is not heard at last, but for its end.
        for line in self._parent.inbox.take(LINES_MAX - len(self._refused) - self._answers.due):
            try:
                if line is None:
                    raise InvalidRequest.of("$", f"the line is longer than {LINE_MAX_BYTES:,} bytes; send less")
                self._obey(read_command(line))
            except Refusal as refusal:
                named = {"commandId": name} if line and (name := command_id_of(line)) else {}
                self._refused.append(as_line(refusal) | named)

    def _obey(self, asked: ControlRequest) -> None:
        bar = None if asked.time is None else int(self._bars.time_ms.searchsorted(to_ms(asked.time)))
        if asked.command_id is None or asked.command_id not in self._ids:
            if not self._playback.hear(command_of(asked, bar), time.monotonic()):
                raise Conflict(f"the run is over, so {asked.action} comes too late")
            self._ids.extend([asked.command_id] if asked.command_id else [])
        self._answers.owe(Owed(command_id=asked.command_id or "", action=asked.action))
        self._answers.settle(self._playback.phase)

    # Going on

    def _advance(self, until_bar: int) -> Moved | Finished:
        if self._is_late() and self._playback.bar < self._next_state_bar:
            until_bar = min(until_bar, self._next_state_bar)
        reached = self._run.advance(until_bar, self._wanted(news=until_bar == self._playback.total_bars))
        moved = reached.last if isinstance(reached, Finished) else reached
        self._playback.moved(moved.bar, time.monotonic())
        if isinstance(reached, Moved):
            self._hear_news(reached)
        return reached

    def _finish(self, close_open_trades: bool) -> Finished:
        if self._playback.bar == 0:  # A result has one bar at least.
            reached = self._advance(1)
            if isinstance(reached, Finished):
                return reached
        return self._run.finish(close_open_trades, self._wanted(news=True))

    def _wanted(self, *, news: bool) -> Wanted:
        return Wanted(news=news, whole=news and self._taken_back, within_s=_STEP_S)

    # What is said

    @property
    def _next_state_bar(self) -> int:
        return self._state_bar + self._arranged.params.emit_interval

    def _is_late(self) -> bool:
        return time.monotonic() - self._state_s >= self._arranged.params.emit_every_ms / 1_000

    def _has_to_say(self) -> bool:
        if self._answers.due or self._refused or self._state_bar < 0:
            return True
        bar = self._playback.bar
        return (bar >= self._next_state_bar or bar < self._state_bar) and self._is_late()

    def _hear_news(self, moved: Moved) -> None:
        if moved.news is not None:
            deque(self._showing.hear(moved, moved.news), maxlen=0)
            self._taken_back = False

    def _say(self, moved: Moved) -> None:
        self._hear_news(moved)
        lines = self._answers_at(moved)
        self._parent.outlet.write(lines or [self._state(moved, self._status)])
        self._state_bar, self._state_s = moved.bar, time.monotonic()

    def _answers_at(self, moved: Moved) -> list[Data]:
        refused, self._refused = self._refused, []
        lines = [self._state(moved, self._status, owed) for _, owed in self._answers.take()]
        return lines + [{**self._state(moved, self._status), "refused": one} for one in refused]

    @property
    def _status(self) -> str:
        """Of every state but the last one."""
        return "paused" if self._playback.phase is Phase.PAUSED else "running"

    def _state(self, moved: Moved, status: str, answered: Owed | None = None) -> Data:
        assert moved.news is not None, "it was asked for"
        stand = Stand(status, self._playback.bars_per_s or "max")
        state = self._head | self._showing.state(moved, moved.news, stand)
        metrics: Data = {**state["metrics"], "equityCurve": []}
        self.last = {**state, "metrics": metrics}
        if answered is None:
            return state
        named = {"commandId": answered.command_id} if answered.command_id else {}
        return state | {"command": answered.action} | named


def as_line(error: BackfleetError) -> Data:
    """A refusal, or what a run failed of."""
    return {"code": error.code, "error": error.message, "errors": [one.as_wire() for one in error.errors]}
