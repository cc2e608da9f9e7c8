"""`make up`: an embedded stack until somebody interrupts it, and what to do with it."""

from __future__ import annotations

import json
import secrets
import shlex
import sys
import time
from pathlib import Path

from api.accounts import add_user
from api.passwords import Passwords
from deploy.processes import Interrupted, Interruption, announce
from deploy.stack import TOKEN_TTL_S, Stack, import_demo_bars, run_interruptible
from shared.database import Database
from shared.errors import Conflict
from shared.request import EXAMPLE_REQUEST
from shared.settings import PREFIX, Settings, load_settings
from shared.stack_file import settings_to_tell
from shared.users import Role

IMPORT_DEADLINE_S = 60.0
FIRST_USER = "dev"
SIGN_IN_TTL_S = 12 * 3_600
_WATCH_S = 0.1
# What another worker must share with those of the stack.
_SHARED_BY_WORKERS = ("mongodb_uri", "mongodb_database", "redis_url", "cache_dir")


async def add_first_user(settings: Settings) -> str | None:
    """The user `dev`, an admin: its password the first time, None where it exists already."""
    password = secrets.token_urlsafe(15)
    database = await Database.open(settings)
    try:
        await add_user(database.users, Passwords(settings), FIRST_USER, password, [Role.USER, Role.ADMIN])
    except Conflict:
        return None
    finally:
        await database.close()
    return password


def _welcome(stack: Stack, password: str | None) -> str:
    url = stack.api_urls[0]
    if stack.mints_tokens:
        how = f'A token for the user "demo", good for {TOKEN_TTL_S // 86_400} days:\n  TOKEN={stack.token()}'
    elif stack.settings.jwt_jwks_url:
        how = "A token:\n  TOKEN=<a token of your identity provider>"
    else:
        how = f"A token, after `backfleet user add`:\n  TOKEN=<the accessToken of POST {url}/api/auth/login>"
    first_user = ""
    if password is not None:
        first_user = f"""
The user {FIRST_USER!r}, an admin, logs in with this password, which is not shown again:
  curl -s -X POST {url}/api/auth/login -d '{json.dumps({"name": FIRST_USER, "password": password})}'
"""
    return f"""
backfleet is up: {url}  (documentation: {url}/docs, logs: {_from_here(stack.directory / "logs")})
{sign_in_lines(stack)}
{how}

A backtest:
  curl -s -X POST {url}/api/algo/backtest \\
    -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\
    -d '{json.dumps(EXAMPLE_REQUEST)}'

Its result, with the id that came back:
  curl -s -H "Authorization: Bearer $TOKEN" {url}/api/algo/backtest/ID/result
{first_user}
Market data, tokens, users: this command finds the stack by itself, from this folder:
  {_command_line(stack)} data list

One more worker, in another terminal:
  {worker_line(stack)}

Ctrl-C stops everything; the data stays in {_from_here(stack.directory)}.
"""


def sign_in_lines(stack: Stack) -> str:
    """A link to the dashboard that lets in whoever opens it; only said on the terminal. No server sees its token, which
    stands behind the `#`."""
    if not stack.mints_tokens:
        return f"\nThe dashboard:\n  {stack.api_urls[0]}/\n"
    link = f"{stack.api_urls[0]}/#/sign-in?token={stack.token(FIRST_USER, SIGN_IN_TTL_S)}"
    hours = SIGN_IN_TTL_S // 3_600
    return f"\nThe dashboard, signed in as {FIRST_USER!r}; the link is good for {hours} hours:\n  {link}\n"


def _command_line(stack: Stack) -> str:
    """`backfleet`, as it is called in the folder we are in."""
    command = shlex.quote(_from_here(Path(sys.executable).with_name("backfleet")))
    elsewhere = stack.directory != Settings.model_fields["stack_dir"].default.absolute()
    return f"{PREFIX}STACK_DIR={shlex.quote(str(stack.directory))} {command}" if elsewhere else command


def _from_here(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def worker_line(stack: Stack) -> str:
    """What a shell in any folder starts a worker of this stack with. Names no server that the environment named, whose
    URL may carry a password.
    """
    told = settings_to_tell(stack.settings, stack.own_urls)
    shared = [f"{PREFIX}{name.upper()}={shlex.quote(str(told[name]))}" for name in _SHARED_BY_WORKERS if name in told]
    return " ".join([*shared, shlex.quote(sys.executable), "-m worker"])


def stay_up(interruption: Interruption) -> int:
    """`make up`: a stack until somebody interrupts it. Exit code 0 then."""
    settings = load_settings()
    stack = Stack(
        settings, usual_port=settings.port or None, check=interruption.check, hurry=interruption.hurry, say=announce
    )

    def look_after() -> None:
        interruption.check()
        stack.tend()

    password: str | None = None
    with stack:
        if stack.mongo_server is not None:
            for line in run_interruptible(import_demo_bars(stack.settings), look_after, IMPORT_DEADLINE_S):
                announce(f"market data: {line}")
            if not stack.settings.jwt_jwks_url:
                password = run_interruptible(add_first_user(stack.settings), look_after, IMPORT_DEADLINE_S)
        print(_welcome(stack, password), flush=True)
        try:
            while True:
                look_after()
                time.sleep(_WATCH_S)
        except Interrupted:
            announce("stopping; once more kills")
    return 0
