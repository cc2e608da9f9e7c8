"""Which session the bars of a series keep, told from their times; and bars of weeks and months at their beginning."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from shared.candles.grid import DAY_MS, HOUR_MS, UTC_DAYS, Grid, Instants, Session, local_times

_MINUTE_MS = 60_000
# When markets' days begin, in the order in which it is believed where several fit: midnight of a market's date, the
# ends of the day of currencies and of futures in New York and Chicago, when shares open, midnights that look alike.
_MARKETS = (
    *("America/New_York", "Europe/London", "Europe/Berlin", "Asia/Kolkata", "Asia/Tokyo", "Asia/Shanghai"),
    *("Australia/Sydney", "America/Sao_Paulo", "America/Chicago"),
)
_RARER = ("Asia/Jerusalem", "Africa/Johannesburg")
_OPENINGS = (
    *(("America/New_York", 17 * 60), ("America/New_York", 18 * 60), ("America/Chicago", 17 * 60)),
    *(("America/New_York", 9 * 60 + 30), ("Asia/Kolkata", 9 * 60 + 15), ("Europe/London", 8 * 60)),
    *(("Europe/Berlin", 9 * 60), ("Asia/Tokyo", 9 * 60), ("Asia/Shanghai", 9 * 60 + 30), ("Australia/Sydney", 10 * 60)),
    *(("America/Chicago", 8 * 60 + 30), ("America/Sao_Paulo", 10 * 60), ("America/New_York", 8 * 60)),
    *((zone, 0) for zone in _RARER),
)
_KNOWN_COUNTS = 0.05  # by how much a share of breaks is better for an opening that is known
_REGULAR, _MOSTLY = 0.5, 0.9


def session_of(
    time_ms: Instants, interval: str, zone: str | None = None, anchor_ms: int | None = None, near: str | None = None
) -> Session:
    """The session whose grid all of the ascending times fit, in which days begin after the longest breaks.

    `zone` and `anchor_ms` are what a person asked for; `near` is a zone to believe first. Where the times stand on the
    grid of UTC, or on none at all, days begin at midnight UTC.
    """
    if anchor_ms is not None:
        return Session(zone or "UTC", anchor_ms, asked=True)
    day_ms = min(Grid.of(interval).step_ms, DAY_MS)
    if zone is not None:
        return Session(zone, _anchor_in(zone, time_ms, interval).anchor_ms, asked=True)
    if not time_ms.size or not (time_ms % day_ms).any():
        return UTC_DAYS
    zones = [*([near] if near else []), *_MARKETS, *_RARER, "UTC"]
    found = {one: _anchor_in(one, time_ms, interval) for one in zones}
    best = max(zones, key=lambda one: _belief(found[one], near))  # of equal ones the first
    # One wrong time among many must not hide what the others say: it is told from them.
    plain = (time_ms % day_ms == 0).mean()
    if found[best].fit < _MOSTLY or (found[best].fit < 1.0 and plain > _REGULAR):
        return UTC_DAYS
    return Session(best, found[best].anchor_ms)


class _Found(NamedTuple):
    """When days begin by the clock of a zone, at which share of the breaks they do, and which share of the bars fit."""

    zone: str
    anchor_ms: int
    share: float
    fit: float


def _belief(found: _Found, near: str | None) -> tuple[float, float, float]:
    """By how many bars fit, then by the share of breaks that days end, then by its place among what is known."""
    known, rank = (found.zone, found.anchor_ms / _MINUTE_MS), 0.0 if found.zone in ("UTC", near) else -1.0
    if found.anchor_ms == 0 and found.zone in (*_MARKETS, near) and found.zone != "UTC":
        rank = len(_OPENINGS) + 1.0
    elif known in _OPENINGS:
        rank = len(_OPENINGS) - float(_OPENINGS.index(known))
    return found.fit, found.share + (_KNOWN_COUNTS if rank > 0 else 0.0), rank


def _anchor_in(zone: str, time_ms: Instants, interval: str) -> _Found:
    local = local_times(time_ms, zone)
    step_ms = Grid.of(interval).step_ms
    anchor_ms, share = (0, 0.0) if step_ms >= DAY_MS else _after_breaks(time_ms, local, step_ms)
    if share < _REGULAR and time_ms.size:  # it is never closed, or keeps no hours
        phases, counts = np.unique(local % min(step_ms, DAY_MS), return_counts=True)
        anchor_ms, share = int(phases[np.argmax(counts)]), _REGULAR
    grid = Grid.of(interval if step_ms < DAY_MS else "1d", Session(zone, anchor_ms))
    fit = float((grid.starts(grid.slots(time_ms)) == time_ms).mean()) if time_ms.size else 1.0
    return _Found(zone, anchor_ms, share, fit)


def _after_breaks(time_ms: Instants, local: Instants, step_ms: int) -> tuple[int, float]:
    """The time of day at which bars begin after breaks, each weighed by its length, and its share of all of them."""
    breaks = np.diff(time_ms) - step_ms
    after = np.flatnonzero(breaks > 0)
    if not after.size:
        return 0, 0.0
    times, of_break = np.unique(local[after + 1] % DAY_MS, return_inverse=True)
    weights = np.bincount(of_break, np.minimum(breaks[after], DAY_MS).astype(np.float64))
    best = int(np.argmax(weights))
    return int(times[best]), float(weights[best] / weights.sum())


def put_at_beginnings(time_ms: Instants, interval: str, session: Session) -> Instants:
    """Bars of weeks and months at the beginning of theirs, whichever day of it they are named by. `time_ms` ascend.

    Weeks begin on a Monday, or on the one day that all bars stand on; where two bars would be of one such week, on the
    first day on which no two are: but for the last two, of which one may be the week so far. What fits none is left as
    it is.
    """
    if interval not in ("1w", "1M") or not time_ms.size:
        return time_ms
    whole = Grid.of(interval, session)
    grids = [whole]
    days = Grid.every(DAY_MS, session).slots(time_ms)
    if interval == "1w":
        weekdays = np.unique(days % 7)
        if len(weekdays) == 1:
            return time_ms
        monday_ms = whole.start(whole.slot(int(time_ms[0])))
        grids = [whole.through(monday_ms + day * DAY_MS + HOUR_MS * 2) for day in range(7)]
    repeated = np.diff(time_ms) == 0
    for grid in grids:
        slots = grid.slots(time_ms)
        if ((np.diff(slots) > 0) | repeated)[:-1].all():
            return grid.starts(slots)
    return time_ms
