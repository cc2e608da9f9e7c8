"""The client for notebooks and scripts without `async`: the same names, and a progress bar.

    from backfleet.client import BlockingBackfleet

    with BlockingBackfleet("http://127.0.0.1:8000", token) as fleet:
        result = fleet.submit(symbol="AAPL", interval="1d", startDate="2010-01-01", endDate="2013-01-01",
                              strategies=["sma"]).result()

What it does runs in a thread of its own, so that it also works where a loop is running already, as in Jupyter.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import AsyncGenerator, Coroutine, Generator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from rich.progress import Progress

from shared.client.answers import RunEvent
from shared.client.fleet import Backfleet, Run, Token
from shared.errors import Refusal

Answer = TypeVar("Answer")
Item = TypeVar("Item")


class BlockingBackfleet:
    """As `Backfleet`. Without `with`, call `close` at the end."""

    def __init__(self, url: str, token: Token, *, patience_s: float = 60.0) -> None:
        self._fleet = Backfleet(url, token, patience_s=patience_s)
        self._loop = asyncio.new_event_loop()
        self._pid = os.getpid()
        self._thread = threading.Thread(target=_work, args=[self._loop], name="backfleet", daemon=True)
        self._thread.start()
        # Also where nobody holds it any more: a cell of a notebook that is run again makes another one.
        self._finish = weakref.finalize(self, _finish, self._fleet, self._loop, self._pid)
        self._finish.atexit = False
        self.wait_for(self._fleet.__aenter__())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self.is_open:
            self._finish()
            self._thread.join()

    @property
    def is_open(self) -> bool:
        """Not once it is closed, nor in a process that was forked, which has no part of what works for it here."""
        return self._finish.alive and self._pid == os.getpid()

    def submit(
        self, request: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None, **fields: Any
    ) -> BlockingRun:
        run = self.wait_for(self._fleet.submit(request, idempotency_key=idempotency_key, **fields))
        return BlockingRun(self, run)

    def run(self, backtest_id: str) -> BlockingRun:
        return BlockingRun(self, self._fleet.run(backtest_id))

    def backtests(self, **query: Any) -> dict[str, Any]:
        return self.wait_for(self._fleet.backtests(**query))

    def fleet(self) -> dict[str, Any]:
        return self.wait_for(self._fleet.fleet())

    def wait_for(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        """What the client's loop makes of it. An interrupt from the keyboard ends the work, too."""
        if not self.is_open:
            work.close()
            raise Refusal("this client is closed, or was made before this process was forked; make one here")
        answer = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return answer.result()
        except BaseException:
            answer.cancel()
            raise


class BlockingRun:
    """As the `Run` of `Backfleet`; `result` shows how far it is."""

    def __init__(self, fleet: BlockingBackfleet, run: Run) -> None:
        self.id = run.id
        self._fleet = fleet
        self._run = run

    def state(self) -> dict[str, Any]:
        return self._fleet.wait_for(self._run.state())

    def events(self) -> Generator[RunEvent]:
        events = self._run.events()
        try:
            while (event := self._fleet.wait_for(_next(events))) is not None:
                yield event
        finally:
            if self._fleet.is_open:
                self._fleet.wait_for(events.aclose())

    def result(self, timeout_s: float | None = None, *, show: bool = True) -> dict[str, Any]:
        """Its result, once it is there. `show` draws a bar meanwhile. Raises `BacktestFailed` and `TimeoutError`."""
        if not show:
            return self._fleet.wait_for(self._run.result(timeout_s))
        state = self.state()
        with Progress() as bar:
            begins = "waiting for a worker" if state["status"] == "pending" else state["status"]
            task = bar.add_task(begins, total=100.0, completed=state["progress"])

            def show_progress(event: RunEvent) -> None:
                said = event.data
                match event.name.removeprefix("backtest:"):
                    case "progress":
                        bar.update(task, completed=said["progress"], description=said["message"])
                    case "paused":
                        bar.update(task, completed=said["progressPercent"], description="paused")
                    case _:
                        pass

            result = self._fleet.wait_for(self._run.result(timeout_s, on_progress=show_progress))
            bar.update(task, completed=100.0, description="done")
            return result

    def trades(self, *, limit: int = 500, offset: int = 0) -> dict[str, Any]:
        return self._fleet.wait_for(self._run.trades(limit=limit, offset=offset))

    def equity(self, *, max_points: int = 2_000) -> dict[str, Any]:
        return self._fleet.wait_for(self._run.equity(max_points=max_points))

    def export(self, form: str = "json", *, table: str | None = None, context: bool = False) -> Generator[bytes]:
        pieces = self._run.export(form, table=table, context=context)
        try:
            while (piece := self._fleet.wait_for(_next(pieces))) is not None:
                yield piece
        finally:
            if self._fleet.is_open:
                self._fleet.wait_for(pieces.aclose())

    def delete(self) -> None:
        self._fleet.wait_for(self._run.delete())

    def pause(self) -> dict[str, Any]:
        return self._fleet.wait_for(self._run.pause())

    def resume(self) -> dict[str, Any]:
        return self._fleet.wait_for(self._run.resume())

    def stop(self, *, close_open_trades: bool = True) -> dict[str, Any]:
        return self._fleet.wait_for(self._run.stop(close_open_trades=close_open_trades))

    def speed(self, bars_per_s: float | None) -> dict[str, Any]:
        return self._fleet.wait_for(self._run.speed(bars_per_s))

    def step(self, bars: int = 1) -> dict[str, Any]:
        return self._fleet.wait_for(self._run.step(bars))

    def seek(self, *, bar: int | None = None, time: str | None = None) -> dict[str, Any]:
        return self._fleet.wait_for(self._run.seek(bar=bar, time=time))


def _work(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


def _finish(fleet: Backfleet, loop: asyncio.AbstractEventLoop, pid: int) -> None:
    """Waits for nothing: it may be called wherever garbage is collected, also in the client's own thread."""
    if pid == os.getpid():
        asyncio.run_coroutine_threadsafe(_end(fleet, loop), loop)


async def _end(fleet: Backfleet, loop: asyncio.AbstractEventLoop) -> None:
    try:
        await fleet.__aexit__(None, None, None)
    finally:
        loop.stop()


async def _next(items: AsyncGenerator[Item, None]) -> Item | None:
    return await anext(items, None)
