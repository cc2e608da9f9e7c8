"""The commands that ask a gateway for something: submit, watch, and all that steers a backtest."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from api.cli import settings_here, to_end
from deploy.exporting import FORMATS, STDOUT, TABLES, in_options, require_room, usual_name, write_file, write_stdout
from shared.errors import ConfigurationError, InvalidRequest
from shared.request_options import VALUES, add_request_options, read_request, read_value

if TYPE_CHECKING:
    from rich.console import Console

    from shared.client.fleet import Backfleet, Run, Token
    from shared.settings import Settings

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # pyright: ignore[reportPrivateUsage] - has no other name

Answer = TypeVar("Answer")
DEFAULT_USER = "dev"  # whom `make up` adds
TOKEN_TTL_S = 3_600
# Long enough for a gateway that is being started again, short enough for somebody who mistyped its URL.
PATIENCE_S = 15.0
# Of what is no terminal: there, tables need not be squeezed.
FILE_COLUMNS = 120

_SUBMIT = """\
Stores a backtest, which the next free worker runs, and prints its id, and nothing else, on standard output.
With --follow the rest goes to standard error: a view that changes on a terminal, lines elsewhere, and the
metrics at the end. Exit status: 0 with a result, 1 without one, 2 where it was refused, 130 after Ctrl-C,
which ends the watching alone: the backtest goes on."""
_SUBMIT_EXAMPLE = f"""\
  backfleet submit --symbol AAPL --interval 1d --from 2000-03-01 --to 2013-03-01 --strategy sma --follow
  ID=$(backfleet submit --request request.json --start-paused); backfleet step $ID 10

