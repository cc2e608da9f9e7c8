"""One CSV text to bars: its rows and cells, and where in it something is wrong."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any, NoReturn

from shared.candles.bar_columns import ParsedText, read_columns
from shared.candles.bar_layout import Layout, is_header, layout_of
from shared.candles.bar_times import Trouble, first_trouble, pd
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
        try:
            for cells in rows:
                blank = not cells or (len(cells) == 1 and not cells[0].strip())
                if rows.line_num > self.lines_before and not blank:
                    yield rows.line_num, cells
        except csv.Error as error:
            self.refuse(rows.line_num, f"{error}; correct or remove the line")

    def refuse_row(self, row: int, message: str) -> NoReturn:
        self.refuse(self._row(row)[0], message)

    def written(self, row: int, column: int) -> str:
        cells = self._row(row)[1]
        return cells[column].strip() if column < len(cells) else ""

    def _row(self, row: int) -> tuple[int | None, list[str]]:
        empty: list[str] = []
        return next((found for number, found in enumerate(self.rows()) if number == row), (None, empty))

    def find_long_row(self) -> Trouble | None:
        """The first row with more cells than there are columns; an empty one after the last separator is none."""
        for row, (_, cells) in enumerate(self.rows()):
            if len(cells) > self.width + 1 or any(cell.strip() for cell in cells[self.width :]):
                text = f"{len(cells)} columns where {self.width} were expected; correct or remove the line"
                return Trouble(row, text)
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
    """The cells, a column per number, and the first row that is too long: rows from there on are not to be trusted."""
    trouble = None
    try:
        frame = _parse(text, None)
    except pd.errors.EmptyDataError:
        text.refuse(None, "it has no bars, only a header")
    except (ValueError, OverflowError) as error:
        trouble = text.find_long_row()
        if trouble is None:
            text.refuse(None, f"it cannot be read as CSV: {error}; save it as CSV again")
        if trouble.row == 0:
            text.refuse_row(0, trouble.message)
        frame = _parse(text, trouble.row)
    if frame.empty:
        text.refuse(None, "it has no bars, only a header")
    trouble = trouble or first_trouble(frame[text.width].notna().to_numpy(), lambda _: "")
    if trouble and not trouble.message:
        trouble = text.find_long_row() or trouble
    return frame, trouble


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
