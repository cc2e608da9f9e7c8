"""The README's programs that watch a backtest, as whoever pastes them runs them: through a break, missing nothing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from api.auth import mint_token
from deploy.node import NodeMissing, node_with_packages
from deploy.processes import free_port
from shared.settings import Settings
from tests.fleet import Fleet, fleet_on, request
from tests.gateway import gateway_on
from tests.javascript import MODULES
from tests.readme import shown

BARS = 4_000
DEADLINE_S = 60.0


@pytest.fixture
async def fleet(
    any_mongodb_uri: str,
    any_redis_url: str,
    mongodb_database: str,
    make_settings: Callable[..., Settings],
    tmp_path: Path,
) -> AsyncIterator[Fleet]:
    """With a port for one gateway after the other, and runs that are interrupted nowhere by their slowness."""
    settings = make_settings(port=free_port(), stall_limit_s=60.0, lease_ttl_s=60.0, chunk_bars=1)
    async with fleet_on(settings, tmp_path, BARS) as opened:
        yield opened


def _sample(language: str) -> str:
    [sample] = [block for block in shown(language) if "backtest:subscribe" in block]
    return sample


@pytest.fixture(params=["python", "javascript"])
def command(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """How the pasted program is started."""
    if request.param == "python":
        file = tmp_path / "watch.py"
        file.write_text(_sample("python"))
        return [sys.executable, str(file)]
    try:
        node = node_with_packages(MODULES.parent)
    except NodeMissing as missing:
        pytest.skip(f"node is missing: {missing}")
    (tmp_path / "node_modules").symlink_to(MODULES)
    file = tmp_path / "watch.mjs"
    file.write_text(_sample("javascript"))
    return [str(node), str(file)]


class Watching:
    """A program that watches, and what it has printed."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.heard: list[tuple[str, dict[str, Any]]] = []

    async def read_until(self, event: str) -> None:
        """Reads until this event was printed."""
        assert self.process.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            while not self.heard or self.heard[-1][0] != event:
                line = (await self.process.stdout.readline()).decode()
                assert line, f"it ended: {self.heard}"
                name, _, message = line.partition(" ")
                self.heard.append((name, json.loads(message)))


@asynccontextmanager
async def _watch(command: list[str], fleet: Fleet, backtest_id: str) -> AsyncIterator[Watching]:
    token = mint_token(fleet.settings, "ann", 60)
    env = {**os.environ, "URL": f"http://127.0.0.1:{fleet.settings.port}", "TOKEN": token}
    process = await asyncio.create_subprocess_exec(*command, backtest_id, env=env, stdout=PIPE, stderr=PIPE)
    try:
        yield Watching(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_the_readmes_programs_hear_everything_once_through_a_break(fleet: Fleet, command: list[str]) -> None:
    record = await fleet.submit(request())
    async with AsyncExitStack() as gateway:
        await gateway.enter_async_context(gateway_on(fleet.settings))
        async with _watch(command, fleet, record["_id"]) as watching:
            await watching.read_until("backtest:state")
            worker = fleet.start_worker()
            await watching.read_until("backtest:progress")
            for pid in worker.engine_pids():
                os.kill(pid, signal.SIGSTOP)
            await gateway.aclose()
            worker.thaw_engine()
            await fleet.end_of(record["_id"], DEADLINE_S)
            await gateway.enter_async_context(gateway_on(fleet.settings))
            await watching.read_until("backtest:complete")
            assert await asyncio.wait_for(watching.process.wait(), DEADLINE_S) == 0
    assert [event for event, said in watching.heard if said.get("snapshot")] == ["backtest:state"] * 2
    numbered = [(said["epoch"], said["seq"]) for _, said in watching.heard if not said.get("snapshot")]
    # A snapshot that the run makes is for who asked for it; whoever has heard everything did not.
    said = [one for one in fleet.said_of(record["_id"]) if not one.get("data", {}).get("snapshot")]
    assert numbered == [(one["epoch"], one["seq"]) for one in said]
    assert len(numbered) > 5


async def test_the_readmes_program_without_socketio_hears_everything_once_through_a_break(
    fleet: Fleet, tmp_path: Path
) -> None:
    [sample] = [block for block in shown("python") if "websockets" in block]
    file = tmp_path / "follow.py"
    file.write_text(sample)
    record = await fleet.submit(request())
    async with AsyncExitStack() as gateway:
        await gateway.enter_async_context(gateway_on(fleet.settings))
        async with _watch([sys.executable, str(file)], fleet, record["_id"]) as watching:
            await watching.read_until("backtest_state_update")
            worker = fleet.start_worker()
            await watching.read_until("backtest_progress")
            for pid in worker.engine_pids():
                os.kill(pid, signal.SIGSTOP)
            await gateway.aclose()
            worker.thaw_engine()
            await fleet.end_of(record["_id"], DEADLINE_S)
            await gateway.enter_async_context(gateway_on(fleet.settings))
            await watching.read_until("backtest_complete")
            assert await asyncio.wait_for(watching.process.wait(), DEADLINE_S) == 0
    numbered = [(said["epoch"], said["seq"]) for _, said in watching.heard if "seq" in said]
    assert numbered == [
        (one["epoch"], one["seq"]) for one in fleet.said_of(record["_id"]) if one.get("type") not in ("state", "log")
    ]
    assert len(numbered) > 5


async def test_the_readmes_programs_say_why_they_cannot_watch(fleet: Fleet, command: list[str]) -> None:
    async with gateway_on(fleet.settings), _watch(command, fleet, "bt_unknown") as watching:
        out, error = await asyncio.wait_for(watching.process.communicate(), DEADLINE_S)
    assert (watching.process.returncode, out) == (0, b"")
    assert b"not_found" in error
