"""How many bars before a run its indicators begin with: as many as they look back at, and more would change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index

from shared.errors import StrategyFailed
from shared.request import WARMUP_BARS_MAX, BacktestParams
from shared.strategies.averages import WILDER_PERIODS
from shared.strategies.strategy import StrategyUse


def warmup_bars(params: BacktestParams, uses: Sequence[StrategyUse]) -> int:
    """How many bars before its first one a run of this request is given, if there are so many.

    `uses` are the request's strategies. Raises `StrategyFailed`.
    """
    most = WARMUP_BARS_MAX if params.warmup_bars is None else params.warmup_bars
    if not most:
        return 0
    of_levels = true_range_bars(params.atr_period) if any(level.atr for level in params.levels.values()) else 0
    return min(most, max([of_levels, *(bars_before(i, use) for i, use in enumerate(uses))]))


def true_range_bars(period: int) -> int:
    """How many bars Wilder's average true range of this period looks back at."""
    return period * (1 + WILDER_PERIODS)


def bars_before(number: int, use: StrategyUse) -> int:
    """How many bars before the first that it speaks of the strategy looks at, which is number `number` of its request.

    A plug-in may raise anything and return anything: raises `StrategyFailed` then.
    """
    try:
        bars = index(use.warmup_bars)
    except Exception as error:
        raise StrategyFailed.of(number, use.name, f"raised {type(error).__name__} in warmup: {error}") from error
    if bars < 0:
        problem = f"must return a number of bars from 0 on of warmup and returned {bars}"
        raise StrategyFailed.of(number, use.name, problem)
    return bars
