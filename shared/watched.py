"""Which backtests somebody watches: a run streams what it does only while there is such a one.

A gateway marks what its clients subscribe to, `backtest:watched:{id}`, and goes on to do so; a mark that nobody renews
is gone after `WATCHED_TTL_S`. Who begins to watch also says so on `backtest:control`, and a run that hears it says
where it stands.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.bus import Bus
from shared.contracts import Channel
from shared.controls import Control

WATCHED_TTL_S = 60
WATCHED_RENEW_S = 20.0


class Watched:
    """Every method raises `BusUnavailable` when Redis does not answer in time."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def mark(self, backtest_ids: Sequence[str], by: str) -> None:
        """Somebody at the gateway `by` watches these. Callers bound how many."""
        await self._bus.pipelined([("SET", watched_key(one), by, "EX", WATCHED_TTL_S) for one in backtest_ids])

    async def begin(self, backtest_id: str, user_id: str, by: str) -> int:
        """Marks it, and asks the run for where it stands: how many processes heard that."""
        control = Control(backtest_id=backtest_id, user_id=user_id, action="watch")
        said = control.model_dump_json(by_alias=True, include={"backtest_id", "user_id", "action"})
        _, heard = await self._bus.pipelined(
            [
                ("SET", watched_key(backtest_id), by, "EX", WATCHED_TTL_S),
                ("PUBLISH", Channel.CONTROL.value, said),
            ]
        )
        return int(heard)


def watched_key(backtest_id: str) -> str:
    return f"backtest:watched:{backtest_id}"
