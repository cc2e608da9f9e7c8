"""An ended backtest, bar by bar: what its run said of itself, made again of what is stored of it.

Not all is stored: of an open trade neither its entry's fee nor its levels, of the signals none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars
from shared.findings import plot_rows, trade_columns
from shared.frames import Columns
from shared.live_data import (
    RECENT_MAX,
    Data,
    Figures,
    Shown,
    Stand,
    candles_told,
    closed_told,
    last_rows,
    opened_told,
    points_told,
    state_told,
)
from shared.news import Live

SNAPSHOT_POINTS_MAX = 2_000
SNAPSHOT_TRADES_MAX = 5_000
_OPENED = ("entry_bar", "entry_time_ms", "direction", "quantity", "entry_price", "entry_reason")
_NOT_STORED = ("entryFee", "stopPrice", "targetPrice", "trailingStopPrice", "unrealisedPnl")


class StoredRun:
    """`equity` has a point for each bar, `trades` a row for each trade in the order in which they were closed; `bars`
    are those that the run processed, None where they cannot be had. A bar is where the run stands just before it."""

    def __init__(self, params: Mapping[str, Any], equity: Columns, trades: Columns, bars: Bars | None) -> None:
        self.params = params
        self.total_bars = len(equity["equity"])
        self.bars = bars
        self._strategies: list[str] = params["strategies"]
        self._capital = float(params["initialCapital"])
        self._equity: NDArray[np.float64] = equity["equity"]
        self._time_ms: NDArray[np.int64] = equity["time_ms"]
        self._trades = trades

    def bar_at(self, time_ms: int) -> int:
        """The first bar that opens then or later; the number of bars where there is none."""
        return int(self._time_ms.searchsorted(time_ms))

    def time_at(self, bar: int) -> int:
        """When the bar before opened; before the first one, when that opens."""
        return int(self._time_ms[max(bar - 1, 0)]) if self.total_bars else 0

    def events(self, since_bar: int, bar: int, *, candles: bool) -> Iterator[tuple[Live, Data]]:
        """What happened in the bars from `since_bar` to `bar`, in its order."""
        if candles and self.bars is not None:
            yield from candles_told(self.bars.first(bar).after(since_bar), bar)
        entered = self._trades["entry_bar"]
        yield from opened_told(self._opened((entered >= since_bar) & (entered < bar)))
        yield from closed_told(self._closed(self._count_closed(since_bar), self._count_closed(bar)))

    def state(self, since_bar: int, bar: int, stand: Stand) -> Data:
        """Where the run stands, with the points of the bars from `since_bar` on."""
        points = points_told(self._time_ms[since_bar:bar], self._equity[since_bar:bar])
        return self._state(bar, stand, points) | {"firstBar": min(since_bar, bar)}

    def snapshot(self, bar: int, stand: Stand) -> Data:
        """All there is up to that bar: so many points and trades, at most, as a run's own has."""
        rows = plot_rows(self._equity[:bar], SNAPSHOT_POINTS_MAX)
        points = points_told(self._time_ms[rows], self._equity[rows])
        closed = self._count_closed(bar)
        skipped = max(0, closed - SNAPSHOT_TRADES_MAX)
        state = self._state(bar, stand, points, thinned=len(rows) < bar)
        state |= {"firstBar": 0, "snapshot": True, "trades": self._closed(skipped, closed)}
        return state | ({"tradesSkipped": skipped} if skipped else {})

    def _state(self, bar: int, stand: Stand, points: list[list[Any]], *, thinned: bool = False) -> Data:
        closed = self._count_closed(bar)
        pnl = self._trades["pnl"][:closed]
        figures = Figures(
            bar,
            self.total_bars,
            self.time_at(bar),
            float(self._equity[bar - 1]) if bar else self._capital,
            float(np.max(self._equity[:bar], initial=self._capital)),
            closed,
            int((pnl > 0).sum()),
            int((pnl < 0).sum()),
            float(np.cumsum(pnl)[-1]) if closed else 0.0,  # summed in the order in which the run did it
        )
        open_now = self._opened((self._trades["entry_bar"] < bar) & (self._trades["exit_bar"] >= bar))
        open_trades = [row | dict.fromkeys(_NOT_STORED) for row in open_now]
        recent = last_rows(self._closed(max(0, closed - RECENT_MAX), closed))
        return state_told(figures, stand, Shown(points, thinned, open_trades, recent, []))

    def _count_closed(self, bar: int) -> int:
        return int(self._trades["exit_bar"].searchsorted(bar))

    def _closed(self, first: int, until: int) -> dict[str, list[Any]]:
        return trade_columns({name: column[first:until] for name, column in self._trades.items()}, self._strategies)

    def _opened(self, chosen: NDArray[np.bool_]) -> list[Data]:
        rows = np.flatnonzero(chosen)
        rows = rows[np.argsort(self._trades["entry_bar"][rows], kind="stable")]
        columns = trade_columns({name: self._trades[name][rows] for name in _OPENED}, self._strategies)
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
