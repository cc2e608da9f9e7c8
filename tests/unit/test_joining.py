"""Who joins a run that is under way is told first where it stands, by the run itself; others notice nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from api import listeners, watching
from api.listeners import Client, Topic
from api.pieces import Piece
from shared.bus import Heard
from shared.contracts import Channel, Cursor
from tests.relay import Ear, Scene, complete, detail, news, progress, relaying


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with relaying() as one:
        yield one


def state(seq: int, bar: int, *, epoch: int = 1, snapshot: bool = False) -> Heard:
    data: dict[str, Any] = {"currentCandleIndex": bar, "firstBar": bar, "metrics": {"equityCurve": [[bar, 1.0]]}}
    return news(Channel.EVENT, epoch, seq, type="state", data=data | ({"snapshot": True} if snapshot else {}))


def answering(scene: Scene, *said: Heard) -> Callable[[str], int]:
    """A worker that says this when it is asked where it stands."""

    def answer(_: str) -> int:
        for one in said:
            scene.bus.publish(one)
        return 1

    return answer


def all_positions(ear: Ear) -> list[tuple[int, int]]:
    return [(told["epoch"], told["seq"]) for _, told in ear.told]


async def test_the_runs_snapshot_is_told_first_and_what_is_older_not_at_all(scene: Scene) -> None:
    scene.store.add()
    other = scene.connect()
    scene.bus.publish(detail(1, 1))
    assert await scene.relay.subscribe(other.client, "bt1", Cursor(epoch=0, seq=0)) is True
    for heard in (progress(1, 2), state(3, 50)):
        scene.bus.publish(heard)
    await scene.flushed()
    scene.bus.answer = answering(scene, state(4, 60), state(5, 60, snapshot=True), detail(1, 6), progress(1, 7))
    ear = scene.connect()
    assert await scene.relay.subscribe(ear.client, "bt1", None) is True
    scene.bus.publish(state(8, 70))
    await scene.flushed()
    assert all_positions(ear) == [(1, 5), (1, 6), (1, 7), (1, 8)]
    assert ear.told[0][1]["metrics"]["equityCurve"] == [[60, 1.0]]
    assert "partial" not in ear.told[0][1]
    assert other.positions() == [(1, seq) for seq in (1, 2, 3, 4, 6, 7, 8)], "it did not ask, and misses nothing"
    assert not any(told.get("snapshot") and "partial" not in told for _, told in other.told)
    scene.bus.answer = lambda _: 0
    assert await scene.relay.subscribe(other.client, "bt1", Cursor(epoch=1, seq=8)) is True
    assert scene.bus.marked == ["bt1"] * 3


async def test_who_is_not_answered_has_the_records_knowledge_and_the_answer_when_it_comes(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "ANSWER_WAIT_S", 0.02)
    scene.store.add()
    scene.bus.answer = lambda _: 1
    scene.bus.silent = True
    for heard in (progress(1, 7, percent=30), state(8, 30)):
        scene.bus.publish(heard)  # what was before is not kept any more
    scene.bus.silent = False
    ear = scene.connect()
    assert await scene.relay.subscribe(ear.client, "bt1", None) is False
    await ear.hears(3)
    assert ear.events() == ["state", "progress", "state"]
    assert (ear.told[0][1]["partial"], ear.told[0][1]["progressPercent"]) == (True, 30)
    assert "equityCurve" not in ear.told[0][1]["metrics"]
    for heard in (state(9, 40), state(10, 40, snapshot=True), state(11, 41), state(12, 42, snapshot=True)):
        scene.bus.publish(heard)
        await scene.flushed()
    assert [told["seq"] for _, told in ear.told[3:]] == [9, 10, 11]


@pytest.mark.parametrize("kept", [True, False])
async def test_a_cursor_is_caught_up_with_from_the_log_or_where_that_does_not_reach_back_by_a_snapshot(
    scene: Scene, kept: bool
) -> None:
    scene.store.add()
    for seq in range(1, 6):
        scene.bus.publish(detail(1, seq))
    await scene.flushed()
    if not kept:
        del scene.bus.logs["bt1"][:4]
    scene.bus.answer = answering(scene, state(6, 60), state(7, 60, snapshot=True))
    ear = scene.connect()
    assert await scene.relay.subscribe(ear.client, "bt1", Cursor(epoch=1, seq=2)) is kept
    scene.bus.publish(progress(1, 8))
    await scene.flushed()
    expected = [(1, 2), (1, 3), (1, 4), (1, 5), (1, 6), (1, 8)] if kept else [(1, 7), (1, 8)]
    assert all_positions(ear) == expected


async def test_many_joins_of_one_socket_wait_together(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "ANSWER_WAIT_S", 0.3)
    scene.bus.answer = lambda _: 1
    ear = scene.connect()
    for number in range(40):
        scene.store.add(f"bt{number}")
    async with asyncio.timeout(5):
        await asyncio.gather(*(scene.relay.subscribe(ear.client, f"bt{number}", None) for number in range(40)))
    await ear.hears(40)


async def test_an_end_that_is_said_meanwhile_ends_the_waiting(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "ANSWER_WAIT_S", 60.0)
    scene.store.add()
    scene.bus.answer = answering(scene, progress(1, 1), complete(1, 2))
    ear = scene.connect()
    async with asyncio.timeout(10):
        assert await scene.relay.subscribe(ear.client, "bt1", None) is True
    await ear.hears(3)
    assert ear.events() == ["state", "progress", "complete"]


async def test_a_snapshot_of_an_older_run_is_not_told_after_news_of_a_newer_one(scene: Scene) -> None:
    scene.store.add(epoch=2)
    ear = scene.connect()
    scene.bus.publish(progress(2, 1))
    await scene.flushed()
    scene.bus.answer = answering(scene, state(9, 60, snapshot=True))
    assert await scene.relay.subscribe(ear.client, "bt1", None) is True
    await scene.flushed()
    assert [told.get("partial") for event, told in ear.told if event == "backtest:state"] == [True]


async def test_marks_are_renewed_while_somebody_subscribes_and_only_for_what_runs(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for backtest_id in ("bt1", "done", "left", "heard"):
        scene.store.add(backtest_id)
    ear = scene.connect()
    for backtest_id in ("bt1", "done", "left"):
        await scene.relay.subscribe(ear.client, backtest_id, None)
    await scene.relay.unsubscribe(ear.client, "left")
    for one in (progress(1, 1, "heard"), complete(1, 1, "done")):
        scene.bus.publish(one)
    await scene.flushed()
    assert scene.relay._watched_here() == ["bt1"]
    scene.relay.remove(ear.client)
    assert scene.relay._watched_here() == []


async def test_marks_go_on_until_nobody_subscribes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "RENEW_S", 0.01)
    async with relaying() as scene:
        scene.store.add()
        ear = scene.connect()
        await scene.relay.subscribe(ear.client, "bt1", None)
        async with asyncio.timeout(5):
            while len(scene.bus.marked) < 4:  # noqa: ASYNC110 - the timer of the renewal is what is waited for
                await asyncio.sleep(0.005)


@pytest.mark.parametrize("topics", [(Topic.NEWS, Topic.DETAILS), (Topic.LOGS,)])
async def test_who_hears_all_of_its_user_has_each_run_marked_and_hears_only_that(
    scene: Scene, topics: tuple[Topic, ...]
) -> None:
    wide, stranger = scene.connect(topics=()), scene.connect("eve", topics=())
    for client in (wide.client, stranger.client):
        scene.relay.widen(client, topics)
    for heard in (detail(1, 1, "started"), progress(1, 2), detail(1, 3), state(4, 1), complete(1, 5)):
        scene.bus.publish(heard)
    await scene.flushed()
    all_of_it = ["started", "progress", "log", "state", "complete"]
    assert wide.events() == (all_of_it if Topic.NEWS in topics else ["log"])
    assert stranger.told == []
    assert scene.bus.marked == ["bt1"]


async def test_whoever_heard_only_the_log_misses_nothing_when_it_subscribes(scene: Scene) -> None:
    scene.store.add()
    ear = scene.connect(topics=(Topic.LOGS,))
    for heard in (detail(1, 1, "started"), detail(1, 2), detail(1, 3, "trade"), progress(1, 4), detail(1, 5)):
        scene.bus.publish(heard)
    await scene.flushed()
    assert await scene.relay.subscribe(ear.client, "bt1", None) is True
    await scene.flushed()
    assert ear.positions() == [(1, 2), (1, 5), (1, 1), (1, 3), (1, 4)]


async def test_a_slow_socket_has_the_newest_state_with_all_points_and_another_one_everything(scene: Scene) -> None:
    slow, quick = scene.connect(), scene.connect()
    scene.store.add()
    for ear in (slow, quick):
        await scene.relay.subscribe(ear.client, "bt1", None)
        await ear.hears(1)
    slow.waiting = listeners.TRANSPORT_MAX + 1
    said = [
        state(seq, seq) if seq % 2 == 0 else detail(1, seq, "trade") if seq % 10 == 5 else progress(1, seq)
        for seq in range(1, 1_001)
    ]
    for seq, heard in enumerate(said, 1):
        scene.bus.publish(heard)
        await quick.hears(seq + 1)
    assert quick.positions() == [(1, seq) for seq in range(1, 1_001)]
    slow.waiting = 0
    await slow.hears(103)
    await scene.flushed()
    assert slow.events() == ["state", *["trade"] * 100, "progress", "state"]
    assert slow.told[-1][1]["metrics"]["equityCurve"] == [[bar, 1.0] for bar in range(2, 1_001, 2)]
    assert not slow.dropped


async def test_what_a_transport_takes_at_once_overtakes_nothing_that_waits_for_it() -> None:
    """A transport that is full for a while, and one sender for both ways."""
    went: list[tuple[str, int]] = []
    full, all_went = asyncio.Event(), asyncio.Event()

    def send_now(one: Piece) -> bool:
        if full.is_set():
            return False
        went.append(("now", position_of(one)))
        return True

    async def send(one: Piece) -> None:
        full.clear()  # from now on it would take one at once, while this one is on its way
        await asyncio.sleep(0)
        went.append(("waited", position_of(one)))
        if len(went) == 4:
            all_went.set()

    def position_of(one: Piece) -> int:
        assert one.position is not None
        return one.position[1]

    async def drop() -> None:
        raise AssertionError("nobody is slow")

    client = Client("ann", send=send, send_now=send_now, drop=drop)
    try:
        client.offer(numbered(1))
        full.set()
        client.offer(numbered(2))
        while full.is_set():  # noqa: ASYNC110 - until `send` is in the middle of it
            await asyncio.sleep(0)
        client.offer(numbered(3))
        client.offer(numbered(4))
        async with asyncio.timeout(5):
            await all_went.wait()
    finally:
        client.close()
    assert went == [("now", 1), ("waited", 2), ("waited", 3), ("waited", 4)]


def numbered(seq: int) -> Piece:
    return Piece("backtest:progress", "{}", "bt1", "ann", (1, seq), command_id="c")
