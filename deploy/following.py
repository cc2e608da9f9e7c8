"""One backtest as a person follows it: a view that changes on a terminal, lines elsewhere, and how it ended."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any

from rich.box import SIMPLE
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from deploy.plain import plain
from shared.client.answers import RunEvent
from shared.client.fleet import Run
from shared.metrics_table import metrics_table

ENDED = ("completed", "failed", "stopped")
LINE_EVERY_S = 1.0
PACE_OVER_S = 5.0
TRADES_SHOWN = 5
BAR_COLUMNS = 40
REFRESHES_PER_S = 4


class Pace:
    """How many bars a second, over the last few."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque(maxlen=100)

    def note(self, at_s: float, bar: int) -> None:
        if self._points and bar < self._points[-1][1]:
            self._points.clear()
        self._points.append((at_s, bar))
        while len(self._points) > 2 and self._points[0][0] < at_s - PACE_OVER_S:
            self._points.popleft()

    @property
    def bars_per_s(self) -> float | None:
        """None while it cannot be told."""
        if len(self._points) < 2 or self._points[-1][0] <= self._points[0][0]:
            return None
        (first_s, first), (last_s, last) = self._points[0], self._points[-1]
        return (last - first) / (last_s - first_s)


class Story:
    """What has been heard of a run, as much of it as is shown. Begins with what its record says."""

    def __init__(self, backtest: Mapping[str, Any]) -> None:
        backtest = plain(backtest)
        params = backtest["params"]
        self.title = f"{backtest['backtestId']}  {', '.join(map(str, params.get('strategies', ())))} on "
        self.title += f"{params.get('symbol')} {params.get('interval')}"
        self.status: str = backtest["status"]
        self.progress: float = backtest["progress"]
        self.bar: int | None = None
        self.total_bars: int | None = None
        self.time = ""
        self.speed: float | str = params.get("speed", "max")
        self.equity: float | None = None
        self.drawdown: float | None = None
        self.figures: Mapping[str, Any] = {}
        self.open_trades: Sequence[Mapping[str, Any]] = ()
        self.last_trades: Sequence[Mapping[str, Any]] = ()
        self.refusal = ""
        self.pace = Pace()
        self.thinks = ""  # which strategy waits for its model, and since when
        self.thinks_since_s = 0.0
        self.decided = ""  # what a model decided last
        self._next_decided_s = 0.0

    def hear(self, event: RunEvent, at_s: float) -> str | None:
        """Takes in what was said at a monotonic instant. A line where something has happened that people wait for."""
        said = plain(event.data)
        match event.name.removeprefix("backtest:"):
            case "started":
                self.status, self.total_bars = "running", said.get("totalBars")
                return f"started, {self.total_bars:,} bars" if self.total_bars else "started"
            case "progress":
                self._stand(at_s, said.get("processedBars"), said.get("totalBars"), said["progress"])
                self.time = _day(said.get("currentDate") or self.time)
            case "state":
                self._read_state(at_s, said)
            case "paused" | "resumed":
                self.status = "paused" if event.name == "backtest:paused" else "running"
                self._stand(at_s, said.get("bar"), said.get("totalBars"), said.get("progressPercent"))
                self.speed = said.get("speed", self.speed)
                return f"{event.name.removeprefix('backtest:')}{self.where}"
            case "thinking":
                self.thinks, self.thinks_since_s = said["strategy"], at_s
            case "decision":
                return self._read_decision(at_s, said)
            case "refused":
                self.refusal = f"refused: {said.get('error', '')}"
                return self.refusal
            case _:
                pass
        return None

    def _stand(self, at_s: float, bar: int | None, total_bars: int | None, progress: float | None) -> None:
        if bar is not None:
            self.bar = bar
            self.pace.note(at_s, bar)
        self.total_bars = total_bars or self.total_bars
        self.progress = self.progress if progress is None else progress

    def _read_state(self, at_s: float, said: Mapping[str, Any]) -> None:
        """A state that is partial has some of its fields only."""
        self.status = said.get("status", self.status)
        self._stand(at_s, said.get("currentCandleIndex"), said.get("totalCandles"), said.get("progressPercent"))
        self.time = _day(said.get("currentTime", self.time))
        self.speed = said.get("speed", self.speed)
        self.equity = said.get("currentCapital", self.equity)
        self.drawdown = said.get("drawdown", self.drawdown)
        self.open_trades = said.get("openTrades", self.open_trades)
        self.last_trades = said.get("recentTrades", self.last_trades)[-TRADES_SHOWN:]
        self.figures = said.get("metrics", self.figures)

    def _read_decision(self, at_s: float, said: Mapping[str, Any]) -> str | None:
        """A line where something is to be done; of those that follow one another fast, one a second."""
        self.thinks = ""
        self.decided = decision_line(said)
        if (said["action"] == "HOLD" and not (said["abstained"] or said["safety"])) or at_s < self._next_decided_s:
            return None
        self._next_decided_s = at_s + LINE_EVERY_S
        return self.decided

    @property
    def where(self) -> str:
        return f" at bar {self.bar:,} of {self.total_bars:,}" if self.bar is not None and self.total_bars else ""

    def line(self) -> str:
        """How it stands, in one line."""
        parts = [f"{self.progress:5.1f} %  {self.status}{self.where}"]
        parts += [self.time] if self.time else []
        if self.status == "running" and self.thinks:
            parts.append(f"{self.thinks} thinks")
        elif self.status == "running" and (rate := self.pace.bars_per_s) is not None:
            parts.append(f"{rate:,.0f} bars/s")
        parts += [f"asked for {self.speed} bars/s"] if self.speed != "max" else []
        if self.equity is not None:
            parts.append(f"equity {self.equity:,.2f}")
        if self.drawdown is not None:
            parts.append(f"drawdown {self.drawdown:.2f} %")
        if "totalTrades" in self.figures:
            parts.append(f"{self.figures['totalTrades']:,} trades, {len(self.open_trades):,} open")
        return "  ".join(parts)

    def view(self) -> RenderableType:
        """For a terminal."""
        bar = Table.grid()  # A bar alone does not end its line.
        bar.add_row(ProgressBar(total=100.0, completed=self.progress, width=BAR_COLUMNS))
        shown: list[RenderableType] = [Text(self.title, style="bold"), bar, Text(self.line())]
        shown += [Text(self._thoughts(), overflow="ellipsis", no_wrap=True)] if self.thinks or self.decided else []
        shown += [_trades("open", self.open_trades[:TRADES_SHOWN])] if self.open_trades else []
        shown += [_trades("closed last", self.last_trades)] if self.last_trades else []
        shown += [Text(self.refusal, style="red")] if self.refusal else []
        return Group(*shown)

    def _thoughts(self) -> str:
        waits = (
            f"{self.thinks} thinks, {max(0.0, time.monotonic() - self.thinks_since_s):.0f} s  " if self.thinks else ""
        )
        return f"{waits}{self.decided}"


