"""The bar loop: one resumable fold, compiled.

`_fold_nb` carries every number it needs from one bar to the next in `state` and `open_trades`, so running to bar a
and then to bar b leaves the same bits as running to b. fastmath stays off: reordered sums would break that.

Order inside one bar
1. Open: the order decided at the previous close fills at this open, plus slippage and half the spread against it.
2. Inside: stops, targets and the liquidation price of every open trade, also of one opened at this open. A bar that
   opens beyond a level fills at the open. Both ends inside one bar: `intrabar` says which came first, and the bar
   counts as ambiguous. A stop before the liquidation price comes first. Then trailing stops follow the best price.
3. Close: the signal at this close becomes the order for the next bar, or fills here where orders fill at the close.
4. Mark: equity = cash + net quantity x close.

Liquidation is judged at the worst price of every bar; no mark is worse than that, so the close needs no second look.
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
from worker.engine.fills import (
    distance_nb,
    fee_nb,
    level_nb,
    market_fill_nb,
    size_by_exposure_nb,
    size_by_profile_nb,
    size_when_decided_nb,
)

Floats = NDArray[np.float64]


@njit(nogil=True, cache=True)
def _book_exit_nb(
    state: Floats,
    terms: Floats,
    open_trades: Floats,
    closed_trades: Floats,
    i: int,
    bar: int,
    price: float,
    reason: int,
) -> None:
    """Moves open trade `i` into the closed rows at `price`. The caller removes it and refreshes the state."""
    direction = open_trades[i, at.DIRECTION]
    quantity = open_trades[i, at.QUANTITY]
    fee = fee_nb(terms, quantity * price)
    fees = open_trades[i, at.ENTRY_FEE] + fee
    pnl = direction * quantity * (price - open_trades[i, at.ENTRY_PRICE]) - fees
    state[at.CASH] += direction * quantity * price - fee
    state[at.FEES] += fee
    state[at.REALISED] += pnl
    if pnl > 0.0:
        state[at.TRADES_WON] += 1.0
    elif pnl < 0.0:
        state[at.TRADES_LOST] += 1.0
    k = int(state[at.CLOSED_TRADES])
    closed_trades[k, at.ENTRY_BAR] = open_trades[i, at.ENTRY_BAR]
    closed_trades[k, at.DIRECTION] = direction
    closed_trades[k, at.QUANTITY] = quantity
    closed_trades[k, at.ENTRY_PRICE] = open_trades[i, at.ENTRY_PRICE]
    closed_trades[k, at.EXIT_BAR] = bar
    closed_trades[k, at.EXIT_PRICE] = price
    closed_trades[k, at.TRADE_FEES] = fees
    closed_trades[k, at.PNL] = pnl
    closed_trades[k, at.CLOSED_ENTRY_REASON] = open_trades[i, at.ENTRY_REASON]
    closed_trades[k, at.EXIT_REASON] = reason
    state[at.CLOSED_TRADES] = k + 1


@njit(nogil=True, cache=True)
def _refresh_nb(state: Floats, terms: Floats, open_trades: Floats) -> None:
    """Recomputes what the loop keeps about open trades. Summed afresh, so that no rounding is carried along.

    Equity at price P is cash + net x P and meets the maintenance margin m x |net| x P at P = -cash / (net - m x |net|).
    """
    net = 0.0
    below = -np.inf
    above = np.inf
    for i in range(int(state[at.OPEN_TRADES])):
        net += open_trades[i, at.DIRECTION] * open_trades[i, at.QUANTITY]
        if open_trades[i, at.DIRECTION] > 0.0:
            below = max(below, open_trades[i, at.STOP_PRICE], open_trades[i, at.TRAIL_PRICE])
            above = min(above, open_trades[i, at.TARGET_PRICE])
        else:
            below = max(below, open_trades[i, at.TARGET_PRICE])
            above = min(above, open_trades[i, at.STOP_PRICE], open_trades[i, at.TRAIL_PRICE])
    liquidation = np.inf
    if terms[at.SIZE_RULE] != at.BY_EXPOSURE:
        liquidation = -np.inf if net > 0.0 else np.inf  # other programs have none
    elif net != 0.0:
        liquidation = -state[at.CASH] / (net - terms[at.MAINTENANCE_SHARE] * abs(net))
        if net > 0.0:
            below = max(below, liquidation)
        else:
            above = min(above, liquidation)
    state[at.NET_QUANTITY] = net
    state[at.TRIGGER_BELOW] = below
    state[at.TRIGGER_ABOVE] = above
    state[at.LIQUIDATION_PRICE] = liquidation


@njit(nogil=True, cache=True)
def close_all_nb(
    state: Floats, terms: Floats, open_trades: Floats, closed_trades: Floats, bar: int, price: float, reason: int
) -> None:
    """Closes every open trade at the market. At most MAX_OPEN_TRADES rows are written."""
    for i in range(int(state[at.OPEN_TRADES])):
        fill = market_fill_nb(terms, price, -open_trades[i, at.DIRECTION], at.EXIT_COST_SHARE)
        _book_exit_nb(state, terms, open_trades, closed_trades, i, bar, fill, reason)
    state[at.OPEN_TRADES] = 0.0
    _refresh_nb(state, terms, open_trades)


@njit(nogil=True, cache=True)
def _open_trade_nb(
    state: Floats,
    terms: Floats,
    open_trades: Floats,
    bar: int,
    market: float,
    decided: float,
    true_range: float,
    direction: int,
    reason: int,
    decided_quantity: float,
) -> None:
    """Opens one trade with its levels, or counts the order as unfilled: no money, or no true range to measure with."""
    price = market_fill_nb(terms, market, direction, at.ENTRY_COST_SHARE)
    basis = decided if terms[at.LEVEL_BASIS] == at.FROM_DECIDING_CLOSE else price
    i = int(state[at.OPEN_TRADES])
    risk = _set_levels_nb(terms, open_trades[i], basis, true_range, direction)
    quantity = 0.0
    if terms[at.SIZE_RULE] != at.BY_EXPOSURE:
        quantity = size_by_profile_nb(state, terms, market, price, direction, decided_quantity)
    elif risk > 0.0:
        quantity = size_by_exposure_nb(state, terms, market, price, risk)
    worth = state[at.CASH] + state[at.NET_QUANTITY] * market
    if not quantity * price > max(at.DUST_SHARE * worth, 0.0):
        state[at.ORDERS_UNFILLED] += 1.0
        return
    fee = fee_nb(terms, quantity * price)
    state[at.CASH] -= direction * quantity * price + fee
    state[at.FEES] += fee
    open_trades[i, at.ENTRY_BAR] = bar
    open_trades[i, at.DIRECTION] = direction
    open_trades[i, at.QUANTITY] = quantity
    open_trades[i, at.ENTRY_PRICE] = price
    open_trades[i, at.ENTRY_FEE] = fee
    open_trades[i, at.ENTRY_REASON] = reason
    state[at.OPEN_TRADES] = i + 1
    _refresh_nb(state, terms, open_trades)


@njit(nogil=True, cache=True)
def _set_levels_nb(terms: Floats, trade: Floats, basis: float, true_range: float, direction: float) -> float:
    """Writes stop, target and trailing stop measured from `basis` into the row of an open trade.

    Returns the distance to the nearer stop, infinite for none; NaN where there is no true range to measure with.
    """
    tick = terms[at.TICK_SIZE]
    stop_distance = distance_nb(terms[at.STOP_KIND], terms[at.STOP_SIZE], basis, true_range)
    target_distance = distance_nb(terms[at.TARGET_KIND], terms[at.TARGET_SIZE], basis, true_range)
    trail_distance = distance_nb(terms[at.TRAIL_KIND], terms[at.TRAIL_SIZE], basis, true_range)
    stop = level_nb(terms[at.STOP_KIND], stop_distance, basis, -direction, tick)
    trail = level_nb(terms[at.TRAIL_KIND], trail_distance, basis, -direction, tick)
    trade[at.STOP_PRICE] = stop
    trade[at.TARGET_PRICE] = level_nb(terms[at.TARGET_KIND], target_distance, basis, direction, tick)
    trade[at.TRAIL_PRICE] = trail
    trade[at.TRAIL_STEP] = terms[at.TRAIL_SIZE] if terms[at.TRAIL_KIND] == at.SHARE_OF_PRICE else trail_distance
    if not (stop_distance >= 0.0 and target_distance >= 0.0 and trail_distance >= 0.0):
        return np.nan
    return direction * (basis - (max(stop, trail) if direction > 0.0 else min(stop, trail)))


@njit(nogil=True, cache=True)
def _fill_order_nb(
    state: Floats,
    terms: Floats,
    open_trades: Floats,
    closed_trades: Floats,
    wanted: int,
    bar: int,
    market: float,
    decided: float,
    true_range: float,
) -> None:
    """Fills an order at the price `market`: trades that point elsewhere close, then one opens if there is room.

    `decided` and `true_range` are the close and the average true range when the order was decided.
    """
    direction = wanted
    if wanted == at.BE_SHORT and terms[at.ALLOW_SHORT] == 0.0:
        direction = at.BE_FLAT
    decided_quantity = 0.0
    if terms[at.SIZE_RULE] == at.BY_DECISION:
        decided_quantity = size_when_decided_nb(state, terms, decided, direction)
    reason = at.SIGNAL
    if state[at.OPEN_TRADES] > 0.0 and open_trades[0, at.DIRECTION] != direction:
        reason = at.SIGNAL if direction == at.BE_FLAT else at.REVERSAL
        close_all_nb(state, terms, open_trades, closed_trades, bar, market, reason)
    if direction != at.BE_FLAT and state[at.OPEN_TRADES] < terms[at.MAX_OPEN_TRADES]:
        _open_trade_nb(state, terms, open_trades, bar, market, decided, true_range, direction, reason, decided_quantity)


@njit(nogil=True, cache=True)
def _close_reached_nb(
    state: Floats,
    terms: Floats,
    open_trades: Floats,
    closed_trades: Floats,
    bar: int,
    open_price: float,
    worst: float,
    best: float,
) -> None:
    """Closes the trades whose stop is reached at `worst` before liquidation, or whose target is reached at `best`.

    Pass infinities to look at one of the two only. A bar that opened beyond the level fills at its open. A stop is a
    market order, a target a limit order.
    """
    kept = 0
    total = int(state[at.OPEN_TRADES])
    liquidation = state[at.LIQUIDATION_PRICE]
    for i in range(total):
        direction = open_trades[i, at.DIRECTION]
        stop = open_trades[i, at.STOP_PRICE]
        trail = open_trades[i, at.TRAIL_PRICE]
        reason = at.STOP_LOSS
        if direction * trail > direction * stop:
            stop = trail
            reason = at.TRAILING_STOP
        fill = target = open_trades[i, at.TARGET_PRICE]
        if direction * worst <= direction * stop and direction * stop >= direction * liquidation:
            price = open_price if direction * open_price < direction * stop else stop
            fill = market_fill_nb(terms, price, -direction, at.STOP_COST_SHARE)
        elif direction * best >= direction * target:
            if direction * open_price > direction * target:
                fill = open_price * (1.0 - direction * terms[at.TARGET_GAP_COST_SHARE])
            reason = at.TAKE_PROFIT
        else:
            if kept != i:
                for slot in range(at.OPEN_TRADE_SLOTS):
                    open_trades[kept, slot] = open_trades[i, slot]
            kept += 1
            continue
        _book_exit_nb(state, terms, open_trades, closed_trades, i, bar, fill, reason)
    if kept < total:
        state[at.OPEN_TRADES] = kept
        _refresh_nb(state, terms, open_trades)


@njit(nogil=True, cache=True)
def _is_ambiguous_nb(state: Floats, open_trades: Floats, worst: float, best: float) -> bool:
    """Whether one trade reaches both ends inside a bar, so that the order of the two is a guess."""
    for i in range(int(state[at.OPEN_TRADES])):
        direction = open_trades[i, at.DIRECTION]
        if direction * best < direction * open_trades[i, at.TARGET_PRICE]:
            continue
        stop = max(direction * open_trades[i, at.STOP_PRICE], direction * open_trades[i, at.TRAIL_PRICE])
        if direction * worst <= max(stop, direction * state[at.LIQUIDATION_PRICE]):
            return True
    return False


@njit(nogil=True, cache=True)
def _check_levels_nb(
    state: Floats,
    terms: Floats,
    open_trades: Floats,
    closed_trades: Floats,
    bar: int,
    open_price: float,
    high: float,
    low: float,
) -> None:
    """Closes what reached its stop, its target or its liquidation inside this bar."""
    direction = 1.0 if state[at.NET_QUANTITY] > 0.0 else -1.0
    worst, best = (low, high) if direction > 0.0 else (high, low)
    if direction * open_price <= direction * state[at.LIQUIDATION_PRICE]:
        close_all_nb(state, terms, open_trades, closed_trades, bar, open_price, at.LIQUIDATION)
        return
    nowhere = direction * np.inf  # as a worst price it reaches no stop, and its opposite as a best price no target
    if terms[at.INTRABAR] != at.STOP_BEFORE_GAP:
        _close_reached_nb(state, terms, open_trades, closed_trades, bar, open_price, open_price, open_price)
    if _is_ambiguous_nb(state, open_trades, worst, best):
        state[at.BARS_AMBIGUOUS] += 1.0
    best_first = terms[at.INTRABAR] == at.TARGET_FIRST
    if terms[at.INTRABAR] == at.OHLC_PATH:
        best_first = (high - open_price < open_price - low) == (direction > 0.0)
    if best_first:
        _close_reached_nb(state, terms, open_trades, closed_trades, bar, open_price, nowhere, best)
    while state[at.OPEN_TRADES] > 0.0:  # a stop that closes one trade moves the liquidation price of the others
        before = state[at.OPEN_TRADES]
        _close_reached_nb(state, terms, open_trades, closed_trades, bar, open_price, worst, -nowhere)
        if state[at.OPEN_TRADES] < before:
            continue
        if direction * worst <= direction * state[at.LIQUIDATION_PRICE]:
            price = state[at.LIQUIDATION_PRICE]
            close_all_nb(state, terms, open_trades, closed_trades, bar, price, at.LIQUIDATION)
        break
    if not best_first:
        _close_reached_nb(state, terms, open_trades, closed_trades, bar, open_price, nowhere, best)


@njit(nogil=True, cache=True)
def _measure_from_close_nb(
    state: Floats, terms: Floats, open_trades: Floats, bar: int, close: float, true_range: float
) -> None:
    """Sets the levels of a trade of this bar from the bar's close."""
    if state[at.OPEN_TRADES] > 0.0 and open_trades[0, at.ENTRY_BAR] == bar:
        _set_levels_nb(terms, open_trades[0], close, true_range, open_trades[0, at.DIRECTION])
        _refresh_nb(state, terms, open_trades)


