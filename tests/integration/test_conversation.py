"""What the service says to the world, to the byte: on the channels, in the event log, over sockets and over HTTP.

One conversation with a real gateway and a real worker process is held against `conversations/*.jsonl`. In these each
line is JSON that holds what was said as it was said, so the order of fields, spaces and the digits of numbers count.
What no two runs share (ids, instants of today, how long is left) is replaced, but only where it has its right form.

To renew a recording delete its file and run the test: it writes the file and fails once. Read the difference before it
is committed, because somebody else's program reads these messages.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from difflib import unified_diff
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from tests.fleet import WorkerProcess
from tests.gateway import BACKTESTS, Site, site_on

RECORDED = Path(__file__).parent / "conversations"
DEADLINE_S = 60.0
BARS, STEP_BARS = 240, 80
# Nothing of the worker's may depend on how fast this machine is: it speaks after every step, and neither sweeps, nor
# renews a lease, nor takes an engine for stalled as long as the conversation lasts.
UNHURRIED: dict[str, Any] = {
    "progress_interval_s": 0,
    "chunk_bars": STEP_BARS,
    "sweep_interval_s": 60,
    "lease_ttl_s": 200,
    "lease_renew_s": 60,
    "stall_limit_s": 100,
}
BODY: dict[str, Any] = {
    "symbol": "STEPS",
    "interval": "1h",
    "startDate": "2024-01-01",
    "endDate": "2024-01-11",
    "strategies": ["sma", "rsi"],
    "strategyParams": {"sma": {"fast": 3, "slow": 8}},
    "allowShort": True,
    "stopLoss": {"percent": 2.5},
    "commission": {"rate": 0.001},
}
BAD_BODY = BODY | {"interval": "7h", "initialCapital": -1, "strategies": []}
ID = re.compile(r"\b(bt|res)_[0-9a-hjkmnp-tv-z]{26}\b")
INSTANT = re.compile(
    r'("(?:createdAt|updatedAt|startedAt|completedAt|timestamp)":")(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z)(?=")'
)
CURSOR = re.compile(r'("nextCursor":")\d{13}(?=\.(?:bt_|<backtest))')
ETA = re.compile(r'("etaSeconds":)\d+\.\d(?=[,}])')
DURATION = re.compile(r'("durationSeconds":)\d+(?:\.\d+)?(?=[,}])')
SOCKET_ID = re.compile(r'("sid":")[\w-]{20}(?=")')


class Tape:
    """Lines of JSON in the order in which they came."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._changed = asyncio.Event()

    def add(self, line: str) -> None:
        self.lines.append(line)
        self._changed.set()

    async def has(self, *words: str, since: int = 0) -> None:
        """Until one line, of those after the first `since`, has all the words."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not any(all(word in line for word in words) for line in self.lines[since:]):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            heard = "\n".join(["", *self.lines[since:]][-5:])
            raise AssertionError(
                f"{' with '.join(words)} did not come in {DEADLINE_S:g} s, but this: {heard}"
            ) from None


def embedded(text: str) -> str:
    """The text as a part of a line of JSON: itself, unless it is no JSON."""
    try:
        json.loads(text)
    except ValueError:
        return json.dumps(text)
    return text


class Words:
    """Takes out of texts what no two runs share. The same id has the same name in all of them."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def plain(self, text: str) -> str:
        text = ID.sub(lambda found: self._name(found[1], found[0]), text)
        text = INSTANT.sub(lambda found: found[1] + _moment(found[2]), text)
        text = CURSOR.sub(r"\1<ms>", text)
        text = ETA.sub(r'\1"<eta>"', text)
        text = DURATION.sub(r'\1"<duration>"', text)
        return SOCKET_ID.sub(r"\1<socket>", text)

    def _name(self, prefix: str, known: str) -> str:
        of_kind = sum(one.startswith(prefix) for one in self._names)
        return self._names.setdefault(known, f"<{'backtest' if prefix == 'bt' else 'result'} {of_kind + 1}>")


def _moment(text: str) -> str:
    """An instant of another day stays as it is: a right form with a wrong unit in it."""
    return "<instant>" if abs(datetime.now(UTC) - datetime.fromisoformat(text)) < timedelta(days=1) else text


