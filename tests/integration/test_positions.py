"""Runs that are interrupted and taken up where they stood: by worker processes, and as their records know it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from shared.claims import lease_of
from shared.contracts import Channel
from shared.controls import Control
from shared.database import Database
from shared.instants import iso_from_ms
from shared.lifecycle import Status, queued
from shared.positions import PARTS, Checkpoint, Parts, Stand
from shared.records import BacktestRecord, new_id, queue_rank, turn_of
from shared.settings import Settings
from shared.wire import validate
from tests.conftest import Backends, on_each_record_backend
from tests.fleet import HOUR_MS, START_MS, Fleet, fleet_on, request
from tests.integration.test_worker import eventually

BARS = 600
FIRST = 50
STRATEGIES = """
import os
import time

from shared.strategies import Strategy
from shared.strategies.parameters import Parameters


def tally(view):
    with open(os.environ["TALLY"], "a") as file:
        file.write(f"{view.bar}\\n")
    return 1 if view.bar % 20 < 10 else 0


def slow(view):
    time.sleep(0.004)
    return tally(view)


TALLY = Strategy("tally", "Tally", "Counts what it is asked.", Parameters, decide=tally)
SLOW = Strategy("slow", "Slow", "Takes its time.", Parameters, decide=slow)
"""


@pytest.fixture
def tally(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of strategies of one's own, and the file in which they count what they are asked."""
    folder = tmp_path / "site"
    told = folder / "own_strategies-1.dist-info"
    told.mkdir(parents=True)
    (folder / "own_strategies.py").write_text(STRATEGIES)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: own-strategies\nVersion: 1\n")
    points = [f"{name} = own_strategies:{name.upper()}" for name in ("tally", "slow")]
    (told / "entry_points.txt").write_text("\n".join(["[backfleet.strategies]", *points]) + "\n")
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}".rstrip(os.pathsep))
    file = tmp_path / "tally"
    file.touch()
    monkeypatch.setenv("TALLY", str(file))
    return file


LEASE = {"lease_ttl_s": 240.0, "lease_renew_s": 60.0, "sweep_interval_s": 0.2, "position_interval_s": 3_600.0}


@pytest.fixture
async def fleet(
    backends: Backends, make_settings: Callable[..., Settings], tally: Path, tmp_path: Path
) -> AsyncIterator[Fleet]:
    async with fleet_on(make_settings(**LEASE), tmp_path, BARS) as opened:
        yield opened


@pytest.fixture
async def one_fleet(
    any_mongodb_uri: str,
    any_redis_url: str,
    mongodb_database: str,
    make_settings: Callable[..., Settings],
    tally: Path,
    tmp_path: Path,
) -> AsyncIterator[Fleet]:
    async with fleet_on(make_settings(**LEASE), tmp_path, BARS) as opened:
        yield opened


def asked_in(tally: Path) -> Counter[int]:
    return Counter(map(int, tally.read_text().split()))


def params_of(*strategies: str) -> Any:
    return request(
        strategies=list(strategies), strategyParams={"sma": {"fast": 5, "slow": 20}} if "sma" in strategies else {}
    )


