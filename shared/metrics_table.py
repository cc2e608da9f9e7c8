"""The figures of a result that people look at first, as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

_METRICS: tuple[tuple[str, str, str], ...] = (
    ("totalReturn", "total return", "{:,.2f} %"),
    ("buyAndHoldReturn", "buy and hold", "{:,.2f} %"),
    ("cagr", "growth a year", "{:,.2f} %"),
    ("sharpeRatio", "Sharpe ratio", "{:.2f}"),
    ("sortinoRatio", "Sortino ratio", "{:.2f}"),
    ("maxDrawdown", "largest drawdown", "{:,.2f} %"),
    ("totalTrades", "trades", "{:,.0f}"),
    ("winRate", "won", "{:.1f} %"),
    ("profitFactor", "profit factor", "{:.2f}"),
    ("totalFees", "fees paid", "{:,.2f}"),
)


def metrics_table(params: Mapping[str, Any], metrics: Mapping[str, Any]) -> Table:
    """`params` and `metrics` as they stand on the wire; a figure that is null is called undefined."""
    span = f"{params['startDate']} to {params['endDate']}"
    table = Table(title=f"{', '.join(params['strategies'])} on {params['symbol']} {params['interval']}, {span}")
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, label, form in _METRICS:
        value = metrics.get(name)
        table.add_row(label, "undefined" if value is None else form.format(value))
    return table
