"""Which bars a run counted as ambiguous, where what is stored tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars
from shared.moments import Floats
from shared.reasons import Reason


def ambiguous_bars(
    trades: Mapping[str, NDArray[Any]], bars: Bars, config: Mapping[str, Any], total: int
) -> NDArray[np.int64] | None:
    """Bars in which one trade reached both its stop and its target, in order of time. The run counts them and keeps no
    list: they are found again by the levels of the request (in percent, or by distance), measured from each entry
    price. None where that does not find exactly as many as the run counted: with levels that a strategy decided on,
    that trail, or that were rounded to ticks, say.
    """
    entry, direction = trades["entry_price"], trades["direction"]
    stop = _level(config, "stopLoss", "useStopOrders", entry, -direction)
    target = _level(config, "takeProfit", "useTakeProfits", entry, direction)
    if stop is None or target is None or config.get("trailingStop"):
        return None
    at = trades["exit_bar"]
    best = np.where(direction > 0, bars.high[at], bars.low[at])
    worst = np.where(direction > 0, bars.low[at], bars.high[at])
    opened = bars.open[at]
    inside = (direction * opened > direction * stop) & (direction * opened < direction * target)
    both = (direction * worst <= direction * stop) & (direction * best >= direction * target)
    by_level = np.isin(trades["exit_reason"], [int(Reason.STOP_LOSS), int(Reason.TAKE_PROFIT)])
    found = np.unique(at[inside & both & by_level])
    return found if found.shape[0] == total else None


def _level(config: Mapping[str, Any], name: str, switch: str, entry: Floats, side: NDArray[np.int64]) -> Floats | None:
    given: Mapping[str, Any] = config.get(name) or {}
    if not config.get(switch, True):
        return None
    if given.get("percent"):
        return entry + side * (entry * (given["percent"] / 100.0))
    return entry + side * given["distance"] if given.get("distance") else None
