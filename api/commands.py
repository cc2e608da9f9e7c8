"""Every inbound verb, once: validate → store → bus. The edges (HTTP, sockets) translate and call these."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from pydantic import JsonValue

from api.auth import Identity
from api.awaited import Awaited, Controlled
from api.estimates import Estimates
from api.in_turn import InTurn
from api.stored_result import StoredResults
from api.trades import AS_CLOSED, Choice, Trades
from shared import news
from shared.bus import Bus
from shared.contracts import Channel, Task, ValidateRequest
from shared.controls import ControlRequest
from shared.database import Database
from shared.errors import BusUnavailable, FieldError, InvalidRequest
from shared.instants import iso_from_ms, read_instant_ms
from shared.lifecycle import TERMINAL, Status
from shared.records import BacktestRecord, new_id
from shared.request import SYMBOL_PATTERN, BacktestRequest
from shared.results import Result, ResultDocument
from shared.settings import Settings
from shared.steering import Steering
from shared.strategies import catalogue, resolve
from shared.wire import matches, storable

log = logging.getLogger(__name__)

KEY_MAX_CHARS = 200
PAGE_MAX = 200
POINTS_MAX = 20_000
TRADES_PAGE_MAX = 5_000
LOGS_PAGE_MAX = 1_000
TABLES_AT_ONCE = 2  # read for one user: more would only wait for each other, and everybody else for them


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, and how to ask for the next one (None at the end)."""

    items: list[dict[str, Any]]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Submitted:
    """A backtest that was asked for, as it stands. `created` is False where its key had been used before."""

    record: BacktestRecord
    created: bool

    @property
    def backtest_id(self) -> str:
        return self.record["_id"]

    @property
    def ended(self) -> bool:
        return Status(self.record["status"]) in TERMINAL

    def as_wire(self) -> dict[str, Any]:
        """Of a new one only its id and status; of another one also how far it is, its result and its error."""
        wire = backtest_as_wire(self.record)
        named = ("backtestId", "status") if self.created else ("backtestId", "status", "progress", "resultId", "error")
        return {name: wire[name] for name in named if wire[name] is not None}


