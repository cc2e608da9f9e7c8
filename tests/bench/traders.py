"""Traders that are models: what an ask costs that is answered from the store, and many runs that wait for a slow model.

One worker, its engine processes, both servers and the model's server share the machine, so what each of them computes
stands beside what was measured.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import IO, Any, NamedTuple

from deploy.demo_bars import demo_series
from deploy.stack import Stack
from shared.bars import Bars
from shared.candles import take_bars
from shared.contracts import Channel
from shared.request import BacktestParams
from shared.settings import load_settings
from shared.strategies import resolve
from shared.strategies.decision import Decision
from shared.wire import validate
from tests.bench.rows import Row, measured
from tests.bench.slow_model import DELAY_S, SLOW
from tests.engine.deciders import STEPS, in_the_catalogue
from tests.fleet import Fleet, fleet_on
from worker.engine.config import EngineConfig
from worker.engine.deciding import hear, questions
from worker.engine.simulation import Simulation
from worker.engine_loop import Run
from worker.pipe import Finished

SYMBOL = "AAPL"
QUICK = "quick"
INDICATORS = ("ema 20", "rsi 14", "atr 14")
REPLAYS = 3
RUNS = 50
KINDS = 5  # of runs that come to different results
SLOTS = 2
EVERY = 33
DEADLINE_S = 240.0
FIRST_DAY, LAST_DAY = "2004-01-01", "2012-01-01"  # some 2,000 days of trading


class Program(NamedTuple):
    """The model's server."""

    pid: int
    url: str
    commands: IO[str]
    replies: IO[str]

    def heard(self) -> list[tuple[str, float, float]]:
        """Its requests since this was asked last: question, when it came, when it was answered."""
        self.commands.write("\n")
        self.commands.flush()
        return [(one[0], one[1], one[2]) for one in json.loads(self.replies.readline())]


