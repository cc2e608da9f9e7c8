"""The columns that the kernel reads beside signals: bars as it needs them, and the average true range."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars
from shared.strategies.warmup import true_range_bars
from worker.engine.config import EngineConfig
from worker.engine.faults import EngineFault


def average_true_range(bars: Bars, config: EngineConfig, warmup_bars: int) -> NDArray[np.float64]:
    """Wilder's average true range, NaN until it is defined. Where no level needs it, any column will do."""
    before = min(true_range_bars(config.atr_period), warmup_bars) if config.needs_true_range else 0
    bars = bars.after(warmup_bars - before)
    if not config.needs_true_range:
        return bars.close
    if bars.total <= config.atr_period:
        return np.full(bars.total - before, np.nan)
    from talib import ATR

    return np.ascontiguousarray(ATR(bars.high, bars.low, bars.close, config.atr_period)[before:])


def contiguous(bars: Bars) -> Bars:
    """The columns as the kernel reads them, copied only where they are not. It trusts addresses, so lengths matter."""
    if {column.shape for column in bars} != {(bars.total,)}:
        raise EngineFault(f"the columns of bars differ in length: {[column.shape for column in bars]}")
    prices = (np.ascontiguousarray(column, np.float64) for column in bars[1:])
    return Bars(np.ascontiguousarray(bars.time_ms, np.int64), *prices)
