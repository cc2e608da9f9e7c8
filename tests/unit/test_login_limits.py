"""How often somebody may try to log in, under a clock that the test moves."""

import asyncio

import pytest

from api import limits as limits_module
from api.limits import Counts, LoginLimits, OwnCounts, Tries, site_of
from shared.errors import BusUnavailable, TooMany


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


class Dead:
    async def count(self, name: str, window_s: float) -> tuple[int, float]:
        raise BusUnavailable("Redis did not answer")

    async def uncount(self, name: str, window_s: float) -> None:
        raise BusUnavailable("Redis did not answer")


class Silent:
    async def count(self, name: str, window_s: float) -> tuple[int, float]:
        await asyncio.Event().wait()
        raise AssertionError

    async def uncount(self, name: str, window_s: float) -> None:
        await asyncio.Event().wait()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def limits_of(clock: Clock, counts: OwnCounts | None = None) -> LoginLimits:
    shared = counts or OwnCounts(clock=clock)
    return LoginLimits(shared, b"key", by_name=Tries(3, 60.0), by_address=Tries(5, 100.0))


async def test_a_name_is_refused_after_its_failures_until_the_window_ends(clock: Clock) -> None:
    limits = limits_of(clock)
    for _ in range(3):
        await limits.take("ann", "10.0.0.1")
    clock.now_s += 20
    with pytest.raises(TooMany) as refused:
        await limits.take("ann", "10.0.0.2")
    assert refused.value.retry_after_s == 40
    await limits.take("bob", "10.0.0.2")
    clock.now_s += 40
    await limits.take("ann", "10.0.0.2")


async def test_an_address_is_refused_whichever_names_it_tries(clock: Clock) -> None:
    limits = limits_of(clock)
    for number in range(5):
        await limits.take(f"name-{number}", "10.0.0.1")
    with pytest.raises(TooMany) as refused:
        await limits.take("another", "10.0.0.1")
    assert refused.value.retry_after_s == 100


async def test_a_success_takes_back_its_own_try_only(clock: Clock) -> None:
    limits = limits_of(clock)
    for _ in range(3):
        await limits.take("ann", "10.0.0.1")
    await limits.give_back("ann", "10.0.0.1")
    await limits.take("ann", "10.0.0.1")
    with pytest.raises(TooMany):
        await limits.take("ann", "10.0.0.1")


async def test_who_always_succeeds_is_never_refused(clock: Clock) -> None:
    limits = limits_of(clock)
    for _ in range(50):
        await limits.take("ann", "10.0.0.1")
        await limits.give_back("ann", "10.0.0.1")


async def test_many_at_once_are_no_way_around(clock: Clock) -> None:
    limits = limits_of(clock)
    outcomes = await asyncio.gather(*(limits.take("ann", "10.0.0.1") for _ in range(20)), return_exceptions=True)
    assert [outcome for outcome in outcomes if outcome is None] == [None] * 3


@pytest.mark.parametrize("shared", [Dead(), Silent()], ids=["is away", "does not answer"])
async def test_without_redis_a_gateway_counts_for_itself(
    clock: Clock, shared: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits_module, "SHARED_WAIT_S", 0.01)
    limits = LoginLimits(shared, b"key", by_name=Tries(2, 60.0), own=OwnCounts(clock=clock))
    await limits.take("ann", "10.0.0.1")
    await limits.take("ann", "10.0.0.1")
    await limits.give_back("ann", "10.0.0.1")
    await limits.take("ann", "10.0.0.1")
    with pytest.raises(TooMany):
        await limits.take("ann", "10.0.0.1")


async def test_memory_is_bounded_and_what_was_typed_is_not_in_it(clock: Clock) -> None:
    counts = OwnCounts(most=10, clock=clock)
    limits = LoginLimits(counts, b"key")
    for number in range(100):
        await limits.take(f"hunter{number}", "10.0.0.1" if number % 2 else "10.0.0.2")
    kept = str(counts.__dict__)
    assert kept.count("login:") == 10
    assert "hunter" not in kept
    assert "10.0.0" not in kept


def test_of_ipv6_a_whole_site_is_one_address() -> None:
    assert site_of("2001:db8:1:2:3::4") == site_of("2001:db8:1:2:ffff::1") == "2001:db8:1:2::/64"
    assert site_of("2001:db8:1:3::4") != site_of("2001:db8:1:2::4")
    assert site_of("::ffff:10.0.0.1") == site_of("10.0.0.1") == "10.0.0.1"
    assert site_of("") == ""