@njit(nogil=True, cache=True)
def _follow_nb(state: Floats, terms: Floats, open_trades: Floats, high: float, low: float) -> None:
    """Moves trailing stops after the best price of this bar; never back."""
    moved = False
    for i in range(int(state[at.OPEN_TRADES])):
        direction = open_trades[i, at.DIRECTION]
        best = high if direction > 0.0 else low
        step = open_trades[i, at.TRAIL_STEP]
        distance = step * best if terms[at.TRAIL_KIND] == at.SHARE_OF_PRICE else step
        level = level_nb(terms[at.TRAIL_KIND], distance, best, -direction, terms[at.TICK_SIZE])
        if direction * level > direction * open_trades[i, at.TRAIL_PRICE]:
            open_trades[i, at.TRAIL_PRICE] = level
            moved = True
    if moved:
        _refresh_nb(state, terms, open_trades)


@njit(nogil=True, cache=True)
def _opinion_nb(signals: NDArray[np.int8], bar: int, at_close: bool) -> int:
    """What becomes an order at this close under ASKS_FROM_SECOND_BAR."""
    if bar == 0 or (at_close and bar == signals.shape[0] - 1):
        return at.NO_OPINION
    return signals[0] if bar == 1 and signals[1] == at.NO_OPINION else signals[bar]


