"""What is left of backtests that were deleted while somebody still wrote of them: its record is gone for ever."""

from __future__ import annotations

from shared.mongo import Mongo, translate_mongo_errors
from shared.result_garbage import Walk


class Leftovers:
    """Of one collection, whose documents say `backtestId` and have an index that begins with it."""

    def __init__(self, mongo: Mongo, collection: str) -> None:
        self._mongo = mongo
        self._collection = mongo.quick_collection(collection)
        self._walk = Walk(mongo, collection, "backtestId")

    async def collect(self, most: int) -> int:
        """Removes documents of backtests that are gone: of how many. Looks at about `most`, from where the last call
        stopped, whichever worker made it."""
        with translate_mongo_errors():
            async with self._mongo.settled_reads() as settled:
                found, after = await self._walk.look(settled, most)
                ids = sorted({one["backtestId"] for one in found})
                standing = await settled.find("backtests", {"_id": {"$in": ids}}, {"_id": 1}) if ids else []
            gone = sorted(set(ids) - {one["_id"] for one in standing})
            if gone:
                await self._collection.delete_many({"backtestId": {"$in": gone}})
            await self._walk.go_on_from(after)
        return len(gone)
