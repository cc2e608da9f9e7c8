"""Columns of numbers, also where they are written for people: $1,234.50, 1.234,50 €, 1'234.50, 12.3K.

What a comma or a point means is told by all numbers of a file together, and asked where none of them tells.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas  # pyright: ignore[reportMissingTypeStubs]
from numpy.typing import NDArray

from shared.candles.files.layout import shown
from shared.candles.files.troubles import Trouble, first_of, first_trouble

pd: Any = pandas  # Its annotations say too little of what it returns to be checked by.
_CURRENCY = r"[$€£¥₹₩¤]|USDT|USDC|USD|EUR|GBP|JPY|CHF|INR|AUD|CAD|Rs\.?"
_WRAPPED = re.compile(rf"([+-]?)(?:({_CURRENCY}) ?)?([+-]?[\d.,'’ ]*\d[\d.,]*)([KMB]?)(?: ?({_CURRENCY}))?")
_BLANKS = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " "})
_GROUPS = re.compile(r"(?<=\d)[ '’](?=\d{3}(?:\D|$))")
_LONG = re.compile(r"\d{4}")
_TIMES = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9}
# What alone tells how decimals are written, what is a number where they are so, and what may be either.
_POINT = re.compile(
    r"\d{1,3}(?:,\d{2,3})*,\d{3}\.\d*|\d{1,3}(?:,\d{2,3})+,\d{3}|0?\.\d+|\d+\.(?:\d{0,2}|\d{4,})|\d{4,}\.\d+"
)
_COMMA = re.compile(r"\d{1,3}(?:\.\d{3})+,\d*|\d{1,3}(?:\.\d{3}){2,}|0?,\d+|\d+,(?:\d{0,2}|\d{4,})|\d{4,},\d+")
_WITH_POINT = re.compile(r"(?:\d+|\d{1,3}(?:,\d{2,3})*,\d{3})(?:\.\d*)?|\.\d+")
_WITH_COMMA = re.compile(r"(?:\d+|\d{1,3}(?:\.\d{3})+)(?:,\d*)?|,\d+")
_EITHER = re.compile(r"[1-9]\d{0,2},\d{3}")

Written = Callable[[int, str], str]


@dataclass(frozen=True, slots=True)
class Numbers:
    """The values of each column before the trouble, and what was decided of how they are written."""

    values: dict[str, NDArray[np.float64]]
    notes: tuple[str, ...] = ()
    trouble: Trouble | None = None


def read_numbers(columns: Mapping[str, Any], decimal: str | None, written: Written) -> Numbers:
    """`columns` are pandas Series by what errors call them; `written` gives a cell as it stands in the file.

    `decimal` is what a person says: "point" or "comma".
    """
    values: dict[str, NDArray[np.float64]] = {}
    texts: dict[str, _Texts] = {}
    for name, cells in columns.items():
        if cells.dtype.kind in "iuf":
            values[name] = np.array(cells, np.float64)
        else:
            texts[name] = _Texts.of(cells)
    notes: list[str] = []
    unclear: Trouble | None = None
    decided = decimal or "point"
    if decimal is None and texts:
        decided, unclear = _tell_decimal(texts)
    for name, one in texts.items():
        values[name] = one.values(decided == "comma")
    if decided == "comma":
        notes.append("numbers have a decimal comma")
    elif any(one.grouped for one in texts.values()):
        notes.append("thousands are set apart in numbers")
    signs = sorted({sign for one in texts.values() for sign in one.signs} - {""})
    if signs:
        notes.append(f"signs of currency are left out: {', '.join(signs)}")
    wrong = [_not_numbers(name, values[name], written) for name in columns]
    return Numbers(values, tuple(notes), first_of(*wrong, _other_currency(texts), unclear))


def _not_numbers(name: str, values: NDArray[np.float64], written: Written) -> Trouble | None:
    def explain(row: int) -> str:
        text = written(row, name)
        wrong = f"{shown(text)} is not a number" if text else "is missing"
        return f"{name} {wrong}; correct or remove the line"

    return first_trouble(np.isnan(values), explain)


def _tell_decimal(texts: Mapping[str, _Texts]) -> tuple[str, Trouble | None]:
    """Whether decimals have a point or a comma: what most numbers that tell anything tell."""
    points = sum(one.count(_POINT) for one in texts.values())
    commas = sum(one.count(_COMMA) for one in texts.values())
    if points or commas:
        return ("comma" if commas > points else "point"), None
    unclear: list[Trouble | None] = []
    for name, one in texts.items():

        def explain(row: int, name: str = name, one: _Texts = one) -> str:
            text = one.cores[row]
            return (
                f"{name} {shown(text)} may be {text.replace(',', '')} or {text.replace(',', '.')}; choose with "
                "⟦?decimal point⟧ or ⟦?decimal comma⟧"
            )

        unclear.append(first_trouble(one.fits(_EITHER), explain))
    return "point", first_of(*unclear)


def _other_currency(texts: Mapping[str, _Texts]) -> Trouble | None:
    """The first number whose sign of currency is not that of its column, or whose column has not that of the others."""
    usual = {name: Counter(one.signs).most_common(1)[0][0] for name, one in texts.items()}
    first = next(filter(None, usual.values()), "")
    found: list[Trouble | None] = []
    for name, one in texts.items():

        def explain(row: int, name: str = name, one: _Texts = one) -> str:
            return f"{name} {shown(one.raw.iloc[row])} is in another currency than others; correct or remove the line"

        expected = first if usual[name] else ""
        found.append(first_trouble(np.array([sign != expected for sign in one.signs]), explain))
    return first_of(*found)


@dataclass(frozen=True, slots=True, eq=False)
class _Texts:
    """One column of texts: each as it is, and without sign of currency, blanks and what multiplies it."""

    raw: Any
    cores: list[str]
    signs: list[str]
    factors: NDArray[np.float64]
    minus: NDArray[np.bool_]
    grouped: bool

    @classmethod
    def of(cls, cells: Any) -> _Texts:
        missing: NDArray[np.bool_] = np.asarray(cells.isna())
        pairs = zip(cells, missing, strict=True)
        texts = ["" if gone else str(cell).translate(_BLANKS).strip() for cell, gone in pairs]
        once = {text: _WRAPPED.fullmatch(text) for text in set(texts)}  # prices repeat
        found = [once[text] for text in texts]
        numbers = [one[3].lstrip("+-") if one else "" for one in found]
        cores = [_GROUPS.sub("", number) for number in numbers]
        parted = [core != number for core, number in zip(cores, numbers, strict=True)]
        if any(parted) and any(_LONG.match(number) for number in numbers):
            # Blanks part thousands throughout or not at all: else one is a slip.
            cores = ["" if blank else core for core, blank in zip(cores, parted, strict=True)]
        return cls(
            pd.Series(texts, dtype=object),
            cores,
            signs=[(one[2] or one[5] or "") if one else "" for one in found],
            factors=np.array([_TIMES[one[4]] if one else 1.0 for one in found]),
            minus=np.array(["-" in one[1] + one[3] if one else False for one in found], np.bool_),
            grouped=any(parted) or any("," in core for core in cores),
        )

    def fits(self, pattern: re.Pattern[str]) -> NDArray[np.bool_]:
        return np.array([pattern.fullmatch(core) is not None for core in self.cores], np.bool_)

    def count(self, pattern: re.Pattern[str]) -> int:
        return sum(often for core, often in Counter(self.cores).items() if pattern.fullmatch(core))

    def values(self, comma: bool) -> NDArray[np.float64]:
        """Numbers; not one, where a text is none."""
        whole = _WITH_COMMA if comma else _WITH_POINT
        group, point = (".", ",") if comma else (",", ".")
        plain_of = {
            core: core.replace(group, "").replace(point, ".") if whole.fullmatch(core) else None
            for core in set(self.cores)
        }
        kept = [plain_of[core] for core in self.cores]
        found = np.array(pd.to_numeric(pd.Series(kept, dtype=object), errors="coerce"), np.float64)
        found = np.where(self.minus, -found, found) * self.factors
        # Infinities, exponents and the like, as they are written for programs.
        plain = [text if core == "" else None for text, core in zip(self.raw, self.cores, strict=True)]
        other = np.array(pd.to_numeric(pd.Series(plain, dtype=object), errors="coerce"), np.float64)
        return np.where(np.isnan(found), other, found)
