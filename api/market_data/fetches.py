"""Fetches from exchanges for who asks over HTTP: a line for each step of the way, and one import or none.

Who goes away ends his fetch. There is no way to name a server: which addresses a gateway speaks to is not for those to
say who ask it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import pkgutil
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

from pydantic import Field, model_validator

from api.market_data.exchanges import import_ccxt, open_exchange
from api.market_data.fetching import Fetch, FetchOrder
from api.market_data.library import import_as_wire
from api.problems import problem_of
from shared.candles import Candles, ImportReport, OnConflict
from shared.errors import BackfleetError, Busy, InvalidRequest, Refusal, TooMany
from shared.instants import Instant, Interval, iso_from_ms, to_ms, write_instant
from shared.renaming import in_words
from shared.request import SYMBOL_LETTERS, SYMBOL_PATTERN, Symbol
from shared.wire import Asked, matches

log = logging.getLogger(__name__)

FETCHES_MAX = 4
BARS_MAX = 1_000_000  # 48 MB of each fetch until it is stored
FETCH_TIMEOUT_S = 3_600.0
# What is said to who types the command, in the words of who sends a request.
_WORDS = {
    "--since": "startDate",
    "--until": "endDate",
    "--as": "as",
    "Run the same command again later: it goes on from what is stored": "Nothing was stored; ask again later",
    "Run the same command again then: it goes on from what is stored": "Nothing was stored; ask again then",
    "Run the same command again": "Ask again",
    "What came before is stored; try again": "Nothing was stored; try again",
    "try --base-url with a mirror, or another exchange": "try another exchange",
    "backfleet data fetch speaks": "this gateway speaks",
}


class FetchRequest(Asked):
    """The body of `POST /api/algo/data/fetch`."""

    exchange: str = Field(min_length=1, max_length=40, description="As `GET …/data/exchanges` names it.")
    symbol: str = Field(min_length=1, max_length=60, description="As the exchange writes it.", examples=["BTC/USDT"])
    interval: Interval = Field(description="Length of the bars.", examples=["1h"])
    start_date: Instant | None = Field(default=None, description="First date or instant; else from the last bar on.")
    end_date: Instant | None = Field(default=None, description="Exclusive; else until now.")
    stored_as: Symbol | None = Field(
        default=None, alias="as", description="What to call it; else as the exchange does, without the slash."
    )
    on_conflict: OnConflict = Field(default="refuse", description="What becomes of stored bars with other values.")

    @model_validator(mode="after")
    def _range_is_not_empty(self) -> Self:
        if self.start_date and self.end_date and self.start_date >= self.end_date:
            raise ValueError(
                f"startDate {write_instant(self.start_date)} must be before endDate {write_instant(self.end_date)}"
            )
        return self

    @property
    def order(self) -> FetchOrder:
        """Raises `InvalidRequest` for a symbol that cannot be a series' name."""
        symbol = self.stored_as or self.symbol.replace("/", "")
        if not matches(SYMBOL_PATTERN, symbol):
            raise InvalidRequest.of("as", f"{symbol!r} cannot be the name of a series; give one of {SYMBOL_LETTERS}")
        since_ms, until_ms = (to_ms(one) if one else None for one in (self.start_date, self.end_date))
        return FetchOrder(symbol, self.interval, since_ms, until_ms, self.on_conflict)


class Begun(NamedTuple):
    """A fetch under way: JSON, line by line, the last of which has what was imported, or why nothing was."""

    lines: AsyncIterator[bytes]
    cancel: Callable[[], object]


