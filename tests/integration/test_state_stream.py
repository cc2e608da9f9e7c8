"""What is said of a watched run, by real workers: whoever draws from it alone has, at the end, what is stored."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from shared.contracts import Channel
from shared.controls import Control
from shared.instants import read_instant_ms
from shared.settings import Settings
from shared.wire import validate
from tests.drawing import Drawing, as_told
from tests.fleet import Fleet, fleet_on, request
from tests.integration.test_live_run import LEASE, Steered

BARS = 3_000


@pytest.fixture
async def fleet(
    any_mongodb_uri: str,
    any_redis_url: str,
    mongodb_database: str,
    make_settings: Callable[..., Settings],
    tmp_path: Path,
) -> AsyncIterator[Fleet]:
    """One pair of backends: they only pass on what is said."""
    async with fleet_on(make_settings(**LEASE), tmp_path, BARS) as opened:
        yield opened


def drawing(fleet: Fleet, backtest_id: str, since: int = 0) -> Drawing:
    """Of a client that joined when so much had been said of the backtest."""
    drawn = Drawing()
    for one in fleet.said_of(backtest_id)[since:]:
        if one["channel"] == Channel.EVENT:
            drawn.hear(one)
    return drawn


async def assert_stored(fleet: Fleet, result_id: str, drawn: Drawing, *, whole: bool) -> None:
    result = await fleet.results.read(result_id, "ann")
    points = json.loads(await fleet.results.read_equity(result, 20_000))["points"]
    stored = {read_instant_ms("time", one["time"]): one["equity"] for one in points}
    trades = json.loads(await fleet.results.read_trades(result, limit=5_000, offset=0))["items"]
    assert len(trades) > 100
    assert drawn.trades == as_told(trades)
    assert (drawn.curve == stored) == whole
    assert drawn.curve.items() <= stored.items()
    assert max(drawn.curve) == max(stored)


async def watch(fleet: Fleet, backtest_id: str) -> int:
    """As a gateway says that somebody subscribes, and how much had been said by then."""
    said = len(fleet.said_of(backtest_id))
    await fleet.bus.mark_watched([backtest_id], "gateway")
    control = validate(Control, {"backtestId": backtest_id, "userId": "ann", "action": "watch"})
    await fleet.bus.say([(Channel.CONTROL, control.as_json())])
    await fleet.heard(
        lambda one: one in fleet.said_of(backtest_id)[said:] and bool(one.get("data", {}).get("snapshot"))
    )
    return said


async def test_a_run_at_full_speed_is_drawn_from_what_it_says(fleet: Fleet) -> None:
    record, _ = await fleet.store.insert(user_id="ann", params=request(), priority=0, idempotency_key=None)
    await fleet.bus.mark_watched([record["_id"]], "gateway")
    fleet.start_worker()
    end = await fleet.end_of(record["_id"], deadline_s=90)
    drawn = drawing(fleet, record["_id"])
    assert (drawn.bars[0], drawn.bars[-1], drawn.status) == (0, BARS, "completed")
    await assert_stored(fleet, end["resultId"], drawn, whole=False)


async def test_a_drawing_survives_pause_pace_seek_back_a_late_client_and_a_change_of_worker(fleet: Fleet) -> None:
    run = await Steered.begin(fleet)
    assert not [one for one in fleet.said_of(run.id) if one.get("type") == "trade"], "nobody watches"
    first = await watch(fleet, run.id)
    await run.ask("speed", speed=2_000)
    await run.ask("resume")
    await fleet.heard(lambda one: one["backtestId"] == run.id and one.get("processedBars", 0) > 1_000)
    await run.ask("pause")
    await run.heeded()
    await run.ask("seek", bar=400)
    await run.reaches(400)
    await run.ask("step", bars=5)
    await run.reaches(405)
    candles = [one["data"] for one in fleet.said_of(run.id) if one.get("type") == "candle"][-5:]
    assert candles[-1]["bar"] == 404
    assert list(candles[-1]["indicators"]) == ["sma 5", "sma 20"]
    assert candles[-1]["indicators"]["sma 5"] == pytest.approx(sum(one["close"] for one in candles) / 5)
    late = await watch(fleet, run.id)
    await run.ask("resume", ring=False)  # Whoever takes it up is to hear of it.
    fleet.workers[0].terminate()
    assert await fleet.workers[0].ended(30) == 0
    fleet.start_worker(worker_slots=1, chunk_bars=20, progress_interval_s=0.0)
    end = await fleet.end_of(run.id, deadline_s=90)
    stored = await fleet.store.get(run.id, "ann")
    assert stored["epoch"] == 2
    for joined in (first, late):
        drawn = drawing(fleet, run.id, joined)
        await assert_stored(fleet, end["resultId"], drawn, whole=True)
    drawn = drawing(fleet, run.id, first)
    assert drawn.bars != sorted(drawn.bars), "it was taken back"
