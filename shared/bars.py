"""Market data as the engine reads it: six columns of equal length."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Bars(NamedTuple):
    """Bars in ascending order of time, one entry per bar in every column.

    `time_ms` is int64, milliseconds since 1970-01-01T00:00Z at which the bar opens; the others are float64 in units of
    the quote currency, `volume` in units of the base. Columns are contiguous and may be read-only memory maps. Prices
    are from 1e-15 to 1e15 and `low <= open, close <= high`: market data refuses anything else at import.
    """

    time_ms: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]

    @property
    def total(self) -> int:
        """How many bars there are (`len()` of a named tuple counts its columns)."""
        return self.close.shape[0]

    def first(self, total: int) -> Bars:
        """The first `total` bars, as views."""
        return Bars(
            self.time_ms[:total],
            self.open[:total],
            self.high[:total],
            self.low[:total],
            self.close[:total],
            self.volume[:total],
        )

    def after(self, total: int) -> Bars:
        """All but the first `total` bars, as views."""
        return Bars(
            self.time_ms[total:],
            self.open[total:],
            self.high[total:],
            self.low[total:],
            self.close[total:],
            self.volume[total:],
        )
