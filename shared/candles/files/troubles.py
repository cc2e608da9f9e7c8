"""What is wrong with a row of a file; of several things, the first by row is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Trouble(NamedTuple):
    """What is wrong with a row (counted from 0), as one sentence with the remedy."""

    row: int
    message: str


def first_of(*troubles: Trouble | None) -> Trouble | None:
    """The one of the earliest row; of one row, the first that is named."""
    return min((one for one in troubles if one), key=lambda one: one.row, default=None)


def first_trouble(bad: NDArray[np.bool_], message: Callable[[int], str]) -> Trouble | None:
    """At the first bad row, with what `message` says of it."""
    if not bad.any():
        return None
    row = int(np.argmax(bad))
    return Trouble(row, message(row))
