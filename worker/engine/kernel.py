"""The bar loop: one resumable fold, compiled.

`_fold_nb` carries every number it needs from one bar to the next in `state` and `open_trades`, so running to bar a
and then to bar b leaves the same bits as running to b. fastmath stays off: reordered sums would break that.

The order of things inside one bar, and all that it decides, is told in `docs/bar-order.md`. Liquidation is judged at
the worst price of every bar; no mark is worse than that, so the close needs no second look.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numba.np.numpy_support import carray
from numpy.typing import NDArray

from shared.bars import Bars
from worker.engine import layout as at
from worker.engine.fills import Floats
from worker.engine.orders import fill_order_nb
from worker.engine.stops import check_levels_nb, follow_nb, measure_from_close_nb, quiet_range_nb


@njit(nogil=True, cache=True)
def _opinion_nb(signals: NDArray[np.int8], bar: int, at_close: bool) -> int:
    """What becomes an order at this close under ASKS_FROM_SECOND_BAR."""
    if bar == 0 or (at_close and bar == signals.shape[0] - 1):
        return at.NO_OPINION
    return signals[0] if bar == 1 and signals[1] == at.NO_OPINION else signals[bar]


@njit(nogil=True, cache=True)
def _take_numbers_nb(terms: Floats, numbers: Floats, bar: int) -> None:
    """Tells what fills the order of that bar's close what it came with. Where nobody decides, there is nothing."""
    if numbers.shape[0] > 0:
        for i in range(at.NUMBER_SLOTS):
            terms[at.ORDER_SIZE + i] = numbers[bar, i]


@njit(nogil=True, cache=True)
def _highest_nb(values: Floats, first: int, until: int, least: float) -> float:
    """The highest of `least` and `values[first:until]`. Four side by side, none of which waits for another."""
    a = b = c = d = least
    fours = until - (until - first) % 4
    for i in range(first, fours, 4):
        a = values[i] if values[i] > a else a
        b = values[i + 1] if values[i + 1] > b else b
        c = values[i + 2] if values[i + 2] > c else c
        d = values[i + 3] if values[i + 3] > d else d
    for i in range(fours, until):
        a = values[i] if values[i] > a else a
    return max(max(a, b), max(c, d))


@njit(nogil=True, cache=True, inline="always")
def _fold_nb(
    open_: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    signals: NDArray[np.int8],
    numbers: Floats,
    true_range: Floats,
    equity: Floats,
    state: Floats,
    terms: Floats,
    open_trades: Floats,
    closed_trades: Floats,
    from_bar: int,
    until_bar: int,
) -> tuple[int, int]:
    """Runs bars `from_bar` to `until_bar` (exclusive). `true_range` is read only where a level is measured in it.

    Writes `equity[bar]` for each, new rows of `closed_trades`, and the state. Returns (next bar, closed trades), and
    early when `closed_trades` could not hold what one more bar may close: MAX_OPEN_TRADES and the one opened in it.
    """
    room = closed_trades.shape[0] - int(terms[at.MAX_OPEN_TRADES]) - 1
    at_close = terms[at.FILL_AT_CLOSE] != 0.0
    trailing = terms[at.TRAIL_KIND] != at.NO_LEVEL
    levels_later = terms[at.LEVELS_FROM_NEXT_BAR] != 0.0
    asks_late = terms[at.ASKS_FROM_SECOND_BAR] != 0.0
    closed = int(state[at.CLOSED_TRADES])
    pending = int(state[at.PENDING])
    cash = state[at.CASH]
    net = state[at.NET_QUANTITY]
    peak = state[at.PEAK_EQUITY]
    below, above = quiet_range_nb(state, terms, open_trades)
    exposed = 0
    bar = from_bar
    while bar < until_bar and closed <= room:
        if pending == at.NO_OPINION and (bar > 1 or not asks_late):
            first = bar
            while bar < until_bar and signals[bar] == at.NO_OPINION and low[bar] > below and high[bar] < above:
                bar += 1
            higher = 0
            for quiet in range(first, bar):  # apart from the search, so that it is done several bars at a time
                value = cash + net * close[quiet]
                equity[quiet] = value
                higher += value > peak
            if higher > 0:
                peak = _highest_nb(equity, first, bar, peak)
            if net != 0.0:
                exposed += bar - first
            if bar == until_bar:
                break
        before = max(bar - 1, 0)
        reached = low[bar] <= state[at.TRIGGER_BELOW] or high[bar] >= state[at.TRIGGER_ABOVE]
        lost = reached and terms[at.STOP_LOSES_ORDER] != 0.0
        fresh = False
        if pending != at.NO_OPINION and not lost:
            _take_numbers_nb(terms, numbers, before)
            fill_order_nb(
                state, terms, open_trades, closed_trades, pending, bar, open_[bar], close[before], true_range[before]
            )
            fresh = levels_later and state[at.OPEN_TRADES] > 0.0 and open_trades[0, at.ENTRY_BAR] == bar
            reached = low[bar] <= state[at.TRIGGER_BELOW] or high[bar] >= state[at.TRIGGER_ABOVE]
        if state[at.OPEN_TRADES] > 0.0:
            exposed += 1
        if reached and not fresh:
            check_levels_nb(state, terms, open_trades, closed_trades, bar, open_[bar], high[bar], low[bar])
        if trailing and not fresh:
            follow_nb(state, terms, open_trades, high[bar], low[bar])
        pending = _opinion_nb(signals, bar, at_close) if asks_late else signals[bar]
        if pending != at.NO_OPINION and at_close:
            if not lost:
                _take_numbers_nb(terms, numbers, bar)
                fill_order_nb(
                    state, terms, open_trades, closed_trades, pending, bar, close[bar], close[bar], true_range[bar]
                )
            pending = at.NO_OPINION
        if terms[at.LEVEL_BASIS] == at.FROM_ENTRY_CLOSE:
            measure_from_close_nb(state, terms, open_trades, bar, close[bar], true_range[bar])
        cash = state[at.CASH]
        net = state[at.NET_QUANTITY]
        below, above = quiet_range_nb(state, terms, open_trades)
        closed = int(state[at.CLOSED_TRADES])
        equity[bar] = cash + net * close[bar]
        peak = max(peak, equity[bar])
        bar += 1
    state[at.PENDING] = pending
    state[at.BARS_EXPOSED] += exposed
    if bar > from_bar:
        state[at.EQUITY] = equity[bar - 1]
        state[at.PEAK_EQUITY] = peak
    return bar, closed


