"""What is said of a backtest: who composes it, how it is numbered, and who hears it.

News of one backtest are ordered by (epoch, seq). A run numbers its own; whoever ends a backtest without running it (a
reaper, an owner who deletes it) speaks under a fence, the first number of an epoch that no run has: nothing that a
stalled worker still says is newer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from shared.contracts import Channel, Complete, Event, Failure, News, Progress, Summary
from shared.errors import BackfleetError, Conflict, FieldError, InvalidRequest, summary
from shared.instants import iso_from_ms, read_instant_ms
from shared.lifecycle import TERMINAL, Status
from shared.records import BacktestRecord, NewsDocument
from shared.request import BarsPerSecond
from shared.result_warnings import ResultWarning
from shared.results import ResultDocument
from shared.wire import validate

Live = Literal["state", "candle", "signal", "trade", "log", "thinking", "decision"]
DELETED = "deleted"
STOPPED = "stopped"
POISONED = "poisoned"
# What everybody who is signed in as the owner hears; other events are for subscribers of the backtest.
_EVENTS_FOR_OWNER = frozenset({"started", "paused", "resumed", "refused"})


@dataclass(frozen=True, slots=True)
class Line:
    """Whose news it is, and which: `seq` counts the news of one epoch from 1.

    `within` is where in what its user sent the params are, for the paths of what is wrong with them. `at_ms` is when it
    is said, on MongoDB's clock.
    """

    backtest_id: str
    user_id: str
    epoch: int
    seq: int
    within: str = ""
    at_ms: int | None = None


class Reached(NamedTuple):
    """How far a run is: `bar` bars of `total_bars`, the last of which opened at `time_ms`; closed trades, gain."""

    time_ms: int
    bar: int
    total_bars: int
    trades: int = 0
    pnl: float = 0.0

    @property
    def percent(self) -> float:
        return round(100 * (self.bar / self.total_bars), 2)


class Numbering:
    """Numbers what one run says, and dates it where `now_ms` tells MongoDB's time."""

    def __init__(self, record: BacktestRecord, now_ms: Callable[[], int] | None = None) -> None:
        self._record = record
        self._now_ms = now_ms
        self._seq = 0

    def next(self) -> Line:
        self._seq += 1
        within = "params." if self._record.get("published") else ""
        at_ms = self._now_ms() if self._now_ms else None
        return Line(self._record["_id"], self._record["userId"], self._record["epoch"], self._seq, within, at_ms)


def fence(record: BacktestRecord) -> Line:
    """The line of who ends a backtest from outside: after everything that any run of it has said or may still say."""
    return Line(record["_id"], record["userId"], record["epoch"] + 1, 1)


def news_document(channel: Channel, news: News) -> NewsDocument:
    return {"channel": channel.value, "epoch": news.epoch or 0, "seq": news.seq or 0, "payload": news.as_json()}


def terminal_news(record: BacktestRecord) -> NewsDocument | None:
    """What was, or is to be, published of this backtest's end."""
    return record["outbox"][-1] if record["outbox"] else None


def is_for_owner(news: News) -> bool:
    """Whether everybody who is signed in as the owner hears it, subscribed or not."""
    return not isinstance(news, Event) or news.type in _EVENTS_FOR_OWNER


# Constructors, one for each thing that is said


def started(
    line: Line,
    params: dict[str, Any],
    *,
    total_bars: int,
    resampled_from: str | None,
    resumed_from: int | None = None,
    labels: Mapping[str, str] | None = None,
) -> Event:
    """`resumed_from` is the bar at which a run is taken up that began elsewhere; `labels` are its asker's words."""
    data = {name: params[name] for name in ("symbol", "interval", "startDate", "endDate", "strategies")}
    data |= {"totalBars": total_bars, "resampledFrom": resampled_from, **(labels or {})}
    if resumed_from is not None:
        data["resumedFrom"] = resumed_from
    return Event(**_dated(line), type="started", data=data)


def heeded(
    line: Line, kind: Literal["paused", "resumed"], reached: Reached, *, speed: BarsPerSecond, command_id: str = ""
) -> Event:
    """A run stands still, or goes on, as the command asked."""
    data: dict[str, Any] = {
        "bar": reached.bar,
        "totalBars": reached.total_bars,
        "currentTime": iso_from_ms(reached.time_ms),
        "progressPercent": reached.percent,
        "speed": speed,
    }
    if command_id:
        data["commandId"] = command_id
    return Event(**_dated(line), type=kind, data=data)


def live(line: Line, kind: Live, data: dict[str, Any]) -> Event:
    """What a watched run shows: `shared/live.py` says what is in it."""
    return Event(**_dated(line), type=kind, data=data)


def progress(line: Line, reached: Reached, left_s: float | None, doing: str | None = None) -> Progress:
    """`left_s` is how long the rest may take, in seconds; `doing` is what takes long where it is not the bars."""
    day = iso_from_ms(reached.time_ms)[:10]
    return Progress(
        **_dated(line),
        progress=reached.percent,
        message=doing or f"Processing {day}",
        current_date=day,
        processed_bars=reached.bar,
        total_bars=reached.total_bars,
        trades_executed=reached.trades,
        current_pnl=round(reached.pnl, 8),
        eta_seconds=None if left_s is None else round(left_s, 1),
    )


