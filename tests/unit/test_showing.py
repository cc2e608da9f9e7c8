"""What a watched run shows: whoever draws from it alone has, at its end, what is stored."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pytest
import talib

from shared.bars import Bars
from shared.bus import Bus
from shared.candles import Slice
from shared.contracts import Channel
from shared.errors import BusUnavailable, StoreUnavailable
from shared.findings import trade_columns
from shared.lifecycle import Lease
from shared.live import Candle
from shared.live_data import candles_told
from shared.playback import Advance, Command, End, Phase, Playback, Resume, Rewind, Seek, Speed, Step
from shared.records import BacktestRecord, NewsDocument, new_record
from shared.request import BacktestParams
from shared.run_logs import LoggedLine, RunLogs
from shared.wire import validate
from tests.drawing import Drawing
from tests.engine.markets import random_walk
from worker import engine_loop, run_log, telling
from worker.engine.delta import Outcome
from worker.engine_loop import Run
from worker.pipe import Finished, LogLine, Moved
from worker.run_log import RunLog
from worker.telling import Telling

TOTAL = 1_500
BODY: dict[str, Any] = {
    "symbol": "WALK",
    "interval": "1h",
    "startDate": "2024-01-01",
    "endDate": "2025-01-01",
    "strategies": ["sma", "rsi"],
    "strategyParams": {"sma": {"fast": 2, "slow": 5}, "rsi": {"period": 3}},
    "allowShort": True,
    "maxOpenTrades": 4,
    "positionSizePercent": 0.3,
    "stopLoss": {"percent": 1.5},
    "commission": {"rate": 0.001},
}


class FakeBus:
    """Knows whether the run is watched, keeps what is published, and may be away."""

    def __init__(self, watched: bool) -> None:
        self.watched = watched
        self.away = False
        self.said: list[dict[str, Any]] = []

    async def is_watched(self, _: str) -> bool:
        return self.watched

    async def publish_documents(self, news: list[tuple[str, NewsDocument]]) -> int:
        if self.away:
            raise BusUnavailable("away")
        self.said += [json.loads(one["payload"]) | {"channel": one["channel"]} for _, one in news]
        return len(news)


class FakeLogs:
    def __init__(self) -> None:
        self.lines: list[LoggedLine] = []
        self.away = 0

    async def begin(self, _: Lease, bar: int) -> int:
        return bar

    async def add(self, _: Lease, lines: list[LoggedLine]) -> None:
        if self.away:
            self.away -= 1
            raise StoreUnavailable("away")
        self.lines += lines


class Stage:
    """A run in this process, played as a worker plays it, on a clock that stands still but for `wait`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, watched: bool, chunk_bars: int = 1_000, **more: Any) -> None:
        self.now_s = 1_000.0
        monkeypatch.setattr(telling.time, "monotonic", lambda: self.now_s)
        params = validate(BacktestParams, BODY | more)
        record: BacktestRecord = new_record(
            backtest_id="bt_1", user_id="ann", params=params.as_wire(), priority=0, now_ms=0
        )
        record["epoch"] = 1
        self.bus, self.logs = FakeBus(watched), FakeLogs()
        self.bars: Bars = random_walk(TOTAL, 4)
        self.telling = Telling(record, cast("Bus", self.bus), cast("RunLogs", self.logs), lambda: 0, 60.0)
        self.run = Run(params, self.bars)
        self.playback = Playback(TOTAL, chunk_bars, now_s=self.now_s)
        self.outcome: Outcome | None = None

    async def begin(self) -> None:
        self.telling.look_who_watches()
        await asyncio.sleep(0)
        bars = {"start_ms": int(self.bars.time_ms[0]), "total_bars": TOTAL, "resampled_from": None}
        await self.telling.started(cast("Slice", type("Bars", (), bars)))

    async def until(self, bar: int, *, step_s: float = 0.0) -> None:
        """Plays on to that bar, or to where nothing is to be done."""
        while self.outcome is None and (
            self.playback.bar < bar or self.telling.looks or self.playback.phase is Phase.SEEKING
        ):
            self.now_s += step_s
            deed = self.playback.next(self.now_s)
            if self.telling.looks and (self.playback.bar == 0 or not isinstance(deed, Advance | Rewind | End)):
                deed = Rewind(self.playback.bar)
            match deed:
                case Advance(until_bar):
                    until_bar = min(until_bar, max(bar, self.playback.bar + 1))
                    reached = self.run.advance(until_bar, self.telling.wants(until_bar, self.playback))
                case Rewind(to):
                    reached = self.run.rewind(to, self.telling.wants(to, self.playback))
                case End(_, closing):
                    reached = self.run.finish(closing, self.telling.wants(TOTAL, self.playback))
                case _:
                    return
            moved = reached if isinstance(reached, Moved) else reached.last
            self.playback.moved(moved.bar, self.now_s)
            self.telling.moved(moved, self.playback)
            await asyncio.sleep(0)
            if isinstance(reached, Finished):
                self.outcome = reached.outcome
        await self.telling.settle()
        self.bus.said += [json.loads(one["payload"]) | {"channel": one["channel"]} for one in self.telling.take()]

    def hear(self, command: Command) -> None:
        self.playback.hear(command, self.now_s)

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [one["data"] for one in self.bus.said if one.get("type") == kind]

    def drawing(self, since: int = 0) -> Drawing:
        """Of a client that has joined when so much had been said."""
        drawing = Drawing()
        for one in self.bus.said[since:]:
            if one["channel"] == Channel.EVENT:
                drawing.hear(one)
        return drawing

    def assert_drawn(self, drawing: Drawing, *, whole: bool) -> None:
        """It has exactly what the run came to; where it was thinned, only points of it, and the last."""
        assert self.outcome is not None
        stored = dict(zip(self.outcome.time_ms.tolist(), self.outcome.equity.tolist(), strict=True))
        if whole:
            assert drawing.curve == stored
        else:
            assert drawing.thinned
            assert drawing.curve.items() <= stored.items()
            assert max(drawing.curve) == max(stored)
        columns = trade_columns(self.outcome.trades._asdict(), BODY["strategies"])
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        assert len(rows) > 100
        assert drawing.trades == rows


