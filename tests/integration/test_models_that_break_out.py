"""Models that answer with whatever could break out, on a real worker, and servers that repeat the key they got."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from pymongo import AsyncMongoClient

from shared.contracts import Channel
from shared.llm_keys import ProviderKey
from shared.settings import Settings
from shared.trader.answer import REASONING_MAX_CHARS
from tests.conftest import Backends, on_one_pair
from tests.fleet import Fleet, fleet_on, request
from tests.model_server import HOLD, Asked, ModelServer, Trick, declining, failing, replying, saying, serving

DEADLINE_S = 60.0
SEALING = "c2VjcmV0LWZvci10ZXN0cy0wMTIzNDU2Nzg5YWJjZGU="
KEY = 'sk-"5up3r/53cr37\\0123456789<WXYZ>'
EVIL = (
    "\x1b[31mred\x1b]0;owned\x07\x9b2J\r\nforged: \x00 \u202egnp\u2066 <script>alert(1)</script> {{7*7}} ${jndi} $where"
)
LONG = {**HOLD, "action": "LONG"}


def deep(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


# What a model says, and whether that is a decision.
SAID: list[tuple[str, bool]] = [
    (json.dumps({**LONG, "reasoning": EVIL}), True),
    (json.dumps({**LONG, "reasoning": "half \ud800 a letter"}), True),
    (json.dumps({**LONG, "reasoning": "x" * 50_000}), True),
    (json.dumps({**LONG, "reasoning": "x" * 1_000_000}), False),
    (json.dumps({**LONG, "confidence": "0.9", "sizeFraction": "0.25"}), True),
    (json.dumps({**LONG, "action": " long\n"}), True),
    (json.dumps({**LONG, "stopLossPrice": 5e-324}), True),
    (json.dumps({**LONG, "takeProfitPrice": 1e308}), False),
    (json.dumps({**LONG, "stopLossPrice": -1e308}), False),
    (json.dumps({**LONG, "sizeFraction": 5e-324}), True),
    (json.dumps({**LONG, "sizeFraction": float("nan")}), False),
    (json.dumps({**LONG, "takeProfitPrice": float("inf")}), False),
    (json.dumps({**LONG, "confidence": "0x1p-1"}), False),
    (json.dumps({**LONG, "confidence": "０.９"}), False),
    (json.dumps({**LONG, "confidence": True}), False),
    (json.dumps({**LONG, "sizeFraction": {"$gt": 0}}), False),
    (json.dumps({**LONG, "$set": {"a.b": 1}}), False),
    (json.dumps({**LONG, "__proto__": {"action": "SHORT"}}), False),
    (json.dumps({**LONG, EVIL: 1}), False),
    (json.dumps({**LONG, "action": EVIL}), False),
    (json.dumps({**LONG, "action": "ＬＯＮＧ"}), False),
    (json.dumps(LONG)[:-1] + ', "action": "SHORT"}', False),
    (json.dumps(LONG) + json.dumps({**LONG, "action": "SHORT"}), False),
    (f"<think>{deep(3)}</think>```json\n{json.dumps(LONG)}\n```", True),
    (deep(50_000), False),
    ('{"sizeFraction": ' + "9" * 5_000 + "}", False),
    (EVIL, False),
    ("__import__('os').system('id')", False),
    ("null", False),
]


def is_plain(text: str) -> bool:
    """Whether a terminal shows it as it stands."""
    return not any(
        (ord(one) < 32 and one not in "\n\t") or 127 <= ord(one) < 160 or one in "\u202e\u2066" for one in text
    )


def texts_of(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from texts_of(name)
            yield from texts_of(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts_of(one)


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with serving(ModelServer()) as server:
        yield server


@pytest.fixture
async def fleet(backends: Backends, make_settings: Callable[..., Settings], tmp_path: Path) -> AsyncIterator[Fleet]:
    async with fleet_on(make_settings(llm_private_urls=True, key_secrets=SEALING), tmp_path, 300) as opened:
        yield opened


async def run_watched(fleet: Fleet, **trader: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The end of a run that tells all it has to tell, and its decisions with what was asked and said."""
    params = {"model": "m", "maxAbstainedShare": 1, **trader}
    record, _ = await fleet.store.insert(
        user_id="ann",
        params=request(strategies=["ai_trader"], strategyParams={"ai_trader": params}, stopLoss=None),
        priority=0,
        idempotency_key=None,
    )
    await fleet.bus.mark_watched([record["_id"]], "a gateway")
    fleet.start_worker(log_level="DEBUG")
    end = await fleet.end_of(record["_id"], DEADLINE_S)
    page = await fleet.database.llm.decisions.page(record["_id"], after_bar=-1, limit=500, prompts=True)
    return end, [dict(one) for one in page.items]


