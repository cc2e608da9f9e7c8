"""Whatever is sent, wherever it is sent: a clear refusal that names the field, and nobody is harmed by it."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
import pytest_asyncio
import socketio
from redis.asyncio import Redis
from socketio.exceptions import ConnectionError as SocketRefused
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from api.problems import MEDIA_TYPE
from deploy.stack import Stack
from shared.settings import load_settings
from tests.e2e.client import DEADLINE_S, ROOT, Told, User, load_bars, overhear
from tests.fleet import SYMBOL, request

# One connection lives through all tests of this file: each test shows that it, too, was not harmed.
pytestmark = pytest.mark.asyncio(loop_scope="module")

USER, OTHER = "ann", "bob"
GOOD = request(endDate="2024-01-10").as_wire()
FIVE_MB = 5_000_000
UNREADABLE = "(unreadable)"
DEEP = "[" * 100_000
NESTED: dict[str, Any] = {}
for _ in range(200):
    NESTED = {"deeper": NESTED}

# What is wrong with a request, and the field that the answer must name.
BAD_REQUESTS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown symbol": ({"symbol": "NOSUCH"}, "symbol"),
    "symbol that is no name": ({"symbol": "../../etc/passwd"}, "symbol"),
    "symbol of half a character": ({"symbol": "\ud800"}, "symbol"),
    "symbol of the wrong type": ({"symbol": {"$gt": ""}}, "symbol"),
    "no symbol": ({"symbol": None}, "symbol"),
    "unknown interval": ({"interval": "7m"}, "interval"),
    "interval without data": ({"interval": "30m"}, "interval"),
    "range before all data": ({"startDate": "1999-01-01", "endDate": "1999-02-01"}, "endDate"),
    "range after all data": ({"startDate": "2030-01-01", "endDate": "2030-02-01"}, "startDate"),
    "empty range": ({"startDate": "2024-01-05", "endDate": "2024-01-05"}, "startDate"),
    "start after end": ({"startDate": "2024-01-08", "endDate": "2024-01-02"}, "startDate"),
    "date that is none": ({"startDate": "2024-02-30"}, "startDate"),
    "date of the wrong type": ({"endDate": 1704067200}, "endDate"),
    "no strategy": ({"strategies": [], "strategyParams": {}}, "strategies"),
    "unknown strategy": ({"strategies": ["astrology"], "strategyParams": {}}, "strategies.0"),
    "one strategy under two names": ({"strategies": ["sma", "sma_crossover"], "strategyParams": {}}, "strategies.1"),
    "strategies of the wrong type": ({"strategies": "sma", "strategyParams": {}}, "strategies"),
    "parameter out of range": ({"strategyParams": {"sma": {"fast": 0}}}, "strategyParams.sma.fast"),
    "parameter of the wrong type": ({"strategyParams": {"sma": {"fast": "ten"}}}, "strategyParams.sma.fast"),
    "unknown parameter": ({"strategyParams": {"sma": {"speed": 3}}}, "strategyParams.sma.speed"),
    "parameters of another strategy": ({"strategyParams": {"rsi": {}}}, "strategyParams"),
    "parameters under half a character": ({"strategyParams": {"\ud800": {}}}, "$"),
    "parameters nested deeply": ({"strategyParams": {"sma": NESTED}}, "strategyParams.sma"),
    "rule that cannot be read": (
        {"strategies": ["rule"], "strategyParams": {"rule": {"long": "__import__('os')"}}},
        "strategyParams.rule.long",
    ),
    "trader without a model": ({"strategies": ["ai_trader"], "strategyParams": {}}, "strategyParams.ai_trader.model"),
    "capital that is negative": ({"initialCapital": -1}, "initialCapital"),
    "priority out of range": ({"priority": 10}, "priority"),
    "warm-up of the wrong type": ({"warmupBars": "all"}, "warmupBars"),
}

# The same of what older clients send.
CREATE, RUN = "/api/backtest/create", "/api/v1/backtest/run"
GOOD_SESSION: dict[str, Any] = {
    **{name: GOOD[name] for name in ("symbol", "interval", "startDate", "endDate", "strategies", "strategyParams")},
    "initialCapital": 10_000,
}
GOOD_RUN: dict[str, Any] = {
    "symbol": SYMBOL,
    "timeframe": "H1",
    "start_date": "2024-01-01",
    "end_date": "2024-01-10",
    "strategy_name": "sma",
}
BAD_SESSIONS: dict[str, tuple[dict[str, Any], str]] = {
    **{name: bad for name, bad in BAD_REQUESTS.items() if not {"priority", "warmupBars"} & bad[0].keys()},
    "field that is misspelled": ({"stopLos": {"percent": 2}}, "stopLos"),
    "field of another request": ({"priority": 1}, "priority"),
    "no capital": ({"initialCapital": None}, "initialCapital"),
    "percents where a share is meant": ({"positionSizePercent": 2}, "positionSizePercent"),
    "stop of the wrong type": ({"stopLoss": 0.02}, "stopLoss"),
    "states never": ({"emitInterval": 0}, "emitInterval"),
    "no speed": ({"speed": 0}, "speed"),
}
BAD_RUNS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown symbol": ({"symbol": "NOSUCH"}, "symbol"),
    "symbol without letters": ({"symbol": "^"}, "symbol"),
    "unknown timeframe": ({"timeframe": "H7"}, "timeframe"),
    "timeframe without data": ({"timeframe": "M30"}, "timeframe"),
    "another variant": ({"variant": "turbo"}, "variant"),
    "range before all data": ({"start_date": "1999-01-01", "end_date": "1999-02-01"}, "end_date"),
    "start after end": ({"start_date": "2024-01-11"}, "start_date"),
    "date that is none": ({"end_date": "2024-02-30"}, "end_date"),
    "names of another request": ({"startDate": "2024-01-01"}, "startDate"),
    "no money": ({"initial_cash": 0}, "initial_cash"),
    "commission in percent": ({"commission": 1}, "commission"),
    "unknown strategy": ({"strategy_name": "astrology"}, "strategy_name"),
    "strategy of the wrong type": ({"strategy_name": ["sma"]}, "strategy_name"),
}


@dataclass
class Service:
    """The stack, all that is said on its channels, and one user's connection that lives through all tests."""

    stack: Stack
    wire: Told
    user: User
    pids: dict[str, int]
    logged: dict[str, int]
    refused: list[str]

    async def assert_unharmed(self, client: User | None = None) -> None:
        """The same processes, nothing in their logs that nobody foresaw, and a good backtest still completes."""
        client = client or self.user
        good = await client.submit(GOOD)
        assert (await client.told.end_of(good))[0] == "backtest:complete"
        assert {name: child.pid for name, child in self.stack.processes.items() if child.running} == self.pids
        for name, child in self.stack.processes.items():
            logged = child.log.read_text(errors="replace")
            since, self.logged[name] = self.logged.get(name, 0), len(logged)
            assert "Traceback" not in logged[since:], f"{name}: {logged[since:][-4_000:]}"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("bad-input")
    settings = load_settings(stack_dir=directory / "stack", cache_dir=directory / "cache", port=0, worker_slots=1)
    with Stack(settings, api_replicas=1, workers=2) as stack:
        yield stack


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(stack: Stack) -> AsyncIterator[Service]:
    await load_bars(stack, 300)
    pids = {name: child.pid for name, child in stack.processes.items()}
    async with overhear(stack.redis_url) as wire, User(stack.api_urls[0], stack.token(USER)) as user:
        service = Service(stack, wire, user, pids, {}, [])
        await service.assert_unharmed()
        yield service
        await service.assert_unharmed()
        errors = Counter(one.get("backtestId") for name, one in wire.messages if name == "backtest:error")
        assert {one: errors[one] for one in service.refused} == Counter(service.refused), "refused more than once"


