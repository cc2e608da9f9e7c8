"""Every route, asked by everybody: who is let in, and who is told that it is not his.

A route that is new has to be entered here, with who may use it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any, get_args

import jwt
import pytest
from socketio.exceptions import ConnectionError as SocketRefused

from api.accounts import add_user
from api.passwords import Passwords
from shared.controls import Action
from shared.settings import Settings
from shared.users import Role, Scope, new_key
from tests.conftest import JWT_SECRET
from tests.gateway import BACKTESTS, BODY, Ear, Site, http_client, problem_of, site_on

PASSWORD = "four random words here"
ALGO = "/api/algo"
USER = "/api/users/{name}"
AGENT = "/api/agents/{agent_id}"
LLM_KEY = "/api/llm/keys/{provider}"
SESSION = "/api/backtest/{session_id}"
# What a route asks for: nothing; a token or a key of any kind; a scope; no key at all; the role admin.
NOTHING, ANY, READ, WRITE, DATA, PERSON, ADMIN = "nothing", "any", "read", "write", "data", "person", "admin"
ROUTES: dict[tuple[str, str], str] = {
    ("get", "/healthz"): NOTHING,
    ("get", "/readyz"): NOTHING,
    ("get", "/metrics"): NOTHING,
    ("post", "/api/auth/login"): NOTHING,
    ("post", "/api/auth/refresh"): NOTHING,
    ("post", "/api/auth/logout"): NOTHING,
    ("get", f"{ALGO}/backtest"): READ,
    ("post", f"{ALGO}/backtest"): WRITE,
    ("get", f"{ALGO}/backtest/{{backtest_id}}"): READ,
    ("delete", f"{ALGO}/backtest/{{backtest_id}}"): WRITE,
    ("get", f"{ALGO}/backtest/{{backtest_id}}/result"): READ,
    ("get", f"{ALGO}/backtest/{{backtest_id}}/equity"): READ,
    ("get", f"{ALGO}/backtest/{{backtest_id}}/trades"): READ,
    ("get", f"{ALGO}/backtest/{{backtest_id}}/analysis"): READ,
    ("get", f"{ALGO}/backtest/{{backtest_id}}/export"): READ,
    ("get", f"{ALGO}/backtest/{{backtest_id}}/logs"): READ,
    ("get", f"{ALGO}/backtest/{{backtest_id}}/candles"): READ,
    **{("post", f"{ALGO}/backtest/{{backtest_id}}/{action}"): WRITE for action in get_args(Action)},
    ("get", f"{ALGO}/backtest/{{backtest_id}}/decisions"): READ,
    ("post", f"{ALGO}/backtest/estimate"): READ,
    ("get", "/api/agents"): READ,
    ("post", "/api/agents"): WRITE,
    ("get", AGENT): READ,
    ("put", AGENT): WRITE,
    ("delete", AGENT): WRITE,
    ("get", "/api/llm/keys"): PERSON,
    ("get", LLM_KEY): PERSON,
    ("put", LLM_KEY): PERSON,
    ("delete", LLM_KEY): PERSON,
    ("get", "/api/backtest"): READ,
    ("post", "/api/backtest/create"): WRITE,
    ("get", SESSION): READ,
    **{("post", f"{SESSION}/{action}"): WRITE for action in ("start", "pause", "resume", "stop")},
    ("delete", SESSION): WRITE,
    ("post", "/api/v1/backtest/run"): WRITE,
    ("get", f"{ALGO}/fleet"): READ,
    ("get", f"{ALGO}/strategies"): READ,
    ("post", f"{ALGO}/strategies/validate"): READ,
    ("get", f"{ALGO}/data"): READ,
    ("post", f"{ALGO}/data/import"): DATA,
    ("post", f"{ALGO}/data/fetch"): DATA,
    ("get", f"{ALGO}/data/exchanges"): READ,
    ("get", f"{ALGO}/data/{{symbol}}/{{interval}}/candles"): READ,
    ("get", f"{ALGO}/data/{{symbol}}/{{interval}}/gaps"): READ,
    ("delete", f"{ALGO}/data/{{symbol}}/{{interval}}"): DATA,
    ("get", "/api/users/me"): ANY,
    ("post", "/api/users/me/password"): PERSON,
    ("get", "/api/users/me/keys"): PERSON,
    ("post", "/api/users/me/keys"): PERSON,
    ("delete", "/api/users/me/keys/{key_id}"): PERSON,
    ("get", "/api/users"): ADMIN,
    ("post", "/api/users"): ADMIN,
    ("get", USER): ADMIN,
    ("post", f"{USER}/disable"): ADMIN,
    ("post", f"{USER}/enable"): ADMIN,
    ("post", f"{USER}/password"): ADMIN,
    ("post", f"{USER}/roles"): ADMIN,
    ("get", f"{USER}/keys"): ADMIN,
    ("delete", f"{USER}/keys/{{key_id}}"): ADMIN,
}
EVERYTHING = {ANY, READ, WRITE, PERSON}
MAY: dict[str, set[str]] = {
    "nobody": set(),
    "nonsense": set(),
    "an expired token": set(),
    "a disabled user": set(),
    "a disabled user's key": set(),
    "a key that ended": set(),
    "a made-up key": set(),
    "a refresh token": set(),
    "a user": EVERYTHING,
    "another user": EVERYTHING,
    "a minted token": EVERYTHING,
    "a minted token that claims a role": EVERYTHING,
    "an admin": {*EVERYTHING, DATA, ADMIN},
    "a key that reads": {ANY, READ},
    "a key that writes": {ANY, WRITE},
    "a user's key for data": {ANY},
    "a user's key for everything": {ANY, READ, WRITE},
    "an admin's key that reads": {ANY, READ},
    "an admin's key for data": {ANY, DATA},
    "an admin's key for users": {ANY, ADMIN},
}
# The body of each that would be well, so that only who asks makes the difference, and that changes nothing here.
BODIES: dict[str, Any] = {
    f"{ALGO}/backtest/{{backtest_id}}/speed": {"speed": "max"},
    f"{ALGO}/backtest/{{backtest_id}}/seek": {"bar": 1},
    "/api/users/me/keys": {"name": "k", "scopes": ["read"]},
    "/api/users/me/password": {"password": "x", "newPassword": PASSWORD + "!"},
    "/api/users": {"name": "ann", "password": PASSWORD},
    f"{USER}/password": {"password": PASSWORD},
    f"{USER}/roles": {"roles": ["user"]},
    f"{ALGO}/strategies/validate": {"strategy": "sma"},
    f"{ALGO}/backtest": BODY,
    f"{ALGO}/backtest/estimate": BODY,
    LLM_KEY: {"key": "x"},
}


@pytest.fixture
async def site(any_mongodb_uri: str, any_redis_url: str, make_settings: Callable[..., Settings]) -> AsyncIterator[Site]:
    async with site_on(make_settings(shared_data_by="admins")) as one:
        yield one


async def credentials(site: Site) -> dict[str, str | None]:
    users, passwords = site.database.users, Passwords(site.settings)
    for name in ("ann", "bob", "dis"):
        await add_user(users, passwords, name, PASSWORD, [Role.USER])
    await add_user(users, passwords, "root", PASSWORD, [Role.USER, Role.ADMIN])
    now_ms = users.now_ms()

    async def key(user: str, *scopes: Scope, ttl_ms: int = 60_000_000) -> str:
        made = new_key(user, "k", scopes, now_ms, now_ms + ttl_ms)
        await users.add_key(made.document)
        return made.token

    async def login(name: str) -> dict[str, str]:
        async with http_client(site.url) as stranger:
            return (await stranger.post("/api/auth/login", json={"name": name, "password": PASSWORD})).json()

    disabled = (await login("dis"))["accessToken"]
    made = {
        "nobody": None,
        "nonsense": "nonsense",
        "an expired token": jwt.encode({"sub": "ann", "exp": int(time.time()) - 600}, JWT_SECRET),
        "a disabled user": disabled,
        "a disabled user's key": await key("dis", *Scope),
        "a key that ended": await key("ann", *Scope, ttl_ms=0),
        "a made-up key": new_key("ann", "k", [*Scope], now_ms, now_ms + 60_000).token,
        "a refresh token": (await login("ann"))["refreshToken"],
        "a user": (await login("ann"))["accessToken"],
        "another user": (await login("bob"))["accessToken"],
        "a minted token": site.token("stranger"),
        "a minted token that claims a role": jwt.encode(
            {"sub": "stranger", "exp": int(time.time()) + 600, "roles": ["admin"]}, JWT_SECRET
        ),
        "an admin": (await login("root"))["accessToken"],
        "a key that reads": await key("ann", Scope.READ),
        "a key that writes": await key("ann", Scope.WRITE),
        "a user's key for data": await key("ann", Scope.DATA),
        "a user's key for everything": await key("ann", *Scope),
        "an admin's key that reads": await key("root", Scope.READ),
        "an admin's key for data": await key("root", Scope.DATA),
        "an admin's key for users": await key("root", Scope.ADMIN),
    }
    await users.set_disabled("dis", True)
    assert made.keys() == MAY.keys()
    return made


async def test_every_route_lets_in_whom_it_should_and_nobody_else(site: Site) -> None:
    async with http_client(site.url, timeout=15) as stranger:
        schema = (await stranger.get("/openapi.json")).json()
        described = {(method, path) for path, methods in schema["paths"].items() for method in methods}
        assert described == ROUTES.keys()
        secured = {(method, path) for method, path in described if "security" in schema["paths"][path][method]}
        assert secured == {route for route, asks in ROUTES.items() if asks != NOTHING}
        wrong: list[str] = []
        for who, token in (await credentials(site)).items():
            for (method, path), asks in ROUTES.items():
                values = {
                    "backtest_id": "bt_1",
                    "session_id": "bt_1",
                    "symbol": "WALK",
                    "interval": "1h",
                    "name": "none",
                    "key_id": "none",
                    "agent_id": "none",
                    "provider": "none",
                }
                headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
                answer = await stranger.request(
                    method,
                    path.format_map(values),
                    json=BODIES.get(path, {}) if method in ("post", "put") and asks != DATA else None,
                    headers=headers,
                )
                if asks == NOTHING or asks in MAY[who]:
                    fits = answer.status_code not in (401, 403) and answer.status_code < 500
                    fits |= asks == NOTHING and answer.status_code == 401 and path.startswith("/api/auth/")
                else:
                    fits = answer.status_code == (403 if MAY[who] else 401)
                    problem_of(answer, answer.status_code)
                if not fits:
                    wrong.append(f"{who}: {method} {path} ({asks}): {answer.status_code} {answer.text[:200]}")
                assert token is None or token not in answer.text
        assert not wrong, "\n".join(wrong)


async def test_what_is_one_users_is_nobody_elses_not_even_an_admins(site: Site) -> None:
    made = await credentials(site)
    ann = await site.client_with(made["a user"])
    backtest_id = (await ann.post(BACKTESTS, json=BODY)).json()["backtestId"]
    key_id = (await ann.post("/api/users/me/keys", json={"name": "k", "scopes": ["read"]})).json()["keyId"]
    for who in ("another user", "a minted token", "an admin"):
        other = await site.client_with(made[who])
        for method, path in ROUTES:
            if "{backtest_id}" in path or "{session_id}" in path:
                its = path.format(backtest_id=backtest_id, session_id=backtest_id)
                asked = other.request(method, its, json=BODIES.get(path))
                problem_of(await asked, 404)
        problem_of(await other.delete(f"/api/users/me/keys/{key_id}"), 404)
        assert (await other.get(BACKTESTS)).json()["items"] == []
    assert (await ann.get(f"{BACKTESTS}/{backtest_id}")).status_code == 200
    root = await site.client_with(made["an admin"])
    assert (await root.delete(f"/api/users/ann/keys/{key_id}")).status_code == 204
    reading = await site.client_with(made["a key that reads"])
    assert (await reading.get(f"{BACKTESTS}/{backtest_id}")).status_code == 200
    problem_of(await reading.delete(f"{BACKTESTS}/{backtest_id}"), 403)


async def test_sockets_let_in_whom_they_should_and_nobody_else(site: Site) -> None:
    for who, token in (await credentials(site)).items():
        ear = Ear()
        auth = {} if token is None else {"token": token}
        if READ not in MAY[who]:
            reasons: list[Any] = []
            ear.sio.on("connect_error", reasons.append)
            with pytest.raises(SocketRefused):
                await ear.sio.connect(site.url, auth=auth, transports=["websocket"])
            assert reasons[0]["message"].startswith("forbidden: " if MAY[who] else "unauthenticated: "), who
            assert token is None or token not in str(reasons)
        else:
            await ear.sio.connect(site.url, auth=auth, transports=["websocket"])
            assert (await ear.call("backtest:start", BODY))["ok"] == (WRITE in MAY[who]), who
        await ear.sio.disconnect()


async def test_mcp_lets_in_whom_it_should_and_nobody_else(site: Site) -> None:
    hello = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    for who, token in (await credentials(site)).items():
        client = await site.client_with(token)
        answer = await client.post("/mcp", json=hello, headers={"Accept": "application/json"})
        if READ in MAY[who]:
            assert answer.status_code == 200, (who, answer.text)
        else:
            problem_of(answer, 403 if MAY[who] else 401)
        assert token is None or token not in answer.text


async def test_market_data_is_everybodys_where_a_setting_says_so(
    any_redis_url: str, any_mongodb_uri: str, make_settings: Callable[..., Settings]
) -> None:
    async with site_on(make_settings(shared_data_by="everybody")) as site:
        made = await credentials(site)
        path = f"{ALGO}/data/import"
        for who in ("a user", "a minted token", "a user's key for data"):
            answer = await (await site.client_with(made[who])).post(path)
            assert answer.status_code not in (401, 403), (who, answer.text)
        for who, status in (("a key that reads", 403), ("nobody", 401)):
            problem_of(await (await site.client_with(made[who])).post(path), status)
