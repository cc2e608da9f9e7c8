"""The configuration of a run, as plain numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.contracts import BacktestParams
from shared.strategies.signals import Combination
from worker.engine.orders import (
    ALLOW_SHORT,
    FEE_RATE,
    MAX_OPEN_TRADES,
    SHARE_OF_EQUITY,
    SLIPPAGE_SHARE,
    STOP_SHARE,
    TARGET_SHARE,
    TERM_SLOTS,
)


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """How orders are sized, filled and charged. Checked where the request came in, not here."""

    initial_capital: float = 10_000.0
    position_size_percent: float = 1.0  # share of equity per trade: 0.02 is 2 %
    max_open_trades: int = 1
    allow_short: bool = False
    stop_loss_percent: float = 0.0  # percent of the entry price; 0 is none
    take_profit_percent: float = 0.0
    commission_rate: float = 0.0  # share of the traded value, per side
    slippage_bps: float = 0.0
    combine: Combination = "any"

    @classmethod
    def from_params(cls, params: BacktestParams) -> EngineConfig:
        return cls(
            initial_capital=params.initial_capital,
            position_size_percent=params.position_size_percent,
            max_open_trades=params.max_open_trades,
            allow_short=params.allow_short,
            stop_loss_percent=params.stop_loss.percent if params.stop_loss else 0.0,
            take_profit_percent=params.take_profit.percent if params.take_profit else 0.0,
            commission_rate=params.commission.rate,
            slippage_bps=params.slippage_bps,
            combine=params.combine,
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def terms(self) -> NDArray[np.float64]:
        """The kernel's view of this configuration, float64[TERM_SLOTS]."""
        terms = np.empty(TERM_SLOTS)
        terms[SHARE_OF_EQUITY] = self.position_size_percent
        terms[MAX_OPEN_TRADES] = self.max_open_trades
        terms[ALLOW_SHORT] = self.allow_short
        terms[STOP_SHARE] = self.stop_loss_percent / 100.0
        terms[TARGET_SHARE] = self.take_profit_percent / 100.0
        terms[FEE_RATE] = self.commission_rate
        terms[SLIPPAGE_SHARE] = self.slippage_bps / 10_000.0
        return terms
