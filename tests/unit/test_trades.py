"""Trades in any order: what is kept of them for the next page, and how much."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast, get_args

import numpy as np
import pytest

from api import trades as of_trades
from api.trades import Choice, ReasonName, Trades, TradeSort, chosen_rows
from shared.frames import Columns
from shared.reasons import Reason
from shared.results import ResultDocument, Results
from tests.stored import tables

ROWS = 60
BY_PNL = Choice("pnl", "desc")


class Shelf:
    """In place of the stored results."""

    def __init__(self) -> None:
        self.trades = tables(np.arange(500) * 3_600_000, trades=ROWS)[1]
        self.read: list[str] = []

    async def read_all_trades(self, result: ResultDocument) -> Columns:
        self.read.append(result["_id"])
        await asyncio.sleep(0)
        return {name: column.copy() for name, column in self.trades.items()}


def result(name: str) -> ResultDocument:
    return cast("ResultDocument", {"_id": name, "config": {"strategies": ["sma"]}})


async def page(trades: Trades, name: str, choice: Choice) -> dict[str, Any]:
    return json.loads(await trades.page(result(name), choice, limit=5, offset=0))


async def test_tables_are_read_once_and_the_oldest_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf()
    trades = Trades(cast("Results", shelf))
    one = sum(column.nbytes for column in shelf.trades.values()) + ROWS * 8
    monkeypatch.setattr(of_trades, "KEPT_BYTES_MAX", 2 * one)
    await asyncio.gather(*(page(trades, "a", BY_PNL) for _ in range(4)))
    await page(trades, "b", BY_PNL)
    await page(trades, "a", BY_PNL)
    assert shelf.read == ["a", "b"]
    await page(trades, "c", BY_PNL)  # and b is let go, which was asked for longest ago
    await page(trades, "a", BY_PNL)
    assert shelf.read == ["a", "b", "c"]
    await page(trades, "b", BY_PNL)
    assert shelf.read == ["a", "b", "c", "b"]
    monkeypatch.setattr(of_trades, "KEPT_BYTES_MAX", one - 1)
    for _ in range(2):  # one that is too large is not kept at all
        assert (await page(trades, "d", BY_PNL))["total"] == ROWS
    assert shelf.read[4:] == ["d", "d"]


async def test_only_so_many_orders_of_a_result_are_kept() -> None:
    trades = Trades(cast("Results", Shelf()))
    for sort in get_args(TradeSort):
        for order in ("asc", "desc"):
            await page(trades, "a", Choice(sort, order, "long"))
    assert len(trades._kept["a"].orders) == of_trades.ORDERS_MAX


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_what_is_undefined_comes_last_and_equal_ones_as_they_closed(order: Any) -> None:
    columns = {"pnl": np.array([1.0, np.nan, 2.0, 1.0, np.nan, 2.0])}
    rows = chosen_rows(columns, Choice("pnl", order)).tolist()
    assert rows == ([0, 3, 2, 5, 1, 4] if order == "asc" else [2, 5, 0, 3, 1, 4])


def test_every_reason_can_be_chosen() -> None:
    assert list(get_args(ReasonName)) == [reason.wire for reason in Reason]
