"""How long a backtest would run here, by what runs of its kind took lately: a rule of thumb.

Runs are of one kind where the same strategies ran, asking the same model where they ask one; where there were none,
where strategies of the same form did, which are called for all bars at once or at one after the other. What they took
is a part that every run takes and a part for each bar, or for each ask of a model, which takes much longer. The two are
told apart where runs of different lengths are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from api.kept import Kept
from shared.errors import InvalidRequest
from shared.overview import Overview
from shared.strategies import Strategy, find

RECENT_MS = 7 * 86_400_000
_RUNS_MOST = 50
# Runs whose lengths are nearer to each other do not tell what a bar costs from what all else does.
_TELLING_RATIO = 2


class Kind(NamedTuple):
    """What decides how long a run takes. `every` is how many bars it gets through with one step of its work."""

    strategies: frozenset[str]
    forms: frozenset[tuple[str, ...]]
    every: int


class Took(NamedTuple):
    """What one run did, in steps of its kind, and how long it took."""

    kind: Kind
    steps: float
    seconds: float


class Pace:
    """What is known of it here; asked for at most once in a while, however many want to know."""

    def __init__(self, overview: Overview) -> None:
        self._overview = overview
        self._recent: Kept[list[Took]] = Kept()

    async def seconds(self, params: Mapping[str, Any], bars: int) -> float | None:
        """About how long a run with these `params`, as they are stored, would take for so many bars; None where that
        is not known. Never raises."""
        kind = _kind_of(params)
        recent = await self._recent.get(self._ask) or []
        like = [one for one in recent if one.kind == kind] or [one for one in recent if one.kind.forms == kind.forms]
        found = _seconds_of(like, bars / kind.every)
        speed = params.get("speed", "max")
        if speed == "max":
            return found
        return max(bars / float(speed), found or 0.0)

    async def _ask(self) -> list[Took]:
        found = await self._overview.smooth_runs(self._overview.now_ms() - RECENT_MS, _RUNS_MOST)
        took: list[Took] = []
        for one in found:
            try:
                kind = _kind_of(one.params)
            except InvalidRequest:
                continue  # a plug-in that is no longer here
            took.append(Took(kind, one.bars / kind.every, one.seconds))
        return took


def _kind_of(params: Mapping[str, Any]) -> Kind:
    """Raises `InvalidRequest` for a strategy that is not here."""
    given: Mapping[str, Mapping[str, Any]] = params.get("strategyParams", {})
    used = [(find(name), given.get(name, {})) for name in params["strategies"]]
    every = [int(said.get("every") or strategy.every or 1) for strategy, said in used if strategy.inquire is not None]
    return Kind(
        frozenset(strategy.id for strategy, _ in used),
        frozenset(_form_of(strategy, said) for strategy, said in used),
        min(every, default=1),
    )


def _form_of(strategy: Strategy, given: Mapping[str, Any]) -> tuple[str, ...]:
    if strategy.inquire is None:
        return (strategy.form,)
    return ("inquire", *(str(given.get(name, "")) for name in ("provider", "model", "mode")))


def _seconds_of(runs: Sequence[Took], steps: float) -> float | None:
    """By the line whose slope is the median of all between two runs, so that a few that were held up do not matter."""
    if not runs:
        return None
    slopes = [
        (longer.seconds - shorter.seconds) / (longer.steps - shorter.steps)
        for shorter in runs
        for longer in runs
        if longer.steps >= _TELLING_RATIO * shorter.steps
    ]
    if not slopes:
        return median(one.seconds / one.steps for one in runs) * steps
    slope = max(median(slopes), 0.0)
    return max(median(one.seconds - slope * one.steps for one in runs), 0.0) + slope * steps
