"""Commands find the stack that runs here, tell one that has ended, and believe the environment more than either."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.errors import ConfigurationError
from shared.settings import load_settings
from shared.stack_file import (
    StackFile,
    find_settings,
    lock_directory,
    read_stack_file,
    running_in,
    settings_to_tell,
    write_private,
    write_stack_file,
)

SECRET = "a-secret-of-this-stack-alone-7fQ2xW"
URLS = {"mongodb_uri": "mongodb://127.0.0.1:20001", "redis_url": "redis://127.0.0.1:20002/0"}


def leave(directory: Path, **changes: object) -> StackFile:
    """What a stack in `directory` leaves, which this process would be."""
    directory.mkdir(exist_ok=True)
    write_private(directory / "jwt-secret", SECRET)
    given = load_settings(mongodb_database="mine", jwt_audience="us", trusted_proxies=("10.0.0.1",), port=8001)
    told = StackFile.model_validate(
        {
            "pid": os.getpid(),
            "urls": ["http://127.0.0.1:20003"],
            "ports": {"api-1": 20003},
            "settings": settings_to_tell(given, URLS),
            "jwt_secret_file": str(directory / "jwt-secret"),
        }
        | changes
    )
    write_stack_file(directory, told)
    return told


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".backfleet"


@pytest.fixture
def running(directory: Path) -> Iterator[Path]:
    lock = lock_directory(directory)
    leave(directory)
    yield directory
    os.close(lock)


def found(wanted: str = "mongodb_uri") -> tuple[dict[str, object], list[str]]:
    said: list[str] = []
    settings = find_settings(wanted, said.append)
    secret = settings.jwt_secret.get_secret_value() if settings.jwt_secret else None
    return {
        "mongodb_uri": settings.mongodb_uri.get_secret_value(),
        "redis_url": settings.redis_url.get_secret_value(),
        "database": settings.mongodb_database,
        "audience": settings.jwt_audience,
        "proxies": settings.trusted_proxies,
        "port": settings.port,
        "secret": secret,
    }, said


def test_a_running_stack_is_found_with_its_servers_settings_and_secret(running: Path) -> None:
    expected = {**URLS, "database": "mine", "audience": "us", "proxies": ("10.0.0.1",), "port": 8000, "secret": SECRET}
    assert found() == (expected, [])
    assert found("jwt_secret") == (expected, [])
    assert stat.S_IMODE((running / "stack.json").stat().st_mode) == 0o600
    assert SECRET not in (running / "stack.json").read_text()


def test_what_the_environment_names_counts(running: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKFLEET_MONGODB_DATABASE", "other")
    monkeypatch.setenv("BACKFLEET_JWT_SECRET", "x" * 40)
    settings, _ = found()
    assert (settings["database"], settings["secret"]) == ("other", "x" * 40)
    assert settings["mongodb_uri"] == URLS["mongodb_uri"]
    monkeypatch.setenv("BACKFLEET_MONGODB_URI", "mongodb://elsewhere")
    settings, said = found()
    assert (settings["mongodb_uri"], settings["redis_url"]) == ("mongodb://elsewhere", "redis://127.0.0.1:6379/0")
    assert said == []


def test_a_stack_that_has_ended_is_told_from_one_that_runs(directory: Path) -> None:
    assert found()[1] == [], "there never was one"
    leave(directory, pid=4711)
    settings, said = found()
    assert settings["mongodb_uri"] == "mongodb://127.0.0.1:27017"
    assert said == [
        f"the stack of {directory} (pid 4711) has ended; start it again with `make up`, or set BACKFLEET_MONGODB_URI"
    ]


def test_a_stack_that_is_only_starting_is_said_to(running: Path) -> None:
    leave(running, urls=[])
    with pytest.raises(ConfigurationError, match=rf"\(pid {os.getpid()}\) is starting; try again"):
        found()


def test_what_the_stacks_own_environment_named_must_be_named_again(running: Path) -> None:
    leave(running, settings={"redis_url": URLS["redis_url"]}, jwt_secret_file=None)
    with pytest.raises(ConfigurationError, match=r"was given BACKFLEET_MONGODB_URI; set it here, too"):
        found()
    with pytest.raises(ConfigurationError, match=r"was given BACKFLEET_JWT_SECRET; set it here, too"):
        found("jwt_secret")


def test_secrets_and_what_only_the_stack_needs_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKFLEET_MONGODB_URI", "mongodb://u:hidden@mongo")
    monkeypatch.setenv("BACKFLEET_JWT_SECRET", SECRET)
    monkeypatch.setenv("BACKFLEET_PORT", "8001")
    monkeypatch.setenv("BACKFLEET_LEASE_TTL_S", "40")
    told = settings_to_tell(load_settings(cache_dir=Path("cache")), {"redis_url": URLS["redis_url"]})
    assert told == {"redis_url": URLS["redis_url"], "lease_ttl_s": 40.0, "cache_dir": str(Path.cwd() / "cache")}


@pytest.mark.parametrize("text", ["", "{}", '{"pid": "x"}', "[]", "\xff"])
def test_a_file_that_cannot_be_read_is_refused_with_a_remedy(text: str, directory: Path) -> None:
    directory.mkdir()
    (directory / "stack.json").write_text(text, "latin-1")
    with pytest.raises(ConfigurationError, match=r"stack\.json cannot be read .*; remove it"):
        read_stack_file(directory)


def test_a_file_of_somebody_else_is_not_believed(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(directory)
    uid = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: uid + 1)
    with pytest.raises(ConfigurationError, match="somebody else's"):
        found()


def test_one_process_has_a_directory_and_looking_does_not_keep_it_from_the_next(directory: Path) -> None:
    assert running_in(directory) is None
    lock = lock_directory(directory)
    assert running_in(directory) == os.getpid()
    with pytest.raises(ConfigurationError, match=rf"another stack \(pid {os.getpid()}\) uses"):
        lock_directory(directory)
    os.close(lock)
    assert running_in(directory) is None
    os.close(lock_directory(directory))
