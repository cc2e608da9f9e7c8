"""What is said through `logging` in an engine process, as data for who watches a run. It is still logged as ever."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager

from worker.pipe import LogLine

LINES_MAX = 1_000  # of one answer
MESSAGE_MAX_CHARS = 2_000

_FORMATTER = logging.Formatter()  # the message, and the traceback of an exception below it


class LogLines:
    """Keeps the first `LINES_MAX` lines since `take`, and counts the others."""

    def __init__(self) -> None:
        self._lines: list[LogLine] = []
        self._dropped = 0

    @contextmanager
    def listening(self) -> Generator[None]:
        """While inside, every line of level INFO or above is heard.

        Where a record is made is before all handlers: who has set up `logging` in a way of their own finds it so, and
        who has not still sees warnings on stderr.
        """
        root, make = logging.getLogger(), logging.getLogRecordFactory()
        level = root.level

        def make_and_hear(*arguments: object, **named: object) -> logging.LogRecord:
            record = make(*arguments, **named)
            self._hear(record)
            return record

        logging.setLogRecordFactory(make_and_hear)
        if level == logging.WARNING:  # nobody has chosen one
            root.setLevel(logging.INFO)
        try:
            yield
        finally:
            logging.setLogRecordFactory(make)
            root.setLevel(level)

    def take(self) -> tuple[tuple[LogLine, ...], int]:
        """The lines heard since it was last asked, and how many more there were."""
        taken = tuple(self._lines), self._dropped
        self._lines, self._dropped = [], 0
        return taken

    def _hear(self, record: logging.LogRecord) -> None:
        if len(self._lines) >= LINES_MAX:
            self._dropped += 1
            return
        try:
            message = _FORMATTER.format(record)
        except (TypeError, ValueError, KeyError):  # arguments that do not fit: the handler that logs it says so
            message = str(record.msg)
        self._lines.append(
            LogLine(
                time_ms=int(record.created * 1000),
                level=record.levelname,
                message=message if len(message) <= MESSAGE_MAX_CHARS else message[: MESSAGE_MAX_CHARS - 3] + "...",
                module=record.module,
                function=record.funcName or "",
                line=record.lineno,
                logger=record.name,
            )
        )
