"""What a socket is told that connects with `since`: the time here, and what of its user's ended while it was away."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any

from api.listeners import Client
from shared.errors import InvalidRequest, StoreUnavailable
from shared.instants import iso_from_ms, read_instant_ms
from shared.observability import RareWarning
from shared.store import ENDED_PAGE, Ended, Store

log = logging.getLogger(__name__)

SIGNED_IN = "auth:ok"
_FIELD = "auth.since"
_LAST_MS = 253_402_300_799_999  # of the year 9999, the last that can be written
_INSTANT_MAX_CHARS = 40


@dataclass(frozen=True, slots=True)
class Since:
    """From when on somebody may have missed an end, in ms since 1970; None: it comes for the first time."""

    at_ms: int | None


def read_since(auth: dict[str, Any]) -> Since | None:
    """`since` of what a socket connects with; None for who does not ask. Raises `InvalidRequest` naming it."""
    if "since" not in auth:
        return None
    since = auth["since"]
    if since is None:
        return Since(None)
    if isinstance(since, str) and len(since) <= _INSTANT_MAX_CHARS:
        since = read_instant_ms(_FIELD, since)
    if not isinstance(since, int) or isinstance(since, bool) or not 0 <= since <= _LAST_MS:
        raise InvalidRequest.of(
            _FIELD, 'must be an instant such as "2024-01-31T12:00:00.123Z" or whole milliseconds since 1970'
        )
    return Since(since)


class Missed:
    """Greets those who have signed in and asked for it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._warn = RareWarning(log)

    async def greet(self, client: Client, since: Since) -> None:
        """Says what time it is, and at most `ENDED_PAGE` ends, oldest first; `more` where there are, or may be, others.

        The client hears what is said already, so no end falls between the two: it may come both ways. `ended` is null
        while MongoDB does not answer.
        """
        greeting: dict[str, Any] = {"now": iso_from_ms(self._store.now_ms()), "ended": [], "more": False}
        try:
            found = [] if since.at_ms is None else await self._store.ended_since([client.user_id], since.at_ms)
        except StoreUnavailable as error:
            self._warn(f"what ended while a socket was away could not be read: {error.message}")
            greeting |= {"ended": None, "more": True}
        else:
            greeting |= {"ended": [_as_wire(one) for one in found], "more": len(found) >= ENDED_PAGE}
        client.tell(SIGNED_IN, json.dumps(greeting, separators=(",", ":")))


def _as_wire(one: Ended) -> dict[str, Any]:
    return {
        "backtestId": one.backtest_id,
        "status": one.status,
        "resultId": one.result_id or None,
        "completedAt": iso_from_ms(one.at_ms),
    }
