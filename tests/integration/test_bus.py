"""The bus on every message backend: the event log's fence, replay, bells, and subscriptions that survive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.bus import Bus, Heard, Resubscribed
from shared.contracts import Channel, Cursor, Progress
from shared.errors import BusUnavailable
from shared.news import news_document
from shared.settings import load_settings
from shared.wire import decode


@pytest.fixture
async def bus(redis_url: str) -> AsyncIterator[Bus]:
    opened = await Bus.open(load_settings(redis_url=redis_url, event_log_max=50))
    yield opened
    await opened.close()


def progress(epoch: int, seq: int, backtest_id: str = "bt_1") -> Progress:
    return Progress(
        backtest_id=backtest_id,
        user_id="ann",
        epoch=epoch,
        seq=seq,
        progress=50.0,
        message="Processing",
        current_date="2024-06-01",
    )


def cursors(news: list[Heard]) -> list[tuple[int | None, int | None]]:
    return [(one.epoch, one.seq) for one in (decode(Progress, heard.payload) for heard in news)]


async def publish_in_one_go(bus: Bus, seqs: range) -> None:
    await bus.publish_documents([("bt_1", news_document(Channel.PROGRESS, progress(1, seq))) for seq in seqs])


async def test_the_event_log_refuses_what_is_not_newer(bus: Bus) -> None:
    said = [(1, 1), (1, 2), (1, 2), (1, 1), (2, 1), (1, 9), (2, 1), (2, 2), (1, 10**9)]
    taken = [await bus.publish(Channel.PROGRESS, progress(*at)) for at in said]
    assert taken == [True, True, False, False, True, False, False, True, False]
    assert cursors((await bus.replay("bt_1", None)).news) == [(1, 1), (1, 2), (2, 1), (2, 2)]


async def test_what_is_refused_is_not_published_either(bus: Bus) -> None:
    async with bus.listen(Channel.PROGRESS) as heard:
        assert isinstance(await anext(heard), Resubscribed)
        for at in [(1, 1), (1, 1), (1, 2)]:
            await bus.publish(Channel.PROGRESS, progress(*at))
        got = [await anext(heard) for _ in range(2)]
    assert cursors([one for one in got if isinstance(one, Heard)]) == [(1, 1), (1, 2)]


async def test_several_messages_go_out_in_order(bus: Bus) -> None:
    await publish_in_one_go(bus, range(1, 8))
    assert cursors((await bus.replay("bt_1", None)).news) == [(1, seq) for seq in range(1, 8)]


async def test_a_replay_goes_on_after_the_cursor_and_says_what_it_lacks(bus: Bus) -> None:
    await publish_in_one_go(bus, range(1, 6))
    replay = await bus.replay("bt_1", Cursor(epoch=1, seq=3))
    assert (cursors(replay.news), replay.complete) == ([(1, 4), (1, 5)], True)
    assert (await bus.replay("bt_1", Cursor(epoch=1, seq=5))).news == []
    nothing_kept = await bus.replay("bt_other", Cursor(epoch=1, seq=3))
    assert (nothing_kept.news, nothing_kept.complete) == ([], False)


async def test_a_long_event_log_is_capped_and_says_so(bus: Bus) -> None:
    await publish_in_one_go(bus, range(1, 400))
    replay = await bus.replay("bt_1", Cursor(epoch=1, seq=1))
    assert not replay.complete
    assert len(replay.news) <= 200
    assert cursors(replay.news)[-1] == (1, 399)


async def test_forgetting_drops_the_event_log(bus: Bus) -> None:
    await bus.publish(Channel.PROGRESS, progress(1, 1))
    await bus.forget("bt_1")
    assert (await bus.replay("bt_1", None)).news == []


async def test_exactly_one_worker_wins_a_bell(bus: Bus) -> None:
    won = await asyncio.gather(*(bus.win_bell("bt_1") for _ in range(10)))
    assert sum(won) == 1
    assert await bus.win_bell("bt_2")


async def test_listeners_are_counted_by_channel_without_those_who_follow_a_pattern(bus: Bus, redis_url: str) -> None:
    assert await bus.count_listeners(Channel.CONTROL) == 0
    async with bus.listen(Channel.CONTROL) as first, bus.listen(Channel.CONTROL, Channel.TASK) as second:
        assert isinstance(await anext(first), Resubscribed)
        assert isinstance(await anext(second), Resubscribed)
        async with Redis.from_url(redis_url, protocol=3).pubsub() as follower:
            await follower.psubscribe("backtest:*")
            await follower.get_message(timeout=5)
            assert await bus.count_listeners(Channel.CONTROL) == 2
            assert await bus.count_listeners(Channel.TASK) == 1


async def test_a_subscription_that_the_server_cut_comes_back_and_says_so(bus: Bus) -> None:
    async with bus.listen(Channel.PROGRESS) as heard:
        assert isinstance(await anext(heard), Resubscribed)
        try:
            await bus._redis.client_kill_filter(_type="pubsub")  # pyright: ignore[reportPrivateUsage]
        except Exception as error:  # noqa: BLE001
            pytest.skip(f"this server cannot cut a client: {error}")
        async with asyncio.timeout(10):
            assert isinstance(await anext(heard), Resubscribed)
        await bus.publish(Channel.PROGRESS, progress(1, 1))
        async with asyncio.timeout(10):
            assert isinstance(await anext(heard), Heard)


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(BusUnavailable):
        await Bus.open(load_settings(redis_url="redis://127.0.0.1:1/0", bus_timeout_s=0.3))


SAID = [(1, 1), (1, 2), (1, 3), (3, 1), (3, 2)]  # of three runs, the second of which said nothing
JUDGED = [
    # what is kept, the cursor, what is replayed, whether that is all, whether the cursor is one of this log
    (SAID, None, SAID, True, True),
    (SAID, (0, 0), SAID, True, True),
    (SAID, (1, 2), SAID[2:], True, True),
    (SAID, (1, 3), SAID[3:], True, True),
    (SAID, (3, 2), [], True, True),
    (SAID, (3, 0), SAID[3:], True, True),
    (SAID[2:], None, SAID[2:], False, True),  # the oldest is lost
    (SAID[2:], (1, 1), SAID[2:], False, False),
    (SAID[2:], (1, 2), SAID[2:], True, True),
    (SAID[3:], None, SAID[3:], False, True),
    (SAID[3:], (1, 3), SAID[3:], False, False),
    (SAID[4:], (3, 1), SAID[4:], True, True),
    ([(1, 1), (1, 4)], None, [(1, 1), (1, 4)], False, True),  # a hole
    ([(1, 1), (1, 4)], (1, 1), [(1, 4)], False, True),
    ([(1, 1), (1, 4)], (1, 4), [], True, True),
    ([(1, 1), (2, 2)], (1, 1), [(2, 2)], False, True),
    (SAID, (3, 3), SAID, False, False),  # ahead of all that was said
    (SAID, (3, 500), SAID, False, False),
    (SAID, (4, 0), SAID, False, False),
    (SAID, (2, 1), SAID, False, False),
    (SAID, (1, 500), SAID, False, False),
    (SAID, (1, 10**30), SAID, False, False),
    ([], None, [], False, True),  # nothing was said, or all of it is lost
    ([], (1, 0), [], False, False),
]


@pytest.mark.parametrize(("kept", "after", "replayed", "complete", "known"), JUDGED)
async def test_a_replay_says_whether_it_is_all_that_was_said_since_the_cursor(
    bus: Bus, kept: list[tuple[int, int]], after: tuple[int, int] | None, replayed: Any, complete: bool, known: bool
) -> None:
    for at in kept:
        assert await bus.publish(Channel.PROGRESS, progress(*at))
    replay = await bus.replay("bt_1", None if after is None else Cursor(epoch=after[0], seq=after[1]))
    assert (cursors(replay.news), replay.complete, replay.known) == (replayed, complete, known)


@pytest.mark.parametrize(
    ("kept", "after", "replayed", "complete"),
    [
        (SAID, None, [*SAID, (3, 3)], True),
        (SAID, (3, 2), [(3, 3)], True),
        (SAID, (3, 3), [], True),
        ([*SAID, (3, 3)], None, [*SAID, (3, 3)], True),
        (SAID[:4], None, [*SAID[:4], (3, 3)], False),
        ([], None, [(3, 3)], False),
        ([], (3, 2), [(3, 3)], True),
        ([], (3, 3), [], True),
        ([], (3, 1), [(3, 3)], False),
        ([], (3, 4), [(3, 3)], False),
    ],
)
async def test_the_end_that_a_record_knows_is_the_last_of_what_was_said(
    bus: Bus, kept: list[tuple[int, int]], after: tuple[int, int] | None, replayed: Any, complete: bool
) -> None:
    for at in kept:
        await bus.publish(Channel.PROGRESS, progress(*at))
    end = news_document(Channel.PROGRESS, progress(3, 3))
    replay = await bus.replay("bt_1", None if after is None else Cursor(epoch=after[0], seq=after[1]), end)
    assert (cursors(replay.news), replay.complete) == (replayed, complete)


async def test_a_log_that_was_lost_in_mid_run_is_never_said_to_be_all(bus: Bus) -> None:
    await publish_in_one_go(bus, range(1, 10))
    await bus.forget("bt_1")
    await publish_in_one_go(bus, range(10, 14))
    for after, complete in ((None, False), (Cursor(epoch=1, seq=5), False), (Cursor(epoch=1, seq=9), True)):
        replay = await bus.replay("bt_1", after)
        assert (cursors(replay.news), replay.complete) == ([(1, seq) for seq in range(10, 14)], complete)


async def test_a_capped_log_is_all_there_is_until_something_was_dropped(bus: Bus) -> None:
    answers = set[bool]()
    for seq in range(1, 401):
        await bus.publish(Channel.PROGRESS, progress(1, seq))
        replay = await bus.replay("bt_1", None)
        assert replay.complete == (len(replay.news) == seq)
        answers.add(replay.complete)
    assert answers == {True, False}


@pytest.mark.parametrize("steps", range(6))
async def test_whoever_is_cancelled_while_it_asks_ends(bus: Bus, steps: int) -> None:
    """Wherever in the driver the cancellation meets it: a loop that goes on would keep its process from ending."""
    asking = asyncio.create_task(bus.keep_present("w", "here", 1_000))
    for _ in range(steps):
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
