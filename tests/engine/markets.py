"""Made-up markets and scripted strategies for the engine's tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars
from shared.strategies import NO_OPINION, Strategy, StrategyUse
from shared.strategies.parameters import Parameters
from shared.strategies.signals import Signals

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MONDAY_MS = 1_704_067_200_000  # 2024-01-01T00:00Z


def random_walk(total: int, seed: int, *, volatility: float = 0.01, step_ms: int = HOUR_MS) -> Bars:
    """Bars of a geometric random walk that often open away from the last close."""
    random = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0, volatility, total)))
    gap = np.where(random.random(total) < 0.3, random.normal(0.0, volatility, total), 0.0)
    opened = np.concatenate([[100.0], close[:-1]]) * np.exp(gap)
    high = np.maximum(opened, close) * (1.0 + np.abs(random.normal(0.0, volatility / 2, total)))
    low = np.minimum(opened, close) * (1.0 - np.abs(random.normal(0.0, volatility / 2, total)))
    return Bars(times(total, step_ms), opened, high, low, close, np.ones(total))


def flat(total: int, price: float = 100.0) -> Bars:
    column = np.full(total, price)
    return Bars(times(total), column, column, column, column, np.ones(total))


def bars_of(rows: Sequence[tuple[float, float, float, float]]) -> Bars:
    """Bars from (open, high, low, close)."""
    opened, high, low, close = (np.ascontiguousarray(column) for column in np.array(rows, np.float64).T)
    return Bars(times(len(rows)), opened, high, low, close, np.ones(len(rows)))


def times(total: int, step_ms: int = HOUR_MS) -> NDArray[np.int64]:
    return MONDAY_MS + np.arange(total, dtype=np.int64) * step_ms


def raw(said: NDArray[np.int64]) -> StrategyUse:
    """A strategy whose signal function returns this very array."""
    strategy = Strategy(
        "scripted", "Scripted", "Says what it is told.", Parameters, lambda _bars, _params: cast("Signals", said)
    )
    return StrategyUse("scripted", strategy, Parameters())


def scripted(said: Sequence[int] | NDArray[np.int8] | dict[int, int]) -> StrategyUse:
    """A strategy that says what it is told: one signal per bar, or the bars that have one."""

    def signals(bars: Bars, _: Parameters) -> NDArray[np.int8]:
        if not isinstance(said, dict):
            return np.asarray(said, np.int8)
        told = np.full(bars.total, NO_OPINION, np.int8)
        for bar, opinion in said.items():
            told[bar] = opinion
        return told

    strategy = Strategy("scripted", "Scripted", "Says what it is told.", Parameters, signals)
    return StrategyUse("scripted", strategy, Parameters())
