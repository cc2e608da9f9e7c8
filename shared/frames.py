"""Frames: tables of equally long columns, how they are packed and where they are stored.

A packed frame is `BFR2`, the length of its directory (4 bytes, little endian), the directory (JSON), then blocks of
`BLOCK_ROWS` rows, each compressed with zstd by itself: its columns one after the other, little endian. The directory
says how many rows and which columns there are and how long each block is, so that a few rows cost a block or two.
Frames of 0.1 and 0.2 are one zstd stream of a header and whole columns; they are still read, each as a whole.

Small frames stand inside the result's document, which saves three round trips; large ones stand in GridFS, with their
directory in the document. What takes long is done in a thread, and few at once: Python's lock is shared with the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import numpy as np
import zstandard
from bson import Binary
from gridfs.asynchronous import AsyncGridFSBucket
from gridfs.errors import NoFile
from numpy.typing import NDArray
from pymongo import ASCENDING

from shared.errors import NotFound
from shared.mongo import Mongo, translate_mongo_errors

Columns = dict[str, NDArray[Any]]
T = TypeVar("T")

INLINE_MAX_BYTES = 256 * 1024
BLOCK_ROWS = 2_048
CHUNK_BYTES = 255 * 1024  # of GridFS; its own default
FRAME_MAX_BYTES = 4 * 1024**3
# Measured: to go to a thread and back costs 0.04 ms. Packing 256 KiB takes 0.4 ms, unpacking as much 0.3, and writing
# 100 rows of a dozen columns as JSON a whole one.
IN_THREAD_BYTES = 256 * 1024
IN_THREAD_ROWS = 100
_THREADS = 1  # Two at once take turns with the loop for Python's lock, and the loop loses most of them.
_MAGIC = b"BFR2"
_LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True)
class Directory:
    """What a packed frame holds, and where. `size` is the directory's own, in bytes; blocks follow it."""

    rows: int
    columns: tuple[tuple[str, str], ...]
    block_rows: int
    block_bytes: tuple[int, ...]
    size: int

    @classmethod
    def read(cls, packed: bytes) -> Self | None:
        """The directory of a frame that begins with these bytes, or None for one of the older form."""
        if not packed.startswith(_MAGIC):
            return None
        begin = len(_MAGIC) + _LENGTH_BYTES
        size = begin + int.from_bytes(packed[len(_MAGIC) : begin], "little")
        read = json.loads(packed[begin:size])
        columns = tuple((str(name), str(dtype)) for name, dtype in read["columns"])
        return cls(int(read["rows"]), columns, int(read["blockRows"]), tuple(read["blockBytes"]), size)

    def span(self, rows: range) -> tuple[int, int]:
        """The bytes of the blocks that hold these rows: from (inclusive), to (exclusive)."""
        first, end = rows.start // self.block_rows, -(-rows.stop // self.block_rows)
        begin = self.size + sum(self.block_bytes[:first])
        return begin, begin + sum(self.block_bytes[first:end])

    def unpack(self, blocks: bytes, rows: range) -> Columns:
        """These rows, each column of shape (len(rows),), out of the bytes of `span`."""
        dtypes = [(name, np.dtype(dtype)) for name, dtype in self.columns]
        row_bytes = sum(dtype.itemsize for _, dtype in dtypes)
        parts: dict[str, list[NDArray[Any]]] = {name: [] for name, _ in dtypes}
        inflate = zstandard.ZstdDecompressor()
        at = 0
        for block in range(rows.start // self.block_rows, -(-rows.stop // self.block_rows)):
            begin = block * self.block_rows
            held = min(self.block_rows, self.rows - begin)
            packed = blocks[at : at + self.block_bytes[block]]
            raw = inflate.decompress(packed, max_output_size=max(1, held * row_bytes))
            at += self.block_bytes[block]
            low, high = max(rows.start - begin, 0), min(rows.stop - begin, held)
            offset = 0
            for name, dtype in dtypes:
                parts[name].append(np.frombuffer(raw, dtype, high - low, offset + low * dtype.itemsize))
                offset += held * dtype.itemsize
        return {
            name: parts[name][0] if len(parts[name]) == 1 else np.concatenate([np.empty(0, dtype), *parts[name]])
            for name, dtype in dtypes
        }


def encode_frame(columns: Mapping[str, NDArray[Any]]) -> bytes:
    """Columns of shape (rows,) to bytes. Raises `ValueError` when their lengths differ."""
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise ValueError(f"columns of one frame must be equally long, these have {sorted(lengths)} rows")
    rows = lengths.pop() if lengths else 0
    little = {name: np.ascontiguousarray(column, column.dtype.newbyteorder("<")) for name, column in columns.items()}
    deflate = zstandard.ZstdCompressor(level=1)
    blocks = [
        deflate.compress(b"".join([column[begin : begin + BLOCK_ROWS].tobytes() for column in little.values()]))
        for begin in range(0, rows, BLOCK_ROWS)
    ]
    directory = json.dumps(
        {
            "rows": rows,
            "columns": [[name, column.dtype.str] for name, column in little.items()],
            "blockRows": BLOCK_ROWS,
            "blockBytes": [len(block) for block in blocks],
        },
        separators=(",", ":"),
    ).encode()
    return b"".join([_MAGIC, len(directory).to_bytes(_LENGTH_BYTES, "little"), directory, *blocks])


def decode_frame(packed: bytes) -> Columns:
    """The columns of a packed frame of either form, each of shape (rows,)."""
    directory = Directory.read(packed)
    if directory is None:
        return _decode_whole(packed)
    return directory.unpack(packed[directory.size :], range(directory.rows))


def _decode_whole(packed: bytes) -> Columns:
    """The form of 0.1 and 0.2: the length of a header, the header, whole columns; all in one zstd stream."""
    raw = zstandard.ZstdDecompressor().decompress(packed, max_output_size=FRAME_MAX_BYTES)
    header_end = _LENGTH_BYTES + int.from_bytes(raw[:_LENGTH_BYTES], "little")
    header = json.loads(raw[_LENGTH_BYTES:header_end])
    columns: Columns = {}
    offset = header_end
    for name, dtype_name in header["columns"]:
        dtype = np.dtype(dtype_name)
        columns[name] = np.frombuffer(raw, dtype, count=header["rows"], offset=offset)
        offset += dtype.itemsize * header["rows"]
    return columns


def _form_of_whole(packed: bytes, wanted: range, form: Callable[[Columns, int], T]) -> T:
    columns = _decode_whole(packed)
    total = min((len(column) for column in columns.values()), default=0)
    rows = _within(wanted, total)
    return form({name: column[rows.start : rows.stop] for name, column in columns.items()}, total)


def _within(wanted: range, total: int) -> range:
    start = min(wanted.start, total)
    return range(start, max(start, min(wanted.stop, total)))


class Frames:
    """The GridFS bucket `frames`, and the threads that pack and unpack.

    Every method raises `StoreUnavailable` when MongoDB does not answer.
    """

    def __init__(self, mongo: Mongo) -> None:
        self._bucket = AsyncGridFSBucket(mongo.durable, bucket_name="frames", chunk_size_bytes=CHUNK_BYTES)
        self._files = mongo.collection("frames.files")
        self._chunks = mongo.collection("frames.chunks")
        self._room = asyncio.Semaphore(_THREADS)

    async def pack(self, columns: Columns) -> bytes:
        """`encode_frame`, in a thread where the columns are large."""
        large = sum(column.nbytes for column in columns.values()) >= IN_THREAD_BYTES
        return await self._work(large, encode_frame, columns)

    async def put(self, name: str, packed: bytes) -> dict[str, Any]:
        """Stores a packed frame in GridFS under a name that nothing has yet, and says where: its place."""
        with translate_mongo_errors():
            await self._bucket.upload_from_stream_with_id(name, name, packed)
        directory = Directory.read(packed)
        assert directory is not None, "what is packed now has a directory"
        return {"gridfs": name, "directory": Binary(packed[: directory.size]), "chunkBytes": CHUNK_BYTES}

    async def read(self, place: Mapping[str, Any], wanted: range, form: Callable[[Columns, int], T]) -> T:
        """What `form` makes of the rows of `wanted` that there are, and of the number of rows in all.

        `form` is called where the frame is unpacked, in a thread where that or the rows are large. Raises `NotFound`
        for a file that is gone.
        """
        data = bytes(place["data"]) if "data" in place else None
        directory = Directory.read(bytes(place.get("directory", b"")) if data is None else data)
        if directory is None:
            whole = await self._read_file(place["gridfs"]) if data is None else data
            return await self._work(len(whole) >= IN_THREAD_BYTES, _form_of_whole, whole, wanted, form)
        rows = _within(wanted, directory.rows)
        begin, end = directory.span(rows)
        if data is None:
            blocks = await self._read_bytes(place["gridfs"], int(place["chunkBytes"]), begin, end)
        else:
            blocks = data[begin:end]
        large = len(blocks) >= IN_THREAD_BYTES or len(rows) >= IN_THREAD_ROWS
        return await self._work(large, lambda: form(directory.unpack(blocks, rows), directory.rows))

    async def _work(self, large: bool, work: Callable[..., T], *arguments: Any) -> T:
        if not large:
            return work(*arguments)
        async with self._room:
            return await asyncio.to_thread(work, *arguments)

    async def _read_file(self, name: str) -> bytes:
        with translate_mongo_errors():
            try:
                return await (await self._bucket.open_download_stream(name)).read()
            except NoFile:
                raise _gone(name) from None

    async def _read_bytes(self, name: str, chunk_bytes: int, begin: int, end: int) -> bytes:
        """A part of a file, without reading the rest: GridFS cuts it into numbered chunks of equal length."""
        if begin >= end:
            return b""
        first, last = begin // chunk_bytes, (end - 1) // chunk_bytes
        wanted = {"files_id": name, "n": {"$gte": first, "$lte": last}}
        with translate_mongo_errors():
            found = await self._chunks.find(wanted, {"n": 1, "data": 1}).sort("n", ASCENDING).to_list()
        data = b"".join([bytes(chunk["data"]) for chunk in found])
        part = data[begin - first * chunk_bytes : end - first * chunk_bytes]
        if [chunk["n"] for chunk in found] != list(range(first, last + 1)) or len(part) != end - begin:
            raise _gone(name)
        return part

    async def delete(self, name: str) -> None:
        """Removes a file, or what an upload or a removal that was cut short left of it."""
        with translate_mongo_errors(), contextlib.suppress(NoFile):
            if await self._files.find_one({"_id": name}, {"_id": 1}):
                await self._bucket.delete(name)
            else:
                await self._chunks.delete_many({"files_id": name})


def _gone(name: str) -> NotFound:
    return NotFound(f"frame {name} is gone")
