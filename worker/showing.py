"""What a watched run shows: news of the engine, as the data of events (`shared/live.py`). Pure, and of one run."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.findings import iso_column, plot_rows, trade_columns
from shared.instants import iso_from_ms
from shared.request import BarsPerSecond
from worker.pipe import Moved, News, Signalled, Whole

if TYPE_CHECKING:
    from shared.bars import Bars
    from shared.news import Live
    from worker.engine.trades import Trades

Data = dict[str, Any]
Columns = dict[str, list[Any]]

POINTS_MAX = 1_000  # of one state that is no snapshot
RECENT_MAX = 20
TRADES_MAX = 500  # of one event: half of what a slow client may have waiting
_OPENED_MAX = 200
_OPENED = ("entryBar", "entryTime", "direction", "quantity", "entryPrice", "entryReason")


class Stand(NamedTuple):
    """How a run goes on from where it is."""

    status: str
    speed: BarsPerSecond


class Showing:
    """Keeps what the next state has to carry: points that none carried yet, and the last trades and signals."""

    def __init__(self, strategies: Sequence[str]) -> None:
        self._strategies = strategies
        self._times: list[NDArray[np.int64]] = []
        self._equity: list[NDArray[np.float64]] = []
        self._first_bar = 0
        self._thinned = False
        self._trades: deque[Data] = deque(maxlen=RECENT_MAX)
        self._signals: deque[Data] = deque(maxlen=RECENT_MAX)

    def hear(self, moved: Moved, news: News) -> Iterator[tuple[Live, Data]]:
        """What happened in a step, in its order: type and data of each event."""
        if news.whole is not None:
            self._recall(news.whole, moved.bar)
        self._take_points(moved, news)
        if news.candles is not None:
            yield from _candles(news.candles, moved.bar)
        signals = _signals(news.signals)
        if signals:
            yield "signal", signals[-1] | _many("signals", signals, news.signals_skipped)
        columns = trade_columns(news.trades._asdict(), self._strategies)
        if (opened := _opened(columns, news)) is not None:
            yield "trade", opened
        for first in range(0, news.trades.total, TRADES_MAX):
            part = {name: column[first : first + TRADES_MAX] for name, column in columns.items()}
            many = {} if len(part["entryBar"]) == 1 else {"trades": part}
            skipped = {"skipped": news.trades_skipped} if news.trades_skipped and not first else {}
            yield "trade", {"what": "closed", "trade": _row(part, -1)} | many | skipped
        if news.whole is None:
            self._signals.extend(signals)
            self._trades.extend(_last_rows(columns))

    def state(self, moved: Moved, news: News, stand: Stand, command_id: str | None = None) -> Data:
        """Where the run stands, with the points since the state before."""
        time_ms, equity = np.concatenate([*self._times, _NO_TIMES]), np.concatenate([*self._equity, _NO_EQUITY])
        if len(equity) > POINTS_MAX:
            rows = plot_rows(equity, POINTS_MAX)
            time_ms, equity, self._thinned = time_ms[rows], equity[rows], True
        state = self._state(moved, news, stand, _points(time_ms, equity), self._thinned)
        state["firstBar"] = self._first_bar
        self.forget(moved.bar)
        return state | ({"commandId": command_id} if command_id else {})

    def snapshot(self, moved: Moved, news: News, whole: Whole, stand: Stand) -> Data:
        """All there is, for who has heard nothing of it. The points since the state before stay for the next one."""
        state = self._state(moved, news, stand, _points(whole.time_ms, whole.equity), whole.thinned)
        skipped = {"tradesSkipped": whole.trades_skipped} if whole.trades_skipped else {}
        trades = trade_columns(whole.trades._asdict(), self._strategies)
        return state | {"firstBar": 0, "snapshot": True, "trades": trades} | skipped

    def forget(self, bar: int) -> None:
        """What no state carried yet need not be carried: all who listen have been shown the whole until this bar."""
        self._times, self._equity, self._thinned, self._first_bar = [], [], False, bar

    def _state(self, moved: Moved, news: News, stand: Stand, points: list[list[Any]], thinned: bool) -> Data:
        won, lost, closed = news.trades_won, news.trades_lost, news.first_trade + news.trades.total
        equity = float(news.equity[-1]) if len(news.equity) else moved.equity
        return {
            "status": stand.status,
            "currentTime": iso_from_ms(moved.time_ms),
            "currentCandleIndex": moved.bar,
            "totalCandles": moved.total_bars,
            "progressPercent": round(100 * moved.bar / moved.total_bars, 2) if moved.total_bars else 100.0,
            "currentCapital": equity,
            "peakCapital": news.peak_equity,
            "drawdown": 100 * (equity / news.peak_equity - 1) if news.peak_equity > equity else 0.0,
            "speed": stand.speed,
            "openTrades": _open_trades(news),
            "recentSignals": list(self._signals),
            "recentTrades": list(self._trades),
            "metrics": {
                "totalTrades": closed,
                "winningTrades": won,
                "losingTrades": lost,
                "winRate": 100 * won / closed if closed else 0.0,
                "totalPnl": news.realised_pnl,
                "equityCurve": points,
                **({"thinned": True} if thinned else {}),
            },
        }

    def _take_points(self, moved: Moved, news: News) -> None:
        if moved.bar < self._first_bar or news.first_bar < self._first_bar:
            self._first_bar = news.first_bar
        if moved.bar == news.first_bar:
            # A look, or the way back: of what waits, what comes later is void.
            kept = [times <= moved.time_ms if moved.bar else np.zeros(len(times), bool) for times in self._times]
            self._times = [times[rows] for times, rows in zip(self._times, kept, strict=True)]
            self._equity = [equity[rows] for equity, rows in zip(self._equity, kept, strict=True)]
        self._times.append(news.time_ms)
        self._equity.append(news.equity)
        self._thinned |= news.thinned

    def _recall(self, whole: Whole, bar: int) -> None:
        """The last trades and signals before a bar, of a run that was taken up or taken back to it."""
        self._signals.clear()
        self._signals.extend(one for one in _signals(whole.signals) if one["bar"] < bar)
        self._trades.clear()
        self._trades.extend(_last_rows(trade_columns(_latest(whole.trades), self._strategies)))


_NO_TIMES, _NO_EQUITY = np.empty(0, np.int64), np.empty(0)


def _points(time_ms: NDArray[np.int64], equity: NDArray[np.float64]) -> list[list[Any]]:
    return [list(point) for point in zip(time_ms.tolist(), equity.tolist(), strict=True)]


def _candles(bars: Bars, until_bar: int) -> Iterator[tuple[Live, Data]]:
    times = iso_column(bars.time_ms)
    rows = zip(*(column.tolist() for column in bars[1:]), strict=True)
    for bar, (time, row) in enumerate(zip(times, rows, strict=True), until_bar - bars.total):
        named = dict(zip(bars._fields[1:], row, strict=True))
        yield "candle", {"bar": bar, "time": time, **named, "indicators": {}}


def _signals(said: Signalled) -> list[Data]:
    columns = zip(said.bar.tolist(), iso_column(said.time_ms), said.signal.tolist(), strict=True)
    return [{"bar": bar, "time": time, "signal": signal} for bar, time, signal in columns]


def _opened(columns: Columns, news: News) -> Data | None:
    """The trades that were opened since the news before, closed again or not."""
    rows = [
        {name: columns[name][at] for name in _OPENED}
        for at, bar in enumerate(columns["entryBar"])
        if bar >= news.first_bar
    ]
    rows += [{name: one[name] for name in _OPENED} for one in _open_trades(news) if one["entryBar"] >= news.first_bar]
    if not rows:
        return None
    rows.sort(key=_entry_bar)
    latest = rows[-_OPENED_MAX:]
    many = {} if len(latest) == 1 else {"trades": {name: [row[name] for row in latest] for name in _OPENED}}
    skipped = news.trades_skipped + len(rows) - len(latest)
    return {"what": "opened", "trade": rows[-1]} | many | ({"skipped": skipped} if skipped else {})


def _entry_bar(row: Data) -> int:
    return row["entryBar"]


def _open_trades(news: News) -> list[Data]:
    return [
        {
            "entryBar": one.entry_bar,
            "entryTime": iso_from_ms(since_ms),
            "direction": "long" if one.direction > 0 else "short",
            "quantity": one.quantity,
            "entryPrice": one.entry_price,
            "entryFee": one.entry_fee,
            "entryReason": one.entry_reason,
            "stopPrice": one.stop_price,
            "targetPrice": one.target_price,
            "trailingStopPrice": one.trailing_stop_price,
            "unrealisedPnl": _finite((news.close - one.entry_price) * one.direction * one.quantity - one.entry_fee),
        }
        for one, since_ms in zip(news.open_trades, news.open_since_ms, strict=True)
    ]


def _many(name: str, rows: list[Data], skipped: int) -> Data:
    return ({name: rows} if len(rows) > 1 else {}) | ({"skipped": skipped} if skipped else {})


def _row(columns: Mapping[str, Sequence[Any]], at: int) -> Data:
    return {name: column[at] for name, column in columns.items()}


def _last_rows(columns: Columns) -> list[Data]:
    total = len(columns["entryBar"])
    return [_row(columns, at) for at in islice(range(total), max(0, total - RECENT_MAX), None)]


def _latest(trades: Trades) -> dict[str, NDArray[Any]]:
    return {name: column[-RECENT_MAX:] for name, column in trades._asdict().items()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
