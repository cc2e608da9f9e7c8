"""Our figures against empyrical-reloaded and backtesting.py, on runs over real prices.

Both are handed the equity and the trades of our own runs, so that only the formulas are compared. Day ends are taken
by pandas here and by our own code there.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from deploy.demo_bars import demo_series
from shared.bars import Bars
from shared.candles.files.parsing import read_files
from shared.errors import ImportRefused
from shared.periods import day_ends
from shared.reasons import Reason
from shared.strategies import resolve
from tests.engine.runs import run
from tests.peers import load
from worker.engine.config import EngineConfig
from worker.engine.delta import Outcome

# backtesting.py 0.6.6 asks pandas in a way that pandas 3.1 is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:DatetimeIndex.dayofweek is deprecated")

EXACT = 1e-9
CAPITAL = 10_000.0
STRATEGIES: dict[str, dict[str, Any]] = {
    "buy_and_hold": {},
    "sma_crossover": {"fast": 10, "slow": 30},
    "rsi": {},
}
# The same money in every trade: backtesting.py sums returns where we sum money, and then the two are in proportion.
CONFIG = EngineConfig(
    initial_capital=CAPITAL,
    allow_short=True,
    commission_rate=0.001,
    slippage_bps=2.0,
    stop_loss_percent=6.0,
    sizing_mode="fixed_notional",
    sizing_value=2_500.0,
)
DEMO_SYMBOLS = ("AAPL", "IBM", "MSFT")
AT_AN_OPEN = (int(Reason.SIGNAL), int(Reason.REVERSAL))


class Case(NamedTuple):
    bars: Bars
    outcome: Outcome
    per_year: float

    @property
    def is_daily(self) -> bool:
        return int(np.diff(self.bars.time_ms).min()) == 86_400_000

    @property
    def years(self) -> float:
        """Calendar time from the first bar to the last."""
        return float(self.bars.time_ms[-1] - self.bars.time_ms[0]) / 86_400_000 / 365.25

    @property
    def times(self) -> Any:
        return pd.to_datetime(self.bars.time_ms, unit="ms")

    @property
    def equity(self) -> Any:
        return pd.Series(self.outcome.equity, index=self.times)

    @property
    def day_returns(self) -> Any:
        return day_returns(self.equity, CAPITAL)

    @property
    def market_returns(self) -> Any:
        """Of the symbol's close, from its first one."""
        return day_returns(pd.Series(self.bars.close, index=self.times), float(self.bars.close[0]))

    @property
    def bar_returns(self) -> Any:
        return returns_of(self.outcome.equity, CAPITAL)

    def figure(self, name: str) -> float:
        found = self.outcome.metrics[name]
        assert found is not None, name
        return found


def day_returns(values: Any, before: float) -> Any:
    return returns_of(values.resample("D").last().dropna().to_numpy(), before)


def returns_of(values: np.ndarray, before: float) -> Any:
    """A series without times: to empyrical all that matters is how many there are."""
    return pd.Series(np.concatenate([[before], values])).pct_change().iloc[1:]


@cache
def demo_bars() -> dict[str, Bars]:
    try:
        return {series.symbol: series.bars for series in demo_series()}
    except ImportRefused as missing:
        pytest.skip(missing.message)


@cache
def hours(directory: Path) -> Bars:
    [series] = read_files(sorted((directory / "binance").glob("*.zip")))
    return series.bars


@pytest.fixture(
    params=[(symbol, strategy) for symbol in (*DEMO_SYMBOLS, "BTCUSDT") for strategy in STRATEGIES], ids="-".join
)
def case(request: pytest.FixtureRequest) -> Case:
    symbol, strategy = request.param
    if symbol in DEMO_SYMBOLS:
        bars, about = demo_bars()[symbol], 252
    else:
        bars, about = hours(request.getfixturevalue("market_data_dir")), 365
    per_year = day_ends(bars.time_ms).per_year
    assert per_year == pytest.approx(about, abs=1)
    return Case(bars, run(bars, CONFIG, *resolve([strategy], {strategy: STRATEGIES[strategy]})), per_year)


def test_growth_and_risk_are_those_of_empyrical(case: Case) -> None:
    empyrical = load("empyrical")
    returns, annualization = case.day_returns, case.per_year
    expected = {
        "totalReturn": 100 * empyrical.cum_returns_final(returns),
        "cagr": 100 * empyrical.cagr(returns, annualization=len(returns) / case.years),
        "volatility": 100 * empyrical.annual_volatility(returns, annualization=annualization),
        "sharpeRatio": empyrical.sharpe_ratio(returns, annualization=annualization),
        "sortinoRatio": empyrical.sortino_ratio(returns, annualization=annualization),
        "buyAndHoldReturn": 100 * empyrical.cum_returns_final(case.market_returns),
    }
    for name, value in expected.items():
        assert case.figure(name) == pytest.approx(value, rel=EXACT), name


