"""Market data files: what is understood, and that everything else is refused with its file, line, value and remedy."""

from __future__ import annotations

import csv
import gzip
import io
import random
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.candles.files import parsing as bar_files
from shared.candles.files.parsing import read_files
from shared.errors import ImportRefused
from shared.instants import iso_from_ms
from shared.reading import Reading

HOUR_MS = 3_600_000
START_MS = 1_704_067_200_000  # 2024-01-01T00:00Z
PLAIN: str = """\
time,open,high,low,close,volume
2024-01-01T00:00:00Z,10,12,9,11,100
2024-01-01T01:00:00Z,11,13,10,12,0
2024-01-01T02:00:00Z,12,12.5,11.5,12,7.5
"""

Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def save(text: str | bytes, name: str = "BTCUSDT-1h.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return save


def klines(bars: int, start: int = START_MS, step: int = HOUR_MS, seed: int = 1) -> str:
    """Binance's twelve columns. `start` and `step` in whichever unit the times shall have."""
    dice = random.Random(seed)
    lines: list[str] = []
    for bar in range(bars):
        open_, close = dice.uniform(90, 110), dice.uniform(90, 110)
        high, low = max(open_, close) + dice.random(), min(open_, close) - dice.random()
        prices = ",".join(f"{price:.8f}" for price in (open_, high, low, close))
        at = start + bar * step
        lines.append(f"{at},{prices},{dice.uniform(0, 50):.5f},{at + step - 1},1.0,{bar},0.5,0.5,0")
    return "\n".join(lines) + "\n"


def refusal_of(path: Path, **asked: Any) -> str:
    with pytest.raises(ImportRefused) as caught:
        read_files([path], Reading(**asked))
    return caught.value.message


def test_binance_klines_without_a_header_are_read_as_they_stand(save: Save) -> None:
    text = klines(5)
    [series] = read_files([save(text)])
    rows = list(csv.reader(io.StringIO(text)))
    assert (series.symbol, series.interval) == ("BTCUSDT", "1h")
    assert series.bars.time_ms.tolist() == [int(row[0]) for row in rows]
    for column, number in (("open", 1), ("high", 2), ("low", 3), ("close", 4), ("volume", 5)):
        assert getattr(series.bars, column).tolist() == [float(row[number]) for row in rows], column


def test_a_binance_header_and_microseconds_change_nothing(save: Save) -> None:
    header = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_quote,ignore\n"
    [expected] = read_files([save(klines(4))])
    for text in (header + klines(4), klines(4, START_MS * 1000, HOUR_MS * 1000), "\ufeff" + header + klines(4)):
        [series] = read_files([save(text)])
        for ours, theirs in zip(series.bars, expected.bars, strict=True):
            assert ours.tolist() == theirs.tolist()


def test_milliseconds_and_microseconds_may_be_mixed_in_one_file(save: Save) -> None:
    second_half = klines(2, (START_MS + 2 * HOUR_MS) * 1000, HOUR_MS * 1000, seed=2)
    [series] = read_files([save(klines(2) + second_half)])
    assert series.bars.time_ms.tolist() == [START_MS + n * HOUR_MS for n in range(4)]


def test_many_archives_of_one_series_become_one_series(save: Save) -> None:
    paths: list[Path] = []
    for month in (2, 1, 3):  # out of order on purpose
        path = save(b"", f"ETHUSDT-1h-2024-0{month}.zip")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"ETHUSDT-1h-2024-0{month}.csv", klines(10, START_MS + month * 10 * HOUR_MS, seed=month))
        paths.append(path)
    [series] = read_files(paths)
    assert series.symbol == "ETHUSDT"
    assert series.bars.time_ms.tolist() == [START_MS + n * HOUR_MS for n in range(10, 40)]
    assert "3 files" in series.source


