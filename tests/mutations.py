"""Good market data files, and the same files damaged one at a time in the ways files get damaged."""

from __future__ import annotations

import csv
import gzip
import io
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from shared.reading import Reading

BARS = 150  # so that one bar that is lost is less than 1 % and no reason to refuse
HOUR_MS = 3_600_000
START_MS = 1_704_067_200_000  # 2024-01-01T00:00Z
MUTANTS = 100

Row = tuple[int, float, float, float, float, float]


@dataclass(frozen=True)
class Kind:
    """A format: how a bar is written, and how a reader that knows the format and believes everything reads it back."""

    name: str
    header: str
    write: Callable[[Row], str]
    read: Callable[[list[str]], Row]
    file: str = "BTCUSDT-1h.csv"
    reading: Reading = field(default_factory=Reading)
    newest_first: bool = False


@dataclass(frozen=True)
class Mutant:
    """A damaged file. `text` is what it unpacks to, None where it does not; `done` says how it was damaged."""

    path: Path
    kind: Kind
    done: str
    text: bytes | None

    def rows(self) -> list[Row]:
        """What its text says, oldest first, each repeated line once.

        Raises `ValueError` or `IndexError` where it says nothing sensible.
        """
        assert self.text is not None
        text = self.text.removeprefix(b"\xef\xbb\xbf").decode(errors="replace")
        delimiter = max(",;\t", key=text.splitlines()[0].count)
        lines = [cells for cells in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if any(cells)]
        rows = [self.kind.read(cells) for cells in lines[1 if self.kind.header else 0 :]]
        rows = [row for row, before in zip(rows, [None, *rows], strict=False) if row != before]
        return rows[::-1] if self.kind.newest_first else rows


def good_rows(seed: int) -> list[Row]:
    """An hour's bars of a random walk."""
    dice = random.Random(seed)
    rows: list[Row] = []
    price = 100.0
    for bar in range(BARS):
        close = price * (1 + dice.uniform(-0.01, 0.01))
        high, low = max(price, close) * (1 + dice.uniform(0, 0.005)), min(price, close) * (1 - dice.uniform(0, 0.005))
        prices = [round(one, 4) for one in (price, high, low, close)]
        rows.append((START_MS + bar * HOUR_MS, *prices, round(dice.uniform(1, 50), 3)))  # pyright: ignore
        price = prices[3]
    return rows


def _cells(row: Row) -> str:
    return ",".join(map(repr, row[1:]))


def _numbers(cells: list[str]) -> tuple[float, ...]:
    return tuple(map(float, cells[1:6]))


def _at(time_ms: int, form: str) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime(form)


def _unix_ms(cell: str) -> int:
    number = float(cell)
    return int(number * 1000 if number < 1e11 else number / (1 if number < 1e14 else 1000))


def _instant_ms(cell: str) -> int:
    return int(datetime.fromisoformat(cell.strip()).timestamp() * 1000)


def _day_first_ms(cell: str) -> int:
    return int(datetime.strptime(cell.strip(), "%d.%m.%Y %H:%M:%S.%f").replace(tzinfo=UTC).timestamp() * 1000)


def _quote_ms(cell: str) -> int:
    return int(datetime.strptime(cell.strip(), "%Y%m%d %H:%M").replace(tzinfo=UTC).timestamp() * 1000)


