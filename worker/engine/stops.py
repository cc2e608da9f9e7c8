"""Stops, targets and liquidation of open trades inside a bar, compiled."""

from __future__ import annotations

import numpy as np
from numba import njit

from worker.engine import layout as at
from worker.engine.fills import Floats, level_nb, market_fill_nb
from worker.engine.orders import book_exit_nb, close_all_nb, refresh_nb, remove_nb, set_levels_nb


@njit(nogil=True, cache=True)
def _first_reached_nb(state: Floats, open_trades: Floats, open_price: float, worst: float, best: float) -> int:
    """The open trade whose level the market meets first on its way from the open, -1 for none: the oldest of several.

    Its stop is reached at `worst`, before liquidation, or its target at `best`. What lies behind the open is met there.
    """
    first = -1
    nearest = np.inf
    for i in range(int(state[at.OPEN_TRADES])):
        direction = open_trades[i, at.DIRECTION]
        stop = max(direction * open_trades[i, at.STOP_PRICE], direction * open_trades[i, at.TRAIL_PRICE])
        target = direction * open_trades[i, at.TARGET_PRICE]
        if direction * worst <= stop and stop >= direction * state[at.LIQUIDATION_PRICE]:
            away = direction * open_price - stop
        elif direction * best >= target:
            away = target - direction * open_price
        else:
            continue
        if max(away, 0.0) < nearest:
            first = i
            nearest = max(away, 0.0)
    return first


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
    """Closes, as the market meets them, trades whose stop is reached at `worst`, or whose target is at `best`.

    Pass infinities to look at one of the two only. A bar that opened beyond the level fills at its open. A stop is a
    market order, a target a limit order. A stop beyond the liquidation price is not reached; each exit moves that.
    """
    i = _first_reached_nb(state, open_trades, open_price, worst, best)
    while i >= 0:
        direction = open_trades[i, at.DIRECTION]
        stop = open_trades[i, at.STOP_PRICE]
        trail = open_trades[i, at.TRAIL_PRICE]
        reason = at.STOP_LOSS
        if direction * trail > direction * stop:
            stop = trail
            reason = at.TRAILING_STOP
        if direction * worst <= direction * stop and direction * stop >= direction * state[at.LIQUIDATION_PRICE]:
            price = open_price if direction * open_price < direction * stop else stop
            fill = market_fill_nb(terms, price, -direction, at.STOP_COST_SHARE)
        else:
            reason = at.TAKE_PROFIT
            fill = open_trades[i, at.TARGET_PRICE]
            if direction * open_price >= direction * fill:
                fill = open_price * (1.0 - direction * terms[at.TARGET_GAP_COST_SHARE])
        book_exit_nb(state, terms, open_trades, closed_trades, i, bar, fill, reason)
        remove_nb(state, terms, open_trades, i)
        i = _first_reached_nb(state, open_trades, open_price, worst, best)


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
    _close_reached_nb(state, terms, open_trades, closed_trades, bar, open_price, worst, -nowhere)
    if state[at.OPEN_TRADES] > 0.0 and direction * worst <= direction * state[at.LIQUIDATION_PRICE]:
        close_all_nb(state, terms, open_trades, closed_trades, bar, state[at.LIQUIDATION_PRICE], at.LIQUIDATION)
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
        level = level_nb(terms, terms[at.TRAIL_KIND], distance, best, -direction)
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
            above = min(above, best * (1.0 - at.BEST_SHARE))
        else:
            below = max(below, best * (1.0 + at.BEST_SHARE))
    return below, above
