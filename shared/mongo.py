"""The MongoDB server: its client, how durable a write is, what time it says it is, and its errors in our words.

Every collection is reached through `Mongo`, so that none is written with another write concern by mistake. Instants are
judged on the server's clock (`Mongo.now_ms`), never on this machine's.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from pymongo import AsyncMongoClient, ReturnDocument, WriteConcern
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import (
    ConnectionFailure,
    CursorNotFound,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WaitQueueTimeoutError,
    WTimeoutError,
)
from pymongo.read_concern import ReadConcern

from shared.errors import ConfigurationError, StoreUnavailable, StoreUnfit
from shared.instants import to_ms
from shared.outage import Outage, StoreAway
from shared.records import new_id
from shared.settings import Settings

Document = dict[str, Any]

_DURABLE = WriteConcern(w="majority", wtimeout=10_000)
_QUICK = WriteConcern(w=1)
_RACE_ROUNDS = 8
_RACE_CONTENDERS = 8
_NO_ANSWER = (ConnectionFailure, ExecutionTimeout, WTimeoutError, WaitQueueTimeoutError, CursorNotFound)
# Of whoever is refused at once while this server is away; others, such as who renews a lease, ask it all the same.
_HURRIED: ContextVar[Outage | None] = ContextVar("hurried", default=None)
_OPTIONS = re.compile(r" \(configured timeouts:[^)]*\)")
_SHOWN_LETTERS = 300  # a bulk error repeats the documents it was given


class Clock:
    """A server's clock, estimated: its time at one moment plus what our monotonic clock has counted since."""

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


@dataclass(frozen=True, slots=True)
class SettledReads:
    """Reads of which none shows what a failover takes back, nor anything older than one before it showed."""

    _database: AsyncDatabase[Document]
    _session: AsyncClientSession | None

    async def find(
        self,
        collection: str,
        query: Document,
        fields: Document,
        *,
        sort: Sequence[tuple[str, int]] | None = None,
        most: int = 0,
    ) -> list[Document]:
        """The fields of the documents that match, at most `most` of them where that is not 0."""
        found = self._database[collection].find(query, fields, sort=sort, limit=most, session=self._session)
        return await found.to_list()


class Mongo:
    """One server and one database of it. Build with `Mongo.open`."""

    def __init__(
        self,
        client: AsyncMongoClient[Document],
        database: str,
        timeout_s: float = 5.0,
        pinging: AsyncMongoClient[Document] | None = None,
    ) -> None:
        """`timeout_s` is what the client waits for one operation.

        `pinging` asks whether the server is there: were it the same client, its pings would wait with whatever waits
        for a connection while all of them are in use, and a server that is busy would count as away.
        """
        self._client = client
        self._pinging = pinging or client
        self._clock = Clock()
        self.outage = Outage("MongoDB", self._answers, timeout_s, self._is_lost)
        self.durable: AsyncDatabase[Document] = client.get_database(database, write_concern=_DURABLE)
        self._quick: AsyncDatabase[Document] = client.get_database(database, write_concern=_QUICK)

    @classmethod
    async def open(cls, settings: Settings) -> Self:
        """Connects, reads the server's clock and proves that its updates are atomic.

        Raises `ConfigurationError` for a URI that cannot be used, `StoreUnavailable` when no server answers and
        `StoreUnfit` when its updates are not atomic.
        """
        mongo = cls(
            _connect(settings), settings.mongodb_database, settings.store_timeout_s, _connect(settings, maxPoolSize=1)
        )
        try:
            await mongo.sync_clock()
            await prove_updates_are_atomic(mongo.durable)
        except BaseException:
            await mongo.close()
            raise
        return mongo

    async def close(self) -> None:
        await self._client.close()
        await self._pinging.close()

    async def ping(self) -> None:
        with translate_mongo_errors():
            await self._client.admin.command("ping")

    @contextmanager
    def refusing_at_once(self) -> Generator[None, None, None]:
        """Whatever is asked inside, also by tasks begun there, is refused at once while the server is known to be away.

        Known it is while `outage.watch` runs. For whoever has somebody waiting who can ask again.
        """
        before = _HURRIED.set(self.outage)
        try:
            yield
        finally:
            _HURRIED.reset(before)

    def _is_lost(self) -> bool:
        return not self._client.topology_description.has_readable_server()

    async def _answers(self) -> bool:
        try:
            await self._pinging.admin.command("ping")
        except ConnectionFailure:
            return False
        except PyMongoError:
            return True  # a refusal, which somebody is there to give
        return True

    async def sync_clock(self) -> None:
        """Reads the server's clock anew. Once a minute is enough: machines drift by microseconds in that time."""
        with translate_mongo_errors():
            sent_s = time.monotonic()
            hello = await self._client.admin.command("hello")
            self._clock.set(hello["localTime"], sent_s, time.monotonic())

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01T00:00Z on the server's clock."""
        return self._clock.now_ms()

    def collection(self, name: str) -> AsyncCollection[Document]:
        """What is written here is there after any one server dies."""
        return self.durable[name]

    def quick_collection(self, name: str) -> AsyncCollection[Document]:
        """For what is written again soon: a heartbeat, or a mark that only saves work."""
        return self._quick[name]

    @asynccontextmanager
    async def settled_reads(self) -> AsyncGenerator[SettledReads, None]:
        """In a causally consistent session with read concern majority, which MongoDB documents for this, where there
        are several servers. One alone has only one state, and keeps it in the order in which it came.
        """
        if not _is_one_of_several(await self._client.admin.command("hello")):
            yield SettledReads(self.durable, None)
            return
        majority = self.durable.with_options(read_concern=ReadConcern("majority"))
        async with self._client.start_session(causal_consistency=True) as session:
            yield SettledReads(majority, session)


