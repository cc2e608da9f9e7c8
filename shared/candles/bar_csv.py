"""One CSV text to bars: which columns it has, what its times mean, whether its bars can be true.

Understood are Binance klines (12 columns, with or without a header) and any CSV whose header names its columns. What
can be read in two ways (a time without a zone, 03/04/2024, columns without names) is refused, never guessed. Parsing
and checks are vectorised; a line number is looked for only once something is wrong.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import pandas  # pyright: ignore[reportMissingTypeStubs]
from numpy.typing import NDArray

from shared.bars import Bars
from shared.candles.series import first_fault, take_bars
from shared.contracts import INTERVAL_MS, iso_from_ms
from shared.errors import ImportRefused

pd: Any = pandas  # Its annotations say too little of what it returns to be checked by.
BINANCE_COLUMNS = 12
# Spellings are compared without case, blanks and punctuation. The first spelling that is there names the time.
_TIME_NAMES = (
    *("opentime", "opentimeutc", "timestamp", "timestamputc", "unix", "unixtime", "unixtimestamp", "epoch"),
    *("timeutc", "datetimeutc", "time", "timems", "datetime", "dateutc", "date", "day"),
)
_VALUE_NAMES = {
    "open": ("open", "o", "openprice"),
    "high": ("high", "h", "highprice", "max"),
    "low": ("low", "l", "lowprice", "min"),
    "close": ("close", "c", "closeprice"),
    "volume": ("volume", "vol", "v"),
}
_SYMBOL_NAMES = ("symbol", "ticker")
# How many units make a millisecond, or milliseconds a unit, told by magnitude: the ranges meet in 1973 and 5138.
_SECONDS_BELOW, _MILLISECONDS_BELOW, _MICROSECONDS_BELOW = 10**11, 10**14, 10**17
_DATE_NUMBERS = (18_000_101, 22_001_231)  # 20240131; as seconds these would all lie in the summer of 1970
_DATE = r"\d{4}[-/]\d{2}[-/]\d{2}"
_CLOCK = r"[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3}0*)?)?"
_ZONE = r" ?(?:Z|UTC|[+-]\d{2}:?\d{2})"
_MIDNIGHT = r"[T ]00:00(?::00(?:\.0+)?)?"
_SHOWN_LETTERS = 40


@dataclass(frozen=True, slots=True)
class ParsedText:
    """The bars of one text. `symbol` is what a symbol column says, or ""; `notes` say what was recognised."""

    bars: Bars
    interval: str
    symbol: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Layout:
    delimiter: str
    lines_before: int
    width: int
    columns: dict[str, int]
    names: dict[str, str]
    utc_by_name: bool
    notes: tuple[str, ...]


class _Text:
    """The text under import; knows how to refuse one of its places."""

    def __init__(self, data: bytes, file: str) -> None:
        self.file = file
        self.data = data.removeprefix(b"\xef\xbb\xbf")
        if b"\x00" in self.data:
            self.refuse(None, "it holds NUL bytes, so it is not UTF-8 text; save it as CSV in UTF-8")
        try:
            self.text = self.data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = self.data.count(b"\n", 0, error.start) + 1
            self.refuse(line, f"byte 0x{self.data[error.start]:02x} is not UTF-8; save the file as CSV in UTF-8")
        self.layout = self._find_layout()

    def refuse(self, line: int | None, message: str) -> NoReturn:
        raise ImportRefused(f"{self.file}{f', line {line}' if line else ''}: {message}")

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line number (counted from 1, as an editor does) and cells of every row of data. Blank lines are none."""
        rows = csv.reader(io.StringIO(self.text, newline=""), delimiter=self.layout.delimiter)
        try:
            for cells in rows:
                blank = not cells or (len(cells) == 1 and not cells[0].strip())
                if rows.line_num > self.layout.lines_before and not blank:
                    yield rows.line_num, cells
        except csv.Error as error:
            self.refuse(rows.line_num, f"{error}; correct or remove the line")

    def refuse_row(self, row: int, message: str) -> NoReturn:
        """Refuses data row number `row`."""
        line = next((line for number, (line, _) in enumerate(self._rows()) if number == row), None)
        self.refuse(line, message)

    def refuse_number(self, row: int, column: str) -> NoReturn:
        """Refuses what stands in data row `row` where a number of `column` should: nothing, or no number."""
        name, at = self.layout.names[column], self.layout.columns[column]
        empty: list[str] = []
        cells = next((cells for number, (_, cells) in enumerate(self._rows()) if number == row), empty)
        written = cells[at].strip() if at < len(cells) else ""
        wrong = f"{_shown(written)} is not a number" if written else "is missing"
        self.refuse_row(row, f"{name} {wrong}; correct or remove the line")

    def refuse_long_row(self, reason: str) -> NoReturn:
        """Refuses the first row with more cells than the header has, or else the whole text for `reason`."""
        width = self.layout.width
        for line, cells in self._rows():
            if len(cells) > width:
                self.refuse(line, f"{len(cells)} columns where {width} were expected; correct or remove the line")
        self.refuse(None, f"it cannot be read as CSV: {reason}")

    def _find_layout(self) -> _Layout:
        lines = enumerate(line.rstrip("\n") for line in io.StringIO(self.text, newline=None))
        # Some exchanges put their address into the first line.
        found = next(
            ((at, line) for at, line in lines if line.strip() and not line.startswith(("http://", "https://"))), None
        )
        if found is None:
            self.refuse(None, "it is empty; it needs a header line and one line per bar")
        return self._layout_of(found[1], found[0])

    def _layout_of(self, first: str, at: int) -> _Layout:
        delimiter = max(",;\t", key=first.count)
        cells = [cell.strip() for cell in next(csv.reader([first], delimiter=delimiter))]
        if _is_number(cells[0]):
            if len(cells) == BINANCE_COLUMNS:
                columns = {name: number for number, name in enumerate(("time", *_VALUE_NAMES))}
                names = {name: name for name in columns}
                return _Layout(delimiter, at, len(cells), columns, names, False, ("Binance klines without a header",))
            self.refuse(
                at + 1,
                f"there is no header, and {len(cells)} columns without names can be read in more than one way; "
                "add a header line such as time,open,high,low,close,volume",
            )
        return self._named_layout(cells, at, delimiter)

    def _named_layout(self, cells: list[str], at: int, delimiter: str) -> _Layout:
        names = [normalise(cell) for cell in cells]
        notes: list[str] = []
        time_name = next((name for name in _TIME_NAMES if name in names), None)
        found: dict[str, str] = {"time": time_name} if time_name else {}
        for column, spellings in _VALUE_NAMES.items():
            named = [name for name in spellings if name in names]
            if not named and column == "volume":
                named = [name for name in names if name.startswith("volume")]
            if len(named) > 1 or any(names.count(name) > 1 for name in named):
                self.refuse(at + 1, f"more than one column may be {column} ({', '.join(cells)}); leave one")
            if named:
                found[column] = named[0]
        symbol_name = next((name for name in _SYMBOL_NAMES if name in names), None)
        if symbol_name:
            found["symbol"] = symbol_name
        if time_name and names.count(time_name) > 1:
            self.refuse(at + 1, f"more than one column may be the time ({', '.join(cells)}); leave one")
        lacking = [column for column in ("time", "open", "high", "low", "close") if column not in found]
        if lacking:
            self.refuse(
                at + 1,
                f"no column is named {' or '.join(lacking)} in the header {_shown(delimiter.join(cells))}; "
                "add a header line such as time,open,high,low,close,volume",
            )
        if "volume" not in found:
            notes.append("no volume column: volume is 0")
        if "adjclose" in names:
            notes.append("column Adj Close ignored: prices are as traded, not adjusted")
        columns = {column: names.index(name) for column, name in found.items()}
        spelled = {column: cells[number] for column, number in columns.items()}
        return _Layout(delimiter, at + 1, len(cells), columns, spelled, found["time"].endswith("utc"), tuple(notes))


