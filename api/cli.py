"""The gateway's part of the `backfleet` command: tokens for development, and market data in and out.

Each command imports what it needs when it runs: asking for help must not wait for it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from shared.reading import add_reading_options, reading_from

if TYPE_CHECKING:
    from api.importing import OnSeriesChunk
    from shared.candles import Candles, Dataset, ImportReport
    from shared.candles.garbage import GarbageReport
    from shared.settings import Settings
    from shared.store import Store

Answer = TypeVar("Answer")
DAY_S = 86_400
HOUR_MS = 3_600_000
MOST_HOURS = 1_000_000
BAR_AFTER_S = 1.0


def add_token_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--user", required=True, help="whose token: the `sub` it carries")
    parser.add_argument("--ttl-s", type=int, default=30 * DAY_S, help="seconds until it expires (default 30 days)")
    parser.set_defaults(command=_token)


def add_data_options(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    importing = verbs.add_parser("import", help="import files of bars: CSV, zip, Parquet, Feather")
    importing.add_argument("files", nargs="+", type=Path, metavar="FILE")
    importing.add_argument("--symbol", help="taken from the file's name where not given")
    importing.add_argument("--interval", help="recognised from the bars where not given")
    add_reading_options(importing)
    importing.add_argument(
        "--on-conflict",
        choices=("refuse", "keep", "replace"),
        default="refuse",
        help="what becomes of stored bars where the files have other values (default: the import is refused)",
    )
    importing.set_defaults(command=_import)
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


def _token(asked: argparse.Namespace) -> None:
    from api.auth import mint_token
    from shared.settings import load_settings

    print(mint_token(load_settings(), asked.user, asked.ttl_s))


def _import(asked: argparse.Namespace) -> None:
    from api.importing import import_files
    from shared.settings import load_settings

    async def work(candles: Candles, _store: Store) -> list[ImportReport]:
        async with _bar_on_terminal(len(asked.files)) as on_chunk:
            return await import_files(candles, asked.files, reading_from(asked), asked.on_conflict, on_chunk)

    for report in asyncio.run(_with_candles(load_settings(), work)):
        print("\n".join([report.summary(), *(f"  note: {note}" for note in report.notes)]))


@asynccontextmanager
async def _bar_on_terminal(files: int) -> AsyncIterator[OnSeriesChunk | None]:
    """A progress bar on stderr from the first second on; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
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
    from shared.settings import load_settings

    print(describe_datasets(asyncio.run(_with_candles(load_settings(), lambda candles, _: candles.list_datasets()))))


def _collect_garbage(asked: argparse.Namespace) -> None:
    from shared.errors import InvalidRequest
    from shared.settings import load_settings

    hours: float = asked.older_than_hours
    if not 1 <= hours <= MOST_HOURS:
        raise InvalidRequest.of("--older-than-hours", f"must be 1 to {MOST_HOURS:,} (got {hours:g})")

    def work(candles: Candles, store: Store) -> Awaitable[GarbageReport]:
        return candles.collect_garbage(store.pinned_among, int(hours * HOUR_MS), asked.dry_run)

    print(asyncio.run(_with_candles(load_settings(), work)).summary())


async def _with_candles(settings: Settings, work: Callable[[Candles, Store], Awaitable[Answer]]) -> Answer:
    from shared.candles import Candles
    from shared.store import Store

    store = await Store.open(settings)
    try:
        return await work(Candles(store.database, settings), store)
    finally:
        await store.close()


def describe_datasets(datasets: Sequence[Dataset]) -> str:
    """One line per series, in columns."""
    from shared.contracts import iso_from_ms

    if not datasets:
        return "no market data yet; bring some with `backfleet data import FILE…`"
    rows = [("SYMBOL", "INTERVAL", "BARS", "FROM", "TO", "GAPS", "SOURCE")]
    for one in datasets:
        span = iso_from_ms(one.start_ms), iso_from_ms(one.end_ms)
        rows.append((one.symbol, one.interval, f"{one.bars:,}", *span, f"{one.gap_count:,}", one.source))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
