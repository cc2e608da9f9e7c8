"""Where bars may begin: the days of a market's session, and the grid that an interval makes of them.

A session is a zone and the time of its clock at which a day of trade begins, its anchor. Bars longer than an hour keep
to that clock: a day begins at the anchor before and after clocks are changed, and is an hour shorter or longer in
between. Bars of an hour or less keep their length, and stand where those of the anchor do. Where nothing else is said
days begin at midnight UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from shared.errors import ConfigurationError
from shared.instants import INTERVAL_MS

Instants = NDArray[np.int64]

HOUR_MS, DAY_MS, WEEK_MS = 3_600_000, 86_400_000, 604_800_000
_MONDAY_MS = 4 * DAY_MS  # 1970-01-05
_LOOK_EVERY_S = 14 * 86_400  # no zone of a market changed its clock twice within two weeks
_ZONES_FROM_S, _ZONES_TO_S = -2_208_988_800, 4_102_444_800  # 1900 to 2100; before and after, as at the edges
_REFERENCE_MS = 1_577_836_800_000  # 2020: bars of an hour or less stand as they did then


@dataclass(frozen=True, slots=True)
class Session:
    """Days of trade begin when the clock of `zone` (IANA) shows `anchor_ms` after midnight.

    From noon on they are counted to the date that follows, as markets do that open on Sunday evening. `asked`: a person
    said so, it is not what was recognised.
    """

    zone: str = "UTC"
    anchor_ms: int = 0
    asked: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return f"{self.zone} {self.anchor}"

    @property
    def anchor(self) -> str:
        """`HH:MM`, with seconds where there are any."""
        minutes, rest_ms = divmod(self.anchor_ms, 60_000)
        return f"{minutes // 60:02}:{minutes % 60:02}" + (f":{rest_ms / 1000:06.3f}" if rest_ms else "")

    @property
    def shift_ms(self) -> int:
        """The anchor, counted from the midnight that begins the date its day is counted to."""
        return self.anchor_ms if 2 * self.anchor_ms < DAY_MS else self.anchor_ms - DAY_MS

    @property
    def is_plain(self) -> bool:
        return self == UTC_DAYS


UTC_DAYS = Session()


@dataclass(frozen=True, slots=True)
class Grid:
    """Numbers the places at which bars may begin, one after the other. Plain data: may be sent to another process.

    `months`: a place is so many months, and `step_ms` only about as long. `by_clock`: places keep to the zone's clock.
    """

    step_ms: int
    phase_ms: int = 0
    session: Session = UTC_DAYS
    months: int = 0
    by_clock: bool = False

    @classmethod
    def of(cls, interval: str, session: Session = UTC_DAYS, times: int = 1) -> Grid:
        """Of bars that are `times` as long as the interval. Whole weeks begin on a Monday, other days in 1970."""
        step_ms = INTERVAL_MS[interval] * times
        if interval == "1M":
            return cls(step_ms, 0, session, times, True)
        return cls.every(step_ms, session)

    @classmethod
    def every(cls, step_ms: int, session: Session = UTC_DAYS) -> Grid:
        """Of bars of this length."""
        phase_ms = _MONDAY_MS % step_ms if step_ms % WEEK_MS == 0 else 0
        if session.zone != "UTC" and step_ms > HOUR_MS and step_ms % HOUR_MS == 0:
            return cls(step_ms, phase_ms, session, 0, True)
        ahead_ms = int(_local_ms(_one(_REFERENCE_MS), session.zone)) - _REFERENCE_MS
        return cls(step_ms, (phase_ms + session.shift_ms - ahead_ms) % step_ms, session)

    def through(self, instant_ms: int) -> Grid:
        """The same with a place on the session's day of this instant, where places are several days apart."""
        if self.months or self.step_ms <= DAY_MS or self.step_ms % DAY_MS:
            return self
        days = Grid.every(DAY_MS, self.session)
        day_ms = days.slot(instant_ms) * DAY_MS + (0 if days.by_clock else days.phase_ms)
        return replace(self, phase_ms=day_ms % self.step_ms)

    def slots(self, time_ms: Instants) -> Instants:
        """The number of the place that each instant lies in."""
        if not self.by_clock:
            return (time_ms - self.phase_ms) // self.step_ms
        local = _local_ms(time_ms, self.session.zone) - self.session.shift_ms
        if self.months:
            slots = local.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64) // self.months
        else:
            slots = (local - self.phase_ms) // self.step_ms
        if self.session.zone == "UTC":
            return slots
        # An hour that the clock shows twice, or never, may lie beside the place that its time alone tells.
        return slots + (self.starts(slots + 1) <= time_ms) - (self.starts(slots) > time_ms)

    def starts(self, slots: Instants) -> Instants:
        """The instants at which these places begin."""
        if not self.by_clock:
            return slots * self.step_ms + self.phase_ms
        if self.months:
            local = (slots * self.months).astype("datetime64[M]").astype("datetime64[ms]").astype(np.int64)
        else:
            local = slots * self.step_ms + self.phase_ms
        return _instants_of(local + self.session.shift_ms, self.session.zone)

    def slot(self, instant_ms: int) -> int:
        return int(self.slots(_one(instant_ms))) if self.by_clock else (instant_ms - self.phase_ms) // self.step_ms

    def start(self, slot: int) -> int:
        return int(self.starts(_one(slot))) if self.by_clock else slot * self.step_ms + self.phase_ms

    def before(self, instant_ms: int) -> int:
        """The start of the place that the instant lies in."""
        return self.start(self.slot(instant_ms))

    def at_or_after(self, instant_ms: int) -> int:
        """The start of the first place that begins at the instant or later."""
        return self.start(self.slot(instant_ms - 1) + 1)

    def end_of(self, instant_ms: int) -> int:
        """Where the place ends that the instant lies in."""
        return self.start(self.slot(instant_ms) + 1)


