"""Fetching without a network: what is asked next, what is taken of an answer, how often is tried, for how long."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.cli import read_order
from api.market_data.exchanges import read_retry_after
from api.market_data.fetching import (
    ATTEMPTS_MAX,
    FAR_MS,
    Fetch,
    FetchOrder,
    LocalClock,
    Trouble,
    Walk,
    plan_spans,
    with_patience,
)
from deploy.cli import build_parser
from shared.bars import Bars
from shared.candles import Gap
from shared.errors import ExchangeUnavailable, ImportRefused, InvalidRequest

HOUR_MS = 3_600_000
START_MS = 1_704_067_200_000  # 2024-01-01T00:00Z
LATER_MS = START_MS + 1_000 * HOUR_MS


def candle(hour: int, close: float = 105.0) -> list[Any]:
    return [START_MS + hour * HOUR_MS, 100.0, 110.0, 90.0, close, 5.0]


def walk_from(hour: int = 0, until_hour: int = 1_000, page_bars: int = 10) -> Walk:
    return Walk("X", "1h", START_MS + hour * HOUR_MS, START_MS + until_hour * HOUR_MS, page_bars)


def hours(times: Any) -> list[int]:
    return [(int(time) - START_MS) // HOUR_MS for time in times]


class PatientClock:
    """Time that passes only by waiting."""

    def __init__(self) -> None:
        self.waited: list[float] = []
        self.clock = LocalClock(lambda: START_MS / 1000 + sum(self.waited), self._sleep)

    async def _sleep(self, pause_s: float) -> None:
        self.waited.append(pause_s)


def test_a_walk_takes_finished_bars_and_asks_on_behind_them() -> None:
    walk = walk_from()
    now_ms = START_MS + 3 * HOUR_MS + 1
    assert not walk.ended(now_ms)
    assert hours(walk.take([candle(0), candle(1), candle(2), candle(3)], now_ms).time_ms) == [0, 1, 2]
    assert hours([walk.next_ms]) == [3]
    assert walk.ended(now_ms)
    assert not walk.ended(now_ms + HOUR_MS)


def test_a_short_page_is_no_end_and_an_empty_one_that_stays_empty_is_a_gap() -> None:
    walk = walk_from()
    walk.take([candle(0)], LATER_MS)
    for nexts in (1, 11):
        assert walk.take([], LATER_MS).total == 0
        assert hours([walk.next_ms]) == [nexts]
    walk.take([candle(12)], LATER_MS)
    walk.end(START_MS + 15 * HOUR_MS)  # two hours late, which is no gap yet
    assert [(*hours(gap[:2]), gap.bars) for gap in walk.gaps] == [(1, 12, 11)]
    walk.end(START_MS + 17 * HOUR_MS)
    assert [(*hours(gap[:2]), gap.bars) for gap in walk.gaps] == [(1, 12, 11), (13, 15, 2)]
    assert walk.gap_count == 2


def test_a_walk_of_months_goes_from_first_to_first() -> None:
    firsts = [int(datetime(2024, month, 1, tzinfo=UTC).timestamp() * 1000) for month in range(1, 8)]
    walk = Walk("X", "1M", firsts[0], FAR_MS, 10)
    page = [[first, 100.0, 110.0, 90.0, 105.0, 5.0] for first in firsts]
    in_june = firsts[5] + 3 * HOUR_MS
    assert walk.take(page[:2], in_june).time_ms.tolist() == firsts[:2]
    assert (walk.next_ms, walk.ended(in_june)) == (firsts[2], False)
    assert walk.take(page[3:6], in_june).time_ms.tolist() == firsts[3:5]  # June is not over
    assert (walk.next_ms, walk.ended(in_june)) == (firsts[5], True)
    walk.end(in_june)
    assert walk.gaps == [Gap(firsts[2], firsts[3], 1)]  # March
    order = FetchOrder("X", "1M")
    assert plan_spans(order, (firsts[0], firsts[5])) == [(firsts[4], FAR_MS)]


def test_a_walk_stops_at_its_end() -> None:
    walk = walk_from(until_hour=2)
    assert hours(walk.take([candle(0), candle(1), candle(2)], LATER_MS).time_ms) == [0, 1]
    assert walk.ended(LATER_MS)
    beyond = walk_from(until_hour=2)
    assert beyond.take([candle(5)], LATER_MS).total == 0
    assert beyond.ended(LATER_MS)


def test_a_repeated_candle_counts_once_when_it_is_equal() -> None:
    walk = walk_from()
    assert hours(walk.take([candle(0), candle(1), candle(1)], LATER_MS).time_ms) == [0, 1]
    assert hours(walk.take([candle(1), candle(2)], LATER_MS).time_ms) == [2]


@pytest.mark.parametrize(
    ("first", "then"), [([], [candle(0), candle(0, 106.0)]), ([candle(0)], [candle(0, 106.0), candle(1)])]
)
def test_a_repeated_candle_that_differs_is_refused(first: list[list[Any]], then: list[list[Any]]) -> None:
    walk = walk_from()
    walk.take(first, LATER_MS)
    with pytest.raises(ImportRefused, match=r"2024-01-01T00:00:00Z twice with different values.*105.*106"):
        walk.take(then, LATER_MS)


def test_an_unfinished_candle_may_change_between_two_pages() -> None:
    walk = walk_from()
    walk.take([candle(0), candle(1, 101.0)], START_MS + HOUR_MS + 1)
    assert walk.take([candle(1, 104.0)], START_MS + 2 * HOUR_MS).close.tolist() == [104.0]


def test_candles_out_of_order_are_refused() -> None:
    with pytest.raises(ImportRefused, match="T01:00:00Z after 2024-01-01T02:00:00Z; candles out of order"):
        walk_from().take([candle(0), candle(2), candle(1)], LATER_MS)


def test_an_exchange_that_never_goes_on_is_refused() -> None:
    walk = walk_from()
    page = [candle(0), candle(1)]
    walk.take(page, LATER_MS)
    with pytest.raises(ImportRefused, match="from 2024-01-01T02:00:00Z on, the exchange repeats"):
        walk.take(page, LATER_MS)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([START_MS, None, 1.0, 1.0, 1.0, 1.0], "where a time, four prices"),
        (["soon", 1.0, 1.0, 1.0, 1.0, 1.0], "where a time, four prices"),
        ([START_MS, 1.0, 1.0], "where a time, four prices"),
        ([START_MS, 100.0, 110.0, 90.0, float("nan"), 1.0], "close nan is not a price"),
        ([START_MS, 100.0, 90.0, 90.0, 95.0, 1.0], "high 90.0 is below"),
        ([START_MS + 1, 100.0, 110.0, 90.0, 95.0, 1.0], "is not the start of a 1h bar"),
    ],
)
def test_a_candle_that_cannot_be_is_refused_with_its_time(wrong: list[Any], said: str) -> None:
    with pytest.raises(ImportRefused, match=said) as refused:
        walk_from().take([wrong], LATER_MS)
    assert "2024-01-01T00:00:00" in refused.value.message
    assert "--until" in refused.value.message


def test_a_missing_volume_is_none_traded() -> None:
    assert walk_from().take([candle(0)[:5], [*candle(1)[:5], None]], LATER_MS).volume.tolist() == [0.0, 0.0]


answers = st.lists(st.lists(st.integers(0, 120), max_size=15, unique=True).map(sorted), max_size=200)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(answers)
def test_whatever_is_answered_a_walk_ends_with_each_bar_once(pages: Sequence[Sequence[int]]) -> None:
    walk, taken, before = walk_from(until_hour=100), [], [0]
    for asked in range(202):
        if walk.ended(LATER_MS):
            break
        before.append(walk.next_ms)
        page = pages[asked] if asked < len(pages) else []
        try:
            taken += hours(walk.take([candle(hour) for hour in page], LATER_MS).time_ms)
        except ImportRefused:
            break
        assert walk.next_ms > before[-2]
    else:
        raise AssertionError("the walk did not end")
    assert taken == sorted(set(taken))
    assert all(0 <= hour < 100 for hour in taken)


def hour_span(first: int, end: int) -> tuple[int, int]:
    return START_MS + first * HOUR_MS, START_MS + end * HOUR_MS


def planned(stored: tuple[int, int] | None, since: int | None, until: int | None = None, **more: Any) -> list[Any]:
    since_ms, until_ms = (None if one is None else START_MS + one * HOUR_MS for one in (since, until))
    spans = plan_spans(FetchOrder("X", "1h", since_ms, until_ms, **more), stored)
    return [(hours([start])[0], "…" if end == FAR_MS else hours([end])[0]) for start, end in spans]


def test_what_is_stored_is_not_asked_for_again_but_for_its_last_bar() -> None:
    stored = hour_span(10, 20)
    assert planned(None, 5) == [(5, "…")]
    assert planned(stored, None) == [(19, "…")]
    assert planned(stored, 10) == [(19, "…")]
    assert planned(stored, 5) == [(5, 10), (19, "…")]
    assert planned(stored, 5, 8) == [(5, 8)]
    assert planned(stored, 12, 15) == []
    assert planned(stored, 25) == [(25, "…")]
    assert planned(stored, 5, on_conflict="replace") == [(5, "…")]


def test_a_plan_without_a_beginning_or_with_its_end_first_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"--since: there are no 1h bars of X to go on from"):
        planned(None, None)
    with pytest.raises(InvalidRequest, match=r"--until: 2024-01-01T04:00:00Z is not after --since"):
        planned(None, 5, 4)


async def test_patience_doubles_its_pauses_and_ends() -> None:
    patient = PatientClock()

    async def ask() -> None:
        raise Trouble("it answered 503")

    with pytest.raises(ExchangeUnavailable) as gone:
        await with_patience(ask, "binance: time", patient.clock)
    assert patient.waited == [1, 2, 4, 8, 16, 32, 60]
    assert f"it answered 503; asked {ATTEMPTS_MAX} times in 123 s" in gone.value.message


async def test_patience_waits_as_long_as_it_is_asked_to_unless_that_is_too_long() -> None:
    patient = PatientClock()
    waits = iter([30.0, 0.0, 3_600.0])

    async def ask() -> None:
        raise Trouble("it answered 429", next(waits))

    with pytest.raises(ExchangeUnavailable, match="left alone for 3,600 s"):
        await with_patience(ask, "X", patient.clock)
    assert patient.waited == [30, 2]


def test_retry_after_is_a_number_or_a_date() -> None:
    now = datetime(2024, 1, 1, tzinfo=UTC)
    assert read_retry_after({"retry-after": "7"}) == 7
    assert read_retry_after({"Retry-After": "Mon, 01 Jan 2024 00:01:00 GMT"}, now) == 60
    assert read_retry_after({"Retry-After": "Sun, 31 Dec 2023 00:01:00 GMT"}, now) == 0
    assert read_retry_after({"Retry-After": "soon"}) is None
    assert read_retry_after({}) is None


def test_gaps_are_counted_whole() -> None:
    walk = walk_from()
    walk.take([candle(hour) for hour in range(0, 20, 2)], LATER_MS)
    assert walk.gap_count == 9
    assert walk.gaps[0] == Gap(START_MS + HOUR_MS, START_MS + 2 * HOUR_MS, 1)
    assert isinstance(walk.gaps[0].start_ms, int)
    assert not isinstance(walk.gaps[0].start_ms, np.integer)


class Shelf:
    """Stands in for the store: it keeps what it is given, except the first time when it is to be cancelled then."""

    def __init__(self, cancelled: bool = False) -> None:
        self.kept: list[int] = []
        self._cancelled = cancelled

    async def list_series(self) -> list[Any]:
        return []

    async def import_bars(self, symbol: str, interval: str, bars: Bars, source: str, on_conflict: str) -> Any:
        if self._cancelled:
            self._cancelled = False
            raise asyncio.CancelledError
        self.kept += hours(bars.time_ms)


class Market:
    """An exchange with a candle for every hour, ten at once, whose clock shows the given hour."""

    name, symbol, page_bars = "market", "A/B", 10

    def __init__(self, shown_hour: int | None) -> None:
        self._shown_hour = shown_hour

    async def page(self, interval: str, since_ms: int) -> list[list[Any]]:
        [first] = hours([since_ms])
        return [candle(hour) for hour in range(first, first + 10)]

    async def own_time_ms(self) -> int | None:
        return None if self._shown_hour is None else START_MS + self._shown_hour * HOUR_MS


def fetch_at(hour: int, shelf: Shelf, market: Market) -> Fetch:
    clock = LocalClock(lambda: START_MS / 1000 + hour * 3600)
    return Fetch(cast("Any", shelf), market, FetchOrder("AB", "1h", START_MS), clock)


@pytest.mark.parametrize(
    ("shown_hour", "bars", "note"),
    [
        (30, 25, "this machine's clock is 18,000 s behind it"),
        (20, 20, "told by the clock of market"),
        (None, 25, "told by this machine's clock: market does not show its own"),
    ],
)
async def test_a_candle_is_finished_when_both_clocks_say_so(shown_hour: int | None, bars: int, note: str) -> None:
    shelf = Shelf()
    done = fetch_at(25, shelf, Market(shown_hour))
    await done.fetch()
    assert shelf.kept == list(range(bars))
    assert note in " ".join(done.notes)


async def test_cancelled_while_it_stores_a_fetch_stores_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.market_data.fetching.STORED_EVERY_BARS", 10)
    shelf = Shelf(cancelled=True)
    with pytest.raises(asyncio.CancelledError):
        await fetch_at(25, shelf, Market(25)).fetch()
    assert shelf.kept == list(range(10))


def ordered(*arguments: str) -> FetchOrder:
    return read_order(build_parser().parse_args(["data", "fetch", "binance", *arguments]))


def test_options_become_an_order() -> None:
    assert ordered("BTC/USDT", "1h") == FetchOrder("BTCUSDT", "1h")
    assert ordered("BTC/USDT:USDT", "1h").symbol == "BTCUSDT:USDT"
    more = ("--since", "2024-01-01", "--until", "2024-01-01T01:00:00+00:00", "--as", "X", "--on-conflict", "keep")
    assert ordered("BTC/USDT", "1h", *more) == FetchOrder("X", "1h", START_MS, START_MS + HOUR_MS, "keep")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("BTC/USDT", "1h", "--since", "yesterday"), "--since: 'yesterday' is not a date"),
        (("BTC/USDT", "1h", "--until", "2024-01-01T00:00"), "--until: '2024-01-01T00:00' has no time zone"),
        (("币安/USDT", "1h"), "--as: '币安USDT' cannot be the name of a series"),
    ],
)
def test_options_that_cannot_be_are_refused_by_name(arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        ordered(*arguments)
    assert said in refused.value.message


def test_ccxt_is_imported_by_nothing_but_a_fetch() -> None:
    code = "import sys, api.app, api.market_data.exchanges, deploy.cli; sys.exit('ccxt' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], timeout=60).returncode == 0
