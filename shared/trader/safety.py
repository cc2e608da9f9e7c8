"""What becomes of what a model wants: held against the market as it is, and against the limits of safety mode."""

from __future__ import annotations

from typing import NamedTuple

from shared.strategies.decision import Decision
from shared.strategies.question import Facts
from shared.strategies.signals import BE_FLAT, BE_LONG, BE_SHORT
from shared.trader.answer import Action, AnswerUnusable, Said
from shared.trader.parameters import AiTraderParameters


class Judged(NamedTuple):
    """`action` is what is done. `safety` says, a sentence each, where that is not what the model said."""

    decision: Decision
    action: Action
    safety: tuple[str, ...]


def judge(said: Said, facts: Facts, params: AiTraderParameters) -> Judged:
    """The decision that an answer means at this close. Pure: the same answer is always the same decision.

    A trade that is opened never has its stop or target on the wrong side of the close, nor more than the leverage.
    Raises `AnswerUnusable` for an answer that contradicts itself so.
    """
    _refuse_contradictions(said, facts)
    notes: list[str] = []
    action = _allowed_action(said, facts, params, notes) if params.safety_mode else said.action
    if action == "SHORT" and not facts.allow_short:
        notes.append("Shorts are not allowed in this backtest: SHORT only closes what is long.")
        action = "CLOSE"
    if action == "HOLD":
        return Judged(Decision(None), action, tuple(notes))
    if action == "CLOSE":
        return Judged(Decision(BE_FLAT), action, tuple(notes))
    size, stop = said.size_fraction, said.stop_loss_price
    if params.safety_mode:
        size, stop = _limited_size(size, action, facts, params, notes), _nearer_stop(stop, action, facts, params, notes)
        if size is not None and size <= 0.0:
            return Judged(Decision(None), "HOLD", tuple(notes))
    if size is not None and size > facts.leverage:
        raise AnswerUnusable(f"sizeFraction is {size!r}; the leverage allows at most {facts.leverage:g}")
    signal = BE_LONG if action == "LONG" else BE_SHORT
    return Judged(Decision(signal, size, stop, said.take_profit_price), action, tuple(notes))


def _refuse_contradictions(said: Said, facts: Facts) -> None:
    if said.action not in ("LONG", "SHORT"):
        return
    long = said.action == "LONG"
    for name, price, below in (
        ("stopLossPrice", said.stop_loss_price, long),
        ("takeProfitPrice", said.take_profit_price, not long),
    ):
        if price is not None and not (price < facts.close if below else price > facts.close):
            side = "below" if below else "above"
            raise AnswerUnusable(
                f"{name} of a {said.action} is {price!r}; it must be {side} the close, {facts.close!r}"
            )


def _allowed_action(said: Said, facts: Facts, params: AiTraderParameters, notes: list[str]) -> Action:
    if said.action == "HOLD":
        return "HOLD"
    if said.confidence < params.min_confidence:
        notes.append(
            f"Confidence {said.confidence:g} is below {params.min_confidence:g}: {said.action} is taken as HOLD."
        )
        return "HOLD"
    floor = facts.day_start_equity * (1.0 - params.max_daily_loss_percent / 100.0)
    if said.action == "CLOSE" or facts.equity > floor:
        return said.action
    turns = facts.direction and (facts.direction > 0) != (said.action == "LONG")
    action: Action = "CLOSE" if turns else "HOLD"
    notes.append(
        f"Equity is down by {params.max_daily_loss_percent:g} % or more today, so that trades only close: "
        f"{said.action} is taken as {action}."
    )
    return action


def _limited_size(
    size: float | None, action: Action, facts: Facts, params: AiTraderParameters, notes: list[str]
) -> float | None:
    """None leaves it to the request's sizing; 0 where nothing may be added."""
    largest = facts.leverage if params.max_position_fraction is None else params.max_position_fraction
    held = facts.exposure_fraction if facts.direction == (1 if action == "LONG" else -1) else 0.0
    left = max(0.0, min(largest, facts.leverage) - held)
    if size is None and params.max_position_fraction is None:
        return None
    if size is not None and size <= left:
        return size
    wanted = "the request's size" if size is None else f"{size:g} of equity"
    if left:
        notes.append(f"The largest position is {largest:g} of equity, {held:g} is held: {wanted} becomes {left:g}.")
    else:
        notes.append(f"The largest position is {largest:g} of equity, {held:g} is held: {action} is taken as HOLD.")
    return left


def _nearer_stop(
    stop: float | None, action: Action, facts: Facts, params: AiTraderParameters, notes: list[str]
) -> float:
    share = params.stop_loss_percent / 100.0
    long = action == "LONG"
    farthest = facts.close * (1.0 - share if long else 1.0 + share)
    if stop is not None and (stop >= farthest if long else stop <= farthest):
        return stop
    given = "No stop was given" if stop is None else f"The stop at {stop!r} is farther away"
    notes.append(f"{given}: it is set {params.stop_loss_percent:g} % from the close, at {farthest!r}.")
    return farthest
