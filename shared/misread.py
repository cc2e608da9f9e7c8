"""A text in a language of ours that cannot be read, and where in it."""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """Where in a text something is wrong: from character `start`, counted from 0, up to `end`. `near` are names that
    may be meant."""

    start: int
    end: int
    near: tuple[str, ...] = ()


class Misread(ValueError):
    """A text in a language of ours cannot be read, at `place`."""

    def __init__(self, message: str, place: Place) -> None:
        super().__init__(message)
        self.place = place
