"""What browsers and strangers meet before anything is asked: origins, compression, sockets that say nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
import socketio
from socketio.exceptions import ConnectionError as SocketRefused

from shared.errors import StoreUnavailable
from shared.settings import Settings
from shared.store import Store
from tests.fleet import SYMBOL
from tests.gateway import BACKTESTS, BODY, Ear, Site, gateway_on, http_client, problem_of, site_on

MakeSettings = Callable[..., Settings]
APP = "https://app.example"
CANDLES = f"/api/algo/data/{SYMBOL}/1h/candles"
POLLING = "/socket.io/?EIO=4&transport=polling"


@pytest.fixture
async def site(any_mongodb_uri: str, any_redis_url: str, make_settings: MakeSettings) -> AsyncIterator[Site]:
    async with site_on(make_settings(cors_origins=(APP,))) as one:
        yield one


async def test_a_page_may_ask_with_our_headers_and_read_ours_also_of_refusals(site: Site) -> None:
    client = await site.client()
    for header in ("Authorization", "Idempotency-Key", "If-None-Match", "Content-Type"):
        asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": header.lower()}
        assert (await client.options(BACKTESTS, headers={"Origin": APP} | asked)).status_code == 200, header
    first = await client.get(CANDLES, headers={"Origin": APP})
    tag = {"If-None-Match": first.headers["etag"]}
    nobody = await site.client_with(None)
    answers = [
        first,
        await client.get(CANDLES, headers={"Origin": APP} | tag),
        await nobody.get(BACKTESTS, headers={"Origin": APP}),
        await client.get(f"{BACKTESTS}/bt_1", headers={"Origin": APP}),
        await client.put(BACKTESTS, headers={"Origin": APP}),
    ]
    assert [one.status_code for one in answers] == [200, 304, 401, 404, 405]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == APP
        exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
        assert {"etag", "location", "retry-after", "www-authenticate"} <= set(exposed)
        assert {"origin", "accept-encoding"} <= set(answer.headers["vary"].lower().split(", "))


async def test_a_page_of_the_gateway_itself_opens_a_socket_though_other_origins_are_set(site: Site) -> None:
    for origin, status in ((site.url, 200), (APP, 200), ("https://evil.example", 400)):
        async with http_client(site.url) as client:
            answer = await client.get(POLLING, headers={"Origin": origin})
            assert answer.status_code == status, origin
            assert answer.headers.get("access-control-allow-origin") == (origin if status == 200 else None)
    sio = socketio.AsyncClient(reconnection=False)
    await sio.connect(site.url, headers={"Origin": site.url}, auth={"token": site.token()}, transports=["websocket"])
    await sio.disconnect()


async def opened(site: Site, session: aiohttp.ClientSession, auth: dict[str, Any] | None = None) -> str:
    """The URL of a polling socket that is open, signed in if `auth` is given."""
    async with session.get(site.url + POLLING) as answer:
        assert answer.status == 200
        url = f"{site.url}{POLLING}&sid={json.loads((await answer.text())[1:])['sid']}"
    if auth is not None:
        async with session.post(url, data="40" + json.dumps(auth)) as posted, session.get(url) as polled:
            assert (posted.status, (await polled.text())[:2]) == (200, "40")
    return url


async def test_a_poll_ends_when_its_client_says_goodbye_and_what_it_is_told_is_compressed(site: Site) -> None:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        url = await opened(site, session, {"token": site.token()})
        body = BODY | {"strategies": [f"unknown-{number}" for number in range(10)], "strategyParams": {}}
        async with session.post(url, data='421["backtest:start",' + json.dumps(body) + "]") as posted:
            assert posted.status == 200
        async with session.get(url) as polled:
            assert (polled.status, polled.headers.get("content-encoding")) == (200, "gzip")
        waiting = asyncio.create_task(session.get(url))
        await asyncio.sleep(0.05)  # until it is there; were it not, it would be answered at once and test nothing
        assert not waiting.done()
        async with asyncio.timeout(5):
            async with session.post(url, data="1") as posted:
                assert posted.status == 200
            async with await waiting as polled:
                assert await polled.text() in ("", "6")


async def test_a_socket_that_does_not_sign_in_is_told_so_and_closed(
    any_mongodb_uri: str, any_redis_url: str, make_settings: MakeSettings
) -> None:
    async with site_on(make_settings(sign_in_timeout_s=1.5)) as site, aiohttp.ClientSession() as session:
        ear = await site.ear()
        raw = await session.ws_connect(f"{site.url}/socket.io/?EIO=4&transport=websocket")
        polling = await opened(site, session)
        waiting = asyncio.create_task(session.get(polling))  # It would be unknown if it were asked for afterwards.
        async with asyncio.timeout(10):
            said = [message.data async for message in raw if message.type is aiohttp.WSMsgType.TEXT]
            async with await waiting as polled:
                polled_text = await polled.text()
        for packets in (said[1:], polled_text.split("\x1e")):
            assert json.loads(packets[0].removeprefix("44"))["message"].startswith("unauthenticated: ")
            assert packets[1:] == ["1"]
        async with session.get(polling) as polled:
            assert polled.status == 400
        assert (await ear.call("backtest:start", BODY))["ok"], "who has signed in stays"


async def test_an_address_has_so_many_sockets_and_hears_why_it_gets_no_other(
    any_mongodb_uri: str, any_redis_url: str, make_settings: MakeSettings
) -> None:
    few = make_settings(anonymous_sockets_per_address_max=2, sockets_per_address_max=3, trusted_proxies=("127.0.0.1",))
    async with site_on(few) as site, aiohttp.ClientSession() as session:
        for _ in range(2):
            await opened(site, session)
        async with http_client(site.url) as client:
            refused = await client.get(POLLING, headers={"Origin": site.url})
            assert problem_of(refused, 429)["code"] == "too_many"
            assert refused.headers["retry-after"] == "10"
            assert refused.headers["access-control-allow-origin"] == site.url
            assert (await client.get(POLLING, headers={"X-Forwarded-For": "192.0.2.7"})).status_code == 200
        with pytest.raises(aiohttp.WSServerHandshakeError) as handshake:
            await session.ws_connect(f"{site.url}/socket.io/?EIO=4&transport=websocket")
        assert handshake.value.status == 429
        elsewhere = {"X-Forwarded-For": "192.0.2.8"}
        ears = [Ear() for _ in range(4)]
        for ear in ears[:3]:
            await ear.sio.connect(site.url, headers=elsewhere, auth={"token": site.token()}, transports=["websocket"])
        with pytest.raises(SocketRefused):
            await ears[3].sio.connect(site.url, headers=elsewhere, auth={"token": site.token()})
        await ears[0].sio.disconnect()
        await ears[3].sio.connect(site.url, headers=elsewhere, auth={"token": site.token()}, transports=["websocket"])
        for ear in ears[1:]:
            await ear.sio.disconnect()


async def connected(site: Site, user: str = "ann", **auth: Any) -> tuple[Ear, dict[str, Any]]:
    ear = Ear()
    await ear.sio.connect(site.url, auth={"token": site.token(user)} | auth, transports=["websocket"])
    return ear, await ear.hears_event("auth:ok")


async def submitted(site: Site, user: str = "ann") -> Any:
    await (await site.client(user)).post(BACKTESTS, json=BODY)
    return await site.claim()


async def test_who_comes_back_is_told_what_of_its_own_ended_meanwhile_and_nothing_twice_or_never(
    backends: Any, make_settings: MakeSettings
) -> None:
    async with site_on(make_settings()) as site:
        await site.finish(await submitted(site))
        first, greeting = await connected(site, since=None)
        assert (greeting["ended"], greeting["more"]) == ([], False)
        await first.sio.disconnect()
        await asyncio.sleep(0.002)  # an instant is told in whole milliseconds
        missed = await submitted(site)
        news = await site.finish(missed)
        await site.finish(await submitted(site, "eve"))
        late = await submitted(site)
        second, greeting = await connected(site, since=greeting["now"])
        [ended] = greeting["ended"]
        assert ended["backtestId"] == missed["_id"]
        assert (ended["status"], ended["resultId"]) == ("completed", news.result_id)
        assert ended["completedAt"] <= greeting["now"]
        live = await site.finish(late)
        assert await second.hears_event("backtest:complete") == live.as_wire()
        await second.sio.disconnect()
        assert [event for event, _ in second.told] == ["auth:ok", "backtest:complete"]


async def test_no_end_falls_between_the_list_and_what_is_heard(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    record = await submitted(site)
    read = Store.ended_since

    async def ends_meanwhile(store: Store, user_ids: list[str], since_ms: int) -> Any:
        found = await read(store, user_ids, since_ms)
        monkeypatch.setattr(Store, "ended_since", read)
        await site.finish(record)
        return found

    monkeypatch.setattr(Store, "ended_since", ends_meanwhile)
    ear, greeting = await connected(site, since=0)
    assert greeting["ended"] == []
    assert (await ear.hears_event("backtest:complete"))["backtestId"] == record["_id"]
    await ear.sio.disconnect()


async def test_a_list_is_bounded_and_says_so_and_is_null_where_it_is_not_known(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = [(await site.finish(await submitted(site))).backtest_id for _ in range(3)]
    for name in ("api.missed.ENDED_PAGE", "shared.store.ENDED_PAGE"):
        monkeypatch.setattr(name, 2)
    told: list[str] = []
    since, more = "2024-01-01T00:00:00Z", True
    while more:
        ear, greeting = await connected(site, since=since)
        await ear.sio.disconnect()
        assert 1 <= len(greeting["ended"]) <= 2
        told += [one["backtestId"] for one in greeting["ended"] if one["backtestId"] not in told]
        since, more = greeting["ended"][-1]["completedAt"], greeting["more"] and told != ended
    assert told == ended

    async def silent(*_: object) -> Any:
        raise StoreUnavailable("down")

    monkeypatch.setattr(Store, "ended_since", silent)
    ear, greeting = await connected(site, since=0)
    assert (greeting["ended"], greeting["more"]) == (None, True)
    await ear.sio.disconnect()


async def test_a_since_that_is_none_is_refused_by_its_name(site: Site) -> None:
    sio = socketio.AsyncClient(reconnection=False)
    reasons: list[Any] = []
    sio.on("connect_error", reasons.append)
    with pytest.raises(SocketRefused):
        await sio.connect(site.url, auth={"token": site.token(), "since": "yesterday"}, transports=["websocket"])
    assert reasons[0]["message"].startswith("invalid_request: ")
    assert "auth.since 'yesterday' is not" in reasons[0]["message"]
    await sio.disconnect()


async def test_long_answers_are_compressed(any_redis_url: str, make_settings: MakeSettings) -> None:
    async with gateway_on(make_settings()) as url, http_client(url) as client:
        answer = await client.get("/openapi.json")
        assert answer.headers["content-encoding"] == "gzip"
        assert int(answer.headers["content-length"]) < len(answer.content) / 3
