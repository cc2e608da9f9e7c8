"""The only way out: what is said on the channels goes to the sockets that may hear it, each once and in order.

Every gateway replica hears every channel and relays to its own sockets alone. Each client remembers, per backtest, how
far it has been told, so that nothing is told twice, nothing of an older epoch after a newer one, and nothing after the
end. What Redis lost is found again: details in the event log, ends in the records.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial

from api.listeners import NOWHERE, Client, Standing, Topic
from api.pieces import Piece, owners_before, read_news
from api.snapshots import is_under_way, snapshot_of
from api.watching import Watching
from shared.batches import in_batches
from shared.bus import Bus, Heard, Resubscribed
from shared.contracts import NEWS_CHANNELS, Channel, Cursor
from shared.errors import BusUnavailable, InvalidRequest, NotFound, StoreUnavailable, TooMany
from shared.lifecycle import TERMINAL, Status
from shared.news import terminal_news
from shared.observability import RareWarning
from shared.records import BacktestRecord, NewsDocument
from shared.store import ENDED_PAGE, Store

log = logging.getLogger(__name__)

SUBSCRIPTIONS_MAX = 1_000
OPEN_MAX = 50_000
ENDED_MAX = 50_000
RECONCILE_INTERVAL_S = 4.0
RECONCILE_BATCH = 500
# An end younger than this may still be on its way with the last events before it, which must not be cut off.
RECONCILE_AGE_MS = 1_500
# An end that is older than this has been told to everybody who waited for it.
LATE_AFTER_MS = 60_000
USERS_AT_ONCE = 500
ENDED_PAGES_MAX = 50
REPLAY_TIMEOUT_S = 2.0
# Less than the silence after which the bus takes its connection for dead, because it is not read meanwhile.
RESYNC_TIMEOUT_S = 4.0
RESYNC_AT_ONCE = 32
RESTART_WAITS_S = (0.1, 0.5, 1.0, 2.0, 5.0)
# Then whoever sends has a turn: what is heard in one go must not look like a client that does not read.
_PARSED_AT_ONCE = 32


_Owned = tuple[str, str]  # a backtest and its user


@dataclass(frozen=True, slots=True)
class _Recalled:
    """What was said of a backtest after `after`. `complete`: that is all; `believed`: so was the asker's cursor.

    Where Redis did not answer there is the end at most.
    """

    pieces: list[Piece]
    after: Cursor | None
    complete: bool
    believed: bool = False
    answered: bool = True


class Relay:
    """Bus → clients. `relay` until cancelled; `add`, `remove` and `subscribe` as clients come, go and ask."""

    def __init__(self, store: Store, bus: Bus, *, reconcile_interval_s: float = RECONCILE_INTERVAL_S) -> None:
        self._store = store
        self._bus = bus
        self.on_heard: Callable[[Piece], None] = lambda _: None
        self._reconcile_interval_s = reconcile_interval_s
        self._watching = Watching(bus)
        self._clients: dict[str, set[Client]] = {}
        # Backtests whose end some client here is waiting for, and those that have ended of late. Each with its user as
        # it was said: what somebody says in another user's name does not touch the owner's.
        self._open: OrderedDict[_Owned, None] = OrderedDict()
        self._ended: OrderedDict[_Owned, None] = OrderedDict()
        self._warn = RareWarning(log)
        self.listening = False
        self._listening_since_ms = self._first_listened_ms = 0
        # When something was heard last, and since when ends may have been missed of which nothing else was heard.
        self._heard_ms = 0
        self._unheard_since_ms: int | None = None

    async def relay(self) -> None:
        """Relays until cancelled. Whatever goes wrong is logged and begun again."""
        async with asyncio.TaskGroup() as group:
            group.create_task(_keep_up("relay", self._listen))
            group.create_task(_keep_up("reconciliation", self._reconcile))
            group.create_task(_keep_up("watching", partial(self._watching.keep, self._watched_here)))

    # Clients

    def add(self, client: Client) -> None:
        client.hears_since_ms = self._store.now_ms()
        self._clients.setdefault(client.user_id, set()).add(client)

    def remove(self, client: Client) -> None:
        mates = self._clients.get(client.user_id, set())
        mates.discard(client)
        if not mates:
            self._clients.pop(client.user_id, None)
        client.close()

    def watch(self, backtest_id: str, user_id: str) -> None:
        """From now on makes sure that this backtest's end reaches the user's clients here, if there are any."""
        clients = self._clients.get(user_id)
        owned = backtest_id, user_id
        if clients and owned not in self._ended:
            if owned not in self._open and any(client.is_wide for client in clients):
                self._watching.begin_soon(backtest_id, user_id)
            self._open[owned] = None
            if len(self._open) > OPEN_MAX:
                self._open.popitem(last=False)

    def widen(self, client: Client, topics: Iterable[Topic]) -> None:
        """From now on the client hears these, also of backtests that it does not subscribe to."""
        client.topics |= set(topics)
        if client.is_wide:
            for backtest_id, user_id in self._open:
                if user_id == client.user_id:
                    client.standing(backtest_id).wants_snapshot()
                    self._watching.begin_soon(backtest_id, user_id)

    def _watched_here(self) -> list[str]:
        return [
            backtest_id
            for backtest_id, user_id in self._open
            if any(client.watches(backtest_id) for client in self._clients.get(user_id, ()))
        ]

    async def subscribe(
        self,
        client: Client,
        backtest_id: str,
        after: Cursor | None,
        on_joined: Callable[[bool], None] = lambda _: None,
    ) -> bool:
        """Queues a snapshot and what was missed for the client and makes it live, without a gap.

        Returns whether everything since `after` was recovered, which `on_joined` is told before anything is queued.
        Who does not say what it has, or can no longer be told all since then, is told where the run stands, by the run,
        instead of what is older. Raises `NotFound`, `TooMany`, `StoreUnavailable`.
        """
        async with client.in_turn.turn_of(backtest_id):
            record = await self._store.get(backtest_id, client.user_id)
            standing = client.standing(backtest_id)
            standing.hold()
            try:
                until_s = 0.0
                if not _has_ended(record):
                    until_s = await self._watching.begin(backtest_id, client.user_id)
                told = await standing.held_snapshot(until_s) if after is None and is_under_way(record) else None
                async with client.turn:
                    if backtest_id not in client.subscriptions and len(client.subscriptions) >= SUBSCRIPTIONS_MAX:
                        raise TooMany(f"{SUBSCRIPTIONS_MAX} subscriptions are the most of a socket; end some first")
                    await client.wait_for_room()
                    recalled = _Recalled([], None, complete=True)
                    if told is None:
                        recalled = await self._recall(record, after)
                        if after is not None and not recalled.complete and is_under_way(record):
                            told = await standing.held_snapshot(until_s)
                    return self._join(client, standing, record, recalled, told, on_joined)
            except BaseException:
                for piece in standing.release()[0]:
                    client.offer(piece)
                raise

    def _join(
        self,
        client: Client,
        standing: Standing,
        record: BacktestRecord,
        recalled: _Recalled,
        snapshot: Piece | None,
        on_joined: Callable[[bool], None],
    ) -> bool:
        """Hands over and goes live in one step: nothing here waits."""
        if client.closed:
            raise NotFound("the socket is gone")
        held, all_held = standing.release()
        complete = recalled.complete or (
            recalled.believed and not recalled.pieces and self._nothing_was_said(record, client, standing)
        )
        client.subscriptions.add(record["_id"])
        before = _admitted(standing, owners_before(snapshot, held))
        if snapshot is not None and standing.begins_with(snapshot):
            pieces, has_all = [snapshot, *_admitted(standing, held)], True
        else:
            pieces, has_all = self._hand_over(standing, record, recalled, held)
            if is_under_way(record) and not complete:
                standing.wants_snapshot()  # The run may still answer.
        if not all_held:
            standing.breaks()
        recovered = complete and has_all and all_held
        on_joined(recovered)
        client.owe([*before, *pieces])
        self._note_standing_of(record, client)
        return recovered

    async def unsubscribe(self, client: Client, backtest_id: str) -> None:
        async with client.in_turn.turn_of(backtest_id):
            client.subscriptions.discard(backtest_id)

    def _hand_over(
        self, standing: Standing, record: BacktestRecord, recalled: _Recalled, held: list[Piece]
    ) -> tuple[list[Piece], bool]:
        """What the client is told first, and whether it has all that was recalled then."""
        if recalled.answered:
            missed, has_all = standing.catches_up(recalled.pieces, recalled.after)
        else:
            standing.breaks()
            missed, has_all = _admitted(standing, recalled.pieces), False
        # What was held is newer than the log's tail or stands in it already.
        missed = [piece for piece in missed if not piece.snapshot] + _admitted(standing, held)
        return [snapshot_of(record, recalled.pieces, missed, standing.told()), *missed], has_all

    def _note_standing_of(self, record: BacktestRecord, client: Client) -> None:
        if not _has_ended(record) or self._store.now_ms() - record["completedAt"] < LATE_AFTER_MS:
            # Also one that has just ended: others here may not have heard of it.
            self.watch(record["_id"], client.user_id)
        elif (record["_id"], record["userId"]) not in self._open:
            self._note_end(record["_id"], record["userId"])

    def _nothing_was_said(self, record: BacktestRecord, client: Client, standing: Standing) -> bool:
        """An event log can be empty because it was lost, or because there was nothing to say yet. The latter is sure
        before the first claim; and after it where the client has heard everything since, and heard nothing.
        """
        if record["epoch"] == 0:
            return True
        since_ms = max(self._listening_since_ms, client.hears_since_ms)
        silent = self.listening and since_ms < record["startedAt"] and standing.told() == NOWHERE
        return silent and record["epoch"] == 1 and not _has_ended(record)

    # Live

    async def _listen(self) -> None:
        try:
            async with self._bus.listen(*NEWS_CHANNELS) as items:
                count = 0
                async for item in items:
                    if isinstance(item, Resubscribed):
                        self.listening = True
                        self._note_break()
                        await self._resync()
                    else:
                        self._hear(item)
                        self._heard_ms = self._store.now_ms()
                    count += 1
                    if count % _PARSED_AT_ONCE == 0:
                        await asyncio.sleep(0)  # A burst that is buffered already must not keep the senders waiting.
        finally:
            self.listening = False

    def _hear(self, heard: Heard) -> None:
        piece = self._read(heard)
        if piece is not None:
            self.on_heard(piece)
            self._tell(piece)

    def _read(self, heard: Heard) -> Piece | None:
        try:
            return read_news(heard.channel, heard.payload)
        except InvalidRequest as error:
            shown = heard.payload[:200].encode("ascii", "backslashreplace").decode()
            self._warn(f"ignored a malformed message on {heard.channel.value}: {error.message}: {shown!r}")
            return None

    def _tell(self, piece: Piece, *, late: bool = False) -> None:
        numbered = piece.position is not None
        if numbered and not piece.ends and (piece.backtest_id, piece.user_id) in self._ended:
            return
        for client in self._clients.get(piece.user_id, ()):
            client.offer(piece, late=late)
        if numbered and piece.ends:
            self._note_end(piece.backtest_id, piece.user_id)
        elif numbered:
            self.watch(piece.backtest_id, piece.user_id)

    def _note_end(self, backtest_id: str, user_id: str) -> None:
        self._open.pop((backtest_id, user_id), None)
        self._ended[backtest_id, user_id] = None
        if len(self._ended) > ENDED_MAX:
            self._ended.popitem(last=False)

    # What Redis lost

    async def _recall(self, record: BacktestRecord, after: Cursor | None) -> _Recalled:
        """What was said of a backtest since a cursor, as far as the event log and the record's end know."""
        backtest_id, user_id = record["_id"], record["userId"]
        end = terminal_news(record) if _has_ended(record) else None
        found = await self._replay(backtest_id, user_id, after, end)
        if found is None:
            piece = self._end_of(record) if end else None
            return _Recalled([piece] if piece else [], None, complete=False, answered=False)
        young = self._store.now_ms() - record["completedAt"] < RECONCILE_AGE_MS
        if end is not None and not found.complete and young:
            # What was said just before this end is on its way, and the end comes with it; or it was heard meanwhile,
            # and then the log has it now.
            heard = (backtest_id, user_id) in self._ended
            found = await self._replay(backtest_id, user_id, after, end if heard else None) or found
        return found

    async def _replay(
        self, backtest_id: str, user_id: str, after: Cursor | None, end: NewsDocument | None = None
    ) -> _Recalled | None:
        """What the event log keeps after a cursor. None when Redis is silent."""
        try:
            async with asyncio.timeout(REPLAY_TIMEOUT_S):
                replay = await self._bus.replay(backtest_id, after, end)
        except (BusUnavailable, TimeoutError) as error:
            self._warn(f"no replay: {error or type(error).__name__}")
            return None
        pieces: list[Piece] = []
        for batch in in_batches(replay.news, _PARSED_AT_ONCE):
            read = (self._read(heard) for heard in batch)
            pieces += [one for one in read if one and one.backtest_id == backtest_id and one.user_id == user_id]
            await asyncio.sleep(0)
        return _Recalled(pieces, after if replay.known else None, complete=replay.complete, believed=replay.known)

    def _note_break(self) -> None:
        """Whatever was said before the last that was heard was heard too, because a channel keeps its order.

        But news of an end can follow the record late, out of the outbox of a worker that died: so ends of some time
        before are asked for too. What ended before this gateway listened at all is not news to anybody here.
        """
        now_ms = self._store.now_ms()
        if self._first_listened_ms:
            since_ms = max(self._heard_ms - LATE_AFTER_MS, self._first_listened_ms)
            self._unheard_since_ms = min(since_ms, self._unheard_since_ms or since_ms)
        else:
            self._first_listened_ms = now_ms
        self._heard_ms = self._listening_since_ms = now_ms

    async def _watch_unheard(self) -> None:
        """After a break: makes sure of the ends of backtests of which this gateway may have heard nothing at all."""
        since_ms, self._unheard_since_ms = self._unheard_since_ms, None
        if since_ms is None:
            return
        try:
            for user_ids in in_batches(list(self._clients), USERS_AT_ONCE):
                await self._watch_ended(user_ids, since_ms)
        except StoreUnavailable:
            self._unheard_since_ms = min(since_ms, self._unheard_since_ms or since_ms)
            raise

    async def _watch_ended(self, user_ids: list[str], since_ms: int) -> None:
        for _ in range(ENDED_PAGES_MAX):
            found = await self._store.ended_since(user_ids, since_ms)
            for one in found:
                self.watch(one.backtest_id, one.user_id)
            if len(found) < ENDED_PAGE:
                return
            if found[-1].at_ms == since_ms:
                break
            since_ms = found[-1].at_ms
        self._warn("too many backtests ended unheard; some ends may not be told")

    async def _resync(self) -> None:
        """After a new subscription to the channels: what was said meanwhile is in the event logs."""
        waiting = [(one, user) for one, user in self._open if user in self._clients]
        left = set(waiting)

        async def catch_up(backtest_id: str, user_id: str) -> None:
            found = await self._catch_up(backtest_id, user_id)
            if found is not None and found.complete:
                left.discard((backtest_id, user_id))

        try:
            async with asyncio.timeout(RESYNC_TIMEOUT_S):
                for some in in_batches(waiting, RESYNC_AT_ONCE):
                    await asyncio.gather(*(catch_up(backtest_id, user_id) for backtest_id, user_id in some))
        except TimeoutError:
            self._warn(f"could not catch up with {len(waiting)} backtests in {RESYNC_TIMEOUT_S:g} s")
        for backtest_id, user_id in left:
            for client in self._clients.get(user_id, ()):
                client.breaks(backtest_id)

    async def _catch_up(self, backtest_id: str, user_id: str) -> _Recalled | None:
        """Tells the user's clients what they have not been told yet. None when the event log could not be read."""
        floor = min((client.floor(backtest_id) for client in self._clients.get(user_id, ())), default=NOWHERE)
        after = None if floor == NOWHERE else Cursor(epoch=floor[0], seq=floor[1])
        found = await self._replay(backtest_id, user_id, after)
        for piece in found.pieces if found else []:
            self._tell(piece, late=True)
        return found

    async def _reconcile(self) -> None:
        while True:
            await asyncio.sleep(self._reconcile_interval_s * random.uniform(0.9, 1.1))
            try:
                await self._reconcile_once()
            except StoreUnavailable as error:
                self._warn(f"no reconciliation: {error.message}")

    async def _reconcile_once(self) -> None:
        """Tells the end of every backtest that has ended although nothing was heard of it (L5)."""
        await self._watch_unheard()
        for owned in list(self._open):
            if owned[1] not in self._clients:
                del self._open[owned]
        log_answers = self.listening
        for batch in in_batches([backtest_id for backtest_id, _ in self._open], RECONCILE_BATCH):
            for record in await self._store.terminal_among(batch):
                backtest_id, user_id = record["_id"], record["userId"]
                too_young = self._store.now_ms() - record["completedAt"] < RECONCILE_AGE_MS
                if too_young or (backtest_id, user_id) not in self._open:
                    continue
                if log_answers:
                    log_answers = await self._catch_up(backtest_id, user_id) is not None
                end = self._end_of(record)
                if end is not None:
                    self._tell(end)
                self._note_end(backtest_id, user_id)

    def _end_of(self, record: BacktestRecord) -> Piece | None:
        news = terminal_news(record)
        return None if news is None else self._read(Heard(Channel(news["channel"]), news["payload"]))


async def _keep_up(name: str, work: Callable[[], Awaitable[None]]) -> None:
    failures = 0
    while True:
        started_s = time.monotonic()
        try:
            await work()
        except Exception:
            log.exception("%s stopped", name)
        failures = 0 if time.monotonic() - started_s > 60 else failures + 1
        wait_s = RESTART_WAITS_S[min(failures, len(RESTART_WAITS_S) - 1)]
        log.warning("%s begins again in %g s", name, wait_s)
        await asyncio.sleep(wait_s)


def _admitted(standing: Standing, pieces: Iterable[Piece]) -> list[Piece]:
    """Those that the client should be told; a state that replaces all it has is for who asked for that."""
    return [piece for piece in pieces if standing.admits(piece) and not piece.snapshot]


def _has_ended(record: BacktestRecord) -> bool:
    return Status(record["status"]) in TERMINAL
