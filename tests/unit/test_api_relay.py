"""The relay over a store and a bus written by hand: what each client is told, in which order, and how often."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence

import pytest

from api import listeners, outbox, relay
from api.pieces import read_news
from shared.bus import Heard, Resubscribed
from shared.contracts import Channel, Cursor
from shared.errors import InvalidRequest, NotFound, StoreUnavailable, TooMany
from shared.records import BacktestRecord
from tests.relay import Ear, Scene, complete, detail, news, progress, relaying


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with relaying() as one:
        yield one


async def test_news_goes_to_the_sockets_of_its_user_alone(scene: Scene) -> None:
    mine, also_mine, hers = scene.connect(), scene.connect(), scene.connect("eve")
    heard = progress(1, 1)
    scene.bus.publish(heard)
    await scene.flushed()
    assert mine.told == also_mine.told == [("backtest:progress", json.loads(heard.payload))]
    assert hers.told == []


async def test_details_go_to_subscribers_alone(scene: Scene) -> None:
    scene.store.add()
    subscriber, bystander = scene.connect(), scene.connect()
    await scene.relay.subscribe(subscriber.client, "bt1", None)
    for kind in ("state", "trade", "signal", "log", "thinking", "decision"):
        scene.bus.publish(detail(1, len(scene.bus.logs.get("bt1", [])) + 1, kind))
    for kind in ("started", "paused", "resumed"):
        scene.bus.publish(detail(1, len(scene.bus.logs["bt1"]) + 1, kind))
    await scene.flushed()
    assert bystander.events() == ["started", "paused", "resumed"]
    assert subscriber.events()[1:] == [
        *("state", "trade", "signal", "log", "thinking", "decision"),
        *("started", "paused", "resumed"),
    ]


async def test_an_event_carries_its_data_flat_and_its_identity_cannot_be_overridden(scene: Scene) -> None:
    ear = scene.connect()
    data = {"totalBars": 5, "userId": "eve", "seq": 99}
    scene.bus.publish(news(Channel.EVENT, 1, 1, type="started", data=data))
    await scene.flushed()
    expected = {"backtestId": "bt1", "userId": "ann", "epoch": 1, "seq": 1, "totalBars": 5}
    assert ear.told == [("backtest:started", expected)]


async def test_nothing_is_told_twice_nor_out_of_order_nor_after_the_end(scene: Scene) -> None:
    ear = scene.connect()
    said = [(1, 1), (1, 2), (1, 2), (1, 1), (2, 1), (1, 3), (2, 2)]
    for epoch, seq in said:
        scene.bus.publish(progress(epoch, seq))
    for heard in (complete(2, 3), complete(2, 3), progress(2, 4), progress(3, 1), complete(3, 2)):
        scene.bus.publish(heard)
    await scene.flushed()
    assert ear.positions() == [(1, 1), (1, 2), (2, 1), (2, 2), (2, 3)]
    late = scene.connect()
    scene.bus.publish(progress(3, 5))
    await scene.flushed()
    assert late.told == []


async def test_news_without_numbers_is_relayed_as_it_comes_until_its_end(scene: Scene) -> None:
    ear = scene.connect()
    for heard in (progress(None), progress(None), complete(None), progress(None), complete(None)):
        scene.bus.live.put_nowait(heard)
    await scene.flushed()
    assert ear.events() == ["progress", "progress", "complete"]


async def test_an_end_without_numbers_does_not_silence_a_numbered_run(scene: Scene) -> None:
    ear = scene.connect()
    refused = news(Channel.ERROR, None, None, status="error", error="refused", timestamp="2024-01-01T00:00:00Z")
    for heard in (progress(1, 1), refused, progress(1, 2), complete(1, 3)):
        scene.bus.live.put_nowait(heard)
    await scene.flushed()
    assert ear.events() == ["progress", "error", "progress", "complete"]


async def test_a_subscriber_hears_a_snapshot_then_what_it_missed_then_live(scene: Scene) -> None:
    scene.store.add()
    for seq in range(1, 6):
        scene.bus.publish(detail(1, seq))
    await scene.flushed()
    ear = scene.connect()
    assert await scene.relay.subscribe(ear.client, "bt1", Cursor(epoch=1, seq=2)) is True
    scene.bus.publish(detail(1, 6))
    await scene.flushed()
    assert ear.events() == ["state", "log", "log", "log", "log"]
    assert ear.positions() == [(1, 3), (1, 4), (1, 5), (1, 6)]
    snapshot = ear.told[0][1]
    assert (snapshot["epoch"], snapshot["seq"]) == (1, 2)
    assert snapshot["status"] == "running"


async def test_who_subscribes_late_is_told_the_details_but_not_the_news_again(scene: Scene) -> None:
    scene.store.add()
    ear = scene.connect()
    for heard in (detail(1, 1), progress(1, 2), detail(1, 3), progress(1, 4, percent=40)):
        scene.bus.publish(heard)
    await scene.flushed()
    await scene.relay.subscribe(ear.client, "bt1", None)
    await scene.flushed()
    assert ear.events() == ["progress", "progress", "state", "log", "log"]
    assert ear.told[2][1]["progressPercent"] == 40


async def test_details_of_an_older_epoch_are_not_told_after_news_of_a_newer_one(scene: Scene) -> None:
    scene.store.add(epoch=2)
    ear = scene.connect()
    for heard in (detail(1, 1), progress(2, 1), detail(2, 2)):
        scene.bus.publish(heard)
    await scene.flushed()
    await scene.relay.subscribe(ear.client, "bt1", None)
    await scene.flushed()
    assert ear.positions() == [(2, 1), (2, 2)]


async def test_what_is_said_while_a_client_subscribes_is_told_once_and_in_order(scene: Scene) -> None:
    scene.store.add()
    scene.bus.publish(detail(1, 1))
    await scene.flushed()
    ear = scene.connect()
    scene.bus.before_replay = lambda: scene.bus.publish(detail(1, 2))
    scene.bus.after_replay = lambda: scene.bus.publish(detail(1, 3))
    await scene.relay.subscribe(ear.client, "bt1", None)
    scene.bus.before_replay = scene.bus.after_replay = lambda: None
    await scene.flushed()
    assert ear.positions() == [(1, 1), (1, 2), (1, 3)]


@pytest.mark.parametrize("seed", range(20))
async def test_no_moment_to_subscribe_loses_or_repeats_anything(scene: Scene, seed: int) -> None:
    choice = random.Random(seed)
    scene.store.add(epoch=3)
    script = [(epoch, seq) for epoch in (1, 2, 3) for seq in range(1, 30)]
    ears = [scene.connect() for _ in range(5)]

    async def publish() -> None:
        for epoch, seq in script:
            heard = progress(epoch, seq) if choice.random() < 0.3 else detail(epoch, seq)
            scene.bus.silent = choice.random() < 0.1
            scene.bus.publish(heard)
            if scene.bus.silent:
                scene.bus.live.put_nowait(Resubscribed())
            if choice.random() < 0.2:
                scene.bus.live.put_nowait(heard)
            for _ in range(choice.randrange(4)):
                await asyncio.sleep(0)
        scene.bus.silent = False

    async def subscribe(ear: Ear) -> None:
        for _ in range(choice.randrange(200)):
            await asyncio.sleep(0)
        await scene.relay.subscribe(ear.client, "bt1", None)

    await asyncio.gather(publish(), *(subscribe(ear) for ear in ears))
    scene.bus.publish(complete(3, 30))
    await scene.flushed()
    for ear in ears:
        told = ear.positions()
        assert len(set(told)) == len(told)
        assert [epoch for epoch, _ in told] == sorted(epoch for epoch, _ in told)
        assert told[-1] == (3, 30)
        subscribed = ear.events().index("state")
        heard_before = {position[0] for position in told[:subscribed]}
        first = max(heard_before, default=1)
        assert {one for one in script if one[0] >= first} <= set(told)


async def test_a_lost_end_is_found_in_the_record(scene: Scene) -> None:
    scene.store.add()
    watcher, subscriber = scene.connect(), scene.connect()
    await scene.relay.subscribe(subscriber.client, "bt1", None)
    scene.bus.publish(progress(1, 1))
    await watcher.hears(1)
    scene.store.end("bt1", complete(1, 2))
    assert (await watcher.hears(2))[-1][0] == "backtest:complete"
    assert (await subscriber.hears(3))[-1][0] == "backtest:complete"
    scene.bus.publish(complete(1, 2))
    await scene.flushed()
    assert watcher.events().count("complete") == subscriber.events().count("complete") == 1


async def test_the_end_of_what_a_client_submitted_is_found_although_nothing_was_ever_heard(scene: Scene) -> None:
    scene.store.add()
    ear = scene.connect()
    scene.relay.watch("bt1", "ann")
    scene.bus.down = True
    scene.store.end("bt1", complete(1, 1))
    assert (await ear.hears(1))[0][0] == "backtest:complete"


async def test_who_finds_a_lost_end_in_the_record_takes_it_from_nobody_else(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene.store, "now_ms", lambda: 2_000)
    scene.store.add()
    watcher, subscriber = scene.connect(), scene.connect()
    scene.bus.publish(progress(1, 1))
    await watcher.hears(1)
    scene.store.end("bt1", complete(1, 2))
    await scene.relay.subscribe(subscriber.client, "bt1", None)
    await subscriber.hears(3)
    monkeypatch.setattr(scene.store, "now_ms", lambda: 2_000 + relay.RECONCILE_AGE_MS)
    await watcher.hears(2)
    await scene.flushed()
    assert watcher.events() == ["progress", "complete"]
    assert subscriber.events() == ["progress", "state", "complete"]


async def test_an_end_that_was_just_stored_waits_for_what_was_said_before_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene.store, "now_ms", lambda: 2_000)
    scene.store.add()
    scene.bus.publish(progress(1, 1))
    scene.store.end("bt1", complete(1, 4))
    ear = scene.connect()
    assert await scene.relay.subscribe(ear.client, "bt1", None) is True
    for heard in (detail(1, 2), progress(1, 3), complete(1, 4)):
        scene.bus.publish(heard)
    await ear.hears(5)
    assert ear.positions() == [(1, 1), (1, 2), (1, 3), (1, 4)]


async def test_after_a_break_the_ends_of_what_was_never_heard_of_are_told_once(scene: Scene) -> None:
    ear, stranger = scene.connect(), scene.connect("eve")
    scene.store.time_ms = 200_000
    for backtest_id, ended_ms, user in (("missed", 150_000, "ann"), ("older", 99_999, "ann"), ("bobs", 150_000, "bob")):
        scene.store.add(backtest_id, user)
        scene.store.end(backtest_id, complete(1, 2, backtest_id))
        scene.store.records[backtest_id]["completedAt"] = ended_ms
    await scene.relay._reconcile_once()
    assert ear.told == []
    for _ in range(2):
        scene.bus.live.put_nowait(Resubscribed())
        await scene.flushed()
        await scene.relay._reconcile_once()
        await scene.flushed()
    assert [said["backtestId"] for _, said in ear.told] == ["missed"]
    assert ear.events() == ["complete"]
    assert stranger.told == []


async def test_what_the_store_could_not_say_after_a_break_is_asked_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    ear = scene.connect()
    scene.store.add()
    scene.store.end("bt1", complete(1, 2))
    scene.store.records["bt1"]["completedAt"] = scene.store.time_ms
    scene.store.time_ms += relay.RECONCILE_AGE_MS
    ask, asked = scene.store.ended_since, asyncio.Event()

    async def fail(*_: object) -> list[tuple[str, str, int]]:
        asked.set()
        raise StoreUnavailable("down")

    monkeypatch.setattr(scene.store, "ended_since", fail)
    scene.bus.live.put_nowait(Resubscribed())
    async with asyncio.timeout(5):
        await asked.wait()
    monkeypatch.setattr(scene.store, "ended_since", ask)
    await ear.hears(1)
    assert ear.events() == ["complete"]


async def test_what_was_said_before_a_lost_end_is_told_before_it(scene: Scene) -> None:
    scene.store.add()
    ear = scene.connect()
    await scene.relay.subscribe(ear.client, "bt1", None)
    scene.bus.silent = True
    for heard in (detail(1, 1), detail(1, 2)):
        scene.bus.publish(heard)
    scene.store.end("bt1", complete(1, 3))
    await ear.hears(4)
    assert ear.positions() == [(1, 1), (1, 2), (1, 3)]


async def test_an_end_that_was_just_stored_is_left_to_the_channel(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.store.add()
    ear = scene.connect()
    asked = asyncio.Event()
    found = scene.store.terminal_among

    async def terminal_among(ids: Sequence[str]) -> list[BacktestRecord]:
        asked.set()
        return await found(ids)

    monkeypatch.setattr(scene.store, "terminal_among", terminal_among)
    monkeypatch.setattr(scene.store, "now_ms", lambda: 2_000 + relay.RECONCILE_AGE_MS - 1)
    scene.relay.watch("bt1", "ann")
    scene.store.end("bt1", complete(1, 2))
    for _ in range(2):
        asked.clear()
        async with asyncio.timeout(5):
            await asked.wait()
    await scene.flushed()
    assert ear.told == []
    monkeypatch.setattr(scene.store, "now_ms", lambda: 2_000 + relay.RECONCILE_AGE_MS)
    await ear.hears(1)


async def test_who_subscribes_to_what_has_ended_hears_the_end_though_the_log_is_gone(scene: Scene) -> None:
    scene.store.add()
    scene.store.end("bt1", complete(1, 9))
    ear = scene.connect()
    assert await scene.relay.subscribe(ear.client, "bt1", None) is False
    await ear.hears(2)
    assert ear.events() == ["state", "complete"]
    assert ear.told[0][1]["progressPercent"] == 100
    await scene.relay.subscribe(ear.client, "bt1", None)
    await ear.hears(3)
    assert ear.events() == ["state", "complete", "state"]


async def test_an_end_that_is_heard_while_an_empty_log_is_read_comes_with_all_before_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short run says all at once, after its end is stored: between the record and the log, say."""
    monkeypatch.setattr(scene.store, "now_ms", lambda: 2_001)
    scene.store.add()
    scene.store.end("bt1", complete(1, 3))

    def say_everything() -> None:
        scene.bus.after_replay = lambda: None
        for one in (detail(1, 1, "started"), progress(1, 2), complete(1, 3)):
            scene.bus.publish(one)

    scene.bus.after_replay = say_everything
    ear = scene.connect()
    assert await scene.relay.subscribe(ear.client, "bt1", None)
    await ear.hears(4)
    assert ear.events() == ["state", "started", "progress", "complete"]


