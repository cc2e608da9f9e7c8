"""What is said of a window depends on nothing outside it, and what lies on a threshold lies on it in any unit.

Exempt are by nature those that remember all prices there were: exponential averages, Wilder's averages (the index of
relative strength, true ranges, the strength of a trend), and the bands that follow them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.bars import Bars
from shared.strategies import NO_OPINION, catalogue, find
from shared.strategies.rule.functions import FUNCTIONS
from tests.engine.markets import bars_of, times

RECURSIVE = {"ema_crossover", "rsi", "macd", "supertrend", "buy_and_hold"}
RECURSIVE_FUNCTIONS = {"ema", "rsi", "macd", "macd_signal", "macd_histogram", "atr", "adx"}
QUICK: dict[str, dict[str, Any]] = {
    "sma_crossover": {"fast": 3, "slow": 7},
    "bollinger": {"period": 5, "deviations": 1.5},
    "donchian": {"entry": 6, "exit": 3},
    "momentum": {"period": 4, "threshold": 1.0},
    "mean_reversion": {"period": 5, "entry": 1.5, "exit": 0.5},
    "rule": {"long": "wma(close, 5) > sma(close, 9)", "short": "zscore(close, 5) >= 1.5 or stdev(close, 4) <= 0.01"},
}
KEPT = {"donchian", "momentum"}  # they do not repeat their last word, which may have come before the window


def market(total: int, seed: int) -> Bars:
    """Prices in cents that move by a few of them, so that they meet their averages and each other all the time."""
    random = np.random.default_rng(seed)
    close = np.round(10.0 + np.cumsum(random.integers(-4, 5, total)) / 100.0 % 3.0, 2)
    opened = np.concatenate([[10.0], close[:-1]])
    high = np.round(np.maximum(opened, close) + random.integers(0, 4, total) / 100.0, 2)
    low = np.round(np.minimum(opened, close) - random.integers(0, 4, total) / 100.0, 2)
    return Bars(times(total), opened, high, low, close, random.integers(0, 5, total).astype(np.float64))


def standing(said: NDArray[np.int8]) -> NDArray[np.int8]:
    spoken = np.maximum.accumulate(np.where(said != NO_OPINION, np.arange(said.shape[0]), 0))
    return said[spoken]


def later(bars: Bars, first: int) -> Bars:
    prices: Any = (np.ascontiguousarray(column[first:]) for column in bars[1:])
    return Bars(bars.time_ms[first:].copy(), *prices)


@pytest.mark.parametrize("name", [one.id for one in catalogue() if one.form == "signals" and one.id not in RECURSIVE])
@pytest.mark.parametrize("seed", range(3))
def test_a_strategy_of_windows_says_the_same_wherever_its_bars_begin(name: str, seed: int) -> None:
    bars = market(3_000, seed)
    for params in (QUICK[name], {}):
        use = find(name).use(params, name)
        whole = use.signals(bars)
        assert np.sum(whole != NO_OPINION) > 10
        for first in (1, 2, 37, 64, 1_001):
            part, same = use.signals(later(bars, first)), whole[first:]
            begins = 60  # no default looks back further
            if name in KEPT:
                begins = int(np.flatnonzero(part != NO_OPINION)[0])
                part, same = standing(part), standing(whole)[first:]
            assert part[begins:].tobytes() == same[begins:].tobytes()


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - RECURSIVE_FUNCTIONS))
@pytest.mark.parametrize("period", [1, 2, 5, 20, 63])
def test_a_function_of_windows_gives_the_same_wherever_its_bars_begin(name: str, period: int) -> None:
    function, bars = FUNCTIONS[name], market(1_500, 5)
    literals = [min(max(period, int(one.least)), int(one.most)) for one in function.settings]

    def of(part: Bars) -> list[bytes]:
        with np.errstate(all="ignore"):  # as where a rule is evaluated
            found: Any = function.of(part, *(part.close, part.open)[: len(function.numbers)], *literals)
        columns: Any = found if isinstance(found, tuple) else [found]
        return [column[-1_000:].tobytes() for column in columns]

    assert of(bars) == of(later(bars, 1)) == of(later(bars, 311))


PRICES = [(0.1, 0.3), (1.1, 1.7), (100.0, 101.0), (65_000.1, 65_000.3), (1e-7, 3e-7)]


def said(name: str, closes: list[float], **params: Any) -> list[int]:
    signals = find(name).use(params, name).signals(bars_of([(p, p, p, p) for p in closes]))
    return [int(signal) for signal in signals]


@pytest.mark.parametrize(("usual", "odd"), PRICES)
def test_a_score_on_the_threshold_has_reached_it(usual: float, odd: float) -> None:
    """Of five prices one that is unlike the others lies exactly two deviations away."""
    _ = NO_OPINION
    assert said("mean_reversion", [usual] * 5 + [odd] + [usual], period=5) == [_] * 5 + [-1, 0]
    assert said("mean_reversion", [odd] * 5 + [usual] + [odd], period=5) == [_] * 5 + [1, 0]


@pytest.mark.parametrize(("usual", "odd"), [*PRICES, (1.15, 2.38), (2.69, 0.81), (0.37, 0.53)])
def test_a_close_on_the_band_is_not_beyond_it(usual: float, odd: float) -> None:
    """So the next one, between band and middle, has not come back from anywhere."""
    assert set(said("bollinger", [usual] * 5 + [odd] + [(usual + odd) / 2], period=5)) == {NO_OPINION}


def test_a_change_of_just_the_threshold_does_not_exceed_it() -> None:
    for close in (1.1, 0.7, 120.0, 33.3, 1e-6):
        assert said("momentum", [close, close * 1.1], period=1, threshold=10.0) == [NO_OPINION] * 2
        assert said("momentum", [close, close * 0.9], period=1, threshold=10.0) == [NO_OPINION] * 2
        assert said("momentum", [close, close * 1.1001], period=1, threshold=10.0) == [NO_OPINION, 1]
        assert said("momentum", [close, close * 0.8999], period=1, threshold=10.0) == [NO_OPINION, -1]


def test_an_index_at_its_end_stays_there_while_the_price_stands_still() -> None:
    _ = NO_OPINION
    assert said("rsi", [10.0, 9.0, 8.0, 7.0, 7.0, 7.0, 9.0], period=3) == [_] * 6 + [1]
    assert said("rsi", [7.0, 8.0, 9.0, 10.0, 10.0, 10.0, 8.0], period=3) == [_] * 6 + [-1]


def test_windows_are_those_of_exact_arithmetic() -> None:
    from fractions import Fraction

    from shared.strategies.rolling import mean_and_deviation_nb, mean_nb, weighted_mean_nb

    prices = market(300, 9).close * 6_500.1
    exact = [Fraction(price) for price in prices.tolist()]
    for period in (1, 2, 3, 7, 16, 100):
        mean, spread = mean_and_deviation_nb(prices, period)
        assert mean.tobytes() == mean_nb(prices, period).tobytes()
        weighted = weighted_mean_nb(prices, period)
        assert np.isnan(mean[: period - 1]).all()
        for bar in range(period - 1, 300, 7):
            window = exact[bar - period + 1 : bar + 1]
            average = sum(window) / period
            square = sum((price - average) ** 2 for price in window) / period
            by_age = sum(age * price for age, price in enumerate(window, 1)) / (period * (period + 1) // 2)
            assert mean[bar] == pytest.approx(float(average), rel=4e-16 * 8)
            assert weighted[bar] == pytest.approx(float(by_age), rel=4e-16 * 8)
            assert spread[bar] == pytest.approx(float(square) ** 0.5, rel=1e-9, abs=1e-12)
