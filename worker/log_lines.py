"""What is said through `logging` in an engine process, as data for who watches a run. It is still logged as ever."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager

from worker.pipe import LogLine

LINES_A_SECOND_MAX = 200
LINES_A_RUN_MAX = 10_000
MESSAGE_MAX_CHARS = 2_000
NAME_MAX_CHARS = 200

_FORMATTER = logging.Formatter()  # the message, and the traceback of an exception below it


class LogLines:
    """Keeps the lines of one run after the other until `take`: of each second the first `LINES_A_SECOND_MAX`, of each
    run the first `LINES_A_RUN_MAX`. The others are counted.
    """

    def __init__(self) -> None:
        self._lines: list[LogLine] = []
        self._dropped = 0
        self._second = 0
        self._left_of_second = self._left_of_run = 0
        self.begin_run()

    def begin_run(self) -> None:
        """Forgets what was heard of the run before."""
        self._lines, self._dropped = [], 0
        self._left_of_second, self._left_of_run = LINES_A_SECOND_MAX, LINES_A_RUN_MAX

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
        if int(record.created) != self._second:
            self._second, self._left_of_second = int(record.created), LINES_A_SECOND_MAX
        if not self._left_of_second or not self._left_of_run:
            self._dropped += 1
            return
        self._left_of_second -= 1
        self._left_of_run -= 1
        try:
            message = _FORMATTER.format(record)
        except (TypeError, ValueError, KeyError):  # arguments that do not fit: the handler that logs it says so
            message = str(record.msg)
        self._lines.append(
            LogLine(
                time_ms=int(record.created * 1000),
                level=_text(record.levelname),
                message=_text(message, MESSAGE_MAX_CHARS),
                module=_text(record.module),
                function=_text(record.funcName or ""),
                line=record.lineno,
                logger=_text(record.name),
            )
        )


def _text(words: str, most: int = NAME_MAX_CHARS) -> str:
    """Cut to a length, and such that it can be written: a string of Python's may hold half a character."""
    cut = words if len(words) <= most else words[: most - 3] + "..."
    return cut.encode(errors="replace").decode()