async def test_a_silent_bus_costs_a_subscriber_the_past_but_not_the_future(scene: Scene) -> None:
    scene.store.add()
    scene.bus.down = True
    ear = scene.connect()
    assert await scene.relay.subscribe(ear.client, "bt1", None) is False
    scene.bus.live.put_nowait(detail(1, 5))
    await ear.hears(2)
    assert ear.positions() == [(1, 5)]


async def test_after_a_new_subscription_the_tail_of_every_open_log_is_told(scene: Scene) -> None:
    scene.store.add()
    ear = scene.connect()
    await scene.relay.subscribe(ear.client, "bt1", None)
    scene.bus.publish(detail(1, 1))
    await ear.hears(2)
    scene.bus.silent = True
    scene.bus.publish(detail(1, 2))
    scene.bus.publish(progress(1, 3))
    scene.bus.silent = False
    scene.bus.live.put_nowait(Resubscribed())
    await ear.hears(4)
    assert ear.positions() == [(1, 1), (1, 2), (1, 3)]


MALFORMED = [
    "",
    "{",
    "[]",
    "null",
    '"text"',
    "{}",
    '{"backtestId": "bt1"}',
    '{"backtestId": "bt1", "userId": "ann", "progress": NaN, "message": "", "currentDate": ""}',
    '{"backtestId": "bt1", "userId": "ann", "progress": 1e999, "message": "", "currentDate": ""}',
    '{"backtestId": "bt1", "userId": "ann", "epoch": "x", "seq": 1, "progress": 1, "message": "", "currentDate": ""}',
    "[" * 100_000,
    '{"a":' * 50_000,
    "\ud800",
    "x" * 1000,
]


