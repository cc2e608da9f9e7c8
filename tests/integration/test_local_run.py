"""`backfleet run` gives what the fleet gives: the same figures and the same hashes for the same files and request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from api.market_data.importing import import_files
from shared.candles import take_bars
from shared.settings import Settings, environment_for_child
from tests import forks
from tests.fleet import fleet_on, random_walk, request, write_bars

BARS = 9_500  # hourly from 2024-01-01 on: into a second year, which is a second chunk
FEATURES: dict[str, Any] = {
    "symbol": "ETHUSDT",
    "startDate": "2024-02-05",
    "endDate": "2025-01-20T12:00:00Z",
    "strategies": ["sma", "rsi"],
    "strategyParams": {"sma": {"fast": 5, "slow": 20}, "rsi": {"period": 7}},
    "combine": "majority",
    "sizing": {"mode": "risk_fraction", "value": 0.02},
    "stopLoss": {"atr": 2},
    "trailingStop": {"percent": 4},
    "maxOpenTrades": 3,
    "leverage": 2,
    "spreadBps": 3,
}


@pytest.mark.parametrize(("interval", "made_of"), [("1h", None), ("4h", "1h")])
async def test_the_same_files_give_the_same_result_with_and_without_the_fleet(
    any_mongodb_uri: str,
    any_redis_url: str,
    make_settings: Callable[..., Settings],
    tmp_path: Path,
    interval: str,
    made_of: str | None,
) -> None:
    bars = random_walk(BARS, seed=3)
    files = [
        write_bars(tmp_path / "ETHUSDT-1h-a.csv", take_bars(bars, slice(0, 6_000))),
        write_bars(tmp_path / "ETHUSDT-1h-b.csv", take_bars(bars, slice(5_000, BARS))),
    ]
    params = request(**FEATURES, interval=interval)
    settings = make_settings()
    async with fleet_on(settings, tmp_path, 100) as fleet:
        for file in reversed(files):  # as two versions, of which the second adds to a chunk of the first
            await import_files(fleet.candles, [file])
        fleet.start_worker(chunk_bars=1_000)
        end = await fleet.end_of((await fleet.submit(params))["_id"])
        stored: dict[str, Any] = dict(await fleet.results.read(end["resultId"], "ann"))
    asked = tmp_path / "request.json"
    asked.write_text(json.dumps(params.as_wire()))
    command = ["-m", "deploy.cli", "run", "--request", str(asked), "--json", "--data", *map(str, files)]
    done = await asyncio.to_thread(forks.run, command, env=environment_for_child(settings))
    assert (done.returncode, done.stderr) == (0, "")
    local = json.loads(done.stdout)
    assert local.pop("notes")
    assert local.pop("trades") == stored["metrics"]["totalTrades"] > (50 if made_of is None else 10)
    assert local["resampledFrom"] == made_of
    assert local == {name: stored[name] for name in local}
    assert {"metrics", "summary", "config", "datasetHash", "resultHash", "engineVersion"} <= local.keys()
