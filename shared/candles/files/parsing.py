"""Market data files to checked bars: plain, gzip and zip, one series made of many files. Nothing is stored here.

Not among the names of `shared.candles`: it brings pandas, which workers and engine processes must not load.
"""

from __future__ import annotations

import gzip
import re
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from typing import IO
from zoneinfo import available_timezones

import numpy as np

from shared.bars import Bars
from shared.candles.calendars import Calendar, load_calendar
from shared.candles.files.columns import ParsedText
from shared.candles.files.csv_text import parse_bars
from shared.candles.files.names import named_by
from shared.candles.files.tables import FEATHER_MAGIC, PARQUET_MAGIC, parse_table
from shared.candles.grid import DAY_MS, UTC_DAYS, Grid, Session
from shared.candles.series import BarConflict, TimeIndex, join_bars, merge_bars
from shared.candles.sessions import put_at_beginnings, session_of
from shared.candles.splits import likely_splits
from shared.choices import marked, offered, unasked
from shared.errors import FieldError, ImportRefused
from shared.instants import INTERVAL_MS, iso_from_ms
from shared.reading import (
    AS_RECOGNISED,
    DATE_ORDERS,
    DECIMALS,
    PRICE_SCALES,
    PRICES,
    SIDES,
    SKIP_LINES_MAX,
    TIME_UNITS,
    Reading,
)
from shared.request import SYMBOL_LETTERS, SYMBOL_PATTERN

