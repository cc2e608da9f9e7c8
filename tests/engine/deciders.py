"""Strategies that decide, the same logic as signals, and a way to put them into the catalogue for a while."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from pydantic import Field

from shared.bars import Bars
from shared.strategies import NO_OPINION, Strategy, View
from shared.strategies.parameters import Parameters
from shared.strategies.question import Facts, Question
from shared.strategies.signals import Signals
from worker.engine.position import Decisions, Position
from worker.engine.simulation import Simulation


class Often(Parameters):
    every: int = Field(1, ge=1, le=1_000, description="Bars from one decision to the next.")


def steps(view: View) -> int | None:
    """Long after two rising closes, short after two falling ones, flat after equal ones."""
    return step_of(view.bars.close[-3:].tolist())


def step_of(closes: list[float]) -> int | None:
    if len(closes) < 3:
        return None
    first, second, third = closes
    if first == second == third:
        return 0
    return 1 if first < second < third else -1 if first > second > third else None


def step_signals(bars: Bars, params: Often) -> Signals:
    signals = np.full(bars.total, NO_OPINION, np.int8)
    for bar in range(params.every - 1, bars.total, params.every):
        said = step_of(bars.close[max(bar - 2, 0) : bar + 1].tolist())
        signals[bar] = NO_OPINION if said is None else said
    return signals


def careful(view: View) -> int | None:
    """Depends on everything a view has: chance, money, what is open and for how long."""
    chance = view.random.random()
    held = sum(one.direction * one.quantity for one in view.open_trades)
    if view.equity < view.cash and chance < 0.2:
        return 0
    if any(view.bar - one.entry_bar > 5 for one in view.open_trades):
        return 0 if chance < 0.5 else -1 if held > 0 else 1
    return 1 if chance < 0.3 else -1 if chance > 0.9 else None


def broken(view: View) -> int | None:
    if view.bar == 7:
        raise LookupError("no such level")
    return None


def inquire(view: View) -> Question:
    """Asks for what `steps` would say, and tells it."""
    return Question(view.strategy, "Follow two steps.", json.dumps(steps(view)), facts_of(view))


def facts_of(view: View) -> Facts:
    close = float(view.bars.close[-1])
    return Facts(view.bar, view.time_ms, close, view.cash, view.equity, view.equity, 0, 0.0, 1.0, True)


STEPS = Strategy("steps", "Steps", "Follows two steps.", Often, decide=steps)
STEP_SIGNALS = Strategy("step_signals", "Steps", "Follows two steps.", Often, step_signals)
CAREFUL = Strategy("careful", "Careful", "Looks at everything.", Often, decide=careful)
ASKING = Strategy("asking", "Asking", "Has somebody else follow two steps.", Often, inquire=inquire)
BROKEN = Strategy("broken", "Broken", "Raises at bar 7.", Parameters, decide=broken)


@contextmanager
def in_the_catalogue(*strategies: Strategy) -> Iterator[None]:
    """As if a plug-in had brought them: requests can name them."""
    catalogue: Any = importlib.import_module("shared.strategies.catalogue")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "_plugged_in", lambda: strategies)
        catalogue._by_name.cache_clear()
        yield
    catalogue._by_name.cache_clear()


def carried_over(simulation: Simulation, bars: Bars) -> Simulation:
    """The same run as another process takes it up: from JSON and bytes."""
    position = simulation.position()
    document, decisions = json.dumps(position.as_document()), position.decisions.to_bytes()
    position = Position.of(json.loads(document), Decisions.of(decisions))
    return Simulation.resume(position, bars, simulation._config, simulation.strategies, simulation._seed)
