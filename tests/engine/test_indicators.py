"""What strategies look at: causal, computed once and when wanted, begun with the bars before, and never a run's end."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.bars import Bars
from shared.errors import ConfigurationError, StrategyFailed, StrategyPeeks
from shared.request import BacktestParams
from shared.strategies import Strategy, StrategyUse, View, find
from shared.strategies.catalogue import built_in
from shared.strategies.causality import refuse_peeking
from shared.strategies.indicators import SHOWN_MAX, Indicators
from shared.strategies.parameters import Parameters
from shared.strategies.signals import silent
from shared.strategies.sma_crossover import STRATEGY as SMA
from shared.strategies.sma_crossover import SmaCrossoverParameters, sma_crossover_indicators
from shared.wire import validate
from tests.engine.deciders import carried_over, in_the_catalogue
from tests.engine.markets import flat, random_walk
from tests.engine.runs import SHORT
from tests.engine.test_strategies import QUICK
from tests.engine.test_windows import market
from worker.engine.config import EngineConfig
from worker.engine.deciding import play
from worker.engine.simulation import Simulation
from worker.engine_loop import Run
from worker.log_lines import LogLines
from worker.pipe import Finished, Moved, Wanted

TOTAL = 300
CANDLES = Wanted(news=True, candles=True)
computed = list[int]()  # of how many bars, each time


def counted(bars: Bars, _: Parameters) -> Any:
    computed.append(bars.total)
    return {"sma 10": bars.close, "mid": (bars.high + bars.low) / 2}


def raising(_bars: Bars, _: Parameters) -> Any:
    raise ZeroDivisionError("of nothing")


def quiet(name: str, indicators: Callable[[Bars, Any], Any]) -> Strategy:
    """It has no opinion, and looks at this."""
    return Strategy(name, name, "Looks.", Parameters, lambda bars, _: silent(bars.total), indicators=indicators)


def writing(bars: Bars, _: Parameters) -> Any:
    bars.close[:] = bars.open[:] = 7.0
    return {"seven": bars.close}


WRITES = quiet("writes", writing)
COUNTED = quiet("counted", counted)
RAISES = quiet("raises", raising)
MANY = quiet("many", lambda bars, _: {f"line {at}": bars.close * at for at in range(20)})


@pytest.fixture(scope="module", autouse=True)
def _known() -> Iterator[None]:
    with in_the_catalogue(COUNTED, RAISES, MANY, WRITES):
        yield


@pytest.fixture(autouse=True)
def _begun() -> None:
    computed.clear()


def begun(*strategies: str, warmup_bars: int = 0, lines: LogLines | None = None, **more: Any) -> tuple[Run, Bars]:
    body = {
        "symbol": "WALK",
        "interval": "1h",
        "startDate": "2024-01-01",
        "endDate": "2025-01-01",
        "strategies": list(strategies),
        **more,
    }
    bars = random_walk(TOTAL + warmup_bars, 5)
    return Run(validate(BacktestParams, body), bars, warmup_bars, lines=lines), bars


def shown(moved: Moved | Finished) -> dict[str, list[float]]:
    news = (moved.last if isinstance(moved, Finished) else moved).news
    assert news is not None
    return {name: column.tolist() for name, column in news.indicators.items()}


def use_of(indicators: Callable[[Bars, Any], Any], decide: Callable[[View], Any], **more: Any) -> StrategyUse:
    strategy = Strategy("looker", "Looker", "Looks.", SMA.parameters, decide=decide, indicators=indicators, **more)
    return strategy.use({"fast": 3, "slow": 8}, "looker")


# What ours look at

# What has to be given to those that have no default for it.
NEEDED = {"ai_trader": {"model": "m", "indicators": ["ema 20", "bbands 20 2"]}}


@pytest.mark.parametrize("strategy", built_in(), ids=lambda strategy: strategy.id)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 50), cut=st.integers(0, 150), quick=st.booleans(), cents=st.booleans())
def test_no_indicator_sees_the_future(strategy: Strategy, seed: int, cut: int, quick: bool, cents: bool) -> None:
    """Also where bars have no range, closes do not move and nothing is traded, as in a market of few prices."""
    bars = (market if cents else random_walk)(150, seed)
    use = strategy.use((QUICK if quick else NEEDED).get(strategy.id, NEEDED.get(strategy.id, {})), strategy.id)
    whole, known = use.indicators(bars), use.indicators(bars.first(cut))
    assert list(known) == list(whole)
    for name, column in whole.items():
        assert column.dtype == np.float64
        assert column.shape == (150,)
        np.testing.assert_array_equal(known[name], column[:cut], name)


def test_each_of_ours_has_names_with_its_periods() -> None:
    uses = [one.use(NEEDED.get(one.id, {}), one.id) for one in built_in()]
    names = {use.name: list(use.indicators(random_walk(60, 1))) for use in uses}
    assert names == {
        "sma_crossover": ["sma 10", "sma 30"],
        "ema_crossover": ["ema 12", "ema 26"],
        "rsi": ["rsi 14"],
        "macd": ["macd 12 26", "macd signal 12 26 9", "macd histogram 12 26 9"],
        "bollinger": ["bollinger upper 20 2", "bollinger middle 20", "bollinger lower 20 2"],
        "donchian": ["donchian high 20", "donchian low 20", "donchian high 10", "donchian low 10"],
        "momentum": ["momentum 20"],
        "mean_reversion": ["zscore 20"],
        "supertrend": ["supertrend 10 3"],
        "buy_and_hold": [],
        "rule": ["sma 10", "sma 30"],
        "ai_trader": ["ema 20", "bbands 20 2 upper", "bbands 20 2 middle", "bbands 20 2 lower"],
    }


def test_a_rule_shows_each_number_that_it_names_a_function_of() -> None:
    rule = {
        "long": "crosses_above(ema(close, 5), sma(shift(high, 1), 7)) and rsi(close) < 30.5",
        "short": "ema(close, 5) < -max(close - atr(9), 2) and falling(close, 3)",
        "exit": f"{'sma(' * 15}close{', 3)' * 15} > close",
    }
    bars = random_walk(60, 1)
    found = find("rule").use(rule, "rule").indicators(bars)
    names = ["ema 5", "sma(shift(high, 1), 7)", "shift(high, 1)", "rsi 14", "max((close - atr(9)), 2)", "atr 9"]
    nested = [name for name in found if name not in names]
    assert list(found)[:6] == names
    assert nested == [
        *("sma(sma(sma(sma(sma(sma(close, 3), 3), 3), 3), 3), 3)", "sma(sma(sma(sma(sma(close, 3), 3), 3), 3), 3)"),
        *("sma(sma(sma(sma(close, 3), 3), 3), 3)", "sma(sma(sma(close, 3), 3), 3)", "sma(sma(close, 3), 3)", "sma 3"),
    ]
    np.testing.assert_array_equal(found["ema 5"], talib.EMA(bars.close, 5))


def test_where_a_price_stands_still_a_score_is_zero_and_strength_unknown() -> None:
    bars = flat(60)
    assert find("zscore").use({}, "").indicators(bars)["zscore 20"][19:].tolist() == [0.0] * 41
    assert np.isnan(find("rsi").use({}, "").indicators(bars)["rsi 14"]).all()


def test_the_line_of_a_supertrend_is_where_the_next_break_would_be() -> None:
    bars = random_walk(2_000, 3)
    use = find("supertrend").use({"period": 5, "multiplier": 1.5}, "supertrend")
    line, said = use.indicators(bars)["supertrend 5 1.5"], use.signals(bars)
    turns = np.flatnonzero(said != 2)
    assert np.isnan(line[: turns[0]]).all()
    for turn, until in zip(turns, [*turns[1:], 2_000], strict=True):
        above = (line[turn:until] - bars.close[turn:until]) * said[turn]
        assert (above <= 0).all(), "below the closes of a long, above those of a short"
        assert (np.diff(line[turn:until]) * said[turn] >= 0).all(), "it only follows"
    assert turns.shape[0] > 50


# Of a run


def test_they_are_computed_once_and_only_for_who_sees_candles() -> None:
    run, bars = begun("counted", "sma")
    assert shown(run.advance(100, Wanted(news=True))) == {}
    assert computed == []
    first = shown(run.advance(120, CANDLES))
    assert first["mid"] == ((bars.high + bars.low) / 2)[100:120].tolist()
    run.rewind(50, CANDLES)
    again = shown(run.advance(130, CANDLES))
    assert again["mid"][50:70] == first["mid"], "a run that is taken back shows the same"
    run.advance(TOTAL, CANDLES)
    assert computed == [TOTAL]


def test_they_begin_with_the_bars_before_that_signals_begin_with() -> None:
    run, bars = begun("sma", "ema", "counted", warmup_bars=250)
    found = shown(run.advance(20, CANDLES))
    assert found["sma 30"] == pytest.approx(talib.SMA(bars.close, 30)[250:270].tolist(), rel=1e-12)
    assert (
        found["ema 26"]
        == talib.EMA(bars.after(250 - find("ema").use({}, "").warmup_bars).close, 26)[-300:-280].tolist()
    )
    assert computed == [TOTAL], "without a warm-up it begins where the run does"


def test_one_name_for_different_values_becomes_each_strategys_own() -> None:
    run, bars = begun("sma", "counted", "rule", strategyParams={"rule": {"long": "sma(close, 30) > 0"}})
    found = shown(run.advance(100, CANDLES))
    assert list(found) == ["sma: sma 10", "sma 30", "counted: sma 10", "mid"]
    assert found["counted: sma 10"] == bars.close[:100].tolist()


def test_one_that_raises_is_left_out_with_one_line_of_the_log() -> None:
    lines = LogLines()
    with lines.listening():
        run, _ = begun("raises", "sma", lines=lines)
        moved = [run.advance(bar, CANDLES) for bar in (50, 100)]
        ended = run.advance(TOTAL, CANDLES)
    assert all(list(shown(one)) == ["sma 10", "sma 30"] for one in (*moved, ended))
    said = [line.message for one in moved if isinstance(one, Moved) for line in one.logs]
    assert said == ["strategy raises gave no indicators: ZeroDivisionError: of nothing; none of it are shown"]
    assert isinstance(ended, Finished)
    assert ended.last.logs == ()
    alone, _ = begun("raises", "sma")
    unwatched = alone.advance(TOTAL)
    assert isinstance(unwatched, Finished)
    assert unwatched.outcome.result_hash == ended.outcome.result_hash


def test_one_that_writes_into_its_bars_does_not_change_what_is_traded() -> None:
    unwatched, watched = begun("sma", "writes")[0], begun("sma", "writes")[0]
    watched.advance(10, CANDLES)
    ended = [run.advance(TOTAL) for run in (unwatched, watched)]
    assert len({one.outcome.result_hash for one in ended if isinstance(one, Finished)}) == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda bars: None, "a NoneType is no mapping"),
        (lambda bars: [("x", bars.close)], "a list is no mapping"),
        (lambda bars: {"x": bars.close[1:]}, r"'x' must be 300 numbers, and is float64 of shape \(299,\)"),
        (lambda bars: {"x": 1.0}, r"'x' must be 300 numbers, and is float64 of shape \(\)"),
        (lambda bars: {"x": ["y"] * bars.total}, "'x' must be 300 numbers, and is <U1"),
        (lambda bars: {"x": bars.close > 1}, "'x' must be 300 numbers, and is bool"),
        (lambda bars: {"x": [[1.0], [2.0, 3.0]]}, "inhomogeneous"),
        (lambda bars: {7: bars.close}, "7 is no name"),
        (lambda bars: {"": bars.close}, "'' is no name"),
        (lambda bars: {"a\nb": bars.close}, r"'a\\nb' is no name"),
        (lambda bars: {"\ud800": bars.close}, "is no name"),
        (lambda bars: {"x" * 61: bars.close}, "is no name of 1 to 60 printable characters"),
    ],
)
def test_nonsense_is_left_out_and_named(given: Callable[[Bars], Any], words: str) -> None:
    use = StrategyUse("odd", quiet("odd", lambda bars, _: given(bars)), Parameters())
    columns, [problem] = Indicators([use], random_walk(TOTAL, 1), 0).shown()
    assert columns == {}
    assert problem.startswith("strategy odd gave no indicators: ")
    assert re.search(words, problem), problem


def test_at_most_sixteen_are_shown_and_the_others_named(caplog: pytest.LogCaptureFixture) -> None:
    run, _ = begun("sma", "many")
    with caplog.at_level(logging.WARNING):
        found = shown(run.advance(10, CANDLES))
    assert list(found) == ["sma 10", "sma 30", *(f"line {at}" for at in range(SHOWN_MAX - 2))]
    assert [one.message for one in caplog.records] == [
        f"16 indicators of 22 are shown, and not: {', '.join(f'line {at}' for at in range(14, 20))}"
    ]


# In views


def crosses(view: View) -> int | None:
    """The two averages' crossing, as they are shown."""
    fast, slow = view.indicators.values()
    if view.bar < 8:
        return None
    before, now = fast[-2] - slow[-2], fast[-1] - slow[-1]
    return 1 if before <= 0 < now else -1 if before >= 0 > now else None


