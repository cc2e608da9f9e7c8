"""Series judged by the calendar of an exchange: what it closes is no gap, what it opens and the series lacks is one."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas
import pytest

from shared.candles.calendars import OpenSlots, load_calendar, read_calendar
from shared.candles.grid import DAY_MS, HOUR_MS, Grid, Session
from shared.candles.manifest import first_manifest, read_manifest, write_manifest
from shared.candles.series import TimeIndex
from shared.errors import ImportRefused, Unavailable
from shared.instants import iso_from_ms
from tests.peers import load
from tests.unit.conftest import Read, Refusal

pd: Any = pandas
load("exchange_calendars")

# What the exchange of New York was closed for from November 2024 to May 2025: President Carter's funeral among them.
CLOSED = ["2024-11-28", "2024-12-25", "2025-01-01", "2025-01-09", "2025-01-20", "2025-02-17", "2025-04-18"]
DAYS: Any = pd.bdate_range("2024-11-01", "2025-05-23").difference(pd.DatetimeIndex(CLOSED))


@pytest.fixture
def in_a_process() -> None:
    """For a test of the process in which a calendar is read."""


@pytest.fixture(autouse=True)
def here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calendars are read in this process, which has pandas, where the other one is not what is tested."""
    if "in_a_process" not in request.fixturenames:
        monkeypatch.setattr("shared.candles.calendars._load", read_calendar)


def table(times: Any) -> str:
    lines = "\n".join(f"{time},10,12,9,11,5" for time in times)
    return f"time,open,high,low,close,volume\n{lines}\n"


def days_but(*missing: str) -> str:
    return table(DAYS.difference(pd.DatetimeIndex(missing)).strftime("%Y-%m-%d"))


def hours(freq: str = "30min", *, early: bool = True, without: tuple[str, ...] = ()) -> str:
    """Bars of two weeks around Thanksgiving 2024, when trade ended at 13:00 on the Friday."""
    parts: list[Any] = []
    for day in pd.bdate_range("2024-11-18", "2024-12-06").difference(pd.DatetimeIndex(CLOSED)):
        ends = "12:59" if early and day == pd.Timestamp("2024-11-29") else "15:59"
        parts.append(pd.date_range(f"{day.date()} 09:30", f"{day.date()} {ends}", freq=freq, tz="America/New_York"))
    times = parts[0].append(parts[1:]).tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%SZ")
    return table(time for time in times if time not in without)


@pytest.mark.usefixtures("in_a_process")
def test_days_on_which_the_exchange_was_closed_are_no_gaps(read: Read) -> None:
    series = read(days_but(), calendar="XNYS")
    assert series.calendar == "XNYS"
    assert series.notes[-1] == "no bar is missing by the calendar XNYS"
    [guessed] = [note for note in read(days_but()).notes if "missing" in note]
    assert guessed.startswith("7 gaps, 7 bars missing"), "nothing else knows that they are holidays"


@pytest.mark.parametrize(("missing", "until"), [("2024-12-24", "2024-12-25"), ("2025-04-17", "2025-04-18")])
def test_a_day_that_the_exchange_was_open_is_missed_by_its_date(read: Read, missing: str, until: str) -> None:
    [note] = [note for note in read(days_but(missing), calendar="XNYS").notes if "missing" in note]
    assert note.startswith("1 gap, 1 bars missing by the calendar XNYS (0.")
    assert note.endswith(f"largest: {missing}T00:00:00Z to {until}T00:00:00Z (1 bars)")


def test_holes_of_weeks_and_more_than_a_hundredth_are_refused(read: Read, refusal: Refusal) -> None:
    few = ("2025-01-10", "2025-03-03")
    said = refusal(days_but(*few), calendar="XNYS")
    assert "X 1d lacks 1.44% of its bars by the calendar XNYS (2 in 2 gaps), more than 1%" in said
    assert "the largest gap is 2025-01-10T00:00:00Z to 2025-01-11T00:00:00Z (1 bars)" in said
    assert "--allow-gaps" in said
    weeks = [str(day.date()) for day in pd.bdate_range("2025-03-03", "2025-03-18")]
    assert len(read(days_but(*weeks), calendar="XNYS", allow_gaps=True).bars.time_ms) == len(DAYS) - len(weeks)


