"""What the engine cannot do, and what is wrong with itself."""

from __future__ import annotations

from typing import Self

from shared.errors import EngineFailed


class PositionUnfit(EngineFailed):
    """A position this run cannot be taken up at: damaged, of another version, or of other bars. Start again instead."""

    code = "position_unfit"

    def __init__(self, message: str) -> None:
        super().__init__(message, fault=False)


class EngineFault(EngineFailed):
    """The engine itself is wrong: neither the request nor a strategy is, and asked again it would fail again."""

    code = "engine_error"

    @classmethod
    def of(cls, error: Exception) -> Self:
        """Of what was raised where nothing should be."""
        return cls(
            "the engine failed, which is a fault of backfleet and not of the request or a strategy; please report it: "
            f"{type(error).__name__}: {error}"
        )
