"""Asks a language model, at any endpoint that speaks OpenAI's chat completions, until it answers or will not."""

from __future__ import annotations

import asyncio
import html
import json
import random
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, get_args

from shared.errors import BackfleetError, ConfigurationError
from shared.llm_urls import is_public
from shared.trader.answer import DECISION_SCHEMA, AnswerUnusable, read_answer
from shared.trader.parameters import ModelSettings
from worker.model_replies import (
    NOTHING_SPENT,
    UNKNOWN_SPENT,
    FormatUnknown,
    ModelFailed,
    ModelRefused,
    Reply,
    Spent,
    Transient,
    error_in,
    raise_for,
    read_body,
    read_reply,
    spent_of,
)

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from worker.model_transport import MayConnect

# How a decision is asked for, the surest way first. In the last, the words of the prompt are all there is.
Format = Literal["json_schema", "json_object", "prompt"]
FORMATS: tuple[Format, ...] = get_args(Format)
FORMAT_VERSION = 1  # of all that is sent beside system and user; a stored answer to another is none to this

TRIES_MAX = 4
_FIRST_WAIT_S = 0.5
_LEARNED_MAX = 1_000
_SECRET_MIN_CHARS = 8
_REPAIR = "That is not usable: {}. Answer anew with one JSON object of the schema and nothing else."


class Answer(NamedTuple):
    """`raw` is what the model said, usable or not. Tokens and cost are of all that was asked for it."""

    raw: str
    tokens_in: int
    tokens_out: int
    cost_usd: float | None  # None where the server does not say
    latency_ms: float
    format: Format


@dataclass
class _Conversation:
    """One ask with all of its tries."""

    settings: ModelSettings
    key: str = field(repr=False)
    messages: list[dict[str, str]]
    format: Format
    deadline_s: float
    ends_s: float
    format_is_sure: bool = True  # whether the server said that it knows no better one
    tries: int = 0
    spent: Spent = NOTHING_SPENT

    @property
    def request_s(self) -> float:
        """How long one request may take: half of the time, so that a server that never answers is asked twice."""
        return self.deadline_s / 2.0

    def body(self) -> dict[str, Any]:
        one = self.settings
        # The reasoning models of OpenAI know no other name for it, and most other servers not this one.
        most = "max_completion_tokens" if one.provider == "openai" else "max_tokens"
        body: dict[str, Any] = {"model": one.model, "messages": self.messages, most: one.max_tokens}
        body |= {name: value for name in ("temperature", "seed") if (value := getattr(one, name)) is not None}
        if self.format == "json_schema":
            schema = {"name": "decision", "strict": True, "schema": DECISION_SCHEMA}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif self.format == "json_object":
            body["response_format"] = {"type": "json_object"}
        if one.provider == "openrouter":
            # Another model, or one that heeds less of what is asked, would answer otherwise without a word.
            body["provider"] = {"require_parameters": True, "allow_fallbacks": False}
            body["usage"] = {"include": True}
        return body


