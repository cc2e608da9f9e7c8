"""The fleet as a whole: which workers there are, what waits, what runs, what has ended; for people and for /metrics.

What is the same for everybody is asked at most once in `FRESH_S`, however many ask, and each part within `PART_S`: a
part whose server does not answer is None, and the others are there all the same.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from api.auth import Identity
from api.kept import Kept, within_limit
from shared.bus import Bus
from shared.contracts import Channel, Progress
from shared.errors import InvalidRequest, StoreUnavailable
from shared.instants import iso_from_ms
from shared.lifecycle import TERMINAL, Status
from shared.overview import MINUTE_MS, Overview, Waiting
from shared.presence import WorkerPresence, read_presence
from shared.records import BacktestRecord
from shared.wire import decode

RUNS_MAX = 100
FAILURES_MAX = 20
ENDED_WINDOW_MS = 3_600_000
# The last progress stands among the newest entries of an event log, perhaps behind what was said in more detail.
_ENTRIES_LOOKED_AT = 20


@dataclass(frozen=True, slots=True)
class Load:
    """What the fleet has to do and who does it. None: its server did not answer."""

    workers: list[WorkerPresence] | None
    queue: list[Waiting] | None
    running: int | None
    paused: int | None


class Fleet:
    """What is known of it here. `load` never raises; `view` raises `StoreUnavailable`."""

    def __init__(self, overview: Overview, bus: Bus) -> None:
        self._overview = overview
        self._bus = bus
        self._workers: Kept[list[WorkerPresence]] = Kept()
        self._queue: Kept[list[Waiting]] = Kept()
        self._running: Kept[int] = Kept()
        self._paused: Kept[int] = Kept()
        self._ended: Kept[dict[Status, int]] = Kept()
        self._throughput: Kept[list[dict[str, Any]]] = Kept()

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01T00:00Z on MongoDB's clock."""
        return self._overview.now_ms()

    async def load(self) -> Load:
        workers, queue, running, paused = await asyncio.gather(
            self._workers.get(lambda: read_presence(self._bus)),
            self._queue.get(self._overview.queue),
            self._running.get(self._overview.running),
            self._paused.get(self._overview.paused),
        )
        return Load(workers, queue, running, paused)

    async def ended(self, since_ms: int, until_ms: int) -> dict[Status, int] | None:
        """How many ended between two instants; None where MongoDB does not answer in time."""
        return await within_limit(self._overview.ended(since_ms, until_ms))

    async def view(self, asker: Identity) -> dict[str, Any]:
        """What the asker may see: of runs and failures his own, an admin everybody's."""
        now_ms = self.now_ms()
        since_ms = now_ms - ENDED_WINDOW_MS
        of = None if asker.is_admin else asker.user_id
        load, ended, throughput, runs, failures = await asyncio.gather(
            self.load(),
            self._ended.get(lambda: self._overview.ended(since_ms, now_ms)),
            self._throughput.get(lambda: self._minutes(now_ms)),
            self._overview.runs(of, RUNS_MAX),
            self._overview.failures(of, since_ms, FAILURES_MAX),
        )
        if load.queue is None or load.running is None or load.paused is None or ended is None or throughput is None:
            raise StoreUnavailable("MongoDB did not answer in time")
        told = await self._progress_of([record["_id"] for record in runs])
        return {
            "time": iso_from_ms(now_ms),
            "workers": None if load.workers is None else [_worker_as_wire(one) for one in load.workers],
            "queue": [_waiting_as_wire(one, now_ms) for one in load.queue],
            "running": load.running,
            "paused": load.paused,
            "runs": [_run_as_wire(record, told.get(record["_id"])) for record in runs],
            "ended": {"since": iso_from_ms(since_ms), **{status.value: count for status, count in ended.items()}},
            "throughput": throughput,
            "failures": [_failure_as_wire(record) for record in failures],
        }

    async def _minutes(self, now_ms: int) -> list[dict[str, Any]]:
        """What ended in each minute of the last hour, as it is told; the last of them is still under way."""
        minutes = range(now_ms // MINUTE_MS - ENDED_WINDOW_MS // MINUTE_MS + 1, now_ms // MINUTE_MS + 1)
        found = await self._overview.ended_by_minute(minutes[0] * MINUTE_MS - 1, now_ms)
        none = dict.fromkeys(sorted(TERMINAL), 0)
        return [{"since": iso_from_ms(minute * MINUTE_MS), **found.get(minute * MINUTE_MS, none)} for minute in minutes]

    async def _progress_of(self, backtest_ids: list[str]) -> dict[str, Progress]:
        """What each said last of how far it is; nothing where Redis does not answer."""
        if not backtest_ids:
            return {}
        logs = await within_limit(self._bus.newest(backtest_ids, _ENTRIES_LOOKED_AT))
        found: dict[str, Progress] = {}
        for backtest_id, entries in zip(backtest_ids, logs or [], strict=False):
            said = next((one.payload for one in entries if one.channel is Channel.PROGRESS), None)
            if said is not None:
                try:
                    found[backtest_id] = decode(Progress, said)
                except InvalidRequest:
                    continue
        return found


def _worker_as_wire(one: WorkerPresence) -> dict[str, Any]:
    return {
        "id": one.worker_id,
        "host": one.host,
        "version": one.version,
        "slots": one.slots,
        "busy": one.busy,
        "draining": one.draining,
        "since": one.since,
        "lastSeen": one.last_seen,
    }


def _waiting_as_wire(one: Waiting, now_ms: int) -> dict[str, Any]:
    return {"priority": one.priority, "pending": one.pending, "oldestSeconds": age_s(one.oldest_at_ms, now_ms)}


def age_s(at_ms: int, now_ms: int) -> float:
    """Never negative: clocks of two processes may differ by a little."""
    return max(now_ms - at_ms, 0) / 1000


def _run_as_wire(record: BacktestRecord, told: Progress | None) -> dict[str, Any]:
    """Progress and speed as the run said them last; before it has said any, what its record knows."""
    of_this_run = told if told is not None and told.epoch == record["epoch"] else None
    return {
        "backtestId": record["_id"],
        "userId": record["userId"],
        "status": record["status"],
        "symbol": record["params"].get("symbol"),
        "interval": record["params"].get("interval"),
        "priority": record["priority"],
        "workerId": record["workerId"],
        "startedAt": iso_from_ms(record["startedAt"]),
        "progress": max(of_this_run.progress if of_this_run else 0.0, record["progress"]),
        "barsPerSecond": _bars_per_s(of_this_run) if of_this_run else None,
    }


def _bars_per_s(told: Progress) -> float | None:
    """A run says how many bars are left and how long they will take at its pace until now."""
    if not told.eta_seconds or told.total_bars is None or told.processed_bars is None:
        return None
    return round((told.total_bars - told.processed_bars) / told.eta_seconds, 1)


def _failure_as_wire(record: BacktestRecord) -> dict[str, Any]:
    error = record.get("error", {})
    return {
        "backtestId": record["_id"],
        "userId": record["userId"],
        "symbol": record["params"].get("symbol"),
        "at": iso_from_ms(record["completedAt"]),
        "code": error.get("code"),
        "message": error.get("message"),
    }
