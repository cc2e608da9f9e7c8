"""What a user says of a trader that is a language model."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel

from shared.strategies.parameters import Parameters
from shared.trader.indicators import read_indicator
from shared.wire import Whole, whole

PROMPT_MAX_CHARS = 20_000
INDICATORS_MAX = 16
PROVIDERS: Mapping[str, str] = {
    "openrouter": "https://openrouter.ai/api/v1",
    "openai": "https://api.openai.com/v1",
    "local": "http://127.0.0.1:11434/v1",
}
_URL_MAX_CHARS = 500

Mode = Literal["live", "record", "replay"]


class ModelSettings(NamedTuple):
    """Which model is asked, where and how: all that its answer depends on apart from the question."""

    provider: str
    base_url: str  # without a slash at the end
    model: str
    temperature: float | None = None  # None leaves it to the model
    max_tokens: int = 2_000
    seed: int | None = None


class AiTraderParameters(Parameters):
    """Written in camelCase, as the fields of a request are, or in snake_case."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    model: str = Field(
        "",
        max_length=200,
        pattern=r"^[!-~]*$",
        validate_default=True,
        description="Which model trades, as its provider calls it. Must be named, here or by an agent.",
    )
    prompt: str = Field(
        "Trade this market with care. Go with the trend, cut losses early and let profits run.",
        max_length=PROMPT_MAX_CHARS,
        description="The trader's instructions, in words.",
    )
    indicators: list[str] = Field(
        [],
        max_length=INDICATORS_MAX,
        description="What it is shown beside prices, each with its numbers: ema 20, rsi 14, macd 12 26 9, atr 14.",
    )
    lookback_bars: Whole = Field(50, ge=1, le=1_000, description="How many of the last bars it is shown.")
    every: Whole = Field(1, ge=1, le=100_000, description="At every how many bars it is asked.")
    temperature: float | None = Field(None, ge=0, le=2, description="How freely it answers; null leaves it to it.")
    max_tokens: Whole = Field(2_000, ge=16, le=100_000, description="Most tokens of one answer.")
    seed: Annotated[int | None, BeforeValidator(whole)] = Field(
        None, ge=0, le=2**31 - 1, description="Asks the model for the same answer each time, which it may not heed."
    )
    mode: Mode = Field(
        "record",
        description="record takes an answer that is stored and else asks and stores; live always asks; replay takes "
        "only what is stored.",
    )
    provider: str = Field(
        "openrouter", max_length=40, pattern=r"^[a-z0-9][a-z0-9_-]*$", description="Whose key is used, and whose URL."
    )
    base_url: str = Field(
        "", max_length=_URL_MAX_CHARS, description="URL of another OpenAI-compatible endpoint; empty: the provider's."
    )
    safety_mode: bool = Field(True, description="Whether the limits below hold.")
    stop_loss_percent: float = Field(
        2.0, ge=0.01, le=50, description="In safety mode every trade has a stop, at most so far from the close."
    )
    max_position_fraction: float | None = Field(
        None,
        ge=0.0001,
        le=125,
        description="In safety mode the largest position, in equities, and of a trade that is given no size; null: the "
        "request's sizing.",
    )
    max_daily_loss_percent: float = Field(
        5.0, ge=0.01, le=100, description="In safety mode, after such a loss in a UTC day it only closes."
    )
    min_confidence: float = Field(0.5, ge=0, le=1, description="In safety mode, less confident answers are HOLD.")
    max_decisions: Whole = Field(10_000, ge=1, le=1_000_000, description="Most questions of one backtest.")
    max_cost_usd: float = Field(5.0, ge=0, le=100_000, description="Most money of one backtest, in US dollars.")
    max_abstained_share: float = Field(
        0.2, ge=0, le=1, description="Share of questions without a usable answer above which the run fails."
    )
    knowledge_cutoff: str = Field(
        "", max_length=10, description="Day from which on the model cannot have seen prices, as 2025-01-31, if known."
    )

    @field_validator("model")
    @classmethod
    def _is_named(cls, model: str) -> str:
        if not model:
            raise ValueError("is missing; name one as its provider calls it, such as openai/gpt-5-mini on openrouter")
        return model

    @field_validator("prompt")
    @classmethod
    def _is_bounded(cls, prompt: str) -> str:
        if not prompt.strip():
            raise ValueError("is empty; say how to trade, or leave it out for the default instructions")
        return prompt

    @field_validator("indicators")
    @classmethod
    def _are_known(cls, texts: list[str]) -> list[str]:
        read = [read_indicator(text).text for text in texts]
        if twice := next((text for i, text in enumerate(read) if text in read[:i]), None):
            raise ValueError(f"names {twice} twice; leave one of them out")
        return read

    @field_validator("base_url")
    @classmethod
    def _is_a_url(cls, url: str) -> str:
        return _checked_url(url.rstrip("/")) if url else url

    @field_validator("knowledge_cutoff")
    @classmethod
    def _is_a_day(cls, day: str) -> str:
        if day:
            problem = "is no day; write it as 2025-01-31, or leave it out"
            try:
                written = date.fromisoformat(day).isoformat()
            except ValueError:
                raise ValueError(problem) from None
            if day != written:  # 20250131 and 2025-W05-5 are days, too, which nobody else here reads
                raise ValueError(problem)
        return day

    @model_validator(mode="after")
    def _has_somewhere_to_ask(self) -> Self:
        if not self.base_url and self.provider not in PROVIDERS:
            known = ", ".join(PROVIDERS)
            raise ValueError(f"baseUrl is missing: provider {self.provider} is none of {known}; give its URL")
        return self

    @property
    def model_settings(self) -> ModelSettings:
        url = self.base_url or PROVIDERS[self.provider]
        return ModelSettings(self.provider, url, self.model, self.temperature, self.max_tokens, self.seed)


def _checked_url(url: str) -> str:
    """Raises `ValueError` for what cannot be asked, or would carry a secret into places where URLs are shown."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url
    if not plain or parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError("is no URL of an endpoint; write it as https://host/v1, or leave it out")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("must not hold a user, a password, ? or #; keys are stored beside it, by provider")
    return url
