"""What is kept for strategies that ask language models, on every record backend: decisions, money, keys, agents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from cryptography.fernet import Fernet

from shared.agents import VERSIONS_MAX
from shared.database import Database
from shared.errors import Conflict, NotFound
from shared.llm_keys import LlmKeys, ProviderKey, Resealed
from shared.settings import Settings
from shared.spending import NO_LIMITS, RunLimits, SpendingLimit, Spent
from tests.decisions import decision
from tests.fleet import request

SECRETS = [Fernet.generate_key().decode() for _ in range(2)]
KEY = "sk-or-v1-0123456789abcdef-WXYZ"


@pytest.fixture
async def kept(
    mongodb_uri: str, mongodb_database: str, make_settings: Callable[..., Settings]
) -> AsyncIterator[Database]:
    opened = await Database.open(make_settings(key_secrets=SECRETS[0], llm_user_day_usd=1.0))
    yield opened
    await opened.close()


# Decisions


async def test_of_several_decisions_for_one_place_the_first_stays(kept: Database) -> None:
    decisions = kept.llm.decisions
    first = decision("bt_1", 9)
    assert await decisions.add(first) == first
    assert await decisions.add(first) == first
    assert (await decisions.add(decision("bt_1", 9, raw="too late")))["raw"] == first["raw"]
    await decisions.add_many([decision("bt_1", bar, raw="again") for bar in (9, 19, 29)])
    await decisions.add_many([])
    found = await decisions.of_backtest("bt_1")
    assert [(place, one["raw"]) for place, one in sorted(found.items())] == [
        ((0, 9), first["raw"]),
        ((0, 19), "again"),
        ((0, 29), "again"),
    ]
    assert not {"system", "user"} & found[0, 9].keys()
    assert found[0, 9]["decision"] == first["decision"]


async def test_what_no_store_can_hold_is_written_out(kept: Database) -> None:
    said = await kept.llm.decisions.add(decision("bt_1", 9, raw="half \ud83d, NUL \x00", reason="é"))
    assert (said["raw"], said["reason"]) == ("half \\ud83d, NUL \x00", "é")
    assert (await kept.llm.decisions.of_backtest("bt_1"))[0, 9]["raw"] == said["raw"]


async def test_an_answer_is_found_again_by_its_owner_only_and_the_newest_counts(kept: Database) -> None:
    decisions = kept.llm.decisions
    await decisions.add_many([decision("bt_1", bar) for bar in (9, 19, 29)])
    await decisions.add(decision("bt_2", 9, raw="newer", createdAt=1_804_067_200_000))
    await decisions.add(decision("bt_3", 9, raw="bob's", user="bob", createdAt=1_904_067_200_000))
    assert (await decisions.find("ann", "key-9") or {})["raw"] == "newer"
    assert await decisions.find("eve", "key-9") is None
    assert await decisions.find("ann", "key-10") is None
    assert set(await decisions.answers_beside("ann", "bt_1")) == {"key-9", "key-19", "key-29"}
    assert set(await decisions.answers_beside("ann", "bt_1", after_bar=9, most=1)) == {"key-19"}
    assert await decisions.answers_beside("bob", "bt_1") == {}


async def test_decisions_are_read_by_bar_and_no_bar_is_parted(kept: Database) -> None:
    decisions = kept.llm.decisions
    places = [(9, 0), (19, 0), (19, 1), (19, 2), (29, 0)]
    await decisions.add_many([decision("bt_1", bar, strategy_index=index) for bar, index in reversed(places)])
    read: list[list[tuple[int, int]]] = []
    after = -1
    while True:
        page = await decisions.page("bt_1", after_bar=after, limit=2)
        read.append([(one["bar"], one["strategyIndex"]) for one in page.items])
        if not page.more:
            break
        after = page.items[-1]["bar"]
    assert read == [places[:4], places[4:]]
    assert (await decisions.page("bt_1", after_bar=29, limit=2)) == ([], False)
    [told] = (await decisions.page("bt_1", after_bar=19, limit=2, prompts=True)).items
    assert (told.get("system"), told.get("user")) == ("You trade.", "bar 29")
    assert "user" not in (await decisions.page("bt_1", after_bar=19, limit=2)).items[0]


async def test_decisions_and_their_cost_go_with_their_backtest_and_what_comes_later_is_garbage(kept: Database) -> None:
    record, _ = await kept.store.insert(user_id="ann", params=request(), priority=0, idempotency_key=None)
    backtest_id = record["_id"]
    decisions, spending = kept.llm.decisions, kept.llm.spending
    for _ in range(2):
        await decisions.add(decision(backtest_id, 9))
        await spending.settle(await spending.reserve("ann", backtest_id, 0.1, "0-9"), 0.1)
        assert await decisions.collect_garbage() + await spending.collect_garbage() == 0
    await kept.store.delete(backtest_id, "ann")
    assert await decisions.of_backtest(backtest_id) == {}
    assert await spending.of_backtest(backtest_id) == Spent(0, 0, 0)
    assert (await spending.of_today("ann")).spent_usd == pytest.approx(0.2)
    await decisions.add(decision(backtest_id, 19))
    await spending.reserve("ann", backtest_id, 0.1, "0-19")
    assert (await decisions.collect_garbage(), await spending.collect_garbage()) == (1, 1)
    assert await decisions.find("ann", "key-19") is None
    assert (await spending.of_today("ann")).asks == 3


# Money


async def test_of_many_asks_at_once_no_more_are_paid_than_the_limits_allow(kept: Database) -> None:
    spending = kept.llm.spending

    async def ask(backtest_id: str, number: int, limits: RunLimits = NO_LIMITS) -> bool:
        try:
            reserved = await spending.reserve("ann", backtest_id, 0.1, f"0-{number}", limits)
        except SpendingLimit:
            return False
        await spending.settle(reserved, 0.1)
        return True

    by_count = await asyncio.gather(*(ask("bt_1", n, RunLimits(max_decisions=3)) for n in range(8)))
    assert sum(by_count) == 3
    by_cost = await asyncio.gather(*(ask("bt_2", n, RunLimits(max_cost_usd=0.25)) for n in range(8)))
    assert sum(by_cost) == 2
    by_day = await asyncio.gather(*(ask(f"bt_{n}", 0) for n in range(3, 13)))
    assert sum(by_day) == 5, "a dollar a day"
    assert await spending.of_today("ann") == Spent(1.0, 0.0, 10)
    assert await spending.left_today_usd("ann") == 0
    assert await spending.left_today_usd("bob") == 1
    assert await spending.of_backtest("bt_1") == Spent(0.3, 0.0, 3)
    reserved = await spending.reserve("bob", "bt_20", 0.1, "0-0")
    assert await spending.of_today("bob") == Spent(0.0, 0.1, 1)
    await spending.release(reserved)
    await spending.release(reserved)
    assert await spending.of_today("bob") == await spending.of_backtest("bt_20") == Spent(0, 0, 0)


@pytest.mark.parametrize(
    ("usd", "limits", "field"),
    [
        (0.6, NO_LIMITS, "llmUserDayUsd"),
        (0.2, RunLimits(max_cost_usd=0.6, path="strategyParams.ai"), "strategyParams.ai.maxCostUsd"),
        (0.2, RunLimits(max_decisions=1), "strategyParams.ai_trader.maxDecisions"),
        (float("nan"), NO_LIMITS, "llmUserDayUsd"),
    ],
)
async def test_who_is_over_a_limit_is_told_which_and_nothing_is_put_aside(
    kept: Database, usd: float, limits: RunLimits, field: str
) -> None:
    spending = kept.llm.spending
    await spending.settle(await spending.reserve("ann", "bt_1", 0.1, "0-0"), 0.5)
    before = await spending.of_today("ann"), await spending.of_backtest("bt_1")
    with pytest.raises(SpendingLimit) as refused:
        await spending.reserve("ann", "bt_1", usd, "0-1", limits)
    assert [(one.field, one.code) for one in refused.value.errors] == [(field, "spending_limit")]
    assert any(words in refused.value.message for words in ("raise it", "wait for midnight"))
    assert (await spending.of_today("ann"), await spending.of_backtest("bt_1")) == before


async def test_settling_twice_counts_once_and_an_ask_of_who_died_stays_counted(kept: Database) -> None:
    spending, limits = kept.llm.spending, RunLimits(max_decisions=2)
    reserved = await spending.reserve("ann", "bt_1", 0.2, "0-0", limits)
    for _ in range(2):
        await spending.settle(reserved, 0.05)
    assert await spending.of_today("ann") == await spending.of_backtest("bt_1") == Spent(0.05, 0.0, 1)
    await spending.reserve("ann", "bt_1", 0.2, "0-1", limits)  # and dies
    again = await spending.reserve("ann", "bt_1", 0.2, "0-1", limits)
    assert await spending.of_backtest("bt_1") == Spent(0.05, 0.4, 2), "the same ask, for which twice may be paid"
    await spending.settle(again, 0.05)
    assert await spending.of_backtest("bt_1") == Spent(0.1, 0.2, 2)
    with pytest.raises(SpendingLimit):
        await spending.reserve("ann", "bt_1", 0.2, "0-2", limits)
    assert await spending.of_today("ann") == Spent(0.1, 0.2, 3)


async def test_what_a_provider_says_beyond_all_sense_overflows_nothing(kept: Database) -> None:
    spending = kept.llm.spending
    await spending.settle(await spending.reserve("ann", "bt_1", 0.1, "0-0"), 1e308)
    assert (await spending.of_today("ann")).spent_usd == 1e6
    assert await spending.left_today_usd("ann") == 0


# Keys


async def test_a_key_is_opened_by_its_owner_for_its_provider_and_by_nobody_else(kept: Database) -> None:
    keys = kept.llm.keys
    put = await keys.put("ann", "openrouter", ProviderKey(KEY, "https://models.example/v1"))
    assert (put["shown"], put["baseUrl"]) == ("…WXYZ", "https://models.example/v1")
    assert await keys.open("ann", "openrouter") == ProviderKey(KEY, "https://models.example/v1")
    assert await keys.open("bob", "openrouter") is await keys.open("ann", "openai") is None
    stored = kept.mongo.collection("llm_keys")
    assert KEY not in str(await stored.find({}).to_list())
    for user, provider in (("bob", "openrouter"), ("ann", "openai")):
        await keys.put(user, provider, ProviderKey("short", ""))
        assert (await keys.get(user, provider))["shown"] == ""
        await stored.update_one({"_id": f"{provider}:{user}"}, {"$set": {"sealed": put["sealed"]}})
        with pytest.raises(Conflict) as refused:
            await keys.open(user, provider)
        assert KEY not in str(refused.value.message) + str(refused.value.errors)
    assert [one["provider"] for one in await keys.list_of("ann")] == ["openai", "openrouter"]
    await keys.delete("ann", "openrouter")
    for gone in (keys.delete("ann", "openrouter"), keys.get("ann", "openrouter")):
        with pytest.raises(NotFound):
            await gone


async def test_keys_are_sealed_anew_with_the_newest_secret_once(
    kept: Database, make_settings: Callable[..., Settings]
) -> None:
    for number in range(3):
        await kept.llm.keys.put(f"u{number}", "openai", ProviderKey(KEY, ""))
    await kept.mongo.collection("llm_keys").update_one({"_id": "openai:u2"}, {"$set": {"sealed": "damaged"}})
    rotated = LlmKeys(kept.mongo, make_settings(key_secrets=f"{SECRETS[1]}, {SECRETS[0]}"))
    assert (await rotated.open("u0", "openai") or ProviderKey("", "")).key == KEY, "an older secret still opens"
    assert await rotated.reseal() == Resealed(2, 1)
    assert await rotated.reseal() == Resealed(0, 1)
    newest = LlmKeys(kept.mongo, make_settings(key_secrets=f'["{SECRETS[1]}"]'))
    assert await newest.open("u1", "openai") == ProviderKey(KEY, "")
    with pytest.raises(Conflict, match="PUT"):
        await kept.llm.keys.open("u1", "openai")
    without = LlmKeys(kept.mongo, make_settings())
    for asked in (without.put("u1", "openai", ProviderKey(KEY, "")), without.reseal()):
        with pytest.raises(Conflict, match="BACKFLEET_KEY_SECRETS"):
            await asked


# Agents


async def test_versions_of_an_agent_stay_and_each_change_makes_one(kept: Database) -> None:
    agents = kept.llm.agents
    agent = await agents.add("ann", "Momentum", {"model": "m", "prompt": "p1", "indicators": ["ema 20"]})
    changed = await asyncio.gather(
        *(agents.change("ann", agent["_id"], f"n{n}", {"prompt": f"q{n}"}) for n in range(3))
    )
    assert sorted(one["version"] for one in changed) == [2, 3, 4]
    for one in changed:
        assert await agents.get_version("ann", agent["_id"], one["version"]) == one["current"]
    assert await agents.get_version("ann", agent["_id"], 1) == agent["current"]
    assert (await agents.get_version("ann", agent["_id"], None))["version"] == 4
    [listed] = await agents.list_of("ann")
    assert (listed["current"]["version"], "versions" in listed) == (4, False)
    for refused in (
        agents.get_version("ann", agent["_id"], 5),
        agents.get_version("bob", agent["_id"], None),
        agents.change("bob", agent["_id"], "n", {}),
        agents.delete("bob", agent["_id"]),
    ):
        with pytest.raises(NotFound):
            await refused
    await kept.mongo.collection("agents").update_one(
        {"_id": agent["_id"]}, {"$set": {"versions": [agent["current"]] * VERSIONS_MAX}}
    )
    with pytest.raises(Conflict, match="make a new one"):
        await agents.change("ann", agent["_id"], "n", {})
    await agents.delete("ann", agent["_id"])
    assert await agents.list_of("ann") == []
