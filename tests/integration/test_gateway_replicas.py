"""Two gateways on the same servers: what the one is asked, the other's sockets hear of, whatever Redis loses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
import redis.asyncio

from shared.settings import Settings
from tests.gateway import BACKTESTS, BODY, Site, gateway_on, site_on

ENDED = 20


@pytest.fixture
async def sites(
    any_mongodb_uri: str, any_redis_url: str, make_settings: Callable[..., Settings]
) -> AsyncIterator[tuple[Site, Site]]:
    async with site_on(make_settings()) as here, gateway_on(here.settings) as other_url:
        yield here, replace(here, url=other_url)


async def cut_subscriptions(site: Site) -> None:
    async with redis.asyncio.Redis.from_url(site.settings.redis_url.get_secret_value()) as raw:
        await raw.client_kill_filter(_type="pubsub")


async def posted(site: Site) -> None:
    assert (await (await site.client()).post(BACKTESTS, json=BODY)).status_code == 202


async def test_an_end_of_which_this_gateway_heard_nothing_is_told_after_the_break(sites: tuple[Site, Site]) -> None:
    here, there = sites
    ear, stranger = await here.ear(), await here.ear("eve")
    await posted(there)
    news = await here.finish(await here.claim(), publish=False)
    await cut_subscriptions(here)
    assert await ear.hears_event("backtest:complete", deadline_s=10) == news.as_wire()
    await cut_subscriptions(here)
    await posted(there)
    await here.finish(await here.claim())
    await ear.hears(lambda _, said: said["backtestId"] != news.backtest_id)
    assert ear.events_of(news.backtest_id) == ["backtest:complete"]
    assert stranger.told == []


async def test_while_subscriptions_break_all_the_time_every_end_is_told_once(sites: tuple[Site, Site]) -> None:
    here, there = sites
    ears = [await here.ear(), await here.ear(), await there.ear()]
    ended: list[str] = []
    for number in range(ENDED):
        await posted(there)
        record = await here.claim()
        if number % 2:
            await cut_subscriptions(here)
        ended.append((await here.finish(record)).backtest_id)
    for ear in ears:
        for backtest_id in ended:
            await ear.hears(lambda _, said, wanted=backtest_id: said["backtestId"] == wanted)
    await posted(there)
    last = await here.finish(await here.claim())
    for ear in ears:
        await ear.hears(lambda _, said: said["backtestId"] == last.backtest_id)
        assert sorted(said["backtestId"] for _, said in ear.told) == sorted([*ended, last.backtest_id])
