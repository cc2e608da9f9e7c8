"""Market data files as programs and services write them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import pandas
import pytest

from shared.candles.files.parsing import ParsedSeries, read_files
from shared.errors import ImportRefused
from shared.instants import iso_from_ms
from shared.reading import Reading

pd: Any = pandas
Read = Callable[..., ParsedSeries]
Refusal = Callable[..., str]
NEW_YORK: dict[str, Any] = {"time_zone": "America/New_York"}


def rows_of(series: ParsedSeries) -> list[list[float]]:
    return [list(row) for row in zip(*(column.tolist() for column in series.bars[1:]), strict=True)]


def times_of(series: ParsedSeries) -> list[str]:
    return [iso_from_ms(int(at)) for at in series.bars.time_ms]


SPLIT = """\
timestamp,open,high,low,close,adjusted_close,volume,dividend_amount,split_coefficient
2020-09-02,137.59,137.98,127.00,131.40,128.9990,200119000,0.0000,1.0
2020-09-01,132.76,134.80,130.53,134.18,131.7282,151948100,0.0000,1.0
2020-08-31,127.58,131.00,126.00,129.04,126.6821,225702700,0.0000,4.0
2020-08-28,504.05,505.77,498.31,499.23,122.5266,46907479,0.0000,1.0
"""


@pytest.mark.parametrize(
    "name",
    [
        *("adjusted_close", "Adjusted_close", "Adjusted Close", "Adj Close", "Adj. Close", "adjClose", "closeadj"),
        *("Adj Close**", "5. adjusted close", "Close (adjusted)", "adjusted"),
    ],
)
def test_an_adjusted_close_in_any_spelling_is_asked_for_and_used(read: Read, refusal: Refusal, name: str) -> None:
    text = SPLIT.replace("adjusted_close", name)
    message = refusal(text, allow_gaps=True)
    assert f"prices as traded and {name}; choose with --price traded or --price adjusted" in message
    adjusted, traded = (read(text, price=price, allow_gaps=True).bars for price in ("adjusted", "traded"))
    assert adjusted.close[-1] / adjusted.close[0] == pytest.approx(128.999 / 122.5266)
    assert traded.close[-1] / traded.close[0] == pytest.approx(131.40 / 499.23)
    assert adjusted.open[0] == round(504.05 * (122.5266 / 499.23), 6)
    assert adjusted.volume[0] == 46907479


def test_two_columns_of_adjusted_closes_are_refused(refusal: Refusal) -> None:
    text = SPLIT.replace("split_coefficient", "adj_close")
    assert "more than one column may be the adjusted close" in refusal(text, price="adjusted")


def test_what_rounding_moved_out_of_a_bar_is_moved_back_and_said(read: Read, refusal: Refusal) -> None:
    text = "Date,Open,High,Low,Close,Volume\n2024-01-02,10,{},9,{},1\n2024-01-03,10,12,{},9,1\n"
    series = read(text.format("184.2901", "184.29010000000002", "9.000000000000002"))
    assert rows_of(series) == [[10, 184.29010000000002, 9, 184.29010000000002, 1], [10, 12, 9, 9, 1]]
    assert "2 bars: a high or low less than a billionth inside the open or close was set to it" in series.notes
    message = refusal(text.format("184.2901", "184.290101", "9"))
    assert message.startswith("X.csv, line 2: High 184.2901 is below the open or close")


HOURS = """\
<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>
2024.01.02\t00:00:00\t1.10427\t1.10481\t1.10389\t1.10421\t1234\t0\t4
2024.01.02\t01:00:00\t1.10421\t1.10436\t1.10391\t1.10402\t987\t0\t4
"""
STOOQ = "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n"
SIERRA = "Date, Time, Open, High, Low, Last, Volume, NumberOfTrades, BidVolume, AskVolume\n"
FIRST = [472.16, 473.67, 470.49, 472.65, 1236.0]
PRICES = "472.16,473.67,470.49,472.65,1236"
IN_TWO_COLUMNS = {
    "MetaTrader 5": (HOURS, "Europe/Athens", "2024-01-01T22:00:00Z", [1.10427, 1.10481, 1.10389, 1.10421, 1234.0]),
    "MetaTrader 4": (
        f"2024.01.02,00:00,{PRICES}\n2024.01.02,00:01,{PRICES}\n",
        *("Europe/Athens", "2024-01-01T22:00:00Z", FIRST),
    ),
    "stooq": (
        f"{STOOQ}SPY.US,5,20240102,093000,{PRICES},0\nSPY.US,5,20240102,093500,{PRICES},0\n",
        *("Europe/Warsaw", "2024-01-02T08:30:00Z", FIRST),
    ),
    "stooq, without the zeros before": (
        f"{STOOQ}SPY.US,5,20240102,93000,{PRICES},0\nSPY.US,5,20240102,93500,{PRICES},0\n",
        *("Europe/Warsaw", "2024-01-02T08:30:00Z", FIRST),
    ),
    "HistData, NinjaTrader": (
        f"20240102 170000;{PRICES.replace(',', ';')}\n20240102 170100;{PRICES.replace(',', ';')}\n",
        *("Etc/GMT+5", "2024-01-02T22:00:00Z", FIRST),
    ),
    "Kibot": (
        f"01/31/2024,09:30,{PRICES}\n01/31/2024,09:31,{PRICES}\n",
        *("America/New_York", "2024-01-31T14:30:00Z", FIRST),
    ),
    "Sierra Chart": (
        SIERRA + "".join(f"2024/1/2, 9:3{n}:00.000000, {PRICES.replace(',', ', ')}, 5, 2, 3\n" for n in (0, 1)),
        *("America/New_York", "2024-01-02T14:30:00Z", FIRST),
    ),
    "FirstRate": (
        f"2024-01-02 09:30:00,{PRICES}\n2024-01-02 09:31:00,{PRICES}\n",
        *("America/New_York", "2024-01-02T14:30:00Z", FIRST),
    ),
    "TradeStation": (
        f'"Date","Time","Open","High","Low","Close","Vol"\n01/31/2024,0930,{PRICES}\n01/31/2024,0931,{PRICES}\n',
        *("America/New_York", "2024-01-31T14:30:00Z", FIRST),
    ),
}


@pytest.mark.parametrize("program", IN_TWO_COLUMNS)
def test_a_date_and_a_time_of_day_in_two_columns_are_one_time(read: Read, refusal: Refusal, program: str) -> None:
    text, zone, first, bar = IN_TWO_COLUMNS[program]
    message = refusal(text)
    assert "has no time zone; name it with --time-zone, for example UTC" in message
    assert "rename" not in message
    series = read(text, time_zone=zone)
    assert (times_of(series)[0], rows_of(series)[0]) == (first, bar)


def test_days_beside_an_empty_time_of_day_are_dates(read: Read) -> None:
    series = read(f"{STOOQ}SPY.US,D,20240102,000000,{PRICES},0\nSPY.US,D,20240103,000000,{PRICES},0\n", "spy.us.txt")
    assert (series.symbol, series.interval, times_of(series)[0]) == ("SPY.US", "1d", "2024-01-02T00:00:00Z")
    days = HOURS.replace("<TIME>\t", "").replace("00:00:00\t", "").replace("02\t01:00:00\t", "03\t")
    assert read(days).interval == "1d"


def test_a_volume_of_ticks_serves_where_there_is_no_other(read: Read) -> None:
    series = read(HOURS, time_zone="UTC")
    assert series.bars.volume.tolist() == [1234, 987]
    assert "column '<VOL>' is 0 throughout: volume is '<TICKVOL>', how often the price changed" in series.notes
    traded = read(HOURS.replace("\t0\t", "\t5\t"), time_zone="UTC")
    assert traded.bars.volume.tolist() == [5, 5]
    assert "volume is column '<VOL>', not '<TICKVOL>'" in traded.notes


def test_a_column_called_time_that_has_the_whole_time_is_not_joined(read: Read) -> None:
    text = "date,time,open,high,low,close\n2024-01-02,1704153600,1,1,1,1\n2024-01-02,1704157200,1,1,1,1\n"
    assert times_of(read(text)) == ["2024-01-02T00:00:00Z", "2024-01-02T01:00:00Z"]


def test_a_date_and_a_time_of_day_may_be_said(read: Read) -> None:
    text = f"Tag,Zeit,A,B,C,D,E\n20240102,0900,{PRICES}\n20240102,0901,{PRICES}\n"
    series = read(text, columns="date,time,open,high,low,close,volume", time_zone="UTC")
    assert times_of(series) == ["2024-01-02T09:00:00Z", "2024-01-02T09:01:00Z"]


def test_a_time_of_day_that_is_missing_is_refused_at_its_line(refusal: Refusal) -> None:
    text = HOURS.replace("01:00:00", "")
    assert refusal(text, time_zone="UTC").startswith("X.csv, line 3: <DATE> is missing")


@pytest.mark.parametrize(
    "times",
    [
        ["31-Jan-2024", "01-Feb-2024", "2-Feb-2024"],
        ["31 January 2024", "1 February 2024", "2 FEB 2024"],
        ['"Jan 31, 2024"', '"Feb 01, 2024"', '"Feb 2, 2024"'],
        ["2024-Jan-31", "2024-Feb-01", "2024-Feb-02"],
        ["1/31/2024 12:00:00 AM", "2/1/2024 12:00:00 AM", "2/2/2024 12:00:00 AM"],
        ["45322", "45323", "45324"],
        ["45322.0", "45323.0", "45324.0"],
        ["20240131000000", "20240201000000", "20240202000000"],
        ["202401310000", "202402010000", "202402020000"],
        ["20240131 000000", "20240201 000000", "20240202 000000"],
    ],
)
def test_days_are_told_however_they_are_written(read: Read, times: list[str]) -> None:
    series = read("Date,Open,High,Low,Close\n" + "".join(f"{at},1,1,1,1\n" for at in times))
    assert times_of(series) == ["2024-01-31T00:00:00Z", "2024-02-01T00:00:00Z", "2024-02-02T00:00:00Z"]


@pytest.mark.parametrize(
    "times",
    [
        ["1/31/2024 11:00:00 AM", "1/31/2024 12:00:00 PM", "1/31/2024 1:00:00 PM"],
        ["01/31/2024 11:00 am", "01/31/2024 12:00 pm", "01/31/2024 01:00 p.m."],
        ["31-Jan-2024 11:00", "31-Jan-2024 12:00", "31-Jan-2024 13:00"],
        ["45322.458333333336", "45322.5", "45322.541666666664"],
        ["45322.45833", "45322.50000", "45322.54167"],
        ["20240131110000", "20240131120000", "20240131130000"],
        ["202401311100", "202401311200", "202401311300"],
        ["20240131 1100", "20240131 1200", "20240131 1300"],
        ['"2024-01-31, 11:00"', '"2024-01-31,  12:00"', '"2024-01-31 13:00"'],
    ],
)
def test_hours_are_told_however_they_are_written_and_need_a_zone(
    read: Read, refusal: Refusal, times: list[str]
) -> None:
    text = "Date,Open,High,Low,Close\n" + "".join(f"{at},1,1,1,1\n" for at in times)
    assert "--time-zone" in refusal(text)
    assert times_of(read(text, time_zone="UTC")) == [f"2024-01-31T{hour}:00:00Z" for hour in (11, 12, 13)]


def test_small_unix_times_are_not_days_where_a_person_says_so(read: Read) -> None:
    text = "time,open,high,low,close\n36000,1,1,1,1\n39600,1,1,1,1\n"
    assert times_of(read(text, time_unit="s")) == ["1970-01-01T10:00:00Z", "1970-01-01T11:00:00Z"]
    assert "Excel's day numbers" in " ".join(read("time,open,high,low,close\n45322,1,1,1,1\n45323,1,1,1,1\n").notes)


def test_hours_and_days_that_cannot_be_are_refused(refusal: Refusal) -> None:
    text = "Date,Open,High,Low,Close\n1/31/2024 {},1,1,1,1\n{} 2024,1,1,1,1\n"
    assert "line 2: Date '1/31/2024 13:00 PM' is not a time" in refusal(
        text.format("13:00 PM", "1 Feb"), time_zone="UTC"
    )
    assert "line 3: Date '31 Feb 2024'" in refusal(text.format("1:00 PM", "31 Feb"), time_zone="UTC")


WRITTEN_FOR_PEOPLE = {
    "Nasdaq": "Date,Close/Last,Volume,Open,High,Low\n"
    "01/31/2024,$1184.40,55467800,$1187.04,$1187.10,$1184.35\n01/30/2024,$1188.04,55859370,$1190.94,$1191.80,$1187.47\n",
    "Investing": '"Date","Price","Open","High","Low","Vol.","Change %"\n'
    '"01/31/2024","1,184.40","1,187.04","1,187.10","1,184.35","55.4678M","-1.94%"\n'
    '"01/30/2024","1,188.04","1,190.94","1,191.80","1,187.47","55.85937M","-1.92%"\n',
    "a German spreadsheet": "Datum;Close;Volume;Open;High;Low\n"
    "31.01.2024;1.184,40 €;55.467.800;1.187,04 €;1.187,10 €;1.184,35 €\n"
    "30.01.2024;1.188,04 €;55.859.370;1.190,94 €;1.191,80 €;1.187,47 €\n",
    "a Swiss spreadsheet": "Date;Close;Volume;Open;High;Low\n"
    "31.01.2024;1'184.40;55'467'800;CHF 1'187.04;1'187.10;1'184.35\n"
    "30.01.2024;1'188.04;55'859'370;CHF 1'190.94;1'191.80;1'187.47\n",
    "a French spreadsheet": "Date;Close;Volume;Open;High;Low\n"
    "31/01/2024;1\u202f184,40;55\u202f467\u202f800;1\u202f187,04;1\u00a0187,10;1 184,35\n"
    "30/01/2024;1 188,04;55 859 370;1 190,94;1 191,80;1 187,47\n",
    "an Indian exchange": "Date,Open,High,Low,Close,Volume\n"
    '31-Jan-2024,"1,187.04","1,187.10","1,184.35","1,184.40","5,54,67,800"\n'
    '30-Jan-2024,"1,190.94","1,191.80","1,187.47","1,188.04","5,58,59,370"\n',
}


@pytest.mark.parametrize("source", WRITTEN_FOR_PEOPLE)
def test_numbers_written_for_people_are_numbers(read: Read, source: str) -> None:
    series = read(WRITTEN_FOR_PEOPLE[source].replace("Datum", "Date"))
    assert times_of(series) == ["2024-01-30T00:00:00Z", "2024-01-31T00:00:00Z"]
    assert rows_of(series)[1] == pytest.approx([1187.04, 1187.10, 1184.35, 1184.40, 55467800], rel=1e-12)
    assert any("decimal comma" in note or "thousands" in note or "currency" in note for note in series.notes)


def test_a_comma_that_may_part_thousands_or_decimals_is_asked_for(read: Read, refusal: Refusal) -> None:
    text = 'Date,Open,High,Low,Close,Volume\n2024-01-30,10,10,10,10,7\n2024-01-31,10,10,10,10,"1,234"\n'
    message = refusal(text)
    assert message.startswith("X.csv, line 3: Volume '1,234' may be 1234 or 1.234; choose with --decimal point or")
    assert read(text, decimal="point").bars.volume[1] == 1234
    assert read(text, decimal="comma").bars.volume[1] == 1.234
    assert read(text.replace("10,10,10,10,7", "9.5,9.5,9.5,9.5,7")).bars.volume[1] == 1234


def test_points_of_thousands_in_one_column_are_told_by_the_decimals_of_another(read: Read) -> None:
    text = "Date;Open;High;Low;Close;Volume\n2024-01-30;9,5;9,5;9,5;9,5;1.234\n2024-01-31;9,5;9,5;9,5;9,5;1.500\n"
    assert read(text).bars.volume.tolist() == [1234, 1500]
    assert rows_of(read(text.replace(",", "."), decimal="point"))[0] == [9.5, 9.5, 9.5, 9.5, 1.234]


def test_two_currencies_in_one_file_are_refused(refusal: Refusal) -> None:
    text = "Date,Open,High,Low,Close\n2024-01-30,$1,$1,$1,$1\n2024-01-31,$1,€1,$1,$1\n"
    assert refusal(text).startswith("X.csv, line 3: High '€1' is in another currency than others")
    plain = "Date,Open,High,Low,Close\n" + "".join(f"2024-01-0{day},1,1,1,{{}}\n" for day in (1, 2, 3))
    lone = refusal(plain.format(1, "1 EUR", 1))
    assert lone.startswith(
        "X.csv, line 3: Close '1 EUR' is in another currency than others; correct or remove the line"
    )


def test_blanks_part_thousands_only_where_they_do_so_throughout(refusal: Refusal) -> None:
    text = "Date,Open,High,Low,Close\n2024-01-30,1 234,1 234,1 234,1 234\n2024-01-31,1 234,2345,1 234,1 234\n"
    assert refusal(text).startswith("X.csv, line 2: High '1 234' is not a number")


def test_text_that_is_not_utf_8_is_read_and_said(read: Read) -> None:
    text = "Date;Größe;Open;High;Low;Close;Volume\n2024-01-30;groß;1 €;1 €;1 €;1 €;2\n2024-01-31;ü;1 €;1 €;1 €;1 €;2\n"
    series = read(text.encode("cp1252"))
    assert rows_of(series)[0] == [1, 1, 1, 1, 2]
    assert "the text is not UTF-8: read as ISO-8859-1 (Windows-1252)" in series.notes


YFINANCE = """\
Price,Close,High,Low,Open,Volume
Ticker,^GSPC,^GSPC,^GSPC,^GSPC,^GSPC
Date,,,,,
2024-01-02,4742.83,4754.33,4722.67,4745.20,3743050000
2024-01-03,4704.81,4729.29,4699.71,4725.07,3950760000
"""


def test_a_header_of_three_lines_says_names_and_symbol(read: Read, refusal: Refusal) -> None:
    series = read(YFINANCE, "prices.csv")
    assert (series.symbol, rows_of(series)[0]) == ("^GSPC", [4745.20, 4754.33, 4722.67, 4742.83, 3743050000])
    turned = "".join(YFINANCE.splitlines(keepends=True)[at] for at in (1, 0, 2, 3, 4))
    assert rows_of(read(turned, "prices.csv")) == rows_of(series)
    cells = [line.split(",") for line in YFINANCE.splitlines()]
    two = "\n".join(",".join([first, *others, *others]) for first, *others in cells)
    two = two.replace("^GSPC", "AAPL", 5)
    assert "it holds 2 symbols, AAPL, ^GSPC; choose one with --symbol" in refusal(two)
    assert read(two, symbol="AAPL").bars.close.tolist() == [4742.83, 4704.81]


def test_lines_above_the_header_are_skipped_and_said(read: Read, refusal: Refusal) -> None:
    table = "Date;Open;High;Low;Close\n2024-01-30;1;1;1;1\n2024-01-31;1;3;1;2\n"
    series = read("Exported on 2024-02-01\nAccount;7\n\n" + table)
    assert "3 lines above the header are skipped" in series.notes
    assert series.bars.total == 2
    assert "line 6: High 0.5" in refusal("A\nB\nC\n" + table.replace(";3;", ";0.5;"))
    unnamed = "".join(table.splitlines(keepends=True)[1:])
    assert "no column is named" in refusal("Account;seven;;;x\n" + unnamed)
    assert read("Account;seven;;;x\n" + unnamed, skip_lines=1).bars.total == 2
    assert "--skip-lines -1 is not 0 to 1,000" in refusal(unnamed, skip_lines=-1)


def test_a_repeated_equal_bar_is_left_out_and_said(read: Read, refusal: Refusal) -> None:
    text = "time,open,high,low,close,volume\n2024-01-01,1,2,1,1,1\n2024-01-01,1,2,1,1,1\n2024-01-02,1,2,1,1,1\n"
    series = read(text)
    assert times_of(series) == ["2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"]
    assert "1 repeated bar is left out" in series.notes
    assert "line 3: time 2024-01-01T00:00:00Z is not later" in refusal(text.replace("1,2,1,1,1", "1,2,1,1,2", 1))
    assert "line 4: high 0.5" in refusal(text.replace("02,1,2", "02,1,0.5"))


def test_a_volume_column_without_any_volume_is_zero_and_said(read: Read, refusal: Refusal) -> None:
    text = "Date,Open,High,Low,Close,Volume\n2024-01-30,1,1,1,1,{}\n2024-01-31,1,1,1,1,\n"
    series = read(text.format(""))
    assert series.bars.volume.tolist() == [0, 0]
    assert "column 'Volume' is empty: volume is 0" in series.notes
    assert "line 3: Volume is missing" in refusal(text.format(5))


def test_a_first_column_without_a_name_has_the_times(read: Read) -> None:
    days = pd.date_range("2024-01-01", periods=2)
    frame = pd.DataFrame({"Open": 1.0, "High": 1.0, "Low": 1.0, "Close": 1.0}, index=days)
    series = read(frame.to_csv())
    assert times_of(series) == ["2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"]
    assert "the first column, which has no name, has the times" in series.notes
    numbered = read(frame.rename_axis("Date").reset_index().to_csv())
    assert times_of(numbered) == times_of(series)


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        *(("^GSPC.csv", "^GSPC"), ("EURUSD=X.csv", "EURUSD=X"), ("M&M.NS.csv", "M&M.NS"), ("BRK-B.csv", "BRK-B")),
        *(("ES1!.csv", "ES1!"), ("SPY_1d.csv", "SPY"), ("BTC-USD-1d.csv", "BTC-USD"), ("spy.csv", "SPY")),
        *(("eurusd.zip.csv", "EURUSD"), ("aapl_us_d.csv", "AAPL.US"), ("EURUSD_M15.csv", "EURUSD")),
        *(("DAT_ASCII_EURUSD_M1_2024.csv", "EURUSD"), ("EURUSD_Daily_202401020000_202401030000.csv", "EURUSD")),
    ],
)
def test_names_of_files_say_their_symbol(read: Read, name: str, symbol: str) -> None:
    assert read("Date,Open,High,Low,Close\n2024-01-30,1,1,1,1\n2024-01-31,1,1,1,1\n", name).symbol == symbol


@pytest.mark.parametrize("name", ["data.csv", "ohlcv.csv", "prices.csv", "my file.csv", "history2024.csv", "Spy.csv"])
def test_ordinary_names_of_files_say_no_symbol(refusal: Refusal, name: str) -> None:
    assert "--symbol" in refusal("Date,Open,High,Low,Close\n2024-01-30,1,1,1,1\n2024-01-31,1,1,1,1\n", name)


CRYPTO = """\
https://www.CryptoDataDownload.com
Unix,Date,Symbol,Open,High,Low,Close,Volume {},Volume {},tradecount
1704153600000,2024-01-02 00:00:00,{},44179.55,45879.63,44148.34,44946.91,65146.4,2944332060,2000
1704067200000,2024-01-01 00:00:00,{},42283.58,44184.1,42180.77,44179.55,27174.29,1169995682,1500
"""


def test_of_two_volumes_that_of_what_is_traded_is_taken_and_said(read: Read, refusal: Refusal) -> None:
    for symbol in ("BTCUSDT", "BTC/USDT"):
        series = read(CRYPTO.format("BTC", "USDT", symbol, symbol))
        assert series.bars.volume.tolist() == [27174.29, 65146.4]
        assert "volume is that of 'Volume BTC', what is traded, not of what it is paid with" in series.notes
    assert read(CRYPTO.format("ETH", "BTC", "ETHBTC", "ETHBTC")).bars.volume[0] == 27174.29
    assert read(CRYPTO.format("USD", "XRP", "x", "x"), symbol="GOLD").bars.volume[0] == 1169995682
    assert "more than one column may be volume" in refusal(CRYPTO.format("A", "B", "x", "x"))


DAILY = "19980102 00:00,973100,976500,963400,975000,2143400\n19980103 00:00,978400,983400,971800,977500,1000\n"
MINUTES = "34200000,1458400,1458600,1458400,1458500,60000\n34260000,1458400,1458700,1458400,1458500,70\n"


def test_prices_times_ten_thousand_are_asked_for_and_divided(read: Read, refusal: Refusal) -> None:
    message = refusal(DAILY, "spy.csv", allow_gaps=True)
    assert "choose with --price-scale 10000 to divide them, or --price-scale 1 to take them as they stand" in message
    series = read(DAILY, "spy.csv", price_scale=10_000)
    assert rows_of(series)[0] == [97.31, 97.65, 96.34, 97.5, 2143400]
    assert (series.symbol, series.source) == ("SPY", "spy.csv (price scale 10000)")
    assert read(DAILY, "spy.csv", price_scale=1).bars.open[0] == 973100


def test_minutes_since_midnight_are_of_the_day_that_the_file_is_named_by(read: Read, refusal: Refusal) -> None:
    name = "20131007_spy_minute_trade.csv"
    assert "--price-scale 10000" in refusal(MINUTES, name, **NEW_YORK)
    assert "has no time zone" in refusal(MINUTES, name, price_scale=10_000)
    series = read(MINUTES, name, price_scale=10_000, **NEW_YORK)
    assert (series.symbol, series.interval) == ("SPY", "1m")
    assert times_of(series) == ["2013-10-07T13:30:00Z", "2013-10-07T13:31:00Z"]
    assert rows_of(series)[0] == [145.84, 145.86, 145.84, 145.85, 60000]
    decided = {"interval": "1m", "allow_gaps": True, "price_scale": 10_000}
    assert "count milliseconds since midnight" in refusal(MINUTES, "SPY.csv", **decided)
    assert "ticks or quotes" in refusal(MINUTES, name.replace("trade", "quote"), **decided)


def test_days_of_minutes_become_one_series(tmp_path: Any) -> None:
    paths: list[Any] = []
    for day in (8, 7):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(f"2013100{day}_spy_minute_trade.csv", MINUTES)
        paths.append(tmp_path / f"2013100{day}_trade.zip")
        paths[-1].write_bytes(packed.getvalue())
    with pytest.raises(ImportRefused, match="lacks"):
        read_files(paths, Reading(price_scale=10_000, **NEW_YORK))
    [series] = read_files(paths, Reading(price_scale=10_000, allow_gaps=True, **NEW_YORK))
    assert (series.symbol, series.bars.total) == ("SPY", 4)