def steps() -> bytes:
    """Bars as a CSV whose prices come of whole numbers, which every machine computes alike."""
    seed, close, lines = 7, 10_000, ["time,open,high,low,close,volume"]
    for bar in range(BARS):
        seed = (seed * 1_103_515_245 + 12_345) % 2**31
        opened, close = close, close + (seed >> 16) % 301 - 150
        prices = (opened, max(opened, close) + seed % 40, min(opened, close) - seed % 30, close)
        time = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=bar)
        lines.append(",".join([f"{time:%Y-%m-%dT%H:%M:%SZ}", *(f"{price / 100:.2f}" for price in prices), "10"]))
    return "\n".join([*lines, ""]).encode()


@asynccontextmanager
async def channels_of(redis: Redis) -> AsyncIterator[Tape]:
    """Everything that is said on the channels from now on."""
    tape, subscribed = Tape(), asyncio.Event()
    async with redis.pubsub() as subscription:
        await subscription.psubscribe("backtest:*")

        async def hear() -> None:
            async for item in subscription.listen():
                subscribed.set()
                if item["type"] == "pmessage":
                    channel, payload = item["channel"].decode(), item["data"].decode()
                    tape.add(f'{{"channel":"{channel}","payload":{embedded(payload)}}}')

        hearing = asyncio.create_task(hear())
        try:
            async with asyncio.timeout(DEADLINE_S):
                await subscribed.wait()
            yield tape
        finally:
            hearing.cancel()
            await asyncio.wait([hearing])


async def event_log(redis: Redis, backtest_id: str) -> list[str]:
    entries: Any = await redis.xrange(f"backtest:stream:{backtest_id}")
    return [
        f'{{"id":"{entry_id.decode()}",'
        + ",".join(f'"{name.decode()}":{embedded(value.decode())}' for name, value in fields.items())
        + "}"
        for entry_id, fields in entries
    ]


class Socket:
    """A Socket.IO client that sees the packets themselves."""

    def __init__(self, wire: aiohttp.ClientWebSocketResponse, tape: Tape) -> None:
        self._wire, self._tape = wire, tape
        self._since = len(tape.lines)
        self._asked = 0

    async def sign_in(self, token: str) -> None:
        await self._wire.send_str("40" + json.dumps({"token": token}))
        await self.hears('{"got":"40",')

    async def listen(self) -> None:
        async for message in self._wire:
            if message.data == "2":
                await self._wire.send_str("3")  # A ping, which comes only when this takes long.
            else:
                self._tape.add(_packet("got", message.data))

    async def ask(self, event: str, payload: dict[str, Any]) -> None:
        """Sends a request and waits for its acknowledgement."""
        packet = f"42{self._asked}{json.dumps([event, payload])}"
        self._tape.add(_packet("sent", packet))
        await self._wire.send_str(packet)
        await self.hears(f'{{"got":"43{self._asked}",')
        self._asked += 1

    async def hears(self, *words: str) -> None:
        await self._tape.has(*words, since=self._since)


def _packet(direction: str, packet: str) -> str:
    kind = packet[: len(packet) - len(packet.lstrip("0123456789"))]
    return f'{{"{direction}":"{kind}","data":{embedded(packet[len(kind) :])}}}'


@asynccontextmanager
async def connected(http: aiohttp.ClientSession, token: str, tape: Tape) -> AsyncIterator[Socket]:
    async with http.ws_connect("/socket.io/?EIO=4&transport=websocket") as wire:
        socket = Socket(wire, tape)
        listening = asyncio.create_task(socket.listen())
        try:
            await socket.sign_in(token)
            yield socket
        finally:
            await wire.close()
            await asyncio.wait([listening])


class Asker:
    """A client of the HTTP edge, with every answer on tape."""

    def __init__(self, http: aiohttp.ClientSession, tape: Tape) -> None:
        self._http, self._tape = http, tape

    async def ask(self, method: str, path: str, **sent: Any) -> str:
        async with self._http.request(method, path, **sent) as answer:
            body = (await answer.read()).decode()
        parts = [f'"request":"{method} {path}"', f'"status":{answer.status}']
        for header in ("Content-Type", "Location"):
            parts += [f'"{header}":{json.dumps(value)}' for value in answer.headers.getall(header, [])]
        parts += [f'"body":{embedded(body)}'] if body else []
        self._tape.add(f"{{{','.join(parts)}}}")
        return body

    async def submit(self) -> str:
        return json.loads(await self.ask("POST", BACKTESTS, json=BODY))["backtestId"]


