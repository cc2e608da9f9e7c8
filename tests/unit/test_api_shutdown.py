"""A gateway that stops waits for its tasks, and not for ever."""

from __future__ import annotations

import asyncio

import pytest

from api import app


async def test_a_task_that_takes_its_cancellation_for_something_else_is_cancelled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app, "_CANCEL_AGAIN_S", 0.01)
    begun = asyncio.Event()

    async def deaf_once() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()

    task = asyncio.create_task(deaf_once())
    await begun.wait()
    async with asyncio.timeout(10):
        await app._cancel(task)
    assert task.cancelled()
