"""Dates and times of day as people and programs write them, to YYYY-MM-DD and HH:MM:SS.

Only what can be read in one way is rewritten; the rest is left as it is, and refused by who reads it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas  # pyright: ignore[reportMissingTypeStubs]
from numpy.typing import NDArray

from shared.candles.files.layout import shown
from shared.candles.files.troubles import Trouble

pd: Any = pandas  # Its annotations say too little of what it returns to be checked by.
DATE = r"\d{4}-\d{2}-\d{2}"
YEAR_LAST = r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})(?!\d)(.*)"
_TO_ZERO = str.maketrans("123456789", "000000000")
_COMPACT = r"(\d{4})(\d{2})(\d{2})(?=[T ]|$)"
_YEAR_FIRST = r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?!\d)"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"((?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*)\.?"
_DAY_MONTH = rf"(?i:(\d{{1,2}})[- ]{_MONTH}[- ,]+(\d{{4}})(?!\d)(.*))"
_MONTH_DAY = rf"(?i:{_MONTH}[- ](\d{{1,2}})[- ,]+(\d{{4}})(?!\d)(.*))"
_YEAR_MONTH = rf"(?i:(\d{{4}})[- ]{_MONTH}[- ](\d{{1,2}})(?!\d)(.*))"
_HALF_DAY = rf"(?i:({DATE}[T ])(\d{{1,2}})((?::\d{{2}}){{0,2}}(?:\.\d+)?) ?([AP])\.?M\.?)"
_BARE_CLOCK = rf"({DATE}[T ]\d{{2}})(\d{{2}})(\d{{2}})?"


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """Texts with every digit made 0: a million times have one or two shapes, and patterns are asked of those alone."""

    of_row: NDArray[np.int64]
    shapes: NDArray[np.object_]

    @classmethod
    def of(cls, column: Any) -> Shapes:
        of_row, shapes = pd.factorize(np.array([text.translate(_TO_ZERO) for text in column], dtype=object))
        return cls(of_row, shapes)

    def fit(self, pattern: str) -> NDArray[np.bool_]:
        """Of each text, whether the whole of it fits. The pattern must treat all digits alike."""
        known = re.compile(pattern)
        return np.array([known.fullmatch(shape) is not None for shape in self.shapes], np.bool_)[self.of_row]


def joined(dates: Any, clocks: Any) -> Any:
    """Dates and times of day of two columns as the texts of one; where one of them is missing, missing."""
    gone = np.asarray(dates.isna() | clocks.isna())
    days, times = _texts(dates, gone), _texts(clocks, gone)
    bare = Shapes.of(times).fit(r"\d{1,6}")
    if bare.any():
        width = 4 if max(len(one) for one, is_bare in zip(times, bare, strict=True) if is_bare) <= 4 else 6
        times = [_with_colons(one, width) if is_bare else one for one, is_bare in zip(times, bare, strict=True)]
    texts = [f"{day} {time}" for day, time in zip(days, times, strict=True)]
    return pd.Series(texts, dtype=object).where(~gone)


def _texts(column: Any, gone: NDArray[np.bool_]) -> list[str]:
    if column.dtype.kind == "M":
        column = column.dt.strftime("%Y-%m-%d")
    return ["" if missing else str(one).strip() for one, missing in zip(column, gone, strict=True)]


def _with_colons(digits: str, width: int) -> str:
    """0930, 093000, and both where a spreadsheet took the zeros before them."""
    full = digits.zfill(width)
    return ":".join(full[at : at + 2] for at in range(0, width, 2))


def plain_clocks(column: Any) -> Any:
    """Texts that begin with YYYY-MM-DD, with the times of day after it as HH:MM:SS behind one blank."""
    if Shapes.of(column).fit(rf"{DATE}(?:[T ]\d{{2}}:\d{{2}}[^AaPp]*)?").all():
        return column
    if Shapes.of(column).fit(rf"{DATE}(?:,|\s\s|,\s).*").any():
        column = column.str.replace(rf"^({DATE}),?\s+", r"\1 ", regex=True)
    if Shapes.of(column).fit(_HALF_DAY).any():
        column = _rewritten(column, _HALF_DAY, _of_half_day)
    if Shapes.of(column).fit(_BARE_CLOCK).any():
        column = _rewritten(column, _BARE_CLOCK, lambda found: ":".join(filter(None, found.groups())))
    if Shapes.of(column).fit(rf"{DATE}[T ]\d:.*").any():
        column = column.str.replace(rf"^({DATE})[T ](\d:)", r"\1 0\2", regex=True)
    return column


def _rewritten(column: Any, pattern: str, of: Callable[[re.Match[str]], str]) -> Any:
    known = re.compile(pattern)
    return pd.Series([of(found) if (found := known.fullmatch(text)) else text for text in column], dtype=object)


def _of_half_day(found: re.Match[str]) -> str:
    hour = int(found[2])
    if not 1 <= hour <= 12:
        return found[0]
    hour = hour % 12 + (12 if found[4].upper() == "P" else 0)
    return f"{found[1]}{hour:02d}{found[3] or ':00'}"


_CHOOSE = "choose with ⟦?date_order dmy⟧ or ⟦?date_order mdy⟧"


def year_first(column: Any, name: str, order: str | None) -> tuple[Any, str, Trouble | None]:
    """The texts with their dates as YYYY-MM-DD, where they are dates; what was decided; the first unclear one."""
    column = _of_named_months(column)
    first = str(column.iloc[0])
    if re.match(_COMPACT, first):
        return column.str.replace(f"^{_COMPACT}", r"\1-\2-\3", regex=True), "", None
    # The first line may be the one that is wrong; whether years come last is then told by the others.
    if not re.match(YEAR_LAST, first) and not Shapes.of(column).fit(YEAR_LAST).mean() > 0.5:
        return _pad_year_first(column), "", None
    parts = column.str.extract(f"^{YEAR_LAST}$")
    there = np.asarray(parts[0].notna())
    left = pd.to_numeric(parts[0], errors="coerce").to_numpy()
    right = pd.to_numeric(parts[2], errors="coerce").to_numpy()
    not_month_first, not_day_first = there & (left > 12), there & (right > 12)
    note = ""
    if order == "ymd":
        return column, "", Trouble(int(np.argmax(there)), f"{name} {shown(first)} is not year first; {_CHOOSE}")
    if order is None:
        if bool((parts[1][there] == ".").all()):
            order = "dmy"
        elif not not_month_first.any() and not not_day_first.any():
            row = int(np.argmax(there))
            text = (
                f"{name} {shown(column.iloc[row])} may be day or month first; {_CHOOSE}, or write dates as YYYY-MM-DD"
            )
            return column, "", Trouble(row, text)
        else:
            order = "dmy" if not_month_first.sum() > not_day_first.sum() else "mdy"
        note = f"dates are {'day' if order == 'dmy' else 'month'} first"
    day, month = (parts[0], parts[2]) if order == "dmy" else (parts[2], parts[0])
    plain = parts[3] + "-" + month.str.zfill(2) + "-" + day.str.zfill(2) + parts[4]
    return plain.where(parts[0].notna(), column).astype(object), note, None


def _of_named_months(column: Any) -> Any:
    """31-Jan-2024, Jan 31, 2024 and 2024-Jan-31 as 2024-01-31."""
    if not Shapes.of(column).fit(rf"(?i:.*{_MONTH}.*)").any():
        return column
    for pattern, year, month, day in ((_DAY_MONTH, 3, 2, 1), (_MONTH_DAY, 3, 1, 2), (_YEAR_MONTH, 1, 2, 3)):
        if not Shapes.of(column).fit(pattern).any():
            continue

        def plain(found: re.Match[str], year: int = year, month: int = month, day: int = day) -> str:
            number = _MONTHS.index(found[month][:3].lower()) + 1
            return f"{found[year]}-{number:02d}-{int(found[day]):02d}{found[4]}"

        column = _rewritten(column, pattern, plain)
    return column


def _pad_year_first(column: Any) -> Any:
    if Shapes.of(column).fit(f"{DATE}(?!\\d).*").all():
        return column
    parts = column.str.extract(f"^{_YEAR_FIRST}(.*)$")
    plain = parts[0] + "-" + parts[2].str.zfill(2) + "-" + parts[3].str.zfill(2) + parts[4]
    return plain.where(parts[0].notna(), column).astype(object)