class Fetches:
    """One at a time for each user, and `FETCHES_MAX` for all of this gateway."""

    def __init__(self, candles: Candles) -> None:
        self._candles = candles
        self._users: set[str] = set()

    async def begin(self, user_id: str, request: FetchRequest) -> Begun:
        """Whoever is told no more must cancel it.

        Raises what can be said before anything is fetched: `InvalidRequest`, `ConfigurationError`, `TooMany`, `Busy`.
        """
        order = request.order
        if user_id in self._users:
            raise TooMany("a fetch of yours is under way here; wait for its end")
        if len(self._users) >= FETCHES_MAX:
            raise Busy(f"{FETCHES_MAX} fetches are under way here; try again when one has ended")
        self._users.add(user_id)
        meter = _Meter()
        fetching = asyncio.create_task(self._fetch(request, order, meter))
        fetching.add_done_callback(partial(self._ended, user_id, meter))
        lines = _lines(fetching, meter)
        first = await anext(lines)
        return Begun(_after(first, lines), fetching.cancel)

    def _ended(self, user_id: str, meter: _Meter, _fetching: object) -> None:
        self._users.discard(user_id)
        meter.changed.set()

    async def _fetch(self, request: FetchRequest, order: FetchOrder, meter: _Meter) -> ImportReport:
        with in_words(_WORDS):
            try:
                async with asyncio.timeout(FETCH_TIMEOUT_S):
                    return await self._fetch_all(request, order, meter)
            except TimeoutError:
                raise Refusal(f"the fetch took more than {FETCH_TIMEOUT_S:g} s; ask for less at once") from None

    async def _fetch_all(self, request: FetchRequest, order: FetchOrder, meter: _Meter) -> ImportReport:
        await asyncio.to_thread(import_ccxt)  # it takes seconds
        async with open_exchange(request.exchange, request.symbol, order.interval, watcher=meter) as exchange:
            fetch = Fetch(self._candles, exchange, order, watcher=meter, bars_max=BARS_MAX)
            await fetch.plan()
            await fetch.fetch()
        if fetch.report is None:
            what = f"{exchange.name} has no finished {order.interval} candles of {exchange.symbol} there"
            raise InvalidRequest.of("--since", f"{what}; ask for another range", "no_bars")
        return replace(fetch.report, notes=tuple(fetch.notes))


class _Meter:
    """How far a fetch has come: what a line tells of is the newest, however slowly lines are taken."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self._bars = 0
        self._said: list[dict[str, Any]] = []

    def begins(self, since_ms: int, end_ms: int) -> None:
        self._say({"fetched": self._bars, "until": iso_from_ms(since_ms)})

    def reached(self, until_ms: int, bars: int) -> None:
        self._bars += bars
        self._say({"fetched": self._bars, "until": iso_from_ms(until_ms)})

    def waits(self, reason: str, pause_s: float) -> None:
        self._say({"waits": reason, "seconds": round(pause_s, 3)})

    def _say(self, line: dict[str, Any]) -> None:
        self._said = [line]
        self.changed.set()

    def take(self) -> list[dict[str, Any]]:
        said, self._said = self._said, []
        self.changed.clear()
        return said


async def _lines(fetching: asyncio.Task[ImportReport], meter: _Meter) -> AsyncGenerator[bytes]:
    """Raises what the fetch does before it has begun; afterwards that is its last line."""
    begun = False
    try:
        while not fetching.done():
            await meter.changed.wait()
            for line in meter.take():
                begun = True
                yield _line(line)
        try:
            yield _line({"imported": import_as_wire(fetching.result())})
        except BackfleetError as error:
            if not begun:
                raise
            yield _line({"problem": problem_of(error)})
        except Exception:
            if not begun:
                raise
            log.exception("a fetch broke")
            yield _line({"problem": problem_of(BackfleetError("surprise"))})
    finally:
        fetching.cancel()  # It is not waited for: its place is free when it ends.


async def _after(first: bytes, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for line in lines:
        yield line


def _line(said: dict[str, Any]) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"


def list_exchanges() -> dict[str, Any]:
    """The names that a fetch may be from, or how to make this gateway able to. ccxt, which takes seconds, is not loaded
    for that: it has a module for each."""
    found = importlib.util.find_spec("ccxt")
    if found is None or found.origin is None:
        remedy = (
            'this gateway speaks to exchanges through ccxt, which is not installed: pip install "backfleet[exchanges]"'
        )
        return {"available": False, "exchanges": [], "remedy": remedy}
    folder = Path(found.origin).parent / "async_support"
    names = sorted(one.name for one in pkgutil.iter_modules([str(folder)]) if not one.ispkg)
    return {"available": True, "exchanges": names, "remedy": None}
