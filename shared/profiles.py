"""Profiles: fills by the rules of another program, so that its results can be compared and repeated.

The same strategy on the same bars gives the same trades (bar, price, quantity) and the same final equity as the program
gives. Each is proven against the real package in `tests/peers`. `docs/profiles.md` has the rules in words, how the
strategy is written there, and what cannot be matched.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import Any, Literal

Profile = Literal["backfleet", "backtesting.py", "vectorbt", "backtrader"]

# When an order fills where nothing is said, for programs that do not wait for the next open.
USUAL_FILL_AT = {"vectorbt": "close"}

# What no other program has, or each has in a way of its own: one value is possible, for the reason given.
_FOR_ALL: dict[str, tuple[Any, str]] = {
    "max_open_trades": (1, "holds one trade"),
    "commission.minimum": (0.0, "has no least fee"),
    "lot_size": (0.0, "sizes trades by a rule of its own"),
    "tick_size": (0.0, "has no tick"),
    "maintenance_margin": (0.0, "does not liquidate"),
    "intrabar": ("stop_first", "takes the stop first"),
}
_ONLY: dict[str, dict[str, tuple[Any, str]]] = {
    "backfleet": {},
    "backtesting.py": {
        **_FOR_ALL,
        "slippage_bps": (0.0, "has a spread and no slippage; use spreadBps"),
        "trailing_stop": (None, "trails by average true ranges of its own"),
    },
    "vectorbt": {
        **_FOR_ALL,
        "spread_bps": (0.0, "has slippage and no spread; use slippageBps"),
        "leverage": (1.0, "trades with its cash"),
    },
    "backtrader": {
        **_FOR_ALL,
        "spread_bps": (0.0, "has slippage and no spread; use slippageBps"),
        "leverage": (1.0, "sizes this strategy by its equity"),
        "commission.fixed": (0.0, "has a commission by share of the value"),
        "trailing_stop": (None, "trails behind the close"),
        "fill_at": ("open", "activates a bracket one bar later after a fill at the close"),
    },
}
_SIZINGS: dict[str, tuple[str, ...]] = {
    "backtesting.py": ("fixed_quantity",),
    "vectorbt": ("fixed_quantity", "fixed_notional"),
    "backtrader": ("fixed_quantity",),
}
_LEVELS: dict[str, tuple[str, ...]] = {
    "backtesting.py": ("percent", "distance"),
    "vectorbt": ("percent",),
    "backtrader": ("percent", "distance"),
}


def unfit(params: Any) -> Iterator[tuple[str, str]]:
    """Every field of a `BacktestParams` its profile has no rule for, with words that say why and what would fit."""
    profile: Profile = params.profile
    if profile == "backfleet":
        return
    for path, (only, why) in _ONLY[profile].items():
        value: Any = attrgetter(path)(params)
        if value != only:
            yield path, f"must be {_written(only)} with profile {profile}, which {why}{_got(value)}"
    sizing = params.sizing
    if sizing is not None and sizing.mode not in _SIZINGS[profile]:
        modes = " or ".join(_SIZINGS[profile])
        yield "sizing.mode", f"must be {modes} with profile {profile}, or leave sizing out (got {sizing.mode})"
    for name in ("stop_loss", "take_profit", "trailing_stop"):
        level: Any = getattr(params, name)
        kinds = _LEVELS[profile]
        if level is not None and not any(getattr(level, kind) for kind in kinds):
            yield name, f"must be given by {' or '.join(kinds)} with profile {profile}"
    yield from _unfit_together(params)


def _unfit_together(params: Any) -> Iterator[tuple[str, str]]:
    """What fits alone and not beside another field."""
    sizing, target = params.sizing, params.take_profit
    if params.profile == "backtesting.py":
        if sizing is not None and sizing.value % 1:
            yield "sizing.value", f"must be whole units with profile backtesting.py (got {sizing.value:g})"
        if target is not None and target.percent is not None and target.percent <= params.spread_bps / 100.0:
            least = params.spread_bps / 100.0
            yield "take_profit.percent", f"must be above the spread, {least:g} %, with profile backtesting.py"
    if params.profile == "vectorbt":
        if params.allow_short and sizing is None and params.position_size_percent != 1.0:
            yield (
                "position_size_percent",
                "must be 1 with allowShort and profile vectorbt, which cannot reverse a share",
            )
        if params.allow_short and params.commission.fixed:
            yield "commission.fixed", "must be 0 with allowShort and profile vectorbt, which reverses in one order"
        if params.stop_loss is not None and params.trailing_stop is not None:
            yield "trailing_stop", "cannot stand beside stopLoss with profile vectorbt, which has one of the two"


def _written(value: float | str | None) -> str:
    return "left out" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _got(value: Any) -> str:
    return f" (got {_written(value)})" if isinstance(value, float | int | str) else ""
