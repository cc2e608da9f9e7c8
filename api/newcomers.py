"""How many sockets one address may have open, and how long one may stay that does not say who it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Scope

from api.limits import site_of
from shared.errors import TooMany
from shared.settings import Settings

_FULL_RETRY_S = 10.0


@dataclass(slots=True)
class _Site:
    """What one address has open. There is one only while there are sockets, so sockets bound the memory of all."""

    open: int = 0
    anonymous: int = 0


@dataclass(slots=True)
class _Open:
    address: str
    turn_away: Callable[[], None]
    deadline: asyncio.TimerHandle | None


class Newcomers:
    """Counts the sockets of all edges by address (of IPv6, by /64), and has each turned away that did not sign in in
    time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sites: dict[str, _Site] = {}
        self._sockets: dict[str, _Open] = {}

    def check(self, address: str) -> None:
        """Raises `TooMany`, saying when to come back, where the address may open no other socket now."""
        site = self._sites.get(site_of(address))
        if site is None:
            return
        waiting, most = self._settings.anonymous_sockets_per_address_max, self._settings.sockets_per_address_max
        if site.anonymous >= waiting:
            raise TooMany.after(
                f"{waiting} sockets of this address have not signed in yet, the most allowed", self._timeout_s
            )
        if site.open >= most:
            raise TooMany.after(f"{most} sockets of this address are open, the most allowed; close some", _FULL_RETRY_S)

    def come(self, sid: str, address: str, turn_away: Callable[[], None]) -> None:
        """A socket is open, and `turn_away` closes it. Raises `TooMany` as `check` does; then it does not count."""
        self.check(address)
        address = site_of(address)
        self._sites.setdefault(address, _Site()).open += 1
        self._sockets[sid] = _Open(address, turn_away, None)
        self.sign_out(sid)

    def sign_in(self, sid: str) -> None:
        one = self._sockets.get(sid)
        if one is not None and one.deadline is not None:
            one.deadline.cancel()
            one.deadline = None
            self._sites[one.address].anonymous -= 1

    def sign_out(self, sid: str) -> None:
        """From now on it has `sign_in_timeout_s` to sign in."""
        one = self._sockets.get(sid)
        if one is not None and one.deadline is None:
            one.deadline = asyncio.get_running_loop().call_later(self._timeout_s, one.turn_away)
            self._sites[one.address].anonymous += 1

    def go(self, sid: str) -> None:
        """It is closed."""
        self.sign_in(sid)
        one = self._sockets.pop(sid, None)
        if one is None:
            return
        site = self._sites[one.address]
        site.open -= 1
        if not site.open:
            del self._sites[one.address]

    def close(self) -> None:
        for sid in list(self._sockets):
            self.go(sid)

    @property
    def _timeout_s(self) -> float:
        return self._settings.sign_in_timeout_s


def address_of(scope: Scope) -> str:
    """Whose socket it is. Behind a proxy that is trusted the server has put its client's address here."""
    client = scope.get("client")
    return client[0] if client else ""
