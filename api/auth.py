"""Who is asking. The user is always the `sub` of a verified token, never anything the caller writes beside it.

Which algorithms are accepted is decided by the configuration (HS256 with a secret, or RS256, ES256 and EdDSA with a
JWKS document), never by the token's own header.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import math
import re
import time
import urllib.error
import urllib.request
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt

from shared.contracts import USER_PATTERN
from shared.errors import ConfigurationError, Forbidden, InvalidRequest, Unauthenticated, Unavailable
from shared.settings import Settings
from shared.users import Role, Scope

log = logging.getLogger(__name__)

LEEWAY_S = 30
TOKEN_MAX_BYTES = 8_192
TOKEN_TTL_MAX_S = 10 * 366 * 86_400
GENERATION_CLAIM = "bf_gen"  # of tokens that a login made; no issuer's own name for something else
_CACHE_MAX = 10_000
_CACHE_TTL_S = 300.0  # A key that was withdrawn from the key set opens nothing for longer than this.
_JWKS_FRESH_S = 600.0
_JWKS_RETRY_S = 15.0
_JWKS_TIMEOUT_S = 5.0
_JWKS_MAX_BYTES = 1_000_000
_JWKS_ALGORITHMS = frozenset({"RS256", "ES256", "EdDSA"})
_LAST_SECOND_S = 253_402_300_799.0  # of the year 9999, the last that can be written
_USER = re.compile(USER_PATTERN)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks. `expires_at` is aware UTC; None where it rests on nothing that ends by itself, as a token does.

    `roles` are those of the user's document. `generation` is that of a login, None for tokens that no login made.
    With a key `key_id` names it and `scopes` bound what it is good for; None is everything that the roles allow.
    """

    user_id: str
    expires_at: datetime | None = None
    roles: frozenset[Role] = frozenset({Role.USER})
    generation: int | None = None
    key_id: str | None = None
    scopes: frozenset[Scope] | None = None

    @property
    def is_admin(self) -> bool:
        """Whether an admin asks, with something that may be used for what only admins may."""
        return Role.ADMIN in self.roles and (self.scopes is None or Scope.ADMIN in self.scopes)

    def require(self, scope: Scope) -> None:
        """Raises `Forbidden` for a key that was not made for this."""
        if self.scopes is not None and scope not in self.scopes:
            raise Forbidden(f"this key lacks the scope `{scope.value}`; use a token, or a key that has it")

    def require_admin(self) -> None:
        """Raises `Forbidden`."""
        self.require(Scope.ADMIN)
        if Role.ADMIN not in self.roles:
            raise Forbidden("only admins may do this; ask one, or to be made one")

    def require_person(self) -> None:
        """Raises `Forbidden` for a key: with one that leaked nobody may make others or take an account over."""
        if self.key_id is not None:
            raise Forbidden("a key cannot be used for this; log in and use the access token")

    @property
    def expires_at_s(self) -> float:
        """The same in seconds since 1970-01-01T00:00Z, infinite for None."""
        return math.inf if self.expires_at is None else self.expires_at.timestamp()


