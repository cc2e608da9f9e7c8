"""The gateway's part of the `backfleet` command: tokens for development, users, and market data in and out.

Each command imports what it needs when it runs: asking for help must not wait for it.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from shared.reading import add_reading_options, reading_from

if TYPE_CHECKING:
    from rich.progress import Progress

    from api.market_data.fetching import Fetch, FetchOrder
    from api.market_data.importing import OnSeriesChunk
    from shared.candles import Candles, ImportReport, StoredSeries
    from shared.candles.garbage import GarbageReport
    from shared.database import Database
    from shared.settings import Settings
    from shared.store import Store
    from shared.users import UserDocument

    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]  # pyright: ignore[reportPrivateUsage] - has no other name

Answer = TypeVar("Answer")
DAY_S = 86_400
HOUR_MS = 3_600_000
MOST_HOURS = 1_000_000
BAR_AFTER_S = 1.0
USERS_PAGE = 500


def add_token_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--user", required=True, help="whose token: the `sub` it carries")
    parser.add_argument("--ttl-s", type=int, default=30 * DAY_S, help="seconds until it expires (default 30 days)")
    parser.set_defaults(command=_token)


def add_data_options(parser: argparse.ArgumentParser) -> Verbs:
    """Returns what further verbs of `data` are added to."""
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    importing = verbs.add_parser("import", help="import files of bars: CSV, zip, Parquet, Feather")
    importing.add_argument("files", nargs="+", type=Path, metavar="FILE")
    importing.add_argument("--symbol", help="taken from the file's name where not given")
    importing.add_argument("--interval", help="recognised from the bars where not given")
    add_reading_options(importing)
    _add_on_conflict(
        importing, "what becomes of stored bars where the files have other values (default: the import is refused)"
    )
    importing.set_defaults(command=_import)
    _add_fetch_options(verbs.add_parser("fetch", help="fetch bars from an exchange, or those that are new"))
    verbs.add_parser("list", help="what market data there is").set_defaults(command=_list)
    collecting = verbs.add_parser("gc", help="remove old versions that no backtest refers to")
    collecting.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    collecting.add_argument(
        "--older-than-hours",
        type=float,
        default=24.0,
        metavar="N",
        help="keep what was current or written within this time (default 24, at least 1)",
    )
    collecting.set_defaults(command=_collect_garbage)
    return verbs


def _add_on_conflict(parser: argparse.ArgumentParser, meaning: str) -> None:
    parser.add_argument("--on-conflict", choices=("refuse", "keep", "replace"), default="refuse", help=meaning)


def _add_fetch_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Fetches finished candles through ccxt and stores them. What is stored is not fetched again: an interrupted "
        "fetch goes on when the same command is run once more."
    )
    parser.add_argument("exchange", metavar="EXCHANGE", help="its name in ccxt: binance, kraken, coinbase, …")
    parser.add_argument("symbol", metavar="SYMBOL", help="BTC/USDT, or BTC/USDT:USDT for the perpetual")
    parser.add_argument("interval", metavar="INTERVAL", help="1m, 1h, 1d, …")
    parser.add_argument("--since", metavar="DATE", help="first date or instant (default: the last stored bar)")
    parser.add_argument("--until", metavar="DATE", help="exclusive end (default: the last finished candle)")
    parser.add_argument("--as", dest="stored_as", metavar="SYMBOL", help="what to call it (default: without the slash)")
    _add_on_conflict(
        parser, "where a stored bar has other values; keep and replace fetch all from --since on again (default refuse)"
    )
    parser.add_argument("--base-url", metavar="URL", help="a mirror that speaks as the exchange does")
    parser.set_defaults(command=_fetch)


def _token(asked: argparse.Namespace) -> None:
    from api.auth import mint_token

    print(mint_token(settings_here("jwt_secret"), asked.user, asked.ttl_s))


def settings_here(wanted: str = "mongodb_uri") -> Settings:
    """The environment's, or those of the stack that runs here. A stack that has ended is mentioned on stderr."""
    from shared.stack_file import find_settings

    return find_settings(wanted, lambda line: print(f"backfleet: {line}", file=sys.stderr))


def _import(asked: argparse.Namespace) -> None:
    from api.market_data.importing import import_files

    async def work(candles: Candles, _store: Store) -> list[ImportReport]:
        async with _bar_on_terminal(len(asked.files)) as on_chunk:
            return await import_files(candles, asked.files, reading_from(asked), asked.on_conflict, on_chunk)

    for report in to_end(_with_candles(settings_here(), work)):
        tell(report.summary(), report.notes)


def tell(summary: str, notes: Sequence[str]) -> None:
    """Prints what became of a series."""
    print("\n".join([summary, *(f"  {note if note.startswith('warning: ') else f'note: {note}'}" for note in notes)]))


