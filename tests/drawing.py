"""A client that draws a run from its events alone, as `shared/live.py` says."""

from __future__ import annotations

from typing import Any

from shared.instants import read_instant_ms
from shared.live import LIVE_MODELS
from tests.contract import check


class Drawing:
    """Its curve by time, its closed trades, and whether it has begun: with the first snapshot it hears."""

    def __init__(self) -> None:
        self.begun = False
        self.curve: dict[int, float] = {}
        self.trades: list[dict[str, Any]] = []
        self.bars: list[int] = []  # of the states heard
        self.thinned = False
        self.skipped = 0
        self.status = ""

    def hear(self, event: dict[str, Any]) -> None:
        """`event` is one of `backtest:event` as it stood on the channel."""
        kind, data = event.get("type", ""), event.get("data", {})
        if kind in LIVE_MODELS and "backtestId" in event:  # else of a replay, or of a stream to a parent program
            check({name: event[name] for name in event if name != "channel"}, f"{kind.title()}Event")
        if kind == "state":
            self._state(data)
        elif kind == "trade" and data["what"] == "closed" and self.begun:
            self.trades += _rows(data["trades"]) if "trades" in data else [data["trade"]]
            self.skipped += data.get("skipped", 0)

    def _state(self, data: dict[str, Any]) -> None:
        metrics, bar = data["metrics"], data["currentCandleIndex"]
        if data.get("snapshot"):
            self.begun, self.curve, self.trades = True, {}, _rows(data["trades"])
            self.skipped = data.get("tradesSkipped", 0)
        if not self.begun:
            return
        if self.bars and bar < self.bars[-1]:
            self.curve = {time: one for time, one in self.curve.items() if time < self._time_of(data)}
            self.trades = [one for one in self.trades if one["exitBar"] < bar]
        self.curve.update(dict(metrics["equityCurve"]))
        self.thinned |= metrics.get("thinned", False)
        self.bars.append(bar)
        self.status = data["status"]
        assert metrics["totalTrades"] == len(self.trades) + self.skipped

    def _time_of(self, data: dict[str, Any]) -> int:
        """Where the curve is cut: after the last bar that is processed."""
        return read_instant_ms("currentTime", data["currentTime"]) + 1 if data["currentCandleIndex"] else 0


def as_told(stored: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Trades of the first page as a run tells them: their numbers, which count them, are of what is stored alone."""
    assert [one["index"] for one in stored] == list(range(len(stored)))
    return [{name: value for name, value in one.items() if name != "index"} for one in stored]


def _rows(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
