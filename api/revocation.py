"""Whoever would not be let in now does not stay in, by whichever edge they came."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

from api.auth import Identity
from api.gate import Gate
from shared.errors import BackfleetError

log = logging.getLogger(__name__)

# Whoever could not sign in any more is closed within this time, and the time a read takes.
LOOK_AGAIN_S = 5.0


class Edge(Protocol):
    """Where sockets are signed in, each under a name that no other ever has."""

    def signed_in(self) -> Mapping[str, Identity]: ...
    def stands(self, sid: str, identity: Identity) -> None:
        """It stays, as who it is now. It may be gone meanwhile."""

    def revoke(self, sid: str) -> None:
        """It is closed, and told why. It may be gone meanwhile."""


async def look_again(gate: Gate, edges: Sequence[Edge]) -> None:
    """Closes, every `LOOK_AGAIN_S`, the sockets of whoever would not be let in now. Runs until cancelled."""
    while True:
        await asyncio.sleep(LOOK_AGAIN_S)
        inside = [(edge, sid, identity) for edge in edges for sid, identity in edge.signed_in().items()]
        try:
            standing = await gate.look_again([identity for _, _, identity in inside])
        except BackfleetError as error:
            log.warning("who is connected could not be looked at again: %s", error.message)
            continue
        for (edge, sid, before), identity in zip(inside, standing, strict=True):
            if identity is not None:
                edge.stands(sid, identity)
            else:
                log.info("closed a socket of %s, whose token or key is not good any more", before.user_id)
                edge.revoke(sid)
