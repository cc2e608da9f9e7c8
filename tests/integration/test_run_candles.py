"""A backtest's bars and indicators, as charts ask for them: those that its run shows, and no others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from threading import Event
from typing import Any

import httpx
import numpy as np
import pytest

from api import charts
from api.routes.data_answers import RunCandles
from shared.bars import Bars
from shared.candles import open_bars, take_bars
from shared.live_data import candles_told
from shared.request import BacktestParams
from shared.settings import Settings
from shared.strategies import Strategy, resolve
from shared.strategies.parameters import Parameters
from shared.strategies.signals import silent
from shared.strategies.warmup import warmup_bars
from shared.wire import validate
from tests.engine.deciders import in_the_catalogue
from tests.fleet import SYMBOL, random_walk
from tests.gateway import BACKTESTS, BARS, BODY, Site, problem_of, site_on
from worker.engine_loop import Run
from worker.pipe import Moved, Wanted

computed = list[int]()  # of how many bars, each time


def looking(name: str, indicators: Callable[[Bars, Any], Any], **more: Any) -> Strategy:
    return Strategy(name, name, "Looks.", Parameters, lambda bars, _: silent(bars.total), indicators=indicators, **more)


def counted(bars: Bars, _: Parameters) -> Any:
    computed.append(bars.total)
    return {"sma 5": bars.close, "since": np.cumsum(bars.volume)}


def raising(_bars: Bars, _: Parameters) -> Any:
    raise ZeroDivisionError("of nothing")


# One gives another's name to other values, one fails, one has more than are shown.
COUNTED = looking("counted", counted, warmup=lambda _: 7)
RAISES = looking("raises", raising)
MANY = looking("many", lambda bars, _: {f"line {at}": bars.close * at for at in range(20)})
RULE = {"rule": {"long": "crosses_above(ema(close, 5), sma(close, 9)) and rsi(close, 7) < 60"}}
TRADER = {"ai_trader": {"model": "m", "indicators": ["ema 20", "bbands 20 2"]}}


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    """Before there is a gateway in this process, which would have to answer meanwhile."""
    for asked in ASKED.values():
        if not {"counted", "raises", "many"} & set(asked["strategies"]):
            run = Run(validate(BacktestParams, BODY | {"strategyParams": {}} | asked), random_walk(100))
            run.advance(50, Wanted(news=True, candles=True))


@pytest.fixture(autouse=True)
def _known() -> Iterator[None]:
    computed.clear()
    with in_the_catalogue(COUNTED, RAISES, MANY):
        yield


@pytest.fixture
async def site(any_mongodb_uri: str, any_redis_url: str, make_settings: Callable[..., Settings]) -> AsyncIterator[Site]:
    async with site_on(make_settings()) as one:
        yield one


async def submit(client: httpx.AsyncClient, **changes: Any) -> str:
    answer = await client.post(BACKTESTS, json=BODY | {"startDate": "2024-01-03", "strategyParams": {}} | changes)
    assert answer.status_code == 202, answer.text
    return answer.json()["backtestId"]


async def candles(client: httpx.AsyncClient, backtest_id: str, **query: Any) -> dict[str, Any]:
    answer = await client.get(f"{BACKTESTS}/{backtest_id}/candles", params=query)
    assert answer.status_code == 200, answer.text
    RunCandles.model_validate(answer.json())
    return answer.json()


async def shown_by_its_run(site: Site, backtest_id: str) -> list[dict[str, Any]]:
    """The data of the candle events of all its bars."""
    record = await site.store.get(backtest_id, "ann")
    params = validate(BacktestParams, record["params"])
    before = warmup_bars(params, resolve(params.strategies, params.strategy_params))
    found = await site.database.candles.reopen(
        record["manifestId"], params.interval, params.start_ms, params.end_ms, warmup_bars=before
    )
    assert found.dataset_hash == record["datasetHash"]
    bars = open_bars(await site.database.candles.fetch(found))

    def run() -> list[dict[str, Any]]:
        run = Run(params, bars, found.warmup_bars)
        events: list[dict[str, Any]] = []
        for bar in range(150, found.total_bars, 150):
            moved = run.advance(bar, Wanted(news=True, candles=True))
            assert isinstance(moved, Moved)
            assert moved.news is not None
            assert moved.news.candles is not None
            events += [data for _, data in candles_told(moved.news.candles, moved.bar, moved.news.indicators)]
        return events

    return await asyncio.to_thread(run)


ASKED: dict[str, dict[str, Any]] = {
    "built-in": {"strategies": ["sma_crossover", "macd", "rsi"]},
    "rule": {"strategies": ["rule"], "strategyParams": RULE},
    "clashing": {"strategies": ["sma", "counted"], "strategyParams": {"sma": {"fast": 5, "slow": 20}}},
    "failing": {"strategies": ["raises", "sma"]},
    "many": {"strategies": ["many", "bollinger"]},
    "coarser": {"strategies": ["supertrend"], "interval": "2h"},
    "without warm-up": {"strategies": ["ema_crossover", "mean_reversion"], "warmupBars": 0},
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
async def test_indicators_are_those_of_the_candle_events(site: Site, asked: dict[str, Any]) -> None:
    client = await site.client()
    backtest_id = await submit(client, **asked)
    told = await candles(client, backtest_id, maxPoints=5_000)
    events = await shown_by_its_run(site, backtest_id)
    assert len(events) >= 150
    assert len(told["time"]) == told["bars"]
    for at, event in enumerate(events):
        assert (event["bar"], event["time"], event["close"]) == (at, told["time"][at], told["close"][at])
        assert event["indicators"] == {name: column[at] for name, column in told["indicators"].items()}
    assert any(told["indicators"].values())
    said = [one["message"] for one in told["warnings"]]
    if "raises" in asked["strategies"]:
        assert said == ["strategy raises gave no indicators: ZeroDivisionError: of nothing; none of it are shown"]
    elif "many" in asked["strategies"]:
        assert said[0].startswith("16 indicators of 23 are shown, and not: line 16,")
    else:
        assert said == []


async def test_a_trader_that_is_a_model_shows_what_it_is_told(site: Site) -> None:
    """Of which the run's own candle events can only be had by asking a model."""
    client = await site.client()
    backtest_id = await submit(client, strategies=["sma"], strategyParams={"sma": {"fast": 5, "slow": 20}})
    trader = validate(BacktestParams, BODY | {"strategies": ["ai_trader"], "strategyParams": TRADER}).as_wire()
    await site.database.mongo.collection("backtests").update_one({"_id": backtest_id}, {"$set": {"params": trader}})
    problem_of(await client.get(f"{BACKTESTS}/{backtest_id}/candles"), 409)  # it looks back another way
    pinned = {"manifestId": "", "datasetHash": ""}
    await site.database.mongo.collection("backtests").update_one({"_id": backtest_id}, {"$set": pinned})
    told = await candles(client, backtest_id)
    names = ["ema 20", "bbands 20 2 upper", "bbands 20 2 middle", "bbands 20 2 lower"]
    assert (list(told["indicators"]), told["warnings"]) == (names, [])


