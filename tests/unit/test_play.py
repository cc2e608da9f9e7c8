"""A run that is steered at random, on workers that come and go, comes to what it comes to undisturbed.

All of it but the servers and the processes is real: commands go into a record, runs are claimed, play, store where they
stand, are let go, drained or killed, and are taken up by the next worker with another engine.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.claims import Claims, lease_of
from shared.controls import ControlRequest
from shared.errors import Conflict
from shared.lifecycle import Status
from shared.positions import Checkpoint, Positions
from shared.records import BacktestRecord
from shared.settings import load_settings
from shared.steering import Steering
from shared.store import Store
from shared.strategies.decision import Decision
from shared.strategies.question import Question
from shared.wire import parse_json, validate
from tests.engine.deciders import ASKING, CAREFUL, STEPS, in_the_catalogue
from tests.engine.markets import random_walk
from tests.fleet import request
from tests.memory_records import MemoryBus, MemoryMongo
from worker import play
from worker.asks import Made
from worker.control import Mailbox
from worker.engine_loop import Run as Engine
from worker.lease import LeaseKeeper
from worker.pipe import NOTHING, Finished, Load, Moved, Wanted
from worker.play import Play, Run
from worker.telling import Telling

BARS = random_walk(500, 3)
KINDS: dict[str, dict[str, Any]] = {
    "signals": {"strategies": ["sma"], "strategyParams": {"sma": {"fast": 3, "slow": 9}}},
    "decide": {"strategies": ["careful"], "strategyParams": {"careful": {"every": 6}}},
    "both": {
        "strategies": ["sma", "careful", "steps"],
        "strategyParams": {"sma": {"fast": 3, "slow": 9}, "careful": {"every": 11}, "steps": {"every": 8}},
        "combine": "majority",
    },
    "asking": {
        "strategies": ["careful", "asking"],
        "strategyParams": {"careful": {"every": 12}, "asking": {"every": 8}},
        "combine": "any",
    },
}
SLICE: Any = SimpleNamespace(start_ms=int(BARS.time_ms[0]), total_bars=BARS.total, warmup_bars=0, resampled_from=None)
SETTINGS = load_settings(
    jwt_secret="x" * 40, chunk_bars=30, pause_hold_s=0.0, position_interval_s=0.05, failures_max=100
)
_ENDS_S = 300.0  # Most end after some ten.
_RUNS_MAX = 200


class Did(NamedTuple):
    """What happens next. `number` is what a step, a seek or a speed is about."""

    what: Literal["pause", "resume", "step", "seek", "speed", "watch", "drain", "kill"]
    number: int


class Killed(Exception):
    pass


class Clock:
    """Time passes when it is looked at, and where somebody waits for it."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        self.now_s += 0.005
        assert self.now_s < _ENDS_S, "it goes round and round"
        return self.now_s

    async def wait_for(
        self, mailbox: Mailbox, until_s: float | None, answers: asyncio.Future[Any] | None = None
    ) -> None:
        if answers is None:
            assert until_s is not None
            if not mailbox.filled.is_set():
                self.now_s = max(self.now_s, until_s)
        await asyncio.sleep(0)


CLOCK = Clock()


class EngineHold:
    """In the place of `worker.hold.Hold`: an engine without a process. Something happens during each step."""

    def __init__(self, journey: Journey) -> None:
        self._journey = journey
        self._engine: Engine | None = None

    async def load(self, command: Load, *, on_busy: object) -> Moved | Finished:
        del on_busy
        params = self._journey.params
        self._engine = Engine(params, BARS, command.warmup_bars, command.position)
        return await self.advance(command.until_bar, command.wanted)

    async def advance(self, until_bar: int, wanted: Wanted = NOTHING) -> Moved | Finished:
        await asyncio.sleep(0)
        await self._journey.goes_on()
        assert self._engine is not None
        return self._engine.advance(until_bar, wanted)

    async def rewind(self, bar: int, wanted: Wanted = NOTHING, *, with_position: bool = False) -> Moved:
        await asyncio.sleep(0)  # News is on its way meanwhile.
        assert self._engine is not None
        return self._engine.rewind(bar, wanted, with_position=with_position)

    async def answer(
        self, decisions: Mapping[str, Decision], until_bar: int, wanted: Wanted = NOTHING
    ) -> Moved | Finished:
        await asyncio.sleep(0)
        assert self._engine is not None
        return self._engine.answer(decisions, until_bar, wanted)

    def park(self) -> None:
        self.parked = True


