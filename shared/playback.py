"""The run as a state machine: what to do next, given how far it is, what was asked of it, and what time it is.

Pure: it knows no process, no server and no clock of its own. Its driver asks `next`, does that one thing, and says what
came of it; commands may come in at any moment between.

| | pause | resume | step n | seek b | speed v | stop | arrives |
|---|---|---|---|---|---|---|---|
| playing | paused | playing | stepping to bar + n | seeking b, then playing | playing at v | stopped | ended |
| paused | paused | playing | stepping to bar + n | seeking b, then paused | paused, later v | stopped | |
| stepping | paused | playing | stepping n further | seeking b, then paused | stepping | stopped | paused |
| seeking | paused | seeking, then playing | stepping to bar + n | seeking b, then so | seeking | stopped | as before |

Whoever arrives at the last bar has ended, whatever was asked meanwhile: there is nothing left to do. Stopped and ended
hear nothing any more. Bars of a pace are let through in slices; steps and seeks run at full speed.

What it is about outlives its driver: the `intent` of one playback and a bar are where another begins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from pydantic import Field

from shared.request import BarsPerSecond
from shared.wire import Wire

# A pace lets bars through this often at most: more often would cost more than the bars.
SLICE_S = 0.05
# Bars that are due but were not let through, because the run could not keep up, are forgiven beyond this.
LAG_MAX_S = 1.0
# A position that could not be stored is tried again after this long.
KEEP_RETRY_S = 0.5


class Phase(StrEnum):
    PLAYING = "playing"
    PAUSED = "paused"
    STEPPING = "stepping"
    SEEKING = "seeking"
    STOPPED = "stopped"
    ENDED = "ended"


STATUS_OF = {
    Phase.PLAYING: "running",
    Phase.PAUSED: "paused",
    Phase.STEPPING: "running",
    Phase.SEEKING: "running",
    Phase.STOPPED: "stopped",
    Phase.ENDED: "completed",
}
# What answers a command: an event of that name.
Word = Literal["paused", "resumed", "state"]


class Intent(Wire):
    """What a playback is about, apart from where it stands: stored with the position of a run.

    `goal` is the bar that a step or seek runs to, `after_seek` what comes then.
    """

    phase: Literal["playing", "paused", "stepping", "seeking", "stopped"] = "playing"
    goal: int = Field(default=0, ge=0)
    after_seek: Literal["playing", "paused"] = "playing"
    speed: BarsPerSecond = "max"
    close_open_trades: bool = True


# What a driver is told to do next


@dataclass(frozen=True, slots=True)
class Advance:
    """Process bars up to `until_bar`, exclusive; less is well."""

    until_bar: int


@dataclass(frozen=True, slots=True)
class Rewind:
    """Go back to just before bar `bar`."""

    bar: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until `until_s` (None: until a command comes), on the clock that `next` is asked with."""

    until_s: float | None


@dataclass(frozen=True, slots=True)
class Keep:
    """Store the position, and whether the run is paused."""


@dataclass(frozen=True, slots=True)
class LetGo:
    """Paused for so long that somebody else may have the place: whoever resumes it finds another."""


@dataclass(frozen=True, slots=True)
class End:
    """All bars are processed, or the run was stopped where it is."""

    stopped: bool
    close_open_trades: bool = True


Deed = Advance | Rewind | Wait | Keep | LetGo | End


# What can be asked of a run


@dataclass(frozen=True, slots=True)
class Pause:
    pass


@dataclass(frozen=True, slots=True)
class Resume:
    pass


@dataclass(frozen=True, slots=True)
class Step:
    """`bars` more, at least 1, then paused."""

    bars: int


@dataclass(frozen=True, slots=True)
class Seek:
    """To just before bar `bar`, forward or back, then as before."""

    bar: int


@dataclass(frozen=True, slots=True)
class Speed:
    """Bars a second; None is as fast as it goes."""

    bars_per_s: float | None


@dataclass(frozen=True, slots=True)
class Stop:
    close_open_trades: bool = True


