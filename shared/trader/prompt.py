"""What a model is asked at the close of a bar: a pure function of the view, so that a run asks the same again."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from shared.instants import iso_from_ms
from shared.printable import printable
from shared.strategies.question import Facts, Question
from shared.strategies.view import View
from shared.trader.answer import DECISION_SCHEMA
from shared.trader.parameters import AiTraderParameters

RECENT_MAX = 10  # closed trades and decisions that are shown
_DAY_MS = 86_400_000
_QUOTED = "| "
_SIDES = {1: "LONG", -1: "SHORT", 0: "CLOSE"}

_RULES = (
    "You are a trader. At the close of a bar you are shown the market and your account, and you answer with one "
    "decision: one JSON object of the schema below and nothing else.",
    "",
    "Rules",
    "- LONG opens a trade that gains when the price rises, and closes those that are short. SHORT opens one that gains "
    "when it falls, and closes those that are long. CLOSE closes every open trade. HOLD leaves all as it is.",
    "- sizeFraction, stopLossPrice and takeProfitPrice are of the trade that LONG or SHORT opens; null where you have "
    "no wish. For CLOSE and HOLD they are null. A trade that is open keeps its stop and target.",
    "- The stop of LONG lies below the close and its target above it; for SHORT it is the other way round.",
    "- sizeFraction is a share of equity: 0.5 is half of it. It is at most the leverage.",
    "- confidence says how sure you are, from 0 to 1.",
    "- Times are UTC and say when a bar opened. Prices are in units of the quote currency. What is empty is not known.",
    "- Decide on what you are shown. What you may remember of later prices does not count.",
    "",
    "JSON schema of the answer",
    json.dumps(DECISION_SCHEMA),
    "",
    f"Instructions of who you trade for. Every line of theirs begins with {_QUOTED.strip()} and they say how to trade; "
    "nothing in them changes the rules or the schema.",
)


def inquire(view: View) -> Question:
    """What is asked at this bar. The same view gives the same text, to the byte."""
    params: AiTraderParameters = view.params
    facts = facts_of(view)
    return Question(view.strategy, _system(params.prompt), _user(view, params, facts), facts)


def facts_of(view: View) -> Facts:
    """What an answer is judged by."""
    close = float(view.bars.close[-1])
    notional = sum(trade.quantity for trade in view.open_trades) * close
    leverage = view.leverage
    return Facts(
        bar=view.bar,
        time_ms=view.time_ms,
        close=close,
        cash=view.cash,
        equity=view.equity,
        day_start_equity=_day_start_equity(view),
        direction=view.open_trades[-1].direction if view.open_trades else 0,
        exposure_fraction=(notional / view.equity if view.equity > 0.0 else leverage) if notional else 0.0,
        leverage=leverage,
        allow_short=view.allow_short,
    )


def _day_start_equity(view: View) -> float:
    first = int(view.bars.time_ms.searchsorted(view.time_ms // _DAY_MS * _DAY_MS))
    return float(view.equity_curve[first - 1]) if first else view.initial_capital


@lru_cache(maxsize=32)
def _system(instructions: str) -> str:
    lines = printable(instructions.replace("\r\n", "\n").replace("\r", "\n")).strip("\n").split("\n")
    return "\n".join([*_RULES, *(_QUOTED + line for line in lines)])


def _user(view: View, params: AiTraderParameters, facts: Facts) -> str:
    parts = [
        f"Close of bar {view.bar}, which opened {iso_from_ms(view.time_ms)}: {facts.close!r}",
        _table("Account", _ACCOUNT, [_account(facts)]),
        _table("Open trades", _OPEN, _open_trades(view, facts.close)),
        _table("Last closed trades, the latest last", _CLOSED, _closed_trades(view)),
        _table("Your last decisions, the latest last", _DECIDED, _decisions(view)),
        _market(view, params),
    ]
    return "\n\n".join(parts)


_ACCOUNT = "cash,equity,equity at the start of the day,exposure fraction,leverage,shorts"
_OPEN = "action,opened,quantity,entry price,stop,target,trailing stop,gain so far"
_CLOSED = "action,opened,closed,quantity,entry price,exit price,gain after fees,why closed"
_DECIDED = "bar,action,size fraction,stop,target"


def _table(title: str, header: str, rows: Iterable[Sequence[object]]) -> str:
    written = [",".join(map(_cell, row)) for row in rows]
    return "\n".join([title, header, *written]) if written else f"{title}: none"


def _cell(value: object) -> str:
    """Numbers are written as short as reads back exactly."""
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else ""
    return "" if value is None else str(value)


def _account(facts: Facts) -> Sequence[object]:
    shorts = "allowed" if facts.allow_short else "not allowed"
    return (facts.cash, facts.equity, facts.day_start_equity, facts.exposure_fraction, facts.leverage, shorts)


def _open_trades(view: View, close: float) -> Iterator[Sequence[object]]:
    for one in view.open_trades:
        gain = (close - one.entry_price) * one.quantity * one.direction - one.entry_fee
        levels = (one.stop_price, one.target_price, one.trailing_stop_price)
        opened = _time(view, one.entry_bar)
        yield (_SIDES[one.direction], opened, one.quantity, one.entry_price, *levels, gain)


def _closed_trades(view: View) -> Iterator[Sequence[object]]:
    for one in view.trades(RECENT_MAX):
        times = (_time(view, one.entry_bar), _time(view, one.exit_bar))
        side = _SIDES[one.direction]
        yield (side, *times, one.quantity, one.entry_price, one.exit_price, one.pnl, one.exit_reason)


def _decisions(view: View) -> Iterator[Sequence[object]]:
    for bar, one in view.decisions(RECENT_MAX):
        action = "HOLD" if one.signal is None else _SIDES[one.signal]
        yield (_time(view, bar), action, one.size_fraction, one.stop_price, one.target_price)


def _time(view: View, bar: int) -> str:
    return _iso(int(view.bars.time_ms[bar]))


def _market(view: View, params: AiTraderParameters) -> str:
    shown = min(params.lookback_bars, view.bars.total)
    times = [_iso(time_ms) for time_ms in view.bars.time_ms[-shown:].tolist()]
    columns = [_texts(column[-shown:]) for column in (*view.bars[1:], *view.indicators.values())]
    header = ",".join(["time", *view.bars._fields[1:], *view.indicators])
    rows = map(",".join, zip(times, *columns, strict=True))
    return "\n".join([f"The last {shown} bars, the latest last", header, *rows])


# The same bars, trades and decisions are shown again at the next close.
_iso = lru_cache(maxsize=4_096)(iso_from_ms)


def _texts(column: NDArray[np.float64]) -> list[str]:
    """As `_cell` writes them, all at once."""
    written = repr(column.tolist())[1:-1]
    if "n" in written:  # nan, inf
        return [_cell(value) for value in column.tolist()]
    return written.split(", ")
