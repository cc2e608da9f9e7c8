"""A backtest as the session of an AI trader, over the topic `session:{id}`: other names, and a session's own view of it.

What is told of one backtest is translated piece by piece, for one socket. A position is told as opened with its levels,
which the next state lists; so it waits for that state, unless it closes before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from api.pieces import STATE, Piece
from shared.contracts import Channel
from shared.records import BacktestRecord

Frame = dict[str, Any]

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


class TradingSession:
    """Of one backtest and one socket. `greeting` is what the subscriber is told first."""

    def __init__(self, record: BacktestRecord) -> None:
        self._id = record["_id"]
        self._record = record
        self._start_capital = float(record["params"]["initialCapital"])
        self._opened: dict[str, Frame] = {}  # told when their levels are known
        self._shown: set[str] = set()
        self._stats: Frame = {}
        self._max_drawdown = 0.0
        self._translations: Mapping[str, Callable[[Frame], list[Frame]]] = {
            "backtest:started": self._started,
            "backtest:candle": self._candle,
            "backtest:thinking": self._thinking,
            "backtest:decision": self._decision,
            "backtest:trade": self._trade,
            STATE: self._state,
            "backtest:paused": lambda said: [self._frame("session_paused", index=said.get("bar"))],
            "backtest:resumed": lambda said: [self._frame("session_resumed", index=said.get("bar"))],
            Channel.COMPLETE.value: self._completed,
            Channel.ERROR.value: lambda said: [self._frame("error", message=said.get("error"))],
        }

    def frames_of(self, piece: Piece) -> list[Frame]:
        """What the session says of a piece: nothing of what is no part of it, as progress and logs are."""
        translate = self._translations.get(piece.event)
        if translate is None:
            return []
        said: Frame = json.loads(piece.text)
        at = {} if piece.position is None else {"epoch": piece.position[0], "seq": piece.position[1]}
        return [frame | at for frame in translate(said)]

    def greeting(self) -> Frame:
        """`session_initialized`, as far as the record knows."""
        return self._initialized(None)

    def _frame(self, kind: str, **data: Any) -> Frame:
        return {"type": kind, "data": {"session_id": self._id} | data}

    def _initialized(self, total_bars: int | None) -> Frame:
        params = self._record["params"]
        trader = _trader_of(params)
        labels = self._record.get("labels") or {}
        return self._frame(
            "session_initialized",
            asset=params["symbol"],
            timeframe=labels.get("timeframe") or params["interval"],
            start_date=params["startDate"],
            end_date=params["endDate"],
            starting_capital=self._start_capital,
            total_candles=total_bars,
            agent={"id": params.get("agentId"), "name": labels.get("agentName"), "model": trader.get("model")},
            safety_mode=trader.get("safetyMode", trader.get("safety_mode", True)) if trader else None,
        )

    def _started(self, said: Frame) -> list[Frame]:
        return [self._initialized(said.get("totalBars"))]

    def _candle(self, said: Frame) -> list[Frame]:
        names = ("time", "open", "high", "low", "close", "volume", "indicators")
        return [self._frame("candle", index=said.get("bar"), **{name: said.get(name) for name in names})]

    def _thinking(self, said: Frame) -> list[Frame]:
        return [self._frame("ai_thinking", index=said.get("bar"), time=said.get("time"))]

    def _decision(self, said: Frame) -> list[Frame]:
        same = ("time", "action", "reasoning", "confidence", "abstained", "safety")
        return [
            self._frame(
                "ai_decision",
                index=said.get("bar"),
                size=said.get("sizeFraction"),
                stop_loss=said.get("stopLossPrice"),
                take_profit=said.get("takeProfitPrice"),
                **{name: said.get(name) for name in same},
            )
        ]

    def _trade(self, said: Frame) -> list[Frame]:
        rows = _rows(said["trades"]) if said.get("trades") else [said.get("trade") or {}]
        if said.get("what") == "opened":
            self._opened |= {_trade_id(one): one for one in rows if _trade_id(one) not in self._shown}
            return []
        frames: list[Frame] = []
        for one in rows:
            if (opened := self._opened.pop(_trade_id(one), None)) is not None:
                frames.append(self._position_opened(opened))
            frames.append(self._position_closed(one))
        return frames

    def _position_opened(self, trade: Frame) -> Frame:
        self._shown.add(_trade_id(trade))
        return self._frame(
            "position_opened",
            trade_id=_trade_id(trade),
            type=_TYPES.get(str(trade.get("direction"))),
            size=trade.get("quantity"),
            entry_price=trade.get("entryPrice"),
            stop_loss=trade.get("stopPrice"),
            take_profit=trade.get("targetPrice"),
            time=trade.get("entryTime"),
        )

    def _position_closed(self, trade: Frame) -> Frame:
        self._shown.discard(_trade_id(trade))
        frame = self._position_opened(trade)
        self._shown.discard(_trade_id(trade))
        return {
            "type": "position_closed",
            "data": frame["data"]
            | {
                "exit_price": trade.get("exitPrice"),
                "pnl": trade.get("pnl"),
                "pnl_pct": trade.get("pnlPercent"),
                "reason": _REASONS.get(str(trade.get("exitReason")), "manual"),
                "time": trade.get("exitTime"),
            },
        }

    def _state(self, said: Frame) -> list[Frame]:
        frames: list[Frame] = []
        listed: list[Frame] = said.get("openTrades") or []
        for one in listed:
            trade_id = _trade_id(one)
            if trade_id not in self._shown:
                self._opened.pop(trade_id, None)
                frames.append(self._position_opened(one))
        self._shown &= {_trade_id(one) for one in listed}  # else it was taken back
        self._opened.clear()
        equity, metrics = said.get("currentCapital"), said.get("metrics") or {}
        self._max_drawdown = min(self._max_drawdown, said.get("drawdown") or 0.0)
        pnl = equity - self._start_capital if isinstance(equity, int | float) else None
        self._stats = {
            "equity": equity,
            "pnl": pnl,
            "pnl_pct": None if pnl is None else 100.0 * pnl / self._start_capital,
            "total_trades": metrics.get("totalTrades"),
            "win_rate": metrics.get("winRate"),
            "max_drawdown": abs(self._max_drawdown),
            "open_position": self._position_opened(listed[-1])["data"] if listed else None,
        }
        return [*frames, self._frame("stats_update", **self._stats)]

    def _completed(self, said: Frame) -> list[Frame]:
        summary: Frame = said.get("summary") or {}
        final = summary.get("finalEquity")
        stats = self._stats | {
            "equity": final,
            "pnl": final - self._start_capital if isinstance(final, int | float) else None,
            "pnl_pct": summary.get("totalReturn"),
            "total_trades": summary.get("totalTrades"),
            "win_rate": summary.get("winRate"),
            "max_drawdown": abs(summary.get("maxDrawdown") or 0.0),
            "open_position": None,
        }
        return [self._frame("session_completed", result_id=said.get("resultId"), stats=stats)]


def _trader_of(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Parameters of the strategy that asks a model; empty where none does."""
    every: Mapping[str, Mapping[str, Any]] = params.get("strategyParams") or {}
    return next((one for one in every.values() if "model" in one), {})


def _trade_id(trade: Mapping[str, Any]) -> str:
    """One trade at most opens at a bar."""
    return f"{trade.get('entryBar')}-{trade.get('direction')}"


def _rows(columns: Mapping[str, list[Any]]) -> list[Frame]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
