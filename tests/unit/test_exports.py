"""Files to take along: each form of them, and what may stand in it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from api.exporting import document, parquet
from api.exporting.delimited import csv_pieces
from api.exporting.document import PLACE, dumped, object_pieces, page_pieces
from api.exporting.parquet import parquet_pieces
from api.exporting.tables import (
    CONTEXT_COLUMNS,
    DECISION_COLUMNS,
    EQUITY_COLUMNS,
    PART_ROWS,
    TRADE_COLUMNS,
    Table,
    decision_parts,
    equity_parts,
    trade_parts,
)
from api.lacking import NotInstalled
from api.routes.llm_answers import LlmDecision
from api.trades import TradeSort
from shared.findings import trade_columns
from shared.frames import Columns
from tests.stored import tables

START_MS = 1_704_067_200_000
ROWS = 2 * PART_ROWS + 7
FORMULAS = ("=1+1", "+1", "-1+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1")
HOSTILE = [
    *FORMULAS,
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]>&lt;",
    "\u2028\u2029",
    'of "quotes", commas,\r\nand lines',
    "naïve é 漢 🚀",
]


def trades(strategies: int = 1) -> Columns:
    columns = tables(START_MS + 3_600_000 * np.arange(ROWS), trades=ROWS)[1]
    columns["strategy"] = np.arange(ROWS) % strategies
    columns["pnl"][5] = np.nan
    return columns


async def whole(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


async def told(pieces: AsyncIterator[str]) -> str:
    return "".join([piece async for piece in pieces])


async def read_csv(table: Table) -> tuple[str, list[list[str]]]:
    text = (await whole(csv_pieces(table))).decode()
    return text, list(csv.reader(io.StringIO(text, newline="")))


async def test_csv_has_every_trade_with_all_its_digits_in_the_same_columns() -> None:
    columns = trades(len(HOSTILE))
    text, rows = await read_csv(Table(TRADE_COLUMNS, trade_parts(columns, HOSTILE)))
    assert rows[0] == [name for name, _ in TRADE_COLUMNS]
    assert text.endswith("\r\n")
    wire = {"index": list(range(ROWS))} | trade_columns(columns, HOSTILE)
    assert list(wire) == rows[0]
    for at, name in enumerate(rows[0]):
        kind = dict(TRADE_COLUMNS)[name]
        cells = [row[at] for row in rows[1:]]
        if kind == "number":
            assert [float(cell) if cell else None for cell in cells] == wire[name]
        elif name == "strategy":
            assert [cell[1:] if cell.startswith("'") else cell for cell in cells] == wire[name]
            assert [cell for cell in cells if cell.startswith(FORMULAS) or cell[0] in "=+-@\t\r\n"] == []
        else:
            assert cells == [str(value) for value in wire[name]]
    assert rows[6][rows[0].index("pnl")] == ""
    assert any(cell.startswith("-") for row in rows[1:] for cell in row)  # numbers below zero are no formulas


async def test_csv_without_a_row_is_its_header() -> None:
    none = {name: column[:0] for name, column in trades().items()}
    text, _ = await read_csv(Table(TRADE_COLUMNS, trade_parts(none, [])))
    assert text == ",".join(name for name, _ in TRADE_COLUMNS) + "\r\n"


def decision(**changes: Any) -> dict[str, Any]:
    said = {"sizeFraction": None, "stopLossPrice": 9.5, "takeProfitPrice": None, "confidence": 0.75}
    made: dict[str, Any] = {
        "bar": 4,
        "time": "2024-01-01T04:00:00Z",
        "strategy": "ai_trader",
        "model": "vendor/model",
        "mode": "record",
        "said": {"action": "LONG", **said, "reasoning": '=HYPERLINK("http://x")'},
        "action": "LONG",
        "safety": ["One.", "Two."],
        "abstained": False,
        "reason": "",
        "tokensIn": 10,
        "decision": {"signal": 1, "sizeFraction": None, "stopPrice": 9.5, "targetPrice": None},
        "tokensOut": 2,
        "costUsd": 1e-07,
        "latencyMs": 12.5,
        "stored": True,
        "key": "sha256:0",
        "decidedAt": "2026-11-30T12:00:00.123Z",
    }
    LlmDecision.model_validate(made)
    return made | changes


async def pages(*items: dict[str, Any]) -> AsyncIterator[list[dict[str, Any]]]:
    yield []
    for item in items:
        yield [item]


async def test_decisions_are_flat_and_their_prompts_stand_there_only_where_they_are_asked_for() -> None:
    prompts = {"system": "S", "user": "U", "raw": "R"}
    items = [decision(**prompts), decision(said=None, abstained=True, reason="-away", **prompts)]
    _, rows = await read_csv(Table(DECISION_COLUMNS, decision_parts(pages(*items))))
    first, second = (dict(zip(rows[0], row, strict=True)) for row in rows[1:])
    assert (first["said.stopLossPrice"], first["decision.signal"], first["safety"]) == ("9.5", "1", "One. Two.")
    assert (first["costUsd"], first["stored"], first["decidedAt"]) == ("1e-07", "true", "2026-11-30T12:00:00.123Z")
    assert first["said.reasoning"] == '\'=HYPERLINK("http://x")'
    assert (second["said.action"], second["said.confidence"], second["reason"]) == ("", "", "'-away")
    assert not set(prompts) & set(first)
    flat = {name.partition(".")[0] for name, _ in DECISION_COLUMNS}
    assert flat | set(prompts) == {one.alias for one in LlmDecision.model_fields.values()}
    _, rows = await read_csv(Table((*DECISION_COLUMNS, *CONTEXT_COLUMNS), decision_parts(pages(*items))))
    assert rows[1][-3:] == ["S", "U", "R"]


async def test_parquet_has_types_of_its_own_and_comes_group_by_group(monkeypatch: pytest.MonkeyPatch) -> None:
    pa: Any = pytest.importorskip("pyarrow")
    reader: Any = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(parquet, "GROUP_ROWS", PART_ROWS)
    columns = trades(len(HOSTILE))
    pieces = [piece async for piece in parquet_pieces(Table(TRADE_COLUMNS, trade_parts(columns, HOSTILE)))]
    assert len(pieces) == 3  # two groups, and the last rows with what stands at the end
    read = reader.read_table(io.BytesIO(b"".join(pieces)))
    assert read.schema.names == [name for name, _ in TRADE_COLUMNS]
    assert read.schema.field("exitTime").type == pa.timestamp("ms", "UTC")
    assert read.column("exitTime").cast(pa.int64()).to_pylist() == columns["exit_time_ms"].tolist()
    wire = trade_columns(columns, HOSTILE)
    for name in ("pnl", "quantity", "strategy", "direction", "exitReason", "entryBar"):
        assert read.column(name).to_pylist() == wire[name], name
    assert read.column("pnl").null_count == 1
    decided = await whole(parquet_pieces(Table(DECISION_COLUMNS, decision_parts(pages(decision())))))
    assert reader.read_table(io.BytesIO(decided)).to_pylist()[0]["said.confidence"] == 0.75
    nothing: Table = Table(EQUITY_COLUMNS, equity_parts({"time_ms": np.empty(0, np.int64), "equity": np.empty(0)}))
    assert reader.read_table(io.BytesIO(await whole(parquet_pieces(nothing)))).num_rows == 0


class Scripts(HTMLParser):
    """What a browser takes for scripts and for text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.comments: list[str] = []
        self.inside: dict[str, str] = {}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def handle_data(self, data: str) -> None:
        tag = self.elements[-1] if self.elements else ""
        self.inside[tag] = self.inside.get(tag, "") + data


