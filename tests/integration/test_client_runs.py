"""The Python client with a worker behind the gateway: all that steers a run, and the README's programs."""

from __future__ import annotations

import ast
import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from backfleet.client import (
    Backfleet,
    BacktestFailed,
    BlockingBackfleet,
    BlockingRun,
    Conflict,
    InvalidRequest,
    NotFound,
    Run,
)

from api.auth import mint_token
from deploy.demo_bars import demo_series, import_series
from shared.errors import BackfleetError
from shared.settings import Settings
from tests.fleet import fleet_on, request
from tests.gateway import BODY, gateway_on
from tests.readme import shown

DEADLINE_S = 60.0
BARS = 744  # of January 2024
# A stop finds a trade open, wherever it comes once the first has begun.
ALWAYS_IN = BODY | {"allowShort": True}


@asynccontextmanager
async def client_of(settings: Settings, url: str) -> AsyncIterator[Backfleet]:
    async with asyncio.timeout(DEADLINE_S), Backfleet(url, mint_token(settings, "ann", 600)) as fleet:
        yield fleet


@pytest.fixture
async def settings(
    any_mongodb_uri: str,
    any_redis_url: str,
    mongodb_database: str,
    make_settings: Callable[..., Settings],
    tmp_path: Path,
) -> AsyncIterator[Settings]:
    """Of a fleet with one worker. What runs say and when it is renewed has no part in what a command comes to."""
    made = make_settings(progress_interval_s=60.0, lease_ttl_s=240.0, lease_renew_s=60.0)
    async with fleet_on(made, tmp_path, 2_000) as fleet:
        fleet.start_worker()
        await fleet.end_of((await fleet.submit(request()))["_id"])  # An answer waits 2 s, its start may take longer.
        yield made


@pytest.fixture
async def url(settings: Settings) -> AsyncIterator[str]:
    async with gateway_on(settings) as one:
        yield one


def at(bar: int) -> float:
    return round(100 * bar / BARS, 2)


def led_to(answer: dict[str, Any]) -> tuple[Any, ...]:
    """What a command came to: it was done, and the run stands so."""
    assert answer["done"], answer
    assert answer["progress"] == at(answer.get("bar", 0)) or "bar" not in answer
    return answer["action"], answer["status"], answer.get("bar"), answer["speed"]


def wrong(error: BackfleetError) -> tuple[str, str]:
    [one] = error.errors
    return one.field, one.message


async def test_every_method_answers_what_it_led_to(settings: Settings, url: str) -> None:
    async with client_of(settings, url) as fleet, Backfleet(url, mint_token(settings, "eve", 600)) as eve:
        await is_steered_to_the_result_of_one_that_is_left_alone(fleet)
        await is_stopped_with_what_it_came_to_until_there(fleet)
        await is_not_asked_what_makes_no_sense(fleet, eve)


async def is_steered_to_the_result_of_one_that_is_left_alone(fleet: Backfleet) -> None:
    undisturbed = await (await fleet.submit(ALWAYS_IN)).result()
    run = await fleet.submit(ALWAYS_IN, startPaused=True, speed=50)
    assert led_to(await run.step()) == ("step", "paused", 1, 50.0)
    assert led_to(await run.step(9)) == ("step", "paused", 10, 50.0)
    assert led_to(await run.seek(bar=300)) == ("seek", "paused", 300, 50.0)
    assert led_to(await run.seek(bar=100)) == ("seek", "paused", 100, 50.0)
    assert led_to(await run.seek(time="2024-01-05T00:30:00Z")) == ("seek", "paused", 97, 50.0)
    assert led_to(await run.speed(20)) == ("speed", "paused", 97, 20.0)
    assert led_to(await run.resume()) == ("resume", "running", 97, 20.0)
    assert led_to(await run.seek(bar=400)) == ("seek", "running", 400, 20.0)
    action, status, bar, _ = led_to(await run.pause())
    assert (action, status) == ("pause", "paused")
    assert 400 <= bar < BARS
    state = await run.state()
    assert (state["status"], state["progress"]) == ("paused", at(bar)), "its record knows where it stands"
    assert led_to(await run.speed(None)) == ("speed", "paused", bar, "max")
    async with aclosing(run.events()) as events:
        snapshot = await anext(events)
        assert (snapshot.name, snapshot.data["currentCandleIndex"]) == ("backtest:state", bar)
        assert led_to(await run.resume()) == ("resume", "running", bar, "max")
        names = [event.name async for event in events]
    assert (names[0], names[-1]) == ("backtest:resumed", "backtest:complete")
    assert (await run.result())["resultHash"] == undisturbed["resultHash"]
    assert (await run.state())["progress"] == 100.0


