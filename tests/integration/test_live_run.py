"""Commands that reach a running engine, on every pair of backends: fast by the channel, surely by the heartbeat."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from shared.contracts import Channel
from shared.controls import Control
from shared.records import BacktestRecord
from shared.settings import Settings
from shared.wire import validate
from tests.conftest import Backends, on_one_pair
from tests.fleet import Fleet, fleet_on, request
from tests.integration.test_worker import eventually

BARS = 3_000
FIRST = 50  # where a run stands when a test begins with it
# So far apart that nothing in these tests can be brought by a heartbeat, unless a test asks for another.
RENEW_S = 60.0


LEASE = {"lease_ttl_s": 4 * RENEW_S, "lease_renew_s": RENEW_S, "sweep_interval_s": 0.5}


@pytest.fixture
async def fleet(backends: Backends, make_settings: Callable[..., Settings], tmp_path: Path) -> AsyncIterator[Fleet]:
    async with fleet_on(make_settings(**LEASE), tmp_path, BARS) as opened:
        yield opened


@pytest.fixture
async def one_fleet(
    any_mongodb_uri: str,
    any_redis_url: str,
    mongodb_database: str,
    make_settings: Callable[..., Settings],
    tmp_path: Path,
) -> AsyncIterator[Fleet]:
    """For what is the engine's and the playback's: no server has a part in it."""
    async with fleet_on(make_settings(**LEASE), tmp_path, BARS) as opened:
        yield opened


class Steered:
    """A backtest that runs bar by bar, and the commands that are asked of it."""

    def __init__(self, fleet: Fleet, record: BacktestRecord) -> None:
        self.fleet = fleet
        self.id = record["_id"]
        self.asked = 0
        self._controls: list[dict[str, Any]] = []

    @classmethod
    async def begin(cls, fleet: Fleet, **overrides: Any) -> Steered:
        """With a worker of its own. Its first command waits for it in the record; it stands at bar `FIRST`, paused."""
        record, _ = await fleet.store.insert(user_id="ann", params=request(), priority=0, idempotency_key=None)
        steered = cls(fleet, record)
        await steered.ask("pause", ring=False)
        fleet.start_worker(**{"worker_slots": 1, "chunk_bars": 20, "progress_interval_s": 0.0} | overrides)
        await steered.heeded()
        assert steered.reached() in ([], [0]), "paused before its first bar"
        await steered.ask("step", bars=FIRST)
        await steered.reaches(FIRST)
        return steered

    async def ask(self, action: str, *, ring: bool = True, **more: Any) -> None:
        """As a gateway would: first into the record, then on the channel."""
        self.asked += 1
        control = {
            "backtestId": self.id,
            "userId": "ann",
            "seq": self.asked,
            "commandId": f"c{self.asked}",
            "action": action,
            **more,
        }
        wire = validate(Control, control)
        self._controls.append(wire.as_wire())
        asked = {"controls": self._controls, "controlSeq": self.asked}
        await self.fleet.database.mongo.collection("backtests").update_one({"_id": self.id}, {"$set": asked})
        if ring:
            await self.fleet.bus.say([(Channel.CONTROL, wire.as_json())])

    async def heeded(self, *, ring: bool = True) -> None:
        """Until the run has told the record that it heard all that was asked."""

        async def done() -> bool:
            if ring:
                await self.fleet.bus.say([(Channel.CONTROL, self._ring())])
            record = await self.fleet.store.get(self.id, "ann")
            return record["controlDone"] == self.asked and record["controls"] == []

        await eventually(done, f"command {self.asked} was heard")

    def _ring(self) -> str:
        return validate(
            Control, {"backtestId": self.id, "userId": "ann", "seq": 1, "commandId": "ring", "action": "pause"}
        ).as_json()

    def reached(self) -> list[int]:
        """The bars of its progress so far."""
        return [one["processedBars"] for one in self.fleet.said_of(self.id) if "processedBars" in one]

    async def reaches(self, bar: int) -> None:
        await self.fleet.heard(lambda one: one["backtestId"] == self.id and one.get("processedBars") == bar)

    async def end(self) -> dict[str, Any]:
        return await self.fleet.end_of(self.id)


async def undisturbed_hash(fleet: Fleet) -> str:
    """The result of the same request, run through."""
    record = await fleet.submit(request())
    return (await fleet.end_of(record["_id"]))["resultHash"]


async def test_a_run_is_paused_stepped_and_resumed_to_the_same_result(fleet: Fleet) -> None:
    run = await Steered.begin(fleet)
    await run.ask("step", bars=5)
    await run.ask("step", bars=25)
    await run.reaches(FIRST + 30)
    await run.heeded()
    assert run.reached()[-1] == FIRST + 30, "it went on after its steps"
    await run.ask("resume")
    end = await run.end()
    stored = await fleet.store.get(run.id, "ann")
    assert (end["channel"], stored["status"], stored["epoch"]) == (Channel.COMPLETE, "completed", 1)
    assert end["resultHash"] == await undisturbed_hash(fleet)


@on_one_pair
async def test_a_command_whose_message_was_lost_comes_with_the_heartbeat(fleet: Fleet) -> None:
    run = await Steered.begin(fleet, lease_ttl_s=3, lease_renew_s=0.2)
    await run.ask("step", ring=False, bars=2)
    await run.ask("step", ring=False)
    await run.reaches(FIRST + 3)
    await run.heeded(ring=False)
    await run.ask("resume", ring=False)
    assert (await run.end())["resultHash"] == await undisturbed_hash(fleet)


async def test_a_run_that_seeks_back_and_forth_comes_to_the_same_result(one_fleet: Fleet) -> None:
    run = await Steered.begin(one_fleet)
    await run.ask("seek", bar=10)
    await run.reaches(10)
    await run.ask("seek", bar=400)
    await run.reaches(400)
    await run.heeded()
    assert run.reached()[-1] == 400, "paused stays paused"
    await run.ask("resume")
    assert (await run.end())["resultHash"] == await undisturbed_hash(one_fleet)


async def test_a_pace_holds_a_run_back_until_it_may_go_on(one_fleet: Fleet) -> None:
    run = await Steered.begin(one_fleet)
    await run.ask("speed", speed=0.1)
    await run.ask("resume")
    await run.heeded()
    assert run.reached()[-1] == FIRST, "a bar in ten seconds is not due yet"
    await run.ask("speed", speed=5_000)
    await run.reaches(BARS)
    steps = [after - before for before, after in pairwise(run.reached())]
    assert max(steps) <= FIRST
    assert (await run.end())["resultHash"] == await undisturbed_hash(one_fleet)


@on_one_pair
async def test_a_run_that_is_stopped_keeps_what_it_came_to(fleet: Fleet) -> None:
    run = await Steered.begin(fleet)
    await run.ask("stop", closeOpenTrades=True)
    end = await run.end()
    stored = await fleet.store.get(run.id, "ann")
    result = await fleet.results.read(end["resultId"], "ann")
    assert (end["channel"], stored["status"], result["totalBars"]) == (Channel.COMPLETE, "stopped", FIRST)
    assert stored["resultId"] == end["resultId"]


async def test_what_is_no_command_on_the_channel_does_no_harm(one_fleet: Fleet) -> None:
    run = await Steered.begin(one_fleet)
    for junk in ("", "no json", "[]", '{"backtestId": 1}', '{"backtestId": "bt_1", "action": "watch"}', "x" * 9_999):
        await one_fleet.bus.say([(Channel.CONTROL, junk)])
    # A message that no record knows of is worth a look and no more; one without a number is somebody's wish.
    forged = {"backtestId": run.id, "userId": "eve", "seq": 99, "commandId": "x", "action": "stop"}
    await one_fleet.bus.say([(Channel.CONTROL, validate(Control, forged).as_json())])
    await run.ask("resume")
    assert (await run.end())["channel"] == Channel.COMPLETE
    assert (await one_fleet.store.get(run.id, "ann"))["status"] == "completed"


async def test_what_another_program_publishes_is_checked_and_done_once_by_one_of_the_workers(fleet: Fleet) -> None:
    run = await Steered.begin(fleet)
    fleet.start_worker()
    while await fleet.bus.count_listeners(Channel.CONTROL) < 2:  # noqa: ASYNC110  Nobody says when a worker listens.
        await asyncio.sleep(0.05)
    said = {"backtestId": run.id, "userId": "ann", "action": "step"}
    refused = {
        "not_found": said | {"userId": "eve", "commandId": "hers"},
        "invalid_request": said | {"bars": 0},
    }
    wanted = [said | {"bars": 2}, said | {"bars": 2}, said | {"bars": 3, "commandId": "once"}] * 2
    messages = [*wanted[:3], refused["not_found"], refused["invalid_request"], *wanted[3:]]
    await fleet.bus.say([(Channel.CONTROL, json.dumps(one)) for one in messages])
    await run.reaches(FIRST + 2 + 2 + 3 + 2 + 2)
    stored = await fleet.store.get(run.id, "ann")
    assert stored["controlSeq"] == run.asked + 5
    for code in ("not_found", "invalid_request"):
        told = await fleet.heard(lambda one, code=code: one.get("type") == "refused" and one["data"]["code"] == code)
        assert (told["backtestId"], told["userId"]) == (run.id, refused[code]["userId"])
    assert len([one for one in fleet.news if one.get("type") == "refused"]) == 2
    await fleet.bus.say([(Channel.CONTROL, json.dumps(said | {"action": "resume"}))])
    assert (await run.end())["resultHash"] == await undisturbed_hash(fleet)
