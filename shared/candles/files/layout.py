"""Which column of a file holds what: told by the names in its header, by its shape, or by the person who reads it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

from shared.candles.files.spellings import (
    CLOCK_NAMES,
    DATE_NAMES,
    MONEY,
    NEEDED_ROLES,
    SYMBOL_NAMES,
    TIME_NAMES,
    UTC_NAME,
    VALUE_NAMES,
    VALUE_ROLES,
    is_adjusted_close,
    is_clock,
    is_date,
    normalised,
)
from shared.reading import Reading

_ROLES = ("time", *VALUE_ROLES, "symbol", "date")
BINANCE_COLUMNS = 12
QUOTE_COLUMNS = 11
NAMES_SHOWN = 10
_SHOWN_LETTERS = 40
_COLUMNS_EXAMPLE = "⟦columns time,open,high,low,close,volume⟧"

Refuse = Callable[[str], NoReturn]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a file keeps what a bar is made of.

    `columns` has the column number of each role, `names` what errors call it. `mean_with` has the columns of the other
    side where the mean of two is asked for. `undecided`: whether the four prices stand as open, high, low, close or
    as open, close, high, low must be told from the bars; `columns` has the first. `zone` is what the file says of the
    zone of its times. `shares`: whether prices may be Lean's of shares, times 10,000. `symbol` is what a line of the
    header says, `day` the date that times count from. `decided` is what a person chose, for the source of the series.
    `ignored` are the names of columns that are of no use.

    Beside the roles of a bar there are `clock`, the time of day where `time` has the date alone, `adjusted`, the
    adjusted close, and `ticks`, the volume where the column of volume is empty.
    """

    kind: str
    columns: dict[str, int]
    names: dict[str, str]
    mean_with: dict[str, int] = field(default_factory=dict[str, int])
    undecided: bool = False
    zone: str | None = None
    quotes: bool = False
    shares: bool = False
    symbol: str = ""
    day: str = ""
    decided: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


def shown(value: object) -> str:
    """A value as errors quote it."""
    text = str(value)
    return repr(text if len(text) <= _SHOWN_LETTERS else text[:_SHOWN_LETTERS] + "…")


def layout_of(cells: Sequence[str], named: bool, sample: Sequence[str], reading: Reading, refuse: Refuse) -> Layout:
    """The layout of a file whose first line (or column names) are `cells`; `named` says whether they are names.

    `sample` is the first row of data.
    """
    if reading.columns is not None:
        layout = _asked_layout(cells, named, reading.columns, refuse)
    elif named:
        layout = _named_layout(cells, sample, reading, refuse)
    else:
        layout = _unnamed_layout(cells, reading, refuse)
    if reading.side and not layout.quotes:
        refuse(f"⟦side {reading.side}⟧ is for bid and ask quotes, and these are none; leave it out")
    if reading.price and not any(one.startswith("price ") for one in layout.decided):
        refuse(f"⟦price {reading.price}⟧ needs a column Adj Close or adjusted_close, and there is none; leave it out")
    if layout.zone and reading.time_zone not in (None, layout.zone):
        refuse(f"its times are said to be {layout.zone}, and ⟦time_zone⟧ says {reading.time_zone}; leave it out")
    return layout


def _unnamed_layout(cells: Sequence[str], reading: Reading, refuse: Refuse) -> Layout:
    roles = ("time", *VALUE_ROLES)
    columns = {role: at for at, role in enumerate(roles)}
    names = {role: role for role in roles}
    if len(cells) == BINANCE_COLUMNS:
        return Layout("Binance klines without a header", columns, names)
    if len(cells) == QUOTE_COLUMNS and re.fullmatch(r"\d{8} \d{2}:\d{2}", cells[0]):
        return _quote_layout(reading, refuse)
    if len(cells) in (6, 7) and is_date(cells[0]) and ":" in cells[1] and is_clock(cells[1]):
        kept = ("time", "clock", *VALUE_ROLES)[: len(cells)]
        kind = f"{len(cells)} columns without a header: date, time of day, prices"
        return _prices_in_order(kind, kept)
    if len(cells) in (5, 6):
        layout = _prices_in_order(f"{len(cells)} columns without a header", roles[: len(cells)])
        return replace(layout, shares=re.fullmatch(r"\d{8} \d{2}:\d{2}", cells[0]) is not None)
    return refuse(
        f"there is no header, and {len(cells)} columns without names can be read in more than one way; add a header "
        f"line such as time,open,high,low,close,volume, or say what they are: {_COLUMNS_EXAMPLE} with - for a column "
        "to skip"
    )


def _prices_in_order(kind: str, roles: Sequence[str]) -> Layout:
    notes = () if "volume" in roles else ("no volume column: volume is 0",)
    columns = {role: at for at, role in enumerate(roles)}
    return Layout(kind, columns, {role: role for role in roles}, undecided=True, notes=notes)