def _fetch(asked: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    settings, order = settings_here(), read_order(asked)
    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[told]}"))
    fetches: list[Fetch] = []
    try:
        with Progress(
            *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
        ) as progress:
            meter = _Meter(progress, f"{order.symbol} {order.interval}")
            to_end(_with_candles(settings, lambda candles, _: _fetch_into(candles, asked, order, meter, fetches)))
    except KeyboardInterrupt:
        console.print("interrupted; the same command, run again, goes on from what is stored")
        raise
    finally:
        for fetch in fetches:
            if fetch.notes:  # else it was refused before anything was asked
                _tell_fetched(fetch, order)


async def _fetch_into(
    candles: Candles, asked: argparse.Namespace, order: FetchOrder, meter: _Meter, fetches: list[Fetch]
) -> None:
    from api.market_data.exchanges import open_exchange
    from api.market_data.fetching import Fetch

    async with open_exchange(asked.exchange, asked.symbol, asked.interval, asked.base_url, watcher=meter) as exchange:
        fetch = Fetch(candles, exchange, order, watcher=meter)
        fetches.append(fetch)
        await fetch.fetch()


def read_order(asked: argparse.Namespace) -> FetchOrder:
    """What the options of `data fetch` amount to. Raises `InvalidRequest` for times and a name that cannot be."""
    from api.market_data.fetching import FetchOrder
    from shared.errors import InvalidRequest
    from shared.instants import read_instant_ms
    from shared.request import SYMBOL_LETTERS, SYMBOL_PATTERN

    symbol = asked.stored_as or asked.symbol.replace("/", "")
    if not re.fullmatch(SYMBOL_PATTERN, symbol):
        raise InvalidRequest.of("--as", f"{symbol!r} cannot be the name of a series; give one of {SYMBOL_LETTERS}")
    since_ms, until_ms = (
        read_instant_ms(option, text) if text else None
        for option, text in (("--since", asked.since), ("--until", asked.until))
    )
    return FetchOrder(symbol, asked.interval, since_ms, until_ms, asked.on_conflict)


def _tell_fetched(fetch: Fetch, order: FetchOrder) -> None:
    nothing = f"{order.symbol} {order.interval}: nothing was stored"
    tell(fetch.report.summary() if fetch.report else nothing, fetch.notes)


class _Meter:
    """A progress bar over the time that is fetched, with bars a second. It says so when the exchange makes us wait."""

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=None, told="")
        self._since_ms = 0
        self._bars = 0
        self._began_s = time.monotonic()

    def begins(self, since_ms: int, end_ms: int) -> None:
        self._since_ms = since_ms
        self._progress.update(self._task, total=max(end_ms - since_ms, 1), completed=0)

    def reached(self, until_ms: int, bars: int) -> None:
        from shared.instants import iso_from_ms

        self._bars += bars
        rate = self._bars / max(time.monotonic() - self._began_s, 1e-3)
        told = f"{iso_from_ms(until_ms)[:10]}  {self._bars:,} bars, {rate:,.0f}/s"
        self._progress.update(self._task, completed=until_ms - self._since_ms, told=told)

    def waits(self, reason: str, pause_s: float) -> None:
        self._progress.console.print(f"{reason}; asking again in {pause_s:,.0f} s")


