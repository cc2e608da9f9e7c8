"""Which column of a file holds what: told by the names in its header, by its shape, or by the person who reads it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from shared.reading import Reading

VALUE_ROLES = ("open", "high", "low", "close", "volume")
NEEDED_ROLES = ("time", "open", "high", "low", "close")
_ROLES = ("time", *VALUE_ROLES, "symbol")
BINANCE_COLUMNS = 12
QUOTE_COLUMNS = 11
NAMES_SHOWN = 10
# Spellings are compared without case, blanks and punctuation. The first spelling that is there names the time.
_TIME_NAMES = (
    *("opentime", "opentimeutc", "timestamp", "timestamputc", "unix", "unixtime", "unixtimestamp", "epoch"),
    *("timeutc", "datetimeutc", "gmttime", "timegmt", "localtime", "time", "timems", "datetime", "dateutc", "date"),
    "day",
)
_UTC_NAME = re.compile(r"gmttime|.*(utc|gmt)")
_VALUE_NAMES = {
    "open": ("open", "o", "openprice"),
    "high": ("high", "h", "highprice", "max"),
    "low": ("low", "l", "lowprice", "min"),
    "close": ("close", "c", "closeprice"),
    "volume": ("volume", "vol", "v"),
}
_SYMBOL_NAMES = ("symbol", "ticker")
_SHOWN_LETTERS = 40
_COLUMNS_EXAMPLE = "⟦columns time,open,high,low,close,volume⟧"

Refuse = Callable[[str], NoReturn]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a file keeps what a bar is made of.

    `columns` has the column number of each role, `names` what errors call it. `mean_with` has the columns of the other
    side where the mean of two is asked for. `undecided`: whether the four prices stand as open, high, low, close or
    as open, close, high, low must be told from the bars; `columns` has the first. `zone` is what the file says of the
    zone of its times. `decided` is what a person chose, for the source of the series.
    """

    kind: str
    columns: dict[str, int]
    names: dict[str, str]
    mean_with: dict[str, int] = field(default_factory=dict[str, int])
    undecided: bool = False
    zone: str | None = None
    quotes: bool = False
    decided: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def shown(value: object) -> str:
    """A value as errors quote it."""
    text = str(value)
    return repr(text if len(text) <= _SHOWN_LETTERS else text[:_SHOWN_LETTERS] + "…")


def is_header(cells: Sequence[str]) -> bool:
    """Whether a first line names columns: no name is a number, and none of a time begins with a digit."""
    return not (re.match(r"\d", cells[0]) or any(map(_is_number, cells)))


def layout_of(cells: Sequence[str], named: bool, reading: Reading, refuse: Refuse) -> Layout:
    """The layout of a file whose first line (or column names) are `cells`; `named` says whether they are names."""
    if reading.columns is not None:
        layout = _asked_layout(cells, named, reading.columns, refuse)
    elif named:
        layout = _named_layout(cells, reading, refuse)
    else:
        layout = _unnamed_layout(cells, reading, refuse)
    if reading.side and not layout.quotes:
        refuse(f"⟦side {reading.side}⟧ is for bid and ask quotes, and these are none; leave it out")
    if reading.price and not any(one.startswith("price ") for one in layout.decided):
        refuse(f"⟦price {reading.price}⟧ needs a column Adj Close, and there is none; leave it out")
    if layout.zone and reading.time_zone not in (None, layout.zone):
        refuse(f"its times are said to be {layout.zone}, and ⟦time_zone⟧ says {reading.time_zone}; leave it out")
    return layout


