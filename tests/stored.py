"""The tables of an ended backtest, made up: what its replay is to tell."""

from __future__ import annotations

from typing import Any

import numpy as np

from shared.frames import Columns
from shared.reasons import Reason


def tables(time_ms: Any, trades: int = 60, seed: int = 3) -> tuple[Columns, Columns]:
    """Equity at these times, and trades that overlap, some within one bar, the last closed with the last bar."""
    random = np.random.default_rng(seed)
    total = len(time_ms)
    equity = 10_000.0 + np.cumsum(random.normal(0.0, 20.0, total))
    entry = random.integers(0, total - 30, trades)
    exits = entry + random.integers(0, 30, trades)
    entry[0], exits[0] = total - 5, total - 1
    order = np.argsort(exits, kind="stable")
    entry, exits = entry[order], exits[order]
    pnl = random.normal(0.0, 30.0, trades)
    price = random.uniform(90.0, 110.0, trades)
    columns = {
        "entry_bar": entry,
        "exit_bar": exits,
        "entry_time_ms": time_ms[entry],
        "exit_time_ms": time_ms[exits],
        "direction": random.choice([-1, 1], trades),
        "quantity": random.uniform(0.1, 2.0, trades),
        "entry_price": price,
        "exit_price": price + 1.0,
        "fees": np.full(trades, 0.5),
        "pnl": pnl,
        "pnl_percent": pnl / price,
        "entry_reason": np.full(trades, int(Reason.SIGNAL)),
        "exit_reason": np.full(trades, int(Reason.REVERSAL)),
        "strategy": np.zeros(trades, np.int64),
    }
    return {"time_ms": np.asarray(time_ms), "equity": equity}, columns
