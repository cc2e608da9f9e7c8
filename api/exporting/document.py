"""All of a backtest as one JSON object, and as a page that needs nobody to be read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from importlib.resources import files
from typing import Any

from api.exporting.tables import PART_ROWS
from api.lacking import NotInstalled
from shared.findings import iso_column, known, trade_columns
from shared.frames import Columns
from shared.results import json_rows

REPORT_TRADES_MAX = 20_000
PLACE = '<script type="application/json" id="report-data">null</script>'
_BEGIN, _END = PLACE.split("null")
# Nothing of this can end the element that it stands in, nor begin a comment there, nor break a line of a script.
_ESCAPED = {ord(one): f"\\u{ord(one):04x}" for one in "<>&\u2028\u2029"}

Texts = AsyncIterator[str]


def dumped(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


async def object_pieces(fields: Mapping[str, str | Texts]) -> AsyncGenerator[str]:
    """A JSON object of fields that are written already, or lists that come piece by piece, without brackets."""
    before = "{"
    for name, value in fields.items():
        yield f"{before}{dumped(name)}:"
        before = ","
        if isinstance(value, str):
            yield value
            continue
        yield "["
        async for piece in value:
            yield piece
        yield "]"
    yield "}"


async def encoded(pieces: AsyncIterator[str]) -> AsyncGenerator[bytes]:
    async for piece in pieces:
        yield piece.encode("utf-8", "replace")


async def equity_rows(equity: Columns) -> AsyncGenerator[str]:
    def write(rows: slice) -> str:
        points = {"time": iso_column(equity["time_ms"][rows]), "equity": known(equity["equity"][rows])}
        return "".join(json_rows(points))

    async for piece in _by_parts(write, len(equity["equity"])):
        yield piece


async def trade_rows(trades: Columns, strategies: list[str], most: int | None = None) -> AsyncGenerator[str]:
    """As `GET …/trades` tells them: all, or the first ones."""
    total = len(trades["pnl"]) if most is None else min(len(trades["pnl"]), most)

    def write(rows: slice) -> str:
        part = {name: column[rows] for name, column in trades.items()}
        return "".join(json_rows({"index": list(range(rows.start, rows.stop)), **trade_columns(part, strategies)}))

    async for piece in _by_parts(write, total):
        yield piece


async def _by_parts(write: Callable[[slice], str], total: int) -> AsyncGenerator[str]:
    for begin in range(0, total, PART_ROWS):
        piece = await asyncio.to_thread(write, slice(begin, min(begin + PART_ROWS, total)))
        yield f",{piece}" if begin else piece


async def item_rows(pages: AsyncIterator[list[dict[str, Any]]]) -> AsyncGenerator[str]:
    """Of lists of objects, which come a page at a time."""
    first = True
    async for page in pages:
        if page:
            rows = await asyncio.to_thread(dumped, page)
            yield rows[1:-1] if first else f",{rows[1:-1]}"
            first = False


def read_template() -> tuple[str, str]:
    """The page before its data, and after it. Raises `NotInstalled` where it has not been built."""
    remedy = "ask for format=json, or have the dashboard built (make dashboard) where this gateway runs"
    try:
        page = (files("api") / "dashboard" / "static" / "report.html").read_text("utf-8")
    except FileNotFoundError:
        raise NotInstalled(f"this gateway has no page to put the data into; {remedy}") from None
    before, _, after = page.partition(PLACE)
    if not after or PLACE in after:
        raise NotInstalled(f"the page of this gateway has not exactly one place for the data; {remedy}")
    return before + _BEGIN, _END + after


async def page_pieces(template: tuple[str, str], pieces: AsyncIterator[str]) -> AsyncGenerator[str]:
    """The page with the JSON in its place."""
    yield template[0]
    async for piece in pieces:
        yield piece.translate(_ESCAPED)
    yield template[1]
