"""Results and market data as resources, each under a URI of its own."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote

from mcp_types import Resource, ResourceTemplate

from shared.errors import NotFound
from shared.mcp.answer import JSON_TYPE
from shared.mcp.fleet import BACKTESTS, ROOT, Fleet, series_path
from shared.mcp.market_data import described, stored_series
from shared.mcp.results import results_of

SCHEME = "backfleet://"
LISTED_MAX = 50
BARS_MAX = 500
_TRADES_MAX = 200
_POINTS_MAX = 200

TEMPLATES = (
    ResourceTemplate(
        name="result",
        title="Result of a backtest",
        uri_template=f"{SCHEME}results/{{id}}",
        description="Figures, trades and equity, as get_backtest_results gives them.",
        mime_type=JSON_TYPE,
    ),
    ResourceTemplate(
        name="bars",
        title="Bars of a series",
        uri_template=f"{SCHEME}data/{{symbol}}/{{interval}}",
        description=f"All of its time in at most {BARS_MAX} bars. A symbol with / or : is percent-encoded.",
        mime_type=JSON_TYPE,
    ),
)


async def list_resources(fleet: Fleet) -> list[Resource]:
    """The newest results and the stored series; of each kind at most `LISTED_MAX`."""
    page = await fleet.ask("GET", BACKTESTS, query={"status": "completed", "limit": LISTED_MAX})
    results = [
        Resource(
            name=one["backtestId"],
            uri=f"{SCHEME}results/{one['backtestId']}",
            title=f"{', '.join(one['params']['strategies'])} on {one['params']['symbol']}",
            description=f"{one['params']['startDate']} to {one['params']['endDate']}",
            mime_type=JSON_TYPE,
        )
        for one in page["items"]
    ]
    series = [
        Resource(
            name=f"{one['symbol']} {one['interval']}",
            uri=f"{SCHEME}data/{quote(one['symbol'], safe='')}/{one['interval']}",
            description=described([one]),
            mime_type=JSON_TYPE,
        )
        for one in (await stored_series(fleet))[:LISTED_MAX]
    ]
    return [*results, *series]


async def read_resource(fleet: Fleet, uri: str) -> Any:
    """Its JSON. Raises `NotFound` for a URI that names nothing, and what the gateway refuses."""
    match [unquote(part) for part in uri.removeprefix(SCHEME).split("/")] if uri.startswith(SCHEME) else []:
        case ["results", backtest_id] if backtest_id:
            return await results_of(fleet, backtest_id, _TRADES_MAX, _POINTS_MAX)
        case ["data", symbol, interval] if symbol and interval:
            return await fleet.ask("GET", series_path(symbol, interval), query={"maxPoints": BARS_MAX})
        case ["data"]:
            return {"items": await stored_series(fleet)}
        case ["strategies"]:
            return await fleet.ask("GET", f"{ROOT}/strategies")
        case _:
            raise NotFound(
                f"{uri[:200]!a} names nothing; write {SCHEME}results/{{id}} or {SCHEME}data/{{symbol}}/{{interval}}"
            )