class Commands:
    """What a user can ask for. Every method takes who asks; nothing of anybody else's can be reached."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        settings: Settings,
        *,
        steering: Steering,
        awaited: Awaited,
        on_submitted: Callable[[BacktestRecord], None],
    ) -> None:
        """`on_submitted` is called with each record, whichever edge it comes in by, unless it has ended already."""
        self._store = database.store
        self._results = database.results
        self._stored = StoredResults(database)
        self._trades = Trades(database.results)
        self._candles = database.candles
        self._run_logs = database.run_logs
        self._bus = bus
        self._steering = steering
        self._awaited = awaited
        self._estimates = Estimates(database, settings)
        self._on_submitted = on_submitted
        self._tables = InTurn(TABLES_AT_ONCE)

    async def submit(
        self,
        asker: Identity,
        request: BacktestRequest,
        idempotency_key: str | None = None,
        *,
        keep_s: float = 0.0,
        labels: Mapping[str, str] | None = None,
    ) -> Submitted:
        """Stores a backtest and rings for a worker, unless it begins paused. From here on it cannot vanish (S9), unless
        `keep_s` says how long one that nobody starts is kept. `labels` are told with its start, as they are.

        Where the key was used for the same request before, that backtest is the answer, as it stands now.
        Raises `InvalidRequest` (also `UnknownMarketData`, `SpendingLimit`), `StrategyFailed`, `TooMany`,
        `StoreUnavailable`.
        """
        check_key(idempotency_key)
        prepared = await self._estimates.prepare(asker, request)
        params = prepared.params
        if idempotency_key is None or not await self._store.key_is_used(asker.user_id, idempotency_key):
            await self._estimates.check_spending(asker, prepared)
        record, created = await self._store.insert(
            user_id=asker.user_id,
            params=params,
            priority=request.priority,
            idempotency_key=idempotency_key,
            asked=request.params(),
            bars=prepared.bars,
            keep_s=keep_s,
            labels={**prepared.labels, **(labels or {})},
        )
        if record["status"] == Status.PENDING:
            task = Task(
                backtest_id=record["_id"],
                user_id=asker.user_id,
                params=params,
                priority=request.priority,
                recorded=True,
            )
            try:
                await self._bus.ring(task)
            except BusUnavailable as error:
                # The record is the queue: a worker's sweep finds it without the bell.
                log.warning("backtest %s is stored but the bell did not ring: %s", record["_id"], error.message)
        submitted = Submitted(record, created)
        if not submitted.ended:
            self._on_submitted(record)
        return submitted

    async def estimate(self, asker: Identity, request: BacktestRequest) -> dict[str, Any]:
        """What it would ask language models, and what that may cost. Raises what `submit` does, but for limits."""
        return await self._estimates.estimate(asker, request)

    async def get(self, asker: Identity, backtest_id: str) -> dict[str, Any]:
        return backtest_as_wire(await self.record(asker, backtest_id))

    async def record(self, asker: Identity, backtest_id: str) -> BacktestRecord:
        """Raises `NotFound`."""
        return await self._store.get(backtest_id, asker.user_id)

    async def list_backtests(
        self, asker: Identity, *, status: str | None, limit: int, cursor: str | None, symbol: str | None = None
    ) -> Page:
        """One's own, newest first. A symbol of which there is none is an empty page."""
        records, next_cursor = await self.records(asker, status=status, limit=limit, cursor=cursor, symbol=symbol)
        return Page([backtest_as_wire(record) for record in records], next_cursor)

    async def records(
        self,
        asker: Identity,
        *,
        limit: int,
        cursor: str | None,
        status: str | None = None,
        symbol: str | None = None,
    ) -> tuple[list[BacktestRecord], str | None]:
        """The same as they are stored, and the cursor of the next page."""
        if status is not None and status not in set(Status):
            names = ", ".join(one.value for one in Status)
            raise InvalidRequest.of("status", f"must be one of {names} (got {status[:80]!r})")
        if symbol is not None and not matches(SYMBOL_PATTERN, symbol):
            raise InvalidRequest.of(
                "symbol", f"must be letters, digits and . _ / : -, at most 40 (got {symbol[:80]!r})"
            )
        return await self._store.list_page(asker.user_id, status=status, symbol=symbol, limit=limit, before=cursor)

    async def delete(self, asker: Identity, backtest_id: str) -> None:
        """Removes a backtest with all it left. Who watches one that had not ended hears that it was deleted."""
        record = await self._store.delete(backtest_id, asker.user_id)
        try:
            await self._bus.forget(backtest_id)
            if Status(record["status"]) not in TERMINAL:
                # Under an epoch of its own, which also keeps the run that is still under way from saying more.
                await self._bus.publish(Channel.ERROR, news.deleted(record, self._store.now_ms()))
        except BusUnavailable as error:
            log.warning("backtest %s is deleted but nobody was told: %s", backtest_id, error.message)

    async def control(self, asker: Identity, backtest_id: str, asked: ControlRequest) -> Controlled:
        """Asks something of a backtest, and waits a moment for the word of whoever runs it.

        Raises `NotFound`, `Conflict` where it makes no sense as things stand, `InvalidRequest`, `TooMany` and
        `Unavailable`.
        """
        command_id = asked.command_id or new_id("cmd")
        with self._awaited.word_of(backtest_id, asker.user_id, command_id) as word:
            steered = await self._steering.request(backtest_id, asker.user_id, asked, command_id)
            if steered.done:
                return Controlled(steered)
            said = await word.wait() if steered.rung else None
        if said is None:
            steered = replace(steered, record=await self._store.get(backtest_id, asker.user_id))
        return Controlled(steered, said)

    async def result(self, asker: Identity, backtest_id: str) -> dict[str, Any]:
        """Raises `NotFound` for no such backtest, `Conflict` for one that has no result (yet)."""
        return Result.of(await self._read_result(asker, backtest_id)).as_wire()

    async def equity(self, asker: Identity, backtest_id: str, max_points: int) -> str:
        """JSON of at most `max_points` of the equity curve: first, last, and each stretch's lowest and highest."""
        async with self._tables.turn_of(asker.user_id):
            document = await self._read_result(asker, backtest_id)
            return await self._results.read_equity(document, max_points)

    async def trades(
        self, asker: Identity, backtest_id: str, *, limit: int, offset: int, choice: Choice = AS_CLOSED
    ) -> str:
        """JSON of one page of the trades that were chosen, in the order that was, and how many there are of them."""
        async with self._tables.turn_of(asker.user_id):
            document = await self._read_result(asker, backtest_id)
            return await self._trades.page(document, choice, limit=limit, offset=offset)

    async def logs(self, asker: Identity, backtest_id: str, *, after: int, limit: int) -> dict[str, Any]:
        """What its runs logged after the line `after`, while it runs and afterwards. Raises `NotFound`."""
        await self._store.get(backtest_id, asker.user_id)
        page = await self._run_logs.read(backtest_id, after, limit)
        last = page.entries[-1]["number"] if page.entries else after
        return {"items": page.entries, "after": last, "more": page.more}

    async def _read_result(self, asker: Identity, backtest_id: str) -> ResultDocument:
        return (await self._stored.read(asker.user_id, backtest_id))[1]

    def strategies(self) -> list[dict[str, Any]]:
        return [
            {
                "id": one.id,
                "name": one.name,
                "description": one.description,
                "aliases": list(one.aliases),
                "form": one.form,
                "every": one.every,
                "parametersSchema": one.parameters_schema,
                "defaultParameters": one.default_parameters,
                **({"language": one.language} if one.language else {}),
            }
            for one in catalogue()
        ]

    def validate_strategy(self, request: ValidateRequest) -> list[dict[str, Any]]:
        """What is wrong with a strategy and its parameters; paths begin with `strategy` or `params`. Of a text it is
        also said where in it.
        """
        try:
            storable(cast("JsonValue", request.params))
        except ValueError as error:
            return [FieldError("params", str(error)).as_wire()]
        try:
            resolve([request.strategy], {request.strategy: request.params} if request.params else {})
        except InvalidRequest as error:
            return [_from_here(one, request.strategy) for one in error.errors]
        return []

    async def total_bars(self, record: BacktestRecord) -> int:
        """How many bars a backtest is about; 0 where nobody has looked yet. Not of one that ended without a result,
        whose bars may be gone."""
        if not record["manifestId"]:
            return 0
        params = record["params"]
        start_ms, end_ms = (read_instant_ms(name, params[name]) for name in ("startDate", "endDate"))
        bars = await self._candles.reopen(record["manifestId"], params["interval"], start_ms, end_ms)
        return bars.total_bars

    async def symbol_meant(self, symbol: str) -> str:
        """The stored symbol of the same letters and digits (`BTC-USD` means `BTCUSD`) where that is exactly one; else
        the symbol as it is."""
        return await self._candles.symbol_meant(symbol)


