"""How long what was read of a user counts, under a clock that the test moves."""

import asyncio
import time
from dataclasses import replace
from typing import Any, cast

import jwt
import pytest

from api.auth import GENERATION_CLAIM, Authenticator, Identity
from api.gate import FRESH_S, LAST_KNOWN_S, Gate, Recent
from shared.errors import StoreUnavailable, Unauthenticated
from shared.settings import load_settings
from shared.users import KeyDocument, Role, Scope, UserDocument, Users, new_key

SECRET = "kXq5v0Zc8mWn2RtY7uHs4LdPf9Jg1Ea6Bw3TiOyQ"


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Kept:
    """Users and keys in memory, in the place of those in MongoDB, and how often they were read."""

    def __init__(self) -> None:
        self.users: dict[str, UserDocument] = {}
        self.keys: dict[str, KeyDocument] = {}
        self.reads = 0
        self.dead = False

    def add(self, name: str, **changes: Any) -> None:
        user = {"_id": name, "passwordHash": "", "roles": ["user"], "disabled": False, "generation": 1} | changes
        self.users[name] = cast("UserDocument", user)

    async def find_all(self, names: list[str]) -> list[UserDocument]:
        self._read()
        return [self.users[name] for name in names if name in self.users]

    async def find_keys(self, key_ids: list[str]) -> list[KeyDocument]:
        self._read()
        return [self.keys[key_id] for key_id in key_ids if key_id in self.keys]

    def _read(self) -> None:
        self.reads += 1
        if self.dead:
            raise StoreUnavailable("MongoDB did not answer")

    def now_ms(self) -> int:
        return int(time.time() * 1000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def gate(kept: Kept, clock: Clock) -> Gate:
    return Gate(Authenticator(load_settings(jwt_secret=SECRET)), cast("Users", kept), clock)


def token(user: str = "ann", generation: int | None = None, **more: Any) -> str:
    if generation is not None:
        more[GENERATION_CLAIM] = generation
    return jwt.encode({"sub": user, "exp": int(time.time()) + 600} | more, SECRET, algorithm="HS256")


async def test_who_is_not_kept_here_comes_in_as_a_user(gate: Gate) -> None:
    assert (await gate.identify(token())).roles == {Role.USER}


async def test_a_disabled_user_is_refused_as_soon_as_what_is_known_is_not_fresh(
    gate: Gate, kept: Kept, clock: Clock
) -> None:
    kept.add("ann", roles=["user", "admin"])
    assert (await gate.identify(token())).is_admin
    kept.add("ann", disabled=True)
    clock.now_s = FRESH_S - 0.1
    await gate.identify(token())
    assert kept.reads == 1
    clock.now_s = FRESH_S
    with pytest.raises(Unauthenticated, match="disabled"):
        await gate.identify(token())
    kept.add("ann")
    clock.now_s += FRESH_S
    assert (await gate.identify(token())).roles == {Role.USER}


async def test_a_role_that_a_token_claims_makes_nobody_an_admin(gate: Gate, kept: Kept) -> None:
    kept.add("ann")
    for user in ("ann", "stranger"):
        assert not (await gate.identify(token(user, roles=["admin"]))).is_admin


async def test_tokens_of_a_login_end_with_its_generation(gate: Gate, kept: Kept, clock: Clock) -> None:
    kept.add("ann")
    old = token(generation=1)
    await gate.identify(old)
    kept.add("ann", generation=2)
    assert (await gate.identify(token(generation=2))).user_id == "ann", "it is younger than what is known"
    with pytest.raises(Unauthenticated, match="log in again"):
        await gate.identify(old)
    del kept.users["ann"]
    clock.now_s += FRESH_S
    with pytest.raises(Unauthenticated):
        await gate.identify(token(generation=2))


async def test_a_login_just_after_a_user_was_added_is_believed(gate: Gate, kept: Kept) -> None:
    await gate.identify(token())  # known: there is no such user
    kept.add("ann")
    assert (await gate.identify(token(generation=1))).generation == 1


async def test_many_who_ask_at_once_are_one_read_or_two(gate: Gate, kept: Kept) -> None:
    await asyncio.gather(*(gate.identify(token(f"user-{number % 50}")) for number in range(200)))
    assert kept.reads <= 2


async def test_while_the_store_is_away_what_was_known_last_counts_for_a_while(
    gate: Gate, kept: Kept, clock: Clock
) -> None:
    kept.add("ann", roles=["admin"])
    await gate.identify(token())
    kept.dead = True
    clock.now_s = FRESH_S
    assert (await gate.identify(token())).is_admin
    reads = kept.reads
    await gate.identify(token())
    assert kept.reads == reads, "a store that is away is not asked at every request"
    with pytest.raises(StoreUnavailable):
        await gate.identify(token("bob"))
    clock.now_s = LAST_KNOWN_S + 1
    with pytest.raises(StoreUnavailable):
        await gate.identify(token())


async def test_a_key_opens_what_its_scopes_say_until_it_is_deleted_or_ends(
    gate: Gate, kept: Kept, clock: Clock
) -> None:
    kept.add("ann")
    now_ms = kept.now_ms()
    good = new_key("ann", "mine", [Scope.READ], now_ms, now_ms + 60_000)
    over = new_key("ann", "old", [Scope.READ], now_ms - 2, now_ms - 1)
    orphan = new_key("bob", "his", [Scope.READ], now_ms, now_ms + 60_000)
    for one in (good, over, orphan):
        kept.keys[one.document["_id"]] = one.document
    identity = await gate.identify(good.token)
    assert (identity.user_id, identity.scopes) == ("ann", {Scope.READ})
    for wrong in (good.token[:-1] + "!", good.token[:-4] + "abcd", "bfk_", over.token, orphan.token):
        with pytest.raises(Unauthenticated) as refused:
            await gate.identify(wrong)
        assert wrong not in refused.value.message
    kept.keys.clear()
    clock.now_s = FRESH_S
    with pytest.raises(Unauthenticated):
        await gate.identify(good.token)


async def test_who_was_let_in_before_is_looked_at_again_by_the_same_rules(gate: Gate, kept: Kept) -> None:
    for name in ("ann", "bob", "cat", "dan", "eve"):
        kept.add(name)
    now_ms = kept.now_ms()
    key = new_key("dan", "key", [Scope.READ], now_ms, now_ms + 60_000)
    kept.keys[key.document["_id"]] = key.document
    before = [await gate.identify(token(name)) for name in ("ann", "bob")]
    before.append(await gate.identify(token("cat", generation=1)))
    before.append(await gate.identify(key.token))
    expired = replace(await gate.identify(token("eve")), expires_at=Identity("x").expires_at)
    assert await gate.look_again([*before, expired]) == [*before, expired]
    kept.add("ann", roles=["user", "admin"])
    kept.add("bob", disabled=True)
    kept.add("cat", generation=2)
    kept.keys.clear()
    ann, *others = await gate.look_again(before)
    assert ann is not None
    assert ann.is_admin
    assert others == [None, None, None]


async def test_what_is_known_is_bounded(clock: Clock) -> None:
    async def read(names: list[str]) -> dict[str, int]:
        return dict.fromkeys(names, 1)

    recent = Recent(read, clock, most=10)
    for number in range(100):
        await recent.get(str(number))
    assert len(recent._known) == 10  # pyright: ignore[reportPrivateUsage]
