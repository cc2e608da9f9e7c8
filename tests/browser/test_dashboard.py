"""The dashboard in a real browser, on a real gateway, with a worker that runs what it asks for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.auth import mint_token
from shared.settings import Settings
from shared.users import Role
from tests.browser import browser_or_skip, scenario
from tests.fleet import Fleet, fleet_on, request
from tests.gateway import BACKTESTS, gateway_on, http_client
from tests.proxy import Proxy

BARS = 2_000


@dataclass
class Stage:
    """A fleet with a worker, a gateway, the way that browsers take to it, and the clients of two users."""

    fleet: Fleet
    http: httpx.AsyncClient
    proxy: Proxy
    url: str
    token: str
    admin: str

    async def play(self, name: str, **more: Any) -> dict[str, Any]:
        return await scenario(name, url=self.url, token=self.token, admin=self.admin, **more)

    async def submitted(self, **changes: Any) -> str:
        answer = await self.http.post(BACKTESTS, json=request(**changes).as_wire())
        assert answer.status_code == 202, answer.text
        return answer.json()["backtestId"]

    async def finished(self, **changes: Any) -> str:
        backtest_id = await self.submitted(**changes)
        await self.fleet.end_of(backtest_id)
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
        token, admin = (mint_token(settings, name, 3_600) for name in ("ann", "root"))
        await fleet.database.users.add("root", "", [Role.USER, Role.ADMIN])
        http = await stack.enter_async_context(
            http_client(url, headers={"Authorization": f"Bearer {token}"}, timeout=15)
        )
        fleet.start_worker()
        yield Stage(fleet, http, proxy, url, token, admin)


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
