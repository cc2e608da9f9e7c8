"""A client of MCP that keeps what it is told, over whatever streams a transport of the SDK gives: no more than JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx2
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from tests.gateway import BODY, Site

VERSION = "2025-11-25"
ACCEPTS = {"Accept": "application/json, text/event-stream"}
RUN: dict[str, Any] = {
    "strategy_id": "sma",
    "asset_symbol": BODY["symbol"],
    "start_date": "2024-01-01",
    "end_date": "2024-01-20",
    "initial_capital": 10_000,
    "parameters": {"fast": 5, "slow": 20},
}
_ONE = {"backtest_id": "bt_1"}
# Arguments of each tool that would be well, so that only the one that a test changes is wrong.
RIGHT: dict[str, dict[str, Any]] = {
    "run_backtest": RUN,
    "wait_for_backtest": _ONE,
    "get_backtest_results": _ONE,
    "get_metrics": _ONE,
    "get_trades": _ONE,
    "get_equity": _ONE,
    "explain_trade": {**_ONE, "trade": 0},
    "compare_backtests": {"backtest_ids": ["bt_1", "bt_2"]},
    "list_backtests": {},
    "control_backtest": {**_ONE, "action": "seek"},
    "list_strategies": {},
    "validate_strategy": {"strategy_config": {"strategy_id": "sma"}},
    "list_market_data": {},
    "import_market_data": {"csv": "nonsense"},
}
HOSTILE: list[Any] = [
    None,
    -1,
    1e308,
    10**30,
    True,
    "",
    "1",
    "x" * 100_000,
    "\x1b[31m\r\n\x00",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    {"$where": "1"},
    {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": {"j": 1}}}}}}}}}},
    [[]] * 1_000,
]
Streams = AbstractAsyncContextManager[tuple[Any, Any]]


class Agent:
    """Calls tools, and hears notifications of any name."""

    def __init__(self, reading: Any, writing: Any) -> None:
        self._reading, self._writing = reading, writing
        self._number = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.told: list[tuple[str, dict[str, Any]]] = []
        self._changed = asyncio.Event()

    async def listen(self) -> None:
        async for item in self._reading:
            message = item.message if isinstance(item, SessionMessage) else item
            if isinstance(message, JSONRPCNotification):
                self.told.append((message.method, message.params or {}))
                self._changed.set()
            elif isinstance(message, JSONRPCResponse) and isinstance(message.id, int):
                self._answers.pop(message.id).set_result(message.result)
            elif isinstance(message, JSONRPCError) and isinstance(message.id, int):
                self._answers.pop(message.id).set_result({"error": message.error.model_dump(mode="json")})

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """The result, or `{"error": …}` where the protocol itself refuses."""
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        request = JSONRPCRequest(jsonrpc="2.0", id=self._number, method=method, params=params)
        await self._writing.send(SessionMessage(request))
        async with asyncio.timeout(30):
            return await answer

    async def begin(self, version: str = VERSION) -> dict[str, Any]:
        hello = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        answer = await self.ask("initialize", **hello)
        await self._writing.send(SessionMessage(JSONRPCNotification(jsonrpc="2.0", method="notifications/initialized")))
        return answer

    async def call(self, tool: str, token: str | None = None, **arguments: Any) -> dict[str, Any]:
        """The whole answer of a tool. `token` is where its progress goes."""
        more = {"_meta": {"progressToken": token}} if token else {}
        return await self.ask("tools/call", name=tool, arguments=arguments, **more)

    async def json_of(self, tool: str, **arguments: Any) -> Any:
        """What a tool answers, which must be no error."""
        return json_of(await self.call(tool, **arguments))

    async def hears(self, wanted: Callable[[str, dict[str, Any]], bool]) -> dict[str, Any]:
        """The first notification that satisfies `wanted`, past or to come."""
        async with asyncio.timeout(20):
            while True:
                for method, params in self.told:
                    if wanted(method, params):
                        return params
                self._changed.clear()
                await self._changed.wait()

    async def hears_method(self, name: str) -> dict[str, Any]:
        return await self.hears(lambda method, _: method == name)


def json_of(answer: dict[str, Any]) -> Any:
    """The JSON of a tool's answer, checked for its form: a resource, a text, the same as structured content."""
    assert not answer.get("isError"), answer
    resource, text = answer["content"][:2]
    assert resource["type"] == "resource"
    assert resource["resource"]["mimeType"] == "application/json"
    assert resource["resource"]["uri"].startswith("backfleet://")
    assert text["type"] == "text"
    found = json.loads(resource["resource"]["text"])
    assert answer["structuredContent"] == (found if isinstance(found, dict) else {"result": found})
    return found


def problem_in(answer: dict[str, Any]) -> dict[str, Any]:
    """The error of a tool, checked for its form."""
    assert answer.get("isError") is True, answer
    problem = answer["structuredContent"]["error"]
    assert answer["content"][0]["type"] == "text"
    assert problem.keys() == {"code", "message", "errors"}
    return problem


@asynccontextmanager
async def agent_on(streams: Streams, *, begun: bool = True) -> AsyncIterator[Agent]:
    async with streams as (reading, writing):
        agent = Agent(reading, writing)
        listening = asyncio.create_task(agent.listen())
        try:
            if begun:
                await agent.begin()
            yield agent
        finally:
            listening.cancel()
            await asyncio.wait([listening])


@asynccontextmanager
async def over_http(url: str, token: str) -> AsyncIterator[tuple[Any, Any]]:
    """Streams to `/mcp` of a gateway."""
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        streamable_http_client(f"{url}/mcp", http_client=http) as streams,
    ):
        yield streams


def agent_at(site: Site, user: str = "ann") -> AbstractAsyncContextManager[Agent]:
    """An agent of a user at a gateway, over HTTP."""
    return agent_on(over_http(site.url, site.token(user)))
