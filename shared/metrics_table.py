"""The figures of a result that people look at first, as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

_FIRST: tuple[tuple[str, str, str], ...] = (
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
_OTHERS: tuple[tuple[str, str, str], ...] = (
    ("finalEquity", "equity at the end", "{:,.2f}"),
    ("volatility", "volatility a year", "{:,.2f} %"),
    ("calmarRatio", "Calmar ratio", "{:.2f}"),
    ("averageDrawdown", "average drawdown", "{:,.2f} %"),
    ("maxDrawdownDuration", "longest drawdown", "{:,.1f} days"),
    ("alpha", "alpha a year", "{:,.2f} %"),
    ("beta", "beta", "{:.2f}"),
    ("exposure", "time in a trade", "{:.1f} %"),
    ("turnover", "turnover a year", "{:,.2f} times"),
    ("winningTrades", "trades won", "{:,.0f}"),
    ("losingTrades", "trades lost", "{:,.0f}"),
    ("maxConsecutiveLosses", "most losses in a row", "{:,.0f}"),
    ("expectancy", "mean profit of a trade", "{:,.2f}"),
    ("averageTrade", "mean return of a trade", "{:,.2f} %"),
    ("bestTrade", "best trade", "{:,.2f} %"),
    ("worstTrade", "worst trade", "{:,.2f} %"),
    ("averageHolding", "mean time of a trade", "{:,.2f} days"),
    ("sqn", "system quality number", "{:.2f}"),
    ("kelly", "Kelly share", "{:,.1f} %"),
    ("openTrades", "trades left open", "{:,.0f}"),
    ("ambiguousBars", "bars of stop and target", "{:,.0f}"),
    ("unfilledOrders", "orders not filled", "{:,.0f}"),
    ("periodsPerYear", "periods a year", "{:,.1f}"),
)


def metrics_table(params: Mapping[str, Any], metrics: Mapping[str, Any], *, everything: bool = False) -> Table:
    """`params` and `metrics` as they stand on the wire; a figure that is null is called undefined.

    Ten figures, or `everything` there is, one without a label of its own under its name on the wire.
    """
    span = f"{params['startDate']} to {params['endDate']}"
    table = Table(title=f"{', '.join(params['strategies'])} on {params['symbol']} {params['interval']}, {span}")
    table.add_column("metric")
    table.add_column("value", justify="right")
    rows = _FIRST
    if everything:
        labelled = {name for name, *_ in (*_FIRST, *_OTHERS)}
        rows = (*_FIRST, *_OTHERS, *((name, name, "{:,.4g}") for name in metrics if name not in labelled))
    for name, label, form in rows:
        value = metrics.get(name)
        table.add_row(label, "undefined" if value is None else form.format(value))
    return table
