"""Fetches from an exchange that somebody asks a gateway for: told line by line, imported whole or not at all."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import httpx
import pytest
from starlette.types import Message

from api.market_data import exchanges, fetches, fetching
from api.market_data.fetches import Begun, list_exchanges
from api.market_data.fetching import LocalClock
from api.routes.data import FetchResponse
from api.routes.data_answers import Exchanges, FetchLine
from shared.settings import Settings
from tests.exchange_server import Binance, Handler, Rows, serving
from tests.fleet import HOUR_MS, START_MS, random_walk
from tests.gateway import Site, fields_of, problem_of, site_on

ccxt = pytest.importorskip("ccxt.async_support", reason="the extra `exchanges` is not installed")
# aiohttp warns of an option that ccxt still sets, on Pythons that need it no more.
pytestmark = pytest.mark.filterwarnings("ignore:enable_cleanup_closed ignored:DeprecationWarning")

BARS = 240
END_MS = START_MS + BARS * HOUR_MS
PATH = "/api/algo/data/fetch"
BODY = {"exchange": "binance", "symbol": "BTC/USDT", "interval": "1h", "startDate": "2024-01-01"}


async def no_wait(_pause_s: float) -> None:
    await asyncio.sleep(0)


@pytest.fixture
def binance(monkeypatch: pytest.MonkeyPatch) -> Iterator[Binance]:
    """It has ten days of BTC/USDT, and a gateway that asks Binance asks this one, and never waits."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(ccxt.Exchange, "timeout_on_exit", 0)
    monkeypatch.setattr(ccxt.Exchange, "throttle", lambda self, cost: asyncio.sleep(0))
    clock = LocalClock(sleep=no_wait)
    monkeypatch.setattr(fetches, "Fetch", partial(fetches.Fetch, clock=clock))
    with serving(Binance(random_walk(BARS), END_MS + HOUR_MS // 2, page_bars=100)) as exchange:
        opened = partial(exchanges.open_exchange, base_url=exchange.url, clock=clock)
        monkeypatch.setattr(fetches, "open_exchange", opened)
        yield exchange


@pytest.fixture
async def site(any_mongodb_uri: str, any_redis_url: str, make_settings: Callable[..., Settings]) -> AsyncIterator[Site]:
    async with site_on(make_settings()) as one:
        yield one


async def fetched(client: httpx.AsyncClient, **changes: Any) -> list[dict[str, Any]]:
    answer = await client.post(PATH, json=BODY | changes)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    for line in lines:
        FetchLine.model_validate(line)
    return lines


async def stored_bars(site: Site) -> int:
    return next((one.bars for one in await site.database.candles.list_series() if one.symbol == "BTCUSDT"), 0)


def failing(status: int) -> Callable[[Handler, Rows], bool]:
    def trick(handler: Handler, _rows: Rows) -> bool:
        handler.answer(status, "{}")
        return True

    return trick


async def test_bars_are_fetched_told_and_imported_once(site: Site, binance: Binance) -> None:
    client = await site.client()
    lines = await fetched(client)
    assert lines[0] == {"fetched": 0, "until": "2024-01-01T00:00:00Z"} or lines[0]["fetched"] > 0
    counts = [line["fetched"] for line in lines[:-1]]
    assert counts == sorted(counts)
    imported = lines[-1]["imported"]
    assert (imported["symbol"], imported["bars"], imported["added"], imported["version"]) == ("BTCUSDT", BARS, BARS, 1)
    assert (imported["source"], imported["notes"][0]) == (
        "ccxt binance BTC/USDT",
        "finished candles were told by the clock of binance",
    )
    again = await fetched(client, startDate=None)  # from the last bar on
    assert (again[-1]["imported"]["added"], again[-1]["imported"]["known"]) == (0, 1)
    part = await fetched(client, **{"as": "BTC", "startDate": "2024-01-03", "endDate": "2024-01-04"})
    assert (part[-1]["imported"]["symbol"], part[-1]["imported"]["bars"]) == ("BTC", 24)


@pytest.mark.parametrize(
    ("changes", "status", "field", "says"),
    [
        ({"exchange": "binanec"}, 422, "exchange", "did you mean"),
        ({"symbol": "BTC/USTD"}, 422, "symbol", "it has BTC/USDT"),
        ({"startDate": None}, 422, "startDate", "give startDate 2024-01-01"),
        ({"endDate": "2023-01-01"}, 422, "startDate", "must be before endDate"),
        (
            {"interval": "1m", "startDate": "2015-01-01"},
            422,
            "endDate",
            "1,000,000 are the most at once; end at 2016-11-25",
        ),
        ({"as": "no name"}, 422, "as", "must match"),
        ({"baseUrl": "http://10.0.0.1"}, 422, "baseUrl", "unknown field"),
        ({"interval": "2w"}, 422, "interval", "1w"),
    ],
)
async def test_what_cannot_be_fetched_is_refused_before_it_begins(
    site: Site, binance: Binance, changes: dict[str, Any], status: int, field: str, says: str
) -> None:
    problem = problem_of(await (await site.client()).post(PATH, json=BODY | changes), status)
    assert field in fields_of(problem)
    assert says in problem["detail"]
    assert "--" not in problem["detail"]
    assert not binance.asked
    assert await stored_bars(site) == 0


async def broken(_self: Any) -> None:
    raise ZeroDivisionError("secret")


async def test_what_goes_wrong_on_the_way_is_the_last_line_and_nothing_is_stored(
    site: Site, binance: Binance, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await site.client()
    binance.tricks = [None, *[failing(500)] * 8]
    lines = await fetched(client)
    assert any(line.get("waits") == "it answered 500" for line in lines)
    problem = lines[-1]["problem"]
    assert (problem["status"], problem["code"]) == (503, "exchange_unavailable")
    assert "asked 8 times" in problem["detail"]
    assert "Nothing was stored; ask again later" in problem["detail"]
    binance.tricks = [None, failing(451)]
    refused = (await fetched(client))[-1]["problem"]
    assert (refused["status"], "try another exchange" in refused["detail"]) == (422, True)
    none = (await fetched(client, startDate="2024-01-11", endDate="2024-01-12"))[-1]["problem"]
    assert (none["errors"][0]["field"], none["errors"][0]["code"]) == ("startDate", "no_bars")
    assert await stored_bars(site) == 0
    with monkeypatch.context() as patch:
        patch.setattr(fetching.Fetch, "_store", broken)  # a fault of ours
        surprise = (await fetched(client))[-1]["problem"]
    assert (surprise["status"], surprise["code"], "secret" in surprise["detail"]) == (500, "internal", False)
    assert (await fetched(client))[-1]["imported"]["bars"] == BARS


async def test_one_at_a_time_and_whoever_breaks_off_has_stored_nothing(
    site: Site, binance: Binance, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, eve = await site.client(), await site.client("eve")
    held, gone = asyncio.Event(), asyncio.Event()
    page = exchanges.CcxtExchange.page

    async def hold(self: Any, interval: str, since_ms: int) -> Any:
        if binance.asked and not held.is_set():
            try:
                await held.wait()
            except asyncio.CancelledError:
                gone.set()
                raise
        return await page(self, interval, since_ms)

    monkeypatch.setattr(exchanges.CcxtExchange, "page", hold)
    async with asyncio.timeout(20):
        async with ann.stream("POST", PATH, json=BODY) as answer:
            lines = answer.aiter_lines()
            async for line in lines:
                if json.loads(line)["fetched"] == 100:
                    break
            assert "under way" in problem_of(await ann.post(PATH, json=BODY), 429)["detail"]
            monkeypatch.setattr(fetches, "FETCHES_MAX", 1)
            assert "1 fetches" in problem_of(await eve.post(PATH, json=BODY), 503)["detail"]
        await gone.wait()
        held.set()
        assert await stored_bars(site) == 0
        for _ in range(1_000):  # until the place of what was broken off is free
            if (await ann.post(PATH, json=BODY)).status_code == 200:
                break
        assert await stored_bars(site) == BARS


async def test_whoever_goes_away_while_a_line_is_sent_ends_the_fetch() -> None:
    """Also where somebody still holds the lines: it must not wait for them to be thrown away."""
    sending, ended = asyncio.Event(), asyncio.Event()

    async def lines() -> AsyncIterator[bytes]:
        while True:
            yield b"{}\n"

    async def receive() -> Message:
        await sending.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            sending.set()
            await asyncio.Event().wait()

    response = FetchResponse(Begun(lines(), ended.set))
    async with asyncio.timeout(10):
        await response({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send)
    assert ended.is_set()


async def test_which_exchanges_there_are_is_known_without_loading_them(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await site.client()
    told = (await client.get("/api/algo/data/exchanges")).json()
    Exchanges.model_validate(told)
    assert (told["available"], told["exchanges"]) == (True, sorted(ccxt.exchanges))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    without = list_exchanges()
    assert (without["available"], without["exchanges"]) == (False, [])
    assert 'pip install "backfleet[exchanges]"' in without["remedy"]
