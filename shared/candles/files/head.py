"""The first lines of a text: what stands above its table, the lines that name its columns, its first row."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

from shared.candles.files.spellings import is_header, names_bars
from shared.reading import Reading

_LINES_SEARCHED = 30
_PRICES = 4
_SYMBOLS_OFFERED = 50


@dataclass(frozen=True, slots=True)
class Head:
    """`cells` are names or, where it has none, the first row; `at` is their line, counted from 0.

    `above` lines at the top are none of the table and its names, `skipped` of them without being asked to. `symbol` is
    what a line of names says.
    """

    delimiter: str
    cells: list[str]
    named: bool
    at: int
    above: int
    skipped: int = 0
    symbol: str = ""


def delimiter_of(line: str) -> str:
    """A line that has enough semicolons or tabs is parted by them: its commas may be those of decimals."""
    return next((one for one in "\t;" if line.count(one) >= _PRICES), max(",;\t", key=line.count))


def cells_of(line: str, delimiter: str) -> list[str]:
    """Raises `csv.Error`. What a separator at the end of the line makes is no cell."""
    cells = [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]
    while len(cells) > 1 and not cells[-1]:
        cells.pop()
    return cells


def head_of(lines: Sequence[str], reading: Reading) -> Head | None:
    """`lines` are the first ones; None where all are blank. Of several symbols that of the reading is taken.

    Raises `csv.Error`, and `ValueError` for names of several symbols.
    """
    there = [at for at, line in enumerate(lines) if line.strip() and at >= (reading.skip_lines or 0)]
    # Some exchanges put their address into the first line.
    there = [at for at in there if not lines[at].startswith(("http://", "https://"))]
    if not there:
        return None
    first = there[0]
    delimiter = delimiter_of(lines[first])
    cells = cells_of(lines[first], delimiter)
    decided = reading.columns is not None or reading.skip_lines is not None
    named = is_header(cells)
    begins_with_a_row = re.match(r"\d", cells[0]) and len(cells) > _PRICES
    if decided or names_bars(cells) or begins_with_a_row:
        return Head(delimiter, cells, named, first, first + named)
    if len(there) > 2 and (found := _names_in_three_lines([lines[at] for at in there[:3]], delimiter, reading.symbol)):
        names, said = found
        return Head(delimiter, names, True, first, there[2] + 1, symbol=said)
    for at in there[1:_LINES_SEARCHED]:
        other = delimiter_of(lines[at])
        if names_bars(lower := cells_of(lines[at], other)):
            return Head(other, lower, True, at, at + 1, skipped=at)
    return Head(delimiter, cells, named, first, first + named)


def _names_in_three_lines(lines: Sequence[str], delimiter: str, symbol: str | None) -> tuple[list[str], str] | None:
    """Names and symbol of a table that pandas wrote with a row of prices and one of symbols (yfinance)."""
    upper, lower, index = ([cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))] for line in lines)
    if not index[0] or any(index[1:]) or len(upper) != len(lower):
        return None
    for names, symbols in ((upper, lower), (lower, upper)):
        there = list(dict.fromkeys(symbols[1:]))
        if not all(there) or not names_bars(["", *dict.fromkeys(names[1:])]):
            continue
        if len(there) > 1 and symbol not in there:
            asked = f"⟦?symbol {'|'.join(there[:_SYMBOLS_OFFERED])}⟧"
            raise ValueError(f"it holds {len(there)} symbols, {', '.join(there[:5])}; choose one with {asked}")
        chosen = symbol if symbol in there else there[0]
        of_symbol = (name if one == chosen else "" for name, one in zip(names[1:], symbols[1:], strict=True))
        return [index[0], *of_symbol], chosen
    return None
