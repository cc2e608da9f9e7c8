"""Who there is: users, and the API keys with which their programs ask.

A document that is not there is an answer too: the tokens of an outside issuer name users of whom nothing is kept here.
Every change is one conditional update. Neither passwords nor keys are stored, only what they can be checked against.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypedDict, cast

from pymongo import ASCENDING, ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from shared.errors import Conflict, FieldError, InvalidRequest, NotFound
from shared.lifecycle import Document
from shared.mongo import Mongo, translate_mongo_errors

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@+|:-]{0,127}$"
KEY_PREFIX = "bfk_"
KEYS_MAX = 100
_KEY_FORM = re.compile(rf"{KEY_PREFIX}([0-9a-f]{{16}})_([0-9A-Za-z_-]{{43}})")
_NAME = re.compile(NAME_PATTERN)
# `/api/users/me` is whoever asks.
_RESERVED = frozenset({"me"})


class Role(StrEnum):
    """What a user is: whoever is an admin may also do what only admins may."""

    USER = "user"
    ADMIN = "admin"


class Scope(StrEnum):
    """What a key may be used for. Nothing else, and nothing that its user's roles do not allow."""

    READ = "read"
    WRITE = "write"
    DATA = "data"
    ADMIN = "admin"


class UserDocument(TypedDict):
    """One document of `users`. `passwordHash` is argon2id in its usual form, empty for who cannot log in here.

    `generation` rises when everything that began with the password has to end: refresh tokens and access tokens carry
    the one they were made in.
    """

    _id: str
    passwordHash: str
    roles: list[str]
    disabled: bool
    generation: int
    createdAt: int
    updatedAt: int


class KeyDocument(TypedDict):
    """One document of `api_keys`. `hash` is the SHA-256 of the secret half: 256 random bits need no slow hash."""

    _id: str
    userId: str
    name: str
    hash: str
    scopes: list[str]
    createdAt: int
    expiresAt: int


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key as it is shown, once, and what is kept of it."""

    token: str
    document: KeyDocument


def hash_of_secret(secret: str) -> str:
    """SHA-256 in hex: for secrets that are random and long, which passwords are not."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_key(user: str, name: str, scopes: Collection[Scope], now_ms: int, expires_at_ms: int) -> NewKey:
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    document: KeyDocument = {
        "_id": key_id,
        "userId": user,
        "name": name,
        "hash": hash_of_secret(secret),
        "scopes": [scope.value for scope in Scope if scope in scopes],
        "createdAt": now_ms,
        "expiresAt": expires_at_ms,
    }
    return NewKey(f"{KEY_PREFIX}{key_id}_{secret}", document)


def read_key(token: str) -> tuple[str, str] | None:
    """Id and secret of a key in its form; None for any other text."""
    found = _KEY_FORM.fullmatch(token)
    return (found[1], found[2]) if found else None


def opens(document: KeyDocument, secret: str, now_ms: int) -> bool:
    """Whether the secret is the key's, compared in constant time, and the key has not ended."""
    return hmac.compare_digest(document["hash"], hash_of_secret(secret)) and now_ms < document["expiresAt"]


def check_name(name: str) -> str:
    """Raises `InvalidRequest` for what cannot be the name of a user that is kept here."""
    if name in _RESERVED or not _NAME.fullmatch(name):
        wanted = "1 to 128 letters, digits and . _ @ + | : - beginning with a letter or a digit, and not `me`"
        raise InvalidRequest.of("name", f"must be {wanted} (got {name[:80]!a}); choose another name")
    return name