def _from_here(error: FieldError, strategy: str) -> dict[str, Any]:
    """With the path as the sender of `/strategies/validate` wrote it, not as a backtest's body would have it."""
    prefix = f"strategyParams.{strategy}"
    here = error.field.startswith(prefix)
    field = "params" + error.field.removeprefix(prefix) if here else "strategy"
    return error.as_wire() | {"field": field} | (error.place._asdict() if error.place else {})


def check_key(key: str | None) -> None:
    """Raises `InvalidRequest` for an Idempotency-Key that is empty, too long or not plain text."""
    if key is None:
        return
    if not (1 <= len(key) <= KEY_MAX_CHARS and key.isascii() and key.isprintable()):
        raise InvalidRequest.of("Idempotency-Key", f"must be 1 to {KEY_MAX_CHARS} printable ASCII characters")


_INSTANTS = ("createdAt", "updatedAt", "startedAt", "completedAt")


def backtest_as_wire(record: BacktestRecord) -> dict[str, Any]:
    """A record as its owner sees it: nothing of leases, claims or workers."""
    wire: dict[str, Any] = {
        "backtestId": record["_id"],
        "status": record["status"],
        "progress": record["progress"],
        "priority": record["priority"],
        "params": record["params"],
        "epoch": record["epoch"],
        "failures": record["failures"],
    }
    for name in _INSTANTS:
        wire[name] = iso_from_ms(record[name]) if record[name] else None
    wire["resultId"] = record["resultId"] or None
    wire["datasetHash"] = record["datasetHash"] or None
    wire["error"] = record.get("error")
    wire["warnings"] = record.get("warnings", [])
    return wire