async def is_stopped_with_what_it_came_to_until_there(fleet: Backfleet) -> None:
    ended: list[tuple[int, str]] = []
    for closes in (True, False):
        run = await fleet.submit(ALWAYS_IN, startPaused=True, speed=0.1)  # a bar in 10 s: it stays where it is
        assert led_to(await run.resume()) == ("resume", "running", 0, 0.1)
        assert led_to(await run.seek(bar=200)) == ("seek", "running", 200, 0.1)
        answer = await run.stop(close_open_trades=closes)
        assert (answer["status"], answer["done"], answer["progress"]) == ("stopped", True, at(200))
        state = await run.state()
        assert (state["status"], state["progress"]) == ("stopped", at(200))
        assert (await run.result())["totalBars"] == 200
        trades = (await run.trades())["items"]
        ended.append((len(trades), trades[-1]["exitReason"]))
    (closed, reason), (left, other) = ended
    assert (closed - left, reason) == (1, "stopped_by_user") != (1, other)
    run = await fleet.submit(ALWAYS_IN, startPaused=True)
    assert (await run.stop())["status"] == "stopped"
    with pytest.raises(BacktestFailed) as failed:
        await run.result()
    assert failed.value.code == "stopped"


async def is_not_asked_what_makes_no_sense(fleet: Backfleet, eve: Backfleet) -> None:
    run = await fleet.submit(ALWAYS_IN, startPaused=True)
    with pytest.raises(Conflict) as conflict:
        await run.pause()
    assert wrong(conflict.value) == ("action", "the backtest is paused already")
    one_of = "seek needs one of bar, an index from 0, and time, an instant"
    refused = {
        run.step(0): ("bars", "must be greater than or equal to 1 (got 0)"),
        run.speed(0.01): ("speed", "must be bars a second, from 0.1 to 1000000000, or max (got 0.01)"),
        run.seek(bar=-1): ("bar", "must be greater than or equal to 0 (got -1)"),
        run.seek(time="2025-01-01"): ("time", "must lie between 2024-01-01T00:00:00Z and 2024-02-01T00:00:00Z, "),
        run.seek(time="soon"): ("time", 'is not a date such as "2024-01-31" or an instant such as '),
        run.seek(): ("$", one_of),
        run.seek(bar=5, time="2024-01-05"): ("$", one_of),
    }
    for asking, (field, message) in refused.items():
        with pytest.raises(InvalidRequest) as invalid:
            await asking
        told = wrong(invalid.value)
        assert (told[0], told[1][: len(message)]) == (field, message)
    assert (await run.state())["status"] == "paused", "nothing has changed"
    await run.stop()
    for ask in (run.pause, run.resume, run.step, run.stop, lambda: run.speed(1), lambda: run.seek(bar=1)):
        with pytest.raises(Conflict, match="is stopped: it has ended"):
            await ask()
    for one in (fleet.run("bt_unknown"), eve.run(run.id)):
        for ask in (one.pause, one.resume, one.step, one.stop, one.result):
            with pytest.raises(NotFound, match=one.id):
                await ask()


