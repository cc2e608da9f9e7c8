"""What a strategy that decides may say: a direction, and more of the trade that it opens."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Decision:
    """`signal` is +1 (long), -1 (short), 0 (flat) or None (no opinion).

    The other numbers are of the trade which this very decision opens. `size_fraction` is the share of equity that it is
    for, above 0 and at most the leverage; `stop_price` and `target_price` take the place of the request's stop and
    target. None leaves each to the request.
    """

    signal: int | None
    size_fraction: float | None = None
    stop_price: float | None = None
    target_price: float | None = None
