"""Finer bars to coarser ones, exactly: what a series of 4h bars is where only 1h bars are stored.

Buckets are multiples of their length since 1970-01-01T00:00Z; whole weeks begin on a Monday at 00:00 UTC. A bucket's
bar opens where its first bar opens, closes where its last one closes, reaches from their lowest low to their highest
high, and its volume is theirs added oldest first, one by one. It stands at the bucket's start, wherever its first bar
stands. A bucket without bars gives none; one with some of its bars missing gives one of those that are there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars
from shared.candles.series import TimeIndex, join_bars, take_bars
from shared.instants import INTERVAL_MS

RULE = 1  # Part of every dataset hash of resampled bars: raised when the same finer bars come to give other bars.
_WEEK_MS = INTERVAL_MS["1w"]
_MONDAY_MS = 4 * INTERVAL_MS["1d"]  # 1970-01-05


def finer_intervals(interval: str) -> list[str]:
    """The intervals of which `interval` is a multiple, the coarsest first."""
    step_ms = INTERVAL_MS[interval]
    finer = [name for name, finer_ms in INTERVAL_MS.items() if finer_ms < step_ms and step_ms % finer_ms == 0]
    return sorted(finer, key=lambda name: -INTERVAL_MS[name])


def bucket_before(instant_ms: int, bucket_ms: int) -> int:
    """The start of the bucket that the instant lies in."""
    origin_ms = _origin_ms(bucket_ms)
    return (instant_ms - origin_ms) // bucket_ms * bucket_ms + origin_ms


def bucket_from(instant_ms: int, bucket_ms: int) -> int:
    """The start of the first bucket that begins at the instant or later."""
    return bucket_before(instant_ms + bucket_ms - 1, bucket_ms)


def count_buckets(index: TimeIndex, first: int, last: int, bucket_ms: int) -> int:
    """How many buckets the bars from number `first` (inclusive) to `last` (exclusive) lie in: no bar is read.

    Takes time by the holes of the series, not by its bars.
    """
    bar_before_hole = index.hole_slot - index.missing_before[:-1]
    after_first, until_last = (int(np.searchsorted(bar_before_hole, bar, side="right")) for bar in (first, last - 1))
    inside = slice(after_first, until_last)
    # Stretches without holes: each begins at `first` or after a hole, and ends with a hole or at `last`.
    begin_ms = np.concatenate([[index.time_of(first)], index.first_ms + index.step_ms * _after_holes(index, inside)])
    end_ms = np.concatenate([index.first_ms + index.step_ms * (index.hole_slot[inside] - 1), [index.time_of(last - 1)]])
    begin, end = _bucket_numbers(begin_ms, bucket_ms), _bucket_numbers(end_ms, bucket_ms)
    shared_with_next = int(np.count_nonzero(begin[1:] == end[:-1]))
    return int((end - begin).sum()) + len(begin) - shared_with_next


def resample_bars(bars: Bars, bucket_ms: int) -> Bars:
    """One bar per bucket, in new arrays. `bars` are in ascending order; none give none."""
    if not bars.total:
        return bars
    number = _bucket_numbers(bars.time_ms, bucket_ms)
    changes = np.flatnonzero(number[1:] != number[:-1]) + 1
    starts = np.concatenate([np.zeros(1, np.int64), changes])
    ends = np.concatenate([changes, np.full(1, bars.total)]) - 1
    place: NDArray[np.int64] = np.repeat(np.arange(len(starts)), np.diff(starts, append=bars.total))
    # Not np.add.reduceat, which adds in pairs: here a sum may be broken off after any bar and taken up again.
    volume: Any = np.bincount(place, weights=bars.volume)  # float64, of which its annotations know nothing
    return Bars(
        number[starts] * bucket_ms + _origin_ms(bucket_ms),
        bars.open[starts],
        np.maximum.reduceat(bars.high, starts),
        np.minimum.reduceat(bars.low, starts),
        bars.close[ends],
        volume,
    )


def resample_parts(parts: Iterable[Bars], bucket_ms: int) -> Bars:
    """The same bytes as `resample_bars` of the parts joined, with one of them in memory at a time.

    There must be at least one bar.
    """
    done: list[Bars] = []
    for part in parts:
        rest = part
        if done:
            # The last bucket so far may go on in this part.
            head = int(np.searchsorted(part.time_ms, int(done[-1].time_ms[-1]) + bucket_ms))
            if head:
                known = done[-1].total - 1
                last = join_bars([take_bars(done[-1], slice(known, None)), take_bars(part, slice(0, head))])
                done[-1:] = [take_bars(done[-1], slice(0, known)), resample_bars(last, bucket_ms)]
                rest = take_bars(part, slice(head, None))
        if rest.total:
            done.append(resample_bars(rest, bucket_ms))
    return join_bars(done)


def _origin_ms(bucket_ms: int) -> int:
    return _MONDAY_MS if bucket_ms % _WEEK_MS == 0 else 0


def _bucket_numbers(time_ms: NDArray[np.int64], bucket_ms: int) -> NDArray[np.int64]:
    return (time_ms - _origin_ms(bucket_ms)) // bucket_ms


def _after_holes(index: TimeIndex, which: slice) -> NDArray[np.int64]:
    """The slots of the first bars after these holes."""
    return index.hole_slot[which] + index.hole_bars[which]
