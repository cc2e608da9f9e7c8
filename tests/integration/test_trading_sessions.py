"""The session of an AI trader, on a real worker whose model is scripted, by all who can watch it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from api.auth import mint_token
from shared.client.fleet import Backfleet
from shared.settings import Settings
from tests.conftest import Backends, on_one_pair
from tests.contract import check_frame, check_told
from tests.fleet import Fleet, fleet_on
from tests.gateway import Ear, gateway_on
from tests.integration import test_model_traders as traders
from tests.model_server import ModelServer, serving

BARS = 120
BARS_PER_S = 40.0  # below 200, so that candles come; and it takes some seconds, in which it is steered
ASKS = BARS // traders.EVERY
DEADLINE_S = 60.0
# As other programs read them.
FIELDS = {
    "session_initialized": "asset timeframe start_date end_date starting_capital total_candles agent safety_mode",
    "candle": "index time open high low close volume indicators",
    "ai_thinking": "index time",
    "ai_decision": "index time action reasoning confidence size stop_loss take_profit abstained safety",
    "position_opened": "trade_id type size entry_price stop_loss take_profit time",
    "position_closed": "trade_id type size entry_price stop_loss take_profit exit_price pnl pnl_pct reason time",
    "stats_update": "equity pnl pnl_pct total_trades win_rate max_drawdown open_position",
    "session_paused": "index",
    "session_resumed": "index",
    "session_completed": "result_id stats",
}


@pytest.fixture
async def fleet(backends: Backends, make_settings: Callable[..., Settings], tmp_path: Path) -> AsyncIterator[Fleet]:
    settings = make_settings(llm_private_urls=True, key_secrets=traders.SECRET)
    async with fleet_on(settings, tmp_path, BARS) as opened:
        yield opened


class Follower:
    """A plain WebSocket that is told a session, and comes again with `after` where it is cut."""

    def __init__(self, url: str, token: str, backtest_id: str, **more: Any) -> None:
        self._url = url.replace("http", "ws") + "/ws"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._asked = {"action": "subscribe", "topic": f"session:{backtest_id}", **more}
        self._cursor: dict[str, int] | None = None
        self.frames: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.opened = 0
        self.ws: ClientConnection | None = None
        self._changed = asyncio.Event()

    async def follow(self) -> None:
        while not self.of("session_completed", "error"):
            async with connect(self._url, additional_headers=self._headers, proxy=None) as self.ws:
                self.opened += 1
                asked = self._asked | ({"after": self._cursor} if self._cursor else {})
                try:
                    await self.ws.send(json.dumps(asked))
                    while not self.of("session_completed", "error"):
                        self._hear(json.loads(await self.ws.recv()))
                except ConnectionClosed:
                    pass

    def _hear(self, frame: dict[str, Any]) -> None:
        check_frame(frame)
        if "seq" in frame:
            self._cursor = {"epoch": frame["epoch"], "seq": frame["seq"]}
        (self.frames if "data" in frame and frame["type"] != "control_confirmed" else self.answers).append(frame)
        self._changed.set()

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        return [frame["data"] for frame in self.frames if frame["type"] in kinds]

    async def until(self, done: Callable[[], Any]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not done():
                self._changed.clear()
                await self._changed.wait()

    async def control(self, backtest_id: str, action: str) -> None:
        """The gateway's answer, and that the session says so."""
        assert self.ws is not None
        command = {"action": "control", "backtest_id": backtest_id, "command": {"action": action}}
        await self.ws.send(json.dumps(command))
        await self.until(lambda: [one for one in self.answers if one.get("data", {}).get("action") == action])

    def cut(self) -> None:
        assert self.ws is not None
        self.ws.transport.abort()


async def follow_with_the_client(url: str, token: str, backtest_id: str, heard: list[str]) -> None:
    async with Backfleet(url, token) as client, aclosing(client.run(backtest_id).events()) as events:
        heard.extend([event.name async for event in events])


