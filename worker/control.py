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
from shared.records import BacktestRecord
from shared.wire import validate

log = logging.getLogger(__name__)


class Mailbox:
    """Of one run. `rung` is set when somebody says that there is post, `filled` when there is some to `take`, or when
    the run is asked to leave, at the next bar where it can be taken up again. `draining`: it may end here, but should
    begin nothing that takes long."""

    def __init__(self, record: BacktestRecord) -> None:
        self._newest_seq = self._heard_seq = self._done_seq = record.get("controlDone", 0)
        self._waiting: list[Control] = []
        self._watched = False
        self._looked_seq = 0
        self.draining = False
        self.leaving = False
        self.rung = asyncio.Event()
        self.filled = asyncio.Event()
        self.deliver(record)

    def deliver(self, record: BacktestRecord) -> None:
        """Takes from the record what has not been delivered before."""
        self._done_seq = record.get("controlDone", 0)
        self._looked_seq = record.get("controlSeq", 0)
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

    def watch(self) -> None:
        """Somebody has begun to watch the run."""
        self._watched = True
        self.filled.set()

    def take_watched(self) -> bool:
        """Whether somebody has begun to since the last call."""
        watched, self._watched = self._watched, False
        return watched

    def take(self) -> list[Control]:
        """What has come since the last call, in order. Each is `heard` when it is part of what the run is about."""
        taken, self._waiting = self._waiting, []
        self.filled.clear()
        return taken

    def heard(self, control: Control) -> None:
        self._heard_seq = control.seq or self._heard_seq

    def leave(self) -> None:
        self.leaving = True
        self.filled.set()

    @property
    def looked_seq(self) -> int:
        """The last command that the record had when it was looked at, be it one that can be read or not."""
        return self._looked_seq

    @property
    def news_of_done(self) -> int:
        """The last command that was heard, where the record does not know it yet; else 0."""
        return self._heard_seq if self._heard_seq > self._done_seq else 0


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

    def watch(self, backtest_id: str) -> None:
        """Somebody has begun to watch a run, if it is here."""
        if (box := self._boxes.get(backtest_id)) is not None:
            box.watch()

    def drain(self) -> None:
        """The worker is to end soon."""
        for box in self._boxes.values():
            box.draining = True

    def leave_all(self) -> None:
        """No run is to go on here."""
        for box in self._boxes.values():
            box.leave()

    def ring_all(self) -> None:
        """Messages may have been missed: look everywhere."""
        for box in self._boxes.values():
            box.rung.set()