KINDS = [
    Kind(
        "klines",
        "",
        lambda row: f"{row[0]},{_cells(row)},{row[0] + HOUR_MS - 1},1.5,7,0.5,0.5,0",
        lambda cells: (_unix_ms(cells[0]), *_numbers(cells)),  # pyright: ignore
    ),
    Kind(
        "header",
        "time,open,high,low,close,volume",
        lambda row: f"{_at(row[0], '%Y-%m-%dT%H:%M:%SZ')},{_cells(row)}",
        lambda cells: (_instant_ms(cells[0]), *_numbers(cells)),  # pyright: ignore
    ),
    Kind(
        "descending",
        "unix,open,high,low,close,volume",
        lambda row: f"{row[0] // 1000},{_cells(row)}",
        lambda cells: (_unix_ms(cells[0]), *_numbers(cells)),  # pyright: ignore
        newest_first=True,
    ),
    Kind(
        "dukascopy",
        "Gmt time,Open,High,Low,Close,Volume",
        lambda row: f"{_at(row[0], '%d.%m.%Y %H:%M:%S.000')},{_cells(row)}",
        lambda cells: (_day_first_ms(cells[0]), *_numbers(cells)),  # pyright: ignore
    ),
    Kind(
        "quotes",
        "",
        lambda row: f"{_at(row[0], '%Y%m%d %H:%M')},{_cells(row)},{_cells(row)}",
        lambda cells: (_quote_ms(cells[0]), *_numbers(cells)),  # pyright: ignore
        reading=Reading(side="bid"),
    ),
    Kind(
        "unnamed",
        "",
        lambda row: f"{row[0]},{row[1]},{row[4]},{row[2]},{row[3]},{row[5]}",
        lambda cells: (_unix_ms(cells[0]), *_numbers([cells[at] for at in (0, 1, 3, 4, 2, 5)])),  # pyright: ignore
    ),
]


def good_text(kind: Kind, seed: int) -> bytes:
    rows = good_rows(seed)
    lines = [kind.write(row) for row in (reversed(rows) if kind.newest_first else rows)]
    return "\n".join([*([kind.header] if kind.header else []), *lines, ""]).encode()


Damage = Callable[[list[str], random.Random], list[str]]


def _on_a_line(change: Callable[[str, random.Random], str]) -> Damage:
    def damage(lines: list[str], dice: random.Random) -> list[str]:
        at = dice.randrange(1, len(lines))
        return [*lines[:at], change(lines[at], dice), *lines[at + 1 :]]

    return damage


def _in_a_cell(change: Callable[[str, random.Random], str]) -> Damage:
    def on_line(line: str, dice: random.Random) -> str:
        cells = line.split(",")
        at = dice.randrange(min(6, len(cells)))
        return ",".join([*cells[:at], change(cells[at], dice), *cells[at + 1 :]])

    return _on_a_line(on_line)


def _change_digit(cell: str, dice: random.Random) -> str:
    at = dice.choice([at for at, letter in enumerate(cell) if letter.isdigit()])
    return cell[:at] + dice.choice("0123456789") + cell[at + 1 :]


def _swap(lines: list[str], dice: random.Random) -> list[str]:
    one, other = sorted(dice.sample(range(1, len(lines)), 2))
    return [*lines[:one], lines[other], *lines[one + 1 : other], lines[one], *lines[other + 1 :]]


def _delete_cell(line: str, dice: random.Random) -> str:
    cells = line.split(",")
    del cells[dice.randrange(min(6, len(cells)))]
    return ",".join(cells)


def _repeat(lines: list[str], dice: random.Random) -> list[str]:
    at = dice.randrange(1, len(lines))
    return [*lines[:at], lines[at], *lines[at:]]


def _lose_line(lines: list[str], dice: random.Random) -> list[str]:
    at = dice.randrange(1, len(lines))
    return lines[:at] + lines[at + 1 :]


