"""The worker's part of the `backfleet` command: `run`, one backtest without any server.

What takes time to import is imported when the command runs: asking for help must not wait for it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import ConfigurationError
from shared.reading import add_reading_options, reading_from
from shared.request_options import VALUES, add_request_options, read_request

if TYPE_CHECKING:
    from shared.candles.files.parsing import ParsedSeries
    from shared.settings import Settings
    from worker.local_run import LocalResult

_EXAMPLE = f"""\
  backfleet run --data BTCUSDT-1h-*.zip --strategy sma_crossover --param fast=10 --param slow=30
  backfleet run --data AAPL.csv --strategy sma --strategy rsi --param rsi.period=7 --set combine=all \\
    --set commission.rate=0.001 --set stopLoss.percent=2 --json

{VALUES}"""


def add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Runs one backtest here: the same metrics and resultHash as the fleet's for the same bars. --symbol and\n"
        "--interval choose a series of the files, or say what to call it and what to make of finer bars; without\n"
        "--from and --to it runs on all bars."
    )
    parser.epilog = _EXAMPLE
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_local_options(parser)
    parser.add_argument("--all", action="store_true", help="all figures in the table, not the first ten")
    parser.add_argument("--json", action="store_true", help="print one JSON object and no table")
    add_table_options(parser)
    add_reading_options(parser)
    parser.set_defaults(command=_run)


def add_local_options(parser: argparse.ArgumentParser) -> None:
    """What to run and on which bars: `read_request` and `read_bars` understand them."""
    parser.add_argument("--data", nargs="+", required=True, type=Path, metavar="FILE", help="files of bars")
    add_request_options(parser)


def add_table_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trades", type=Path, metavar="FILE.csv", help="write the closed trades there")
    parser.add_argument("--equity", type=Path, metavar="FILE.csv", help="write equity at each bar there")


def _run(asked: argparse.Namespace) -> None:
    from worker.imports import import_numba, nothing_collected

    with nothing_collected():
        from shared.settings import load_settings

        settings = load_settings()
        body = read_request(asked, settings.request_max_bytes)
        find_kernels(settings)
        import_numba()
        from worker.local_run import run_locally

    series = read_bars(asked, body)
    result = run_locally(series, body, settings.chunk_bars)
    write_tables(asked, result)
    if asked.json:
        print(json.dumps({**result.as_wire(), "notes": series.notes}, allow_nan=False))
    else:
        _show(result, series.notes, asked.all)


def read_bars(asked: argparse.Namespace, body: dict[str, Any]) -> ParsedSeries:
    """The series of `--data` that the request is about. Raises `ImportRefused`."""
    from worker.local_run import read_series

    reading = replace(reading_from(asked), symbol=body.get("symbol"), interval=body.get("interval"))
    return read_series(asked.data, reading)


def write_tables(asked: argparse.Namespace, result: LocalResult) -> None:
    """What `--trades` and `--equity` ask for. Raises `InvalidRequest` for an unfit path."""
    from worker.local_run import write_equity, write_trades

    if asked.trades:
        write_trades(asked.trades, result)
    if asked.equity:
        write_equity(asked.equity, result)


def find_kernels(settings: Settings) -> None:
    """The kernels that workers of this machine have compiled serve here too, and the other way round."""
    from shared.settings import keep_kernels_in, kernel_cache_dir
    from worker.kernels import engine_digest

    directory = kernel_cache_dir(settings, engine_digest())
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"the kernel cache {directory}: {error.strerror}; set BACKFLEET_CACHE_DIR") from error
    keep_kernels_in(directory)


def _show(result: LocalResult, notes: Sequence[str], everything: bool) -> None:
    from rich.console import Console

    from shared.instants import iso_from_ms
    from shared.metrics_table import metrics_table

    console = Console(highlight=False)
    console.print(metrics_table(result.params.as_wire(), result.outcome.metrics, everything=everything))
    for note in notes:
        console.print(f"note         {note}", soft_wrap=True, markup=False)
    for warning in result.warnings:
        console.print(f"warning      {warning['message']}", soft_wrap=True, markup=False)
    start, end = (iso_from_ms(time_ms) for time_ms in (result.bars.start_ms, result.bars.end_ms))
    before = f", after {result.bars.warmup_bars:,} to warm up" if result.bars.warmup_bars else ""
    console.print(f"bars         {result.bars.total_bars:,} from {start} to {end}{before}", soft_wrap=True)
    console.print(f"dataset      {result.bars.dataset_hash}", soft_wrap=True)
    console.print(f"result       {result.outcome.result_hash}  engine {result.outcome.engine_version}", soft_wrap=True)
