"""The worker's part of the `backfleet` command: `run`, one backtest without any server.

What takes time to import is imported when the command runs: asking for help must not wait for it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from shared.errors import ConfigurationError, InvalidRequest, MalformedMessage
from shared.reading import add_reading_options, reading_from

if TYPE_CHECKING:
    from shared.candles.files.parsing import ParsedSeries
    from shared.settings import Settings
    from worker.local_run import LocalResult

# Fields of the request that have an option of their own.
_OPTION_OF = {
    "symbol": "--symbol",
    "interval": "--interval",
    "startDate": "--from",
    "endDate": "--to",
    "strategies": "--strategy",
    "strategyParams": "--param",
    "warmupBars": "--warmup-bars",
}
_EXAMPLE = """\
  backfleet run --data BTCUSDT-1h-*.zip --strategy sma_crossover --param fast=10 --param slow=30
  backfleet run --data AAPL.csv --strategy sma --strategy rsi --param rsi.period=7 --set combine=all \\
    --set commission.rate=0.001 --set stopLoss.percent=2 --json

A VALUE is JSON where it is JSON, and text where it is not: 10, true, '{"percent": 2}', close."""


def add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.description = "Runs one backtest here: the same metrics and resultHash as the fleet's for the same bars."
    parser.epilog = _EXAMPLE
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_request_options(parser)
    parser.add_argument("--all", action="store_true", help="all figures in the table, not the first ten")
    parser.add_argument("--json", action="store_true", help="print one JSON object and no table")
    add_table_options(parser)
    add_reading_options(parser)
    parser.set_defaults(command=_run)


def add_request_options(parser: argparse.ArgumentParser) -> None:
    """What to run and on which bars: `read_request` and `read_bars` understand them."""
    parser.add_argument("--data", nargs="+", required=True, type=Path, metavar="FILE", help="files of bars")
    parser.add_argument("--symbol", help="which series of the files, or what to call it")
    parser.add_argument("--interval", help="which series of the files, or what to make of finer bars")
    parser.add_argument(
        "--from", "--start-date", dest="start", metavar="DATE", help="first date or instant (default: the first bar)"
    )
    parser.add_argument(
        "--to", "--end-date", dest="end", metavar="DATE", help="exclusive end (default: after the last bar)"
    )
    parser.add_argument(
        "--warmup-bars", metavar="N", help="most bars before the first that indicators begin with (default: all of use)"
    )
    parser.add_argument("--strategy", action="append", metavar="NAME", help="repeatable: several are combined")
    parser.add_argument(
        "--param", action="append", default=[], metavar="[STRATEGY.]NAME=VALUE", help="a parameter of a strategy"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="any other field of a request, dotted inside"
    )
    parser.add_argument("--request", type=Path, metavar="FILE.json", help="a request as it is posted; options override")


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


def read_request(asked: argparse.Namespace, most_bytes: int) -> dict[str, Any]:
    """The body of a request that the options amount to: what `--request` names, overridden by the others.

    Raises `InvalidRequest` for options that cannot be understood; what they say is checked with the rest of the body.
    """
    body = _read_body(asked.request, most_bytes) if asked.request else {}
    given = {"symbol": asked.symbol, "interval": asked.interval, "startDate": asked.start, "endDate": asked.end}
    body |= {field: value for field, value in given.items() if value is not None}
    if asked.warmup_bars is not None:
        body["warmupBars"] = read_value(asked.warmup_bars)
    if asked.strategy:
        body["strategies"] = asked.strategy
        kept = body.get("strategyParams", {})
        if isinstance(kept, dict):
            of_strategy = cast("dict[str, Any]", kept)
            body["strategyParams"] = {name: of_strategy[name] for name in asked.strategy if name in of_strategy}
    for field in ("symbol", "interval"):  # They choose the bars, before the rest is checked.
        if not isinstance(body.get(field, ""), str):
            raise InvalidRequest.of(field, f"must be text (got {json.dumps(body[field])[:80]})")
    if "strategies" not in body:
        raise InvalidRequest.of("strategies", "there is none; name one with --strategy, for example sma_crossover")
    for text in asked.param:
        _put_param(body, text)
    for text in asked.set:
        path, value = _split("--set", text)
        _check_option(path)
        _put(body, path.split("."), value)
    return body


def _read_body(path: Path, most_bytes: int) -> dict[str, Any]:
    from shared.wire import parse_json

    try:
        with path.open("rb") as file:
            text = file.read(most_bytes + 1)
    except OSError as error:
        raise InvalidRequest.of("--request", f"{path}: {error.strerror}; name a file of JSON") from error
    if len(text) > most_bytes:
        raise InvalidRequest.of("--request", f"{path} is larger than {most_bytes:,} bytes, see the gateway's limit")
    try:
        body = parse_json(text)
    except MalformedMessage as error:
        raise InvalidRequest.of("--request", f"{path} is {error.message}; correct it") from None
    if not isinstance(body, dict):
        raise InvalidRequest.of("--request", f"{path} holds a {type(body).__name__}; it must be a JSON object")
    return cast("dict[str, Any]", body)


def _split(option: str, text: str) -> tuple[str, Any]:
    """Name and value of `NAME=VALUE`; only the first `=` parts them."""
    name, sign, value = text.partition("=")
    name = name.strip()
    if not name or not sign:
        raise InvalidRequest.of(option, f"{text!r} is not of the form NAME=VALUE; write for example {option} seed=7")
    return name, read_value(value)


def read_value(text: str) -> Any:
    """JSON where it is JSON, else text."""
    from shared.wire import parse_json

    try:
        return parse_json(text)
    except MalformedMessage:
        return text


def _put_param(body: dict[str, Any], text: str) -> None:
    path, value = _split("--param", text)
    if not isinstance(body["strategies"], list):
        return  # Refused with the rest of the body.
    strategies = [str(name) for name in cast("list[Any]", body["strategies"])]
    strategy, _, name = path.rpartition(".")
    if not strategy and len(strategies) == 1:
        strategy = strategies[0]
    if strategy not in strategies:
        raise InvalidRequest.of(
            "--param",
            f"{text!r} is for none of the strategies ({', '.join(strategies)}); write STRATEGY.{name}=VALUE",
        )
    _put(body, ["strategyParams", strategy, name], value)


def _put(body: dict[str, Any], path: list[str], value: Any) -> None:
    """Sets what `path` leads to. Objects on the way are made where there are none."""
    place = body
    for name in path[:-1]:
        if not isinstance(place.get(name), dict):
            place[name] = {}
        place = place[name]
    place[path[-1]] = value


def _check_option(path: str) -> None:
    """Raises `InvalidRequest` where a field has an option of its own; unknown ones are refused with the whole body."""
    option = _OPTION_OF.get(path.partition(".")[0])
    if option:
        raise InvalidRequest.of("--set", f"{path} has an option of its own; use {option}")
