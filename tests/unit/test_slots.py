"""Slots on a sick machine: none is offered whose engine process cannot start, and nothing is tried in a hurry."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from shared.errors import EngineFailed
from shared.settings import load_settings
from worker import slot as slot_module
from worker import slots as slots_module
from worker.hold import Hold
from worker.pipe import Load, Moved
from worker.slot import RunRefused, Slot
from worker.slots import Slots


class SickMachine:
    """Refuses to start so many processes, then lets the real thing happen."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, refusals: int, error: OSError) -> None:
        self.tried = 0
        self.tried_often = asyncio.Event()
        self._start: Any = asyncio.create_subprocess_exec

        async def start(*command: Any, **options: Any) -> Any:
            self.tried += 1
            if self.tried == 5:
                self.tried_often.set()
            if self.tried <= refusals:
                raise error
            return await self._start(*command, **options)

        monkeypatch.setattr(asyncio, "create_subprocess_exec", start)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE])
async def test_a_process_that_the_machine_refuses_to_start_is_nobodys_fault(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    SickMachine(monkeypatch, 1, OSError(number, "no more"))
    with pytest.raises(EngineFailed, match="cannot be started here") as failed:
        await Slot(load_settings()).start()
    assert not failed.value.fault


async def test_no_slot_is_offered_before_its_process_has_started(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    sleep = asyncio.sleep

    async def hurry(delay_s: float) -> None:
        waited.append(delay_s)
        await sleep(0)

    machine = SickMachine(monkeypatch, 7, OSError(errno.EAGAIN, "no more"))
    monkeypatch.setattr(slots_module.asyncio, "sleep", hurry)
    slots = Slots(load_settings(worker_slots=1))
    keeping = asyncio.create_task(slots.keep_warm())
    try:
        hold = await slots.take()
        assert machine.tried == 8
        assert waited == sorted(waited), "each pause is as long as the one before, or longer"
        assert (waited[0], waited[-1], len(waited)) == (0.5, 30.0, 7)
        assert slots.healthy

        await hold.kill()
        hold.let_go()
        again = await slots.take()
        assert again.warm
        assert machine.tried == 9, "a slot whose process died gets another before it is offered"
        again.let_go()
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await slots.close()


async def test_a_worker_without_a_usable_slot_is_not_healthy_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = SickMachine(monkeypatch, 10**6, OSError(errno.ENOMEM, "no more"))
    monkeypatch.setattr(slots_module, "_START_WAITS_S", (0.0,))
    slots = Slots(load_settings(worker_slots=2))
    assert slots.healthy, "it has just begun"
    monkeypatch.setattr(slots_module, "START_LIMIT_S", 0.0)
    keeping = asyncio.create_task(slots.keep_warm())
    try:
        await machine.tried_often.wait()
        assert not slots.healthy
        assert slots.none_free
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def test_what_ends_the_keeping_of_slots_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: Slot) -> None:
        raise ValueError("a fault of ours")

    monkeypatch.setattr(Slot, "start", fail)
    with pytest.raises(ExceptionGroup, match="unhandled errors"):
        await Slots(load_settings(worker_slots=1)).keep_warm()


class ComputingSlot(Slot):
    """Has an engine process that computes for ever, of which the clock is read in coarse ticks."""

    async def _receive(self) -> object:
        return await asyncio.get_running_loop().create_future()


async def test_one_that_computes_until_its_limit_is_not_taken_for_one_that_hangs_at_the_very_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Timers fire a little early: what is left until the limit then is shorter than a tick of the clock."""
    wait: Any = asyncio.wait
    ticks = [(time.monotonic(), 0.0)]

    async def wait_too_short(tasks: Any, *, timeout: float) -> Any:
        return await wait(tasks, timeout=timeout - min(0.03, timeout / 2))

    def computed_s(_pid: int) -> float:
        last_s, total_s = ticks[-1]
        if (now_s := time.monotonic()) - last_s >= 0.05:
            ticks.append((now_s, total_s + now_s - last_s))
        return ticks[-1][1]

    monkeypatch.setattr(slot_module, "_cpu_time_s", computed_s)
    monkeypatch.setattr(slot_module.asyncio, "wait", wait_too_short)
    slot = ComputingSlot(load_settings(stall_limit_s=0.4))
    with pytest.raises(RunRefused, match="has computed for") as refused:
        await slot._reply(0, 1.05, None)
    assert refused.value.code == "run_limit"


async def test_one_that_does_not_compute_is_found_within_its_stall_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot_module, "_cpu_time_s", lambda _pid: 7.0)  # pyright: ignore
    slot = ComputingSlot(load_settings(stall_limit_s=0.3))
    with pytest.raises(EngineFailed, match="hung for") as failed:
        await slot._reply(0, 600, None)
    assert failed.value.fault


class Engines:
    """In the place of engine processes: each answers where it stands, or dies when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commands: list[tuple[Slot, int, object]] = []
        engines = self

        async def start(slot: Slot) -> None:
            if not slot.warm:
                slot.starts += 1
                slot._process = SimpleNamespace(returncode=None, pid=1)  # pyright: ignore

        async def kill(slot: Slot) -> None:
            slot._process = None

        async def ask(slot: Slot, run: int, command: object, *_: object) -> object:
            if not slot.warm:
                raise EngineFailed("engine process is not running", fault=False)
            engines.commands.append((slot, run, command))
            return MOVED

        for name, stand_in in (("start", start), ("kill", kill), ("ask", ask)):
            monkeypatch.setattr(Slot, name, stand_in)


MOVED = Moved(1, 10, 0, 1.0, 0)
LOAD = Load({}, cast("Any", None), 1)


@pytest.fixture
async def two_slots(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Slots]:
    Engines(monkeypatch)
    slots = Slots(load_settings(worker_slots=2, waiting_runs_max=3))
    keeping = asyncio.create_task(slots.keep_warm())
    yield slots
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


async def loaded(slots: Slots) -> Hold:
    hold = await slots.take()
    await hold.load(LOAD, on_busy=print)
    return hold


async def test_a_run_that_waits_lends_its_slot_and_comes_back_to_it_before_anybody_new(two_slots: Slots) -> None:
    waiting = [await loaded(two_slots) for _ in range(2)]
    for hold in waiting:
        hold.park()
    others = [await loaded(two_slots) for _ in range(2)]
    newcomer = asyncio.create_task(two_slots.take())
    back = asyncio.create_task(waiting[0].advance(2))
    await asyncio.sleep(0)
    assert [hold.wanted for hold in others].count(True) == 1
    [lent] = [hold for hold in others if hold.wanted]
    lent.let_go()
    assert await back == MOVED
    assert not newcomer.done(), "it is served after who came back"
    waiting[0].let_go()
    assert (await newcomer).warm


async def test_so_many_may_wait_and_no_more(two_slots: Slots) -> None:
    holds = [await loaded(two_slots)]
    for _ in range(3):
        holds[-1].park()
        holds.append(await loaded(two_slots))
    holds[-1].park()
    assert [hold.parked for hold in holds] == [True, True, True, False]
    for hold in holds:
        hold.let_go()
    assert two_slots.parked == 0


async def test_what_a_dead_process_had_loaded_is_lost_and_nobodys_fault(two_slots: Slots) -> None:
    waiting = await loaded(two_slots)
    waiting.park()
    other = await two_slots.take()
    while other._slot is not waiting._slot:
        other = await two_slots.take()
    back = asyncio.create_task(waiting.advance(2))
    await asyncio.sleep(0)
    await other.kill()
    other.let_go()
    with pytest.raises(EngineFailed, match="ended while the run waited") as failed:
        await back
    assert not failed.value.fault
    await waiting.kill()
    assert two_slots.parked == 0
    assert (await two_slots.take()).warm


async def test_who_gives_up_waiting_for_a_slot_does_not_keep_it(two_slots: Slots) -> None:
    holds = [await two_slots.take() for _ in range(2)]
    waiting = [asyncio.create_task(two_slots.take()) for _ in range(2)]
    await asyncio.sleep(0)
    holds[0].let_go()  # It is the first one's now, who is cancelled before hearing of it.
    waiting[0].cancel()
    assert (await waiting[1]).warm
