"""Orders at the market, compiled: what they close and open, and what of it the account remembers."""

from __future__ import annotations

import numpy as np
from numba import njit

from worker.engine import layout as at
from worker.engine.fills import (
    Floats,
    distance_nb,
    fee_nb,
    level_nb,
    market_fill_nb,
    size_by_exposure_nb,
    size_by_profile_nb,
    size_when_decided_nb,
)


@njit(nogil=True, cache=True)
def book_exit_nb(
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
def refresh_nb(state: Floats, terms: Floats, open_trades: Floats) -> None:
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
def remove_nb(state: Floats, terms: Floats, open_trades: Floats, i: int) -> None:
    """Takes open trade `i` out; those after it move up."""
    left = int(state[at.OPEN_TRADES]) - 1
    for k in range(i, left):
        for slot in range(at.OPEN_TRADE_SLOTS):
            open_trades[k, slot] = open_trades[k + 1, slot]
    state[at.OPEN_TRADES] = left
    refresh_nb(state, terms, open_trades)


@njit(nogil=True, cache=True)
def close_all_nb(
    state: Floats, terms: Floats, open_trades: Floats, closed_trades: Floats, bar: int, price: float, reason: int
) -> None:
    """Closes every open trade at the market. At most MAX_OPEN_TRADES rows are written."""
    for i in range(int(state[at.OPEN_TRADES])):
        fill = market_fill_nb(terms, price, -open_trades[i, at.DIRECTION], at.EXIT_COST_SHARE)
        book_exit_nb(state, terms, open_trades, closed_trades, i, bar, fill, reason)
    state[at.OPEN_TRADES] = 0.0
    refresh_nb(state, terms, open_trades)


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
    """Opens one trade with its levels, or counts the order as unfilled: no money, or no true range to measure with.

    A stop that came with the order and that the market has passed closes what opens here, but measures no risk.
    """
    price = market_fill_nb(terms, market, direction, at.ENTRY_COST_SHARE)
    basis = decided if terms[at.LEVEL_BASIS] == at.FROM_DECIDING_CLOSE else price
    i = int(state[at.OPEN_TRADES])
    risk = set_levels_nb(terms, open_trades[i], basis, true_range, direction)
    quantity = 0.0
    if terms[at.SIZE_RULE] == at.BY_WHOLE_UNITS and not _is_in_order_nb(terms, open_trades[i], decided, direction):
        quantity = 0.0
    elif terms[at.SIZE_RULE] != at.BY_EXPOSURE:
        quantity = size_by_profile_nb(state, terms, market, price, direction, decided_quantity)
    elif risk > 0.0 or (risk <= 0.0 and _is_sized_anyhow_nb(terms)):
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
    refresh_nb(state, terms, open_trades)


@njit(nogil=True, cache=True)
def _is_sized_anyhow_nb(terms: Floats) -> bool:
    """Whether the stop came with the order and its size does not depend on it."""
    return terms[at.ORDER_STOP] > 0.0 and (terms[at.SIZING_MODE] != at.RISK_FRACTION or terms[at.ORDER_SIZE] > 0.0)


@njit(nogil=True, cache=True)
def _is_in_order_nb(terms: Floats, trade: Floats, decided: float, direction: float) -> bool:
    """Whether the levels of a trade that is about to open are not below zero and on both sides of the deciding close.

    The close is what that order would have paid there: a target inside the spread is on no side.
    """
    asked = market_fill_nb(terms, decided, direction, at.ENTRY_COST_SHARE)
    stop, target = trade[at.STOP_PRICE], trade[at.TARGET_PRICE]
    if (terms[at.STOP_KIND] != at.NO_LEVEL and stop < 0.0) or (terms[at.TARGET_KIND] != at.NO_LEVEL and target < 0.0):
        return False
    return direction * stop < direction * asked < direction * target


@njit(nogil=True, cache=True)
def set_levels_nb(terms: Floats, trade: Floats, basis: float, true_range: float, direction: float) -> float:
    """Writes stop, target and trailing stop measured from `basis` into the row of an open trade.

    A stop or target that came with the order stands as it is. Returns the distance to the nearer stop, infinite for
    none; NaN where there is no true range to measure with.
    """
    stop_distance = distance_nb(terms[at.STOP_KIND], terms[at.STOP_SIZE], basis, true_range)
    target_distance = distance_nb(terms[at.TARGET_KIND], terms[at.TARGET_SIZE], basis, true_range)
    trail_distance = distance_nb(terms[at.TRAIL_KIND], terms[at.TRAIL_SIZE], basis, true_range)
    stop = level_nb(terms, terms[at.STOP_KIND], stop_distance, basis, -direction)
    target = level_nb(terms, terms[at.TARGET_KIND], target_distance, basis, direction)
    trail = level_nb(terms, terms[at.TRAIL_KIND], trail_distance, basis, -direction)
    if terms[at.ORDER_STOP] > 0.0:
        stop_distance = 0.0  # whatever it would be measured with is not needed
        stop = level_nb(terms, at.PRICE_DISTANCE, 0.0, terms[at.ORDER_STOP], -direction)
    if terms[at.ORDER_TARGET] > 0.0:
        target_distance = 0.0
        target = level_nb(terms, at.PRICE_DISTANCE, 0.0, terms[at.ORDER_TARGET], direction)
    trade[at.STOP_PRICE] = stop
    trade[at.TARGET_PRICE] = target
    trade[at.TRAIL_PRICE] = trail
    trade[at.TRAIL_STEP] = terms[at.TRAIL_SIZE] if terms[at.TRAIL_KIND] == at.SHARE_OF_PRICE else trail_distance
    if not (stop_distance >= 0.0 and target_distance >= 0.0 and trail_distance >= 0.0):
        return np.nan
    return direction * (basis - (max(stop, trail) if direction > 0.0 else min(stop, trail)))


@njit(nogil=True, cache=True)
def fill_order_nb(
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

    `decided` and `true_range` are the close and the average true range when the order was decided. What came with it
    stands in the terms.
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
    if bar >= terms[at.OPENS_BEFORE_BAR] or direction == at.BE_FLAT:
        return
    if state[at.OPEN_TRADES] < terms[at.MAX_OPEN_TRADES]:
        _open_trade_nb(state, terms, open_trades, bar, market, decided, true_range, direction, reason, decided_quantity)
