"""Metrics against plain formulas written from their definitions."""

from __future__ import annotations

import math
import re
import statistics
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.periods import day_ends, periodic_returns
from shared.strategies import resolve
from tests.engine.markets import DAY_MS, HOUR_MS, MONDAY_MS, random_walk, times
from worker.engine.config import EngineConfig
from worker.engine.metrics import DEFINITIONS, Course, Metrics, measure
from worker.engine.metrics_page import write_page
from worker.engine.simulation import Simulation
from worker.engine.trades import Trades

WEEK_MS = 7 * DAY_MS


def trades_of(pnl: list[float]) -> Trades:
    columns: dict[str, Any] = {name: np.zeros(len(pnl), np.int64) for name in Trades._fields}
    return Trades(**{**columns, "pnl": np.array(pnl, np.float64)})


def metrics_of(equity: list[float], time_ms: np.ndarray, pnl: list[float] | None = None) -> Metrics:
    points = np.array(equity, np.float64)
    return measure(
        Course(
            time_ms=time_ms,
            close=points,
            equity=points,
            initial_capital=100.0,
            trades=trades_of(pnl or []),
            total_fees=1.5,
            bars_exposed=1,
            bars_ambiguous=2,
            orders_unfilled=3,
        )
    )


def wandering(total: int, seed: int) -> list[float]:
    steps = np.random.default_rng(seed).normal(0.0005, 0.01, total)
    return (100.0 * np.exp(np.cumsum(steps))).tolist()


def annualised(ends: list[float], per_year: float, years: float) -> dict[str, float]:
    """The annualised figures from day ends, in plain Python."""
    returns = [b / a - 1 for a, b in pairwise([100.0, *ends])]
    mean, deviation = statistics.fmean(returns), statistics.stdev(returns)
    downside = math.sqrt(statistics.fmean(min(one, 0.0) ** 2 for one in returns))
    return {
        "cagr": ((ends[-1] / 100.0) ** (1 / years) - 1) * 100,
        "volatility": deviation * math.sqrt(per_year) * 100,
        "sharpeRatio": mean / deviation * math.sqrt(per_year),
        "sortinoRatio": mean / downside * math.sqrt(per_year),
    }


def every_day(total: int) -> np.ndarray:
    return times(total, DAY_MS)


def years_of(time_ms: np.ndarray) -> float:
    """Calendar time from the first bar to the last."""
    return float(time_ms[-1] - time_ms[0]) / DAY_MS / 365.25


