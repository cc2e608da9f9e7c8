"""`backfleet run`: what its options mean, what it refuses and how, what it prints and writes."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.cli import build_parser, main
from shared.bars import Bars
from shared.candles import take_bars
from shared.candles.grid import Grid
from shared.candles.resample import resample_bars
from shared.errors import InvalidRequest
from shared.instants import iso_from_ms
from shared.request_options import read_request
from shared.settings import (
    environment_for_child,
    keep_kernels_in,
    keep_strategy_kernels,
    kernel_cache_dir,
    load_settings,
)
from shared.strategies import Strategy
from shared.strategies.parameters import Parameters
from tests.engine.deciders import in_the_catalogue
from tests.fleet import HOUR_MS, START_MS, random_walk, write_bars
from tests.peers import load
from worker import local_run

ROOT = Path(__file__).parents[2]
BARS = 300
SLOW = ("--strategy", "sma", "--param", "fast=3", "--param", "slow=60")
TURNS = "2024-01-05T04:00:00Z"
SMA = ("--strategy", "sma", "--param", "fast=5", "--param", "slow=20")


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    return write_bars(tmp_path / "WALK-1h.csv", random_walk(BARS))


@pytest.fixture
def turning(tmp_path: Path) -> Path:
    """Bars that fall for 100 hours, until `TURNS`, and then rise."""
    walk = random_walk(250)
    close = 100.0 - 0.1 * np.minimum(np.arange(250), 200 - np.arange(250))
    bars = walk._replace(open=close, high=close, low=close, close=close)
    return write_bars(tmp_path / "TURN-1h.csv", bars)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """Runs `backfleet run` in this process: exit status, output, lines of errors."""
    monkeypatch.setenv("BACKFLEET_CACHE_DIR", str(tmp_path / "cache"))

    def call(*arguments: str | Path) -> tuple[int, str, list[str]]:
        status = main(["run", *map(str, arguments)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err.splitlines()

    return call


def body_of(*arguments: str) -> dict[str, Any]:
    return read_request(build_parser().parse_args(["run", "--data", "x.csv", *arguments]), 10_000)


def test_options_become_the_body_of_a_request() -> None:
    assert body_of(
        *("--strategy", "sma", "--strategy", "rule", "--from", "2024-01-01", "--to", "2024-02-01", "--symbol", "X"),
        *("--param", "sma.fast=10", "--param", "rule.long=rsi(close, 14) == 30", "--param", 'rule.short="7"'),
        *("--set", "commission.rate=0.001", "--set", "commission.fixed=1", "--set", "stopLoss.percent=2"),
        *(
            "--set",
            "allowShort=true",
            "--set",
            "fillAt=close",
            "--set",
            'takeProfit={"atr": 2}',
            "--set",
            "sizing=null",
        ),
        *("--set", "weights.sma=2", "--set", "seed=7"),
    ) == {
        "symbol": "X",
        "startDate": "2024-01-01",
        "endDate": "2024-02-01",
        "strategies": ["sma", "rule"],
        "strategyParams": {"sma": {"fast": 10}, "rule": {"long": "rsi(close, 14) == 30", "short": "7"}},
        "commission": {"rate": 0.001, "fixed": 1},
        "stopLoss": {"percent": 2},
        "takeProfit": {"atr": 2},
        "sizing": None,
        "allowShort": True,
        "fillAt": "close",
        "weights": {"sma": 2},
        "seed": 7,
    }


def test_options_override_a_request_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    request = {
        "symbol": "X",
        "strategies": ["sma", "rsi"],
        "strategyParams": {"sma": {"fast": 3, "slow": 9}, "rsi": {"period": 5}},
        "commission": {"rate": 0.1, "fixed": 2},
        "stopLoss": {"atr": 1},
    }
    file.write_text(json.dumps(request))
    assert body_of("--request", str(file)) == request
    overridden = body_of(
        *("--request", str(file), "--symbol", "Y", "--strategy", "sma", "--param", "fast=4"),
        *("--set", "commission.rate=0.2", "--set", "stopLoss=null"),
    )
    assert overridden == {
        "symbol": "Y",
        "strategies": ["sma"],
        "strategyParams": {"sma": {"fast": 4, "slow": 9}},
        "commission": {"rate": 0.2, "fixed": 2},
        "stopLoss": None,
    }


@pytest.mark.parametrize(
    ("arguments", "field", "parts"),
    [
        ((), "strategies", ["--strategy"]),
        (("--strategy", "sma", "--param", "fast"), "--param", ["'fast'", "NAME=VALUE"]),
        (("--strategy", "sma", "--param", "=3"), "--param", ["'=3'", "NAME=VALUE"]),
        (("--strategy", "sma", "--param", "rsi.period=3"), "--param", ["rsi.period", "sma", "STRATEGY.period=VALUE"]),
        (("--strategy", "sma", "--strategy", "rsi", "--param", "fast=3"), "--param", ["'fast=3'", "(sma, rsi)"]),
        (("--strategy", "sma", "--set", "endDate=2024-01-01"), "--set", ["endDate", "--to"]),
        (("--strategy", "sma", "--set", "strategyParams.sma.fast=2"), "--set", ["--param"]),
        (("--strategy", "sma", "--set", "warmupBars=2"), "--set", ["--warmup-bars"]),
        (("--request", "absent.json"), "--request", ["absent.json", "No such file"]),
    ],
)
def test_an_option_that_cannot_be_understood_is_refused(
    arguments: tuple[str, ...], field: str, parts: list[str]
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        body_of(*arguments)
    [error] = refusal.value.errors
    assert error.field == field
    for part in parts:
        assert part in error.message


@pytest.mark.parametrize(
    ("text", "field", "part"),
    [
        ("{", "--request", "not valid JSON"),
        ("[1]", "--request", "must be a JSON object"),
        ('{"strategies": ["sma"], "x": "' + "x" * 10_000 + '"}', "--request", "larger than 10,000 bytes"),
        ('{"strategies": ["sma"], "symbol": 5}', "symbol", "must be text (got 5)"),
    ],
)
def test_a_request_file_that_is_none_is_refused(tmp_path: Path, text: str, field: str, part: str) -> None:
    file = tmp_path / "request.json"
    file.write_text(text)
    with pytest.raises(InvalidRequest) as refusal:
        body_of("--request", str(file))
    [error] = refusal.value.errors
    assert error.field == field
    assert part in error.message


def test_each_wrong_field_has_a_line(call: Callable[..., Any], bars: Path) -> None:
    status, out, errors = call(
        *("--data", bars, "--strategy", "sma", "--from", "yesterday", "--set", "commission.rate=-1", "--set", "seed=x")
    )
    assert (status, out) == (2, "")
    assert [line.split(":")[:2] for line in errors] == [
        ["backfleet", " startDate"],
        ["backfleet", " commission.rate"],
        ["backfleet", " seed"],
    ]
    assert "yesterday" in errors[0]
    assert "(got -1)" in errors[1]
    status, _, errors = call("--data", bars, *SMA, "--param", "fast=50", "--param", "slw=3")
    assert status == 2
    assert errors == ["backfleet: strategyParams.sma.slw: sma_crossover has no such parameter; it has: fast, slow"]
    status, _, [error] = call("--data", bars, *SMA, "--param", "fast=50")
    assert (status, error[:41]) == (2, "backfleet: strategyParams.sma.fast: fast ")
    status, _, [error] = call("--data", bars, "--strategy", "smaa")
    assert status == 2
    assert error.startswith('backfleet: strategies.0: there is no strategy "smaa"; there are: ')


def test_a_misspelled_field_is_refused_wherever_it_stands(call: Callable[..., Any], bars: Path, tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps({"stopLos": {"percent": 2}, "takeProfit": {"percnt": 2, "percent": 2}}))
    options = ("--set", "alowShort=true", "--set", "commission.rat=1", "--set", "seed.of=1")
    status, out, errors = call("--data", bars, *SMA, "--request", file, *options)
    assert (status, out) == (2, "")
    assert errors[:4] == [
        "backfleet: stopLos: unknown field; did you mean stopLoss?",
        "backfleet: takeProfit.percnt: unknown field; did you mean percent?",
        "backfleet: alowShort: unknown field; did you mean allowShort?",
        "backfleet: commission.rat: unknown field; did you mean rate?",
    ]
    assert [line[:16] for line in errors[4:]] == ["backfleet: seed:"]


def test_a_date_counts_however_its_field_is_written(call: Callable[..., Any], bars: Path, tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps({"start_date": "2024-01-03", "endDate": "2024-01-05"}))
    status, out, _ = call("--data", bars, *SMA, "--json", "--request", file)
    assert (status, json.loads(out)["totalBars"]) == (0, 48)


def test_a_range_longer_than_the_data_is_warned_of(call: Callable[..., Any], bars: Path) -> None:
    whole = json.loads(call("--data", bars, *SMA, "--json")[1])
    assert whole["warnings"] == []
    assert (whole["effectiveStart"], whole["effectiveEnd"]) == ("2024-01-01T00:00:00Z", "2024-01-13T12:00:00Z")
    longer = (*SMA, "--from", "2020-01-01", "--to", "2030-01-01")
    status, out, errors = call("--data", bars, *longer, "--json")
    result = json.loads(out)
    assert (status, errors) == (0, [])
    assert [(one["code"], one["field"]) for one in result["warnings"]] == [
        ("data_begin_later", "startDate"),
        ("data_end_earlier", "endDate"),
    ]
    same = ("effectiveStart", "effectiveEnd", "resultHash", "datasetHash", "metrics")
    assert [result[name] for name in same] == [whole[name] for name in same]
    shown = call("--data", bars, *longer)[1]
    assert (
        "warning      the data of WALK begin at 2024-01-01T00:00:00Z, after startDate 2020-01-01T00:00:00Z\n"
        "warning      the data of WALK end at 2024-01-13T12:00:00Z, before endDate 2030-01-01T00:00:00Z\n"
        "bars         300 from 2024-01-01T00:00:00Z to 2024-01-13T12:00:00Z\n"
    ) in shown


@pytest.mark.parametrize(
    ("start", "end", "interval", "codes"),
    [
        ("2023-12-31T23:00:01Z", "2024-01-13T12:00:00Z", "1h", []),
        ("2023-12-31T23:00:00Z", "2024-01-13T12:00:00.001Z", "1h", ["data_begin_later", "data_end_earlier"]),
        ("2024-01-01T00:30:00Z", "2024-01-13T11:30:00Z", "1h", []),
        ("2023-12-31T12:00:00Z", "2024-01-13T12:00:00Z", "1d", []),
        ("2023-12-31", "2024-01-14", "1d", ["data_begin_later", "data_end_earlier"]),
    ],
)
def test_a_range_is_longer_than_the_data_where_a_bar_could_have_been(
    call: Callable[..., Any], bars: Path, start: str, end: str, interval: str, codes: list[str]
) -> None:
    quick = ("--strategy", "sma", "--param", "fast=1", "--param", "slow=2")
    status, out, _ = call("--data", bars, *quick, "--interval", interval, "--from", start, "--to", end, "--json")
    assert (status, [one["code"] for one in json.loads(out)["warnings"]]) == (0, codes)


def test_what_files_and_bars_lack_is_warned_of(call: Callable[..., Any], tmp_path: Path) -> None:
    walk = random_walk(BARS)
    file = write_bars(tmp_path / "WALK-1h.csv", take_bars(walk, np.delete(np.arange(BARS), range(100, 102))))
    header, *lines = file.read_text().splitlines()
    file.write_text("\n".join([f"{header},RSI,Note", *(f"{line},50,x" for line in lines)]))
    status, out, _ = call("--data", file, "--strategy", "sma", "--param", "slow=298", "--json")
    warnings = json.loads(out)["warnings"]
    assert (status, [one["code"] for one in warnings]) == (0, ["columns_ignored", "bars_missing", "too_few_bars"])
    assert "2 columns of the data went unused: 'RSI', 'Note'" in warnings[0]["message"]
    assert "2 bars of 1h are missing in a gap of WALK, from 2024-01-05T04:00:00Z to" in warnings[1]["message"]
    assert warnings[2]["field"] == "strategyParams.sma"
    assert "before it has seen 299 bars, and there are 298" in warnings[2]["message"]
    shown = call("--data", file, *SMA)[1]
    assert (
        "warning      2 columns of the data went unused: 'RSI', 'Note'; --columns says what each column is\n" in shown
    )


def test_a_calendar_says_what_a_run_lacks(call: Callable[..., Any], tmp_path: Path) -> None:
    load("exchange_calendars")
    days = np.arange("2024-12-02", "2025-02-01", dtype="datetime64[D]")
    open_days = days[np.is_busday(days, holidays=["2024-12-25", "2025-01-01", "2025-01-09", "2025-01-20"])]
    file = tmp_path / "X.csv"
    kept = [day for day in open_days.tolist() if str(day) != "2025-01-22"]
    file.write_text("date,open,high,low,close\n" + "".join(f"{day},10,11,9,10\n" for day in kept))
    run = ("--data", file, "--strategy", "buy_and_hold", "--json", "--allow-gaps")
    [warning] = json.loads(call(*run, "--calendar", "XNYS")[1])["warnings"]
    assert warning["message"].startswith(
        "1 bar of 1d is missing in a gap of X, from 2025-01-22T00:00:00Z to 2025-01-23"
    )
    assert json.loads(call(*run)[1])["warnings"] == [], "it may have been a holiday"
    status, _, [error] = call(*run, "--calendar", "XNYX")
    assert (status, error[:47]) == (2, "backfleet: --calendar 'XNYX' is no calendar, su")


def test_without_dates_it_runs_on_the_whole_file(call: Callable[..., Any], bars: Path) -> None:
    status, out, errors = call("--data", bars, *SMA, "--json")
    assert (status, errors) == (0, [])
    result = json.loads(out)
    assert result["totalBars"] == BARS
    assert (result["config"]["startDate"], result["config"]["symbol"]) == ("2024-01-01", "WALK")
    assert result["config"]["endDate"] == iso_from_ms(START_MS + BARS * HOUR_MS)
    assert result["trades"] == result["metrics"]["totalTrades"] == result["summary"]["totalTrades"] > 3
    status, out, _ = call("--data", bars, *SMA, "--json", "--from", "2024-01-03", "--to", "2024-01-09T12:00:00Z")
    part = json.loads(out)
    assert (status, part["totalBars"]) == (0, 6 * 24 + 12)
    assert part["datasetHash"] != result["datasetHash"]


def test_what_crosses_soon_after_the_start_is_found_with_bars_before_it(
    call: Callable[..., Any], turning: Path, tmp_path: Path
) -> None:
    trades = tmp_path / "trades.csv"
    run = ("--data", turning, *SLOW, "--from", TURNS, "--trades", trades)

    def entries() -> list[str]:
        with trades.open() as file:
            return [trade["entryTime"] for trade in csv.DictReader(file)]

    warm = json.loads(call(*run, "--json")[1])
    assert (warm["warmupBars"], warm["totalBars"], warm["effectiveStart"]) == (60, 150, TURNS)
    assert "warmupBars" not in warm["config"]
    [entry] = entries()
    assert TURNS < entry < iso_from_ms(START_MS + 130 * HOUR_MS)
    cold = json.loads(call(*run, "--warmup-bars", "0", "--json")[1])
    assert (cold["warmupBars"], cold["totalBars"], cold["config"]["warmupBars"]) == (0, 150, 0)
    assert entries() == [], "the averages crossed before both were known"
    for name in ("resultHash", "datasetHash"):
        assert warm[name] != cold[name]
    assert warm["metrics"]["buyAndHoldReturn"] == cold["metrics"]["buyAndHoldReturn"]
    file = tmp_path / "request.json"
    file.write_text(json.dumps({"warmupBars": 7}))
    shown = call(*run, "--request", file)[1]
    assert f"bars         150 from {TURNS} to 2024-01-11T10:00:00Z, after 7 to warm up\n" in shown
    assert json.loads(call(*run, "--request", file, "--warmup-bars", "null", "--json")[1]) == warm


def test_there_is_no_more_to_begin_with_than_bars_before_the_start(call: Callable[..., Any], turning: Path) -> None:
    run = ("--data", turning, *SLOW, "--json", "--from")
    used = [json.loads(call(*run, iso_from_ms(START_MS + n * HOUR_MS))[1])["warmupBars"] for n in (-5, 0, 1, 59, 61)]
    assert used == [0, 0, 1, 59, 60]
    four_hours = json.loads(call(*run, TURNS, "--interval", "4h")[1])
    assert (four_hours["warmupBars"], four_hours["effectiveStart"]) == (25, TURNS)


def test_a_range_without_bars_is_refused_with_what_there_is(call: Callable[..., Any], bars: Path) -> None:
    status, out, [error] = call("--data", bars, *SMA, "--from", "2025-01-01", "--to", "2025-02-01")
    assert (status, out) == (2, "")
    assert error.startswith("backfleet: startDate: 2025-01-01T00:00:00Z is after the last bar; WALK 1h has bars from ")


def test_the_size_of_a_step_changes_nothing(bars: Path) -> None:
    [series] = local_run.read_files([bars])
    body = {"strategies": ["sma"], "strategyParams": {"sma": {"fast": 5, "slow": 20}}}
    hashes = {local_run.run_locally(series, body, step).outcome.result_hash for step in (1, 7, 10**6)}
    assert len(hashes) == 1


def test_a_table_shows_the_figures_and_the_hashes(call: Callable[..., Any], bars: Path) -> None:
    result = json.loads(call("--data", bars, *SMA, "--json")[1])
    status, out, errors = call("--data", bars, *SMA)
    assert (status, errors) == (0, [])
    assert "Sharpe ratio" in out
    assert f"{result['metrics']['totalReturn']:,.2f} %" in out
    assert "note         format: a header that names the columns\n" in out
    assert f"dataset      {result['datasetHash']}\n" in out
    assert f"result       {result['resultHash']}  engine {result['engineVersion']}\n" in out


def test_what_was_recognised_stands_in_the_json_as_in_the_table(call: Callable[..., Any], bars: Path) -> None:
    notes = json.loads(call("--data", bars, *SMA, "--json")[1])["notes"]
    assert notes[0] == "format: a header that names the columns"
    assert all(f"note         {note}\n" in call("--data", bars, *SMA)[1] for note in notes)


def test_all_figures_have_a_label_and_are_shown_when_asked_for(call: Callable[..., Any], bars: Path) -> None:
    metrics = json.loads(call("--data", bars, *SMA, "--json")[1])["metrics"]
    ten, every = (call("--data", bars, *SMA, *more)[1] for more in ((), ("--all",)))
    assert (ten.count("│") // 3, every.count("│") // 3) == (10, len(metrics))
    assert not [name for name in metrics if name.lower() != name and name in every]
    assert f"{metrics['volatility']:,.2f} %" in every


def test_a_size_above_equity_is_warned_of(call: Callable[..., Any], bars: Path) -> None:
    sized = ("--set", "positionSize=2", "--set", "leverage=5")
    result = json.loads(call("--data", bars, *SMA, *sized, "--json")[1])
    assert result["config"]["positionSizePercent"] == 2
    [warning] = result["warnings"]
    assert (warning["code"], warning["field"]) == ("size_above_equity", "positionSizePercent")
    assert "2 times equity, 200% of it: a size of 1 is 100 %" in warning["message"]
    assert json.loads(call("--data", bars, *SMA, "--json")[1])["warnings"] == []


def test_trades_and_equity_are_written_as_csv(call: Callable[..., Any], bars: Path, tmp_path: Path) -> None:
    trades, equity = tmp_path / "trades.csv", tmp_path / "equity.csv"
    status, out, _ = call("--data", bars, *SMA, "--json", "--trades", trades, "--equity", equity)
    result = json.loads(out)
    assert status == 0
    with trades.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == result["trades"]
    assert {"entryTime", "exitTime", "direction", "pnlPercent", "exitReason", "strategy"} <= rows[0].keys()
    assert {row["strategy"] for row in rows} == {"sma"}
    pnl = np.array([float(row["pnl"]) for row in rows])
    assert 10_000 + pnl.sum() == pytest.approx(result["metrics"]["finalEquity"], rel=1e-12)
    with equity.open(newline="") as file:
        points = list(csv.DictReader(file))
    assert len(points) == BARS
    assert (points[0]["time"], points[-1]["time"]) == ("2024-01-01T00:00:00Z", "2024-01-13T11:00:00Z")
    assert float(points[-1]["equity"]) == result["metrics"]["finalEquity"]
    status, _, [error] = call("--data", bars, *SMA, "--equity", tmp_path / "absent" / "equity.csv")
    assert status == 2
    assert error.startswith("backfleet: --equity: ")
    assert "name another file" in error


def test_no_trades_are_a_header_alone(call: Callable[..., Any], bars: Path, tmp_path: Path) -> None:
    trades = tmp_path / "trades.csv"
    status, *_ = call("--data", bars, "--strategy", "momentum", "--param", "threshold=99", "--trades", trades)
    assert status == 0
    [header] = trades.read_text().splitlines()
    assert header.startswith("entryBar,exitBar,entryTime,exitTime,direction,quantity,")


def test_files_are_read_as_the_options_say(call: Callable[..., Any], tmp_path: Path) -> None:
    series = random_walk(BARS)
    columns = (series.open, series.close, series.high, series.low, series.volume)
    rows = zip(series.time_ms.tolist(), *(column.tolist() for column in columns), strict=True)
    unnamed = tmp_path / "WALK-1h.csv"
    unnamed.write_text("".join(f"1,{','.join(map(repr, row))}\n" for row in rows))
    status, _, [error] = call("--data", unnamed, *SMA)
    assert status == 2
    assert "--columns" in error
    named = write_bars(tmp_path / "WALK.csv", series)
    expected = json.loads(call("--data", named, *SMA, "--json")[1])
    status, out, _ = call("--data", unnamed, *SMA, "--columns=-,time,open,close,high,low,volume", "--json")
    assert (status, json.loads(out)["resultHash"]) == (0, expected["resultHash"])


def test_one_of_several_series_must_be_chosen(call: Callable[..., Any], bars: Path, tmp_path: Path) -> None:
    other = random_walk(BARS, seed=5)
    every_second = take_bars(other, slice(0, BARS, 2))
    files = [bars, write_bars(tmp_path / "OTHER-1h.csv", other), write_bars(tmp_path / "OTHER-2h.csv", every_second)]
    status, out, [error] = call("--data", *files, *SMA)
    assert (status, out) == (2, "")
    assert "3 series in the files, WALK 1h, OTHER 1h, OTHER 2h; choose one with --symbol and --interval" in error
    status, _, [error] = call("--data", *files, *SMA, "--symbol", "OTHER")
    assert status == 2
    assert "and 2 of them is OTHER" in error
    assert "and none of them is NONE" in call("--data", *files, *SMA, "--symbol", "NONE")[2][0]
    status, out, _ = call("--data", *files, *SMA, "--symbol", "OTHER", "--interval", "2h", "--json")
    config = json.loads(out)["config"]
    assert (status, config["symbol"], config["interval"]) == (0, "OTHER", "2h")


def test_the_only_series_is_called_what_the_options_say(call: Callable[..., Any], tmp_path: Path) -> None:
    unnamed = write_bars(tmp_path / "my bars.csv", random_walk(BARS))
    status, _, [error] = call("--data", unnamed, *SMA)
    assert status == 2
    assert "--symbol" in error
    status, out, _ = call("--data", unnamed, *SMA, "--symbol", "GOLD", "--json")
    assert (status, json.loads(out)["config"]["symbol"]) == (0, "GOLD")
    status, out, _ = call("--data", unnamed.rename(tmp_path / "WALK.csv"), *SMA, "--symbol", "GOLD", "--json")
    assert (status, json.loads(out)["config"]["symbol"]) == (0, "GOLD")
    every_eighth = write_bars(tmp_path / "EIGHT.csv", take_bars(random_walk(BARS), slice(0, BARS, 8)))
    status, _, [error] = call("--data", every_eighth, *SMA, "--symbol", "GOLD", "--interval", "12h")
    assert status == 2
    assert "is not the start of a 12h bar" in error


def test_a_coarser_interval_is_made_of_the_bars_there_are(call: Callable[..., Any], tmp_path: Path) -> None:
    whole = random_walk(BARS)
    late = take_bars(whole, slice(2, BARS))  # from 02:00 on, to 12:00 of the last day
    hours = write_bars(tmp_path / "WALK.csv", late)
    status, out, errors = call("--data", hours, *SMA, "--interval", "4h", "--json")
    assert (status, errors) == (0, [])
    made = json.loads(out)
    assert (made["totalBars"], made["resampledFrom"], made["config"]["interval"]) == (BARS // 4, "1h", "4h")
    assert made["config"]["startDate"] == "2024-01-01"
    native = write_bars(tmp_path / "NATIVE.csv", resample_bars(late, Grid.every(4 * HOUR_MS)))
    status, out, _ = call("--data", native, *SMA, "--symbol", "WALK", "--json")
    same = json.loads(out)
    assert (status, same["config"]["interval"], same["resampledFrom"]) == (0, "4h", None)
    assert same["metrics"] == made["metrics"]
    assert same["resultHash"] == made["resultHash"]
    assert same["datasetHash"] != made["datasetHash"]
    # Days are made of the coarser of two series, and bars that are there are not made.
    two_hours = write_bars(tmp_path / "TWO.csv", resample_bars(whole, Grid.every(2 * HOUR_MS)))
    both = ("--data", hours, two_hours, *SMA, "--json", "--interval")
    assert call(*both, "1d")[2] == [
        "backfleet: --data: there are 2 series in the files, WALK 1h, TWO 2h, and 2 of them is 1d; choose one with "
        "--symbol and --interval"
    ]
    two_hours.rename(tmp_path / "WALK-2h.csv")
    both = ("--data", hours, tmp_path / "WALK-2h.csv", *SMA, "--json", "--interval")
    assert json.loads(call(*both, "1d")[1])["resampledFrom"] == "2h"
    assert json.loads(call(*both, "1h")[1])["resampledFrom"] is None


def test_a_strategy_that_raises_is_reported_in_one_line(call: Callable[..., Any], bars: Path) -> None:
    def signals(_bars: Bars, _params: Parameters) -> Any:
        raise ZeroDivisionError("of nothing")

    with in_the_catalogue(Strategy("torn", "Torn", "Raises.", Parameters, signals)):
        status, out, errors = call("--data", bars, "--strategy", "sma", "--strategy", "torn")
    assert (status, out, errors) == (2, "", ["backfleet: strategy torn raised ZeroDivisionError: of nothing"])


def test_a_fault_of_the_engine_is_reported_in_one_line_as_ours(
    call: Callable[..., Any], bars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def advance(*_: object) -> None:
        raise ZeroDivisionError("of nothing")

    monkeypatch.setattr(local_run.Run, "advance", advance)
    status, out, [error] = call("--data", bars, *SMA)
    assert (status, out) == (2, "")
    assert error.startswith("backfleet: the engine failed, which is a fault of backfleet and not of the request")
    assert error.endswith("ZeroDivisionError: of nothing")


def test_an_interrupt_ends_it_with_130(call: Callable[..., Any], bars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def advance(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(local_run.Run, "advance", advance)
    assert call("--data", bars, *SMA) == (130, "", [])


def test_a_cache_that_cannot_be_written_is_refused(
    call: Callable[..., Any], bars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setenv("BACKFLEET_CACHE_DIR", str(bars))
    status, _, [error] = call("--data", bars, *SMA)
    assert status == 2
    assert "set BACKFLEET_CACHE_DIR" in error


def test_kernels_are_kept_where_workers_keep_theirs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = load_settings(cache_dir=tmp_path)
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    directory = kernel_cache_dir(settings, "digest")
    assert directory == tmp_path / "kernels" / "digest"
    assert environment_for_child(settings, directory)["NUMBA_CACHE_DIR"] == str(directory)
    keep_kernels_in(directory)
    assert "NUMBA_CACHE_DIR" not in os.environ, "numba was loaded before, so it is too late"
    monkeypatch.delitem(sys.modules, "numba", raising=False)
    keep_kernels_in(directory)
    assert os.environ["NUMBA_CACHE_DIR"] == str(directory)
    assert kernel_cache_dir(settings, "other") == directory / "other"
    keep_strategy_kernels(settings)
    assert os.environ["NUMBA_CACHE_DIR"] == str(directory), "somebody has said where"
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    keep_strategy_kernels(settings)
    assert os.environ["NUMBA_CACHE_DIR"] == str(tmp_path / "kernels" / "strategies")


def loaded(program: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after `program`."""
    program += "\nimport sys\nprint('\\n'.join({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stdout.split())


