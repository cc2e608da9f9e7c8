"""The `backfleet` command, as a person runs it."""

import asyncio
import os
import pty
import sys
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest

from api.passwords import Passwords
from shared.database import Database
from shared.settings import Settings, environment_for_child
from tests import forks
from tests.conftest import JWT_SECRET
from tests.fleet import HOUR_MS, random_walk, write_bars

MakeSettings = Callable[..., Settings]
ROOT = Path(__file__).parents[2]
CSV = """time,open,high,low,close,volume
2024-01-01T00:00:00Z,100,110,90,105,5
2024-01-01T01:00:00Z,105,111,95,106,6
2024-01-01T02:00:00Z,106,112,96,107,7
"""

# The command, with a bar that does not wait a second for an import that is long enough.
WITHOUT_WAITING = """
import sys
import api.cli
from deploy.cli import main

api.cli.BAR_AFTER_S = 0.0
sys.exit(main(sys.argv[1:]))
"""


async def run(settings: Settings, *arguments: str) -> tuple[int, str, str]:
    return await typing(settings, "", *arguments)


async def typing(settings: Settings, typed: str, *arguments: str) -> tuple[int, str, str]:
    command = ["-m", "deploy.cli", *arguments]
    done = await asyncio.to_thread(forks.run, command, env=environment_for_child(settings), typed=typed)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def nowhere(make_settings: MakeSettings) -> Settings:
    """Settings whose servers do not exist."""
    return make_settings(
        mongodb_uri="mongodb://127.0.0.1:1",
        mongodb_database="x",
        redis_url="redis://127.0.0.1:1",
        store_timeout_s=0.2,
    )


async def test_a_token_is_printed_alone(nowhere: Settings) -> None:
    code, out, error = await run(nowhere, "token", "--user", "ann", "--ttl-s", "60")
    assert (code, error) == (0, "")
    claims = jwt.decode(out.strip(), JWT_SECRET, algorithms=["HS256"])
    assert claims["sub"] == "ann"
    assert claims["exp"] - claims["iat"] == 60


async def test_market_data_is_imported_and_listed(
    any_mongodb_uri: str, make_settings: MakeSettings, tmp_path: Path
) -> None:
    settings = make_settings(redis_url="redis://127.0.0.1:1")
    assert await run(settings, "data", "list") == (
        0,
        "no market data yet; bring some with `backfleet data import FILE…`\n",
        "",
    )
    file = tmp_path / "ETHUSDT-1h.csv"
    file.write_text(CSV)
    code, out, error = await run(settings, "data", "import", str(file))
    assert (code, error) == (0, "")
    assert "ETHUSDT 1h: 3 bars added" in out
    code, out, _ = await run(settings, "data", "list")
    assert code == 0
    assert out.splitlines()[1].split()[:5] == ["ETHUSDT", "1h", "3", "2024-01-01T00:00:00Z", "2024-01-01T03:00:00Z"]
    file.write_text(CSV.replace("105,111", "205,111"))
    code, out, error = await run(settings, "data", "import", str(file), "--symbol", "ETHUSDT", "--interval", "1h")
    assert (code, out) == (2, "")
    assert error.startswith("backfleet: ")
    assert error.count("\n") == 1
    file.write_text(CSV.replace("95,106,6", "95,107,6"))
    code, out, error = await run(settings, "data", "import", str(file))
    assert (code, out) == (2, "")
    assert "--on-conflict" in error
    code, out, error = await run(settings, "data", "import", str(file), "--on-conflict", "replace")
    assert (code, error) == (0, "")
    assert "2 known, 1 replaced" in out
    code, out, error = await run(settings, "data", "gc", "--dry-run", "--older-than-hours", "1")
    assert (code, error) == (0, "")
    assert out.startswith("0 old versions and 0 chunks (0 bytes) would be removed; 2 versions and 2 chunks stay")


async def test_a_long_import_shows_its_progress_on_a_terminal(
    any_mongodb_uri: str, make_settings: MakeSettings, tmp_path: Path
) -> None:
    settings = make_settings(redis_url="redis://127.0.0.1:1")
    walk = random_walk(90_000)
    file = write_bars(tmp_path / "LONG-1h.csv", walk._replace(time_ms=walk.time_ms - 11 * 365 * 24 * HOUR_MS))
    seen, terminal = pty.openpty()
    shown = bytearray()
    asyncio.get_running_loop().add_reader(seen, lambda: shown.extend(os.read(seen, 65_536)))
    try:
        importing = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", WITHOUT_WAITING, "data", "import", str(file)),
            env=environment_for_child(settings) | {"TERM": "xterm", "COLUMNS": "100"},
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=terminal,
        )
        out, _ = await asyncio.wait_for(importing.communicate(), 60)
    finally:
        asyncio.get_running_loop().remove_reader(seen)
        os.close(terminal)
        os.close(seen)
    assert importing.returncode == 0
    assert out.startswith(b"LONG 1h: 90,000 bars added")
    assert b"reading" in shown
    assert b"writing LONG 1h, chunks" in shown
    assert b"11/11" in shown