async def test_indicators_that_a_strategy_decides_by_fail_alone(site: Site) -> None:
    """Its run fails of it; whoever looks at the bars sees them all the same."""
    decides = Strategy("decides", "Decides", "Looks.", Parameters, decide=lambda _: None, indicators=raising)
    client = await site.client()
    with in_the_catalogue(decides):
        told = await candles(client, await submit(client, strategies=["decides", "sma"]))
    assert list(told["indicators"]) == ["sma 10", "sma 30"]
    assert "strategy decides gave no indicators: ZeroDivisionError" in told["warnings"][0]["message"]


async def test_longer_bars_have_the_last_value_of_each_and_a_range_its_part(site: Site) -> None:
    client = await site.client()
    backtest_id = await submit(client, strategies=["counted", "sma_crossover"])
    whole = await candles(client, backtest_id, maxPoints=5_000)
    few = await candles(client, backtest_id, maxPoints=50)
    assert (few["resampled"], whole["resampled"], len(few["time"]) <= 50) == (True, False, True)
    starts = [*few["time"][1:], "3000"]
    last = [max(at for at, time in enumerate(whole["time"]) if time < start) for start in starts]
    for name, column in few["indicators"].items():
        assert column == [whole["indicators"][name][at] for at in last], name
    assert few["close"] == [whole["close"][at] for at in last]
    part = await candles(client, backtest_id, **{"from": "2024-01-05", "to": "2024-01-06"})
    first = whole["time"].index("2024-01-05T00:00:00Z")
    for name, column in part["indicators"].items():
        assert column == whole["indicators"][name][first : first + 24]
    none = await candles(client, backtest_id, indicators=False, maxPoints=50)
    assert (none["indicators"], none["warnings"], none["close"]) == ({}, [], few["close"])
    assert computed == [BARS - 48 + 7]  # once, with the bars before that it looks back at


async def test_bars_are_the_runs_whatever_is_imported_and_removed_since(site: Site) -> None:
    client = await site.client()
    backtest_id = await submit(client, endDate="2024-02-01")
    path = f"{BACKTESTS}/{backtest_id}/candles"
    first = await client.get(path)
    tag = first.headers["etag"]
    longer = random_walk(BARS + 500)
    late = take_bars(longer, slice(BARS, None))
    await site.database.candles.import_bars(SYMBOL, "1h", late, "more")
    again = await client.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert (await client.get(path)).json() == first.json()
    assert (await client.get(path, params={"indicators": "false"})).headers["etag"] != tag
    running = await site.claim()
    assert (await client.get(path)).json() == first.json()
    await site.finish(running)  # whose result is of other bars
    [error] = problem_of(await client.get(path), 409)["errors"]
    assert (error["field"], error["code"]) == ("datasetHash", "data_changed")
    assert "run it again" in error["message"]