# What `advance_nb` is told: where its arrays are, and how long they are.
_ARRAYS = 12
_TOTAL_BARS, _OPEN_ROWS, _CLOSED_ROWS, _NUMBER_ROWS = _ARRAYS, _ARRAYS + 1, _ARRAYS + 2, _ARRAYS + 3
_PLACES = _ARRAYS + 4


def place(
    bars: Bars,
    signals: NDArray[np.int8],
    numbers: Floats,
    true_range: Floats,
    equity: Floats,
    state: Floats,
    terms: Floats,
    open_trades: Floats,
    closed_trades: Floats,
) -> NDArray[np.int64]:
    """The addresses and lengths `advance_nb` wants. Contiguous arrays only; the caller keeps them all alive.

    Handed the arrays, numba would look up each of them at every call, which takes as long as a hundred bars.
    """
    prices = (bars.open, bars.high, bars.low, bars.close)
    arrays = (*prices, signals, numbers, true_range, equity, state, terms, open_trades, closed_trades)
    lengths = (equity.shape[0], open_trades.shape[0], closed_trades.shape[0], numbers.shape[0])
    return np.array([*(array.ctypes.data for array in arrays), *lengths], np.int64)


def _type_pointer(_: Any, address: Any) -> Any:
    """How numba turns an address into a pointer; called while it compiles."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(types.voidptr))

    return types.voidptr(address), generate


_pointer: Any = intrinsic(_type_pointer)


@njit(nogil=True, cache=True)
def advance_nb(places_address: int, from_bar: int, until_bar: int) -> tuple[int, int]:
    """Runs bars `from_bar` to `until_bar` (exclusive) of the run whose `place` is at that address; see `_fold_nb`."""
    places = carray(_pointer(places_address), (_PLACES,), np.int64)
    bars = (places[_TOTAL_BARS],)
    return _fold_nb(
        carray(_pointer(places[0]), bars, np.float64),
        carray(_pointer(places[1]), bars, np.float64),
        carray(_pointer(places[2]), bars, np.float64),
        carray(_pointer(places[3]), bars, np.float64),
        carray(_pointer(places[4]), bars, np.int8),
        carray(_pointer(places[5]), (places[_NUMBER_ROWS], at.NUMBER_SLOTS), np.float64),
        carray(_pointer(places[6]), bars, np.float64),
        carray(_pointer(places[7]), bars, np.float64),
        carray(_pointer(places[8]), (at.STATE_SLOTS,), np.float64),
        carray(_pointer(places[9]), (at.TERM_SLOTS,), np.float64),
        carray(_pointer(places[10]), (places[_OPEN_ROWS], at.OPEN_TRADE_SLOTS), np.float64),
        carray(_pointer(places[11]), (places[_CLOSED_ROWS], at.CLOSED_TRADE_SLOTS), np.float64),
        from_bar,
        until_bar,
    )
