"""How programs name their columns, and the first lines that hold the names."""

from __future__ import annotations

import re
from collections.abc import Sequence

VALUE_ROLES = ("open", "high", "low", "close", "volume")
NEEDED_ROLES = ("time", "open", "high", "low", "close")
# Spellings are compared without case, blanks and punctuation. The first spelling that is there names the time.
TIME_NAMES = (
    *("opentime", "opentimeutc", "timestamp", "timestamputc", "unix", "unixtime", "unixtimestamp", "epoch"),
    *("timeutc", "datetimeutc", "gmttime", "timegmt", "localtime", "time", "timems", "datetime", "dateutc", "date"),
    *("day", "dtyyyymmdd", "tradedate", "tradingdate", "tradingday"),
)
DATE_NAMES = ("date", "dtyyyymmdd", "day", "dateutc", "dategmt", "localdate", "tradedate", "tradingdate", "tradingday")
CLOCK_NAMES = ("time", "timeutc", "utctime", "gmttime", "timegmt", "localtime", "bartime", "timeofday", "hour")
UTC_NAME = re.compile(r"gmttime|.*(utc|gmt)")
SYMBOL_NAMES = ("symbol", "ticker")
# Of the sets of a role, those of the first are names of it whatever stands beside them.
VALUE_NAMES = {
    "open": (("open", "o", "openprice"), ("opening", "openingprice", "openbid", "bidopen")),
    "high": (("high", "h", "highprice", "max"), ("highbid", "bidhigh", "dayhigh", "highest")),
    "low": (("low", "l", "lowprice", "min"), ("lowbid", "bidlow", "daylow", "lowest")),
    "close": (
        ("close", "c", "closeprice"),
        ("last", "closelast", "price", "lastprice", "closing", "closingprice", "closebid", "bidclose"),
    ),
    "volume": (("volume", "vol", "v"), ("tickvol", "tickvolume")),
}
# What volume is counted in where it is money, and not what is traded.
MONEY = {"usd", "usdt", "usdc", "busd", "tusd", "fdusd", "dai", "eur", "gbp", "jpy", "chf", "krw", "try", "aud", "cad"}
_NUMBERED = re.compile(r"^\d+\. ")


def normalised(name: str) -> str:
    """Without case, blanks, punctuation and the number that some programs put before it."""
    return re.sub(r"[^a-z0-9]", "", _NUMBERED.sub("", name).lower())


def is_adjusted_close(name: str) -> bool:
    """Whether a normalised name is that of the close adjusted for splits and dividends: Adj Close, adjusted_close, …"""
    return "adj" in name and ("clos" in name or re.fullmatch(r"adj(usted)?(price)?", name) is not None)


def is_header(cells: Sequence[str]) -> bool:
    """Whether a first line names columns: no name is a number, and none of a time begins with a digit."""
    return not (re.match(r"\d(?!\. )", cells[0]) or any(map(is_number, cells)))


def is_number(cell: str) -> bool:
    return re.fullmatch(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", cell) is not None


def names_bars(cells: Sequence[str]) -> bool:
    """Whether a line names all that a bar is made of, so that lines above it are none of the table."""
    names = [normalised(cell) for cell in cells]
    if not is_header(cells) or not (set(TIME_NAMES) & set(names) or not names[0]):
        return False
    return all(any(name in names for tier in VALUE_NAMES[role] for name in tier) for role in NEEDED_ROLES[1:])


def is_clock(cell: str) -> bool:
    """Whether a cell holds a time of day and no date: 9:30, 09:30:00.000, 9:30 PM, 093000."""
    found = re.fullmatch(r"(?i:(\d{1,2}):(\d{2})(:\d{2}(\.\d+)?)?( ?[AP]\.?M\.?)?|\d{1,6})", cell.strip())
    return found is not None


def is_date(cell: str) -> bool:
    """Whether a cell holds a date and no time of day."""
    part = "[0-9A-Za-z]{1,9}"
    return re.fullmatch(rf"\d{{8}}|{part}[-/. ]{part},?[-/. ]{{1,2}}[0-9A-Za-z]{{1,4}}", cell.strip()) is not None
