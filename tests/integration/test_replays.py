"""Ended backtests that are played back to one socket, on real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from api import replays
from api.replays import Replays
from shared.claims import completed
from shared.contracts import Complete, Summary
from shared.findings import trade_columns
from shared.instants import read_instant_ms
from shared.records import BacktestRecord
from shared.settings import Settings
from tests.drawing import Drawing
from tests.gateway import BACKTESTS, BARS, BODY, Ear, Site, result_of, site_on
from tests.integration.test_plain_sockets import ask, hears, opened
from tests.stored import tables


@pytest.fixture
async def site(
    any_mongodb_uri: str,
    any_redis_url: str,
    mongodb_database: str,
    make_settings: Callable[..., Settings],
) -> AsyncIterator[Site]:
    """One pair of backends: they only keep what is read."""
    async with site_on(make_settings()) as one:
        yield one


async def running(site: Site) -> BacktestRecord:
    answer = await (await site.client()).post(BACKTESTS, json=BODY)
    assert answer.status_code == 202, answer.text
    return await site.claim()


async def ended(site: Site) -> tuple[str, dict[int, float], list[dict[str, Any]]]:
    """A backtest with a result on the stored bars, its curve and its trades."""
    record = await running(site)
    wanted = [read_instant_ms(name, BODY[name]) for name in ("startDate", "endDate")]
    found = await site.database.candles.reopen(record["manifestId"], "1h", wanted[0], wanted[1])
    time_ms = (await site.database.candles.read(found)).time_ms
    equity, trades = tables(time_ms)
    document = result_of(record)[0]
    document["datasetHash"], document["totalBars"], document["warmupBars"] = found.dataset_hash, BARS, 0
    await site.results.prepare(document, equity, trades)
    await site.results.write([document])
    news = Complete(
        backtest_id=record["_id"],
        user_id="ann",
        epoch=record["epoch"],
        seq=7,
        result_id=document["_id"],
        summary=Summary(total_return=1.5),
    )
    assert await site.claims.end([completed(record, news, dataset_hash=found.dataset_hash)]) == [True]
    columns = trade_columns(trades, BODY["strategies"])
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return record["_id"], dict(zip(time_ms.tolist(), equity["equity"].tolist(), strict=True)), rows


def replayed(ear: Ear) -> list[tuple[str, dict[str, Any]]]:
    return [(event, said) for event, said in ear.told if said.get("replay") is True]


def drawing(ear: Ear) -> Drawing:
    drawn = Drawing()
    for event, said in replayed(ear):
        marks = ("backtestId", "userId", "replay", "replaySeq")
        data = {name: value for name, value in said.items() if name not in marks}
        drawn.hear({"type": event.removeprefix("backtest:"), "data": data})
    return drawn


def _ends(event: str, said: dict[str, Any]) -> bool:
    return event == "backtest:complete" and said.get("replay") is True


async def control(ear: Ear, backtest_id: str, action: str, **fields: Any) -> dict[str, Any]:
    return await ear.call("backtest:control", {"backtestId": backtest_id, "action": action, **fields})


async def test_a_socket_alone_is_shown_an_ended_backtest_and_steers_it(site: Site) -> None:
    backtest_id, curve, trades = await ended(site)
    ear, other = await site.ear(), await site.ear()
    replay = {"from": 0, "speed": 100}
    answer = await ear.call("backtest:subscribe", {"backtestId": backtest_id, "replay": replay})
    assert answer == {"ok": True, "replay": {"bar": 0, "totalBars": BARS}}
    await ear.hears(lambda event, said: event == "backtest:state" and said["currentCandleIndex"] > 5)
    paused = await control(ear, backtest_id, "pause")
    assert (paused["ok"], paused["status"], paused["done"], paused["totalBars"]) == (True, "paused", True, BARS)
    refused = await control(other, backtest_id, "pause")
    assert (refused["ok"], refused["errors"][0]["code"]) == (False, "ended")
    for bar in (400, 20):
        sought = await control(ear, backtest_id, "seek", bar=bar)
        assert (sought["status"], sought["bar"], sought["done"]) == ("paused", bar, True)
    stepped = await control(ear, backtest_id, "step", bars=3)
    assert stepped["bar"] == 23
    candle = [said for event, said in replayed(ear) if event == "backtest:candle"][-1]
    assert candle["bar"] == 22
    await control(ear, backtest_id, "speed", speed="max")
    assert (await control(ear, backtest_id, "resume"))["ok"]
    end = await ear.hears(_ends)
    assert (end["summary"]["totalReturn"], "seq" in end) == (1.5, False)
    drawn = drawing(ear)
    assert (drawn.curve, drawn.trades, drawn.status) == (curve, trades, "completed")
    assert [said["replaySeq"] for _, said in replayed(ear)] == list(range(1, len(replayed(ear)) + 1))
    assert not replayed(other)
    over = await control(ear, backtest_id, "pause")
    assert (over["ok"], over["errors"][0]["code"]) == (False, "ended")


async def test_a_plain_socket_is_shown_it_too(site: Site) -> None:
    backtest_id, curve, _ = await ended(site)
    topic, begin = f"backtest:{backtest_id}", "2024-01-11T00:00:00Z"
    async with opened(site, "ann") as ws:
        await ask(ws, action="subscribe", topic=topic, replay={"from": begin, "speed": 1})
        confirmed = await hears(ws, "subscription_confirmed")
        assert confirmed["replay"] == {"bar": 240, "total_bars": BARS}
        assert (await hears(ws, "backtest_start"))["replay"] is True
        first = (await hears(ws, "backtest_state_update"))["state"]
        assert (first["replay"], first["snapshot"], first["currentCandleIndex"]) == (True, True, 240)
        command = {"action": "speed", "speed": "max"}
        await ask(ws, action="control", backtest_id=backtest_id, command=command)
        assert (await hears(ws, "control_confirmed"))["data"]["status"] == "replaying"
        end = await hears(ws, "backtest_complete")
        assert (end["replay"], end["data"]["return_pct"], "seq" in end) == (True, 1.5, False)
        assert len(curve) == BARS
        both = {"after": {"epoch": 1, "seq": 1}, "replay": {}}
        for wrong in (both, {"replay": {"from": -1}}, {"replay": {"speed": 0}}, {"replay": {"fast": 1}}):
            await ask(ws, action="subscribe", topic=topic, **wrong)
            assert (await hears(ws, "error"))["topic"] == topic
        await ask(ws, action="subscribe", topic="logs", replay={})
        assert "topic of one backtest" in (await hears(ws, "error"))["errors"][0]["message"]


async def test_what_cannot_be_played_back_is_refused_in_words(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    backtest_id, _, _ = await ended(site)
    open_id = (await running(site))["_id"]
    ear, eve = await site.ear(), await site.ear("eve")

    async def refusal(of: Ear, one: str, **fields: Any) -> dict[str, Any]:
        answer = await of.call("backtest:subscribe", {"backtestId": one, **fields})
        assert not answer["ok"], answer
        return answer["errors"][0]

    too_early = await refusal(ear, open_id, replay={})
    assert (too_early["code"], too_early["message"][-14:]) == ("no_result", "then ask again")
    assert (await refusal(eve, backtest_id, replay={}))["code"] == "not_found"
    assert (await refusal(ear, backtest_id, replay={"from": BARS + 1}))["field"] == "replay.from"
    for wrong in ({"from": -1}, {"from": 1.5}, {"from": "soon"}, {"from": True}, {"from": None}, {"speed": 0}, 7):
        assert (await refusal(ear, backtest_id, replay=wrong))["field"].startswith("replay"), wrong
    await refusal(ear, backtest_id, replay={}, after={"epoch": 1, "seq": 1})
    slowly = {"backtestId": backtest_id, "replay": {"speed": 0.1}}
    monkeypatch.setattr(replays, "OF_A_SOCKET_MAX", 1)
    assert (await ear.call("backtest:subscribe", slowly))["ok"]
    assert (await ear.call("backtest:subscribe", slowly))["ok"], "in place of the one before"
    other, _, _ = await ended(site)
    assert (await refusal(ear, other, replay={}))["code"] == "too_many"
    monkeypatch.setattr(replays, "PLAYERS_MAX", 1)
    assert (await refusal(await site.ear(), other, replay={}))["code"] == "too_many"
    assert (await ear.call("backtest:unsubscribe", {"backtestId": backtest_id}))["ok"]
    assert (await ear.call("backtest:subscribe", {"backtestId": other, "replay": {"from": BARS}}))["ok"]
    assert (await ear.hears(_ends))["backtestId"] == other


async def test_a_replay_ends_with_its_backtest_and_with_its_socket(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "LOOK_EVERY_S", 0.05)
    gone = asyncio.Event()
    ended_one: Callable[..., None] = Replays._ended  # pyright: ignore[reportPrivateUsage]

    def note(self: Replays, *arguments: Any) -> None:
        ended_one(self, *arguments)
        gone.set()

    monkeypatch.setattr(Replays, "_ended", note)
    backtest_id, _, _ = await ended(site)
    ear = await site.ear()
    slowly = {"backtestId": backtest_id, "replay": {"speed": 0.1}}
    assert (await ear.call("backtest:subscribe", slowly))["ok"]
    await ear.sio.disconnect()
    async with asyncio.timeout(15):
        await gone.wait()
    ear = await site.ear()
    assert (await ear.call("backtest:subscribe", slowly))["ok"]
    assert (await (await site.client()).delete(f"{BACKTESTS}/{backtest_id}")).status_code == 204
    error = await ear.hears_event("backtest:error")
    assert (error["replay"], error["code"]) == (True, "deleted")
