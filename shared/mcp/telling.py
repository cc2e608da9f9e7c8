"""What one client is told, without asking, of the backtests it started or waits for: until each ends.

Notifications need nobody who waits for them: `backtest/progress`, `backtest/complete` and `backtest/failed`, which the
older programs listen for, and each time the same in words as `notifications/message`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from shared.client.answers import RunEvent
from shared.errors import BackfleetError
from shared.mcp.fleet import ENDED, Fleet, path_of
from shared.mcp.results import results_of

log = logging.getLogger(__name__)

FOLLOWED_MAX = 10_000
EARLY_MAX = 1_000
RESULT_TRADES_MAX = 200
RESULT_POINTS_MAX = 200

Tell = Callable[[str, dict[str, Any]], Awaitable[None]]
"""Sends one notification: its method and its params."""
Follow = Callable[[str], None]


class Telling:
    """Hears for one client, from when it first asks for a backtest until `close`.

    What waits to be sent is bounded: of each backtest the newest progress, and its end.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._fleet: Fleet | None = None
        self._followed: OrderedDict[str, Fleet] = OrderedDict()
        self._early: list[RunEvent] = []
        self._expecting = 0
        self._waiting: OrderedDict[tuple[str, bool], RunEvent] = OrderedDict()
        self._filled = asyncio.Event()
        self._hears = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def close(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    @asynccontextmanager
    async def expecting(self, fleet: Fleet) -> AsyncGenerator[Follow, None]:
        """Hears from before something is submitted, so that a run that ends before its id is known here is told, too.

        What is yielded takes that id.
        """
        await self._listen(fleet)
        self._expecting += 1

        def follow(backtest_id: str) -> None:
            self._followed[backtest_id] = fleet
            while len(self._followed) > FOLLOWED_MAX:
                self._followed.popitem(last=False)
            for event in self._early:
                if event.data.get("backtestId") == backtest_id:
                    self._put(event)

        try:
            yield follow
        finally:
            self._expecting -= 1
            if not self._expecting:
                self._early.clear()

    async def _listen(self, fleet: Fleet) -> None:
        if not self._tasks or self._tasks[0].done():
            await self.close()
            self._hears.clear()
            self._tasks = [asyncio.create_task(self._hear(fleet)), asyncio.create_task(self._send_waiting())]
        await self._hears.wait()

    async def _hear(self, fleet: Fleet) -> None:
        try:
            async with fleet.hearing(None) as hear:
                self._hears.set()
                while True:
                    event = await hear()
                    if event is None:
                        await self._look_again()
                    elif event.data.get("backtestId") in self._followed:
                        self._put(event)
                    elif self._expecting and len(self._early) < EARLY_MAX:
                        self._early.append(event)
        except BackfleetError as error:
            log.warning("what is said of backtests is not heard any more: %s", error.message)
        finally:
            self._hears.set()  # Whoever submits need not be told of it.

    async def _look_again(self) -> None:
        """Some may have ended unheard."""
        for backtest_id, fleet in list(self._followed.items()):
            with contextlib.suppress(BackfleetError):
                self.note_state(await fleet.ask("GET", path_of(backtest_id)))

    def note_state(self, state: dict[str, Any]) -> None:
        """How a backtest stands, as it was asked for: an end that was not heard counts as told now."""
        if state["backtestId"] in self._followed and state["status"] in ENDED:
            self._put(_end_of(state))

    def _put(self, event: RunEvent) -> None:
        backtest_id = event.data["backtestId"]
        if event.ends:
            self._waiting.pop((backtest_id, False), None)
        self._waiting[backtest_id, event.ends] = event
        self._filled.set()

    async def _send_waiting(self) -> None:
        while await self._filled.wait():
            self._filled.clear()
            while self._waiting:
                await self._send(self._waiting.popitem(last=False)[1])

    async def _send(self, event: RunEvent) -> None:
        backtest_id: str = event.data["backtestId"]
        fleet = self._followed.get(backtest_id)
        if fleet is None:
            return  # Its end has been told.
        if event.ends:
            del self._followed[backtest_id]
        for method, params in await _notifications(event, fleet):
            await self._tell(method, params)


def _end_of(state: dict[str, Any]) -> RunEvent:
    backtest_id = state["backtestId"]
    if state["resultId"]:
        return RunEvent("backtest:complete", {"backtestId": backtest_id, "summary": {}})
    error = state["error"] or {"message": f"it was {state['status']}"}
    return RunEvent("backtest:error", {"backtestId": backtest_id, "error": error["message"]})


async def _notifications(event: RunEvent, fleet: Fleet) -> list[tuple[str, dict[str, Any]]]:
    """What a client hears of one event."""
    said = event.data
    backtest_id: str = said["backtestId"]
    match event.name:
        case "backtest:progress":
            told = ("progress", "currentDate", "tradesExecuted", "message")
            fields = {name: said[name] for name in told if said.get(name) is not None}
            words = f"{backtest_id}: {said.get('progress', 0):.1f} %, {said.get('message', '')}"
            return [
                ("backtest/progress", {"backtestId": backtest_id, **fields}),
                _message("info", "progress", said, words),
            ]
        case "backtest:complete":
            result = await _result_of(fleet, backtest_id, said)
            words = f"{backtest_id} is complete; read it with get_backtest_results"
            return [
                ("backtest/complete", {"backtestId": backtest_id, "result": result}),
                _message("notice", "complete", said, words),
            ]
        case "backtest:error":
            error = str(said.get("error", ""))
            return [
                ("backtest/failed", {"backtestId": backtest_id, "error": error}),
                _message("error", "failed", said, f"{backtest_id} failed: {error}"),
            ]
        case _:
            name = event.name.removeprefix("backtest:")
            return [_message("info", name, said, f"{backtest_id}: {name}")]


async def _result_of(fleet: Fleet, backtest_id: str, said: dict[str, Any]) -> dict[str, Any]:
    """As `get_backtest_results` has it. Where it cannot be read now, what its end said of it."""
    try:
        return await results_of(fleet, backtest_id, RESULT_TRADES_MAX, RESULT_POINTS_MAX)
    except BackfleetError as error:
        log.info("%s is told without its result: %s", backtest_id, error.message)
        return {"backtest_id": backtest_id, "status": "completed", "metrics": said.get("summary", {})}


def _message(level: str, event: str, said: dict[str, Any], words: str) -> tuple[str, dict[str, Any]]:
    data = {"backtestId": said["backtestId"], "event": event, "message": words}
    return "notifications/message", {"level": level, "logger": "backfleet", "data": data}