def test_the_deepest_fall_is_that_of_empyrical_at_every_bar(case: Case) -> None:
    """empyrical judges whatever returns it is given; we judge every bar, also where bars are shorter than a day.

    So its `calmar_ratio`, which takes growth and fall from the same returns, is ours for daily bars only.
    """
    empyrical = load("empyrical")
    fall = empyrical.max_drawdown(case.bar_returns)
    growth = empyrical.cagr(case.day_returns, annualization=len(case.day_returns) / case.years)
    assert case.figure("maxDrawdown") == pytest.approx(100 * fall, rel=EXACT)
    assert case.figure("calmarRatio") == pytest.approx(growth / -fall, rel=EXACT)
    if case.is_daily:
        whole = empyrical.calmar_ratio(case.day_returns, annualization=len(case.day_returns) / case.years)
        assert case.figure("calmarRatio") == pytest.approx(whole, rel=EXACT)


def test_alpha_and_beta_are_those_of_empyrical(case: Case) -> None:
    """empyrical compounds the daily alpha over a year, (1 + a)^n - 1; ours is a x n, as in quantstats `greeks`.

    quantstats itself stays out of the lock, since it brings clients of web services along; 0.0.86 agrees.
    """
    empyrical = load("empyrical")
    compounded, beta = empyrical.alpha_beta(case.day_returns, case.market_returns, annualization=case.per_year)
    daily = (1 + compounded) ** (1 / case.per_year) - 1
    assert case.figure("beta") == pytest.approx(beta, rel=EXACT)
    # The root loses digits that the power had rounded away: of 1 + a, not of a.
    assert case.figure("alpha") == pytest.approx(
        100 * daily * case.per_year, rel=EXACT, abs=1e-15 * 100 * case.per_year
    )


def figures_of_backtesting(case: Case, exit_bar: np.ndarray) -> Any:
    trades = case.outcome.trades
    frame = pd.DataFrame(
        {
            "EntryBar": trades.entry_bar,
            "ExitBar": exit_bar,
            "PnL": trades.pnl,
            "ReturnPct": trades.pnl_percent / 100,
            "Duration": pd.to_timedelta(trades.exit_time_ms - trades.entry_time_ms, unit="ms"),
        }
    )
    prices = pd.DataFrame({"Close": case.bars.close}, index=case.times)
    return load("backtesting._stats").compute_stats(frame, case.outcome.equity, prices, None)


def test_trades_are_judged_as_by_backtesting_py(case: Case) -> None:
    """Where both mean the same. What differs by definition, and so is not compared:

    - Sharpe ratio, volatility: theirs are of compounded returns; ours are empyrical's.
    - Sortino ratio: theirs has the compounded mean above the line.
    - CAGR: theirs has calendar days over 252 or 365, `Return (Ann.)` day ends; ours has calendar time over 365.25 days.
    - Alpha, beta: theirs are of logarithmic returns of bars, and alpha is of the whole run.
    - Average trade: theirs is the geometric mean, `Expectancy` the arithmetic one.
    """
    trades = case.outcome.trades
    theirs = figures_of_backtesting(case, trades.exit_bar)
    expected = {
        "totalReturn": theirs["Return [%]"],
        "buyAndHoldReturn": theirs["Buy & Hold Return [%]"],
        "finalEquity": theirs["Equity Final [$]"],
        "maxDrawdown": theirs["Max. Drawdown [%]"],
        "averageDrawdown": theirs["Avg. Drawdown [%]"],
        "maxDrawdownDuration": theirs["Max. Drawdown Duration"] / pd.Timedelta(days=1),
        "totalTrades": theirs["# Trades"],
        "winRate": theirs["Win Rate [%]"],
        "bestTrade": theirs["Best Trade [%]"],
        "worstTrade": theirs["Worst Trade [%]"],
        "averageTrade": theirs["Expectancy [%]"],
    }
    if trades.total > 1:
        expected |= {
            "profitFactor": theirs["Profit Factor"],
            "sqn": theirs["SQN"],
            "kelly": 100 * theirs["Kelly Criterion"],
        }
    for name, value in expected.items():
        assert case.figure(name) == pytest.approx(value, rel=EXACT), name
    # They round a mean duration up to whole bars.
    bar = "1D" if case.is_daily else "1h"
    assert pd.Timedelta(days=case.figure("averageHolding")).ceil(bar) == theirs["Avg. Trade Duration"]


def test_exposure_is_that_of_backtesting_py_without_bars_only_closed_at(case: Case) -> None:
    """They count the bar at whose open a trade was closed; we count bars during which one was open."""
    trades = case.outcome.trades
    held_until = trades.exit_bar - np.isin(trades.exit_reason, AT_AN_OPEN)
    theirs = figures_of_backtesting(case, held_until)
    assert case.figure("exposure") == pytest.approx(theirs["Exposure Time [%]"], rel=EXACT)
