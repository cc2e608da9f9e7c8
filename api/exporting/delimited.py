"""Tables as CSV (RFC 4180): UTF-8, lines that end in CRLF, the names of the wire in the first, instants in ISO with Z.

A spreadsheet takes a cell that begins as a formula does for one, and runs it: texts that do, which are names and words
of strategies and models, get an apostrophe before them. Numbers are written with all their digits, and as they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import numpy as np

from api.exporting.tables import Column, Kind, Part, Table
from shared.findings import iso_column

_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_QUOTED = (",", '"', "\r", "\n")
_FLAGS = {True: "true", False: "false", None: ""}


async def csv_pieces(table: Table) -> AsyncGenerator[bytes]:
    yield _joined([[column.name] for column in table.columns])
    async for make in table.parts:
        yield await asyncio.to_thread(lambda make=make: _lines(table.columns, make()))


def _lines(columns: tuple[Column, ...], part: Part) -> bytes:
    rows = max(map(len, part.values()))
    texts = [_cells(part[name], kind) if name in part else [""] * rows for name, kind in columns]
    return _joined(texts)


def _joined(texts: list[list[str]]) -> bytes:
    rows = [",".join(row) for row in zip(*texts, strict=True)]
    return "\r\n".join([*rows, ""]).encode("utf-8", "replace")


def _cells(values: list[Any], kind: Kind) -> list[str]:
    match kind:
        case "text":
            return ["" if value is None else _text(value) for value in values]
        case "instant":
            return iso_column(np.array(values, np.int64))
        case "flag":
            return [_FLAGS[value] for value in values]
        case "integer" | "number":
            return ["" if value is None else repr(value) for value in values]


def _text(value: str) -> str:
    safe = f"'{value}" if value.startswith(_FORMULAS) else value
    if any(mark in safe for mark in _QUOTED):
        return '"' + safe.replace('"', '""') + '"'
    return safe
