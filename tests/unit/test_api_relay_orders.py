"""Whatever order clients connect and subscribe in, and whatever Redis loses: what each is promised, it is told."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api import listeners
from shared.bus import Heard, Resubscribed
from shared.contracts import Cursor
from shared.errors import NotFound
from tests.relay import Ear, Scene, complete, detail, position_of, progress, relaying

EARS = 3
Step = tuple[Any, ...]
Position = tuple[int, int]

ears = st.integers(0, EARS - 1)
# Which of what has been said the client is at: none, by a share of all, or somewhere of its own invention.
known_cursors = st.one_of(st.none(), st.floats(0, 1))
cursors = st.one_of(known_cursors, known_cursors, st.tuples(st.integers(0, 4), st.integers(0, 30)))
pauses = st.sampled_from([0, 0, 3, 30]).map(lambda turns: [("pause", turns)])
words = st.lists(st.booleans().map(lambda for_owner: ("say", for_owner)), min_size=1, max_size=5)


def acts(*parts: st.SearchStrategy[list[Step]]) -> st.SearchStrategy[list[Step]]:
    return st.tuples(*parts).map(lambda found: [step for part in found for step in part])


def one(*step: Any) -> st.SearchStrategy[list[Step]]:
    return st.tuples(*(part if isinstance(part, st.SearchStrategy) else st.just(part) for part in step)).map(
        lambda found: [found]
    )


def maybe(*step: Any) -> st.SearchStrategy[list[Step]]:
    return st.one_of(st.just([]), one(*step))


telling = acts(words, pauses)
coming = acts(one("connect", ears), pauses)
deafness = acts(one("deaf"), words, maybe("lose"), maybe("down"), one("hear"), pauses, maybe("up"))
CALM = [telling, telling, coming, acts(one("subscribe", ears, known_cursors), pauses)]
STORMY = [
    *(telling, coming, acts(one("subscribe", ears, cursors), pauses), acts(one("subscribe", ears, cursors), pauses)),
    *(deafness, acts(one("lose"), words, pauses), acts(one("claim"), words, pauses)),
    *(one("unsubscribe", ears), one("lose"), one("up")),
]


def stories(kinds: list[st.SearchStrategy[list[Step]]]) -> st.SearchStrategy[list[Step]]:
    begin: list[Step] = [("connect", 0), ("say", True), ("pause", 30)]
    return st.lists(st.one_of(*kinds), min_size=3, max_size=14).map(lambda found: sum(found, begin))


@dataclass
class Socket:
    ear: Ear
    # Of each answer that all was recovered: everything that had been said after the cursor when it was asked for.
    promised: list[list[Position]] = field(default_factory=list)
    answers: list[bool] = field(default_factory=list)


class Play:
    """One backtest, and sockets that come, ask and go while it is told."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.record = scene.store.add()
        # The first to connect is here before the claim, whoever comes later is not.
        self.record["startedAt"] = scene.store.time_ms + 3
        self.epoch, self.seq = 1, 0
        self.truth: list[tuple[Position, bool]] = []
        self.sockets: dict[int, Socket] = {}
        self.all: list[Socket] = []
        self.asking: list[asyncio.Task[None]] = []

    async def do(self, steps: Sequence[Step]) -> None:
        for step in steps:
            await getattr(self, f"_{step[0]}")(*step[1:])
        await asyncio.gather(*self.asking)
        await self._up()
        await self._hear()
        end = complete(self.epoch, self.seq + 1)
        await self._publish(end, for_owner=True)
        self.scene.store.end("bt1", end)
        await self.scene.flushed()

    async def _publish(self, heard: Heard, *, for_owner: bool) -> None:
        self.seq += 1
        self.truth.append((position_of(heard.payload), for_owner))
        self.scene.bus.publish(heard)

    async def _say(self, for_owner: bool) -> None:
        at = self.epoch, self.seq + 1
        await self._publish(progress(*at) if for_owner else detail(*at), for_owner=for_owner)

    async def _pause(self, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    async def _connect(self, number: int) -> None:
        self.scene.store.time_ms += 2
        if old := self.sockets.pop(number, None):
            self.scene.relay.remove(old.ear.client)
        self.sockets[number] = socket = Socket(self.scene.connect())
        self.all.append(socket)

    async def _subscribe(self, number: int, at: float | Position | None) -> None:
        if number in self.sockets:
            self.asking.append(asyncio.create_task(self._ask(self.sockets[number], self._cursor(at))))

    def _cursor(self, at: float | Position | None) -> Position | None:
        if isinstance(at, float | int):
            return self.truth[int(at * (len(self.truth) - 1))][0] if self.truth else None
        return at

    async def _ask(self, socket: Socket, after: Position | None) -> None:
        before = [position for position, _ in self.truth if position > (after or (0, 0))]
        cursor = None if after is None else Cursor(epoch=after[0], seq=after[1])
        try:
            recovered = await self.scene.relay.subscribe(socket.ear.client, "bt1", cursor)
        except NotFound:
            return  # It left meanwhile.
        socket.answers.append(recovered)
        if recovered:
            socket.promised.append(before)

    async def _unsubscribe(self, number: int) -> None:
        if number in self.sockets:
            await self.scene.relay.unsubscribe(self.sockets[number].ear.client, "bt1")

    async def _deaf(self) -> None:
        self.scene.bus.silent = True

    async def _hear(self) -> None:
        if self.scene.bus.silent:
            self.scene.store.time_ms += 2
            self.scene.bus.silent = False
            self.scene.bus.live.put_nowait(Resubscribed())

    async def _lose(self) -> None:
        self.scene.bus.logs.clear()

    async def _claim(self) -> None:
        self.epoch, self.seq = self.epoch + 1, 0
        self.record["epoch"] = self.epoch

    async def _down(self) -> None:
        self.scene.bus.down = True

    async def _up(self) -> None:
        self.scene.bus.down = False


async def played(steps: Sequence[Step]) -> Play:
    async with relaying() as scene:
        play = Play(scene)
        await play.do(steps)
        return play


@settings(max_examples=300)
@given(stories(STORMY))
def test_no_order_repeats_anything_or_breaks_a_promise(steps: list[Step]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listeners, "STRETCHES_MAX", 2)  # so that there is something to forget
        play = asyncio.run(played(steps))
    end = play.truth[-1][0]
    for socket in play.all:
        told = socket.ear.positions()
        assert len(set(told)) == len(told)
        assert set(told) <= {position for position, _ in play.truth}
        assert [epoch for epoch, _ in told] == sorted(epoch for epoch, _ in told)
        assert end not in told[:-1]
        for promised in socket.promised:
            if socket in play.sockets.values():
                assert set(promised) <= set(told)
    for socket in play.sockets.values():
        assert socket.ear.positions()[-1] == end


@settings(max_examples=100)
@given(stories(CALM))
def test_where_nothing_is_lost_every_order_recovers_everything(steps: list[Step]) -> None:
    play = asyncio.run(played([*steps, ("subscribe", 0, None)]))
    for socket in play.sockets.values():
        assert all(socket.answers)
    assert sorted(play.sockets[0].ear.positions()) == [position for position, _ in play.truth]


def test_what_was_heard_before_is_not_told_again_and_what_lies_before_it_is() -> None:
    steps: list[Step] = [*[("say", True)] * 5, ("pause", 20), ("connect", 0), *[("say", True)] * 2, ("pause", 20)]
    play = asyncio.run(played([*steps, ("subscribe", 0, (1, 3)), ("pause", 20), ("say", False)]))
    assert play.sockets[0].answers == [True]
    assert [seq for _, seq in play.sockets[0].ear.positions()] == [6, 7, 4, 5, 8, 9]