class Interrupted:
    """A backtest and the commands that are asked of it, each with its message where a worker holds it."""

    def __init__(self, fleet: Fleet, backtest_id: str) -> None:
        self.fleet = fleet
        self.id = backtest_id
        self._asked = 0
        self._backtests = fleet.database.mongo.collection("backtests")

    @classmethod
    async def submit(cls, fleet: Fleet, *strategies: str, first: dict[str, Any] | None = None) -> Interrupted:
        """Where there is a first command, it waits for that before its first bar."""
        params = params_of(*strategies).model_copy(update={"start_paused": first is not None})
        record, _ = await fleet.store.insert(user_id="ann", params=params, priority=-9, idempotency_key=None)
        made = cls(fleet, record["_id"])
        if first:
            await made.ask(first)
        return made

    @classmethod
    async def parked(cls, fleet: Fleet, *strategies: str) -> Interrupted:
        """Paused at bar `FIRST`, and nobody holds it. A worker whose `pause_hold_s` is 0 must be there."""
        made = await cls.submit(fleet, *strategies, first={"action": "step", "bars": FIRST})
        await made.is_parked()
        return made

    async def record(self) -> BacktestRecord:
        return await self.fleet.store.get(self.id, "ann")

    async def write(self, changes: dict[str, Any]) -> None:
        await self._backtests.update_one({"_id": self.id}, {"$set": changes})

    async def ask(self, *controls: dict[str, Any]) -> None:
        """All at once, as a gateway would: in the record, on the channel, and into the queue if nobody holds it."""
        first = self._asked + 1
        self._asked += len(controls)
        said = [
            {"backtestId": self.id, "userId": "ann", "seq": seq, "commandId": f"c{seq}", **control}
            for seq, control in enumerate(controls, first)
        ]
        wanted = [validate(Control, one) for one in said]
        while not await self._store(wanted):
            pass
        await self.fleet.bus.say([(Channel.CONTROL, wanted[-1].as_json())])

    async def _store(self, wanted: list[Control]) -> bool:
        """False: the record has changed meanwhile."""
        record = await self.record()
        held = record["leaseExpiresAt"] > 0
        changes: dict[str, Any] = {"controlSeq": self._asked}
        changes["controls"] = [*record["controls"], *(one.as_wire() for one in wanted)]
        if record["status"] == "paused" and not held:
            rank = queue_rank(record["priority"], turn_of(record))
            changes |= queued(self.fleet.store.now_ms(), rank)
        same = {"_id": self.id, "status": record["status"], "leaseExpiresAt": {"$gt": 0} if held else 0}
        outcome = await self._backtests.update_one(same | {"controlDone": record["controlDone"]}, {"$set": changes})
        return outcome.matched_count == 1

    async def is_parked(self) -> None:
        async def paused() -> bool:
            record = await self.record()
            return (record["status"], record["leaseExpiresAt"]) == ("paused", 0)

        await eventually(paused, "the run was let go of, paused", deadline_s=40.0)

    async def answer_to(self, command_id: str) -> dict[str, Any]:
        return await self.fleet.heard(lambda one: one.get("data", {}).get("commandId") == command_id)

    async def started(self, epoch: int) -> dict[str, Any]:
        said = await self.fleet.heard(
            lambda one: (one["backtestId"], one["epoch"], one.get("type")) == (self.id, epoch, "started")
        )
        return said["data"]

    async def end(self) -> dict[str, Any]:
        return await self.fleet.end_of(self.id)


async def undisturbed_hash(fleet: Fleet, *strategies: str) -> str:
    record = await fleet.submit(params_of(*strategies))
    return (await fleet.end_of(record["_id"]))["resultHash"]


async def parts_of(database: Database, backtest_id: str) -> int:
    return await database.mongo.collection(PARTS).count_documents({"backtestId": backtest_id})


KINDS = [("sma",), ("tally",), ("sma", "tally")]


