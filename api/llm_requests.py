"""What is sent to keep agents and keys for providers of language models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from shared.llm_urls import URL_MAX_CHARS
from shared.printable import printable
from shared.wire import Asked, Whole, storable

KEY_MAX_CHARS = 1_000
# What of an agent is a parameter of `ai_trader`, under which name there.
PARAMETER_OF = {
    "provider": "provider",
    "model": "model",
    "prompt": "prompt",
    "indicators": "indicators",
    "decisionInterval": "every",
    "safetyMode": "safetyMode",
    "stopLossPercent": "stopLossPercent",
    "maxPositionFraction": "maxPositionFraction",
    "maxDailyLossPercent": "maxDailyLossPercent",
    "minConfidence": "minConfidence",
}
_SNAKE_CASE = re.compile(r"[a-z0-9]+(_[a-z0-9]+)+")
_Text = Annotated[str, AfterValidator(storable)]


def _readable(name: str) -> str:
    """Names are told in events and shown in lists."""
    if not name.strip():
        raise ValueError("is empty; call it something")
    if name != printable(name) or "\n" in name or "\t" in name:
        raise ValueError("must be one line without control characters")
    return name


def _with_writable_names(parameters: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Which of them there are is for the strategy to say, but a refusal has to be written, too."""
    for name in parameters:
        storable(name)
    return parameters


_Name = Annotated[_Text, Field(min_length=1, max_length=100), AfterValidator(_readable)]
_Parameters = Annotated[dict[str, Annotated[JsonValue, AfterValidator(storable)]], AfterValidator(_with_writable_names)]


class ProviderKeyRequest(Asked):
    """The body of `PUT /api/llm/keys/{provider}`. Refusals never repeat a value: it may be a key."""

    model_config = ConfigDict(hide_input_in_errors=True)

    key: str = Field(
        min_length=1,
        max_length=KEY_MAX_CHARS,
        pattern=r"^[!-~]+$",
        json_schema_extra={"format": "password", "writeOnly": True},
        description="The provider's key. Nobody can read it again; its last four characters are shown.",
    )
    base_url: str | None = Field(
        default=None,
        min_length=1,
        max_length=URL_MAX_CHARS,
        description="Where the key is sent, and nowhere else; the provider's usual address where left out.",
        examples=["https://models.example/v1"],
    )


class AgentRequest(Asked):
    """The body of `POST /api/agents` and `PUT /api/agents/{id}`. What is left out is as `ai_trader` has it by default.

    Bounds are those of the parameters of `ai_trader`, which are checked as a backtest's are.
    """

    name: _Name = Field(description="For people.", examples=["Momentum"])
    model: _Text = Field(description="As its provider calls it.", examples=["vendor/model"])
    prompt: _Text = Field(description="The trader's instructions.", examples=["Trade with the trend."])
    provider: _Text | None = Field(default=None, description="Whose model it is.", examples=["openrouter"])
    indicators: list[_Text] | None = Field(
        default=None,
        max_length=64,
        description="Names with periods, of which it is shown values.",
        examples=[["ema 20"]],
    )
    decision_interval: Whole | None = Field(
        default=None, description="At every how many bars it decides.", examples=[4]
    )
    safety_mode: bool | None = Field(
        default=None, description="Whether its decisions are kept within the four numbers below."
    )
    stop_loss_percent: float | None = Field(default=None, description="Farthest stop of each trade, from its entry.")
    max_position_fraction: float | None = Field(default=None, description="Largest position, as a share of equity.")
    max_daily_loss_percent: float | None = Field(default=None, description="Loss of a day after which it only closes.")
    min_confidence: float | None = Field(default=None, description="Below it a decision is to hold; from 0 to 1.")
    parameters: _Parameters | None = Field(
        default=None,
        max_length=32,
        description="Other parameters of `ai_trader`, under their names there.",
        examples=[{"lookbackBars": 100, "temperature": 0}],
    )

    def strategy_params(self) -> dict[str, Any]:
        """Those of `ai_trader` that it amounts to, without what is left out."""
        given = self.as_wire()
        own = {theirs: given[ours] for ours, theirs in PARAMETER_OF.items() if ours in given}
        return in_camel_case(self.parameters or {}) | own


def camel_case(name: str) -> str:
    return to_camel(name) if _SNAKE_CASE.fullmatch(name) else name


def in_camel_case(params: Mapping[str, Any]) -> dict[str, Any]:
    """Under the names that a request has; of one that is there in both spellings both stay, to be refused."""
    spelled = {name: camel_case(name) for name in params}
    return {name if spelled[name] in params else spelled[name]: value for name, value in params.items()}


AGENT_EXAMPLE: dict[str, Any] = {
    "name": "Momentum",
    "model": "vendor/model",
    "prompt": "Trade with the trend, and stay flat without one.",
    "indicators": ["ema 20", "rsi 14"],
    "decisionInterval": 4,
    "safetyMode": True,
}
