"""The data of live events (`shared/live.py`), made of columns: for who runs a backtest, and who plays one back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.findings import iso_column
from shared.instants import iso_from_ms
from shared.news import Live
from shared.request import BarsPerSecond

if TYPE_CHECKING:
    from shared.bars import Bars

Data = dict[str, Any]
Columns = dict[str, list[Any]]

POINTS_MAX = 2_000  # of one state
RECENT_MAX = 20
# Faster bars are shown by the curve alone.
CANDLES_BELOW_BARS_PER_S = 200
_TRADES_MAX = 500  # of one event: half of what a slow client may have waiting
_OPENED_MAX = 200
_OPENED = ("entryBar", "entryTime", "direction", "quantity", "entryPrice", "entryReason")
_LEVELS = ("stopPrice", "targetPrice", "trailingStopPrice")


class Stand(NamedTuple):
    """How a run goes on from where it is."""

    status: str
    speed: BarsPerSecond


class Figures(NamedTuple):
    """Where a run is, and what it has come to there. `time_ms` is when its last processed bar opened."""

    bar: int
    total_bars: int
    time_ms: int
    equity: float
    peak_equity: float
    closed: int
    won: int
    lost: int
    realised_pnl: float


class Shown(NamedTuple):
    """What a state lists. `thinned`: there were more points."""

    points: list[list[Any]]
    thinned: bool
    open_trades: list[Data]
    recent_trades: list[Data]
    recent_signals: list[Data]


def state_told(at: Figures, stand: Stand, shown: Shown) -> Data:
    """Where a run stands, but for `firstBar` and what makes a snapshot of it."""
    return {
        "status": stand.status,
        "currentTime": iso_from_ms(at.time_ms),
        "currentCandleIndex": at.bar,
        "totalCandles": at.total_bars,
        "progressPercent": round(100 * at.bar / at.total_bars, 2) if at.total_bars else 100.0,
        "currentCapital": at.equity,
        "peakCapital": at.peak_equity,
        "drawdown": 100 * (at.equity / at.peak_equity - 1) if at.peak_equity > at.equity else 0.0,
        "speed": stand.speed,
        "openTrades": shown.open_trades,
        "recentSignals": shown.recent_signals,
        "recentTrades": shown.recent_trades,
        "metrics": {
            "totalTrades": at.closed,
            "winningTrades": at.won,
            "losingTrades": at.lost,
            "winRate": 100 * at.won / at.closed if at.closed else 0.0,
            "totalPnl": at.realised_pnl,
            "equityCurve": shown.points,
            **({"thinned": True} if shown.thinned else {}),
        },
    }


def points_told(time_ms: NDArray[np.int64], equity: NDArray[np.float64]) -> list[list[Any]]:
    return [list(point) for point in zip(time_ms.tolist(), equity.tolist(), strict=True)]


def candles_told(
    bars: Bars, until_bar: int, indicators: Mapping[str, NDArray[np.float64]] | None = None
) -> Iterator[tuple[Live, Data]]:
    """One event for each of these bars, the last before `until_bar`. A column of `indicators` has a value for each."""
    columns = {name: _known(column) for name, column in (indicators or {}).items()}
    times = iso_column(bars.time_ms)
    rows = zip(*(column.tolist() for column in bars[1:]), strict=True)
    for at, (time, row) in enumerate(zip(times, rows, strict=True)):
        named = dict(zip(bars._fields[1:], row, strict=True))
        shown = {name: column[at] for name, column in columns.items()}
        yield "candle", {"bar": until_bar - bars.total + at, "time": time, **named, "indicators": shown}


def opened_told(rows: list[Data], skipped: int = 0) -> Iterator[tuple[Live, Data]]:
    """The trades of these rows, closed again or not, were opened, after `skipped` that nobody has told of."""
    if not rows:
        return
    rows.sort(key=_entry_bar)
    latest = [
        {name: row[name] for name in _OPENED} | {name: row.get(name) for name in _LEVELS} for row in rows[-_OPENED_MAX:]
    ]
    many = {} if len(latest) == 1 else {"trades": {name: [row[name] for row in latest] for name in latest[0]}}
    skipped += len(rows) - len(latest)
    yield "trade", {"what": "opened", "trade": latest[-1]} | many | ({"skipped": skipped} if skipped else {})


def closed_told(columns: Columns, skipped: int = 0) -> Iterator[tuple[Live, Data]]:
    """The trades of these columns were closed, after `skipped` that nobody has told of."""
    for first in range(0, len(columns["entryBar"]), _TRADES_MAX):
        part = {name: column[first : first + _TRADES_MAX] for name, column in columns.items()}
        many = {} if len(part["entryBar"]) == 1 else {"trades": part}
        before = {"skipped": skipped} if skipped and not first else {}
        yield "trade", {"what": "closed", "trade": _row(part, -1)} | many | before


def last_rows(columns: Columns) -> list[Data]:
    """The last `RECENT_MAX`."""
    total = len(columns["entryBar"])
    return [_row(columns, at) for at in islice(range(total), max(0, total - RECENT_MAX), None)]


def _known(column: NDArray[np.float64]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in column.tolist()]


def _entry_bar(row: Data) -> int:
    return row["entryBar"]


def _row(columns: Mapping[str, Sequence[Any]], at: int) -> Data:
    return {name: column[at] for name, column in columns.items()}