# HTTP


async def _assert_refused(user: User, status: int, field: str | None, method: str, path: str, **options: Any) -> None:
    async with user.http.request(method, path, **options) as answer:
        problem = json.loads(await answer.read())
        assert answer.status == problem["status"] == status, problem
        assert answer.content_type == MEDIA_TYPE
    assert problem["title"]
    assert problem["detail"]
    assert problem["type"] == f"urn:backfleet:problem:{problem['code']}"
    if field is not None:
        assert field in [one["field"] for one in problem["errors"]], problem


@pytest.mark.parametrize("name", BAD_REQUESTS)
async def test_a_bad_request_over_http_is_refused_with_its_field(service: Service, name: str) -> None:
    changes, field = BAD_REQUESTS[name]
    await _assert_refused(service.user, 422, field, "POST", ROOT, json=GOOD | changes)
    await service.assert_unharmed()


async def test_a_bad_request_of_an_older_client_is_refused_with_its_field(service: Service) -> None:
    for path, good, bad in ((CREATE, GOOD_SESSION, BAD_SESSIONS), (RUN, GOOD_RUN, BAD_RUNS)):
        for changes, field in bad.values():
            await _assert_refused(service.user, 422, field, "POST", path, json=good | changes)
    await service.assert_unharmed()


BROKEN_TEXTS = {
    "nothing": b"",
    "broken JSON": b'{"symbol": "WALK", ',
    "a list": b"[1, 2]",
    "text": b'"text"',
    "null": b"null",
    "not a number": json.dumps(GOOD | {"initialCapital": float("nan")}).encode(),
    "nested too deeply": DEEP.encode(),
    "bytes that are no text": b"\xff\xfe\x00\x01",
    "text that is not UTF-8": json.dumps(GOOD).encode().replace(SYMBOL.encode(), b"W\xffLK"),
}


@pytest.mark.parametrize("path", [ROOT, "/api/algo/strategies/validate", CREATE, RUN])
@pytest.mark.parametrize("name", BROKEN_TEXTS)
async def test_a_body_that_cannot_be_read_is_refused(service: Service, path: str, name: str) -> None:
    await _assert_refused(service.user, 400, "$", "POST", path, data=BROKEN_TEXTS[name])
    await service.assert_unharmed()


