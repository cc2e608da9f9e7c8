"""The bar loop again, written slowly and separately from the description of a bar, to hold the kernel against."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import pytest

from shared.bars import Bars
from shared.reasons import Reason
from shared.strategies import Decision
from worker.engine.config import EngineConfig
from worker.engine.delta import Outcome


@dataclass
class Position:
    entry_bar: int
    side: int
    units: float
    price: float
    fee: float
    why: Reason
    stop: float | None
    target: float | None
    trail: float | None
    behind: float  # the trailing stop's distance; of the price where it is in percent

    def nearest_stop(self) -> tuple[float, Reason] | None:
        """The stop the market meets first, as the trade feels it: prices times side."""
        stops = [(self.side * self.stop, Reason.STOP_LOSS)] if self.stop is not None else []
        if self.trail is not None and (self.stop is None or self.side * self.trail > self.side * self.stop):
            stops = [(self.side * self.trail, Reason.TRAILING_STOP)]
        return stops[0] if stops else None


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

    def exposure(self, price: float) -> float:
        return sum(one.units * price for one in self.positions)

    def fee(self, value: float) -> float:
        fee = value * self.config.commission_rate + self.config.commission_fixed
        return fee if fee > self.config.commission_minimum else self.config.commission_minimum

    def on_grid(self, price: float, side: int) -> float:
        """The price at or beyond `price` (above for side +1, below for -1) that is a whole number of ticks."""
        tick = Fraction(str(self.config.tick_size))
        if not tick or price < tick:
            return price
        return self.multiple(Fraction(price), tick, side)

    @staticmethod
    def multiple(exact: Fraction, step: Fraction, side: int) -> float:
        """Of `step` as it is written: the nearest where it is the same but for rounding, else the next on that side."""
        nearest = round(exact / step)
        if abs(nearest * step - exact) <= exact / 10**12 and abs(nearest - exact / step) <= Fraction(1, 10):
            return float(nearest * step)
        return float((math.ceil(exact / step) if side > 0 else math.floor(exact / step)) * step)

    def against(self, price: float, side: int) -> float:
        """The price after costs for someone who buys (side +1) or sells (side -1) at the market."""
        bps = self.config.slippage_bps + self.config.spread_bps / 2
        return self.on_grid(price + side * price * bps / 10_000, side)

    def close(self, position: Position, bar: int, price: float, why: Reason) -> None:
        fee = self.fee(position.units * price)
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

    def order(
        self,
        bar: int,
        market: float,
        wanted: int,
        true_range: float | None,
        said: Decision | None,
        *,
        opens: bool = True,
    ) -> None:
        side = 0 if wanted == -1 and not self.config.allow_short else wanted
        why = Reason.SIGNAL
        if any(one.side != side for one in self.positions):
            why = Reason.REVERSAL if side else Reason.SIGNAL
            self.close_everything(bar, market, why)
        if side == 0 or not opens or len(self.positions) >= self.config.max_open_trades:
            return
        price = self.against(market, side)
        c = self.config
        decided_stop = said.stop_price if said and c.use_stop_orders else None
        decided_target = said.target_price if said and c.use_take_profits else None
        try:
            if decided_stop is not None:
                stop: float | None = self.on_grid(decided_stop, -side)
            else:
                stop = self.level(price, -side, c.stop_loss_percent, c.stop_loss_distance, c.stop_loss_atr, true_range)
            if decided_target is not None:
                target: float | None = self.on_grid(decided_target, side)
            else:
                target = self.level(
                    price, side, c.take_profit_percent, c.take_profit_distance, c.take_profit_atr, true_range
                )
            trail = self.level(
                price, -side, c.trailing_stop_percent, c.trailing_stop_distance, c.trailing_stop_atr, true_range
            )
        except LookupError:
            self.unfilled += 1
            return
        behind = c.trailing_stop_percent / 100 or c.trailing_stop_distance or c.trailing_stop_atr * (true_range or 0.0)
        position = Position(bar, side, 0.0, price, 0.0, why, stop, target, trail, behind)
        position.units = self.units(position, market, said.size_fraction if said else None)
        worth = self.worth(market)
        if worth <= 0 or position.units * price <= 1e-9 * worth:
            self.unfilled += 1
            return
        position.fee = self.fee(position.units * price)
        self.cash -= side * position.units * price
        self.cash -= position.fee
        self.positions.append(position)

    def units(self, position: Position, market: float, fraction: float | None) -> float:
        c, price, worth = self.config, position.price, self.worth(market)
        stop = position.nearest_stop()
        at_risk = position.side * price - stop[0] if stop else math.inf
        if fraction is None and c.sizing_mode == "risk_fraction" and at_risk <= 0:
            return 0.0  # the market is beyond the stop: there is no risk to measure
        rule = {
            "equity_fraction": lambda: c.position_size_percent * worth / price,
            "fixed_quantity": lambda: c.sizing_value,
            "fixed_notional": lambda: c.sizing_value / price,
            "risk_fraction": lambda: c.sizing_value * worth / at_risk,
        }[c.sizing_mode]
        wanted = rule() if fraction is None else fraction * worth / price

        def left(units: float) -> float:
            """Equity x leverage less exposure, had so many units been bought."""
            after = worth - units * abs(price - market) - self.fee(units * price)
            return after * c.leverage - self.exposure(market) - units * market

        if left(wanted) < 0:  # halve the interval: slow, and nothing like the formula
            low, high = 0.0, wanted
            for _ in range(200):
                middle = (low + high) / 2
                low, high = (middle, high) if left(middle) >= 0 else (low, middle)
            wanted = low
        if c.lot_size:
            wanted = self.multiple(Fraction(wanted), Fraction(str(c.lot_size)), -1)
        return wanted

    def level(
        self, price: float, side: int, percent: float, distance: float, ranges: float, true_range: float | None
    ) -> float | None:
        if ranges:
            if true_range is None:
                raise LookupError
            distance = ranges * true_range
        if percent:
            distance = price * percent / 100
        return self.on_grid(price + side * distance, side) if distance else None

    def inside(self, bar: int, opening: float, high: float, low: float) -> None:
        if not self.positions:
            return
        side = self.positions[0].side
        best, worst, first = (high, low, opening) if side > 0 else (-low, -high, -opening)
        if self.is_lost(opening):
            self.close_everything(bar, opening, Reason.LIQUIDATION)
            return
        for position in list(self.positions):
            stop = position.nearest_stop()
            if stop and first <= stop[0]:
                self.close(position, bar, self.against(opening, -side), stop[1])
            elif position.target is not None and first >= side * position.target:
                self.close(position, bar, opening, Reason.TAKE_PROFIT)
        stops = [one.nearest_stop() for one in self.positions]
        self.ambiguous += any(
            one.target is not None
            and best >= side * one.target
            and ((stop is not None and worst <= stop[0]) or self.is_lost(abs(worst)))
            for one, stop in zip(self.positions, stops, strict=True)
        )
        upwards_first = high - opening < opening - low
        kind = self.config.intrabar
        target_first = kind == "target_first" or (kind == "ohlc_path" and upwards_first == (side > 0))
        steps = [self.fall, self.rise]
        for step in reversed(steps) if target_first else steps:
            step(bar, side, worst, best)

    def rise(self, bar: int, side: int, _worst: float, best: float) -> None:
        reached = [one for one in self.positions if one.target is not None and best >= side * one.target]
        for position in sorted(reached, key=lambda one: side * (one.target or 0.0)):  # the price passes them upwards
            self.close(position, bar, position.target or 0.0, Reason.TAKE_PROFIT)

    def fall(self, bar: int, side: int, worst: float, _best: float) -> None:
        """Down from the open, from one stop to the next; what is left of equity is asked at each."""
        stops = [(one, stop) for one in self.positions if (stop := one.nearest_stop()) and worst <= stop[0]]
        for position, (price, why) in sorted(stops, key=lambda one: -one[1][0]):
            if self.is_lost(abs(price), nearly=True):
                break
            self.close(position, bar, self.against(abs(price), -side), why)
        if self.positions and self.is_lost(abs(worst)):
            self.close_everything(bar, self.ruin(), Reason.LIQUIDATION)

    def is_lost(self, price: float, nearly: bool = False) -> bool:
        spare = self.worth(price) - self.config.maintenance_margin * self.exposure(price)
        return spare < 0 if nearly else spare <= 0

    def ruin(self) -> float:
        """The price at which equity is down to the maintenance margin, found by halving."""
        side = self.positions[0].side
        low, high = (1e-12, 1e9)
        for _ in range(300):
            middle = (low + high) / 2
            lost = self.is_lost(middle)
            low, high = (middle, high) if lost == (side > 0) else (low, middle)
        return low

    def follow(self, high: float, low: float) -> None:
        for one in self.positions:
            if one.trail is None:
                continue
            best = high if one.side > 0 else low
            behind = one.behind * best if self.config.trailing_stop_percent else one.behind
            new = self.on_grid(best - one.side * behind, -one.side)
            one.trail = max(one.trail, new) if one.side > 0 else min(one.trail, new)


def true_ranges(bars: Bars, period: int) -> list[float | None]:
    high, low, close = bars.high.tolist(), bars.low.tolist(), bars.close.tolist()
    found: list[float | None] = [None] * bars.total
    each = [max(high[i], close[i - 1]) - min(low[i], close[i - 1]) for i in range(1, bars.total)]
    if bars.total > period:
        found[period] = average = sum(each[:period]) / period
        for bar in range(period + 1, bars.total):
            found[bar] = average = average + (each[bar - 1] - average) / period
    return found


def run_slowly(
    bars: Bars, config: EngineConfig, signals: list[int], decided: Mapping[int, Decision] | None = None
) -> Account:
    """`decided` is what was said at some bars beside the signal there."""
    decided = decided or {}
    account = Account(config, config.initial_capital)
    ranges = true_ranges(bars, config.atr_period)
    pending = 2
    for bar in range(bars.total):
        opening, high, low, close = (float(c[bar]) for c in (bars.open, bars.high, bars.low, bars.close))
        if pending != 2 and config.fill_at == "open":
            account.order(bar, opening, pending, ranges[bar - 1], decided.get(bar - 1))
        account.exposed += bool(account.positions)
        account.inside(bar, opening, high, low)
        account.follow(high, low)
        pending = signals[bar]
        if pending != 2 and config.fill_at == "close":
            ends_here = bar == bars.total - 1  # where everything is closed: nothing can be held for no time
            account.order(bar, close, pending, ranges[bar], decided.get(bar), opens=not ends_here)
        account.equity.append(account.worth(close))
    if account.positions:
        account.close_everything(bars.total - 1, float(bars.close[-1]), Reason.END_OF_DATA)
        account.equity[-1] = account.cash
    return account


def assert_agrees(outcome: Outcome, slow: Account) -> None:
    """Every trade, every point of equity, and what is counted."""
    assert outcome.trades.total == len(slow.closed) > 2
    for row, other in zip(outcome.trades.as_rows(), slow.closed, strict=True):
        assert (row["entry_bar"], row["exit_bar"], row["direction"]) == (other.entry_bar, other.exit_bar, other.side)
        assert (row["entry_reason"], row["exit_reason"]) == (other.entry_why.wire, other.exit_why.wire)
        assert row["quantity"] == pytest.approx(other.units, rel=1e-9)
        assert row["entry_price"] == pytest.approx(other.entry_price, rel=1e-12)
        assert row["exit_price"] == pytest.approx(other.exit_price, rel=1e-12)
        assert row["fees"] == pytest.approx(other.fees, rel=1e-9)
        assert row["pnl"] == pytest.approx(other.pnl, rel=1e-7, abs=1e-7)
        assert row["pnl_percent"] == pytest.approx(other.pnl / (other.units * other.entry_price) * 100, abs=1e-9)
    assert outcome.equity == pytest.approx(np.array(slow.equity), rel=1e-9, abs=1e-7)
    assert outcome.metrics["ambiguousBars"] == slow.ambiguous
    assert outcome.metrics["unfilledOrders"] == slow.unfilled
    assert outcome.metrics["exposure"] == pytest.approx(100 * slow.exposed / len(slow.equity))
