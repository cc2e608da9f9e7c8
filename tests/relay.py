"""The relay over a store and a bus written by hand, with ears that note what they are told, for tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from api.listeners import Client, Topic
from api.pieces import Piece
from api.relay import Relay
from shared.bus import Bus, Resubscribed
from shared.contracts import Channel, Cursor
from shared.errors import BusUnavailable, NotFound
from shared.event_log import Entry, Heard, Position, Replay, replay_of
from shared.lifecycle import Status
from shared.records import BacktestRecord, NewsDocument, new_record
from shared.store import Ended, Store

Item = Heard | Resubscribed | Exception


class FakeStore:
    def __init__(self) -> None:
        self.records: dict[str, BacktestRecord] = {}
        self.time_ms = 100_000

    def add(self, backtest_id: str = "bt1", user_id: str = "ann", epoch: int = 1) -> BacktestRecord:
        record = new_record(backtest_id=backtest_id, user_id=user_id, params={}, priority=0, now_ms=1_000)
        record["epoch"] = epoch
        record["status"] = Status.RUNNING.value
        self.records[backtest_id] = record
        return record

    def end(self, backtest_id: str, end: Heard | None) -> None:
        record = self.records[backtest_id]
        record["status"], record["completedAt"] = Status.COMPLETED.value, 2_000
        if end is not None:
            said = json.loads(end.payload)
            record["outbox"] = [
                {"channel": end.channel.value, "epoch": said["epoch"], "seq": said["seq"], "payload": end.payload}
            ]

    def now_ms(self) -> int:
        return self.time_ms

    async def get(self, backtest_id: str, user_id: str) -> BacktestRecord:
        await asyncio.sleep(0)
        record = self.records.get(backtest_id)
        if record is None or record["userId"] != user_id:
            raise NotFound("no such backtest")
        return record

    async def terminal_among(self, backtest_ids: Sequence[str]) -> list[BacktestRecord]:
        await asyncio.sleep(0)
        found = [self.records[one] for one in backtest_ids if one in self.records]
        return [record for record in found if record["completedAt"]]

    async def ended_since(self, user_ids: Sequence[str], since_ms: int) -> list[Ended]:
        await asyncio.sleep(0)
        return [
            Ended(one["_id"], one["userId"], one["completedAt"], one["status"], one["resultId"])
            for one in self.records.values()
            if one["userId"] in user_ids and one["completedAt"] >= max(since_ms, 1)
        ]


class FakeBus:
    """An event log and a live channel. `silent` loses what is published live; `down` fails every replay."""

    def __init__(self) -> None:
        self.live: asyncio.Queue[Item] = asyncio.Queue()
        self.logs: dict[str, list[Heard]] = {}
        self.down = False
        self.silent = False
        # What becomes of a question where a run stands: no worker hears it, unless a test says what one answers.
        self.answer: Callable[[str], int] = lambda _: 0
        self.marked: list[str] = []
        self.before_replay: Callable[[], None] = lambda: None
        self.after_replay: Callable[[], None] = lambda: None

    def publish(self, heard: Heard) -> None:
        self.logs.setdefault(json.loads(heard.payload)["backtestId"], []).append(heard)
        if not self.silent:
            self.live.put_nowait(heard)

    @asynccontextmanager
    async def listen(self, *_: Channel) -> AsyncIterator[AsyncIterator[Heard | Resubscribed]]:
        async def items() -> AsyncIterator[Heard | Resubscribed]:
            yield Resubscribed()
            while True:
                item = await self.live.get()
                if isinstance(item, Exception):
                    raise item
                yield item

        yield items()

    async def mark_watched(self, backtest_ids: Sequence[str], gateway: str) -> None:
        if self.down:
            raise BusUnavailable("down")
        self.marked += backtest_ids

    async def say(self, messages: Sequence[tuple[Channel, str]]) -> list[int]:
        await asyncio.sleep(0)
        [(channel, text)] = messages
        said = json.loads(text)
        assert (channel, said["action"]) == (Channel.CONTROL, "watch")
        return [self.answer(said["backtestId"])]

    async def replay(self, backtest_id: str, after: Cursor | None, end: NewsDocument | None = None) -> Replay:
        if self.down:
            raise BusUnavailable("down")

        async def read(since: Position) -> list[Entry]:
            self.before_replay()
            await asyncio.sleep(0)
            kept = [(position_of(one.payload), one) for one in self.logs.get(backtest_id, [])]
            self.after_replay()
            await asyncio.sleep(0)
            return [entry for entry in kept if entry[0] >= since]

        return await replay_of(read, after, end)


def position_of(text: str) -> tuple[int, int]:
    said = json.loads(text)
    return said["epoch"], said["seq"]


def news(channel: Channel, epoch: int | None, seq: int | None, backtest_id: str = "bt1", **fields: Any) -> Heard:
    numbered = {} if epoch is None else {"epoch": epoch, "seq": seq}
    body = {"backtestId": backtest_id, "userId": "ann"} | numbered | fields
    return Heard(channel, json.dumps(body))


def progress(epoch: int | None, seq: int | None = None, backtest_id: str = "bt1", percent: float = 10) -> Heard:
    return news(
        Channel.PROGRESS, epoch, seq, backtest_id, progress=percent, message="Processing", currentDate="2024-01-01"
    )


def complete(epoch: int | None, seq: int | None = None, backtest_id: str = "bt1") -> Heard:
    return news(Channel.COMPLETE, epoch, seq, backtest_id, status="success", resultId="res_1", summary={})


def detail(epoch: int, seq: int, type: str = "log") -> Heard:
    return news(Channel.EVENT, epoch, seq, type=type, data={"level": "INFO", "message": f"{epoch}-{seq}"})


class Ear:
    """A client and all it was told."""

    def __init__(self, user_id: str = "ann", topics: Collection[Topic] = (Topic.NEWS,)) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.changed = asyncio.Event()
        self.waiting = 0
        self.dropped = False
        self.client = Client(user_id, send=self._send, backlog=lambda: self.waiting, drop=self._drop, topics=topics)

    async def _send(self, piece: Piece) -> None:
        self.told.append((piece.event, json.loads(piece.text)))
        self.changed.set()

    async def _drop(self) -> None:
        self.dropped = True
        self.changed.set()

    async def hears(self, count: int) -> list[tuple[str, dict[str, Any]]]:
        async with asyncio.timeout(5):
            while len(self.told) < count:
                self.changed.clear()
                await self.changed.wait()
        return self.told

    def positions(self) -> list[tuple[int, int]]:
        return [(said["epoch"], said["seq"]) for _, said in self.told if not said.get("snapshot")]

    def events(self) -> list[str]:
        return [event.removeprefix("backtest:") for event, _ in self.told]


class Scene:
    def __init__(self) -> None:
        self.store, self.bus = FakeStore(), FakeBus()
        self.relay = Relay(cast("Store", self.store), cast("Bus", self.bus), reconcile_interval_s=0.02)
        self.ears: list[Ear] = []

    def connect(self, user_id: str = "ann", topics: Collection[Topic] = (Topic.NEWS,)) -> Ear:
        ear = Ear(user_id, topics)
        self.ears.append(ear)
        self.relay.add(ear.client)
        return ear

    async def flushed(self) -> None:
        """Everything that was published has been relayed and sent: an ear of its own has heard the last of it."""
        last = self.connect("flush")
        marker = news(Channel.PROGRESS, None, None, "flush", progress=1, message="", currentDate="")
        said = json.loads(marker.payload) | {"userId": "flush"}
        self.bus.live.put_nowait(Heard(Channel.PROGRESS, json.dumps(said)))
        await last.hears(1)
        for _ in range(5):
            await asyncio.sleep(0)
        self.relay.remove(last.client)


@asynccontextmanager
async def relaying() -> AsyncIterator[Scene]:
    """A scene whose relay hears the channels."""
    one = Scene()
    working = asyncio.create_task(one.relay.relay())
    await one.flushed()
    yield one
    for ear in one.ears:
        one.relay.remove(ear.client)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
