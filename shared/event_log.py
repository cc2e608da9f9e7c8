"""Event logs: what is kept of what was said of a backtest, and whether anything is missing from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from shared.contracts import Channel, Cursor
from shared.records import NewsDocument


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as it stood on the channel."""

    channel: Channel
    payload: str


@dataclass(frozen=True, slots=True)
class Replay:
    """What is kept of what was said after a cursor, oldest first.

    `known` is False for a cursor that this event log cannot have given: all that is kept is replayed then. `complete`
    says that nothing else was said after the cursor. Of an empty event log it is False: whether nothing was said, or
    all of it is lost, the log cannot tell.
    """

    news: list[Heard]
    complete: bool
    known: bool


Position = tuple[int, int]  # epoch and seq
Entry = tuple[Position, Heard]
_START: Position = (0, 0)
_ID_MAX = 2**64 - 1  # of either half of an entry's id


async def replay_of(
    read: Callable[[Position], Awaitable[Sequence[Entry]]], after: Cursor | None, end: NewsDocument | None
) -> Replay:
    """Judges an event log, of which `read` gives all that is kept from a position on.

    A run numbers what it says from 1 and leaves no number out, and Redis takes only what is newer. Lost is either the
    oldest (trimmed, expired, evicted, flushed) or what Redis was not there for, which leaves a hole. So nothing is
    missing exactly where each entry is the next after the one before it, and the first of them next after the cursor or
    the very first. An epoch that is absent between two others said nothing: what is lost by age is older than all that
    is kept. `end` is what the record knows of the end: where the log has not got that far, it counts as an entry.
    """
    cursor = _START if after is None else (after.epoch, after.seq)
    if cursor > _START and max(cursor) <= _ID_MAX:
        kept = _with_end(await read(cursor), end, cursor)
        rest = [one for one in kept if one[0] > cursor]
        # Nothing lies between a cursor and the next number of its own epoch, so there the cursor need not be kept.
        if len(rest) < len(kept) or (rest and rest[0][0] == (cursor[0], cursor[1] + 1)):
            return Replay([heard for _, heard in rest], _unbroken(cursor, rest), known=True)
    kept = _with_end(await read(_START), end, _START)
    whole = cursor == _START and bool(kept) and kept[0][0] == (1, 1) and _unbroken((1, 0), kept)
    return Replay([heard for _, heard in kept], whole, known=cursor == _START)


def _with_end(kept: Sequence[Entry], end: NewsDocument | None, since: Position) -> list[Entry]:
    entries = list(kept)
    position = _START if end is None else (end["epoch"], end["seq"])
    if end is not None and position > (entries[-1][0] if entries else _START) and position >= since:
        entries.append((position, Heard(Channel(end["channel"]), end["payload"])))
    return entries


def _unbroken(before: Position, entries: Sequence[Entry]) -> bool:
    for position, _ in entries:
        if position != (before[0], before[1] + 1) and not (position[0] > before[0] and position[1] == 1):
            return False
        before = position
    return True


def position_of(entry_id: str) -> Position:
    epoch, _, seq = entry_id.partition("-")
    return int(epoch), int(seq)
