"""Exports over HTTP: what is sent, what is refused, and that nobody holds a place for ever."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.exporting import document, exports, parquet
from api.exporting.document import PLACE
from api.exporting.exports import Exports
from api.routes import downloads
from api.routes.data_answers import RunCandles
from api.routes.result_answers import Analysis
from deploy.cli import main
from shared.client.blocking import BlockingBackfleet
from shared.client.fleet import Backfleet
from shared.errors import InvalidRequest, StoreUnavailable
from shared.results import Result
from shared.settings import Settings
from tests.decisions import decision
from tests.gateway import BACKTESTS, BARS, BODY, Site, fields_of, problem_of, site_on
from tests.integration.test_replays import ended, running


@pytest.fixture
async def site(
    any_mongodb_uri: str, any_redis_url: str, mongodb_database: str, make_settings: Callable[..., Settings]
) -> AsyncIterator[Site]:
    """One pair of backends: they only keep what is read."""
    async with site_on(make_settings()) as one:
        yield one


def path_of(backtest_id: str) -> str:
    return f"{BACKTESTS}/{backtest_id}/export"


def exports_of(monkeypatch: pytest.MonkeyPatch) -> list[Exports]:
    """The gateway's own, once it has been asked."""
    found: list[Exports] = []
    opened = Exports.open

    async def open_noted(self: Exports, *asked: Any) -> Any:
        found.append(self)
        return await opened(self, *asked)

    monkeypatch.setattr(Exports, "open", open_noted)
    return found


async def test_all_of_a_backtest_is_one_json_object_and_each_table_a_file(site: Site) -> None:
    client = await site.client()
    backtest_id, curve, trades = await ended(site)
    for bar in (3, 9):
        await site.database.llm.decisions.add(decision(backtest_id, bar, reason="=1"))
    path, base = path_of(backtest_id), f"{BACKTESTS}/{backtest_id}"
    answer = await client.get(path)
    assert answer.headers["content-disposition"] == f'attachment; filename="{backtest_id}.json"'
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    said = answer.json()
    assert said["backtest"] == (await client.get(base)).json()
    assert said["result"] == (await client.get(f"{base}/result")).json()
    assert said["analysis"] == (await client.get(f"{base}/analysis")).json()
    assert said["trades"] == (await client.get(f"{base}/trades")).json()["items"]
    assert said["equity"] == (await client.get(f"{base}/equity", params={"maxPoints": 20_000})).json()["points"]
    assert said["decisions"] == (await client.get(f"{base}/decisions")).json()["items"]
    assert (len(said["decisions"]), len(said["equity"]), said["logs"]) == (2, BARS, [])
    assert "You trade." not in answer.text
    context = (await client.get(path, params={"context": True})).json()
    assert context["decisions"] == (await client.get(f"{base}/decisions", params={"context": True})).json()["items"]
    assert context["decisions"][0]["system"] == "You trade."

    for query, name, rows in (({}, "trades", len(trades)), ({"table": "equity"}, "equity", BARS)):
        answer = await client.get(path, params={"format": "csv", **query})
        assert answer.headers["content-disposition"] == f'attachment; filename="{backtest_id}-{name}.csv"'
        assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
        read = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        assert len(read) == rows
    assert [float(one["equity"]) for one in read] == list(curve.values())
    decided = (await client.get(path, params={"format": "csv", "table": "decisions"})).text
    assert (decided.count("'=1"), "You trade." in decided) == (2, False)
    reader: Any = pytest.importorskip("pyarrow.parquet")
    answer = await client.get(path, params={"format": "parquet", "table": "trades"})
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    assert reader.read_table(io.BytesIO(answer.content)).column("pnl").to_pylist() == [one["pnl"] for one in trades]