class Model:
    """Answers each question once, a while later, and remembers it. Something happens meanwhile."""

    def __init__(self, journey: Journey) -> None:
        self._journey = journey
        self._asked: dict[tuple[str, int], asyncio.Task[Decision]] = {}
        self.answered: Counter[tuple[str, int]] = Counter()

    @property
    def under_way(self) -> bool:
        return not all(one.done() for one in self._asked.values())

    async def flush(self) -> None:
        pass

    def knows(self, questions: Sequence[Question]) -> bool:
        return all((one.strategy, one.facts.bar) in self._asked for one in questions)

    def ask(self, questions: Sequence[Question]) -> asyncio.Future[dict[str, Made]]:
        return asyncio.ensure_future(self._ask(questions))

    async def _ask(self, questions: Sequence[Question]) -> dict[str, Made]:
        return {one.strategy: Made(await self._answer(one), {}) for one in questions}

    async def _answer(self, question: Question) -> Decision:
        key = question.strategy, question.facts.bar
        if key not in self._asked:
            self._asked[key] = asyncio.create_task(self._think(question))
        try:
            return await asyncio.shield(self._asked[key])
        except Killed:
            self._asked.pop(key, None)
            raise

    async def _think(self, question: Question) -> Decision:
        await asyncio.sleep(0)
        if question.facts.bar % 3 == 0:
            await self._journey.goes_on()
        self.answered[question.strategy, question.facts.bar] += 1
        return Decision(json.loads(question.user))


class Keeper(LeaseKeeper):
    journey: Journey

    async def keep(self, status: Status) -> None:
        await super().keep(status)
        if len(self.journey.script) % 3 == 0:
            await self.journey.goes_on()

    async def let_go(self) -> bool:
        """Something may happen just before, or only afterwards."""
        if len(self.journey.script) % 2:
            await self.journey.goes_on()
        return await super().let_go()

    async def look(self) -> None:
        await self._renew()


class Journey:
    """One backtest, from its submission to its end."""

    def __init__(self, kind: str, script: list[Did], *, born_paused: bool) -> None:
        CLOCK.now_s = 0.0
        self.params = request(**KINDS[kind], startPaused=born_paused, seed=5)
        self.script = list(reversed(script))
        self.bus: Any = MemoryBus()
        self.taken: list[str] = []
        self.unheard: set[str] = set()  # when it ended
        self.killed = False
        self._mongo: Any = MemoryMongo()
        self._positions = Positions(self._mongo)
        nothing: Any = SimpleNamespace(begin=_begins, add=_begins)
        self._logs = nothing
        self._claims = Claims(self._mongo, SETTINGS)
        self._store = Store(self._mongo, [self._positions], SETTINGS)
        database: Any = SimpleNamespace(store=self._store, claims=self._claims, mongo=self._mongo)
        self._steering = Steering(database, self.bus)
        self._keeper: Keeper | None = None
        self._mailbox: Mailbox | None = None
        self._id = ""
        self.model = Model(self)

    async def result_hash(self) -> str:
        record, _ = await self._store.insert(user_id="ann", params=self.params, priority=0, idempotency_key=None)
        self._id = record["_id"]
        for number in range(_RUNS_MAX):
            claimed = await self._claims.claim(f"w{number}", f"claim{number}")
            if claimed is None:
                self._keeper = None
                await self.goes_on(waits=True)
                continue
            try:
                finished = await self._one_run(claimed)
            except Killed:
                self.killed = True
                self._mongo.time_ms += 10**6
                await self._claims.reap()
                continue
            if finished is not None:
                self.unheard = {one.command_id for one in self._mailbox.take()} if self._mailbox else set()
                await self._store.close()
                return finished.outcome.result_hash
        raise AssertionError(f"it never ends: {await self._store.get(self._id, 'ann')}")

    async def _one_run(self, record: BacktestRecord) -> Finished | None:
        hold: Any = EngineHold(self)
        self._mailbox = Mailbox(record)
        telling = Telling(record, self.bus, self._logs, self._claims.now_ms, 60.0)
        run = Run(record, hold, self._mailbox, telling, crowded=False)
        self._keeper = Keeper(
            self._claims, SETTINGS, lease_of(record), self._mailbox, sent_s=0.0, stand=run.stand, on_lost=_never
        )
        self._keeper.journey = self
        checkpoint = Checkpoint.of(record)
        decisions = await self._positions.read(record["_id"], checkpoint.parts)
        candles: Any = SimpleNamespace(fetch=_begins)
        run.play = Play(
            run,
            self._keeper,
            SLICE,
            checkpoint,
            candles=candles,
            positions=self._positions,
            settings=SETTINGS,
            asks=self.model,
        )
        finished = await run.play.to_end(decisions)
        await telling.settle()
        if finished is not None:
            await self.bus.publish_documents([(self._id, one) for one in telling.take()])
        elif not self._keeper.over:
            await run.play.find_position()
            telling.send()
            await telling.settle()
            assert await self._claims.requeue(record, failed=False, stand=run.stand())
        return finished

    async def goes_on(self, *, waits: bool = False) -> None:
        """The next thing happens. Whoever waits when there is nothing left is asked to go on."""
        did = self.script.pop() if self.script else Did("resume", 0) if waits else None
        if did is None:
            return
        keeper, mailbox = self._keeper, self._mailbox
        match did.what:
            case "watch":
                self.bus.watched = True
                if keeper and mailbox:
                    mailbox.watch()
            case "drain":
                if keeper and mailbox:
                    mailbox.leave()
            case "kill":
                if keeper:
                    raise Killed
            case _:
                await self._ask(did)
                if keeper:
                    await keeper.look()

    async def _ask(self, did: Did) -> None:
        more: dict[str, dict[str, Any]] = {
            "step": {"bars": did.number % 60 + 1},
            "seek": {"bar": did.number},
            "speed": {"speed": 50 + did.number * 10 if did.number % 2 else "max"},
        }
        asked = validate(ControlRequest, {"action": did.what, **more.get(did.what, {})})
        try:
            steered = await self._steering.request(self._id, "ann", asked)
        except Conflict:
            return
        self.taken.append(steered.command_id)

    @property
    def answers(self) -> Counter[str]:
        said: list[Any] = [parse_json(one["payload"]) for _, one in self.bus.heard]
        return Counter(one["data"]["commandId"] for one in said if "commandId" in (one.get("data") or {}))


