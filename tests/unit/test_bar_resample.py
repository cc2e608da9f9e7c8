"""Coarser bars out of finer ones: what pandas makes of them, whatever the holes and however they are cut."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.bars import Bars
from shared.candles import take_bars
from shared.candles.files.parsing import read_files
from shared.candles.grid import Grid
from shared.candles.manifest import first_manifest
from shared.candles.resample import (
    count_buckets,
    finer_intervals,
    resample_bars,
    resample_parts,
)
from shared.candles.series import TimeIndex
from shared.errors import UnknownMarketData

MINUTE_MS, HOUR_MS, DAY_MS, WEEK_MS = 60_000, 3_600_000, 86_400_000, 604_800_000
START_MS = 1_704_067_200_000  # 2024-01-01T00:00Z, a Monday
RULES = {"5m": "5min", "1h": "1h", "4h": "4h", "12h": "12h", "1d": "1D", "1w": "W-MON"}


def walk(time_ms: NDArray[np.int64], seed: int = 1) -> Bars:
    dice = np.random.default_rng(seed)
    n = len(time_ms)
    open_, close = 100 + np.cumsum(dice.normal(0, 0.1, (2, n)), axis=1)
    high, low = np.maximum(open_, close) + dice.random(n), np.minimum(open_, close) - dice.random(n)
    return Bars(time_ms, open_, high, low, close, dice.random(n) * 50)


def holey(n: int, step_ms: int, kept: float, seed: int, start_ms: int = START_MS) -> Bars:
    """Bars on a grid of `n` with single ones missing and some stretches too."""
    dice = np.random.default_rng(seed)
    there = dice.random(n) < kept
    for _ in range(4):
        at = int(dice.integers(0, n))
        there[at : at + int(dice.integers(0, n // 5 + 1))] = False
    there[int(dice.integers(0, n))] = True
    return walk(start_ms + step_ms * np.flatnonzero(there), seed)


def by_pandas(bars: Bars, interval: str) -> Any:
    index = pd.to_datetime(bars.time_ms, unit="ms")
    frame: Any = pd.DataFrame(dict(zip(Bars._fields[1:], bars[1:], strict=True)), index)
    rules = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    since_1970 = {} if interval == "1w" else {"origin": "epoch"}  # pandas warns where it counts by the calendar
    return frame.resample(RULES[interval], label="left", closed="left", **since_1970).agg(rules).dropna()


def assert_as_pandas(bars: Bars, interval: str) -> None:
    ours, theirs = resample_bars(bars, Grid.of(interval)), by_pandas(bars, interval)
    assert ours.time_ms.tolist() == theirs.index.astype("datetime64[ms]").astype(np.int64).tolist()
    for name in ("open", "high", "low", "close"):
        assert getattr(ours, name).tolist() == theirs[name].tolist(), name
    np.testing.assert_allclose(ours.volume, theirs["volume"], rtol=1e-13)


def assert_same(ours: Bars, theirs: Bars) -> None:
    for name, one, other in zip(Bars._fields, ours, theirs, strict=True):
        assert one.tobytes() == other.tobytes(), name


@pytest.mark.parametrize("interval", list(RULES))
@pytest.mark.parametrize("kept", [1.0, 0.7, 0.02])
def test_random_bars_with_holes_become_what_pandas_makes_of_them(interval: str, kept: float) -> None:
    for seed in range(3):
        step_ms = MINUTE_MS if interval in ("5m", "1h") else HOUR_MS
        assert_as_pandas(holey(5_000, step_ms, kept, seed, START_MS + 7 * step_ms), interval)
        assert_as_pandas(holey(2_000, step_ms, kept, seed, -START_MS), interval)  # before 1970


def test_real_hours_become_what_pandas_makes_of_them(market_data_dir: Path) -> None:
    [series] = read_files(sorted((market_data_dir / "binance").glob("*.zip")))
    for interval in ("4h", "12h", "1d", "1w"):
        assert_as_pandas(series.bars, interval)
    assert resample_bars(series.bars, Grid.every(DAY_MS)).total == 366


def test_real_minutes_with_many_holes_become_what_pandas_makes_of_them(market_data_dir: Path) -> None:
    with gzip.open(market_data_dir / "bitfinex" / "BTCUSD-1m-2015.csv.gz") as file:
        time_ms, open_, close, high, low, volume = np.loadtxt(file, delimiter=",", unpack=True)
    bars = Bars(time_ms.astype(np.int64), open_, high, low, close, volume)
    for interval in ("5m", "1h", "1d"):
        assert_as_pandas(bars, interval)
        whole = resample_bars(bars, Grid.of(interval))
        index = TimeIndex.of_times(bars.time_ms, Grid.every(MINUTE_MS))
        assert count_buckets(index, 0, bars.total, Grid.of(interval)) == whole.total


@given(
    seed=st.integers(0, 10**6),
    kept=st.sampled_from([1.0, 0.9, 0.4, 0.05]),
    bucket=st.sampled_from([2, 3, 60, 240, 1_440, 10_080]),
    cuts=st.lists(st.integers(0, 400), max_size=6),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_bars_cut_anywhere_come_to_the_same_bytes_and_number(
    seed: int, kept: float, bucket: int, cuts: list[int]
) -> None:
    buckets = Grid.every(bucket * MINUTE_MS)
    step_ms = MINUTE_MS if bucket < 240 else HOUR_MS
    bars = holey(400, step_ms, kept, seed, START_MS + 5 * step_ms)
    edges = sorted({0, bars.total, *(cut for cut in cuts if cut < bars.total)})
    parts = [take_bars(bars, slice(a, b)) for a, b in itertools.pairwise(edges)]
    whole = resample_bars(bars, buckets)
    assert_same(resample_parts(parts, buckets), whole)
    index = TimeIndex.of_times(bars.time_ms, Grid.every(step_ms))
    for first, last in itertools.pairwise(edges):
        there = resample_bars(take_bars(bars, slice(first, last)), buckets).total
        assert count_buckets(index, first, last, buckets) == there


def test_volume_is_added_oldest_first() -> None:
    volume = np.array([1e16, *[1.0] * 20])  # a one more makes no other number of it, but the ones together would
    assert np.add.reduceat(volume, [0]).tolist() != [1e16]
    bars = walk(START_MS + MINUTE_MS * np.arange(21))._replace(volume=volume)
    assert resample_bars(bars, Grid.every(HOUR_MS)).volume.tolist() == [1e16]


def test_buckets_are_multiples_since_1970_and_weeks_begin_on_mondays() -> None:
    weeks = Grid.of("1w")
    assert (weeks.before(START_MS), weeks.at_or_after(START_MS)) == (START_MS, START_MS)
    assert (weeks.before(START_MS - 1), weeks.at_or_after(START_MS - 1)) == (START_MS - WEEK_MS, START_MS)
    assert Grid.of("4h").before(-1) == -4 * HOUR_MS
    assert finer_intervals("4h") == ["2h", "1h", "30m", "15m", "10m", "5m", "3m", "1m"]
    assert finer_intervals("1M") == ["1d", "12h", "8h", "6h", "4h", "2h", "1h", "30m", "15m", "10m", "5m", "3m", "1m"]
    assert "8h" not in finer_intervals("12h")
    assert finer_intervals("1m") == []


def test_a_slice_has_the_whole_bars_that_begin_in_its_range() -> None:
    bars = walk(START_MS + HOUR_MS * np.arange(1, 43))  # from 01:00 to 19:00 of the next day
    manifest = first_manifest("X", "1h", "test", bars)
    whole = manifest.slice(0, 4_000_000_000_000, "4h")
    # The first 4h bar lacks its first hour, a gap; the last one is not finished: 19:00 has come, 20:00 has not.
    assert (whole.total_bars, whole.stored_bars, whole.start_ms) == (10, 39, START_MS)
    assert whole.end_ms == START_MS + 40 * HOUR_MS
    assert (whole.interval, whole.resampled_from) == ("4h", "1h")
    part = manifest.slice(START_MS + 5 * HOUR_MS, START_MS + 17 * HOUR_MS, "4h")
    assert (part.start_ms, part.end_ms) == (START_MS + 8 * HOUR_MS, START_MS + 20 * HOUR_MS)
    assert (part.total_bars, part.stored_bars) == (3, 12)
    same = manifest.slice(START_MS + 8 * HOUR_MS, START_MS + 20 * HOUR_MS, "4h")
    assert part.dataset_hash == same.dataset_hash
    finer = manifest.slice(same.start_ms, same.end_ms)
    native = first_manifest("X", "4h", "test", resample_bars(bars, Grid.every(4 * HOUR_MS)))
    hashes = [native.slice(same.start_ms, same.end_ms).dataset_hash, finer.dataset_hash, part.dataset_hash]
    assert len({*hashes, manifest.slice(same.start_ms, same.end_ms, "2h").dataset_hash}) == 4


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "interval", "field", "says"),
    [
        (START_MS, START_MS + DAY_MS, "30m", "interval", "30m bars cannot be made of the 1h bars of X"),
        (
            START_MS + 40 * HOUR_MS,
            START_MS + 42 * HOUR_MS,
            "4h",
            "startDate",
            "no whole 4h bar begins from 2024-01-02",
        ),
        (
            START_MS + 5 * HOUR_MS,
            START_MS + 6 * HOUR_MS,
            "4h",
            "startDate",
            "no whole 4h bar begins from 2024-01-01",
        ),
        (START_MS + 90 * HOUR_MS, START_MS + 99 * HOUR_MS, "4h", "startDate", "is after the last bar; X 1h has bars"),
    ],
)
def test_bars_that_cannot_be_made_are_refused(start_ms: int, end_ms: int, interval: str, field: str, says: str) -> None:
    manifest = first_manifest("X", "1h", "test", walk(START_MS + HOUR_MS * np.arange(42)))
    with pytest.raises(UnknownMarketData) as caught:
        manifest.slice(start_ms, end_ms, interval)
    [error] = caught.value.errors
    assert error.field == field
    assert says in error.message
