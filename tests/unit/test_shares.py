"""A user's share of the queue: one count for all who wait, whatever becomes of whoever asked first."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from shared import shares
from shared.errors import StoreUnavailable, TooMany
from shared.shares import Shares


class Counted:
    """A collection that says how many are pending and how many paused, once it is let."""

    def __init__(self, pending: int = 0, paused: int = 0) -> None:
        self.pending = pending
        self.paused = paused
        self.asked: list[str] = []
        self.answers = asyncio.Event()
        self.error: Exception | None = None

    async def aggregate(self, pipeline: list[dict[str, Any]]) -> Counts:
        match = pipeline[0]["$match"]
        paused = "$lt" in match["queueRank"]
        if not paused:
            self.asked.append(match["userId"])
        await self.answers.wait()
        if self.error is not None:
            raise self.error
        return Counts(self.paused if paused else self.pending)


class Counts:
    def __init__(self, waiting: int) -> None:
        self._waiting = waiting

    async def to_list(self) -> list[dict[str, Any]]:
        return [{"waiting": self._waiting}] if self._waiting else []


def shares_of(counted: Counted, pending_max: int = 100) -> Shares:
    return Shares(counted, pending_max)  # type: ignore[arg-type]


async def begun(*takes: Any) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(take) for take in takes]
    await asyncio.sleep(0)
    return tasks


async def test_all_who_come_at_once_wait_for_one_count_and_share_what_it_leaves() -> None:
    counted = Counted(pending=90)
    share = shares_of(counted)
    takes = await begun(*(share.take("ann") for _ in range(50)), share.take("bob"))
    counted.answers.set()
    outcomes = await asyncio.gather(*takes, return_exceptions=True)
    assert sorted(counted.asked) == ["ann", "bob"]
    assert outcomes[:10] == [None] * 10
    assert {str(one) for one in outcomes[10:50]} == {
        "100 backtests are pending or paused, the most allowed is 100; wait until some have run, or stop some"
    }
    assert outcomes[50] is None


async def test_what_is_paused_counts_like_what_is_pending() -> None:
    counted = Counted(pending=1, paused=2)
    counted.answers.set()
    share = shares_of(counted, pending_max=4)
    await share.take("ann")
    with pytest.raises(TooMany, match="4 backtests are pending or paused"):
        await share.take("ann")


async def test_whoever_gives_up_first_leaves_the_count_to_the_others() -> None:
    counted = Counted()
    share = shares_of(counted)
    first, *others = await begun(*(share.take("ann") for _ in range(5)))
    first.cancel()
    await asyncio.wait([first])
    counted.answers.set()
    await asyncio.gather(*others)
    assert (first.cancelled(), counted.asked) == (True, ["ann"])


async def test_a_count_that_fails_is_the_answer_to_all_and_the_next_one_counts_anew() -> None:
    counted = Counted()
    counted.error = AutoReconnect("gone")
    share = shares_of(counted)
    takes = await begun(*(share.take("ann") for _ in range(5)))
    counted.answers.set()
    outcomes = await asyncio.gather(*takes, return_exceptions=True)
    assert [type(one) for one in outcomes] == [StoreUnavailable] * 5
    counted.error = None
    await share.take("ann")
    assert counted.asked == ["ann", "ann"]


async def test_a_count_that_fails_when_nobody_waits_any_more_surprises_nobody() -> None:
    surprises: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, surprise: surprises.append(surprise))
    counted = Counted()
    counted.error = AutoReconnect("gone")
    share = shares_of(counted)
    [take] = await begun(share.take("ann"))
    take.cancel()
    await asyncio.wait([take])
    counted.answers.set()
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})
    await asyncio.sleep(0)
    del take  # Its traceback knows the count.
    gc.collect()
    assert surprises == []


async def test_a_full_share_is_counted_again_soon_and_another_one_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1_000.0
    monkeypatch.setattr(shares.time, "monotonic", lambda: now_s)
    counted = Counted(pending=1)
    counted.answers.set()
    share = shares_of(counted, pending_max=2)
    await share.take("ann")
    with pytest.raises(TooMany):
        await share.take("ann")
    counted.pending = 0
    now_s += 1.1
    await share.take("ann")
    now_s += 29
    await share.take("ann")
    assert len(counted.asked) == 2


async def test_what_is_remembered_of_users_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "_USERS_MAX", 2)
    counted = Counted()
    counted.answers.set()
    share = shares_of(counted)
    for user in ("ann", "bob", "cid", "cid", "bob", "ann"):
        await share.take(user)
    assert counted.asked == ["ann", "bob", "cid", "ann"]
