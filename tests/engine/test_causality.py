"""A strategy that sees the future is caught by what it says of bars it has already spoken of."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.bars import Bars
from shared.errors import StrategyFailed, StrategyPeeks
from shared.strategies import NO_OPINION, Strategy, StrategyUse, catalogue, resolve
from shared.strategies.causality import first_peek, refuse_peeking, sample_cuts
from shared.strategies.parameters import Parameters
from shared.strategies.signals import Signals, silent, told_once
from tests.engine.deciders import STEPS
from tests.engine.markets import flat, random_walk
from tests.engine.runs import quick_uses


def use_of(signals: Callable[[Bars, Parameters], Signals], name: str = "seer") -> StrategyUse:
    return StrategyUse(name, Strategy(name, "Seer", "Sees.", Parameters, signals), Parameters())


def around_the_middle(bars: Bars, _: Parameters) -> Signals:
    """Crossings of the close and an average of the two bars before and the two after it."""
    if bars.total < 5:
        return silent(bars.total)
    average = np.convolve(bars.close, np.ones(5) / 5, "valid")
    above = np.where(bars.close[2:-2] > average, 1, -1).astype(np.int8)
    return told_once(np.concatenate([silent(2), above, silent(2)]))


def before_the_top(bars: Bars, _: Parameters) -> Signals:
    """Flat from the highest close of all on, and nothing else."""
    signals = silent(bars.total)
    signals[0] = 1
    signals[int(bars.close.argmax())] = 0
    return signals


def by_the_last_close(bars: Bars, _: Parameters) -> Signals:
    """Prices as shares of the last one, which a causal strategy would not know."""
    return told_once(np.where(bars.close / bars.close[-1] > 1.0, -1, 1).astype(np.int8))


def one_bar_ahead(bars: Bars, _: Parameters) -> Signals:
    """Speaks seldom, and then of the bar to come."""
    signals = silent(bars.total)
    jumps = np.flatnonzero(bars.close[1:] > 1.025 * bars.close[:-1])
    signals[jumps] = 1
    return signals


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("signals", [around_the_middle, before_the_top, by_the_last_close, one_bar_ahead])
def test_a_strategy_that_peeks_is_refused_by_name(signals: Callable[[Bars, Parameters], Signals], seed: int) -> None:
    bars = random_walk(2_000, seed)
    with pytest.raises(StrategyPeeks, match="strategy seer sees the future: of bar ") as caught:
        refuse_peeking([*quick_uses(), use_of(signals)], bars, seed)
    assert caught.value.code == "strategy_peeks"
    [error] = caught.value.errors
    assert (error.field, error.code, error.message) == ("strategies.2", "strategy_peeks", caught.value.message)


def test_the_refusal_says_which_bar_changed_and_what_was_known_by_then() -> None:
    def late(bars: Bars, _: Parameters) -> Signals:
        signals = silent(bars.total)
        signals[3 : 4 + (bars.total == 10)] = -1
        return signals

    with pytest.raises(StrategyPeeks) as caught:
        refuse_peeking([use_of(late), use_of(by_the_last_close, "other")], random_walk(10, 1), 0)
    assert caught.value.errors[0].message == (
        "strategy seer sees the future: of bar 4 (2024-01-01T04:00:00Z) it says no opinion while bars up to 4 "
        "(2024-01-01T04:00:00Z) are known, and short once those up to 9 (2024-01-01T09:00:00Z) are; "
        "let it read only bars up to the one it speaks of"
    )
    assert [error.field for error in caught.value.errors] == ["strategies.0", "strategies.1"]


@pytest.mark.parametrize("bars", [random_walk(3_000, 8), random_walk(12, 8), random_walk(1, 8), flat(500)])
def test_every_strategy_of_the_catalogue_passes(bars: Bars) -> None:
    refuse_peeking(
        [*resolve([one.id for one in catalogue()], {"ai_trader": {"model": "any"}}), STEPS.use({}, "")], bars, 7
    )


@settings(max_examples=200)
@given(total=st.integers(0, 400), seed=st.integers(0, 2**63 - 1), spoken=st.integers(0, 5))
def test_cuts_are_few_spread_bounded_and_always_the_same(total: int, seed: int, spoken: int) -> None:
    whole = silent(total)
    whole[:: 1 + 7 * spoken] = 1
    cuts = sample_cuts(whole, seed)
    assert cuts == sample_cuts(whole, seed) == sorted(set(cuts))
    assert len(cuts) <= 20
    assert sum(cuts) <= 10 * total
    assert set(cuts) <= set(range(1, total))
    assert {1, 2, total - 1} & set(range(1, total)) <= set(cuts)
    assert all(later - earlier <= max(total // 8 + 1, 1) for earlier, later in pairwise(cuts))


def test_what_is_said_once_in_a_sixteenth_is_cut_right_after() -> None:
    whole = silent(1_600)
    whole[777] = 1  # in the eighth sixteenth
    assert all(778 in sample_cuts(whole, seed) for seed in range(20))


def test_a_strategy_that_overwrites_what_it_said_is_caught_all_the_same() -> None:
    buffer = np.empty(100, np.int8)

    def reusing(bars: Bars, params: Parameters) -> Signals:
        buffer[: bars.total] = by_the_last_close(bars, params)
        return buffer[: bars.total]

    with pytest.raises(StrategyPeeks):
        refuse_peeking([use_of(reusing)], random_walk(100, 1), 0)


@pytest.mark.parametrize(
    ("signals", "words"),
    [
        (lambda bars, _: np.full(bars.total, bars.close[9] > 0, np.int8), "raises IndexError"),
        (lambda bars, _: silent(max(bars.total, 50)), r"raises ValueError: it must return 1 signals .* shape \(50,\)"),
    ],
)
def test_a_strategy_that_fails_on_fewer_bars_is_named(
    signals: Callable[[Bars, Parameters], Signals], words: str
) -> None:
    problem = f"strategy seer cannot be checked for seeing the future: on fewer bars it {words}"
    with pytest.raises(StrategyFailed, match=problem) as caught:
        refuse_peeking([use_of(signals)], random_walk(50, 1), 0)
    assert [(error.field, error.code) for error in caught.value.errors] == [("strategies.0", "strategy_error")]


def test_the_first_cut_at_which_something_changed_is_told() -> None:
    bars = random_walk(100, 3)
    peek = first_peek(use_of(one_bar_ahead), bars, one_bar_ahead(bars, Parameters()), range(101))
    assert peek is not None
    assert (peek.then, peek.later, peek.cut) == (NO_OPINION, 1, peek.bar + 1)
