"""The lines of one run on their way: numbered, told to who watches, and stored for who reads them afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from typing import Any

from shared.errors import StoreUnavailable
from shared.instants import iso_from_ms
from shared.lifecycle import Lease
from shared.run_logs import BATCH_MAX, LoggedLine, RunLogs
from worker.log_lines import LINES_A_RUN_MAX, LINES_A_SECOND_MAX
from worker.pipe import LogLine

log = logging.getLogger(__name__)

TELL_EVERY_S = 0.1
TOLD_MAX = LINES_A_SECOND_MAX  # of one event
_STORE_EVERY_S = 1.0
_LAST_TRIES = 3


class RunLog:
    """`hear` lines as steps bring them; `untold` is what watchers are told. They are stored beside the run."""

    def __init__(self, lease: Lease, logs: RunLogs) -> None:
        self._lease = lease
        self._logs = logs
        self._number = 0
        self._dropped = 0  # in all
        self._untold: list[dict[str, Any]] = []
        self._untold_dropped = 0
        self._told_s = self._stored_s = float("-inf")
        self._waiting: list[LoggedLine] = []
        self._batch: list[LoggedLine] = []  # on its way: tried as it was, until it is known to be stored
        self._begun = lease.epoch == 1
        self._storing: asyncio.Task[None] | None = None

    async def begin(self, bar: int) -> None:
        """Goes on after the lines of earlier runs until this bar. Where the store is away, they are numbered anew."""
        if not self._begun:
            self._begun = True
            try:
                self._number = await self._logs.begin(self._lease, bar)
            except StoreUnavailable as error:
                log.warning("%s: its log begins anew: %s", self._lease.backtest_id, error.message)

    def hear(self, lines: Sequence[LogLine], dropped: int, bar: int) -> None:
        """What was logged in a step that came to this bar, and how many lines more."""
        kept = lines[: max(0, LINES_A_RUN_MAX - self._number)]
        dropped += len(lines) - len(kept)
        self._dropped += dropped
        self._untold_dropped += dropped
        for one in kept:
            self._add(one, bar)

    def last_word(self, bar: int) -> None:
        """One line more, which says how many were dropped, if any were."""
        if self._dropped:
            said = (
                f"{self._dropped} lines were dropped: {LINES_A_SECOND_MAX} a second are kept, {LINES_A_RUN_MAX} in all"
            )
            line = LogLine(time.time_ns() // 1_000_000, "WARNING", said, __name__, "last_word", 0, "backfleet")
            self._add(line, bar)
            self._dropped = 0

    def untold(self, *, now_s: float | None = None) -> list[tuple[list[dict[str, Any]], int]]:
        """Lines that watchers were not told yet, a batch for each event, and with the first how many were dropped.

        None where `now_s`, on the monotonic clock, is too soon after the last time; without it, whatever there is.
        """
        if not (self._untold or self._untold_dropped) or (now_s is not None and now_s - self._told_s < TELL_EVERY_S):
            return []
        lines, dropped = self._untold, self._untold_dropped
        self._untold, self._untold_dropped, self._told_s = [], 0, now_s or self._told_s
        starts = range(0, max(1, len(lines)), TOLD_MAX)
        return [(lines[begin : begin + TOLD_MAX], 0 if begin else dropped) for begin in starts]

    def forget_untold(self) -> None:
        """Nobody watches: whoever comes later reads what is stored."""
        self._untold, self._untold_dropped = [], 0

    def store(self) -> None:
        """Stores what waits, beside the run and not too often."""
        due = (self._waiting or self._batch) and time.monotonic() - self._stored_s >= _STORE_EVERY_S
        if due and (self._storing is None or self._storing.done()):
            self._storing = asyncio.create_task(self._store_all(1))

    async def settle(self) -> None:
        """Until all is stored, or the store has been away several times."""
        if self._storing is not None:
            await asyncio.wait([self._storing])
        if self._waiting or self._batch:
            await self._store_all(_LAST_TRIES)
        if lost := len(self._waiting) + len(self._batch):
            log.warning("%s: %d lines of its log are lost", self._lease.backtest_id, lost)

    def _add(self, line: LogLine, bar: int) -> None:
        self._number += 1
        entry = {
            "number": self._number,
            "timestamp": iso_from_ms(line.time_ms),
            "level": line.level,
            "message": line.message,
            "module": line.module,
            "function": line.function,
            "line": line.line,
            "loggerName": line.logger,
        }
        self._untold.append(entry)
        self._waiting.append(LoggedLine(bar, entry))

    async def _store_all(self, tries: int) -> None:
        self._stored_s = time.monotonic()
        for _ in range(tries):
            with contextlib.suppress(StoreUnavailable):
                while self._waiting or self._batch:
                    if not self._batch:
                        self._batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
                    await self._logs.add(self._lease, self._batch)
                    self._batch = []
                return
