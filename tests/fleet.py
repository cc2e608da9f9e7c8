"""Worker processes and a client's eye on the store and the bus, for tests that kill and watch."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from shared.bars import Bars
from shared.bus import Bus, Heard
from shared.candles import Candles
from shared.claims import Claims
from shared.contracts import NEWS_CHANNELS, TERMINAL_CHANNELS, Channel, Task
from shared.database import Database
from shared.instants import iso_from_ms
from shared.records import BacktestRecord
from shared.request import BacktestParams
from shared.results import Results
from shared.settings import Settings, environment_for_child
from shared.store import Store
from shared.wire import parse_json, validate
from tests import forks

ROOT = Path(__file__).parents[1]
HOUR_MS = 3_600_000
START_MS = 1_704_067_200_000  # 2024-01-01T00:00Z
SYMBOL = "WALK"


def random_walk(count: int, seed: int = 11) -> Bars:
    """Seeded hourly bars from 2024-01-01 on."""
    random = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(random.normal(0, 0.01, count)))
    opened = np.concatenate([[100.0], close[:-1]])
    spread = 1 + np.abs(random.normal(0, 0.003, count))
    high, low = np.maximum(opened, close) * spread, np.minimum(opened, close) / spread
    return Bars(START_MS + HOUR_MS * np.arange(count), opened, high, low, close, np.full(count, 10.0))


def write_bars(path: Path, bars: Bars) -> Path:
    """The bars as a CSV of all their digits."""
    rows = zip(*(column.tolist() for column in bars), strict=True)
    lines = [",".join([iso_from_ms(time), *map(repr, values)]) for time, *values in rows]
    path.write_text("\n".join(["time,open,high,low,close,volume", *lines, ""]))
    return path


def request(**changes: Any) -> BacktestParams:
    body = {
        "symbol": SYMBOL,
        "interval": "1h",
        "startDate": "2024-01-01",
        "endDate": "2026-01-01",
        "strategies": ["sma"],
        "strategyParams": {"sma": {"fast": 5, "slow": 20}},
        "allowShort": True,
        "stopLoss": {"percent": 3},
        "commission": {"rate": 0.001},
    }
    return validate(BacktestParams, body | changes)


class WorkerProcess:
    """`python -m worker`, in a session of its own so that killing it leaves nothing behind."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self._log = log.open("ab")
        self.process = forks.start(
            ["-m", "worker"], env=environment_for_child(settings), stdout=self._log, stderr=self._log, session=True
        )

    def engine_pids(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def thaw_engine(self) -> None:
        """Lets engine processes go on that a test has stopped, if they still live."""
        for pid in self.engine_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def ended(self, deadline_s: float) -> int:
        return await asyncio.to_thread(self.process.wait, deadline_s)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self._log.close()


class OnDatabase:
    """Short ways to what stands in a database."""

    database: Database

    @property
    def store(self) -> Store:
        return self.database.store

    @property
    def claims(self) -> Claims:
        return self.database.claims

    @property
    def results(self) -> Results:
        return self.database.results


@dataclass
class Fleet(OnDatabase):
    """Store, bus and market data on a test's backends, and whatever workers the test starts."""

    settings: Settings
    database: Database
    bus: Bus
    candles: Candles
    directory: Path
    workers: list[WorkerProcess] = field(default_factory=list[WorkerProcess])
    news: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def start_worker(self, **overrides: Any) -> WorkerProcess:
        settings = Settings(
            **{name: getattr(self.settings, name) for name in self.settings.model_fields_set} | overrides
        )
        worker = WorkerProcess(settings, self.directory / f"worker-{len(self.workers)}.log")
        self.workers.append(worker)
        return worker

    async def submit(self, params: BacktestParams, user: str = "ann") -> BacktestRecord:
        record, _ = await self.store.insert(user_id=user, params=params, priority=0, idempotency_key=None)
        await self.bus.ring(Task(backtest_id=record["_id"], user_id=user, params=params, recorded=True))
        return record

    async def heard(self, wanted: Callable[[dict[str, Any]], bool], deadline_s: float = 40.0) -> dict[str, Any]:
        """The first news that satisfies `wanted`, past or to come."""
        seen = 0
        async with asyncio.timeout(deadline_s):
            while True:
                for one in self.news[seen:]:
                    seen += 1
                    if wanted(one):
                        return one
                self._changed.clear()
                await self._changed.wait()

    async def end_of(self, backtest_id: str, deadline_s: float = 40.0) -> dict[str, Any]:
        return await self.heard(
            lambda one: one["backtestId"] == backtest_id and one["channel"] in TERMINAL_CHANNELS, deadline_s
        )

    def said_of(self, backtest_id: str) -> list[dict[str, Any]]:
        return [one for one in self.news if one["backtestId"] == backtest_id]

    def logs(self) -> str:
        """All that its workers have logged."""
        return "".join(path.read_text() for path in sorted(self.directory.glob("worker-*.log")))

    async def listen(self) -> None:
        async with self.bus.listen(*NEWS_CHANNELS) as heard:
            async for item in heard:
                if isinstance(item, Heard):
                    value = parse_json(item.payload)
                    assert isinstance(value, dict)
                    self.news.append(value | {"channel": Channel(item.channel)})
                self._changed.set()


@asynccontextmanager
async def fleet_on(settings: Settings, directory: Path, bars: int) -> AsyncIterator[Fleet]:
    """A fleet without workers and with `bars` bars of `SYMBOL`; all that it started is gone afterwards."""
    database = await Database.open(settings)
    bus = await Bus.open(settings)
    fleet = Fleet(settings, database, bus, database.candles, directory)
    listening = asyncio.create_task(fleet.listen())
    try:
        await fleet.candles.import_bars(SYMBOL, "1h", random_walk(bars), "synthetic")
        async with asyncio.timeout(10):
            await fleet._changed.wait()  # subscribed
        yield fleet
    finally:
        for worker in fleet.workers:
            worker.close()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await bus.close()
        await database.close()
