"""The columns of one file to checked bars, whatever kind of file they come from.

Parsing and checks are vectorised; the line of a row is looked for only once something is wrong. Of several things that
are wrong, the first by line is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars
from shared.candles.files.layout import Layout, shown
from shared.candles.files.lean import SCALE, is_since_midnight, times_of_day
from shared.candles.files.numbers import read_numbers
from shared.candles.files.spellings import VALUE_ROLES
from shared.candles.files.times import UNIT_ASKED, Times, read_times
from shared.candles.files.troubles import Trouble, first_of, first_trouble
from shared.candles.grid import DAY_MS, HOUR_MS, UTC_DAYS, Grid, Session
from shared.candles.series import PRICE_COLUMNS, first_fault, take_bars
from shared.candles.sessions import put_at_beginnings, session_of
from shared.instants import INTERVAL_MS, iso_from_ms
from shared.reading import Reading

ADJUSTED_DECIMALS = 6  # what Adj Close itself has
_MONTH_DAYS = 28 - 1 / 24, 31 + 1 / 24  # a clock may be changed in it
# How far apart bars may be at the least, where not as their interval says: some days of the week alone, long months.
_LONGEST_MS = {"1d": 6 * DAY_MS, "1w": INTERVAL_MS["1w"] + HOUR_MS, "1M": 32 * DAY_MS}
NUMBER_ROLES = (*VALUE_ROLES, "adjusted", "ticks")
# What the high of a bar may lie below its open or close: prices that were multiplied differ in their last bits.
ROUNDING = 1e-9
_Values = dict[str, NDArray[np.float64]]
_INTERVAL_ASKED = f"⟦?interval {'|'.join(INTERVAL_MS)}⟧"
_TURNED = {"high": "close", "low": "high", "close": "low"}


@dataclass(frozen=True, slots=True)
class ParsedText:
    """The bars of one file. `symbol` is what a symbol column says, or ""; `notes` say what was recognised.

    `decided` is what a person chose of several things the file holds, `ignored` the columns that are of no use.
    """

    bars: Bars
    interval: str
    symbol: str
    notes: tuple[str, ...]
    decided: tuple[str, ...]
    session: Session = UTC_DAYS
    ignored: tuple[str, ...] = ()


class Source(Protocol):
    """What is under import; knows how to refuse one of its places."""

    def refuse(self, line: int | None, message: str) -> NoReturn: ...

    def refuse_row(self, row: int, message: str) -> NoReturn:
        """Refuses row number `row` of the data, counted from 0."""
        ...

    def written(self, row: int, column: int) -> str:
        """What stands in a cell, as it is written there."""
        ...


@dataclass(frozen=True, slots=True)
class _Reading:
    """Bars, and what else must be possible for them to be: each with the label of its prices in errors."""

    bars: Bars
    also: tuple[tuple[str, Bars], ...] = ()
    label: str = ""


def read_columns(
    source: Source, layout: Layout, cells: Sequence[Any], reading: Reading, now_ms: int, trouble: Trouble | None = None
) -> ParsedText:
    """The bars of a file, checked, oldest first. `cells` are its columns, pandas Series of one length.

    `trouble` is what was already seen to be wrong. Raises `ImportRefused` naming file, line, value and remedy.
    """
    times = _read_times(source, layout, cells, reading)
    columns, said, wrong = _read_values(source, layout, cells, reading.decimal)
    symbol, other = _read_symbol(layout, cells)
    worst = first_of(times.trouble, wrong, other, trouble)
    rows = len(times.time_ms) if worst is None else worst.row
    columns = [{role: column[:rows] for role, column in values.items()} for values in columns]
    notes = [f"format: {layout.kind}", *layout.decided, *layout.notes, *times.notes, *said]
    if layout.quotes and worst is None:
        _refuse_scaled(source, columns)
    if layout.undecided:
        columns[0] = _decide_order(source, layout, columns[0], notes, decided=worst is not None)
    decided = (*layout.decided, *_scale(source, layout, columns, reading.price_scale, notes))
    _round_off(columns, notes)
    found, row_of = _without_repeats(_put_together(times.time_ms[:rows], columns), notes)
    checked = _check(source, layout, found, row_of, reading, now_ms, notes, worst)
    ignored = layout.ignored
    return ParsedText(checked.bars, checked.interval, symbol, tuple(notes), decided, checked.session, ignored)


def _read_times(source: Source, layout: Layout, cells: Sequence[Any], reading: Reading) -> Times:
    column, clock = cells[layout.columns["time"]], layout.columns.get("clock")
    if layout.day:
        column = times_of_day(layout.day, column)
    elif layout.undecided and column.dtype.kind in "iu" and not reading.time_unit and is_since_midnight(column):
        source.refuse(
            None,
            "its times count milliseconds since midnight, and nothing says of which day (Lean's minutes); give the "
            "file the name that it has there, such as 20240131_spy_minute_trade.csv",
        )
    return read_times(column, layout.names["time"], layout.zone, reading, None if clock is None else cells[clock])


def _read_values(
    source: Source, layout: Layout, cells: Sequence[Any], decimal: str | None
) -> tuple[list[_Values], list[str], Trouble | None]:
    """The numbers of each side by role, what to say of them, and the first cell that is none."""
    total = len(cells[0])
    sides = [{role: np.zeros(total) for role in VALUE_ROLES} for _ in filter(None, (layout.columns, layout.mean_with))]
    places: dict[str, tuple[int, str, int]] = {}
    notes: list[str] = []
    for side, columns in enumerate((layout.columns, layout.mean_with)):
        for role, at in columns.items():
            name = f"ask {role}" if side else layout.names.get(role, role)
            if role in ("volume", "ticks") and cells[at].isna().all():
                notes.append(f"column {shown(name)} is empty: volume is 0")
            elif role in NUMBER_ROLES:
                places[name] = (side, role, at)
    found = read_numbers(
        {name: cells[at] for name, (_, _, at) in places.items()},
        decimal,
        lambda row, name: source.written(row, places[name][2]),
    )
    for name, (side, role, _) in places.items():
        sides[side][role] = found.values[name]
    notes += found.notes
    if "ticks" in layout.columns:
        ticks = sides[0].pop("ticks", np.zeros(total))
        volume, other = shown(layout.names["volume"]), shown(layout.names["ticks"])
        if sides[0]["volume"].any() or not ticks.any():
            notes.append(f"volume is column {volume}, not {other}")
        else:
            sides[0]["volume"] = ticks
            notes.append(f"column {volume} is 0 throughout: volume is {other}, how often the price changed")
    return sides, notes, found.trouble


def _read_symbol(layout: Layout, cells: Sequence[Any]) -> tuple[str, Trouble | None]:
    at = layout.columns.get("symbol")
    if at is None:
        return layout.symbol, None
    named = [str(one).strip() for one in cells[at].astype(object)]
    other = np.array([one != named[0] for one in named])
    return named[0], first_trouble(
        other, lambda row: f"a second symbol, {shown(named[row])} after {shown(named[0])}; give each its own file"
    )


def _decide_order(
    source: Source, layout: Layout, columns: dict[str, NDArray[np.float64]], notes: list[str], decided: bool
) -> dict[str, NDArray[np.float64]]:
    """Four unnamed prices as open, high, low, close or open, close, high, low: whichever makes every bar possible.

    Where neither does, what fits more bars, whose fault is then told. `decided`: it is refused anyhow.
    """
    first, second, third = columns["high"], columns["low"], columns["close"]
    other = columns | {"close": first, "high": second, "low": third}
    as_named, turned = _impossible(columns), _impossible(other)
    both = ("open, high, low, close", "open, close, high, low")
    if as_named == turned == 0 and not decided:
        of_day = {"time": "date", "clock": "time"} if "clock" in layout.columns else {}
        roles = [of_day.get(one, one) for one in sorted(layout.columns, key=layout.columns.__getitem__)]
        source.refuse(
            None,
            f"there is no header, and its prices may be {both[0]} or {both[1]}; choose with "
            f"⟦?columns {','.join(roles)}⟧ or ⟦?columns {','.join(_TURNED.get(one, one) for one in roles)}⟧",
        )
    taken = turned < as_named
    notes.append(f"the prices are {both[taken]}: the only order in which every bar is possible")
    return other if taken else columns


def _refuse_scaled(source: Source, columns: list[_Values]) -> None:
    if all(map(_is_whole, columns)):
        source.refuse(
            None,
            "every price is a whole number, as where prices are kept times 10,000 and times are New York's (Lean's "
            "quotes of shares); divide them, and say what the columns are with ⟦columns⟧ and ⟦time_zone⟧",
        )


def _is_whole(values: _Values) -> bool:
    return all((values[role] == np.floor(values[role])).all() for role in PRICE_COLUMNS)


def _scale(
    source: Source, layout: Layout, columns: list[_Values], scale: int | None, notes: list[str]
) -> tuple[str, ...]:
    """Divides prices by what a person says, who is asked where they look like Lean's of shares."""
    if scale is None:
        if layout.shares and columns[0]["close"].size and all(map(_is_whole, columns)):
            source.refuse(
                None,
                f"every price is a whole number, as where Lean keeps those of shares times {SCALE:,}; choose with "
                f"⟦?price_scale {SCALE}⟧ to divide them, or ⟦?price_scale 1⟧ to take them as they stand",
            )
        return ()
    for values in columns:
        for role in {*PRICE_COLUMNS, "adjusted"} & values.keys():
            values[role] = values[role] / scale
    if scale != 1:
        notes.append(f"prices are divided by {scale:,}")
    return (f"price scale {scale}",)