def parse_bars(data: bytes, file: str, interval: str | None, now_ms: int) -> ParsedText:
    """The bars of one CSV text, checked, oldest first. `interval` None: recognised from the most common step.

    `file` names the text in errors. Raises `ImportRefused` naming file, line, value and remedy.
    """
    text = _Text(data, file)
    frame = _read_frame(text)
    layout = text.layout
    notes = list(layout.notes)
    time_ms = _read_times(text, frame[layout.columns["time"]], notes)
    values = [
        _read_numbers(text, frame[layout.columns[column]], column)
        if column in layout.columns
        else np.zeros(len(time_ms))
        for column in _VALUE_NAMES
    ]
    bars = Bars(time_ms, *values)
    descending = bars.total > 1 and bool((np.diff(time_ms) < 0).all())
    if descending:
        bars = take_bars(bars, np.arange(bars.total - 1, -1, -1))
        notes.append("newest first: turned round")
    interval = _choose_interval(text, bars.time_ms, interval, notes)
    fault = first_fault(bars, interval, now_ms)
    if fault:
        row = bars.total - 1 - fault.bar if descending else fault.bar
        name = layout.names[fault.column]
        text.refuse_row(row, f"{name} {fault.value} {fault.reason}; {fault.remedy}")
    return ParsedText(bars, interval, _read_symbol(text, frame), tuple(notes))