ESTIMATE, AGENTS, LLM_KEYS = f"{ROOT}/estimate", "/api/agents", "/api/llm/keys"
GOOD_AGENT: dict[str, Any] = {"name": "Momentum", "model": "vendor/model", "prompt": "Trade with the trend."}
BAD_AGENTS: dict[str, tuple[dict[str, Any], str]] = {
    "no model": ({"model": ""}, "model"),
    "model of the wrong type": ({"model": ["vendor/model"]}, "model"),
    "name of half a character": ({"name": "\ud800"}, "name"),
    "name of an escape": ({"name": "\x1b[31mred"}, "name"),
    "name of nothing": ({"name": " \n"}, "name"),
    "parameter named with half a character": ({"parameters": {"\ud800": 1}}, "parameters"),
    "prompt of half a character": ({"prompt": "\ud800"}, "prompt"),
    "prompt with a null character": ({"prompt": "a\u0000"}, "prompt"),
    "prompt of 500,000": ({"prompt": "x" * 500_000}, "prompt"),
    "indicator that is none": ({"indicators": ["__import__('os') 1"]}, "indicators"),
    "interval of nothing": ({"decisionInterval": 0}, "decisionInterval"),
    "interval beyond all numbers": ({"decisionInterval": 2**70}, "decisionInterval"),
    "safety in words": ({"safetyMode": "perhaps"}, "safetyMode"),
    "stop at 1e308": ({"stopLossPercent": 1e308}, "stopLossPercent"),
    "number as text": ({"minConfidence": "0.5"}, "minConfidence"),
    "parameter that is none": ({"parameters": {"speed": 3}}, "parameters.speed"),
    "parameters nested deeply": ({"parameters": {"seed": NESTED}}, "parameters.seed"),
    "parameter of MongoDB's": ({"parameters": {"$where": 1}}, "parameters.$where"),
    "field that is misspelled": ({"promt": "x"}, "promt"),
}
BAD_KEYS: dict[str, tuple[str, dict[str, Any], str]] = {
    "provider that is no name": ("Open Router", {"key": "x"}, "provider"),
    "provider of 5,000": ("x" * 5_000, {"key": "x"}, "provider"),
    "no key": ("openai", {}, "key"),
    "key of two lines": ("openai", {"key": "a\r\nHost: b"}, "key"),
    "key of 5,000": ("openai", {"key": "x" * 5_000}, "key"),
    "key of the wrong type": ("openai", {"key": {"$ne": ""}}, "key"),
    "address of the machine itself": ("openai", {"key": "x", "baseUrl": "https://[::1]/v1"}, "baseUrl"),
    "address in other figures": ("openai", {"key": "x", "baseUrl": "https://2130706433/"}, "baseUrl"),
    **{
        f"address {url}": ("openai", {"key": "x", "baseUrl": url}, "baseUrl")
        for url in (
            *(
                "https://[::ffff:127.0.0.1]/",
                "https://[64:ff9b::7f00:1]/",
                "https://[fe80::1%25eth0]/",
                "https://[::]/",
            ),
            *("https://LOCALHOST./", "https://127.1/", "https://0177.0.0.1/", "https://0/", "https://a@127.0.0.1/"),
            *("https://169.254.169.254/latest", "https://metadata.google.internal/", "https://x/\r\nHost: y"),
            *(
                "https://ex.com#@127.0.0.1",
                "https://ex.com\\@127.0.0.1",
                "https://１２７.0.0.1/",
                "gopher://1.1.1.1:6379/_",
            ),
        )
    },
    "script": ("openai", {"key": "x", "baseUrl": "javascript:alert(1)"}, "baseUrl"),
}

BAD_TRADERS: list[tuple[dict[str, Any], str]] = [
    *(({"baseUrl": url}, "baseUrl") for url in ("https://127.0.0.1/v1", "http://models.example/v1", "https://ollama/")),
    *(({"temperature": number}, "temperature") for number in (1e308, -5e-324, "0.5", True)),
    *(({"maxCostUsd": number}, "maxCostUsd") for number in (1e308, -1, "5", None, 2**63 - 1)),
    *(({"knowledgeCutoff": day}, "knowledgeCutoff") for day in ("20250131", "2025-W05-5", "2025-02-30", 20250131)),
    *(({"every": number}, "every") for number in (0, 1.5, 2**62, "1")),
    ({"model": "\x1b[31m"}, "model"),
    ({"model": "m\u202e"}, "model"),
    ({"prompt": " \n"}, "prompt"),
    ({"indicators": ["ema 20; rm -rf /"]}, "indicators"),
    ({"indicators": ["ema 1e308"]}, "indicators"),
]


async def test_what_is_wrong_about_models_is_refused_with_its_field(service: Service) -> None:
    user = service.user
    for changes, field in BAD_AGENTS.values():
        await _assert_refused(user, 422, field, "POST", AGENTS, data=json.dumps(GOOD_AGENT | changes))
    for provider, body, field in BAD_KEYS.values():
        await _assert_refused(user, 422, field, "PUT", f"{LLM_KEYS}/{provider}", data=json.dumps(body))
    for changes, field in BAD_REQUESTS.values():
        await _assert_refused(user, 422, field, "POST", ESTIMATE, data=json.dumps(GOOD | changes))
    for changes, name in BAD_TRADERS:
        body = GOOD | {"strategies": ["ai_trader"], "strategyParams": {"ai_trader": {"model": "m"} | changes}}
        for path in (ROOT, ESTIMATE):
            await _assert_refused(user, 422, f"strategyParams.ai_trader.{name}", "POST", path, data=json.dumps(body))
    for body in ({"name": "\ud800", "password": "x"}, {"name": "a", "password": "\ud800"}):
        await _assert_refused(user, 422, None, "POST", "/api/auth/login", data=json.dumps(body))
    unknown = {name: value for name, value in GOOD.items() if name not in ("strategies", "strategyParams")}
    for path in (ROOT, ESTIMATE):
        for agent_id in ("ag_none", "../etc", {"$ne": 1}):
            await _assert_refused(user, 422, "agentId", "POST", path, json=unknown | {"agentId": agent_id})
    for path in (AGENTS, ESTIMATE):
        for text in BROKEN_TEXTS.values():
            await _assert_refused(user, 400, "$", "POST", path, data=text)
    await service.assert_unharmed()


