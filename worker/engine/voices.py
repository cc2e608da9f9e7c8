"""What the strategies of a run say: signals known in advance, and decisions as they come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars
from shared.errors import EngineFailed, StrategyFailed
from shared.instants import iso_from_ms
from shared.strategies import StrategyUse, combine
from shared.strategies.signals import BE_SHORT, NO_OPINION, Combination, Signals, combine_on, silent, standing_after
from shared.strategies.view import read_decision


class Voices:
    """One voice per strategy, int8[n] each, and what they come to together, which is what the kernel reads.

    A strategy that decides is silent until it is heard. `combined` holds up to `next_ask` (exclusive); a single voice
    is its own combination, the same array.
    """

    __slots__ = ("_bars", "_how", "_standing", "_uses", "_weights", "combined", "each", "next_ask")

    def __init__(self, uses: Sequence[StrategyUse], bars: Bars, how: Combination, weights: Sequence[float]) -> None:
        self._uses = uses
        self._bars = bars
        self._how: Combination = how
        self._weights = weights
        self.each = [_listen(use, bars) for use in uses]
        self.combined = combine(self.each, how, weights)
        self.next_ask = self._first_ask(0)
        self._standing = self._standing_before(self.next_ask)

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

    def decisions(self) -> NDArray[np.float64]:
        """Every decision so far that was an opinion, float64[m, 3]: strategy, bar, signal."""
        said = [(i, bar) for i, use in enumerate(self._uses) if use.decides for bar in _spoken(self.each[i])]
        return np.array([(i, bar, self.each[i][bar]) for i, bar in said], np.float64).reshape(-1, 3)

    def recall(self, decisions: NDArray[np.float64], next_ask: int) -> None:
        """What was heard elsewhere. `combined` may be another array afterwards."""
        for i, bar, signal in decisions.astype(np.int64).tolist():
            self.each[i][bar] = signal
        self.next_ask = next_ask
        self.combined = combine(self.each, self._how, self._weights)
        self._standing = self._standing_before(next_ask)

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


def _listen(use: StrategyUse, bars: Bars) -> Signals:
    """The strategy's signals as the kernel reads them. A plug-in may have returned anything."""
    said = np.asarray(use.signals(bars))
    if said.shape != (bars.total,) or (said.size and (said.min() < BE_SHORT or said.max() > NO_OPINION)):
        raise EngineFailed(
            f"strategy {use.name} must return {bars.total} signals of -1, 0, 1 or 2 and returned shape {said.shape}"
        )
    return np.ascontiguousarray(said, np.int8)


def _spoken(voice: Signals) -> list[int]:
    return np.flatnonzero(voice != NO_OPINION).tolist()