@on_one_pair
async def test_a_session_is_told_from_its_greeting_to_its_end_also_to_who_was_cut_off(fleet: Fleet) -> None:
    model = ModelServer(rule=traders.follows_the_last_two_closes)
    token = mint_token(fleet.settings, "ann", 3600)
    async with AsyncExitStack() as stack:
        stack.enter_context(serving(model))
        url = await stack.enter_async_context(gateway_on(fleet.settings))
        params = traders.trades_by(model).model_copy(update={"speed": BARS_PER_S, "start_paused": True})
        backtest_id = (await fleet.submit(params))["_id"]
        first, second, late = (Follower(url, token, backtest_id) for _ in range(3))
        ear, events = Ear(), list[str]()
        await ear.sio.connect(url, auth={"token": token}, transports=["websocket"])
        stack.push_async_callback(ear.sio.disconnect)
        assert (await ear.call("backtest:subscribe", {"backtestId": backtest_id}))["ok"]
        async with asyncio.timeout(2 * DEADLINE_S), asyncio.TaskGroup() as group:
            group.create_task(first.follow())
            group.create_task(second.follow())
            group.create_task(follow_with_the_client(url, token, backtest_id, events))
            await first.until(lambda: first.frames)
            await second.until(lambda: second.frames)
            fleet.start_worker()
            await first.control(backtest_id, "resume")
            await second.until(lambda: len(second.of("candle")) >= 20)
            second.cut()
            await first.until(lambda: len(first.of("candle")) >= 40)
            await first.control(backtest_id, "pause")
            await first.until(lambda: first.of("session_paused"))
            group.create_task(late.follow())
            await late.until(lambda: late.of("session_paused"))
            first.answers.clear()
            await first.control(backtest_id, "resume")
        record = await fleet.store.get(backtest_id, "ann")
        assert record["status"] == "completed", record.get("error")
        await assert_whole(fleet, first, record["resultId"])
        assert second.opened > 1
        for kind in ("candle", "ai_thinking", "ai_decision", "session_completed"):
            assert second.of(kind) == first.of(kind)
        assert without_levels(second.of("position_closed")) == without_levels(first.of("position_closed"))
        assert_goes_on_from_a_snapshot(late, first)
        assert_told_over_socket_io(ear)
        assert {"backtest:thinking", "backtest:decision", "backtest:complete"} <= set(events)
        replayed = Follower(url, token, backtest_id, replay={"from": 0, "speed": 150})
        await asyncio.wait_for(replayed.follow(), DEADLINE_S)
        assert [one["close"] for one in replayed.of("candle")] == [one["close"] for one in first.of("candle")]
        assert without_levels(replayed.of("position_closed")) == without_levels(first.of("position_closed"))
        assert replayed.frames[-1]["replay"] is True


def without_levels(positions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of a position that closes before a state lists it they are not known: after a break no state has."""
    return [
        {name: value for name, value in one.items() if name not in ("stop_loss", "take_profit")} for one in positions
    ]


async def assert_whole(fleet: Fleet, told: Follower, result_id: str) -> None:
    """All of a session, in an order in which it can be shown, and as it is stored."""
    for frame in told.frames:
        assert set(frame["data"]) == {"session_id", *FIELDS[frame["type"]].split()}
    assert {frame["type"] for frame in told.frames} == set(FIELDS)
    assert told.frames[0]["type"] == "session_initialized"
    assert [one["total_candles"] for one in told.of("session_initialized")] == [None, BARS]
    assert told.frames[0]["data"]["agent"]["model"] == "m"
    assert [one["index"] for one in told.of("candle")] == list(range(BARS))
    asked = [traders.EVERY * n - 1 for n in range(1, ASKS + 1)]
    assert [one["index"] for one in told.of("ai_thinking")] == asked
    assert [one["index"] for one in told.of("ai_decision")] == asked
    kinds = [frame["type"] for frame in told.frames]
    assert kinds[-1] == "session_completed"
    paused, resumed = kinds.index("session_paused"), len(kinds) - kinds[::-1].index("session_resumed")
    assert paused < resumed
    result = await fleet.results.read(result_id, "ann")
    trades = json.loads(await fleet.results.read_trades(result, limit=500, offset=0))["items"]
    assert len(trades) > 5
    closed = told.of("position_closed")
    assert [(one["entry_price"], one["exit_price"], one["pnl"]) for one in closed] == [
        (one["entryPrice"], one["exitPrice"], one["pnl"]) for one in trades
    ]
    assert {one["reason"] for one in closed} >= {"ai_decision", "stop_loss"}
    for frame in told.frames:
        if frame["type"] == "position_closed":
            opened = next(one for one in told.of("position_opened") if one["trade_id"] == frame["data"]["trade_id"])
            assert opened["type"] == frame["data"]["type"]
    known = [one for one in told.of("position_opened") if one["stop_loss"] is not None]
    assert len(known) >= len(closed) - 3, "each is told with its stop, but for those that were closed at once"
    assert len({one["trade_id"] for one in told.of("position_opened")}) == len(told.of("position_opened"))
    [end], last = told.of("session_completed"), told.of("stats_update")[-1]
    assert end["result_id"] == result_id
    assert (end["stats"]["total_trades"], last["total_trades"]) == (len(trades), len(trades))
    assert end["stats"]["equity"] == pytest.approx(last["equity"])
    assert end["stats"]["max_drawdown"] == pytest.approx(last["max_drawdown"])
    assert end["stats"]["max_drawdown"] > 0
    assert end["stats"]["open_position"] is None


def assert_goes_on_from_a_snapshot(late: Follower, whole: Follower) -> None:
    """Who came while it was paused was told how it stood, and all that came after."""
    kinds = [frame["type"] for frame in late.frames if frame["type"] != "position_opened"]
    assert kinds[:4] == ["session_initialized", "session_initialized", "stats_update", "session_paused"]
    assert kinds[4] == "session_resumed"
    assert late.of("session_paused") == whole.of("session_paused")
    candles = late.of("candle")
    assert candles == whole.of("candle")[-len(candles) :]
    assert candles[0]["index"] == late.of("session_paused")[0]["index"]
    deepest = whole.of("session_completed")[0]["stats"]["max_drawdown"]
    assert late.of("stats_update")[-1] == whole.of("stats_update")[-1] | {"max_drawdown": pytest.approx(deepest)}


def assert_told_over_socket_io(ear: Ear) -> None:
    for event in ("backtest:thinking", "backtest:decision"):
        told = [said for name, said in ear.told if name == event]
        assert len(told) == ASKS
        for said in told:
            check_told(event, said)
