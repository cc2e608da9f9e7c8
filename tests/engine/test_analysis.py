"""What is drawn of a result agrees with the figures of its run, and with slow sums over the same bars."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.analysis.curves import rolling_sharpe
from shared.analysis.distributions import BINS_MAX, histogram, lows_and_highs, thinned
from shared.analysis.whole import EXCURSIONS_MAX, Tables, analyse
from shared.bars import Bars
from shared.periods import day_ends
from tests.engine.markets import DAY_MS, flat, random_walk
from tests.engine.runs import CONFIGS, EVERYTHING, SHORT, quick_uses, run
from worker.engine.config import EngineConfig

BARS = random_walk(900, 5, step_ms=DAY_MS // 2)


def tables_of(bars: Bars, config: EngineConfig, **changes: Any) -> Tables:
    outcome = run(bars, config, *quick_uses())
    given = {"initialCapital": config.initial_capital, "fillAt": config.fill_at, "profile": config.profile}
    equity = {"time_ms": outcome.time_ms, "equity": outcome.equity}
    return Tables(equity, outcome.trades._asdict(), bars, given, dict(outcome.metrics))._replace(**changes)


def compounded(returns: list[dict[str, Any]]) -> float:
    return math.prod(1.0 + one["return"] for one in returns) - 1.0


@pytest.mark.parametrize("name", ["plain", "everything", "at the close", "small", "leverage"])
def test_what_is_drawn_agrees_with_the_figures_of_the_run(name: str) -> None:
    tables = tables_of(BARS, CONFIGS[name])
    drawn, metrics = analyse(tables, 200), tables.metrics
    curves = drawn["equity"]
    assert {len(curve) for curve in curves.values()} == {len(curves["time"])}
    assert len(curves["time"]) <= 200
    assert (curves["time"][-1], curves["equity"][-1]) == (BARS.time_ms[-1], metrics["finalEquity"])
    assert min(curves["drawdown"]) * 100 == pytest.approx(metrics["maxDrawdown"], rel=1e-12)
    assert max(curves["drawdown"]) <= 0.0
    held = curves["buyAndHold"][-1] / tables.initial_capital - 1
    assert held * 100 == pytest.approx(metrics["buyAndHoldReturn"], rel=1e-9)
    for returns in (drawn["monthly"], drawn["yearly"]):
        assert compounded(returns) * 100 == pytest.approx(metrics["totalReturn"], rel=1e-9)
    assert [(one["year"], one["month"]) for one in drawn["monthly"]][::14] == [(2024, 1), (2025, 3)]
    assert [one["year"] for one in drawn["yearly"]] == [2024, 2025]
    assert drawn["streaks"]["longestLosing"] == metrics["maxConsecutiveLosses"]
    long, short = drawn["bySide"]
    assert long["wins"] + short["wins"] == metrics["winningTrades"]
    total = metrics["totalTrades"]
    for groups, count in ((drawn["tradesByExit"], "count"), *((drawn[by], "trades") for by in GROUPS)):
        assert sum(one[count] for one in groups) == total, groups
        assert sum(one["pnl"] for one in groups) == pytest.approx(tables.trades["pnl"].sum(), rel=1e-9, abs=1e-6)
    assert sum(drawn["returnsHistogram"]["counts"]) == sum(drawn["holdHistogram"]["counts"]) == total
    assert drawn["excursions"]["total"] == total


GROUPS = ("bySide", "byWeekday", "byHour")


@pytest.mark.parametrize("name", ["everything", "at the close", "leverage", "small"])
def test_exposure_and_excursions_are_what_a_look_at_each_trade_finds(name: str) -> None:
    tables = tables_of(BARS, CONFIGS[name])
    trades, at_close = tables.trades, tables.config["fillAt"] == "close"
    drawn = analyse(tables, BARS.total + 1)
    rows = list(zip(*(trades[column].tolist() for column in COLUMNS), strict=True))
    worth = np.zeros(BARS.total)
    for at, (entry, leave, direction, quantity, entry_price, exit_price, reason) in enumerate(rows):
        worth[entry:leave] += quantity * BARS.close[entry:leave]
        whole = reason in (7, 8) or (at_close and reason in (1, 5))
        inside = slice(entry + at_close, leave + whole)
        prices = [entry_price, exit_price, *BARS.low[inside].tolist(), *BARS.high[inside].tolist()]
        moves = [direction * (price / entry_price - 1) for price in prices]
        assert drawn["excursions"]["mae"][at] == pytest.approx(min(moves), abs=1e-12)
        assert drawn["excursions"]["mfe"][at] == pytest.approx(max(moves), abs=1e-12)
    assert len(rows) > 20
    exposure = worth / tables.equity["equity"]
    assert drawn["equity"]["exposure"] == pytest.approx(exposure.tolist(), abs=1e-9)
    held = (worth > 0.0).tolist()
    assert [value > 0.0 for value in drawn["equity"]["exposure"]] == held


COLUMNS = ("entry_bar", "exit_bar", "direction", "quantity", "entry_price", "exit_price", "exit_reason")


def test_one_window_over_all_returns_is_the_sharpe_ratio_of_the_run() -> None:
    tables = tables_of(BARS, EVERYTHING)
    ends = day_ends(BARS.time_ms)
    returns = len(ends.bars) + 1
    found = rolling_sharpe(ends, tables.equity["equity"], tables.initial_capital, 10, window=returns)
    assert found is not None
    assert found.value.tolist() == pytest.approx([tables.metrics["sharpeRatio"]], rel=1e-12)
    assert found.bars.tolist() == [BARS.total - 1]
    drawn = analyse(tables, 5_000)["rollingSharpe"]
    assert (drawn["windowReturns"], drawn["windowDays"]) == (183, 183)
    assert len(drawn["value"]) == returns - 183 + 1
    [day] = [at for at, time_ms in enumerate(BARS.time_ms.tolist()) if time_ms == drawn["time"][40]]
    part = tables.equity["equity"][: day + 1][-2 * 183 - 1 :: 2]
    moves = part[1:] / part[:-1] - 1
    sharpe = moves.mean() / moves.std(ddof=1) * math.sqrt(tables.metrics["periodsPerYear"])
    assert drawn["value"][40] == pytest.approx(sharpe, rel=1e-9)


@pytest.mark.parametrize("name", ["everything", "distances"])
def test_ambiguous_bars_are_found_again_where_the_request_alone_has_levels(name: str) -> None:
    config = CONFIGS[name]
    levels = {
        "stopLoss": {"percent": config.stop_loss_percent, "distance": config.stop_loss_distance},
        "takeProfit": {"percent": config.take_profit_percent, "distance": config.take_profit_distance},
    }
    bars = random_walk(4_000, 9, volatility=0.02)
    tables = tables_of(bars, config)
    tables = tables._replace(config={**tables.config, **levels})
    drawn = analyse(tables, 50)["ambiguousBars"]
    assert drawn["total"] == tables.metrics["ambiguousBars"] > 0
    times = [one["time"] for one in drawn["items"]]
    assert len(times) == min(drawn["total"], 1_000)
    assert times == sorted(set(times))
    for bar in np.flatnonzero(np.isin(bars.time_ms, times)):
        at = np.flatnonzero(tables.trades["exit_bar"] == bar)
        assert set(tables.trades["exit_reason"][at].tolist()) & {2, 3}
    for changes in ({"trailingStop": {"percent": 2}}, {"takeProfit": None}, {"useStopOrders": False}):
        unknown = analyse(tables._replace(config={**tables.config, **changes}), 50)["ambiguousBars"]
        assert unknown == {"items": None, "total": drawn["total"]}
    one_more = {**tables.metrics, "ambiguousBars": drawn["total"] + 1}
    assert analyse(tables._replace(metrics=one_more), 50)["ambiguousBars"]["items"] is None


def test_what_cannot_be_known_is_null_and_what_is_not_there_is_empty() -> None:
    still = analyse(tables_of(flat(40), SHORT), 50)
    assert still["returnsHistogram"] == {"edges": [], "counts": []}
    assert still["rollingSharpe"] is None  # there are two days
    assert still["ambiguousBars"] == {"items": [], "total": 0}
    assert (still["excursions"]["index"], still["excursions"]["total"]) == ([], 0)
    assert set(still["equity"]["exposure"]) == {0.0}
    days = analyse(tables_of(flat(40)._replace(time_ms=BARS.time_ms[:80:2]), SHORT), 50)
    assert set(days["rollingSharpe"]["value"]) == {None}  # nothing varies
    tables = tables_of(BARS, EVERYTHING)
    blind = analyse(tables._replace(bars=None), 50)
    assert (blind["excursions"], blind["equity"]["buyAndHold"], blind["equity"]["exposure"]) == (None, None, None)
    left_open = analyse(tables._replace(metrics={**tables.metrics, "openTrades": 1}), 50)
    assert left_open["equity"]["exposure"] is None
    broke = tables.equity["equity"].copy()
    broke[450:] = -1.0
    ruined = analyse(tables._replace(equity={**tables.equity, "equity": broke}), 50)
    assert ruined["rollingSharpe"] is None
    assert [one["return"] for one in ruined["monthly"]][-2:] == [None, None]
    assert ruined["equity"]["exposure"][-1] is None
    assert min(ruined["equity"]["drawdown"]) < -1.0


finite = st.floats(-1e9, 1e9)


@given(st.lists(finite | st.sampled_from([0.0, 0.1, 0.30000000000000004]), max_size=60), st.sampled_from([0.0, 1.0]))
def test_every_value_is_in_the_bin_whose_edges_are_around_it(values: list[float], least: float) -> None:
    column = np.round(values) if least else np.array(values, np.float64)
    edges, counts = histogram(column, least)
    assert counts.sum() == len(values)
    if not values:
        return
    assert len(edges) == len(counts) + 1 <= BINS_MAX + 3
    assert (np.diff(edges) > 0.0).all()
    assert edges[0] <= column.min()
    assert column.max() < edges[-1]
    if edges[0] <= 0.0 <= edges[-1]:
        assert 0.0 in edges.tolist()
    for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
        assert ((column >= low) & (column < high)).sum() == count
    if least:
        assert (edges % 1.0 == 0.0).all()


@given(st.integers(1, 200), st.integers(0, 2**32))
def test_the_lowest_and_highest_of_any_bars_are_found(total: int, seed: int) -> None:
    bars = random_walk(total, seed)
    random = np.random.default_rng(seed)
    first = random.integers(0, total, 50)
    until = np.minimum(first + random.integers(-1, total + 1, 50), total)
    lows, highs = lows_and_highs(bars, first, until)
    for at, (begin, end) in enumerate(zip(first, np.maximum(first, until), strict=True)):
        assert lows[at] == np.min(bars.low[begin:end], initial=math.inf)
        assert highs[at] == np.max(bars.high[begin:end], initial=-math.inf)


def test_the_outermost_trades_are_kept_when_there_are_too_many() -> None:
    columns = tuple(np.random.default_rng(seed).normal(size=50_000) for seed in (1, 2, 3))
    rows = thinned(columns, EXCURSIONS_MAX)
    assert len(rows) == len(set(rows.tolist())) == EXCURSIONS_MAX
    assert (np.diff(rows) > 0).all()
    for column in columns:
        order = np.argsort(column)
        assert set(order[:100]) | set(order[-100:]) <= set(rows.tolist())
