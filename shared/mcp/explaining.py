"""What a strategy saw when it opened and closed a trade: the bars around both, why, and what a model said."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from shared.errors import BackfleetError, InvalidRequest, Unavailable
from shared.instants import INTERVAL_MS, read_instant, write_instant
from shared.mcp.fleet import Fleet, path_of, series_path

_COLUMNS = ("time", "open", "high", "low", "close", "volume")
_DECISIONS_MAX = 25


async def explain(fleet: Fleet, backtest_id: str, trade: int, bars_around: int) -> dict[str, Any]:
    """Raises `NotFound`, `Conflict` without a result, `InvalidRequest` for a trade that there is not."""
    page = {"limit": 1, "offset": trade}
    trades = await fleet.ask("GET", path_of(backtest_id, "/trades"), query=page)
    if not trades["items"]:
        total = trades["total"]
        remedy = f"there are {total}: 0 to {total - 1}" if total else "it made none"
        raise InvalidRequest.of("trade", f"there is no such trade; {remedy} (got {trade})")
    found: dict[str, Any] = trades["items"][0]
    result = await fleet.ask("GET", path_of(backtest_id, "/result"))
    config: dict[str, Any] = result["config"]
    entry, leaving = await asyncio.gather(
        *(_bars_around(fleet, config, found[name], bars_around) for name in ("entryTime", "exitTime"))
    )
    decisions = await _decisions(fleet, backtest_id, found)
    return {
        "backtest_id": backtest_id,
        "trade": trade,
        "of": trades["total"],
        **found,
        "strategy": found.get("strategy") or ", ".join(config["strategies"]),
        "parameters": config.get("strategyParams", {}),
        "fill_at": config.get("fillAt", "open"),
        "around_entry": entry,
        "around_exit": leaving,
        **({"decisions": decisions} if decisions else {}),
    }


async def _bars_around(fleet: Fleet, config: dict[str, Any], time: str, bars: int) -> list[dict[str, Any]]:
    """The bars before and after an instant, as rows, that of the instant marked. Stretches without trade, as of nights
    and holidays, leave fewer."""
    step = timedelta(milliseconds=INTERVAL_MS[config["interval"]])
    middle = read_instant(time)
    query = {
        "from": write_instant(middle - bars * step),
        "to": write_instant(middle + (bars + 1) * step),
        "maxPoints": max(2 * bars + 1, 2),
    }
    try:
        columns = await fleet.ask("GET", series_path(config["symbol"], config["interval"]), query=query)
    except Unavailable:
        raise
    except BackfleetError:
        return []  # The bars are gone, or were replaced by others since.
    rows: list[dict[str, Any]] = [
        dict(zip(_COLUMNS, row, strict=True)) for row in zip(*(columns[name] for name in _COLUMNS), strict=True)
    ]
    return [row | {"here": True} if row["time"] == write_instant(middle) else row for row in rows]


async def _decisions(fleet: Fleet, backtest_id: str, trade: dict[str, Any]) -> list[dict[str, Any]]:
    """What a model decided from the signal that opened the trade to the one that closed it; else nothing."""
    first, last = max(int(trade["entryBar"]) - 1, 0), int(trade["exitBar"])
    found: dict[int, dict[str, Any]] = {}
    for after in sorted({first - 1, max(last - _DECISIONS_MAX, first) - 1}):  # of a long trade its begin and its end
        query = {"limit": _DECISIONS_MAX, "after": after}
        try:
            page = await fleet.ask("GET", path_of(backtest_id, "/decisions"), query=query)
        except Unavailable:
            raise
        except BackfleetError:
            return []
        found |= {one["bar"]: one for one in page["items"] if first <= one["bar"] <= last}
    return [found[bar] for bar in sorted(found)]