def decision_line(said: Mapping[str, Any]) -> str:
    """What a model decided, and why, in one line."""
    if said["abstained"]:
        why = f"no usable answer: {said['reason']}"
    else:
        why = f"{said['confidence']:.0%} sure: {said['reasoning']}"
    stored = ", from the store" if said["stored"] else ""
    return f"{_day(said['time'])}  {said['action']}{stored}, {why}" + "".join(f"  [{one}]" for one in said["safety"])


def _day(time_: str) -> str:
    """An instant, of a daily bar its date."""
    return time_.removesuffix("T00:00:00Z")


def _trades(title: str, trades: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("since", "side", "quantity", "price", "profit", title=title, title_justify="left", box=SIMPLE)
    for one in trades:
        profit = one.get("pnl", one.get("unrealisedPnl"))
        table.add_row(
            one["entryTime"],
            one["direction"],
            f"{one['quantity']:,.6g}",
            f"{one['entryPrice']:,.6g}",
            "" if profit is None else f"{profit:,.2f}",
        )
    return table


async def follow(run: Run, console: Console, *, as_json: bool) -> int:
    """Shows a backtest until it ends, and its metrics: 0 where it has a result, 1 where it failed or has none.

    `as_json` prints what is said instead, one JSON object a line.
    """
    backtest = await run.state()
    if backtest["status"] in ENDED:
        end = await run.end()
        if as_json:
            _print_event(end)
    else:
        end = await _until_end(run, Story(backtest), console, as_json)
    if end.name == "backtest:error":
        if not as_json:
            reason = plain(f"{end.data.get('code') or 'failed'}: {end.data['error']}")
            kept = (await run.state())["resultId"] is not None
            _print(console, f"{run.id} {'failed, its result ends there' if kept else 'has no result'}, {reason}")
        return 1
    if not as_json:
        _show_result(console, await run.result())
    return 0


async def show_once(run: Run, console: Console, *, as_json: bool) -> int:
    """Prints how a backtest stands by its record."""
    backtest = await run.state()
    _print(console, json.dumps(backtest) if as_json else f"{run.id}  {Story(backtest).line().strip()}")
    return 0


async def _until_end(run: Run, story: Story, console: Console, as_json: bool) -> RunEvent:
    """Tells what is heard and returns the end."""
    lively = console.is_terminal and not as_json
    live = Live(console=console, get_renderable=story.view, refresh_per_second=REFRESHES_PER_S, transient=True)
    next_line_s = 0.0
    if lively:
        live.start()
    elif not as_json:
        _print(console, story.title)
    try:
        async with aclosing(run.events()) as events:
            async for event in events:
                if as_json:
                    _print_event(event)
                if event.ends:
                    return event
                at_s = time.monotonic()
                line = story.hear(event, at_s)
                if not (lively or as_json) and (line is not None or at_s >= next_line_s):
                    _print(console, line or story.line())
                    next_line_s = at_s + LINE_EVERY_S
    finally:
        live.stop()
    raise AssertionError("the last event of a run ends it")


def _print_event(event: RunEvent) -> None:
    print(json.dumps({"event": event.name, "data": event.data}), flush=True)


def _print(console: Console, line: str) -> None:
    console.print(line, soft_wrap=True, markup=False)


def _show_result(console: Console, result: Mapping[str, Any]) -> None:
    console.print(metrics_table(plain(result["config"]), result["metrics"]))
    for warning in result.get("warnings", ()):
        _print(console, f"warning      {plain(warning['message'])}")
    _print(console, f"result       {result['resultId']}  {result['resultHash']}")
