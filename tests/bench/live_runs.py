"""A run of a million bars that somebody steers, watches, leaves and takes up again; and one that nobody watches."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, cast

import socketio

from deploy.stack import Stack
from shared.bus import Bus
from shared.database import Database
from shared.playback import Playback
from shared.records import new_record
from shared.request import BacktestParams
from shared.run_logs import RunLogs
from shared.settings import load_settings
from shared.wire import validate
from tests.bench.rows import Row, measured, p50_p99_ms
from tests.engine.markets import random_walk
from worker.engine_loop import Run
from worker.pipe import Finished
from worker.telling import Telling

BARS = 1_000_000
MINUTE_MS = 60_000
SYMBOL = "LIVE"
REQUEST: dict[str, Any] = {
    "symbol": SYMBOL,
    "interval": "1m",
    "startDate": "2024-01-01",
    "endDate": "2034-01-01",
    "strategies": ["sma"],
    "strategyParams": {"sma": {"fast": 200, "slow": 1_000}},
    "commission": {"rate": 0.0001},
}
PAIRS = 15
CHUNK_BARS = 100_000
COMMANDS = 150
TAKEN_UP = 15
HOLD_S = 0.05
WITHIN_S = 60
DEADLINE_S = 120.0


class Steering:
    """One user, who starts backtests, steers and watches them."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url, token
        self._socket = socketio.AsyncClient()
        self._heard: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._asked = 0

    async def __aenter__(self) -> Steering:
        self._socket.on("*", self._hear)
        await self._socket.connect(self._url, auth={"token": self._token}, transports=["websocket"])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._socket.disconnect()

    async def _hear(self, event: str, said: dict[str, Any]) -> None:
        names = [said.get("commandId") or "", f"{event}.{said.get('backtestId')}"]
        if event in ("backtest:complete", "backtest:error"):
            names.append(f"end.{said['backtestId']}")
        for name in names:
            if (waiting := self._heard.pop(name, None)) is not None and not waiting.done():
                waiting.set_result(said)

    def will_hear(self, name: str) -> asyncio.Future[dict[str, Any]]:
        return self._heard.setdefault(name, asyncio.get_running_loop().create_future())

    async def begin(self, *, watched: bool) -> str:
        """A backtest that stands before its first bar."""
        answer = await self._call("backtest:start", REQUEST | {"startPaused": True})
        if watched:
            await self._call("backtest:subscribe", {"backtestId": answer["backtestId"]})
        return answer["backtestId"]

    async def ask(self, backtest_id: str, action: str, **more: Any) -> tuple[dict[str, Any], float] | None:
        """What is heard that carries the command's id, and how long after it was sent, in seconds. None: it had ended,
        or ends before it is heard."""
        self._asked += 1
        command_id = f"c{self._asked}"
        heard, ended = self.will_hear(command_id), self.will_hear(f"end.{backtest_id}")
        sent_s = time.perf_counter()
        asked = {"backtestId": backtest_id, "commandId": command_id, "action": action} | more
        answer = asyncio.create_task(self._call("backtest:control", asked))
        took_s: list[float] = []
        heard.add_done_callback(lambda _: took_s.append(time.perf_counter() - sent_s))
        async with asyncio.timeout(WITHIN_S):
            await asyncio.wait([heard, ended], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait([answer])
        if not heard.done():
            answer.exception()
            return None
        return answer.result(), took_s[0]

    async def job_s(self, *, watched: bool) -> float:
        """From the moment that lets it begin to the news of its end."""
        backtest_id = await self.begin(watched=watched)
        ended = self.will_hear(f"end.{backtest_id}")
        begun_s = time.perf_counter()
        await self.ask(backtest_id, "resume")
        async with asyncio.timeout(WITHIN_S):
            await ended
        return time.perf_counter() - begun_s

    async def _call(self, event: str, asked: dict[str, Any]) -> dict[str, Any]:
        answer: Any = await self._socket.call(event, asked, timeout=WITHIN_S)
        if not answer["ok"]:
            raise RuntimeError(f"{event} {asked}: {answer}")
        return answer


async def _latencies_s(steering: Steering) -> list[float]:
    """Of commands to a run that goes as fast as it can: pause, go to some bar, go on; and again."""
    chance = random.Random(1)
    took_s: list[float] = []
    backtest_id = await steering.begin(watched=True)
    await steering.ask(backtest_id, "resume")
    while len(took_s) < COMMANDS:
        for action, more in (("pause", {}), ("seek", {"bar": chance.randrange(BARS // 2)}), ("resume", {})):
            answered = await steering.ask(backtest_id, action, **more)
            if answered is None:  # It was over before it heard of it.
                backtest_id = await steering.begin(watched=True)
                await steering.ask(backtest_id, "resume")
                break
            took_s.append(answered[1])
    return took_s


async def _taken_up_s(steering: Steering, database: Database) -> list[float]:
    """From the claim of a run near its end to the news that it stands there again. The clock is MongoDB's and ours."""
    took_s: list[float] = []
    for _ in range(TAKEN_UP):
        backtest_id = await steering.begin(watched=True)  # else nobody hears the state that answers
        await steering.ask(backtest_id, "seek", bar=BARS - 50_000)
        async with asyncio.timeout(WITHIN_S):
            while (await database.store.get(backtest_id, "bench"))["leaseExpiresAt"]:  # noqa: ASYNC110
                await asyncio.sleep(HOLD_S)
        begun = steering.will_hear(f"backtest:started.{backtest_id}")
        heard_ms: list[float] = []
        begun.add_done_callback(lambda _, heard_ms=heard_ms: heard_ms.append(time.time() * 1_000))
        ended = steering.will_hear(f"end.{backtest_id}")
        await steering.ask(backtest_id, "resume")
        async with asyncio.timeout(WITHIN_S):
            said = await begun
        if said.get("resumedFrom") != BARS - 50_000:
            raise RuntimeError(f"it was not taken up: {said}")
        record = await database.store.get(backtest_id, "bench")
        took_s.append((heard_ms[0] - record["startedAt"]) / 1_000)
        async with asyncio.timeout(WITHIN_S):
            await ended
    return took_s


async def _through_the_service(stack: Stack) -> list[Row]:
    on = f"{stack.server_names}, {BARS:,} bars"
    database = await Database.open(stack.settings)
    try:
        bars = random_walk(BARS, 1, volatility=0.0005, step_ms=MINUTE_MS)
        await database.candles.import_bars(SYMBOL, "1m", bars, "synthetic")
        async with asyncio.timeout(DEADLINE_S), Steering(stack.api_urls[0], stack.token("bench")) as steering:
            await steering.job_s(watched=True)  # warms
            jobs_s: dict[bool, list[float]] = {True: [], False: []}
            for number in range(2 * PAIRS):
                watched = number % 4 in (1, 2)  # no one is always the second
                jobs_s[watched].append(await steering.job_s(watched=watched))
            commands_ms = p50_p99_ms(await _latencies_s(steering))
            taken_up_s = await _taken_up_s(steering, database)
    finally:
        await database.close()
    watched_s, alone_s = median(jobs_s[True]), median(jobs_s[False])
    return [
        measured(
            "live.job.watched.vs.unwatched",
            ours=watched_s * 1_000,
            peer=alone_s * 1_000,
            unit="ms",
            aim=1.1,
            better="lower",
            on=f"{on}, median of {PAIRS}",
        ),
        measured("live.control_p50", ours=commands_ms[0], unit="ms", better="lower", on=on),
        measured("live.control_p99", ours=commands_ms[1], unit="ms", aim=150, better="lower", on=on),
        measured(
            "live.taken_up",
            ours=median(taken_up_s) * 1_000,
            unit="ms",
            aim=150,
            better="lower",
            on=f"{on}, from the claim, median of {TAKEN_UP}",
        ),
    ]


class _Nobody:
    """In place of the bus: nobody watches."""

    async def is_watched(self, _backtest_id: str) -> bool:
        return False


async def telling_nobody() -> Row:
    """CPU time of all that a run does for watchers while there are none, beside that of the run itself."""
    params = validate(BacktestParams, REQUEST)
    bars = random_walk(BARS, 1, volatility=0.0005, step_ms=MINUTE_MS)
    record = new_record(
        backtest_id="bt", user_id="bench", params=params.model_dump(mode="json", by_alias=True), priority=0, now_ms=0
    )
    shares: list[float] = []
    for _ in range(PAIRS):
        telling = Telling(record, cast("Bus", _Nobody()), cast("RunLogs", None), lambda: 0, float("inf"))
        begun_s, told_s = time.process_time(), 0.0
        run, moved = Run(params, bars), None
        playback = Playback(BARS, CHUNK_BARS, now_s=time.monotonic())
        while not isinstance(moved, Finished):
            until = min(BARS, playback.bar + CHUNK_BARS)
            asked_s = time.process_time()
            wanted = telling.wants(until, playback)
            await asyncio.sleep(0)
            told_s += time.process_time() - asked_s
            moved = run.advance(until, wanted)
            if not isinstance(moved, Finished):
                playback.moved(moved.bar, time.monotonic())
                asked_s = time.process_time()
                telling.moved(moved, playback)
                told_s += time.process_time() - asked_s
        shares.append(100 * told_s / (time.process_time() - begun_s))
    return measured(
        "live.job.telling_nobody",
        ours=median(shares),
        unit="% of CPU",
        aim=3,
        better="lower",
        on=f"{BARS:,} bars in steps of {CHUNK_BARS:,}, in one process, without the question to Redis",
    )


def measure() -> list[Row]:
    rows = [asyncio.run(telling_nobody())]
    with tempfile.TemporaryDirectory(prefix="backfleet-bench-") as name:
        directory = Path(name)
        settings = load_settings(
            cache_dir=directory / "cache", log_level="WARNING", pause_hold_s=2 * HOLD_S, worker_slots=1
        )
        with Stack(settings, api_replicas=1, workers=1, directory=directory) as stack:
            return rows + asyncio.run(_through_the_service(stack))
