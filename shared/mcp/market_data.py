"""Market data for tools: which there is, which bars a backtest takes by itself, and bringing one's own."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from shared.errors import InvalidRequest
from shared.instants import INTERVAL_MS, read_instant_ms
from shared.mcp.fleet import ROOT, Fleet

# A run of more takes seconds; who wants it names the interval.
BARS_SENSIBLE = 200_000
_NAMED_MAX = 20


async def stored_series(fleet: Fleet, symbol: str | None = None) -> list[dict[str, Any]]:
    """Every stored series, or those of a symbol."""
    items: list[dict[str, Any]] = (await fleet.ask("GET", f"{ROOT}/data"))["items"]
    return [one for one in items if symbol is None or one["symbol"] == symbol]


async def usual_interval(fleet: Fleet, symbol: str, start: str, end: str) -> str:
    """The finest stored interval with no more than `BARS_SENSIBLE` bars in the dates, else the coarsest there is.

    Raises `InvalidRequest` for a symbol without bars, and for dates that are none.
    """
    start_ms, end_ms = read_instant_ms("start_date", start), read_instant_ms("end_date", end)
    every = await stored_series(fleet)
    found = sorted({one["interval"] for one in every if one["symbol"] == symbol}, key=INTERVAL_MS.__getitem__)
    if not found:
        known = sorted({one["symbol"] for one in every})
        there = f"there are bars of {', '.join(known[:_NAMED_MAX])}" if known else "there is none yet"
        more = ", and more" if len(known) > _NAMED_MAX else ""
        raise InvalidRequest.of(
            "asset_symbol",
            f"there is no market data of {symbol!a}; {there}{more}: name one, or bring it with import_market_data",
        )
    sensible = (one for one in found if math.ceil((end_ms - start_ms) / INTERVAL_MS[one]) <= BARS_SENSIBLE)
    return next(sensible, found[-1])


async def import_csv(fleet: Fleet, csv: str, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One report for each series in the text. Raises what an import asks: each choice with the option that says it."""
    boundary = uuid.uuid4().hex
    body = "".join(_part(boundary, f'name="{name}"', _written(value)) for name, value in options.items())
    body += _part(boundary, 'name="file"; filename="data.csv"', csv) + f"--{boundary}--\r\n"
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    answer = await fleet.ask("POST", f"{ROOT}/data/import", body=body.encode(), headers=headers)
    return answer["items"]


def _part(boundary: str, disposition: str, text: str) -> str:
    return f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{text}\r\n"


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def described(series: Sequence[Mapping[str, Any]]) -> str:
    """A line for each series."""
    return "\n".join(
        f"{one['symbol']} {one['interval']}: {one['bars']:,} bars, {one['start']} to {one['end']}" for one in series
    )