@pytest.mark.parametrize("path", [ROOT, "/api/algo/strategies/validate", CREATE, RUN])
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "in chunks"])
async def test_a_body_of_5_mb_is_refused(service: Service, path: str, announced: bool) -> None:
    body = json.dumps(GOOD | {"note": "x" * FIVE_MB}).encode()

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    await _assert_refused(service.user, 413, None, "POST", path, data=io.BytesIO(body) if announced else chunks())
    await service.assert_unharmed()


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("?limit=0", "limit"),
        ("?limit=many", "limit"),
        ("?cursor=nonsense", "cursor"),
        ("?status=asleep", "status"),
        ("/ID/equity?maxPoints=1", "maxPoints"),
        ("/ID/trades?limit=-1", "limit"),
        ("/ID/trades?offset=99999999999999999999", "offset"),
        ("/ID/logs?limit=0", "limit"),
        ("/ID/logs?after=-1", "after"),
        ("/ID/logs?after=the_first", "after"),
        ("/ID/decisions?limit=501", "limit"),
        ("/ID/decisions?after=-2", "after"),
        ("/ID/decisions?context=perhaps", "context"),
    ],
)
async def test_a_bad_query_is_refused_with_its_field(service: Service, path: str, field: str) -> None:
    backtest_id = await service.user.submit(GOOD)
    await service.user.told.end_of(backtest_id)
    await _assert_refused(service.user, 422, field, "GET", ROOT + path.replace("ID", backtest_id))
    await service.assert_unharmed()


# Of a backtest that is paused, so that all but these would be done.
BAD_COMMANDS: dict[str, tuple[str, Any, str]] = {
    "speed that is none": ("speed", {}, "speed"),
    "speed of nothing": ("speed", {"speed": 0}, "speed"),
    "speed of a word": ("speed", {"speed": "fast"}, "speed"),
    "speed without end": ("speed", {"speed": 1e300}, "speed"),
    "speed of the wrong type": ("speed", {"speed": [1]}, "speed"),
    "no steps": ("step", {"bars": 0}, "bars"),
    "half a step": ("step", {"bars": 1.5}, "bars"),
    "steps beyond all numbers": ("step", {"bars": 2**70}, "bars"),
    "seek to nowhere": ("seek", {}, "$"),
    "seek to two places": ("seek", {"bar": 1, "time": "2024-01-02"}, "$"),
    "seek before the first bar": ("seek", {"bar": -1}, "bar"),
    "seek to a day that is none": ("seek", {"time": "2024-02-30"}, "time"),
    "seek out of the range": ("seek", {"time": "1999-01-01"}, "time"),
    "stop in words": ("stop", {"closeOpenTrades": "perhaps"}, "closeOpenTrades"),
    "field of another action": ("resume", {"bars": 3}, "bars"),
    "unknown field": ("step", {"bar_s": 3}, "bar_s"),
    "id of a command that is none": ("resume", {"commandId": "a b\u0000"}, "commandId"),
    "id of a command of 5,000": ("resume", {"commandId": "x" * 5_000}, "commandId"),
}


async def _paused(service: Service) -> str:
    return await service.user.submit(GOOD | {"startPaused": True})


async def test_a_bad_command_is_refused_with_its_field_by_every_edge(service: Service) -> None:
    backtest_id = await _paused(service)
    async with _frames(service) as ask:
        for name, (action, body, field) in BAD_COMMANDS.items():
            path = f"{ROOT}/{backtest_id}/{action}"
            await _assert_refused(service.user, 422, None if field == "$" else field, "POST", path, json=body)
            ack = await service.user.call("backtest:control", {"backtestId": backtest_id, "action": action, **body})
            assert ack["ok"] is False, name
            assert field in [one["field"] for one in ack["errors"]], (name, ack)
            answer = await ask({"action": "control", "backtest_id": backtest_id, "command": {"action": action, **body}})
            assert answer["type"] == "error", (name, answer)
            where = "command" if field == "$" else f"command.{field}"
            assert where in [one["field"] for one in answer["errors"]], (name, answer)
    for action, status in (("pause", 409), ("dance", 404)):
        await _assert_refused(service.user, status, None, "POST", f"{ROOT}/{backtest_id}/{action}")
    async with service.user.http.get(f"{ROOT}/{backtest_id}") as answer:
        assert (await answer.json())["status"] == "paused", "none of it was done"
    await _assert_refused(service.user, 409, None, "POST", f"{ROOT}/{await _ended(service)}/resume")
    async with service.user.http.delete(f"{ROOT}/{backtest_id}") as answer:
        assert answer.status == 204
    await service.assert_unharmed()


