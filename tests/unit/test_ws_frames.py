"""Every frame of the plain WebSocket has exactly the fields that other programs read."""

import json
from typing import Any

import msgpack
import pytest

from api.pieces import Piece, read_news
from api.ws_frames import encoded, frames_of
from shared.bus import Heard
from shared.contracts import Channel
from shared.errors import InvalidRequest

AT = "2026-11-30T12:00:00Z"
NUMBERED = {"backtestId": "bt1", "userId": "ann", "epoch": 2, "seq": 7, "timestamp": AT}


def frames(channel: Channel, **said: Any) -> list[dict[str, Any]]:
    return frames_of(read_news(channel, json.dumps(NUMBERED | said)))


def event(kind: str, **data: Any) -> list[dict[str, Any]]:
    return frames(Channel.EVENT, type=kind, data=data)


def test_a_start() -> None:
    asked = {"symbol": "BTCUSDT", "interval": "1h", "startDate": "2024-01-01", "endDate": "2024-02-01"}
    assert event("started", **asked, strategies=["sma", "rsi"], totalBars=744, resampledFrom=None) == [
        {
            "type": "backtest_start",
            "data": {
                "backtest_id": "bt1",
                "variant": "sma+rsi",
                "symbol": "BTCUSDT",
                "timeframe": "1h",
                "start_date": "2024-01-01",
                "end_date": "2024-02-01",
                "timestamp": "2026-11-30T12:00:00.000Z",
            },
            "epoch": 2,
            "seq": 7,
        }
    ]


def test_progress() -> None:
    [frame] = frames(
        Channel.PROGRESS,
        progress=50.0,
        message="Processing 2024-01-15",
        currentDate="2024-01-15",
        processedBars=5_000,
        totalBars=10_000,
        tradesExecuted=3,
        currentPnl=-1.5,
        etaSeconds=2.0,
    )
    assert frame["type"] == "backtest_progress"
    assert frame["data"] == {
        "backtest_id": "bt1",
        "progress": 50.0,
        "status": "Processing bar 5000/10000",
        "bars_processed": 5_000,
        "total_bars": 10_000,
        "current_date": "2024-01-15",
        "trades_count": 3,
        "current_pnl": -1.5,
        "timestamp": "2026-11-30T12:00:00.000Z",
    }


def test_progress_of_another_program_says_what_it_knows() -> None:
    [frame] = frames_of(
        read_news(
            Channel.PROGRESS,
            json.dumps(
                {"backtestId": "bt1", "userId": "ann", "progress": 5, "message": "Loading", "currentDate": "2024-01-01"}
            ),
        )
    )
    assert set(frame) == {"type", "data"}
    assert (frame["data"]["status"], frame["data"]["total_bars"]) == ("Loading", None)
    assert frame["data"]["timestamp"].endswith("Z")


