"""Where strategies may run that ask somebody outside of the engine."""

from __future__ import annotations

from collections.abc import Sequence

from shared.errors import InvalidRequest
from shared.profiles import Profile
from shared.strategies.strategy import StrategyUse


def require_askable(uses: Sequence[StrategyUse], profile: Profile, *, by_worker: bool = True) -> None:
    """Raises `InvalidRequest` for a strategy that asks where nobody can be asked, or where no answer could be followed:
    other programs' rules have none for trades with a size and levels of their own."""
    for i, use in enumerate(uses):
        if use.strategy.inquire is None:
            continue
        if not by_worker:
            message = (
                f"{use.name} asks a language model, which only workers do; send it to a gateway (backfleet submit), or "
                "choose another strategy"
            )
            raise InvalidRequest.of(f"strategies.{i}", message, "needs_worker")
        if profile != "backfleet":
            message = f"must be backfleet for {use.name}, whose trades have levels of their own (got {profile})"
            raise InvalidRequest.of("profile", message)
