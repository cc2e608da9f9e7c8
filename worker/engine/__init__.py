"""The engine: pure computing over arrays. No I/O, no time of day, no checking of input."""

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
