"""A replay: whoever draws from it alone has, at its end, what is stored, at whatever pace and over whatever way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest

from api import player as playing
from api.listeners import Client
from api.pieces import Piece
from api.player import Player, Whose
from api.stored_run import StoredRun
from shared.bars import Bars
from shared.controls import ControlRequest
from shared.errors import Conflict
from shared.findings import trade_columns
from shared.playback import Intent
from shared.wire import validate
from tests.drawing import Drawing
from tests.stored import tables

TOTAL = 3_500
PARAMS: dict[str, Any] = {
    "symbol": "WALK",
    "interval": "1h",
    "startDate": "2024-01-01",
    "endDate": "2025-01-01",
    "strategies": ["sma"],
    "initialCapital": 10_000.0,
}
TIMES = 1_704_067_200_000 + 3_600_000 * np.arange(TOTAL)
EQUITY, TRADES = tables(TIMES)
PRICES = np.full(TOTAL, 100.0)
RUN = StoredRun(PARAMS, EQUITY, TRADES, Bars(TIMES, PRICES, PRICES, PRICES, PRICES, PRICES))
END = {"status": "success", "resultId": "res_1", "summary": {}}


class Time:
    """A clock that goes on only while somebody waits for it, and says what came in the meantime."""

    def __init__(self) -> None:
        self.s = 0.0
        self.waited: list[float] = []

    def now_s(self) -> float:
        return self.s

    async def wait(self, rung: asyncio.Event, until_s: float | None) -> None:
        if until_s is None:
            await rung.wait()
            return
        self.waited.append(until_s - self.s)
        self.s = max(self.s, until_s)
        await asyncio.sleep(0)


class Screen:
    """A client that reads all, and draws it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.drawn = Drawing()
        self.on_state: Callable[[int], None] = lambda _: None
        self.read = asyncio.Event()
        self.read.set()
        self.client = Client("ann", send=self._send, drop=self._drop)

    async def _send(self, piece: Piece) -> None:
        await self.read.wait()
        said: dict[str, Any] = json.loads(piece.text)
        assert (said.pop("backtestId"), said.pop("userId"), said.pop("replay")) == ("bt_1", "ann", True)
        assert said.pop("replaySeq") == len(self.told) + 1
        kind = piece.event.removeprefix("backtest:")
        self.told.append((kind, said))
        self.drawn.hear({"type": kind, "data": said})
        if kind == "state":
            self.on_state(said["currentCandleIndex"])

    async def _drop(self) -> None:
        raise AssertionError("it reads")

    def count(self, kind: str) -> int:
        return sum(1 for one, _ in self.told if one == kind)

    async def reads_all(self) -> None:
        await self.client.wait_for_room(0)
        await asyncio.sleep(0)


@pytest.fixture
async def screen() -> AsyncIterator[Screen]:
    one = Screen()
    yield one
    one.client.close()


def player(screen: Screen, bar: int = 0, speed: Any = "max", time: Time | None = None) -> Player:
    clock = time or Time()
    whose = Whose("bt_1", "ann")
    return Player(RUN, screen.client, whose, Intent(speed=speed), bar, now_s=clock.now_s, wait=clock.wait)


def ask(player: Player, action: str, **fields: Any) -> asyncio.Task[dict[str, Any]]:
    return asyncio.create_task(player.control(validate(ControlRequest, {"action": action, **fields})))


def assert_drawn(screen: Screen) -> None:
    assert screen.drawn.curve == dict(zip(TIMES.tolist(), EQUITY["equity"].tolist(), strict=True))
    stored = trade_columns(TRADES, ["sma"])
    assert screen.drawn.trades == [dict(zip(stored, row, strict=True)) for row in zip(*stored.values(), strict=True)]
    assert (screen.drawn.thinned, screen.drawn.skipped, screen.drawn.status) == (False, 0, "completed")
    assert screen.told[-1] == ("complete", END)


@pytest.mark.parametrize(("speed", "seconds"), [("max", 0.0), (2_000, 1.75), (10, 350.0)])
async def test_at_any_pace_all_is_told_that_is_stored(screen: Screen, speed: Any, seconds: float) -> None:
    time = Time()
    await player(screen, 0, speed, time).play(END)
    await screen.reads_all()
    assert_drawn(screen)
    assert time.s == pytest.approx(seconds, abs=0.2)
    assert screen.count("candle") == (TOTAL if speed == 10 else 0)
    kind, started = screen.told[0]
    assert (kind, started["candles"], started["signals"], started["indicators"]) == ("started", True, False, False)
    opened = [one for kind, one in screen.told if kind == "trade" and one["what"] == "opened"]
    rows = sum(len(one["trades"]["entryBar"]) if "trades" in one else 1 for one in opened)
    assert rows == len(TRADES["pnl"])