def _round_off(columns: list[_Values], notes: list[str]) -> None:
    """Sets highs and lows to the open or close that lies beyond them by less than a price can be told to."""
    moved = np.zeros(columns[0]["close"].size, np.bool_)
    for values in columns:
        open_, high, low, close = (values[role] for role in PRICE_COLUMNS)
        top, bottom = np.maximum(open_, close), np.minimum(open_, close)
        above = (high < top) & (high >= top * (1 - ROUNDING)) & (top > 0)
        below = (low > bottom) & (low * (1 - ROUNDING) <= bottom) & (bottom > 0)
        values["high"], values["low"] = np.where(above, top, high), np.where(below, bottom, low)
        moved |= above | below
    if count := int(moved.sum()):
        bars = "1 bar" if count == 1 else f"{count:,} bars"
        notes.append(f"{bars}: a high or low less than a billionth inside the open or close was set to it")


def _without_repeats(found: _Reading, notes: list[str]) -> tuple[_Reading, NDArray[np.int64]]:
    """Bars that only repeat the one before are left out. Also the row of each bar."""
    rows = np.arange(found.bars.total)
    again = np.zeros(found.bars.total, np.bool_)
    if found.bars.total:
        again[1:] = True
        for bars in (found.bars, *(bars for _, bars in found.also)):
            for column in bars:
                again[1:] &= column[1:] == column[:-1]
    if not again.any():
        return found, rows
    count = int(again.sum())
    notes.append("1 repeated bar is left out" if count == 1 else f"{count:,} repeated bars are left out")
    kept = replace(
        found,
        bars=take_bars(found.bars, ~again),
        also=tuple((label, take_bars(bars, ~again)) for label, bars in found.also),
    )
    return kept, rows[~again]


