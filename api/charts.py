"""Bars to plot, thinned to what a chart has room for: of a series as it is now, and of a backtest as it read them.

A backtest's come with the indicators of its strategies, as its run computes and names those of its candle events. They
are computed here, from the same bars, one backtest at a time in a thread; what was computed last is kept, because who
zooms asks again and again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from api.apart import begin_apart
from api.auth import Identity
from api.in_turn import InTurn
from shared import package_version
from shared.bars import Bars
from shared.candles import DamagedChunk, Slice
from shared.contracts import CandlesRequest
from shared.database import Database
from shared.errors import Busy, Conflict, FieldError, InvalidRequest, NotFound, StrategyFailed, UnknownMarketData
from shared.instants import INTERVAL_MS, iso_from_ms
from shared.records import BacktestRecord
from shared.request import BacktestParams
from shared.result_warnings import ResultWarning, WarningDocument
from shared.settings import Settings, keep_strategy_kernels
from shared.strategies import StrategyUse, resolve
from shared.strategies.catalogue import built_in
from shared.strategies.indicators import Indicators
from shared.strategies.strategy import Columns
from shared.strategies.warmup import warmup_bars
from shared.wire import validate

INDICATOR_BARS_MAX = 5_000_000  # a column of them is 40 MB, and a backtest may have sixteen
VALUES_KEPT_MAX = 20_000_000  # 160 MB of those that were computed last
COMPUTE_WITHIN_S = 60.0
DATA_CHANGED = "data_changed"
_RANGE_FIELDS = {"startDate": "from", "endDate": "to"}  # of a backtest, and of a look at the bars
_THIS_PROCESS = secrets.token_hex(4)


@dataclass(frozen=True, slots=True)
class CandlesFound:
    """Bars that were asked for, and the length of those that are sent."""

    bars: Slice
    bucket_ms: int

    @property
    def tag(self) -> str:
        """Equal tags: equal answers, whenever and by whichever gateway."""
        return f"{self.bars.dataset_hash.removeprefix('sha256:')}-{self.bucket_ms}"


@dataclass(frozen=True, slots=True)
class RunCandlesFound:
    """The same of a backtest. `whole` are all its bars and those before them that its indicators begin with; `uses` its
    strategies whose indicators are asked for, and `problems` why those of some are not."""

    record: BacktestRecord
    found: CandlesFound
    whole: Slice
    uses: Sequence[StrategyUse] = ()
    problems: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Equal keys: equal indicators. Those of a plug-in only in this process, which has its code as it is now."""
        ours = {one.id for one in built_in()}
        params = self.record["params"]
        named = [params["strategies"], params.get("strategyParams")]
        version = [package_version(), "" if all(use.strategy.id in ours for use in self.uses) else _THIS_PROCESS]
        text = json.dumps([self.whole.dataset_hash, self.whole.warmup_bars, named, version])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def tag(self) -> str:
        return f"{self.found.tag}-{self.key}" if self.uses or self.problems else self.found.tag


class _Computed(NamedTuple):
    """The indicators of one backtest at the times of its bars, and why some are not among them."""

    time_ms: NDArray[np.int64]
    columns: Columns
    problems: tuple[str, ...]

    @property
    def values(self) -> int:
        """How much memory it takes, and some for its name."""
        return 1_000 + len(self.time_ms) * (1 + len(self.columns))


