"""One CSV text to bars: its rows and cells, and where in it something is wrong."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, NoReturn

from shared.candles.files.columns import NUMBER_ROLES, ParsedText, read_columns
from shared.candles.files.head import head_of
from shared.candles.files.layout import Layout, layout_of
from shared.candles.files.lean import lean_layout
from shared.candles.files.times import pd
from shared.candles.files.troubles import Trouble
from shared.errors import ImportRefused
from shared.reading import Reading

AS_TEXT = ("time", "clock")  # where both are there: numbers lose the zeros before them
_HEAD_LINES = 60
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class _Text:
    """The text under import: a `Source` of columns."""

    def __init__(self, data: bytes, file: str, reading: Reading) -> None:
        self.file = file
        data = data.removeprefix(_BYTE_ORDER_MARK)
        if data.startswith(_UTF16_MARKS):
            self.refuse(None, "it is UTF-16; save it as CSV in UTF-8")
        if b"\x00" in data:
            line = data.count(b"\n", 0, data.index(b"\x00")) + 1
            self.refuse(line, "it holds NUL bytes, so it is not UTF-8 text; save it as CSV in UTF-8")
        self.notes: list[str] = []
        try:
            self.text = data.decode("utf-8")
        except UnicodeDecodeError:
            # What stands above ASCII is no part of a number, a time or a name that is looked for, except a currency.
            self.text = data.decode("cp1252", errors="replace")
            self.notes.append("the text is not UTF-8: read as ISO-8859-1 (Windows-1252)")
        self.delimiter = ","
        self.lines_before = 0
        self.width = 0
        self.layout = self._find_layout(reading)

    def refuse(self, line: int | None, message: str) -> NoReturn:
        raise ImportRefused(f"{self.file}{f', line {line}' if line else ''}: {message}")

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line number (counted from 1, as an editor does) and cells of every row of data. Blank lines are none."""
        rows = csv.reader(io.StringIO(self.text, newline=""), delimiter=self.delimiter)
        line = 1
        try:
            for cells in rows:
                blank = not cells or (len(cells) == 1 and not cells[0].strip())
                if line > self.lines_before and not blank:
                    yield line, cells
                line = rows.line_num + 1
        except csv.Error as error:
            self.refuse(line, f"{error}; correct or remove the line")

    def refuse_row(self, row: int, message: str) -> NoReturn:
        self.refuse(self._row(row)[0], message)

    def written(self, row: int, column: int) -> str:
        cells = self._row(row)[1]
        return cells[column].strip() if column < len(cells) else ""

    def _row(self, row: int) -> tuple[int | None, list[str]]:
        empty: list[str] = []
        return next((found for number, found in enumerate(self.rows()) if number == row), (None, empty))

    def as_written(self, roles: Collection[str]) -> tuple[int, ...]:
        """The columns of these roles."""
        places = (*self.layout.columns.items(), *self.layout.mean_with.items())
        has_clock = "clock" in self.layout.columns
        return tuple(at for role, at in places if role in roles and (role in NUMBER_ROLES or has_clock))

    def find_odd_row(self) -> Trouble | None:
        """The first row of too many or too few cells; an empty one after the last separator is none."""
        for row, (_, cells) in enumerate(self.rows()):
            too_many = len(cells) > self.width + 1 or any(cell.strip() for cell in cells[self.width :])
            if too_many or len(cells) < self.width:
                text = f"{len(cells)} columns where {self.width} were expected; correct or remove the line"
                return Trouble(row, text)
            if any("\n" in cell for cell in cells):
                return Trouble(row, "a quotation mark opens and does not close on its line; correct or remove the line")
        return None

    def _find_layout(self, reading: Reading) -> Layout:
        lines = islice(io.StringIO(self.text, newline=None), _HEAD_LINES + (reading.skip_lines or 0))
        try:
            head = head_of([line.rstrip("\n") for line in lines], reading)
        except csv.Error as error:
            self.refuse(1, f"{error}; correct or remove the line")
        except ValueError as error:
            self.refuse(1, str(error))
        if head is None:
            self.refuse(None, "it is empty; it needs a header line and one line per bar")
        if head.skipped:
            self.notes.append(f"{head.skipped} lines above the header are skipped")
        self.delimiter, self.lines_before, self.width = head.delimiter, head.above, len(head.cells)

        def refuse(message: str) -> NoReturn:
            self.refuse(head.at + 1, message)

        if not head.named and reading.columns is None and (lean := lean_layout(self.file, head.cells, refuse)):
            return lean
        sample = next(self.rows(), (0, list[str]()))[1] if head.named else head.cells
        layout = layout_of(head.cells, head.named, [cell.strip() for cell in sample], reading, refuse)
        return replace(layout, symbol=head.symbol) if head.symbol else layout


def parse_bars(data: bytes, file: str, reading: Reading, now_ms: int) -> ParsedText:
    """The bars of one CSV text, checked, oldest first. `file` names the text in errors.

    Raises `ImportRefused` naming file, line, value and remedy.
    """
    text = _Text(data, file, reading)
    frame, trouble = _read_frame(text, reading)
    cells = [frame[at] for at in range(text.width)]
    parsed = read_columns(text, text.layout, cells, reading, now_ms, trouble)
    return replace(parsed, notes=(*parsed.notes[:1], *text.notes, *parsed.notes[1:]))


def _read_frame(text: _Text, reading: Reading) -> tuple[Any, Trouble | None]:
    """The cells, a column per number, and the first row of too many or too few: from there on nothing is sure."""
    frame, odd = _read_rows(text, text.as_written(AS_TEXT))
    numbers = text.as_written(NUMBER_ROLES)
    if reading.decimal == "comma" or any(frame[at].dtype.kind not in "iuf" for at in numbers):
        # What a point means in one column may be told by another.
        frame, odd = _read_rows(text, (*text.as_written(AS_TEXT), *numbers))
    return frame, odd


def _read_rows(text: _Text, as_text: Sequence[int]) -> tuple[Any, Trouble | None]:
    odd = None
    try:
        frame = _parse(text, None, as_text)
        if len(frame) and (frame[text.width].notna().any() or frame[text.width - 1].isna().any()):
            odd = text.find_odd_row()
    except pd.errors.EmptyDataError:
        text.refuse(None, "it has no bars, only a header")
    except (ValueError, OverflowError) as error:
        odd = text.find_odd_row()
        if odd is None:
            text.refuse(None, f"it cannot be read as CSV: {error}; save it as CSV again")
        if odd.row == 0:
            text.refuse_row(0, odd.message)
        frame = _parse(text, odd.row, as_text)
    if frame.empty:
        text.refuse(None, "it has no bars, only a header")
    return frame, odd


def _parse(text: _Text, rows: int | None, as_text: Sequence[int]) -> Any:
    return pd.read_csv(
        io.StringIO(text.text, newline=""),
        header=None,
        names=range(text.width + 1),  # one more than there may be, so that a row that is too long shows
        skiprows=text.lines_before,
        nrows=rows,
        sep=text.delimiter,
        index_col=False,
        low_memory=False,
        dtype=dict.fromkeys(as_text, object),
    )
