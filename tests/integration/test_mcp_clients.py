"""The clients of MCP that others have written, against a gateway and a worker: over stdio and over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from api.auth import mint_token
from deploy.node import NodeMissing, node_with_packages
from shared.settings import Settings
from tests.agent import RUN, over_http
from tests.fleet import ROOT, Fleet, fleet_on
from tests.gateway import gateway_on, http_client
from tests.javascript import FOLDER, INSPECTOR

BARS = 2_000
DEADLINE_S = 100.0
COMMAND = [sys.executable, "-m", "deploy.cli", "mcp"]


class Place:
    """A gateway, a worker, and how a client gets there."""

    def __init__(self, fleet: Fleet, url: str) -> None:
        self.fleet, self.url = fleet, url
        self.token = mint_token(fleet.settings, "ann", 3600)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "BACKFLEET_URL": self.url, "BACKFLEET_TOKEN": self.token, "PYTHONWARNINGS": "ignore"}

    def stdio(self) -> AbstractAsyncContextManager[Any]:
        return stdio_client(
            StdioServerParameters(command=COMMAND[0], args=COMMAND[1:], env=self.environment, cwd=str(ROOT))
        )

    def http(self) -> AbstractAsyncContextManager[Any]:
        return over_http(self.url, self.token)


@pytest.fixture
async def place(
    any_mongodb_uri: str,
    any_redis_url: str,
    mongodb_database: str,
    make_settings: Callable[..., Settings],
    tmp_path: Path,
) -> AsyncIterator[Place]:
    settings = make_settings(stall_limit_s=60.0, lease_ttl_s=60.0, chunk_bars=100, progress_interval_s=0.0)
    async with fleet_on(settings, tmp_path, BARS) as fleet, gateway_on(settings) as url:
        yield Place(fleet, url)


@pytest.fixture
def node() -> str:
    try:
        return str(node_with_packages(FOLDER))
    except NodeMissing as missing:
        pytest.skip(f"node is missing: {missing}")


async def run_of(streams: AbstractAsyncContextManager[Any], mode: str) -> dict[str, Any]:
    """What the SDK's client gets of one run: what it was told on the way, and the results."""
    told: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        assert (total, bool(message)) == (100.0, True)
        told.append(progress)

    asked = RUN | {"end_date": "2024-03-01", "wait_seconds": 60}
    async with asyncio.timeout(DEADLINE_S), Client(streams, mode=mode) as client:
        started = await client.call_tool("run_backtest", asked, progress_callback=note)
        assert started.structured_content is not None
        assert started.structured_content["status"] == "completed", started
        its = {"backtest_id": started.structured_content["backtest_id"]}
        results = await client.call_tool("get_backtest_results", its)
        equity = await client.call_tool("get_equity", its)
        explained = await client.call_tool("explain_trade", {**its, "trade": 0, "bars_around": 3})
    assert told == sorted(told)
    assert told[-1:] == [100.0]
    assert [one.type for one in equity.content] == ["resource", "text", "image"]
    trade = explained.structured_content
    assert trade is not None
    assert len([bar for bar in trade["around_entry"] if bar.get("here")]) == 1
    assert [bar["time"] for bar in trade["around_entry"] if bar.get("here")] == [trade["entryTime"]]
    assert results.structured_content is not None
    return results.structured_content


async def test_the_sdks_own_client_gets_the_same_over_every_transport_and_version(place: Place) -> None:
    place.fleet.start_worker()
    found = [
        await run_of(streams(), mode)
        for streams, mode in (
            (place.stdio, "legacy"),
            (place.http, "legacy"),
            (place.stdio, "auto"),
            (place.http, "auto"),
        )
    ]
    assert len({one["result_hash"] for one in found}) == 1
    assert all(one["trades_total"] > 3 for one in found)
    async with http_client(place.url, headers={"Authorization": f"Bearer {place.token}"}) as plain:
        stored = (await plain.get(f"/api/algo/backtest/{found[0]['backtest_id']}/result")).json()
    assert stored["metrics"] == found[0]["metrics"]


