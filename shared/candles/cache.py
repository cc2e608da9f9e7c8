"""The disk cache of chunks: one file of canonical bytes per chunk, shared by all processes of a machine.

A slice of several chunks has a file of its own, in which each column stands in one piece: engine processes map it, so
that ten of them share one copy, where joining the columns would give each a copy of its own.

A file appears whole (written aside, flushed, renamed) and is never changed afterwards, so a reader that has mapped it
keeps its bars even when another process evicts the file. A file is named by the SHA-256 of its bytes, a joined one by
the names of its chunks: each process compares the two before it first uses a file, whoever wrote it and however that
process, or the machine, ended.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.bars import Bars
from shared.candles.chunks import BYTES_PER_BAR, view_bars
from shared.candles.grid import Grid
from shared.candles.manifest import ChunkRef
from shared.candles.resample import resample_parts
from shared.errors import Unavailable

_ABANDONED_AFTER_S = 600.0  # a writer that has not renamed its file by then is gone
_ASIDE = ".part"
_TRUSTED_MOST = 100_000


class BarFilesGone(Unavailable):
    """A file was evicted between `fetch` and `open_bars`: fetch the slice again."""

    code = "bar_files_gone"


@dataclass(frozen=True, slots=True)
class BarFiles:
    """Where the bars of a slice lie on this machine. Plain data, to be sent to the engine process.

    `total_bars` of them are read, and made into the bars of `buckets` where there are any.
    """

    paths: tuple[str, ...]
    bars: tuple[int, ...]
    skip_bars: int
    total_bars: int
    buckets: Grid | None = None


def join_of(chunks: Sequence[ChunkRef]) -> ChunkRef:
    """What the file of these chunks together is called and holds."""
    names = hashlib.sha256(" ".join(chunk.id for chunk in chunks).encode()).hexdigest()
    return ChunkRef(f"joined-{names}", chunks[0].start_ms, chunks[-1].end_ms, sum(chunk.bars for chunk in chunks))


class ChunkCache:
    """Chunk files in one directory, at most `max_bytes` of them, the longest unused leaving first."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = str(directory)
        self._max_bytes = max_bytes
        self._trusted: dict[str, int] = {}  # which file (its inode) of a name is known to hold what the name says

    def path(self, chunk: ChunkRef) -> str:
        return f"{self._directory}/{chunk.id}"

    def missing(self, chunks: Iterable[ChunkRef]) -> list[ChunkRef]:
        """The chunks without a file that is known to be right. Marks the others as used now."""
        return [chunk for chunk in chunks if not self._touch(chunk)]

    def _touch(self, chunk: ChunkRef) -> bool:
        path = self.path(chunk)
        try:
            found = os.stat(path)
            right = found.st_size == chunk.bars * BYTES_PER_BAR and found.st_ino == self._trusted.get(chunk.id)
            if right:
                os.utime(path)
        except FileNotFoundError:
            return False
        return right

    def check(self, chunks: Iterable[ChunkRef]) -> list[ChunkRef]:
        """Reads the files of these chunks: those it has to do without. About 1 GB/s."""
        return [chunk for chunk in chunks if not self._check(chunk)]

    def _check(self, chunk: ChunkRef) -> bool:
        try:
            with open(self.path(chunk), "rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                right = hashlib.file_digest(file, "sha256").hexdigest() == chunk.id
        except FileNotFoundError:
            return False
        if right:
            self._trust(chunk.id, inode)
        return right

    def check_join(self, joined: ChunkRef, chunks: Sequence[ChunkRef]) -> bool:
        """Whether there is a file of these chunks together, and each is in it as its name says."""
        path = self.path(joined)
        try:
            inode = os.stat(path).st_ino
            whole = view_bars(_map(path, joined.bars), joined.bars, 0, joined.bars)
        except (FileNotFoundError, BarFilesGone):
            return False
        first = 0
        for chunk in chunks:
            digest = hashlib.sha256()
            for column in whole:
                digest.update(column[first : first + chunk.bars].data)
            if digest.hexdigest() != chunk.id:
                return False
            first += chunk.bars
        self._trust(joined.id, inode)
        return True

    def join(self, joined: ChunkRef, chunks: Sequence[ChunkRef]) -> None:
        """Puts the chunks' files into one, column after column. Raises `BarFilesGone` where one of them is."""
        parts = [view_bars(_map(self.path(one), one.bars), one.bars, 0, one.bars) for one in chunks]
        self._write(joined.id, (column.data for columns in zip(*parts, strict=True) for column in columns))

    def _trust(self, name: str, inode: int) -> None:
        if len(self._trusted) >= _TRUSTED_MOST:
            self._trusted.clear()  # they are checked once more, no worse
        self._trusted[name] = inode

    def write(self, name: str, canonical: bytes) -> None:
        """Puts one chunk in place, durably before it can be seen. Two writers of one chunk do no harm."""
        self._write(name, [canonical])

    def _write(self, name: str, pieces: Iterable[bytes | memoryview]) -> None:
        os.makedirs(self._directory, exist_ok=True)
        descriptor, aside = tempfile.mkstemp(suffix=_ASIDE, dir=self._directory)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(pieces)
                file.flush()
                os.fsync(file.fileno())
                inode = os.fstat(file.fileno()).st_ino
            os.replace(aside, f"{self._directory}/{name}")
            self._trust(name, inode)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(aside)
            raise

    def evict(self, keep: Sequence[ChunkRef]) -> None:
        """Removes the longest unused files until `max_bytes` hold, but none of `keep`: they are about to be read."""
        kept = {chunk.id for chunk in keep}
        found: list[tuple[int, int, str]] = []
        total = 0
        with os.scandir(self._directory) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    stat = entry.stat()
                    if entry.name.endswith(_ASIDE) and stat.st_mtime < time.time() - _ABANDONED_AFTER_S:
                        os.unlink(entry.path)
                        continue
                    total += stat.st_size
                    if entry.name not in kept and not entry.name.endswith(_ASIDE):
                        found.append((stat.st_mtime_ns, stat.st_size, entry.path))
        for _, size, path in sorted(found):
            if total <= self._max_bytes:
                break
            with suppress(FileNotFoundError):
                os.unlink(path)
            total -= size


def open_bars(files: BarFiles) -> Bars:
    """The bars of a fetched slice: views into one mapped file, no copy. Of several files: copied into one array each.

    Bars to be resampled are read where they are mapped, chunk after chunk, and only what they come to is copied. The
    columns are writable as any array is, so that compiled code sees one type for both cases; what is written goes
    to private pages and never to the file. Raises `BarFilesGone` where a file has been evicted meanwhile.
    """
    if files.buckets:
        return resample_parts(_parts_of(files), files.buckets)
    parts = _parts_of(files)
    if len(files.paths) == 1:
        return next(parts)
    # One block for all columns: the kernel gives it in huge pages, and takes a third less time than for six.
    time_ms, open_, high, low, close, volume = np.empty((6, files.total_bars))
    bars = Bars(time_ms.view(np.int64), open_, high, low, close, volume)
    done = 0
    for part in parts:
        for whole, piece in zip(bars, part, strict=True):
            whole[done : done + part.total] = piece
        done += part.total
    return bars


def _parts_of(files: BarFiles) -> Iterator[Bars]:
    """Views into one mapped file after the other."""
    left, skip = files.total_bars, files.skip_bars
    for path, held in zip(files.paths, files.bars, strict=True):
        count = min(held - skip, left)
        yield view_bars(_map(path, held), held, skip, count)
        left, skip = left - count, 0


def _map(path: str, bars: int) -> mmap.mmap:
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size != bars * BYTES_PER_BAR:
                raise BarFilesGone(f"{path} is not the size it was fetched with; fetch the slice again")
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except FileNotFoundError:
        raise BarFilesGone(f"{path} was evicted from the cache; fetch the slice again") from None
