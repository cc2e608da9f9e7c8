"""An example of a strategy that decides, in plain Python: follow three closes in a row that point the same way."""

from __future__ import annotations

from itertools import pairwise

from pydantic import Field

from shared.strategies import BE_LONG, BE_SHORT, Strategy, View
from shared.strategies.parameters import Parameters


class ThreeClosesParameters(Parameters):
    closes: int = Field(3, ge=1, le=20, description="Closes in a row that must each be above, or below, the last.")
    every: int = Field(1, ge=1, le=1_000, description="Bars from one decision to the next.")


def decide(view: View) -> int | None:
    """Long after so many rising closes, short after so many falling ones; otherwise everything stays as it is."""
    closes = view.bars.close[-view.params.closes - 1 :].tolist()
    if len(closes) <= view.params.closes:
        return None
    steps = list(pairwise(closes))
    if all(later > earlier for earlier, later in steps):
        return BE_LONG
    if all(later < earlier for earlier, later in steps):
        return BE_SHORT
    return None


STRATEGY = Strategy(
    id="three_closes",
    name="Three closes",
    description="Long after three rising closes in a row, short after three falling ones.",
    parameters=ThreeClosesParameters,
    decide=decide,
)