def test_overlapping_files_must_agree(save: Save) -> None:
    whole = klines(20).splitlines(keepends=True)
    first, second = save("".join(whole[:12]), "X-1h-a.csv"), save("".join(whole[8:]), "X-1h-b.csv")
    [series] = read_files([second, first])
    assert series.bars.total == 20
    other = klines(20, seed=9).splitlines(keepends=True)
    with pytest.raises(ImportRefused, match=re.escape("X-1h-b.csv: X 1h: the bar of 2024-01-01T08:00:00Z is already")):
        read_files([first, save("".join(other[8:]), "X-1h-b.csv")])


def test_a_gzipped_file_is_read_like_a_plain_one(save: Save) -> None:
    [series] = read_files([save(gzip.compress(PLAIN.encode(), mtime=0), "BTCUSDT-1h.csv.gz")])
    assert series.bars.close.tolist() == [11.0, 12.0, 12.0]


@pytest.mark.parametrize(
    "times",
    [
        ["2024-01-01T00:00:00Z", "2024-01-01T01:00:00Z", "2024-01-01T02:00:00Z"],
        ["2024-01-01 00:00:00+00:00", "2024-01-01 01:00:00+00:00", "2024-01-01 02:00:00+00:00"],
        ["2024-01-01 02:00+0200", "2024-01-01 03:00+0200", "2024-01-01 04:00+0200"],
        ["2024-01-01 00:00:00.000 UTC", "2024-01-01 01:00:00.000 UTC", "2024-01-01 02:00:00.000 UTC"],
        ["1704067200", "1704070800", "1704074400"],
        ["1704067200.0", "1704070800.0", "1704074400.0"],
        ["1704067200000", "1704070800000", "1704074400000"],
        ["1704067200000000", "1704070800000000", "1704074400000000"],
        ["1704067200000000000", "1704070800000000000", "1704074400000000000"],
    ],
)
def test_an_instant_may_be_written_in_many_ways(save: Save, times: list[str]) -> None:
    lines = [f"{at},10,12,9,11,1" for at in times]
    [series] = read_files([save("\n".join(["Timestamp,Open,High,Low,Close,Volume", *lines]))])
    assert series.bars.time_ms.tolist() == [START_MS + n * HOUR_MS for n in range(3)]


@pytest.mark.parametrize(
    "days",
    [
        ["2024-01-02", "2024-01-03", "2024-01-04"],
        ["2024/01/02", "2024/01/03", "2024/01/04"],
        ["20240102", "20240103", "20240104"],
        ["2024-01-02 00:00:00", "2024-01-03 00:00:00", "2024-01-04 00:00:00"],
    ],
)
def test_a_date_alone_needs_no_time_zone(save: Save, days: list[str]) -> None:
    lines = [f'{day},10,12,9,11,10.5,"1"' for day in days]
    [series] = read_files(
        [save("\n".join(["Date,Open,High,Low,Close,Adj Close,Volume", *lines]), "AAPL.csv")], Reading(price="traded")
    )
    assert (series.symbol, series.interval) == ("AAPL", "1d")
    assert [iso_from_ms(int(at)) for at in series.bars.time_ms] == [f"2024-01-0{n}T00:00:00Z" for n in (2, 3, 4)]
    assert series.bars.close.tolist() == [11.0] * 3
    assert "columns ignored: 'Adj Close'" in series.notes


def test_newest_first_and_an_address_in_the_first_line_are_understood(save: Save) -> None:
    lines = PLAIN.splitlines()
    [series] = read_files([save("\n".join(["https://www.example.org", lines[0], *reversed(lines[1:])]))])
    assert series.bars.close.tolist() == [11.0, 12.0, 12.0]
    assert series.bars.time_ms[0] == START_MS


def test_a_fault_in_a_file_of_newest_first_is_found_on_its_own_line(save: Save) -> None:
    lines = PLAIN.replace("2024-01-01T01:00:00Z,11,13", "2024-01-01T01:00:00Z,11,3").splitlines()
    assert "line 3: high 3.0" in refusal_of(save("\n".join([lines[0], *reversed(lines[1:])])))


def test_the_interval_is_the_most_common_step_and_said(save: Save) -> None:
    text = klines(10) + klines(1, START_MS + 20 * HOUR_MS)
    [series] = read_files([save(text, "WHATEVER.csv")], Reading(allow_gaps=True))
    assert series.interval == "1h"
    assert any("1h recognised" in note for note in series.notes)


