"""A run's mailbox: what was asked of it, each command once and in order, whichever way the news of it came.

The record is the truth. Each renewal of the lease brings it, which is sure; a message on `backtest:control` makes the
lease be renewed at once, which is fast. So nothing of a message is believed but that it is worth looking, and one that
Redis lost costs a heartbeat.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Generator

from shared.controls import Control
from shared.errors import InvalidRequest
from shared.playback import Command, Pause, Resume, Seek, Speed, Step, Stop
from shared.records import BacktestRecord
from shared.wire import validate

log = logging.getLogger(__name__)


class Mailbox:
    """Of one run. `rung` is set when somebody says that there is post, `filled` when there is some to `take`, `watched`
    when somebody begins to watch the run."""

    def __init__(self, record: BacktestRecord) -> None:
        self._newest_seq = self._taken_seq = self._done_seq = record.get("controlDone", 0)
        self._waiting: list[Control] = []
        self.rung = asyncio.Event()
        self.filled = asyncio.Event()
        self.watched = asyncio.Event()
        self.deliver(record)

    def deliver(self, record: BacktestRecord) -> None:
        """Takes from the record what has not been delivered before."""
        self._done_seq = record.get("controlDone", 0)
        for document in record.get("controls", []):
            try:
                control = validate(Control, document)
            except InvalidRequest as error:
                # Whoever stored it is of another version: it must not end the run, nor keep what comes after it away.
                log.error("%s: a command that cannot be read is passed over: %s", record["_id"], error.message)
                continue
            if control.seq is None or control.action == "watch":
                continue  # No gateway of ours stores such.
            if control.seq > self._newest_seq:
                self._newest_seq = control.seq
                self._waiting.append(control)
        if self._waiting:
            self.filled.set()

    def take(self) -> list[Control]:
        """What has come since the last call, in order."""
        taken, self._waiting = self._waiting, []
        self.filled.clear()
        self._taken_seq = self._newest_seq
        return taken

    @property
    def news_of_done(self) -> int:
        """The last command that was taken, where the record does not know it yet; else 0."""
        return self._taken_seq if self._taken_seq > self._done_seq else 0


class Mailboxes:
    """Of all runs of this worker, by backtest."""

    def __init__(self) -> None:
        self._boxes: dict[str, Mailbox] = {}

    @contextlib.contextmanager
    def open(self, record: BacktestRecord) -> Generator[Mailbox]:
        """A mailbox for as long as the block lasts."""
        box = self._boxes[record["_id"]] = Mailbox(record)
        try:
            yield box
        finally:
            if self._boxes.get(record["_id"]) is box:  # Else a later run of the same backtest is here already.
                del self._boxes[record["_id"]]

    def ring(self, backtest_id: str) -> None:
        """There is post for a run, if it is here."""
        if (box := self._boxes.get(backtest_id)) is not None:
            box.rung.set()

    def ring_watch(self, backtest_id: str) -> None:
        """Somebody watches a run from now on, if it is here."""
        if (box := self._boxes.get(backtest_id)) is not None:
            box.watched.set()

    def ring_all(self) -> None:
        """Messages may have been missed: look everywhere."""
        for box in self._boxes.values():
            box.rung.set()


def command_of(control: Control) -> Command:
    """The command as the run understands it."""
    match control.action:
        case "pause":
            return Pause()
        case "resume":
            return Resume()
        case "stop":
            return Stop(control.close_open_trades)
        case "speed":
            return Speed(None if control.speed == "max" else control.speed)
        case "step":
            return Step(control.bars)
        case "seek":
            return Seek(control.bar or 0)
        case "watch":
            raise AssertionError("somebody who watches asks nothing of the run")
