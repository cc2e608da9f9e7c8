"""What the name of a file says of the symbol and interval it holds."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared.instants import INTERVAL_MS

_SYMBOL = r"(?P<symbol>[A-Za-z0-9^][A-Za-z0-9._^=&!-]*?)"
_NAMED = re.compile(rf"{_SYMBOL}[-_](?P<interval>{'|'.join(INTERVAL_MS)})(?:[-_.].*)?")
_BARE = re.compile(r"[A-Z0-9^][A-Z0-9._^=&!]{0,39}(?:-[A-Z]{1,5})?")
_HISTDATA = re.compile(r"DAT_[A-Z]+_(?P<symbol>[A-Z]{6})_(?P<interval>M1)_\d+")
_METATRADER = re.compile(
    rf"{_SYMBOL}_(?P<interval>M1|M3|M5|M15|M30|H1|H2|H4|H6|H8|H12|D1|Daily|W1|Weekly)(?:_\d{{8,12}}){{0,2}}"
)
_STOOQ = re.compile(r"(?P<symbol>[a-z0-9^]{1,12}(?:_[a-z]{2})?)_(?P<interval>[dw])")
_INTERVALS = {"daily": "1d", "weekly": "1w", "d": "1d", "w": "1w"}
_KINDS = re.compile(r"\.(csv|txt|zip|gz|parquet|feather)", re.IGNORECASE)
# A ticker of a share, or a pair of currencies.
_SMALL = re.compile(r"\^?[a-z][a-z0-9]{0,4}(?:[.=][a-z]{1,3})?|[a-z]{3,5}(?:usd|usdt|usdc|eur|gbp|jpy|chf|btc)")
_ORDINARY = {
    *("ask", "bar", "bars", "bid", "btest", "chart", "close", "csv", "daily", "data", "date", "day", "days"),
    *("demo", "df", "dump", "file", "files", "first", "fx", "high", "hist", "hour", "hours", "in", "input"),
    *("last", "low", "main", "mid", "min", "month", "my", "new", "ohlc", "ohlcv", "old", "one", "open"),
    *("other", "out", "part", "price", "quote", "raw", "rows", "sheet", "small", "stock", "temp", "test"),
    *("tests", "tick", "ticks", "time", "times", "tmp", "today", "trade", "two", "vol", "week", "weeks"),
    *("year", "years"),
}


@dataclass(frozen=True, slots=True)
class Named:
    """`symbol` as the series is to be called; `interval` where the name says it too; `note` on what was made of it."""

    symbol: str
    interval: str | None = None
    note: str = ""


def named_by(file: str) -> Named | None:
    """What a file's name says, without its folders; None where it says nothing sure."""
    stem = _KINDS.sub("", re.split(r"[/\\]", file)[-1])
    if found := _NAMED.fullmatch(stem):
        return Named(found["symbol"], found["interval"])
    if found := _HISTDATA.fullmatch(stem) or _METATRADER.fullmatch(stem):
        return Named(found["symbol"], _interval_of(found["interval"]), _told(found["symbol"]))
    if found := _STOOQ.fullmatch(stem):
        symbol = found["symbol"].replace("_", ".").upper()
        return Named(symbol, _interval_of(found["interval"]), _told(symbol))
    if _BARE.fullmatch(stem):
        return Named(stem)
    if _SMALL.fullmatch(stem) and stem not in _ORDINARY:
        return Named(stem.upper(), note=_told(stem.upper()))
    return None


def _told(symbol: str) -> str:
    return f"symbol {symbol}, told from the file's name"


def _interval_of(written: str) -> str:
    """M15 as 15m, Daily as 1d."""
    small = written.lower()
    return _INTERVALS.get(small, f"{small[1:]}{small[0]}")