async def test_seeking_back_and_forth_leaves_nothing_out_and_nothing_twice(screen: Screen) -> None:
    replay = player(screen, 0, 500)
    ways = iter([("seek", {"bar": 3_000}), ("seek", {"bar": 100}), ("seek", {"time": "2024-02-01"})])
    answers: list[asyncio.Task[dict[str, Any]]] = []

    def seek(bar: int) -> None:
        if all(one.done() for one in answers) and bar % 1_000 > 50 and (way := next(ways, None)):
            answers.append(ask(replay, way[0], **way[1]))

    screen.on_state = seek
    await replay.play(END)
    await screen.reads_all()
    assert_drawn(screen)
    assert [(await one)["done"] for one in answers] == [True] * 3
    assert [(await one)["bar"] for one in answers] == [3_000, 100, 31 * 24]
    assert screen.drawn.bars != sorted(screen.drawn.bars)
    for one in answers:
        command_id = (await one)["commandId"]
        assert command_id in {said.get("commandId") for _, said in screen.told}


async def test_a_replay_is_paused_stepped_resumed_and_stopped(screen: Screen) -> None:
    replay = player(screen, 40, 20)
    task = asyncio.create_task(replay.play(END))
    paused = await ask(replay, "pause", commandId="c1")
    assert (paused["status"], paused["done"], paused["speed"]) == ("paused", True, 20)
    assert await ask(replay, "pause", commandId="c1") == paused
    with pytest.raises(Conflict, match="paused already"):
        await ask(replay, "pause")
    candles = screen.count("candle")
    stepped = await ask(replay, "step", bars=5)
    assert (stepped["status"], stepped["bar"]) == ("paused", paused["bar"] + 5)
    faster = await ask(replay, "speed", speed="max")
    assert (faster["status"], faster["speed"]) == ("paused", "max")
    await screen.reads_all()
    assert screen.count("candle") == candles + 5
    assert screen.drawn.bars[-1] == stepped["bar"]
    await ask(replay, "speed", speed=10)
    assert (await ask(replay, "resume"))["status"] == "replaying"
    with pytest.raises(Conflict, match="not paused"):
        await ask(replay, "resume")
    assert (await ask(replay, "stop"))["status"] == "ended"
    await task
    await screen.reads_all()
    assert (screen.told[-1][0], screen.told[-1][1]["status"], screen.count("complete")) == ("state", "stopped", 0)
    with pytest.raises(Conflict, match="has ended"):
        await ask(replay, "resume")


async def test_it_begins_with_all_that_was_before_its_first_bar(screen: Screen) -> None:
    await player(screen, 3_000).play(END)
    await screen.reads_all()
    snapshot = screen.told[1][1]
    assert (snapshot["snapshot"], snapshot["currentCandleIndex"], snapshot["firstBar"]) == (True, 3_000, 0)
    assert len(snapshot["metrics"]["equityCurve"]) <= 2_000
    assert snapshot["metrics"]["thinned"]
    stored = dict(zip(TIMES.tolist(), EQUITY["equity"].tolist(), strict=True))
    assert screen.drawn.curve.items() <= stored.items()
    assert {time: screen.drawn.curve[time] for time in TIMES[3_000:].tolist()} == dict(list(stored.items())[3_000:])
    assert len(screen.drawn.trades) == len(TRADES["pnl"])


async def test_who_reads_slowly_is_waited_for_and_can_still_steer(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playing, "ROOM_BELOW", 1)
    screen.read.clear()
    replay = player(screen)
    task = asyncio.create_task(replay.play(END))
    done, _ = await asyncio.wait([task], timeout=0.1)
    assert not done, "it waits for its client"
    stop = ask(replay, "stop")
    await asyncio.sleep(0)
    screen.read.set()
    assert (await stop)["status"] == "ended"
    await task
    await screen.reads_all()
    assert screen.drawn.bars[-1] < TOTAL


async def test_who_waits_for_an_answer_when_it_ends_is_answered(screen: Screen) -> None:
    replay = player(screen, 0, 1)
    waiting = ask(replay, "pause")
    await asyncio.sleep(0)
    replay.close()
    assert (await waiting)["status"] == "ended"


def test_figures_are_those_of_the_trades_that_are_closed() -> None:
    for bar in (0, 1, 700, TOTAL):
        state = RUN.state(0, bar, playing.Stand("running", "max"))
        pnl = [one for one, at in zip(TRADES["pnl"], TRADES["exit_bar"], strict=True) if at < bar]
        metrics = state["metrics"]
        assert (metrics["totalTrades"], metrics["winningTrades"]) == (len(pnl), sum(one > 0 for one in pnl))
        assert metrics["totalPnl"] == pytest.approx(sum(pnl))
        assert state["peakCapital"] == max([10_000.0, *EQUITY["equity"][:bar]])
        still_open = [a for a, b in zip(TRADES["entry_bar"], TRADES["exit_bar"], strict=True) if a < bar <= b]
        assert [one["entryBar"] for one in state["openTrades"]] == sorted(still_open)
