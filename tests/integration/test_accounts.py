"""Logging in and keeping users and keys, over HTTP and sockets, on real servers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import jwt
import pytest
import redis.asyncio
from argon2 import PasswordHasher
from socketio.exceptions import ConnectionError as SocketRefused

from api import accounts, gate, limits, revocation
from api.account_requests import AddUserRequest
from api.passwords import Passwords
from api.routes.account_answers import Key, Keys, LoggedIn, Me, NewKey, User, UserPage
from shared.settings import Settings
from shared.users import Role
from tests.conftest import JWT_SECRET
from tests.gateway import BACKTESTS, BODY, Ear, Site, fields_of, gateway_on, http_client, problem_of, site_on

MakeSettings = Callable[..., Settings]
PASSWORD = "four random words here"
LOGIN, REFRESH, LOGOUT = (f"/api/auth/{verb}" for verb in ("login", "refresh", "logout"))
ME, KEYS = "/api/users/me", "/api/users/me/keys"


@pytest.fixture
async def site(any_mongodb_uri: str, any_redis_url: str, make_settings: MakeSettings) -> AsyncIterator[Site]:
    async with site_on(make_settings()) as one:
        yield one


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was known of a user counts for a moment only, and sockets are looked at at once."""
    monkeypatch.setattr(gate, "FRESH_S", 0.0)
    monkeypatch.setattr(revocation, "LOOK_AGAIN_S", 0.05)


async def add(site: Site, name: str, *roles: Role) -> None:
    passwords = Passwords(site.settings)
    await accounts.add_user(site.database.users, passwords, name, PASSWORD, roles or (Role.USER,))


async def log_in(site: Site, name: str = "ann", password: str = PASSWORD) -> httpx.Response:
    async with http_client(site.url, timeout=15) as stranger:
        return await stranger.post(LOGIN, json={"name": name, "password": password})


class Person:
    """A client that has logged in, and can say so again."""

    def __init__(self, http: httpx.AsyncClient, tokens: dict[str, Any]) -> None:
        self.http = http
        self.tokens = tokens

    async def key(self, *scopes: str) -> str:
        answer = await self.http.post(KEYS, json={"name": "robot", "scopes": scopes})
        assert answer.status_code == 201, answer.text
        return answer.json()["key"]


async def person(site: Site, name: str = "ann", *roles: Role) -> Person:
    await add(site, name, *roles)
    answer = await log_in(site, name)
    assert answer.status_code == 200, answer.text
    return Person(await site.client_with(answer.json()["accessToken"]), answer.json())


async def refreshed(site: Site, token: str) -> httpx.Response:
    return await (await site.client_with(None)).post(REFRESH, json={"refreshToken": token})


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_who_logs_in_gets_tokens_that_work_everywhere(backends: Any, make_settings: MakeSettings) -> None:
    async with site_on(make_settings(jwt_audience="backfleet", jwt_issuer="https://us.example")) as site:
        ann = await person(site, "ann", Role.USER, Role.ADMIN)
        told = LoggedIn.model_validate(ann.tokens)
        claims = jwt.decode(told.access_token, JWT_SECRET, ["HS256"], audience="backfleet", issuer="https://us.example")
        assert (claims["sub"], claims["roles"]) == ("ann", ["user", "admin"])
        assert claims["exp"] - claims["iat"] == told.expires_in == 900
        me = Me.model_validate((await ann.http.get(ME)).json())
        assert (me.name, me.roles, me.known, me.scopes) == ("ann", ["user", "admin"], True, None)
        assert (await ann.http.post(BACKTESTS, json=BODY)).status_code == 202
        ear = Ear()
        await ear.sio.connect(site.url, auth={"token": told.access_token}, transports=["websocket"])
        assert (await ear.call("backtest:start", BODY))["ok"]
        await ear.sio.disconnect()


async def test_answers_with_secrets_are_not_cached(site: Site) -> None:
    ann = await person(site)
    again = await ann.http.post(REFRESH, json={"refreshToken": ann.tokens["refreshToken"]})
    key = await ann.http.post(KEYS, json={"name": "robot", "scopes": ["read"]})
    for answer in (again, key, await log_in(site)):
        assert answer.headers["cache-control"] == "no-store"


