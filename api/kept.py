"""Answers that serve everybody for a while: what costs a query, and may be a few seconds old."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from shared.errors import BackfleetError

FRESH_S = 1.5
PART_S = 2.0
# What takes long to ask is asked the more seldom.
_REST_SHARE = 10
_REST_MAX_S = 30.0

Part = TypeVar("Part")


class Kept(Generic[Part]):
    """An answer that serves everybody for a while. Who asks meanwhile waits for the one that is under way."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._answer: Part | None = None
        self._until_s = float("-inf")

    async def get(self, ask: Callable[[], Awaitable[Part]]) -> Part | None:
        """`ask` is called only where nothing fresh is known."""
        async with self._turn:
            began_s = time.monotonic()
            if began_s >= self._until_s:
                self._answer = await within_limit(ask())
                took_s = time.monotonic() - began_s
                rest_s = FRESH_S if self._answer is None else min(_REST_SHARE * took_s, _REST_MAX_S)
                self._until_s = time.monotonic() + max(FRESH_S, rest_s)
            return self._answer


async def within_limit(part: Awaitable[Part]) -> Part | None:
    """None for what is not known within `PART_S`, or where its server does not answer."""
    try:
        async with asyncio.timeout(PART_S):
            return await part
    except (BackfleetError, TimeoutError):
        return None
