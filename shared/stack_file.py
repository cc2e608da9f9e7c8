"""What an embedded stack leaves in its directory for whoever looks for it: where it answers, where its secret lies.

The file stays when its stack ends, so that the next one in the directory takes the same ports. Whether a stack runs is
told by the lock beside it, which the kernel gives back however the process ends.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import JsonValue, SecretStr

from shared.errors import ConfigurationError, InvalidRequest
from shared.settings import PREFIX, Settings, load_settings
from shared.wire import Wire, decode

LOCK_WAIT_S = 0.5
_NAME = "stack.json"
_LOCK = "lock"
_SECRET = "jwt-secret"
# Of no use to whoever finds the stack.
_OF_THE_STACK_ALONE = frozenset({"host", "port", "stack_dir", "redis_server", "drain_timeout_s", "worker_slots", "url"})


class StackFile(Wire):
    """Who keeps the stack; its gateways, none while it starts; the port of each process; its settings, none secret.

    `jwt_secret_file` is None where the environment named the secret, which then stands in no file.
    """

    pid: int
    urls: list[str]
    ports: dict[str, int]
    settings: dict[str, JsonValue]
    jwt_secret_file: str | None = None


def settings_to_tell(settings: Settings, ours: dict[str, str]) -> dict[str, Any]:
    """Those that `settings` names and that are no secrets, and `ours`: the URLs of servers without a password."""
    secret = {name for name in Settings.model_fields if isinstance(getattr(settings, name), SecretStr)}
    named = settings.model_fields_set - secret - _OF_THE_STACK_ALONE
    told = settings.model_dump(mode="json", include=named)
    paths = {name: value for name in named if isinstance(value := getattr(settings, name), Path)}
    return told | {name: str(path.absolute()) for name, path in paths.items()} | ours


def write_stack_file(directory: Path, told: StackFile) -> None:
    """Whole or not at all, readable by its owner only."""
    write_private(directory / _NAME, told.as_json())


def read_stack_file(directory: Path) -> StackFile | None:
    """What the last stack there left, running or not; None where there was none.

    Raises `ConfigurationError` for a file that is somebody else's or cannot be understood.
    """
    path = directory / _NAME
    try:
        if path.stat().st_uid != os.getuid():
            raise ConfigurationError(f"{path} is somebody else's and is not believed; name the servers in {PREFIX}…")
        return decode(StackFile, path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, InvalidRequest) as error:
        raise ConfigurationError(f"{path} cannot be read ({error}); remove it, or start its stack again") from None


def write_private(path: Path, text: str) -> None:
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    unfinished.replace(path)


def secret_path(directory: Path) -> Path:
    return directory / _SECRET


def lock_directory(directory: Path) -> int:
    """Takes the directory for this process until it closes what is returned, or ends.

    Raises `ConfigurationError` naming the process that has it. Waits a moment before, because those who only look take
    the lock, too, for less than that.
    """
    import fcntl  # Where there is none, there are no stacks.

    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    until_s = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() < until_s:
                time.sleep(LOCK_WAIT_S / 50)
                continue
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise ConfigurationError(
            f"another stack (pid {holder}) uses {directory}: stop it, or set BACKFLEET_STACK_DIR to another directory"
        )
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def running_in(directory: Path) -> int | None:
    """The process that keeps a stack there now; None where none does."""
    import fcntl

    try:
        lock = os.open(directory / _LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.pread(lock, 32, 0).strip() or 0)
    finally:
        os.close(lock)
    return None


def running_stack(directory: Path, mend: str, say: Callable[[str], None]) -> StackFile | None:
    """What the stack that runs in `directory` has told; None where none does.

    One that has ended is mentioned to `say`, with `mend`, what else there is to do about it. Raises
    `ConfigurationError` for one that is only starting.
    """
    told = read_stack_file(directory)
    if told is None:
        return None
    keeper = running_in(directory)
    if keeper is None:
        say(f"the stack of {directory} (pid {told.pid}) has ended; start it again with `make up`, or {mend}")
        return None
    if not told.urls:
        raise ConfigurationError(f"the stack of {directory} (pid {keeper}) is starting; try again once it is up")
    return told


def find_settings(wanted: str, say: Callable[[str], None]) -> Settings:
    """The settings of the environment; where it does not name `wanted`, those of the stack that runs in `stack_dir`.

    What the environment names counts in either case. Where the stack of the directory has ended, `say` is told so, and
    the settings are those of the environment. Raises `ConfigurationError` for a stack that is only starting, and for
    one whose own environment named what is `wanted`.
    """
    settings = load_settings()
    if wanted in settings.model_fields_set:
        return settings
    directory = settings.stack_dir.absolute()
    variable = PREFIX + wanted.upper()
    told = running_stack(directory, f"set {variable}", say)
    if told is None:
        return settings
    found = _settings_with(settings, told)
    if wanted not in found.model_fields_set and not (wanted == "jwt_secret" and found.jwt_jwks_url):
        raise ConfigurationError(f"the stack that runs in {directory} was given {variable}; set it here, too")
    return found


def _settings_with(settings: Settings, told: StackFile) -> Settings:
    more: dict[str, Any] = {name: told.settings[name] for name in told.settings.keys() - settings.model_fields_set}
    if told.jwt_secret_file is not None and not settings.model_fields_set & {"jwt_secret", "jwt_jwks_url"}:
        try:
            more["jwt_secret"] = Path(told.jwt_secret_file).read_text().strip()
        except OSError as error:
            raise ConfigurationError(f"the secret of the running stack: {error}") from None
    return load_settings(**more)
