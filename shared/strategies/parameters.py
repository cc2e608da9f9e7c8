"""The base of every strategy's parameter model."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Parameters(BaseModel):
    """Named as users write them, strictly typed, finite; an unknown name is refused, so that a typo cannot pass."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
