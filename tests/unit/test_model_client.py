"""What the client makes of a model's server: of each way to misbehave, on a real server on loopback."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address
from typing import Any

import pytest
from aiohttp import web

from shared.errors import ConfigurationError
from shared.llm_urls import is_public
from shared.trader.answer import AnswerUnusable, read_answer
from shared.trader.parameters import ModelSettings
from tests.model_server import (
    HOLD,
    Asked,
    ModelServer,
    Trick,
    always,
    compressed,
    declining,
    endless,
    failing,
    failing_inside,
    hanging_up,
    in_turn,
    replying,
    saying,
    serving,
    silent,
    without_choices,
)
from worker.model_client import TRIES_MAX, Answer, ModelClient
from worker.model_replies import ModelFailed, ModelRefused, Spent, read_reply, retry_after_s

KEY = "sk-or-v1-0123456789abcdef0123456789abcdef"
LONG = json.dumps({**HOLD, "action": "LONG", "stopLossPrice": 95.0})


class Pauses:
    """Waits for nothing, and remembers what was to be waited for."""

    def __init__(self) -> None:
        self.waited_s: list[float] = []

    async def __call__(self, wait_s: float) -> None:
        self.waited_s.append(wait_s)


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with serving(ModelServer()) as server:
        yield server


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
async def client(pauses: Pauses) -> AsyncIterator[ModelClient]:
    async with ModelClient(private_urls=True, sleep=pauses) as one:
        yield one


async def ask(
    client: ModelClient, server: ModelServer, *, deadline_s: float = 30.0, usable: Any = read_answer, **settings: Any
) -> Answer:
    given = {"provider": "openrouter", "base_url": server.base_url, "model": "scripted/one", **settings}
    return await client.ask(ModelSettings(**given), KEY, "system", "user", deadline_s, usable)


async def failure_of(client: ModelClient, model: ModelServer, **settings: Any) -> ModelFailed:
    with pytest.raises(ModelFailed) as failed:
        await ask(client, model, **settings)
    return failed.value


async def test_a_question_is_asked_once_with_all_it_depends_on(client: ModelClient, model: ModelServer) -> None:
    answer = await ask(client, model, temperature=0.5, max_tokens=300, seed=7)
    assert read_answer(answer.raw).action == "HOLD"
    assert (answer.tokens_in, answer.tokens_out, answer.cost_usd, answer.format) == (100, 20, 0.001, "json_schema")
    assert answer.latency_ms > 0
    [asked] = model.asked
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    schema = asked.body.pop("response_format")["json_schema"]
    assert (schema["strict"], schema["schema"]["additionalProperties"]) == (True, False)
    assert asked.body == {
        "model": "scripted/one",
        "messages": [{"role": "system", "content": "system"}, {"role": "user", "content": "user"}],
        "max_tokens": 300,
        "temperature": 0.5,
        "seed": 7,
        "provider": {"require_parameters": True, "allow_fallbacks": False},
        "usage": {"include": True},
    }


async def test_other_providers_are_asked_in_their_own_words(client: ModelClient, model: ModelServer) -> None:
    answer = await ask(client, model, provider="openai")
    assert answer.cost_usd is None
    await ask(client, model, provider="local")
    openai, local = (set(asked.body) for asked in model.asked)
    assert openai == {"model", "messages", "max_completion_tokens", "response_format"}
    assert local == {"model", "messages", "max_tokens", "response_format"}


async def test_nothing_of_the_environment_is_sent_along(
    client: ModelClient, model: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "authorization: Bearer ambient\nX-Ambient: yes")
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "ambient")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    settings = ModelSettings("local", model.base_url, "scripted/one")
    await client.ask(settings, "", "system", "user", 30.0)
    await client.ask(settings, KEY, "system", "user", 30.0)
    assert [asked.headers["Authorization"] for asked in model.asked] == ["Bearer none", f"Bearer {KEY}"]
    sent = {"host", "content-type", "content-length", "accept", "authorization", "user-agent", "accept-encoding"}
    assert all({name.lower() for name in asked.headers} <= sent for asked in model.asked)


@pytest.mark.parametrize("known", ["json_object", "prompt"])
async def test_a_form_that_is_not_known_gives_way_and_is_remembered(
    client: ModelClient, model: ModelServer, known: str, pauses: Pauses
) -> None:
    model.formats = (known,)
    tried = ["json_schema", "json_object", "prompt"]
    tried = tried[: tried.index(known) + 1]
    assert (await ask(client, model)).format == known
    assert (await ask(client, model)).format == known
    assert [asked.format for asked in model.asked] == [*tried, known]
    assert pauses.waited_s == []
    await ask(client, model, model="scripted/two")
    assert model.asked[-len(tried)].format == "json_schema"


async def test_a_form_that_was_refused_for_another_reason_is_tried_again(
    client: ModelClient, model: ModelServer
) -> None:
    model.plan = in_turn(failing(400, "Provider returned error"))
    assert (await ask(client, model)).format == "json_object"
    assert (await ask(client, model)).format == "json_schema"


async def test_parameters_that_no_endpoint_takes_are_no_missing_model(client: ModelClient, model: ModelServer) -> None:
    no_endpoint = failing(404, "No endpoints found that can handle the requested parameters.")
    model.plan = in_turn(no_endpoint)
    assert (await ask(client, model)).format == "json_object"
    model.plan = always(no_endpoint)
    with pytest.raises(ModelRefused, match="not temperature or seed"):
        await ask(client, model, model="scripted/two", temperature=1.0)


PASSING: dict[str, Trick] = {
    "rate limited": failing(429, headers={"Retry-After": "3"}),
    "down": failing(503),
    "bad gateway, a page": replying("<html>502</html>", 502),
    "timed out": failing(408),
    "error body with 200": failing_inside(502, "upstream"),
    "error body with 200, a number as text": failing_inside("429"),
    "error body with 200, without a number": failing_inside(None),
    "error in a choice": saying("", error={"code": 502, "message": "broke off"}, finish_reason="error"),
    "broke off": saying("{", finish_reason="error"),
    "no choice": without_choices(),
    "choices are null": replying({"choices": None}),
    "nothing said": saying(""),
    "null said": saying(None),
    "no JSON": replying("<html>"),
    "a list": replying([]),
    "hangs up": hanging_up(),
}


@pytest.mark.parametrize("trick", PASSING.values(), ids=PASSING)
async def test_what_may_pass_is_asked_again_a_few_times(
    client: ModelClient, model: ModelServer, trick: Trick, pauses: Pauses
) -> None:
    model.plan = in_turn(trick, trick)
    assert read_answer((await ask(client, model)).raw).action == "HOLD"
    assert len(model.asked) == 3
    assert len(pauses.waited_s) == 2
    model.plan = always(trick)
    failed = await failure_of(client, model)
    assert f"asked {TRIES_MAX} times" in failed.message
    assert len(model.asked) == 3 + TRIES_MAX
    assert failed.message.isascii()
    assert len(failed.message) < 300


REFUSED: dict[str, tuple[Trick, str]] = {
    "wrong key": (failing(401, f"Incorrect API key provided: {KEY}"), "key is not accepted"),
    "no money": (failing(402, "Insufficient credits"), "no money"),
    "no quota": (failing(429, "You exceeded your quota", type="insufficient_quota"), "no money"),
    "forbidden": (failing(403, "Not for this key"), "may not do this"),
    "no such model": (failing(404, "No such model"), "no such model"),
    "not a model": (failing(400, "scripted/one is not a valid model ID"), "no such model"),
    "no such model, with 200": (failing_inside(404, "No such model"), "no such model"),
    "no such page": (replying("<html>404</html>", 404), "no such model"),
    "no temperature": (
        failing(400, "'temperature' does not support 0.3 with this model.", param="temperature", type="invalid"),
        "leave temperature out",
    ),
    "other words for tokens": (
        failing(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens'.", param="max_tokens"),
        "name openai as the provider",
    ),
    "leads elsewhere": (replying("", 307, {"Location": "http://127.0.0.1:1/v1"}), "leads elsewhere"),
}


@pytest.mark.parametrize(("trick", "reason"), REFUSED.values(), ids=REFUSED)
async def test_what_will_never_do_is_refused_at_once(
    client: ModelClient, model: ModelServer, trick: Trick, reason: str, pauses: Pauses
) -> None:
    model.plan = always(trick)
    with pytest.raises(ModelRefused, match=reason) as refused:
        await ask(client, model)
    assert len(model.asked) == 1
    assert pauses.waited_s == []
    assert KEY not in refused.value.message


FAILED: dict[str, tuple[Trick, str]] = {
    "declines": (declining("I \x1b[31mwill\nnot."), r"declines to answer: I \[31mwill not\."),
    "withheld": (saying(LONG, finish_reason="content_filter"), "content filter"),
    "moderated": (failing(403, "flagged", metadata={"reasons": ["violence"]}), "moderation"),
    "cut off": (saying(LONG[:30], finish_reason="length"), "cut off after 2000 tokens"),
    "nothing but thoughts": (saying("", finish_reason="length"), "cut off"),
    "too long a question": (failing(400, "maximum context length is 8192 tokens"), "is refused"),
    "too large a question": (failing(413), "is refused"),
    "endless": (endless(), "more than 2,000,000 bytes"),
    "compressed": (compressed(LONG), "is compressed"),
}


@pytest.mark.parametrize(("trick", "reason"), FAILED.values(), ids=FAILED)
async def test_what_would_end_the_same_again_is_not_asked_again(
    client: ModelClient, model: ModelServer, trick: Trick, reason: str
) -> None:
    model.plan = always(trick)
    failed = await failure_of(client, model)
    assert len(model.asked) == 1
    assert re.search(reason, failed.message), failed.message
    assert failed.message.isascii()


async def test_a_question_that_is_refused_in_every_form_is_given_up(client: ModelClient, model: ModelServer) -> None:
    model.plan = always(failing(400, "temperature must be 1"))
    assert "temperature must be 1" in (await failure_of(client, model)).message
    assert [asked.format for asked in model.asked] == ["json_schema", "json_object", "prompt"]


async def test_an_answer_that_was_cut_off_after_its_end_is_one(client: ModelClient, model: ModelServer) -> None:
    model.plan = always(saying(LONG, finish_reason="length"))
    assert (await ask(client, model)).raw == LONG
    assert len(model.asked) == 1


@pytest.mark.parametrize("form", ["json_schema", "json_object", "prompt"])
async def test_an_unusable_answer_is_repaired_once(client: ModelClient, model: ModelServer, form: str) -> None:
    model.formats = (form,)
    model.rule = lambda asked: HOLD if asked.repairs else "I would buy."
    answer = await ask(client, model)
    assert read_answer(answer.raw).action == "HOLD"
    assert (answer.tokens_in, answer.tokens_out, answer.cost_usd) == (200, 40, 0.002)
    said, told = model.asked[-1].body["messages"][2:]
    assert said == {"role": "assistant", "content": "I would buy."}
    assert "no JSON: 'I would buy.'" in told["content"]


async def test_what_is_unusable_also_then_is_given_back_as_it_was_said(client: ModelClient, model: ModelServer) -> None:
    model.rule = lambda asked: f"No. {len(model.asked)}"
    answer = await ask(client, model)
    assert (answer.raw, len(model.asked)) == ("No. 2", 2)


async def test_who_asks_says_what_is_usable(client: ModelClient, model: ModelServer) -> None:
    def contradicts(raw: str) -> None:
        if read_answer(raw).action == "LONG":
            raise AnswerUnusable("stopLossPrice of a LONG is 95.0; it must be below the close, 90.0")

    model.rule = lambda asked: HOLD if asked.repairs else LONG
    assert read_answer((await ask(client, model, usable=contradicts)).raw).action == "HOLD"
    assert "must be below the close" in model.asked[1].body["messages"][-1]["content"]


async def test_what_was_paid_for_in_vain_is_said(client: ModelClient, model: ModelServer) -> None:
    model.plan = in_turn(saying(""), saying("", error={"code": 502}), *[failing(503)] * TRIES_MAX)
    assert (await failure_of(client, model)).spent == Spent(200, 40, 0.002)
    model.plan = in_turn(saying(""), failing(402))
    with pytest.raises(ModelRefused) as refused:
        await ask(client, model)
    assert refused.value.spent == Spent(100, 20, 0.001)


async def test_an_answer_whose_price_nobody_tells_is_of_unknown_price(client: ModelClient, model: ModelServer) -> None:
    async def untold(server: ModelServer, asked: Asked, request: web.Request) -> web.StreamResponse:
        return web.json_response(server.completion(asked, LONG) | {"usage": None})

    model.plan = in_turn(untold, failing(500), untold)
    for _ in range(2):
        assert (await ask(client, model))[1:4] == (0, 0, None)
    model.plan = always(failing(500))
    assert (await failure_of(client, model)).spent == Spent(0, 0, 0.0), "nobody has answered"


async def test_a_server_that_never_answers_is_asked_twice(client: ModelClient, model: ModelServer) -> None:
    model.plan = always(silent())
    failed = await failure_of(client, model, deadline_s=0.4)
    assert failed.message == "no answer within 0.4 s"
    assert len(model.asked) == 2


async def test_one_that_answers_in_time_the_second_time_has_answered(client: ModelClient, model: ModelServer) -> None:
    model.plan = in_turn(silent())
    assert read_answer((await ask(client, model, deadline_s=1.0)).raw).action == "HOLD"


async def test_a_server_that_is_not_there_is_a_failure(client: ModelClient, model: ModelServer) -> None:
    assert "connection failed" in (await failure_of(client, model, base_url="http://127.0.0.1:1/v1")).message
    nowhere = "http://nowhere.invalid/v1"
    assert "connection failed" in (await failure_of(client, model, base_url=nowhere)).message


async def test_it_waits_as_long_as_it_is_told_to(client: ModelClient, model: ModelServer, pauses: Pauses) -> None:
    then = format_datetime(datetime(2030, 1, 1, 0, 0, 9, tzinfo=UTC), usegmt=True)
    now = format_datetime(datetime(2030, 1, 1, tzinfo=UTC), usegmt=True)
    told = [{"Retry-After": "2.5"}, {"Retry-After": then, "Date": now}, {"Retry-After": "86400"}]
    model.plan = in_turn(*(failing(429, headers=headers) for headers in told))
    await ask(client, model, deadline_s=600.0)
    assert pauses.waited_s == [2.5, 9.0, 60.0]


async def test_it_does_not_wait_past_its_time(client: ModelClient, model: ModelServer, pauses: Pauses) -> None:
    model.plan = always(failing(429, "slow down", headers={"Retry-After": "45"}))
    assert "slow down (to be asked again in 45.0 s" in (await failure_of(client, model)).message
    assert pauses.waited_s == []


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        ("0", 0.0),
        ("1e999", None),
        ("nan", None),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("99999999999999999999", 60.0),
        (format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True), 0.0),
        (format_datetime(datetime(9999, 1, 1, tzinfo=UTC), usegmt=True), 60.0),
        ("Mon, 99 Foo 2020 99:99:99 GMT", None),
    ],
)
def test_what_retry_after_may_say(text: str, wait_s: float | None) -> None:
    assert retry_after_s({"retry-AFTER": text}) == wait_s


def test_a_date_is_compared_with_the_clock_here_where_the_server_tells_none() -> None:
    wait_s = retry_after_s({"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)})
    assert wait_s is not None
    assert 25 < wait_s <= 30


async def test_the_key_is_nowhere_but_in_its_header(
    client: ModelClient, model: ModelServer, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    echo = f"your key {KEY} is odd"
    seen: list[str] = []
    for trick in (failing(401, echo), failing(403, echo), failing(400, echo), failing(503, echo), replying(echo, 500)):
        model.plan = always(trick)
        with pytest.raises((ModelFailed, ModelRefused)) as failed:
            await ask(client, model)
        chain: BaseException | None = failed.value
        while chain is not None:
            seen += [str(chain), repr(chain)]
            chain = chain.__context__
    model.plan = always(saying(json.dumps({**HOLD, "reasoning": echo})))
    seen += [repr(await ask(client, model)), repr(client), repr(vars(client)), caplog.text, *capsys.readouterr()]
    assert "is odd" in "".join(seen)
    assert not [text for text in seen if KEY in text]


async def test_a_key_is_not_told_either_where_json_spells_it_otherwise(client: ModelClient, model: ModelServer) -> None:
    key = 'sk-01"2345\\67/89<ab>'
    settings = ModelSettings("local", model.base_url, "one")
    spellings = [json.dumps(key), json.dumps(key).replace("/", "\\/")]
    bodies = [f'{{"error": {{"message": {one}, "code": 400}}}}' for one in spellings]
    for body in (*bodies, "<p>sk-01&quot;2345\\67/89&lt;ab&gt;</p>"):
        model.plan = always(replying(body, 400))
        with pytest.raises(ModelFailed) as failed:
            await client.ask(settings, key, "system", "user", 5.0)
        assert "2345" not in failed.value.message
        assert "***" in failed.value.message


@pytest.mark.parametrize("key", ["sk-ключ-0123456789", "sk-0123\nX-Other: 1", "sk 0123456789", "sk-\x00-0123456789"])
async def test_a_key_that_is_none_is_refused_without_being_shown(
    client: ModelClient, model: ModelServer, key: str
) -> None:
    with pytest.raises(ModelRefused) as refused:
        await client.ask(ModelSettings("local", model.base_url, "one"), key, "system", "user", 5.0)
    assert key not in refused.value.message
    assert model.asked == []


async def test_a_private_address_is_not_connected_to(model: ModelServer, pauses: Pauses) -> None:
    local = model.base_url.replace("127.0.0.1", "localhost")
    mapped = model.base_url.replace("127.0.0.1", "[::ffff:127.0.0.1]")
    async with ModelClient(sleep=pauses) as client:
        for base_url in (model.base_url, local, mapped):
            with pytest.raises(ModelRefused, match="BACKFLEET_LLM_PRIVATE_URLS"):
                await ask(client, model, base_url=base_url)
    assert model.asked == []


async def test_a_name_that_means_another_address_when_it_is_connected_to_does_not_pass(
    model: ModelServer, monkeypatch: pytest.MonkeyPatch, pauses: Pauses
) -> None:
    """The resolver says a public address first and the loopback later: what was checked is what is connected to."""
    port = model.base_url.rpartition(":")[2].removesuffix("/v1")
    told = iter(["203.0.113.7", "127.0.0.1"])
    asked_for: list[str] = []

    async def resolve(host: str | bytes, *_: Any, **__: Any) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host  # libraries ask with either
        return [(2, 1, 6, "", (next(told) if name == "rebinding.test" else name, int(port)))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)

    def only_that(address: Any) -> bool:
        asked_for.append(str(address))
        return str(address) == "203.0.113.7"

    async with ModelClient(may_connect=only_that, sleep=pauses) as client:
        with pytest.raises((ModelFailed, ModelRefused)):
            await ask(client, model, base_url=f"http://rebinding.test:{port}/v1", deadline_s=0.2)
        with pytest.raises(ModelRefused, match="no address of the public internet"):
            await ask(client, model, base_url=f"http://rebinding.test:{port}/v1")
    assert asked_for == ["203.0.113.7", "127.0.0.1"]
    assert model.asked == []


@pytest.mark.parametrize(
    "text",
    [
        *(
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
        ),
        *("255.255.255.255", "240.0.0.1", "192.0.2.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "2001:db8::1"),
        *("::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::", "2002:c0a8:101::1"),
        *("fec0::1", "64:ff9b:1::1", "::127.0.0.1", "2001:0:7f00:1::", "198.18.0.1"),
    ],
)
def test_addresses_that_are_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_that_are_public(text: str) -> None:
    assert is_public(ip_address(text))


async def test_without_the_sdk_the_extra_is_named(model: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    async with ModelClient(private_urls=True) as client:
        with pytest.raises(ConfigurationError, match=r"install backfleet\[ai\]"):
            await ask(client, model)


@pytest.mark.parametrize(
    "odd",
    [
        None,
        7,
        "text",
        {"choices": [None]},
        {"choices": {}},
        {"choices": [{"message": 5}]},
        {"choices": [{"message": {"content": [{"text": 5}, None]}}]},
        {"choices": [{"message": {"content": {"a": 1}}}], "usage": {"prompt_tokens": "many", "cost": "NaN"}},
        {"error": [1, 2]},
        {"error": {"code": 10**400, "message": {"deep": [1]}}},
        {"error": {"code": True, "message": None}},
    ],
)
async def test_no_odd_body_gets_through(client: ModelClient, model: ModelServer, odd: Any) -> None:
    model.plan = always(replying(odd))
    assert len((await failure_of(client, model)).message) < 400


def test_text_that_comes_in_parts_is_one_text() -> None:
    parts = [{"type": "text", "text": "{"}, {"type": "text", "text": "}"}]
    assert read_reply({"choices": [{"message": {"content": parts}}]}).text == "{}"


async def test_many_are_asked_at_once_and_one_client_serves_them(client: ModelClient, model: ModelServer) -> None:
    model.delay_s = 0.05
    model.rule = lambda asked: json.dumps({**HOLD, "reasoning": asked.user})
    settings = ModelSettings("openrouter", model.base_url, "scripted/one")
    answers = await asyncio.gather(*(client.ask(settings, KEY, "system", f"user {n}", 30.0) for n in range(50)))
    assert [read_answer(answer.raw).reasoning for answer in answers] == [f"user {n}" for n in range(50)]
    assert set(model.requests.values()) == {1} == set(model.answered.values())


def test_a_question_is_known_again() -> None:
    def asked(user: str, time: int = 0) -> Asked:
        messages = [{"role": "system", "content": "s"}, {"role": "user", "content": user}]
        return Asked({"model": "m", "messages": messages}, {}, time)

    one = asked("Close of bar 41, which opened 2024-01-01T00:00:00Z: 99.5\n\nAccount")
    assert (one.bar, one.close, one.format, one.repairs) == (41, 99.5, "prompt", False)
    assert asked("no bar").bar == -1
