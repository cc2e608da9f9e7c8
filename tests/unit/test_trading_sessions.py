"""What a session says of what is told of its backtest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api.drawdown import LOWS_MAX, Drawdown
from api.pieces import Piece, read_news
from api.trading_sessions import TradingSession, TradingSessions
from api.ws_frames import encode
from shared.contracts import Channel
from shared.controls import ControlRequest, StopCommand
from shared.errors import InvalidRequest
from shared.live import LIVE_MODELS
from shared.live_data import opened_told
from shared.reasons import Reason
from shared.records import BacktestRecord, new_record
from shared.wire import validate
from tests.contract import check_frame, schema

HOUR_MS = 3_600_000
START_MS = 1_704_067_200_000
AT = ["2024-01-01T00:00:00Z", "2024-01-01T01:00:00Z", "2024-01-01T02:00:00Z", "2024-01-01T03:00:00Z"]
TRADER = {"model": "some/model", "safety_mode": False}


def record(trader: dict[str, Any] | None = TRADER, labels: dict[str, str] | None = None) -> BacktestRecord:
    params: dict[str, Any] = {
        "symbol": "X",
        "interval": "1h",
        "startDate": "2024-01-01",
        "endDate": "2024-02-01",
        "initialCapital": 1_000.0,
        "strategyParams": {"sma": {"fast": 5}} | ({"ai_trader": trader} if trader else {}),
        "agentId": "ag_1",
    }
    return new_record(backtest_id="bt1", user_id="ann", params=params, priority=0, now_ms=START_MS, labels=labels)


class Told:
    """One session, and what it says of events."""

    def __init__(self) -> None:
        self.session = TradingSession(record())
        self.seq = 0

    def hear(self, channel: Channel, **said: Any) -> list[dict[str, Any]]:
        self.seq += 1
        named = {"backtestId": "bt1", "userId": "ann", "epoch": 1, "seq": self.seq}
        frames = self.session.frames_of(read_news(channel, json.dumps(named | said)))
        for frame in frames:
            check_frame(frame)
        return frames

    def event(self, kind: str, **data: Any) -> list[dict[str, Any]]:
        return self.hear(Channel.EVENT, type=kind, data=data)

    def state(self, bar: int, open_trades: list[dict[str, Any]], **more: Any) -> list[dict[str, Any]]:
        standing = {"currentCandleIndex": bar, "currentTime": AT[bar - 1], "currentCapital": 1_000.0}
        return self.event("state", **standing, openTrades=open_trades, **more)


def opened(bar: int = 1, direction: str = "long", **levels: float | None) -> dict[str, Any]:
    trade = {"entryBar": bar, "entryTime": AT[bar], "direction": direction, "quantity": 2.0, "entryPrice": 100.0}
    return trade | {"entryReason": "signal"} | levels


def closed(bar: int = 1, reason: str = "signal", direction: str = "long") -> dict[str, Any]:
    end = {"exitBar": bar + 1, "exitTime": AT[bar + 1], "exitPrice": 90.0, "fees": 0.0, "pnl": -20.0}
    return opened(bar, direction) | end | {"pnlPercent": -10.0, "exitReason": reason, "strategy": "ai_trader"}


def kinds(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["type"] for frame in frames]


def test_it_begins_with_what_is_stored_and_says_it_again_once_the_bars_are_counted() -> None:
    sessions = TradingSessions()
    [greeting] = sessions.frames_of(sessions.begin(record(labels={"timeframe": "H1", "agentName": "Momentum"})))
    check_frame(greeting)
    assert greeting == {
        "type": "session_initialized",
        "data": {
            "session_id": "bt1",
            "asset": "X",
            "timeframe": "H1",
            "start_date": "2024-01-01",
            "end_date": "2024-02-01",
            "starting_capital": 1_000.0,
            "total_candles": None,
            "agent": {"id": "ag_1", "name": "Momentum", "model": "some/model"},
            "safety_mode": False,
        },
    }
    told = Told()
    [again] = told.event("started", totalBars=744)
    assert (again["data"]["total_candles"], again["epoch"], again["seq"]) == (744, 1, 1)
    assert told.event("started", totalBars=744, resumedFrom=3) == [], "another worker took it up"
    assert kinds(told.state(1, [], totalCandles=744)) == ["stats_update"]


@pytest.mark.parametrize(
    ("trader", "safety"), [(None, None), ({"model": "m"}, True), ({"model": "m", "safetyMode": False}, False)]
)
def test_safety_is_on_unless_it_is_said_and_of_no_model_unknown(trader: dict[str, Any] | None, safety: Any) -> None:
    sessions = TradingSessions()
    [greeting] = sessions.frames_of(sessions.begin(record(trader)))
    assert greeting["data"]["safety_mode"] == safety
    assert greeting["data"]["agent"]["model"] == ("m" if trader else None)


def test_a_candle_a_thought_and_a_decision() -> None:
    told = Told()
    bar = {"time": AT[3], "open": 1.0, "high": 2.0, "low": 0.5, "close": 1.5, "volume": 7.0}
    [candle] = told.event("candle", bar=3, **bar, indicators={"ema 20": 1.25, "rsi 14": None})
    assert candle["data"] == {"session_id": "bt1", "index": 3, **bar, "indicators": {"ema 20": 1.25, "rsi 14": None}}
    [thinking] = told.event("thinking", bar=3, time=AT[3], strategy="ai_trader")
    assert (thinking["type"], thinking["data"]) == ("ai_thinking", {"session_id": "bt1", "index": 3, "time": AT[3]})
    said = {"bar": 3, "time": AT[3], "strategy": "ai_trader", "action": "LONG", "reasoning": "up", "confidence": 0.8}
    said |= {"sizeFraction": 0.5, "stopLossPrice": 98.0, "takeProfitPrice": None, "abstained": False, "safety": ["a"]}
    [decision] = told.event("decision", **said, reason=None, model="m", costUsd=0.1)
    assert decision["data"] == {
        "session_id": "bt1",
        "index": 3,
        "time": AT[3],
        "action": "LONG",
        "reasoning": "up",
        "confidence": 0.8,
        "size": 0.5,
        "stop_loss": 98.0,
        "take_profit": None,
        "abstained": False,
        "safety": ["a"],
    }


def test_a_position_is_told_once_with_its_levels_and_closed_with_the_newest() -> None:
    told = Told()
    trade = opened(stopPrice=95.0, targetPrice=120.0)
    [position] = told.event("trade", what="opened", trade=trade)
    [stats] = told.state(2, [trade])
    assert position["data"] == {
        "session_id": "bt1",
        "trade_id": "1-long",
        "type": "LONG",
        "size": 2.0,
        "entry_price": 100.0,
        "stop_loss": 95.0,
        "take_profit": 120.0,
        "time": AT[1],
    }
    assert stats["data"]["open_position"] == {n: v for n, v in position["data"].items() if n != "session_id"}
    [again] = told.state(3, [opened(stopPrice=97.0, targetPrice=120.0)])
    assert again["data"]["open_position"]["stop_loss"] == 97.0
    [end] = told.event("trade", what="closed", trade=closed(reason="stop_loss"))
    closing = {"exit_price": 90.0, "pnl": -20.0, "pnl_pct": -10.0, "reason": "stop_loss", "time": AT[2]}
    assert end["data"] == position["data"] | {"stop_loss": 97.0} | closing
    assert kinds(told.state(3, [])) == ["stats_update"]


def test_a_state_tells_of_a_position_whose_opening_was_not_heard_and_a_trailing_stop_is_its_stop() -> None:
    [position, stats] = Told().state(2, [opened(direction="short", trailingStopPrice=104.0)])
    assert (position["data"]["type"], position["data"]["stop_loss"]) == ("SHORT", 104.0)
    assert "seq" not in position, "whoever is cut off here is told the state again"
    assert stats["seq"] == 1


def test_a_run_tells_the_levels_of_what_it_opens_and_none_of_what_is_closed_again() -> None:
    first, second = opened(0, stopPrice=95.0, targetPrice=None, trailingStopPrice=96.0), closed(1)
    levels = {"stopPrice": 95.0, "targetPrice": None, "trailingStopPrice": 96.0}
    [(_, one)] = opened_told([first | {"unrealisedPnl": 1.0}])
    assert one == {"what": "opened", "trade": opened(0) | levels}
    [(_, both)] = opened_told([second, first])
    assert both["trade"] == opened(1) | dict.fromkeys(levels)
    assert both["trades"] == {name: [first.get(name), opened(1).get(name)] for name in first}


def test_what_was_opened_and_closed_in_one_step_is_told_as_both() -> None:
    told = Told()
    [position] = told.event("trade", what="opened", trade=opened(stopPrice=None))
    [end] = told.event("trade", what="closed", trade=closed())
    assert [frame["data"]["time"] for frame in (position, end)] == [AT[1], AT[2]]
    assert end["data"]["stop_loss"] is None
    assert kinds(told.event("trade", what="closed", trade=closed(0))) == ["position_opened", "position_closed"]


def test_many_trades_are_told_one_by_one_and_the_last_frame_alone_is_numbered() -> None:
    told = Told()
    new = {name: [value, value] for name, value in opened(1, stopPrice=95.0).items()} | {"direction": ["long", "short"]}
    frames = told.event("trade", what="opened", trade=opened(), trades=new, skipped=3)
    assert [(one["data"]["trade_id"], one["data"]["stop_loss"]) for one in frames] == [("1-long", 95), ("1-short", 95)]
    assert [frame.get("seq") for frame in frames] == [None, 1]
    told = Told()
    rows = [closed(0), closed(1, direction="short")]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    frames = told.event("trade", what="closed", trade=rows[-1], trades=columns, skipped=3)
    assert [(frame["type"], frame["data"]["trade_id"]) for frame in frames] == [
        ("position_opened", "0-long"),
        ("position_closed", "0-long"),
        ("position_opened", "1-short"),
        ("position_closed", "1-short"),
    ]
    assert [frame.get("seq") for frame in frames] == [None, None, None, 1]


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_to_close_is_one_that_sessions_have(reason: Reason) -> None:
    _, end = Told().event("trade", what="closed", trade=closed(reason=reason.wire))
    told = {"reversal": "ai_decision", "signal": "ai_decision", "stopped_by_user": "manual"}
    told |= {"trailing_stop": "stop_loss", "liquidation": "stop_loss"}
    assert end["data"]["reason"] == told.get(reason.wire, reason.wire)


def test_what_is_taken_back_is_forgotten_and_told_again_when_it_comes_again() -> None:
    told = Told()
    told.event("trade", what="opened", trade=opened())
    assert kinds(told.state(1, [])) == ["stats_update"]
    assert kinds(told.event("trade", what="opened", trade=opened())) == ["position_opened"]
    [stats] = told.state(2, [opened()])
    assert stats["data"]["open_position"]["trade_id"] == "1-long"
    told.event("trade", what="closed", trade=closed())
    [again, _] = told.state(2, [opened()])
    assert again["type"] == "position_opened", "its end was taken back"


def test_of_what_is_opened_and_never_listed_only_so_much_is_remembered() -> None:
    told = Told()
    bars = list(range(1_500))
    text = json.dumps({"what": "opened", "trades": {"entryBar": bars}})
    told.session.frames_of(Piece("backtest:trade", text, "bt1", "ann"))
    assert len(told.session._shown) == 1_000  # pyright: ignore[reportPrivateUsage]


def test_a_snapshot_says_what_is_open_how_it_stands_and_that_it_is_paused_once() -> None:
    told = Told()
    metrics = {"totalTrades": 4, "winRate": 25.0, "equityCurve": [[START_MS, 1_100.0], [START_MS + HOUR_MS, 990.0]]}
    snapshot = {"totalCandles": 744, "snapshot": True, "status": "paused", "metrics": metrics}
    frames = told.state(2, [opened(stopPrice=95.0)], **snapshot)
    assert kinds(frames) == ["session_initialized", "position_opened", "stats_update", "session_paused"]
    assert {name: value for name, value in frames[2]["data"].items() if name != "open_position"} == {
        "session_id": "bt1",
        "equity": 1_000.0,
        "pnl": 0.0,
        "pnl_pct": 0.0,
        "total_trades": 4,
        "win_rate": 25.0,
        "max_drawdown": pytest.approx(10.0),
    }
    assert (frames[3]["data"]["index"], frames[3]["seq"]) == (2, 1)
    assert kinds(told.state(2, [opened()], **snapshot)) == ["stats_update"]
    [resumed] = told.event("resumed", bar=2)
    [paused] = told.event("paused", bar=3)
    assert (resumed["type"], paused["type"], paused["data"]) == (
        "session_resumed",
        "session_paused",
        {"session_id": "bt1", "index": 3},
    )


def test_what_is_known_in_part_is_not_told_before_what_led_to_it() -> None:
    """After it comes what was missed, from where the client was."""
    told = Told()
    frames = told.state(3, [opened(2)], partial=True, snapshot=True, status="paused", totalCandles=744)
    assert kinds(frames) == ["session_initialized"]
    assert kinds(told.state(2, [opened(1)])) == ["position_opened", "stats_update"]


def test_its_end_says_what_it_came_to_and_what_it_does_not_know_is_as_before() -> None:
    told = Told()
    told.state(2, [opened()], metrics={"totalTrades": 3, "winRate": 50.0}, drawdown=-12.0)
    summary = {"finalEquity": 1_250.0, "totalReturn": 25.0, "totalTrades": 4, "winRate": 75.0, "maxDrawdown": -15.2}
    [end] = told.hear(Channel.COMPLETE, status="success", resultId="res_1", summary=summary)
    stats = end["data"].pop("stats")
    assert (end["type"], end["data"]) == ("session_completed", {"session_id": "bt1", "result_id": "res_1"})
    assert stats.pop("open_position")["trade_id"] == "1-long", "it was stopped and left open"
    assert stats == {
        "equity": 1_250.0,
        "pnl": 250.0,
        "pnl_pct": 25.0,
        "total_trades": 4,
        "win_rate": 75.0,
        "max_drawdown": 15.2,
    }
    told = Told()
    told.state(2, [], metrics={"totalTrades": 3}, drawdown=-12.0)
    [bare] = told.hear(Channel.COMPLETE, status="success", resultId="res_1", summary={})
    assert bare["data"]["stats"] | {"win_rate": None} == {
        **dict.fromkeys(stats),
        "equity": 1_000.0,
        "pnl": 0.0,
        "pnl_pct": 0.0,
        "total_trades": 3,
        "max_drawdown": 12.0,
        "open_position": None,
    }
    [unheard] = Told().hear(Channel.COMPLETE, status="success", resultId="res_1", summary={})
    assert set(unheard["data"]["stats"].values()) == {None}
    [error] = told.hear(Channel.ERROR, status="error", error="No bars", timestamp=AT[0])
    assert (error["type"], error["data"]) == ("error", {"session_id": "bt1", "message": "No bars"})


def test_what_is_no_part_of_a_session_is_not_said() -> None:
    told = Told()
    assert told.event("log", entries=[{"message": "x"}]) == told.event("signal", bar=1, time=AT[0], signal=1) == []
    assert told.hear(Channel.PROGRESS, progress=1.0, message="Processing", currentDate="2024-01-01") == []
    assert TradingSessions().frames_of(read_news(Channel.EVENT, json.dumps(PAUSED))) == [], "nobody subscribed to it"


PAUSED = {"backtestId": "bt1", "userId": "ann", "epoch": 1, "seq": 1, "type": "paused", "data": {}}


def test_a_replay_is_marked_as_one() -> None:
    text = json.dumps({"bar": 5, "replay": True, "replaySeq": 9})
    [frame] = TradingSession(record()).frames_of(Piece("backtest:paused", text, "bt1", "ann"))
    check_frame(frame)
    assert (frame["replay"], frame["replay_seq"]) == (True, 9)


def test_a_session_that_is_greeted_anew_tells_anew_what_is_open() -> None:
    sessions = TradingSessions()
    state = read_news(Channel.EVENT, json.dumps(PAUSED | {"type": "state", "data": {"openTrades": [opened()]}}))
    for _ in range(2):
        assert kinds(sessions.frames_of(sessions.begin(record()))) == ["session_initialized"]
        assert kinds(sessions.frames_of(state)) == ["position_opened", "stats_update"]
        assert kinds(sessions.frames_of(state)) == ["stats_update"]
    sessions.leave("bt1")
    assert sessions.frames_of(state) == []


NONSENSE = [None, 5, -1e308, 1e308, "x", True, [], [[]], [None, 1, "x"], {}, {"x": [1]}, [{"entryBar": {}}], 10**40]


@pytest.mark.parametrize("kind", sorted(LIVE_MODELS))
def test_nothing_that_another_program_says_breaks_a_session(kind: str) -> None:
    [example] = schema(f"{kind.title()}Event")["examples"]
    sessions = TradingSessions()
    sessions.frames_of(sessions.begin(record()))
    whole: dict[str, Any] = example["data"] | ({"what": "closed"} if kind == "trade" else {})
    metrics = whole.get("metrics", {})
    for name in [*whole, "trades", "snapshot"]:
        for value in NONSENSE:
            broken = [whole | {name: value}, {name: value}]
            broken += [whole | {"metrics": metrics | {inner: value}} for inner in metrics]
            broken += [whole | {"trades": {name: value, "exitTime": [AT[0]], "pnl": [value, value]}}]
            for data in broken:
                said = PAUSED | {"type": kind, "data": data}
                try:
                    piece = read_news(Channel.EVENT, json.dumps(said))
                except InvalidRequest:
                    continue  # Nobody is told of it.
                for frame in sessions.frames_of(piece):
                    json.loads(encode(frame, "json"), parse_constant=pytest.fail)
                    assert encode(frame, "msgpack")


def test_an_end_of_another_program_does_not_break_it_either() -> None:
    for value in NONSENSE:
        said = {"finalEquity": value, "maxDrawdown": value if isinstance(value, float) else None, "winRate": value}
        named = {"backtestId": "bt1", "userId": "ann", "resultId": "res_1", "summary": said}
        [frame] = TradingSession(record()).frames_of(read_news(Channel.COMPLETE, json.dumps(named)))
        json.loads(encode(frame, "json"), parse_constant=pytest.fail)


def test_the_deepest_drawdown_is_that_of_all_points_and_of_none_that_was_taken_back() -> None:
    curve = Drawdown(100.0)
    assert curve.percent == 0.0
    curve.hear(3, [(1, 110.0), (2, 99.0), (3, 120.0)], 120.0, 0.0)
    assert curve.percent == pytest.approx(10.0)
    curve.hear(5, [(4, 60.0), (5, 130.0)], 130.0, 0.0)
    assert curve.percent == pytest.approx(50.0)
    curve.hear(3, [], 120.0, 0.0)
    assert curve.percent == pytest.approx(10.0)
    curve.hear(4, [(4, 114.0)], 120.0, -5.0)
    assert curve.percent == pytest.approx(10.0)
    curve.hear(1, [], 110.0, 0.0)
    assert curve.percent == 0.0
    curve.hear(2, [(2, 88.0)], 110.0, -20.0)
    assert curve.percent == pytest.approx(20.0)


def test_a_curve_that_falls_for_ever_is_remembered_in_bounds() -> None:
    curve = Drawdown(1e6)
    count = 3 * LOWS_MAX
    for at in range(count):
        curve.hear(at, [(at, 1e6 - at)], None, None)
    assert curve.percent == pytest.approx(100 * (count - 1) / 1e6)
    assert len(curve._lows) == LOWS_MAX  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("name", ["closeOpenTrades", "close_open_trades", "closePosition", "close_position"])
def test_a_stop_says_by_either_name_what_becomes_of_what_is_open(name: str) -> None:
    assert validate(ControlRequest, {"action": "stop", name: False}).close_open_trades is False
    assert validate(StopCommand, {name: True}).close_open_trades is True
    with pytest.raises(InvalidRequest) as refused:
        validate(ControlRequest, {"action": "stop", name: "no"})
    assert refused.value.errors[0].field == name
    with pytest.raises(InvalidRequest, match="does not go with pause"):
        validate(ControlRequest, {"action": "pause", name: False})


def test_a_stop_says_it_once() -> None:
    with pytest.raises(InvalidRequest) as refused:
        validate(ControlRequest, {"action": "stop", "closeOpenTrades": True, "close_position": False})
    assert (refused.value.errors[0].field, refused.value.errors[0].code) == ("close_position", "unknown_field")
    with pytest.raises(InvalidRequest, match="is closeOpenTrades, which is there too"):
        validate(StopCommand, {"closePosition": True, "close_position": False})