Command = Pause | Resume | Step | Seek | Speed | Stop


class Playback:
    """One run from bar `bar` of `total_bars` on, at most `chunk_bars` at a time.

    `keep_every_s` is how often a run that goes on stores its position (None: never); one that pauses always does, and
    one that goes on after that says so. `hold_s` is how long it waits paused before it is let go (None: for ever).
    """

    def __init__(
        self,
        total_bars: int,
        chunk_bars: int,
        *,
        now_s: float,
        bar: int = 0,
        intent: Intent | None = None,
        keep_every_s: float | None = None,
        hold_s: float | None = None,
    ) -> None:
        intent = intent or Intent()
        self.total_bars = total_bars
        self.bar = bar
        self.phase = Phase(intent.phase)
        self.bars_per_s = None if intent.speed == "max" else intent.speed
        self._chunk_bars = chunk_bars
        self._keep_every_s = keep_every_s
        self._hold_s = hold_s
        self._goal = min(intent.goal, total_bars)
        self._after_seek = Phase(intent.after_seek)
        self._close_open_trades = intent.close_open_trades
        self._kept_bar = bar
        self._kept_paused = False
        self._kept_s = self._paused_s = now_s
        self._keep_again_s = now_s
        self._pace_from(now_s)

    @property
    def intent(self) -> Intent:
        """What it is about now. Where it has ended it was playing: whoever takes it up before that plays the rest."""
        return Intent(
            phase="playing" if self.phase is Phase.ENDED else self.phase.value,
            goal=self._goal,
            after_seek="playing" if self._after_seek is Phase.PLAYING else "paused",
            speed="max" if self.bars_per_s is None else self.bars_per_s,
            close_open_trades=self._close_open_trades,
        )

    @property
    def over(self) -> bool:
        return self.phase in (Phase.STOPPED, Phase.ENDED)

    def hear(self, command: Command, now_s: float) -> bool:
        """What was asked. False when the run is over, so that nothing can come of it."""
        if self.over:
            return False
        match command:
            case Pause():
                self._pause(now_s)
            case Resume():
                self._resume(now_s)
            case Step(bars):
                begins = self._goal if self.phase is Phase.STEPPING else self.bar
                self._go_to(Phase.STEPPING, begins + max(bars, 1))
            case Seek(bar):
                if self.phase is not Phase.SEEKING:
                    self._after_seek = Phase.PLAYING if self.phase is Phase.PLAYING else Phase.PAUSED
                self._go_to(Phase.SEEKING, bar)
            case Speed(bars_per_s):
                self.bars_per_s = bars_per_s
                self._pace_from(now_s)
            case Stop(close_open_trades):
                self.phase, self._close_open_trades = Phase.STOPPED, close_open_trades
        return True

    def next(self, now_s: float) -> Deed:
        """What to do now. Asking again without having done it gives the same answer, or a later one for a `Wait`."""
        self._arrive(now_s)
        if self.over:
            return End(self.phase is Phase.STOPPED, self._close_open_trades)
        if self._keeps(now_s):
            return Keep()
        if self.phase is Phase.PAUSED:
            return self._wait_paused(now_s)
        if self._goal_bar < self.bar:
            return Rewind(self._goal_bar)
        until = min(self.bar + self._chunk_bars, self._goal_bar)
        if self.phase is Phase.PLAYING and self.bars_per_s is not None:
            due = self._due_bar(now_s)
            if due <= self.bar:
                return Wait(self._due_s())
            until = min(until, due)
        return Advance(until)

    def moved(self, bar: int, now_s: float) -> None:
        """The run stands just before `bar` now, after an `Advance` or a `Rewind`."""
        backwards = bar < self.bar
        self.bar = bar
        if bar == self.total_bars:
            self.phase = Phase.ENDED
        if backwards or self.phase is not Phase.PLAYING:
            self._pace_from(now_s)

    def kept(self, now_s: float) -> None:
        """The position is stored, and whether the run is paused."""
        self._kept_bar, self._kept_s, self._kept_paused = self.bar, now_s, self.phase is Phase.PAUSED

    def not_kept(self, now_s: float) -> None:
        """It could not be: it is tried again after a while."""
        self._keep_again_s = now_s + KEEP_RETRY_S

    def _pause(self, now_s: float) -> None:
        if self.phase is not Phase.PAUSED:
            self.phase, self._paused_s = Phase.PAUSED, now_s

    def _wait_paused(self, now_s: float) -> Wait | LetGo:
        if self._hold_s is None:
            return Wait(self._keep_again_s if self._has_to_keep(now_s) else None)
        ends_s = self._paused_s + self._hold_s
        if now_s >= ends_s:
            return LetGo()
        return Wait(min(ends_s, self._keep_again_s) if self._has_to_keep(now_s) else ends_s)

    def _resume(self, now_s: float) -> None:
        if self.phase is Phase.SEEKING:
            self._after_seek = Phase.PLAYING
        else:
            if self.phase is not Phase.PLAYING:
                self._pace_from(now_s)
            self.phase = Phase.PLAYING

    def _go_to(self, phase: Phase, bar: int) -> None:
        self.phase, self._goal = phase, min(max(bar, 0), self.total_bars)

    @property
    def _goal_bar(self) -> int:
        return self.total_bars if self.phase is Phase.PLAYING else self._goal

    def _arrive(self, now_s: float) -> None:
        """Whoever has reached what he runs to is somewhere else now."""
        if self.phase in (Phase.STEPPING, Phase.SEEKING) and self.bar == self._goal:
            if self.phase is Phase.STEPPING or self._after_seek is Phase.PAUSED:
                self._pause(now_s)
            else:
                self.phase = Phase.PLAYING
            self._pace_from(now_s)

    def _keeps(self, now_s: float) -> bool:
        return now_s >= self._keep_again_s and self._has_to_keep(now_s)

    def _has_to_keep(self, now_s: float) -> bool:
        moved = self.bar != self._kept_bar
        if self.phase is Phase.PAUSED:
            return moved or not self._kept_paused
        if self._kept_paused:
            return moved or self.phase is Phase.PLAYING  # A step that arrives at once was never seen to go on.
        return moved and self._keep_every_s is not None and now_s - self._kept_s >= self._keep_every_s

    # The pace: bar `_paced_bar` was due at `_paced_s`

    def _pace_from(self, now_s: float) -> None:
        self._paced_bar, self._paced_s = self.bar, now_s

    def _due_bar(self, now_s: float) -> int:
        assert self.bars_per_s is not None
        behind_s = (now_s - self._paced_s) - (self.bar - self._paced_bar) / self.bars_per_s
        if behind_s > LAG_MAX_S + self._slice_bars / self.bars_per_s:
            self._pace_from(now_s - LAG_MAX_S)
        due = self._paced_bar + math.floor((now_s - self._paced_s) * self.bars_per_s + 1e-6)
        return due if due - self.bar >= self._slice_bars or due >= self.total_bars else self.bar

    def _due_s(self) -> float:
        assert self.bars_per_s is not None
        wanted = min(self.bar + self._slice_bars, self.total_bars)
        return self._paced_s + (wanted - self._paced_bar) / self.bars_per_s

    @property
    def _slice_bars(self) -> int:
        assert self.bars_per_s is not None
        return max(1, int(self.bars_per_s * SLICE_S))


def word_for(action: str, phase: Phase) -> Word | None:
    """What answers a command of a run in this phase; None where it is not done yet. A stop is answered by the end.

    A step or a seek that another command put an end to is answered, too: with where it came to.
    """
    match action:
        case "pause":
            return "paused"
        case "resume":
            return "resumed"
        case "step":
            if phase is Phase.STEPPING:
                return None
            return "paused" if phase is Phase.PAUSED else "state"
        case "seek":
            return None if phase is Phase.SEEKING else "state"
        case "stop":
            return None
        case _:
            return "state"
