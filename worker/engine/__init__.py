"""The engine: pure computing over arrays. No I/O, no clock, no checking of input."""

from shared.reasons import Reason
from shared.strategies.view import OpenTrade
from worker.engine.config import EngineConfig
from worker.engine.deciding import play
from worker.engine.simulation import ENGINE_VERSION, Ask, Delta, Outcome, Simulation, warm
from worker.engine.snapshot import SnapshotUnfit
from worker.engine.trades import Trades

__all__ = [
    "ENGINE_VERSION",
    "Ask",
    "Delta",
    "EngineConfig",
    "OpenTrade",
    "Outcome",
    "Reason",
    "Simulation",
    "SnapshotUnfit",
    "Trades",
    "play",
    "warm",
]
