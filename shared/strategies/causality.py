"""Whether a strategy sees the future: what it says of the first k bars must not depend on there being more.

A strategy that decides cannot: its view ends at the bar it is asked about. It passes without being asked, but for its
indicators: what its views show of them is computed once, of all bars.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars
from shared.errors import FieldError, StrategyFailed, StrategyPeeks
from shared.instants import iso_from_ms
from shared.strategies.signals import BE_FLAT, BE_LONG, BE_SHORT, NO_OPINION, Signals, silent
from shared.strategies.strategy import StrategyUse

_STRATA = 16
# Of what is as large: sums that are made in another order differ as much.
_ROUNDING = 1e-9
_WORDS = {BE_LONG: "long", BE_SHORT: "short", BE_FLAT: "flat", NO_OPINION: "no opinion"}


class Peek(NamedTuple):
    """At `bar` the strategy says `then` while `cut` bars are known, and `later` once all are."""

    bar: int
    cut: int
    then: int
    later: int


def first_peek(use: StrategyUse, bars: Bars, whole: Signals, cuts: Iterable[int]) -> Peek | None:
    """The first of `cuts` at which `signals(bars[:cut])` is not `whole[:cut]`, where `whole` is `signals(bars)`."""
    for cut in cuts:
        then = np.asarray(use.signals(bars.first(cut)))
        if then.shape != (cut,):
            raise ValueError(f"it must return {cut} signals and returned shape {then.shape}")
        changed = np.flatnonzero(then != whole[:cut])
        if changed.shape[0]:
            bar = int(changed[0])
            return Peek(bar, cut, int(then[bar]), int(whole[bar]))
    return None


def sample_cuts(whole: Signals, seed: int) -> list[int]:
    """At most 19 cuts below `len(whole)`, ascending; the same for the same signals and seed. Short series: every cut.

    They are 1, 2, the last, and one from each sixteenth of the bars, so that all prefixes together have at most ten
    times the bars there are. In every other sixteenth it comes right after a bar with an opinion, where there is one: a
    look a few bars ahead shows only at the end of a prefix, and most bars are silent either way.
    """
    total = int(whole.shape[0])
    if total <= _STRATA + 4:
        return list(range(1, total))
    chance = random.Random(seed)
    cuts = {1, 2, total - 1}
    for i in range(_STRATA):
        first, until = total * i // _STRATA, total * (i + 1) // _STRATA
        spoken = np.flatnonzero(whole[first:until] != NO_OPINION) if i % 2 else np.empty(0, np.int64)
        at = int(chance.choice(spoken)) if spoken.shape[0] else chance.randrange(until - first)
        cuts.add(first + at + 1)
    return sorted(cuts - {total})


def refuse_peeking(uses: Sequence[StrategyUse], bars: Bars, seed: int) -> None:
    """Raises one `StrategyPeeks` that names each strategy that was caught, as `strategies.1`.

    Costs at most eleven times the signals. A sample: who is caught peeks, who is not may still.
    """
    found: list[FieldError] = []
    for i, use in enumerate(uses):
        told = _sampled_change(i, use, bars, seed) if use.decides else _sampled_peek(i, use, bars, seed)
        if told is not None:
            found += StrategyPeeks.of(i, use.name, told).errors
    if found:
        raise StrategyPeeks("; ".join(error.message for error in found), found)


def _sampled_peek(index: int, use: StrategyUse, bars: Bars, seed: int) -> str | None:
    try:
        whole = np.array(use.signals(bars))  # a copy: a plug-in may write into the same array again
    except Exception as error:
        raise StrategyFailed.of(index, use.name, f"raised {type(error).__name__}: {error}") from error
    try:
        peek = first_peek(use, bars, whole, sample_cuts(whole, seed))
    except Exception as error:
        raise _unchecked(index, use, error) from error
    return _told(bars, peek.bar, peek.cut, f"it says {_word(peek.then)}", _word(peek.later)) if peek else None


def _sampled_change(index: int, use: StrategyUse, bars: Bars, seed: int) -> str | None:
    try:
        whole = {name: np.array(column, np.float64) for name, column in use.indicators(bars).items()}
        for cut in sample_cuts(silent(bars.total), seed) if whole else []:
            known = use.indicators(bars.first(cut))
            for name, column in whole.items():
                then, later = np.asarray(known[name], np.float64), column[:cut]
                bar = _first_change(then, later)
                if bar is not None:
                    return _told(bars, bar, cut, f"its indicator {name} is {then[bar]:g}", f"{later[bar]:g}")
    except Exception as error:
        raise _unchecked(index, use, error) from error
    return None


def _first_change(then: NDArray[np.float64], later: NDArray[np.float64]) -> int | None:
    if then.shape != later.shape:
        raise ValueError(f"it must give {later.shape[0]} values and gave shape {then.shape}")
    size = np.max(np.abs(later), initial=0.0, where=np.isfinite(later))
    changed = np.flatnonzero(~np.isclose(then, later, rtol=_ROUNDING, atol=1e-3 * _ROUNDING * size, equal_nan=True))
    return int(changed[0]) if changed.shape[0] else None


def _unchecked(index: int, use: StrategyUse, error: Exception) -> StrategyFailed:
    problem = f"cannot be checked for seeing the future: on fewer bars it raises {type(error).__name__}: {error}"
    return StrategyFailed.of(index, use.name, problem)


def _told(bars: Bars, bar: int, cut: int, then: str, later: str) -> str:
    return (
        f"sees the future: of bar {bar} ({_time(bars, bar)}) {then} while bars up to {cut - 1} "
        f"({_time(bars, cut - 1)}) are known, and {later} once those up to {bars.total - 1} "
        f"({_time(bars, bars.total - 1)}) are; let it read only bars up to the one it speaks of"
    )


def _word(signal: int) -> str:
    return _WORDS.get(signal, str(signal))


def _time(bars: Bars, bar: int) -> str:
    return iso_from_ms(int(bars.time_ms[bar]))