async def _ended(service: Service) -> str:
    backtest_id = await service.user.submit(GOOD)
    await service.user.told.end_of(backtest_id)
    return backtest_id


@asynccontextmanager
async def _frames(service: Service) -> AsyncIterator[Callable[[Any], Awaitable[dict[str, Any]]]]:
    """A plain WebSocket of the user: sends a frame, as it is where it is text or bytes, and answers what comes."""
    url = service.stack.api_urls[0].replace("http", "ws", 1) + "/ws"
    token = {"Authorization": f"Bearer {service.stack.token(USER)}"}
    async with connect(url, additional_headers=token, proxy=None) as ws:

        async def ask(frame: Any) -> dict[str, Any]:
            await ws.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))
            async with asyncio.timeout(DEADLINE_S):
                return json.loads(await ws.recv())

        yield ask


BAD_FRAMES: dict[str, Any] = {
    "nothing": "",
    "broken JSON": '{"action":',
    "a list": [],
    "a number": 7,
    "not a number": '{"action":"subscribe","topic":NaN}',
    "nested too deeply": DEEP,
    "no action": {},
    "an unknown action": {"action": "dance"},
    "an action of the wrong type": {"action": ["subscribe"]},
    "no topic": {"action": "subscribe"},
    "an unknown topic": {"action": "subscribe", "topic": "everything"},
    "a topic of nothing": {"action": "subscribe", "topic": "backtest:"},
    "a topic of somebody else's": {"action": "subscribe", "topic": "backtest:bt_nosuch"},
    "a session of nothing": {"action": "subscribe", "topic": "session:"},
    "a session of somebody else's": {"action": "subscribe", "topic": "session:bt_nosuch"},
    "a session with half a character": '{"action":"subscribe","topic":"session:\\ud800"}',
    "a position to close that is none": {
        "action": "control",
        "backtest_id": "bt_1",
        "command": {"action": "stop", "close_position": {"$ne": 1}},
    },
    "a topic with a null character": {"action": "subscribe", "topic": "backtest:a\u0000"},
    "a topic of the wrong type": {"action": "subscribe", "topic": {"$ne": 1}},
    "a cursor of words": {"action": "subscribe", "topic": "backtest:bt_1", "after": {"epoch": "1", "seq": 1}},
    "a cursor beyond all": {"action": "subscribe", "topic": "backtest:bt_1", "after": {"epoch": 2**70, "seq": 1}},
    "a cursor of a wide topic": {"action": "subscribe", "topic": "backtest", "after": {"epoch": 1, "seq": 1}},
    "a field too many": {"action": "subscribe", "topic": "backtest", "loudly": True},
    "an unknown encoding": {"action": "authenticate", "encoding": "morse"},
    "a token that is none": {"action": "authenticate", "token": 5},
    "a command without a backtest": {"action": "control", "command": {"action": "pause"}},
    "no command": {"action": "control", "backtest_id": "bt_1"},
    "a command of text": {"action": "control", "backtest_id": "bt_1", "command": "pause"},
    "a command for nobody's": {"action": "control", "backtest_id": "bt_nosuch", "command": {"action": "pause"}},
    "bytes that are no msgpack": b"\xc1",
    "half of a msgpack": b"\x82\xa6action",
    "a list that claims to be long": b"\xdd\xff\xff\xff\xff",
    "a map that claims to be long": b"\xdf\xff\xff\xff\xff\xa1a",
    "a kind of one's own": b"\xd4\x05\x00",
    "a number that is none": b"\x81\xa6action\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",
}


async def test_a_bad_frame_is_answered_with_an_error_and_closes_nothing(service: Service) -> None:
    async with _frames(service) as ask:
        for name, frame in BAD_FRAMES.items():
            answer = await ask(frame)
            assert answer["type"] == "error", (name, answer)
            assert answer["errors"], (name, answer)
        assert (await ask({"action": "subscribe", "topic": "logs"}))["type"] == "subscription_confirmed"
    await service.assert_unharmed()


async def test_a_frame_of_5_mb_ends_only_the_socket_that_sent_it(service: Service) -> None:
    with pytest.raises(ConnectionClosed) as closed:
        async with _frames(service) as ask:
            await ask("x" * FIVE_MB)
    assert closed.value.rcvd is None or closed.value.rcvd.code == 1009
    await service.assert_unharmed()


@pytest.mark.parametrize("backtest_id", ["bt_nosuch", "%00", "%FF", "%ED%A0%80", "$where", "x" * 5_000, "a%2Fb"])
async def test_an_id_of_nothing_is_not_found(service: Service, backtest_id: str) -> None:
    for method, rest in [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/stop"),
        ("GET", "/result"),
        ("GET", "/equity"),
        ("GET", "/trades"),
    ]:
        await _assert_refused(service.user, 404, None, method, f"{ROOT}/{backtest_id}{rest}")
    for method, rest in [("GET", ""), ("DELETE", ""), ("POST", "/start"), ("POST", "/stop")]:
        await _assert_refused(service.user, 404, None, method, f"/api/backtest/{backtest_id}{rest}")
    await service.assert_unharmed()


