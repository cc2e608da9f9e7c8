"""`backfleet mcp --embedded`, as an agent starts it: bars of a file, a backtest to its end, nothing left behind."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.agent import RUN
from tests.fleet import ROOT, random_walk, write_bars

DEADLINE_S = 110.0


async def run_of(command: list[str], rooms: Path, errors: TextIO) -> dict[str, Any]:
    """What a backtest came to that an agent has run, while its data lay in `rooms`."""
    env = {**os.environ, "TMPDIR": str(rooms)}
    parameters = StdioServerParameters(command=sys.executable, args=command, env=env, cwd=str(ROOT))
    async with asyncio.timeout(DEADLINE_S), Client(stdio_client(parameters, errlog=errors)) as client:
        ran = await client.call_tool("run_backtest", {**RUN, "wait_seconds": 60})
        assert ran.structured_content is not None
        assert (ran.structured_content["status"], ran.structured_content["interval"]) == ("completed", "1h")
        assert list(rooms.glob("backfleet-mcp-*"))
        its = {"backtest_id": ran.structured_content["backtest_id"]}
        results = await client.call_tool("get_backtest_results", its)
        assert results.structured_content is not None
        return results.structured_content


def test_an_agent_runs_a_backtest_on_a_file_without_any_server(tmp_path: Path) -> None:
    file = write_bars(tmp_path / "WALK.csv", random_walk(600))
    rooms = tmp_path / "temporary"
    rooms.mkdir()
    command = ["-m", "deploy.cli", "mcp", "--embedded", "--data", str(file)]
    with (tmp_path / "errors").open("w+") as errors:
        results = asyncio.run(run_of(command, rooms, errors))
        errors.seek(0)
        said = errors.read()
    assert results["trades_total"] > 1
    assert "market data: WALK 1h" in said, said
    deadline_s = time.monotonic() + 20
    while list(rooms.glob("backfleet-mcp-*")):  # its servers take a moment to end
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
