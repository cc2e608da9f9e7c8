"""That a worker is there: what each says of itself every few seconds.

It is kept in Redis, because it is worth nothing a moment later: a write costs MongoDB nothing, a worker that dies is
gone when Redis lets its word expire, and when all of it is lost every worker says it again within its interval. Nothing
depends on it: who may write a record is a matter of its lease alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from shared.bus import Bus
from shared.contracts import USER_PATTERN
from shared.errors import InvalidRequest
from shared.settings import Settings
from shared.wire import Wire, decode

_INTERVAL_MAX_S = 5.0
_SILENT_INTERVALS = 3
_LATE_S = 1.0


class WorkerPresence(Wire):
    """What a worker says of itself: `busy` of its `slots` run a backtest. Instants are those of MongoDB's clock."""

    worker_id: str = Field(pattern=USER_PATTERN)
    host: str
    version: str
    slots: int = Field(ge=0)
    busy: int = Field(ge=0)
    draining: bool
    since: str
    last_seen: str


def presence_interval_s(settings: Settings) -> float:
    """How often a worker says that it is there."""
    return min(settings.sweep_interval_s, _INTERVAL_MAX_S)


def presence_ttl_s(settings: Settings) -> float:
    """How long after its last word a worker is taken for gone."""
    return _SILENT_INTERVALS * presence_interval_s(settings) + _LATE_S


async def write_presence(bus: Bus, one: WorkerPresence, ttl_s: float) -> None:
    """Raises `BusUnavailable`."""
    await bus.keep_present(one.worker_id, one.as_json(), int(ttl_s * 1000))


async def read_presence(bus: Bus) -> list[WorkerPresence]:
    """Every worker that is there, by id. What is not one of ours is left out. Raises `BusUnavailable`."""
    return sorted(_readable(await bus.present()), key=lambda one: one.worker_id)


def _readable(texts: Sequence[str]) -> list[WorkerPresence]:
    found: list[WorkerPresence] = []
    for text in texts:
        try:
            found.append(decode(WorkerPresence, text))
        except InvalidRequest:
            continue  # of another version: it is counted again when it says what we know
    return found
