"""What the answers about agents, keys, decisions and estimates look like, for /docs. Tests hold those that are built by
hand against these models."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from api.routes.answers import Answer, Instant, WrongField
from shared.result_warnings import ResultWarning


class Said(Answer):
    """What a model said."""

    action: Literal["LONG", "SHORT", "CLOSE", "HOLD"] = Field(description="What to do.")
    size_fraction: float | None = Field(description="Share of equity of the trade that it opens.")
    stop_loss_price: float | None = Field(description="Its stop.")
    take_profit_price: float | None = Field(description="Its target.")
    confidence: float = Field(ge=0, le=1, description="How sure it says it is.")
    reasoning: str = Field(description="Why, in its own words.")


class Ordered(Answer):
    """What the engine was told."""

    signal: Literal[1, -1, 0] | None = Field(description="1 long, -1 short, 0 flat; null: as it was.")
    size_fraction: float | None = Field(description="Share of equity, where it is not the request's.")
    stop_price: float | None = Field(description="Stop, where it is not the request's.")
    target_price: float | None = Field(description="Target, where it is not the request's.")


class LlmDecision(Answer):
    """What a language model decided at a bar, and what it cost."""

    bar: int = Field(ge=0, description="At the close of which bar.", examples=[499])
    time: Instant = Field(description="When the bar opened.")
    strategy: str = Field(description="As the request calls it.", examples=["ai_trader"])
    model: str = Field(description="Which model.", examples=["vendor/model"])
    mode: str = Field(description="`live`, `record` or `replay`.", examples=["record"])
    said: Said | None = Field(description="Null where no answer could be used.")
    action: Literal["LONG", "SHORT", "CLOSE", "HOLD"] = Field(description="What it came to, after safety.")
    decision: Ordered = Field(description="What became of it.")
    safety: list[str] = Field(description="A sentence for each time that safety stepped in.")
    abstained: bool = Field(description="Whether it counts as holding for want of a usable answer.")
    reason: str = Field(description="Why it abstained; empty where it did not.")
    tokens_in: int = Field(ge=0, description="Tokens sent.")
    tokens_out: int = Field(ge=0, description="Tokens received.")
    cost_usd: float = Field(ge=0, description="US dollars; 0 of one that was stored.")
    latency_ms: float = Field(ge=0, description="How long the model took.")
    stored: bool = Field(description="Whether it was taken from an earlier backtest.")
    key: str = Field(description="Equal keys: the same question, to the same model, with the same settings.")
    decided_at: Instant = Field(description="When it was stored.")
    system: str | None = Field(default=None, description="With `context`: the trader's instructions as they were sent.")
    user: str | None = Field(default=None, description="With `context`: what it was shown.")
    raw: str | None = Field(default=None, description="With `context`: the answer as it came.")


class DecisionPage(Answer):
    """A part of what language models decided in a backtest, by bar."""

    items: list[LlmDecision] = Field(description="At most `limit`, and what else was decided at the last bar of them.")
    after: int = Field(ge=-1, description="Bar of the last of them: ask for what comes after it.")
    more: bool = Field(description="Whether there are more already.")


class Limits(Answer):
    """What the asks of a backtest must stay within."""

    max_decisions: int | None = Field(description="Asks of the backtest; null without such a limit.")
    max_cost_usd: float | None = Field(description="US dollars of the backtest; null without such a limit.")
    user_day_usd: float = Field(description="US dollars a day (UTC) of all one's backtests.")
    left_today_usd: float = Field(ge=0, description="What is left of them.")
    exceeded: list[WrongField] = Field(description="Limits that a submission is refused for; empty where it is not.")


class Estimate(Answer):
    """What a backtest would run on and take, and ask language models, about: a rule of thumb."""

    bars: int = Field(ge=1, description="How many bars it would run.", examples=[5000])
    effective_start: Instant = Field(description="When the first of them opens.")
    effective_end: Instant = Field(description="Where the last of them ends.")
    seconds: float | None = Field(
        ge=0,
        description="About how long it would run once a worker has it, as runs of its kind took here lately, or as its "
        "speed says; null where there were none.",
        examples=[1.5],
    )
    asks: int = Field(ge=0, description="How often it would ask.", examples=[500])
    tokens_in: int = Field(ge=0, description="Tokens sent.")
    tokens_out: int = Field(ge=0, description="Tokens received.")
    cost_usd: float | None = Field(description="US dollars; null where a price is unknown. 0 of a replay.")
    limits: Limits = Field(description="What it must stay within.")
    warnings: list[ResultWarning] = Field(description="Of bars that the model may know by heart; mostly empty.")


class ProviderKey(Answer):
    """A key for a provider, without the key."""

    provider: str = Field(description="Whose models it is for.", examples=["openrouter"])
    key: str = Field(description="Its last four characters; nothing of a short one.", examples=["…WXYZ"])
    base_url: str | None = Field(description="Where it is sent; null: to the provider's usual address.")
    created_at: Instant = Field(description="When one was first stored.")
    updated_at: Instant = Field(description="When this one was.")


class ProviderKeys(Answer):
    """One's keys for providers."""

    items: list[ProviderKey] = Field(description="All of them, by provider.")


class Agent(Answer):
    """A trader that is a language model, in one of its versions. Null is as `ai_trader` has it by default."""

    agent_id: str = Field(description="What a backtest names it by.", examples=["ag_01m7xy1ymv1kn41cwsxzn6z2tf"])
    name: str = Field(description="For people.", examples=["Momentum"])
    version: int = Field(ge=1, description="Which version this is.")
    last_version: int = Field(ge=1, description="The one that a backtest runs with.")
    provider: str | None = Field(description="Whose model it is.")
    model: str | None = Field(description="As its provider calls it.")
    prompt: str | None = Field(description="The trader's instructions.")
    indicators: list[str] | None = Field(description="What it is shown values of.")
    decision_interval: int | None = Field(description="Bars from one decision to the next.")
    safety_mode: bool | None = Field(description="Whether its decisions are kept within the four numbers below.")
    stop_loss_percent: float | None = Field(description="Farthest stop of each trade.")
    max_position_fraction: float | None = Field(description="Largest position, as a share of equity.")
    max_daily_loss_percent: float | None = Field(description="Loss of a day after which it only closes.")
    min_confidence: float | None = Field(description="Below it a decision is to hold.")
    parameters: dict[str, Any] = Field(description="Other parameters of `ai_trader`.")
    created_at: Instant = Field(description="When the agent was made.")
    updated_at: Instant = Field(description="When this version was.")


class Agents(Answer):
    """One's agents."""

    items: list[Agent] = Field(description="All of them, oldest first, each in its last version.")
