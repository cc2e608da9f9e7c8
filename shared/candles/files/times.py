"""The column of times of a file: unix times in any unit, dates, instants with a zone, and times of a zone that is told.

What can be read in two ways is refused at its first row, with the option that decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas  # pyright: ignore[reportMissingTypeStubs]
from numpy.typing import NDArray

from shared.candles.files.layout import shown
from shared.reading import Reading

pd: Any = pandas  # Its annotations say too little of what it returns to be checked by.
# How many units make a millisecond, or milliseconds a unit, told by magnitude: the ranges meet in 1973 and 5138.
_SECONDS_BELOW, _MILLISECONDS_BELOW, _MICROSECONDS_BELOW = 10**11, 10**14, 10**17
_UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_UNIT_PER_MS = {"us": 1_000, "ns": 1_000_000}
_SECONDS_MAX, _WHOLE_MAX = 9e15, 9e18  # what fits into int64 once it is milliseconds, and at all
_DATE_NUMBERS = (18_000_101, 22_001_231)  # 20240131; as seconds these would all lie in the summer of 1970
_DATE = r"\d{4}-\d{2}-\d{2}"
_CLOCK = r"[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3}0*)?)?"
_NUMBER = r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?"
_TO_ZERO = str.maketrans("123456789", "000000000")
_ZONE = r"(?:Z|[+-]\d{2}:?\d{2})"
_COMPACT = r"(\d{4})(\d{2})(\d{2})(?=[T ]|$)"
_YEAR_FIRST = r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?!\d)"
_YEAR_LAST = r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})(?!\d)(.*)"


class Trouble(NamedTuple):
    """What is wrong with a row (counted from 0), as one sentence with the remedy."""

    row: int
    message: str


def first_of(*troubles: Trouble | None) -> Trouble | None:
    """The one of the earliest row; of one row, the first that is named."""
    return min((one for one in troubles if one), key=lambda one: one.row, default=None)


@dataclass(frozen=True, slots=True, eq=False)
class Times:
    """Epoch milliseconds of every row before the trouble; what stands from there on means nothing."""

    time_ms: NDArray[np.int64]
    notes: tuple[str, ...] = ()
    trouble: Trouble | None = None


def first_trouble(bad: NDArray[np.bool_], message: Callable[[int], str]) -> Trouble | None:
    """At the first bad row, with what `message` says of it."""
    if not bad.any():
        return None
    row = int(np.argmax(bad))
    return Trouble(row, message(row))


def read_times(column: Any, name: str, zone: str | None, reading: Reading) -> Times:
    """`column` is a pandas Series, `name` what errors call it, `zone` what the file itself says of its zone."""
    zone = zone or reading.time_zone
    missing = np.asarray(column.isna())
    if missing.all():
        return Times(np.zeros(len(missing), np.int64), trouble=Trouble(0, _missing(name)))
    if column.dtype.kind == "M":
        found = _read_stamps(column, name, zone)
    elif column.dtype.kind in "iuf":
        found = _read_numbers(np.asarray(column), column, name, zone, reading)
    else:
        # Objects, so that patterns mean the same whether or not pandas finds another package for its texts.
        written = pd.Series(np.asarray(column.astype(object).where(~missing, ""), dtype=object)).astype(str)
        written = pd.Series(np.asarray(written.str.strip(), dtype=object), dtype=object)
        if _Shapes.of(written).fit(_NUMBER).mean() >= 0.5:
            numbers = pd.to_numeric(written, errors="coerce")
            found = _read_numbers(np.asarray(numbers, np.float64), written, name, zone, reading)
        else:
            found = _read_written(written, name, zone, reading)
    if missing.any() and (found.trouble is None or np.argmax(missing) <= found.trouble.row):
        return Times(found.time_ms, found.notes, Trouble(int(np.argmax(missing)), _missing(name)))
    return found


def _missing(name: str) -> str:
    return f"{name} is missing; correct or remove the line"


def _not_a_time(name: str, value: object) -> str:
    return (
        f"{name} {shown(value)} is not a time; write a date (2024-01-31), an instant (2024-01-31T12:00:00Z) or unix "
        "time, all lines alike"
    )


def _read_numbers(raw: NDArray[Any], written: Any, name: str, zone: str | None, reading: Reading) -> Times:
    whole = np.isfinite(raw) & (np.abs(raw.astype(np.float64)) < _WHOLE_MAX)
    whole &= np.where(whole, raw, 0) == np.floor(np.where(whole, raw, 0))
    times = np.where(whole, raw, 0).astype(np.int64)

    def explain(row: int) -> str:
        if not np.isfinite(raw[row]):
            return _not_a_time(name, written.iloc[row])
        return f"{name} {raw[row].item()!r} is not a whole number; give unix time or a date"

    trouble = first_trouble(~whole, explain)
    if trouble:
        times = times[: trouble.row]
    unit = reading.time_unit
    dates = times.size and (times >= _DATE_NUMBERS[0]).all() and (times <= _DATE_NUMBERS[1]).all()
    if dates and unit is None:
        found = _read_written(pd.Series(times.astype(str), dtype=object), name, zone, reading)
    else:
        found = _read_unix(times, name, unit)
    filled = np.zeros(len(raw), np.int64)
    filled[: len(times)] = found.time_ms
    return Times(filled, found.notes, found.trouble or trouble)


def _read_unix(times: NDArray[np.int64], name: str, unit: str | None) -> Times:
    size = np.abs(times)
    trouble = None
    if unit == "s" or (unit is None and times.size and size[0] < _SECONDS_BELOW):
        bad = size >= (_SECONDS_MAX if unit else _SECONDS_BELOW)
        trouble = first_trouble(bad, lambda row: _other_unit(name, times, row, unit))
        return Times(np.where(bad, 0, times) * 1000, ("times are unix seconds",), trouble)
    if unit is None:
        bad = size < _SECONDS_BELOW
        trouble = first_trouble(bad, lambda row: _other_unit(name, times, row, unit))
        per_ms = np.where(size < _MILLISECONDS_BELOW, 1, np.where(size < _MICROSECONDS_BELOW, 1_000, 1_000_000))
    else:
        per_ms = np.full(len(times), _UNIT_PER_MS.get(unit, 1))
    uneven = first_trouble(
        times % per_ms != 0, lambda row: f"{name} {times[row]} is not a whole millisecond; correct or remove the line"
    )
    units = {1: "ms", 1_000: "us", 1_000_000: "ns"}
    said = " and ".join(_UNIT_NAMES[units[int(one)]] for one in np.unique(per_ms))
    return Times(times // per_ms, (f"times are unix {said}",), first_of(trouble, uneven))


def _other_unit(name: str, times: NDArray[np.int64], row: int, unit: str | None) -> str:
    if unit:
        return f"{name} {times[row]} is no time in seconds; correct the line or ⟦time_unit⟧"
    return (
        f"{name} {times[row]} is in another unit than {times[0]} before it (seconds are told from milliseconds by "
        "their size); give one unit, or name it with ⟦time_unit⟧"
    )


def _read_stamps(column: Any, name: str, zone: str | None) -> Times:
    """Timestamps of a table. Those without a zone are dates if all are midnights."""
    if column.dt.tz is not None:
        return _milliseconds(column.dt.tz_convert("UTC").dt.tz_localize(None), name, ())
    # What is missing is told elsewhere.
    plain = column.fillna(pd.Timestamp(0).as_unit(column.dt.unit))
    if bool((plain == plain.dt.normalize()).all()):
        return _milliseconds(plain, name, ("times are dates: midnight UTC",))
    if zone is None:
        row = int(np.argmax(np.asarray(column.notna())))
        text = f"{name} {shown(column.iloc[row])} has no time zone; name it with ⟦time_zone⟧, for example UTC"
        return Times(np.zeros(len(plain), np.int64), trouble=Trouble(row, text))
    local = plain.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    trouble = first_trouble(np.asarray(local.isna()), lambda row: _no_such_hour(name, column.iloc[row], zone))
    utc = local.dt.tz_convert("UTC").dt.tz_localize(None).fillna(pd.Timestamp(0).as_unit(column.dt.unit))
    return _milliseconds(utc, name, (f"times are in {zone}",), trouble)


def _milliseconds(instants: Any, name: str, notes: tuple[str, ...], trouble: Trouble | None = None) -> Times:
    milliseconds = instants.astype("datetime64[ms]")
    if trouble is None:
        finer = np.asarray((milliseconds != instants) & instants.notna())
        trouble = first_trouble(
            finer, lambda row: f"{name} {instants.iloc[row]} is not a whole millisecond; correct it"
        )
    return Times(np.ascontiguousarray(milliseconds.to_numpy().astype(np.int64)), notes, trouble)


def _no_such_hour(name: str, value: object, zone: str) -> str:
    return (
        f"{name} {shown(value)} comes twice or not at all in {zone}, where clocks are changed; "
        "give times in UTC or with their offset"
    )


def _read_written(column: Any, name: str, zone: str | None, reading: Reading) -> Times:
    original = column
    column, order_note, trouble = _year_first(column, name, reading.date_order)
    if _Shapes.of(column).fit(r".*(?: Z|UTC|GMT|[ CT][+-]\d{2}:?\d{2})").any():
        column = column.str.replace(r" ?(?:UTC|GMT)?([+-]\d{2}:?\d{2})$", r"\1", regex=True)
        column = column.str.replace(r" ?(?:Z|UTC|GMT)$", "Z", regex=True)
    shapes = _Shapes.of(column)
    zoned, local = shapes.fit(f"{_DATE}{_CLOCK}{_ZONE}"), shapes.fit(f"{_DATE}{_CLOCK}")
    dated = shapes.fit(_DATE)
    if local.any():
        dated |= local & np.array([not text[10:].strip("T 0:.") for text in column])
    instants = zoned | local if zone else zoned
    # Dates among instants are as unclear as instants without a zone, unless all of them are midnights.
    are_dates = dated.all() or dated.sum() > instants.sum()
    right = dated if are_dates else instants
    found = first_trouble(~right, lambda row: _explain_written(name, str(original.iloc[row]), column.iloc[row]))
    trouble = first_of(trouble, found)
    valid = len(column) if trouble is None else trouble.row
    time_ms = np.zeros(len(column), np.int64)
    notes = [order_note] if order_note else []
    if are_dates:
        notes.append("times are dates: midnight UTC")
    elif zone and local.any():
        notes.append(f"times are in {zone}")
    of_zone = local[:valid] if zone not in (None, "UTC") and not are_dates else np.zeros(valid, np.bool_)
    parsed = pd.to_datetime(column[:valid].where(~of_zone), utc=True, format="ISO8601", errors="coerce")
    if of_zone.any():
        clocks = pd.to_datetime(column[:valid].where(of_zone), format="ISO8601", errors="coerce")
        kept = clocks.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT").dt.tz_convert("UTC")
        changed = np.asarray(clocks.notna() & kept.isna())
        parsed = parsed.where(~of_zone, kept)
    else:
        changed = of_zone

    def explain(row: int) -> str:
        if changed[row]:
            return _no_such_hour(name, original.iloc[row], str(zone))
        return f"{name} {shown(original.iloc[row])} is not in the calendar; correct or remove the line"

    wrong = np.asarray(parsed.isna())
    trouble = first_trouble(wrong, explain) or trouble
    filled = parsed.fillna(pd.Timestamp(0, tz="UTC")).dt.tz_localize(None)
    time_ms[:valid] = filled.astype("datetime64[ms]").to_numpy().astype(np.int64)
    return Times(time_ms, tuple(notes), trouble)


@dataclass(frozen=True, slots=True, eq=False)
class _Shapes:
    """Texts with every digit made 0: a million times have one or two shapes, and patterns are asked of those alone."""

    of_row: NDArray[np.int64]
    shapes: NDArray[np.object_]

    @classmethod
    def of(cls, column: Any) -> _Shapes:
        of_row, shapes = pd.factorize(np.array([text.translate(_TO_ZERO) for text in column], dtype=object))
        return cls(of_row, shapes)

    def fit(self, pattern: str) -> NDArray[np.bool_]:
        """Of each text, whether the whole of it fits. The pattern must treat all digits alike."""
        known = re.compile(pattern)
        return np.array([known.fullmatch(shape) is not None for shape in self.shapes], np.bool_)[self.of_row]


def _year_first(column: Any, name: str, order: str | None) -> tuple[Any, str, Trouble | None]:
    """The texts with their dates as YYYY-MM-DD, where they are dates; what was decided; the first unclear one."""
    first = str(column.iloc[0])
    if re.match(_COMPACT, first):
        return column.str.replace(f"^{_COMPACT}", r"\1-\2-\3", regex=True), "", None
    # The first line may be the one that is wrong; whether years come last is then told by the others.
    if not re.match(_YEAR_LAST, first) and not _Shapes.of(column).fit(_YEAR_LAST).mean() > 0.5:
        return _pad_year_first(column), "", None
    parts = column.str.extract(f"^{_YEAR_LAST}$")
    there = np.asarray(parts[0].notna())
    left = pd.to_numeric(parts[0], errors="coerce").to_numpy()
    right = pd.to_numeric(parts[2], errors="coerce").to_numpy()
    not_month_first, not_day_first = there & (left > 12), there & (right > 12)
    note = ""
    if order == "ymd":
        return column, "", Trouble(int(np.argmax(there)), f"{name} {shown(first)} is not year first; see ⟦date_order⟧")
    if order is None:
        if bool((parts[1][there] == ".").all()):
            order = "dmy"
        elif not not_month_first.any() and not not_day_first.any():
            row = int(np.argmax(there))
            text = f"{name} {shown(column.iloc[row])} may be day or month first; choose with ⟦date_order dmy⟧ or "
            return column, "", Trouble(row, text + "⟦date_order mdy⟧, or write dates as YYYY-MM-DD")
        else:
            order = "dmy" if not_month_first.sum() > not_day_first.sum() else "mdy"
        note = f"dates are {'day' if order == 'dmy' else 'month'} first"
    day, month = (parts[0], parts[2]) if order == "dmy" else (parts[2], parts[0])
    plain = parts[3] + "-" + month.str.zfill(2) + "-" + day.str.zfill(2) + parts[4]
    return plain.where(parts[0].notna(), column).astype(object), note, None


def _pad_year_first(column: Any) -> Any:
    if _Shapes.of(column).fit(f"{_DATE}(?!\\d).*").all():
        return column
    parts = column.str.extract(f"^{_YEAR_FIRST}(.*)$")
    plain = parts[0] + "-" + parts[2].str.zfill(2) + "-" + parts[3].str.zfill(2) + parts[4]
    return plain.where(parts[0].notna(), column).astype(object)


def _explain_written(name: str, value: str, plain: str) -> str:
    if re.fullmatch(f"{_DATE}{_CLOCK}", plain):
        return (
            f"{name} {shown(value)} has no time zone; name it with ⟦time_zone⟧, for example UTC, or rename the column "
            "to time_utc"
        )
    if re.match(_YEAR_LAST, value) and not re.match(_DATE, plain):
        return f"{name} {shown(value)} may be day or month first; write it as YYYY-MM-DD, as the other lines"
    return _not_a_time(name, value)
