"""What came of a backtest, in the shapes that agents read: results, figures by name, comparisons."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from shared.errors import FieldError, InvalidRequest, summary
from shared.mcp.fleet import Fleet, path_of
from shared.wire import remedy_for

# What is compared where nothing is named.
COMPARED = (
    "totalReturn",
    "cagr",
    "sharpeRatio",
    "sortinoRatio",
    "maxDrawdown",
    "winRate",
    "profitFactor",
    "totalTrades",
)
_LESS_IS_BETTER = {
    *("volatility", "turnover", "totalFees", "ambiguousBars", "unfilledOrders", "openTrades"),
    *("maxDrawdownDuration", "maxConsecutiveLosses", "losingTrades"),
}
_NEITHER = {"totalTrades", "winningTrades", "periodsPerYear", "exposure", "beta", "averageHolding"}


async def results_of(fleet: Fleet, backtest_id: str, max_trades: int, max_points: int) -> dict[str, Any]:
    """Figures, trades and equity of one that has a result. Raises `NotFound`, `Conflict` where there is none (yet)."""
    state: dict[str, Any] = await fleet.ask("GET", path_of(backtest_id))
    result: dict[str, Any] = await fleet.ask("GET", path_of(backtest_id, "/result"))
    page = {"limit": max(max_trades, 1), "offset": 0}
    trades, equity = await asyncio.gather(
        fleet.ask("GET", path_of(backtest_id, "/trades"), query=page),
        fleet.ask("GET", path_of(backtest_id, "/equity"), query={"maxPoints": max_points}),
    )
    metrics: dict[str, Any] = result["metrics"]
    return {
        "backtest_id": backtest_id,
        "status": state["status"],
        "final_capital": metrics.get("finalEquity"),
        "total_return": metrics.get("totalReturn"),
        "metrics": metrics,
        "trades": trades["items"][:max_trades],
        "trades_total": trades["total"],
        "equity_curve": equity["points"],
        "config": result["config"],
        "dataset_hash": result["datasetHash"],
        "result_hash": result["resultHash"],
        "warnings": result["warnings"],
    }


def chosen(metrics: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Figures by the names they were asked for, `total_return` or `totalReturn`; all where none is named.

    Raises `InvalidRequest` for a name that is none.
    """
    if not names:
        return dict(metrics)
    known = {_plain(name): name for name in metrics}
    wrong = [
        FieldError(
            f"metrics.{index}", f"there is no figure of this name; {remedy_for(name, metrics)} (got {name[:64]!r})"
        )
        for index, name in enumerate(names)
        if _plain(name) not in known
    ]
    if wrong:
        raise InvalidRequest(summary(wrong), wrong)
    return {name: metrics[known[_plain(name)]] for name in names}


def _plain(name: str) -> str:
    return name.replace("_", "").casefold()


async def compare(fleet: Fleet, backtest_ids: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """Figures of several side by side, which is best at each, and what makes them hard to compare."""
    # One after the other: more at once would only wait for each other.
    results: list[dict[str, Any]] = [await fleet.ask("GET", path_of(one, "/result")) for one in backtest_ids]
    figures = [
        chosen(one["metrics"], names or [name for name in COMPARED if name in one["metrics"]]) for one in results
    ]
    rows = [
        {
            "backtest_id": backtest_id,
            "asset_symbol": one["config"]["symbol"],
            "interval": one["config"]["interval"],
            "start_date": one["config"]["startDate"],
            "end_date": one["config"]["endDate"],
            "strategies": one["config"]["strategies"],
            "parameters": one["config"].get("strategyParams", {}),
            "metrics": found,
        }
        for backtest_id, one, found in zip(backtest_ids, results, figures, strict=True)
    ]
    return {"backtests": rows, "best": _best(rows), "notes": _differences(results)}


def _best(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """By figure, the backtest that is best at it. A drawdown is negative: the nearest to zero is best."""
    best: dict[str, str] = {}
    for name in rows[0]["metrics"]:
        plain = next((one for one in _NEITHER | _LESS_IS_BETTER if _plain(one) == _plain(name)), name)
        known = [(row["metrics"].get(name), row["backtest_id"]) for row in rows]
        numbers = [(value, of) for value, of in known if isinstance(value, int | float)]
        if plain not in _NEITHER and len({value for value, _ in numbers}) > 1:
            best[name] = (min if plain in _LESS_IS_BETTER else max)(numbers)[1]
    return best


def _differences(results: Sequence[dict[str, Any]]) -> list[str]:
    configs = [one["config"] for one in results]
    notes = [
        f"they differ in {words}: their figures are of different things"
        for name, words in (("symbol", "symbol"), ("interval", "interval"), ("initialCapital", "initial capital"))
        if len({str(one.get(name)) for one in configs}) > 1
    ]
    if len({(one["effectiveStart"], one["effectiveEnd"]) for one in results}) > 1:
        notes.append("they cover different times")
    if len({one["resultHash"] for one in results}) < len(results):
        notes.append("some have the same result, trade for trade")
    return notes
