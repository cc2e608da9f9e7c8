"""The column of times of a file: unix times in any unit, dates, instants with a zone, and times of a zone that is told.

What can be read in two ways is refused at its first row, with the option that decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas  # pyright: ignore[reportMissingTypeStubs]
from numpy.typing import NDArray

from shared.candles.files.dates import DATE, YEAR_LAST, Shapes, joined, plain_clocks, year_first
from shared.candles.files.layout import shown
from shared.candles.files.troubles import Trouble, first_of, first_trouble
from shared.reading import TIME_UNITS, Reading

pd: Any = pandas  # Its annotations say too little of what it returns to be checked by.
# How many units make a millisecond, or milliseconds a unit, told by magnitude: the ranges meet in 1973 and 5138.
_SECONDS_BELOW, _MILLISECONDS_BELOW, _MICROSECONDS_BELOW = 10**11, 10**14, 10**17
_UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_UNIT_PER_MS = {"us": 1_000, "ns": 1_000_000}
_SECONDS_MAX, _WHOLE_MAX = 9e15, 9e18  # what fits into int64 once it is milliseconds, and at all
_DATE_NUMBERS = (18_000_101, 22_001_231)  # 20240131; as seconds these would all lie in the summer of 1970
_CLOCK = r"[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3}0*)?)?"
# 1955 to 2119; as seconds these would all lie in the first day of 1970.
_EXCEL_DAYS, _EXCEL_DAYS_MAX, _EXCEL_EPOCH_S = (20_000, 80_000), 100_000, 2_209_161_600
_NUMBER = r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?"
_ZONE = r"(?:Z|[+-]\d{2}:?\d{2})"
UNIT_ASKED = f"⟦?time_unit {'|'.join(TIME_UNITS)}⟧"
_ZONES_LIKELY = (
    *("UTC", "America/New_York", "America/Chicago", "Europe/London", "Europe/Berlin", "Asia/Kolkata", "Asia/Shanghai"),
    *("Asia/Tokyo", "Australia/Sydney"),
)
_ZONE_ASKED = f"⟦?time_zone {'|'.join(_ZONES_LIKELY)}⟧"


@dataclass(frozen=True, slots=True, eq=False)
class Times:
    """Epoch milliseconds of every row before the trouble; what stands from there on means nothing."""

    time_ms: NDArray[np.int64]
    notes: tuple[str, ...] = ()
    trouble: Trouble | None = None


def read_times(column: Any, name: str, zone: str | None, reading: Reading, clock: Any = None) -> Times:
    """`column` is a pandas Series, `name` what errors call it, `zone` what the file itself says of its zone.

    `clock` is a second one where dates and times of day stand apart.
    """
    zone = zone or reading.time_zone
    if clock is not None:
        column = joined(column, clock)
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
        if Shapes.of(written).fit(_NUMBER).mean() >= 0.5:
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
    as_days = (raw >= _EXCEL_DAYS[0]) & (raw < _EXCEL_DAYS[1])  # what is not finite is neither
    if reading.time_unit == "excel" or (reading.time_unit is None and as_days.mean() > 0.5):
        return _read_days(raw, written, name, zone)
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
    elif unit is None and (texts := _compact_instants(times)) is not None:
        found = _read_written(texts, name, zone, reading)
    else:
        found = _read_unix(times, name, unit)
    filled = np.zeros(len(raw), np.int64)
    filled[: len(times)] = found.time_ms
    return Times(filled, found.notes, found.trouble or trouble)


def _compact_instants(times: NDArray[np.int64]) -> Any:
    """Numbers such as 202401021700 and 20240102170000 as texts, or None where one of them is none such.

    As milliseconds the longer ones lie centuries ahead. The shorter ones would lie in 1976, all on whole minutes.
    """
    if not times.size:
        return None
    for places in (12, 14):
        dates = times // 10 ** (places - 8)
        if not ((dates >= _DATE_NUMBERS[0]) & (dates <= _DATE_NUMBERS[1])).all():
            continue
        parts = [times // 10 ** (places - at) % 100 for at in range(6, places + 1, 2)]
        if all((part <= top).all() for part, top in zip(parts, (12, 31, 23, 59, 59), strict=False)):
            return pd.Series([f"{text[:8]} {text[8:]}" for text in times.astype(str)], dtype=object)
    return None


def _read_days(raw: NDArray[Any], written: Any, name: str, zone: str | None) -> Times:
    """Excel's: days since 1899-12-30, the time of day as their fraction, good to a second or better."""
    days = raw.astype(np.float64)
    wrong = ~(np.abs(days) < _EXCEL_DAYS_MAX)
    seconds = np.round(np.where(wrong, 0, days) * 86_400).astype(np.int64) - _EXCEL_EPOCH_S
    found = _read_stamps(pd.Series(pd.to_datetime(seconds, unit="s")), name, zone)
    trouble = first_trouble(wrong, lambda row: _not_a_time(name, written.iloc[row]))
    return Times(found.time_ms, ("times are Excel's day numbers", *found.notes), first_of(trouble, found.trouble))


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
        return f"{name} {times[row]} is no time in seconds; correct the line or {UNIT_ASKED}"
    return (
        f"{name} {times[row]} is in another unit than {times[0]} before it (seconds are told from milliseconds by "
        f"their size); give one unit, or name it with {UNIT_ASKED}"
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
        text = f"{name} {shown(column.iloc[row])} has no time zone; name it with {_ZONE_ASKED}, for example UTC"
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
    column, order_note, trouble = year_first(column, name, reading.date_order)
    column = plain_clocks(column)
    if Shapes.of(column).fit(r".*(?: Z|UTC|GMT|[ CT][+-]\d{2}:?\d{2})").any():
        column = column.str.replace(r" ?(?:UTC|GMT)?([+-]\d{2}:?\d{2})$", r"\1", regex=True)
        column = column.str.replace(r" ?(?:Z|UTC|GMT)$", "Z", regex=True)
    shapes = Shapes.of(column)
    zoned, local = shapes.fit(f"{DATE}{_CLOCK}{_ZONE}"), shapes.fit(f"{DATE}{_CLOCK}")
    dated = shapes.fit(DATE)
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


def _explain_written(name: str, value: str, plain: str) -> str:
    if re.fullmatch(f"{DATE}{_CLOCK}", plain):
        return f"{name} {shown(value)} has no time zone; name it with {_ZONE_ASKED}, for example UTC"
    if re.match(YEAR_LAST, value) and not re.match(DATE, plain):
        return f"{name} {shown(value)} may be day or month first; write it as YYYY-MM-DD, as the other lines"
    return _not_a_time(name, value)
