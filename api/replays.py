"""Ended backtests that are played back here, each to one socket, from what is stored of them.

A replay has no part in the relay: nobody else hears it, and what it says has no place among the news of the run. It
holds the result's tables in memory (`api/stored_run.py`), the bars as memory maps; how many may play is bounded by the
rows that they hold.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from api.listeners import Client
from api.player import Player, Whose
from api.stored_result import StoredResults, no_result
from api.stored_run import StoredRun
from shared.contracts import Replay
from shared.controls import ControlRequest
from shared.database import Database
from shared.errors import BackfleetError, InvalidRequest, NotFound, StoreUnavailable, TooMany
from shared.instants import to_ms
from shared.lifecycle import TERMINAL, Status
from shared.live_data import Data
from shared.news import DELETED, terminal_news
from shared.playback import Intent
from shared.records import BacktestRecord
from shared.results import ResultDocument

log = logging.getLogger(__name__)

OF_A_SOCKET_MAX = 4
PLAYERS_MAX = 100
# Rows of all that play here: points of equity, and trades for what they weigh beside a point. 320 MB.
ROWS_MAX = 20_000_000
_ROWS_OF_A_TRADE = 7
_ROWS_OF_A_RESAMPLED_BAR = 3
LOOK_EVERY_S = 5.0

_Key = tuple[Client, str]


class Replays:
    """`begin` one, `control` it, and `leave` it; each ends by itself with its last bar."""

    def __init__(self, database: Database) -> None:
        self._store = database.store
        self._results = database.results
        self._stored = StoredResults(database)
        self._rows: dict[_Key, int] = {}
        self._players: dict[_Key, Player] = {}
        self._playing: dict[_Key, asyncio.Task[None]] = {}

    async def begin(
        self, client: Client, backtest_id: str, asked: Replay, on_begun: Callable[[Data], None] = lambda _: None
    ) -> Data:
        """Plays it to the client, in place of what it plays of the same backtest. `on_begun` is told what is returned,
        before anything is queued.

        Raises `NotFound`, `Conflict` for what has not ended or has no result, `InvalidRequest` for a bar that there is
        not, `TooMany` and `StoreUnavailable`.
        """
        key = client, backtest_id
        async with client.in_turn.turn_of(backtest_id):
            record = await self._store.get(backtest_id, client.user_id)
            if Status(record["status"]) not in TERMINAL or not record["resultId"]:
                raise no_result(record)
            document = await self._results.read(record["resultId"], client.user_id)
            await self._end(key)
            self._take_place(key, document)
            try:
                run = await self._open(record, document)
                bar = _bar_of(run, asked)
                if client.closed:
                    raise NotFound("the socket is gone")
            except BaseException:
                del self._rows[key]
                raise
            begun = {"bar": bar, "totalBars": run.total_bars}
            on_begun(begun)
            player = Player(run, client, Whose(backtest_id, client.user_id), Intent(speed=asked.speed), bar)
            self._players[key] = player
            task = self._playing[key] = asyncio.create_task(self._play(key, player, _end_of(record)))
            task.add_done_callback(partial(self._ended, key))
            return begun

    async def control(self, client: Client, backtest_id: str, asked: ControlRequest) -> Data | None:
        """What a command for the client's replay of a backtest led to; None where it plays none.

        Raises `Conflict` and `TooMany`.
        """
        player = self._players.get((client, backtest_id))
        return None if player is None else await player.control(asked)

    async def leave(self, client: Client, backtest_id: str) -> None:
        async with client.in_turn.turn_of(backtest_id):
            await self._end((client, backtest_id))

    def forget(self, client: Client) -> None:
        """The socket is gone, and all that plays to it ends."""
        for key, task in self._playing.items():
            if key[0] is client:
                task.cancel()

    async def close(self) -> None:
        for key in list(self._playing):
            await self._end(key)

    # A replay's life

    async def _end(self, key: _Key) -> None:
        task = self._playing.get(key)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def _take_place(self, key: _Key, document: ResultDocument) -> None:
        if sum(1 for client, _ in self._rows if client is key[0]) >= OF_A_SOCKET_MAX:
            raise TooMany(f"a socket may play back {OF_A_SOCKET_MAX} backtests at once; unsubscribe from one first")
        rows = document["totalBars"] + _ROWS_OF_A_TRADE * int(document["summary"].get("totalTrades") or 0)
        if document.get("resampledFrom"):
            rows += _ROWS_OF_A_RESAMPLED_BAR * document["totalBars"]
        if len(self._rows) >= PLAYERS_MAX or (self._rows and sum(self._rows.values()) + rows > ROWS_MAX):
            raise TooMany("as many backtests are played back here as can be; ask again when one has ended")
        self._rows[key] = rows

    async def _play(self, key: _Key, player: Player, end: Data) -> None:
        backtest_id, user_id = key[1], key[0].user_id
        playing = asyncio.create_task(player.play(end))
        try:
            while not (await asyncio.wait([playing], timeout=LOOK_EVERY_S))[0]:
                await self._look(backtest_id, user_id)
            playing.result()
        except BackfleetError as error:
            code = DELETED if isinstance(error, NotFound) else error.code
            player.fail(f"The replay ended: {error.message}", code, self._store.now_ms())
        except Exception:
            log.exception("the replay of %s broke", backtest_id)
            surprise = BackfleetError("surprise")
            player.fail("The replay broke; subscribe with replay again", surprise.code, self._store.now_ms())
        finally:
            playing.cancel()
            await asyncio.wait([playing])

    def _ended(self, key: _Key, _task: object) -> None:
        self._players.pop(key).close()
        del self._rows[key], self._playing[key]

    async def _look(self, backtest_id: str, user_id: str) -> None:
        """Raises `NotFound` once it has been deleted."""
        try:
            await self._store.get(backtest_id, user_id)
        except StoreUnavailable as error:
            log.info("whether %s is still there is not known: %s", backtest_id, error.message)

    # What is stored

    async def _open(self, record: BacktestRecord, document: ResultDocument) -> StoredRun:
        return StoredRun(record["params"], *await self._stored.tables(record, document))


def _bar_of(run: StoredRun, asked: Replay) -> int:
    if isinstance(asked.begin, datetime):
        return run.bar_at(to_ms(asked.begin))
    if asked.begin > run.total_bars:
        raise InvalidRequest.of("replay.from", f"must be at most {run.total_bars}, which is how many bars there are")
    return asked.begin


def _end_of(record: BacktestRecord) -> Data:
    """What was said of its end, without its place among the news of the run."""
    news = terminal_news(record)
    said: dict[str, Any] = json.loads(news["payload"]) if news else {"resultId": record["resultId"]}
    return {name: value for name, value in said.items() if name not in ("epoch", "seq")}
