"""What code outside of backfleet imports: `from backfleet import Strategy, View`.

A `Strategy` whose `signals` look back at bars says at how many, `warmup=lambda params: params.period`: a run then gives
it bars before its start, so that what it says is right from the first bar on. Without, it begins where the run does.

Nothing is loaded before it is used, and each name is the very object that backfleet itself works with.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.bars import Bars
    from shared.strategies.decision import Decision, PastDecision
    from shared.strategies.parameters import Parameters
    from shared.strategies.signals import BE_FLAT, BE_LONG, BE_SHORT, NO_OPINION, Signals, silent, told_once
    from shared.strategies.strategy import Strategy
    from shared.strategies.view import ClosedTrade, OpenTrade, View

__all__ = [
    "BE_FLAT",
    "BE_LONG",
    "BE_SHORT",
    "NO_OPINION",
    "Bars",
    "ClosedTrade",
    "Decision",
    "OpenTrade",
    "Parameters",
    "PastDecision",
    "Signals",
    "Strategy",
    "View",
    "silent",
    "told_once",
]

_HOMES = {
    "Bars": "shared.bars",
    "Decision": "shared.strategies.decision",
    "PastDecision": "shared.strategies.decision",
    "Parameters": "shared.strategies.parameters",
    "BE_FLAT": "shared.strategies.signals",
    "BE_LONG": "shared.strategies.signals",
    "BE_SHORT": "shared.strategies.signals",
    "NO_OPINION": "shared.strategies.signals",
    "Signals": "shared.strategies.signals",
    "silent": "shared.strategies.signals",
    "told_once": "shared.strategies.signals",
    "Strategy": "shared.strategies.strategy",
    "ClosedTrade": "shared.strategies.view",
    "OpenTrade": "shared.strategies.view",
    "View": "shared.strategies.view",
}


if not TYPE_CHECKING:  # to a checker it would say that there is every name

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return found


def __dir__() -> list[str]:
    return __all__
