"""What a person may decide about how market data files are read, and the options that say it on a command line.

Apart from `shared.candles`, so that asking a command for help loads nothing that takes time.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

# The choices an option has, where they are few.
TimeUnit = Literal["s", "ms", "us", "ns", "excel"]
DateOrder = Literal["ymd", "dmy", "mdy"]
Side = Literal["bid", "ask", "mid"]
Price = Literal["adjusted", "traded"]
Decimal = Literal["point", "comma"]
TIME_UNITS: tuple[str, ...] = get_args(TimeUnit)
DATE_ORDERS: tuple[str, ...] = get_args(DateOrder)
SIDES: tuple[str, ...] = get_args(Side)
PRICES: tuple[str, ...] = get_args(Price)
DECIMALS: tuple[str, ...] = get_args(Decimal)
PRICE_SCALES = (1, 10_000)
SKIP_LINES_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything a person may decide about how files are read. What is None is recognised, or refused where it is not.

    `columns` says what the columns of a text are, from the first on: `time,open,-,close` with `-` for one to skip. Or
    it says where each is, by header name or number from 1: `time=Datum,open=2`. `time_zone` is the IANA name of the
    zone of times that have none. `session_zone` and `anchor` (`HH:MM`) say where and when days of trade begin.
    `calendar` names the exchange's whose holidays and hours say which bars are missing.
    `skip_lines` lines at the top of a text are none of its table. Prices are divided by `price_scale`. `decimal` says
    what stands before decimals, a point or a comma. `allow_gaps` also accepts series of which more than 1 % of the bars
    are missing, holidays apart. `drop_unfinished` leaves out a last bar that has begun and not ended. Values are
    checked by `read_files`.
    """

    symbol: str | None = None
    interval: str | None = None
    columns: str | None = None
    time_zone: str | None = None
    time_unit: str | None = None
    date_order: str | None = None
    side: str | None = None
    price: str | None = None
    price_scale: int | None = None
    decimal: str | None = None
    skip_lines: int | None = None
    session_zone: str | None = None
    anchor: str | None = None
    calendar: str | None = None
    allow_gaps: bool = False
    drop_unfinished: bool = True

    @property
    def anchor_ms(self) -> int | None:
        """Milliseconds after midnight. Raises `ValueError` for what is no time of day."""
        if self.anchor is None:
            return None
        if not re.fullmatch(r"([01]?[0-9]|2[0-3]):[0-5][0-9]", self.anchor):
            raise ValueError("is not a time of day, such as 17:00 or 09:30")
        hours, minutes = map(int, self.anchor.split(":"))
        return (hours * 60 + minutes) * 60_000


AS_RECOGNISED = Reading()
_NAMES = {one.name for one in fields(Reading)}


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """An option for every field of `Reading` but `symbol` and `interval`, which each command words its own way."""
    group = parser.add_argument_group("how files are read", "where there are two ways, one of these decides")
    group.add_argument("--columns", metavar="LIST", help="time,open,close,high,low,volume (- skips) or time=1,open=2")
    group.add_argument("--time-zone", metavar="ZONE", help="of times that have none: UTC, Europe/Berlin, …")
    group.add_argument("--time-unit", choices=TIME_UNITS, help="of unix times; excel: its day numbers")
    group.add_argument("--date-order", choices=DATE_ORDERS, help="of dates such as 03/04/2024")
    group.add_argument("--side", choices=SIDES, help="of bid and ask quotes")
    group.add_argument("--price", choices=PRICES, help="adjusted by Adj Close, or as traded")
    group.add_argument("--price-scale", type=int, choices=PRICE_SCALES, help="what prices are divided by")
    group.add_argument("--decimal", choices=DECIMALS, help="what stands before decimals: 1,234 is 1234 or 1.234")
    group.add_argument("--skip-lines", type=int, metavar="N", help="lines at the top that are none of the table")
    group.add_argument("--session-zone", metavar="ZONE", help="whose clock days of trade keep to: America/New_York, …")
    group.add_argument("--anchor", metavar="HH:MM", help="when they begin there: 17:00, 09:30, …")
    group.add_argument("--calendar", metavar="NAME", help="whose days and hours gaps are judged by: XNYS, XLON, …")
    group.add_argument(
        "--allow-gaps", action="store_true", help="also where more than 1 %% of the bars are missing, holidays apart"
    )
    group.add_argument(
        "--drop-unfinished",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="leave out a last bar that has not ended yet, instead of refusing it (default)",
    )


def reading_from(namespace: argparse.Namespace) -> Reading:
    """What the options of a command say; `symbol` and `interval` too, where it has them."""
    given: dict[str, Any] = {name: value for name, value in vars(namespace).items() if name in _NAMES}
    return Reading(**given)
