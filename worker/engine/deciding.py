"""Runs on with strategies that decide in this very process: plug-ins in plain Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shared.errors import StrategyFailed
from shared.instants import iso_from_ms
from shared.strategies import StrategyUse, View
from worker.engine.delta import Delta
from worker.engine.simulation import Simulation


def play(simulation: Simulation, until_bar: int, *, enough: Callable[[], bool] = lambda: False) -> Delta:
    """`simulation.advance(until_bar)`, with each ask answered by the `decide` of the strategies it is put to.

    After each answer `enough()` may end the step early, after the bar that was decided on, so that at least one bar is
    run: a decision takes as long as it takes. Raises `StrategyFailed` for a `decide` that raises or answers nonsense,
    naming strategy and bar.
    """
    delta: Delta | None = None
    while delta is None or delta.ask is not None:
        if (ask := simulation.ask) is not None:
            simulation.answer({view.strategy: _decide(simulation.strategies, view) for view in ask.views})
            if enough():
                until_bar = min(until_bar, ask.bar + 1)
        step = simulation.advance(until_bar)
        delta = step if delta is None else step.after(delta)
    return delta


def _decide(uses: Sequence[StrategyUse], view: View) -> object:
    index = [use.name for use in uses].index(view.strategy)
    decide = uses[index].strategy.decide
    assert decide is not None, "only a strategy that decides is asked"
    try:
        return decide(view)
    except Exception as error:
        problem = f"raised {type(error).__name__} at bar {view.bar} ({iso_from_ms(view.time_ms)}): {error}"
        raise StrategyFailed.of(index, view.strategy, problem) from error
