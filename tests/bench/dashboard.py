"""The dashboard in a real browser: what a first visit fetches, when it is drawn, how smooth a watched run is."""

from __future__ import annotations

import asyncio
import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
import numpy as np

from deploy.node import NodeMissing, node_with_packages
from deploy.stack import Stack
from shared.database import Database
from shared.settings import load_settings
from tests.bench.rows import Row, measured
from tests.browser import chromium, scenario
from tests.fleet import random_walk

LIGHTHOUSE = Path(__file__).parent / "lighthouse"
SYMBOL = "BENCH-1M"
MINUTE_MS = 60_000
START_MS = 1_577_836_800_000  # 2020-01-01T00:00Z
BARS = 1_000_000
FLAT_BARS = 2_000_000
VISITS = 5
BARS_PER_S = 1_000
PART_MS = 20_000
# Of the bars that such a run should have done.
EXPECTED_LEAST = 0.8
WATCHED_PARTS = 3
# Half an hour, as the aim has it: `flat` runs only by its name.
FLAT_PARTS = 90
DEADLINE_S = 3_000.0
BACKTESTS = "/api/algo/backtest"
ENDS = ("completed", "failed", "stopped")
REQUEST: dict[str, Any] = {
    "symbol": SYMBOL,
    "interval": "1m",
    "startDate": "2020-01-01",
    "endDate": "2026-01-01",
    "strategies": ["sma"],
    "strategyParams": {"sma": {"fast": 30, "slow": 120}},
    "commission": {"rate": 0.0001},
}


async def load_bars(stack: Stack, count: int) -> None:
    database = await Database.open(stack.settings)
    try:
        bars = random_walk(count)._replace(time_ms=START_MS + MINUTE_MS * np.arange(count))
        await database.candles.import_bars(SYMBOL, "1m", bars, "synthetic")
    finally:
        await database.close()


class Visit:
    """A stack's first gateway, as the browser and a client of ours see it."""

    def __init__(self, stack: Stack) -> None:
        self.url, self.token = stack.api_urls[0], stack.token("bench")
        self.job: dict[str, Any] = {"url": self.url, "token": self.token}
        self.http = httpx.AsyncClient(base_url=self.url, headers={"Authorization": f"Bearer {self.token}"}, timeout=60)

    async def submit(self, **changes: Any) -> str:
        answer = await self.http.post(BACKTESTS, json=REQUEST | changes)
        answer.raise_for_status()
        return answer.json()["backtestId"]

    async def end_of(self, backtest_id: str) -> str:
        async with asyncio.timeout(DEADLINE_S):
            while (status := (await self.http.get(f"{BACKTESTS}/{backtest_id}")).json()["status"]) not in ENDS:  # noqa: ASYNC110 - elsewhere
                await asyncio.sleep(0.2)
        return status

    async def command(self, backtest_id: str, action: str, **body: Any) -> None:
        (await self.http.post(f"{BACKTESTS}/{backtest_id}/{action}", json=body)).raise_for_status()


async def _first_visits(visit: Visit) -> list[Row]:
    """Signing in, and the list that one lands on."""
    routes = [["sign_in", "#/", False], ["backtests", "#/backtests", True]]
    found = (await scenario("drawn", deadline_s=DEADLINE_S, routes=routes, visits=VISITS, **visit.job))["found"]
    on = f"{VISITS} visits with an empty cache"
    rows: list[Row] = []
    for name, visits in found.items():
        kilobytes = max(one["bytes"] for one in visits) / 1e3
        rows.append(measured(f"dashboard.{name}.fetched", ours=kilobytes, unit="kB", aim=250, better="lower", on=on))
        drawn = median(one["drawnMs"] for one in visits)
        rows.append(measured(f"dashboard.{name}.drawn", ours=drawn, unit="ms", aim=1_000, better="lower", on=on))
    return rows


async def _million(visit: Visit, backtest_id: str) -> list[Row]:
    found = (await scenario("million", deadline_s=DEADLINE_S, visits=VISITS, backtestId=backtest_id, **visit.job))[
        "found"
    ]
    on = f"{BARS:,} bars, {VISITS} visits with an empty cache"
    return [
        measured(f"dashboard.million.{name}", ours=median(took), unit="ms", aim=1_500, better="lower", on=on)
        for name, took in found.items()
    ]


