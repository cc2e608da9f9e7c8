"""Series as vendors write them: weeks with holidays, days that begin in a market's zone, months, jumps of a split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.bars import Bars
from shared.candles import take_bars
from shared.candles.files.parsing import ParsedSeries, read_files
from shared.candles.grid import DAY_MS, HOUR_MS, UTC_DAYS, Grid, Session
from shared.candles.manifest import first_manifest, read_manifest, write_manifest
from shared.candles.resample import count_buckets, finer_intervals, resample_bars
from shared.candles.series import TimeIndex
from shared.candles.splits import likely_splits
from shared.errors import ImportRefused
from shared.instants import INTERVAL_MS
from shared.reading import Reading

pd: Any = pandas
NEW_YORK = "America/New_York"
START_MS = 1_704_067_200_000  # 2024-01-01T00:00Z
CURRENCIES = Session(NEW_YORK, 17 * HOUR_MS)
TEN_YEARS = ("2014-01-01", "2023-12-29")
Times = NDArray[np.int64]
# Around the hours that clocks skip and repeat, in New York and Berlin.
CHANGES_MS = [
    int(np.datetime64(at, "ms").astype(int)) + minutes * 60_000
    for at in ("2024-03-10T07:00", "2024-11-03T06:00", "2024-03-31T01:00", "2024-10-27T01:00")
    for minutes in (-61, -30, -1, 0, 1, 30, 61)
]


def new_years_to_christmas() -> Any:
    """The days on which the exchange of New York was closed, 2010 to 2025, by its rules."""
    from pandas.tseries import holiday  # pyright: ignore[reportMissingTypeStubs]

    of: Any = holiday
    near = of.nearest_workday
    rules = [
        of.Holiday("New Year", month=1, day=1, observance=of.sunday_to_monday),
        *(of.USMartinLutherKingJr, of.USPresidentsDay, of.GoodFriday, of.USMemorialDay),
        of.Holiday("Juneteenth", month=6, day=19, start_date="2022-01-01", observance=near),
        of.Holiday("Independence", month=7, day=4, observance=near),
        *(of.USLaborDay, of.USThanksgivingDay),
        of.Holiday("Christmas", month=12, day=25, observance=near),
    ]
    return of.AbstractHolidayCalendar(rules=rules).holidays("2010-01-01", "2025-12-31")


CLOSED = new_years_to_christmas()


def trading_days(start: str = TEN_YEARS[0], end: str = TEN_YEARS[1]) -> Any:
    days = pd.bdate_range(start, end)
    return days[~days.isin(CLOSED)]


def within_days(days: Any, freq: str, opens: str = "09:30", closes: str = "16:00", zone: str = NEW_YORK) -> Any:
    """Bars of each day from when the market opens, until 13:00 on the day after Thanksgiving."""
    parts: list[Any] = []
    for day in days:
        half = day.month == 11 and 23 <= day.day <= 29 and day.day_name() == "Friday"
        until = f"{day.date()} {'13:00' if half else closes}"
        parts.append(pd.date_range(f"{day.date()} {opens}", until, freq=freq, tz=zone, inclusive="left"))
    return parts[0].append(parts[1:])


def of_currencies(freq: str, start: str = "2021-01-01", end: str = "2022-12-31") -> Any:
    """Bars that begin by New York's clock from Sunday 17:00 to Friday 17:00."""
    clock = pd.date_range(start, end, freq="1h", tz="UTC").tz_convert(NEW_YORK)
    day = clock.day_of_week
    clock = clock[(day < 4) | ((day == 4) & (clock.hour < 17)) | ((day == 6) & (clock.hour >= 17))]
    every = {"1h": 1, "4h": 4, "1d": 24}[freq]
    return clock[(clock.hour - 17) % every == 0]


def milliseconds(stamps: Any) -> Times:
    stamps = stamps if stamps.tz is None else stamps.tz_convert("UTC").tz_localize(None)
    return np.ascontiguousarray(stamps.to_numpy().astype("datetime64[ms]").astype(np.int64))


def dated(stamps: Any) -> list[str]:
    return [stamp.strftime("%Y-%m-%d") for stamp in stamps]


def with_offset(stamps: Any) -> list[str]:
    return [stamp.isoformat(sep=" ") for stamp in stamps]