@on_each_record_backend
async def test_what_was_paused_goes_on_with_another_worker_to_the_same_result(fleet: Fleet, tally: Path) -> None:
    worker = fleet.start_worker(worker_slots=2, pause_hold_s=0.0)
    runs = [await Interrupted.parked(fleet, *kind) for kind in KINDS]
    # One more that is still held when its worker is drained.
    worker.terminate()
    assert await worker.ended(30) == 0
    other = fleet.start_worker(worker_slots=1, drain_timeout_s=0.05, chunk_bars=20)
    for run in runs:
        record = await run.record()
        assert (record["failures"], record["controlDone"]) == (0, 1)
        assert record.get("checkpoint", {})["position"]["bar"] == FIRST
        await run.ask({"action": "step", "bars": 5})
        said = await run.answer_to("c2")
        assert (said["type"], said["data"]["bar"], said["epoch"]) == ("paused", FIRST + 5, record["epoch"] + 1)
        assert (await run.started(record["epoch"] + 1))["resumedFrom"] == FIRST
        if run is runs[-1]:
            other.terminate()
            assert await other.ended(30) == 0
            await run.is_parked()
            fleet.start_worker()
        await run.ask({"action": "resume"})
        assert (await run.answer_to("c3"))["type"] == "resumed"
        assert (await run.end())["channel"] == Channel.COMPLETE
        record = await run.record()
        assert (record["status"], record.get("checkpoint", {}), record["failures"]) == ("completed", {}, 0)
    assert asked_in(tally) == dict.fromkeys(range(BARS), 2), "both that decide were asked once at each bar"
    for run, kind in zip(runs, KINDS, strict=True):
        assert (await run.end())["resultHash"] == await undisturbed_hash(fleet, *kind)

    async def nothing_is_left() -> bool:
        return not any([await parts_of(fleet.database, run.id) for run in runs])

    await eventually(nothing_is_left, "the decisions of what has ended were removed")


async def test_a_drained_worker_gives_a_run_back_where_it_stands(one_fleet: Fleet, tally: Path) -> None:
    worker = one_fleet.start_worker(drain_timeout_s=0.05, progress_interval_s=0.0)
    run = await Interrupted.submit(one_fleet, "slow")
    await one_fleet.heard(lambda one: one.get("processedBars", 0) > 0)
    worker.terminate()
    assert await worker.ended(30) == 0
    record = await run.record()
    stood_at = record.get("checkpoint", {})["position"]["bar"]
    assert (record["status"], record["failures"], record["epoch"]) == ("pending", 0, 1)
    assert 0 < stood_at < BARS
    assert max(asked_in(tally)) == stood_at - 1
    one_fleet.start_worker()
    end = await run.end()
    assert (await run.started(2))["resumedFrom"] == stood_at
    assert set(asked_in(tally).values()) == {1}
    assert end["resultHash"] == await undisturbed_hash(one_fleet, "slow")


async def test_a_run_whose_worker_was_killed_goes_on_where_its_position_was_stored_last(
    one_fleet: Fleet, tally: Path
) -> None:
    short = {"lease_ttl_s": 1.5, "lease_renew_s": 0.3}
    worker = one_fleet.start_worker(**short, position_interval_s=0.1)
    run = await Interrupted.submit(one_fleet, "slow")

    async def is_on_its_way() -> bool:
        return (await run.record()).get("checkpoint", {}).get("position", {}).get("bar", 0) > FIRST

    await eventually(is_on_its_way, "a position was stored", deadline_s=40.0)
    worker.kill()
    stood_at = (await run.record()).get("checkpoint", {})["position"]["bar"]
    asked_before = asked_in(tally)
    one_fleet.start_worker(**short)
    end = await run.end()
    assert (await run.started(2))["resumedFrom"] == stood_at < BARS
    assert {bar for bar, times in asked_in(tally).items() if times > 1} == {
        bar for bar in asked_before if bar >= stood_at
    }
    assert (await run.record())["failures"] == 1
    assert end["resultHash"] == await undisturbed_hash(one_fleet, "slow")