def _one(value: int) -> Instants:
    """A scalar of NumPy: it computes as an array does, and costs less than one of one value."""
    return cast("Instants", np.int64(value))


def local_times(time_ms: Instants, zone: str) -> Instants:
    """What the clock of the zone shows at these instants, in ms since its 1970."""
    return _local_ms(time_ms, zone)


def _local_ms(time_ms: Instants, zone: str) -> Instants:
    if zone == "UTC":
        return time_ms
    changes_ms, offsets_ms, _ = _clock_of(zone)
    return time_ms + offsets_ms[np.searchsorted(changes_ms, time_ms, side="right")]


def _instants_of(local_ms: Instants, zone: str) -> Instants:
    """The first instant at which the clock shows this, or, where it never does, would have without the change."""
    if zone == "UTC":
        return local_ms
    _, offsets_ms, until_ms = _clock_of(zone)
    return local_ms - offsets_ms[np.searchsorted(until_ms, local_ms, side="right")]


@lru_cache(maxsize=64)
def _clock_of(zone: str) -> tuple[Instants, Instants, Instants]:
    """When the clock is changed, how far it is ahead of UTC before each change and after the last, and what it shows
    at the end of each. Raises `ConfigurationError` where the zone is not known here.
    """
    try:
        known = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigurationError(
            f"time zone {zone!r} is not in this machine's time zone database; install the package tzdata"
        ) from None

    def offset_s(at_s: int) -> int:
        offset = datetime.fromtimestamp(at_s, known).utcoffset()
        assert offset is not None
        return offset.days * 86_400 + offset.seconds

    looks = range(_ZONES_FROM_S, _ZONES_TO_S, _LOOK_EVERY_S)
    changes: list[int] = []
    offsets = [offset_s(looks[0])]
    for at_s in looks:
        if (found := offset_s(at_s)) == offsets[-1]:
            continue
        before, after = at_s - _LOOK_EVERY_S, at_s
        while after - before > 60:  # clocks are changed at whole minutes
            middle = (before + after) // 120 * 60
            before, after = (middle, after) if offset_s(middle) == offsets[-1] else (before, middle)
        changes.append(after)
        offsets.append(found)
    changes_ms, offsets_ms = 1000 * np.array(changes, np.int64), 1000 * np.array(offsets, np.int64)
    return changes_ms, offsets_ms, changes_ms + np.maximum(offsets_ms[:-1], offsets_ms[1:])
