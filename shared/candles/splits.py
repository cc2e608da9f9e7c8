"""Jumps in a series that look as splits do where prices were not adjusted for them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars

# New shares for old ones: what is usual. Smaller ones (5:4, 4:3) are too near to what news do.
_RATIOS = tuple(
    (new, old)
    for more, less in ((3, 2), *((n, 1) for n in (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50, 100)))
    for new, old in ((more, less), (less, more))
)
_NEAR = 0.04  # of the logarithm: how far a market moves overnight besides
_UNUSUAL = 8.0  # times the median move between bars
_SPIKE = 4.0  # times the usual volume in new shares: so much is traded on news, not because of a split
_AROUND = 20


class Split(NamedTuple):
    """Between bar `bar` - 1 and bar `bar` the price jumped as where `new` shares come for `old` ones."""

    bar: int
    new: int
    old: int


def likely_splits(bars: Bars) -> list[Split]:
    """Where the open is near a split's ratio of the close before, if such a jump is unusual in this series, if its bar
    moves no more than others do, and if no more was traded in it than usual, counted in new shares.
    """
    if bars.total < 3:
        return []
    jump = np.log(bars.open[1:] / bars.close[:-1])
    usual = float(np.median(np.abs(np.diff(np.log(bars.close)))))
    ratios = np.array([np.log(old / new) for new, old in _RATIOS])
    found: list[Split] = []
    for at in np.flatnonzero(np.abs(jump) > max(np.abs(ratios).min() - _NEAR, _UNUSUAL * usual)):
        which = int(np.argmin(np.abs(ratios - jump[at])))
        new, old = _RATIOS[which]
        bar = int(at) + 1
        if abs(ratios[which] - jump[at]) > _NEAR or _is_news(bars, bar, new / old):
            continue
        if np.log(bars.high[bar] / bars.low[bar]) < abs(jump[at]) / 2:
            found.append(Split(bar, new, old))
    return found


def _is_news(bars: Bars, bar: int, factor: float) -> bool:
    before: NDArray[np.float64] = bars.volume[max(0, bar - _AROUND) : bar]
    usual = float(np.median(before)) * factor
    return usual > 0 and float(bars.volume[bar]) > _SPIKE * usual
