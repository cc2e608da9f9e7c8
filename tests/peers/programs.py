"""The same strategy in other programs: signals in, trades and final equity out, written as their users write it.

`wanted` are our signals: +1 be long, -1 be short (flat where shorts are not allowed), 0 be flat, 2 no opinion. A
strategy acts on a signal that differs from what it holds. Times do not matter to any of them and are left out.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shared.bars import Bars
from shared.request import BacktestParams, Level
from tests.peers import load

Signals = NDArray[np.int8]


class TheirTrade(NamedTuple):
    entry_bar: int
    exit_bar: int
    direction: int
    quantity: float
    entry_price: float
    exit_price: float


class Theirs(NamedTuple):
    """Closed trades in the order they closed, equity marked at the last close, and what tells their figures."""

    trades: list[TheirTrade]
    final_equity: float
    figures: Any = None  # the statistics of backtesting.py, the portfolio of vectorbt


def frame_of(bars: Bars) -> Any:
    index = pd.to_datetime(bars.time_ms, unit="ms")
    columns = {"Open": bars.open, "High": bars.high, "Low": bars.low, "Close": bars.close, "Volume": bars.volume}
    return pd.DataFrame(columns, index=index)


def level_from(price: float, level: Level | None, side: float) -> float | None:
    if level is None:
        return None
    distance = level.distance if level.distance is not None else price * (level.percent or 0.0) / 100.0
    return price + side * distance


def turn(said: int, held: int, params: BacktestParams) -> int:
    """The direction to hold after a signal, where `held` is the one before it."""
    if said == 2:
        return held
    return 0 if said < 0 and not params.allow_short else said


def run_backtesting_py(bars: Bars, params: BacktestParams, wanted: Signals) -> Theirs:
    backtesting = load("backtesting")
    sizing = params.sizing
    share = params.position_size_percent / params.leverage
    size = sizing.value if sizing else min(share, 1.0 - np.finfo(float).eps)

    class Follow(backtesting.Strategy):
        def init(self) -> None:
            pass

        def next(self) -> None:
            bar = len(self.data) - 1
            said = int(wanted[bar])
            if bar == 1 and said == 2:
                said = int(wanted[0])  # the first bar it is asked at is the second
            held = int(np.sign(self.position.size))
            direction = turn(said, held, params)
            if direction == held:
                return
            if held:
                self.position.close()
            if direction:
                price = self.data.Close[-1]
                order = self.buy if direction > 0 else self.sell
                order(
                    size=size,
                    sl=level_from(price, params.stop_loss, -direction),
                    tp=level_from(price, params.take_profit, direction),
                )

    test = backtesting.Backtest(
        frame_of(bars),
        Follow,
        cash=params.initial_capital,
        spread=params.spread_bps / 10_000.0,
        commission=(params.commission.fixed, params.commission.rate),
        margin=1.0 / params.leverage,
        trade_on_close=params.fill_at == "close",
        finalize_trades=params.closes_at_end,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of orders it cancels and of trades left open
        stats = test.run()
    rows = stats["_trades"]
    trades = [
        TheirTrade(int(one.EntryBar), int(one.ExitBar), int(np.sign(one.Size)), abs(one.Size), *prices)
        for one, prices in zip(rows.itertuples(), zip(rows["EntryPrice"], rows["ExitPrice"], strict=True), strict=True)
    ]
    return Theirs(trades, float(stats["Equity Final [$]"]), stats)


def run_vectorbt(bars: Bars, params: BacktestParams, wanted: Signals) -> Theirs:
    vectorbt = load("vectorbt")
    said = wanted.copy()
    price = bars.close
    if params.fill_at == "open":  # its own advice: signals one bar later, filled at that bar's open
        said = np.concatenate(([2], said[:-1])).astype(np.int8)
        price = bars.open
    short = params.allow_short
    sizing = params.sizing
    size, size_type = np.inf, "amount"
    if sizing:
        size, size_type = sizing.value, "amount" if sizing.mode == "fixed_quantity" else "value"
    elif params.position_size_percent < 1.0:
        size, size_type = params.position_size_percent, "percent"
    stop = params.trailing_stop or params.stop_loss
    portfolio = vectorbt.Portfolio.from_signals(
        close=bars.close,
        open=bars.open,
        high=bars.high,
        low=bars.low,
        price=price,
        entries=said == 1,
        exits=(said == 0) | ((said == -1) & (not short)),
        short_entries=(said == -1) & short,
        short_exits=(said == 0),
        size=size,
        size_type=size_type,
        fees=params.commission.rate,
        fixed_fees=params.commission.fixed,
        slippage=params.slippage_bps / 10_000.0,
        sl_stop=stop.percent / 100.0 if stop and stop.percent else None,
        sl_trail=params.trailing_stop is not None,
        tp_stop=params.take_profit.percent / 100.0 if params.take_profit and params.take_profit.percent else None,
        init_cash=params.initial_capital,
        freq=pd.Timedelta(int(np.diff(bars.time_ms).min()), "ms"),
    )
    records = portfolio.exit_trades.records
    closed = records[records["status"] == 1].sort_values("exit_idx")
    trades = [
        TheirTrade(
            int(one.entry_idx),
            int(one.exit_idx),
            1 if one.direction == 0 else -1,
            float(one.size),
            float(one.entry_price),
            float(one.exit_price),
        )
        for one in closed.itertuples()
    ]
    return Theirs(trades, float(portfolio.final_value()), portfolio)


def run_backtrader(bars: Bars, params: BacktestParams, wanted: Signals) -> Theirs:
    bt = load("backtrader")
    sizing = params.sizing
    trades: list[TheirTrade] = []

    class Follow(bt.Strategy):
        def __init__(self) -> None:
            self.entry: tuple[int, float] = (0, 0.0)
            self.held = 0.0  # after the orders we were told of so far: position is after all of this bar
            self.bracket: list[Any] = []

        def notify_order(self, order: Any) -> None:
            if order.status != order.Completed:
                return
            bar, done = len(self) - 1, order.executed
            if not self.held:
                self.entry = (bar, done.price)
            else:
                trades.append(
                    TheirTrade(self.entry[0], bar, -int(np.sign(done.size)), abs(done.size), self.entry[1], done.price)
                )
            self.held = 0.0 if self.held else done.size

        def next(self) -> None:
            said = int(wanted[len(self) - 1])
            held = int(np.sign(self.position.size))
            direction = turn(said, held, params)
            if direction == held:
                return
            close = self.data.close[0]
            size = sizing.value if sizing else self.broker.getvalue() * params.position_size_percent / close
            if held:
                for order in self.bracket:
                    self.cancel(order)
                self.close()
            if direction:
                self.enter(direction, size, close)

        def enter(self, direction: int, size: float, close: float) -> None:
            stop = level_from(close, params.stop_loss, -direction)
            target = level_from(close, params.take_profit, direction)
            bracket = self.buy_bracket if direction > 0 else self.sell_bracket
            orders = bracket(
                size=size,
                exectype=bt.Order.Market,
                stopprice=stop,
                stopexec=bt.Order.Stop if stop is not None else None,
                limitprice=target,
                limitexec=bt.Order.Limit if target is not None else None,
            )
            self.bracket = [order for order in orders[1:] if order is not None]

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.adddata(bt.feeds.PandasData(dataname=frame_of(bars)))
    cerebro.addstrategy(Follow)
    cerebro.broker.setcash(params.initial_capital)
    cerebro.broker.setcommission(commission=params.commission.rate)
    if params.slippage_bps:
        cerebro.broker.set_slippage_perc(params.slippage_bps / 10_000.0, slip_out=True)
    cerebro.run()
    return Theirs(trades, float(cerebro.broker.getvalue()))


PROGRAMS = {"backtesting.py": run_backtesting_py, "vectorbt": run_vectorbt, "backtrader": run_backtrader}