def test_each_command_loads_no_more_than_it_needs() -> None:
    helped = loaded("from deploy.cli import build_parser\nbuild_parser().format_help()")
    assert "argparse" in helped
    assert helped.isdisjoint({"asyncio", "email", "numba", "numpy", "pandas", "pydantic", "pymongo", "fastapi", "rich"})
    listed = loaded("import shared.settings, api.cli, api.auth")
    assert "pydantic" in listed
    assert listed.isdisjoint({"numba", "pandas", "talib"})
    assert "numba" not in loaded("import shared.settings, worker.cli, worker.slot"), "the cache must be named before"
    assert "pandas" not in loaded("import shared.candles, worker.supervisor, worker.engine_loop")


def test_a_run_loads_no_servers_and_leaves_what_it_loaded_out_of_garbage_collection(bars: Path) -> None:
    """Each would make every run wait: servers, their clients, what numba asks for where it is installed."""
    arguments = ["run", "--data", str(bars), *SMA, "--json"]
    program = "import contextlib, gc, io\nfrom deploy.cli import main\n"
    program += f"with contextlib.redirect_stdout(io.StringIO()):\n    assert main({arguments!r}) == 0\n"
    program += "assert gc.isenabled() and gc.get_freeze_count() > 100_000"
    ran = loaded(program)
    assert ran >= {"numba", "pandas", "pydantic"}
    servers = {"fastapi", "prometheus_client", "pymongo", "redis", "socketio", "uvicorn"}
    assert ran.isdisjoint({*servers, "argon2", "ccxt", "jwt", "rich", "scipy"})
