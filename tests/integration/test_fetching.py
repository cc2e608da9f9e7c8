"""`backfleet data fetch` through ccxt, against a server that speaks as Binance does and misbehaves when told to."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.market_data.exchanges import open_exchange
from api.market_data.fetching import Fetch, FetchOrder, LocalClock, OnConflict
from api.market_data.importing import import_files
from shared.candles import BarConflict, Candles, StoredSeries, join_bars, take_bars
from shared.database import Database
from shared.errors import ConfigurationError, ExchangeUnavailable, ImportRefused, InvalidRequest
from shared.reading import Reading
from shared.settings import Settings, environment_for_child
from tests import forks
from tests.exchange_server import Binance, Handler, Rows, serving
from tests.fleet import HOUR_MS, START_MS, random_walk, write_bars

ccxt = pytest.importorskip("ccxt.async_support", reason="the extra `exchanges` is not installed")
# aiohttp warns of an option that ccxt still sets, on Pythons that need it no more.
pytestmark = pytest.mark.filterwarnings("ignore:enable_cleanup_closed ignored:DeprecationWarning")

BARS = 240
WALK = random_walk(BARS)
END_MS = START_MS + BARS * HOUR_MS


@pytest.fixture(autouse=True)
def plain_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy between the test and its server, no pause after a connection is closed, no pause between requests."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(ccxt.Exchange, "timeout_on_exit", 0)
    monkeypatch.setattr(ccxt.Exchange, "throttle", lambda self, cost: asyncio.sleep(0))


@pytest.fixture
def binance() -> Iterator[Binance]:
    """It has ten days of BTC/USDT, and it is half an hour later."""
    with serving(Binance(WALK, END_MS + HOUR_MS // 2, page_bars=100)) as exchange:
        yield exchange


@pytest.fixture
async def candles(any_mongodb_uri: str, make_settings: Callable[..., Settings]) -> AsyncIterator[Candles]:
    settings = make_settings(redis_url="redis://127.0.0.1:1")
    database = await Database.open(settings)
    yield database.candles
    await database.close()


class Waits:
    """Records pauses in place of waiting."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.clock = LocalClock(sleep=self._sleep)

    async def _sleep(self, pause_s: float) -> None:
        self.pauses.append(pause_s)


async def fetch(
    candles: Candles,
    exchange: Binance,
    *,
    since_ms: int | None = START_MS,
    until_ms: int | None = None,
    waits: Waits | None = None,
    on_conflict: OnConflict = "refuse",
    timeout_s: float = 20.0,
) -> Fetch:
    clock = (waits or Waits()).clock
    order = FetchOrder("BTCUSDT", "1h", since_ms, until_ms, on_conflict)
    opening = open_exchange("binance", "BTC/USDT", "1h", exchange.url, clock=clock, timeout_s=timeout_s)
    async with opening as opened:
        done = Fetch(candles, opened, order, clock)
        await done.fetch()
    return done


async def stored(candles: Candles) -> StoredSeries:
    [one] = await candles.list_series()
    return one


