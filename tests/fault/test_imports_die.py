"""Imports that are killed between two writes: the head is one version or the next, and importing again completes it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from shared.candles import Candles, take_bars
from shared.candles.manifest import first_manifest
from shared.mongo import Mongo
from shared.settings import load_settings
from tests import forks
from tests.integration.test_candles import DAY_MS, assert_same, grid, read_all, walk

Document = dict[str, Any]
MINUTES_MS = 5 * 60_000
# One day of each of 45 months: 45 chunks that cost little.
BARS = walk(np.concatenate([grid(288, MINUTES_MS, 1_577_836_800_000 + 31 * month * DAY_MS) for month in range(45)]))
KNOWN = take_bars(BARS, slice(0, 100))
WRITES = 45 + 3  # its chunks, its manifest, the manifest before it, the head

# Imports BARS, and kills itself right before its n-th write is sent, or right after that was answered.
IMPORTER = """
import asyncio, os, signal, sys
from pymongo import AsyncMongoClient, monitoring
from shared.candles import Candles
from shared.mongo import Mongo
from shared.settings import load_settings
from tests.fault.test_imports_die import BARS

class Killer(monitoring.CommandListener):
    def __init__(self, kills_at, when):
        self.left, self.when = kills_at, when
    def count(self, event, when):
        if when == self.when and event.command_name in ("insert", "update"):
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    def started(self, event):
        self.count(event, "before")
    def succeeded(self, event):
        self.count(event, "after")
    def failed(self, event):
        self.count(event, "after")

async def main(uri, database, kills_at, when):
    killer = Killer(int(kills_at), when)
    async with AsyncMongoClient(uri, serverSelectionTimeoutMS=10_000, event_listeners=[killer]) as client:
        await Candles(Mongo(client, database), load_settings()).import_bars("X", "5m", BARS, "test")

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
async def database(mongodb_uri: str, mongodb_database: str) -> AsyncIterator[AsyncDatabase[Document]]:
    async with AsyncMongoClient[Document](mongodb_uri, serverSelectionTimeoutMS=10_000) as client:
        yield client[mongodb_database]


async def test_an_import_killed_at_every_tenth_write_is_completed_by_running_it_again(
    database: AsyncDatabase[Document], mongodb_uri: str, tmp_path: Path
) -> None:
    expected = first_manifest("X", "5m", "test", BARS).dataset_hash
    kills = [(at, "after" if at % 20 else "before") for at in range(10, WRITES, 10)]
    for kills_at, when in [*kills, (WRITES, "before"), (WRITES, "after")]:
        for name in ("bar_heads", "bar_datasets", "bar_chunks"):
            await database.drop_collection(name)
        candles = Candles(
            Mongo(database.client, database.name), load_settings(cache_dir=tmp_path / f"{kills_at}-{when}")
        )
        await candles.import_bars("X", "5m", KNOWN, "test")
        importer = forks.start(
            ["-c", IMPORTER, mongodb_uri, database.name, str(kills_at), when], env=os.environ, stdout=1, stderr=2
        )
        assert await asyncio.to_thread(importer.wait, 60) == -signal.SIGKILL
        published = (kills_at, when) == (WRITES, "after")
        written = await database["bar_chunks"].count_documents({})
        assert written == 1 + min(45, kills_at - (when == "before"))
        assert_same(await read_all(candles, "X", "5m"), BARS if published else KNOWN)
        [seen] = await candles.list_series()
        assert seen.bars == (BARS if published else KNOWN).total
        report = await candles.import_bars("X", "5m", BARS, "test")
        assert report.dataset_hash == expected
        assert (report.version, report.bars) == (2, BARS.total)
        assert_same(await read_all(candles, "X", "5m"), BARS)
