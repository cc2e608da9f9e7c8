"""What the strategies of a run say: signals known in advance, and decisions as they come."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars
from shared.errors import StrategyFailed
from shared.instants import iso_from_ms
from shared.strategies import StrategyUse, combine
from shared.strategies.decision import (
    NO_NUMBERS,
    Decision,
    Numbers,
    PastDecision,
    decision_of,
    read_decision,
    read_signal,
)
from shared.strategies.signals import BE_FLAT, BE_SHORT, NO_OPINION, Signals, combine_on, silent, standing_after
from shared.strategies.warmup import bars_before
from worker.engine.config import EngineConfig
from worker.engine.faults import PositionUnfit
from worker.engine.position import Decisions


class Voices:
    """One voice per strategy, int8[n] each, and what they come to together, which is what the kernel reads.

    Raises `StrategyFailed` where `signals` raises or what it returns is none. A strategy that decides is silent until
    it is heard. The first `warmup_bars` of `bars` are no bars of the run: each strategy is given as many of the last of
    them as it looks back. `combined` holds up to `next_ask` (exclusive); a single voice is its own combination, the
    same array. `numbers` are the size, stop and target that count where `combined` opens a trade, 0 for none:
    float64[n, 3], and [0, 3] where nobody decides.
    """

    __slots__ = (
        "_bars",
        "_config",
        "_digest",
        "_digested_until",
        "_said",
        "_standing",
        "_uses",
        "combined",
        "each",
        "next_ask",
        "numbers",
    )

    def __init__(self, uses: Sequence[StrategyUse], bars: Bars, config: EngineConfig, warmup_bars: int) -> None:
        self._uses = uses
        self._bars = bars.after(warmup_bars)
        self._config = config
        self.each = [_listen(i, use, bars, warmup_bars) for i, use in enumerate(uses)]
        self.combined = self._combine()
        # Of zeros the system gives pages only when they are written.
        self.numbers = np.zeros((self._bars.total if self.decisive else 0, 3))
        self._said: dict[int, NDArray[np.float64]] = {}  # of each strategy that said any, float64[n, 3]
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
        numbered = False
        for i, (signal, numbers) in zip(due, said, strict=True):
            self.each[i][bar] = signal
            if numbers is not NO_NUMBERS:
                self._said_by(i)[bar] = numbers
                numbered = True
        self.next_ask = until = self._first_ask(bar + 1)
        if len(self.each) > 1:
            part = [voice[bar:until] for voice in self.each]
            how, weights = self._config.combine, self._config.weights
            self.combined[bar:until], self._standing = combine_on(part, self._standing, how, weights)
        if numbered:
            self._settle_numbers(slice(bar, bar + 1))

    def decisions(self, since_bar: int = 0) -> Decisions:
        """Every decision at `since_bar` and later that was an opinion."""
        parts = list[Decisions]()
        for i, use in enumerate(self._uses):
            if use.decides:
                part = self.each[i][since_bar : self.next_ask]
                spoken = np.flatnonzero(part != NO_OPINION)
                said = self._said[i][since_bar:][spoken] if i in self._said else np.empty((0, 3))
                if not said.any():
                    said = said[:0]
                parts.append(Decisions(spoken + since_bar, np.full(spoken.shape[0], i), part[spoken], said))
        joined = Decisions.join(parts)
        if len(parts) < 2:
            return joined
        order = np.lexsort((joined.strategy, joined.bar))
        numbers = joined.numbers[order] if joined.numbers.shape[0] else joined.numbers
        return Decisions(joined.bar[order], joined.strategy[order], joined.signal[order], numbers)

    def last_decisions(self, index: int, bar: int, most: int) -> tuple[PastDecision, ...]:
        """At most so many opinions that one strategy decided on before `bar`, in order."""
        voice, width = self.each[index], 64
        while True:  # back from that bar, twice as far each time, for there may be very many
            first = max(bar - width, 0)
            spoken = np.flatnonzero(voice[first:bar] != NO_OPINION)
            if first == 0 or spoken.shape[0] >= most:
                break
            width *= 2
        found = (spoken + first)[max(spoken.shape[0] - most, 0) :].tolist()
        said = self._said.get(index)
        return tuple(
            PastDecision(at, decision_of(int(voice[at]), NO_NUMBERS if said is None else said[at].tolist()))
            for at in found
        )

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
            numbers = decisions.numbers[mine] if decisions.numbers.shape[0] else np.zeros((bars.shape[0], 3))
            if not 0 <= i < len(self._uses) or not self._could_say(i, bars, said, numbers, next_ask):
                raise PositionUnfit(f"the position is damaged: its decisions of strategy {i} cannot have been made")
            self.each[i][bars] = said
            if numbers.any():
                self._said_by(i)[bars] = numbers
        self.next_ask = next_ask
        self.combined = self._combine()
        self._standing = self._standing_before(next_ask)
        if self._said:
            self._settle_numbers(np.unique(decisions.bar[decisions.numbers.any(axis=1)]))

    def _could_say(
        self, index: int, bars: NDArray[np.int64], said: Signals, numbers: NDArray[np.float64], next_ask: int
    ) -> bool:
        use = self._uses[index]
        due = (bars >= 0) & (bars < next_ask) & ((bars + 1) % use.every == 0)
        sound = np.isfinite(numbers) & (numbers >= 0.0) & ((numbers == 0.0) | (said != BE_FLAT)[:, None])
        return use.decides and bool((due & (said >= BE_SHORT) & (said < NO_OPINION)).all() and sound.all())

    def _combine(self) -> Signals:
        return combine(self.each, self._config.combine, self._config.weights)

    def _said_by(self, index: int) -> NDArray[np.float64]:
        if index not in self._said:
            self._said[index] = np.zeros((self._bars.total, 3))
        return self._said[index]

    def _settle_numbers(self, bars: slice | NDArray[np.int64]) -> None:
        """Whose numbers count at these bars: of those who say what all come to, the first that said each of them."""
        settled = np.zeros_like(self.numbers[bars])
        for i in sorted(self._said):
            agrees = (self.each[i][bars] == self.combined[bars])[:, None]
            settled = np.where((settled == 0.0) & agrees, self._said[i][bars], settled)
        settled[:, 1] *= self._config.use_stop_orders
        settled[:, 2] *= self._config.use_take_profits
        self.numbers[bars] = settled

    def _first_ask(self, bar: int) -> int:
        """The first bar from `bar` on at which a strategy is asked; the number of bars where there is none."""
        asks = [bar + -(bar + 1) % use.every for use in self._uses if use.decides]
        return min([*asks, self._bars.total])

    def _standing_before(self, bar: int) -> Signals:
        return standing_after([voice[:bar] for voice in self.each]) if self.decisive else silent(0)

    def _read(self, index: int, said: object) -> tuple[int, Numbers]:
        try:
            if not isinstance(said, Decision):
                return read_signal(said), NO_NUMBERS
            close = float(self._bars.close[self.next_ask])
            return read_decision(said, close, self._config.leverage, self._config.profile)
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