def asked_hours(exchange: Binance) -> list[int]:
    return [(int(query["startTime"]) - START_MS) // HOUR_MS for query in exchange.asked]


def answer(status: int, text: str = "{}", headers: dict[str, str] | None = None) -> Callable[[Handler, Rows], bool]:
    def trick(handler: Handler, rows: Rows) -> bool:
        handler.answer(status, text, headers)
        return True

    return trick


async def test_what_is_fetched_is_what_a_file_of_the_same_bars_holds(
    binance: Binance, candles: Candles, tmp_path: Path
) -> None:
    binance.bars = join_bars([WALK, take_bars(random_walk(BARS + 1), slice(BARS, None))])  # one still unfinished
    done = await fetch(candles, binance)
    assert asked_hours(binance) == [0, 100, 200]
    one = await stored(candles)
    assert (one.symbol, one.interval, one.bars, one.source) == ("BTCUSDT", "1h", BARS, "ccxt binance BTC/USDT")
    assert one.end_ms == END_MS
    assert done.report is not None
    assert (done.report.added, done.report.known) == (BARS, 0)
    assert done.notes == ["finished candles were told by the clock of binance"]
    file = write_bars(tmp_path / "BTCUSDT-1h.csv", WALK)
    [report] = await import_files(candles, [file], Reading(symbol="BTCUSDT", interval="1h"))
    assert (report.added, report.known, report.dataset_hash) == (0, BARS, one.dataset_hash)


async def test_a_fetch_goes_on_from_the_last_stored_bar(binance: Binance, candles: Candles) -> None:
    binance.bars, now_ms = WALK.first(130), binance.now_ms
    binance.now_ms = START_MS + 130 * HOUR_MS
    await fetch(candles, binance)
    binance.bars, binance.now_ms = WALK, now_ms
    binance.asked.clear()
    done = await fetch(candles, binance, since_ms=None)
    assert asked_hours(binance) == [129, 229]
    assert done.report is not None
    assert (done.report.added, done.report.known, done.report.bars) == (110, 1, BARS)
    binance.asked.clear()
    done = await fetch(candles, binance)  # with the --since of the first time
    assert asked_hours(binance) == [239]
    assert done.report is not None
    assert (done.report.added, done.report.version) == (0, 2)


async def test_without_a_beginning_and_with_nothing_stored_the_remedy_is_said(
    binance: Binance, candles: Candles
) -> None:
    with pytest.raises(InvalidRequest, match="--since 2024-01-01"):
        await fetch(candles, binance, since_ms=None)
    assert binance.asked == []


async def test_until_is_exclusive(binance: Binance, candles: Candles) -> None:
    await fetch(candles, binance, until_ms=START_MS + 5 * HOUR_MS)
    assert (await stored(candles)).bars == 5


async def test_limits_failures_and_broken_answers_are_tried_again(binance: Binance, candles: Candles) -> None:
    waits = Waits()
    text = json.dumps(binance.rows({"limit": "100", "startTime": str(START_MS)}))

    def drop(handler: Handler, rows: Rows) -> bool:
        handler.break_off(text[:500])
        return True

    binance.tricks = [
        answer(429, headers={"Retry-After": "17"}),
        answer(418, headers={"Retry-After": "90"}),
        answer(502, "<html>bad gateway</html>", {"Content-Type": "text/html"}),
        drop,
        answer(200, text[:500]),
        answer(503),
        None,
        drop,
        answer(408),
    ]
    await fetch(candles, binance, waits=waits)
    assert waits.pauses == [17, 90, 4, 8, 16, 32, 1, 2]
    assert (await stored(candles)).bars == BARS


async def test_what_was_fetched_before_an_exchange_fell_silent_is_kept(binance: Binance, candles: Candles) -> None:
    waits = Waits()
    binance.tricks = [None, *[answer(503)] * 8]
    with pytest.raises(ExchangeUnavailable, match=r"binance BTC/USDT 1h: candles from 2024-01-05T04:00:00Z on.*503.*8"):
        await fetch(candles, binance, waits=waits)
    assert (await stored(candles)).bars == 100
    binance.asked.clear()
    await fetch(candles, binance)
    assert asked_hours(binance)[0] == 99
    assert (await stored(candles)).bars == BARS


async def test_a_ban_is_not_waited_for(binance: Binance, candles: Candles) -> None:
    waits = Waits()
    binance.tricks = [answer(418, headers={"Retry-After": "7200"})]
    with pytest.raises(ExchangeUnavailable, match="left alone for 7,200 s"):
        await fetch(candles, binance, waits=waits)
    assert waits.pauses == []


@pytest.mark.parametrize("status", [401, 403, 451])
async def test_a_refusal_of_the_exchange_is_not_asked_again(status: int, binance: Binance, candles: Candles) -> None:
    binance.tricks = [answer(status, '{"code": 0, "msg": "Service unavailable from a restricted location"}')]
    with pytest.raises(ImportRefused, match=r"binance refuses.*--base-url"):
        await fetch(candles, binance)
    assert len(binance.asked) == 1


async def test_a_silent_server_times_out(binance: Binance, candles: Candles) -> None:
    waits = Waits()

    def slow(handler: Handler, rows: Rows) -> bool:
        handler.rfile.read(1)  # returns when the client has hung up
        handler.close_connection = True
        return True

    binance.tricks = [slow]
    await fetch(candles, binance, waits=waits, timeout_s=0.3)
    assert waits.pauses == [1]
    assert (await stored(candles)).bars == BARS


async def test_an_empty_page_is_asked_again_and_then_a_gap_that_is_told(binance: Binance, candles: Candles) -> None:
    keep = (WALK.time_ms < START_MS + 30 * HOUR_MS) | (WALK.time_ms >= START_MS + 35 * HOUR_MS)
    binance.bars = take_bars(WALK, keep)
    nothing = answer(200, "[]")
    binance.tricks = [None, nothing, nothing]
    done = await fetch(candles, binance)
    # Nothing is said twice of the thousand hours that a page of Binance may cover, which is all the rest.
    assert asked_hours(binance) == [0, 105, 105]
    assert (await stored(candles)).bars == 100
    assert done.notes[1:] == [
        "the exchange has no bars from 2024-01-02T06:00:00Z to 2024-01-02T11:00:00Z: 5 missing",
        "the exchange has no bars from 2024-01-05T09:00:00Z to 2024-01-10T22:00:00Z: 133 missing",
    ]
    binance.tricks = [nothing]
    await fetch(candles, binance)
    one = await stored(candles)
    assert (one.bars, one.gap_count, one.missing_bars) == (BARS - 5, 1, 5)


async def test_every_request_waits_for_its_turn(
    binance: Binance, candles: Candles, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[float] = []

    async def take_turn(self: Any, cost: float) -> None:
        turns.append(cost)

    monkeypatch.setattr(ccxt.Exchange, "throttle", take_turn)
    await fetch(candles, binance)
    assert len(turns) == len(binance.asked) + 2  # and the markets, and the time


async def test_a_repeated_candle_counts_once_and_one_that_differs_is_refused(
    binance: Binance, candles: Candles
) -> None:
    def again(handler: Handler, rows: Rows) -> bool:
        handler.answer(200, json.dumps([rows[0], *rows]))
        return True

    def differs(handler: Handler, rows: Rows) -> bool:
        handler.answer(200, json.dumps([rows[0], [*rows[0][:5], "11.0", *rows[0][6:]], *rows[1:]]))
        return True

    binance.tricks = [again, differs]
    with pytest.raises(ImportRefused, match="2024-01-05T04:00:00Z twice with different values"):
        await fetch(candles, binance)
    assert (await stored(candles)).bars == 100


async def test_a_stored_bar_that_the_exchange_changed_is_settled_as_asked(binance: Binance, candles: Candles) -> None:
    binance.bars = WALK._replace(volume=WALK.volume + 1)
    await fetch(candles, binance)
    before = (await stored(candles)).dataset_hash
    binance.bars = WALK
    with pytest.raises(BarConflict):
        await fetch(candles, binance)
    assert (await stored(candles)).dataset_hash == before
    done = await fetch(candles, binance, on_conflict="keep")
    assert done.report is not None
    assert (done.report.kept, done.report.dataset_hash) == (BARS, before)
    done = await fetch(candles, binance, on_conflict="replace")
    assert done.report is not None
    assert done.report.replaced == BARS
    assert (await stored(candles)).dataset_hash != before


async def test_a_server_that_never_goes_on_is_an_error(binance: Binance, candles: Candles) -> None:
    first = json.dumps(binance.rows({"limit": "100", "startTime": str(START_MS)}))
    binance.tricks = [answer(200, first) for _ in range(10)]
    with pytest.raises(ImportRefused, match="never goes on"):
        await fetch(candles, binance)
    assert len(binance.asked) == 2
    assert (await stored(candles)).bars == 100


async def test_a_long_fetch_is_stored_in_parts(
    binance: Binance, candles: Candles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.market_data.fetching.STORED_EVERY_BARS", 90)
    done = await fetch(candles, binance)
    assert done.report is not None
    assert (done.report.version, done.report.added, done.report.bars) == (3, BARS, BARS)


async def test_a_cancelled_fetch_stores_what_it_has(binance: Binance, candles: Candles) -> None:
    waits, reached = Waits(), asyncio.Event()

    async def wait_for_ever(pause_s: float) -> None:
        reached.set()
        await asyncio.Event().wait()

    waits.clock = LocalClock(sleep=wait_for_ever)
    binance.tricks = [None, answer(503)]
    running = asyncio.create_task(fetch(candles, binance, waits=waits))
    await reached.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await stored(candles)).bars == 100


async def test_keeping_what_differs_fills_holes(binance: Binance, candles: Candles) -> None:
    keep = (WALK.time_ms < START_MS + 30 * HOUR_MS) | (WALK.time_ms >= START_MS + 35 * HOUR_MS)
    binance.bars = take_bars(WALK, keep)
    await fetch(candles, binance)
    binance.bars = WALK
    await fetch(candles, binance)
    assert (await stored(candles)).missing_bars == 5
    await fetch(candles, binance, on_conflict="keep")
    assert (await stored(candles)).missing_bars == 0


async def test_two_markets_do_not_mix_in_one_series(binance: Binance, candles: Candles) -> None:
    await candles.import_bars("BTCUSDT", "1h", WALK.first(10), "ccxt kraken BTC/USDT")
    with pytest.raises(InvalidRequest, match=r"--as: BTCUSDT 1h holds bars of 'ccxt kraken BTC/USDT'"):
        await fetch(candles, binance)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("binanse", "BTC/USDT", "1h"), r"exchange: no exchange is called 'binanse'; did you mean binance"),
        (("binance", "BTCUSDT", "1h"), r"symbol: binance offers no BTCUSDT; it has BTC/USDT.*3 symbols"),
        (("binance", "DOGE/EUR", "1h"), r"symbol: binance offers no DOGE/EUR; it has "),
        (("binance", "BTC/USDT", "7h"), r"interval: binance offers no 7h candles; it offers 1m, 3m, 5m,.*1w"),
        (("coinbase", "BTC/USDT", "8h"), r"interval: coinbase offers no 8h candles; it offers 1m, 5m"),
    ],
)
async def test_what_an_exchange_does_not_offer_is_refused_with_what_it_does(
    asked: tuple[str, str, str], said: str, binance: Binance
) -> None:
    with pytest.raises(InvalidRequest, match=said):
        async with open_exchange(*asked, binance.url):
            pass


