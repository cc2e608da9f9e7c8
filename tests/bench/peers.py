"""The same trades in other engines, timed: each is handed our signals and holds one long trade at a time.

Handing them over spares the peers their indicators, so that only the engines are compared. What can be made ready
before a run (frames, compiled code) is made before the clock starts.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars
from tests.peers import load
from tests.peers.programs import frame_of
from worker.engine.config import EngineConfig

NAUTILUS_PYTHON = Path(__file__).parents[2] / ".venv-nautilus" / "bin" / "python"
NAUTILUS_SCRIPT = Path(__file__).parent / "nautilus.py"
NAUTILUS_LIMIT_S = 120.0
SLOW_REPEATS = 3

CAPITAL = 1_000_000.0
FEE_RATE = 0.0001  # tests/bench/nautilus.py has the same two

Signals = NDArray[np.int8]


class Theirs(NamedTuple):
    """Best time of a run, closed trades, and equity marked at the last close with what is open left open."""

    took_s: float
    trades: int
    final_equity: float


class Peer(NamedTuple):
    """An engine, our configuration that trades as it does, and on how many bars it is asked to run at most."""

    name: str
    config: EngineConfig
    bars_max: int
    run: Callable[[Bars, Signals, EngineConfig], Theirs]
    tolerance: float = 1e-9  # of final equity


def best_of(times: int, work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the fastest of so many runs, and what the last one returned."""
    took_s: list[float] = []
    found = None
    for _ in range(times):
        began = time.perf_counter()
        found = work()
        took_s.append(time.perf_counter() - began)
    return min(took_s), found


def vectorbt_portfolio(bars: Bars, signals: Signals, config: EngineConfig) -> Any:
    """A portfolio from our signals; the second one of a process is compiled."""
    entries, exits = signals == 1, signals == -1
    return load("vectorbt").Portfolio.from_signals(
        close=bars.close,
        open=bars.open,
        high=bars.high,
        low=bars.low,
        entries=entries,
        exits=exits,
        fees=config.commission_rate,
        sl_stop=config.stop_loss_percent / 100.0,
        tp_stop=config.take_profit_percent / 100.0,
        init_cash=config.initial_capital,
        freq="1min",
    )


def run_vectorbt(bars: Bars, signals: Signals, config: EngineConfig) -> Theirs:
    vectorbt_portfolio(bars, signals, config)
    took_s, portfolio = best_of(5, lambda: vectorbt_portfolio(bars, signals, config))
    closed = portfolio.exit_trades.records["status"] == 1
    return Theirs(took_s, int(closed.sum()), float(portfolio.final_value()))


def run_vectorbt_with_figures(bars: Bars, signals: Signals, config: EngineConfig) -> Theirs:
    def run() -> Any:
        portfolio = vectorbt_portfolio(bars, signals, config)
        portfolio.value()
        portfolio.exit_trades.records  # noqa: B018 - computed when asked for
        portfolio.stats()
        return portfolio

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run()
        took_s, portfolio = best_of(SLOW_REPEATS, run)
    closed = portfolio.exit_trades.records["status"] == 1
    return Theirs(took_s, int(closed.sum()), float(portfolio.final_value()))


def levels_of(config: EngineConfig) -> tuple[float, float]:
    """What a stop and a target are as multiples of the price."""
    return 1.0 - config.stop_loss_percent / 100.0, 1.0 + config.take_profit_percent / 100.0


