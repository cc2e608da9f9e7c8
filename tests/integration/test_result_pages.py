"""A stored result as pages look at it: curves and groups, and trades in any order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, get_args

import pytest

from api.routes.answers import TradePage
from api.routes.result_answers import Analysis
from api.trades import TradeSort
from shared.results import Results
from shared.settings import Settings
from tests.gateway import BACKTESTS, BARS, Site, fields_of, problem_of, site_on
from tests.integration.test_replays import ended, running


@pytest.fixture
async def site(
    any_mongodb_uri: str, any_redis_url: str, mongodb_database: str, make_settings: Callable[..., Settings]
) -> AsyncIterator[Site]:
    """One pair of backends: they only keep what is read."""
    async with site_on(make_settings()) as one:
        yield one


async def test_a_result_is_told_in_curves_and_groups(site: Site) -> None:
    client = await site.client()
    waiting = (await running(site))["_id"]
    assert "is running" in problem_of(await client.get(f"{BACKTESTS}/{waiting}/analysis"), 409)["detail"]
    backtest_id, curve, trades = await ended(site)
    path = f"{BACKTESTS}/{backtest_id}/analysis"
    told = (await client.get(path, params={"maxPoints": 100})).json()
    drawn = Analysis.model_validate(told)
    assert (drawn.backtest_id, drawn.result_hash, drawn.points) == (backtest_id, "sha256:1", 100)
    assert len(drawn.equity.time) <= 100
    assert [curve[at] for at in drawn.equity.time] == drawn.equity.equity
    assert drawn.equity.buy_and_hold is not None
    assert drawn.equity.buy_and_hold[0] == 10_000.0
    assert drawn.equity.exposure is not None
    assert drawn.excursions is not None
    assert drawn.excursions.return_ == pytest.approx([one["pnlPercent"] / 100 for one in trades])
    assert sum(one.count for one in drawn.trades_by_exit) == len(trades)
    assert drawn.ambiguous_bars.model_dump() == {"items": None, "total": None}
    whole = Analysis.model_validate((await client.get(path)).json())
    assert len(whole.equity.time) == BARS
    assert min(point for point in whole.equity.drawdown if point is not None) == min(told["equity"]["drawdown"])
    for wrong in ("2", "20001", "many"):
        assert fields_of(problem_of(await client.get(path, params={"maxPoints": wrong}), 422)) == {"maxPoints"}


async def test_a_result_whose_bars_are_gone_is_told_without_what_they_say(site: Site) -> None:
    client = await site.client()
    backtest_id, _, _ = await ended(site)
    mongo = site.database.mongo
    await mongo.collection("results").update_one({"backtestId": backtest_id}, {"$set": {"datasetHash": "sha256:0"}})
    drawn = Analysis.model_validate((await client.get(f"{BACKTESTS}/{backtest_id}/analysis")).json())
    assert (drawn.excursions, drawn.equity.buy_and_hold, drawn.equity.exposure) == (None, None, None)
    assert len(drawn.equity.equity) == BARS


async def test_trades_come_in_any_order_and_only_those_of_a_kind(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await site.client()
    backtest_id, _, rows = await ended(site)
    reads: list[str] = []
    read_all = Results.read_all_trades
    monkeypatch.setattr(
        Results, "read_all_trades", lambda self, result: reads.append(result["_id"]) or read_all(self, result)
    )
    trades = [{"index": at} | row for at, row in enumerate(rows)]
    path = f"{BACKTESTS}/{backtest_id}/trades"

    async def page(**query: Any) -> list[dict[str, Any]]:
        answer = await client.get(path, params={"limit": 25, **query})
        told = TradePage.model_validate(answer.json())
        offset = query.get("offset", 0)
        assert (told.limit, told.offset, len(told.items)) == (25, offset, max(0, min(25, told.total - offset)))
        return [{"total": told.total}, *told.items]

    assert (await page())[1:] == trades[:25]
    assert reads == []
    for sort in get_args(TradeSort):
        rising = sorted(trades, key=lambda one: one[sort])
        falling = sorted(trades, key=lambda one: one[sort], reverse=True)
        assert (await page(sort=sort, offset=10))[1:] == rising[10:35], sort
        assert (await page(sort=sort, order="desc"))[1:] == falling[:25], sort
    assert len(reads) == 1
    for query, wanted in (
        ({"side": "short"}, lambda one: one["direction"] == "short"),
        ({"outcome": "win"}, lambda one: one["pnl"] > 0),
        ({"outcome": "loss", "side": "long"}, lambda one: one["pnl"] < 0 and one["direction"] == "long"),
        ({"exitReason": "reversal"}, lambda one: True),
        ({"exitReason": "liquidation"}, lambda one: False),
    ):
        chosen = [one for one in trades if wanted(one)]
        assert await page(**query) == [{"total": len(chosen)}, *chosen[:25]], query
        by_pnl = sorted(chosen, key=lambda one: one["pnl"], reverse=True)
        assert await page(**query, sort="pnl", order="desc") == [{"total": len(chosen)}, *by_pnl[:25]], query
    assert 0 < len([one for one in trades if one["pnl"] < 0 and one["direction"] == "long"]) < len(trades)
    for name in ("sort", "order", "side", "outcome", "exitReason"):
        assert fields_of(problem_of(await client.get(path, params={name: "nonsense"}), 422)) == {name}
    assert len(reads) == 1
    await client.delete(f"{BACKTESTS}/{backtest_id}")
    problem_of(await client.get(path, params={"sort": "pnl"}), 404)
