"""Each strategy of the catalogue against a calculation of its own, written from the description in plain Python."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from shared.strategies import NO_OPINION, find
from shared.strategies.signals import told_once
from tests.engine.markets import bars_of, flat, random_walk

TOTAL = 600


def exponential(prices: list[float], period: int, first: int) -> dict[int, float]:
    """EMA by bar, beginning at bar `first` with the simple average of the last `period` prices up to it."""
    average = {first: statistics.fmean(prices[first - period + 1 : first + 1])}
    for bar in range(first + 1, len(prices)):
        average[bar] = average[bar - 1] + 2 / (period + 1) * (prices[bar] - average[bar - 1])
    return average


def crossings(gap: dict[int, float]) -> list[int]:
    told = [NO_OPINION] * TOTAL
    for bar in range(min(gap) + 1, TOTAL):
        if gap[bar - 1] <= 0 < gap[bar]:
            told[bar] = 1
        elif gap[bar - 1] >= 0 > gap[bar]:
            told[bar] = -1
    return told


def ema_crossover(seed: int, fast: int, slow: int) -> list[int]:
    prices = random_walk(TOTAL, seed).close.tolist()
    quick, calm = exponential(prices, fast, fast - 1), exponential(prices, slow, slow - 1)
    return crossings({bar: quick[bar] - calm[bar] for bar in range(slow - 1, TOTAL)})


def macd(seed: int, fast: int, slow: int, signal: int) -> list[int]:
    prices = random_walk(TOTAL, seed).close.tolist()
    quick, calm = exponential(prices, fast, slow - 1), exponential(prices, slow, slow - 1)
    line = [quick[bar] - calm[bar] for bar in range(slow - 1, TOTAL)]
    smooth = exponential(line, signal, signal - 1)
    return crossings({at + slow - 1: line[at] - smooth[at] for at in smooth})


def bollinger(seed: int, period: int, deviations: float) -> list[int]:
    prices = random_walk(TOTAL, seed).close.tolist()
    told = [NO_OPINION] * TOTAL

    def bands(bar: int) -> tuple[float, float, float]:
        window = prices[bar - period + 1 : bar + 1]
        middle, width = statistics.fmean(window), deviations * statistics.pstdev(window)
        return middle - width, middle, middle + width

    for bar in range(period, TOTAL):
        (low0, mid0, up0), (low1, mid1, up1) = bands(bar - 1), bands(bar)
        before, now = prices[bar - 1], prices[bar]
        if (before < mid0 and now >= mid1) or (before > mid0 and now <= mid1):
            told[bar] = 0
        elif before < low0 and now >= low1:
            told[bar] = 1
        elif before > up0 and now <= up1:
            told[bar] = -1
    return told


def mean_reversion(seed: int, period: int, entry: float, exit: float) -> list[int]:
    prices = random_walk(TOTAL, seed).close.tolist()
    told = [NO_OPINION] * TOTAL

    def score(bar: int) -> float:
        window = prices[bar - period + 1 : bar + 1]
        return (prices[bar] - statistics.fmean(window)) / statistics.pstdev(window)

    for bar in range(period, TOTAL):
        before, now = score(bar - 1), score(bar)
        if before > -entry >= now:
            told[bar] = 1
        elif before < entry <= now:
            told[bar] = -1
        elif before < -exit <= now or before > exit >= now:
            told[bar] = 0
    return told


def donchian(seed: int, entry: int, exit: int) -> list[int]:
    bars = random_walk(TOTAL, seed)
    told = [NO_OPINION] * TOTAL
    side = 0
    for bar in range(entry, TOTAL):
        close, was = bars.close[bar], side
        if close > max(bars.high[bar - entry : bar]):
            side = 1
        elif close < min(bars.low[bar - entry : bar]):
            side = -1
        elif side == 1 and close < min(bars.low[bar - exit : bar]):
            side = 0  # the end of a long
        elif side == -1 and close > max(bars.high[bar - exit : bar]):
            side = 0
        if side != was:
            told[bar] = side
    return told


def momentum(seed: int, period: int, threshold: float) -> list[int]:
    prices = random_walk(TOTAL, seed).close.tolist()
    told = [NO_OPINION] * TOTAL
    last = 0
    for bar in range(period, TOTAL):
        change = 100 * (prices[bar] - prices[bar - period]) / prices[bar - period]
        now = 1 if change > threshold else -1 if change < -threshold else last
        if now != last:
            told[bar] = last = now
    return told


def supertrend(seed: int, period: int, multiplier: float) -> list[int]:
    bars = random_walk(TOTAL, seed)
    high, low, close = bars.high.tolist(), bars.low.tolist(), bars.close.tolist()
    ranges = [0.0] + [
        max(high[i] - low[i], abs(high[i] - close[i - 1]), abs(low[i] - close[i - 1])) for i in range(1, TOTAL)
    ]
    average = statistics.fmean(ranges[1 : period + 1])
    told = [NO_OPINION] * TOTAL
    ceiling, floor, trend = float("inf"), float("-inf"), 0
    for bar in range(period, TOTAL):
        if bar > period:
            average += (ranges[bar] - average) / period
        middle = (high[bar] + low[bar]) / 2
        upper, lower = middle + multiplier * average, middle - multiplier * average
        if bar > period:  # unless broken, a band only comes nearer
            upper = upper if close[bar - 1] > ceiling else min(upper, ceiling)
            lower = lower if close[bar - 1] < floor else max(lower, floor)
        ceiling, floor, was = upper, lower, trend
        trend = 1 if close[bar] > ceiling else -1 if close[bar] < floor else trend
        if trend != was:
            told[bar] = trend
    return told


CASES: list[tuple[Callable[..., list[int]], dict[str, Any]]] = [
    (ema_crossover, {"fast": 5, "slow": 12}),
    (ema_crossover, {"fast": 2, "slow": 3}),
    (macd, {"fast": 4, "slow": 9, "signal": 3}),
    (macd, {"fast": 12, "slow": 26, "signal": 9}),
    (bollinger, {"period": 7, "deviations": 1.2}),
    (bollinger, {"period": 100, "deviations": 0.8}),
    (mean_reversion, {"period": 8, "entry": 1.4, "exit": 0.3}),
    (mean_reversion, {"period": 90, "entry": 1.0, "exit": 0.0}),
    (donchian, {"entry": 8, "exit": 4}),
    (donchian, {"entry": 5, "exit": 1}),
    (momentum, {"period": 5, "threshold": 0.0}),
    (momentum, {"period": 1, "threshold": 0.5}),
    (supertrend, {"period": 4, "multiplier": 1.5}),
    (supertrend, {"period": 10, "multiplier": 1.0}),
]


@pytest.mark.parametrize(("slowly", "params"), CASES)
@pytest.mark.parametrize("seed", range(3))
def test_a_strategy_says_what_a_plain_calculation_says(
    slowly: Callable[..., list[int]], params: dict[str, Any], seed: int
) -> None:
    expected = slowly(seed, **params)
    said = find(slowly.__name__).use(params, "").signals(random_walk(TOTAL, seed)).tolist()
    assert said == expected
    assert min(expected.count(1), expected.count(-1)) >= 3


def test_a_channel_is_left_on_its_own_side_only() -> None:
    """A long does not end at a new high of the shorter channel, which would end a short."""
    closes = [10.0, 11, 10, 11, 12, 11.5, 12.5, 11.2, 9.0, 8.0, 11.6, 12.9]
    bars = bars_of([(p, p, p, p) for p in closes])
    said = find("turtle").use({"entry": 4, "exit": 2}, "").signals(bars).tolist()
    assert said == [2, 2, 2, 2, 1, 2, 2, 0, -1, 2, 0, 1]


def test_the_deviation_of_a_quiet_market_at_a_high_price_is_exact() -> None:
    """A million and a half with steps of a cent: sums of whole squares would lose the deviation altogether."""
    from shared.strategies.rolling import mean_and_deviation_nb

    random = np.random.default_rng(1)
    prices = 1.5e6 + np.cumsum(random.choice([-0.01, 0.0, 0.01], 5_000))
    mean, deviation = mean_and_deviation_nb(prices, 20)
    windows = np.lib.stride_tricks.sliding_window_view(prices, 20)
    exact = np.array([statistics.pstdev(window) for window in windows[::7].tolist()])
    assert mean[19::7] == pytest.approx(windows[::7].mean(axis=1), rel=1e-14)
    assert deviation[19::7] == pytest.approx(exact, rel=1e-6)
    assert np.isnan(mean[:19]).all()


@pytest.mark.parametrize("period", [2, 3, 50, 200])
def test_equal_prices_have_exactly_no_deviation(period: int) -> None:
    from shared.strategies.rolling import mean_and_deviation_nb

    prices = np.concatenate([random_walk(300, 1).close, flat(1_000, 0.1).close])
    mean, deviation = mean_and_deviation_nb(prices, period)
    assert set(deviation[300 + period - 1 :].tolist()) == {0.0}
    assert set(mean[300 + period - 1 :].tolist()) == {0.1}


def test_an_opinion_is_told_once() -> None:
    told = np.array([2, 1, 1, 2, 1, 0, 0, 2, 0, -1, 2, -1, 1], np.int8)
    assert told_once(told).tolist() == [2, 1, 2, 2, 2, 0, 2, 2, 2, -1, 2, 2, 1]
    assert told_once(told[:1]).tolist() == [2]
    assert told_once(told[:0]).tolist() == []
