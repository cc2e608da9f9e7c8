"""Redis: publish, subscribe, and the event log of each backtest.

Channels are fan-out and at-most-once, so nothing depends on a message arriving. What must not be missed is also kept in
a capped stream per backtest, `backtest:stream:{id}`, under the explicit id `epoch-seq`: Redis refuses an id that is not
newer than the last, which keeps a stalled worker silent and a repeated publication single.
"""

# redis-py's commands take `**kwargs` without a type.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Self, cast

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.contracts import Channel, Cursor, News, Task
from shared.errors import BusUnavailable, ConfigurationError
from shared.event_log import Entry, Heard, Position, Replay, position_of, replay_of
from shared.news import news_document
from shared.outage import Outage
from shared.records import NewsDocument
from shared.settings import Settings

log = logging.getLogger(__name__)

BELL_TTL_MS = 1_000
WATCHED_TTL_S = 60  # a gateway with a subscriber says so again every 20 s
HEARTBEAT_INTERVAL_S = 2.0
SILENCE_MAX_S = 3 * HEARTBEAT_INTERVAL_S
_RECONNECT_WAITS_S = (0.05, 0.1, 0.2, 0.5, 1.0)

# Appends news of one backtest to its event log and publishes it, or does neither. KEYS[1] stream; ARGV: most entries
# kept, seconds kept, then id, channel and payload of each. Answers how many had an id newer than all before it.
_ANNOUNCE = """
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local epoch, seq, said = -1, -1, 0
local function read(id)
  local first, second = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(first), tonumber(second)
end
if #newest > 0 then epoch, seq = read(newest[1][1]) end
for at = 3, #ARGV, 3 do
  local new_epoch, new_seq = read(ARGV[at])
  if new_epoch > epoch or (new_epoch == epoch and new_seq > seq) then
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], ARGV[at], 'channel', ARGV[at + 1], 'payload', ARGV[at + 2])
    redis.call('PUBLISH', ARGV[at + 1], ARGV[at + 2])
    epoch, seq, said = new_epoch, new_seq, said + 1
  end
end
if said > 0 then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
return said
"""
_ANNOUNCE_SHA = hashlib.sha1(_ANNOUNCE.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Resubscribed:
    """The subscription is new or was renewed: messages may have been missed, so look at the records now."""


_WORKERS = "backtest:workers"


@contextmanager
def _translate_redis_errors() -> Generator[None, None, None]:
    """Also sees to it that a task that is cancelled meanwhile ends: the driver takes a cancellation for one of its own
    timeouts, where one runs as a connection is taken up, and goes on."""
    task = asyncio.current_task()
    cancelled_before = task.cancelling() if task else 0
    try:
        yield
    except (TimeoutError, RedisError, OSError) as error:
        raise BusUnavailable(f"Redis did not answer: {type(error).__name__}: {error}") from error
    if task is not None and task.cancelling() > cancelled_before:
        raise asyncio.CancelledError


class Bus:
    """Every method raises `BusUnavailable` when Redis does not answer in time; `listen` reconnects by itself."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.outage = Outage("Redis", self._answers, settings.bus_timeout_s)
        try:
            self._redis: Redis = Redis.from_url(
                settings.redis_url.get_secret_value(),
                decode_responses=True,
                # Anybody can publish bytes that are no text. So written they are no JSON either and are refused; an
                # exception from inside the driver would end whoever listens.
                encoding_errors="backslashreplace",
                socket_timeout=settings.bus_timeout_s,
                socket_connect_timeout=settings.bus_timeout_s,
                socket_keepalive=True,
                health_check_interval=15,
                retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 2),
                client_name="backfleet",
            )
        except ValueError as error:
            raise ConfigurationError(
                f"BACKFLEET_REDIS_URL cannot be used ({type(error).__name__}): it must read "
                "redis://user:password@host:port/0, with user and password percent-encoded"
            ) from None

    @classmethod
    async def open(cls, settings: Settings) -> Self:
        """Raises `BusUnavailable` when no server answers."""
        bus = cls(settings)
        try:
            await bus.ping()
        except BaseException:
            await bus.close()
            raise
        return bus

    async def close(self) -> None:
        await self._redis.aclose()

    @asynccontextmanager
    async def _waited_for(self) -> AsyncGenerator[None, None]:
        """For what keeps a client waiting: a server that is known to be away is not asked, and trying again takes no
        longer than one operation may. Known it is while `outage.watch` runs.
        """
        if self.outage.away:
            raise BusUnavailable("Redis is away")
        with _translate_redis_errors():
            async with asyncio.timeout(self._settings.bus_timeout_s):
                yield

    async def _answers(self) -> bool:
        try:
            await cast("Any", self._redis.ping())
        except (RedisConnectionError, RedisTimeoutError, OSError):
            return False
        except RedisError:
            return True  # a refusal, which somebody is there to give
        return True

    async def ping(self) -> None:
        async with self._waited_for():
            await cast("Any", self._redis.ping())

    async def ring(self, task: Task) -> int:
        """`PUBLISH backtest:task`: the number of processes that heard it, which nothing may depend on."""
        async with self._waited_for():
            return int(await self._redis.publish(Channel.TASK.value, task.as_json()))

    async def count_listeners(self, channel: Channel) -> int:
        """How many processes listen to a channel by its name. Those who follow a pattern are not counted."""
        with _translate_redis_errors():
            [(_, count)] = await self._redis.pubsub_numsub(channel.value)
        return int(count)

    async def win_bell(self, name: str) -> bool:
        """True for exactly one of all the workers that heard the same bell."""
        return (await self.win_bells([name], BELL_TTL_MS))[0]

    async def win_bells(self, names: Sequence[str], ttl_ms: int) -> list[bool]:
        """Of each, whether it is ours for `ttl_ms`: one of all who ask for it within that time is told so."""
        with _translate_redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            for name in names:
                pipe.set(f"backtest:bell:{name}", 1, nx=True, px=ttl_ms)
            return [bool(won) for won in await pipe.execute()]

    async def keep_bells(self, names: Sequence[str], ttl_ms: int) -> None:
        """Nobody else wins these for `ttl_ms`, whoever has won them before."""
        with _translate_redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            for name in names:
                pipe.set(f"backtest:bell:{name}", 1, px=ttl_ms)
            await pipe.execute()

    async def keeps_bell(self, name: str, holder: str, ttl_ms: int) -> bool:
        """Whether a bell is this holder's, for `ttl_ms` from each time it asks. Nobody's is the holder's from now."""
        key = f"backtest:bell:{name}"
        with _translate_redis_errors():
            found = await self._redis.set(key, holder, nx=True, px=ttl_ms, get=True)
            if found == holder:
                await self._redis.pexpire(key, ttl_ms)
        return found in (None, holder)

    async def ring_again(self, task: Task) -> None:
        """Passes a bell on that was won but cannot be answered: every idle worker may win it anew."""
        with _translate_redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            pipe.delete(f"backtest:bell:{task.backtest_id}")
            pipe.publish(Channel.TASK.value, task.as_json())
            await pipe.execute()

    async def publish(self, channel: Channel, news: News) -> bool:
        """Appends to the event log and publishes in one step. False: something newer was said already."""
        return await self.publish_document(news.backtest_id, news_document(channel, news))

    async def publish_document(self, backtest_id: str, news: NewsDocument) -> bool:
        """Publishes news out of a record's outbox. Doing so again is harmless: the event log refuses the second."""
        return await self.publish_documents([(backtest_id, news)]) == 1

    async def publish_documents(self, news: Sequence[tuple[str, NewsDocument]]) -> int:
        """Publishes news of any backtests in one round trip, of each in order: how many were new."""
        kept = self._settings.event_log_max, self._settings.event_log_ttl_s
        said: dict[str, list[str]] = {}
        for backtest_id, one in news:
            of_one = said.setdefault(backtest_id, [])
            of_one += (f"{one['epoch']}-{one['seq']}", one["channel"], one["payload"])
        calls = [(1, stream_key(backtest_id), *kept, *of_one) for backtest_id, of_one in said.items()]
        with _translate_redis_errors():
            try:
                counts = await self._call_announce(calls)
            except NoScriptError:
                # A new or restarted server. What it carried out of the first try, it refuses in the second.
                await self._redis.script_load(_ANNOUNCE)
                counts = await self._call_announce(calls)
        return sum(counts)

    async def _call_announce(self, calls: Sequence[tuple[str | int, ...]]) -> list[int]:
        pipe = self._redis.pipeline(transaction=False)
        for arguments in calls:
            pipe.evalsha(_ANNOUNCE_SHA, *arguments)  # pyright: ignore[reportArgumentType]
        return await pipe.execute()

    async def say(self, messages: Sequence[tuple[Channel, str]]) -> list[int]:
        """Publishes in one round trip and without an event log: bells, and news that no run numbered. Answers how many
        processes heard each."""
        with _translate_redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            for channel, payload in messages:
                pipe.publish(channel.value, payload)
            return [int(heard) for heard in await pipe.execute()]

    async def replay(self, backtest_id: str, after: Cursor | None, end: NewsDocument | None = None) -> Replay:
        """What was said of a backtest after a cursor, or from the start. `end`: its end, where its record has one."""

        async def read(since: Position) -> list[Entry]:
            async with self._waited_for():
                found = await self._redis.xrange(stream_key(backtest_id), f"{since[0]}-{since[1]}", "+")
            return [
                (position_of(entry_id), Heard(Channel(fields["channel"]), fields["payload"]))
                for entry_id, fields in cast("list[tuple[str, dict[str, str]]]", found)
            ]

        return await replay_of(read, after, end)

    async def count(self, name: str, window_s: float) -> tuple[int, float]:
        """Counts one more of `name`, by all gateways together: how many in this window, and its seconds left."""
        async with self._waited_for():
            pipe = self._redis.pipeline(transaction=True)
            pipe.set(_count_key(name), 0, nx=True, px=int(window_s * 1000))
            pipe.incr(_count_key(name))
            pipe.pttl(_count_key(name))
            _, counted, left_ms = cast("tuple[object, int, int]", await pipe.execute())
        return counted, max(left_ms, 0) / 1000

    async def uncount(self, name: str, window_s: float) -> None:
        """Takes one back. A window that has ended meanwhile begins anew with none."""
        async with self._waited_for():
            pipe = self._redis.pipeline(transaction=True)
            pipe.set(_count_key(name), 1, nx=True, px=int(window_s * 1000))
            pipe.decr(_count_key(name))
            await pipe.execute()

    async def keep_present(self, worker_id: str, text: str, ttl_ms: int) -> None:
        """Keeps what a worker says of itself for so long."""
        with _translate_redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            pipe.set(_worker_key(worker_id), text, px=ttl_ms)
            pipe.sadd(_WORKERS, worker_id)
            await pipe.execute()

    async def leave(self, worker_id: str) -> None:
        """Forgets a worker that has gone."""
        with _translate_redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            pipe.delete(_worker_key(worker_id))
            pipe.srem(_WORKERS, worker_id)
            await pipe.execute()

    async def present(self) -> list[str]:
        """What the workers that are there said of themselves last. The names of those that are gone are forgotten; one
        that was only late brings its name again."""
        with _translate_redis_errors():
            names = sorted(cast("set[str]", await cast("Any", self._redis.smembers(_WORKERS))))
            if not names:
                return []
            said = cast("list[str | None]", await self._redis.mget([_worker_key(name) for name in names]))
            if gone := [name for name, text in zip(names, said, strict=True) if text is None]:
                await cast("Any", self._redis.srem(_WORKERS, *gone))
        return [text for text in said if text is not None]

    async def mark_watched(self, backtest_ids: Sequence[str], gateway: str) -> None:
        """Somebody at this gateway subscribes to these: for `WATCHED_TTL_S` their runs say all they have to say."""
        with _translate_redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            for backtest_id in backtest_ids:
                pipe.set(_watched_key(backtest_id), gateway, ex=WATCHED_TTL_S)
            await pipe.execute()

    async def is_watched(self, backtest_id: str) -> bool:
        """Whether a gateway has said so of late."""
        with _translate_redis_errors():
            return bool(await self._redis.exists(_watched_key(backtest_id)))

    async def newest(self, backtest_ids: Sequence[str], most: int) -> list[list[Heard]]:
        """Of each backtest the newest `most` entries of its event log, newest first, all in one round trip."""
        with _translate_redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            for backtest_id in backtest_ids:
                pipe.xrevrange(stream_key(backtest_id), "+", "-", count=most)
            found = cast("list[list[tuple[str, dict[str, str]]]]", await pipe.execute())
        return [[Heard(Channel(one["channel"]), one["payload"]) for _, one in entries] for entries in found]

    async def forget(self, backtest_id: str) -> None:
        """Drops the event log of a deleted backtest."""
        async with self._waited_for():
            await self._redis.delete(stream_key(backtest_id))

    @asynccontextmanager
    async def listen(self, *channels: Channel) -> AsyncGenerator[AsyncIterator[Heard | Resubscribed], None]:
        """Everything said on the channels until the block is left; each (re)subscription yields `Resubscribed`.

        A server that went silent is noticed by a heartbeat of our own on a private channel: a half-open connection
        looks exactly like a quiet one. Reconnects forever, waiting at most a second between tries.
        """
        async with aclosing(self._listen(channels)) as heard:
            yield heard

    async def _listen(self, channels: Sequence[Channel]) -> AsyncGenerator[Heard | Resubscribed, None]:
        failures = 0
        while True:
            try:
                async with self._redis.pubsub() as subscription:
                    async for item in self._hear(subscription, channels):
                        failures = 0
                        yield item
            except (TimeoutError, RedisError, OSError, BusUnavailable) as error:
                wait_s = _RECONNECT_WAITS_S[min(failures, len(_RECONNECT_WAITS_S) - 1)]
                failures += 1
                log.warning("subscription lost (%s: %s); again in %g s", type(error).__name__, error, wait_s)
                await asyncio.sleep(wait_s)

    async def _hear(
        self, subscription: PubSub, channels: Sequence[Channel]
    ) -> AsyncGenerator[Heard | Resubscribed, None]:
        own = f"backfleet:heartbeat:{os.getpid()}:{id(subscription):x}"
        await subscription.subscribe(own, *(channel.value for channel in channels))
        beat_s = heard_s = time.monotonic()
        awaited = len(channels) + 1
        while True:
            message = cast(
                "dict[str, Any] | None",
                await subscription.get_message(ignore_subscribe_messages=False, timeout=HEARTBEAT_INTERVAL_S / 4),
            )
            now_s = time.monotonic()
            if message is not None:
                heard_s = now_s
                if message["type"] == "message" and message["channel"] != own:
                    yield Heard(Channel(message["channel"]), message["data"])
                elif message["type"] == "subscribe":
                    awaited -= 1
                    if awaited == 0:
                        # The library resubscribes by itself after a hiccup: its confirmations come all again.
                        awaited = len(channels) + 1
                        yield Resubscribed()
            if now_s - heard_s > SILENCE_MAX_S:
                raise BusUnavailable(f"nothing heard for {SILENCE_MAX_S:g} s, not even our own heartbeat")
            if now_s - beat_s > HEARTBEAT_INTERVAL_S:
                beat_s = now_s
                with _translate_redis_errors():
                    await self._redis.publish(own, "")


def _worker_key(worker_id: str) -> str:
    return f"backtest:worker:{worker_id}"


def _watched_key(backtest_id: str) -> str:
    return f"backtest:watched:{backtest_id}"


def _count_key(name: str) -> str:
    return f"backtest:count:{name}"


def stream_key(backtest_id: str) -> str:
    return f"backtest:stream:{backtest_id}"
