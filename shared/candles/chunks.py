"""Chunks: how bars are cut into periods, named by their content, and packed for storage.

Canonical bytes of a chunk of n bars: `time` int64[n] (ms), then `open`, `high`, `low`, `close`, `volume` float64[n],
little endian, column after column, nothing else: 48 n bytes. Their SHA-256 is the chunk's id, and they are also the
chunk's file in the disk cache. In MongoDB each column is packed alone: numbers that are decimals (nearly every price
is) as int64 of 10^decimals, differences, bytes of equal weight together, zstd; all others as zstd of the raw column.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from shared.bars import Bars
from shared.candles.series import take_bars
from shared.errors import BackfleetError

BYTES_PER_BAR = 48
_COLUMNS = Bars._fields
_DTYPES = (np.dtype("<i8"), *[np.dtype("<f8")] * 5)
_ZSTD_LEVEL = 16  # measured on 1m bars: 8.8 bytes a bar against 14.1 at level 3, still 0.7M bars a second
_MOST_DECIMALS = 10
_EXACT_BELOW = 2.0**53  # above it a float64 no longer holds every integer

_PERIOD_UNIT = {"1m": "M", "3m": "M", "5m": "M", "1d": "", "3d": "", "1w": "", "1M": ""}


class DamagedChunk(BackfleetError):
    """A stored chunk is not what its id says."""

    code = "damaged_chunk"


def cut_into_periods(bars: Bars, interval: str) -> list[Bars]:
    """One part per UTC month (1m to 5m), per UTC year (10m to 12h), or the whole (from 1d). Views, not copies.

    A year of 12h is 730 bars, 10 kB: small, but one rule for all below a day, and appends rewrite little.
    """
    unit = _PERIOD_UNIT.get(interval, "Y")
    edges = [0, bars.total]
    if unit:
        period = periods_of(bars.time_ms, interval)
        edges[1:1] = [int(at) for at in np.flatnonzero(np.diff(period)) + 1]
    return [take_bars(bars, slice(start, end)) for start, end in pairwise(edges)]


def periods_of(time_ms: NDArray[np.int64], interval: str) -> NDArray[np.int64]:
    """The number of the period each time lies in: months or years since 1970, or 0 for a series kept whole."""
    unit = _PERIOD_UNIT.get(interval, "Y")
    if not unit:
        return np.zeros(len(time_ms), np.int64)
    return time_ms.astype("datetime64[ms]").astype(f"datetime64[{unit}]").astype(np.int64)


def canonical_bytes(bars: Bars) -> bytes:
    return b"".join(column.astype(dtype, copy=False).tobytes() for column, dtype in zip(bars, _DTYPES, strict=True))


def chunk_id(canonical: bytes) -> str:
    return hashlib.sha256(canonical).hexdigest()


def view_bars(canonical: Any, bars: int, skip: int, count: int) -> Bars:
    """`count` bars from bar `skip` on as views into a buffer of canonical bytes that holds `bars` bars."""

    def values(column: int) -> NDArray[np.float64]:
        return np.frombuffer(canonical, np.float64, count, offset=8 * (column * bars + skip))

    return Bars(np.frombuffer(canonical, np.int64, count, offset=8 * skip), *map(values, range(1, 6)))


def pack_chunk(bars: Bars) -> dict[str, Any]:
    """The chunk as a document of `bar_chunks`."""
    columns = {name: _pack_column(column) for name, column in zip(_COLUMNS, bars, strict=True)}
    return {
        "_id": chunk_id(canonical_bytes(bars)),
        "startMs": int(bars.time_ms[0]),
        "lastMs": int(bars.time_ms[-1]),
        "bars": bars.total,
        "packedBytes": sum(len(column["data"]) for column in columns.values()),
        "columns": columns,
    }


def unpack_chunk(document: dict[str, Any]) -> bytes:
    """The canonical bytes of a document of `bar_chunks`. Raises `DamagedChunk` where they do not match its id."""
    bars = int(document["bars"])
    try:
        canonical = b"".join(
            _unpack_column(document["columns"][name], bars, dtype)
            for name, dtype in zip(_COLUMNS, _DTYPES, strict=True)
        )
    except (KeyError, TypeError, ValueError, zstandard.ZstdError) as error:
        raise DamagedChunk(f"bar_chunks/{document['_id']} cannot be unpacked: {error!r}") from error
    if chunk_id(canonical) != document["_id"]:
        raise DamagedChunk(f"bar_chunks/{document['_id']} does not match its checksum; restore it from a backup")
    return canonical


def pack_integers(values: NDArray[np.int64]) -> bytes:
    """int64 → differences → bytes of equal weight together → zstd."""
    differences = np.diff(values, prepend=np.int64(0)).astype("<i8")
    together = np.ascontiguousarray(differences.view(np.uint8).reshape(-1, 8).T).tobytes()
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(together)


def unpack_integers(packed: bytes, count: int) -> NDArray[np.int64]:
    together = np.frombuffer(_inflate(packed, 8 * count), np.uint8).reshape(8, count)
    return np.cumsum(np.ascontiguousarray(together.T).view("<i8")[:, 0], dtype=np.int64)


def _pack_column(column: NDArray[np.int64] | NDArray[np.float64]) -> dict[str, Any]:
    if column.dtype.kind == "i":
        return {"form": "decimal", "decimals": 0, "data": pack_integers(column.astype(np.int64, copy=False))}
    values = np.ascontiguousarray(column, np.float64)
    for decimals in range(_MOST_DECIMALS + 1):
        wide = np.rint(values * 10.0**decimals)
        if np.abs(wide).max() >= _EXACT_BELOW:
            break
        scaled = wide.astype(np.int64)
        # Bits are compared, not values: a negative zero must stay one.
        if np.array_equal((scaled / 10.0**decimals).view(np.int64), values.view(np.int64)):
            return {"form": "decimal", "decimals": decimals, "data": pack_integers(scaled)}
    raw = values.astype("<f8", copy=False).tobytes()
    return {"form": "raw", "decimals": 0, "data": zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(raw)}


def _unpack_column(column: dict[str, Any], bars: int, dtype: np.dtype[Any]) -> bytes:
    if column["form"] == "raw":
        return _inflate(column["data"], 8 * bars)
    if column["form"] != "decimal":
        raise ValueError(f"unknown form {column['form']!r}")
    scaled = unpack_integers(column["data"], bars)
    values = scaled if dtype.kind == "i" else scaled / 10.0 ** int(column["decimals"])
    return values.astype(dtype, copy=False).tobytes()


def _inflate(packed: bytes, length: int) -> bytes:
    data = zstandard.ZstdDecompressor().decompress(packed, max_output_size=max(1, length))
    if len(data) != length:
        raise ValueError(f"{len(data)} bytes where {length} were expected")
    return data
