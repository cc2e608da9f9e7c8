"""The gateway's composition root: everything is built here, once, and handed to the edges."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from api.accounts import Accounts
from api.agents import Agents
from api.analysis import Analyses
from api.auth import Authenticator
from api.awaited import Awaited
from api.charts import Charts
from api.commands import Commands
from api.compression import Compression
from api.decisions import Decisions
from api.exporting.exports import Exports
from api.fleet import Fleet
from api.gate import Gate
from api.limits import LoginLimits
from api.llm_keys import LlmKeys
from api.market_data.fetches import Fetches
from api.market_data.library import Library
from api.market_data.uploads import Uploads
from api.mcp.edge import PATH as MCP_PATH
from api.mcp.edge import McpEdge, McpRoute
from api.metrics import MeasuredHttp, Metrics
from api.missed import Missed
from api.newcomers import Newcomers
from api.origins import Origins
from api.passwords import Passwords
from api.pieces import Piece
from api.problems import install_problems
from api.relay import Relay
from api.replays import Replays
from api.revocation import look_again
from api.routes import include_routes
from api.services import Services
from api.sockets import PATH, Sockets
from api.ws import PATH as PLAIN_PATH
from api.ws import PlainSockets
from shared import package_version
from shared.adoption import Adoption
from shared.bus import Bus
from shared.database import Database
from shared.errors import BackfleetError
from shared.lifecycle import Status
from shared.mongo import Mongo
from shared.overview import Overview
from shared.records import BacktestRecord
from shared.settings import Settings
from shared.steering import Steering

log = logging.getLogger(__name__)

_CANCEL_AGAIN_S = 0.5
STORE_CLOCK_INTERVAL_S = 60.0


def create_app(settings: Settings) -> ASGIApp:
    """The gateway as an ASGI application. Raises `ConfigurationError` for missing or weak secrets."""
    authenticator, passwords = Authenticator(settings), Passwords(settings)
    metrics = Metrics()
    app = FastAPI(title="backfleet", version=package_version(), docs_url=None, redoc_url=None)
    include_routes(app, package_version())
    app.router.routes.append(Route(MCP_PATH, McpRoute()))
    install_problems(app)
    http = Origins(settings).around(Compression(MeasuredHttp(app, metrics)))

    @asynccontextmanager
    async def open_edges() -> AsyncGenerator[Edges, None]:
        async with _open_services(settings, authenticator, passwords, metrics) as services:
            app.state.services = services
            sockets, plain = Sockets(services), PlainSockets(services)
            mcp = app.state.mcp = McpEdge(services, app)
            metrics.sockets = partial(_counts, sockets, plain)
            looking = asyncio.create_task(look_again(services.gate, [sockets, plain, mcp]))
            try:
                mongo = services.mongo
                yield Edges(*(_refusing_at_once(mongo, edge) for edge in (http, sockets, plain)))
            finally:
                await _cancel(looking)
                services.newcomers.close()
                await mcp.close()
                await plain.close()
                await sockets.close()

    return Gateway(http, open_edges)


@asynccontextmanager
async def _open_services(
    settings: Settings, authenticator: Authenticator, passwords: Passwords, metrics: Metrics
) -> AsyncGenerator[Services, None]:
    async with AsyncExitStack() as stack:
        database = await Database.open(settings)
        stack.push_async_callback(database.close)
        bus = await Bus.open(settings)
        stack.push_async_callback(bus.close)
        fleet = Fleet(Overview(database.mongo), bus)
        metrics.watch(fleet)
        relay = Relay(database.store, bus)
        replays = Replays(database)
        stack.push_async_callback(replays.close)
        awaited = Awaited()

        def on_heard(piece: Piece) -> None:
            metrics.heard(piece)
            awaited.heard(piece)

        relay.on_heard = on_heard

        def on_submitted(record: BacktestRecord) -> None:
            if record["status"] != Status.PAUSED:  # Else how long it waits is its asker's choice.
                metrics.submitted(record["_id"])
            relay.watch(record["_id"], record["userId"])

        adoption = Adoption(database.store, bus, settings)
        mongo = database.mongo
        watching = (mongo.outage.watch(), bus.outage.watch())
        for work in (relay.relay(), adoption.listen(), _keep_store_clock(mongo), *watching):
            stack.push_async_callback(_cancel, asyncio.create_task(work))
        limits = LoginLimits(bus, _secret(settings))
        commands = Commands(
            database, bus, settings, steering=Steering(database, bus), awaited=awaited, on_submitted=on_submitted
        )
        decisions = Decisions(database.store, database.llm.decisions)
        charts = Charts(database, settings)
        yield Services(
            settings=settings,
            gate=Gate(authenticator, database.users),
            accounts=Accounts(settings, database.users, database.families, passwords, limits),
            commands=commands,
            analyses=Analyses(database),
            charts=charts,
            library=Library(database),
            exports=Exports(database, commands, charts, decisions),
            decisions=decisions,
            agents=Agents(database.llm.agents),
            llm_keys=LlmKeys(database.llm.keys, settings),
            relay=relay,
            replays=replays,
            missed=Missed(database.store),
            newcomers=Newcomers(settings),
            uploads=Uploads(database.candles, settings),
            fetches=Fetches(database.candles),
            fleet=fleet,
            metrics=metrics,
            mongo=mongo,
            bus=bus,
        )


@dataclass(frozen=True, slots=True)
class Edges:
    """What serves HTTP, Socket.IO and the plain WebSocket, with all that stands behind them open."""

    http: ASGIApp
    sockets: ASGIApp
    plain: ASGIApp


class Gateway:
    """Splits requests between HTTP, Socket.IO and the plain WebSocket, and says in one line why it cannot start."""

    def __init__(self, http: ASGIApp, open_edges: Callable[[], AbstractAsyncContextManager[Edges]]) -> None:
        """`open_edges` opens all that stands behind both edges."""
        self._open_edges = open_edges
        # Before the lifespan has begun nothing is served; a server that tried would hear of it.
        self._edges = Edges(http, http, http)
        self._prefix = f"/{PATH}/"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif f"{scope['path']}/".startswith(self._prefix):
            await self._serve_socket(scope, receive, send)
        elif scope["type"] == "websocket" and scope["path"].rstrip("/") == PLAIN_PATH:
            await self._edges.plain(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send(
                {"type": "websocket.close", "code": 1000, "reason": f"no socket here; try /{PATH}/ or {PLAIN_PATH}"}
            )
        else:
            await self._edges.http(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """The lifespan protocol: everything is open before the first request, and closed after the last."""
        await receive()
        async with AsyncExitStack() as stack:
            try:
                self._edges = await stack.enter_async_context(self._open_edges())
            except BackfleetError as error:
                await send({"type": "lifespan.startup.failed", "message": f"Cannot start: {error.message}"})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._edges.sockets(scope, receive, send)
        except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
            # The library lets a frame that is not of its protocol end the connection with an exception.
            log.info("closed a connection that does not speak Engine.IO: %s: %s", type(error).__name__, error)


def _counts(sockets: Sockets, plain: PlainSockets) -> tuple[int, int, int]:
    """Of both edges: how many sockets are open, signed in, and to how many backtests they subscribe."""
    (opened, signed_in, subscriptions), more = sockets.counts(), plain.counts()
    return opened + more[0], signed_in + more[1], subscriptions + more[2]


def _refusing_at_once(mongo: Mongo, edge: ASGIApp) -> ASGIApp:
    """Clients can ask again, so they need not wait for a server that is known to be away."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        with mongo.refusing_at_once():
            await edge(scope, receive, send)

    return serve


def _secret(settings: Settings) -> bytes:
    """What the counts of all gateways are keyed with; of no use where an outside issuer makes the tokens."""
    return settings.jwt_secret.get_secret_value().encode() if settings.jwt_secret else b""


async def _cancel(task: asyncio.Task[None]) -> None:
    """Until it has ended. A driver may take a cancellation for the end of its own time, so that its task goes on."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_CANCEL_AGAIN_S)


async def _keep_store_clock(mongo: Mongo) -> None:
    while True:
        await asyncio.sleep(STORE_CLOCK_INTERVAL_S)
        try:
            await mongo.sync_clock()
        except BackfleetError as error:
            log.warning("the store's clock could not be read: %s", error.message)
