"""What the tools work on: one user at a gateway, from outside over HTTP or inside of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol
from urllib.parse import quote

from shared.client.answers import RunEvent

ROOT = "/api/algo"
BACKTESTS = f"{ROOT}/backtest"
ENDED = ("completed", "failed", "stopped")

Hear = Callable[[], Awaitable[RunEvent | None]]


class Fleet(Protocol):
    """One user at a gateway. From outside it is `shared.client.fleet.Backfleet`."""

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """One request to the HTTP API: its JSON. A body of bytes goes as it is. Raises what its refusals stand for."""
        ...

    def hearing(self, backtest_id: str | None) -> AbstractAsyncContextManager[Hear]:
        """What the owner of a backtest, of None: of any, is told while the block lasts; None each time something may
        have been missed."""
        ...


def path_of(backtest_id: str, part: str = "") -> str:
    return f"{BACKTESTS}/{quote(backtest_id, safe='')}{part}"


def series_path(symbol: str, interval: str) -> str:
    return f"{ROOT}/data/{quote(symbol, safe='')}/{quote(interval, safe='')}/candles"