async def test_a_position_that_cannot_be_used_costs_a_new_start_and_nothing_else(one_fleet: Fleet) -> None:
    one_fleet.start_worker(pause_hold_s=0.0)
    damages: list[dict[str, Any]] = [
        {"checkpoint.position.digest": "sha256:" + "0" * 64},
        {"checkpoint.position.engineVersion": "0"},
        {"checkpoint.position.bar": "fifty"},
        {"checkpoint.parts": [{"claimId": "claim_of_nobody", "count": 1}]},
        {"checkpoint": "damaged"},
    ]
    runs = [await Interrupted.parked(one_fleet, "tally") for _ in damages]
    wanted = await undisturbed_hash(one_fleet, "tally")
    for run, damage in zip(runs, damages, strict=True):
        await run.write(damage)
        epoch = (await run.record())["epoch"]
        await run.ask({"action": "resume"})
        assert (await run.end())["resultHash"] == wanted, damage
        assert "resumedFrom" not in await run.started(epoch + 1)
        assert (await run.record())["failures"] == 0
    logged = (one_fleet.directory / "worker-0.log").read_text()
    assert logged.count("cannot be used, it runs from its first bar") == len(damages)


async def test_a_paused_run_lets_go_of_its_slot_for_another(one_fleet: Fleet) -> None:
    one_fleet.start_worker(worker_slots=1, pause_hold_s=0.3)
    run = await Interrupted.submit(one_fleet, "sma", first={"action": "pause"})
    said = await run.answer_to("c1")
    assert (said["type"], said["data"]["bar"], said["data"]["totalBars"]) == ("paused", 0, BARS)
    wanted = await undisturbed_hash(one_fleet, "sma")  # in the only slot there is
    await run.is_parked()
    await run.ask({"action": "resume"})
    assert (await run.end())["resultHash"] == wanted


async def test_each_of_several_commands_is_answered_and_none_before_it_is_done(one_fleet: Fleet) -> None:
    one_fleet.start_worker(chunk_bars=20)
    run = await Interrupted.submit(one_fleet, "sma", first={"action": "step", "bars": FIRST})
    await run.answer_to("c1")
    await run.ask(
        {"action": "speed", "speed": 5_000},
        {"action": "step", "bars": 100},
        {"action": "seek", "time": iso_from_ms(START_MS + 400 * HOUR_MS - 1)},
    )
    for command_id, kind, bar in (("c2", "state", FIRST), ("c3", "state", FIRST), ("c4", "state", 400)):
        said = await run.answer_to(command_id)
        where = said["data"].get("currentCandleIndex", said["data"].get("bar"))
        assert (said["type"], where, said["data"]["speed"]) == (kind, bar, 5_000)
    await run.ask({"action": "step"}, {"action": "step", "bars": 9}, {"action": "pause"}, {"action": "stop"})
    end = await run.end()
    answers = Counter(one.get("data", {}).get("commandId") for one in one_fleet.said_of(run.id))
    assert all(answers[f"c{number}"] == 1 for number in range(1, 8)), answers
    assert (end["stopped"], end["commandId"], end["totalBars"]) == (True, "c8", 400)


# As their records know it


@pytest.fixture
async def kept(
    mongodb_uri: str, mongodb_database: str, make_settings: Callable[..., Settings]
) -> AsyncIterator[Database]:
    database = await Database.open(
        make_settings(mongodb_uri=mongodb_uri, mongodb_database=mongodb_database, failures_max=1)
    )
    yield database
    await database.close()


async def claimed(kept: Database) -> BacktestRecord:
    await kept.store.insert(user_id="ann", params=request(), priority=0, idempotency_key=None)
    record = await kept.claims.claim("w1", new_id("claim"))
    assert record is not None
    return record


async def write(kept: Database, record: BacktestRecord, changes: dict[str, Any]) -> None:
    await kept.mongo.collection("backtests").update_one({"_id": record["_id"]}, {"$set": changes})


PAUSED = validate(Checkpoint, {"playback": {"phase": "paused"}})
RESUME = {"controls": [{"seq": 1, "action": "resume"}], "controlSeq": 1}