def _impossible(columns: dict[str, NDArray[np.float64]]) -> int:
    open_, high, low, close = (columns[role] for role in PRICE_COLUMNS)
    top, bottom = np.maximum(open_, close) * (1 - ROUNDING), np.minimum(open_, close) * (1 + ROUNDING)
    return int(((high < top) | (low > bottom)).sum())


def _put_together(time_ms: NDArray[np.int64], columns: list[dict[str, NDArray[np.float64]]]) -> _Reading:
    sides = [_bars(time_ms, [values[role] for role in VALUE_ROLES]) for values in columns]
    if len(sides) == 2:
        mean = _bars(time_ms, [(bid + ask) / 2 for bid, ask in zip(sides[0][1:], sides[1][1:], strict=True)])
        return _Reading(mean, (("", sides[0]), ("ask ", sides[1])), "mid ")
    bars = sides[0]
    if "adjusted" not in columns[0]:
        return _Reading(bars)
    with np.errstate(all="ignore"):  # What cannot be is refused by the checks.
        return _Reading(adjust_prices(bars, columns[0]["adjusted"]), (("", bars),), "adjusted ")


def adjust_prices(bars: Bars, adjusted_close: NDArray[np.float64]) -> Bars:
    """The bars with prices times adjusted close / close, rounded to the decimals that an adjusted close has."""
    factor = adjusted_close / bars.close
    # Multiplying and rounding keep the order of the four prices, so a bar that could be true stays so.
    prices = [np.round(column * factor, ADJUSTED_DECIMALS) for column in bars[1:5]]
    return _bars(bars.time_ms, [*prices, bars.volume])


def _bars(time_ms: NDArray[np.int64], values: Sequence[NDArray[np.float64]]) -> Bars:
    open_, high, low, close, volume = values
    return Bars(time_ms, open_, high, low, close, volume)


class _Checked(NamedTuple):
    bars: Bars
    interval: str
    session: Session


