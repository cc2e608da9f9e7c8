"""What may be taken along of a backtest, in which form; and how many do so at once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Literal, NamedTuple

from api.analysis import analysis_of
from api.auth import Identity
from api.charts import Charts
from api.commands import LOGS_PAGE_MAX, Commands, backtest_as_wire
from api.decisions import DECISIONS_PAGE_MAX, Decisions
from api.exporting import document as written
from api.exporting.delimited import csv_pieces
from api.exporting.parquet import parquet_pieces, require_pyarrow
from api.exporting.tables import (
    CONTEXT_COLUMNS,
    DECISION_COLUMNS,
    EQUITY_COLUMNS,
    TRADE_COLUMNS,
    Table,
    TableName,
    decision_parts,
    equity_parts,
    trade_parts,
)
from api.stored_result import StoredResults
from shared.contracts import CandlesRequest
from shared.database import Database
from shared.errors import BackfleetError, Busy, InvalidRequest, StoreUnavailable, TooMany
from shared.instants import iso_from_ms
from shared.records import BacktestRecord
from shared.results import Result
from shared.wire import validate

# Each holds the tables of a result until its last byte is sent.
AT_ONCE = 4
OF_A_USER = 2
ANALYSIS_POINTS = 2_000
CANDLES_AT_MOST = 2_000
PROMPTS_AT_ONCE = 100

ExportFormat = Literal["csv", "parquet", "json", "html"]
_MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8; header=present",
    "parquet": "application/vnd.apache.parquet",
    "json": "application/json",
    "html": "text/html; charset=utf-8",
}


class Asked(NamedTuple):
    """`table` goes with CSV and Parquet: trades where it is left out. `context` adds to decisions what was asked and
    answered."""

    format: ExportFormat = "json"
    table: TableName | None = None
    context: bool = False


class Export:
    """A file on its way. Whoever opens one closes it."""

    def __init__(
        self, name: str, media_type: str, pieces: AsyncGenerator[bytes], on_closed: Callable[[], None]
    ) -> None:
        self.name = name
        self.media_type = media_type
        self.pieces = pieces
        self._on_closed = on_closed

    async def close(self) -> None:
        on_closed, self._on_closed = self._on_closed, lambda: None
        on_closed()
        await self.pieces.aclose()


class Exports:
    """Of one's own backtests."""

    def __init__(self, database: Database, commands: Commands, charts: Charts, decisions: Decisions) -> None:
        self._store = database.store
        self._stored = StoredResults(database)
        self._commands = commands
        self._charts = charts
        self._decisions = decisions
        self._under_way: Counter[str] = Counter()

    async def open(self, asker: Identity, backtest_id: str, asked: Asked) -> Export:
        """What can be refused is refused here, before the first byte.

        Raises `NotFound`, `Conflict` for a backtest that has no result (yet), `InvalidRequest` for what does not go
        together, `NotInstalled`, `TooMany`, `Busy` and `StoreUnavailable`.
        """
        record = await self._store.get(backtest_id, asker.user_id)
        _check(asked)
        close = self._take_place(asker.user_id)
        try:
            if asked.format in ("json", "html"):
                pieces = await self._whole(asker, backtest_id, asked)
            else:
                table = await self._table(asker, record, asked)
                pieces = csv_pieces(table) if asked.format == "csv" else parquet_pieces(table)
        except BaseException:
            close()
            raise
        return Export(_file_name(backtest_id, asked), _MEDIA_TYPES[asked.format], pieces, close)

    def _take_place(self, user_id: str) -> Callable[[], None]:
        if self._under_way[user_id] >= OF_A_USER:
            raise TooMany(f"{OF_A_USER} exports of yours are under way at this gateway; wait until one has ended")
        if self._under_way.total() >= AT_ONCE:
            raise Busy(f"{AT_ONCE} exports are under way at this gateway; try again")
        self._under_way[user_id] += 1

        def leave() -> None:
            self._under_way[user_id] -= 1
            self._under_way += Counter()  # keeps nobody who has none

        return leave

    # What it is made of

    async def _table(self, asker: Identity, record: BacktestRecord, asked: Asked) -> Table:
        if asked.table == "decisions":
            columns = (*DECISION_COLUMNS, *(CONTEXT_COLUMNS if asked.context else ()))
            return Table(columns, decision_parts(self._decision_pages(asker, record["_id"], asked.context)))
        _, document = await self._stored.read(asker.user_id, record["_id"])
        if asked.table == "equity":
            return Table(EQUITY_COLUMNS, equity_parts(await self._stored.equity(document)))
        trades = await self._stored.trades(document)
        return Table(TRADE_COLUMNS, trade_parts(trades, document["config"]["strategies"]))

    async def _whole(self, asker: Identity, backtest_id: str, asked: Asked) -> AsyncGenerator[bytes]:
        template = written.read_template() if asked.format == "html" else None
        record, document = await self._stored.read(asker.user_id, backtest_id)
        tables = await self._stored.tables(record, document)
        fields: dict[str, str | AsyncIterator[str]] = {
            "exportedAt": written.dumped(iso_from_ms(self._store.now_ms())),
            "backtest": written.dumped(backtest_as_wire(record)),
            "result": written.dumped(Result.of(document).as_wire()),
            "analysis": await analysis_of(document, tables, ANALYSIS_POINTS),
        }
        strategies: list[str] = document["config"]["strategies"]
        if template is not None:
            fields |= {
                "trades": written.trade_rows(tables.trades, strategies, written.REPORT_TRADES_MAX),
                "tradesTotal": written.dumped(len(tables.trades["pnl"])),
                "candles": written.dumped(await self._candles_of(asker, backtest_id)),
            }
            return written.encoded(written.page_pieces(template, written.object_pieces(fields)))
        fields |= {
            "equity": written.equity_rows(tables.equity),
            "trades": written.trade_rows(tables.trades, strategies),
            "decisions": written.item_rows(self._decision_pages(asker, backtest_id, asked.context)),
            "logs": written.item_rows(self._log_pages(asker, backtest_id)),
        }
        return written.encoded(written.object_pieces(fields))

    async def _decision_pages(
        self, asker: Identity, backtest_id: str, context: bool
    ) -> AsyncGenerator[list[dict[str, Any]]]:
        after, more = -1, True
        while more:
            limit = PROMPTS_AT_ONCE if context else DECISIONS_PAGE_MAX
            page = await self._decisions.page(asker, backtest_id, after=after, limit=limit, context=context)
            after, more = page["after"], page["more"]
            yield page["items"]

    async def _log_pages(self, asker: Identity, backtest_id: str) -> AsyncGenerator[list[dict[str, Any]]]:
        after, more = 0, True
        while more:
            page = await self._commands.logs(asker, backtest_id, after=after, limit=LOGS_PAGE_MAX)
            after, more = page["after"], page["more"]
            yield page["items"]

    async def _candles_of(self, asker: Identity, backtest_id: str) -> dict[str, Any] | None:
        """The bars that it ran, as a page plots them; None where they cannot be had any more."""
        try:
            asked = validate(CandlesRequest, {"maxPoints": CANDLES_AT_MOST})
            return await self._charts.read_of_run(
                await self._charts.find_of_run(asker, backtest_id, asked, indicators=False)
            )
        except StoreUnavailable:
            raise
        except BackfleetError:
            return None


def _check(asked: Asked) -> None:
    """Raises `InvalidRequest` and `NotInstalled`."""
    whole = asked.format in ("json", "html")
    if whole and asked.table is not None:
        raise InvalidRequest.of("table", f"goes with csv and parquet, and {asked.format} has everything; leave it out")
    if asked.context and not (asked.format == "json" or asked.table == "decisions"):
        raise InvalidRequest.of("context", "goes with table=decisions and with format=json; leave it out")
    if asked.format == "parquet":
        require_pyarrow()


def _file_name(backtest_id: str, asked: Asked) -> str:
    """Of letters that no header and no file system takes for something else."""
    table = "" if asked.format in ("json", "html") else f"-{asked.table or 'trades'}"
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', backtest_id)}{table}.{asked.format}"