async def test_an_unknown_name_a_wrong_password_and_a_disabled_user_are_not_told_apart(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes: list[str] = []
    verify = PasswordHasher.verify

    def counted(self: PasswordHasher, kept: str, password: bytes) -> bool:
        hashes.append(kept)
        return verify(self, kept, password)

    for name in ("ann", "dis"):
        await add(site, name)
    await site.database.users.add("outside", "", [Role.USER])
    await site.database.users.set_disabled("dis", True)
    monkeypatch.setattr(PasswordHasher, "verify", counted)
    answers: list[dict[str, Any]] = []
    tried = [("ann", "wrong"), ("nobody", PASSWORD), ("dis", PASSWORD), ("dis", "wrong"), ("outside", ""), ("$", "x")]
    for number, (name, password) in enumerate(tried, 1):
        answers.append(problem_of(await log_in(site, name, password or "x"), 401))
        assert len(hashes) == number, "one hash, whatever was wrong"
    assert all(answer == answers[0] for answer in answers)
    assert "ann" not in str(answers[0])


async def test_a_refresh_token_is_good_once_and_its_reuse_ends_the_login(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    first = (await person(site)).tokens["refreshToken"]
    second = (await refreshed(site, first)).json()
    assert (await refreshed(site, first)).status_code == 200, "the answer may have been lost"
    problem_of(await refreshed(site, second["refreshToken"]), 401)
    problem_of(await refreshed(site, first), 401)
    assert "used again" in caplog.text
    for secret in (first, second["refreshToken"], second["accessToken"]):
        assert secret not in caplog.text


async def test_logging_out_ends_the_login_and_is_always_well(site: Site) -> None:
    ann = await person(site)
    other = (await log_in(site)).json()["refreshToken"]
    for token in (ann.tokens["refreshToken"], ann.tokens["refreshToken"], "nonsense", "bfr_x"):
        answer = await ann.http.post(LOGOUT, json={"refreshToken": token})
        assert (answer.status_code, answer.content) == (204, b"")
    problem_of(await refreshed(site, ann.tokens["refreshToken"]), 401)
    assert (await refreshed(site, other)).status_code == 200


async def test_a_new_password_ends_every_login_and_every_access_token(site: Site, quick: None) -> None:
    ann, root = await person(site), await person(site, "root", Role.ADMIN)
    key = await ann.key("read")
    wrong = await ann.http.post(f"{ME}/password", json={"password": "no", "newPassword": PASSWORD + "!"})
    assert fields_of(problem_of(wrong, 422)) == {"password"}
    short = await ann.http.post(f"{ME}/password", json={"password": PASSWORD, "newPassword": "short"})
    assert fields_of(problem_of(short, 422)) == {"newPassword"}
    right = await ann.http.post(f"{ME}/password", json={"password": PASSWORD, "newPassword": PASSWORD + "!"})
    assert right.status_code == 204
    problem_of(await ann.http.get(ME), 401)
    problem_of(await refreshed(site, ann.tokens["refreshToken"]), 401)
    problem_of(await log_in(site), 401)
    assert (await ann.http.get(ME, headers=bearer(key))).status_code == 200, "keys stay"
    answer = await root.http.post("/api/users/ann/password", json={"password": PASSWORD})
    assert answer.status_code == 204
    again = (await log_in(site)).json()["accessToken"]
    assert (await ann.http.get(ME, headers=bearer(again))).status_code == 200


async def test_a_disabled_user_is_out_at_once_and_the_sockets_are_closed(site: Site, quick: None) -> None:
    ann, root = await person(site), await person(site, "root", Role.ADMIN)
    key = await ann.key("read")
    ears: list[Ear] = []
    closed = [asyncio.Event() for _ in range(4)]
    for token, event in zip((ann.tokens["accessToken"], key, site.token(), site.token("bob")), closed, strict=True):
        ear = Ear()
        ear.sio.on("disconnect", lambda *_, event=event: event.set())
        await ear.sio.connect(site.url, auth={"token": token}, transports=["websocket"])
        ears.append(ear)
    off = User.model_validate((await root.http.post("/api/users/ann/disable")).json())
    assert off.disabled
    async with asyncio.timeout(5):
        await asyncio.gather(*(event.wait() for event in closed[:3]))
    assert ears[0].told[-1][1]["code"] == "token_revoked"
    assert not closed[3].is_set(), "somebody else's stays"
    await ears[3].sio.disconnect()
    for token in (ann.tokens["accessToken"], key, site.token()):
        problem = problem_of(await ann.http.get(ME, headers=bearer(token)), 401)
        assert token not in str(problem)
        with pytest.raises(SocketRefused):
            await Ear().sio.connect(site.url, auth={"token": token}, transports=["websocket"])
    problem_of(await refreshed(site, ann.tokens["refreshToken"]), 401)
    assert (await root.http.post("/api/users/ann/enable")).status_code == 200
    for token, status in ((ann.tokens["accessToken"], 401), (key, 200), (site.token(), 200)):
        assert (await ann.http.get(ME, headers=bearer(token))).status_code == status
    problem_of(await refreshed(site, ann.tokens["refreshToken"]), 401)


async def test_a_key_that_is_deleted_closes_its_socket(site: Site, quick: None) -> None:
    ann = await person(site)
    key = await ann.key("read", "write")
    closed = asyncio.Event()
    ear = Ear()
    ear.sio.on("disconnect", lambda *_: closed.set())
    await ear.sio.connect(site.url, auth={"token": key}, transports=["websocket"])
    assert (await ear.call("backtest:start", BODY))["ok"]
    [listed] = Keys.model_validate((await ann.http.get(KEYS)).json()).items
    assert (await ann.http.delete(f"{KEYS}/{listed.key_id}")).status_code == 204
    async with asyncio.timeout(5):
        await closed.wait()
    problem_of(await ann.http.get(ME, headers=bearer(key)), 401)


async def test_a_key_is_shown_once_and_its_secret_is_kept_nowhere(site: Site) -> None:
    ann = await person(site)
    answer = await ann.http.post(KEYS, json={"name": "robot", "scopes": ["read", "write"], "expiresInDays": 7})
    made = NewKey.model_validate(answer.json())
    assert made.key.startswith("bfk_")
    assert made.scopes == ["read", "write"]
    listed = await ann.http.get(KEYS)
    assert [Key.model_validate(one).key_id for one in listed.json()["items"]] == [made.key_id]
    secret = made.key.rpartition("_")[2]
    assert secret not in listed.text
    me = (await ann.http.get(ME, headers=bearer(made.key))).json()
    assert (me["name"], me["scopes"]) == ("ann", ["read", "write"])
    assert secret not in str(await site.database.mongo.collection("api_keys").find({}).to_list())
    problem_of(await ann.http.delete(f"{KEYS}/none"), 404)


async def test_a_key_of_a_socket_that_only_reads_starts_nothing(site: Site) -> None:
    ann = await person(site)
    ear = Ear()
    await ear.sio.connect(site.url, auth={"token": await ann.key("read")}, transports=["websocket"])
    answer = await ear.call("backtest:start", BODY)
    assert not answer["ok"]
    assert answer["errors"][0]["code"] == "forbidden"
    backtest_id = (await ann.http.post(BACKTESTS, json=BODY)).json()["backtestId"]
    assert (await ear.call("backtest:subscribe", {"backtestId": backtest_id}))["ok"]
    await ear.sio.disconnect()
    with pytest.raises(SocketRefused):
        await Ear().sio.connect(site.url, auth={"token": await ann.key("data")}, transports=["websocket"])


async def test_failures_are_limited_by_all_gateways_together(
    backends: Any, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with site_on(make_settings()) as site, gateway_on(site.settings) as other:
        await add(site, "ann")
        bob = await person(site, "bob")
        computed: list[str] = []
        monkeypatch.setattr(PasswordHasher, "verify", lambda *_: computed.append("") or False)
        for name in ("ann", "hunter2 typed as a name"):
            answers: list[httpx.Response] = []
            for number in range(limits.BY_NAME.most + 3):
                async with http_client(site.url if number % 2 else other) as stranger:
                    answers.append(await stranger.post(LOGIN, json={"name": name, "password": "wrong"}))
            assert [one.status_code for one in answers] == [401] * limits.BY_NAME.most + [429] * 3, name
            problem_of(answers[-1], 429)
            assert 1 <= int(answers[-1].headers["retry-after"]) <= limits.BY_NAME.window_s
        assert len(computed) == 2 * limits.BY_NAME.most, "who is refused costs no hash"
        monkeypatch.undo()
        problem_of(await log_in(site, "ann"), 429)
        assert (await log_in(site, "bob")).status_code == 200, "others are not"
        assert (await bob.http.get(ME)).status_code == 200
        async with redis.asyncio.Redis.from_url(site.settings.redis_url.get_secret_value()) as kept:
            names = [name.decode() async for name in kept.scan_iter("backtest:count:*")]
            assert names
            assert all([await kept.pttl(name) > 0 for name in names])
        assert "hunter2" not in str(names) + caplog.text


async def test_a_forwarded_address_is_believed_of_trusted_proxies_only(
    any_mongodb_uri: str, any_redis_url: str, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    async def take(_self: Any, _name: str, address: str) -> None:
        seen.append(address)

    monkeypatch.setattr(limits.LoginLimits, "take", take)
    for proxies in ((), ("127.0.0.1",)):
        async with site_on(make_settings(trusted_proxies=proxies)) as site, http_client() as stranger:
            headers = {"X-Forwarded-For": "6.6.6.6, 10.1.2.3"}
            await stranger.post(site.url + LOGIN, json={"name": "x", "password": "x"}, headers=headers)
    assert seen == ["127.0.0.1", "10.1.2.3"]


async def test_admins_keep_users(site: Site) -> None:
    root = (await person(site, "root", Role.ADMIN)).http
    added = await root.post("/api/users", json={"name": "o|1+2@x.org", "roles": ["user"]})
    assert added.status_code == 201
    assert not User.model_validate(added.json()).has_password
    assert (await root.get(added.headers["location"])).json() == added.json()
    added = await root.post("/api/users", json={"name": "ann", "password": PASSWORD})
    assert (await log_in(site)).status_code == 200
    problem_of(await root.post("/api/users", json={"name": "ann", "password": PASSWORD}), 409)
    page = UserPage.model_validate((await root.get("/api/users?limit=2")).json())
    assert [one.name for one in page.items] == ["ann", "o|1+2@x.org"]
    rest = UserPage.model_validate((await root.get("/api/users", params={"cursor": page.next_cursor or ""})).json())
    assert ([one.name for one in rest.items], rest.next_cursor) == (["root"], None)
    made = await root.post("/api/users/ann/roles", json={"roles": ["user", "admin"]})
    assert made.json()["roles"] == ["user", "admin"]
    for path, body in (("disable", None), ("roles", {"roles": ["user"]})):
        problem_of(await root.post(f"/api/users/root/{path}", json=body), 409)
    for path in ("", "/keys"):
        problem_of(await root.get(f"/api/users/nobody{path}"), 404)
    for path in ("disable", "enable"):
        problem_of(await root.post(f"/api/users/nobody/{path}"), 404)
    problem_of(await root.post("/api/users/nobody/password", json={"password": PASSWORD}), 404)
    problem_of(await root.delete("/api/users/ann/keys/none"), 404)


BAD: list[tuple[str, Any, set[str]]] = [
    (LOGIN, {}, {"name", "password"}),
    (LOGIN, {"name": "ann", "password": 12345678}, {"password"}),
    (LOGIN, {"name": "a\x00b", "password": "x"}, {"name"}),
    (LOGIN, {"name": "ann", "password": "p" * 1_001}, {"password"}),
    (LOGIN, [], {"$"}),
    (REFRESH, {"refreshToken": None}, {"refreshToken"}),
    (LOGOUT, {"refreshToken": "x" * 201}, {"refreshToken"}),
    ("/api/users", {"name": "a b", "password": PASSWORD}, {"name"}),
    ("/api/users", {"name": "me", "password": PASSWORD}, {"name"}),
    ("/api/users", {"name": "x", "password": "secret-11ch"}, {"password"}),
    ("/api/users", {"name": "x", "password": "aaaaaaaaaaaaaaaa"}, {"password"}),
    ("/api/users", {"name": "x", "password": "nul\x00 in the middle"}, {"password"}),
    ("/api/users", {"name": "x", "roles": ["god"]}, {"roles.0"}),
    ("/api/users", {"name": "x", "roles": []}, {"roles"}),
    ("/api/users/root/roles", {"roles": "admin"}, {"roles"}),
    (KEYS, {"name": "k", "scopes": ["everything"]}, {"scopes.0"}),
    (KEYS, {"name": "k", "scopes": []}, {"scopes"}),
    (KEYS, {"name": "k", "scopes": ["read"], "expiresInDays": 0}, {"expiresInDays"}),
    (KEYS, {"name": "", "scopes": ["read"]}, {"name"}),
]


async def test_bad_input_is_refused_by_field_and_passwords_are_not_repeated(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    root = (await person(site, "root", Role.ADMIN)).http
    for path, body, fields in BAD:
        answer = await root.post(path, json=body)
        problem = problem_of(answer, 400 if body == [] else 422)
        assert fields_of(problem) == fields, (path, body)
        password = body.get("password") if isinstance(body, dict) else None
        assert password is None or str(password) not in answer.text + caplog.text
    half = await root.post(LOGIN, content=b'{"name": "ann", "password": "\\ud800 half a letter"}')
    assert half.status_code in (401, 422)
    for name in ("%00", "%ff", "a%2fb", "..", "x" * 3_000, "%ed%a0%80"):
        answer = await root.get(f"/api/users/{name}")
        assert answer.status_code in (404, 307), name
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_priority_is_bounded_for_who_is_no_admin(any_redis_url: str, make_settings: MakeSettings) -> None:
    async with site_on(make_settings(priority_max=5)) as site:
        ann, root = await person(site), await person(site, "root", Role.ADMIN)
        for http, priority, status in ((ann.http, 5, 202), (ann.http, -9, 202), (root.http, 9, 202)):
            assert (await http.post(BACKTESTS, json=BODY | {"priority": priority})).status_code == status
        problem = problem_of(await ann.http.post(BACKTESTS, json=BODY | {"priority": 6}), 422)
        [error] = problem["errors"]
        assert (error["field"], error["code"]) == ("priority", "priority_not_allowed")
        assert "5" in error["message"]
        assert "got 6" in error["message"]
        ear = await site.ear()
        answer = await ear.call("backtest:start", BODY | {"priority": 6})
        assert answer["errors"][0]["field"] == "priority"
        assert (await ann.http.get(ME)).json()["priorityMax"] == 5
        assert (await root.http.get(ME)).json()["priorityMax"] == 9


def test_the_mode_decides_what_everybody_may_unless_a_setting_does() -> None:
    def made(**changes: Any) -> Settings:
        return Settings(**changes)

    assert (made().users_priority_max, made().data_is_everybodys) == (9, True)
    production = made(mode="production")
    assert (production.users_priority_max, production.data_is_everybodys) == (5, False)
    said = made(mode="production", priority_max=7, shared_data_by="everybody")
    assert (said.users_priority_max, said.data_is_everybodys) == (7, True)


async def test_a_hash_of_an_older_cost_is_renewed_by_a_login(site: Site, make_settings: MakeSettings) -> None:
    older = Passwords(make_settings(password_memory_kib=32))
    await accounts.add_user(site.database.users, older, "ann", PASSWORD, [Role.USER])
    before = await site.database.users.get("ann")
    assert (await log_in(site)).status_code == 200
    after = await site.database.users.get("ann")
    assert before["passwordHash"] != after["passwordHash"]
    assert before["generation"] == after["generation"]
    assert (await log_in(site)).status_code == 200


async def test_an_outside_issuer_makes_the_tokens_where_there_is_one(
    any_redis_url: str, make_settings: MakeSettings
) -> None:
    settings = make_settings(jwt_jwks_url="http://127.0.0.1:1/jwks", jwt_secret=None)
    async with site_on(settings) as site:
        await add(site, "ann")
        problem_of(await log_in(site), 409)


async def test_minted_tokens_of_users_that_are_not_kept_work_without_keys(site: Site) -> None:
    client = await site.client("stranger")
    me = Me.model_validate((await client.get(ME)).json())
    assert (me.known, me.roles, me.may_change_data) == (False, ["user"], True)
    problem_of(await client.post(KEYS, json={"name": "k", "scopes": ["read"]}), 409)
    assert (await client.get(KEYS)).json() == {"items": []}


async def test_production_is_usable_from_a_user_that_was_added_on(
    any_redis_url: str, make_settings: MakeSettings
) -> None:
    async with site_on(make_settings(mode="production", password_memory_kib=19_456)) as site:
        ann = await person(site)
        assert (await ann.http.post(BACKTESTS, json=BODY)).status_code == 202
        problem_of(await ann.http.post("/api/algo/data/import"), 403)
        problem_of(await ann.http.post(BACKTESTS, json=BODY | {"priority": 6}), 422)


def test_the_body_that_adds_a_user_describes_its_password_as_one() -> None:
    schema = AddUserRequest.model_json_schema()
    assert schema["properties"]["password"]["anyOf"][0]["format"] == "password"
