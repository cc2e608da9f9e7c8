"""Users' keys for providers of language models, which only we can read, and only for whom they are.

A key is sealed with Fernet (AES and HMAC). User and provider stand inside the seal, so that a sealed key that somebody
copies into another user's document opens nothing. New seals are of the newest secret; older ones open what they sealed
until `reseal` has been run. `secretId` names the secret that sealed, without telling anything of it.

Keys are in no log and no error: `ProviderKey` shows nothing of itself.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import NamedTuple, TypedDict, cast

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pymongo import ASCENDING

from shared.errors import Conflict, FieldError, NotFound
from shared.mongo import Document, Mongo, translate_mongo_errors
from shared.settings import Settings

LLM_KEYS = "llm_keys"
PROVIDER_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,39}$"
PROVIDERS_MAX = 32  # of one user
KEY_SECRETS = "BACKFLEET_KEY_SECRETS"
_SHOWN_CHARS = 4
_SHOWN_FROM_CHARS = 16  # four of fewer would tell too much
_BATCH = 100


class LlmKeyDocument(TypedDict):
    """One document of `llm_keys`. `shown` is what its owner sees of the key; `baseUrl` is empty for the usual one."""

    _id: str
    userId: str
    provider: str
    sealed: str
    secretId: str
    shown: str
    baseUrl: str
    createdAt: int
    updatedAt: int


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """A key as it was given. `base_url` is empty for the provider's usual one."""

    key: str = field(repr=False)
    base_url: str


class Resealed(NamedTuple):
    """How many keys are sealed with the newest secret now, and how many no secret opens."""

    resealed: int
    unreadable: int


def shown_of(key: str) -> str:
    """The last four characters of a key that is long enough not to be told by them."""
    return f"…{key[-_SHOWN_CHARS:]}" if len(key) >= _SHOWN_FROM_CHARS else ""


class LlmKeys:
    """The collection `llm_keys`. Every method raises `StoreUnavailable` when MongoDB does not answer."""

    def __init__(self, mongo: Mongo, settings: Settings) -> None:
        self._mongo = mongo
        self._keys = mongo.collection(LLM_KEYS)
        secrets = settings.sealing_secrets
        self._seal = MultiFernet([Fernet(one) for one in secrets]) if secrets else None
        self._secret_id = hashlib.sha256(secrets[0].encode()).hexdigest()[:16] if secrets else ""

    async def create_indexes(self) -> None:
        with translate_mongo_errors():
            await self._keys.create_index([("userId", ASCENDING)], name="owner")
            await self._keys.create_index([("secretId", ASCENDING)], name="secret")

    async def put(self, user_id: str, provider: str, key: ProviderKey) -> LlmKeyDocument:
        """Stores the user's key for a provider in place of what was there.

        Raises `Conflict` where there is nothing to seal with, and beyond `PROVIDERS_MAX` of one user.
        """
        now_ms = self._mongo.now_ms()
        values: Document = {
            "userId": user_id,
            "provider": provider,
            "sealed": self._sealed(user_id, provider, key),
            "secretId": self._secret_id,
            "shown": shown_of(key.key),
            "baseUrl": key.base_url,
            "updatedAt": now_ms,
        }
        document_id = _id(user_id, provider)
        with translate_mongo_errors():
            others = await self._keys.count_documents({"userId": user_id, "_id": {"$ne": document_id}})
            if others >= PROVIDERS_MAX:
                raise Conflict(f"a user may have keys for {PROVIDERS_MAX} providers; delete one that is not used")
            changes = {"$set": values, "$setOnInsert": {"createdAt": now_ms}}
            await self._keys.update_one({"_id": document_id}, changes, upsert=True)
        return await self.get(user_id, provider)

    async def get(self, user_id: str, provider: str) -> LlmKeyDocument:
        """Raises `NotFound`."""
        with translate_mongo_errors():
            found = await self._keys.find_one({"_id": _id(user_id, provider)})
        if found is None:
            raise _no_key(provider)
        return cast("LlmKeyDocument", found)

    async def list_of(self, user_id: str) -> list[LlmKeyDocument]:
        """By provider."""
        with translate_mongo_errors():
            found = await self._keys.find({"userId": user_id}).limit(2 * PROVIDERS_MAX).to_list()
        return sorted(cast("list[LlmKeyDocument]", found), key=lambda one: one["provider"])

    async def delete(self, user_id: str, provider: str) -> None:
        """Raises `NotFound`."""
        with translate_mongo_errors():
            gone = await self._keys.delete_one({"_id": _id(user_id, provider)})
        if gone.deleted_count == 0:
            raise _no_key(provider)

    async def open(self, user_id: str, provider: str) -> ProviderKey | None:
        """The key itself; None where the user has stored none. Raises `Conflict` for one that cannot be opened."""
        with translate_mongo_errors():
            found = await self._keys.find_one({"_id": _id(user_id, provider)})
        if found is None:
            return None
        opened = self._opened(cast("LlmKeyDocument", found))
        if opened is None or (opened["userId"], opened["provider"]) != (user_id, provider):
            message = f"the stored key for {provider} cannot be opened; PUT it to /api/llm/keys/{provider} again"
            raise Conflict(message, [FieldError("provider", message, "llm_key_unreadable")])
        return ProviderKey(opened["key"], opened.get("baseUrl", ""))

    async def reseal(self) -> Resealed:
        """Seals with the newest secret what older ones sealed. Doing so again does nothing; one that is put meanwhile
        is left as it was put. Raises `Conflict` where there is nothing to seal with."""
        seal = self._sealing()
        resealed = unreadable = 0
        after = ""
        while True:
            older = {"secretId": {"$ne": self._secret_id}, "_id": {"$gt": after}}
            with translate_mongo_errors():
                batch = await self._keys.find(older).sort([("_id", ASCENDING)]).limit(_BATCH).to_list()
                for one in batch:
                    try:
                        sealed = seal.rotate(one["sealed"]).decode()
                    except InvalidToken:
                        unreadable += 1
                        continue
                    changes = {"$set": {"sealed": sealed, "secretId": self._secret_id}}
                    done = await self._keys.update_one({"_id": one["_id"], "sealed": one["sealed"]}, changes)
                    resealed += done.matched_count
            if len(batch) < _BATCH:
                return Resealed(resealed, unreadable)
            after = batch[-1]["_id"]

    def _sealing(self) -> MultiFernet:
        if self._seal is None:
            message = (
                f"this gateway keeps no provider keys: {KEY_SECRETS} is not set. Whoever operates it sets it to the "
                "output of `openssl rand -base64 32 | tr +/ -_`, for gateways and workers alike"
            )
            raise Conflict(message, [FieldError("key", message, "no_key_secrets")])
        return self._seal

    def _sealed(self, user_id: str, provider: str, key: ProviderKey) -> str:
        inside = {"userId": user_id, "provider": provider, "key": key.key}
        if key.base_url:
            inside["baseUrl"] = key.base_url
        return self._sealing().encrypt(json.dumps(inside).encode()).decode()

    def _opened(self, document: LlmKeyDocument) -> dict[str, str] | None:
        if self._seal is None:
            return None
        try:
            return cast("dict[str, str]", json.loads(self._seal.decrypt(document["sealed"])))
        except InvalidToken:
            return None


def _id(user_id: str, provider: str) -> str:
    return f"{provider}:{user_id}"


def _no_key(provider: str) -> NotFound:
    message = f"no key for {provider[:40]!a}; GET /api/llm/keys lists those you have"
    return NotFound(message, [FieldError("provider", message, "not_found")])
