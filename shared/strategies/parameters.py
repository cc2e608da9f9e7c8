"""The base of every strategy's parameter model."""

from __future__ import annotations

from typing import cast

from pydantic import BaseModel, ConfigDict, model_validator

from shared.wire import whole


class Parameters(BaseModel):
    """Named as users write them, strictly typed, finite; an unknown name is refused, so that a typo cannot pass."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _read_whole_numbers(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        given = cast("dict[str, object]", values)
        wholes = {name for name, field in cls.model_fields.items() if field.annotation is int}
        return {name: whole(value) if name in wholes else value for name, value in given.items()}
