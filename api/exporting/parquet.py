"""Tables as Parquet: instants are `timestamp[ms, UTC]`, what is undefined is null. Needs pyarrow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from importlib.util import find_spec
from typing import Any

from api.exporting.tables import Column, Part, Table
from api.lacking import NotInstalled

GROUP_ROWS = 50_000


def require_pyarrow() -> None:
    """Raises `NotInstalled`."""
    if find_spec("pyarrow") is None:
        raise NotInstalled(
            "this gateway writes no Parquet, since pyarrow is not installed there; ask for format=csv, or have "
            '"backfleet[files]" installed'
        )


async def parquet_pieces(table: Table) -> AsyncGenerator[bytes]:
    """A piece for each group of rows, of which one is in memory."""
    writer = await asyncio.to_thread(_Writer, table.columns)
    async for make in table.parts:
        if group := await asyncio.to_thread(lambda make=make: writer.add(make())):
            yield group
    yield await asyncio.to_thread(writer.end)


class _Sink:
    """A file whose bytes are taken out of it while it is written."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(self._pieces[-1])

    def flush(self) -> None:
        pass

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


class _Writer:
    def __init__(self, columns: tuple[Column, ...]) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        types = {
            "text": pa.string(),
            "integer": pa.int64(),
            "number": pa.float64(),
            "instant": pa.timestamp("ms", "UTC"),
            "flag": pa.bool_(),
        }
        self._pa: Any = pa
        self._schema: Any = pa.schema([(name, types[kind]) for name, kind in columns])
        self._sink = _Sink()
        self._writer: Any = parquet.ParquetWriter(pa.PythonFile(self._sink, "w"), self._schema, compression="zstd")
        self._waiting: list[Any] = []
        self._rows = 0

    def add(self, part: Part) -> bytes:
        """What is written by then, mostly nothing."""
        rows = max(map(len, part.values()))
        columns = [part.get(field.name, [None] * rows) for field in self._schema]
        arrays = [self._pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        self._waiting.append(self._pa.record_batch(arrays, self._schema))
        self._rows += rows
        if self._rows >= GROUP_ROWS:
            self._write()
        return self._sink.take()

    def end(self) -> bytes:
        if self._waiting:
            self._write()
        self._writer.close()
        return self._sink.take()

    def _write(self) -> None:
        self._writer.write_table(self._pa.Table.from_batches(self._waiting, self._schema))
        self._waiting, self._rows = [], 0
