import asyncio
import threading

import pytest
from argon2 import PasswordHasher, extract_parameters

from api.account_requests import AddUserRequest, ChangePasswordRequest, LoginRequest, RefreshRequest
from api.passwords import Passwords, check_new_password
from shared.errors import ConfigurationError, InvalidRequest, TooMany
from shared.settings import load_settings
from shared.wire import Wire, validate

CHEAP = load_settings(password_memory_kib=64)
GOOD = "correct horse battery"


async def test_a_password_fits_its_own_hash_and_no_other() -> None:
    passwords = Passwords(CHEAP)
    kept = await passwords.hash(GOOD)
    assert kept.startswith("$argon2id$")
    assert GOOD not in kept
    assert await passwords.hash(GOOD) != kept
    assert await passwords.verify(kept, GOOD)
    assert not await passwords.verify(kept, GOOD + " ")
    assert not await passwords.verify("not a hash", GOOD)


async def test_a_password_is_the_same_however_its_accents_were_typed() -> None:
    passwords = Passwords(CHEAP)
    assert await passwords.verify(await passwords.hash("cafe\u0301 au lait"), "caf\u00e9 au lait")


async def test_nobodys_password_costs_one_hash_of_the_usual_price(monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[str] = []
    verify = PasswordHasher.verify

    def watched(self: PasswordHasher, kept: str, password: bytes) -> bool:
        verified.append(kept)
        return verify(self, kept, password)

    monkeypatch.setattr(PasswordHasher, "verify", watched)
    passwords = Passwords(CHEAP)
    somebodys = await passwords.hash(GOOD)
    for kept in (None, "", somebodys):
        before = passwords.computed
        assert not await passwords.verify(kept, "wrong password")
        assert passwords.computed == before + 1
    assert {str(extract_parameters(kept)) for kept in verified} == {str(extract_parameters(somebodys))}
    assert len(verified) == 3


async def test_hashes_at_once_are_bounded_and_so_are_those_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = Passwords(CHEAP, at_once=2, waiting_max=5)
    go, running = threading.Event(), threading.Semaphore(0)

    def slow(*_: object) -> str:
        running.release()
        assert go.wait(10)
        return "hash"

    monkeypatch.setattr(PasswordHasher, "hash", slow)
    asked = [asyncio.create_task(passwords.hash(GOOD)) for _ in range(5)]
    for _ in range(2):
        assert await asyncio.to_thread(running.acquire, timeout=10)
    with pytest.raises(TooMany):
        await passwords.hash(GOOD)
    assert passwords.computed == 2
    go.set()
    assert await asyncio.gather(*asked) == ["hash"] * 5
    await passwords.hash(GOOD)


def test_a_cost_for_tests_is_refused_in_production() -> None:
    with pytest.raises(ConfigurationError, match="BACKFLEET_PASSWORD_MEMORY_KIB"):
        Passwords(load_settings(mode="production", password_memory_kib=64))
    Passwords(load_settings(mode="production"))


async def test_a_hash_of_another_cost_is_outdated() -> None:
    kept = await Passwords(CHEAP).hash(GOOD)
    assert not Passwords(CHEAP).is_outdated(kept)
    assert Passwords(load_settings(password_memory_kib=128)).is_outdated(kept)


@pytest.mark.parametrize("password", ["", "short", "a" * 20, "x" * 1_001, "ann.of.green.gables", "nul\x00inside it"])
def test_a_bad_password_is_refused_without_being_repeated(password: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_new_password("password", password, "Ann.of.Green.Gables")
    [error] = refused.value.errors
    assert error.field == "password"
    assert not password or password not in str(refused.value.errors)


@pytest.mark.parametrize(
    ("model", "value"),
    [
        (LoginRequest, {"name": "ann", "password": 6574839201}),
        (LoginRequest, {"name": "ann", "password": "6574839201" * 200}),
        (LoginRequest, {"name": 6574839201, "password": "x"}),
        (LoginRequest, {"name": "ann", "password": ["6574839201"]}),
        (AddUserRequest, {"name": "ann", "password": "6574839201"}),
        (ChangePasswordRequest, {"password": 6574839201, "newPassword": "6574839201"}),
        (RefreshRequest, {"refreshToken": 6574839201}),
    ],
)
def test_what_may_be_a_secret_is_not_repeated_in_a_refusal(model: type[Wire], value: object) -> None:
    with pytest.raises(InvalidRequest) as refused:
        validate(model, value)
    assert "6574839201" not in refused.value.message + str(refused.value.errors)
