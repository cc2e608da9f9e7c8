"""How trades are spread: over returns, over how long they were held, over what they went through."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars
from shared.moments import Floats
from shared.reasons import Reason

Rows = NDArray[np.int64]

BINS_MAX = 60
_FINEST = 1_000
_OUTERMOST = 100  # of each column, at each end, whatever is left out between them


class Histogram(NamedTuple):
    """`counts[i]` values are from `edges[i]` to below `edges[i + 1]`; both empty where there is none."""

    edges: Floats
    counts: Rows


def histogram(values: Floats, least_width: float = 0.0) -> Histogram:
    """How many values lie in each of equally wide bins, whose edges are multiples of their width, so that zero is one.

    The width is 2 x interquartile range / cube root of how many there are (Freedman & Diaconis, 1981), but at least a
    60th of what they span and a thousandth of the largest, cut up to 1, 2, 2.5 or 5 times a power of ten. Of holding
    times it is whole bars.
    """
    values = values[np.isfinite(values)].astype(np.float64)
    if not values.shape[0]:
        return Histogram(np.empty(0), np.empty(0, np.int64))
    low, high = float(values.min()), float(values.max())
    quarter, three = np.quantile(values, [0.25, 0.75])
    fitting = 2.0 * float(three - quarter) / math.cbrt(values.shape[0])
    if not fitting:  # as many bins as Sturges (1926) takes, which does not ask how they are spread
        fitting = (high - low) / (math.log2(values.shape[0]) + 1.0)
    least = max((high - low) / BINS_MAX, max(-low, high) / _FINEST, least_width)
    width = _round_width(max(fitting, least), whole=least_width >= 1.0) or 1.0
    edges: Floats = np.arange(math.floor(low / width), math.floor(high / width) + 2, dtype=np.float64) * width
    bins = np.clip(edges.searchsorted(values, side="right") - 1, 0, edges.shape[0] - 2)
    return Histogram(edges, np.bincount(bins, minlength=edges.shape[0] - 1))


def _round_width(width: float, *, whole: bool) -> float:
    """The next width up that is read well; 0 of 0."""
    if width <= 0.0:
        return 0.0
    power = 10.0 ** math.floor(math.log10(width))
    steps = (1.0, 2.0, 5.0, 10.0) if whole else (1.0, 2.0, 2.5, 5.0, 10.0)
    return next((step * power for step in steps if step * power >= width), 10.0 * power)


class Excursions(NamedTuple):
    """Of each trade, fractions of its entry price: `mae` is zero or below, `mfe` zero or above."""

    mae: Floats
    mfe: Floats


def excursions(trades: Mapping[str, NDArray[Any]], bars: Bars, config: Mapping[str, Any]) -> Excursions:
    """How far the price went against a trade (`mae`, zero or below) and for it (`mfe`, zero or above) while it was
    open, fractions of the entry price, before costs.

    By lows and highs of the bars of which it had the whole, and by its own two prices: not those of a bar at whose
    close it opened, nor those of the bar inside which, or at whose open, it closed, as nobody knows what came first. So
    neither is overstated. None where the bars cannot be had. Source: Sweeney, "Maximum Adverse Excursion" (1997).
    """
    entry, leaving = trades["entry_price"], trades["exit_price"]
    first = trades["entry_bar"] + (config.get("fillAt") == "close")
    lowest, highest = lows_and_highs(bars, first, trades["exit_bar"] + _left_at_close(trades, config))
    bottom = np.minimum(np.minimum(lowest, leaving) / entry - 1.0, 0.0)
    top = np.maximum(np.maximum(highest, leaving) / entry - 1.0, 0.0)
    is_long = trades["direction"] > 0
    return Excursions(np.where(is_long, bottom, -top), np.where(is_long, top, -bottom))


def _left_at_close(trades: Mapping[str, NDArray[Any]], config: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Which trades closed at the close of their last bar."""
    orders = (Reason.SIGNAL, Reason.REVERSAL) if config.get("fillAt") == "close" else ()
    # backtesting.py fills its last orders at an open.
    ends = () if config.get("profile") == "backtesting.py" else (Reason.END_OF_DATA, Reason.STOPPED_BY_USER)
    return np.isin(trades["exit_reason"], [*map(int, orders), *map(int, ends)])


def lows_and_highs(bars: Bars, first: Rows, until: Rows) -> tuple[Floats, Floats]:
    """Lowest low and highest high of the bars from `first` to before `until`, of each; infinite where that is none.

    Looks at stretches of 1, 2, 4, … bars, of each length once: any range is two of one length that overlap.
    """
    lengths = until - first
    lowest, highest = np.full(first.shape, math.inf), np.full(first.shape, -math.inf)
    of_length = np.where(lengths > 0, np.frexp(np.maximum(lengths, 1))[1] - 1, -1)
    low, high = bars.low, bars.high
    for power in range(int(of_length.max(initial=-1)) + 1):
        if power:
            half = 1 << (power - 1)
            low, high = np.minimum(low[:-half], low[half:]), np.maximum(high[:-half], high[half:])
        at = np.flatnonzero(of_length == power)
        begin, end = first[at], until[at] - (1 << power)
        lowest[at], highest[at] = np.minimum(low[begin], low[end]), np.maximum(high[begin], high[end])
    return lowest, highest


def thinned(columns: tuple[Floats, ...], points_max: int) -> Rows:
    """At most so many rows, at least a thousand: the outermost of each column, and of the others evenly spaced ones."""
    total = columns[0].shape[0]
    if total <= points_max:
        return np.arange(total, dtype=np.int64)
    chosen = np.zeros(total, np.bool_)
    for column in columns:
        order = np.argsort(column)
        chosen[order[:_OUTERMOST]] = chosen[order[-_OUTERMOST:]] = True
    others = np.flatnonzero(~chosen)
    spaced = np.linspace(0, others.shape[0] - 1, points_max - int(chosen.sum()))
    chosen[others[spaced.astype(np.int64)]] = True
    return np.flatnonzero(chosen)