class KeySet:
    """The keys of a JWKS document, fetched off the event loop, kept, and fetched again when a token names a new one."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: list[jwt.PyJWK] = []
        self._fetched_s = float("-inf")
        self._tried_s = float("-inf")
        self._fetching = asyncio.Lock()

    async def key(self, key_id: str | None) -> jwt.PyJWK:
        """Raises `Unauthenticated` for a key that is not in the document, `Unavailable` when it cannot be fetched."""
        found = self._find(key_id)
        if found is None or time.monotonic() - self._fetched_s > _JWKS_FRESH_S:
            await self._refresh()
            found = self._find(key_id)
        if found is None:
            raise Unauthenticated("the token is signed with a key that is not in the key set")
        return found

    def _find(self, key_id: str | None) -> jwt.PyJWK | None:
        if key_id is None:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((key for key in self._keys if key.key_id == key_id), None)

    async def _refresh(self) -> None:
        async with self._fetching:
            # Tokens with made-up key ids must not turn into as many requests to the issuer.
            if time.monotonic() - self._tried_s < _JWKS_RETRY_S:
                if not self._keys:
                    raise Unavailable("the key set could not be fetched")
                return
            self._tried_s = time.monotonic()
            try:
                document = await asyncio.to_thread(_fetch_json, self._url)
                self._keys = _usable_keys(document)
                self._fetched_s = time.monotonic()
            except (OSError, ValueError, urllib.error.URLError, jwt.PyJWTError) as error:
                log.warning("could not fetch the key set: %s: %s", type(error).__name__, error)
                if not self._keys:
                    raise Unavailable(f"the key set could not be fetched: {type(error).__name__}") from error


def _fetch_json(url: str) -> object:
    with urllib.request.urlopen(url, timeout=_JWKS_TIMEOUT_S) as response:
        raw = response.read(_JWKS_MAX_BYTES + 1)
    if len(raw) > _JWKS_MAX_BYTES:
        raise ValueError(f"the key set is larger than {_JWKS_MAX_BYTES} bytes")
    return json.loads(raw)


def _usable_keys(document: object) -> list[jwt.PyJWK]:
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError("the key set is not an object with a list `keys`")
    keys: list[jwt.PyJWK] = []
    for entry in document["keys"]:
        if not isinstance(entry, dict) or entry.get("kty") == "oct" or entry.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK.from_dict(entry)
        except jwt.PyJWTError:
            continue  # A key type this library does not know is of no use to us; the others still are.
        if key.algorithm_name in _JWKS_ALGORITHMS:
            keys.append(key)
    return keys


class Authenticator:
    """Verifies tokens. Remembers those it has verified, by their hash, for a while and never beyond their end."""

    def __init__(self, settings: Settings) -> None:
        settings.require_gateway_secrets()
        self._settings = settings
        self._secret = settings.jwt_secret.get_secret_value() if settings.jwt_secret else ""
        self._key_set = KeySet(settings.jwt_jwks_url) if settings.jwt_jwks_url else None
        self._verified: OrderedDict[bytes, tuple[Identity, float]] = OrderedDict()
        self._options: Any = {"require": ["exp", "sub"], "verify_aud": settings.jwt_audience is not None}

    async def identify_header(self, authorization: str | None) -> Identity:
        """Raises `Unauthenticated` saying what is wrong with an `Authorization` header."""
        return await self.identify(bearer_of(authorization))

    async def identify(self, token: str) -> Identity:
        """Raises `Unauthenticated` saying what is wrong with the token."""
        encoded = token.encode("utf-8", "replace")
        if len(encoded) > TOKEN_MAX_BYTES:
            raise Unauthenticated(f"the token is longer than {TOKEN_MAX_BYTES} bytes")
        digest = hashlib.blake2b(encoded, digest_size=32).digest()
        known = self._verified.get(digest)
        if known is not None:
            identity, forget_s = known
            if identity.expires_at_s + LEEWAY_S > time.time() and time.monotonic() < forget_s:
                return identity
            del self._verified[digest]
        identity = await self._verify(token)
        while len(self._verified) >= _CACHE_MAX:
            self._verified.popitem(last=False)
        self._verified[digest] = identity, time.monotonic() + _CACHE_TTL_S
        return identity

    async def _verify(self, token: str) -> Identity:
        try:
            if self._key_set is None:
                claims = self._decode(token, self._secret, "HS256")
            else:
                header = jwt.get_unverified_header(token)
                key_id = header.get("kid")
                key = await self._key_set.key(key_id if isinstance(key_id, str) else None)
                claims = self._decode(token, key.key, key.algorithm_name)
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("the token has expired; get a new one") from None
        except jwt.MissingRequiredClaimError as error:
            raise Unauthenticated(f"the token has no `{error.claim}`") from None
        except jwt.InvalidAudienceError:
            raise Unauthenticated("the token is not meant for this service (its `aud`)") from None
        except jwt.InvalidIssuerError:
            raise Unauthenticated("the token comes from another issuer (its `iss`)") from None
        except jwt.ImmatureSignatureError:
            raise Unauthenticated("the token is not valid yet") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            raise Unauthenticated("the token is not valid: wrong signature, algorithm or form") from None
        return _identity(claims)

    def _decode(self, token: str, key: Any, algorithm: str) -> dict[str, Any]:
        return jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=self._settings.jwt_audience,
            issuer=self._settings.jwt_issuer,
            leeway=LEEWAY_S,
            options=self._options,
        )


def bearer_of(authorization: str | None) -> str:
    """The token of an `Authorization` header. Raises `Unauthenticated` where there is none."""
    if not authorization:
        raise Unauthenticated("no token; send the header `Authorization: Bearer <token>`")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("the Authorization header must read `Bearer <token>`")
    return token.strip()


def _identity(claims: dict[str, Any]) -> Identity:
    user_id, expires_at = claims.get("sub"), claims.get("exp")
    if not isinstance(user_id, str) or not is_user_id(user_id):
        raise Unauthenticated("the token's `sub` must be 1 to 256 characters of text without control characters")
    generation = claims.get(GENERATION_CLAIM)
    try:
        return Identity(
            user_id,
            datetime.fromtimestamp(min(float(str(expires_at)), _LAST_SECOND_S), UTC),
            generation=generation if isinstance(generation, int) else None,
        )
    except ValueError:
        raise Unauthenticated("the token's `exp` is not a number") from None


def is_user_id(text: str) -> bool:
    """Whether a text can name a user: in the form of the contract, and Unicode that can be stored."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return _USER.fullmatch(text) is not None


def mint_token(settings: Settings, user_id: str, ttl_s: int) -> str:
    """A token for development, signed with the HS256 secret.

    Raises `ConfigurationError` in production mode or without a usable secret, `InvalidRequest` for a wrong argument.
    """
    if settings.production:
        raise ConfigurationError("tokens are minted for development only; BACKFLEET_MODE is production")
    if settings.jwt_jwks_url:
        raise ConfigurationError("BACKFLEET_JWT_JWKS_URL is set: only its issuer can mint tokens")
    settings.require_gateway_secrets()
    if settings.jwt_secret is None:
        raise ConfigurationError("BACKFLEET_JWT_SECRET is not set")
    if not is_user_id(user_id):
        raise InvalidRequest.of("user", "must be 1 to 256 characters without control characters")
    if not 1 <= ttl_s <= TOKEN_TTL_MAX_S:
        raise InvalidRequest.of("ttl_s", f"must be from 1 to {TOKEN_TTL_MAX_S} (got {ttl_s})")
    return sign_token(settings, settings.jwt_secret.get_secret_value(), user_id, ttl_s)


def sign_token(settings: Settings, secret: str, user_id: str, ttl_s: int, **more: Any) -> str:
    """An HS256 token that our gateways accept, with `more` claims."""
    now_s = int(time.time())
    claims: dict[str, Any] = {"sub": user_id, "iat": now_s, "exp": now_s + ttl_s, **more}
    if settings.jwt_audience is not None:
        claims["aud"] = settings.jwt_audience
    if settings.jwt_issuer is not None:
        claims["iss"] = settings.jwt_issuer
    return jwt.encode(claims, secret, algorithm="HS256")
