"""One real backtest from an HTTP request to a stored result, watched live. `python -m deploy.demo` runs it.

Everything is started for it on free ports in a temporary directory, and is gone afterwards.
"""

from __future__ import annotations

import asyncio
import io
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import plotext
import socketio
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from deploy.processes import Interruption, ProcessFailed, exit_code_of
from deploy.stack import Stack, import_demo_bars, run_interruptible
from shared.metrics_table import metrics_table
from shared.request import EXAMPLE_REQUEST
from shared.settings import Settings, load_settings

SHOW_DEADLINE_S = 120.0
_CONNECT_TIMEOUT_S = 10
_PLOT_SIZE = (90, 16)
# Small enough that a run of milliseconds has something to show on its way.
_CHUNK_BARS = 20

Event = tuple[str, dict[str, Any]]


def _settings(directory: Path) -> Settings:
    """The settings of whoever asks, but our own servers, free ports, our own tokens, and all files in `directory`."""
    given = load_settings()
    ours: dict[str, Any] = {
        "mode": "development",
        "port": 0,
        "jwt_secret": None,
        "jwt_jwks_url": None,
        "stack_dir": directory,
        "chunk_bars": _CHUNK_BARS,
        "progress_interval_s": 0.0,
    }
    if "cache_dir" not in given.model_fields_set:
        ours["cache_dir"] = directory / "cache"
    named = (given.model_fields_set | ours.keys()) - {"mongodb_uri", "redis_url"}
    return Settings.model_construct(named, **{name: getattr(given, name) for name in Settings.model_fields} | ours)


@asynccontextmanager
async def _listening(http: aiohttp.ClientSession, url: str, token: str) -> AsyncIterator[asyncio.Queue[Event]]:
    """Connects the official Socket.IO client; what the gateway sends to this user arrives in the queue, in order."""
    # Signals are ours to mind: the client would take SIGINT for itself and cancel every task.
    client = socketio.AsyncClient(reconnection=False, handle_sigint=False, http_session=http)
    heard: asyncio.Queue[Event] = asyncio.Queue()
    for name in ("backtest:started", "backtest:progress", "backtest:complete", "backtest:error"):
        client.on(name, lambda data, name=name: heard.put_nowait((name, data)))
    await client.connect(url, auth={"token": token}, transports=["websocket"], wait_timeout=_CONNECT_TIMEOUT_S)
    try:
        yield heard
    finally:
        await client.disconnect()


async def _ask(http: aiohttp.ClientSession, method: str, path: str, body: object = None) -> dict[str, Any]:
    async with http.request(method, path, json=body) as answer:
        content = await answer.json(content_type=None)
        if answer.status >= 300:
            raise ProcessFailed(f"{method} {path} was answered with {answer.status}: {content}")
        return content


async def _watch(
    heard: asyncio.Queue[Event], backtest_id: str, advance: Callable[[float, str], None]
) -> dict[str, Any]:
    """Follows one backtest to its end. Returns the `backtest:complete`; raises `ProcessFailed` on `backtest:error`."""
    while True:
        name, data = await heard.get()
        if data.get("backtestId") != backtest_id:
            continue
        if name == "backtest:error":
            raise ProcessFailed(f"the backtest failed: {data.get('error')}")
        if name == "backtest:complete":
            advance(100.0, "complete")
            return data
        if name == "backtest:progress":
            advance(float(data["progress"]), str(data["message"]))


async def _show(stack: Stack, console: Console) -> None:
    for line in await import_demo_bars(stack.settings):
        console.print(f"market data  {line}")
    url, token = stack.api_urls[0], stack.token("demo")
    headers = {"Authorization": f"Bearer {token}"}
    timeout = aiohttp.ClientTimeout(total=30)
    async with (
        aiohttp.ClientSession(url, headers=headers, timeout=timeout) as http,
        _listening(http, url, token) as heard,
    ):
        request = EXAMPLE_REQUEST
        started_s = time.monotonic()
        accepted = await _ask(http, "POST", "/api/algo/backtest", request)
        backtest_id = accepted["backtestId"]
        console.print(f"backtest     {backtest_id}  {accepted['status']}")
        if console.is_terminal:
            complete = await _watch_with_bar(heard, backtest_id, console)
        else:
            complete = await _watch_with_lines(heard, backtest_id, console)
        elapsed_s = time.monotonic() - started_s
        result = await _ask(http, "GET", f"/api/algo/backtest/{backtest_id}/result")
        equity = await _ask(http, "GET", f"/api/algo/backtest/{backtest_id}/equity?maxPoints=400")
    console.print(metrics_table(request, result["metrics"]))
    console.print(_equity_plot(equity["points"]), markup=False)
    bars = complete.get("totalBars") or result.get("totalBars")
    console.print(f"took         {elapsed_s:.2f} s for {bars:,} bars, POST to complete, from workers just started")
    console.print(f"result       {complete['resultId']}  {result['resultHash']}", soft_wrap=True)


async def _watch_with_bar(heard: asyncio.Queue[Event], backtest_id: str, console: Console) -> dict[str, Any]:
    columns = (SpinnerColumn(), TextColumn("{task.description:32}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task("waiting for a worker", total=100.0)

        def advance(percent: float, message: str) -> None:
            progress.update(task, completed=percent, description=message)

        return await _watch(heard, backtest_id, advance)


async def _watch_with_lines(heard: asyncio.Queue[Event], backtest_id: str, console: Console) -> dict[str, Any]:
    """For a pipe or a log: one line for every tenth of the way."""
    shown = -1.0

    def advance(percent: float, message: str) -> None:
        nonlocal shown
        if percent >= shown + 10 or percent >= 100 > shown:
            shown = percent
            console.print(f"progress     {percent:5.1f} %  {message}")

    return await _watch(heard, backtest_id, advance)


def _equity_plot(points: list[dict[str, Any]]) -> str:
    """The equity over time as text, 16 lines high."""
    values = [float(point["equity"]) for point in points]
    days = [datetime.fromisoformat(point["time"]).astimezone(UTC).date() for point in points]
    places = sorted({0, len(points) // 3, 2 * len(points) // 3, len(points) - 1})
    low, high = min(values), max(values)
    levels = [low + (high - low) * step / 4 for step in range(5)] if high > low else [low]
    figure = plotext.figure
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(*_PLOT_SIZE)
    figure.title("equity")
    figure.ruler("x").ticks(places, [days[place].strftime("%Y-%m") for place in places])
    figure.ruler("y").ticks(levels, [f"{level:,.0f}" for level in levels])
    figure.draw(figure.signal(list(range(len(values))), values, marker="braille").lines())
    return figure.build().string(colorless=True)


def demonstrate(interruption: Interruption) -> int:
    """`make demo`. Exit code 0 when the result was shown."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show the plot's dots shows question marks
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="backfleet-demo-") as directory:
        stack = Stack(
            _settings(Path(directory)),
            directory=Path(directory),
            check=interruption.check,
            hurry=interruption.hurry,
            say=lambda line: console.print(f"starting     {line}"),
        )

        def check() -> None:
            interruption.check()
            stack.check_alive()

        with stack:
            run_interruptible(_show(stack, console), check, SHOW_DEADLINE_S)
    console.print("everything is stopped and removed")
    return 0


if __name__ == "__main__":
    sys.exit(exit_code_of(demonstrate))
