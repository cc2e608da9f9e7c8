"""Which bars before its start a run reads: as many as its indicators look back at and there are, and no others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.candles import Slice, take_bars
from shared.candles.grid import UTC_DAYS, Session
from shared.candles.manifest import Manifest, first_manifest
from shared.candles.resample import resample_bars
from shared.errors import ConfigurationError, StrategyFailed
from shared.request import WARMUP_BARS_MAX, BacktestParams
from shared.strategies import Strategy, resolve
from shared.strategies.parameters import Parameters
from shared.strategies.signals import silent
from shared.strategies.warmup import warmup_bars
from shared.wire import validate
from tests.engine.deciders import in_the_catalogue
from tests.unit.test_bar_resample import DAY_MS, HOUR_MS, START_MS, assert_same, holey, walk

NEW_YORK = Session("America/New_York", 17 * HOUR_MS)


def first_read(manifest: Manifest, part: Slice) -> int:
    """The number of the first stored bar that is read."""
    return manifest.bars_until[manifest.chunks.index(part.chunks[0])] + part.skip_bars


@given(
    seed=st.integers(0, 10**6),
    kept=st.sampled_from([1.0, 0.8, 0.1]),
    interval=st.sampled_from(["1h", "2h", "4h", "1d", "1w"]),
    session=st.sampled_from([UTC_DAYS, NEW_YORK]),
    asked=st.integers(1, 90),
    begin=st.floats(0, 1),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_the_last_bars_before_a_slice_are_read_with_it_and_its_own_stay_what_they_are(
    seed: int, kept: float, interval: str, session: Session, asked: int, begin: float
) -> None:
    bars = holey(1_500, HOUR_MS, kept, seed, START_MS + 6 * DAY_MS + 5 * HOUR_MS)  # over both changes of the clock
    manifest = first_manifest("X", "1h", "test", bars, session)
    whole = manifest.slice(0, 4_000_000_000_000, interval)
    all_bars = resample_bars(bars, buckets) if (buckets := whole.buckets_of(0)) else bars
    all_bars = all_bars.first(whole.total_bars)
    start_ms = int(all_bars.time_ms[int(begin * (whole.total_bars - 1))]) - (HOUR_MS if seed % 2 else 0)
    part = manifest.slice(start_ms, 4_000_000_000_000, interval, asked)
    cold = manifest.slice(start_ms, 4_000_000_000_000, interval)
    own = ("start_ms", "end_ms", "total_bars", "manifest_id", "resampled_from", "series_start_ms")
    assert [getattr(part, name) for name in own] == [getattr(cold, name) for name in own]
    before = int(np.searchsorted(all_bars.time_ms, part.start_ms))
    assert part.warmup_bars == min(asked, before)
    assert (part.dataset_hash == cold.dataset_hash) == (part.warmup_bars == 0)
    first = first_read(manifest, part)
    read = take_bars(bars, slice(first, first + part.stored_bars))
    read = resample_bars(read, buckets) if buckets else read
    assert_same(read, all_bars.after(before - part.warmup_bars))
    assert manifest.plot_bucket_ms(part, 10) == manifest.plot_bucket_ms(cold, 10)


def test_the_hash_of_the_bars_names_those_of_the_warm_up_too() -> None:
    bars = walk(START_MS + HOUR_MS * np.arange(24 * 400))  # into a second year, which is a chunk of its own
    other = bars._replace(close=np.where(np.arange(bars.total) == 5, bars.low, bars.close))
    second_year = (START_MS + 366 * DAY_MS, START_MS + 380 * DAY_MS)
    one, two = (first_manifest("X", "1h", "test", each) for each in (bars, other))
    assert one.slice(*second_year).dataset_hash == two.slice(*second_year).dataset_hash
    for interval in ("1h", "4h"):
        hashes = {each.slice(*second_year, interval, 10).dataset_hash for each in (one, two)}
        assert len(hashes) == 2
    part, all_of_it = one.slice(*second_year, "1h", 10), one.slice(second_year[0] - 10 * HOUR_MS, second_year[1])
    assert part.dataset_hash == all_of_it.dataset_hash, "the same bars are read"


def test_few_bars_before_a_long_run_bring_one_chunk_more() -> None:
    bars = walk(START_MS + HOUR_MS * np.arange(24 * 1_200))
    manifest = first_manifest("X", "1h", "test", bars)
    start_ms = START_MS + 366 * DAY_MS
    cold, warm = (manifest.slice(start_ms, 4_000_000_000_000, "1h", before) for before in (0, 60))
    assert warm.chunks[1:] == cold.chunks
    assert warm.stored_bars == cold.stored_bars + 60
    assert len(manifest.slice(start_ms + 60 * HOUR_MS, 4_000_000_000_000, "1h", 60).chunks) == len(cold.chunks)


def asked_for(**changes: Any) -> BacktestParams:
    body = {"symbol": "X", "interval": "1h", "startDate": "2024-01-01", "endDate": "2024-02-01", "strategies": ["sma"]}
    return validate(BacktestParams, body | changes)


def looked_back(**changes: Any) -> int:
    params = asked_for(**changes)
    return warmup_bars(params, resolve(params.strategies, params.strategy_params))


@pytest.mark.parametrize(
    ("changes", "bars"),
    [
        ({}, 30),
        ({"warmupBars": None}, 30),
        ({"warmupBars": 0}, 0),
        ({"warmupBars": 7}, 7),
        ({"warmupBars": WARMUP_BARS_MAX}, 30),
        ({"strategies": ["buy_and_hold"]}, 0),
        ({"strategies": ["sma", "rsi"], "strategyParams": {"rsi": {"period": 10}}}, 1 + 150),
        ({"stopLoss": {"atr": 2}}, 14 * 15),
        ({"stopLoss": {"atr": 2}, "useStopOrders": False}, 30),
        ({"takeProfit": {"atr": 2}, "atrPeriod": 5}, 75),
        ({"takeProfit": {"percent": 2}}, 30),
        ({"trailingStop": {"atr": 2}, "atrPeriod": 10_000}, WARMUP_BARS_MAX),
        ({"trailingStop": {"atr": 2}, "atrPeriod": 10_000, "warmupBars": 8}, 8),
    ],
)
def test_a_run_is_given_what_it_looks_back_at_or_less_where_less_is_asked_for(
    changes: dict[str, Any], bars: int
) -> None:
    assert looked_back(**changes) == bars


def plugin(warmup: Callable[[Any], Any] | None) -> Strategy:
    return Strategy("own", "Own", "Says nothing.", Parameters, lambda bars, _: silent(bars.total), warmup=warmup)


def nothing(_: Parameters) -> Any:
    raise LookupError("no such level")


@pytest.mark.parametrize(
    ("warmup", "words"),
    [
        (nothing, "strategy own raised LookupError in warmup: no such level"),
        (lambda _: 2.5, "strategy own raised TypeError in warmup: 'float' object cannot be interpreted as an integer"),
        (lambda _: None, "strategy own raised TypeError in warmup: 'NoneType' object"),
        (lambda _: -1, "strategy own must return a number of bars from 0 on of warmup and returned -1"),
    ],
)
def test_a_plugin_that_does_not_know_what_it_looks_back_at_is_refused_by_name(
    warmup: Callable[[Any], Any], words: str
) -> None:
    with in_the_catalogue(plugin(warmup)):
        with pytest.raises(StrategyFailed) as refused:
            looked_back(strategies=["sma", "own"])
        assert looked_back(strategies=["sma", "own"], warmupBars=0) == 0
    [error] = refused.value.errors
    assert error.field == "strategies.1"
    assert error.message.startswith(words)


def test_a_plugin_is_given_what_it_declares_and_nothing_where_it_declares_nothing() -> None:
    for warmup, bars in ((None, 0), (lambda _: np.int64(7), 7), (lambda _: 10**30, WARMUP_BARS_MAX)):
        with in_the_catalogue(plugin(warmup)):
            assert looked_back(strategies=["own"]) == bars
    with pytest.raises(ConfigurationError, match="strategy late has warmup, but decide sees no bars before the run"):
        Strategy("late", "Late", "Decides.", Parameters, decide=lambda _: None, warmup=lambda _: 5)
