"""Closed trades as columns, and open trades as rows for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.reasons import Reason
from shared.strategies.signals import Signals, speaker
from shared.strategies.view import ClosedTrade, OpenTrade
from worker.engine import layout

REASON_WIRE = {int(reason): reason.wire for reason in Reason}


class Trades(NamedTuple):
    """Closed trades in the order they closed, one entry per trade in every column."""

    entry_bar: NDArray[np.int64]
    exit_bar: NDArray[np.int64]
    entry_time_ms: NDArray[np.int64]
    exit_time_ms: NDArray[np.int64]
    direction: NDArray[np.int64]  # +1 long, -1 short
    quantity: NDArray[np.float64]  # always above zero
    entry_price: NDArray[np.float64]  # with slippage
    exit_price: NDArray[np.float64]
    fees: NDArray[np.float64]  # both sides
    pnl: NDArray[np.float64]  # after fees
    pnl_percent: NDArray[np.float64]  # of the entry value
    entry_reason: NDArray[np.int64]  # a Reason
    exit_reason: NDArray[np.int64]
    strategy: NDArray[np.int64]  # index of the strategy that first asked for it, -1 where none alone did

    @property
    def total(self) -> int:
        return self.entry_bar.shape[0]

    def as_rows(self) -> list[dict[str, Any]]:
        """One dict per trade, JSON-ready, reasons by name."""
        rows = [
            dict(zip(self._fields, row, strict=True)) for row in zip(*(column.tolist() for column in self), strict=True)
        ]
        for row in rows:
            row["entry_reason"] = REASON_WIRE[row["entry_reason"]]
            row["exit_reason"] = REASON_WIRE[row["exit_reason"]]
        return rows


def read_trades(
    rows: NDArray[np.float64], time_ms: NDArray[np.int64], voices: Sequence[Signals], decided_before: int
) -> Trades:
    """Columns from the kernel's rows of closed trades.

    `voices` are the signals of each strategy, `decided_before` the bars between a signal and its fill.
    """
    columns = np.ascontiguousarray(rows.T)
    entry_bar = columns[layout.ENTRY_BAR].astype(np.int64)
    exit_bar = columns[layout.EXIT_BAR].astype(np.int64)
    direction = columns[layout.DIRECTION].astype(np.int64)
    quantity, entry_price = columns[layout.QUANTITY], columns[layout.ENTRY_PRICE]
    pnl = columns[layout.PNL]
    return Trades(
        entry_bar=entry_bar,
        exit_bar=exit_bar,
        entry_time_ms=time_ms[entry_bar],
        exit_time_ms=time_ms[exit_bar],
        direction=direction,
        quantity=quantity,
        entry_price=entry_price,
        exit_price=columns[layout.EXIT_PRICE],
        fees=columns[layout.TRADE_FEES],
        pnl=pnl,
        pnl_percent=pnl * 100.0 / (entry_price * quantity),
        entry_reason=columns[layout.CLOSED_ENTRY_REASON].astype(np.int64),
        exit_reason=columns[layout.EXIT_REASON].astype(np.int64),
        strategy=speaker(voices, entry_bar - decided_before, direction.astype(np.int8)),
    )


def read_closed_trades(rows: NDArray[np.float64]) -> tuple[ClosedTrade, ...]:
    """The kernel's rows of closed trades, in the order they closed."""
    return tuple(
        ClosedTrade(
            entry_bar=int(row[layout.ENTRY_BAR]),
            exit_bar=int(row[layout.EXIT_BAR]),
            direction=int(row[layout.DIRECTION]),
            quantity=row[layout.QUANTITY],
            entry_price=row[layout.ENTRY_PRICE],
            exit_price=row[layout.EXIT_PRICE],
            fees=row[layout.TRADE_FEES],
            pnl=row[layout.PNL],
            entry_reason=REASON_WIRE[int(row[layout.CLOSED_ENTRY_REASON])],
            exit_reason=REASON_WIRE[int(row[layout.EXIT_REASON])],
        )
        for row in rows.tolist()
    )


def read_open_trades(rows: NDArray[np.float64]) -> list[OpenTrade]:
    """The kernel's rows of open trades, oldest first."""
    return [
        OpenTrade(
            entry_bar=int(row[layout.ENTRY_BAR]),
            direction=int(row[layout.DIRECTION]),
            quantity=row[layout.QUANTITY],
            entry_price=row[layout.ENTRY_PRICE],
            entry_fee=row[layout.ENTRY_FEE],
            entry_reason=REASON_WIRE[int(row[layout.ENTRY_REASON])],
            stop_price=row[layout.STOP_PRICE] if np.isfinite(row[layout.STOP_PRICE]) else None,
            target_price=row[layout.TARGET_PRICE] if np.isfinite(row[layout.TARGET_PRICE]) else None,
            trailing_stop_price=row[layout.TRAIL_PRICE] if np.isfinite(row[layout.TRAIL_PRICE]) else None,
        )
        for row in rows.tolist()
    ]
