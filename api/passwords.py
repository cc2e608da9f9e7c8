"""Passwords as they are kept: argon2id, computed in threads, a few at once."""

from __future__ import annotations

import asyncio
import base64
import os
import unicodedata
from collections.abc import Callable
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import Argon2Error, InvalidHashError

from shared.errors import ConfigurationError, InvalidRequest, TooMany
from shared.settings import PREFIX, Settings

PASSWORD_MIN_CHARS = 12
PASSWORD_MAX_CHARS = 1_000
# 64 MiB, three passes, four lanes: the second recommendation of RFC 9106, and what the library takes by default.
_PASSES = 3
_LANES = 4
_HASH_BYTES = 32
_SALT_BYTES = 16
# The least that OWASP recommends.
_PRODUCTION_KIB_MIN = 19_456
_AT_ONCE = 2
_WAITING_MAX = 64

Computed = TypeVar("Computed")


class Passwords:
    """Hashes and checks passwords. `computed` counts the hashes: what took time, whatever came of it."""

    def __init__(self, settings: Settings, *, at_once: int = _AT_ONCE, waiting_max: int = _WAITING_MAX) -> None:
        """Raises `ConfigurationError` for a cost that is for tests, in production."""
        memory_kib = settings.password_memory_kib
        if settings.production and memory_kib < _PRODUCTION_KIB_MIN:
            raise ConfigurationError(
                f"{PREFIX}PASSWORD_MEMORY_KIB is {memory_kib}; in production it must be at least {_PRODUCTION_KIB_MIN}"
            )
        self._hasher = PasswordHasher(_PASSES, memory_kib, _LANES, _HASH_BYTES, _SALT_BYTES, type=Type.ID)
        # Of no password, in the form and at the price of every other: for names that nobody has.
        parts = (base64.b64encode(os.urandom(size)).decode().rstrip("=") for size in (_SALT_BYTES, _HASH_BYTES))
        self._nobodys = f"$argon2id$v=19$m={memory_kib},t={_PASSES},p={_LANES}${'$'.join(parts)}"
        self._free = asyncio.Semaphore(at_once)
        self._waiting_max = waiting_max
        self._under_way = 0
        self.computed = 0

    async def hash(self, password: str) -> str:
        """Raises `TooMany` when as many computations wait as may."""
        return await self._compute(lambda: self._hasher.hash(_normal(password)))

    async def verify(self, kept: str | None, password: str) -> bool:
        """Whether it is the password of that hash. None or an empty hash takes as long, and none is its password.

        Raises `TooMany` when as many computations wait as may.
        """

        def check() -> bool:
            try:
                return self._hasher.verify(kept or self._nobodys, _normal(password)) and bool(kept)
            except (Argon2Error, InvalidHashError):
                return False

        return await self._compute(check)

    def is_outdated(self, kept: str) -> bool:
        """Whether it was made at another cost than new ones are."""
        return self._hasher.check_needs_rehash(kept)

    async def _compute(self, work: Callable[[], Computed]) -> Computed:
        # Memory and cores are bounded by those at once, memory for waiting requests by those who wait.
        if self._under_way >= self._waiting_max:
            raise TooMany("too many passwords are being checked at once; try again in a moment")
        self._under_way += 1
        try:
            async with self._free:
                self.computed += 1
                return await asyncio.to_thread(work)
        finally:
            self._under_way -= 1


def check_new_password(field: str, password: str, name: str) -> None:
    """Raises `InvalidRequest` for what is too easily guessed, never repeating it."""
    if not PASSWORD_MIN_CHARS <= len(password) <= PASSWORD_MAX_CHARS:
        raise InvalidRequest.of(
            field, f"must have {PASSWORD_MIN_CHARS} to {PASSWORD_MAX_CHARS} characters; choose another", "bad_password"
        )
    if len(set(password)) < 5 or name.casefold() == password.casefold():
        raise InvalidRequest.of(field, "is easily guessed; choose another, such as four random words", "bad_password")
    if "\x00" in password or password != password.encode(errors="replace").decode():
        raise InvalidRequest.of(field, "holds characters that are no text; choose another", "bad_password")


def _normal(password: str) -> bytes:
    """The same bytes from every keyboard: letters with accents can be typed in two ways."""
    return unicodedata.normalize("NFKC", password).encode(errors="replace")
