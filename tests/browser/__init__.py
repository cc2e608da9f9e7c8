"""Tests in a real browser: Debian's chromium, driven by playwright-core, on a real gateway with real workers."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from deploy.node import NodeMissing, node_with_packages

FOLDER = Path(__file__).parent
DEADLINE_S = 120.0
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
# A line of what a scenario says may hold a whole picture of a run.
_LINE_MAX_BYTES = 64 * 1024 * 1024

Answer = Callable[[dict[str, Any]], Awaitable[Any]]


class ScenarioFailed(AssertionError):
    """The browser did not get to the end. The message has its stack and what went wrong in the page."""


class BrowserMissing(Exception):
    """There is nothing to look with. The message says why."""


def chromium() -> str:
    """The program. Raises `BrowserMissing`."""
    named = os.environ.get("BACKFLEET_TEST_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        raise BrowserMissing("chromium is not installed, and BACKFLEET_TEST_CHROMIUM names no browser")
    return found


def browser_or_skip() -> None:
    """Skips the test where there is no browser, or nothing to drive it with."""
    try:
        chromium()
        node_with_packages(FOLDER)
    except (BrowserMissing, NodeMissing) as missing:
        pytest.skip(f"no browser: {missing}")


async def scenario(
    name: str, answers: Mapping[str, Answer] | None = None, deadline_s: float = DEADLINE_S, **job: Any
) -> dict[str, Any]:
    """What the scenario `name` found, which gets `job`. What it asks for on the way is done by `answers`.

    Raises `ScenarioFailed`, and `BrowserMissing` or `NodeMissing` where there is nothing to play it with.
    """
    node = await asyncio.to_thread(node_with_packages, FOLDER)
    command = [str(node), str(FOLDER / f"{name}.mjs"), json.dumps({"chromium": chromium(), **job})]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=_LINE_MAX_BYTES
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    complaints = asyncio.create_task(process.stderr.read())
    found: dict[str, Any] | None = None
    try:
        async with asyncio.timeout(deadline_s):
            async for line in process.stdout:
                said = json.loads(line)
                if "failed" in said:
                    raise ScenarioFailed(f"{said['failed']}\nwrong in the page: {said['wrongs']}")
                if "ask" in said:
                    answer = await (answers or {})[said["ask"]](said)
                    process.stdin.write(json.dumps(answer).encode() + b"\n")
                else:
                    found = said["found"]
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        said_wrong = (await complaints).decode(errors="replace")
    if found is None:
        raise ScenarioFailed(f"{name} ended with {process.returncode} and found nothing: {said_wrong[-2000:]}")
    return found