async def test_a_version_that_is_no_longer_kept_is_told_and_so_is_data_that_was_never_there(site: Site) -> None:
    client = await site.client()
    backtest_id = await submit(client)
    records = site.database.mongo.collection("backtests")
    await records.update_one({"_id": backtest_id}, {"$set": {"manifestId": "gone"}})
    path = f"{BACKTESTS}/{backtest_id}/candles"
    assert "no longer kept" in problem_of(await client.get(path), 409)["detail"]
    unsettled = {"manifestId": "", "datasetHash": "", "params.symbol": "NONE"}
    await records.update_one({"_id": backtest_id}, {"$set": unsettled})
    assert "no market data of NONE" in problem_of(await client.get(path), 409)["detail"]
    await records.update_one({"_id": backtest_id}, {"$set": {"params.symbol": SYMBOL}})
    assert (await candles(client, backtest_id))["symbol"] == SYMBOL


@pytest.mark.parametrize(
    ("query", "field", "says"),
    [
        ({"from": "2024-01-20"}, "from", "is after the last bar; the backtest has bars from 2024-01-03T00:00:00Z to"),
        ({"to": "2024-01-03"}, "to", "is not after the first bar"),
        ({"from": "2024-01-05", "to": "2024-01-04"}, "from", "must be before to"),
        ({"maxPoints": "1"}, "maxPoints", "2"),
        ({"indicators": "maybe"}, "indicators", "true or false"),
    ],
)
async def test_ranges_beyond_its_bars_are_refused(site: Site, query: dict[str, str], field: str, says: str) -> None:
    client = await site.client()
    backtest_id = await submit(client, endDate="2024-01-10")
    [error] = problem_of(await client.get(f"{BACKTESTS}/{backtest_id}/candles", params=query), 422)["errors"]
    assert error["field"] == field
    assert says in error["message"]


async def test_plug_ins_that_are_not_installed_any_more_cost_the_indicators_alone(site: Site) -> None:
    client = await site.client()
    backtest_id = await submit(client, strategies=["many"])
    with in_the_catalogue():
        told = await candles(client, backtest_id)
    assert (told["bars"], told["indicators"]) == (BARS - 48, {})
    assert "there is no strategy" in told["warnings"][0]["message"]


async def test_indicators_that_never_end_are_not_waited_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = Event()
    slow = looking("slow", lambda bars, _: {"one": bars.close} if ends.wait(20) else {})
    monkeypatch.setattr(charts, "COMPUTE_WITHIN_S", 0.05)
    client = await site.client()
    with in_the_catalogue(slow, COUNTED):
        first, other = [await submit(client, strategies=[name]) for name in ("slow", "counted")]
        told = await candles(client, first)
        assert (told["bars"], told["indicators"]) == (BARS - 48, {})
        assert "took more than 0.05 s" in told["warnings"][0]["message"]
        busy = await client.get(f"{BACKTESTS}/{other}/candles")
        assert "indicators=false" in problem_of(busy, 503)["detail"]
        assert (await candles(client, other, indicators=False))["bars"] == BARS - 48
        ends.set()
        monkeypatch.setattr(charts, "COMPUTE_WITHIN_S", 20.0)
        async with asyncio.timeout(20):
            while (answer := await client.get(f"{BACKTESTS}/{other}/candles")).status_code == 503:
                pass
        assert "since" in answer.json()["indicators"]


async def test_what_is_kept_and_computed_is_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await site.client()
    monkeypatch.setattr(charts, "VALUES_KEPT_MAX", 3 * BARS + 2_000)
    one, other = [await submit(client, strategies=["counted"], endDate=f"2024-01-1{day}") for day in range(2)]
    for backtest_id in (one, one, other, one):
        await candles(client, backtest_id)
    assert len(computed) == 2  # both fit
    monkeypatch.setattr(charts, "VALUES_KEPT_MAX", BARS + 1_500)
    third = await submit(client, strategies=["counted"], endDate="2024-01-12")
    for backtest_id in (third, third, one):
        await candles(client, backtest_id)
    assert len(computed) == 4  # one of them at a time
    monkeypatch.setattr(charts, "INDICATOR_BARS_MAX", 100)
    told = await candles(client, one)
    assert (told["indicators"], told["warnings"][0]["code"]) == ({}, "indicators_missing")
    assert told["bars"] > 100
