"""A record server in memory: as much of MongoDB as records need, one operation after the other, and its clock as told.

What it does not know it refuses, so that nothing passes here by accident. Documents go in and out as BSON.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import bson
from pymongo import ReturnDocument
from pymongo.errors import BulkWriteError, DuplicateKeyError

from shared.contracts import Channel
from shared.errors import BusUnavailable
from shared.records import NewsDocument

Document = dict[str, Any]
_MISSING = object()
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": lambda value, than: value > than,
    "$gte": lambda value, than: value >= than,
    "$lt": lambda value, than: value < than,
    "$lte": lambda value, than: value <= than,
}


class MemoryMongo:
    """In the place of `shared.mongo.Mongo`. `time_ms` is what its clock shows."""

    def __init__(self, time_ms: int = 1_704_067_200_000) -> None:
        self.time_ms = time_ms
        self._collections: dict[str, MemoryCollection] = {}

    def now_ms(self) -> int:
        return self.time_ms

    def collection(self, name: str) -> MemoryCollection:
        return self._collections.setdefault(name, MemoryCollection())

    quick_collection = collection


class Cursor:
    def __init__(self, found: list[Document]) -> None:
        self._found = found

    def sort(self, keys: str | Sequence[tuple[str, int]], direction: int = 1) -> Cursor:
        for name, order in reversed([(keys, direction)] if isinstance(keys, str) else keys):
            self._found.sort(key=lambda one, name=name: one[name], reverse=order < 0)
        return self

    def limit(self, most: int) -> Cursor:
        self._found = self._found[:most]
        return self

    async def to_list(self) -> list[Document]:
        return self._found

    async def __aiter__(self) -> AsyncIterator[Document]:
        for one in self._found:
            yield one


class MemoryCollection:
    def __init__(self) -> None:
        self._documents: dict[Any, Document] = {}

    def find(self, query: Document, fields: Document | None = None) -> Cursor:
        del fields  # Whoever asks for some is given all.
        return Cursor([_copy(one) for one in self._documents.values() if _fits(one, query)])

    async def find_one(self, query: Document, fields: Document | None = None, sort: Any = None) -> Document | None:
        found = await self.find(query, fields).sort(sort or []).limit(1).to_list()
        return found[0] if found else None

    async def find_one_and_update(
        self,
        query: Document,
        update: Document,
        *,
        sort: Any = None,
        upsert: bool = False,
        return_document: bool = ReturnDocument.BEFORE,
    ) -> Document | None:
        assert return_document == ReturnDocument.AFTER
        found = await self.find_one(query, sort=sort)
        if found is None and upsert:
            found = dict(query)
        if found is None:
            return None
        self._documents[found["_id"]] = _updated(found, update)
        return _copy(self._documents[found["_id"]])

    async def find_one_and_delete(self, query: Document) -> Document | None:
        found = await self.find_one(query)
        return found and self._documents.pop(found["_id"])

    async def update_one(self, query: Document, update: Document) -> Any:
        found = await self.find_one_and_update(query, update, return_document=ReturnDocument.AFTER)
        return SimpleNamespace(matched_count=int(found is not None))

    async def update_many(self, query: Document, update: Document) -> None:
        for found in await self.find(query).to_list():
            await self.update_one({"_id": found["_id"]}, update)

    async def bulk_write(self, updates: Sequence[Any], *, ordered: bool) -> Any:
        assert not ordered
        done = [await self.update_one(one._filter, one._doc) for one in updates]
        return SimpleNamespace(matched_count=sum(one.matched_count for one in done))

    async def insert_one(self, document: Document) -> None:
        if document["_id"] in self._documents:
            raise DuplicateKeyError("it is there")
        self._documents[document["_id"]] = _copy(document)

    async def insert_many(self, documents: Sequence[Document], *, ordered: bool) -> None:
        assert not ordered
        refused: list[Document] = []
        for index, document in enumerate(documents):
            try:
                await self.insert_one(document)
            except DuplicateKeyError:
                refused.append({"index": index, "code": 11_000, "errmsg": "it is there"})
        if refused:
            raise BulkWriteError({"writeErrors": refused, "writeConcernErrors": []})

    async def delete_one(self, query: Document) -> None:
        await self.find_one_and_delete(query)

    async def delete_many(self, query: Document) -> None:
        for found in await self.find(query).to_list():
            del self._documents[found["_id"]]

    async def aggregate(self, stages: Sequence[Document]) -> Cursor:
        match, count = stages
        found = await self.find(match["$match"]).to_list()
        return Cursor([{count["$count"]: len(found)}] if found else [])


def _copy(document: Document) -> Document:
    return bson.decode(bson.encode(document))


def _fits(document: Document, query: Mapping[str, Any]) -> bool:
    for name, wanted in query.items():
        if name == "$or":
            if not any(_fits(document, one) for one in wanted):
                return False
            continue
        values = _values(document, name.split("."))
        tests = wanted if isinstance(wanted, dict) and any(one.startswith("$") for one in wanted) else {"$eq": wanted}
        if not all(_passes(values, test, argument) for test, argument in tests.items()):
            return False
    return True


def _values(value: Any, path: Sequence[str]) -> list[Any]:
    """What stands there, in each element where a list is on the way; a list at the end also counts as a whole."""
    if not path:
        return [value, *value] if isinstance(value, list) else [value]
    if isinstance(value, list):
        return [found for one in value for found in _values(one, path)]
    return _values(value[path[0]], path[1:]) if isinstance(value, dict) and path[0] in value else []


def _passes(values: list[Any], test: str, argument: Any) -> bool:
    match test:
        case "$eq":
            return argument in values or (argument is None and not values)
        case "$ne":
            return argument not in values
        case "$in":
            return any(_passes(values, "$eq", one) for one in argument)
        case "$exists":
            return bool(values) == argument
        case _:
            compare = _COMPARE[test]
            return any(type(one) in (int, float, bson.Int64) and compare(one, argument) for one in values)


def _updated(document: Document, update: Mapping[str, Mapping[str, Any]]) -> Document:
    after = _copy(document)
    places: set[str] = set()
    for verb, changes in update.items():
        for name, value in changes.items():
            assert "." not in name, "only whole fields"
            assert name not in places, f"two changes of {name} conflict"
            places.add(name)
            match verb:
                case "$set":
                    after[name] = value
                case "$inc":
                    after[name] = after.get(name, 0) + value
                case "$max":
                    after[name] = max(after.get(name, value), value)
                case "$pull":
                    after[name] = [one for one in after[name] if not (isinstance(one, dict) and _fits(one, value))]
                case _:
                    raise NotImplementedError(verb)
    return _copy(after)


class MemoryBus:
    """In the place of `shared.bus.Bus`: an event log that takes only what is newer, as the one in Redis does."""

    def __init__(self) -> None:
        self.away = False
        self.heard: list[tuple[str, NewsDocument]] = []
        self.rung: list[tuple[Channel, str]] = []
        self.watched = False
        self._last: dict[str, tuple[int, int]] = {}

    async def say(self, messages: Sequence[tuple[Channel, str]]) -> list[int]:
        self._answer()
        self.rung += messages
        return [1] * len(messages)

    async def publish_document(self, backtest_id: str, one: NewsDocument) -> bool:
        return await self.publish_documents([(backtest_id, one)]) == 1

    async def publish_documents(self, news: Sequence[tuple[str, NewsDocument]]) -> int:
        self._answer()
        taken = 0
        for backtest_id, one in news:
            place = one["epoch"], one["seq"]
            if place > self._last.get(backtest_id, (0, 0)):
                self._last[backtest_id] = place
                self.heard.append((backtest_id, one))
                taken += 1
        return taken

    async def is_watched(self, backtest_id: str) -> bool:
        del backtest_id
        return self.watched

    def _answer(self) -> None:
        if self.away:
            raise BusUnavailable("away")
