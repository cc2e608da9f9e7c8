"""One backtest in this process, without servers: what a worker does between its claim and its commit."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic.alias_generators import to_camel

from shared.candles import Slice, take_bars
from shared.candles.bar_files import ParsedSeries, read_files
from shared.candles.manifest import first_manifest
from shared.contracts import INTERVAL_MS, BacktestParams, BacktestRequest, iso_from_ms, validate
from shared.errors import BackfleetError, EngineFailed, ImportRefused, InvalidRequest
from shared.reading import Reading
from shared.results import summary_of, trade_as_wire
from worker.engine import Outcome, Trades
from worker.engine_loop import Run
from worker.pipe import Moved

_SERIES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class LocalResult:
    """What a run came to, and on what."""

    params: BacktestParams
    bars: Slice
    outcome: Outcome

    def as_wire(self) -> dict[str, Any]:
        """The fields of a stored result that do not depend on who stored it, and the number of trades."""
        return {
            "summary": summary_of(self.outcome.metrics),
            "metrics": self.outcome.metrics,
            "config": self.params.as_wire(),
            "datasetHash": self.bars.dataset_hash,
            "resultHash": self.outcome.result_hash,
            "engineVersion": self.outcome.engine_version,
            "seed": self.params.seed,
            "totalBars": self.bars.total_bars,
            "trades": self.outcome.trades.total,
        }


def read_series(paths: Sequence[Path], reading: Reading) -> ParsedSeries:
    """The one series in these files that the reading's `symbol` and `interval` choose.

    Where there is only one, they name it, as they do for an import. Raises `ImportRefused`.
    """
    symbol, interval = reading.symbol, reading.interval
    try:
        found = read_files(paths, replace(reading, symbol=None, interval=None))
    except ImportRefused:
        if symbol is None and interval is None:
            raise
        found = []  # What the files do not say, the options may.
    chosen = [one for one in found if symbol in (None, one.symbol) and interval in (None, one.interval)]
    if not chosen and len(found) <= 1:
        found = chosen = read_files(paths, reading)
    if len(chosen) != 1:
        shown = ", ".join(f"{one.symbol} {one.interval}" for one in found[:_SERIES_SHOWN])
        more = f" and {len(found) - _SERIES_SHOWN} more" if len(found) > _SERIES_SHOWN else ""
        asked = " ".join(filter(None, (symbol, interval)))
        which = f", and {len(chosen) or 'none'} of them is {asked}" if asked else ""
        raise ImportRefused(
            f"--data: there are {len(found)} series in the files, {shown}{more}{which}; choose one with --symbol and "
            "--interval"
        )
    return chosen[0]


def run_locally(series: ParsedSeries, body: Mapping[str, Any], chunk_bars: int) -> LocalResult:
    """Runs the request `body` (as it would be posted) on the series, which it need not name.

    Without `startDate` and `endDate`: on all of it. Raises `InvalidRequest` (also `UnknownMarketData`) as a gateway
    does, and `EngineFailed` for a strategy that raised.
    """
    bars = series.bars
    end_ms = int(bars.time_ms[-1]) + INTERVAL_MS[series.interval]
    whole = {"startDate": iso_from_ms(int(bars.time_ms[0])), "endDate": iso_from_ms(end_ms)}
    named = {"symbol": series.symbol, "interval": series.interval}
    params = validate(BacktestRequest, {**whole, **body, **named}).params()
    manifest = first_manifest(series.symbol, series.interval, series.source, bars)
    part = manifest.slice(params.start_ms, params.end_ms)
    first = int(np.searchsorted(bars.time_ms, part.start_ms))
    try:
        run = Run(params, take_bars(bars, slice(first, first + part.total_bars)))
        position = run.advance(chunk_bars)
        while isinstance(position, Moved):
            position = run.advance(position.bar + chunk_bars)
    except BackfleetError:
        raise
    except Exception as error:
        raise EngineFailed(f"{', '.join(params.strategies)}: {type(error).__name__}: {error}") from error
    return LocalResult(params, part, position.outcome)


def write_trades(path: Path, result: LocalResult) -> None:
    """One line per closed trade, columns as the gateway names them. Raises `InvalidRequest` for an unfit path."""
    trades = result.outcome.trades
    rows = zip(*(column.tolist() for column in trades), strict=True)
    names = result.params.strategies
    lines = (trade_as_wire(dict(zip(Trades._fields, row, strict=True)), names).values() for row in rows)
    _write_csv("--trades", path, [to_camel(name.removesuffix("_ms")) for name in Trades._fields], lines)


def write_equity(path: Path, result: LocalResult) -> None:
    """One line per bar: `time`, when it opens, and `equity` at its close. Raises `InvalidRequest` for an unfit path."""
    times = np.datetime_as_string(result.outcome.time_ms.astype("datetime64[ms]"), unit="s", timezone="UTC").tolist()
    _write_csv("--equity", path, ["time", "equity"], zip(times, result.outcome.equity.tolist(), strict=True))


def _write_csv(option: str, path: Path, header: Iterable[str], lines: Iterable[Iterable[Any]]) -> None:
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(lines)
    except OSError as error:
        raise InvalidRequest.of(option, f"{path} cannot be written: {error.strerror}; name another file") from error
