"""Stops, targets and liquidation of open trades inside a bar, compiled."""

from __future__ import annotations

import numpy as np
from numba import njit

from worker.engine import layout as at
from worker.engine.fills import Floats, level_nb, market_fill_nb
from worker.engine.orders import book_exit_nb, close_all_nb, refresh_nb, set_levels_nb


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
        book_exit_nb(state, terms, open_trades, closed_trades, i, bar, fill, reason)
    if kept < total:
        state[at.OPEN_TRADES] = kept
        refresh_nb(state, terms, open_trades)


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
def check_levels_nb(
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
def measure_from_close_nb(
    state: Floats, terms: Floats, open_trades: Floats, bar: int, close: float, true_range: float
) -> None:
    """Sets the levels of a trade of this bar from the bar's close."""
    if state[at.OPEN_TRADES] > 0.0 and open_trades[0, at.ENTRY_BAR] == bar:
        set_levels_nb(terms, open_trades[0], close, true_range, open_trades[0, at.DIRECTION])
        refresh_nb(state, terms, open_trades)


@njit(nogil=True, cache=True)
def follow_nb(state: Floats, terms: Floats, open_trades: Floats, high: float, low: float) -> None:
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
        refresh_nb(state, terms, open_trades)


@njit(nogil=True, cache=True)
def quiet_range_nb(state: Floats, terms: Floats, open_trades: Floats) -> tuple[float, float]:
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
