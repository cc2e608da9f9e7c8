"""The pipe between a worker and its engine processes: the messages, and how they are framed.

Parent and child are the same installation on the same machine, so messages are pickled; nothing from outside is ever
unpickled here. Every message is a frame: eight bytes of length, little endian, then the pickle.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.errors import FieldError

if TYPE_CHECKING:
    # Only the child loads the engine: numba costs the parent a second and a hundred megabytes for nothing.
    from shared.candles import BarFiles
    from worker.engine import Outcome

HEADER_BYTES = 8


@dataclass(frozen=True, slots=True)
class Load:
    """Begin a backtest and go on as `Advance` does: most runs are short, one step is all they take.

    `params` is the wire form, `bar_files` what `Candles.fetch` answered.
    """

    params: dict[str, Any]
    bar_files: BarFiles
    until_bar: int


@dataclass(frozen=True, slots=True)
class Advance:
    """Go on, at most to just before bar `until_bar`."""

    until_bar: int


@dataclass(frozen=True, slots=True)
class Rewind:
    """Go back to just before bar `bar`."""

    bar: int


@dataclass(frozen=True, slots=True)
class Finish:
    """End the run where it is, as if there were no further bars; its open trades closed at the last close, or not."""

    close_open_trades: bool


@dataclass(frozen=True, slots=True)
class Ready:
    """The process has loaded and compiled everything it needs."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Where a run stands: answer to `Load` and `Advance` while bars are left. `time_ms` is the last processed bar's."""

    bar: int
    total_bars: int
    time_ms: int
    equity: float
    trades_closed: int


@dataclass(frozen=True, slots=True)
class Finished:
    """Answer to the step that reached the last bar: what is open was closed, and this came of it.

    `peak_mib` is the process's resident memory, for the recycling decision.
    """

    last: Moved
    outcome: Outcome
    peak_mib: int


@dataclass(frozen=True, slots=True)
class Raised:
    """The command failed in an orderly way; the process is ready for the next `Load`."""

    code: str
    message: str
    errors: tuple[FieldError, ...]


Command = Load | Advance | Rewind | Finish
Reply = Ready | Moved | Finished | Raised


def frame(message: Command | Reply) -> bytes:
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return len(data).to_bytes(HEADER_BYTES, "little") + data
