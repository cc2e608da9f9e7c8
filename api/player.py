"""One ended backtest as it is played back to one socket: the same events, at the pace that is asked for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from api.listeners import Client
from api.pieces import Piece
from api.stored_run import StoredRun
from shared.controls import ControlRequest, command_of
from shared.errors import BackfleetError, Conflict, FieldError, TooMany
from shared.instants import iso_from_ms, to_ms
from shared.live_data import CANDLES_BELOW_BARS_PER_S, POINTS_MAX, Data, Stand
from shared.playback import STATUS_OF, Advance, End, Intent, Keep, LetGo, Phase, Playback, Rewind, Wait, word_for
from shared.records import new_id

# A step waits until its client has no more than this to read: what a fast replay says must not pile up.
ROOM_BELOW = 8
WAIT_S = 2.0
_CANDLES_MAX = 200  # of one step
_MAIL_MAX = 64
_REMEMBERED_MAX = 50
# What is made of more bars than this is made in a thread.
_IN_THREAD_BARS = 64


@dataclass(frozen=True, slots=True)
class Whose:
    """The backtest that is played, and its owner."""

    backtest_id: str
    user_id: str


@dataclass(slots=True)
class _Asked:
    """A command, and what it came to: where the playback stood then, or why it was refused."""

    request: ControlRequest
    command_id: str
    answer: asyncio.Future[Data | BackfleetError] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def settle(self, answer: Data | BackfleetError) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)


async def _wait_for(rung: asyncio.Event, until_s: float | None) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(None if until_s is None else max(0.0, until_s - time.monotonic())):
            await rung.wait()


class Player:
    """`play` plays to the end, `control` steers it. All it says is marked `replay` and counted by `replaySeq`."""

    def __init__(
        self,
        run: StoredRun,
        client: Client,
        whose: Whose,
        begin: Intent,
        bar: int,
        *,
        now_s: Callable[[], float] = time.monotonic,
        wait: Callable[[asyncio.Event, float | None], Awaitable[None]] = _wait_for,
    ) -> None:
        """`wait` waits for the event, until then on the clock `now_s`."""
        self._run = run
        self._client = client
        self._whose = whose
        self._now_s = now_s
        self._wait = wait
        self._playback = Playback(run.total_bars, POINTS_MAX, now_s=now_s(), bar=bar, intent=begin)
        self._emit_bars = int(run.params.get("emitInterval", 10))
        self._emit_s = int(run.params.get("emitEveryMs", 100)) / 1_000
        self._mail: deque[_Asked] = deque()
        self._rung = asyncio.Event()
        self._known: OrderedDict[str, _Asked] = OrderedDict()
        self._owed: list[_Asked] = []
        self._seq = 0
        self._state_bar, self._state_s, self._state_due = bar, now_s(), False

    # Steering

    async def control(self, request: ControlRequest) -> Data:
        """What a command led to; `done` is false where that takes longer. Raises `Conflict` and `TooMany`."""
        command_id = request.command_id or new_id("cmd")
        asked = self._known.get(command_id)
        if asked is None:
            if self._playback.over:
                raise _conflict("the replay has ended; subscribe with replay again")
            if len(self._mail) >= _MAIL_MAX:
                raise TooMany(f"{_MAIL_MAX} commands wait for the replay; wait for their answers")
            asked = self._known[command_id] = _Asked(request, command_id)
            if len(self._known) > _REMEMBERED_MAX:
                self._known.popitem(last=False)
            self._mail.append(asked)
            self._rung.set()
        await asyncio.wait([asked.answer], timeout=WAIT_S)
        answer = asked.answer.result() if asked.answer.done() else self._where()
        if isinstance(answer, BackfleetError):
            raise answer
        named = {"backtestId": self._whose.backtest_id, "commandId": command_id, "action": asked.request.action}
        return named | answer | {"done": asked.answer.done()}

    def close(self) -> None:
        """It plays no more: who waits for something is told so."""
        for asked in (*self._mail, *self._owed):
            asked.settle(self._where() | {"status": "ended"})

    # Playing

    async def play(self, end: Data) -> None:
        """Until it is stopped or its last bar is told, and then `end`. Raises `TooMany` for who does not read."""
        run = self._run
        named = ("symbol", "interval", "startDate", "endDate", "strategies")
        begun = {name: run.params[name] for name in named} | {"totalBars": run.total_bars}
        self._tell("started", begun | {"candles": run.bars is not None, "signals": False, "indicators": False})
        bar, stand = self._playback.bar, self._stand()
        await self._make(bar, lambda: [("state", run.snapshot(bar, stand))])
        while True:
            await self._hear()
            deed = self._playback.next(self._now_s())
            await self._settle()
            match deed:
                case Advance(until_bar):
                    await self._advance(until_bar)
                case Rewind(bar):
                    self._playback.moved(bar, self._now_s())
                    self._state_bar, self._state_due = bar, True
                case Wait(until_s):
                    await self._wait(self._rung, until_s)
                case Keep() | LetGo():  # There is nothing to store, and nobody who needs the place.
                    self._playback.kept(self._now_s())
                case End(stopped):
                    await self._end(None if stopped else end)
                    return

    def fail(self, error: str, code: str, now_ms: int) -> None:
        """The last word of a replay that cannot go on."""
        self._tell("error", {"status": "error", "error": error, "code": code, "timestamp": iso_from_ms(now_ms)})

    async def _advance(self, until_bar: int) -> None:
        await self._client.wait_for_room(ROOM_BELOW)
        if self._mail:
            return  # It may be for what nobody wants any more.
        since, playback = self._playback.bar, self._playback
        until = min(until_bar, self._state_bar + POINTS_MAX)
        pace = playback.bars_per_s
        few = playback.phase is Phase.STEPPING or (
            playback.phase is Phase.PLAYING and pace is not None and pace < CANDLES_BELOW_BARS_PER_S
        )
        candles = few and until - since <= _CANDLES_MAX
        await self._make(until - since, lambda: list(self._run.events(since, until, candles=candles)))
        now_s = self._now_s()
        playback.moved(until, now_s)
        on = until - self._state_bar
        due = on >= self._emit_bars and now_s - self._state_s >= self._emit_s
        if due or on >= POINTS_MAX or playback.over:
            await self._tell_state()

    async def _end(self, end: Data | None) -> None:
        for asked in self._owed:
            await self._tell_state(asked.command_id)
            asked.settle(self._where())
        self._owed.clear()
        if end is not None:
            self._tell("complete", end)

    async def _hear(self) -> None:
        self._rung.clear()
        while self._mail:
            asked = self._mail.popleft()
            request, phase = asked.request, self._playback.phase
            if request.action == "pause" and phase is Phase.PAUSED:
                asked.settle(_conflict("the replay is paused already"))
                continue
            if request.action == "resume" and phase is Phase.PLAYING:
                asked.settle(_conflict("the replay is not paused"))
                continue
            bar = self._run.bar_at(to_ms(request.time)) if request.time is not None else None
            if self._playback.hear(command_of(request, bar), self._now_s()):
                self._owed.append(asked)
            else:
                asked.settle(_conflict("the replay has ended; subscribe with replay again"))
            await self._settle()

    async def _settle(self) -> None:
        """Answers each command that has come to what it can come to, by an event and to who waits for it."""
        owed, self._owed = self._owed, list[_Asked]()
        for asked in owed:
            word = word_for(asked.request.action, self._playback.phase)
            if word is None:
                self._owed.append(asked)
                continue
            if word == "state":
                await self._tell_state(asked.command_id)
            else:
                self._tell(word, self._standing() | {"commandId": asked.command_id})
                self._state_due = True
            asked.settle(self._where())
        if self._state_due:
            await self._tell_state()

    # What is said

    async def _tell_state(self, command_id: str = "") -> None:
        since, bar, stand = self._state_bar, self._playback.bar, self._stand()
        named = {"commandId": command_id} if command_id else {}
        await self._make(bar - since, lambda: [("state", self._run.state(since, bar, stand) | named)])
        self._state_bar, self._state_s, self._state_due = bar, self._now_s(), False

    def _stand(self) -> Stand:
        return Stand(STATUS_OF[self._playback.phase], self._playback.bars_per_s or "max")

    def _percent(self) -> float:
        total = self._playback.total_bars
        return round(100 * self._playback.bar / total, 2) if total else 100.0

    def _standing(self) -> Data:
        return {
            "bar": self._playback.bar,
            "totalBars": self._playback.total_bars,
            "currentTime": iso_from_ms(self._run.time_at(self._playback.bar)),
            "progressPercent": self._percent(),
            "speed": self._playback.bars_per_s or "max",
        }

    def _where(self) -> Data:
        playing = "paused" if self._playback.phase is Phase.PAUSED else "replaying"
        return {
            "status": "ended" if self._playback.over else playing,
            "bar": self._playback.bar,
            "totalBars": self._playback.total_bars,
            "progress": self._percent(),
            "speed": self._playback.bars_per_s or "max",
        }

    async def _make(self, bars: int, make: Callable[[], list[tuple[Any, Data]]]) -> None:
        """Tells what is made of so many bars."""

        def write() -> list[Piece]:
            return [self._piece(kind, data) for kind, data in make()]

        self._client.owe(await asyncio.to_thread(write) if bars > _IN_THREAD_BARS else write())

    def _tell(self, kind: str, data: Data) -> None:
        self._client.owe([self._piece(kind, data)])

    def _piece(self, kind: str, data: Data) -> Piece:
        self._seq += 1
        whose = self._whose
        named = {"backtestId": whose.backtest_id, "userId": whose.user_id, "replay": True, "replaySeq": self._seq}
        text = json.dumps(data | named, separators=(",", ":"))
        said_at = data.get("timestamp")
        return Piece(f"backtest:{kind}", text, whose.backtest_id, whose.user_id, for_owner=False, said_at=said_at)


def _conflict(why: str) -> Conflict:
    return Conflict(why, [FieldError("action", why, Conflict.code)])
