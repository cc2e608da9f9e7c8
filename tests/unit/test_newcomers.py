"""How many sockets an address may have, and for how long without signing in."""

from __future__ import annotations

import asyncio

import pytest

from api.missed import Since, read_since
from api.newcomers import Newcomers
from shared.errors import InvalidRequest, TooMany
from shared.settings import load_settings


class Doors(Newcomers):
    """Newcomers, and which of them were turned away."""

    def __init__(self, **changes: float) -> None:
        few = {"sockets_per_address_max": 3, "anonymous_sockets_per_address_max": 2} | changes
        super().__init__(load_settings(**few))
        self.turned_away: list[str] = []

    def open(self, sid: str, address: str) -> None:
        self.come(sid, address, lambda: self.turned_away.append(sid))


async def test_an_address_is_refused_beyond_its_share_of_sockets_that_do_not_say_who_they_are() -> None:
    doors = Doors(sign_in_timeout_s=7)
    for sid in ("a", "b"):
        doors.open(sid, "10.0.0.1")
    with pytest.raises(TooMany) as refused:
        doors.open("c", "10.0.0.1")
    assert refused.value.retry_after_s == 7
    doors.open("other", "10.0.0.2")
    doors.sign_in("a")
    doors.open("c", "10.0.0.1")
    with pytest.raises(TooMany):
        doors.check("10.0.0.1")
    doors.go("b")
    doors.check("10.0.0.1")
    doors.close()


async def test_an_address_is_refused_beyond_its_share_of_all_sockets() -> None:
    doors = Doors()
    for sid in ("a", "b", "c"):
        doors.open(sid, "2001:db8:1:2::1")
        doors.sign_in(sid)
    with pytest.raises(TooMany):
        doors.check("2001:db8:1:2:ffff::9")
    doors.check("2001:db8:1:3::1")
    doors.go("a")
    doors.check("2001:db8:1:2:ffff::9")
    doors.close()


async def test_who_signs_out_is_a_newcomer_again_and_nothing_is_kept_of_who_is_gone() -> None:
    doors = Doors()
    for number in range(100):
        for _ in range(2):
            doors.open(f"{number}", f"10.0.0.{number}")
            doors.sign_in(f"{number}")
            doors.sign_in(f"{number}")
            doors.sign_out(f"{number}")
            doors.sign_out(f"{number}")
            doors.go(f"{number}")
            doors.go(f"{number}")
    kept = vars(doors)
    assert (kept["_sites"], kept["_sockets"]) == ({}, {})


async def test_who_does_not_sign_in_in_time_is_turned_away_once_and_who_does_is_not() -> None:
    doors = Doors(sign_in_timeout_s=0.02)
    doors.open("signs in", "10.0.0.1")
    doors.sign_in("signs in")
    doors.open("goes", "10.0.0.1")
    doors.go("goes")
    doors.open("stays", "10.0.0.1")
    async with asyncio.timeout(10):
        while not doors.turned_away:  # noqa: ASYNC110 - a timer of the event loop is what is waited for
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    assert doors.turned_away == ["stays"]
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
