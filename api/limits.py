"""How often somebody may try to log in: by name, and by address.

Counted in Redis, so that all gateways count together; while Redis does not answer each counts for itself. What is
counted is kept under a keyed hash: people type passwords where their name belongs.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from shared.errors import BusUnavailable, TooMany
from shared.observability import RareWarning

log = logging.getLogger(__name__)

COUNTS_MAX = 10_000
# Who logs in waits for a count no longer than this, then his gateway counts for itself.
SHARED_WAIT_S = 0.5
_IPV6_SITE_BITS = 64  # what one customer is given: each of them can choose among 2**64 addresses


@dataclass(frozen=True, slots=True)
class Tries:
    """How many failures there may be in how many seconds from the first."""

    most: int
    window_s: float


BY_NAME = Tries(10, 300.0)
BY_ADDRESS = Tries(50, 300.0)


class Counts(Protocol):
    """Counts by name in windows of time, as `shared.bus.Bus` does for all gateways."""

    async def count(self, name: str, window_s: float) -> tuple[int, float]: ...

    async def uncount(self, name: str, window_s: float) -> None: ...


class OwnCounts:
    """Counts in this process: at most `most` names, of which the longest unused are forgotten."""

    def __init__(self, most: int = COUNTS_MAX, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()

    async def count(self, name: str, window_s: float) -> tuple[int, float]:
        return self._add(name, window_s, 1)

    async def uncount(self, name: str, window_s: float) -> None:
        self._add(name, window_s, -1)

    def _add(self, name: str, window_s: float, more: int) -> tuple[int, float]:
        now_s = self._clock()
        counted, end_s = self._counts.pop(name, (0, now_s + window_s))
        if end_s <= now_s:
            counted, end_s = 0, now_s + window_s
        while len(self._counts) >= self._most:
            self._counts.popitem(last=False)
        self._counts[name] = max(counted + more, 0), end_s
        return self._counts[name][0], end_s - now_s


class LoginLimits:
    """Bounds failures to log in. A try counts from its beginning, so that many at once are no way around."""

    def __init__(
        self,
        shared: Counts,
        key: bytes,
        *,
        by_name: Tries = BY_NAME,
        by_address: Tries = BY_ADDRESS,
        own: Counts | None = None,
    ) -> None:
        """`key` is secret: without it nobody learns from a count what was typed."""
        self._shared = shared
        self._own = own or OwnCounts()
        self._key = hashlib.blake2b(key, digest_size=32).digest()
        self._by_name = by_name
        self._by_address = by_address
        self._warn = RareWarning(log)

    async def take(self, name: str, address: str) -> None:
        """Counts a try. Raises `TooMany`, saying when to come back, for a name or an address with too many failures."""
        left_s = 0.0
        for hashed, tries in self._counted(name, address):
            counted, window_left_s = await self._count(hashed, tries)
            if counted > tries.most:
                left_s = max(left_s, window_left_s)
        if left_s:
            self._warn("refused to try another password: too many were wrong")
            raise TooMany.after("too many failures to log in; wait as long as Retry-After says", left_s)

    async def give_back(self, name: str, address: str) -> None:
        """A try that succeeded counts for nothing; those that failed before it still do."""
        for hashed, tries in self._counted(name, address):
            try:
                async with asyncio.timeout(SHARED_WAIT_S):
                    await self._shared.uncount(hashed, tries.window_s)
            except (BusUnavailable, TimeoutError):
                await self._own.uncount(hashed, tries.window_s)

    async def _count(self, hashed: str, tries: Tries) -> tuple[int, float]:
        try:
            async with asyncio.timeout(SHARED_WAIT_S):
                return await self._shared.count(hashed, tries.window_s)
        except (BusUnavailable, TimeoutError) as error:
            self._warn(f"failures to log in are counted by each gateway for itself: {error or type(error).__name__}")
            return await self._own.count(hashed, tries.window_s)

    def _counted(self, name: str, address: str) -> tuple[tuple[str, Tries], tuple[str, Tries]]:
        return (self._hash("name", name), self._by_name), (self._hash("address", site_of(address)), self._by_address)

    def _hash(self, kind: str, text: str) -> str:
        said = f"{kind}\x00{text}".encode(errors="replace")
        return f"login:{kind}:{hashlib.blake2b(said, key=self._key, digest_size=16).hexdigest()}"


def site_of(address: str) -> str:
    """The address itself, and of IPv6 the network of a site: who has one address there has all."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((int(found), _IPV6_SITE_BITS), strict=False))
    return str(found)
