"""What a MongoDB server is asked before it is trusted: what time it is, and whether its updates are atomic."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

from pymongo import ReturnDocument, WriteConcern
from pymongo.asynchronous.database import AsyncDatabase

from shared.errors import StoreUnfit
from shared.instants import to_ms
from shared.mongo_errors import translate_mongo_errors
from shared.records import new_id

_RACE_ROUNDS = 8
_RACE_CONTENDERS = 8


class Clock:
    """MongoDB's clock, estimated: its time at one moment plus what our monotonic clock has counted since."""

    def __init__(self) -> None:
        self._server_ms = 0.0
        self._at_s = 0.0

    def set(self, server_time: datetime, sent_s: float, received_s: float) -> None:
        """Takes the server's answer to a request that was sent and received at these monotonic times."""
        aware = server_time if server_time.tzinfo else server_time.replace(tzinfo=UTC)
        self._server_ms = float(to_ms(aware))
        self._at_s = (sent_s + received_s) / 2

    def now_ms(self) -> int:
        return int(self._server_ms + (time.monotonic() - self._at_s) * 1000)


async def prove_updates_are_atomic(database: AsyncDatabase[dict[str, Any]]) -> None:
    """Races several clients for one scratch record, several times over; each race must have exactly one winner.

    Some servers that speak MongoDB's protocol run a conditional update as a read and a write. On such a server one
    backtest would be given to two workers, so it is refused. Raises `StoreUnfit` naming the server.
    """
    scratch = database.with_options(write_concern=WriteConcern(w="majority", wtimeout=10_000))["fitness"]
    race_id = new_id("race")
    with translate_mongo_errors():
        await scratch.insert_one({"_id": race_id, "round": 0})
        try:
            for number in range(_RACE_ROUNDS):
                attempts = (
                    scratch.find_one_and_update(
                        {"_id": race_id, "round": number},
                        {"$set": {"round": number + 1, "winner": contender}},
                        return_document=ReturnDocument.AFTER,
                    )
                    for contender in range(_RACE_CONTENDERS)
                )
                winners = sum(found is not None for found in await asyncio.gather(*attempts))
                if winners != 1:
                    raise StoreUnfit(await _unfit_message(database, winners))
        finally:
            await scratch.delete_one({"_id": race_id})


async def _unfit_message(database: AsyncDatabase[dict[str, Any]], winners: int) -> str:
    info = await database.client.admin.command("buildInfo")
    name = "FerretDB " + str(info["ferretdb"]) if "ferretdb" in info else "MongoDB-compatible server"
    return (
        f"{name} (reports version {info.get('version', 'unknown')}) is not fit to hold the records: its "
        f"conditional update is not atomic, {winners} of {_RACE_CONTENDERS} clients won one race. "
        "Set BACKFLEET_MONGODB_URI to a server whose findAndModify is atomic, such as MongoDB itself."
    )
