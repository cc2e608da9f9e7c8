"""The arithmetic of one fill, compiled: prices, levels, fees and quantities. Nothing here changes anything."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from worker.engine import layout as at

Floats = NDArray[np.float64]


@njit(nogil=True, cache=True, inline="always")
def market_fill_nb(terms: Floats, price: float, side: float, cost: int) -> float:
    """What a buyer (side +1) or a seller (-1) at the market pays: costs and the tick are against them.

    `cost` is the term that says how much: what the fill is for.
    """
    fill = price * (1.0 + side * terms[cost])
    return _on_tick_nb(terms, fill, side) if terms[at.TICK_UNITS] > 0.0 else fill


@njit(nogil=True, cache=True)
def _on_tick_nb(terms: Floats, price: float, side: float) -> float:
    """The next price of the grid upwards (side +1) or downwards (-1). A price below one tick has no grid and stays."""
    units, scale = terms[at.TICK_UNITS], terms[at.TICK_SCALE]
    return price if price * scale < units else _on_grid_nb(price, side, units, scale)


@njit(nogil=True, cache=True)
def _on_grid_nb(value: float, side: float, units: float, scale: float) -> float:
    """The next multiple of units / scale, upwards (side +1) or downwards (-1); `value` itself where it is one.

    One division makes it, correctly rounded: the number that its decimal digits would be read as.
    """
    steps = value * scale / units
    if not abs(steps) < at.GRID_STEPS_MAX:
        return value
    near = min(abs(steps) * at.GRID_SHARE, at.GRID_STEPS)
    steps = np.ceil(steps - near) if side > 0.0 else np.floor(steps + near)
    return steps * units / scale


@njit(nogil=True, cache=True, inline="always")
def fee_nb(terms: Floats, value: float) -> float:
    return max(value * terms[at.FEE_RATE] + terms[at.FEE_FIXED], terms[at.FEE_MINIMUM])


@njit(nogil=True, cache=True)
def distance_nb(kind: float, size: float, price: float, true_range: float) -> float:
    """How far from `price` a level of that kind lies; NaN while there is no average true range yet."""
    if kind == at.SHARE_OF_PRICE:
        return size * price
    return size * true_range if kind == at.TRUE_RANGES else size


@njit(nogil=True, cache=True)
def level_nb(terms: Floats, kind: float, distance: float, price: float, side: float) -> float:
    """`distance` above (side +1) or below (-1) `price`, rounded away from it to the tick; infinitely far for none."""
    if kind == at.NO_LEVEL:
        return side * np.inf
    level = price + side * distance
    return _on_tick_nb(terms, level, side) if terms[at.TICK_UNITS] > 0.0 else level


@njit(nogil=True, cache=True)
def size_by_exposure_nb(state: Floats, terms: Floats, market: float, price: float, risk: float) -> float:
    """Quantity of a new trade, cut so that gross exposure stays within leverage x equity after costs.

    With q units filled at `price` and marked at `market`, exposure rises by q x market and equity falls by
    q x |price - market| and the fee, the larger of q x price x rate + fixed and the minimum: one bound for each.
    """
    equity = state[at.CASH] + state[at.NET_QUANTITY] * market
    mode = terms[at.SIZING_MODE]
    wanted = terms[at.SIZING_VALUE]
    if terms[at.ORDER_SIZE] > 0.0:
        wanted = equity * terms[at.ORDER_SIZE] / price
    elif mode == at.EQUITY_FRACTION:
        wanted = equity * wanted / price
    elif mode == at.FIXED_NOTIONAL:
        wanted = wanted / price
    elif mode == at.RISK_FRACTION:
        wanted = equity * wanted / risk
    leverage = terms[at.LEVERAGE]
    exposure = abs(state[at.NET_QUANTITY]) * market  # open trades all point the same way
    per_unit = market + leverage * abs(price - market)
    by_rate = (leverage * (equity - terms[at.FEE_FIXED]) - exposure) / (
        per_unit + leverage * price * terms[at.FEE_RATE]
    )
    by_minimum = (leverage * (equity - terms[at.FEE_MINIMUM]) - exposure) / per_unit
    quantity = min(wanted, by_rate, by_minimum)
    if terms[at.LOT_UNITS] > 0.0:
        quantity = _on_grid_nb(quantity, -1.0, terms[at.LOT_UNITS], terms[at.LOT_SCALE])
    return quantity


@njit(nogil=True, cache=True)
def size_when_decided_nb(state: Floats, terms: Floats, decided: float, direction: int) -> float:
    """Quantity of an order under BY_DECISION: fixed at the deciding close, zero where cash would not pay for it there.

    Cash is what closing the open trade at that close would leave. For a short it must pay for all of its bracket, one
    after the other: what the sale brings, less what buying at the stop and then at the target would cost.
    """
    equity = state[at.CASH] + state[at.NET_QUANTITY] * decided
    quantity = terms[at.SIZING_VALUE]
    if terms[at.SIZING_MODE] == at.EQUITY_FRACTION:
        quantity = equity * quantity / decided
    rate = terms[at.FEE_RATE]
    left = equity - abs(state[at.NET_QUANTITY]) * decided * rate
    cost = quantity * decided
    left -= direction * cost + cost * rate
    if direction < 0 and terms[at.STOP_KIND] != at.NO_LEVEL and left >= 0.0:
        left -= (
            quantity * (decided + distance_nb(terms[at.STOP_KIND], terms[at.STOP_SIZE], decided, 0.0)) * (1.0 + rate)
        )
    if direction < 0 and terms[at.TARGET_KIND] != at.NO_LEVEL and left >= 0.0:
        target = decided - distance_nb(terms[at.TARGET_KIND], terms[at.TARGET_SIZE], decided, 0.0)
        left -= quantity * target * (1.0 + rate)
    return quantity if left >= 0.0 else 0.0


@njit(nogil=True, cache=True)
def size_by_profile_nb(
    state: Floats, terms: Floats, market: float, price: float, direction: int, decided_quantity: float
) -> float:
    """Quantity of a new trade by the rule of another program; no trade is open. `shared.profiles` has them in words."""
    cash = state[at.CASH]
    value = terms[at.SIZING_VALUE]
    is_share = terms[at.SIZING_MODE] == at.EQUITY_FRACTION
    rate = terms[at.FEE_RATE]
    fixed = terms[at.FEE_FIXED]
    if terms[at.SIZE_RULE] == at.BY_WHOLE_UNITS:
        margin = max(cash, 0.0) * terms[at.LEVERAGE]
        size = min(value / terms[at.LEVERAGE], at.ALMOST_ALL) if is_share else value
        unit_cost = price + (fixed + size * market * rate) / size
        if is_share:
            return (margin * size) // unit_cost
        return value if value * unit_cost <= margin else 0.0
    if terms[at.SIZE_RULE] == at.BY_DECISION:
        cost = decided_quantity * price
        return decided_quantity if direction < 0 or cash - cost - cost * rate >= 0.0 else 0.0
    wanted = value / market if terms[at.SIZING_MODE] == at.FIXED_NOTIONAL else value
    if direction < 0:
        return value * (cash - fixed) / (price * (1.0 + rate)) if is_share else wanted
    affordable = ((cash * value if is_share else cash) - fixed) / (1.0 + rate) / price
    return affordable if is_share else min(wanted, affordable)
