"""The bar loop again, written slowly and separately from the description of a bar, to hold the kernel against."""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.bars import Bars
from worker.engine import EngineConfig, Reason


@dataclass
class Position:
    entry_bar: int
    side: int
    units: float
    price: float
    fee: float
    why: Reason


@dataclass
class Closed:
    entry_bar: int
    exit_bar: int
    side: int
    units: float
    entry_price: float
    exit_price: float
    fees: float
    pnl: float
    entry_why: Reason
    exit_why: Reason


@dataclass
class Account:
    config: EngineConfig
    cash: float
    positions: list[Position] = field(default_factory=list)
    closed: list[Closed] = field(default_factory=list)
    equity: list[float] = field(default_factory=list)
    exposed: int = 0
    ambiguous: int = 0
    unfilled: int = 0

    def worth(self, price: float) -> float:
        return self.cash + sum(one.side * one.units * price for one in self.positions)

    def against(self, price: float, side: int) -> float:
        """The price after slippage for someone who buys (side +1) or sells (side -1)."""
        return price + side * price * self.config.slippage_bps / 10_000

    def close(self, position: Position, bar: int, price: float, why: Reason) -> None:
        fee = position.units * price * self.config.commission_rate
        self.cash += position.side * position.units * price
        self.cash -= fee
        gain = position.units * (price - position.price) * position.side - position.fee - fee
        self.positions.remove(position)
        self.closed.append(
            Closed(
                position.entry_bar,
                bar,
                position.side,
                position.units,
                position.price,
                price,
                position.fee + fee,
                gain,
                position.why,
                why,
            )
        )

    def close_everything(self, bar: int, price: float, why: Reason) -> None:
        for position in list(self.positions):
            self.close(position, bar, self.against(price, -position.side), why)

    def order(self, bar: int, opening: float, wanted: int) -> None:
        side = 0 if wanted == -1 and not self.config.allow_short else wanted
        why = Reason.SIGNAL
        if any(one.side != side for one in self.positions):
            why = Reason.REVERSAL if side else Reason.SIGNAL
            self.close_everything(bar, opening, why)
        if side == 0 or len(self.positions) >= self.config.max_open_trades:
            return
        worth = self.worth(opening)
        price = self.against(opening, side)
        rate = self.config.commission_rate
        free = worth - sum(one.units * opening for one in self.positions)
        # What one more unit takes away from (equity - exposure): itself at the open, its slippage and its fee.
        affordable = free / (opening + abs(price - opening) + price * rate)
        units = min(worth * self.config.position_size_percent / price, affordable)
        if worth <= 0 or units * price <= 1e-9 * worth:
            self.unfilled += 1
            return
        fee = units * price * rate
        self.cash -= side * units * price
        self.cash -= fee
        self.positions.append(Position(bar, side, units, price, fee, why))

    def inside(self, bar: int, opening: float, high: float, low: float) -> None:
        doubtful = False
        for position in list(self.positions):
            side = position.side
            # Prices as the trade feels them: higher is better for it.
            best, worst, first = (high, low, opening) if side > 0 else (-low, -high, -opening)
            stop = side * position.price * (1 - side * self.config.stop_loss_percent / 100)
            target = side * position.price * (1 + side * self.config.take_profit_percent / 100)
            has_stop, has_target = self.config.stop_loss_percent > 0, self.config.take_profit_percent > 0
            if has_stop and first <= stop:
                self.close(position, bar, self.against(opening, -side), Reason.STOP_LOSS)
            elif has_target and first >= target:
                self.close(position, bar, opening, Reason.TAKE_PROFIT)
            elif has_stop and worst <= stop:
                doubtful = doubtful or (has_target and best >= target)
                self.close(position, bar, self.against(abs(stop), -side), Reason.STOP_LOSS)
            elif has_target and best >= target:
                self.close(position, bar, abs(target), Reason.TAKE_PROFIT)
        self.ambiguous += doubtful


def run_slowly(bars: Bars, config: EngineConfig, signals: list[int]) -> Account:
    account = Account(config, config.initial_capital)
    pending = 2
    for bar in range(bars.total):
        opening, high, low, close = (float(c[bar]) for c in (bars.open, bars.high, bars.low, bars.close))
        if pending != 2:
            account.order(bar, opening, pending)
        account.exposed += bool(account.positions)
        account.inside(bar, opening, high, low)
        pending = signals[bar]
        if account.positions and account.worth(close) <= 0:
            account.close_everything(bar, close, Reason.LIQUIDATION)
        account.equity.append(account.worth(close))
    if account.positions:
        account.close_everything(bars.total - 1, float(bars.close[-1]), Reason.END_OF_DATA)
        account.equity[-1] = account.cash
    return account