def test_weeks_are_lost_by_a_calendar_too() -> None:
    calendar = load_calendar("XNYS", *ms("2010-01-04", "2024-01-01"))
    days = calendar.days[calendar.days * DAY_MS < ms("2010-01-04", "2024-01-01")[1]] * DAY_MS
    judged = [
        TimeIndex.of_times(np.delete(days, slice(1_050, 1_050 + lost)), Grid.of("1d")).judge(calendar)
        for lost in (9, 11)
    ]
    assert [(one.holidays, one.lacking, one.lost_weeks) for one in judged] == [(0, 9, False), (0, 11, True)]


def test_bars_of_days_that_the_exchange_was_closed_are_kept_and_said(read: Read) -> None:
    strange = table(pd.bdate_range("2025-01-02", "2025-01-31").strftime("%Y-%m-%d"))
    [note] = [note for note in read(strange, calendar="XNYS").notes if note.startswith("warning: ")]
    assert note == "warning: 2 bars are of days on which XNYS was closed, the first 2025-01-09T00:00:00Z"


def test_a_half_day_ends_where_the_exchange_says(read: Read) -> None:
    assert read(hours(), calendar="XNYS").notes[-1] == "no bar is missing by the calendar XNYS"
    lost = ("2024-11-29T17:30:00Z",)  # 12:30 in New York, the last half hour of that day
    [note] = [note for note in read(hours(without=lost), calendar="XNYS").notes if "missing" in note]
    assert note.endswith("largest: 2024-11-29T17:30:00Z to 2024-11-29T18:00:00Z (1 bars)")
    whole = hours(early=False, without=("2024-11-29T18:30:00Z",))  # after the exchange closed: nothing is missed
    assert read(whole, calendar="XNYS").notes[-1] == "no bar is missing by the calendar XNYS"