def _quote_layout(reading: Reading, refuse: Refuse) -> Layout:
    """Time, five columns of bid, five of ask: what Oanda's and Lean's files of currencies hold."""
    if reading.side is None:
        refuse("it holds bid and ask quotes; choose with ⟦?side bid⟧, ⟦?side ask⟧ or ⟦?side mid⟧")
    first = 6 if reading.side == "ask" else 1
    columns = {"time": 0} | {role: first + at for at, role in enumerate(VALUE_ROLES)}
    label = "bid" if reading.side == "mid" else reading.side
    names = {"time": "time"} | {role: f"{label} {role}" for role in VALUE_ROLES}
    other = {role: 6 + at for at, role in enumerate(VALUE_ROLES)} if reading.side == "mid" else {}
    kind = "bid and ask quotes without a header (Oanda, Lean), times in UTC"
    return Layout(kind, columns, names, other, zone="UTC", quotes=True, decided=(f"side {reading.side}",))


def _named_layout(cells: Sequence[str], sample: Sequence[str], reading: Reading, refuse: Refuse) -> Layout:
    names = [normalised(cell) for cell in cells]
    header = ", ".join(cells)
    found = _roles_in(names, header, refuse)
    notes: list[str] = []
    if "time" not in found and not names[0]:
        found["time"] = ""
        notes.append("the first column, which has no name, has the times")
    columns = {role: names.index(name) for role, name in found.items()}
    clock = _clock_beside(names, sample)
    if clock is not None:
        columns["time"], columns["clock"] = clock
    lacking = [role for role in NEEDED_ROLES if role not in columns]
    if lacking:
        refuse(
            f"no column is named {' or '.join(lacking)} in the header {shown(','.join(cells))}; add a header line such "
            f"as time,open,high,low,close,volume, or say what the columns are: {_COLUMNS_EXAMPLE}"
        )
    if "volume" not in columns:
        _choose_volume(names, cells, columns, _symbol_of(columns, sample, reading), notes, refuse)
    spelled = {role: cells[at] or role for role, at in columns.items()}
    decided = _adjusted_or_not(names, cells, columns, spelled, reading, refuse)
    kind = _kind_of(names)
    ignored = [cell for at, cell in enumerate(cells) if cell and at not in columns.values()]
    of_time = [names[columns[role]] for role in ("time", "clock") if role in columns]
    zone = "UTC" if any(map(UTC_NAME.fullmatch, of_time)) else None
    if kind.startswith("Binance"):
        ignored = []
    notes += _notes_of(spelled, ignored)
    return Layout(kind, columns, spelled, zone=zone, decided=decided, notes=tuple(notes), ignored=tuple(ignored))


def _roles_in(names: Sequence[str], header: str, refuse: Refuse) -> dict[str, str]:
    """The name of each role that has one."""
    one_is_enough = (("time", TIME_NAMES), ("symbol", SYMBOL_NAMES))
    first = ((role, next((name for name in known if name in names), "")) for role, known in one_is_enough)
    found = {role: name for role, name in first if name}
    for role, tiers in VALUE_NAMES.items():
        of_tiers = [[name for name in tier if name in names] for tier in tiers]
        named = next((those for those in of_tiers if those), of_tiers[0])
        if len(named) > 1:
            refuse(f"more than one column may be {role} ({header}); leave one, or choose with {_COLUMNS_EXAMPLE}")
        if named:
            found[role] = named[0]
    ticks = [name for name in VALUE_NAMES["volume"][1] if name in names and name != found.get("volume")]
    if ticks:
        found["ticks"] = ticks[0]
    for role, name in found.items():
        if names.count(name) > 1:
            of_role = "the time" if role == "time" else role
            refuse(f"more than one column may be {of_role} ({header}); leave one, or choose with {_COLUMNS_EXAMPLE}")
    return found


def _clock_beside(names: Sequence[str], sample: Sequence[str]) -> tuple[int, int] | None:
    """Where date and time of day stand in two columns: their numbers. The cells tell, since names do not."""
    dates = [names.index(name) for name in DATE_NAMES if name in names]
    clocks = [names.index(name) for name in CLOCK_NAMES if name in names]
    for date in dates:
        for clock in clocks:
            if max(date, clock) < len(sample) and is_date(sample[date]) and is_clock(sample[clock]):
                return date, clock
    return None


def _symbol_of(columns: dict[str, int], sample: Sequence[str], reading: Reading) -> str:
    at = columns.get("symbol", len(sample))
    return normalised(reading.symbol or (sample[at] if at < len(sample) else ""))


def _choose_volume(
    names: Sequence[str], cells: Sequence[str], columns: dict[str, int], symbol: str, notes: list[str], refuse: Refuse
) -> None:
    """Of `Volume BTC` and `Volume USDT` that of what is traded, not of what it is paid with."""
    places = [at for at, name in enumerate(names) if name.startswith("volume")]
    if len(places) > 1:
        counted = {at: names[at].removeprefix("volume") for at in places}
        traded = [at for at, unit in counted.items() if unit and symbol.startswith(unit)]
        paid = [at for at, unit in counted.items() if unit and symbol.endswith(unit)]
        if not traded:
            traded = [at for at, unit in counted.items() if unit not in MONEY]
            paid = [at for at, unit in counted.items() if unit in MONEY]
        if len(traded) != 1 or len(paid) != len(places) - 1 or not counted[traded[0]]:
            header = ", ".join(cells)
            refuse(f"more than one column may be volume ({header}); leave one, or choose with {_COLUMNS_EXAMPLE}")
        notes.append(f"volume is that of {shown(cells[traded[0]])}, what is traded, not of what it is paid with")
        places = traded
    if places:
        columns["volume"] = places[0]


