"""Where a run stands: as little as it takes to get there again, and a mark to go back to in the same process.

The fold is deterministic and fast, so a position holds no arrays of it: the bars are run again, and the decisions that
were made are fed instead of asked for. A digest of the kernel's state says whether the run arrived at the same place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars
from shared.strategies import StrategyUse
from worker.engine.config import EngineConfig
from worker.engine.faults import PositionUnfit

_ROW = np.dtype([("bar", "<i8"), ("strategy", "<i2"), ("signal", "i1")])  # packed: bytes of two parts join to a whole
# Rows that say one number more of the decision before them, as a float64 where the bar stands else: size, stop, target.
_NUMBER = 3
_WIRE = {
    "bar": ("bar", int),
    "timeMs": ("time_ms", int),
    "totalBars": ("total_bars", int),
    "decidedUntil": ("decided_until", int),
    "waiting": ("waiting", bool),
    "foldVersion": ("fold_version", str),
    "engineVersion": ("engine_version", str),
    "digest": ("digest", str),
}


class Decisions(NamedTuple):
    """Opinions that were decided, in order of bar and, within one, of strategy. What is not listed was no opinion."""

    bar: NDArray[np.int64]
    strategy: NDArray[np.int64]  # its index in the request
    signal: NDArray[np.int8]
    numbers: NDArray[np.float64]  # float64[total, 3]: size, stop and target, 0 for none; [0, 3] where nobody said any

    @property
    def total(self) -> int:
        return self.bar.shape[0]

    def since(self, bar: int) -> Decisions:
        """Those at `bar` and later."""
        first = int(np.searchsorted(self.bar, bar))
        return Decisions(self.bar[first:], self.strategy[first:], self.signal[first:], self.numbers[first:])

    @classmethod
    def join(cls, parts: Sequence[Decisions]) -> Decisions:
        """Parts that follow one another, as one."""
        if not parts:
            return cls.of(b"")
        bar, strategy, signal, numbers = zip(*parts, strict=True)
        if any(one.shape[0] for one in numbers):
            numbers = [part.numbers if part.numbers.shape[0] else np.zeros((part.total, 3)) for part in parts]
        return cls(np.concatenate(bar), np.concatenate(strategy), np.concatenate(signal), np.concatenate(numbers))

    def to_bytes(self) -> bytes:
        """Eleven bytes each, the same on every machine, and as many again for each number that one came with.

        The bytes of parts, joined, are the bytes of the whole.
        """
        which, number = np.nonzero(self.numbers)
        at = np.arange(self.total) + np.searchsorted(which, np.arange(self.total))  # after the numbers of those before
        rows = np.empty(self.total + which.shape[0], _ROW)
        more = np.ones(rows.shape[0], np.bool_)
        more[at] = False
        for name, column in (("bar", self.bar), ("strategy", self.strategy), ("signal", self.signal)):
            rows[name][at] = column
        rows["bar"][more] = self.numbers[which, number].astype("<f8").view("<i8")
        rows["strategy"][more], rows["signal"][more] = self.strategy[which], _NUMBER + number
        return rows.tobytes()

    @classmethod
    def of(cls, data: bytes) -> Decisions:
        """What `to_bytes` gave. Raises `PositionUnfit` for bytes that it cannot have given."""
        if len(data) % _ROW.itemsize:
            raise PositionUnfit(f"{len(data)} bytes of decisions are damaged: each has {_ROW.itemsize}")
        rows = np.frombuffer(data, _ROW)
        bar, strategy = rows["bar"].astype(np.int64), rows["strategy"].astype(np.int64)
        signal = rows["signal"].astype(np.int8)
        more = (signal >= _NUMBER) & (signal < _NUMBER + 3)
        if not more.any():
            return cls(bar, strategy, signal, np.empty((0, 3)))
        one = ~more
        numbers = np.zeros((int(one.sum()) + 1, 3))  # the first for what stands before any decision
        numbers[np.cumsum(one)[more], signal[more] - _NUMBER] = rows["bar"][more].view("<f8")
        found = cls(bar[one], strategy[one], signal[one], numbers[1:])
        if found.to_bytes() != data:
            raise PositionUnfit("the position is damaged: numbers of its decisions do not stand where they belong")
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Position:
    """A run before its bar `bar`, for `Simulation.resume`.

    Bars before `decided_until` have been decided on, as `decisions` says, be they run yet or not; the bar itself is the
    next that a strategy is asked about. `waiting` is whether that question was put. The digest covers the kernel's
    state, the decisions, and which bars, configuration, strategies and seed it is of.
    """

    bar: int
    time_ms: int  # when the last bar that was run opened; the first bar's time before any was
    total_bars: int
    decided_until: int
    waiting: bool
    fold_version: str
    engine_version: str
    digest: str  # "sha256:" and 64 hexadecimal digits
    decisions: Decisions

    def as_document(self) -> dict[str, int | str | bool]:
        """Everything but the decisions, JSON-ready: they only grow and can be kept beside it in parts."""
        return {wire: getattr(self, name) for wire, (name, _) in _WIRE.items()}

    @classmethod
    def of(cls, document: Mapping[str, Any], decisions: Decisions) -> Position:
        """What `as_document` gave, with all decisions. Raises `PositionUnfit` for a field that is missing or wrong."""
        for wire, (_, kind) in _WIRE.items():
            if type(document.get(wire)) is not kind:
                raise PositionUnfit(f"the position is damaged: its {wire} is {document.get(wire)!r}")
        return cls(**{name: document[wire] for wire, (name, _) in _WIRE.items()}, decisions=decisions)


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """Where a simulation stood, for this very simulation to go back to: about a kilobyte.

    Closed trades and equity up to there need no copy, since they are only ever appended to.
    """

    bar: int
    closed_trades: int
    waiting: bool
    state: NDArray[np.float64]  # float64[STATE_SLOTS]
    open_trades: NDArray[np.float64]  # float64[m, OPEN_TRADE_SLOTS]
    of: object


def fingerprint(
    bars: Bars, config: EngineConfig, strategies: Sequence[StrategyUse], seed: int, warmup_bars: int
) -> bytes:
    """What a position is of, in 32 bytes. Of the bars how many and which times: `datasetHash` names them exactly."""
    times = [int(bars.time_ms[0]), int(bars.time_ms[-1])] if bars.total else []
    uses = [[use.name, use.strategy.id, use.params.model_dump_json()] for use in strategies]
    return hashlib.sha256(json.dumps([bars.total, times, config.as_dict(), uses, seed, warmup_bars]).encode()).digest()