UNPACKED_MAX_BYTES = 512 * 1024 * 1024  # about five million Binance lines; a zip bomb ends here
MEMBERS_MAX = 1_000
MISSING_SHARE_MAX = 0.01
GAPS_SHOWN = 3
SPLITS_SHOWN = 3
_PACKING_ERRORS = (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


@dataclass(frozen=True, slots=True)
class ParsedSeries:
    """The bars of one series from all files that hold a part of it. `notes` say what was recognised, not told."""

    symbol: str
    interval: str
    bars: Bars
    source: str
    notes: tuple[str, ...]
    session: Session = UTC_DAYS
    ignored_columns: tuple[str, ...] = ()
    calendar: str | None = None


@dataclass(frozen=True, slots=True)
class _Part:
    file: str
    symbol: str
    parsed: ParsedText


def read_files(paths: Sequence[str | PathLike[str]], reading: Reading = AS_RECOGNISED) -> list[ParsedSeries]:
    """The series in these files, each checked and in order of time. Files of one symbol and interval are joined.

    The symbol is the given one, else that of a symbol column, else that of the file's name (`BTCUSDT-1h-2024-01.zip`,
    `AAPL.csv`); the interval is the given one, else the most common step. Raises `ImportRefused`, also for a series of
    which more than 1 % of the bars are missing, holidays apart, unless gaps are allowed.
    """
    _check_reading(reading)
    if not paths:
        raise ImportRefused("no files were named")
    now_ms = time.time_ns() // 1_000_000
    groups: dict[tuple[str, str], list[_Part]] = {}
    for path in map(Path, paths):
        for file, data in _contents_of(path):
            part = _read_part(file, path, data, reading, now_ms)
            groups.setdefault((part.symbol, part.parsed.interval), []).append(part)
    return [_join_parts(name, step, parts, reading) for (name, step), parts in groups.items()]


def _check_reading(reading: Reading) -> None:
    if reading.symbol is not None and not re.fullmatch(SYMBOL_PATTERN, reading.symbol):
        raise _refused("symbol", f"{reading.symbol!r}: use {SYMBOL_LETTERS}")
    choices = (
        ("interval", reading.interval, INTERVAL_MS),
        ("time_unit", reading.time_unit, TIME_UNITS),
        ("date_order", reading.date_order, DATE_ORDERS),
        ("side", reading.side, SIDES),
        ("price", reading.price, PRICES),
        ("price_scale", reading.price_scale, PRICE_SCALES),
        ("decimal", reading.decimal, DECIMALS),
    )
    for choice, value, allowed in choices:
        if value is not None and value not in allowed:
            raise _refused(choice, f"{value!r} is not one of {', '.join(map(str, allowed))}", allowed)
    if reading.skip_lines is not None and not 0 <= reading.skip_lines <= SKIP_LINES_MAX:
        raise _refused("skip_lines", f"{reading.skip_lines} is not 0 to {SKIP_LINES_MAX:,}")
    for choice, zone in (("time_zone", reading.time_zone), ("session_zone", reading.session_zone)):
        if zone is not None and zone not in available_timezones():
            near = get_close_matches(zone, sorted(available_timezones()), n=3)
            hint = f"; near are {', '.join(near)}" if near else ""
            raise _refused(choice, f"{zone!r} is no zone, such as UTC or Europe/Berlin{hint}", near)
    try:
        _ = reading.anchor_ms
    except ValueError as error:
        raise _refused("anchor", f"{reading.anchor!r} {error}") from None


def _refused(choice: str, wrong: str, values: Iterable[object] = ()) -> ImportRefused:
    """What was decided is nothing that can be decided; `values` are what may have been meant."""
    choices = offered(choice, map(str, values))
    return ImportRefused(f"{marked(choice)} {wrong}", [FieldError(marked(choice), wrong, choices=choices)])


def _read_part(file: str, path: Path, data: bytes, reading: Reading, now_ms: int) -> _Part:
    named = [found for found in (named_by(file), named_by(path.name)) if found]
    if data.startswith((PARQUET_MAGIC, FEATHER_MAGIC)):
        parsed = parse_table(data, file, reading, now_ms, UNPACKED_MAX_BYTES)
    else:
        interval = next((one.interval for one in named if one.interval), None)
        if interval and reading.interval is None and data.count(b"\n") <= 2:
            # A name settles the interval only where the bars themselves cannot.
            parsed = parse_bars(data, file, replace(reading, interval=interval), now_ms)
        else:
            parsed = parse_bars(data, file, reading, now_ms)
    symbol = reading.symbol or parsed.symbol
    if not symbol:
        if not named:
            raise ImportRefused(f"{file}: its name does not say which symbol it holds; name it with ⟦?symbol⟧")
        symbol = named[0].symbol
        if named[0].note:
            parsed = replace(parsed, notes=(*parsed.notes, named[0].note))
    if not re.fullmatch(SYMBOL_PATTERN, symbol):
        raise ImportRefused(f"{file}: symbol {symbol!r} is not made of {SYMBOL_LETTERS}; use ⟦?symbol⟧")
    return _Part(file, symbol, parsed)


def _join_parts(symbol: str, interval: str, parts: list[_Part], reading: Reading) -> ParsedSeries:
    """Parts that follow each other are joined; where they overlap their bars must be equal."""
    waiting = sorted(parts, key=lambda part: int(part.parsed.bars.time_ms[0]))
    following: list[Bars] = []
    last_ms: int | None = None
    for part in waiting:
        bars = part.parsed.bars
        if last_ms is not None and bars.time_ms[0] <= last_ms:
            try:
                bars = merge_bars(join_bars(following), bars, f"{symbol} {interval}")
            except BarConflict as conflict:
                raise BarConflict(f"{part.file}: {unasked(conflict.marked)}") from None
            following = []
        following.append(bars)
        last_ms = int(bars.time_ms[-1])
    notes = dict.fromkeys(note for part in parts for note in part.parsed.notes)
    files = [part.file for part in waiting]
    source = files[0] if len(files) == 1 else f"{files[0]} … {files[-1]} ({len(files)} files)"
    decided = dict.fromkeys(said for part in parts for said in part.parsed.decided)
    if decided:
        source = f"{source} ({'; '.join(decided)})"
    bars, session = _of_one_session(join_bars(following), symbol, interval, parts, reading)
    said = [] if session.is_plain else [_describe_session(session)]
    index = TimeIndex.of_times(bars.time_ms, Grid.of(interval, session))
    calendar = _calendar_for(index, interval, reading.calendar)
    gaps = _describe_gaps(index, f"{source}: {symbol} {interval}", calendar, reading.allow_gaps)
    ignored = tuple(dict.fromkeys(name for part in parts for name in part.parsed.ignored))
    notes = (*notes, *said, *gaps, *_warn_of_splits(bars))
    return ParsedSeries(symbol, interval, bars, source, notes, session, ignored, calendar.name if calendar else None)


def _of_one_session(
    bars: Bars, symbol: str, interval: str, parts: list[_Part], reading: Reading
) -> tuple[Bars, Session]:
    """The session of the parts together: a part by itself may be too short to tell it."""
    sessions = {part.parsed.session for part in parts}
    if len(parts) == 1:
        return bars, sessions.pop()
    session = session_of(bars.time_ms, interval, reading.session_zone, reading.anchor_ms, reading.time_zone)
    bars = bars._replace(time_ms=put_at_beginnings(bars.time_ms, interval, session))
    grid = Grid.of(interval, session).through(int(bars.time_ms[0]))
    uneven = np.flatnonzero(grid.starts(grid.slots(bars.time_ms)) != bars.time_ms)
    if uneven.size:
        at = iso_from_ms(int(bars.time_ms[uneven[0]]))
        known = ", ".join(sorted(map(str, sessions)))
        raise ImportRefused(
            f"{symbol} {interval}: {at} does not stand on one grid with the bars of the other files (days begin at "
            f"{known}); import them one by one, or say what holds for all with ⟦session_zone⟧ and ⟦anchor⟧"
        )
    return bars, session


def _describe_session(session: Session) -> str:
    how = "as asked" if session.asked else "recognised from the bars"
    return f"days begin at {session.anchor} in {session.zone}, {how}"


def _warn_of_splits(bars: Bars) -> list[str]:
    splits = likely_splits(bars)
    if not splits:
        return []
    shown = [
        f"{iso_from_ms(int(bars.time_ms[one.bar]))} ({one.new}:{one.old}, {bars.close[one.bar - 1].item()!r} to "
        f"{bars.open[one.bar].item()!r})"
        for one in splits[:SPLITS_SHOWN]
    ]
    more = f" and {len(splits) - SPLITS_SHOWN} more" if len(splits) > SPLITS_SHOWN else ""
    return [
        f"warning: prices jump as where shares are split and prices are not adjusted: {', '.join(shown)}{more}; a "
        "backtest takes such a jump for a gain or a loss, so import adjusted prices"
    ]


def _calendar_for(index: TimeIndex, interval: str, name: str | None) -> Calendar | None:
    if name is None:
        return None
    if index.grid.months or index.grid.step_ms > DAY_MS:
        raise _refused("calendar", f"{name!r} judges bars of a day or less, and these are of {interval}; leave it out")
    return load_calendar(name, index.first_ms, index.end_ms)


def _describe_gaps(index: TimeIndex, of: str, calendar: Calendar | None, allowed: bool) -> list[str]:
    """A line on the gaps of a series, if it has any, and one on days that a calendar does not know.

    Refuses many gaps that are no holidays, unless they are allowed. `of` names the series in the refusal.
    """
    by = f" by the calendar {calendar.name}" if calendar else ""
    strange = _describe_closed_days(index, calendar) if calendar else []
    starts, ends, missing = index.gaps(calendar)
    total = int(missing.sum())
    if not total:
        return [*strange, *([f"no bar is missing{by}"] if calendar else [])]
    share = total / (index.bars + total)
    judged = index.judge(calendar)
    counted = "1 gap" if len(starts) == 1 else f"{len(starts):,} gaps"
    largest = [
        f"{iso_from_ms(int(starts[at]))} to {iso_from_ms(int(ends[at]))} ({missing[at]:,} bars)"
        for at in np.argsort(-missing, kind="stable")[:GAPS_SHOWN]
    ]
    lacking = judged.lacking / (index.bars + total)
    holidays = f", of them {judged.holidays:,} where it may have been closed" if judged.holidays else ""
    if not allowed and (lacking > MISSING_SHARE_MAX or judged.lost_weeks):
        apart = ", holidays apart" if judged.holidays else ""
        many = f"more than {MISSING_SHARE_MAX:.0%}" if lacking > MISSING_SHARE_MAX else "more than two weeks at once"
        raise ImportRefused(
            f"{of} lacks {share:.2%} of its bars{by} ({total:,} in {counted}{holidays}), "
            f"{many}{apart}; the largest gap is {largest[0]}. Get the missing files, or accept it with ⟦?allow_gaps⟧"
        )
    return [*strange, f"{counted}, {total:,} bars missing{by} ({share:.2%}){holidays}; largest: {', '.join(largest)}"]


def _describe_closed_days(index: TimeIndex, calendar: Calendar) -> list[str]:
    """Bars of days on which the market was closed are kept: the calendar may be another market's."""
    if index.grid.step_ms < DAY_MS:
        return []
    times = index.times()
    strange = times[~np.isin(index.grid.slots(times), calendar.open_slots(index.grid).first)]
    if not strange.size:
        return []
    count = "1 bar is of a day" if strange.size == 1 else f"{strange.size:,} bars are of days"
    return [f"warning: {count} on which {calendar.name} was closed, the first {iso_from_ms(int(strange[0]))}"]


def _contents_of(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of all in a file that may hold bars. Raises `ImportRefused` for the unreadable or too large."""
    try:
        if path.is_dir():
            raise ImportRefused(f"{path}: it is a directory; name the files in it")
        with path.open("rb") as file:
            magic = file.read(4)
            file.seek(0)
            if magic == b"PK\x03\x04" or magic == b"PK\x05\x06":
                yield from _texts_of_zip(path.name, file)
            elif magic[:2] == b"\x1f\x8b":
                with gzip.open(file) as unpacked:
                    yield path.name, _read_bounded(unpacked, path.name, UNPACKED_MAX_BYTES)
            else:
                yield path.name, _read_bounded(file, path.name, UNPACKED_MAX_BYTES)
    except _PACKING_ERRORS as error:
        raise ImportRefused(f"{path.name}: it cannot be unpacked: {error}; get the file again") from error
    except OSError as error:
        raise ImportRefused(f"{path}: {error.strerror or error}") from error


def _texts_of_zip(name: str, file: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(file) as archive:
        members = [
            one
            for one in archive.infolist()
            if one.filename.lower().endswith((".csv", ".txt")) and not one.filename.startswith("__MACOSX/")
        ]
        if not members:
            raise ImportRefused(f"{name}: there is no .csv file in it")
        if len(members) > MEMBERS_MAX:
            raise ImportRefused(f"{name}: {len(members)} files in it, at most {MEMBERS_MAX} are read; split it")
        left = UNPACKED_MAX_BYTES
        for member in members:
            with archive.open(member) as unpacked:
                data = _read_bounded(unpacked, f"{name}/{member.filename}", left)
            left -= len(data)
            yield f"{name}/{member.filename}", data


def _read_bounded(file: IO[bytes] | gzip.GzipFile, name: str, most: int) -> bytes:
    data = file.read(most + 1)
    if len(data) > most:
        raise ImportRefused(f"{name}: it unpacks to more than {UNPACKED_MAX_BYTES:,} bytes; split it")
    return data