def _normalise(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", cell) is not None


def _unnamed_layout(cells: Sequence[str], reading: Reading, refuse: Refuse) -> Layout:
    roles = ("time", *VALUE_ROLES)
    columns = {role: at for at, role in enumerate(roles)}
    names = {role: role for role in roles}
    if len(cells) == BINANCE_COLUMNS:
        return Layout("Binance klines without a header", columns, names)
    if len(cells) == QUOTE_COLUMNS and re.fullmatch(r"\d{8} \d{2}:\d{2}", cells[0]):
        return _quote_layout(reading, refuse)
    if len(cells) in (5, 6):
        kept = roles[: len(cells)]
        notes = () if len(cells) == len(roles) else ("no volume column: volume is 0",)
        kind = f"{len(cells)} columns without a header"
        return Layout(kind, {role: columns[role] for role in kept}, names, undecided=True, notes=notes)
    return refuse(
        f"there is no header, and {len(cells)} columns without names can be read in more than one way; add a header "
        f"line such as time,open,high,low,close,volume, or say what they are: {_COLUMNS_EXAMPLE} with - for a column "
        "to skip"
    )


def _quote_layout(reading: Reading, refuse: Refuse) -> Layout:
    """Time, five columns of bid, five of ask: what Oanda's and Lean's files of currencies hold."""
    if reading.side is None:
        refuse("it holds bid and ask quotes; choose with ⟦side bid⟧, ⟦side ask⟧ or ⟦side mid⟧")
    first = 6 if reading.side == "ask" else 1
    columns = {"time": 0} | {role: first + at for at, role in enumerate(VALUE_ROLES)}
    label = "bid" if reading.side == "mid" else reading.side
    names = {"time": "time"} | {role: f"{label} {role}" for role in VALUE_ROLES}
    other = {role: 6 + at for at, role in enumerate(VALUE_ROLES)} if reading.side == "mid" else {}
    kind = "bid and ask quotes without a header (Oanda, Lean), times in UTC"
    return Layout(kind, columns, names, other, zone="UTC", quotes=True, decided=(f"side {reading.side}",))


def _named_layout(cells: Sequence[str], reading: Reading, refuse: Refuse) -> Layout:
    names = [_normalise(cell) for cell in cells]
    header = ", ".join(cells)
    one_is_enough = (("time", _TIME_NAMES), ("symbol", _SYMBOL_NAMES))
    first = ((role, next((name for name in known if name in names), "")) for role, known in one_is_enough)
    found = {role: name for role, name in first if name}
    for role, spellings in _VALUE_NAMES.items():
        named = [name for name in spellings if name in names]
        if not named and role == "volume":
            named = [name for name in names if name.startswith("volume")]
        if len(named) > 1:
            refuse(f"more than one column may be {role} ({header}); leave one, or choose with {_COLUMNS_EXAMPLE}")
        if named:
            found[role] = named[0]
    for role, name in found.items():
        if names.count(name) > 1:
            of_role = "the time" if role == "time" else role
            refuse(f"more than one column may be {of_role} ({header}); leave one, or choose with {_COLUMNS_EXAMPLE}")
    lacking = [role for role in NEEDED_ROLES if role not in found]
    if lacking:
        refuse(
            f"no column is named {' or '.join(lacking)} in the header {shown(','.join(cells))}; add a header line such "
            f"as time,open,high,low,close,volume, or say what the columns are: {_COLUMNS_EXAMPLE}"
        )
    columns = {role: names.index(name) for role, name in found.items()}
    spelled = {role: cells[at] for role, at in columns.items()}
    kind = _kind_of(names)
    ignored = [cell for at, cell in enumerate(cells) if cell and at not in columns.values()]
    decided: tuple[str, ...] = ()
    if "adjclose" in names:
        if reading.price is None:
            refuse("it holds prices as traded and Adj Close; choose with ⟦price traded⟧ or ⟦price adjusted⟧")
        decided = (f"price {reading.price}",)
        if reading.price == "adjusted":
            columns["adjusted"] = names.index("adjclose")
            spelled["adjusted"] = cells[columns["adjusted"]]
            ignored.remove(spelled["adjusted"])
    zone = "UTC" if _UTC_NAME.fullmatch(found["time"]) else None
    notes = _notes_of(spelled, ignored if not kind.startswith("Binance") else [])
    return Layout(kind, columns, spelled, zone=zone, decided=decided, notes=notes)


def _kind_of(names: Sequence[str]) -> str:
    if len(names) == BINANCE_COLUMNS and {"opentime", "closetime"} <= set(names):
        return "Binance klines with a header"
    if "adjclose" in names:
        return "a header with Adj Close (Yahoo)"
    if "gmttime" in names or "localtime" in names:
        return "a header with Gmt time or Local time (Dukascopy)"
    return "a header that names the columns"


def _notes_of(spelled: dict[str, str], ignored: Sequence[str]) -> tuple[str, ...]:
    notes = [] if "volume" in spelled else ["no volume column: volume is 0"]
    if any(_normalise(name).startswith("volume") for name in ignored) and "volume" in spelled:
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
    lacking = [role for role in NEEDED_ROLES if role not in columns]
    if lacking:
        refuse(f"⟦columns {shown(asked)}⟧ does not name {' and '.join(lacking)}; write for example {_COLUMNS_EXAMPLE}")
    names = {role: cells[at] if named else role for role, at in columns.items()}
    zone = "UTC" if named and _UTC_NAME.fullmatch(_normalise(names["time"])) else None
    notes = () if "volume" in columns else ("no volume column: volume is 0",)
    return Layout("columns as they were named", columns, names, zone=zone, decided=(f"columns {asked}",), notes=notes)


def _place_of(item: str, cells: Sequence[str], named: bool, refuse: Refuse) -> tuple[str, int]:
    """Role and column number of `ROLE=NAME` or `ROLE=NUMBER`."""
    role, _, place = (part.strip() for part in item.partition("="))
    at = [number for number, cell in enumerate(cells) if named and place in (cell, _normalise(cell))]
    if not at and re.fullmatch(r"[0-9]{1,4}", place) and 1 <= int(place) <= len(cells):
        at = [int(place) - 1]
    if len(at) != 1:
        many = "more than one column is" if at else "no column is"
        there = ", ".join(cells[:NAMES_SHOWN]) if named else f"numbers 1 to {len(cells)}"
        refuse(f"⟦columns⟧: {many} {shown(place)}; there are {there}")
    return role, at[0]
