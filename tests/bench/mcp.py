"""A backtest over MCP beside the same over plain HTTP: from the call to the answer that it is stored."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
from mcp.client.client import Client as McpClient
from mcp.client.streamable_http import streamable_http_client

from deploy.stack import Stack
from shared.settings import load_settings
from tests.bench.client import REQUEST, Client, load_bars
from tests.bench.rows import Row, measured, p50_p99_ms

WARMING = 20
CALLS = 100
DEADLINE_S = 500.0
SETTLED_S = 0.1
AIM = 2.0
RUN: dict[str, Any] = {
    "strategy_id": "sma",
    "asset_symbol": REQUEST["symbol"],
    "interval": REQUEST["interval"],
    "start_date": REQUEST["startDate"],
    "end_date": REQUEST["endDate"],
    "parameters": REQUEST["strategyParams"]["sma"],
}


async def _in_turns(
    ways: dict[str, Callable[[], Awaitable[Any]]], ended: Callable[[str], Awaitable[Any]]
) -> dict[str, Any]:
    """How long each call of each way took. Taken in turns, so that a machine that is slow for a while is slow for all;
    each run has ended, and its client was told, before the next begins."""
    took: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(WARMING + CALLS):
        for name, ask in ways.items():
            began = time.perf_counter()
            backtest_id = await ask()
            if number >= WARMING:
                took[name].append(time.perf_counter() - began)
            await ended(backtest_id)
            await asyncio.sleep(SETTLED_S)
    return took


async def _measure(stack: Stack) -> dict[str, list[float]]:
    await load_bars(stack)
    url, token = stack.api_urls[0], stack.token("bench")
    async with (
        asyncio.timeout(DEADLINE_S),
        Client(url, token) as plain,
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=30) as http,
        McpClient(streamable_http_client(f"{url}/mcp", http_client=http), mode="legacy") as session,
        McpClient(streamable_http_client(f"{url}/mcp", http_client=http), mode="2026-07-28") as sessionless,
    ):

        def over(client: McpClient) -> Callable[[], Awaitable[str]]:
            async def ask() -> str:
                answer = await client.call_tool("run_backtest", RUN)
                assert answer.structured_content is not None, answer
                return answer.structured_content["backtest_id"]

            return ask

        ways = {"http": plain.submit, "session": over(session), "sessionless": over(sessionless)}
        return await _in_turns(ways, plain.end_of)


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="backfleet-bench-") as name:
        directory = Path(name)
        settings = load_settings(cache_dir=directory / "cache", log_level="WARNING")
        with Stack(settings, api_replicas=1, workers=1, directory=directory) as stack:
            took = asyncio.run(_measure(stack))
            on = stack.server_names
    peer, _ = p50_p99_ms(took["http"])
    return [
        measured(
            f"mcp.run_backtest_p50.{way}.vs.http",
            ours=p50_p99_ms(took[way])[0],
            peer=peer,
            unit="ms",
            aim=AIM,
            better="lower",
            on=f"{on}, the SDK's own client",
        )
        for way in ("session", "sessionless")
    ]