def _bad_tokens(stack: Stack) -> dict[str, str]:
    assert stack.settings.jwt_secret is not None
    secret = stack.settings.jwt_secret.get_secret_value()
    claims = {"sub": USER, "exp": int(time.time()) + 3600}
    return {
        "expired": jwt.encode(claims | {"exp": int(time.time()) - 3600}, secret, algorithm="HS256"),
        "of another secret": jwt.encode(claims, "another secret of more than 32 bytes, at least", algorithm="HS256"),
        "unsigned": jwt.encode(claims, "", algorithm="none"),
        "without user": jwt.encode({"exp": claims["exp"]}, secret, algorithm="HS256"),
        "without end": jwt.encode({"sub": USER}, secret, algorithm="HS256"),
        "no token at all": "nonsense",
        "too long": "x" * 10_000,
    }


ENDPOINTS = [
    ("POST", ROOT),
    ("GET", ROOT),
    ("GET", f"{ROOT}/ID"),
    ("DELETE", f"{ROOT}/ID"),
    *(("POST", f"{ROOT}/ID/{action}") for action in ("pause", "resume", "stop", "step")),
    ("GET", f"{ROOT}/ID/result"),
    ("GET", f"{ROOT}/ID/equity"),
    ("GET", f"{ROOT}/ID/trades"),
    ("GET", "/api/algo/strategies"),
    ("POST", "/api/algo/strategies/validate"),
    ("GET", "/api/algo/data"),
    *(("POST", CREATE), ("POST", RUN), ("GET", "/api/backtest")),
    *(("GET", "/api/backtest/ID"), ("DELETE", "/api/backtest/ID"), ("POST", "/api/backtest/ID/start")),
]


async def test_without_a_valid_token_nothing_can_be_done_over_http(service: Service) -> None:
    backtest_id = await service.user.submit(GOOD)
    await service.user.told.end_of(backtest_id)
    headers = [{"Authorization": f"Bearer {token}"} for token in _bad_tokens(service.stack).values()]
    headers += [{"Authorization": ""}, {"Authorization": "Bearer"}, {"Authorization": "Basic YW5uOmFubg=="}]
    for header in headers:
        for method, path in ENDPOINTS:
            await _assert_refused(service.user, 401, None, method, path.replace("ID", backtest_id), headers=header)
    assert (await service.user.read(f"{ROOT}/{backtest_id}"))["status"] == "completed"
    await service.assert_unharmed()


async def test_the_token_of_another_user_opens_nothing_of_this_one(service: Service) -> None:
    backtest_id = await service.user.submit(GOOD)
    await service.user.told.end_of(backtest_id)
    async with User(service.stack.api_urls[0], service.stack.token(OTHER)) as other:
        for method, path in ENDPOINTS:
            if "ID" in path:
                field = "backtestId" if path.startswith(ROOT) else "sessionId"
                await _assert_refused(other, 404, field, method, path.replace("ID", backtest_id))
        assert await other.read(ROOT) == {"items": [], "nextCursor": None}
        ack = await other.call("backtest:subscribe", {"backtestId": backtest_id})
        assert [one["field"] for one in ack["errors"]] == ["backtestId"]
        await service.assert_unharmed()
        assert other.told.messages == []
    assert (await service.user.read(f"{ROOT}/{backtest_id}/result"))["backtestId"] == backtest_id


# Socket.IO

SOCKET_EVENTS = ["backtest:start", "backtest:subscribe", "backtest:unsubscribe", "backtest:control", "backtest:nosuch"]
BAD_PAYLOADS: dict[str, Any] = {
    "nothing": None,
    "an empty object": {},
    "a list": [1, 2, {"backtestId": "x"}],
    "text": "bt_1",
    "a number": 7,
    "a truth": True,
    "an object nested deeply": NESTED,
    "an object as id": {"backtestId": {"$gt": ""}, "symbol": {"$gt": ""}},
    "half a character as id": {"backtestId": "\ud800", "symbol": "\ud800"},
    "a huge text": "x" * 900_000,
    "a huge id": {"backtestId": "x" * 450_000, "symbol": "x" * 450_000},
    "bytes": b"\x00\xff" * 100,
    "bytes as id": {"backtestId": b"\xff", "symbol": b"\xff"},
}


@pytest.mark.parametrize("event", SOCKET_EVENTS)
async def test_a_bad_payload_of_a_socket_event_is_answered_with_its_fields(service: Service, event: str) -> None:
    for name, payload in BAD_PAYLOADS.items():
        ack = await service.user.call(event, payload)
        assert ack["ok"] is False, (name, ack)
        assert all(one["field"] and one["message"] and one["code"] for one in ack["errors"]), (name, ack)
        assert ack["errors"], name
    await service.assert_unharmed()


