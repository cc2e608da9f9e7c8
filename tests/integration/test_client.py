"""The Python client against a gateway that runs, with lines that break and users who are not let in."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import pytest

from shared import news
from shared.client import fleet as fleet_module
from shared.client import line as line_module
from shared.client.answers import RunEvent
from shared.client.blocking import BlockingBackfleet
from shared.client.fleet import Backfleet, BacktestFailed, Run
from shared.contracts import Channel, Progress
from shared.errors import Conflict, InvalidRequest, NotFound, Refusal, Unauthenticated, Unavailable
from shared.records import BacktestRecord
from shared.settings import Settings
from tests.gateway import BODY, Site, site_on
from tests.proxy import Proxy

DEADLINE_S = 30.0


@pytest.fixture
async def site(any_mongodb_uri: str, any_redis_url: str, make_settings: Callable[..., Settings]) -> AsyncIterator[Site]:
    async with site_on(make_settings()) as one:
        yield one


def progress(record: BacktestRecord, seq: int) -> Progress:
    return Progress(
        backtest_id=record["_id"],
        user_id=record["userId"],
        epoch=record["epoch"],
        seq=seq,
        progress=float(seq),
        message="Processing 2024-01-01",
        current_date="2024-01-01",
    )


async def say(site: Site, record: BacktestRecord, seq: int) -> None:
    assert await site.bus.publish(Channel.PROGRESS, progress(record, seq))


async def heard_until_end(run: Run, heard: list[RunEvent], told: asyncio.Event) -> None:
    async with aclosing(run.events()) as events:
        async for event in events:
            heard.append(event)
            told.set()


async def test_what_is_submitted_is_followed_to_its_result(site: Site) -> None:
    async with asyncio.timeout(DEADLINE_S), Backfleet(site.url, site.token()) as fleet:
        run = await fleet.submit(BODY, priority=3)
        result = asyncio.create_task(run.result())
        record = await site.claim()
        assert (record["_id"], record["priority"]) == (run.id, 3)
        end = await site.finish(record)
        assert (await result)["resultHash"] == "sha256:1"
        assert (await run.result())["resultId"] == end.result_id, "and of one that has ended already"
        assert (await run.trades(limit=1))["total"] == 2
        assert len((await run.equity(max_points=10))["points"]) <= 10
        assert [one["backtestId"] for one in (await fleet.backtests(limit=5))["items"]] == [run.id]
        await run.delete()
        with pytest.raises(NotFound):
            await run.state()


async def test_a_line_that_breaks_again_and_again_loses_nothing(site: Site) -> None:
    proxy = Proxy(site.url)
    async with asyncio.timeout(DEADLINE_S), proxy.running() as url, Backfleet(url, site.token()) as fleet:
        run = await fleet.submit(BODY)
        heard: list[RunEvent] = []
        told = asyncio.Event()
        following = asyncio.create_task(heard_until_end(run, heard, told))
        waiting = asyncio.create_task(run.end())
        record = await site.claim()
        for seq in range(1, 6):
            told.clear()
            await say(site, record, seq)
            if seq % 2:
                proxy.cut()  # what is said next is said to nobody
            else:
                while not any(one.data.get("progress") == seq for one in heard):
                    told.clear()
                    await told.wait()
        proxy.cut()
        await site.finish(record, seq=6)
        await following
        assert (await waiting).name == "backtest:complete"
        said = [one.data["progress"] for one in heard if one.name == "backtest:progress"]
        # In order, but for what an owner is told before it has asked for what it missed.
        assert sorted(said) == [1.0, 2.0, 3.0, 4.0, 5.0], "each once"
        assert [one.ends for one in heard].index(True) == len(heard) - 1
        assert proxy.opened > 2


async def test_a_line_that_breaks_while_it_is_asked_is_made_again_at_once(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_module, "_ACK_TIMEOUT_S", 3600.0)
    proxy = Proxy(site.url)
    async with asyncio.timeout(DEADLINE_S), proxy.running() as url, Backfleet(url, site.token()) as fleet:
        one, other = await fleet.submit(BODY), await fleet.submit(BODY)
        async with aclosing(one.events()) as events:
            await anext(events)
            asked, emit = asyncio.Event(), fleet.line._sio.emit

            async def noticed(*arguments: object, **named: object) -> None:
                asked.set()
                await emit(*arguments, **named)

            monkeypatch.setattr(fleet.line._sio, "emit", noticed)
            proxy.go_silent()
            first = asyncio.create_task(anext(other.events()))
            await asked.wait()
            proxy.cut()
            assert (await first).name == "backtest:state"


def test_what_is_no_url_and_a_client_that_is_closed_are_refused_at_once() -> None:
    threads = threading.active_count()
    for url in ("nonsense", "ftp://127.0.0.1", "http://", "http://127.0.0.1:0"):
        with pytest.raises(InvalidRequest, match=r"url: .* is no URL of a gateway; write for example http://"):
            BlockingBackfleet(url, "token")
    assert threading.active_count() == threads
    with BlockingBackfleet("http://127.0.0.1:9", "token") as fleet:
        run = fleet.run("bt_1")
    with pytest.raises(Refusal, match="this client is closed"):
        run.state()


async def test_who_takes_slowly_is_told_all_of_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_module, "WAITING_MAX", 5)
    async with asyncio.timeout(DEADLINE_S), Backfleet(site.url, site.token()) as fleet:
        run = await fleet.submit(BODY)
        async with aclosing(run.events()) as events:
            assert (await anext(events)).name == "backtest:state"
            record = await site.claim()
            for seq in range(1, 40):
                await say(site, record, seq)
            await site.finish(record, seq=40)
            await run.end()  # all of it has been said by now, and most of it was passed over
            rest = [event async for event in events]
        said = [one.data["progress"] for one in rest if one.name == "backtest:progress"]
        assert said == [float(seq) for seq in range(1, 40)]
        assert rest[-1].name == "backtest:complete"


async def test_one_that_is_deleted_has_no_result_and_says_why(site: Site) -> None:
    async with asyncio.timeout(DEADLINE_S), Backfleet(site.url, site.token()) as fleet:
        run = await fleet.submit(BODY)
        heard = asyncio.Event()
        waiting = asyncio.create_task(run.result(on_progress=lambda _: heard.set()))
        record, seq = await site.claim(), 0
        while not heard.is_set():  # what was said before the line was there it need not hear
            seq += 1
            await say(site, record, seq)
            await asyncio.wait([asyncio.create_task(heard.wait())], timeout=0.1)
        await run.delete()
        with pytest.raises(BacktestFailed) as caught:
            await waiting
        assert caught.value.code == news.DELETED
        with pytest.raises(TimeoutError):
            await (await fleet.submit(BODY)).result(timeout_s=0.2)


async def test_refusals_are_what_they_are(site: Site) -> None:
    async with asyncio.timeout(DEADLINE_S), Backfleet(site.url, site.token()) as fleet:
        with pytest.raises(InvalidRequest) as refused:
            await fleet.submit(BODY, strategies=["nosuch"], strategyParams={})
        assert [one.field for one in refused.value.errors] == ["strategies.0"]
        theirs = await (await site.client("eve")).post("/api/algo/backtest", json=BODY)
        with pytest.raises(NotFound):
            await anext(fleet.run(theirs.json()["backtestId"]).events())
        run = await fleet.submit(BODY)
        async with aclosing(run.events()) as events:
            await anext(events)
            with pytest.raises(Conflict, match="use that one"):
                await anext(run.events())


async def test_nobody_is_let_in_with_a_bad_token_and_a_fresh_one_is_asked_for_each_line(site: Site) -> None:
    async with asyncio.timeout(DEADLINE_S), Backfleet(site.url, "nonsense") as fleet:
        with pytest.raises(Unauthenticated):
            await fleet.submit(BODY)
        with pytest.raises(Unauthenticated):
            await anext(fleet.run("bt_1").events())
    asked = 0

    async def token() -> str:
        nonlocal asked
        asked += 1
        return site.token()

    async with asyncio.timeout(DEADLINE_S), Backfleet(site.url, token) as fleet:
        run = await fleet.submit(BODY)
        assert asked == 1
        async with aclosing(run.events()) as events:
            await anext(events)
        assert asked == 2


async def test_a_token_that_cannot_be_had_for_the_next_line_is_said_to_who_follows(site: Site) -> None:
    proxy, tokens = Proxy(site.url), iter([site.token()])

    async def token() -> str:
        for one in tokens:
            return one
        raise RuntimeError("the vault is sealed")

    async with Backfleet(site.url, site.token()) as fleet:
        backtest_id = (await fleet.submit(BODY)).id
    async with asyncio.timeout(DEADLINE_S), proxy.running() as url, Backfleet(url, token) as fleet:
        events = fleet.run(backtest_id).events()
        await anext(events)
        proxy.cut()
        with pytest.raises(RuntimeError, match="sealed"):
            await anext(events)


async def test_a_gateway_below_a_path_is_found_by_sockets_too(site: Site) -> None:
    async with Backfleet(site.url, site.token()) as fleet:
        backtest_id = (await fleet.submit(BODY)).id
    proxy = Proxy(site.url, below="/lab/fleet")
    async with proxy.running() as url, Backfleet(f"{url}/lab/fleet/", site.token(), patience_s=3.0) as fleet:
        events = fleet.run(backtest_id).events()
        assert (await anext(events)).name == "backtest:state"
        await events.aclose()


async def test_one_that_was_left_in_the_middle_can_be_followed_again(site: Site) -> None:
    async with asyncio.timeout(DEADLINE_S), Backfleet(site.url, site.token()) as fleet:
        run = await fleet.submit(BODY)
        record = await site.claim()
        heard: list[str] = []
        async for event in run.events():
            heard.append(event.name)
            if event.name == "backtest:progress":
                break
            await say(site, record, 1)
        async for event in run.events():
            heard.append(event.name)
            break
        assert heard == ["backtest:state", "backtest:progress", "backtest:state"], "asked for once each time"


async def test_a_service_that_is_away_is_waited_for_as_long_as_was_said(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy(site.url)
    proxy.away = True
    tries = asyncio.Event()
    pause = line_module.pause

    async def noticed(attempt: int) -> None:
        tries.set()
        await pause(attempt)

    monkeypatch.setattr(fleet_module, "pause", noticed)
    async with asyncio.timeout(DEADLINE_S), proxy.running() as url:
        async with Backfleet(url, site.token(), patience_s=0.3) as fleet:
            with pytest.raises(Unavailable, match="does not answer"):
                await fleet.submit(BODY)
            with pytest.raises(Unavailable, match="cannot be reached"):
                await anext(fleet.run("bt_1").events())
        async with Backfleet(url, site.token()) as fleet:
            tries.clear()
            submitting = asyncio.create_task(fleet.submit(BODY))
            await tries.wait()
            proxy.away = False
            run = await submitting
            assert (await run.state())["status"] == "pending"


async def test_the_twin_for_notebooks_does_the_same_beside_a_loop_that_runs(
    site: Site,
) -> None:
    loop, submitted = asyncio.get_running_loop(), asyncio.Event()

    def work() -> tuple[list[str], str]:
        with BlockingBackfleet(site.url, site.token()) as fleet:
            run = fleet.submit(BODY)
            loop.call_soon_threadsafe(submitted.set)
            names = [event.name for event in run.events()]
            return names, run.result()["resultHash"]

    async with asyncio.timeout(DEADLINE_S):
        working = asyncio.create_task(asyncio.to_thread(work))
        await submitted.wait()
        await site.finish(await site.claim())
        names, result_hash = await working
    assert names[0] == "backtest:state"
    assert names[-1] == "backtest:complete"
    assert result_hash == "sha256:1"


def test_it_loads_nothing_of_the_engine() -> None:
    heavy = {"numba", "numpy", "pandas", "talib", "pymongo", "fastapi"}
    loaded = "{one.split('.')[0] for one in sys.modules}"
    code = f"import sys; from backfleet.client import BlockingBackfleet; print({loaded} & {heavy})"
    here = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=here, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
