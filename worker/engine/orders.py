"""The words of the engine's arrays: what each slot of the state, of an open trade and of a closed trade means.

Everything the bar loop knows stands in float64 arrays, so that it can be handed in, handed back, written to a snapshot
and read on another machine without a single conversion. Counts are exact below 2^53.
"""

from __future__ import annotations

from shared.reasons import Reason
from shared.strategies.signals import BE_FLAT, BE_LONG, BE_SHORT, NO_OPINION

__all__ = ["BE_FLAT", "BE_LONG", "BE_SHORT", "NO_OPINION"]


# Plain ints: numba freezes module globals into the compiled kernel, and an IntEnum member would cost a conversion.
SIGNAL = int(Reason.SIGNAL)
STOP_LOSS = int(Reason.STOP_LOSS)
TAKE_PROFIT = int(Reason.TAKE_PROFIT)
REVERSAL = int(Reason.REVERSAL)
LIQUIDATION = int(Reason.LIQUIDATION)

# The state: what the loop carries from one bar to the next.
CASH = 0
PENDING = 1  # the order decided at the previous close, or NO_OPINION
OPEN_TRADES = 2
CLOSED_TRADES = 3
NET_QUANTITY = 4  # sum of direction x quantity over open trades
TRIGGER_BELOW = 5  # the nearest level under the market: nothing happens inside a bar whose low stays above it
TRIGGER_ABOVE = 6
FEES = 7
REALISED = 8
TRADES_WON = 9
TRADES_LOST = 10
EQUITY = 11
PEAK_EQUITY = 12
BARS_EXPOSED = 13
BARS_AMBIGUOUS = 14
ORDERS_UNFILLED = 15
STATE_SLOTS = 16

# The terms: numbers of the configuration, constant during a run.
SHARE_OF_EQUITY = 0
MAX_OPEN_TRADES = 1
ALLOW_SHORT = 2
STOP_SHARE = 3  # of the entry price; 0 is no stop
TARGET_SHARE = 4
FEE_RATE = 5
SLIPPAGE_SHARE = 6
TERM_SLOTS = 7

# One row per open trade.
ENTRY_BAR = 0
DIRECTION = 1
QUANTITY = 2
ENTRY_PRICE = 3
ENTRY_FEE = 4
ENTRY_REASON = 5
STOP_PRICE = 6
TARGET_PRICE = 7
OPEN_TRADE_SLOTS = 8

# One row per closed trade; the first four slots are those of the open trade.
EXIT_BAR = 4
EXIT_PRICE = 5
TRADE_FEES = 6
PNL = 7
CLOSED_ENTRY_REASON = 8
EXIT_REASON = 9
CLOSED_TRADE_SLOTS = 10

# An order worth less than this share of equity is the rounding left over from earlier fills, not an order.
DUST_SHARE = 1e-9
