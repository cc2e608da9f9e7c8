"""The market data that all share: what is missing in it, and series that are removed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest

from api.routes.data_answers import SeriesGaps
from shared.bars import Bars
from shared.candles import take_bars
from shared.database import Database
from shared.instants import iso_from_ms
from shared.result_warnings import of_gaps
from shared.settings import Settings
from tests.fleet import HOUR_MS, START_MS, SYMBOL, random_walk
from tests.gateway import BACKTESTS, BARS, BODY, Site, fields_of, problem_of, site_on

DATA = "/api/algo/data"
ALWAYS = (0, 4_000_000_000_000)


@pytest.fixture
async def site(any_mongodb_uri: str, any_redis_url: str, make_settings: Callable[..., Settings]) -> AsyncIterator[Site]:
    async with site_on(make_settings()) as one:
        yield one


def without(bars: Bars, *hours: slice) -> Bars:
    kept = np.ones(bars.total, np.bool_)
    for one in hours:
        kept[one] = False
    return take_bars(bars, kept)


def at(hour: int) -> str:
    return iso_from_ms(START_MS + hour * HOUR_MS)


async def gaps(site: Site, path: str, **query: Any) -> dict[str, Any]:
    answer = await (await site.client()).get(f"{DATA}/{path}/gaps", params=query)
    assert answer.status_code == 200, answer.text
    SeriesGaps.model_validate(answer.json())
    return answer.json()


async def test_what_is_missing_is_told_by_time_and_of_much_the_largest(site: Site) -> None:
    bars = without(random_walk(400), slice(10, 12), slice(50, 51), slice(100, 105))
    await site.database.candles.import_bars("A/B", "1h", bars, "test")
    told = await gaps(site, "A%2FB/1h")
    assert told == {
        "symbol": "A/B",
        "interval": "1h",
        "resampledFrom": None,
        "bars": 392,
        "start": at(0),
        "end": at(400),
        "expectedBars": 400,
        "gaps": [
            {"from": at(10), "to": at(12), "bars": 2},
            {"from": at(50), "to": at(51), "bars": 1},
            {"from": at(100), "to": at(105), "bars": 5},
        ],
        "total": 3,
    }
    largest = await gaps(site, "A/B/1h", limit=2)
    assert (largest["gaps"], largest["total"]) == ([told["gaps"][0], told["gaps"][2]], 3)
    coarser = await gaps(site, "A/B/4h")
    assert (coarser["interval"], coarser["resampledFrom"], coarser["gaps"]) == ("4h", "1h", told["gaps"])
    assert (await gaps(site, f"{SYMBOL}/1h"))["gaps"] == []


async def test_they_are_those_that_a_run_warns_of(site: Site) -> None:
    """Of a market that opens on weekdays: a day that lacks may be a holiday, some hours of one may not."""
    bars = random_walk(24 * 7 * 12)
    hours = (bars.time_ms // HOUR_MS) % 24
    weekday = (bars.time_ms // (24 * HOUR_MS) + 3) % 7
    opened = take_bars(bars, (weekday < 5) & (hours >= 9) & (hours < 17))
    week = 40  # bars of one
    holed = without(opened, slice(2 * week, 2 * week + 8), slice(5 * week + 3, 5 * week + 6))
    await site.database.candles.import_bars("SHARE", "1h", holed, "test")
    told = await gaps(site, "SHARE/1h")
    [warning] = of_gaps(await site.database.candles.resolve("SHARE", "1h", *ALWAYS))
    [gap] = told["gaps"]
    assert (gap["bars"], told["expectedBars"] - told["bars"]) == (3, 3)
    assert f"3 bars of 1h are missing in a gap of SHARE, from {gap['from']} to {gap['to']}" in warning["message"]


@pytest.mark.parametrize(
    ("path", "query", "status", "field"),
    [
        ("WALKS/1h", {}, 404, "symbol"),
        ("WALK/30m", {}, 404, "interval"),
        ("WALK/1h", {"limit": "0"}, 422, "limit"),
        ("WALK/1h", {"limit": "10001"}, 422, "limit"),
    ],
)
async def test_gaps_of_what_is_not_there_are_refused(
    site: Site, path: str, query: dict[str, str], status: int, field: str
) -> None:
    answer = await (await site.client()).get(f"{DATA}/{path}/gaps", params=query)
    assert fields_of(problem_of(answer, status)) == {field}


async def test_a_series_that_is_removed_is_found_by_nobody(
    backends: Any, make_settings: Callable[..., Settings]
) -> None:
    async with site_on(make_settings()) as site:
        client = await site.client()
        candles = site.database.candles
        await candles.import_bars("A/B", "1h", random_walk(100), "test")
        assert (await client.get(f"{DATA}/A%2FB/1h/candles")).status_code == 200
        assert (await client.delete(f"{DATA}/A%2FB/1h")).status_code == 204
        assert fields_of(problem_of(await client.get(f"{DATA}/A%2FB/1h/candles"), 404)) == {"symbol"}
        problem_of(await client.delete(f"{DATA}/A%2FB/1h"), 404)
        listed = (await client.get(DATA)).json()["items"]
        assert [one["symbol"] for one in listed] == [SYMBOL]
        refused = await client.post(BACKTESTS, json=BODY | {"symbol": "A/B"})
        assert fields_of(problem_of(refused, 422)) == {"symbol"}
        # Another one of its name begins anew; nothing of the old one comes back.
        await candles.import_bars("A/B", "1h", take_bars(random_walk(100, seed=3), slice(0, 50)), "test")
        again = (await client.get(f"{DATA}/A%2FB/1h/candles")).json()
        assert (again["bars"], again["close"]) == (50, random_walk(100, seed=3).close[:50].tolist())


async def _collected(database: Database) -> int:
    """How many chunks are left once what nobody needs is old."""
    for name in ("bar_chunks", "bar_datasets"):
        await database.mongo.collection(name).update_many({}, {"$set": {"wantedAt": 0}})
    return (await database.candles.collect_garbage(database.store.pinned_among, 0)).kept_chunks


async def test_its_bars_go_with_the_garbage_but_for_those_of_results(site: Site) -> None:
    client = await site.client()
    candles = site.database.candles
    await candles.import_bars("OTHER", "1h", random_walk(100, seed=5), "test")
    backtest_id = (await client.post(BACKTESTS, json=BODY)).json()["backtestId"]
    await site.finish(await site.claim())
    pinned = (await site.store.get(backtest_id, "ann"))["manifestId"]
    for symbol in (SYMBOL, "OTHER"):
        assert (await client.delete(f"{DATA}/{symbol}/1h")).status_code == 204
    fresh = await candles.collect_garbage(site.store.pinned_among, 0)
    assert (fresh.versions, fresh.chunks) == (0, 0)  # somebody may be about to pin them
    assert await _collected(site.database) == 1
    assert (await candles.reopen(pinned, "1h", *ALWAYS)).total_bars == BARS
    assert (await client.delete(f"{BACKTESTS}/{backtest_id}")).status_code == 204
    assert await _collected(site.database) == 0


async def test_what_backtests_are_to_read_stays(site: Site) -> None:
    client = await site.client()
    candles, records = site.database.candles, site.database.mongo.collection("backtests")
    await candles.import_bars(SYMBOL, "1d", take_bars(random_walk(24 * 300), slice(0, None, 24)), "test")
    asked = [{"interval": "4h"}, *({"startPaused": one > 2} for one in range(6))]  # 4h is made of 1h
    submitted = [(await client.post(BACKTESTS, json=BODY | one)).json()["backtestId"] for one in asked]
    problem = problem_of(await client.delete(f"{DATA}/{SYMBOL}/1h"), 409)
    named = [one for one in submitted if one in problem["detail"]]
    assert (len(named), "and others" in problem["detail"], problem["errors"][0]["code"]) == (5, True, "in_use")
    for backtest_id in submitted[1:]:
        await client.delete(f"{BACKTESTS}/{backtest_id}")
    assert submitted[0] in problem_of(await client.delete(f"{DATA}/{SYMBOL}/1h"), 409)["detail"]
    assert (await client.delete(f"{DATA}/{SYMBOL}/1d")).status_code == 204  # which it does not read
    running = await site.claim()
    problem_of(await client.delete(f"{DATA}/{SYMBOL}/1h"), 409)
    await records.update_one({"_id": running["_id"]}, {"$set": {"manifestId": ""}})  # as a foreign task's is at first
    problem_of(await client.delete(f"{DATA}/{SYMBOL}/1h"), 409)
    await site.finish(running)
    assert "remove these" in problem_of(await client.delete(f"{DATA}/{SYMBOL}/4h"), 404)["detail"]
    assert (await client.delete(f"{DATA}/{SYMBOL}/1h")).status_code == 204


async def test_a_series_that_is_imported_meanwhile_is_not_removed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await site.client()
    candles = site.database.candles
    publisher: Any = type(candles._publisher)
    want_on = publisher._want_on

    async def import_first(self: Any, manifest_id: str) -> None:
        monkeypatch.setattr(publisher, "_want_on", want_on)
        await candles.import_bars(SYMBOL, "1h", take_bars(random_walk(BARS + 10), slice(BARS, None)), "more")
        await want_on(self, manifest_id)

    monkeypatch.setattr(publisher, "_want_on", import_first)
    assert "meanwhile" in problem_of(await client.delete(f"{DATA}/{SYMBOL}/1h"), 409)["detail"]
    assert (await client.get(f"{DATA}/{SYMBOL}/1h/candles")).json()["bars"] == BARS + 10
