"""A file of a backtest, written aside and then put in its place: there is never half of one under its name."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import InvalidRequest
from shared.renaming import in_words

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMATS = ("json", "csv", "parquet", "html")
TABLES = ("trades", "equity", "decisions")
STDOUT = "-"


def usual_name(backtest_id: str, form: str, table: str | None) -> Path:
    """Where it is written if nobody says."""
    part = "" if form in ("json", "html") else f"-{table or 'trades'}"
    return Path(f"{backtest_id.replace('/', '_')}{part}.{form}")


def require_room(path: Path, *, force: bool) -> None:
    """Raises `InvalidRequest` before anything is asked for that could not be written."""
    if path.is_dir():
        raise InvalidRequest.of("--output", f"{path} is a directory; name a file in it")
    if path.exists() and not force:
        raise InvalidRequest.of("--output", f"{path} is there already; add --force to write over it, or name another")


async def in_options(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The same. What is refused names the options of the command."""
    with in_words({"table": "--table", "context": "--context", "format": "--format"}):
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece


async def write_file(pieces: AsyncGenerator[bytes, None], path: Path, *, force: bool) -> None:
    """All of it, or nothing. Raises `InvalidRequest` for an unfit path."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    with _told(path):
        try:
            async with aclosing(pieces):
                with aside.open("xb") as file:
                    async for piece in pieces:
                        file.write(piece)
                    file.flush()
                    os.fsync(file.fileno())
            require_room(path, force=force)
            aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise


async def write_stdout(pieces: AsyncGenerator[bytes, None]) -> int:
    """Exit status: 1 where nobody reads on."""
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
    except BrokenPipeError:
        # What is left in the buffer would be tried once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if isinstance(error, TimeoutError):
            raise
        raise InvalidRequest.of("--output", f"{path} cannot be written: {error.strerror}; name another file") from error
