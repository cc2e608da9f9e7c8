"""The tables of a backtest, as spreadsheets and data frames have them: which columns, and their values part by part."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Literal, NamedTuple

from pydantic.alias_generators import to_camel

from shared.findings import known, trade_columns
from shared.frames import Columns
from shared.instants import read_instant, to_ms

TableName = Literal["trades", "equity", "decisions"]
Kind = Literal["text", "integer", "number", "instant", "flag"]

# What is made into text at a time: few enough that the loop does not wait for Python's lock.
PART_ROWS = 1_000


class Column(NamedTuple):
    """`name` as on the wire. Instants are ms since 1970 until they are written."""

    name: str
    kind: Kind


Part = Mapping[str, list[Any]]


class Table(NamedTuple):
    """`parts` gives what makes the next rows, which is for a thread. What a part has no column for is empty."""

    columns: tuple[Column, ...]
    parts: AsyncIterator[Callable[[], Part]]


TRADE_COLUMNS = (
    Column("index", "integer"),
    Column("entryBar", "integer"),
    Column("exitBar", "integer"),
    Column("entryTime", "instant"),
    Column("exitTime", "instant"),
    Column("direction", "text"),
    Column("quantity", "number"),
    Column("entryPrice", "number"),
    Column("exitPrice", "number"),
    Column("fees", "number"),
    Column("pnl", "number"),
    Column("pnlPercent", "number"),
    Column("entryReason", "text"),
    Column("exitReason", "text"),
    Column("strategy", "text"),
)
EQUITY_COLUMNS = (Column("time", "instant"), Column("equity", "number"))
DECISION_COLUMNS = (
    Column("bar", "integer"),
    Column("time", "instant"),
    Column("strategy", "text"),
    Column("model", "text"),
    Column("mode", "text"),
    Column("action", "text"),
    Column("said.action", "text"),
    Column("said.sizeFraction", "number"),
    Column("said.stopLossPrice", "number"),
    Column("said.takeProfitPrice", "number"),
    Column("said.confidence", "number"),
    Column("said.reasoning", "text"),
    Column("decision.signal", "integer"),
    Column("decision.sizeFraction", "number"),
    Column("decision.stopPrice", "number"),
    Column("decision.targetPrice", "number"),
    Column("safety", "text"),
    Column("abstained", "flag"),
    Column("reason", "text"),
    Column("tokensIn", "integer"),
    Column("tokensOut", "integer"),
    Column("costUsd", "number"),
    Column("latencyMs", "number"),
    Column("stored", "flag"),
    Column("key", "text"),
    Column("decidedAt", "instant"),
)
CONTEXT_COLUMNS = (Column("system", "text"), Column("user", "text"), Column("raw", "text"))


async def trade_parts(trades: Columns, strategies: list[str]) -> AsyncIterator[Callable[[], Part]]:
    for begin in range(0, len(trades["pnl"]), PART_ROWS):
        yield lambda begin=begin: _trades(trades, begin, strategies)


def _trades(trades: Columns, begin: int, strategies: list[str]) -> Part:
    rows = {name: column[begin : begin + PART_ROWS] for name, column in trades.items()}
    times = {name: column for name, column in rows.items() if name.endswith("_ms")}
    told = trade_columns({name: column for name, column in rows.items() if name not in times}, strategies)
    told |= {to_camel(name.removesuffix("_ms")): column.tolist() for name, column in times.items()}
    return told | {"index": list(range(begin, begin + len(rows["pnl"])))}


async def equity_parts(equity: Columns) -> AsyncIterator[Callable[[], Part]]:
    for begin in range(0, len(equity["equity"]), PART_ROWS):
        rows = slice(begin, begin + PART_ROWS)
        yield lambda rows=rows: {"time": equity["time_ms"][rows].tolist(), "equity": known(equity["equity"][rows])}


async def decision_parts(pages: AsyncIterator[list[dict[str, Any]]]) -> AsyncIterator[Callable[[], Part]]:
    """Of pages as `GET …/decisions` tells them."""
    async for page in pages:
        yield lambda page=page: _decisions(page)


def _decisions(page: list[dict[str, Any]]) -> Part:
    columns: dict[str, list[Any]] = {}
    for column in (*DECISION_COLUMNS, *CONTEXT_COLUMNS):
        group, _, inner = column.name.rpartition(".")
        rows = [one[group] or {} for one in page] if group else page
        columns[column.name] = [one.get(inner) for one in rows]
    columns["safety"] = [" ".join(sentences) for sentences in columns["safety"]]
    for name in ("time", "decidedAt"):
        columns[name] = [to_ms(read_instant(text)) for text in columns[name]]
    return columns