async def test_nobody_is_told_anything_of_a_run_that_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, watched=False)
    await stage.begin()
    await stage.until(TOTAL, step_s=1.0)
    assert {one.get("type", one["channel"]) for one in stage.bus.said} == {"started", "backtest:progress"}


@pytest.mark.parametrize("exact_bars_max", [TOTAL, TOTAL - 1])
async def test_who_draws_a_run_at_full_speed_has_all_trades_and_all_points_or_some(
    monkeypatch: pytest.MonkeyPatch, exact_bars_max: int
) -> None:
    monkeypatch.setattr(engine_loop, "_EXACT_BARS_MAX", exact_bars_max)
    stage = Stage(monkeypatch, watched=True)
    await stage.begin()
    await stage.until(TOTAL)
    bars = [one["currentCandleIndex"] for one in stage.events("state")]
    assert bars == [0, TOTAL], "by time, which stands still: the first and the last"
    assert stage.events("candle") == []
    exact = exact_bars_max == TOTAL
    stage.assert_drawn(stage.drawing(), whole=exact)
    last = stage.events("state")[-1]
    assert (last["status"], last["progressPercent"], last["openTrades"]) == ("completed", 100.0, [])
    assert len(last["recentTrades"]) == len(last["recentSignals"]) == 20
    assert (len(last["metrics"]["equityCurve"]) == TOTAL) is exact


async def test_states_come_by_bars_and_never_sooner_than_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, watched=True, emitInterval=40, emitEveryMs=100)
    await stage.begin()
    stage.hear(Speed(100.0))
    await stage.until(200, step_s=0.05)  # five bars at a time
    assert [one["currentCandleIndex"] for one in stage.events("state")] == [0, 40, 80, 120, 160, 200]
    assert [one["bar"] for one in stage.events("candle")] == list(range(200)), "the pace is slow enough to see each"
    stage.hear(Speed(4_000.0))
    await stage.until(1_400, step_s=0.05)  # two hundred at a time
    bars = [one["currentCandleIndex"] for one in stage.events("state")][6:]
    assert bars[0] >= 400
    assert all(after - before >= 400 for before, after in pairwise(bars)), "a tenth of a second"
    assert len(stage.events("candle")) == 200