def normalise(name: str) -> str:
    """A column's name without case, blanks and punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", cell) is not None


def _shown(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= _SHOWN_LETTERS else text[:_SHOWN_LETTERS] + "…")


def _read_frame(text: _Text) -> Any:
    layout = text.layout
    try:
        frame: Any = pd.read_csv(
            io.StringIO(text.text, newline=""),
            header=None,
            names=range(layout.width + 1),  # one more than there may be, so that a row that is too long shows
            skiprows=layout.lines_before,
            sep=layout.delimiter,
            index_col=False,
            low_memory=False,
        )
    except pd.errors.EmptyDataError:
        text.refuse(None, "it has no bars, only a header")
    except (ValueError, OverflowError) as error:
        text.refuse_long_row(str(error))
    if frame.empty:
        text.refuse(None, "it has no bars, only a header")
    if frame[layout.width].notna().any():
        text.refuse_long_row("a row is too long")
    return frame


def _read_numbers(text: _Text, cells: Any, column: str) -> NDArray[np.float64]:
    if cells.dtype.kind not in "iuf":
        cells = pd.to_numeric(cells.astype("str"), errors="coerce")
    values = np.ascontiguousarray(cells, np.float64)
    wrong = np.isnan(values)
    if wrong.any():
        text.refuse_number(int(np.argmax(wrong)), column)
    return values


def _read_symbol(text: _Text, frame: Any) -> str:
    at = text.layout.columns.get("symbol")
    if at is None:
        return ""
    named = frame[at].astype("str")
    other = np.asarray(named != named.iloc[0])
    if other.any():
        row = int(np.argmax(other))
        text.refuse_row(
            row,
            f"a second symbol, {_shown(named.iloc[row])} after {_shown(named.iloc[0])}; give each its own file",
        )
    return str(named.iloc[0]).strip()


def _read_times(text: _Text, column: Any, notes: list[str]) -> NDArray[np.int64]:
    missing = np.asarray(column.isna())
    if missing.any():
        text.refuse_row(int(np.argmax(missing)), f"{text.layout.names['time']} is missing; correct or remove the line")
    if column.dtype.kind in "iuf":
        return _read_numeric_times(text, column, notes)
    return _read_written_times(text, column.astype("str").str.strip(), notes)


def _read_numeric_times(text: _Text, column: Any, notes: list[str]) -> NDArray[np.int64]:
    name = text.layout.names["time"]
    raw = np.asarray(column)
    wrong = ~(np.isfinite(raw) & (np.abs(raw.astype(np.float64)) < 9e18) & (raw == np.floor(raw)))
    if wrong.any():
        row = int(np.argmax(wrong))
        text.refuse_row(row, f"{name} {raw[row].item()!r} is not a whole number; give unix time or a date")
    times = raw.astype(np.int64)
    if (times >= _DATE_NUMBERS[0]).all() and (times <= _DATE_NUMBERS[1]).all():
        written = pd.Series(times.astype(str))
        return _read_written_times(text, written.str[:4] + "-" + written.str[4:6] + "-" + written.str[6:], notes)
    size = np.abs(times)
    seconds = size < _SECONDS_BELOW
    if seconds.any() and not seconds.all():
        row = int(np.argmax(seconds != seconds[0]))
        text.refuse_row(
            row,
            f"{name} {times[row]} is in another unit than {times[0]} before it (seconds are told from milliseconds by "
            "their size); give one unit",
        )
    if seconds.all():
        notes.append("times are unix seconds")
        return times * 1000
    per_ms = np.where(size < _MILLISECONDS_BELOW, 1, np.where(size < _MICROSECONDS_BELOW, 1_000, 1_000_000))
    if (times % per_ms).any():
        row = int(np.argmax(times % per_ms != 0))
        text.refuse_row(row, f"{name} {times[row]} is not a whole millisecond; correct or remove the line")
    units = {1: "milliseconds", 1_000: "microseconds", 1_000_000: "nanoseconds"}
    notes.append(f"times are unix {' and '.join(units[int(one)] for one in np.unique(per_ms))}")
    return times // per_ms


def _read_written_times(text: _Text, column: Any, notes: list[str]) -> NDArray[np.int64]:
    name = text.layout.names["time"]
    dated = np.asarray(column.str.fullmatch(f"{_DATE}(?:{_MIDNIGHT})?"))
    zoned = np.asarray(column.str.fullmatch(f"{_DATE}{_CLOCK}{_ZONE}"))
    if text.layout.utc_by_name:
        zoned = zoned | np.asarray(column.str.fullmatch(f"{_DATE}{_CLOCK}"))
    if not (dated.all() or zoned.all()):
        # Dates among instants are as unclear as instants without a zone, unless all of them are midnights.
        row = int(np.argmin(zoned if zoned.any() else dated))
        _refuse_written_time(text, row, name, str(column.iloc[row]))
    plain = column.str.replace("/", "-").str.replace(r" ?UTC$", "Z", regex=True)
    plain = plain.str.replace(r" (?=[-+Z])", "", regex=True)
    instants: Any = pd.to_datetime(plain, utc=True, format="ISO8601", errors="coerce")
    wrong = np.asarray(instants.isna())
    if wrong.any():
        row = int(np.argmax(wrong))
        text.refuse_row(row, f"{name} {_shown(column.iloc[row])} is not in the calendar; correct or remove the line")
    if dated.all():
        notes.append("times are dates: midnight UTC")
    milliseconds: Any = instants.dt.tz_localize(None).astype("datetime64[ms]").to_numpy()
    return np.ascontiguousarray(milliseconds.astype(np.int64))


def _refuse_written_time(text: _Text, row: int, name: str, value: str) -> NoReturn:
    if re.fullmatch(f"{_DATE}{_CLOCK}", value):
        text.refuse_row(
            row,
            f"{name} {_shown(value)} has no time zone; add Z where it is UTC, or rename the column to time_utc",
        )
    if re.fullmatch(r"\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}.*", value):
        text.refuse_row(row, f"{name} {_shown(value)} may be day or month first; write it as YYYY-MM-DD")
    text.refuse_row(
        row,
        f"{name} {_shown(value)} is not a time; write a date (2024-01-31), an instant (2024-01-31T12:00:00Z) "
        "or unix time, all lines alike",
    )


def _choose_interval(text: _Text, time_ms: NDArray[np.int64], given: str | None, notes: list[str]) -> str:
    steps = np.diff(time_ms)
    steps = steps[steps > 0]
    known = {step_ms: interval for interval, step_ms in INTERVAL_MS.items()}
    if not steps.size:
        if given is None:
            text.refuse(None, "the interval of a single bar cannot be recognised; name it with --interval")
        return given
    sizes, counts = np.unique(steps, return_counts=True)
    usual_ms = int(sizes[np.argmax(counts)])
    if given is None:
        if usual_ms not in known:
            text.refuse(
                None,
                f"bars are mostly {usual_ms / 1000:g} s apart, which is none of {', '.join(INTERVAL_MS)}; "
                "name the interval with --interval",
            )
        notes.append(f"interval {known[usual_ms]} recognised from the most common step")
        return known[usual_ms]
    if steps.size > 1 and sizes[0] > INTERVAL_MS[given]:
        text.refuse(
            None,
            f"the interval is said to be {given}, but no two bars are closer than {sizes[0] / 1000:g} s "
            f"(from {iso_from_ms(int(time_ms[0]))} on); name the right --interval",
        )
    return given
