"""What a process says about itself: log lines on stderr, as text or as one JSON object a line, never with a secret."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from datetime import UTC, datetime

from shared.instants import iso
from shared.settings import Settings

_TOKEN = re.compile(r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_URL_PASSWORD = re.compile(r"(?<=://)([^\s:/@]*):([^\s@]+)@")
# What moves a terminal's cursor, or turns around what is read: log lines hold words of users and of models.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_CHATTY = ("pymongo", "asyncio", "socketio.server", "engineio.server", "numba", "openai", "httpx2", "httpcore2")
WARNING_INTERVAL_S = 10.0


class Redaction:
    """Takes tokens, passwords in URLs and the process's own secrets out of a text."""

    def __init__(self, settings: Settings) -> None:
        secrets = (settings.jwt_secret, settings.metrics_token)
        self._secrets = (*(one.get_secret_value() for one in secrets if one), *settings.sealing_secrets)

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        if "eyJ" in text:
            text = _TOKEN.sub("***", text)
        if "://" in text:
            text = _URL_PASSWORD.sub(r"\1:***@", text)
        return text


def _escaped(text: str) -> str:
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.123Z INFO     api.app: message`"""

    def __init__(self, redact: Redaction) -> None:
        super().__init__("%(asctime)s %(levelname)-8s %(name)s: %(message)s")
        self._redact = redact

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return _instant(record)

    def format(self, record: logging.LogRecord) -> str:
        return _escaped(self._redact(super().format(record)))

    def formatMessage(self, record: logging.LogRecord) -> str:
        """A message is one line, lest it forges another; the traceback of an exception below it has its own."""
        return super().formatMessage(record).replace("\n", "\\n")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `timestamp`, `level`, `logger`, `message`, and `exception` where there is one."""

    def __init__(self, redact: Redaction) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "timestamp": _instant(record),
            "level": record.levelname,
            "logger": record.name,
            "message": _escaped(self._redact(record.getMessage())),
        }
        if record.exc_info:
            line["exception"] = _escaped(self._redact(self.formatException(record.exc_info)))
        return json.dumps(line, ensure_ascii=False)


def _instant(record: logging.LogRecord) -> str:
    return iso(datetime.fromtimestamp(record.created, UTC))


def configure_logging(settings: Settings) -> None:
    """Sends every logger of this process to stderr in the form and from the level that the settings name."""
    redact = Redaction(settings)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(redact) if settings.log_format == "json" else TextFormatter(redact))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings.log_level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


class RareWarning:
    """Warns at most once in `WARNING_INTERVAL_S`, and says then how often it kept silent.

    For what a stranger can cause at any rate, such as malformed messages on a channel.
    """

    def __init__(self, logger: logging.Logger, interval_s: float = WARNING_INTERVAL_S) -> None:
        self._logger = logger
        self._interval_s = interval_s
        self._next_s = 0.0
        self._silent = 0

    def __call__(self, message: str) -> None:
        now_s = time.monotonic()
        if now_s < self._next_s:
            self._silent += 1
            return
        also = f" (and {self._silent} more like it)" if self._silent else ""
        self._logger.warning("%s%s", message, also)
        self._next_s = now_s + self._interval_s
        self._silent = 0