class Conversation:
    """The tapes of one conversation, and its scenes in the order in which they are played."""

    def __init__(self, site: Site, http: aiohttp.ClientSession, redis: Redis, channels: Tape) -> None:
        self._site, self._http, self._redis = site, http, redis
        self.tapes = {name: Tape() for name in ("event_log", "owner", "subscriber", "http")} | {"channels": channels}
        self._asker = Asker(http, self.tapes["http"])

    async def says(self, *words: str) -> None:
        await self.tapes["channels"].has(*words)

    def socket(self, tape: str) -> AbstractAsyncContextManager[Socket]:
        return connected(self._http, self._site.token(), self.tapes[tape])

    async def before_there_is_a_worker(self) -> str:
        """Bars arrive, one backtest is deleted while it waits, another one waits on: its id."""
        form = aiohttp.FormData()
        form.add_field("file", steps(), filename="STEPS-1h.csv")
        await self._asker.ask("POST", "/api/algo/data/import", data=form)
        await self._asker.ask("POST", BACKTESTS, json=BAD_BODY)
        await self._asker.ask("POST", BACKTESTS, data="{")
        deleted = await self._asker.submit()
        await self._asker.ask("GET", f"{BACKTESTS}/{deleted}/result")
        await self._asker.ask("DELETE", f"{BACKTESTS}/{deleted}")
        await self._asker.ask("GET", f"{BACKTESTS}/{deleted}")
        return await self._asker.submit()

    async def reading(self, backtest_id: str) -> None:
        await self.says("backtest:complete", backtest_id)
        for what in ("", "/result", "/equity?maxPoints=6", "/trades?limit=2&offset=1"):
            await self._asker.ask("GET", f"{BACKTESTS}/{backtest_id}{what}")

    async def foreign_tasks(self) -> None:
        """Each ends before the next is published: a busy worker passes bells on, which is one message more."""
        await self._publish("backtest:error", "(unreadable)", "nonsense")
        half = {"backtestId": "bt_half", "userId": "ann", "params": {"symbol": "STEPS", "interval": 60}}
        await self._publish("backtest:error", "bt_half", json.dumps(half))
        for backtest_id, channel, changes in (
            ("bt_foreign", "backtest:complete", {}),
            ("bt_no_bars", "backtest:error", {"symbol": "NOPE"}),
            ("bt_no_strategy", "backtest:error", {"strategyParams": {"sma": {"fast": "quick"}}}),
        ):
            task = {"backtestId": backtest_id, "userId": "ann", "params": BODY | changes}
            await self._publish(channel, backtest_id, json.dumps(task))
            await self._asker.ask("GET", f"{BACKTESTS}/{backtest_id}")
        await self._asker.ask("GET", f"{BACKTESTS}/bt_no_bars/result")
        await self._asker.ask("GET", f"{BACKTESTS}?limit=2&status=failed")
        await self._asker.ask("GET", f"{BACKTESTS}?limit=2")

    async def _publish(self, ends_on: str, backtest_id: str, task: str) -> None:
        await self._redis.publish("backtest:task", task)
        await self.says(ends_on, backtest_id)

    async def looking_back(self, backtest_id: str) -> None:
        """A client that comes after the end, and one that comes back with a cursor."""
        async with self.socket("subscriber") as late:
            await late.ask("backtest:subscribe", {"backtestId": backtest_id})
            await late.hears('["backtest:complete",')
            await late.ask("backtest:unsubscribe", {"backtestId": backtest_id})
            await late.ask("backtest:subscribe", {"backtestId": "bt_unknown"})
            await late.ask("backtest:start", BAD_BODY)
            await late.ask("backtest:control", {"backtestId": backtest_id, "action": "pause"})
        async with self.socket("subscriber") as again:
            await again.ask("backtest:subscribe", {"backtestId": backtest_id, "after": {"epoch": 1, "seq": 4}})
            await again.hears('["backtest:complete",')
        self.tapes["event_log"].lines += await event_log(self._redis, backtest_id)

    async def deleting(self, backtest_id: str) -> None:
        await self._asker.ask("DELETE", f"{BACKTESTS}/{backtest_id}")
        await self._asker.ask("DELETE", f"{BACKTESTS}/{backtest_id}")


@asynccontextmanager
async def conversation_at(site: Site) -> AsyncIterator[Conversation]:
    headers = {"Authorization": f"Bearer {site.token()}"}
    async with (
        Redis.from_url(site.settings.redis_url.get_secret_value()) as redis,
        channels_of(redis) as channels,
        aiohttp.ClientSession(site.url, headers=headers) as http,
    ):
        yield Conversation(site, http, redis, channels)


