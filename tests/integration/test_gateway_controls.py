"""Steering backtests over HTTP and sockets: what is asked, what is answered, and what is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from api import awaited
from api.routes.answers import Accepted, Controlled
from shared.bus import Heard
from shared.contracts import Channel, Event
from shared.controls import Control
from shared.records import BacktestRecord
from shared.settings import Settings
from shared.wire import decode
from tests.gateway import BACKTESTS, BODY, Site, fields_of, problem_of, site_on

ACTIONS = ("pause", "resume", "stop", "speed", "step", "seek")
BODIES: dict[str, dict[str, Any]] = {"speed": {"speed": 50}, "seek": {"bar": 10}}


@pytest.fixture
async def site(
    any_mongodb_uri: str, any_redis_url: str, make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Site]:
    monkeypatch.setattr(awaited, "WAIT_S", 0.2)
    async with site_on(make_settings()) as one:
        yield one


async def submit(site: Site, **changes: Any) -> str:
    answer = await (await site.client()).post(BACKTESTS, json=BODY | changes)
    assert answer.status_code == 202, answer.text
    return Accepted.model_validate(answer.json()).backtest_id


async def running(site: Site) -> BacktestRecord:
    await submit(site)
    return await site.claim()


@asynccontextmanager
async def worker_that_says(
    site: Site, record: BacktestRecord, monkeypatch: pytest.MonkeyPatch, *news: tuple[Any, dict[str, Any]]
) -> AsyncIterator[list[Control]]:
    """Answers the next commands for a run with these events; who waits for them waits for as long as it takes."""
    monkeypatch.setattr(awaited, "WAIT_S", 20.0)
    heard: list[Control] = []

    async def answer() -> None:
        async with site.bus.listen(Channel.CONTROL) as items:
            async for item in items:
                subscribed.set()
                if isinstance(item, Heard):
                    heard.append(decode(Control, item.payload))
                    for number, (type, data) in enumerate(news, 1):
                        said = Event(
                            backtest_id=record["_id"],
                            user_id=record["userId"],
                            epoch=record["epoch"],
                            seq=10 * (heard[-1].seq or 0) + number,
                            type=type,
                            data={"commandId": heard[-1].command_id} | data,
                        )
                        assert await site.bus.publish(Channel.EVENT, said)

    subscribed = asyncio.Event()
    answering = asyncio.create_task(answer())
    try:
        await subscribed.wait()
        yield heard
    finally:
        answering.cancel()
        await asyncio.wait([answering])


async def test_a_command_is_answered_with_what_its_run_says(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    record = await running(site)
    url, client = f"{BACKTESTS}/{record['_id']}", await site.client()
    reached = {"bar": 40, "totalBars": 500, "progressPercent": 8.0, "speed": 50.0}
    state = {"status": "paused", "currentCandleIndex": 10, "totalCandles": 500, "progressPercent": 2.0, "speed": "max"}
    # Of what is said, only what answers this command counts, and only once it has had its effect.
    early = [("paused", reached | {"commandId": "another"}), ("log", {"message": "pausing"})]
    for action, news in (("pause", ("paused", reached)), ("resume", ("resumed", reached)), ("seek", ("state", state))):
        async with worker_that_says(site, record, monkeypatch, *early, news) as heard:
            answer = await client.post(f"{url}/{action}", json=BODIES.get(action, {}))
        assert answer.status_code == 200, answer.text
        told = Controlled.model_validate(answer.json())
        [control] = heard
        assert (control.action, control.command_id, told.done) == (action, told.command_id, True)
        expected = ("paused", 10, 2.0, "max") if action == "seek" else (told.status, 40, 8.0, 50.0)
        assert (told.status, told.bar, told.progress, told.speed) == expected
        assert told.status == {"pause": "paused", "resume": "running", "seek": "paused"}[action]
        assert told.total_bars == 500


async def test_the_end_answers_whatever_was_asked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    record = await running(site)
    monkeypatch.setattr(awaited, "WAIT_S", 20.0)
    client = await site.client()
    async with site.bus.listen(Channel.CONTROL) as items, asyncio.timeout(20):
        await anext(items)
        asking = asyncio.create_task(client.post(f"{BACKTESTS}/{record['_id']}/pause", json={"commandId": "c1"}))
        await anext(items)
        await site.finish(record)
        answer = await asking
    told = Controlled.model_validate(answer.json())
    assert (answer.status_code, told.status, told.done, told.progress) == (200, "completed", False, 100.0)
    again = await client.post(f"{BACKTESTS}/{record['_id']}/pause", json={"commandId": "c1"})
    assert (again.status_code, again.json()) == (200, answer.json())


async def test_what_nobody_answers_is_stored_and_answered_as_it_stands(site: Site) -> None:
    record = await running(site)
    url, client = f"{BACKTESTS}/{record['_id']}", await site.client()
    answers = [await client.post(f"{url}/step", json={"bars": 3, "commandId": "c1"}) for _ in range(2)]
    for answer in answers:
        told = Controlled.model_validate(answer.json())
        assert (answer.status_code, told.command_id, told.status, told.done) == (202, "c1", "running", False)
    stored = await site.store.get(record["_id"], "ann")
    assert [(one["seq"], one["bars"]) for one in stored["controls"]] == [(1, 3)]
    reused = problem_of(await client.post(f"{url}/pause", json={"commandId": "c1"}), 422)
    assert fields_of(reused) == {"commandId"}


async def test_a_backtest_is_born_paused_and_goes_on_when_it_is_asked_to(site: Site) -> None:
    client = await site.client()
    key = {"Idempotency-Key": "once"}
    answers = [await client.post(BACKTESTS, json=BODY | {"startPaused": True, "speed": 7}, headers=key) for _ in "ab"]
    assert [(one.status_code, one.json()["status"]) for one in answers] == [(202, "paused")] * 2
    backtest_id = answers[0].json()["backtestId"]
    assert await site.claims.claim("worker", "claim") is None
    listed = (await client.get(BACKTESTS, params={"status": "paused"})).json()["items"]
    assert [one["backtestId"] for one in listed] == [backtest_id]
    url = f"{BACKTESTS}/{backtest_id}"
    before = (await client.get(url)).json()
    paced = Controlled.model_validate((await client.post(f"{url}/speed", json={"speed": "max"})).json())
    assert (paced.status, paced.speed, paced.done) == ("paused", "max", True)
    assert (await client.get(url)).json()["updatedAt"] > before["updatedAt"]
    assert problem_of(await client.post(f"{url}/pause"), 409)["errors"][0]["code"] == "paused"
    resumed = await client.post(f"{url}/resume")
    assert (resumed.status_code, resumed.json()["status"]) == (202, "pending")
    assert problem_of(await client.post(f"{url}/resume"), 409)["errors"][0]["code"] == "not_paused"
    claimed = await site.claim()
    assert [one["action"] for one in claimed["controls"]] == ["speed", "resume"]


async def test_a_waiting_backtest_is_paused_and_stopped_at_once_and_its_owner_hears_it(site: Site) -> None:
    ear = await site.ear()
    backtest_id = await submit(site)
    paused = await ear.call("backtest:control", {"backtestId": backtest_id, "action": "pause"})
    command_id = paused.pop("commandId")
    assert paused == {
        "ok": True,
        "backtestId": backtest_id,
        "action": "pause",
        "status": "paused",
        "progress": 0.0,
        "speed": "max",
        "done": True,
    }
    assert (await ear.hears_event("backtest:paused"))["commandId"] == command_id
    stopped = await ear.call("backtest:control", {"backtestId": backtest_id, "action": "stop"})
    assert (stopped["ok"], stopped["status"], stopped["done"]) == (True, "stopped", True)
    end = await ear.hears_event("backtest:error")
    assert (end["backtestId"], end["code"]) == (backtest_id, "stopped")
    ended = await ear.call("backtest:control", {"backtestId": backtest_id, "action": "resume"})
    assert (ended["ok"], [one["code"] for one in ended["errors"]]) == (False, ["ended"])
    client = await site.client()
    result = problem_of(await client.get(f"{BACKTESTS}/{backtest_id}/result"), 409)
    assert "is stopped" in result["detail"]
    assert (await client.delete(f"{BACKTESTS}/{backtest_id}")).status_code == 204


async def test_nobody_controls_what_is_somebody_elses_or_with_a_key_that_only_reads(site: Site) -> None:
    backtest_id = await submit(site)
    stranger, ear = await site.client("eve"), await site.ear("eve")
    for action in ACTIONS:
        body = BODIES.get(action, {})
        answer = await stranger.post(f"{BACKTESTS}/{backtest_id}/{action}", json=body)
        assert fields_of(problem_of(answer, 404)) == {"backtestId"}
        ack = await ear.call("backtest:control", {"backtestId": backtest_id, "action": action} | body)
        assert [one["code"] for one in ack["errors"]] == ["not_found"]
        problem_of(await (await site.client_with(None)).post(f"{BACKTESTS}/{backtest_id}/{action}", json=body), 401)
    owner = await site.client()
    assert (await owner.get(f"{BACKTESTS}/{backtest_id}")).json()["status"] == "pending"


# Action, body, the status of the refusal, and the field that it names.
BAD_COMMANDS: list[tuple[str, Any, int, str | None]] = [
    ("pause", {"bars": 3}, 422, "bars"),
    ("pause", {"action": "pause"}, 422, "action"),
    ("pause", {"commandId": "no id"}, 422, "commandId"),
    ("pause", {"commandId": "x" * 129}, 422, "commandId"),
    ("pause", {"commandId": None, "x": 1}, 422, "x"),
    ("stop", {"closeOpenTrades": "yes"}, 422, "closeOpenTrades"),
    ("speed", {}, 422, "speed"),
    ("speed", {"speed": None}, 422, "speed"),
    ("speed", {"speed": 0}, 422, "speed"),
    ("speed", {"speed": -1e300}, 422, "speed"),
    ("speed", {"speed": "fast"}, 422, "speed"),
    ("speed", {"speed": True}, 422, "speed"),
    ("step", {"bars": 0}, 422, "bars"),
    ("step", {"bars": 2**40}, 422, "bars"),
    ("step", {"bars": 1.5}, 422, "bars"),
    ("step", {"bars": "3"}, 422, "bars"),
    ("seek", {}, 422, "$"),
    ("seek", {"bar": 1, "time": "2024-01-05"}, 422, "$"),
    ("seek", {"bar": -1}, 422, "bar"),
    ("seek", {"time": "soon"}, 422, "time"),
    ("seek", {"time": "1999-01-01"}, 422, "time"),
    ("speed", '{"speed": NaN}', 400, "$"),
    ("step", "{", 400, "$"),
    ("step", "[]", 400, "$"),
    ("seek", "", 400, "$"),
    ("dance", {}, 404, None),
]


async def test_a_bad_command_is_refused_with_its_field(site: Site) -> None:
    client, ear, backtest = await site.client(), await site.ear(), await submit(site)
    for action, body, status, field in BAD_COMMANDS:
        text = body if isinstance(body, str) else json.dumps(body)
        problem = problem_of(await client.post(f"{BACKTESTS}/{backtest}/{action}", content=text), status)
        assert field is None or field in fields_of(problem), (action, body, problem)
        if isinstance(body, dict) and "action" not in body:
            ack = await ear.call("backtest:control", {"backtestId": backtest, "action": action} | body)
            assert ack["ok"] is False, (action, body)
            assert (field or "action") in [one["field"] for one in ack["errors"]], (action, body, ack)
    assert (await site.store.get(backtest, "ann"))["controlSeq"] == 0


async def test_a_path_of_a_command_knows_only_post(site: Site) -> None:
    client, backtest = await site.client(), await submit(site)
    answer = await client.get(f"{BACKTESTS}/{backtest}/pause")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert "unknown query parameter" in (await client.post(f"{BACKTESTS}/{backtest}/pause?bars=3")).text
