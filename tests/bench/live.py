"""What a run says, on its way to many: our relay beside a bare Socket.IO server, and `/ws` in either encoding.

Both servers hear the same Redis server and emit the same bytes to the same number of sockets, in turns.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
from redis.asyncio import Redis

from deploy.processes import free_port
from deploy.stack import Stack
from shared.contracts import Channel
from shared.settings import load_settings
from tests.bench import live_runs
from tests.bench.bare_socketio import CHANNEL
from tests.bench.client import REQUEST, load_bars
from tests.bench.ears import Crowd, over_socketio, over_ws
from tests.bench.programs import running
from tests.bench.rows import Row, measured, p50_p99_ms

SOCKETS = 1_000
IDLE_SOCKETS = 3_000
PLAIN_SOCKETS = 200
CHECKED = 5
ROUNDS = 3
BURST = 20
PACED = 24
PACE_S = 0.25
WITHIN_S = 60.0
SETTLE_S = 1.0
DEADLINE_S = 150.0
TRADE: dict[str, Any] = {
    "entryBar": 181_204,
    "entryTime": "2024-05-05T20:04:00Z",
    "direction": "long",
    "quantity": 93.17253916,
    "entryPrice": 106.5181379,
    "entryReason": "signal",
    "exitBar": 181_377,
    "exitTime": "2024-05-05T22:57:00Z",
    "exitPrice": 107.1102294,
    "fees": 1.99044182,
    "pnl": 53.17640291,
    "pnlPercent": 0.53586101,
    "exitReason": "take_profit",
    "strategy": "sma",
}


class Publisher:
    """Says that trades were closed: on the bus as a run does, and in the bare server's words."""

    def __init__(self, redis: Redis, backtest_id: str, user_id: str) -> None:
        self._redis = redis
        self._whose = {"backtestId": backtest_id, "userId": user_id}
        self._seq = {"ours": 0, "peer": 0}

    async def say(self, to: str, messages: int, *, timed: bool = True, rows: int = 1) -> None:
        """All in one go."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for _ in range(messages):
                pipe.publish(*self._message(to, timed, rows))
            await pipe.execute()

    async def say_paced(self, to: str, messages: int) -> None:
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        for number in range(messages):
            await asyncio.sleep(begun_s + number * PACE_S - loop.time())
            await self._redis.publish(*self._message(to, True, 1))

    def _message(self, to: str, timed: bool, rows: int) -> tuple[str, str]:
        self._seq[to] += 1
        data: dict[str, Any] = {"what": "closed", "trade": TRADE}
        if timed:
            data["t"] = time.monotonic_ns()
        if rows > 1:
            data["trades"] = {name: [value] * rows for name, value in TRADE.items()}
        numbered = {"epoch": 1, "seq": self._seq[to]}
        if to == "peer":
            said = ["backtest:trade", self._whose["backtestId"], data | self._whose | numbered]
            return CHANNEL, json.dumps(said)
        event = self._whose | numbered | {"type": "trade", "timestamp": "2026-01-01T00:00:00Z", "data": data}
        return Channel.EVENT.value, json.dumps(event)


@contextmanager
def bare_server(stack: Stack) -> Iterator[tuple[str, int]]:
    """Its URL and the id of its process."""
    port = free_port()
    serve = ["uvicorn", "tests.bench.bare_socketio:app", "--port", str(port), "--log-level", "warning"]
    with running([serve], {"BENCH_REDIS_URL": stack.redis_url}) as [pid]:
        yield f"http://127.0.0.1:{port}", pid


async def _answers(url: str) -> None:
    async with asyncio.timeout(30), aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.get(f"{url}/socket.io/?EIO=4&transport=polling") as answer:
                    answer.raise_for_status()
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)


async def _paused_backtest(stack: Stack, token: str) -> str:
    """A backtest that says nothing of itself."""
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        body = REQUEST | {"startPaused": True}
        async with http.post(f"{stack.api_urls[0]}/api/algo/backtest", json=body) as answer:
            answer.raise_for_status()
            return (await answer.json())["backtestId"]


def _resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


async def _idle_kib(pid: int, crowd: Crowd) -> float:
    """What each of the crowd costs the server, once it is quiet."""
    before = _resident_kib(pid)
    async with crowd:
        await asyncio.sleep(SETTLE_S)
        return (_resident_kib(pid) - before) / len(crowd.ears)


async def _check_parity(crowds: dict[str, Crowd], publisher: Publisher) -> None:
    """The same messages at each client, byte by byte, or there is nothing to compare."""
    heard: dict[str, set[tuple[bytes, ...]]] = {}
    for name, crowd in crowds.items():
        crowd.kept = {}
        await crowd.hears(CHECKED, publisher.say(name, CHECKED, timed=False), WITHIN_S)
        heard[name] = {tuple(messages) for messages in crowd.kept.values()}
        crowd.kept = None
    if heard["ours"] != heard["peer"] or len(heard["ours"]) != 1:
        raise RuntimeError(f"not the same was heard: {[len(one) for one in heard.values()]}, {heard!r:.1000}")


async def _rate(crowd: Crowd, publish: Any, messages: int) -> float:
    """Messages delivered a second, from the first that is said to the last that is heard."""
    begun_s = time.perf_counter()
    await crowd.hears(messages, publish, WITHIN_S)
    return messages * len(crowd.ears) / (time.perf_counter() - begun_s)


async def _fan_out(crowds: dict[str, Crowd], publisher: Publisher, on: str) -> list[Row]:
    await _check_parity(crowds, publisher)
    per_s: dict[str, list[float]] = {name: [] for name in crowds}
    late_s: dict[str, list[float]] = {name: [] for name in crowds}
    for _ in range(ROUNDS):
        for name, crowd in crowds.items():
            per_s[name].append(await _rate(crowd, publisher.say(name, BURST), BURST))
    for _ in range(2):
        for name, crowd in crowds.items():
            crowd.late_s = []
            await crowd.hears(PACED // 2, publisher.say_paced(name, PACED // 2), WITHIN_S)
            late_s[name] += crowd.late_s
    on = f"{on}, {SOCKETS:,} sockets"
    rate = measured(
        "live.fan_out.vs.python_socketio",
        ours=median(per_s["ours"]),
        peer=median(per_s["peer"]),
        unit="events/s",
        aim=0.8,
        better="higher",
        on=on,
    )
    ours_ms, peer_ms = p50_p99_ms(late_s["ours"]), p50_p99_ms(late_s["peer"])
    parts = zip(("p50", "p99"), ours_ms, peer_ms, (None, 1.5), strict=True)
    return [
        rate,
        *(
            measured(
                f"live.publish_to_client_{part}.vs.python_socketio",
                ours=ours,
                peer=peer,
                unit="ms",
                aim=aim,
                better="lower",
                on=f"{on}, {1 / PACE_S:.1f} messages/s",
            )
            for part, ours, peer, aim in parts
        ),
    ]


async def _plain(stack: Stack, token: str, redis: Redis) -> list[Row]:
    """`/ws`: events of 20 trades each, as MessagePack beside JSON. Each encoding has a backtest that only it hears."""
    encodings = ("msgpack", "json")
    per_s: dict[str, list[float]] = {name: [] for name in encodings}
    sizes: dict[str, float] = {}
    async with AsyncExitStack() as open_ones:
        crowds: dict[str, tuple[Crowd, Publisher]] = {}
        for name in encodings:
            backtest_id = await _paused_backtest(stack, token)
            crowd = Crowd(over_ws(stack.api_urls[0], token, backtest_id, name), PLAIN_SOCKETS)
            crowds[name] = await open_ones.enter_async_context(crowd), Publisher(redis, backtest_id, "bench")
        for _ in range(ROUNDS):
            for name, (crowd, publisher) in crowds.items():
                before = crowd.heard_bytes, crowd.heard
                per_s[name].append(await _rate(crowd, publisher.say("ours", BURST, timed=False, rows=20), BURST))
                sizes[name] = (crowd.heard_bytes - before[0]) / (crowd.heard - before[1])
    on = f"{stack.server_names}, {PLAIN_SOCKETS} sockets, 20 trades an event"
    return [
        measured(
            "live.ws.rate.msgpack.vs.json",
            ours=median(per_s["msgpack"]),
            peer=median(per_s["json"]),
            unit="events/s",
            better="higher",
            on=on,
        ),
        measured(
            "live.ws.size.msgpack.vs.json",
            ours=sizes["msgpack"],
            peer=sizes["json"],
            unit="bytes/event",
            better="lower",
            on=on,
        ),
    ]


async def _measure(stack: Stack, bare_url: str, bare_pid: int) -> list[Row]:
    await load_bars(stack)
    await _answers(bare_url)
    token = stack.token("bench")
    backtest_id = await _paused_backtest(stack, token)
    joins = {
        "ours": over_socketio(stack.api_urls[0], token, backtest_id),
        "peer": over_socketio(bare_url, token, backtest_id),
    }
    pids = {"ours": stack.processes["api-1"].pid, "peer": bare_pid}
    async with asyncio.timeout(DEADLINE_S), Redis.from_url(stack.redis_url) as redis:
        kib = {name: await _idle_kib(pids[name], Crowd(join, IDLE_SOCKETS)) for name, join in joins.items()}
        on = f"{stack.server_names}, {IDLE_SOCKETS:,} sockets"
        rows = [
            measured("live.rss_per_socket", ours=kib["ours"], unit="KiB", aim=60, better="lower", on=on),
            measured(
                "live.rss_per_socket.vs.python_socketio",
                ours=kib["ours"],
                peer=kib["peer"],
                unit="KiB",
                better="lower",
                on=on,
            ),
        ]
        publisher = Publisher(redis, backtest_id, "bench")
        async with Crowd(joins["ours"], SOCKETS) as ours, Crowd(joins["peer"], SOCKETS) as peer:
            rows += await _fan_out({"ours": ours, "peer": peer}, publisher, stack.server_names)
        return rows + await _plain(stack, token, redis)


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="backfleet-bench-") as name:
        directory = Path(name)
        settings = load_settings(cache_dir=directory / "cache", log_level="WARNING")
        with Stack(settings, api_replicas=1, workers=0, directory=directory) as stack, bare_server(stack) as bare:
            rows = asyncio.run(_measure(stack, *bare))
    return rows + live_runs.measure()
