"""The engine: pure computing over arrays. No I/O, no clock, no checking of input."""

from shared.reasons import Reason
from worker.engine.config import EngineConfig
from worker.engine.simulation import ENGINE_VERSION, Delta, Outcome, Simulation, warm
from worker.engine.snapshot import SnapshotUnfit
from worker.engine.trades import OpenTrade, Trades

__all__ = [
    "ENGINE_VERSION",
    "Delta",
    "EngineConfig",
    "OpenTrade",
    "Outcome",
    "Reason",
    "Simulation",
    "SnapshotUnfit",
    "Trades",
    "warm",
]
