"""The pipe between a worker and its engine processes: the messages, and how they are framed.

Parent and child are the same installation on the same machine, so messages are pickled; nothing from outside is ever
unpickled here. Every message is a frame: eight bytes of length, little endian, then the pickle.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.errors import FieldError

if TYPE_CHECKING:
    from collections.abc import Mapping

    # Only the child loads the engine: numba costs the parent a second and a hundred megabytes for nothing.
    import numpy as np
    from numpy.typing import NDArray

    from shared.bars import Bars
    from shared.candles import BarFiles
    from shared.strategies.decision import Decision
    from shared.strategies.question import Question
    from shared.strategies.signals import Signals
    from shared.strategies.view import OpenTrade
    from worker.engine.delta import Outcome
    from worker.engine.position import Decisions, Position
    from worker.engine.trades import Trades

HEADER_BYTES = 8


class Wanted(NamedTuple):
    """What an answer is to carry beside where the run stands. Nothing else is carried, or computed.

    `whole` adds to the news what came before them, `candles` the bars and their indicators. A step in which strategies
    decide ends with the first decision after `within_s` seconds, or sooner.
    """

    news: bool = False
    whole: bool = False
    candles: bool = False
    within_s: float = 60.0


NOTHING = Wanted()


@dataclass(frozen=True, slots=True)
class LookBack:
    """Before the bars of a backtest are fetched: how many before the first its strategies and levels look back at.

    `params` is the wire form.
    """

    params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LookedBack:
    """Answer to `LookBack`."""

    bars: int


@dataclass(frozen=True, slots=True)
class Load:
    """Begin a backtest and go on as `Advance` does: most runs are short, one step is all they take.

    `params` is the wire form, `bar_files` what `Candles.fetch` answered; the first `warmup_bars` of them lie before the
    run. With a `position` the run is taken up there; where it cannot be, the answer is a `Raised` with the code of
    `PositionUnfit`, and a `Load` without it begins anew.
    """

    params: dict[str, Any]
    bar_files: BarFiles
    until_bar: int
    warmup_bars: int = 0
    position: Position | None = None
    wanted: Wanted = NOTHING
    with_position: bool = False


@dataclass(frozen=True, slots=True)
class Advance:
    """Go on, at most to just before bar `until_bar`. Nothing but what is asked for is carried, or computed."""

    until_bar: int
    wanted: Wanted = NOTHING
    with_position: bool = False


@dataclass(frozen=True, slots=True)
class Rewind:
    """Go back to just before bar `bar`; to where the run stands, if that is earlier. No decision is asked for anew."""

    bar: int
    wanted: Wanted = NOTHING
    with_position: bool = False


@dataclass(frozen=True, slots=True)
class Finish:
    """End the run where it is, as if there were no further bars; its open trades closed at the last close, or not."""

    close_open_trades: bool
    wanted: Wanted = NOTHING


@dataclass(frozen=True, slots=True)
class Answer:
    """What the questions of the last `Moved` came to, by strategy; then go on as `Advance` does."""

    decisions: Mapping[str, Decision]
    until_bar: int
    wanted: Wanted = NOTHING


@dataclass(frozen=True, slots=True)
class Select:
    """The commands that follow are of that run, until the next of these. There is no answer.

    A process may have several runs: those that wait for somebody's answer, and one that goes on.
    """

    run: int


@dataclass(frozen=True, slots=True)
class Drop:
    """That run goes on elsewhere, or not at all. There is no answer."""

    run: int


@dataclass(frozen=True, slots=True)
class Busy:
    """A sign of life in the middle of a command, any number of them before its answer: what is being computed."""

    doing: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The process has loaded and compiled everything it needs."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that was logged. `message` is cut to a length, see `worker.log_lines`."""

    time_ms: int
    level: str
    message: str
    module: str
    function: str
    line: int
    logger: str


class Signalled(NamedTuple):
    """What the strategies came to together, where they had an opinion, one entry per signal in every column."""

    bar: NDArray[np.int64]
    time_ms: NDArray[np.int64]
    signal: Signals  # +1, -1 or 0


@dataclass(frozen=True, slots=True)
class Whole:
    """What a run came to from its first bar on, for who has heard nothing of it."""

    time_ms: NDArray[np.int64]
    equity: NDArray[np.float64]  # thinned where it is long
    thinned: bool
    trades: Trades  # the latest
    trades_skipped: int  # closed before these
    signals: Signalled  # the latest


@dataclass(frozen=True, slots=True)
class News:
    """What is new since the last answer that carried news, or since the start of the run where none has.

    After a rewind, what comes after its bar is news again, except decisions. Columns have one entry per trade, signal
    or bar. Figures are those at the end of the step, money in units of the quote currency. At the end of the run, what
    was open is closed already, and the last bar's equity is news once more: closing may have changed it.
    """

    first_bar: int  # equity points and signals are of the bars from here to `Moved.bar` (exclusive)
    first_trade: int  # how many trades had been closed before these
    trades: Trades  # the latest
    trades_skipped: int  # news as well, closed before these
    open_trades: list[OpenTrade]  # all there are, oldest first
    open_since_ms: list[int]  # of each, when its bar opened
    signals: Signalled  # the latest
    signals_skipped: int
    time_ms: NDArray[np.int64]
    equity: NDArray[np.float64]  # thinned where there is much: the first, the last, and each stretch's extremes
    thinned: bool
    close: float  # of the last bar; of the first before any was run
    peak_equity: float
    cash: float
    realised_pnl: float
    trades_won: int
    trades_lost: int
    decisions: Decisions
    candles: Bars | None
    indicators: Mapping[str, NDArray[np.float64]]  # of the candles, by name
    whole: Whole | None


class Moved(NamedTuple):
    """Where a run stands: answer to `Load`, `Advance`, `Answer` and `Rewind` while bars are left. A tuple is pickled
    soonest.

    `time_ms` is the last processed bar's, before any the first bar's. `position` has the decisions since the last
    answer with one, or since that taken up: joined (`Decisions.join`), they are all there are. `logs` are the lines
    since the last answer, `logs_dropped` how many more there were. With `questions` the run can go on only with an
    `Answer` to all of them; put again, they are the same.
    """

    bar: int
    total_bars: int
    time_ms: int
    equity: float
    trades_closed: int
    news: News | None = None
    position: Position | None = None
    logs: tuple[LogLine, ...] = ()
    logs_dropped: int = 0
    questions: tuple[Question, ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """Answer to the step that reached the last bar: what is open was closed, and this came of it.

    `last` has no position, for the run is over. `peak_mib` is the process's resident memory, for the recycling
    decision.
    """

    last: Moved
    outcome: Outcome
    peak_mib: int


@dataclass(frozen=True, slots=True)
class Raised:
    """The command failed in an orderly way; the process is ready for the next `Load`.

    `logs` are the lines since the last answer, `logs_dropped` how many more there were.
    """

    code: str
    message: str
    errors: tuple[FieldError, ...]
    logs: tuple[LogLine, ...] = ()
    logs_dropped: int = 0


Command = LookBack | Load | Advance | Answer | Rewind | Finish | Select | Drop
Reply = Busy | Ready | LookedBack | Moved | Finished | Raised


def frame(message: Command | Reply) -> bytes:
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return len(data).to_bytes(HEADER_BYTES, "little") + data
