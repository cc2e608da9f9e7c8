"""Runs on with strategies that decide: plug-ins in this very process, and those that ask somebody elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from shared.errors import StrategyFailed
from shared.instants import iso_from_ms
from shared.strategies import StrategyUse, View
from shared.strategies.question import Question
from shared.strategies.strategy import Strategy
from worker.engine.delta import Ask, Delta
from worker.engine.simulation import Simulation

T = TypeVar("T")


def play(simulation: Simulation, until_bar: int, *, enough: Callable[[], bool] = lambda: False) -> Delta:
    """`simulation.advance(until_bar)`, with each ask answered by the `decide` of the strategies it is put to.

    After each answer `enough()` may end the step early, after the bar that was decided on, so that at least one bar is
    run: a decision takes as long as it takes. Where somebody elsewhere is to be asked, the step ends with that ask:
    `questions` are what to ask, and `hear` goes on. Raises `StrategyFailed` for a `decide` that raises or answers
    nonsense, naming strategy and bar.
    """
    delta: Delta | None = None
    while delta is None or delta.ask is not None:
        if (ask := simulation.ask) is not None:
            if delta is not None and inquires(simulation, ask):
                return delta
            hear(simulation, {})
            if enough():
                until_bar = min(until_bar, ask.bar + 1)
        step = simulation.advance(until_bar)
        delta = step if delta is None else step.after(delta)
    return delta


def inquires(simulation: Simulation, ask: Ask) -> bool:
    """Whether the ask is put to a strategy that asks somebody elsewhere."""
    return any(_strategy_of(simulation, view).inquire is not None for view in ask.views)


def questions(simulation: Simulation) -> tuple[Question, ...]:
    """What is to be asked elsewhere before the run can go on. The same every time, for it depends on the view alone.

    Raises `StrategyFailed`.
    """
    if (ask := simulation.ask) is None:
        return ()
    found: list[Question] = []
    for view in ask.views:
        inquire = _strategy_of(simulation, view).inquire
        if inquire is not None:
            found.append(_guarded(simulation.strategies, view, inquire))
    return tuple(found)


def hear(simulation: Simulation, told: Mapping[str, object]) -> None:
    """Answers the ask: with what was told elsewhere, by strategy, and what the other strategies decide now.

    Raises `StrategyFailed`, and `RuntimeError` where there is no ask or an answer is missing.
    """
    if (ask := simulation.ask) is None:
        raise RuntimeError("there is no ask to answer")
    said = dict(told)
    for view in ask.views:
        decide = _strategy_of(simulation, view).decide
        if decide is not None:
            said[view.strategy] = _guarded(simulation.strategies, view, decide)
    simulation.answer(said)


def _strategy_of(simulation: Simulation, view: View) -> Strategy:
    return next(use.strategy for use in simulation.strategies if use.name == view.strategy)


def _guarded(uses: Sequence[StrategyUse], view: View, call: Callable[[View], T]) -> T:
    try:
        return call(view)
    except Exception as error:
        index = [use.name for use in uses].index(view.strategy)
        problem = f"raised {type(error).__name__} at bar {view.bar} ({iso_from_ms(view.time_ms)}): {error}"
        raise StrategyFailed.of(index, view.strategy, problem) from error