def test_lines_of_a_log() -> None:
    line = {"timestamp": "2026-11-30T12:00:01.5Z", "level": "WARNING", "message": "low", "module": "sma"}
    line |= {"function": "decide", "line": 12, "loggerName": "backtest.bt1"}
    first, second = event("log", entries=[line, {"message": "bare"}])
    assert first["type"] == second["type"] == "log_entry"
    assert first["data"] == {
        "backtest_id": "bt1",
        "timestamp": "2026-11-30T12:00:01.500Z",
        "level": "WARNING",
        "message": "low",
        "module": "sma",
        "function": "decide",
        "line": 12,
        "logger_name": "backtest.bt1",
    }
    assert set(second["data"]) == set(first["data"])
    assert second["data"]["logger_name"] == "backtest.bt1"
    [flat] = event("log", level="INFO", message="as one")
    assert (flat["data"]["message"], flat["data"]["level"]) == ("as one", "INFO")


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"entries": ["no line"]}, "entries.0"),
        ({"entries": {"message": "one"}}, "entries"),
        ({"entries": [{"message": {"a": 1}}]}, "entries.0.message"),
        ({"entries": [{"message": "a", "line": "12"}]}, "entries.0.line"),
        ({"entries": [{"level": 30, "timestamp": 1_700_000_000}]}, "entries.0.level"),
        ({"message": ["flat"]}, "message"),
        ({"entries": [], "dropped": "many"}, "dropped"),
    ],
)
def test_a_log_of_another_form_is_nobody_s_to_read(data: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        event("log", **data)
    assert field in [one.field for one in refused.value.errors]


def test_an_end() -> None:
    summary = {"totalReturn": 25.5, "sharpeRatio": 1.8, "maxDrawdown": -15.2, "winRate": 60.0, "totalTrades": 10}
    summary |= {"finalEquity": 12_550.0, "profitFactor": None}
    [frame] = frames(Channel.COMPLETE, status="success", resultId="res_1", summary=summary, durationSeconds=1.25)
    assert frame["type"] == "backtest_complete"
    assert frame["data"] == {
        "backtest_id": "bt1",
        "final_balance": 12_550.0,
        "total_trades": 10,
        "win_rate": 60.0,
        "sharpe_ratio": 1.8,
        "drawdown": 15.2,
        "return_pct": 25.5,
        "duration_seconds": 1.25,
        "timestamp": "2026-11-30T12:00:00.000Z",
        "results": summary | {"resultId": "res_1"},
    }


def test_an_error() -> None:
    errors = [{"field": "params.symbol", "message": "no bars", "code": "unknown_market_data"}]
    [frame] = frames(Channel.ERROR, status="error", error="No bars", code="unknown_market_data", errors=errors)
    assert frame["type"] == "backtest_error"
    assert frame["data"] == {
        "backtest_id": "bt1",
        "error": "No bars",
        "error_details": "unknown_market_data\nparams.symbol: no bars",
        "timestamp": "2026-11-30T12:00:00.000Z",
    }
    [bare] = frames(Channel.ERROR, status="error", error="No bars")
    assert bare["data"]["error_details"] is None


def test_a_state() -> None:
    state = {"status": "running", "currentCandleIndex": 5, "metrics": {"equityCurve": [[1, 2.5]]}}
    assert event("state", **state) == [
        {"type": "backtest_state_update", "sessionId": "bt1", "state": state | {"epoch": 2, "seq": 7}}
    ]


def test_what_else_a_run_says_keeps_what_is_inside_its_values() -> None:
    [frame] = event("trade", what="closed", trade={"entryTime": "2024-01-01T00:00:00Z"}, tradesSkipped=2)
    assert frame["type"] == "backtest_trade"
    trade = {"what": "closed", "trade": {"entryTime": "2024-01-01T00:00:00Z"}, "trades_skipped": 2}
    assert frame["data"] == {"backtest_id": "bt1", **trade, "timestamp": "2026-11-30T12:00:00.000Z"}
    assert [event(kind)[0]["type"] for kind in ("paused", "resumed")] == ["backtest_paused", "backtest_resumed"]


@pytest.mark.parametrize("timestamp", ["yesterday", "2024-01-01T00:00:00", ""])
def test_a_time_that_cannot_be_read_is_now(timestamp: str) -> None:
    heard = Heard(Channel.EVENT, json.dumps(NUMBERED | {"type": "paused", "data": {}, "timestamp": timestamp}))
    [frame] = frames_of(read_news(heard.channel, heard.payload))
    assert frame["data"]["timestamp"] > "2026"


def test_a_piece_is_translated_once_whoever_asks_and_both_encodings_say_the_same() -> None:
    data = {"big": 10**30, "huge": None, "half": "\ud800", "list": [1, -(2**63), 2**64 - 1]}
    text = json.dumps(data | {"backtestId": "bt1"}).replace("null", "9" * 400)
    piece = Piece("backtest:thinking", text, "bt1", "ann", (1, 1), said_at=AT)
    [as_text], [as_bytes] = encoded(piece, "json"), encoded(piece, "msgpack")
    assert encoded(piece, "json")[0] is as_text
    assert encoded(piece, "msgpack")[0] is as_bytes
    read, unpacked = json.loads(as_text), msgpack.unpackb(as_bytes)
    assert unpacked["data"].pop("half") == "?"
    assert read["data"].pop("half") == "\ud800"
    assert read == unpacked
    assert (read["data"]["big"], read["data"]["huge"]) == (1e30, None)


def test_what_a_run_says_cannot_change_whose_it_is() -> None:
    [frame] = event("trade", backtest_id="bt2", backtestId="bt3", timestamp="x", epoch=9, what="opened")
    assert frame == {
        "type": "backtest_trade",
        "data": {"what": "opened", "backtest_id": "bt1", "timestamp": "2026-11-30T12:00:00.000Z"},
        "epoch": 2,
        "seq": 7,
    }
