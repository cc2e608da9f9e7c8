"""What an engine process does before its first backtest, so that this one waits for nothing."""

from __future__ import annotations

import numpy as np

from shared.bars import Bars
from shared.strategies.catalogue import built_in
from worker.engine.config import EngineConfig
from worker.engine.simulation import Simulation

_BARS = 64
_STEP_MS = 3_600_000


def warm() -> None:
    """Runs the kernel and our own strategies once, and compiles what is not compiled yet.

    Other packages' strategies wait until they are asked for: one that raises or takes long would keep every slot cold.
    """
    steps = np.arange(_BARS, dtype=np.float64)
    price = 100.0 + 10.0 * np.sin(steps / 3.0)
    time_ms = np.arange(_BARS, dtype=np.int64) * _STEP_MS
    bars = Bars(time_ms, price, price + 1.0, price - 1.0, price, steps)
    uses = [strategy.use({}, strategy.id) for strategy in built_in() if strategy.form == "signals"]
    config = EngineConfig(stop_loss_percent=1.0, take_profit_percent=1.0, commission_rate=0.001, allow_short=True)
    simulation = Simulation.start(bars, config, uses)
    simulation.advance(_BARS // 2)
    simulation = Simulation.resume(simulation.position(), bars, config, uses)
    simulation.advance(_BARS)
    simulation.finish()