def test_who_decides_by_its_indicators_trades_as_signals_do_wherever_the_run_is_cut() -> None:
    bars, decider = random_walk(400, 2), use_of(sma_crossover_indicators, crosses)
    known = Simulation.start(bars, SHORT, [SMA.use({"fast": 3, "slow": 8}, "looker")])
    known.advance(400)
    asked = Simulation.start(bars, SHORT, [decider])
    play(asked, 137)
    asked = carried_over(asked, bars)
    play(asked, 400)
    theirs, ours = known.finish(), asked.finish()
    assert ours.trades.total > 20
    assert ours.equity.tolist() == theirs.equity.tolist()


def test_a_view_shows_them_up_to_its_bar_sealed() -> None:
    seen = list[View]()
    bars = random_walk(30, 2)
    simulation = Simulation.start(bars, EngineConfig(), [use_of(sma_crossover_indicators, seen.append)])
    play(simulation, 30)
    whole = sma_crossover_indicators(bars, SmaCrossoverParameters(fast=3, slow=8))
    for view in seen:
        assert list(view.indicators) == ["sma 3", "sma 8"]
        for name, column in view.indicators.items():
            np.testing.assert_array_equal(column, whole[name][: view.bar + 1])
            with pytest.raises(ValueError, match="WRITEABLE"):
                column.flags.writeable = True
    assert len(seen) == 30


