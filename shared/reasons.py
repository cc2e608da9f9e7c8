"""Why a trade opened or closed."""

from __future__ import annotations

from enum import IntEnum


class Reason(IntEnum):
    """Codes are stored in frames and snapshots and hashed: never renumber. `wire` is the name people see."""

    SIGNAL = 1
    STOP_LOSS = 2
    TAKE_PROFIT = 3
    TRAILING_STOP = 4
    REVERSAL = 5
    LIQUIDATION = 6
    STOPPED_BY_USER = 7
    END_OF_DATA = 8

    @property
    def wire(self) -> str:
        return self.name.lower()
