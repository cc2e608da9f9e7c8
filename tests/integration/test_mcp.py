"""`/mcp` on a gateway that runs: what an agent asks, what it is told, who may, and what is sent to do harm."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from api import revocation
from api.accounts import add_user
from api.passwords import Passwords
from shared.contracts import Channel, Progress
from shared.records import BacktestRecord
from shared.settings import Settings
from shared.users import Role, Scope, new_key
from tests.agent import ACCEPTS, HOSTILE, RIGHT, RUN, VERSION, Agent, agent_at, agent_on, json_of, over_http, problem_in
from tests.gateway import BACKTESTS, BODY, Site, problem_of, site_on

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}
CSV = "time,open,high,low,close,volume\n"


@pytest.fixture
async def site(any_mongodb_uri: str, any_redis_url: str, make_settings: Callable[..., Settings]) -> AsyncIterator[Site]:
    async with site_on(make_settings()) as one:
        yield one


async def say(site: Site, record: BacktestRecord, seq: int) -> None:
    progress = Progress(
        backtest_id=record["_id"],
        user_id=record["userId"],
        epoch=record["epoch"],
        seq=seq,
        progress=float(seq),
        message="Processing 2024-01-02",
        current_date="2024-01-02",
        trades_executed=3,
    )
    assert await site.bus.publish(Channel.PROGRESS, progress)


async def test_who_started_a_backtest_is_told_of_it_after_the_answer(site: Site) -> None:
    async with agent_at(site) as agent:
        started = await agent.json_of("run_backtest", **RUN)
        backtest_id = started["backtest_id"]
        assert started == {"backtest_id": backtest_id, "status": "pending", "interval": "1h"}
        record = await site.claim()
        await say(site, record, 5)
        told = await agent.hears_method("backtest/progress")
        assert told == {
            "backtestId": backtest_id,
            "progress": 5.0,
            "currentDate": "2024-01-02",
            "tradesExecuted": 3,
            "message": "Processing 2024-01-02",
        }
        await site.finish(record, seq=6)
        complete = await agent.hears_method("backtest/complete")
        assert complete == {
            "backtestId": backtest_id,
            "result": await agent.json_of("get_backtest_results", backtest_id=backtest_id),
        }
        message = await agent.hears(lambda method, said: method.endswith("/message") and said["level"] == "notice")
        assert message["data"]["backtestId"] == backtest_id
        again = await agent.call("run_backtest", **RUN, idempotency_key="one")
        await (await site.client()).delete(f"{BACKTESTS}/{json_of(again)['backtest_id']}")
        failed = await agent.hears_method("backtest/failed")
        assert failed["backtestId"] == json_of(again)["backtest_id"]
        assert "deleted" in failed["error"]


async def test_an_end_that_comes_before_the_answer_is_told_all_the_same(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = type(site.bus).ring

    async def end_at_once(bus: Any, task: Any) -> Any:
        await site.finish(await site.claim())
        await asyncio.sleep(0.2)  # until it was relayed
        return await ring(bus, task)

    monkeypatch.setattr(type(site.bus), "ring", end_at_once)
    async with agent_at(site) as agent:
        started = await agent.json_of("run_backtest", **RUN)
        assert (await agent.hears_method("backtest/complete"))["backtestId"] == started["backtest_id"]


async def test_waiting_is_told_its_progress_and_bounded(site: Site) -> None:
    async with agent_at(site) as agent:
        backtest_id = (await agent.json_of("run_backtest", **RUN))["backtest_id"]
        late = await agent.json_of("wait_for_backtest", backtest_id=backtest_id, timeout_seconds=0.1)
        assert (late["status"], late["done"]) == ("pending", False)
        waiting = asyncio.create_task(agent.call("wait_for_backtest", token="here", backtest_id=backtest_id))
        record, seq = await site.claim(), 0
        while not any(method == "notifications/progress" for method, _ in agent.told):
            seq += 1
            await say(site, record, seq)
            await asyncio.sleep(0.02)
        await site.finish(record, seq=seq + 1)
        ended = json_of(await waiting)
        assert (ended["status"], ended["done"]) == ("completed", True)
        progress = [said for method, said in agent.told if method == "notifications/progress"]
        assert all(said["progressToken"] == "here" and said["total"] == 100 for said in progress)


async def test_a_client_that_goes_away_ends_nothing(site: Site) -> None:
    async with agent_at(site) as agent:
        backtest_id = (await agent.json_of("run_backtest", **RUN))["backtest_id"]
        waiting = asyncio.create_task(agent.call("wait_for_backtest", backtest_id=backtest_id))
        await asyncio.sleep(0.1)
        waiting.cancel()
    record = await site.claim()
    assert record["_id"] == backtest_id
    await site.finish(record)
    async with agent_at(site) as another:
        assert (await another.json_of("get_metrics", backtest_id=backtest_id))["totalReturn"] == 1.5


async def finished(site: Site, agent: Agent) -> str:
    backtest_id = (await agent.json_of("run_backtest", **RUN))["backtest_id"]
    await site.finish(await site.claim())
    return backtest_id


async def test_what_came_of_backtests_is_read_in_the_shapes_of_before(site: Site) -> None:
    async with agent_at(site) as agent:
        backtest_id = await finished(site, agent)
        results = await agent.json_of("get_backtest_results", backtest_id=backtest_id, max_trades=1, max_points=40)
        assert {"backtest_id", "status", "final_capital", "total_return", "metrics"} < results.keys()
        assert (results["status"], results["total_return"]) == ("completed", 1.5)
        assert (len(results["trades"]), results["trades_total"], len(results["equity_curve"]) <= 40) == (1, 2, True)
        assert await agent.json_of("get_metrics", backtest_id=backtest_id, metrics=["total_return"]) == {
            "total_return": 1.5
        }
        page = await agent.json_of("get_trades", backtest_id=backtest_id, limit=1, offset=1)
        assert (page["total"], page["items"][0]["direction"]) == (2, "short")
        answer = await agent.call("get_equity", backtest_id=backtest_id, max_points=10)
        assert len(json_of(answer)["points"]) <= 10
        assert answer["content"][2]["mimeType"] == "image/png"
        listed = await agent.json_of("list_backtests", status="completed", asset_symbol="WALK")
        assert [one["backtest_id"] for one in listed["items"]] == [backtest_id]
        other = await finished(site, agent)
        compared = await agent.json_of("compare_backtests", backtest_ids=[backtest_id, other])
        assert [one["backtest_id"] for one in compared["backtests"]] == [backtest_id, other]
        assert "some have the same result, trade for trade" in compared["notes"]
        problem = problem_in(await agent.call("control_backtest", backtest_id=other, action="pause"))
        assert problem["code"] == "conflict"


async def test_resources_and_prompts_are_there(site: Site) -> None:
    async with agent_at(site) as agent:
        backtest_id = await finished(site, agent)
        uris = {one["uri"] for one in (await agent.ask("resources/list"))["resources"]}
        assert uris == {f"backfleet://results/{backtest_id}", "backfleet://data/WALK/1h"}
        for uri in uris:
            [content] = (await agent.ask("resources/read", uri=uri))["contents"]
            assert content["uri"] == uri
            assert json.loads(content["text"])
        gone = await agent.ask("resources/read", uri="backfleet://results/bt_nope")
        assert "bt_nope" in gone["error"]["message"]
        asked = {"backtest_id": backtest_id}
        prompt = await agent.ask("prompts/get", name="explain_drawdown", arguments=asked)
        assert backtest_id in prompt["messages"][0]["content"]["text"]
        assert "missing" in (await agent.ask("prompts/get", name="explain_drawdown"))["error"]["message"]


async def test_an_import_asks_what_it_must_know_and_takes_the_answer(site: Site) -> None:
    rows = "".join(f"0{day}/0{month}/2024,1,2,0.5,1.5,10\n" for month in (1, 2) for day in (3, 4, 5))
    async with agent_at(site) as agent:
        asked = {"csv": CSV + rows, "symbol": "NEW/COIN", "interval": "1d", "options": {"allowGaps": True}}
        problem = problem_in(await agent.call("import_market_data", **asked))
        assert "dateOrder" in problem["message"]
        asked["options"] = {"dateOrder": "dmy", "allowGaps": True}
        stored = await agent.json_of("import_market_data", **asked)
        assert (stored["items"][0]["symbol"], stored["items"][0]["bars"]) == ("NEW/COIN", 6)
        there = await agent.json_of("list_market_data", asset_symbol="NEW/COIN")
        assert there["items"][0]["start"] == "2024-01-03T00:00:00Z"
        bars = await agent.ask("resources/read", uri="backfleet://data/NEW%2FCOIN/1d")
        assert len(json.loads(bars["contents"][0]["text"])["close"]) == 6


# What a gateway gets to see of arguments: the tools themselves only know their length.
PASSED_ON = [
    ("run_backtest", "strategy_id"),
    ("run_backtest", "asset_symbol"),
    ("run_backtest", "parameters"),
    ("run_backtest", "idempotency_key"),
    ("list_backtests", "asset_symbol"),
    ("import_market_data", "options"),
    ("validate_strategy", "strategy_config"),
    ("control_backtest", "time"),
]


async def test_arguments_meant_to_do_harm_are_refused_and_nothing_else_happens(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    async with agent_at(site) as agent:
        for tool, name in PASSED_ON:
            for value in HOSTILE:
                answer = await agent.call(tool, **{**RIGHT.get(tool, {}), name: value})
                assert "content" in answer, (tool, name, answer)
                assert "our side" not in answer["content"][0].get("text", ""), (tool, name, value)
        for uri in (
            "",
            "backfleet://",
            "backfleet://results/",
            "backfleet://data/%00/1h",
            "file:///etc/passwd",
            "x" * 9_000,
        ):
            assert "error" in await agent.ask("resources/read", uri=uri)
        assert "error" in await agent.call("no_such_tool")
        assert "error" in await agent.ask("tools/call", name="run_backtest", arguments=[1])
        assert "items" in await agent.json_of("list_backtests")
    assert "\x1b" not in caplog.text


async def test_a_refusal_names_the_argument_the_value_and_the_remedy(site: Site) -> None:
    wrong: list[tuple[dict[str, Any], str, str]] = [
        ({"asset_symbol": "NOPE"}, "asset_symbol", "there are bars of WALK"),
        ({"strategy_id": "smaa"}, "strategy_id", "smaa"),
        ({"parameters": {"fast": "x"}}, "parameters.fast", "whole number"),
        ({"start_date": "soon"}, "start_date", "soon"),
        ({"initial_capital": "much"}, "initial_capital", "must be a number"),
        ({"initial_capital": -5}, "initial_capital", "-5"),
        ({"end_date": "2023-01-01", "interval": "1h"}, "start_date", "must be before end_date"),
        ({"priority": "urgent"}, "priority", "low"),
    ]
    async with agent_at(site) as agent:
        for change, field, words in wrong:
            problem = problem_in(await agent.call("run_backtest", **(RUN | change)))
            assert any(one["field"].startswith(field) and words in one["message"] for one in problem["errors"]), problem


async def test_nan_and_nonsense_on_the_wire_are_no_crash(site: Site) -> None:
    client = await site.client()
    bodies = [
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"run_backtest","arguments":{"initial_capital":NaN}}}',
        "[" * 100_000,
        '{"jsonrpc":"2.0"}',
        '{"jsonrpc":"2.0","id":{},"method":1}',
        "\x00",
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\\ud800","arguments":{}}}',
        "[]",
        '"text"',
    ]
    for accepts in (ACCEPTS, {"Accept": "application/json"}):
        for body in bodies:
            answer = await client.post("/mcp", content=body, headers={**accepts, "Content-Type": "application/json"})
            assert answer.status_code < 500, (body[:80], answer.text)
    for method in ("GET", "DELETE", "PUT", "PATCH"):
        assert 400 <= (await client.request(method, "/mcp", headers=ACCEPTS)).status_code < 500
    problem_of(await client.post("/mcp", content=b" " * 1_000_001, headers=ACCEPTS), 413)


async def test_who_takes_only_json_is_answered_without_a_session(site: Site) -> None:
    client = await site.client()
    asked = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "list_market_data", "arguments": {}}}
    answer = await client.post("/mcp", json=asked, headers={"Accept": "application/json"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert "mcp-session-id" not in answer.headers
    assert json_of(answer.json()["result"])["items"][0]["symbol"] == "WALK"


async def test_a_session_is_its_users_and_a_key_may_do_what_it_may_elsewhere(site: Site) -> None:
    ann, bob = await site.client("ann"), await site.client("bob")
    opened = await ann.post("/mcp", json=HELLO, headers=ACCEPTS)
    session = {**ACCEPTS, "Mcp-Session-Id": opened.headers["mcp-session-id"]}
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
    assert (await ann.post("/mcp", json=ping, headers=session)).status_code == 200
    assert (await bob.post("/mcp", json=ping, headers=session)).status_code == 404
    problem_of(await ann.post("/mcp", json=HELLO, headers={**ACCEPTS, "Origin": "https://evil.example"}), 403)
    users = site.database.users
    await add_user(users, Passwords(site.settings), "kim", "four random words here", [Role.USER])
    key = new_key("kim", "k", [Scope.READ], users.now_ms(), users.now_ms() + 60_000)
    await users.add_key(key.document)
    async with agent_on(over_http(site.url, key.token)) as agent:
        assert (await agent.json_of("list_market_data"))["items"]
        problem = problem_in(await agent.call("run_backtest", **RUN))
        assert (problem["code"], "scope" in problem["message"]) == ("forbidden", True)
        backtest_id = (await ann.post(BACKTESTS, json=BODY)).json()["backtestId"]
        for tool in ("get_backtest_results", "get_trades", "wait_for_backtest", "get_equity"):
            assert problem_in(await agent.call(tool, backtest_id=backtest_id))["code"] == "not_found"


async def test_sessions_are_bounded_in_number_and_idle_time(
    any_mongodb_uri: str, any_redis_url: str, make_settings: Callable[..., Settings]
) -> None:
    async with site_on(make_settings(mcp_sessions_max=1, mcp_session_idle_s=0.3)) as site:
        client = await site.client()
        opened = await client.post("/mcp", json=HELLO, headers=ACCEPTS)
        assert (await client.post("/mcp", json=HELLO, headers=ACCEPTS)).status_code == 429
        session = {**ACCEPTS, "Mcp-Session-Id": opened.headers["mcp-session-id"]}
        ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
        deadline_s = time.monotonic() + 10
        while (await client.post("/mcp", json=HELLO, headers=ACCEPTS)).status_code == 429:
            assert time.monotonic() < deadline_s
        assert (await client.post("/mcp", json=ping, headers=session)).status_code == 404


async def test_whoever_is_disabled_hears_nothing_more(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocation, "LOOK_AGAIN_S", 0.1)
    await add_user(site.database.users, Passwords(site.settings), "lee", "four random words here", [Role.USER])
    client = await site.client("lee")
    opened = await client.post("/mcp", json=HELLO, headers=ACCEPTS)
    session = {**ACCEPTS, "Mcp-Session-Id": opened.headers["mcp-session-id"]}
    async with client.stream("GET", "/mcp", headers=session) as stream:
        assert stream.status_code == 200
        await site.database.users.set_disabled("lee", True)
        async with asyncio.timeout(12):  # the first look has the time that was set before
            assert [part async for part in stream.aiter_text()] == []
    problem_of(await client.post("/mcp", json=HELLO, headers=session), 401)


async def test_without_the_extra_it_is_not_there_and_says_what_to_install(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "mcp" else find(name))
    problem_of(await (await site.client_with(None)).post("/mcp", json=HELLO), 401)
    problem = problem_of(await (await site.client()).post("/mcp", json=HELLO, headers=ACCEPTS), 404)
    assert "backfleet[mcp]" in problem["detail"]
