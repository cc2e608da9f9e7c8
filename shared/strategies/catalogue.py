"""What strategies there are, and how a request's names and parameters become strategies that can run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from shared.errors import FieldError, InvalidRequest
from shared.strategies.bollinger import STRATEGY as BOLLINGER
from shared.strategies.buy_and_hold import STRATEGY as BUY_AND_HOLD
from shared.strategies.donchian import STRATEGY as DONCHIAN
from shared.strategies.ema_crossover import STRATEGY as EMA_CROSSOVER
from shared.strategies.macd import STRATEGY as MACD
from shared.strategies.mean_reversion import STRATEGY as MEAN_REVERSION
from shared.strategies.momentum import STRATEGY as MOMENTUM
from shared.strategies.plugins import load_plugins
from shared.strategies.rsi import STRATEGY as RSI
from shared.strategies.rule.strategy import STRATEGY as RULE
from shared.strategies.sma_crossover import STRATEGY as SMA_CROSSOVER
from shared.strategies.strategy import Strategy, StrategyUse, refusal_of, shown
from shared.strategies.supertrend import STRATEGY as SUPERTREND
from shared.trader.strategy import STRATEGY as AI_TRADER

_BUILT_IN = (
    SMA_CROSSOVER,
    EMA_CROSSOVER,
    RSI,
    MACD,
    BOLLINGER,
    DONCHIAN,
    MOMENTUM,
    MEAN_REVERSION,
    SUPERTREND,
    BUY_AND_HOLD,
    RULE,
    AI_TRADER,
)


def built_in() -> list[Strategy]:
    """Those that come with backfleet, in the order they are shown."""
    return list(_BUILT_IN)


def catalogue() -> list[Strategy]:
    """Every strategy there is, in the order it is shown: our own, then those of installed plug-ins.

    Raises `ConfigurationError` for a plug-in that cannot be used.
    """
    return [*_BUILT_IN, *_plugged_in()]


@cache
def _plugged_in() -> tuple[Strategy, ...]:
    taken = {name for strategy in _BUILT_IN for name in strategy.names}
    return tuple(load_plugins(Strategy, lambda strategy: strategy.names, taken))


@cache
def _by_name() -> dict[str, Strategy]:
    return {name: strategy for strategy in catalogue() for name in strategy.names}


def find(id_or_alias: str, field: str = "strategy") -> Strategy:
    """The strategy of that id or alias. Raises `InvalidRequest` at `field` with the names there are."""
    strategy = _by_name().get(id_or_alias)
    if strategy is None:
        names = ", ".join(sorted(_by_name()))
        message = f"there is no strategy {shown(id_or_alias)}; there are: {names}"
        raise InvalidRequest.of(field, message, "unknown_strategy")
    return strategy


def resolve(strategies: Sequence[str], strategy_params: Mapping[str, Mapping[str, Any]]) -> list[StrategyUse]:
    """The request's strategies, ready to run, in its order.

    Raises one `InvalidRequest` that lists every wrong field: `strategies.1`, `strategyParams.sma.fast`.
    """
    uses: list[StrategyUse] = []
    found: list[FieldError] = []
    called: dict[str, str] = {}
    for i, name in enumerate(strategies):
        try:
            strategy = find(name, f"strategies.{i}")
            first = called.setdefault(strategy.id, name)
            if first != name:
                message = f"{name} and {first} are the same strategy, which would count twice; name it once"
                found.append(FieldError(f"strategies.{i}", message, "repeated"))
            uses.append(strategy.use(strategy_params.get(name, {}), f"strategyParams.{name}", name=name))
        except InvalidRequest as refusal:
            found.extend(refusal.errors)
    found += [
        FieldError(f"strategyParams.{name}", "strategies does not name this one; add it there or leave it out here")
        for name in strategy_params
        if name not in strategies
    ]
    if not strategies:
        found.append(FieldError("strategies", "names no strategy; name at least one"))
    if found:
        raise refusal_of(found)
    return uses