@asynccontextmanager
async def _bar_on_terminal(files: int) -> AsyncIterator[OnSeriesChunk | None]:
    """A progress bar on stderr from the first second on; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    import asyncio

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task("reading files" if files > 1 else "reading", total=None)

    def on_chunk(series: str, written: int, of: int) -> None:
        bar.update(task, description=f"writing {series}, chunks", completed=written, total=of)

    appearing = asyncio.get_running_loop().call_later(BAR_AFTER_S, bar.start)
    try:
        yield on_chunk
    finally:
        appearing.cancel()
        bar.stop()


def _list(_asked: argparse.Namespace) -> None:
    print(describe_datasets(to_end(_with_candles(settings_here(), lambda candles, _: candles.list_series()))))


def _collect_garbage(asked: argparse.Namespace) -> None:
    from shared.errors import InvalidRequest

    hours: float = asked.older_than_hours
    if not 1 <= hours <= MOST_HOURS:
        raise InvalidRequest.of("--older-than-hours", f"must be 1 to {MOST_HOURS:,} (got {hours:g})")

    def work(candles: Candles, store: Store) -> Awaitable[GarbageReport]:
        return candles.collect_garbage(store.pinned_among, int(hours * HOUR_MS), asked.dry_run)

    print(to_end(_with_candles(settings_here(), work)).summary())


def to_end(work: Coroutine[Any, Any, Answer]) -> Answer:
    import asyncio

    return asyncio.run(work)


async def _with_candles(settings: Settings, work: Callable[[Candles, Store], Awaitable[Answer]]) -> Answer:
    return await _with_database(settings, lambda database: work(database.candles, database.store))


async def _with_database(settings: Settings, work: Callable[[Database], Awaitable[Answer]]) -> Answer:
    from shared.database import Database

    database = await Database.open(settings)
    try:
        return await work(database)
    finally:
        await database.close()


def describe_datasets(datasets: Sequence[StoredSeries]) -> str:
    """One line per series, in columns."""
    from shared.instants import iso_from_ms

    if not datasets:
        return "no market data yet; bring some with `backfleet data import FILE…`"
    rows = [("SYMBOL", "INTERVAL", "BARS", "FROM", "TO", "GAPS", "SOURCE")]
    for one in datasets:
        span = iso_from_ms(one.start_ms), iso_from_ms(one.end_ms)
        rows.append((one.symbol, one.interval, f"{one.bars:,}", *span, f"{one.gap_count:,}", one.source))
    return _in_columns(rows)


def _in_columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def add_user_options(parser: argparse.ArgumentParser) -> None:
    parser.description = "Users of the servers that the settings name. They log in with POST /api/auth/login."
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    password = "a password is asked for on a terminal, or is the first line of standard input"
    adding = verbs.add_parser("add", help="add a user", description=f"Adds a user; {password}.")
    adding.add_argument("name", metavar="NAME", help="the `sub` of its tokens")
    adding.add_argument("--admin", action="store_true", help="one who may keep users and change shared market data")
    adding.add_argument("--no-password", action="store_true", help="one that an outside issuer's tokens name")
    adding.set_defaults(command=_add_user)
    verbs.add_parser("list", help="who there is").set_defaults(command=_list_users)
    for verb, meaning, command in (
        ("disable", "refuse a user's tokens and keys, within seconds everywhere", _disable_user),
        ("enable", "let a disabled user in again", _enable_user),
        ("password", "set a user's password, which ends every login of his", _set_password),
    ):
        one = verbs.add_parser(verb, help=meaning, description=password if verb == "password" else None)
        one.add_argument("name", metavar="NAME")
        one.set_defaults(command=command)


def add_key_options(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    rotating = verbs.add_parser("rotate", help="seal all keys anew with the newest secret")
    rotating.description = (
        "Put a new secret before the old ones in BACKFLEET_KEY_SECRETS, restart gateways and workers, run this, and "
        "take the old secrets out. Run again it does nothing."
    )
    rotating.set_defaults(command=_rotate_keys)


def _rotate_keys(_asked: argparse.Namespace) -> int:
    settings = settings_here()
    done = to_end(_with_database(settings, lambda database: database.llm.keys.reseal()))
    print(f"{done.resealed} keys were sealed anew with the newest secret")
    if done.unreadable:
        print(f"{done.unreadable} can be opened with none of the secrets: their users have to store them again")
    return 1 if done.unreadable else 0


def _read_password() -> str:
    """Never out of the arguments, which every process of the machine can read."""
    from getpass import getpass

    from shared.errors import InvalidRequest

    if not sys.stdin.isatty():
        # At most one password: what follows the line is for whoever reads on.
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass("Password: ")
    if getpass("Once more: ") != password:
        raise InvalidRequest.of("password", "was not the same twice; try again")
    return password


def _add_user(asked: argparse.Namespace) -> None:
    from api.accounts import add_user
    from api.passwords import Passwords
    from shared.users import Role, check_name

    settings = settings_here()
    check_name(asked.name)
    password = None if asked.no_password else _read_password()
    roles = [Role.USER, Role.ADMIN] if asked.admin else [Role.USER]

    async def work(database: Database) -> None:
        await add_user(database.users, Passwords(settings), asked.name, password, roles)

    to_end(_with_database(settings, work))
    print(f"user {asked.name} was added")


def _set_password(asked: argparse.Namespace) -> None:
    from api.accounts import set_password
    from api.passwords import Passwords

    settings, password = settings_here(), _read_password()

    async def work(database: Database) -> None:
        await set_password(database.users, database.families, Passwords(settings), asked.name, password)

    to_end(_with_database(settings, work))
    print(f"the password of user {asked.name} was set; every login of before has ended")


def _disable_user(asked: argparse.Namespace) -> None:
    _set_disabled(asked.name, True)
    print(f"user {asked.name} is disabled; tokens and keys stop working within 5 s, sockets are closed within 10 s")


def _enable_user(asked: argparse.Namespace) -> None:
    _set_disabled(asked.name, False)
    print(f"user {asked.name} is enabled; keys work again, logins from before do not")


def _set_disabled(name: str, disabled: bool) -> None:
    async def work(database: Database) -> None:
        await database.users.set_disabled(name, disabled)
        await database.families.end_all_of(name)

    to_end(_with_database(settings_here(), work))


def _list_users(_asked: argparse.Namespace) -> None:
    async def work(database: Database) -> list[UserDocument]:
        users, cursor = await database.users.list_page(limit=USERS_PAGE, after=None)
        while cursor is not None:
            more, cursor = await database.users.list_page(limit=USERS_PAGE, after=cursor)
            users += more
        return users

    print(describe_users(to_end(_with_database(settings_here(), work))))


def describe_users(users: Sequence[UserDocument]) -> str:
    """One line per user, in columns."""
    from shared.instants import iso_from_ms

    if not users:
        return "no users yet; add one with `backfleet user add NAME`"
    rows = [("NAME", "ROLES", "STATE", "ADDED")]
    for one in users:
        state = "disabled" if one["disabled"] else "enabled" if one["passwordHash"] else "no password"
        rows.append((one["_id"], ",".join(one["roles"]), state, iso_from_ms(one["createdAt"])))
    return _in_columns(rows)
