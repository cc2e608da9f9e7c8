"""What language models decided in backtests: each answer once, with all that it was an answer to.

`key` names all that an answer depends on (provider, model, its settings, the rendered prompt), so an answer that is
stored stands for the ask in any later backtest of the same user: the same run again asks nobody. Nobody is given what
another user's money bought, nor what it says of his prompts.

A decision belongs to its backtest and goes with it: whoever deletes a backtest expects nothing of it to stay. A replay
that rests on it then fails by name, on the first ask that is not stored any more; deleting the replay that took the
answers over does not harm the backtest that they came from, for each has documents of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple, NotRequired, TypedDict, cast

from pymongo import ASCENDING, DESCENDING
from pymongo.errors import BulkWriteError, DuplicateKeyError

from shared.errors import StoreUnavailable
from shared.leftovers import Leftovers
from shared.mongo import Document, Mongo, translate_mongo_errors

LLM_DECISIONS = "llm_decisions"
BESIDE_MAX = 2_000
_STRATEGIES_MAX = 16  # of a request, each of which may decide at the same bar
_PROMPTS = {"system": 0, "user": 0}
_DUPLICATE_KEY = 11_000


class SaidDocument(TypedDict):
    """What a model said, as it was read of its answer."""

    action: str
    sizeFraction: float | None
    stopLossPrice: float | None
    takeProfitPrice: float | None
    confidence: float
    reasoning: str


class OrderedDocument(TypedDict):
    """What became of it: what the engine was told."""

    signal: int | None
    sizeFraction: float | None
    stopPrice: float | None
    targetPrice: float | None


class LlmDecision(TypedDict):
    """One document of `llm_decisions`. `_id` is of `decision_id`. `timeMs` is of the bar, `createdAt` MongoDB's.

    `said` is None where no answer could be used: then the decision is `abstained`, for the `reason`. `action` is what
    it came to, `safety` has a sentence for each time that safety stepped in. `stored` says that it was taken from an
    earlier backtest, and cost nothing; the tokens are those that it cost then. Documents without prompts have neither
    `system` nor `user`.
    """

    _id: str
    backtestId: str
    userId: str
    strategy: str
    strategyIndex: int
    bar: int
    timeMs: int
    key: str
    system: NotRequired[str]
    user: NotRequired[str]
    model: str
    mode: str
    raw: str
    said: SaidDocument | None
    action: str
    decision: OrderedDocument
    safety: list[str]
    abstained: bool
    reason: str
    tokensIn: int
    tokensOut: int
    costUsd: float
    latencyMs: float
    stored: bool
    createdAt: int


class DecisionPage(NamedTuple):
    """Decisions by bar, and whether there are more already."""

    items: list[LlmDecision]
    more: bool


def decision_id(backtest_id: str, strategy_index: int, bar: int) -> str:
    """The `_id` of the one decision of a strategy, by its place in the request, at a bar of a backtest."""
    return f"{backtest_id}.{strategy_index}.{bar}"


class LlmDecisions:
    """The collection `llm_decisions`. Every method raises `StoreUnavailable` when MongoDB does not answer."""

    def __init__(self, mongo: Mongo) -> None:
        self._decisions = mongo.collection(LLM_DECISIONS)
        self._leftovers = Leftovers(mongo, LLM_DECISIONS)

    async def create_indexes(self) -> None:
        with translate_mongo_errors():
            place = [("backtestId", ASCENDING), ("bar", ASCENDING), ("strategyIndex", ASCENDING)]
            await self._decisions.create_index(place, name="place")
            # Few have one key. Servers that stand in for MongoDB find by an index of one field only, and read all else.
            await self._decisions.create_index([("key", ASCENDING)], name="key")
            await self._decisions.create_index([("backtestId", ASCENDING)], name="backtest")

    async def add(self, decision: LlmDecision) -> LlmDecision:
        """Stores one, durably, and returns what stands there now: of several for one place the first one stays, so that
        a worker that lost its claim and the one that took over go on with the same. Doing so again is harmless."""
        document = _storable(decision)
        with translate_mongo_errors():
            try:
                await self._decisions.insert_one(document)
            except DuplicateKeyError:
                found = await self._decisions.find_one({"_id": document["_id"]})
                return cast("LlmDecision", found or document)
        return cast("LlmDecision", document)

    async def add_all(self, decisions: Sequence[LlmDecision]) -> list[LlmDecision]:
        """As `add` does, several at once."""
        documents = [_storable(one) for one in decisions]
        with translate_mongo_errors():
            try:
                await self._decisions.insert_many(documents, ordered=False)
            except BulkWriteError as error:
                _require_duplicates(error)
                ids = [one["_id"] for one in documents]
                found = {one["_id"]: one for one in await self._decisions.find({"_id": {"$in": ids}}).to_list()}
                documents = [found.get(one["_id"], one) for one in documents]
        return cast("list[LlmDecision]", documents)

    async def add_many(self, decisions: Sequence[LlmDecision]) -> None:
        """Stores several, of which those whose place is taken change nothing. Doing so again is harmless."""
        if not decisions:
            return
        with translate_mongo_errors(), contextlib.suppress(DuplicateKeyError):
            try:
                await self._decisions.insert_many([_storable(one) for one in decisions], ordered=False)
            except BulkWriteError as error:
                _require_duplicates(error)

    async def of_backtest(self, backtest_id: str) -> dict[tuple[int, int], LlmDecision]:
        """All of a backtest by strategy and bar, without prompts: what a run that is taken up need not ask again."""
        with translate_mongo_errors():
            found = await self._decisions.find({"backtestId": backtest_id}, _PROMPTS).to_list()
        return {(one["strategyIndex"], one["bar"]): one for one in cast("list[LlmDecision]", found)}

    async def find(self, user_id: str, key: str) -> LlmDecision | None:
        """The newest decision of any backtest of the user's under this key, without prompts; it may have abstained."""
        with translate_mongo_errors():
            newest = [("createdAt", DESCENDING), ("_id", DESCENDING)]
            found = (
                await self._decisions.find({"userId": user_id, "key": key}, _PROMPTS).sort(newest).limit(1).to_list()
            )
        return cast("LlmDecision", found[0]) if found else None

    async def answers_beside(
        self, user_id: str, backtest_id: str, *, after_bar: int = -1, most: int = BESIDE_MAX
    ) -> dict[str, LlmDecision]:
        """By key, the next decisions of a backtest of which one was found: whoever repeats it asks for them next.

        Without prompts, at most `most`, after that bar; empty for somebody else's.
        """
        with translate_mongo_errors():
            asked = {"backtestId": backtest_id, "bar": {"$gt": after_bar}, "userId": user_id}
            found = await self._decisions.find(asked, _PROMPTS).sort([("bar", ASCENDING)]).limit(most).to_list()
        return {one["key"]: one for one in cast("list[LlmDecision]", found)}

    async def page(self, backtest_id: str, *, after_bar: int, limit: int, prompts: bool = False) -> DecisionPage:
        """Those after a bar, by bar and strategy: `limit`, and what else was decided at the bar of the last of them."""
        with translate_mongo_errors():
            asked = {"backtestId": backtest_id, "bar": {"$gt": after_bar}}
            by_bar = [("bar", ASCENDING), ("strategyIndex", ASCENDING)]
            rows = self._decisions.find(asked, None if prompts else _PROMPTS).sort(by_bar)
            found = cast("list[LlmDecision]", await rows.limit(limit + _STRATEGIES_MAX).to_list())
        end = min(limit, len(found))
        while 0 < end < len(found) and found[end]["bar"] == found[end - 1]["bar"]:
            end += 1
        return DecisionPage(found[:end], end < len(found))

    async def delete_of(self, backtest_id: str) -> None:
        with translate_mongo_errors():
            await self._decisions.delete_many({"backtestId": backtest_id})

    async def collect_garbage(self, most: int = 1_000) -> int:
        """Removes decisions of backtests that are gone: of how many."""
        return await self._leftovers.collect(most)


def _require_duplicates(error: BulkWriteError) -> None:
    """Raises `StoreUnavailable` where more is wrong than that some stand there already."""
    refused = [one for one in error.details["writeErrors"] if one["code"] != _DUPLICATE_KEY]
    if refused or error.details["writeConcernErrors"]:
        raise StoreUnavailable("MongoDB stored only some decisions of many; try again") from error


def _storable(decision: LlmDecision) -> Document:
    """A model may say, and a provider's JSON spell, half a character, which BSON cannot hold: it is written out."""
    return cast("Document", _whole_text(decision))


def _whole_text(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {name: _whole_text(one) for name, one in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_whole_text(one) for one in cast("list[Any]", value)]
    return value
