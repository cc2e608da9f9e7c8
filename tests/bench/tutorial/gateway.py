"""Its gateway: stores the record, sends the task, and relays what the Redis manager hears into the user's room."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import uuid4

import jwt
import socketio
from celery import Celery
from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel, Field
from pymongo import AsyncMongoClient
from socketio.exceptions import ConnectionRefusedError

from tests.bench.tutorial.places import DATABASE, EVENTS, MONGODB_URI, REDIS_URL, SECRET, TASK

api = FastAPI()
sockets = socketio.AsyncServer(
    async_mode="asgi", client_manager=socketio.AsyncRedisManager(REDIS_URL, channel=EVENTS), cors_allowed_origins="*"
)
app = socketio.ASGIApp(sockets, api)
celery = Celery("tutorial", broker=REDIS_URL)
celery.conf.update(task_ignore_result=True)
mongo: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(MONGODB_URI)
backtests = mongo[DATABASE]["backtests"]


class Request(BaseModel):
    symbol: str
    interval: str
    startDate: datetime
    endDate: datetime
    strategies: list[str] = Field(min_length=1, max_length=1)
    strategyParams: dict[str, dict[str, int]]
    commission: dict[str, float]


def user_of(token: str) -> str:
    return jwt.decode(token, SECRET, algorithms=["HS256"])["sub"]


def asker(authorization: Annotated[str, Header()]) -> str:
    try:
        return user_of(authorization.removeprefix("Bearer "))
    except jwt.InvalidTokenError as error:
        raise HTTPException(401, "the token is not valid") from error


@api.get("/ready")
async def ready() -> dict[str, str]:
    await mongo.admin.command("ping")
    return {"status": "ok"}


@api.post("/backtest", status_code=202)
async def submit(request: Request, user: Annotated[str, Depends(asker)]) -> dict[str, str]:
    backtest_id = uuid4().hex
    params = request.model_dump(mode="json")
    record = {"_id": backtest_id, "user": user, "status": "pending", "params": params, "createdAt": datetime.now(UTC)}
    await backtests.insert_one(record)
    await asyncio.to_thread(celery.send_task, TASK, [backtest_id])  # it speaks to the broker, and waits for it
    return {"backtestId": backtest_id, "status": "pending"}


@api.get("/backtest/{backtest_id}")
async def read(backtest_id: str, user: Annotated[str, Depends(asker)]) -> dict[str, Any]:
    found = await backtests.find_one({"_id": backtest_id, "user": user})
    if found is None:
        raise HTTPException(404, "no such backtest")
    found["result"] = await mongo[DATABASE]["results"].find_one({"_id": backtest_id}, {"_id": 0})
    return found


@sockets.event
async def connect(sid: str, _environ: dict[str, Any], auth: dict[str, str]) -> None:
    try:
        await sockets.enter_room(sid, user_of(auth["token"]))
    except (jwt.InvalidTokenError, KeyError) as error:
        raise ConnectionRefusedError("the token is not valid") from error
