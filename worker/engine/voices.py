"""What the strategies of a run say: signals known in advance, and decisions as they come."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars
from shared.errors import StrategyFailed
from shared.instants import iso_from_ms
from shared.strategies import StrategyUse, combine
from shared.strategies.signals import BE_SHORT, NO_OPINION, Combination, Signals, combine_on, silent, standing_after
from shared.strategies.view import read_decision
from shared.strategies.warmup import bars_before
from worker.engine.faults import PositionUnfit
from worker.engine.position import Decisions


class Voices:
    """One voice per strategy, int8[n] each, and what they come to together, which is what the kernel reads.

    Raises `StrategyFailed` where `signals` raises or what it returns is none. A strategy that decides is silent until
    it is heard. The first `warmup_bars` of `bars` are no bars of the run: each strategy is given as many of the last of
    them as it looks back. `combined` holds up to `next_ask` (exclusive); a single voice is its own combination, the
    same array.
    """

    __slots__ = (
        "_bars",
        "_digest",
        "_digested_until",
        "_how",
        "_standing",
        "_uses",
        "_weights",
        "combined",
        "each",
        "next_ask",
    )

    def __init__(
        self,
        uses: Sequence[StrategyUse],
        bars: Bars,
        how: Combination,
        weights: Sequence[float],
        warmup_bars: int = 0,
    ) -> None:
        self._uses = uses
        self._bars = bars.after(warmup_bars)
        self._how: Combination = how
        self._weights = weights
        self.each = [_listen(i, use, bars, warmup_bars) for i, use in enumerate(uses)]
        self.combined = combine(self.each, how, weights)
        self.next_ask = self._first_ask(0)
        self._standing = self._standing_before(self.next_ask)
        self._digest = hashlib.sha256()
        self._digested_until = 0

    @property
    def decisive(self) -> bool:
        """Whether any strategy decides."""
        return any(use.decides for use in self._uses)

    @property
    def due(self) -> list[int]:
        """Which strategies are asked at bar `next_ask`."""
        return [i for i, use in enumerate(self._uses) if use.decides and (self.next_ask + 1) % use.every == 0]

    def hear(self, decisions: Mapping[str, object]) -> None:
        """Takes the decisions at bar `next_ask`, by strategy name, and combines as far as the one after it.

        Raises `StrategyFailed` for a decision that is none, and takes nothing then.
        """
        bar, due = self.next_ask, self.due
        names = [self._uses[i].name for i in due]
        if set(names) != set(decisions):
            raise RuntimeError(f"at bar {bar} {', '.join(names)} must answer, not {', '.join(decisions) or 'nobody'}")
        said = [self._read(i, decisions[self._uses[i].name]) for i in due]
        for i, signal in zip(due, said, strict=True):
            self.each[i][bar] = signal
        self.next_ask = until = self._first_ask(bar + 1)
        if len(self.each) > 1:
            part = [voice[bar:until] for voice in self.each]
            self.combined[bar:until], self._standing = combine_on(part, self._standing, self._how, self._weights)

    def decisions(self, since_bar: int = 0) -> Decisions:
        """Every decision at `since_bar` and later that was an opinion."""
        bars, strategies, signals = list[Any](), list[Any](), list[Any]()
        for i, use in enumerate(self._uses):
            if use.decides:
                part = self.each[i][since_bar : self.next_ask]
                spoken = np.flatnonzero(part != NO_OPINION)
                bars.append(spoken + since_bar)
                strategies.append(np.full(spoken.shape[0], i))
                signals.append(part[spoken])
        if not bars:
            return Decisions.of(b"")
        bar, strategy, signal = map(np.concatenate, (bars, strategies, signals))
        order = np.lexsort((strategy, bar)) if len(bars) > 1 else slice(None)
        return Decisions(bar[order], strategy[order], signal[order])

    def decided_digest(self) -> bytes:
        """SHA-256 of all decisions so far. Only what is new since it was last asked for is read."""
        self._digest.update(self.decisions(self._digested_until).to_bytes())
        self._digested_until = self.next_ask
        return self._digest.digest()

    def recall(self, decisions: Decisions, next_ask: int) -> None:
        """What was decided elsewhere, before anything is decided here. `combined` may be another array afterwards.

        Raises `PositionUnfit` for what nobody who is asked can have decided.
        """
        if next_ask != self._first_ask(next_ask):
            raise PositionUnfit(f"the position is damaged: nobody is asked at bar {next_ask}")
        for i in np.unique(decisions.strategy).tolist():
            mine = decisions.strategy == i
            bars, said = decisions.bar[mine], decisions.signal[mine]
            if not 0 <= i < len(self._uses) or not self._could_say(i, bars, said, next_ask):
                raise PositionUnfit(f"the position is damaged: its decisions of strategy {i} cannot have been made")
            self.each[i][bars] = said
        self.next_ask = next_ask
        self.combined = combine(self.each, self._how, self._weights)
        self._standing = self._standing_before(next_ask)

    def _could_say(self, index: int, bars: NDArray[np.int64], said: Signals, next_ask: int) -> bool:
        use = self._uses[index]
        due = (bars >= 0) & (bars < next_ask) & ((bars + 1) % use.every == 0)
        return use.decides and bool((due & (said >= BE_SHORT) & (said < NO_OPINION)).all())

    def _first_ask(self, bar: int) -> int:
        """The first bar from `bar` on at which a strategy is asked; the number of bars where there is none."""
        asks = [bar + -(bar + 1) % use.every for use in self._uses if use.decides]
        return min([*asks, self._bars.total])

    def _standing_before(self, bar: int) -> Signals:
        return standing_after([voice[:bar] for voice in self.each]) if self.decisive else silent(0)

    def _read(self, index: int, said: object) -> int:
        try:
            return read_decision(said)
        except ValueError as error:
            time = iso_from_ms(int(self._bars.time_ms[self.next_ask]))
            problem = f"{error}, at bar {self.next_ask} ({time})"
            raise StrategyFailed.of(index, self._uses[index].name, problem) from None


def _listen(index: int, use: StrategyUse, bars: Bars, warmup_bars: int) -> Signals:
    """The strategy's signals as the kernel reads them. A plug-in may raise anything and return anything."""
    before = min(bars_before(index, use), warmup_bars) if warmup_bars else 0
    bars = bars.after(warmup_bars - before)
    try:
        said = np.asarray(use.signals(bars))
    except Exception as error:
        raise StrategyFailed.of(index, use.name, f"raised {type(error).__name__}: {error}") from error
    wanted = f"must return {bars.total} signals of -1, 0, 1 or 2"
    if said.shape != (bars.total,):
        raise StrategyFailed.of(index, use.name, f"{wanted} and returned shape {said.shape}")
    if said.size == 0:
        return silent(0)
    if said.dtype.kind not in "iu":  # of floats one may be NaN or half a signal, which a cast would pass over
        raise StrategyFailed.of(index, use.name, f"{wanted} as whole numbers (int8) and returned {said.dtype}")
    wrong = np.flatnonzero((said < BE_SHORT) | (said > NO_OPINION))
    if wrong.shape[0]:
        bar = int(wrong[0])
        where = f"{said[bar]} at bar {bar} ({iso_from_ms(int(bars.time_ms[bar]))})"
        raise StrategyFailed.of(index, use.name, f"{wanted} and returned {where}")
    return np.ascontiguousarray(said[before:], np.int8)