async def test_garbage_on_a_channel_changes_nothing(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    ear = scene.connect()
    for channel in (Channel.PROGRESS, Channel.COMPLETE, Channel.ERROR, Channel.EVENT):
        for text in MALFORMED:
            scene.bus.live.put_nowait(Heard(channel, text))
    scene.bus.publish(progress(1, 1))
    await scene.flushed()
    assert ear.positions() == [(1, 1)]
    assert len([one for one in caplog.records if one.name == "api.relay"]) == 1


@pytest.mark.parametrize("text", MALFORMED)
@pytest.mark.parametrize("channel", [Channel.PROGRESS, Channel.COMPLETE, Channel.ERROR, Channel.EVENT])
def test_garbage_is_refused_by_field(channel: Channel, text: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read_news(channel, text)
    assert refusal.value.errors


async def test_the_relay_begins_again_when_its_subscription_breaks(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(relay, "RESTART_WAITS_S", (0.0,))
    scene.store.add()
    ear = scene.connect()
    await scene.relay.subscribe(ear.client, "bt1", None)
    scene.bus.silent = True
    scene.bus.publish(detail(1, 1))
    scene.bus.live.put_nowait(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"))
    await ear.hears(2)
    scene.bus.silent = False
    scene.bus.publish(detail(1, 2))
    await ear.hears(3)
    assert ear.positions() == [(1, 1), (1, 2)]
    assert "relay stopped" in caplog.text


async def test_somebody_elses_backtest_is_not_found(scene: Scene) -> None:
    scene.store.add(user_id="eve")
    ear = scene.connect()
    for backtest_id in ("bt1", "unknown"):
        with pytest.raises(NotFound):
            await scene.relay.subscribe(ear.client, backtest_id, None)
    scene.bus.publish(Heard(Channel.EVENT, detail(1, 1).payload.replace('"ann"', '"eve"')))
    await scene.flushed()
    assert ear.told == []


async def test_messages_of_another_user_under_the_same_id_are_not_replayed(scene: Scene) -> None:
    scene.store.add()
    scene.bus.silent = True
    scene.bus.publish(Heard(Channel.EVENT, detail(1, 1).payload.replace('"ann"', '"eve"')))
    ear = scene.connect()
    await scene.relay.subscribe(ear.client, "bt1", None)
    await scene.flushed()
    assert ear.events() == ["state"]


async def test_a_cursor_from_the_future_is_not_believed(scene: Scene) -> None:
    scene.store.add(epoch=1)
    scene.bus.publish(detail(1, 1))
    await scene.flushed()
    ear = scene.connect()
    assert await scene.relay.subscribe(ear.client, "bt1", Cursor(epoch=9, seq=0)) is False
    await scene.flushed()
    assert ear.positions() == [(1, 1)]


def test_what_a_client_may_have_been_told_long_ago_is_not_repeated_but_said_to_be_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listeners, "STRETCHES_MAX", 1)
    said = [read_news(heard.channel, heard.payload) for heard in (progress(1, seq) for seq in range(1, 10))]
    standing = listeners.Standing()
    for seq in (1, 5, 9):
        assert standing.admits(said[seq - 1])
        standing.breaks()
    missing, has_all = standing.catches_up(said, None)
    assert ([piece.position for piece in missing], has_all) == ([(1, 6), (1, 7), (1, 8)], False)
    missing, has_all = standing.catches_up(said[5:], Cursor(epoch=1, seq=5))
    assert (missing, has_all) == ([], True)


async def test_subscriptions_of_one_socket_are_bounded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "SUBSCRIPTIONS_MAX", 2)
    ear = scene.connect()
    for number in range(3):
        scene.store.add(f"bt{number}")
    await scene.relay.subscribe(ear.client, "bt0", None)
    await scene.relay.subscribe(ear.client, "bt1", None)
    with pytest.raises(TooMany):
        await scene.relay.subscribe(ear.client, "bt2", None)
    await scene.relay.subscribe(ear.client, "bt1", None)
    await scene.relay.unsubscribe(ear.client, "bt0")
    await scene.relay.subscribe(ear.client, "bt2", None)


async def test_an_unsubscribed_socket_hears_news_but_no_details(scene: Scene) -> None:
    scene.store.add()
    ear = scene.connect()
    await scene.relay.subscribe(ear.client, "bt1", None)
    await scene.relay.unsubscribe(ear.client, "bt1")
    scene.bus.publish(detail(1, 1))
    scene.bus.publish(progress(1, 2))
    await scene.flushed()
    assert ear.events() == ["state", "progress"]


async def test_a_socket_that_does_not_read_is_dropped_and_holds_up_nobody(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "WAITING_MAX", 50)
    slow, quick = scene.connect(), scene.connect()
    slow.waiting = listeners.TRANSPORT_MAX + 1
    for seq in range(1, 101):
        scene.bus.publish(detail(1, seq, "started"))
        await quick.hears(seq)
    async with asyncio.timeout(5):
        while not slow.dropped:
            slow.changed.clear()
            await slow.changed.wait()
    assert slow.told == []


async def test_a_socket_whose_transport_stands_still_is_dropped(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "STALLED_AFTER_S", 0.05)
    slow = scene.connect()
    slow.waiting = listeners.TRANSPORT_MAX + 1
    scene.bus.publish(progress(1, 1))
    async with asyncio.timeout(5):
        await slow.changed.wait()
    assert slow.dropped


async def test_what_a_client_remembers_is_bounded_and_spares_its_subscriptions(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "STANDINGS_MAX", 3)
    scene.store.add("kept")
    ear = scene.connect()
    await scene.relay.subscribe(ear.client, "kept", None)
    scene.bus.publish(progress(1, 5, "kept"))
    for number in range(20):
        scene.bus.publish(progress(1, 1, f"other{number}"))
    await scene.flushed()
    scene.bus.publish(progress(1, 4, "kept"))
    await scene.flushed()
    assert [said["seq"] for _, said in ear.told if said["backtestId"] == "kept" and not said.get("snapshot")] == [5]
    assert len(ear.client._standings) <= 3


async def test_nothing_is_kept_of_users_who_left(scene: Scene) -> None:
    ear = scene.connect()
    scene.bus.publish(progress(1, 1))
    await scene.flushed()
    assert ("bt1", "ann") in scene.relay._open
    scene.relay.remove(ear.client)
    assert scene.relay._clients == {}
    await scene.relay._reconcile_once()
    assert not scene.relay._open


async def test_what_is_said_in_the_name_of_another_user_takes_nothing_from_the_owner(scene: Scene) -> None:
    scene.store.add()
    owner, stranger = scene.connect(), scene.connect("eve")
    scene.bus.publish(progress(1, 1))
    for forged in (progress(2, 1), complete(2, 2)):
        theirs = json.dumps(json.loads(forged.payload) | {"userId": "eve"})
        scene.bus.live.put_nowait(Heard(forged.channel, theirs))
    scene.bus.publish(progress(1, 2))
    await owner.hears(2)
    scene.bus.silent = True
    end = complete(1, 3)
    scene.bus.publish(end)
    scene.store.end("bt1", end)
    await owner.hears(3)  # of the record
    assert owner.positions() == [(1, 1), (1, 2), (1, 3)]
    assert stranger.positions() == [(2, 1), (2, 2)]


async def test_a_client_that_cannot_be_told_something_is_cut_and_does_not_stay_deaf(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf, other = scene.connect(), scene.connect()

    async def fail(_: object) -> None:
        raise ArithmeticError("nobody foresaw it")

    monkeypatch.setattr(deaf.client, "_send", fail)
    scene.bus.publish(progress(1, 1))
    await other.hears(1)
    async with asyncio.timeout(5):
        await deaf.changed.wait()
    assert deaf.dropped
