"""nautilus_trader with a strategy in Python, run by the Python of `.venv-nautilus`: it needs an older pandas than ours.

    python nautilus.py COLUMNS.npz

`COLUMNS.npz` has time_ms, open, high, low, close and signals (+1 be long, -1 be flat). Prints one JSON object: the
seconds of the run alone (not of making bars and engine), closed trades and final equity. Imports nothing of ours.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import json
import sys
import time
from decimal import Decimal

import numpy as np
import pandas as pd
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TraderId, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.trading.strategy import Strategy

CAPITAL = 1_000_000
FEE_RATE = Decimal("0.0001")
DEPTH = 1_000_000.0  # volume of every bar: an order must never be larger than what the market has
PRICE_DIGITS, SIZE_DIGITS = 9, 6


def instrument() -> CurrencyPair:
    return CurrencyPair(
        instrument_id=InstrumentId(Symbol("X"), Venue("SIM")),
        raw_symbol=Symbol("X"),
        base_currency=BTC,
        quote_currency=USDT,
        price_precision=PRICE_DIGITS,
        size_precision=SIZE_DIGITS,
        price_increment=Price(10.0**-PRICE_DIGITS, PRICE_DIGITS),
        size_increment=Quantity(10.0**-SIZE_DIGITS, SIZE_DIGITS),
        ts_event=0,
        ts_init=0,
        maker_fee=FEE_RATE,
        taker_fee=FEE_RATE,
    )


class Follow(Strategy):
    """One unit long from a signal of +1 until one of -1."""

    def __init__(self, traded: CurrencyPair, bar_type: BarType, signals: list[int]) -> None:
        super().__init__()
        self.traded = traded
        self.bar_type = bar_type
        self.signals = iter(signals)
        self.unit = traded.make_qty(1)
        self.is_long = False

    def on_start(self) -> None:
        self.subscribe_bars(self.bar_type)

    def on_bar(self, bar: object) -> None:
        said = next(self.signals)
        if said == 1 and not self.is_long:
            self.trade(OrderSide.BUY)
        elif said == -1 and self.is_long:
            self.trade(OrderSide.SELL)

    def trade(self, side: OrderSide) -> None:
        self.submit_order(self.order_factory.market(self.traded.id, side, self.unit))
        self.is_long = side == OrderSide.BUY


def main() -> None:
    columns = np.load(sys.argv[1])
    traded = instrument()
    bar_type = BarType.from_str(f"{traded.id}-1-MINUTE-LAST-EXTERNAL")
    index = pd.to_datetime(columns["time_ms"], unit="ms", utc=True)
    prices = {name: columns[name] for name in ("open", "high", "low", "close")}
    bars = BarDataWrangler(bar_type, traded).process(pd.DataFrame({**prices, "volume": DEPTH}, index=index))
    engine = BacktestEngine(
        BacktestEngineConfig(trader_id=TraderId("BENCH-001"), logging=LoggingConfig(bypass_logging=True))
    )
    engine.add_venue(
        venue=Venue("SIM"),
        oms_type=OmsType.NETTING,
        account_type=AccountType.CASH,
        base_currency=None,
        starting_balances=[Money(CAPITAL, USDT), Money(0, BTC)],
    )
    engine.add_instrument(traded)
    engine.add_data(bars)
    engine.add_strategy(Follow(traded, bar_type, columns["signals"].tolist()))
    began = time.perf_counter()
    engine.run()
    took_s = time.perf_counter() - began
    account = engine.portfolio.account(Venue("SIM"))
    held = float(account.balance_total(BTC).as_double())
    final = float(account.balance_total(USDT).as_double()) + held * float(columns["close"][-1])
    trades = sum(1 for order in engine.cache.orders() if order.side == OrderSide.SELL and order.is_closed)
    print(json.dumps({"took_s": took_s, "trades": trades, "final_equity": final}))
    engine.dispose()


if __name__ == "__main__":
    main()