{VALUES}"""
_WATCH = """\
With BT_ID, shows that backtest until it ends, and its metrics; exit status 1 where it has no result, and
130 after Ctrl-C, which leaves it running. Without, shows the fleet: workers and their slots, what waits by
priority, what runs and how fast; one table where standard output is no terminal."""

_MCP = """\
Serves an agent that starts it: the tools of MCP over standard input and output, on a gateway, or with
--embedded on one of its own, which lives as long as it does and begins with the files of --data, else
with bars to try things on. Logs go to standard error. Ends with standard input, or by a signal."""

_EXPORT = """\
Writes a backtest that has ended into a file, and prints its name. json: all there is; html: a page to
look at without a gateway; csv and parquet: one table. The file appears when it is complete. Texts of CSV
that a spreadsheet would take for a formula have an apostrophe before them."""


def add_client_commands(commands: Commands) -> None:
    submit = _command(commands, "submit", _submit, "submit a backtest to a gateway, and follow it", _SUBMIT)
    submit.epilog = _SUBMIT_EXAMPLE
    add_request_options(submit)
    submit.add_argument("--start-paused", action="store_true", help="it waits before its first bar for resume or step")
    submit.add_argument("--speed", metavar="N", help="bars a second, from 0.1, or max (default max)")
    submit.add_argument("--priority", metavar="N", help="-9 to 9, higher runs earlier (default 0)")
    submit.add_argument("--key", metavar="KEY", help="submitted again with the same key it counts once")
    submit.add_argument("--follow", action="store_true", help="show it until it ends")
    watch = _command(commands, "watch", _watch, "show the fleet, or one backtest until it ends", _WATCH)
    watch.add_argument("backtest_id", nargs="?", metavar="BT_ID", help="which backtest; without, the fleet")
    watch.add_argument("--once", action="store_true", help="print how it stands now, and end")
    watch.add_argument("--json", action="store_true", help="one JSON object a line: each event, or each view")
    _add_control(commands, "pause", "pause a backtest: it stands still, and after a while lets go of its worker")
    _add_control(commands, "resume", "let a paused backtest go on")
    stop = _add_control(commands, "stop", "end a backtest where it is, with the result of the bars until there")
    stop.add_argument("--keep-open", action="store_true", help="leave open trades open (default: closed at the close)")
    step = _add_control(commands, "step", "let a backtest go on by some bars, then pause it again")
    step.add_argument("bars", nargs="?", default="1", metavar="BARS", help="how many (default 1)")
    speed = _add_control(commands, "speed", "set the pace of a backtest")
    speed.add_argument("speed", metavar="N", help="bars a second, from 0.1, or max")
    _add_mcp(commands)
    _add_export(commands)
    seek = _add_control(commands, "seek", "take a backtest to another bar, forward or back")
    seek.add_argument("where", metavar="BAR|TIME", help="just before this bar, from 0, or the first from this time on")


def _add_export(commands: Commands) -> None:
    export = _command(commands, "export", _export, "write a backtest into a file: CSV, Parquet, JSON, a page", _EXPORT)
    export.add_argument("backtest_id", metavar="BT_ID", help="which backtest")
    export.add_argument("--format", choices=FORMATS, default="json", help="what kind of file (default json)")
    export.add_argument("--table", choices=TABLES, help="which one, of csv and parquet (default trades)")
    export.add_argument("--context", action="store_true", help="with decisions, also what was asked and answered")
    export.add_argument("--output", metavar="FILE", help="where to; - is standard output (default BT_ID-TABLE.FORMAT)")
    export.add_argument("--force", action="store_true", help="write over a file that is there already")


def _export(asked: argparse.Namespace) -> int:
    form, table = asked.format, asked.table

    async def work(fleet: Backfleet) -> int:
        pieces = in_options(fleet.run(asked.backtest_id).export(form, table=table, context=asked.context))
        if asked.output == STDOUT:
            return await write_stdout(pieces)
        await write_file(pieces, path, force=asked.force)
        print(path)
        return 0

    if asked.output == STDOUT:
        if form == "parquet" and sys.stdout.isatty():
            raise InvalidRequest.of("--output", "is a terminal, which cannot show Parquet; name a file")
        return _ask(asked, work)
    path = Path(asked.output) if asked.output else usual_name(asked.backtest_id, form, table)
    require_room(path, force=asked.force)
    return _ask(asked, work)


def _add_mcp(commands: Commands) -> None:
    mcp = _command(commands, "mcp", _mcp, "serve an agent over standard input and output (MCP)", _MCP)
    mcp.add_argument("--embedded", action="store_true", help="on servers, a gateway and a worker of its own")
    mcp.add_argument(
        "--directory",
        type=Path,
        metavar="DIR",
        help="with --embedded: where its data stays (else it is removed)",
    )
    mcp.add_argument(
        "--data", type=Path, nargs="+", metavar="FILE", help="with --embedded: files of bars to import at the start"
    )


def _mcp(asked: argparse.Namespace) -> int:
    wrong = [f"--{name}" for name in ("url", "token", "user") if getattr(asked, name)]
    stray = [f"--{name}" for name in ("directory", "data") if getattr(asked, name)]
    if asked.embedded and wrong:
        raise InvalidRequest.of(wrong[0], "names a gateway, and --embedded starts one; leave one of them out")
    if stray and not asked.embedded:
        raise InvalidRequest.of(stray[0], "goes with --embedded; add it, or leave this out")
    try:
        if asked.embedded:
            from deploy.mcp_embedded import run_embedded

            return run_embedded(asked)
        from deploy.mcp_stdio import run_mcp

        return run_mcp(*find_gateway(asked))
    except ModuleNotFoundError as error:
        extras = "embedded,mcp" if asked.embedded else "client,mcp"
        raise ConfigurationError(
            f'this command needs {error.name}, which is not installed: pip install "backfleet[{extras}]"'
        ) from error


def _command(
    commands: Commands, name: str, command: Callable[[argparse.Namespace], int], meaning: str, description: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name, help=meaning, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--url", metavar="URL", help="a gateway (default: BACKFLEET_URL, else the stack that runs here)"
    )
    parser.add_argument("--token", metavar="TOKEN", help="a token or API key (default: BACKFLEET_TOKEN)")
    parser.add_argument(
        "--user",
        metavar="NAME",
        help=f"make a token for this user of the stack that runs here ({DEFAULT_USER})",
    )
    parser.set_defaults(command=command)
    return parser


def _add_control(commands: Commands, action: str, meaning: str) -> argparse.ArgumentParser:
    told = f"{meaning[0].upper()}{meaning[1:]}. Prints how it stands then in one line."
    parser = _command(commands, action, _control, meaning, told)
    parser.add_argument("backtest_id", metavar="BT_ID", help="which backtest")
    parser.add_argument("--json", action="store_true", help="print the gateway's answer as JSON")
    parser.set_defaults(action=action)
    return parser


def _submit(asked: argparse.Namespace) -> int:
    from shared.settings import load_settings

    body = read_request(asked, load_settings().request_max_bytes)
    body |= {name: read_value(text) for name in ("speed", "priority") if (text := getattr(asked, name)) is not None}
    if asked.start_paused:
        body["startPaused"] = True

    async def work(fleet: Backfleet) -> str:
        return (await fleet.submit(body, idempotency_key=asked.key)).id

    backtest_id = _ask(asked, work)
    print(backtest_id, flush=True)
    if not asked.follow:
        return 0
    from rich.console import Console

    return _follow(asked, backtest_id, Console(stderr=True, highlight=False, markup=False), as_json=False)


def _watch(asked: argparse.Namespace) -> int:
    from rich.console import Console

    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else FILE_COLUMNS)
    if asked.backtest_id is not None and not asked.once:
        return _follow(asked, asked.backtest_id, console, as_json=asked.json)

    async def work(fleet: Backfleet) -> int:
        if asked.backtest_id is not None:
            from deploy.following import show_once

            return await show_once(fleet.run(asked.backtest_id), console, as_json=asked.json)
        from deploy.fleet_view import watch_fleet

        return await watch_fleet(fleet, console, once=asked.once, as_json=asked.json)

    return _ask(asked, work)


def _follow(asked: argparse.Namespace, backtest_id: str, console: Console, *, as_json: bool) -> int:
    from deploy.following import follow

    try:
        return _ask(asked, lambda fleet: follow(fleet.run(backtest_id), console, as_json=as_json))
    except KeyboardInterrupt:
        sys.stderr.write(f"backfleet: {backtest_id} goes on; see it again with `backfleet watch {backtest_id}`\n")
        raise


def _control(asked: argparse.Namespace) -> int:
    ask = _read_control(asked)
    answer = _ask(asked, lambda fleet: ask(fleet.run(asked.backtest_id)))
    print(json.dumps(answer) if asked.json else describe_control(answer))
    return 0


def _read_control(asked: argparse.Namespace) -> Callable[[Run], Awaitable[dict[str, Any]]]:
    """What to ask of a run. Raises `InvalidRequest` for a number that is none; the gateway checks the rest."""
    if asked.action == "stop":
        return lambda run: run.stop(close_open_trades=not asked.keep_open)
    if asked.action == "step":
        bars = _read_number("BARS", asked.bars, int, "5")
        return lambda run: run.step(bars)
    if asked.action == "speed":
        speed = None if asked.speed == "max" else _read_number("N", asked.speed, float, "50, or max")
        return lambda run: run.speed(speed)
    if asked.action == "seek":
        if asked.where.isdecimal():
            bar = _read_number("BAR", asked.where, int, "500")
            return lambda run: run.seek(bar=bar)
        return lambda run: run.seek(time=asked.where)
    return lambda run: run.pause() if asked.action == "pause" else run.resume()


Number = TypeVar("Number", int, float)


def _read_number(name: str, text: str, kind: Callable[[str], Number], example: str) -> Number:
    with suppress(ValueError):
        number = kind(text)
        if not isinstance(number, float) or math.isfinite(number):
            return number
    whole = "whole " if kind is int else ""
    raise InvalidRequest.of(name, f"{text[:80]!r} is no {whole}number; write for example {example}")


def describe_control(answer: dict[str, Any]) -> str:
    """Where a command led to, in one line."""
    at = f" at bar {answer['bar']:,} of {answer['totalBars']:,}" if answer.get("totalBars") else ""
    pace = "" if answer["speed"] == "max" else f", at {answer['speed']:g} bars/s"
    line = f"{answer['backtestId']} is {answer['status']}{at}, {answer['progress']:.1f} %{pace}"
    return line if answer["done"] else f"{line}; {answer['action']} is stored and not done yet"


def _ask(asked: argparse.Namespace, work: Callable[[Backfleet], Awaitable[Answer]]) -> Answer:
    """What `work` makes of the gateway that the options or the environment name, or that runs here."""
    try:
        from shared.client.fleet import Backfleet
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f'this command needs {error.name}, which is not installed: pip install "backfleet[client]"'
        ) from error
    url, token = find_gateway(asked)

    async def ask() -> Answer:
        async with Backfleet(url, token, patience_s=PATIENCE_S) as fleet:
            return await work(fleet)

    return to_end(ask())


def find_gateway(asked: argparse.Namespace) -> tuple[str, Token]:
    """Its URL and a token for it.

    A token is minted only for the stack that runs here and where the environment names the secret, so that no other
    gateway is ever sent one. Raises `ConfigurationError`, `InvalidRequest`.
    """
    from shared.client.fleet import read_url
    from shared.settings import load_settings
    from shared.stack_file import running_stack

    if asked.user and asked.token:
        raise InvalidRequest.of("--user", "is whom a token is minted for, and --token names one; leave one of them out")
    settings = load_settings()
    url, token = asked.url or settings.url, asked.token
    if token is None and settings.token is not None and not asked.user:
        token = settings.token.get_secret_value()
    stack = None
    if url is None or token is None:
        say = (lambda line: print(f"backfleet: {line}", file=sys.stderr)) if url is None else (lambda _: None)
        stack = running_stack(settings.stack_dir.absolute(), "name a gateway with --url or BACKFLEET_URL", say)
    here = stack.urls if stack else []
    if url is None and not here:
        raise ConfigurationError("no gateway is named: give --url, set BACKFLEET_URL, or start a stack with `make up`")
    url = read_url("--url", url or here[0])
    if token is not None:
        return url, token.strip()
    if url not in here and "jwt_secret" not in settings.model_fields_set:
        raise ConfigurationError(f"there is no token for {url}: give one with --token or BACKFLEET_TOKEN")
    return url, _minted(settings_here("jwt_secret"), asked.user or DEFAULT_USER)


def _minted(settings: Settings, user: str) -> Token:
    from api.auth import mint_token

    mint_token(settings, user, TOKEN_TTL_S)  # What is wrong with it is said now and not while something is asked.

    async def token() -> str:
        return mint_token(settings, user, TOKEN_TTL_S)

    return token