def test_they_are_computed_once_for_views_and_candles_and_may_begin_before_the_run() -> None:
    seen = list[float]()

    def decide(view: View) -> None:
        seen.append(float(view.indicators["mid"][-1]))

    decider = Strategy("eager", "Eager", "Looks.", Parameters, decide=decide, indicators=counted, warmup=lambda _: 40)
    with in_the_catalogue(decider):
        run, bars = begun("eager", warmup_bars=100)
        found = shown(run.advance(50, CANDLES))
        run.rewind(0, CANDLES)
        run.advance(60, CANDLES)
    assert computed == [TOTAL + 40]
    assert seen[:50] == found["mid"] == ((bars.high + bars.low) / 2)[100:150].tolist()


def test_who_decides_by_what_fails_ends_its_run_by_name() -> None:
    with pytest.raises(StrategyFailed, match="strategy looker gave no indicators: ZeroDivisionError: of nothing"):
        Simulation.start(random_walk(30, 1), EngineConfig(), [use_of(raising, crosses)])


def test_who_decides_has_bars_before_the_run_only_for_its_indicators() -> None:
    with pytest.raises(ConfigurationError, match="leave warmup out, or give the indicators"):
        Strategy("a", "A", "A.", Parameters, decide=crosses, warmup=lambda _: 5)


