"""Backtests whose trader is a model, on real workers: what is asked, what is stored, and what comes of it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from shared.contracts import Channel
from shared.llm_keys import ProviderKey
from shared.settings import Settings
from tests.conftest import Backends, on_one_pair
from tests.fleet import Fleet, fleet_on, request
from tests.model_server import HOLD, Asked, ModelServer, always, failing, saying, serving

BARS = 600
EVERY = 6
ASKS = BARS // EVERY
DEADLINE_S = 60.0
SECRET = "c2VjcmV0LWZvci10ZXN0cy0wMTIzNDU2Nzg5YWJjZGU="


def follows_the_last_two_closes(asked: Asked) -> dict[str, Any]:
    """Long after a rise, short after a fall; a stop at two percent."""
    *_, before, last = [float(row.split(",")[4]) for row in re.findall(r"^\d{4}-.*$", market_of(asked), re.MULTILINE)]
    action = "LONG" if last > before else "SHORT"
    stop = asked.close * (0.98 if action == "LONG" else 1.02)
    return {**HOLD, "action": action, "stopLossPrice": stop, "sizeFraction": 0.5, "reasoning": f"{before} then {last}"}


def market_of(asked: Asked) -> str:
    return asked.user.partition("bars, the latest last")[2]


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with serving(ModelServer(rule=follows_the_last_two_closes)) as server:
        yield server


@pytest.fixture
async def fleet(
    backends: Backends, make_settings: Callable[..., Settings], tmp_path: Path, model: ModelServer
) -> AsyncIterator[Fleet]:
    settings = make_settings(llm_private_urls=True, key_secrets=SECRET)
    async with fleet_on(settings, tmp_path, BARS) as opened:
        yield opened


def trader_of(model: ModelServer, mode: str = "record") -> dict[str, Any]:
    return {"model": "m", "provider": "local", "baseUrl": model.base_url, "every": EVERY, "mode": mode}


def trades_by(model: ModelServer, mode: str = "record") -> Any:
    return request(strategies=["ai_trader"], strategyParams={"ai_trader": trader_of(model, mode)}, stopLoss=None)


@on_one_pair
async def test_a_model_trades_and_a_replay_asks_nobody_and_comes_to_the_same(fleet: Fleet, model: ModelServer) -> None:
    fleet.start_worker()
    first = await fleet.submit(trades_by(model))
    end = await fleet.end_of(first["_id"], DEADLINE_S)
    assert end["channel"] == Channel.COMPLETE, end
    assert len(model.asked) == ASKS
    again = await fleet.submit(trades_by(model, "replay"))
    assert (await fleet.end_of(again["_id"], DEADLINE_S))["resultHash"] == end["resultHash"]
    assert len(model.asked) == ASKS
    stored = await fleet.database.llm.decisions.page(again["_id"], after_bar=-1, limit=500)
    assert len(stored.items) == ASKS
    assert all(one["stored"] for one in stored.items)


@on_one_pair
async def test_a_replay_also_finds_what_a_server_answered_that_only_the_key_names(
    fleet: Fleet, model: ModelServer
) -> None:
    """The first answer was stored under the provider's own URL, before the key was looked at, and the others not."""
    await fleet.database.llm.keys.put("ann", "local", ProviderKey("sk-local-0123456789", model.base_url))
    fleet.start_worker()
    ends: list[dict[str, Any]] = []
    for mode in ("record", "replay"):
        trader = trader_of(model, mode) | {"baseUrl": ""}
        run = await fleet.submit(request(strategies=["ai_trader"], strategyParams={"ai_trader": trader}))
        ends.append(await fleet.end_of(run["_id"], DEADLINE_S))
    assert [one["channel"] for one in ends] == [Channel.COMPLETE] * 2, ends
    assert ends[0]["resultHash"] == ends[1]["resultHash"]
    assert len(model.asked) == ASKS


async def ended_by_itself(fleet: Fleet, **trader: Any) -> tuple[dict[str, Any], Any]:
    """The end of a run that could not go on, and its record."""
    fleet.start_worker()
    record = await fleet.submit(request(strategies=["ai_trader"], strategyParams={"ai_trader": trader}, stopLoss=None))
    end = await fleet.end_of(record["_id"], DEADLINE_S)
    assert end["channel"] == Channel.ERROR, end
    return end, await fleet.store.get(record["_id"], "ann")


