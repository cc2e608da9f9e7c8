"""What is asked meanwhile goes together, and nobody suffers for what another asked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from shared.batches import Batches


class Server:
    """Answers with the double; a batch is held until `gate` is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.served: list[list[int]] = []

    async def serve(self, items: list[int]) -> Sequence[int | Exception]:
        self.served.append(items)
        await self.gate.wait()
        if 13 in items:
            raise RuntimeError("the whole batch")
        return [ValueError(str(one)) if one < 0 else 2 * one for one in items]


async def begin(batches: Batches[int, int], items: Sequence[int]) -> list[asyncio.Task[int]]:
    """Asks for all, and returns when the first batch is being served."""
    tasks = [asyncio.create_task(batches.ask(one)) for one in items]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_who_asks_alone_is_served_at_once_and_the_rest_together() -> None:
    server = Server()
    batches = Batches(server.serve, most=3)
    [first] = await begin(batches, [1])
    assert server.served == [[1]]
    rest = await begin(batches, [2, 3, 4, 5])
    server.gate.set()
    assert await asyncio.gather(first, *rest) == [2, 4, 6, 8, 10]
    assert server.served == [[1], [2, 3, 4], [5]]


async def test_one_refusal_among_several_is_raised_to_who_asked_for_it() -> None:
    server = Server()
    batches = Batches(server.serve, most=8)
    first = await begin(batches, [1])
    rest = await begin(batches, [2, -3, 4])
    server.gate.set()
    answers = await asyncio.gather(*first, *rest, return_exceptions=True)
    assert [answers[0], answers[1], answers[3]] == [2, 4, 8]
    assert isinstance(answers[2], ValueError)


async def test_what_serving_raises_is_raised_to_all_of_that_batch_and_the_next_is_served() -> None:
    server = Server()
    batches = Batches(server.serve, most=2)
    first = await begin(batches, [1])
    rest = await begin(batches, [2, 13, 4])
    server.gate.set()
    answers = await asyncio.gather(*first, *rest, return_exceptions=True)
    assert [answers[0], answers[3]] == [2, 8]
    assert [str(answers[1]), str(answers[2])] == ["the whole batch"] * 2


async def test_who_gives_up_ends_nothing_for_the_others_and_is_left_out_if_not_yet_served() -> None:
    server = Server()
    batches = Batches(server.serve, most=8)
    [first] = await begin(batches, [1])
    [second, third] = await begin(batches, [2, 3])
    first.cancel()
    second.cancel()
    server.gate.set()
    assert await third == 6
    assert server.served == [[1], [3]]
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_the_patient_wait_for_company_and_one_in_a_hurry_takes_them_along() -> None:
    server = Server()
    server.gate.set()
    batches = Batches(server.serve, most=2, linger_s=60.0)
    patient = asyncio.create_task(batches.ask(1, patient=True))
    await asyncio.sleep(0)
    hurried = asyncio.create_task(batches.ask(2))
    assert await asyncio.wait_for(asyncio.gather(patient, hurried), 5) == [2, 4]
    assert server.served == [[1, 2]]
