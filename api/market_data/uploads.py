"""Uploaded market data: forms streamed to disk within bounds, read in another process, imported one at a time."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import IO, Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from api.market_data.importing import store_series
from api.market_data.reading_process import read_in_child
from shared.candles import Candles, ImportReport, OnConflict
from shared.candles.calendars import CALENDAR_PATTERN
from shared.errors import Busy, InvalidRequest, MalformedMessage, Refusal, TooLarge
from shared.instants import Interval
from shared.reading import PRICE_SCALES, SKIP_LINES_MAX, DateOrder, Decimal, Price, Reading, Side, TimeUnit
from shared.request import Symbol
from shared.settings import Settings
from shared.wire import validate

ADMITTED_MAX = 4  # one is imported while the others arrive or wait; each may hold its upload's size on disk
FILES_MAX = 200
FIELDS_MAX = 50
FIELD_MAX_BYTES = 1_000
NAME_MAX_CHARS = 200
UPLOAD_TIMEOUT_S = 900.0
_ABANDONED_AFTER_S = 86_400.0  # what a gateway that was killed left behind

Zone = Annotated[str, Field(pattern=r"^[A-Za-z0-9_+/-]{1,40}$")]


class ImportForm(BaseModel):
    """The fields beside the files, named as the options of `backfleet data import`."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)

    symbol: Symbol | None = Field(default=None, description="Where neither a column nor a file's name says it.")
    interval: Interval | None = Field(default=None, description="Where it is not the most common step.")
    columns: Annotated[str, Field(min_length=1, max_length=FIELD_MAX_BYTES)] | None = Field(
        default=None,
        description="What each column is, in order (`-` skips one), or where each is, by name or number.",
        examples=["time,open,-,close,high,low", "time=Datum,open=2,high=3,low=4,close=5"],
    )
    time_zone: Zone | None = Field(default=None, description="Of times that have none.", examples=["Europe/Berlin"])
    time_unit: TimeUnit | None = Field(default=None, description="Of unix times, where their size does not tell.")
    date_order: DateOrder | None = Field(default=None, description="Of dates such as 03/04/2024.")
    side: Side | None = Field(default=None, description="Of bid and ask quotes.")
    price: Price | None = Field(default=None, description="Adjusted by an adjusted close, or as traded.")
    price_scale: int | None = Field(
        default=None,
        ge=1,
        le=PRICE_SCALES[-1],
        description="What prices are divided by: 10000 or 1.",
    )
    decimal: Decimal | None = Field(default=None, description="What stands before decimals: 1,234 is 1234 or 1.234.")
    skip_lines: int | None = Field(
        default=None, ge=0, le=SKIP_LINES_MAX, description="Lines at the top that are none of the table."
    )
    session_zone: Zone | None = Field(default=None, description="Whose clock days of trade keep to.")
    anchor: Annotated[str, Field(pattern=r"^[0-9]{1,2}:[0-9]{2}$")] | None = Field(
        default=None, description="When they begin there.", examples=["17:00", "09:30"]
    )
    calendar: Annotated[str, Field(pattern=CALENDAR_PATTERN)] | None = Field(
        default=None,
        description="Of the market's holidays and hours, by which gaps are judged: `exchange_calendars` names them.",
        examples=["XNYS"],
    )
    allow_gaps: bool = Field(
        default=False, description="Also where more than 1 % of the bars are missing, holidays apart."
    )
    drop_unfinished: bool = Field(
        default=True, description="Leave out a last bar that has not ended yet, instead of refusing it."
    )
    on_conflict: OnConflict = Field(default="refuse", description="What becomes of stored bars with other values.")

    @property
    def reading(self) -> Reading:
        return Reading(**self.model_dump(exclude={"on_conflict"}))


