"""One CSV text to bars: its rows and cells, and where in it something is wrong."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any, NoReturn

from shared.candles.files.columns import ParsedText, read_columns
from shared.candles.files.layout import Layout, is_header, layout_of
from shared.candles.files.times import Trouble, pd
from shared.errors import ImportRefused
from shared.reading import Reading

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
        try:
            self.text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            self.refuse(line, f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as CSV in UTF-8")
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
        lines = enumerate(line.rstrip("\n") for line in io.StringIO(self.text, newline=None))
        # Some exchanges put their address into the first line.
        found = next(
            ((at, line) for at, line in lines if line.strip() and not line.startswith(("http://", "https://"))), None
        )
        if found is None:
            self.refuse(None, "it is empty; it needs a header line and one line per bar")
        at, first = found
        self.delimiter = max(",;\t", key=first.count)
        try:
            cells = [cell.strip() for cell in next(csv.reader([first], delimiter=self.delimiter))]
        except csv.Error as error:
            self.refuse(at + 1, f"{error}; correct or remove the line")
        while len(cells) > 1 and not cells[-1]:
            cells.pop()  # what a separator at the end of the line makes
        named = is_header(cells)
        self.lines_before = at + 1 if named else at
        self.width = len(cells)

        def refuse(message: str) -> NoReturn:
            self.refuse(at + 1, message)

        return layout_of(cells, named, reading, refuse)


def parse_bars(data: bytes, file: str, reading: Reading, now_ms: int) -> ParsedText:
    """The bars of one CSV text, checked, oldest first. `file` names the text in errors.

    Raises `ImportRefused` naming file, line, value and remedy.
    """
    text = _Text(data, file, reading)
    frame, trouble = _read_frame(text)
    return read_columns(text, text.layout, [frame[at] for at in range(text.width)], reading, now_ms, trouble)


def _read_frame(text: _Text) -> tuple[Any, Trouble | None]:
    """The cells, a column per number, and the first row of too many or too few: from there on nothing is sure."""
    odd = None
    try:
        frame = _parse(text, None)
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
        frame = _parse(text, odd.row)
    if frame.empty:
        text.refuse(None, "it has no bars, only a header")
    return frame, odd


def _parse(text: _Text, rows: int | None) -> Any:
    return pd.read_csv(
        io.StringIO(text.text, newline=""),
        header=None,
        names=range(text.width + 1),  # one more than there may be, so that a row that is too long shows
        skiprows=text.lines_before,
        nrows=rows,
        sep=text.delimiter,
        index_col=False,
        low_memory=False,
    )