def _adjusted_or_not(
    names: Sequence[str],
    cells: Sequence[str],
    columns: dict[str, int],
    spelled: dict[str, str],
    reading: Reading,
    refuse: Refuse,
) -> tuple[str, ...]:
    """Which prices of the two a person chose, where the file has an adjusted close beside the one as traded."""
    places = [at for at, name in enumerate(names) if at not in columns.values() and is_adjusted_close(name)]
    if not places:
        return ()
    if len(places) > 1:
        refuse(f"more than one column may be the adjusted close ({', '.join(cells)}); leave one")
    [at] = places
    if reading.price is None:
        refuse(f"it holds prices as traded and {cells[at]}; choose with ⟦?price traded⟧ or ⟦?price adjusted⟧")
    if reading.price == "adjusted":
        columns["adjusted"], spelled["adjusted"] = at, cells[at]
    return (f"price {reading.price}",)


def _kind_of(names: Sequence[str]) -> str:
    if len(names) == BINANCE_COLUMNS and {"opentime", "closetime"} <= set(names):
        return "Binance klines with a header"
    if any(map(is_adjusted_close, names)):
        return "a header with an adjusted close"
    if "gmttime" in names or "localtime" in names:
        return "a header with Gmt time or Local time (Dukascopy)"
    return "a header that names the columns"


def _notes_of(spelled: dict[str, str], ignored: Sequence[str]) -> tuple[str, ...]:
    notes = [] if "volume" in spelled else ["no volume column: volume is 0"]
    if any(normalised(name).startswith("volume") for name in ignored) and "volume" in spelled:
        notes.append(f"volume is column {shown(spelled['volume'])}")
    if ignored:
        more = f" and {len(ignored) - NAMES_SHOWN} more" if len(ignored) > NAMES_SHOWN else ""
        notes.append(f"columns ignored: {', '.join(map(shown, ignored[:NAMES_SHOWN]))}{more}")
    return tuple(notes)


def _asked_layout(cells: Sequence[str], named: bool, asked: str, refuse: Refuse) -> Layout:
    items = [item.strip() for item in asked.split(",")]
    places = [_place_of(item, cells, named, refuse) if "=" in item else (item, at) for at, item in enumerate(items)]
    if any("=" in item for item in items) != all("=" in item for item in items):
        refuse(f"⟦columns {shown(asked)}⟧ mixes names in order with NAME=COLUMN; use one of them")
    if "=" not in asked and len(items) != len(cells):
        refuse(
            f"⟦columns {shown(asked)}⟧ names {len(items)} columns, and there are {len(cells)}; name all of them in "
            "order, with - for a column to skip"
        )
    columns: dict[str, int] = {}
    for role, at in places:
        if role == "-":
            continue
        if role not in _ROLES or role in columns:
            wrong = "comes twice" if role in columns else f"is none of {', '.join(_ROLES)} and -"
            refuse(f"⟦columns⟧: {shown(role)} {wrong}; write for example {_COLUMNS_EXAMPLE}")
        columns[role] = at
    if "date" in columns:  # A date beside a time makes that the time of day.
        if "time" in columns:
            columns["clock"] = columns["time"]
        columns["time"] = columns.pop("date")
    lacking = [role for role in NEEDED_ROLES if role not in columns]
    if lacking:
        refuse(f"⟦columns {shown(asked)}⟧ does not name {' and '.join(lacking)}; write for example {_COLUMNS_EXAMPLE}")
    names = {role: cells[at] if named else role for role, at in columns.items()}
    zone = "UTC" if named and UTC_NAME.fullmatch(normalised(names["time"])) else None
    notes = () if "volume" in columns else ("no volume column: volume is 0",)
    return Layout("columns as they were named", columns, names, zone=zone, decided=(f"columns {asked}",), notes=notes)


def _place_of(item: str, cells: Sequence[str], named: bool, refuse: Refuse) -> tuple[str, int]:
    """Role and column number of `ROLE=NAME` or `ROLE=NUMBER`."""
    role, _, place = (part.strip() for part in item.partition("="))
    at = [number for number, cell in enumerate(cells) if named and place in (cell, normalised(cell))]
    if not at and re.fullmatch(r"[0-9]{1,4}", place) and 1 <= int(place) <= len(cells):
        at = [int(place) - 1]
    if len(at) != 1:
        many = "more than one column is" if at else "no column is"
        there = ", ".join(cells[:NAMES_SHOWN]) if named else f"numbers 1 to {len(cells)}"
        refuse(f"⟦columns⟧: {many} {shown(place)}; there are {there}")
    return role, at[0]
