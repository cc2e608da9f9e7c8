"""Who may come in: a token or a key that stands, of a user who is not disabled, and what he may do.

What a token says is believed until its end; what is kept of its user is read again after `FRESH_S`. So a disabled user,
a password that was changed, a role that was taken and a key that was deleted are known everywhere within `FRESH_S`
while MongoDB answers, and to sockets within one check more. While it does not answer, what was known last counts for
`LAST_KNOWN_S`: nothing of a user's can be read or written meanwhile.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Generic, TypeVar

from api.auth import LEEWAY_S, Authenticator, Identity, bearer_of
from shared.batches import Batches
from shared.errors import StoreUnavailable, Unauthenticated
from shared.observability import RareWarning
from shared.users import KEY_PREFIX, KeyDocument, Role, Scope, UserDocument, Users, opens, read_key

log = logging.getLogger(__name__)

FRESH_S = 5.0
LAST_KNOWN_S = 60.0
_KNOWN_MAX = 20_000
_READ_MOST = 500

Found = TypeVar("Found")


@dataclass(slots=True)
class _Known(Generic[Found]):
    found: Found | None
    read_s: float
    again_s: float


class Recent(Generic[Found]):
    """What was read by name lately, also that there is none. Many names that are asked for at once are read at once."""

    def __init__(
        self,
        read: Callable[[list[str]], Awaitable[dict[str, Found]]],
        clock: Callable[[], float] = time.monotonic,
        most: int = _KNOWN_MAX,
    ) -> None:
        self._read = read
        self._clock = clock
        self._most = most
        self._known: OrderedDict[str, _Known[Found]] = OrderedDict()
        self._batches: Batches[str, Found | None] = Batches(self._read_batch, most=_READ_MOST)
        self._warn = RareWarning(log)

    async def get(self, name: str) -> Found | None:
        """At most `FRESH_S` old. Raises `StoreUnavailable` where nothing is known and MongoDB does not answer."""
        known = self._known.get(name)
        if known is not None and self._clock() < known.again_s:
            return known.found
        return await self._batches.ask(name)

    async def read_all(self, names: Collection[str]) -> dict[str, Found | None]:
        """All of them anew, whatever is known."""
        wanted = list(names)
        found: dict[str, Found | None] = {}
        for start in range(0, len(wanted), _READ_MOST):
            batch = wanted[start : start + _READ_MOST]
            answers = zip(batch, await self._read_batch(batch), strict=True)
            for name, answer in answers:
                if isinstance(answer, Exception):
                    raise answer
                found[name] = answer
        return found

    async def _read_batch(self, names: list[str]) -> Sequence[Found | Exception | None]:
        asked_s = self._clock()  # before it was read: what changes meanwhile must not count as known
        try:
            found = await self._read(list(set(names)))
        except StoreUnavailable as error:
            return [self._last_known(name, error) for name in names]
        for name in names:
            self._known.pop(name, None)
            self._known[name] = _Known(found.get(name), asked_s, asked_s + FRESH_S)
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return [found.get(name) for name in names]

    def _last_known(self, name: str, error: StoreUnavailable) -> Found | StoreUnavailable | None:
        known, now_s = self._known.get(name), self._clock()
        if known is None or now_s - known.read_s > LAST_KNOWN_S:
            return error
        self._warn(f"who may come in is taken from what was known last: {error.message}")
        known.again_s = now_s + FRESH_S
        return known.found


class Gate:
    """Says who asks, over HTTP as over sockets."""

    def __init__(self, authenticator: Authenticator, users: Users, clock: Callable[[], float] = time.monotonic) -> None:
        self._authenticator = authenticator
        self._users = users
        self._states: Recent[UserDocument] = Recent(self._read_users, clock)
        self._keys: Recent[KeyDocument] = Recent(self._read_keys, clock)

    async def identify_header(self, authorization: str | None) -> Identity:
        """Raises what `identify` raises, and `Unauthenticated` for a header without a token."""
        return await self.identify(bearer_of(authorization))

    async def identify(self, token: str) -> Identity:
        """Whose token or key it is. Raises `Unauthenticated` saying why it is not taken, `Unavailable`."""
        if token.startswith(KEY_PREFIX):
            identity = await self._by_key(token)
        else:
            identity = await self._authenticator.identify(token)
        user = await self._states.get(identity.user_id)
        if identity.generation is not None and (user is None or user["generation"] < identity.generation):
            # A login that is younger than what is known here, perhaps by another gateway.
            user = (await self._states.read_all([identity.user_id]))[identity.user_id]
        return _standing(identity, user)

    async def look_again(self, identities: Sequence[Identity]) -> list[Identity | None]:
        """How those stand now who were let in before; None for who would not be let in now.

        Raises `Unavailable` when that cannot be known.
        """
        users = await self._states.read_all({one.user_id for one in identities})
        keys = await self._keys.read_all({one.key_id for one in identities if one.key_id is not None})
        return [self._stands_still(one, users, keys) for one in identities]

    def _stands_still(
        self, identity: Identity, users: dict[str, UserDocument | None], keys: dict[str, KeyDocument | None]
    ) -> Identity | None:
        leeway_s = LEEWAY_S if identity.key_id is None else 0
        if identity.expires_at_s + leeway_s < time.time():
            return None
        if identity.key_id is not None and keys[identity.key_id] is None:
            return None
        try:
            return _standing(identity, users[identity.user_id])
        except Unauthenticated:
            return None

    async def _by_key(self, token: str) -> Identity:
        parts = read_key(token)
        document = await self._keys.get(parts[0]) if parts else None
        if parts is None or document is None or not opens(document, parts[1], self._users.now_ms()):
            raise Unauthenticated("the key is not valid: unknown, deleted or past its end; make a new one")
        return Identity(
            document["userId"],
            datetime.fromtimestamp(document["expiresAt"] / 1000, UTC),
            key_id=document["_id"],
            scopes=frozenset(Scope(scope) for scope in document["scopes"]),
        )

    async def _read_users(self, names: list[str]) -> dict[str, UserDocument]:
        return {one["_id"]: one for one in await self._users.find_all(names)}

    async def _read_keys(self, key_ids: list[str]) -> dict[str, KeyDocument]:
        return {one["_id"]: one for one in await self._users.find_keys(key_ids)}


def _standing(identity: Identity, user: UserDocument | None) -> Identity:
    """Who asks, with the roles that are kept. Raises `Unauthenticated` for who may not come in any more."""
    if user is None:
        if identity.generation is not None or identity.key_id is not None:
            raise Unauthenticated("the user of this token is not known here any more")
        return identity  # of an outside issuer, or minted for development
    if user["disabled"]:
        raise Unauthenticated("this user is disabled; an admin can enable it")
    if identity.generation is not None and identity.generation != user["generation"]:
        raise Unauthenticated("the password was changed, or the user disabled, since this token was made; log in again")
    return replace(identity, roles=frozenset(Role(role) for role in user["roles"]))