@pytest.mark.parametrize("name", BAD_REQUESTS)
async def test_a_bad_request_over_a_socket_is_refused_with_its_field(service: Service, name: str) -> None:
    changes, field = BAD_REQUESTS[name]
    ack = await service.user.call("backtest:start", GOOD | changes)
    assert ack["ok"] is False
    assert field in [one["field"] for one in ack["errors"]], ack
    await service.assert_unharmed()


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"backtestId": "bt_nosuch"}, "backtestId"),
        ({"backtestId": "bt_nosuch", "after": 3}, "after"),
        ({"backtestId": "bt_nosuch", "after": {"epoch": "1", "seq": 1}}, "after.epoch"),
        ({"backtestId": "bt_nosuch", "after": {"epoch": 1, "seq": -1}}, "after.seq"),
        ({"after": {"epoch": 1, "seq": 1}}, "backtestId"),
    ],
)
async def test_a_bad_subscription_is_refused_with_its_field(service: Service, payload: object, field: str) -> None:
    ack = await service.user.call("backtest:subscribe", payload)
    assert ack["ok"] is False
    assert field in [one["field"] for one in ack["errors"]], ack
    await service.assert_unharmed()


BROKEN_PACKETS = {
    "broken JSON": '2["backtest:start",{"symbol":',
    "an object": "2{}",
    "an empty list": "2[]",
    "a name that is a number": "2[1]",
    "nested too deeply": f'2["backtest:start",{DEEP}',
    "not a number": '2["backtest:start",NaN]',
    "a reserved name": '2["disconnect"]',
    "a second connect": '0{"token":"x"}',
    "an answer to nothing": "399[1]",
    "attachments that never come": '5999-["backtest:start",{"_placeholder":true,"num":0}]',
    "an unknown type": "9",
    "text": "hello",
    "bytes": b"\xff\xfe",
}


@pytest.mark.parametrize("name", BROKEN_PACKETS)
async def test_a_broken_packet_harms_not_even_its_own_connection(service: Service, name: str) -> None:
    async with User(service.stack.api_urls[0], service.stack.token(USER)) as client:
        await client.socket.eio.send(BROKEN_PACKETS[name])
        await service.assert_unharmed(client)
        assert client.socket.connected
    await service.assert_unharmed()


async def test_a_message_of_5_mb_ends_only_the_connection_that_sent_it(service: Service) -> None:
    async with User(service.stack.api_urls[0], service.stack.token(USER)) as client:
        await client.socket.emit("backtest:start", "x" * FIVE_MB)
        async with asyncio.timeout(DEADLINE_S):
            await client.socket.wait()
        assert not client.socket.connected
    await service.assert_unharmed()


async def test_a_socket_without_a_valid_token_is_refused_with_the_reason(service: Service) -> None:
    refusals = {name: {"token": token} for name, token in _bad_tokens(service.stack).items()}
    refusals |= {"none": {}, "null": {"token": None}, "a number": {"token": 7}}
    for name, auth in refusals.items():
        client = socketio.AsyncClient(handle_sigint=False, reconnection=False)
        reasons: list[dict[str, Any]] = []
        client.on("connect_error", reasons.append)
        with pytest.raises(SocketRefused):
            await client.connect(service.stack.api_urls[0], auth=auth, transports=["websocket"], retry=False)
        assert not client.connected, name
        assert [one["message"].partition(":")[0] for one in reasons] == ["unauthenticated"], name
        await client.shutdown()
    await service.assert_unharmed()


# Redis


async def _publish(service: Service, channel: str, payload: bytes) -> None:
    async with Redis.from_url(service.stack.redis_url) as outsider:
        assert await outsider.publish(channel, payload) > 0, "nobody listens"


async def _only_error_of(service: Service, backtest_id: str, payload: bytes) -> dict[str, Any]:
    """Publishes a task, waits until it was refused and a good backtest has run since. The one error said of it."""
    before = len(service.wire.messages)

    def said() -> list[dict[str, Any]]:
        since = service.wire.messages[before:]
        return [one for name, one in since if name == "backtest:error" and one["backtestId"] == backtest_id]

    await _publish(service, "backtest:task", payload)
    await service.wire.first(lambda *_: bool(said()))
    await service.assert_unharmed()
    [error] = said()
    service.refused.append(backtest_id)
    assert (error["status"], bool(error["error"]), bool(error["timestamp"])) == ("error", True, True)
    return error


@pytest.mark.parametrize("name", BAD_REQUESTS)
async def test_a_bad_task_from_outside_is_answered_with_one_error(service: Service, name: str) -> None:
    changes, field = BAD_REQUESTS[name]
    backtest_id = f"bt_{name.replace(' ', '_')}"
    task: dict[str, Any] = {"backtestId": backtest_id, "userId": USER, "params": GOOD | changes}
    if "priority" in changes:
        task |= changes
    error = await _only_error_of(service, backtest_id, json.dumps(task).encode())
    assert error["userId"] == USER
    path = field if field in ("priority", "$") else f"params.{field}"
    assert path in [one["field"] for one in error.get("errors", [])], error
    assert (await service.user.told.end_of(backtest_id))[1] == error