@njit(nogil=True, cache=True)
def _quiet_range_nb(state: Floats, terms: Floats, open_trades: Floats) -> tuple[float, float]:
    """Between these prices nothing happens to open trades: no level is reached and no trailing stop moves.

    A trailing stop may move once the price passes the best one so far, which its level tells to the last digits.
    """
    below, above = state[at.TRIGGER_BELOW], state[at.TRIGGER_ABOVE]
    if terms[at.TRAIL_KIND] == at.NO_LEVEL:
        return below, above
    for i in range(int(state[at.OPEN_TRADES])):
        direction = open_trades[i, at.DIRECTION]
        step = open_trades[i, at.TRAIL_STEP]
        level = open_trades[i, at.TRAIL_PRICE]
        best = level + direction * step
        if terms[at.TRAIL_KIND] == at.SHARE_OF_PRICE:
            best = level / (1.0 - direction * step)
        if direction > 0.0:
            above = min(above, best * (1.0 - at.GRID_TOLERANCE))
        else:
            below = max(below, best * (1.0 + at.GRID_TOLERANCE))
    return below, above


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
    levels_first = terms[at.STOP_LOSES_ORDER] != 0.0
    levels_later = terms[at.LEVELS_FROM_NEXT_BAR] != 0.0
    asks_late = terms[at.ASKS_FROM_SECOND_BAR] != 0.0
    basis_is_close = terms[at.LEVEL_BASIS] == at.FROM_ENTRY_CLOSE
    closed = int(state[at.CLOSED_TRADES])
    pending = int(state[at.PENDING])
    cash = state[at.CASH]
    net = state[at.NET_QUANTITY]
    peak = state[at.PEAK_EQUITY]
    below, above = _quiet_range_nb(state, terms, open_trades)
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
        lost = levels_first and reached
        fresh = False
        if pending != at.NO_OPINION and not lost:
            _fill_order_nb(
                state, terms, open_trades, closed_trades, pending, bar, open_[bar], close[before], true_range[before]
            )
            fresh = levels_later and state[at.OPEN_TRADES] > 0.0 and open_trades[0, at.ENTRY_BAR] == bar
            reached = low[bar] <= state[at.TRIGGER_BELOW] or high[bar] >= state[at.TRIGGER_ABOVE]
        if state[at.OPEN_TRADES] > 0.0:
            exposed += 1
        if reached and not fresh:
            _check_levels_nb(state, terms, open_trades, closed_trades, bar, open_[bar], high[bar], low[bar])
        if trailing and not fresh:
            _follow_nb(state, terms, open_trades, high[bar], low[bar])
        pending = _opinion_nb(signals, bar, at_close) if asks_late else signals[bar]
        if pending != at.NO_OPINION and at_close:
            if not lost:
                _fill_order_nb(
                    state, terms, open_trades, closed_trades, pending, bar, close[bar], close[bar], true_range[bar]
                )
            pending = at.NO_OPINION
        if basis_is_close:
            _measure_from_close_nb(state, terms, open_trades, bar, close[bar], true_range[bar])
        cash = state[at.CASH]
        net = state[at.NET_QUANTITY]
        below, above = _quiet_range_nb(state, terms, open_trades)
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
_ARRAYS = 11
_TOTAL_BARS, _OPEN_ROWS, _CLOSED_ROWS = _ARRAYS, _ARRAYS + 1, _ARRAYS + 2
_PLACES = _ARRAYS + 3


def place(
    bars: Bars,
    signals: NDArray[np.int8],
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
    arrays = (*prices, signals, true_range, equity, state, terms, open_trades, closed_trades)
    lengths = (equity.shape[0], open_trades.shape[0], closed_trades.shape[0])
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
        carray(_pointer(places[5]), bars, np.float64),
        carray(_pointer(places[6]), bars, np.float64),
        carray(_pointer(places[7]), (at.STATE_SLOTS,), np.float64),
        carray(_pointer(places[8]), (at.TERM_SLOTS,), np.float64),
        carray(_pointer(places[9]), (places[_OPEN_ROWS], at.OPEN_TRADE_SLOTS), np.float64),
        carray(_pointer(places[10]), (places[_CLOSED_ROWS], at.CLOSED_TRADE_SLOTS), np.float64),
        from_bar,
        until_bar,
    )
