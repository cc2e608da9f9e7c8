"""A worker's runs begin with the bars before their start, and only what was asked for trades."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api.auth import Identity
from api.awaited import Awaited
from api.commands import Commands
from shared.contracts import Channel
from shared.request import BacktestRequest
from shared.settings import Settings
from shared.steering import Steering
from shared.wire import validate
from tests.fleet import HOUR_MS, START_MS, Fleet, fleet_on, random_walk, request

BARS, TURN = 9_300, 8_784  # into a second year, which is a second chunk and begins with the turn
TURNS = "2025-01-01"
PARAMS: dict[str, Any] = {
    "symbol": "TURN",
    "startDate": TURNS,
    "strategyParams": {"sma": {"fast": 3, "slow": 60}},
    "stopLoss": None,
}


@pytest.fixture
async def fleet(
    any_mongodb_uri: str,
    any_redis_url: str,
    mongodb_database: str,
    make_settings: Callable[..., Settings],
    tmp_path: Path,
) -> AsyncIterator[Fleet]:
    async with fleet_on(make_settings(), tmp_path, 10) as opened:
        walk = random_walk(BARS)
        close = 1_000.0 - 0.1 * np.minimum(np.arange(BARS), 2 * TURN - np.arange(BARS))
        bars = walk._replace(open=close, high=close, low=close, close=close)
        await opened.candles.import_bars("TURN", "1h", bars, "synthetic")
        yield opened


async def test_what_crosses_soon_after_the_start_is_found_with_bars_before_it(fleet: Fleet) -> None:
    commands = Commands(
        fleet.database,
        fleet.bus,
        fleet.settings,
        steering=Steering(fleet.database, fleet.bus),
        awaited=Awaited(),
        on_submitted=lambda _: None,
    )
    fleet.start_worker(chunk_bars=100)

    async def result_of(backtest_id: str) -> dict[str, Any]:
        end = await fleet.end_of(backtest_id)
        assert end["channel"] == Channel.COMPLETE, end
        return dict(await fleet.results.read(end["resultId"], "ann"))

    async def run(**changes: Any) -> dict[str, Any]:
        """As a gateway takes it in. The record names the bars before a worker reads them."""
        asked = validate(BacktestRequest, request(**PARAMS | changes).as_wire())
        submitted = await commands.submit(Identity("ann"), asked)
        result = await result_of(submitted.backtest_id)
        assert submitted.record["datasetHash"] == result["datasetHash"]
        return result

    async def first_entry(result: dict[str, Any]) -> str | None:
        page = json.loads(await fleet.results.read_trades(result, limit=1, offset=0))  # pyright: ignore
        return page["items"][0]["entryTime"] if page["items"] else None

    warm, cold, less, beginning = [
        await run(**changes)
        for changes in ({}, {"warmupBars": 0}, {"warmupBars": 7}, {"startDate": "2024-01-01", "endDate": TURNS})
    ]
    assert [one["warmupBars"] for one in (warm, cold, less, beginning)] == [60, 0, 7, 0]
    assert {one["totalBars"] for one in (warm, cold, less)} == {BARS - TURN}
    assert {one["effectiveStart"] for one in (warm, cold, less)} == {"2025-01-01T00:00:00Z"}
    assert len({one[name] for one in (warm, cold, less) for name in ("resultHash", "datasetHash")}) == 6
    assert TURNS < (await first_entry(warm) or "") < "2025-01-02T12"
    assert await first_entry(cold) is await first_entry(less) is None
    assert [one["config"].get("warmupBars") for one in (warm, cold, less)] == [None, 0, 7]

    foreign = {"backtestId": "bt_foreign", "userId": "ann", "params": {**cold["config"], "warmupBars": 50}}
    await fleet.bus.say([(Channel.TASK, json.dumps(foreign))])
    assert (await result_of("bt_foreign"))["warmupBars"] == 50

    for progress in (one for one in fleet.said_of(warm["backtestId"]) if one["channel"] == Channel.PROGRESS):
        assert progress["totalBars"] == BARS - TURN
        assert progress["currentDate"] >= TURNS

    again = await run(startDate="2024-12-31")
    earlier = random_walk(24)._replace(time_ms=START_MS + HOUR_MS * np.arange(-24, 0))
    await fleet.candles.import_bars("TURN", "1h", earlier, "before")
    assert {one["resultHash"] for one in (await run(startDate="2024-12-31"), again)} == {again["resultHash"]}
    assert (await run(startDate="2024-01-01", endDate=TURNS))["warmupBars"] == 24
