"""The dashboard in a real browser, on a real gateway, with a worker that runs what it asks for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from api.auth import mint_token
from shared.settings import Settings
from shared.users import Role
from tests.browser import DEADLINE_S, Answer, browser_or_skip, scenario
from tests.fleet import START_MS, Fleet, fleet_on, random_walk, request
from tests.gateway import BACKTESTS, gateway_on, http_client
from tests.proxy import Proxy

BARS = 2_000
MANY = "MANY"
MANY_BARS = 420_000
MINUTE_MS = 60_000
TRADES_LEAST = 200_000
ELEMENTS_MOST = 60


@dataclass
class Stage:
    """A fleet with a worker, a gateway, the way that browsers take to it, and a client of an admin."""

    fleet: Fleet
    http: httpx.AsyncClient
    proxy: Proxy
    url: str
    token: str

    async def play(self, name: str, answers: Mapping[str, Answer] | None = None, **more: Any) -> dict[str, Any]:
        return await scenario(name, answers, url=self.url, token=self.token, **more)

    async def submitted(self, **changes: Any) -> str:
        answer = await self.http.post(BACKTESTS, json=request(**changes).as_wire())
        assert answer.status_code == 202, answer.text
        return answer.json()["backtestId"]

    async def finished(self, **changes: Any) -> str:
        backtest_id = await self.submitted(**changes)
        await self.fleet.end_of(backtest_id, DEADLINE_S)
        return backtest_id


@pytest.fixture
async def stage(
    any_mongodb_uri: str,
    any_redis_url: str,
    mongodb_database: str,
    make_settings: Callable[..., Settings],
    tmp_path: Path,
) -> AsyncIterator[Stage]:
    browser_or_skip()
    settings = make_settings(stall_limit_s=60.0, lease_ttl_s=60.0)
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(fleet_on(settings, tmp_path, BARS))
        proxy = Proxy(await stack.enter_async_context(gateway_on(settings)))
        url = await stack.enter_async_context(proxy.running())
        token = mint_token(settings, "ann", 3_600)
        await fleet.database.users.add("ann", "", [Role.USER, Role.ADMIN])
        http = await stack.enter_async_context(
            http_client(url, headers={"Authorization": f"Bearer {token}"}, timeout=15)
        )
        fleet.start_worker()
        yield Stage(fleet, http, proxy, url, token)


async def test_every_page_at_three_widths_in_both_themes(stage: Stage) -> None:
    done = await stage.finished()
    routes = [
        ["#/backtests", "Backtests"],
        ["#/fleet", "Fleet"],
        ["#/new", "New backtest"],
        [f"#/live/{done}", ""],
        [f"#/result/{done}", ""],
        [f"#/compare?ids={done}", "Compare"],
        ["#/data", "Market data"],
        ["#/agents", "Agents"],
        ["#/keys", "Keys"],
        ["#/users", "Users"],
    ]
    assert await stage.play("pages", routes=routes) == {"found": [], "wrongs": []}


def told(value: float) -> str:
    """As the page writes money that was won or lost."""
    return f"{value:+,.2f}".replace("-", "\N{MINUS SIGN}")


async def test_a_result_with_two_hundred_thousand_trades_is_sorted_and_read_to_its_end(stage: Stage) -> None:
    minutes = random_walk(MANY_BARS)._replace(time_ms=START_MS + MINUTE_MS * np.arange(MANY_BARS))
    await stage.fleet.candles.import_bars(MANY, "1m", minutes, "synthetic")
    every_turn = {"rule": {"long": "close > open", "short": "close < open"}}
    run = {"symbol": MANY, "interval": "1m", "endDate": "2025-01-01", "stopLoss": None, "commission": {"rate": 0.0}}
    done = await stage.finished(**run, strategies=["rule"], strategyParams=every_turn)
    trades = f"{BACKTESTS}/{done}/trades"
    ask = {"sort": "pnl", "limit": 1}
    pages = [(await stage.http.get(trades, params=ask | {"order": order})).json() for order in ("asc", "desc")]
    least, greatest = (told(page["items"][0]["pnl"]) for page in pages)
    total = pages[0]["total"]
    assert total >= TRADES_LEAST
    found = await stage.play("trades", backtestId=done, total=total, least=least, greatest=greatest)
    assert found["rowCount"] == str(total + 1)
    assert greatest in found["sorted"]
    assert found["most"] <= ELEMENTS_MOST
    assert found["wrongs"] == []


def state_of(stage: Stage, backtest_id: str) -> Answer:
    """What the server says of a run, asked at this moment."""

    async def ask(_: dict[str, Any]) -> Any:
        said = (await stage.http.get(f"/api/backtest/{backtest_id}")).json()["state"]
        its = {"bar": said["currentCandleIndex"], "equity": said["currentCapital"], "status": said["status"]}
        return its | {"trades": said["metrics"]["totalTrades"], "drawdown": said["drawdown"]}

    return ask


def as_read(state: dict[str, Any]) -> dict[str, Any]:
    """Of what the server says, as many digits as the page shows."""
    return state | {name: round(state[name], 2) for name in ("equity", "drawdown")}


async def test_what_the_page_says_after_each_command_is_what_the_server_says(stage: Stage) -> None:
    run = await stage.submitted(startPaused=True)
    date, bar = "2024-02-01T00:00", 744  # The bar that opens then is the next.
    found = await stage.play("steered", {"server": state_of(stage, run)}, backtestId=run, date=date, bar=bar)
    assert [one["what"] for one in found["seen"]] == [
        "one bar",
        "ten bars",
        "one bar by key",
        "ten bars by key",
        "to a date",
        "one bar back",
        "played and paused",
        "another tab",
        "stepped in another tab",
        "to its end",
    ]
    ended = found["seen"][-1]
    assert ended["page"].pop("bar") is None, "of one that has ended it is not said"
    assert ended["server"].pop("bar") == BARS
    differing = [one for one in found["seen"] if as_read(one["page"]) != as_read(one["server"])]
    assert differing == []
    assert found["url"].endswith(f"#/result/{run}")
    assert found["wrongs"] == []


async def test_after_a_cut_in_mid_run_a_reload_and_elsewhere_the_picture_is_the_same(stage: Stage) -> None:
    run = await stage.submitted(startPaused=True, speed=150)

    async def cut(_: dict[str, Any]) -> bool:
        stage.proxy.away = True
        stage.proxy.cut()
        return True

    async def back(_: dict[str, Any]) -> bool:
        stage.proxy.away = False
        return True

    answers = {"server": state_of(stage, run), "cut": cut, "back": back}
    found = await stage.play("cut", answers, backtestId=run, cutAt=200, awayMs=1_000)
    kept = found["pictures"]["kept"]
    assert found["pictures"] == {"kept": kept, "reloaded": kept, "another": kept}
    assert as_read({name: kept[name] for name in found["server"]}) == as_read(found["server"])
    assert found["server"]["trades"] > 3
    assert found["wrongs"] == []


async def test_a_first_visit_runs_a_backtest_and_reads_what_came_of_it(stage: Stage) -> None:
    found = await stage.play("first_visit")
    run = found["backtestId"]
    ended = (await stage.http.get(f"{BACKTESTS}/{run}")).json()
    assert ended["status"] == "completed"
    export = await stage.http.get(f"{BACKTESTS}/{run}/export", params={"format": "csv"})
    assert found["csv"] == export.text
    assert run in found["file"]
    assert not found["tokenInUrl"]
    assert found["wrongs"] == []


async def test_every_refusal_stands_at_its_field(stage: Stage) -> None:
    cases = [
        {"label": "Fast", "value": "40"},
        {"label": "Fast", "value": "0"},
        {"label": "Until (UTC)", "value": "2023-01-01T00:00"},
        {"label": "Initial capital", "value": "-1"},
        {"label": "Leverage", "value": "1000"},
        {"label": "Max open trades", "value": "0"},
        {"label": "Slippage (basis points)", "value": "-2"},
    ]
    found = await stage.play("refusals", cases=cases)
    silent = [
        one for one in found["found"] if not (one["typed"]["words"] and one["pressed"]["words"] and one["stayed"])
    ]
    assert silent == []
    assert found["wrongs"] == []
    assert (await stage.http.get(BACKTESTS)).json()["items"] == []
