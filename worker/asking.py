"""Has models answer what strategies ask: from what is stored, else for money, and each question once.

An answer is stored before anything comes of it, so that a run which is taken up again finds it there. Asking is not the
run's doing: a question that is under way is asked to its end and stored, whatever becomes of the run meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import time
from collections.abc import Coroutine, Sequence
from typing import Any, NamedTuple, cast

from shared.batches import Batches
from shared.database import Database
from shared.decisions import LlmDecision, decision_id
from shared.errors import ConfigurationError, Conflict, FieldError, NotFound, StoreUnavailable
from shared.instants import iso_from_ms
from shared.llm_prices import Prices, Tokens, tokens_of
from shared.records import BacktestRecord
from shared.settings import Settings
from shared.spending import Reservation, RunLimits, SpendingLimit
from shared.strategies import find
from shared.strategies.decision import Decision
from shared.strategies.question import Question
from shared.trader.answer import AnswerUnusable, Said, read_answer
from shared.trader.parameters import PROVIDERS, AiTraderParameters, ModelSettings
from shared.trader.safety import Judged, judge
from worker.asks import GivenUp, Made
from worker.decision_documents import decision_of, ordered, said_document, said_of, told
from worker.model_client import FORMAT_VERSION, Answer, ModelClient
from worker.model_replies import ModelFailed, ModelRefused, Spent

log = logging.getLogger(__name__)

# Fewer decisions than that say nothing about the share of those that failed.
_SHARE_OF_AT_LEAST = 10
_STORE_RETRY_S = 0.5
_STORED_AT_ONCE_MAX = 100
_UNSTORED_MAX = 200


class Asking:
    """Of a worker: asks for all of its runs, at most `llm_asks_max` at once."""

    def __init__(self, database: Database, settings: Settings) -> None:
        logging.getLogger("httpx2").setLevel(logging.WARNING)  # It has a line for every request.
        self.decisions = database.llm.decisions
        self.spending = database.llm.spending
        self.keys = database.llm.keys
        self.prices = Prices(settings)
        self.now_ms = database.claims.now_ms
        self.patience_s = settings.lease_ttl_s
        self.client = ModelClient(private_urls=settings.llm_private_urls)
        self.ask_limit_s = settings.llm_timeout_s
        self.room = asyncio.Semaphore(settings.llm_asks_max)
        self.storing: Batches[LlmDecision, LlmDecision] = Batches(self._store, most=_STORED_AT_ONCE_MAX)
        self._under_way: dict[str, asyncio.Task[Made]] = {}

    def of(self, record: BacktestRecord) -> RunAsks:
        return RunAsks(self, record)

    def begin(self, decision: str, answer: Coroutine[Any, Any, Made]) -> asyncio.Task[Made]:
        """Has a question answered to its end, which nobody may wait for. One that is under way is not asked again."""
        task = self._under_way.get(decision)
        if task is not None:
            answer.close()
            return task
        task = self._under_way[decision] = asyncio.create_task(answer)
        task.add_done_callback(lambda over: self._over(decision, over))
        return task

    async def close(self, wait_s: float) -> None:
        """What is under way may end meanwhile; the rest is given up."""
        under_way = list(self._under_way.values())
        if under_way:
            await asyncio.wait(under_way, timeout=wait_s)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await self.client.aclose()

    def _over(self, decision: str, task: asyncio.Task[Made]) -> None:
        self._under_way.pop(decision, None)
        _heard(task)

    async def _store(self, decisions: list[LlmDecision]) -> Sequence[LlmDecision]:
        if len(decisions) == 1:
            return [await self.decisions.add(decisions[0])]
        return await self.decisions.add_all(decisions)


class RunAsks:
    """Of one run: `worker.asks.Asks`."""

    def __init__(self, asking: Asking, record: BacktestRecord) -> None:
        self._asking = asking
        self._record = record
        self._traders: dict[str, _Trader] = {}
        self._answers: dict[tuple[str, int], asyncio.Task[Made]] = {}
        # Of what was never claimed before, nothing is stored.
        self._known: dict[tuple[int, int], LlmDecision] | None = {} if record["epoch"] == 1 else None
        self._reading = asyncio.Lock()
        self._beside: dict[str, LlmDecision] = {}
        self._unstored: list[LlmDecision] = []
        self._flushing = asyncio.Lock()
        self._flush_beside: asyncio.Task[None] | None = None
        self._total = self._abstained = 0

    @property
    def under_way(self) -> bool:
        return any(not one.done() for one in self._answers.values())

    def knows(self, questions: Sequence[Question]) -> bool:
        return all(_place(one) in self._answers for one in questions)

    def ask(self, questions: Sequence[Question]) -> asyncio.Future[dict[str, Made]]:
        answers = asyncio.ensure_future(self._ask(questions))
        answers.add_done_callback(_heard)
        return answers

    async def flush(self) -> None:
        """Stores what was taken from the store for this backtest, too. Raises `StoreUnavailable`."""
        async with self._flushing:
            unstored = self._unstored[:]
            await self._asking.decisions.add_many(unstored)
            del self._unstored[: len(unstored)]

    async def _ask(self, questions: Sequence[Question]) -> dict[str, Made]:
        made: dict[str, Made] = {}
        for question in questions:
            made[question.strategy] = await asyncio.shield(self._task_of(question))
        if len(self._unstored) >= _UNSTORED_MAX:
            await self._flush_soon()
        return made

    def _task_of(self, question: Question) -> asyncio.Task[Made]:
        place = _place(question)
        task = self._answers.get(place)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            self._forget_before(question.facts.bar)
            decision = decision_id(self._record["_id"], self._trader(question.strategy).index, question.facts.bar)
            task = self._answers[place] = self._asking.begin(decision, self._answer(question))
        return task

    def _forget_before(self, bar: int) -> None:
        """An engine never asks again what it was answered; only its last question may be put once more."""
        for place in [one for one, task in self._answers.items() if one[1] < bar and task.done()]:
            del self._answers[place]

    async def _flush_soon(self) -> None:
        """Beside the run, which waits for it only where there is too much that is not stored."""
        if len(self._unstored) >= 10 * _UNSTORED_MAX:
            await self.flush()
        elif self._flush_beside is None or self._flush_beside.done():
            self._flush_beside = asyncio.create_task(self._flush_if_it_can())

    async def _flush_if_it_can(self) -> None:
        try:
            await self.flush()
        except StoreUnavailable as error:
            log.warning("%s: decisions that were taken over wait to be stored: %s", self._record["_id"], error.message)

    # One question

    async def _answer(self, question: Question) -> Made:
        trader = self._trader(question.strategy)
        known = (await self._known_decisions()).get((trader.index, question.facts.bar))
        if known is not None:
            return Made(decision_of(known["decision"]), told(known))
        await self._locate(trader)
        asked = _Asked(question, trader, _key_of(trader.model, question))
        document = await self._from_store(asked)
        if document is not None:
            self._unstored.append(document)
        elif trader.params.mode == "replay":
            raise self._not_stored(asked)
        else:
            document = await self._ask_model(asked)
        return self._made(document)

    async def _known_decisions(self) -> dict[tuple[int, int], LlmDecision]:
        """Those of this backtest that were stored before it was taken up here. Raises `StoreUnavailable`."""
        if self._known is None:
            async with self._reading:
                if self._known is None:
                    known = await self._asking.decisions.of_backtest(self._record["_id"])
                    self._total, self._abstained = len(known), sum(one["abstained"] for one in known.values())
                    self._known = known
        return self._known

    def _made(self, document: LlmDecision) -> Made:
        self._total += 1
        self._abstained += document["abstained"]
        share = self._trader(document["strategy"]).params.max_abstained_share
        if self._abstained > share * max(self._total, _SHARE_OF_AT_LEAST):
            raise GivenUp(
                "abstained",
                f"the model gave no usable answer to {self._abstained} of {self._total} questions, last: "
                f"{document['reason']}; more than {share:g} of all (maxAbstainedShare) end the run: try another model, "
                "or a shorter prompt",
            )
        return Made(decision_of(document["decision"]), told(document))

    async def _from_store(self, asked: _Asked) -> LlmDecision | None:
        """What the user's backtests have stored under the same key, as a decision of this one."""
        mode = asked.trader.params.mode
        if mode == "live":
            return None
        user_id = self._record["userId"]
        found = self._beside.get(asked.key)
        if found is None:
            found = await self._asking.decisions.find(user_id, asked.key)
            if found is not None:  # Whoever repeats a backtest asks for what stands beside it next.
                beside = self._asking.decisions.answers_beside
                self._beside = await beside(user_id, found["backtestId"], after_bar=found["bar"])
        if found is None or (found["abstained"] and mode != "replay"):
            return None
        try:
            again = self._document(asked, None if found["said"] is None else said_of(found["said"]), found["reason"])
        except AnswerUnusable as error:  # It was usable in an account of another kind.
            again = self._document(asked, None, error.message)
        if again["abstained"] and mode != "replay":
            return None
        again["raw"], again["stored"] = found["raw"], True
        again["tokensIn"], again["tokensOut"] = found["tokensIn"], found["tokensOut"]
        return again

    async def _ask_model(self, asked: _Asked) -> LlmDecision:
        """Asks, pays and stores. Raises `GivenUp` where there is no key or no money, or the model refuses."""
        model = asked.trader.model
        await self._open_key(asked.trader)
        async with self._asking.room:
            reserved = await self._reserve(asked)
            try:
                document, spent = await self._hear_model(asked)
            except ModelRefused as error:
                await self._settle(reserved, self._cost_usd(asked, error.spent, reserved))
                raise GivenUp("model_refused", f"{model.model} at {model.base_url}: {error.message}") from error
            except ConfigurationError as error:
                await self._settle(reserved, None)
                raise GivenUp("llm_unavailable", f"this worker cannot ask models: {error.message}") from error
        cost_usd = self._cost_usd(asked, spent, reserved)
        document["tokensIn"], document["tokensOut"], document["costUsd"] = spent.tokens_in, spent.tokens_out, cost_usd
        stored = await self._store(document)  # Before anything else: whoever dies now has paid for it.
        await self._settle(reserved, cost_usd)
        return stored

    async def _hear_model(self, asked: _Asked) -> tuple[LlmDecision, Answer | Spent]:
        """Its decision, and what was spent. Whoever gives no usable answer, also when told so, abstains."""
        question, trader = asked.question, asked.trader

        def usable(text: str) -> Judged:
            return judge(read_answer(text), question.facts, trader.params)

        try:
            answer = await self._asking.client.ask(
                trader.model, trader.key, question.system, question.user, self._asking.ask_limit_s, usable
            )
        except ModelFailed as error:
            return self._document(asked, None, error.message), error.spent
        try:
            document = self._document(asked, read_answer(answer.raw))
        except AnswerUnusable as error:
            document = self._document(asked, None, error.message)
        document["raw"], document["latencyMs"] = answer.raw, answer.latency_ms
        return document, answer

    def _document(self, asked: _Asked, said: Said | None, reason: str = "") -> LlmDecision:
        """Raises `AnswerUnusable` for what contradicts itself, unless a reason to abstain is given."""
        question, trader = asked.question, asked.trader
        judged = _HOLD
        if said is not None:
            judged = judge(said, question.facts, trader.params)
        return LlmDecision(
            _id=decision_id(self._record["_id"], trader.index, question.facts.bar),
            backtestId=self._record["_id"],
            userId=self._record["userId"],
            strategy=question.strategy,
            strategyIndex=trader.index,
            bar=question.facts.bar,
            timeMs=question.facts.time_ms,
            key=asked.key,
            system=question.system,
            user=question.user,
            model=trader.model.model,
            mode=trader.params.mode,
            raw="",
            said=None if said is None else said_document(said),
            action=judged.action,
            decision=ordered(judged.decision),
            safety=list(judged.safety),
            abstained=said is None,
            reason=reason if said is None else "",
            tokensIn=0,
            tokensOut=0,
            costUsd=0.0,
            latencyMs=0.0,
            stored=False,
            createdAt=self._asking.now_ms(),
        )

    async def _store(self, document: LlmDecision) -> LlmDecision:
        """An answer that was paid for is not given up while the lease could still hold."""
        ends_s = time.monotonic() + self._asking.patience_s
        while True:
            try:
                return await self._asking.storing.ask(document)
            except StoreUnavailable as error:
                if time.monotonic() >= ends_s:
                    raise
                log.warning("%s: a decision is not stored, trying again: %s", document["_id"], error.message)
                await asyncio.sleep(_STORE_RETRY_S)

    # Keys and money

    async def _locate(self, trader: _Trader) -> None:
        """Settles which server answers, also for what is stored: the key of an answer names it."""
        if trader.located:
            return
        base_url = trader.params.base_url
        if not base_url:
            with contextlib.suppress(NotFound):
                base_url = (await self._asking.keys.get(self._record["userId"], trader.model.provider))["baseUrl"]
        if base_url:
            trader.model = trader.model._replace(base_url=base_url)
        trader.located = True

    async def _open_key(self, trader: _Trader) -> None:
        if trader.opened:
            return
        provider = trader.model.provider
        try:
            found = await self._asking.keys.open(self._record["userId"], provider)
        except Conflict as error:
            raise GivenUp("no_llm_key", error.message, error.errors) from error
        usual = PROVIDERS.get(provider, "")
        if found is None:
            if trader.model.base_url == usual and provider != "local":
                raise GivenUp(
                    "no_llm_key",
                    f"there is no key for {provider}; store one with PUT /api/llm/keys/{provider}, and try again",
                )
        else:
            # A request may come from a program; where the key may go has been said by the person it belongs to.
            if trader.model.base_url != (found.base_url or usual):
                raise GivenUp(
                    "llm_key_elsewhere",
                    f"baseUrl is {trader.model.base_url}, and the key for {provider} may be sent to "
                    f"{found.base_url or usual} only; leave baseUrl out, or store the key with that baseUrl",
                )
            trader.key = found.key
        trader.opened = True

    async def _reserve(self, asked: _Asked) -> Reservation | None:
        """None where the ask is free and need not be counted by anybody but its run."""
        model, params = asked.trader.model, asked.trader.params
        most = Tokens(tokens_of(len(asked.question.system) + len(asked.question.user)), model.max_tokens)
        usd = self._asking.prices.to_reserve(model.provider, model.model, most)
        limits = RunLimits(params.max_cost_usd, params.max_decisions, f"strategyParams.{asked.question.strategy}")
        if usd == 0.0:
            if self._total >= params.max_decisions:
                message = f"{params.max_decisions} questions were asked, the most allowed; raise it, or raise every"
                raise GivenUp(SpendingLimit.code, message, [FieldError(f"{limits.path}.maxDecisions", message)])
            return None
        place = f"{asked.trader.index}-{asked.question.facts.bar}"
        try:
            return await self._asking.spending.reserve(self._record["userId"], self._record["_id"], usd, place, limits)
        except SpendingLimit as error:
            raise GivenUp(error.code, error.message, error.errors) from error

    async def _settle(self, reserved: Reservation | None, cost_usd: float | None) -> None:
        """None: nobody was asked. What cannot be settled stays reserved, which is the safe side."""
        if reserved is None:
            return
        spending = self._asking.spending
        try:
            await (spending.release(reserved) if cost_usd is None else spending.settle(reserved, cost_usd))
        except StoreUnavailable as error:
            log.warning("%s: what an ask cost is not settled: %s", self._record["_id"], error.message)

    def _cost_usd(self, asked: _Asked, spent: Answer | Spent, reserved: Reservation | None) -> float:
        model, used = asked.trader.model, Tokens(spent.tokens_in, spent.tokens_out)
        reserved_usd = 0.0 if reserved is None else reserved.usd
        if used == (0, 0) and not spent.cost_usd:  # Without a word of what it cost, it may have cost all of that.
            return reserved_usd if spent.cost_usd is None else 0.0
        prices = self._asking.prices
        return prices.to_settle(model.provider, model.model, used, told_usd=spent.cost_usd, reserved_usd=reserved_usd)

    def _trader(self, strategy: str) -> _Trader:
        trader = self._traders.get(strategy)
        if trader is None:
            params = self._record["params"]
            use = find(strategy).use(params.get("strategyParams", {}).get(strategy, {}), f"strategyParams.{strategy}")
            trader_params = cast("AiTraderParameters", use.params)
            index = params["strategies"].index(strategy)
            trader = self._traders[strategy] = _Trader(index, trader_params, trader_params.model_settings)
        return trader

    def _not_stored(self, asked: _Asked) -> GivenUp:
        question = asked.question
        return GivenUp(
            "not_recorded",
            f"strategy {question.strategy} asks at bar {question.facts.bar} ({iso_from_ms(question.facts.time_ms)}) "
            "what none of your backtests has stored an answer to; run it with mode record, or with the parameters, the "
            "baseUrl (or the key that names one), the bars and the version that it was recorded with",
        )


def _heard(task: asyncio.Future[Any]) -> None:
    """Whoever waits for it hears of what it raised; whoever does not any more need not."""
    if not task.cancelled():
        task.exception()


class _Trader:
    """A strategy of the run that asks. `model` has its server once that is `located`, `key` opens it once `opened`."""

    def __init__(self, index: int, params: AiTraderParameters, model: ModelSettings) -> None:
        self.index = index
        self.params = params
        self.model = model
        self.key = ""
        self.located = self.opened = False


class _Asked(NamedTuple):
    question: Question
    trader: _Trader
    key: str


_HOLD = Judged(Decision(None), "HOLD", ())


def _place(question: Question) -> tuple[str, int]:
    return question.strategy, question.facts.bar


def _key_of(model: ModelSettings, question: Question) -> str:
    """Of everything that the answer depends on."""
    asked = [FORMAT_VERSION, *model, question.system, question.user]
    return hashlib.sha256(json.dumps(asked, separators=(",", ":")).encode()).hexdigest()
