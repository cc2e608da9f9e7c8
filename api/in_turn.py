"""Lets those who want something of the same name go in one after the other, in the order in which they came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class InTurn:
    """Under each name `most` may be inside at once; more wait. Keeps nothing of names without anybody."""

    def __init__(self, most: int = 1) -> None:
        self._most = most
        self._turns: dict[str, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def turn_of(self, name: str) -> AsyncGenerator[None, None]:
        turn, asking = self._turns.get(name) or (asyncio.Semaphore(self._most), 0)
        self._turns[name] = (turn, asking + 1)
        try:
            async with turn:
                yield
        finally:
            turn, asking = self._turns.pop(name)
            if asking > 1:
                self._turns[name] = (turn, asking - 1)
