"""What a strategy that decides may answer: a direction, and how large and with which levels the trade shall be."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple

from shared.profiles import Profile
from shared.strategies.signals import BE_FLAT, BE_LONG, BE_SHORT, NO_OPINION

# Size, stop and target of a decision, 0 where it says none: each is above zero.
Numbers = tuple[float, float, float]
NO_NUMBERS: Numbers = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Decision:
    """A direction, and for the trade that this very decision opens what shall take the place of the request's.

    The three numbers need a signal of +1 or -1, and count for nothing where no trade opens on it. Where one is left
    out, the request's stands.
    """

    signal: int | None  # +1 long, -1 short, 0 flat, None no opinion
    size_fraction: float | None = None  # share of equity, instead of the request's sizing: above 0, at most leverage
    stop_price: float | None = None  # instead of stopLoss: on the losing side of the close it is decided at
    target_price: float | None = None  # instead of takeProfit: on the winning side


class PastDecision(NamedTuple):
    """What was decided at the close of bar `bar`."""

    bar: int
    decision: Decision


_SIGNALS = (BE_SHORT, BE_FLAT, BE_LONG, NO_OPINION)
_FIELDS = ("size_fraction", "stop_price", "target_price")
_SIZE = "0.5 is half of equity"
_NEEDS = {
    "size_fraction": f"above 0 and finite: {_SIZE}",
    "stop_price": "above 0 and finite: it is a price, not a distance",
    "target_price": "above 0 and finite: it is a price, not a distance",
}


def read_decision(said: Decision, close: float, leverage: float, profile: Profile) -> tuple[int, Numbers]:
    """The signal that a decision means and its numbers, `NO_NUMBERS` where it has none.

    `close` is that of the bar it was decided at, `leverage` the most a trade may be, `profile` whose rules it fills by.
    Raises `ValueError` for one that makes no sense.
    """
    signal = read_signal(said.signal, "signal ")
    given = {name: getattr(said, name) for name in _FIELDS if getattr(said, name) is not None}
    if not given:
        return signal, NO_NUMBERS
    for name, value in given.items():
        if signal not in (BE_LONG, BE_SHORT):
            meant = "None" if said.signal is None else str(signal)
            raise ValueError(
                f"answered with {name} {_shown(value)} and signal {meant}, which opens no trade; "
                f"leave {name} out, or answer with signal 1 or -1"
            )
        if profile != "backfleet":
            raise ValueError(
                f"answered with {name} {_shown(value)}, for which profile {profile} has no rule; leave {name} out "
                "and let the request say it, or run with profile backfleet"
            )
    size, stop, target = (_read_number(name, given[name]) if name in given else 0.0 for name in _FIELDS)
    if size > leverage:
        raise ValueError(f"must answer with size_fraction at most leverage, {leverage:g}: {_SIZE} (got {size!r})")
    direction = "long" if signal == BE_LONG else "short"
    if stop and not signal * stop < signal * close:
        side = "below" if signal == BE_LONG else "above"
        raise ValueError(f"must answer with stop_price {side} the close, {close!r}, to go {direction} (got {stop!r})")
    if target and not signal * target > signal * close:
        side = "above" if signal == BE_LONG else "below"
        raise ValueError(
            f"must answer with target_price {side} the close, {close!r}, to go {direction} (got {target!r})"
        )
    return signal, (size, stop, target)


def decision_of(signal: int, numbers: Numbers) -> Decision:
    """What `read_decision` read, written again."""
    size, stop, target = numbers
    return Decision(None if signal == NO_OPINION else signal, size or None, stop or None, target or None)


def read_signal(said: Any, field: str = "") -> int:
    """The signal that an answer means, no opinion for None. Raises `ValueError` for an answer that is none."""
    if said is None:
        return NO_OPINION
    try:
        signal = None if isinstance(said, bool) else operator.index(said)  # an int of Python's or NumPy's
    except TypeError:
        signal = None
    if signal not in _SIGNALS:
        raise ValueError(f"must answer {field}1 (long), -1 (short), 0 (flat) or None (no opinion), not {_shown(said)}")
    return signal


def _read_number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"must answer with {name} as a number, or leave it out (got {_shown(value)})")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not 0.0 < number < math.inf:
        raise ValueError(f"must answer with {name} {_NEEDS[name]} (got {_shown(value)})")
    return number


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
