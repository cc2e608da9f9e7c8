"""Agents, provider keys, estimates and decisions as their owner reaches them, over HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import httpx
import pytest
import redis.asyncio
from cryptography.fernet import Fernet

from api.routes.llm_answers import Agent, DecisionPage, Estimate, ProviderKey
from deploy.cli import main
from shared.decisions import LlmDecision
from shared.settings import PREFIX, Settings
from tests.decisions import decision
from tests.gateway import BACKTESTS, BODY, Site, problem_of, site_on

KEY = "sk-or-v1-5up3r53cr37-0123456789-WXYZ"
KEYS, AGENTS = "/api/llm/keys", "/api/agents"
AGENT: dict[str, Any] = {
    "name": "Momentum",
    "model": "vendor/model",
    "prompt": "Trade with the trend.",
    "indicators": ["ema 20"],
    "decisionInterval": 4,
    "parameters": {"lookback_bars": 20, "maxCostUsd": 1},
}
BARS = 500  # of BODY's range
RUN = {name: value for name, value in BODY.items() if name not in ("strategies", "strategyParams")}
KNOWN_FROM = "strategyParams.ai_trader.knowledgeCutoff"
TRADER: dict[str, Any] = {"model": "vendor/model", "every": 10}


@pytest.fixture
async def site(any_mongodb_uri: str, any_redis_url: str, make_settings: Callable[..., Settings]) -> AsyncIterator[Site]:
    prices = {"vendor/model": (1.0, 10.0)}
    settings = make_settings(key_secrets=Fernet.generate_key().decode(), llm_prices=prices, llm_user_day_usd=2.0)
    async with site_on(settings) as one:
        yield one


def asked(**trader: Any) -> dict[str, Any]:
    return RUN | {"strategies": ["ai_trader"], "strategyParams": {"ai_trader": TRADER | trader}}


def refused(answer: httpx.Response, *fields: str) -> dict[str, Any]:
    problem = problem_of(answer, 422)
    assert [one["field"] for one in problem["errors"]] == [*fields], problem
    return problem


# Agents


async def test_a_backtest_runs_as_its_agent_was_when_it_was_submitted(site: Site) -> None:
    ann = await site.client()
    made = await ann.post(AGENTS, json=AGENT)
    assert made.status_code == 201
    agent = Agent.model_validate(made.json())
    assert (agent.version, agent.decision_interval, agent.safety_mode) == (1, 4, None)
    assert agent.parameters == {"lookbackBars": 20, "maxCostUsd": 1}
    at = made.headers["location"]
    first = (await ann.get(at)).json()
    assert first == made.json()
    second = (await ann.put(at, json=AGENT | {"name": "Calm", "decisionInterval": 8, "safetyMode": False})).json()
    assert (second["version"], second["decisionInterval"], second["name"]) == (2, 8, "Calm")
    assert (await ann.get(at, params={"version": 1})).json() == first | {"lastVersion": 2}
    assert (await ann.get(AGENTS)).json()["items"] == [second]
    for naming, version, every, mode in (({}, 2, 8, "replay"), ({"agentVersion": 1}, 1, 4, "record")):
        over = {"strategyParams": {"ai_trader": {"mode": mode, "every": every}}} if mode == "replay" else {}
        body = RUN | {"agentId": agent.agent_id} | naming | over
        submitted = (await ann.post(BACKTESTS, json=body)).json()
        record = (await ann.get(f"{BACKTESTS}/{submitted['backtestId']}")).json()
        params = record["params"]
        assert (params["agentId"], params["agentVersion"], params["strategies"]) == (
            agent.agent_id,
            version,
            ["ai_trader"],
        )
        trader = params["strategyParams"]["ai_trader"]
        assert (trader["every"], trader["model"], trader.get("mode", "record")) == (every, "vendor/model", mode)
        stored = await site.store.get(submitted["backtestId"], "ann")
        name = {1: "Momentum", 2: "Calm"}[version]
        told = {"agentId": agent.agent_id, "agentVersion": str(version), "agentName": name}
        assert stored.get("labels") == told
    assert (await ann.delete(at)).status_code == 204
    problem_of(await ann.get(at), 404)
    assert len((await ann.get(BACKTESTS)).json()["items"]) == 2, "what it made stays"


async def test_the_same_key_means_the_same_backtest_whatever_became_of_the_agent_and_the_money(site: Site) -> None:
    ann = await site.client()
    agent_id = (await ann.post(AGENTS, json=AGENT)).json()["agentId"]
    headers = {"Idempotency-Key": "once"}
    body = RUN | {"agentId": agent_id}
    first = (await ann.post(BACKTESTS, json=body, headers=headers)).json()
    await ann.put(f"{AGENTS}/{agent_id}", json=AGENT | {"decisionInterval": 5})
    spending = site.database.llm.spending
    await spending.settle(await spending.reserve("ann", first["backtestId"], 0.1, "0-0"), 2.0)
    again = await ann.post(BACKTESTS, json=body, headers=headers)
    assert (again.status_code, again.json()["backtestId"]) == (202, first["backtestId"])
    refused(await ann.post(BACKTESTS, json=body, headers={"Idempotency-Key": "other"}), "llmUserDayUsd")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"decisionInterval": 0}, "decisionInterval"),
        ({"indicators": ["astrology 7"]}, "indicators"),
        ({"safetyMode": "yes"}, "safetyMode"),
        ({"minConfidence": 2}, "minConfidence"),
        ({"model": ""}, "model"),
        ({"name": ""}, "name"),
        ({"name": " \u3000"}, "name"),
        ({"name": "half \ud800"}, "name"),
        ({"name": "red\x1b[31m"}, "name"),
        ({"name": "two\nlines"}, "name"),
        ({"name": "turned \u202e round"}, "name"),
        ({"prompt": "x" * 30_000}, "prompt"),
        ({"prompt": "half \ud800"}, "prompt"),
        ({"parameters": {"lookback_bars": 0}}, "parameters.lookback_bars"),
        ({"parameters": {"safety_mode": True}}, "parameters.safety_mode"),
        ({"parameters": {"max_tokens": 100, "maxTokens": 100}}, "parameters.max_tokens"),
        ({"parameters": {"speed": 3}}, "parameters.speed"),
        ({"parameters": {"half \ud800": 3}}, "parameters"),
        ({"parameters": {"$where": 3}}, "parameters.$where"),
        ({"parameters": {"seed": 1, "mode": [[[[[[[[[[1]]]]]]]]]]}}, "parameters.mode"),
        ({"every": 4}, "every"),
    ],
)
async def test_an_agent_that_could_not_trade_is_refused_by_its_own_fields(
    site: Site, changes: dict[str, Any], field: str
) -> None:
    ann = await site.client()
    body = json.dumps(AGENT | changes)
    refused(await ann.post(AGENTS, content=body), field)
    agent_id = (await ann.post(AGENTS, json=AGENT)).json()["agentId"]
    refused(await ann.put(f"{AGENTS}/{agent_id}", content=body), field)
    assert (await ann.get(f"{AGENTS}/{agent_id}")).json()["version"] == 1


async def test_who_names_an_agent_that_is_not_his_is_told_that_there_is_none(site: Site) -> None:
    ann, bob = await site.client(), await site.client("bob")
    agent_id = (await ann.post(AGENTS, json=AGENT)).json()["agentId"]
    for client, changes, field in (
        (bob, {"agentId": agent_id}, "agentId"),
        (ann, {"agentId": "ag_none"}, "agentId"),
        (ann, {"agentId": agent_id, "agentVersion": 2}, "agentVersion"),
        (ann, {"agentId": agent_id, "strategies": ["sma"]}, "strategies"),
        (ann, {"agentVersion": 1, "strategies": ["sma"]}, "agentVersion"),
        (
            ann,
            {"agentId": agent_id, "strategyParams": {"ai_trader": {"maxCostUsd": 1, "max_cost_usd": 2}}},
            "strategyParams.ai_trader.max_cost_usd",
        ),
    ):
        refused(await client.post(BACKTESTS, json=RUN | changes), field)
        refused(await client.post(f"{BACKTESTS}/estimate", json=RUN | changes), field)
    for method in ("GET", "PUT", "DELETE"):
        problem_of(await bob.request(method, f"{AGENTS}/{agent_id}", json=AGENT if method == "PUT" else None), 404)
    assert (await bob.get(AGENTS)).json() == {"items": []}


# Estimates


@pytest.mark.parametrize(
    "url",
    ["http://models.example/v1", "https://localhost/v1", "https://127.0.0.1:8443/v1", "https://[::ffff:10.0.0.1]/v1"],
)
async def test_a_server_that_only_we_can_reach_is_refused_before_anything_runs(site: Site, url: str) -> None:
    ann = await site.client()
    field = "strategyParams.ai_trader.baseUrl"
    for path in (BACKTESTS, f"{BACKTESTS}/estimate"):
        refused(await ann.post(path, json=asked(baseUrl=url)), field)
    agent_id = (await ann.post(AGENTS, json=AGENT | {"parameters": {"base_url": url}})).json()["agentId"]
    refused(await ann.post(BACKTESTS, json=RUN | {"agentId": agent_id}), field)
    # A replay connects to nothing, and may be of a time when such servers were allowed.
    assert (await ann.post(f"{BACKTESTS}/estimate", json=asked(baseUrl=url, mode="replay"))).status_code == 200


async def test_an_estimate_warns_of_bars_that_the_model_may_know(site: Site) -> None:
    ann = await site.client()
    for day, codes in (("2099-01-01", ["before_knowledge_cutoff"]), ("1999-01-01", [])):
        answer = (await ann.post(f"{BACKTESTS}/estimate", json=asked(knowledgeCutoff=day))).json()
        assert [one.code for one in Estimate.model_validate(answer).warnings] == codes
    for day in ("20250131", "2025-W05-5", "soon", "2025-02-30"):
        refused(await ann.post(f"{BACKTESTS}/estimate", json=asked(knowledgeCutoff=day)), KNOWN_FROM)


async def test_an_estimate_says_what_would_be_asked_and_a_submission_over_a_limit_is_refused(site: Site) -> None:
    ann = await site.client()
    answer = (await ann.post(f"{BACKTESTS}/estimate", json=asked())).json()
    estimate = Estimate.model_validate(answer)
    assert (estimate.asks, estimate.limits.exceeded) == (BARS // 10, [])
    assert estimate.cost_usd == pytest.approx(estimate.tokens_in / 1e6 + 10 * estimate.tokens_out / 1e6)
    longer = (await ann.post(f"{BACKTESTS}/estimate", json=asked(prompt="x" * 4_000, lookbackBars=100))).json()
    assert longer["tokensIn"] > answer["tokensIn"] + 50 * 900
    unknown = (await ann.post(f"{BACKTESTS}/estimate", json=asked(model="vendor/other"))).json()
    assert unknown["costUsd"] is None
    over = {"maxDecisions": 49, "maxCostUsd": 0.001}
    fields = "strategyParams.ai_trader.maxDecisions", "strategyParams.ai_trader.maxCostUsd"
    told = (await ann.post(f"{BACKTESTS}/estimate", json=asked(**over))).json()
    assert [one["field"] for one in told["limits"]["exceeded"]] == [*fields]
    problem = refused(await ann.post(BACKTESTS, json=asked(**over)), *fields)
    assert {problem["code"], *(one["code"] for one in problem["errors"])} == {"spending_limit"}
    replay = (await ann.post(f"{BACKTESTS}/estimate", json=asked(**over, mode="replay"))).json()
    assert (replay["asks"], replay["costUsd"], replay["limits"]["exceeded"]) == (50, 0, [])
    refused(await ann.post(BACKTESTS, json=asked(every=1, maxTokens=100_000, maxCostUsd=100)), "llmUserDayUsd")
    assert (await ann.get(BACKTESTS)).json()["items"] == []
    assert (await ann.post(BACKTESTS, json=asked())).status_code == 202


async def test_an_estimate_without_a_model_says_its_bars_and_how_long_such_runs_took(site: Site) -> None:
    ann, bob = await site.client(), await site.client("bob")

    async def estimate(client: httpx.AsyncClient, **changes: Any) -> Estimate:
        answer = await client.post(f"{BACKTESTS}/estimate", json=BODY | changes)
        assert answer.status_code == 200, answer.text
        return Estimate.model_validate(answer.json())

    backtest_id = (await ann.post(BACKTESTS, json=BODY)).json()["backtestId"]
    await site.finish(await site.claim(), publish=False)
    ended_at_ms = (await site.store.get(backtest_id, "ann"))["completedAt"]
    took = {"$set": {"startedAt": ended_at_ms - 10_000}}  # for the 5,000 bars of its result
    await site.database.mongo.collection("backtests").update_one({"_id": backtest_id}, took)
    short = await estimate(bob, startDate="2023-01-01", endDate="2024-01-03T12:00:00Z")
    assert (short.asks, short.cost_usd, short.bars, short.seconds) == (0, 0, 60, pytest.approx(0.12))
    assert (short.effective_start, short.effective_end) == ("2024-01-01T00:00:00Z", "2024-01-03T12:00:00Z")
    assert (await estimate(bob)).seconds == pytest.approx(BARS * 0.002)
    assert (await estimate(bob, speed=10)).seconds == pytest.approx(BARS / 10)
    # Nothing is known of how long that model takes.
    of_model = Estimate.model_validate((await ann.post(f"{BACKTESTS}/estimate", json=asked())).json())
    assert (of_model.bars, of_model.seconds) == (BARS, None)


# Keys


async def test_keys_are_shown_by_their_end_and_may_not_be_sent_to_private_addresses(site: Site) -> None:
    ann, bob = await site.client(), await site.client("bob")
    at = f"{KEYS}/openrouter"
    put = await ann.put(at, json={"key": KEY, "baseUrl": "https://models.example/v1/"})
    shown = ProviderKey.model_validate(put.json())
    assert (shown.key, shown.base_url) == ("…WXYZ", "https://models.example/v1")
    assert (await ann.get(at)).json() == put.json()
    assert (await ann.get(KEYS)).json() == {"items": [put.json()]}
    problem_of(await bob.get(at), 404)
    problem_of(await bob.delete(at), 404)
    for body, field in (
        ({"key": KEY, "baseUrl": "https://169.254.169.254/v1"}, "baseUrl"),
        ({"key": KEY, "baseUrl": "http://models.example/v1"}, "baseUrl"),
        ({"key": KEY + "\n"}, "key"),
        ({"key": ""}, "key"),
        ({"key": [KEY]}, "key"),
        ({"baseUrl": "https://models.example"}, "key"),
        ({"key": KEY, "url": "https://models.example"}, "url"),
    ):
        answer = await ann.put(at, json=body)
        refused(answer, field)
        assert KEY not in answer.text
    refused(await ann.put(f"{KEYS}/Open%20Router", json={"key": KEY}), "provider")
    assert (await ann.delete(at)).status_code == 204
    problem_of(await ann.delete(at), 404)


async def test_a_gateway_that_cannot_seal_keeps_no_keys(
    any_mongodb_uri: str, any_redis_url: str, make_settings: Callable[..., Settings]
) -> None:
    async with site_on(make_settings()) as site:
        problem = problem_of(await (await site.client()).put(f"{KEYS}/openai", json={"key": KEY}), 409)
    assert "BACKFLEET_KEY_SECRETS" in problem["detail"]
    assert KEY not in str(problem)


async def test_a_key_is_found_nowhere(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    ann = await site.client()
    answers = [
        await ann.put(f"{KEYS}/openrouter", json={"key": KEY}),
        await ann.put(f"{KEYS}/openrouter", json={"key": KEY, "baseUrl": f"https://{KEY}@models.example"}),
        await ann.put(f"{KEYS}/openrouter", json={"key": KEY + " "}),
        await ann.put(f"{KEYS}/openrouter", content=f'{{"key": "{KEY}'),
        await ann.put(f"{KEYS}/openrouter", json={"key": KEY, KEY: 1}),
        await ann.get(KEYS),
        await ann.get(f"{KEYS}/openrouter"),
        await ann.post(BACKTESTS, json=asked()),
    ]
    assert [one.status_code for one in answers] == [200, 422, 422, 400, 422, 200, 200, 202]
    secret = site.settings.sealing_secrets[0]
    monkeypatch.setenv(f"{PREFIX}KEY_SECRETS", f"{Fernet.generate_key().decode()},{secret}")
    opened = await site.database.llm.keys.open("ann", "openrouter")
    assert opened is not None
    assert KEY not in repr(opened)
    database = site.database.mongo.durable
    dump = [await database[name].find({}).to_list() for name in await database.list_collection_names()]
    async with redis.asyncio.Redis.from_url(site.settings.redis_url.get_secret_value()) as client:
        streams = [await client.xrange(one) for one in await client.keys("*") if await client.type(one) == b"stream"]
        kept = [await client.dump(one) for one in await client.keys("*")]
    assert "sealed" in str(dump)
    everything = str(dump) + str(streams) + str(kept) + caplog.text + "".join(one.text for one in answers[:4])
    everything += "".join(one.text for one in answers[5:]) + str(capsys.readouterr())
    assert KEY not in everything
    assert secret not in everything + answers[4].text


async def test_keys_are_rotated_by_a_command(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ann = await site.client()
    await ann.put(f"{KEYS}/openai", json={"key": KEY})
    monkeypatch.setenv(f"{PREFIX}MONGODB_URI", site.settings.mongodb_uri.get_secret_value())
    monkeypatch.setenv(f"{PREFIX}MONGODB_DATABASE", site.settings.mongodb_database)
    monkeypatch.setenv(
        f"{PREFIX}KEY_SECRETS", json.dumps([Fernet.generate_key().decode(), *site.settings.sealing_secrets])
    )
    for number in (1, 0):
        assert await asyncio.to_thread(main, ["keys", "rotate"]) == 0
        assert capsys.readouterr().out.startswith(f"{number} keys were sealed anew")
    monkeypatch.setenv(f"{PREFIX}KEY_SECRETS", Fernet.generate_key().decode())
    assert await asyncio.to_thread(main, ["keys", "rotate"]) == 1
    monkeypatch.setenv(f"{PREFIX}KEY_SECRETS", "short,secrets")
    assert await asyncio.to_thread(main, ["keys", "rotate"]) == 2
    said = capsys.readouterr()
    assert "BACKFLEET_KEY_SECRETS: secret 1 is not 32 bytes" in said.err
    assert "short" not in said.err


# Decisions


async def test_decisions_are_read_page_by_page_by_their_owner_only(site: Site) -> None:
    ann, bob = await site.client(), await site.client("bob")
    backtest_id = (await ann.post(BACKTESTS, json=asked())).json()["backtestId"]
    await site.database.llm.decisions.add_many([_decision(backtest_id, bar) for bar in (9, 19, 29)])
    at = f"{BACKTESTS}/{backtest_id}/decisions"
    page = (await ann.get(at, params={"limit": 2})).json()
    DecisionPage.model_validate(page)
    assert ([one["bar"] for one in page["items"]], page["after"], page["more"]) == ([9, 19], 19, True)
    assert not {"system", "user", "raw"} & page["items"][0].keys()
    last = (await ann.get(at, params={"after": 19, "context": True})).json()
    DecisionPage.model_validate(last)
    assert [(one["bar"], one["user"], one["raw"]) for one in last["items"]] == [(29, "<b>bar 29</b>", "{}")]
    assert (await ann.get(at, params={"after": 29})).json() == {"items": [], "after": 29, "more": False}
    for asking in ({"limit": 501}, {"limit": 0}, {"after": -2}, {"context": "perhaps"}):
        refused(await ann.get(at, params=asking), *asking)
    problem_of(await bob.get(at), 404)
    await ann.delete(f"{BACKTESTS}/{backtest_id}")
    problem_of(await ann.get(at), 404)
    assert await site.database.llm.decisions.of_backtest(backtest_id) == {}


def _decision(backtest_id: str, bar: int) -> LlmDecision:
    said: dict[str, Any] = {"action": "LONG", "confidence": 0.7, "reasoning": "up"}
    said |= dict.fromkeys(("sizeFraction", "stopLossPrice", "takeProfitPrice"))
    told = {"signal": 1, "sizeFraction": None, "stopPrice": 99.0, "targetPrice": None}
    own = {"user": f"<b>bar {bar}</b>", "raw": "{}", "said": said, "decision": told}
    return cast("LlmDecision", decision(backtest_id, bar) | own)