def in_utc(stamps: Any) -> list[str]:
    return [stamp.strftime("%Y-%m-%dT%H:%M:%SZ") for stamp in stamps.tz_convert("UTC")]


Read = Callable[..., ParsedSeries]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(times: Sequence[object], **asked: Any) -> ParsedSeries:
        """The one series of a file with a walk on these times."""
        dice = np.random.default_rng(1)
        close = np.round(100 * np.exp(np.cumsum(dice.normal(0, 0.005, len(times)))), 2)
        open_ = np.concatenate([close[:1], close[:-1]])
        lines = ["Date,Open,High,Low,Close,Volume"]
        for at, opened, closed in zip(times, open_.tolist(), close.tolist(), strict=True):
            lines.append(f"{at},{opened},{max(opened, closed)},{min(opened, closed)},{closed},1000")
        path = tmp_path / "X.csv"
        path.write_text("\n".join(lines) + "\n")
        [series] = read_files([path], Reading(**asked))
        return series

    return read


def said(series: ParsedSeries, words: str) -> bool:
    return any(words in note for note in series.notes)


def test_ten_years_of_daily_shares_are_read_and_their_holidays_told(read: Read) -> None:
    days = trading_days()
    series = read(dated(days))
    assert (series.interval, series.bars.total, series.session) == ("1d", len(days), UTC_DAYS)
    assert said(series, "90 gaps, 90 bars missing (3.45%), of them 90 where it may have been closed")


@pytest.mark.parametrize(
    ("week", "missing"),
    [({6, 0, 1, 2, 3}, 0), ({0, 1, 2, 3, 4, 5}, 0), ({0, 2, 4}, 0), ({1, 3}, 0), ({0, 1, 2, 3, 4, 5, 6}, 0)],
)
def test_a_series_is_judged_by_the_week_it_keeps(read: Read, week: set[int], missing: int) -> None:
    days = pd.date_range(*TEN_YEARS)
    series = read(dated(days[days.day_of_week.isin(week)]), interval="1d")
    assert TimeIndex.of_times(series.bars.time_ms, Grid.of("1d")).gaps()[2].sum() == missing


def test_one_odd_saturday_in_ten_years_is_no_week(read: Read) -> None:
    days = trading_days().append(pd.DatetimeIndex(["2019-06-15"])).sort_values()
    assert said(read(dated(days)), "90 gaps, 90 bars missing")


@pytest.mark.parametrize(
    ("start", "end", "lost", "says"),
    [
        (*TEN_YEARS, ("2019-03-01", "2019-03-22"), "more than two weeks at once, holidays apart"),
        ("2022-01-01", "2022-12-31", ("2022-03-07", "2022-03-18"), "more than 1%, holidays apart"),
    ],
)
def test_weeks_that_are_lost_are_refused_for_all_the_holidays(
    read: Read, start: str, end: str, lost: tuple[str, str], says: str
) -> None:
    days = trading_days(start, end)
    kept = days[(days < lost[0]) | (days > lost[1])]
    with pytest.raises(ImportRefused) as caught:
        read(dated(kept))
    assert says in caught.value.message
    assert read(dated(kept), allow_gaps=True).bars.total == len(kept)


def test_days_that_are_lost_here_and_there_are_no_holidays(read: Read) -> None:
    days = trading_days()
    kept = days[np.random.default_rng(3).random(len(days)) > 0.1]
    with pytest.raises(ImportRefused, match=r"lacks 1.*, more than 1%; the largest"):
        read(dated(kept))


@pytest.mark.parametrize(("freq", "interval"), [("5min", "5m"), ("30min", "30m"), ("1h", "1h"), ("4h", "4h")])
def test_holidays_and_half_days_are_room_for_bars_within_a_day_too(read: Read, freq: str, interval: str) -> None:
    clock = within_days(trading_days("2022-01-01", "2023-01-31"), freq)
    series = read(with_offset(clock))
    assert (series.interval, series.bars.time_ms.tolist()) == (interval, milliseconds(clock).tolist())
    assert said(series, "where it may have been closed")
    # An outage in the middle of days is none of these.
    wednesdays = (clock.day_of_week == 2) & (clock.hour >= 10) & (clock.hour < 15)
    if interval != "4h":
        with pytest.raises(ImportRefused, match="lacks"):
            read(with_offset(clock[~wednesdays | (clock.month > 3)]))


