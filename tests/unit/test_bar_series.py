"""The pure parts of market data: the index of times, merging, packing and cutting of bars."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas
import pytest
from numpy.typing import NDArray

from shared.bars import Bars
from shared.candles.chunks import (
    BYTES_PER_BAR,
    DamagedChunk,
    canonical_bytes,
    chunk_id,
    cut_into_periods,
    pack_chunk,
    unpack_chunk,
    view_bars,
)
from shared.candles.grid import DAY_MS, HOUR_MS, Grid
from shared.candles.manifest import ChunkRef, make_manifest, read_manifest, write_manifest
from shared.candles.series import BarConflict, Gap, TimeIndex, first_fault, merge_bars, take_bars
from shared.instants import INTERVAL_MS

pd: Any = pandas
MINUTE_MS = 60_000
START_MS = 1_704_067_200_000  # 2024-01-01T00:00Z, a Monday


def walk(time_ms: NDArray[np.int64], seed: int = 1, decimals: int = 2) -> Bars:
    """A random walk on the given times, its prices rounded."""
    dice = np.random.default_rng(seed)
    n = len(time_ms)
    close = np.round(100 + np.cumsum(dice.normal(0, 0.1, n)), decimals)
    open_ = np.round(close + dice.normal(0, 0.05, n), decimals)
    high = np.round(np.maximum(open_, close) + dice.random(n), decimals)
    low = np.round(np.minimum(open_, close) - dice.random(n), decimals)
    return Bars(time_ms, open_, high, low, close, np.round(dice.random(n) * 50, 5))


def grid(n: int, step_ms: int = MINUTE_MS) -> NDArray[np.int64]:
    return START_MS + step_ms * np.arange(n, dtype=np.int64)


def test_an_index_knows_every_bar_of_any_series_with_holes() -> None:
    dice = np.random.default_rng(7)
    for _ in range(200):
        kept = np.flatnonzero(dice.random(50) < dice.random())
        if not kept.size:
            continue
        times = START_MS + MINUTE_MS * kept
        index = TimeIndex.of_times(times, Grid.every(MINUTE_MS))
        assert index.times().tolist() == times.tolist()
        assert [index.time_of(bar) for bar in range(len(times))] == times.tolist()
        assert index.end_ms == times[-1] + MINUTE_MS
        for instant in range(int(times[0]) - 90_000, int(times[-1]) + 150_000, 30_000):
            assert index.bars_before(instant) == np.searchsorted(times, instant)


def test_weekends_are_no_gaps_of_daily_bars_but_a_missing_tuesday_is() -> None:
    days = np.array([0, 2, 3, 4, 7, 8, 9, 10, 11, 14], np.int64)  # Monday the first; Tuesday the second is missing
    starts, ends, missing = TimeIndex.of_times(START_MS + DAY_MS * days, Grid.every(DAY_MS)).gaps()
    assert (starts.tolist(), ends.tolist()) == ([START_MS + DAY_MS], [START_MS + 2 * DAY_MS])
    assert missing.tolist() == [1]


def test_a_missing_weekend_is_a_gap_where_weekends_are_traded() -> None:
    days = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14], np.int64)
    starts, _, missing = TimeIndex.of_times(START_MS + DAY_MS * days, Grid.every(DAY_MS)).gaps()
    assert (starts.tolist(), missing.tolist()) == ([START_MS + 12 * DAY_MS], [2])


def in_new_york(hours: Callable[[Any], Any], step_ms: int) -> NDArray[np.int64]:
    """The instants of 400 days from 2023-01-02 on at which New York's clock shows one of these hours."""
    clock = pd.date_range("2023-01-02", periods=400 * DAY_MS // step_ms, freq=f"{step_ms}ms", tz="America/New_York")
    kept = clock[hours(clock)].tz_convert("UTC").tz_localize(None)
    return np.ascontiguousarray(kept.to_numpy().astype("datetime64[ms]").astype(np.int64))


def currencies(at: Any) -> Any:
    day = at.day_of_week
    return (day < 4) | ((day == 4) & (at.hour < 17)) | ((day == 6) & (at.hour >= 17))


def futures(at: Any) -> Any:
    return currencies(at) & (at.hour != 17)


def shares(at: Any) -> Any:
    minute = at.hour * 60 + at.minute
    return (at.day_of_week < 5) & (minute >= 9 * 60 + 30) & (minute < 16 * 60)


@pytest.mark.parametrize("hours", [currencies, futures, shares])
@pytest.mark.parametrize("step_ms", [MINUTE_MS, 15 * MINUTE_MS, 30 * MINUTE_MS])
def test_closed_hours_are_no_gaps_and_summer_time_makes_none(hours: Callable[[Any], Any], step_ms: int) -> None:
    times = in_new_york(hours, step_ms)
    index = TimeIndex.of_times(times, Grid.every(step_ms))
    assert index.missing_bars > len(times) / 3
    assert index.gaps()[2].size == 0
    noon = int(np.searchsorted(times, START_MS + 2 * DAY_MS + 17 * HOUR_MS))  # a Wednesday, far from either edge
    starts, ends, missing = TimeIndex.of_times(np.delete(times, slice(noon, noon + 3)), Grid.every(step_ms)).gaps()
    assert missing.tolist() == [3]
    assert (starts.tolist(), ends.tolist()) == ([times[noon]], [times[noon + 3]])


def test_a_gap_that_spans_a_weekend_counts_its_open_bars_alone() -> None:
    times = in_new_york(currencies, HOUR_MS)
    friday = START_MS + 11 * DAY_MS + 15 * HOUR_MS  # 2024-01-12T15:00Z; trade ends at 22:00, until Sunday's 22:00
    lost = times[(times < friday) | (times >= friday + 3 * DAY_MS)]
    starts, ends, missing = TimeIndex.of_times(lost, Grid.every(HOUR_MS)).gaps()
    assert (starts.tolist(), ends.tolist()) == ([friday], [friday + 3 * DAY_MS])
    assert missing.tolist() == [6 + 17]  # of Friday to 21:00, where summer time ends it, and of Sunday and Monday


def test_a_series_that_keeps_no_hours_has_all_its_holes_for_gaps() -> None:
    dice = np.random.default_rng(11)
    for share in (0.05, 0.3, 0.6):
        kept = np.flatnonzero(dice.random(60 * 24) < share)
        index = TimeIndex.of_times(START_MS + HOUR_MS * kept, Grid.every(HOUR_MS))
        assert index.gaps()[2].sum() == index.missing_bars
    always_open = np.delete(grid(365 * 24, HOUR_MS), slice(3000, 5000))
    assert TimeIndex.of_times(always_open, Grid.every(HOUR_MS)).gaps()[2].tolist() == [2000]
    too_short_to_tell = np.delete(grid(10 * 24, HOUR_MS), slice(48, 96))
    assert TimeIndex.of_times(too_short_to_tell, Grid.every(HOUR_MS)).gaps()[2].tolist() == [48]


def test_gaps_of_a_million_bars_are_found_at_once() -> None:
    half = np.sort(np.random.default_rng(0).choice(2_000_000, 1_000_000, replace=False))
    index = TimeIndex.of_times(START_MS + MINUTE_MS * half, Grid.every(MINUTE_MS))
    took_s: list[float] = []
    for _ in range(3):
        started_s = time.perf_counter()
        assert index.gaps()[2].sum() == index.missing_bars
        took_s.append(time.perf_counter() - started_s)
    assert min(took_s) < 0.25  # some 25 ms where nothing else runs


def test_the_latest_fault_is_found_from_the_end() -> None:
    bars = walk(grid(10))
    bars.high[[2, 7]] = 1.0
    bars.volume[5] = -1.0
    later = START_MS + DAY_MS
    first, last = first_fault(bars, "1m", later), first_fault(bars, "1m", later, from_end=True)
    assert first is not None
    assert last is not None
    assert (first.bar, last.bar) == (2, 7)


@pytest.mark.parametrize("decimals", [0, 2, 8, 15])
def test_a_packed_chunk_gives_back_the_same_bits(decimals: int) -> None:
    bars = walk(grid(500), decimals=decimals)
    bars.volume[3] = -0.0
    document = pack_chunk(bars)
    canonical = unpack_chunk(document)
    assert len(canonical) == 500 * BYTES_PER_BAR
    assert canonical == canonical_bytes(bars)
    assert document["_id"] == chunk_id(canonical)
    part = view_bars(canonical, 500, 20, 7)
    for ours, theirs in zip(part, take_bars(bars, slice(20, 27)), strict=True):
        assert ours.tobytes() == theirs.tobytes()


def test_a_chunk_with_another_content_than_its_name_is_refused() -> None:
    document = pack_chunk(walk(grid(50)))
    other = pack_chunk(walk(grid(50), seed=2))
    with pytest.raises(DamagedChunk, match="checksum"):
        unpack_chunk(document | {"columns": document["columns"] | {"close": other["columns"]["close"]}})
    cut = document["columns"]["close"] | {"data": document["columns"]["close"]["data"][:-3]}
    with pytest.raises(DamagedChunk, match="cannot be unpacked"):
        unpack_chunk(document | {"columns": document["columns"] | {"close": cut}})


def test_a_month_of_minutes_packs_into_less_than_20_bytes_a_bar() -> None:
    document = pack_chunk(walk(grid(44_640)))
    assert sum(len(column["data"]) for column in document["columns"].values()) < 20 * 44_640


@pytest.mark.parametrize(
    ("interval", "days", "chunks"), [("1m", 60, 2), ("5m", 91, 3), ("15m", 400, 2), ("12h", 800, 3), ("1d", 3000, 1)]
)
def test_bars_are_cut_into_months_years_or_not_at_all(interval: str, days: int, chunks: int) -> None:
    step_ms = INTERVAL_MS[interval]
    bars = walk(grid(days * DAY_MS // step_ms, step_ms))
    parts = cut_into_periods(bars, interval)
    assert len(parts) == chunks
    assert np.concatenate([part.time_ms for part in parts]).tolist() == bars.time_ms.tolist()


def test_merging_keeps_order_and_counts_equal_bars_once() -> None:
    whole = walk(grid(40))
    odd, rest = take_bars(whole, slice(1, 31, 2)), take_bars(whole, slice(0, 40))
    merged = merge_bars(odd, rest, "X 1m")
    for ours, theirs in zip(merged, whole, strict=True):
        assert ours.tolist() == theirs.tolist()
    assert merge_bars(whole, odd, "X 1m") is whole


def test_merging_shows_the_first_bar_that_differs() -> None:
    old, new = walk(grid(40)), walk(grid(40))
    new.volume[7] += 1
    new.close[9] += 0.01
    with pytest.raises(BarConflict) as caught:
        merge_bars(old, new, "X 1m")
    assert "2024-01-01T00:07:00Z" in caught.value.message
    assert f"volume {old.volume[7].item()!r}" in caught.value.message
    assert f"volume {new.volume[7].item()!r}" in caught.value.message


def test_the_earliest_fault_is_reported_whatever_its_kind() -> None:
    bars = walk(grid(40))
    later = START_MS + DAY_MS
    assert first_fault(bars, "1m", later) is None
    bars.close[30] = np.nan
    bars.low[12] = 1_000.0
    fault = first_fault(bars, "1m", later)
    assert fault is not None
    assert (fault.bar, fault.column) == (12, "low")
    future = first_fault(bars, "1m", START_MS + 5 * MINUTE_MS)
    assert future is not None
    assert (future.bar, future.column) == (5, "time")


@pytest.mark.parametrize("column", ["open", "high", "low", "close", "volume"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0, 0.0, 1e-16, 1e16])
def test_a_value_that_cannot_be_true_is_a_fault_of_its_column(column: str, value: float) -> None:
    bars = walk(grid(40))
    getattr(bars, column)[[17, 23]] = value
    fault = first_fault(bars, "1m", START_MS + DAY_MS)
    if column == "volume" and 0 <= value < np.inf:
        assert fault is None
        return
    assert fault is not None
    assert (fault.bar, fault.column, fault.value) == (17, column, repr(value))
    assert fault.remedy


def test_a_manifest_survives_being_written_and_read() -> None:
    times = np.delete(grid(100), [10, 11, 12, 50])
    index = TimeIndex.of_times(times, Grid.every(MINUTE_MS))
    chunks = (ChunkRef("a" * 64, int(times[0]), int(times[-1]) + MINUTE_MS, len(times)),)
    manifest = make_manifest("X", "1m", "a file", chunks, index, None)
    read = read_manifest(write_manifest(manifest, 5))
    assert read.gaps == (
        Gap(START_MS + 10 * MINUTE_MS, START_MS + 13 * MINUTE_MS, 3),
        Gap(START_MS + 50 * MINUTE_MS, START_MS + 51 * MINUTE_MS, 1),
    )
    assert (read.id, read.chunks, read.dataset_hash, read.missing_bars) == (
        manifest.id,
        chunks,
        manifest.dataset_hash,
        4,
    )
    assert read.index.times().tolist() == times.tolist()
    assert read.slice(START_MS, START_MS + DAY_MS) == manifest.slice(START_MS, START_MS + DAY_MS)
