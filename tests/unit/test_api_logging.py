import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from shared import observability
from shared.observability import RareWarning, configure_logging
from shared.settings import load_settings

SECRET = "kXq5v0Zc8mWn2RtY7uHs4LdPf9Jg1Ea6Bw3TiOyQ"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.abc_DEF-123"


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    """The loggers are afterwards as they were."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in observability._CHATTY}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, old in levels.items():
        logging.getLogger(name).setLevel(old)


def log_something(**changes: Any) -> None:
    configure_logging(load_settings(jwt_secret=SECRET, **changes))
    log = logging.getLogger("some.module")
    log.info("connect to redis://bob:hunter2@db:6379/0 with %s, Bearer %s", SECRET, TOKEN)
    log.debug("a detail")
    try:
        raise ValueError(f"mongodb://root:hunter2@db/ {TOKEN}")
    except ValueError:
        log.exception("it broke")


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_is_ever_logged(capsys: pytest.CaptureFixture[str], form: str) -> None:
    log_something(log_format=form)
    said = capsys.readouterr().err
    for secret in (SECRET, TOKEN, "hunter2"):
        assert secret not in said
    assert "redis://bob:***@db:6379/0" in said


def test_json_lines_are_one_object_each_with_the_exception_inside(capsys: pytest.CaptureFixture[str]) -> None:
    log_something(log_format="json")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["level"] for line in lines] == ["INFO", "ERROR"]
    assert lines[0]["timestamp"].endswith("Z")
    assert lines[1]["logger"] == "some.module"
    assert "ValueError" in lines[1]["exception"]


def test_the_level_of_the_settings_decides_what_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    log_something(log_level="DEBUG")
    assert "DEBUG    some.module: a detail" in capsys.readouterr().err
    log_something(log_level="ERROR")
    said = capsys.readouterr().err
    assert "INFO" not in said
    assert "it broke" in said


def test_a_library_that_logs_every_packet_is_kept_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(load_settings(log_level="DEBUG"))
    logging.getLogger("engineio.server").info("received packet with a token")
    logging.getLogger("engineio.server").warning("it broke")
    said = capsys.readouterr().err
    assert "token" not in said
    assert "it broke" in said


def test_a_rare_warning_says_how_often_it_kept_silent(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now_s = 100.0
    monkeypatch.setattr("shared.observability.time.monotonic", lambda: now_s)
    warn = RareWarning(logging.getLogger("rare"), interval_s=10)
    for _ in range(5):
        warn("garbage")
    now_s += 10
    warn("garbage")
    assert [one.getMessage() for one in caplog.records] == ["garbage", "garbage (and 4 more like it)"]


def test_what_seals_keys_is_in_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    secrets = ["c2VjcmV0LWZvci10ZXN0cy0wMTIzNDU2Nzg5YWJjZGU=", "YW5vdGhlci1mb3ItdGVzdHMtMDEyMzQ1Njc4OWFiY2Q="]
    configure_logging(load_settings(key_secrets=",".join(secrets)))
    for secret in secrets:
        logging.getLogger("some.module").warning("sealed with %s", secret)
    said = capsys.readouterr().err
    assert said.count("sealed with ***") == 2


def test_a_line_of_a_log_is_one_line_and_moves_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("text", "json"):
        configure_logging(load_settings(log_format=form))
        logging.getLogger("some.module").warning("red\x1b[31m\x9b2J\x07\u202e and\r\n2026-01-01 forged")
        said = capsys.readouterr().err
        assert said.endswith("forged" + ("\n" if form == "text" else '"}\n'))
        assert (said.count("\n"), [one for one in said if ord(one) < 32 and one != "\n"]) == (1, [])
        assert not {"\x9b", "\u202e"} & set(said)
    configure_logging(load_settings())
    try:
        raise ValueError("broken\x1b[31m\nhere")
    except ValueError:
        logging.getLogger("some.module").exception("it failed")
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert said.count("\n") > 3, "a traceback keeps its lines"
