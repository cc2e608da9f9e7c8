"""Users, keys and families of refresh tokens, on every backend: each change is one conditional update."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest

from shared.database import Database
from shared.errors import Conflict, InvalidRequest, NotFound
from shared.families import FAMILIES_MAX, GRACE_MS, Refreshed, Verdict, read_refresh_token
from shared.settings import Settings
from shared.users import KEYS_MAX, Role, Scope, new_key, opens, read_key


@pytest.fixture
async def kept(make_settings: Callable[..., Settings], mongodb_uri: str) -> AsyncIterator[Database]:
    opened = await Database.open(make_settings())
    yield opened
    await opened.close()


def parts_of(token: str) -> tuple[str, str]:
    parts = read_refresh_token(token)
    assert parts is not None
    return parts


async def begin(kept: Database, name: str = "ann") -> str:
    return (await kept.families.begin(await kept.users.get(name), 3_600)).token


async def refresh(kept: Database, token: str) -> Refreshed | Verdict:
    return await kept.families.refresh(*parts_of(token))


async def test_of_many_who_add_one_name_exactly_one_does(kept: Database) -> None:
    added = await asyncio.gather(
        *(kept.users.add("ann", f"hash-{number}", [Role.USER]) for number in range(8)), return_exceptions=True
    )
    won = [one for one in added if not isinstance(one, BaseException)]
    assert len(won) == 1
    assert all(isinstance(one, Conflict) for one in added if isinstance(one, BaseException))
    assert await kept.users.get("ann") == won[0]


@pytest.mark.parametrize("name", ["", "me", "a b", "a/b", ".hidden", "a\x00", "é", "x" * 129, "$where"])
async def test_what_cannot_be_a_name_is_refused(kept: Database, name: str) -> None:
    with pytest.raises(InvalidRequest):
        await kept.users.add(name, "", [Role.USER])


async def test_users_are_listed_by_name_and_by_page(kept: Database) -> None:
    for name in ("cat", "ann", "bob"):
        await kept.users.add(name, "", [Role.USER])
    page, cursor = await kept.users.list_page(limit=2, after=None)
    assert ([one["_id"] for one in page], cursor) == (["ann", "bob"], "bob")
    page, cursor = await kept.users.list_page(limit=2, after=cursor)
    assert ([one["_id"] for one in page], cursor) == (["cat"], None)
    assert {one["_id"] for one in await kept.users.find_all(["cat", "ann", "dan"])} == {"ann", "cat"}


async def test_a_user_is_disabled_once_and_what_was_begun_before_stays_ended(kept: Database) -> None:
    first = await kept.users.add("ann", "hash", [Role.USER])
    off = await asyncio.gather(*(kept.users.set_disabled("ann", True) for _ in range(5)))
    assert {one["generation"] for one in off} == {first["generation"] + 1}
    on = await kept.users.set_disabled("ann", False)
    assert (on["disabled"], on["generation"]) == (False, first["generation"] + 2)
    with pytest.raises(NotFound):
        await kept.users.set_disabled("bob", True)


async def test_a_password_is_changed_by_one_of_those_who_saw_the_old_one(kept: Database) -> None:
    await kept.users.add("ann", "old", [Role.USER])
    changed = await asyncio.gather(
        *(kept.users.set_password("ann", f"new-{number}", instead_of="old") for number in range(5)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, Conflict) for one in changed) == 4
    assert (await kept.users.get("ann"))["generation"] == 2
    now = (await kept.users.get("ann"))["passwordHash"]
    await kept.users.renew_hash("ann", "old", "stale")
    assert (await kept.users.get("ann"))["passwordHash"] == now
    await kept.users.renew_hash("ann", now, "renewed")
    assert (await kept.users.get("ann"))["generation"] == 2
    with pytest.raises(NotFound):
        await kept.users.set_password("bob", "hash")


async def test_roles_are_replaced_as_a_whole(kept: Database) -> None:
    await kept.users.add("ann", "", [Role.USER])
    assert (await kept.users.set_roles("ann", [Role.ADMIN, Role.USER]))["roles"] == ["user", "admin"]
    with pytest.raises(NotFound):
        await kept.users.set_roles("bob", [Role.USER])


async def test_a_key_is_kept_without_its_secret_and_deleted_by_its_owner_only(kept: Database) -> None:
    now_ms = kept.users.now_ms()
    key = new_key("ann", "robot", [Scope.READ], now_ms, now_ms + 60_000)
    await kept.users.add_key(key.document)
    parts = read_key(key.token)
    assert parts is not None
    [found] = await kept.users.find_keys([parts[0], "none"])
    assert opens(found, parts[1], now_ms)
    assert not opens(found, parts[1][::-1], now_ms)
    assert not opens(found, parts[1], now_ms + 60_000)
    stored = await kept.mongo.collection("api_keys").find({}).to_list()
    assert parts[1] not in str(stored)
    with pytest.raises(NotFound):
        await kept.users.delete_key("bob", parts[0])
    await kept.users.delete_key("ann", parts[0])
    assert await kept.users.keys_of("ann") == []


async def test_keys_of_one_user_are_bounded_and_those_that_ended_make_room(kept: Database) -> None:
    now_ms = kept.users.now_ms()
    keys = [new_key("ann", "k", [Scope.READ], now_ms, now_ms + 60_000) for _ in range(KEYS_MAX)]
    documents = [dict(key.document) for key in keys]
    await kept.mongo.collection("api_keys").insert_many(documents)
    one_more = new_key("ann", "one more", [Scope.READ], now_ms, now_ms + 60_000).document
    with pytest.raises(Conflict):
        await kept.users.add_key(one_more)
    await kept.mongo.collection("api_keys").update_one({"_id": documents[0]["_id"]}, {"$set": {"expiresAt": 1}})
    await kept.users.add_key(one_more)


async def test_each_refresh_gives_the_next_token_and_a_lost_answer_logs_nobody_out(kept: Database) -> None:
    await kept.users.add("ann", "hash", [Role.USER])
    first = await begin(kept)
    lost = await refresh(kept, first)
    again = await refresh(kept, first)
    assert isinstance(lost, Refreshed)
    assert isinstance(again, Refreshed)
    assert again.user_id == "ann"
    third = await refresh(kept, again.token)
    assert isinstance(third, Refreshed)
    assert await refresh(kept, lost.token) is Verdict.COPIED
    assert await refresh(kept, third.token) is Verdict.ENDED, "the whole family"


async def test_an_old_token_ends_its_family_and_no_other(kept: Database) -> None:
    await kept.users.add("ann", "hash", [Role.USER])
    stolen, other = await begin(kept), await begin(kept)
    second = await refresh(kept, stolen)
    assert isinstance(second, Refreshed)
    families = kept.mongo.collection("refresh_families")
    past = kept.users.now_ms() - GRACE_MS - 1
    await families.update_one({"_id": parts_of(stolen)[0]}, {"$set": {"turnedAt": past}})
    assert await refresh(kept, stolen) is Verdict.COPIED
    assert await refresh(kept, second.token) is Verdict.ENDED
    assert isinstance(await refresh(kept, other), Refreshed)


async def test_of_many_who_refresh_with_one_token_at_once_at_most_one_token_stays_valid(kept: Database) -> None:
    await kept.users.add("ann", "hash", [Role.USER])
    for at_once in (2, 8):
        token = await begin(kept)
        answers = await asyncio.gather(*(refresh(kept, token) for _ in range(at_once)))
        given = [one for one in answers if isinstance(one, Refreshed)]
        assert len(given) == 2, "one turn and one grace"
        valid = Counter([isinstance(await refresh(kept, one.token), Refreshed) for one in given])
        assert valid[True] <= 1


async def test_families_that_ended_are_cleared_and_the_oldest_make_room(kept: Database) -> None:
    await kept.users.add("ann", "hash", [Role.USER])
    families = kept.mongo.collection("refresh_families")
    first = await begin(kept)
    await families.update_one({"_id": parts_of(first)[0]}, {"$set": {"createdAt": 1}})
    over = await begin(kept)
    await families.update_one({"_id": parts_of(over)[0]}, {"$set": {"expiresAt": 2}})
    assert await refresh(kept, over) is Verdict.ENDED
    last = [await begin(kept) for _ in range(FAMILIES_MAX)][-1]
    assert await families.count_documents({}) == FAMILIES_MAX
    assert await refresh(kept, first) is Verdict.ENDED
    assert isinstance(await refresh(kept, last), Refreshed)
    await kept.users.set_password("ann", "new")
    await begin(kept)
    assert await families.count_documents({}) == 1
    await kept.families.end_all_of("ann")
    assert await families.count_documents({}) == 0