async def test_no_name_can_leave_the_place_of_the_data_in_a_page() -> None:
    data = {"names": HOSTILE, **{name: name for name in HOSTILE}}
    template = (f"<html><body>{PLACE.removesuffix('null</script>')}", "</script></body></html>")
    page = await told(page_pieces(template, object_pieces({"data": dumped(data)})))
    scripts = Scripts(page)
    assert (scripts.elements, scripts.comments) == (["html", "body", "script"], [])
    assert json.loads(scripts.inside["script"]) == {"data": data}
    inside = page.removeprefix(template[0]).removesuffix(template[1])
    assert not re.search("[<>&\u2028\u2029]", inside)


async def test_an_object_of_no_rows_and_of_many_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    none = {name: column[:0] for name, column in trades().items()}
    pieces = object_pieces(
        {"a": dumped(1), "none": document.trade_rows(none, []), "items": document.item_rows(pages({"x": 1}, {"y": 2}))}
    )
    assert json.loads(await told(pieces)) == {"a": 1, "none": [], "items": [{"x": 1}, {"y": 2}]}
    some = json.loads(await told(object_pieces({"trades": document.trade_rows(trades(), ["sma"], PART_ROWS + 1)})))
    assert [one["index"] for one in some["trades"]] == list(range(PART_ROWS + 1))
    assert some["trades"][5]["pnl"] is None


@pytest.mark.parametrize("page", [None, "<html></html>", f"{PLACE}{PLACE}"])
def test_a_page_that_has_not_been_built_is_said(
    page: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document, "files", lambda _: tmp_path)
    if page is not None:
        (tmp_path / "dashboard" / "static").mkdir(parents=True)
        (tmp_path / "dashboard" / "static" / "report.html").write_text(page)
    with pytest.raises(NotInstalled, match="ask for format=json"):
        document.read_template()


def test_parquet_without_pyarrow_is_refused_with_what_else_would_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "find_spec", lambda _: None)
    with pytest.raises(NotInstalled, match="format=csv"):
        parquet.require_pyarrow()


def test_what_can_be_sorted_by_is_in_the_table() -> None:
    assert set(get_args(TradeSort)) < {name for name, _ in TRADE_COLUMNS}