async def test_what_is_wrong_is_said_in_one_line(nowhere: Settings, make_settings: MakeSettings) -> None:
    production = nowhere.model_copy(update={"mode": "production"})
    production = Settings(**{name: getattr(production, name) for name in nowhere.model_fields_set | {"mode"}})
    for settings, arguments, said in (
        (nowhere, ("data", "list"), "MongoDB did not answer"),
        (nowhere, ("token", "--user", ""), "user"),
        (nowhere, ("token", "--user", "ann", "--ttl-s", "0"), "ttl_s"),
        (production, ("token", "--user", "ann"), "BACKFLEET_MODE"),
        (nowhere, ("data", "import", "no-such-file.csv"), ""),
        (nowhere, ("data", "gc", "--older-than-hours", "0.5"), "--older-than-hours"),
    ):
        code, out, error = await run(settings, *arguments)
        assert (code, out) == (2, ""), arguments
        assert error.startswith("backfleet: "), error
        assert said in error
        assert error.count("\n") == 1


async def test_the_version_and_the_commands_are_shown(nowhere: Settings) -> None:
    code, out, _ = await run(nowhere, "--version")
    assert code == 0
    assert out.startswith("backfleet ")
    code, _, error = await run(nowhere)
    assert code == 2
    assert "usage: backfleet" in error


async def test_the_demo_brings_real_days_and_synthetic_minutes(make_settings: MakeSettings) -> None:
    pytest.importorskip("bokeh_sampledata")
    settings = make_settings()
    code, out, error = await run(settings, "data", "demo", "--bars", "3000")
    assert (code, error) == (0, "")
    assert "DEMO-1M 1m: 3,000 bars added" in out
    assert "note: synthetic bars: no market ever traded at these prices" in out
    assert out.count(" 1d: 3,270 bars added") == 3
    code, out, _ = await run(settings, "data", "demo", "--bars", "4000")
    assert (code, "DEMO-1M 1m: 1,000 bars added, 3,000 known" in out) == (0, True)
    code, out, _ = await run(settings, "data", "list")
    [minutes] = [line for line in out.splitlines() if line.startswith("DEMO-1M")]
    assert minutes.endswith("synthetic: a regime-switching walk, seed 1")
    code, out, error = await run(settings, "data", "demo", "--bars", "0")
    assert (code, out) == (2, "")
    assert error.startswith("backfleet: --bars: 0 is not between 1 and ")


async def user_command(settings: Settings, *arguments: str, typed: str = "") -> tuple[int, str, str]:
    return await typing(settings, typed, "user", *arguments)


async def test_users_are_added_listed_and_disabled(any_mongodb_uri: str, make_settings: MakeSettings) -> None:
    settings = make_settings(redis_url="redis://127.0.0.1:1", mode="production", password_memory_kib=19_456)
    assert (await user_command(settings, "list"))[1] == "no users yet; add one with `backfleet user add NAME`\n"
    password = "four random words here"
    added = await user_command(settings, "add", "ann", "--admin", typed=f"{password}\n")
    assert added == (0, "user ann was added\n", "")
    code, _, error = await user_command(settings, "add", "ann", typed=f"{password}\n")
    assert (code, error) == (2, "backfleet: there is a user ann already; choose another name\n")
    for name, typed, field in (("bob", "short\n", "password"), ("bob", "", "password"), ("a b", "", "name")):
        code, _, error = await user_command(settings, "add", name, typed=typed)
        assert code == 2
        assert error.startswith(f"backfleet: {field}: ")
        assert "short\n" not in error
    assert (await user_command(settings, "add", "outside", "--no-password"))[0] == 0
    assert (await user_command(settings, "password", "ann", typed=f"{password}!\n"))[0] == 0
    assert (await user_command(settings, "disable", "ann"))[0] == 0
    code, out, _ = await user_command(settings, "list")
    assert [line.split()[:3] for line in out.splitlines()[1:]] == [
        ["ann", "user,admin", "disabled"],
        ["outside", "user", "no"],
    ]
    assert (await user_command(settings, "enable", "ann"))[0] == 0
    code, _, error = await user_command(settings, "disable", "nobody")
    assert code == 2
    assert "no user 'nobody'" in error
    database = await Database.open(settings)
    ann = await database.users.get("ann")
    assert not ann["disabled"]
    assert await Passwords(settings).verify(ann["passwordHash"], password + "!")
    await database.close()


async def test_a_password_is_asked_for_twice_on_a_terminal_and_never_shown(
    any_mongodb_uri: str, make_settings: MakeSettings
) -> None:
    settings = make_settings(redis_url="redis://127.0.0.1:1")

    def call(*typed: str) -> tuple[int, str]:
        process, terminal = pty.fork()
        if process == 0:
            command = [sys.executable, "-m", "deploy.cli", "user", "add", "ann"]
            os.chdir(ROOT)
            os.execve(sys.executable, command, environment_for_child(settings))
        said = b""
        for line in typed:
            while not said.endswith((b"Password: ", b"Once more: ")):
                said += os.read(terminal, 1_000)
            os.write(terminal, line.encode() + b"\n")
            said += os.read(terminal, 1_000)
        try:
            while part := os.read(terminal, 1_000):
                said += part
        except OSError:
            pass  # Linux says so when the other end is closed
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), said.decode()

    code, said = await asyncio.to_thread(call, "four random words here", "four other words here")
    assert (code, "was not the same twice" in said) == (2, True)
    code, said = await asyncio.to_thread(call, "four random words here", "four random words here")
    assert (code, "user ann was added" in said) == (0, True)
    assert "random" not in said
