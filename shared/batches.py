"""What is asked while an operation is under way is gathered into the next one.

A round trip to a server costs the same for one document as for ten. Who asks alone is served at once; who asks while
others are being served waits for them and is then served together with everybody else who waits.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Batches(Generic[Item, Answer]):
    """`serve` gets at most `most` items and answers each, in their order, with a value or an exception to raise.

    What `serve` itself raises is raised to everybody it served. Whoever stops waiting before being served is left out.
    Those who wait are not bounded here: each is a coroutine that its owner has to bound. A batch of patient items alone
    waits `linger_s` for company.
    """

    def __init__(
        self,
        serve: Callable[[list[Item]], Awaitable[Sequence[Answer | Exception]]],
        *,
        most: int,
        linger_s: float = 0.0,
    ) -> None:
        self._serve = serve
        self._most = most
        self._linger_s = linger_s
        self._hurry = asyncio.Event()  # Somebody waits who is not patient, or there is company enough.
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._serving: asyncio.Task[None] | None = None

    async def ask(self, item: Item, *, patient: bool = False) -> Answer:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if not patient or len(self._waiting) >= self._most:
            self._hurry.set()
        if self._serving is None:
            # A task of its own: that one of those who asked gives up must not end what the others wait for.
            self._serving = asyncio.create_task(self._serve_all())
        return await answer

    async def _serve_all(self) -> None:
        try:
            while self._waiting:
                if not self._hurry.is_set():
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._linger_s):
                            await self._hurry.wait()
                batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
                if not self._waiting:
                    self._hurry.clear()
                if wanted := [(item, answer) for item, answer in batch if not answer.done()]:
                    await self._serve_batch(wanted)
        finally:
            self._serving = None
            for _, answer in self._waiting:
                answer.cancel()  # Only at the end of the loop: nobody is left to serve them.
            self._waiting.clear()

    async def _serve_batch(self, batch: list[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            outcomes = await self._serve([item for item, _ in batch])
        except asyncio.CancelledError:
            for _, answer in batch:
                answer.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - raised to those who asked
            outcomes = [error] * len(batch)
        for (_, answer), outcome in zip(batch, outcomes, strict=True):
            if answer.done():
                continue
            if isinstance(outcome, Exception):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)


def in_batches(items: Iterable[Item], most: int) -> Iterator[list[Item]]:
    """All of them, in order, `most` at once."""
    rest = iter(items)
    while some := list(islice(rest, most)):
        yield some
