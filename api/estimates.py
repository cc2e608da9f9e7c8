"""What a request comes to before it runs: its strategies, its bars, how long it takes, and what asking language models
may cost.

How long a prompt is and how much is answered is only known when it has been: the estimate is a rule of thumb. A prompt
has some 2,000 characters of its own, the trader's instructions, and for each bar looked back at some 60 and 12 for each
indicator; four characters are a token; an answer has some 300 tokens, unless fewer are allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from api.agents import Agents
from api.auth import Identity
from api.pace import Pace
from api.permissions import require_priority
from shared.candles import Slice
from shared.database import Database
from shared.errors import FieldError, summary
from shared.instants import iso_from_ms
from shared.llm_prices import Prices, Tokens, tokens_of
from shared.llm_urls import check_base_url
from shared.overview import Overview
from shared.request import BacktestParams, BacktestRequest
from shared.result_warnings import of_knowledge
from shared.settings import Settings
from shared.spending import SpendingLimit
from shared.strategies import resolve
from shared.strategies.inquiring import require_askable
from shared.strategies.strategy import StrategyUse
from shared.strategies.warmup import warmup_bars

_PROMPT_CHARS = 2_000
_BAR_CHARS = 60
_INDICATOR_CHARS = 12
_ANSWER_TOKENS = 300


class Prepared(NamedTuple):
    """A request that can run, on which bars, and what is told of its agent where it has one."""

    params: BacktestParams
    uses: list[StrategyUse]
    bars: Slice
    labels: dict[str, str]


class Estimate(NamedTuple):
    """Of one strategy. `cost_usd` is None where the price of its model is unknown."""

    path: str
    asks: int
    tokens: Tokens
    cost_usd: float | None
    max_cost_usd: float | None
    max_decisions: int | None


class Estimates:
    """What gateways do with a request before they store it."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._candles = database.candles
        self._spending = database.llm.spending
        self._agents = Agents(database.llm.agents)
        self._settings = settings
        self._prices = Prices(settings)
        self._pace = Pace(Overview(database.mongo))

    async def prepare(self, asker: Identity, request: BacktestRequest) -> Prepared:
        """Raises `InvalidRequest` (also `UnknownMarketData`) and `StrategyFailed` for what cannot run."""
        require_priority(asker, request.priority, self._settings)
        request, labels = await self._agents.run_as(asker, request)
        uses = resolve(request.strategies, request.strategy_params)
        require_askable(uses, request.profile)
        for use in uses:
            self._require_reachable(use)
        params = request.params()
        bars = await self._candles.resolve(
            params.symbol, params.interval, params.start_ms, params.end_ms, warmup_bars=warmup_bars(params, uses)
        )
        return Prepared(params, uses, bars, labels)

    def _require_reachable(self, use: StrategyUse) -> None:
        """Refuses now what its worker would refuse to connect to. A replay connects to nothing."""
        base_url = _of(use, "base_url") if asks_a_model(use) and _of(use, "mode") != "replay" else None
        if base_url:
            private = self._settings.llm_private_urls
            check_base_url(base_url, private_allowed=private, field=f"strategyParams.{use.name}.baseUrl")

    async def estimate(self, asker: Identity, request: BacktestRequest) -> dict[str, Any]:
        """What a backtest would run on, how long, what it would ask and cost, and which limits that would pass.

        Raises what `prepare` does.
        """
        prepared = await self.prepare(asker, request)
        estimates = self._estimates_of(prepared)
        left_usd = await self._spending.left_today_usd(asker.user_id)
        params, bars = prepared.params.as_wire(), prepared.bars
        return {
            "bars": bars.total_bars,
            "effectiveStart": iso_from_ms(bars.start_ms),
            "effectiveEnd": iso_from_ms(bars.end_ms),
            "seconds": await self._pace.seconds(params, bars.total_bars),
            "asks": sum(one.asks for one in estimates),
            "tokensIn": sum(one.tokens.sent for one in estimates),
            "tokensOut": sum(one.tokens.received for one in estimates),
            "costUsd": _sum_usd(estimates),
            "limits": {
                "maxDecisions": _least(one.max_decisions for one in estimates),
                "maxCostUsd": _least(one.max_cost_usd for one in estimates),
                "userDayUsd": self._settings.llm_user_day_usd,
                "leftTodayUsd": left_usd,
                "exceeded": [one.as_wire() for one in self._exceeded(estimates, left_usd)],
            },
            "warnings": of_knowledge(params, bars),
        }

    async def check_spending(self, asker: Identity, prepared: Prepared) -> None:
        """Raises `SpendingLimit` for what would not get to its end for want of money or asks."""
        estimates = self._estimates_of(prepared)
        if not estimates:
            return
        found = self._exceeded(estimates, await self._spending.left_today_usd(asker.user_id))
        if found:
            raise SpendingLimit(summary(found), found)

    def _estimates_of(self, prepared: Prepared) -> list[Estimate]:
        return [self._estimate_of(use, prepared.bars.total_bars) for use in prepared.uses if asks_a_model(use)]

    def _estimate_of(self, use: StrategyUse, total_bars: int) -> Estimate:
        """Of a replay, which asks nobody, nothing is to be paid; nor is there a limit to it."""
        asks = total_bars // use.every
        tokens = Tokens(asks * _sent(use), asks * min(_ANSWER_TOKENS, _of(use, "max_tokens") or _ANSWER_TOKENS))
        path = f"strategyParams.{use.name}"
        if _of(use, "mode") == "replay":
            return Estimate(path, asks, tokens, 0.0, None, None)
        cost_usd = self._prices.cost_usd(_of(use, "provider") or "", _of(use, "model") or "", tokens)
        return Estimate(path, asks, tokens, cost_usd, _of(use, "max_cost_usd"), _of(use, "max_decisions"))

    def _exceeded(self, estimates: Sequence[Estimate], left_usd: float) -> list[FieldError]:
        found: list[FieldError] = []
        for one in estimates:
            if one.max_decisions is not None and one.asks > one.max_decisions:
                words = f"must be at least {one.asks:,}, as often as it would ask (got {one.max_decisions:,})"
                remedy = "raise it, raise every, or shorten the range"
                found.append(_limit(f"{one.path}.maxDecisions", f"{words}; {remedy}"))
            if one.max_cost_usd is not None and (one.cost_usd or 0.0) > one.max_cost_usd:
                words = f"must be at least ${one.cost_usd:.6g}, what it would cost about (got ${one.max_cost_usd:.6g})"
                remedy = "raise it, raise every, shorten the range, or choose a cheaper model"
                found.append(_limit(f"{one.path}.maxCostUsd", f"{words}; {remedy}"))
        cost_usd = _sum_usd(estimates) or 0.0
        if cost_usd > left_usd:
            day_usd = self._settings.llm_user_day_usd
            words = f"it would cost about ${cost_usd:.6g}, and ${left_usd:.6g} of your ${day_usd:.6g} a day are left"
            remedy = 'wait for midnight UTC, or take what is stored with mode "replay", which costs nothing'
            found.append(_limit("llmUserDayUsd", f"{words}; {remedy}"))
        return found


def asks_a_model(use: StrategyUse) -> bool:
    """Whether a strategy has its decisions made by a language model."""
    return use.strategy.inquire is not None


def _of(use: StrategyUse, name: str) -> Any:
    """A parameter of a strategy that asks; a plug-in's need not have it."""
    return getattr(use.params, name, None)


def _sent(use: StrategyUse) -> int:
    """About how many tokens one of its prompts is."""
    bars = _of(use, "lookback_bars") or 0
    of_bars = bars * (_BAR_CHARS + _INDICATOR_CHARS * len(_of(use, "indicators") or ()))
    return tokens_of(_PROMPT_CHARS + len(_of(use, "prompt") or "") + of_bars)


def _sum_usd(estimates: Sequence[Estimate]) -> float | None:
    costs = [one.cost_usd for one in estimates]
    return None if None in costs else sum(cost for cost in costs if cost is not None)


def _least(limits: Iterable[float | None]) -> float | None:
    return min((one for one in limits if one is not None), default=None)


def _limit(field: str, message: str) -> FieldError:
    return FieldError(field, message, SpendingLimit.code)
