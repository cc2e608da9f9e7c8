"""The only way out: what is said on the channels goes to the sockets that may hear it, each once and in order.

Every gateway replica hears every channel and relays to its own sockets alone. Each client remembers, per backtest, how
far it has been told, so that nothing is told twice, nothing of an older epoch after a newer one, and nothing after the
end. What Redis lost is found again: details in the event log, ends in the records.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from api.listeners import NOWHERE, Client, Piece, Position, Standing
from shared.bus import Bus, Heard, Resubscribed
from shared.contracts import NEWS_CHANNELS, NEWS_MODELS, TERMINAL_CHANNELS, Channel, Cursor, Event
from shared.errors import BusUnavailable, InvalidRequest, NotFound, StoreUnavailable, TooMany
from shared.lifecycle import TERMINAL, Status
from shared.news import is_for_owner, terminal_news
from shared.observability import RareWarning
from shared.records import BacktestRecord
from shared.store import Store
from shared.wire import decode

log = logging.getLogger(__name__)
Item = TypeVar("Item")

SUBSCRIPTIONS_MAX = 1_000
OPEN_MAX = 50_000
ENDED_MAX = 50_000
MESSAGE_MAX_CHARS = 4_000_000
RECONCILE_INTERVAL_S = 4.0
RECONCILE_BATCH = 500
# An end younger than this may still be on its way with the last events before it, which must not be cut off.
RECONCILE_AGE_MS = 1_500
REPLAY_TIMEOUT_S = 2.0
# Less than the silence after which the bus takes its connection for dead, because it is not read meanwhile.
RESYNC_TIMEOUT_S = 4.0
RESYNC_AT_ONCE = 32
RESTART_WAITS_S = (0.1, 0.5, 1.0, 2.0, 5.0)
_PARSED_AT_ONCE = 100


def read_news(channel: Channel, payload: str) -> Piece:
    """One message of a channel. Raises `InvalidRequest` naming what is wrong with it."""
    if len(payload) > MESSAGE_MAX_CHARS:
        raise InvalidRequest.of("$", f"is longer than {MESSAGE_MAX_CHARS} characters", "too_long")
    news = decode(NEWS_MODELS[channel], payload)
    position = None if news.epoch is None or news.seq is None else (news.epoch, news.seq)
    event, text = channel.value, payload
    if isinstance(news, Event):
        event = f"backtest:{news.type}"
        identity: dict[str, Any] = {"backtestId": news.backtest_id, "userId": news.user_id}
        if position is not None:
            identity |= {"epoch": news.epoch, "seq": news.seq}
        text = json.dumps(news.data | identity, separators=(",", ":"))
    return Piece(
        event, text, news.backtest_id, news.user_id, position, is_for_owner(news), channel in TERMINAL_CHANNELS
    )


class Relay:
    """Bus → clients. `relay` until cancelled; `add`, `remove` and `subscribe` as clients come, go and ask."""

    def __init__(self, store: Store, bus: Bus, *, reconcile_interval_s: float = RECONCILE_INTERVAL_S) -> None:
        self._store = store
        self._bus = bus
        self._reconcile_interval_s = reconcile_interval_s
        self._clients: dict[str, set[Client]] = {}
        # Backtests whose end some client here is waiting for, and those that have ended of late.
        self._open: OrderedDict[str, str] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._warn = RareWarning(log)
        self.listening = False

    async def relay(self) -> None:
        """Relays until cancelled. Whatever goes wrong is logged and begun again."""
        async with asyncio.TaskGroup() as group:
            group.create_task(_keep_up("relay", self._listen))
            group.create_task(_keep_up("reconciliation", self._reconcile))

    # Clients

    def add(self, client: Client) -> None:
        self._clients.setdefault(client.user_id, set()).add(client)

    def remove(self, client: Client) -> None:
        mates = self._clients.get(client.user_id, set())
        mates.discard(client)
        if not mates:
            self._clients.pop(client.user_id, None)
        client.close()

    def watch(self, backtest_id: str, user_id: str) -> None:
        """From now on makes sure that this backtest's end reaches the user's clients here, if there are any."""
        if user_id in self._clients and backtest_id not in self._ended:
            self._open[backtest_id] = user_id
            if len(self._open) > OPEN_MAX:
                self._open.popitem(last=False)

    async def subscribe(self, client: Client, backtest_id: str, after: Cursor | None) -> bool:
        """Queues a snapshot and what was missed for the client and makes it live, without a gap.

        Returns whether everything since `after` was recovered. Raises `NotFound`, `TooMany`, `StoreUnavailable`.
        """
        async with client.turn:
            record = await self._store.get(backtest_id, client.user_id)
            if backtest_id not in client.subscriptions and len(client.subscriptions) >= SUBSCRIPTIONS_MAX:
                raise TooMany(f"a socket may subscribe to {SUBSCRIPTIONS_MAX} backtests; unsubscribe from some first")
            await client.wait_for_room()
            # A cursor beyond every claim is not one of ours; believing it would keep the client in the dark.
            known = after if after is None or after.epoch <= record["epoch"] else None
            standing = client.standing(backtest_id)
            standing.hold()
            try:
                replayed, recovered = await self._replay(backtest_id, client.user_id, known) or ([], False)
            except BaseException:
                for piece in standing.release()[0]:
                    client.offer(piece)
                raise
            # From here to the end there is no await: hand over and go live in one step.
            held, all_held = standing.release()
            if client.closed:
                raise NotFound("the socket is gone")
            if known is not None:
                standing.reach(known)
            client.subscriptions.add(backtest_id)
            self._hand_over(client, standing, record, replayed, held)
            return recovered and all_held and known == after

    async def unsubscribe(self, client: Client, backtest_id: str) -> None:
        async with client.turn:
            client.subscriptions.discard(backtest_id)

    def _hand_over(
        self, client: Client, standing: Standing, record: BacktestRecord, replayed: list[Piece], held: list[Piece]
    ) -> None:
        known = max([piece.position for piece in replayed if piece.position] + [standing.told()])
        # What was held is newer than the log's tail or stands in it already.
        missed = [piece for piece in (*replayed, *held) if standing.admits(piece)]
        ended = Status(record["status"]) in TERMINAL
        if ended and not standing.ended:
            # The event log is gone or incomplete; the record still knows how it ended.
            end = self._end_of(record)
            if end is not None and standing.admits(end):
                missed.append(end)
        snapshot = _snapshot(record, replayed, _position_before(missed, known))
        client.queue([("backtest:state", snapshot), *((piece.event, piece.text) for piece in missed)])
        if ended or standing.ended:
            self._note_end(record["_id"])
        else:
            self.watch(record["_id"], client.user_id)

    # Live

    async def _listen(self) -> None:
        try:
            async with self._bus.listen(*NEWS_CHANNELS) as items:
                count = 0
                async for item in items:
                    if isinstance(item, Resubscribed):
                        self.listening = True
                        await self._resync()
                    else:
                        self._hear(item)
                    count += 1
                    if count % _PARSED_AT_ONCE == 0:
                        await asyncio.sleep(0)  # A burst that is buffered already must not keep the senders waiting.
        finally:
            self.listening = False

    def _hear(self, heard: Heard) -> None:
        piece = self._read(heard)
        if piece is not None:
            self._tell(piece)

    def _read(self, heard: Heard) -> Piece | None:
        try:
            return read_news(heard.channel, heard.payload)
        except InvalidRequest as error:
            shown = heard.payload[:200].encode("ascii", "backslashreplace").decode()
            self._warn(f"ignored a malformed message on {heard.channel.value}: {error.message}: {shown!r}")
            return None

    def _tell(self, piece: Piece) -> None:
        numbered = piece.position is not None
        if numbered and not piece.ends and piece.backtest_id in self._ended:
            return
        for client in self._clients.get(piece.user_id, ()):
            client.offer(piece)
        if numbered and piece.ends:
            self._note_end(piece.backtest_id)
        elif numbered:
            self.watch(piece.backtest_id, piece.user_id)

    def _note_end(self, backtest_id: str) -> None:
        self._open.pop(backtest_id, None)
        self._ended[backtest_id] = None
        if len(self._ended) > ENDED_MAX:
            self._ended.popitem(last=False)

    # What Redis lost

    async def _replay(self, backtest_id: str, user_id: str, after: Cursor | None) -> tuple[list[Piece], bool] | None:
        """What the event log keeps after a cursor, and whether that is everything. None when Redis is silent."""
        try:
            async with asyncio.timeout(REPLAY_TIMEOUT_S):
                replay = await self._bus.replay(backtest_id, after)
        except (BusUnavailable, TimeoutError) as error:
            self._warn(f"no replay: {error or type(error).__name__}")
            return None
        pieces: list[Piece] = []
        for batch in _batches(replay.news, _PARSED_AT_ONCE):
            read = (self._read(heard) for heard in batch)
            pieces += [one for one in read if one and one.backtest_id == backtest_id and one.user_id == user_id]
            await asyncio.sleep(0)
        return pieces, replay.complete

    async def _resync(self) -> None:
        """After a new subscription to the channels: what was said meanwhile is in the event logs."""
        waiting = [(one, user) for one, user in self._open.items() if user in self._clients]
        try:
            async with asyncio.timeout(RESYNC_TIMEOUT_S):
                for some in _batches(waiting, RESYNC_AT_ONCE):
                    await asyncio.gather(*(self._catch_up(backtest_id, user_id) for backtest_id, user_id in some))
        except TimeoutError:
            self._warn(f"could not catch up with {len(waiting)} backtests in {RESYNC_TIMEOUT_S:g} s")

    async def _catch_up(self, backtest_id: str, user_id: str) -> bool:
        """Tells the user's clients what they have not been told yet; False when the event log could not be read."""
        floor = min((client.floor(backtest_id) for client in self._clients.get(user_id, ())), default=NOWHERE)
        after = None if floor == NOWHERE else Cursor(epoch=floor[0], seq=floor[1])
        found = await self._replay(backtest_id, user_id, after)
        for piece in found[0] if found else []:
            self._tell(piece)
        return found is not None

    async def _reconcile(self) -> None:
        while True:
            await asyncio.sleep(self._reconcile_interval_s * random.uniform(0.9, 1.1))
            try:
                await self._reconcile_once()
            except StoreUnavailable as error:
                self._warn(f"no reconciliation: {error.message}")

    async def _reconcile_once(self) -> None:
        """Tells the end of every backtest that has ended although nothing was heard of it (L5)."""
        for backtest_id, user_id in list(self._open.items()):
            if user_id not in self._clients:
                del self._open[backtest_id]
        log_answers = self.listening
        for batch in _batches(list(self._open), RECONCILE_BATCH):
            for record in await self._store.terminal_among(batch):
                backtest_id = record["_id"]
                too_young = self._store.now_ms() - record["completedAt"] < RECONCILE_AGE_MS
                if too_young or backtest_id not in self._open:
                    continue
                if log_answers:
                    log_answers = await self._catch_up(backtest_id, record["userId"])
                end = self._end_of(record)
                if end is not None:
                    self._tell(end)
                self._note_end(backtest_id)

    def _end_of(self, record: BacktestRecord) -> Piece | None:
        news = terminal_news(record)
        return None if news is None else self._read(Heard(Channel(news["channel"]), news["payload"]))


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


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


