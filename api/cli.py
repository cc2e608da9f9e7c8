"""The gateway's part of the `backfleet` command: tokens for development, and market data in and out.

Each command imports what it needs when it runs: asking for help must not wait for it.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from shared.reading import add_reading_options, reading_from

if TYPE_CHECKING:
    from shared.candles import Candles, Dataset, ImportReport
    from shared.settings import Settings

Answer = TypeVar("Answer")
DAY_S = 86_400


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
    importing.set_defaults(command=_import)
    verbs.add_parser("list", help="what market data there is").set_defaults(command=_list)


def _token(asked: argparse.Namespace) -> None:
    from api.auth import mint_token
    from shared.settings import load_settings

    print(mint_token(load_settings(), asked.user, asked.ttl_s))


def _import(asked: argparse.Namespace) -> None:
    from api.importing import import_files
    from shared.settings import load_settings

    def work(candles: Candles) -> Awaitable[list[ImportReport]]:
        return import_files(candles, asked.files, reading_from(asked))

    for report in asyncio.run(_with_candles(load_settings(), work)):
        print("\n".join([report.summary(), *(f"  note: {note}" for note in report.notes)]))


def _list(_asked: argparse.Namespace) -> None:
    from shared.settings import load_settings

    print(describe_datasets(asyncio.run(_with_candles(load_settings(), lambda candles: candles.list_datasets()))))


async def _with_candles(settings: Settings, work: Callable[[Candles], Awaitable[Answer]]) -> Answer:
    from shared.candles import Candles
    from shared.store import Store

    store = await Store.open(settings)
    try:
        return await work(Candles(store.database, settings))
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