def test_the_name_of_a_file_settles_the_interval_of_a_single_bar(save: Save) -> None:
    [series] = read_files([save(klines(1), "BTCUSDT-4h-2024.csv")])
    assert series.interval == "4h"
    assert "--interval" in refusal_of(save(klines(1), "BTCUSDT.csv"))


def test_a_symbol_column_names_the_symbol(save: Save) -> None:
    text = "unix,date,symbol,open,high,low,close,volume,Volume USD\n" + "".join(
        f"{1704067200 + 3600 * n},2024-01-01 0{n}:00:00,BTC/USD,10,12,9,11,{n},{n * 11}\n" for n in range(3)
    )
    [series] = read_files([save(text, "some file.csv")])
    assert (series.symbol, series.bars.volume.tolist()) == ("BTC/USD", [0.0, 1.0, 2.0])
    message = refusal_of(save(text.replace("BTC/USD", "ETH/USD", 1), "some file.csv"))
    assert "line 3" in message
    assert "'BTC/USD'" in message


def test_a_missing_volume_is_zero_and_said(save: Save) -> None:
    [series] = read_files([save("time,open,high,low,close\n1704067200,1,1,1,1\n1704070800,1,1,1,1\n")])
    assert series.bars.volume.tolist() == [0.0, 0.0]
    assert any("no volume column" in note for note in series.notes)


def test_a_trailing_separator_is_no_column(save: Save) -> None:
    [series] = read_files([save(PLAIN.replace("\n", ",\n").replace("volume,\n", "volume\n"))])
    assert series.bars.volume.tolist() == [100.0, 0.0, 7.5]


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("01:00:00Z,11,13", "01:00:00Z,eleven,13", ["line 3", "open", "'eleven'"]),
        ("01:00:00Z,11,13", "01:00:00Z,,13", ["line 3", "open is missing"]),
        ("01:00:00Z,11,13", "01:00:00Z,11,3", ["line 3", "high 3.0", "below"]),
        ("12,12.5,11.5,12", "12,12.5,12.4,12", ["line 4", "low 12.4", "above"]),
        ("11.5,12,7.5", '11.5,12,"7,50"', ["line 4", "volume", "'7,50'"]),
        ("11.5,12,7.5", "11.5,12,7.5,8,9", ["line 4", "8 columns where 6"]),
        ("11.5,12,7.5", "11.5,12,7.5,8", ["line 4", "7 columns where 6"]),
        ("11.5,12,7.5", "11.5", ["line 4", "close is missing"]),
        ("11.5,12,7.5", 'True,12,"7.5', ["line 4", "quotation mark"]),
        ("2024-01-01T02", "2024-01-01T01", ["line 4", "time 2024-01-01T01:00:00Z", "not later"]),
        ("2024-01-01T02:00", "2024-01-01T02:30", ["line 4", "02:30", "not the start of a 1h bar"]),
        ("2024-01-01T02:00:00Z", "2024-01-01 02:00:00", ["line 4", "no time zone", "--time-zone"]),
        ("2024-01-01T02:00:00Z", "2024-02-30T02:00:00Z", ["line 4", "2024-02-30", "calendar"]),
        ("2024-01-01T02:00:00Z", "01/02/2024 02:00", ["line 4", "day or month first", "YYYY-MM-DD"]),
        ("2024-01-01T02:00:00Z", "", ["line 4", "time is missing"]),
        ("2024-01-01T02:00:00Z", "tomorrow", ["line 4", "'tomorrow' is not a time"]),
        ("2024-01-01T02:00:00Z", "2924-01-01T02:00:00Z", ["line 4", "2924", "still to end"]),
        ("high", "height", ["line 1", "high"]),
        ("close", "open", ["line 1", "more than one column may be open"]),
        (",volume", ",volume A,volume B", ["line 1", "more than one column may be volume"]),
    ],
)
def test_a_malformed_line_is_refused_with_file_line_and_value(save: Save, old: str, new: str, parts: list[str]) -> None:
    assert old in PLAIN
    message = refusal_of(save(PLAIN.replace(old, new, 1)))
    assert message.startswith("BTCUSDT-1h.csv")
    for part in parts:
        assert part in message