def weekdays(total: int) -> np.ndarray:
    return MONDAY_MS + np.array([7 * (i // 5) + i % 5 for i in range(total)], np.int64) * DAY_MS


@pytest.mark.parametrize(
    ("time_ms", "per_year"),
    [(every_day(300), 365.25), (weekdays(300), 5 * 365.25 / 7), (times(300, WEEK_MS), 365.25 / 7)],
    ids=["every day", "weekdays", "weeks"],
)
def test_annualised_figures_are_the_plain_formulas(time_ms: np.ndarray, per_year: float) -> None:
    equity = wandering(300, 1)
    found = metrics_of(equity, time_ms)
    for name, value in annualised(equity, per_year, years_of(time_ms)).items():
        assert found[name] == pytest.approx(value, rel=1e-9), name


def test_hours_are_taken_at_the_end_of_their_day() -> None:
    equity = wandering(24 * 30 + 7, 2)  # the last day is cut short
    ends = [*equity[23::24], equity[-1]]
    time_ms = times(len(equity), HOUR_MS)
    found = metrics_of(equity, time_ms)
    for name, value in annualised(ends, 365.25, years_of(time_ms)).items():
        assert found[name] == pytest.approx(value, rel=1e-9), name


def test_a_sunday_evening_belongs_to_monday_where_saturdays_rest() -> None:
    open_hours = [
        h for h in range(24 * 7 * 8) if h % 168 < 5 * 24 - 2 or h % 168 >= 7 * 24 - 2
    ]  # Sunday 22 to Friday 22
    time_ms = MONDAY_MS + np.array(open_hours, np.int64) * HOUR_MS
    periods = periodic_returns(day_ends(time_ms), np.array(wandering(len(open_hours), 3)), 100.0)
    assert periods.per_year == pytest.approx(5 * 365.25 / 7)
    assert periods.values is not None
    assert len(periods.values) == 5 * 8 + 1  # the last Sunday evening opens a Monday that has no other bar yet


def test_the_deepest_fall_counts_every_bar_and_the_initial_capital() -> None:
    assert metrics_of([90.0, 120.0, 60.0, 130.0], times(4))["maxDrawdown"] == pytest.approx(-50.0)
    assert metrics_of([80.0, 81.0], times(2))["maxDrawdown"] == pytest.approx(-20.0)
    assert metrics_of([100.0, 101.0, 101.0], times(3))["maxDrawdown"] == 0.0


def test_calmar_is_growth_over_the_deepest_fall() -> None:
    found = metrics_of(wandering(300, 5), every_day(300))
    growth, fall = found["cagr"], found["maxDrawdown"]
    assert growth is not None
    assert fall is not None
    assert found["calmarRatio"] == pytest.approx(growth / abs(fall))


def test_trade_figures_are_sums_and_counts() -> None:
    found = metrics_of([100.0, 110.0], times(2), [10.0, -4.0, 0.0, 6.0, -1.0])
    expected = {
        "totalTrades": 5,
        "winningTrades": 2,
        "losingTrades": 2,
        "winRate": 40.0,
        "profitFactor": 16.0 / 5.0,
        "expectancy": 11.0 / 5.0,
        "totalReturn": 10.0,
        "buyAndHoldReturn": 10.0,
        "finalEquity": 110.0,
        "totalFees": 1.5,
        "exposure": 50.0,
        "ambiguousBars": 2,
        "unfilledOrders": 3,
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value), name


def test_spells_below_the_peak_have_a_depth_and_a_length() -> None:
    #            peak 100, 110; falls to 99 (-10 %), back at 110; 120; falls to 60 (-50 %) and stays below
    found = metrics_of([105.0, 110.0, 99.0, 104.5, 110.0, 120.0, 60.0, 90.0], times(8))
    assert found["averageDrawdown"] == pytest.approx((-10 - 50) / 2)
    assert found["maxDrawdownDuration"] == pytest.approx(3 / 24)  # from bar 1 to bar 4
    below = metrics_of([90.0, 95.0, 99.0, 98.0], every_day(4))  # below the initial capital from the first bar on
    assert below["averageDrawdown"] == pytest.approx(-10.0)
    assert below["maxDrawdownDuration"] == 3.0
    rising = metrics_of([101.0, 101.0, 102.0], times(3))
    assert (rising["averageDrawdown"], rising["maxDrawdownDuration"]) == (0.0, 0.0)


def test_spells_are_those_of_a_walk_bar_by_bar() -> None:
    equity = wandering(400, 11)
    depths, longest, peak, peak_bar, deepest = [], 0, 100.0, 0, 0.0
    for bar, value in enumerate(equity):
        if value >= peak:
            if deepest < 0:
                depths.append(deepest)
                longest = max(longest, bar - peak_bar)
            peak, peak_bar, deepest = value, bar, 0.0
        else:
            deepest = min(deepest, value / peak - 1)
    if deepest < 0:
        depths.append(deepest)
        longest = max(longest, len(equity) - 1 - peak_bar)
    found = metrics_of(equity, every_day(400))
    assert len(depths) > 5
    assert found["averageDrawdown"] == pytest.approx(statistics.fmean(depths) * 100, rel=1e-9)
    assert found["maxDrawdownDuration"] == longest


def test_alpha_and_beta_are_the_line_through_both_returns() -> None:
    close, noise = wandering(300, 1), wandering(300, 2)
    equity = [math.sqrt(a * b) for a, b in zip(close, noise, strict=True)]
    points = np.array(equity, np.float64)
    run = Course(every_day(300), np.array(close), points, 100.0, trades_of([]), 0.0, 0, 0, 0)
    mine = [b / a - 1 for a, b in pairwise([100.0, *equity])]
    market = [b / a - 1 for a, b in pairwise([close[0], *close])]
    line = statistics.linear_regression(market, mine)
    found = measure(run)
    assert found["beta"] == pytest.approx(line.slope, rel=1e-9)
    assert found["alpha"] == pytest.approx(line.intercept * 365.25 * 100, rel=1e-9)
    assert measure(run._replace(close=np.full(300, 5.0)))["beta"] is None
    assert measure(run._replace(close=np.full(300, 5.0)))["alpha"] is None


def test_quality_figures_are_the_plain_formulas() -> None:
    pnl = [10.0, -4.0, 0.0, -6.0, -1.0, 8.0, -2.0, -3.0]
    found = metrics_of([100.0, 110.0], times(2), pnl)
    assert found["sqn"] == pytest.approx(math.sqrt(8) * statistics.fmean(pnl) / statistics.stdev(pnl))
    assert found["kelly"] == pytest.approx(100 * (2 / 8 - 5 / 8 / (9.0 / 3.2)))
    assert found["maxConsecutiveLosses"] == 2
    assert metrics_of([1.0, 1.0], times(2), [-1.0, -1.0, -1.0])["maxConsecutiveLosses"] == 3
    for pnl in ([], [5.0], [5.0, 5.0]):
        found = metrics_of([100.0, 110.0], times(2), pnl)
        assert (found["sqn"], found["kelly"], found["maxConsecutiveLosses"]) == (None, None, 0)


def test_trades_are_measured_by_time_share_and_value() -> None:
    bars = random_walk(24 * 40, 7)
    simulation = Simulation.start(bars, EngineConfig(), resolve(["sma"], {"sma": {"fast": 3, "slow": 9}}))
    simulation.advance(bars.total)
    outcome = simulation.finish()
    rows = outcome.trades.as_rows()
    shares = [100 * row["pnl"] / (row["quantity"] * row["entry_price"]) for row in rows]
    held = [(row["exit_time_ms"] - row["entry_time_ms"]) / DAY_MS for row in rows]
    traded = sum(row["quantity"] * (row["entry_price"] + row["exit_price"]) for row in rows)
    expected = {
        "averageTrade": statistics.fmean(shares),
        "bestTrade": max(shares),
        "worstTrade": min(shares),
        "averageHolding": statistics.fmean(held),
        "turnover": traded / 2 / statistics.fmean(outcome.equity.tolist()) / years_of(bars.time_ms),
    }
    for name, value in expected.items():
        assert outcome.metrics[name] == pytest.approx(value, rel=1e-9), name
    assert outcome.trades.total > 20


def test_every_figure_is_on_the_page_that_is_made_from_the_code() -> None:
    assert list(DEFINITIONS) == list(metrics_of([100.0, 101.0], times(2)))
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    assert page == write_page()
    for name in DEFINITIONS:
        text = page.split(f"## `{name}`\n\n")[1].split("\n\n## ")[0]
        assert re.search(r"percent|a number|money|days|a count|times a year|in a row", text), name


def test_what_is_undefined_is_none() -> None:
    still = metrics_of([100.0] * 10, every_day(10))
    for name in ("sharpeRatio", "sortinoRatio", "calmarRatio", "winRate", "profitFactor", "expectancy"):
        assert still[name] is None, name
    assert still["volatility"] == 0.0
    assert metrics_of([105.0], times(1))["sharpeRatio"] is None
    assert metrics_of([105.0, 110.0], every_day(2), [5.0, 5.0])["profitFactor"] is None
    ruined = metrics_of([50.0, -10.0, -10.0], every_day(3))
    assert [ruined[name] for name in ("cagr", "sharpeRatio", "volatility")] == [None, None, None]
    assert ruined["totalReturn"] == pytest.approx(-110.0)
    assert metrics_of([105.0], times(1))["cagr"] is None  # no time has passed
    assert metrics_of([100.0, 1e15], every_day(2))["cagr"] is None  # (10^13)^365 is beyond any number
    steady = metrics_of([100.0 * 1.01**day for day in range(1, 30)], every_day(29))
    assert steady["sharpeRatio"] is None  # the spread of equal returns is rounding


def test_a_run_is_measured_by_the_same_formulas() -> None:
    bars = random_walk(24 * 40, 7)
    config = EngineConfig(commission_rate=0.001, stop_loss_percent=2.0, take_profit_percent=3.0)
    simulation = Simulation.start(bars, config, resolve(["sma"], {"sma": {"fast": 3, "slow": 9}}))
    simulation.advance(bars.total)
    outcome = simulation.finish()
    scaled = (outcome.equity / 100.0).tolist()  # 10,000 at the start
    for name, value in annualised(scaled[23::24], 365.25, years_of(bars.time_ms)).items():
        assert outcome.metrics[name] == pytest.approx(value, rel=1e-9), name
    pnl = outcome.trades.pnl.tolist()
    assert outcome.metrics["totalTrades"] == len(pnl) > 20
    assert outcome.metrics["winRate"] == pytest.approx(100 * sum(one > 0 for one in pnl) / len(pnl))
    assert outcome.metrics["finalEquity"] == pytest.approx(10_000 + sum(pnl), rel=1e-9)
    assert outcome.metrics["buyAndHoldReturn"] == pytest.approx((bars.close[-1] / bars.close[0] - 1) * 100)
    worst, peak = 0.0, 10_000.0
    for value in outcome.equity.tolist():
        peak = max(peak, value)
        worst = min(worst, value / peak - 1)
    assert outcome.metrics["maxDrawdown"] == pytest.approx(worst * 100, rel=1e-12)
