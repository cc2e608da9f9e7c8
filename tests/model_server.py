"""A server that speaks OpenAI's chat completions on loopback, answers by a rule, and misbehaves by a plan."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

HOLD: Mapping[str, Any] = {
    "reasoning": "Nothing to do.",
    "action": "HOLD",
    "sizeFraction": None,
    "stopLossPrice": None,
    "takeProfitPrice": None,
    "confidence": 0.9,
}


@dataclass(frozen=True)
class Asked:
    """One request. `time` says the how manieth of this question it is, from 0 on."""

    body: dict[str, Any]
    headers: Mapping[str, str]
    time: int

    @property
    def system(self) -> str:
        return self.body["messages"][0]["content"]

    @property
    def user(self) -> str:
        return self.body["messages"][1]["content"]

    @property
    def format(self) -> str:
        return self.body.get("response_format", {}).get("type", "prompt")

    @property
    def bar(self) -> int:
        """Which bar it is about, -1 where it is about none."""
        found = re.search(r"^Close of bar (\d+)", self.user)
        return int(found[1]) if found else -1

    @property
    def close(self) -> float:
        found = re.search(r"^Close of bar .*: (\S+)$", self.user, re.MULTILINE)
        return float(found[1]) if found else float("nan")

    @property
    def repairs(self) -> bool:
        """Whether it says what was wrong with the answer before."""
        return len(self.body["messages"]) > 2


def question_of(body: Mapping[str, Any]) -> str:
    """The same for the same model, system and user, however it is asked."""
    asked = [body["model"], *(one["content"] for one in body["messages"][:2])]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


# What the model decides: a decision, or the very text that it says.
Rule = Callable[[Asked], Mapping[str, Any] | str]
# What one request gets in place of its answer.
Trick = Callable[["ModelServer", Asked, web.Request], Awaitable[web.StreamResponse]]
Plan = Callable[[Asked], Trick | None]


@dataclass
class ModelServer:
    """`plan` says which requests get a trick, `formats` which forms of answer it knows.

    `asked` are all requests in the order they came; `requests` and `answered` count by question.
    """

    rule: Rule = lambda asked: HOLD
    plan: Plan = lambda asked: None
    formats: tuple[str, ...] = ("json_schema", "json_object", "prompt")
    delay_s: float = 0.0
    cost_usd: float = 0.001
    tokens: tuple[int, int] = (100, 20)
    asked: list[Asked] = field(default_factory=list[Asked])
    requests: Counter[str] = field(default_factory=Counter[str])
    answered: Counter[str] = field(default_factory=Counter[str])
    url: str = ""

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def completion(self, asked: Asked, text: Any, **choice: Any) -> dict[str, Any]:
        """The body of an answer. `choice` replaces what stands in its one choice."""
        tokens_in, tokens_out = self.tokens
        usage: dict[str, Any] = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out}
        if asked.body.get("usage", {}).get("include"):
            usage["cost"] = self.cost_usd
        message = {"role": "assistant", "content": text}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": asked.body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"} | choice],
            "usage": usage,
        }

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        question = question_of(body)
        asked = Asked(body, dict(request.headers), self.requests[question])
        self.asked.append(asked)
        self.requests[question] += 1
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if trick := self.plan(asked):
            return await trick(self, asked, request)
        if asked.format not in self.formats:
            message = f"This response_format type is unavailable now: {asked.format}"
            return web.json_response({"error": {"message": message, "type": "invalid_request_error"}}, status=400)
        self.answered[question] += 1
        said = self.rule(asked)
        return web.json_response(self.completion(asked, said if isinstance(said, str) else json.dumps(said)))


def in_turn(*tricks: Trick | None) -> Plan:
    """One for each request, in the order they come; afterwards none."""
    left = list(tricks)
    return lambda asked: left.pop(0) if left else None


def at_bars(tricks: Mapping[int, Sequence[Trick]]) -> Plan:
    """For each bar the tricks that its question gets, one after the other, before it is answered."""

    def plan(asked: Asked) -> Trick | None:
        those = tricks.get(asked.bar, ())
        return those[asked.time] if asked.time < len(those) else None

    return plan


def always(trick: Trick) -> Plan:
    return lambda asked: trick


def replying(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Trick:
    """This body: text as it stands, else as JSON."""
    text = body if isinstance(body, str) else json.dumps(body)

    async def trick(server: ModelServer, asked: Asked, request: web.Request) -> web.StreamResponse:
        return web.Response(text=text, status=status, headers=headers, content_type="application/json")

    return trick


def failing(status: int, message: str = "no", headers: Mapping[str, str] | None = None, **more: Any) -> Trick:
    """An error as HTTP has them. `more` stands beside its message."""
    return replying({"error": {"message": message, "code": status} | more}, status, headers)


def failing_inside(code: Any, message: str = "no") -> Trick:
    """An error with HTTP 200."""
    return replying({"error": {"message": message, "code": code}})


def saying(text: Any, **choice: Any) -> Trick:
    """This text as the model's, whatever the rule."""

    async def trick(server: ModelServer, asked: Asked, request: web.Request) -> web.StreamResponse:
        return web.json_response(server.completion(asked, text, **choice))

    return trick


def declining(why: str = "I will not.") -> Trick:
    return saying(None, message={"role": "assistant", "content": None, "refusal": why})


def without_choices() -> Trick:
    async def trick(server: ModelServer, asked: Asked, request: web.Request) -> web.StreamResponse:
        return web.json_response(server.completion(asked, "") | {"choices": []})

    return trick


def compressed(text: str) -> Trick:
    async def trick(server: ModelServer, asked: Asked, request: web.Request) -> web.StreamResponse:
        body = gzip.compress(json.dumps(server.completion(asked, text)).encode())
        return web.Response(body=body, headers={"Content-Encoding": "gzip"}, content_type="application/json")

    return trick


def endless(chunk: bytes = b" " * 65_536) -> Trick:
    """Sends for as long as it is read."""

    async def trick(server: ModelServer, asked: Asked, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(chunk)
        except ConnectionError:
            return response

    return trick


def hanging_up() -> Trick:
    """Closes the connection without an answer."""

    async def trick(server: ModelServer, asked: Asked, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    return trick


def silent() -> Trick:
    """Never answers, for as long as it is waited for."""

    async def trick(server: ModelServer, asked: Asked, request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    return trick


@contextmanager
def serving(server: ModelServer) -> Iterator[ModelServer]:
    """The server on a free port of this machine, under `server.url`, in a thread of its own: any test may wait for it.

    Rule and plan run in that thread.
    """
    loop = asyncio.new_event_loop()
    started, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", server.answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            started.set()
            await stop.wait()
        finally:
            started.set()
            await runner.cleanup()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        finally:
            loop.close()

    thread = threading.Thread(target=run, name="model server")
    thread.start()
    started.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
