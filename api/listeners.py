"""Clients of the relay: how far each has been told of each backtest, and the bounded queue in front of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from enum import StrEnum
from typing import Any

from api.in_turn import InTurn
from api.outbox import Outbox
from api.pieces import LOG, Piece
from shared.bus import Position
from shared.contracts import Cursor
from shared.errors import TooMany

log = logging.getLogger(__name__)

STANDINGS_MAX = 10_000
HELD_MAX = 5_000
STRETCHES_MAX = 8
ROOM_BELOW = 1_000
# Messages that may wait in the transport; what comes on top waits in our outbox, where it is counted.
TRANSPORT_MAX = 64
STALLED_AFTER_S = 30.0
_PATIENCE_S = 0.01
_AT_ONCE = 64

NOWHERE: Position = (-1, -1)


class Topic(StrEnum):
    """What a client hears of backtests that it does not subscribe to: of all of its user's."""

    NEWS = "news"
    DETAILS = "details"
    LOGS = "logs"


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

    News for the owner, details for subscribers and, of those, logs are counted apart: who subscribes late, or to more,
    has had some of them already.
    """

    __slots__ = ("_details", "_epoch", "_held", "_kept", "_logs", "_lost", "_news", "_said_end", "_wants", "ended")

    def __init__(self) -> None:
        self._news, self._details, self._logs = _Told(), _Told(), _Told()
        self._epoch = -1
        self._held: list[Piece] | None = None
        self._kept = asyncio.Event()
        self._lost = False
        self._said_end = False
        self._wants = False
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
        begin = {id(told): start for told in self._all()}  # of what is covered
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
                begin[id(told)] = position  # What was withheld stays so, however often it is asked for.
                continue
            self._epoch = position[0]
            self.ended = piece.ends
            missing.append(piece)
        for told in self._all():
            told.covers(begin[id(told)], last)
        return missing, has_all

    def begins_with(self, snapshot: Piece) -> bool:
        """Whether the client can be told how things stood there: all up to then counts as told. Not what is older than
        what it has heard, nor anything after the end."""
        position = snapshot.position
        if self.ended or position is None or position[0] < self._epoch or position < self.told():
            return False
        self._epoch, self._wants = position[0], False
        for told in self._all():
            told.covers(NOWHERE, position)
        return True

    def wants_snapshot(self) -> None:
        """The next that comes is for this client, too."""
        self._wants = True

    def takes_snapshot(self) -> bool:
        wanted, self._wants = self._wants, False
        return wanted

    def breaks(self) -> None:
        """Something may have been missed that nobody knows of."""
        for told in self._all():
            told.breaks()

    def _all(self) -> tuple[_Told, _Told, _Told]:
        return self._news, self._details, self._logs

    def _told_of(self, piece: Piece) -> _Told:
        if piece.for_owner:
            return self._news
        return self._logs if piece.event == LOG else self._details

    def told(self) -> Position:
        """The newest that the client was told."""
        return max(told.until for told in self._all())

    def floor(self, topics: Collection[Topic]) -> Position:
        """What is newer than this may be told to who hears these. Logs come the way that the other details come: who
        hears both has missed none that is older than the last detail."""
        heard = [self._news.until] if Topic.NEWS in topics else []
        if Topic.DETAILS in topics:
            heard.append(self._details.until)
        elif Topic.LOGS in topics:
            heard.append(self._logs.until)
        return min(heard, default=NOWHERE)

    @property
    def holding(self) -> bool:
        return self._held is not None

    def hold(self) -> None:
        """From now on keeps what comes, until `release`."""
        self._held, self._lost = [], False
        self._kept.clear()

    def keep(self, piece: Piece) -> None:
        if self._held is not None:
            if len(self._held) < HELD_MAX:
                self._held.append(piece)
            else:
                self._lost = True
            if piece.snapshot or piece.ends:
                self._kept.set()

    async def held_snapshot(self, until_s: float) -> Piece | None:
        """The first that says how things stand, of what is kept: waits for it until then on the event loop's clock, or
        until the end is said."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until_s):
                await self._kept.wait()
        return next((piece for piece in self._held or () if piece.snapshot), None)

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
        send: Callable[[Piece], Awaitable[None]],
        send_now: Callable[[Piece], bool] = lambda _: False,
        drop: Callable[[], Coroutine[Any, Any, None]],
        backlog: Callable[[], int] = lambda: 0,
        topics: Collection[Topic] = (Topic.NEWS,),
    ) -> None:
        """`backlog` is how many messages wait in the transport, of one whose `send` does not wait until it has room.

        `send_now` is for a transport that takes a message without anybody waiting: False where it does not.
        """
        self.user_id = user_id
        self.hears_since_ms = 0
        self.subscriptions: set[str] = set()
        self.topics = set(topics)
        self.turn = asyncio.Lock()
        self.in_turn = InTurn()
        self.closed = False
        self._send, self._send_now = send, send_now
        self._backlog = backlog
        self._drop = drop
        self._standings: OrderedDict[str, Standing] = OrderedDict()
        self._outbox = Outbox()
        self._filled = asyncio.Event()
        self._waits_for_transport = False
        self._sender = asyncio.create_task(self._send_queued())
        self._dropping: asyncio.Task[None] | None = None

    def close(self) -> None:
        self.closed = True
        self._outbox.clear()
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

    def watches(self, backtest_id: str) -> bool:
        """Whether it hears more of this backtest than every owner does."""
        return backtest_id in self.subscriptions or self.is_wide

    @property
    def is_wide(self) -> bool:
        """Whether it hears more of all of its user's backtests."""
        return not self.topics <= {Topic.NEWS}

    def _hears(self, piece: Piece) -> bool:
        if piece.backtest_id in self.subscriptions:
            return True
        if piece.for_owner:
            return Topic.NEWS in self.topics
        return Topic.DETAILS in self.topics or (piece.event == LOG and Topic.LOGS in self.topics)

    def floor(self, backtest_id: str) -> Position:
        standing = self._standings.get(backtest_id)
        if standing is None:
            return NOWHERE
        return standing.floor(Topic if backtest_id in self.subscriptions else self.topics)

    def breaks(self, backtest_id: str) -> None:
        """Something of this backtest may have been missed that nobody knows of."""
        standing = self._standings.get(backtest_id)
        if standing is not None:
            standing.breaks()

    def offer(self, piece: Piece, *, late: bool = False) -> None:
        """Queues a message if this client may hear it and has not yet. `late`: it was said while nobody here heard."""
        standing = self._standings.get(piece.backtest_id)
        if standing is not None and standing.holding:
            standing.keep(piece)
        elif self._hears(piece):
            standing = self.standing(piece.backtest_id)
            if standing.admits(piece) and (not piece.snapshot or standing.takes_snapshot()):
                self._put(piece, late)

    def tell(self, event: str, text: str) -> None:
        """Queues what is for this client alone and about no backtest."""
        self.owe([Piece(event, text, "", self.user_id)])

    def owe(self, pieces: Sequence[Piece]) -> None:
        """Queues what it asked for, which waits until it is read."""
        if not self.closed:
            self._outbox.owe(pieces)
            self._filled.set()

    def _put(self, piece: Piece, late: bool) -> None:
        if self.closed:
            return
        if not self._outbox and not self._waits_for_transport and self._send_now(piece):
            return  # Nothing was before it, and nobody has to be woken for it.
        if late:
            self._outbox.owe([piece])
        else:
            self._outbox.put(piece, slow=self._waits_for_transport)
        self._filled.set()
        # Judged only while the transport takes nothing: else what came in one go would count, that is sent next.
        if self._waits_for_transport and self._outbox.overflows:
            self._cut()

    async def wait_for_room(self, below: int = ROOM_BELOW) -> None:
        """Until no more than so many messages are queued. Raises `TooMany` for a client that does not read."""
        waited_until_s = time.monotonic() + STALLED_AFTER_S
        while len(self._outbox) > below:
            if time.monotonic() > waited_until_s:
                raise TooMany("earlier messages are still waiting to be read")
            await asyncio.sleep(_PATIENCE_S)

    def _cut(self, why: str = "reads too slowly") -> None:
        """Closes the socket: its client can come again, and hears what it has not had."""
        log.warning("a socket of a user %s (%d messages wait): closed", why, len(self._outbox))
        self.closed = True
        self._outbox.clear()
        self._sender.cancel()
        self._dropping = asyncio.create_task(self._drop())

    async def _send_queued(self) -> None:
        try:
            while await self._filled.wait():
                self._filled.clear()
                if not await self._empty_outbox():
                    self._cut()
                    return
        except Exception:
            # Whoever is told nothing any more must not believe that nothing is said.
            log.exception("what was said could not be sent")
            self._cut("could not be told something")

    async def _empty_outbox(self) -> bool:
        """False when the transport takes nothing more."""
        sent = 0
        while self._outbox:
            self._waits_for_transport = True
            if not await self._transport_has_room() or not await self._sends(self._outbox.take()):
                return False
            self._waits_for_transport = False
            sent += 1
            if sent % _AT_ONCE == 0:
                await asyncio.sleep(0)
        return True

    async def _sends(self, piece: Piece) -> bool:
        """False when the transport has not taken it within `STALLED_AFTER_S`."""
        try:
            async with asyncio.timeout(STALLED_AFTER_S):
                await self._send(piece)
        except TimeoutError:
            return False
        return True

    async def _transport_has_room(self) -> bool:
        """Waits while the transport is full; False when nothing has left it for `STALLED_AFTER_S`."""
        least = self._backlog()
        moved_s = time.monotonic()
        while (waiting := self._backlog()) > TRANSPORT_MAX:
            if waiting < least:
                least, moved_s = waiting, time.monotonic()
            elif time.monotonic() - moved_s > STALLED_AFTER_S:
                return False
            await asyncio.sleep(_PATIENCE_S)
        return True