async def test_candles_carry_what_the_strategies_look_at_also_after_the_way_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(monkeypatch, watched=True)
    await stage.begin()
    stage.hear(Speed(100.0))
    await stage.until(60, step_s=0.05)
    stage.hear(Seek(40))
    await stage.until(40, step_s=0.05)
    stage.hear(Step(15))
    await stage.until(55, step_s=0.05)
    told = [(one["bar"], validate(Candle, one).indicators) for one in stage.events("candle")]
    assert [bar for bar, _ in told] == [*range(60), *range(40, 55)]
    close = stage.bars.close
    columns = {"sma 2": talib.SMA(close, 2), "sma 5": talib.SMA(close, 5), "rsi 3": talib.RSI(close, 3)}
    for bar, indicators in told:
        known = {name: float(column[bar]) for name, column in columns.items()}
        assert indicators == {name: None if math.isnan(x) else pytest.approx(x) for name, x in known.items()}
    assert told[0][1] == {"sma 2": None, "sma 5": None, "rsi 3": None}


def test_what_is_no_number_is_null_on_a_candle() -> None:
    told = [data for _, data in candles_told(random_walk(4, 1), 10, {"x": np.array([np.nan, np.inf, -np.inf, 1.5])})]
    assert [(one["bar"], one["indicators"]) for one in told] == [
        *((6 + at, {"x": None}) for at in range(3)),
        (9, {"x": 1.5}),
    ]


async def test_a_drawing_follows_pace_seek_back_and_steps_and_a_client_that_joins_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(monkeypatch, watched=True, emitInterval=1)
    await stage.begin()
    stage.hear(Speed(1_000.0))
    await stage.until(600, step_s=0.05)
    stage.hear(Seek(350))
    await stage.until(350, step_s=0.05)
    stage.hear(Step(11))
    await stage.until(361, step_s=0.05)
    joined = len(stage.bus.said)
    stage.telling.watch()
    await stage.until(361)
    snapshots = [one for one in stage.events("state") if one.get("snapshot")]
    assert [one["currentCandleIndex"] for one in snapshots] == [0, 361], (
        "the first state, and what who has joined is told"
    )
    stage.hear(Resume())
    await stage.until(TOTAL, step_s=0.05)
    stage.assert_drawn(stage.drawing(), whole=True)
    stage.assert_drawn(stage.drawing(joined), whole=True)
    assert stage.drawing().bars != sorted(stage.drawing().bars), "it was taken back"


async def test_what_redis_did_not_take_is_made_up_for_by_a_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, watched=True, emitInterval=1)
    await stage.begin()
    stage.hear(Speed(1_000.0))
    await stage.until(300, step_s=0.05)
    stage.bus.away = True
    await stage.until(600, step_s=0.05)
    stage.bus.away = False
    await stage.until(TOTAL, step_s=0.05)
    stage.assert_drawn(stage.drawing(), whole=True)


async def test_a_command_is_answered_by_a_state_also_where_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, watched=False)
    await stage.begin()
    await stage.until(300)
    stage.telling.heeded("state", "speed-1", None, stage.playback)
    await stage.until(301)
    [state] = stage.events("state")
    assert state["commandId"] == "speed-1"
    assert stage.events("trade") == []


def line(second: int, message: str = "x") -> LogLine:
    return LogLine(second * 1_000, "INFO", message, "m", "f", 1, "own")


async def test_a_log_is_numbered_bounded_and_stored_however_often_the_store_is_away() -> None:
    logs = FakeLogs()
    log = RunLog(Lease("bt_1", "claim_1", 1), cast("RunLogs", logs))
    log.hear([line(at) for at in range(9_990)], 0, 7)
    assert sum(len(entries) for entries, _ in log.untold()) == 9_990
    log.hear([line(1)] * 30, 5, 8)
    [(entries, dropped)] = log.untold()
    assert ([one["number"] for one in entries], dropped) == (list(range(9_991, 10_001)), 25)
    log.last_word(9)
    [(entries, _)] = log.untold()
    assert entries[0]["message"].startswith("25 lines were dropped: 200 a second are kept, 10000 in all")
    logs.away = 2
    await log.settle()
    assert [one.number for one in logs.lines] == list(range(1, 10_002))
    assert {one.bar for one in logs.lines} == {7, 8, 9}


async def test_lines_are_told_a_tenth_of_a_second_apart(caplog: pytest.LogCaptureFixture) -> None:
    log = RunLog(Lease("bt_1", "claim_1", 1), cast("RunLogs", FakeLogs()))
    log.hear([line(1)], 0, 1)
    assert len(log.untold(now_s=5.0)) == 1
    log.hear([line(1)], 0, 2)
    assert log.untold(now_s=5.05) == []
    assert len(log.untold(now_s=5.05 + run_log.TELL_EVERY_S)) == 1
    assert logging.WARNING not in {one.levelno for one in caplog.records}
