"""Indicators that users name with their periods, `ema 20` or `macd 12 26 9`, computed by TA-Lib."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars

PERIOD_MAX_BARS = 10_000
_DEVIATIONS_MAX = 10
_TEXT_MAX_CHARS = 60

Numbers = tuple[float, ...]


def _as_written(numbers: Numbers) -> Numbers:
    return numbers


def _both_sides(numbers: Numbers) -> Numbers:
    period, deviations = numbers
    return period, deviations, deviations


def _simple_averages(numbers: Numbers) -> Numbers:
    fast, slow, signal = numbers
    return fast, slow, 0, signal, 0


@dataclass(frozen=True, slots=True)
class _Kind:
    """`example` shows what is to be written, `least` bounds each number below; all but deviations count bars.

    `columns` are what follows the name of each column that `function` of TA-Lib gives, for `arguments(numbers)`.
    """

    example: str
    least: Numbers
    function: str
    inputs: tuple[str, ...] = ("close",)
    columns: tuple[str, ...] = ("",)
    arguments: Callable[[Numbers], Numbers] = _as_written
    deviations: int | None = None  # which number counts them

    def demand(self, number: int) -> tuple[float, float, bool]:
        """Least, most, and whether it is whole."""
        whole = number != self.deviations
        return self.least[number], PERIOD_MAX_BARS if whole else _DEVIATIONS_MAX, whole


_RANGE = ("high", "low", "close")
_KINDS: dict[str, _Kind] = {
    "sma": _Kind("sma 20", (2,), "SMA"),
    "ema": _Kind("ema 20", (2,), "EMA"),
    "wma": _Kind("wma 20", (2,), "WMA"),
    "rsi": _Kind("rsi 14", (2,), "RSI"),
    "macd": _Kind("macd 12 26 9", (2, 3, 1), "MACD", columns=("", " signal", " histogram")),
    "atr": _Kind("atr 14", (1,), "ATR", _RANGE),
    "bbands": _Kind(
        "bbands 20 2", (2, 0.1), "BBANDS", ("close",), (" upper", " middle", " lower"), _both_sides, deviations=1
    ),
    "adx": _Kind("adx 14", (2,), "ADX", _RANGE),
    "cci": _Kind("cci 20", (2,), "CCI", _RANGE),
    "mfi": _Kind("mfi 14", (2,), "MFI", (*_RANGE, "volume")),
    "roc": _Kind("roc 10", (1,), "ROC"),
    "stoch": _Kind("stoch 14 3 3", (1, 1, 1), "STOCH", _RANGE, (" k", " d"), _simple_averages),
    "obv": _Kind("obv", (), "OBV", ("close", "volume")),
}

KNOWN_INDICATORS = tuple(kind.example for kind in _KINDS.values())


class Indicator(NamedTuple):
    kind: str
    numbers: Numbers

    @property
    def text(self) -> str:
        """As it is written: lower case, single spaces, no needless digits."""
        return " ".join([self.kind, *(f"{number:g}" for number in self.numbers)])

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.text + column for column in _KINDS[self.kind].columns)


def read_indicator(text: str) -> Indicator:
    """Raises `ValueError` that names the text, what is wrong with it and what there is."""
    name, *rest = text[: _TEXT_MAX_CHARS + 1].lower().split() or [""]
    shown = ascii(text[:_TEXT_MAX_CHARS])
    kind = _KINDS.get(name)
    if kind is None or len(text) > _TEXT_MAX_CHARS:
        near = get_close_matches(name[:_TEXT_MAX_CHARS], _KINDS, n=1)
        hint = f" (did you mean {near[0]}?)" if near and kind is None else ""
        known = ", ".join(KNOWN_INDICATORS)
        raise ValueError(f"there is no indicator {shown}{hint}; there are, with their numbers: {known}")
    if len(rest) != len(kind.least):
        problem = f"{shown} has {len(rest)} numbers after {name}, not {len(kind.least)}"
        raise ValueError(f"{problem}: write it as {kind.example!r}")
    numbers = tuple(_read_number(shown, kind, i, one) for i, one in enumerate(rest))
    if name == "macd" and numbers[0] >= numbers[1]:
        raise ValueError(f"{shown} has a fast period that is not below its slow one: write it as {kind.example!r}")
    return Indicator(name, numbers)


def _read_number(shown: str, kind: _Kind, i: int, text: str) -> float:
    least, most, whole = kind.demand(i)
    plain = text.isascii() and text.replace(".", "", 0 if whole else 1).isdigit() and len(text) <= 8
    number = float(text) if plain else float("nan")
    if not least <= number <= most:
        demand = f"a {'whole ' if whole else ''}number from {least:g} to {most:g}"
        raise ValueError(f"{shown} must have {demand} where it has {text[:20]!a}: write it as {kind.example!r}")
    return int(number) if whole else number


def compute_indicators(bars: Bars, texts: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """float64[n] by name, NaN where it is not defined yet. Causal: no bar's value depends on later ones."""
    found: dict[str, NDArray[np.float64]] = {}
    for one in map(read_indicator, texts):
        found |= zip(one.columns, _compute(bars, one), strict=True)
    return found


def _compute(bars: Bars, one: Indicator) -> Sequence[NDArray[np.float64]]:
    import talib

    kind = _KINDS[one.kind]
    if bars.total < 2:  # of which TA-Lib does not say that it is too little
        return [np.full(bars.total, np.nan) for _ in kind.columns]
    columns = (getattr(bars, name) for name in kind.inputs)
    found = getattr(talib, kind.function)(*columns, *kind.arguments(one.numbers))
    return found if len(kind.columns) > 1 else (found,)
