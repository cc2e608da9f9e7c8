"""What came before a question, looked up when it is asked for."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.strategies.decision import PastDecision
from shared.strategies.view import ClosedTrade, sealed
from worker.engine.trades import read_closed_trades
from worker.engine.voices import Voices


class _Run(Protocol):
    def equity(self, first_bar: int, until_bar: int) -> NDArray[np.float64]: ...
    def closed_rows(self, first: int, until: int) -> NDArray[np.float64]: ...


class Hindsight(NamedTuple):
    """The past of a question at bar `bar` to the strategy of that number, before which `closed` trades had been closed.

    However far the run goes on, or back and on again, it tells the same: what had happened by then stays.
    """

    run: _Run
    voices: Voices
    strategy: int
    bar: int
    closed: int

    def equity_curve(self) -> NDArray[np.float64]:
        return sealed(self.run.equity(0, self.bar), self.bar)

    def trades(self, n: int) -> tuple[ClosedTrade, ...]:
        return read_closed_trades(self.run.closed_rows(max(self.closed - n, 0), self.closed))

    def decisions(self, n: int) -> tuple[PastDecision, ...]:
        return self.voices.last_decisions(self.strategy, self.bar, n)
