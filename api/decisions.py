"""What language models decided in a backtest, for its owner."""

from __future__ import annotations

from typing import Any

from api.auth import Identity
from shared.decisions import LlmDecision, LlmDecisions
from shared.instants import iso_from_ms
from shared.store import Store

DECISIONS_PAGE_MAX = 500
_CONTEXT = ("system", "user", "raw")
_AS_STORED = (
    *("bar", "strategy", "model", "mode", "said", "action", "decision", "safety", "reason", "tokensIn", "tokensOut"),
    *("costUsd", "latencyMs", "key"),
)


class Decisions:
    """Read while the backtest runs and afterwards."""

    def __init__(self, store: Store, decisions: LlmDecisions) -> None:
        self._store = store
        self._decisions = decisions

    async def page(self, asker: Identity, backtest_id: str, *, after: int, limit: int, context: bool) -> dict[str, Any]:
        """Those after the bar `after` (-1: all), by bar. `context` adds what was asked and answered, as it was sent.

        Raises `NotFound`.
        """
        await self._store.get(backtest_id, asker.user_id)
        page = await self._decisions.page(backtest_id, after_bar=after, limit=limit, prompts=context)
        last = page.items[-1]["bar"] if page.items else after
        return {"items": [_as_wire(one, context) for one in page.items], "after": last, "more": page.more}


def _as_wire(one: LlmDecision, context: bool) -> dict[str, Any]:
    return {
        **{name: one[name] for name in _AS_STORED},
        "time": iso_from_ms(one["timeMs"]),
        "abstained": bool(one["abstained"]),  # some servers keep a number
        "stored": bool(one["stored"]),
        "decidedAt": iso_from_ms(one["createdAt"]),
        **({name: one.get(name, "") for name in _CONTEXT} if context else {}),
    }