def complete(line: Line, result: ResultDocument, began_ms: int = 0, stopped_by: str | None = None) -> Complete:
    """`began_ms` is when the run began, on MongoDB's clock; `stopped_by` the command that ended it where it was, None
    where it came to its last bar.
    """
    return Complete(
        **_dated(line),
        stopped=None if stopped_by is None else True,
        command_id=stopped_by or None,
        result_id=result["_id"],
        summary=Summary.model_validate(result["summary"]),
        dataset_hash=result["datasetHash"],
        result_hash=result["resultHash"],
        total_bars=result["totalBars"],
        effective_start=result.get("effectiveStart"),
        effective_end=result.get("effectiveEnd"),
        duration_seconds=(line.at_ms - began_ms) / 1000 if line.at_ms and began_ms else None,
        warnings=[validate(ResultWarning, one) for one in result.get("warnings", [])] or None,
    )


def failure(line: Line, error: BackfleetError, now_ms: int) -> Failure:
    """The end of a run that could not be done as asked."""
    errors = [FieldError(f"{line.within}{one.field}", one.message, one.code) for one in error.errors]
    # Most messages begin with the paths: these must be the same.
    message = summary(errors) if error.message == summary(error.errors) else error.message
    return _failure(line, error.code, message, now_ms, errors)


def poisoned(record: BacktestRecord, line: Line, *, last: str, now_ms: int) -> Failure:
    """The end of a backtest whose runs crashed as often as the poison budget allows."""
    crashed = f"The run crashed {record['failures'] + 1} times and will not be tried again; the last time: {last}"
    return _failure(line, POISONED, crashed, now_ms)


def deleted(record: BacktestRecord, now_ms: int, said: str = "The backtest was deleted before it ended") -> Failure:
    return _failure(fence(record), DELETED, said, now_ms)


def stopped(record: BacktestRecord, now_ms: int) -> Failure:
    """The end of one that was stopped while nobody ran it, before there was anything to make a result of."""
    return _failure(fence(record), STOPPED, "The backtest was stopped while it waited; it has no result", now_ms)


def held_back(record: BacktestRecord, data: dict[str, Any], now_ms: int) -> Event:
    """A backtest was paused while nobody ran it. It has no number, because only runs number what they say."""
    return _unnumbered(record["_id"], record["userId"], "paused", data, now_ms)


def command_refused(
    backtest_id: str, user_id: str, error: BackfleetError, now_ms: int, command_id: str | None = None
) -> Event:
    """The answer to a command on the channel that cannot be done."""
    data: dict[str, Any] = {"code": error.code, "error": error.message}
    data |= {"errors": [one.as_wire() for one in error.errors]} | ({"commandId": command_id} if command_id else {})
    return _unnumbered(backtest_id, user_id, "refused", data, now_ms)


def refused(
    backtest_id: str,
    user_id: str,
    message: str,
    errors: Sequence[FieldError],
    now_ms: int,
    code: str = InvalidRequest.code,
) -> Failure:
    """The answer to a task that became no backtest. It has no number; its ids are whatever could be read of them."""
    return Failure.model_construct(
        backtest_id=backtest_id,
        user_id=user_id,
        status="error",
        error=message,
        timestamp=iso_from_ms(now_ms),
        code=code,
        errors=[one.as_wire() for one in errors] or None,
    )


def taken(backtest_id: str, user_id: str, now_ms: int) -> Failure:
    """The answer to a task whose id stands for another request. It says the same whoever that one belongs to."""
    said = "is taken by another backtest; publish this one under another id"
    wrong = [FieldError("backtestId", said, Conflict.code)]
    return refused(backtest_id, user_id, f"backtestId: {said}", wrong, now_ms, Conflict.code)


def standing(record: BacktestRecord) -> tuple[Channel, str] | None:
    """Where a backtest stands, for whoever publishes the same task again: its end as it was said, or its progress.

    The end keeps its number: who has heard it is not told twice, and nothing is newer. The progress has none, because a
    run numbers its own. None while the end is on its way: what was said before it must not be overtaken.
    """
    if Status(record["status"]) in TERMINAL:
        end = None if record["outboxAt"] else terminal_news(record)
        return None if end is None else (Channel(end["channel"]), end["payload"])
    params = record["params"]
    start_ms, end_ms = (read_instant_ms(name, params[name]) for name in ("startDate", "endDate"))
    reached_ms = start_ms + int((end_ms - start_ms) * record["progress"] / 100)
    said = Progress(
        backtest_id=record["_id"],
        user_id=record["userId"],
        progress=record["progress"],
        message=f"The backtest is {record['status']}",
        current_date=iso_from_ms(reached_ms)[:10],
    )
    return Channel.PROGRESS, said.as_json()


def _failure(line: Line, code: str, message: str, now_ms: int, errors: Sequence[FieldError] = ()) -> Failure:
    return Failure(
        **_of(line),
        error=message,
        code=code,
        errors=[one.as_wire() for one in errors] or None,
        timestamp=iso_from_ms(now_ms),
    )


def _unnumbered(
    backtest_id: str, user_id: str, type: Literal["paused", "refused"], data: dict[str, Any], now_ms: int
) -> Event:
    return Event(backtest_id=backtest_id, user_id=user_id, type=type, data=data, timestamp=iso_from_ms(now_ms))


def _of(line: Line) -> dict[str, Any]:
    return {"backtest_id": line.backtest_id, "user_id": line.user_id, "epoch": line.epoch, "seq": line.seq}


def _dated(line: Line) -> dict[str, Any]:
    return _of(line) | {"timestamp": None if line.at_ms is None else iso_from_ms(line.at_ms)}
