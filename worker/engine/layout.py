"""The words of the engine's arrays: what each slot of the state, of an open trade and of a closed trade means.

Everything the bar loop knows stands in float64 arrays, so that it can be handed in, handed back, set aside and digested
without a single conversion. Counts are exact below 2^53. Another layout is another `FOLD_VERSION`.
"""

from __future__ import annotations

from shared.reasons import Reason
from shared.strategies.signals import BE_FLAT, BE_LONG, BE_SHORT, NO_OPINION

__all__ = ["BE_FLAT", "BE_LONG", "BE_SHORT", "NO_OPINION"]


# Plain ints: numba freezes module globals into the compiled kernel, and an IntEnum member would cost a conversion.
SIGNAL = int(Reason.SIGNAL)
STOP_LOSS = int(Reason.STOP_LOSS)
TAKE_PROFIT = int(Reason.TAKE_PROFIT)
TRAILING_STOP = int(Reason.TRAILING_STOP)
REVERSAL = int(Reason.REVERSAL)
LIQUIDATION = int(Reason.LIQUIDATION)

# The state: what the loop carries from one bar to the next.
CASH = 0
PENDING = 1  # the order decided at the previous close, or NO_OPINION
OPEN_TRADES = 2
CLOSED_TRADES = 3
NET_QUANTITY = 4  # sum of direction x quantity over open trades
TRIGGER_BELOW = 5  # the nearest level or liquidation under the market: a bar whose low stays above it is passed over
TRIGGER_ABOVE = 6
FEES = 7
REALISED = 8
TRADES_WON = 9
TRADES_LOST = 10
EQUITY = 11
BARS_EXPOSED = 12
BARS_AMBIGUOUS = 13
ORDERS_UNFILLED = 14
LIQUIDATION_PRICE = 15  # where equity meets the maintenance margin; below zero or infinite where it never does
PEAK_EQUITY = 16  # the highest at any close so far, the initial capital included
STATE_SLOTS = 17

# The terms: numbers of the configuration, constant during a run; and those that the order at hand came with.
SIZING_MODE = 0
SIZING_VALUE = 1
MAX_OPEN_TRADES = 2
ALLOW_SHORT = 3
STOP_KIND = 4
STOP_SIZE = 5
TARGET_KIND = 6
TARGET_SIZE = 7
TRAIL_KIND = 8
TRAIL_SIZE = 9
FEE_RATE = 10
FEE_FIXED = 11
FEE_MINIMUM = 12
ENTRY_COST_SHARE = 13  # slippage and half the spread, against the trade where it opens at the market,
EXIT_COST_SHARE = 14  # where it is closed at the market,
STOP_COST_SHARE = 15  # where a stop closes it,
TARGET_GAP_COST_SHARE = 16  # and where the market opens beyond its target
FILL_AT_CLOSE = 17
INTRABAR = 18
LOT_UNITS = 19  # a lot is units / scale, both whole; 0 units are none
TICK_UNITS = 20
LEVERAGE = 21
MAINTENANCE_SHARE = 22  # of exposure; equity at or below it is liquidated
SIZE_RULE = 23
LEVEL_BASIS = 24
LEVELS_FROM_NEXT_BAR = 25  # stops and targets are looked at from the bar after the entry on
STOP_LOSES_ORDER = 26  # levels are looked at before the order of the same bar, which a reached one cancels
ASKS_FROM_SECOND_BAR = 27  # where the opinion of the first still stands; and no order fills at the last close
OPENS_BEFORE_BAR = 28  # no trade opens from this bar on
LOT_SCALE = 29
TICK_SCALE = 30
ORDER_SIZE = 31  # share of equity
ORDER_STOP = 32  # a price, as the next
ORDER_TARGET = 33
TERM_SLOTS = 34

# What a decision may say of the trade that it opens, a row per bar where anybody decides; 0 where it says nothing.
NUMBER_SLOTS = 3  # as the last three terms

# Kinds of distance of a stop or a target from the price, and the size each is given in.
NO_LEVEL = 0
SHARE_OF_PRICE = 1
PRICE_DISTANCE = 2
TRUE_RANGES = 3  # multiples of the average true range when the order was decided

# Sizing modes.
EQUITY_FRACTION = 0
FIXED_QUANTITY = 1
FIXED_NOTIONAL = 2
RISK_FRACTION = 3

# Who decides how large a trade may be: margin, or the rules of a profile (see `shared.profiles`).
BY_EXPOSURE = 0
BY_WHOLE_UNITS = 1
BY_CASH = 2
BY_DECISION = 3

# The price that stops and targets are measured from.
FROM_FILL = 0
FROM_DECIDING_CLOSE = 1
FROM_ENTRY_CLOSE = 2

# Which end of a bar comes first.
STOP_FIRST = 0
TARGET_FIRST = 1
OHLC_PATH = 2
STOP_BEFORE_GAP = 3  # the stop even where the bar opened beyond the target

# The share that BY_WHOLE_UNITS takes for everything there is.
ALMOST_ALL = 1.0 - 2.0**-52

# One row per open trade.
ENTRY_BAR = 0
DIRECTION = 1
QUANTITY = 2
ENTRY_PRICE = 3
ENTRY_FEE = 4
ENTRY_REASON = 5
STOP_PRICE = 6
TARGET_PRICE = 7
TRAIL_PRICE = 8
TRAIL_STEP = 9  # how far the trailing stop stays behind: a distance, or a share of the price where TRAIL_KIND says so
OPEN_TRADE_SLOTS = 10

# One row per closed trade; the first four slots are those of the open trade.
EXIT_BAR = 4
EXIT_PRICE = 5
TRADE_FEES = 6
PNL = 7
CLOSED_ENTRY_REASON = 8
EXIT_REASON = 9
CLOSED_TRADE_SLOTS = 10

# Prices and quantities are on their grid when they are this near to it, as a share of themselves, but never further
# than that many steps.
GRID_SHARE = 1e-12
GRID_STEPS = 0.1
GRID_STEPS_MAX = 2.0**53  # from here on float64 has no digit between two steps

# A trailing stop may move this much before the price passes the best one so far, which its level tells so exactly.
BEST_SHARE = 1e-9

# An order worth less than this share of equity is the rounding left over from earlier fills, not an order.
DUST_SHARE = 1e-9