async def test_what_does_not_go_together_or_is_not_there_is_refused_before_the_first_byte(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await site.client()
    waiting = path_of((await running(site))["_id"])
    for query in ({}, {"format": "csv"}, {"format": "csv", "table": "equity"}):
        assert "is running" in problem_of(await client.get(waiting, params=query), 409)["detail"]
    backtest_id, _, _ = await ended(site)
    path = path_of(backtest_id)
    for query, field in (
        ({"format": "xlsx"}, "format"),
        ({"format": "csv", "table": "logs"}, "table"),
        ({"format": "json", "table": "trades"}, "table"),
        ({"format": "csv", "context": True}, "context"),
        ({"format": "html", "context": True}, "context"),
    ):
        assert fields_of(problem_of(await client.get(path, params=query), 422)) == {field}, query
    problem_of(await (await site.client("bob")).get(path), 404)
    monkeypatch.setattr(parquet, "find_spec", lambda _: None)
    lacking = problem_of(await client.get(path, params={"format": "parquet"}), 501)
    assert (lacking["code"], "format=csv" in lacking["detail"]) == ("not_installed", True)
    monkeypatch.setattr(document, "files", lambda _: Path("/nowhere"))
    lacking = problem_of(await client.get(path, params={"format": "html"}), 501)
    assert "make dashboard" in lacking["detail"]
    assert (await client.get(path)).status_code == 200  # none of them holds a place


async def test_a_page_has_what_it_shows_and_no_more_than_it_can_show(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = tmp_path / "dashboard" / "static" / "report.html"
    page.parent.mkdir(parents=True)
    page.write_text(f"<html><body>{PLACE}<script>draw()</script></body></html>")
    monkeypatch.setattr(document, "files", lambda _: tmp_path)
    monkeypatch.setattr(document, "REPORT_TRADES_MAX", 25)
    client = await site.client()
    backtest_id, _, trades = await ended(site)
    hostile = "</script><script>alert(1)</script><!--\u2028"
    results = site.database.mongo.collection("results")
    await results.update_one({"backtestId": backtest_id}, {"$set": {"config.strategies": [hostile]}})
    answer = await client.get(path_of(backtest_id), params={"format": "html"})
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="{backtest_id}.html"'
    before, after = page.read_text().split("null")
    assert answer.text.startswith(before)
    assert answer.text.endswith(after)
    inside = answer.text.removeprefix(before).removesuffix(after)
    assert "<" not in inside
    said = json.loads(inside)
    assert list(said) == ["exportedAt", "backtest", "result", "analysis", "trades", "tradesTotal", "candles"]
    assert said["trades"][0]["strategy"] == hostile
    assert (len(said["trades"]), said["tradesTotal"]) == (25, len(trades))
    assert Result.model_validate(said["result"]).config["strategies"] == [hostile]
    assert len(Analysis.model_validate(said["analysis"]).equity.equity) == BARS
    candles = RunCandles.model_validate(said["candles"])
    assert (len(candles.close), candles.bars) == (BARS, BARS)


async def test_one_who_stops_reading_makes_room_for_others(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    noted = exports_of(monkeypatch)
    client = await site.client()
    backtest_id, _, _ = await ended(site)
    path = path_of(backtest_id)
    goes_on = asyncio.Event()

    async def endless(*_: Any) -> AsyncIterator[list[dict[str, Any]]]:
        while True:
            yield [{"text": "x" * 100_000}]
            await goes_on.wait()

    monkeypatch.setattr(Exports, "_log_pages", endless)
    async with client.stream("GET", path), client.stream("GET", path) as second:
        assert second.status_code == 200
        assert "exports of yours are under way" in problem_of(await client.get(path), 429)["detail"]
        monkeypatch.setattr(exports, "AT_ONCE", 2)
        bob = await site.client("bob")
        other = (await bob.post(BACKTESTS, json=BODY)).json()["backtestId"]
        busy = await bob.get(path_of(other), params={"format": "csv", "table": "decisions"})
        assert problem_of(busy, 503)["detail"] == "2 exports are under way at this gateway; try again"
        assert int(busy.headers["retry-after"]) > 0
    await freed(noted[0])
    monkeypatch.setattr(downloads, "STALLED_S", 0.5)
    goes_on.set()
    plain = {"Accept-Encoding": "identity"}
    async with client.stream("GET", path, headers=plain):  # takes nothing, though more is sent than buffers hold
        await freed(noted[0])
    assert "was not taken for 0.5 s" in caplog.text


async def test_a_file_that_breaks_off_is_not_taken_for_a_whole_one(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    noted = exports_of(monkeypatch)
    client = await site.client()
    backtest_id, _, _ = await ended(site)

    async def away(*_: Any) -> AsyncIterator[list[dict[str, Any]]]:
        yield [{"text": "x" * 100_000}]
        raise StoreUnavailable("gone")

    monkeypatch.setattr(Exports, "_log_pages", away)
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get(path_of(backtest_id))
    await freed(noted[0])


async def test_the_command_writes_a_whole_file_or_none(
    site: Site, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backtest_id, _, trades = await ended(site)
    monkeypatch.chdir(tmp_path)

    async def call(*arguments: str) -> tuple[int, str, str]:
        asked = ["export", *arguments, "--url", site.url, "--token", site.token()]
        status = await asyncio.to_thread(main, asked)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    assert await call(backtest_id, "--format", "csv") == (0, f"{backtest_id}-trades.csv\n", "")
    written = (tmp_path / f"{backtest_id}-trades.csv").read_bytes()
    assert written == (await (await site.client()).get(path_of(backtest_id), params={"format": "csv"})).content
    assert await call(backtest_id, "--format", "csv", "--output", "-") == (0, written.decode(), "")
    status, out, error = await call(backtest_id, "--format", "csv", "--table", "equity", "--output", "out.csv")
    assert (status, out, error) == (0, "out.csv\n", "")
    assert (tmp_path / "out.csv").read_text().count("\n") == BARS + 1
    status, out, error = await call(backtest_id, "--output", "out.csv")
    assert (status, out) == (2, "")
    assert error == "backfleet: --output: out.csv is there already; add --force to write over it, or name another\n"
    assert (await call(backtest_id, "--output", "out.csv", "--force"))[0] == 0
    assert len(json.loads((tmp_path / "out.csv").read_bytes())["trades"]) == len(trades)
    for arguments, part in (
        (("bt_unknown",), "bt_unknown"),
        ((backtest_id, "--table", "equity"), "--table: goes with csv and parquet"),
        ((backtest_id, "--output", str(tmp_path)), "is a directory"),
        ((backtest_id, "--output", "nowhere/out"), "nowhere/out cannot be written: No such file or directory"),
    ):
        status, out, error = await call(*arguments)
        assert (status, out, error.count("\n")) == (2, "", 1)
        assert part in error
    monkeypatch.setattr(document, "files", lambda _: Path("/nowhere"))
    status, _, error = await call(backtest_id, "--format", "html")
    assert (status, "make dashboard" in error) == (2, True)

    async def away(*_: Any) -> AsyncIterator[list[dict[str, Any]]]:
        yield [{"text": "x" * 100_000}]
        raise StoreUnavailable("gone")

    monkeypatch.setattr(Exports, "_log_pages", away)
    status, _, error = await call(backtest_id, "--output", "late.json")
    assert (status, "broke off on the way" in error) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        f"{backtest_id}-trades.csv",
        "out.csv",
    ]


async def test_programs_take_it_piece_by_piece(site: Site) -> None:
    backtest_id, _, _ = await ended(site)
    query = {"format": "csv", "table": "equity"}
    wanted = (await (await site.client()).get(path_of(backtest_id), params=query)).content
    async with Backfleet(site.url, site.token()) as fleet:
        run = fleet.run(backtest_id)
        assert b"".join([piece async for piece in run.export("csv", table="equity")]) == wanted
        with pytest.raises(InvalidRequest, match="table"):
            await anext(run.export("json", table="equity"))

    def read() -> bytes:
        with BlockingBackfleet(site.url, site.token()) as fleet:
            return b"".join(fleet.run(backtest_id).export("csv", table="equity"))

    assert await asyncio.to_thread(read) == wanted


async def freed(found: Exports) -> None:
    async with asyncio.timeout(10):
        while found._under_way:  # noqa: ASYNC110 - nobody says when
            await asyncio.sleep(0.01)