class ModelClient:
    """For all runs of a process, whatever model they ask with whatever key. Close it when it is done with.

    `may_connect` says of an address whether it may be connected to; without it only those of the public internet, or
    with `private_urls` any. `sleep` and `clock` are asyncio's and the monotonic one.
    """

    def __init__(
        self,
        *,
        private_urls: bool = False,
        may_connect: MayConnect | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._private_urls = private_urls
        self._may_connect = may_connect
        self._sleep = sleep
        self._clock = clock
        self._learned: OrderedDict[tuple[str, str], Format] = OrderedDict()
        self._opening = asyncio.Lock()
        self._client: AsyncOpenAI | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def ask(
        self,
        model_settings: ModelSettings,
        key: str,
        system: str,
        user: str,
        deadline_s: float,
        usable: Callable[[str], object] = read_answer,
    ) -> Answer:
        """The model's answer, within `deadline_s`. An empty key is none, which servers of one's own do without.

        `usable` raises `AnswerUnusable` for an answer that will not do; the model is told so, once, and what it says
        then is what is given back, usable or not. Raises `ModelFailed` where no answer comes, `ModelRefused` where none
        ever will, `ConfigurationError` where the SDK is missing; the first two say in `spent` what was paid for.
        """
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise ModelRefused("the key holds characters that no key has; store a valid one for this provider")
        client = await self._open()
        begun_s = self._clock()
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        format_ = self._learned.get((model_settings.base_url, model_settings.model), FORMATS[0])
        one = _Conversation(model_settings, key, messages, format_, deadline_s, begun_s + deadline_s)
        try:
            async with asyncio.timeout(deadline_s):
                raw = await self._answer_to(client, one, usable)
        except TimeoutError:
            raise _with(ModelFailed(f"no answer within {deadline_s:g} s"), one) from None
        except (ModelFailed, ModelRefused) as error:
            raise _with(error, one) from None
        latency_ms = (self._clock() - begun_s) * 1000.0
        return Answer(raw, one.spent.tokens_in, one.spent.tokens_out, one.spent.cost_usd, latency_ms, one.format)

    async def _answer_to(self, client: AsyncOpenAI, one: _Conversation, usable: Callable[[str], object]) -> str:
        reply = await self._insist(client, one)
        problem = _problem(reply.text, usable)
        if problem is None:
            return reply.text
        if reply.cut_off:
            most = one.settings.max_tokens
            raise ModelFailed(f"the answer was cut off after {most} tokens; give it more of them by maxTokens")
        one.messages.append({"role": "assistant", "content": reply.text})
        one.messages.append({"role": "user", "content": _REPAIR.format(problem)})
        return (await self._insist(client, one)).text

    async def _insist(self, client: AsyncOpenAI, one: _Conversation) -> Reply:
        """Asks until there is a reply, in a simpler form where one is not known, and again where that may help."""
        while True:
            try:
                reply = await self._try(client, one)
            except FormatUnknown as unknown:
                left = FORMATS[FORMATS.index(one.format) + 1 :]
                if not left:
                    raise unknown.otherwise from None
                one.format = left[0]
                one.format_is_sure &= unknown.surely
            except Transient as fault:
                one.tries += 1
                await self._wait(one, fault)
            else:
                if one.format_is_sure:
                    self._learn(one)
                return reply

    async def _wait(self, one: _Conversation, fault: Transient) -> None:
        """Raises `ModelFailed` where it was asked often enough, or where the wait would take longer than there is."""
        wait_s = fault.wait_s
        if wait_s is None:
            wait_s = _FIRST_WAIT_S * 2 ** (one.tries - 1) * random.uniform(0.5, 1.0)
        left_s = one.ends_s - self._clock()
        if one.tries >= TRIES_MAX:
            raise ModelFailed(f"{fault.reason} (asked {one.tries} times)")
        if wait_s >= left_s:
            raise ModelFailed(f"{fault.reason} (to be asked again in {wait_s:.1f} s, when the time is up)")
        await self._sleep(wait_s)

    def _learn(self, one: _Conversation) -> None:
        place = one.settings.base_url, one.settings.model
        self._learned[place] = one.format
        self._learned.move_to_end(place)
        if len(self._learned) > _LEARNED_MAX:
            self._learned.popitem(last=False)

    async def _try(self, client: AsyncOpenAI, one: _Conversation) -> Reply:
        """One request. Raises what `read_reply` does."""
        try:
            async with asyncio.timeout(one.request_s):
                status, headers, text = await self._send(client, one)
        except TimeoutError:
            raise Transient(f"no answer within {one.request_s:g} s", 0.0) from None
        if not 200 <= status < 300:
            raise_for(status, error_in(text), headers)
        body = read_body(text)
        spent = spent_of(body)
        if spent is not None:
            one.spent = one.spent.and_also(spent)
        reply = read_reply(body)
        if spent is None:  # A model has answered, and nobody says for how much.
            one.spent = one.spent.and_also(UNKNOWN_SPENT)
        return reply

    async def _send(self, client: AsyncOpenAI, one: _Conversation) -> tuple[int, Mapping[str, str], str]:
        import httpx2
        from openai import APIConnectionError, APIStatusError

        from worker.model_transport import AddressRefused, ResponseRefused

        # Also where there is no key, lest one out of the environment is sent.
        authorization = {"Authorization": f"Bearer {one.key or 'none'}"}
        try:
            response = await client.post(
                f"{one.settings.base_url}/chat/completions",
                cast_to=httpx2.Response,
                body=one.body(),
                options={"headers": authorization},
            )
        except APIStatusError as error:
            response = error.response
        except AddressRefused:
            raise ModelRefused(
                "the host of baseUrl has no address of the public internet; give another URL, or set "
                "BACKFLEET_LLM_PRIVATE_URLS=true where users may reach this network"
            ) from None
        except ResponseRefused as error:
            raise ModelFailed(f"the response is not read: {error}") from None
        except APIConnectionError:
            raise Transient("the connection failed") from None
        return response.status_code, response.headers, _without(one.key, response.content.decode(errors="replace"))

    async def _open(self) -> AsyncOpenAI:
        async with self._opening:
            if self._client is None:
                # The SDK takes half a second to import, during which this loop has leases to renew.
                self._client = await asyncio.to_thread(self._open_now)
            return self._client

    def _open_now(self) -> AsyncOpenAI:
        try:
            from openai import AsyncOpenAI

            from worker.model_transport import open_client
        except ImportError as error:
            raise ConfigurationError(
                f"asking a model needs the extra `ai` ({error.name} is missing); install backfleet[ai]"
            ) from error
        may_connect = self._may_connect or (_anywhere if self._private_urls else is_public)
        # No key, account or URL of ours: each request brings its own, and the environment's must not go anywhere.
        return AsyncOpenAI(
            api_key="none",
            admin_api_key="",
            organization="",
            project="",
            webhook_secret="",
            base_url="http://localhost",
            max_retries=0,
            http_client=open_client(may_connect),
        )


def _problem(text: str, usable: Callable[[str], object]) -> str | None:
    try:
        usable(text)
    except AnswerUnusable as problem:
        return problem.message
    return None


def _with(error: ModelFailed | ModelRefused, one: _Conversation) -> BackfleetError:
    error.spent = one.spent
    return error


def _anywhere(_: object) -> bool:
    return True


def _without(key: str, text: str) -> str:
    """Servers repeat what they were sent. What is shorter is no secret, and may be a word of the answer."""
    for one in _spellings(key) if len(key) >= _SECRET_MIN_CHARS else ():
        text = text.replace(one, "***")
    return text


def _spellings(key: str) -> set[str]:
    """As it is, as HTML has it, and as JSON has it, also where JSON is text in another, as a model's answer is.
    Of most keys these are all the same."""
    found = {key, html.escape(key)}
    for _ in range(2):
        quoted = {json.dumps(one)[1:-1] for one in found}
        found |= quoted | {one.replace("/", r"\/") for one in quoted}
    return found