def test_who_closes_for_an_hour_a_week_has_no_holidays() -> None:
    hours = np.arange(365 * 24)
    kept = (hours % 168 != 50) & ~((hours > 1_000) & (hours < 1_168))
    index = TimeIndex.of_times(START_MS + HOUR_MS * hours[kept], Grid.of("1h"))
    assert index.gaps()[2].tolist() == [166]
    assert index.judge() == (0, 166, False)


def test_a_week_of_minutes_of_a_share_has_nights_for_no_gaps(read: Read) -> None:
    series = read(with_offset(within_days(trading_days("2024-02-05", "2024-02-13"), "1min")))
    assert (series.interval, said(series, "gaps")) == ("1m", False)


@pytest.mark.parametrize(
    ("times", "interval", "session"),
    [
        (with_offset(trading_days().tz_localize(NEW_YORK)), "1d", Session(NEW_YORK)),  # yfinance
        (in_utc(trading_days().tz_localize(NEW_YORK)), "1d", Session(NEW_YORK)),  # Alpaca
        (milliseconds(trading_days().tz_localize(NEW_YORK))[:30].tolist(), "1d", Session(NEW_YORK)),  # Polygon
        (with_offset(trading_days().tz_localize("Europe/London")), "1d", Session("Europe/London")),
        (with_offset(trading_days().tz_localize("Asia/Tokyo")), "1d", Session("Asia/Tokyo")),
        (with_offset(trading_days().tz_localize("Australia/Sydney")), "1d", Session("Australia/Sydney")),
        (in_utc(of_currencies("4h")), "4h", CURRENCIES),
        (in_utc(of_currencies("1d")), "1d", CURRENCIES),
        (in_utc(of_currencies("1d")[:40]), "1d", CURRENCIES),
        (in_utc(of_currencies("1d")[100:140]), "1d", CURRENCIES),
        (in_utc(trading_days().tz_localize("Asia/Jerusalem")), "1d", Session("Asia/Jerusalem")),
        (
            with_offset(within_days(trading_days("2022-01-01", "2022-06-30"), "1h")),
            "1h",
            Session(NEW_YORK, 9 * HOUR_MS + HOUR_MS // 2),
        ),
        (
            in_utc(within_days(trading_days("2022-01-01", "2022-06-30"), "30min", "09:15", "15:30", "Asia/Kolkata")),
            "30m",
            Session("Asia/Kolkata", 9 * HOUR_MS + HOUR_MS // 4),
        ),
        (
            in_utc(pd.date_range("2022-01-01 05:00", periods=400, freq="1D", tz="UTC")),
            "1d",
            Session("UTC", 5 * HOUR_MS),
        ),
        (in_utc(pd.date_range("2022-01-01 01:00", periods=999, freq="4h", tz="UTC")), "4h", Session("UTC", HOUR_MS)),
    ],
)
def test_the_session_is_told_from_the_bars_said_and_kept(
    read: Read, times: Sequence[object], interval: str, session: Session
) -> None:
    series = read(times)
    assert (series.interval, series.session) == (interval, session)
    assert said(series, f"days begin at {session.anchor} in {session.zone}, recognised from the bars")
    manifest = first_manifest("X", interval, "a file", series.bars, series.session)
    assert manifest.index.times().tolist() == series.bars.time_ms.tolist()
    written = write_manifest(manifest, 0)
    assert "stepMs" not in written  # what knows of no sessions must not read it as if there were none
    again = read_manifest(written)
    assert again.session == session
    assert again.index.times().tolist() == series.bars.time_ms.tolist()
    other = Session("Africa/Abidjan", session.anchor_ms)
    assert manifest.dataset_hash != first_manifest("X", interval, "a file", series.bars, other).dataset_hash
    # However the clocks are changed, there is one bar a day.
    whole = manifest.slice(0, 4_000_000_000_000, "1d")
    days = pd.DatetimeIndex(pd.to_datetime(series.bars.time_ms - session.shift_ms, unit="ms", utc=True))
    if interval == "1d":
        assert whole.total_bars == len(days) == series.bars.total


def test_files_of_one_series_have_one_session_though_none_is_long_enough_to_tell(tmp_path: Path) -> None:
    clock = of_currencies("4h")
    paths: list[Path] = []
    for part in range(0, len(clock), 60):
        paths.append(tmp_path / f"EURUSD-4h-{part}.csv")
        lines = [f"{at},1.1,1.2,1.0,1.1,1" for at in in_utc(clock[part : part + 60])]
        paths[-1].write_text("\n".join(["Date,Open,High,Low,Close,Volume", *lines]) + "\n")
    [series] = read_files(paths)
    assert (series.session, series.bars.total) == (CURRENCIES, len(clock))


def test_a_session_that_is_asked_for_is_kept_or_refused(read: Read) -> None:
    hours = in_utc(of_currencies("1h"))
    assert read(hours).session == UTC_DAYS
    series = read(hours, session_zone=NEW_YORK, anchor="17:00")
    assert (series.session, series.session.asked) == (CURRENCIES, True)
    assert said(series, "days begin at 17:00 in America/New_York, as asked")
    assert read(in_utc(of_currencies("4h")), session_zone=NEW_YORK).session == CURRENCIES
    with pytest.raises(ImportRefused, match=r"line 2: .* is not the start of a 4h bar in a session from 16:00 on in"):
        read(in_utc(of_currencies("4h")), session_zone=NEW_YORK, anchor="16:00")
    for wrong, says in (
        ({"anchor": "24:00"}, "'24:00' is not a time of day"),
        ({"session_zone": "Europe/Berlyn"}, "Europe/Berlin"),
    ):
        with pytest.raises(ImportRefused, match=says):
            read(hours, **wrong)


def test_one_wrong_time_among_many_is_told_from_the_session_of_the_others(read: Read) -> None:
    times = with_offset(trading_days().tz_localize(NEW_YORK))
    times[50] = times[50].replace("00:00:00", "03:00:00")
    with pytest.raises(
        ImportRefused, match=r"line 52: .* is not the start of a 1d bar in a session from 00:00 on in Am"
    ):
        read(times)


def test_hours_of_currencies_become_days_that_end_at_five_in_new_york(read: Read) -> None:
    clock = of_currencies("1h")
    bars = read(in_utc(clock), session_zone=NEW_YORK, anchor="17:00").bars
    ours = resample_bars(bars, Grid.of("1d", CURRENCIES))
    frame = pd.DataFrame({"open": bars.open, "close": bars.close, "volume": bars.volume}, index=clock)
    # The date a day is counted to: Sunday evening's is Monday.
    theirs = frame.groupby((clock.tz_localize(None) + pd.Timedelta(hours=7)).date).agg(
        {"open": "first", "close": "last", "volume": "sum"}
    )
    assert ours.open.tolist() == theirs["open"].tolist()
    assert ours.close.tolist() == theirs["close"].tolist()
    assert ours.volume.tolist() == theirs["volume"].tolist()
    begins = pd.to_datetime(ours.time_ms, unit="ms", utc=True).tz_convert(NEW_YORK)
    assert set(begins.hour) == {17}
    assert set(begins.day_of_week) == {6, 0, 1, 2, 3}
    weeks = resample_bars(bars, Grid.of("1w", CURRENCIES))
    assert set(pd.to_datetime(weeks.time_ms, unit="ms", utc=True).tz_convert(NEW_YORK).strftime("%a %H")) == {"Sun 17"}


@pytest.mark.parametrize(
    "zone", ["America/New_York", "Europe/London", "Australia/Lord_Howe", "America/Sao_Paulo", "UTC"]
)
@pytest.mark.parametrize("anchor_h", [0, 2, 9.5, 17])
def test_places_cover_time_without_gap_or_overlap_whatever_clocks_do(zone: str, anchor_h: float) -> None:
    """Against the zones of pandas, over changes of the clock in both directions."""
    instants = pd.date_range("2016-01-01", "2019-12-31", freq="37min", tz="UTC")
    time_ms = milliseconds(instants)
    session = Session(zone, int(anchor_h * HOUR_MS))
    for interval in ("15m", "1h", "2h", "4h", "12h", "1d", "3d", "1w", "1M"):
        grid = Grid.of(interval, session)
        slots = grid.slots(time_ms)
        assert (grid.starts(slots) <= time_ms).all(), interval
        assert (grid.starts(slots + 1) > time_ms).all(), interval
        assert (np.diff(slots) >= 0).all(), interval
        if interval == "1d":
            begins = pd.to_datetime(grid.starts(np.unique(slots)), unit="ms", utc=True).tz_convert(zone)
            off = begins.hour + begins.minute / 60 != anchor_h
            assert off.mean() < 0.005  # but on a day whose clock never shows it
        index = TimeIndex.of_times(grid.starts(np.unique(slots)[::3]), grid)
        assert index.times().tolist() == grid.starts(np.unique(slots)[::3]).tolist()
        for instant in time_ms[::4_001].tolist():
            assert index.bars_before(instant) == np.searchsorted(index.times(), instant)


@pytest.mark.parametrize("zone", [NEW_YORK, "UTC"])
def test_buckets_of_any_session_are_counted_without_reading_a_bar(zone: str) -> None:
    dice = np.random.default_rng(5)
    session = Session(zone, 17 * HOUR_MS)
    hours = Grid.of("1h", session)
    first = hours.slot(1_646_000_000_000)  # two weeks before clocks are changed
    times = hours.starts(first + np.flatnonzero(dice.random(24 * 40) < 0.6))
    bars = Bars(times, *np.ones((5, len(times))))
    index = TimeIndex.of_times(times, hours)
    for interval in ("2h", "4h", "1d", "1w", "1M"):
        buckets = Grid.of(interval, session)
        assert count_buckets(index, 0, len(times), buckets) == resample_bars(bars, buckets).total
        some = take_bars(bars, slice(7, 99))
        assert count_buckets(index, 7, 99, buckets) == resample_bars(some, buckets).total


@pytest.mark.parametrize("edge", ["first", "last"])
def test_weeks_and_months_begin_on_their_first_day_whichever_names_them(read: Read, edge: str) -> None:
    days = trading_days()
    for period, interval in (("W", "1w"), ("M", "1M")):
        named = getattr(days.to_series().groupby(days.to_period(period)), edge)()
        series = read(dated(pd.DatetimeIndex(named)))
        begins = pd.to_datetime(series.bars.time_ms, unit="ms")
        assert (series.interval, series.bars.total) == (interval, len(named))
        assert set(begins.day_of_week if period == "W" else begins.day) == {0 if period == "W" else 1}
        assert said(series, "put at its beginning")
        assert not said(series, "gap")


def test_weeks_from_any_one_day_on_stay_as_they_are(read: Read) -> None:
    sundays = pd.date_range("2020-01-05", periods=60, freq="7D")
    assert read(dated(sundays)).bars.time_ms.tolist() == milliseconds(sundays).tolist()


def test_ten_minutes_three_days_and_months_are_intervals() -> None:
    assert Grid.of("1M").end_of(Grid.of("1M").before(1_709_200_000_000)) == 1_709_251_200_000  # of February 2024: March
    assert finer_intervals("3d")[0] == "1d"
    assert finer_intervals("1M")[0] == "1d"
    assert "3d" not in finer_intervals("1w")
    days = np.arange(19_700, 20_000) * DAY_MS
    bars = Bars(days, *np.ones((5, len(days))))
    manifest = first_manifest("X", "1d", "", bars)
    months = manifest.slice(0, 4_000_000_000_000, "1M")
    made = resample_bars(bars, Grid.of("1M"))
    assert pd.to_datetime(made.time_ms, unit="ms").day.tolist() == [1] * made.total
    assert months.total_bars == made.total - 1  # the last one is not over
    stored = first_manifest("X", "1M", "", made)
    assert read_manifest(write_manifest(stored, 0)).index.times().tolist() == made.time_ms.tolist()
    assert stored.slice(0, 4_000_000_000_000).end_ms == stored.index.end_ms == Grid.of("1M").end_of(int(days[-1]))
    assert stored.plot_bucket_ms(stored.slice(0, 4_000_000_000_000), 4) == 4 * 30 * DAY_MS


def test_a_row_that_yahoo_names_by_its_last_price_is_left_out_while_its_day_lasts(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = with_offset(trading_days("2023-01-01", "2023-02-28").tz_localize(NEW_YORK))
    live = [*times, "2023-03-01 11:31:07-05:00"]
    monkeypatch.setattr("shared.candles.files.parsing.time.time_ns", lambda: 1_677_690_000_000 * 10**6)  # 12:00
    series = read(live)
    assert series.bars.total == len(times)
    assert said(series, "the last bar, of 2023-03-01T16:31:07Z, has not ended yet: left out")
    twice = [*times, "2023-03-01 00:00:00-05:00", live[-1]]  # as it is once a day is over there
    assert read(twice).bars.total == len(times)
    with pytest.raises(ImportRefused, match="2023-03-01T16:31:07Z"):
        read(live, drop_unfinished=False)
    weeks = dated(pd.date_range("2022-01-03", "2023-02-27", freq="7D"))
    for unfinished in (["2023-03-01"], []):
        series = read([*weeks, *unfinished])
        assert series.bars.time_ms.tolist() == milliseconds(pd.DatetimeIndex(weeks[:-1])).tolist()


def splitting(ratio: float, volume_after: float, spike: float = 1.0, move: float = 0.01) -> Bars:
    """Two hundred days, of which number 100 opens at `1 / ratio` of the close before."""
    dice = np.random.default_rng(2)
    close = 80 * np.exp(np.cumsum(dice.normal(0, move, 200)))
    open_ = np.concatenate([close[:1], close[:-1]]) * np.exp(dice.normal(0, move / 3, 200))
    volume = dice.uniform(800, 1200, 200)
    for column in (open_, close):
        column[100:] /= ratio
    volume[100:] *= volume_after
    volume[100] *= spike
    high, low = np.maximum(open_, close) * 1.002, np.minimum(open_, close) / 1.002
    return Bars(np.arange(200) * DAY_MS, open_, high, low, close, volume)


@pytest.mark.parametrize("ratio", [2, 3, 4, 1.5, 7, 10, 20, 1 / 2, 1 / 10])
def test_a_jump_as_of_a_split_is_found_and_nothing_else(ratio: float) -> None:
    [found] = likely_splits(splitting(ratio, volume_after=ratio))
    assert found.bar == 100
    assert found.new / found.old == pytest.approx(ratio)
    assert likely_splits(splitting(1.0, 1.0)) == []
    assert likely_splits(splitting(1.2, 1.0)) == []
    assert likely_splits(splitting(ratio, volume_after=ratio, move=0.2)) == []  # who moves so much does so without
    if 1 < ratio <= 2:
        assert likely_splits(splitting(ratio, 1.0, spike=20.0)) == []  # bad news, as the trade of the day shows


def test_real_splits_are_found_and_said(tmp_path: Path) -> None:
    import importlib.util

    package = importlib.util.find_spec("bokeh_sampledata")
    assert package is not None
    assert package.submodule_search_locations
    frame = pd.read_csv(Path(package.submodule_search_locations[0]) / "_data" / "stocks.csv.gz")
    warned: dict[str, list[str]] = {}
    for symbol in ("AAPL", "IBM", "MSFT"):
        rows = frame[frame["Ticker"] == symbol].drop(columns=["Ticker", "Adj Close"])
        rows.to_csv(tmp_path / f"{symbol}.csv", index=False)
        [series] = read_files([tmp_path / f"{symbol}.csv"])
        warned[symbol] = [note for note in series.notes if note.startswith("warning: ")]
    [apple], [microsoft] = warned["AAPL"], warned["MSFT"]
    assert "2000-06-21T00:00:00Z (2:1, 101.25 to 50.5), 2005-02-28T00:00:00Z (2:1, 88.99 to 44.68)" in apple
    assert "2003-02-18T00:00:00Z (2:1" in microsoft
    assert warned["IBM"] == []


ZONES = ("UTC", NEW_YORK, "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia")


@given(
    st.sampled_from(sorted(INTERVAL_MS)),
    st.sampled_from(ZONES),
    st.integers(0, 24 * 60 - 1),
    st.integers(1, 5),
    st.lists(st.integers(-2_208_988_800_000, 4_102_444_800_000), min_size=1, max_size=30),
)
@settings(deadline=None)
def test_one_instant_and_many_have_the_same_places(
    interval: str, zone: str, anchor_minutes: int, times: int, anywhere: list[int]
) -> None:
    grid = Grid.of(interval, Session(zone, anchor_minutes * 60_000), times).through(anywhere[0])
    days = np.datetime64("2024-01-01", "ms").astype(int) + np.arange(0, 366) * DAY_MS
    instants = np.array([*anywhere, *(days[::40] + anywhere[0] % DAY_MS), *CHANGES_MS], np.int64)
    slots = grid.slots(instants)
    assert [grid.slot(one) for one in instants.tolist()] == slots.tolist()
    assert [grid.start(one) for one in slots.tolist()] == grid.starts(slots).tolist()
    assert type(grid.slot(anywhere[0])) is type(grid.start(0)) is int
