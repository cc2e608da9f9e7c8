"""All of it together, JSON-ready: what a page draws of a result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.analysis.ambiguity import ambiguous_bars
from shared.analysis.curves import calendar_returns, exposed, held, rolling_sharpe, underwater
from shared.analysis.distributions import excursions, histogram, thinned
from shared.analysis.groups import by_exit, by_hour, by_side, by_weekday, streaks
from shared.bars import Bars
from shared.findings import known, plot_rows
from shared.periods import day_ends

EXCURSIONS_MAX = 5_000
AMBIGUOUS_MAX = 1_000

Columns = Mapping[str, NDArray[Any]]
# What each field is, for the page of documentation: the function that computes it.
DRAWN: dict[str, Callable[..., Any]] = {
    "equity.drawdown": underwater,
    "equity.buyAndHold": held,
    "equity.exposure": exposed,
    "monthly`, `yearly": calendar_returns,
    "returnsHistogram`, `holdHistogram": histogram,
    "rollingSharpe": rolling_sharpe,
    "excursions": excursions,
    "tradesByExit": by_exit,
    "bySide": by_side,
    "byWeekday": by_weekday,
    "byHour": by_hour,
    "streaks": streaks,
    "ambiguousBars": ambiguous_bars,
}


class Tables(NamedTuple):
    """What is known of a result. `equity` has `time_ms` and `equity` of each bar, `trades` a row for each closed trade;
    `bars` are those of the equity, None where they cannot be had. `config` and `metrics` are the result's own."""

    equity: Columns
    trades: Columns
    bars: Bars | None
    config: Mapping[str, Any]
    metrics: Mapping[str, Any]

    @property
    def initial_capital(self) -> float:
        return float(self.config["initialCapital"])


def analyse(tables: Tables, points_max: int) -> dict[str, Any]:
    """At most `points_max` points of each curve. Takes as many numbers as there are bars and trades, a few times over:
    for a thread."""
    trades, pnl = tables.trades, tables.trades["pnl"]
    return {
        "equity": _equity(tables, points_max),
        **_calendar(tables),
        "returnsHistogram": _histogram(trades["pnl_percent"] / 100.0),
        "holdHistogram": _histogram(trades["exit_bar"] - trades["entry_bar"], 1.0),
        "rollingSharpe": _rolling_sharpe(tables, points_max),
        "excursions": _excursions(tables),
        "tradesByExit": by_exit(trades),
        "bySide": by_side(trades),
        "byWeekday": by_weekday(trades),
        "byHour": by_hour(trades),
        "streaks": streaks(pnl),
        "ambiguousBars": _ambiguous(tables),
    }


def _equity(tables: Tables, points_max: int) -> dict[str, Any]:
    """The curve as `plot_rows` thins it, and where it stood lowest below its highest."""
    equity, capital = tables.equity["equity"], tables.initial_capital
    fallen = underwater(equity, capital)
    rows = np.union1d(plot_rows(equity, max(points_max - 1, 2)), [np.argmin(fallen)])
    close = None if tables.bars is None else tables.bars.close
    left_open = bool(tables.metrics.get("openTrades"))
    return {
        "time": tables.equity["time_ms"][rows].tolist(),
        "equity": known(equity[rows]),
        "drawdown": known(fallen[rows]),
        "buyAndHold": None if close is None else known(held(close, capital)[rows]),
        "exposure": None if close is None or left_open else known(exposed(tables.trades, close, equity, rows)),
    }


def _calendar(tables: Tables) -> dict[str, Any]:
    time_ms, equity = tables.equity["time_ms"], tables.equity["equity"]
    monthly = calendar_returns(time_ms, equity, tables.initial_capital, of_months=True)
    yearly = calendar_returns(time_ms, equity, tables.initial_capital, of_months=False)
    by_month = zip(monthly.year.tolist(), monthly.month.tolist(), known(monthly.value), strict=True)
    by_year = zip(yearly.year.tolist(), known(yearly.value), strict=True)
    return {
        "monthly": [{"year": year, "month": month, "return": value} for year, month, value in by_month],
        "yearly": [{"year": year, "return": value} for year, value in by_year],
    }


def _histogram(values: NDArray[Any], least_width: float = 0.0) -> dict[str, Any]:
    found = histogram(values, least_width)
    return {"edges": known(found.edges), "counts": found.counts.tolist()}


def _rolling_sharpe(tables: Tables, points_max: int) -> dict[str, Any] | None:
    time_ms = tables.equity["time_ms"]
    ends = day_ends(time_ms, tables.metrics.get("periodsPerYear"))
    found = rolling_sharpe(ends, tables.equity["equity"], tables.initial_capital, points_max)
    if found is None:
        return None
    return {
        "time": time_ms[found.bars].tolist(),
        "value": known(found.value),
        "windowReturns": found.window_returns,
        "windowDays": found.window_days,
    }


def _excursions(tables: Tables) -> dict[str, Any] | None:
    if tables.bars is None:
        return None
    found = excursions(tables.trades, tables.bars, tables.config)
    returns = tables.trades["pnl_percent"] / 100.0
    rows = thinned((found.mae, found.mfe, returns), EXCURSIONS_MAX)
    return {
        "mae": known(found.mae[rows]),
        "mfe": known(found.mfe[rows]),
        "return": known(returns[rows]),
        "index": rows.tolist(),
        "total": returns.shape[0],
    }


def _ambiguous(tables: Tables) -> dict[str, Any]:
    total = tables.metrics.get("ambiguousBars")
    items: list[dict[str, int]] | None = None
    if total == 0:
        items = []
    elif total and tables.bars is not None:
        found = ambiguous_bars(tables.trades, tables.bars, tables.config, total)
        if found is not None:
            items = [{"time": time_ms} for time_ms in tables.bars.time_ms[found[:AMBIGUOUS_MAX]].tolist()]
    return {"items": items, "total": total}