class Uploads:
    """Turns uploads into market data. At most `ADMITTED_MAX` at once, of which one is read and stored at a time."""

    def __init__(self, candles: Candles, settings: Settings) -> None:
        self._candles = candles
        self._directory = settings.cache_dir / "uploads"
        self._max_bytes = settings.upload_max_bytes
        self._admitted = 0
        self._turn = asyncio.Lock()

    async def import_form(self, headers: dict[str, str], body: AsyncIterator[bytes]) -> list[ImportReport]:
        """Imports the files of a multipart form: one report per series.

        Raises `Busy` before anything is read, `TooLarge` as soon as that is known, `MalformedMessage` for what is no
        such form, `InvalidRequest` for its fields, and what `import_files` raises. The files are gone afterwards.
        """
        boundary = _boundary_of(headers.get("content-type", ""))
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared) > self._max_bytes:
            raise self._too_large()
        if self._admitted >= ADMITTED_MAX:
            raise Busy(f"{ADMITTED_MAX} imports are under way here; try again when one has ended")
        self._admitted += 1
        try:
            async with self._scratch() as directory:
                upload = _Upload(directory, boundary)
                try:
                    await self._receive(upload, body)
                finally:
                    upload.close()
                form = validate(ImportForm, upload.fields)
                if not upload.files:
                    raise InvalidRequest.of("file", "is missing: send at least one part with a file name")
                async with self._turn:
                    series = await read_in_child(upload.files, form.reading)
                    return await store_series(self._candles, series, form.on_conflict)
        finally:
            self._admitted -= 1

    async def _receive(self, upload: _Upload, body: AsyncIterator[bytes]) -> None:
        size = 0
        try:
            async with asyncio.timeout(UPLOAD_TIMEOUT_S):
                async for part in body:
                    size += len(part)
                    if size > self._max_bytes:
                        raise self._too_large()
                    await asyncio.to_thread(upload.write, part)
        except TimeoutError:
            raise Refusal(f"the upload took more than {UPLOAD_TIMEOUT_S:g} s; send less at once") from None
        if not upload.complete:
            raise MalformedMessage.of("$", "the form ends before its last boundary; send it whole")

    def _too_large(self) -> TooLarge:
        return TooLarge(
            f"the upload has more than {self._max_bytes} bytes, the most allowed (BACKFLEET_UPLOAD_MAX_BYTES); "
            "compress it, or send it in parts"
        )

    @asynccontextmanager
    async def _scratch(self) -> AsyncIterator[Path]:
        directory = await asyncio.to_thread(self._make_scratch)
        try:
            yield directory
        finally:
            # Also when this task is cancelled: the removal is short, and nobody else would do it.
            shutil.rmtree(directory, ignore_errors=True)

    def _make_scratch(self) -> Path:
        self._directory.mkdir(parents=True, exist_ok=True)
        for left in self._directory.iterdir():
            with suppress(FileNotFoundError):
                if left.stat().st_mtime < time.time() - _ABANDONED_AFTER_S:
                    shutil.rmtree(left, ignore_errors=True)
        return Path(mkdtemp(dir=self._directory))


class _Upload:
    """A form as it arrives: parts with a file name go to disk under that name, the others are fields."""

    def __init__(self, directory: Path, boundary: bytes) -> None:
        self.files: list[Path] = []
        self.fields: dict[str, str] = {}
        self.complete = False
        self._directory = directory
        self._file: IO[bytes] | None = None
        self._field = ""
        self._value = bytearray()
        self._header = bytearray()
        self._content = bytearray()
        self._disposition = b""
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._content.extend(data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._begin_content,
                "on_part_data": self._add_content,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
        )

    def write(self, data: bytes) -> None:
        """Raises `MalformedMessage` and `InvalidRequest`."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise MalformedMessage.of("$", f"is not a multipart form: {error}") from error

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin_part(self) -> None:
        self._disposition = b""
        self._value.clear()

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._content)
        self._header.clear()
        self._content.clear()

    def _begin_content(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._field = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" not in options:
            if len(self.fields) >= FIELDS_MAX:
                raise InvalidRequest.of("$", f"has more than {FIELDS_MAX} fields; remove some")
            return
        if len(self.files) >= FILES_MAX:
            raise InvalidRequest.of("file", f"more than {FILES_MAX} files at once; send some later, or zip them")
        # A directory for each: two files may have one name, and a name says which symbol a file holds.
        directory = self._directory / str(len(self.files))
        directory.mkdir()
        self.files.append(directory / _plain_name(options[b"filename"].decode("utf-8", "replace")))
        self._file = self.files[-1].open("xb")

    def _add_content(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])
            return
        self._value += data[start:end]
        if len(self._value) > FIELD_MAX_BYTES:
            raise InvalidRequest.of(self._field[:80] or "$", f"has more than {FIELD_MAX_BYTES} bytes")

    def _end_part(self) -> None:
        if self._file is not None:
            self.close()
        elif self._value:  # a form sends the fields that nobody filled in, too
            self.fields[self._field] = self._value.decode("utf-8", "replace")

    def _end(self) -> None:
        self.complete = True


def _plain_name(given: str) -> str:
    """A client's file name without its folders. Raises `InvalidRequest` for one that no file should have."""
    name = re.split(r"[/\\]", given)[-1]
    if not name.strip(". ") or len(name) > NAME_MAX_CHARS or not name.isprintable() or len(name.encode()) > 250:
        raise InvalidRequest.of(
            "file", f"file name {name[:80]!r}: must be 1 to {NAME_MAX_CHARS} printable characters; rename the file"
        )
    return name


def _boundary_of(content_type: str) -> bytes:
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 1 <= len(boundary) <= 70:
        raise MalformedMessage.of(
            "Content-Type", f"must be multipart/form-data with a boundary (got {content_type[:80]!r}); try curl -F"
        )
    return boundary
