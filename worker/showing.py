"""What a watched run shows: news of the engine, as the data of events (`shared/live.py`). Pure, and of one run."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shared.findings import iso_column, plot_rows, trade_columns
from shared.instants import iso_from_ms
from shared.live_data import (
    POINTS_MAX,
    RECENT_MAX,
    Columns,
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
from worker.pipe import Moved, News, Signalled, Whole

if TYPE_CHECKING:
    from shared.news import Live
    from worker.engine.trades import Trades


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
            yield from candles_told(news.candles, moved.bar, news.indicators)
        signals = _signals(news.signals)
        if signals:
            yield "signal", signals[-1] | _many("signals", signals, news.signals_skipped)
        columns = trade_columns(news.trades._asdict(), self._strategies)
        yield from opened_told(_opened(columns, news), news.trades_skipped)
        yield from closed_told(columns, news.trades_skipped)
        if news.whole is None:
            self._signals.extend(signals)
            self._trades.extend(last_rows(columns))

    def state(self, moved: Moved, news: News, stand: Stand, command_id: str | None = None) -> Data:
        """Where the run stands, with the points since the state before."""
        time_ms, equity = np.concatenate([*self._times, _NO_TIMES]), np.concatenate([*self._equity, _NO_EQUITY])
        if len(equity) > POINTS_MAX:
            rows = plot_rows(equity, POINTS_MAX)
            time_ms, equity, self._thinned = time_ms[rows], equity[rows], True
        state = self._state(moved, news, stand, points_told(time_ms, equity), self._thinned)
        state["firstBar"] = self._first_bar
        self.forget(moved.bar)
        return state | ({"commandId": command_id} if command_id else {})

    def snapshot(self, moved: Moved, news: News, whole: Whole, stand: Stand) -> Data:
        """All there is, for who has heard nothing of it. The points since the state before stay for the next one."""
        state = self._state(moved, news, stand, points_told(whole.time_ms, whole.equity), whole.thinned)
        skipped = {"tradesSkipped": whole.trades_skipped} if whole.trades_skipped else {}
        trades = trade_columns(whole.trades._asdict(), self._strategies)
        return state | {"firstBar": 0, "snapshot": True, "trades": trades} | skipped

    def forget(self, bar: int) -> None:
        """What no state carried yet need not be carried: all who listen have been shown the whole until this bar."""
        self._times, self._equity, self._thinned, self._first_bar = [], [], False, bar

    def _state(self, moved: Moved, news: News, stand: Stand, points: list[list[Any]], thinned: bool) -> Data:
        equity = float(news.equity[-1]) if len(news.equity) else moved.equity
        figures = Figures(
            moved.bar,
            moved.total_bars,
            moved.time_ms,
            equity,
            news.peak_equity,
            news.first_trade + news.trades.total,
            news.trades_won,
            news.trades_lost,
            news.realised_pnl,
        )
        shown = Shown(points, thinned, _open_trades(news), list(self._trades), list(self._signals))
        return state_told(figures, stand, shown)

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
        self._trades.extend(last_rows(trade_columns(_latest(whole.trades), self._strategies)))


_NO_TIMES, _NO_EQUITY = np.empty(0, np.int64), np.empty(0)


def _signals(said: Signalled) -> list[Data]:
    columns = zip(said.bar.tolist(), iso_column(said.time_ms), said.signal.tolist(), strict=True)
    return [{"bar": bar, "time": time, "signal": signal} for bar, time, signal in columns]


def _opened(columns: Columns, news: News) -> list[Data]:
    """The trades that were opened since the news before, closed again or not."""
    closed = [
        {name: column[at] for name, column in columns.items()}
        for at, bar in enumerate(columns["entryBar"])
        if bar >= news.first_bar
    ]
    return closed + [one for one in _open_trades(news) if one["entryBar"] >= news.first_bar]


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


def _latest(trades: Trades) -> dict[str, NDArray[Any]]:
    return {name: column[-RECENT_MAX:] for name, column in trades._asdict().items()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
