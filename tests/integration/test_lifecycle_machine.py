"""The lifecycle as a state machine: whatever comes in whatever order, a record keeps to its table and its promises.

Steered at random are the real store, claims and commands, on a record server in memory and on each real one. MongoDB's
clock is the machine's, so that leases expire when it says so. What a record must say is judged after every step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from shared.claims import Claims, Ending, Published, completed, failed, lease_of, stopped
from shared.contracts import Channel, Complete, Failure, Summary, Task
from shared.controls import ControlRequest
from shared.database import Database
from shared.errors import Conflict, InvalidRequest, NotFound
from shared.lifecycle import TERMINAL, TRANSITIONS, Status
from shared.news import Numbering
from shared.positions import Checkpoint, Positions, Stand, Standing
from shared.records import BacktestRecord, NewsDocument, new_id
from shared.settings import Settings
from shared.steering import Steering
from shared.store import Store
from shared.wire import parse_json, validate
from tests.fleet import request
from tests.memory_records import MemoryBus, MemoryMongo
from worker.control import Mailbox

T = TypeVar("T")
LEASE_MS = 30_000
STOPPED_AT = 37.5  # percent
FAILURES_MAX = 2
ACTIONS = [*["pause", "resume", "speed", "step", "seek"] * 2, "stop"]
WORK = [
    *["ask", "renew", "keep", "let_go"] * 2,
    "pause",
    "pause",
    "ask",
    "drain",
    "die",
    "stall",
    "stall",
    "crash",
    "tell",
    "end",
]
_RUNS = st.integers(0, 5)


class Results:
    """The results that are there, by id: whose they are, and of which claim."""

    def __init__(self) -> None:
        self.stored: dict[str, tuple[str, str]] = {}

    async def delete_of(self, backtest_id: str) -> None:
        self.stored = {one: place for one, place in self.stored.items() if place[0] != backtest_id}


@dataclass
class Servers:
    """What a machine drives, and the clock that it turns."""

    mongo: Any
    store: Store
    claims: Claims
    steering: Steering
    results: Results
    bus: MemoryBus
    time: Any
    loop: asyncio.AbstractEventLoop


@dataclass
class Working:
    """A run that some worker believes to have: as it claimed it, what it heard, and where it stands."""

    record: BacktestRecord
    mailbox: Mailbox
    bar: int = 0
    paused: bool = False
    heard: list[int] = field(default_factory=list)
    ending: Ending | None = None  # which it tried to store, and tries again

    @property
    def id(self) -> str:
        return self.record["_id"]

    def hear(self) -> None:
        for control in self.mailbox.take():
            self.heard.append(control.seq or 0)
            self.mailbox.heard(control)
            self.paused = control.action == "pause" or (self.paused and control.action == "speed")

    def stand(self) -> Stand:
        playback = validate(Standing, {"phase": "paused" if self.paused else "playing"})
        checkpoint = Checkpoint(playback=playback, position={"bar": self.bar})
        return Stand(float(self.bar % 100), self.mailbox.news_of_done, checkpoint)


class Machine(RuleBasedStateMachine):
    """On `servers`; what it does is noted in `steps`."""

    servers: Servers
    steps: list[str]

    def __init__(self) -> None:
        super().__init__()
        self.servers.bus = MemoryBus()
        self.servers.steering._bus = self.servers.bus  # pyright: ignore[reportAttributeAccessIssue]
        self.servers.results.stored = {}
        self._backtests = self.servers.mongo.collection("backtests")
        for name in ("backtests", "request_keys"):
            self._wait(self.servers.mongo.collection(name).delete_many({}))
        self._ids: list[str] = []
        self._keys: dict[str, tuple[str, bool]] = {}
        self._deleted: set[str] = set()
        self._working: list[Working] = []
        self._seen: dict[str, BacktestRecord] = {}
        self._claimed: set[str] = set()
        self._crashes: dict[str, int] = {}
        self._commands: dict[tuple[str, str], tuple[int, str]] = {}
        self._number = 0

    def _wait(self, doing: Coroutine[Any, Any, T]) -> T:
        return self.servers.loop.run_until_complete(doing)

    def _new(self, prefix: str) -> str:
        self._number += 1
        return f"{prefix}_{self._number}"

    def _now(self, backtest_id: str) -> BacktestRecord | None:
        return self._wait(self._backtests.find_one({"_id": backtest_id}))

    def _is_ours(self, one: Working) -> bool:
        """Whether the claim of this run is still the record's."""
        now = self._now(one.id)
        return now is not None and now["leaseExpiresAt"] > 0 and now["claimId"] == one.record["claimId"]

    def _pick(self, which: int) -> Working:
        return self._working[which % len(self._working)]

    # Who asks

    @precondition(lambda self: len(self._ids) < 4)
    @rule(paused=st.booleans(), key=st.sampled_from([None, "a", "b"]), priority=st.integers(-1, 1))
    def submit(self, paused: bool, key: str | None, priority: int) -> None:
        self.steps.append("submit")
        params = request(startPaused=paused)
        known = self._keys.get(key or "")
        try:
            record, created = self._wait(
                self.servers.store.insert(
                    user_id="ann", params=params, priority=0 if key else priority, idempotency_key=key
                )
            )
        except InvalidRequest:
            assert known is not None
            assert known[1] != paused, "S6: only another request is refused"
            return
        assert created == (known is None)
        if known is not None:
            assert (record["_id"], paused) == known, "S6: same user and key, same backtest"
            return
        assert record["status"] == ("paused" if paused else "pending")
        self._ids.append(record["_id"])
        if key:
            self._keys[key] = record["_id"], paused

    @precondition(lambda self: len(self._ids) < 5)
    @rule(name=st.sampled_from(["bt_f1", "bt_f2"]), paused=st.booleans())
    def publish(self, name: str, paused: bool) -> None:
        """A task on the channel, which comes as often as it likes."""
        self.steps.append("publish")
        task = Task(backtest_id=name, user_id="ann", params=request(startPaused=paused))
        before = self._now(name)
        [found] = self._wait(self.servers.store.adopt([task]))
        assert (found is None) == (before is None)
        if found is None:
            self._deleted.discard(name)
            self._forget(name)
            self._ids.append(name)

    @precondition(lambda self: self._ids)
    @rule(
        which=_RUNS,
        action=st.sampled_from(ACTIONS),
        again=st.integers(0, 3),
        number=st.integers(1, 60),
        running=st.booleans(),
    )
    def ask(self, which: int, action: str, again: int, number: int, running: bool) -> None:
        working = [one.id for one in self._working if one.id in self._ids]
        among = working if working and running else self._ids
        self._ask(among[which % len(among)], action, again, number)

    def _ask(self, backtest_id: str, action: str, again: int, number: int) -> None:
        self.steps.append("ask")
        more = {"speed": {"speed": number}, "step": {"bars": number}, "seek": {"bar": number}}.get(action, {})
        command_id = f"{action}:{number % 4}" if again else self._new("cmd")
        asked = validate(ControlRequest, {"action": action, "commandId": command_id, **more})
        before = self._now(backtest_id)
        known = self._commands.get((backtest_id, command_id))
        try:
            steered = self._wait(self.servers.steering.request(backtest_id, "ann", asked))
        except NotFound:
            assert before is None
            return
        except Conflict:
            assert known is None
            assert self._now(backtest_id) == before, "what is refused changes nothing"
            return
        assert before is not None
        if known is not None and any(f":{command_id}" in one for one in before.get("controlIds", [])):
            assert steered.seq == known[0], "a command that is sent again counts once"
            assert self._now(backtest_id) == before
            return
        assert steered.seq == before["controlSeq"] + 1
        assert before["status"] not in TERMINAL
        self._commands[backtest_id, command_id] = steered.seq, action

    @precondition(lambda self: len(self._ids) > 2)
    @rule(which=_RUNS, really=st.sampled_from([False, False, False, True]))
    def delete(self, which: int, really: bool) -> None:
        if not really:
            return
        self.steps.append("delete")
        backtest_id = self._ids[which % len(self._ids)]
        self._wait(self.servers.store.delete(backtest_id, "ann"))
        self._ids.remove(backtest_id)
        self._deleted.add(backtest_id)
        self._keys = {key: one for key, one in self._keys.items() if one[0] != backtest_id}

    # Who works

    # One rule for all that runs do, and one for all that passes: of many, most would be left out of an example.
    @precondition(lambda self: self._working)
    @rule(deeds=st.lists(st.tuples(st.sampled_from(WORK), st.integers(0, 40), st.booleans()), min_size=1, max_size=5))
    def work(self, deeds: list[tuple[str, int, bool]]) -> None:
        for what, number, twice in deeds:
            if self._working:
                self._work(self._pick(number), what, number, twice)
                self.commands_are_heard_once_and_in_order()
                self.every_record_keeps_its_promises()

    def _work(self, one: Working, what: str, number: int, twice: bool) -> None:
        match what:
            case "ask":
                if one.id in self._ids:
                    self._ask(one.id, ACTIONS[number % len(ACTIONS)], number % 5, number + 1)
            case "renew":
                self._renew(one, number, twice)
            case "pause":
                if self._is_ours(one):
                    self._ask(one.id, "pause", 0, 1)
                    self._renew(one, number, twice)
                    self._keep(one, 0, twice)
            case "keep":
                self._keep(one, number, twice)
            case "let_go":
                self._let_go(one, "step" if twice else None)
            case "drain":
                self._drain(one, twice)
            case "die":
                self._die(one)
            case "stall":
                self._time_passes(LEASE_MS + 1)
                if twice:
                    self._reap()
            case "crash":
                self._crash(one)
            case "tell":
                self._tell(one)
            case _:
                self._finish(one, twice, ("completed", "stopped", "failed")[number % 3])

    @rule(
        what=st.sampled_from(["time", "time", "reap", "redis", "sweep"]),
        ms=st.sampled_from([1_000, LEASE_MS // 2, LEASE_MS + 1]),
        yes=st.booleans(),
    )
    def passes(self, what: str, ms: int, yes: bool) -> None:
        match what:
            case "time":
                self._time_passes(ms)
                if yes:
                    self._reap()
            case "reap":
                self._reap()
            case "redis":
                self._redis(yes)
            case _:
                self._sweep_outboxes(yes)

    @initialize(worker=st.sampled_from(["w1", "w2"]))
    def begin(self, worker: str) -> None:
        for _ in range(3):
            self.submit(False, None, 0)
        self.claim(worker, False)
        self.claim(worker, True)

    @precondition(lambda self: len(self._working) < 3)
    @rule(worker=st.sampled_from(["w1", "w2"]), lost=st.booleans())
    def claim(self, worker: str, lost: bool) -> None:
        """Its reply may be lost: then it is looked for."""
        self.steps.append("claim")
        waiting = self._wait(self._backtests.find({"status": "pending"}).to_list())
        claim_id = self._new("claim")
        found = self._wait(self.servers.claims.claim(worker, claim_id))
        if lost:
            found = self._wait(self.servers.claims.find_claim(claim_id))
        assert (found is None) == (not waiting)
        if found is None:
            return
        assert found["_id"] == min(waiting, key=lambda one: one["queueRank"])["_id"], "the best is taken"
        self._claimed.add(claim_id)
        stood: dict[str, Any] = found.get("checkpoint", {})
        paused = (stood.get("playback") or {}).get("phase") == "paused" if stood else False
        bar = (stood.get("position") or {}).get("bar", 0)
        self._working.append(Working(found, Mailbox(found), bar, paused or bool(found["params"].get("startPaused"))))

    def _renew(self, one: Working, bars: int, twice: bool) -> None:
        """A lost reply is a renewal that is made again."""
        self._write(one, bars, lambda: self.servers.claims.renew(lease_of(one.record), one.stand()), twice, "renew")

    def _keep(self, one: Working, bars: int, twice: bool) -> None:
        self._write(
            one,
            bars,
            lambda: self.servers.claims.keep(
                lease_of(one.record), one.stand(), Status.PAUSED if one.paused else Status.RUNNING
            ),
            twice,
            "keep",
        )

    def _write(
        self, one: Working, bars: int, write: Callable[[], Coroutine[Any, Any, Any]], twice: bool, what: str
    ) -> None:
        self.steps.append(what)
        ours = self._is_ours(one)
        before = self._now(one.id)
        one.hear()
        one.bar += 0 if one.paused else bars
        for _ in range(1 + twice):
            found = self._wait(write())
            assert (found is not None) == ours
            if found is not None:
                one.mailbox.deliver(found)
            else:
                assert self._now(one.id) == before, "S3: a stale claim changes nothing"

    def _let_go(self, one: Working, asked: str | None) -> None:
        """Something may be asked at the last moment."""
        self.steps.append("let_go")
        one.hear()
        if not one.paused:
            return
        if asked is not None and one.id in self._ids:
            self._ask(one.id, asked, 0, 1)
        ours, before = self._is_ours(one), self._now(one.id)
        done = self._wait(self.servers.claims.pause(lease_of(one.record), one.stand(), one.mailbox.looked_seq))
        assert before is None or done == (ours and before["controlSeq"] == one.mailbox.looked_seq)
        if done:
            self._working.remove(one)
        else:
            assert self._now(one.id) == before

    def _drain(self, one: Working, twice: bool) -> None:
        """Where it stands goes along; a reply that was lost is a try again, of what is somebody else's by then."""
        self.steps.append("drain")
        one.hear()
        ours, before = self._is_ours(one), self._now(one.id)
        assert self._wait(self.servers.claims.requeue(one.record, failed=False, stand=one.stand())) == ours
        if not ours:
            assert self._now(one.id) == before
        after = self._now(one.id)
        if twice:
            assert not self._wait(self.servers.claims.requeue(one.record, failed=False, stand=one.stand()))
            assert self._now(one.id) == after
        self._working.remove(one)

    def _die(self, one: Working) -> None:
        """Nobody hears of it until the lease is over."""
        self.steps.append("die")
        self._working.remove(one)

    def _crash(self, one: Working) -> None:
        """Its engine did: the worker gives it back, which counts."""
        self.steps.append("crash")
        ours, before = self._is_ours(one), self._now(one.id)
        if before is not None and before["failures"] + 1 >= FAILURES_MAX:
            said = Failure(**self._line(one), error="broken", code="poisoned", timestamp="2024-01-01T00:00:00Z")
            self._end(one, failed(one.record, said), twice=False)
            return
        assert self._wait(self.servers.claims.requeue(one.record, failed=True)) == ours
        if ours:
            self._crashes[one.id] = self._crashes.get(one.id, 0) + 1
        self._working.remove(one)

    def _time_passes(self, ms: int) -> None:
        """Whoever stalls past its lease goes on afterwards as if nothing was."""
        self.steps.append("time_passes")
        self.servers.time.time_ms += ms

    def _reap(self) -> None:
        self.steps.append("reap")
        due = {"leaseExpiresAt": {"$gt": 0, "$lt": self.servers.time.time_ms}}
        expired = {one["_id"]: one for one in self._wait(self._backtests.find(due).to_list())}
        for backtest_id, status in self._wait(self.servers.claims.reap()):
            before = expired.pop(backtest_id)
            ran = before["status"] == "running"
            if ran:
                self._crashes[backtest_id] = self._crashes.get(backtest_id, 0) + 1
            assert (status is Status.FAILED) == (ran and before["failures"] + 1 >= FAILURES_MAX), "S7"
        assert not expired, "whatever is expired is taken back"

    def _finish(self, one: Working, twice: bool, how: str) -> None:
        self.steps.append("end")
        if one.ending is not None:
            self._end(one, one.ending, twice)
            return
        if how == "failed":
            said = Failure(**self._line(one), error="broken", timestamp="2024-01-01T00:00:00Z")
            self._end(one, failed(one.record, said), twice)
            return
        result_id = new_id("res")
        self.servers.results.stored[result_id] = one.id, one.record["claimId"]  # S4: first of all
        made = Complete(**self._line(one), result_id=result_id, summary=Summary(total_return=1.0))
        if how == "completed":
            ending = completed(one.record, made, dataset_hash="sha256:0")
        else:
            ending = stopped(one.record, made, dataset_hash="sha256:0", progress=STOPPED_AT)
        self._end(one, ending, twice)

    def _line(self, one: Working) -> dict[str, Any]:
        line = Numbering(one.record).next()
        return {"backtest_id": line.backtest_id, "user_id": line.user_id, "epoch": line.epoch, "seq": 2}

    def _end(self, one: Working, ending: Ending, twice: bool) -> None:
        """A reply that was lost is a try again, with the same outcome. Then it is published, if Redis is there."""
        ours, before = self._is_ours(one), self._now(one.id)
        for _ in range(1 + twice):
            assert self._wait(self.servers.claims.end([ending])) == [ours]
        self._working.remove(one)
        if not ours:
            assert self._now(one.id) == before, "S3: a stale claim ends nothing"
            self.servers.results.stored.pop(ending.changes.get("resultId", ""), None)
            return
        if ending.changes.get("failures"):
            self._crashes[one.id] = self._crashes.get(one.id, 0) + 1
        if not self.servers.bus.away:
            self._say(one.id, ending.news)

    def _say(self, backtest_id: str, news: NewsDocument) -> None:
        said: Any = parse_json(news["payload"])
        if news["channel"] == Channel.COMPLETE:
            assert said["resultId"] in self.servers.results.stored, "S4: whoever hears of it can read the result"
        self._wait(self.servers.bus.publish_document(backtest_id, news))

    # What is on its way

    def _redis(self, away: bool) -> None:
        self.steps.append("redis")
        self.servers.bus.away = away

    def _sweep_outboxes(self, marked: bool) -> None:
        """What was published may be published again: the mark may be lost."""
        self.steps.append("sweep_outboxes")
        if self.servers.bus.away:
            return
        for record in self._wait(self.servers.claims.unpublished(-1)):
            for one in record["outbox"]:
                self._say(record["_id"], one)
                if marked:
                    self._wait(self.servers.claims.mark_published([Published.of(record["_id"], one)]))

    def _tell(self, one: Working) -> None:
        """A run that has stalled talks on, too; the event log must not take it after a newer one has spoken."""
        self.steps.append("tell")
        if self.servers.bus.away:
            return
        news: NewsDocument = {
            "channel": "backtest:progress",
            "epoch": one.record["epoch"],
            "seq": 1,
            "payload": "{}",
        }
        self._wait(self.servers.bus.publish_document(one.id, news))

    # What holds

    def _forget(self, backtest_id: str) -> None:
        """Another backtest has the id of one that was deleted."""
        self._seen.pop(backtest_id, None)
        self._crashes.pop(backtest_id, None)
        self._commands = {place: one for place, one in self._commands.items() if place[0] != backtest_id}

    @invariant()
    def every_record_keeps_its_promises(self) -> None:
        found = {one["_id"]: one for one in self._wait(self._backtests.find({}).to_list())}
        assert set(found) == set(self._ids), "S9: what was taken in goes only by being deleted"
        for backtest_id, now in found.items():
            _is_whole(now)
            assert now["failures"] == self._crashes.get(backtest_id, 0), "S7: only crashes count"
            assert not now["claimId"] or now["claimId"] in self._claimed
            if now["status"] in ("completed", "stopped") and now["resultId"]:
                assert self.servers.results.stored[now["resultId"]][0] == backtest_id, "S4"
                assert now["progress"] == (100.0 if now["status"] == "completed" else STOPPED_AT)
            if (before := self._seen.get(backtest_id)) is not None:
                _follows(before, now)
        self._seen = found

    @invariant()
    def what_is_heard_only_goes_on(self) -> None:
        last: dict[str, tuple[int, int]] = {}
        for backtest_id, one in self.servers.bus.heard:
            place = one["epoch"], one["seq"]
            assert place > last.get(backtest_id, (0, 0)), "S5"
            last[backtest_id] = place
        for backtest_id, now in self._seen.items():
            if now["status"] in TERMINAL and backtest_id in last:
                ended = now["outbox"][-1]
                assert last[backtest_id] <= (ended["epoch"], ended["seq"]), "S5: nothing after the end"

    @invariant()
    def commands_are_heard_once_and_in_order(self) -> None:
        for one in self._working:
            assert one.heard == sorted(set(one.heard)), "S8"
            if self._is_ours(one):
                now = self._now(one.id)
                assert now is not None
                taken = {seq for (owner, _), (seq, _) in self._commands.items() if owner == one.id}
                unheard = {seq for seq in taken if seq > now["controlDone"]}
                assert unheard <= {control["seq"] for control in now["controls"]}, "nothing is lost unheard"


def _is_whole(now: BacktestRecord) -> None:
    """What one record says agrees with itself."""
    status = Status(now["status"])
    assert (now["queueRank"] > 0) == (status is Status.PENDING)
    assert (now["queueRank"] < 0) == (status is Status.PAUSED and not now["leaseExpiresAt"])
    assert status in (Status.RUNNING, Status.PAUSED) or not now["leaseExpiresAt"]
    assert (status is not Status.RUNNING) or now["leaseExpiresAt"]
    assert bool(now["leaseExpiresAt"]) <= bool(now["claimId"])
    assert (now["completedAt"] > 0) == (status in TERMINAL) == bool(now["outbox"])
    assert status not in TERMINAL or not now.get("checkpoint")
    assert status not in TERMINAL or now["outbox"][-1]["epoch"] == now["epoch"], "S5: nobody speaks after the end"
    waiting = [one["action"] for one in now["controls"] if one["seq"] > now["controlDone"] and one["action"] != "speed"]
    if status is Status.PAUSED and not now["leaseExpiresAt"]:
        assert not waiting or waiting[-1] == "pause", "who is asked to go on does not wait for ever"
    seqs = [one["seq"] for one in now["controls"]]
    assert seqs == sorted(set(seqs))
    assert now["controlDone"] <= now["controlSeq"]
    assert not seqs or seqs[-1] <= now["controlSeq"]


def _follows(before: BacktestRecord, now: BacktestRecord) -> None:
    """What one step may make of a record."""
    was, became = Status(before["status"]), Status(now["status"])
    assert was is became or became in TRANSITIONS[was], f"{was} → {became}"
    if was in TERMINAL:
        same = ("status", "epoch", "claimId", "outbox", "resultId", "completedAt", "failures", "controlSeq")
        assert [before[name] for name in same] == [now[name] for name in same], "S1: an end is the end"
    for name in ("epoch", "failures", "controlSeq", "controlDone", "outboxAt" if not before["outboxAt"] else "epoch"):
        assert now[name] >= before[name], f"{name} never goes back"
    if now["claimId"] not in ("", before["claimId"]):
        assert now["epoch"] > before["epoch"], "S2"


def play(servers: Servers, examples: int, steps_each: int, phases: tuple[Phase, ...] = tuple(Phase)) -> list[str]:
    steps: list[str] = []
    run_state_machine_as_test(
        type("Driven", (Machine,), {"servers": servers, "steps": steps}),
        settings=settings(max_examples=examples, stateful_step_count=steps_each, phases=phases),
    )
    return steps


def test_any_interleaving_keeps_the_promises_in_memory(make_settings: Callable[..., Settings]) -> None:
    loop = asyncio.new_event_loop()
    options = make_settings(
        lease_ttl_s=LEASE_MS / 1000, lease_renew_s=5.0, failures_max=FAILURES_MAX, pending_max=1_000
    )
    mongo: Any = MemoryMongo()
    results: Any = Results()
    store, claims, bus = Store(mongo, [results, Positions(mongo)], options), Claims(mongo, options), MemoryBus()
    database: Any = SimpleNamespace(mongo=mongo, store=store, claims=claims)
    told: Any = bus
    steering = Steering(database, told)
    try:
        steps = play(Servers(mongo, store, claims, steering, results, bus, mongo, loop), examples=120, steps_each=40)
        loop.run_until_complete(store.close())
    finally:
        loop.close()
    assert len(steps) > 1_500
    assert len(set(steps)) >= 15


def test_any_interleaving_keeps_the_promises_on_a_server(
    mongodb_uri: str, make_settings: Callable[..., Settings]
) -> None:
    loop = asyncio.new_event_loop()
    options = make_settings(
        lease_ttl_s=LEASE_MS / 1000, lease_renew_s=5.0, failures_max=FAILURES_MAX, pending_max=1_000
    )
    database = loop.run_until_complete(Database.open(options))
    clock = MemoryMongo(database.mongo.now_ms())
    results: Any = Results()
    bus: Any = MemoryBus()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database.mongo, "_clock", clock)
        kept_beside = (results, *database.store._kept_beside[1:])
        patch.setattr(database.store, "_kept_beside", kept_beside)
        steering = Steering(database, bus)
        try:
            servers = Servers(database.mongo, database.store, database.claims, steering, results, bus, clock, loop)
            steps = play(servers, examples=12, steps_each=30, phases=(Phase.generate,))
        finally:
            loop.run_until_complete(database.close())
            loop.close()
    assert len(steps) > 100
