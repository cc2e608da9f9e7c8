"""What the strategies of a run look at, as columns: for the views of those that decide, and for who watches the run or
looks at it later. There is no other way to compute them, or to name them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars
from shared.errors import StrategyFailed
from shared.strategies.strategy import INDICATOR_NAME_MAX_CHARS, Columns, StrategyUse
from shared.strategies.view import sealed
from shared.strategies.warmup import bars_before

SHOWN_MAX = 16


class Indicators:
    """Of the strategies of one run, float64[n] over its bars, each computed once and begun with the bars before the
    run that its strategy looks back at, as signals are.

    Those of a strategy that decides at once: raises `StrategyFailed` where they fail, for it would decide by something
    else. The others only if they are to be shown; where nobody is to decide (`deciding`), all of them.
    """

    __slots__ = ("_bars", "_of_deciders", "_uses", "_warmup_bars")

    def __init__(self, uses: Sequence[StrategyUse], bars: Bars, warmup_bars: int, *, deciding: bool = True) -> None:
        """The first `warmup_bars` of `bars` lie before the run."""
        self._uses = uses
        self._bars = bars
        self._warmup_bars = warmup_bars
        self._of_deciders = {
            i: self._compute(i, bars)
            for i, use in enumerate(uses)
            if deciding and use.decides and use.strategy.indicators is not None
        }

    def until(self, index: int, total: int) -> Columns:
        """The first `total` values of a strategy that decides, as views that nobody can make writable again."""
        columns = self._of_deciders.get(index)
        return {name: sealed(column, total) for name, column in columns.items()} if columns else {}

    def shown(self) -> tuple[Columns, tuple[str, ...]]:
        """Those of all strategies together, at most `SHOWN_MAX`, in their order; and a sentence on each that fails.

        Several that give the same values the same name share it. Where they give it to others, each is called
        `strategy: name`.
        """
        each: list[Columns] = []
        problems: list[str] = []
        for i in range(len(self._uses)):
            try:
                each.append(self._of_deciders[i] if i in self._of_deciders else self._compute(i, self._copy()))
            except StrategyFailed as error:
                each.append({})
                problems.append(f"{error.message}; none of it are shown")
        told = list(_told(self._uses, each).items())
        if len(told) > SHOWN_MAX:
            names = ", ".join(name for name, _ in told[SHOWN_MAX:])
            problems.append(f"{SHOWN_MAX} indicators of {len(told)} are shown, and not: {names}")
        return dict(told[:SHOWN_MAX]), tuple(problems)

    def _copy(self) -> Bars:
        """For code that runs only where somebody watches: what it writes into them must not be what is traded."""
        return Bars(self._bars.time_ms.copy(), *(column.copy() for column in self._bars[1:]))

    def _compute(self, index: int, bars: Bars) -> Columns:
        """Of the run's bars. A plug-in may raise anything and return anything: raises `StrategyFailed` then."""
        use = self._uses[index]
        before = min(bars_before(index, use), self._warmup_bars) if self._warmup_bars else 0
        bars = bars.after(self._warmup_bars - before)
        try:
            columns = _read(use.indicators(bars), bars.total)
        except Exception as error:
            problem = f"gave no indicators: {type(error).__name__}: {error}"
            raise StrategyFailed.of(index, use.name, problem) from error
        return {name: column[before:] for name, column in columns.items()}


def _read(given: Any, total: int) -> dict[str, NDArray[np.float64]]:
    if not isinstance(given, Mapping):
        raise TypeError(f"a {type(given).__name__} is no mapping from names to columns")
    columns = cast("Mapping[Any, Any]", given)
    return {_name(name): _column(name, values, total) for name, values in columns.items()}


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= INDICATOR_NAME_MAX_CHARS:
        raise ValueError(f"{repr(name)[:80]} is no name of 1 to {INDICATOR_NAME_MAX_CHARS} printable characters")
    return name


def _column(name: str, values: Any, total: int) -> NDArray[np.float64]:
    """A copy: a plug-in may write into the same array again."""
    column = np.asarray(values)
    if column.shape != (total,) or column.dtype.kind not in "fiu":
        raise ValueError(f"{name!r} must be {total} numbers, and is {column.dtype} of shape {column.shape}")
    return np.array(column, np.float64)


def _told(uses: Sequence[StrategyUse], each: Sequence[Columns]) -> dict[str, NDArray[np.float64]]:
    """All columns under names that are one column's each."""
    first: dict[str, NDArray[np.float64]] = {}
    for columns in each:
        for name, column in columns.items():
            first.setdefault(name, column)
    disputed = Counter(
        name
        for columns in each
        for name, column in columns.items()
        if not np.array_equal(column, first[name], equal_nan=True)
    )
    return {
        f"{use.name}: {name}" if name in disputed else name: column
        for use, columns in zip(uses, each, strict=True)
        for name, column in columns.items()
    }
