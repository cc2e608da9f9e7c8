"""One backtest in this process, without servers: what a worker does between its claim and its commit."""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic.alias_generators import to_camel

from shared.bars import Bars
from shared.candles import Slice, take_bars
from shared.candles.files.parsing import ParsedSeries, read_files
from shared.candles.grid import Grid
from shared.candles.manifest import first_manifest
from shared.candles.resample import finer_intervals, resample_bars
from shared.errors import BackfleetError, ImportRefused, InvalidRequest
from shared.findings import findings, trade_columns
from shared.instants import INTERVAL_MS, iso_from_ms
from shared.reading import Reading
from shared.request import BacktestParams, BacktestRequest
from shared.result_warnings import WarningDocument, of_columns, of_run
from shared.strategies import resolve
from shared.strategies.inquiring import require_askable
from shared.strategies.warmup import warmup_bars
from shared.wire import validate
from worker.engine.delta import Outcome
from worker.engine.faults import EngineFault
from worker.engine_loop import Run
from worker.pipe import Moved

_SERIES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class LocalResult:
    """What a run came to, and on what."""

    params: BacktestParams
    bars: Slice
    outcome: Outcome
    ignored_columns: tuple[str, ...] = ()

    @property
    def warnings(self) -> list[WarningDocument]:
        """What to know beside the figures, as a stored result has it."""
        return [*of_columns(self.ignored_columns), *of_run(self.params.as_wire(), self.bars, self.outcome)]

    def as_wire(self) -> dict[str, Any]:
        """The fields of a stored result that do not depend on who stored it, and the number of trades."""
        found = findings(self.params.as_wire(), self.bars, self.outcome, self.warnings)
        return {**found, "trades": self.outcome.trades.total}


def read_series(paths: Sequence[Path], reading: Reading) -> ParsedSeries:
    """The one series in these files that the reading's `symbol` and `interval` choose, or the coarsest one that bars of
    `interval` can be made of.

    Where there is only one, they name it, as they do for an import. Raises `ImportRefused`.
    """
    symbol, interval = reading.symbol, reading.interval
    found: list[ParsedSeries] = []
    chosen: list[ParsedSeries] = []
    # What the files do not say, the options do: first as little of it as may be, since other bars than those of
    # `interval` may be there to make them of.
    for named in dict.fromkeys([(None, None), (symbol, None), (symbol, interval)]):
        try:
            found = read_files(paths, replace(reading, symbol=named[0], interval=named[1]))
        except ImportRefused:
            if named == (symbol, interval):
                raise
            continue
        chosen = _choose(found, symbol, interval)
        if chosen or len(found) > 1:
            break
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


def _choose(found: Sequence[ParsedSeries], symbol: str | None, interval: str | None) -> list[ParsedSeries]:
    """The series that are asked for: of each symbol the one of that interval, or the coarsest to make it of."""
    of_symbol = [one for one in found if symbol in (None, one.symbol)]
    if interval is None:
        return of_symbol
    fit = [interval, *(finer_intervals(interval) if interval in INTERVAL_MS else ())]
    best: dict[str, ParsedSeries] = {}
    for one in sorted((one for one in of_symbol if one.interval in fit), key=lambda one: fit.index(one.interval)):
        best.setdefault(one.symbol, one)
    return list(best.values())


@dataclass(frozen=True, slots=True)
class Arranged:
    """A request, and the bars it is about."""

    params: BacktestParams
    part: Slice
    bars: Bars
    ignored_columns: tuple[str, ...]

    def begin(self) -> Run:
        """Before the first bar, with all signals computed. Raises as `Run` does."""
        return Run(self.params, self.bars, self.part.warmup_bars)

    def result(self, outcome: Outcome) -> LocalResult:
        return LocalResult(self.params, self.part, outcome, self.ignored_columns)


def arrange(series: ParsedSeries, body: Mapping[str, Any]) -> Arranged:
    """The request `body` (as it would be posted) about the series, which it need not name.

    Another `interval` than the series has is made of its bars. Without `startDate` and `endDate`: all of it.
    Raises `InvalidRequest` (also `UnknownMarketData`) as a gateway does.
    """
    bars = series.bars
    manifest = first_manifest(series.symbol, series.interval, series.source, bars, series.session, series.calendar)
    start_ms, end_ms = manifest.index.first_ms, manifest.index.end_ms
    wanted = str(body.get("interval", series.interval))
    if wanted != series.interval and wanted in INTERVAL_MS:
        start_ms = Grid.of(wanted, series.session).before(start_ms)
    whole = {"interval": series.interval, "start_date": iso_from_ms(start_ms), "end_date": iso_from_ms(end_ms)}
    missing = {name: value for name, value in whole.items() if not body.keys() & {name, to_camel(name)}}
    params = validate(BacktestRequest, {**missing, **body, "symbol": series.symbol}).params()
    if params.agent_id is not None:
        raise InvalidRequest.of("agentId", "is known to a gateway only; write the strategyParams of ai_trader here")
    uses = resolve(params.strategies, params.strategy_params)
    require_askable(uses, params.profile, by_worker=False)
    before = warmup_bars(params, uses)
    part = manifest.slice(params.start_ms, params.end_ms, params.interval, before)
    until = int(np.searchsorted(bars.time_ms, part.end_ms))
    bars = take_bars(bars, slice(until - part.stored_bars, until))
    if buckets := part.buckets_of(0):
        bars = resample_bars(bars, buckets)
    return Arranged(params, part, bars, series.ignored_columns)


@contextmanager
def engine_faults() -> Generator[None]:
    """Raises `EngineFault` for whatever else than one of our errors is raised inside."""
    try:
        yield
    except BackfleetError:
        raise
    except Exception as error:
        raise EngineFault.of(error) from error


def run_locally(series: ParsedSeries, body: Mapping[str, Any], chunk_bars: int) -> LocalResult:
    """Runs a request on the series, see `arrange`.

    Raises `InvalidRequest` as that does, `StrategyFailed` for a strategy that raised or answered nonsense, and
    `EngineFault` for what is our own fault.
    """
    arranged = arrange(series, body)
    with engine_faults():
        run = arranged.begin()
        position = run.advance(chunk_bars)
        while isinstance(position, Moved):
            position = run.advance(position.bar + chunk_bars)
    return arranged.result(position.outcome)


def write_trades(path: Path, result: LocalResult) -> None:
    """One line per closed trade, columns as the gateway names them. Raises `InvalidRequest` for an unfit path."""
    columns = trade_columns(result.outcome.trades._asdict(), result.params.strategies)
    _write_csv("--trades", path, columns, zip(*columns.values(), strict=True))


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