def _check(
    source: Source,
    layout: Layout,
    found: _Reading,
    row_of: NDArray[np.int64],
    reading: Reading,
    now_ms: int,
    notes: list[str],
    trouble: Trouble | None,
) -> _Checked:
    """The bars, oldest first, once every one can be true. Refuses the first row that is wrong."""
    total, descending = found.bars.total, _is_descending(found.bars)
    if descending:
        found = replace(
            found, bars=_turned(found.bars), also=tuple((label, _turned(bars)) for label, bars in found.also)
        )
        notes.append("newest first: turned round")
    interval = _usual_interval(found.bars.time_ms, reading.interval) if trouble else None
    if trouble is None:
        interval = _choose_interval(source, found.bars.time_ms, reading.interval, notes)
    session = UTC_DAYS
    if interval is not None and total:
        zone = layout.zone or reading.time_zone
        session = session_of(found.bars.time_ms, interval, reading.session_zone, reading.anchor_ms, zone)
        found = _put_at_beginnings(found, interval, session, notes)
        if reading.drop_unfinished:
            found = _without_unfinished(found, interval, session, now_ms, notes)
        for label, bars in (*found.also, (found.label, found.bars)):
            fault = first_fault(bars, interval, now_ms, session, from_end=descending)
            if fault is None:
                continue
            row = int(row_of[total - 1 - fault.bar if descending else fault.bar])
            name = layout.names.get(fault.column, fault.column)
            if label and fault.column != "time":
                name = label + fault.column
            message = f"{name} {fault.value} {fault.reason}; {fault.remedy}"
            if trouble is None or row < trouble.row:
                trouble = Trouble(row, message)
    if trouble:
        source.refuse_row(trouble.row, trouble.message)
    assert interval is not None
    return _Checked(found.bars, interval, session)


def _put_at_beginnings(found: _Reading, interval: str, session: Session, notes: list[str]) -> _Reading:
    """The same with bars of weeks and months at the beginning of theirs."""
    time_ms = found.bars.time_ms
    begin_ms = put_at_beginnings(time_ms, interval, session)
    if moved := int(np.count_nonzero(begin_ms != time_ms)):
        notes.append(f"{moved:,} bars stand within their {interval}: put at its beginning")
    also = tuple((label, bars._replace(time_ms=begin_ms)) for label, bars in found.also)
    return replace(found, bars=found.bars._replace(time_ms=begin_ms), also=also)


def _without_unfinished(found: _Reading, interval: str, session: Session, now_ms: int, notes: list[str]) -> _Reading:
    """The same without a last bar that has begun and not ended, wherever in its time it stands: Yahoo names it by the
    time of its last price, sometimes beside another of the same day. What would be alone stays, to be refused.
    """
    time_ms = found.bars.time_ms
    last_ms = int(time_ms[-1])
    grid = Grid.of(interval, session).through(int(time_ms[0]))
    if last_ms > now_ms or grid.end_of(last_ms) <= now_ms:
        return found
    kept = int(np.searchsorted(time_ms, grid.before(last_ms)))
    if not max(1, time_ms.size - 2) <= kept < time_ms.size:
        return found
    notes.append(f"the last bar, of {iso_from_ms(last_ms)}, has not ended yet: left out")
    also = tuple((label, take_bars(bars, slice(0, kept))) for label, bars in found.also)
    return replace(found, bars=take_bars(found.bars, slice(0, kept)), also=also)


def _is_descending(bars: Bars) -> bool:
    steps = np.diff(bars.time_ms)
    return bool((steps < 0).sum() * 2 > steps.size)


def _turned(bars: Bars) -> Bars:
    return take_bars(bars, np.arange(bars.total - 1, -1, -1))


def _usual_interval(time_ms: NDArray[np.int64], given: str | None) -> str | None:
    if given is not None:
        return given
    steps = np.diff(time_ms)
    steps = steps[steps > 0]
    if not steps.size:
        return None
    if _MONTH_DAYS[0] * DAY_MS <= np.median(steps) <= _MONTH_DAYS[1] * DAY_MS:
        return "1M"
    sizes, counts = np.unique(steps, return_counts=True)
    known = {step_ms: interval for interval, step_ms in INTERVAL_MS.items()}
    return known.get(int(sizes[np.argmax(counts)]))


def _choose_interval(source: Source, time_ms: NDArray[np.int64], given: str | None, notes: list[str]) -> str:
    steps = np.diff(time_ms)
    steps = steps[steps > 0]
    if not steps.size:
        if given is None:
            source.refuse(None, "the interval of a single bar cannot be recognised; name it with " + _INTERVAL_ASKED)
        return given
    sizes, counts = np.unique(steps, return_counts=True)
    if given is None:
        found = _usual_interval(time_ms, None)
        if found is None:
            source.refuse(
                None,
                f"bars are mostly {sizes[np.argmax(counts)] / 1000:g} s apart, which is none of "
                f"{', '.join(INTERVAL_MS)}; name it with {_INTERVAL_ASKED}, or the unit of the times with {UNIT_ASKED}",
            )
        notes.append(f"interval {found} recognised from the most common step")
        return found
    if steps.size > 1 and sizes[0] > _LONGEST_MS.get(given, INTERVAL_MS[given]):
        source.refuse(
            None,
            f"the interval is said to be {given}, but no two bars are closer than {sizes[0] / 1000:g} s "
            f"(from {iso_from_ms(int(time_ms[0]))} on); name the right {_INTERVAL_ASKED}",
        )
    return given
