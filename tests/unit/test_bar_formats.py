"""Formats of market data files, and the options that decide where a file can be read in two ways."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas
import pytest

from shared.candles.files.parsing import ParsedSeries, read_files
from shared.errors import ImportRefused
from shared.instants import iso_from_ms
from shared.reading import Reading, add_reading_options, reading_from
from tests.peers import load

pd: Any = pandas
HOUR_MS = 3_600_000
START_MS = 1_704_067_200_000  # 2024-01-01T00:00Z
NAMED = "time,open,high,low,close,volume"
BAR = "10,12,9,11,5"

Read = Callable[..., ParsedSeries]
Refusal = Callable[..., str]


def lines(header: str, times: list[str], bar: str = BAR) -> str:
    return "\n".join([*([header] if header else []), *(f"{time},{bar}" for time in times), ""])


def first_times(series: ParsedSeries) -> list[str]:
    return [iso_from_ms(int(at)) for at in series.bars.time_ms[:2]]


def rows_of(series: ParsedSeries) -> list[list[float]]:
    return [list(row) for row in zip(*(column.tolist() for column in series.bars[1:]), strict=True)]


def test_columns_without_names_are_told_from_the_bars_where_only_one_order_is_possible(read: Read) -> None:
    by_high = read("1704067200,10,12,9,11,5\n1704070800,11,13,8,9,6\n")
    assert rows_of(by_high) == [[10, 12, 9, 11, 5], [11, 13, 8, 9, 6]]
    assert "the prices are open, high, low, close: the only order in which every bar is possible" in by_high.notes
    by_close = read("1704067200,10,11,12,9,5\n1704070800,11,11,11,11,6\n")  # the second bar may be either
    assert rows_of(by_close) == [[10, 12, 9, 11, 5], [11, 11, 11, 11, 6]]
    assert "the prices are open, close, high, low: the only order in which every bar is possible" in by_close.notes


def test_columns_without_names_of_two_possible_orders_are_refused_with_both(read: Read, refusal: Refusal) -> None:
    flat = "1704067200,11,11,11,11,5\n1704070800,12,12,12,12,6\n"
    message = refusal(flat)
    for order in ("time,open,high,low,close,volume", "time,open,close,high,low,volume"):
        assert f"--columns {order}" in message
        assert rows_of(read(flat, columns=order))[0] == [11, 11, 11, 11, 5]


def test_columns_without_names_that_fit_no_order_are_refused_at_the_line_that_does_not(refusal: Refusal) -> None:
    text = "1704067200,10,11,12,9,5\n1704070800,10,11,12,9,5\n1704074400,10,11,9,12,5\n"
    assert refusal(text).startswith("X.csv, line 3: high 9.0 is below the open or close of its bar")


@pytest.mark.parametrize(
    "columns",
    [
        "time,-,open,close,high,low,volume",
        "time=Zeit,open=3,close=Schluss,high=5,low=6,volume=7",
        "low=6,high=5,close=4,open=3,time=1,volume=Menge",
    ],
)
def test_columns_may_be_said(read: Read, columns: str) -> None:
    text = "Zeit;Art;Start;Schluss;Hoch;Tief;Menge\n1704067200;x;1;2;3;0.5;7\n1704070800;x;1;2;3;0.5;7\n"
    series = read(text, columns=columns)
    assert rows_of(series) == [[1, 3, 0.5, 2, 7]] * 2
    assert f"columns {columns}" in series.source


@pytest.mark.parametrize(
    ("columns", "part"),
    [
        ("time,open,close", "names 3 columns, and there are 6"),
        ("time,open,close,high,low,rest", "'rest' is none of"),
        ("time,open,open,high,low,close", "'open' comes twice"),
        ("time,open,-,high,low,volume", "does not name close"),
        ("time=1,open,close,high,low,volume", "mixes"),
        ("time=7,open=2", "no column is '7'; there are time, open"),
        ("", "names 1 columns"),
    ],
)
def test_columns_that_cannot_be_so_are_refused(refusal: Refusal, columns: str, part: str) -> None:
    message = refusal(lines(NAMED, ["1704067200", "1704070800"]), columns=columns)
    assert message.startswith("X.csv, line 1: --columns")
    assert part in message


YAHOO = "Date,Open,High,Low,Close,Adj Close,Volume\n2024-01-02,10,12,9,11,5.5,100\n2024-01-03,11,12,9,10,5,7\n"


def test_adjusted_prices_are_a_persons_choice(read: Read, refusal: Refusal) -> None:
    message = refusal(YAHOO)
    assert message.startswith("X.csv, line 1: ")
    assert "--price traded or --price adjusted" in message
    traded, adjusted = read(YAHOO, price="traded"), read(YAHOO, price="adjusted")
    assert rows_of(traded) == [[10, 12, 9, 11, 100], [11, 12, 9, 10, 7]]
    assert rows_of(adjusted) == [[5, 6, 4.5, 5.5, 100], [5.5, 6, 4.5, 5, 7]]
    assert (traded.source, adjusted.source) == ("X.csv (price traded)", "X.csv (price adjusted)")
    thirds = read(YAHOO.replace("5.5", "3.666667"), price="adjusted")
    assert thirds.bars.open[0] == round(10 * (3.666667 / 11), 6)
    assert "adjusted open -5.0 is not a price" in refusal(YAHOO.replace(",5.5", ",-5.5"), price="adjusted")
    assert "line 3: Close 0.0 is not a price" in refusal(YAHOO.replace("9,10,5,", "9,0,5,"), price="adjusted")


def test_a_choice_there_is_none_of_is_refused(refusal: Refusal) -> None:
    text = lines(NAMED, ["1704067200"])
    assert "--price traded needs a column Adj Close" in refusal(text, price="traded")
    assert "--side mid is for bid and ask" in refusal(text, side="mid")
    assert "--side 'both' is not one of bid, ask, mid" in refusal(text, side="both")
    assert "--time-zone 'Europe/Berln' is no zone" in refusal(text, time_zone="Europe/Berln")


QUOTES = "20240101 21:00,1.1,1.3,1.0,1.2,4,2.1,2.3,2.0,2.2,6\n20240101 22:00,1.1,1.3,1.0,1.2,0,2.1,2.3,2.0,2.2,0\n"


def test_of_bid_and_ask_one_side_or_the_mean_is_chosen(read: Read, refusal: Refusal) -> None:
    assert "--side bid, --side ask or --side mid" in refusal(QUOTES)
    assert rows_of(read(QUOTES, side="bid"))[0] == [1.1, 1.3, 1.0, 1.2, 4]
    assert rows_of(read(QUOTES, side="ask"))[0] == [2.1, 2.3, 2.0, 2.2, 6]
    mid = read(QUOTES, side="mid")
    assert rows_of(mid)[0] == [(1.1 + 2.1) / 2, (1.3 + 2.3) / 2, 1.5, (1.2 + 2.2) / 2, 5]
    assert (mid.source, first_times(mid)[0]) == ("X.csv (side mid)", "2024-01-01T21:00:00Z")
    assert "line 2: ask high 1.9 is below" in refusal(QUOTES[:50] + QUOTES[50:].replace("2.3", "1.9"), side="mid")
    assert "--time-zone says Asia/Tokyo" in refusal(QUOTES, side="bid", time_zone="Asia/Tokyo")
    scaled = QUOTES.replace("1.", "1").replace("2.", "2")
    assert "every price is a whole number" in refusal(scaled, side="bid")


DAYS = [f"{day:02d}.01.2024 {hour:02d}:00:00.000" for day in (1, 2) for hour in range(24)]


def test_dukascopys_times_are_day_first_and_utc_only_where_they_say_so(read: Read, refusal: Refusal) -> None:
    series = read(lines("Gmt time,Open,High,Low,Close,Volume", DAYS))
    assert (series.bars.total, first_times(series)[1]) == (48, "2024-01-01T01:00:00Z")
    local = "Local time,Open,High,Low,Close,Volume"
    assert "name it with --time-zone" in refusal(lines(local, DAYS))
    assert first_times(read(lines(local, DAYS), time_zone="Europe/Berlin"))[0] == "2023-12-31T23:00:00Z"
    assert first_times(read(lines(local, [f"{day} GMT-0500" for day in DAYS])))[0] == "2024-01-01T05:00:00Z"


@pytest.mark.parametrize(("day", "hour"), [("2024-10-27", 2), ("2024-03-31", 2)])
def test_hours_that_clocks_repeat_or_skip_are_refused(read: Read, refusal: Refusal, day: str, hour: int) -> None:
    times = [f"{day} {at:02d}:00" for at in range(24)]
    message = refusal(lines(NAMED, times), time_zone="Europe/Berlin")
    assert message.startswith(f"X.csv, line {hour + 2}: time '{day} 02:00' comes twice or not at all in Europe/Berlin")
    assert read(lines(NAMED, times), time_zone="UTC").bars.total == 24


def test_a_date_that_may_be_day_or_month_first_is_decided_by_the_others_or_by_a_person(
    read: Read, refusal: Refusal
) -> None:
    unclear = lines(NAMED, [f"{day:02d}/04/2024" for day in range(1, 10)])
    message = refusal(unclear)
    assert message.startswith("X.csv, line 2: time '01/04/2024' may be day or month first")
    assert "--date-order dmy" in message
    assert first_times(read(unclear, date_order="dmy")) == ["2024-04-01T00:00:00Z", "2024-04-02T00:00:00Z"]
    month_first = lines(NAMED, [f"04/{day:02d}/2024" for day in range(1, 10)])
    assert first_times(read(month_first, date_order="mdy")) == ["2024-04-01T00:00:00Z", "2024-04-02T00:00:00Z"]
    assert "is not year first" in refusal(unclear, date_order="ymd")
    clear = read(lines(NAMED, [f"{day}/4/2024" for day in range(8, 15)]))
    assert first_times(clear) == ["2024-04-08T00:00:00Z", "2024-04-09T00:00:00Z"]
    assert "dates are day first" in clear.notes
    american = read(lines(NAMED, [f"04/{day}/2024" for day in range(8, 15)]))
    assert first_times(american) == ["2024-04-08T00:00:00Z", "2024-04-09T00:00:00Z"]
    both = lines(NAMED, ["12/04/2024", "13/04/2024", "04/14/2024"])
    assert "is not in the calendar" in refusal(both)


def test_a_unit_of_unix_times_may_be_said(read: Read, refusal: Refusal) -> None:
    text = lines(NAMED, ["63072000000", "63158400000"])  # days of 1972 in milliseconds; in seconds, of 3968
    assert "--time-unit" in refusal(text)
    assert first_times(read(text, time_unit="ms"))[0] == "1972-01-01T00:00:00Z"
    micro = lines(NAMED, [f"{START_MS + n * HOUR_MS}001" for n in (0, 1)])
    assert "line 2: time 1704067200000001 is not a whole millisecond" in refusal(micro, time_unit="us")


def test_tradingviews_indicators_are_left_out_and_said(read: Read) -> None:
    text = "time,open,high,low,close,Volume,Volume MA,RSI\n" + "".join(
        f"2024-01-0{day}T00:00:00-05:00,{BAR},,\n" for day in (1, 2)
    )
    series = read(text, interval="1h", allow_gaps=True)
    assert first_times(series)[0] == "2024-01-01T05:00:00Z"
    assert "columns ignored: 'Volume MA', 'RSI'" in series.notes
    assert "volume is column 'Volume'" in series.notes


def test_of_several_wrong_things_the_first_by_line_is_told(refusal: Refusal) -> None:
    good = [f"{1704067200 + 3600 * n},{BAR}" for n in range(9)]
    wrong = {
        2: "1704074400,10,12,11,11,5",
        4: "when,10,12,9,11,5",
        5: "1704085200,10,12,nine,11,5",
        7: "1,2,3,4,5,6,7",
    }
    while wrong:
        text = "\n".join([NAMED, *(wrong.get(row, line) for row, line in enumerate(good))])
        row = min(wrong)
        assert refusal(text).startswith(f"X.csv, line {row + 2}: ")
        backwards = "\n".join([NAMED, *reversed([wrong.get(row, line) for row, line in enumerate(good)])])
        assert refusal(backwards).startswith(f"X.csv, line {len(good) - max(wrong) + 1}: ")
        del wrong[row]


def test_a_line_cut_off_is_refused(refusal: Refusal) -> None:
    klines = "".join(f"{START_MS + n * HOUR_MS},{BAR},{START_MS},1,1,1,1,0\n" for n in range(3))
    assert "line 3: 9 columns where 12 were expected" in refusal(klines[:-7])


def test_too_many_gaps_need_a_persons_word(read: Read, refusal: Refusal) -> None:
    times = [START_MS + n * HOUR_MS for n in range(1000)]
    few = read(lines(NAMED, [str(at) for n, at in enumerate(times) if n not in (5, 6, 100)]))
    assert few.notes[-1] == (
        "2 gaps, 3 bars missing (0.30%); largest: 2024-01-01T05:00:00Z to 2024-01-01T07:00:00Z (2 bars), "
        "2024-01-05T04:00:00Z to 2024-01-05T05:00:00Z (1 bars)"
    )
    many = lines(NAMED, [str(at) for at in times[:500] + times[520:]])
    message = refusal(many)
    assert "X 1h lacks 2.00% of its bars (20 in 1 gap)" in message
    assert "2024-01-21T20:00:00Z to 2024-01-22T16:00:00Z (20 bars)" in message
    assert "--allow-gaps" in message
    assert read(many, allow_gaps=True).bars.total == 980


def test_options_say_everything_a_reading_holds() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--symbol")
    parser.add_argument("--interval")
    add_reading_options(parser)
    assert reading_from(parser.parse_args([])) == Reading()
    given: dict[str, Any] = {
        "symbol": "X",
        "interval": "1h",
        "columns": "time=1",
        "time_zone": "UTC",
        "time_unit": "excel",
        "date_order": "dmy",
        "side": "mid",
        "price": "traded",
        "price_scale": 10_000,
        "decimal": "comma",
        "skip_lines": 2,
        "session_zone": "UTC",
        "anchor": "17:00",
    }
    words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    options = [*words, "--allow-gaps", "--no-drop-unfinished"]
    expected = replace(Reading(**given), allow_gaps=True, drop_unfinished=False)
    assert reading_from(parser.parse_args(options)) == expected


def packed(frame: Any, kind: str) -> bytes:
    load("pyarrow")
    file = io.BytesIO()
    frame.to_parquet(file) if kind == "parquet" else frame.to_feather(file)
    return file.getvalue()


def table(times: Any) -> Any:
    return pd.DataFrame({"time": times, "open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": [1, 2, 3]})


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_tables_are_read_with_times_of_a_zone(kind: str, read: Read, refusal: Refusal) -> None:
    hours = pd.date_range("2024-01-01", periods=3, freq="h", tz="America/New_York")
    series = read(packed(table(hours), kind), f"X.{kind}")
    assert first_times(series) == ["2024-01-01T05:00:00Z", "2024-01-01T06:00:00Z"]
    assert rows_of(series) == [[10, 12, 9, 11, volume] for volume in (1, 2, 3)]
    assert series.notes[0].startswith(f"format: {kind.title()}, ")
    plain = packed(table(hours.tz_localize(None)), kind)
    assert f"X.{kind}, row 1: time " in refusal(plain, f"X.{kind}")
    assert "--time-zone" in refusal(plain, f"X.{kind}")
    assert first_times(read(plain, f"X.{kind}", time_zone="Asia/Tokyo"))[0] == "2023-12-31T15:00:00Z"
    wrong = table(hours)
    wrong.loc[1, "high"] = 3.0
    assert refusal(packed(wrong, kind), f"X.{kind}").startswith(f"X.{kind}, row 2: high 3.0 is below")
    for content in (plain[: len(plain) // 2], plain[:8] + plain[400:]):
        assert "cannot be read as" in refusal(content, f"X.{kind}")


def test_a_table_may_keep_its_times_in_its_index(read: Read) -> None:
    frame = table(pd.date_range("2024-01-01", periods=3, freq="D")).set_index("time")
    frame.index.name = None
    series = read(packed(frame, "parquet"), "X.parquet")
    assert (series.interval, first_times(series)[1]) == ("1d", "2024-01-02T00:00:00Z")
    seconds = table([1704067200, 1704070800, 1704074400])
    assert read(packed(seconds, "feather"), "X.feather").bars.time_ms[0] == START_MS


def test_tables_without_pyarrow_are_refused_with_what_to_install(
    refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "install backfleet[files]" in refusal(b"PAR1 and so on", "X.parquet")
    assert "Feather files need the package pyarrow" in refusal(b"ARROW1 and so on", "X.feather")


def test_a_year_of_real_minutes_needs_a_word_for_its_gaps(market_data_dir: Path) -> None:
    path = market_data_dir / "bitfinex" / "BTCUSD-1m-2015.csv.gz"
    with pytest.raises(ImportRefused, match=r"lacks 30\.23% of its bars \(158,890 in 61,148 gaps\)"):
        read_files([path])
    [series] = read_files([path], Reading(allow_gaps=True))
    assert (series.symbol, series.interval, series.bars.total) == ("BTCUSD", "1m", 366_710)
    assert rows_of(series)[0] == [322.31, 322.31, 322.09, 322.09, 62.874248]


def test_real_hours_of_a_currency_have_holidays_for_gaps_and_no_weekends(market_data_dir: Path) -> None:
    # One line more than newline characters: the last line has none.
    path = market_data_dir / "oanda" / "eurusd-hour-bid-ask.zip"
    [series] = read_files([path], Reading(symbol="EURUSD", side="bid"))
    assert (series.interval, series.bars.total) == ("1h", 74_439)
    assert "28 gaps, 676 bars missing (0.90%)" in series.notes[-1]
