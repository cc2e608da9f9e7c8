"""The program that started this one: the lines it writes and reads, and its signals. No run waits for it, and what it
leaves unread or writes too much of is bounded."""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterable
from queue import Empty, Queue, SimpleQueue
from types import FrameType
from typing import Any, Self

from shared.errors import ConfigurationError

LINE_MAX_BYTES = 64 * 1024
# Commands that were read and not looked at: whoever writes more has to wait.
LINES_MAX = 100
# How long whoever ends a run by a signal may take to read its last line.
LAST_WAIT_S = 2.0
_READ_BYTES = 64 * 1024
_POLL_MS = 1_000


class SignalledEarly(KeyboardInterrupt):
    """The end was asked for before there was anything to end."""


class Signals:
    """SIGTERM and SIGINT: the first asks for the end, the second is as deadly as ever."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.number_s = 0.0  # when it came
        self._inbox: Inbox | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._hear)

    def hand_to(self, inbox: Inbox) -> None:
        """From now on there is a run that ends in its own time; before, what is being prepared is given up at once."""
        self._inbox = inbox

    def _hear(self, number: int, _: FrameType | None) -> None:
        self.number, self.number_s = number, time.monotonic()
        for one in (signal.SIGTERM, signal.SIGINT):
            signal.signal(one, signal.SIG_DFL)
        if self._inbox is None:
            raise SignalledEarly
        self._inbox.wake()


class Inbox:
    """Lines of what the parent writes, which a thread of its own reads, and whatever else the run should wake up for.

    A line is None where it was too long. `ended` says that no more will come.
    """

    def __init__(self) -> None:
        self._lines: Queue[bytes | None] = Queue(LINES_MAX)
        self._wakes: SimpleQueue[None] = SimpleQueue()
        self._exhausted = False

    @property
    def ended(self) -> bool:
        return self._exhausted and self._lines.empty()

    def read_from(self, source: int | None) -> None:
        """Begins to read that file; None: there is none, so that it has ended."""
        if source is None:
            self._exhausted = True
        else:
            threading.Thread(target=self._read, args=(source,), daemon=True, name="stdin").start()

    def wake(self) -> None:
        """Ends a wait that is under way, or the next one. Signal handlers may call it."""
        self._wakes.put(None)

    def wait(self, until_s: float | None) -> None:
        """Until there may be something new, at most until then on the monotonic clock. Whoever looked at everything
        since the last `settle` misses nothing."""
        try:
            self._wakes.get(timeout=None if until_s is None else max(0.0, until_s - time.monotonic()))
        except Empty:
            return

    def settle(self) -> None:
        """Forgets what it was woken up for: all that there is, is looked at now."""
        try:
            while True:
                self._wakes.get_nowait()
        except Empty:
            return

    def take(self, most: int) -> list[bytes | None]:
        """So many lines at most of those that are there."""
        taken: list[bytes | None] = []
        try:
            while len(taken) < most:
                taken.append(self._lines.get_nowait())
        except Empty:
            pass
        return taken

    def _read(self, source: int) -> None:
        begun, too_long = b"", False
        while data := _read_some(source):
            *whole, begun = (begun + data).split(b"\n")
            for line in whole:
                self._put(None if too_long or len(line) > LINE_MAX_BYTES else line)
                too_long = False
            if len(begun) > LINE_MAX_BYTES:
                begun, too_long = b"", True
        if begun or too_long:
            self._put(None if too_long else begun)
        self._exhausted = True
        self.wake()

    def _put(self, line: bytes | None) -> None:
        if line is None or line.strip():
            self._lines.put(line)
            self.wake()


class Outlet:
    """Lines for the parent, which a thread of its own writes. While it is not `idle` the parent is behind: whoever has
    news that can wait keeps them, so that what is written next is the newest."""

    def __init__(self, target: int, inbox: Inbox) -> None:
        self._target = target
        self._inbox = inbox
        self._batches: SimpleQueue[bytes] = SimpleQueue()
        self._given = self._written = 0
        self.given_s = 0.0  # when it was given something last
        self.broken = False  # nobody will read any more
        threading.Thread(target=self._write, daemon=True, name="stdout").start()

    @property
    def idle(self) -> bool:
        return self._given == self._written

    def write(self, lines: Iterable[dict[str, Any]]) -> None:
        from pydantic_core import to_json

        self._given, self.given_s = self._given + 1, time.monotonic()
        self._batches.put(b"".join(to_json(line, inf_nan_mode="null") + b"\n" for line in lines))

    def _write(self) -> None:
        try:
            while True:
                left = memoryview(self._batches.get())
                while left:
                    left = left[_write_some(self._target, left) :]
                self._written += 1
                self._inbox.wake()
        except OSError:
            self.broken = True
            self._inbox.wake()


class Parent:
    """All three. `reads` says whether commands are read."""

    def __init__(self, source: int | None, target: int, *, reads: bool) -> None:
        self.inbox = Inbox()
        self.signals = Signals()
        self.outlet = Outlet(target, self.inbox)
        self._source = source
        self._reads = reads

    @classmethod
    def meet(cls, *, reads: bool) -> Self:
        """Takes stdin and stdout for this program alone: whatever else is printed, by a strategy or a library, goes to
        stderr, and nobody else reads what the parent writes. Raises `ConfigurationError` without a stdout."""
        if sys.stdout is None:
            raise ConfigurationError("stdout is closed, and states are told there; open it")
        nothing = os.open(os.devnull, os.O_RDWR)
        source = None if sys.stdin is None else os.dup(0)
        os.dup2(nothing, 0)
        target = os.dup(1)
        os.dup2(nothing if sys.stderr is None else 2, 1)
        os.close(nothing)
        return cls(source, target, reads=reads)

    def is_heard(self) -> None:
        """From now on: there is a run that obeys."""
        self.signals.hand_to(self.inbox)
        if self._reads:
            self._reads = False
            self.inbox.read_from(self._source)

    def wait_until_read(self) -> bool:
        """Until all that was told is written, or will never be: whether it is, as far as anybody reads.

        Takes as long as the parent does, and after a signal `LAST_WAIT_S` at most.
        """
        while not (self.outlet.idle or self.outlet.broken):
            self.inbox.settle()
            until_s = None
            if self.signals.number is not None:
                until_s = max(self.signals.number_s, self.outlet.given_s) + LAST_WAIT_S
                if time.monotonic() >= until_s:
                    return False
            if not (self.outlet.idle or self.outlet.broken):
                self.inbox.wait(until_s)
        return True


def _read_some(source: int) -> bytes:
    """What there is, as soon as there is something; nothing at its end."""
    while True:
        try:
            return os.read(source, _READ_BYTES)
        except BlockingIOError:
            _poll(source, select.POLLIN)
        except OSError as error:
            if error.errno != errno.EINTR:
                return b""  # A terminal that is gone.


def _write_some(target: int, data: memoryview) -> int:
    while True:
        try:
            return os.write(target, data)
        except BlockingIOError:  # The parent set it so, or whoever shares the file with us.
            _poll(target, select.POLLOUT)


def _poll(file: int, event: int) -> None:
    poll = select.poll()
    poll.register(file, event)
    poll.poll(_POLL_MS)
