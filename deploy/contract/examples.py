"""Examples of messages, made from their schemas: so a new field is in them as soon as it is in the model."""

from __future__ import annotations

from typing import Any, cast

from pydantic.alias_generators import to_snake

from shared.request import EXAMPLE_REQUEST

Schema = dict[str, Any]

_BACKTEST = "bt_01m7xy1ymv1kn41cwsxzn6z2tf"
_RESULT = "res_01m7z2pktzwc1k11f1acmmt1cy"
_SAID_AT = "2026-01-31T12:00:00.123Z"
_POINT = [1706745600000, 10125.5]
_WRONG = {"field": "interval", "message": "must be '1m', '1h' or '1d' (got \"7h\")", "code": "literal_error"}
# Of messages that are more than their fields one by one.
EXAMPLES: dict[str, Any] = {
    "BacktestRequest": EXAMPLE_REQUEST,
    "ConnectAuth": {"token": "bfk_…", "since": _SAID_AT},
    "SubscribeRequest": {"backtestId": _BACKTEST, "after": {"epoch": 1, "seq": 41}},
    "SocketControlRequest": {"backtestId": _BACKTEST, "action": "seek", "bar": 500},
    "Control": {"backtestId": _BACKTEST, "userId": "ann", "seq": 1, "commandId": "speed-1"}
    | {"action": "speed", "speed": 50},
    "Authenticate": {"action": "authenticate", "token": "bfk_…", "encoding": "json"},
    "Subscribe": {"action": "subscribe", "topic": f"backtest:{_BACKTEST}", "after": {"epoch": 1, "seq": 41}},
    "ControlFrame": {"action": "control", "backtestId": _BACKTEST, "command": {"action": "step", "bars": 10}},
}
# By a field's name in snake_case; of all others an example that its schema has, or anything of its form.
_TYPICAL: dict[str, Any] = {
    "backtest_id": _BACKTEST,
    "session_id": _BACKTEST,
    "user_id": "ann",
    "epoch": 1,
    "seq": 42,
    "timestamp": _SAID_AT,
    "now": _SAID_AT,
    "expires_at": "2026-01-31T12:15:00Z",
    "symbol": "BTCUSDT",
    "asset": "BTCUSDT",
    "interval": "1h",
    "timeframe": "1h",
    "start_date": "2024-01-01",
    "end_date": "2024-12-01",
    "strategies": ["sma", "rsi"],
    "variant": "sma+rsi",
    "progress": 50.0,
    "progress_percent": 50.0,
    "current_date": "2024-06-01",
    "current_time": "2024-06-01T00:00:00Z",
    "time": "2024-06-01T00:00:00Z",
    "entry_time": "2024-05-01T00:00:00Z",
    "exit_time": "2024-05-02T00:00:00Z",
    "bar": 4020,
    "index": 4020,
    "entry_bar": 2904,
    "exit_bar": 2928,
    "first_bar": 4010,
    "current_candle_index": 4020,
    "total_bars": 8040,
    "total_candles": 8040,
    "processed_bars": 4020,
    "bars_processed": 4020,
    "quantity": 0.25,
    "equity_curve": [_POINT],
    "current_capital": 10125.5,
    "peak_capital": 10250.0,
    "final_balance": 12550.0,
    "open": 67400.0,
    "high": 67700.5,
    "low": 67210.0,
    "close": 67500.0,
    "volume": 812.4,
    "entry_price": 60100.0,
    "exit_price": 61000.0,
    "stop_price": 58500.0,
    "target_price": None,
    "trailing_stop_price": None,
    "stop_loss": 58500.0,
    "take_profit": None,
    "fees": 0.0,
    "entry_fee": 0.0,
    "pnl": 225.0,
    "pnl_percent": 1.4975,
    "unrealised_pnl": 1850.0,
    "total_pnl": 125.5,
    "current_pnl": 125.5,
    "total_trades": 10,
    "trades_count": 10,
    "trades_executed": 10,
    "winning_trades": 6,
    "losing_trades": 4,
    "win_rate": 60.0,
    "entry_reason": "signal",
    "exit_reason": "stop_loss",
    "strategy": "sma",
    "speed": "max",
    "signal": 1,
    "result_id": _RESULT,
    "completed_at": _SAID_AT,
    "summary": {"totalReturn": 25.5, "sharpeRatio": 1.8, "maxDrawdown": -15.2, "winRate": 60.0, "totalTrades": 10},
    "results": {
        "totalReturn": 25.5,
        "sharpeRatio": 1.8,
        "maxDrawdown": -15.2,
        "resultId": "res_01m7z2pktzwc1k11f1acmmt1cy",
    },
    "sharpe_ratio": 1.8,
    "return_pct": 25.5,
    "duration_seconds": 1.25,
    "message": "Processing 2024-06-01",
    "error": "Insufficient market data",
    "error_details": "unknown_market_data\nparams.symbol: there is no market data of BTCUSDT",
    "errors": [_WRONG],
    "command_id": "pause-1",
    "topic": f"backtest:{_BACKTEST}",
    "level": "INFO",
    "module": "sma",
    "function": "decide",
    "line": 12,
    "logger_name": f"backtest.{_BACKTEST}",
    "code": "invalid_request",
}
# Optional ones that are nearly always there.
_SHOWN = frozenset({"epoch", "seq", "timestamp", "processed_bars", "total_bars", "strategies"})


def example_of(schema: Schema) -> Any:
    """An example of a schema of draft 7, with all that must be there."""
    return _example(schema, schema.get("definitions", {}), "")


def _example(schema: Schema, named: dict[str, Schema], name: str) -> Any:
    if "$ref" in schema and name not in _TYPICAL:
        return _example(named[schema["$ref"].rpartition("/")[2]], named, name)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema and _TYPICAL.get(name) not in schema["enum"]:
        return schema["enum"][0]
    if name in _TYPICAL:
        return _TYPICAL[name]
    if schema.get("examples"):
        return schema["examples"][0]
    if "anyOf" in schema:
        return _example(schema["anyOf"][0], named, name)
    return _plain(schema, named)


def _plain(schema: Schema, named: dict[str, Schema]) -> Any:
    match schema.get("type"):
        case "object":
            properties = cast("dict[str, Schema]", schema.get("properties", {}))
            shown = [one for one in properties if one in schema.get("required", ()) or to_snake(one) in _SHOWN]
            return {one: _example(properties[one], named, to_snake(one)) for one in shown}
        case "array":
            return [_example(schema["items"], named, "")]
        case "boolean":
            return True
        case "integer" | "number":
            return schema.get("minimum", 0)
        case _:
            return "…"
