"""What a worker does with a bell: race for it where others listen, and spare itself the race where nobody does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from shared.bus import Bus, Heard, Resubscribed
from shared.contracts import Channel, Task
from shared.controls import Control
from shared.errors import BusUnavailable, InvalidRequest
from shared.records import new_record
from shared.settings import load_settings
from shared.store import Store
from tests.fleet import request
from worker import bell as bell_module
from worker.bell import Bell, Look
from worker.control import Mailboxes
from worker.foreign import ForeignCommands


class FakeBus:
    """A bus with this many workers, on which every race is lost."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.away = False
        self.races = 0
        self.heard: asyncio.Queue[Heard | Resubscribed] = asyncio.Queue()

    @asynccontextmanager
    async def listen(self, *_: Channel) -> AsyncIterator[AsyncIterator[Heard | Resubscribed]]:
        async def items() -> AsyncIterator[Heard | Resubscribed]:
            while True:
                yield await self.heard.get()

        yield items()

    async def count_listeners(self, channel: Channel) -> int:
        assert channel is Channel.CONTROL
        if self.away:
            raise BusUnavailable("away")
        return self.workers

    async def win_bell(self, _name: str) -> bool:
        self.races += 1
        return False


class Foreign:
    """What came that is in no record."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        yield

    def hear(self, control: Control) -> None:
        self.commands.append(control.action)

    def hear_malformed(self, _payload: str, error: InvalidRequest) -> None:
        self.commands.append(error.errors[0].field)


class Ears:
    """A bell with an idle worker behind it."""

    def __init__(self, bus: FakeBus) -> None:
        self.bus = bus
        self.look = Look()
        self.look.seeking = self.look.idle = True
        self.mailboxes = Mailboxes()
        self.foreign = Foreign()
        self.bell = Bell(
            *(cast("Store", None), cast("Bus", bus), load_settings(), self.look, self.mailboxes),
            cast("ForeignCommands", self.foreign),
        )

    async def looks_after(self, number: int) -> bool:
        """Whether the worker looks for work after a bell."""
        await self.settled()
        self.look.again.clear()
        task = Task(backtest_id=f"bt_{number}", user_id="ann", params=request(), recorded=True)
        self.bus.heard.put_nowait(Heard(Channel.TASK, task.as_json()))
        await self.settled()
        return self.look.again.is_set()

    async def settled(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


@asynccontextmanager
async def ears(bus: FakeBus, monkeypatch: Any) -> AsyncIterator[Ears]:
    monkeypatch.setattr(bell_module, "_COUNT_AGAIN_S", 0.0)
    made = Ears(bus)
    hearing = asyncio.create_task(made.bell.hear())
    try:
        yield made
    finally:
        hearing.cancel()
        await asyncio.wait([hearing])
        await made.bell.close()


async def test_who_listens_alone_has_nobody_to_race(monkeypatch: Any) -> None:
    async with ears(FakeBus(workers=1), monkeypatch) as one:
        await one.looks_after(1)
        assert one.bus.races == 1  # It does not know yet that it is alone.
        assert await one.looks_after(2)
        assert one.bus.races == 1


async def test_where_others_listen_only_the_winner_looks(monkeypatch: Any) -> None:
    async with ears(FakeBus(workers=2), monkeypatch) as one:
        assert not await one.looks_after(1)
        assert not await one.looks_after(2)
        assert one.bus.races == 2


async def test_whoever_is_not_alone_any_more_races_again(monkeypatch: Any) -> None:
    async with ears(FakeBus(workers=1), monkeypatch) as one:
        await one.looks_after(1)
        one.bus.workers = 2
        assert await one.looks_after(2)  # In vain perhaps, once.
        assert not await one.looks_after(3)
        one.bus.workers = 1
        await one.looks_after(4)
        one.bus.away = True
        assert await one.looks_after(5)
        assert not await one.looks_after(6)  # Who cannot count races.


async def test_a_renewed_subscription_forgets_who_was_alone(monkeypatch: Any) -> None:
    async with ears(FakeBus(workers=1), monkeypatch) as one:
        await one.looks_after(1)
        one.bus.heard.put_nowait(Resubscribed())
        assert not await one.looks_after(2)
        assert one.bus.races == 2


async def test_a_numbered_command_rings_a_watcher_is_shown_and_what_is_in_no_record_is_put_there(
    monkeypatch: Any,
) -> None:
    record = new_record(backtest_id="bt_1", user_id="ann", params={}, priority=0, now_ms=1)
    said = {"backtestId": "bt_1", "userId": "ann", "action": "pause"}
    async with ears(FakeBus(workers=1), monkeypatch) as one:
        with one.mailboxes.open(record) as mailbox:
            for changes, rung, watched in (
                ({}, False, False),
                ({"action": "dance"}, False, False),
                ({"action": "watch"}, False, True),
                ({"seq": 3}, True, False),
            ):
                one.bus.heard.put_nowait(Heard(Channel.CONTROL, json.dumps(said | changes)))
                await one.settled()
                assert (mailbox.rung.is_set(), mailbox.take_watched()) == (rung, watched), changes
        assert one.foreign.commands == ["pause", "action"]
