"""A result's trades in any order, and only those of a kind.

As they closed they are read page by page. In another order all of them are needed: the tables of the last results that
were looked at so are kept, and the orders that were asked of them, so that the next page costs no more than its rows.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic.alias_generators import to_camel

from api.in_turn import InTurn
from shared.frames import Columns
from shared.reasons import Reason
from shared.results import ResultDocument, Results, write_trades

KEPT_BYTES_MAX = 96 * 1024**2
ORDERS_MAX = 8  # of one result
_INDEX = "index"
_ORDERED = (
    *("entry_bar", "exit_bar", "entry_time_ms", "exit_time_ms", "quantity", "entry_price", "exit_price", "fees"),
    *("pnl", "pnl_percent"),
)
_COLUMNS = {to_camel(name.removesuffix("_ms")): name for name in _ORDERED}
_REASONS = {reason.wire: int(reason) for reason in Reason}

TradeSort = Literal[
    "index",
    "entryBar",
    "exitBar",
    "entryTime",
    "exitTime",
    "quantity",
    "entryPrice",
    "exitPrice",
    "fees",
    "pnl",
    "pnlPercent",
]
Direction = Literal["asc", "desc"]
Side = Literal["long", "short"]
TradeOutcome = Literal["win", "loss"]
ReasonName = Literal[
    "signal",
    "stop_loss",
    "take_profit",
    "trailing_stop",
    "reversal",
    "liquidation",
    "stopped_by_user",
    "end_of_data",
]


class Choice(NamedTuple):
    """Which trades, and in what order: equal ones as they closed. `index` is that order itself."""

    sort: TradeSort = "index"
    order: Direction = "asc"
    side: Side | None = None
    outcome: TradeOutcome | None = None
    exit_reason: ReasonName | None = None


AS_CLOSED = Choice()


class _Kept:
    def __init__(self, trades: Columns) -> None:
        self.trades = trades
        self.orders: OrderedDict[Choice, NDArray[np.int64]] = OrderedDict()

    @property
    def size(self) -> int:
        """In bytes."""
        held = [*self.trades.values(), *self.orders.values()]
        return sum(column.nbytes for column in held)


class Trades:
    """Pages of the trades of results."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._reading = InTurn()
        self._room = asyncio.Semaphore(1)  # for threads: two would take turns with the loop for Python's lock

    async def page(self, document: ResultDocument, choice: Choice, *, limit: int, offset: int) -> str:
        """JSON: `items`, `total` (of those that were chosen), `limit` and `offset`."""
        if choice == AS_CLOSED:
            return await self._results.read_trades(document, limit=limit, offset=offset)
        kept = await self._tables_of(document)
        order = kept.orders.get(choice)
        strategies: list[str] = document["config"]["strategies"]

        def write(order: NDArray[np.int64] | None) -> tuple[NDArray[np.int64], str]:
            rows = chosen_rows(kept.trades, choice) if order is None else order
            shown = rows[offset : offset + limit]
            columns = {name: column[shown] for name, column in kept.trades.items()}
            return rows, write_trades(columns, shown, strategies, total=len(rows), limit=limit, offset=offset)

        async with self._room:
            rows, text = await asyncio.to_thread(write, order)
        self._keep(document["_id"], kept, choice, rows)
        return text

    async def _tables_of(self, document: ResultDocument) -> _Kept:
        async with self._reading.turn_of(document["_id"]):
            kept = self._kept.get(document["_id"])
            if kept is None:
                kept = _Kept(await self._results.read_all_trades(document))
                self._hold(document["_id"], kept)
            return kept

    def _keep(self, result_id: str, kept: _Kept, choice: Choice, rows: NDArray[np.int64]) -> None:
        kept.orders[choice] = rows
        kept.orders.move_to_end(choice)
        while len(kept.orders) > ORDERS_MAX:
            kept.orders.popitem(last=False)
        self._hold(result_id, kept)

    def _hold(self, result_id: str, kept: _Kept) -> None:
        self._kept[result_id] = kept
        self._kept.move_to_end(result_id)
        while sum(one.size for one in self._kept.values()) > KEPT_BYTES_MAX:
            self._kept.popitem(last=False)


def chosen_rows(trades: Columns, choice: Choice) -> NDArray[np.int64]:
    """The rows of those that were chosen, in order. What is undefined comes last either way."""
    wanted: Any = np.ones(len(trades["pnl"]), np.bool_)
    if choice.side:
        wanted &= (trades["direction"] > 0) == (choice.side == "long")
    if choice.outcome:
        wanted &= trades["pnl"] > 0.0 if choice.outcome == "win" else trades["pnl"] < 0.0
    if choice.exit_reason:
        wanted &= trades["exit_reason"] == _REASONS[choice.exit_reason]
    rows = np.flatnonzero(wanted)
    if choice.sort == _INDEX:
        return rows if choice.order == "asc" else rows[::-1]
    values = trades[_COLUMNS[choice.sort]][rows]
    return rows[np.argsort(values if choice.order == "asc" else -values, kind="stable")]