async def _begins(*_: object) -> int:
    return 0


def _never() -> None:
    raise AssertionError("a lease was lost")


@pytest.fixture(scope="module")
def undisturbed() -> Iterator[dict[str, str]]:
    with in_the_catalogue(STEPS, CAREFUL, ASKING), pytest.MonkeyPatch.context() as patch:
        patch.setattr(play, "time", CLOCK)
        patch.setattr(play, "_wait_for", CLOCK.wait_for)
        hashes = {kind: asyncio.run(Journey(kind, [], born_paused=False).result_hash()) for kind in KINDS}
        assert len(set(hashes.values())) == len(KINDS)
        yield hashes


WHAT = ["pause", "pause", "resume", "step", "seek", "seek", "speed", "watch", "drain", "drain", "kill"]
SCRIPTS = st.lists(st.builds(Did, st.sampled_from(WHAT), st.integers(0, BARS.total - 1)), min_size=20, max_size=20)
REPLACED = [Did("pause", 0), Did("drain", 0), Did("resume", 0)]
BACK_AND_FORTH = [Did("seek", bar) for bar in (450, 10, 300, 299, 300, 0, 400)]
STEP_BY_STEP = [Did("step", 0)] * 30


@settings(max_examples=100)
@example(script=REPLACED * 5, born_paused=False)
@example(script=BACK_AND_FORTH, born_paused=False)
@example(script=STEP_BY_STEP, born_paused=True)
@given(script=SCRIPTS, born_paused=st.booleans())
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_asked_and_whoever_runs_it_the_result_is_the_same(
    kind: str, script: list[Did], born_paused: bool, undisturbed: dict[str, str]
) -> None:
    journey = Journey(kind, script, born_paused=born_paused)
    assert asyncio.run(journey.result_hash()) == undisturbed[kind]
    answers = journey.answers
    assert set(answers) | journey.unheard == set(journey.taken)
    assert journey.killed or max(answers.values(), default=1) == 1, answers
    assert max(journey.model.answered.values(), default=1) == 1, "what was answered is not asked again"
    assert len(journey.model.answered) == (len(range(7, BARS.total, 8)) if kind == "asking" else 0)


def test_what_is_done_but_not_said_yet_is_said_by_whoever_takes_the_run_up(undisturbed: dict[str, str]) -> None:
    script = [*[Did("speed", 0)] * 2, Did("pause", 0), Did("drain", 0), *[Did("speed", 0)] * 2]
    journey = Journey("signals", script, born_paused=False)
    assert asyncio.run(journey.result_hash()) == undisturbed["signals"]
    assert set(journey.answers) == set(journey.taken)
