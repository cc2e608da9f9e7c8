"""What the operators of the rule language compute.

Every number is float64[n], one value per bar, NaN where it is not known: before an indicator is defined, where zero
divides, beyond the range of float64. A condition is a `Truth`. What is said about a bar depends on that bar and earlier
ones only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.strategies.averages import EQUAL_WITHIN

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Truth(NamedTuple):
    """What is known of a condition at each bar, bool[n] each: that it holds or that it does not. Neither is unknown."""

    yes: Flags
    no: Flags


def finite(values: Floats) -> Floats:
    """The same with what is infinite unknown. Writes into `values`."""
    values[~np.isfinite(values)] = np.nan
    return values


def unknown(total: int) -> Floats:
    return np.full(total, np.nan)


def _margin(a: Floats, b: Floats) -> Floats:
    """Within this two numbers are equal: indicators of the same constant price differ in the last digits."""
    return EQUAL_WITHIN * np.maximum(np.abs(a), np.abs(b))


def _plus(a: Floats, b: Floats) -> Floats:
    """What cancels to within the margin is zero, so that a difference of equal averages has no sign."""
    total = a + b
    total[np.abs(total) <= _margin(a, b)] = 0.0
    return finite(total)


def minus(a: Floats, b: Floats) -> Floats:
    return _plus(a, -b)


def times(a: Floats, b: Floats) -> Floats:
    return finite(a * b)


def over(a: Floats, b: Floats) -> Floats:
    return finite(a / b)


def _negative(a: Floats) -> Floats:
    return -a


def truth_of(yes: Flags, *numbers: Floats) -> Truth:
    """A comparison is known where its numbers are; comparing with NaN has already said that it does not hold."""
    no = ~yes
    for one in numbers:
        no &= ~np.isnan(one)
    return Truth(yes, no)


def above(a: Floats, b: Floats) -> Truth:
    return truth_of(a - b > _margin(a, b), a, b)


def _below(a: Floats, b: Floats) -> Truth:
    return above(b, a)


def _equal(a: Floats, b: Floats) -> Truth:
    return truth_of(np.abs(a - b) <= _margin(a, b), a, b)


def _at_least(a: Floats, b: Floats) -> Truth:
    return _not(above(b, a))


def _at_most(a: Floats, b: Floats) -> Truth:
    return _not(above(a, b))


def _unequal(a: Floats, b: Floats) -> Truth:
    return _not(_equal(a, b))


def _both(a: Truth, b: Truth) -> Truth:
    return Truth(a.yes & b.yes, a.no | b.no)


def _either(a: Truth, b: Truth) -> Truth:
    return Truth(a.yes | b.yes, a.no & b.no)


def _not(a: Truth) -> Truth:
    return Truth(a.no, a.yes)


OPERATORS: dict[str, Callable[..., Floats | Truth]] = {
    "+": _plus,
    "-": minus,
    "*": times,
    "/": over,
    "negative": _negative,
    ">": above,
    "<": _below,
    ">=": _at_least,
    "<=": _at_most,
    "==": _equal,
    "!=": _unequal,
    "and": _both,
    "or": _either,
    "not": _not,
}