@on_one_pair
async def test_a_replay_of_what_was_never_stored_fails_by_name_and_asks_nobody(
    fleet: Fleet, model: ModelServer
) -> None:
    end, _ = await ended_by_itself(fleet, **trader_of(model, "replay"))
    assert end["code"] == "not_recorded"
    assert re.search(r"ai_trader asks at bar 5 \(2024-01-01T05:00:00Z\) what none of your backtests", end["error"])
    assert model.asked == []


@on_one_pair
async def test_too_many_unusable_answers_end_the_run_with_what_there_is(fleet: Fleet, model: ModelServer) -> None:
    model.plan = lambda asked: saying("I feel like buying.") if asked.bar > 300 else None
    end, record = await ended_by_itself(fleet, **trader_of(model))
    assert end["code"] == "abstained"
    assert "of 63 questions" in end["error"], end
    result = await fleet.results.read(record["resultId"], "ann")
    assert result["metrics"]["totalTrades"] > 3
    page = await fleet.database.llm.decisions.page(record["_id"], after_bar=-1, limit=500)
    assert [one["abstained"] for one in page.items] == [False] * 50 + [True] * 13
    assert page.items[-1]["reason"] == "the answer is no JSON: 'I feel like buying.'"


@on_one_pair
async def test_whoever_has_no_key_is_told_how_to_store_one(fleet: Fleet, model: ModelServer) -> None:
    trader = trader_of(model) | {"provider": "openrouter", "baseUrl": ""}
    end, _ = await ended_by_itself(fleet, **trader)
    assert (end["code"], "PUT /api/llm/keys/openrouter" in end["error"]) == ("no_llm_key", True)


@on_one_pair
async def test_a_model_that_refuses_ends_the_run_and_no_key_is_told(fleet: Fleet, model: ModelServer) -> None:
    await fleet.database.llm.keys.put("ann", "openrouter", ProviderKey("sk-very-secret-0123456789", model.base_url))
    model.plan = always(failing(401, "bad key sk-very-secret-0123456789"))
    end, record = await ended_by_itself(fleet, **trader_of(model) | {"provider": "openrouter"})
    assert end["code"] == "model_refused"
    assert "sk-very" not in str(end) + str(record) + fleet.logs()


@on_one_pair
async def test_money_is_bounded_and_what_was_bought_is_kept(fleet: Fleet, model: ModelServer) -> None:
    """Each answer costs a tenth of a cent, and may cost five cents."""
    await fleet.database.llm.keys.put("ann", "openrouter", ProviderKey("sk-very-secret-0123456789", model.base_url))
    limits = {"provider": "openrouter", "maxCostUsd": 0.06}
    end, record = await ended_by_itself(fleet, **trader_of(model) | limits)
    assert (end["code"], end["errors"][0]["field"]) == ("spending_limit", "strategyParams.ai_trader.maxCostUsd")
    assert len(model.asked) == 11  # of which the last began with 0.010 spent
    spent = await fleet.database.llm.spending.of_backtest(record["_id"])
    assert (round(spent.spent_usd, 9), spent.reserved_usd, spent.asks) == (0.011, 0.0, 11)
    assert record["resultId"]


@on_one_pair
async def test_an_answer_that_does_not_say_what_it_cost_is_not_free(fleet: Fleet, model: ModelServer) -> None:
    await fleet.database.llm.keys.put("ann", "openrouter", ProviderKey("sk-very-secret-0123456789", model.base_url))

    async def untold(server: ModelServer, asked: Asked, request: web.Request) -> web.StreamResponse:
        return web.json_response(server.completion(asked, json.dumps(HOLD)) | {"usage": None})

    model.plan = always(untold)
    limits = {"provider": "openrouter", "maxCostUsd": 0.12}
    end, record = await ended_by_itself(fleet, **trader_of(model) | limits)
    assert (end["code"], len(model.asked)) == ("spending_limit", 2), "each may cost five cents"
    assert (await fleet.database.llm.spending.of_backtest(record["_id"])).spent_usd == 0.1


@on_one_pair
async def test_a_key_goes_only_where_its_owner_said(fleet: Fleet, model: ModelServer) -> None:
    await fleet.database.llm.keys.put("ann", "openrouter", ProviderKey("sk-very-secret-0123456789", ""))
    end, _ = await ended_by_itself(fleet, **trader_of(model) | {"provider": "openrouter"})
    assert end["code"] == "llm_key_elsewhere"
    assert model.asked == []