class Charts:
    """Whoever looks at bars first finds them, which reads none and gives the tag, and then reads them."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._store = database.store
        self._results = database.results
        self._candles = database.candles
        self._settings = settings
        self._turns, self._computing = InTurn(), asyncio.Lock()
        self._under_way: asyncio.Future[_Computed] | None = None
        self._kept: OrderedDict[str, _Computed] = OrderedDict()

    async def find(self, symbol: str, interval: str, asked: CandlesRequest) -> CandlesFound:
        """Bars of a series. Raises `NotFound` for a symbol or an interval without, `InvalidRequest` for a range without
        any."""
        try:
            bars = await self._candles.resolve(symbol, interval, asked.start_ms, asked.end_ms)
        except UnknownMarketData as unknown:
            if unknown.errors[0].field not in _RANGE_FIELDS:
                raise NotFound(unknown.message, unknown.errors) from None
            raise _of_range(unknown) from None
        return await self._thinned(bars, asked)

    async def read(self, found: CandlesFound) -> dict[str, Any]:
        """The bars as columns. Each is exactly what the bars of its time come to."""
        return _as_wire(found, await self._read(found))

    async def find_of_run(
        self, asker: Identity, backtest_id: str, asked: CandlesRequest, *, indicators: bool
    ) -> RunCandlesFound:
        """Bars of a backtest: of the version of the data that it reads, or, where nobody has settled that yet, would.

        Raises `NotFound`, `Conflict` where they cannot be had as they were, `InvalidRequest` for a range without any.
        """
        record = await self._store.get(backtest_id, asker.user_id)
        params = validate(BacktestParams, record["params"])
        uses, problems = _strategies_of(params)
        whole = await self._whole(record, params, uses)
        part = await self._part(whole, params, asked)
        found = await self._thinned(part, asked)
        if not indicators:
            return RunCandlesFound(record, found, whole)
        if whole.total_bars + whole.warmup_bars > INDICATOR_BARS_MAX:
            problem = (
                f"indicators of {whole.total_bars:,} bars are not computed here: {INDICATOR_BARS_MAX:,} are the most"
            )
            return RunCandlesFound(record, found, whole, (), (problem,))
        return RunCandlesFound(record, found, whole, uses, problems)

    async def read_of_run(self, asked: RunCandlesFound) -> dict[str, Any]:
        """What `read` gives, and of the indicators the last value in each bar. Those that fail are told of."""
        bars = await self._read(asked.found)
        wire = _as_wire(asked.found, bars)
        columns: dict[str, list[float | None]] = {}
        problems = asked.problems
        if asked.uses:
            computed = await self._indicators(asked)
            columns = await asyncio.to_thread(_at_buckets, computed, asked.found, bars)
            problems += computed.problems
        warnings = [_warning(problem) for problem in problems]
        return {"backtestId": asked.record["_id"], **wire, "indicators": columns, "warnings": warnings}

    async def _thinned(self, bars: Slice, asked: CandlesRequest) -> CandlesFound:
        return CandlesFound(bars, await self._candles.plot_bucket_ms(bars, asked.max_points))

    async def _read(self, found: CandlesFound) -> Bars:
        resampled = found.bucket_ms != INTERVAL_MS[found.bars.interval]
        return await self._candles.read(found.bars, found.bucket_ms if resampled else 0)

    async def _whole(self, record: BacktestRecord, params: BacktestParams, uses: Sequence[StrategyUse]) -> Slice:
        wanted = (params.interval, params.start_ms, params.end_ms)
        before = await self._warmup_bars(record, params, uses)
        try:
            if not record["manifestId"]:
                return await self._candles.resolve(params.symbol, *wanted, warmup_bars=before)
            found = await self._candles.reopen(record["manifestId"], *wanted, warmup_bars=before)
        except UnknownMarketData as unknown:
            raise Conflict(unknown.message, unknown.errors) from None
        except DamagedChunk:
            raise _data_changed("the version of the data that it was to read is no longer kept") from None
        if found.dataset_hash != record["datasetHash"]:
            raise _data_changed("the bars that it reads are not the same any more")
        return found

    async def _warmup_bars(self, record: BacktestRecord, params: BacktestParams, uses: Sequence[StrategyUse]) -> int:
        """How many its run began with, or will."""
        if record["resultId"]:
            document = await self._results.read(record["resultId"], record["userId"])
            return document.get("warmupBars") or 0
        try:
            return warmup_bars(params, uses)
        except StrategyFailed as error:
            raise Conflict(error.message, error.errors) from error

    async def _part(self, whole: Slice, params: BacktestParams, asked: CandlesRequest) -> Slice:
        start_ms, end_ms = max(asked.start_ms, params.start_ms), min(asked.end_ms, params.end_ms)
        there = f"the backtest has bars from {iso_from_ms(whole.start_ms)} to {iso_from_ms(whole.end_ms)}"
        if start_ms >= whole.end_ms:
            raise InvalidRequest.of("from", f"{iso_from_ms(start_ms)} is after the last bar; {there}")
        if end_ms <= whole.start_ms:
            raise InvalidRequest.of("to", f"{iso_from_ms(end_ms)} is not after the first bar; {there}")
        try:
            return await self._candles.reopen(whole.manifest_id, params.interval, start_ms, end_ms)
        except UnknownMarketData as unknown:
            raise _of_range(unknown) from None

    async def _indicators(self, asked: RunCandlesFound) -> _Computed:
        key = asked.key
        # However much one user asks for, the next one's turn comes after one of his.
        async with self._turns.turn_of(asked.record["userId"]):
            if (known := self._known(key)) is not None:
                return known
            async with self._computing:
                if (known := self._known(key)) is not None:
                    return known
                computed = await self._compute(asked)
                self._keep(key, computed)
                return computed

    async def _compute(self, asked: RunCandlesFound) -> _Computed:
        """What plug-ins do may never end. Then there are none of that backtest, nor of any other until it does."""
        if self._under_way is not None and not self._under_way.done():
            raise Busy("indicators that take long are being computed here; ask again later, or with indicators=false")
        keep_strategy_kernels(self._settings)
        bars = await self._candles.read(asked.whole)
        computing = begin_apart(lambda: _compute(asked.uses, bars, asked.whole.warmup_bars))
        self._under_way = computing
        try:
            return await asyncio.wait_for(asyncio.shield(computing), COMPUTE_WITHIN_S)
        except TimeoutError:
            problem = f"indicators took more than {COMPUTE_WITHIN_S:g} s to compute; none are shown"
            return _Computed(np.empty(0, np.int64), {}, (problem,))

    def _known(self, key: str) -> _Computed | None:
        known = self._kept.get(key)
        if known is not None:
            self._kept.move_to_end(key)
        return known

    def _keep(self, key: str, computed: _Computed) -> None:
        """None that is too large for itself: it would only drive out all the others."""
        if computed.values > VALUES_KEPT_MAX:
            return
        self._kept[key] = computed
        while sum(one.values for one in self._kept.values()) > VALUES_KEPT_MAX:
            self._kept.popitem(last=False)


def _strategies_of(params: BacktestParams) -> tuple[list[StrategyUse], tuple[str, ...]]:
    try:
        return resolve(params.strategies, params.strategy_params), ()
    except InvalidRequest as refusal:  # a plug-in that is not installed here any more, or has changed
        return [], (f"its strategies are not what they were when it was submitted: {refusal.message}",)


def _compute(uses: Sequence[StrategyUse], bars: Bars, before: int) -> _Computed:
    columns, problems = Indicators(uses, bars, before, deciding=False).shown()
    return _Computed(bars.time_ms[before:].copy(), columns, problems)


def _at_buckets(computed: _Computed, found: CandlesFound, bars: Bars) -> dict[str, list[float | None]]:
    """Of each bar that is sent the last value of those it is made of."""
    ends_ms = np.append(bars.time_ms[1:], found.bars.end_ms)  # a bar that is sent ends where the next one begins
    rows = computed.time_ms.searchsorted(ends_ms) - 1
    return {
        name: [value if math.isfinite(value) else None for value in column[rows].tolist()]
        for name, column in computed.columns.items()
    }


def _as_wire(found: CandlesFound, bars: Bars) -> dict[str, Any]:
    part = found.bars
    return {
        "symbol": part.symbol,
        "interval": part.interval,
        "start": iso_from_ms(part.start_ms),
        "end": iso_from_ms(part.end_ms),
        "bars": part.total_bars,
        "datasetHash": part.dataset_hash,
        "resampledFrom": part.resampled_from,
        "resampled": found.bucket_ms != INTERVAL_MS[part.interval],
        "bucketMs": found.bucket_ms,
        "time": [iso_from_ms(time_ms) for time_ms in bars.time_ms.tolist()],
        **{name: column.tolist() for name, column in zip(bars._fields[1:], bars[1:], strict=True)},
    }


def _of_range(unknown: UnknownMarketData) -> UnknownMarketData:
    """In the words of who looks at bars."""
    [error] = unknown.errors
    return UnknownMarketData.of(_RANGE_FIELDS.get(error.field, error.field), error.message, error.code)


def _data_changed(why: str) -> Conflict:
    message = f"{why}; run it again to look at it on the bars there are now"
    return Conflict(message, [FieldError("datasetHash", message, DATA_CHANGED)])


def _warning(problem: str) -> WarningDocument:
    return ResultWarning(code="indicators_missing", message=problem).as_wire()