def differences(name: str, lines: list[str]) -> list[str]:
    """How what was said differs from what is recorded. Where nothing is recorded yet, this is."""
    path, text = RECORDED / f"{name}.jsonl", "".join(f"{line}\n" for line in lines)
    if not path.exists():
        path.write_bytes(text.encode())
        return [f"{path} was missing and is written now: read it, commit it, and run this test again"]
    was, now = path.read_bytes().decode().split("\n"), text.split("\n")
    if len(was) != len(now):
        return list(unified_diff(was, now, f"{name}, recorded", f"{name}, now", n=0, lineterm=""))
    pairs = enumerate(zip(was, now, strict=True), 1)
    return [f"{path.name}:{number}\n{_apart(*pair)}" for number, pair in pairs if pair[0] != pair[1]]


def _apart(was: str, now: str) -> str:
    """Where two long lines begin to differ."""
    differing = (index for index, pair in enumerate(zip(was, now, strict=False)) if pair[0] != pair[1])
    start = max(next(differing, min(len(was), len(now))) - 60, 0)
    return f"- …{was[start : start + 160]}…\n+ …{now[start : start + 160]}…"


async def test_what_is_said_on_every_wire_is_what_was_recorded_to_the_byte(
    any_mongodb_uri: str, any_redis_url: str, make_settings: Callable[..., Any], tmp_path: Path
) -> None:
    settings = make_settings(**UNHURRIED)
    async with site_on(settings) as site, conversation_at(site) as conversation, conversation.socket("owner"):
        waiting = await conversation.before_there_is_a_worker()
        worker = WorkerProcess(settings, tmp_path / "worker.log")
        try:
            await conversation.reading(waiting)
            await conversation.foreign_tasks()
            worker.terminate()  # It drains: what it still has to say is said.
            assert await worker.ended(DEADLINE_S) == 0
        finally:
            worker.close()
        await conversation.looking_back(waiting)
        await conversation.deleting(waiting)
        await conversation.tapes["owner"].has('["backtest:error",', "bt_no_strategy")
    words = Words()
    found = [
        line
        for name in ("channels", "event_log", "owner", "subscriber", "http")
        for line in differences(name, [words.plain(line) for line in conversation.tapes[name].lines])
    ]
    assert not found, "\n".join(found)


TODAY = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"


def with_now(text: str) -> str:
    return text.replace("<now>", TODAY)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ('"bt_01kb4zq8v6m3n5p7r9t0w2x4y6"', '"<backtest 1>"'),
        ("/backtest/bt_01kb4zq8v6m3n5p7r9t0w2x4y6/result", "/backtest/<backtest 1>/result"),
        ('"res_01kb4zq8v6m3n5p7r9t0w2x4y6"', '"<result 1>"'),
        ('"createdAt":"<now>.070Z"', '"createdAt":"<instant>"'),
        ('"timestamp":"<now>Z"', '"timestamp":"<instant>"'),
        ('"nextCursor":"1764315942490.bt_1"', '"nextCursor":"<ms>.bt_1"'),
        ('"etaSeconds":12.0}', '"etaSeconds":"<eta>"}'),
        ('"sid":"k3J-_abcdefghijklAAA"', '"sid":"<socket>"'),
    ],
)
def test_what_no_two_runs_share_is_taken_out(text: str, plain: str) -> None:
    assert Words().plain(with_now(text)) == plain


@pytest.mark.parametrize(
    "text",
    [
        *('"bt_01kb4zq8v6m3n5p7r9t0w2x4y"', '"bt_01kb4zq8v6m3n5p7r9t0w2x4y67"', '"bt_01KB4ZQ8V6M3N5P7R9T0W2X4Y6"'),
        *('"bt_01kb4zq8v6m3n5p7r9t0w2x4yl"', '"run_01kb4zq8v6m3n5p7r9t0w2x4y6"', '"res-01kb4zq8v6m3n5p7r9t0w2x4y6"'),
        *('"createdAt":"<now>"', '"createdAt":"<now>+00:00"', '"createdAt":"<now>.07Z"'),
        *('"createdAt": "<now>Z"', '"created_at":"<now>Z"', '"createdAt":1764315942490', '"createdAt":null'),
        *('"createdAt":"1970-01-21T10:05:15.942Z"', '"createdAt":"2024-01-01T00:00:00Z"'),
        *('"nextCursor":"1764315942.bt_1"', '"nextCursor":"1764315942490"', '"nextCursor":null'),
        *('"etaSeconds":12,', '"etaSeconds":12.25,', '"etaSeconds":-1.0,', '"etaSeconds":null,', '"etaSeconds":"1.0",'),
        *('"sid":"short"', '"sid":null'),
    ],
)
def test_what_has_another_form_is_left_to_be_compared(text: str) -> None:
    assert Words().plain(with_now(text)) == with_now(text)