_ON_LINES: dict[str, Damage] = {
    "two lines swapped": _swap,
    "a cell deleted": _on_a_line(_delete_cell),
    "a line repeated": _repeat,
    "a line lost": _lose_line,
    "a digit changed": _in_a_cell(_change_digit),
    "a cell emptied": _in_a_cell(lambda _cell, _dice: ""),
    "text inserted": _in_a_cell(lambda cell, dice: cell + dice.choice(["x", " EUR", "é", "#", "%", "e", "0x1"])),
    "a quotation mark opened": _in_a_cell(lambda cell, _dice: '"' + cell),
    "a decimal comma": _in_a_cell(lambda cell, _dice: cell.replace(".", ",") if "." in cell else cell + ",5"),
    "a huge number": _in_a_cell(lambda _cell, dice: dice.choice(["1e999", "9" * 40, "1e300", "-" + "9" * 19])),
    "a number below zero": _in_a_cell(lambda cell, _dice: "-" + cell),
    "a word": _in_a_cell(lambda _cell, dice: dice.choice(["NaN", "inf", "null", "None", "True", "#REF!", "-"])),
    "a time in another unit": _on_a_line(lambda line, _dice: line.replace(",", "000,", 1)),
    "a byte order mark in the middle": _on_a_line(lambda line, _dice: "\ufeff" + line),
    "a cell too many": _on_a_line(lambda line, _dice: line + ",1"),
    "another separator on a line": _on_a_line(lambda line, dice: line.replace(",", dice.choice(";|\t"))),
    "another separator everywhere": lambda lines, dice: [
        line.replace(",", sign) for sign in dice.choice(";|\t") for line in lines
    ],
    "a second header": _on_a_line(lambda line, _dice: "time,open,high,low,close,volume\n" + line),
    "a blank line": _on_a_line(lambda line, _dice: "\n" + line),
    "ends of lines of another system": lambda lines, _dice: [line + "\r" for line in lines],
}


def _cut(data: bytes, dice: random.Random) -> bytes:
    return data[: dice.randrange(len(data))]


def _flip(data: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << dice.randrange(8))]) + data[at + 1 :]


def _put_nul(data: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(data))
    return data[:at] + b"\0" * dice.randint(1, 4) + data[at:]


_ON_BYTES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "cut short": _cut,
    "a bit flipped": _flip,
    "a NUL inside": _put_nul,
    "a byte order mark before": lambda data, _dice: b"\xef\xbb\xbf" + data,
    "saved as UTF-16": lambda data, _dice: data.decode().encode("utf-16"),
}


def _zip(name: str, data: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _wrong_sum(data: bytes, _dice: random.Random) -> bytes:
    """The checksum of the only file of an archive, wrong in both places."""
    central = data.rindex(b"PK\x01\x02")
    changed = bytearray(data)
    for at in (14, central + 16):
        changed[at] ^= 0xFF
    return bytes(changed)


_PACKED: dict[str, tuple[str, Callable[[bytes, random.Random], bytes]]] = {
    "a zip cut short": ("zip", _cut),
    "a zip with a wrong checksum": ("zip", _wrong_sum),
    "a zip with a bit flipped": ("zip", _flip),
    "a gzip cut short": ("gz", _cut),
    "a gzip with a bit flipped": ("gz", _flip),
}


def mutated_files(seed: int, directory: Path, count: int = MUTANTS) -> list[Mutant]:
    """`count` files under `directory`, each in a folder of its own, damaged in every way in turn.

    The same seed makes the same bytes.

    Every file is `BTCUSDT-1h.csv`, or that in a zip or gzip, of 150 hourly bars of 2024 before it was damaged. Read it
    with `mutant.kind.reading`. Some are still good files, which say what `mutant.rows()` reads.
    """
    dice = random.Random(seed)
    ways = [*_ON_LINES, *_ON_BYTES, *_PACKED]
    mutants: list[Mutant] = []
    for number in range(count):
        kind = KINDS[dice.randrange(len(KINDS))]
        done = ways[number % len(ways)]
        data = good_text(kind, seed + number)
        text: bytes | None = data
        name = kind.file
        if done in _ON_LINES:
            lines = _ON_LINES[done](data.decode().splitlines(), dice)
            text = data = ("\n".join(lines) + "\n").encode()
        elif done in _ON_BYTES:
            text = data = _ON_BYTES[done](data, dice)
        else:
            packing, damage = _PACKED[done]
            name = f"BTCUSDT-1h.{packing}" if packing == "zip" else f"{kind.file}.gz"
            data = damage(_zip(kind.file, data) if packing == "zip" else gzip.compress(data, mtime=0), dice)
        path = directory / f"{number:03d}" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
        mutants.append(Mutant(path, kind, done, text))
    return mutants
