"""What asks of language models cost, in US dollars."""

from __future__ import annotations

import math
from typing import NamedTuple

from shared.settings import Settings

TOKEN_CHARS = 4  # of English or of figures, about: a rule of thumb that is off by a third either way
_LOCAL = "local"  # the provider that is a machine of one's own, which charges nothing
_PER = 1_000_000


class Tokens(NamedTuple):
    """Sent to a model, and received."""

    sent: int
    received: int


def tokens_of(chars: int) -> int:
    """About how many tokens a text of so many characters is."""
    return -(-chars // TOKEN_CHARS)


class Prices:
    """By `llm_prices` where it names the model; a local model is free where it does not."""

    def __init__(self, settings: Settings) -> None:
        self._by_model = settings.llm_prices
        self._ask_usd_max = settings.llm_ask_usd_max

    def cost_usd(self, provider: str, model: str, tokens: Tokens) -> float | None:
        """None where the price is unknown."""
        price = self._by_model.get(model) or ((0.0, 0.0) if provider == _LOCAL else None)
        if price is None:
            return None
        return (tokens.sent * price[0] + tokens.received * price[1]) / _PER

    def to_reserve(self, provider: str, model: str, most: Tokens) -> float:
        """For an ask of at most so many tokens; of an unknown price as much as the setting says."""
        cost_usd = self.cost_usd(provider, model, most)
        return self._ask_usd_max if cost_usd is None else cost_usd

    def to_settle(
        self, provider: str, model: str, used: Tokens, *, told_usd: float | None, reserved_usd: float
    ) -> float:
        """What an answer cost: what the provider said, else by its tokens, else all that was reserved."""
        if told_usd is not None and math.isfinite(told_usd) and told_usd >= 0:
            return told_usd
        cost_usd = self.cost_usd(provider, model, used)
        return reserved_usd if cost_usd is None else cost_usd
