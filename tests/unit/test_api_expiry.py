"""What ends with a token, on timers that move when the test says so."""

import math

import pytest

from api.expiry import LOOK_AGAIN_S, Expiry
from tests.timers import FakeTimers

DAY_S = 86_400.0


def expiring(timers: FakeTimers, at_s: float) -> tuple[Expiry, list[float]]:
    told: list[float] = []
    expiry = Expiry(at_s, lambda: told.append(timers.time_s), now_s=timers.now_s, call_later=timers.call_later)
    return expiry, told


@pytest.mark.parametrize("after_s", [-30.0, 0.0, 0.5, LOOK_AGAIN_S, 3_600.25, 3 * DAY_S])
def test_it_is_called_once_at_the_instant_and_leaves_no_timer(after_s: float) -> None:
    timers = FakeTimers(1e9)
    _, told = expiring(timers, timers.time_s + after_s)
    if after_s > 0:
        timers.advance(after_s - 0.25)
        assert told == []
        assert len(timers.pending) == 1
    timers.advance(0.25)
    timers.advance(DAY_S)
    assert told == [max(1e9 + after_s, 1e9)]
    assert timers.pending == []


def test_what_is_cancelled_is_never_called_and_leaves_no_timer() -> None:
    timers = FakeTimers(1e9)
    expiry, told = expiring(timers, timers.time_s + DAY_S)
    timers.advance(DAY_S / 2)
    expiry.cancel()
    expiry.cancel()
    assert timers.pending == []
    timers.advance(DAY_S)
    assert told == []


def test_what_does_not_end_needs_no_timer() -> None:
    timers = FakeTimers(1e9)
    _, told = expiring(timers, math.inf)
    assert (timers.pending, told) == ([], [])


def test_a_wall_clock_that_was_set_is_noticed_soon() -> None:
    timers = FakeTimers(1e9)
    _, told = expiring(timers, timers.time_s + DAY_S)
    timers.advance(LOOK_AGAIN_S, wall_s=DAY_S)
    assert len(told) == 1
    back = FakeTimers(1e9)
    _, told = expiring(back, back.time_s + 10)
    back.advance(10, wall_s=-DAY_S)
    assert told == []
    back.advance(DAY_S)
    assert told == [1e9 + 10]