@pytest.mark.parametrize(
    ("playback", "asked", "becomes"),
    [
        ({"phase": "paused"}, {}, Status.PAUSED),
        ({"phase": "paused"}, RESUME | {"controls": [{"seq": 1, "action": "speed", "speed": 5.0}]}, Status.PAUSED),
        ({"phase": "paused"}, RESUME, Status.PENDING),
        ({"phase": "paused"}, RESUME | {"controlDone": 1}, Status.PAUSED),
        ({"phase": "paused"}, RESUME | {"controls": ["text", {"seq": "one", "action": "resume"}]}, Status.PAUSED),
        ({"phase": "stepping", "goal": 5}, {}, Status.PENDING),
    ],
)
async def test_a_paused_run_whose_worker_died_stays_so_unless_it_was_asked_to_go_on(
    kept: Database, playback: dict[str, Any], asked: dict[str, Any], becomes: Status
) -> None:
    record = await claimed(kept)
    assert await kept.claims.keep(
        lease_of(record), Stand(5.0, checkpoint=validate(Checkpoint, {"playback": playback})), Status.PAUSED
    )
    await write(kept, record, {"leaseExpiresAt": 1, **asked})
    assert await kept.claims.reap() == [(record["_id"], becomes)]
    stored = await kept.store.get(record["_id"], "ann")
    assert (stored["status"], stored["leaseExpiresAt"], stored["failures"]) == (becomes.value, 0, 0)
    assert (stored["queueRank"] > 0) == (becomes is Status.PENDING)
    assert stored.get("checkpoint", {})["playback"].items() >= playback.items()
    assert stored["progress"] == 5.0
    assert await kept.claims.renew(lease_of(record), Stand(6.0)) is None


async def test_a_run_is_not_let_go_of_when_something_was_asked_that_it_has_not_heard(kept: Database) -> None:
    record = await claimed(kept)
    await write(kept, record, RESUME)
    assert not await kept.claims.pause(lease_of(record), Stand(5.0, checkpoint=PAUSED), heard_seq=0)
    assert (await kept.store.get(record["_id"], "ann"))["status"] == "running"
    assert await kept.claims.keep(lease_of(record), Stand(5.0, checkpoint=PAUSED), Status.PAUSED)
    assert await kept.claims.pause(lease_of(record), Stand(5.0, 1, PAUSED), heard_seq=1)
    stored = await kept.store.get(record["_id"], "ann")
    assert (stored["status"], stored["leaseExpiresAt"], stored["claimId"]) == ("paused", 0, "")
    assert (stored["controlDone"], stored["controls"], stored["queueRank"] <= 0) == (1, [], True)
    assert not await kept.claims.pause(lease_of(record), Stand(9.0), heard_seq=1)


async def test_decisions_are_stored_in_parts_of_which_only_those_that_count_stay(kept: Database) -> None:
    record = await claimed(kept)
    backtest_id, claim_id = record["_id"], record["claimId"]
    for number in range(3):
        for _ in range(2):  # A second try is harmless, and changes nothing.
            await kept.positions.add_part(backtest_id, claim_id, number, bytes([number]))
    await kept.positions.add_part(backtest_id, "claim_other", 0, b"x")
    for stray in ("bt_gone", "bt_gone2"):
        await kept.positions.add_part(stray, "claim_gone", 0, b"y")
    named = [Parts(claim_id=claim_id, count=2)]
    where = Checkpoint(parts=named, position={"bar": 5})
    assert await kept.positions.collect_garbage() == 3, "a run that goes on may still need what it has stored"
    assert await kept.claims.requeue(record, failed=False, stand=Stand(5.0, checkpoint=where))
    assert await kept.positions.collect_garbage() == 1
    assert await kept.positions.read(backtest_id, named) == b"\x00\x01"
    assert await kept.positions.read(backtest_id, [Parts(claim_id=claim_id, count=3)]) is None
    await write(kept, record, {"checkpoint": "damaged"})
    assert await kept.positions.collect_garbage() == 2, "nobody can use them any more"
    await kept.positions.add_part(backtest_id, claim_id, 0, b"z")
    await kept.store.delete(backtest_id, "ann")
    assert await parts_of(kept, backtest_id) == 0
