"""The engine: pure computing over arrays. No I/O, no time of day, no checking of input.

Each name is loaded when it is first asked for: a worker reads what its engine processes answer, and has no use for the
compiler that they load.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shared.errors import PositionUnfit
    from shared.reasons import Reason
    from shared.strategies.view import OpenTrade
    from worker.engine.config import EngineConfig
    from worker.engine.deciding import play
    from worker.engine.delta import Ask, Delta, Outcome
    from worker.engine.position import Decisions, Mark, Position
    from worker.engine.simulation import Simulation
    from worker.engine.trades import Trades
    from worker.engine.version import ENGINE_VERSION, FOLD_VERSION
    from worker.engine.warming import warm

__all__ = [
    "ENGINE_VERSION",
    "FOLD_VERSION",
    "Ask",
    "Decisions",
    "Delta",
    "EngineConfig",
    "Mark",
    "OpenTrade",
    "Outcome",
    "Position",
    "PositionUnfit",
    "Reason",
    "Simulation",
    "Trades",
    "play",
    "warm",
]

_PLACES = {
    **dict.fromkeys(("ENGINE_VERSION", "FOLD_VERSION"), "worker.engine.version"),
    **dict.fromkeys(("Ask", "Delta", "Outcome"), "worker.engine.delta"),
    **dict.fromkeys(("Decisions", "Mark", "Position"), "worker.engine.position"),
    "EngineConfig": "worker.engine.config",
    "OpenTrade": "shared.strategies.view",
    "PositionUnfit": "shared.errors",
    "Reason": "shared.reasons",
    "Simulation": "worker.engine.simulation",
    "Trades": "worker.engine.trades",
    "play": "worker.engine.deciding",
    "warm": "worker.engine.warming",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
