"""Slots on a sick machine: none is offered whose engine process cannot start, and nothing is tried in a hurry."""

from __future__ import annotations

import asyncio
import errno
import time
from typing import Any

import pytest

from shared.errors import EngineFailed
from shared.settings import load_settings
from worker import slot as slot_module
from worker import slots as slots_module
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
