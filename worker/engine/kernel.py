"""The bar loop: one resumable fold, compiled.

`_fold_nb` carries every number it needs from one bar to the next in `state` and `open_trades`, so running to bar a
and then to bar b leaves the same bits as running to b. fastmath stays off: reordered sums would break that.

Order inside one bar
1. Open: the order decided at the previous close fills at this open, plus slippage against the trade.
2. Inside: stops and targets of every open trade, also of one opened at this open. A bar that opens beyond a level fills
   at the open; both levels inside one bar fill the stop and count as ambiguous.
3. Close: the signal at this close becomes the order for the next bar.
4. Mark: equity = cash + net quantity x close. Equity of zero or less closes everything at this close.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numba.np.numpy_support import carray
from numpy.typing import NDArray

from shared.bars import Bars
from worker.engine import orders as o

Floats = NDArray[np.float64]


@njit(nogil=True, cache=True, inline="always")
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
    direction = open_trades[i, o.DIRECTION]
    quantity = open_trades[i, o.QUANTITY]
    fee = quantity * price * terms[o.FEE_RATE]
    fees = open_trades[i, o.ENTRY_FEE] + fee
    pnl = direction * quantity * (price - open_trades[i, o.ENTRY_PRICE]) - fees
    state[o.CASH] += direction * quantity * price - fee
    state[o.FEES] += fee
    state[o.REALISED] += pnl
    if pnl > 0.0:
        state[o.TRADES_WON] += 1.0
    elif pnl < 0.0:
        state[o.TRADES_LOST] += 1.0
    k = int(state[o.CLOSED_TRADES])
    closed_trades[k, o.ENTRY_BAR] = open_trades[i, o.ENTRY_BAR]
    closed_trades[k, o.DIRECTION] = direction
    closed_trades[k, o.QUANTITY] = quantity
    closed_trades[k, o.ENTRY_PRICE] = open_trades[i, o.ENTRY_PRICE]
    closed_trades[k, o.EXIT_BAR] = bar
    closed_trades[k, o.EXIT_PRICE] = price
    closed_trades[k, o.TRADE_FEES] = fees
    closed_trades[k, o.PNL] = pnl
    closed_trades[k, o.CLOSED_ENTRY_REASON] = open_trades[i, o.ENTRY_REASON]
    closed_trades[k, o.EXIT_REASON] = reason
    state[o.CLOSED_TRADES] = k + 1


@njit(nogil=True, cache=True, inline="always")
def _refresh_nb(state: Floats, open_trades: Floats) -> None:
    """Recomputes what the loop keeps about open trades. Summed afresh, so that no rounding is carried along."""
    net = 0.0
    below = -np.inf
    above = np.inf
    for i in range(int(state[o.OPEN_TRADES])):
        net += open_trades[i, o.DIRECTION] * open_trades[i, o.QUANTITY]
        if open_trades[i, o.DIRECTION] > 0.0:
            below = max(below, open_trades[i, o.STOP_PRICE])
            above = min(above, open_trades[i, o.TARGET_PRICE])
        else:
            below = max(below, open_trades[i, o.TARGET_PRICE])
            above = min(above, open_trades[i, o.STOP_PRICE])
    state[o.NET_QUANTITY] = net
    state[o.TRIGGER_BELOW] = below
    state[o.TRIGGER_ABOVE] = above


@njit(nogil=True, cache=True)
def close_all_nb(
    state: Floats, terms: Floats, open_trades: Floats, closed_trades: Floats, bar: int, price: float, reason: int
) -> None:
    """Closes every open trade at `price` less slippage against it. At most MAX_OPEN_TRADES rows are written."""
    slip = terms[o.SLIPPAGE_SHARE]
    for i in range(int(state[o.OPEN_TRADES])):
        fill = price * (1.0 - open_trades[i, o.DIRECTION] * slip)
        _book_exit_nb(state, terms, open_trades, closed_trades, i, bar, fill, reason)
    state[o.OPEN_TRADES] = 0.0
    _refresh_nb(state, open_trades)


@njit(nogil=True, cache=True, inline="always")
def _open_trade_nb(
    state: Floats, terms: Floats, open_trades: Floats, bar: int, open_price: float, direction: int, reason: int
) -> None:
    """Opens one trade of a share of equity, cut so that gross exposure plus costs stays within equity.

    With q units at price p = open x (1 + direction x slip), marked at the open, equity falls by q x |p - open| and the
    fee q x p x rate, and exposure rises by q x open. Long or short, this bounds q by
    (equity - exposure) / (open x (1 + slip) + p x rate).
    """
    slip = terms[o.SLIPPAGE_SHARE]
    exposure = abs(state[o.NET_QUANTITY]) * open_price  # open trades all point the same way
    equity = state[o.CASH] + state[o.NET_QUANTITY] * open_price
    price = open_price * (1.0 + direction * slip)
    fee_rate = terms[o.FEE_RATE]
    affordable = (equity - exposure) / (open_price * (1.0 + slip) + price * fee_rate)
    quantity = min(equity * terms[o.SHARE_OF_EQUITY] / price, affordable)
    if not quantity * price > max(o.DUST_SHARE * equity, 0.0):
        state[o.ORDERS_UNFILLED] += 1.0
        return
    fee = quantity * price * fee_rate
    state[o.CASH] -= direction * quantity * price + fee
    state[o.FEES] += fee
    i = int(state[o.OPEN_TRADES])
    open_trades[i, o.ENTRY_BAR] = bar
    open_trades[i, o.DIRECTION] = direction
    open_trades[i, o.QUANTITY] = quantity
    open_trades[i, o.ENTRY_PRICE] = price
    open_trades[i, o.ENTRY_FEE] = fee
    open_trades[i, o.ENTRY_REASON] = reason
    stop = terms[o.STOP_SHARE]
    target = terms[o.TARGET_SHARE]
    open_trades[i, o.STOP_PRICE] = price * (1.0 - direction * stop) if stop > 0.0 else -direction * np.inf
    open_trades[i, o.TARGET_PRICE] = price * (1.0 + direction * target) if target > 0.0 else direction * np.inf
    state[o.OPEN_TRADES] = i + 1
    _refresh_nb(state, open_trades)


@njit(nogil=True, cache=True, inline="always")
def _fill_order_nb(
    state: Floats, terms: Floats, open_trades: Floats, closed_trades: Floats, bar: int, open_price: float
) -> None:
    """Fills the pending order at the open: trades that point elsewhere close, then one opens if there is room."""
    wanted = int(state[o.PENDING])
    direction = wanted
    if wanted == o.BE_SHORT and terms[o.ALLOW_SHORT] == 0.0:
        direction = o.BE_FLAT
    reason = o.SIGNAL
    if state[o.OPEN_TRADES] > 0.0 and open_trades[0, o.DIRECTION] != direction:
        reason = o.SIGNAL if direction == o.BE_FLAT else o.REVERSAL
        close_all_nb(state, terms, open_trades, closed_trades, bar, open_price, reason)
    if direction != o.BE_FLAT and state[o.OPEN_TRADES] < terms[o.MAX_OPEN_TRADES]:
        _open_trade_nb(state, terms, open_trades, bar, open_price, direction, reason)


@njit(nogil=True, cache=True, inline="always")
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
    """Closes what reached its stop or its target inside this bar. A stop is a market order, a target a limit order."""
    slip = terms[o.SLIPPAGE_SHARE]
    kept = 0
    ambiguous = False
    for i in range(int(state[o.OPEN_TRADES])):
        direction = open_trades[i, o.DIRECTION]
        stop = open_trades[i, o.STOP_PRICE]
        target = open_trades[i, o.TARGET_PRICE]
        if direction > 0.0:
            stop_gapped, target_gapped = open_price <= stop, open_price >= target
            stop_hit, target_hit = low <= stop, high >= target
        else:
            stop_gapped, target_gapped = open_price >= stop, open_price <= target
            stop_hit, target_hit = high >= stop, low <= target
        if stop_gapped:
            fill, reason = open_price * (1.0 - direction * slip), o.STOP_LOSS
        elif target_gapped:
            fill, reason = open_price, o.TAKE_PROFIT
        elif stop_hit:
            fill, reason = stop * (1.0 - direction * slip), o.STOP_LOSS
            ambiguous = ambiguous or target_hit
        elif target_hit:
            fill, reason = target, o.TAKE_PROFIT
        else:
            if kept != i:
                for slot in range(o.OPEN_TRADE_SLOTS):
                    open_trades[kept, slot] = open_trades[i, slot]
            kept += 1
            continue
        _book_exit_nb(state, terms, open_trades, closed_trades, i, bar, fill, reason)
    state[o.OPEN_TRADES] = kept
    if ambiguous:
        state[o.BARS_AMBIGUOUS] += 1.0
    _refresh_nb(state, open_trades)


@njit(nogil=True, cache=True, inline="always")
def _fold_nb(
    open_: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    signals: NDArray[np.int8],
    equity: Floats,
    state: Floats,
    terms: Floats,
    open_trades: Floats,
    closed_trades: Floats,
    from_bar: int,
    until_bar: int,
) -> tuple[int, int]:
    """Runs bars `from_bar` to `until_bar` (exclusive).

    Writes `equity[bar]` for each, new rows of `closed_trades`, and the state. Returns (next bar, closed trades), and
    early when `closed_trades` could not hold what one more bar may close: MAX_OPEN_TRADES and the one opened in it.
    """
    room = closed_trades.shape[0] - int(terms[o.MAX_OPEN_TRADES]) - 1
    closed = int(state[o.CLOSED_TRADES])
    pending = int(state[o.PENDING])
    cash = state[o.CASH]
    net = state[o.NET_QUANTITY]
    below = state[o.TRIGGER_BELOW]
    above = state[o.TRIGGER_ABOVE]
    peak = state[o.PEAK_EQUITY]
    exposed = 0
    bar = from_bar
    while bar < until_bar and closed <= room:
        changed = False
        if pending != o.NO_OPINION:
            state[o.PENDING] = pending
            _fill_order_nb(state, terms, open_trades, closed_trades, bar, open_[bar])
            net = state[o.NET_QUANTITY]
            below = state[o.TRIGGER_BELOW]
            above = state[o.TRIGGER_ABOVE]
            changed = True
        if net != 0.0:
            exposed += 1
        if low[bar] <= below or high[bar] >= above:
            _check_levels_nb(state, terms, open_trades, closed_trades, bar, open_[bar], high[bar], low[bar])
            changed = True
        if changed:
            cash = state[o.CASH]
            net = state[o.NET_QUANTITY]
            below = state[o.TRIGGER_BELOW]
            above = state[o.TRIGGER_ABOVE]
            closed = int(state[o.CLOSED_TRADES])
        pending = signals[bar]
        value = cash + net * close[bar]
        if value <= 0.0 and net != 0.0:
            close_all_nb(state, terms, open_trades, closed_trades, bar, close[bar], o.LIQUIDATION)
            cash = state[o.CASH]
            net = state[o.NET_QUANTITY]
            below = state[o.TRIGGER_BELOW]
            above = state[o.TRIGGER_ABOVE]
            closed = int(state[o.CLOSED_TRADES])
            value = cash
        equity[bar] = value
        peak = max(peak, value)
        bar += 1
    state[o.PENDING] = pending
    state[o.PEAK_EQUITY] = peak
    state[o.BARS_EXPOSED] += exposed
    if bar > from_bar:
        state[o.EQUITY] = equity[bar - 1]
    return bar, closed


# What `advance_nb` is told: where its arrays are, and how long they are.
_ARRAYS = 10
_TOTAL_BARS, _OPEN_ROWS, _CLOSED_ROWS = _ARRAYS, _ARRAYS + 1, _ARRAYS + 2


def place(
    bars: Bars,
    signals: NDArray[np.int8],
    equity: Floats,
    state: Floats,
    terms: Floats,
    open_trades: Floats,
    closed_trades: Floats,
) -> NDArray[np.int64]:
    """The addresses and lengths `advance_nb` wants. Contiguous arrays only; the caller keeps them all alive.

    Handed ten arrays, numba would look up each of them at every call, which takes as long as a hundred bars.
    """
    arrays = (bars.open, bars.high, bars.low, bars.close, signals, equity, state, terms, open_trades, closed_trades)
    lengths = (equity.shape[0], open_trades.shape[0], closed_trades.shape[0])
    return np.array([*(array.ctypes.data for array in arrays), *lengths], np.int64)


def _type_pointer(_: Any, address: Any) -> Any:
    """How numba turns an address into a pointer; called while it compiles."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(types.voidptr))

    return types.voidptr(address), generate


_pointer: Any = intrinsic(_type_pointer)


@njit(nogil=True, cache=True)
def advance_nb(places: NDArray[np.int64], from_bar: int, until_bar: int) -> tuple[int, int]:
    """Runs bars `from_bar` to `until_bar` (exclusive) of the run whose arrays stand at `places`; see `_fold_nb`."""
    bars = (places[_TOTAL_BARS],)
    return _fold_nb(
        carray(_pointer(places[0]), bars, np.float64),
        carray(_pointer(places[1]), bars, np.float64),
        carray(_pointer(places[2]), bars, np.float64),
        carray(_pointer(places[3]), bars, np.float64),
        carray(_pointer(places[4]), bars, np.int8),
        carray(_pointer(places[5]), bars, np.float64),
        carray(_pointer(places[6]), (o.STATE_SLOTS,), np.float64),
        carray(_pointer(places[7]), (o.TERM_SLOTS,), np.float64),
        carray(_pointer(places[8]), (places[_OPEN_ROWS], o.OPEN_TRADE_SLOTS), np.float64),
        carray(_pointer(places[9]), (places[_CLOSED_ROWS], o.CLOSED_TRADE_SLOTS), np.float64),
        from_bar,
        until_bar,
    )
