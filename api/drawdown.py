"""How far an equity curve has fallen at most, of one that comes in parts and may be taken back."""

from __future__ import annotations

import math
from collections.abc import Sequence

LOWS_MAX = 1_000


class Drawdown:
    """`peak` is the equity before the first bar, above zero."""

    def __init__(self, peak: float) -> None:
        self._peak = peak
        self._until_ms = -math.inf
        self._lows: list[tuple[float, float]] = []  # when, and how deep: each deeper than the one before

    @property
    def percent(self) -> float:
        """Of the peak before it; 0 or above."""
        return self._lows[-1][1] if self._lows else 0.0

    def hear(
        self, until_ms: float, points: Sequence[tuple[float, float]], peak: float | None, percent: float | None
    ) -> None:
        """The curve is known until then: by new points in order, each a time in ms and the equity, and by `peak` and
        drawdown (0 or below) as of then. What it was from the first new point on, or after `until_ms`, is void."""
        if until_ms < self._until_ms and peak is not None:
            self._peak = peak
        self._until_ms = until_ms
        from_ms = points[0][0] if points else math.inf
        while self._lows and (self._lows[-1][0] > until_ms or self._lows[-1][0] >= from_ms):
            self._lows.pop()
        for at_ms, equity in points:
            self._peak = max(self._peak, equity)
            self._note(at_ms, 100 * (1 - equity / self._peak))
        self._peak = self._peak if peak is None else peak
        if percent is not None:
            self._note(until_ms, -percent)

    def _note(self, at_ms: float, percent: float) -> None:
        if self.percent < percent < math.inf:
            if len(self._lows) >= LOWS_MAX:  # Only where it is taken back is it less exact then.
                self._lows.pop()
            self._lows.append((at_ms, percent))