BAD_TASKS: dict[str, tuple[str, bytes]] = {
    **{name: (UNREADABLE, text) for name, text in BROKEN_TEXTS.items()},
    "an empty object": (UNREADABLE, b"{}"),
    "no user": ("bt_1", json.dumps({"backtestId": "bt_1", "params": GOOD}).encode()),
    "no params": ("bt_2", json.dumps({"backtestId": "bt_2", "userId": USER}).encode()),
    "no id": (UNREADABLE, json.dumps({"userId": USER, "params": GOOD}).encode()),
    "an agent, which only gateways know": (
        "bt_8",
        json.dumps(
            {
                "backtestId": "bt_8",
                "userId": USER,
                "params": GOOD | {"strategies": ["ai_trader"], "strategyParams": {}, "agentId": "ag_1"},
            }
        ).encode(),
    ),
    "an id that is no name": ("../etc", json.dumps({"backtestId": "../etc", "userId": USER, "params": GOOD}).encode()),
    "an id with a space": ("a b", json.dumps({"backtestId": "a b", "userId": USER, "params": GOOD}).encode()),
    "not a number in a task": (
        "bt_nan",
        json.dumps(
            {"backtestId": "bt_nan", "userId": USER, "params": GOOD | {"initialCapital": float("nan")}}
        ).encode(),
    ),
    "params of the wrong type": ("bt_3", json.dumps({"backtestId": "bt_3", "userId": USER, "params": [GOOD]}).encode()),
    "half a character as id": (
        UNREADABLE,
        json.dumps({"backtestId": "\ud800", "userId": "\udfff", "params": GOOD}).encode(),
    ),
    "half a character as symbol": (
        "bt_4",
        json.dumps({"backtestId": "bt_4", "userId": USER, "params": GOOD | {"symbol": "\ud800"}}).encode(),
    ),
    "5 MB that are no JSON": (UNREADABLE, b"x" * FIVE_MB),
    "5 MB of symbol": (
        "bt_5",
        json.dumps({"backtestId": "bt_5", "userId": USER, "params": GOOD | {"symbol": "x" * FIVE_MB}}).encode(),
    ),
    "1 MB of unknown parameters": (
        "bt_7",
        json.dumps(
            {
                "backtestId": "bt_7",
                "userId": USER,
                "params": GOOD | {"strategyParams": {"sma": {f"s{number}": number for number in range(50_000)}}},
            }
        ).encode(),
    ),
    "5 MB of wrong parameters": (
        "bt_6",
        json.dumps(
            {
                "backtestId": "bt_6",
                "userId": USER,
                "params": GOOD | {"strategyParams": {f"s{number}": number for number in range(300_000)}},
            }
        ).encode(),
    ),
}


@pytest.mark.parametrize("name", BAD_TASKS)
async def test_a_task_that_cannot_be_read_is_answered_with_one_error(service: Service, name: str) -> None:
    backtest_id, payload = BAD_TASKS[name]
    error = await _only_error_of(service, backtest_id, payload)
    assert error["userId"] in (USER, UNREADABLE)
    assert error["errors"], "no field is named"
    assert len(json.dumps(error)) < 100_000, "the answer to a mistake must be short enough to read"
    if error["userId"] == USER and backtest_id != UNREADABLE:
        assert (await service.user.told.end_of(backtest_id))[1] == error


async def test_a_task_with_the_id_of_another_user_changes_nothing_of_theirs(service: Service) -> None:
    backtest_id = await service.user.submit(GOOD)
    await service.user.told.end_of(backtest_id)
    before = await service.user.read(f"{ROOT}/{backtest_id}")
    task = {"backtestId": backtest_id, "userId": OTHER, "params": GOOD}
    await _publish(service, "backtest:task", json.dumps(task).encode())
    await service.assert_unharmed()
    assert await service.user.read(f"{ROOT}/{backtest_id}") == before
    assert service.user.told.of(backtest_id)[-1][0] == "backtest:complete"


GARBAGE: list[bytes] = [
    *BROKEN_TEXTS.values(),
    b"{}",
    b"x" * FIVE_MB,
    json.dumps({"backtestId": 7, "userId": USER}).encode(),
    json.dumps({"backtestId": "\ud800", "userId": USER, "progress": 1, "message": "", "currentDate": ""}).encode(),
    json.dumps({"backtestId": "bt_g", "userId": USER, "progress": "50", "message": [], "currentDate": 3}).encode(),
    json.dumps({"backtestId": "bt_g", "userId": USER, "type": "nosuch", "data": []}).encode(),
    json.dumps({"backtestId": "bt_g", "userId": USER, "status": "success", "resultId": 1, "summary": None}).encode(),
    json.dumps({"backtestId": "bt_g", "userId": USER, "status": "perhaps", "error": "\x00", "timestamp": 0}).encode(),
]


@pytest.mark.parametrize(
    "channel", ["backtest:progress", "backtest:complete", "backtest:error", "backtest:event", "backtest:control"]
)
async def test_garbage_on_a_channel_is_told_to_nobody_and_harms_nobody(service: Service, channel: str) -> None:
    before = len(service.user.told.messages)
    async with Redis.from_url(service.stack.redis_url) as outsider:
        for payload in GARBAGE:
            await outsider.publish(channel, payload)
    good = await service.user.submit(GOOD)
    await service.user.told.end_of(good)
    since = service.user.told.messages[before:]
    assert {one["backtestId"] for name, one in since if name != "backtest:refused"} == {good}
    # Of a command whose ids can be read, whoever it names is told that it was none.
    refused = {one["backtestId"] for name, one in since if name == "backtest:refused"}
    assert refused <= ({"bt_g"} if channel == "backtest:control" else set())
    await service.assert_unharmed()
