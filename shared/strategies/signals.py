"""What a strategy may say about a bar, and how several strategies become one voice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

BE_LONG = 1
BE_SHORT = -1  # or flat, where shorts are not allowed
BE_FLAT = 0
NO_OPINION = 2  # keep what there is

_HALF_WITHIN = 1e-9  # weights that differ from half by less than this share are half, which is not more than half

Signals = NDArray[np.int8]
Combination = Literal["any", "all", "majority", "weighted"]


def silent(total: int) -> Signals:
    """No opinion on any of `total` bars."""
    return np.full(total, NO_OPINION, np.int8)


def told_once(signals: Signals) -> Signals:
    """The same opinions without those that only repeat the last one."""
    spoken = np.flatnonzero(signals != NO_OPINION)
    once = silent(int(signals.shape[0]))
    changed = spoken[np.flatnonzero(np.diff(signals[spoken], prepend=np.int8(NO_OPINION)))]
    once[changed] = signals[changed]
    return once


def combine(voices: Sequence[Signals], how: Combination, weights: Sequence[float] = ()) -> Signals:
    """One int8[n] of signals from several of the same length; a single voice is returned as it is.

    | how      | when                                       | result     |
    |----------|--------------------------------------------|------------|
    | any      | nobody speaks at this bar                  | NO_OPINION |
    |          | somebody says +1 and nobody -1             | +1         |
    |          | somebody says -1 and nobody +1             | -1         |
    |          | both +1 and -1 are said                    | NO_OPINION |
    |          | only 0 is said                             | 0          |
    | all      | nobody speaks at this bar                  | NO_OPINION |
    |          | every standing opinion is the same v       | v          |
    |          | otherwise                                  | 0          |
    | majority | nobody speaks at this bar                  | NO_OPINION |
    |          | more than half of the voices stand on v    | v          |
    |          | otherwise                                  | 0          |
    | weighted | nobody speaks at this bar                  | NO_OPINION |
    |          | more than half of the weight stands on v   | v          |
    |          | otherwise                                  | 0          |

    The standing opinion of a voice is the last thing it said, this bar included; before its first word it stands on
    nothing and agrees with nobody. All but `any` judge standing opinions because events such as crossings hardly ever
    fall on the same bar. `weights`, one above zero for each voice, are read by `weighted` only.
    """
    if len(voices) == 1:
        return voices[0]
    stack = np.stack(voices)
    spoken = (stack != NO_OPINION).any(axis=0)
    if how == "any":
        return _combine_any(stack)
    standing = _standing(stack)
    shares = np.array(weights if how == "weighted" else [1.0] * len(voices))
    total = float(shares.sum())
    needed = total * (1.0 - _HALF_WITHIN if how == "all" else 0.5 + _HALF_WITHIN)
    combined = np.full(voices[0].shape[0], BE_FLAT, np.int8)
    for opinion in (BE_LONG, BE_SHORT):
        combined[shares @ (standing == opinion) >= needed] = opinion
    combined[~spoken] = NO_OPINION
    return combined


def combine_on(
    voices: Sequence[Signals], standing: Signals, how: Combination, weights: Sequence[float] = ()
) -> tuple[Signals, Signals]:
    """`combine` of a later part of the voices, and the opinions that stand after it.

    `standing` is int8[voices]: the last opinion of each before the part, as `standing_after` gives it. Joined, the
    parts are what `combine` says of the whole.
    """
    led = [np.concatenate((standing[i : i + 1], voice)) for i, voice in enumerate(voices)]
    return combine(led, how, weights)[1:], standing_after(led)


def standing_after(voices: Sequence[Signals]) -> Signals:
    """int8[voices]: the last opinion of each, NO_OPINION where there was none."""
    standing = silent(len(voices))
    for i, voice in enumerate(voices):
        spoken = np.flatnonzero(voice != NO_OPINION)
        if spoken.shape[0]:
            standing[i] = voice[spoken[-1]]
    return standing


def speaker(voices: Sequence[Signals], bars: NDArray[np.int64], said: NDArray[np.int8]) -> NDArray[np.int64]:
    """Index of the first voice that said `said[i]` at `bars[i]`; -1 where only standing opinions agreed on it."""
    if len(voices) == 1 or not bars.shape[0]:
        return np.zeros(int(bars.shape[0]), np.int64)
    heard: NDArray[np.bool_] = np.stack([voice[bars] == said for voice in voices])
    return np.where(heard.any(axis=0), heard.argmax(axis=0), np.int64(-1))


def _combine_any(stack: NDArray[np.int8]) -> Signals:
    long = (stack == BE_LONG).any(axis=0)
    short = (stack == BE_SHORT).any(axis=0)
    combined = silent(stack.shape[1])
    combined[(stack == BE_FLAT).any(axis=0)] = BE_FLAT
    combined[long] = BE_LONG
    combined[short] = BE_SHORT
    combined[long & short] = NO_OPINION
    return combined


def _standing(stack: NDArray[np.int8]) -> NDArray[np.int8]:
    """Each voice's last opinion at every bar, NO_OPINION before its first."""
    bars = np.arange(int(stack.shape[1]), dtype=np.int64)
    last = np.maximum.accumulate(np.where(stack != NO_OPINION, bars, np.int64(0)), axis=1)
    found: NDArray[np.int8] = np.take_along_axis(stack, last, axis=1)
    return found
