"""What strategies there are, and how a request's names and parameters become strategies that can run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from pydantic import ValidationError

from shared.bars import Bars
from shared.errors import ConfigurationError, FieldError, InvalidRequest, summary
from shared.strategies.bollinger import BollingerParameters, bollinger_signals
from shared.strategies.buy_and_hold import BuyAndHoldParameters, buy_and_hold_signals
from shared.strategies.donchian import DonchianParameters, donchian_signals
from shared.strategies.ema_crossover import EmaCrossoverParameters, ema_crossover_signals
from shared.strategies.macd import MacdParameters, macd_signals
from shared.strategies.mean_reversion import MeanReversionParameters, mean_reversion_signals
from shared.strategies.momentum import MomentumParameters, momentum_signals
from shared.strategies.parameters import Parameters
from shared.strategies.plugins import load_plugins
from shared.strategies.rsi import RsiParameters, rsi_signals
from shared.strategies.rule.language import describe
from shared.strategies.rule.strategy import RuleParameters, rule_signals
from shared.strategies.signals import Signals, silent
from shared.strategies.sma_crossover import SmaCrossoverParameters, sma_crossover_signals
from shared.strategies.supertrend import SupertrendParameters, supertrend_signals
from shared.strategies.view import Decide

_EVERY = "every"  # the parameter that says how often a strategy is asked


Form = Literal["signals", "decide"]


@dataclass(frozen=True, slots=True)
class Strategy:
    """One entry of the catalogue, in one of two forms.

    `signals(bars, params)` gives int8[n] for all bars at once and is causal. `decide(view)` is asked at the close of
    every bar, or of every n-th where the parameter model has a whole number called `every`; it says +1, -1, 0 or None.
    Raises `ConfigurationError` where neither or both are given, or `every` could be below 1.

    `language` lists the words of one whose parameters are text: `series` and `functions`, as users are shown them.
    """

    id: str
    name: str
    description: str
    parameters: type[Parameters]
    signals: Callable[[Bars, Any], Signals] | None = None
    aliases: tuple[str, ...] = ()
    decide: Decide | None = None
    language: dict[str, list[dict[str, str]]] | None = field(default=None, hash=False, repr=False)

    def __post_init__(self) -> None:
        if (self.signals is None) == (self.decide is None):
            given = "neither" if self.signals is None else "both"
            raise ConfigurationError(
                f"strategy {self.id} must have exactly one of signals and decide, and has {given}; "
                "give signals(bars, params) for all bars at once, or decide(view) for one bar at a time"
            )
        if self.decide is not None and _EVERY in self.parameters.model_fields:
            every = self.parameters_schema["properties"][_EVERY]
            if every.get("type") != "integer" or every.get("minimum", 0) < 1:
                raise ConfigurationError(
                    f"strategy {self.id} must bound its parameter {_EVERY}: it says at every how many bars decide is "
                    "asked; declare it as a whole number of at least 1, every: int = Field(1, ge=1, ...)"
                )

    @property
    def form(self) -> Form:
        return "signals" if self.decide is None else "decide"

    @property
    def every(self) -> int | None:
        """At every how many bars a strategy that decides is asked by default; None for one that gives signals."""
        return None if self.decide is None else int(self.default_parameters.get(_EVERY, 1))

    @property
    def names(self) -> tuple[str, ...]:
        """What a request may call it."""
        return (self.id, *self.aliases)

    @property
    def parameters_schema(self) -> dict[str, Any]:
        """JSON Schema of the parameters: types, bounds, defaults, one sentence each."""
        return self.parameters.model_json_schema()

    @property
    def default_parameters(self) -> dict[str, Any]:
        return self.parameters().model_dump()

    def use(self, params: Mapping[str, Any], path: str, *, name: str = "") -> StrategyUse:
        """This strategy with checked parameters. Raises `InvalidRequest` with every wrong field below `path`."""
        try:
            return StrategyUse(name or self.id, self, self.parameters.model_validate(dict(params)))
        except ValidationError as error:
            found = [self._field_error(item, path) for item in error.errors(include_url=False)]
            raise _refusal(found) from None

    def _field_error(self, item: Any, path: str) -> FieldError:
        message: str = item["msg"].removeprefix("Value error, ")
        known = ", ".join(self.parameters.model_fields) or "none"
        if not item["loc"]:  # a check across fields: its message begins with the field to change
            field = message.partition(" ")[0]
            return FieldError(f"{path}.{field}" if field in self.parameters.model_fields else path, message)
        field = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            message = f"{self.id} has no such parameter; it has: {known}"
        else:
            message += f" (got {_shown(item['input'])})"
        return FieldError(f"{path}.{field}", message, item["type"])


@dataclass(frozen=True, slots=True)
class StrategyUse:
    """A strategy with its parameters, under the `name` the request gave it."""

    name: str
    strategy: Strategy
    params: Parameters

    @property
    def decides(self) -> bool:
        """Whether it is asked on the way. All it has to say in advance is that it has no opinion."""
        return self.strategy.decide is not None

    @property
    def every(self) -> int:
        """A strategy that decides is asked at the close of bars `every` - 1, 2 x `every` - 1, ..."""
        return int(getattr(self.params, _EVERY, 1))

    def signals(self, bars: Bars) -> Signals:
        """int8[n]: +1 be long, -1 be short (or flat where shorts are not allowed), 0 be flat, 2 no opinion."""
        if self.strategy.signals is None:
            return silent(bars.total)
        return self.strategy.signals(bars, self.params)


_BUILT_IN = (
    Strategy(
        id="sma_crossover",
        name="SMA crossover",
        description="Long when the fast simple moving average crosses above the slow one, short when it crosses below "
        "(Murphy 1999, double crossover).",
        parameters=SmaCrossoverParameters,
        signals=sma_crossover_signals,
        aliases=("sma",),
    ),
    Strategy(
        id="ema_crossover",
        name="EMA crossover",
        description="Long when the fast exponential moving average crosses above the slow one, short when it crosses "
        "below (Appel 2005).",
        parameters=EmaCrossoverParameters,
        signals=ema_crossover_signals,
        aliases=("ema",),
    ),
    Strategy(
        id="rsi",
        name="Relative strength index",
        description="Long when RSI crosses back above oversold, short when it crosses back below overbought "
        "(Wilder 1978).",
        parameters=RsiParameters,
        signals=rsi_signals,
    ),
    Strategy(
        id="macd",
        name="MACD",
        description="Long when the MACD line crosses above its signal line, short when it crosses below (Appel 1979).",
        parameters=MacdParameters,
        signals=macd_signals,
    ),
    Strategy(
        id="bollinger",
        name="Bollinger bands",
        description="Long when the close returns above the lower band, short when it returns below the upper, flat at "
        "the middle (Bollinger 2001).",
        parameters=BollingerParameters,
        signals=bollinger_signals,
    ),
    Strategy(
        id="donchian",
        name="Donchian channels",
        description="Long above the highest high of earlier bars, short below the lowest low, flat at the nearer "
        "channel (Faith 2007, the turtles' system 1).",
        parameters=DonchianParameters,
        signals=donchian_signals,
        aliases=("turtle",),
    ),
    Strategy(
        id="momentum",
        name="Time-series momentum",
        description="Long when the price has risen over the period, short when it has fallen (Moskowitz et al. 2012).",
        parameters=MomentumParameters,
        signals=momentum_signals,
    ),
    Strategy(
        id="mean_reversion",
        name="Mean reversion by z-score",
        description="Long when the price is far below its average, short when it is far above, flat when it is back "
        "(Chan 2013).",
        parameters=MeanReversionParameters,
        signals=mean_reversion_signals,
        aliases=("zscore",),
    ),
    Strategy(
        id="supertrend",
        name="Supertrend",
        description="Long when the close breaks above a ratcheting band of average true ranges, short when it breaks "
        "below (Seban 2008).",
        parameters=SupertrendParameters,
        signals=supertrend_signals,
    ),
    Strategy(
        id="buy_and_hold",
        name="Buy and hold",
        description="Long from the first bar to the last: the measure of every other strategy.",
        parameters=BuyAndHoldParameters,
        signals=buy_and_hold_signals,
    ),
    Strategy(
        id="rule",
        name="Rule",
        description="Long, short and flat by conditions written as text, of prices, indicators, comparisons, and, or "
        "and not.",
        parameters=RuleParameters,
        signals=rule_signals,
        language=describe(),
    ),
)


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
        message = f"there is no strategy {_shown(id_or_alias)}; there are: {names}"
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
        raise _refusal(found)
    return uses


def _refusal(found: list[FieldError]) -> InvalidRequest:
    return InvalidRequest(summary(found), found)


def _shown(value: object) -> str:
    """The value as the caller wrote it, cut to a length that helps."""
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else text[:77] + "..."