def to_come(bars: Bars, _: Any) -> dict[str, Any]:
    return {"steady": bars.close, "next": np.append(bars.close[1:], np.nan)}


def of_the_last(bars: Bars, _: Any) -> dict[str, Any]:
    return {"share": bars.close / bars.close[-1]}


@pytest.mark.parametrize(("indicators", "name"), [(to_come, "next"), (of_the_last, "share")])
def test_who_looks_ahead_by_its_indicators_is_refused_by_name(indicators: Any, name: str) -> None:
    bars = random_walk(500, 3)
    with pytest.raises(StrategyPeeks, match=f"sees the future: of bar 0 .* its indicator {name} is ") as caught:
        refuse_peeking([find("sma").use({}, "sma"), use_of(indicators, crosses)], bars, 1)
    assert [error.field for error in caught.value.errors] == ["strategies.1"]


def test_rounding_is_no_look_ahead_and_what_cannot_be_checked_is_said() -> None:
    bars = random_walk(500, 3)
    # Summed from the last bar on: the same but for the last digits.
    rounded = use_of(
        lambda bars, _: {"sum": bars.close.sum() - np.cumsum(bars.close[::-1])[::-1] + bars.close}, crosses
    )
    refuse_peeking([rounded, use_of(sma_crossover_indicators, crosses)], bars, 1)
    for odd in (lambda bars, _: {"x": np.full(500, 1.0)}, lambda bars, _: {f"x {bars.total}": bars.close}):
        with pytest.raises(StrategyFailed, match="cannot be checked for seeing the future"):
            refuse_peeking([use_of(odd, crosses)], bars, 1)