@contextmanager
def model_server() -> Iterator[Program]:
    command = [sys.executable, "-m", "tests.bench.slow_model"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        commands, replies = process.stdin, process.stdout
        assert commands is not None
        assert replies is not None
        try:
            yield Program(process.pid, replies.readline().strip(), commands, replies)
        finally:
            commands.close()


# What each process computes


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Work(NamedTuple):
    """How long each process has computed, in seconds."""

    cpu_s: Mapping[str, float]

    @classmethod
    def so_far(cls, stack: Stack, model: Program) -> Work:
        worker = stack.processes["worker-1"].pid
        engines = Path(f"/proc/{worker}/task/{worker}/children").read_text().split()
        found = {"worker": _cpu_s(worker), "engine": sum(_cpu_s(int(pid)) for pid in engines)}
        servers = {name: one.pid for name, one in stack.processes.items() if not name.startswith(("worker", "api"))}
        found |= {name: _cpu_s(pid) for name, pid in servers.items()}
        return cls(found | {"model": _cpu_s(model.pid)})

    def since(self, before: Work) -> dict[str, float]:
        return {name: now_s - before.cpu_s[name] for name, now_s in self.cpu_s.items()}


def _work_rows(of: str, cpu_s: Mapping[str, float], asks: int, on: str) -> Iterator[Row]:
    for name, one_s in cpu_s.items():
        yield measured(f"{of}.cpu.{name}", ours=1_000 * one_s / asks, unit="ms/ask", better="lower", on=on)


# What is run


def trading(model: Program, name: str, trader: int, *, mode: str = "record", every: int = 1) -> BacktestParams:
    asked = {
        "model": name,
        "provider": "local",
        "baseUrl": model.url,
        "prompt": f"Trader {trader}, who looks back at closes before the last: {1 + trader % KINDS}",
        "indicators": list(INDICATORS),
        "every": every,
        "mode": mode,
    }
    return on_the_bars(strategies=["ai_trader"], strategyParams={"ai_trader": asked})


def on_the_bars(**more: Any) -> BacktestParams:
    body = {"symbol": SYMBOL, "interval": "1d", "startDate": FIRST_DAY, "endDate": LAST_DAY, "allowShort": True}
    return validate(BacktestParams, body | more)


async def _ended(fleet: Fleet, params: BacktestParams) -> dict[str, Any]:
    record = await fleet.submit(params)
    end = await fleet.end_of(record["_id"], DEADLINE_S)
    if end["channel"] != Channel.COMPLETE:
        raise RuntimeError(f"a backtest failed: {end}")
    return end


async def _took_s(fleet: Fleet, backtest_id: str) -> float:
    """From its claim to its end."""
    record = await fleet.store.get(backtest_id, "ann")
    return (record["completedAt"] - record["startedAt"]) / 1_000


def bars_decided_on() -> Bars:
    """Those of `on_the_bars`."""
    params = on_the_bars(strategies=["sma"])
    bars = next(one.bars for one in demo_series() if one.symbol == SYMBOL)
    first, end = bars.time_ms.searchsorted([params.start_ms, params.end_ms])
    return take_bars(bars, slice(int(first), int(end)))


def deciding_s(bars: Bars) -> float:
    """What the engine takes for one decision that is made in its own process."""
    took_s: list[float] = []
    with in_the_catalogue(STEPS):
        for _ in range(REPLAYS):
            run = Run(on_the_bars(strategies=["steps"]), bars)
            begun_s = time.perf_counter()
            while not isinstance(run.advance(bars.total), Finished):
                pass
            took_s.append(time.perf_counter() - begun_s)
    return min(took_s) / bars.total


def prompt_row(bars: Bars) -> Row:
    """One question, from a view: its trades are closed and opened, so that all tables have rows."""
    asked = {"model": "m", "indicators": list(INDICATORS)}
    params = on_the_bars(strategies=["ai_trader"], strategyParams={"ai_trader": asked})
    simulation = Simulation.start(
        bars, EngineConfig.from_params(params), resolve(params.strategies, params.strategy_params), params.seed
    )
    took_s: list[float] = []
    simulation.advance(bars.total)
    while (ask := simulation.ask) is not None:
        begun_s = time.perf_counter()
        [question] = questions(simulation)
        took_s.append(time.perf_counter() - begun_s)
        hear(simulation, {question.strategy: Decision((-1) ** (ask.bar // 7), 0.5)})
        simulation.advance(bars.total)
    return measured(
        "traders.prompt",
        ours=1e6 * median(took_s),
        unit="µs",
        better="lower",
        on=f"{len(took_s):,} real days, 50 bars with {len(INDICATORS)} indicators a question",
    )


async def stored_rows(fleet: Fleet, stack: Stack, model: Program, bars: Bars) -> list[Row]:
    """A run of which every decision is stored, again: in the mode in which nobody may be asked."""
    first = await _ended(fleet, trading(model, QUICK, 0))
    if len(model.heard()) != bars.total:
        raise RuntimeError(f"not every one of {bars.total} bars was asked about")
    took_s: list[float] = []
    before = Work.so_far(stack, model)
    for _ in range(REPLAYS):
        again = await _ended(fleet, trading(model, QUICK, 0, mode="replay"))
        if again["resultHash"] != first["resultHash"]:
            raise RuntimeError("a replay came to something else")
        took_s.append(await _took_s(fleet, again["backtestId"]))
    computed_s = Work.so_far(stack, model).since(before)
    if asked := model.heard():
        raise RuntimeError(f"replays asked the model {len(asked)} times")
    on = f"{stack.server_names}, one worker, {bars.total:,} decisions on real days, {load_now()}"
    engine_ms = 1_000 * deciding_s(bars)
    return [
        measured(
            "traders.stored_ask",
            ours=1_000 * median(took_s) / bars.total - engine_ms,
            unit="ms/ask",
            aim=1.0,
            better="lower",
            on=f"{on}; beyond the {1_000 * engine_ms:.0f} µs of a decision in process",
        ),
        *_work_rows("traders.stored_ask", computed_s, REPLAYS * bars.total, on),
    ]


async def waiting_rows(fleet: Fleet, stack: Stack, model: Program) -> list[Row]:
    """Many runs that wait for a slow model most of the time, beside what the model alone could answer to so many."""
    alone = [(await _ended(fleet, trading(model, QUICK, kind, every=EVERY)))["resultHash"] for kind in range(KINDS)]
    if len(set(alone)) != KINDS:
        raise RuntimeError("runs that are to come to different results do not")
    asks = len(model.heard()) // KINDS
    before = Work.so_far(stack, model)
    ends = await asyncio.gather(*(_ended(fleet, trading(model, SLOW, run, every=EVERY)) for run in range(RUNS)))
    computed_s = Work.so_far(stack, model).since(before)
    requests = model.heard()
    times = Counter(question for question, _, _ in requests)
    if len(times) != RUNS * asks or set(times.values()) != {1}:
        raise RuntimeError(f"{RUNS * asks} questions were {len(times)}, asked {times.most_common(1)} times")
    if wrong := [run for run, end in enumerate(ends) if end["resultHash"] != alone[run % KINDS]]:
        raise RuntimeError(f"beside others, runs {wrong} came to something else than alone")
    took_s = max(answered_s for _, _, answered_s in requests) - min(came_s for _, came_s, _ in requests)
    on = f"{stack.server_names}, one worker with {SLOTS} slots, {RUNS} runs of {asks} questions, {load_now()}"
    return [
        measured(
            "traders.waiting_runs.vs.the_model_alone",
            ours=len(requests) / took_s,
            peer=RUNS / DELAY_S,
            unit="asks/s",
            aim=0.9,
            better="higher",
            on=f"{on}, from the first question to the last answer",
        ),
        *_work_rows("traders.waiting_runs", computed_s, len(requests), on),
    ]


def load_now() -> str:
    return f"load {os.getloadavg()[0]:.1f}"


async def _through_the_service(stack: Stack, model: Program, bars: Bars) -> list[Row]:
    async with fleet_on(stack.settings, stack.directory, 10) as fleet:
        await fleet.candles.import_bars(SYMBOL, "1d", bars, "demo")
        rows = await stored_rows(fleet, stack, model, bars)
        return rows + await waiting_rows(fleet, stack, model)


def measure() -> list[Row]:
    bars = bars_decided_on()
    rows = [prompt_row(bars)]
    with tempfile.TemporaryDirectory(prefix="backfleet-bench-") as name, model_server() as model:
        directory = Path(name)
        settings = load_settings(
            cache_dir=directory / "cache", log_level="WARNING", worker_slots=SLOTS, llm_private_urls=True
        )
        with Stack(settings, api_replicas=0, workers=1, directory=directory) as stack:
            return rows + asyncio.run(_through_the_service(stack, model, bars))
