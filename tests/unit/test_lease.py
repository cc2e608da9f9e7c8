"""Keeping a lease, against a store written by hand: what brings the mail, and that it is never lost without a word."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast

import pytest

from shared.claims import Claims
from shared.errors import StoreUnavailable
from shared.lifecycle import Lease
from shared.positions import Stand
from shared.records import BacktestRecord, new_record
from shared.settings import Settings, load_settings
from worker.control import Mailbox
from worker.lease import LeaseKeeper

RECORD = new_record(backtest_id="bt_1", user_id="ann", params={}, priority=0, now_ms=1)
PAUSE = {"backtestId": "bt_1", "userId": "ann", "seq": 1, "commandId": "c1", "action": "pause"}
LEASE = Lease("bt_1", "claim_1", 1)


class FakeClaims:
    def __init__(self, answer: Callable[[], BacktestRecord | None]) -> None:
        self.answer = answer
        self.renewals: list[Stand] = []
        self.renewed = asyncio.Event()

    async def renew(self, _lease: Lease, stand: Stand) -> BacktestRecord | None:
        self.renewals.append(stand)
        self.renewed.set()
        return self.answer()


class Scene:
    def __init__(self, answer: Callable[[], BacktestRecord | None] = lambda: RECORD, **settings: Any) -> None:
        self.claims = FakeClaims(answer)
        self.mailbox = Mailbox(RECORD)
        self.lost = asyncio.Event()
        self.keeper = LeaseKeeper(
            cast("Claims", self.claims),
            load_settings(**settings),
            LEASE,
            self.mailbox,
            sent_s=time.monotonic(),
            stand=lambda: Stand(42.0, self.mailbox.news_of_done),
            on_lost=self.lost.set,
        )


@pytest.fixture(autouse=True)
def _patience(request: pytest.FixtureRequest) -> None:
    request.node.add_marker(pytest.mark.timeout(20))


async def test_a_ring_brings_the_mail_at_once() -> None:
    scene = Scene(lambda: {**RECORD, "controls": [PAUSE]}, lease_ttl_s=600, lease_renew_s=100)
    async with scene.keeper:
        scene.mailbox.rung.set()
        await scene.mailbox.filled.wait()
        [pause] = scene.mailbox.take()
        scene.mailbox.heard(pause)
        scene.claims.renewed.clear()
        scene.mailbox.rung.set()
        await scene.claims.renewed.wait()
    assert scene.claims.renewals == [Stand(42.0, 0), Stand(42.0, 1)], "the second says what was done"
    assert not scene.keeper.lost


async def test_mail_comes_with_the_next_renewal_when_nobody_rings() -> None:
    scene = Scene(lambda: {**RECORD, "controls": [PAUSE]}, lease_ttl_s=30, lease_renew_s=0.06)
    async with scene.keeper:
        await scene.mailbox.filled.wait()


async def test_a_thousand_rings_are_a_few_renewals() -> None:
    scene = Scene(lease_ttl_s=600, lease_renew_s=100)
    async with scene.keeper:
        for _ in range(1_000):
            scene.mailbox.rung.set()
            await asyncio.sleep(0)
        await scene.claims.renewed.wait()
        assert len(scene.claims.renewals) < 50


async def test_a_keeper_that_fails_loses_the_lease_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> BacktestRecord | None:
        raise ValueError("a fault of ours")

    scene = Scene(fail, lease_ttl_s=30, lease_renew_s=0.06)
    async with scene.keeper:
        await scene.lost.wait()
    assert scene.keeper.lost
    assert "a fault of ours" in caplog.text


async def test_a_lease_that_somebody_else_took_is_lost() -> None:
    scene = Scene(lambda: None, lease_ttl_s=30, lease_renew_s=0.06)
    async with scene.keeper:
        await scene.lost.wait()
    assert scene.keeper.lost


async def test_a_lease_that_cannot_be_renewed_in_time_is_lost() -> None:
    def away() -> BacktestRecord | None:
        raise StoreUnavailable("away")

    scene = Scene(away, lease_ttl_s=1, lease_renew_s=0.06)
    async with scene.keeper:
        await scene.lost.wait()
    assert scene.keeper.lost


async def test_a_run_whose_end_is_being_stored_is_not_stopped_by_a_lease_that_is_gone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene(lambda: None, lease_ttl_s=30, lease_renew_s=0.06)
    async with scene.keeper:
        scene.keeper.ending()
        await scene.claims.renewed.wait()
        await asyncio.sleep(0)
    assert not scene.lost.is_set()
    assert not scene.keeper.lost
    assert "belongs to somebody else" not in caplog.text


def test_the_settings_of_a_lease_leave_time_to_stop() -> None:
    settings: Settings = load_settings()
    assert settings.lease_renew_s * 3 < settings.lease_ttl_s
