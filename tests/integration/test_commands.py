"""The commands that ask a gateway: submit, watch and what steers, as people and scripts run them."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from api.auth import mint_token
from deploy.cli import main
from deploy.fleet_view import watch_fleet
from deploy.following import follow
from shared.client.fleet import Backfleet
from shared.contracts import Channel, Event, Progress
from shared.records import BacktestRecord
from shared.settings import Settings
from tests.fleet import SYMBOL, fleet_on
from tests.gateway import BODY, Site, gateway_on, site_on

ROOT = Path(__file__).parents[2]
BARS = 2_000
DEADLINE_S = 60.0
ASKED = (
    *("--symbol", SYMBOL, "--interval", "1h", "--from", "2024-01-01", "--to", "2024-02-01"),
    *("--strategy", "sma", "--param", "fast=5", "--param", "slow=20"),
)
Call = Callable[..., Coroutine[Any, Any, tuple[int, str, list[str]]]]
# As a shell starts it: whoever started the tests may have them ignore interrupts.
INTERRUPTIBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from deploy.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
async def site(any_mongodb_uri: str, any_redis_url: str, make_settings: Callable[..., Settings]) -> AsyncIterator[Site]:
    async with site_on(make_settings()) as one:
        yield one


def calling(url: str, token: str, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs the command in this process: exit status, output, lines of errors."""

    async def call(*arguments: str) -> tuple[int, str, list[str]]:
        status = await asyncio.to_thread(main, [*arguments, "--url", url, "--token", token])
        printed = capsys.readouterr()
        return status, printed.out, printed.err.splitlines()

    return call


@pytest.fixture
def call(site: Site, capsys: pytest.CaptureFixture[str]) -> Call:
    return calling(site.url, site.token(), capsys)


def said(record: BacktestRecord, seq: int) -> dict[str, Any]:
    return {"backtest_id": record["_id"], "user_id": record["userId"], "epoch": record["epoch"], "seq": seq}


async def say_progress(site: Site, record: BacktestRecord, seq: int) -> None:
    progress = Progress(
        **said(record, seq),
        progress=40.0,
        message="Processing 2024-01-09",
        current_date="2024-01-09",
        processed_bars=200,
        total_bars=500,
        eta_seconds=3.0,
    )
    assert await site.bus.publish(Channel.PROGRESS, progress)


STATE: dict[str, Any] = {
    "status": "running",
    "currentTime": "2024-01-09T07:00:00Z",
    "currentCandleIndex": 200,
    "totalCandles": 500,
    "progressPercent": 40.0,
    "currentCapital": 10_432.5,
    "peakCapital": 10_500.0,
    "drawdown": -0.64,
    "speed": 50,
    "firstBar": 199,
    "openTrades": [
        {
            "entryTime": "2024-01-08T00:00:00Z",
            "direction": "long",
            "quantity": 2,
            "entryPrice": 99.5,
            "unrealisedPnl": 3,
        }
    ],
    "recentSignals": [],
    "recentTrades": [
        {"entryTime": "2024-01-07T00:00:00Z", "direction": "short", "quantity": 1, "entryPrice": 101.0, "pnl": -12.25}
    ],
    "metrics": {"totalTrades": 7, "equityCurve": []},
}


async def test_what_is_submitted_and_followed_is_told_in_lines_and_its_metrics(site: Site, call: Call) -> None:
    async with asyncio.timeout(DEADLINE_S):
        following = asyncio.create_task(call("submit", *ASKED, "--priority", "3", "--follow"))
        record = await first_claim(site)
        await subscribed(site, record)
        await say_progress(site, record, 1)
        state = Event(**said(record, 2), type="state", data=STATE)
        paused = {"bar": 200, "totalBars": 500, "currentTime": "2024-01-09", "progressPercent": 40.0, "speed": 50}
        for event in (state, Event(**said(record, 3), type="paused", data=paused)):
            assert await site.bus.publish(Channel.EVENT, event)
        await site.finish(record, seq=4)
        status, out, lines = await following
    assert (status, out, record["priority"]) == (0, f"{record['_id']}\n", 3)
    assert lines[0] == f"{record['_id']}  sma on {SYMBOL} 1h"
    assert "paused at bar 200 of 500" in lines
    table = "\n".join(lines)
    assert "total return" in table
    assert lines[-1].endswith("sha256:1")
    status, out, lines = await call("watch", record["_id"])
    assert (status, lines) == (0, [])
    assert "total return" in out
    status, out, _ = await call("watch", record["_id"], "--json")
    assert (status, json.loads(out)["event"]) == (0, "backtest:complete")
    assert json.loads((await call("watch", record["_id"], "--once", "--json"))[1])["status"] == "completed"
    assert "100.0 %  completed" in (await call("watch", record["_id"], "--once"))[1]


async def first_claim(site: Site) -> BacktestRecord:
    """Claims what is submitted, once it is there."""
    while (record := await site.claims.claim("worker", "claim_1")) is None:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    return record


async def subscribed(site: Site, record: BacktestRecord) -> None:
    """Until somebody follows it."""
    while not await site.bus.is_watched(record["_id"]):  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def test_a_terminal_shows_a_view_that_goes_away_and_the_metrics(site: Site) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=160, highlight=False)
    async with asyncio.timeout(DEADLINE_S), Backfleet(site.url, site.token()) as fleet:
        run = await fleet.submit(BODY)
        record = await site.claim()
        following = asyncio.create_task(follow(run, console, as_json=False))
        await subscribed(site, record)
        assert await site.bus.publish(Channel.EVENT, Event(**said(record, 1), type="state", data=STATE))
        while "40.0 %" not in screen.getvalue():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await site.finish(record, seq=2)
        assert await following == 0
    shown = screen.getvalue()
    for part in ("10,432.50", "drawdown -0.64 %", "7 trades, 1 open", "asked for 50 bars/s", "-12.25", "99.5", "━━━"):
        assert part in shown
    assert shown.rindex("\x1b[?25h") < shown.rindex("total return")