async def _watched(visit: Visit, name: str, parts: int, bars: int) -> list[Row]:
    """A run at 1,000 bars a second, told by what is told while it runs."""
    backtest_id = await visit.submit(startPaused=True, speed=BARS_PER_S)

    async def begin(_: dict[str, Any]) -> None:
        await visit.command(backtest_id, "resume")

    async def shown(_: dict[str, Any]) -> Any:
        return (await visit.http.get(f"{BACKTESTS}/{backtest_id}")).json()["progress"]

    job = {"backtestId": backtest_id, "parts": parts, "partMs": PART_MS, **visit.job}
    found = await scenario("frames", {"begin": begin, "shown": shown}, DEADLINE_S, **job)
    await visit.command(backtest_id, "stop")
    assert found["wrongs"] == [], found["wrongs"]
    seconds = parts * PART_MS // 1000
    on = f"{BARS_PER_S:,} bars/s for {seconds} s, {len(found['frames']):,} frames"
    cuts = quantiles(found["frames"], n=100)
    assert found["shown"] > EXPECTED_LEAST * 100 * BARS_PER_S * seconds / bars, "it ran at another pace"
    # What is bounded has filled after a sixth of the time.
    first, last = found["heaps"][len(found["heaps"]) // 6], found["heaps"][-1]
    rows = [
        measured(f"dashboard.{name}.frame_p50", ours=cuts[49], unit="ms", better="lower", on=on),
        measured(f"dashboard.{name}.frame_p99", ours=cuts[98], unit="ms", aim=50, better="lower", on=on),
        measured(f"dashboard.{name}.heap", ours=last / 1e6, unit="MB", better="lower", on=on),
    ]
    if parts == FLAT_PARTS:
        growth = last / first
        rows.append(
            measured(f"dashboard.{name}.heap_growth", ours=growth, unit="times", aim=1.1, better="lower", on=on)
        )
    return rows


def _lighthouse(visit: Visit) -> list[Row]:
    try:
        node = node_with_packages(LIGHTHOUSE, timeout_s=300)
    except NodeMissing as missing:
        print(f"Lighthouse is left out: {missing}")
        return []
    job = json.dumps(visit.job | {"chromium": chromium()})
    done = subprocess.run([str(node), "audit.mjs", job], cwd=LIGHTHOUSE, capture_output=True, timeout=300, check=True)
    found = json.loads(done.stdout)["found"]
    print(f"Lighthouse names: {found['failed']}")
    on = "Lighthouse 13 as for a desktop, the list of backtests"
    return [
        measured(f"dashboard.lighthouse.{name}", ours=score, unit="of 100", aim=95, better="higher", on=on)
        for name, score in found["scores"].items()
    ]


async def _measure(stack: Stack) -> list[Row]:
    await load_bars(stack, BARS)
    visit = Visit(stack)
    finished = await visit.submit()
    assert await visit.end_of(finished) == "completed"
    rows = await _first_visits(visit) + await _million(visit, finished)
    rows += await asyncio.to_thread(_lighthouse, visit)
    return rows + await _watched(visit, "live", WATCHED_PARTS, BARS)


async def _measure_flat(stack: Stack) -> list[Row]:
    await load_bars(stack, FLAT_BARS)
    return await _watched(Visit(stack), "half_an_hour", FLAT_PARTS, FLAT_BARS)


def _on_stack(measuring: Callable[[Stack], Any]) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="backfleet-bench-") as name:
        directory = Path(name)
        settings = load_settings(cache_dir=directory / "cache", log_level="WARNING")
        with Stack(settings, api_replicas=1, workers=1, directory=directory) as stack:
            return asyncio.run(measuring(stack))


def measure() -> list[Row]:
    """Raises `ScenarioFailed`."""
    return _on_stack(_measure)


def measure_flat() -> list[Row]:
    """Half an hour of one watched run."""
    return _on_stack(_measure_flat)