def _position_before(missed: Sequence[Piece], known: Position) -> Position:
    """Where the client stands before it is told what it missed: a cursor that loses nothing if it breaks off now."""
    first = next((piece.position for piece in missed if piece.position is not None), None)
    if first is None:
        return known
    return (first[0], first[1] - 1) if first[1] > 0 else (max(first[0] - 1, 0), 0)


def _snapshot(record: BacktestRecord, replayed: Sequence[Piece], position: Position) -> str:
    """`backtest:state` of a subscription: what the record and the newest events know. Marked by `snapshot: true`."""
    state: dict[str, Any] = {}
    for piece in reversed(replayed):
        if piece.event == "backtest:state":
            state = json.loads(piece.text)
            if isinstance(state.get("metrics"), dict):
                # A state carries only the points that are new since the state before it.
                state["metrics"].pop("equityCurve", None)
            break
    latest = next((json.loads(one.text) for one in reversed(replayed) if one.event == "backtest:progress"), {})
    done = record["status"] == Status.COMPLETED
    state |= {
        "backtestId": record["_id"],
        "userId": record["userId"],
        "snapshot": True,
        "status": record["status"],
        "progressPercent": 100.0 if done else max(latest.get("progress", 0.0), record["progress"]),
        "epoch": max(position[0], 0) if position != NOWHERE else record["epoch"],
        "seq": max(position[1], 0),
    }
    for name, source in _FROM_PROGRESS.items():
        if latest.get(source) is not None:
            state.setdefault(name, latest[source])
    if record["resultId"]:
        state["resultId"] = record["resultId"]
    return json.dumps(state, separators=(",", ":"))


_FROM_PROGRESS = {"currentTime": "currentDate", "currentCandleIndex": "processedBars", "totalCandles": "totalBars"}