async def test_one_without_a_result_ends_with_1_and_says_why(site: Site, call: Call) -> None:
    async with asyncio.timeout(DEADLINE_S):
        status, out, errors = await call("submit", *ASKED, "--start-paused", "--key", "k1")
        backtest_id = out.strip()
        assert (status, errors) == (0, [])
        assert (await call("submit", *ASKED, "--start-paused", "--key", "k1"))[1] == out
        assert (await call("stop", backtest_id)) == (0, f"{backtest_id} is stopped, 0.0 %\n", [])
        status, out, errors = await call("watch", backtest_id)
        assert (status, errors) == (1, [])
        assert out.startswith(f"{backtest_id} has no result, stopped: ")
        assert (await call("watch", backtest_id, "--json"))[0] == 1


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("submit", *ASKED, "--speed", "fast"), "speed: "),
        (("submit", *ASKED, "--set", "seed=x"), "seed: "),
        (("submit", "--symbol", "X"), "--strategy"),
        (("watch", "bt_unknown"), "bt_unknown"),
        (("watch", "bt_unknown", "--once"), "bt_unknown"),
        (("pause", "bt_unknown"), "bt_unknown"),
        (("step", "bt_1", "many"), "BARS: 'many' is no whole number"),
        (("step", "bt_1", "1.5"), "BARS: '1.5' is no whole number"),
        (("seek", "bt_1", "9" * 5_000), "is no whole number; write for example 500"),
        (("speed", "bt_1", "nan"), "N: 'nan' is no number; write for example 50, or max"),
        (("speed", "bt_1", "fast"), "N: 'fast' is no number"),
        (("seek", "bt_1", "yesterday"), "time: "),
        (("step", "bt_1", "0"), "bars: "),
    ],
)
async def test_a_refusal_is_one_line_and_2(call: Call, arguments: tuple[str, ...], part: str) -> None:
    status, out, [error] = await call(*arguments)
    assert (status, out, error[:11]) == (2, "", "backfleet: ")
    assert part in error


async def test_the_fleet_is_shown_with_what_its_runs_say(site: Site, call: Call) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=160, highlight=False)
    async with asyncio.timeout(DEADLINE_S), Backfleet(site.url, site.token()) as fleet:
        await fleet.submit(BODY, priority=5)
        await fleet.submit(BODY)
        record = await site.claim()
        status, out, errors = await call("watch")
        assert (status, errors) == (0, [])
        assert "1 waiting, 1 running, 0 paused" in out
        assert "no worker is there" in out
        [shown] = [line.split() for line in out.splitlines() if line.split()[:1] == [record["_id"]]]
        assert (shown[1:5], shown[-2:]) == (["ann", "WALK", "1h", "running"], ["0.0", "%"]), "nothing is cut"
        assert json.loads((await call("watch", "--once", "--json"))[1])["running"] == 1
        watching = asyncio.create_task(watch_fleet(fleet, console, once=False, as_json=False))
        seq = 0
        while "40.0 %" not in screen.getvalue() or " 100 " not in screen.getvalue():
            seq += 1
            await say_progress(site, record, seq)
            await asyncio.sleep(0.05)
        await site.finish(record, seq=seq + 1)
        while "0 running" not in screen.getvalue():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        watching.cancel()
        await asyncio.wait([watching])
    assert watching.cancelled()


async def test_an_interrupt_ends_the_watching_alone(site: Site) -> None:
    async with asyncio.timeout(DEADLINE_S), Backfleet(site.url, site.token()) as fleet:
        run = await fleet.submit(BODY)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", INTERRUPTIBLE, "watch", run.id, "--url", site.url, "--token", site.token()),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        await process.stdout.readline()
        await process.stdout.readline()  # the first line of how it stands: it is subscribed
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
        assert (await run.state())["status"] == "pending"
    assert process.returncode == 130
    assert errors.decode() == f"backfleet: {run.id} goes on; see it again with `backfleet watch {run.id}`\n"


async def test_a_run_is_steered_to_its_result(
    any_mongodb_uri: str,
    any_redis_url: str,
    mongodb_database: str,
    make_settings: Callable[..., Settings],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = make_settings(lease_ttl_s=60.0, stall_limit_s=60.0)
    async with (
        asyncio.timeout(DEADLINE_S),
        fleet_on(settings, tmp_path, BARS) as fleet,
        gateway_on(settings) as url,
    ):
        call = calling(url, mint_token(settings, "ann", 60), capsys)
        fleet.start_worker()
        backtest_id = (await call("submit", *ASKED, "--start-paused"))[1].strip()
        stepping = asyncio.create_task(call("step", backtest_id, "10", "--json"))
        await fleet.heard(lambda one: one.get("type") == "paused" and one["data"]["bar"] == 10, DEADLINE_S)
        status, out, _ = await stepping
        assert (status, json.loads(out)["action"]) == (0, "step")
        status, out, [error] = await call("pause", backtest_id)
        assert (status, out) == (2, "")
        assert "paused" in error
        assert (await call("speed", backtest_id, "50"))[1].endswith(", at 50 bars/s\n")
        assert f"{backtest_id} is paused at bar 100 of 744, " in (await call("seek", backtest_id, "100"))[1]
        assert f"{backtest_id} is running at bar " in (await call("resume", backtest_id))[1]
        assert f"{backtest_id} is stopped, " in (await call("stop", backtest_id))[1]
        status, out, errors = await call("watch", backtest_id)
        assert (status, errors) == (0, [])
        assert "total return" in out
