"""What the Python client does where a gateway has no part in it, or one that can be played."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from socketio.exceptions import ConnectionError as NotConnected

from shared.client import fleet as fleet_module
from shared.client import line as line_module
from shared.client.blocking import BlockingBackfleet
from shared.client.fleet import Backfleet
from shared.client.line import Feed, Line, RunEvent
from shared.errors import Forbidden, NotFound, Refusal

NOWHERE = "http://127.0.0.1:9"


class Library:
    """In place of the library for sockets: what it is to do, and what the line has it call."""

    def __init__(self) -> None:
        self.heard: Callable[..., None] = lambda *_: None
        self.refusal = ""
        self.disconnected = asyncio.Event()

    def of(self, line: Line) -> Line:
        self.heard, self._refused = line._hear, line._refused
        line._sio = self
        return line

    async def connect(self, *_: object, **__: object) -> None:
        if self.refusal:
            self._refused({"message": self.refusal})
            raise NotConnected("refused")

    async def emit(self, event: str, _: object, callback: Callable[..., None] | None = None) -> None:
        """All at once, as it may come: the end before the answer, and the snapshot right after it."""
        if callback is not None:
            self.heard("backtest:complete", {"backtestId": "bt_1", "epoch": 1, "seq": 9})
            callback({"ok": True, "recovered": False})
            self.heard("backtest:state", {"backtestId": "bt_1", "epoch": 1, "seq": 9, "snapshot": True})

    async def disconnect(self) -> None:
        self.disconnected.set()


async def line_of(library: Library, http: aiohttp.ClientSession) -> Line:
    async def token() -> str:
        return "t"

    return library.of(Line(NOWHERE, token, http, 30.0))


async def test_an_end_that_came_too_early_is_not_told_while_another_socket_is_asked_for() -> None:
    library = Library()
    async with asyncio.timeout(5), aiohttp.ClientSession() as http:
        line = await line_of(library, http)
        async with line.subscribed("bt_1") as feed:
            await library.disconnected.wait()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await feed.take()
        await line.close()


async def test_what_was_missed_is_asked_for_until_the_gateway_has_begun_to_tell_it() -> None:
    async def connect_anew() -> None:
        pass

    def tell(seq: int, **data: Any) -> None:
        name = "backtest:state" if data else "backtest:progress"
        feed.hear(RunEvent(name, {"epoch": 1, "seq": seq} | data))

    feed = Feed("bt_1", connect_anew)
    feed.listens = True
    feed.join(recovered=True)
    tell(2, snapshot=True)
    feed.begin()
    tell(4)  # The owner is told so, before it is asked what came before it; and the line breaks.
    assert feed.after == (1, 2)
    feed.begin()
    feed.join(recovered=True)
    tell(2, snapshot=True)
    for seq in (3, 4, 5):
        tell(seq)
    taken = [await feed.take() for _ in range(5)]
    assert [one.data["seq"] for one in taken if not one.data.get("snapshot")] == [4, 3, 5]
    assert feed.after == (1, 5)


async def test_who_may_not_connect_is_told_so_at_once() -> None:
    library = Library()
    library.refusal = "forbidden: this key has not the scope read"
    async with asyncio.timeout(5), aiohttp.ClientSession() as http:
        line = await line_of(library, http)
        with pytest.raises(Forbidden, match="scope read"):
            async with line.hearing(None):
                pass
        await line.close()


async def test_what_nobody_takes_is_let_go_of_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_module, "WAITING_MAX", 3)
    library = Library()
    async with asyncio.timeout(5), aiohttp.ClientSession() as http:
        line = await line_of(library, http)
        async with line.hearing(None) as hear:
            while await hear() is not None:  # of the connection that was made
                pass
            for seq in range(1, 6):
                library.heard("backtest:progress", {"backtestId": "bt_1", "seq": seq})
            assert await hear() is None, "as after a break: it has to be asked for"
            last = await hear()
            assert last is not None
            assert last.data["seq"] == 5
        await line.close()


async def test_a_deletion_whose_answer_was_lost_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[Exception] = [aiohttp.ServerDisconnectedError(), NotFound("no backtest bt_1"), NotFound("none")]

    async def ask_once(*_: object) -> dict[str, Any]:
        raise answers.pop(0)

    async def no_pause(_: int) -> None:
        pass

    monkeypatch.setattr(fleet_module, "pause", no_pause)
    async with Backfleet(NOWHERE, "t") as fleet:
        monkeypatch.setattr(fleet, "_ask_once", ask_once)
        await fleet.run("bt_1").delete()
        with pytest.raises(NotFound):
            await fleet.run("bt_1").delete()


def test_a_forked_process_is_told_to_make_a_client_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    with BlockingBackfleet(NOWHERE, "t") as fleet:
        with monkeypatch.context() as forked:
            forked.setattr("os.getpid", lambda: -1)
            with pytest.raises(Refusal, match="make one here"):
                fleet.backtests()
            fleet.close()  # leaves alone what is the other's
        assert fleet.is_open
    with pytest.raises(Refusal, match="closed"):
        fleet.backtests()


def test_a_client_that_nobody_holds_any_more_leaves_no_thread() -> None:
    fleet = BlockingBackfleet(NOWHERE, "t")
    [thread] = [one for one in threading.enumerate() if one.name == "backfleet"]
    del fleet
    gc.collect()
    thread.join(5)
    assert not thread.is_alive()
