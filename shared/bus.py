"""Redis: publish, subscribe, and the event log of each backtest.

Channels are fan-out and at-most-once, so nothing depends on a message arriving. What must not be missed is also kept in
a capped stream per backtest, `backtest:stream:{id}`, under the explicit id `epoch-seq`: Redis refuses an id that is not
newer than the last, which keeps a stalled worker silent and a repeated publication single.
"""

# redis-py's commands take `**kwargs` without a type.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
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
from redis.exceptions import RedisError

from shared.contracts import Channel, Cursor, News, Task
from shared.errors import BusUnavailable, ConfigurationError
from shared.records import NewsDocument
from shared.settings import Settings

log = logging.getLogger(__name__)

BELL_TTL_MS = 1_000
HEARTBEAT_INTERVAL_S = 2.0
SILENCE_MAX_S = 3 * HEARTBEAT_INTERVAL_S
_RECONNECT_WAITS_S = (0.05, 0.1, 0.2, 0.5, 1.0)

# Appends to the event log and publishes, or does neither. KEYS[1] stream; ARGV: id, channel, payload, most entries
# kept, seconds kept. Answers 1, or 0 when the id is not newer than the last one.
_ANNOUNCE = """
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if #last > 0 then
  local epoch, seq = string.match(last[1][1], '^(%d+)-(%d+)$')
  local new_epoch, new_seq = string.match(ARGV[1], '^(%d+)-(%d+)$')
  epoch, seq, new_epoch, new_seq = tonumber(epoch), tonumber(seq), tonumber(new_epoch), tonumber(new_seq)
  if new_epoch < epoch or (new_epoch == epoch and new_seq <= seq) then return 0 end
end
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[4], ARGV[1], 'channel', ARGV[2], 'payload', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('PUBLISH', ARGV[2], ARGV[3])
return 1
"""


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as it stood on the channel."""

    channel: Channel
    payload: str


@dataclass(frozen=True, slots=True)
class Resubscribed:
    """The subscription is new or was renewed: messages may have been missed, so look at the records now."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What the event log keeps after a cursor, oldest first. `complete` is False when older events were dropped."""

    news: list[Heard]
    complete: bool


@contextmanager
def _translate_redis_errors() -> Generator[None, None, None]:
    try:
        yield
    except (TimeoutError, RedisError, OSError) as error:
        raise BusUnavailable(f"Redis did not answer: {type(error).__name__}: {error}") from error


class Bus:
    """Every method raises `BusUnavailable` when Redis does not answer in time; `listen` reconnects by itself."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
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
        self._announce = self._redis.register_script(_ANNOUNCE)

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

    async def ping(self) -> None:
        with _translate_redis_errors():
            await cast("Any", self._redis.ping())

    async def ring(self, task: Task) -> int:
        """`PUBLISH backtest:task`: the number of processes that heard it, which nothing may depend on."""
        with _translate_redis_errors():
            return int(await self._redis.publish(Channel.TASK.value, task.as_json()))

    async def win_bell(self, name: str) -> bool:
        """True for exactly one of all the workers that heard the same bell."""
        with _translate_redis_errors():
            return bool(await self._redis.set(f"backtest:bell:{name}", 1, nx=True, px=BELL_TTL_MS))

    async def ring_again(self, task: Task) -> None:
        """Passes a bell on that was won but cannot be answered: every idle worker may win it anew."""
        with _translate_redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            pipe.delete(f"backtest:bell:{task.backtest_id}")
            pipe.publish(Channel.TASK.value, task.as_json())
            await pipe.execute()

    async def publish(self, channel: Channel, news: News) -> bool:
        """Appends to the event log and publishes in one step. False: something newer was said already."""
        return await self._publish_text(channel, news.backtest_id, news.epoch or 0, news.seq or 0, news.as_json())

    async def publish_all(self, news: Sequence[tuple[Channel, News]]) -> None:
        """Publishes several messages in order and in one round trip."""
        with _translate_redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            for channel, one in news:
                arguments = self._announce_arguments(channel, one.epoch or 0, one.seq or 0, one.as_json())
                await self._announce(keys=[stream_key(one.backtest_id)], args=arguments, client=pipe)
            await pipe.execute()

    async def publish_document(self, backtest_id: str, news: NewsDocument) -> bool:
        """Publishes news out of a record's outbox. Doing so again is harmless: the event log refuses the second."""
        return await self._publish_text(
            Channel(news["channel"]), backtest_id, news["epoch"], news["seq"], news["payload"]
        )

    async def _publish_text(self, channel: Channel, backtest_id: str, epoch: int, seq: int, payload: str) -> bool:
        arguments = self._announce_arguments(channel, epoch, seq, payload)
        with _translate_redis_errors():
            return bool(await self._announce(keys=[stream_key(backtest_id)], args=arguments))

    def _announce_arguments(self, channel: Channel, epoch: int, seq: int, payload: str) -> list[str | int]:
        kept = self._settings
        return [f"{epoch}-{seq}", channel.value, payload, kept.event_log_max, kept.event_log_ttl_s]

    async def say(self, channel: Channel, payload: str) -> None:
        """Publishes without an event log: for news of what never became a backtest."""
        with _translate_redis_errors():
            await self._redis.publish(channel.value, payload)

    async def replay(self, backtest_id: str, after: Cursor | None) -> Replay:
        """What was said of a backtest after a cursor, or from the start."""
        key = stream_key(backtest_id)
        start = "-" if after is None else f"({after.epoch}-{after.seq}"
        with _translate_redis_errors():
            pipe = self._redis.pipeline(transaction=False)
            pipe.xrange(key, start, "+", count=self._settings.event_log_max * 2)
            pipe.xrange(key, "-", "+", count=1)
            pipe.xlen(key)
            found, first, length = cast("tuple[list[Any], list[Any], int]", await pipe.execute())
        news = [Heard(Channel(fields["channel"]), fields["payload"]) for _, fields in found]
        if after is None or (after.epoch, after.seq) == (0, 0):
            return Replay(news, complete=length < self._settings.event_log_max)
        oldest = tuple(int(part) for part in first[0][0].split("-")) if first else None
        return Replay(news, complete=oldest is not None and oldest <= (after.epoch, after.seq + 1))

    async def forget(self, backtest_id: str) -> None:
        """Drops the event log of a deleted backtest."""
        with _translate_redis_errors():
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


def stream_key(backtest_id: str) -> str:
    return f"backtest:stream:{backtest_id}"
