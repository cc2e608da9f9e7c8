"""The `backfleet` command: tokens for development, and market data in and out."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from api.app import package_version
from api.auth import mint_token
from api.importing import import_files
from shared.candles import Candles, Dataset, ImportReport
from shared.contracts import INTERVAL_MS, iso_from_ms
from shared.errors import BackfleetError
from shared.settings import Settings, load_settings
from shared.store import Store

Answer = TypeVar("Answer")
DAY_S = 86_400


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="backfleet", description="Backtests as a service.")
    parser.add_argument("--version", action="version", version=f"backfleet {package_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    token = commands.add_parser("token", help="mint a token for development")
    token.add_argument("--user", required=True, help="whose token: the `sub` it carries")
    token.add_argument("--ttl-s", type=int, default=30 * DAY_S, help="seconds until it expires (default 30 days)")

    data = commands.add_parser("data", help="market data").add_subparsers(dest="verb", required=True, metavar="VERB")
    importing = data.add_parser("import", help="import CSV or zip files of bars")
    importing.add_argument("files", nargs="+", type=Path, metavar="FILE")
    importing.add_argument("--symbol", help="taken from the file's name where not given")
    importing.add_argument("--interval", choices=list(INTERVAL_MS), help="recognised from the bars where not given")
    data.add_parser("list", help="what market data there is")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0, or 2 with one line on stderr that says what to mend."""
    asked = build_parser().parse_args(arguments)
    try:
        settings = load_settings()
        if asked.command == "token":
            print(mint_token(settings, asked.user, asked.ttl_s))
        elif asked.verb == "import":
            for report in asyncio.run(_with_candles(settings, lambda candles: _import(candles, asked))):
                print(report_lines(report))
        else:
            print(describe_datasets(asyncio.run(_with_candles(settings, _list))))
    except BackfleetError as error:
        sys.stderr.write(f"backfleet: {' '.join(error.message.split())}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


async def _with_candles(settings: Settings, work: Callable[[Candles], Awaitable[Answer]]) -> Answer:
    store = await Store.open(settings)
    try:
        return await work(Candles(store.database, settings))
    finally:
        await store.close()


async def _import(candles: Candles, asked: argparse.Namespace) -> list[ImportReport]:
    return await import_files(candles, asked.files, symbol=asked.symbol, interval=asked.interval)


async def _list(candles: Candles) -> list[Dataset]:
    return await candles.list_datasets()


def report_lines(report: ImportReport) -> str:
    return "\n".join([report.summary(), *(f"  note: {note}" for note in report.notes)])


def describe_datasets(datasets: Sequence[Dataset]) -> str:
    """One line per series, in columns."""
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


if __name__ == "__main__":
    sys.exit(main())
