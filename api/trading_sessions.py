"""A backtest as the session of an AI trader, over the topic `session:{id}`: other names, and a view of its own.

What is told of one backtest is translated piece by piece, for one socket: what a session says of a piece depends on
what it said before. A position is told as opened once, by the first that knows of it: its opening, a state that lists
it, or its end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from api.drawdown import Drawdown
from api.pieces import STATE, Piece
from api.ws_frames import FRAME, Frame, said_by
from shared.contracts import Channel
from shared.errors import InvalidRequest
from shared.instants import read_instant_ms
from shared.lifecycle import Status
from shared.records import BacktestRecord

# Of a piece that is for one socket alone: its session begins.
GREETING = "session"
# Of what is never said to be closed the latest are remembered.
_OPEN_MAX = 1_000

_TYPES = {"long": "LONG", "short": "SHORT"}
_REASONS = {
    "stop_loss": "stop_loss",
    "trailing_stop": "stop_loss",
    "liquidation": "stop_loss",
    "take_profit": "take_profit",
    "signal": "ai_decision",
    "reversal": "ai_decision",
    "stopped_by_user": "manual",
    "end_of_data": "end_of_data",
}


class TradingSessions:
    """Those that one socket hears."""

    def __init__(self) -> None:
        self._heard: dict[str, TradingSession] = {}

    def begin(self, record: BacktestRecord) -> Piece:
        """What is to be queued before what is told of this backtest from now on."""
        self._heard.setdefault(record["_id"], TradingSession(record))
        return Piece(GREETING, "{}", record["_id"], record["userId"])

    def leave(self, backtest_id: str) -> None:
        self._heard.pop(backtest_id, None)

    def frames_of(self, piece: Piece) -> list[Frame]:
        if piece.event == FRAME:
            return [said_by(piece)]
        session = self._heard.get(piece.backtest_id)
        return [] if session is None else session.frames_of(piece)


class TradingSession:
    """Of one backtest and one socket."""

    def __init__(self, record: BacktestRecord) -> None:
        self._record = record
        self._start_capital = float(record["params"]["initialCapital"])
        self._forget()
        self._translations: Mapping[str, Callable[[Frame], list[Frame]]] = {
            GREETING: lambda _: self._greet(),
            "backtest:started": lambda said: self._total(said.get("totalBars")),
            "backtest:candle": self._candle,
            "backtest:thinking": self._thinking,
            "backtest:decision": self._decision,
            "backtest:trade": self._trade,
            STATE: self._state,
            "backtest:paused": lambda said: self._paused(said.get("bar")),
            "backtest:resumed": self._resumed,
            Channel.COMPLETE.value: self._completed,
            Channel.ERROR.value: lambda said: [self._frame("error", message=said.get("error"))],
        }

    def frames_of(self, piece: Piece) -> list[Frame]:
        """What the session says of a piece: nothing of what is no part of it, as progress and logs are.

        The last frame says which piece it was: whoever is cut off before it is told all of it again.
        """
        translate = self._translations.get(piece.event)
        if translate is None:
            return []
        said = said_by(piece)
        frames = translate(said)
        if frames and piece.position is not None:
            frames[-1] |= {"epoch": piece.position[0], "seq": piece.position[1]}
        elif frames and said.get("replay") is True:
            frames[-1] |= {"replay": True, "replay_seq": said.get("replaySeq")}
        return frames

    def _forget(self) -> None:
        self._total_bars: int | None = None
        self._shown: dict[str, Frame] = {}  # positions that are open, as they were told last
        self._stats: Frame = {}
        self._drawdown = Drawdown(self._start_capital)
        self._is_paused = False

    def _frame(self, kind: str, **data: Any) -> Frame:
        return {"type": kind, "data": {"session_id": self._record["_id"]} | data}

    # Its course

    def _greet(self) -> list[Frame]:
        self._forget()
        return [self._initialized()]

    def _initialized(self) -> Frame:
        params, labels = self._record["params"], self._record.get("labels") or {}
        trader = _trader_of(params)
        return self._frame(
            "session_initialized",
            asset=params["symbol"],
            timeframe=labels.get("timeframe") or params["interval"],
            start_date=params["startDate"],
            end_date=params["endDate"],
            starting_capital=self._start_capital,
            total_candles=self._total_bars,
            agent={"id": params.get("agentId"), "name": labels.get("agentName"), "model": trader.get("model")},
            safety_mode=trader.get("safetyMode", trader.get("safety_mode", True)) if trader else None,
        )

    def _total(self, bars: Any) -> list[Frame]:
        """Says it anew where it knows more than before."""
        if not isinstance(bars, int) or bars == self._total_bars:
            return []
        self._total_bars = bars
        return [self._initialized()]

    def _paused(self, bar: Any) -> list[Frame]:
        self._is_paused = True
        return [self._frame("session_paused", index=bar)]

    def _resumed(self, said: Frame) -> list[Frame]:
        self._is_paused = False
        return [self._frame("session_resumed", index=said.get("bar"))]

    def _completed(self, said: Frame) -> list[Frame]:
        summary = _object(said.get("summary"))
        equity, drawdown = _number(summary.get("finalEquity")), _number(summary.get("maxDrawdown"))
        known = {
            **self._gain(equity),
            "total_trades": summary.get("totalTrades"),
            "win_rate": _number(summary.get("winRate")),
            "max_drawdown": None if drawdown is None else abs(drawdown),
        }
        before = self._stats or dict.fromkeys(known)
        stats = before | {name: value for name, value in known.items() if value is not None}
        stats["open_position"] = self._open_position()
        return [self._frame("session_completed", result_id=said.get("resultId"), stats=stats)]

    # What happens in it

    def _candle(self, said: Frame) -> list[Frame]:
        names = ("time", "open", "high", "low", "close", "volume")
        shown = _object(said.get("indicators"))
        data = {name: said.get(name) for name in names}
        return [self._frame("candle", index=said.get("bar"), **data, indicators=shown)]

    def _thinking(self, said: Frame) -> list[Frame]:
        return [self._frame("ai_thinking", index=said.get("bar"), time=said.get("time"))]

    def _decision(self, said: Frame) -> list[Frame]:
        frame = self._frame(
            "ai_decision",
            index=said.get("bar"),
            size=said.get("sizeFraction"),
            stop_loss=said.get("stopLossPrice"),
            take_profit=said.get("takeProfitPrice"),
            **{name: said.get(name) for name in ("time", "action", "reasoning", "confidence", "abstained", "safety")},
        )
        return [frame]

    def _trade(self, said: Frame) -> list[Frame]:
        columns = said.get("trades")
        trades = _rows(_object(columns)) if columns else [_object(said.get("trade"))]
        tell = self._closed if said.get("what") == "closed" else self._opened
        return [frame for trade in trades for frame in tell(trade)]

    def _opened(self, trade: Frame) -> Iterator[Frame]:
        position = self._position(trade)
        if position["trade_id"] not in self._shown:
            self._shown[position["trade_id"]] = position
            yield self._frame("position_opened", **position)
        if len(self._shown) > _OPEN_MAX:
            del self._shown[next(iter(self._shown))]

    def _closed(self, trade: Frame) -> Iterator[Frame]:
        yield from self._opened(trade)
        told = self._shown.pop(_trade_id(trade))
        closing = {
            "exit_price": trade.get("exitPrice"),
            "pnl": trade.get("pnl"),
            "pnl_pct": trade.get("pnlPercent"),
            "reason": _REASONS.get(str(trade.get("exitReason")), "manual"),
            "time": trade.get("exitTime"),
        }
        yield self._frame("position_closed", **(told | closing))

    def _position(self, trade: Frame) -> Frame:
        stop = trade.get("stopPrice")
        return {
            "trade_id": _trade_id(trade),
            "type": _TYPES.get(str(trade.get("direction"))),
            "size": trade.get("quantity"),
            "entry_price": trade.get("entryPrice"),
            "stop_loss": trade.get("trailingStopPrice") if stop is None else stop,
            "take_profit": trade.get("targetPrice"),
            "time": trade.get("entryTime"),
        }

    # How it stands

    def _state(self, said: Frame) -> list[Frame]:
        frames = self._total(said.get("totalCandles"))
        if said.get("partial") is True:
            return frames  # What else it knows is told by what follows, in its order.
        listed = [self._position(one) for one in map(_object, _list(said.get("openTrades")))]
        frames += [self._frame("position_opened", **one) for one in listed if one["trade_id"] not in self._shown]
        self._shown = {one["trade_id"]: one for one in listed}  # What was taken back is open no more.
        self._hear_curve(said)
        metrics = _object(said.get("metrics"))
        self._stats = {
            **self._gain(_number(said.get("currentCapital"))),
            "total_trades": metrics.get("totalTrades"),
            "win_rate": _number(metrics.get("winRate")),
            "max_drawdown": self._drawdown.percent,
            "open_position": self._open_position(),
        }
        frames.append(self._frame("stats_update", **self._stats))
        if said.get("snapshot") is True and said.get("status") == Status.PAUSED and not self._is_paused:
            frames += self._paused(said.get("currentCandleIndex"))
        return frames

    def _hear_curve(self, said: Frame) -> None:
        if said.get("snapshot") is True:
            self._drawdown = Drawdown(self._start_capital)
        try:
            at_ms = read_instant_ms("currentTime", str(said.get("currentTime")))
        except InvalidRequest:
            return
        points = list(_points(_object(said.get("metrics")).get("equityCurve")))
        self._drawdown.hear(at_ms, points, _number(said.get("peakCapital")), _number(said.get("drawdown")))

    def _gain(self, equity: float | None) -> Frame:
        pnl = None if equity is None else _number(equity - self._start_capital)
        percent = None if pnl is None else _number(100 * (pnl / self._start_capital))
        return {"equity": equity, "pnl": pnl, "pnl_pct": percent}

    def _open_position(self) -> Frame | None:
        """The one that was opened last."""
        return next(reversed(self._shown.values()), None)


def _trader_of(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Parameters of the strategy that asks a model; empty where none does."""
    every: Mapping[str, Mapping[str, Any]] = params.get("strategyParams") or {}
    return next((one for one in every.values() if "model" in one), {})


def _trade_id(trade: Mapping[str, Any]) -> str:
    """One trade at most opens at a bar."""
    return f"{trade.get('entryBar')}-{trade.get('direction')}"


# Other programs say what they like: what has another form says nothing.


def _object(value: object) -> Frame:
    return cast("Frame", value) if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _rows(columns: Frame) -> list[Frame]:
    there = {name: _list(column) for name, column in columns.items() if isinstance(column, list)}
    return [dict(zip(there, row, strict=True)) for row in zip(*there.values(), strict=False)]


def _points(curve: object) -> Iterator[tuple[float, float]]:
    for point in _list(curve):
        match _list(point):
            case [at, worth] if (at_ms := _number(at)) is not None and (equity := _number(worth)) is not None:
                yield at_ms, equity
            case _:
                pass


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) else None
