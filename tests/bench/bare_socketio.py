"""What one writes without us: a Socket.IO server that emits what it hears from Redis to the room it is for."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import socketio
from redis.asyncio import Redis

CHANNEL = "bench:rooms"

sio = socketio.AsyncServer(async_mode="asgi")
_relaying: list[asyncio.Task[None]] = []


async def subscribe(sid: str, request: dict[str, Any]) -> dict[str, bool]:
    await sio.enter_room(sid, request["backtestId"])
    return {"ok": True}


async def _relay() -> None:
    async with Redis.from_url(os.environ["BENCH_REDIS_URL"]) as redis, redis.pubsub() as heard:
        await heard.subscribe(CHANNEL)
        async for message in heard.listen():
            if message["type"] == "message":
                event, room, data = json.loads(message["data"])
                await sio.emit(event, data, room=room)


async def start() -> None:
    _relaying.append(asyncio.create_task(_relay()))


sio.on("backtest:subscribe", subscribe)
app = socketio.ASGIApp(sio, on_startup=start)