@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_an_older_node_client_works_unchanged_and_never_asks_how_it_stands(
    place: Place, node: str, transport: str
) -> None:
    place.fleet.start_worker()
    server = {
        "stdio": {"command": COMMAND[0], "args": COMMAND[1:], "env": place.environment, "cwd": str(ROOT)},
        "http": {"url": f"{place.url}/mcp", "token": place.token},
    }[transport]
    run = RUN | {"end_date": "2024-03-01", "priority": "high"}
    command = [node, str(FOLDER / "agent.mjs"), json.dumps(server), json.dumps(run)]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, limit=2**24)
    try:
        output, errors = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    told = json.loads(output)
    started = told["started"]
    assert (started["mimeType"], started["json"]["status"]) == ("application/json", "pending")
    assert started["structured"] == started["json"]
    backtest_id = started["json"]["backtest_id"]
    results = told["results"]["json"]
    assert told["end"] == {"result": results}
    assert [one["backtestId"] for one in told["told"]["complete"]] == [backtest_id]
    assert not told["told"]["failed"]
    assert {one["backtestId"] for one in told["told"]["progress"]} == {backtest_id}
    assert "complete" in {one["data"]["event"] for one in told["told"]["messages"]}
    named = ("backtest_id", "status", "final_capital", "total_return", "metrics", "trades", "equity_curve")
    assert set(named) <= results.keys()
    assert told["metrics"]["json"] == {
        "total_return": results["metrics"]["totalReturn"],
        "sharpe_ratio": results["metrics"]["sharpeRatio"],
    }
    fields = {"id", "name", "description", "parameters_schema", "default_parameters"}
    assert all(fields <= one.keys() for one in told["strategies"]["json"])
    assert told["right"]["json"] == {"valid": True, "errors": []}
    assert told["wrong"]["json"]["valid"] is False
    assert "asset_symbol" in told["refused"]["text"]
    assert told["refused"]["isError"] is True


async def test_the_inspectors_command_line_calls_a_tool(place: Place) -> None:
    try:
        node = node_with_packages(INSPECTOR)
    except NodeMissing as missing:
        pytest.skip(f"node is missing: {missing}")
    program = INSPECTOR / "node_modules" / "@modelcontextprotocol" / "inspector" / "clients" / "launcher" / "build"
    header = f"Authorization: Bearer {place.token}"
    where = ["--cli", f"{place.url}/mcp", "--transport", "http", "--header", header]
    what = ["--method", "tools/call", "--tool-name", "list_market_data", "--tool-arg", "asset_symbol=WALK"]
    process = await asyncio.create_subprocess_exec(
        str(node), str(program / "index.js"), *where, *what, stdout=PIPE, stderr=PIPE
    )
    output, errors = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    assert process.returncode == 0, errors.decode()
    assert json.loads(output)["structuredContent"]["items"][0]["bars"] == BARS


@pytest.mark.parametrize("ending", ["end of input", signal.SIGTERM])
async def test_it_ends_cleanly_and_says_nothing_but_the_protocol(place: Place, ending: str | signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, env=place.environment, cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for message in (b"nonsense", b"\xff\xfe", b'{"jsonrpc":"2.0","id":1,"method":"ping"}'):
        process.stdin.write(message + b"\n")
    async with asyncio.timeout(DEADLINE_S):
        while json.loads(await process.stdout.readline()).get("id") != 1:
            pass
        if isinstance(ending, signal.Signals):
            process.send_signal(ending)
        else:
            process.stdin.close()
        output, errors = await process.communicate()
    assert process.returncode == (128 + ending if isinstance(ending, signal.Signals) else 0), errors.decode()
    assert output == b""
    assert b"Traceback" not in errors
