"""Strategies of one's own in a worker process: they hang, raise, peek, or are in order."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from shared.contracts import Channel
from shared.settings import Settings
from tests.fleet import Fleet, fleet_on, request

BARS = 400
STALL_LIMIT_S = 1.0
RUN_LIMIT_S = 2.5  # longer than the former: what computes is not taken for what hangs
STRATEGIES = """
import logging
import threading
import time

from shared.strategies import Strategy
from shared.strategies.parameters import Parameters
from shared.strategies.signals import silent


def turn(view):
    return 1 if view.bar % 20 < 10 else 0


def hang(view):
    if view.bar == 30:
        threading.Event().wait()


def fail(view):
    raise LookupError("nothing there")


def compute(for_s):
    until = time.monotonic() + for_s
    while time.monotonic() < until:
        pass


def slow(bars, params):
    compute(1.5)
    return silent(bars.total)


def flood(bars, params):
    log = logging.getLogger("flood")
    for number in range(100_000):
        log.info("line %d", number)
    return silent(bars.total)


def endless(bars, params):
    compute(1e9)


def peek(bars, params):
    signals = silent(bars.total)
    signals[int(bars.close.argmax())] = 0
    return signals


TURN = Strategy("turn", "Turn", "In and out.", Parameters, decide=turn)
HANG = Strategy("hang", "Hang", "Never answers.", Parameters, decide=hang)
FAIL = Strategy("fail", "Fail", "Raises.", Parameters, decide=fail)
PEEK = Strategy("peek", "Peek", "Sees the top.", Parameters, peek)
SLOW = Strategy("slow", "Slow", "Takes longer than silence is borne.", Parameters, slow)
FLOOD = Strategy("flood", "Flood", "Logs more than anybody reads.", Parameters, flood)
ENDLESS = Strategy("endless", "Endless", "Never comes to an end.", Parameters, endless)
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with a package as an installer leaves it: the code, and what its metadata says of it."""
    folder = tmp_path / "site"
    told = folder / "own_strategies-1.dist-info"
    told.mkdir(parents=True)
    (folder / "own_strategies.py").write_text(STRATEGIES)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: own-strategies\nVersion: 1\n")
    names = ("turn", "hang", "fail", "peek", "slow", "flood", "endless")
    points = [f"{name} = own_strategies:{name.upper()}" for name in names]
    (told / "entry_points.txt").write_text("\n".join(["[backfleet.strategies]", *points]) + "\n")
    return folder


@pytest.fixture
async def fleet(
    any_mongodb_uri: str,
    any_redis_url: str,
    mongodb_database: str,
    make_settings: Callable[..., Settings],
    site: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Fleet]:
    monkeypatch.setenv("PYTHONPATH", f"{site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}".rstrip(os.pathsep))
    settings = make_settings(stall_limit_s=STALL_LIMIT_S, failures_max=1)
    async with fleet_on(settings, tmp_path, BARS) as opened:
        yield opened


async def test_what_goes_wrong_in_a_strategy_of_ones_own_is_said_and_harms_no_other(fleet: Fleet) -> None:
    fleet.start_worker()
    good, checked, failing, peeking, hanging = [
        await fleet.submit(request(strategyParams={}, **changes))
        for changes in (
            {"strategies": ["turn"]},
            {"strategies": ["turn"], "checkCausality": True},
            {"strategies": ["buy_and_hold", "fail"]},
            {"strategies": ["peek"], "checkCausality": True},
            {"strategies": ["hang"]},
        )
    ]
    first, second = await fleet.end_of(good["_id"]), await fleet.end_of(checked["_id"])
    assert (first["channel"], second["channel"]) == (Channel.COMPLETE, Channel.COMPLETE)
    assert first["resultHash"] == second["resultHash"]
    assert first["summary"]["totalTrades"] > 5
    stored = await fleet.store.get(checked["_id"], "ann")
    result = await fleet.results.read(stored["resultId"], "ann")
    assert result["config"]["checkCausality"] is True

    end = await fleet.end_of(failing["_id"])
    assert (end["channel"], end["code"]) == (Channel.ERROR, "strategy_error")
    assert end["error"] == "strategy fail raised LookupError at bar 0 (2024-01-01T00:00:00Z): nothing there"
    assert [error["field"] for error in end["errors"]] == ["strategies.1"]

    end = await fleet.end_of(peeking["_id"])
    assert (end["channel"], end["code"]) == (Channel.ERROR, "strategy_peeks")
    assert [(error["field"], error["code"]) for error in end["errors"]] == [("strategies.0", "strategy_peeks")]
    assert "strategy peek sees the future: of bar " in end["error"]

    end = await fleet.end_of(hanging["_id"])
    assert (end["channel"], end["code"]) == (Channel.ERROR, "poisoned")
    assert f"hung for {STALL_LIMIT_S:g} s" in end["error"]
    after = await fleet.submit(request(strategies=["turn"], strategyParams={}))
    assert (await fleet.end_of(after["_id"]))["resultHash"] == first["resultHash"]


async def test_a_strategy_that_is_slow_is_not_taken_for_one_that_hangs(fleet: Fleet) -> None:
    """Its one call is silent for longer than the stall limit; what comes next says that the run still lives."""
    fleet.start_worker()
    record = await fleet.submit(request(strategies=["slow", "turn", "peek"], strategyParams={}))
    end = await fleet.end_of(record["_id"])
    stored = await fleet.store.get(record["_id"], "ann")
    assert (end["channel"], stored["epoch"], stored["failures"]) == (Channel.COMPLETE, 1, 0)
    said = [one["message"] for one in fleet.said_of(record["_id"]) if one["channel"] == Channel.PROGRESS]
    assert "Computing signals of peek" in said


async def test_a_run_that_takes_longer_than_one_may_ends_with_words_that_say_so(fleet: Fleet) -> None:
    fleet.start_worker(run_limit_s=RUN_LIMIT_S)
    record = await fleet.submit(request(strategies=["endless"], strategyParams={}))
    end = await fleet.end_of(record["_id"])
    stored = await fleet.store.get(record["_id"], "ann")
    assert (end["channel"], end["code"]) == (Channel.ERROR, "run_limit")
    assert f"has computed for {RUN_LIMIT_S:g} s" in end["error"]
    assert (stored["status"], stored["epoch"], stored["failures"]) == ("failed", 1, 0), "it would be slow again"
    after = await fleet.submit(request(strategies=["turn"], strategyParams={}))
    assert (await fleet.end_of(after["_id"]))["channel"] == Channel.COMPLETE


async def test_of_a_flood_of_lines_a_few_are_kept_told_and_counted(fleet: Fleet) -> None:
    record, _ = await fleet.store.insert(
        user_id="ann", params=request(strategies=["flood"], strategyParams={}), priority=0, idempotency_key=None
    )
    await fleet.bus.mark_watched([record["_id"]], "gateway")
    fleet.start_worker()
    end = await fleet.end_of(record["_id"])
    assert end["channel"] == Channel.COMPLETE
    page = await fleet.database.run_logs.read(record["_id"], 0, 20_000)
    *kept, last = page.entries
    assert [one["number"] for one in page.entries] == list(range(1, len(kept) + 2))
    seconds = Counter(one["timestamp"][:19] for one in kept)
    assert max(seconds.values()) <= 200
    assert last["message"].startswith(f"{100_000 - len(kept)} lines were dropped")
    told = [one["data"] for one in fleet.said_of(record["_id"]) if one.get("type") == "log"]
    assert [entry for one in told for entry in one["entries"]] == page.entries
    assert max(len(one["entries"]) for one in told) <= 200
    assert sum(one.get("dropped", 0) for one in told) == 100_000 - len(kept)