async def test_the_twin_steers_as_well(settings: Settings, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with client_of(settings, url) as fleet:
        undisturbed = (await (await fleet.submit(ALWAYS_IN)).result())["resultHash"]

    def work() -> tuple[BlockingRun, dict[str, Any], dict[str, Any]]:
        with BlockingBackfleet(url, mint_token(settings, "ann", 600)) as fleet:
            run = fleet.submit(ALWAYS_IN, startPaused=True, speed=20)
            assert led_to(run.step(10)) == ("step", "paused", 10, 20.0)
            assert led_to(run.seek(bar=300)) == ("seek", "paused", 300, 20.0)
            assert led_to(run.seek(time="2024-01-05")) == ("seek", "paused", 96, 20.0)
            assert led_to(run.resume())[1:] == ("running", 96, 20.0)
            assert led_to(run.pause())[:2] == ("pause", "paused")
            with pytest.raises(Conflict, match="is paused already"):
                run.pause()
            with pytest.raises(InvalidRequest, match="bars"):
                run.step(0)
            with pytest.raises(NotFound):
                fleet.run("bt_unknown").resume()
            assert led_to(run.speed(None))[3] == "max"
            run.resume()
            stopped = fleet.submit(ALWAYS_IN, startPaused=True)
            stopped.step(300)
            assert stopped.stop(close_open_trades=False)["status"] == "stopped"
            kept = stopped.events()
            assert next(kept).data["backtestId"] == stopped.id
            ended = run.result(), stopped.result(show=False)
        kept.close()  # Later than the client, as whoever keeps it in a cell of a notebook does.
        return run, *ended

    async with asyncio.timeout(DEADLINE_S):
        run, result, stopped = await asyncio.to_thread(work)
    assert (result["backtestId"], result["resultHash"]) == (run.id, undisturbed)
    assert stopped["totalBars"] == 300
    assert "done" in (shown_bar := capsys.readouterr().out)
    assert "100%" in shown_bar


def programs() -> dict[str, str]:
    """The README's programs with the client, by what tells them apart."""
    samples = [block for block in shown("python") if "from backfleet.client import" in block]
    marks = {"follows": "run.events()", "steers": "run.seek(", "blocks": "BlockingBackfleet("}
    found = {name: [one for one in samples if mark in one] for name, mark in marks.items()}
    found["follows"] = [one for one in found["follows"] if one not in found["steers"]]
    assert sum(map(len, found.values())) == len(samples), "one is run by no test"
    return {name: one for name, [one] in found.items()}


async def run_program(text: str, settings: Settings, url: str) -> list[str]:
    """The lines that it prints. Its user starts with a token and a URL in the environment, as it says."""
    env = {**os.environ, "URL": url, "TOKEN": mint_token(settings, "ann", 600), "PYTHONPATH": os.pathsep.join(sys.path)}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", text, env=env, stdout=PIPE, stderr=PIPE)
    try:
        async with asyncio.timeout(DEADLINE_S):
            out, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, errors.decode()) == (0, "")
    return out.decode().splitlines()


async def last_of(fleet: Backfleet) -> Run:
    [newest] = (await fleet.backtests(limit=1))["items"]
    return fleet.run(newest["backtestId"])


async def test_the_readmes_programs_do_what_they_say(settings: Settings, url: str) -> None:
    [aapl] = [one for one in demo_series() if one.symbol == "AAPL"]
    await import_series(settings, [aapl])
    program = programs()
    async with client_of(settings, url) as fleet:
        *names, told = await run_program(program["follows"], settings, url)
        assert {names[0], "backtest:started", names[-1]} <= {"backtest:state", "backtest:started", "backtest:complete"}
        assert names[-1] == "backtest:complete"
        result = await (await last_of(fleet)).result()
        assert float(told) == result["metrics"]["totalReturn"]

        *lines, told = await run_program(program["steers"], settings, url)
        answers = [ast.literal_eval(line) for line in lines if line.startswith("{")]
        assert [(one["action"], one["status"], one["done"]) for one in answers] == [
            ("step", "paused", True),
            ("seek", "paused", True),
            ("pause", "paused", True),
            ("stop", "stopped", True),
        ]
        stepped, sought, paused, _ = (one.get("bar") for one in answers)
        assert stepped == 100
        assert any(line.startswith(("opened {", "closed {")) for line in lines)
        run = await last_of(fleet)
        ended = await run.result()
        assert (ended["totalBars"], float(told)) == (paused, ended["metrics"]["totalReturn"])
        points = (await run.equity(max_points=5_000))["points"]
        assert points[sought]["time"][:10] == "2008-06-02"
        equity = [one["equity"] for one in points]
        assert min(value / max(equity[: at + 1]) for at, value in enumerate(equity) if at > sought) < 0.8

        shows, told, *trades = await run_program(program["blocks"], settings, url)
        assert shows.startswith("done")
        assert "100%" in shows
        assert float(told) == result["metrics"]["totalReturn"]
        assert [ast.literal_eval(line)["entryTime"] for line in trades] == [
            one["entryTime"] for one in (await (await last_of(fleet)).trades(limit=3))["items"]
        ]
