"""Sessions and older runs, on a gateway with and without a worker; and what becomes of sessions that nobody starts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from api import awaited
from api.routes.session_answers import Acted, Run, Session, SessionCreated, SessionPage
from shared.bus import Bus, Heard
from shared.contracts import Channel, Event
from shared.controls import ControlRequest
from shared.database import Database
from shared.errors import NotFound
from shared.live import State
from shared.settings import Settings
from shared.steering import Steering
from shared.wire import validate
from tests.fleet import SYMBOL, WorkerProcess, random_walk, request
from tests.gateway import BACKTESTS, BODY, Site, fields_of, problem_of, site_on
from tests.integration.test_worker import eventually
from worker.sweeper import Sweeper

SESSIONS = "/api/backtest"
CREATE = {
    "symbol": SYMBOL,
    "interval": "1h",
    "startDate": "2024-01-01",
    "endDate": "2024-02-01",
    "initialCapital": 5_000,
    "strategies": ["sma"],
    "strategyParams": {"sma": {"fast": 5, "slow": 20}},
}
RUN = {
    "symbol": SYMBOL,
    "timeframe": "H1",
    "start_date": "2024-01-01",
    "end_date": "2024-01-10",
    "strategy_name": "sma",
}


@pytest.fixture
async def site(
    any_mongodb_uri: str, any_redis_url: str, make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Site]:
    monkeypatch.setattr(awaited, "WAIT_S", 0.2)
    async with site_on(make_settings(sweep_interval_s=0.2)) as one:
        yield one


async def create(site: Site, **changes: Any) -> SessionCreated:
    answer = await (await site.client()).post(f"{SESSIONS}/create", json=CREATE | changes)
    assert answer.status_code == 201, answer.text
    created = SessionCreated.model_validate(answer.json())
    assert answer.headers["location"] == f"{SESSIONS}/{created.session_id}"
    return created


async def state_of(site: Site, session_id: str) -> dict[str, Any]:
    """Of the form of every state, but for the status, for which sessions have other words."""
    answer = await (await site.client()).get(f"{SESSIONS}/{session_id}")
    session = Session.model_validate(answer.json())
    assert session.session_id == session_id
    fit = {"idle": "paused", "failed": "stopped"}.get(session.state["status"], session.state["status"])
    State.model_validate_json(json.dumps({"firstBar": 0} | session.state | {"status": fit}))
    return session.state


async def act(site: Site, session_id: str, action: str, status: int = 200, **body: Any) -> str:
    answer = await (await site.client()).post(f"{SESSIONS}/{session_id}/{action}", json=body or None)
    assert answer.status_code == status, answer.text
    acted = Acted.model_validate(answer.json())
    assert acted.session_id == session_id
    return acted.status


async def test_a_session_waits_until_it_is_started(site: Site) -> None:
    created = await create(site)
    assert (created.status, created.symbol, created.note) == ("idle", SYMBOL, None)
    assert created.expires_at is not None
    state = await state_of(site, created.session_id)
    assert (state["status"], state["currentCapital"], state["totalCandles"]) == ("idle", 5_000, 500)
    assert (state["currentCandleIndex"], state["metrics"]["equityCurve"], state["openTrades"]) == (0, [], [])
    assert await site.claims.claim("worker", "claim") is None
    again = problem_of(await (await site.client()).post(f"{SESSIONS}/{created.session_id}/pause"), 409)
    assert "paused already" in again["detail"]
    assert await act(site, created.session_id, "start", 202) == "running"
    assert (await site.claim())["_id"] == created.session_id
    record = await site.store.get(created.session_id, "ann")
    assert record.get("expiresAt") == 0, "who is started is kept"


async def test_one_that_was_started_is_paused_and_not_idle(site: Site) -> None:
    session = (await create(site)).session_id
    await act(site, session, "start", 202)
    assert await act(site, session, "pause") == "paused"
    assert (await state_of(site, session))["status"] == "paused"
    assert await act(site, session, "resume", 202) == "running"
    assert await act(site, session, "stop") == "stopped"
    assert (await state_of(site, session))["status"] == "stopped"


async def test_either_api_controls_what_the_other_began(site: Site) -> None:
    client = await site.client()
    session = (await create(site)).session_id
    other = (await client.post(BACKTESTS, json=BODY | {"startPaused": True})).json()["backtestId"]
    assert (await client.post(f"{BACKTESTS}/{session}/resume")).json()["status"] == "pending"
    assert await act(site, other, "start", 202) == "running"
    page = SessionPage.model_validate((await client.get(SESSIONS, params={"limit": 1})).json())
    [listed] = page.sessions
    assert (listed.session_id, listed.status, listed.symbol) == (other, "running", SYMBOL)
    more = SessionPage.model_validate((await client.get(SESSIONS, params={"cursor": page.next_cursor})).json())
    assert [(one.session_id, one.start_date) for one in more.sessions] == [(session, "2024-01-01")]
    assert (await client.get(f"{BACKTESTS}/{session}")).json()["params"]["initialCapital"] == 5_000
    assert (await client.delete(f"{SESSIONS}/{other}")).status_code == 204
    problem_of(await client.get(f"{BACKTESTS}/{other}"), 404)


async def test_a_session_is_its_owners_alone(site: Site) -> None:
    session = (await create(site)).session_id
    stranger, nobody = await site.client("eve"), await site.client_with(None)
    assert (await stranger.get(SESSIONS)).json() == {"sessions": [], "nextCursor": None}
    paths = [("GET", ""), ("DELETE", ""), *(("POST", f"/{one}") for one in ("start", "pause", "resume", "stop"))]
    for method, path in paths:
        answer = await stranger.request(method, f"{SESSIONS}/{session}{path}")
        assert fields_of(problem_of(answer, 404)) == {"sessionId"}
        problem_of(await nobody.request(method, f"{SESSIONS}/{session}{path}"), 401)
    problem_of(await nobody.post(f"{SESSIONS}/create", json=CREATE), 401)
    problem_of(await nobody.post("/api/v1/backtest/run", json=RUN), 401)
    assert (await state_of(site, session))["status"] == "idle"


async def test_a_symbol_is_found_by_its_letters_and_digits(site: Site) -> None:
    await site.database.candles.import_bars("BTCUSD", "1h", random_walk(50), "synthetic")
    for written in ("BTC-USD", "BTC/USD", "btcusd"):
        created = await create(site, symbol=written)
        assert created.symbol == "BTCUSD"
        assert created.note == f"there is no market data of {written}; BTCUSD is what was meant"
    assert (await create(site, symbol="BTCUSD")).note is None
    client = await site.client()
    run = Run.model_validate((await client.post("/api/v1/backtest/run", json=RUN | {"symbol": "btc_usd"})).json())
    assert (run.status, run.symbol) == ("pending", "BTCUSD")
    await site.database.candles.import_bars("BTC.USD", "1h", random_walk(50), "synthetic")
    refused = problem_of(await client.post(f"{SESSIONS}/create", json=CREATE | {"symbol": "BTC-USD"}), 422)
    assert "BTC.USD" in refused["detail"], "which of the two is nobody's guess"
    assert "BTCUSD" in refused["detail"]


async def test_a_run_of_older_clients_is_refused_in_their_words(site: Site) -> None:
    client = await site.client()
    for changes, field in (
        ({"symbol": "NOSUCH"}, "symbol"),
        ({"timeframe": "M30"}, "timeframe"),
        ({"start_date": "1999-01-01", "end_date": "1999-02-01"}, "end_date"),
        ({"strategy_name": "astrology"}, "strategy_name"),
        ({"variant": "turbo"}, "variant"),
    ):
        answer = await client.post("/api/v1/backtest/run", json=RUN | changes)
        assert fields_of(problem_of(answer, 422)) == {field}


async def test_one_that_runs_is_asked_where_it_stands(site: Site) -> None:
    session = (await create(site)).session_id
    await act(site, session, "start", 202)
    record = await site.claim()
    metrics = {"totalTrades": 1, "winningTrades": 1, "losingTrades": 0, "winRate": 100.0, "totalPnl": 3.0}
    state = {
        "status": "running",
        "currentTime": "2024-01-02T00:00:00Z",
        "currentCandleIndex": 24,
        "totalCandles": 500,
        "snapshot": True,
        "metrics": metrics | {"equityCurve": [[1, 5_003.0]]},
    }

    async def answer() -> None:
        async with site.bus.listen(Channel.CONTROL) as items:
            async for item in items:
                subscribed.set()
                if isinstance(item, Heard) and json.loads(item.payload)["action"] == "watch":
                    said = {"backtest_id": session, "user_id": "ann", "epoch": record["epoch"], "seq": 5}
                    await site.bus.publish(Channel.EVENT, Event.model_validate(said | {"type": "state", "data": state}))

    silent = await state_of(site, session)
    assert (silent["status"], silent["partial"], silent["totalCandles"]) == ("running", True, 500)
    subscribed = asyncio.Event()
    answering = asyncio.create_task(answer())
    try:
        await subscribed.wait()
        told = await state_of(site, session)
    finally:
        answering.cancel()
        await asyncio.wait([answering])
    assert (told["currentCandleIndex"], told["metrics"], told["seq"]) == (24, state["metrics"], 5)
    assert "partial" not in told


async def follow(site: Site, backtest_id: str, begun: asyncio.Event) -> list[dict[str, Any]]:
    """All frames of a backtest until its end."""
    frames: list[dict[str, Any]] = []
    headers = {"Authorization": f"Bearer {site.token()}"}
    async with connect(f"{site.url.replace('http', 'ws')}/ws", additional_headers=headers, proxy=None) as ws:
        await ws.send(json.dumps({"action": "subscribe", "topic": f"backtest:{backtest_id}"}))
        async with asyncio.timeout(40):
            async for text in ws:
                frames.append(json.loads(text))
                begun.set()
                if frames[-1]["type"] in ("backtest_complete", "backtest_error"):
                    break
    return frames


async def test_a_session_runs_from_idle_to_its_end_and_an_older_run_beside_it(site: Site, tmp_path: Path) -> None:
    worker = WorkerProcess(site.settings, tmp_path / "worker.log")
    try:
        session = (await create(site)).session_id
        begun = asyncio.Event()
        following = asyncio.create_task(follow(site, session, begun))
        await begun.wait()
        await act(site, session, "start", 202)
        frames = await following
        assert frames[-1]["type"] == "backtest_complete", frames[-1]
        states = [one["state"] for one in frames if one["type"] == "backtest_state_update"]
        assert {one["sessionId"] for one in frames if one["type"] == "backtest_state_update"} == {session}

        run = await (await site.client()).post("/api/v1/backtest/run", json=RUN)
        assert run.status_code == 202
        older = await follow(site, Run.model_validate(run.json()).backtest_id, begun)
    finally:
        worker.close()
    started = next(one["data"] for one in older if one["type"] == "backtest_start")
    assert (started["timeframe"], started["variant"], started["symbol"]) == ("H1", "vanilla", SYMBOL)

    state = await state_of(site, session)
    data = frames[-1]["data"]
    assert (state["status"], state["currentCandleIndex"], state["totalCandles"]) == ("completed", 500, 500)
    assert state["progressPercent"] == 100
    assert state["currentCapital"] == data["final_balance"] == state["metrics"]["equityCurve"][-1][1]
    assert state["metrics"]["totalTrades"] == data["total_trades"] > 0
    # What its result says is what the run itself said last.
    last = states[-1]
    assert last["currentCandleIndex"] == 500
    for name in ("peakCapital", "drawdown", "currentTime"):
        assert state[name] == last[name], name
    for name in ("winningTrades", "losingTrades", "winRate"):
        assert state["metrics"][name] == last["metrics"][name], name
    assert state["metrics"]["totalPnl"] == pytest.approx(last["metrics"]["totalPnl"])
    assert state["recentTrades"] == last["recentTrades"]


@pytest.fixture
async def kept(mongodb_uri: str, any_redis_url: str, make_settings: Callable[..., Settings]) -> AsyncIterator[Database]:
    database = await Database.open(make_settings())
    try:
        yield database
    finally:
        await database.close()


async def test_who_was_never_started_is_removed_in_time_and_nobody_else(
    kept: Database, make_settings: Callable[..., Settings]
) -> None:
    settings = make_settings(sweep_interval_s=0.06)

    async def born(keep_s: float, **params: Any) -> str:
        params = {"startPaused": True} | params
        record, _ = await kept.store.insert(
            user_id="ann", params=request(**params), priority=0, idempotency_key=None, keep_s=keep_s
        )
        return record["_id"]

    forgotten, young, ordinary, started, stopped = [await born(one) for one in (0.001, 600, 0, 0.001, 0.001)]
    bus = await Bus.open(settings)
    sweeper = Sweeper(kept, bus, settings, on_swept=lambda: None)
    try:
        steering = Steering(kept, bus)
        await steering.request(started, "ann", validate(ControlRequest, {"action": "resume"}))
        await steering.request(started, "ann", validate(ControlRequest, {"action": "pause"}))
        await steering.request(stopped, "ann", validate(ControlRequest, {"action": "stop"}))

        async def is_gone() -> bool:
            found = await kept.mongo.collection("backtests").find_one({"_id": forgotten})
            return found is None

        async with bus.listen(Channel.ERROR) as heard, asyncio.timeout(20):
            await anext(heard)
            sweeping = asyncio.create_task(sweeper.sweep())
            await eventually(is_gone, "the forgotten session was removed")
            told = await anext(heard)
        assert isinstance(told, Heard)
        said = json.loads(told.payload)
        assert (said["backtestId"], said["code"]) == (forgotten, "deleted")
        assert "nobody started it" in said["error"]
        sweeping.cancel()
        await asyncio.wait([sweeping])
        with pytest.raises(NotFound):
            await kept.store.get(forgotten, "ann")
        statuses = [(await kept.store.get(one, "ann"))["status"] for one in (young, ordinary, started, stopped)]
        assert statuses == ["paused", "paused", "paused", "stopped"]
        assert await kept.store.remove_forgotten(started) is None
    finally:
        await bus.close()


async def test_of_a_start_and_a_removal_at_once_one_wins(
    kept: Database, make_settings: Callable[..., Settings]
) -> None:
    bus = await Bus.open(make_settings())
    steering = Steering(kept, bus)
    resume = validate(ControlRequest, {"action": "resume"})
    try:
        for _ in range(10):
            record, _ = await kept.store.insert(
                user_id="ann",
                params=request(startPaused=True),
                priority=0,
                idempotency_key=None,
                keep_s=0.001,
            )
            started, removed = await asyncio.gather(
                steering.request(record["_id"], "ann", resume),
                kept.store.remove_forgotten(record["_id"]),
                return_exceptions=True,
            )
            left = await kept.mongo.collection("backtests").find_one({"_id": record["_id"]})
            if left is None:
                assert isinstance(started, NotFound)
                assert removed is not None
            else:
                assert (left["status"], removed) == ("pending", None)
    finally:
        await bus.close()
