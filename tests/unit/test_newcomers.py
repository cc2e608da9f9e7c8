"""How many sockets an address may have, and for how long without signing in."""

from __future__ import annotations

import asyncio

import pytest

from api.missed import Since, read_since
from api.newcomers import Newcomers
from shared.errors import InvalidRequest, TooMany
from shared.settings import load_settings


def newcomers(turned_away: list[str] | None = None, **changes: float) -> Newcomers:
    few = {"sockets_per_address_max": 3, "anonymous_sockets_per_address_max": 2} | changes
    return Newcomers(load_settings(**few), (turned_away if turned_away is not None else []).append)


async def test_an_address_is_refused_beyond_its_share_of_sockets_that_do_not_say_who_they_are() -> None:
    doors = newcomers(sign_in_timeout_s=7)
    for sid in ("a", "b"):
        doors.come(sid, "10.0.0.1")
    with pytest.raises(TooMany) as refused:
        doors.come("c", "10.0.0.1")
    assert refused.value.retry_after_s == 7
    doors.come("other", "10.0.0.2")
    doors.sign_in("a")
    doors.come("c", "10.0.0.1")
    with pytest.raises(TooMany):
        doors.check("10.0.0.1")
    doors.go("b")
    doors.check("10.0.0.1")
    doors.close()


async def test_an_address_is_refused_beyond_its_share_of_all_sockets() -> None:
    doors = newcomers()
    for sid in ("a", "b", "c"):
        doors.come(sid, "2001:db8:1:2::1")
        doors.sign_in(sid)
    with pytest.raises(TooMany):
        doors.check("2001:db8:1:2:ffff::9")
    doors.check("2001:db8:1:3::1")
    doors.go("a")
    doors.check("2001:db8:1:2:ffff::9")
    doors.close()


async def test_who_signs_out_is_a_newcomer_again_and_nothing_is_kept_of_who_is_gone() -> None:
    doors = newcomers()
    for number in range(100):
        for _ in range(2):
            doors.come(f"{number}", f"10.0.0.{number}")
            doors.sign_in(f"{number}")
            doors.sign_in(f"{number}")
            doors.sign_out(f"{number}")
            doors.sign_out(f"{number}")
            doors.go(f"{number}")
            doors.go(f"{number}")
    kept = vars(doors)
    assert (kept["_sites"], kept["_sockets"]) == ({}, {})


async def test_who_does_not_sign_in_in_time_is_turned_away_once_and_who_does_is_not() -> None:
    turned_away: list[str] = []
    doors = newcomers(turned_away, sign_in_timeout_s=0.02)
    doors.come("signs in", "10.0.0.1")
    doors.sign_in("signs in")
    doors.come("goes", "10.0.0.1")
    doors.go("goes")
    doors.come("stays", "10.0.0.1")
    async with asyncio.timeout(10):
        while not turned_away:  # noqa: ASYNC110 - a timer of the event loop is what is waited for
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    assert turned_away == ["stays"]
    doors.close()


@pytest.mark.parametrize(
    ("since", "at_ms"),
    [
        (1_706_702_400_123, 1_706_702_400_123),
        ("2024-01-31T12:00:00.123Z", 1_706_702_400_123),
        ("2024-01-31T13:00:00.123+01:00", 1_706_702_400_123),
        (0, 0),
        (None, None),
    ],
)
def test_since_is_an_instant_or_milliseconds(since: object, at_ms: int | None) -> None:
    assert read_since({"since": since}) == Since(at_ms)


def test_who_does_not_ask_since_when_is_not_told() -> None:
    assert read_since({"token": "x"}) is None


@pytest.mark.parametrize(
    "since", ["", "yesterday", "2024-01-31T12:00:00", "9" * 5_000, True, 1.5, -1, 2**60, [], {}, float("inf")]
)
def test_another_since_is_refused_by_its_name(since: object) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_since({"since": since})
    assert [one.field for one in refused.value.errors] == ["auth.since"]
    assert len(refused.value.message) < 300