def _connect(settings: Settings, **options: Any) -> AsyncMongoClient[Document]:
    timeout_ms = int(settings.store_timeout_s * 1000)
    try:
        return AsyncMongoClient(
            settings.mongodb_uri.get_secret_value(),
            appname="backfleet",
            tz_aware=True,
            serverSelectionTimeoutMS=timeout_ms,
            connectTimeoutMS=timeout_ms,
            socketTimeoutMS=timeout_ms,
            **options,
        )
    except (PyMongoError, ValueError) as error:
        # The driver's words may repeat a part of the URI, which may be a part of the password.
        raise ConfigurationError(
            f"BACKFLEET_MONGODB_URI cannot be used ({type(error).__name__}): it must read "
            "mongodb://user:password@host:port/, with user and password percent-encoded"
        ) from None


def _is_one_of_several(hello: Document) -> bool:
    return "setName" in hello or hello.get("msg") == "isdbgrid"


async def prove_updates_are_atomic(database: AsyncDatabase[dict[str, Any]]) -> None:
    """Races several clients for one scratch record, several times over; each race must have exactly one winner.

    Some servers that speak MongoDB's protocol run a conditional update as a read and a write. On such a server one
    backtest would be given to two workers, so it is refused. Raises `StoreUnfit` naming the server.
    """
    scratch = database["fitness"]
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


@contextmanager
def translate_mongo_errors() -> Generator[None, None, None]:
    """Turns what a MongoDB server did not answer, or refused to do, into `StoreUnavailable`.

    `DuplicateKeyError` passes: it is an answer, and who inserts knows what it means. So does what pymongo raises before
    it asks a server (a document too large, a closed client): that is a fault of ours, and trying again would hide it.
    Inside `Mongo.refusing_at_once` nothing is asked of a server that is known to be away: `StoreAway`.
    """
    outage = _HURRIED.get()
    if outage is not None and outage.away:
        raise StoreAway("MongoDB is away")
    try:
        yield
    except DuplicateKeyError:
        raise
    except _NO_ANSWER as error:
        if outage is not None and isinstance(error, ConnectionFailure):
            outage.suspect()
        raise StoreUnavailable(f"MongoDB did not answer: {_shown(error)}") from error
    except OperationFailure as error:
        raise StoreUnavailable(f"MongoDB refused (code {error.code}): {_shown(error)}") from error
    except PyMongoError as error:
        if error.timeout:
            raise StoreUnavailable(f"MongoDB did not answer in time: {_shown(error)}") from error
        raise


def _shown(error: PyMongoError) -> str:
    """What happened and where, without the driver's dump of its topology and options."""
    return _OPTIONS.sub("", str(error).partition(", Timeout:")[0])[:_SHOWN_LETTERS]
