"""The fleet on a terminal: its workers, what waits, and what runs, as it changes."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from contextlib import aclosing, suppress
from typing import Any

from rich.box import SIMPLE
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from deploy.plain import plain
from shared.client.answers import RunEvent
from shared.client.fleet import Backfleet
from shared.errors import BackfleetError

log = logging.getLogger(__name__)

# Between two questions: at least after an event, and at most.
ASK_AFTER_S = 1.0
ASK_AGAIN_S = 2.0
FAILURES_SHOWN = 5
BAR_COLUMNS = 20
REFRESHES_PER_S = 4


class FleetStory:
    """The fleet as it was told last, with what its runs have said since."""

    def __init__(self, fleet: Mapping[str, Any]) -> None:
        self._fleet: Mapping[str, Any] = {}
        self._runs: dict[str, dict[str, Any]] = {}
        self.read(fleet)

    def read(self, fleet: Mapping[str, Any]) -> None:
        """Takes an answer of `GET /api/algo/fleet` for all there is."""
        self._fleet = plain(fleet)
        self._runs = {one["backtestId"]: dict(one) for one in self._fleet["runs"]}

    def hear(self, event: RunEvent) -> bool:
        """Takes in what a run said. Whether more has changed than how far it is, so that the fleet is to be asked."""
        run = self._runs.get(event.data["backtestId"])
        if run is None or event.name != "backtest:progress":
            return True
        run["progress"] = event.data["progress"]
        left, eta_s = event.data.get("totalBars", 0) - event.data.get("processedBars", 0), event.data.get("etaSeconds")
        if eta_s:
            run["barsPerSecond"] = left / eta_s
        return False

    def view(self) -> RenderableType:
        fleet = self._fleet
        shown: list[RenderableType] = [Text(self._summary(), style="bold"), _workers(fleet["workers"])]
        if fleet["queue"]:
            shown.append(_queue(fleet["queue"]))
        if self._runs:
            shown.append(_runs(list(self._runs.values())))
        shown += [
            Text(f"{one['backtestId']} failed at {one['at']}, {one['code']}: {one['message']}")
            for one in fleet["failures"][:FAILURES_SHOWN]
        ]
        return Group(*shown)

    def _summary(self) -> str:
        fleet, ended = self._fleet, self._fleet["ended"]
        waiting = sum(one["pending"] for one in fleet["queue"])
        return (
            f"{waiting:,} waiting, {fleet['running']:,} running, {fleet['paused']:,} paused; within an hour "
            f"{ended['completed']:,} completed, {ended['failed']:,} failed, {ended['stopped']:,} stopped"
        )


def _workers(workers: list[dict[str, Any]] | None) -> RenderableType:
    if workers is None:
        return Text("Redis does not answer, so no worker is seen")
    if not workers:
        return Text("no worker is there")
    columns = ["worker", "version", Column("slots", max_width=BAR_COLUMNS // 2), "busy", "", "since"]
    table = Table(*columns, title="workers", title_justify="left", box=SIMPLE)
    for one in workers:
        table.add_row(
            one["id"],
            one["version"],
            ProgressBar(total=max(one["slots"], 1), completed=one["busy"]),
            f"{one['busy']} of {one['slots']}",
            "draining" if one["draining"] else "",
            one["since"],
        )
    return table


def _queue(queue: list[dict[str, Any]]) -> Table:
    table = Table("priority", "waiting", "oldest", title="queue", title_justify="left", box=SIMPLE)
    for one in queue:
        table.add_row(str(one["priority"]), f"{one['pending']:,}", f"{one['oldestSeconds']:,.0f} s")
    return table


def _runs(runs: list[dict[str, Any]]) -> Table:
    # Ids are copied from here; the bars are what gives way where there is little room.
    columns = [Column("backtest", width=max(len(one["backtestId"]) for one in runs)), "user", "market", "status"]
    columns += [Column(max_width=BAR_COLUMNS // 2), Column("progress", justify="right", no_wrap=True)]
    columns += [Column("bars/s", justify="right", no_wrap=True)]
    table = Table(*columns, title="runs", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for one in runs:
        rate = one["barsPerSecond"]
        table.add_row(
            one["backtestId"],
            one["userId"],
            f"{one['symbol']} {one['interval']}",
            one["status"],
            ProgressBar(total=100.0, completed=one["progress"]),
            f"{one['progress']:.1f} %",
            "" if rate is None else f"{rate:,.0f}",
        )
    return table


async def watch_fleet(fleet: Backfleet, console: Console, *, once: bool, as_json: bool) -> int:
    """Shows the fleet until it is cancelled; once where `once` says so, and where nothing can change on the console.

    `as_json` prints each view as one JSON object a line.
    """
    answer = await fleet.fleet()
    if once or not (as_json or console.is_terminal):
        if as_json:
            print(json.dumps(answer))
        else:
            console.print(FleetStory(answer).view())
        return 0
    story, changed = FleetStory(answer), asyncio.Event()
    listening = asyncio.create_task(_listen(fleet, story, changed))
    live = Live(console=console, get_renderable=story.view, refresh_per_second=REFRESHES_PER_S)
    if not as_json:
        live.start()
    try:
        while True:
            if as_json:
                print(json.dumps(answer), flush=True)
            await asyncio.sleep(ASK_AFTER_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), ASK_AGAIN_S - ASK_AFTER_S)
            changed.clear()
            answer = await fleet.fleet()
            story.read(answer)
    finally:
        live.stop()
        listening.cancel()
        await asyncio.wait([listening])


async def _listen(fleet: Backfleet, story: FleetStory, changed: asyncio.Event) -> None:
    """Without events the view is as fresh as the last question."""
    try:
        async with aclosing(fleet.news()) as news:
            async for event in news:
                if story.hear(event):
                    changed.set()
    except BackfleetError as error:
        log.info("no events of the fleet: %s", error.message)
