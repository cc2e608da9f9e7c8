"""Parquet and Feather files to bars, through pyarrow where it is installed."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any, NoReturn

from shared.candles.files.columns import ParsedText, read_columns
from shared.candles.files.layout import layout_of
from shared.candles.files.times import pd
from shared.errors import ImportRefused
from shared.reading import Reading

PARQUET_MAGIC = b"PAR1"
FEATHER_MAGIC = b"ARROW1"


class _Table:
    """The table under import: a `Source` of columns. Its rows are counted from 1."""

    def __init__(self, file: str, frame: Any) -> None:
        self.file = file
        self.frame = frame

    def refuse(self, line: int | None, message: str) -> NoReturn:
        raise ImportRefused(f"{self.file}{f', row {line}' if line else ''}: {message}")

    def refuse_row(self, row: int, message: str) -> NoReturn:
        self.refuse(row + 1, message)

    def written(self, row: int, column: int) -> str:
        value = self.frame.iloc[row, column]
        return "" if pd.isna(value) else str(value)


def parse_table(data: bytes, file: str, reading: Reading, now_ms: int, most_bytes: int) -> ParsedText:
    """The bars of one Parquet or Feather file, checked, oldest first. Its index is the time where it is one of times.

    Raises `ImportRefused` naming file, row, value and remedy; also for a table of more than `most_bytes` in memory, and
    where pyarrow is not installed.
    """
    kind = "Parquet" if data.startswith(PARQUET_MAGIC) else "Feather"
    frame = _read_frame(data, file, kind, most_bytes)
    if isinstance(frame.index, pd.DatetimeIndex):
        if "time" in frame.columns:
            raise ImportRefused(f"{file}: it has an index of times and a column time; remove one of them")
        frame.insert(0, "time", frame.index)
    frame = frame.reset_index(drop=True)
    table = _Table(file, frame)
    if frame.empty:
        table.refuse(None, "it has no bars")

    def refuse(message: str) -> NoReturn:
        table.refuse(None, message)

    sample = [table.written(0, at) for at in range(frame.shape[1])]
    layout = layout_of([str(name) for name in frame.columns], True, sample, reading, refuse)
    parsed = read_columns(table, layout, [frame.iloc[:, at] for at in range(frame.shape[1])], reading, now_ms)
    first, *others = parsed.notes
    notes = (first.replace("format: ", f"format: {kind}, "), *others)
    return replace(parsed, notes=notes)


def _read_frame(data: bytes, file: str, kind: str, most_bytes: int) -> Any:
    try:
        pa: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
        ipc: Any = importlib.import_module("pyarrow.ipc")
    except ImportError:
        raise ImportRefused(
            f"{file}: {kind} files need the package pyarrow; install backfleet[files], or save it as CSV"
        ) from None
    try:
        if kind == "Parquet":
            opened = parquet.ParquetFile(pa.BufferReader(data))
            parts = opened.iter_batches()
            schema = opened.schema_arrow
        else:
            opened = ipc.open_file(pa.BufferReader(data))
            parts = (opened.get_batch(number) for number in range(opened.num_record_batches))
            schema = opened.schema
        batches: list[Any] = []
        left = most_bytes
        for part in parts:
            left -= part.nbytes
            if left < 0:
                raise ImportRefused(f"{file}: it unpacks to more than {most_bytes:,} bytes; split it")
            batches.append(part)
        return pa.Table.from_batches(batches, schema).to_pandas()
    except (pa.ArrowException, ValueError, TypeError, KeyError, OSError) as error:
        raise ImportRefused(
            f"{file}: it cannot be read as {kind}: {' '.join(str(error).split())}; save it again"
        ) from error
