"""Refresh tokens. A login begins a family; each refresh replaces its one valid token by the next.

A token that was replaced and comes again was copied by somebody, and nobody can tell which of the two who have it is
the thief: the family ends. One exception keeps an honest client whose answer was lost: the immediate predecessor is
taken once within `GRACE_MS`. That is safe because it *replaces* the token of the lost answer instead of giving a second
one: at any moment exactly one token of a family is valid, so whoever of two holders refreshes later comes with a dead
one and ends the family. A thief gains nothing but what being a moment quicker would have given him. (Answering the same
successor again would be kinder to clients and wrong: a thief could then keep step with his victim for ever.)
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass
from enum import Enum
from typing import TypedDict, cast

from pymongo import ASCENDING
from pymongo.asynchronous.collection import AsyncCollection

from shared.errors import StoreUnavailable
from shared.lifecycle import Document
from shared.mongo import Mongo, translate_mongo_errors
from shared.users import UserDocument, hash_of_secret

GRACE_MS = 10_000
FAMILIES_MAX = 50
_TRIES = 5
_FORM = re.compile(r"bfr_([0-9a-f]{32})_([0-9A-Za-z_-]{43})")


class FamilyDocument(TypedDict):
    """One document of `refresh_families`; a family that ended is removed. Hashes are those of a token's secret half.

    `turn` counts refreshes and is what each update is conditional on. `graced`: the predecessor was taken once more.
    """

    _id: str
    userId: str
    generation: int
    turn: int
    current: str
    previous: str
    turnedAt: int
    graced: bool
    createdAt: int
    expiresAt: int


class Verdict(Enum):
    """What a token of a family is: to be replaced, copied by somebody, or past the family's end."""

    TURN = "turn"
    GRACE = "grace"
    COPIED = "copied"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The family's new token, and whose it is. The user's state is for the caller to look at."""

    token: str
    user_id: str
    generation: int
    expires_at_ms: int


def new_family(user: UserDocument, now_ms: int, ttl_ms: int) -> tuple[str, FamilyDocument]:
    """The first token, and what is kept."""
    family_id, secret = secrets.token_hex(16), secrets.token_urlsafe(32)
    document: FamilyDocument = {
        "_id": family_id,
        "userId": user["_id"],
        "generation": user["generation"],
        "turn": 0,
        "current": hash_of_secret(secret),
        "previous": "",
        "turnedAt": now_ms,
        "graced": False,
        "createdAt": now_ms,
        "expiresAt": now_ms + ttl_ms,
    }
    return f"bfr_{family_id}_{secret}", document


def read_refresh_token(token: str) -> tuple[str, str] | None:
    """Family and secret of a token in its form; None for any other text."""
    found = _FORM.fullmatch(token)
    return (found[1], found[2]) if found else None


def judge(family: FamilyDocument, secret: str, now_ms: int) -> Verdict:
    """What a token that names this family is. Compares in constant time."""
    presented = hash_of_secret(secret)
    is_current = hmac.compare_digest(family["current"], presented)
    is_previous = hmac.compare_digest(family["previous"], presented)
    if now_ms >= family["expiresAt"]:
        return Verdict.ENDED
    if is_current:
        return Verdict.TURN
    in_time = now_ms - family["turnedAt"] <= GRACE_MS
    # Whoever knows the family's id has seen a token of it: what is neither is an old one, or made up by such a one.
    return Verdict.GRACE if is_previous and in_time and not family["graced"] else Verdict.COPIED


def turned(family: FamilyDocument, secret: str, verdict: Verdict, now_ms: int) -> Document:
    """The fields after `TURN` or `GRACE`, with this secret as the current one.

    A grace keeps the predecessor and its moment, so that the few seconds end when they would have.
    """
    fields: Document = {"turn": family["turn"] + 1, "current": hash_of_secret(secret)}
    if verdict is Verdict.GRACE:
        return fields | {"graced": True}
    return fields | {"previous": family["current"], "turnedAt": now_ms, "graced": False}


class Families:
    """The families of refresh tokens. Every method raises `StoreUnavailable` when MongoDB does not answer."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._families: AsyncCollection[Document] = mongo.collection("refresh_families")

    async def create_indexes(self) -> None:
        with translate_mongo_errors():
            await self._families.create_index([("userId", ASCENDING)], name="owner")

    async def begin(self, user: UserDocument, ttl_s: float) -> Refreshed:
        """A family of this user. Removes those of his that have ended, and the oldest beyond `FAMILIES_MAX`."""
        now_ms = self._mongo.now_ms()
        token, document = new_family(user, now_ms, int(ttl_s * 1000))
        with translate_mongo_errors():
            await self._families.insert_one(cast("Document", document))
            of_user = self._families.find({"userId": user["_id"]}, {"expiresAt": 1, "createdAt": 1, "generation": 1})
            found = sorted(await of_user.to_list(), key=lambda one: -one["createdAt"])
            over = [one["_id"] for one in found if one["expiresAt"] <= now_ms or one["generation"] < user["generation"]]
            living = [one["_id"] for one in found if one["_id"] not in set(over)]
            over += [family_id for family_id in living[FAMILIES_MAX:] if family_id != document["_id"]]
            if over:
                await self._families.delete_many({"_id": {"$in": over}})
        return Refreshed(token, user["_id"], user["generation"], document["expiresAt"])

    async def refresh(self, family_id: str, secret: str) -> Refreshed | Verdict:
        """The next token, or why there is none. A family of which an old token comes back is ended."""
        for _ in range(_TRIES):
            with translate_mongo_errors():
                family = cast("FamilyDocument | None", await self._families.find_one({"_id": family_id}))
            if family is None:
                return Verdict.ENDED
            now_ms = self._mongo.now_ms()
            verdict = judge(family, secret, now_ms)
            if verdict in (Verdict.COPIED, Verdict.ENDED):
                await self.end(family_id)
                return verdict
            successor = secrets.token_urlsafe(32)
            with translate_mongo_errors():
                done = await self._families.update_one(
                    {"_id": family_id, "turn": family["turn"]},
                    {"$set": turned(family, successor, verdict, now_ms)},
                )
            if done.matched_count:
                token = f"bfr_{family_id}_{successor}"
                return Refreshed(token, family["userId"], family["generation"], family["expiresAt"])
            # Somebody else has turned it meanwhile: what this token is now, the family says that is now.
        raise StoreUnavailable("a family of refresh tokens changed at every try")

    async def end(self, family_id: str) -> None:
        """Removes a family, if there is one. Its access tokens end by themselves."""
        with translate_mongo_errors():
            await self._families.delete_one({"_id": family_id})

    async def end_all_of(self, user: str) -> None:
        """Clears up after a new generation, which has ended them already."""
        with translate_mongo_errors():
            await self._families.delete_many({"userId": user})