@pytest.mark.parametrize("url", ["data.binance.vision", "ftp://x", "http://", "https://x/?a=b"])
async def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="--base-url"):
        async with open_exchange("binance", "BTC/USDT", "1h", url):
            pass


async def test_a_mirror_may_live_under_a_path(binance: Binance) -> None:
    async with open_exchange("binance", "BTC/USDT", "1h", f"{binance.url}/mirror/") as exchange:
        assert await exchange.own_time_ms() == binance.now_ms
        assert exchange.page_bars == 1_000


async def test_an_exchange_that_lists_no_markets_is_asked_again(binance: Binance) -> None:
    waits, binance.markets_text = Waits(), "not JSON"
    with pytest.raises(ExchangeUnavailable, match=r"binance: markets: .*not JSON.*asked 8 times"):
        async with open_exchange("binance", "BTC/USDT", "1h", binance.url, clock=waits.clock):
            pass
    assert len(waits.pauses) == 7


async def test_without_ccxt_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ccxt.async_support", None)
    with pytest.raises(ConfigurationError, match=r'ccxt.* is not installed: pip install "backfleet\[exchanges\]"'):
        async with open_exchange("binance", "BTC/USDT", "1h"):
            pass


def run_command(settings: Settings, *arguments: str) -> forks.Talking:
    return forks.Talking(["-m", "deploy.cli", "data", "fetch", *arguments], environment_for_child(settings))


async def test_the_command_fetches_and_ends_cleanly_when_interrupted(
    any_mongodb_uri: str, make_settings: Callable[..., Settings], binance: Binance, candles: Candles
) -> None:
    settings = make_settings(redis_url="redis://127.0.0.1:1")
    asked = ("binance", "BTC/USDT", "1h", "--since", "2024-01-01", "--base-url", binance.url)
    running: list[forks.Talking] = []

    def interrupt(handler: Handler, rows: Rows) -> bool:
        running[0].send_signal(signal.SIGINT)
        handler.rfile.read(1)
        handler.close_connection = True
        return True

    binance.tricks = [None, interrupt]
    running.append(run_command(settings, *asked))
    out, error = await asyncio.to_thread(running[0].communicate, timeout=60)
    assert running[0].returncode == 130, error
    assert "interrupted; the same command, run again, goes on from what is stored" in error
    assert "Traceback" not in error
    assert "BTCUSDT 1h: 100 bars added" in out
    again = run_command(settings, *asked)
    out, error = await asyncio.to_thread(again.communicate, timeout=60)
    assert (again.returncode, error) == (0, "")
    assert "BTCUSDT 1h: 140 bars added, 1 known; now 240 bars" in out
