"""Clients of the relay: how far each has been told of each backtest, and the bounded queue in front of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from shared.bus import Position
from shared.contracts import Cursor
from shared.errors import TooMany

log = logging.getLogger(__name__)

STANDINGS_MAX = 10_000
HELD_MAX = 5_000
STRETCHES_MAX = 8
QUEUE_MAX = 20_000
ROOM_BELOW = 1_000
# Messages that may wait in the transport; what comes on top waits in our queue, where it is counted.
TRANSPORT_MAX = 256
STALLED_AFTER_S = 30.0
_PATIENCE_S = 0.01
_AT_ONCE = 64

NOWHERE: Position = (-1, -1)


@dataclass(frozen=True, slots=True)
class Piece:
    """One message as clients get it. `position` is (epoch, seq), or None where the publisher numbered nothing;
    `said_at` is when it was said, as it was written, or None where it was not; `command_id` what it answers, if any."""

    event: str
    text: str
    backtest_id: str
    user_id: str
    position: Position | None
    for_owner: bool
    ends: bool
    said_at: str | None = None
    command_id: str | None = None


class _Told:
    """What one client was told of one backtest: stretches without gaps, each from after a position to another.

    Of more than `STRETCHES_MAX` the oldest are forgotten: up to `_unsure` something was told, nobody knows what.
    """

    __slots__ = ("_goes_on", "_stretches", "_unsure", "until")

    def __init__(self) -> None:
        self._stretches: list[tuple[Position, Position]] = []
        self._goes_on = False
        self._unsure = NOWHERE
        self.until = NOWHERE

    def goes_on(self, position: Position) -> bool:
        """Whether this is newer than all that was told; if so, it counts as told."""
        if position <= self.until:
            return False
        begin = self._stretches.pop()[0] if self._goes_on else (position[0], position[1] - 1)
        self._goes_on = True
        self.until = position
        self._add(begin, position)
        return True

    def has(self, position: Position) -> bool:
        return any(after < position <= until for after, until in self._stretches)

    def may_have(self, position: Position) -> bool:
        return position <= self._unsure

    def breaks(self) -> None:
        """Something may have been missed: what is told next begins a stretch."""
        self._goes_on = False

    def covers(self, after: Position, until: Position) -> None:
        """All that is kept between the two was told, now or earlier."""
        apart: list[tuple[Position, Position]] = []
        for one in self._stretches:
            if one[0] <= until and after <= one[1]:
                after, until = min(after, one[0]), max(until, one[1])
            else:
                apart.append(one)
        self._stretches = apart
        if until >= self.until:
            self.until = until
            self._goes_on = True
        self._add(after, until)

    def _add(self, after: Position, until: Position) -> None:
        self._stretches.append((after, until))
        if len(self._stretches) > 1:
            self._stretches.sort()
        if len(self._stretches) > STRETCHES_MAX:
            self._unsure = max(self._unsure, self._stretches.pop(0)[1])


class Standing:
    """How far one client has been told of one backtest.

    News for the owner and details for subscribers are counted apart: who subscribes late has had the former already.
    """

    __slots__ = ("_details", "_epoch", "_held", "_lost", "_news", "_said_end", "ended")

    def __init__(self) -> None:
        self._news = _Told()
        self._details = _Told()
        self._epoch = -1
        self._held: list[Piece] | None = None
        self._lost = False
        self._said_end = False
        self.ended = False

    def admits(self, piece: Piece) -> bool:
        """Whether the client should be told this, which was said just now; if so, it counts as told."""
        if self.ended:
            return False
        position = piece.position
        if position is None:
            # Whoever numbers nothing is believed about the end only as far as its own messages go.
            fresh = not self._said_end
            self._said_end = self._said_end or piece.ends
            return fresh
        if position[0] < self._epoch or not self._told_of(piece).goes_on(position):
            return False
        self._epoch = position[0]
        self.ended = piece.ends
        return True

    def catches_up(self, replayed: Sequence[Piece], after: Cursor | None) -> tuple[list[Piece], bool]:
        """What to tell of all that is kept since a cursor, and whether the client has all of it then.

        It may have heard some of it, or what came later. What is left it is told late rather than never, but nothing of
        an older epoch after a newer one, and nothing after the end.
        """
        missing: list[Piece] = []
        has_all = True
        start = NOWHERE if after is None else (after.epoch, after.seq)
        self._epoch = max(self._epoch, start[0])
        begin = {True: start, False: start}  # of what is covered: for the owner, for subscribers
        last = start
        for piece in replayed:
            position = piece.position
            if position is None:
                continue
            last = position
            told = self._told_of(piece)
            if told.has(position):
                continue
            if self.ended or position[0] < self._epoch or told.may_have(position):
                has_all = False
                begin[piece.for_owner] = position  # What was withheld stays so, however often it is asked for.
                continue
            self._epoch = position[0]
            self.ended = piece.ends
            missing.append(piece)
        self._news.covers(begin[True], last)
        self._details.covers(begin[False], last)
        return missing, has_all

    def breaks(self) -> None:
        """Something may have been missed that nobody knows of."""
        self._news.breaks()
        self._details.breaks()

    def _told_of(self, piece: Piece) -> _Told:
        return self._news if piece.for_owner else self._details

    def told(self) -> Position:
        """The newest that the client was told."""
        return max(self._news.until, self._details.until)

    def floor(self, subscribed: bool) -> Position:
        """What is newer than this may be told."""
        return min(self._news.until, self._details.until) if subscribed else self._news.until

    @property
    def holding(self) -> bool:
        return self._held is not None

    def hold(self) -> None:
        """From now on keeps what comes, until `release`."""
        self._held, self._lost = [], False

    def keep(self, piece: Piece) -> None:
        if self._held is not None:
            if len(self._held) < HELD_MAX:
                self._held.append(piece)
            else:
                self._lost = True

    def release(self) -> tuple[list[Piece], bool]:
        """What was kept, and whether that is all that came."""
        held, self._held = self._held or [], None
        return held, not self._lost


class Client:
    """One connected socket. `offer` never waits; a task of the client's own sends, so a slow one holds up nobody."""

    def __init__(
        self,
        user_id: str,
        *,
        send: Callable[[str, str], Awaitable[None]],
        backlog: Callable[[], int],
        drop: Callable[[], Awaitable[None]],
    ) -> None:
        self.user_id = user_id
        self.hears_since_ms = 0
        self.subscriptions: set[str] = set()
        self.turn = asyncio.Lock()
        self.closed = False
        self._send = send
        self._backlog = backlog
        self._drop = drop
        self._standings: OrderedDict[str, Standing] = OrderedDict()
        self._queue: deque[tuple[str, str]] = deque()
        self._filled = asyncio.Event()
        self._sender = asyncio.create_task(self._send_queued())

    def close(self) -> None:
        self.closed = True
        self._queue.clear()
        self._standings.clear()
        self.subscriptions.clear()
        self._sender.cancel()

    def standing(self, backtest_id: str) -> Standing:
        found = self._standings.get(backtest_id)
        if found is None:
            found = self._standings[backtest_id] = Standing()
            if len(self._standings) > STANDINGS_MAX:
                self._forget_oldest()
        return found

    def _forget_oldest(self) -> None:
        for _ in range(len(self._standings)):
            backtest_id, standing = self._standings.popitem(last=False)
            if backtest_id not in self.subscriptions and not standing.holding:
                return
            self._standings[backtest_id] = standing

    def floor(self, backtest_id: str) -> Position:
        standing = self._standings.get(backtest_id)
        return NOWHERE if standing is None else standing.floor(backtest_id in self.subscriptions)

    def breaks(self, backtest_id: str) -> None:
        """Something of this backtest may have been missed that nobody knows of."""
        standing = self._standings.get(backtest_id)
        if standing is not None:
            standing.breaks()

    def offer(self, piece: Piece) -> None:
        """Queues a message if this client may hear it and has not yet."""
        standing = self._standings.get(piece.backtest_id)
        if standing is not None and standing.holding:
            standing.keep(piece)
        elif (piece.for_owner or piece.backtest_id in self.subscriptions) and self.standing(piece.backtest_id).admits(
            piece
        ):
            self.queue([(piece.event, piece.text)])

    def queue(self, messages: Sequence[tuple[str, str]]) -> None:
        if not self.closed:
            self._queue.extend(messages)
            self._filled.set()

    async def wait_for_room(self) -> None:
        """Until most of what is queued was sent. Raises `TooMany` for a client that does not read."""
        waited_until_s = time.monotonic() + STALLED_AFTER_S
        while len(self._queue) > ROOM_BELOW:
            if time.monotonic() > waited_until_s:
                raise TooMany("earlier messages are still waiting to be read")
            await asyncio.sleep(_PATIENCE_S)

    async def _send_queued(self) -> None:
        while await self._filled.wait():
            self._filled.clear()
            sent = 0
            while self._queue:
                if len(self._queue) > QUEUE_MAX or not await self._transport_has_room():
                    log.warning("a socket of a user reads too slowly (%d messages wait): closed", len(self._queue))
                    self._queue.clear()
                    await self._drop()
                    return
                event, text = self._queue.popleft()
                await self._send(event, text)
                sent += 1
                if sent % _AT_ONCE == 0:
                    await asyncio.sleep(0)

    async def _transport_has_room(self) -> bool:
        """Waits while the transport is full; False when nothing has left it for `STALLED_AFTER_S`."""
        least = self._backlog()
        moved_s = time.monotonic()
        while (waiting := self._backlog()) > TRANSPORT_MAX:
            if len(self._queue) > QUEUE_MAX:
                return False
            if waiting < least:
                least, moved_s = waiting, time.monotonic()
            elif time.monotonic() - moved_s > STALLED_AFTER_S:
                return False
            await asyncio.sleep(_PATIENCE_S)
        return True
