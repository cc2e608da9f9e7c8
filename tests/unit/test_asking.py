"""What a run is answered from the store, and when what it took over is stored as its own."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from shared.decisions import LlmDecision
from shared.errors import ConfigurationError, StoreUnavailable
from shared.llm_prices import Prices
from shared.records import BacktestRecord, new_record
from shared.settings import load_settings
from shared.strategies.question import Facts, Question
from tests.fleet import request
from worker import asking
from worker.asking import Asking, RunAsks
from worker.asks import GivenUp
from worker.model_client import Answer

DEADLINE_S = 10.0
SAID = {
    "action": "HOLD",
    "sizeFraction": None,
    "stopLossPrice": None,
    "takeProfitPrice": None,
    "confidence": 1.0,
    "reasoning": "",
}


class Stored:
    """Another backtest was asked everything. What is added waits until it may be."""

    def __init__(self) -> None:
        self.added: list[str] = []
        self.read: list[str] = []
        self.may_add = asyncio.Event()
        self.away = False

    async def of_backtest(self, backtest_id: str) -> dict[tuple[int, int], LlmDecision]:
        self.read.append(backtest_id)
        return {}

    async def find(self, _user_id: str, key: str) -> dict[str, Any]:
        found = {"key": key, "backtestId": "bt_before", "bar": 0, "said": SAID, "reason": "", "raw": ""}
        return found | {"abstained": False, "tokensIn": 1, "tokensOut": 1}

    async def answers_beside(self, _user_id: str, _backtest_id: str, *, after_bar: int) -> dict[str, Any]:
        return {}

    async def add_many(self, decisions: list[LlmDecision]) -> None:
        if self.away:
            raise StoreUnavailable("away")
        await self.may_add.wait()
        self.added += [one["_id"] for one in decisions]


def asks_of(stored: Stored, epoch: int = 1, **trader: Any) -> RunAsks:
    given = {"model": "m", "mode": "replay", "baseUrl": "https://models.example/v1"} | trader
    params = request(strategies=["ai_trader"], strategyParams={"ai_trader": given})
    wire = params.model_dump(mode="json", by_alias=True)
    record = new_record(backtest_id="bt", user_id="ann", params=wire, priority=0, now_ms=0)
    shared = SimpleNamespace(decisions=stored, now_ms=lambda: 0, begin=lambda _, answer: asyncio.create_task(answer))
    return RunAsks(cast("Asking", shared), cast("BacktestRecord", record | {"epoch": epoch}))


def question(bar: int) -> Question:
    return Question("ai_trader", "Hold.", str(bar), Facts(bar, 0, 1.0, 1.0, 1.0, 1.0, 0, 0.0, 1.0, True))


async def test_a_run_goes_on_while_what_it_took_over_is_stored() -> None:
    stored = Stored()
    asks = asks_of(stored)
    async with asyncio.timeout(DEADLINE_S):
        for bar in range(asking._UNSTORED_MAX + 50):
            await asks.ask([question(bar)])
        assert stored.added == []
        stored.may_add.set()
        await asks.flush()
    assert stored.added == [f"bt.0.{bar}" for bar in range(asking._UNSTORED_MAX + 50)]


async def test_a_run_waits_where_too_much_of_it_is_not_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_UNSTORED_MAX", 2)
    stored = Stored()
    stored.away = True
    asks = asks_of(stored)
    for bar in range(19):
        await asks.ask([question(bar)])
    with pytest.raises(StoreUnavailable):
        await asks.ask([question(19)])


@pytest.mark.parametrize(("epoch", "read"), [(1, []), (2, ["bt"])])
async def test_only_of_what_was_claimed_before_it_is_read_what_was_decided(epoch: int, read: list[str]) -> None:
    stored = Stored()
    asks = asks_of(stored, epoch)
    for bar in range(2):
        await asks.ask([question(bar)])
    assert stored.read == read


@pytest.mark.parametrize("missing", [False, True])
async def test_what_was_paid_for_is_stored_before_it_is_settled_and_who_asked_nobody_pays_nothing(
    missing: bool,
) -> None:
    done: list[str] = []

    async def did(what: str, answer: object = None) -> Any:
        done.append(what)
        return answer

    async def ask(*_: object) -> Answer:
        if missing:
            raise ConfigurationError("the SDK is missing")
        return Answer(json.dumps(SAID), 10, 5, 0.001, 1.0, "json_schema")

    asks = asks_of(Stored(), mode="live", provider="other")
    shared = cast("Any", asks._asking)
    reserved = SimpleNamespace(usd=0.05)
    shared.spending = SimpleNamespace(
        reserve=lambda *_: did("reserved", reserved),
        settle=lambda _, usd: did(f"settled {usd}"),
        release=lambda _: did("released"),
    )
    shared.storing = SimpleNamespace(ask=lambda document: did("stored", document))
    shared.keys = SimpleNamespace(open=lambda *_: did("opened"))
    shared.prices = Prices(load_settings())
    shared.client, shared.room = SimpleNamespace(ask=ask), asyncio.Semaphore(1)
    shared.ask_limit_s = shared.patience_s = DEADLINE_S
    async with asyncio.timeout(DEADLINE_S):
        if missing:
            with pytest.raises(GivenUp, match="the SDK is missing"):
                await asks.ask([question(0)])
        else:
            await asks.ask([question(0)])
    assert done == ["opened", "reserved", *(["released"] if missing else ["stored", "settled 0.001"])]