def test_bars_longer_than_a_part_of_the_day_count_where_it_is_open_for_some_of_them(read: Read) -> None:
    """Hours begin at 09:30 and the last one has half an hour of trade; a break at noon is closed."""
    assert read(hours("1h"), calendar="XNYS").notes[-1] == "no bar is missing by the calendar XNYS"
    tokyo = load_calendar("XTKS", *ms("2024-06-03", "2024-06-04"))
    slots = tokyo.open_slots(Grid.of("30m", Session("Asia/Tokyo", 9 * HOUR_MS)))
    opens = slots.numbered(np.arange(10))
    assert [iso_from_ms(int(at) * HOUR_MS // 2)[11:16] for at in opens] == [
        *("00:00", "00:30", "01:00", "01:30", "02:00"),  # 09:00 to 11:30 there
        *("03:30", "04:00", "04:30", "05:00", "05:30"),  # 12:30 to 15:00
    ]


@pytest.mark.parametrize("anchor_ms", [0, 17 * HOUR_MS])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_a_day_is_the_one_that_the_session_counts_it_to(zone: str, anchor_ms: int) -> None:
    calendar = load_calendar("XNYS", *ms("2025-01-02", "2025-02-01"))
    grid = Grid.of("1d", Session(zone, anchor_ms))
    starts = grid.starts(calendar.open_slots(grid).first)
    middles = starts + DAY_MS // 2 if anchor_ms == 0 else starts + 20 * HOUR_MS
    there = pd.to_datetime(middles, unit="ms", utc=True).tz_convert(zone).strftime("%Y-%m-%d").tolist()
    assert there[:6] == ["2025-01-02", "2025-01-03", "2025-01-06", "2025-01-07", "2025-01-08", "2025-01-10"]


def test_places_are_counted_and_numbered_as_one_by_one() -> None:
    slots = OpenSlots.of_stretches(np.array([2, 4, 9]), np.array([4, 6, 9]))  # 4 is in two of them
    one_by_one = [2, 3, 4, 5, 6, 9]
    everywhere = np.arange(12)
    assert slots.before(everywhere).tolist() == [sum(at < here for at in one_by_one) for here in everywhere]
    assert slots.numbered(np.arange(6)).tolist() == one_by_one


def test_what_a_calendar_missed_is_kept_with_the_series(read: Read) -> None:
    series = read(days_but("2025-03-03"), calendar="NYSE")
    made = first_manifest("X", "1d", "test", series.bars, series.session, series.calendar)
    kept = read_manifest(write_manifest(made, 0))
    assert (kept.calendar, kept.gap_count, kept.missing_bars) == ("XNYS", 1, 1)
    assert (made.lacking.tolist(), kept.lacking.tolist()) == (made.lacking.tolist(),) * 2
    whole = kept.slice(*ms("2024-11-01", "2025-06-01"))
    assert whole.lack is not None
    assert (whole.lack.bars, *whole.lack.longest) == (1, *ms("2025-03-01", "2025-03-04"), 1)
    assert kept.slice(*ms("2024-11-01", "2025-03-01")).lack is None
    guessed = first_manifest("X", "1d", "test", series.bars, series.session)
    assert guessed.dataset_hash == kept.dataset_hash, "the bars are the same"
    assert guessed.id != kept.id
    assert "calendar" not in write_manifest(guessed, 0)


def ms(start: str, end: str) -> tuple[int, int]:
    first, last = (int(np.datetime64(day, "ms").astype(np.int64)) for day in (start, end))
    return first, last


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("xnys", ["'xnys' is no calendar", "XNYS"]),
        ("XNYX", ["'XNYX' is no calendar", "near are XNYS"]),
        ("?", ["'?' is no calendar, such as XNYS or XLON"]),
    ],
)
def test_a_calendar_that_is_none_is_refused_with_those_near(refusal: Refusal, name: str, parts: list[str]) -> None:
    said = refusal(days_but(), calendar=name)
    for part in ["--calendar ", *parts]:
        assert part in said


@pytest.mark.usefixtures("in_a_process")
def test_a_calendar_that_cannot_judge_the_bars_is_refused(refusal: Refusal) -> None:
    weeks = table(pd.date_range("2024-01-01", "2024-06-03", freq="7D").strftime("%Y-%m-%d"))
    said = refusal(weeks, interval="1w", calendar="XNYS")
    assert "--calendar 'XNYS' judges bars of a day or less, and these are of 1w; leave it out" in said
    old = table(pd.bdate_range("1955-01-03", "1955-03-01").strftime("%Y-%m-%d"))
    said = refusal(old, calendar="XHKG")
    assert "--calendar 'XHKG' cannot judge bars from 1955-01-03 to 1955-03-03: " in said
    assert said.endswith("; leave it out")


def test_without_the_package_the_refusal_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    with pytest.raises(ImportRefused) as refused:
        read_calendar("XNYS", 20_000, 20_100)
    assert refused.value.message == (
        "--calendar 'XNYS' needs the package exchange_calendars; install backfleet[calendars]"
    )
    [error] = refused.value.for_form().errors
    assert error.field == "calendar"


def test_nothing_that_a_calendar_warns_of_ends_an_import() -> None:
    """Warnings are errors here: under pandas 3 the package brings some wherever it is used."""
    assert read_calendar("XHKG", 19_000, 20_000).name == "XHKG"


@pytest.mark.usefixtures("in_a_process")
def test_a_process_that_dies_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(Unavailable, match="the calendar XLON could not be read"):
        load_calendar("XLON", *ms("2024-01-02", "2024-01-31"))