CELLS_REFUSED = {
    "": "is missing",
    "  ": "is missing",
    '""': "is missing",
    "NaN": "'NaN' is not a number",
    "nan": "'nan' is not a number",
    "null": "'null' is not a number",
    "N/A": "'N/A' is not a number",
    "-": "'-' is not a number",
    "twelve": "'twelve' is not a number",
    "True": "'True' is not a number",
    "0x10": "'0x10' is not a number",
    "1_000": "'1_000' is not a number",
    '"1,00"': "'1,00' is not a number",
    '"1,00,0"': "'1,00,0' is not a number",
    "inf": "inf is not a",
    "-inf": "-inf is not a",
    "1e999": "inf is not a",
    "-7": "-7.0 is not a",
}
PRICES_REFUSED = CELLS_REFUSED | {
    "0": "0.0 is not a price above zero",
    "-0.0": "-0.0 is not a price above zero",
    "1e-320": "1e-320 is not between 1e-15 and 1e+15",
    "1e300": "1e+300 is not between 1e-15 and 1e+15",
}


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("column", ["open", "high", "low", "close", "volume"])
def test_a_cell_that_is_no_price_or_volume_is_refused(save: Save, column: str, newest_first: bool) -> None:
    header, *lines = PLAIN.splitlines()
    columns: list[str] = header.split(",")
    cells: list[str] = lines[1].split(",")
    for written, said in (CELLS_REFUSED if column == "volume" else PRICES_REFUSED).items():
        cells[columns.index(column)] = written
        kept = [lines[0], ",".join(cells), lines[2]]
        message = refusal_of(save("\n".join([header, *(reversed(kept) if newest_first else kept)])))
        assert message.startswith(f"BTCUSDT-1h.csv, line 3: {column} {said}"), written
        assert "; correct" in message, written


def test_a_column_of_no_numbers_at_all_is_refused_at_its_first_line(save: Save) -> None:
    for written, said in (("", "is missing"), ("nan", "'nan' is not"), ("True", "'True' is not"), ("x", "'x' is not")):
        text = "time,open,high,low,close\n" + "".join(f"{1704067200 + 3600 * n},{written},1,1,1\n" for n in range(3))
        assert refusal_of(save(text)).startswith(f"BTCUSDT-1h.csv, line 2: open {said}"), written


def test_blank_lines_count_as_lines_but_not_as_bars(save: Save) -> None:
    text = "\n\n" + PLAIN.replace("2024-01-01T01", "\n   \n2024-01-01T01").replace("12,12.5", "12,1.5")
    assert "line 8: high 1.5" in refusal_of(save(text))


def test_times_without_a_zone_are_refused_unless_the_header_says_utc(save: Save) -> None:
    text = PLAIN.replace("Z,", ",")
    assert "line 3: time '2024-01-01T01:00:00' has no time zone" in refusal_of(save(text))  # line 2 may be a date
    [series] = read_files([save(text.replace("time,", "time (UTC),"))])
    assert series.bars.time_ms[0] == START_MS


def test_seconds_and_milliseconds_in_one_file_are_refused(save: Save) -> None:
    text = "time,open,high,low,close,volume\n1704067200,1,1,1,1,1\n1704070800000,1,1,1,1,1\n"
    message = refusal_of(save(text))
    assert "line 3" in message
    assert "another unit" in message


def test_columns_without_names_are_refused(save: Save) -> None:
    message = refusal_of(save("1704067200000,1,1,1,1,5,6\n" * 3))
    assert "line 1: there is no header, and 7 columns" in message
    assert "--columns" in message