@on_one_pair
async def test_nothing_that_a_model_says_breaks_out_of_its_decision(fleet: Fleet, model: ModelServer) -> None:
    model.rule = lambda asked: SAID[asked.bar // 10][0]
    instructions = f"{EVIL}\n\nJSON schema of the answer\n{{}}".replace("\x00", "")
    end, made = await run_watched(
        fleet, provider="local", baseUrl=model.base_url, every=10, prompt=instructions, mode="live"
    )
    assert end["channel"] == Channel.COMPLETE, end
    assert [one["abstained"] for one in made[: len(SAID)]] == [not usable for _, usable in SAID]
    assert {one["action"] for one in made} == {"LONG", "HOLD"}
    decisions = [one for one in fleet.said_of(end["backtestId"]) if one.get("type") == "decision"]
    assert len(decisions) == 30
    for text in texts_of([fleet.said_of(end["backtestId"]), [one["reason"] for one in made]]):
        assert is_plain(text), repr(text[:200])
        assert len(text) <= REASONING_MAX_CHARS
    assert is_plain(fleet.logs())
    assert "Traceback" not in fleet.logs()
    system = {one.system for one in model.asked}
    assert len(system) == 1
    *_, theirs = system.pop().partition("Every line of theirs begins with |")
    assert all(line.startswith("| ") for line in theirs.split("\n")[1:]), "the user's words pass for ours"
    assert all(is_plain(one.system + one.user) for one in model.asked)


def repeating(asked: Asked) -> Trick:
    """Each way in which a server could tell what it was sent, one after the other."""
    sent = asked.headers["Authorization"]
    assert sent == f"Bearer {KEY}"
    said = f"you sent {sent}: is odd"
    return (
        saying(json.dumps({**HOLD, "reasoning": said})),
        saying(said),
        saying(json.dumps({**HOLD, "action": sent})),
        declining(said),
        failing(500, said),
        failing(400, said, param=KEY),
        failing(429, said, {"Retry-After": "0", "X-Sent": "yes"}),
        replying(f"<html>{said}</html>", 502),
        replying(json.dumps({"error": {"message": said, "code": 503}}).replace("/", "\\/")),
        replying({"choices": [{"error": {"message": said}}]}),
    )[asked.bar // 25 % 10]


async def everything_of(fleet: Fleet) -> str:
    """All that stands in the database and in Redis, was said or was logged."""
    found = [fleet.logs(), json.dumps(fleet.news, ensure_ascii=False), *texts_of(fleet.news)]
    mongo: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(fleet.settings.mongodb_uri.get_secret_value())
    async with mongo, redis.asyncio.Redis.from_url(fleet.settings.redis_url.get_secret_value()) as others:
        database = mongo[fleet.settings.mongodb_database]
        for name in await database.list_collection_names():
            for one in await database[name].find({}).to_list():
                found += [repr(one), *texts_of(one)]
        async for key in others.scan_iter():
            kind = await others.type(key)
            value = await (others.xrange(key) if kind == b"stream" else others.dump(key))
            found.append(f"{key!r} {value!r}")
    return "\n".join(found)


@on_one_pair
async def test_a_key_stands_nowhere_but_where_it_is_sealed_whatever_its_server_repeats(
    fleet: Fleet, model: ModelServer
) -> None:
    await fleet.database.llm.keys.put("ann", "openrouter", ProviderKey(KEY, model.base_url))
    model.plan = repeating
    trader = {"baseUrl": model.base_url, "every": 25, "maxCostUsd": 100, "prompt": "Trade."}
    end, made = await run_watched(fleet, **trader)
    assert end["channel"] == Channel.COMPLETE, end
    assert len(made) == 12
    assert sum("is odd" in f"{one['reason']} {one['raw']}" for one in made) >= 8, "the server has repeated nothing"
    model.plan = lambda asked: failing(403, f"Authorization: Bearer {KEY} is odd")
    end, _ = await run_watched(fleet, **trader, temperature=0.5)
    assert end["code"] == "model_refused"
    assert "is odd" in end["error"]
    everything = await everything_of(fleet)
    assert everything.count("is odd") > 20
    for spelled in (KEY, json.dumps(KEY)[1:-1], json.dumps(KEY)[1:-1].replace("/", "\\/"), repr(KEY)[1:-1], "5up3r"):
        assert spelled not in everything
    assert SEALING not in everything
