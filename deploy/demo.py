"""One real backtest from an HTTP request to a stored result, watched live. `python -m deploy.demo` runs it.

Everything is started for it on free ports in a temporary directory, and is gone afterwards.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import plotext
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from deploy.processes import Interruption, ProcessFailed, exit_code_of
from deploy.stack import Stack, import_demo_bars, private_settings, run_interruptible
from shared.client.answers import RunEvent
from shared.client.fleet import Backfleet, BacktestFailed, Run
from shared.metrics_table import metrics_table
from shared.request import EXAMPLE_REQUEST
from shared.settings import load_settings

SHOW_DEADLINE_S = 120.0
_CONNECT_TIMEOUT_S = 10
_PLOT_SIZE = (90, 16)
# Small enough that a run of milliseconds has something to show on its way.
_CHUNK_BARS = 20

Event = tuple[str, dict[str, Any]]


def _own_cache(directory: str) -> dict[str, Path]:
    """Also the cache goes where everything is removed, unless whoever asks has named one."""
    return {} if "cache_dir" in load_settings().model_fields_set else {"cache_dir": Path(directory) / "cache"}


async def _show(stack: Stack, console: Console) -> None:
    for line in await import_demo_bars(stack.settings):
        console.print(f"market data  {line}")
    request = EXAMPLE_REQUEST
    async with Backfleet(stack.api_urls[0], stack.token("demo")) as fleet:
        started_s = time.monotonic()
        run = await fleet.submit(request)
        console.print(f"backtest     {run.id}  pending")
        try:
            result = await (_watch_with_bar if console.is_terminal else _watch_with_lines)(run, console)
        except BacktestFailed as error:
            raise ProcessFailed(f"the backtest failed: {error.message}") from None
        elapsed_s = time.monotonic() - started_s
        equity = await run.equity(max_points=400)
    console.print(metrics_table(request, result["metrics"]))
    console.print(_equity_plot(equity["points"]), markup=False)
    console.print(
        f"took         {elapsed_s:.2f} s for {result['totalBars']:,} bars, POST to complete, from workers just started"
    )
    console.print(f"result       {result['resultId']}  {result['resultHash']}", soft_wrap=True)


async def _watch_with_bar(run: Run, console: Console) -> dict[str, Any]:
    columns = (SpinnerColumn(), TextColumn("{task.description:32}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task("waiting for a worker", total=100.0)

        def show(event: RunEvent) -> None:
            if event.name == "backtest:progress":
                progress.update(task, completed=event.data["progress"], description=event.data["message"])

        result = await run.result(on_progress=show)
        progress.update(task, completed=100.0, description="complete")
        return result


async def _watch_with_lines(run: Run, console: Console) -> dict[str, Any]:
    """For a pipe or a log: one line for every tenth of the way."""
    shown = -1.0

    def show(event: RunEvent) -> None:
        nonlocal shown
        if event.name == "backtest:progress" and event.data["progress"] >= shown + 10:
            shown = event.data["progress"]
            console.print(f"progress     {shown:5.1f} %  {event.data['message']}")

    result = await run.result(on_progress=show)
    console.print("progress     100.0 %  complete")
    return result


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
            private_settings(Path(directory), chunk_bars=_CHUNK_BARS, progress_interval_s=0.0, **_own_cache(directory)),
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