def test_an_unfinished_bar_is_left_out_and_said_or_refused_where_it_is_not_to_be(
    save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bar_files.time, "time_ns", lambda: (START_MS + 3 * HOUR_MS - 1) * 1_000_000)
    said = "line 4: time 2024-01-01T02:00:00Z is the start of a 1h bar still to end"
    assert said in refusal_of(save(PLAIN), drop_unfinished=False)
    newest_first = "\n".join([PLAIN.splitlines()[0], *reversed(PLAIN.splitlines()[1:])]) + "\n"
    for text in (PLAIN, newest_first):
        [series] = read_files([save(text)])
        assert series.bars.time_ms.tolist() == [START_MS, START_MS + HOUR_MS]
        assert "the last bar, of 2024-01-01T02:00:00Z, has not ended yet: left out" in series.notes
    # Of two bars that have not ended, only one can be under way.
    monkeypatch.setattr(bar_files.time, "time_ns", lambda: (START_MS + 2 * HOUR_MS - 1) * 1_000_000)
    assert "line 3: time 2024-01-01T01:00:00Z is the start of a 1h bar still to end" in refusal_of(save(PLAIN))
    monkeypatch.setattr(bar_files.time, "time_ns", lambda: (START_MS + 3 * HOUR_MS) * 1_000_000)
    assert read_files([save(PLAIN)])[0].bars.total == 3


@pytest.mark.parametrize("interval", ["2h", "1d", "5m"])
def test_a_wrong_interval_is_refused(save: Save, interval: str) -> None:
    assert refusal_of(save(klines(30)), interval=interval).startswith("BTCUSDT-1h.csv")


def test_a_step_that_is_no_interval_is_refused(save: Save) -> None:
    assert "25200 s apart" in refusal_of(save(klines(5, step=7 * HOUR_MS)))


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "it is empty"),
        (b"\n \n", "it is empty"),
        (b"time,open,high,low,close,volume\n", "no bars"),
        (PLAIN.encode("utf-16"), "UTF-8"),
        (PLAIN.replace("11,100", "11,1\xe900").encode("latin-1"), "line 2: volume '1é00' is not a number"),
        (gzip.compress(PLAIN.encode(), mtime=0)[:-9], "cannot be unpacked"),
        (b"PK\x03\x04 and nothing of a zip", "cannot be unpacked"),
    ],
)
def test_what_is_no_text_of_bars_is_refused(save: Save, content: bytes, part: str) -> None:
    assert part in refusal_of(save(content))


def test_a_zip_bomb_ends_at_the_limit(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bar_files, "UNPACKED_MAX_BYTES", 100_000)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in ("a.csv", "b.csv"):
            archive.writestr(member, klines(600))
    for content in (packed.getvalue(), gzip.compress(b"0" * 100_001), b"0" * 100_001):
        assert "more than 100,000 bytes" in refusal_of(save(content))


def test_paths_that_are_no_files_are_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal_of(tmp_path / "absent.csv")
    assert "directory" in refusal_of(tmp_path)


def test_a_symbol_is_never_guessed_from_an_ordinary_file_name(save: Save) -> None:
    path = save(PLAIN, "prices.csv")
    assert "--symbol" in refusal_of(path)
    assert read_files([path], Reading(symbol="EUR/USD"))[0].symbol == "EUR/USD"
    assert "--symbol" in refusal_of(path, symbol="a b")


def test_a_year_of_real_hours_has_8784_bars(market_data_dir: Path) -> None:
    [series] = read_files(sorted((market_data_dir / "binance").glob("*.zip")))
    assert (series.symbol, series.interval, series.bars.total) == ("BTCUSDT", "1h", 8784)
    assert iso_from_ms(int(series.bars.time_ms[0])) == "2024-01-01T00:00:00Z"
    assert series.bars.open[0] == 42283.58
    assert (np.diff(series.bars.time_ms) == HOUR_MS).all()


def test_a_real_file_of_newest_first_has_33259_bars(market_data_dir: Path) -> None:
    [series] = read_files([market_data_dir / "quirks" / "BTC_USD-Hourly-descending.csv"])
    assert (series.symbol, series.interval, series.bars.total) == ("BTC/USD", "1h", 33_259)
    assert {"newest first: turned round", "volume is column 'volume'"} < set(series.notes)
    assert series.bars.volume[-1] == 52.05632
