"""What a backtest came to, whoever stored it, and how its trades are told. Nothing here knows a store."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NotRequired, Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray
from pydantic.alias_generators import to_camel

from shared.instants import iso_from_ms
from shared.reasons import Reason
from shared.result_warnings import WarningDocument

if TYPE_CHECKING:
    from shared.candles import Slice
    from shared.strategies.strategy import Mute

_SUMMARY = ("totalReturn", "sharpeRatio", "maxDrawdown", "winRate", "profitFactor", "totalTrades", "finalEquity")
_REASONS = {int(reason): reason.wire for reason in Reason}

# Who says how many periods make a year: the bars, or the request.
YearBasis = Literal["observed", "requested"]


class Outcome(Protocol):
    """What the engine hands over at the end of a run. `time_ms` has one entry per bar that was processed."""

    @property
    def metrics(self) -> Mapping[str, Any]: ...
    @property
    def time_ms(self) -> NDArray[np.int64]: ...
    @property
    def result_hash(self) -> str: ...
    @property
    def engine_version(self) -> str: ...
    @property
    def mute(self) -> Sequence[Mute]: ...
    @property
    def warmup_bars(self) -> int: ...


class Findings(TypedDict):
    """What a run came to, whoever stored it. `config` are the parameters as they were sent, `datasetHash` names the
    bars: `warmupBars` of them come before the run's `totalBars`. `resampledFrom` is the interval of the finer bars they
    were made of.

    `effectiveStart` is when the first bar that was run opens, `effectiveEnd` where the last one ends: what was asked
    for may be longer than the data. Results of 0.1.0 have neither them, nor `warnings`, `resampledFrom`, `yearBasis` or
    `warmupBars`.
    """

    summary: dict[str, Any]
    metrics: dict[str, Any]
    config: dict[str, Any]
    datasetHash: str
    resampledFrom: NotRequired[str | None]
    resultHash: str
    engineVersion: str
    yearBasis: NotRequired[YearBasis]
    seed: int
    totalBars: int
    warmupBars: NotRequired[int]
    effectiveStart: NotRequired[str]
    effectiveEnd: NotRequired[str]
    warnings: NotRequired[list[WarningDocument]]


def findings(params: Mapping[str, Any], bars: Slice, outcome: Outcome, warnings: list[WarningDocument]) -> Findings:
    """What a run of the request `params` (as sent) on these bars came to, and what to warn of."""
    return {
        "summary": {name: outcome.metrics[name] for name in _SUMMARY},
        "metrics": dict(outcome.metrics),
        "config": dict(params),
        "datasetHash": bars.dataset_hash,
        "resampledFrom": bars.resampled_from,
        "resultHash": outcome.result_hash,
        "engineVersion": outcome.engine_version,
        "yearBasis": "requested" if params.get("periodsPerYear") else "observed",
        "seed": int(params.get("seed", 0)),
        "totalBars": len(outcome.time_ms),
        "warmupBars": outcome.warmup_bars,
        "effectiveStart": iso_from_ms(int(outcome.time_ms[0])),
        "effectiveEnd": iso_from_ms(bars.end_of(int(outcome.time_ms[-1]))),
        "warnings": warnings,
    }


def trade_columns(trades: Mapping[str, NDArray[Any]], strategies: Sequence[str]) -> dict[str, list[Any]]:
    """The `trades` frame as it is told: camelCase, instants in ISO, codes by name, undefined numbers as None."""
    wire: dict[str, list[Any]] = {}
    for name, column in trades.items():
        shown = known(column)
        if name.endswith("_ms"):
            name, shown = name.removesuffix("_ms"), iso_column(column)
        elif name.endswith("_reason"):
            shown = [_REASONS[value] for value in shown]
        elif name == "direction":
            shown = ["long" if value > 0 else "short" for value in shown]
        elif name == "strategy":
            shown = [strategies[value] if 0 <= value < len(strategies) else None for value in shown]
        wire[to_camel(name)] = shown
    return wire


def known(column: NDArray[Any]) -> list[Any]:
    """Its values as JSON may hold them: None for what is no finite number."""
    shown: list[Any] = column.tolist()
    if column.dtype.kind == "f" and not np.isfinite(column).all():
        return [value if math.isfinite(value) else None for value in shown]
    return shown


def iso_column(time_ms: NDArray[np.int64]) -> list[str]:
    """`iso_from_ms` of each, many at once where none has a part of a second."""
    if (time_ms % 1000).any():
        return [iso_from_ms(one) for one in time_ms.tolist()]
    return [f"{text}Z" for text in np.datetime_as_string(time_ms.astype("datetime64[ms]"), unit="s").tolist()]


def plot_rows(values: NDArray[np.float64], points_max: int) -> NDArray[np.int64]:
    """At most `points_max` rows to plot: the first, the last, and each stretch's lowest and highest.

    Below 4 points only the first and the last fit. Raises `ValueError` below 2.
    """
    if points_max < 2:
        raise ValueError(f"points_max is {points_max}, it must be at least 2")
    rows = len(values)
    if rows <= points_max:
        chosen = np.arange(rows)
    elif points_max < 4:
        chosen = np.array([0, rows - 1])
    else:
        edges = np.linspace(0, rows, (points_max - 2) // 2 + 1).astype(np.int64)
        extremes = [
            low + extreme
            for low, high in pairwise(edges)
            for extreme in (int(np.argmin(values[low:high])), int(np.argmax(values[low:high])))
        ]
        chosen = np.unique(np.array([0, *extremes, rows - 1]))
    return chosen
