"""What is said, in the frames of the plain WebSocket: other names, the same facts."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal, cast

import msgpack
from pydantic.alias_generators import to_snake

from api.pieces import LOG, PROGRESS, STATE, Piece
from shared.contracts import Channel
from shared.errors import InvalidRequest
from shared.instants import read_instant

Encoding = Literal["json", "msgpack"]
Frame = dict[str, Any]

# Of a piece whose text is a frame already.
FRAME = "frame"
_IDENTITY = frozenset({"backtestId", "userId", "epoch", "seq", "timestamp", "replay", "replaySeq"})


def encoded(piece: Piece, encoding: Encoding) -> list[Any]:
    """The frames of a piece, text or bytes: made once, whoever asks for them."""
    found = piece.frames.get(encoding)
    if found is None:
        found = piece.frames[encoding] = [encode(frame, encoding) for frame in frames_of(piece)]
    return found


def encode(frame: Frame, encoding: Encoding) -> str | bytes:
    if encoding == "json":
        return json.dumps(frame, separators=(",", ":"))
    # JSON can spell half a character, which no text in bytes can hold.
    return cast("bytes", msgpack.packb(frame, unicode_errors="replace"))


def said_by(piece: Piece) -> Frame:
    """What a piece says, in numbers that every encoding can spell."""
    return json.loads(piece.text, parse_int=_whole)


def frames_of(piece: Piece) -> list[Frame]:
    """The frames that say what a piece says; of a log one for each line."""
    said = said_by(piece)
    if piece.event == FRAME:
        return [said]
    at = {} if piece.position is None else {"epoch": piece.position[0], "seq": piece.position[1]}
    if piece.event == STATE:
        state = {name: value for name, value in said.items() if name not in ("backtestId", "userId")}
        return [{"type": "backtest_state_update", "sessionId": piece.backtest_id, "state": state}]
    if piece.event == LOG:
        entries = said.get("entries")
        lines = [one for one in entries if isinstance(one, dict)] if isinstance(entries, list) else [said]
        return [{"type": "log_entry", "data": _line(piece, line)} | at for line in lines]
    name, translate = _TRANSLATIONS.get(piece.event, (piece.event.replace(":", "_"), _as_it_is))
    if said.get("replay") is True:
        at = {"replay": True, "replay_seq": said.get("replaySeq")}
    own = {"backtest_id": piece.backtest_id, "timestamp": _instant(piece.said_at)}
    return [{"type": name, "data": translate(said) | own} | at]


def _start(said: dict[str, Any]) -> dict[str, Any]:
    strategies = said.get("strategies")
    return {
        "variant": said.get("variant") or "+".join(map(str, strategies if isinstance(strategies, list) else [])),
        "symbol": said.get("symbol"),
        "timeframe": said.get("timeframe") or said.get("interval"),
        "start_date": said.get("startDate"),
        "end_date": said.get("endDate"),
    }


def _progress(said: dict[str, Any]) -> dict[str, Any]:
    done, total, message = said.get("processedBars"), said.get("totalBars"), str(said.get("message", ""))
    counted = total is not None and message.startswith("Processing")
    return {
        "progress": said.get("progress"),
        "status": f"Processing bar {done}/{total}" if counted else message,
        "bars_processed": done,
        "total_bars": total,
        "current_date": said.get("currentDate"),
        "trades_count": said.get("tradesExecuted"),
        "current_pnl": said.get("currentPnl"),
    }


def _complete(said: dict[str, Any]) -> dict[str, Any]:
    summary: dict[str, Any] = said.get("summary") or {}
    drawdown = summary.get("maxDrawdown")
    named = ("resultId", "resultHash", "datasetHash", "totalBars", "effectiveStart", "effectiveEnd", "stopped")
    return {
        "final_balance": summary.get("finalEquity"),
        "total_trades": summary.get("totalTrades"),
        "win_rate": summary.get("winRate"),
        "sharpe_ratio": summary.get("sharpeRatio"),
        "drawdown": abs(drawdown) if isinstance(drawdown, int | float) else None,
        "return_pct": summary.get("totalReturn"),
        "duration_seconds": said.get("durationSeconds"),
        "results": summary | {name: said[name] for name in (*named, "warnings") if name in said},
    }


def _error(said: dict[str, Any]) -> dict[str, Any]:
    errors = said.get("errors")
    lines = [f"{one.get('field')}: {one.get('message')}" for one in errors or () if isinstance(one, dict)]
    code = said.get("code")
    return {"error": said.get("error"), "error_details": "\n".join([code, *lines] if code else lines) or None}


def _line(piece: Piece, line: dict[str, Any]) -> dict[str, Any]:
    """One line of a log."""
    return {
        "backtest_id": piece.backtest_id,
        "timestamp": _instant(line.get("timestamp") or piece.said_at),
        "level": line.get("level", "INFO"),
        "message": line.get("message", ""),
        "module": line.get("module", ""),
        "function": line.get("function", ""),
        "line": line.get("line", 0),
        "logger_name": line.get("loggerName") or f"backtest.{piece.backtest_id}",
    }


def _as_it_is(said: dict[str, Any]) -> dict[str, Any]:
    return snaked({name: value for name, value in said.items() if name not in _IDENTITY})


def snaked(fields: dict[str, Any]) -> dict[str, Any]:
    """The same under names in snake_case; what is inside the values keeps its names."""
    return {to_snake(name): value for name, value in fields.items()}


def _instant(said_at: object) -> str:
    """With milliseconds and Z; of who did not say when, now."""
    try:
        at = read_instant(said_at) if said_at is not None else datetime.now(UTC)
    except (InvalidRequest, ValueError):
        at = datetime.now(UTC)
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _whole(digits: str) -> int | float | None:
    """JSON can spell numbers that no other encoding can: what has more than 64 bits becomes a float, or nothing."""
    if len(digits) > 300:
        return None
    number = int(digits)
    return number if -(2**63) <= number < 2**64 else float(number)


_TRANSLATIONS: dict[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    "backtest:started": ("backtest_start", _start),
    PROGRESS: ("backtest_progress", _progress),
    Channel.COMPLETE.value: ("backtest_complete", _complete),
    Channel.ERROR.value: ("backtest_error", _error),
}