class Users:
    """The users and their keys. Every method raises `StoreUnavailable` when MongoDB does not answer."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._users: AsyncCollection[Document] = mongo.collection("users")
        self._keys: AsyncCollection[Document] = mongo.collection("api_keys")

    async def create_indexes(self) -> None:
        with translate_mongo_errors():
            await self._keys.create_index([("userId", ASCENDING)], name="owner")

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01T00:00Z on MongoDB's clock."""
        return self._mongo.now_ms()

    async def add(self, name: str, password_hash: str, roles: Collection[Role]) -> UserDocument:
        """Raises `InvalidRequest` for a name that cannot be and `Conflict` for one that is taken."""
        now_ms = self._mongo.now_ms()
        document: UserDocument = {
            "_id": check_name(name),
            "passwordHash": password_hash,
            "roles": _spelled(roles),
            "disabled": False,
            "generation": 1,
            "createdAt": now_ms,
            "updatedAt": now_ms,
        }
        with translate_mongo_errors():
            try:
                await self._users.insert_one(cast("Document", document))
            except DuplicateKeyError:
                error = FieldError("name", f"there is a user {name} already; choose another name", "conflict")
                raise Conflict(error.message, [error]) from None
        return document

    async def find(self, name: str) -> UserDocument | None:
        with translate_mongo_errors():
            return cast("UserDocument | None", await self._users.find_one({"_id": name}))

    async def get(self, name: str) -> UserDocument:
        """Raises `NotFound`."""
        found = await self.find(name)
        if found is None:
            raise _no_user(name)
        return found

    async def find_all(self, names: Sequence[str]) -> list[UserDocument]:
        """Those of the named who are kept here. Callers bound the number of names."""
        with translate_mongo_errors():
            return cast("list[UserDocument]", await self._users.find({"_id": {"$in": list(names)}}).to_list())

    async def list_page(self, *, limit: int, after: str | None) -> tuple[list[UserDocument], str | None]:
        """One page by name, and the cursor of the next one: the last name."""
        query: Document = {} if after is None else {"_id": {"$gt": after}}
        with translate_mongo_errors():
            found = await self._users.find(query).sort([("_id", ASCENDING)]).limit(limit + 1).to_list()
        page = cast("list[UserDocument]", found[:limit])
        return page, page[-1]["_id"] if len(found) > limit else None

    async def set_password(self, name: str, password_hash: str, *, instead_of: str | None = None) -> UserDocument:
        """A new password; whatever was begun with the old one ends. Raises `NotFound`.

        `instead_of` is the hash that must stand there still: `Conflict` where somebody else was quicker.
        """
        found = await self._change(
            {"_id": name} | ({} if instead_of is None else {"passwordHash": instead_of}),
            {"passwordHash": password_hash},
            new_generation=True,
        )
        if found is None:
            await self.get(name)  # raises NotFound
            raise Conflict("the password changed while it was being changed; try again")
        return found

    async def renew_hash(self, name: str, old_hash: str, new_hash: str) -> None:
        """The same password, hashed as new ones are. Ends nothing; does nothing where the password has changed."""
        await self._change({"_id": name, "passwordHash": old_hash}, {"passwordHash": new_hash})

    async def set_roles(self, name: str, roles: Collection[Role]) -> UserDocument:
        """Raises `NotFound`."""
        found = await self._change({"_id": name}, {"roles": _spelled(roles)})
        if found is None:
            raise _no_user(name)
        return found

    async def set_disabled(self, name: str, disabled: bool) -> UserDocument:
        """Raises `NotFound`. What was begun with a password before does not come back when the user does."""
        found = await self._change({"_id": name, "disabled": not disabled}, {"disabled": disabled}, new_generation=True)
        return found if found is not None else await self.get(name)

    async def _change(self, query: Document, values: Document, *, new_generation: bool = False) -> UserDocument | None:
        update: Document = {"$set": values | {"updatedAt": self._mongo.now_ms()}}
        if new_generation:
            update["$inc"] = {"generation": 1}
        with translate_mongo_errors():
            found = await self._users.find_one_and_update(query, update, return_document=ReturnDocument.AFTER)
        return cast("UserDocument | None", found)

    async def add_key(self, document: KeyDocument) -> None:
        """Raises `Conflict` beyond `KEYS_MAX` of one user, of which those that have ended are removed first."""
        with translate_mongo_errors():
            user = document["userId"]
            await self._keys.delete_many({"userId": user, "expiresAt": {"$lte": self._mongo.now_ms()}})
            if await self._keys.count_documents({"userId": user}) >= KEYS_MAX:
                raise Conflict(f"a user may have {KEYS_MAX} keys; delete one that is not used any more")
            await self._keys.insert_one(cast("Document", document))

    async def keys_of(self, user: str) -> list[KeyDocument]:
        """Newest first, with those that have ended."""
        with translate_mongo_errors():
            found = await self._keys.find({"userId": user}).limit(2 * KEYS_MAX).to_list()
        return sorted(cast("list[KeyDocument]", found), key=lambda key: (-key["createdAt"], key["_id"]))

    async def find_keys(self, key_ids: Sequence[str]) -> list[KeyDocument]:
        """Those of the named keys that there are. Callers bound their number."""
        with translate_mongo_errors():
            return cast("list[KeyDocument]", await self._keys.find({"_id": {"$in": list(key_ids)}}).to_list())

    async def delete_key(self, user: str, key_id: str) -> None:
        """Raises `NotFound`, also for somebody else's."""
        with translate_mongo_errors():
            gone = await self._keys.delete_one({"_id": key_id, "userId": user})
        if gone.deleted_count == 0:
            raise NotFound("no such key", [FieldError("keyId", f"no key {key_id[:80]!a}; list those you have")])


def _spelled(roles: Collection[Role]) -> list[str]:
    return [role.value for role in Role if role in roles]


def _no_user(name: str) -> NotFound:
    message = f"no user {name[:128]!a}; `GET /api/users` and `backfleet user list` say who there is"
    return NotFound(message, [FieldError("name", message, "not_found")])
