"""Finer bars to coarser ones, exactly: what a series of 4h bars is where only 1h bars are stored.

Buckets are the places of a grid (`shared.candles.grid`): multiples of their length since 1970-01-01T00:00Z, or of the
session of the series; whole weeks begin on a Monday, months on their first day. A bucket's bar opens where its first
bar opens, closes where its last one closes, reaches from their lowest low to their highest high, and its volume is
theirs added oldest first, one by one. It stands at the bucket's start, wherever its first bar stands. A bucket without
bars gives none; one with some of its bars missing gives one of those that are there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars
from shared.candles.grid import DAY_MS, Grid
from shared.candles.series import TimeIndex, join_bars, take_bars
from shared.instants import INTERVAL_MS

RULE = 1  # Part of every dataset hash of resampled bars: raised when the same finer bars come to give other bars.


def finer_intervals(interval: str) -> list[str]:
    """The intervals of which `interval` is a multiple, the coarsest first. Months are made of days."""
    step_ms = DAY_MS + 1 if interval == "1M" else INTERVAL_MS[interval]
    whole_ms = DAY_MS if interval == "1M" else step_ms
    finer = [name for name, finer_ms in INTERVAL_MS.items() if finer_ms < step_ms and whole_ms % finer_ms == 0]
    return sorted(finer, key=lambda name: -INTERVAL_MS[name])


def count_buckets(index: TimeIndex, first: int, last: int, buckets: Grid) -> int:
    """How many buckets the bars from number `first` (inclusive) to `last` (exclusive) lie in: no bar is read.

    Takes time by the holes of the series, not by its bars.
    """
    return int(_count_by_stretch(index, first, last, buckets)[1].sum()) if first < last else 0


def first_of_buckets(index: TimeIndex, until: int, buckets: Grid, most: int) -> int:
    """The number of the bar with which the last `most` buckets begin that lie before bar `until`, the first of its own.

    Of the first bar where there are not so many buckets. Takes time as `count_buckets` does.
    """
    if not most or not until:
        return until
    begin, count = _count_by_stretch(index, 0, until, buckets)
    left = np.cumsum(count[::-1])[::-1]  # from each stretch on
    if left[0] <= most:
        return 0
    at = len(left) - 1 - int(np.searchsorted(left[::-1], most))
    return index.bars_before(buckets.start(int(begin[at] + left[at] - most)))


def _count_by_stretch(
    index: TimeIndex, first: int, last: int, buckets: Grid
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each stretch without holes of these bars, the bucket it begins in and how many end in it. At least one bar.

    The first begins at `first` or after a hole, the others after one; each ends with a hole or at `last`.
    """
    bar_before_hole = index.hole_slot - index.missing_before[:-1]
    after_first, until_last = (int(np.searchsorted(bar_before_hole, bar, side="right")) for bar in (first, last - 1))
    begins, ends = index.stretches()
    begin_ms = index.grid.starts(begins[after_first : until_last + 1])
    end_ms = index.grid.starts(ends[after_first : until_last + 1])
    begin_ms[0], end_ms[-1] = index.time_of(first), index.time_of(last - 1)
    begin, end = buckets.slots(begin_ms), buckets.slots(end_ms)
    count = end - begin + 1
    count[:-1] -= begin[1:] == end[:-1]  # what goes on after the hole
    return begin, count


def resample_bars(bars: Bars, buckets: Grid) -> Bars:
    """One bar per bucket, in new arrays. `bars` are in ascending order; none give none."""
    if not bars.total:
        return bars
    number = buckets.slots(bars.time_ms)
    changes = np.flatnonzero(number[1:] != number[:-1]) + 1
    starts = np.concatenate([np.zeros(1, np.int64), changes])
    ends = np.concatenate([changes, np.full(1, bars.total)]) - 1
    place: NDArray[np.int64] = np.repeat(np.arange(len(starts)), np.diff(starts, append=bars.total))
    # Not np.add.reduceat, which adds in pairs: here a sum may be broken off after any bar and taken up again.
    volume: Any = np.bincount(place, weights=bars.volume)  # float64, of which its annotations know nothing
    return Bars(
        buckets.starts(number[starts]),
        bars.open[starts],
        np.maximum.reduceat(bars.high, starts),
        np.minimum.reduceat(bars.low, starts),
        bars.close[ends],
        volume,
    )


def resample_parts(parts: Iterable[Bars], buckets: Grid) -> Bars:
    """The same bytes as `resample_bars` of the parts joined, with one of them in memory at a time.

    There must be at least one bar.
    """
    done: list[Bars] = []
    for part in parts:
        rest = part
        if done:
            # The last bucket so far may go on in this part.
            head = int(np.searchsorted(part.time_ms, buckets.end_of(int(done[-1].time_ms[-1]))))
            if head:
                known = done[-1].total - 1
                last = join_bars([take_bars(done[-1], slice(known, None)), take_bars(part, slice(0, head))])
                done[-1:] = [take_bars(done[-1], slice(0, known)), resample_bars(last, buckets)]
                rest = take_bars(part, slice(head, None))
        if rest.total:
            done.append(resample_bars(rest, buckets))
    return join_bars(done)