def run_backtesting_py(bars: Bars, signals: Signals, config: EngineConfig) -> Theirs:
    backtesting = load("backtesting")
    backtesting.backtesting._tqdm = lambda bars, **_: bars  # no progress bar: it would be timed and printed
    said = signals.tolist()
    below, above = levels_of(config)

    class Follow(backtesting.Strategy):
        def init(self) -> None:
            pass

        def next(self) -> None:
            wanted = said[len(self.data) - 1]
            if wanted == 1 and not self.position:
                close = self.data.Close[-1]
                self.buy(sl=close * below, tp=close * above)
            elif wanted == -1 and self.position:
                self.position.close()

    test = backtesting.Backtest(frame_of(bars), Follow, cash=config.initial_capital, commission=config.commission_rate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a trade left open
        took_s, stats = best_of(SLOW_REPEATS, test.run)
    return Theirs(took_s, int(stats["# Trades"]), float(stats["Equity Final [$]"]))


def run_backtrader(bars: Bars, signals: Signals, config: EngineConfig) -> Theirs:
    bt = load("backtrader")
    said = signals.tolist()
    below, above = levels_of(config)
    closed = 0

    class Follow(bt.Strategy):
        def __init__(self) -> None:
            self.bracket: list[Any] = []

        def notify_trade(self, trade: Any) -> None:
            nonlocal closed
            closed += trade.isclosed

        def next(self) -> None:
            wanted = said[len(self) - 1]
            if wanted == 1 and not self.position:
                close = self.data.close[0]
                _, *self.bracket = self.buy_bracket(
                    size=config.sizing_value,
                    exectype=bt.Order.Market,
                    stopprice=close * below,
                    limitprice=close * above,
                )
            elif wanted == -1 and self.position:
                for order in self.bracket:
                    self.cancel(order)
                self.close()

    frame = frame_of(bars)

    def run() -> float:
        nonlocal closed
        closed = 0
        cerebro = bt.Cerebro(stdstats=False)
        cerebro.adddata(bt.feeds.PandasData(dataname=frame))
        cerebro.addstrategy(Follow)
        cerebro.broker.setcash(config.initial_capital)
        cerebro.broker.setcommission(commission=config.commission_rate)
        cerebro.run()
        return float(cerebro.broker.getvalue())

    took_s, final_equity = best_of(SLOW_REPEATS, run)
    return Theirs(took_s, closed, final_equity)


def run_nautilus(bars: Bars, signals: Signals, config: EngineConfig) -> Theirs:
    """Raises `CalledProcessError` and `TimeoutExpired`, its words on stderr. The script knows `config`."""
    assert (config.initial_capital, config.commission_rate) == (CAPITAL, FEE_RATE)
    with tempfile.TemporaryDirectory(prefix="backfleet-bench-") as directory:
        columns = Path(directory) / "columns.npz"
        prices = {name: getattr(bars, name) for name in ("time_ms", "open", "high", "low", "close")}
        np.savez(columns, allow_pickle=False, signals=signals, **prices)
        command = [NAUTILUS_PYTHON, NAUTILUS_SCRIPT, columns]
        runs: list[Theirs] = []
        for _ in range(SLOW_REPEATS):
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=NAUTILUS_LIMIT_S)
            runs.append(Theirs(**json.loads(done.stdout.splitlines()[-1])))
    return min(runs)


_COSTS = EngineConfig(initial_capital=CAPITAL, commission_rate=FEE_RATE)
WITH_STOPS = replace(_COSTS, stop_loss_percent=0.4, take_profit_percent=0.6)
_ONE_UNIT: dict[str, Any] = {"sizing_mode": "fixed_quantity", "sizing_value": 1.0}
_ALL = 10_000_000

VECTORBT = Peer("vectorbt", replace(WITH_STOPS, profile="vectorbt", fill_at="close"), _ALL, run_vectorbt)
VECTORBT_WITH_FIGURES = VECTORBT._replace(run=run_vectorbt_with_figures)
BACKTESTING_PY = Peer("backtesting.py", replace(WITH_STOPS, profile="backtesting.py"), 50_000, run_backtesting_py)
BACKTRADER = Peer("backtrader", replace(WITH_STOPS, profile="backtrader", **_ONE_UNIT), 20_000, run_backtrader)
# Without a profile of its own: at the close its fills are ours. Stops there are brackets of its own orders; left out.
NAUTILUS = Peer("nautilus_trader", replace(_COSTS, fill_at="close", **_ONE_UNIT), 20_000, run_nautilus)
